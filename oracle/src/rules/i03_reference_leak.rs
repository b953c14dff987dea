//! I3: refcount == [in the page cache] + mapcount + [private data] + references that tasks hold on
//! their way.
//!
//! Reclaim compares exact counts. A task that returns from an operation holds none. When nothing
//! runs, mapcount is the number of ptes (a zap under way may differ), and no page lives by its
//! private data alone: nobody would ever free it.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::page::{CACHED, PRIVATE};
use mkwrite_model::kernel::{Event, Frame, Kernel};
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct ReferenceLeak;

impl Check for ReferenceLeak {
    const ABOUT: About = About {
        id: "I3",
        title: "the reference count adds up",
        harm: "a page leaks, or is freed too early",
        source: "2.6.30 mm/vmscan.c: __remove_mapping; mm/truncate.c: invalidate_complete_page [page-references]",
        plant: Plant::LeakReference,
    };

    #[inline(always)]
    fn event<F: Filesystem>(cx: &mut Cx<'_, F>, event: Event) {
        match event {
            Event::PutUnheld { page } => cx.page_breach(page, "a reference was dropped that nobody held"),
            Event::Return if cx.k.task().references() != 0 => cx.breach("the operation returned with a reference held"),
            _ => {}
        }
    }

    fn page<F: Filesystem>(k: &Kernel<F>, page: Frame) -> Option<&'static str> {
        let expected = i32::from(k.has(page, CACHED)) + i32::from(k.has(page, PRIVATE))
            + i32::from(k.mapcount(page)) + i32::from(k.transient(page));
        (i32::from(k.refcount(page)) != expected).then_some("the count does not add up")
    }

    fn quiescent<F: Filesystem>(k: &Kernel<F>, page: Frame) -> Option<&'static str> {
        if usize::from(k.mapcount(page)) != k.ptes_of(page).count() {
            return Some("mapcount is not the number of ptes");
        }
        let orphan = !k.has(page, CACHED) && !k.is_mapped(page) && k.transient(page) == 0;
        (orphan && k.fs().declaration().page_cache).then_some("a page outside of the page cache that nobody will free")
    }
}
