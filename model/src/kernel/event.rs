//! What a step did, for the judge: facts sampled at the moment when they were true.
//!
//! Kernel code does not know the rules. It reports events; rules look at the events of a step and
//! at the pages that it touched. An event belongs to the task whose step it is, and to the point
//! where that task stood before the step.

use std::cell::Cell;

use super::page::Frame;
use crate::case::{Range, Site};
use crate::exec::TaskId;
use crate::implementation::Code;

/// Lock classes, in the order in which they may be taken (2.6.30 mm/filemap.c and mm/rmap.c, head
/// comments; `[lock-order]`).
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
#[repr(u8)]
pub enum Class {
    /// The first level of freezing (sb_start_write).
    FreezeWrite,
    /// i_mutex.
    Inode,
    /// mmap_sem, later mmap_lock.
    Mmap,
    /// The second level of freezing (sb_start_pagefault).
    FreezeFault,
    /// invalidate_lock of the mapping, since 5.15.
    Invalidate,
    /// A filesystem's flush lock (NFS_INO_FLUSHING), or an open handle of its journal.
    Flush,
    /// A page lock.
    Page,
    /// i_mmap_lock.
    IMmap,
    /// A pte lock.
    Pte,
    /// The lock of the page tree.
    Tree,
}

impl Class {
    /// Taken by tasks that may not sleep while they hold it.
    pub const fn is_spinlock(self) -> bool {
        matches!(self, Class::IMmap | Class::Pte | Class::Tree)
    }

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Class::FreezeWrite => "freezing of writers",
            Class::FreezeFault => "freezing of faults",
            Class::Inode => "inode lock",
            Class::Mmap => "mmap_lock",
            Class::Invalidate => "invalidate_lock",
            Class::Flush => "flush lock",
            Class::Page => "page lock",
            Class::IMmap => "i_mmap lock",
            Class::Pte => "pte lock",
            Class::Tree => "tree lock",
        }
    }
}

/// An operation of a filesystem that relies on locks of its caller, as the tables of the locking
/// document have it (`[operation-locks]`).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Call {
    /// ->readpage, later ->read_folio.
    Readpage,
    /// ->writepage.
    Writepage,
    /// ->write_begin, and what it returns.
    WriteBegin,
    /// ->write_end.
    WriteEnd,
    /// ->invalidatepage, later ->invalidate_folio.
    Invalidatepage,
    /// ->releasepage, later ->release_folio.
    Releasepage,
    /// ->launder_page, later ->launder_folio: before and after.
    LaunderPage,
    /// ->set_page_dirty, later ->dirty_folio.
    SetPageDirty,
    /// ->setattr with a new size.
    Setattr,
    /// ->fsync, until 3.0.
    Fsync,
    /// ->fault.
    Fault,
    /// ->page_mkwrite.
    PageMkwrite,
}

/// What is missing at such a call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Lack {
    /// The lock of the page.
    Page,
    /// The inode lock.
    Inode,
    /// mmap_lock.
    Mmap,
    /// invalidate_lock, shared at least.
    InvalidateShared,
    /// invalidate_lock, exclusively.
    Invalidate,
    /// No lock: the page is under writeback.
    Writeback,
    /// No lock: it said that the private data is gone, which it is not.
    Private,
}

/// What `writepage` did with the page, by the contract of the locking document.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Written {
    /// It started writeback.
    pub started: bool,
    /// It redirtied the page.
    pub redirtied: bool,
    /// The page lay wholly beyond i_size.
    pub beyond_eof: bool,
}

/// A frame that was freed although something still held on to it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Loose {
    /// ptes still map it.
    pub mapped: bool,
    /// It is locked.
    pub locked: bool,
    /// It is under writeback.
    pub writeback: bool,
    /// The page tree still holds it.
    pub cached: bool,
    /// Its record is busy: I/O on it is under way.
    pub record: bool,
}

/// One fact of a step.
#[allow(missing_docs)] // the text of each event names its fields
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// An operation enters the kernel, or its first instruction runs.
    Call,
    /// An operation returned; its result is in [`Kernel::outcome`](super::Kernel::outcome).
    Return,
    /// page_mkwrite returned this code, and the faulted page was or was not locked by this task.
    MkwriteReturned { page: Frame, code: Code, locked: bool },
    /// The fault handler returned.
    FaultReturned,
    /// The filesystem is frozen from now on, or no more.
    Frozen(bool),
    /// A fault made a pte present or writable.
    PteSet { page: Frame, write: bool, new: bool, locked_by_us: bool, mapping: bool },
    /// Stored to these cells of the file through a pte.
    Stored { cells: Range },
    /// set_page_dirty ran.
    DirtySet { page: Frame, newly: bool, locked_by_us: bool },
    /// set_page_dirty set the tag DIRTY.
    TagSet { page: Frame, locked_by_us: bool },
    /// PG_dirty went from 1 to 0.
    DirtyCleared { page: Frame, locked_by_us: bool },
    /// i_size was written.
    SizeWritten { from: u8, to: u8, inode_locked: bool },
    /// page_mkclean returned.
    Mkcleaned { page: Frame },
    /// set_page_writeback ran; `again` if the bit was set already.
    WritebackStarted { page: Frame, again: bool, locked_by_us: bool },
    /// A byte of the page changed while PG_writeback was set.
    ChangedUnderWriteback { page: Frame },
    /// end_page_writeback ran; `idle` if the bit was clear already.
    WritebackEnded { page: Frame, idle: bool },
    /// writepage returned.
    WritepageReturned { page: Frame, written: Written },
    /// Writeback was submitted; `tail` if bytes beyond the i_size that writepage saw are not zero.
    Submitted { page: Frame, tail: bool },
    /// The data of a request reached the device or the server.
    Transferred { slot: u8 },
    /// A WRITE made the file on the server longer than the last SETATTR left it, although nobody
    /// extended it since: `right` would be its size.
    Regrown { right: u8 },
    /// What these cells of the file held, one bit each, could not be written: a request failed, or
    /// there is no space.
    WriteFailed { cells: u64, io: bool },
    /// The case has a site fail, for this task.
    Failed { site: Site },
    /// A page was unlocked, by its owner or not.
    Unlocked { page: Frame, owner: bool },
    /// A page left the page cache; `mapped` if a pte still maps it.
    Removed { page: Frame, writeback: bool, mapped: bool },
    /// A frame was freed while something held on to it.
    FreedInUse { page: Frame, loose: Loose },
    /// A reference was dropped that nobody held.
    PutUnheld { page: Frame },
    /// A freed frame was locked, unlocked, dirtied or released.
    UsedFreed { page: Frame },
    /// file_update_time ran.
    TimeUpdated { page_locks: u8 },
    /// balance_dirty_pages_ratelimited ran.
    Throttled { page_locks: u8 },
    /// A lock was taken against the order.
    LockOrder { held: Class, wanted: Class },
    /// A task was about to sleep with a spinlock held.
    SleptAtomic { held: Class },
    /// The completion of an I/O was about to sleep, in an interrupt.
    SleptInInterrupt,
    /// An operation of the filesystem was called without a lock that it relies on.
    CalledWithout { call: Call, lack: Lack, page: Option<Frame> },
    /// truncate is done with the page cache; no page from `first` on belongs to the file.
    Truncated { first: u8 },
    /// A punched hole covers these cells of a page that stays, and that somebody can store to.
    PartPunched { page: Frame, cells: Range },
    /// A write(2) that ended early gave back what was reserved for these cells of the file, a block
    /// that holds the end of the file and is dirty.
    EofBlockReleased { cells: Range },
    /// A modelled BUG_ON fired. The run ends.
    Bug { what: &'static str },
    /// A NULL mapping was dereferenced. The run ends.
    NullMapping { what: &'static str },
}

/// Events of one step, at the most.
pub const EVENTS_MAX: usize = 24;

/// The events of the step that runs now.
pub struct Events {
    len: Cell<u8>,
    items: [Cell<Event>; EVENTS_MAX],
}

impl Default for Events {
    fn default() -> Self {
        Events { len: Cell::new(0), items: [const { Cell::new(Event::Call) }; EVENTS_MAX] }
    }
}

impl Events {
    /// Forgets the events of the step before.
    #[inline]
    pub fn clear(&self) {
        self.len.set(0);
    }

    /// Notes an event.
    #[inline]
    pub fn push(&self, event: Event) {
        let len = usize::from(self.len.get());
        assert!(len < EVENTS_MAX, "one step had more events than the buffer holds");
        self.items[len].set(event);
        self.len.set(len as u8 + 1);
    }

    /// The events, in order.
    #[inline]
    pub fn iter(&self) -> impl Iterator<Item = Event> + '_ {
        self.items[..usize::from(self.len.get())].iter().map(Cell::get)
    }
}

/// One step, as observers see it.
#[derive(Clone, Copy, Debug)]
pub struct Step {
    /// The task that took it.
    pub task: TaskId,
    /// Where it stood before: the step does what that point says.
    pub point: crate::point::Point,
    /// The operation slot, or the number of the request.
    pub slot: u8,
    /// The step's number in the run, from 0.
    pub number: u32,
    /// The object that it touches first (0 is none).
    pub object: u8,
}
