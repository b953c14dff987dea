//! Which steps a run takes, and nothing of the state: who, in which slot, at which point. What is
//! needed to compare runs, or to carry a schedule over, at a small part of the price of a
//! [`Timeline`](crate::timeline::Timeline).

use std::collections::BTreeMap;

use mkwrite_model::Observer;
use mkwrite_model::exec::{CLOSER, TaskId};
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::Kernel;
use mkwrite_model::kernel::event::Step;
use mkwrite_model::point::Point;

/// A step, as it is recognised in another run: a task in a slot at a point, for the n-th time from
/// 1.
pub(crate) type Visit = (TaskId, u8, Point, u32);

/// The steps of a run, in order.
#[derive(Clone, Debug, Default)]
pub(crate) struct Trail {
    steps: Vec<(TaskId, u8, Point)>,
}

/// Counts how often a task has stood at a point in a slot.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub(crate) struct Occurrences(BTreeMap<(TaskId, u8, Point), u32>);

impl Occurrences {
    /// It stands there once more: which time it is, from 1.
    pub(crate) fn next(&mut self, step: (TaskId, u8, Point)) -> u32 {
        let count = self.0.entry(step).or_default();
        *count += 1;
        *count
    }
}

impl Trail {
    /// Every step as it is recognised.
    pub(crate) fn visits(&self) -> impl Iterator<Item = Visit> {
        let mut occurrences = Occurrences::default();
        self.steps.iter().map(move |step| (step.0, step.1, step.2, occurrences.next(*step)))
    }

    /// Who took which step, up to the closing program.
    pub(crate) fn picks(&self) -> impl Iterator<Item = TaskId> {
        self.steps.iter().map(|step| step.0).take_while(|task| *task != CLOSER)
    }

    /// The number of each step, up to the closing program.
    pub(crate) fn numbers(&self) -> BTreeMap<Visit, usize> {
        let scheduled = self.visits().take_while(|visit| visit.0 != CLOSER);
        scheduled.enumerate().map(|(n, visit)| (visit, n)).collect()
    }

    /// The points at which a task takes steps in a slot, in order, each with its occurrence.
    pub(crate) fn points(&self, task: TaskId, slot: u8) -> Vec<(Point, u8)> {
        let mut occurrences = Occurrences::default();
        let own = self.steps.iter().filter(|step| (step.0, step.1) == (task, slot));
        let point = |step: &(TaskId, u8, Point)| {
            (step.2, u8::try_from(occurrences.next(*step)).unwrap_or(u8::MAX))
        };
        own.map(point).collect()
    }
}

impl<F: Filesystem> Observer<F> for Trail {
    fn step(&mut self, _: &Kernel<F>, step: Step) {
        self.steps.push((step.task, step.slot, step.point));
    }
}

#[cfg(test)]
mod tests {
    use mkwrite_impls::Builtin;
    use mkwrite_model::text::parse;
    use mkwrite_oracle::run::{Runner, targets_of};

    use super::*;
    use crate::timeline::watch;

    #[test]
    fn it_has_the_steps_of_the_timeline() {
        let text = include_str!("../../corpus/known/unlocked-return/race-nfs-unstable.mkw");
        let document = parse(text).unwrap();
        let target = targets_of::<Builtin>(&document).unwrap()[0];
        let (mut runner, mut trail) = (Runner::default(), Trail::default());
        let missed = runner.follow(target, &document.case, &mut trail);
        let timeline = watch(&mut runner, target, &document.case, 0);
        assert_eq!(missed, []);
        assert!(trail.visits().eq(timeline.steps.iter().map(|moment| moment.visit())));
        assert!(trail.picks().eq(timeline.picks()));
        let numbers = trail.numbers();
        assert_eq!(numbers.len(), timeline.picks().len());
        assert!(numbers.iter().all(|(visit, n)| timeline.steps[*n].visit() == *visit));
        let (task, slot, ..) = timeline.steps[0].visit();
        let points = trail.points(task, slot);
        let own = timeline.steps.iter().filter(|m| (m.task, m.slot) == (task, slot));
        assert!(points.iter().copied().eq(own.map(|m| (m.point, m.occurrence as u8))));
    }
}
