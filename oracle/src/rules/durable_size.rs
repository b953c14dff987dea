//! The size on the store. When fsync or msync returns 0, the file on the store has a size that the
//! calls explain: an extension is durable, and a truncate is not undone there.
//!
//! Found by the history checker. A size between the least and the greatest that was possible during
//! the sync will do, since a write under way may be on the store up to any page of it. On a block
//! device it is the size in the inode, which fsync and the flusher write in one step. Left out:
//! inodes that the filesystem writes by itself (a journal's commit), the flusher's clearing of the
//! inode's dirty state before it writes it, fdatasync.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct DurableSize;

impl Check for DurableSize {
    const ABOUT: About = About {
        id: "durable-size",
        title: "after fsync the size on the store is what the calls made it",
        harm: "the file's size is lost in a crash after fsync",
        source: "SUSv4 fsync; 2.6.30 fs/ext2/fsync.c: ext2_sync_file [posix-fsync, fsync-order]",
        plant: Plant::FsyncNoInode,
    };

    fn applies<F: Filesystem>(target: &Target<F>) -> bool {
        has_page_cache(target)
    }

    fn claims(flaw: Flaw) -> Option<&'static str> {
        (flaw == Flaw::DurableSize).then_some("fsync returned 0, and the file on the store has another size")
    }
}
