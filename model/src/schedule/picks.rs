//! Replay by steps: a list of tasks, one per step. A task that cannot run when its turn comes is
//! passed over, and after the list every task runs until it blocks, the lowest first. So that a
//! list with some steps exchanged is a schedule too, and goes as near to the list as the machine
//! lets it.

use super::{Scheduler, View};
use crate::exec::{TaskId, bits};

/// Replays a list of tasks, one per step.
pub struct Picks<'a> {
    picks: &'a [TaskId],
    next: usize,
    current: Option<TaskId>,
}

impl<'a> Picks<'a> {
    /// Replays these.
    pub fn new(picks: &'a [TaskId]) -> Picks<'a> {
        Picks { picks, next: 0, current: None }
    }
}

impl Scheduler for Picks<'_> {
    fn pick(&mut self, runnable: u32, _: &impl View) -> TaskId {
        let can_run = |task: &TaskId| runnable & task.bit() != 0;
        let rest = &self.picks[self.next..];
        let task = match rest.iter().position(can_run) {
            Some(n) => {
                self.next += n + 1;
                rest[n]
            }
            None => {
                self.next = self.picks.len();
                self.current
                    .filter(can_run)
                    .unwrap_or_else(|| bits(runnable).next().expect("some task is runnable"))
            }
        };
        self.current = Some(task);
        task
    }
}
