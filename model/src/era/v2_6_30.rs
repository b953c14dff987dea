//! The patch as landed (commit b827e496c893): 2.6.30 mm/memory.c, do_wp_page and __do_fault,
//! unchanged in substance to 3.5 (`[locked-return]`).
//!
//! page_mkwrite is called unlocked and may return with the page locked; if it did not, the VM locks
//! it and tests for a NULL mapping. The lock is held until the pte and the page are dirty.
//! Throttling tolerates a NULL mapping, and file_update_time comes last, without the page lock; since
//! 3.6 for mappings without page_mkwrite alone (`[time-in-mkwrite]`).

use super::Fault;
use crate::implementation::{Code, ERROR, Filesystem, LOCKED, NOPAGE, OK};
use crate::kernel::{Frame, Kernel};
use crate::plant::Plant;
use crate::point::Point as P;

pub(super) async fn do_wp_page<F: Filesystem>(k: &Kernel<F>, fault: Fault, page: Frame) -> Code {
    let Fault { mm, index, pte, .. } = fault;
    let mut page_mkwrite = false;
    if k.has_page_mkwrite() {
        k.get_page(page); // r1
        k.pte_unlock(mm);
        k.at_page(P::WpMkwrite, page).await;
        let ret = k.page_mkwrite(page).await;
        k.at_page(P::MkwriteReturned, page).await;
        if ret.has(ERROR | NOPAGE) {
            k.put_page(page);
            return ret;
        }
        if !ret.has(LOCKED) {
            k.lock_page(page, P::WpLock).await;
            if !k.in_mapping(page) {
                k.unlock_page(page);
                k.put_page(page);
                return OK;
            }
        } else {
            k.bug_on(!k.is_locked(page), "VM_BUG_ON(!PageLocked(old_page))");
        }
        k.pte_lock(mm, P::WpPteSame).await;
        if k.pte(mm, index) != pte {
            k.unlock_unused(page);
            k.put_page(page);
            k.pte_unlock(mm);
            return OK;
        }
        page_mkwrite = true;
    }
    k.get_page(page); // r2: dirty_page
    k.make_pte_writable(mm, index);
    k.pte_unlock(mm);

    if !page_mkwrite {
        k.wait_on_page_locked(page, P::WpWaitLocked).await;
        k.set_page_dirty_balance(page, page_mkwrite, P::WpDirty, P::WpThrottle).await;
    }
    k.put_page(page); // r2
    if page_mkwrite {
        k.keep_locked(page);
        k.at_page(P::WpDirty, page).await;
        let mapping = k.in_mapping(page);
        k.set_page_dirty(page).await;
        k.at_page(P::WpUnlock, page).await;
        k.unlock_dirtied(page);
        k.put_page(page); // r1
        if mapping {
            k.at(P::WpThrottle).await;
            k.balance_dirty_pages(mapping);
        }
    }
    if !page_mkwrite || !k.caller().facts().time_in_mkwrite {
        k.at(P::WpTime).await;
        k.file_update_time();
    }
    OK
}

pub(super) async fn do_fault<F: Filesystem>(k: &Kernel<F>, fault: Fault) -> Code {
    let Fault { mm, index, pte, write } = fault;
    let page = match k.fs().fault(k, index).await {
        Ok(page) => page, // locked; r1
        Err(code) => return code,
    };
    let mut page_mkwrite = false;
    if write && k.has_page_mkwrite() {
        k.at_page(P::MissUnlock, page).await;
        k.unlock_page(page);
        k.at_page(P::MissMkwrite, page).await;
        let ret = k.page_mkwrite(page).await;
        k.at_page(P::MkwriteReturned, page).await;
        if ret.has(ERROR | NOPAGE) {
            k.put_unused(page);
            return ret;
        }
        if !ret.has(LOCKED) {
            k.lock_page(page, P::MissLock).await;
            if !k.in_mapping(page) {
                k.unlock_page(page);
                k.put_page(page);
                return OK;
            }
        } else {
            k.bug_on(!k.is_locked(page), "VM_BUG_ON(!PageLocked(page))");
        }
        page_mkwrite = true;
    }

    k.lock_pte_to_map(mm, page).await;
    let mapped = k.pte(mm, index) == pte;
    if mapped {
        k.install_pte(mm, index, page, write); // r1 becomes the pte's
        if write {
            k.get_page(page); // r2: dirty_page
        }
    }
    k.unlock_pte_of_mapped(mm, page).await;

    if mapped && write {
        k.at_page(P::MissDirty, page).await;
        let mapping = k.in_mapping(page);
        if k.set_page_dirty(page).await {
            page_mkwrite = true;
        }
        k.at_page(P::MissUnlockAfter, page).await;
        k.unlock_page(page);
        k.put_page(page); // r2
        if page_mkwrite && (mapping || k.reaches_plant(Plant::ThrottleNull)) {
            k.at(P::MissThrottle).await;
            k.balance_dirty_pages(mapping);
        }
        if !k.has_page_mkwrite() || !k.caller().facts().time_in_mkwrite {
            k.at(P::MissTime).await;
            k.file_update_time();
        }
    } else {
        k.at_page(P::MissUnlockAfter, page).await;
        k.unlock_page(page);
        if !mapped {
            k.put_page(page); // r1
        }
    }
    OK
}
