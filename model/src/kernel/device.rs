//! The block device: a block map, an allocator that hands out the lowest free block (so that freed
//! blocks are reused at once and still hold what they held), and a count of free blocks. Left out: a
//! volatile write cache of the device.

use std::cell::Cell;

use super::Stamp;
use crate::case::{AMPLE, BLOCKS_PER_PAGE_MAX, CELLS_PER_PAGE_MAX, PAGES_MAX};

/// Blocks that a file can have.
pub const FILE_BLOCKS: usize = PAGES_MAX * BLOCKS_PER_PAGE_MAX;
/// Blocks of the device.
pub const DEVICE_BLOCKS: usize = 2 * FILE_BLOCKS;
/// No block: a hole.
pub const NO_BLOCK: u8 = u8::MAX;

const _: () = {
    assert!(FILE_BLOCKS <= u32::BITS as usize, "blocks of the file are masks of 32 bits");
    assert!(DEVICE_BLOCKS <= u64::BITS as usize, "blocks of the device are masks of 64 bits");
};

/// The block device under the file.
pub struct Device {
    map: [Cell<u8>; FILE_BLOCKS],
    /// The blocks of the file that are in the map, one bit each.
    allocated: Cell<u32>,
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
            map: [const { Cell::new(NO_BLOCK) }; FILE_BLOCKS],
            allocated: Cell::new(0),
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
        for block in &self.map {
            block.set(NO_BLOCK);
        }
        self.allocated.set(0);
        self.budget.set(budget);
    }

    /// The device block under a block of the file.
    pub fn block(&self, file_block: u8) -> Option<u8> {
        let block = self.map[usize::from(file_block)].get();
        (block != NO_BLOCK).then_some(block)
    }

    /// The device block under a block of the file; allocates one if it is a hole. `None`: no space.
    pub fn get_block(&self, file_block: u8) -> Option<u8> {
        self.block(file_block).or_else(|| {
            let budget = self.budget.get();
            if budget == 0 || self.free.get() == 0 {
                return None;
            }
            if budget != AMPLE {
                self.budget.set(budget - 1);
            }
            Some(self.assign(file_block))
        })
    }

    /// No block is free.
    #[inline]
    pub fn is_full(&self) -> bool {
        self.budget.get() == 0
    }

    pub(super) fn assign(&self, file_block: u8) -> u8 {
        let block = self.free.get().trailing_zeros() as u8;
        assert!(
            usize::from(block) < DEVICE_BLOCKS,
            "the device has twice the blocks of the largest file"
        );
        self.free.set(self.free.get() & !(1 << block));
        self.used.set(self.used.get() | 1 << block);
        self.written.set(self.written.get() & !(1 << block));
        self.map[usize::from(file_block)].set(block);
        self.allocated.set(self.allocated.get() | 1 << file_block);
        block
    }

    /// Takes the blocks of the file from `first` on out of its map, and frees them; bugs leave out
    /// one of the two.
    pub(super) fn release_from(&self, first: u8, unmap: bool, free: bool) {
        for slot in self.map[usize::from(first)..].iter().filter(|slot| slot.get() != NO_BLOCK) {
            if free {
                self.free.set(self.free.get() | 1 << slot.get());
                if self.budget.get() != AMPLE {
                    self.budget.set(self.budget.get() + 1);
                }
            }
            if unmap {
                slot.set(NO_BLOCK);
            }
        }
        if unmap {
            self.allocated.set(self.allocated.get() & ((1u64 << first) - 1) as u32);
        }
    }

    /// The device blocks in the file's map.
    pub(super) fn mapped(&self) -> impl Iterator<Item = u8> + '_ {
        self.map.iter().map(Cell::get).filter(|block| *block != NO_BLOCK)
    }

    /// What is wrong with the ownership of blocks: each is free, or has one place in the file's
    /// map.
    pub fn audit(&self) -> Option<&'static str> {
        let mut owned = self.free.get();
        for block in self.mapped() {
            if owned >> block & 1 != 0 {
                return Some("a block of the file is free, or has two places in it");
            }
            owned |= 1 << block;
        }
        if owned != u64::MAX {
            return Some("a block is neither free nor in the file");
        }
        let budget = self.budget.get();
        let adds_up = budget == AMPLE
            || usize::from(self.capacity.get()) == usize::from(budget) + self.mapped().count();
        (!adds_up).then_some("the count of free blocks is off")
    }

    /// One cell of the file after a crash: a block that was not written since it was allocated is
    /// not part of the file yet (data is ordered before the block map).
    pub fn durable(&self, file_block: u8, cell: u8) -> Stamp {
        let written = self.block(file_block).filter(|block| self.written.get() >> block & 1 != 0);
        written.map_or(Stamp::ZERO, |block| self.read(block, cell))
    }

    /// One cell of a device block, whoever wrote it.
    pub fn read(&self, block: u8, cell: u8) -> Stamp {
        self.medium[usize::from(block)][usize::from(cell)].get()
    }

    pub(super) fn write(&self, block: u8, cell: u8, stamp: Stamp) {
        self.medium[usize::from(block)][usize::from(cell)].set(stamp);
        self.written.set(self.written.get() | 1 << block);
    }

    /// The blocks of the file that are allocated, one bit each.
    #[inline]
    pub fn allocated(&self) -> u32 {
        self.allocated.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_audit_finds_blocks_that_are_lost_or_owned_twice() {
        let device = || {
            let device = Device::default();
            device.budget.set(3);
            device.capacity.set(3);
            assert!(device.get_block(0).is_some() && device.get_block(2).is_some());
            device
        };
        let good = device();
        assert_eq!(good.audit(), None);
        good.release_from(1, true, true);
        assert_eq!((good.audit(), good.budget.get()), (None, 2));

        let leaky = device();
        leaky.release_from(1, true, false);
        assert_eq!(leaky.audit(), Some("a block is neither free nor in the file"));
        let twice = device();
        twice.release_from(1, false, true);
        assert_eq!(twice.audit(), Some("a block of the file is free, or has two places in it"));
        twice.get_block(3);
        assert_eq!(twice.audit(), Some("a block of the file is free, or has two places in it"));
        let miscounted = device();
        miscounted.budget.set(2);
        assert_eq!(miscounted.audit(), Some("the count of free blocks is off"));
    }
}
