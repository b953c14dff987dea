//! What the fault paths share: their scheduling points, the steps that every era takes in the same
//! way, and with them the bugs that are planted there.

use crate::implementation::Filesystem;
use crate::kernel::{Event, Frame, Kernel, Mm};
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
    pub(super) async fn set_page_dirty_balance(
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
    pub(super) async fn throttle(&self, page: Frame, at: Point) {
        self.at(at).await;
        let mapping = self.in_mapping(page);
        if mapping || self.reaches_plant(Plant::ThrottleNull) {
            self.balance_dirty_pages(mapping);
        }
    }

    /// The page that came back locked is about to be made dirty.
    pub(super) fn keep_locked(&self, page: Frame) {
        if self.reaches_plant(Plant::DirtyAfterUnlock) {
            self.unlock_page(page);
        }
    }

    /// WP: the page that came back locked is dirty.
    pub(super) fn unlock_dirtied(&self, page: Frame) {
        if self.is_planted(Plant::DirtyAfterUnlock) {
            return;
        }
        if self.reaches_plant(Plant::TimeUnderLock) {
            self.file_update_time();
        }
        self.unlock_page(page);
    }

    /// WP: the page came back locked, and the pte has changed.
    pub(super) fn unlock_unused(&self, page: Frame) {
        if !self.reaches_plant(Plant::LeakPageLock) {
            self.unlock_page(page);
        }
    }

    /// MISS: page_mkwrite failed, or asks for a retry.
    pub(super) fn put_unused(&self, page: Frame) {
        if !self.reaches_plant(Plant::LeakReference) {
            self.put_page(page);
        }
    }

    /// MISS: takes the pte lock to map the page, which is locked.
    pub(super) async fn lock_pte_to_map(&self, mm: Mm, page: Frame) {
        if self.reaches_plant(Plant::MapUnlocked) {
            self.unlock_page(page);
        }
        self.pte_lock(mm, Point::MissSetPte).await;
    }

    /// MISS: the page is mapped, or somebody was faster.
    pub(super) async fn unlock_pte_of_mapped(&self, mm: Mm, page: Frame) {
        self.pte_unlock(mm);
        if self.reaches_plant(Plant::MapUnlocked) {
            self.lock_page(page, Point::MissLock).await;
        }
    }
}
