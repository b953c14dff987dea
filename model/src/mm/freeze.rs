//! Freezing a filesystem, and thawing it again: 6.12 fs/super.c: freeze_super, thaw_super
//! (`[freeze-levels]`).
//!
//! Three levels. First nobody begins to write: whoever writes, truncates or allocates by a system
//! call holds the first level shared (mnt_want_write), and the freezer waits for them. Then no
//! fault makes a page writable: page_mkwrite holds the second level (sb_start_pagefault). Then all
//! that is dirty is written, and the filesystem is frozen: whoever takes a copy of the device now
//! has one that does not change. Here it is thawed at once, after one step.
//!
//! Kernels have the second level since 3.6; here only those from 6.1 on freeze, the races of the
//! others are left out. Left out too: the third level (what a filesystem does by itself), and who
//! holds the filesystem frozen.

use super::write_and_wait;
use crate::case::Range;
use crate::implementation::Filesystem;
use crate::kernel::{Kernel, Status};
use crate::plant::Plant;
use crate::point::{Point as P, points};

points! {
    271 StartWrite    "op.start_write"        "a system call that writes: wait while the filesystem is frozen";
    272 StartFault    "mkwrite.start_fault"   "page_mkwrite: wait while the filesystem is frozen";
    273 FreezeWrite   "freeze.writers"        "freeze: wait for those who write, and keep them out";
    274 FreezeFault   "freeze.faults"         "freeze: wait for page_mkwrite, and keep it out";
    275 FreezeFrozen  "freeze.frozen"         "freeze: all is written, the filesystem is frozen";
    276 FreezeThaw    "freeze.thaw"           "thaw the filesystem";
}

/// FIFREEZE and FITHAW.
pub(crate) async fn freeze<F: Filesystem>(k: &Kernel<F>) -> Status {
    if !k.freezes() {
        return Status::NotSupported;
    }
    k.freeze_writers(P::FreezeWrite).await;
    if k.reaches_plant(Plant::FreezeWritesFirst) {
        write_all(k).await;
        k.freeze_faults(P::FreezeFault).await;
    } else {
        k.freeze_faults(P::FreezeFault).await;
        write_all(k).await;
    }
    k.at(P::FreezeFrozen).await;
    k.set_frozen(true);
    k.at(P::FreezeThaw).await;
    k.set_frozen(false);
    k.thaw();
    Status::Ok
}

/// sync_filesystem.
async fn write_all<F: Filesystem>(k: &Kernel<F>) {
    let own = k.file_id();
    for file in k.files() {
        k.work_on(file);
        write_and_wait(k, Range::new(0, k.geometry().pages)).await;
        k.fs().write_inode(k).await;
    }
    k.work_on(own);
}
