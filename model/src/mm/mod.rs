//! What the VM does to pages, other than the fault path: everything that touches the same pages, as
//! the kernel code of 2.6.24 to 3.0 does it. One file per path; each reads top to bottom like the
//! function that it models.

pub(crate) mod fallocate;
pub(crate) mod fault;
pub(crate) mod filemap;
pub(crate) mod freeze;
pub(crate) mod fsync;
pub(crate) mod invalidate;
pub(crate) mod mmap;
pub(crate) mod mprotect;
pub(crate) mod mremap;
pub(crate) mod pin;
pub(crate) mod reclaim;
pub(crate) mod truncate;
pub(crate) mod user;
pub(crate) mod writeback;

use crate::case::{Case, Operation, PAGES_MAX, Range};
use crate::exec::TaskId;
use crate::implementation::Filesystem;
use crate::kernel::{Event, InodeId, Kernel, Mm, Status};
use crate::operation::perform;
use crate::point::{Point, Point as P, points};

pub use fallocate::{Fallocate, let_faults_in, lock_out_faults, truncate_pagecache_range};
pub use fault::filemap_fault;
pub use filemap::{
    filemap_page_mkwrite, find_or_add_page, grab_page, raise_size, wait_for_stable_page,
};
pub use fsync::{file_write_and_wait, filemap_fdatawait, generic_file_fsync, write_and_wait};
pub use invalidate::invalidate_inode_pages2;
pub use truncate::{
    extend, grab_part_of_block, grow, lock_page_of, pagecache_isize_extended, parts,
    truncate_pagecache, vmtruncate,
};
pub use writeback::write_cache_pages;

points! {
    0   OpStart "op.start" "the operation enters the kernel, or its first instruction runs";
}

/// An actor: runs the operations of its program, one after the other.
pub(crate) async fn actor<F: Filesystem>(k: &Kernel<F>, case: &Case, task: TaskId) {
    let program = &case.actors[task.index()];
    let mm = Mm(program.mm);
    for (slot, &operation) in program.operations.iter().enumerate() {
        if operation != Operation::Empty {
            run(k, slot as u8, mm, k.file_of(mm), operation).await;
        }
    }
    k.exit_mm(mm);
}

/// What the closing actor does once the others are done and all I/O has completed: one fsync of each
/// file with the mappings still there, then no mappings, then another fsync if that left anything
/// dirty. One that fails is tried again, a few times: it may have stopped at the first error.
pub(crate) async fn closer<F: Filesystem>(k: &Kernel<F>) {
    let mut slot = 0;
    let mut next = || {
        slot += 1;
        slot - 1
    };
    let mut failed = 0u8; // a bit per file
    for file in k.files() {
        let status = run(k, next(), Mm(0), file, Operation::Fsync).await;
        failed |= u8::from(status != Status::Ok) << file.number();
    }
    for mm in Mm::all().filter(|mm| k.is_file_mapped(*mm)) {
        run(k, next(), mm, k.file_of(mm), Operation::Munmap).await;
    }
    for file in k.files() {
        for tries in 0..=PAGES_MAX as u8 {
            let again = tries > 0 || failed >> file.number() & 1 != 0;
            if !again && !k.has_dirty_pages(file)
                || run(k, next(), Mm(0), file, Operation::Fsync).await == Status::Ok
            {
                break;
            }
        }
    }
}

async fn run<F: Filesystem>(
    k: &Kernel<F>,
    slot: u8,
    mm: Mm,
    file: InodeId,
    operation: Operation,
) -> Status {
    k.tasks.begin_slot(slot);
    k.at(Point::OpStart).await;
    k.begin_operation(file, operation);
    if !k.fs().declaration().page_cache && !operation.effect().is_about_mapping() {
        return Status::Ok; // a device mapping has no file behind it, and nobody is called
    }
    k.event(Event::Call);
    if waits_for_thaw(k) {
        k.start_write(P::StartWrite).await;
    }
    let status = perform(k, slot, mm, operation).await;
    if waits_for_thaw(k) {
        k.end_write();
    }
    if status != Status::Ok {
        k.task().outcome.fail(status);
    }
    k.event(Event::Return);
    status
}

/// The operation of the running task does not begin while the filesystem is frozen.
fn waits_for_thaw<F: Filesystem>(k: &Kernel<F>) -> bool {
    k.freezes() && k.task().operation().effect().is_writing()
}

/// The cells of a range, page by page: (page, cells of the page counted from its start).
fn by_page<F: Filesystem>(
    k: &Kernel<F>,
    cells: Range,
) -> impl Iterator<Item = (u8, Range)> + use<F> {
    let g = k.geometry();
    let last = if cells.is_empty() { 0 } else { g.page_of(cells.end - 1) + 1 };
    let per_page = g.cells; // tasks keep this iterator over their steps, so it is small
    (g.page_of(cells.start)..last).map(move |page| {
        let first = page * per_page;
        let of_page = cells.clip(Range::new(first, first + per_page));
        (page, Range::new(of_page.start - first, of_page.end - first))
    })
}
