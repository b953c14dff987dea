//! When an entry of the ledger holds: conditions, and what the judge notes during a run to tell
//! them.
//!
//! A condition is a predicate on the run, sampled at the step that broke a rule, and about what the
//! breach is about: some cells of the file, or none. Adding one is a line of the table below, a
//! function, and what `Marks` must note for it.

use mkwrite_model::bit_set::ones;
use mkwrite_model::case::{CELLS_MAX, Effect, Geometry, PAGES_MAX, Range};
use mkwrite_model::era::DirtiesLate;
use mkwrite_model::exec::{TASKS, TaskId, bits};
use mkwrite_model::implementation::{Code, Filesystem};
use mkwrite_model::kernel::event::Step;
use mkwrite_model::kernel::page::PRIVATE;
use mkwrite_model::kernel::{Event, Frame, Kernel, Status};

/// What a breach is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject {
    /// Cells of the file, one bit each.
    pub(crate) cells: u64,
    /// Whose step broke the rule.
    pub(crate) task: TaskId,
    /// It is about one cell that a call or the store shows, not about a page.
    pub(crate) content: bool,
}

impl Subject {
    /// It is about some of these cells; a breach about no cells is about all.
    fn hits(self, cells: u64) -> bool {
        if self.cells == 0 { cells != 0 } else { self.cells & cells != 0 }
    }
}

macro_rules! conditions {
    ($($variant:ident $name:literal $test:ident $what:literal;)*) => {
        /// A condition.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
        #[repr(u8)]
        pub enum Condition { $(#[doc = $what] $variant,)* }

        impl Condition {
            /// Every condition.
            pub const ALL: &'static [Condition] = &[$(Condition::$variant),*];

            /// The name in the ledger.
            pub const fn name(self) -> &'static str {
                match self { $(Condition::$variant => $name,)* }
            }

            /// What it says.
            pub const fn what(self) -> &'static str {
                match self { $(Condition::$variant => $what,)* }
            }

            /// The condition with this name.
            pub fn from_name(name: &str) -> Option<Condition> {
                match name { $($name => Some(Condition::$variant),)* _ => None }
            }
        }

        impl Marks {
            /// The conditions that hold for a breach about `subject`, now.
            pub(crate) fn sample<F: Filesystem>(&self, k: &Kernel<F>, subject: Subject) -> Conditions {
                Conditions(0 $(| u32::from(self.$test(k, subject)) << Condition::$variant as u8)*)
            }
        }
    };
}

conditions! {
    PastEof         "past-eof"          past_eof          "it is about what lay beyond i_size in the last page: cells that were stored to there, or that only an extension made part of the file";
    PageGone        "page-gone"         page_gone         "the page was out of the mapping when page_mkwrite returned";
    CleanedInWindow "cleaned-in-window" cleaned_in_window "the page was cleaned between page_mkwrite's return and the set_page_dirty of the same fault";
    FaultWindow     "fault-window"      fault_window      "a fault of that page had made the pte writable and not finished set_page_dirty, or the tag DIRTY had yet to follow PG_dirty, and another task ran in between";
    NothingCovered  "nothing-covered"   nothing_covered   "no part of the page lay below i_size when page_mkwrite returned success";
    NoRecord        "no-record"         no_record         "the page was dirty without a record";
    BlockBeyond     "block-beyond"      block_beyond      "a block that lay beyond i_size was allocated there, other than by a write(2) to it, or a page_mkwrite of its page returned while it was";
    PartPunched     "part-punched"      part_punched      "a hole was punched there, into a page that stayed and that somebody could store to";
    DirtiedInPunch  "dirtied-in-punch"  dirtied_in_punch  "somebody else made a page dirty, or was between its flag and its tag, while a hole was punched in the file";
    Raised          "raised"            raised            "a fault raised i_size, to beyond the start of its page, while a truncate of the file was under way";
    InHole          "in-hole"           in_hole           "a hole is being punched there, or a range zeroed";
    HalfZeroed      "half-zeroed"       half_zeroed       "a zero_range there failed for lack of space";
    WriteFailed     "write-failed"      write_failed      "a request to write it had failed";
    ShortCopied     "short-copied"      short_copied      "a write(2) to there had ended too early: its copy was short";
    InGap           "in-gap"            in_gap            "a write(2) that began beyond the end of the file left it between the old end and its start";
    EofReleased     "eof-released"      eof_released      "a write(2) that ended early gave back what was reserved for the block that holds the end of the file, which was dirty";
    LastWriteFailed "last-write-failed" last_write_failed "the last write of it to the store failed: there was no space, or an I/O error";
    Pinned          "pinned"            pinned            "a device wrote to its page while that was clean or locked, or whoever had pinned it made it dirty when it was clean, or what page_mkwrite had brought for it was gone";
    Stripped        "stripped"          stripped          "its page had no private data any more when whoever had pinned it made it dirty";
    UnmappedLate    "unmapped-late"     unmapped_late     "munmap had taken a pte of its page, and a TLB entry of that had not been flushed, or was stored through";
    MovedLate       "moved-late"        moved_late        "the same, of a pte that mremap had moved";
    InTruncate      "in-truncate"       in_truncate       "a truncate of the file was under way";
    DirtiedInTruncate "dirtied-in-truncate" dirtied_in_truncate "somebody else made a page dirty, or was between its flag and its tag, while a truncate of the file was under way";
    SizeToFollow    "size-to-follow"    size_to_follow    "a write(2) to there was under way, beyond i_size, when the page was cleaned to be written back";
    RacedWrite      "raced-write"       raced_write       "it was stored to through a mapping while a write(2) to it was under way";
}

mkwrite_model::bit_set! {
    /// A set of conditions.
    Conditions of Condition: u32
}

/// A fault on its way from page_mkwrite's return, or from its pte where there is no page_mkwrite,
/// to the end of its set_page_dirty.
#[derive(Clone, Copy)]
struct Fault {
    page: Frame,
    /// The step at which its pte became writable.
    pte: Option<u32>,
    /// The page lock is not held from there until the page is dirty.
    late: bool,
    /// The page was cleaned since.
    cleaned: bool,
    /// PG_dirty is set, the tag not yet.
    flagged: bool,
}

/// A write(2) under way.
#[derive(Clone, Copy, Default)]
struct Writing {
    /// What it writes to, and its first cell.
    cells: u64,
    start: u8,
    /// What was stored to through a mapping meanwhile.
    stored: u64,
}

/// Calls of one kind that flush the file and then change it, with nothing that keeps others from
/// making pages dirty in between.
#[derive(Clone, Copy, Default)]
struct Flushing {
    /// The tasks that are in such a call.
    tasks: u32,
    /// Somebody else made a page dirty meanwhile.
    dirtied: bool,
}

impl Flushing {
    /// A page that is flagged and not tagged yet is one that the flush will not see.
    fn begin(&mut self, task: TaskId, flagged: bool) {
        self.tasks |= task.bit();
        self.dirtied |= flagged;
    }

    fn end(&mut self, task: TaskId) {
        self.tasks &= !task.bit();
    }

    fn dirtied_by(&mut self, task: TaskId) {
        self.dirtied |= self.tasks != 0 && self.tasks & task.bit() == 0;
    }
}

/// What the judge notes of a run for the conditions.
pub(crate) struct Marks {
    dirties_late: DirtiesLate,
    faults: [Option<Fault>; TASKS],
    /// Faults that are under way, one bit per task: most of the time none.
    under_way: u32,
    /// Which page each task has marked PG_dirty and not yet tagged, and at which step.
    tagging: [Option<(Frame, u32)>; TASKS],
    /// The last step of another task than the step before.
    switched: u32,
    last: Option<TaskId>,
    /// For each page of the file, the step after the last one at which a fault stood between its
    /// pte and the end of its set_page_dirty, or somebody between the flag and the tag, with a step
    /// of another task in between.
    late_until: [u32; PAGES_MAX],
    /// The step at which each task's call began.
    called: [u32; TASKS],
    /// Tasks in whose call page_mkwrite returned with the page out of the mapping.
    gone: u32,
    truncates: Flushing,
    punches: Flushing,
    raised: bool,
    /// Tasks that are in a write(2), and for each of them, cells of the file, one bit each.
    writing: u32,
    writes: [Writing; TASKS],
    eof: Eof,
    /// Cells, one bit each: stored to in such a window; of pages that were cleaned in a window; of
    /// pages that page_mkwrite covered nothing of; of pages that were dirty without a record; in
    /// blocks beyond i_size.
    stored_late: u64,
    cleaned: u64,
    uncovered: u64,
    unrecorded: u64,
    in_block_beyond: u64,
    /// Cells in blocks that are beyond i_size now, and those of them that a write(2) to them has
    /// allocated.
    beyond: u64,
    by_write: u64,
    /// For each task, the cells that were in blocks beyond i_size at some time since its call.
    beyond_since_call: [u64; TASKS],
    /// The blocks that were allocated when this was last noted.
    allocated: u64,
    /// Cells of a write(2) under way that were beyond i_size when their page was written back.
    unsized_writes: u64,
    /// Cells that were stored to while a write(2) to them was under way.
    raced: u64,
    /// Cells that a write(2) left between the old end of the file and its start.
    gaps: u64,
    /// Cells of a dirty block at the end of the file whose space a write(2) gave back.
    eof_released: u64,
    /// Cells that a hole took from pages that stayed, and could be stored to.
    part_punched: u64,
    /// Cells that a write(2) has replaced since they were last put into `stored_late`, `cleaned`,
    /// `uncovered` or `unrecorded`, and the step at which the write was done.
    overwritten: u64,
    overwritten_at: [u32; CELLS_MAX],
    /// Tasks whose call is a write(2), also when it is done.
    writers: u32,
    /// Cells of a zero_range that found no space.
    half_zeroed: u64,
    /// Cells of write(2)s whose copy was short.
    short_copied: u64,
    /// Cells that a request could not write.
    failed: u64,
    /// Cells of pages that a device wrote to, or that became dirty by it, without page_mkwrite.
    pinned: u64,
    stripped: u64,
    /// Cells that were stored to by a TLB entry that had outlived its pte: which was taken, or
    /// moved.
    stored_stale: [u64; 2],
    /// Cells that fallocate(2) has asked blocks for, since they were last cut off.
    pub(crate) preallocated: u64,
    /// Cells whose last write to the store failed: the store may hold anything that it held before.
    pub(crate) unwritten: u64,
    step: u32,
}

impl Default for Marks {
    fn default() -> Self {
        Marks {
            dirties_late: DirtiesLate::NEVER,
            faults: [None; TASKS],
            under_way: 0,
            tagging: [None; TASKS],
            switched: 0,
            last: None,
            late_until: [0; PAGES_MAX],
            called: [0; TASKS],
            gone: 0,
            truncates: Flushing::default(),
            punches: Flushing::default(),
            raised: false,
            writing: 0,
            writes: [Writing::default(); TASKS],
            eof: Eof::default(),
            stored_late: 0,
            cleaned: 0,
            uncovered: 0,
            unrecorded: 0,
            in_block_beyond: 0,
            beyond: 0,
            by_write: 0,
            beyond_since_call: [0; TASKS],
            allocated: 0,
            part_punched: 0,
            unsized_writes: 0,
            raced: 0,
            gaps: 0,
            eof_released: 0,
            overwritten: 0,
            overwritten_at: [0; CELLS_MAX],
            writers: 0,
            half_zeroed: 0,
            short_copied: 0,
            failed: 0,
            pinned: 0,
            stripped: 0,
            stored_stale: [0; 2],
            preallocated: 0,
            unwritten: 0,
            step: 0,
        }
    }
}

/// The cells of a page, as bits of the file; `cells` says which, one bit each.
pub(crate) fn file_cells(g: Geometry, page: u8, cells: u8) -> u64 {
    let of_page = u64::from(cells) & ((1 << g.cells) - 1);
    of_page << (u32::from(page) * u32::from(g.cells))
}

impl Marks {
    /// A run begins.
    pub(crate) fn begin<F: Filesystem>(&mut self, k: &Kernel<F>) {
        *self = Marks { dirties_late: k.target().dirties_late(), ..Marks::default() };
        self.eof.begin(k.geometry());
        self.allocated = k.fs().allocated(k).into();
    }

    /// A step begins to be judged.
    #[inline]
    pub(crate) fn step(&mut self, step: Step) {
        self.step = step.number;
        if self.last != Some(step.task) {
            self.last = Some(step.task);
            self.switched = step.number;
        }
    }

    /// A fault under way will mark this page dirty, without the page lock, and this caller does it
    /// that way.
    pub(crate) fn will_dirty(&self, page: Frame) -> bool {
        self.faults().any(|fault| fault.late && !fault.flagged && fault.page == page)
    }

    fn faults(&self) -> impl Iterator<Item = Fault> + '_ {
        // Where none is under way there is nothing to look at.
        let faults = if self.under_way == 0 { &[][..] } else { &self.faults[..] };
        faults.iter().copied().flatten()
    }

    /// The page is dirty without a record.
    pub(crate) fn without_record(&mut self, cells: u64) {
        self.unrecorded |= cells;
        self.overwritten &= !cells;
    }

    /// Notes an event of a step.
    #[inline(always)]
    pub(crate) fn event<F: Filesystem>(&mut self, k: &Kernel<F>, task: TaskId, event: Event) {
        match event {
            Event::Call => self.call(k, task),
            Event::Return => {
                self.preallocates(k, task);
                if let Effect::Zeroes(cells) = k.state(task).operation().effect()
                    && k.outcome(task).status() == Status::NoSpace
                {
                    self.half_zeroed |= cells.bits();
                }
                if k.outcome(task).status() == Status::Fault
                    && let Some(cells) = k.state(task).operation().effect().writes()
                {
                    self.short_copied |= cells.bits();
                }
                self.truncates.end(task);
                self.punches.end(task);
                self.tagging[task.index()] = None;
                if self.writing & task.bit() != 0 {
                    self.written(k, task);
                }
            }
            Event::MkwriteReturned { page, code, .. } => self.mkwrite_returned(k, task, page, code),
            Event::PteSet { page, write: true, new, .. } => self.pte_set(task, page, new),
            Event::DirtySet { page, newly, .. } => self.dirty_set(k, task, page, newly),
            Event::TagSet { page, .. } => {
                self.dirtied(task);
                if let Some((page, since)) = self.tagging[task.index()].take() {
                    self.late(k, page, since);
                }
                if self.of(task, page) {
                    self.close(k, task);
                }
            }
            Event::PartPunched { page, cells } => {
                self.part_punched |= file_cells(k.geometry(), k.index(page), u8::MAX)
                    & (cells.bits() << k.first_cell(page));
            }
            Event::EofBlockReleased { cells } => self.eof_released |= cells.bits(),
            Event::FaultReturned => self.close(k, task),
            Event::DirtyCleared { page, .. } => {
                for fault in self.faults.iter_mut().flatten().filter(|fault| fault.page == page) {
                    fault.cleaned = true;
                }
                if self.writing != 0 {
                    let of_page = file_cells(k.geometry(), k.index(page), u8::MAX);
                    let beyond = u64::MAX.checked_shl(k.i_size().into()).unwrap_or(0);
                    let written = self.writes.iter().fold(0, |cells, write| cells | write.cells);
                    self.unsized_writes |= written & of_page & beyond;
                }
            }
            Event::Stored { cells } => self.stored(k, task, cells),
            Event::SizeWritten { from, to, .. } => self.size_written(k, task, from, to),
            Event::Removed { page, .. } => self.eof.removed(k, page),
            Event::WriteFailed { cells, io } => {
                self.unwritten |= cells;
                self.failed |= if io { cells } else { 0 };
            }
            Event::Transferred { slot } => {
                if let Some(request) = k.request(slot).filter(|request| !request.fails) {
                    self.unwritten &=
                        !file_cells(k.geometry(), k.index_of(&request), k.cells_of(&request));
                }
            }
            _ => {}
        }
    }

    fn of(&self, task: TaskId, page: Frame) -> bool {
        self.faults[task.index()].is_some_and(|fault| fault.page == page)
    }

    fn open(&mut self, task: TaskId, fault: Fault) {
        self.faults[task.index()] = Some(fault);
        self.under_way |= task.bit();
    }

    fn close<F: Filesystem>(&mut self, k: &Kernel<F>, task: TaskId) {
        self.under_way &= !task.bit();
        if let Some(Fault { page, pte: Some(since), .. }) = self.faults[task.index()].take() {
            self.late(k, page, since);
        }
    }

    /// A window of this page, open since that step, closes. It is none if nobody else went on
    /// meanwhile.
    fn late<F: Filesystem>(&mut self, k: &Kernel<F>, page: Frame, since: u32) {
        if self.switched > since {
            self.late_until[usize::from(k.index(page))] = self.step + 1;
        }
    }

    fn call<F: Filesystem>(&mut self, k: &Kernel<F>, task: TaskId) {
        self.called[task.index()] = self.step;
        self.beyond_since_call[task.index()] = self.beyond;
        self.gone &= !task.bit();
        self.writers &= !task.bit();
        self.preallocates(k, task);
        let effect = k.state(task).operation().effect();
        let flagged = || self.tagging.iter().any(Option::is_some);
        if effect.discards().is_some() {
            self.punches.begin(task, flagged());
        } else if let Effect::Resizes(_) = effect {
            self.truncates.begin(task, flagged());
        } else if let Some(cells) = effect.writes() {
            self.writing |= task.bit();
            self.writers |= task.bit();
            self.writes[task.index()] =
                Writing { cells: cells.bits(), start: cells.start, stored: 0 };
        }
    }

    /// A call of fallocate(2) begins or ends, so it may have allocated since the last truncate.
    fn preallocates<F: Filesystem>(&mut self, k: &Kernel<F>, task: TaskId) {
        if let Effect::Reserves(cells) | Effect::Extends(cells) | Effect::Zeroes(cells) =
            k.state(task).operation().effect()
        {
            self.preallocated |= cells.bits();
        }
    }

    /// A write(2) is done. What its cells hold and which records they have is its own doing, unless
    /// somebody stored to them meanwhile.
    fn written<F: Filesystem>(&mut self, k: &Kernel<F>, task: TaskId) {
        self.writing &= !task.bit();
        let Writing { start, stored, .. } = std::mem::take(&mut self.writes[task.index()]);
        let cells = Range::new(start, start + k.outcome(task).done()).bits();
        let own = cells & !stored;
        self.overwritten |= own;
        ones(own).for_each(|cell| self.overwritten_at[usize::from(cell)] = self.step);
    }

    /// A breach about content does not match where a write(2) has replaced the cell since, unless
    /// the call that is judged (an fsync, say) began before that write ended.
    fn hits(&self, about: Subject, marks: u64) -> bool {
        if !about.content {
            return about.hits(marks);
        }
        let began = self.called[about.task.index()];
        let answers = |cell: u8| self.overwritten_at[usize::from(cell)] > began;
        let before = match self.writers & about.task.bit() {
            0 => ones(about.cells & marks & self.overwritten).any(answers),
            _ => false,
        };
        before || about.hits(marks & !self.overwritten)
    }

    fn mkwrite_returned<F: Filesystem>(
        &mut self,
        k: &Kernel<F>,
        task: TaskId,
        page: Frame,
        code: Code,
    ) {
        self.gone &= !task.bit();
        if !k.in_mapping(page) {
            self.gone |= task.bit();
        }
        if !k.fs().declaration().convention.is_failure(code) && k.length_below_eof(page) == 0 {
            let cells = file_cells(k.geometry(), k.index(page), u8::MAX);
            self.uncovered |= cells;
            self.overwritten &= !cells;
        }
        // Whoever allocated them, a page_mkwrite that prepares the whole page has them now.
        // It found them at some time since its call; they may be gone by now.
        let found = self.beyond_since_call[task.index()];
        self.in_block_beyond |= found & file_cells(k.geometry(), k.index(page), u8::MAX);
        self.open(task, Fault { page, pte: None, late: false, cleaned: false, flagged: false });
    }

    /// Notes the blocks that are there and that i_size does not reach into. Those of a step that
    /// touched no page are as they were.
    #[inline]
    pub(crate) fn blocks<F: Filesystem>(&mut self, k: &Kernel<F>) {
        let (g, first) = (k.geometry(), k.geometry().blocks_of(k.i_size()));
        let allocated = u64::from(k.fs().allocated(k));
        let fresh = allocated & !std::mem::replace(&mut self.allocated, allocated);
        let beyond = allocated >> first << first;
        if beyond == 0 && self.beyond == 0 {
            return;
        }
        let cells_of = |blocks| ones(blocks).fold(0, |all, n| all | g.cells_of_block(n).bits());
        let (cells, fresh) = (cells_of(beyond), cells_of(fresh & beyond));
        // A write(2) allocates its blocks before it raises i_size.
        let own = self.last.map_or(0, |task| self.writes[task.index()].cells);
        self.by_write = (self.by_write | if fresh & own != 0 { fresh } else { 0 }) & cells;
        if cells != self.beyond {
            self.beyond_since_call.iter_mut().for_each(|seen| *seen |= cells);
        }
        self.beyond = cells;
        self.in_block_beyond |= cells & !self.by_write;
    }

    fn pte_set(&mut self, task: TaskId, page: Frame, new: bool) {
        let late = if new { self.dirties_late.miss } else { self.dirties_late.wp };
        let fault = self.faults[task.index()].filter(|fault| fault.page == page);
        let fault =
            fault.unwrap_or(Fault { page, pte: None, late, cleaned: false, flagged: false });
        self.open(task, Fault { pte: fault.pte.or(Some(self.step)), late, ..fault });
    }

    fn dirty_set<F: Filesystem>(&mut self, k: &Kernel<F>, task: TaskId, page: Frame, newly: bool) {
        if k.is_pinned(page) && matches!(k.state(task).operation().effect(), Effect::Pins(_)) {
            self.pin_dirtied(k, page, newly);
        }
        if newly {
            self.tagging[task.index()] = Some((page, self.step));
        }
        self.dirtied(task);
        let Some(fault) = &mut self.faults[task.index()] else { return };
        if fault.page != page {
            return;
        }
        fault.flagged = true;
        if fault.cleaned {
            let cells = file_cells(k.geometry(), k.index(page), u8::MAX);
            self.cleaned |= cells;
            self.overwritten &= !cells;
        }
        if !newly {
            self.close(k, task);
        }
    }

    /// Whoever had pinned this page has made it dirty: for the first time since page_mkwrite, or
    /// what page_mkwrite had brought is no longer there.
    fn pin_dirtied<F: Filesystem>(&mut self, k: &Kernel<F>, page: Frame, newly: bool) {
        let (record, cells) =
            (k.fs().record(k, page), file_cells(k.geometry(), k.index(page), u8::MAX));
        if newly || record.missing | record.uncovered != 0 {
            self.pinned |= cells;
        }
        if k.in_mapping(page) && !k.has(page, PRIVATE) {
            self.stripped |= cells;
        }
    }

    /// A device has written to these cells, of one page.
    fn device_wrote<F: Filesystem>(&mut self, k: &Kernel<F>, cells: Range) {
        let index = k.geometry().page_of(cells.start);
        if k.slot(index).is_some_and(|page| !k.is_dirty(page) || k.is_locked(page)) {
            self.pinned |= file_cells(k.geometry(), index, u8::MAX);
        }
    }

    /// A CPU, or a device, has stored to these cells, of one page.
    fn stored<F: Filesystem>(&mut self, k: &Kernel<F>, task: TaskId, cells: Range) {
        match k.state(task).operation().effect() {
            Effect::Pins(_) => self.device_wrote(k, cells),
            _ => self.stored_by_stale(k, cells),
        }
        self.eof.stored(cells, k.i_size());
        if self.writing != 0 {
            for write in &mut self.writes {
                write.stored |= cells.bits();
                self.raced |= write.cells & cells.bits();
            }
        }
        let page = k.geometry().page_of(cells.start);
        if self.faults().any(|fault| fault.pte.is_some() && k.index(fault.page) == page) {
            self.stored_late |= cells.bits();
            self.overwritten &= !cells.bits();
        }
    }

    /// A CPU has stored to these cells, of one page.
    fn stored_by_stale<F: Filesystem>(&mut self, k: &Kernel<F>, cells: Range) {
        for moved in [false, true] {
            if k.is_stale(k.geometry().page_of(cells.start), moved) {
                self.stored_stale[usize::from(moved)] |= cells.bits();
            }
        }
    }

    /// The flag or the tag of a page was set.
    fn dirtied(&mut self, task: TaskId) {
        self.truncates.dirtied_by(task);
        self.punches.dirtied_by(task);
    }

    fn size_written<F: Filesystem>(&mut self, k: &Kernel<F>, task: TaskId, from: u8, to: u8) {
        let g = k.geometry();
        self.eof.size(g, to);
        if to <= from {
            // The blocks beyond are given back; who comes here again finds a hole.
            let kept = Range::new(0, g.blocks_of(to) * g.block_cells()).bits();
            self.unwritten &= kept;
            self.preallocated &= kept;
            return;
        }
        let effect = k.state(task).operation().effect();
        if let Some(cells) = effect.writes() {
            self.gaps |= Range::new(from, cells.start.max(from)).bits();
        }
        if let Some(cells) = effect.stores() {
            let first = g.page_of(cells.start) * g.cells;
            self.raised |= self.truncates.tasks & !task.bit() != 0 && to > first;
        }
    }

    fn past_eof<F: Filesystem>(&self, k: &Kernel<F>, about: Subject) -> bool {
        if about.content {
            return about.cells & self.eof.stored != 0;
        }
        about.cells != 0 && self.eof.is_beyond(k.geometry(), about.cells)
    }

    fn page_gone<F: Filesystem>(&self, _: &Kernel<F>, about: Subject) -> bool {
        self.gone & about.task.bit() != 0
    }

    fn cleaned_in_window<F: Filesystem>(&self, k: &Kernel<F>, about: Subject) -> bool {
        let now = |fault: Fault| {
            fault.cleaned && about.hits(file_cells(k.geometry(), k.index(fault.page), u8::MAX))
        };
        self.hits(about, self.cleaned) || self.faults().any(now)
    }

    fn fault_window<F: Filesystem>(&self, k: &Kernel<F>, about: Subject) -> bool {
        let g = k.geometry();
        let of_page = |page: u8| about.hits(file_cells(g, page, u8::MAX));
        let began = self.called[about.task.index()];
        self.hits(about, self.stored_late)
            || self.faults().any(|fault| fault.pte.is_some() && of_page(k.index(fault.page)))
            || self.tagging.iter().flatten().any(|(page, _)| of_page(k.index(*page)))
            || (0..g.pages).any(|page| of_page(page) && self.late_until[usize::from(page)] > began)
    }

    fn nothing_covered<F: Filesystem>(&self, _: &Kernel<F>, about: Subject) -> bool {
        self.hits(about, self.uncovered)
    }

    fn no_record<F: Filesystem>(&self, _: &Kernel<F>, about: Subject) -> bool {
        self.hits(about, self.unrecorded)
    }

    fn block_beyond<F: Filesystem>(&self, k: &Kernel<F>, about: Subject) -> bool {
        let g = k.geometry();
        let now = || u64::from(k.fs().allocated(k)) >> g.blocks_of(k.i_size()) != 0;
        if about.cells == 0 { now() } else { self.in_block_beyond & about.cells != 0 }
    }

    fn part_punched<F: Filesystem>(&self, _: &Kernel<F>, about: Subject) -> bool {
        about.hits(self.part_punched)
    }

    fn dirtied_in_punch<F: Filesystem>(&self, _: &Kernel<F>, _: Subject) -> bool {
        self.punches.dirtied
    }

    fn in_hole<F: Filesystem>(&self, k: &Kernel<F>, about: Subject) -> bool {
        let cells = |task: TaskId| k.state(task).operation().effect().discards();
        bits(self.punches.tasks).filter_map(cells).any(|cells| about.hits(cells.bits()))
    }

    fn half_zeroed<F: Filesystem>(&self, _: &Kernel<F>, about: Subject) -> bool {
        about.hits(self.half_zeroed)
    }

    fn short_copied<F: Filesystem>(&self, _: &Kernel<F>, about: Subject) -> bool {
        about.hits(self.short_copied)
    }

    fn write_failed<F: Filesystem>(&self, _: &Kernel<F>, about: Subject) -> bool {
        about.hits(self.failed)
    }

    fn raised<F: Filesystem>(&self, _: &Kernel<F>, _: Subject) -> bool {
        self.raised
    }

    fn in_gap<F: Filesystem>(&self, _: &Kernel<F>, about: Subject) -> bool {
        about.hits(self.gaps)
    }

    fn size_to_follow<F: Filesystem>(&self, _: &Kernel<F>, about: Subject) -> bool {
        about.hits(self.unsized_writes)
    }

    fn raced_write<F: Filesystem>(&self, _: &Kernel<F>, about: Subject) -> bool {
        about.hits(self.raced)
    }

    fn eof_released<F: Filesystem>(&self, _: &Kernel<F>, about: Subject) -> bool {
        about.hits(self.eof_released)
    }

    fn pinned<F: Filesystem>(&self, k: &Kernel<F>, about: Subject) -> bool {
        let is_due = |page: Frame| {
            let cells = file_cells(k.geometry(), k.index(page), u8::MAX);
            let bare = !k.is_dirty(page) || !k.has(page, PRIVATE);
            k.is_pinned(page) && bare && about.hits(cells)
        };
        about.hits(self.pinned) || k.cached_pages().any(is_due)
    }

    fn stripped<F: Filesystem>(&self, _: &Kernel<F>, about: Subject) -> bool {
        about.hits(self.stripped)
    }

    fn unmapped_late<F: Filesystem>(&self, k: &Kernel<F>, about: Subject) -> bool {
        self.flushed_late(k, about, false)
    }

    fn moved_late<F: Filesystem>(&self, k: &Kernel<F>, about: Subject) -> bool {
        self.flushed_late(k, about, true)
    }

    fn flushed_late<F: Filesystem>(&self, k: &Kernel<F>, about: Subject, moved: bool) -> bool {
        let g = k.geometry();
        let now = |page: &u8| about.hits(file_cells(g, *page, u8::MAX)) && k.is_stale(*page, moved);
        about.hits(self.stored_stale[usize::from(moved)]) || (0..g.pages).any(|page| now(&page))
    }

    fn last_write_failed<F: Filesystem>(&self, _: &Kernel<F>, about: Subject) -> bool {
        about.hits(self.unwritten)
    }

    fn in_truncate<F: Filesystem>(&self, _: &Kernel<F>, _: Subject) -> bool {
        self.truncates.tasks != 0
    }

    fn dirtied_in_truncate<F: Filesystem>(&self, _: &Kernel<F>, _: Subject) -> bool {
        self.truncates.dirtied
    }
}

/// What lay beyond i_size, in the last page.
#[derive(Default)]
struct Eof {
    /// For each page, the first cell in it that was beyond i_size while the page was the last one.
    beyond: [Option<u8>; PAGES_MAX],
    /// The cells of the file that were stored to through a mapping while they were beyond i_size.
    stored: u64,
}

impl Eof {
    fn begin(&mut self, g: Geometry) {
        self.size(g, g.size);
    }

    fn size(&mut self, g: Geometry, size: u8) {
        let first = size % g.cells;
        if first != 0 {
            let beyond = &mut self.beyond[usize::from(g.page_of(size))];
            *beyond = Some(beyond.map_or(first, |cell| cell.min(first)));
        }
    }

    /// The page left the page cache: the next one at its index starts afresh.
    fn removed<F: Filesystem>(&mut self, k: &Kernel<F>, page: Frame) {
        self.beyond[usize::from(k.index(page))] = None;
        self.size(k.geometry(), k.i_size());
    }

    fn stored(&mut self, cells: Range, size: u8) {
        self.stored |= cells.bits() & u64::MAX.checked_shl(size.into()).unwrap_or(0);
    }

    /// All these cells, of one page, were beyond i_size once.
    fn is_beyond(&self, g: Geometry, cells: u64) -> bool {
        let page = cells.trailing_zeros() as u8 / g.cells;
        let of_page = cells >> (u32::from(page) * u32::from(g.cells));
        self.beyond
            .get(usize::from(page))
            .copied()
            .flatten()
            .is_some_and(|beyond| of_page & ((1 << beyond) - 1) == 0)
    }
}
