//! Truncation: vmtruncate and truncate_inode_pages; mm/memory.c and mm/truncate.c of 2.6.29 and
//! 2.6.30 (`[truncate-order]`, `[partial-page]`); truncate_setsize and pagecache_isize_extended of
//! 6.12 mm/truncate.c.
//!
//! Under the inode lock: i_size, unmap, remove the pages (a first pass that never blocks, the
//! partial page, a second pass that waits), unmap again, free the blocks. Extension is only the
//! write of i_size and the filesystem's ->truncate; later eras also do all that to what lies beyond
//! the new end (`[truncate-pagecache]`), and protect the old last page (`[isize-extended]`). A page
//! is removed in this order: unmap if mapped, invalidatepage, cancel_dirty, remove; the two in the
//! middle are in the era's order.
//!
//! Two remedies sit here, because setattr and write(2) share them: see [`extend`].

use crate::case::{PAGES_MAX, Range};
use crate::era::TruncateOrder;
use crate::implementation::Filesystem;
use crate::kernel::page::PRIVATE;
use crate::kernel::{Call, Event, Extent, Frame, Kernel, Pte, Status};
use crate::plant::Plant;
use crate::point::{Point as P, points};
use crate::remedy::Remedy;

points! {
    90  TruncateInode      "truncate.inode_lock"     "truncate: take the inode lock";
    263 TruncateInvalidateLock "truncate.invalidate_lock" "truncate: take invalidate_lock";
    91  TruncateSize       "truncate.i_size"         "truncate: write i_size";
    92  TruncateFind       "truncate.find_page"      "truncate_inode_pages: look up pages, take references";
    93  TruncateTrylock    "truncate.trylock_page"   "truncate_inode_pages, first pass: trylock the page";
    94  TruncateLock       "truncate.lock_page"      "truncate_inode_pages, second pass: lock the page";
    95  TruncateWait       "truncate.wait_writeback" "truncate_inode_pages: wait for writeback";
    96  TruncateInvalidate "truncate.invalidatepage" "truncate: invalidatepage";
    97  TruncateCancel     "truncate.cancel_dirty"   "truncate: cancel_dirty_page";
    98  TruncateRemove     "truncate.remove"         "truncate: remove the page from the page cache";
    99  TruncateUnlock     "truncate.unlock_page"    "truncate: unlock_page, drop the reference";
    100 TruncateZero       "truncate.zero_partial"   "truncate: zero the tail of the page that holds the new end";
    101 TruncateBlocks     "truncate.blocks"         "->truncate: zero the partial block, free the blocks";
}

/// ftruncate(2).
pub(crate) async fn truncate<F: Filesystem>(k: &Kernel<F>, size: u8) -> Status {
    let unlocked = k.reaches_plant(Plant::TruncateNoInodeLock);
    if !unlocked {
        k.inode_lock(P::TruncateInode).await;
    }
    let mut status = Status::Ok;
    if size != k.i_size() || k.facts().truncates_equal_size || k.remedied(Remedy::ZeroTail) {
        k.calls_with_inode(Call::Setattr);
        status = k.fs().setattr(k, size).await;
    }
    if !unlocked {
        k.inode_unlock();
    }
    status
}

/// vmtruncate, later truncate_setsize, with the inode lock held; also what a failed write(2) trims
/// itself back with.
pub async fn vmtruncate<F: Filesystem>(k: &Kernel<F>, size: u8) {
    k.at_size(P::TruncateSize).await;
    let old = k.i_size();
    let fs_lock = k.reaches_plant(Plant::FsLockOverTruncate);
    if fs_lock {
        k.flush_lock(P::FlushLock).await;
    }
    if size > old {
        extend(k, size).await;
        k.fs().size_extended(k, old, size).await;
    }
    if size <= old || k.facts().truncates_larger_size {
        let last = size <= old && k.reaches_plant(Plant::SizeLast);
        if size <= old && !last {
            k.i_size_write(size);
        }
        let first = k.geometry().pages_of(size);
        k.unmap_mapping_from(first).await;
        truncate_inode_pages(k, size).await;
        if k.facts().truncate_unmaps_again {
            // Private pages made meanwhile are not modelled; ptes installed late on a removed page
            // are.
            k.unmap_mapping_from(first).await;
        }
        if last {
            k.at_size(P::TruncateSize).await;
            k.i_size_write(size);
        }
        k.event(Event::Truncated { first });
    }
    if fs_lock {
        k.flush_unlock();
    }
}

/// truncate_pagecache, after i_size was written: what lies beyond goes from the page cache. (Written
/// out above too, because each layer makes the future of every actor larger.)
pub async fn truncate_pagecache<F: Filesystem>(k: &Kernel<F>, size: u8) {
    let first = k.geometry().pages_of(size);
    k.unmap_mapping_from(first).await;
    truncate_inode_pages(k, size).await;
    if k.facts().truncate_unmaps_again {
        k.unmap_mapping_from(first).await;
    }
    k.event(Event::Truncated { first });
}

/// pagecache_isize_extended, after i_size has grown: the next store to the old last page calls
/// page_mkwrite again. Only where a block of that page is new between `from` and `to`.
pub async fn pagecache_isize_extended<F: Filesystem>(k: &Kernel<F>, from: u8, to: u8) {
    let g = k.geometry();
    let block = from.next_multiple_of(g.block_cells());
    if !k.facts().isize_extended
        || treats_eof_page(k)
        || g.blocks == 1
        || to <= block
        || block.is_multiple_of(g.cells)
        || k.reaches_plant(Plant::ExtendKeepsWritable)
    {
        return;
    }
    if let Some(page) = lock_page_of(k, from).await {
        if k.page_mkclean(page).await {
            k.set_page_dirty(page).await;
        }
        if k.facts().zeroes_extended && k.is_dirty(page) {
            k.at_page(P::TruncateZero, page).await;
            k.zero_of_file(page, Range::new(from, to.min(k.first_cell(page) + g.cells)));
        }
        k.unlock_page(page);
        k.put_page(page);
    }
}

/// The file treats the page that holds its end before it grows. No kernel does; it is a remedy.
pub(super) fn treats_eof_page<F: Filesystem>(k: &Kernel<F>) -> bool {
    k.remedied(Remedy::IsizeExtended) || k.remedied(Remedy::ZeroTail)
}

/// Writes a larger i_size, with the inode lock held.
///
/// By the remedies the page that holds the end is first made as truncate leaves it:
/// write-protected, zeroed and without dirty blocks beyond the end. 6.13 does that after it has
/// written i_size, with the page unlocked in between: a store then is cut off, writeback sends the
/// old tail and cleans the page, and then it is not zeroed at all. So here the page stays locked
/// until i_size is written, as write(2) keeps the page that it extends.
pub async fn extend<F: Filesystem>(k: &Kernel<F>, size: u8) {
    let page = if treats_eof_page(k) { lock_eof_page(k).await } else { None };
    if let Some(page) = page {
        close_eof_page(k, page).await;
        k.at_size(P::TruncateSize).await;
    }
    k.i_size_write(size);
    if let Some(page) = page {
        k.unlock_page(page);
        k.put_page(page);
    }
}

/// A larger size, and nothing else: what tmpfs does.
pub async fn grow<F: Filesystem>(k: &Kernel<F>, size: u8) {
    k.at_size(P::TruncateSize).await;
    extend(k, size).await;
}

/// The page that holds the end of the file, if it ends inside a page that is cached: locked, with a
/// reference.
async fn lock_eof_page<F: Filesystem>(k: &Kernel<F>) -> Option<Frame> {
    if k.i_size().is_multiple_of(k.geometry().cells) {
        return None;
    }
    lock_page_of(k, k.i_size()).await
}

/// filemap_lock_folio: the page of a cell, if it is cached: locked, with a reference.
pub async fn lock_page_of<F: Filesystem>(k: &Kernel<F>, cell: u8) -> Option<Frame> {
    loop {
        let index = k.geometry().page_of(cell);
        k.at_slot(P::TruncateFind, index).await;
        let page = k.find_get_page(index)?;
        k.lock_page(page, P::TruncateLock).await;
        if k.in_mapping(page) {
            return Some(page);
        }
        k.unlock_page(page);
        k.put_page(page);
    }
}

/// Takes the write permission from the page that holds the end of the file, and what lies beyond
/// the end.
async fn close_eof_page<F: Filesystem>(k: &Kernel<F>, page: Frame) {
    let tail = Range::new(k.length_below_eof(page), k.geometry().cells);
    k.wait_on_page_writeback(page, P::TruncateWait).await;
    if k.tracks_dirty()
        && !k.reaches_plant(Plant::ExtendKeepsWritable)
        && k.page_mkclean(page).await
    {
        k.set_page_dirty(page).await;
    }
    if k.remedied(Remedy::ZeroTail) && !k.reaches_plant(Plant::ExtendKeepsTail) {
        k.at_page(P::TruncateZero, page).await;
        k.zero(page, tail);
    }
    if k.has(page, PRIVATE) {
        k.at_page(P::TruncateInvalidate, page).await;
        k.calls_invalidatepage(page);
        k.fs().invalidatepage(k, page, tail).await;
    }
}

/// truncate_inode_pages: everything from `size` on.
fn truncate_inode_pages<F: Filesystem>(k: &Kernel<F>, size: u8) -> impl Future<Output = ()> {
    truncate_inode_pages_range(k, Range::new(size, PAGES_MAX as u8 * k.geometry().cells))
}

/// truncate_inode_pages_range: the pages that lie in these cells are removed, of those that do so in
/// part the part is zeroed.
pub(super) async fn truncate_inode_pages_range<F: Filesystem>(k: &Kernel<F>, cells: Range) {
    let pages = Range::new(k.geometry().pages_of(cells.start), cells.end / k.geometry().cells);

    // First pass: what can be had without waiting.
    k.at_tree(P::TruncateFind).await;
    let batch = k.pagevec_lookup(pages);
    for page in batch.iter() {
        k.at_page(P::TruncateTrylock, page).await;
        if k.trylock_page(page) {
            if !k.is_writeback(page) {
                truncate_page(k, page).await;
            }
            k.at_page(P::TruncateUnlock, page).await;
            k.unlock_page(page);
        }
        k.put_page(page);
    }

    // By number: an iterator over the parts themselves would be kept over the steps.
    for n in 0..2u8 {
        if let Some((index, of_page)) = parts(k, cells)[usize::from(n)] {
            truncate_partial_page(k, index, of_page).await;
        }
    }

    // Second pass: until nothing is found.
    loop {
        k.at_tree(P::TruncateFind).await;
        let batch = k.pagevec_lookup(pages);
        let mut removed = false;
        for page in batch.iter() {
            k.lock_page(page, P::TruncateLock).await;
            k.wait_on_page_writeback(page, P::TruncateWait).await;
            removed |= truncate_page(k, page).await;
            k.at_page(P::TruncateUnlock, page).await;
            k.unlock_page(page);
            k.put_page(page);
        }
        if batch.is_empty() || !removed {
            return;
        }
    }
}

/// The pages that lie in these cells in part, each with its cells, counted from its start.
pub fn parts<F: Filesystem>(k: &Kernel<F>, cells: Range) -> [Option<(u8, Range)>; 2] {
    let g = k.geometry();
    let part = |page: u8| {
        let part = cells.clip(g.cells_of(page));
        (page, Range::new(part.start - page * g.cells, part.end - page * g.cells))
    };
    let [first, last] = [cells.start, cells.end].map(|end| {
        let page = end / g.cells;
        (!end.is_multiple_of(g.cells)).then_some(page)
    });
    [first.map(part), last.filter(|_| first != last).map(part)]
}

/// Unmaps and removes one locked page. Returns whether the page cache has let go of it.
async fn truncate_page<F: Filesystem>(k: &Kernel<F>, page: Frame) -> bool {
    if k.is_mapped(page) {
        let index = k.index(page);
        k.unmap_mapping_range(Range::new(index, index + 1)).await;
    }
    if !k.in_mapping(page) {
        return true;
    }
    if k.is_dirty(page) && k.reaches_plant(Plant::TruncateSkipsDirty) {
        return false;
    }
    let cancels_first = k.facts().truncate_order == TruncateOrder::CancelsFirst;
    if cancels_first {
        k.at_page(P::TruncateCancel, page).await;
        k.cancel_dirty_page(page);
    }
    if k.has(page, PRIVATE) && !k.reaches_plant(Plant::InvalidateSkipped) {
        k.at_page(P::TruncateInvalidate, page).await;
        k.calls_invalidatepage(page);
        k.fs().invalidatepage(k, page, Range::new(0, k.geometry().cells)).await;
    }
    if !cancels_first {
        k.at_page(P::TruncateCancel, page).await;
        k.cancel_dirty_page(page);
    }
    k.at_page(P::TruncateRemove, page).await;
    k.remove_from_page_cache(page);
    k.drop_reference(page);
    true
}

/// truncate_partial_page: these cells of a page, mostly its tail beyond the new end, read as zero.
async fn truncate_partial_page<F: Filesystem>(k: &Kernel<F>, index: u8, cells: Range) {
    k.at_slot(P::TruncateFind, index).await;
    let Some(page) = k.find_get_page(index) else { return };
    k.lock_page(page, P::TruncateLock).await;
    if k.in_mapping(page) {
        if !k.reaches_plant(Plant::CutSkipsWait) {
            k.wait_on_page_writeback(page, P::TruncateWait).await;
        }
        k.at_page(P::TruncateZero, page).await;
        let punches = k.task().operation().effect().discards().is_some();
        // A dirty pte that mprotect has made read-only becomes writable again without a word.
        let stores = |pte: Pte| pte.is_writable() || pte.is_dirty();
        if punches && k.ptes_of(page).any(stores) {
            k.event(Event::PartPunched { page, cells });
        }
        if !k.reaches_plant(Plant::NoPartialZero) {
            k.zero(page, cells);
        }
        if k.has(page, PRIVATE) {
            let early = k.reaches_plant(Plant::InvalidateUnlocked);
            if early {
                k.unlock_page(page);
            }
            k.at_page(P::TruncateInvalidate, page).await;
            k.calls_invalidatepage(page);
            k.fs().invalidatepage(k, page, cells).await;
            if early {
                k.lock_page(page, P::TruncateLock).await;
            }
        }
    }
    k.unlock_page(page);
    k.put_page(page);
}

/// The start of block_truncate_page: the page that holds these cells of one block of the file,
/// locked, with a reference; the cells are to be zeroed. `None` if there are none, or they are a
/// hole.
pub async fn grab_part_of_block<F: Filesystem>(k: &Kernel<F>, cells: Range) -> Option<Frame> {
    let g = k.geometry();
    if cells.is_empty() || k.reaches_plant(Plant::NoPartialZero) {
        return None;
    }
    let page = super::filemap::grab(k, g.page_of(cells.start), false).await.ok()?;
    k.at_page(P::TruncateBlocks, page).await;
    if k.extent(cells.start / g.block_cells()) == Extent::Hole {
        k.unlock_page(page);
        k.put_page(page);
        return None;
    }
    Some(page)
}
