//! The machine: runs one case on one pair under one scheduler, and shows every step to an observer.
//!
//! A run has three parts: the actors and their I/O under the scheduler, until nothing can move; if
//! they do not end within the case's bound they go on under a fair scheduler, and what does not end
//! there is a livelock; then the closing program, deterministic, which syncs and unmaps what is
//! left.
//!
//! The machine is made once and reset per run. The futures of a run live on its stack: no
//! allocation.

use std::pin::{Pin, pin};

use crate::case::Case;
use crate::era::DirtiesLate;
use crate::exec::{ACTORS_MAX, CLOSER, IO_MAX, TaskId};
use crate::implementation::{Convention, Filesystem, Pair};
use crate::kernel::Kernel;
use crate::kernel::event::Step;
use crate::kernel::io::{io_task, io_tasks};
use crate::mm;
use crate::plant::Plants;
use crate::point::Point;
use crate::remedy::{Remedies, Remedy};
use crate::schedule::{RoundRobin, Scheduler};

/// The most steps that a run may take under the fair scheduler, and the most that the closing
/// program may take.
const FAIR_STEPS_MAX: u32 = 1 << 15;

/// How a run ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum End {
    /// All tasks finished, and the closing program too.
    Done,
    /// A BUG_ON fired or a NULL mapping was dereferenced.
    Crashed,
    /// Live tasks, and none can take a step.
    Stuck,
    /// The fair continuation did not end.
    Livelock,
}

/// Watches a run.
pub trait Observer<F: Filesystem> {
    /// The machine has been reset for this case.
    fn begin(&mut self, _k: &Kernel<F>, _case: &Case) {}

    /// A step has been taken; its events and touched frames are in the kernel.
    fn step(&mut self, _k: &Kernel<F>, _step: Step) {}

    /// No task is inside the kernel and no I/O is in flight; the closing program comes next.
    fn quiescent(&mut self, _k: &Kernel<F>) {}

    /// The run has ended.
    fn end(&mut self, _k: &Kernel<F>, _end: End) {}
}

/// Watches nothing.
impl<F: Filesystem> Observer<F> for () {}

/// Two observers, one after the other.
impl<F: Filesystem, A: Observer<F>, B: Observer<F>> Observer<F> for (&mut A, &mut B) {
    fn begin(&mut self, k: &Kernel<F>, case: &Case) {
        self.0.begin(k, case);
        self.1.begin(k, case);
    }

    fn step(&mut self, k: &Kernel<F>, step: Step) {
        self.0.step(k, step);
        self.1.step(k, step);
    }

    fn quiescent(&mut self, k: &Kernel<F>) {
        self.0.quiescent(k);
        self.1.quiescent(k);
    }

    fn end(&mut self, k: &Kernel<F>, end: End) {
        self.0.end(k, end);
        self.1.end(k, end);
    }
}

/// What a run runs.
#[derive(Clone, Copy, Debug)]
pub struct Setup<'a, F> {
    /// The case.
    pub case: &'a Case,
    /// What it runs on.
    pub target: Target<F>,
}

/// What a case runs on: an implementation under a caller, perhaps with a planted bug, perhaps with
/// remedies.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Target<F> {
    /// The implementation and its caller.
    pub pair: Pair<F>,
    /// The planted bugs. Files name one; two are planted to see whether their findings are told
    /// apart.
    pub plants: Plants,
    /// The remedies that are on.
    pub remedies: Remedies,
}

impl<F: Filesystem> Target<F> {
    /// Where faults mark the page dirty after the pte became writable, without the page lock in
    /// between.
    pub fn dirties_late(&self) -> DirtiesLate {
        let facts = self.pair.caller.facts();
        let declaration = self.pair.implementation.declaration();
        match declaration.convention {
            _ if !declaration.has_page_mkwrite(self.remedies) => facts.late_without,
            Convention::None => DirtiesLate::NEVER,
            _ if self.remedies.has(Remedy::LockedReturn) => DirtiesLate::NEVER,
            _ => facts.late_with_mkwrite,
        }
    }
}

impl<F> From<Pair<F>> for Target<F> {
    fn from(pair: Pair<F>) -> Target<F> {
        Target { pair, plants: Plants::NONE, remedies: Remedies::NONE }
    }
}

impl<F: Filesystem> std::fmt::Display for Target<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.pair.fmt(f)?;
        if !self.remedies.is_empty() {
            write!(f, " with {}", self.remedies)?;
        }
        for plant in self.plants.iter() {
            write!(f, " planted {}", plant.name())?;
        }
        Ok(())
    }
}

/// The machine.
pub struct Machine<F: Filesystem> {
    kernel: Kernel<F>,
}

impl<F: Filesystem> Default for Machine<F> {
    fn default() -> Self {
        Machine { kernel: Kernel::default() }
    }
}

impl<F: Filesystem> Machine<F> {
    /// Some run on this machine executed the planted code.
    pub fn plant_reached(&self) -> bool {
        self.kernel.plant_reached()
    }

    /// Bytes of the future of an actor, of an I/O task, and of the closing program. A run has room
    /// on the stack for all of its tasks.
    pub fn future_sizes(&self) -> [usize; 3] {
        let (k, case) = (&self.kernel, Case::default());
        [
            size_of_val(&mm::actor(k, &case, TaskId(0))),
            size_of_val(&io_task(k, 0)),
            size_of_val(&mm::closer(k)),
        ]
    }

    /// Runs a case. Returns how it ended and how many steps it took.
    #[inline(never)]
    pub fn run(
        &mut self,
        setup: Setup<'_, F>,
        scheduler: &mut impl Scheduler,
        observer: &mut impl Observer<F>,
    ) -> (End, u32) {
        let k = &self.kernel;
        let Setup { case, target } = setup;
        k.reset(case, target);
        observer.begin(k, case);

        const { assert!(ACTORS_MAX == 8 && IO_MAX == 8) };
        let (a0, a1, a2, a3) = (pin!(None), pin!(None), pin!(None), pin!(None));
        let (a4, a5, a6, a7) = (pin!(None), pin!(None), pin!(None), pin!(None));
        let (i0, i1, i2, i3) = (pin!(None), pin!(None), pin!(None), pin!(None));
        let (i4, i5, i6, i7) = (pin!(None), pin!(None), pin!(None), pin!(None));
        let mut futures = Futures {
            actors: [a0, a1, a2, a3, a4, a5, a6, a7],
            io: [i0, i1, i2, i3, i4, i5, i6, i7],
            closer: pin!(mm::closer(k)),
        };
        for (i, actor) in futures.actors[..case.actors.len()].iter_mut().enumerate() {
            let task = TaskId(i as u8);
            actor.set(Some(mm::actor(k, case, task)));
            k.tasks.spawn(task, actor.as_mut().as_pin_mut().expect("just set"));
        }
        for task in io_tasks(case) {
            let slot = task.io_slot().expect("an I/O task");
            futures.io[slot].set(Some(io_task(k, slot as u8)));
            k.tasks.spawn(task, futures.io[slot].as_mut().as_pin_mut().expect("just set"));
        }
        let (end, steps) = futures.drive(k, case, scheduler, observer);
        observer.end(k, end);
        (end, steps)
    }
}

/// The futures of a run, pinned on its stack.
struct Futures<'a, A, I, C> {
    actors: [Pin<&'a mut Option<A>>; ACTORS_MAX],
    io: [Pin<&'a mut Option<I>>; IO_MAX],
    closer: Pin<&'a mut C>,
}

impl<A, I, C> Futures<'_, A, I, C>
where
    A: Future<Output = ()>,
    I: Future<Output = ()>,
    C: Future<Output = ()>,
{
    /// Lets tasks take steps until the run ends. Returns how it ended and how many steps it took.
    #[inline(always)]
    fn drive<F: Filesystem>(
        &mut self,
        k: &Kernel<F>,
        case: &Case,
        scheduler: &mut impl Scheduler,
        observer: &mut impl Observer<F>,
    ) -> (End, u32) {
        let io_mask = io_tasks(case).fold(0, |mask, task| mask | task.bit());
        let limit = u32::from(case.limits.steps);
        let mut fair = RoundRobin::default();
        let (mut number, mut deadline, mut closing) = (0, limit + FAIR_STEPS_MAX, false);
        loop {
            let runnable = k.tasks.runnable();
            if runnable == 0 {
                if k.tasks.live() & !io_mask != 0 {
                    return (End::Stuck, number);
                }
                if closing {
                    return (End::Done, number);
                }
                closing = true;
                deadline = number + FAIR_STEPS_MAX;
                observer.quiescent(k);
                k.tasks.spawn(CLOSER, self.closer.as_mut());
                continue;
            }
            let task = if closing {
                TaskId(runnable.trailing_zeros() as u8)
            } else if number < limit {
                scheduler.pick(runnable, &k.tasks)
            } else {
                fair.pick(runnable, &k.tasks)
            };

            let at = k.tasks.at(task);
            k.begin_step();
            k.resume(task);
            self.step(k, task);
            if cfg!(debug_assertions) {
                k.assert_sound();
            }
            let point =
                Point::from_number(at.point).expect("kernel code announces points of the table");
            observer.step(k, Step { task, point, slot: at.slot, number, object: at.object });
            number += 1;
            if k.is_dead() {
                return (End::Crashed, number);
            }
            if number >= deadline {
                return (End::Livelock, number);
            }
            let yielded = k.tasks.take_yielded();
            if yielded != 0 {
                scheduler.yielded(yielded);
            }
        }
    }

    #[inline(always)]
    fn step<F: Filesystem>(&mut self, k: &Kernel<F>, task: TaskId) {
        let started = "the task was spawned";
        match task.io_slot() {
            Some(slot) => k.tasks.step(task, self.io[slot].as_mut().as_pin_mut().expect(started)),
            None if task == CLOSER => k.tasks.step(task, self.closer.as_mut()),
            None => {
                let actor = self.actors[task.index()].as_mut();
                k.tasks.step(task, actor.as_pin_mut().expect(started))
            }
        };
    }
}
