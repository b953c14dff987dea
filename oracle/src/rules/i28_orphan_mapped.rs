//! I28: when truncate has returned, when invalidate_inode_pages2 has returned, and at quiescence, no pte maps a
//! page that has left the mapping.

use mkwrite_model::case::Operation;
use mkwrite_model::implementation::Registry;
use mkwrite_model::kernel::{Event, Frame, Kernel};
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub struct OrphanMapped;

impl Check for OrphanMapped {
    const ABOUT: About = About {
        id: "I28",
        title: "no pte maps a page without mapping",
        source: "dossier 5.4 (truncate unmaps twice; BUG_ON(page_mapped))",
        plant: Plant::SkipUnmap,
    };

    fn applies<R: Registry>(target: &Target<R>) -> bool {
        has_page_cache(target)
    }

    fn event<R: Registry>(cx: &mut Cx<'_, R>, event: Event) {
        let invalidated = || matches!(cx.k.task().operation(), Operation::Invalidate2(_));
        if matches!(event, Event::Truncated { .. }) || event == Event::Return && invalidated() {
            let orphan = cx.k.frames_in_use().find(|page| is_mapped_orphan(cx.k, *page));
            if let Some(page) = orphan {
                cx.page_breach(page, "still mapped after it was removed");
            }
        }
    }

    fn quiescent<R: Registry>(k: &Kernel<R>, page: Frame) -> Option<&'static str> {
        is_mapped_orphan(k, page).then_some("mapped, and not in the mapping")
    }
}

fn is_mapped_orphan<R: Registry>(k: &Kernel<R>, page: Frame) -> bool {
    !k.in_mapping(page) && k.ptes_of(page).next().is_some()
}
