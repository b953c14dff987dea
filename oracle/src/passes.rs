//! Integrity passes under way: the pages that fsync, msync and sync_range must leave clean, because nobody else has
//! made them dirty since they began.

use mkwrite_model::case::{Operation, PAGES_MAX, Range};
use mkwrite_model::exec::{TASKS, TaskId};
use mkwrite_model::implementation::Registry;
use mkwrite_model::kernel::{Event, Kernel};

/// For each task, the pages of its pass, one bit each.
#[derive(Default)]
pub(crate) struct Passes {
    pages: [u8; TASKS],
}

impl Passes {
    pub(crate) fn begin(&mut self) {
        self.pages = [0; TASKS];
    }

    #[inline(always)]
    pub(crate) fn event<R: Registry>(&mut self, k: &Kernel<R>, task: TaskId, event: Event) {
        match event {
            Event::Call => {
                let range = match k.state(task).operation() {
                    Operation::Fsync | Operation::Msync => Range::new(0, PAGES_MAX as u8),
                    Operation::Integrity(pages) => pages,
                    _ => Range::new(0, 0),
                };
                self.pages[task.index()] = range.iter().fold(0, |mask, page| mask | 1 << page);
            }
            // The flag and the tag are set in two steps: either disturbs the passes of others.
            Event::DirtySet { page, .. } | Event::TagSet { page, .. } => {
                let kept = self.pages[task.index()];
                let bit = 1 << k.index(page);
                self.pages.iter_mut().for_each(|pages| *pages &= !bit);
                self.pages[task.index()] = kept;
            }
            _ => {}
        }
    }

    /// The pages of the pass of this task that nobody else has made dirty since it began.
    pub(crate) fn undisturbed(&self, task: TaskId) -> impl Iterator<Item = u8> + use<> {
        let pages = self.pages[task.index()];
        (0..PAGES_MAX as u8).filter(move |page| pages >> page & 1 != 0)
    }
}
