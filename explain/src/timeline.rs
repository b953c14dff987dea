//! A run as data: for each step who took it, what it did, and the state of everything after it.
//! What `explain` draws in the terminal, in HTML and in SVG.

use mkwrite_model::case::{Case, Operation};
use mkwrite_model::exec::{TaskId, bits};
use mkwrite_model::implementation::{Filesystem, SizeGuard};
use mkwrite_model::kernel::event::Step;
use mkwrite_model::kernel::page::CACHED;
use mkwrite_model::kernel::{Class, Event, Frame, Kernel, Mm, Request, Status, object};
use mkwrite_model::point::Point;
use mkwrite_model::schedule::Picks;
use mkwrite_model::trace::code_name;
use mkwrite_model::{End, Observer, Setup, Target};
use mkwrite_oracle::run::Runner;
use serde::Serialize;

use crate::trail::{Occurrences, Visit};

/// What a step says that ends a request without success.
pub(crate) const WRITE_FAILS: &str = "the I/O fails";

/// A task, by its name in reports.
fn name<S: serde::Serializer>(task: &TaskId, s: S) -> Result<S::Ok, S::Error> {
    s.collect_str(task)
}

fn names<S: serde::Serializer>(task: &Option<TaskId>, s: S) -> Result<S::Ok, S::Error> {
    task.map(|task| task.to_string()).serialize(s)
}

fn point_name<S: serde::Serializer>(point: &Point, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_str(point.name())
}

/// A pte that maps a page.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PteState {
    /// The address space.
    pub mm: u8,
    /// It allows stores.
    pub writable: bool,
    /// A store went through it since it was cleaned last.
    pub dirty: bool,
}

/// A page frame in use.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct PageState {
    /// The frame.
    pub frame: u8,
    /// The page of the file.
    pub index: u8,
    /// It is in the page cache.
    pub cached: bool,
    /// page->mapping is set.
    pub mapping: bool,
    /// PG_uptodate.
    pub uptodate: bool,
    /// PG_dirty.
    pub dirty: bool,
    /// PG_writeback.
    pub writeback: bool,
    /// The tag DIRTY of its slot.
    pub tag_dirty: bool,
    /// The tag WRITEBACK of its slot.
    pub tag_writeback: bool,
    /// Who holds the page lock.
    #[serde(serialize_with = "names")]
    pub locked_by: Option<TaskId>,
    /// References.
    pub references: i16,
    /// Who maps it.
    pub ptes: Vec<PteState>,
    /// What the filesystem has tied to it, in its own words.
    pub record: Option<String>,
    /// The content: which operation wrote each cell.
    pub cells: Vec<String>,
}

/// Everything, after a step.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct State {
    /// i_size in cells.
    pub size: u8,
    /// Pages in use, by frame.
    pub pages: Vec<PageState>,
    /// What a read of the file from the store gives, cell by cell.
    pub store: Vec<String>,
    /// Of these, the cells that only the cache of a server has, one bit each: not committed, and
    /// lost if it crashes.
    #[serde(skip)]
    pub uncommitted: u64,
    /// Locks other than page locks, as (holder, lock).
    pub locks: Vec<(String, &'static str)>,
    /// Tasks that are blocked, as (task, what it waits for).
    pub waiting: Vec<(String, String)>,
    /// An error waits for the next fsync: in the mapping, in the open file.
    #[serde(skip)]
    pub errors: (bool, bool),
}

/// One step.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Moment {
    /// Its number.
    pub step: u32,
    /// Who took it.
    #[serde(serialize_with = "name")]
    pub task: TaskId,
    /// In which slot.
    pub slot: u8,
    /// The operation in words.
    pub operation: String,
    /// The point where it began.
    #[serde(serialize_with = "point_name")]
    pub point: Point,
    /// What it did that is no state: returns, stores, I/O.
    pub events: Vec<String>,
    /// What it changed, in words.
    pub changes: Vec<String>,
    /// The state after it.
    pub state: State,
    /// The task stands at this point for the n-th time in this slot, from 1.
    #[serde(skip)]
    pub occurrence: u32,
    /// It set or took an error, ran out of space, passed over a dirty page or changed the size: what
    /// a reader must see.
    #[serde(skip)]
    pub notable: bool,
}

impl Moment {
    /// What it is recognised by in another run.
    pub(crate) fn visit(&self) -> Visit {
        (self.task, self.slot, self.point, self.occurrence)
    }
}

/// A run, step by step.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize)]
pub struct Timeline {
    /// The file whose state it shows: 0, or 1 for the second.
    #[serde(skip)]
    pub file: u8,
    /// The state before the first step.
    pub initial: State,
    /// The steps.
    pub steps: Vec<Moment>,
    /// How it ended, in words.
    pub end: &'static str,
    /// How far tasks have come that walk over dirty pages.
    #[serde(skip)]
    walks: Vec<Walk>,
    /// How often each task has stood where.
    #[serde(skip)]
    occurrences: Occurrences,
}

/// A task walks over the dirty pages of the file, as write_cache_pages does.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Walk {
    task: TaskId,
    slot: u8,
    /// The page behind the last that it took.
    next: u8,
    /// Dirty pages from there on when it looked last, and whether their tag says so.
    dirty: Vec<(u8, bool)>,
    /// It has looked, and taken no page since.
    looked: bool,
}

/// Runs a case with its own schedule, judged: every step as data, with the state of this file.
pub fn watch<F: Filesystem>(
    runner: &mut Runner<F>,
    target: Target<F>,
    case: &Case,
    file: u8,
) -> Timeline {
    let mut timeline = Timeline { file, ..Timeline::default() };
    runner.watch(target, case, &mut timeline);
    timeline
}

/// The same with these picks.
pub fn watch_picks<F: Filesystem>(
    runner: &mut Runner<F>,
    target: Target<F>,
    case: &Case,
    file: u8,
    picks: &[TaskId],
) -> Timeline {
    let mut timeline = Timeline { file, ..Timeline::default() };
    let mut observer = (&mut runner.judge, &mut timeline);
    runner.machine.run(Setup { case, target }, &mut Picks::new(picks), &mut observer);
    timeline
}

impl Timeline {
    /// The tasks that took steps, actors first.
    pub fn tasks(&self) -> Vec<TaskId> {
        let mut tasks: Vec<TaskId> = self.steps.iter().map(|moment| moment.task).collect();
        tasks.sort();
        tasks.dedup();
        tasks
    }

    /// Who took which step, up to the closing program.
    pub fn picks(&self) -> Vec<TaskId> {
        let scheduled = |task: &TaskId| *task != mkwrite_model::exec::CLOSER;
        self.steps.iter().map(|moment| moment.task).take_while(scheduled).collect()
    }
}

/// The operation promises that it waits for all pages of its range.
fn waits_for_pages(operation: Operation) -> bool {
    matches!(operation, Operation::Fsync | Operation::Msync)
}

impl Timeline {
    /// Dirty pages that this step, which leads to `state`, leaves behind on a walk over the dirty
    /// pages of the file. `all`: the walk is one over the whole file.
    fn passed_over(
        &mut self,
        (task, slot, point): (TaskId, u8, Point),
        state: &State,
        all: bool,
    ) -> Vec<String> {
        let dirty = |from: u8| {
            let there = state.pages.iter().filter(move |page| page.cached && page.index >= from);
            there.filter(|page| page.dirty).map(|page| (page.index, page.tag_dirty)).collect()
        };
        let known = self.walks.iter().position(|w| (w.task, w.slot) == (task, slot));
        if point == Point::WbLookup {
            match known {
                Some(n) => {
                    let from = self.walks[n].next;
                    (self.walks[n].dirty, self.walks[n].looked) = (dirty(from), true);
                }
                None => {
                    self.walks.push(Walk { task, slot, next: 0, dirty: dirty(0), looked: true });
                }
            }
            return Vec::new();
        }
        let Some(n) = known else { return Vec::new() };
        let locked = state.pages.iter().find(|page| page.locked_by == Some(task));
        let upto = match (point, locked) {
            (Point::WbLock, Some(page)) => {
                self.walks[n].next = page.index + 1;
                page.index
            }
            // It has looked, and goes on without a page: the walk is over.
            _ if self.walks[n].looked && point != Point::WbLock && all => u8::MAX,
            _ => return Vec::new(),
        };
        let walk = &mut self.walks[n];
        walk.looked = false;
        let is_dirty = |index: u8| state.pages.iter().any(|page| page.index == index && page.dirty);
        let passed = walk.dirty.iter().filter(|(index, _)| *index < upto && is_dirty(*index));
        let say = |(index, tagged): &(u8, bool)| match tagged {
            true => format!("passes over page {index}, which is dirty"),
            false => format!("passes over page {index}, which is dirty without its tag"),
        };
        let said = passed.map(say).collect();
        walk.dirty.retain(|(index, _)| *index > upto);
        if upto == u8::MAX {
            self.walks.remove(n);
        }
        said
    }
}

impl<F: Filesystem> Observer<F> for Timeline {
    fn begin(&mut self, k: &Kernel<F>, _: &Case) {
        let file = self.file;
        *self = Timeline { file, initial: state(k, file), ..Timeline::default() };
    }

    fn step(&mut self, k: &Kernel<F>, step: Step) {
        let Step { task, point, slot, number, .. } = step;
        let operation = match task.io_slot() {
            Some(_) => "completion of I/O".to_owned(),
            None if task == mkwrite_model::exec::CLOSER => "closing program".to_owned(),
            None => k.state(task).operation().to_string(),
        };
        let state = state(k, self.file);
        let changes =
            changes(self.steps.last().map_or(&self.initial, |moment| &moment.state), &state);
        let mut events: Vec<String> =
            k.events().filter_map(|event| in_words(k, task, event)).collect();
        let waits = task.io_slot().is_none() && waits_for_pages(k.state(task).operation());
        let passed = self.passed_over((task, slot, point), &state, waits);
        let before = self.steps.last().map_or(&self.initial, |moment| &moment.state);
        let notable = !passed.is_empty()
            || (before.errors, before.size) != (state.errors, state.size)
            || k.events().any(|event| matches!(event, Event::WriteFailed { .. }))
            || events.iter().any(|event| event.contains(Status::NoSpace.name()));
        events.extend(passed);
        let occurrence = self.occurrences.next((task, slot, point));
        self.steps.push(Moment {
            step: number,
            task,
            slot,
            operation,
            point,
            events,
            changes,
            state,
            occurrence,
            notable,
        });
    }

    fn end(&mut self, _: &Kernel<F>, end: End) {
        self.end = match end {
            End::Done => "all tasks finished",
            End::Crashed => "the kernel crashed",
            End::Stuck => "deadlock",
            End::Livelock => "livelock",
        };
    }
}

fn state<F: Filesystem>(k: &Kernel<F>, file: u8) -> State {
    let shown = k.files().nth(file.into()).unwrap_or_default();
    k.in_file(shown, || state_of_file(k))
}

/// The state of the file that the running task works on, and what is nobody's or all files'.
fn state_of_file<F: Filesystem>(k: &Kernel<F>) -> State {
    let page = |page: Frame| {
        let (index, cached) = (k.index(page), k.has(page, CACHED));
        let pte = |mm: Mm| {
            let pte = k.pte(mm, index);
            let state = PteState { mm: mm.0, writable: pte.is_writable(), dirty: pte.is_dirty() };
            (pte.page() == Some(page)).then_some(state)
        };
        PageState {
            frame: page.0,
            index,
            cached,
            mapping: k.in_mapping(page),
            uptodate: k.is_uptodate(page),
            dirty: k.is_dirty(page),
            writeback: k.is_writeback(page),
            tag_dirty: cached && k.is_tagged_dirty(index),
            tag_writeback: cached && k.is_tagged_writeback(index),
            locked_by: k.page_lock_owner(page),
            references: k.refcount(page),
            ptes: Mm::all().filter_map(pte).collect(),
            record: k.private(page).map(|private| private.to_string()),
            cells: (0..k.geometry().cells).map(|cell| k.cell(page, cell).to_string()).collect(),
        }
    };
    let held = |task: TaskId| {
        let held = k.state(task).held();
        [Class::Inode, Class::Mmap, Class::Flush, Class::IMmap, Class::Pte]
            .into_iter()
            .filter(move |class| held >> *class as u8 & 1 != 0)
            .map(move |class| (task.to_string(), class.name()))
    };
    let waiting = |task: TaskId| {
        let object = k.tasks.waits_for(task)?;
        task.io_slot().is_none().then(|| (task.to_string(), object::name(object)))
    };
    let live = k.tasks.live();
    State {
        size: k.i_size(),
        pages: Frame::all(k.frames_of_file()).map(page).collect(),
        store: match k.fs().declaration().page_cache {
            true => (0..k.geometry().file_cells())
                .map(|cell| k.fs().stored(k, cell).to_string())
                .collect(),
            false => Vec::new(),
        },
        uncommitted: uncommitted(k),
        errors: k.has_errors(),
        locks: bits(live).flat_map(held).collect(),
        waiting: bits(live).filter_map(waiting).collect(),
    }
}

/// The cells that a server has in its cache alone, one bit each.
fn uncommitted<F: Filesystem>(k: &Kernel<F>) -> u64 {
    if k.fs().declaration().size_guard != SizeGuard::Server {
        return 0;
    }
    let cells = 0..k.geometry().file_cells();
    let only = cells.filter(|cell| k.fs().stored(k, *cell) != k.fs().durable(k, *cell));
    only.fold(0, |mask, cell| mask | 1 << cell)
}

/// Where the data of a request is when it was transferred. A server that is not asked for stable
/// storage keeps it in its cache until a COMMIT.
fn reached(request: &Request) -> Option<&'static str> {
    match (request.fails, request.cells.is_empty() || request.stable) {
        (true, _) => None,
        (false, true) => Some("the data reaches the store"),
        (false, false) => Some("the data reaches the server's cache, not committed"),
    }
}

fn in_words<F: Filesystem>(k: &Kernel<F>, task: TaskId, event: Event) -> Option<String> {
    Some(match event {
        Event::MkwriteReturned { code, .. } => {
            format!("page_mkwrite returns {}", code_name(k.fs().declaration().convention, code))
        }
        Event::Return => {
            let outcome = k.outcome(task);
            format!("returns {} after {} cells", outcome.status().name(), outcome.done())
        }
        Event::Stored { cells } => format!("stores {}..{}", cells.start, cells.end),
        Event::Submitted { .. } => "submits I/O".to_owned(),
        Event::Transferred { slot } => reached(&k.request(slot)?)?.to_owned(),
        Event::WriteFailed { io: true, .. } => WRITE_FAILS.to_owned(),
        Event::WriteFailed { io: false, .. } => "there is no space for it".to_owned(),
        Event::Failed { site } => format!("the {} fails", site.row().what),
        Event::TimeUpdated { .. } => "file_update_time".to_owned(),
        Event::Throttled { .. } => "balance_dirty_pages".to_owned(),
        Event::Bug { what } | Event::NullMapping { what } => format!("CRASH: {what}"),
        _ => return None,
    })
}

/// What is different, in words.
fn changes(from: &State, to: &State) -> Vec<String> {
    let mut all = Vec::new();
    for (holder, lock) in from.locks.iter().filter(|lock| !to.locks.contains(lock)) {
        all.push(format!("{holder} releases {lock}"));
    }
    for (holder, lock) in to.locks.iter().filter(|lock| !from.locks.contains(lock)) {
        all.push(format!("{holder} takes {lock}"));
    }
    for page in &to.pages {
        let old = from.pages.iter().find(|old| old.frame == page.frame && old.index == page.index);
        page_changes(old, page, &mut all);
    }
    for old in &from.pages {
        if !to.pages.iter().any(|page| page.frame == old.frame) {
            all.push(format!("page {}: frame {} freed", old.index, old.frame));
        }
    }
    let errors = [
        ("the mapping", from.errors.0, to.errors.0),
        ("the open file", from.errors.1, to.errors.1),
    ];
    for (whose, before, after) in errors {
        match (before, after) {
            (false, true) => {
                all.push(format!("the error of {whose} is set: the next fsync takes it"))
            }
            (true, false) => all.push(format!("the error of {whose} is taken")),
            _ => {}
        }
    }
    if from.size != to.size {
        all.push(format!("i_size {} → {}", from.size, to.size));
    }
    for (cell, (old, new)) in from.store.iter().zip(&to.store).enumerate() {
        let in_cache = |state: &State| state.uncommitted >> cell & 1 != 0;
        match (old == new, in_cache(from), in_cache(to)) {
            (false, _, false) => all.push(format!("store, cell {cell}: {old} → {new}")),
            (false, _, true) => all.push(format!("server's cache, cell {cell}: {old} → {new}")),
            (true, true, false) => all.push(format!("store, cell {cell}: {new} is committed")),
            (true, ..) => {}
        }
    }
    for (task, object) in to.waiting.iter().filter(|waiting| !from.waiting.contains(waiting)) {
        all.push(format!("{task} must wait for the {object}"));
    }
    all
}

fn page_changes(old: Option<&PageState>, page: &PageState, all: &mut Vec<String>) {
    let index = page.index;
    let mut add = |text: String| all.push(format!("page {index}: {text}"));
    let Some(old) = old else {
        return add(format!(
            "frame {} {}",
            page.frame,
            if page.cached { "enters the page cache" } else { "allocated" }
        ));
    };
    if old.locked_by != page.locked_by {
        match (old.locked_by, page.locked_by) {
            (_, Some(task)) => add(format!("{task} locks it")),
            (Some(task), None) => add(format!("unlocked by {task}")),
            (None, None) => {}
        }
    }
    let flags = [
        (old.uptodate, page.uptodate, "PG_uptodate"),
        (old.dirty, page.dirty, "PG_dirty"),
        (old.writeback, page.writeback, "PG_writeback"),
        (old.tag_dirty, page.tag_dirty, "tag DIRTY"),
        (old.tag_writeback, page.tag_writeback, "tag WRITEBACK"),
        (old.mapping, page.mapping, "page->mapping"),
        (old.cached, page.cached, "in the page cache"),
    ];
    for (before, after, name) in flags {
        if before != after {
            add(format!("{name} {}", if after { "set" } else { "cleared" }));
        }
    }
    for pte in &page.ptes {
        let form = |pte: &PteState| match (pte.writable, pte.dirty) {
            (true, true) => "writable, dirty",
            (true, false) => "writable",
            (false, true) => "read-only, dirty",
            (false, false) => "read-only",
        };
        match old.ptes.iter().find(|old| old.mm == pte.mm) {
            Some(old) if old == pte => {}
            Some(old) => add(format!("pte of mm {} {} → {}", pte.mm, form(old), form(pte))),
            None => add(format!("pte of mm {} installed, {}", pte.mm, form(pte))),
        }
    }
    for old in old.ptes.iter().filter(|old| !page.ptes.iter().any(|pte| pte.mm == old.mm)) {
        add(format!("pte of mm {} removed", old.mm));
    }
    if old.record != page.record {
        let form = |record: &Option<String>| {
            record.as_ref().map_or("none".to_owned(), |record| format!("<{record}>"))
        };
        add(format!("record {} → {}", form(&old.record), form(&page.record)));
    }
    for (cell, (before, after)) in
        old.cells.iter().zip(&page.cells).enumerate().filter(|(_, (old, new))| old != new)
    {
        add(format!("cell {cell}: {before} → {after}"));
    }
}
