//! I35: no lost dirty data, eventual form. After all mappings are gone and one full sync reported
//! no error, the store holds the last value of every byte below i_size.
//!
//! Found by the history checker.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct Lost;

impl Check for Lost {
    const ABOUT: About = About {
        id: "I35",
        title: "after unmap and sync the store holds the last values",
        harm: "a store is lost",
        source: "SUSv4 fsync; 2.6.30 mm/memory.c: zap_pte_range [posix-fsync, pte-dirty-bit]",
        plant: Plant::ShortTransfer,
    };

    fn applies<F: Filesystem>(target: &Target<F>) -> bool {
        has_page_cache(target)
    }

    fn claims(flaw: Flaw) -> Option<&'static str> {
        (flaw == Flaw::Lost).then_some("the store lacks the last value")
    }
}
