//! A NULL page->mapping is dereferenced: the kernel oopses and the run ends.

use mkwrite_model::implementation::Registry;
use mkwrite_model::kernel::Event;
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub struct NullMapping;

impl Check for NullMapping {
    const ABOUT: About = About {
        id: "null-mapping",
        title: "no NULL mapping is dereferenced",
        source: "dossier 1.7 rows 1 and 2; seed 001",
        plant: Plant::ThrottleNull,
    };

    #[inline(always)]
    fn event<R: Registry>(cx: &mut Cx<'_, R>, event: Event) {
        if let Event::NullMapping { what } = event {
            cx.breach(what);
        }
    }
}
