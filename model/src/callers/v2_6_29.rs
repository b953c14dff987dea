//! 2.6.23 to 2.6.29: 2.6.24 and 2.6.29 mm/memory.c, do_wp_page and __do_fault
//! (`[unlocked-return]`).
//!
//! page_mkwrite is called and returns with the page unlocked. The MISS path relocks and tests for a
//! NULL mapping; the WP path never locks. set_page_dirty runs unlocked in both: WP waits until the
//! page is unlocked, MISS has just unlocked it. Any negative return is SIGBUS.
//!
//! Remedies: a page that comes back locked stays locked until it is dirty (`locked-return`,
//! `dirty-before-pte`), and a callee can ask for a retry (`retry-on-race`). Such codes reach this code
//! only with a remedy.

use super::Fault;
use crate::implementation::{Filesystem, LOCKED, NOPAGE, SIGBUS};
use crate::kernel::{Frame, Kernel};
use crate::point::Point as P;

pub(super) async fn do_wp_page<F: Filesystem>(k: &Kernel<F>, fault: Fault, page: Frame) -> i32 {
    wp(k, fault, page, failure).await
}

pub(super) async fn do_fault<F: Filesystem>(k: &Kernel<F>, fault: Fault, page: Frame) -> i32 {
    miss(k, fault, page, failure).await
}

/// What a failed page_mkwrite makes of the fault: SIGBUS, whatever the errno.
fn failure(ret: i32) -> Option<i32> {
    if ret == NOPAGE {
        return Some(0);
    }
    (ret < 0).then_some(SIGBUS)
}

/// `failure` is how a return of page_mkwrite is read: the code with which the fault ends, or `None`
/// to go on.
pub(super) async fn wp<F: Filesystem>(
    k: &Kernel<F>,
    fault: Fault,
    page: Frame,
    failure: impl Fn(i32) -> Option<i32>,
) -> i32 {
    let Fault { mm, index, pte, .. } = fault;
    let (mut page_mkwrite, mut locked) = (false, false);
    if k.has_page_mkwrite() {
        k.get_page(page); // r1
        k.pte_unlock(mm);
        k.at_page(P::WpMkwrite, page).await;
        let ret = k.page_mkwrite(page).await;
        k.at_page(P::MkwriteReturned, page).await;
        if let Some(code) = failure(ret) {
            k.put_page(page);
            return code;
        }
        locked = ret & LOCKED != 0;
        k.pte_lock(mm, P::WpPteSame).await;
        k.put_page(page); // r1, with the pte lock held
        if k.pte(mm, index) != pte {
            if locked {
                k.unlock_unused(page);
            }
            k.pte_unlock(mm);
            return 0;
        }
        page_mkwrite = true;
    }
    k.get_page(page); // r2: dirty_page
    k.make_pte_writable(mm, index);
    k.pte_unlock(mm);
    if locked {
        k.at_page(P::WpDirty, page).await;
        k.set_page_dirty(page).await;
        k.at_page(P::WpUnlock, page).await;
        k.unlock_dirtied(page);
    }

    k.at(P::WpTime).await;
    k.file_update_time();
    if locked {
        k.throttle(page, P::WpThrottle).await;
    } else {
        k.wait_on_page_locked(page, P::WpWaitLocked).await;
        k.set_page_dirty_balance(page, page_mkwrite, P::WpDirty, P::WpThrottle).await;
    }
    k.put_page(page); // r2
    0
}

pub(super) async fn miss<F: Filesystem>(
    k: &Kernel<F>,
    fault: Fault,
    page: Frame,
    failure: impl Fn(i32) -> Option<i32>,
) -> i32 {
    let Fault { mm, index, pte, write } = fault;
    let (mut page_mkwrite, mut locked) = (false, false);
    if write && k.has_page_mkwrite() {
        k.at_page(P::MissUnlock, page).await;
        k.unlock_page(page);
        k.at_page(P::MissMkwrite, page).await;
        let ret = k.page_mkwrite(page).await;
        k.at_page(P::MkwriteReturned, page).await;
        if let Some(code) = failure(ret) {
            k.put_unused(page);
            return code;
        }
        locked = ret & LOCKED != 0;
        if !locked {
            k.lock_page(page, P::MissLock).await;
        }
        if !k.in_mapping(page) {
            k.unlock_page(page);
            k.put_page(page);
            return 0;
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

    if locked && mapped {
        k.at_page(P::MissDirty, page).await;
        k.set_page_dirty(page).await;
    }
    k.at_page(P::MissUnlockAfter, page).await;
    k.unlock_page(page);
    if !mapped {
        k.put_page(page); // r1
    } else if write {
        k.at(P::MissTime).await;
        k.file_update_time();
        if locked {
            k.throttle(page, P::MissThrottle).await;
        } else {
            k.set_page_dirty_balance(page, page_mkwrite, P::MissDirty, P::MissThrottle).await;
        }
        k.put_page(page); // r2
    }
    0
}
