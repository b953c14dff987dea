//! A modelled BUG_ON of the kernel fires, and the run ends.

use mkwrite_model::implementation::Registry;
use mkwrite_model::kernel::Event;
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub struct KernelBug;

impl Check for KernelBug {
    const ABOUT: About = About {
        id: "kernel-bug",
        title: "no BUG_ON fires",
        source: "each BUG_ON names its function",
        plant: Plant::CommitFlagKept,
    };

    #[inline(always)]
    fn event<R: Registry>(cx: &mut Cx<'_, R>, event: Event) {
        if let Event::Bug { what } = event {
            cx.breach(what);
        }
    }
}
