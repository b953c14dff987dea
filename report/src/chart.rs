//! A run laid out for drawing, in HTML, in SVG and on a terminal: which columns there are, which
//! value each has after each step, where the window of the race is, and which steps are folded. How
//! it looks is the business of those three.

use std::ops::{Range, RangeInclusive};

use mkwrite_explain::explain::Explanation;
use mkwrite_explain::timeline::{Moment, PageState, State, Timeline};
use mkwrite_model::exec::{CLOSER, TaskId};
use mkwrite_oracle::judge::Breach;

/// The runs of an explanation: the one that breaks the rule, and the nearest that does not.
pub(crate) fn charts(e: &Explanation) -> Vec<Chart<'_>> {
    let breaches: Vec<Breach> = e.breaches.iter().map(|(breach, _)| *breach).collect();
    let Some(isolation) = &e.isolation else {
        let (id, title) = if e.main.is_some() {
            ("failing", "The run that breaks it")
        } else {
            ("run", "The run")
        };
        return vec![Chart::new(id, title, &[&e.timeline], &breaches, None)];
    };
    let (from, to) = isolation.window();
    let window = Window { from, to, first: isolation.first, second: isolation.second };
    let (fails, passes) = (&isolation.failing, &isolation.passing);
    let failing =
        Chart::new("failing", "The run that breaks it", &[fails, passes], &breaches, Some(window));
    let (first, second) = isolation.passing_pair;
    let window = Window { from: second, to: first, first, second };
    let title = "The nearest run that does not";
    let mut passing = Chart::new("passing", title, &[passes, fails], &isolation.also, Some(window));
    let doing = |m: &Moment| (m.task, m.slot, m.point);
    let pairs = fails.steps.iter().zip(&passes.steps);
    passing.alike = pairs.take_while(|(a, b)| doing(a) == doing(b)).count();
    vec![failing, passing]
}

/// The race window of a run, as indices of steps.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    pub from: usize,
    pub to: usize,
    /// The step that must not come first.
    pub first: usize,
    /// The step that must come before it.
    pub second: usize,
}

impl Window {
    /// The number of a deciding step.
    pub(crate) fn role(&self, n: usize) -> Option<u8> {
        if n == self.first { Some(1) } else { (n == self.second).then_some(2) }
    }
}

/// What kind of value a column shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum ColumnKind {
    /// The holder of a lock.
    Lock,
    /// A bit or a record of a page.
    Flag(Flag),
    /// i_size, or the operation that wrote a cell.
    Text,
}

/// A bit or a record of a page.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Flag {
    Cached,
    Dirty,
    DirtyTag,
    Writeback,
    WritebackTag,
    Record,
    Pte,
}

/// One value over the whole run.
pub(crate) struct Column {
    pub kind: ColumnKind,
    /// What it belongs to: columns of a group stand together.
    pub group: String,
    pub name: String,
    /// The value after each step; none if the lock is free, the bit is clear, or the page does not
    /// exist.
    pub values: Vec<Option<String>>,
}

impl Column {
    /// The value before this step was another.
    pub(crate) fn differs(&self, n: usize, value: &str) -> bool {
        n == 0 || self.values[n - 1].as_deref() != Some(value)
    }

    /// What fits into the column.
    pub(crate) fn short<'a>(&self, value: &'a str) -> &'a str {
        match self.kind {
            ColumnKind::Lock if value == "closer" => "c",
            ColumnKind::Lock => value,
            ColumnKind::Flag(_) if value == "read-only" => "r",
            ColumnKind::Flag(_) if value == "writable" => "w",
            ColumnKind::Flag(_) => "",
            ColumnKind::Text if value.starts_with("initial@") => "init",
            ColumnKind::Text => value.split('@').next().unwrap_or(value),
        }
    }
}

/// A row of a drawing.
pub(crate) enum Item {
    /// An operation begins with this step.
    Begin { n: usize, fold: Option<usize> },
    /// A stretch of steps that are folded.
    Fold { id: usize, steps: RangeInclusive<usize>, text: String },
    /// A step. `minor` changes nothing of interest; it lies in this fold, or comes after that one.
    Step { n: usize, minor: bool, fold: Option<usize>, after: Option<usize> },
    /// The window begins with this step.
    Window { n: usize },
    /// A rule breaks in this step.
    Breach { n: usize, text: String },
}

/// Steps of a run that a page draws at the most; a step of the largest case takes some 10 KB.
pub(crate) const DRAWN_MAX: usize = 300;

/// One run, ready to be drawn.
pub(crate) struct Chart<'a> {
    pub id: &'static str,
    pub title: &'static str,
    pub run: &'a Timeline,
    pub tasks: Vec<TaskId>,
    pub columns: Vec<Column>,
    pub window: Option<Window>,
    /// What breaks, with the step.
    breaches: Vec<(usize, String)>,
    /// How many steps at the start are those of the failing run.
    alike: usize,
}

impl<'a> Chart<'a> {
    /// Lays out the first of these runs. All of them have the same lanes and columns, so that they
    /// can be compared.
    fn new(
        id: &'static str,
        title: &'static str,
        runs: &[&'a Timeline],
        breaches: &[Breach],
        window: Option<Window>,
    ) -> Chart<'a> {
        let run = runs[0];
        let mut tasks = distinct(runs.iter().flat_map(|run| run.tasks()));
        tasks.sort_by_key(|task| *task == CLOSER);
        let last = run.steps.len().saturating_sub(1);
        let mut broken: Vec<(usize, String)> = Vec::new();
        for breach in breaches {
            let new =
                ((breach.step as usize).min(last), format!("{}: {}", breach.rule, breach.what));
            if !broken.contains(&new) {
                broken.push(new);
            }
        }
        Chart { id, title, run, tasks, columns: columns(runs), window, breaches: broken, alike: 0 }
    }

    /// The lane of a step.
    pub(crate) fn lane(&self, n: usize) -> usize {
        self.tasks.iter().position(|task| *task == self.run.steps[n].task).unwrap_or(0)
    }

    /// How many characters the last lane must hold: labels reach over the lanes to their right,
    /// which take up two characters at least.
    pub(crate) fn label(&self) -> usize {
        let room = |n: usize| 2 * (self.tasks.len() - 1 - self.lane(n));
        let needs = (0..self.run.steps.len())
            .map(|n| self.run.steps[n].point.name().len().saturating_sub(room(n)));
        needs.max().unwrap_or(0).max(14)
    }

    /// What breaks in a step.
    pub(crate) fn broken(&self, n: usize) -> impl Iterator<Item = &str> {
        self.breaches.iter().filter(move |(step, _)| *step == n).map(|(_, text)| text.as_str())
    }

    /// The operation of a step, in words.
    pub(crate) fn operation(&self, n: usize) -> String {
        let Moment { task, slot, operation, .. } = &self.run.steps[n];
        if *task == CLOSER { operation.clone() } else { format!("{task}.{slot} {operation}") }
    }

    /// What a step does and changes, in words.
    pub(crate) fn what(&self, n: usize) -> String {
        let moment = &self.run.steps[n];
        let what: Vec<&str> =
            moment.events.iter().chain(&moment.changes).map(String::as_str).collect();
        if what.is_empty() && self.window.is_some_and(|window| window.role(n).is_some()) {
            return format!("nothing shown here changes; the step: {}", moment.point.does());
        }
        what.join("; ")
    }

    /// A step with all that marks it, for a reader who listens to the page.
    pub(crate) fn spoken(&self, n: usize, label: &str) -> String {
        let role = self
            .window
            .and_then(|w| w.role(n))
            .map_or(String::new(), |role| format!(", deciding step {role}"));
        let broken: String = self.broken(n).map(|text| format!(" Breaks {text}.")).collect();
        format!("{label}{role}{broken}")
    }

    /// The step lies in the window of the race.
    pub(crate) fn inside(&self, n: usize) -> bool {
        self.window.is_some_and(|w| (w.from..=w.to).contains(&n))
    }

    /// The step changes nothing of interest.
    fn minor(&self, n: usize) -> bool {
        let moment = &self.run.steps[n];
        if moment.notable || self.inside(n) || self.broken(n).next().is_some() {
            return false;
        }
        let last = self.run.steps.get(n + 1).is_none_or(|next| next.task != moment.task);
        let quiet = moment.changes.is_empty() && moment.events.is_empty() && !last;
        quiet || moment.task == CLOSER || n < self.alike
    }

    /// The first step of its operation.
    fn begins(&self, n: usize) -> bool {
        let operation = |moment: &Moment| (moment.task, moment.slot);
        let moment = &self.run.steps[n];
        moment.task.io_slot().is_none()
            && !self.run.steps[..n].iter().any(|before| operation(before) == operation(moment))
    }

    /// The step belongs to a part that is not shown by operations: what both runs begin with, the
    /// closing program.
    fn whole(&self, n: usize) -> bool {
        n < self.alike || self.run.steps[n].task == CLOSER
    }

    /// The step would lie in the same fold as the one before it.
    fn folds_with_previous(&self, n: usize) -> bool {
        let alike = self.whole(n - 1) == self.whole(n);
        alike && self.minor(n - 1) && self.minor(n) && (self.whole(n) || !self.begins(n))
    }

    /// The rows. Two or more minor steps in a row are folded; a fold does not reach over the
    /// beginning of an operation, whose row stays visible, unless the fold is of a part that is not
    /// shown by operations.
    pub(crate) fn items(&self) -> Vec<Item> {
        let (mut items, mut next, mut after) = (Vec::new(), 0, None);
        while next < self.run.steps.len() {
            let start = next;
            next = (start + 1..self.run.steps.len())
                .find(|n| !self.folds_with_previous(*n))
                .unwrap_or(self.run.steps.len());
            let fold = (next - start > 1).then_some(start);
            let whole = self.whole(start);
            if !whole && self.begins(start) {
                items.push(Item::Begin { n: start, fold: None });
            }
            if let Some(id) = fold {
                items.push(Item::Fold {
                    id,
                    steps: start..=next - 1,
                    text: self.folded(start..next),
                });
            }
            for n in start..next {
                if whole && self.begins(n) {
                    items.push(Item::Begin { n, fold });
                }
                if self.window.is_some_and(|w| w.from == n) {
                    items.push(Item::Window { n });
                }
                items.push(Item::Step { n, minor: self.minor(n), fold, after });
                items.extend(self.broken(n).map(|text| Item::Breach { n, text: text.to_owned() }));
            }
            after = fold;
        }
        items
    }

    /// The steps that a page draws: all, or of a long run those around the window and the first
    /// breach after it. If these are too far apart, those that end with the breach.
    pub(crate) fn drawn(&self) -> Range<usize> {
        let count = self.run.steps.len();
        if count <= DRAWN_MAX {
            return 0..count;
        }
        let window = self.window.map_or(0, |window| window.to);
        let broken = self.breaches.iter().map(|(step, _)| *step).filter(|step| *step >= window);
        let last = broken.min().unwrap_or(window).max(window);
        let first = self.window.map_or(last, |window| window.from);
        let spare = DRAWN_MAX.saturating_sub(last + 1 - first) / 2;
        let end = (last + 1 + spare).max(DRAWN_MAX).min(count);
        end - DRAWN_MAX..end
    }

    /// The rows of these steps.
    pub(crate) fn items_of(&self, drawn: &Range<usize>) -> Vec<Item> {
        let within = |item: Item| match item {
            Item::Fold { id, steps, .. } => {
                let part = *steps.start().max(&drawn.start)..(steps.end() + 1).min(drawn.end);
                let text = (!part.is_empty()).then(|| self.folded(part.clone()))?;
                Some(Item::Fold { id, steps: part.start..=part.end - 1, text })
            }
            Item::Begin { n, .. }
            | Item::Step { n, .. }
            | Item::Window { n }
            | Item::Breach { n, .. } => drawn.contains(&n).then_some(item),
        };
        self.items().into_iter().filter_map(within).collect()
    }

    /// What a fold hides, in words.
    pub(crate) fn folded(&self, range: Range<usize>) -> String {
        let steps = &self.run.steps[range.clone()];
        let count = steps.len();
        if range.end <= self.alike {
            format!("{count} steps, as in the failing run")
        } else if steps.iter().all(|m| m.task == CLOSER) {
            format!("{count} steps of the closing program")
        } else if steps.iter().all(|m| m.changes.is_empty() && m.events.is_empty()) {
            format!("{count} steps that change nothing")
        } else {
            format!("{count} more steps")
        }
    }
}

/// A colour for each task: actors, I/O, the closing program.
pub(crate) fn hue(task: TaskId) -> usize {
    hue_of(&task.to_string())
}

pub(crate) fn hue_of(task: &str) -> usize {
    match task.as_bytes() {
        [letter @ b'A'..=b'D'] => usize::from(letter - b'A'),
        [b'i', b'o', ..] => 4,
        _ => 5,
    }
}

/// The columns of a run that have something to show.
struct Columns<'r, 'a> {
    runs: &'r [&'a Timeline],
    all: Vec<Column>,
}

fn columns(runs: &[&Timeline]) -> Vec<Column> {
    let mut columns = Columns { runs, all: Vec::new() };
    let frames = distinct(columns.states().flat_map(|s| &s.pages).map(|page| page.frame));
    let suffix =
        |frame: u8| if frames.len() > 1 { format!(", frame {frame}") } else { String::new() };
    for frame in &frames {
        let owner = |s: &State| Some(of_frame(s, *frame)?.locked_by?.to_string());
        columns.add(ColumnKind::Lock, "locks", format!("page lock{}", suffix(*frame)), owner);
    }
    columns.locks();
    for frame in &frames {
        columns.page(*frame, &suffix(*frame));
    }
    columns.content();
    columns.all
}

impl<'r, 'a> Columns<'r, 'a> {
    fn states(&self) -> impl Iterator<Item = &'a State> + use<'r, 'a> {
        self.runs.iter().flat_map(|run| &run.steps).map(|moment| &moment.state)
    }

    fn add(
        &mut self,
        kind: ColumnKind,
        group: &str,
        name: String,
        of: impl Fn(&State) -> Option<String>,
    ) {
        let values = self.runs[0].steps.iter().map(|moment| of(&moment.state)).collect();
        self.all.push(Column { kind, group: group.to_owned(), name, values });
    }

    /// One column for each lock; for each of its holders, if two ever hold it together.
    fn locks(&mut self) {
        let held = distinct(
            self.states().flat_map(|s| &s.locks).map(|(holder, lock)| (*lock, holder.as_str())),
        );
        for lock in distinct(held.iter().map(|(lock, _)| *lock)) {
            let holders = |s: &State| s.locks.iter().filter(|(_, name)| *name == lock).count();
            if self.states().all(|s| holders(s) < 2) {
                let holder = |s: &State| {
                    s.locks.iter().find(|(_, name)| *name == lock).map(|(who, _)| who.clone())
                };
                self.add(ColumnKind::Lock, "locks", lock.to_owned(), holder);
                continue;
            }
            for (_, who) in held.iter().filter(|(name, _)| *name == lock) {
                let holds =
                    |s: &State| s.locks.iter().any(|(holder, name)| *name == lock && holder == who);
                let holder = |s: &State| holds(s).then(|| (*who).to_owned());
                self.add(ColumnKind::Lock, "locks", format!("{lock}, {who}"), holder);
            }
        }
    }

    /// The state of a page frame.
    fn page(&mut self, frame: u8, suffix: &str) {
        let group = format!("frame {frame}");
        let mut bit = |name: &str, flag, test: fn(&PageState) -> bool| {
            let set =
                |s: &State| of_frame(s, frame).filter(|page| test(page)).map(|_| "set".to_owned());
            self.add(ColumnKind::Flag(flag), &group, format!("{name}{suffix}"), set);
        };
        bit("in page cache", Flag::Cached, |page| page.cached);
        bit("PG_dirty", Flag::Dirty, |page| page.dirty);
        bit("tag DIRTY", Flag::DirtyTag, |page| page.tag_dirty);
        bit("PG_writeback", Flag::Writeback, |page| page.writeback);
        bit("tag WRITEBACK", Flag::WritebackTag, |page| page.tag_writeback);
        let pages = || self.states().filter_map(|s| of_frame(s, frame));
        let records = pages().any(|page| page.record.is_some());
        let mms = distinct(pages().flat_map(|page| &page.ptes).map(|pte| pte.mm));
        if records {
            let record = |s: &State| of_frame(s, frame)?.record.clone();
            self.add(ColumnKind::Flag(Flag::Record), &group, format!("record{suffix}"), record);
        }
        for mm in mms {
            let pte = |s: &State| {
                let pte = of_frame(s, frame)?.ptes.iter().find(|pte| pte.mm == mm)?;
                Some(if pte.writable { "writable" } else { "read-only" }.to_owned())
            };
            self.add(ColumnKind::Flag(Flag::Pte), &group, format!("pte of mm {mm}{suffix}"), pte);
        }
    }

    /// i_size if it changes, and the cells that an operation wrote: in the page cache and on the
    /// store.
    fn content(&mut self) {
        if self.states().any(|s| s.size != self.runs[0].initial.size) {
            self.add(ColumnKind::Text, "content", "i_size".to_owned(), |s| {
                Some(s.size.to_string())
            });
        }
        let per_page =
            self.states().flat_map(|s| &s.pages).map(|page| page.cells.len()).next().unwrap_or(1);
        let cells = self.runs[0].initial.store.len();
        for cell in 0..cells {
            let cached = |s: &State| {
                let page = s
                    .pages
                    .iter()
                    .find(|page| page.cached && usize::from(page.index) == cell / per_page)?;
                page.cells.get(cell % per_page).cloned()
            };
            let stored = |s: &State| s.store.get(cell).cloned();
            let nobody = |value: String| value == "0" || value.starts_with("initial");
            let written = self
                .states()
                .any(|s| !cached(s).is_none_or(nobody) || !stored(s).is_none_or(nobody));
            if written || self.states().any(|s| stored(s) != stored(&self.runs[0].initial)) {
                let number = if cells > 1 { format!(" {cell}") } else { String::new() };
                self.add(ColumnKind::Text, "content", format!("cell{number}, cache"), cached);
                let uncommitted = |s: &State| s.uncommitted >> cell & 1 != 0;
                let whose = if self.states().any(uncommitted) { "server" } else { "store" };
                self.add(ColumnKind::Text, "content", format!("cell{number}, {whose}"), stored);
            }
        }
    }
}

fn of_frame(state: &State, frame: u8) -> Option<&PageState> {
    state.pages.iter().find(|page| page.frame == frame)
}

fn distinct<T: Ord>(all: impl Iterator<Item = T>) -> Vec<T> {
    all.collect::<std::collections::BTreeSet<T>>().into_iter().collect()
}
