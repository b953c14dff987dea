//! fallocate(2): 6.12 fs/open.c: vfs_fallocate; mm/truncate.c: truncate_pagecache_range
//! (`[punch-hole]`).
//!
//! Which locks are held, what is written first and in which order cached pages and blocks go is the
//! filesystem's business: its `fallocate`. Here is what the filesystems share. Left out: the modes
//! that move what lies behind (collapse and insert range) and that share or zero out blocks; direct
//! I/O, for which a punch waits; layouts that others have leased.

use super::truncate::truncate_inode_pages_range;
use crate::case::Range;
use crate::implementation::Filesystem;
use crate::kernel::{Kernel, Status};
use crate::plant::Plant;
use crate::point::{Point as P, points};
use crate::remedy::Remedy;

points! {
    257 PunchStart      "punch.start"           "fallocate(2): enter the filesystem, which may write the range back first";
    258 PunchInode      "punch.inode_lock"      "punch: take the inode lock";
    259 PunchInvalidate "punch.invalidate_lock" "punch: take invalidate_lock: no page of the file is read into the page cache";
    260 PunchBlocks     "punch.blocks"          "punch: free the blocks";
    267 PunchSize       "punch.i_size"          "punch on NFS: write i_size";
    268 FallocateInode  "fallocate.inode_lock"  "fallocate(2), not a punch: take the inode lock";
    269 FallocateBlocks "fallocate.blocks"      "fallocate(2), not a punch: allocate the blocks that are not there yet";
    270 FallocateSize   "fallocate.i_size"      "fallocate(2), not a punch: raise i_size";
    264 PunchWait       "punch.wait_writeback"  "punch: wait for the writeback of a page of which a part is zeroed";
}

/// The modes of fallocate(2) that cases can have.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fallocate {
    /// FALLOC_FL_PUNCH_HOLE and FALLOC_FL_KEEP_SIZE: the range is a hole.
    PunchHole,
    /// FALLOC_FL_ZERO_RANGE: the range is allocated and reads as zero, and the file reaches at
    /// least to its end.
    ZeroRange,
    /// No mode, or FALLOC_FL_KEEP_SIZE: the range is allocated, and what it holds stays. Without
    /// KEEP_SIZE the file reaches at least to its end.
    Allocate {
        /// FALLOC_FL_KEEP_SIZE.
        keep_size: bool,
    },
}

/// fallocate(2). Kernels have it since 2.6.23, and punch holes since 2.6.38; here only those with
/// invalidate_lock do, the races of the others are left out.
pub(crate) async fn fallocate<F: Filesystem>(
    k: &Kernel<F>,
    mode: Fallocate,
    cells: Range,
) -> Status {
    k.at(P::PunchStart).await;
    let refused = mode == Fallocate::PunchHole && k.remedied(Remedy::PunchRefused);
    if !k.facts().invalidate_lock || refused {
        return Status::NotSupported;
    }
    k.fs().fallocate(k, mode, cells).await
}

/// truncate_pagecache_range: these cells go from the page cache; whole pages are unmapped, of the
/// others the part is zeroed.
pub async fn truncate_pagecache_range<F: Filesystem>(k: &Kernel<F>, cells: Range) {
    if k.reaches_plant(Plant::PunchKeepsPages) {
        return;
    }
    let g = k.geometry();
    let whole = Range::new(g.pages_of(cells.start), cells.end / g.cells);
    if !whole.is_empty() {
        k.unmap_mapping_range(whole).await;
    }
    truncate_inode_pages_range(k, cells).await;
}
