//! What holds of the machine itself after every step, whatever rules of the kernel a filesystem
//! breaks: checked in builds with debug assertions, on the frames that the step touched. A failure
//! here is a bug of the model.
//!
//! Rules of the kernel are the judge's (`oracle/src/rules`) and are not repeated: a page that is
//! freed while something holds on to it, a reference that nobody held, or a tag on a page that is
//! gone, are breaches that a run must survive. Once a frame was misused like that, counts of later
//! owners of the frame are off, and are no longer checked.

use super::event::Event;
use super::lock::Mm;
use super::page::{CACHED, Frame, PRIVATE};
use super::{Kernel, object};
use crate::case::PAGES_MAX;
use crate::exec::IO_MAX;
use crate::implementation::Filesystem;
use crate::plant::Plant;

impl<F: Filesystem> Kernel<F> {
    /// Fails if the machine contradicts itself. Called after each step.
    pub(crate) fn assert_sound(&self) {
        let misuse = |event| {
            matches!(
                event,
                Event::FreedInUse { .. } | Event::PutUnheld { .. } | Event::UsedFreed { .. }
            )
        };
        if self.events().any(misuse) {
            self.misused.set(true);
        }
        self.tasks.assert_sound();
        for slot in 0..IO_MAX as u8 {
            let idle = !self.tasks.is_free(object::IO + slot);
            assert_eq!(
                self.request(slot).is_none(),
                idle,
                "an I/O task waits unless it has a request: slot {slot}"
            );
        }
        for page in Frame::all(self.touched()) {
            self.assert_locked_by_a_task(page);
            if !self.misused.get() {
                self.assert_counted(page);
                self.assert_in_its_slot(page);
            }
        }
        if !self.misused.get() && !self.is_planted(Plant::MappingLeftBehind) {
            self.assert_tags_are_of_cached_pages();
        }
    }

    /// The owner of a page lock counts it among those that it holds.
    fn assert_locked_by_a_task(&self, page: Frame) {
        if let Some(task) = self.page_lock_owner(page) {
            assert_ne!(
                self.state(task).page_locks(),
                0,
                "{task} holds the lock of frame {} and no page lock",
                page.0
            );
        }
    }

    /// The references to a page are those of tasks on their way, of ptes, of the page cache and of
    /// private data. Free is what has none, and nothing maps it. The mapcount goes down a step or
    /// two after the pte is cleared, under the pte lock, so it is ahead by one per address space at
    /// the most.
    fn assert_counted(&self, page: Frame) {
        let (frame, ptes) = (page.0, self.ptes_of(page).count());
        let mapcount = usize::from(self.mapcount(page));
        assert!(ptes <= mapcount, "{ptes} ptes map frame {frame}, of which {mapcount} are counted");
        if self.is_free(page) {
            assert_eq!(
                (self.refcount(page), mapcount),
                (0, 0),
                "frame {frame} is free: references, ptes"
            );
            return;
        }
        let kept = [CACHED, PRIVATE].into_iter().filter(|flag| self.has(page, *flag)).count();
        let known = usize::from(self.transient(page)) + mapcount + kept;
        let all = usize::try_from(self.refcount(page)).expect("a frame in use has references");
        assert_ne!(all, 0, "frame {frame} is in use, and has no references");
        assert_eq!(all, known, "frame {frame}: references, and those of somebody");
        let cleared = mapcount - ptes;
        assert!(
            cleared <= Mm::all().count(),
            "frame {frame} counts {cleared} ptes that do not map it"
        );
    }

    /// The page tree and the flag that says so agree.
    fn assert_in_its_slot(&self, page: Frame) {
        let in_tree = self.host(page).slot(self.index(page)) == Some(page);
        let cached = !self.is_free(page) && self.has(page, CACHED);
        assert_eq!(in_tree, cached, "frame {} is in the page tree, and says that it is", page.0);
    }

    fn assert_tags_are_of_cached_pages(&self) {
        for inode in &self.inodes {
            for index in (0..PAGES_MAX as u8).filter(|index| inode.slot(*index).is_none()) {
                let tags = [&inode.dirty_tags, &inode.writeback_tags, &inode.towrite_tags];
                let tagged = tags.iter().any(|tags| tags.has(index));
                assert!(!tagged, "page {index} has a tag and is not in the page tree");
            }
        }
    }
}
