//! A random walk: at every step each runnable task is as likely as the others.

use rand::Rng;

use super::{Scheduler, View};
use crate::exec::TaskId;
use crate::generate::Random;

/// A uniform random walk.
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
    #[inline]
    fn pick(&mut self, mut runnable: u32, _: &impl View) -> TaskId {
        // Multiply-shift instead of a division: the bias of 2^-32 is nothing here.
        let n = (u64::from(self.random.next_u32()) * u64::from(runnable.count_ones())) >> 32;
        for _ in 0..n {
            runnable &= runnable - 1;
        }
        TaskId(runnable.trailing_zeros() as u8)
    }
}
