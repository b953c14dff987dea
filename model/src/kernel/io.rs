//! The I/O in flight. A request is submitted by writepage and completes later, in any order, by an
//! I/O task. The data of a request is read from the live page in one step that may come any time
//! before completion, so stores made during writeback may or may not be in it. A request that
//! carries a copy names the index of its page instead: it outlives the page, and what it carries is
//! in the filesystem's state of the inode.
//!
//! Left out: torn writes inside a page, read requests (a page is read in one step, with the page
//! locked). The inode on a block device is its size alone, written in one step.

use super::{Attributes, Event, Extent, Frame, InodeId, Kernel, NO_BLOCK, Stamp, object};
use crate::case::{BLOCKS_PER_PAGE_MAX, Case, Geometry, PAGES_MAX, Range, Site};
use crate::exec::{IO_MAX, Mode, TaskId};
use crate::implementation::Filesystem;
use crate::plant::Plant;
use crate::point::{Point, points};

points! {
    76  IoTransfer "io.transfer" "a request is in flight; its data reaches the device, or the server";
}

const _: () = assert!(PAGES_MAX <= IO_MAX, "there are as many I/O tasks as pages");

/// A write request in flight.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Request {
    /// The page under writeback.
    pub page: Frame,
    /// The file whose task has sent it.
    pub file: InodeId,
    /// The page's index, of a request that carries a copy: another page may be in the frame by now.
    pub copy_of: Option<u8>,
    /// Cells of the page that a network filesystem sends.
    pub cells: Range,
    /// Device blocks that a block filesystem writes, by block of the page.
    pub blocks: [u8; BLOCKS_PER_PAGE_MAX],
    /// Where the cells of the page end that are part of the file with it; 0 where the size on the
    /// device does not follow the data.
    pub end: u8,
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
            file: InodeId::FIRST,
            copy_of: None,
            cells: Range::new(0, 0),
            blocks,
            end: 0,
            stable: false,
            reply: Attributes { size: 0, changes: 0 },
            fails: false,
        }
    }
}

impl<F: Filesystem> Kernel<F> {
    pub(super) fn reset_store(&self, case: &Case) {
        self.device.reset(case.geometry.free);
        for slot in 0..IO_MAX as u8 {
            self.requests[usize::from(slot)].set(None);
            self.tasks.set_busy(object::IO + slot);
        }
        let mut used = 0;
        for file in self.files() {
            self.reset_file(case.geometry, file);
            used += self.inode(file).extents.blocks().count() as u8;
        }
        self.device.capacity.set(case.geometry.free.saturating_add(used));
    }

    /// What a file has on the device, and on the server.
    fn reset_file(&self, g: Geometry, file: InodeId) {
        let (extents, server) =
            (&self.inode(file).extents, &self.servers[usize::from(file.number())]);
        server.reset();
        for cell in (0..g.size).filter(|cell| !g.is_hole(cell / g.block_cells())) {
            let stamp = file.content(cell);
            server.write(cell, stamp, true);
            let file_block = cell / g.block_cells();
            let block = extents.block(file_block).unwrap_or_else(|| {
                let block = self.device.take();
                extents.set(file_block, Extent::Written(block));
                block
            });
            self.device.write(block, cell % g.block_cells(), stamp);
        }
        // Holes at the end are part of the server's file.
        server.size.set(g.size);
        server.stable_size.set(g.size);
    }

    /// submit_bio, or the RPC of a WRITE: the request completes later. Takes stable replies and
    /// failures from the case.
    pub fn submit(&self, request: Request) {
        // Both sites count requests.
        let (stable, fails) = (self.is_hit(Site::Stable), self.is_hit(Site::Eio));
        // Not that of the page: another one may be in the frame of a copy by now.
        let (file, index) = (self.file_id(), self.index_of(&request));
        let stable = request.stable || stable;
        let request = Request { file, stable, fails, ..request };
        let slot = std::iter::once(usize::from(file.number() * self.geometry().pages + index))
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

    /// The index of the page that a request writes.
    pub fn index_of(&self, request: &Request) -> u8 {
        request.copy_of.unwrap_or_else(|| self.index(request.page))
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
        self.file().disk_size.get()
    }

    /// Writes this size to the inode on the block device, where the filesystem keeps it apart from
    /// i_size.
    pub fn set_disk_size(&self, size: u8) {
        self.file().disk_size.set(size);
    }

    /// Writes the inode to the block device (ext2_write_inode).
    pub fn write_inode(&self) {
        self.set_disk_size(self.i_size());
    }

    /// Sends the cells of a request to the server from the live page: those it was made with,
    /// wherever i_size is now.
    pub fn transfer_cells(&self, request: Request) {
        let first = self.first_cell(request.page);
        for cell in request.cells.iter() {
            self.server().write(first + cell, self.cell(request.page, cell), request.stable);
        }
    }
}

/// The task that serves one I/O slot: waits for a request, transfers its data, completes it.
pub(crate) async fn io_task<F: Filesystem>(k: &Kernel<F>, slot: u8) {
    let mut served = 0u8;
    loop {
        k.tasks.begin_slot(served);
        k.tasks.acquire(Point::IoTransfer.number(), object::IO + slot, Mode::Free).await;
        let request = k.request(slot).expect("an I/O task runs only when it has a request");
        k.work_on(request.file);
        if request.fails {
            k.write_failed_at(k.index_of(&request), k.cells_of(&request), true);
        } else {
            k.fs().transfer(k, request).await;
        }
        let request = Request { reply: k.server().attributes(), ..request };
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
    let files = InodeId::all(case.geometry).count();
    (0..files * usize::from(case.geometry.pages)).map(TaskId::io)
}
