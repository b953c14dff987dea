//! Every planted bug on every pair: is it NEW there, or does the ledger swallow it?
//!
//! A bug is hunted on a pair and on the pair's remedied form at once, until something is NEW on either. What is not
//! found within the bound is *swallowed*, if some run came to the switch, and *not applicable* otherwise: the pair
//! has no such step. Some bugs can do no harm on some pairs although their step is there; [`HARMLESS`] says which,
//! and why.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use mkwrite_impls::Builtin;
use mkwrite_model::implementation::{Pair, Registry};
use mkwrite_model::plant::Plant;
use wildmatch::WildMatch;

use crate::feedback::Signals;
use crate::hunt::{Found, Key, Plan, Progress, Save, hunt, remedied};
use crate::ledger::{Expected, Ledger};
use crate::rules::Rule;
use crate::run::Target;

/// A bug that does no harm on some pairs, and the reason: (plant, pattern of pairs, why).
pub const HARMLESS: &[(Plant, &str, &str)] = &[
    (
        Plant::CutSkipsWait,
        "nfs@*",
        "setattr flushes and waits before it truncates, and a WRITE carries cells of the file, not blocks",
    ),
    (Plant::FsyncSkipsWait, "nfs@2.6.*", "->fsync of these versions waits for every request itself"),
    (Plant::DirtyPageOnly, "block@*", "page_mkwrite and write_end have marked every block below i_size already"),
    (Plant::DirtyPageOnly, "fsblock@*", "page_mkwrite and write_end have marked every block below i_size already"),
    (Plant::WriteFillsHoles, "fsblock@2007*", "it may allocate more blocks than it must, and declares so"),
    (Plant::WriteFillsHoles, "filemap@*", "it may allocate more blocks than it must, and declares so"),
    (Plant::WriteFillsHoles, "ext3@*", "it may allocate more blocks than it must, and declares so"),
    (Plant::CutSkipsWait, "tmpfs@*", "nothing is ever under writeback"),
    (Plant::FsyncSkipsWait, "tmpfs@*", "nothing is ever under writeback"),
    (Plant::CancelUncounted, "tmpfs@*", "dirty pages are not counted"),
    (Plant::SizeAfterUnlock, "tmpfs@*", "no writeback looks at i_size in between"),
];

/// What came of a planted bug on a pair.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// Found: after how many cases, by which rule, and whether on the pair as it was, or only on its remedied form.
    New {
        /// Cases until found.
        cases: u64,
        /// The rule that broke first.
        rule: Rule,
        /// It was found on the remedied form.
        remedied: bool,
    },
    /// The pair has no such step.
    NotApplicable,
    /// The step is there and its absence does no harm; why.
    Harmless(&'static str),
    /// Some run came to the bug, and nothing was NEW.
    Swallowed,
}

/// A planted bug on a pair.
#[derive(Clone, Debug)]
pub struct Cell {
    /// The bug.
    pub plant: Plant,
    /// The pair.
    pub pair: Pair<Builtin>,
    /// What came of it.
    pub outcome: Outcome,
}

/// Cases after which a bug that no run has come to is not applicable.
const REACHED_WITHIN: u64 = 3000;

/// Ends a hunt with the first NEW signature.
struct First<'a> {
    progress: &'a Progress,
    /// The targets that have the bug; others stand behind them.
    own: usize,
    found: Mutex<Option<(Key, u64)>>,
}

impl Save for First<'_> {
    fn found(&self, key: &Key, found: &Found) {
        if key.signature.expected == Expected::No && key.target < self.own {
            self.found.lock().expect("nothing panics while it is held").get_or_insert((*key, found.index));
            self.progress.stop.store(true, Ordering::Relaxed);
        }
    }
}

/// The pairs to hunt a bug beside, without it: those of a bug that only a comparison of runs shows, and else none.
pub fn references(plant: Plant) -> Vec<Pair<Builtin>> {
    if plant != Rule::Differential.about().plant {
        return Vec::new();
    }
    ["block@2.6.30", "fsblock@2009", "nfs@3.0"].into_iter().filter_map(Builtin::by_name).map(Pair::natural).collect()
}

/// Hunts a bug on a pair, for so many cases, on one thread.
pub fn try_plant(ledger: &Ledger, plant: Plant, pair: Pair<Builtin>, seed: u64, cases: u64) -> Outcome {
    let plain = Target { plant: Some(plant), ..Target::from(pair) };
    let mended = remedied(ledger, pair).map(|target| Target { plant: Some(plant), ..target });
    let own = 1 + usize::from(mended.is_some());
    let others = references(plant).into_iter().filter(|other| *other != pair).map(Target::from);
    let targets: Vec<Target> = [plain].into_iter().chain(mended).chain(others).collect();
    // Beside its plain pair the remedied form runs a part of the cases; alone it runs all.
    let alone = mended.map(|target| (vec![target], cases, 1));
    let together = [(targets.clone(), REACHED_WITHIN.min(cases), 0)].into_iter();
    for (targets, bound, first) in together.chain(alone).chain([(targets, cases, 0)]) {
        let own = if first == 1 { 1 } else { own };
        let plan = Plan { feedback: Some(Signals::default()), ..Plan::new(targets, seed, bound, ledger.clone()) };
        let progress = Progress::default();
        let watch = First { progress: &progress, own, found: Mutex::new(None) };
        let outcome = hunt(&plan, 1, &progress, &watch);
        if let Some((key, index)) = watch.found.into_inner().expect("nothing panicked") {
            return Outcome::New { cases: index + 1, rule: key.signature.rule, remedied: key.target + first == 1 };
        }
        if !outcome.plant_reached {
            return Outcome::NotApplicable;
        }
    }
    let name = pair.to_string();
    let harmless = HARMLESS.iter().find(|(bug, pairs, _)| *bug == plant && WildMatch::new(pairs).matches(&name));
    harmless.map_or(Outcome::Swallowed, |(_, _, why)| Outcome::Harmless(why))
}

/// What is NEW on these pairs and their remedied forms without any bug: then the table would say nothing.
pub fn baseline(
    ledger: &Ledger,
    pairs: &[Pair<Builtin>],
    (seed, cases): (u64, u64),
    jobs: usize,
) -> Vec<(Target, Rule)> {
    let mended = pairs.iter().filter_map(|pair| remedied(ledger, *pair));
    let targets: Vec<Target> = pairs.iter().map(|pair| Target::from(*pair)).chain(mended).collect();
    let plan = Plan { feedback: Some(Signals::default()), ..Plan::new(targets, seed, cases, ledger.clone()) };
    let outcome = hunt(&plan, jobs, &Progress::default(), &());
    let new = outcome.found.keys().filter(|key| key.signature.expected == Expected::No);
    new.map(|key| (plan.targets[key.target], key.signature.rule)).collect()
}

/// Tries every bug on every pair, on `jobs` threads. Shows how many are done.
pub fn table(
    ledger: &Ledger,
    plants: &[Plant],
    pairs: &[Pair<Builtin>],
    (seed, cases): (u64, u64),
    jobs: usize,
    done: &(impl Fn(usize) + Sync),
) -> Vec<Cell> {
    let all: Vec<(Plant, Pair<Builtin>)> =
        plants.iter().flat_map(|plant| pairs.iter().map(move |pair| (*plant, *pair))).collect();
    let (next, outcomes) = (AtomicUsize::new(0), Mutex::new(vec![None; all.len()]));
    std::thread::scope(|scope| {
        for _ in 0..jobs.max(1) {
            scope.spawn(|| {
                while let Some((plant, pair)) = all.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = try_plant(ledger, *plant, *pair, seed, cases);
                    let mut outcomes = outcomes.lock().expect("nothing panics while it is held");
                    let n = all.iter().position(|one| one == &(*plant, *pair)).expect("it is one of them");
                    outcomes[n] = Some(outcome);
                    done(outcomes.iter().flatten().count());
                }
            });
        }
    });
    let outcomes = outcomes.into_inner().expect("nothing panicked");
    let cell = |((plant, pair), outcome): ((Plant, Pair<Builtin>), Option<Outcome>)| Cell {
        plant,
        pair,
        outcome: outcome.expect("each was tried"),
    };
    all.into_iter().zip(outcomes).map(cell).collect()
}
