//! read(2) and write(2) through the page cache: 2.6.30 mm/filemap.c; fs/buffer.c,
//! generic_write_end.
//!
//! read looks the page up, reads i_size after the page is uptodate, and copies without the page
//! lock. write holds the inode lock, and per page: write_begin locks it, reads it if needed and
//! gets space; the copy; write_end dirties it and raises i_size while it is still locked. Left out:
//! readahead; reading only the blocks that a partial write needs (the whole page is read).
//!
//! The buffer of write(2) is memory that is always there, but for a copy that ends half way through
//! a page, which ends the write; or it is a mapping of the same file (`[copy-from-mapping]`). That is
//! touched before write_begin; the copy, which may not fault with the page locked, gets as far as
//! there are ptes, and what it lacks is touched and copied in another round. Left out: that 6.12
//! copies a buffer that can be touched in part so far, and 6.18 touches it only where the copy got
//! nothing.
//!
//! Here is also the generic page_mkwrite of 3.10, which mappings that have none get as a remedy,
//! too.

use super::by_page;
use super::fault::find_to_read;
use super::truncate::{extend, treats_eof_page};
use super::user::{Access, access};
use crate::case::{Effect, Operation, Range, Site};
use crate::implementation::{Code, Filesystem, LOCKED, NOPAGE};
use crate::kernel::{Call, Frame, Kernel, Mm, Pipe, Stamp, Status};
use crate::plant::Plant;
use crate::point::{Point as P, points};
use crate::remedy::Remedy;

points! {
    130 ReadFind      "read.find_page"       "read(2): look the page up, or add a new locked one";
    131 ReadLock      "read.lock_page"       "read(2): lock a page that is not uptodate";
    132 ReadPage      "read.readpage"        "read(2): read the page from the store";
    262 ReadInvalidate "read.invalidate_lock" "read(2): take invalidate_lock, shared: the page is not cached, or not uptodate";
    133 ReadSize      "read.i_size"          "read(2): read i_size, decide how much to copy";
    134 ReadCopy      "read.copy"            "read(2): copy from the page";
    140 WriteInode    "write.inode_lock"     "write(2): take the inode lock";
    141 WriteFind     "write.find_page"      "write_begin: look the page up, or add a new locked one";
    142 WriteLock     "write.lock_page"      "write_begin: lock the page, check its mapping";
    143 WriteWait     "write.wait_writeback" "write_begin: wait for writeback";
    144 WriteRead     "write.readpage"       "write_begin: read a page that is not uptodate";
    145 WriteAttach   "write.attach"         "write_begin: allocate blocks";
    146 WriteCopy     "write.copy"           "write(2): copy into the page";
    147 WriteDirty    "write.set_page_dirty" "write_end: mark blocks and page dirty";
    148 WriteSize     "write.i_size"         "write_end: raise i_size with the page locked";
    149 WriteUnlock   "write.unlock_page"    "write_end: unlock_page, drop the reference";
    150 WriteThrottle "write.throttle"       "write(2): balance_dirty_pages_ratelimited, time update";
    256 CopyCheck     "copy_range.check"     "copy_file_range(2): read i_size, shorten the copy to it, refuse ranges that overlap";
}

/// read(2): the cells below i_size, page by page.
pub(crate) async fn read<F: Filesystem>(k: &Kernel<F>, cells: Range) -> Status {
    for (index, cells) in by_page(k, cells) {
        let page = match find_uptodate_page(k, index).await {
            Ok(page) => page,
            Err(status) => return status,
        };
        k.at_size(P::ReadSize).await;
        let below_eof = k.length_below_eof(page);
        if below_eof > cells.start {
            k.at_page(P::ReadCopy, page).await;
            for cell in cells.clip(Range::new(0, below_eof)).iter() {
                k.task().outcome.push(k.cell(page, cell));
            }
        }
        k.put_page(page);
        if below_eof < cells.end {
            break;
        }
    }
    Status::Ok
}

/// The page at `index`, uptodate, with a reference.
async fn find_uptodate_page<F: Filesystem>(k: &Kernel<F>, index: u8) -> Result<Frame, Status> {
    let mut locked = false;
    let found = loop {
        let found = find_to_read(k, index, P::ReadFind, P::ReadInvalidate, &mut locked).await;
        match found {
            Some(page) if k.is_uptodate(page) => {
                if k.is_dirty(page) && k.reaches_plant(Plant::ReadRereadsDirty) {
                    k.read_page_surely(page).await;
                }
                break Ok(page);
            }
            Some(page) => {
                k.lock_page(page, P::ReadLock).await;
                let gone = !k.in_mapping(page);
                let is_read = gone || k.is_uptodate(page) || read_one(k, page).await;
                k.unlock_page(page);
                if !gone && is_read {
                    break Ok(page);
                }
                k.put_page(page);
                if !is_read {
                    break Err(Status::Io);
                }
            }
            None => {
                let Some(page) = k.add_to_page_cache(index) else { break Err(Status::NoMemory) };
                let is_read = read_one(k, page).await;
                k.unlock_page(page);
                if is_read {
                    break Ok(page);
                }
                k.put_page(page);
                break Err(Status::Io);
            }
        }
    };
    if locked {
        k.invalidate_unlock_shared();
    }
    found
}

async fn read_one<F: Filesystem>(k: &Kernel<F>, page: Frame) -> bool {
    k.at_page(P::ReadPage, page).await;
    k.read_page(page).await
}

/// filemap_page_mkwrite of 3.10: the least that closes the window; and wait_for_stable_page.
pub async fn filemap_page_mkwrite<F: Filesystem>(k: &Kernel<F>, page: Frame) -> Code {
    k.lock_page(page, P::MkwriteLock).await;
    if !k.still_in_mapping(page) {
        k.unlock_page(page);
        return NOPAGE;
    }
    k.at_page(P::MkwriteDirty, page).await;
    k.set_page_dirty(page).await;
    wait_for_stable_page(k, page).await;
    LOCKED
}

/// wait_for_stable_page of page_mkwrite, on a device that needs it.
pub async fn wait_for_stable_page<F: Filesystem>(k: &Kernel<F>, page: Frame) {
    if k.fs().declaration().stable_pages && !k.reaches_plant(Plant::NoStableWait) {
        k.wait_on_page_writeback(page, P::MkwriteWait).await;
    }
}

impl Pipe {
    /// What goes to this cell of the file.
    fn read<F: Filesystem>(self, k: &Kernel<F>, cell: u8) -> Stamp {
        let cell = cell - self.to + self.from;
        let is_its = |page: &Frame| k.index(*page) == k.geometry().page_of(cell);
        // A planted bug can have freed it, and the frame is another page by now.
        let page = Frame::all(self.pages).find(is_its);
        page.map_or(Stamp::ZERO, |page| k.cell(page, cell % k.geometry().cells))
    }
}

/// Where what is written comes from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Source {
    /// A buffer of the user's own.
    Buffer,
    /// Other cells of the file.
    File(Range),
    /// A buffer that lies in this address space's mapping of the file. What it holds does not matter.
    Mapping(Mm),
}

/// write(2): generic_file_aio_write and generic_perform_write. Its result is what it writes.
///
/// And copy_file_range(2), which is a write(2) of what it has read first; its result is what it has
/// read. (One function, because each layer makes the future of every actor larger.)
#[allow(clippy::manual_async_fn)] // an async function keeps its arguments twice
pub(crate) fn write<F: Filesystem>(
    k: &Kernel<F>,
    slot: u8,
    mut cells: Range,
    source: Source,
) -> impl Future<Output = Status> {
    async move {
        if let Source::File(from) = source {
            cells = read_to_copy(k, from, cells).await;
            if cells.is_empty() {
                return empty_pipe(k, Status::Ok);
            }
        }
        let unlocked = k.reaches_plant(Plant::WriteNoInodeLock);
        if !unlocked {
            k.inode_lock(P::WriteInode).await;
        }
        k.fs().write_checks(k, cells).await;
        let size = k.i_size();
        let fills_gap =
            treats_eof_page(k) && cells.start > size && !size.is_multiple_of(k.geometry().cells);
        if fills_gap {
            // The rest of the last page becomes part of the file first, as cont_write_begin has it
            // (2.6.30 fs/buffer.c).
            extend(k, cells.start.min(size.next_multiple_of(k.geometry().cells))).await;
        }
        let mut status = Status::Ok;
        'pages: for (index, mut rest) in by_page(k, cells) {
            while !rest.is_empty() {
                let (mm, buffer) = buffer_of(k, source, index, rest);
                let touched = access(k, slot, mm, buffer, Access::FaultIn).await;
                let old = k.i_size();
                let begun = match touched {
                    Status::Ok => begin(k, index, rest).await,
                    _ => Err(Status::Fault),
                };
                let copied = match begun {
                    Ok((page, asked)) => {
                        let (mm, buffer) = faulted_locked(k, source, index, asked);
                        access(k, slot, mm, buffer, Access::FaultIn).await;
                        fill(k, slot, page, asked, source, old).await
                    }
                    Err(error) => Err(error),
                };
                match copied {
                    Ok(missed) if missed.is_empty() => rest.start = missed.start,
                    Ok(missed) => {
                        rest.start = missed.start;
                        k.fs().write_failed(k, of_file(k, index, missed)).await;
                    }
                    Err(error) => status = error,
                }
                if status != Status::Ok {
                    k.fs().write_ended(k, of_file(k, index, rest), written(k, index, rest)).await;
                    // What filled the gap goes again, and the blocks beyond the end that write_begin
                    // got.
                    let gap_alone = (fills_gap || k.remedied(Remedy::NfsLastPage))
                        && k.task().outcome.done() == 0
                        && k.i_size() > size;
                    let had_page =
                        touched == Status::Ok && !matches!(status, Status::NoMemory | Status::Io);
                    if gap_alone {
                        k.calls_with_inode(Call::Setattr);
                        k.fs().setattr(k, size).await; // also at a server, which may know of it by now
                    } else if had_page {
                        k.fs().write_failed(k, of_file(k, index, rest)).await;
                    }
                    break 'pages;
                }
                k.at(P::WriteThrottle).await;
                k.balance_dirty_pages(true);
            }
        }
        if !unlocked {
            k.inode_unlock();
        }
        empty_pipe(k, status)
    }
}

/// These cells of a page, counted from its start, as cells of the file.
fn of_file<F: Filesystem>(k: &Kernel<F>, index: u8, cells: Range) -> Range {
    let first = index * k.geometry().cells;
    Range::new(first + cells.start, first + cells.end)
}

/// Where the buffer has what goes to these cells of a page: the address space, and the cells of the
/// file that are mapped there; none if it is the user's own.
fn buffer_of<F: Filesystem>(k: &Kernel<F>, source: Source, index: u8, cells: Range) -> (Mm, Range) {
    match (source, k.task().operation().effect()) {
        (Source::Mapping(mm), Effect::WritesMapped { from, to }) => {
            let start = of_file(k, index, cells).start - to.start + from.start;
            (mm, Range::new(start, start + (cells.end - cells.start)))
        }
        _ => (Mm(0), Range::default()),
    }
}

/// How far a copy to these cells of a page gets that may not fault: to the first page of the buffer
/// that has no pte.
fn reachable<F: Filesystem>(k: &Kernel<F>, source: Source, index: u8, cells: Range) -> Range {
    let (mm, buffer) = buffer_of(k, source, index, cells);
    let lacks = |cell: &u8| k.pte(mm, k.geometry().page_of(*cell)).page().is_none();
    match buffer.iter().find(lacks) {
        Some(cell) => Range::new(cells.start, cells.start + (cell - buffer.start)),
        None => cells,
    }
}

/// What of the buffer is touched with the page locked: nothing, but for a planted bug.
fn faulted_locked<F: Filesystem>(
    k: &Kernel<F>,
    source: Source,
    index: u8,
    cells: Range,
) -> (Mm, Range) {
    let lacks = reachable(k, source, index, cells) != cells;
    let (mm, buffer) = buffer_of(k, source, index, cells);
    (mm, if lacks && k.reaches_plant(Plant::CopyFaultsLocked) { buffer } else { Range::default() })
}

/// How many of these cells of a page the write(2) that runs has written; it came to the first.
fn written<F: Filesystem>(k: &Kernel<F>, index: u8, rest: Range) -> u8 {
    // Of the operation: a range that is kept over the steps makes the future larger.
    let cells = k.task().operation().effect().writes().unwrap_or_default();
    (cells.start + k.task().outcome.done()).saturating_sub(of_file(k, index, rest).start)
}

/// write_begin: the page, and of these of its cells those that it is prepared for.
async fn begin<F: Filesystem>(
    k: &Kernel<F>,
    index: u8,
    asked: Range,
) -> Result<(Frame, Range), Status> {
    k.calls_with_inode(Call::WriteBegin);
    let page = k.fs().write_begin(k, index, asked).await?;
    let asked = k.fs().prepared(k, page, asked).await;
    if k.reaches_plant(Plant::WriteBeginUnlocked) {
        k.unlock_page(page);
    }
    k.calls_locked(Call::WriteBegin, page);
    k.at_page(P::WriteCopy, page).await;
    Ok((page, asked))
}

/// The copy into these cells of the page, and write_end; `old` is the size before. Returns the cells
/// that the copy did not get to; they begin where it ended.
async fn fill<F: Filesystem>(
    k: &Kernel<F>,
    slot: u8,
    page: Frame,
    asked: Range,
    source: Source,
    old: u8,
) -> Result<Range, Status> {
    let pipe = k.task().pipe.get();
    let goes_away = pipe.pages == 0 && k.fails(Site::Copy);
    let cells = if goes_away { first_half(asked) } else { asked };
    let cells = reachable(k, source, k.index(page), cells);
    for cell in cells.iter() {
        let of_file = k.first_cell(page) + cell;
        let stamp = Stamp::new(k.tasks.current(), slot, of_file);
        k.task().outcome.push(if pipe.pages == 0 { stamp } else { pipe.read(k, of_file) });
        k.set_cell(page, cell, stamp);
    }
    if k.is_planted(Plant::WriteBeginUnlocked) {
        k.lock_page(page, P::WriteLock).await;
    }
    k.calls_locked(Call::WriteEnd, page);
    k.calls_with_inode(Call::WriteEnd);
    if cells != asked {
        k.fs().write_short(k, page, asked, cells).await;
    } else {
        k.fs().write_end(k, page, cells).await;
    }
    k.at_page(P::WriteUnlock, page).await;
    k.unlock_page(page);
    let end = k.first_cell(page) + cells.end;
    if end > k.i_size() && !cells.is_empty() && k.reaches_plant(Plant::SizeAfterUnlock) {
        k.at_size(P::WriteSize).await;
        k.i_size_write(end);
    }
    let start = k.first_cell(page) + cells.start;
    if !cells.is_empty() {
        k.fs().write_unlocked(k, page, cells).await;
    }
    k.put_page(page);
    if old < start && !cells.is_empty() {
        k.fs().size_extended(k, old, start).await;
    }
    if goes_away { Err(Status::Fault) } else { Ok(Range::new(cells.end, asked.end)) }
}

/// The first half of these cells, none of a single one: what is copied if the copy is short.
fn first_half(cells: Range) -> Range {
    Range::new(cells.start, cells.start + (cells.end - cells.start) / 2)
}

/// The first half of copy_file_range(2) within the file, where the filesystem has none of its own
/// (6.1 fs/read_write.c: generic_copy_file_checks, do_splice_direct): the pages of the source go
/// into a pipe as they are, with references. Returns the cells to write. From the other file it is
/// the same: nothing of the file that is written is locked while the other one is read.
async fn read_to_copy<F: Filesystem>(k: &Kernel<F>, from: Range, to: Range) -> Range {
    let own = k.file_id();
    let is_other = matches!(k.task().operation(), Operation::CopyOther(..));
    if is_other {
        k.work_on(own.other());
    }
    k.at_size(P::CopyCheck).await;
    let from = from.no_longer_than(to).clip(Range::new(0, k.i_size()));
    let mut cells = Range::new(to.start, to.start);
    if from.is_empty() {
        k.work_on(own);
        return cells;
    }
    k.task().pipe.set(Pipe { from: from.start, to: to.start, ..Pipe::default() });
    let end = to.start + (from.end - from.start);
    let status = if !is_other && from.start < end && to.start < from.end {
        Status::Invalid
    } else {
        splice(k, from, &mut cells.end).await
    };
    k.task().pipe.update(|pipe| Pipe { status, ..pipe });
    k.work_on(own);
    cells
}

/// generic_file_splice_read: puts the pages of these cells up to i_size into the task's pipe, each
/// with a reference, and moves the end of what is to be written.
async fn splice<F: Filesystem>(k: &Kernel<F>, cells: Range, end: &mut u8) -> Status {
    let start = *end;
    for (index, of_page) in by_page(k, cells) {
        let page = match find_uptodate_page(k, index).await {
            Ok(page) => page,
            Err(status) => return status,
        };
        k.at_size(P::ReadSize).await;
        k.task().pipe.update(|pipe| Pipe { pages: pipe.pages | page.bit(), ..pipe });
        let below_eof = of_page.clip(Range::new(0, k.length_below_eof(page)));
        if !below_eof.is_empty() {
            *end = start + (index * k.geometry().cells + below_eof.end - cells.start);
        }
        if below_eof.end < of_page.end {
            break;
        }
    }
    Status::Ok
}

/// The end of a copy: its references go, and if writing went well it returns what reading did.
fn empty_pipe<F: Filesystem>(k: &Kernel<F>, written: Status) -> Status {
    let pipe = k.task().pipe.take();
    Frame::all(pipe.pages).for_each(|page| k.put_page(page));
    written.or(pipe.status)
}

/// The i_size part of generic_write_end: with the page still locked.
pub async fn raise_size<F: Filesystem>(k: &Kernel<F>, page: Frame, cells: Range, was_dirty: bool) {
    let end = k.first_cell(page) + cells.end;
    if end <= k.i_size()
        || (was_dirty && k.reaches_plant(Plant::ShortExtend))
        || k.reaches_plant(Plant::SizeAfterUnlock)
    {
        return;
    }
    k.at_size(P::WriteSize).await;
    if k.reaches_plant(Plant::SizeWithoutLock) {
        k.inode_unlock();
    }
    k.i_size_write(end);
    if k.reaches_plant(Plant::SizeWithoutLock) {
        k.inode_lock(P::WriteInode).await;
    }
}

/// grab_cache_page_write_begin: the page at `index`, locked, uptodate, with a reference.
pub async fn grab_page<F: Filesystem>(k: &Kernel<F>, index: u8) -> Result<Frame, Status> {
    grab(k, index, true).await
}

/// The same; the case has a say in it, or has not.
pub(super) async fn grab<F: Filesystem>(
    k: &Kernel<F>,
    index: u8,
    can_fail: bool,
) -> Result<Frame, Status> {
    let page = find_or_add_page(k, index, can_fail).await?;
    if !k.is_uptodate(page) {
        k.at_page(P::WriteRead, page).await;
        if !can_fail {
            k.read_page_surely(page).await;
        } else if !k.read_page(page).await {
            k.unlock_page(page);
            k.put_page(page);
            return Err(Status::Io);
        }
    }
    Ok(page)
}

/// __filemap_get_folio for a write: the page at `index`, locked, with a reference, perhaps not
/// uptodate. The case has a say in whether there is memory for it, or has not.
pub async fn find_or_add_page<F: Filesystem>(
    k: &Kernel<F>,
    index: u8,
    can_fail: bool,
) -> Result<Frame, Status> {
    loop {
        k.at_slot(P::WriteFind, index).await;
        let Some(page) = k.find_get_page(index) else {
            let page = if can_fail { k.add_to_page_cache(index) } else { k.add_new_page(index) };
            return page.ok_or(Status::NoMemory);
        };
        k.lock_page(page, P::WriteLock).await;
        if k.in_mapping(page) {
            return Ok(page);
        }
        k.unlock_page(page);
        k.put_page(page);
    }
}
