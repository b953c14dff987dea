//! Reclaim: shrink_page_list and pageout of 2.6.30 mm/vmscan.c (`[reclaim]`).
//!
//! Per page: trylock, skip writeback, unmap every pte, write it if it is dirty, release private
//! data, remove it if nobody else refers to it and it is clean. Left out: aging and the accessed
//! bit (every page is old), congestion, swap, the synchronous ramdisk case of pageout.

use super::invalidate::remove_mapping;
use crate::case::Range;
use crate::implementation::{Filesystem, WbSync};
use crate::kernel::page::PRIVATE;
use crate::kernel::{Frame, Kernel, Status};
use crate::plant::Plant;
use crate::point::{Point as P, points};
use crate::remedy::Remedy;

points! {
    120 ReclaimFind    "reclaim.find"    "shrink_page_list: isolate a page, take a reference";
    121 ReclaimTrylock "reclaim.trylock" "shrink_page_list: trylock, skip a page under writeback";
    122 ReclaimPageout "reclaim.pageout" "pageout: write a dirty page";
    123 ReclaimRemove  "reclaim.remove"  "remove_mapping: freeze the references, test PG_dirty, remove";
}

/// shrink_page_list over the pages of a range.
pub(crate) async fn reclaim<F: Filesystem>(k: &Kernel<F>, pages: Range) -> Status {
    for index in pages.iter() {
        k.at_slot(P::ReclaimFind, index).await;
        let Some(page) = k.find_get_page(index) else { continue };
        k.at_page(P::ReclaimTrylock, page).await;
        if k.trylock_page(page) && !shrink_page(k, page).await {
            k.unlock_page(page);
        }
        k.put_page(page);
    }
    Status::Ok
}

/// One locked page. Returns whether writepage has unlocked it.
async fn shrink_page<F: Filesystem>(k: &Kernel<F>, page: Frame) -> bool {
    if k.is_writeback(page) && !k.reaches_plant(Plant::ReclaimsWriteback) {
        return false;
    }
    if k.is_mapped(page) && k.in_mapping(page) {
        k.try_to_unmap(page).await;
    }
    let skips_pinned = k.facts().reclaim_skips_pinned || k.remedied(Remedy::PinnedKept);
    if skips_pinned && k.is_pinned(page) && !k.reaches_plant(Plant::ReclaimsPinned) {
        return false;
    }
    if k.is_dirty(page) {
        k.at_page(P::ReclaimPageout, page).await;
        // is_page_cache_freeable: the page cache, this task, private data
        let freeable = k.refcount(page) == 2 + i16::from(k.has(page, PRIVATE));
        if !k.facts().reclaim_writes
            || !freeable
            || !k.in_mapping(page)
            || !k.clear_page_dirty_for_io(page).await
        {
            return false;
        }
        k.writepage(page, WbSync::Reclaim).await;
        return true;
    }
    if k.has(page, PRIVATE) {
        k.at_page(P::InvalidateRelease, page).await;
        k.calls_releasepage(page);
        if !k.released(page, k.fs().releasepage(k, page).await) {
            return false;
        }
    }
    k.at_page(P::ReclaimRemove, page).await;
    remove_mapping(k, page);
    false
}
