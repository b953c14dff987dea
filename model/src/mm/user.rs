//! The user's CPU: stores and loads through a mapping (`[pte-dirty-bit]`).
//!
//! A store goes through a present, writable pte in one step: it changes the page and sets the pte's
//! dirty bit, takes no lock and tells nobody. Otherwise it faults, and the instruction is executed
//! again. A TLB entry that has outlived its pte is used instead of it (`kernel/tlb.rs`).

use super::by_page;
use super::fault::handle_mm_fault;
use crate::case::Range;
use crate::implementation::{ERROR, Filesystem, OOM, SIGSEGV};
use crate::kernel::{Event, Kernel, Mm, Stamp, Status};
use crate::point::{Point, points};

points! {
    1   UserStore "user.store" "the CPU executes the store: through the pte, or it faults";
    2   UserLoad  "user.load"  "the CPU executes the load: through the pte, or it faults";
    310 WriteFaultIn "write.fault_in" "write(2): touch a page of the buffer, which the file's own mapping holds: through the pte, or it faults";
}

/// What is done through the mapping.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Access {
    /// A store.
    Store,
    /// A load.
    Load,
    /// A system call touches its buffer (fault_in_pages_readable, later fault_in_readable), and
    /// leaves what it loads.
    FaultIn,
}

impl Access {
    fn point(self) -> Point {
        match self {
            Access::Store => Point::UserStore,
            Access::Load => Point::UserLoad,
            Access::FaultIn => Point::WriteFaultIn,
        }
    }
}

/// Stores to, or loads from, a range of cells: one instruction per page.
pub(crate) fn access<F: Filesystem>(
    k: &Kernel<F>,
    slot: u8,
    mm: Mm,
    cells: Range,
    access: Access,
) -> impl Future<Output = Status> {
    let write = access == Access::Store;
    // A block, because an async function keeps its arguments twice.
    async move {
        for (index, cells) in by_page(k, cells) {
            loop {
                k.at_slot(access.point(), index).await;
                let (pte, is_stale) = k.translation(mm, index);
                if let Some(page) = pte.page()
                    && (pte.is_writable() || !write)
                {
                    let first = index * k.geometry().cells;
                    for cell in cells.iter().filter(|_| access != Access::FaultIn) {
                        let stamp = Stamp::new(k.tasks.current(), slot, first + cell);
                        if write {
                            k.set_cell(page, cell, stamp);
                        }
                        k.task().outcome.push(k.cell(page, cell));
                    }
                    if write && k.is_free(page) {
                        k.event(Event::UsedFreed { page });
                    }
                    if write {
                        if !is_stale {
                            k.hardware_dirty(mm, index);
                        }
                        k.event(Event::Stored {
                            cells: Range::new(first + cells.start, first + cells.end),
                        });
                    }
                    break;
                }
                let code = handle_mm_fault(k, mm, index, write).await;
                if code.has(ERROR) {
                    return match code {
                        c if c.has(OOM) => Status::NoMemory,
                        c if c.has(SIGSEGV) => Status::Segv,
                        _ => Status::Sigbus,
                    };
                }
                k.tasks.yield_now();
            }
        }
        Status::Ok
    }
}
