//! Hunting: arbitrary cases, each on every target, on all cores.
//!
//! Case `i` and its scheduler derive from (seed, i) and, with feedback, from the corpus before its
//! generation (see [`crate::corpus`]); of each signature the find with the lowest `i` is kept. So
//! the result of a given number of cases does not depend on the number of threads. The parts of a
//! hunt ([`Shard`]) are together the whole without feedback; with it each part learns from its own
//! cases alone. Every thousandth
//! case is run twice and must give the same trace. A panic is a broken assertion of our own model;
//! it stops the hunt, which has the case then.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Display, Formatter};
use std::str::FromStr;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mkwrite_model::Case;
use mkwrite_model::Target;
use mkwrite_model::generate::{Generator, random};
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::point::Point;
use mkwrite_model::remedy::Remedies;
use mkwrite_model::schedule::SchedulerKind;
use rand::Rng;

use crate::choice::{Choice, Chosen};
use crate::corpus::{Corpus, Kept};
use crate::feedback::{FEATURES, Feedback, Signals};
use crate::log::Log;
use mkwrite_explain::shrink::{Goal, shrink_one};
use mkwrite_oracle::judge::Breach;
use mkwrite_oracle::ledger::{Expected, FindingKey, Ledger};
use mkwrite_oracle::rules::Rule;
use mkwrite_oracle::run::{Runner, ScheduledBy, Targets, caught, with_order};

/// A part of a hunt, by the numbers of its cases: so many machines share one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Shard {
    /// Which part, from 1.
    pub nth: u64,
    /// How many parts there are.
    pub of: u64,
}

impl Shard {
    /// All of it.
    pub const WHOLE: Shard = Shard { nth: 1, of: 1 };

    /// Whole chunks, so that each part has its share of the cases that run on more targets.
    const fn has(self, index: u64) -> bool {
        index / CHUNK % self.of == self.nth - 1
    }
}

impl Display for Shard {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.nth, self.of)
    }
}

/// A text that names no part of a hunt.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is no part of a hunt, such as 1/4 to 4/4")]
pub struct NoShard(String);

impl FromStr for Shard {
    type Err = NoShard;

    fn from_str(text: &str) -> Result<Shard, NoShard> {
        let parts = || {
            let (nth, of) = text.split_once('/')?;
            let (nth, of): (u64, u64) = (nth.parse().ok()?, of.parse().ok()?);
            (1..=of).contains(&nth).then_some(Shard { nth, of })
        };
        parts().ok_or_else(|| NoShard(text.to_owned()))
    }
}

/// What to hunt.
#[derive(Clone, Debug)]
pub struct Plan<F> {
    /// What each case runs on. Remedied targets beside their plain pairs come last, and run now and
    /// then.
    pub targets: Vec<Target<F>>,
    /// The seed of everything.
    pub seed: u64,
    /// File sizes are multiples of a page.
    pub aligned: bool,
    /// One scheduler instead of the portfolio.
    pub scheduler: Option<SchedulerKind>,
    /// Report only this rule.
    pub rule: Option<Rule>,
    /// A case runs on a part of the targets only, drawn by (seed, case).
    pub chooses: bool,
    /// Stop after this many cases.
    pub cases: u64,
    /// Run only these of them.
    pub shard: Shard,
    /// Collect these features, and mutate cases that reached new ones; without them every case is
    /// made from nothing.
    pub feedback: Option<Signals>,
    /// Cases that come first, each under its own schedule.
    pub seeds: Vec<Case>,
    /// What is expected.
    pub ledger: Ledger<F>,
}

impl<F: Filesystem> Plan<F> {
    /// Random cases on all targets: the portfolio, no feedback, all rules.
    pub fn new(targets: Vec<Target<F>>, seed: u64, cases: u64, ledger: Ledger<F>) -> Plan<F> {
        Plan {
            targets,
            seed,
            aligned: false,
            scheduler: None,
            rule: None,
            chooses: false,
            cases,
            shard: Shard::WHOLE,
            feedback: None,
            seeds: Vec::new(),
            ledger,
        }
    }

    /// How many targets run every case. Those behind them have their plain pairs among these:
    /// nothing is expected there, so they need not see every case, and the plain pairs get on
    /// faster.
    fn regulars(&self) -> usize {
        let plain = |target: &Target<F>| Target { remedies: Remedies::NONE, ..*target };
        let extra = |target: &Target<F>| {
            !target.remedies.is_empty() && self.targets.contains(&plain(target))
        };
        self.targets.iter().rposition(|target| !extra(target)).map_or(0, |last| last + 1)
    }

    /// All targets run case `index`.
    fn is_for_all(&self, index: u64) -> bool {
        index % REMEDIED_ONE_IN == REMEDIED_ONE_IN - 1 || seed(self, index).is_some()
    }
}

/// A signature that was found.
#[derive(Clone, Debug)]
pub struct Found {
    /// The number of the first case that shows it.
    pub index: u64,
    /// That case.
    pub case: Case,
    /// How many cases showed it.
    pub count: u64,
    /// The breach in that case.
    pub breach: Breach,
}

/// The state of a hunt, for whoever watches.
#[derive(Debug, Default)]
pub struct Progress {
    /// Cases that were run.
    pub cases: AtomicU64,
    /// One case on one target.
    pub runs: AtomicU64,
    /// Steps of all runs.
    pub steps: AtomicU64,
    /// Signatures found.
    pub found: Mutex<BTreeSet<FindingKey>>,
    /// Cases in the corpus.
    pub kept: AtomicU64,
    /// Features that were seen.
    pub features: AtomicU64,
    /// Where finds and progress go.
    pub log: Option<Mutex<Log>>,
    /// Set it to end the hunt.
    pub stop: AtomicBool,
}

impl Progress {
    /// Signatures found, and of these those that the ledger does not list.
    pub fn signatures(&self) -> (usize, usize) {
        let found = self.found.lock().expect("nothing panics while it is held");
        (found.len(), found.iter().filter(|key| key.signature.expected == Expected::No).count())
    }

    /// Puts how far the hunt is into the log, now and then.
    pub fn tick(&self) {
        if let Some(log) = &self.log {
            let (cases, features) =
                (self.cases.load(Ordering::Relaxed), self.features.load(Ordering::Relaxed));
            log.lock().expect("nothing panics while it is held").tick(cases, features);
        }
    }
}

/// What must not be lost is shown here as soon as it is there: a hunt may be killed at any time.
pub trait Save: Sync {
    /// A signature was found for the first time.
    fn found(&self, _: &FindingKey, _: &Found) {}
    /// These cases joined the corpus.
    fn kept(&self, _: &[Kept]) {}
}

impl Save for () {}

/// A broken assertion of the model, or a run that does not repeat.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the model is broken: {message} (case {index})")]
pub struct ModelError {
    /// What happened.
    pub message: String,
    /// The number of the case.
    pub index: u64,
    /// That case, with its schedule as stops.
    pub case: Case,
    /// The target where it happened, as an index into the plan's.
    pub target: usize,
}

/// What a hunt found.
#[derive(Debug, Default)]
pub struct Hunted {
    /// Signatures.
    pub found: BTreeMap<FindingKey, Found>,
    /// Steps that began at each point, per target.
    pub reached: Vec<Vec<u64>>,
    /// Runs in which some cell could not be judged.
    pub undecided: u64,
    /// Some run reached the planted bug.
    pub plant_reached: bool,
    /// The corpus at the end.
    pub corpus: Vec<Kept>,
    /// What broke in the model, if anything did.
    pub error: Option<ModelError>,
}

/// Cases that a thread takes at a time.
const CHUNK: u64 = 32;
/// Cases of a generation that begins with this one: few at first, when the corpus learns most.
fn generation(index: u64) -> u64 {
    (index / 4).next_multiple_of(CHUNK).clamp(2 * CHUNK, 2048)
}
/// One case in so many runs on the remedied targets beside their plain pairs, too.
const REMEDIED_ONE_IN: u64 = 4;
/// One case in so many is checked for nondeterminism, on all targets.
const CHECKED_TWICE_ONE_IN: u64 = 1000;
const _: () = assert!(CHECKED_TWICE_ONE_IN.is_multiple_of(REMEDIED_ONE_IN));

/// Hunts on `jobs` threads until the plan is done or `progress.stop` is set.
pub fn hunt<F: Filesystem>(
    plan: &Plan<F>,
    jobs: usize,
    progress: &Progress,
    save: &dyn Save,
) -> Hunted {
    // No more threads than there are chunks of cases.
    let jobs =
        jobs.clamp(1, usize::try_from(plan.cases.div_ceil(CHUNK)).unwrap_or(usize::MAX).max(1));
    let mut workers: Vec<Worker<F>> =
        (0..jobs).map(|_| Worker::new(plan, progress, save)).collect();
    let mut outcome =
        Hunted { reached: vec![vec![0; Point::COUNT]; plan.targets.len()], ..Hunted::default() };
    let mut corpus = Corpus::default();
    let next = AtomicU64::new(0);
    while next.load(Ordering::Relaxed) < plan.cases && !progress.stop.load(Ordering::Relaxed) {
        let start = next.load(Ordering::Relaxed);
        let end = plan.cases.min(start + generation(start));
        std::thread::scope(|scope| {
            for worker in &mut workers {
                scope.spawn(|| worker.generation(&next, end, &corpus));
            }
        });
        next.store(end, Ordering::Relaxed);
        workers.iter_mut().for_each(|worker| corpus.count(&mut worker.hits));
        save.kept(
            corpus.grow(workers.iter_mut().flat_map(|worker| worker.kept.drain(..)).collect()),
        );
        progress.kept.store(corpus.len() as u64, Ordering::Relaxed);
        progress.features.store(corpus.features() as u64, Ordering::Relaxed);
    }
    for worker in workers {
        worker.merge_into(&mut outcome);
    }
    outcome.corpus = corpus.into_kept();
    outcome
}

/// Ends a hunt with the first find that is wanted.
struct Until<'a, W> {
    progress: &'a Progress,
    wanted: W,
    found: Mutex<Option<(FindingKey, Found, Duration)>>,
    begun: Instant,
}

impl<W: Fn(&FindingKey) -> bool + Sync> Save for Until<'_, W> {
    fn found(&self, key: &FindingKey, found: &Found) {
        if (self.wanted)(key) {
            let mut first = self.found.lock().expect("nothing panics while it is held");
            first.get_or_insert_with(|| (*key, found.clone(), self.begun.elapsed()));
            self.progress.stop.store(true, Ordering::Relaxed);
        }
    }
}

/// Hunts on one thread until something that is wanted is found; what that is, and how long it took.
pub fn hunt_until<F: Filesystem>(
    plan: &Plan<F>,
    wanted: impl Fn(&FindingKey) -> bool + Sync,
) -> (Hunted, Option<(FindingKey, Found, Duration)>) {
    let progress = Progress::default();
    let (found, begun) = (Mutex::new(None), Instant::now());
    let until = Until { progress: &progress, wanted, found, begun };
    let outcome = hunt(plan, 1, &progress, &until);
    (outcome, until.found.into_inner().expect("nothing panicked"))
}

fn seed<F: Filesystem>(plan: &Plan<F>, index: u64) -> Option<&Case> {
    plan.seeds.get(usize::try_from(index).ok()?)
}

/// Case `index` of a hunt: a seed, one from nothing, or a mutation. All ways to a case end here.
fn draw<F: Filesystem>(plan: &Plan<F>, index: u64, corpus: &Corpus, case: &mut Case) {
    let generator = Generator::new(plan.aligned);
    match seed(plan, index) {
        Some(seed) => case.clone_from(seed),
        None => corpus.draw(generator, plan.seed, index, case),
    }
    generator.settle(case);
}

/// How case `index` of a hunt is scheduled.
pub fn how<F: Filesystem>(plan: &Plan<F>, index: u64) -> ScheduledBy {
    if seed(plan, index).is_some() {
        return ScheduledBy::Own;
    }
    let kind = plan
        .scheduler
        .unwrap_or_else(|| SchedulerKind::portfolio(random(plan.seed, index, 2).next_u32()));
    ScheduledBy::Random(kind, random(plan.seed, index, 1))
}

struct Worker<'a, F: Filesystem> {
    plan: &'a Plan<F>,
    progress: &'a Progress,
    /// Those that run every case, and the others.
    targets: [Targets<'a, F>; 2],
    choice: Choice,
    finds: Finds<'a, F>,
    undecided: u64,
    feedback: Option<Feedback>,
    kept: Vec<Kept>,
    hits: Box<[u32; FEATURES]>,
    case: Case,
    at: u64,
    error: Option<ModelError>,
}

impl<'a, F: Filesystem> Worker<'a, F> {
    fn new(plan: &'a Plan<F>, progress: &'a Progress, save: &'a dyn Save) -> Worker<'a, F> {
        let (regulars, others) = plan.targets.split_at(plan.regulars());
        let targets = [regulars, others].map(|targets| Targets::new(targets, &plan.ledger));
        Worker {
            plan,
            progress,
            targets,
            choice: Choice::new(&plan.targets),
            finds: Finds { plan, progress, save, found: BTreeMap::new() },
            undecided: 0,
            feedback: plan.feedback.map(Feedback::new),
            kept: Vec::new(),
            hits: vec![0; FEATURES].into_boxed_slice().try_into().expect("the length is right"),
            case: Case::default(),
            at: 0,
            error: None,
        }
    }

    /// Takes chunks of this generation until none is left.
    fn generation(&mut self, next: &AtomicU64, end: u64, corpus: &Corpus) {
        while !self.progress.stop.load(Ordering::Relaxed) {
            let start = next.fetch_add(CHUNK, Ordering::Relaxed);
            if start >= end {
                break;
            }
            if !self.plan.shard.has(start) {
                continue;
            }
            self.error = self.chunk(start..end.min(start + CHUNK), corpus);
            if self.error.is_some() {
                self.progress.stop.store(true, Ordering::Relaxed);
            }
        }
    }

    fn chunk(&mut self, cases: std::ops::Range<u64>, corpus: &Corpus) -> Option<ModelError> {
        let run = || {
            let mut steps = 0;
            for index in cases {
                if self.progress.stop.load(Ordering::Relaxed) {
                    break;
                }
                self.at = index;
                steps += self.run_case(index, corpus)?;
                self.progress.cases.fetch_add(1, Ordering::Relaxed);
            }
            self.progress.steps.fetch_add(steps, Ordering::Relaxed);
            Ok(())
        };
        let message = caught(run).and_then(|result| result).err()?;
        let how = how(self.plan, self.at);
        let broken = |target: &Target<F>| {
            caught(|| Runner::default().run(*target, &self.case, how.clone())).is_err()
        };
        let target = self.plan.targets.iter().position(broken).unwrap_or(0);
        let stops = Runner::default().record(self.plan.targets[target], &self.case, how.clone());
        let case = with_order(&self.case, stops);
        Some(ModelError { message, index: self.at, case, target })
    }

    fn run_case(&mut self, index: u64, corpus: &Corpus) -> Result<u64, String> {
        let Worker {
            plan,
            progress,
            targets,
            choice,
            finds,
            undecided,
            feedback,
            kept,
            hits,
            case,
            ..
        } = self;
        draw(plan, index, corpus, case);
        let (case, how) = (&*case, how(plan, index));
        let chosen = match seed(plan, index) {
            None if plan.chooses => choice.draw(plan.seed, index),
            _ => Chosen::ALL,
        };
        let (mut first, mut steps, mut runs) = (0, 0, 0);
        for targets in &mut targets[..if plan.is_for_all(index) { 2 } else { 1 }] {
            let run = |n, runner: &mut Runner<F>, target| {
                let steps = match feedback.as_mut() {
                    Some(feedback) => feedback.run(runner, target, case, how.clone(), first + n),
                    None => runner.run(target, case, how.clone()).1,
                };
                runs += 1;
                *undecided += u64::from(runner.judge.is_undecided());
                steps
            };
            let meets = |n| choice.has(chosen, first + n);
            steps += targets.run_some(case, meets, run, |n, breach, expected| {
                finds.add(first + n, (index, case), breach, expected);
            });
            first += targets.runners().len();
        }
        progress.runs.fetch_add(runs, Ordering::Relaxed);
        if let Some(feedback) = feedback {
            let features: Vec<u16> = corpus.unseen(feedback.features()).collect();
            if !features.is_empty() {
                kept.push(Kept { index, case: case.clone(), features });
            }
            for feature in feedback.features() {
                hits[usize::from(*feature)] += 1;
            }
            feedback.clear();
        }
        if index % CHECKED_TWICE_ONE_IN == CHECKED_TWICE_ONE_IN - 1
            && !targets.iter_mut().all(|targets| targets.repeats(case, how.clone()))
        {
            return Err("the same run has two traces".to_owned());
        }
        Ok(steps)
    }

    fn merge_into(self, total: &mut Hunted) {
        for (key, found) in self.finds.found {
            total
                .found
                .entry(key)
                .and_modify(|known| {
                    let count = known.count + found.count;
                    if found.index < known.index {
                        *known = found.clone();
                    }
                    known.count = count;
                })
                .or_insert(found);
        }
        for (sum, runner) in
            total.reached.iter_mut().zip(self.targets.iter().flat_map(Targets::runners))
        {
            for (sum, n) in sum.iter_mut().zip(runner.judge.reached()) {
                *sum += u64::from(*n);
            }
        }
        total.undecided += self.undecided;
        total.error = total.error.take().or(self.error);
        total.plant_reached |=
            self.targets.iter().flat_map(Targets::runners).any(Runner::plant_reached);
    }
}

/// What a worker found.
struct Finds<'a, F> {
    plan: &'a Plan<F>,
    progress: &'a Progress,
    save: &'a dyn Save,
    found: BTreeMap<FindingKey, Found>,
}

impl<F: Filesystem> Finds<'_, F> {
    fn add(
        &mut self,
        target: usize,
        (index, case): (u64, &Case),
        breach: Breach,
        expected: Expected,
    ) {
        let Finds { plan, progress, save, found } = self;
        if plan.rule.is_some_and(|rule| rule != breach.rule) {
            return;
        }
        let key = FindingKey { target, signature: plan.ledger.signature(&breach, expected) };
        let entry = found.entry(key).or_insert_with(|| {
            let found = Found { index, case: case.clone(), count: 0, breach };
            if progress.found.lock().expect("nothing panics while it is held").insert(key) {
                if let Some(log) = &progress.log {
                    let features = progress.features.load(Ordering::Relaxed);
                    let mut log = log.lock().expect("nothing panics while it is held");
                    log.found(index + 1, features, &plan.ledger, plan.targets[target], key);
                }
                save.found(&key, &found);
            }
            found
        });
        entry.count += 1;
        if index < entry.index {
            (entry.index, entry.case, entry.breach) = (index, case.clone(), breach);
        }
    }
}

/// The case behind a find, with its schedule as stops.
pub fn recorded<F: Filesystem>(plan: &Plan<F>, key: &FindingKey, found: &Found) -> Case {
    let stops =
        Runner::default().record(plan.targets[key.target], &found.case, how(plan, found.index));
    with_order(&found.case, stops)
}

/// The case behind a find, with its schedule as stops, made smaller.
pub fn reproduce<F: Filesystem>(plan: &Plan<F>, key: &FindingKey, found: &Found) -> Case {
    let (mut runner, target) = (Runner::default(), plan.targets[key.target]);
    let case = recorded(plan, key, found);
    let breached = (&found.breach, key.signature.expected);
    let others = plan.targets.iter().copied().filter(|other| *other != target);
    match Goal::of_breach(&case, target, breached, others, &plan.ledger, &mut runner) {
        Some(goal) => shrink_one(&case, &goal, &plan.ledger),
        None => case,
    }
}

/// The points that no target of a hunt has reached.
pub fn unreached(outcome: &Hunted) -> Vec<Point> {
    let seen = |point: &Point| outcome.reached.iter().any(|counts| counts[point.index()] != 0);
    Point::ALL.iter().copied().filter(|point| !seen(point)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use mkwrite_impls::Builtin;

    fn plan(cases: u64) -> Plan<Builtin> {
        let ledger = Ledger::<Builtin>::own();
        let targets = ledger.default_pairs().into_iter().take(6).map(Target::from).collect();
        Plan { feedback: Some(Signals::default()), ..Plan::new(targets, 4, cases, ledger) }
    }

    type Shown = Vec<(FindingKey, u64, u64, Case)>;

    #[derive(Default)]
    struct Saved {
        found: Mutex<BTreeSet<FindingKey>>,
        kept: Mutex<Vec<u64>>,
    }

    impl Save for Saved {
        fn found(&self, key: &FindingKey, _: &Found) {
            assert!(self.found.lock().unwrap().insert(*key), "each is shown once");
        }

        fn kept(&self, kept: &[Kept]) {
            self.kept.lock().unwrap().extend(kept.iter().map(|kept| kept.index));
        }
    }

    /// What a hunt found and kept, which it also has shown to who saves it.
    fn outcome(plan: &Plan<Builtin>, jobs: usize) -> (Shown, Vec<(u64, Case)>) {
        let saved = Saved::default();
        let outcome = hunt(plan, jobs, &Progress::default(), &saved);
        assert!(outcome.error.is_none());
        assert!(saved.found.into_inner().unwrap().iter().eq(outcome.found.keys()));
        assert!(
            saved
                .kept
                .into_inner()
                .unwrap()
                .into_iter()
                .eq(outcome.corpus.iter().map(|kept| kept.index))
        );
        let found = outcome
            .found
            .into_iter()
            .map(|(key, found)| (key, found.index, found.count, found.case));
        (found.collect(), outcome.corpus.into_iter().map(|kept| (kept.index, kept.case)).collect())
    }

    #[test]
    fn a_hunt_with_feedback_is_the_same_on_any_number_of_threads() {
        let (found, kept) = outcome(&plan(700), 1);
        assert!(found.len() > 20 && kept.len() > 50, "{} {}", found.len(), kept.len());
        assert!(kept.is_sorted_by_key(|(index, _)| *index));
        for jobs in [2, 5] {
            assert_eq!(outcome(&plan(700), jobs), (found.clone(), kept.clone()));
        }
        let chooses = Plan { chooses: true, ..plan(700) };
        assert_eq!(outcome(&chooses, 1), outcome(&chooses, 3));
    }

    #[test]
    fn mutated_cases_are_not_the_generators_and_show_what_they_found() {
        let plan = plan(700);
        let (found, kept) = outcome(&plan, 2);
        let generated = |index: u64| {
            let mut case = Case::default();
            Generator::new(false).generate(plan.seed, index, &mut case);
            case
        };
        assert!(kept.iter().filter(|(index, case)| generated(*index) != *case).count() > 20);
        for (key, index, _, case) in found.iter().filter(|(_, index, ..)| *index > 300).take(5) {
            let mut shown = false;
            let targets = [plan.targets[key.target]];
            let run =
                |_, runner: &mut Runner<_>, target| runner.run(target, case, how(&plan, *index)).1;
            Targets::new(&targets, &plan.ledger).run(case, run, |_, breach, expected| {
                shown |= key.signature.matches(&breach, expected);
            });
            assert!(shown, "case {index} shows {key:?}");
        }
    }

    #[test]
    fn an_aligned_hunt_runs_aligned_cases_alone_whatever_it_learnt_from() {
        let (_, kept) = outcome(&plan(700), 2);
        let plan = Plan { aligned: true, seeds: vec![kept[0].1.clone()], ..plan(50_000) };
        let mut corpus = Corpus::default();
        for (n, (_, case)) in kept.iter().enumerate() {
            corpus.add(case, &[n as u16]);
        }
        assert!(kept.iter().filter(|(_, case)| !case.is_aligned()).count() > 20);
        let mut case = Case::default();
        for index in 0..plan.cases {
            draw(&plan, index, &corpus, &mut case);
            assert!(case.is_aligned(), "case {index}: {case:?}");
            let mut fixed = case.clone();
            fixed.fix_up();
            assert_eq!(fixed, case);
        }
    }

    #[test]
    fn remedied_pairs_run_every_fourth_case_and_take_nothing_from_the_plain_ones() {
        let ledger = Ledger::<Builtin>::own();
        let pairs = ledger
            .default_pairs()
            .into_iter()
            .map(|pair| (Target::from(pair), ledger.remedied(pair)));
        let (plain, cured): (Vec<_>, Vec<_>) =
            pairs.filter_map(|(plain, cured)| Some((plain, cured?))).take(3).unzip();
        let go = |targets: &[&[Target<Builtin>]]| {
            let (plan, progress) =
                (Plan::new(targets.concat(), 4, 4000, ledger.clone()), Progress::default());
            let found = hunt(&plan, 2, &progress, &()).found.into_iter();
            let of_plain = found.filter(|(key, _)| plan.targets[key.target].remedies.is_empty());
            let shown: Vec<_> =
                of_plain.map(|(key, found)| (key, found.index, found.count)).collect();
            (shown, progress.runs.into_inner())
        };
        let (alone, both) = (go(&[&plain]), go(&[&plain, &cured]));
        assert!(alone.0.len() > 5);
        assert_eq!((alone.0, alone.1 + 3 * 4000 / REMEDIED_ONE_IN), both);
        assert_eq!(go(&[&cured]).1, 3 * 4000, "alone they run every case");
    }

    #[test]
    fn seeds_come_first_under_their_own_schedule() {
        let mut plan = plan(80);
        plan.seeds = (0..3).map(|index| outcome(&plan, 1).1[index].1.clone()).collect();
        let (_, kept) = outcome(&plan, 2);
        assert_eq!((kept[0].0, &kept[0].1), (0, &plan.seeds[0]));
        assert!(
            matches!(how(&plan, 2), ScheduledBy::Own)
                && matches!(how(&plan, 3), ScheduledBy::Random(..))
        );
    }

    #[test]
    fn parts_are_together_the_whole() {
        let whole = Plan { feedback: None, ..plan(700) };
        let all = |shard| {
            let plan = Plan { shard, ..whole.clone() };
            let outcome = hunt(&plan, 2, &Progress::default(), &());
            outcome.found
        };
        let found = all(Shard::WHOLE);
        let mut union: BTreeMap<FindingKey, Found> = BTreeMap::new();
        for (key, part) in (1..=3).flat_map(|nth| all(Shard { nth, of: 3 })) {
            let known = union.entry(key).or_insert_with(|| Found { count: 0, ..part.clone() });
            known.count += part.count;
            if part.index < known.index {
                (known.index, known.case) = (part.index, part.case);
            }
        }
        let numbers = |found: &BTreeMap<FindingKey, Found>| -> Vec<(FindingKey, u64, u64)> {
            found.iter().map(|(key, found)| (*key, found.index, found.count)).collect()
        };
        assert!(numbers(&found).len() > 20);
        assert_eq!(numbers(&union), numbers(&found));
        assert_eq!("2/3".parse(), Ok(Shard { nth: 2, of: 3 }));
        for wrong in ["0/3", "4/3", "1/0", "1", "a/b", ""] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }
}
