//! The backing store and the I/O in flight.
//!
//! A block device: a block map, an allocator that hands out the lowest free block (so that freed
//! blocks are reused at once and still hold what they held), and a count of free blocks. A server
//! like NFS's: content per cell, in its cache or on stable storage. A request is submitted by
//! writepage and completes later, in any order, by an I/O task. The data of a request is read from
//! the live page in one step that may come any time before completion, so stores made during
//! writeback may or may not be in it.
//!
//! Left out: torn writes inside a page, a volatile write cache of the device, read requests (a page
//! is read in one step, with the page locked). The server has a file of its own: SETATTR cuts or
//! extends it, a WRITE that ends beyond its end extends it, whatever i_size is by then, and a reply
//! tells what its size was when the server answered. The inode on a block device is its size alone,
//! written in one step.

use std::cell::Cell;

use super::event::Event;
use super::page::{Frame, Stamp};
use super::{Kernel, object};
use crate::case::{
    AMPLE, BLOCKS_PER_PAGE_MAX, CELLS_MAX, CELLS_PER_PAGE_MAX, Case, PAGES_MAX, Range,
};
use crate::exec::{IO_MAX, Mode, TaskId};
use crate::implementation::Filesystem;
use crate::plant::Plant;
use crate::point::Point;

/// Blocks that a file can have.
pub const FILE_BLOCKS: usize = PAGES_MAX * BLOCKS_PER_PAGE_MAX;
/// Blocks of the device.
pub const DEVICE_BLOCKS: usize = 2 * FILE_BLOCKS;
/// No block: a hole.
pub const NO_BLOCK: u8 = u8::MAX;

const _: () = {
    assert!(FILE_BLOCKS <= u32::BITS as usize, "blocks of the file are masks of 32 bits");
    assert!(DEVICE_BLOCKS <= u64::BITS as usize, "blocks of the device are masks of 64 bits");
    assert!(PAGES_MAX <= IO_MAX, "there are as many I/O tasks as pages");
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
    capacity: Cell<u8>,
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
    fn reset(&self, budget: u8) {
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

    fn assign(&self, file_block: u8) -> u8 {
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
    fn release_from(&self, first: u8, unmap: bool, free: bool) {
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
    fn mapped(&self) -> impl Iterator<Item = u8> + '_ {
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

    fn write(&self, block: u8, cell: u8, stamp: Stamp) {
        self.medium[usize::from(block)][usize::from(cell)].set(stamp);
        self.written.set(self.written.get() | 1 << block);
    }

    /// The blocks of the file that are allocated, one bit each.
    #[inline]
    pub fn allocated(&self) -> u32 {
        self.allocated.get()
    }
}

/// The server of a network filesystem.
pub struct Server {
    cached: [Cell<Stamp>; CELLS_MAX],
    stable: [Cell<Stamp>; CELLS_MAX],
    size: Cell<u8>,
    stable_size: Cell<u8>,
    changes: Cell<u8>,
}

/// What the server says of its file in a reply (post-operation attributes).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Attributes {
    /// Its size.
    pub size: u8,
    /// How many SETATTRs had changed it.
    pub changes: u8,
}

impl Default for Server {
    fn default() -> Self {
        let zero = [const { Cell::new(Stamp::ZERO) }; CELLS_MAX];
        Server {
            cached: zero.clone(),
            stable: zero,
            size: Cell::new(0),
            stable_size: Cell::new(0),
            changes: Cell::new(0),
        }
    }
}

impl Server {
    fn reset(&self) {
        self.set_size(0);
        self.changes.set(0);
    }

    /// What a READ returns.
    pub fn read(&self, cell: u8) -> Stamp {
        self.cached[usize::from(cell)].get()
    }

    /// What survives a crash of the server.
    pub fn stable(&self, cell: u8) -> Stamp {
        self.stable[usize::from(cell)].get()
    }

    /// The file's size, as a reply tells it.
    pub fn attributes(&self) -> Attributes {
        Attributes { size: self.size.get(), changes: self.changes.get() }
    }

    /// The file's size after a crash of the server.
    pub fn stable_size(&self) -> u8 {
        self.stable_size.get()
    }

    /// A WRITE of one cell arrives. It extends the file if it ends beyond.
    pub fn write(&self, cell: u8, stamp: Stamp, stable: bool) {
        self.cached[usize::from(cell)].set(stamp);
        self.size.set(self.size.get().max(cell + 1));
        if stable {
            self.stable[usize::from(cell)].set(stamp);
            self.stable_size.set(self.stable_size.get().max(cell + 1));
        }
    }

    /// A COMMIT of the whole file arrives.
    pub fn commit(&self) {
        for (cached, stable) in self.cached.iter().zip(&self.stable) {
            stable.set(cached.get());
        }
        self.stable_size.set(self.size.get());
    }

    /// A SETATTR arrives: the file is cut or extended to `size` cells, on stable storage before the
    /// reply.
    pub fn set_size(&self, size: u8) {
        self.size.set(size);
        self.stable_size.set(size);
        self.changes.set(self.changes.get().wrapping_add(1));
        let from = usize::from(size);
        for cell in self.cached[from..].iter().chain(&self.stable[from..]) {
            cell.set(Stamp::ZERO);
        }
    }
}

/// A write request in flight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    /// The page under writeback.
    pub page: Frame,
    /// Cells of the page that a network filesystem sends.
    pub cells: Range,
    /// Device blocks that a block filesystem writes, by block of the page.
    pub blocks: [u8; BLOCKS_PER_PAGE_MAX],
    /// Ask the server for stable storage.
    pub stable: bool,
    /// What the server's reply says of the file.
    pub reply: Attributes,
    /// The device or the server fails it.
    pub fails: bool,
}

impl Request {
    /// A request for a page, with nothing to write yet.
    pub const fn new(page: Frame) -> Request {
        let blocks = [NO_BLOCK; BLOCKS_PER_PAGE_MAX];
        Request {
            page,
            cells: Range::new(0, 0),
            blocks,
            stable: false,
            reply: Attributes { size: 0, changes: 0 },
            fails: false,
        }
    }
}

impl<F: Filesystem> Kernel<F> {
    pub(super) fn reset_store(&self, case: &Case) {
        self.device.reset(case.geometry.free);
        self.server.reset();
        self.writes.set(0);
        for slot in 0..IO_MAX as u8 {
            self.requests[usize::from(slot)].set(None);
            self.tasks.set_busy(object::IO + slot);
        }
        let g = case.geometry;
        for cell in (0..g.size).filter(|cell| !g.is_hole(cell / g.block_cells())) {
            let stamp = Stamp::initial(cell);
            self.server.write(cell, stamp, true);
            let file_block = cell / g.block_cells();
            let block =
                self.device.block(file_block).unwrap_or_else(|| self.device.assign(file_block));
            self.device.write(block, cell % g.block_cells(), stamp);
        }
        // Holes at the end are part of the server's file.
        self.server.size.set(g.size);
        self.server.stable_size.set(g.size);
        self.disk_size.set(g.size);
        self.device
            .capacity
            .set(case.geometry.free.saturating_add(self.device.mapped().count() as u8));
    }

    /// ->truncate gives the blocks of the file from `first` on back.
    pub fn free_blocks_from(&self, first: u8) {
        self.device.release_from(
            first,
            !self.reaches_plant(Plant::BlocksStayMapped),
            !self.reaches_plant(Plant::LeakBlocks),
        );
    }

    /// submit_bio, or the RPC of a WRITE: the request completes later. Takes stable replies and
    /// failures from the case.
    pub fn submit(&self, request: Request) {
        let n = self.writes.replace(self.writes.get() + 1);
        let faults = self.faults.get();
        let bit = |mask: u16| n < 16 && mask >> n & 1 != 0;
        let request = Request {
            stable: request.stable || bit(faults.stable),
            fails: bit(faults.eio),
            ..request
        };
        let index = usize::from(self.index(request.page));
        let slot = std::iter::once(index)
            .chain(0..IO_MAX)
            .find(|slot| self.requests[*slot].get().is_none())
            .expect("there are as many I/O tasks as pages");
        self.requests[slot].set(Some(request));
        self.tasks.release(object::IO + slot as u8);
        self.touch(request.page);
    }

    /// Reports what [`Kernel::submit`] will send, for the rule about the tail of the last page:
    /// `size` is the i_size by which writepage zeroed the tail.
    pub fn note_submitted(&self, page: Frame, size: u8) {
        let from = size.saturating_sub(self.first_cell(page));
        let tail = (from..self.geometry().cells).any(|cell| self.cell(page, cell) != Stamp::ZERO);
        self.event(Event::Submitted { page, tail });
    }

    /// The request of an I/O slot.
    pub fn request(&self, slot: u8) -> Option<Request> {
        self.requests[usize::from(slot)].get()
    }

    /// The cells of its page that a request writes, one bit each.
    pub fn cells_of(&self, request: &Request) -> u8 {
        let per_block = self.geometry().block_cells();
        let blocks = (0u8..).zip(&request.blocks).filter(|(_, block)| **block != NO_BLOCK);
        let cells = blocks
            .flat_map(|(b, _)| b * per_block..(b + 1) * per_block)
            .chain(request.cells.iter());
        cells.fold(0, |mask, cell| mask | 1 << cell)
    }

    /// Writes the device blocks of a request from the live page.
    pub fn transfer_blocks(&self, request: Request) {
        let g = self.geometry();
        let block_cells = g.block_cells();
        let last = request.blocks.iter().rposition(|block| *block != NO_BLOCK);
        for (b, &block) in request.blocks.iter().enumerate() {
            let lost = Some(b) == last && self.reaches_plant(Plant::ShortTransfer);
            if block == NO_BLOCK || lost {
                continue;
            }
            for cell in 0..block_cells {
                self.device.write(
                    block,
                    cell,
                    self.cell(request.page, b as u8 * block_cells + cell),
                );
            }
        }
    }

    /// The size in the inode on the block device.
    pub fn disk_size(&self) -> u8 {
        self.disk_size.get()
    }

    /// Writes the inode to the block device (ext2_write_inode).
    pub fn write_inode(&self) {
        self.disk_size.set(self.i_size());
    }

    /// Sends the cells of a request to the server from the live page: those it was made with,
    /// wherever i_size is now.
    pub fn transfer_cells(&self, request: Request) {
        let first = self.first_cell(request.page);
        for cell in request.cells.iter() {
            self.server.write(first + cell, self.cell(request.page, cell), request.stable);
        }
    }
}

/// The task that serves one I/O slot: waits for a request, transfers its data, completes it.
pub(crate) async fn io_task<F: Filesystem>(k: &Kernel<F>, slot: u8) {
    let mut served = 0u8;
    loop {
        k.tasks.begin_slot(served);
        k.tasks.acquire(Point::IoTransfer as u8, object::IO + slot, Mode::Free).await;
        let request = k.request(slot).expect("an I/O task runs only when it has a request");
        if request.fails {
            k.write_failed(request.page, k.cells_of(&request), true);
        } else {
            k.fs().transfer(k, request).await;
        }
        let request = Request { reply: k.server.attributes(), ..request };
        k.event(Event::Transferred { slot });
        k.touch(request.page);
        k.fs().complete(k, request).await;
        k.requests[usize::from(slot)].set(None);
        k.tasks.set_busy(object::IO + slot);
        served = served.wrapping_add(1);
    }
}

/// The I/O tasks that a case can need: one per page.
pub(crate) fn io_tasks(case: &Case) -> impl Iterator<Item = TaskId> {
    (0..usize::from(case.geometry.pages)).map(TaskId::io)
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
