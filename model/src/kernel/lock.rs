//! Locks of the machine: page lock, mmap lock, pte lock, i_mmap lock, inode lock, a filesystem's
//! flush lock, and the writeback bit as something to wait for (`[page-lock]`, `[lock-order]`).
//!
//! Each acquisition is checked against the order of the era. The tree lock and private_lock are
//! never held across a step, so they are not objects: the code that holds them runs in one step,
//! and `Kernel::tree_lock` only checks the order. A violation is reported and the run goes on.

use super::event::{Class, Event};
use super::page::{Frame, MKCLEANED};
use super::{Kernel, object, page_lock, record_lock, writeback};
use crate::case::MMS_MAX;
use crate::exec::{Mode, TaskId};
use crate::implementation::Filesystem;
use crate::plant::Plant;
use crate::point::Point;

/// An address space's number.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub struct Mm(pub u8);

impl Mm {
    /// The address spaces of a case.
    pub fn all() -> impl Iterator<Item = Mm> {
        (0..MMS_MAX as u8).map(Mm)
    }
}

impl<F: Filesystem> Kernel<F> {
    fn hold(&self, class: Class) {
        let task = self.task();
        if class == Class::Page {
            task.page_locks.set(task.page_locks.get() + 1);
        }
        task.held.set(task.held.get() | 1 << class as u16);
    }

    fn unhold(&self, class: Class) {
        let task = self.task();
        if class == Class::Page {
            task.page_locks.set(task.page_locks.get().saturating_sub(1));
            if task.page_locks.get() != 0 {
                return;
            }
        }
        task.held.set(task.held.get() & !(1 << class as u16));
    }

    /// Reports a lock that is taken while one is held that comes after it in the order.
    #[inline]
    fn check_order(&self, wanted: Class) {
        let after = self.task().held.get() >> wanted as u8;
        if after != 0 {
            const CLASSES: [Class; 10] = [
                Class::FreezeWrite,
                Class::Inode,
                Class::Mmap,
                Class::FreezeFault,
                Class::Invalidate,
                Class::Flush,
                Class::Page,
                Class::IMmap,
                Class::Pte,
                Class::Tree,
            ];
            let held = CLASSES[usize::from(wanted as u8) + after.trailing_zeros() as usize];
            self.event(Event::LockOrder { held, wanted });
        }
    }

    /// Reports a task that may sleep while it holds a spinlock.
    #[inline]
    fn might_sleep(&self) {
        if self.tasks.current().io_slot().is_some() && self.is_on_device() {
            self.event(Event::SleptInInterrupt);
        }
        for held in [Class::IMmap, Class::Pte] {
            if self.task().held.get() & 1 << held as u8 != 0 {
                self.event(Event::SleptAtomic { held });
            }
        }
    }

    async fn take(&self, at: Point, object: u8, mode: Mode, class: Class) {
        self.check_order(class);
        if !class.is_spinlock() {
            self.might_sleep();
        }
        self.tasks.acquire(at.number(), object, mode).await;
        self.hold(class);
    }

    /// lock_page.
    #[inline]
    pub async fn lock_page(&self, page: Frame, at: Point) {
        self.take(at, page_lock(page), Mode::Exclusive, Class::Page).await;
        self.locked(page);
    }

    fn locked(&self, page: Frame) {
        if self.is_free(page) {
            self.event(Event::UsedFreed { page });
        }
        self.touch(page);
    }

    /// trylock_page. The order does not matter to a trylock.
    pub fn trylock_page(&self, page: Frame) -> bool {
        let locked = self.tasks.try_acquire(page_lock(page));
        if locked {
            self.hold(Class::Page);
            self.locked(page);
        }
        locked
    }

    /// unlock_page.
    pub fn unlock_page(&self, page: Frame) {
        let owner = self.is_locked_by_us(page);
        self.event(Event::Unlocked { page, owner });
        if self.is_free(page) {
            self.event(Event::UsedFreed { page });
        }
        self.clear(page, MKCLEANED);
        self.tasks.release(page_lock(page));
        if owner {
            self.unhold(Class::Page);
        }
    }

    /// PageLocked.
    #[inline]
    pub fn is_locked(&self, page: Frame) -> bool {
        !self.tasks.is_free(page_lock(page))
    }

    /// The running task holds the page lock.
    pub fn is_locked_by_us(&self, page: Frame) -> bool {
        self.page_lock_owner(page) == Some(self.tasks.current())
    }

    /// The task that holds the page lock.
    pub fn page_lock_owner(&self, page: Frame) -> Option<TaskId> {
        self.tasks.holder(page_lock(page))
    }

    /// wait_on_page_locked: waits until the page is not locked, does not lock it.
    pub async fn wait_on_page_locked(&self, page: Frame, at: Point) {
        if self.reaches_plant(Plant::WpSkipsLockWait) {
            return;
        }
        self.might_sleep();
        self.tasks.acquire(at.number(), page_lock(page), Mode::Free).await;
        self.touch(page);
    }

    /// PageWriteback.
    #[inline]
    pub fn is_writeback(&self, page: Frame) -> bool {
        !self.tasks.is_free(writeback(page))
    }

    /// wait_on_page_writeback.
    pub async fn wait_on_page_writeback(&self, page: Frame, at: Point) {
        self.might_sleep();
        self.tasks.acquire(at.number(), writeback(page), Mode::Free).await;
        self.touch(page);
    }

    /// mmap_lock for reading.
    pub async fn mmap_read_lock(&self, mm: Mm, at: Point) {
        if self.reaches_plant(Plant::FaultNoMmapLock) {
            return;
        }
        self.take(at, object::MMAP + mm.0, Mode::Shared, Class::Mmap).await;
    }

    /// Releases mmap_lock held for reading.
    pub fn mmap_read_unlock(&self, mm: Mm) {
        if self.is_planted(Plant::FaultNoMmapLock) {
            return;
        }
        self.tasks.release_shared(object::MMAP + mm.0);
        self.unhold(Class::Mmap);
    }

    /// mmap_lock for writing.
    pub async fn mmap_write_lock(&self, mm: Mm, at: Point) {
        self.take(at, object::MMAP + mm.0, Mode::Exclusive, Class::Mmap).await;
    }

    /// Releases mmap_lock held for writing.
    pub fn mmap_write_unlock(&self, mm: Mm) {
        self.tasks.release(object::MMAP + mm.0);
        self.unhold(Class::Mmap);
    }

    /// pte_offset_map_lock: the lock of the address space's page tables.
    #[inline]
    pub async fn pte_lock(&self, mm: Mm, at: Point) {
        self.take(at, object::PTE + mm.0, Mode::Exclusive, Class::Pte).await;
    }

    /// pte_unmap_unlock.
    #[inline]
    pub fn pte_unlock(&self, mm: Mm) {
        self.tasks.release(object::PTE + mm.0);
        self.unhold(Class::Pte);
    }

    /// The object of this kind of the file that the running task works on.
    #[inline]
    pub(super) fn object_of_file(&self, first: u8) -> u8 {
        first + self.file_id().number()
    }

    /// i_mmap_lock: no vma of the file comes or goes, rmap can walk them.
    pub async fn i_mmap_lock(&self, at: Point) {
        self.take(at, self.object_of_file(object::I_MMAP), Mode::Exclusive, Class::IMmap).await;
    }

    /// Releases i_mmap_lock.
    pub fn i_mmap_unlock(&self) {
        self.tasks.release(self.object_of_file(object::I_MMAP));
        self.unhold(Class::IMmap);
    }

    /// i_mutex.
    pub async fn inode_lock(&self, at: Point) {
        self.take(at, self.object_of_file(object::INODE), Mode::Exclusive, Class::Inode).await;
    }

    /// Releases i_mutex.
    pub fn inode_unlock(&self) {
        self.tasks.release(self.object_of_file(object::INODE));
        self.unhold(Class::Inode);
    }

    /// The task that holds i_mutex.
    pub fn inode_lock_owner(&self) -> Option<TaskId> {
        self.tasks.holder(self.object_of_file(object::INODE))
    }

    /// The running task holds i_mutex.
    pub fn is_inode_locked_by_us(&self) -> bool {
        self.inode_lock_owner() == Some(self.tasks.current())
    }

    /// filemap_invalidate_lock: nothing is read into the page cache until it is released. An era
    /// before 5.15 has no such lock: then this and the next three do nothing.
    pub async fn invalidate_lock(&self, at: Point) {
        if !self.facts().invalidate_lock {
            return;
        }
        self.take(at, self.object_of_file(object::INVALIDATE), Mode::Exclusive, Class::Invalidate)
            .await;
    }

    /// filemap_invalidate_unlock.
    pub fn invalidate_unlock(&self) {
        if !self.facts().invalidate_lock {
            return;
        }
        self.tasks.release(self.object_of_file(object::INVALIDATE));
        self.unhold(Class::Invalidate);
    }

    /// filemap_invalidate_lock_shared.
    pub async fn invalidate_lock_shared(&self, at: Point) {
        if !self.facts().invalidate_lock {
            return;
        }
        self.take(at, self.object_of_file(object::INVALIDATE), Mode::Shared, Class::Invalidate)
            .await;
    }

    /// filemap_invalidate_unlock_shared.
    pub fn invalidate_unlock_shared(&self) {
        if !self.facts().invalidate_lock {
            return;
        }
        self.tasks.release_shared(self.object_of_file(object::INVALIDATE));
        self.unhold(Class::Invalidate);
    }

    /// The filesystem can be frozen, and its kernel knows how.
    pub fn freezes(&self) -> bool {
        self.facts().freezes && self.fs().declaration().freezes
    }

    /// sb_start_write, if the filesystem can be frozen.
    pub(crate) async fn start_write(&self, at: Point) {
        self.take(at, object::FREEZE_WRITE, Mode::Shared, Class::FreezeWrite).await;
    }

    /// sb_end_write.
    pub(crate) fn end_write(&self) {
        self.tasks.release_shared(object::FREEZE_WRITE);
        self.unhold(Class::FreezeWrite);
    }

    /// sb_start_pagefault, if the filesystem can be frozen.
    pub(crate) async fn start_fault(&self, at: Point) {
        self.take(at, object::FREEZE_FAULT, Mode::Shared, Class::FreezeFault).await;
    }

    /// sb_end_pagefault.
    pub(crate) fn end_fault(&self) {
        self.tasks.release_shared(object::FREEZE_FAULT);
        self.unhold(Class::FreezeFault);
    }

    /// Keeps out who writes by a system call, and waits for those who do.
    pub(crate) async fn freeze_writers(&self, at: Point) {
        self.take(at, object::FREEZE_WRITE, Mode::Exclusive, Class::FreezeWrite).await;
    }

    /// The same for page_mkwrite.
    pub(crate) async fn freeze_faults(&self, at: Point) {
        self.take(at, object::FREEZE_FAULT, Mode::Exclusive, Class::FreezeFault).await;
    }

    /// The filesystem is frozen: nothing of it may change.
    #[inline]
    pub fn is_frozen(&self) -> bool {
        self.frozen.get()
    }

    pub(crate) fn set_frozen(&self, frozen: bool) {
        self.frozen.set(frozen);
        self.event(Event::Frozen(frozen));
    }

    /// Lets both go on.
    pub(crate) fn thaw(&self) {
        self.tasks.release(object::FREEZE_FAULT);
        self.tasks.release(object::FREEZE_WRITE);
        self.unhold(Class::FreezeFault);
        self.unhold(Class::FreezeWrite);
    }

    /// The filesystem's flush lock (NFS_INO_FLUSHING).
    pub async fn flush_lock(&self, at: Point) {
        self.take(at, self.object_of_file(object::FLUSH), Mode::Exclusive, Class::Flush).await;
    }

    /// Waits until nobody holds the flush lock.
    pub async fn wait_on_flush(&self, at: Point) {
        self.might_sleep();
        self.tasks.acquire(at.number(), self.object_of_file(object::FLUSH), Mode::Free).await;
    }

    /// Releases the flush lock.
    pub fn flush_unlock(&self) {
        self.tasks.release(self.object_of_file(object::FLUSH));
        self.unhold(Class::Flush);
    }

    /// The lock of a filesystem's commit (NFS_INO_COMMIT): one at a time. Taken last; nothing is
    /// waited for under it but the server's reply.
    pub async fn commit_lock(&self, at: Point) {
        self.might_sleep();
        self.tasks.acquire(at.number(), self.object_of_file(object::COMMIT), Mode::Exclusive).await;
    }

    /// Takes the commit lock if it is free.
    pub fn try_commit_lock(&self) -> bool {
        self.tasks.try_acquire(self.object_of_file(object::COMMIT))
    }

    /// Releases the commit lock.
    pub fn commit_unlock(&self) {
        self.tasks.release(self.object_of_file(object::COMMIT));
    }

    /// Counts a commit that is under way, where several may be (rpcs_out in later NFS); FUSE counts
    /// the WRITEs in flight so (writectr).
    pub fn commit_begin(&self) {
        self.tasks.share(self.object_of_file(object::COMMIT));
    }

    /// It is over.
    pub fn commit_end(&self) {
        self.tasks.release_shared(self.object_of_file(object::COMMIT));
    }

    /// Waits until none is under way.
    pub async fn wait_on_commit(&self, at: Point) {
        self.might_sleep();
        self.tasks.acquire(at.number(), self.object_of_file(object::COMMIT), Mode::Free).await;
    }

    /// A request carries a copy of the page at this index of the file.
    pub fn copy_begin(&self, index: u8) {
        self.tasks.set_busy(object::slot(self.file_id(), index));
    }

    /// No request does any more; wakes the tasks that wait for that.
    pub fn copy_end(&self, index: u8) {
        self.tasks.release(object::slot(self.file_id(), index));
    }

    /// Waits until no request carries a copy of the page at this index.
    pub async fn wait_on_copy(&self, index: u8, at: Point) {
        self.might_sleep();
        let slot = object::slot(self.file_id(), index);
        self.tasks.acquire(at.number(), slot, Mode::Free).await;
    }

    /// jbd2_journal_start: what follows is committed together, when the last handle that was open
    /// has ended. Comes before page locks.
    pub async fn journal_start(&self, at: Point) {
        self.take(at, object::JOURNAL, Mode::Shared, Class::Flush).await;
    }

    /// jbd2_journal_stop.
    pub fn journal_stop(&self) {
        self.tasks.release_shared(object::JOURNAL);
        self.unhold(Class::Flush);
    }

    /// A commit waits until no handle is open.
    pub async fn wait_on_handles(&self, at: Point) {
        self.might_sleep();
        self.tasks.acquire(at.number(), object::JOURNAL, Mode::Free).await;
    }

    /// The tree lock, taken and released within the step: mapping, tree and tags change together.
    #[inline]
    pub(crate) fn tree_lock(&self) {
        self.check_order(Class::Tree);
    }

    /// The record of the page is in use (NFS: the request is tagged LOCKED).
    pub fn is_record_locked(&self, page: Frame) -> bool {
        !self.tasks.is_free(record_lock(page))
    }

    /// Marks the page's record as in use.
    pub fn record_lock(&self, page: Frame) {
        self.tasks.set_busy(record_lock(page));
        self.touch(page);
    }

    /// The record is no longer in use; wakes the tasks that wait for it.
    pub fn record_unlock(&self, page: Frame) {
        self.tasks.release(record_lock(page));
        self.touch(page);
    }

    /// A scheduling point that waits until the page's record is not in use.
    pub async fn record_free(&self, page: Frame, at: Point) {
        self.might_sleep();
        self.tasks.acquire(at.number(), record_lock(page), Mode::Free).await;
        self.touch(page);
    }
}
