//! filemap_page_mkwrite, the generic one of 3.7 and later, over plain fs/buffer.c. Dossier section 3.12;
//! tree T310 mm/filemap.c.
//!
//! The minimal correct one: lock, check the mapping, mark the page dirty, wait for writeback if the device
//! needs stable pages (this one does), return LOCKED. No size check, and nothing is reserved: blocks are
//! allocated by writepage, so a full disk is found there and reported by fsync.
//! Left out: the freeze reference, file_update_time inside page_mkwrite.

use mkwrite_model::callers::Caller;
use mkwrite_model::case::Range;
use mkwrite_model::facts::Era;
use mkwrite_model::implementation::{
    Aspect, Convention, Declaration, Implementation, LOCKED, NOPAGE, Record, SizeGuard, Sync,
};
use mkwrite_model::kernel::{Frame, Request, Stamp, Status};
use mkwrite_model::plant::Plant;
use mkwrite_model::point::Point as P;

use crate::{Builtin, Kernel, buffer};

/// The versions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Filemap {
    /// 3.10.
    V3_10,
}

impl Filemap {
    pub(crate) const VERSIONS: &[Filemap] = &[Filemap::V3_10];
}

impl Implementation<Builtin> for Filemap {
    fn declaration(self) -> &'static Declaration {
        &Declaration {
            name: "filemap@3.10",
            convention: Convention::Locked,
            natural: Caller::V2_6_30,
            era: Era::V3_10,
            page_cache: true,
            stable_pages: true,
            size_guard: SizeGuard::InodeLock,
            may_differ: &[Aspect::Blocks], // a dirty page without buffers is written whole
            record: "nothing",
            source: "dossier 3.12 (T310 mm/filemap.c)",
        }
    }

    async fn page_mkwrite(self, k: &Kernel, page: Frame) -> i32 {
        k.lock_page(page, P::MkwriteLock).await;
        if !k.in_mapping(page) && !k.planted(Plant::NoMappingCheck) {
            k.unlock_page(page);
            return NOPAGE;
        }
        if k.planted(Plant::RetryForever) && k.is_dirty(page) {
            k.unlock_page(page);
            return NOPAGE;
        }
        k.at_page(P::MkwriteDirty, page).await;
        k.set_page_dirty(page).await;
        if !k.planted(Plant::NoStableWait) {
            k.wait_on_page_writeback(page, P::MkwriteWait).await;
        }
        LOCKED
    }

    fn set_page_dirty(self, k: &Kernel, page: Frame) -> bool {
        buffer::set_page_dirty(k, page)
    }

    async fn writepage(self, k: &Kernel, page: Frame, sync: Sync) -> Status {
        if sync == Sync::Reclaim && k.planted(Plant::SilentNoWrite) {
            k.unlock_page(page);
            return Status::Ok;
        }
        buffer::writepage(k, page).await
    }

    fn transfer(self, k: &Kernel, request: Request) {
        k.transfer_blocks(request);
    }

    async fn complete(self, k: &Kernel, request: Request) {
        buffer::complete(k, request).await;
    }

    fn readpage(self, k: &Kernel, page: Frame) {
        buffer::readpage(k, page);
    }

    async fn write_begin(self, k: &Kernel, page: Frame, cells: Range) -> Status {
        k.wait_on_page_writeback(page, P::WriteWait).await; // wait_for_stable_page
        buffer::write_begin(k, page, cells).await
    }

    async fn write_end(self, k: &Kernel, page: Frame, cells: Range) {
        buffer::write_end(k, page, cells).await;
    }

    async fn invalidatepage(self, k: &Kernel, page: Frame, from: u8) {
        buffer::invalidatepage(k, page, from);
    }

    async fn releasepage(self, k: &Kernel, page: Frame) -> bool {
        buffer::try_to_free_buffers(k, page)
    }

    async fn after_truncate(self, k: &Kernel, size: u8) {
        buffer::truncate_blocks(k, size).await;
    }

    fn record(self, k: &Kernel, page: Frame) -> Record {
        // Nothing is tied to a dirty page, so nothing can be missing.
        Record { missing: 0, uncovered: 0, ..buffer::record(k, page) }
    }

    fn stored(self, k: &Kernel, cell: u8) -> Stamp {
        buffer::stored(k, cell)
    }

    fn durable(self, k: &Kernel, cell: u8) -> Stamp {
        buffer::durable(k, cell)
    }
}
