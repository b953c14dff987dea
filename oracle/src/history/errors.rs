//! Which results a call may have: errors of writeback and who is told, mappings, and the one table
//! of statuses.
//!
//! A failed write is due to be reported, once: some fsync or msync tests and clears the file's
//! error. A sync takes all that was there when it was called, and may take what came while it ran;
//! which of several syncs under way takes an error is open. (2.6.24 to 3.0 mm/filemap.c:
//! wait_on_page_writeback_range; NFS keeps the error per open file, and there too each is reported
//! once.) And a sync whose own writepage found no space returns that, whoever takes the file's error
//! (2.6.30 mm/filemap.c: filemap_fdatawrite).

use mkwrite_model::bit_set::ones;
use mkwrite_model::case::{Effect, MMS_MAX, Site};
use mkwrite_model::kernel::Status;

/// Failures that are told apart. After that many every error is due.
const FAILURES: u16 = 64;
const _: () = assert!(FAILURES as u32 <= u64::BITS, "failures are masks of 64 bits");

/// Failed writes in order, and what was reported of them.
#[derive(Clone, Copy, Default)]
pub(super) struct Errors {
    /// Failures so far.
    count: u16,
    /// Which of them were lacks of space, and which were I/O errors, one bit each.
    kinds: [u64; 2],
    /// Syncs that have returned such an error.
    reports: [u16; 2],
    /// So many failures, from the first, have been reported for certain.
    reported: u16,
    /// The failures before the last report.
    told: u16,
}

/// How the errors stood when a sync began.
#[derive(Clone, Copy, Default)]
pub(super) struct AtCall {
    count: u16,
    reported: u16,
}

impl AtCall {
    /// The failure of this number had happened by then.
    pub(super) fn is_after(self, failure: u16) -> bool {
        failure <= self.count
    }
}

impl Errors {
    /// How they stand now.
    pub(super) fn now(&self) -> AtCall {
        AtCall { count: self.count, reported: self.reported }
    }

    /// A write fails. Returns its number, from 1.
    pub(super) fn fail(&mut self, io: bool) -> u16 {
        if self.count < FAILURES {
            self.kinds[usize::from(io)] |= 1 << self.count;
        }
        self.count += 1;
        self.count
    }

    /// Some sync has returned an error since this failure.
    pub(super) fn is_told(&self, failure: u16) -> bool {
        self.told >= failure
    }

    /// The failures of this kind that may have been unreported when the errors stood `at_call`, or
    /// came later.
    fn open(&self, at_call: AtCall, io: bool) -> u64 {
        let reported = 1u64.checked_shl(at_call.reported.into()).unwrap_or(0).wrapping_sub(1);
        self.kinds[usize::from(io)] & !reported
    }

    /// A sync that began when the errors stood `at_call` may return this error now.
    fn is_due(&self, at_call: AtCall, io: bool) -> bool {
        let kind = usize::from(io);
        let left = self.kinds[kind].count_ones() > self.reports[kind].into();
        self.count > FAILURES || self.open(at_call, io) != 0 && left
    }

    /// A sync that began when the errors stood `at_call` returns an error: it has taken one of this
    /// kind, and with it all that were there before, and before the call; or none, if the error may
    /// be its own.
    pub(super) fn report(&mut self, at_call: AtCall, io: bool, own: bool) {
        let kind = usize::from(io);
        if !own {
            self.reports[kind] += 1;
            // So many reports took as many failures, so one of them took this one or a later one.
            let nth = ones(self.kinds[kind]).nth(usize::from(self.reports[kind]) - 1);
            let first = ones(self.open(at_call, io)).next();
            for taken in [nth, first].into_iter().flatten() {
                self.reported = self.reported.max(u16::from(taken) + 1);
            }
        }
        self.reported = self.reported.max(at_call.count).min(FAILURES);
        self.told = self.count;
    }
}

/// Whether an address space has a mapping of the file, at times: yes, no, or it is open.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Mapped(u8);

impl Mapped {
    const YES: Mapped = Mapped(1);
    const NO: Mapped = Mapped(2);

    /// What this operation makes it.
    pub(super) fn by(effect: Effect) -> Option<Mapped> {
        match effect {
            Effect::Maps => Some(Mapped::YES),
            Effect::Unmaps => Some(Mapped::NO),
            _ => None,
        }
    }

    /// It may be either.
    pub(super) fn or(self, other: Mapped) -> Mapped {
        Mapped(self.0 | other.0)
    }

    fn may_be(self, other: Mapped) -> bool {
        self.0 & other.0 != 0
    }
}

/// Which address spaces have a mapping. Of mmaps and munmaps that overlap, any may have been the
/// last.
#[derive(Clone, Copy)]
pub(super) struct Mappings {
    now: [Mapped; MMS_MAX],
    /// What those do that overlap, or overlap others that do.
    together: [Mapped; MMS_MAX],
    running: [u8; MMS_MAX],
}

impl Default for Mappings {
    fn default() -> Self {
        Mappings {
            now: [Mapped::YES; MMS_MAX],
            together: [Mapped::default(); MMS_MAX],
            running: [0; MMS_MAX],
        }
    }
}

impl Mappings {
    /// What may be so now.
    pub(super) fn of(&self, mm: u8) -> Mapped {
        self.now[usize::from(mm)]
    }

    /// An mmap or munmap begins.
    pub(super) fn call(&mut self, mm: u8, effect: Mapped) {
        let mm = usize::from(mm);
        self.now[mm] = self.now[mm].or(effect);
        self.together[mm] = self.together[mm].or(effect);
        self.running[mm] += 1;
    }

    /// One ends.
    pub(super) fn returned(&mut self, mm: u8) {
        let mm = usize::from(mm);
        self.running[mm] -= 1;
        if self.running[mm] == 0 {
            self.now[mm] = std::mem::take(&mut self.together[mm]);
        }
    }
}

/// What is in a call's way: what has run out, or fails.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Obstacles {
    /// The device had no free block.
    pub no_space: bool,
    /// The machine had no free page.
    pub no_memory: bool,
    /// The store could not be read.
    pub no_read: bool,
    /// The user's buffer went away.
    pub no_buffer: bool,
}

impl Obstacles {
    /// What is in the way of a call for which this site fails.
    pub(crate) fn of(site: Site) -> Obstacles {
        Obstacles {
            no_space: site == Site::Block,
            no_memory: matches!(site, Site::Page | Site::Setattr),
            no_read: site == Site::Read,
            no_buffer: site == Site::Copy,
        }
    }

    /// What is in either's way.
    pub(super) fn or(self, other: Obstacles) -> Obstacles {
        Obstacles {
            no_space: self.no_space | other.no_space,
            no_memory: self.no_memory | other.no_memory,
            no_read: self.no_read | other.no_read,
            no_buffer: self.no_buffer | other.no_buffer,
        }
    }
}

/// What there was between a call and its return.
pub(super) struct Circumstances<'a> {
    pub(super) obstacles: Obstacles,
    /// Its address space.
    pub(super) mapped: Mapped,
    /// Its mapping may have been read-only.
    pub(super) protected: bool,
    /// It stopped at a page that may have lain beyond the end of the file.
    pub(super) beyond: bool,
    /// It did all that it was asked to do.
    pub(super) whole: bool,
    pub(super) errors: &'a Errors,
    pub(super) errors_at_call: AtCall,
    /// A write that it began found no space.
    pub(super) own: bool,
}

impl Circumstances<'_> {
    /// The contract allows this result. The one table of errors.
    pub(super) fn allows(&self, effect: Effect, status: Status) -> bool {
        use {Effect as E, Status as S};
        let (mapped, unmapped) = (self.mapped.may_be(Mapped::YES), self.mapped.may_be(Mapped::NO));
        match (effect, status) {
            (E::Stores(_) | E::Loads(_) | E::Pins(_), S::Ok) => self.whole && mapped,
            (E::Stores(_), S::Sigbus) => {
                mapped && (self.beyond || self.obstacles.no_space || self.obstacles.no_read)
            }
            (E::Loads(_), S::Sigbus) => mapped && (self.beyond || self.obstacles.no_read),
            (E::Stores(_), S::Segv) => unmapped || self.protected,
            (E::Loads(_), S::Segv) => unmapped,
            (E::Pins(_), S::Fault) => {
                unmapped
                    || self.protected
                    || self.beyond
                    || self.obstacles.no_space
                    || self.obstacles.no_read
            }
            (E::Writes(_) | E::WritesMapped { .. }, S::Ok) => self.whole,
            (E::Writes(_) | E::WritesMapped { .. }, S::Fault) if self.obstacles.no_buffer => true,
            // The buffer cannot be read.
            (E::WritesMapped { .. }, S::Fault) => {
                let Obstacles { no_read, no_memory, .. } = self.obstacles;
                unmapped || self.beyond || no_read || no_memory
            }
            (E::Writes(_) | E::WritesMapped { .. }, S::NoSpace) => self.obstacles.no_space,
            (E::Copies { .. }, S::NoSpace) => self.obstacles.no_space,
            // Ranges that overlap; unless the file ends before they do.
            (E::Copies { from, to, other }, S::Invalid) => !other && from.bits() & to.bits() != 0,
            (E::Zeroes(_) | E::Reserves(_) | E::Extends(_), S::NoSpace) => self.obstacles.no_space,
            (
                E::Reads(_)
                | E::Writes(_)
                | E::WritesMapped { .. }
                | E::Copies { .. }
                | E::Discards(_)
                | E::Zeroes(_),
                S::Io,
            ) => self.obstacles.no_read,
            (
                E::Stores(_)
                | E::Loads(_)
                | E::Pins(_)
                | E::Reads(_)
                | E::Writes(_)
                | E::WritesMapped { .. }
                | E::Copies { .. }
                | E::Discards(_)
                | E::Zeroes(_)
                | E::Reserves(_)
                | E::Extends(_)
                | E::Resizes(_),
                S::NoMemory,
            ) => self.obstacles.no_memory,
            (E::Syncs { mapping: true } | E::Protects, S::NoMemory) => unmapped,
            (E::Moves, S::Fault) => unmapped,
            (E::Moves | E::Protects, S::Ok) => mapped,
            (E::Syncs { mapping: true }, _) if !mapped => false,
            (E::Syncs { .. }, S::Io) => self.errors.is_due(self.errors_at_call, true),
            (E::Syncs { .. }, S::NoSpace) => {
                self.own || self.errors.is_due(self.errors_at_call, false)
            }
            // Some have no such operation.
            (E::Discards(_) | E::Zeroes(_) | E::Reserves(_) | E::Extends(_), S::NotSupported) => {
                true
            }
            (E::Freezes, S::NotSupported) => true,
            // A page that cannot go now.
            (E::Drops { launders: true, .. }, S::Busy) => true,
            (_, S::Ok) => true,
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mkwrite_model::case::Range;

    use Status as S;
    use mkwrite_model::case::Operation as O;

    const CELL: Range = Range::new(0, 1);

    type Results = &'static [S];

    /// What an operation may return: on a calm day, on a rough one, and without a mapping.
    const TABLE: &[(O, Results, Results, Results)] = &[
        (O::Store(CELL), &[S::Ok], &[S::Ok, S::Sigbus, S::Segv, S::NoMemory], &[S::Segv]),
        (O::Load(CELL), &[S::Ok], &[S::Ok, S::Sigbus, S::Segv, S::NoMemory], &[S::Segv]),
        (O::Pin(CELL), &[S::Ok], &[S::Ok, S::NoMemory, S::Fault], &[S::Fault]),
        (O::Read(CELL), &[S::Ok], &[S::Ok, S::NoMemory, S::Io], &[S::Ok]),
        (O::Write(CELL), &[S::Ok], &[S::Ok, S::NoMemory, S::NoSpace, S::Io, S::Fault], &[S::Ok]),
        (
            O::WriteMapped(CELL, CELL),
            &[S::Ok],
            &[S::Ok, S::NoMemory, S::NoSpace, S::Io, S::Fault],
            &[S::Ok, S::Fault],
        ),
        (O::Truncate(0), &[S::Ok], &[S::Ok, S::NoMemory], &[S::Ok]),
        (
            O::Punch(CELL),
            &[S::Ok, S::NotSupported],
            &[S::Ok, S::NoMemory, S::Io, S::NotSupported],
            &[S::Ok, S::NotSupported],
        ),
        (
            O::ZeroRange(CELL),
            &[S::Ok, S::NotSupported],
            &[S::Ok, S::NoMemory, S::NoSpace, S::Io, S::NotSupported],
            &[S::Ok, S::NotSupported],
        ),
        (
            O::Prealloc(CELL),
            &[S::Ok, S::NotSupported],
            &[S::Ok, S::NoMemory, S::NoSpace, S::NotSupported],
            &[S::Ok, S::NotSupported],
        ),
        (
            O::Fallocate(CELL),
            &[S::Ok, S::NotSupported],
            &[S::Ok, S::NoMemory, S::NoSpace, S::NotSupported],
            &[S::Ok, S::NotSupported],
        ),
        (O::Background(CELL), &[S::Ok], &[S::Ok], &[S::Ok]),
        (O::Fsync, &[S::Ok], &[S::Ok, S::Io], &[S::Ok]),
        (O::Msync, &[S::Ok], &[S::Ok, S::NoMemory, S::Io], &[S::NoMemory]),
        (O::Invalidate2(CELL), &[S::Ok, S::Busy], &[S::Ok, S::Busy], &[S::Ok, S::Busy]),
        (O::Munmap, &[S::Ok], &[S::Ok], &[S::Ok]),
        (O::Mremap, &[S::Ok], &[S::Ok, S::Fault], &[S::Fault]),
        (O::Mprotect, &[S::Ok], &[S::Ok, S::NoMemory], &[S::NoMemory]),
    ];

    #[test]
    fn the_table_of_errors() {
        const STATUSES: [Status; 10] = [
            S::Ok,
            S::Sigbus,
            S::Segv,
            S::NoMemory,
            S::NoSpace,
            S::Io,
            S::Busy,
            S::Invalid,
            S::Fault,
            S::NotSupported,
        ];
        let (mut failed, none) = (Errors::default(), Errors::default());
        failed.fail(true);
        let calm = Circumstances {
            obstacles: Obstacles::default(),
            mapped: Mapped::YES,
            protected: false,
            beyond: false,
            whole: true,
            errors: &none,
            errors_at_call: none.now(),
            own: false,
        };
        let rough = Circumstances {
            obstacles: Obstacles {
                no_space: true,
                no_memory: true,
                no_read: true,
                no_buffer: true,
            },
            mapped: Mapped::YES.or(Mapped::NO),
            beyond: true,
            errors: &failed,
            ..calm
        };
        let gone = Circumstances { mapped: Mapped::NO, ..calm };
        for &(operation, calmly, roughly, unmapped) in TABLE {
            for (met, allowed) in [(&calm, calmly), (&rough, roughly), (&gone, unmapped)] {
                let found: Vec<_> = STATUSES
                    .into_iter()
                    .filter(|status| met.allows(operation.effect(), *status))
                    .collect();
                assert_eq!(found, allowed, "{operation}");
            }
        }
        assert!(
            !Circumstances { whole: false, ..calm }.allows(Effect::Writes(CELL), S::Ok),
            "a short write says why"
        );
    }
}
