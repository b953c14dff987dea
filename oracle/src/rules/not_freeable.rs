//! Progress: after the closing program (sync, unmap, sync again, and nobody stores) no page is
//! dirty, tagged or under writeback, and every page of the page cache can be freed.
//!
//! Not where pages are never written back (tmpfs): there the page cache is the store.
//!
//! A page that is dirty for ever is written every thirty seconds and pins its memory.

use mkwrite_model::End;
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::page::{CANCELLED, PRIVATE};
use mkwrite_model::kernel::{Frame, Kernel};
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct NotFreeable;

impl Check for NotFreeable {
    const ABOUT: About = About {
        id: "not-freeable",
        title: "what is synced and unmapped can be freed",
        harm: "a page can never be freed",
        source: "2.6.30 mm/vmscan.c: shrink_page_list, mm/truncate.c: invalidate_complete_page; FreeBSD's vnode pager \
                 [reclaim, page-references, freebsd-dirty-tail]",
        plant: Plant::DirtyForEver,
    };

    fn applies<F: Filesystem>(target: &Target<F>) -> bool {
        tracks_dirty(target)
    }

    fn end<F: Filesystem>(cx: &mut Cx<'_, F>, end: End) {
        let k = cx.k;
        for page in k.cached_pages().filter(|_| end == End::Done) {
            if let Some(what) = what_holds(k, page) {
                cx.page_breach(page, what);
            }
        }
    }
}

/// What keeps a page from being freed.
fn what_holds<F: Filesystem>(k: &Kernel<F>, page: Frame) -> Option<&'static str> {
    let index = k.index(page);
    if k.is_dirty(page) {
        return Some("dirty after all was synced");
    }
    // cancel_dirty_page leaves the tag; it goes with the page, or with the next writeback.
    let tagged = k.is_tagged_dirty(index) && !k.has(page, CANCELLED);
    if k.is_writeback(page) || k.is_tagged_writeback(index) || tagged {
        return Some("tagged or under writeback after all was synced");
    }
    if !k.fs().is_releasable(k, page) {
        return Some("its private data cannot be released");
    }
    let alone = k.refcount(page) == 1 + i16::from(k.has(page, PRIVATE));
    (!alone || k.is_mapped(page) || k.is_locked(page)).then_some("mapped, locked or referred to after all is done")
}
