//! The executor: tasks as `async fn`s, one step at a time, on one thread.
//!
//! A task is a future that runs kernel code. Every await is a scheduling point: the task
//! *announces* the point where it stands and the object that its next step touches, and returns
//! `Pending`. A scheduler picks one runnable task; the executor sets the token and polls it; the
//! leaf future at which the task stood consumes the token and the code runs on to its next await.
//! One poll is one step.
//!
//! Locks, and bits that are waited for, are *objects*. A task that stands before a lock which it
//! cannot take is blocked, so a scheduler never picks a step that would do nothing. Waiters are
//! woken together and race: page locks are not fair, and no rule may rely on it. A reader waits
//! behind a blocked writer (read-write semaphores of the kernel are fair), so that read recursion
//! can deadlock as it does there.
//!
//! Left out: wake-up order, priorities, interrupts, per-CPU state. Memory is sequentially
//! consistent at the granularity of a step.

use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, Poll};

use crate::bit_set::ones;

/// Actors that a case may have at the most.
pub const ACTORS_MAX: usize = 8;
/// The task that runs the closing program once all actors are done.
pub const CLOSER: TaskId = TaskId(ACTORS_MAX as u8);
/// Tasks that complete I/O, one per request in flight.
pub const IO_MAX: usize = 8;
/// All tasks: actors, the closer, I/O.
pub const TASKS: usize = ACTORS_MAX + 1 + IO_MAX;
const _: () = assert!(TASKS < u32::BITS as usize, "sets of tasks are masks of 32 bits");

/// A task's number: actors from 0, then the closer, then I/O.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Hash)]
pub struct TaskId(pub u8);

impl TaskId {
    /// The task that completes I/O number `slot`.
    pub const fn io(slot: usize) -> TaskId {
        TaskId((ACTORS_MAX + 1 + slot) as u8)
    }

    /// This task's bit in a mask.
    #[inline]
    pub const fn bit(self) -> u32 {
        1 << self.0
    }

    /// The I/O slot that this task serves, if it is an I/O task.
    pub const fn io_slot(self) -> Option<usize> {
        (self.0 as usize).checked_sub(ACTORS_MAX + 1)
    }

    /// As an index.
    #[inline]
    pub const fn index(self) -> usize {
        self.0 as usize
    }
}

impl std::fmt::Display for TaskId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.io_slot() {
            Some(slot) => write!(f, "io{slot}"),
            None if *self == CLOSER => f.write_str("closer"),
            None => write!(f, "{}", (b'A' + self.0) as char),
        }
    }
}

/// How a task wants an object.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// To hold it alone.
    Exclusive,
    /// To hold it with other readers.
    Shared,
    /// Only to see it free, without taking it (`wait_on_page_locked`, `wait_on_page_writeback`).
    Free,
}

/// Where a task stands: what it will do when it is picked next. Aligned, so that it moves as one
/// word.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
#[repr(align(8))]
pub struct At {
    /// The point's number.
    pub point: u16,
    /// The object that the next step touches first (0 is none).
    pub object: u8,
    /// The operation slot of an actor; the number of the request for an I/O task.
    pub slot: u8,
    /// Steps announced since the slot began.
    pub nth: u16,
}

/// Nobody holds the object.
const NOBODY: u8 = u8::MAX;
/// The object is busy, but no task owns it (a writeback bit).
const UNOWNED: u8 = u8::MAX - 1;
const _: () = assert!(TASKS < UNOWNED as usize, "tasks have numbers below those that mean no task");

#[derive(Default)]
struct Object {
    holder: Cell<u8>,
    readers: Cell<u8>,
    waiters: Cell<u32>,
}

/// The tasks of one run and the `OBJECTS` objects they wait for.
pub struct Tasks<const OBJECTS: usize> {
    token: Cell<bool>,
    current: Cell<TaskId>,
    live: Cell<u32>,
    blocked: Cell<u32>,
    yielded: Cell<u32>,
    at: [Cell<At>; TASKS],
    mode: [Cell<Mode>; TASKS],
    objects: [Object; OBJECTS],
}

impl<const OBJECTS: usize> Default for Tasks<OBJECTS> {
    fn default() -> Self {
        let tasks = Self {
            token: Cell::new(false),
            current: Cell::new(TaskId(0)),
            live: Cell::new(0),
            blocked: Cell::new(0),
            yielded: Cell::new(0),
            at: Default::default(),
            mode: [const { Cell::new(Mode::Exclusive) }; TASKS],
            objects: std::array::from_fn(|_| Object::default()),
        };
        tasks.reset();
        tasks
    }
}

impl<const OBJECTS: usize> Tasks<OBJECTS> {
    /// Forgets every task and frees every object.
    pub fn reset(&self) {
        self.token.set(false);
        self.live.set(0);
        self.blocked.set(0);
        self.yielded.set(0);
        for object in &self.objects {
            object.holder.set(NOBODY);
            object.readers.set(0);
            object.waiters.set(0);
        }
    }

    /// The task whose step runs now.
    #[inline]
    pub fn current(&self) -> TaskId {
        self.current.get()
    }

    /// Where `task` stands.
    #[inline]
    pub fn at(&self, task: TaskId) -> At {
        self.at[task.index()].get()
    }

    /// Tasks that can take a step.
    #[inline]
    pub fn runnable(&self) -> u32 {
        self.live.get() & !self.blocked.get()
    }

    /// Tasks that have not finished.
    #[inline]
    pub fn live(&self) -> u32 {
        self.live.get()
    }

    /// Live tasks that wait for an object.
    pub fn blocked(&self) -> u32 {
        self.live.get() & self.blocked.get()
    }

    /// Takes the tasks that asked to be put below all others since the last call.
    #[inline]
    pub fn take_yielded(&self) -> u32 {
        self.yielded.replace(0)
    }

    /// The running task asks to be put below all others: it re-executes a faulting instruction.
    pub fn yield_now(&self) {
        self.yielded.set(self.yielded.get() | self.current().bit());
    }

    /// Starts `task`: polls it up to its first point. The first point must be an await of this
    /// executor.
    pub fn spawn<F: Future<Output = ()>>(&self, task: TaskId, future: Pin<&mut F>) {
        self.at[task.index()].set(At::default());
        self.live.set(self.live.get() | task.bit());
        self.poll(task, false, future);
    }

    /// Lets `task` take one step. Returns whether it has finished.
    #[inline(always)]
    pub fn step<F: Future<Output = ()>>(&self, task: TaskId, future: Pin<&mut F>) -> bool {
        self.poll(task, true, future)
    }

    #[inline(always)]
    fn poll<F: Future<Output = ()>>(&self, task: TaskId, token: bool, future: Pin<&mut F>) -> bool {
        self.current.set(task);
        self.token.set(token);
        let done = future.poll(&mut Context::from_waker(std::task::Waker::noop())).is_ready();
        assert!(!self.token.get(), "{task} awaited something that is not a point of the executor");
        if done {
            self.live.set(self.live.get() & !task.bit());
        }
        done
    }

    /// A new operation slot begins for the running task.
    pub fn begin_slot(&self, slot: u8) {
        let at = &self.at[self.current().index()];
        at.set(At { slot, nth: 0, ..at.get() });
    }

    #[inline]
    fn announce(&self, point: u16, object: u8) {
        let at = &self.at[self.current().index()];
        let At { slot, nth, .. } = at.get();
        at.set(At { point, object, slot, nth: nth.wrapping_add(1) });
    }

    /// A plain scheduling point.
    #[inline]
    pub fn point(&self, point: u16, object: u8) -> Step<'_, OBJECTS> {
        Step { tasks: self, point, object }
    }

    /// A scheduling point at which the task takes `object`, or waits until it is free.
    #[inline]
    pub fn acquire(&self, point: u16, object: u8, mode: Mode) -> Acquire<'_, OBJECTS> {
        Acquire { tasks: self, point, object, mode }
    }

    /// Takes `object` now if it is free.
    pub fn try_acquire(&self, object: u8) -> bool {
        let free = self.is_free(object);
        if free {
            self.take(object, Mode::Exclusive);
        }
        free
    }

    /// Joins those that share `object`, which nobody ever holds alone.
    pub fn share(&self, object: u8) {
        self.take(object, Mode::Shared);
    }

    /// Nobody holds `object`.
    #[inline]
    pub fn is_free(&self, object: u8) -> bool {
        let o = &self.objects[object as usize];
        o.holder.get() == NOBODY && o.readers.get() == 0
    }

    /// The task that holds `object` alone.
    #[inline]
    pub fn holder(&self, object: u8) -> Option<TaskId> {
        match self.objects[object as usize].holder.get() {
            NOBODY | UNOWNED => None,
            task => Some(TaskId(task)),
        }
    }

    /// Marks `object` busy without an owner.
    pub fn set_busy(&self, object: u8) {
        self.objects[object as usize].holder.set(UNOWNED);
        self.update(object);
    }

    /// Gives up the exclusive hold (or the busy mark) of `object`.
    #[inline]
    pub fn release(&self, object: u8) {
        self.objects[object as usize].holder.set(NOBODY);
        self.update(object);
    }

    /// Gives up one shared hold of `object`.
    pub fn release_shared(&self, object: u8) {
        let o = &self.objects[object as usize];
        o.readers.set(o.readers.get().checked_sub(1).expect("release of a lock that nobody reads"));
        self.update(object);
    }

    /// How many tasks share `object`.
    pub fn readers(&self, object: u8) -> u8 {
        self.objects[object as usize].readers.get()
    }

    /// The object that a blocked task waits for.
    pub fn waits_for(&self, task: TaskId) -> Option<u8> {
        (self.blocked() & task.bit() != 0).then(|| self.at(task).object)
    }

    /// Fails if a wakeup was lost: what a blocked task waits for is held by somebody. Called after
    /// each step, in builds with debug assertions.
    pub(crate) fn assert_sound(&self) {
        for task in bits(self.blocked()) {
            let object = self.at(task).object;
            assert!(!self.is_free(object), "{task} waits for object {object}, which is free");
        }
    }

    fn take(&self, object: u8, mode: Mode) {
        let o = &self.objects[object as usize];
        match mode {
            Mode::Exclusive => o.holder.set(self.current().0),
            Mode::Shared => o.readers.set(o.readers.get() + 1),
            Mode::Free => return,
        }
        self.update(object);
    }

    fn can_take(&self, object: u8, mode: Mode) -> bool {
        let o = &self.objects[object as usize];
        o.holder.get() == NOBODY
            && (o.readers.get() == 0 || (mode == Mode::Shared && !self.writer_waits(o)))
    }

    fn writer_waits(&self, o: &Object) -> bool {
        bits(o.waiters.get()).any(|t| self.mode[t.index()].get() == Mode::Exclusive)
    }

    #[inline]
    fn update(&self, object: u8) {
        let waiters = self.objects[object as usize].waiters.get();
        if waiters != 0 {
            self.update_waiters(object, waiters);
        }
    }

    fn update_waiters(&self, object: u8, waiters: u32) {
        for task in bits(waiters) {
            // A reader that already waits may pass a waiting writer only when the lock is free.
            let blocked = if self.can_take(object, self.mode[task.index()].get()) {
                self.blocked.get() & !task.bit()
            } else {
                self.blocked.get() | task.bit()
            };
            self.blocked.set(blocked);
        }
    }
}

/// Iterates over the tasks of a mask, lowest first.
#[inline]
pub fn bits(mask: u32) -> impl Iterator<Item = TaskId> {
    ones(mask.into()).map(TaskId)
}

/// The leaf future of [`Tasks::point`].
pub struct Step<'a, const OBJECTS: usize> {
    tasks: &'a Tasks<OBJECTS>,
    point: u16,
    object: u8,
}

impl<const OBJECTS: usize> Future for Step<'_, OBJECTS> {
    type Output = ();

    #[inline]
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        if self.tasks.token.take() {
            return Poll::Ready(());
        }
        self.tasks.announce(self.point, self.object);
        Poll::Pending
    }
}

/// The leaf future of [`Tasks::acquire`].
pub struct Acquire<'a, const OBJECTS: usize> {
    tasks: &'a Tasks<OBJECTS>,
    point: u16,
    object: u8,
    mode: Mode,
}

impl<const OBJECTS: usize> Future for Acquire<'_, OBJECTS> {
    type Output = ();

    #[inline(always)]
    fn poll(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<()> {
        let Acquire { tasks, point, object, mode } = *self;
        let task = tasks.current();
        let waiters = &tasks.objects[object as usize].waiters;
        if tasks.token.take() {
            debug_assert!(tasks.blocked.get() & task.bit() == 0, "{task} was run while blocked");
            waiters.set(waiters.get() & !task.bit());
            tasks.take(object, mode);
            return Poll::Ready(());
        }
        tasks.announce(point, object);
        if !tasks.can_take(object, mode) {
            tasks.blocked.set(tasks.blocked.get() | task.bit());
        }
        tasks.mode[task.index()].set(mode);
        waiters.set(waiters.get() | task.bit());
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::pin::pin;

    const LOCK: u8 = 1;

    async fn locker(tasks: &Tasks<2>, log: &Cell<u32>, mode: Mode) {
        tasks.acquire(1, LOCK, mode).await;
        log.set(log.get() * 10 + u32::from(tasks.current().0) + 1);
        tasks.point(2, 0).await;
        match mode {
            Mode::Exclusive => tasks.release(LOCK),
            Mode::Shared => tasks.release_shared(LOCK),
            Mode::Free => {}
        }
    }

    #[test]
    fn a_held_lock_blocks_and_its_release_wakes() {
        let (tasks, log) = (Tasks::<2>::default(), Cell::new(0));
        let mut a = pin!(locker(&tasks, &log, Mode::Exclusive));
        let mut b = pin!(locker(&tasks, &log, Mode::Exclusive));
        tasks.spawn(TaskId(0), a.as_mut());
        tasks.spawn(TaskId(1), b.as_mut());
        assert_eq!(tasks.runnable(), 0b11);
        assert!(!tasks.step(TaskId(0), a.as_mut()));
        assert_eq!(tasks.runnable(), 0b01, "B stands before a lock that A holds");
        assert_eq!(tasks.waits_for(TaskId(1)), Some(LOCK));
        assert!(tasks.step(TaskId(0), a.as_mut()));
        assert_eq!(tasks.runnable(), 0b10);
        assert!(!tasks.step(TaskId(1), b.as_mut()));
        assert!(tasks.step(TaskId(1), b.as_mut()));
        assert_eq!((tasks.live(), log.get()), (0, 12));
    }

    #[test]
    fn a_reader_waits_behind_a_blocked_writer() {
        let (tasks, log) = (Tasks::<2>::default(), Cell::new(0));
        let mut a = pin!(locker(&tasks, &log, Mode::Shared));
        let mut b = pin!(locker(&tasks, &log, Mode::Exclusive));
        let mut c = pin!(locker(&tasks, &log, Mode::Shared));
        tasks.spawn(TaskId(0), a.as_mut());
        tasks.step(TaskId(0), a.as_mut());
        tasks.spawn(TaskId(1), b.as_mut());
        tasks.spawn(TaskId(2), c.as_mut());
        assert_eq!(
            tasks.runnable(),
            0b001,
            "the writer waits for A, the new reader for the writer"
        );
        tasks.step(TaskId(0), a.as_mut());
        assert_eq!(tasks.runnable(), 0b110, "a free lock can be taken by whoever comes first");
    }

    #[test]
    #[should_panic(expected = "B waits for object 1, which is free")]
    fn a_lost_wakeup_is_no_sound_state() {
        let (tasks, log) = (Tasks::<2>::default(), Cell::new(0));
        let mut a = pin!(locker(&tasks, &log, Mode::Exclusive));
        let mut b = pin!(locker(&tasks, &log, Mode::Exclusive));
        tasks.spawn(TaskId(0), a.as_mut());
        tasks.step(TaskId(0), a.as_mut());
        tasks.spawn(TaskId(1), b.as_mut());
        tasks.assert_sound();
        tasks.objects[usize::from(LOCK)].holder.set(NOBODY);
        tasks.assert_sound();
    }

    #[test]
    fn names_follow_the_roles() {
        assert_eq!(TaskId(0).to_string(), "A");
        assert_eq!(CLOSER.to_string(), "closer");
        assert_eq!(TaskId::io(3).to_string(), "io3");
    }
}
