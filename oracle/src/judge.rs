//! The judge: watches a run and records which rules it breaks.
//!
//! A broken rule is recorded and the run goes on, so that one breach never hides another; a breach
//! of the same rule at the same point by the same kind of operation is recorded once per page and
//! set of conditions. The judge allocates nothing and keeps no log: its state is a bounded,
//! canonical function of the run so far.

use mkwrite_model::case::{CELLS_MAX, Case, Effect, Operation, Range, Site};
use mkwrite_model::exec::{CLOSER, TASKS, TaskId, bits};
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::event::Step;
use mkwrite_model::kernel::{Event, FRAMES, Frame, INODES, InodeId, Kernel, Stamp};
use mkwrite_model::point::Point;
use mkwrite_model::{End, Observer};

use crate::conditions::{self, Condition, Conditions, Marks, Subject};
use crate::differential::Summary;
use crate::history::{self, History, Obstacles};
use crate::progress::Passes;
use crate::rules::{self, About, Rule};

/// Breaches of one run that are kept.
const BREACHES_MAX: usize = 64;

/// A rule that a run broke, and where.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Breach {
    /// The rule.
    pub rule: Rule,
    /// The point at which the step began that broke it.
    pub point: Point,
    /// The kind of operation that took the step, in words; I/O tasks have none.
    pub operation: &'static str,
    /// Who took it.
    pub task: TaskId,
    /// In which slot.
    pub slot: u8,
    /// The step's number.
    pub step: u32,
    /// The file that it is about: 0, or 1 for the second of a case that has two.
    pub file: u8,
    /// The page of the file, if it is about one.
    pub page: Option<u8>,
    /// The cell of the file, if it is about one.
    pub cell: Option<u8>,
    /// The cells that it is about, one bit each: the one cell, or those of the page. Those of a second
    /// file come behind all that the first can have.
    pub cells: u64,
    /// The conditions of the ledger that held when it happened.
    pub when: Conditions,
    /// What was wrong.
    pub what: &'static str,
}

impl Breach {
    /// What its rule says of itself, as far as it is about this.
    pub fn about(&self) -> About {
        self.rule.about_breach(self.what)
    }

    /// It is about a part of the last page that was beyond i_size.
    pub fn past_eof(&self) -> bool {
        self.when.has(Condition::PastEof)
    }
}

/// Since which step a page breaks a rule, by which kind of operation, under which conditions, and
/// what is wrong with it.
#[derive(Clone, Copy)]
struct Since {
    step: Step,
    operation: &'static str,
    when: Conditions,
    what: &'static str,
}

/// For each page, which page rules are broken.
pub(crate) struct PageStates {
    /// Broken and reported.
    reported: [u64; FRAMES],
    /// Broken, and not judged yet, because somebody holds the page lock or is about to mend it.
    deferred: [u64; FRAMES],
    since: Box<[[Since; 64]; FRAMES]>,
}

impl Default for PageStates {
    fn default() -> Self {
        let nothing = Since { step: NOWHERE, operation: "", when: Conditions::NONE, what: "" };
        let since = Box::new([[nothing; 64]; FRAMES]);
        PageStates { reported: [0; FRAMES], deferred: [0; FRAMES], since }
    }
}

impl PageStates {
    fn begin(&mut self) {
        (self.reported, self.deferred) = ([0; FRAMES], [0; FRAMES]);
    }
}

/// What a rule sees, and where it reports to.
pub(crate) struct Cx<'a, F: Filesystem> {
    pub(crate) k: &'a Kernel<F>,
    pub(crate) passes: &'a Passes,
    pub(crate) rule: Rule,
    applicable: u64,
    step: Step,
    pub(crate) marks: &'a Marks,
    breaches: &'a mut Breaches,
}

impl<F: Filesystem> Cx<'_, F> {
    #[inline]
    pub(crate) fn applies(&self, rule: Rule) -> bool {
        self.applicable & rule.bit() != 0
    }

    /// What the operation does whose step this is; I/O tasks have none.
    pub(crate) fn actor_effect(&self) -> Option<Effect> {
        let is_actor = self.step.task.io_slot().is_none();
        is_actor.then(|| self.k.state(self.step.task).operation().effect())
    }

    pub(crate) fn breach(&mut self, what: &'static str) {
        let when = self.sample(0, false);
        self.report(None, None, 0, when, what);
    }

    /// Reports a size that should not be: it is about all that lies beyond `end`, the right one.
    pub(crate) fn size_breach(&mut self, end: u8, what: &'static str) {
        let cells = Range::new(end, self.k.geometry().file_cells()).bits();
        let when = self.sample(cells, false);
        self.report(None, None, cells, when, what);
    }

    /// Reports a page.
    pub(crate) fn page_breach(&mut self, page: Frame, what: &'static str) {
        self.cells_breach(page, u8::MAX, what);
    }

    /// Reports some cells of a page, one bit each.
    pub(crate) fn cells_breach(&mut self, page: Frame, cells: u8, what: &'static str) {
        let cells = self.cells_of(page, cells);
        let when = self.sample(cells, false);
        self.report(Some(self.k.index(page)), None, cells, when, what);
    }

    /// Reports some cells of the file, one bit each, for the sake of a page.
    pub(crate) fn file_cells_breach(&mut self, page: Frame, cells: u64, what: &'static str) {
        let when = self.sample(cells, false);
        self.report(Some(self.k.index(page)), None, cells, when, what);
    }

    /// Cells of a page as cells of the file.
    pub(crate) fn cells_of(&self, page: Frame, cells: u8) -> u64 {
        conditions::file_cells(self.k.geometry(), self.k.index(page), cells)
    }

    #[cold]
    fn sample(&self, cells: u64, content: bool) -> Conditions {
        self.marks.sample(self.k, Subject { cells, task: self.step.task, content })
    }

    /// Reports a cell of the file.
    pub(crate) fn cell_breach(&mut self, cell: u8, what: &'static str) {
        let cells = 1u64.checked_shl(u32::from(cell)).unwrap_or(0);
        let when = self.sample(cells, true);
        self.report(Some(self.k.geometry().page_of(cell)), Some(cell), cells, when, what);
    }

    /// Page `page` breaks the current rule, which is judged now or not yet. It is reported once, at
    /// the step that made it so: that is a later one if something else was wrong before.
    pub(crate) fn broken_page(
        &mut self,
        states: &mut PageStates,
        page: Frame,
        cells: u8,
        judged: bool,
        what: &'static str,
    ) {
        let (n, bit) = (usize::from(page.0), self.rule.bit());
        if states.reported[n] & bit != 0 {
            return;
        }
        let of_file = self.cells_of(page, cells);
        let since = &mut states.since[n][self.rule as usize];
        if states.deferred[n] & bit == 0 || since.what != what {
            let when = self.sample(of_file, false);
            *since =
                Since { step: self.step, operation: operation_name(self.k, self.step), when, what };
        }
        if judged {
            let since = *since;
            self.report_since(since, Some(self.k.index(page)), None, of_file);
            states.reported[n] |= bit;
            states.deferred[n] &= !bit;
        } else {
            states.deferred[n] |= bit;
        }
    }

    #[cold]
    fn report(
        &mut self,
        page: Option<u8>,
        cell: Option<u8>,
        cells: u64,
        when: Conditions,
        what: &'static str,
    ) {
        let now =
            Since { step: self.step, operation: operation_name(self.k, self.step), when, what };
        self.report_since(now, page, cell, cells);
    }

    #[cold]
    fn report_since(&mut self, since: Since, page: Option<u8>, cell: Option<u8>, cells: u64) {
        let Since { step: Step { task, point, slot, number: step, .. }, operation, when, what } =
            since;
        let (rule, file) = (self.rule, self.k.file_id().number());
        let cells = cells << (u32::from(file) * (CELLS_MAX / INODES) as u32);
        self.breaches.push(Breach {
            rule,
            point,
            operation,
            task,
            slot,
            step,
            file,
            page,
            cell,
            cells,
            when,
            what,
        });
    }
}

/// The breaches of a run, in order.
struct Breaches {
    items: [Option<Breach>; BREACHES_MAX],
    len: usize,
    /// The first step that broke a rule.
    first: u32,
}

impl Breaches {
    fn push(&mut self, breach: Breach) {
        self.first = self.first.min(breach.step);
        // Breaches under different conditions stay apart: the ledger may expect one and not the
        // other.
        let key = |b: &Breach| (b.rule, b.point, b.operation, b.when, b.file, b.page);
        match self.items[..self.len].iter_mut().flatten().find(|b| key(b) == key(&breach)) {
            // The one that is kept is about the cells of both.
            Some(known) => known.cells |= breach.cells,
            None if self.len < BREACHES_MAX => {
                self.items[self.len] = Some(breach);
                self.len += 1;
            }
            None => {}
        }
    }
}

/// What the judge knows of a file.
#[derive(Default)]
struct OfFile {
    history: History,
    marks: Marks,
    passes: Passes,
}

impl OfFile {
    /// A step begins to be judged.
    #[inline(always)]
    fn step<F: Filesystem>(&mut self, k: &Kernel<F>, step: Step, obstacles: Obstacles) {
        self.marks.step(step);
        self.history.set_obstacles(obstacles);
        self.passes.step(k, step.task);
    }
}

/// The judge.
pub struct Judge {
    /// The case has two files.
    has_two: bool,
    /// The file that is looked at, and what is known of it.
    file: InodeId,
    now: OfFile,
    /// What is known of the other file of a case that has two.
    other: Box<OfFile>,
    applicable: u64,
    /// Rules that are not switched off.
    enabled: u64,
    pages: PageStates,
    breaches: Breaches,
    reached: [u32; Point::COUNT],
    last: Step,
    end: End,
    summary: Summary,
}

impl Default for Judge {
    fn default() -> Self {
        Judge {
            has_two: false,
            file: InodeId::FIRST,
            now: OfFile::default(),
            other: Box::default(),
            applicable: 0,
            enabled: u64::MAX,
            pages: PageStates::default(),
            breaches: Breaches { items: [None; BREACHES_MAX], len: 0, first: u32::MAX },
            reached: [0; Point::COUNT],
            last: NOWHERE,
            end: End::Done,
            summary: Summary::default(),
        }
    }
}

const NOWHERE: Step = Step { task: CLOSER, point: Point::RunEnd, slot: 0, number: 0, object: 0 };

impl Judge {
    /// A judge with one rule taken away.
    pub fn without(rule: Rule) -> Judge {
        Judge { enabled: !rule.bit(), ..Judge::default() }
    }

    /// This rule has not been taken away.
    pub fn has(&self, rule: Rule) -> bool {
        self.enabled & rule.bit() != 0
    }

    /// The breaches of the last run, in order.
    pub fn breaches(&self) -> impl Iterator<Item = Breach> + '_ {
        self.breaches.items[..self.breaches.len].iter().copied().flatten()
    }

    /// The run breaks a rule that takes more than this run to see.
    pub(crate) fn add(&mut self, breach: Breach) {
        if self.has(breach.rule) {
            self.breaches.push(breach);
        }
    }

    /// The last run broke no rule.
    pub fn is_clean(&self) -> bool {
        self.breaches.len == 0
    }

    /// Steps that began at each point, by point number, over all runs.
    pub fn reached(&self) -> &[u32; Point::COUNT] {
        &self.reached
    }

    /// The page rules that do not hold for this page just now, reported or not, one bit each.
    pub fn near(&self, page: Frame) -> u64 {
        self.pages.reported[usize::from(page.0)] | self.pages.deferred[usize::from(page.0)]
    }

    /// How the last run ended.
    pub fn ended(&self) -> End {
        self.end
    }

    /// A cell of the last run could not be judged.
    pub fn is_undecided(&self) -> bool {
        self.now.history.is_undecided() || self.other.history.is_undecided()
    }

    /// There is no run of this case: nothing is known of it, and nothing of the last one is left.
    pub(crate) fn pass_over(&mut self) {
        self.breaches.len = 0;
        self.summary = Summary::default();
    }

    /// What the differential rule compares of the last run.
    pub fn summary(&self) -> &Summary {
        &self.summary
    }

    /// What rules see of the file that the running task works on.
    fn cx<'a, F: Filesystem>(
        &'a mut self,
        k: &'a Kernel<F>,
        step: Step,
    ) -> (Cx<'a, F>, &'a mut PageStates) {
        let OfFile { marks, passes, .. } = &self.now;
        let cx = Cx {
            k,
            passes,
            rule: Rule::ALL[0],
            applicable: self.applicable,
            step,
            marks,
            breaches: &mut self.breaches,
        };
        (cx, &mut self.pages)
    }

    /// Looks at this file, and lets the running task work on it. Returns the one before.
    fn turn_to<F: Filesystem>(&mut self, k: &Kernel<F>, file: InodeId) -> InodeId {
        if self.file != file {
            self.file = file;
            std::mem::swap(&mut self.now, &mut *self.other);
        }
        k.work_on(file)
    }

    /// Does the same for each file of the case, looking at it.
    fn each_file<F: Filesystem>(&mut self, k: &Kernel<F>, mut same: impl FnMut(&mut Judge)) {
        let own = k.file_id();
        for file in k.files() {
            self.turn_to(k, file);
            same(self);
        }
        self.turn_to(k, own);
    }

    fn check_pages<F: Filesystem>(&mut self, k: &Kernel<F>, pages: u32, step: Step) {
        let (mut cx, states) = self.cx(k, step);
        let mut unrecorded = 0;
        for page in Frame::all(pages) {
            let n = usize::from(page.0);
            let broken = if k.is_free(page) { 0 } else { rules::page(&mut cx, states, page) };
            states.reported[n] &= broken;
            states.deferred[n] &= broken;
            unrecorded |= if states.reported[n] & Rule::DirtyWithoutRecord.bit() != 0 {
                page.bit()
            } else {
                0
            };
        }
        for page in Frame::all(unrecorded) {
            let cells = conditions::file_cells(k.geometry(), k.index(page), u8::MAX);
            self.now.marks.without_record(cells);
        }
    }

    /// Shows an event to all who look at events.
    #[inline(always)]
    fn event<F: Filesystem>(&mut self, k: &Kernel<F>, step: Step, event: Event) {
        let OfFile { marks, passes, .. } = &mut self.now;
        marks.event(k, step.task, event);
        passes.event(k, step.task, event);
        if matches!(event, Event::Return) {
            self.summary.returned(k, step);
        }
        let (mut cx, _) = self.cx(k, step);
        rules::event(&mut cx, event);
        self.check_history(k, step, event);
    }

    #[inline(always)]
    fn check_history<F: Filesystem>(&mut self, k: &Kernel<F>, step: Step, event: Event) {
        match event {
            Event::Failed { site } => self.now.history.met(step.task, Obstacles::of(site)),
            // That there is no space is for the device to say, or for the case.
            Event::WriteFailed { cells, io }
                if io || k.device.is_full() || failed(k, Site::Block) =>
            {
                let history = &mut self.now.history;
                history.write_failed(cells, io, &|cell| {
                    [k.fs().durable(k, cell), k.fs().stored(k, cell)]
                });
                if !io {
                    history.found_no_space(step.task);
                }
            }
            Event::Call => {
                let operation = k.state(step.task).operation();
                self.now.history.call(step.task, step.slot, operation);
                if let Some(cells) = operation.effect().reads_other() {
                    self.other.history.call(step.task, step.slot, Operation::Read(cells));
                }
            }
            Event::Return => self.returned(k, step),
            _ => {}
        }
    }

    fn returned<F: Filesystem>(&mut self, k: &Kernel<F>, step: Step) {
        let outcome = k.outcome(step.task);
        let since = k.state(step.task).began();
        let observed = history::Observed {
            status: outcome.status(),
            done: outcome.done(),
            value: &|n| outcome.value(n),
            durable: &|cell| k.fs().synced(k, cell, since),
            durable_size: &|| k.fs().synced_size(k, since),
            stored: &|cell| k.fs().stored(k, cell),
            visible: &|cell| Some(visible(k, cell).unwrap_or_else(|| k.fs().readable(k, cell))),
        };
        self.now.history.returned(step.task, &observed);
        self.take_findings(k, step);
        if let Some(cells) = k.state(step.task).operation().effect().reads_other() {
            let own = self.turn_to(k, k.file_id().other());
            self.now.history.returned_copy(step.task, cells, &observed);
            self.take_findings(k, step);
            self.turn_to(k, own);
        }
    }

    fn take_findings<F: Filesystem>(&mut self, k: &Kernel<F>, step: Step) {
        for finding in self.now.history.take_findings() {
            let (mut cx, _) = self.cx(k, step);
            rules::finding(&mut cx, finding.flaw, finding.cell);
        }
    }
}

/// The case had this site fail in the step.
fn failed<F: Filesystem>(k: &Kernel<F>, site: Site) -> bool {
    k.events().any(|event| event == Event::Failed { site })
}

/// The kind of operation that takes a step, in words.
fn operation_name<F: Filesystem>(k: &Kernel<F>, step: Step) -> &'static str {
    match step.task.io_slot() {
        Some(_) => "io",
        None if step.point == Point::RunQuiescent || step.point == Point::RunEnd => "closing",
        None => k.state(step.task).operation().kind().name,
    }
}

/// A cell as the page cache shows it.
fn visible<F: Filesystem>(k: &Kernel<F>, cell: u8) -> Option<Stamp> {
    let g = k.geometry();
    let page = k.slot(g.page_of(cell))?;
    let uptodate = k.fs().uptodate(k, page) >> (cell % g.cells) & 1 != 0;
    uptodate.then(|| k.cell(page, cell % g.cells))
}

/// Does the same for every kind of event, in an arm of its own: there the compiler keeps the rules
/// that look at that kind and drops the others.
macro_rules! by_kind {
    ($event:ident, $same:expr) => {
        by_kind! { $event, $same;
            Call Return MkwriteReturned FaultReturned PteSet Stored DirtySet TagSet DirtyCleared SizeWritten Mkcleaned
            WritebackStarted ChangedUnderWriteback WritebackEnded WritepageReturned Submitted Transferred Regrown
            WriteFailed Unlocked Removed FreedInUse PutUnheld UsedFreed TimeUpdated Throttled LockOrder SleptAtomic
            Truncated PartPunched EofBlockReleased Bug NullMapping Failed Frozen SleptInInterrupt CalledWithout
        }
    };
    ($event:ident, $same:expr; $($kind:ident)*) => {
        match $event { $(Event::$kind { .. } => $same,)* }
    };
}

impl<F: Filesystem> Observer<F> for Judge {
    fn begin(&mut self, k: &Kernel<F>, case: &Case) {
        let target = k.target();
        self.applicable = rules::applicable(&target) & self.enabled;
        self.pages.begin();
        self.has_two = case.geometry.second != 0;
        self.turn_to(k, InodeId::FIRST);
        self.each_file(k, |judge| {
            let file = judge.file;
            let OfFile { history, marks, passes } = &mut judge.now;
            history.begin(case, file);
            marks.begin(k);
            passes.begin();
        });
        (self.breaches.len, self.breaches.first) = (0, u32::MAX);
        self.end = End::Done;
        self.summary.begin(case);
    }

    fn step(&mut self, k: &Kernel<F>, step: Step) {
        self.reached[step.point.index()] += 1;
        self.last = step;
        let obstacles = Obstacles {
            no_space: k.device.is_full(),
            no_memory: k.is_out_of_pages(),
            ..Obstacles::default()
        };
        if self.has_two {
            self.turn_to(k, k.file_id());
        }
        self.now.step(k, step, obstacles);
        if self.has_two {
            let own = self.turn_to(k, k.file_id().other());
            self.now.step(k, step, obstacles);
            self.turn_to(k, own);
        }
        for event in k.events() {
            let own = k.file_id();
            // A call, and its return, are about the file of the call, whichever is worked on.
            if self.has_two && matches!(event, Event::Call | Event::Return) {
                self.turn_to(k, k.state(step.task).home());
            }
            by_kind!(event, self.event(k, step, event));
            if self.has_two {
                self.turn_to(k, own);
            }
        }
        if k.touched() != 0 && !self.has_two {
            self.now.marks.blocks(k);
            self.check_pages(k, k.touched(), step);
        } else if k.touched() != 0 {
            self.each_file(k, |judge| {
                judge.now.marks.blocks(k);
                judge.check_pages(k, k.touched_of_file(), step);
            });
        }
    }

    fn quiescent(&mut self, k: &Kernel<F>) {
        let step = Step { point: Point::RunQuiescent, number: self.last.number, ..NOWHERE };
        self.reached[step.point.index()] += 1;
        self.each_file(k, |judge| {
            judge.check_pages(k, k.frames_of_file(), step);
            rules::quiescent(&mut judge.cx(k, step).0);
            judge.now.history.quiescent(k.i_size(), &|cell| visible(k, cell));
            judge.take_findings(k, step);
        });
    }

    fn end(&mut self, k: &Kernel<F>, end: End) {
        let step = Step { point: Point::RunEnd, number: self.last.number, ..NOWHERE };
        self.reached[step.point.index()] += 1;
        self.end = end;
        if end == End::Done {
            self.each_file(k, |judge| {
                rules::quiescent(&mut judge.cx(k, step).0);
                judge.now.history.end(&|cell| k.fs().durable(k, cell));
                judge.take_findings(k, step);
            });
        }
        // A hang is reported where the first of the blocked tasks stands.
        let actors = k.tasks.blocked() & ((1 << TASKS) - 1);
        let stuck = bits(actors).find(|task| task.io_slot().is_none() && end == End::Stuck);
        let step = stuck.map_or(step, |task| {
            let at = k.tasks.at(task);
            let point = Point::from_number(at.point).unwrap_or(Point::RunEnd);
            Step { task, point, slot: at.slot, ..step }
        });
        rules::end(&mut self.cx(k, step).0, end);
        self.summary.end(k, end, self.breaches.first);
    }
}
