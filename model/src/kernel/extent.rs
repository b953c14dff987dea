//! Where the blocks of a file are on the device: the block map of an inode, which is its
//! filesystem's. A block that was not written since it was allocated is told from a written one by
//! the device.

use std::cell::Cell;

use super::{Inode, Kernel, Stamp};
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
    /// A block of the device.
    Block(u8),
}

/// The extents of a file, block by block.
#[derive(Default)]
pub struct Extents {
    map: [Cell<Extent>; FILE_BLOCKS],
    /// The blocks of the file that are no holes, one bit each.
    allocated: Cell<u32>,
}

impl Extents {
    pub(super) fn reset(&self) {
        self.release(u32::MAX, |_| true);
    }

    /// What is under a block of the file.
    #[inline]
    pub fn extent(&self, file_block: u8) -> Extent {
        self.map[usize::from(file_block)].get()
    }

    /// The device block under a block of the file.
    #[inline]
    pub fn block(&self, file_block: u8) -> Option<u8> {
        match self.extent(file_block) {
            Extent::Hole => None,
            Extent::Block(block) => Some(block),
        }
    }

    /// Puts a device block under a block of the file.
    pub(super) fn set(&self, file_block: u8, block: u8) {
        self.map[usize::from(file_block)].set(Extent::Block(block));
        self.allocated.set(self.allocated.get() | 1 << file_block);
    }

    /// Makes holes of those of these blocks, one bit each, whose device block `goes`.
    fn release(&self, blocks: u32, goes: impl Fn(u8) -> bool) {
        for file_block in ones(u64::from(self.allocated.get() & blocks)) {
            if self.block(file_block).is_some_and(&goes) {
                self.map[usize::from(file_block)].set(Extent::Hole);
                self.allocated.set(self.allocated.get() & !(1 << file_block));
            }
        }
    }

    /// The device blocks under the file.
    pub fn blocks(&self) -> impl Iterator<Item = u8> + '_ {
        ones(u64::from(self.allocated.get())).filter_map(|file_block| self.block(file_block))
    }

    /// The blocks of the file that are no holes, one bit each.
    #[inline]
    pub fn allocated(&self) -> u32 {
        self.allocated.get()
    }
}

impl<F: Filesystem> Kernel<F> {
    /// The device block under a block of the file.
    pub fn block(&self, file_block: u8) -> Option<u8> {
        self.file().extents.block(file_block)
    }

    /// The device block under a block of the file; allocates one if it is a hole. `None`: no space.
    pub fn get_block(&self, file_block: u8) -> Option<u8> {
        let extents = &self.file().extents;
        extents.block(file_block).or_else(|| {
            if self.fails(Site::Block) {
                return None;
            }
            let block = self.device.allocate()?;
            extents.set(file_block, block);
            Some(block)
        })
    }

    /// One cell of the file after a crash: a block that was not written since it was allocated is
    /// not part of the file yet (data is ordered before the block map).
    pub fn block_durable(&self, file_block: u8, cell: u8) -> Stamp {
        self.device.durable(self.block(file_block), cell)
    }

    /// ->truncate gives the blocks of the file from `first` on back; bugs leave out one of the two.
    pub fn free_blocks_from(&self, first: u8) {
        let unmaps = !self.reaches_plant(Plant::BlocksStayMapped);
        let frees = !self.reaches_plant(Plant::LeakBlocks);
        let from_first = !(((1u64 << first) - 1) as u32);
        self.file().extents.release(from_first, |block| {
            if frees {
                self.device.free(block);
            }
            unmaps
        });
    }

    /// A punched hole gives these blocks of the file back.
    pub fn free_blocks(&self, blocks: Range) {
        let frees = !self.reaches_plant(Plant::LeakBlocks);
        self.file().extents.release(blocks.bits() as u32, |block| {
            if frees {
                self.device.free(block);
            }
            true
        });
    }

    /// What is wrong with the ownership of blocks: each is free, or has one place in a file.
    pub fn audit_blocks(&self) -> Option<&'static str> {
        self.device.audit(self.inodes.iter().map(|inode: &Inode<_>| &inode.extents))
    }
}
