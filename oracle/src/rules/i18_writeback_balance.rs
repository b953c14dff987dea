//! I18: every set_page_writeback is matched by exactly one end_page_writeback.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::{Event, Frame, Kernel};
use mkwrite_model::plant::Plant;

use super::prelude::*;

const STARTED: Part = Part {
    what: "started twice",
    title: "writeback of a page that is under writeback does not start",
    harm: "a page is written twice at once",
};

const ENDED: Part = Part {
    what: "ended twice",
    title: "writeback of a page ends once",
    harm: "a wait for writeback ends too early",
};

const NEVER: Part = Part {
    what: "under writeback with no I/O in flight",
    title: "writeback that starts ends",
    harm: "writeback of a page never ends",
};

/// See the file's head.
pub(crate) struct WritebackBalance;

impl Check for WritebackBalance {
    const ABOUT: About = About {
        id: "I18",
        title: "writeback that starts ends, once",
        harm: "writeback of a page never ends",
        source: "2.6.30 Documentation/filesystems/Locking: writepage [writepage-contract]",
        plant: Plant::EndWritebackTwice,
    };

    const PARTS: &'static [Part] = &[STARTED, ENDED, NEVER];

    #[inline(always)]
    fn event<F: Filesystem>(cx: &mut Cx<'_, F>, event: Event) {
        match event {
            Event::WritebackStarted { page, again: true, .. } => cx.page_breach(page, STARTED.what),
            Event::WritebackEnded { page, idle: true } => cx.page_breach(page, ENDED.what),
            _ => {}
        }
    }

    fn quiescent<F: Filesystem>(k: &Kernel<F>, page: Frame) -> Option<&'static str> {
        k.is_writeback(page).then_some(NEVER.what)
    }
}
