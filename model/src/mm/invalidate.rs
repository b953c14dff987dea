//! Invalidation: invalidate_mapping_pages, invalidate_inode_pages2_range, and the removal that they
//! share with reclaim (`[invalidate]`). mm/truncate.c and mm/vmscan.c of 2.6.24 to 3.0.
//!
//! The first never blocks and never discards dirty data. The second unmaps, waits for writeback,
//! launders dirty pages, and removes even pages that others hold references to, unless the era says
//! otherwise; it fails if the page is dirty again, or if its private data cannot be released.

use crate::case::Range;
use crate::implementation::Filesystem;
use crate::kernel::page::PRIVATE;
use crate::kernel::{Call, Frame, Kernel, Status};
use crate::plant::Plant;
use crate::point::{Point as P, points};

points! {
    110 InvalidateFind     "invalidate.find"            "invalidate_mapping_pages: look up pages, take references";
    111 InvalidateTrylock  "invalidate.trylock"         "invalidate_mapping_pages: trylock, test dirty, writeback, mapped";
    112 InvalidateRelease  "invalidate.release"         "release private data";
    113 InvalidateRemove   "invalidate.remove"          "under the tree lock: test the references and PG_dirty, remove";
    114 Invalidate2Inode   "invalidate2.inode_lock"     "invalidate_inode_pages2: the caller takes the inode lock";
    115 Invalidate2Lock    "invalidate2.lock_page"      "invalidate_inode_pages2: lock the page, check its mapping";
    116 Invalidate2Wait    "invalidate2.wait_writeback" "invalidate_inode_pages2: wait for writeback";
    117 Invalidate2Launder "invalidate2.launder"        "invalidate_inode_pages2: launder_page if PG_dirty";
    118 Invalidate2Remove  "invalidate2.remove"         "under the tree lock: fail if PG_dirty, remove";
    119 Invalidate2Unlock  "invalidate2.unlock_page"    "invalidate_inode_pages2: unlock_page, drop the reference";
}

/// invalidate_mapping_pages.
pub(crate) async fn invalidate_mapping_pages<F: Filesystem>(k: &Kernel<F>, pages: Range) -> Status {
    k.at_tree(P::InvalidateFind).await;
    let batch = k.pagevec_lookup(pages);
    for page in batch.iter() {
        k.at_page(P::InvalidateTrylock, page).await;
        if k.trylock_page(page) {
            let dirty = k.is_dirty(page) && !k.is_planted(Plant::InvalidateDirty);
            let alone = k.refcount(page) == 2 + i16::from(k.has(page, PRIVATE));
            let used = k.facts().invalidate_counts_references && !alone;
            if k.in_mapping(page) && !dirty && !k.is_writeback(page) && !k.is_mapped(page) && !used
            {
                invalidate_complete_page(k, page).await;
            }
            k.unlock_page(page);
        }
        k.put_page(page);
    }
    Status::Ok
}

async fn invalidate_complete_page<F: Filesystem>(k: &Kernel<F>, page: Frame) {
    if k.has(page, PRIVATE) {
        let early = k.reaches_plant(Plant::ReleaseUnlocked);
        if early {
            k.unlock_page(page);
        }
        k.at_page(P::InvalidateRelease, page).await;
        k.calls_releasepage(page);
        let released = k.released(page, k.fs().releasepage(k, page).await);
        if early {
            k.lock_page(page, P::InvalidateTrylock).await;
        }
        if !released {
            return;
        }
    }
    k.at_page(P::InvalidateRemove, page).await;
    remove_mapping(k, page);
}

/// remove_mapping: only a page that nobody else refers to, and that is still clean. The references
/// are frozen before PG_dirty is tested, so nobody can dirty the page and let go of it in between.
pub(super) fn remove_mapping<F: Filesystem>(k: &Kernel<F>, page: Frame) {
    k.tree_lock();
    let unused = k.in_mapping(page) && k.refcount(page) == 2;
    if unused && k.reaches_plant(Plant::CountLeavesOut) {
        return;
    }
    if unused && (!k.is_dirty(page) || k.reaches_plant(Plant::InvalidateDirty)) {
        if k.reaches_plant(Plant::FreeWhileCached) {
            k.drop_reference(page);
            return;
        }
        k.remove_from_page_cache(page);
        k.drop_reference(page);
    }
}

/// invalidate_inode_pages2_range, as direct I/O and revalidation call it: with the inode lock held,
/// which who has it keeps.
pub async fn invalidate_inode_pages2<F: Filesystem>(k: &Kernel<F>, pages: Range) -> Status {
    let locks = !k.is_inode_locked_by_us();
    if locks {
        k.inode_lock(P::Invalidate2Inode).await;
    }
    let mut status = Status::Ok;
    k.at_tree(P::InvalidateFind).await;
    let batch = k.pagevec_lookup(pages);
    for page in batch.iter() {
        k.lock_page(page, P::Invalidate2Lock).await;
        if k.in_mapping(page) && !invalidate_page2(k, page).await {
            status = k.facts().invalidate2_error;
        }
        k.at_page(P::Invalidate2Unlock, page).await;
        k.unlock_page(page);
        k.put_page(page);
    }
    if locks {
        k.inode_unlock();
    }
    status
}

/// One locked page. Returns whether it was removed.
async fn invalidate_page2<F: Filesystem>(k: &Kernel<F>, page: Frame) -> bool {
    k.wait_on_page_writeback(page, P::Invalidate2Wait).await;
    if k.is_mapped(page) {
        let index = k.index(page);
        k.unmap_mapping_range(Range::new(index, index + 1)).await;
    }
    k.bug_on(k.is_mapped(page), "BUG_ON(page_mapped(page)) in invalidate_inode_pages2_range");
    if k.is_dirty(page) {
        k.at_page(P::Invalidate2Launder, page).await;
        let early = k.reaches_plant(Plant::LaunderUnlocked);
        if early {
            k.unlock_page(page);
        }
        k.calls_locked(Call::LaunderPage, page);
        k.fs().launder_page(k, page).await;
        if early {
            k.lock_page(page, P::Invalidate2Lock).await;
        }
        k.calls_locked(Call::LaunderPage, page);
    }
    // invalidate_complete_page2
    if k.has(page, PRIVATE) {
        k.at_page(P::InvalidateRelease, page).await;
        k.calls_releasepage(page);
        let released = k.released(page, k.fs().releasepage(k, page).await);
        if !released && (k.is_dirty(page) || !k.reaches_plant(Plant::ReleaseIgnored)) {
            return false;
        }
    }
    k.at_page(P::Invalidate2Remove, page).await;
    k.tree_lock();
    let counted = k.facts().invalidate2_counts_references;
    if k.is_dirty(page) || !k.in_mapping(page) || counted && k.refcount(page) != 2 {
        return false;
    }
    k.remove_from_page_cache(page);
    k.drop_reference(page);
    true
}
