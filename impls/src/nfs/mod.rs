//! NFS: nfs_vm_page_mkwrite and the write requests under it. fs/nfs/write.c, file.c and inode.c of
//! 2.6.29, 2.6.30, 3.0 and 6.12.
//!
//! The record of a dirty page is a write request. nfs_updatepage creates or extends it and marks
//! the page dirty; writeback takes it (locked) and sends a WRITE; the reply says "stable", and the
//! request goes, or "unstable", and it stays as PG_CLEAN ("written, not committed") until a COMMIT.
//! Rule: PG_dirty means that there is a request and that it is not PG_CLEAN. writepage does nothing
//! when there is no request, and has a BUG() for one that is PG_CLEAN.
//!
//! The request covers the part of the page below i_size at the time of the update (a page is always
//! uptodate here, so nfs_updatepage widens the range to the whole of that). nfs_grow_file raises
//! i_size to the end of the request if it is lower; truncate may have lowered it since the length
//! was read.
//!
//! The server has a file of its own. setattr flushes, sends SETATTR, and then writes i_size and
//! truncates the page cache: a request made in between keeps the old length, and its WRITE makes
//! the file long again. A WRITE's reply tells the size that the file had when the server answered;
//! the client takes it if it is larger than i_size (its own request is outstanding until then, so a
//! smaller one never counts). setattr takes its own reply's size at the end if it is larger, or if
//! no request is outstanding and no reply to a WRITE came later.
//!
//! fsync of 2.6.29 and 2.6.30 writes all and waits for requests, once more, under the inode lock;
//! that of 3.0 only commits. One COMMIT at a time in 3.0. All actors share one open file: one
//! error, reported once, and no requests of another open context (nfs_flush_incompatible).
//!
//! 6.12 has what is in force there still: the length that page_mkwrite reads, nfs_grow_file, the
//! request that a partial truncate does not cut, SETATTR before i_size. Otherwise than 3.0 it waits
//! for writeback in page_mkwrite (`[nfs-page-mkwrite]`), takes a request from the COMMIT list
//! whenever it takes it (`[nfs-join-requests]`), has no flush lock, does all of fsync itself, lets
//! COMMITs overlap (`[nfs-commit]`), and drops attributes that are older (`[nfs-attributes]`; here
//! that is told by the number of SETATTRs that the server had done).
//!
//! Left out: what a failed WRITE does to the page cache (nfs_zap_mapping: the next read or mmap
//! drops it); attributes in replies to READ, COMMIT and a SETATTR of the times alone, and
//! revalidation by time; the batch (a request is sent as soon as its page is unlocked; the kernel
//! collects those of neighbouring pages); FLUSH_COND_STABLE, by which 3.0 and later ask for stable
//! storage where a flush is a single request; FS-Cache, congestion, requests in parts, COMMIT
//! verifiers, I_SYNC. Of 6.12 also: large folios, delegations, pNFS, direct I/O, the inode lock that
//! read(2) shares, the COMMIT that the end of a writepages sends by itself, the freeze reference;
//! and release_folio refuses invalidate_mapping_pages and kswapd, where here it writes and commits.

mod client;

use mkwrite_model::case::Range;
use mkwrite_model::era::Era;
use mkwrite_model::implementation::{
    AddressSpaceOperations, Aspect, Code, Convention, Declaration, EINVAL, Filesystem, Holds,
    Implementation, InodeOperations, Keeps, LOCKED, NOPAGE, OK, Record, RequestOperations, SIGBUS,
    SizeGuard, Store, VmOperations, WbSync,
};
use mkwrite_model::kernel::page::ERROR;
use mkwrite_model::kernel::{Attributes, Event, Frame, Kernel, Request, Stamp, Status};
use mkwrite_model::mm::{self, Fallocate};
use mkwrite_model::plant::Plant;
use mkwrite_model::point::Point as P;
use mkwrite_model::remedy::Remedy;

pub use client::Client;

/// The versions.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd)]
pub enum Nfs {
    /// 2.6.27 to 2.6.29.
    V2_6_29,
    /// 2.6.30.
    V2_6_30,
    /// 3.0.
    V3_0,
    /// 6.12.
    V6_12,
}

/// A write request (struct nfs_page): cells `0..end` of its page.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct WriteRequest {
    end: u8,
    /// PG_CLEAN: written to the server, not yet committed.
    clean: bool,
    /// When its page was last made dirty by an update, on the kernel's clock (the judge's, not the
    /// kernel's).
    dirtied: u32,
}

/// An update is under way.
const NOW: u32 = u32::MAX;

impl std::fmt::Display for WriteRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "request 0..{}{}", self.end, if self.clean { " CLEAN" } else { "" })
    }
}

/// Filesystems whose pages can have a request.
pub trait WriteRequests: Filesystem<Private: Holds<WriteRequest>, Inode: Keeps<Client>> {}

impl<F: Filesystem<Private: Holds<WriteRequest>, Inode: Keeps<Client>>> WriteRequests for F {}

fn client(k: &Kernel<impl WriteRequests>) -> &Client {
    k.file().state()
}

fn request(k: &Kernel<impl WriteRequests>, page: Frame) -> Option<WriteRequest> {
    k.attached(page)
}

impl Nfs {
    /// All of them, oldest first.
    pub const VERSIONS: &[Nfs] = &[Nfs::V2_6_29, Nfs::V2_6_30, Nfs::V3_0, Nfs::V6_12];

    /// nfs_updatepage for cells up to `end`, of a page that is uptodate and locked.
    async fn updatepage(self, k: &Kernel<impl WriteRequests>, page: Frame, end: u8, dirty: P) {
        let end = end.max(k.length_below_eof(page));
        // nfs_try_to_update_request: waits while writeback or COMMIT has the request.
        k.record_free(page, P::RecordUpdate).await;
        let updated = match request(k, page) {
            Some(old) => {
                let clean = old.clean && k.reaches_plant(Plant::CommitFlagKept);
                WriteRequest { end: old.end.max(end), clean, dirtied: NOW }
            }
            None => WriteRequest { end, clean: false, dirtied: NOW },
        };
        k.attach(page, updated);
        k.record_lock(page);

        k.at_size(P::RecordGrow).await;
        if dirty != P::MkwriteDirty || !k.remedied(Remedy::GrowFile) {
            grow_file(k, page, end);
        }
        if self >= Nfs::V3_0 {
            k.at_page(dirty, page).await;
            k.set_page_dirty_nobuffers(page).await;
        }
        k.at_page(P::RecordRelease, page).await;
        k.record_unlock(page);
        if self < Nfs::V3_0 {
            k.at_page(dirty, page).await;
            k.set_page_dirty_nobuffers(page).await;
        }
        if let Some(updated) = request(k, page) {
            k.attach(page, WriteRequest { dirtied: k.clock(), ..updated });
        }
    }

    /// nfs_page_async_flush: takes the page's request and starts writeback. Returns what is to be
    /// sent. 6.12 waits for the request in any case, and takes it from the list of those that wait
    /// for a COMMIT (nfs_lock_and_join_requests).
    async fn async_flush(
        self,
        k: &Kernel<impl WriteRequests>,
        page: Frame,
        sync: WbSync,
    ) -> Option<Request> {
        if self == Nfs::V3_0 && sync != WbSync::Integrity {
            // nonblocking: a request in use means "later"
            k.at_page(P::WritepageRecord, page).await;
            if request(k, page).is_some() && k.is_record_locked(page) {
                k.redirty_page_for_writepage(page).await;
                return None;
            }
        } else {
            k.record_free(page, P::WritepageRecord).await;
        }
        let found = request(k, page)?;
        k.record_lock(page);
        if self >= Nfs::V6_12 {
            // One that waited for a COMMIT is of a page that became dirty without an update.
            let dirtied = if found.clean { k.clock() } else { found.dirtied };
            k.attach(page, WriteRequest { clean: false, dirtied, ..found });
        }
        if self < Nfs::V3_0 {
            k.bug_on(
                found.clean,
                "BUG() in nfs_page_async_flush: request is PG_CLEAN (fs/nfs/write.c:252)",
            );
        }
        k.at_page(P::WritepageStart, page).await;
        k.bug_on(
            k.set_page_writeback(page),
            "BUG() in nfs_page_async_flush: page is under writeback",
        );
        if self == Nfs::V3_0 {
            k.bug_on(found.clean, "BUG_ON(PG_CLEAN) in nfs_page_async_flush");
        }
        let stable = sync == WbSync::Reclaim; // FLUSH_STABLE
        Some(Request { cells: Range::new(0, found.end), stable, ..Request::new(page) })
    }

    /// nfs_sync_mapping_wait, on one page or on all: waits for requests in use, commits, until none
    /// is left.
    async fn sync_wait(self, k: &Kernel<impl WriteRequests>, only: Option<Frame>, commits: bool) {
        loop {
            k.at_tree(P::CommitScan).await;
            let in_use =
                |page: &Frame| only.is_none_or(|only| only == *page) && k.is_record_locked(*page);
            let waits_for = k.cached_pages().find(in_use);
            if let Some(page) = waits_for {
                k.get_page(page);
                k.record_free(page, P::CommitWait).await;
                k.put_page(page);
                continue;
            }
            let wanted = |page: &Frame| {
                only.is_none_or(|only| only == *page) && request(k, *page).is_some_and(|r| r.clean)
            };
            if !commits || !k.cached_pages().any(|page| wanted(&page)) {
                return;
            }
            commit(k).await;
        }
    }

    /// nfs_wb_all; in 3.0 it is sync_inode.
    async fn wb_all(self, k: &Kernel<impl WriteRequests>) {
        self.writepages(k, Range::new(0, k.geometry().pages), WbSync::Integrity).await;
        if self >= Nfs::V3_0 {
            mm::filemap_fdatawait(k).await;
            self.commit_inode(k, true).await;
        } else {
            self.sync_wait(k, None, true).await;
        }
    }

    /// nfs_commit_inode. Since 3.0 who waits for the reply waits for an earlier COMMIT too, and the
    /// others leave it to the next flush of the inode. In 6.12 there may be several at once, and who
    /// waits does so for all of them.
    async fn commit_inode(self, k: &Kernel<impl WriteRequests>, waits: bool) {
        if self >= Nfs::V6_12 {
            k.at_tree(P::CommitScan).await;
            k.commit_begin();
            commit(k).await;
            k.commit_end();
            if waits {
                k.wait_on_commit(P::CommitLock).await;
            }
            return;
        }
        if self == Nfs::V3_0 {
            if waits {
                k.commit_lock(P::CommitLock).await;
            } else {
                k.at(P::CommitLock).await;
                if !k.try_commit_lock() {
                    return k.mark_inode_dirty();
                }
            }
        }
        k.at_tree(P::CommitScan).await;
        commit(k).await;
        if self == Nfs::V3_0 {
            k.commit_unlock();
        }
    }

    /// nfs_post_op_update_inode_force_wcc, as far as the size goes: a reply to a WRITE raises
    /// i_size. 6.12 knows by the file's change attribute that a reply is from before the last
    /// SETATTR that it has seen the reply to, and drops it; but not if the WRITE ended where the
    /// file did (nfs_writeback_check_extend).
    fn look_at(self, k: &Kernel<impl WriteRequests>, io: &Request) {
        let (client, reply) = (client(k), io.reply);
        if self >= Nfs::V6_12 {
            let ends_file = k.first_cell(io.page) + io.cells.end == reply.size;
            if reply.changes == k.server().attributes().changes {
                client.reply();
            }
            if reply.changes != client.seen() && !ends_file {
                return;
            }
        } else {
            client.reply();
        }
        let old = k.remedied(Remedy::TruncateFirst) && client.sized() != Some(reply.changes);
        if !old && reply.size > k.i_size() {
            k.i_size_write(reply.size);
        }
    }

    /// nfs_refresh_inode with setattr's own reply, which told this size. 6.12 drops it if a later
    /// one has come before.
    async fn refresh(self, k: &Kernel<impl WriteRequests>, size: u8) {
        k.at_size(P::TruncateRefresh).await;
        let outstanding = k.cached_pages().any(|page| request(k, page).is_some());
        let late = client(k).has_replied();
        let raises = size > k.i_size() && !(late && self >= Nfs::V6_12);
        if raises || (size < k.i_size() && !outstanding && !late) {
            k.i_size_write(size);
        }
    }

    /// nfs_wb_page, nfs_wb_folio: writes the page's request, and commits it.
    async fn wb_page(self, k: &Kernel<impl WriteRequests>, page: Frame) {
        loop {
            if self >= Nfs::V3_0 {
                k.wait_on_page_writeback(page, P::Invalidate2Wait).await;
            }
            if k.clear_page_dirty_for_io(page).await {
                if let Some(request) = self.async_flush(k, page, WbSync::Integrity).await {
                    k.at_page(P::WritepageSubmit, page).await;
                    k.submit(request);
                }
            } else if request(k, page).is_none() {
                return;
            } else if self >= Nfs::V3_0 {
                self.commit_inode(k, true).await;
            }
            if self < Nfs::V3_0 {
                self.sync_wait(k, Some(page), true).await;
                if request(k, page).is_none() {
                    return;
                }
            }
        }
    }
}

/// The SETATTR of nfs_setattr: at the server the file is cut or extended.
async fn send_setattr(k: &Kernel<impl WriteRequests>, size: u8) {
    k.at(P::TruncateSetattr).await;
    k.server().set_size(size);
    client(k).ask(size);
}

/// nfs_truncate_last_folio, done before i_size is raised and under one lock with that: the last
/// page is write-protected and zeroed beyond the old end, so that the next store to it is notified
/// of the new length.
async fn extend(k: &Kernel<impl WriteRequests>, to: u8) {
    loop {
        let from = k.i_size();
        if from >= to {
            return;
        }
        let last = k.geometry().page_of(from);
        k.at_slot(P::TruncateFind, last).await;
        let Some(page) = k.find_get_page(last) else { return k.i_size_write(to) };
        k.lock_page(page, P::TruncateLock).await;
        let cached = k.in_mapping(page);
        if cached {
            if k.page_mkclean(page).await {
                k.set_page_dirty(page).await;
            }
            k.at_page(P::TruncateZero, page).await;
            let first = k.first_cell(page);
            // Planted bugs can have given the frame to another page.
            let end = to.saturating_sub(first).min(k.geometry().cells);
            for cell in from.saturating_sub(first)..end {
                k.set_cell(page, cell, Stamp::ZERO);
            }
            k.i_size_write(to);
        }
        k.unlock_page(page);
        k.put_page(page);
        if cached {
            return;
        }
    }
}

/// nfs_grow_file: the file reaches at least to the end of the request.
fn grow_file(k: &Kernel<impl WriteRequests>, page: Frame, end: u8) {
    let (size, end) = (k.i_size(), k.first_cell(page) + end);
    let last_page = size.saturating_sub(1) / k.geometry().cells;
    if (size == 0 || k.index(page) >= last_page) && size < end {
        k.i_size_write(end);
    }
}

/// nfs_commit_inode: locks the requests that wait for a COMMIT, sends one for the whole file,
/// removes them. Expects to be called in the step that found one.
async fn commit(k: &Kernel<impl WriteRequests>) {
    let waiting =
        |page: &Frame| request(k, *page).is_some_and(|r| r.clean) && !k.is_record_locked(*page);
    let mut pages = k.cached_pages().filter(waiting).fold(0, |mask, page| mask | page.bit());
    for page in Frame::all(pages) {
        k.record_lock(page);
    }
    if pages == 0 {
        return;
    }
    k.at(P::CommitSend).await;
    k.server().commit();
    while let Some(page) = Frame::all(pages).next() {
        pages &= !page.bit();
        k.at_page(P::CommitDone, page).await;
        k.clear_private(page);
        k.record_unlock(page);
    }
}

impl<F: WriteRequests> Implementation<F> for Nfs {
    fn declaration(self) -> &'static Declaration {
        const V2_6_29: Declaration = Declaration {
            name: "nfs@2.6.29",
            convention: Convention::Errno,
            natural: Era::V2_6_29,
            era: Era::V2_6_29,
            page_cache: true,
            stable_pages: false,
            freezes: false,
            size_guard: SizeGuard::Server,
            may_differ: &[Aspect::Blocks],
            record: "a write request that is not PG_CLEAN",
            source: "2.6.29 fs/nfs/write.c, file.c, inode.c [nfs-page-mkwrite, nfs-bug-12913, nfs-request]",
        };
        match self {
            Nfs::V2_6_29 => &V2_6_29,
            Nfs::V2_6_30 => &Declaration {
                name: "nfs@2.6.30",
                convention: Convention::Locked,
                natural: Era::V2_6_30,
                era: Era::V2_6_30,
                source: "2.6.30 fs/nfs/write.c, file.c, inode.c [nfs-page-mkwrite, nfs-request, nfs-commit]",
                ..V2_6_29
            },
            Nfs::V3_0 => &Declaration {
                name: "nfs@3.0",
                convention: Convention::Locked,
                natural: Era::V2_6_30,
                era: Era::V3_0,
                source: "3.0 fs/nfs/write.c, file.c, inode.c [nfs-page-mkwrite, nfs-request, nfs-commit]",
                ..V2_6_29
            },
            Nfs::V6_12 => &Declaration {
                name: "nfs@6.12",
                convention: Convention::Locked,
                natural: Era::V6_12,
                era: Era::V6_12,
                record: "a write request",
                source: "6.12 fs/nfs/write.c, file.c, inode.c [nfs-page-mkwrite, nfs-join-requests, nfs-commit, nfs-attributes]",
                ..V2_6_29
            },
        }
    }
}

impl<F: WriteRequests> VmOperations<F> for Nfs {
    async fn page_mkwrite(self, k: &Kernel<F>, page: Frame) -> Code {
        k.lock_page(page, P::MkwriteLock).await;
        if !k.still_in_mapping(page) {
            k.unlock_page(page);
            return match self {
                _ if k.remedied(Remedy::RetryOnRace) => NOPAGE,
                Nfs::V2_6_29 => EINVAL,
                Nfs::V2_6_30 => SIGBUS,
                Nfs::V3_0 | Nfs::V6_12 => NOPAGE,
            };
        }
        if self >= Nfs::V6_12 {
            k.wait_on_page_writeback(page, P::MkwriteWait).await;
        }
        let length = k.length_below_eof(page);
        if length == 0 && !k.reaches_plant(Plant::MkwriteCoversNothing) {
            return match self {
                _ if k.remedied(Remedy::RetryAtEof) => {
                    k.unlock_page(page);
                    NOPAGE
                }
                Nfs::V2_6_29 if !k.remedied(Remedy::LockedReturn) => {
                    k.unlock_page(page);
                    OK
                }
                Nfs::V2_6_29 | Nfs::V2_6_30 => LOCKED, // with no request
                Nfs::V3_0 | Nfs::V6_12 => {
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
            return Code(length.into());
        }
        LOCKED
    }
}

impl<F: WriteRequests> AddressSpaceOperations<F> for Nfs {
    async fn writepage(self, k: &Kernel<F>, page: Frame, sync: WbSync) -> Status {
        let request = self.async_flush(k, page, sync).await;
        k.at_page(P::WritepageUnlock, page).await;
        k.unlock_page(page);
        if let Some(request) = request {
            // nfs_pageio_complete
            k.at_page(P::WritepageSubmit, page).await;
            k.submit(request);
        }
        Status::Ok
    }

    async fn writepages(self, k: &Kernel<F>, pages: Range, sync: WbSync) -> Status {
        if self == Nfs::V2_6_29 || self >= Nfs::V6_12 {
            return mm::write_cache_pages(k, pages, sync).await;
        }
        k.flush_lock(P::FlushLock).await;
        let status = mm::write_cache_pages(k, pages, sync).await;
        k.flush_unlock();
        status
    }

    async fn readpage(self, k: &Kernel<F>, page: Frame) {
        let (first, below_eof) = (k.first_cell(page), k.length_below_eof(page));
        for cell in 0..k.geometry().cells {
            let stamp = if cell < below_eof { k.server().read(first + cell) } else { Stamp::ZERO };
            k.set_cell(page, cell, stamp);
        }
    }

    async fn write_begin(self, k: &Kernel<F>, index: u8, cells: Range) -> Result<Frame, Status> {
        if k.remedied(Remedy::NfsLastPage) {
            extend(k, index * k.geometry().cells + cells.start).await;
        }
        let waits = matches!(self, Nfs::V2_6_30 | Nfs::V3_0);
        if waits && !k.reaches_plant(Plant::FlushUnderPageLock) {
            k.wait_on_flush(P::FlushLock).await;
        }
        let page = mm::grab_page(k, index).await?;
        if waits && k.reaches_plant(Plant::FlushUnderPageLock) {
            k.wait_on_flush(P::FlushLock).await;
        }
        Ok(page)
    }

    async fn write_end(self, k: &Kernel<F>, page: Frame, cells: Range) {
        k.at_page(P::WriteAttach, page).await;
        self.updatepage(k, page, cells.end, P::WriteDirty).await;
    }

    /// Nothing was got for it.
    async fn write_failed(self, _: &Kernel<F>, _: Range) {}

    /// Nobody treats the old last page before 6.18.
    async fn size_extended(self, _: &Kernel<F>, _: u8, _: u8) {}

    /// nfs_wb_page_cancel, for the whole page only.
    async fn invalidatepage(self, k: &Kernel<F>, page: Frame, cells: Range) {
        if !k.is_whole_page(cells)
            && (!k.remedied(Remedy::TruncateFirst) || k.reaches_plant(Plant::RequestKeepsLength))
        {
            return;
        }
        k.record_free(page, P::CommitWait).await;
        let Some(found) = request(k, page) else { return };
        if !k.is_whole_page(cells) {
            k.attach(page, WriteRequest { end: found.end.min(cells.start), ..found });
            return;
        }
        k.clear_private(page);
        if self < Nfs::V6_12 {
            k.cancel_dirty_page(page);
        }
    }

    async fn releasepage(self, k: &Kernel<F>, page: Frame) -> bool {
        if self >= Nfs::V3_0 && !k.reaches_plant(Plant::ReleaseNoCommit) {
            match self {
                Nfs::V6_12 => self.wb_page(k, page).await,
                _ => self.commit_inode(k, true).await,
            }
        }
        request(k, page).is_none()
    }

    async fn launder_page(self, k: &Kernel<F>, page: Frame) {
        self.wb_page(k, page).await;
    }
}

impl<F: WriteRequests> InodeOperations<F> for Nfs {
    /// nfs_setattr. A request that is made between the flush and truncate_inode_pages keeps the old
    /// length.
    async fn setattr(self, k: &Kernel<F>, size: u8) -> Status {
        if size == k.i_size() && self >= Nfs::V6_12 {
            self.wb_all(k).await;
            k.at(P::TruncateSetattr).await; // only the times go to the server
            return Status::Ok;
        }
        // nfs_alloc_fattr; before 3.0 what the server replies has its place on the stack.
        if self >= Nfs::V3_0 && k.setattr_fails() {
            self.wb_all(k).await;
            return Status::NoMemory;
        }
        let shrinks = size < k.i_size();
        if shrinks && k.remedied(Remedy::TruncateFirst) {
            client(k).set_sized(None);
            mm::vmtruncate(k, size).await;
            self.wb_all(k).await;
            send_setattr(k, size).await;
        } else {
            if !k.reaches_plant(Plant::SetattrNoFlush) {
                self.wb_all(k).await;
            }
            send_setattr(k, size).await;
            client(k).see(k.server().attributes().changes);
            if !shrinks && k.remedied(Remedy::NfsLastPage) {
                extend(k, size).await;
            } else {
                mm::vmtruncate(k, size).await; // nfs_setattr_update_inode
            }
            self.refresh(k, size).await;
        }
        client(k).see(k.server().attributes().changes);
        client(k).set_sized(Some(k.server().attributes().changes));
        Status::Ok
    }

    /// nfs42_proc_deallocate: the file is flushed, the server makes the hole, the page cache follows.
    /// Nothing keeps stores, and WRITEs that carry what was there, away meanwhile. Kernels of 2026
    /// also raise i_size to the end of the hole; the reply's attributes put that right, unless the
    /// inode has requests again. Left out: what the reply says of an extension that failed.
    async fn fallocate(self, k: &Kernel<F>, mode: Fallocate, cells: Range) -> Status {
        if mode != Fallocate::PunchHole {
            return Status::NotSupported;
        }
        k.inode_lock(P::PunchInode).await;
        self.wb_all(k).await;
        k.at(P::PunchBlocks).await;
        k.server().deallocate(cells);
        let size = k.server().attributes().size.max(k.i_size());
        if cells.end > k.i_size() {
            k.at_size(P::PunchSize).await;
            k.i_size_write(cells.end);
        }
        self.refresh(k, size).await;
        mm::truncate_pagecache_range(k, cells).await;
        k.inode_unlock();
        Status::Ok
    }

    /// nfs_file_fsync: everything once more (nfs_wb_all), or since 3.0 the COMMIT alone; in 6.12
    /// all of fsync, without the inode lock, with the error in the mapping.
    async fn fsync(self, k: &Kernel<F>) -> Status {
        if self >= Nfs::V6_12 {
            let status = mm::file_write_and_wait(k).await;
            if status != Status::Ok {
                return status;
            }
            if !k.reaches_plant(Plant::FsyncNoCommit) {
                self.commit_inode(k, true).await;
            }
            k.at(P::FsyncError).await;
            return k.mapping_take_error();
        }
        let earlier = client(k).take_write_error();
        let commits = !k.reaches_plant(Plant::FsyncNoCommit);
        match self {
            Nfs::V3_0 | Nfs::V6_12 if commits => self.commit_inode(k, true).await,
            Nfs::V3_0 | Nfs::V6_12 => {}
            _ => {
                self.writepages(k, Range::new(0, k.geometry().pages), WbSync::Integrity).await;
                self.sync_wait(k, None, commits).await;
            }
        }
        earlier.or(client(k).take_write_error())
    }

    async fn write_inode(self, k: &Kernel<F>) {
        let requests = || k.cached_pages().filter_map(|page| request(k, page));
        if self == Nfs::V3_0 {
            // nfs_commit_unstable_pages: not yet, if much of the file is still to be written
            k.at_tree(P::CommitScan).await;
            if requests().filter(|r| r.clean).count() <= requests().count() / 2 {
                return k.mark_inode_dirty();
            }
        }
        if self >= Nfs::V6_12 {
            // nfs_write_inode: not yet, while pages are under writeback
            k.at_tree(P::CommitScan).await;
            if !requests().any(|r| r.clean) {
                return;
            }
            if k.cached_pages().any(|page| k.is_writeback(page)) {
                return k.mark_inode_dirty();
            }
        }
        self.commit_inode(k, false).await;
    }
}

impl<F: WriteRequests> RequestOperations<F> for Nfs {
    async fn transfer(self, k: &Kernel<F>, request: Request) {
        let end = k.first_cell(request.page) + request.cells.end;
        let right = match (client(k).asked(), client(k).sized()) {
            (Some(size), _) => size,
            (None, Some(_)) => k.i_size(),
            (None, None) => u8::MAX, // i_size is lowered first, and SETATTR not sent yet
        };
        if end > right && end > k.server().attributes().size {
            k.event(Event::Regrown { right });
        }
        k.transfer_cells(request);
    }

    /// nfs_writeback_done and nfs_writeback_release_full.
    async fn complete(self, k: &Kernel<F>, io: Request) {
        let page = io.page;
        if io.fails {
            k.set_flag(page, ERROR);
            if !k.reaches_plant(Plant::ErrorForgotten) {
                match self {
                    Nfs::V6_12 => k.mapping_set_error(Status::Io),
                    _ => client(k).set_write_error(),
                }
            }
        } else {
            k.at_size(P::IoAttributes).await;
            self.look_at(k, &io);
        }
        let unstable = !io.stable && !io.fails;
        let release = async || {
            k.at_page(P::IoRecord, page).await;
            match request(k, page) {
                Some(r) if unstable => {
                    k.attach(page, WriteRequest { clean: true, ..r });
                    k.mark_inode_dirty(); // nfs_mark_request_commit
                }
                _ => k.clear_private(page),
            }
        };
        match self {
            Nfs::V3_0 | Nfs::V6_12 => {
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
}

impl<F: WriteRequests> Store<F> for Nfs {
    fn record(self, k: &Kernel<F>, page: Frame) -> Record {
        let serves = |r: &WriteRequest| !r.clean || self >= Nfs::V6_12;
        let Some(dirty) = request(k, page).filter(serves) else { return Record::NONE };
        let beyond = Range::new(dirty.end, k.length_below_eof(page));
        Record { missing: 0, uncovered: beyond.bits() as u8, claims_dirty: !dirty.clean }
    }

    fn pending(self, k: &Kernel<F>, page: Frame) -> u8 {
        let serves = |r: &WriteRequest| !r.clean || self >= Nfs::V6_12;
        let dirty = request(k, page).filter(|r| serves(r) && k.is_dirty(page));
        dirty.map_or(0, |r| Range::new(0, r.end).bits() as u8)
    }

    fn is_releasable(self, k: &Kernel<F>, page: Frame) -> bool {
        request(k, page).is_none()
    }

    /// Since 3.0 releasepage commits what waits for it.
    fn releases(self, k: &Kernel<F>, page: Frame) -> bool {
        let waits = |r: WriteRequest| self >= Nfs::V3_0 && r.clean && !k.is_record_locked(page);
        request(k, page).is_none_or(waits)
    }

    fn launders(self) -> bool {
        true
    }

    fn has_error(self, k: &Kernel<F>) -> bool {
        client(k).has_write_error()
    }

    fn durable(self, k: &Kernel<F>, cell: u8) -> Stamp {
        k.server().stable(cell)
    }

    fn stored(self, k: &Kernel<F>, cell: u8) -> Stamp {
        k.server().read(cell)
    }

    fn durable_size(self, k: &Kernel<F>) -> u8 {
        k.server().stable_size()
    }

    /// An fsync answers for a crash of client or server, not of both. A page that is dirtied again
    /// while its WRITE is unstable loses its mark for COMMIT, so an fsync that is under way does
    /// not commit what was sent; but then the server has it in its cache, and the client still has
    /// the request and will send it again.
    fn synced(self, k: &Kernel<F>, cell: u8, since: u32) -> Stamp {
        if dirtied_again(k, cell, since) { k.server().read(cell) } else { k.server().stable(cell) }
    }

    /// The same for the size. A truncate that has yet to send its SETATTR, and may have dropped the
    /// request that was to extend the file, will make the size what it is to be.
    fn synced_size(self, k: &Kernel<F>, since: u32) -> u8 {
        let Attributes { size, .. } = k.server().attributes();
        if client(k).sized().is_none() && client(k).asked().is_none() {
            return k.i_size();
        }
        if size != 0 && dirtied_again(k, size - 1, since) { size } else { k.server().stable_size() }
    }

    fn allocated(self, _: &Kernel<F>) -> u32 {
        0 // the server's, and none of the client's business
    }
}

/// The page of this cell has a request, and was made dirty after `since`.
fn dirtied_again(k: &Kernel<impl WriteRequests>, cell: u8, since: u32) -> bool {
    let page = k.slot(k.geometry().page_of(cell));
    page.and_then(|page| request(k, page)).is_some_and(|request| request.dirtied > since)
}
