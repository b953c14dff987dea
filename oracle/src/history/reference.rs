//! A reference for the checker: one cell, stores and loads of three actors, and all orders of them tried.
//!
//! A history is right if the operations can be put into one order that keeps to the times (whoever returned before
//! another was called comes first) and in which every load sees the store before it. That is what the checker
//! decides step by step, and this by brute force. The checker accepts two loads that overlap one store in either
//! order; so it must be silent wherever an order exists, and must speak only where no load overlaps a store.

use super::*;

/// Operations of a history at the most.
const OPERATIONS: usize = 9;

#[derive(Clone, Copy, Debug)]
struct Op {
    called: usize,
    /// None: it never returned.
    returned: Option<usize>,
    /// What it stored, or what it saw.
    stamp: Stamp,
    store: bool,
}

impl Op {
    fn overlaps(&self, other: &Op) -> bool {
        let before = |a: &Op, b: &Op| a.returned.is_some_and(|end| end < b.called);
        !before(self, other) && !before(other, self)
    }
}

/// Whether some order of the operations that are not in `done` explains what the loads saw.
fn explained(ops: &[Op], done: u32, last: Stamp) -> bool {
    let left = || (0..ops.len()).filter(|i| done >> i & 1 == 0);
    if left().all(|i| ops[i].returned.is_none()) {
        return true;
    }
    // The next one in the order: nobody that is left may have returned before it was called.
    let may_be_next = |i: &usize| left().all(|j| ops[j].returned.is_none_or(|end| end > ops[*i].called));
    left().filter(may_be_next).any(|i| {
        let op = &ops[i];
        (op.store || op.returned.is_none() || op.stamp == last)
            && explained(ops, done | 1 << i, if op.store { op.stamp } else { last })
    })
}

/// Plays the history that `bytes` describe to the checker, and compares. Says what differs.
pub(crate) fn compare(bytes: &[u8]) -> Result<(), String> {
    let cell = Range::new(0, 1);
    let mut history = History::default();
    history.begin(Geometry { pages: 1, cells: 1, blocks: 1, size: 1, ..Geometry::default() });
    let (mut ops, mut running): (Vec<Op>, [Option<usize>; 3]) = (Vec::new(), [None; 3]);
    let mut stamps = vec![Stamp::initial(0)];
    let mut flaws = Vec::new();
    for (now, byte) in bytes.iter().enumerate() {
        let actor = usize::from(byte % 3);
        let task = TaskId(actor as u8);
        match running[actor].take() {
            Some(op) => {
                let seen = stamps[usize::from(byte / 8) % stamps.len()];
                if !ops[op].store {
                    ops[op].stamp = seen;
                }
                ops[op].returned = Some(now);
                let outcome = Outcome {
                    status: Status::Ok,
                    done: 1,
                    shortage: false,
                    value: &|_| seen,
                    durable: &|_| seen,
                    durable_size: &|| 1,
                    visible: &|_| None,
                };
                history.returned(task, &outcome);
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
                ops.push(Op { called: now, returned: None, stamp, store });
                running[actor] = Some(ops.len() - 1);
            }
            None => {}
        }
    }
    let right = explained(&ops, 0, Stamp::initial(0));
    let overlap = ops.iter().any(|load| !load.store && ops.iter().any(|store| store.store && load.overlaps(store)));
    match (right, flaws.first()) {
        (true, Some(finding)) => Err(format!("{finding:?}, but an order explains {ops:?}")),
        (false, None) if !overlap => Err(format!("nothing was reported, but no order explains {ops:?}")),
        _ => Ok(()),
    }
}
