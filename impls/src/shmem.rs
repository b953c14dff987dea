//! tmpfs of today (6.12 mm/shmem.c): a mapping whose dirtiness nobody tracks.
//!
//! There is no page_mkwrite, and vma_wants_writenotify finds a mapping that cannot write back: a
//! read fault makes the pte writable, and a store through it tells nobody until the pte goes and
//! moves its dirty bit to the page (noop_dirty_folio: the flag, no tag, no counter). The page cache
//! is the store: fsync does nothing (noop_fsync), a dirty page is never written and never dropped,
//! and what a page holds is as durable as it gets. Bytes stored beyond the end of the file stay
//! there and become content when the file grows; a truncate to the same size zeroes them
//! (shmem_setattr calls shmem_truncate_range for it). A store faults only where there is no pte
//! (do_shared_fault). Left out: swap (reclaim finds none, and leaves dirty pages alone), the limit
//! of the mount, huge pages, hole punching, seals; truncate unmaps nothing if no whole page goes.

use mkwrite_model::case::Range;
use mkwrite_model::era::Era;
use mkwrite_model::implementation::{
    AddressSpaceOperations, Aspect, Convention, Declaration, Filesystem, Implementation,
    InodeOperations, RequestOperations, SizeGuard, Store, VmOperations,
};
use mkwrite_model::kernel::{Frame, Kernel, Stamp, Status};
use mkwrite_model::mm::{self, Fallocate};
use mkwrite_model::point::Point as P;

/// The versions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shmem {
    /// 6.12.
    V6_12,
}

impl Shmem {
    /// All of them, oldest first.
    pub const VERSIONS: &[Shmem] = &[Shmem::V6_12];
}

impl<F: Filesystem> Implementation<F> for Shmem {
    fn declaration(self) -> &'static Declaration {
        &Declaration {
            name: "tmpfs@6.12",
            convention: Convention::Untracked,
            natural: Era::V6_12,
            era: Era::V6_12,
            page_cache: true,
            stable_pages: false,
            freezes: false,
            size_guard: SizeGuard::InodeLock,
            may_differ: &[Aspect::Blocks],
            record: "nothing",
            source: "6.12 mm/shmem.c; mm/vma.c: vma_wants_writenotify; mm/memory.c: do_read_fault, do_shared_fault \
                     [tmpfs-untracked, tmpfs-eof]",
        }
    }

    /// What the file holds is in the page cache from the start.
    fn mount(self, k: &Kernel<F>) {
        let g = k.geometry();
        let is_content = |cell: u8| cell < g.size && !g.is_hole(cell / g.block_cells());
        for index in
            (0..g.pages_of(g.size)).filter(|index| g.cells_of(*index).iter().any(is_content))
        {
            let first = index * g.cells;
            k.new_cached_page(index, |cell| match is_content(first + cell) {
                true => k.file_id().content(first + cell),
                false => Stamp::ZERO,
            });
        }
    }
}

// No page_mkwrite.
impl<F: Filesystem> VmOperations<F> for Shmem {}

// noop_dirty_folio, shmem_writepage without swap, and a page that is not there is a hole: as in the
// defaults.
impl<F: Filesystem> AddressSpaceOperations<F> for Shmem {
    async fn size_extended(self, _: &Kernel<F>, _: u8, _: u8) {}

    /// Nothing was got for it.
    async fn write_failed(self, _: &Kernel<F>, _: Range) {}

    /// shmem_write_end: i_size first, then the page.
    async fn write_end(self, k: &Kernel<F>, page: Frame, cells: Range) {
        let was_dirty = k.is_dirty(page);
        mm::raise_size(k, page, cells, was_dirty).await;
        k.at_page(P::WriteDirty, page).await;
        k.set_page_dirty(page).await;
    }
}

impl<F: Filesystem> InodeOperations<F> for Shmem {
    /// shmem_fallocate. What keeps faults away meanwhile (shmem_falloc) is for its speed, and left
    /// out: a page that comes back too early is an empty one. The pages that it allocates are left
    /// out too: one that is not there is as empty.
    async fn fallocate(self, k: &Kernel<F>, mode: Fallocate, cells: Range) -> Status {
        match mode {
            Fallocate::PunchHole => {
                k.inode_lock(P::PunchInode).await;
                mm::truncate_pagecache_range(k, cells).await;
            }
            Fallocate::ZeroRange => return Status::NotSupported,
            Fallocate::Allocate { keep_size } => {
                k.inode_lock(P::FallocateInode).await;
                if !keep_size && cells.end > k.i_size() {
                    mm::grow(k, cells.end).await;
                }
            }
        }
        k.inode_unlock();
        Status::Ok
    }

    /// shmem_setattr: only a size that is not larger touches the page cache.
    async fn setattr(self, k: &Kernel<F>, size: u8) -> Status {
        if size > k.i_size() {
            mm::grow(k, size).await;
        } else {
            mm::vmtruncate(k, size).await;
        }
        Status::Ok
    }

    /// noop_fsync.
    async fn fsync(self, _: &Kernel<F>) -> Status {
        Status::Ok
    }
}
impl<F: Filesystem> RequestOperations<F> for Shmem {}

impl<F: Filesystem> Store<F> for Shmem {
    fn durable_size(self, k: &Kernel<F>) -> u8 {
        k.i_size()
    }

    fn allocated(self, _: &Kernel<F>) -> u32 {
        0 // no device
    }
}
