//! I6: PG_writeback is set only with the page locked, and while it is set the page stays in the
//! page cache.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::Event;
use mkwrite_model::plant::Plant;

use super::prelude::*;

const STARTED: Part = Part {
    what: "set_page_writeback without the page lock",
    title: "writeback starts under the page lock",
    harm: "writeback starts on a page that nothing holds",
};

const REMOVED: Part = Part {
    what: "removed under writeback",
    title: "a page under writeback stays in the page cache",
    harm: "a page leaves the page cache while it is being written",
};

/// See the file's head.
pub(crate) struct WritebackLocked;

impl Check for WritebackLocked {
    const ABOUT: About = About {
        id: "I6",
        title: "writeback starts under the page lock and pins the page in the cache",
        harm: "writeback starts on a page that nothing holds",
        source: "2.6.30 Documentation/filesystems/Locking: writepage; mm/truncate.c: truncate_inode_pages_range \
                 [writeback-pins-page]",
        plant: Plant::WritebackUnlocked,
    };

    const PARTS: &'static [Part] = &[STARTED, REMOVED];

    #[inline(always)]
    fn event<F: Filesystem>(cx: &mut Cx<'_, F>, event: Event) {
        match event {
            Event::WritebackStarted { page, locked_by_us: false, .. } => {
                cx.page_breach(page, STARTED.what);
            }
            Event::Removed { page, writeback: true, .. } => cx.page_breach(page, REMOVED.what),
            _ => {}
        }
    }
}
