//! Page frames: flags, references, contents (`[page-references]`, `[frame-freed]`).
//!
//! A frame has an identity. A page that was removed from the page cache lives on while a pte or a
//! task refers to it; when the last reference goes the frame is free, and the lowest free frame is
//! used next, so that reuse happens at once.

use std::cell::Cell;

use super::event::{Event, Loose};
use super::{InodeId, Kernel};
use crate::bit_set::ones;
use crate::case::{CELLS_MAX, CELLS_PER_PAGE_MAX, OPERATIONS_MAX, Range};
use crate::exec::{CLOSER, TaskId};
use crate::implementation::{Filesystem, Holds};
use crate::plant::Plant;

/// Frames of the machine.
pub const FRAMES: usize = 32;
const _: () = assert!(FRAMES <= u32::BITS as usize, "sets of frames are masks of 32 bits");

/// A page frame's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub struct Frame(pub u8);

impl Frame {
    /// This frame's bit in a mask.
    #[inline]
    pub const fn bit(self) -> u32 {
        1 << self.0
    }

    #[inline]
    pub(crate) const fn index(self) -> usize {
        self.0 as usize
    }

    /// The frames of a mask, lowest first.
    pub fn all(mask: u32) -> impl Iterator<Item = Frame> {
        ones(mask.into()).map(Frame)
    }
}

/// Which operation put a value into a cell: (actor, slot, cell), the same in every interleaving.
///
/// Zero is what never-written and discarded cells read as.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, PartialOrd, Ord, Hash)]
pub struct Stamp(pub u16);

impl Stamp {
    /// What a cell holds that nobody wrote.
    pub const ZERO: Stamp = Stamp(0);
    const INITIAL: u16 = 15;
    const SLOTS: usize = 1 << 5;
    const CELLS: usize = 1 << 6;

    /// The stamp of `actor`'s operation in `slot` for `cell`.
    pub const fn new(actor: TaskId, slot: u8, cell: u8) -> Stamp {
        Stamp((actor.0 as u16 + 1) << 11 | (slot as u16) << 6 | cell as u16)
    }

    /// The content that the file has before the run.
    pub const fn initial(cell: u8) -> Stamp {
        Stamp(Self::INITIAL << 11 | cell as u16)
    }

    /// (actor, slot) for a value that an operation put there.
    pub const fn origin(self) -> Option<(TaskId, u8)> {
        match self.0 >> 11 {
            0 | Self::INITIAL => None,
            actor => Some((TaskId(actor as u8 - 1), (self.0 >> 6 & 31) as u8)),
        }
    }

    /// It is part of the initial content.
    pub const fn is_initial(self) -> bool {
        self.0 >> 11 == Self::INITIAL
    }

    /// The cell for which it was written.
    pub const fn cell(self) -> u8 {
        (self.0 & 63) as u8
    }
}

const _: () = {
    assert!(CLOSER.0 as u16 + 1 < Stamp::INITIAL, "a stamp has 5 bits for who wrote it");
    assert!(OPERATIONS_MAX <= Stamp::SLOTS, "a stamp has 5 bits for the slot");
    assert!(CELLS_MAX <= Stamp::CELLS, "a stamp has 6 bits for the cell");
};

impl std::fmt::Display for Stamp {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.origin() {
            Some((actor, slot)) => write!(f, "{actor}.{slot}@{}", self.cell()),
            None if self.is_initial() => write!(f, "initial@{}", self.cell()),
            None => f.write_str("0"),
        }
    }
}

/// PG_uptodate.
pub const UPTODATE: u8 = 1;
/// PG_dirty.
pub const DIRTY: u8 = 2;
/// page->mapping is set.
pub const MAPPING: u8 = 4;
/// The page tree holds the page (and a reference).
pub const CACHED: u8 = 8;
/// PG_error.
pub const ERROR: u8 = 16;
/// Private data is attached (PG_private), with a reference.
pub const PRIVATE: u8 = 32;
/// cancel_dirty_page has cleared PG_dirty and left the tag (the judge's, not the kernel's).
pub const CANCELLED: u8 = 128;
/// page_mkclean has run and the page was not unlocked since (the judge's, not the kernel's).
pub const MKCLEANED: u8 = 64;

/// A page frame.
pub struct Page<P> {
    pub(crate) flags: Cell<u8>,
    pub(crate) index: Cell<u8>,
    pub(crate) inode: Cell<InodeId>,
    pub(crate) refcount: Cell<i16>,
    pub(crate) mapcount: Cell<u8>,
    /// References held by tasks on their way.
    pub(crate) transient: Cell<u16>,
    /// Those of them that pin the page for a device.
    pub(crate) pins: Cell<u8>,
    pub(crate) private: Cell<P>,
    pub(crate) data: [Cell<Stamp>; CELLS_PER_PAGE_MAX],
}

impl<P: Copy + Default> Default for Page<P> {
    fn default() -> Self {
        Page {
            flags: Cell::new(0),
            index: Cell::new(0),
            inode: Cell::new(InodeId::FIRST),
            refcount: Cell::new(0),
            mapcount: Cell::new(0),
            transient: Cell::new(0),
            pins: Cell::new(0),
            private: Cell::new(P::default()),
            data: [const { Cell::new(Stamp::ZERO) }; CELLS_PER_PAGE_MAX],
        }
    }
}

impl<F: Filesystem> Kernel<F> {
    #[inline]
    pub(crate) fn page(&self, page: Frame) -> &Page<F::Private> {
        &self.frames[page.index()]
    }

    /// Notes that this step touched `page`, for the judge.
    #[inline]
    pub(crate) fn touch(&self, page: Frame) {
        self.touched.set(self.touched.get() | page.bit());
    }

    /// All of these flags are set.
    #[inline]
    pub fn has(&self, page: Frame, flags: u8) -> bool {
        self.page(page).flags.get() & flags == flags
    }

    /// The flags of the page, as stored.
    pub fn flags(&self, page: Frame) -> u8 {
        self.page(page).flags.get()
    }

    #[inline]
    pub(crate) fn set(&self, page: Frame, flags: u8) {
        let f = &self.page(page).flags;
        f.set(f.get() | flags);
        self.touch(page);
    }

    /// Sets a flag that has no helper of its own (PG_error).
    pub fn set_flag(&self, page: Frame, flag: u8) {
        self.set(page, flag);
    }

    #[inline]
    pub(crate) fn clear(&self, page: Frame, flags: u8) {
        let f = &self.page(page).flags;
        f.set(f.get() & !flags);
        self.touch(page);
    }

    /// PageUptodate.
    pub fn is_uptodate(&self, page: Frame) -> bool {
        self.has(page, UPTODATE)
    }

    /// PageDirty.
    #[inline]
    pub fn is_dirty(&self, page: Frame) -> bool {
        self.has(page, DIRTY)
    }

    /// page->mapping is this file's: the page was not truncated or invalidated.
    #[inline]
    pub fn in_mapping(&self, page: Frame) -> bool {
        self.has(page, MAPPING)
    }

    /// What page_mkwrite asks once it has the page lock: the page was not truncated or invalidated
    /// meanwhile.
    pub fn still_in_mapping(&self, page: Frame) -> bool {
        self.in_mapping(page) || self.reaches_plant(Plant::NoMappingCheck)
    }

    /// page->index; stable while a reference is held, even after removal.
    pub fn index(&self, page: Frame) -> u8 {
        self.page(page).index.get()
    }

    /// page_mapped.
    pub fn is_mapped(&self, page: Frame) -> bool {
        self.page(page).mapcount.get() != 0
    }

    /// page_mapcount.
    pub fn mapcount(&self, page: Frame) -> u8 {
        self.page(page).mapcount.get()
    }

    /// References that tasks hold on their way.
    pub fn transient(&self, page: Frame) -> u16 {
        self.page(page).transient.get()
    }

    /// page_count.
    pub fn refcount(&self, page: Frame) -> i16 {
        self.page(page).refcount.get()
    }

    /// The frame is not in use.
    pub fn is_free(&self, page: Frame) -> bool {
        self.free.get() & page.bit() != 0
    }

    /// The frames in use.
    pub fn frames_in_use(&self) -> impl Iterator<Item = Frame> + '_ {
        Frame::all(!self.free.get())
    }

    /// The content of one cell of the page.
    #[inline]
    pub fn cell(&self, page: Frame, cell: u8) -> Stamp {
        self.page(page).data[usize::from(cell)].get()
    }

    /// Writes one cell of the page.
    #[inline]
    pub fn set_cell(&self, page: Frame, cell: u8, stamp: Stamp) {
        let old = self.page(page).data[usize::from(cell)].replace(stamp);
        if old != stamp && self.is_writeback(page) {
            self.event(Event::ChangedUnderWriteback { page });
        }
        self.touch(page);
    }

    /// Fills one cell of a block of the page that is not uptodate, so that it is not being written
    /// whatever is of the rest.
    pub fn fill_cell(&self, page: Frame, cell: u8, stamp: Stamp) {
        self.page(page).data[usize::from(cell)].set(stamp);
        self.touch(page);
    }

    /// Zeroes the cells of the page from `from` on.
    pub fn zero(&self, page: Frame, cells: Range) {
        for cell in cells.iter() {
            self.set_cell(page, cell, Stamp::ZERO);
        }
    }

    /// Zeroes these cells of the file, which lie in this page.
    pub fn zero_of_file(&self, page: Frame, cells: Range) {
        let first = self.first_cell(page);
        self.zero(page, Range::new(cells.start - first, cells.end - first));
    }

    /// These cells, counted from the start of a page, are all of it.
    pub fn is_whole_page(&self, cells: Range) -> bool {
        cells == Range::new(0, self.geometry().cells)
    }

    /// The first cell of the file that the page holds.
    pub fn first_cell(&self, page: Frame) -> u8 {
        self.index(page) * self.geometry().cells
    }

    /// Cells of the page that lie below i_size now (nfs_page_length and its kin).
    pub fn length_below_eof(&self, page: Frame) -> u8 {
        self.host(page).size().saturating_sub(self.first_cell(page)).min(self.geometry().cells)
    }

    /// No frame is free.
    #[inline]
    pub fn is_out_of_pages(&self) -> bool {
        self.free.get() == 0
    }

    /// Takes the lowest free frame, with one reference held by this task. `None` is out of memory.
    pub(crate) fn alloc_page(&self, index: u8) -> Option<Frame> {
        // A frame that was freed while locked stays out of use: its owner still believes in it.
        let page =
            Frame::all(self.free.get()).find(|page| self.tasks.is_free(super::page_lock(*page)))?;
        self.free.set(self.free.get() & !page.bit());
        let p = self.page(page);
        p.flags.set(0);
        p.index.set(index);
        p.inode.set(self.file_id());
        p.refcount.set(0);
        p.mapcount.set(0);
        p.transient.set(0);
        p.pins.set(0);
        p.private.set(F::Private::default());
        for cell in &p.data {
            cell.set(Stamp::ZERO);
        }
        self.get_page(page);
        Some(page)
    }

    /// A page that is not in the page cache: uptodate, without mapping, kept by its private data.
    pub fn new_uncached_page(&self, index: u8, private: F::Private) {
        let page = self.alloc_page(index).expect("a mapping has fewer pages than there are frames");
        self.set(page, UPTODATE);
        self.set_private(page, private);
        self.put_page(page);
    }

    /// A page that is in the page cache from the start: uptodate and dirty.
    pub fn new_cached_page(&self, index: u8, content: impl Fn(u8) -> Stamp) {
        let page = self.add_new_page(index).expect("a file has fewer pages than there are frames");
        for cell in 0..self.geometry().cells {
            self.set_cell(page, cell, content(cell));
        }
        self.set(page, UPTODATE | DIRTY);
        self.unlock_page(page);
        self.put_page(page);
    }

    /// get_page: this task holds one more reference.
    #[inline]
    pub fn get_page(&self, page: Frame) {
        if self.is_free(page) {
            self.event(Event::UsedFreed { page });
            return;
        }
        let p = self.page(page);
        p.refcount.set(p.refcount.get() + 1);
        p.transient.set(p.transient.get() + 1);
        let holds = &self.task().references;
        holds.set(holds.get() + 1);
        self.touch(page);
    }

    /// put_page: this task drops a reference; the last one frees the frame.
    pub fn put_page(&self, page: Frame) {
        if self.is_free(page) {
            self.event(Event::UsedFreed { page });
            return;
        }
        self.forget_transient(page);
        self.drop_reference(page);
    }

    /// This task holds one more reference, for a device that will write to the page.
    pub(crate) fn pin_page(&self, page: Frame) {
        self.get_page(page);
        let pins = &self.page(page).pins;
        pins.set(pins.get() + 1);
    }

    /// It drops that reference.
    pub(crate) fn unpin_page(&self, page: Frame) {
        let pins = &self.page(page).pins;
        pins.set(pins.get().saturating_sub(1));
        self.put_page(page);
    }

    /// A device may write to the page (folio_maybe_dma_pinned).
    pub fn is_pinned(&self, page: Frame) -> bool {
        self.page(page).pins.get() != 0
    }

    /// This task's reference becomes that of a pte or of the page cache.
    pub(crate) fn forget_transient(&self, page: Frame) {
        let (p, holds) = (self.page(page), &self.task().references);
        match (p.transient.get().checked_sub(1), holds.get().checked_sub(1)) {
            (Some(transient), Some(references)) => {
                p.transient.set(transient);
                holds.set(references);
            }
            _ => self.event(Event::PutUnheld { page }),
        }
        self.touch(page);
    }

    /// Drops a reference of the page cache, of a pte, or of private data.
    pub(crate) fn drop_reference(&self, page: Frame) {
        let p = self.page(page);
        p.refcount.set(p.refcount.get() - 1);
        self.touch(page);
        if p.refcount.get() == 0 {
            self.free_page(page);
        }
    }

    fn free_page(&self, page: Frame) {
        let loose = Loose {
            mapped: self.is_mapped(page),
            locked: self.is_locked(page),
            writeback: self.is_writeback(page),
            cached: self.has(page, CACHED),
            record: self.is_record_locked(page),
        };
        if loose != Loose::default() {
            self.event(Event::FreedInUse { page, loose });
        }
        self.free.set(self.free.get() | page.bit());
    }

    /// The private data of the page, `None` if PG_private is clear.
    #[inline]
    pub fn private(&self, page: Frame) -> Option<F::Private> {
        self.has(page, PRIVATE).then(|| self.page(page).private.get())
    }

    /// Attaches private data, or changes what is attached. Attached data holds a reference.
    pub fn set_private(&self, page: Frame, private: F::Private) {
        if !self.has(page, PRIVATE) {
            self.set(page, PRIVATE);
            let p = self.page(page);
            p.refcount.set(p.refcount.get() + 1);
        }
        self.page(page).private.set(private);
        self.touch(page);
    }

    /// The private data of the page, if it is of this kind.
    pub fn attached<T>(&self, page: Frame) -> Option<T>
    where
        F::Private: Holds<T>,
    {
        self.private(page).and_then(|private| private.get())
    }

    /// Attaches private data of this kind, or changes what is attached.
    pub fn attach<T>(&self, page: Frame, data: T)
    where
        F::Private: Holds<T>,
    {
        self.set_private(page, Holds::put(data));
    }

    /// Detaches the private data and its reference.
    pub fn clear_private(&self, page: Frame) {
        if self.has(page, PRIVATE) {
            self.clear(page, PRIVATE);
            self.page(page).private.set(F::Private::default());
            self.drop_reference(page);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stamps_say_who_wrote_them() {
        let stamp = Stamp::new(TaskId(7), 31, 63);
        assert_eq!((stamp.origin(), stamp.cell()), (Some((TaskId(7), 31)), 63));
        assert_eq!(stamp.to_string(), "H.31@63");
        assert_eq!(Stamp::initial(5).to_string(), "initial@5");
        assert_eq!((Stamp::initial(5).origin(), Stamp::ZERO.to_string()), (None, "0".to_owned()));
    }
}
