//! The contract in the kernel's own parts: the operations of address_space, vm and inode; and what
//! only the model needs, the way of a request and the judge's view of the store.
//!
//! Each has a default, which reads the declaration and the facts. Together they are ramfs: the page
//! cache is the store, writepage redirties, and what is tied to a page is nothing. What a
//! filesystem does otherwise it writes.

use super::{Code, Filesystem, Implementation};
use crate::case::Range;
use crate::kernel::{Frame, Kernel, Request, Stamp, Status};
use crate::mm::{self, Fallocate};
use crate::point::Point;

/// What the forwarding of a registry names.
#[doc(hidden)]
pub mod names {
    pub use super::super::{Declaration, HasInodeState, Implementation, InodeState, Keeps};
    pub use super::*;
    pub use crate::case::Range;
    pub use crate::implementation::Code;
    pub use crate::kernel::{Frame, Kernel, Request, Stamp, Status};
    pub use crate::mm::Fallocate;
}

/// The state of a page's record, for the judge: what this filesystem needs to write back the page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Record {
    /// Cells of the page that are dirty and that this filesystem could not write back, one bit
    /// each.
    pub missing: u8,
    /// Cells below i_size where a store could not be written back.
    pub uncovered: u8,
    /// The record says that the page has something to write.
    pub claims_dirty: bool,
}

impl Record {
    /// There is none at all.
    pub const NONE: Record = Record { missing: u8::MAX, uncovered: u8::MAX, claims_dirty: false };
    /// This filesystem needs none.
    pub const NOT_NEEDED: Record = Record { missing: 0, uncovered: 0, claims_dirty: false };
}

/// The caller of writepage, and what it may wait for: what struct writeback_control says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum WbSync {
    /// Memory cleansing by the flusher: should not wait (WB_SYNC_NONE).
    Background,
    /// Data integrity: must write (WB_SYNC_ALL).
    Integrity,
    /// Memory cleansing by reclaim (WB_SYNC_NONE, for_reclaim).
    Reclaim,
}

/// Makes a trait of these operations, and the macro by which a registry hands each of them to the
/// implementation that it holds: so an operation is written once.
macro_rules! operations {
    ($d:tt $(#[$meta:meta])* async trait $name:ident by $forward:ident {
        $($(#[$doc:meta])* fn $f:ident($self:ident, $k:ident $(, $a:ident: $t:ty)*) $(-> $r:ty)?
            $body:block)*
    }) => {
        $(#[$meta])*
        #[allow(async_fn_in_trait)] // one thread: no future needs to be Send
        #[allow(unused_variables)] // a default needs less
        pub trait $name<F: Filesystem>: Implementation<F> {
            $($(#[$doc])* async fn $f($self, $k: &Kernel<F> $(, $a: $t)*) $(-> $r)? $body)*
        }

        #[doc(hidden)]
        #[macro_export]
        macro_rules! $forward {
            ($d registry:ident $d($d variant:ident)*) => {
                impl $name<$d registry> for $d registry {
                    $(async fn $f($self, $k: &Kernel<$d registry> $(, $a: $t)*) $(-> $r)? {
                        match $self {
                            $d($d registry::$d variant(fs) => {
                                $name::<$d registry>::$f(fs, $k $(, $a)*).await
                            })*
                        }
                    })*
                }
            };
        }
    };
    ($d:tt $(#[$meta:meta])* trait $name:ident by $forward:ident {
        $($(#[$doc:meta])* fn $f:ident($self:ident $(, $a:ident: $t:ty)*) $(-> $r:ty)?
            $body:block)*
    }) => {
        $(#[$meta])*
        #[allow(unused_variables)] // a default needs less
        pub trait $name<F: Filesystem>: Implementation<F> {
            $($(#[$doc])* fn $f($self $(, $a: $t)*) $(-> $r)? $body)*
        }

        #[doc(hidden)]
        #[macro_export]
        macro_rules! $forward {
            ($d registry:ident $d($d variant:ident)*) => {
                impl $name<$d registry> for $d registry {
                    $(fn $f($self $(, $a: $t)*) $(-> $r)? {
                        match $self {
                            $d($d registry::$d variant(fs) => {
                                $name::<$d registry>::$f(fs $(, $a)*)
                            })*
                        }
                    })*
                }
            };
        }
    };
}

operations! { $
    /// struct address_space_operations: the pages of the page cache.
    async trait AddressSpaceOperations by forward_address_space_operations {
        /// set_page_dirty of a page with a mapping; must not sleep or fail. Returns whether the
        /// page was clean. Its first step is under private_lock; tag and inode follow in steps of
        /// their own ([`Kernel::set_page_dirty_nobuffers`]).
        fn set_page_dirty(self, k, page: Frame) -> bool {
            k.set_page_dirty_nobuffers(page).await
        }

        /// Writes one page. Called with the page locked and PG_dirty just cleared; unlocks it.
        fn writepage(self, k, page: Frame, sync: WbSync) -> Status {
            k.redirty_page_for_writepage(page).await;
            k.unlock_page(page);
            Status::Ok
        }

        /// Writes the dirty pages of a range.
        fn writepages(self, k, pages: Range, sync: WbSync) -> Status {
            mm::write_cache_pages(k, pages, sync).await
        }

        /// Fills a page from the store. Called with the page locked.
        fn readpage(self, k, page: Frame) {
            k.zero(page, Range::new(0, k.geometry().cells));
        }

        /// write(2) of these cells of the file begins, with the inode lock held.
        fn write_checks(self, k, cells: Range) {}

        /// write(2) is about to fill these cells of page `index`, counted from its start: the page,
        /// locked, uptodate, with a reference, and with space for what is to be written.
        fn write_begin(self, k, index: u8, cells: Range) -> Result<Frame, Status> {
            mm::grab_page(k, index).await
        }

        /// Of these cells of the page, which write_begin was asked for: those that it has prepared,
        /// from the first on. For the rest it is called again.
        fn prepared(self, k, page: Frame, cells: Range) -> Range {
            cells
        }

        /// write(2) ends early: of these cells of the file, for which it called write_begin last, so
        /// many were written, from the first on. Comes before write_failed, and also where
        /// write_begin got no page.
        fn write_ended(self, k, cells: Range, written: u8) {}

        /// write(2) has filled these cells: mark them dirty, raise i_size. The page stays locked.
        fn write_end(self, k, page: Frame, cells: Range) {
            k.at_page(Point::WriteDirty, page).await;
            let was_dirty = k.is_dirty(page);
            k.set_page_dirty(page).await;
            mm::raise_size(k, page, cells, was_dirty).await;
        }

        /// write_end, or write_short, is done and the page unlocked: these of its cells are filled.
        /// There is still a reference to it.
        fn write_unlocked(self, k, page: Frame, cells: Range) {}

        /// In place of write_end where the copy of write(2) ended too early: `copied`, the first
        /// of the cells that write_begin got space for, are filled.
        fn write_short(self, k, page: Frame, cells: Range, copied: Range) {
            if !copied.is_empty() {
                self.write_end(k, page, copied).await;
            }
        }

        /// write(2) of these cells of the file failed after write_begin, all or in part. The page is
        /// unlocked again, the inode lock held.
        fn write_failed(self, k, cells: Range) {
            if cells.end > k.i_size() {
                mm::vmtruncate(k, k.i_size()).await;
                k.fs().truncate(k, k.i_size()).await;
            }
        }

        /// A truncate has raised i_size from `from` to `to`, or a write(2) at `to` has left a gap.
        /// Called with the inode lock held and no page locked.
        fn size_extended(self, k, from: u8, to: u8) {
            mm::pagecache_isize_extended(k, from, to).await;
        }

        /// These cells, counted from the start of the page, go away: all of them, those behind the
        /// new end, or since 3.11 what a punched hole covers. Called with the page locked, if it has
        /// private data.
        fn invalidatepage(self, k, page: Frame, cells: Range) {}

        /// Gives up the private data of the page, if it can. Called with the page locked. The page
        /// may be dirty (invalidate_inode_pages2 without launder_page): then it keeps them and
        /// returns false.
        fn releasepage(self, k, page: Frame) -> bool {
            k.private(page).is_none()
        }

        /// Writes a dirty page that is about to be invalidated, and waits. Called with the page
        /// locked.
        fn launder_page(self, k, page: Frame) {}
    }
}

operations! { $
    /// struct vm_operations_struct: the mapping.
    async trait VmOperations by forward_vm_operations {
        /// A read-only pte of a shared mapping is about to become writable. Called without the page
        /// lock (`[page-mkwrite-added]`), and only where the convention says that there is one.
        fn page_mkwrite(self, k, page: Frame) -> Code {
            mm::filemap_page_mkwrite(k, page).await
        }

        /// ->fault on this page of the file: the page, locked, with a reference, or the code with
        /// which the fault ends.
        fn fault(self, k, index: u8) -> Result<Frame, Code> {
            mm::filemap_fault(k, index).await
        }

        /// ->close: a mapping is gone. mmap_lock is held for writing.
        fn close(self, k) {}
    }
}

operations! { $
    /// struct inode_operations, and what of file_operations and super_operations is about the
    /// inode.
    async trait InodeOperations by forward_inode_operations {
        /// ->setattr with a new size, with the inode lock held (inode_setattr). If it fails the size
        /// is what it was.
        fn setattr(self, k, size: u8) -> Status {
            mm::vmtruncate(k, size).await;
            self.truncate(k, size).await;
            Status::Ok
        }

        /// ->truncate, after the page cache was truncated to `size`.
        fn truncate(self, k, size: u8) {}

        /// ->fallocate of these cells of the file. The inode lock is the filesystem's to take, and
        /// a mode that it has not is [`Status::NotSupported`].
        fn fallocate(self, k, mode: Fallocate, cells: Range) -> Status {
            Status::NotSupported
        }

        /// ->fsync: all of it since 3.1, before that what comes beside writing the pages and
        /// waiting, with the inode lock held.
        fn fsync(self, k) -> Status {
            mm::generic_file_fsync(k).await
        }

        /// ->write_inode: the flusher writes the inode itself, after its pages.
        fn write_inode(self, k) {
            k.write_inode();
        }
    }
}

operations! { $
    /// The way of a request that writepage submitted.
    async trait RequestOperations by forward_request_operations {
        /// Its data reaches the store. One step.
        fn transfer(self, k, request: Request) {
            k.transfer_blocks(request);
        }

        /// It is complete: release the record, end writeback.
        fn complete(self, k, request: Request) {
            k.end_page_writeback(request.page);
        }
    }
}

operations! { $
    /// For the judge: what is tied to a page, and what the store holds.
    trait Store by forward_store {
        /// The record of a page that is dirty.
        fn record(self, k: &Kernel<F>, page: Frame) -> Record {
            Record::NOT_NEEDED
        }

        /// The cells of a page that its next writepage will write, one bit each. A filesystem that
        /// does not say so has all of a dirty page written.
        fn pending(self, k: &Kernel<F>, page: Frame) -> u8 {
            if k.is_dirty(page) { u8::MAX } else { 0 }
        }

        /// The cells of a page that a read takes from it, one bit each; the others it fills first.
        fn uptodate(self, k: &Kernel<F>, page: Frame) -> u8 {
            if k.is_uptodate(page) { u8::MAX } else { 0 }
        }

        /// Nothing is left to do for the private data of this page, which is clean.
        fn is_releasable(self, k: &Kernel<F>, page: Frame) -> bool {
            !self.record(k, page).claims_dirty
        }

        /// releasepage would succeed on this page, which is clean, also where it has to do I/O for
        /// that.
        fn releases(self, k: &Kernel<F>, page: Frame) -> bool {
            self.is_releasable(k, page)
        }

        /// launder_page writes a dirty page, so that it can be invalidated.
        fn launders(self) -> bool {
            false
        }

        /// The open file has an error of its own that the next fsync reports.
        fn has_error(self, k: &Kernel<F>) -> bool {
            false
        }

        /// What a cell of the store holds for good.
        fn durable(self, k: &Kernel<F>, cell: u8) -> Stamp {
            let g = k.geometry();
            k.slot(g.page_of(cell)).map_or(Stamp::ZERO, |page| k.cell(page, cell % g.cells))
        }

        /// What a cell of the page cache would hold if it were read from the store now.
        fn stored(self, k: &Kernel<F>, cell: u8) -> Stamp {
            self.durable(k, cell)
        }

        /// What a read would return of a cell that is not cached: what the store has once the
        /// requests are done that a read waits for.
        fn readable(self, k: &Kernel<F>, cell: u8) -> Stamp {
            self.stored(k, cell)
        }

        /// The size of the file on the store, for good.
        fn durable_size(self, k: &Kernel<F>) -> u8 {
            k.disk_size()
        }

        /// What a cell of the store holds for good as far as an fsync has to answer for it that
        /// began at `since`: what was made dirty again after that is not its business.
        fn synced(self, k: &Kernel<F>, cell: u8, since: u32) -> Stamp {
            self.durable(k, cell)
        }

        /// The same for the size.
        fn synced_size(self, k: &Kernel<F>, since: u32) -> u8 {
            self.durable_size(k)
        }

        /// The blocks of the file that the store has, one bit each.
        fn allocated(self, k: &Kernel<F>) -> u32 {
            k.file().extents.allocated()
        }
    }
}
