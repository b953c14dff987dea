//! Of jbd2 as much as orders things (6.12 fs/jbd2/commit.c: jbd2_journal_commit_transaction
//! `[ext4-commit]`): the size in the inode, which is not i_size until the blocks up to it are mapped,
//! and when it gets to the device.
//!
//! A commit takes what was done in handles that have ended, so it waits for those that are open; then
//! it writes data that has to be there first (a part of a block that was zeroed), and may not
//! allocate for that; then the inode. One commit at a time. Left out: the block map is durable as it
//! is; a commit every five seconds.

use std::cell::Cell;

use mkwrite_model::case::{PAGES_MAX, Range};
use mkwrite_model::implementation::{InodeState, WbSync};
use mkwrite_model::kernel::Kernel;
use mkwrite_model::mm;
use mkwrite_model::plant::Plant;
use mkwrite_model::point::Point as P;

use super::Journaled;

/// What the journal keeps of an inode.
#[derive(Default)]
pub struct Journal {
    /// i_disksize: the size that the next commit writes.
    size: Cell<u8>,
    /// Data of the inode that the next commit writes first.
    ordered: Cell<bool>,
    /// The write(2) under way had a short copy.
    short: Cell<bool>,
}

impl InodeState for Journal {
    fn reset(&self) {
        self.size.set(0);
        self.ordered.set(false);
        self.short.set(false);
    }
}

impl Journal {
    /// The size that the next commit writes.
    pub fn size(&self) -> u8 {
        self.size.get()
    }

    /// setattr changes it together with i_size.
    pub fn set_size(&self, size: u8) {
        self.size.set(size);
    }

    /// ext4_update_i_disksize: it only grows.
    pub fn raise_size(&self, size: u8) {
        self.size.set(self.size.get().max(size));
    }

    /// Notes whether the write(2) that holds the inode lock had a short copy; returns what it was.
    pub(super) fn set_short(&self, is_short: bool) -> bool {
        self.short.replace(is_short)
    }

    /// ext4_jbd2_inode_add_write.
    pub fn order_data(&self) {
        self.ordered.set(true);
    }
}

/// That of the file.
pub(super) fn journal<F: Journaled>(k: &Kernel<F>) -> &Journal {
    k.file().state()
}

/// jbd2_complete_transaction, with the commit that it waits for.
pub(super) async fn commit<F: Journaled>(k: &Kernel<F>) {
    k.commit_lock(P::JournalCommit).await;
    k.wait_on_handles(P::JournalLocked).await;
    let size = journal(k).size();
    if journal(k).ordered.take() {
        // ext4_normal_submit_inode_data_buffers, jbd2_journal_finish_inode_data_buffers
        mm::write_cache_pages(k, Range::new(0, PAGES_MAX as u8), WbSync::Integrity).await;
        mm::filemap_fdatawait(k).await;
    }
    k.at(P::JournalWrite).await;
    if !k.reaches_plant(Plant::FsyncNoInode) {
        k.set_disk_size(size);
    }
    k.commit_unlock();
}
