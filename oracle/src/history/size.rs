//! i_size as a register: the sizes that may be the current one.
//!
//! Size changes exclude each other in the kernel (the inode lock), but a history shows only
//! intervals. A truncate sets the size. A write raises it, so its end is a possible size only where
//! a smaller one is.

use mkwrite_model::case::CELLS_MAX;
use mkwrite_model::exec::TaskId;

use super::CALLERS;

/// Every size once for complete calls, and one per call under way.
const ENTRIES: usize = CELLS_MAX + 1 + CALLERS;

#[derive(Clone, Copy)]
struct Entry {
    size: u8,
    caller: u8,
    complete: bool,
    /// Truncates under way that began when this was complete: one that ends makes this one over.
    setters: u16,
    /// The same for writes, which end only what is smaller than they set.
    raisers: u16,
}

/// See the file's head.
pub(super) struct Size {
    entries: [Entry; ENTRIES],
    len: u8,
    /// The smallest and the largest of them.
    bounds: (u8, u8),
    /// The ends of the writes under way, 0 for none.
    raising: [u8; CALLERS],
}

impl Default for Size {
    fn default() -> Self {
        let none = Entry { size: 0, caller: u8::MAX, complete: true, setters: 0, raisers: 0 };
        Size { entries: [none; ENTRIES], len: 1, bounds: (0, 0), raising: [0; CALLERS] }
    }
}

impl Size {
    /// The history begins with this size.
    pub(super) fn begin(&mut self, size: u8) {
        (self.len, self.raising) = (0, [0; CALLERS]);
        self.push(u8::MAX, size, true);
    }

    fn all(&self) -> &[Entry] {
        &self.entries[..usize::from(self.len)]
    }

    fn all_mut(&mut self) -> &mut [Entry] {
        &mut self.entries[..usize::from(self.len)]
    }

    fn push(&mut self, caller: u8, size: u8, complete: bool) {
        self.entries[usize::from(self.len)] =
            Entry { size, caller, complete, setters: 0, raisers: 0 };
        self.len += 1;
        self.bound();
    }

    fn bound(&mut self) {
        let sizes = || self.all().iter().map(|e| e.size);
        self.bounds = (sizes().min().unwrap_or(0), sizes().max().unwrap_or(0));
    }

    /// The smallest size that is possible.
    pub(super) fn least(&self) -> u8 {
        self.bounds.0
    }

    /// The largest size that is possible.
    pub(super) fn most(&self) -> u8 {
        self.bounds.1
    }

    /// The size may be this.
    pub(super) fn explains(&self, size: u8) -> bool {
        self.all().iter().any(|e| e.size == size)
    }

    /// A truncate to `size` begins.
    pub(super) fn call_set(&mut self, caller: TaskId, size: u8) {
        for entry in self.all_mut().iter_mut().filter(|e| e.complete) {
            entry.setters |= 1 << caller.index();
        }
        self.push(caller.0, size, false);
        // Writes under way may raise the new size.
        for writer in 0..CALLERS as u8 {
            self.may_raise(writer);
        }
    }

    /// A write that ends at `end` begins.
    pub(super) fn call_extend(&mut self, caller: TaskId, end: u8) {
        for entry in self.all_mut().iter_mut().filter(|e| e.complete && e.size < end) {
            entry.raisers |= 1 << caller.index();
        }
        self.raising[caller.index()] = end;
        self.may_raise(caller.0);
    }

    fn may_raise(&mut self, writer: u8) {
        let end = self.raising[usize::from(writer)];
        let smaller = self.all().iter().any(|e| e.size < end);
        let known = self.all().iter().any(|e| e.caller == writer && !e.complete);
        if smaller && !known {
            self.push(writer, end, false);
        }
    }

    /// A truncate ends.
    pub(super) fn return_set(&mut self, caller: TaskId) {
        self.finish(caller, None);
    }

    /// A truncate has failed: the size is what it was.
    pub(super) fn fail_set(&mut self, caller: TaskId) {
        for n in 0..std::mem::take(&mut self.len) {
            let mut e = self.entries[usize::from(n)];
            if e.complete || e.caller != caller.0 {
                e.setters &= !(1 << caller.index());
                self.entries[usize::from(self.len)] = e;
                self.len += 1;
            }
        }
        self.bound();
    }

    /// A write ends; it has written up to `end`, or nothing if that is 0.
    pub(super) fn return_extend(&mut self, caller: TaskId, end: u8) {
        self.raising[caller.index()] = 0;
        self.finish(caller, Some(end));
    }

    /// A call that raises the size up to `end` has failed half way.
    pub(super) fn extended_in_part(&mut self, end: u8) {
        for size in self.least() + 1..=end {
            if !self.all().iter().any(|e| e.complete && e.size == size) {
                self.push(u8::MAX, size, true);
            }
        }
    }

    fn finish(&mut self, caller: TaskId, raised_to: Option<u8>) {
        let bit = 1 << caller.index();
        let mut own = None;
        for n in 0..std::mem::take(&mut self.len) {
            let mut e = self.entries[usize::from(n)];
            if e.caller == caller.0 && !e.complete {
                own = Some(raised_to.unwrap_or(e.size));
                continue;
            }
            let over = e.setters & bit != 0
                || e.raisers & bit != 0 && raised_to.is_some_and(|end| e.size < end);
            (e.setters, e.raisers) = (e.setters & !bit, e.raisers & !bit);
            if !over {
                self.entries[usize::from(self.len)] = e;
                self.len += 1;
            }
        }
        self.bound();
        let Some(size) = own.filter(|size| raised_to.is_none() || *size != 0) else { return };
        // A complete entry of the same size is now as fresh as this one.
        match self.all_mut().iter_mut().find(|e| e.complete && e.size == size) {
            Some(same) => (same.setters, same.raisers) = (0, 0),
            None => self.push(u8::MAX, size, true),
        }
    }
}
