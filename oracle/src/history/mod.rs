//! The history checker: calls, returns, and what the store holds; nothing of the simulator.
//!
//! Whole calls are not atomic in the kernel, so the unit is the cell. Each cell is a register whose
//! values are unique stamps; a call on many cells is one sub-operation per cell within the call's
//! interval; i_size is a register of its own; truncate is the size change and then a discard (a
//! write of zero) per cell.
//!
//! Per cell the checker keeps *entries*: the operations that may have put the last value there. A
//! write is an entry from its call on. When it returns, the entries that were complete at its call
//! are superseded. A read is right if it returns the value of an entry that was live at some time
//! between its call and its return; so a superseded entry is kept as a ghost for the reads that
//! were under way. A read that overlaps no write narrows the entries down to the one that it saw.
//! This is exact for the last value (a test compares it with brute force); of two reads that
//! overlap the same write it accepts any order (sound: it never alarms on a legal history).
//!
//! fsync is a read of the store: when it returns without error, every cell of the store must hold a
//! value that was live during the fsync.
//!
//! Bytes at or beyond i_size are not content. A store there may vanish at any time and must be zero
//! after an extension; while i_size is uncertain (a size change is under way) a cell may be either.
//!
//! A failed write is one more operation on its cells: from then on they may show what the store
//! held, until something newer is written. Nothing else may. What only a failure explains is put
//! aside: some sync that returns after the failure must report it. Which errors are due, and when
//! none is, stands in `errors.rs`.

mod cell;
mod errors;
pub mod reference;
mod size;

use mkwrite_model::case::{CELLS_MAX, Case, Effect, Geometry, Operation, Range};
use mkwrite_model::exec::{ACTORS_MAX, TaskId};
use mkwrite_model::kernel::{InodeId, Stamp, Status};

use cell::{Cell, Why};
pub use errors::Obstacles;
use errors::{AtCall, Circumstances, Errors, Mapped, Mappings};
use size::Size;

/// Actors, and the closing one.
const CALLERS: usize = ACTORS_MAX + 1;
const _: () = assert!(CALLERS <= u16::BITS as usize, "sets of callers are masks of 16 bits");

/// An observation that belongs to no call: what was superseded is not current.
const NO_CALL: u16 = 0;

/// What is wrong with a history.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Flaw {
    /// A load or read returned a value that was not current at any time during the call.
    Stale,
    /// A cell that reads as zero by right holds something.
    Exposed,
    /// fsync returned 0 and the store lacks a value.
    NotDurable,
    /// After everything was unmapped and synced the store lacks the last value.
    Lost,
    /// Something was lost, and no call reported an error.
    Unreported,
    /// SIGBUS inside the file without a reason, or no SIGBUS beyond its end.
    Sigbus,
    /// A call returned an error that is not due, or none where one was.
    NotDue,
    /// The size that a call saw, or the final size, is not one that the calls explain.
    Size,
    /// fsync returned 0 and the size on the store is not one that the calls explain.
    DurableSize,
}

impl Flaw {
    /// All of them.
    pub const ALL: [Flaw; 9] = [
        Flaw::Stale,
        Flaw::Exposed,
        Flaw::NotDurable,
        Flaw::Lost,
        Flaw::Unreported,
        Flaw::Sigbus,
        Flaw::NotDue,
        Flaw::Size,
        Flaw::DurableSize,
    ];
}

/// A flaw and where it shows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Finding {
    /// What is wrong.
    pub flaw: Flaw,
    /// The cell where it shows.
    pub cell: u8,
    /// What was found there.
    pub found: Stamp,
}

/// The result of a call.
pub struct Observed<'a> {
    /// How it ended.
    pub status: Status,
    /// Cells that were stored, loaded, read or written.
    pub done: u8,
    /// The n-th cell that a load or read returned.
    pub value: &'a dyn Fn(u8) -> Stamp,
    /// What a cell of the store holds now, for calls that sync.
    pub durable: &'a dyn Fn(u8) -> Stamp,
    /// What a cell of the store would be read as now, for calls that sync: a server may have it and
    /// lose it in a crash.
    pub stored: &'a dyn Fn(u8) -> Stamp,
    /// The size of the file on the store now, for calls that sync.
    pub durable_size: &'a dyn Fn() -> u8,
    /// What a read of a cell would return now, for calls that extend the file (if it is known).
    pub visible: &'a dyn Fn(u8) -> Option<Stamp>,
}

/// A call that has not returned.
#[derive(Clone, Copy, Default)]
struct Pending {
    operation: Operation,
    slot: u8,
    /// The smallest and the largest size that was possible since the call.
    least: u8,
    most: u8,
    /// What was in its way since the call.
    obstacles: Obstacles,
    /// Whether its address space had a mapping since the call.
    mapped: Mapped,
    /// The failed writes before the call.
    errors: AtCall,
    /// A write that the call itself began found no space.
    own: bool,
    /// Since the call, another call may have taken pages out of the page cache.
    detached: bool,
    /// Since the call, its mapping may have been read-only.
    protected: bool,
}

impl Pending {
    fn is_sync(&self) -> bool {
        matches!(self.operation.effect(), Effect::Syncs { .. })
    }

    /// The cells that the call reads, or syncs.
    fn reads(&self, all: u8) -> Range {
        match self.operation.effect() {
            Effect::Syncs { .. } => Range::new(0, all),
            effect => effect.returns().unwrap_or_default(),
        }
    }
}

/// The checker.
pub struct History {
    geometry: Geometry,
    /// The address spaces of the callers.
    mms: [u8; CALLERS],
    mappings: Mappings,
    obstacles: Obstacles,
    errors: Errors,
    size: Size,
    cells: [Cell; CELLS_MAX],
    pending: [Pending; CALLERS],
    /// For each cell, the callers that are reading it, or syncing it, one bit each.
    readers: [u16; CELLS_MAX],
    /// What only a failure explains, the latest, with its number.
    suspect: Option<(u16, Finding)>,
    findings: [Option<Finding>; 4],
}

impl Default for History {
    fn default() -> Self {
        History {
            geometry: Geometry::default(),
            mms: [0; CALLERS],
            mappings: Mappings::default(),
            obstacles: Obstacles::default(),
            errors: Errors::default(),
            size: Size::default(),
            cells: [const { Cell::new() }; CELLS_MAX],
            pending: [Pending::default(); CALLERS],
            readers: [0; CELLS_MAX],
            suspect: None,
            findings: [None; 4],
        }
    }
}

impl History {
    /// Begins the history of a file of a case: what it holds, and its callers' address spaces.
    pub fn begin(&mut self, case: &Case, file: InodeId) {
        let geometry = case.geometry;
        self.geometry = geometry;
        self.mms = [0; CALLERS];
        for (mm, actor) in self.mms.iter_mut().zip(&case.actors) {
            *mm = actor.mm;
        }
        (self.mappings, self.obstacles, self.errors) =
            (Mappings::default(), Obstacles::default(), Errors::default());
        self.size.begin(geometry.size);
        for cell in 0..geometry.file_cells() {
            let hole = geometry.is_hole(cell / geometry.block_cells());
            let content =
                if hole || cell >= geometry.size { Stamp::ZERO } else { file.content(cell) };
            self.cells[usize::from(cell)].begin(content);
        }
        (self.pending, self.readers) = ([Pending::default(); CALLERS], [0; CELLS_MAX]);
        (self.suspect, self.findings) = (None, [None; 4]);
    }

    /// What these cells held could not be written, one bit each. `stored` is what the store has of
    /// a cell: for good, and as it would be read.
    pub fn write_failed(&mut self, cells: u64, io: bool, stored: &dyn Fn(u8) -> [Stamp; 2]) {
        let failure = self.errors.fail(io);
        for n in (0..self.geometry.file_cells()).filter(|n| cells >> n & 1 != 0) {
            for value in stored(n) {
                self.cells[usize::from(n)].fail(failure, value);
            }
        }
    }

    /// `caller` has itself begun a write that found no space: it may return that, whoever else
    /// does.
    pub fn found_no_space(&mut self, caller: TaskId) {
        if let Some(pending) = self.pending.get_mut(caller.index()) {
            pending.own = true;
        }
    }

    /// This is in the way of every call now.
    #[inline]
    pub fn set_obstacles(&mut self, obstacles: Obstacles) {
        if obstacles != self.obstacles {
            self.obstacles = obstacles;
            for pending in &mut self.pending {
                pending.obstacles = pending.obstacles.or(obstacles);
            }
        }
    }

    /// This was in the way of `caller`'s call, and of no other.
    pub fn met(&mut self, caller: TaskId, obstacles: Obstacles) {
        if let Some(pending) = self.pending.get_mut(caller.index()) {
            pending.obstacles = pending.obstacles.or(obstacles);
        }
    }

    /// `caller` calls `operation` from its slot `slot`.
    pub fn call(&mut self, caller: TaskId, slot: u8, operation: Operation) {
        let mm = self.mms[caller.index()];
        if let Some(effect) = Mapped::by(operation.effect()) {
            self.mappings.call(mm, effect);
            for (pending, _) in self.pending.iter_mut().zip(self.mms).filter(|(_, of)| *of == mm) {
                pending.mapped = pending.mapped.or(effect);
            }
        }
        self.pending[caller.index()] = Pending {
            operation,
            slot,
            least: self.size.least(),
            most: self.size.most(),
            obstacles: self.obstacles,
            mapped: self.mappings.of(mm),
            errors: self.errors.now(),
            own: false,
            detached: false,
            protected: self.is_protecting(mm),
        };
        self.detach(caller, operation.effect());
        if operation.effect() == Effect::Protects {
            for (pending, of) in self.pending.iter_mut().zip(self.mms) {
                pending.protected |= of == mm;
            }
        }
        match operation.effect() {
            Effect::Stores(cells) | Effect::Pins(cells) => {
                for cell in cells.clip(Range::new(0, self.size.most())).iter() {
                    self.add(caller, cell, Stamp::new(caller, slot, cell));
                }
            }
            Effect::Writes(cells)
            | Effect::Copies { to: cells, .. }
            | Effect::WritesMapped { to: cells, .. } => {
                self.size.call_extend(caller, cells.end);
                self.size_changed();
                for cell in cells.iter() {
                    self.add(caller, cell, Stamp::new(caller, slot, cell));
                }
            }
            Effect::Extends(cells) => {
                self.size.call_extend(caller, cells.end);
                self.size_changed();
            }
            effect @ (Effect::Discards(cells) | Effect::Zeroes(cells)) => {
                if let Some(end) = effect.extends_to() {
                    self.size.call_extend(caller, end);
                    self.size_changed();
                }
                for cell in cells.iter() {
                    // A write that failed may have left the store's file too short: a hole does not
                    // put that right.
                    self.add_if(caller, cell, Stamp::ZERO, false);
                }
            }
            Effect::Resizes(size) => {
                let inside = self.size.least();
                self.size.call_set(caller, size);
                self.size_changed();
                for cell in size..self.geometry.file_cells() {
                    // What lies beyond the end is not zeroed once more.
                    self.add_if(caller, cell, Stamp::ZERO, cell < inside);
                }
            }
            _ => {}
        }
        for cell in self.pending[caller.index()].reads(self.geometry.file_cells()).iter() {
            self.cells[usize::from(cell)].begin_read(1 << caller.index());
            self.readers[usize::from(cell)] |= 1 << caller.index();
        }
    }

    /// Some call makes the mapping of this address space read-only for a while.
    fn is_protecting(&self, mm: u8) -> bool {
        let calls = self.pending.iter().zip(self.mms).filter(|(_, of)| *of == mm);
        calls.into_iter().any(|(pending, _)| pending.operation.effect() == Effect::Protects)
    }

    /// A call begins: what a device writes meanwhile may go with its page, by this call or by
    /// another one that runs.
    fn detach(&mut self, caller: TaskId, effect: Effect) {
        if effect.detaches() {
            self.pending.iter_mut().for_each(|pending| pending.detached = true);
        } else if let Effect::Pins(_) = effect {
            let others = self.pending.iter().any(|pending| pending.operation.effect().detaches());
            self.pending[caller.index()].detached = others;
        }
    }

    fn add(&mut self, caller: TaskId, cell: u8, value: Stamp) {
        self.add_if(caller, cell, value, true);
    }

    fn add_if(&mut self, caller: TaskId, cell: u8, value: Stamp, renews: bool) {
        let readers = self.readers_of(cell);
        self.cells[usize::from(cell)].call(caller, value, renews, readers);
    }

    /// The callers that are reading this cell, or syncing it.
    fn readers_of(&self, cell: u8) -> u16 {
        self.readers[usize::from(cell)]
    }

    /// A size became possible: calls under way may have seen it, and stores under way may have hit
    /// content.
    fn size_changed(&mut self) {
        let (least, most) = (self.size.least(), self.size.most());
        for caller in 0..CALLERS {
            let p = &mut self.pending[caller];
            let (before, slot) = (p.most, p.slot);
            (p.least, p.most) = (p.least.min(least), p.most.max(most));
            if let Some(cells) = p.operation.effect().stores() {
                for cell in cells.clip(Range::new(before, most)).iter() {
                    let task = TaskId(caller as u8);
                    self.add(task, cell, Stamp::new(task, slot, cell));
                }
            }
        }
        // What is certainly not part of the file holds nothing.
        for cell in most..self.geometry.file_cells() {
            let readers = self.readers_of(cell);
            self.cells[usize::from(cell)].clear(readers);
        }
    }

    /// `caller`'s call has returned. Findings are then in [`History::take_findings`].
    pub fn returned(&mut self, caller: TaskId, outcome: &Observed<'_>) {
        let pending = self.pending[caller.index()];
        let slot = pending.slot;
        self.check_status(caller, &pending, outcome);
        let done = |cells: Range| Range::new(cells.start, cells.start + outcome.done);
        match pending.operation.effect() {
            effect @ (Effect::Stores(cells) | Effect::Pins(cells)) => {
                let stays = !pending.detached || matches!(effect, Effect::Stores(_));
                for cell in cells.iter() {
                    let took_place = done(cells).contains(cell);
                    let certain = stays && cell < pending.least;
                    let value = Stamp::new(caller, slot, cell);
                    self.settle(caller, cell, value, took_place, certain);
                }
            }
            Effect::Loads(cells) => {
                self.check_values(caller, pending, done(cells), outcome);
            }
            Effect::Reads(cells) => self.check_read(caller, pending, cells, outcome),
            Effect::Writes(cells) | Effect::WritesMapped { to: cells, .. } => {
                self.written(caller, pending, cells, outcome);
            }
            Effect::Copies { from, to, other } => {
                if !other {
                    self.check_read(caller, pending, from.no_longer_than(to), outcome);
                }
                self.written(caller, pending, to, outcome);
            }
            Effect::Extends(cells) => self.extended(caller, pending, cells, outcome),
            effect @ (Effect::Discards(cells) | Effect::Zeroes(cells)) => {
                let extends = effect.extends_to().is_some();
                for cell in cells.iter() {
                    let took_place = outcome.status != Status::NotSupported;
                    // What lay beyond the end when it looked is left alone, unless it extends the
                    // file, and after an error nobody knows.
                    let certain = outcome.status == Status::Ok && (extends || cell < pending.least);
                    self.settle(caller, cell, Stamp::ZERO, took_place, certain);
                }
                if extends {
                    self.extended(caller, pending, cells, outcome);
                }
            }
            Effect::Resizes(size) => {
                let took_place = outcome.status == Status::Ok;
                match took_place {
                    true => self.size.return_set(caller),
                    false => self.size.fail_set(caller),
                }
                self.size_changed();
                for cell in size..self.geometry.file_cells() {
                    self.settle(caller, cell, Stamp::ZERO, took_place, true);
                }
                if took_place {
                    self.check_exposed(pending, outcome);
                }
            }
            Effect::Syncs { .. } if outcome.status == Status::Ok => {
                for cell in 0..pending.least {
                    self.check_durable(1 << caller.index(), cell, outcome);
                }
                // A write under way may be on the store up to any page of it, and one that failed
                // may be missing.
                let size = (outcome.durable_size)();
                let failed = || self.cells[usize::from(size)..].iter().any(Cell::has_failed);
                if size < pending.least && !failed() || size > pending.most {
                    self.flaw(Flaw::DurableSize, size, Stamp::ZERO);
                }
            }
            _ => {}
        }
        self.forget(caller, pending);
    }

    /// `caller`'s call on another file has returned, which has read `cells` of this one: as many as
    /// it says, and all of them below the end unless it failed.
    pub fn returned_copy(&mut self, caller: TaskId, cells: Range, outcome: &Observed<'_>) {
        let pending = self.pending[caller.index()];
        if outcome.status == Status::Ok {
            self.check_read(caller, pending, cells, outcome);
        } else {
            let done = Range::new(cells.start, cells.start + outcome.done);
            self.check_values(caller, pending, done, outcome);
        }
        self.forget(caller, pending);
    }

    fn forget(&mut self, caller: TaskId, pending: Pending) {
        self.pending[caller.index()] = Pending::default();
        for cell in pending.reads(self.geometry.file_cells()).iter() {
            self.cells[usize::from(cell)].forget_reader(1 << caller.index());
            self.readers[usize::from(cell)] &= !(1 << caller.index());
        }
    }

    /// A call has read these cells, as many as it says.
    fn check_read(
        &mut self,
        caller: TaskId,
        pending: Pending,
        cells: Range,
        outcome: &Observed<'_>,
    ) {
        let end = cells.start + outcome.done;
        if outcome.done > 0 && end > pending.most {
            self.flaw(Flaw::Size, end - 1, (outcome.value)(outcome.done - 1));
        }
        if outcome.status == Status::Ok && end < cells.end && end < pending.least {
            self.flaw(Flaw::Size, end, Stamp::ZERO);
        }
        self.check_values(caller, pending, Range::new(cells.start, end), outcome);
    }

    /// A call has written these cells, as many as it says.
    fn written(&mut self, caller: TaskId, pending: Pending, cells: Range, outcome: &Observed<'_>) {
        let end = cells.start + outcome.done;
        for cell in cells.iter() {
            let value = Stamp::new(caller, pending.slot, cell);
            self.settle(caller, cell, value, cell < end, true);
        }
        self.size.return_extend(caller, if outcome.done == 0 { 0 } else { end });
        self.size_changed();
        self.check_exposed(pending, outcome);
    }

    /// A call has made these cells part of the file, if it succeeded.
    fn extended(&mut self, caller: TaskId, pending: Pending, cells: Range, outcome: &Observed<'_>) {
        let is_done = outcome.status == Status::Ok;
        self.size.return_extend(caller, if is_done { cells.end } else { 0 });
        if outcome.status == Status::NoSpace {
            self.size.extended_in_part(cells.end); // up to what could be allocated
        }
        self.size_changed();
        self.check_exposed(pending, outcome);
    }

    /// A write sub-operation of `caller` on `cell` has ended.
    fn settle(
        &mut self,
        caller: TaskId,
        cell: u8,
        value: Stamp,
        took_place: bool,
        supersedes: bool,
    ) {
        let readers = self.readers_of(cell);
        self.cells[usize::from(cell)].returned(caller, value, took_place, supersedes, readers);
        if cell >= self.size.most() {
            self.cells[usize::from(cell)].clear(readers);
        }
    }

    /// A call has made these cells part of the file: nothing but zeros, and what was written since,
    /// is there.
    fn check_exposed(&mut self, pending: Pending, outcome: &Observed<'_>) {
        for cell in pending.least..self.size.least() {
            if let Some(value) = (outcome.visible)(cell) {
                self.check(NO_CALL, cell, value, Flaw::Stale);
            }
        }
    }

    /// The result of a call is one that is due.
    fn check_status(&mut self, caller: TaskId, pending: &Pending, outcome: &Observed<'_>) {
        let (g, effect) = (self.geometry, pending.operation.effect());
        let page_start = |cell: u8| g.page_of(cell) * g.cells;
        let cells = match effect {
            Effect::Stores(cells)
            | Effect::Loads(cells)
            | Effect::Pins(cells)
            | Effect::Writes(cells)
            | Effect::WritesMapped { to: cells, .. } => cells,
            _ => Range::default(),
        };
        let reached = cells.start + outcome.done;
        // The last cell that it touched through the mapping.
        let touched = match effect {
            Effect::WritesMapped { from, to } => {
                let end = to.end.min(page_start(reached) + g.cells);
                from.start + (end - to.start) - 1
            }
            _ => reached,
        };
        let through_mapping = effect.is_through_mapping();
        if through_mapping && outcome.done > 0 && pending.most <= page_start(reached - 1) {
            self.flaw(Flaw::Sigbus, reached - 1, Stamp::ZERO); // went through beyond the end
        }
        let circumstances = Circumstances {
            obstacles: pending.obstacles,
            mapped: pending.mapped,
            protected: pending.protected,
            beyond: pending.least <= page_start(touched),
            whole: reached >= cells.end,
            errors: &self.errors,
            errors_at_call: pending.errors,
            own: pending.own,
        };
        if !circumstances.allows(effect, outcome.status) {
            // A fault that ends a system call is told by EFAULT.
            let faulted = outcome.status == Status::Fault && effect.stores().is_some();
            let is_sigbus = outcome.status == Status::Sigbus || faulted;
            let flaw = if is_sigbus { Flaw::Sigbus } else { Flaw::NotDue };
            self.flaw(flaw, reached.min(g.file_cells() - 1), Stamp::ZERO);
        }
        if pending.is_sync() && matches!(outcome.status, Status::Io | Status::NoSpace) {
            let own = pending.own && outcome.status == Status::NoSpace;
            self.errors.report(pending.errors, outcome.status == Status::Io, own);
        }
        if Mapped::by(effect).is_some() {
            self.mappings.returned(self.mms[caller.index()]);
        }
    }

    fn check_values(
        &mut self,
        caller: TaskId,
        pending: Pending,
        cells: Range,
        outcome: &Observed<'_>,
    ) {
        for cell in cells.iter() {
            let value = (outcome.value)(cell - cells.start);
            if cell < pending.least {
                self.check(1 << caller.index(), cell, value, Flaw::Stale);
                let readers = self.readers_of(cell);
                self.cells[usize::from(cell)].narrow(1 << caller.index(), value, readers);
            } else if cell < pending.most && value != Stamp::ZERO && value.cell() != cell {
                // Which of the cell's own values it may be is open while the size changes, but not
                // another cell's, unless a failed write has left it there.
                if self.cells[usize::from(cell)].explains(1 << caller.index(), value).is_none() {
                    self.flaw(Flaw::Exposed, cell, value);
                }
            }
        }
    }

    fn check(&mut self, reader: u16, cell: u8, value: Stamp, flaw: Flaw) {
        let entries = &self.cells[usize::from(cell)];
        match entries.explains(reader, value) {
            Some(Why::Order) => return,
            Some(Why::Failure { first, latest }) => {
                self.put_aside(reader, [first, latest], Finding { flaw, cell, found: value });
                return;
            }
            None => {}
        }
        let flaw =
            if value != Stamp::ZERO && entries.only_zero(reader) { Flaw::Exposed } else { flaw };
        self.flaw(flaw, cell, value);
    }

    /// A sync has returned without an error: the cell is durable.
    fn check_durable(&mut self, reader: u16, cell: u8, outcome: &Observed<'_>) {
        let (value, entries) = ((outcome.durable)(cell), &self.cells[usize::from(cell)]);
        match entries.explains(reader, value) {
            // A later write of the page has failed; the server has this value, and whoever syncs
            // next is told.
            Some(Why::Failure { latest, .. })
                if entries.explains(reader, (outcome.stored)(cell)) == Some(Why::Order) =>
            {
                self.suspect((latest, Finding { flaw: Flaw::NotDurable, cell, found: value }));
            }
            _ => self.check(reader, cell, value, Flaw::NotDurable),
        }
    }

    fn suspect(&mut self, (failure, finding): (u16, Finding)) {
        if self.suspect.is_none_or(|(latest, _)| latest < failure) {
            self.suspect = Some((failure, finding));
        }
    }

    /// Only failed writes explain this. Some sync must report them, and it is too late when one has
    /// returned without an error although the store lacks a value that was there before it began,
    /// and nobody else can have been told. The latest must be told if it came before the sync
    /// began, otherwise the first: what came while the sync ran may have failed after it had looked
    /// for errors.
    fn put_aside(&mut self, reader: u16, [first, latest]: [u16; 2], finding: Finding) {
        if finding.flaw == Flaw::NotDurable {
            let sync = &self.pending[reader.trailing_zeros() as usize];
            let due = if sync.errors.is_after(latest) { latest } else { first };
            let owed = self.cells[usize::from(finding.cell)].is_owed_to(reader);
            let other_sync = || {
                self.pending.iter().enumerate().any(|(n, p)| p.is_sync() && reader >> n & 1 == 0)
            };
            if owed && !self.errors.is_told(due) && !other_sync() {
                self.flaw(Flaw::Unreported, finding.cell, finding.found);
                return;
            }
        }
        self.suspect((latest, finding));
    }

    fn flaw(&mut self, flaw: Flaw, cell: u8, found: Stamp) {
        let finding = Finding { flaw, cell, found };
        if let Some(free) = self.findings.iter_mut().find(|f| f.is_none()) {
            *free = Some(finding);
        }
    }

    /// Nothing is under way: the file as `visible` shows it must be explained, and its size.
    pub fn quiescent(&mut self, size: u8, visible: &dyn Fn(u8) -> Option<Stamp>) {
        if !self.size.explains(size) {
            self.flaw(Flaw::Size, size, Stamp::ZERO);
        }
        for cell in 0..self.size.least().min(size) {
            if let Some(value) = visible(cell) {
                self.check(NO_CALL, cell, value, Flaw::Stale);
            }
        }
    }

    /// Everything was unmapped and synced: the store must hold the last values.
    pub fn end(&mut self, durable: &dyn Fn(u8) -> Stamp) {
        for cell in 0..self.size.least() {
            self.check(NO_CALL, cell, durable(cell), Flaw::Lost);
        }
        if let Some((failure, suspect)) = self.suspect
            && !self.errors.is_told(failure)
        {
            self.flaw(Flaw::Unreported, suspect.cell, suspect.found);
        }
    }

    /// A cell whose entries overflowed: its reads were not judged.
    pub fn is_undecided(&self) -> bool {
        self.cells[..usize::from(self.geometry.file_cells())].iter().any(Cell::is_undecided)
    }

    /// What was found since the last call.
    pub fn take_findings(&mut self) -> impl Iterator<Item = Finding> + use<> {
        std::mem::take(&mut self.findings).into_iter().flatten()
    }
}

#[cfg(test)]
mod tests;
