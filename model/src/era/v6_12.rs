//! 6.12 mm/memory.c: wp_page_shared, do_read_fault, do_shared_fault, and what they share:
//! do_page_mkwrite, finish_mkwrite_fault, fault_dirty_shared_page (`[shared-fault-path]`).
//!
//! The order is that of 2.6.30, with the steps in functions of their own. Otherwise than there: a
//! mapping without page_mkwrite takes the page lock before it marks the page dirty; file_update_time
//! is called for such mappings alone, page_mkwrite does its own; a pte that has changed is NOPAGE;
//! and throttling comes last, after mmap_lock was dropped, for which the fault says COMPLETED (4.19:
//! before the time, with mmap_lock). 4.19, 6.1 and 6.18 do the same otherwise.
//!
//! Left out: the second attempt of a fault, which throttles under mmap_lock (here each fault is the
//! first); the lock of a single vma instead of mmap_lock, which sends such a fault back to that;
//! swap files, fault-around, mappings of a device's memory (wp_pfn_shared).

use super::Fault;
use crate::implementation::{COMPLETED, Code, ERROR, Filesystem, LOCKED, NOPAGE, OK};
use crate::kernel::{Frame, Kernel, Mm};
use crate::plant::Plant;
use crate::point::Point as P;

/// Calls page_mkwrite. The page comes back locked, or is not to be mapped.
async fn do_page_mkwrite<F: Filesystem>(k: &Kernel<F>, page: Frame, lock: P) -> Result<(), Code> {
    let ret = k.page_mkwrite(page).await;
    k.at_page(P::MkwriteReturned, page).await;
    if ret.has(ERROR | NOPAGE) {
        return Err(ret);
    }
    if ret.has(LOCKED) {
        k.bug_on(!k.is_locked(page), "VM_BUG_ON_FOLIO(!folio_test_locked(folio))");
        return Ok(());
    }
    k.lock_page(page, lock).await;
    if k.in_mapping(page) {
        return Ok(());
    }
    k.unlock_page(page);
    Err(OK)
}

/// Where a fault stands when it makes its page dirty.
struct Dirtying {
    dirty: P,
    unlock: P,
    time: P,
    throttle: P,
}

const WP: Dirtying =
    Dirtying { dirty: P::WpDirty, unlock: P::WpUnlock, time: P::WpTime, throttle: P::WpThrottle };

const MISS: Dirtying = Dirtying {
    dirty: P::MissDirty,
    unlock: P::MissUnlockAfter,
    time: P::MissTime,
    throttle: P::MissThrottle,
};

/// Marks the locked page dirty, unlocks it, and throttles.
async fn fault_dirty_shared_page<F: Filesystem>(
    k: &Kernel<F>,
    mm: Mm,
    page: Frame,
    at: Dirtying,
) -> Code {
    let page_mkwrite = k.has_page_mkwrite();
    k.keep_locked(page);
    k.at_page(at.dirty, page).await;
    let dirtied = k.set_page_dirty(page).await;
    k.at_page(at.unlock, page).await;
    let mapping = k.in_mapping(page);
    k.unlock_dirtied(page);
    let throttles = (dirtied || page_mkwrite) && (mapping || k.reaches_plant(Plant::ThrottleNull));
    let unlocked = k.caller().facts().throttles_unlocked;
    if throttles && !unlocked {
        k.at(at.throttle).await;
        k.balance_dirty_pages(mapping);
    }
    if !page_mkwrite {
        k.at(at.time).await;
        k.file_update_time();
    }
    if throttles && unlocked {
        k.at(at.throttle).await;
        k.mmap_read_unlock(mm); // maybe_unlock_mmap_for_io
        k.balance_dirty_pages(mapping);
        return COMPLETED;
    }
    OK
}

/// wp_page_shared.
pub(super) async fn do_wp_page<F: Filesystem>(k: &Kernel<F>, fault: Fault, page: Frame) -> Code {
    let Fault { mm, index, pte, .. } = fault;
    k.get_page(page);
    if k.has_page_mkwrite() {
        k.pte_unlock(mm);
        k.at_page(P::WpMkwrite, page).await;
        if let Err(code) = do_page_mkwrite(k, page, P::WpLock).await {
            k.put_page(page);
            return code;
        }
        // finish_mkwrite_fault
        k.pte_lock(mm, P::WpPteSame).await;
        if k.pte(mm, index) != pte {
            k.pte_unlock(mm);
            k.unlock_unused(page);
            k.put_page(page);
            return NOPAGE;
        }
        k.make_pte_writable(mm, index);
        k.pte_unlock(mm);
    } else {
        k.make_pte_writable(mm, index);
        k.pte_unlock(mm);
        k.lock_page(page, P::WpLock).await;
    }
    let code = fault_dirty_shared_page(k, mm, page, WP).await;
    k.put_page(page);
    code
}

/// do_shared_fault, and for a load do_read_fault.
pub(super) async fn do_fault<F: Filesystem>(k: &Kernel<F>, fault: Fault) -> Code {
    let Fault { mm, index, pte, write } = fault;
    let page = match k.fs().fault(k, index).await {
        Ok(page) => page, // locked, with a reference
        Err(code) => return code,
    };
    if write && k.has_page_mkwrite() {
        k.at_page(P::MissUnlock, page).await;
        k.unlock_page(page);
        k.at_page(P::MissMkwrite, page).await;
        if let Err(code) = do_page_mkwrite(k, page, P::MissLock).await {
            k.put_unused(page);
            return code;
        }
    }
    // finish_fault
    k.lock_pte_to_map(mm, page).await;
    let mapped = k.pte(mm, index) == pte;
    if mapped {
        k.install_pte(mm, index, page, write); // the reference becomes the pte's
    }
    k.unlock_pte_of_mapped(mm, page).await;
    if mapped && write {
        return fault_dirty_shared_page(k, mm, page, MISS).await;
    }
    k.at_page(P::MissUnlockAfter, page).await;
    k.unlock_page(page);
    if mapped {
        return OK;
    }
    k.put_page(page);
    NOPAGE
}
