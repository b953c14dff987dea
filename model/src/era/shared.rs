//! What the fault paths share: the steps that every era takes in the same way, and with them the
//! bugs that are planted there.

use crate::implementation::Filesystem;
use crate::kernel::{Event, Frame, Kernel, Mm};
use crate::plant::Plant;
use crate::point::Point;

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

    /// WP: the page that came back locked is dirty.
    pub(super) fn unlock_dirtied(&self, page: Frame) {
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
