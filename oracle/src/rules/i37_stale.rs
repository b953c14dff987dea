//! I37: a load or read that begins after a store completed sees it, or a later one, through every
//! mapping and read(2); and so does the page cache at quiescence.
//!
//! Found by the history checker.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct Stale;

impl Check for Stale {
    const ABOUT: About = About {
        id: "I37",
        title: "a completed store is seen by every later read",
        harm: "a read returns old content",
        source: "SUSv4 write, mmap [posix-write, posix-mmap]",
        plant: Plant::InvalidateDirty,
    };

    fn applies<F: Filesystem>(target: &Target<F>) -> bool {
        has_page_cache(target)
    }

    fn claims(flaw: Flaw) -> Option<&'static str> {
        (flaw == Flaw::Stale).then_some("an older value was seen")
    }
}
