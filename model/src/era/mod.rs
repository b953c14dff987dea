//! Eras: what kernels do differently, one value each. An era is a line of the table below, which
//! says what it changes of the one before, and a file if its fault path differs in structure; a
//! crate of somebody else makes one with [`Era::new`].
//!
//! A fault path takes a write fault from the pte that it saw to a writable pte on a dirty page, by
//! the WP path (the pte is present and read-only) or the MISS path (the pte is none). The
//! differences between the files are the differences between the kernels; read them side by side.
//! An era that has a fault path of its own is a *caller*: what page_mkwrite is called by.
//!
//! Structural difference of the two paths: WP revalidates with pte_same, and every remover of a
//! page unmaps it first, so a removed page makes pte_same fail. MISS saw none and sees none again,
//! so its pte check proves nothing about the page; only the page lock with a mapping check does.

mod facts;
mod remedied;
mod shared;
mod try3;
mod v2_6_29;
mod v2_6_30;
mod v6_12;

use crate::implementation::{Code, Convention, Filesystem};
use crate::kernel::{Frame, Kernel, Mm, Pte, Status};

pub(crate) use shared::POINTS;

pub use facts::{DirtiesLate, Facts, FaultPath, FsyncWait, Mkclean, TruncateOrder, ZapFlush};

/// A kernel, as far as it differs from others.
#[derive(Clone, Copy, Debug)]
pub struct Era(&'static Facts);

macro_rules! eras {
    ($($name:ident { $($facts:tt)* })*) => {
        #[allow(missing_docs)] // the facts say it
        impl Era {
            $(pub const $name: Era = Era(&Facts { $($facts)* });)*

            /// Every era, oldest first.
            pub const ALL: &[Era] = &[$(Era::$name),*];
        }
    };
}

eras! {
    V2_6_29 {
        name: "2.6.29",
        help: "2.6.23 to 2.6.29: page_mkwrite returns an errno, unlocked; set_page_dirty unlocked",
        accepts: Convention::Errno,
        fault: FaultPath::Unlocked,
        late_with_mkwrite: DirtiesLate::BOTH,
        late_without: DirtiesLate::BOTH,
        time_in_mkwrite: false,
        throttles_unlocked: false,
        mkclean: Mkclean::Locks,
        zap_flush: ZapFlush::AfterLock,
        mremap_flushes_late: false,
        tags_towrite: false,
        writes_past_errors: false,
        fsync_wait: FsyncWait::AfterOp,
        fsync_locks_inode: true,
        fsync_checks_again: false,
        truncates_equal_size: false,
        truncates_larger_size: false,
        isize_extended: false,
        zeroes_extended: false,
        writepage_discards: true,
        truncate_order: TruncateOrder::InvalidatesFirst,
        truncate_unmaps_again: true,
        invalidate_lock: false,
        freezes: false,
        invalidate_counts_references: false,
        invalidate2_counts_references: false,
        invalidate2_error: Status::Busy,
        reclaim_writes: true,
        reclaim_skips_pinned: false,
    }
    V2_6_30_RC {
        name: "2.6.30-rc",
        help: "2.6.30-rc1 until the patch: as 2.6.29, with VM_FAULT codes",
        accepts: Convention::Codes,
        ..*Era::V2_6_29.0
    }
    TRY3 {
        name: "try3",
        help: "the patch as posted (15 April 2009)",
        accepts: Convention::Locked,
        fault: FaultPath::Posted,
        late_with_mkwrite: DirtiesLate::NEVER,
        late_without: DirtiesLate::WP,
        ..*Era::V2_6_30_RC.0
    }
    V2_6_30 {
        name: "2.6.30",
        help: "the patch as landed: locked from page_mkwrite's return until set_page_dirty",
        fault: FaultPath::Landed,
        ..*Era::TRY3.0
    }
    V3_0 {
        name: "3.0",
        help: "as 2.6.30",
        tags_towrite: true,
        fsync_wait: FsyncWait::BeforeOp,
        truncates_larger_size: true,
        ..*Era::V2_6_30.0
    }
    V3_10 {
        name: "3.10",
        help: "as 3.0, but page_mkwrite updates the file's time itself",
        time_in_mkwrite: true,
        mremap_flushes_late: true,
        fsync_wait: FsyncWait::InOp,
        fsync_locks_inode: false,
        ..*Era::V3_0.0
    }
    V4_19 {
        name: "4.19",
        help: "as 3.10, but a page without page_mkwrite is dirtied locked, after its pte",
        fault: FaultPath::Shared,
        zap_flush: ZapFlush::AfterRmap,
        mremap_flushes_late: false,
        fsync_checks_again: true,
        truncates_equal_size: true,
        isize_extended: true,
        ..*Era::V3_10.0
    }
    V6_1 {
        name: "6.1",
        help: "as 4.19, but throttling comes last, after mmap_lock",
        throttles_unlocked: true,
        writes_past_errors: true,
        writepage_discards: false,
        invalidate_lock: true,
        freezes: true,
        invalidate_counts_references: true,
        ..*Era::V4_19.0
    }
    V6_12 {
        name: "6.12",
        help: "as 6.1",
        zap_flush: ZapFlush::BeforeRmap,
        reclaim_writes: false,
        reclaim_skips_pinned: true,
        ..*Era::V6_1.0
    }
    V6_18 {
        name: "6.18",
        help: "as 6.12",
        zeroes_extended: true,
        ..*Era::V6_12.0
    }
}

impl Era {
    /// The callers, oldest first: the eras that a fault path is taken from.
    pub const CALLERS: &[Era] = Era::ALL;

    /// An era of these facts. Its name should be its own.
    pub const fn new(facts: &'static Facts) -> Era {
        Era(facts)
    }

    /// The caller with this name.
    pub fn caller(name: &str) -> Option<Era> {
        Era::CALLERS.iter().copied().find(|era| era.name() == name)
    }

    /// The name on the command line and in files.
    pub const fn name(self) -> &'static str {
        self.0.name
    }

    /// What its fault path is, in a line.
    pub const fn help(self) -> &'static str {
        self.0.help
    }

    /// What it does.
    #[inline]
    pub const fn facts(self) -> &'static Facts {
        self.0
    }
}

/// An era is its name.
impl PartialEq for Era {
    fn eq(&self, other: &Era) -> bool {
        self.name() == other.name()
    }
}

impl Eq for Era {}

/// A fault on its way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Fault {
    /// The address space.
    pub(crate) mm: Mm,
    /// The page of the file at the faulting address.
    pub(crate) index: u8,
    /// It was a store.
    pub(crate) write: bool,
    /// The pte as the fault found it.
    pub(crate) pte: Pte,
}

/// Takes a fault on a present, read-only pte. The pte lock is held and gets dropped.
pub(crate) async fn do_wp_page<F: Filesystem>(k: &Kernel<F>, fault: Fault, page: Frame) -> Code {
    match k.caller().facts().fault {
        FaultPath::Unlocked => v2_6_29::do_wp_page(k, fault, page).await,
        FaultPath::Posted => try3::do_wp_page(k, fault, page).await,
        FaultPath::Landed => v2_6_30::do_wp_page(k, fault, page).await,
        FaultPath::Shared => v6_12::do_wp_page(k, fault, page).await,
    }
}

/// Takes a fault on a pte that is none. Nothing is held but mmap_lock.
pub(crate) async fn do_fault<F: Filesystem>(k: &Kernel<F>, fault: Fault) -> Code {
    match k.caller().facts().fault {
        FaultPath::Unlocked => v2_6_29::do_fault(k, fault).await,
        FaultPath::Posted => try3::do_fault(k, fault).await,
        FaultPath::Landed => v2_6_30::do_fault(k, fault).await,
        FaultPath::Shared => v6_12::do_fault(k, fault).await,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_callers_are_found_by_theirs() {
        let mut names: Vec<_> = Era::ALL.iter().map(|era| era.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Era::ALL.len());
        for &caller in Era::CALLERS {
            assert_eq!(Era::caller(caller.name()), Some(caller));
            assert!(Era::ALL.contains(&caller));
        }
        assert_eq!(Era::caller("3.1"), None);
    }
}
