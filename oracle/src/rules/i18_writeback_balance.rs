//! I18: every set_page_writeback is matched by exactly one end_page_writeback.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::{Event, Frame, Kernel};
use mkwrite_model::plant::Plant;

use super::prelude::*;

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

    #[inline(always)]
    fn event<F: Filesystem>(cx: &mut Cx<'_, F>, event: Event) {
        match event {
            Event::WritebackStarted { page, again: true, .. } => cx.page_breach(page, "started twice"),
            Event::WritebackEnded { page, idle: true } => cx.page_breach(page, "ended twice"),
            _ => {}
        }
    }

    fn quiescent<F: Filesystem>(k: &Kernel<F>, page: Frame) -> Option<&'static str> {
        k.is_writeback(page).then_some("under writeback with no I/O in flight")
    }
}
