//! fallocate(2) with FALLOC_FL_PUNCH_HOLE and FALLOC_FL_KEEP_SIZE: 6.12 fs/open.c: vfs_fallocate;
//! mm/truncate.c: truncate_pagecache_range (`[punch-hole]`).
//!
//! Which locks are held, what is written first and in which order cached pages and blocks go is the
//! filesystem's business: its `punch_hole`. Here is what the filesystems share. Left out: the other
//! modes of fallocate; direct I/O, for which a punch waits; layouts that others have leased.

use super::truncate::truncate_inode_pages_range;
use crate::case::Range;
use crate::implementation::Filesystem;
use crate::kernel::{Kernel, Status};
use crate::point::{Point as P, points};
use crate::remedy::Remedy;

points! {
    257 PunchStart      "punch.start"           "fallocate(2): enter the filesystem, which may write the range back first";
    258 PunchInode      "punch.inode_lock"      "punch: take the inode lock";
    259 PunchInvalidate "punch.invalidate_lock" "punch: take invalidate_lock: no page of the file is read into the page cache";
    260 PunchBlocks     "punch.blocks"          "punch: free the blocks";
    267 PunchSize       "punch.i_size"          "punch on NFS: write i_size";
    264 PunchWait       "punch.wait_writeback"  "punch: wait for the writeback of a page of which a part is zeroed";
}

/// fallocate(2). Kernels punch holes since 2.6.38; here only those with invalidate_lock do, the
/// races of the others are left out.
pub(crate) async fn punch_hole<F: Filesystem>(k: &Kernel<F>, cells: Range) -> Status {
    k.at(P::PunchStart).await;
    if !k.facts().invalidate_lock || k.remedied(Remedy::PunchRefused) {
        return Status::NotSupported;
    }
    k.fs().punch_hole(k, cells).await
}

/// truncate_pagecache_range: these cells go from the page cache; whole pages are unmapped, of the
/// others the part is zeroed.
pub async fn truncate_pagecache_range<F: Filesystem>(k: &Kernel<F>, cells: Range) {
    let g = k.geometry();
    let whole = Range::new(g.pages_of(cells.start), cells.end / g.cells);
    if !whole.is_empty() {
        k.unmap_mapping_range(whole).await;
    }
    truncate_inode_pages_range(k, cells).await;
}
