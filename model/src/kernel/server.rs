//! A server like NFS's. It has a file of its own, with contents per cell in its cache or on stable
//! storage: SETATTR cuts or extends it, a WRITE that ends beyond its end extends it, whatever i_size
//! is by then, and a reply tells what its size was when the server answered.

use std::cell::Cell;

use super::Stamp;
use crate::case::{CELLS_MAX, Range};

/// The server of a network filesystem.
pub struct Server {
    cached: [Cell<Stamp>; CELLS_MAX],
    stable: [Cell<Stamp>; CELLS_MAX],
    pub(super) size: Cell<u8>,
    pub(super) stable_size: Cell<u8>,
    changes: Cell<u8>,
}

/// What the server says of its file in a reply (post-operation attributes).
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Attributes {
    /// Its size.
    pub size: u8,
    /// How many SETATTRs had changed it.
    pub changes: u8,
}

impl Default for Server {
    fn default() -> Self {
        let zero = [const { Cell::new(Stamp::ZERO) }; CELLS_MAX];
        Server {
            cached: zero.clone(),
            stable: zero,
            size: Cell::new(0),
            stable_size: Cell::new(0),
            changes: Cell::new(0),
        }
    }
}

impl Server {
    pub(super) fn reset(&self) {
        self.set_size(0);
        self.changes.set(0);
    }

    /// What a READ returns.
    pub fn read(&self, cell: u8) -> Stamp {
        self.cached[usize::from(cell)].get()
    }

    /// What survives a crash of the server.
    pub fn stable(&self, cell: u8) -> Stamp {
        self.stable[usize::from(cell)].get()
    }

    /// The file's size, as a reply tells it.
    pub fn attributes(&self) -> Attributes {
        Attributes { size: self.size.get(), changes: self.changes.get() }
    }

    /// The file's size after a crash of the server.
    pub fn stable_size(&self) -> u8 {
        self.stable_size.get()
    }

    /// A WRITE of one cell arrives. It extends the file if it ends beyond.
    pub fn write(&self, cell: u8, stamp: Stamp, stable: bool) {
        self.cached[usize::from(cell)].set(stamp);
        self.size.set(self.size.get().max(cell + 1));
        if stable {
            self.stable[usize::from(cell)].set(stamp);
            self.stable_size.set(self.stable_size.get().max(cell + 1));
        }
    }

    /// A DEALLOCATE arrives: these cells are a hole, on stable storage before the reply.
    pub fn deallocate(&self, cells: Range) {
        let cells = usize::from(cells.start)..usize::from(cells.end);
        for cell in self.cached[cells.clone()].iter().chain(&self.stable[cells]) {
            cell.set(Stamp::ZERO);
        }
        self.stable_size.set(self.size.get()); // fs/nfsd/vfs.c: commit_metadata
    }

    /// A COMMIT of the whole file arrives.
    pub fn commit(&self) {
        for (cached, stable) in self.cached.iter().zip(&self.stable) {
            stable.set(cached.get());
        }
        self.stable_size.set(self.size.get());
    }

    /// A SETATTR arrives: the file is cut or extended to `size` cells, on stable storage before the
    /// reply.
    pub fn set_size(&self, size: u8) {
        self.size.set(size);
        self.stable_size.set(size);
        self.changes.set(self.changes.get().wrapping_add(1));
        let from = usize::from(size);
        for cell in self.cached[from..].iter().chain(&self.stable[from..]) {
            cell.set(Stamp::ZERO);
        }
    }
}
