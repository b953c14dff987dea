//! PCT (Burckhardt et al., ASPLOS 2010): random task priorities, and d-1 steps at which the running
//! task drops below all others. It finds a bug of depth d with probability at least 1/(n k^(d-1)) a
//! run.
//!
//! Deviations: the length k is an estimate that the caller gives, not a bound; and a task that
//! retries a fault drops below all others, or a spinning task of high priority would starve the
//! rest.

use rand::{Rng, RngExt};

use super::{Scheduler, View};
use crate::exec::{TASKS, TaskId, bits};
use crate::generate::Random;

/// Below what a task draws, above what a task that retries drops to: the n-th change point gives
/// this and n. The points are drawn without regard to their order, so which of two tasks that
/// drop is the lower one is drawn, too.
const CHANGED: u32 = 1 << 30;

/// PCT: random priorities of tasks, and a few steps at which the running task drops below them.
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
        // Initial priorities fill the upper half.
        let priority = std::array::from_fn(|_| random.next_u32() | 1 << 31);
        let changes = std::array::from_fn(|i| {
            if i + 1 < depth { random.random_range(0..length.max(1)) } else { u32::MAX }
        });
        Pct { priority, changes, steps: 0, lowest: CHANGED - 1, last: None }
    }

    fn drop_below_all(&mut self, task: TaskId) {
        self.priority[task.index()] = self.lowest;
        self.lowest -= 1;
    }
}

impl Scheduler for Pct {
    fn pick(&mut self, runnable: u32, _: &impl View) -> TaskId {
        if let Some(last) = self.last
            && let Some(n) = self.changes.iter().position(|step| *step == self.steps)
        {
            self.priority[last.index()] = CHANGED + n as u32;
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

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::pin::Pin;

    use super::*;
    use crate::exec::{Mode, Tasks};
    use crate::generate::random;

    type Program<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

    /// What the tasks of a program share: two locks, a pointer that may be NULL, and what has gone
    /// wrong.
    #[derive(Default)]
    struct Shared {
        tasks: Tasks<3>,
        set: Cell<bool>,
        broken: Cell<bool>,
        /// The order in which steps were noted.
        order: Cell<u64>,
    }

    impl Shared {
        /// Code of no interest, `steps` steps long.
        async fn other_work(&self, steps: u32) {
            for _ in 0..steps {
                self.tasks.point(1, 0).await;
            }
        }

        /// A step that dereferences the pointer.
        async fn dereference(&self) {
            self.tasks.point(2, 0).await;
            self.broken.set(self.broken.get() | !self.set.get());
        }

        /// A step that sets the pointer, or clears it.
        async fn assign(&self, set: bool) {
            self.tasks.point(3, 0).await;
            self.set.set(set);
        }

        /// Takes two locks one after the other.
        async fn lock_both(&self, first: u8, second: u8) {
            self.tasks.acquire(4, first, Mode::Exclusive).await;
            self.tasks.acquire(5, second, Mode::Exclusive).await;
            self.tasks.release(second);
            self.tasks.release(first);
        }

        /// A step that is noted as `name`, a digit.
        async fn note(&self, name: u64) {
            self.tasks.point(6, 0).await;
            self.order.set(self.order.get() * 10 + name);
        }
    }

    /// Runs these tasks. Returns the number of steps; tasks that are left over are stuck.
    fn run(shared: &Shared, mut programs: Vec<Program<'_>>, scheduler: &mut impl Scheduler) -> u32 {
        for (n, program) in programs.iter_mut().enumerate() {
            shared.tasks.spawn(TaskId(n as u8), Pin::new(program));
        }
        let mut steps = 0;
        while shared.tasks.runnable() != 0 {
            let task = scheduler.pick(shared.tasks.runnable(), &shared.tasks);
            shared.tasks.step(task, Pin::new(&mut programs[task.index()]));
            steps += 1;
        }
        steps
    }

    const RUNS: u32 = 20_000;

    /// How many of [`RUNS`] runs show the bug.
    fn measure<S: Scheduler>(
        programs: for<'a> fn(&'a Shared) -> Vec<Program<'a>>,
        is_bug: fn(&Shared) -> bool,
        scheduler: impl Fn(Random) -> S,
    ) -> u32 {
        let mut found = 0;
        for seed in 0..u64::from(RUNS) {
            let shared = Shared::default();
            run(&shared, programs(&shared), &mut scheduler(random(7, seed, 0)));
            found += u32::from(is_bug(&shared));
        }
        found
    }

    /// PCT of this depth finds the bug as often as the paper promises: in 1/(n k^(d-1)) of the runs
    /// or more, less three standard deviations.
    fn keeps_the_bound(
        depth: usize,
        programs: for<'a> fn(&'a Shared) -> Vec<Program<'a>>,
        is_bug: fn(&Shared) -> bool,
    ) {
        let shared = Shared::default();
        let tasks = programs(&shared).len() as u32;
        // Without a preemption nothing goes wrong in any of these programs if the tasks run in
        // turn, so this is the length of a whole run.
        let length = run(&shared, programs(&shared), &mut InTurn);
        assert!(
            !is_bug(&shared) && shared.tasks.live() == 0,
            "the program has a run without the bug"
        );
        let found = measure(programs, is_bug, |random| Pct::new(random, depth, length));
        let bound = f64::from(RUNS) / (f64::from(tasks) * f64::from(length).powi(depth as i32 - 1));
        assert!(
            f64::from(found) >= bound - 3.0 * bound.sqrt(),
            "{found} of {RUNS} runs, where {bound:.0} are promised"
        );
    }

    /// The lowest task first.
    struct InTurn;
    impl Scheduler for InTurn {
        fn pick(&mut self, runnable: u32, _: &impl View) -> TaskId {
            TaskId(runnable.trailing_zeros() as u8)
        }
    }

    fn is_broken(shared: &Shared) -> bool {
        shared.broken.get()
    }

    /// The ordering bug of the paper's introduction, of depth 1: a task uses what another has yet
    /// to initialise.
    fn ordering(shared: &Shared) -> Vec<Program<'_>> {
        vec![
            Box::pin(async {
                shared.other_work(10).await;
                shared.assign(true).await;
            }),
            Box::pin(async {
                shared.other_work(10).await;
                shared.dereference().await;
            }),
            Box::pin(shared.other_work(10)),
        ]
    }

    /// The atomicity violation, of depth 2: what was tested is no longer so when it is used.
    fn atomicity(shared: &Shared) -> Vec<Program<'_>> {
        vec![
            Box::pin(async {
                shared.assign(true).await;
                shared.other_work(5).await;
                if shared.set.get() {
                    shared.dereference().await;
                }
                shared.other_work(5).await;
            }),
            Box::pin(async {
                shared.other_work(5).await;
                shared.assign(false).await;
            }),
        ]
    }

    /// The deadlock, of depth 2: two tasks take two locks in opposite orders.
    fn deadlock(shared: &Shared) -> Vec<Program<'_>> {
        vec![
            Box::pin(async {
                shared.other_work(10).await;
                shared.lock_both(1, 2).await;
            }),
            Box::pin(async {
                shared.other_work(5).await;
                shared.lock_both(2, 1).await;
            }),
            Box::pin(shared.other_work(5)),
        ]
    }

    fn is_stuck(shared: &Shared) -> bool {
        shared.tasks.live() != 0
    }

    /// Two tasks that take turns twice: two preemptions, and the task that was preempted later goes
    /// on later. Depth 3.
    fn turns(shared: &Shared) -> Vec<Program<'_>> {
        vec![
            Box::pin(async {
                shared.note(1).await;
                shared.note(3).await;
            }),
            Box::pin(async {
                shared.note(2).await;
                shared.note(4).await;
            }),
        ]
    }

    #[test]
    fn the_bound_holds_for_the_papers_programs() {
        keeps_the_bound(1, ordering, is_broken);
        keeps_the_bound(2, ordering, is_broken);
        keeps_the_bound(2, atomicity, is_broken);
        keeps_the_bound(2, deadlock, is_stuck);
    }

    /// A bug needs as many preemptions as its depth says, less one: without them PCT never finds
    /// it.
    #[test]
    fn a_bug_of_depth_2_needs_a_change_point() {
        assert_eq!(measure(atomicity, is_broken, |random| Pct::new(random, 1, 20)), 0);
        assert_eq!(measure(deadlock, is_stuck, |random| Pct::new(random, 1, 20)), 0);
    }

    /// Two tasks are preempted, the one within the other, and the first goes on last: depth 4.
    fn nested(shared: &Shared) -> Vec<Program<'_>> {
        vec![
            Box::pin(async {
                shared.note(1).await;
                shared.note(5).await;
            }),
            Box::pin(async {
                shared.note(2).await;
                shared.note(4).await;
            }),
            Box::pin(shared.note(3)),
        ]
    }

    #[test]
    fn which_of_two_preempted_tasks_goes_on_first_is_drawn() {
        keeps_the_bound(4, nested, |shared| shared.order.get() == 12_345);
        keeps_the_bound(3, turns, |shared| shared.order.get() == 1234);
    }
}
