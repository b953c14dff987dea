//! Remedies: the opposite of planted bugs. Each is a switch in a code path that closes one window
//! of the old code the way a later kernel did, or would; off unless asked for.
//!
//! An entry of the ledger names the remedies that cure it. A pair is also hunted with all remedies
//! of its entries on, and there nothing is expected: so every line of an old implementation runs
//! somewhere where any breach is new.

use std::fmt;

macro_rules! remedies {
    ($($variant:ident $name:literal $what:literal $source:literal;)*) => {
        /// A remedy.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Remedy { $(#[doc = $what] $variant,)* }

        impl Remedy {
            /// Every remedy.
            pub const ALL: &'static [Remedy] = &[$(Remedy::$variant),*];

            /// The name on the command line, in the ledger and in files.
            pub const fn name(self) -> &'static str {
                match self { $(Remedy::$variant => $name,)* }
            }

            /// What it does.
            pub const fn what(self) -> &'static str {
                match self { $(Remedy::$variant => $what,)* }
            }

            /// Which kernel does it so, with facts of docs/sources.md in brackets.
            pub const fn source(self) -> &'static str {
                match self { $(Remedy::$variant => $source,)* }
            }

            /// The remedy with this name.
            pub fn from_name(name: &str) -> Option<Remedy> {
                match name { $($name => Some(Remedy::$variant),)* _ => None }
            }
        }
    };
}

remedies! {
    LockedReturn    "locked-return"    "page_mkwrite keeps the page locked, and the fault path marks it dirty before it unlocks it"
        "2.6.30 mm/memory.c: do_wp_page, __do_fault (commit b827e496c893) [locked-return]";
    RetryOnRace     "retry-on-race"    "page_mkwrite asks for the fault to be retried when the page has left the mapping"
        "2.6.30 fs/buffer.c: block_page_mkwrite; 3.0 fs/nfs/file.c: nfs_vm_page_mkwrite [block-page-mkwrite, nfs-page-mkwrite]";
    NullMappingTest "null-mapping-test" "the fault path tests for a NULL mapping before it throttles"
        "2.6.30 mm/memory.c: do_wp_page, __do_fault (commit b827e496c893) [null-mapping]";
    TimeAfterUnlock "time-after-unlock" "the fault path updates the file's time after it has unlocked the page"
        "2.6.30 mm/memory.c: do_wp_page, __do_fault (commit b827e496c893) [time-after-unlock]";
    RetryAtEof      "retry-at-eof"     "page_mkwrite asks for a retry when no part of the page lies below i_size"
        "3.0 fs/nfs/file.c: nfs_vm_page_mkwrite [nfs-length-0]";
    DirtyBeforePte  "dirty-before-pte" "a mapping without page_mkwrite gets the generic one, which locks the page and marks it dirty before the pte becomes writable"
        "3.10 mm/filemap.c: filemap_page_mkwrite, in generic_file_vm_ops [generic-page-mkwrite]";
    IsizeExtended   "isize-extended"   "when the file grows inside its last page that page is write-protected, so that the next store calls page_mkwrite again"
        "3.18 mm/truncate.c: pagecache_isize_extended (commit 90a8020278c1) [isize-extended]";
    ZeroTail        "zero-tail-at-extension" "what lies beyond i_size in the last page is zeroed before the file grows, and by a truncate to the same size"
        "6.13 mm/truncate.c: pagecache_isize_extended (commit 52aecaee1c26) [content-past-eof]";
    PrepareBelowEof "prepare-below-eof" "page_mkwrite prepares the part of the page below i_size, and asks for a retry if there is none"
        "fsblock as posted in February 2009: fsblock_page_mkwrite [fsblock-2009]";
    GrowFile        "grow-file"        "page_mkwrite's update of the write request never raises i_size"
        "none: nfs_grow_file is called from page_mkwrite to this day (6.12 fs/nfs/write.c: nfs_writepage_setup) [nfs-grow-file]";
    TruncateFirst   "truncate-first"   "setattr to a smaller size lowers i_size and cuts the requests first, then flushes, then sends SETATTR; sizes that the server told before the last change do not count"
        "none: 6.12 fs/nfs/inode.c: nfs_setattr still flushes, sends SETATTR and writes i_size, in this order [nfs-setattr]";
    PunchProtects   "punch-protects"   "before a hole takes blocks of a page that stays, that page is write-protected, so that the next store calls page_mkwrite again"
        "6.14 fs/ext4/inode.c: ext4_truncate_page_cache_block_range [punch-hole]";
    FailedConverts  "failed-converts"  "a block whose write failed stays unwritten, and is converted after the next write of its page that succeeds"
        "none: 6.12.117 fs/ext4/page-io.c: ext4_end_io_end leaves it unwritten, and its buffer says that there is nothing to map or convert [ext4-end-io]";
    ZeroWaits       "zero-waits"       "who zeroes a part of a block waits for the writeback of its page"
        "6.12.117 fs/ext4/inode.c: __ext4_block_zero_page_range (FGP_WRITEBEGIN) [ext4-fallocate]";
    ShortCopyTruncates "short-copy-truncates" "a write(2) whose copy is short cuts off what it got space for beyond the end"
        "6.12.117 fs/ext4/inode.c: ext4_write_end, which delayed allocation does not come by [ext4-write]";
    HoleInHandle    "hole-in-handle"   "a hole takes pages and blocks in one handle of the journal, so that no commit comes between"
        "none: 6.12.117 fs/ext4/inode.c: ext4_punch_hole takes the pages before it starts the handle [ext4-fallocate]";
    ZeroRangeAllocates "zero-range-allocates" "zero_range gets all its blocks before it zeroes anything"
        "none: 6.12.117 fs/ext4/extents.c: ext4_zero_range does so only where the range ends inside a block [ext4-fallocate]";
    FallocateExtends "fallocate-extends" "fallocate(2) that makes the file longer treats the page that held its end as truncate does: it is write-protected, and zeroed beyond the end"
        "6.13 fs/ext4/extents.c: ext4_alloc_file_blocks (commit c7fc0366c656) [ext4-fallocate]";
    PunchRefused    "punch-refused"    "fallocate(2) punches no holes, and on FUSE zeroes no ranges"
        "none: NFS before version 4.2 has no DEALLOCATE; with it nothing excludes stores (6.12 fs/nfs/nfs42proc.c: nfs42_proc_deallocate), nor on FUSE (6.12 fs/fuse/file.c: fuse_file_fallocate) [nfs-deallocate, fuse-fallocate]";
    NfsLastPage     "nfs-last-page"    "whoever extends the file write-protects the last page and zeroes it beyond the old end, and raises i_size before it unlocks it"
        "6.18 fs/nfs/file.c: nfs_truncate_last_folio (commit b1817b18ff20), which raises i_size before it locks the page [nfs-last-page]";
    ReserveFirst    "reserve-first"    "page_mkwrite of iomap gets space for all of the page below i_size before it marks the page dirty"
        "none: 6.12 fs/iomap/buffered-io.c: iomap_page_mkwrite marks it dirty with each mapping [iomap-folio-state]";
    ReleaseRoundsUp "release-rounds-up" "what a write(2) on iomap that ended early gives back begins behind the block that holds the end of the file, if that is dirty"
        "none: 6.12 fs/iomap/buffered-io.c: iomap_write_delalloc_release cuts the dirty range at i_size, and XFS rounds that down [iomap-write]";
    PinBounced      "pin-bounced"      "a device writes to memory of its own, and what it wrote is stored to the mapping as a user would, with page_mkwrite"
        "none: pages of files are pinned to this day (6.12 Documentation/core-api/pin_user_pages.rst) [pinned-pages]";
    PinnedKept      "pinned-kept"      "reclaim leaves a page alone that is pinned for a device"
        "6.4 mm/vmscan.c: shrink_folio_list (commit d824ec2a1546) [pinned-pages]";
    FlushFirst      "flush-first"      "munmap and mremap flush the TLBs of other CPUs under the pte lock, and munmap before the page no longer counts as mapped"
        "3.15 and 6.2 mm/memory.c: zap_pte_range (commits 1cf35d47712d, 5df397dec7c4); 4.9 mm/mremap.c: move_ptes (commit 5d1904204c99) [tlb-flush]";
    DiskSizeFirst   "disk-size-first"  "truncate writes a new size that is larger than that on the device to the device before it cuts the page cache"
        "none: 6.12 fs/xfs/xfs_iops.c: xfs_setattr_size logs the size last [xfs-setattr]";
    DirtyInMkwrite  "dirty-in-mkwrite" "page_mkwrite of FUSE marks the page dirty itself, before its pte becomes writable"
        "3.10 mm/filemap.c: filemap_page_mkwrite does; 6.12 fs/fuse/file.c: fuse_page_mkwrite leaves it to the fault path [fuse-page-mkwrite, generic-page-mkwrite]";
    LockedWrite     "locked-write"     "write(2) on FUSE keeps its page locked until the server has answered and i_size is raised"
        "none: 6.12 fs/fuse/file.c: fuse_fill_write_pages unlocks a page that is up to date before the WRITE is sent [fuse-write-through]";
}

impl fmt::Display for Remedy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

crate::bit_set! {
    /// A set of remedies.
    Remedies of Remedy: u64
}

impl Remedies {
    /// The names for a sentence; files have them without blanks.
    pub fn in_words(self) -> String {
        self.iter().map(Remedy::name).collect::<Vec<_>>().join(", ")
    }
}

impl fmt::Display for Remedies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (n, remedy) in self.iter().enumerate() {
            write!(f, "{}{remedy}", if n == 0 { "" } else { "," })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_invertible_and_sets_hold_what_is_put_in() {
        for &remedy in Remedy::ALL {
            assert_eq!(Remedy::from_name(remedy.name()), Some(remedy));
        }
        let two = Remedies::from_iter([Remedy::LockedReturn, Remedy::RetryAtEof]);
        assert_eq!(
            (two.to_string().as_str(), two.iter().count()),
            ("locked-return,retry-at-eof", 2)
        );
        assert!(
            two.contains(Remedies::NONE)
                && two.has(Remedy::RetryAtEof)
                && !two.has(Remedy::RetryOnRace)
        );
    }
}
