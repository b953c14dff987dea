//! PG_dirty, PG_writeback and the tags: helpers of 2.6.30 mm/page-writeback.c (`[tags]`,
//! `[clear-dirty-order]`, `[dirty-count]`).
//!
//! PG_dirty and the tag DIRTY are set in two steps; the window is legal. The tag DIRTY is left set
//! while a page is cleaned for I/O, on purpose, and the two become coherent again in
//! set_page_writeback.

use super::event::{Event, Written};
use super::page::{CANCELLED, DIRTY, Frame, MAPPING, MKCLEANED, PRIVATE};
use super::{Kernel, writeback};
use crate::implementation::Filesystem;
use crate::plant::Plant;
use crate::point::{Point, points};

points! {
    50  DirtyTag     "dirty.tag"           "set_page_dirty: set the DIRTY tag and count the page";
    51  DirtyInode   "dirty.inode"         "set_page_dirty: mark the inode dirty";
    54  ClearRedirty "clear_dirty.redirty" "clear_page_dirty_for_io: a pte was dirty; set_page_dirty";
    55  ClearTest    "clear_dirty.test"    "clear_page_dirty_for_io: test and clear PG_dirty";
}

impl<F: Filesystem> Kernel<F> {
    /// set_page_dirty: by the filesystem's method if the page has a mapping, else just the flag.
    /// May be called without the page lock. Returns whether the page was clean.
    pub async fn set_page_dirty(&self, page: Frame) -> bool {
        if self.is_free(page) {
            self.event(Event::UsedFreed { page });
        }
        if self.in_mapping(page) {
            self.calls_set_page_dirty(page);
            if self.reaches_plant(Plant::DirtySleeps) {
                self.wait_on_page_writeback(page, Point::DirtyTag).await;
            }
            self.fs().set_page_dirty(self, page).await
        } else {
            self.test_set_page_dirty(page)
        }
    }

    /// The steps of set_page_dirty after PG_dirty, for a page that was clean: tag and counter, then
    /// the inode.
    async fn dirty_tag_and_inode(&self, page: Frame) {
        if !self.in_mapping(page) || !self.tracks_dirty() {
            return;
        }
        self.at_page(Point::DirtyTag, page).await;
        self.tree_lock();
        // "Race with truncate?": the page may have left the mapping.
        if self.has(page, MAPPING) {
            if !(self.is_writeback(page) && self.reaches_plant(Plant::NoDirtyTag)) {
                self.host(page).dirty_tags.set(self.index(page));
                self.event(Event::TagSet { page, locked_by_us: self.is_locked_by_us(page) });
            }
            self.count_dirty(page, 1);
        }
        self.touch(page);
        self.at_page(Point::DirtyInode, page).await;
        if self.has(page, PRIVATE) || !self.reaches_plant(Plant::InodeStaysClean) {
            self.host(page).dirty.set(true);
        }
    }

    /// __set_page_dirty_nobuffers: PG_dirty, then tag and inode, whatever the filesystem's own
    /// method does. Returns whether the page was clean.
    pub async fn set_page_dirty_nobuffers(&self, page: Frame) -> bool {
        let newly = self.test_set_page_dirty(page);
        if newly {
            self.dirty_tag_and_inode(page).await;
        }
        newly
    }

    /// TestSetPageDirty. Returns whether the page was clean.
    pub fn test_set_page_dirty(&self, page: Frame) -> bool {
        let newly = !self.is_dirty(page);
        self.clear(page, CANCELLED);
        self.set(page, DIRTY);
        self.event(Event::DirtySet { page, newly, locked_by_us: self.is_locked_by_us(page) });
        newly
    }

    /// redirty_page_for_writepage: the page goes back without having been written.
    pub async fn redirty_page_for_writepage(&self, page: Frame) {
        self.task().written.update(|w| Written { redirtied: true, ..w });
        self.set_page_dirty_nobuffers(page).await;
    }

    fn test_clear_page_dirty(&self, page: Frame) -> bool {
        let was = self.is_dirty(page);
        if was {
            self.clear(page, DIRTY);
            self.event(Event::DirtyCleared { page, locked_by_us: self.is_locked_by_us(page) });
        }
        was
    }

    /// cancel_dirty_page: the flag and the counter only; ptes and the tag keep what they have.
    pub fn cancel_dirty_page(&self, page: Frame) {
        if self.test_clear_page_dirty(page) {
            self.set(page, CANCELLED);
            if self.in_mapping(page) && !self.reaches_plant(Plant::CancelUncounted) {
                self.count_dirty(page, -1);
            }
        }
    }

    /// clear_page_dirty_for_io, with the page locked: collect the dirty bits of the ptes and
    /// protect them, tell the filesystem if there was one, then clear PG_dirty. Returns whether the
    /// page was dirty.
    pub async fn clear_page_dirty_for_io(&self, page: Frame) -> bool {
        if self.tracks_dirty()
            && !self.reaches_plant(Plant::SkipMkclean)
            && self.page_mkclean(page).await
        {
            self.at_page(Point::ClearRedirty, page).await;
            self.set_page_dirty(page).await;
        }
        self.at_page(Point::ClearTest, page).await;
        let was = self.test_clear_page_dirty(page);
        if was && self.in_mapping(page) {
            self.count_dirty(page, -1);
        }
        was
    }

    pub(crate) fn mkcleaned(&self, page: Frame) {
        self.set(page, MKCLEANED);
        self.event(Event::Mkcleaned { page });
    }

    /// set_page_writeback: the flag, the tag WRITEBACK, and the tag DIRTY goes if PG_dirty is
    /// clear. Returns whether the flag was set already.
    pub fn set_page_writeback(&self, page: Frame) -> bool {
        self.tree_lock();
        let again = self.is_writeback(page);
        self.event(Event::WritebackStarted {
            page,
            again,
            locked_by_us: self.is_locked_by_us(page),
        });
        self.tasks.set_busy(writeback(page));
        if self.in_mapping(page) {
            let (inode, index) = (self.host(page), self.index(page));
            inode.writeback_tags.set(index);
            inode.towrite_tags.clear(index);
            if !self.is_dirty(page) {
                inode.dirty_tags.clear(index);
            }
        }
        self.task().written.update(|w| Written { started: true, ..w });
        self.touch(page);
        again
    }

    /// end_page_writeback: the flag and the tag go, waiters are woken.
    pub fn end_page_writeback(&self, page: Frame) {
        self.tree_lock();
        self.event(Event::WritebackEnded { page, idle: !self.is_writeback(page) });
        let redirtied = self.is_dirty(page);
        let keeps_tag = redirtied && self.reaches_plant(Plant::WritebackTagStays);
        if self.in_mapping(page) && !keeps_tag {
            self.host(page).writeback_tags.clear(self.index(page));
        }
        self.tasks.release(writeback(page));
        self.touch(page);
        let is_io = self.tasks.current().io_slot().is_some();
        if redirtied && is_io && self.reaches_plant(Plant::EndWritebackTwice) {
            self.event(Event::WritebackEnded { page, idle: true });
        }
    }
}
