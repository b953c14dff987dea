//! Progress: when an integrity pass (fsync, msync, sync_range) returns, no page of its range is
//! dirty that nobody else has made dirty since it began.
//!
//! write_cache_pages finds such a page by its tag, waits for its lock and for earlier writeback,
//! and must write it. A page with PG_dirty and without the tag is in the middle of somebody's
//! set_page_dirty, or breaks I14.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::{Event, Status};
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct LeftDirty;

impl Check for LeftDirty {
    const ABOUT: About = About {
        id: "left-dirty",
        title: "an integrity pass leaves what it found dirty clean",
        harm: "a sync leaves a page dirty",
        source: "2.6.30 mm/page-writeback.c: write_cache_pages (WB_SYNC_ALL); commit 081a0b78ef30 (ceph) \
                 [write-cache-pages, ceph-next-object]",
        plant: Plant::WritebackSkipsPage,
    };

    fn applies<F: Filesystem>(target: &Target<F>) -> bool {
        tracks_dirty(target)
    }

    #[inline(always)]
    fn event<F: Filesystem>(cx: &mut Cx<'_, F>, event: Event) {
        let (k, task) = (cx.k, cx.k.tasks.current());
        // ENOMEM is msync's word for "nothing is mapped": there was no pass.
        if !matches!(event, Event::Return) || k.outcome(task).status() == Status::NoMemory {
            return;
        }
        for index in cx.passes.undisturbed(task) {
            if let Some(page) = k.slot(index).filter(|page| k.is_dirty(*page) && k.is_tagged_dirty(index)) {
                cx.page_breach(page, "dirty after an integrity pass in which nobody else dirtied it");
            }
        }
    }
}
