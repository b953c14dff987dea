//! The named scheduling points, in one table.
//!
//! A point is a place between two steps. A task that stands at a point has done all before it and
//! nothing after it; the text says what its next step does. Names are stable and numbers are
//! append-only, because stored schedules refer to them. All implementations share the points of the
//! page_mkwrite, writepage and completion contracts, so that one schedule fits them all.

macro_rules! points {
    ($($number:literal $variant:ident $name:literal $does:literal;)*) => {
        /// A scheduling point.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Point { $(#[doc = $does] $variant = $number,)* }

        impl Point {
            /// Every point, in table order.
            pub const ALL: &'static [Point] = &[$(Point::$variant),*];

            /// The stable name.
            pub const fn name(self) -> &'static str {
                match self { $(Point::$variant => $name,)* }
            }

            /// What the step after the point does.
            pub const fn does(self) -> &'static str {
                match self { $(Point::$variant => $does,)* }
            }

            /// Tasks stand there; the others are moments of a run.
            pub const fn is_scheduling_point(self) -> bool {
                (self as u8) < Point::RunQuiescent as u8
            }

            /// The point with this number.
            pub const fn from_number(number: u8) -> Option<Point> {
                match number { $($number => Some(Point::$variant),)* _ => None }
            }

            /// The point with this name.
            pub fn from_name(name: &str) -> Option<Point> {
                match name { $($name => Some(Point::$variant),)* _ => None }
            }
        }
    };
}

points! {
    0   OpStart            "op.start"               "the operation enters the kernel, or its first instruction runs";
    1   UserStore          "user.store"             "the CPU executes the store: through the pte, or it faults";
    2   UserLoad           "user.load"              "the CPU executes the load: through the pte, or it faults";

    10  FaultMmapLock      "fault.mmap_lock"        "take mmap_lock for reading, find the vma";
    11  FaultPte           "fault.pte"              "take the pte lock, look at the pte, choose the WP or the MISS path";
    12  FaultSize          "fault.i_size"           "->fault compares the index with i_size";
    13  FaultFind          "fault.find_page"        "->fault looks the page up, or adds a new locked one";
    14  FaultRead          "fault.readpage"         "->fault reads the page from the store";
    15  FaultLock          "fault.lock_page"        "->fault locks the page, rechecks mapping, uptodate, i_size";

    20  WpMkwrite          "wp.page_mkwrite"        "WP: reference taken, pte lock dropped; call page_mkwrite";
    21  MkwriteReturned    "mkwrite.returned"       "the caller looks at what page_mkwrite returned";
    22  WpLock             "wp.lock_page"           "WP: lock the page that came back unlocked, check its mapping";
    23  WpPteSame          "wp.pte_same"            "WP: take the pte lock, compare the pte, make it writable and dirty";
    24  WpWaitLocked       "wp.wait_on_page_locked" "WP: wait until the page is not locked";
    25  WpDirty            "wp.set_page_dirty"      "WP: set_page_dirty";
    26  WpUnlock           "wp.unlock_page"         "WP: unlock_page, drop the reference";
    27  WpThrottle         "wp.throttle"            "WP: balance_dirty_pages_ratelimited";
    28  WpTime             "wp.file_update_time"    "WP: file_update_time";

    30  MissUnlock         "miss.unlock_page"       "MISS: ->fault returned the page locked; unlock it for page_mkwrite";
    31  MissMkwrite        "miss.page_mkwrite"      "MISS: call page_mkwrite";
    32  MissLock           "miss.lock_page"         "MISS: lock the page, check its mapping";
    33  MissSetPte         "miss.set_pte"           "MISS: take the pte lock, install the pte if it is still none";
    34  MissDirty          "miss.set_page_dirty"    "MISS: set_page_dirty";
    35  MissUnlockAfter    "miss.unlock_after"      "MISS: unlock_page after the pte was installed";
    36  MissThrottle       "miss.throttle"          "MISS: balance_dirty_pages_ratelimited";
    37  MissTime           "miss.file_update_time"  "MISS: file_update_time";

    40  MkwriteLock        "mkwrite.lock_page"      "page_mkwrite: lock the page, check mapping and i_size";
    41  MkwriteAttach      "mkwrite.attach"         "page_mkwrite: allocate blocks, or attach the record";
    42  MkwriteDirty       "mkwrite.set_page_dirty" "page_mkwrite: mark the page dirty itself";
    43  MkwriteWait        "mkwrite.wait_writeback" "page_mkwrite: wait until PG_writeback is clear";
    44  MkwriteReturn      "mkwrite.return"         "page_mkwrite: unlock if its convention says so, return";

    45  RecordUpdate       "record.update"          "find the page's record, take it, extend or create it";
    46  RecordGrow         "record.grow_file"       "raise i_size to the end of the record's range if it is lower";
    47  RecordRelease      "record.release"         "let go of the record";

    50  DirtyTag           "dirty.tag"              "set_page_dirty: set the DIRTY tag and count the page";
    51  DirtyInode         "dirty.inode"            "set_page_dirty: mark the inode dirty";
    52  MkcleanLock        "mkclean.i_mmap_lock"    "page_mkclean: take the i_mmap lock";
    53  MkcleanPte         "mkclean.pte"            "page_mkclean: under the pte lock, write-protect and clean one pte";
    54  ClearRedirty       "clear_dirty.redirty"    "clear_page_dirty_for_io: a pte was dirty; set_page_dirty";
    55  ClearTest          "clear_dirty.test"       "clear_page_dirty_for_io: test and clear PG_dirty";
    56  UnmapLock          "unmap.i_mmap_lock"      "unmap_mapping_range or try_to_unmap: take the i_mmap lock";
    57  UnmapPte           "unmap.pte"              "under the pte lock, zap the ptes of one address space";

    60  WbInode            "wb.inode"               "background writeback looks whether the inode is dirty";
    61  WbLookup           "wb.lookup"              "write_cache_pages: look up pages tagged DIRTY, take references";
    62  WbLock             "wb.lock_page"           "write_cache_pages: lock the page, test mapping and PG_dirty";
    63  WbWait             "wb.wait_writeback"      "write_cache_pages: wait for writeback with the page locked";
    64  WritepageSize      "writepage.i_size"       "writepage: read i_size";
    65  WritepageZero      "writepage.zero_tail"    "writepage: zero the part of the page beyond i_size";
    66  WritepageRecord    "writepage.record"       "writepage: look the record up, take it";
    67  WritepageMap       "writepage.map"          "writepage: map or allocate blocks, take the dirty ones";
    68  WritepageStart     "writepage.start"        "writepage: set_page_writeback";
    69  WritepageSubmit    "writepage.submit"       "writepage: submit the I/O";
    70  WritepageUnlock    "writepage.unlock_page"  "writepage: unlock_page";
    71  WritepageEnd       "writepage.end"          "writepage: nothing was submitted; end_page_writeback";

    75  IoAttributes       "io.attributes"          "completion: look at the file's size in the server's reply";
    76  IoTransfer         "io.transfer"            "a request is in flight; its data reaches the device, or the server";
    77  IoRecord           "io.record"              "completion: free or change the record";
    78  IoEnd              "io.end_writeback"       "completion: end_page_writeback";
    79  IoRelease          "io.release"             "completion: let go of the request";

    80  FsyncStart         "fsync.start"            "fsync: begin to write the dirty pages";
    81  FsyncInode         "fsync.inode_lock"       "fsync: take the inode lock for ->fsync";
    82  FsyncFind          "fsync.find_writeback"   "fsync: look up pages tagged WRITEBACK";
    83  FsyncWait          "fsync.wait_writeback"   "fsync: wait for the writeback of a page";
    84  FsyncError         "fsync.check_error"      "fsync: test and clear the mapping's error (since 3.0 after the wait), return";
    85  FlushLock          "flush.lock"             "writepages: take the filesystem's flush lock";
    86  CommitScan         "commit.scan"            "collect the records that are written but not committed";
    104 CommitLock         "commit.lock"            "one COMMIT at a time: wait for the other one";
    87  CommitSend         "commit.send"            "the server commits what it had only in its cache";
    88  CommitDone         "commit.done"            "the reply releases the committed records";
    89  CommitWait         "commit.wait_record"     "wait until a record is not in use";

    90  TruncateInode      "truncate.inode_lock"    "truncate: take the inode lock";
    91  TruncateSize       "truncate.i_size"        "truncate: write i_size";
    92  TruncateFind       "truncate.find_page"     "truncate_inode_pages: look up pages, take references";
    93  TruncateTrylock    "truncate.trylock_page"  "truncate_inode_pages, first pass: trylock the page";
    94  TruncateLock       "truncate.lock_page"     "truncate_inode_pages, second pass: lock the page";
    95  TruncateWait       "truncate.wait_writeback" "truncate_inode_pages: wait for writeback";
    96  TruncateInvalidate "truncate.invalidatepage" "truncate: invalidatepage";
    97  TruncateCancel     "truncate.cancel_dirty"  "truncate: cancel_dirty_page";
    98  TruncateRemove     "truncate.remove"        "truncate: remove the page from the page cache";
    99  TruncateUnlock     "truncate.unlock_page"   "truncate: unlock_page, drop the reference";
    100 TruncateZero       "truncate.zero_partial"  "truncate: zero the tail of the page that holds the new end";
    101 TruncateBlocks     "truncate.blocks"        "->truncate: zero the partial block, free the blocks";
    103 TruncateSetattr    "truncate.setattr"       "setattr: the server cuts or extends its file";
    102 TruncateRefresh    "truncate.refresh"       "setattr: take the size from the server's reply";

    110 InvalidateFind     "invalidate.find"        "invalidate_mapping_pages: look up pages, take references";
    111 InvalidateTrylock  "invalidate.trylock"     "invalidate_mapping_pages: trylock, test dirty, writeback, mapped";
    112 InvalidateRelease  "invalidate.release"     "release private data";
    113 InvalidateRemove   "invalidate.remove"      "under the tree lock: test the references and PG_dirty, remove";
    114 Invalidate2Inode   "invalidate2.inode_lock" "invalidate_inode_pages2: the caller takes the inode lock";
    115 Invalidate2Lock    "invalidate2.lock_page"  "invalidate_inode_pages2: lock the page, check its mapping";
    116 Invalidate2Wait    "invalidate2.wait_writeback" "invalidate_inode_pages2: wait for writeback";
    117 Invalidate2Launder "invalidate2.launder"    "invalidate_inode_pages2: launder_page if PG_dirty";
    118 Invalidate2Remove  "invalidate2.remove"     "under the tree lock: fail if PG_dirty, remove";
    119 Invalidate2Unlock  "invalidate2.unlock_page" "invalidate_inode_pages2: unlock_page, drop the reference";

    120 ReclaimFind        "reclaim.find"           "shrink_page_list: isolate a page, take a reference";
    121 ReclaimTrylock     "reclaim.trylock"        "shrink_page_list: trylock, skip a page under writeback";
    122 ReclaimPageout     "reclaim.pageout"        "pageout: write a dirty page";
    123 ReclaimRemove      "reclaim.remove"         "remove_mapping: freeze the references, test PG_dirty, remove";

    130 ReadFind           "read.find_page"         "read(2): look the page up, or add a new locked one";
    131 ReadLock           "read.lock_page"         "read(2): lock a page that is not uptodate";
    132 ReadPage           "read.readpage"          "read(2): read the page from the store";
    133 ReadSize           "read.i_size"            "read(2): read i_size, decide how much to copy";
    134 ReadCopy           "read.copy"              "read(2): copy from the page";

    140 WriteInode         "write.inode_lock"       "write(2): take the inode lock";
    141 WriteFind          "write.find_page"        "write_begin: look the page up, or add a new locked one";
    142 WriteLock          "write.lock_page"        "write_begin: lock the page, check its mapping";
    143 WriteWait          "write.wait_writeback"   "write_begin: wait for writeback";
    144 WriteRead          "write.readpage"         "write_begin: read a page that is not uptodate";
    145 WriteAttach        "write.attach"           "write_begin: allocate blocks";
    146 WriteCopy          "write.copy"             "write(2): copy into the page";
    147 WriteDirty         "write.set_page_dirty"   "write_end: mark blocks and page dirty";
    148 WriteSize          "write.i_size"           "write_end: raise i_size with the page locked";
    149 WriteUnlock        "write.unlock_page"      "write_end: unlock_page, drop the reference";
    150 WriteThrottle      "write.throttle"         "write(2): balance_dirty_pages_ratelimited, time update";

    160 MunmapLock         "munmap.mmap_lock"       "munmap: take mmap_lock for writing";
    161 MunmapZap          "munmap.zap"             "munmap: under the pte lock, zap the ptes";
    162 MunmapDone         "munmap.done"            "munmap: take the i_mmap lock, remove the vma";
    163 MmapLock           "mmap.mmap_lock"         "mmap: take mmap_lock for writing";
    164 MmapLink           "mmap.link_vma"          "mmap: take the i_mmap lock, insert the vma";

    200 RunQuiescent       "run.quiescent"          "no task is in the kernel and no I/O in flight (not a scheduling point)";
    201 RunEnd             "run.end"                "the run is over (not a scheduling point)";
}

const _: () = {
    assert!(
        Point::ALL.len() < u8::MAX as usize,
        "points have numbers of 8 bits, and one of these means none"
    );
    let mut n = 0;
    while n < Point::ALL.len() {
        let is_moment = matches!(Point::ALL[n], Point::RunQuiescent | Point::RunEnd);
        assert!(
            is_moment || Point::ALL[n].is_scheduling_point(),
            "where a task stands is numbered below the moments of a run"
        );
        n += 1;
    }
};

impl std::fmt::Display for Point {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_and_numbers_are_unique_and_invertible() {
        let names: BTreeSet<_> = Point::ALL.iter().map(|p| p.name()).collect();
        assert_eq!(names.len(), Point::ALL.len());
        for &point in Point::ALL {
            assert_eq!(Point::from_number(point as u8), Some(point));
            assert_eq!(Point::from_name(point.name()), Some(point));
            assert!(
                point.name().bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'.'))
            );
        }
        assert_eq!(Point::from_number(255), None);
    }
}
