//! A page that a device writes to: get_user_pages for writing, DMA, set_page_dirty_lock, put_page.
//! 2.6.30 mm/memory.c: __get_user_pages; mm/page-writeback.c: set_page_dirty_lock
//! (`[pinned-pages]`).
//!
//! The page is faulted in for writing, so page_mkwrite hears of it, and pinned by a reference. The
//! device writes to it later, by its address in memory: no pte is asked. Writeback may have cleaned
//! the page by then, and whoever pinned it makes it dirty again without page_mkwrite. A page that
//! was truncated or invalidated meanwhile takes the data with it: whoever pins keeps out of the way
//! of that himself. So does direct I/O that reads into a mapping; drivers of RDMA and video do the
//! same over a longer time.
//!
//! Here page after page, where get_user_pages pins all of them first, and takes mmap_lock once.
//! What the device does under writeback is not held against the kernel, which cannot keep it from
//! that: stable pages are not judged there. Left out: pins for long (refused for files since 6.5),
//! pins by a process that forks, hardware that faults.

use super::by_page;
use super::fault::handle_mm_fault;
use super::user::{Access, access};
use crate::case::Range;
use crate::implementation::{ERROR, Filesystem, OOM};
use crate::kernel::{Event, Frame, Kernel, Mm, Stamp, Status};
use crate::plant::Plant;
use crate::point::{Point as P, points};
use crate::remedy::Remedy;

points! {
    330 PinFollow "pin.follow_page"    "get_user_pages: take the pte lock; pin the page if the pte is writable, else fault";
    331 PinDevice "pin.device"         "the device is at work; the eighth time it writes to the pinned page";
    332 PinLock   "pin.lock_page"      "set_page_dirty_lock: lock the page";
    333 PinDirty  "pin.set_page_dirty" "set_page_dirty_lock: set_page_dirty";
    334 PinPut    "pin.put_page"       "unlock_page, drop the pin";
}

/// How long a device takes: what comes in between is rarely as short as one step.
const DEVICE_STEPS: usize = 8;

/// The device writes to a range of cells of the mapping: one page at a time.
pub(crate) async fn pin<F: Filesystem>(k: &Kernel<F>, slot: u8, mm: Mm, cells: Range) -> Status {
    if k.remedied(Remedy::PinBounced) {
        return status_of(access(k, slot, mm, cells, Access::Store).await);
    }
    for (index, cells) in by_page(k, cells) {
        let page = match get_user_page(k, mm, index).await {
            Ok(page) => page,
            Err(status) => return status,
        };
        let early = k.reaches_plant(Plant::PinDirtiedEarly);
        if early {
            set_page_dirty_lock(k, page).await;
        }
        for _ in 0..DEVICE_STEPS {
            k.at_page(P::PinDevice, page).await;
        }
        device_writes(k, slot, page, cells);
        if !early {
            set_page_dirty_lock(k, page).await;
        }
        k.at_page(P::PinPut, page).await;
        k.unpin_page(page);
    }
    Status::Ok
}

/// A system call that cannot use its buffer says so, where a store gets a signal.
fn status_of(status: Status) -> Status {
    match status {
        Status::Sigbus | Status::Segv => Status::Fault,
        other => other,
    }
}

/// get_user_pages of one page, for writing: faults until the pte is writable.
async fn get_user_page<F: Filesystem>(k: &Kernel<F>, mm: Mm, index: u8) -> Result<Frame, Status> {
    loop {
        k.pte_lock(mm, P::PinFollow).await;
        let pte = k.pte(mm, index);
        let page = pte.page().filter(|_| pte.is_writable());
        if let Some(page) = page {
            k.pin_page(page);
        }
        k.pte_unlock(mm);
        if let Some(page) = page {
            return Ok(page);
        }
        let code = handle_mm_fault(k, mm, index, true).await;
        if code.has(ERROR) {
            return Err(if code.has(OOM) { Status::NoMemory } else { Status::Fault });
        }
        k.tasks.yield_now();
    }
}

/// What is transferred to these cells of the page, counted from its start.
fn device_writes<F: Filesystem>(k: &Kernel<F>, slot: u8, page: Frame, cells: Range) {
    let first = k.first_cell(page);
    for cell in cells.iter() {
        let stamp = Stamp::new(k.tasks.current(), slot, first + cell);
        k.fill_cell(page, cell, stamp);
        k.task().outcome.push(stamp);
    }
    k.event(Event::Stored { cells: Range::new(first + cells.start, first + cells.end) });
}

async fn set_page_dirty_lock<F: Filesystem>(k: &Kernel<F>, page: Frame) {
    k.lock_page(page, P::PinLock).await;
    k.at_page(P::PinDirty, page).await;
    k.set_page_dirty(page).await;
    k.unlock_page(page);
}
