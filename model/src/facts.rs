//! What differs between kernels, as data: `mm/` and the rules of the judge read it, and nobody
//! guesses it from the return convention.
//!
//! A caller's facts are about the fault path alone. An era's facts are about every other actor:
//! fsync, writeback, truncate. In a pair of an implementation with a caller of another time, the
//! caller gives the fault path and the implementation's own era gives the rest, so that nfs@3.0 has
//! 3.0's fsync under any caller.

/// Whether the fault path makes the pte writable first and marks the page dirty later, without the
/// page lock in between. `false`: the page is locked until it is dirty.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct DirtiesLate {
    /// Where the pte was present and read-only (do_wp_page).
    pub wp: bool,
    /// Where there was no pte (__do_fault).
    pub miss: bool,
}

/// Facts of a fault path.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FaultFacts {
    /// For mappings with page_mkwrite.
    pub late_with_mkwrite: DirtiesLate,
    /// For mappings without one.
    pub late_without: DirtiesLate,
}

/// Both paths dirty late.
pub const LATE: DirtiesLate = DirtiesLate { wp: true, miss: true };
/// The page is locked until it is dirty on both paths.
pub const LOCKED: DirtiesLate = DirtiesLate { wp: false, miss: false };

/// When fsync waits for the pages under writeback.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum FsyncWait {
    /// After ->fsync (2.6.29 fs/sync.c: do_fsync; 2.6.30 fs/sync.c: vfs_fsync).
    AfterOp,
    /// Before ->fsync, which is called whatever the wait gave (3.0 fs/sync.c: vfs_fsync_range).
    BeforeOp,
    /// The same inside ->fsync, which ends there after an error (3.10 fs/libfs.c:
    /// generic_file_fsync).
    InOp,
}

/// Facts of an era, the fault path left out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Facts {
    /// When fsync waits.
    pub fsync_wait: FsyncWait,
    /// A truncate to the same size truncates the page cache too, and so zeroes the last page beyond
    /// the end.
    pub truncates_equal_size: bool,
}

macro_rules! eras {
    ($($variant:ident $name:literal $facts:expr;)*) => {
        /// The kernel that an implementation comes from.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
        #[allow(missing_docs)] // the name says it
        pub enum Era { $($variant,)* }

        impl Era {
            /// Every era, oldest first.
            pub const ALL: &'static [Era] = &[$(Era::$variant),*];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(Era::$variant => $name,)* }
            }

            /// Its facts.
            pub const fn facts(self) -> Facts {
                match self { $(Era::$variant => $facts,)* }
            }
        }
    };
}

const V2_6_29: Facts = Facts { fsync_wait: FsyncWait::AfterOp, truncates_equal_size: false };
const V3_0: Facts = Facts { fsync_wait: FsyncWait::BeforeOp, ..V2_6_29 };
const V3_10: Facts = Facts { fsync_wait: FsyncWait::InOp, ..V3_0 };

eras! {
    V2_6_29 "2.6.29" V2_6_29;
    V2_6_30 "2.6.30" V2_6_29;
    V3_0    "3.0"    V3_0;
    V3_10   "3.10"   V3_10;
    V6_12   "6.12"   Facts { truncates_equal_size: true, ..V3_10 };
}
