//! Makes a case that breaks a rule smaller, holding what it shows fixed: the signature, whether the
//! ledger expects it and by which entry, and whether it is about what lies past EOF, so that it
//! never slips to another bug.
//!
//! It shrinks on four axes together. *Actors* and *operations*: a candidate with fewer is tried
//! with the stops that are left, with requests counted anew, and if these no longer fit with a
//! number of fresh schedules. *Preemptions*: fewer stops, and "until it blocks" instead of a point.
//! *Sizes*: a simpler file with all ranges in it, shorter ranges, no faults, numbering without
//! gaps. A case is held to the pair of its signature; only the differential rule needs a second one.
//! All again until nothing helps, not even other actors for the same
//! operations, or two operations less at once; then the result is 1-minimal: no single [`removals`]
//! step shows it.
//!
//! Greedy shrinking depends on the order of its attempts, so several orders are tried and the
//! smallest result is taken: the same on any number of threads. All orders try the same changes and
//! schedules, so that what one of them cannot make smaller none can: shrinking a result again
//! changes nothing.

use mkwrite_model::Target;
use mkwrite_model::case::{Case, Limits, Operation, Schedule};
use mkwrite_model::exec::TaskId;
use mkwrite_model::generate::random;
use mkwrite_model::geometry::FIELDS;
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::schedule::SchedulerKind;
use mkwrite_model::text::{Document, Expect};
use std::collections::{HashMap, HashSet};
use std::hash::{BuildHasherDefault, DefaultHasher};
use std::sync::Mutex;

use mkwrite_oracle::Rule;
use mkwrite_oracle::judge::Breach;
use mkwrite_oracle::ledger::{Expected, Ledger, Signature};
use mkwrite_oracle::run::{Runner, ScheduledBy, compared, with_order};
use mkwrite_oracle::verdict::{expectations, judge, shows};

use crate::explain::with_stops;
use crate::finding::{is_plain, pair_names, set_targets};
use crate::parallel::{Until, parallel};
pub use crate::smaller::{Axis, removals};
use crate::smaller::{
    REQUESTS_MOVED, already_truncated, close_gaps, rearrangements, requests_moved, reshaped,
    shorter_ranges, simpler_faults, stops, without_page,
};

/// Fresh schedules that a candidate with fewer operations is tried with.
const SCHEDULES: u64 = 60;
/// Of these, schedules that show it and are made shorter.
const SHORTENED: usize = 4;
/// Orders of attempts.
const ORDERS: usize = 8;
/// Operations and stops of a case that a hunt tries no further orders for.
const ENOUGH: usize = 5;

/// What a smaller case must still show.
#[derive(Clone, Debug)]
pub enum Goal<F> {
    /// Such a breach on this target.
    Breach(Target<F>, Held),
    /// Such a breach of the differential rule on the first target, beside a run on the second.
    Difference(Target<F>, Target<F>, Held),
    /// All that a document expects, target by target, beside a run of the pair that it compares
    /// with.
    Document(Vec<HeldOn<F>>, Option<Target<F>>),
}

/// What is held of a breach.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Held {
    /// Rule, point, and how the ledger sees it.
    pub signature: Signature,
    /// It is about what lay past EOF.
    pub past_eof: bool,
    /// What was wrong, where that is a part of it: what two runs differ in.
    what: Option<&'static str>,
}

impl Held {
    /// What is held of this breach, which the ledger sees so.
    pub fn of<F: Filesystem>(ledger: &Ledger<F>, breach: &Breach, expected: Expected) -> Held {
        let signature = ledger.signature(breach, expected);
        // Where the signature says any point, the case keeps the one that it has.
        let signature = Signature { point: Some(breach.point), ..signature };
        let what = (breach.rule == Rule::Differential).then_some(breach.what);
        Held { signature, past_eof: breach.past_eof(), what }
    }

    /// One of these breaches is such.
    pub(crate) fn is_among(&self, mut judged: impl Iterator<Item = (Breach, Expected)>) -> bool {
        judged.any(|(breach, expected)| {
            self.signature.matches(&breach, expected)
                && self.past_eof == breach.past_eof()
                && self.what.is_none_or(|what| what == breach.what)
        })
    }
}

/// What a document shows on a target.
#[derive(Clone, Debug)]
pub struct HeldOn<F> {
    target: Target<F>,
    /// What it expects; where that was seen to break, how the ledger sees it, and whether it is
    /// about what lay past EOF.
    expects: Vec<(Expect, Option<(Expected, bool)>)>,
    /// Nothing else breaks that the ledger does not list.
    only_listed: bool,
    /// Every stop of the schedule is reached.
    is_followed: bool,
}

impl<F: Filesystem> HeldOn<F> {
    /// What is expected, however the ledger sees it.
    pub fn expected(target: Target<F>, expects: &[Expect]) -> HeldOn<F> {
        let expects = expects.iter().map(|expect| (expect.clone(), None)).collect();
        HeldOn { target, expects, only_listed: false, is_followed: true }
    }

    /// What is expected, as it stands to the ledger in these breaches.
    fn in_breaches(
        target: Target<F>,
        expects: &[Expect],
        breaches: &[(Breach, Expected)],
    ) -> HeldOn<F> {
        let standing = |expect: &Expect| {
            let breach = breaches.iter().find(|(breach, _)| shows(expect, breach));
            breach.map(|(breach, expected)| (*expected, breach.past_eof()))
        };
        let mut all = HeldOn {
            target,
            expects: expects.iter().map(|expect| (expect.clone(), standing(expect))).collect(),
            only_listed: true,
            is_followed: true,
        };
        all.only_listed = all.are_in(breaches);
        all
    }

    fn are_in(&self, breaches: &[(Breach, Expected)]) -> bool {
        let is_there = |(expect, standing): &(Expect, Option<(Expected, bool)>)| match expect {
            Expect::Pass => breaches.is_empty(),
            Expect::Breach { .. } => breaches.iter().any(|(breach, expected)| {
                shows(expect, breach)
                    && standing.is_none_or(|standing| standing == (*expected, breach.past_eof()))
            }),
        };
        let is_listed = |(breach, expected): &(Breach, Expected)| {
            *expected != Expected::No
                || self.expects.iter().any(|(expect, _)| shows(expect, breach))
        };
        self.expects.iter().all(is_there) && (!self.only_listed || breaches.iter().all(is_listed))
    }
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
        runner.compare_with(compared(document).ok().flatten());
        if wanted == Wanted::Expectations
            && !document.runs.is_empty()
            && !document.expects.is_empty()
        {
            followed(runner, targets[0], document);
            let mut shown = Vec::new();
            for target in targets {
                let judged = judge(runner, ledger, target, document);
                if let Some(missing) = judged.missing.first() {
                    return Err(NoGoal::Missing(missing.clone(), target.pair.to_string()));
                }
                let is_followed = runner.missed_stops(target, &document.case).is_empty();
                let all = HeldOn::in_breaches(target, &document.expects, &judged.breaches);
                shown.push(HeldOn { is_followed, ..all });
            }
            return Ok(Goal::Document(shown, runner.reference()));
        }
        let rule = if let Wanted::Breach(rule) = wanted { rule } else { None };
        let (target, held) =
            first_breach(runner, ledger, &targets, &document.case, rule).ok_or(NoGoal::Nothing)?;
        followed(runner, target, document);
        let goal = match runner.reference().filter(|_| held.signature.rule == Rule::Differential) {
            Some(other) => Goal::Difference(target, other, held),
            None => Goal::Breach(target, held),
        };
        if !Shrinker::new(runner, goal.clone(), ledger).shows(&document.case) {
            return Err(NoGoal::Unrepeatable);
        }
        Ok(goal)
    }

    /// What a case that breaks a rule is held to: that breach, which the ledger sees so, or for the
    /// differential rule that difference from one of the other targets. None if the case does not
    /// show it.
    pub fn of_breach(
        case: &Case,
        target: Target<F>,
        (breach, expected): (&Breach, Expected),
        others: impl IntoIterator<Item = Target<F>>,
        ledger: &Ledger<F>,
        runner: &mut Runner<F>,
    ) -> Option<Goal<F>> {
        let held = Held::of(ledger, breach, expected);
        let goals: Vec<Goal<F>> = match breach.rule {
            Rule::Differential => {
                // A file can name those without bug and remedies.
                let mut others: Vec<Target<F>> = others.into_iter().collect();
                others.sort_by_key(|other| !is_plain(*other));
                others.into_iter().map(|other| Goal::Difference(target, other, held)).collect()
            }
            _ => vec![Goal::Breach(target, held)],
        };
        goals.into_iter().find(|goal| Shrinker::new(runner, goal.clone(), ledger).shows(case))
    }

    /// The targets that it is about; schedules are recorded on the first.
    pub fn targets(&self) -> Vec<Target<F>> {
        match self {
            Goal::Breach(target, _) | Goal::Difference(target, ..) => vec![*target],
            Goal::Document(shown, _) => shown.iter().map(|shown| shown.target).collect(),
        }
    }

    /// It is about a breach that the ledger does not explain.
    fn is_new(&self) -> bool {
        match self {
            Goal::Breach(_, held) | Goal::Difference(_, _, held) => {
                held.signature.expected == Expected::No
            }
            Goal::Document(..) => true,
        }
    }

    /// Whose run those of the targets are compared with.
    pub fn other(&self) -> Option<Target<F>> {
        match self {
            Goal::Breach(..) => None,
            Goal::Difference(_, other, _) => Some(*other),
            Goal::Document(_, other) => *other,
        }
    }

    /// The document of a smaller case: what it runs on, and what breaks there.
    pub fn document(&self, document: &Document, case: Case) -> Document {
        let mut smaller = document.clone();
        smaller.set_case(case);
        set_targets(&mut smaller, &self.targets());
        let other = self.other().filter(|other| is_plain(*other));
        smaller.compare = other.map(|other| pair_names(&other));
        if let Goal::Breach(target, _) | Goal::Difference(target, ..) = self {
            let mut runner = Runner::default();
            runner.compare_with(other);
            runner.run(*target, &smaller.case, ScheduledBy::Own);
            smaller.expects = expectations(&runner.judge);
        }
        smaller
    }
}

/// Gives the document's case a schedule by stops that are all reached on this target.
fn followed<F: Filesystem>(runner: &mut Runner<F>, target: Target<F>, document: &mut Document) {
    document.case = with_stops(runner, target, &document.case);
    if !runner.missed_stops(target, &document.case).is_empty() {
        let stops = runner.record(target, &document.case, ScheduledBy::Own);
        document.case = with_order(&document.case, stops);
    }
}

/// The first breach that the ledger does not list, or else the first, of this rule if one is named.
fn first_breach<F: Filesystem>(
    runner: &mut Runner<F>,
    ledger: &Ledger<F>,
    targets: &[Target<F>],
    case: &Case,
    rule: Option<Rule>,
) -> Option<(Target<F>, Held)> {
    let mut best: Option<(Target<F>, Held)> = None;
    for target in targets {
        runner.run(*target, case, ScheduledBy::Own);
        for (breach, expected) in ledger.judged(*target, &runner.judge) {
            let better = match best {
                None => true,
                Some((_, held)) => {
                    held.signature.expected != Expected::No && expected == Expected::No
                }
            };
            if better && rule.is_none_or(|rule| rule == breach.rule) {
                best = Some((*target, Held::of(ledger, &breach, expected)));
            }
        }
    }
    best
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
        let named =
            |o: Operation| o.operands().iter().map(|range| range.iter().len()).sum::<usize>();
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
    let state = || (Runner::default(), Known::default());
    parallel(
        jobs,
        ORDERS,
        || until.is_over(),
        state,
        |(runner, known), order| {
            let mut shrinker = Shrinker::new(runner, goal.clone(), ledger);
            (shrinker.order, shrinker.until) = (order as u64, Some(until));
            shrinker.known = std::mem::take(known);
            offer(&shrinker.shrink(case.clone()));
            *known = shrinker.known;
        },
    );
    best.into_inner().expect("no thread panics here").1
}

/// The same on this thread and without end, as a hunt does it for many findings: in all orders only
/// if the ledger does not explain it and much is left after the first.
pub fn shrink_one<F: Filesystem>(case: &Case, goal: &Goal<F>, ledger: &Ledger<F>) -> Case {
    let mut runner = Runner::default();
    let mut shrinker = Shrinker::new(&mut runner, goal.clone(), ledger);
    let mut in_order = |order: u64| {
        shrinker.order = order;
        let smaller = shrinker.shrink(case.clone());
        (Size::of(&smaller), smaller)
    };
    let mut best = in_order(0);
    for order in 1..ORDERS as u64 {
        if !goal.is_new() || best.0.sum <= ENOUGH {
            break;
        }
        let other = in_order(order);
        if other.0 < best.0 {
            best = other;
        }
    }
    best.1
}

/// What was tried: a pass in which nothing helps repeats the one before, and orders share most.
#[derive(Default)]
struct Known {
    /// Cases that do not show the goal.
    fail: HashSet<Case, BuildHasherDefault<DefaultHasher>>,
    /// What came of fresh schedules of a program.
    fresh: HashMap<Case, Fresh, BuildHasherDefault<DefaultHasher>>,
}

/// Fresh schedules of a program.
#[derive(Default)]
struct Fresh {
    /// The next one to try.
    next: u64,
    /// Those that show the goal, made shorter.
    shown: Vec<Case>,
}

/// Shrinks cases towards one goal, in one order of attempts.
pub struct Shrinker<'a, F: Filesystem> {
    runner: &'a mut Runner<F>,
    goal: Goal<F>,
    ledger: &'a Ledger<F>,
    order: u64,
    until: Option<Until<'a>>,
    known: Known,
}

impl<'a, F: Filesystem> Shrinker<'a, F> {
    /// Holds `goal`.
    pub fn new(runner: &'a mut Runner<F>, goal: Goal<F>, ledger: &'a Ledger<F>) -> Shrinker<'a, F> {
        runner.compare_with(goal.other());
        Shrinker { runner, goal, ledger, order: 0, until: None, known: Known::default() }
    }

    /// The case shows the goal, under its own schedule, of which no stop is stale.
    pub fn shows(&mut self, case: &Case) -> bool {
        if self.known.fail.contains(case) {
            return false;
        }
        let shows = self.shows_when(|runner, target| runner.missed_stops(target, case).is_empty());
        if !shows {
            self.known.fail.insert(case.clone());
        }
        shows
    }

    /// The case shows the goal, under this schedule.
    fn shows_under(&mut self, case: &Case, how: &ScheduledBy) -> bool {
        self.shows_when(|runner, target| {
            runner.run(target, case, how.clone());
            true
        })
    }

    /// The goal shows in the runs that `run` makes. It also says whether all stops were reached.
    fn shows_when(&mut self, mut run: impl FnMut(&mut Runner<F>, Target<F>) -> bool) -> bool {
        let Shrinker { runner, goal, ledger, .. } = self;
        match goal {
            Goal::Breach(target, held) | Goal::Difference(target, _, held) => {
                run(runner, *target) && held.is_among(ledger.judged(*target, &runner.judge))
            }
            Goal::Document(shown, _) => shown.iter().all(|shown| {
                let is_followed = run(runner, shown.target);
                let breaches: Vec<_> = ledger.judged(shown.target, &runner.judge).collect();
                (is_followed || !shown.is_followed) && shown.are_in(&breaches)
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
            self.reshape(&mut case);
            self.shorten_ranges(&mut case);
            self.renumber(&mut case);
            if case == before
                && !self.take_removal(&mut case)
                && !self.take_schedule(&mut case)
                && !self.take_rearrangement(&mut case)
                && !self.drop_two(&mut case)
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
        let fresh = self.reschedule_below(case, Size::of(case).sum);
        let found = fresh.is_some();
        if let Some(fresh) = fresh {
            *case = fresh;
        }
        found
    }

    /// Takes a case with two operations less, which need each other.
    fn drop_two(&mut self, case: &mut Case) -> bool {
        let all: Vec<(TaskId, u8)> =
            case.operations().map(|(task, slot, _)| (task, slot)).collect();
        let pairs = (0..all.len()).flat_map(|n| (0..n).map(move |m| (m, n)));
        let without = |case: &Case, (m, n): (usize, usize)| {
            let mut smaller = case.clone();
            for (task, slot) in [all[m], all[n]] {
                smaller.actors[task.index()].operations[usize::from(slot)] = Operation::Empty;
            }
            smaller.fix_up();
            smaller
        };
        pairs.into_iter().any(|pair| {
            let smaller = without(case, pair);
            self.take(case, smaller)
        })
    }

    /// Takes a case of as many operations, but with one of them on another actor, or a load in
    /// place of a store, if that needs fewer stops.
    fn take_rearrangement(&mut self, case: &mut Case) -> bool {
        rearrangements(case).into_iter().any(|candidate| {
            let fresh = self.reschedule_below(&candidate, Size::of(case).sum);
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
            let rescheduled = (axis < Axis::Preemptions)
                .then(|| self.reschedule_below(&candidate, sum))
                .flatten();
            rescheduled.map(|case| (axis, case))
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

    /// The same, with requests counted anew, and tries fresh schedules if the stops no longer fit.
    fn attempt_anew(&mut self, case: &mut Case, change: impl Fn(&mut Case)) -> bool {
        let mut candidate = case.clone();
        change(&mut candidate);
        candidate.fix_up();
        if candidate == *case {
            return false;
        }
        let moved = (1..=REQUESTS_MOVED).filter_map(|by| requests_moved(&candidate, by));
        let moved: Vec<Case> = moved.collect();
        let mut all = vec![candidate];
        all.extend(moved);
        let stays = all.iter().position(|candidate| self.goes_on() && self.shows(candidate));
        let taken = match stays {
            Some(n) => Some(all.swap_remove(n)),
            None => {
                // Only faults matter under another schedule.
                all.dedup_by_key(|candidate| candidate.faults);
                let limit = Size::of(case).sum + 1;
                all.iter().find_map(|candidate| self.reschedule_below(candidate, limit))
            }
        };
        let found = taken.is_some();
        if let Some(taken) = taken {
            *case = taken;
        }
        found
    }

    /// A fresh schedule under which the case shows the goal, with as few stops as may be.
    pub fn reschedule(&mut self, case: &Case) -> Option<Case> {
        self.reschedule_below(case, usize::MAX)
    }

    /// The same, if the sum of operations and stops is less than `limit` then.
    fn reschedule_below(&mut self, case: &Case, limit: usize) -> Option<Case> {
        let operations = case.operations().count();
        if operations >= limit || operations == 0 && !matches!(self.goal, Goal::Difference(..)) {
            return None;
        }
        let program = with_order(case, Vec::new());
        let mut fresh = self.known.fresh.remove(&program).unwrap_or_default();
        let is_short = |case: &&Case| Size::of(case).sum < limit;
        let mut found = fresh.shown.iter().find(is_short).cloned();
        while found.is_none()
            && fresh.shown.len() < SHORTENED
            && fresh.next < SCHEDULES
            && self.goes_on()
        {
            fresh.next += 1;
            let Some(mut shown) = self.scheduled(&program, fresh.next - 1) else { continue };
            self.drop_stops(&mut shown);
            found = Some(&shown).filter(is_short).cloned();
            fresh.shown.push(shown);
        }
        self.known.fresh.insert(program, fresh);
        found
    }

    /// The case under the n-th fresh schedule, if it shows the goal there.
    fn scheduled(&mut self, case: &Case, n: u64) -> Option<Case> {
        let kind =
            [SchedulerKind::Pos, SchedulerKind::Pct3, SchedulerKind::Pct2, SchedulerKind::Walk]
                [n as usize % 4];
        let how = ScheduledBy::Random(kind, random(n, 0, 3));
        if !self.shows_under(case, &how) {
            return None;
        }
        let stops = self.runner.record(self.goal.targets()[0], case, how);
        let ordered = with_order(case, stops);
        self.shows(&ordered).then_some(ordered)
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
        while simpler_faults(case).into_iter().any(|c| self.take(case, c)) {}
        for actor in 0..case.actors.len() {
            self.attempt(case, |c| c.actors[actor].mm = 0);
        }
        while (0..case.geometry.pages)
            .filter_map(|page| without_page(case, page))
            .collect::<Vec<_>>()
            .into_iter()
            .any(|c| self.take(case, c))
        {}
        while already_truncated(case).into_iter().any(|c| self.take(case, c)) {}
        // The last first: a field stands behind what it depends on.
        for field in FIELDS.iter().rev() {
            while self.attempt(case, |c| c.geometry = field.simpler(c.geometry)) {}
        }
        self.attempt(case, |c| c.limits = Limits::default());
    }

    /// Fewer cells and blocks in a page, first with all sizes and ranges scaled along.
    fn reshape(&mut self, case: &mut Case) {
        while reshaped(case).into_iter().any(|c| self.take(case, c)) {}
        while self.attempt(case, |c| c.geometry.cells /= 2) {}
    }

    /// Takes a case if it shows what it should.
    fn take(&mut self, case: &mut Case, other: Case) -> bool {
        self.attempt(case, |c| *c = other)
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
