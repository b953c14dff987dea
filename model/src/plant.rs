//! Planted bugs: switches in the paths of callers, actors and implementations, off unless asked
//! for.
//!
//! A rule that cannot fail is a defect, so each rule of the judge owns one planted bug that a hunt
//! must find under the rule's name. Others re-introduce bugs that somebody had; they say who, and
//! name a fact of docs/sources.md in brackets. A plant removes or misplaces one step of a path; it
//! never edits the world. It acts on every pair whose code has the step, so the switch stands where
//! the step is written once: in the kernel's helpers, in what the callers share, at the way in and
//! out of page_mkwrite.

use crate::remedy::Remedy;

macro_rules! plants {
    ($($variant:ident $name:literal $implementation:literal $what:literal;)*) => {
        /// A planted bug.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Plant { $(#[doc = $what] $variant,)* }

        impl Plant {
            /// Every planted bug.
            pub const ALL: &'static [Plant] = &[$(Plant::$variant),*];

            /// The name that `hunt --plant` takes.
            pub const fn name(self) -> &'static str {
                match self { $(Plant::$variant => $name,)* }
            }

            /// The implementation to hunt it with.
            pub const fn implementation(self) -> &'static str {
                match self { $(Plant::$variant => $implementation,)* }
            }

            /// What is wrong with it.
            pub const fn what(self) -> &'static str {
                match self { $(Plant::$variant => $what,)* }
            }

            /// The planted bug with this name.
            pub fn from_name(name: &str) -> Option<Plant> {
                match name { $($name => Some(Plant::$variant),)* _ => None }
            }
        }
    };
}

plants! {
    LockedWithoutLock   "locked-without-lock"   "block@2.6.30"  "page_mkwrite unlocks the page and still returns LOCKED";
    LeakPageLock        "leak-page-lock"        "block@2.6.30"  "WP path: no unlock_page when the pte has changed";
    LeakReference       "leak-reference"        "block@2.6.30"  "MISS path: no put_page when page_mkwrite has failed or returned NOPAGE";
    FreeWhileCached     "free-while-cached"     "block@2.6.30"  "reclaim drops the page cache's reference but leaves the page in the tree";
    MappingLeftBehind   "mapping-left-behind"   "block@2.6.30"  "truncate removes the page from the tree and leaves page->mapping set";
    WritebackUnlocked   "writeback-unlocked"    "block@2.6.30"  "writepage unlocks the page before set_page_writeback";
    MapUnlocked         "map-unlocked"          "block@2.6.30"  "MISS path: the page is unlocked before the pte is installed";
    TimeUnderLock       "time-under-lock"       "block@2.6.30"  "WP path: file_update_time before unlock_page";
    RetryForever        "retry-forever"         "filemap@3.10"  "page_mkwrite returns NOPAGE for a page that is already dirty";
    SkipMkclean         "skip-mkclean"          "block@2.6.30"  "clear_page_dirty_for_io does not call page_mkclean";
    MkcleanKeepsDirty   "mkclean-keeps-dirty"   "block@2.6.30"  "page_mkclean write-protects the pte but leaves its dirty bit";
    MkcleanOneMm        "mkclean-one-mm"        "block@2.6.30"  "page_mkclean stops after the first pte that it finds";
    NoStableWait        "no-stable-wait"        "filemap@3.10"  "page_mkwrite does not wait for writeback on a device that needs stable pages";
    NoDirtyTag          "no-dirty-tag"          "block@2.6.30"  "set_page_dirty leaves the DIRTY tag alone while the page is under writeback";
    StaleTag            "stale-tag"             "block@2.6.30"  "writepage with no dirty block unlocks and returns without starting writeback";
    WritebackTagStays   "writeback-tag-stays"   "block@2.6.30"  "end_page_writeback leaves the WRITEBACK tag of a page that was dirtied again";
    SilentNoWrite       "silent-no-write"       "filemap@3.10"  "writepage called by reclaim returns 0 and has done nothing";
    EndWritebackTwice   "end-writeback-twice"   "block@2.6.30"  "completion of a page that was dirtied again calls end_page_writeback twice";
    CancelUncounted     "cancel-uncounted"      "block@2.6.30"  "cancel_dirty_page does not adjust the dirty page counter";
    RecordFreedEarly    "record-freed-early"    "fsblock@2009"  "completion frees the blocks although they are dirty again";
    RecordKept          "record-kept"           "fsblock@2009"  "completion sets the dirty bit of the first block again";
    NoMappingCheck      "no-mapping-check"      "filemap@3.10"  "page_mkwrite returns LOCKED without having checked page->mapping";
    SkipUnmap           "skip-unmap"            "block@2.6.30"  "truncate does not unmap in the second address space";
    TruncateSkipsDirty  "truncate-skips-dirty"  "block@2.6.30"  "truncate leaves a dirty page in the page cache";
    NoTailZero          "no-tail-zero"          "block@2.6.30"  "writepage does not zero the page beyond i_size";
    NoPartialZero       "no-partial-zero"       "block@2.6.30"  "truncate zeroes neither the partial page nor the partial block";
    CutSkipsWait        "cut-skips-wait"        "block@2.6.30"  "truncate does not wait for the I/O of the page that it cuts inside";
    SizeBeforeLock      "size-before-lock"      "block@2.6.30"  "page_mkwrite reads i_size before it has locked the page";
    SigbusOnRace        "sigbus-on-race"        "block@2.6.30"  "page_mkwrite returns SIGBUS for a page that left the mapping";
    SizeWithoutLock     "size-without-lock"     "block@2.6.30"  "write(2) raises i_size after it has dropped the inode lock";
    FsyncSkipsWait      "fsync-skips-wait"      "block@2.6.30"  "fsync does not wait for pages that are under writeback";
    ShortTransfer       "short-transfer"        "block@2.6.30"  "the device loses the last block of a request";
    ErrorForgotten      "error-forgotten"       "block@2.6.30"  "a failed write does not set the mapping's error";
    InvalidateDirty     "invalidate-dirty"      "filemap@3.10"  "invalidate_mapping_pages removes dirty pages";
    ShortExtend         "short-extend"          "block@2.6.30"  "write(2) does not raise i_size when the page was already dirty";
    ThrottleNull        "throttle-null"         "driver@2.6.30" "the fault path calls balance_dirty_pages without the test for a NULL mapping";
    CommitFlagKept      "commit-flag-kept"      "nfs@3.0"       "an update merges into a request that waits for COMMIT and leaves it marked so";
    FlushUnderPageLock  "flush-under-page-lock" "nfs@3.0"       "write_begin waits for the flush lock after it has locked the page";
    FsyncNoCommit       "fsync-no-commit"       "nfs@3.0"       "fsync never sends COMMIT";
    SetattrNoFlush      "setattr-no-flush"      "nfs@3.0"       "setattr sends SETATTR without having written the file's pages";
    ReleaseNoCommit     "release-no-commit"     "nfs@3.0"       "releasepage sends no COMMIT";
    MkwriteCoversNothing "mkwrite-covers-nothing" "nfs@3.0"     "page_mkwrite makes a request also for a page that lies wholly beyond i_size";
    RequestKeepsLength  "request-keeps-length"  "nfs@3.0"       "with the remedy truncate-first: truncate leaves the request of the last page as long as it was";
    FsyncNoInode        "fsync-no-inode"        "block@2.6.30"  "fsync does not write the inode, so the file on the store keeps its old size";
    WrongErrno          "wrong-errno"           "filemap@3.10"  "a store past the end reports SIGSEGV where SIGBUS is due";
    LeakBlocks          "leak-blocks"           "block@2.6.30"  "truncate takes blocks out of the file's map and does not free them";
    BlocksStayMapped    "blocks-stay-mapped"    "block@2.6.30"  "truncate frees blocks and leaves them in the file's map";
    WritebackSkipsPage  "writeback-skips-page"  "block@2.6.30"  "write_cache_pages drops the page of its batch that begins the next object of two pages (ceph, 081a0b78ef30) [ceph-next-object]";
    DirtyForEver        "dirty-for-ever"        "block@2.6.30"  "writepage leaves blocks beyond i_size dirty, and the page for their sake (FreeBSD's vnode pager) [freebsd-dirty-tail]";
    DirtyPageOnly       "dirty-page-only"       "filemap@3.10"  "set_page_dirty marks the page and not the blocks that it has";
    MkwriteWritesSize   "mkwrite-writes-size"   "block@2.6.30"  "page_mkwrite writes i_size as the end of what it covers, also where the file is longer";
    MkwriteGrowsBack    "mkwrite-grows-back"    "block@2.6.30"  "page_mkwrite raises i_size to what it was when page_mkwrite began (nfs_grow_file) [nfs-grow-file]";
    MkwriteFailsUnderWriteback "mkwrite-fails-under-writeback" "block@2.6.30" "page_mkwrite fails if the page is under writeback";
    ReadRereadsDirty    "read-rereads-dirty"    "block@2.6.30"  "read(2) fills a dirty page from the store once more (kata-containers/runtime issue 1000) [read-past-cache]";
    SizeAfterUnlock     "size-after-unlock"     "filemap@3.10"  "write(2) raises i_size after it has unlocked the page (DragonOS issue 1664) [size-after-unlock]";
    DirtyRefused        "dirty-refused"         "block@2.6.30"  "a write fault on a read-only pte of a dirty page is a protection fault (SerenityOS issue 24801) [dirty-write-refused]";
    SizeLast            "size-last"             "block@2.6.30"  "truncate removes the pages first and lowers i_size last (managarm issue 1529) [size-last]";
    FsLockOverTruncate  "fs-lock-over-truncate" "block@2.6.30"  "truncate and ->fault take a lock of the filesystem, in both orders with the page lock (ntfs3, ni_lock) [lock-over-truncate]";
    WriteFillsHoles     "write-fills-holes"     "fsblock@2009"  "write(2) allocates and writes all blocks of the page that the file reaches into, not only those that it fills";
    CountLeavesOut      "count-leaves-out"      "block@2.6.30"  "remove_mapping compares the references of a page with a count that leaves out the caller's own";
    WritebackEndsFirst  "writeback-ends-first"  "ext4@6.12"     "completion ends writeback before it converts unwritten blocks (ext4 before b0857d309fae) [ext4-end-io, convert-before-end]";
    SizeBeforeMkclean   "size-before-mkclean"   "ext4@6.1"      "writeback reads i_size before it has write-protected the page, and zeroes the tail by it (a056bdaae7a1) [ext4-writepages]";
    TowriteLost         "towrite-lost"          "ext4@6.1"      "writeback that may not allocate takes the tag TOWRITE off a page that it leaves dirty (1c8349a17137) [ext4-towrite]";
    ExtendKeepsWritable "extend-keeps-writable" "ext4@6.12"     "when the file grows, the page that held its end stays writable (90a8020278c1) [isize-extended]";
    ExtendKeepsTail     "extend-keeps-tail"     "ext4@6.12"     "when the file grows, what was stored beyond its end stays in the page (52aecaee1c26) [content-past-eof]";
    MkwriteReservesNothing "mkwrite-reserves-nothing" "ext4@6.12" "page_mkwrite asks for no space; what is stored is dropped when it turns out that there is none (2e9ee8503555) [ext4-page-mkwrite]";
    FalseShortage       "false-shortage"        "block@2.6.30"  "page_mkwrite of a dirty page reports that there is no space, whatever there is";
    SpaceReleasedUnlocked "space-released-unlocked" "xfs@6.12"      "a write(2) that ends early gives back what it reserved without invalidate_lock (XFS before 198dd8aedee6) [iomap-write]";
    ReleaseTakesAll     "release-takes-all"     "xfs@6.12"      "a write(2) that ends early gives back what is reserved for all of its mapping, whoever reserved it (XFS before f65e6fad293b) [iomap-write]";
    ReserveBeforeCheck  "reserve-before-check"  "xfs@6.12"      "page_mkwrite reserves space before it takes invalidate_lock and looks whether the page is still in the file (f2fs before 39a869582451) [reserve-before-check]";
    GrowsUnzeroed       "grows-unzeroed"        "xfs@6.12"      "truncate to a larger size zeroes nothing between the old end and the new one [xfs-setattr]";
    StaleWriteMap       "stale-write-map"       "xfs@6.12"      "write(2) does not ask whether its mapping is still valid once it has the page locked (iomap before 304a68b9c63b) [iomap-stale-map]";
    ZeroSkipsUnwritten  "zero-skips-unwritten"  "xfs@6.12"      "zero_range skips holes and unwritten blocks also where the page cache is dirty (iomap before c5c810b94cfd) [iomap-zero-range]";
    WpSkipsLockWait     "wp-skips-lock-wait"    "ext3@2.6.30"   "WP path without page_mkwrite: set_page_dirty does not wait for whoever holds the page lock (79352894b285) [no-page-mkwrite]";
    IntegrityBudget     "integrity-budget"      "block@2.6.30"  "integrity writeback ends after two pages, whoever made them dirty (05fe478dd04e) [nr-to-write]";
    InodeStaysClean     "inode-stays-clean"     "filemap@3.10"  "set_page_dirty of a page without buffers does not mark the inode dirty (56d7acc792c0) [clean-inode]";
    FreezeWritesFirst   "freeze-writes-first"   "filemap@6.12"  "freezing writes what is dirty before it keeps page_mkwrite out (ea13a86463fd) [freeze-levels]";
    MkwriteIgnoresFreeze "mkwrite-ignores-freeze" "filemap@6.12" "page_mkwrite does not wait while the filesystem is frozen (14da9200140f) [freeze-levels]";
    WritebackNotAwaited "writeback-not-awaited" "block@2.6.30"  "integrity writeback writes a page that is under writeback without waiting (a4ca369ca221) [writeback-awaited]";
    TruncateNoInvalidate "truncate-no-invalidate" "block@6.12"  "setattr does not take invalidate_lock";
    PunchNoInvalidate   "punch-no-invalidate"   "block@6.12"    "a punch does not take invalidate_lock";
    FillNoInvalidate    "fill-no-invalidate"    "block@6.12"    "->fault and read(2) read a page into the page cache without invalidate_lock";
    WriteNoInodeLock    "write-no-inode-lock"   "block@2.6.30"  "write(2) does not take the inode lock";
    TruncateNoInodeLock "truncate-no-inode-lock" "block@2.6.30" "ftruncate(2) does not take the inode lock";
    FaultNoMmapLock     "fault-no-mmap-lock"    "block@2.6.30"  "a fault does not take mmap_lock";
    DirtyAfterUnlock    "dirty-after-unlock"    "block@2.6.30"  "a fault unlocks the page after page_mkwrite and marks it dirty then";
    DirtySleeps         "dirty-sleeps"          "block@2.6.30"  "set_page_dirty waits for writeback";
    ReleaseUnlocked     "release-unlocked"      "block@2.6.30"  "invalidate_mapping_pages unlocks the page for releasepage";
    LaunderUnlocked     "launder-unlocked"      "nfs@3.0"       "invalidate_inode_pages2 unlocks the page for launder_page";
    FaultNoMappingCheck "fault-no-mapping-check" "block@2.6.30" "->fault does not look at page->mapping when it has locked the page";
    FaultNoSizeCheck    "fault-no-size-check"   "block@2.6.30"  "->fault does not look at i_size when it has locked the page";
    IntegritySkipsWriteback "integrity-skips-writeback" "block@2.6.30" "write_cache_pages for integrity passes over a page that is under writeback";
    WritebackNeverEnds  "writeback-never-ends"  "block@2.6.30"  "writepage that submits nothing does not end the writeback that it has started";
    WritepageKeepsLock  "writepage-keeps-lock"  "block@2.6.30"  "writepage leaves the page locked when it has started writeback";
    WriteBeginUnlocked  "write-begin-unlocked"  "block@2.6.30"  "write_begin returns the page unlocked";
    InvalidateSkipped   "invalidate-skipped"    "block@2.6.30"  "truncate does not call invalidatepage";
    ReclaimsWriteback   "reclaims-writeback"    "block@2.6.30"  "reclaim does not pass over a page that is under writeback";
    ReleaseIgnored      "release-ignored"       "nfs@2.6.30"    "invalidate_inode_pages2 goes on when releasepage has said no";
    EndIoSleeps         "end-io-sleeps"         "block@2.6.30"  "the completion of a write waits for the page lock";
    InvalidateUnlocked  "invalidate-unlocked"   "block@2.6.30"  "truncate unlocks the page that it cuts inside for invalidatepage";
    ReleaseSaysYes      "release-says-yes"      "block@2.6.30"  "releasepage says that the private data is gone, also if it is not";
    FsyncNoInodeLock    "fsync-no-inode-lock"   "block@2.6.30"  "fsync does not take the inode lock";
    CopyNotQueued       "copy-not-queued"       "fuse-writeback@6.12" "writepage of FUSE ends writeback when the page is copied and its request not queued yet (before 4a4ac4eba101, 2d033eaa0073) [fuse-copies]";
    ShortReadShrinks    "short-read-shrinks"    "fuse@6.12"     "a READ that was short lowers i_size, also if the file has changed since it was sent [fuse-short-read]";
    PunchNoFlush        "punch-no-flush"        "fuse@6.12"     "a punch on FUSE neither writes the range back first nor waits for requests in flight ('fuse: wait for writeback in fuse_file_fallocate()', 2013) [fuse-fallocate]";
    PinDirtiedEarly     "pin-dirtied-early"     "block@2.6.30"  "a driver marks a pinned page dirty before its device has written to it, and not after [pinned-pages]";
    ReclaimsPinned      "reclaims-pinned"       "ext4@6.12"     "reclaim takes the private data of a page that is pinned for a device (before d824ec2a1546) [pinned-pages]";
    MkcleanNoFlush      "mkclean-no-flush"      "block@2.6.30"  "page_mkclean does not flush the TLBs of other CPUs [tlb-flush]";
    UnmapNoFlush        "unmap-no-flush"        "block@2.6.30"  "truncate and invalidate unmap pages and do not flush the TLBs of other CPUs [tlb-flush]";
    ZapFlushesLate      "zap-flushes-late"      "block@6.12"    "munmap flushes the TLBs of other CPUs when it has let go of the pte lock (before 1cf35d47712d) [tlb-flush]";
    MremapFlushesLate   "mremap-flushes-late"   "block@6.12"    "mremap flushes the TLBs of other CPUs when it has let go of the pte lock (before 5d1904204c99) [tlb-flush]";
    MprotectForgetsNotify "mprotect-forgets-notify" "block@2.6.30" "mprotect makes all ptes of a mapping writable when it becomes so, whoever wants to know of stores [write-notify]";
    SetattrKeepsLock    "setattr-keeps-lock"    "ext4@6.12"     "setattr that finds no memory returns with invalidate_lock held (ext4 before 7e91ae31e2d2) [setattr-error]";
    CopyFaultsLocked    "copy-faults-locked"    "filemap@3.10"  "the copy of write(2) takes a fault on its buffer with the page locked (before 08291429cfa6) [copy-from-mapping]";
    PunchKeepsPages     "punch-keeps-pages"     "block@6.12"    "a punch leaves the pages of its range in the page cache";
}

impl Plant {
    /// The remedy without which no run comes to it: it is a mistake in the code that the remedy
    /// brings.
    pub const fn needs(self) -> Option<Remedy> {
        match self {
            Plant::RequestKeepsLength => Some(Remedy::TruncateFirst),
            _ => None,
        }
    }
}

crate::bit_set! {
    /// A set of planted bugs.
    Plants of Plant: u128
}

impl Plants {
    /// The first of them.
    pub fn first(self) -> Option<Plant> {
        self.iter().next()
    }
}

impl From<Plant> for Plants {
    fn from(plant: Plant) -> Plants {
        Plants::from_iter([plant])
    }
}

impl From<Option<Plant>> for Plants {
    fn from(plant: Option<Plant>) -> Plants {
        plant.into_iter().collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_needs_a_remedy_names_it() {
        for &plant in Plant::ALL {
            let named =
                plant.what().strip_prefix("with the remedy ").and_then(|rest| rest.split_once(':'));
            assert_eq!(
                named.map(|(name, _)| name),
                plant.needs().map(Remedy::name),
                "{}",
                plant.name()
            );
        }
        assert!(Plant::ALL.iter().any(|plant| plant.needs().is_some()));
    }

    #[test]
    fn names_are_invertible() {
        for &plant in Plant::ALL {
            assert_eq!(Plant::from_name(plant.name()), Some(plant));
        }
    }
}
