//! I31: bytes that an extension exposes, holes and never-written ranges read as zero, in the page
//! cache and on the store.
//!
//! A byte stored through a mapping beyond i_size is legal and must never become content; old device
//! content must not show.
//!
//! Found by the history checker.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct Exposed;

impl Check for Exposed {
    const ABOUT: About = About {
        id: "I31",
        title: "what an extension exposes reads as zero",
        harm: "old or foreign content shows where the file has grown",
        source: "SUSv4 ftruncate, mmap; 6.18 mm/truncate.c: pagecache_isize_extended [posix-truncate, \
                 content-past-eof, partial-page]",
        plant: Plant::NoPartialZero,
    };

    fn applies<F: Filesystem>(target: &Target<F>) -> bool {
        has_page_cache(target)
    }

    fn claims(flaw: Flaw) -> Option<&'static str> {
        (flaw == Flaw::Exposed).then_some("zero was due")
    }
}
