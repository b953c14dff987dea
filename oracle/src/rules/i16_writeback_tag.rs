//! I16: a page of the file has the tag WRITEBACK if and only if PG_writeback is set.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::{Frame, Kernel};
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct WritebackTag;

impl Check for WritebackTag {
    const ABOUT: About = About {
        id: "I16",
        title: "the tag WRITEBACK and PG_writeback agree",
        harm: "a wait for writeback misses a page",
        source: "2.6.30 mm/page-writeback.c: test_set_page_writeback, test_clear_page_writeback [tags]",
        plant: Plant::WritebackTagStays,
    };

    fn applies<F: Filesystem>(target: &Target<F>) -> bool {
        tracks_dirty(target)
    }

    fn page<F: Filesystem>(k: &Kernel<F>, page: Frame) -> Option<&'static str> {
        let broken = k.in_mapping(page) && k.is_writeback(page) != k.is_tagged_writeback(k.index(page));
        broken.then_some("PG_writeback and its tag differ")
    }
}
