//! fsync and msync. Dossier section 2.2.5; fs/sync.c and mm/filemap.c of 2.6.24 to 2.6.34.
//!
//! filemap_fdatawrite of the whole file for integrity, without the inode lock; ->fsync under it;
//! filemap_fdatawait by the tag WRITEBACK; the mapping's error is tested and cleared, and the first error
//! wins. msync does not walk ptes: since 2.6.19 dirty ptes mean dirty pages.

use crate::case::{PAGES_MAX, Range};
use crate::implementation::{Registry, Sync};
use crate::kernel::{Kernel, Mm, Status};
use crate::plant::Plant;
use crate::point::Point as P;

/// fsync(2).
pub(super) async fn fsync<R: Registry>(k: &Kernel<R>) -> Status {
    k.at(P::FsyncStart).await;
    k.fs().writepages(k, Range::new(0, PAGES_MAX as u8), Sync::Integrity).await;
    k.inode_lock(P::FsyncInode).await;
    k.fs().fsync(k).await;
    k.inode_unlock();
    filemap_fdatawait(k).await;
    k.at(P::FsyncError).await;
    k.mapping_take_error()
}

/// msync(2) with MS_SYNC: find the vma, drop mmap_lock, fsync the file.
pub(super) async fn msync<R: Registry>(k: &Kernel<R>, mm: Mm) -> Status {
    k.mmap_read_lock(mm, P::FaultMmapLock).await;
    let mapped = k.is_file_mapped(mm);
    k.mmap_read_unlock(mm);
    if mapped { fsync(k).await } else { Status::NoMemory }
}

/// wait_on_page_writeback_range over the whole file.
async fn filemap_fdatawait<R: Registry>(k: &Kernel<R>) {
    if k.planted(Plant::FsyncSkipsWait) {
        return;
    }
    let mut next = 0;
    loop {
        k.at_tree(P::FsyncFind).await;
        let batch = k.pagevec_lookup_writeback(Range::new(next, PAGES_MAX as u8));
        if batch.is_empty() {
            return;
        }
        for n in 0..batch.len() {
            let page = batch.get(n);
            next = k.index(page) + 1;
            k.wait_on_page_writeback(page, P::FsyncWait).await;
            k.put_page(page);
        }
    }
}
