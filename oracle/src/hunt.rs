//! Hunting: arbitrary cases, each on every target, on all cores.
//!
//! Case `i` and its scheduler derive from (seed, i) alone, and of each signature the find with the lowest
//! `i` is kept, so that the result of a given number of cases does not depend on the number of threads.
//! Every thousandth case is run twice and must give the same trace. A panic is a broken assertion of our own
//! model; it stops the hunt and names the case.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use mkwrite_impls::Builtin;
use mkwrite_model::Case;
use mkwrite_model::generate::{Generator, random};
use mkwrite_model::implementation::{Pair, Registry};
use mkwrite_model::point::Point;
use mkwrite_model::schedule::Kind;
use rand::Rng;

use crate::judge::Breach;
use crate::ledger::{Expected, Ledger, Signature};
use crate::rules::Rule;
use crate::run::{How, Runner, Target, Targets, with_order};
use crate::shrink::{Goal, Shrinker};

/// What to hunt.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What each case runs on.
    pub targets: Vec<Target>,
    /// The seed of everything.
    pub seed: u64,
    /// File sizes are multiples of a page.
    pub aligned: bool,
    /// One scheduler instead of the portfolio.
    pub scheduler: Option<Kind>,
    /// Report only this rule.
    pub rule: Option<Rule>,
    /// Stop after this many cases.
    pub cases: u64,
    /// What is expected.
    pub ledger: Ledger,
}

/// The pairs that a hunt is about by default: every implementation under its natural caller, and the pairs
/// that the ledger lists.
pub fn default_pairs(ledger: &Ledger) -> Vec<Pair<Builtin>> {
    let natural = Builtin::all().iter().map(|fs| Pair::natural(*fs));
    let mut pairs: Vec<Pair<Builtin>> = Vec::new();
    for pair in natural.chain(ledger.pairs()) {
        if !pairs.contains(&pair) {
            pairs.push(pair);
        }
    }
    pairs
}

/// Hunts look at this pair by default, so that what breaks there and is not in the ledger is NEW. What breaks on
/// other pairs nobody has written down.
pub fn is_default(ledger: &Ledger, pair: Pair<Builtin>) -> bool {
    pair == Pair::natural(pair.implementation) || ledger.pairs().any(|listed| listed == pair)
}

/// A signature on a target.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub struct Key {
    /// The target, as an index into the plan's.
    pub target: usize,
    /// What breaks there.
    pub signature: Signature,
}

/// A signature that was found.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    /// The lowest case that shows it.
    pub case: u64,
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
    pub found: AtomicU64,
    /// Of these, those that the ledger does not list.
    pub new: AtomicU64,
    /// Set it to end the hunt.
    pub stop: AtomicBool,
}

/// A broken assertion of the model, or a run that does not repeat.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the model is broken: {message} (case {case} of seed {seed})")]
pub struct ModelError {
    /// What happened.
    pub message: String,
    /// In which case.
    pub case: u64,
    /// Of which hunt.
    pub seed: u64,
}

/// What a hunt found.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Signatures.
    pub found: BTreeMap<Key, Found>,
    /// Steps that began at each point, per target.
    pub reached: Vec<Vec<u64>>,
    /// Runs in which some cell could not be judged.
    pub undecided: u64,
    /// Some run came by the planted bug.
    pub plant_reached: bool,
    /// What broke in the model, if anything did.
    pub error: Option<ModelError>,
}

/// Cases that a thread takes at a time.
const CHUNK: u64 = 32;
/// Every so manieth case is checked for nondeterminism.
const TWICE: u64 = 1000;

/// Hunts on `jobs` threads until the plan is done or `progress.stop` is set.
pub fn hunt(plan: &Plan, jobs: usize, progress: &Progress) -> Outcome {
    let next = AtomicU64::new(0);
    let total = Mutex::new(Outcome { reached: vec![vec![0; 256]; plan.targets.len()], ..Outcome::default() });
    std::thread::scope(|scope| {
        // No more threads than there are chunks of cases.
        for _ in 0..jobs.clamp(1, usize::try_from(plan.cases.div_ceil(CHUNK)).unwrap_or(usize::MAX).max(1)) {
            scope.spawn(|| {
                let mut worker = Worker::new(plan, progress);
                while !progress.stop.load(Ordering::Relaxed) {
                    let start = next.fetch_add(CHUNK, Ordering::Relaxed);
                    if start >= plan.cases {
                        break;
                    }
                    let end = plan.cases.min(start + CHUNK);
                    if let Some(error) = worker.chunk(start..end) {
                        progress.stop.store(true, Ordering::Relaxed);
                        total.lock().expect("no thread panics here").error.get_or_insert(error);
                    }
                }
                worker.merge_into(&mut total.lock().expect("no thread panics here"));
            });
        }
    });
    total.into_inner().expect("no thread panics here")
}

/// How case `index` of a hunt is scheduled.
pub fn how(plan: &Plan, index: u64) -> How {
    let kind = plan.scheduler.unwrap_or_else(|| Kind::portfolio(random(plan.seed, index, 2).next_u32()));
    How::Random(kind, random(plan.seed, index, 1))
}

struct Worker<'a> {
    plan: &'a Plan,
    progress: &'a Progress,
    targets: Targets<'a>,
    found: BTreeMap<Key, Found>,
    undecided: u64,
    case: Case,
    at: u64,
}

impl<'a> Worker<'a> {
    fn new(plan: &'a Plan, progress: &'a Progress) -> Worker<'a> {
        let targets = Targets::new(&plan.targets, &plan.ledger);
        Worker { plan, progress, targets, found: BTreeMap::new(), undecided: 0, case: Case::default(), at: 0 }
    }

    fn chunk(&mut self, cases: std::ops::Range<u64>) -> Option<ModelError> {
        let before = cases.start;
        let result = catch_unwind(AssertUnwindSafe(|| {
            let mut steps = 0;
            for index in cases {
                if self.progress.stop.load(Ordering::Relaxed) {
                    break;
                }
                self.at = index;
                steps += self.run_case(index)?;
                self.progress.cases.fetch_add(1, Ordering::Relaxed);
                self.progress.runs.fetch_add(self.plan.targets.len() as u64, Ordering::Relaxed);
            }
            self.progress.steps.fetch_add(steps, Ordering::Relaxed);
            Ok(())
        }));
        let error = |message: String| ModelError { message, case: self.at.max(before), seed: self.plan.seed };
        match result {
            Ok(Ok(())) => None,
            Ok(Err(message)) => Some(error(message)),
            Err(panic) => {
                let text = panic.downcast_ref::<String>().cloned();
                let text = text.or_else(|| panic.downcast_ref::<&str>().map(|s| (*s).to_owned()));
                Some(error(text.unwrap_or_else(|| "a panic without a message".to_owned())))
            }
        }
    }

    fn run_case(&mut self, index: u64) -> Result<u64, String> {
        let Worker { plan, progress, targets, found, undecided, case, .. } = self;
        Generator::new(plan.aligned).generate(plan.seed, index, case);
        let steps = targets.run(case, how(plan, index), |target, breach, expected| {
            add(found, plan, progress, target, index, breach, expected);
        });
        *undecided += targets.runners().filter(|runner| runner.judge.is_undecided()).count() as u64;
        if index % TWICE == TWICE - 1 && !targets.repeats(case, how(plan, index)) {
            return Err("the same run has two traces".to_owned());
        }
        Ok(steps)
    }

    fn merge_into(self, total: &mut Outcome) {
        for (key, found) in self.found {
            total
                .found
                .entry(key)
                .and_modify(|known| {
                    let count = known.count + found.count;
                    if found.case < known.case {
                        *known = found;
                    }
                    known.count = count;
                })
                .or_insert(found);
        }
        for (sum, runner) in total.reached.iter_mut().zip(self.targets.runners()) {
            for (sum, n) in sum.iter_mut().zip(runner.judge.reached()) {
                *sum += u64::from(*n);
            }
        }
        total.undecided += self.undecided;
        total.plant_reached |= self.targets.runners().any(Runner::plant_reached);
    }
}

fn add(
    found: &mut BTreeMap<Key, Found>,
    plan: &Plan,
    progress: &Progress,
    target: usize,
    case: u64,
    breach: Breach,
    expected: Expected,
) {
    if plan.rule.is_some_and(|rule| rule != breach.rule) {
        return;
    }
    let key = Key { target, signature: plan.ledger.signature(&breach, expected) };
    let entry = found.entry(key).or_insert_with(|| {
        progress.found.fetch_add(1, Ordering::Relaxed);
        progress.new.fetch_add(u64::from(expected == Expected::No), Ordering::Relaxed);
        Found { case, count: 0, breach }
    });
    entry.count += 1;
    if case < entry.case {
        (entry.case, entry.breach) = (case, breach);
    }
}

/// The case behind a find, with its schedule as stops, made smaller.
pub fn reproduce(plan: &Plan, key: &Key, found: &Found) -> Case {
    let mut case = Case::default();
    Generator::new(plan.aligned).generate(plan.seed, found.case, &mut case);
    let (mut runner, target) = (Runner::default(), plan.targets[key.target]);
    let stops = runner.record(target, &case, how(plan, found.case));
    let case = with_order(&case, stops);
    // Where the signature says any point, the case keeps the one that it has.
    let signature = Signature { point: Some(found.breach.point), ..key.signature };
    let goal = match key.signature.rule {
        Rule::Differential => match plan.targets.iter().find(|other| **other != target) {
            Some(other) => Goal::Difference(target, *other, signature),
            None => return case,
        },
        _ => Goal::Signature(target, signature),
    };
    let mut shrinker = Shrinker::new(&mut runner, goal, &plan.ledger);
    if shrinker.shows(&case) { shrinker.shrink(case) } else { case }
}

/// The points that no target of a hunt has reached.
pub fn unreached(outcome: &Outcome) -> Vec<Point> {
    let seen = |point: &Point| outcome.reached.iter().any(|counts| counts[*point as usize] != 0);
    Point::ALL.iter().copied().filter(|point| !seen(point)).collect()
}
