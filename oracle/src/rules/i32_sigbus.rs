//! I32: a store or load wholly beyond the end of the file raises SIGBUS once truncate has returned;
//! inside the file it never does, but for a store when the device had no free block at some time
//! during the call. (A read never fails in the model.)
//!
//! Found by the history checker.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct Sigbus;

impl Check for Sigbus {
    const ABOUT: About = About {
        id: "I32",
        title: "SIGBUS exactly when due",
        harm: "a fault fails without reason, or succeeds behind the end",
        source: "SUSv4 mmap; 2.6.30 mm/filemap.c: filemap_fault [posix-mmap, fault-beyond-eof]",
        plant: Plant::SigbusOnRace,
    };

    fn applies<F: Filesystem>(target: &Target<F>) -> bool {
        has_page_cache(target)
    }

    fn claims(flaw: Flaw) -> Option<&'static str> {
        (flaw == Flaw::Sigbus).then_some("SIGBUS not due, or due and not raised")
    }
}
