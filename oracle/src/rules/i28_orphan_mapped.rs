//! I28: no pte maps a page that leaves the mapping.
//!
//! It is the step that removes the page which breaks the rule, whoever meets the orphan later. A
//! pte that is made for a page that has left already is I27's.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::Event;
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct OrphanMapped;

impl Check for OrphanMapped {
    const ABOUT: About = About {
        id: "I28",
        title: "no page is removed while it is mapped",
        harm: "a removed page stays mapped",
        source: "2.6.30 mm/filemap.c: __remove_from_page_cache (BUG_ON); mm/memory.c: vmtruncate \
                 [unmap-before-removal, truncate-order]",
        plant: Plant::SkipUnmap,
    };

    fn applies<F: Filesystem>(target: &Target<F>) -> bool {
        has_page_cache(target)
    }

    #[inline(always)]
    fn event<F: Filesystem>(cx: &mut Cx<'_, F>, event: Event) {
        if let Event::Removed { page, mapped: true, .. } = event {
            cx.page_breach(page, "removed while a pte maps it");
        }
    }
}
