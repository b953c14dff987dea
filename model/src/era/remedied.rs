//! 2.6.29's fault path where page_mkwrite came back with the page locked. No kernel of its time
//! has that: an implementation answers so by a remedy (`locked-return`, `dirty-before-pte`), and
//! then the page stays locked until it is dirty.

use super::Fault;
use crate::implementation::{Code, Filesystem, OK};
use crate::kernel::{Frame, Kernel};
use crate::point::Point as P;

/// The WP path from page_mkwrite's return on.
pub(super) async fn do_wp_page<F: Filesystem>(k: &Kernel<F>, fault: Fault, page: Frame) -> Code {
    let Fault { mm, index, pte, .. } = fault;
    k.pte_lock(mm, P::WpPteSame).await;
    k.put_page(page); // r1, with the pte lock held
    if k.pte(mm, index) != pte {
        k.unlock_unused(page);
        k.pte_unlock(mm);
        return OK;
    }
    k.get_page(page); // r2: dirty_page
    k.make_pte_writable(mm, index);
    k.pte_unlock(mm);

    k.keep_locked(page);
    k.at_page(P::WpDirty, page).await;
    k.set_page_dirty(page).await;
    k.at_page(P::WpUnlock, page).await;
    k.unlock_dirtied(page);
    k.at(P::WpTime).await;
    k.file_update_time();
    k.throttle(page, P::WpThrottle).await;
    k.put_page(page); // r2
    OK
}

/// The MISS path of a store from page_mkwrite's return on.
pub(super) async fn do_fault<F: Filesystem>(k: &Kernel<F>, fault: Fault, page: Frame) -> Code {
    let Fault { mm, index, pte, write } = fault;
    if !k.in_mapping(page) {
        k.unlock_page(page);
        k.put_page(page);
        return OK;
    }
    k.lock_pte_to_map(mm, page).await;
    let mapped = k.pte(mm, index) == pte;
    if mapped {
        k.install_pte(mm, index, page, write); // r1 becomes the pte's
        k.get_page(page); // r2: dirty_page
    }
    k.unlock_pte_of_mapped(mm, page).await;

    if mapped {
        k.at_page(P::MissDirty, page).await;
        k.set_page_dirty(page).await;
    }
    k.at_page(P::MissUnlockAfter, page).await;
    k.unlock_page(page);
    if mapped {
        k.at(P::MissTime).await;
        k.file_update_time();
        k.throttle(page, P::MissThrottle).await;
    }
    k.put_page(page); // r2, or r1 if it was not mapped
    OK
}
