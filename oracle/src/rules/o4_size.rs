//! O4: the size changes only by calls that change it. Reads end exactly at the end of the file, and
//! the final size is one that the calls explain.
//!
//! Found by the history checker.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct Size;

impl Check for Size {
    const ABOUT: About = About {
        id: "O4",
        title: "the size is what the calls made it",
        harm: "the file has a wrong size",
        source: "SUSv4 ftruncate, write [posix-truncate]",
        plant: Plant::ShortExtend,
    };

    fn applies<F: Filesystem>(target: &Target<F>) -> bool {
        has_page_cache(target)
    }

    fn claims(flaw: Flaw) -> Option<&'static str> {
        (flaw == Flaw::Size).then_some("the size is not one that the calls explain")
    }
}
