//! Makes a case that breaks a rule smaller, holding what it shows fixed: the signature, so that it
//! never slips to another bug.
//!
//! It shrinks on five axes together. *Actors* and *operations*: a candidate with fewer is tried
//! with the stops that are left, and if these no longer fit with a number of fresh schedules.
//! *Preemptions*: fewer stops, and "until it blocks" instead of a point. *Sizes*: a simpler file,
//! shorter ranges, no faults, numbering without gaps. *Implementations*: a case is held to the pair
//! of its signature; only the differential rule needs a second one. All again until nothing helps,
//! not even other actors for the same operations; then the result is 1-minimal: no single
//! [`removals`] step shows it.
//!
//! Greedy shrinking depends on the order of its attempts, so several orders are tried, in parallel,
//! and the smallest result is taken: the same on any number of threads.

use mkwrite_model::Target;
use mkwrite_model::case::{AMPLE, Actor, Case, Faults, Operand, Operation, Range, Schedule, Stop};
use mkwrite_model::exec::TaskId;
use mkwrite_model::generate::random;
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::schedule::SchedulerKind;
use mkwrite_model::text::{Document, Expect};
use std::sync::Mutex;

use mkwrite_oracle::ledger::{Expected, Ledger, Signature};
use mkwrite_oracle::run::{Runner, ScheduledBy, with_order};
use mkwrite_oracle::verdict::{expectations, judge, shows};
use mkwrite_oracle::{Rule, differential};

use crate::explain::with_stops;
use crate::finding::set_targets;
use crate::parallel::{Until, parallel};

/// Fresh schedules that a candidate with fewer operations is tried with.
const SCHEDULES: u64 = 60;
/// Orders of attempts.
const ORDERS: usize = 8;

/// What a smaller case must still show.
#[derive(Clone, Debug)]
pub enum Goal<F> {
    /// This signature on this target.
    Signature(Target<F>, Signature),
    /// A difference, on the first target, from a run on the second, at this point.
    Difference(Target<F>, Target<F>, Signature),
    /// All that the document expects, on all its targets.
    Document(Vec<Expect>, Vec<Target<F>>),
}

/// What of a document is wanted for a goal.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wanted {
    /// All that it expects, or else what breaks first.
    Expectations,
    /// One breach, of this rule if there is one here.
    Breach(Option<Rule>),
}

/// Why a document gives no goal.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum NoGoal {
    /// It does not show something that it expects, on a pair.
    #[error("the case does not show what it expects: `{0}` on {1}")]
    Missing(Expect, String),
    /// Nothing of what is wanted breaks.
    #[error("the case breaks nothing that could be held")]
    Nothing,
    /// Its run, as stops, is another run.
    #[error("the schedule does not repeat as stops")]
    Unrepeatable,
}

impl<F: Filesystem> Goal<F> {
    /// Decides what is held of a document on these targets: all that it expects, or one signature.
    /// That is the first breach that the ledger does not list, or else the first. The document's
    /// case gets a schedule by stops.
    pub fn of(
        document: &mut Document,
        targets: Vec<Target<F>>,
        wanted: Wanted,
        ledger: &Ledger<F>,
        runner: &mut Runner<F>,
    ) -> Result<Goal<F>, NoGoal> {
        if wanted == Wanted::Expectations
            && !document.runs.is_empty()
            && !document.expects.is_empty()
        {
            for target in &targets {
                let judged = judge(runner, ledger, *target, document);
                if let Some(missing) = judged.missing.first() {
                    return Err(NoGoal::Missing(missing.clone(), target.pair.to_string()));
                }
            }
            document.case = with_stops(runner, targets[0], &document.case);
            return Ok(Goal::Document(document.expects.clone(), targets));
        }
        let rule = if let Wanted::Breach(rule) = wanted { rule } else { None };
        let (target, signature) =
            first_breach(runner, ledger, &targets, &document.case, rule).ok_or(NoGoal::Nothing)?;
        document.case = with_stops(runner, target, &document.case);
        let goal = Goal::Signature(target, signature);
        if !Shrinker::new(runner, goal.clone(), ledger).shows(&document.case) {
            return Err(NoGoal::Unrepeatable);
        }
        Ok(goal)
    }

    /// What a case that breaks a rule is held to: the signature, or for the differential rule a
    /// difference from one of the other targets. None if the case does not show it.
    pub fn of_breach(
        case: &Case,
        target: Target<F>,
        signature: Signature,
        others: impl IntoIterator<Item = Target<F>>,
        ledger: &Ledger<F>,
        runner: &mut Runner<F>,
    ) -> Option<Goal<F>> {
        let goals: Vec<Goal<F>> = match signature.rule {
            Rule::Differential => {
                others.into_iter().map(|other| Goal::Difference(target, other, signature)).collect()
            }
            _ => vec![Goal::Signature(target, signature)],
        };
        goals.into_iter().find(|goal| Shrinker::new(runner, goal.clone(), ledger).shows(case))
    }

    /// The targets that it is about; schedules are recorded on the first.
    pub fn targets(&self) -> &[Target<F>] {
        match self {
            Goal::Signature(target, _) | Goal::Difference(target, ..) => {
                std::slice::from_ref(target)
            }
            Goal::Document(_, targets) => targets,
        }
    }

    /// The document of a smaller case: what it runs on, and what breaks there.
    pub fn document(&self, document: &Document, case: Case) -> Document {
        let mut smaller = document.clone();
        smaller.set_case(case);
        set_targets(&mut smaller, self.targets());
        if let Goal::Signature(target, _) = self {
            let mut runner = Runner::default();
            runner.run(*target, &smaller.case, ScheduledBy::Own);
            smaller.expects = expectations(&runner.judge);
        }
        smaller
    }
}

/// The first breach that the ledger does not list, or else the first, of this rule if one is named.
fn first_breach<F: Filesystem>(
    runner: &mut Runner<F>,
    ledger: &Ledger<F>,
    targets: &[Target<F>],
    case: &Case,
    rule: Option<Rule>,
) -> Option<(Target<F>, Signature)> {
    let mut best: Option<(Target<F>, Signature)> = None;
    for target in targets {
        runner.run(*target, case, ScheduledBy::Own);
        let mut classifier = ledger.classify(*target);
        for breach in runner.judge.breaches() {
            let expected = classifier.next(&breach);
            let better = match best {
                None => true,
                Some((_, signature)) => {
                    signature.expected != Expected::No && expected == Expected::No
                }
            };
            if better && rule.is_none_or(|rule| rule == breach.rule) {
                let signature = ledger.signature(&breach, expected);
                best = Some((*target, Signature { point: Some(breach.point), ..signature }));
            }
        }
    }
    best
}

/// A dimension on which a case can be smaller.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub enum Axis {
    /// Fewer actors.
    Actors,
    /// Fewer operations.
    Operations,
    /// Fewer stops.
    Preemptions,
    /// A smaller or simpler file, shorter ranges, no faults.
    Sizes,
    /// Fewer pairs.
    Implementations,
}

impl Axis {
    /// All of them.
    pub const ALL: [Axis; 5] =
        [Axis::Actors, Axis::Operations, Axis::Preemptions, Axis::Sizes, Axis::Implementations];

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Axis::Actors => "actors",
            Axis::Operations => "operations",
            Axis::Preemptions => "preemptions",
            Axis::Sizes => "sizes",
            Axis::Implementations => "implementations",
        }
    }
}

/// How large a case is: first the sum of operations and stops, so that no operation is saved at the
/// price of a longer schedule; then the rest.
#[derive(Clone, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub struct Size {
    /// Operations and stops.
    pub sum: usize,
    /// Operations.
    pub operations: usize,
    /// Stops of the schedule.
    pub preemptions: usize,
    /// Actors.
    pub actors: usize,
    /// Cells of the file, and cells and pages that operations name.
    pub cells: usize,
    /// To have one order among cases of the same size.
    text: String,
}

impl Size {
    /// The size of a case.
    pub fn of(case: &Case) -> Size {
        let named = |o: Operation| usize::from(o.range().end.saturating_sub(o.range().start));
        let operations = case.operations().count();
        let preemptions = match &case.schedule {
            Schedule::Order(stops) => stops.len(),
            Schedule::Seed { overrides, .. } => 1 + overrides.len(),
        };
        Size {
            sum: operations + preemptions,
            operations,
            preemptions,
            actors: case.actors.len(),
            cells: usize::from(case.geometry.file_cells())
                + case.operations().map(|(_, _, o)| named(o)).sum::<usize>(),
            text: Document::new(case.clone()).to_string(),
        }
    }
}

/// Shrinks on all orders, on `jobs` threads, and takes the smallest. `better` is called with each
/// new best; `until` ends it early, with the best so far. The case must show the goal under its own
/// schedule.
pub fn shrink<F: Filesystem>(
    case: &Case,
    goal: &Goal<F>,
    ledger: &Ledger<F>,
    jobs: usize,
    until: Until<'_>,
    better: &(dyn Fn(&Case) + Sync),
) -> Case {
    let best = Mutex::new((Size::of(case), case.clone()));
    let offer = |case: &Case| {
        let size = Size::of(case);
        let mut best = best.lock().expect("no thread panics here");
        if size < best.0 {
            *best = (size, case.clone());
            better(case);
        }
    };
    parallel(
        jobs,
        ORDERS,
        || until.is_over(),
        Runner::default,
        |runner, order| {
            let mut shrinker = Shrinker::new(runner, goal.clone(), ledger);
            (shrinker.order, shrinker.until) = (order as u64, Some(until));
            offer(&shrinker.shrink(case.clone()));
        },
    );
    best.into_inner().expect("no thread panics here").1
}

/// Shrinks cases towards one goal, in one order of attempts.
pub struct Shrinker<'a, F: Filesystem> {
    runner: &'a mut Runner<F>,
    reference: Runner<F>,
    goal: Goal<F>,
    ledger: &'a Ledger<F>,
    order: u64,
    until: Option<Until<'a>>,
}

impl<'a, F: Filesystem> Shrinker<'a, F> {
    /// Holds `goal`.
    pub fn new(runner: &'a mut Runner<F>, goal: Goal<F>, ledger: &'a Ledger<F>) -> Shrinker<'a, F> {
        Shrinker { runner, reference: Runner::default(), goal, ledger, order: 0, until: None }
    }

    /// The case shows the goal, under its own schedule.
    pub fn shows(&mut self, case: &Case) -> bool {
        self.shows_under(case, &ScheduledBy::Own)
    }

    fn shows_under(&mut self, case: &Case, how: &ScheduledBy) -> bool {
        let Shrinker { runner, reference, goal, ledger, .. } = self;
        match goal {
            Goal::Signature(target, signature) => {
                runner.run(*target, case, how.clone());
                let mut classifier = ledger.classify(*target);
                runner.judge.breaches().any(|b| signature.matches(&b, classifier.next(&b)))
            }
            Goal::Difference(target, other, signature) => {
                if !differential::is_comparable(case) {
                    return false;
                }
                runner.run(*target, case, how.clone());
                reference.run(*other, case, how.clone());
                let theirs = reference.judge.summary();
                let differs = runner.judge.summary().differs(target.pair, theirs, other.pair);
                differs
                    .is_some_and(|breach| signature.point.is_none_or(|point| point == breach.point))
            }
            Goal::Document(expects, targets) => targets.iter().all(|target| {
                runner.run(*target, case, how.clone());
                expects.iter().all(|expect| match expect {
                    Expect::Pass => runner.judge.is_clean(),
                    Expect::Breach { .. } => runner.judge.breaches().any(|b| shows(expect, &b)),
                })
            }),
        }
    }

    /// Shrinks `case`, which must show the goal under its own schedule of stops.
    pub fn shrink(&mut self, mut case: Case) -> Case {
        loop {
            let before = case.clone();
            self.drop_operations(&mut case);
            self.drop_stops(&mut case);
            self.simplify_file(&mut case);
            self.shorten_ranges(&mut case);
            self.renumber(&mut case);
            if case == before
                && !self.take_removal(&mut case)
                && !self.take_schedule(&mut case)
                && !self.take_rearrangement(&mut case)
            {
                return case;
            }
        }
    }

    /// Takes the first single removal that still shows the goal.
    fn take_removal(&mut self, case: &mut Case) -> bool {
        removals(case).into_iter().any(|(_, candidate)| {
            let shows = self.goes_on() && self.shows(&candidate);
            if shows {
                *case = candidate;
            }
            shows
        })
    }

    /// Takes a fresh schedule of the same operations if it needs fewer stops.
    fn take_schedule(&mut self, case: &mut Case) -> bool {
        let fresh = self.reschedule(case).filter(|fresh| Size::of(fresh).sum < Size::of(case).sum);
        let found = fresh.is_some();
        if let Some(fresh) = fresh {
            *case = fresh;
        }
        found
    }

    /// Takes a case of as many operations, but with one of them on another actor, or a load in
    /// place of a store, if that needs fewer stops.
    fn take_rearrangement(&mut self, case: &mut Case) -> bool {
        rearrangements(case).into_iter().any(|candidate| {
            let fresh = self
                .reschedule(&candidate)
                .filter(|fresh| Size::of(fresh).sum < Size::of(case).sum);
            let found = fresh.is_some();
            if let Some(fresh) = fresh {
                *case = fresh;
            }
            found
        })
    }

    /// The single removals that still show the goal, under the stops that are left or a fresh
    /// schedule that is no longer, by axis. None of them: the case is 1-minimal.
    pub fn not_minimal(&mut self, case: &Case) -> Vec<(Axis, Case)> {
        let sum = Size::of(case).sum;
        let smaller = removals(case).into_iter().filter_map(|(axis, candidate)| {
            if self.shows(&candidate) {
                return Some((axis, candidate));
            }
            let rescheduled =
                (axis < Axis::Preemptions).then(|| self.reschedule(&candidate)).flatten();
            rescheduled.filter(|case| Size::of(case).sum < sum).map(|case| (axis, case))
        });
        smaller.collect()
    }

    fn goes_on(&self) -> bool {
        !self.until.is_some_and(|until| until.is_over())
    }

    /// Takes a change if the case still shows what it should.
    fn attempt(&mut self, case: &mut Case, change: impl FnOnce(&mut Case)) -> bool {
        let mut candidate = case.clone();
        change(&mut candidate);
        candidate.fix_up();
        let better = self.goes_on() && candidate != *case && self.shows(&candidate);
        if better {
            *case = candidate;
        }
        better
    }

    /// The same, and tries fresh schedules if the stops no longer fit.
    fn attempt_anew(&mut self, case: &mut Case, change: impl Fn(&mut Case)) -> bool {
        if self.attempt(case, &change) {
            return true;
        }
        let mut candidate = case.clone();
        change(&mut candidate);
        candidate.fix_up();
        if candidate == *case {
            return false;
        }
        match self.reschedule(&candidate) {
            Some(smaller) if Size::of(&smaller).sum <= Size::of(case).sum => {
                *case = smaller;
                true
            }
            _ => false,
        }
    }

    /// A fresh schedule under which the case shows the goal, with as few stops as may be.
    pub fn reschedule(&mut self, case: &Case) -> Option<Case> {
        let mut found = self.find_schedule(case)?;
        self.drop_stops(&mut found);
        Some(found)
    }

    /// A fresh schedule under which the case shows the goal.
    fn find_schedule(&mut self, case: &Case) -> Option<Case> {
        if !matches!(self.goal, Goal::Difference(..)) && case.operations().count() == 0 {
            return None;
        }
        (0..SCHEDULES).find_map(|n| {
            if !self.goes_on() {
                return None;
            }
            let kind =
                [SchedulerKind::Pos, SchedulerKind::Pct3, SchedulerKind::Pct2, SchedulerKind::Walk]
                    [n as usize % 4];
            let how = ScheduledBy::Random(kind, random(n, self.order, 3));
            if !self.shows_under(case, &how) {
                return None;
            }
            let stops = self.runner.record(self.goal.targets()[0], case, how);
            let ordered = with_order(case, stops);
            self.shows(&ordered).then_some(ordered)
        })
    }

    /// Numbers below `n` in this shrinker's order: from the last, from the first, or from the
    /// middle.
    fn ordered(&self, n: usize) -> Vec<usize> {
        let mut all: Vec<usize> = (0..n).collect();
        if self.order.is_multiple_of(2) {
            all.reverse();
        }
        all.rotate_left((self.order as usize / 2) % n.max(1));
        all
    }

    fn drop_operations(&mut self, case: &mut Case) {
        for actor in self.ordered(case.actors.len()) {
            self.attempt_anew(case, |c| c.actors[actor].operations.clear());
            for slot in self.ordered(case.actors[actor].operations.len()) {
                self.attempt_anew(case, |c| {
                    if let Some(operation) = c.actors[actor].operations.get_mut(slot) {
                        *operation = Operation::Empty;
                    }
                });
            }
        }
    }

    fn drop_stops(&mut self, case: &mut Case) {
        let mut size = stops(case).len().next_power_of_two();
        while size > 0 {
            let mut start = 0;
            while start < stops(case).len() {
                let dropped = self.attempt(case, |c| {
                    let stops = stops(c);
                    let end = (start + size).min(stops.len());
                    stops.drain(start..end);
                });
                if !dropped {
                    start += size;
                }
            }
            size /= 2;
        }
        // What happened to stop at a point may as well run until it blocks.
        for i in 0..stops(case).len() {
            self.attempt(case, |c| (stops(c)[i].point, stops(c)[i].occurrence) = (None, 1));
        }
    }

    fn simplify_file(&mut self, case: &mut Case) {
        self.attempt(case, |c| c.faults = Faults::default());
        if case.faults.stable != 0 {
            self.attempt(case, |c| c.faults.stable = u16::MAX);
        }
        self.attempt(case, |c| c.geometry.free = AMPLE);
        self.attempt(case, |c| c.geometry.holes = 0);
        for actor in 0..case.actors.len() {
            self.attempt(case, |c| c.actors[actor].mm = 0);
        }
        while self.attempt(case, shift_down) {}
        while self.attempt(case, |c| c.geometry.mms = (c.geometry.mms - 1).max(1)) {}
        while self.attempt(case, |c| c.geometry.pages = (c.geometry.pages - 1).max(1)) {}
        while self.attempt(case, |c| c.geometry.set_blocks((c.geometry.blocks / 2).max(1))) {}
        while self.attempt(case, |c| c.geometry.cells /= 2) {}
        self.attempt(case, |c| c.geometry.size = c.geometry.file_cells());
    }

    fn shorten_ranges(&mut self, case: &mut Case) {
        for actor in 0..case.actors.len() {
            for slot in 0..case.actors[actor].operations.len() {
                let operation = case.actors[actor].operations[slot];
                shorter_ranges(operation)
                    .any(|o| self.attempt(case, |c| c.actors[actor].operations[slot] = o));
            }
        }
    }

    fn renumber(&mut self, case: &mut Case) {
        self.attempt_anew(case, close_gaps);
    }
}

/// Actors and slots without gaps.
fn close_gaps(c: &mut Case) {
    let full = |actor: &Actor| {
        let slots = 0..actor.operations.len() as u8;
        slots
            .filter(|slot| actor.operations[usize::from(*slot)] != Operation::Empty)
            .collect::<Vec<u8>>()
    };
    let slots: Vec<Vec<u8>> = c.actors.iter().map(full).collect();
    let kept: Vec<usize> = (0..slots.len()).filter(|actor| !slots[*actor].is_empty()).collect();
    for stop in stops(c) {
        let old = stop.task.index();
        if let Some(new) = kept.iter().position(|actor| *actor == old) {
            stop.task = TaskId(new as u8);
            let slot = slots[old].iter().position(|slot| *slot == stop.slot);
            stop.slot = slot.map_or(stop.slot, |slot| slot as u8);
        }
    }
    for actor in &mut c.actors {
        actor.operations.retain(|operation| *operation != Operation::Empty);
    }
    c.actors.retain(|actor| !actor.operations.is_empty());
}

/// Every case that is one step smaller, by axis.
pub fn removals(case: &Case) -> Vec<(Axis, Case)> {
    let mut all = Vec::new();
    let mut add = |axis: Axis, change: &dyn Fn(&mut Case)| {
        let mut smaller = case.clone();
        change(&mut smaller);
        smaller.fix_up();
        if smaller != *case && all.iter().all(|(_, known)| *known != smaller) {
            all.push((axis, smaller));
        }
    };
    for actor in 0..case.actors.len() {
        if case.actors.len() > 1 {
            add(Axis::Actors, &|c| c.actors[actor].operations.clear());
        }
        for slot in 0..case.actors[actor].operations.len() {
            add(Axis::Operations, &|c| c.actors[actor].operations[slot] = Operation::Empty);
        }
    }
    if let Schedule::Order(order) = &case.schedule {
        for stop in 0..order.len() {
            add(Axis::Preemptions, &|c| _ = stops(c).remove(stop));
        }
    }
    let g = case.geometry;
    add(Axis::Sizes, &|c| c.faults.eio = 0);
    add(Axis::Sizes, &|c| c.faults.stable = 0);
    add(Axis::Sizes, &|c| c.geometry.free = AMPLE);
    add(Axis::Sizes, &|c| c.geometry.holes = 0);
    add(Axis::Sizes, &|c| c.geometry.pages = (g.pages - 1).max(1));
    add(Axis::Sizes, &|c| c.geometry.mms = (g.mms - 1).max(1));
    add(Axis::Sizes, &|c| c.geometry.set_blocks((g.blocks / 2).max(1)));
    add(Axis::Sizes, &|c| c.geometry.cells /= 2);
    for actor in 0..case.actors.len() {
        for slot in 0..case.actors[actor].operations.len() {
            for shorter in shorter_ranges(case.actors[actor].operations[slot]) {
                add(Axis::Sizes, &|c| c.actors[actor].operations[slot] = shorter);
            }
        }
    }
    all
}

/// The same number of operations, done otherwise: each moved to the start or the end of each other
/// actor's, and each store made a load.
fn rearrangements(case: &Case) -> Vec<Case> {
    let mut all = Vec::new();
    let mut add = |change: &dyn Fn(&mut Case)| {
        let mut other = case.clone();
        change(&mut other);
        close_gaps(&mut other);
        other.fix_up();
        all.push(other);
    };
    for from in 0..case.actors.len() {
        for slot in 0..case.actors[from].operations.len() {
            for to in (0..case.actors.len()).filter(|to| *to != from) {
                add(&|c| {
                    let operation = c.actors[from].operations.remove(slot);
                    c.actors[to].operations.push(operation);
                });
                add(&|c| {
                    let operation = c.actors[from].operations.remove(slot);
                    c.actors[to].operations.insert(0, operation);
                });
            }
            if let Operation::Store(range) = case.actors[from].operations[slot] {
                add(&|c| c.actors[from].operations[slot] = Operation::Load(range));
            }
        }
    }
    all
}

/// The operation on less.
fn shorter_ranges(operation: Operation) -> impl Iterator<Item = Operation> {
    let (kind, Range { start, end }) = (operation.kind(), operation.range());
    let ranged = matches!(kind.operand, Operand::Cells | Operand::Pages) && end > start + 1;
    let shorter =
        [(start, start + 1), (end.saturating_sub(1), end), (start, end.saturating_sub(1))];
    shorter.into_iter().filter(move |_| ranged).map(move |(start, end)| {
        Operation::from_code(kind.code, Range::new(start, end))
            .expect("the code is the operation's own")
    })
}

/// Everything one page nearer to the start of the file.
fn shift_down(case: &mut Case) {
    let cells = case.geometry.cells;
    case.geometry.size = case.geometry.size.saturating_sub(cells);
    case.geometry.holes =
        case.geometry.holes.checked_shr(u32::from(case.geometry.blocks)).unwrap_or(0);
    for operation in case.actors.iter_mut().flat_map(|actor| &mut actor.operations) {
        let (kind, range) = (operation.kind(), operation.range());
        let by = if kind.operand == Operand::Pages { 1 } else { cells };
        let range = Range::new(range.start.saturating_sub(by), range.end.saturating_sub(by));
        *operation =
            Operation::from_code(kind.code, range).expect("the code is the operation's own");
    }
    // The I/O of a page has the number of the page.
    for stop in stops(case) {
        if let Some(slot) = stop.task.io_slot() {
            stop.task = TaskId::io(slot.saturating_sub(1));
        }
    }
}

fn stops(case: &mut Case) -> &mut Vec<Stop> {
    if let Schedule::Seed { .. } = case.schedule {
        case.schedule = Schedule::Order(Vec::new());
    }
    match &mut case.schedule {
        Schedule::Order(stops) => stops,
        Schedule::Seed { .. } => unreachable!("it was replaced above"),
    }
}
