//! PCT (Burckhardt et al., ASPLOS 2010): random task priorities, and d-1 steps at which the running task
//! drops below all others. It finds a bug of depth d with probability at least 1/(n k^(d-1)) a run.
//!
//! Deviations: the length k is an estimate that the caller gives, not a bound; a task that retries a fault
//! drops below all others, or a spinning task of high priority would starve the rest.

use rand::{Rng, RngExt};

use super::{Scheduler, View};
use crate::exec::{TASKS, TaskId, bits};
use crate::generate::Random;

/// PCT: random priorities of tasks, and a few steps at which the running task drops to the lowest.
pub struct Pct {
    priority: [u32; TASKS],
    changes: [u32; 3],
    steps: u32,
    lowest: u32,
    last: Option<TaskId>,
}

impl Pct {
    /// PCT of depth `depth` (2 to 4) for runs of about `length` steps.
    pub fn new(mut random: Random, depth: usize, length: u32) -> Pct {
        // Initial priorities fill the upper half; tasks that drop get ever lower ones of the lower half.
        let priority = std::array::from_fn(|_| random.next_u32() | 1 << 31);
        let changes =
            std::array::from_fn(|i| if i + 1 < depth { random.random_range(0..length.max(1)) } else { u32::MAX });
        Pct { priority, changes, steps: 0, lowest: (1 << 31) - 1, last: None }
    }

    fn drop_below_all(&mut self, task: TaskId) {
        self.priority[task.index()] = self.lowest;
        self.lowest -= 1;
    }
}

impl Scheduler for Pct {
    fn pick(&mut self, runnable: u32, _: &impl View) -> TaskId {
        if let Some(last) = self.last
            && self.changes.contains(&self.steps)
        {
            self.drop_below_all(last);
        }
        self.steps += 1;
        let best = bits(runnable).max_by_key(|task| self.priority[task.index()]);
        self.last = best;
        best.expect("some task is runnable")
    }

    fn yielded(&mut self, tasks: u32) {
        for task in bits(tasks) {
            self.drop_below_all(task);
        }
    }
}
