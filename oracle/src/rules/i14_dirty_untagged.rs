//! I14: at quiescence a PG_dirty page of the file has the tag DIRTY, or no writeback will find it;
//! and its inode is dirty, or the flusher will not look.
//!
//! While set_page_dirty is under way the flag comes first; that window is legal.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::{Frame, Kernel};
use mkwrite_model::plant::Plant;

use super::prelude::*;

const UNTAGGED: Part = Part {
    what: "PG_dirty without the tag DIRTY",
    title: "a dirty page is tagged DIRTY",
    harm: "a dirty page is not found by writeback",
};

const CLEAN_INODE: Part = Part {
    what: "a dirty page of a clean inode",
    title: "the inode of a dirty page is dirty",
    harm: "the flusher passes over a file with a dirty page",
};

/// See the file's head.
pub(crate) struct DirtyUntagged;

impl Check for DirtyUntagged {
    const ABOUT: About = About {
        id: "I14",
        title: "a dirty page is tagged DIRTY, and its inode dirty",
        harm: "a dirty page is not found by writeback",
        source: "2.6.30 Documentation/filesystems/Locking: writepage; mm/page-writeback.c: __set_page_dirty_nobuffers \
                 [tags, flusher]",
        plant: Plant::NoDirtyTag,
    };

    const PARTS: &'static [Part] = &[UNTAGGED, CLEAN_INODE];

    fn applies<F: Filesystem>(target: &Target<F>) -> bool {
        tracks_dirty(target)
    }

    fn quiescent<F: Filesystem>(k: &Kernel<F>, page: Frame) -> Option<&'static str> {
        if !k.in_mapping(page) || !k.is_dirty(page) {
            None
        } else if !k.is_tagged_dirty(k.index(page)) {
            Some(UNTAGGED.what)
        } else {
            (!k.is_inode_dirty()).then_some(CLEAN_INODE.what)
        }
    }
}
