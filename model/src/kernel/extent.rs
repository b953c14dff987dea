//! Where the blocks of a file are on the device: the block map of an inode, which is its
//! filesystem's.
//!
//! A filesystem with delayed allocation reserves space first (`Delayed`) and finds the place in
//! writeback; one with unwritten extents allocates blocks that read as zeros until they are converted
//! (`Unwritten`), after their data is on the device. Others go from hole to `Written` in one step;
//! there the device tells a block that was not written since it was allocated.

use std::cell::Cell;

use super::{Kernel, Stamp};
use crate::bit_set::ones;
use crate::case::{BLOCKS_PER_PAGE_MAX, PAGES_MAX, Range, Site};
use crate::implementation::Filesystem;
use crate::plant::Plant;

/// Blocks that a file can have.
pub const FILE_BLOCKS: usize = PAGES_MAX * BLOCKS_PER_PAGE_MAX;
const _: () = assert!(FILE_BLOCKS <= u32::BITS as usize, "blocks of the file are masks of 32 bits");

/// What is under a block of the file.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Extent {
    /// Nothing: it reads as zeros.
    #[default]
    Hole,
    /// Nothing yet, but space is reserved: it reads as zeros.
    Delayed,
    /// A block of the device that reads as zeros whatever it holds, until it is converted.
    Unwritten(u8),
    /// A block of the device.
    Written(u8),
}

impl Extent {
    /// Its block on the device.
    #[inline]
    pub fn block(self) -> Option<u8> {
        match self {
            Extent::Hole | Extent::Delayed => None,
            Extent::Unwritten(block) | Extent::Written(block) => Some(block),
        }
    }

    /// The block on the device that it is read from.
    #[inline]
    pub fn written(self) -> Option<u8> {
        match self {
            Extent::Written(block) => Some(block),
            Extent::Hole | Extent::Delayed | Extent::Unwritten(_) => None,
        }
    }
}

/// The extents of a file, block by block.
#[derive(Default)]
pub struct Extents {
    map: [Cell<Extent>; FILE_BLOCKS],
    /// The blocks of the file that have a place on the device, one bit each.
    allocated: Cell<u32>,
    /// Those for which space is reserved, one bit each.
    delayed: Cell<u32>,
    /// How often the map has changed.
    changes: Cell<u16>,
}

impl Extents {
    pub(super) fn reset(&self) {
        self.release(u32::MAX, |_| true);
        self.changes.set(0);
    }

    /// What is under a block of the file.
    #[inline]
    pub fn extent(&self, file_block: u8) -> Extent {
        self.map[usize::from(file_block)].get()
    }

    /// The device block under a block of the file.
    #[inline]
    pub fn block(&self, file_block: u8) -> Option<u8> {
        self.extent(file_block).block()
    }

    /// Puts an extent under a block of the file.
    pub(super) fn set(&self, file_block: u8, extent: Extent) {
        let put = |mask: &Cell<u32>, is: bool| {
            mask.set(mask.get() & !(1 << file_block) | u32::from(is) << file_block);
        };
        self.map[usize::from(file_block)].set(extent);
        self.changes.set(self.changes.get().wrapping_add(1));
        put(&self.allocated, extent.block().is_some());
        put(&self.delayed, extent == Extent::Delayed);
    }

    /// Makes holes of those of these blocks, one bit each, whose extent `goes`.
    fn release(&self, blocks: u32, goes: impl Fn(Extent) -> bool) {
        for file_block in ones(u64::from((self.allocated.get() | self.delayed.get()) & blocks)) {
            if goes(self.extent(file_block)) {
                self.set(file_block, Extent::Hole);
            }
        }
    }

    /// The device blocks under the file.
    pub fn blocks(&self) -> impl Iterator<Item = u8> + '_ {
        ones(u64::from(self.allocated.get())).filter_map(|file_block| self.block(file_block))
    }

    /// The blocks of the file that have a place on the device, one bit each.
    #[inline]
    pub fn allocated(&self) -> u32 {
        self.allocated.get()
    }

    /// The blocks of the file for which space is reserved, one bit each.
    #[inline]
    pub fn delayed(&self) -> u32 {
        self.delayed.get()
    }

    /// How often the map has changed: who looked at it, and finds the number as it was, need not
    /// look again.
    pub fn changes(&self) -> u16 {
        self.changes.get()
    }
}

impl<F: Filesystem> Kernel<F> {
    /// The device block under a block of the file.
    pub fn block(&self, file_block: u8) -> Option<u8> {
        self.file().extents.block(file_block)
    }

    /// What is under a block of the file.
    pub fn extent(&self, file_block: u8) -> Extent {
        self.file().extents.extent(file_block)
    }

    /// The block of the file has a place on the device, which holds what was there before.
    pub fn is_new_block(&self, file_block: u8) -> bool {
        self.block(file_block).is_some_and(|block| !self.device.is_written(block))
    }

    /// The device block under a block of the file; allocates one, written at once, if it has none.
    /// `None`: no space.
    pub fn get_block(&self, file_block: u8) -> Option<u8> {
        self.block(file_block).or_else(|| self.allocate_block(file_block, Extent::Written))
    }

    /// The device block under a block of the file; allocates an unwritten one if it has none, from
    /// what was reserved for it or else from what is free. `None`: no space.
    pub fn get_block_unwritten(&self, file_block: u8) -> Option<u8> {
        self.block(file_block).or_else(|| self.allocate_block(file_block, Extent::Unwritten))
    }

    fn allocate_block(&self, file_block: u8, state: fn(u8) -> Extent) -> Option<u8> {
        if self.fails(Site::Block) {
            return None;
        }
        let extents = &self.file().extents;
        let block = match extents.extent(file_block) {
            Extent::Delayed => self.device.take(),
            _ => self.device.allocate()?,
        };
        extents.set(file_block, state(block));
        Some(block)
    }

    /// Reserves space for a block of the file, if it has none. Returns whether there is.
    pub fn reserve_block(&self, file_block: u8) -> bool {
        let extents = &self.file().extents;
        if extents.extent(file_block) != Extent::Hole {
            return true;
        }
        let is_reserved = !self.fails(Site::Block) && self.device.reserve();
        if is_reserved {
            extents.set(file_block, Extent::Delayed);
        }
        is_reserved
    }

    /// The data of an unwritten block is on the device: it is part of the file from now on.
    pub fn convert_block(&self, file_block: u8) {
        if let Extent::Unwritten(block) = self.extent(file_block) {
            self.file().extents.set(file_block, Extent::Written(block));
        }
    }

    /// A written block reads as zeros from now on.
    pub fn unwrite_block(&self, file_block: u8) {
        if let Extent::Written(block) = self.extent(file_block) {
            self.file().extents.set(file_block, Extent::Unwritten(block));
        }
    }

    /// One cell of the file after a crash: a block that was not written since it was allocated is
    /// not part of the file yet (data is ordered before the block map), nor is an unwritten one.
    pub fn block_durable(&self, file_block: u8, cell: u8) -> Stamp {
        let written = self.extent(file_block).written();
        written.map_or(Stamp::ZERO, |block| self.device.durable(block, cell))
    }

    /// ->truncate gives the blocks of the file from `first` on back, and what was reserved for
    /// others; bugs leave out one of the two.
    pub fn free_blocks_from(&self, first: u8) {
        let unmaps = !self.reaches_plant(Plant::BlocksStayMapped);
        let frees = !self.reaches_plant(Plant::LeakBlocks);
        let from_first = !(((1u64 << first) - 1) as u32);
        self.file().extents.release(from_first, |extent| {
            if frees {
                self.give_back(extent);
            }
            unmaps
        });
    }

    /// A punched hole gives these blocks of the file back.
    pub fn free_blocks(&self, blocks: Range) {
        let frees = !self.reaches_plant(Plant::LeakBlocks);
        self.file().extents.release(blocks.bits() as u32, |extent| {
            if frees {
                self.give_back(extent);
            }
            true
        });
    }

    /// Gives back what is reserved for these blocks of the file; allocated ones stay.
    pub fn free_reservations(&self, blocks: Range) {
        self.file().extents.release(blocks.bits() as u32, |extent| {
            let is_delayed = extent == Extent::Delayed;
            if is_delayed {
                self.give_back(extent);
            }
            is_delayed
        });
    }

    fn give_back(&self, extent: Extent) {
        match extent {
            Extent::Hole => {}
            Extent::Delayed => self.device.unreserve(),
            Extent::Unwritten(block) | Extent::Written(block) => self.device.free(block),
        }
    }

    /// What is wrong with the ownership of blocks: each is free, or has one place in a file.
    pub fn audit_blocks(&self) -> Option<&'static str> {
        self.device.audit(self.files().map(|file| &self.inode(file).extents))
    }
}
