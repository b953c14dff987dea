//! fsblock, Nick Piggin's replacement for buffer heads (posted 2007 and 2009, never merged;
//! `[fsblock-2007]`, `[fsblock-2009]`). The plain form of the bug that the patch closes, and of its
//! cure: a record whose lifetime is exactly the dirty lifetime of the page.
//!
//! A page has fsblocks from the moment it is about to be dirtied until its blocks are neither dirty
//! nor under writeback, when the completion frees them at once. A missing fsblock is an assertion,
//! never a silent loss: in writepage in both versions, in set_page_dirty in the later one (the 2007
//! form noted the race there).
//!
//! `2007`: page_mkwrite prepares the whole page and returns 0, unlocked, also for a page that is
//! gone. `2009`: with the return convention and the writepage protocol that landed; it prepares the
//! part of the page below i_size and keeps the page locked. Left out: delayed allocation (blocks
//! are allocated when they are mapped), super-page blocks, block locks.

use mkwrite_model::case::{BLOCKS_PER_PAGE_MAX, Range};
use mkwrite_model::era::Era;
use mkwrite_model::implementation::{
    AddressSpaceOperations, Aspect, Code, Convention, Declaration, ENOSPC, Filesystem, Holds,
    Implementation, InodeOperations, LOCKED, NOPAGE, OK, Record, RequestOperations, SIGBUS,
    SizeGuard, Store, VmOperations, WbSync,
};
use mkwrite_model::kernel::{Frame, Kernel, NO_BLOCK, Request, Stamp, Status};
use mkwrite_model::mm;
use mkwrite_model::plant::Plant;
use mkwrite_model::point::Point as P;
use mkwrite_model::remedy::Remedy;

use crate::buffer::{
    self, all_blocks, bits, blocks_below_eof, blocks_inside, blocks_touched, file_block,
};

/// The versions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fsblock {
    /// As posted in 2007.
    Y2007,
    /// As posted in February 2009, under the landed conventions.
    Y2009,
}

/// The fsblocks of a page, one bit per block.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Blocks {
    mapped: u8,
    dirty: u8,
    writeback: u8,
    /// References besides the page's own: somebody is about to dirty a block.
    pins: u8,
    block: [u8; BLOCKS_PER_PAGE_MAX],
}

const NEW: Blocks =
    Blocks { mapped: 0, dirty: 0, writeback: 0, pins: 0, block: [NO_BLOCK; BLOCKS_PER_PAGE_MAX] };

impl std::fmt::Display for Blocks {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let of = buffer::blocks_in_words;
        write!(f, "fsblocks: {} mapped, {} dirty", of(self.mapped), of(self.dirty))?;
        if self.writeback != 0 {
            write!(f, ", {} under writeback", of(self.writeback))?;
        }
        if self.pins != 0 {
            write!(f, ", pinned")?;
        }
        Ok(())
    }
}

/// Filesystems whose pages can have fsblocks.
pub trait Fsblocks: Filesystem<Private: Holds<Blocks>> {}

impl<F: Filesystem<Private: Holds<Blocks>>> Fsblocks for F {}

fn blocks(k: &Kernel<impl Fsblocks>, page: Frame) -> Option<Blocks> {
    k.attached(page)
}

fn set(k: &Kernel<impl Fsblocks>, page: Frame, blocks: Blocks) {
    k.attach(page, blocks);
}

/// Frees the fsblocks if nothing needs them any more.
fn free_if_idle(k: &Kernel<impl Fsblocks>, page: Frame) {
    if blocks(k, page).is_some_and(|b| b.dirty | b.writeback | b.pins == 0) {
        k.clear_private(page);
    }
}

/// Maps these blocks, allocating where there is a hole. Returns the blocks, and whether there was
/// space.
fn map(k: &Kernel<impl Fsblocks>, page: Frame, mut b: Blocks, wanted: u8) -> (Blocks, bool) {
    for n in bits(wanted & !b.mapped) {
        let Some(block) = k.get_block(file_block(k, page, n)) else {
            return (b, false);
        };
        b.mapped |= 1 << n;
        b.block[usize::from(n)] = block;
    }
    (b, true)
}

/// write_begin: gets or creates the fsblocks of these cells, mapped, and pins them.
async fn begin(k: &Kernel<impl Fsblocks>, page: Frame, cells: Range) -> Status {
    let before = blocks(k, page).unwrap_or(NEW);
    let (after, enough) = map(k, page, before, blocks_touched(k, cells));
    // Newly mapped blocks get written even on failure, or old device content would show.
    let new = if enough { 0 } else { after.mapped & !before.mapped & blocks_below_eof(k, page) };
    set(k, page, Blocks { pins: after.pins + u8::from(enough), dirty: after.dirty | new, ..after });
    if enough {
        return Status::Ok;
    }
    if new != 0 {
        k.set_page_dirty_nobuffers(page).await;
    }
    free_if_idle(k, page);
    Status::NoSpace
}

/// write_end: the blocks of these cells are dirty, and the page.
async fn end(k: &Kernel<impl Fsblocks>, page: Frame, cells: Range) {
    let b = blocks(k, page).unwrap_or(NEW);
    set(
        k,
        page,
        Blocks { dirty: b.dirty | blocks_touched(k, cells), pins: b.pins.saturating_sub(1), ..b },
    );
    k.set_page_dirty_nobuffers(page).await;
}

impl Fsblock {
    /// All of them, oldest first.
    pub const VERSIONS: &[Fsblock] = &[Fsblock::Y2007, Fsblock::Y2009];
}

impl<F: Fsblocks> Implementation<F> for Fsblock {
    fn declaration(self) -> &'static Declaration {
        const Y2007: Declaration = Declaration {
            name: "fsblock@2007",
            convention: Convention::Errno,
            natural: Era::V2_6_29,
            era: Era::V2_6_29,
            page_cache: true,
            stable_pages: false,
            freezes: false,
            size_guard: SizeGuard::InodeLock,
            may_differ: &[Aspect::Blocks], // it prepares the whole page, also beyond i_size
            record: "fsblocks, freed as soon as no block is dirty or under writeback",
            source: "fsblock as posted in June 2007: fsblock_page_mkwrite [fsblock-2007]",
        };
        match self {
            Fsblock::Y2007 => &Y2007,
            Fsblock::Y2009 => &Declaration {
                name: "fsblock@2009",
                convention: Convention::Locked,
                natural: Era::V2_6_30,
                era: Era::V2_6_30,
                may_differ: &[],
                source: "fsblock as posted in February 2009: fsblock_page_mkwrite, with the conventions that landed \
                         [fsblock-2009]",
                ..Y2007
            },
        }
    }
}

impl<F: Fsblocks> VmOperations<F> for Fsblock {
    async fn page_mkwrite(self, k: &Kernel<F>, page: Frame) -> Code {
        k.lock_page(page, P::MkwriteLock).await;
        let below_eof = self == Fsblock::Y2009 || k.remedied(Remedy::PrepareBelowEof);
        let length = if below_eof { k.length_below_eof(page) } else { k.geometry().cells };
        if !k.still_in_mapping(page) || length == 0 {
            k.unlock_page(page);
            return if below_eof { NOPAGE } else { OK };
        }
        let cells = Range::new(0, length);
        k.at_page(P::MkwriteAttach, page).await;
        if begin(k, page, cells).await != Status::Ok {
            k.unlock_page(page);
            return if self == Fsblock::Y2007 { ENOSPC } else { SIGBUS };
        }
        k.at_page(P::MkwriteDirty, page).await;
        end(k, page, cells).await;
        if self == Fsblock::Y2009 || k.remedied(Remedy::LockedReturn) {
            return LOCKED;
        }
        k.at_page(P::MkwriteReturn, page).await;
        k.unlock_page(page);
        OK
    }
}

impl<F: Fsblocks> AddressSpaceOperations<F> for Fsblock {
    async fn set_page_dirty(self, k: &Kernel<F>, page: Frame) -> bool {
        match blocks(k, page) {
            Some(_) if k.reaches_plant(Plant::DirtyPageOnly) => {}
            Some(b) => set(k, page, Blocks { dirty: all_blocks(k), ..b }),
            None => k.bug_on(
                self == Fsblock::Y2009,
                "BUG_ON(!PageBlocks(page)) in fsblock_set_page_dirty",
            ),
        }
        k.set_page_dirty_nobuffers(page).await
    }

    async fn writepage(self, k: &Kernel<F>, page: Frame, _: WbSync) -> Status {
        k.bug_on(blocks(k, page).is_none(), "BUG_ON(!PageBlocks(page)) in fsblock_writepage");
        let Some(size) = buffer::clip_to_eof(k, page).await else {
            self.invalidatepage(k, page, Range::new(0, k.geometry().cells)).await;
            k.unlock_page(page);
            return Status::Ok;
        };
        k.at_page(P::WritepageMap, page).await;
        let b = blocks(k, page).unwrap_or(NEW);
        let wanted = b.dirty & blocks_below_eof(k, page);
        let kept = buffer::kept_dirty(k, b.dirty & !wanted);
        let (b, enough) = map(k, page, b, wanted);
        let out = wanted & b.mapped;
        set(k, page, Blocks { dirty: kept, writeback: out, ..b });
        if kept != 0 {
            k.redirty_page_for_writepage(page).await;
        }
        if !enough {
            buffer::note_shortage(k, page, wanted & !out);
        }
        if out == 0 && k.reaches_plant(Plant::StaleTag) {
            free_if_idle(k, page);
            k.unlock_page(page);
            return Status::Ok;
        }
        let again = buffer::start_writeback(k, page).await;
        k.bug_on(again, "BUG_ON(PageWriteback(page)) in fsblock_writepage");
        if out != 0 {
            k.at_page(P::WritepageSubmit, page).await;
            k.note_submitted(page, size);
            k.submit(buffer::request(page, out, &b.block));
        }
        buffer::unlock_started(k, page).await;
        if out == 0 {
            k.at_page(P::WritepageEnd, page).await;
            free_if_idle(k, page);
            k.end_page_writeback(page);
        }
        if enough { Status::Ok } else { Status::NoSpace }
    }

    async fn readpage(self, k: &Kernel<F>, page: Frame) {
        buffer::readpage(k, page);
    }

    async fn write_begin(self, k: &Kernel<F>, index: u8, cells: Range) -> Result<Frame, Status> {
        let page = mm::grab_page(k, index).await?;
        k.at_page(P::WriteAttach, page).await;
        match begin(k, page, buffer::written(k, page, cells)).await {
            Status::Ok => Ok(page),
            shortage => {
                k.unlock_page(page);
                k.put_page(page);
                Err(shortage)
            }
        }
    }

    async fn write_end(self, k: &Kernel<F>, page: Frame, cells: Range) {
        k.at_page(P::WriteDirty, page).await;
        let was_dirty = k.is_dirty(page);
        end(k, page, buffer::written(k, page, cells)).await;
        mm::raise_size(k, page, cells, was_dirty).await;
    }

    async fn write_short(self, k: &Kernel<F>, page: Frame, cells: Range, copied: Range) {
        k.at_page(P::WriteDirty, page).await;
        let was_dirty = k.is_dirty(page);
        end(k, page, cells).await;
        if !copied.is_empty() {
            mm::raise_size(k, page, copied, was_dirty).await;
        }
    }

    async fn invalidatepage(self, k: &Kernel<F>, page: Frame, cells: Range) {
        let Some(b) = blocks(k, page) else { return };
        let gone = blocks_inside(k, cells);
        set(k, page, Blocks { mapped: b.mapped & !gone, dirty: b.dirty & !gone, ..b });
        if b.dirty & !gone == 0 {
            k.cancel_dirty_page(page);
            free_if_idle(k, page);
        }
    }

    async fn releasepage(self, k: &Kernel<F>, page: Frame) -> bool {
        blocks(k, page).is_none()
    }
}

impl<F: Fsblocks> InodeOperations<F> for Fsblock {
    async fn truncate(self, k: &Kernel<F>, size: u8) {
        let tail = Range::new(size, size.next_multiple_of(k.geometry().block_cells()));
        if let Some(page) = mm::grab_part_of_block(k, tail).await {
            k.zero_of_file(page, tail);
            let cell = size % k.geometry().cells;
            let cells = Range::new(cell, cell + 1);
            if begin(k, page, cells).await == Status::Ok {
                end(k, page, cells).await;
            }
            k.unlock_page(page);
            k.put_page(page);
        }
        k.at(P::TruncateBlocks).await;
        k.free_blocks_from(k.geometry().blocks_of(size));
    }
}

impl<F: Fsblocks> RequestOperations<F> for Fsblock {
    async fn complete(self, k: &Kernel<F>, request: Request) {
        let page = request.page;
        buffer::note_failure(k, request);
        k.at_page(P::IoRecord, page).await;
        if let Some(b) = blocks(k, page) {
            let dirty = b.dirty | u8::from(k.reaches_plant(Plant::RecordKept));
            set(k, page, Blocks { writeback: 0, dirty, ..b });
            free_if_idle(k, page);
            if k.reaches_plant(Plant::RecordFreedEarly) {
                k.clear_private(page);
            }
        }
        k.at_page(P::IoEnd, page).await;
        k.end_page_writeback(page);
    }
}

impl<F: Fsblocks> Store<F> for Fsblock {
    fn record(self, k: &Kernel<F>, page: Frame) -> Record {
        let Some(b) = blocks(k, page) else { return Record::NONE };
        let below_eof = blocks_below_eof(k, page);
        let (dirty, claims_dirty) = (b.dirty & below_eof, b.dirty != 0);
        let missing = if b.dirty == 0 { u8::MAX } else { buffer::unallocated(k, page, dirty) };
        Record { missing, uncovered: buffer::unallocated(k, page, below_eof), claims_dirty }
    }

    fn pending(self, k: &Kernel<F>, page: Frame) -> u8 {
        if k.is_dirty(page) {
            buffer::cells_of(k, blocks(k, page).map_or(0, |b| b.dirty))
        } else {
            0
        }
    }

    fn is_releasable(self, k: &Kernel<F>, page: Frame) -> bool {
        blocks(k, page).is_none()
    }

    fn durable(self, k: &Kernel<F>, cell: u8) -> Stamp {
        buffer::durable(k, cell)
    }

    fn stored(self, k: &Kernel<F>, cell: u8) -> Stamp {
        buffer::stored(k, cell)
    }
}
