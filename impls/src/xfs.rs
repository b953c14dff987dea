//! XFS: iomap over extents with delayed allocation and unwritten blocks. 6.12 fs/xfs/xfs_file.c,
//! xfs_iops.c, xfs_aops.c, xfs_iomap.c, xfs_bmap_util.c (`[xfs-locks]`, `[xfs-extents]`,
//! `[xfs-setattr]`, `[xfs-fallocate]`).
//!
//! page_mkwrite holds invalidate_lock (MMAPLOCK) and reserves space for the holes of the page below
//! i_size; truncate and fallocate hold it alone. Writeback allocates what is reserved, a whole extent
//! at once and unwritten; the completion converts the blocks and raises the size on the device, and
//! only then ends writeback. A size change first zeroes: from the old end to the new one, or the rest
//! of the block at the new end; then writes i_size and truncates the page cache, then writes back
//! what lies beyond the size on the device. A punch writes back and removes whole pages, frees the
//! blocks, and zeroes the parts of blocks at its ends. ILOCK is never held over a step. Left out: the
//! log (what it holds counts as durable), transactions that find no space, speculative preallocation
//! beyond the end and the second try of a write(2) that found no space, IOLOCK in read(2), extent
//! size hints, shared blocks (reflink), the realtime device, DAX, direct I/O; errors of what truncate
//! and fallocate flush are left to fsync.

use mkwrite_model::case::{Range, Site};
use mkwrite_model::era::Era;
use mkwrite_model::implementation::{
    AddressSpaceOperations, Code, Convention, Declaration, Implementation, InodeOperations, Record,
    RequestOperations, SizeGuard, Store, VmOperations, WbSync,
};
use mkwrite_model::kernel::{Event, Extent, FILE_BLOCKS, Frame, Kernel, Request, Stamp, Status};
use mkwrite_model::mm::{self, Fallocate};
use mkwrite_model::plant::Plant;
use mkwrite_model::point::Point as P;
use mkwrite_model::remedy::Remedy;

use crate::buffer;
use crate::iomap::{self, Iomap, IomapOperations, Kind, Mapping, Purpose};

/// The versions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Xfs {
    /// 6.12.
    V6_12,
}

impl Xfs {
    /// All of them, oldest first.
    pub const VERSIONS: &[Xfs] = &[Xfs::V6_12];
}

impl<F: Iomap> Implementation<F> for Xfs {
    fn declaration(self) -> &'static Declaration {
        &Declaration {
            name: "xfs@6.12",
            convention: Convention::Locked,
            natural: Era::V6_12,
            era: Era::V6_12,
            page_cache: true,
            stable_pages: true,
            freezes: true,
            size_guard: SizeGuard::InodeLock,
            may_differ: &[],
            record: "space reserved or allocated for every dirty block below i_size",
            source: "6.12 fs/iomap/buffered-io.c: iomap_page_mkwrite; fs/xfs/xfs_file.c: xfs_write_fault \
                     [iomap-folio-state, iomap-write, iomap-writepage, xfs-locks, xfs-extents, stable-pages]",
        }
    }
}

impl<F: Iomap> VmOperations<F> for Xfs {
    /// xfs_write_fault.
    async fn page_mkwrite(self, k: &Kernel<F>, page: Frame) -> Code {
        if k.length_below_eof(page) != 0 && k.reaches_plant(Plant::ReserveBeforeCheck) {
            let first = k.first_cell(page);
            let cells = Range::new(first, first + k.length_below_eof(page));
            // It starts a transaction first, and may wait for the log.
            for _ in 0..3 {
                k.at_page(P::MkwriteAttach, page).await;
            }
            _ = self.iomap_begin(k, cells, Purpose::Write);
        }
        k.invalidate_lock_shared(P::MkwriteInvalidate).await;
        let code = iomap::page_mkwrite(self, k, page).await;
        k.invalidate_unlock_shared();
        code
    }
}

impl<F: Iomap> IomapOperations<F> for Xfs {
    /// xfs_buffered_write_iomap_begin. Space for a hole is reserved as a whole, up to the end of
    /// these cells, or not at all.
    fn iomap_begin(self, k: &Kernel<F>, cells: Range, purpose: Purpose) -> Result<Mapping, Status> {
        let block = k.geometry().block_cells();
        let first = cells.start / block;
        let mut blocks = extent_from(k, first);
        let mut kind = Kind::from(k.extent(first));
        let fresh = kind == Kind::Hole && purpose == Purpose::Write;
        if fresh {
            blocks.end = blocks.end.min(cells.end.div_ceil(block));
            reserve(k, blocks)?;
            kind = Kind::Delayed;
        }
        Ok(Mapping { blocks, kind, fresh, changes: k.file().extents.changes(), from: cells.start })
    }

    fn iomap_valid(self, k: &Kernel<F>, mapping: Mapping) -> bool {
        mapping.changes == k.file().extents.changes()
    }

    /// xfs_map_blocks: what is reserved is allocated, the whole extent at once.
    fn map_blocks(self, k: &Kernel<F>, file_block: u8) -> Result<Option<u8>, Status> {
        if k.extent(file_block) == Extent::Delayed {
            let before = (0..file_block).rev().take_while(|b| k.extent(*b) == Extent::Delayed);
            let first = before.last().unwrap_or(file_block);
            for b in extent_from(k, first).iter() {
                if k.get_block_unwritten(b).is_none() {
                    break;
                }
            }
        }
        match k.extent(file_block) {
            Extent::Hole => Ok(None),
            Extent::Delayed => Err(Status::NoSpace),
            Extent::Unwritten(block) | Extent::Written(block) => Ok(Some(block)),
        }
    }
}

/// The extent of the file from this block on: blocks of one kind, one after the other on the device.
fn extent_from(k: &Kernel<impl Iomap>, first: u8) -> Range {
    let follows = |b: u8| match (k.extent(b - 1), k.extent(b)) {
        (Extent::Unwritten(before), Extent::Unwritten(block))
        | (Extent::Written(before), Extent::Written(block)) => block == before + 1,
        (before, extent) => before == extent,
    };
    let last = k.geometry().pages * k.geometry().blocks;
    Range::new(first, (first + 1..last).find(|b| !follows(*b)).unwrap_or(last))
}

/// xfs_bmapi_reserve_delalloc: all of these blocks, which are a hole, or none.
fn reserve(k: &Kernel<impl Iomap>, blocks: Range) -> Result<(), Status> {
    for b in blocks.iter() {
        if !k.reserve_block(b) {
            k.free_reservations(Range::new(blocks.start, b));
            // There may be some left, but not enough.
            k.event(Event::Failed { site: Site::Block });
            return Err(Status::NoSpace);
        }
    }
    Ok(())
}

impl<F: Iomap> AddressSpaceOperations<F> for Xfs {
    fn set_page_dirty(self, k: &Kernel<F>, page: Frame) -> impl Future<Output = bool> {
        iomap::set_page_dirty(k, page)
    }

    fn writepage(self, k: &Kernel<F>, page: Frame, _: WbSync) -> impl Future<Output = Status> {
        iomap::writepage(self, k, page)
    }

    async fn readpage(self, k: &Kernel<F>, page: Frame) {
        iomap::readpage(k, page);
    }

    /// xfs_file_write_checks: what lies between the old end and the start of the write is zeroed
    /// (xfs_file_write_zero_eof).
    async fn write_checks(self, k: &Kernel<F>, cells: Range) {
        iomap::begin_write(k, cells);
        let size = k.i_size();
        if cells.start > size {
            k.invalidate_lock(P::TruncateInvalidateLock).await;
            iomap::zero_range(self, k, Range::new(size, cells.start)).await;
            k.invalidate_unlock();
        }
    }

    fn write_begin(
        self,
        k: &Kernel<F>,
        index: u8,
        cells: Range,
    ) -> impl Future<Output = Result<Frame, Status>> {
        iomap::write_begin(self, k, index, cells)
    }

    async fn prepared(self, k: &Kernel<F>, page: Frame, cells: Range) -> Range {
        iomap::prepared(k, page, cells)
    }

    async fn write_end(self, k: &Kernel<F>, page: Frame, cells: Range) {
        iomap::write_end(k, page, cells).await;
    }

    async fn write_short(self, k: &Kernel<F>, page: Frame, cells: Range, copied: Range) {
        iomap::write_short(k, page, cells, copied).await;
    }

    fn write_ended(self, k: &Kernel<F>, cells: Range, written: u8) -> impl Future<Output = ()> {
        iomap::write_ended(k, cells, written)
    }

    async fn write_failed(self, _: &Kernel<F>, _: Range) {}

    async fn invalidatepage(self, k: &Kernel<F>, page: Frame, cells: Range) {
        iomap::invalidatepage(k, page, cells);
    }

    async fn releasepage(self, k: &Kernel<F>, page: Frame) -> bool {
        iomap::releasepage(k, page)
    }
}

impl<F: Iomap> InodeOperations<F> for Xfs {
    /// xfs_vn_setattr. What is zeroed first may find no memory; that a transaction finds none, when
    /// i_size has changed already, is left out.
    async fn setattr(self, k: &Kernel<F>, size: u8) -> Status {
        k.invalidate_lock(P::TruncateInvalidateLock).await;
        if to_zero(k, size).is_some() && k.setattr_fails() {
            return k.setattr_failed();
        }
        self.setattr_size(k, size).await;
        k.invalidate_unlock();
        Status::Ok
    }

    /// xfs_file_fallocate.
    async fn fallocate(self, k: &Kernel<F>, mode: Fallocate, cells: Range) -> Status {
        let punches = mode == Fallocate::PunchHole;
        k.inode_lock(if punches { P::PunchInode } else { P::FallocateInode }).await;
        k.invalidate_lock(P::PunchInvalidate).await;
        if !matches!(mode, Fallocate::Allocate { .. }) {
            self.free_file_space(k, cells).await;
        }
        let mut status = Status::Ok;
        if !punches {
            k.at(P::FallocateBlocks).await;
            status = alloc_file_space(k, cells);
            let grows = mode != Fallocate::Allocate { keep_size: true } && cells.end > k.i_size();
            if status == Status::Ok && grows {
                self.setattr_size(k, cells.end).await;
            }
        }
        k.invalidate_unlock();
        k.inode_unlock();
        status
    }

    /// xfs_file_fsync: the log is not modelled.
    fn fsync(self, k: &Kernel<F>) -> impl Future<Output = Status> {
        mm::file_write_and_wait(k)
    }

    /// The inode is in the log.
    async fn write_inode(self, _: &Kernel<F>) {}
}

impl Xfs {
    /// xfs_setattr_size, with the inode lock and invalidate_lock held.
    async fn setattr_size<F: Iomap>(self, k: &Kernel<F>, size: u8) {
        let old = k.i_size();
        let zeroed = match to_zero(k, size) {
            Some(cells) => iomap::zero_range(self, k, cells).await,
            None => false,
        };
        if size > k.disk_size() && k.remedied(Remedy::DiskSizeFirst) {
            k.set_disk_size(size);
        }
        mm::vmtruncate(k, size).await; // truncate_setsize
        let disk_size = k.disk_size();
        if zeroed || size > disk_size && old != disk_size {
            k.at(P::TruncateFlush).await;
            let beyond = Range::new(disk_size, size);
            iomap::flush(k, k.geometry().pages_touched(beyond)).await;
        }
        k.at(P::TruncateBlocks).await;
        k.set_disk_size(size);
        if size <= old {
            k.free_blocks_from(k.geometry().blocks_of(size));
        }
    }

    /// xfs_free_file_space, with both locks held.
    async fn free_file_space<F: Iomap>(self, k: &Kernel<F>, cells: Range) {
        // xfs_flush_unmap_range
        iomap::flush(k, k.geometry().pages_touched(cells)).await;
        mm::truncate_pagecache_range(k, whole_pages(k, cells)).await;
        k.at(P::PunchBlocks).await;
        k.free_blocks(k.geometry().blocks_inside(cells));
        let cells = cells.clip(Range::new(0, k.i_size()));
        if cells.is_empty() {
            return;
        }
        iomap::zero_range(self, k, cells).await;
        if cells.end == k.i_size() && !cells.end.is_multiple_of(k.geometry().cells) {
            // The page may be mapped: writepage zeroes it beyond the end.
            let rest = Range::new(k.geometry().page_of(cells.end), k.geometry().pages);
            iomap::flush(k, rest).await;
        }
    }
}

/// What a change to this size zeroes first: what it adds, or the rest of the block at the new end.
fn to_zero(k: &Kernel<impl Iomap>, size: u8) -> Option<Range> {
    let (old, block) = (k.i_size(), k.geometry().block_cells());
    let (cells, spoilt) = if size > old {
        (Range::new(old, size), Plant::GrowsUnzeroed)
    } else {
        (Range::new(size, size.next_multiple_of(block)), Plant::NoPartialZero)
    };
    (!cells.is_empty() && !k.reaches_plant(spoilt)).then_some(cells)
}

/// These cells of the file, and the rest of the pages that they lie in.
fn whole_pages(k: &Kernel<impl Iomap>, cells: Range) -> Range {
    let (pages, per_page) = (k.geometry().pages_touched(cells), k.geometry().cells);
    Range::new(pages.start * per_page, pages.end * per_page)
}

/// xfs_alloc_file_space: unwritten blocks where there are none.
fn alloc_file_space(k: &Kernel<impl Iomap>, cells: Range) -> Status {
    let mut blocks = k.geometry().blocks_touched(cells).iter();
    let enough = blocks.all(|b| k.get_block_unwritten(b).is_some());
    if enough { Status::Ok } else { Status::NoSpace }
}

impl<F: Iomap> RequestOperations<F> for Xfs {
    /// xfs_end_ioend: the blocks are converted and the size on the device follows, then writeback
    /// ends.
    async fn complete(self, k: &Kernel<F>, request: Request) {
        let page = request.page;
        let early = !request.fails && k.reaches_plant(Plant::WritebackEndsFirst);
        if early {
            k.at_page(P::IoEnd, page).await;
            k.end_page_writeback(page);
        }
        if request.fails {
            if !k.reaches_plant(Plant::ErrorForgotten) {
                k.mapping_set_error(Status::Io);
            }
        } else if needs_transaction(k, request) {
            k.at_page(P::IoConvert, page).await;
            iomap::blocks_of(&request)
                .for_each(|b| k.convert_block(buffer::file_block(k, page, b)));
            // xfs_new_eof
            let size = (k.first_cell(page) + request.end).min(k.i_size());
            k.set_disk_size(k.disk_size().max(size));
        }
        if !early {
            k.at_page(P::IoEnd, page).await;
            k.end_page_writeback(page);
        }
    }
}

/// Some block is unwritten, or the data lies beyond the size on the device (xfs_ioend_is_append).
fn needs_transaction(k: &Kernel<impl Iomap>, request: Request) -> bool {
    let is_unwritten =
        |b| matches!(k.extent(buffer::file_block(k, request.page, b)), Extent::Unwritten(_));
    let end = k.first_cell(request.page) + request.end;
    end > k.disk_size() || iomap::blocks_of(&request).any(is_unwritten)
}

impl<F: Iomap> Store<F> for Xfs {
    fn record(self, k: &Kernel<F>, page: Frame) -> Record {
        iomap::record(k, page)
    }

    fn pending(self, k: &Kernel<F>, page: Frame) -> u8 {
        iomap::pending(k, page)
    }

    fn uptodate(self, k: &Kernel<F>, page: Frame) -> u8 {
        iomap::uptodate(k, page)
    }

    fn is_releasable(self, _: &Kernel<F>, _: Frame) -> bool {
        true
    }

    fn durable(self, k: &Kernel<F>, cell: u8) -> Stamp {
        buffer::durable(k, cell)
    }

    fn stored(self, k: &Kernel<F>, cell: u8) -> Stamp {
        buffer::stored(k, cell)
    }

    /// With what is reserved. Unwritten blocks beyond the end are no part of the file, and XFS keeps
    /// them: fallocate(2) has asked for them, or writeback has allocated a whole extent before the
    /// write(2) that reserved it gave the rest back.
    fn allocated(self, k: &Kernel<F>) -> u32 {
        let extents = &k.file().extents;
        let end = k.geometry().blocks_of(k.i_size());
        let is_prealloc = |b: &u8| matches!(k.extent(*b), Extent::Unwritten(_));
        let beyond = (end..FILE_BLOCKS as u8).filter(is_prealloc).fold(0, |all, b| all | 1 << b);
        (extents.allocated() | extents.delayed()) & !beyond
    }
}
