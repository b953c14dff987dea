//! fallocate(2): ext4_fallocate, ext4_alloc_file_blocks, ext4_zero_range, ext4_punch_hole
//! (`[ext4-fallocate]`, `[punch-hole]`).
//!
//! All of it under the inode lock; what takes pages away also under invalidate_lock. Otherwise than
//! there: parts of blocks at the ends of a hole are zeroed when the blocks between have gone, because
//! here a whole page is read to zero a part of it; an error of the writeback before a hole of 6.1 is
//! left to fsync.

use mkwrite_model::case::Range;
use mkwrite_model::kernel::{Kernel, Status};
use mkwrite_model::mm;
use mkwrite_model::point::Point as P;
use mkwrite_model::remedy::Remedy;

use super::journal::journal;
use super::{Ext4, Journaled};

impl Ext4 {
    /// ext4_do_fallocate.
    pub(super) async fn preallocate<F: Journaled>(
        self,
        k: &Kernel<F>,
        cells: Range,
        keep_size: bool,
    ) -> Status {
        k.inode_lock(P::FallocateInode).await;
        let size = self.new_size(k, cells).filter(|_| !keep_size);
        let status = self.allocate(k, k.geometry().blocks_touched(cells), size, false).await;
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

    /// ext4_zero_range: the parts of blocks at the ends are zeroed, the blocks between are unwritten
    /// from then on. 6.1 holds invalidate_lock for these alone.
    pub(super) async fn zero_range<F: Journaled>(self, k: &Kernel<F>, cells: Range) -> Status {
        k.inode_lock(P::FallocateInode).await;
        // The remedy treats the page that held the end under this lock, as truncate does.
        let locks_all = self == Ext4::V6_12 || k.remedied(Remedy::FallocateExtends);
        if locks_all {
            mm::lock_out_faults(k).await;
        }
        let size = self.new_size(k, cells);
        let in_part = k.geometry().blocks_inside(cells) != k.geometry().blocks_touched(cells);
        let mut status = Status::Ok;
        if in_part || k.remedied(Remedy::ZeroRangeAllocates) {
            status = self.allocate(k, k.geometry().blocks_touched(cells), size, false).await;
        }
        let has_whole = !k.geometry().blocks_inside(cells).is_empty();
        if status == Status::Ok && (has_whole || self == Ext4::V6_12) {
            if !locks_all {
                mm::lock_out_faults(k).await;
            }
            self.begin_hole(k, cells).await;
            mm::truncate_pagecache_range(k, self.cut(k, cells)).await;
            if has_whole {
                status = self.allocate(k, k.geometry().blocks_inside(cells), size, true).await;
            }
            self.end_hole(k);
            if !locks_all {
                mm::let_faults_in(k);
            }
        }
        if status == Status::Ok && in_part {
            self.zero_partial_blocks(k, cells).await;
            if let Some(size) = size {
                self.raise_size(k, size, false).await;
            }
        }
        if locks_all {
            mm::let_faults_in(k);
        }
        k.inode_unlock();
        status
    }

    /// ext4_punch_hole. 6.1 writes the range back first.
    pub(super) async fn punch_hole<F: Journaled>(self, k: &Kernel<F>, cells: Range) -> Status {
        let g = k.geometry();
        if self == Ext4::V6_1 {
            mm::write_and_wait(k, g.pages_touched(cells)).await;
        }
        k.inode_lock(P::PunchInode).await;
        if cells.start < k.i_size() {
            let cells = cells.clip(Range::new(0, k.i_size().next_multiple_of(g.cells)));
            mm::lock_out_faults(k).await;
            let has_whole = !k.geometry().blocks_inside(cells).is_empty();
            if has_whole || self == Ext4::V6_12 {
                self.begin_hole(k, cells).await;
                mm::truncate_pagecache_range(k, self.cut(k, cells)).await;
                if has_whole {
                    k.at(P::PunchBlocks).await;
                    k.free_blocks(k.geometry().blocks_inside(cells));
                }
                self.end_hole(k);
            }
            self.zero_partial_blocks(k, cells).await;
            mm::let_faults_in(k);
        }
        k.inode_unlock();
        Status::Ok
    }

    /// The cells that go from the page cache: all, or in 6.1 the whole blocks among them.
    fn cut<F: Journaled>(self, k: &Kernel<F>, cells: Range) -> Range {
        let g = k.geometry();
        match self {
            Ext4::V6_1 => g.cells_of_blocks(g.blocks_inside(cells)),
            Ext4::V6_12 => cells,
        }
    }

    /// Before these cells go from the page cache: ext4_update_disksize_before_punch; and since 6.14
    /// pages that stay and lose whole blocks are write-protected
    /// (ext4_truncate_page_cache_block_range). By a remedy a commit then waits until the blocks have
    /// gone, too.
    async fn begin_hole<F: Journaled>(self, k: &Kernel<F>, cells: Range) {
        let size = k.i_size();
        match self {
            Ext4::V6_1 if cells.end < size || cells.start > size => {}
            Ext4::V6_12 if cells.start > size => {}
            _ => journal(k).raise_size(size.min(cells.end)),
        }
        if k.remedied(Remedy::HoleInHandle) {
            k.journal_start(P::JournalStart).await;
        }
        if self == Ext4::V6_12 || k.remedied(Remedy::PunchProtects) {
            for n in 0..2 {
                self.write_protect_part(k, cells, n).await;
            }
        }
    }

    /// The page at one of the ends of these cells, if it stays and loses whole blocks.
    async fn write_protect_part<F: Journaled>(self, k: &Kernel<F>, cells: Range, n: usize) {
        let g = k.geometry();
        let of_blocks = g.cells_of_blocks(g.blocks_inside(cells));
        let Some((index, _)) = mm::parts(k, of_blocks)[n] else { return };
        let first = index * k.geometry().cells;
        let Some(page) = mm::lock_page_of(k, first).await else { return };
        if k.page_mkclean(page).await {
            k.set_page_dirty(page).await;
        }
        k.unlock_page(page);
        k.put_page(page);
    }

    fn end_hole<F: Journaled>(self, k: &Kernel<F>) {
        if k.remedied(Remedy::HoleInHandle) {
            k.journal_stop();
        }
    }
}
