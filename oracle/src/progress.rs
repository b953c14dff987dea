//! Integrity passes under way: the pages that fsync, msync and sync_range must leave clean, because
//! nobody else has made them dirty since they began. And removals under way: the pages that reclaim
//! and the invalidates could have for themselves, because nobody else has touched them since they
//! began.

use mkwrite_model::bit_set::ones;
use mkwrite_model::case::{Effect, PAGES_MAX, Range};
use mkwrite_model::exec::{TASKS, TaskId};
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::page::PRIVATE;
use mkwrite_model::kernel::{Event, Frame, Kernel};

/// For each task, the pages of its pass, one bit each.
#[derive(Default)]
pub(crate) struct Passes {
    pages: [u8; TASKS],
    /// For each task, the pages of its removal.
    removals: [u8; TASKS],
}

impl Passes {
    pub(crate) fn begin(&mut self) {
        self.pages = [0; TASKS];
        self.removals = [0; TASKS];
    }

    /// Whoever touches a page disturbs the removals of others.
    #[inline]
    pub(crate) fn step<F: Filesystem>(&mut self, k: &Kernel<F>, task: TaskId) {
        if self.removals == [0; TASKS] {
            return;
        }
        let touched =
            Frame::all(k.touched_of_file()).fold(0, |mask, page| mask | 1u8 << k.index(page));
        let kept = self.removals[task.index()];
        self.removals.iter_mut().for_each(|pages| *pages &= !touched);
        self.removals[task.index()] = kept;
    }

    #[inline(always)]
    pub(crate) fn event<F: Filesystem>(&mut self, k: &Kernel<F>, task: TaskId, event: Event) {
        match event {
            Event::Call => {
                let none = Range::new(0, 0);
                let (written, removed) = match k.state(task).operation().effect() {
                    Effect::Syncs { .. } => (Range::new(0, PAGES_MAX as u8), none),
                    Effect::WritesBack { pages, integrity: true } => (pages, none),
                    Effect::Drops { pages, .. } => (none, pages),
                    _ => (none, none),
                };
                self.pages[task.index()] = written.bits() as u8;
                self.removals[task.index()] = removed.bits() as u8 & could_go(k, task);
            }
            // A pass of these eras ends at the first error of writepage.
            Event::WriteFailed { io: false, .. } if !k.facts().writes_past_errors => {
                self.pages[task.index()] = 0;
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
        ones(self.pages[task.index()].into())
    }

    /// The pages of the removal of this task that could go when it began and still could, and that
    /// nobody else has touched since.
    pub(crate) fn kept<F: Filesystem>(
        &self,
        k: &Kernel<F>,
        task: TaskId,
    ) -> impl Iterator<Item = u8> + use<F> {
        let left_alone = self.removals[task.index()];
        ones(if left_alone == 0 { 0 } else { (left_alone & could_go(k, task)).into() })
    }
}

/// The pages that nothing keeps from being removed by the operation that this task runs, one bit
/// each.
fn could_go<F: Filesystem>(k: &Kernel<F>, task: TaskId) -> u8 {
    let Effect::Drops { unmaps, launders, .. } = k.state(task).operation().effect() else {
        return 0;
    };
    let launders = launders && k.fs().launders();
    let could_go = |page: &Frame| {
        let mapped = if unmaps { k.mapcount(*page) as i16 } else { 0 };
        let alone = k.refcount(*page) == 1 + i16::from(k.has(*page, PRIVATE)) + mapped;
        let goes = if k.is_dirty(*page) { launders } else { k.fs().releases(k, *page) };
        alone && goes && !k.is_locked(*page) && !k.is_writeback(*page)
    };
    k.cached_pages().filter(could_go).fold(0, |mask, page| mask | 1 << k.index(page))
}
