//! I13: while PG_writeback is set no pte maps the page writable and no byte of it changes (by
//! write(2), say), for implementations that declare stable pages.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::{Event, Frame, Kernel};
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct StablePages;

impl Check for StablePages {
    const ABOUT: About = About {
        id: "I13",
        title: "a page under writeback is not writable and does not change, where stable pages are declared",
        harm: "what is on its way to the disk changes",
        source: "3.10 mm/page-writeback.c: wait_for_stable_page [stable-pages]",
        plant: Plant::NoStableWait,
    };

    fn applies<F: Filesystem>(target: &Target<F>) -> bool {
        target.pair.implementation.declaration().stable_pages
    }

    #[inline(always)]
    fn event<F: Filesystem>(cx: &mut Cx<'_, F>, event: Event) {
        if let Event::ChangedUnderWriteback { page } = event {
            cx.page_breach(page, "a byte changed under writeback");
        }
    }

    fn page<F: Filesystem>(k: &Kernel<F>, page: Frame) -> Option<&'static str> {
        let broken = k.is_writeback(page) && k.lets_stores_through(page);
        broken.then_some("writable under writeback")
    }
}
