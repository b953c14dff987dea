//! Callers: the fault path of the VM, era by era. One file each; a new one is a file and a line
//! below.
//!
//! A caller takes a write fault from the pte that it saw to a writable pte on a dirty page, by the
//! WP path (the pte is present and read-only) or the MISS path (the pte is none). The differences
//! between the files are the differences between the kernels; read them side by side.
//!
//! Structural difference of the two paths: WP revalidates with pte_same, and every remover of a
//! page unmaps it first, so a removed page makes pte_same fail. MISS saw none and sees none again,
//! so its pte check proves nothing about the page; only the page lock with a mapping check does.

mod try3;
mod v2_6_29;
mod v2_6_30;
mod v2_6_30_rc;

use crate::facts::{self, DirtiesLate, FaultFacts, LATE};
use crate::implementation::{Convention, Filesystem};
use crate::kernel::{Event, Frame, Kernel, Mm, Pte};
use crate::plant::Plant;
use crate::point::{Point, points};

points! {
    20  WpMkwrite       "wp.page_mkwrite"        "WP: reference taken, pte lock dropped; call page_mkwrite";
    21  MkwriteReturned "mkwrite.returned"       "the caller looks at what page_mkwrite returned";
    22  WpLock          "wp.lock_page"           "WP: lock the page that came back unlocked, check its mapping";
    23  WpPteSame       "wp.pte_same"            "WP: take the pte lock, compare the pte, make it writable and dirty";
    24  WpWaitLocked    "wp.wait_on_page_locked" "WP: wait until the page is not locked";
    25  WpDirty         "wp.set_page_dirty"      "WP: set_page_dirty";
    26  WpUnlock        "wp.unlock_page"         "WP: unlock_page, drop the reference";
    27  WpThrottle      "wp.throttle"            "WP: balance_dirty_pages_ratelimited";
    28  WpTime          "wp.file_update_time"    "WP: file_update_time";
    30  MissUnlock      "miss.unlock_page"       "MISS: ->fault returned the page locked; unlock it for page_mkwrite";
    31  MissMkwrite     "miss.page_mkwrite"      "MISS: call page_mkwrite";
    32  MissLock        "miss.lock_page"         "MISS: lock the page, check its mapping";
    33  MissSetPte      "miss.set_pte"           "MISS: take the pte lock, install the pte if it is still none";
    34  MissDirty       "miss.set_page_dirty"    "MISS: set_page_dirty";
    35  MissUnlockAfter "miss.unlock_after"      "MISS: unlock_page after the pte was installed";
    36  MissThrottle    "miss.throttle"          "MISS: balance_dirty_pages_ratelimited";
    37  MissTime        "miss.file_update_time"  "MISS: file_update_time";
}

/// A fault on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Fault {
    /// The address space.
    pub mm: Mm,
    /// The page of the file at the faulting address.
    pub index: u8,
    /// It was a store.
    pub write: bool,
    /// The pte as the fault found it.
    pub pte: Pte,
}

macro_rules! callers {
    ($($variant:ident $module:ident $name:literal $accepts:ident $mkwrite:ident $without:expr, $help:literal;)*) => {
        /// The fault path of one era.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
        pub enum Caller { $(#[doc = $help] $variant,)* }

        impl Caller {
            /// Every caller, oldest first.
            pub const ALL: &'static [Caller] = &[$(Caller::$variant),*];

            /// The name on the command line and in files.
            pub const fn name(self) -> &'static str {
                match self { $(Caller::$variant => $name,)* }
            }

            /// One line of help.
            pub const fn help(self) -> &'static str {
                match self { $(Caller::$variant => $help,)* }
            }

            /// The convention that it understands.
            pub const fn accepts(self) -> Convention {
                match self { $(Caller::$variant => Convention::$accepts,)* }
            }

            /// When it marks the page dirty.
            pub const fn facts(self) -> FaultFacts {
                match self {
                    $(Caller::$variant => FaultFacts { late_with_mkwrite: facts::$mkwrite, late_without: $without },)*
                }
            }

            /// The caller with this name.
            pub fn from_name(name: &str) -> Option<Caller> {
                match name { $($name => Some(Caller::$variant),)* _ => None }
            }
        }

        /// Takes a fault on a present, read-only pte. The pte lock is held and gets dropped.
        pub(crate) async fn do_wp_page<F: Filesystem>(k: &Kernel<F>, fault: Fault, page: Frame) -> i32 {
            match k.caller() { $(Caller::$variant => $module::do_wp_page(k, fault, page).await,)* }
        }

        /// Takes a fault on a pte that is none; `->fault` has returned `page` locked, with a
        /// reference.
        pub(crate) async fn do_fault<F: Filesystem>(k: &Kernel<F>, fault: Fault, page: Frame) -> i32 {
            match k.caller() { $(Caller::$variant => $module::do_fault(k, fault, page).await,)* }
        }
    };
}

const LATE_WP: DirtiesLate = DirtiesLate { wp: true, miss: false };

callers! {
    V2_6_29   v2_6_29    "2.6.29"    Errno  LATE   LATE,     "2.6.23 to 2.6.29: page_mkwrite returns an errno, unlocked; set_page_dirty unlocked";
    V2_6_30Rc v2_6_30_rc "2.6.30-rc" Codes  LATE   LATE,     "2.6.30-rc1 until the patch: as 2.6.29, with VM_FAULT codes";
    Try3      try3       "try3"      Locked LOCKED LATE_WP,  "the patch as posted (15 April 2009)";
    V2_6_30   v2_6_30    "2.6.30"    Locked LOCKED LATE_WP,  "the patch as landed: locked from page_mkwrite's return until set_page_dirty";
}

impl<F: Filesystem> Kernel<F> {
    /// balance_dirty_pages_ratelimited. In this era the caller itself may write pages back, so it
    /// must not hold a page lock; here it only reports that it ran. A NULL mapping is dereferenced.
    pub(crate) fn balance_dirty_pages(&self, mapping: bool) {
        self.dereference_mapping(
            mapping,
            "balance_dirty_pages_ratelimited: mapping->backing_dev_info",
        );
        self.event(Event::Throttled { page_locks: self.task().page_locks() });
    }

    /// file_update_time: may start a journal transaction, so it must not hold a page lock.
    pub(crate) fn file_update_time(&self) {
        self.event(Event::TimeUpdated { page_locks: self.task().page_locks() });
    }
}

impl<F: Filesystem> Kernel<F> {
    /// set_page_dirty_balance: dirties without the page lock; throttles if the page was clean or
    /// page_mkwrite was called; a NULL mapping is tolerated.
    async fn set_page_dirty_balance(
        &self,
        page: Frame,
        page_mkwrite: bool,
        dirty: Point,
        throttle: Point,
    ) {
        self.at_page(dirty, page).await;
        if self.set_page_dirty(page).await || page_mkwrite {
            self.throttle(page, throttle).await;
        }
    }

    /// Throttles, unless the page has no mapping.
    async fn throttle(&self, page: Frame, at: Point) {
        self.at(at).await;
        let mapping = self.in_mapping(page);
        if mapping || self.reaches_plant(Plant::ThrottleNull) {
            self.balance_dirty_pages(mapping);
        }
    }

    /// WP: the page that came back locked is dirty.
    fn unlock_dirtied(&self, page: Frame) {
        if self.reaches_plant(Plant::TimeUnderLock) {
            self.file_update_time();
        }
        self.unlock_page(page);
    }

    /// WP: the page came back locked, and the pte has changed.
    fn unlock_unused(&self, page: Frame) {
        if !self.reaches_plant(Plant::LeakPageLock) {
            self.unlock_page(page);
        }
    }

    /// MISS: page_mkwrite failed, or asks for a retry.
    fn put_unused(&self, page: Frame) {
        if !self.reaches_plant(Plant::LeakReference) {
            self.put_page(page);
        }
    }

    /// MISS: takes the pte lock to map the page, which is locked.
    async fn lock_pte_to_map(&self, mm: Mm, page: Frame) {
        if self.reaches_plant(Plant::MapUnlocked) {
            self.unlock_page(page);
        }
        self.pte_lock(mm, Point::MissSetPte).await;
    }

    /// MISS: the page is mapped, or somebody was faster.
    async fn unlock_pte_of_mapped(&self, mm: Mm, page: Frame) {
        self.pte_unlock(mm);
        if self.reaches_plant(Plant::MapUnlocked) {
            self.lock_page(page, Point::MissLock).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_invertible() {
        for &caller in Caller::ALL {
            assert_eq!(Caller::from_name(caller.name()), Some(caller));
        }
    }
}
