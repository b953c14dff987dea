//! 2.6.30-rc1 until the patch: what commit b827e496c893 takes away in mm/memory.c
//! (`[fault-codes]`).
//!
//! The locking is that of 2.6.29, so the code is too. page_mkwrite takes a vm_fault and returns
//! VM_FAULT codes, so that a truncated page can be NOPAGE ("retry") instead of SIGBUS.

use super::{Fault, v2_6_29};
use crate::implementation::{ERROR, Filesystem, NOPAGE};
use crate::kernel::{Frame, Kernel};

pub(super) async fn do_wp_page<F: Filesystem>(k: &Kernel<F>, fault: Fault, page: Frame) -> i32 {
    v2_6_29::wp(k, fault, page, failure).await
}

pub(super) async fn do_fault<F: Filesystem>(k: &Kernel<F>, fault: Fault, page: Frame) -> i32 {
    v2_6_29::miss(k, fault, page, failure).await
}

/// What a failed page_mkwrite makes of the fault: its own code.
fn failure(ret: i32) -> Option<i32> {
    (ret & (ERROR | NOPAGE) != 0).then_some(ret)
}
