//! I34: no lost dirty data, sync form. When fsync or msync returns 0, every byte that was stored
//! before it began is on the store, or a later value is.
//!
//! Found by the history checker.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct NotDurable;

impl Check for NotDurable {
    const ABOUT: About = About {
        id: "I34",
        title: "what was stored before fsync is durable after it",
        harm: "a store is lost in a crash after fsync",
        source: "SUSv4 fsync, msync [posix-fsync, write-cache-pages]",
        plant: Plant::FsyncSkipsWait,
    };

    fn applies<F: Filesystem>(target: &Target<F>) -> bool {
        has_page_cache(target)
    }

    fn claims(flaw: Flaw) -> Option<&'static str> {
        (flaw == Flaw::NotDurable).then_some("fsync returned 0, the store lacks it")
    }
}
