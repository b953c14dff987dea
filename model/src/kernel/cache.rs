//! The page cache: lookups, additions and removals; i_size, and the inode's dirty and error state.
//! 2.6.30 mm/filemap.c and mm/page-writeback.c (`[mapping-and-tree]`, `[tags]`, `[mapping-error]`).

use super::Kernel;
use super::event::Event;
use super::page::{CACHED, DIRTY, Frame, MAPPING};
use crate::case::{PAGES_MAX, Range, Site};
use crate::implementation::Filesystem;
use crate::plant::Plant;

/// A batch of pages that a lookup took references on (a pagevec).
#[derive(Clone, Copy)]
pub struct Pagevec {
    pages: [Frame; PAGES_MAX],
    len: u8,
}

impl Pagevec {
    fn new() -> Pagevec {
        Pagevec { pages: [Frame(0); PAGES_MAX], len: 0 }
    }

    /// Nothing was found.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many pages were found.
    pub fn len(&self) -> u8 {
        self.len
    }

    /// The pages, by ascending index. Tasks keep this iterator over their steps, so it is small.
    pub fn iter(&self) -> impl Iterator<Item = Frame> + use<> {
        let pages = self.pages;
        (0..self.len).map(move |n| pages[usize::from(n)])
    }
}

impl<F: Filesystem> Kernel<F> {
    /// i_size, in cells.
    #[inline]
    pub fn i_size(&self) -> u8 {
        self.file().size()
    }

    /// i_size_write.
    pub fn i_size_write(&self, to: u8) {
        let from = self.file().size.replace(to);
        self.event(Event::SizeWritten { from, to, inode_locked: self.is_inode_locked_by_us() });
        // What is right for a page depends on i_size.
        for page in self.cached_pages() {
            self.touch(page);
        }
    }

    /// Pages that the file reaches into.
    pub fn pages_in_file(&self) -> u8 {
        self.geometry().pages_of(self.i_size())
    }

    /// The page that the tree holds at `index`.
    #[inline]
    pub fn slot(&self, index: u8) -> Option<Frame> {
        self.file().slot(index)
    }

    /// Every page in the tree.
    pub fn cached_pages(&self) -> impl Iterator<Item = Frame> + '_ {
        self.file().cached_pages()
    }

    /// find_get_page.
    pub fn find_get_page(&self, index: u8) -> Option<Frame> {
        self.tree_lock();
        let page = self.slot(index)?;
        self.get_page(page);
        Some(page)
    }

    /// pagevec_lookup: the pages of a range of indices, with references.
    pub fn pagevec_lookup(&self, range: Range) -> Pagevec {
        self.lookup(range, |_| true)
    }

    /// pagevec_lookup_tag(DIRTY).
    pub fn pagevec_lookup_dirty(&self, range: Range) -> Pagevec {
        let tags = &self.file().dirty_tags;
        self.lookup(range, |index| tags.has(index))
    }

    /// tag_pages_for_writeback: those that are tagged DIRTY get the tag TOWRITE, too.
    pub fn tag_pages_for_writeback(&self, range: Range) {
        self.tree_lock();
        self.file().towrite_tags.add(range, &self.file().dirty_tags);
    }

    /// pagevec_lookup_tag(TOWRITE).
    pub fn pagevec_lookup_towrite(&self, range: Range) -> Pagevec {
        let tags = &self.file().towrite_tags;
        self.lookup(range, |index| tags.has(index))
    }

    /// pagevec_lookup_tag(WRITEBACK).
    pub fn pagevec_lookup_writeback(&self, range: Range) -> Pagevec {
        let tags = &self.file().writeback_tags;
        self.lookup(range, |index| tags.has(index))
    }

    /// The first page of a range of indices with the tag TOWRITE, or DIRTY, with a reference.
    pub fn find_tagged(&self, range: Range, towrite: bool) -> Option<Frame> {
        self.tree_lock();
        let file = self.file();
        let tags = if towrite { &file.towrite_tags } else { &file.dirty_tags };
        let index = range.iter().find(|index| tags.has(*index) && self.slot(*index).is_some())?;
        let page = self.slot(index)?;
        self.get_page(page);
        Some(page)
    }

    fn lookup(&self, range: Range, is_wanted: impl Fn(u8) -> bool) -> Pagevec {
        self.tree_lock();
        let mut found = Pagevec::new();
        for index in range.iter().filter(|index| is_wanted(*index)) {
            if let Some(page) = self.slot(index) {
                self.get_page(page);
                found.pages[usize::from(found.len)] = page;
                found.len += 1;
            }
        }
        found
    }

    /// add_to_page_cache: a new page, locked by this task, which also holds a reference. `None`: no
    /// memory.
    pub fn add_to_page_cache(&self, index: u8) -> Option<Frame> {
        if self.fails(Site::Page) { None } else { self.add_new_page(index) }
    }

    /// The same where the case has no say.
    pub(crate) fn add_new_page(&self, index: u8) -> Option<Frame> {
        let page = self.alloc_page(index)?;
        let locked = self.trylock_page(page);
        assert!(locked, "a free frame is not locked");
        self.tree_lock();
        self.host(page).set_slot(index, Some(page));
        self.set(page, MAPPING | CACHED);
        let p = self.page(page);
        p.refcount.set(p.refcount.get() + 1);
        Some(page)
    }

    /// remove_from_page_cache: tree, tags and page->mapping change under the tree lock. The page
    /// cache's reference goes to the caller.
    pub(crate) fn remove_from_page_cache(&self, page: Frame) {
        self.tree_lock();
        let (inode, index) = (self.host(page), self.index(page));
        inode.set_slot(index, None);
        inode.dirty_tags.clear(index);
        inode.writeback_tags.clear(index);
        inode.towrite_tags.clear(index);
        self.clear(page, MAPPING | CACHED);
        if self.has(page, DIRTY) {
            // A set_page_dirty slipped in after cancel_dirty_page: undo its accounting.
            self.count_dirty(page, -1);
        }
        let mapped = self.ptes_of(page).next().is_some();
        self.event(Event::Removed { page, writeback: self.is_writeback(page), mapped });
        if self.reaches_plant(Plant::MappingLeftBehind) {
            self.set(page, MAPPING);
        }
    }

    /// The page has the tag DIRTY.
    pub fn is_tagged_dirty(&self, index: u8) -> bool {
        self.file().dirty_tags.has(index)
    }

    /// The page has the tag WRITEBACK.
    pub fn is_tagged_writeback(&self, index: u8) -> bool {
        self.file().writeback_tags.has(index)
    }

    /// The tags DIRTY and WRITEBACK at the place of this page, which may have left it.
    pub fn tags_of(&self, page: Frame) -> [bool; 2] {
        let (host, index) = (self.host(page), self.index(page));
        [&host.dirty_tags, &host.writeback_tags].map(|tags| tags.has(index))
    }

    /// Some page of the file has the tag DIRTY.
    pub fn any_tagged_dirty(&self) -> bool {
        self.file().dirty_tags.any()
    }

    /// The counter of dirty pages of the mapping.
    pub fn nr_dirty(&self) -> i8 {
        self.file().dirty_count.get()
    }

    pub(crate) fn count_dirty(&self, page: Frame, change: i8) {
        if self.tracks_dirty() {
            let count = &self.host(page).dirty_count;
            count.set(count.get().wrapping_add(change));
        }
    }

    /// The inode is on the list that the flusher walks.
    pub fn is_inode_dirty(&self) -> bool {
        self.file().dirty.get()
    }

    /// mark_inode_dirty, by a filesystem.
    pub fn mark_inode_dirty(&self) {
        self.set_inode_dirty(true);
    }

    /// mark_inode_dirty, and its opposite in the flusher.
    pub(crate) fn set_inode_dirty(&self, dirty: bool) {
        self.file().dirty.set(dirty);
    }

    /// These cells of the page, one bit each, could not be written.
    pub fn write_failed(&self, page: Frame, cells: u8, io: bool) {
        self.write_failed_at(self.index(page), cells, io);
    }

    /// The same of the page at this index, whatever page that is by now.
    pub(crate) fn write_failed_at(&self, index: u8, cells: u8, io: bool) {
        let cells = u64::from(cells) << (index * self.geometry().cells);
        self.event(Event::WriteFailed { cells, io });
    }

    /// mapping_set_error: the next fsync reports it, once.
    pub fn mapping_set_error(&self, error: Status) {
        let bit = if error == Status::NoSpace { 2 } else { 1 };
        let errors = &self.file().errors;
        errors.set(errors.get() | bit);
    }

    /// What the next fsync would report: errors of the mapping, and of the open file.
    pub fn has_errors(&self) -> (bool, bool) {
        (self.file().errors.get() != 0, self.fs().has_error(self))
    }

    /// Tests and clears the mapping's error; of two EIO wins (2.6.30 mm/filemap.c:
    /// wait_on_page_writeback_range).
    pub fn mapping_take_error(&self) -> Status {
        match self.file().errors.replace(0) {
            0 => Status::Ok,
            e if e & 1 != 0 => Status::Io,
            _ => Status::NoSpace,
        }
    }
}

/// How an operation, or a part of one, ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub enum Status {
    /// Success.
    #[default]
    Ok,
    /// SIGBUS at a store or load.
    Sigbus,
    /// SIGSEGV: no mapping there.
    Segv,
    /// ENOMEM.
    NoMemory,
    /// ENOSPC.
    NoSpace,
    /// EIO.
    Io,
    /// EBUSY.
    Busy,
    /// EINVAL.
    Invalid,
    /// EFAULT: the user's buffer went away.
    Fault,
    /// EOPNOTSUPP: the filesystem of that era has no such operation.
    NotSupported,
}

impl Status {
    /// The first error of two.
    #[must_use]
    pub const fn or(self, other: Status) -> Status {
        match self {
            Status::Ok => other,
            error => error,
        }
    }

    /// Its name in traces and reports.
    pub const fn name(self) -> &'static str {
        match self {
            Status::Ok => "ok",
            Status::Sigbus => "SIGBUS",
            Status::Segv => "SIGSEGV",
            Status::NoMemory => "ENOMEM",
            Status::NoSpace => "ENOSPC",
            Status::Io => "EIO",
            Status::Busy => "EBUSY",
            Status::Invalid => "EINVAL",
            Status::Fault => "EFAULT",
            Status::NotSupported => "EOPNOTSUPP",
        }
    }
}
