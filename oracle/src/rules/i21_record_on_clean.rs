//! I21: at quiescence no record claims that a page is dirty which is neither PG_dirty nor under
//! writeback.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::{Frame, Kernel};
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct RecordOnClean;

impl Check for RecordOnClean {
    const ABOUT: About = About {
        id: "I21",
        title: "no record claims dirtiness on a clean page",
        harm: "a clean page is written again, or kept for ever",
        source: "commit b827e496c893 (2.6.30) [dirty-needs-record]",
        plant: Plant::RecordKept,
    };

    fn applies<F: Filesystem>(target: &Target<F>) -> bool {
        has_page_cache(target)
    }

    fn quiescent<F: Filesystem>(k: &Kernel<F>, page: Frame) -> Option<&'static str> {
        let broken = k.in_mapping(page)
            && !k.is_dirty(page)
            && !k.is_writeback(page)
            && k.fs().record(k, page).claims_dirty;
        broken.then_some("a dirty record on a clean page")
    }
}
