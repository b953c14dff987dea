//! An inode: i_size, its size on the device, the page tree with its tags, dirty state and errors;
//! and which inode a task, a page and a mapping belong to (`[mapping-and-tree]`, `[tags]`).

use std::cell::Cell;

use super::{Extents, Frame, Kernel, Stamp};
use crate::bit_set::ones;
use crate::case::{CELLS_MAX, Geometry, Operation, PAGES_MAX, Range};
use crate::exec::TaskId;
use crate::implementation::{Filesystem, InodeState, Keeps};

/// Inodes of the machine. Most cases use the first alone.
pub const INODES: usize = 2;

/// Pages that a file can have in a case with two: together no more than one file can have.
pub const PAGES_OF_TWO_MAX: u8 = (PAGES_MAX / INODES) as u8;

const NO_FRAME: u8 = u8::MAX;
const _: () = assert!(PAGES_MAX <= u8::BITS as usize, "tags are masks of 8 bits");

/// An inode's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct InodeId(u8);

impl InodeId {
    /// The first of a case, and mostly the only one.
    pub const FIRST: InodeId = InodeId(0);

    /// Below [`INODES`].
    #[inline]
    pub const fn number(self) -> u8 {
        self.0 % INODES as u8
    }

    /// The files of a case of this shape.
    pub fn all(g: Geometry) -> impl Iterator<Item = InodeId> + use<> {
        (0..1 + u8::from(g.second != 0)).map(InodeId)
    }

    /// The file that an address space maps.
    pub const fn of(g: Geometry, mm: u8) -> InodeId {
        InodeId((g.second != 0 && mm >= g.second) as u8)
    }

    /// The other file of a case that has two.
    pub const fn other(self) -> InodeId {
        InodeId(1 - self.0)
    }

    /// What a cell of it holds before the run.
    pub const fn content(self, cell: u8) -> Stamp {
        Stamp::initial(cell + self.number() * (CELLS_MAX / INODES) as u8)
    }
}

/// Tags of the page tree, one bit per index.
#[derive(Default)]
pub(crate) struct Tags(Cell<u8>);

impl Tags {
    #[inline]
    pub(crate) fn has(&self, index: u8) -> bool {
        self.0.get() >> index & 1 != 0
    }

    #[inline]
    pub(crate) fn any(&self) -> bool {
        self.0.get() != 0
    }

    pub(crate) fn set(&self, index: u8) {
        self.0.set(self.0.get() | 1 << index);
    }

    pub(crate) fn clear(&self, index: u8) {
        self.0.set(self.0.get() & !(1 << index));
    }

    /// Tags those of a range that `other` has.
    pub(super) fn add(&self, range: Range, other: &Tags) {
        self.0.set(self.0.get() | other.0.get() & range.bits() as u8);
    }

    /// The indices with the tag, ascending.
    pub(crate) fn indices(&self) -> impl Iterator<Item = u8> + use<> {
        ones(self.0.get().into())
    }
}

/// An inode, with its mapping. `S` is what the filesystems keep of it.
pub struct Inode<S> {
    id: InodeId,
    /// i_size, in cells.
    pub(super) size: Cell<u8>,
    /// The size in the inode on the device.
    pub(super) disk_size: Cell<u8>,
    tree: [Cell<u8>; PAGES_MAX],
    /// Which slots of the tree hold a page.
    cached: Tags,
    pub(super) dirty_tags: Tags,
    pub(super) writeback_tags: Tags,
    /// Tagged by a write_cache_pages for integrity that is yet to write them.
    pub(super) towrite_tags: Tags,
    /// Dirty pages that are counted.
    pub(super) dirty_count: Cell<i8>,
    /// I_DIRTY: it is on the list that the flusher walks.
    pub(super) dirty: Cell<bool>,
    /// AS_EIO and AS_ENOSPC.
    pub(super) errors: Cell<u8>,
    /// Where its blocks are.
    pub extents: Extents,
    state: S,
}

impl<S: InodeState> Inode<S> {
    fn new(id: InodeId) -> Inode<S> {
        Inode {
            id,
            size: Cell::new(0),
            disk_size: Cell::new(0),
            tree: [const { Cell::new(NO_FRAME) }; PAGES_MAX],
            cached: Tags::default(),
            dirty_tags: Tags::default(),
            writeback_tags: Tags::default(),
            towrite_tags: Tags::default(),
            dirty_count: Cell::new(0),
            dirty: Cell::new(false),
            errors: Cell::new(0),
            extents: Extents::default(),
            state: S::default(),
        }
    }

    /// One per number.
    pub(super) fn all() -> [Inode<S>; INODES] {
        std::array::from_fn(|number| Inode::new(InodeId(number as u8)))
    }

    /// Nothing is cached, and it is as long on the device as in memory.
    pub(super) fn reset(&self, size: u8) {
        self.size.set(size);
        self.disk_size.set(size);
        for index in self.cached.indices() {
            self.set_slot(index, None);
        }
        for tags in [&self.dirty_tags, &self.writeback_tags, &self.towrite_tags] {
            tags.0.set(0);
        }
        self.dirty_count.set(0);
        self.dirty.set(false);
        self.errors.set(0);
        self.extents.reset();
        self.state.reset();
    }

    /// Its number.
    #[inline]
    pub const fn id(&self) -> InodeId {
        self.id
    }

    /// What a filesystem keeps of it.
    pub fn state<T>(&self) -> &T
    where
        S: Keeps<T>,
    {
        self.state.state()
    }

    /// i_size, in cells.
    #[inline]
    pub fn size(&self) -> u8 {
        self.size.get()
    }

    /// The page that the tree holds at `index`.
    #[inline]
    pub fn slot(&self, index: u8) -> Option<Frame> {
        let frame = self.tree[usize::from(index)].get();
        (frame != NO_FRAME).then_some(Frame(frame))
    }

    pub(super) fn set_slot(&self, index: u8, page: Option<Frame>) {
        self.tree[usize::from(index)].set(page.map_or(NO_FRAME, |page| page.0));
        match page {
            Some(_) => self.cached.set(index),
            None => self.cached.clear(index),
        }
    }

    /// Every page in the tree, by ascending index.
    pub fn cached_pages(&self) -> impl Iterator<Item = Frame> + '_ {
        self.cached.indices().filter_map(|index| self.slot(index))
    }
}

impl<F: Filesystem> Kernel<F> {
    /// The inode with this number.
    #[inline]
    pub fn inode(&self, id: InodeId) -> &Inode<F::Inode> {
        // Everybody asks all the time, and two files are rare: no arithmetic.
        let [first, second] = &self.inodes;
        if id.0 == 0 { first } else { second }
    }

    /// The inode that the running task works on.
    #[inline]
    pub fn file(&self) -> &Inode<F::Inode> {
        self.inode(self.file.get())
    }

    /// The number of the inode that the running task works on.
    #[inline]
    pub fn file_id(&self) -> InodeId {
        self.file.get()
    }

    /// The files of the case.
    pub fn files(&self) -> impl Iterator<Item = InodeId> + use<F> {
        InodeId::all(self.geometry())
    }

    /// The running task works on this file from now on. Returns the one before.
    pub fn work_on(&self, file: InodeId) -> InodeId {
        self.task().file.set(file);
        self.file.replace(file)
    }

    /// Does this while the running task works on that file.
    pub fn in_file<T>(&self, file: InodeId, work: impl FnOnce() -> T) -> T {
        let own = self.work_on(file);
        let done = work();
        self.work_on(own);
        done
    }

    /// This task runs now.
    #[inline]
    pub(crate) fn resume(&self, task: TaskId) {
        self.file.set(self.states[task.index()].file.get());
    }

    /// The running task begins an operation on this file.
    pub(crate) fn begin_operation(&self, file: InodeId, operation: Operation) {
        let task = self.task();
        task.home.set(file);
        self.work_on(file);
        task.operation.set(operation);
        task.outcome.begin();
        task.began.set(self.clock());
    }

    /// The pages of the file that the running task works on which the step touched, one bit each.
    #[inline]
    pub fn touched_of_file(&self) -> u32 {
        self.of_file(self.touched())
    }

    /// The frames in use whose pages belong, or belonged, to that file, one bit each.
    pub fn frames_of_file(&self) -> u32 {
        self.of_file(self.frames_in_use().fold(0, |mask, page| mask | page.bit()))
    }

    #[inline]
    fn of_file(&self, pages: u32) -> u32 {
        if self.geometry().second == 0 {
            return pages;
        }
        let is_its = |page: &Frame| self.page(*page).inode.get() == self.file_id();
        Frame::all(pages).filter(is_its).fold(0, |mask, page| mask | page.bit())
    }

    /// The file has pages to write.
    pub(crate) fn has_dirty_pages(&self, file: InodeId) -> bool {
        let file = self.inode(file);
        file.dirty_tags.any() || file.cached_pages().any(|page| self.is_dirty(page))
    }

    /// page->mapping->host: the inode that the page belongs to; as [`Kernel::index`], also of a
    /// page that was removed.
    #[inline]
    pub fn host(&self, page: Frame) -> &Inode<F::Inode> {
        self.inode(self.page(page).inode.get())
    }
}
