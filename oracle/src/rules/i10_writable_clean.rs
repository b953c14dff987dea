//! I10: an unlocked page of a tracked mapping that some pte maps writable, or did when a TLB entry was
//! made that has not been flushed yet, is PG_dirty.
//!
//! Windows: before the patch, and where there is no page_mkwrite, the fault installs its pte first
//! and calls set_page_dirty later without the page lock; until then that fault is excused.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::{Frame, Kernel};
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct WritableClean;

impl Check for WritableClean {
    const ABOUT: About = About {
        id: "I10",
        title: "a writable pte means a dirty page",
        harm: "a store will not be noticed",
        source: "commit b827e496c893; 2.6.30 mm/page-writeback.c: clear_page_dirty_for_io [clear-dirty-order, \
                 locked-return, write-notify]",
        plant: Plant::SkipMkclean,
    };

    fn applies<F: Filesystem>(target: &Target<F>) -> bool {
        target.pair.implementation.declaration().tracks_dirty()
    }

    fn page<F: Filesystem>(k: &Kernel<F>, page: Frame) -> Option<&'static str> {
        let broken = !k.is_dirty(page) && k.lets_stores_through(page);
        broken.then_some("a pte is writable, the page is clean and unlocked")
    }

    fn deferred<F: Filesystem>(k: &Kernel<F>, page: Frame) -> bool {
        k.is_locked(page)
    }

    fn excused(marks: &Marks, page: Frame) -> bool {
        marks.will_dirty(page)
    }
}
