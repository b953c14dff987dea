//! 2.6.23 to 2.6.29: 2.6.24 and 2.6.29 mm/memory.c, do_wp_page and __do_fault
//! (`[unlocked-return]`); and 2.6.30-rc1 until the patch (`[fault-codes]`).
//!
//! page_mkwrite is called and returns with the page unlocked. The MISS path relocks and tests for a
//! NULL mapping; the WP path never locks. set_page_dirty runs unlocked in both: WP waits until the
//! page is unlocked, MISS has just unlocked it. Any negative return is SIGBUS; in 2.6.30-rc, whose
//! locking is the same, a fault code is the fault's, so that a truncated page can be NOPAGE
//! ("retry").
//!
//! A page that comes back locked goes to `remedied.rs`.

use super::{Fault, remedied};
use crate::implementation::{Code, Convention, ERROR, Filesystem, LOCKED, NOPAGE, OK, SIGBUS};
use crate::kernel::{Frame, Kernel};
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
        if let Some(ret) = failure(k, ret) {
            k.put_page(page);
            return ret;
        }
        if ret.has(LOCKED) {
            return remedied::do_wp_page(k, fault, page).await;
        }
        k.pte_lock(mm, P::WpPteSame).await;
        k.put_page(page); // r1, with the pte lock held
        if k.pte(mm, index) != pte {
            k.pte_unlock(mm);
            return OK;
        }
        page_mkwrite = true;
    }
    k.get_page(page); // r2: dirty_page
    k.make_pte_writable(mm, index);
    k.pte_unlock(mm);

    k.at(P::WpTime).await;
    k.file_update_time();
    k.wait_on_page_locked(page, P::WpWaitLocked).await;
    k.set_page_dirty_balance(page, page_mkwrite, P::WpDirty, P::WpThrottle).await;
    k.put_page(page); // r2
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
        if let Some(ret) = failure(k, ret) {
            k.put_unused(page);
            return ret;
        }
        if ret.has(LOCKED) {
            return remedied::do_fault(k, fault, page).await;
        }
        k.lock_page(page, P::MissLock).await;
        if !k.in_mapping(page) {
            k.unlock_page(page);
            k.put_page(page);
            return OK;
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

    k.at_page(P::MissUnlockAfter, page).await;
    k.unlock_page(page);
    if !mapped {
        k.put_page(page); // r1
    } else if write {
        k.at(P::MissTime).await;
        k.file_update_time();
        k.set_page_dirty_balance(page, page_mkwrite, P::MissDirty, P::MissThrottle).await;
        k.put_page(page); // r2
    }
    OK
}

/// What a failed page_mkwrite makes of the fault: SIGBUS of any errno, or its own code. `None`: it
/// has not failed. A caller of errnos sees NOPAGE only by a remedy (`retry-on-race`).
fn failure<F: Filesystem>(k: &Kernel<F>, ret: Code) -> Option<Code> {
    match k.caller().facts().accepts {
        Convention::Errno if ret == NOPAGE => Some(OK),
        Convention::Errno => ret.is_errno().then_some(SIGBUS),
        _ => ret.has(ERROR | NOPAGE).then_some(ret),
    }
}
