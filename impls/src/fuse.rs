//! FUSE: fuse_page_mkwrite, and writeback of copies. fs/fuse/file.c and dir.c of 6.12 and 6.18,
//! without and with the writeback cache.
//!
//! 6.12: nothing is tied to a dirty page. writepage copies the page into a request, adds the request to
//! those of the inode (`fi->writepages`, by index) and to the queue, and ends PG_writeback at once:
//! so a server that does not answer keeps nobody from reclaim or from sync of other files. Who must
//! not overtake the request asks for it by its index: page_mkwrite with the page locked, READ, and
//! whoever writes. A page that is written again meanwhile has a second request, which waits behind
//! the first.
//!
//! A queued request is sent at once, cut at i_size, unless setattr or fsync are about to
//! (FUSE_NOWRITE): those wait until nothing is in flight. setattr lets the queue go in the step in
//! which it writes i_size, and truncates the page cache after that, without invalidate_lock.
//!
//! Without the writeback cache write(2) fills the page, unlocks it if it is up to date, and sends
//! the WRITE from the page as it is by then; i_size follows when the server has all of it. A page
//! that is not up to date stays locked until the reply, and stays so if it was filled in part. A
//! READ that is short then says where the file ends, unless attributes have changed meanwhile
//! (attr_version, FUSE_I_SIZE_UNSTABLE). With the cache write(2) makes pages dirty, and nobody
//! believes the server about the size.
//!
//! 6.18 copies nothing: the request is the page's, PG_writeback ends with the reply, and is what
//! everybody waits for. Writeback goes by fs/iomap, which zeroes the page beyond i_size first: also
//! what write(2) without the cache has put there and i_size has not followed yet. With the cache
//! write(2) goes by fs/iomap, too, and does not wait for writeback.
//!
//! The server has what is written in its cache until an FSYNC, and the size as SETATTR, FALLOCATE
//! and WRITE make it. It answers in any order.
//!
//! Left out: requests of several pages (each page is sent by itself, as without FUSE_BIG_WRITES),
//! and that writeback without need does nothing while many requests wait; failures of a WRITE of
//! write(2), of SETATTR, FALLOCATE and FSYNC, and of memory for a request; attributes in replies to
//! LOOKUP and GETATTR; other clients, notifications of the server, direct I/O, DAX, passthrough; a
//! file that nobody has open for writing any more; ->flush at close(2), and that errors of
//! filemap_write_and_wait are reported by fallocate(2). With the cache a page that is about to be
//! filled as a whole is read first. fuse_vma_close writes also where the inode is not dirty. Of 6.18
//! also: large folios; what iomap takes back when a write(2) fails.

use std::cell::Cell;

use mkwrite_model::bit_set::ones;
use mkwrite_model::case::{CELLS_PER_PAGE_MAX, PAGES_MAX, Range};
use mkwrite_model::era::Era;
use mkwrite_model::implementation::{
    AddressSpaceOperations, Aspect, Code, Convention, Declaration, Filesystem, Implementation,
    InodeOperations, InodeState, Keeps, LOCKED, NOPAGE, RequestOperations, SizeGuard, Store,
    VmOperations, WbSync,
};
use mkwrite_model::kernel::page::UPTODATE;
use mkwrite_model::kernel::{Frame, Kernel, Request, Stamp, Status};
use mkwrite_model::mm::{self, Fallocate};
use mkwrite_model::plant::Plant;
use mkwrite_model::point::Point as P;
use mkwrite_model::remedy::Remedy;

use crate::buffer;

/// The versions, each without and with the writeback cache.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fuse {
    /// 6.12.
    V6_12,
    /// 6.12 with the writeback cache.
    V6_12Cached,
    /// 6.18.
    V6_18,
    /// 6.18 with the writeback cache.
    V6_18Cached,
}

/// The content of a page, as a request carries it.
type Content = [Stamp; CELLS_PER_PAGE_MAX];

/// A page that is to be written (struct fuse_writepage_args).
#[derive(Clone, Copy)]
struct Write {
    page: Frame,
    /// A copy of it, if there is one.
    copy: Option<Content>,
}

/// What FUSE keeps of an inode (struct fuse_inode).
#[derive(Default)]
pub struct FuseInode {
    /// The requests that are queued or in flight, by index (writepages).
    writes: [Cell<Option<Write>>; PAGES_MAX],
    /// Those that wait behind them.
    behind: [Cell<Option<Write>>; PAGES_MAX],
    /// Which are queued (queued_writes), one bit per index.
    queued: Cell<u64>,
    /// None may be sent (FUSE_NOWRITE).
    no_write: Cell<bool>,
    /// The size is being changed (FUSE_I_SIZE_UNSTABLE).
    unstable: Cell<bool>,
    /// How often this side has changed it (attr_version).
    version: Cell<u16>,
    /// The cells that the write(2) under way is about.
    writing: Cell<Range>,
}

impl InodeState for FuseInode {
    fn reset(&self) {
        for (write, behind) in self.writes.iter().zip(&self.behind) {
            write.set(None);
            behind.set(None);
        }
        self.queued.set(0);
        self.no_write.set(false);
        self.unstable.set(false);
        self.version.set(0);
    }
}

impl FuseInode {
    fn changed(&self) {
        self.version.set(self.version.get().wrapping_add(1));
    }
}

/// Filesystems that keep this of an inode.
pub trait FuseInodes: Filesystem<Inode: Keeps<FuseInode>> {}

impl<F: Filesystem<Inode: Keeps<FuseInode>>> FuseInodes for F {}

fn inode(k: &Kernel<impl FuseInodes>) -> &FuseInode {
    k.file().state()
}

/// These cells of a page, counted from its start, reach the server's file.
fn serve(k: &Kernel<impl FuseInodes>, index: u8, content: &Content, cells: Range, stable: bool) {
    let first = index * k.geometry().cells;
    for cell in cells.iter() {
        k.server().write(first + cell, content[usize::from(cell)], stable);
    }
}

fn content(k: &Kernel<impl FuseInodes>, page: Frame) -> Content {
    let mut content = Content::default();
    for cell in 0..k.geometry().cells {
        content[usize::from(cell)] = k.cell(page, cell);
    }
    content
}

/// fuse_writepage_args_page_fill, fuse_writepage_add: the page, which is locked and under
/// writeback, is copied. Returns whether it is the only copy for its index.
fn add_copy(k: &Kernel<impl FuseInodes>, page: Frame) -> bool {
    let mut copy = content(k, page);
    if k.remedied(Remedy::ZeroTail) {
        copy[usize::from(k.length_below_eof(page))..].fill(Stamp::ZERO);
    }
    let index = k.index(page);
    let copied = Some(Write { page, copy: Some(copy) });
    let write = &inode(k).writes[usize::from(index)];
    if write.get().is_some() {
        inode(k).behind[usize::from(index)].set(copied);
        return false;
    }
    write.set(copied);
    k.copy_begin(index);
    true
}

/// Queues the request for this index, and sends what may be sent.
fn queue(k: &Kernel<impl FuseInodes>, index: u8) {
    inode(k).queued.update(|queued| queued | 1 << index);
    flush(k);
}

/// fuse_flush_writepages.
fn flush(k: &Kernel<impl FuseInodes>) {
    if !inode(k).no_write.get() {
        ones(inode(k).queued.take()).for_each(|index| send(k, index));
    }
}

/// fuse_send_writepage: what lies below i_size now.
fn send(k: &Kernel<impl FuseInodes>, index: u8) {
    let g = k.geometry();
    let end = k.i_size().saturating_sub(index * g.cells).min(g.cells);
    match inode(k).writes[usize::from(index)].get() {
        Some(Write { page, copy }) if end != 0 => {
            k.commit_begin();
            let (cells, copy_of) = (Range::new(0, end), copy.map(|_| index));
            k.submit(Request { cells, copy_of, ..Request::new(page) });
        }
        _ => finish(k, index), // truncated off completely
    }
}

/// fuse_writepage_finish: nothing is to be written of the page at this index any more.
fn finish(k: &Kernel<impl FuseInodes>, index: u8) {
    inode(k).behind[usize::from(index)].set(None);
    match inode(k).writes[usize::from(index)].take() {
        Some(Write { page, copy: None }) => k.end_page_writeback(page),
        _ => k.copy_end(index),
    }
}

/// fuse_set_nowrite.
async fn set_nowrite(k: &Kernel<impl FuseInodes>) {
    k.at(P::NowriteSet).await;
    inode(k).no_write.set(true);
    k.wait_on_commit(P::NowriteWait).await;
}

/// __fuse_release_nowrite.
fn release_nowrite(k: &Kernel<impl FuseInodes>) {
    inode(k).no_write.set(false);
    flush(k);
}

/// fuse_sync_writes.
async fn sync_writes(k: &Kernel<impl FuseInodes>) {
    set_nowrite(k).await;
    release_nowrite(k);
}

/// fuse_write_update_attr: the file reaches at least to this cell.
fn reaches(k: &Kernel<impl FuseInodes>, end: u8) {
    inode(k).changed();
    if end > k.i_size() {
        k.i_size_write(end);
    }
}

impl Fuse {
    /// All of them, oldest first.
    pub const VERSIONS: &[Fuse] = &[Fuse::V6_12, Fuse::V6_12Cached, Fuse::V6_18, Fuse::V6_18Cached];

    fn has_writeback_cache(self) -> bool {
        matches!(self, Fuse::V6_12Cached | Fuse::V6_18Cached)
    }

    fn copies(self) -> bool {
        matches!(self, Fuse::V6_12 | Fuse::V6_12Cached)
    }

    /// fuse_wait_on_page_writeback, later folio_wait_writeback.
    async fn wait(self, k: &Kernel<impl FuseInodes>, page: Frame) {
        if self.copies() {
            k.wait_on_copy(k.index(page), P::CopyWait).await;
        } else {
            k.wait_on_page_writeback(page, P::CopyWait).await;
        }
    }

    /// fuse_writepages_fill of 6.12: the page is copied, and what is to be sent is the copy.
    async fn write_copy(self, k: &Kernel<impl FuseInodes>, page: Frame) {
        buffer::start_writeback(k, page).await;
        let alone = add_copy(k, page);
        let ends = !alone || k.reaches_plant(Plant::CopyNotQueued);
        if ends {
            k.end_page_writeback(page);
        }
        buffer::unlock_started(k, page).await;
        if alone {
            k.at_page(P::WritepageSubmit, page).await;
            queue(k, k.index(page));
        }
        if !ends {
            k.at_page(P::WritepageEnd, page).await;
            k.end_page_writeback(page);
        }
    }

    /// iomap_writeback_folio, and the request for the page; whether there is one.
    async fn add(self, k: &Kernel<impl FuseInodes>, page: Frame) -> bool {
        let Some(size) = buffer::clip_to_eof(k, page).await else { return false };
        buffer::start_writeback(k, page).await;
        inode(k).writes[usize::from(k.index(page))].set(Some(Write { page, copy: None }));
        k.note_submitted(page, size);
        true
    }

    /// fuse_send_write_pages, for one page: the server takes the data from the page as it is.
    async fn send_write(self, k: &Kernel<impl FuseInodes>, page: Frame, cells: Range) {
        self.wait(k, page).await;
        k.at_page(P::WriteSend, page).await;
        let content = content(k, page);
        k.at_size(P::WriteServed).await;
        serve(k, k.index(page), &content, cells, false);
    }
}

impl<F: FuseInodes> Implementation<F> for Fuse {
    fn declaration(self) -> &'static Declaration {
        const V6_12: Declaration = Declaration {
            name: "fuse@6.12",
            convention: Convention::Locked,
            natural: Era::V6_12,
            era: Era::V6_12,
            page_cache: true,
            stable_pages: false,
            freezes: false,
            size_guard: SizeGuard::InodeLock,
            may_differ: &[Aspect::Blocks],
            record: "nothing",
            source: "6.12 fs/fuse/file.c, dir.c [fuse-page-mkwrite, fuse-copies, fuse-nowrite, fuse-write-through]",
        };
        const V6_18: Declaration = Declaration {
            name: "fuse@6.18",
            natural: Era::V6_18,
            era: Era::V6_18,
            source: "6.18 fs/fuse/file.c, dir.c [fuse-page-mkwrite, fuse-iomap, fuse-nowrite, fuse-write-through]",
            ..V6_12
        };
        match self {
            Fuse::V6_12 => &V6_12,
            Fuse::V6_12Cached => &Declaration { name: "fuse-writeback@6.12", ..V6_12 },
            Fuse::V6_18 => &V6_18,
            Fuse::V6_18Cached => &Declaration { name: "fuse-writeback@6.18", ..V6_18 },
        }
    }
}

impl<F: FuseInodes> VmOperations<F> for Fuse {
    async fn page_mkwrite(self, k: &Kernel<F>, page: Frame) -> Code {
        k.lock_page(page, P::MkwriteLock).await;
        if !k.still_in_mapping(page) {
            k.unlock_page(page);
            return NOPAGE;
        }
        self.wait(k, page).await;
        if k.remedied(Remedy::DirtyInMkwrite) {
            k.at_page(P::MkwriteDirty, page).await;
            k.set_page_dirty(page).await;
        }
        LOCKED
    }

    /// fuse_vma_close.
    async fn close(self, k: &Kernel<F>) {
        mm::write_and_wait(k, Range::new(0, PAGES_MAX as u8)).await;
    }
}

impl<F: FuseInodes> AddressSpaceOperations<F> for Fuse {
    async fn writepage(self, k: &Kernel<F>, page: Frame, _: WbSync) -> Status {
        if self.copies() {
            self.write_copy(k, page).await;
        } else if self.add(k, page).await {
            buffer::unlock_started(k, page).await;
            k.at_page(P::WritepageSubmit, page).await;
            queue(k, k.index(page));
        } else {
            k.unlock_page(page);
        }
        Status::Ok
    }

    /// fuse_do_readpage. A page of 6.18 that is under writeback is cached and up to date.
    async fn readpage(self, k: &Kernel<F>, page: Frame) {
        if self.copies() {
            k.wait_on_copy(k.index(page), P::CopyWait).await;
        }
        let version = inode(k).version.get();
        k.at_page(P::ReadServed, page).await;
        let (first, cells) = (k.first_cell(page), k.geometry().cells);
        let size = k.server().attributes().size;
        for cell in 0..cells {
            let stamp =
                if first + cell < size { k.server().read(first + cell) } else { Stamp::ZERO };
            k.set_cell(page, cell, stamp);
        }
        if size >= first + cells || self.has_writeback_cache() {
            return;
        }
        k.at_size(P::ReadReply).await;
        let (inode, end) = (inode(k), size.max(first));
        let same = version == inode.version.get() && !inode.unstable.get();
        if end < k.i_size() && (same || k.reaches_plant(Plant::ShortReadShrinks)) {
            inode.changed();
            k.i_size_write(end);
        }
    }

    async fn write_checks(self, k: &Kernel<F>, cells: Range) {
        inode(k).writing.set(cells);
        if !self.has_writeback_cache() && cells.end > k.i_size() {
            inode(k).unstable.set(true);
        }
    }

    /// fuse_write_begin, or that part of fuse_fill_write_pages.
    async fn write_begin(self, k: &Kernel<F>, index: u8, _: Range) -> Result<Frame, Status> {
        if !self.has_writeback_cache() {
            return mm::find_or_add_page(k, index, true).await;
        }
        let page = mm::grab_page(k, index).await?;
        if self.copies() {
            k.wait_on_copy(index, P::CopyWait).await;
        }
        Ok(page)
    }

    /// fuse_write_end, or iomap_write_end; without the writeback cache a page that is not up to date
    /// is sent before it is unlocked.
    async fn write_end(self, k: &Kernel<F>, page: Frame, cells: Range) {
        if self.has_writeback_cache() {
            let was_dirty = k.is_dirty(page);
            if self.copies() {
                mm::raise_size(k, page, cells, was_dirty).await;
            }
            k.at_page(P::WriteDirty, page).await;
            k.set_page_dirty(page).await;
            if !self.copies() {
                mm::raise_size(k, page, cells, was_dirty).await;
            }
            return;
        }
        if k.is_whole_page(cells) {
            k.set_flag(page, UPTODATE);
        }
        if k.remedied(Remedy::LockedWrite) {
            self.send_write(k, page, cells).await;
            k.at_size(P::WriteSize).await;
            reaches(k, k.first_cell(page) + cells.end);
        } else if !k.is_uptodate(page) {
            self.send_write(k, page, cells).await;
        }
    }

    async fn write_unlocked(self, k: &Kernel<F>, page: Frame, cells: Range) {
        if self.has_writeback_cache() {
            return;
        }
        if k.is_uptodate(page) && !k.remedied(Remedy::LockedWrite) {
            self.send_write(k, page, cells).await;
        }
        let end = k.first_cell(page) + cells.end;
        if end == inode(k).writing.get().end {
            k.at_size(P::WriteSize).await;
            reaches(k, end);
            inode(k).unstable.set(false);
        }
    }

    async fn write_ended(self, k: &Kernel<F>, cells: Range, written: u8) {
        if self.has_writeback_cache() {
            return;
        }
        k.at_size(P::WriteSize).await;
        let end = cells.start + written;
        if end > inode(k).writing.get().start {
            reaches(k, end);
        }
        // A remedy may have made the file longer than the server knows; setattr puts that right.
        inode(k).unstable.set(k.i_size() > k.server().attributes().size);
    }

    /// Nothing was got for it.
    async fn write_failed(self, _: &Kernel<F>, _: Range) {}

    async fn size_extended(self, _: &Kernel<F>, _: u8, _: u8) {}

    async fn launder_page(self, k: &Kernel<F>, page: Frame) {
        if !k.clear_page_dirty_for_io(page).await {
            return;
        }
        if self.copies() {
            self.wait(k, page).await;
            buffer::start_writeback(k, page).await;
            if add_copy(k, page) {
                queue(k, k.index(page));
            }
            k.at_page(P::WritepageEnd, page).await;
            k.end_page_writeback(page);
        } else if self.add(k, page).await {
            k.at_page(P::WritepageSubmit, page).await;
            queue(k, k.index(page));
        }
        self.wait(k, page).await;
    }
}

impl<F: FuseInodes> InodeOperations<F> for Fuse {
    /// fuse_do_setattr.
    async fn setattr(self, k: &Kernel<F>, size: u8) -> Status {
        set_nowrite(k).await;
        inode(k).unstable.set(true);
        k.at(P::TruncateSetattr).await;
        k.server().set_size(size);
        k.at_size(P::TruncateRefresh).await;
        inode(k).changed();
        let old = k.i_size();
        if size > old {
            if k.remedied(Remedy::IsizeExtended) || k.remedied(Remedy::ZeroTail) {
                // They lock the page, and who has it locked may wait for the queue.
                release_nowrite(k);
            }
            mm::extend(k, size).await;
        } else if size < old {
            k.i_size_write(size);
        }
        release_nowrite(k);
        if size != old {
            mm::truncate_pagecache(k, size).await;
            mm::invalidate_inode_pages2(k, Range::new(0, PAGES_MAX as u8)).await;
        }
        inode(k).unstable.set(false);
        Status::Ok
    }

    /// fuse_file_fallocate.
    async fn fallocate(self, k: &Kernel<F>, mode: Fallocate, cells: Range) -> Status {
        let clears = !matches!(mode, Fallocate::Allocate { .. });
        if clears && k.remedied(Remedy::PunchRefused) {
            return Status::NotSupported;
        }
        let extends =
            !matches!(mode, Fallocate::PunchHole | Fallocate::Allocate { keep_size: true });
        k.inode_lock(if clears { P::PunchInode } else { P::FallocateInode }).await;
        if clears && !k.reaches_plant(Plant::PunchNoFlush) {
            // fuse_writeback_range
            let from = k.geometry().page_of(cells.start);
            mm::write_and_wait(k, Range::new(from, PAGES_MAX as u8)).await;
            sync_writes(k).await;
        }
        if extends {
            inode(k).unstable.set(true);
        }
        k.at(if clears { P::PunchBlocks } else { P::FallocateBlocks }).await;
        if clears {
            k.server().deallocate(cells);
        }
        if extends && cells.end > k.server().attributes().size {
            k.server().set_size(cells.end);
        }
        if extends {
            k.at_size(P::FallocateSize).await;
            inode(k).changed();
            if cells.end > k.i_size() {
                mm::extend(k, cells.end).await;
            }
        }
        if clears {
            mm::truncate_pagecache_range(k, cells).await;
        }
        inode(k).unstable.set(false);
        k.inode_unlock();
        Status::Ok
    }

    async fn fsync(self, k: &Kernel<F>) -> Status {
        k.inode_lock(P::FsyncInode).await;
        let mut status = mm::file_write_and_wait(k).await;
        if status == Status::Ok {
            sync_writes(k).await;
            k.at(P::FsyncError).await;
            status = k.mapping_take_error();
        }
        if status == Status::Ok && !k.reaches_plant(Plant::FsyncNoCommit) {
            k.at(P::CommitSend).await;
            k.server().commit();
        }
        k.inode_unlock();
        status
    }

    /// The times alone.
    async fn write_inode(self, _: &Kernel<F>) {}
}

impl<F: FuseInodes> RequestOperations<F> for Fuse {
    async fn transfer(self, k: &Kernel<F>, request: Request) {
        let index = k.index_of(&request);
        if let Some(Write { page, copy }) = inode(k).writes[usize::from(index)].get() {
            let content = copy.unwrap_or_else(|| content(k, page));
            serve(k, index, &content, request.cells, request.stable);
        }
    }

    /// fuse_writepage_end. What waits behind is cut where the request was.
    async fn complete(self, k: &Kernel<F>, request: Request) {
        let (inode, index) = (inode(k), k.index_of(&request));
        if request.fails && !k.reaches_plant(Plant::ErrorForgotten) {
            k.mapping_set_error(Status::Io);
        }
        k.at_slot(P::IoRecord, index).await;
        while let Some(next) = inode.behind[usize::from(index)].take() {
            inode.writes[usize::from(index)].set(Some(next));
            k.at_slot(P::IoTransfer, index).await;
            self.transfer(k, request).await;
            k.at_slot(P::IoRecord, index).await;
        }
        finish(k, index);
        k.commit_end();
    }
}

impl<F: FuseInodes> Store<F> for Fuse {
    fn launders(self) -> bool {
        true
    }

    fn durable(self, k: &Kernel<F>, cell: u8) -> Stamp {
        k.server().stable(cell)
    }

    fn stored(self, k: &Kernel<F>, cell: u8) -> Stamp {
        k.server().read(cell)
    }

    /// A READ waits for the requests of its page.
    fn readable(self, k: &Kernel<F>, cell: u8) -> Stamp {
        let g = k.geometry();
        let (index, of_page) = (g.page_of(cell), cell % g.cells);
        let own = |request: &Request| request.copy_of == Some(index);
        let sent = (0..PAGES_MAX as u8).filter_map(|slot| k.request(slot)).find(own);
        let end = sent.map_or(k.i_size(), |request| index * g.cells + request.cells.end);
        let last = inode(k).behind[usize::from(index)].get();
        match last.or(inode(k).writes[usize::from(index)].get()) {
            Some(Write { copy: Some(copy), .. }) if cell < end => copy[usize::from(of_page)],
            _ => k.server().read(cell),
        }
    }

    fn durable_size(self, k: &Kernel<F>) -> u8 {
        k.server().stable_size()
    }

    fn allocated(self, _: &Kernel<F>) -> u32 {
        0 // the server's, and none of the client's business
    }
}
