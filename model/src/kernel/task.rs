//! What the kernel knows of a task: the locks and references that it holds, the operation that it
//! runs, and the operation's result so far.

use std::cell::Cell;

use super::{InodeId, Stamp, Status, Written};
use crate::case::{CELLS_MAX, Operation};

/// What a task holds, and what it is doing.
#[derive(Default)]
pub struct TaskState {
    pub(crate) held: Cell<u16>,
    pub(crate) page_locks: Cell<u8>,
    pub(crate) references: Cell<u16>,
    pub(crate) written: Cell<Written>,
    /// The file that it works on.
    pub(crate) file: Cell<InodeId>,
    /// The file of its operation.
    pub(crate) home: Cell<InodeId>,
    /// When the operation began.
    pub(crate) began: Cell<u32>,
    /// The operation that runs, for actors.
    pub(crate) operation: Cell<Operation>,
    pub(crate) outcome: Returned,
    /// What a copy under way has read.
    pub(crate) pipe: Cell<Pipe>,
}

/// Pages of the file, with references, one bit each, and where in the file a copy of them comes
/// from and goes to.
#[derive(Clone, Copy, Default)]
pub(crate) struct Pipe {
    pub(crate) pages: u32,
    pub(crate) from: u8,
    pub(crate) to: u8,
    /// How reading ended.
    pub(crate) status: Status,
}

impl TaskState {
    pub(super) fn reset(&self) {
        self.file.set(InodeId::FIRST);
        self.home.set(InodeId::FIRST);
        self.held.set(0);
        self.page_locks.set(0);
        self.references.set(0);
        self.operation.set(Operation::Empty);
        self.outcome.begin();
        self.pipe.set(Pipe::default());
    }

    /// When the operation began, on [`Kernel::clock`](super::Kernel::clock).
    pub fn began(&self) -> u32 {
        self.began.get()
    }

    /// Page locks that the task holds.
    pub fn page_locks(&self) -> u8 {
        self.page_locks.get()
    }

    /// References that the task holds on its way.
    pub fn references(&self) -> u16 {
        self.references.get()
    }

    /// Lock classes that the task holds, as a mask of [`Class`](super::event::Class) numbers.
    pub fn held(&self) -> u16 {
        self.held.get()
    }

    /// The result of the operation that the task runs, so far.
    pub fn outcome(&self) -> &Returned {
        &self.outcome
    }

    /// The file that its operation is about. It may work on the other for a while, to copy from it.
    pub fn home(&self) -> InodeId {
        self.home.get()
    }

    /// The operation that the task runs.
    pub fn operation(&self) -> Operation {
        self.operation.get()
    }
}

/// The result of an operation.
pub struct Returned {
    status: Cell<Status>,
    done: Cell<u8>,
    values: [Cell<Stamp>; CELLS_MAX],
}

impl Default for Returned {
    fn default() -> Self {
        Returned {
            status: Cell::default(),
            done: Cell::new(0),
            values: [const { Cell::new(Stamp::ZERO) }; CELLS_MAX],
        }
    }
}

impl Returned {
    pub(crate) fn begin(&self) {
        self.status.set(Status::Ok);
        self.done.set(0);
    }

    /// How it ended.
    pub fn status(&self) -> Status {
        self.status.get()
    }

    /// Cells that were stored, loaded, read or written before it ended.
    pub fn done(&self) -> u8 {
        self.done.get()
    }

    /// The n-th cell that a load or read returned.
    pub fn value(&self, n: u8) -> Stamp {
        self.values[usize::from(n)].get()
    }

    pub(crate) fn fail(&self, status: Status) {
        self.status.set(status);
    }

    pub(crate) fn push(&self, stamp: Stamp) {
        self.values[usize::from(self.done.get())].set(stamp);
        self.done.set(self.done.get() + 1);
    }
}
