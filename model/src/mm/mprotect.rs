//! mprotect(2) of the whole mapping to read-only, and back: 2.6.30 mm/mprotect.c, mprotect_fixup and
//! change_pte_range (`[write-notify]`).
//!
//! Where somebody wants to know of the first store to a page, a vma that becomes writable again
//! leaves its ptes read-only, but for those that are dirty: their pages are dirty, too. In between
//! stores get SIGSEGV. Left out: a part of the mapping, which would be a vma of its own.

use crate::implementation::Filesystem;
use crate::kernel::{Kernel, Mm, Status};
use crate::point::{Point as P, points};

points! {
    339 MprotectLock  "mprotect.mmap_lock"  "mprotect: take mmap_lock for writing, to make the vma read-only";
    340 MprotectClear "mprotect.clear_ptes" "mprotect: under the pte lock, write-protect the ptes";
    341 MprotectBack  "mprotect.back"       "mprotect: take mmap_lock for writing, to make the vma writable";
    342 MprotectSet   "mprotect.set_ptes"   "mprotect: under the pte lock, make those ptes writable that are dirty";
}

/// mprotect(2) with PROT_READ, then with PROT_READ and PROT_WRITE.
pub(crate) async fn mprotect<F: Filesystem>(k: &Kernel<F>, mm: Mm) -> Status {
    let status = change(k, mm, false).await;
    status.or(change(k, mm, true).await)
}

async fn change<F: Filesystem>(k: &Kernel<F>, mm: Mm, writable: bool) -> Status {
    let (lock, ptes) = match writable {
        false => (P::MprotectLock, P::MprotectClear),
        true => (P::MprotectBack, P::MprotectSet),
    };
    k.mmap_write_lock(mm, lock).await;
    let is_mapped = k.is_file_mapped(mm);
    if is_mapped {
        k.set_vma_writable(mm, writable);
        k.pte_lock(mm, ptes).await;
        match writable {
            false => k.protect_ptes(mm),
            true => k.unprotect_ptes(mm),
        }
        k.pte_unlock(mm);
    }
    k.mmap_write_unlock(mm);
    if is_mapped { Status::Ok } else { Status::NoMemory }
}
