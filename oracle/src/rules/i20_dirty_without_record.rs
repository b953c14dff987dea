//! I20: whenever a page of the file is PG_dirty and unlocked, what its filesystem needs to write it
//! back is there: a request that is not PG_CLEAN, fsblocks, blocks on the device for every dirty
//! block below i_size; and if a pte maps it writable, for all of the page below i_size, because
//! stores through it tell nobody.
//!
//! This is what the patch is about (commit b827e496c893). A set_page_dirty without the page lock is
//! judged at once, also if another task holds the lock: nobody will attach a record after it.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::{Event, Frame, Kernel};
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct DirtyWithoutRecord;

impl Check for DirtyWithoutRecord {
    const ABOUT: About = About {
        id: "I20",
        title: "a dirty page has its record",
        harm: "a dirty page cannot be written back: its record is gone",
        source: "commit b827e496c893 (2.6.30) [dirty-needs-record, record-to-eof]",
        plant: Plant::RecordFreedEarly,
    };

    fn applies<F: Filesystem>(target: &Target<F>) -> bool {
        has_page_cache(target)
    }

    #[inline(always)]
    fn event<F: Filesystem>(cx: &mut Cx<'_, F>, event: Event) {
        if let Event::DirtySet { page, newly: true, locked_by_us: false } = event
            && cx.k.in_mapping(page)
            && cx.k.fs().record(cx.k, page).missing != 0
        {
            cx.cells_breach(page, missing(cx.k, page), "set_page_dirty, unlocked, on a page without a record");
        }
    }

    fn page<F: Filesystem>(k: &Kernel<F>, page: Frame) -> Option<&'static str> {
        if !k.is_dirty(page) || !k.in_mapping(page) {
            return None;
        }
        if k.fs().record(k, page).missing != 0 {
            return Some("dirty without a record");
        }
        (missing(k, page) != 0).then_some("the record does not cover what a writable pte can store to")
    }

    /// Cells after the first that is missing will be missing too once the file grows.
    fn cells<F: Filesystem>(k: &Kernel<F>, page: Frame) -> u8 {
        let missing = missing(k, page);
        missing | missing.wrapping_neg()
    }

    fn deferred<F: Filesystem>(k: &Kernel<F>, page: Frame) -> bool {
        // An extension that makes dirty blocks part of the file is judged at once: nobody attaches
        // a record.
        k.is_locked(page) && !is_extended(k, page)
    }
}

/// The cells that are dirty, or can become so at any time, without what it takes to write them
/// back.
fn missing<F: Filesystem>(k: &Kernel<F>, page: Frame) -> u8 {
    let record = k.fs().record(k, page);
    let writable = k.ptes_of(page).any(|pte| pte.is_writable());
    record.missing | if writable { record.uncovered } else { 0 }
}

/// This step has moved the end of the file out of the page, or further inside it, and only what
/// that made part of the file is missing.
fn is_extended<F: Filesystem>(k: &Kernel<F>, page: Frame) -> bool {
    let g = k.geometry();
    let below = |from: u8| ((1u16 << (from % g.cells)) - 1) as u8;
    let inside = |from: u8| !from.is_multiple_of(g.cells) && g.page_of(from) == k.index(page);
    let inside = |from: u8| inside(from) && missing(k, page) & below(from) == 0;
    k.events().any(|event| matches!(event, Event::SizeWritten { from, to, .. } if to > from && inside(from)))
}
