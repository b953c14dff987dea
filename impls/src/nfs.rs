//! NFS: nfs_vm_page_mkwrite and the write requests under it. Dossier section 3.3; fs/nfs/write.c and file.c
//! of 2.6.29, 2.6.30 (T29, T30) and 3.0 (T300).
//!
//! The record of a dirty page is a write request. nfs_updatepage creates or extends it and marks the page
//! dirty; writeback takes it (locked) and sends a WRITE; the reply says "stable", and the request goes, or
//! "unstable", and it stays as PG_CLEAN ("written, not committed") until a COMMIT. Rule: PG_dirty means that
//! there is a request and that it is not PG_CLEAN. writepage does nothing when there is no request, and has
//! a BUG() for one that is PG_CLEAN.
//!
//! The request covers the part of the page below i_size at the time of the update (a page is always
//! uptodate here, so nfs_updatepage widens the range to the whole of that). nfs_grow_file raises i_size to
//! the end of the request if it is lower; truncate may have lowered it since the length was read. setattr
//! flushes first and takes the size from the reply afterwards if no requests are outstanding.
//! Left out: requests of several open contexts (nfs_flush_incompatible), FS-Cache, congestion, requests in
//! parts, COMMIT verifiers, attribute revalidation by time, WRITEs that extend the file at the server.

use mkwrite_model::callers::Caller;
use mkwrite_model::case::Range;
use mkwrite_model::facts::Era;
use mkwrite_model::implementation::{
    Aspect, Convention, Declaration, EINVAL, Implementation, LOCKED, NOPAGE, Record, SIGBUS, SizeGuard, Sync,
};
use mkwrite_model::kernel::{Frame, Request, Stamp, Status};
use mkwrite_model::mm;
use mkwrite_model::plant::Plant;
use mkwrite_model::point::Point as P;
use mkwrite_model::remedy::Remedy;

use crate::{Builtin, Kernel, Private, buffer};

/// The versions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd)]
pub enum Nfs {
    /// 2.6.27 to 2.6.29.
    V2_6_29,
    /// 2.6.30.
    V2_6_30,
    /// 3.0.
    V3_0,
}

/// A write request (struct nfs_page): cells `0..end` of its page.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct WriteRequest {
    end: u8,
    /// PG_CLEAN: written to the server, not yet committed.
    clean: bool,
}

impl std::fmt::Display for WriteRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "request 0..{}{}", self.end, if self.clean { " CLEAN" } else { "" })
    }
}

fn request(k: &Kernel, page: Frame) -> Option<WriteRequest> {
    match k.private(page) {
        Some(Private::Request(request)) => Some(request),
        _ => None,
    }
}

impl Nfs {
    pub(crate) const VERSIONS: &[Nfs] = &[Nfs::V2_6_29, Nfs::V2_6_30, Nfs::V3_0];

    /// nfs_updatepage for cells up to `end`, of a page that is uptodate and locked.
    async fn updatepage(self, k: &Kernel, page: Frame, end: u8, dirty: P) {
        let end = end.max(k.length_below_eof(page));
        // nfs_try_to_update_request: waits while writeback or COMMIT has the request.
        k.record_free(page, P::RecordUpdate).await;
        let updated = match request(k, page) {
            Some(old) => {
                let clean = old.clean && k.planted(Plant::CommitFlagKept);
                WriteRequest { end: old.end.max(end), clean }
            }
            None => WriteRequest { end, clean: false },
        };
        k.set_private(page, Private::Request(updated));
        k.record_lock(page);

        k.at_size(P::RecordGrow).await;
        grow_file(k, page, end);
        if self == Nfs::V3_0 {
            k.at_page(dirty, page).await;
            k.set_page_dirty_nobuffers(page).await;
        }
        k.at_page(P::RecordRelease, page).await;
        k.record_unlock(page);
        if self < Nfs::V3_0 {
            k.at_page(dirty, page).await;
            k.set_page_dirty_nobuffers(page).await;
        }
    }

    /// nfs_page_async_flush: sends the page's request. The page stays locked.
    async fn flush(self, k: &Kernel, page: Frame, sync: Sync) {
        if self == Nfs::V3_0 && sync != Sync::Integrity {
            // nonblocking: a request in use means "later"
            k.at_page(P::WritepageRecord, page).await;
            if request(k, page).is_some() && k.is_record_locked(page) {
                k.redirty_page_for_writepage(page).await;
                return;
            }
        } else {
            k.record_free(page, P::WritepageRecord).await;
        }
        let Some(found) = request(k, page) else { return };
        k.record_lock(page);
        if self < Nfs::V3_0 {
            k.bug_on(found.clean, "BUG() in nfs_page_async_flush: request is PG_CLEAN (fs/nfs/write.c:252)");
        }
        k.at_page(P::WritepageStart, page).await;
        k.bug_on(k.set_page_writeback(page), "BUG() in nfs_page_async_flush: page is under writeback");
        if self == Nfs::V3_0 {
            k.bug_on(found.clean, "BUG_ON(PG_CLEAN) in nfs_page_async_flush");
        }
        k.at_page(P::WritepageSubmit, page).await;
        let stable = sync == Sync::Reclaim; // FLUSH_STABLE
        let cells = Range::new(0, found.end);
        k.submit(Request { cells, stable, ..Request::new(page) });
    }

    /// nfs_sync_mapping_wait, on one page or on all: waits for requests in use, commits, until none is left.
    async fn sync_wait(self, k: &Kernel, only: Option<Frame>) {
        loop {
            k.at_tree(P::CommitScan).await;
            let in_use = |page: &Frame| only.is_none_or(|only| only == *page) && k.is_record_locked(*page);
            let waits_for = k.cached_pages().find(in_use);
            if let Some(page) = waits_for {
                k.get_page(page);
                k.record_free(page, P::CommitWait).await;
                k.put_page(page);
                continue;
            }
            let wanted =
                |page: &Frame| only.is_none_or(|only| only == *page) && request(k, *page).is_some_and(|r| r.clean);
            if !k.cached_pages().any(|page| wanted(&page)) {
                return;
            }
            commit(k).await;
        }
    }

    /// nfs_wb_all.
    async fn wb_all(self, k: &Kernel) {
        self.writepages(k, Range::new(0, k.geometry().pages), Sync::Integrity).await;
        self.sync_wait(k, None).await;
    }
}

/// nfs_grow_file: the file reaches at least to the end of the request.
fn grow_file(k: &Kernel, page: Frame, end: u8) {
    let (size, end) = (k.i_size(), k.first_cell(page) + end);
    let last_page = size.saturating_sub(1) / k.geometry().cells;
    if (size == 0 || k.index(page) >= last_page) && size < end {
        k.i_size_write(end);
    }
}

/// nfs_commit_inode: locks the requests that wait for a COMMIT, sends one for the whole file, removes them.
/// Expects to be called in the step that found one.
async fn commit(k: &Kernel) {
    let waiting = |page: &Frame| request(k, *page).is_some_and(|r| r.clean) && !k.is_record_locked(*page);
    let mut pages = k.cached_pages().filter(waiting).fold(0, |mask, page| mask | page.bit());
    for page in Frame::all(pages) {
        k.record_lock(page);
    }
    if pages == 0 {
        return;
    }
    k.at(P::CommitSend).await;
    k.server.commit();
    while let Some(page) = Frame::all(pages).next() {
        pages &= !page.bit();
        k.at_page(P::CommitDone, page).await;
        k.clear_private(page);
        k.record_unlock(page);
    }
}

impl Implementation<Builtin> for Nfs {
    fn declaration(self) -> &'static Declaration {
        const V2_6_29: Declaration = Declaration {
            name: "nfs@2.6.29",
            convention: Convention::Errno,
            natural: Caller::V2_6_29,
            era: Era::V2_6_29,
            page_cache: true,
            stable_pages: false,
            size_guard: SizeGuard::Server,
            may_differ: &[Aspect::Blocks],
            record: "a write request that is not PG_CLEAN",
            source: "dossier 3.3 @29 (T29 fs/nfs/write.c, file.c)",
        };
        match self {
            Nfs::V2_6_29 => &V2_6_29,
            Nfs::V2_6_30 => &Declaration {
                name: "nfs@2.6.30",
                convention: Convention::Locked,
                natural: Caller::V2_6_30,
                era: Era::V2_6_30,
                source: "dossier 3.3 @30 (T30 fs/nfs/write.c, file.c)",
                ..V2_6_29
            },
            Nfs::V3_0 => &Declaration {
                name: "nfs@3.0",
                convention: Convention::Locked,
                natural: Caller::V2_6_30,
                era: Era::V3_0,
                source: "dossier 3.3 @300 (T300 fs/nfs/write.c, file.c)",
                ..V2_6_29
            },
        }
    }

    async fn page_mkwrite(self, k: &Kernel, page: Frame) -> i32 {
        k.lock_page(page, P::MkwriteLock).await;
        if !k.still_in_mapping(page) {
            k.unlock_page(page);
            return match self {
                _ if k.remedied(Remedy::RetryOnRace) => NOPAGE,
                Nfs::V2_6_29 => EINVAL,
                Nfs::V2_6_30 => SIGBUS,
                Nfs::V3_0 => NOPAGE,
            };
        }
        let length = k.length_below_eof(page);
        if length == 0 {
            return match self {
                _ if k.remedied(Remedy::RetryAtEof) => {
                    k.unlock_page(page);
                    NOPAGE
                }
                Nfs::V2_6_29 => {
                    k.unlock_page(page);
                    0
                }
                Nfs::V2_6_30 => LOCKED, // with no request
                Nfs::V3_0 => {
                    k.unlock_page(page);
                    NOPAGE
                }
            };
        }
        k.at_page(P::MkwriteAttach, page).await;
        self.updatepage(k, page, length, P::MkwriteDirty).await;
        if self == Nfs::V2_6_29 && !k.remedied(Remedy::LockedReturn) {
            k.at_page(P::MkwriteReturn, page).await;
            k.unlock_page(page);
            return i32::from(length);
        }
        LOCKED
    }

    async fn writepage(self, k: &Kernel, page: Frame, sync: Sync) -> Status {
        self.flush(k, page, sync).await;
        k.at_page(P::WritepageUnlock, page).await;
        k.unlock_page(page);
        Status::Ok
    }

    async fn writepages(self, k: &Kernel, pages: Range, sync: Sync) -> Status {
        if self == Nfs::V2_6_29 {
            return mm::write_cache_pages(k, pages, sync).await;
        }
        k.flush_lock(P::FlushLock).await;
        let status = mm::write_cache_pages(k, pages, sync).await;
        k.flush_unlock();
        status
    }

    async fn write_inode(self, k: &Kernel) {
        k.at_tree(P::CommitScan).await;
        commit(k).await;
    }

    fn transfer(self, k: &Kernel, request: Request) {
        k.transfer_cells(request);
    }

    /// nfs_writeback_release_full.
    async fn complete(self, k: &Kernel, io: Request) {
        let page = io.page;
        buffer::note_failure(k, io);
        let unstable = !io.stable && !io.fails;
        let release = async || {
            k.at_page(P::IoRecord, page).await;
            match request(k, page) {
                Some(r) if unstable => k.set_private(page, Private::Request(WriteRequest { clean: true, ..r })),
                _ => k.clear_private(page),
            }
        };
        match self {
            Nfs::V3_0 => {
                release().await;
                k.at_page(P::IoRelease, page).await;
                k.record_unlock(page);
                k.at_page(P::IoEnd, page).await;
                k.end_page_writeback(page);
            }
            _ if unstable => {
                release().await;
                k.at_page(P::IoEnd, page).await;
                k.end_page_writeback(page);
                k.at_page(P::IoRelease, page).await;
                k.record_unlock(page);
            }
            _ => {
                k.at_page(P::IoEnd, page).await;
                k.end_page_writeback(page);
                release().await;
                k.record_unlock(page);
            }
        }
    }

    fn readpage(self, k: &Kernel, page: Frame) {
        let (first, below_eof) = (k.first_cell(page), k.length_below_eof(page));
        for cell in 0..k.geometry().cells {
            let stamp = if cell < below_eof { k.server.read(first + cell) } else { Stamp::ZERO };
            k.set_cell(page, cell, stamp);
        }
    }

    async fn before_write_begin(self, k: &Kernel) {
        if self >= Nfs::V2_6_30 && !k.planted(Plant::FlushUnderPageLock) {
            k.wait_on_flush(P::FlushLock).await;
        }
    }

    async fn write_begin(self, k: &Kernel, _: Frame, _: Range) -> Status {
        if self >= Nfs::V2_6_30 && k.planted(Plant::FlushUnderPageLock) {
            k.wait_on_flush(P::FlushLock).await;
        }
        Status::Ok
    }

    async fn write_end(self, k: &Kernel, page: Frame, cells: Range) {
        k.at_page(P::WriteAttach, page).await;
        self.updatepage(k, page, cells.end, P::WriteDirty).await;
    }

    /// nfs_wb_page_cancel, for the whole page only.
    async fn invalidatepage(self, k: &Kernel, page: Frame, from: u8) {
        if from != 0 {
            return;
        }
        k.record_free(page, P::CommitWait).await;
        if request(k, page).is_some() {
            k.clear_private(page);
            k.cancel_dirty_page(page);
        }
    }

    async fn releasepage(self, k: &Kernel, page: Frame) -> bool {
        if self == Nfs::V3_0 {
            k.at_tree(P::CommitScan).await;
            commit(k).await;
        }
        request(k, page).is_none()
    }

    /// nfs_wb_page.
    async fn launder_page(self, k: &Kernel, page: Frame) {
        loop {
            if k.clear_page_dirty_for_io(page).await {
                self.flush(k, page, Sync::Integrity).await;
            } else if request(k, page).is_none() {
                return;
            }
            k.wait_on_page_writeback(page, P::Invalidate2Wait).await;
            self.sync_wait(k, Some(page)).await;
            if request(k, page).is_none() {
                return;
            }
        }
    }

    async fn fsync(self, k: &Kernel) {
        self.wb_all(k).await;
    }

    async fn before_truncate(self, k: &Kernel) {
        self.wb_all(k).await;
    }

    fn size_changed(self, k: &Kernel, size: u8) {
        k.server.discard_from(size);
    }

    async fn after_truncate(self, k: &Kernel, size: u8) {
        k.at_size(P::TruncateRefresh).await;
        let outstanding = k.cached_pages().any(|page| request(k, page).is_some());
        if size > k.i_size() || (size < k.i_size() && !outstanding) {
            k.i_size_write(size);
        }
    }

    fn record(self, k: &Kernel, page: Frame) -> Record {
        let Some(dirty) = request(k, page).filter(|r| !r.clean) else { return Record::NONE };
        let beyond = Range::new(dirty.end, k.length_below_eof(page));
        Record { missing: 0, uncovered: beyond.iter().fold(0, |mask, cell| mask | 1 << cell), claims_dirty: true }
    }

    fn pending(self, k: &Kernel, page: Frame) -> u8 {
        let dirty = request(k, page).filter(|r| !r.clean && k.is_dirty(page));
        dirty.map_or(0, |r| ((1u16 << r.end) - 1) as u8)
    }

    fn is_releasable(self, k: &Kernel, page: Frame) -> bool {
        request(k, page).is_none()
    }

    fn stored(self, k: &Kernel, cell: u8) -> Stamp {
        k.server.read(cell)
    }

    fn durable(self, k: &Kernel, cell: u8) -> Stamp {
        k.server.stable(cell)
    }

    /// The crash of client or server, not of both. A page that is dirtied again while its WRITE is unstable
    /// loses its mark for COMMIT, so an fsync that is under way does not commit what was sent; but then the
    /// server has it in its cache, and the client still has the request and will send it again.
    fn allocated(self, _: &Kernel) -> u32 {
        0 // the server's, and none of the client's business
    }

    fn survives(self, k: &Kernel, cell: u8) -> Stamp {
        let page = k.slot(k.geometry().page_of(cell));
        let held = page.and_then(|page| request(k, page)).is_some();
        if held { k.server.read(cell) } else { k.server.stable(cell) }
    }
}
