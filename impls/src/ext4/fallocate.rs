//! fallocate(2): ext4_fallocate, ext4_alloc_file_blocks, ext4_zero_range, ext4_punch_hole
//! (`[ext4-fallocate]`, `[punch-hole]`).
//!
//! All of it under the inode lock; what takes pages away also under invalidate_lock. Otherwise than
//! there: parts of blocks at the ends of a hole are zeroed when the blocks between have gone, because
//! here a whole page is read to zero a part of it; an error of the writeback before a hole of 6.1 is
//! left to fsync.

use mkwrite_model::case::Range;
use mkwrite_model::implementation::{AddressSpaceOperations, WbSync};
use mkwrite_model::kernel::{Kernel, Status};
use mkwrite_model::mm::{self, Fallocate};
use mkwrite_model::point::Point as P;
use mkwrite_model::remedy::Remedy;

use super::journal::journal;
use super::{Ext4, Journaled};
use crate::buffer;

impl Ext4 {
    /// ext4_fallocate.
    pub(super) async fn do_fallocate<F: Journaled>(
        self,
        k: &Kernel<F>,
        mode: Fallocate,
        cells: Range,
    ) -> Status {
        let status = match mode {
            Fallocate::PunchHole => {
                self.punch_hole(k, cells).await;
                Status::Ok
            }
            Fallocate::ZeroRange => {
                k.inode_lock(P::FallocateInode).await;
                self.zero_range(k, cells).await
            }
            Fallocate::Allocate { keep_size } => {
                k.inode_lock(P::FallocateInode).await;
                let size = self.new_size(k, cells).filter(|_| !keep_size);
                self.allocate(k, blocks_covering(k, cells), size, false).await
            }
        };
        k.inode_unlock();
        status
    }

    /// The end of the range, if the file is to grow to there.
    fn new_size<F: Journaled>(self, k: &Kernel<F>, cells: Range) -> Option<u8> {
        (cells.end > k.i_size().min(journal(k).size())).then_some(cells.end)
    }

    /// ext4_alloc_file_blocks: unwritten blocks where there are none, or everywhere; and the size up
    /// to what could be had. Since 6.13 the page that held the end is treated as truncate does.
    async fn allocate<F: Journaled>(
        self,
        k: &Kernel<F>,
        blocks: Range,
        size: Option<u8>,
        unwrites: bool,
    ) -> Status {
        k.at(P::FallocateBlocks).await;
        let mut end = blocks.start;
        while end < blocks.end && k.get_block_unwritten(end).is_some() {
            if unwrites {
                k.unwrite_block(end);
            }
            end += 1;
        }
        if let Some(size) = size.filter(|_| end > blocks.start) {
            self.raise_size(k, size.min(end * k.geometry().block_cells()), true).await;
        }
        if end == blocks.end { Status::Ok } else { Status::NoSpace }
    }

    /// ext4_update_inode_size, and what comes after it where blocks were allocated.
    async fn raise_size<F: Journaled>(self, k: &Kernel<F>, size: u8, allocates: bool) {
        k.at_size(P::FallocateSize).await;
        let old = k.i_size();
        if size > old {
            mm::extend(k, size).await;
        }
        journal(k).raise_size(size);
        let treats_page = self == Ext4::V6_12 || k.remedied(Remedy::FallocateExtends);
        if size > old && allocates && treats_page {
            mm::pagecache_isize_extended(k, old, size).await;
            if self.zeroes_at_extension(k) || k.remedied(Remedy::FallocateExtends) {
                self.zero_partial_blocks(k, Range::new(old, size)).await;
            }
        }
    }

    /// ext4_zero_range, with the inode lock held: the parts of blocks at the ends are zeroed, the
    /// blocks between are unwritten from then on.
    async fn zero_range<F: Journaled>(self, k: &Kernel<F>, cells: Range) -> Status {
        let size = self.new_size(k, cells);
        let whole = buffer::whole_blocks(k, cells);
        let covering = blocks_covering(k, cells);
        if self == Ext4::V6_12 {
            mm::lock_out_faults(k).await;
        }
        let mut status = Status::Ok;
        if whole != covering || k.remedied(Remedy::ZeroRangeAllocates) {
            status = self.allocate(k, covering, size, false).await;
        }
        if status == Status::Ok {
            if self == Ext4::V6_1 && !whole.is_empty() {
                mm::lock_out_faults(k).await;
            }
            self.begin_hole(k).await;
            self.cut_page_cache(k, cells, whole).await;
            if !whole.is_empty() {
                status = self.allocate(k, whole, size, true).await;
            }
            self.end_hole(k);
            if self == Ext4::V6_1 && !whole.is_empty() {
                mm::let_faults_in(k);
            }
        }
        if status == Status::Ok && whole != covering {
            self.zero_partial_blocks(k, cells).await;
            if let Some(size) = size {
                self.raise_size(k, size, false).await;
            }
        }
        if self == Ext4::V6_12 {
            mm::let_faults_in(k);
        }
        status
    }

    /// ext4_punch_hole; takes the inode lock. 6.1 writes the range back first.
    async fn punch_hole<F: Journaled>(self, k: &Kernel<F>, cells: Range) {
        let g = k.geometry();
        if self == Ext4::V6_1 {
            let pages = Range::new(g.page_of(cells.start), cells.end.div_ceil(g.cells));
            self.writepages(k, pages, WbSync::Integrity).await;
            mm::filemap_fdatawait(k).await;
        }
        k.inode_lock(P::PunchInode).await;
        if cells.start >= k.i_size() {
            return;
        }
        let cells = cells.clip(Range::new(0, k.i_size().next_multiple_of(g.cells)));
        let whole = buffer::whole_blocks(k, cells);
        mm::lock_out_faults(k).await;
        self.begin_hole(k).await;
        self.cut_page_cache(k, cells, whole).await;
        if !whole.is_empty() {
            k.at(P::PunchBlocks).await;
            k.free_blocks(whole);
        }
        self.end_hole(k);
        self.zero_partial_blocks(k, cells).await;
        mm::let_faults_in(k);
    }

    /// By the remedy a commit waits until the blocks have gone, too.
    async fn begin_hole<F: Journaled>(self, k: &Kernel<F>) {
        if k.remedied(Remedy::HoleInHandle) {
            k.journal_start(P::JournalStart).await;
        }
    }

    fn end_hole<F: Journaled>(self, k: &Kernel<F>) {
        if k.remedied(Remedy::HoleInHandle) {
            k.journal_stop();
        }
    }

    /// ext4_update_disksize_before_punch; then these cells go from the page cache: all of them, or in
    /// 6.1 the whole blocks among them. Pages that stay and lose blocks are write-protected first,
    /// since 6.14 (ext4_truncate_page_cache_block_range).
    async fn cut_page_cache<F: Journaled>(self, k: &Kernel<F>, cells: Range, whole: Range) {
        let block = k.geometry().block_cells();
        let of_blocks = Range::new(whole.start * block, whole.end * block);
        if self == Ext4::V6_1 && whole.is_empty() {
            return;
        }
        let size = k.i_size();
        match self {
            Ext4::V6_1 if cells.end < size || cells.start > size => {}
            Ext4::V6_12 if cells.start > size => {}
            _ => journal(k).raise_size(size.min(cells.end)),
        }
        if self == Ext4::V6_12 || k.remedied(Remedy::PunchProtects) {
            for n in 0..2 {
                let Some((index, _)) = mm::parts(k, of_blocks)[n] else { continue };
                let first = index * k.geometry().cells;
                let Some(page) = mm::lock_page_of(k, first).await else { continue };
                if k.page_mkclean(page).await {
                    k.set_page_dirty(page).await;
                }
                k.unlock_page(page);
                k.put_page(page);
            }
        }
        let gone = if self == Ext4::V6_1 { of_blocks } else { cells };
        mm::truncate_pagecache_range(k, gone).await;
    }
}

/// The blocks of the file that a range of its cells touches.
fn blocks_covering<F: Journaled>(k: &Kernel<F>, cells: Range) -> Range {
    let block = k.geometry().block_cells();
    Range::new(cells.start / block, cells.end.div_ceil(block))
}
