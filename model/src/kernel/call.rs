//! The locks with which a filesystem's operations are called: the tables of
//! Documentation/filesystems/locking.rst, 6.12, and Locking, 2.6.30 (`[operation-locks]`).
//!
//! Each call passes here, and what is missing is an event; the run goes on. Who calls what under
//! invalidate_lock is a rule of the eras that have it, for page caches that are written back to
//! blocks: NFS and tmpfs of 6.12 truncate without it.

use super::event::{Call, Class, Event, Lack};
use super::page::{Frame, PRIVATE};
use super::{Kernel, object};
use crate::case::Effect;
use crate::era::DirtiesLate;
use crate::implementation::{Filesystem, SizeGuard};
use crate::plant::Plant;

impl<F: Filesystem> Kernel<F> {
    fn holds(&self, class: Class) -> bool {
        self.task().held.get() & 1 << class as u8 != 0
    }

    /// The running task holds invalidate_lock exclusively.
    fn is_invalidate_locked_by_us(&self) -> bool {
        self.tasks.holder(self.object_of_file(object::INVALIDATE)) == Some(self.tasks.current())
    }

    fn lacks(&self, call: Call, page: Option<Frame>, lack: Lack) {
        self.event(Event::CalledWithout { call, lack, page });
    }

    /// An operation is called on this page, which is to be locked.
    pub(crate) fn calls_locked(&self, call: Call, page: Frame) {
        if !self.is_locked_by_us(page) {
            self.lacks(call, Some(page), Lack::Page);
        }
    }

    /// An operation is called that changes the file as a call of its user's: with the inode lock.
    pub(crate) fn calls_with_inode(&self, call: Call) {
        if !self.is_inode_locked_by_us() {
            self.lacks(call, None, Lack::Inode);
        }
    }

    /// An operation of the vm is called: with mmap_lock.
    pub(crate) fn calls_with_mmap(&self, call: Call) {
        if !self.holds(Class::Mmap) {
            self.lacks(call, None, Lack::Mmap);
        }
    }

    /// ->releasepage: locked, and not under writeback.
    pub(crate) fn calls_releasepage(&self, page: Frame) {
        self.calls_locked(Call::Releasepage, page);
        if self.is_writeback(page) {
            self.lacks(Call::Releasepage, Some(page), Lack::Writeback);
        }
    }

    /// What ->releasepage said. If that is yes, the private data is gone.
    pub(crate) fn released(&self, page: Frame, yes: bool) -> bool {
        let yes = yes || self.reaches_plant(Plant::ReleaseSaysYes);
        if yes && self.has(page, PRIVATE) {
            self.lacks(Call::Releasepage, Some(page), Lack::Private);
        }
        yes
    }

    /// Its pages are written to a device of this machine, which says by an interrupt that it has
    /// done so; a server's reply comes to a task, and tmpfs has nothing of the kind.
    pub(super) fn is_on_device(&self) -> bool {
        let declaration = self.fs().declaration();
        declaration.tracks_dirty() && declaration.size_guard == SizeGuard::InodeLock
    }

    /// ->readpage: with invalidate_lock, which the inode lock stands for in write(2).
    pub(crate) fn calls_readpage(&self, page: Frame) {
        self.calls_locked(Call::Readpage, page);
        let excluded = self.holds(Class::Invalidate) || self.is_inode_locked_by_us();
        if self.facts().invalidate_lock && !excluded {
            self.lacks(Call::Readpage, Some(page), Lack::InvalidateShared);
        }
    }

    /// ->invalidatepage: in a truncate or a punch under invalidate_lock, exclusively. (A write(2)
    /// that takes back what it got beyond the end does not, in ext2.)
    pub(crate) fn calls_invalidatepage(&self, page: Frame) {
        self.calls_locked(Call::Invalidatepage, page);
        let effect = self.task().operation().effect();
        let cuts = matches!(effect, Effect::Resizes(_)) || effect.discards().is_some();
        if self.facts().invalidate_lock
            && cuts
            && self.is_on_device()
            && !self.is_invalidate_locked_by_us()
        {
            self.lacks(Call::Invalidatepage, Some(page), Lack::Invalidate);
        }
    }

    /// set_page_dirty: the page cannot be truncated meanwhile, because its lock is held, or that of
    /// the ptes which map it. So it is since page_mkwrite returns with the page locked.
    pub(crate) fn calls_set_page_dirty(&self, page: Frame) {
        let safe = self.is_locked_by_us(page) || self.holds(Class::Pte);
        if !safe && self.target().dirties_late() == DirtiesLate::NEVER {
            self.lacks(Call::SetPageDirty, Some(page), Lack::Page);
        }
    }
}
