//! munmap and mmap of the whole file; 2.6.30 mm/memory.c, zap_pte_range (`[pte-dirty-bit]`).
//!
//! munmap zaps the ptes with mmap_lock held for writing; a dirty pte makes its page dirty, without
//! page_mkwrite and without the page lock.

use crate::case::{PAGES_MAX, Range};
use crate::implementation::Filesystem;
use crate::kernel::{Kernel, Mm, Status};
use crate::point::{Point as P, points};

points! {
    160 MunmapLock "munmap.mmap_lock" "munmap: take mmap_lock for writing";
    161 MunmapZap  "munmap.zap"       "munmap: under the pte lock, zap the ptes";
    162 MunmapDone "munmap.done"      "munmap: take the i_mmap lock, remove the vma";
    163 MmapLock   "mmap.mmap_lock"   "mmap: take mmap_lock for writing";
    164 MmapLink   "mmap.link_vma"    "mmap: take the i_mmap lock, insert the vma";
}

/// munmap(2) of the mapping, if there is one.
pub(crate) async fn munmap<F: Filesystem>(k: &Kernel<F>, mm: Mm) -> Status {
    k.mmap_write_lock(mm, P::MunmapLock).await;
    if k.is_file_mapped(mm) {
        k.pte_lock(mm, P::MunmapZap).await;
        k.zap_range(mm, Range::new(0, PAGES_MAX as u8)).await;
        k.pte_unlock(mm);
        // unlink_file_vma takes the i_mmap lock, so rmap never meets a vma that is half gone.
        k.i_mmap_lock(P::MunmapDone).await;
        k.set_file_mapped(mm, false);
        k.i_mmap_unlock();
        k.fs().close(k).await;
    }
    k.mmap_write_unlock(mm);
    Status::Ok
}

/// mmap(2), shared and writable, if the address space has no mapping.
pub(crate) async fn mmap<F: Filesystem>(k: &Kernel<F>, mm: Mm) -> Status {
    k.mmap_write_lock(mm, P::MmapLock).await;
    k.i_mmap_lock(P::MmapLink).await;
    k.set_file_mapped(mm, true);
    k.i_mmap_unlock();
    k.mmap_write_unlock(mm);
    Status::Ok
}
