//! What an implementation says of itself: its kernel, and what it promises.

use super::Convention;
use crate::era::Era;
use crate::remedy::{Remedies, Remedy};

/// What an implementation says of itself.
#[derive(Debug, PartialEq, Eq)]
pub struct Declaration {
    /// `fs@version`.
    pub name: &'static str,
    /// What its page_mkwrite returns.
    pub convention: Convention,
    /// The caller that it lived with, or would have.
    pub natural: Era,
    /// The kernel that it comes from: the facts of all that is not the fault path.
    pub era: Era,
    /// Its pages have a mapping and are in a page cache. Rules about those do not apply to others.
    pub page_cache: bool,
    /// It promises that no page changes while it is under writeback.
    pub stable_pages: bool,
    /// It can be frozen.
    pub freezes: bool,
    /// What i_size changes under.
    pub size_guard: SizeGuard,
    /// Results and block counts that may differ from other implementations; see the differential
    /// rule.
    pub may_differ: &'static [Aspect],
    /// What it ties to a dirty page.
    pub record: &'static str,
    /// Where its facts come from, with facts of docs/sources.md in brackets.
    pub source: &'static str,
}

impl Declaration {
    /// Stores to clean pages are noticed, and dirty pages are tagged, counted and written back
    /// (mapping_cap_account_dirty, later mapping_can_writeback).
    pub const fn tracks_dirty(&self) -> bool {
        !matches!(self.convention, Convention::Untracked)
    }

    /// The vma has a page_mkwrite: its own, or the generic one that a remedy gives it.
    pub const fn has_page_mkwrite(&self, remedies: Remedies) -> bool {
        match self.convention {
            Convention::Untracked => false,
            Convention::None => self.page_cache && remedies.has(Remedy::DirtyBeforePte),
            _ => true,
        }
    }
}

/// What guards changes of i_size.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum SizeGuard {
    /// The holder of the inode lock.
    InodeLock,
    /// The server has the last word: a reply may change it, under a lock of the filesystem's
    /// (i_lock in NFS).
    Server,
}

/// Something that a differential comparison looks at.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Aspect {
    /// Which blocks of the file are allocated.
    Blocks,
}
