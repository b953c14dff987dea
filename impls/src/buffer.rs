//! Buffer heads: what block@*, filemap@* and their kin share. fs/buffer.c of 2.6.29 and 2.6.30, and
//! what is a fact of later eras (`[buffers-dirty]`, `[block-writepage]`).
//!
//! A page has one buffer per block, with bits mapped, dirty and "in I/O"; a page without buffers
//! that is dirty counts as dirty in every block. Blocks of the page beyond i_size are never
//! allocated; they can be marked dirty, and writepage cleans them. A filesystem that finds the
//! blocks in writeback ([`GetBlock::Later`]) has buffers that are mapped and delayed, or unwritten.
//! Left out: buffer uptodate and new bits (a page is read whole), buffer locks.

use mkwrite_model::bit_set::ones;
use mkwrite_model::case::{BLOCKS_PER_PAGE_MAX, Range};
use mkwrite_model::implementation::{Filesystem, Holds, Record};
use mkwrite_model::kernel::page::ERROR;
use mkwrite_model::kernel::{Extent, Frame, Kernel, NO_BLOCK, Request, Stamp, Status};
use mkwrite_model::mm;
use mkwrite_model::plant::Plant;
use mkwrite_model::point::Point as P;
use mkwrite_model::remedy::Remedy;

/// The buffers of a page, one bit per block.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Buffers {
    /// What is known of it: its block, or that it is delayed.
    pub(crate) mapped: u8,
    pub(crate) dirty: u8,
    pub(crate) io: u8,
    /// Mapped, with space reserved and no block yet.
    pub(crate) delayed: u8,
    /// Mapped to a block that is to be converted after its next I/O.
    pub(crate) unwritten: u8,
    /// In I/O, after which their blocks are converted.
    pub(crate) converts: u8,
    pub(crate) block: [u8; BLOCKS_PER_PAGE_MAX],
}

/// What a buffer that is not mapped yet gets (get_block).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum GetBlock {
    /// A block of the device.
    Now,
    /// The block that is there, or else space for one (ext4_da_get_block_prep).
    Later,
}

/// Blocks of a page, in words: `block 1`, `blocks 0 1`, `none`.
pub fn blocks_in_words(blocks: u8) -> String {
    let all: Vec<String> = ones(blocks.into()).map(|block| block.to_string()).collect();
    match &*all {
        [] => "none".to_owned(),
        [one] => format!("block {one}"),
        _ => format!("blocks {}", all.join(" ")),
    }
}

impl std::fmt::Display for Buffers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let of = blocks_in_words;
        write!(f, "buffers: {} mapped, {} dirty", of(self.mapped), of(self.dirty))?;
        if self.delayed != 0 {
            write!(f, ", {} delayed", of(self.delayed))?;
        }
        if self.unwritten != 0 {
            write!(f, ", {} unwritten", of(self.unwritten))?;
        }
        if self.io != 0 {
            write!(f, ", {} in I/O", of(self.io))?;
        }
        Ok(())
    }
}

/// Filesystems whose pages can have buffers.
pub trait BufferHeads: Filesystem<Private: Holds<Buffers>> {}

impl<F: Filesystem<Private: Holds<Buffers>>> BufferHeads for F {}

/// The blocks of a page that a range of its cells touches, one bit each.
pub fn blocks_touched(k: &Kernel<impl Filesystem>, cells: Range) -> u8 {
    if cells.is_empty() { 0 } else { k.geometry().blocks_touched(cells).bits() as u8 }
}

/// The blocks of a page that lie wholly in these of its cells, one bit each.
pub fn blocks_inside(k: &Kernel<impl Filesystem>, cells: Range) -> u8 {
    k.geometry().blocks_inside(cells).bits() as u8
}

/// All blocks of a page.
pub fn all_blocks(k: &Kernel<impl Filesystem>) -> u8 {
    (1 << k.geometry().blocks) - 1
}

/// The blocks of a page that i_size reaches into, one bit each.
pub fn blocks_below_eof(k: &Kernel<impl Filesystem>, page: Frame) -> u8 {
    blocks_touched(k, Range::new(0, k.length_below_eof(page)))
}

/// The number in the file of block `b` of the page.
pub fn file_block(k: &Kernel<impl Filesystem>, page: Frame, b: u8) -> u8 {
    k.index(page) * k.geometry().blocks + b
}

/// The blocks of a mask.
pub fn bits(mask: u8) -> impl Iterator<Item = u8> {
    ones(mask.into())
}

/// The buffers of the page, if it has any.
pub(crate) fn buffers(k: &Kernel<impl BufferHeads>, page: Frame) -> Option<Buffers> {
    k.attached(page)
}

pub(crate) fn set(k: &Kernel<impl BufferHeads>, page: Frame, buffers: Buffers) {
    k.attach(page, buffers);
}

/// page_buffers, after create_empty_buffers if there are none.
pub(crate) fn get_or_create(k: &Kernel<impl BufferHeads>, page: Frame) -> Buffers {
    buffers(k, page).unwrap_or(Buffers {
        mapped: 0,
        dirty: if k.is_dirty(page) { all_blocks(k) } else { 0 },
        io: 0,
        delayed: 0,
        unwritten: 0,
        converts: 0,
        block: [NO_BLOCK; BLOCKS_PER_PAGE_MAX],
    })
}

/// get_block(create) for these blocks. Returns the buffers, and whether there was space for all.
fn map(
    k: &Kernel<impl BufferHeads>,
    page: Frame,
    mut buffers: Buffers,
    blocks: u8,
    get: GetBlock,
) -> (Buffers, bool) {
    for b in bits(blocks & !buffers.mapped) {
        let file_block = file_block(k, page, b);
        let enough = match get {
            GetBlock::Now => k.get_block(file_block).is_some(),
            GetBlock::Later => k.reserve_block(file_block),
        };
        if !enough {
            return (buffers, false);
        }
        buffers = mapped_to(buffers, b, k.extent(file_block));
    }
    (buffers, true)
}

/// The buffers with that of block `b` mapped to what is there.
pub(crate) fn mapped_to(mut buffers: Buffers, b: u8, extent: Extent) -> Buffers {
    buffers.mapped |= 1 << b;
    buffers.block[usize::from(b)] = extent.block().unwrap_or(NO_BLOCK);
    match extent {
        Extent::Hole | Extent::Delayed => buffers.delayed |= 1 << b,
        Extent::Unwritten(_) => buffers.unwritten |= 1 << b,
        Extent::Written(_) => {}
    }
    buffers
}

/// All operations but those of the vm, for a filesystem that leaves them to fs/buffer.c. The second
/// argument is what ties a dirty page to its blocks: [`record`] if page_mkwrite allocates them,
/// [`untied_record`] if writepage does.
#[macro_export]
macro_rules! buffer_heads {
    ($filesystem:ty, $record:ident) => {
        const _: () = {
            use $crate::buffer;
            use $crate::model::implementation::names::*;

            impl<F: buffer::BufferHeads> AddressSpaceOperations<F> for $filesystem {
                async fn set_page_dirty(self, k: &Kernel<F>, page: Frame) -> bool {
                    buffer::set_page_dirty(k, page).await
                }
                async fn writepage(self, k: &Kernel<F>, page: Frame, _: WbSync) -> Status {
                    buffer::writepage(k, page).await
                }
                async fn readpage(self, k: &Kernel<F>, page: Frame) {
                    buffer::readpage(k, page);
                }
                async fn write_begin(
                    self,
                    k: &Kernel<F>,
                    index: u8,
                    cells: Range,
                ) -> Result<Frame, Status> {
                    buffer::write_begin(k, index, cells, buffer::GetBlock::Now).await
                }
                async fn write_end(self, k: &Kernel<F>, page: Frame, cells: Range) {
                    buffer::write_end(k, page, cells).await;
                }
                async fn write_short(
                    self,
                    k: &Kernel<F>,
                    page: Frame,
                    cells: Range,
                    copied: Range,
                ) {
                    buffer::write_short(k, page, cells, copied).await;
                }
                async fn invalidatepage(self, k: &Kernel<F>, page: Frame, cells: Range) {
                    buffer::invalidatepage(k, page, cells);
                }
                async fn releasepage(self, k: &Kernel<F>, page: Frame) -> bool {
                    buffer::try_to_free_buffers(k, page)
                }
            }

            impl<F: buffer::BufferHeads> InodeOperations<F> for $filesystem {
                async fn setattr(self, k: &Kernel<F>, size: u8) -> Status {
                    buffer::setattr(k, size).await;
                    Status::Ok
                }
                async fn truncate(self, k: &Kernel<F>, size: u8) {
                    buffer::truncate_blocks(k, size).await;
                }
                async fn fallocate(self, k: &Kernel<F>, mode: Fallocate, cells: Range) -> Status {
                    match mode {
                        Fallocate::PunchHole => buffer::punch_hole(k, cells).await,
                        _ => Status::NotSupported,
                    }
                }
            }

            impl<F: buffer::BufferHeads> RequestOperations<F> for $filesystem {
                async fn complete(self, k: &Kernel<F>, request: Request) {
                    buffer::complete(k, request).await;
                }
            }

            impl<F: buffer::BufferHeads> Store<F> for $filesystem {
                fn record(self, k: &Kernel<F>, page: Frame) -> Record {
                    buffer::$record(k, page)
                }
                fn pending(self, k: &Kernel<F>, page: Frame) -> u8 {
                    buffer::pending(k, page)
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
        };
    };
}

/// __set_page_dirty_buffers: every buffer, also those beyond i_size, and PG_dirty.
pub async fn set_page_dirty(k: &Kernel<impl BufferHeads>, page: Frame) -> bool {
    if let Some(b) = buffers(k, page).filter(|_| !k.reaches_plant(Plant::DirtyPageOnly)) {
        set(k, page, Buffers { dirty: all_blocks(k), ..b });
    }
    k.set_page_dirty_nobuffers(page).await
}

/// Why [`block_page_mkwrite`] refuses a page.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refused {
    /// It left the mapping, or lies beyond the end of the file.
    Truncated,
    /// There is no space for its blocks.
    NoSpace,
}

/// block_page_mkwrite up to where the blocks below i_size are dirty; the page stays locked, unless it
/// is refused. `takes_eof`: a page that begins exactly at the end is accepted.
pub async fn block_page_mkwrite(
    k: &Kernel<impl BufferHeads>,
    page: Frame,
    get: GetBlock,
    takes_eof: bool,
) -> Result<(), Refused> {
    let early = k.i_size();
    k.lock_page(page, P::MkwriteLock).await;
    let size = if k.reaches_plant(Plant::SizeBeforeLock) { early } else { k.i_size() };
    let first = k.first_cell(page);
    let is_beyond = if takes_eof { first > size } else { first >= size };
    if !k.still_in_mapping(page) || is_beyond {
        k.unlock_page(page);
        return Err(Refused::Truncated);
    }
    let below_eof = Range::new(0, (size - first).min(k.geometry().cells));
    k.at_page(P::MkwriteAttach, page).await;
    let reserves = get == GetBlock::Now || !k.reaches_plant(Plant::MkwriteReservesNothing);
    let asked = if reserves { below_eof } else { Range::default() };
    if prepare_by(k, page, asked, get).await != Status::Ok {
        k.unlock_page(page);
        return Err(Refused::NoSpace);
    }
    k.at_page(P::MkwriteDirty, page).await;
    commit(k, page, below_eof).await;
    Ok(())
}

/// block_prepare_write of these cells: maps or allocates their blocks.
pub fn prepare(
    k: &Kernel<impl BufferHeads>,
    page: Frame,
    cells: Range,
) -> impl Future<Output = Status> {
    prepare_by(k, page, cells, GetBlock::Now)
}

/// The same, or space is reserved for them.
pub async fn prepare_by(
    k: &Kernel<impl BufferHeads>,
    page: Frame,
    cells: Range,
    get: GetBlock,
) -> Status {
    let before = get_or_create(k, page);
    let (after, enough) = map(k, page, before, blocks_touched(k, cells), get);
    set(k, page, after);
    if enough {
        return Status::Ok;
    }
    // page_zero_new_buffers: what was allocated gets written, or old device content would show.
    let mut new = after.mapped & !before.mapped;
    if get == GetBlock::Later {
        new &= after.delayed | after.unwritten;
    }
    if new != 0 {
        mark_dirty(k, page, new).await;
    }
    Status::NoSpace
}

/// block_commit_write of these cells: mark_buffer_dirty.
pub async fn commit(k: &Kernel<impl BufferHeads>, page: Frame, cells: Range) {
    mark_dirty(k, page, blocks_touched(k, cells)).await;
}

pub(crate) async fn mark_dirty(k: &Kernel<impl BufferHeads>, page: Frame, blocks: u8) {
    if blocks != 0 {
        let b = get_or_create(k, page);
        set(k, page, Buffers { dirty: b.dirty | blocks, ..b });
        k.set_page_dirty_nobuffers(page).await;
    }
}

/// The start of block_write_full_page, shared with others of its kind: reads i_size, deals with a
/// page beyond it, zeroes the tail. Returns i_size, or `None` if the page lies wholly beyond it.
pub async fn clip_to_eof(k: &Kernel<impl Filesystem>, page: Frame) -> Option<u8> {
    k.at_size(P::WritepageSize).await;
    let size = k.i_size();
    let below_eof = size.saturating_sub(k.first_cell(page));
    if below_eof == 0 {
        return None;
    }
    if below_eof < k.geometry().cells {
        k.at_page(P::WritepageZero, page).await;
        if !k.reaches_plant(Plant::NoTailZero) {
            k.zero(page, Range::new(below_eof, k.geometry().cells));
        }
    }
    Some(size)
}

/// block_write_full_page.
pub async fn writepage(k: &Kernel<impl BufferHeads>, page: Frame) -> Status {
    let Some(size) = clip_to_eof(k, page).await else {
        // The page was truncated under us, or is about to be.
        if k.facts().writepage_discards {
            invalidatepage(k, page, Range::new(0, k.geometry().cells));
        }
        k.unlock_page(page);
        return Status::Ok;
    };

    k.at_page(P::WritepageMap, page).await;
    let mut b = match buffers(k, page) {
        Some(b) => b,
        None => Buffers { dirty: all_blocks(k), ..get_or_create(k, page) },
    };
    let beyond_eof = b.dirty & !blocks_below_eof(k, page);
    b.dirty &= !beyond_eof;
    let (mut b, enough) = map(k, page, b, b.dirty, GetBlock::Now);
    let out = b.dirty & b.mapped;
    let lost = b.dirty & !b.mapped;
    // Without space the rest is cleaned and the error kept for fsync: the data is lost.
    b = Buffers { dirty: kept_dirty(k, beyond_eof), io: out, ..b };
    set(k, page, b);
    if b.dirty != 0 {
        k.redirty_page_for_writepage(page).await;
    }
    if !enough {
        note_shortage(k, page, lost);
    }

    if out == 0 && k.reaches_plant(Plant::StaleTag) {
        k.unlock_page(page);
        return Status::Ok;
    }
    let again = start_writeback(k, page).await;
    k.bug_on(again, "BUG_ON(PageWriteback(page)) in __block_write_full_page");
    if out != 0 {
        k.at_page(P::WritepageSubmit, page).await;
        k.note_submitted(page, size);
        k.submit(request(page, out, &b.block));
    }
    unlock_started(k, page).await;
    if out == 0 && !k.reaches_plant(Plant::WritebackNeverEnds) {
        k.at_page(P::WritepageEnd, page).await;
        k.end_page_writeback(page);
    }
    if enough { Status::Ok } else { Status::NoSpace }
}

/// Dirty blocks beyond i_size that writepage leaves so: none.
pub fn kept_dirty(k: &Kernel<impl Filesystem>, beyond_eof: u8) -> u8 {
    if k.reaches_plant(Plant::DirtyForEver) { beyond_eof } else { 0 }
}

/// set_page_writeback in writepage, with the page locked. Returns whether the page was under
/// writeback before.
pub fn start_writeback(k: &Kernel<impl Filesystem>, page: Frame) -> impl Future<Output = bool> {
    start_writeback_of_part(k, page, false)
}

/// The same; a page of which a part stays dirty keeps the tag TOWRITE.
pub async fn start_writeback_of_part(
    k: &Kernel<impl Filesystem>,
    page: Frame,
    keeps_towrite: bool,
) -> bool {
    if k.reaches_plant(Plant::WritebackUnlocked) {
        k.unlock_page(page);
    }
    k.at_page(P::WritepageStart, page).await;
    k.start_page_writeback(page, keeps_towrite)
}

/// writepage unlocks the page, when writeback has started.
pub async fn unlock_started(k: &Kernel<impl Filesystem>, page: Frame) {
    let unlocked = k.reaches_plant(Plant::WritebackUnlocked);
    if !unlocked && !k.reaches_plant(Plant::WritepageKeepsLock) {
        k.at_page(P::WritepageUnlock, page).await;
        k.unlock_page(page);
    }
}

/// writepage found no space: the page and the mapping keep the error.
pub fn note_shortage(k: &Kernel<impl Filesystem>, page: Frame, lost: u8) {
    k.write_failed(page, cells_of(k, lost), false);
    k.set_flag(page, ERROR);
    k.mapping_set_error(Status::NoSpace);
}

/// A write request for these blocks of a page.
pub fn request(page: Frame, out: u8, block: &[u8; BLOCKS_PER_PAGE_MAX]) -> Request {
    let mut request = Request::new(page);
    for b in bits(out) {
        request.blocks[usize::from(b)] = block[usize::from(b)];
    }
    request
}

/// end_buffer_async_write, up to the last buffer of the page.
pub async fn complete(k: &Kernel<impl BufferHeads>, request: Request) {
    let page = request.page;
    note_failure(k, request);
    if k.reaches_plant(Plant::EndIoSleeps) {
        k.wait_on_page_locked(page, P::IoRecord).await;
    }
    k.at_page(P::IoRecord, page).await;
    if let Some(b) = buffers(k, page) {
        set(
            k,
            page,
            Buffers { io: 0, dirty: b.dirty | u8::from(k.reaches_plant(Plant::RecordKept)), ..b },
        );
    }
    k.at_page(P::IoEnd, page).await;
    k.end_page_writeback(page);
}

/// A request that failed leaves its error in the mapping and on the page.
pub fn note_failure(k: &Kernel<impl Filesystem>, request: Request) {
    if request.fails {
        k.set_flag(request.page, ERROR);
        if !k.reaches_plant(Plant::ErrorForgotten) {
            k.mapping_set_error(Status::Io);
        }
    }
}

/// block_read_full_page: blocks that i_size reaches into come from the device whole; holes read as
/// zero.
pub fn readpage(k: &Kernel<impl Filesystem>, page: Frame) {
    let g = k.geometry();
    let below_eof = blocks_below_eof(k, page);
    for cell in 0..g.cells {
        let b = cell / g.block_cells();
        let extent = k.extent(file_block(k, page, b));
        let block = extent.written().filter(|_| below_eof >> b & 1 != 0);
        let stamp = block.map_or(Stamp::ZERO, |block| k.device.read(block, cell % g.block_cells()));
        k.set_cell(page, cell, stamp);
    }
}

/// The cells of a page that write(2) needs space for: those that it fills.
pub fn written(k: &Kernel<impl Filesystem>, page: Frame, cells: Range) -> Range {
    if k.reaches_plant(Plant::WriteFillsHoles) {
        Range::new(0, cells.end.max(k.length_below_eof(page)))
    } else {
        cells
    }
}

/// block_write_begin, and wait_for_stable_page where the filesystem promises stable pages.
pub async fn write_begin(
    k: &Kernel<impl BufferHeads>,
    index: u8,
    cells: Range,
    get: GetBlock,
) -> Result<Frame, Status> {
    let page = mm::grab_page(k, index).await?;
    if k.fs().declaration().stable_pages {
        k.wait_on_page_writeback(page, P::WriteWait).await;
    }
    k.at_page(P::WriteAttach, page).await;
    match prepare_by(k, page, written(k, page, cells), get).await {
        Status::Ok => Ok(page),
        shortage => {
            k.unlock_page(page);
            k.put_page(page);
            Err(shortage)
        }
    }
}

/// generic_write_end: dirty first, then i_size, with the page still locked.
pub async fn write_end(k: &Kernel<impl BufferHeads>, page: Frame, cells: Range) {
    k.at_page(P::WriteDirty, page).await;
    let was_dirty = k.is_dirty(page);
    commit(k, page, written(k, page, cells)).await;
    mm::raise_size(k, page, cells, was_dirty).await;
}

/// page_zero_new_buffers after a short copy: what write_begin allocated gets written, or old device
/// content would show.
pub async fn write_short(k: &Kernel<impl BufferHeads>, page: Frame, cells: Range, copied: Range) {
    if !copied.is_empty() {
        k.fs().write_end(k, page, copied).await;
    }
    let is_new = |b: &u8| k.is_new_block(file_block(k, page, *b));
    let rest = blocks_touched(k, cells) & !blocks_touched(k, copied);
    let new = bits(rest).filter(is_new).fold(0, |mask, b| mask | 1 << b);
    mark_dirty(k, page, new).await;
}

/// block_invalidatepage: discards the buffers that lie in these cells; all of them are freed with
/// the whole page.
pub fn invalidatepage(k: &Kernel<impl BufferHeads>, page: Frame, cells: Range) {
    let Some(b) = buffers(k, page) else { return };
    let gone = blocks_inside(k, cells);
    let kept = Buffers {
        mapped: b.mapped & !gone,
        dirty: b.dirty & !gone,
        delayed: b.delayed & !gone,
        unwritten: b.unwritten & !gone,
        ..b
    };
    set(k, page, kept);
    if k.is_whole_page(cells) {
        try_to_free_buffers(k, page);
    }
}

/// try_to_free_buffers: only clean ones, and then the page is clean too.
pub fn try_to_free_buffers(k: &Kernel<impl BufferHeads>, page: Frame) -> bool {
    match buffers(k, page) {
        Some(b) if k.is_writeback(page) || b.dirty | b.io != 0 => false,
        _ => {
            k.cancel_dirty_page(page);
            k.clear_private(page);
            true
        }
    }
}

/// ext2_setsize: since 5.15 under invalidate_lock.
pub async fn setattr(k: &Kernel<impl BufferHeads>, size: u8) {
    let unlocked = k.facts().invalidate_lock && k.reaches_plant(Plant::TruncateNoInvalidate);
    if !unlocked {
        k.invalidate_lock(P::TruncateInvalidateLock).await;
    }
    mm::vmtruncate(k, size).await;
    k.fs().truncate(k, size).await;
    if !unlocked {
        k.invalidate_unlock();
    }
}

/// ext2_truncate: zeroes the partial block at the new end, then frees the blocks beyond it.
pub async fn truncate_blocks(k: &Kernel<impl BufferHeads>, size: u8) {
    zero_part_of_block(k, Range::new(size, size.next_multiple_of(k.geometry().block_cells())))
        .await;
    k.at(P::TruncateBlocks).await;
    k.free_blocks_from(k.geometry().blocks_of(size));
}

/// block_truncate_page: the rest of the block at the new end.
async fn zero_part_of_block(k: &Kernel<impl BufferHeads>, cells: Range) {
    let Some(page) = mm::grab_part_of_block(k, cells).await else { return };
    zero_and_dirty(k, page, cells).await;
    k.unlock_page(page);
    k.put_page(page);
}

/// Zeroes these cells of one block, which has its place on the device, and makes it dirty.
async fn zero_and_dirty(k: &Kernel<impl BufferHeads>, page: Frame, cells: Range) {
    k.zero_of_file(page, cells);
    let cell = cells.start % k.geometry().cells;
    let block = blocks_touched(k, Range::new(cell, cell + 1));
    let (b, _) = map(k, page, get_or_create(k, page), block, GetBlock::Now);
    set(k, page, b);
    mark_dirty(k, page, block).await;
}

/// The cells at the ends of a range that lie in blocks which it covers in part only.
pub fn parts_of_blocks(k: &Kernel<impl Filesystem>, cells: Range) -> [Range; 2] {
    let block = k.geometry().block_cells();
    let head = Range::new(cells.start, cells.start.next_multiple_of(block).min(cells.end));
    [head, Range::new(head.end.max(cells.end / block * block), cells.end)]
}

/// ext4_punch_hole of 6.12 (fs/ext4/inode.c; `[punch-hole]`): the range is written back; under both
/// locks the whole blocks go from the page cache and from the file, and the parts of blocks at the
/// ends are zeroed and made dirty. Otherwise than there: the parts come last, as in
/// xfs_free_file_space, because here a whole page is read to zero a part of it; they wait for
/// writeback, as iomap_zero_range does; and an error of the writeback is left to fsync.
pub async fn punch_hole(k: &Kernel<impl BufferHeads>, cells: Range) -> Status {
    let g = k.geometry();
    mm::write_and_wait(k, g.pages_touched(cells)).await;
    let mut status = Status::Ok;
    k.inode_lock(P::PunchInode).await;
    let cells = cells.clip(Range::new(0, k.i_size().next_multiple_of(g.cells)));
    if cells.start < k.i_size() {
        mm::lock_out_faults(k).await;
        let whole = g.blocks_inside(cells);
        if !whole.is_empty() {
            let cells = g.cells_of_blocks(whole);
            prepare_ends(k, cells).await;
            mm::truncate_pagecache_range(k, cells).await;
            k.at(P::PunchBlocks).await;
            k.free_blocks(whole);
        }
        for part in parts_of_blocks(k, cells).into_iter().filter(|part| !part.is_empty()) {
            status = status.or(punch_part_of_block(k, part).await);
        }
        mm::let_faults_in(k);
    }
    k.inode_unlock();
    status
}

/// Pages that stay, and lose some of their blocks: they get buffers, so that it is known which; and
/// by the remedy they are write-protected, as ext4_truncate_page_cache_block_range does.
async fn prepare_ends(k: &Kernel<impl BufferHeads>, cells: Range) {
    for (index, _) in mm::parts(k, cells).into_iter().flatten() {
        let Some(page) = mm::lock_page_of(k, index * k.geometry().cells).await else { continue };
        set(k, page, get_or_create(k, page));
        if k.remedied(Remedy::PunchProtects) && k.page_mkclean(page).await {
            k.set_page_dirty(page).await;
        }
        k.unlock_page(page);
        k.put_page(page);
    }
}

/// Zeroes the part of a block that a hole covers; in the page cache alone if the block has no place
/// on the device yet.
async fn punch_part_of_block(k: &Kernel<impl BufferHeads>, cells: Range) -> Status {
    let g = k.geometry();
    let page = match mm::grab_page(k, g.page_of(cells.start)).await {
        Ok(page) => page,
        Err(status) => return status,
    };
    k.wait_on_page_writeback(page, P::PunchWait).await;
    if k.block(cells.start / g.block_cells()).is_some() {
        zero_and_dirty(k, page, cells).await;
    } else {
        k.zero_of_file(page, cells);
    }
    k.unlock_page(page);
    k.put_page(page);
    Status::Ok
}

/// Every dirty block below i_size has a block on the device.
pub fn record(k: &Kernel<impl BufferHeads>, page: Frame) -> Record {
    let below_eof = blocks_below_eof(k, page);
    let dirty = buffers(k, page).map_or(all_blocks(k), |b| b.dirty) & below_eof;
    let claims_dirty = buffers(k, page).is_some_and(|b| b.dirty != 0);
    Record {
        missing: unallocated(k, page, dirty),
        uncovered: unallocated(k, page, below_eof),
        claims_dirty,
    }
}

/// The record where nothing is tied to a dirty page, so that nothing can be missing.
pub fn untied_record(k: &Kernel<impl BufferHeads>, page: Frame) -> Record {
    Record { missing: 0, uncovered: 0, ..record(k, page) }
}

/// The cells that the next writepage will write: those of dirty buffers, or all if there are none
/// yet.
pub fn pending(k: &Kernel<impl BufferHeads>, page: Frame) -> u8 {
    if k.is_dirty(page) {
        cells_of(k, buffers(k, page).map_or(all_blocks(k), |b| b.dirty))
    } else {
        0
    }
}

/// try_to_free_buffers would succeed.
pub fn is_releasable(k: &Kernel<impl BufferHeads>, page: Frame) -> bool {
    buffers(k, page).is_none_or(|b| b.dirty | b.io == 0)
}

/// A cell as block_read_full_page would read it.
pub fn stored(k: &Kernel<impl Filesystem>, cell: u8) -> Stamp {
    let per_block = k.geometry().block_cells();
    let block = k.extent(cell / per_block).written();
    block.map_or(Stamp::ZERO, |block| k.device.read(block, cell % per_block))
}

/// The cells of some blocks of a page, one bit each.
pub fn cells_of(k: &Kernel<impl Filesystem>, blocks: u8) -> u8 {
    bits(blocks).fold(0, |mask, b| mask | k.geometry().cells_of_block(b).bits() as u8)
}

/// The cells of those blocks of a page that have neither a block on the device nor space reserved
/// for one, one bit each.
pub fn unallocated(k: &Kernel<impl Filesystem>, page: Frame, blocks: u8) -> u8 {
    let has = |b: u8| k.extent(file_block(k, page, b)) != Extent::Hole;
    cells_of(k, bits(blocks).filter(|b| !has(*b)).fold(0, |mask, b| mask | 1 << b))
}

/// A cell of the device.
pub fn durable(k: &Kernel<impl Filesystem>, cell: u8) -> Stamp {
    let per_block = k.geometry().block_cells();
    k.block_durable(cell / per_block, cell % per_block)
}
