//! Schedulers: which task takes the next step. One file each; a new one is a file and a line of the
//! table below.
//!
//! A scheduler sees which tasks can run and where each stands, nothing else, and is deterministic.
//! Each random one alone has a shape of race that it misses by a factor of a thousand or for ever,
//! so a hunt draws from a portfolio.

mod order;
mod pct;
mod picks;
mod pos;
mod record;
mod seed;
mod walk;

use rand::Rng;

use crate::case::Schedule;
use crate::exec::{At, TASKS, TaskId, Tasks, bits};
use crate::generate::Random;
use crate::point::Point;

pub use order::Order;
pub use pct::Pct;
pub use picks::Picks;
pub use pos::Pos;
pub use record::Recorder;
pub use seed::Seeded;
pub use walk::Walk;

/// What a scheduler may look at.
pub trait View {
    /// Where a task stands.
    fn at(&self, task: TaskId) -> At;
    /// Tasks that have not finished.
    fn live(&self) -> u32;
}

impl<const OBJECTS: usize> View for Tasks<OBJECTS> {
    #[inline]
    fn at(&self, task: TaskId) -> At {
        Tasks::at(self, task)
    }

    fn live(&self) -> u32 {
        Tasks::live(self)
    }
}

/// Chooses the task that takes the next step.
pub trait Scheduler {
    /// Chooses one of the `runnable` tasks; the mask is never empty.
    fn pick(&mut self, runnable: u32, view: &impl View) -> TaskId;

    /// These tasks re-execute a faulting instruction: put them below the others.
    fn yielded(&mut self, _tasks: u32) {}
}

/// The fair scheduler under which livelock is judged: each task in turn.
#[derive(Default)]
pub struct RoundRobin {
    last: u8,
}

impl Scheduler for RoundRobin {
    fn pick(&mut self, runnable: u32, _: &impl View) -> TaskId {
        let above = runnable & !((2u32 << self.last) - 1);
        let from = if above != 0 { above } else { runnable };
        self.last = from.trailing_zeros() as u8;
        TaskId(self.last)
    }
}

/// One priority per task, drawn anew when a task gets a new step; the highest runs. Shared by POS
/// and by the seeded table.
struct Priorities {
    of: [u32; TASKS],
    known: u32,
    low: u32,
    last: Option<(TaskId, u8)>,
}

impl Default for Priorities {
    fn default() -> Self {
        Priorities { of: [0; TASKS], known: 0, low: 0, last: None }
    }
}

impl Priorities {
    #[inline(always)]
    fn highest(
        &mut self,
        runnable: u32,
        view: &impl View,
        mut draw: impl FnMut(TaskId, At) -> u32,
    ) -> TaskId {
        if let Some((task, _)) = self.last {
            self.known &= !task.bit();
        }
        for task in bits(runnable & !self.known) {
            let priority = draw(task, view.at(task));
            // A retried fault goes below the others, mostly: the lowest eighth.
            let low = self.low & task.bit() != 0;
            self.of[task.index()] = if low { priority >> 3 } else { priority };
            self.low &= !task.bit();
        }
        self.known |= runnable;
        let best =
            bits(runnable).max_by_key(|task| (self.of[task.index()], std::cmp::Reverse(task.0)));
        let best = best.expect("some task is runnable");
        self.last = Some((best, view.at(best).object));
        best
    }
}

/// Counts, per task, how often it has stood at each point since its slot began.
struct Arrivals {
    known: u32,
    seen: [(u8, u16); TASKS],
    counts: Box<[[u8; Point::COUNT]; TASKS]>,
}

impl Arrivals {
    fn new() -> Arrivals {
        Arrivals { known: 0, seen: [(0, 0); TASKS], counts: Box::new([[0; Point::COUNT]; TASKS]) }
    }

    /// Notes where `moved` (the task that ran last) and tasks seen for the first time stand now.
    fn update(&mut self, moved: Option<TaskId>, view: &impl View) {
        let live = view.live();
        let new = live & !self.known;
        self.known |= live;
        for task in bits((moved.map_or(0, TaskId::bit) | new) & live) {
            let at = view.at(task);
            let (seen, counts) = (&mut self.seen[task.index()], &mut self.counts[task.index()]);
            if at.slot != seen.0 {
                counts.fill(0);
            }
            let count = &mut counts[usize::from(at.point)];
            *count = count.saturating_add(1);
            *seen = (at.slot, at.nth);
        }
    }

    /// The slot in which `task` stood when it was noted last.
    fn slot(&self, task: TaskId) -> u8 {
        self.seen[task.index()].0
    }

    /// How often `task` has stood at `point` since its slot began.
    fn count(&self, task: TaskId, point: u16) -> u8 {
        self.counts[task.index()][usize::from(point)]
    }
}

macro_rules! schedulers {
    ($($variant:ident $name:literal $help:literal $build:expr;)*) => {
        /// The random schedulers, by name.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum SchedulerKind { $(#[doc = $help] $variant,)* }

        impl SchedulerKind {
            /// All of them.
            pub const ALL: &'static [SchedulerKind] = &[$(SchedulerKind::$variant),*];

            /// The name on the command line.
            pub const fn name(self) -> &'static str {
                match self { $(SchedulerKind::$variant => $name,)* }
            }

            /// One line of help.
            pub const fn help(self) -> &'static str {
                match self { $(SchedulerKind::$variant => $help,)* }
            }

            /// The scheduler with this name.
            pub fn from_name(name: &str) -> Option<SchedulerKind> {
                match name { $($name => Some(SchedulerKind::$variant),)* _ => None }
            }
        }

        /// Any scheduler, ready to run. `length` is the expected number of steps.
        pub fn with<T>(kind: SchedulerKind, random: Random, length: u32, run: impl Run<T>) -> T {
            match kind {
                $(SchedulerKind::$variant => {
                    let build: fn(Random, u32) -> _ = $build;
                    run.run(&mut build(random, length))
                })*
            }
        }
    };
}

/// What is done with a scheduler, whichever it is.
pub trait Run<T> {
    /// Runs with this scheduler.
    fn run(self, scheduler: &mut impl Scheduler) -> T;
}

schedulers! {
    Walk "walk" "a random walk: every runnable task is as likely"                  |r, _| Walk::new(r);
    Pct2 "pct2" "PCT with depth 2: random task priorities, one change point"       |r, length| Pct::new(r, 2, length);
    Pct3 "pct3" "PCT with depth 3: two change points"                              |r, length| Pct::new(r, 3, length);
    Pct4 "pct4" "PCT with depth 4: three change points"                            |r, length| Pct::new(r, 4, length);
    Pos  "pos"  "partial order sampling: random step priorities, redrawn on a race" |r, _| Pos::new(r);
    Seed "seed" "the fuzzers' own: a seed draws the priority of every step"        |mut r, _| Seeded::new(r.next_u32(), &[]);
}

impl SchedulerKind {
    /// The portfolio: mostly the random walk and POS, PCT of each depth, and the seeded table.
    /// Measured in docs/engines.md.
    pub fn portfolio(draw: u32) -> SchedulerKind {
        match draw % 20 {
            0..8 => SchedulerKind::Walk,
            8..13 => SchedulerKind::Pos,
            13..15 => SchedulerKind::Pct2,
            15..17 => SchedulerKind::Pct3,
            17..18 => SchedulerKind::Pct4,
            _ => SchedulerKind::Seed,
        }
    }
}

/// Runs with the schedule that a case carries.
pub fn with_schedule<T>(schedule: &Schedule, run: impl Run<T>) -> T {
    match schedule {
        Schedule::Seed { seed, overrides } => run.run(&mut Seeded::new(*seed, overrides)),
        Schedule::Order(stops) => run.run(&mut Order::new(stops)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Fixed;
    impl View for Fixed {
        fn at(&self, _: TaskId) -> At {
            At::default()
        }
        fn live(&self) -> u32 {
            0b111
        }
    }

    #[test]
    fn round_robin_is_fair() {
        let mut r = RoundRobin::default();
        let picks: Vec<u8> = (0..6).map(|_| r.pick(0b1011, &Fixed).0).collect();
        assert_eq!(picks, [1, 3, 0, 1, 3, 0]);
    }

    #[test]
    fn every_scheduler_picks_only_runnable_tasks() {
        struct Picks;
        impl Run<()> for Picks {
            fn run(self, scheduler: &mut impl Scheduler) {
                for step in 0..500u32 {
                    let runnable = 1 + step % 7;
                    let task = scheduler.pick(runnable, &Fixed);
                    assert!(runnable & task.bit() != 0);
                    if step % 5 == 0 {
                        scheduler.yielded(task.bit());
                    }
                }
            }
        }
        for &kind in SchedulerKind::ALL {
            assert_eq!(SchedulerKind::from_name(kind.name()), Some(kind));
            with(kind, crate::generate::random(1, 2, 3), 100, Picks);
        }
    }
}
