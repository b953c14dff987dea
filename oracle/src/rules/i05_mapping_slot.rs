//! I5: page->mapping is set if and only if the page tree holds this page at its index.
//!
//! Both change in one section under the tree lock, so there is no window.

use mkwrite_model::implementation::Registry;
use mkwrite_model::kernel::page::CACHED;
use mkwrite_model::kernel::{Frame, Kernel};
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub struct MappingSlot;

impl Check for MappingSlot {
    const ABOUT: About = About {
        id: "I5",
        title: "page->mapping and the page tree agree",
        source: "dossier 5.1",
        plant: Plant::MappingLeftBehind,
    };

    fn page<R: Registry>(k: &Kernel<R>, page: Frame) -> Option<&'static str> {
        let held = k.has(page, CACHED) && k.slot(k.index(page)) == Some(page);
        (k.in_mapping(page) != held).then_some("page->mapping and the tree differ")
    }
}
