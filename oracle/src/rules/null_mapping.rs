//! A NULL page->mapping is dereferenced: the kernel oopses and the run ends.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::Event;
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct NullMapping;

impl Check for NullMapping {
    const ABOUT: About = About {
        id: "null-mapping",
        title: "no NULL mapping is dereferenced",
        harm: "the kernel dereferences NULL",
        source: "2.6.30 mm/memory.c: do_wp_page, __do_fault; commit b827e496c893 [null-mapping]",
        plant: Plant::ThrottleNull,
    };

    #[inline(always)]
    fn event<F: Filesystem>(cx: &mut Cx<'_, F>, event: Event) {
        if let Event::NullMapping { what } = event {
            cx.breach(what);
        }
    }
}
