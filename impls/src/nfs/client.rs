//! What the client keeps of an inode and of its open file, beside the page cache.

use std::cell::Cell;

use mkwrite_model::implementation::InodeState;
use mkwrite_model::kernel::Status;

/// What the client of a server keeps per inode and per open file, beside the page cache. The actors
/// share one open file.
#[derive(Default)]
pub struct Client {
    error: Cell<bool>,
    replied: Cell<bool>,
    asked: Cell<Option<u8>>,
    sized: Cell<Option<u8>>,
    seen: Cell<u8>,
}

impl InodeState for Client {
    fn reset(&self) {
        self.error.set(false);
        self.replied.set(false);
        self.asked.set(None);
        self.sized.set(Some(0));
        self.seen.set(0);
    }
}

impl Client {
    /// nfs_context_set_write_error: the next fsync of the open file reports it, once.
    pub fn set_write_error(&self) {
        self.error.set(true);
    }

    /// The open file has an error that was not reported.
    pub fn has_write_error(&self) -> bool {
        self.error.get()
    }

    /// Tests and clears the open file's error.
    pub fn take_write_error(&self) -> Status {
        if self.error.take() { Status::Io } else { Status::Ok }
    }

    /// The client looks at the attributes of a WRITE's reply.
    pub fn reply(&self) {
        self.replied.set(true);
    }

    /// It has done so since it last sent a SETATTR.
    pub fn has_replied(&self) -> bool {
        self.replied.get()
    }

    /// The client sends a SETATTR with this size.
    pub fn ask(&self, size: u8) {
        self.asked.set(Some(size));
        self.replied.set(false);
    }

    /// The client looks at the reply to a SETATTR, which was the server's `changes`th.
    pub fn see(&self, changes: u8) {
        self.seen.set(changes);
    }

    /// Which reply to a SETATTR the client has looked at last.
    pub fn seen(&self) -> u8 {
        self.seen.get()
    }

    /// The size that a SETATTR asked for, while the change of the size is under way.
    pub fn asked(&self) -> Option<u8> {
        self.asked.get()
    }

    /// How many SETATTRs the server had answered when the client's last change of the size was
    /// over; `None` while one is under way.
    pub fn sized(&self) -> Option<u8> {
        self.sized.get()
    }

    /// A change of the size begins (`None`), or is over.
    pub fn set_sized(&self, changes: Option<u8>) {
        self.asked.set(None);
        self.sized.set(changes);
    }
}
