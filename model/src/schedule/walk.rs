//! A random walk: at every step each runnable task is as likely as the others.

use rand::Rng;

use super::{Scheduler, View};
use crate::exec::{TaskId, bits};
use crate::generate::Random;

/// See the file's head.
pub struct Walk {
    random: Random,
}

impl Walk {
    /// A walk that draws from `random`.
    pub fn new(random: Random) -> Walk {
        Walk { random }
    }
}

impl Scheduler for Walk {
    fn pick(&mut self, runnable: u32, _: &impl View) -> TaskId {
        // Multiply-shift instead of a division: the bias of 2^-32 is nothing here.
        let n = (u64::from(self.random.next_u32()) * u64::from(runnable.count_ones())) >> 32;
        bits(runnable).nth(n as usize).expect("n is below the number of runnable tasks")
    }
}
