//! I4: a frame is freed only when nothing maps it, it is unlocked, not under writeback and not in
//! the page tree; and nobody touches a freed frame.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::Event;
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct FreedInUse;

impl Check for FreedInUse {
    const ABOUT: About = About {
        id: "I4",
        title: "no frame is freed while it is in use",
        harm: "a page is freed while it is in use",
        source: "2.6.30 mm/page_alloc.c: free_pages_check [frame-freed]",
        plant: Plant::FreeWhileCached,
    };

    #[inline(always)]
    fn event<F: Filesystem>(cx: &mut Cx<'_, F>, event: Event) {
        match event {
            Event::FreedInUse { page, loose } => {
                let what = if loose.cached {
                    "freed while the page tree holds it"
                } else if loose.mapped {
                    "freed while mapped"
                } else if loose.locked {
                    "freed while locked"
                } else if loose.record {
                    "freed while its record is in use"
                } else {
                    "freed under writeback"
                };
                cx.page_breach(page, what);
            }
            Event::UsedFreed { page } => cx.page_breach(page, "used after it was freed"),
            _ => {}
        }
    }
}
