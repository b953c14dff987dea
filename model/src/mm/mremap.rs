//! mremap(2) of the whole mapping to another address: 3.10 and 6.12 mm/mremap.c, move_ptes
//! (`[tlb-flush]`).
//!
//! With mmap_lock held for writing each pte is taken from its old place and put at the new one, with
//! its dirty bit. Stores by the old address go through until the TLBs are flushed. 3.2 to 4.8 flush
//! when they have let go of the pte lock: in between page_mkclean cleans the pte at the new place and
//! knows nothing of entries for the old one. Before that each pte was flushed as it was moved.
//!
//! Here an address is a page of the file wherever the mapping is, and whoever has faulted by the old
//! address uses the new one: a real program would be killed. Left out: a mapping that is cut or made
//! longer.

use crate::implementation::Filesystem;
use crate::kernel::{Kernel, Mm, Status};
use crate::plant::Plant;
use crate::point::{Point as P, points};
use crate::remedy::Remedy;

points! {
    336 MremapLock  "mremap.mmap_lock" "mremap: take mmap_lock for writing";
    337 MremapMove  "mremap.move_ptes" "mremap: under the pte lock, move the ptes";
    338 MremapFlush "mremap.flush_tlb" "mremap: flush the TLBs of other CPUs, where that comes after the pte lock";
}

/// mremap(2) of the mapping, if there is one.
pub(crate) async fn mremap<F: Filesystem>(k: &Kernel<F>, mm: Mm) -> Status {
    k.mmap_write_lock(mm, P::MremapLock).await;
    let is_mapped = k.is_file_mapped(mm);
    if is_mapped {
        k.pte_lock(mm, P::MremapMove).await;
        if k.is_shared(mm) && flushes_late(k) {
            k.leave_all_stale(mm, true);
        }
        k.pte_unlock(mm);
        if k.has_stale(mm) {
            k.at(P::MremapFlush).await;
            k.flush_tlb(mm);
        }
    }
    k.mmap_write_unlock(mm);
    if is_mapped { Status::Ok } else { Status::Fault }
}

fn flushes_late<F: Filesystem>(k: &Kernel<F>) -> bool {
    match k.facts().mremap_flushes_late {
        true => !k.remedied(Remedy::FlushFirst),
        false => k.reaches_plant(Plant::MremapFlushesLate),
    }
}
