//! I12: from the return of page_mkclean until the page is unlocked no pte maps it writable or
//! dirty, and no CPU goes by one that did.
//!
//! Where faults keep the page locked until it is dirty they need the page lock to make a pte
//! writable. Before the patch the WP path does not take it, and without page_mkwrite it never does:
//! there the rule does not hold.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::page::MKCLEANED;
use mkwrite_model::kernel::{Frame, Kernel};
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct MkcleanComplete;

impl Check for MkcleanComplete {
    const ABOUT: About = About {
        id: "I12",
        title: "no writable pte between page_mkclean and unlock_page",
        harm: "a store during writeback is not noticed",
        source: "2.6.30 mm/page-writeback.c: clear_page_dirty_for_io; mm/rmap.c: page_mkclean [mkclean, \
                 clear-dirty-order]",
        plant: Plant::MkcleanOneMm,
    };

    fn applies<F: Filesystem>(target: &Target<F>) -> bool {
        let late = target.dirties_late();
        tracks_dirty(target) && !late.wp && !late.miss
    }

    fn page<F: Filesystem>(k: &Kernel<F>, page: Frame) -> Option<&'static str> {
        let dirty = || k.ptes_of(page).any(|pte| pte.is_dirty());
        let broken = k.has(page, MKCLEANED) && (k.lets_stores_through(page) || dirty());
        broken.then_some("a pte is writable or dirty after page_mkclean")
    }
}
