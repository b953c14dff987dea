//! The numbers of pairs in stored inputs. Inputs are kept for years, so this list only ever grows
//! at its end.

use mkwrite_model::implementation::StoredPairs;

/// The pairs by number.
pub const PAIRS: StoredPairs = StoredPairs { names: NAMES, frozen: 21 };

/// Implementations and their callers.
const NAMES: &[(&str, &str)] = &[
    ("block@2.6.29", "2.6.29"),
    ("block@2.6.30-rc", "2.6.30-rc"),
    ("block@2.6.30", "2.6.30"),
    ("nfs@2.6.29", "2.6.29"),
    ("nfs@2.6.30", "2.6.30"),
    ("nfs@3.0", "2.6.30"),
    ("fsblock@2007", "2.6.29"),
    ("fsblock@2009", "2.6.30"),
    ("filemap@3.10", "2.6.30"),
    ("driver@2.6.30", "2.6.30"),
    ("block@2.6.29", "try3"),
    ("block@2.6.30-rc", "try3"),
    ("block@2.6.30", "try3"),
    ("nfs@2.6.29", "try3"),
    ("nfs@2.6.30", "try3"),
    ("nfs@3.0", "try3"),
    ("fsblock@2007", "2.6.30-rc"),
    ("fsblock@2007", "try3"),
    ("fsblock@2009", "try3"),
    ("filemap@3.10", "try3"),
    ("driver@2.6.30", "try3"),
    ("ext3@2.6.29", "2.6.29"),
    ("ext3@2.6.30", "2.6.30"),
    ("tmpfs@6.12", "2.6.30"),
    ("ext3@2.6.30", "try3"),
    ("filemap@6.12", "6.12"),
    ("tmpfs@6.12", "6.12"),
    ("nfs@6.12", "6.12"),
    ("block@6.12", "6.12"),
    ("ext4@6.1", "6.1"),
    ("ext4@6.12", "6.12"),
    ("xfs@6.12", "6.12"),
    ("fuse@6.12", "6.12"),
    ("fuse-writeback@6.12", "6.12"),
    ("fuse@6.18", "6.18"),
    ("fuse-writeback@6.18", "6.18"),
];
