//! ext4 with ordered data, delayed allocation and blocks smaller than pages: Debian's 6.1.172 and
//! 6.12.117, fs/ext4/inode.c, extents.c, page-io.c, fsync.c (`[ext4-page-mkwrite]`).
//!
//! page_mkwrite and write(2) reserve space for the blocks below i_size and find no place for them.
//! Writeback does that: it maps what is delayed to unwritten blocks, writes, and when the I/O is
//! complete converts them and ends writeback, in this order. A block that writeback finds dirty and
//! not mapped is a hole to it, and is dropped; so whatever a writable pte can reach has to be mapped.
//! What fallocate(2) does is in `fallocate.rs`, writeback and completion in `writeback.rs`, of the
//! journal as much as orders things in `journal.rs`.
//!
//! 6.12.117 is what 6.12 was at first and what came to it of 6.13 to 7.0: whoever makes the file
//! longer zeroes the block that held the end (6.13), and fallocate treats that page as truncate does;
//! a hole in part of a page takes the write permission first (6.14); a page with nothing to submit
//! goes through writeback all the same (7.0); a block whose write failed stays unwritten.
//!
//! Left out: data=journal and nodelalloc, and that ext4 allocates at once when the disk is nearly full
//! (ext4_nonda_switch); inline data, quota, encryption, large folios, the file's time; the flush of the last block before a truncate (ext4_begin_ordered_truncate); the
//! block map is durable as it is, and freed blocks are used again at once, not after the commit.

mod fallocate;
mod journal;
mod writeback;

use mkwrite_model::case::Range;
use mkwrite_model::era::Era;
use mkwrite_model::implementation::{
    AddressSpaceOperations, Aspect, Code, Convention, Declaration, Filesystem, Implementation,
    InodeOperations, Keeps, LOCKED, NOPAGE, Record, RequestOperations, SIGBUS, SizeGuard, Store,
    VmOperations, WbSync,
};
use mkwrite_model::kernel::{Extent, Frame, Kernel, Request, Stamp, Status};
use mkwrite_model::mm::{self, Fallocate};
use mkwrite_model::plant::Plant;
use mkwrite_model::point::Point as P;
use mkwrite_model::remedy::Remedy;

use crate::buffer::{self, BufferHeads, GetBlock, Refused};

pub use journal::Journal;
use journal::journal;

/// The versions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ext4 {
    /// 6.1.172.
    V6_1,
    /// 6.12.117.
    V6_12,
}

/// Filesystems whose pages can have buffers, and whose inodes a journal.
pub trait Journaled: BufferHeads + Filesystem<Inode: Keeps<Journal>> {}

impl<F: BufferHeads + Filesystem<Inode: Keeps<Journal>>> Journaled for F {}

impl Ext4 {
    /// All of them, oldest first.
    pub const VERSIONS: &[Ext4] = &[Ext4::V6_1, Ext4::V6_12];
}

impl<F: Journaled> Implementation<F> for Ext4 {
    fn declaration(self) -> &'static Declaration {
        const V6_1: Declaration = Declaration {
            name: "ext4@6.1",
            convention: Convention::Locked,
            natural: Era::V6_1,
            era: Era::V6_1,
            page_cache: true,
            stable_pages: true,
            freezes: true,
            size_guard: SizeGuard::InodeLock,
            may_differ: &[Aspect::Blocks],
            record: "a block, or space reserved for one, mapped by a buffer, for every block below i_size",
            source: "6.1.172 fs/ext4/inode.c: ext4_page_mkwrite; fs/buffer.c: block_page_mkwrite [ext4-page-mkwrite]",
        };
        match self {
            Ext4::V6_1 => &V6_1,
            Ext4::V6_12 => &Declaration {
                name: "ext4@6.12",
                natural: Era::V6_12,
                era: Era::V6_12,
                source: "6.12.117 fs/ext4/inode.c: ext4_page_mkwrite; fs/buffer.c: block_page_mkwrite [ext4-page-mkwrite]",
                ..V6_1
            },
        }
    }

    fn mount(self, k: &Kernel<F>) {
        journal(k).set_size(k.i_size());
    }
}

impl<F: Journaled> VmOperations<F> for Ext4 {
    /// ext4_page_mkwrite with delayed allocation.
    async fn page_mkwrite(self, k: &Kernel<F>, page: Frame) -> Code {
        k.invalidate_lock_shared(P::MkwriteInvalidate).await;
        let code = self.block_page_mkwrite(k, page).await;
        k.invalidate_unlock_shared();
        code
    }
}

impl Ext4 {
    /// block_page_mkwrite, with ext4_da_get_block_prep. 6.1 accepts a page that begins exactly at
    /// the end.
    async fn block_page_mkwrite<F: Journaled>(self, k: &Kernel<F>, page: Frame) -> Code {
        let takes_eof = self == Ext4::V6_1;
        match buffer::block_page_mkwrite(k, page, GetBlock::Later, takes_eof).await {
            Err(Refused::Truncated) => NOPAGE,
            Err(Refused::NoSpace) => SIGBUS,
            Ok(()) => {
                k.set_page_dirty(page).await;
                mm::wait_for_stable_page(k, page).await;
                LOCKED
            }
        }
    }

    /// ext4_zero_partial_blocks: the parts of blocks at the ends of this range of the file.
    async fn zero_partial_blocks<F: Journaled>(self, k: &Kernel<F>, cells: Range) {
        for n in 0..2 {
            self.zero_part_of_block(k, buffer::parts_of_blocks(k, cells)[n]).await;
        }
    }

    /// __ext4_block_zero_page_range: zeroes these cells of one block, if something is there, and has
    /// the commit wait for them.
    async fn zero_part_of_block<F: Journaled>(self, k: &Kernel<F>, cells: Range) {
        let Some(page) = mm::grab_part_of_block(k, cells).await else { return };
        if self.waits_to_zero(k) {
            k.wait_on_page_writeback(page, P::TruncateWait).await;
        }
        let (g, first) = (k.geometry(), k.first_cell(page));
        let b = (cells.start - first) / g.block_cells();
        let mut buffers = buffer::get_or_create(k, page);
        let extent = k.extent(cells.start / g.block_cells());
        if buffers.mapped >> b & 1 == 0 && matches!(extent, Extent::Written(_)) {
            buffers = buffer::mapped_to(buffers, b, extent);
        }
        buffer::set(k, page, buffers);
        if buffers.mapped >> b & 1 != 0 {
            k.zero_of_file(page, cells);
            buffer::mark_dirty(k, page, 1 << b).await;
            journal(k).order_data();
        }
        k.unlock_page(page);
        k.put_page(page);
    }

    /// ext4_truncate: zeroes the rest of the block that holds the end, gives the blocks beyond back.
    async fn truncate_blocks<F: Journaled>(self, k: &Kernel<F>, size: u8) {
        let block = k.geometry().block_cells();
        self.zero_part_of_block(k, Range::new(size, size.next_multiple_of(block))).await;
        k.at(P::TruncateBlocks).await;
        k.free_blocks_from(k.geometry().blocks_of(size));
    }
}

impl<F: Journaled> AddressSpaceOperations<F> for Ext4 {
    async fn set_page_dirty(self, k: &Kernel<F>, page: Frame) -> bool {
        buffer::set_page_dirty(k, page).await
    }

    /// ext4_writepage of 6.1, which commits and reclaim call; it maps nothing. 6.12 has none, and
    /// goes the way of ext4_writepages.
    async fn writepage(self, k: &Kernel<F>, page: Frame, sync: WbSync) -> Status {
        if self.goes_back(k, page, sync) {
            k.redirty_page_for_writepage(page).await;
            k.unlock_page(page);
        } else {
            self.submit(k, page, None).await;
        }
        Status::Ok
    }

    async fn writepages(self, k: &Kernel<F>, pages: Range, sync: WbSync) -> Status {
        self.map_and_write(k, pages, sync).await
    }

    async fn readpage(self, k: &Kernel<F>, page: Frame) {
        buffer::readpage(k, page);
    }

    /// ext4_da_write_begin, but for what it does without space: [`write_failed`](Self::write_failed).
    async fn write_begin(self, k: &Kernel<F>, index: u8, cells: Range) -> Result<Frame, Status> {
        buffer::write_begin(k, index, cells, GetBlock::Later).await
    }

    /// ext4_da_write_end. If the last block has its place already, writeback will have nothing to map
    /// and will not raise the size in the inode: so this does.
    async fn write_end(self, k: &Kernel<F>, page: Frame, cells: Range) {
        k.at_page(P::WriteDirty, page).await;
        let (was_dirty, size) = (k.is_dirty(page), k.i_size());
        buffer::commit(k, page, buffer::written(k, page, cells)).await;
        mm::raise_size(k, page, cells, was_dirty).await;
        if k.i_size() > size && self.has_place(k, page, cells.end - 1) {
            journal(k).raise_size(k.i_size());
        }
    }

    /// The buffers that write_begin has got space for are dirty, also those that were not filled; what
    /// of them is beyond i_size stays so until the file is truncated.
    async fn write_short(self, k: &Kernel<F>, page: Frame, cells: Range, copied: Range) {
        if !copied.is_empty() {
            self.write_end(k, page, copied).await;
        }
        journal(k).set_short(true);
        let rest = buffer::blocks_touched(k, cells) & !buffer::blocks_touched(k, copied);
        let new = buffer::buffers(k, page).map_or(0, |b| b.delayed | b.unwritten);
        buffer::mark_dirty(k, page, rest & new).await;
    }

    /// ext4_truncate_failed_write, which write_begin calls when it has found no space. Of what was got
    /// and not filled only ext4_write_end cuts off what lies beyond the end, and with delayed
    /// allocation nobody comes by that.
    async fn write_failed(self, k: &Kernel<F>, cells: Range) {
        let is_short = journal(k).set_short(false) && !k.remedied(Remedy::ShortCopyTruncates);
        if cells.end > k.i_size() && !is_short {
            k.invalidate_lock(P::TruncateInvalidateLock).await;
            mm::truncate_pagecache(k, k.i_size()).await;
            self.truncate_blocks(k, k.i_size()).await;
            k.invalidate_unlock();
        }
    }

    /// pagecache_isize_extended, and since 6.13 what lies between in blocks that are there is zeroed.
    async fn size_extended(self, k: &Kernel<F>, from: u8, to: u8) {
        mm::pagecache_isize_extended(k, from, to).await;
        if self.zeroes_at_extension(k) {
            self.zero_partial_blocks(k, Range::new(from, to)).await;
        }
    }

    async fn invalidatepage(self, k: &Kernel<F>, page: Frame, cells: Range) {
        buffer::invalidatepage(k, page, cells);
    }

    async fn releasepage(self, k: &Kernel<F>, page: Frame) -> bool {
        buffer::try_to_free_buffers(k, page)
    }
}

impl Ext4 {
    /// Who makes the file longer zeroes the rest of the block that held the end.
    fn zeroes_at_extension<F: Journaled>(self, k: &Kernel<F>) -> bool {
        self == Ext4::V6_12 && !k.reaches_plant(Plant::ExtendKeepsTail)
    }

    /// A part of a block is zeroed when its page is not under writeback.
    fn waits_to_zero<F: Journaled>(self, k: &Kernel<F>) -> bool {
        self == Ext4::V6_12 || k.remedied(Remedy::ZeroWaits)
    }

    /// ext4_da_should_update_i_disksize: the block of this cell of the page has its place on the
    /// device.
    fn has_place<F: Journaled>(self, k: &Kernel<F>, page: Frame, cell: u8) -> bool {
        let bit = 1 << (cell / k.geometry().block_cells());
        buffer::buffers(k, page).is_some_and(|b| b.mapped & !b.delayed & !b.unwritten & bit != 0)
    }
}

impl<F: Journaled> InodeOperations<F> for Ext4 {
    /// ext4_setattr: i_size and the size in the inode change together, in a handle for which there
    /// may be no memory.
    async fn setattr(self, k: &Kernel<F>, size: u8) -> Status {
        k.invalidate_lock(P::TruncateInvalidateLock).await;
        let (old, block) = (k.i_size(), k.geometry().block_cells());
        if size != old && k.setattr_fails() {
            return k.setattr_failed();
        }
        if size > old {
            if self.zeroes_at_extension(k) {
                self.zero_part_of_block(k, Range::new(old, old.next_multiple_of(block))).await;
            }
            k.at_size(P::TruncateSize).await;
            mm::extend(k, size).await;
            journal(k).set_size(size);
            mm::pagecache_isize_extended(k, old, size).await;
        } else if size < old {
            k.at_size(P::TruncateSize).await;
            k.i_size_write(size);
            journal(k).set_size(size);
        }
        mm::truncate_pagecache(k, size).await;
        if size <= old {
            self.truncate_blocks(k, size).await;
        }
        k.invalidate_unlock();
        Status::Ok
    }

    /// ext4_truncate_failed_write, when the pages are gone.
    async fn truncate(self, k: &Kernel<F>, size: u8) {
        self.truncate_blocks(k, size).await;
    }

    /// ext4_fallocate.
    async fn fallocate(self, k: &Kernel<F>, mode: Fallocate, cells: Range) -> Status {
        match mode {
            Fallocate::PunchHole => self.punch_hole(k, cells).await,
            Fallocate::ZeroRange => self.zero_range(k, cells).await,
            Fallocate::Allocate { keep_size } => self.preallocate(k, cells, keep_size).await,
        }
    }

    /// ext4_sync_file: the data, the journal, and the mapping's error once more.
    async fn fsync(self, k: &Kernel<F>) -> Status {
        let mut status = mm::file_write_and_wait(k).await;
        if status == Status::Ok {
            journal::commit(k).await;
        }
        k.at(P::FsyncError).await;
        status = status.or(k.mapping_take_error());
        status
    }

    /// ext4_write_inode of the flusher leaves it to the journal.
    async fn write_inode(self, _: &Kernel<F>) {}
}

impl<F: Journaled> RequestOperations<F> for Ext4 {
    async fn complete(self, k: &Kernel<F>, request: Request) {
        self.end_io(k, request).await;
    }
}

impl<F: Journaled> Store<F> for Ext4 {
    /// Writeback drops what is dirty and not mapped.
    fn record(self, k: &Kernel<F>, page: Frame) -> Record {
        let below_eof = buffer::blocks_below_eof(k, page);
        let Some(b) = buffer::buffers(k, page) else {
            let cells = buffer::cells_of(k, below_eof);
            return Record { missing: cells, uncovered: cells, claims_dirty: false };
        };
        let lost = |blocks: u8| buffer::unallocated(k, page, blocks & b.mapped);
        let unmapped = buffer::cells_of(k, below_eof & !b.mapped);
        Record {
            missing: lost(b.dirty & below_eof),
            uncovered: lost(below_eof) | unmapped,
            claims_dirty: b.dirty != 0,
        }
    }

    fn pending(self, k: &Kernel<F>, page: Frame) -> u8 {
        let blocks = buffer::buffers(k, page).map_or(0, |b| b.dirty & b.mapped);
        if k.is_dirty(page) { buffer::cells_of(k, blocks) } else { 0 }
    }

    fn is_releasable(self, k: &Kernel<F>, page: Frame) -> bool {
        buffer::is_releasable(k, page)
    }

    fn durable(self, k: &Kernel<F>, cell: u8) -> Stamp {
        buffer::durable(k, cell)
    }

    fn stored(self, k: &Kernel<F>, cell: u8) -> Stamp {
        buffer::stored(k, cell)
    }
}
