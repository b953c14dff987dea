//! I27: a page whose mapping is NULL gets no new pte, and none that it has becomes writable.
//!
//! On the WP path pte_same sees to it; on the MISS path only a mapping check under the page lock
//! does: that of ->fault, and after page_mkwrite another.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::Event;
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct MapOrphan;

impl Check for MapOrphan {
    const ABOUT: About = About {
        id: "I27",
        title: "no new pte for a page without mapping",
        harm: "a page that is out of the file is mapped",
        source: "2.6.30 mm/memory.c: __do_fault; Documentation/filesystems/Locking: page_mkwrite [mapping-check]",
        plant: Plant::NoMappingCheck,
    };

    fn applies<F: Filesystem>(target: &Target<F>) -> bool {
        has_page_cache(target)
    }

    #[inline(always)]
    fn event<F: Filesystem>(cx: &mut Cx<'_, F>, event: Event) {
        if let Event::PteSet { page, write, mapping: false, .. } = event {
            let what = if write { "made writable after it left the mapping" } else { "mapped after it left the mapping" };
            cx.page_breach(page, what);
        }
    }
}
