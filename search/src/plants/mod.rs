//! Every planted bug on every pair: is it NEW there, or does the ledger swallow it?
//!
//! A bug is hunted on a pair and on the pair's remedied form at once, until something is NEW on
//! either. What is not found within the bound is *swallowed*, if some run came to the switch, and
//! *not applicable* otherwise: the pair has no such step. Some bugs can do no harm on some pairs
//! although their step is there; [`HARMLESS`] says which, and why.
//! [`found`] keeps what is found, for the question into how many causes it is folded.

use mkwrite_explain::parallel::each;
use mkwrite_model::Target;
use mkwrite_model::implementation::{Filesystem, Pair};
use mkwrite_model::plant::Plant;
use mkwrite_oracle::ledger::{Expected, Ledger};
use mkwrite_oracle::rules::Rule;

use crate::feedback::Signals;
use crate::hunt::{Plan, Progress, hunt, hunt_until};

mod findings;
mod harmless;

pub use findings::{due_to, found};
pub use harmless::HARMLESS;
use harmless::harmless;

/// What came of a planted bug on a pair.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlantResult {
    /// Found: after how many cases, by which rule, and whether on the pair as it was, or only on
    /// its remedied form.
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
pub struct Cell<F> {
    /// The bug.
    pub plant: Plant,
    /// The pair.
    pub pair: Pair<F>,
    /// What came of it.
    pub outcome: PlantResult,
}

/// Cases after which a bug that no run has come to is not applicable.
const REACHED_WITHIN: u64 = 3000;

/// Pairs to run beside the planted one, without the bug: for the bug that only a comparison shows.
pub fn references<F: Filesystem>(plant: Plant) -> Vec<Pair<F>> {
    if plant != Rule::Differential.about().plant {
        return Vec::new();
    }
    ["block@2.6.30", "fsblock@2009", "nfs@3.0"]
        .into_iter()
        .filter_map(F::by_name)
        .map(Pair::natural)
        .collect()
}

/// Hunts a bug on a pair, for so many cases, on one thread.
fn try_plant<F: Filesystem>(
    ledger: &Ledger<F>,
    plant: Plant,
    pair: Pair<F>,
    seed: u64,
    cases: u64,
) -> PlantResult {
    let own = ledger
        .with_remedied(&[pair])
        .into_iter()
        .map(|target| Target { plants: plant.into(), ..target });
    let others = references(plant).into_iter().filter(|other| *other != pair).map(Target::from);
    let all: Vec<Target<F>> = own.chain(others).collect();
    let remedied: Vec<Target<F>> =
        all.iter().filter(|target| !target.remedies.is_empty()).copied().collect();
    // Beside its plain pair the remedied form runs a part of the cases; alone it runs all.
    let rounds = [(all.clone(), REACHED_WITHIN.min(cases)), (remedied, cases), (all, cases)];
    for (targets, bound) in rounds.into_iter().filter(|(targets, _)| !targets.is_empty()) {
        let plan = Plan {
            feedback: Some(Signals::default()),
            ..Plan::new(targets, seed, bound, ledger.clone())
        };
        let (outcome, first) = hunt_until(&plan, |key| {
            key.signature.expected == Expected::No && !plan.targets[key.target].plants.is_empty()
        });
        if let Some((key, found, _)) = first {
            let remedied = !plan.targets[key.target].remedies.is_empty();
            let (cases, rule) = (found.index + 1, key.signature.rule);
            return PlantResult::New { cases, rule, remedied };
        }
        if !outcome.plant_reached {
            return PlantResult::NotApplicable;
        }
    }
    harmless(plant, pair).map_or(PlantResult::Swallowed, PlantResult::Harmless)
}

/// What is NEW on these pairs and their remedied forms without any bug: then the table would say
/// nothing.
pub fn baseline<F: Filesystem>(
    ledger: &Ledger<F>,
    pairs: &[Pair<F>],
    (seed, cases): (u64, u64),
    jobs: usize,
) -> Vec<(Target<F>, Rule)> {
    let targets = ledger.with_remedied(pairs);
    let plan = Plan {
        feedback: Some(Signals::default()),
        ..Plan::new(targets, seed, cases, ledger.clone())
    };
    let outcome = hunt(&plan, jobs, &Progress::default(), &());
    let new = outcome.found.keys().filter(|key| key.signature.expected == Expected::No);
    new.map(|key| (plan.targets[key.target], key.signature.rule)).collect()
}

/// Tries every bug on every pair, on `jobs` threads. Says when one is done.
pub fn table<F: Filesystem>(
    ledger: &Ledger<F>,
    plants: &[Plant],
    pairs: &[Pair<F>],
    (seed, cases): (u64, u64),
    jobs: usize,
    done: &(impl Fn() + Sync),
) -> Vec<Cell<F>> {
    let all: Vec<(Plant, Pair<F>)> =
        plants.iter().flat_map(|plant| pairs.iter().map(move |pair| (*plant, *pair))).collect();
    each(jobs, all.len(), |n| {
        let (plant, pair) = all[n];
        let outcome = try_plant(ledger, plant, pair, seed, cases);
        done();
        Cell { plant, pair, outcome }
    })
}
