//! Accounting: at quiescence each block of the device is free or has one place in the file, and the
//! count of free blocks is right.
//!
//! A block that truncate drops from the map and does not free is lost until somebody runs fsck; one
//! that it frees and leaves in the map will belong to two files.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::Kernel;
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct BlockOwners;

impl Check for BlockOwners {
    const ABOUT: About = About {
        id: "block-owners",
        title: "each block is free, or has one place in the file",
        harm: "a block belongs to two places, or to none",
        source: "2.6.30 fs/ext2/balloc.c: ext2_free_blocks (freeing blocks not in use), fs/ext2/inode.c: \
                 ext2_truncate; e2fsck, passes 1 and 5 [ext2-blocks]",
        plant: Plant::LeakBlocks,
    };

    fn applies<F: Filesystem>(target: &Target<F>) -> bool {
        has_page_cache(target)
    }

    fn quiescent_all<F: Filesystem>(k: &Kernel<F>, _: &Marks) -> Option<&'static str> {
        k.audit_blocks()
    }
}
