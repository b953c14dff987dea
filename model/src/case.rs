//! The case: a program and all that decides its run.
//!
//! Limits and geometry, actors and their operations, injected faults, schedule. Which
//! implementations and callers it runs on, and what is expected there, stands beside it (see
//! [`crate::text`]), so that a new line of a registry never changes the meaning of a stored case.
//!
//! A case is a value of plain small integers. [`Case::fix_up`] clamps whatever is out of range and
//! never rejects, so that every byte string is a case (see [`crate::bytes`]).

use crate::exec::{ACTORS_MAX, IO_MAX, TaskId};
use crate::geometry::FIELDS;
use crate::point::Point;

pub use crate::geometry::Geometry;
pub use crate::operation::{Effect, Operand, Operands, Operation, OperationKind};
pub use crate::site::{Faults, Site};

/// Pages that a file can have at the most.
pub const PAGES_MAX: usize = 8;
/// Cells of one page at the most.
pub const CELLS_PER_PAGE_MAX: usize = 8;
/// Blocks of one page at the most.
pub const BLOCKS_PER_PAGE_MAX: usize = 4;
/// Cells of the file at the most.
pub const CELLS_MAX: usize = PAGES_MAX * CELLS_PER_PAGE_MAX;
/// Operation slots of one actor at the most.
pub const OPERATIONS_MAX: usize = 32;
/// Address spaces at the most.
pub const MMS_MAX: usize = 3;
/// The number of free blocks that means that they never run out.
pub const AMPLE: u8 = u8::MAX;

/// The largest number of free blocks that can run out.
pub const FREE_MAX: u8 = 31;

const _: () = {
    assert!(CELLS_MAX <= u64::BITS as usize, "cells of the file are masks of 64 bits");
    assert!(CELLS_PER_PAGE_MAX <= u8::BITS as usize, "cells of a page are masks of 8 bits");
    assert!(OPERATIONS_MAX <= u8::MAX as usize, "slots have numbers of 8 bits");
    assert!(MMS_MAX <= 16, "an address space is written in 4 bits");
};

/// A range of cells, or of pages: `start..end`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct Range {
    /// The first.
    pub start: u8,
    /// One past the last.
    pub end: u8,
}

impl Range {
    /// `start..end`.
    pub const fn new(start: u8, end: u8) -> Range {
        Range { start, end }
    }

    /// Nothing in it.
    pub const fn is_empty(self) -> bool {
        self.start >= self.end
    }

    /// Iterates over its members.
    pub fn iter(self) -> std::ops::Range<u8> {
        self.start..self.end
    }

    /// The part of it that lies in `other`.
    pub fn clip(self, other: Range) -> Range {
        Range::new(self.start.max(other.start), self.end.min(other.end))
    }

    /// As much of it, from its start, as is no longer than `other`.
    pub const fn no_longer_than(self, other: Range) -> Range {
        let most = self.start.saturating_add(other.end.saturating_sub(other.start));
        Range::new(self.start, if self.end < most { self.end } else { most })
    }

    /// Its members, one bit each.
    pub const fn bits(self) -> u64 {
        if self.is_empty() { 0 } else { (u64::MAX >> (64 - (self.end - self.start))) << self.start }
    }

    /// `item` lies in it.
    pub const fn contains(self, item: u8) -> bool {
        self.start <= item && item < self.end
    }
}

impl std::fmt::Display for Range {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}..{}", self.start, self.end)
    }
}

/// One actor: a thread in an address space, and its program.
#[derive(Clone, PartialEq, Eq, Debug, Default, Hash)]
pub struct Actor {
    /// The address space that it runs in.
    pub mm: u8,
    /// Its operations, one per slot.
    pub operations: Vec<Operation>,
}

/// An override of one drawn priority.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Override {
    /// The task that takes the step.
    pub task: TaskId,
    /// The operation slot (or the number of the request) of the step.
    pub slot: u8,
    /// The n-th step in it, from 1.
    pub nth: u16,
    /// The priority; the highest runs first.
    pub priority: u16,
}

/// One entry of a schedule by named points: run `task` until it stands at this point.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Stop {
    /// The task to run.
    pub task: TaskId,
    /// The operation slot (or the number of the request) in which it is to stop.
    pub slot: u8,
    /// The point before which it is to stop; `None` runs it until it blocks or has finished the
    /// slot.
    pub point: Option<Point>,
    /// The n-th time, from 1, that the task stands there in this slot.
    pub occurrence: u8,
}

/// The order in which tasks run.
#[derive(Clone, PartialEq, Eq, Debug, Hash)]
pub enum Schedule {
    /// A seed draws a priority for every step of every operation; overrides change single ones.
    Seed {
        /// Draws the table.
        seed: u32,
        /// Single entries that differ.
        overrides: Vec<Override>,
    },
    /// Where the run departs from letting each task run until it blocks, the lowest first.
    Order(Vec<Stop>),
}

impl Schedule {
    /// The stops; a seed has none.
    pub fn stops(&self) -> &[Stop] {
        match self {
            Schedule::Order(stops) => stops,
            Schedule::Seed { .. } => &[],
        }
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Schedule::Order(Vec::new())
    }
}

/// Bounds of a case. Those of a case can be raised up to the machine's own.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub struct Limits {
    /// Actors.
    pub actors: u8,
    /// Operation slots per actor.
    pub operations: u8,
    /// Pages of the file.
    pub pages: u8,
    /// Steps of a run before the scheduler is replaced by a fair one.
    pub steps: u16,
}

impl Default for Limits {
    fn default() -> Self {
        Limits { actors: 4, operations: 16, pages: 4, steps: 4096 }
    }
}

/// The least that [`Limits::steps`] may be.
pub const STEPS_MIN: u16 = 64;
/// The most that [`Limits::steps`] may be.
pub const STEPS_MAX: u16 = 1 << 14;

impl Limits {
    /// Clamps whatever the machine cannot do.
    pub(crate) fn fix_up(&mut self) {
        self.actors = self.actors.clamp(1, ACTORS_MAX as u8);
        self.operations = self.operations.clamp(1, OPERATIONS_MAX as u8);
        self.pages = self.pages.clamp(1, PAGES_MAX as u8);
        self.steps = self.steps.clamp(STEPS_MIN, STEPS_MAX);
    }
}

/// A program and all that decides its run.
#[derive(Clone, PartialEq, Eq, Debug, Default, Hash)]
pub struct Case {
    /// Bounds.
    pub limits: Limits,
    /// The file.
    pub geometry: Geometry,
    /// What the device and the server do.
    pub faults: Faults,
    /// The actors and their operations.
    pub actors: Vec<Actor>,
    /// The order in which tasks run.
    pub schedule: Schedule,
}

impl Case {
    /// Clamps whatever is out of range, so that any values make a case. Idempotent.
    pub fn fix_up(&mut self) {
        self.limits.fix_up();
        for field in FIELDS {
            field.fit(&mut self.geometry, self.limits);
        }
        self.fix_actors();
        self.fix_schedule();
    }

    fn fix_actors(&mut self) {
        let (limits, g) = (self.limits, self.geometry);
        self.actors.truncate(usize::from(limits.actors));
        if self.actors.is_empty() {
            self.actors.push(Actor::default());
        }
        for actor in &mut self.actors {
            actor.mm = actor.mm.min(g.mms - 1);
            actor.operations.truncate(usize::from(limits.operations));
            for operation in &mut actor.operations {
                *operation = operation.fit(g);
            }
            while actor.operations.last() == Some(&Operation::Empty) {
                actor.operations.pop();
            }
        }
    }

    fn fix_schedule(&mut self) {
        // What a schedule says of a slot beyond an actor's last one means the end of the actor.
        let last_slot = |task: TaskId| match (task.io_slot(), self.actors.get(task.index())) {
            (Some(io), _) => (io < IO_MAX).then_some(u8::MAX),
            (None, Some(actor)) => (actor.operations.len() as u8).checked_sub(1),
            (None, None) => None,
        };
        match &mut self.schedule {
            Schedule::Seed { overrides, .. } => {
                overrides.retain_mut(|o| {
                    o.nth = o.nth.max(1);
                    last_slot(o.task).is_some_and(|last| o.slot <= last)
                });
            }
            Schedule::Order(stops) => {
                stops.retain_mut(|s| {
                    let Some(last) = last_slot(s.task) else { return false };
                    if s.slot > last || s.point.is_some_and(|point| !point.is_scheduling_point()) {
                        (s.slot, s.point) = (s.slot.min(last), None);
                    }
                    s.occurrence = if s.point.is_some() { s.occurrence.max(1) } else { 1 };
                    true
                });
            }
        }
    }

    /// The smallest size that the file can come to have: a write that ends below it does not change
    /// the size.
    fn least_size(&self) -> u8 {
        let truncated =
            self.operations().filter_map(|(_, _, operation)| match operation.effect() {
                Effect::Resizes(size) => Some(size),
                _ => None,
            });
        truncated.fold(self.geometry.size, u8::min)
    }

    /// Whether every file size that the case can produce is a multiple of a page.
    pub fn is_aligned(&self) -> bool {
        let (cells, least) = (self.geometry.cells, self.least_size());
        self.geometry.size.is_multiple_of(cells)
            && self.operations().all(|(_, _, operation)| match operation.effect() {
                Effect::Resizes(size) => size.is_multiple_of(cells),
                Effect::Copies { from, to, .. } if to.end >= least => {
                    [from.start, from.end, to.start, to.end]
                        .iter()
                        .all(|end| end.is_multiple_of(cells))
                }
                effect => {
                    effect.extends_to().is_none_or(|end| end.is_multiple_of(cells) || end < least)
                }
            })
    }

    /// Rounds every file size that the case can produce up to a multiple of a page.
    pub fn align(&mut self) {
        let cells = self.geometry.cells;
        let up = |size: u8| size.next_multiple_of(cells);
        self.geometry.size = up(self.geometry.size);
        for operation in self.actors.iter_mut().flat_map(|actor| &mut actor.operations) {
            if let Operation::Truncate(size) = operation {
                *size = up(*size);
            }
        }
        let least = self.least_size();
        for operation in self.actors.iter_mut().flat_map(|actor| &mut actor.operations) {
            match operation.effect() {
                // How much is copied depends on both ranges, and on the size.
                Effect::Copies { to, .. } | Effect::WritesMapped { to, .. } if to.end >= least => {
                    let down = |cell: u8| cell / cells * cells;
                    *operation =
                        operation.map(|_, range| Range::new(down(range.start), up(range.end)));
                }
                effect if effect.extends_to().is_some_and(|end| end >= least) => {
                    *operation = operation.map(|_, range| Range::new(range.start, up(range.end)));
                }
                _ => {}
            }
        }
    }

    /// Every operation with its actor and slot, empty slots left out.
    pub fn operations(&self) -> impl Iterator<Item = (TaskId, u8, Operation)> + '_ {
        self.actors.iter().enumerate().flat_map(|(actor, program)| {
            program
                .operations
                .iter()
                .enumerate()
                .filter(|(_, operation)| **operation != Operation::Empty)
                .map(move |(slot, operation)| (TaskId(actor as u8), slot as u8, *operation))
        })
    }

    /// The operation in a slot; empty if there is none.
    pub fn operation(&self, task: TaskId, slot: u8) -> Operation {
        self.actors
            .get(task.index())
            .and_then(|actor| actor.operations.get(usize::from(slot)))
            .copied()
            .unwrap_or_default()
    }

    /// Whether at most one actor does anything.
    pub fn is_sequential(&self) -> bool {
        self.actors.iter().filter(|actor| !actor.operations.is_empty()).count() <= 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_and_operands_round_trip() {
        for kind in Operation::KINDS {
            let operands = [Range::new(1, 3), Range::new(2, 4)];
            let operation = Operation::from_code(kind.code, operands).unwrap();
            assert_eq!(operation.kind().code, kind.code);
            assert_eq!(Operation::from_code(kind.code, operation.operands()), Some(operation));
        }
        assert_eq!(Operation::from_code(200, Operands::default()), None);
        assert_eq!(Operation::Store(Range::new(0, 4)).to_string(), "store 0..4");
        assert_eq!(Operation::Truncate(3).to_string(), "truncate 3");
    }

    #[test]
    fn fix_up_clamps_every_field() {
        let mut case = Case {
            limits: Limits { actors: 0, operations: 99, pages: 99, steps: 0 },
            geometry: Geometry {
                pages: 0,
                cells: 7,
                blocks: 3,
                size: 99,
                holes: u32::MAX,
                mms: 9,
                ..Geometry::default()
            },
            actors: vec![
                Actor {
                    mm: 7,
                    operations: vec![Operation::Store(Range::new(9, 2)), Operation::Empty],
                },
                Actor::default(),
            ],
            ..Case::default()
        };
        case.fix_up();
        assert_eq!(case.limits, Limits { actors: 1, operations: 32, pages: 8, steps: 64 });
        let expected = Geometry { pages: 1, blocks: 2, holes: 3, mms: 3, ..Geometry::default() };
        assert_eq!(case.geometry, expected);
        assert_eq!(case.actors.len(), 1);
        assert_eq!(case.actors[0].mm, 2);
        assert_eq!(case.actors[0].operations, [Operation::Store(Range::new(3, 4))]);
        let once = case.clone();
        case.fix_up();
        assert_eq!(case, once);
    }

    #[test]
    fn alignment_is_of_every_size() {
        let mut case = Case {
            geometry: Geometry { pages: 2, size: 3, ..Geometry::default() },
            actors: vec![Actor {
                mm: 0,
                operations: vec![Operation::Truncate(5), Operation::Write(Range::new(0, 1))],
            }],
            ..Case::default()
        };
        case.fix_up();
        assert!(!case.is_aligned());
        case.align();
        assert!(case.is_aligned());
        assert_eq!(case.geometry.size, 4);
        assert_eq!(case.operation(TaskId(0), 0), Operation::Truncate(8));
    }
}
