//! I15: the tag DIRTY of an unlocked page means PG_dirty.
//!
//! The two may differ only while the page is locked. Exceptions: a page wholly beyond i_size that
//! writepage skipped, and a page whose dirtiness was cancelled (by truncate, or because all its
//! blocks were gone): the tag stays until the page is removed or written the next time.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::page::CANCELLED;
use mkwrite_model::kernel::{Frame, Kernel};
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct StaleDirtyTag;

impl Check for StaleDirtyTag {
    const ABOUT: About = About {
        id: "I15",
        title: "the tag DIRTY means a dirty page",
        harm: "writeback looks for a page that has nothing to write",
        source: "2.6.30 Documentation/filesystems/Locking: writepage; mm/page-writeback.c: test_set_page_writeback \
                 [tags]",
        plant: Plant::StaleTag,
    };

    fn applies<F: Filesystem>(target: &Target<F>) -> bool {
        tracks_dirty(target)
    }

    fn page<F: Filesystem>(k: &Kernel<F>, page: Frame) -> Option<&'static str> {
        let broken = k.in_mapping(page)
            && !k.is_dirty(page)
            && !k.has(page, CANCELLED)
            && k.is_tagged_dirty(k.index(page))
            && k.length_below_eof(page) != 0;
        broken.then_some("tagged DIRTY, clean and unlocked")
    }

    fn deferred<F: Filesystem>(k: &Kernel<F>, page: Frame) -> bool {
        k.is_locked(page)
    }
}
