//! Triage: what a heap of inputs breaks, one case per bug.
//!
//! Each input runs on the targets that it names, or on the default ones, under the schedule that it
//! carries, and what breaks is put into clusters by target and signature. The smallest few inputs
//! of a cluster are then shrunk and the smallest result stands for it. Every improvement is shown
//! at once, the input as it is first, so that whoever saves it loses nothing when the process dies.
//! Clusters and cases do not depend on the number of threads, unless a time limit cuts the
//! shrinking short.
//!
//! A panic is a broken assertion of our own model. It is noted with its input, and the rest goes
//! on.

use mkwrite_model::Case;
use mkwrite_model::Target;
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::text::{Document, Expect};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use crate::explain::with_stops;
use crate::parallel::{Until, parallel};
use crate::shrink::{Goal, Size, shrink};
use mkwrite_oracle::differential;
use mkwrite_oracle::judge::Breach;
use mkwrite_oracle::ledger::FindingKey;
use mkwrite_oracle::ledger::{Expected, Ledger, Signature};
use mkwrite_oracle::run::{Runner, ScheduledBy, Targets, caught, compared};
use mkwrite_oracle::verdict::shows;

/// Inputs of a cluster that are shrunk.
const CANDIDATES: usize = 3;

/// A case that somebody found.
#[derive(Clone, Debug)]
pub struct Input<F> {
    /// The case, and what it says that it expects.
    pub document: Document,
    /// What it runs on; nothing here means the default targets.
    pub targets: Vec<Target<F>>,
}

impl<F: Filesystem> Input<F> {
    /// What its document compares with.
    fn compared(&self) -> Option<Target<F>> {
        compared(&self.document).ok().flatten()
    }
}

/// What to sort.
#[derive(Clone, Debug)]
pub struct Plan<F> {
    inputs: Vec<Input<F>>,
    /// The default targets, and behind them the others that inputs name.
    targets: Vec<Target<F>>,
    defaults: usize,
    ledger: Ledger<F>,
    /// How long one input may be shrunk.
    pub limit: Option<Duration>,
}

impl<F: Filesystem> Plan<F> {
    /// Inputs, what they run on by default, and what is expected there.
    pub fn new(inputs: Vec<Input<F>>, defaults: Vec<Target<F>>, ledger: Ledger<F>) -> Plan<F> {
        let (mut targets, defaults) = (defaults.clone(), defaults.len());
        for input in &inputs {
            for target in input.targets.iter().copied().chain(input.compared()) {
                if !targets.contains(&target) {
                    targets.push(target);
                }
            }
        }
        Plan { inputs, targets, defaults, ledger, limit: None }
    }

    /// The targets that a [`FindingKey`] counts.
    pub fn targets(&self) -> &[Target<F>] {
        &self.targets
    }

    /// An input.
    pub fn document(&self, input: usize) -> &Document {
        &self.inputs[input].document
    }

    /// What is expected.
    pub fn ledger(&self) -> &Ledger<F> {
        &self.ledger
    }

    /// The targets that an input is about.
    fn own(&self, input: usize) -> BTreeSet<usize> {
        let named = &self.inputs[input].targets;
        match named.is_empty() {
            true => (0..self.defaults).collect(),
            false => (0..self.targets.len())
                .filter(|number| named.contains(&self.targets[*number]))
                .collect(),
        }
    }

    /// The targets that an input runs on: where outcomes are compared, also those to compare with.
    fn run_on(&self, input: usize) -> Vec<usize> {
        let mut all = self.own(input);
        if differential::is_comparable(&self.inputs[input].document.case) {
            all.extend(0..self.defaults);
            let compared = self.inputs[input].compared();
            all.extend(self.targets.iter().position(|target| Some(*target) == compared));
        }
        all.into_iter().collect()
    }
}

/// The case that stands for a cluster.
#[derive(Clone, Debug)]
pub struct Best {
    /// The case.
    pub case: Case,
    /// What breaks in it.
    pub breach: Breach,
    /// The input that it comes from.
    pub input: usize,
    /// It was made smaller.
    pub shrunk: bool,
}

/// Inputs that break the same.
#[derive(Clone, Debug)]
pub struct Cluster {
    /// All of them.
    pub inputs: BTreeSet<usize>,
    /// The case that stands for them.
    pub best: Best,
    size: Size,
    /// The smallest inputs, each with its breach.
    candidates: BTreeMap<Size, (usize, Breach)>,
}

impl Cluster {
    /// How large the case is that stands for it.
    pub fn size(&self) -> &Size {
        &self.size
    }

    /// Takes a case that is better: shrunk, smaller, or the same from an earlier input.
    fn offer(&mut self, best: Best) -> bool {
        let size = Size::of(&best.case);
        let better =
            (!best.shrunk, &size, best.input) < (!self.best.shrunk, &self.size, self.best.input);
        if better {
            (self.best, self.size) = (best, size);
        }
        better
    }
}

/// An expectation that inputs state and that is no longer met.
#[derive(Clone, Debug)]
pub struct Fixed {
    /// On which target.
    pub target: usize,
    /// What should break.
    pub expect: Expect,
    /// The inputs that say so.
    pub inputs: BTreeSet<usize>,
}

/// What triage found.
#[derive(Clone, Debug, Default)]
pub struct Clustered {
    /// What breaks.
    pub clusters: BTreeMap<FindingKey, Cluster>,
    /// What should and does not, by target and expectation.
    pub fixed: BTreeMap<(usize, String), Fixed>,
    /// Inputs that break an assertion of the model, with its message.
    pub broken: BTreeMap<usize, String>,
    /// Inputs that were replayed.
    pub replayed: BTreeSet<usize>,
    /// One input on one target.
    pub runs: u64,
}

/// The state of a triage, for whoever watches.
#[derive(Debug, Default)]
pub struct Progress {
    /// Inputs that were replayed.
    pub replayed: AtomicUsize,
    /// Inputs that are to be shrunk, once that is known.
    pub to_shrink: AtomicUsize,
    /// Of these, those that were.
    pub shrunk: AtomicUsize,
    /// Clusters.
    pub clusters: AtomicUsize,
    /// Of these, those that the ledger does not list.
    pub new: AtomicUsize,
    /// Set it to end with what there is.
    pub stop: AtomicBool,
}

/// Replays all inputs and shrinks what stands for each cluster, on `jobs` threads. `better` is
/// called with each new best of a cluster.
pub fn triage<F: Filesystem>(
    plan: &Plan<F>,
    jobs: usize,
    progress: &Progress,
    better: &(dyn Fn(&FindingKey, &Best) + Sync),
) -> Clustered {
    let sorter = Sorter { plan, progress, better, outcome: Mutex::new(Clustered::default()) };
    let is_over = || progress.stop.load(Ordering::Relaxed);
    parallel(jobs, plan.inputs.len(), is_over, HashMap::new, |machines, input| {
        if let Err(message) = caught(|| sorter.replay(machines, input)) {
            machines.clear();
            sorter.outcome().broken.insert(input, message);
        }
        progress.replayed.fetch_add(1, Ordering::Relaxed);
    });
    let tasks = sorter.tasks();
    progress.to_shrink.store(tasks.len(), Ordering::Relaxed);
    parallel(jobs, tasks.len(), is_over, Runner::default, |runner, task| {
        let (key, input, breach) = &tasks[task];
        if let Err(message) = caught(|| sorter.shrink(runner, key, *input, breach)) {
            *runner = Runner::default();
            sorter.outcome().broken.insert(*input, message);
        }
        progress.shrunk.fetch_add(1, Ordering::Relaxed);
    });
    sorter.outcome.into_inner().expect("panics are caught before")
}

/// Machines for each set of targets.
type Machines<'a, F> = HashMap<Vec<usize>, Targets<'a, F>>;

struct Sorter<'a, F> {
    plan: &'a Plan<F>,
    progress: &'a Progress,
    better: &'a (dyn Fn(&FindingKey, &Best) + Sync),
    outcome: Mutex<Clustered>,
}

impl<'a, F: Filesystem> Sorter<'a, F> {
    fn outcome(&self) -> std::sync::MutexGuard<'_, Clustered> {
        self.outcome.lock().expect("nothing panics while it is held")
    }

    fn replay(&self, machines: &mut Machines<'a, F>, input: usize) {
        let (plan, document) = (self.plan, &self.plan.inputs[input].document);
        let (own, all) = (plan.own(input), plan.run_on(input));
        let machines = machines.entry(all.clone()).or_insert_with(|| {
            let targets: Vec<Target<F>> = all.iter().map(|number| plan.targets[*number]).collect();
            Targets::new(&targets, &plan.ledger)
        });
        let mut breaches: Vec<(usize, Breach, Expected)> = Vec::new();
        let case = &document.case;
        let go = |_, runner: &mut Runner<F>, target| runner.run(target, case, ScheduledBy::Own).1;
        machines.run(case, go, |number, breach, expected| {
            if own.contains(&all[number]) {
                breaches.push((all[number], breach, expected));
            }
        });
        let mut found: BTreeMap<FindingKey, Breach> = BTreeMap::new();
        for (target, breach, expected) in &breaches {
            let signature = plan.ledger.signature(breach, *expected);
            found.entry(FindingKey { target: *target, signature }).or_insert(*breach);
        }

        let mut outcome = self.outcome();
        outcome.runs += all.len() as u64;
        outcome.replayed.insert(input);
        for target in own {
            let shown = |expect: &Expect| {
                breaches.iter().any(|(t, breach, _)| *t == target && shows(expect, breach))
            };
            for expect in
                document.expects.iter().filter(|expect| **expect != Expect::Pass && !shown(expect))
            {
                let fixed = || Fixed { target, expect: expect.clone(), inputs: BTreeSet::new() };
                outcome
                    .fixed
                    .entry((target, expect.to_string()))
                    .or_insert_with(fixed)
                    .inputs
                    .insert(input);
            }
        }
        for (key, breach) in found {
            self.add(&mut outcome, key, input, breach);
        }
    }

    fn add(&self, outcome: &mut Clustered, key: FindingKey, input: usize, breach: Breach) {
        let case = &self.plan.inputs[input].document.case;
        let (size, best) =
            (Size::of(case), Best { case: case.clone(), breach, input, shrunk: false });
        let mut is_better = false;
        let cluster = outcome.clusters.entry(key).or_insert_with(|| {
            is_better = true;
            self.progress.clusters.fetch_add(1, Ordering::Relaxed);
            let is_new = key.signature.expected == Expected::No;
            self.progress.new.fetch_add(usize::from(is_new), Ordering::Relaxed);
            Cluster {
                inputs: BTreeSet::new(),
                best: best.clone(),
                size: size.clone(),
                candidates: BTreeMap::new(),
            }
        });
        cluster.inputs.insert(input);
        let candidate = cluster.candidates.entry(size).or_insert((input, breach));
        if input < candidate.0 {
            *candidate = (input, breach);
        }
        if cluster.candidates.len() > CANDIDATES {
            cluster.candidates.pop_last();
        }
        if cluster.offer(best) || is_better {
            (self.better)(&key, &cluster.best);
        }
    }

    /// What is to be shrunk: the smallest input of every cluster first, and of these what is NEW.
    fn tasks(&self) -> Vec<(FindingKey, usize, Breach)> {
        let outcome = self.outcome();
        let candidates = outcome.clusters.iter().flat_map(|(key, cluster)| {
            cluster
                .candidates
                .values()
                .enumerate()
                .map(|(rank, (input, breach))| (rank, *key, *input, *breach))
        });
        let mut all: Vec<_> = candidates.collect();
        all.sort_by_key(|(rank, key, ..)| (*rank, key.signature.expected != Expected::No, *key));
        all.into_iter().map(|(_, key, input, breach)| (key, input, breach)).collect()
    }

    fn shrink(&self, runner: &mut Runner<F>, key: &FindingKey, input: usize, breach: &Breach) {
        let (plan, target) = (self.plan, self.plan.targets[key.target]);
        let case = with_stops(runner, target, &plan.inputs[input].document.case);
        let others = plan.run_on(input).into_iter().filter(|other| *other != key.target);
        let others = others.map(|other| plan.targets[other]);
        let breached = (breach, key.signature.expected);
        let goal = Goal::of_breach(&case, target, breached, others, &plan.ledger, runner);
        let Some(goal) = goal else { return };
        let signature = Signature { point: Some(breach.point), ..key.signature };
        let offer = |case: &Case| {
            let breach = first_breach(&plan.ledger, target, signature, case).unwrap_or(*breach);
            let best = Best { case: case.clone(), breach, input, shrunk: true };
            let mut outcome = self.outcome();
            let cluster = outcome.clusters.get_mut(key).expect("there are only tasks of clusters");
            if cluster.offer(best) {
                (self.better)(key, &cluster.best);
            }
        };
        let deadline = plan.limit.and_then(|limit| Instant::now().checked_add(limit));
        let until = Until { stop: &self.progress.stop, deadline };
        let smallest = shrink(&case, &goal, &plan.ledger, 1, until, &offer);
        offer(&smallest);
    }
}

/// The first breach of a case with this signature. A difference is none of a single run.
fn first_breach<F: Filesystem>(
    ledger: &Ledger<F>,
    target: Target<F>,
    signature: Signature,
    case: &Case,
) -> Option<Breach> {
    let mut runner = Runner::default();
    runner.run(target, case, ScheduledBy::Own);
    let mut judged = ledger.judged(target, &runner.judge);
    judged.find_map(|(breach, expected)| signature.matches(&breach, expected).then_some(breach))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mkwrite_impls::Builtin;
    use mkwrite_model::implementation::Filesystem;
    use mkwrite_model::plant::Plant;
    use mkwrite_oracle::Rule;

    /// A plan whose inputs are cases of a hunt, on these targets and by default on those.
    fn plan(
        targets: &[Target<Builtin>],
        defaults: Vec<Target<Builtin>>,
        cases: u64,
    ) -> Plan<Builtin> {
        let inputs = (0..cases).map(|n| {
            let mut case = Case::default();
            mkwrite_model::generate::Generator::new(false).generate(1, n, &mut case);
            Input { document: Document::new(case), targets: targets.to_vec() }
        });
        Plan::new(inputs.collect(), defaults, Ledger::<Builtin>::own())
    }

    fn defaults() -> Vec<Target<Builtin>> {
        Ledger::<Builtin>::own().default_pairs().into_iter().map(Target::from).collect()
    }

    fn run(plan: &Plan<Builtin>, jobs: usize) -> (Clustered, Vec<(FindingKey, bool)>) {
        let shown = Mutex::new(Vec::new());
        let outcome = triage(plan, jobs, &Progress::default(), &|key, best| {
            shown.lock().unwrap().push((*key, best.shrunk));
        });
        (outcome, shown.into_inner().unwrap())
    }

    #[test]
    fn a_difference_is_found_against_the_default_targets_and_shrunk() {
        let natural = defaults()
            .into_iter()
            .find(|target| target.pair.implementation.name() == "fsblock@2009");
        let planted = Target { plants: Plant::WriteFillsHoles.into(), ..natural.unwrap() };
        let plan = plan(&[planted], defaults(), 3000);
        let (outcome, _) = run(&plan, 2);
        let differs = |key: &FindingKey| key.signature.rule == Rule::Differential;
        let (key, cluster) = outcome.clusters.iter().find(|(key, _)| differs(key)).unwrap();
        assert_eq!(plan.targets()[key.target], planted);
        assert!(cluster.best.shrunk);
        assert_eq!(
            (cluster.best.case.operations().count(), cluster.best.case.actors.len()),
            (1, 1),
            "{:?}",
            cluster.best.case
        );
        assert!(
            outcome.clusters.keys().all(|key| key.target >= defaults().len()),
            "only what is named is reported"
        );
    }

    #[test]
    fn everything_is_shown_as_it_is_before_it_is_shrunk() {
        let plan = plan(&[], defaults(), 25);
        let (outcome, shown) = run(&plan, 2);
        assert!(outcome.clusters.len() > 10 && outcome.broken.is_empty());
        assert_eq!(outcome.replayed.len(), 25);
        for (key, cluster) in &outcome.clusters {
            let first = shown.iter().find(|(other, _)| other == key);
            assert_eq!(first.map(|(_, shrunk)| *shrunk), Some(false));
            assert!(cluster.best.shrunk, "{key:?}");
        }
    }

    #[test]
    fn no_time_means_nothing_smaller_and_a_stop_ends_it() {
        let mut plan = plan(&[], defaults(), 50);
        plan.limit = Some(Duration::ZERO);
        let (outcome, _) = run(&plan, 2);
        assert!(!outcome.clusters.is_empty());
        for Cluster { best, .. } in outcome.clusters.values() {
            let operations = |case: &Case| case.operations().count();
            assert_eq!(operations(&best.case), operations(&plan.document(best.input).case));
        }
        let progress = Progress { stop: AtomicBool::new(true), ..Progress::default() };
        assert!(triage(&plan, 2, &progress, &|_, _| ()).replayed.is_empty());
    }
}
