//! I6: PG_writeback is set only with the page locked, and while it is set the page stays in the
//! page cache.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::Event;
use mkwrite_model::plant::Plant;

use super::prelude::*;

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

    #[inline(always)]
    fn event<F: Filesystem>(cx: &mut Cx<'_, F>, event: Event) {
        match event {
            Event::WritebackStarted { page, locked_by_us: false, .. } => {
                cx.page_breach(page, "set_page_writeback without the page lock");
            }
            Event::Removed { page, writeback: true, .. } => cx.page_breach(page, "removed under writeback"),
            _ => {}
        }
    }
}
