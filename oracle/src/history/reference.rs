//! A reference for the checker: one cell, stores and loads of three actors, failed writes, and all
//! orders tried.
//!
//! A history is right if the operations can be put into one order that keeps to the times (whoever
//! returned before another was called comes first) and in which every load sees the store before
//! it, or what the store held when a write failed, unless a store that was called after the failure
//! comes before it. That is what the checker decides step by step, and this by brute force. The
//! checker accepts two loads that overlap one store, or a failure, in either order; so it must be
//! silent wherever an order exists, and must speak where no load overlaps a store and there is no
//! order, or, after a failure, none for some load alone.
//!
//! For the errors that syncs return the same: all moments at which each can have taken them are
//! tried.

use super::*;

/// Operations of a history at the most.
const OPERATIONS: usize = 9;
/// From this byte on it is a failed write.
const FAILURES: u8 = 232;

#[derive(Clone, Copy, PartialEq, Debug)]
enum What {
    Store,
    Load,
    Failure,
}

#[derive(Clone, Copy, Debug)]
struct Op {
    what: What,
    called: usize,
    /// None: it never returned.
    returned: Option<usize>,
    /// What it stored, what it saw, or what the store held.
    stamp: Stamp,
}

impl Op {
    fn overlaps(&self, other: &Op) -> bool {
        let before = |a: &Op, b: &Op| a.returned.is_some_and(|end| end < b.called);
        !before(self, other) && !before(other, self)
    }
}

/// Whether some order of the operations that are not in `done` explains what the loads saw.
fn explained(ops: &[Op], done: u32, last: Stamp) -> bool {
    let left = || (0..ops.len()).filter(|i| done >> i & 1 == 0 && ops[*i].what != What::Failure);
    if left().all(|i| ops[i].returned.is_none()) {
        return true;
    }
    let newer = |failure: &Op| {
        let is_newer = |op: &Op| op.what == What::Store && op.called > failure.called;
        ops.iter().enumerate().any(|(n, op)| done >> n & 1 != 0 && is_newer(op))
    };
    let excused = |load: &Op| {
        let failures = ops.iter().filter(|op| op.what == What::Failure && op.stamp == load.stamp);
        failures.into_iter().any(|f| load.returned.is_some_and(|end| f.called < end) && !newer(f))
    };
    // The next one in the order: nobody that is left may have returned before it was called.
    let may_be_next =
        |i: &usize| left().all(|j| ops[j].returned.is_none_or(|end| end > ops[*i].called));
    left().filter(may_be_next).any(|i| {
        let op = &ops[i];
        let store = op.what == What::Store;
        (store || op.returned.is_none() || op.stamp == last || excused(op))
            && explained(ops, done | 1 << i, if store { op.stamp } else { last })
    })
}

/// Every load is explained if it is the only one.
fn each_alone(ops: &[Op]) -> bool {
    let loads = || (0..ops.len()).filter(|n| ops[*n].what == What::Load);
    loads().all(|one| {
        explained(
            ops,
            loads().filter(|n| *n != one).fold(0, |mask, n| mask | 1 << n),
            Stamp::initial(0),
        )
    })
}

/// Plays the history that `bytes` describe to the checker, and compares. Says what differs.
pub fn compare(bytes: &[u8]) -> Result<(), String> {
    compare_values(bytes)?;
    compare_errors(bytes)
}

fn history(size: u8) -> History {
    let mut history = History::default();
    let geometry = Geometry { pages: 1, cells: 1, blocks: 1, size, ..Geometry::default() };
    history.begin(&Case { geometry, ..Case::default() }, InodeId::FIRST);
    history
}

fn outcome(status: Status, value: &dyn Fn(u8) -> Stamp) -> Observed<'_> {
    Observed {
        status,
        done: 1,
        value,
        durable: value,
        durable_size: &|| 1,
        stored: value,
        visible: &|_| None,
    }
}

fn compare_values(bytes: &[u8]) -> Result<(), String> {
    let cell = Range::new(0, 1);
    let mut history = history(1);
    let (mut ops, mut running): (Vec<Op>, [Option<usize>; 3]) = (Vec::new(), [None; 3]);
    let mut stamps = vec![Stamp::initial(0)];
    let mut flaws = Vec::new();
    for (now, byte) in bytes.iter().enumerate() {
        let actor = usize::from(byte % 3);
        let task = TaskId(actor as u8);
        if *byte >= FAILURES && ops.len() < OPERATIONS {
            let stamp = stamps[usize::from(byte - FAILURES) % stamps.len()];
            history.write_failed(1, true, &|_| [stamp; 2]);
            ops.push(Op { what: What::Failure, called: now, returned: None, stamp });
            continue;
        }
        match running[actor].take() {
            Some(op) => {
                let seen = stamps[usize::from(byte / 8) % stamps.len()];
                if ops[op].what == What::Load {
                    ops[op].stamp = seen;
                }
                ops[op].returned = Some(now);
                history.returned(task, &outcome(Status::Ok, &|_| seen));
                flaws.extend(history.take_findings());
            }
            None if ops.len() < OPERATIONS => {
                let (slot, store) = (ops.len() as u8, byte & 4 != 0);
                let stamp = Stamp::new(task, slot, 0);
                let operation = if store { Operation::Store(cell) } else { Operation::Load(cell) };
                history.call(task, slot, operation);
                if store {
                    stamps.push(stamp);
                }
                let what = if store { What::Store } else { What::Load };
                ops.push(Op { what, called: now, returned: None, stamp });
                running[actor] = Some(ops.len() - 1);
            }
            None => {}
        }
    }
    let of = |what: What| ops.iter().filter(move |op| op.what == what);
    let right = explained(&ops, 0, Stamp::initial(0));
    let overlap = of(What::Load).any(|load| of(What::Store).any(|store| load.overlaps(store)));
    let must_be_silent = of(What::Failure).next().is_some() && each_alone(&ops);
    match (right, flaws.first()) {
        (true, Some(finding)) => Err(format!("{finding:?}, but an order explains {ops:?}")),
        (false, None) if !overlap && !must_be_silent => {
            Err(format!("nothing was reported, but no order explains {ops:?}"))
        }
        _ => Ok(()),
    }
}

/// What happens to the errors of the file: a write fails, a sync begins, a sync ends.
#[derive(Clone, Copy, Debug)]
enum Happens {
    Failure { io: bool },
    Call { actor: usize },
    Return { actor: usize, error: Option<bool> },
}

/// Whether each sync that returned an error can have taken one, at some moment between its call and
/// its return.
fn taken(events: &[Happens], latched: [bool; 2], running: [Option<bool>; 3]) -> bool {
    let Some((event, rest)) = events.split_first() else { return true };
    let goes_on = |latched, running| taken(rest, latched, running);
    let process = match *event {
        Happens::Failure { io } => {
            let mut latched = latched;
            latched[usize::from(io)] = true;
            goes_on(latched, running)
        }
        Happens::Call { actor } => {
            let mut running = running;
            let ends = rest.iter().find_map(|event| match event {
                Happens::Return { actor: who, error } if *who == actor => Some(*error),
                _ => None,
            });
            running[actor] = ends.flatten();
            goes_on(latched, running)
        }
        Happens::Return { actor, .. } => running[actor].is_none() && goes_on(latched, running),
    };
    process
        || (0..running.len()).any(|actor| {
            let mut running = running;
            let takes = running[actor].take();
            takes.is_some_and(|io| latched[usize::from(io)]) && taken(events, [false; 2], running)
        })
}

fn compare_errors(bytes: &[u8]) -> Result<(), String> {
    let mut history = history(0);
    let (mut events, mut running, mut overlap, mut flaws) =
        (Vec::new(), [false; 3], false, Vec::new());
    for byte in bytes.iter().take(14) {
        let actor = usize::from(byte % 3);
        let task = TaskId(actor as u8);
        if byte & 4 != 0 && byte & 8 != 0 {
            let io = byte & 16 != 0;
            history.write_failed(0, io, &|_| [Stamp::ZERO; 2]);
            events.push(Happens::Failure { io });
        } else if running[actor] {
            let error = (byte & 32 != 0).then_some(byte & 16 != 0);
            let status =
                error.map_or(Status::Ok, |io| if io { Status::Io } else { Status::NoSpace });
            history.returned(
                task,
                &Observed { durable_size: &|| 0, ..outcome(status, &|_| Stamp::ZERO) },
            );
            flaws.extend(history.take_findings());
            events.push(Happens::Return { actor, error });
            running[actor] = false;
        } else {
            history.call(task, 0, Operation::Fsync);
            events.push(Happens::Call { actor });
            running[actor] = true;
            overlap |= running.iter().filter(|sync| **sync).count() > 1;
        }
    }
    match (taken(&events, [false; 2], [None; 3]), flaws.first()) {
        (true, Some(finding)) => Err(format!("{finding:?}, but this is right: {events:?}")),
        (false, None) if !overlap => {
            Err(format!("nothing was reported, but this is wrong: {events:?}"))
        }
        _ => Ok(()),
    }
}
