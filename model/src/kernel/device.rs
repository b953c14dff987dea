//! The block device: a medium, an allocator that hands out the lowest free block (so that freed
//! blocks are reused at once and still hold what they held), and a count of free blocks. Left out:
//! a volatile write cache of the device.

use std::cell::Cell;

use super::{Extents, FILE_BLOCKS, Stamp};
use crate::case::{AMPLE, CELLS_PER_PAGE_MAX};

/// Blocks of the device.
pub const DEVICE_BLOCKS: usize = 2 * FILE_BLOCKS;
/// No block: a hole.
pub const NO_BLOCK: u8 = u8::MAX;

const _: () =
    assert!(DEVICE_BLOCKS <= u64::BITS as usize, "blocks of the device are masks of 64 bits");

/// The block device.
pub struct Device {
    free: Cell<u64>,
    /// Blocks that belonged to the file at some time of this run.
    used: Cell<u64>,
    /// Blocks that were written since they were allocated.
    written: Cell<u64>,
    budget: Cell<u8>,
    /// Blocks of the file and of the budget, at the start.
    pub(super) capacity: Cell<u8>,
    medium: [[Cell<Stamp>; CELLS_PER_PAGE_MAX]; DEVICE_BLOCKS],
}

impl Default for Device {
    fn default() -> Self {
        Device {
            free: Cell::new(u64::MAX),
            used: Cell::new(0),
            written: Cell::new(0),
            budget: Cell::new(AMPLE),
            capacity: Cell::new(AMPLE),
            medium: [const { [const { Cell::new(Stamp::ZERO) }; CELLS_PER_PAGE_MAX] };
                DEVICE_BLOCKS],
        }
    }
}

impl Device {
    pub(super) fn reset(&self, budget: u8) {
        self.free.set(u64::MAX);
        let used = self.used.replace(0);
        for block in (0..DEVICE_BLOCKS).filter(|block| used >> block & 1 != 0) {
            for cell in &self.medium[block] {
                cell.set(Stamp::ZERO);
            }
        }
        self.budget.set(budget);
    }

    /// No block is free.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.budget.get() == 0
    }

    /// Takes the lowest free block, if the budget allows.
    pub(super) fn allocate(&self) -> Option<u8> {
        (self.free.get() != 0 && self.reserve()).then(|| self.take())
    }

    /// Takes one block off the budget, if that allows; which one is left open.
    pub(super) fn reserve(&self) -> bool {
        let budget = self.budget.get();
        if budget != AMPLE {
            self.budget.set(budget.saturating_sub(1));
        }
        budget != 0
    }

    /// Gives the budget back what was reserved.
    pub(super) fn unreserve(&self) {
        if self.budget.get() != AMPLE {
            self.budget.set(self.budget.get() + 1);
        }
    }

    /// Takes the lowest free block, whatever the budget.
    pub(super) fn take(&self) -> u8 {
        let block = self.free.get().trailing_zeros() as u8;
        assert!(
            usize::from(block) < DEVICE_BLOCKS,
            "the device has twice the blocks of the largest file"
        );
        self.free.set(self.free.get() & !(1 << block));
        self.used.set(self.used.get() | 1 << block);
        self.written.set(self.written.get() & !(1 << block));
        block
    }

    /// Gives a block back.
    pub(super) fn free(&self, block: u8) {
        self.free.set(self.free.get() | 1 << block);
        self.unreserve();
    }

    /// What is wrong with the ownership of blocks: each is free, or has one place in these files.
    pub(super) fn audit<'a>(
        &self,
        files: impl Iterator<Item = &'a Extents>,
    ) -> Option<&'static str> {
        let (mut owned, mut count) = (self.free.get(), 0);
        for file in files {
            for block in file.blocks() {
                if owned >> block & 1 != 0 {
                    return Some("a block of the file is free, or has two places in it");
                }
                owned |= 1 << block;
                count += 1;
            }
            count += file.delayed().count_ones() as usize;
        }
        if owned != u64::MAX {
            return Some("a block is neither free nor in the file");
        }
        let budget = self.budget.get();
        let adds_up =
            budget == AMPLE || usize::from(self.capacity.get()) == usize::from(budget) + count;
        (!adds_up).then_some("the count of free blocks is off")
    }

    /// One cell of a block after a crash; of one that was not written since it was allocated, zero.
    pub(super) fn durable(&self, block: u8, cell: u8) -> Stamp {
        if self.is_written(block) { self.read(block, cell) } else { Stamp::ZERO }
    }

    /// The block was written since it was allocated.
    pub(super) fn is_written(&self, block: u8) -> bool {
        self.written.get() >> block & 1 != 0
    }

    /// One cell of a device block, whoever wrote it.
    pub fn read(&self, block: u8, cell: u8) -> Stamp {
        self.medium[usize::from(block)][usize::from(cell)].get()
    }

    pub(super) fn write(&self, block: u8, cell: u8, stamp: Stamp) {
        self.medium[usize::from(block)][usize::from(cell)].set(stamp);
        self.written.set(self.written.get() | 1 << block);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernel::Extent;

    #[test]
    fn the_audit_finds_blocks_that_are_lost_or_owned_twice() {
        let made = || {
            let (device, file) = (Device::default(), Extents::default());
            device.budget.set(3);
            device.capacity.set(3);
            for file_block in [0, 2] {
                let block = device.allocate().expect("there are three");
                file.set(file_block, Extent::Written(block));
            }
            (device, file)
        };
        let audit = |device: &Device, file: &Extents| device.audit(std::iter::once(file));
        let last = |file: &Extents| file.block(2).expect("it is allocated");

        let (good, file) = made();
        assert_eq!(audit(&good, &file), None);
        assert_eq!((file.allocated(), good.budget.get()), (0b101, 1));

        let (delayed, file) = made();
        assert!(delayed.reserve(), "one is left");
        assert_eq!(audit(&delayed, &file), Some("the count of free blocks is off"));
        file.set(5, Extent::Delayed);
        assert_eq!(audit(&delayed, &file), None);
        assert_eq!((file.allocated(), file.delayed()), (0b101, 0b10_0000));
        assert!(!delayed.reserve(), "nothing is left");

        let (leaky, _) = made();
        let lost = "a block is neither free nor in the file";
        assert_eq!(audit(&leaky, &Extents::default()), Some(lost));

        let (twice, file) = made();
        let owned_twice = "a block of the file is free, or has two places in it";
        twice.free(last(&file));
        assert_eq!(audit(&twice, &file), Some(owned_twice));
        file.set(3, Extent::Written(twice.allocate().expect("it was given back")));
        assert_eq!(audit(&twice, &file), Some(owned_twice));

        let (miscounted, file) = made();
        miscounted.budget.set(2);
        assert_eq!(audit(&miscounted, &file), Some("the count of free blocks is off"));
    }
}
