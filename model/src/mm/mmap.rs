//! munmap and mmap of the whole file; 2.6.30 mm/memory.c, zap_pte_range (`[pte-dirty-bit]`).
//!
//! munmap zaps the ptes with mmap_lock held for writing; a dirty pte makes its page dirty, without
//! page_mkwrite and without the page lock. When the TLBs of other CPUs are flushed differs: up to 6.1
//! stores go through after page_mkclean can no longer find the pte (`[tlb-flush]`). Pages are not
//! freed before that.

use crate::case::{PAGES_MAX, Range};
use crate::era::ZapFlush;
use crate::implementation::Filesystem;
use crate::kernel::{Frame, Kernel, Mm, Status};
use crate::plant::Plant;
use crate::point::{Point as P, points};
use crate::remedy::Remedy;

points! {
    160 MunmapLock "munmap.mmap_lock" "munmap: take mmap_lock for writing";
    161 MunmapZap  "munmap.zap"       "munmap: under the pte lock, zap the ptes";
    335 MunmapFlush "munmap.flush_tlb" "munmap: flush the TLBs of other CPUs, where that comes after the ptes were zapped";
    162 MunmapDone "munmap.done"      "munmap: take the i_mmap lock, remove the vma";
    163 MmapLock   "mmap.mmap_lock"   "mmap: take mmap_lock for writing";
    164 MmapLink   "mmap.link_vma"    "mmap: take the i_mmap lock, insert the vma";
}

/// munmap(2) of the mapping, if there is one.
pub(crate) async fn munmap<F: Filesystem>(k: &Kernel<F>, mm: Mm) -> Status {
    k.mmap_write_lock(mm, P::MunmapLock).await;
    if k.is_file_mapped(mm) {
        k.pte_lock(mm, P::MunmapZap).await;
        zap_all(k, mm).await;
        // unlink_file_vma takes the i_mmap lock, so rmap never meets a vma that is half gone.
        k.i_mmap_lock(P::MunmapDone).await;
        k.set_file_mapped(mm, false);
        k.i_mmap_unlock();
        k.fs().close(k).await;
    }
    k.mmap_write_unlock(mm);
    Status::Ok
}

/// unmap_vmas and tlb_finish_mmu, with the pte lock held, which is dropped.
async fn zap_all<F: Filesystem>(k: &Kernel<F>, mm: Mm) {
    let flush = zap_flush(k);
    if flush != ZapFlush::BeforeRmap && k.is_shared(mm) {
        k.leave_all_stale(mm, false);
    }
    let gathered = k.gather_stale(mm);
    k.zap_range(mm, Range::new(0, PAGES_MAX as u8)).await;
    if flush == ZapFlush::AfterLock {
        k.pte_unlock(mm);
    }
    if gathered != 0 {
        k.at(P::MunmapFlush).await;
        k.flush_tlb(mm);
    }
    if flush != ZapFlush::AfterLock {
        k.pte_unlock(mm);
    }
    Frame::all(gathered).for_each(|page| k.put_page(page));
}

fn zap_flush<F: Filesystem>(k: &Kernel<F>) -> ZapFlush {
    match k.facts().zap_flush {
        _ if k.remedied(Remedy::FlushFirst) => ZapFlush::BeforeRmap,
        ZapFlush::BeforeRmap if k.reaches_plant(Plant::ZapFlushesLate) => ZapFlush::AfterLock,
        flush => flush,
    }
}

/// mmap(2), shared and writable, if the address space has no mapping.
pub(crate) async fn mmap<F: Filesystem>(k: &Kernel<F>, mm: Mm) -> Status {
    k.mmap_write_lock(mm, P::MmapLock).await;
    k.i_mmap_lock(P::MmapLink).await;
    k.set_file_mapped(mm, true);
    k.set_vma_writable(mm, true);
    k.i_mmap_unlock();
    k.mmap_write_unlock(mm);
    Status::Ok
}
