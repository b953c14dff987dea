//! A modelled BUG_ON of the kernel fires, and the run ends.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::Event;
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct KernelBug;

impl Check for KernelBug {
    const ABOUT: About = About {
        id: "kernel-bug",
        title: "no BUG_ON fires",
        harm: "the kernel stops at a BUG_ON",
        source: "each BUG_ON names its function; 2.6.29 fs/nfs/write.c: nfs_page_async_flush is one [nfs-bug-12913]",
        plant: Plant::CommitFlagKept,
    };

    #[inline(always)]
    fn event<F: Filesystem>(cx: &mut Cx<'_, F>, event: Event) {
        if let Event::Bug { what } = event {
            cx.breach(what);
        }
    }
}
