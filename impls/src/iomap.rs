//! iomap: buffered I/O on mappings of ranges, which a filesystem hands out. 6.12
//! fs/iomap/buffered-io.c, fs/iomap/iter.c (`[iomap-folio-state]`, `[iomap-write]`,
//! `[iomap-zero-range]`).
//!
//! A page of several blocks has a state with bits uptodate and dirty per block; one of a single
//! block has none. A write(2) looks a mapping up once, reserves space where there is a hole, and
//! fills page by page; with each page locked it asks whether the mapping is still valid, and looks
//! again if not. So one page can take several rounds, one per mapping. What a write(2) that ends
//! early has reserved goes again, except where a dirty page needs it. writepage starts writeback
//! before it maps, skips dirty blocks over holes, and clears all dirty bits. Left out: I/O over
//! several pages, and several requests for one page; reads of a page that is uptodate in part;
//! shared blocks, inline data; that writepage keeps its error in the mapping last, when an fsync may
//! have passed; that a copy of nothing marks an uptodate page dirty, also beyond the end; reads and
//! flushes that fail while a range is zeroed.

use std::cell::Cell;

use mkwrite_model::case::{Range, Site};
use mkwrite_model::implementation::{
    AddressSpaceOperations, Code, Filesystem, Holds, InodeState, Keeps, LOCKED, NOPAGE, Record,
    SIGBUS, WbSync,
};
use mkwrite_model::kernel::page::UPTODATE;
use mkwrite_model::kernel::{Event, Extent, Frame, Kernel, NO_BLOCK, Request, Stamp, Status};
use mkwrite_model::mm;
use mkwrite_model::plant::Plant;
use mkwrite_model::point::Point as P;
use mkwrite_model::remedy::Remedy;

use crate::buffer::{self, all_blocks, bits, blocks_below_eof, blocks_touched, file_block};

/// struct iomap_folio_state: blocks of a page, one bit each.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct FolioState {
    uptodate: u8,
    dirty: u8,
}

impl std::fmt::Display for FolioState {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let of = buffer::blocks_in_words;
        write!(f, "iomap: {} uptodate, {} dirty", of(self.uptodate), of(self.dirty))
    }
}

/// What a mapping says of its blocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Nothing is there.
    Hole,
    /// Space is reserved.
    Delayed,
    /// Allocated, and reads as zeros.
    Unwritten,
    /// Allocated and written.
    Written,
}

impl From<Extent> for Kind {
    fn from(extent: Extent) -> Kind {
        match extent {
            Extent::Hole => Kind::Hole,
            Extent::Delayed => Kind::Delayed,
            Extent::Unwritten(_) => Kind::Unwritten,
            Extent::Written(_) => Kind::Written,
        }
    }
}

/// struct iomap: what lies under some blocks of the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Mapping {
    /// The blocks of the file.
    pub blocks: Range,
    /// What is under all of them.
    pub kind: Kind,
    /// Their space was reserved for this mapping (IOMAP_F_NEW).
    pub fresh: bool,
    /// The validity cookie: how often the map of the file had changed.
    pub changes: u16,
    /// The cell at which the iteration over the mapping began.
    pub from: u8,
}

impl Mapping {
    /// The cells of the file that it covers.
    fn cells(self, k: &Kernel<impl Filesystem>) -> Range {
        k.geometry().cells_of_blocks(self.blocks)
    }
}

/// What iomap keeps of an inode while somebody writes to it, with the inode lock held.
#[derive(Default)]
pub struct Writer {
    /// What is to be written.
    cells: Cell<Range>,
    mapping: Cell<Option<Mapping>>,
}

impl InodeState for Writer {
    fn reset(&self) {
        self.cells.set(Range::default());
        self.mapping.set(None);
    }
}

/// Filesystems whose pages can have the state of iomap.
pub trait Iomap: Filesystem<Private: Holds<FolioState>, Inode: Keeps<Writer>> {}

impl<F: Filesystem<Private: Holds<FolioState>, Inode: Keeps<Writer>>> Iomap for F {}

/// What a mapping is wanted for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Purpose {
    /// IOMAP_WRITE, also of a fault.
    Write,
    /// IOMAP_ZERO: holes stay.
    Zero,
}

/// struct iomap_ops and iomap_writeback_ops. Each is one section under the filesystem's lock of its
/// extents.
pub trait IomapOperations<F: Iomap>: AddressSpaceOperations<F> {
    /// ->iomap_begin: what lies under these cells of the file, from the first on.
    fn iomap_begin(self, k: &Kernel<F>, cells: Range, purpose: Purpose) -> Result<Mapping, Status>;

    /// ->iomap_valid.
    fn iomap_valid(self, k: &Kernel<F>, mapping: Mapping) -> bool;

    /// ->map_blocks, for writeback: the block on the device under a block of the file; `None` in a
    /// hole.
    fn map_blocks(self, k: &Kernel<F>, file_block: u8) -> Result<Option<u8>, Status>;
}

fn state(k: &Kernel<impl Iomap>, page: Frame) -> Option<FolioState> {
    k.attached(page)
}

fn update(k: &Kernel<impl Iomap>, page: Frame, change: impl FnOnce(&mut FolioState)) {
    if let Some(mut state) = state(k, page) {
        change(&mut state);
        k.attach(page, state);
    }
}

/// ifs_alloc.
fn alloc(k: &Kernel<impl Iomap>, page: Frame) {
    if k.geometry().blocks > 1 && state(k, page).is_none() {
        let all_if = |is: bool| if is { all_blocks(k) } else { 0 };
        let new =
            FolioState { uptodate: all_if(k.is_uptodate(page)), dirty: all_if(k.is_dirty(page)) };
        k.attach(page, new);
    }
}

/// iomap_set_range_uptodate.
fn set_uptodate(k: &Kernel<impl Iomap>, page: Frame, blocks: u8) {
    update(k, page, |state| state.uptodate |= blocks);
    if state(k, page).is_none_or(|state| state.uptodate == all_blocks(k)) {
        k.set_flag(page, UPTODATE);
    }
}

/// The dirty blocks of a page that is dirty.
fn dirty_blocks(k: &Kernel<impl Iomap>, page: Frame) -> u8 {
    state(k, page).map_or(all_blocks(k), |state| state.dirty)
}

/// iomap_dirty_folio: every block, also those beyond i_size.
pub async fn set_page_dirty(k: &Kernel<impl Iomap>, page: Frame) -> bool {
    if !k.reaches_plant(Plant::DirtyPageOnly) {
        alloc(k, page);
        update(k, page, |state| state.dirty = all_blocks(k));
    }
    k.set_page_dirty_nobuffers(page).await
}

/// iomap_page_mkwrite.
pub async fn page_mkwrite<F: Iomap>(
    fs: impl IomapOperations<F>,
    k: &Kernel<F>,
    page: Frame,
) -> Code {
    k.lock_page(page, P::MkwriteLock).await;
    // folio_mkwrite_check_truncate
    if !k.still_in_mapping(page) || k.first_cell(page) >= k.i_size() {
        k.unlock_page(page);
        return NOPAGE;
    }
    let first = k.first_cell(page);
    let end = first + k.length_below_eof(page);
    let mut at = first;
    while at < end {
        k.at_page(P::MkwriteAttach, page).await;
        match fs.iomap_begin(k, Range::new(at, end), Purpose::Write) {
            Ok(mapping) => at = mapping.cells(k).end,
            Err(_) => {
                k.unlock_page(page);
                return SIGBUS;
            }
        }
        if at < end && k.remedied(Remedy::ReserveFirst) {
            continue;
        }
        k.at_page(P::MkwriteDirty, page).await;
        k.set_page_dirty(page).await;
    }
    mm::wait_for_stable_page(k, page).await;
    LOCKED
}

/// iomap_read_folio: the blocks that are not uptodate, from the device or as zeros.
pub fn readpage(k: &Kernel<impl Iomap>, page: Frame) {
    alloc(k, page);
    let uptodate = state(k, page).map_or(0, |state| state.uptodate);
    for b in bits(all_blocks(k) & !uptodate) {
        read_block(k, page, b);
    }
    set_uptodate(k, page, all_blocks(k));
}

/// Blocks beyond i_size, and those that are not written, read as zeros.
fn read_block(k: &Kernel<impl Iomap>, page: Frame, b: u8) {
    let below_eof = blocks_below_eof(k, page) >> b & 1 != 0;
    k.geometry().cells_of_block(b).iter().for_each(|cell| read_cell(k, page, cell, below_eof));
}

/// Fills a cell from the device, or with zero.
fn read_cell(k: &Kernel<impl Iomap>, page: Frame, cell: u8, from_device: bool) {
    let block = k.geometry().block_cells();
    let extent = k.extent(file_block(k, page, cell / block));
    let on_device = extent.written().filter(|_| from_device);
    let stamp = on_device.map_or(Stamp::ZERO, |on_device| k.device.read(on_device, cell % block));
    k.fill_cell(page, cell, stamp);
}

/// A write(2) of these cells of the file begins: no mapping is known.
pub fn begin_write(k: &Kernel<impl Iomap>, cells: Range) {
    let writer = k.file().state::<Writer>();
    writer.cells.set(cells);
    writer.mapping.set(None);
}

/// iomap_get_folio: FGP_WRITEBEGIN.
async fn get_folio(k: &Kernel<impl Iomap>, index: u8, can_fail: bool) -> Result<Frame, Status> {
    let page = mm::find_or_add_page(k, index, can_fail).await?;
    if k.fs().declaration().stable_pages {
        k.wait_on_page_writeback(page, P::WriteWait).await;
    }
    Ok(page)
}

/// The mapping that was looked up last.
fn mapping(k: &Kernel<impl Iomap>) -> Option<Mapping> {
    k.file().state::<Writer>().mapping.get()
}

/// It is still valid: asked with the page locked. (There is none if a bug lets two write.)
fn is_valid<F: Iomap>(fs: impl IomapOperations<F>, k: &Kernel<F>) -> bool {
    let valid = |mapping| fs.iomap_valid(k, mapping) || k.reaches_plant(Plant::StaleWriteMap);
    mapping(k).is_some_and(valid)
}

/// iomap_iter and iomap_write_begin: a mapping for the first of these cells, counted from the start
/// of page `index`, and the page.
pub async fn write_begin<F: Iomap>(
    fs: impl IomapOperations<F>,
    k: &Kernel<F>,
    index: u8,
    cells: Range,
) -> Result<Frame, Status> {
    loop {
        let at = index * k.geometry().cells + cells.start;
        if !covers(k, at) {
            k.at(P::WriteMap).await;
            let writer = k.file().state::<Writer>();
            writer.mapping.set(None);
            let rest = Range::new(at, writer.cells.get().end);
            writer.mapping.set(Some(fs.iomap_begin(k, rest, Purpose::Write)?));
        }
        let page = get_folio(k, index, true).await?;
        k.at_page(P::WriteAttach, page).await;
        let status = if is_valid(fs, k) {
            match prepare(k, page, prepared(k, page, cells), true).await {
                Status::Ok => return Ok(page),
                error => Err(error),
            }
        } else {
            Ok(())
        };
        k.unlock_page(page);
        k.put_page(page);
        status?;
        end_write(k, index * k.geometry().cells + cells.start).await;
    }
}

/// The writer's mapping covers this cell of the file.
fn covers(k: &Kernel<impl Iomap>, at: u8) -> bool {
    mapping(k).is_some_and(|mapping| mapping.cells(k).contains(at))
}

/// Of these cells of a page those that the mapping covers.
pub fn prepared(k: &Kernel<impl Iomap>, page: Frame, cells: Range) -> Range {
    let first = k.first_cell(page);
    let end = mapping(k).map_or(0, |m| m.cells(k).end);
    Range::new(cells.start, cells.end.min(end.saturating_sub(first)))
}

/// __iomap_write_begin: of blocks that these cells of the page fill in part, the rest is zeroed, or
/// read.
async fn prepare(k: &Kernel<impl Iomap>, page: Frame, cells: Range, can_fail: bool) -> Status {
    if k.is_whole_page(cells) {
        return Status::Ok;
    }
    alloc(k, page);
    if k.is_uptodate(page) {
        return Status::Ok;
    }
    for b in 0..k.geometry().blocks {
        let block = k.geometry().cells_of_block(b);
        let uptodate = state(k, page).is_some_and(|state| state.uptodate >> b & 1 != 0);
        let all = cells.start <= block.start && block.end <= cells.end;
        if uptodate || all || block.clip(cells).is_empty() {
            continue;
        }
        let beyond = k.first_cell(page) + block.start >= k.i_size();
        if beyond || mapping(k).is_none_or(|mapping| mapping.kind != Kind::Written) {
            k.zero(page, block.clip(Range::new(0, cells.start)));
            k.zero(page, block.clip(Range::new(cells.end, k.geometry().cells)));
        } else {
            k.at_page(P::WriteRead, page).await;
            if can_fail && k.fails(Site::Read) {
                return Status::Io;
            }
            read_block(k, page, b);
        }
        set_uptodate(k, page, 1 << b);
    }
    Status::Ok
}

/// __iomap_write_end: these cells of the page are uptodate and dirty.
async fn filled(k: &Kernel<impl Iomap>, page: Frame, cells: Range) {
    let blocks = blocks_touched(k, cells);
    set_uptodate(k, page, blocks);
    update(k, page, |state| state.dirty |= blocks);
    k.set_page_dirty_nobuffers(page).await;
}

/// iomap_write_end, and i_size with the page still locked.
pub async fn write_end(k: &Kernel<impl Iomap>, page: Frame, cells: Range) {
    k.at_page(P::WriteDirty, page).await;
    let was_dirty = k.is_dirty(page);
    filled(k, page, cells).await;
    mm::raise_size(k, page, cells, was_dirty).await;
}

/// The copy was short: of these cells of the page those that are `copied` are filled. If the page
/// is not uptodate iomap writes nothing in this round and tries again with so many; here what the
/// next round prepares is prepared at once.
pub async fn write_short(k: &Kernel<impl Iomap>, page: Frame, cells: Range, copied: Range) {
    if copied.is_empty() {
        return;
    }
    alloc(k, page);
    let uptodate = state(k, page).map_or(0, |state| state.uptodate);
    let block = blocks_touched(k, Range::new(copied.end - 1, copied.end)) & !uptodate;
    for b in bits(block).filter(|_| !k.is_uptodate(page)) {
        let rest = k.geometry().cells_of_block(b).clip(Range::new(copied.end, cells.end));
        let is_written = mapping(k).is_some_and(|mapping| mapping.kind == Kind::Written);
        rest.iter().for_each(|cell| read_cell(k, page, cell, is_written));
    }
    write_end(k, page, copied).await;
}

/// A write(2) ends early: of these cells, of one page, so many were written. iomap_write_failed if
/// it was none, and ->iomap_end. (If there is no mapping, it was that which failed.)
pub async fn write_ended(k: &Kernel<impl Iomap>, cells: Range, written: u8) {
    if mapping(k).is_none() {
        return;
    }
    if written == 0 && cells.end > k.i_size() {
        mm::truncate_pagecache_range(k, Range::new(cells.start.max(k.i_size()), cells.end)).await;
    }
    end_write(k, cells.start + written).await;
}

/// ->iomap_end of a write(2) that has come to this cell of the file, as filesystems with delayed
/// allocation have it (xfs_buffered_write_iomap_end): what was reserved for the rest of the mapping
/// goes again.
async fn end_write(k: &Kernel<impl Iomap>, at: u8) {
    let Some((rest, fresh)) = unused(k, at) else { return };
    let locks = !k.reaches_plant(Plant::SpaceReleasedUnlocked);
    if locks {
        k.invalidate_lock(P::WriteRelease).await;
    }
    if fresh {
        write_delalloc_release(k, rest).await;
    } else {
        punch(k, rest);
    }
    if locks {
        k.invalidate_unlock();
    }
}

/// The cells of the writer's mapping that it has reserved and not come to, if it has come to this
/// one; and whether it has reserved them itself. The mapping is done with.
fn unused(k: &Kernel<impl Iomap>, at: u8) -> Option<(Range, bool)> {
    let mapping = k.file().state::<Writer>().mapping.take().filter(|m| is_own(k, *m))?;
    let block = k.geometry().block_cells();
    // iomap_last_written_block
    let start = if at == mapping.from { at / block } else { at.div_ceil(block) } * block;
    let rest = Range::new(start, mapping.cells(k).end);
    (!rest.is_empty()).then_some((rest, mapping.fresh))
}

/// What is reserved for the mapping is the writer's.
fn is_own(k: &Kernel<impl Iomap>, mapping: Mapping) -> bool {
    mapping.fresh || mapping.kind == Kind::Delayed && k.reaches_plant(Plant::ReleaseTakesAll)
}

/// iomap_write_delalloc_release: of these cells of the file, what was reserved goes, except under
/// dirty blocks of the page cache below i_size.
async fn write_delalloc_release(k: &Kernel<impl Iomap>, mut cells: Range) {
    let scanned = cells.clip(Range::new(0, k.i_size()));
    let pages =
        if scanned.is_empty() { Range::default() } else { k.geometry().pages_touched(scanned) };
    for index in pages.iter() {
        let cell = index * k.geometry().cells;
        let Some(page) = mm::lock_page_of(k, cell).await else { continue };
        if k.is_dirty(page) {
            let of_page = scanned.clip(k.geometry().cells_of(index));
            punch(k, Range::new(cells.start, of_page.start));
            punch_clean(k, page, of_page);
            cells.start = of_page.end;
        }
        k.unlock_page(page);
        k.put_page(page);
    }
    k.at(P::WritePunch).await;
    let block = k.geometry().block_cells();
    let dirty = Range::new(cells.start / block * block, cells.start.next_multiple_of(block));
    if !dirty.is_empty() && k.remedied(Remedy::ReleaseRoundsUp) {
        cells.start = dirty.end;
    } else if !dirty.is_empty() {
        // ->punch rounds down, to a block that is dirty.
        k.event(Event::EofBlockReleased { cells: dirty });
    }
    punch(k, cells);
}

/// iomap_write_delalloc_ifs_punch: of these cells of a dirty page the blocks that are clean.
fn punch_clean(k: &Kernel<impl Iomap>, page: Frame, cells: Range) {
    let first = k.first_cell(page);
    let blocks = blocks_touched(k, Range::new(cells.start - first, cells.end - first));
    for b in bits(blocks & !dirty_blocks(k, page)) {
        let block = k.geometry().cells_of_block(b);
        punch(k, Range::new(first + block.start, first + block.end));
    }
}

/// ->punch, and xfs_bmap_punch_delalloc_range: from the block of the first of these cells on.
fn punch(k: &Kernel<impl Iomap>, cells: Range) {
    if !cells.is_empty() {
        k.free_reservations(k.geometry().blocks_touched(cells));
    }
}

/// iomap_zero_range of these cells of the file, with the inode lock and invalidate_lock held.
/// Returns whether something was zeroed.
pub async fn zero_range<F: Iomap>(
    fs: impl IomapOperations<F>,
    k: &Kernel<F>,
    mut cells: Range,
) -> bool {
    k.at_tree(P::ZeroCheck).await;
    let busy = |page: Frame| k.is_dirty(page) || k.is_writeback(page) || k.is_locked(page);
    let pages = k.geometry().pages_touched(cells);
    let mut dirty = pages.iter().filter_map(|index| k.slot(index)).any(busy);
    let mut zeroed = false;
    while !cells.is_empty() {
        k.at(P::ZeroMap).await;
        let Ok(mapping) = fs.iomap_begin(k, cells, Purpose::Zero) else { break };
        if matches!(mapping.kind, Kind::Delayed | Kind::Written) {
            k.file().state::<Writer>().mapping.set(Some(mapping));
            cells.start = zero_mapped(fs, k, cells).await;
            zeroed = true;
        } else if dirty && !k.reaches_plant(Plant::ZeroSkipsUnwritten) {
            // What flush does; one layer less of the future.
            dirty = false;
            mm::write_cache_pages(k, k.geometry().pages_touched(cells), WbSync::Integrity).await;
            mm::filemap_fdatawait(k).await;
        } else {
            cells.start = mapping.cells(k).end;
        }
    }
    zeroed
}

/// filemap_write_and_wait_range of these pages, and iomap_writepages; what fails is left to fsync.
/// The wait is for all pages of the file. ([`mm::write_and_wait`] goes through the registry, which
/// would make the future of every actor larger.)
pub async fn flush(k: &Kernel<impl Iomap>, pages: Range) {
    mm::write_cache_pages(k, pages, WbSync::Integrity).await;
    mm::filemap_fdatawait(k).await;
}

/// The pages of the mapping that was looked up last, until it is no longer valid. Returns how far it
/// came.
async fn zero_mapped<F: Iomap>(fs: impl IomapOperations<F>, k: &Kernel<F>, mut cells: Range) -> u8 {
    cells.end = cells.end.min(mapping(k).map_or(0, |mapping| mapping.cells(k).end));
    while !cells.is_empty() {
        let index = k.geometry().page_of(cells.start);
        let Ok(page) = get_folio(k, index, false).await else { return cells.end };
        k.at_page(P::ZeroPage, page).await;
        let valid = is_valid(fs, k);
        if valid {
            let first = k.first_cell(page);
            let of_page = Range::new(cells.start - first, cells.end - first);
            let of_page = of_page.clip(Range::new(0, k.geometry().cells));
            prepare(k, page, of_page, false).await;
            k.zero(page, of_page);
            filled(k, page, of_page).await;
            cells.start = k.first_cell(page) + of_page.end;
        }
        k.unlock_page(page);
        k.put_page(page);
        if !valid {
            break;
        }
    }
    cells.start
}

/// iomap_writepage_map.
pub async fn writepage<F: Iomap>(
    fs: impl IomapOperations<F>,
    k: &Kernel<F>,
    page: Frame,
) -> Status {
    // iomap_writepage_handle_eof
    let Some(size) = buffer::clip_to_eof(k, page).await else {
        k.unlock_page(page);
        return Status::Ok;
    };
    if state(k, page).is_none() {
        alloc(k, page);
        update(k, page, |state| state.dirty = all_blocks(k));
    }
    let again = buffer::start_writeback(k, page).await;
    k.bug_on(again, "WARN_ON_ONCE(folio_test_writeback(folio)) in iomap_writepage_map");

    k.at_page(P::WritepageMap, page).await;
    let end = (size - k.first_cell(page)).min(k.geometry().cells);
    let (out, status) = map_dirty(fs, k, page, Range::new(0, end));
    update(k, page, |state| state.dirty = 0);
    k.note_submitted(page, size);
    if status != Status::Ok {
        k.mapping_set_error(status);
    }
    // Until the page is unlocked no completion ends its writeback.
    buffer::unlock_started(k, page).await;
    if out != 0 {
        k.at_page(P::WritepageSubmit, page).await;
        k.submit(request(k, page, out, size));
    } else {
        k.at_page(P::WritepageEnd, page).await;
        k.end_page_writeback(page);
    }
    status
}

/// iomap_writepage_map_blocks for the dirty blocks that lie in these cells of the page: those that
/// are to be written. After a block that cannot be mapped nothing more is written, and what is
/// reserved for the rest of the page goes (->discard_folio).
fn map_dirty<F: Iomap>(
    fs: impl IomapOperations<F>,
    k: &Kernel<F>,
    page: Frame,
    cells: Range,
) -> (u8, Status) {
    let (g, dirty) = (k.geometry(), dirty_blocks(k, page) & blocks_touched(k, cells));
    let mut out = 0;
    for b in bits(dirty) {
        match fs.map_blocks(k, file_block(k, page, b)) {
            Ok(Some(_)) => out |= 1 << b,
            Ok(None) => {} // a hole
            Err(error) => {
                let first = k.first_cell(page) + g.cells_of_block(b).start;
                punch(k, Range::new(first, k.first_cell(page) + g.cells));
                let rest = dirty >> b << b;
                k.write_failed(page, buffer::cells_of(k, rest), false);
                return (out, error);
            }
        }
    }
    (out, Status::Ok)
}

/// The request for these blocks of the page, which are allocated. `size` is i_size as writepage saw
/// it.
fn request(k: &Kernel<impl Iomap>, page: Frame, out: u8, size: u8) -> Request {
    let mut request = Request::new(page);
    for b in bits(out) {
        request.blocks[usize::from(b)] = k.block(file_block(k, page, b)).unwrap_or(NO_BLOCK);
        request.end = k.geometry().cells_of_block(b).end.min(size - k.first_cell(page));
    }
    request
}

/// iomap_invalidate_folio: only the whole of a page.
pub fn invalidatepage(k: &Kernel<impl Iomap>, page: Frame, cells: Range) {
    if k.is_whole_page(cells) {
        k.cancel_dirty_page(page);
        k.clear_private(page);
    }
}

/// iomap_release_folio: not of a dirty page.
pub fn releasepage(k: &Kernel<impl Iomap>, page: Frame) -> bool {
    let released = !k.is_dirty(page);
    if released {
        k.clear_private(page);
    }
    released
}

/// Every dirty block below i_size has a place on the device, or space is reserved for it. A block
/// over a hole is not written, and need not be if it holds zeros.
pub fn record(k: &Kernel<impl Iomap>, page: Frame) -> Record {
    let below_eof = blocks_below_eof(k, page);
    let holds = (0..k.geometry().cells).filter(|cell| k.cell(page, *cell) != Stamp::ZERO);
    let holds = holds.fold(0, |mask, cell| mask | 1 << cell);
    Record {
        missing: buffer::unallocated(k, page, dirty_blocks(k, page) & below_eof) & holds,
        uncovered: buffer::unallocated(k, page, below_eof),
        claims_dirty: state(k, page).is_some_and(|state| state.dirty != 0),
    }
}

/// The cells that the next writepage will write.
pub fn pending(k: &Kernel<impl Iomap>, page: Frame) -> u8 {
    if k.is_dirty(page) { buffer::cells_of(k, dirty_blocks(k, page)) } else { 0 }
}

/// The cells that a read need not fill.
pub fn uptodate(k: &Kernel<impl Iomap>, page: Frame) -> u8 {
    match state(k, page) {
        Some(state) if !k.is_uptodate(page) => buffer::cells_of(k, state.uptodate),
        _ if k.is_uptodate(page) => u8::MAX,
        _ => 0,
    }
}

/// The request has blocks to write.
pub fn blocks_of(request: &Request) -> impl Iterator<Item = u8> {
    let blocks = request.blocks;
    (0..blocks.len() as u8).filter(move |b| blocks[usize::from(*b)] != NO_BLOCK)
}
