//! Progress: when reclaim or an invalidate returns, no page of its range is left that it could have
//! removed.
//!
//! That is a page which nobody else has touched since the call, and which was at the call and still
//! is: clean, not under writeback, not locked, with no private data that must stay, and with no
//! reference of anybody's. To be mapped is no excuse with reclaim and invalidate_inode_pages2,
//! which unmap it first; to be dirty is none with the latter where launder_page writes. Reclaim
//! leaves a page that it has written itself for the next time.
//!
//! Memory that is never freed harms nobody's data, so no other rule sees it.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::Event;
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct KeptIdle;

impl Check for KeptIdle {
    const ABOUT: About = About {
        id: "kept-idle",
        title: "reclaim and invalidate remove what nothing holds",
        harm: "a page cannot be reclaimed",
        source: "2.6.30 mm/vmscan.c: shrink_page_list, mm/truncate.c: invalidate_mapping_pages, \
                 invalidate_inode_pages2 [reclaim, invalidate]",
        plant: Plant::CountLeavesOut,
    };

    fn applies<F: Filesystem>(target: &Target<F>) -> bool {
        has_page_cache(target)
    }

    #[inline(always)]
    fn event<F: Filesystem>(cx: &mut Cx<'_, F>, event: Event) {
        if event == Event::Return {
            returned(cx);
        }
    }
}

#[inline(never)]
fn returned<F: Filesystem>(cx: &mut Cx<'_, F>) {
    let (k, task) = (cx.k, cx.k.tasks.current());
    for index in cx.passes.kept(k, task) {
        if let Some(page) = k.slot(index) {
            cx.page_breach(page, "nothing held this page, and it is still in the page cache");
        }
    }
}
