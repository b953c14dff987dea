//! I36: an error that lost data is reported by a sync that returns after it; no sync returns
//! success without what was stored before it while the error is there to be reported.
//!
//! Found by the history checker.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct Unreported;

impl Check for Unreported {
    const ABOUT: About = About {
        id: "I36",
        title: "lost data is reported",
        harm: "data is lost and nobody is told",
        source: "2.6.30 include/linux/pagemap.h: mapping_set_error; mm/filemap.c: wait_on_page_writeback_range \
                 [mapping-error]",
        plant: Plant::ErrorForgotten,
    };

    fn applies<F: Filesystem>(target: &Target<F>) -> bool {
        has_page_cache(target)
    }

    fn claims(flaw: Flaw) -> Option<&'static str> {
        (flaw == Flaw::Unreported).then_some("lost, and nobody was told")
    }
}
