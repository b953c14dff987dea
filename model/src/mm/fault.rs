//! The way into a fault, and ->fault: 2.6.30 mm/memory.c, handle_pte_fault; mm/filemap.c,
//! filemap_fault.
//!
//! The entry takes mmap_lock for reading, finds the vma, takes the pte lock and looks at the pte;
//! what follows is the caller's. ->fault is filemap_fault of 2.6.23 to 3.5: it returns the page
//! locked, with a reference, and checks i_size before and after. Left out: readahead, page table
//! allocation, the bounded retry counter of 2.6.23, fault-around.

use crate::case::Site;
use crate::era::{Fault, do_fault, do_wp_page};
use crate::implementation::{COMPLETED, Code, Filesystem, OK, OOM, SIGBUS, SIGSEGV};
use crate::kernel::page::UPTODATE;
use crate::kernel::{Call, Event, Frame, Kernel, Mm};
use crate::plant::Plant;
use crate::point::{Point as P, points};

points! {
    10  FaultMmapLock "fault.mmap_lock" "take mmap_lock for reading, find the vma";
    11  FaultPte      "fault.pte"       "take the pte lock, look at the pte, choose the WP or the MISS path";
    12  FaultSize     "fault.i_size"    "->fault compares the index with i_size";
    13  FaultFind     "fault.find_page" "->fault looks the page up, or adds a new locked one";
    14  FaultRead     "fault.readpage"  "->fault reads the page from the store";
    261 FaultInvalidate "fault.invalidate_lock" "->fault takes invalidate_lock, shared: the page is not cached, or not uptodate";
    15  FaultLock     "fault.lock_page" "->fault locks the page, rechecks mapping, uptodate, i_size";
}

/// Handles a fault of this address space on page `index`. Returns fault codes; without an error the
/// instruction is executed again.
pub(super) async fn handle_mm_fault<F: Filesystem>(
    k: &Kernel<F>,
    mm: Mm,
    index: u8,
    write: bool,
) -> Code {
    k.mmap_read_lock(mm, P::FaultMmapLock).await;
    let allowed = k.is_file_mapped(mm) && (k.is_vma_writable(mm) || !write);
    let code = if allowed { handle_pte_fault(k, mm, index, write).await } else { SIGSEGV };
    k.event(Event::FaultReturned);
    if !code.has(COMPLETED) {
        k.mmap_read_unlock(mm);
    }
    code
}

async fn handle_pte_fault<F: Filesystem>(k: &Kernel<F>, mm: Mm, index: u8, write: bool) -> Code {
    k.pte_lock(mm, P::FaultPte).await;
    let pte = k.pte(mm, index);
    let fault = Fault { mm, index, write, pte };
    match pte.page() {
        Some(page)
            if write
                && !pte.is_writable()
                && k.is_dirty(page)
                && k.reaches_plant(Plant::DirtyRefused) =>
        {
            k.pte_unlock(mm);
            SIGSEGV
        }
        Some(page) if write && !pte.is_writable() => do_wp_page(k, fault, page).await,
        Some(_) => {
            k.pte_unlock(mm); // another thread was faster
            OK
        }
        None => {
            k.pte_unlock(mm);
            k.calls_with_mmap(Call::Fault);
            do_fault(k, fault).await
        }
    }
}

/// Looks a page up that may have to be read. Whoever does so since 5.15 holds invalidate_lock
/// from here on, shared, and then looks again: a page that was not cached, or not uptodate, may be
/// by then (6.12 mm/filemap.c: filemap_fault, filemap_create_folio, filemap_update_page
/// `[invalidate-lock]`).
pub(super) async fn find_to_read<F: Filesystem>(
    k: &Kernel<F>,
    index: u8,
    find: P,
    lock: P,
    locked: &mut bool,
) -> Option<Frame> {
    loop {
        k.at_slot(find, index).await;
        let found = k.find_get_page(index);
        let is_uptodate = found.is_some_and(|page| k.is_uptodate(page));
        if is_uptodate || *locked || !locks_fills(k) {
            return found;
        }
        if let Some(page) = found {
            k.put_page(page);
        }
        k.invalidate_lock_shared(lock).await;
        *locked = true;
    }
}

/// Whoever reads a page into the page cache holds invalidate_lock.
fn locks_fills<F: Filesystem>(k: &Kernel<F>) -> bool {
    k.facts().invalidate_lock && !k.reaches_plant(Plant::FillNoInvalidate)
}

/// filemap_fault: the page, locked, with a reference.
pub async fn filemap_fault<F: Filesystem>(k: &Kernel<F>, index: u8) -> Result<Frame, Code> {
    let past_the_end = if k.reaches_plant(Plant::WrongErrno) { SIGSEGV } else { SIGBUS };
    k.at_size(P::FaultSize).await;
    if index >= k.pages_in_file() {
        return Err(past_the_end);
    }
    let mut locked = false;
    let found = loop {
        let found = find_to_read(k, index, P::FaultFind, P::FaultInvalidate, &mut locked).await;
        let Some(page) = found else {
            let Some(page) = k.add_to_page_cache(index) else { break Err(OOM) };
            // If this fails the page is found not uptodate, and read again.
            read_for_fault(k, page).await;
            k.unlock_page(page);
            k.put_page(page);
            continue;
        };
        k.lock_page(page, P::FaultLock).await;
        if !k.in_mapping(page) && !k.reaches_plant(Plant::FaultNoMappingCheck) {
            k.unlock_page(page);
            k.put_page(page);
            continue;
        }
        if !k.is_uptodate(page) && !locked && locks_fills(k) {
            k.unlock_page(page);
            k.put_page(page);
            continue;
        }
        if !k.is_uptodate(page) && !read_for_fault(k, page).await {
            k.unlock_page(page);
            k.put_page(page);
            break Err(SIGBUS);
        }
        break Ok(page);
    };
    if locked {
        k.invalidate_unlock_shared();
    }
    let page = found?;
    if index >= k.pages_in_file() && !k.reaches_plant(Plant::FaultNoSizeCheck) {
        k.unlock_page(page);
        k.put_page(page);
        return Err(past_the_end);
    }
    Ok(page)
}

async fn read_for_fault<F: Filesystem>(k: &Kernel<F>, page: Frame) -> bool {
    let fs_lock = k.reaches_plant(Plant::FsLockOverTruncate);
    if fs_lock {
        k.flush_lock(P::FlushLock).await;
    }
    k.at_page(P::FaultRead, page).await;
    let is_read = k.read_page(page).await;
    if fs_lock {
        k.flush_unlock();
    }
    is_read
}

impl<F: Filesystem> Kernel<F> {
    /// ->readpage: fills the page from the store, with the page locked. Returns whether it could
    /// be read.
    pub(super) async fn read_page(&self, page: Frame) -> bool {
        let is_read = !self.fails(Site::Read);
        if is_read {
            self.read_page_surely(page).await;
        }
        is_read
    }

    /// The same where the case has no say.
    pub(super) async fn read_page_surely(&self, page: Frame) {
        self.calls_readpage(page);
        self.fs().readpage(self, page).await;
        self.set(page, UPTODATE);
    }
}
