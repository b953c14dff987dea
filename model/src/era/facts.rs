//! What differs between kernels in a step or in an order of steps, as data: `mm/`, the kernel's
//! helpers and the rules of the judge read it. Nobody asks for an era by name, and nobody guesses
//! from the return convention. What differs in structure is a file beside this one.

use crate::implementation::Convention;
use crate::kernel::Status;

/// The facts of a kernel.
///
/// In a pair those about the fault path come from the caller, and all others from the era of the
/// implementation: nfs@3.0 has 3.0's fsync under any caller.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facts {
    /// Its name on the command line and in files.
    pub name: &'static str,
    /// What its fault path is, in a line.
    pub help: &'static str,

    /// Fault path: what it understands of page_mkwrite's return.
    pub accepts: Convention,
    /// Fault path: its structure.
    pub fault: FaultPath,
    /// Fault path: when it marks the page dirty, for mappings with page_mkwrite.
    pub late_with_mkwrite: DirtiesLate,
    /// Fault path: the same for mappings without one.
    pub late_without: DirtiesLate,
    /// Fault path: page_mkwrite updates the file's time itself, and the fault path does so for
    /// mappings without one alone (`[time-in-mkwrite]`). Since 3.6.
    pub time_in_mkwrite: bool,
    /// Fault path: it drops mmap_lock before it throttles, and that comes last
    /// (`[shared-fault-path]`). Since 5.5; before, it throttles first.
    pub throttles_unlocked: bool,

    /// How page_mkclean meets a pte (`[mkclean]`).
    pub mkclean: Mkclean,
    /// When munmap flushes the TLBs of other CPUs (`[tlb-flush]`).
    pub zap_flush: ZapFlush,
    /// mremap flushes them when it has let go of the pte lock (`[tlb-flush]`). 3.2 to 4.8.
    pub mremap_flushes_late: bool,
    /// write_cache_pages first tags what it will write (TOWRITE), so that pages that become dirty
    /// meanwhile are not its business (`[towrite]`). Since 2.6.36.
    pub tags_towrite: bool,
    /// write_cache_pages for integrity goes on after an error of writepage
    /// (`[writeback-errors]`). Since 5.0; up to 4.19 it stops, as that of the flusher still does.
    pub writes_past_errors: bool,
    /// When fsync waits for the pages under writeback.
    pub fsync_wait: FsyncWait,
    /// fsync holds the inode lock over ->fsync. Since 3.1 that is the filesystem's business.
    pub fsync_locks_inode: bool,
    /// The usual ->fsync looks for an error once more when it has written the inode
    /// (`[fsync-in-op]`). Since 4.13.
    pub fsync_checks_again: bool,
    /// A truncate to the same size truncates the page cache too, and so zeroes the last page beyond
    /// the end.
    pub truncates_equal_size: bool,
    /// A larger size unmaps and truncates the page cache beyond it, too, and so zeroes what its last
    /// page has there (`[truncate-pagecache]`). Since 2.6.36.
    pub truncates_larger_size: bool,
    /// When the file has grown, its old last page is write-protected where blocks are smaller than
    /// pages (`[isize-extended]`). Since 3.18.
    pub isize_extended: bool,
    /// And what it has beyond the old end is zeroed, if it is dirty (`[content-past-eof]`). Since
    /// 6.13.
    pub zeroes_extended: bool,
    /// writepage of fs/buffer.c discards the buffers of a page that lies wholly beyond i_size
    /// (`[writepage-beyond-eof]`). Up to 5.5.
    pub writepage_discards: bool,
    /// What happens first to a dirty page that is truncated (`[truncate-order]`).
    pub truncate_order: TruncateOrder,
    /// truncate unmaps the pages once more after it has removed them. 2.6.18 does not.
    pub truncate_unmaps_again: bool,
    /// Whoever reads a page into the page cache holds invalidate_lock, and whoever removes pages and
    /// blocks together holds it alone (`[invalidate-lock]`). Since 5.15.
    pub invalidate_lock: bool,
    /// page_mkwrite waits while the filesystem is frozen, and freezing waits for it (`[freeze-levels]`). Since
    /// 3.6; here from 6.1 on, because the races before that are left out.
    pub freezes: bool,
    /// invalidate_mapping_pages leaves a page alone that others hold a reference to, and with it its
    /// private data (`[invalidate]`). Since 5.18; before, it finds that out last.
    pub invalidate_counts_references: bool,
    /// invalidate_inode_pages2 removes no page that others hold a reference to, as in 2.6.18.
    pub invalidate2_counts_references: bool,
    /// What it fails with (`[invalidate]`): EIO in 2.6.18, later EBUSY.
    pub invalidate2_error: Status,
    /// Reclaim writes dirty pages of files (`[reclaim]`). The filesystems that are modelled here have
    /// no ->writepage any more in 6.12, and 6.16 has none at all: that leaves them to the flusher.
    pub reclaim_writes: bool,
    /// Reclaim leaves a page alone that is pinned for a device, once it is unmapped (`[pinned-pages]`). Since
    /// 6.4.
    pub reclaim_skips_pinned: bool,
}

/// The fault paths that differ in structure.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FaultPath {
    /// The page comes back unlocked, and is dirtied unlocked (`v2_6_29.rs`).
    Unlocked,
    /// The patch as posted (`try3.rs`).
    Posted,
    /// The patch as landed: locked until it is dirty (`v2_6_30.rs`).
    Landed,
    /// The same in steps that the WP and the MISS path share (`v6_12.rs`).
    Shared,
}

/// Whether the fault path makes the pte writable first and marks the page dirty later, without the
/// page lock in between. `false`: the page is locked until it is dirty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DirtiesLate {
    /// Where the pte was present and read-only (do_wp_page).
    pub wp: bool,
    /// Where there was no pte (__do_fault).
    pub miss: bool,
}

impl DirtiesLate {
    /// Both paths dirty late.
    pub const BOTH: DirtiesLate = DirtiesLate { wp: true, miss: true };
    /// Only the WP path does.
    pub const WP: DirtiesLate = DirtiesLate { wp: true, miss: false };
    /// The page is locked until it is dirty on both paths.
    pub const NEVER: DirtiesLate = DirtiesLate { wp: false, miss: false };
}

/// How page_mkclean meets a pte.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mkclean {
    /// It looks without the lock, and passes over a pte that is none at that moment (to 2.6.26).
    Peeks,
    /// It takes the lock first (2.6.27 and later).
    Locks,
}

/// When munmap flushes the TLBs of other CPUs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ZapFlush {
    /// When it has let go of the pte lock (to 3.14).
    AfterLock,
    /// Under the pte lock, when the page no longer counts as mapped (3.15 to 6.1).
    AfterRmap,
    /// Before that (6.2 and later).
    BeforeRmap,
}

/// When fsync waits for the pages under writeback.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FsyncWait {
    /// After ->fsync (2.6.29 fs/sync.c: do_fsync; 2.6.30 fs/sync.c: vfs_fsync).
    AfterOp,
    /// Before ->fsync, which is called whatever the wait gave (3.0 fs/sync.c: vfs_fsync_range).
    BeforeOp,
    /// ->fsync does all of it, and takes the inode lock itself, if it does. The usual one ends after
    /// an error of the wait (3.10 fs/libfs.c: generic_file_fsync).
    InOp,
}

/// What truncate does first to a dirty page with private data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TruncateOrder {
    /// cancel_dirty_page, then ->invalidatepage (2.6.20 to 2.6.24 mm/truncate.c:
    /// truncate_complete_page).
    CancelsFirst,
    /// ->invalidatepage, then cancel_dirty_page (2.6.29 and later).
    InvalidatesFirst,
}
