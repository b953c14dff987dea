//! I7: the mapcount of a file page rises only with the page locked by who maps it (2.6.23 and
//! later).

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::Event;
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct MapLocked;

impl Check for MapLocked {
    const ABOUT: About = About {
        id: "I7",
        title: "a page is mapped only while it is locked",
        harm: "a page that truncate has removed can be mapped",
        source: "2.6.24 mm/memory.c: __do_fault [map-under-lock]",
        plant: Plant::MapUnlocked,
    };

    #[inline(always)]
    fn event<F: Filesystem>(cx: &mut Cx<'_, F>, event: Event) {
        if let Event::PteSet { page, new: true, locked_by_us: false, .. } = event {
            cx.page_breach(page, "mapped without the page lock");
        }
    }
}
