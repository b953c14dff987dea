//! The fuzzers' scheduler: a 4-byte seed draws a priority for every step of every operation; sparse
//! overrides change single entries; the highest runs.
//!
//! Entries are keyed by (task, operation slot, n-th step of that operation), so that the same seed
//! means nearly the same schedule after an operation was deleted or on another implementation.
//! Mutating the seed resamples the whole schedule, mutating an override is a local change.

use super::{Priorities, Scheduler, View};
use crate::case::Override;
use crate::exec::{At, TaskId};

/// Priorities of steps, drawn from a seed; overrides replace single ones.
pub struct Seeded<'a> {
    seed: u32,
    overrides: &'a [Override],
    priorities: Priorities,
}

impl<'a> Seeded<'a> {
    /// The table that `seed` draws, with these entries changed.
    pub fn new(seed: u32, overrides: &'a [Override]) -> Seeded<'a> {
        Seeded { seed, overrides, priorities: Priorities::default() }
    }
}

/// The entry of the table: a finaliser of good avalanche over seed and key (MurmurHash3's 64-bit
/// one).
fn entry(seed: u32, task: TaskId, at: At) -> u32 {
    let key = u64::from(seed) << 32
        | u64::from(at.nth) << 16
        | u64::from(at.slot) << 8
        | u64::from(task.0);
    let mut x = key ^ key >> 33;
    x = x.wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    x ^= x >> 33;
    x = x.wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    (x >> 32) as u32
}

impl Scheduler for Seeded<'_> {
    fn pick(&mut self, runnable: u32, view: &impl View) -> TaskId {
        let (seed, overrides) = (self.seed, self.overrides);
        self.priorities.highest(runnable, view, |task, at| {
            let own =
                overrides.iter().rfind(|o| (o.task, o.slot, o.nth) == (task, at.slot, at.nth));
            own.map_or_else(|| entry(seed, task, at), |o| u32::from(o.priority) << 16)
        })
    }

    fn yielded(&mut self, tasks: u32) {
        self.priorities.low |= tasks;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Two;
    impl View for Two {
        fn at(&self, _: TaskId) -> At {
            At { point: 0, object: 0, slot: 0, nth: 1 }
        }
        fn live(&self) -> u32 {
            0b11
        }
    }

    #[test]
    fn an_override_decides_one_step() {
        let by_seed = Seeded::new(9, &[]).pick(0b11, &Two);
        let other = TaskId(1 - by_seed.0);
        let first = Override { task: other, slot: 0, nth: 1, priority: u16::MAX };
        assert_eq!(Seeded::new(9, &[first]).pick(0b11, &Two), other);
        let elsewhere = Override { nth: 2, ..first };
        assert_eq!(Seeded::new(9, &[elsewhere]).pick(0b11, &Two), by_seed);
    }
}
