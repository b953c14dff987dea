//! A call fails only with an error that is due, and succeeds only where none is: SIGSEGV where the
//! address space may have had no mapping during the call, ENOSPC where the device had no free
//! block, EIO from a sync once for each failed write, and so on; the table is in `history/errors.rs`.
//! SIGBUS is I32's.
//!
//! Found by the history checker.

use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct Errno;

impl Check for Errno {
    const ABOUT: About = About {
        id: "errno",
        title: "a call fails exactly when an error is due, and with that one",
        harm: "a call fails without reason, or hides an error",
        source: "SUSv4 mmap, msync, fsync, write; 2.6.30 mm/memory.c: handle_mm_fault, mm/filemap.c: \
                 wait_on_page_writeback_range [fault-errors, posix-write, mapping-error]",
        plant: Plant::DirtyRefused,
    };

    fn claims(flaw: Flaw) -> Option<&'static str> {
        (flaw == Flaw::NotDue).then_some("an error that is not due, or success where one was due")
    }
}
