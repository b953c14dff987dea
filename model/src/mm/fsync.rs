//! fsync and msync. fs/sync.c and mm/filemap.c of 2.6.29, 2.6.30 and 3.0; fs/libfs.c of 3.10 and
//! 6.12.
//!
//! filemap_fdatawrite of the whole file for integrity and filemap_fdatawait by the tag WRITEBACK,
//! without the inode lock; ->fsync under it, before or after the wait, as the era has it, or since
//! 3.1 all of it in ->fsync. The wait tests and clears the mapping's error, and the first error
//! wins. msync does not walk ptes: since 2.6.19 dirty ptes mean dirty pages. Left out: PG_error of a
//! page that was waited for, which is -EIO too; a file of size 0, which is not waited for; the error
//! of a mapping per open file (4.13): all actors share one.

use crate::case::{PAGES_MAX, Range};
use crate::era::FsyncWait;
use crate::implementation::{Filesystem, WbSync};
use crate::kernel::{Call, Kernel, Mm, Status};
use crate::plant::Plant;
use crate::point::{Point as P, points};

points! {
    80  FsyncStart "fsync.start"          "fsync: begin to write the dirty pages";
    81  FsyncInode "fsync.inode_lock"     "fsync: take the inode lock for ->fsync";
    82  FsyncFind  "fsync.find_writeback" "fsync: look up pages tagged WRITEBACK";
    83  FsyncWait  "fsync.wait_writeback" "fsync: wait for the writeback of a page";
    84  FsyncError "fsync.check_error"    "fsync: test and clear the mapping's error (since 3.0 after the wait, since 4.13 once more), return";
}

/// fsync(2).
///
/// And msync(2) with MS_SYNC of a mapping: find the vma, drop mmap_lock, fsync the file. (One
/// function, because each layer makes the future of every actor larger.)
pub(crate) async fn fsync<F: Filesystem>(k: &Kernel<F>, mapping: Option<Mm>) -> Status {
    if let Some(mm) = mapping {
        k.mmap_read_lock(mm, P::FaultMmapLock).await;
        let mapped = k.is_file_mapped(mm);
        k.mmap_read_unlock(mm);
        if !mapped {
            return Status::NoMemory;
        }
    }
    k.at(P::FsyncStart).await;
    let wait = k.facts().fsync_wait;
    let mut status = match wait {
        FsyncWait::AfterOp => filemap_fdatawrite(k).await,
        FsyncWait::BeforeOp => file_write_and_wait(k).await,
        FsyncWait::InOp => Status::Ok,
    };
    let relies = wait != FsyncWait::InOp && k.facts().fsync_locks_inode;
    let locks = relies && !k.reaches_plant(Plant::FsyncNoInodeLock);
    if locks {
        k.inode_lock(P::FsyncInode).await;
    }
    if relies {
        k.calls_with_inode(Call::Fsync);
    }
    status = status.or(k.fs().fsync(k).await);
    if locks {
        k.inode_unlock();
    }
    if wait == FsyncWait::InOp {
        return status;
    }
    if wait == FsyncWait::AfterOp {
        filemap_fdatawait(k).await;
    }
    k.at(P::FsyncError).await;
    if wait == FsyncWait::AfterOp { status.or(k.mapping_take_error()) } else { status }
}

/// filemap_fdatawrite.
fn filemap_fdatawrite<F: Filesystem>(k: &Kernel<F>) -> impl Future<Output = Status> {
    k.fs().writepages(k, Range::new(0, PAGES_MAX as u8), WbSync::Integrity)
}

/// filemap_write_and_wait, and since 4.13 file_write_and_wait_range: takes the mapping's error.
pub async fn file_write_and_wait<F: Filesystem>(k: &Kernel<F>) -> Status {
    let written = filemap_fdatawrite(k).await;
    filemap_fdatawait(k).await;
    written.or(k.mapping_take_error())
}

/// generic_file_fsync since 3.1, and before that the filesystem's part of it: the inode.
pub async fn generic_file_fsync<F: Filesystem>(k: &Kernel<F>) -> Status {
    let all = k.facts().fsync_wait == FsyncWait::InOp;
    if all {
        let status = file_write_and_wait(k).await;
        if status != Status::Ok {
            return status;
        }
        k.inode_lock(P::FsyncInode).await;
    }
    if !k.reaches_plant(Plant::FsyncNoInode) {
        k.write_inode();
    }
    if !all {
        return Status::Ok;
    }
    k.inode_unlock();
    k.at(P::FsyncError).await;
    if k.facts().fsync_checks_again { k.mapping_take_error() } else { Status::Ok }
}

/// filemap_write_and_wait_range: what is dirty of these pages is written, and all writeback of the
/// file awaited. What fails is left to fsync.
pub async fn write_and_wait<F: Filesystem>(k: &Kernel<F>, pages: Range) {
    k.fs().writepages(k, pages, WbSync::Integrity).await;
    filemap_fdatawait(k).await;
}

/// wait_on_page_writeback_range over the whole file; the mapping's error is the caller's to take.
pub async fn filemap_fdatawait<F: Filesystem>(k: &Kernel<F>) {
    if k.reaches_plant(Plant::FsyncSkipsWait) {
        return;
    }
    let mut next = 0;
    loop {
        k.at_tree(P::FsyncFind).await;
        let batch = k.pagevec_lookup_writeback(Range::new(next, PAGES_MAX as u8));
        if batch.is_empty() {
            return;
        }
        for page in batch.iter() {
            next = k.index(page) + 1;
            k.wait_on_page_writeback(page, P::FsyncWait).await;
            k.put_page(page);
        }
    }
}
