//! Partial order sampling (Yuan et al., CAV 2018): every pending step has a random priority, the
//! highest runs, and the pending steps that race with it get a new one.
//!
//! Two steps race here if their announced objects are the same; that is coarser than reads and
//! writes.

use rand::Rng;

use super::{Priorities, Scheduler, View};
use crate::exec::{TaskId, bits};
use crate::generate::Random;

/// Partial order sampling: the highest priority runs, and steps that race with it draw new ones.
pub struct Pos {
    random: Random,
    priorities: Priorities,
}

impl Pos {
    /// POS that draws from `random`.
    pub fn new(random: Random) -> Pos {
        Pos { random, priorities: Priorities::default() }
    }
}

impl Scheduler for Pos {
    fn pick(&mut self, runnable: u32, view: &impl View) -> TaskId {
        if let Some((last, object)) = self.priorities.last
            && object != 0
        {
            for task in bits(self.priorities.known & runnable & !last.bit()) {
                if view.at(task).object == object {
                    self.priorities.known &= !task.bit();
                }
            }
        }
        let random = &mut self.random;
        self.priorities.highest(runnable, view, |_, _| random.next_u32())
    }

    fn yielded(&mut self, tasks: u32) {
        self.priorities.low |= tasks;
    }
}
