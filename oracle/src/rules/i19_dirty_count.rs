//! I19: at quiescence the mapping's counter of dirty pages is the number of its PG_dirty pages.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::Kernel;
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct DirtyCount;

impl Check for DirtyCount {
    const ABOUT: About = About {
        id: "I19",
        title: "the dirty page counter adds up",
        harm: "the dirty page counter drifts",
        source: "2.6.30 mm/page-writeback.c: account_page_dirtied; mm/truncate.c: cancel_dirty_page [dirty-count]",
        plant: Plant::CancelUncounted,
    };

    fn applies<F: Filesystem>(target: &Target<F>) -> bool {
        tracks_dirty(target)
    }

    fn quiescent_all<F: Filesystem>(k: &Kernel<F>, _: &Marks) -> Option<&'static str> {
        let dirty = k.cached_pages().filter(|page| k.is_dirty(*page)).count();
        (i64::from(k.nr_dirty()) != dirty as i64).then_some("the counter is off")
    }
}
