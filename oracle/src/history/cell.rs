//! One cell as a register: the operations that may have put the last value there.

use mkwrite_model::exec::TaskId;
use mkwrite_model::kernel::Stamp;

/// Entries that one cell keeps. More (a read that overlaps very many writes) makes the cell
/// undecided.
const ENTRIES: usize = 16;

#[derive(Clone, Copy)]
struct Entry {
    value: Stamp,
    caller: u8,
    complete: bool,
    live: bool,
    /// Writes under way that began when this one was complete: when one of them ends, this one is
    /// over.
    superseders: u16,
    /// Reads under way that may still return this value although it is over.
    ghosts: u16,
    /// Reads that this write overlaps.
    during: u16,
    /// The number of a failed write, if this is one and no operation: the cell may show what the
    /// store held instead, until something newer is written; nobody needs to see it.
    failure: u16,
}

const NONE: Entry = Entry {
    value: Stamp::ZERO,
    caller: u8::MAX,
    complete: true,
    live: true,
    superseders: 0,
    ghosts: 0,
    during: 0,
    failure: 0,
};

/// Why a reader may see a value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Why {
    /// Some order of the operations explains it.
    Order,
    /// Only failed writes do: the first and the latest of them, by number.
    Failure { first: u16, latest: u16 },
}

/// See the file's head.
pub(super) struct Cell {
    entries: [Entry; ENTRIES],
    len: u8,
    undecided: bool,
}

impl Cell {
    pub(super) const fn new() -> Cell {
        Cell { entries: [NONE; ENTRIES], len: 0, undecided: false }
    }

    /// The history begins with this value.
    pub(super) fn begin(&mut self, value: Stamp) {
        self.entries[0] = Entry { value, ..NONE };
        (self.len, self.undecided) = (1, false);
    }

    fn all(&self) -> &[Entry] {
        &self.entries[..usize::from(self.len)]
    }

    fn all_mut(&mut self) -> &mut [Entry] {
        &mut self.entries[..usize::from(self.len)]
    }

    fn retain(&mut self, keep: impl Fn(&Entry) -> bool) {
        let mut kept = 0;
        for i in 0..usize::from(self.len) {
            if keep(&self.entries[i]) {
                self.entries[kept] = self.entries[i];
                kept += 1;
            }
        }
        self.len = kept as u8;
    }

    /// A write of `value` begins. It `renews` the cell, or it is not certain to touch what the
    /// store holds.
    pub(super) fn call(&mut self, caller: TaskId, value: Stamp, renews: bool, readers: u16) {
        for entry in
            self.all_mut().iter_mut().filter(|e| e.complete && e.live && (renews || e.failure == 0))
        {
            entry.superseders |= 1 << caller.index();
        }
        if usize::from(self.len) == ENTRIES {
            self.undecided = true;
            return;
        }
        let entry = Entry { value, caller: caller.0, complete: false, during: readers, ..NONE };
        self.entries[usize::from(self.len)] = entry;
        self.len += 1;
    }

    /// A write of what the cell holds has failed: it may show `stored` from now on. Of several
    /// failures that left the same, the first is kept (it may have been reported before a sync
    /// began that the latest came too late for) and the latest (nobody may have been told of it
    /// yet).
    pub(super) fn fail(&mut self, failure: u16, stored: Stamp) {
        let same = |e: &&mut Entry| e.failure != 0 && e.live && e.value == stored;
        if let Some(latest) = self.all_mut().iter_mut().filter(same).nth(1) {
            (latest.failure, latest.superseders) = (failure, 0);
        } else if usize::from(self.len) == ENTRIES {
            self.undecided = true;
        } else {
            self.entries[usize::from(self.len)] = Entry { value: stored, failure, ..NONE };
            self.len += 1;
        }
    }

    /// What it holds was written before the sync `reader` began, which has to answer for it.
    pub(super) fn is_owed_to(&self, reader: u16) -> bool {
        self.all().iter().any(|e| e.complete && e.live && e.failure == 0 && e.during & reader == 0)
    }

    /// A write of what it holds has failed, and nothing newer was written since.
    pub(super) fn has_failed(&self) -> bool {
        self.all().iter().any(|entry| entry.failure != 0)
    }

    /// A write of `value` ends. If it never took place its entry goes; if it is not certain that it
    /// became content it is complete, but supersedes nothing.
    pub(super) fn returned(
        &mut self,
        caller: TaskId,
        value: Stamp,
        took_place: bool,
        supersedes: bool,
        readers: u16,
    ) {
        let bit = 1 << caller.index();
        let own = |e: &Entry| e.caller == caller.0 && !e.complete && e.value == value;
        if !took_place {
            self.retain(|e| !own(e));
        }
        for entry in self.all_mut() {
            if own(entry) {
                entry.complete = true;
            }
            if entry.superseders & bit != 0 {
                entry.superseders &= !bit;
                if took_place && supersedes && entry.live {
                    (entry.live, entry.ghosts) = (false, readers);
                }
            }
        }
        self.retain(|e| e.live || e.ghosts != 0);
    }

    /// The cell is not part of the file: what is complete is gone, but for the `readers` under way.
    /// A write under way may still land, after an extension; so may a block whose zeros could not
    /// be written.
    pub(super) fn clear(&mut self, readers: u16) {
        let holds = |e: &Entry| e.complete && e.live && e.failure == 0;
        let zero = |e: &Entry| holds(e) && e.value == Stamp::ZERO;
        if self.all().iter().all(|e| zero(e) || !holds(e)) && self.all().iter().any(zero) {
            return;
        }
        for entry in self.all_mut().iter_mut().filter(|e| holds(e)) {
            (entry.live, entry.ghosts) = (false, readers);
        }
        self.retain(|e| e.live || e.ghosts != 0);
        if usize::from(self.len) == ENTRIES {
            self.undecided = true;
            return;
        }
        self.entries[usize::from(self.len)] = NONE;
        self.len += 1;
    }

    /// The read `reader` begins.
    pub(super) fn begin_read(&mut self, reader: u16) {
        for entry in self.all_mut().iter_mut().filter(|e| !e.complete) {
            entry.during |= reader;
        }
    }

    /// The read `reader` is over.
    pub(super) fn forget_reader(&mut self, reader: u16) {
        for entry in self.all_mut() {
            entry.ghosts &= !reader;
            entry.during &= !reader;
        }
        self.retain(|e| e.live || e.ghosts != 0);
    }

    /// Why `reader` may see `value`, if it may.
    pub(super) fn explains(&self, reader: u16, value: Stamp) -> Option<Why> {
        if self.undecided {
            return Some(Why::Order);
        }
        let seen =
            self.all().iter().filter(|e| e.value == value && (e.live || e.ghosts & reader != 0));
        seen.fold(None, |why, entry| match (why, entry.failure) {
            (_, 0) | (Some(Why::Order), _) => Some(Why::Order),
            (None, failure) => Some(Why::Failure { first: failure, latest: failure }),
            (Some(Why::Failure { first, latest }), failure) => {
                Some(Why::Failure { first: first.min(failure), latest: latest.max(failure) })
            }
        })
    }

    /// `reader` saw `value` and overlapped no write: the others are over, but for those of the
    /// other `readers` that did overlap a write. (What was last was settled before the rest began,
    /// so they must see it too.)
    pub(super) fn narrow(&mut self, reader: u16, value: Stamp, readers: u16) {
        let overlaps =
            |e: &Entry| !e.complete || e.failure != 0 || (e.during | e.ghosts) & reader != 0;
        let seen = self.all().iter().any(|e| e.value == value && e.live);
        if seen && !self.all().iter().any(overlaps) {
            let overlapping = self.all().iter().fold(0, |mask, e| mask | e.during | e.ghosts);
            for entry in self.all_mut().iter_mut().filter(|e| e.live && e.value != value) {
                (entry.live, entry.ghosts) = (false, readers & !reader & overlapping);
            }
            self.retain(|e| e.live || e.ghosts != 0);
        }
    }

    /// Nothing but zero was there before the call `reader` began, or a write that is still under
    /// way.
    pub(super) fn only_zero(&self, reader: u16) -> bool {
        let counts = |e: &Entry| e.complete && e.live && e.failure == 0 && e.during & reader == 0;
        let zero = |e: &Entry| e.value == Stamp::ZERO;
        self.all().iter().any(zero) && self.all().iter().all(|e| zero(e) || !counts(e))
    }

    pub(super) fn is_undecided(&self) -> bool {
        self.undecided
    }
}
