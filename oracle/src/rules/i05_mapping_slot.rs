//! I5: page->mapping is set if and only if the page tree holds this page at its index.
//!
//! Both change in one section under the tree lock, so there is no window.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::page::CACHED;
use mkwrite_model::kernel::{Frame, Kernel};
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct MappingSlot;

impl Check for MappingSlot {
    const ABOUT: About = About {
        id: "I5",
        title: "page->mapping and the page tree agree",
        harm: "the page cache and its pages disagree",
        source: "2.6.30 mm/filemap.c: add_to_page_cache_locked, __remove_from_page_cache [mapping-and-tree]",
        plant: Plant::MappingLeftBehind,
    };

    fn page<F: Filesystem>(k: &Kernel<F>, page: Frame) -> Option<&'static str> {
        let held = k.has(page, CACHED) && k.slot(k.index(page)) == Some(page);
        (k.in_mapping(page) != held).then_some("page->mapping and the tree differ")
    }
}
