//! Shrinks 200 findings of hunts, half of them random cases as they came out of the schedulers and
//! half from hunts with feedback, and says what became of them: that signature and standing held,
//! size before and after, time, and how many a second shrink makes smaller. `cargo bench -p
//! mkwrite-search --bench shrink`.
//!
//! A plain program: what counts is the spread over findings, not the time of one.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

use mkwrite_explain::finding;
use mkwrite_explain::parallel::Until;
use mkwrite_explain::shrink::{Goal, Held, Shrinker, Size, Wanted, shrink, shrink_one};
use mkwrite_impls::Builtin;
use mkwrite_model::Case;
use mkwrite_model::Target;
use mkwrite_model::generate::Generator;
use mkwrite_model::implementation::Filesystem;
use mkwrite_oracle::judge::Breach;
use mkwrite_oracle::ledger::{Expected, Ledger, Signature};
use mkwrite_oracle::rules::Rule;
use mkwrite_oracle::run::{Runner, ScheduledBy, with_order};
use mkwrite_search::feedback::Signals;
use mkwrite_search::hunt::{Plan, Progress, how, hunt, recorded};

/// Findings of each kind.
const FINDINGS: usize = 100;
/// Findings of one signature at the most, of random cases.
const EACH: usize = 2;
/// Cases of a hunt with feedback, of one implementation.
const CASES: u64 = 40_000;
/// Findings of such a hunt that are looked at, the last that it came upon: the largest.
const LAST: usize = 8;

struct Finding {
    target: Target<Builtin>,
    case: Case,
    breach: Breach,
    expected: Expected,
}

fn main() {
    if std::env::args().any(|arg| arg == "--list") {
        return;
    }
    let ledger = Ledger::<Builtin>::own();
    println!("random cases");
    measure(&ledger, &random_findings(&ledger));
    println!("hunts with feedback");
    measure(&ledger, &findings_of_hunts(&ledger));
}

/// One finding per case, of a target that changes with the case, and few of each signature, so that
/// no kind crowds out the others.
fn random_findings(ledger: &Ledger<Builtin>) -> Vec<Finding> {
    let targets: Vec<Target<Builtin>> =
        ledger.default_pairs().into_iter().map(Target::from).collect();
    let plan = Plan::new(targets, 200, u64::MAX, ledger.clone());
    let (mut runner, mut case, mut all) = (Runner::default(), Case::default(), Vec::new());
    let mut seen: BTreeMap<(String, Signature), usize> = BTreeMap::new();
    for index in 0.. {
        let target = plan.targets[index as usize % plan.targets.len()];
        Generator::new(false).generate(plan.seed, index, &mut case);
        runner.run(target, &case, how(&plan, index));
        let breaches: Vec<_> = ledger.judged(target, &runner.judge).collect();
        let rare = breaches.iter().map(|(breach, expected)| {
            let key = (target.pair.to_string(), Held::of(ledger, breach, *expected).signature);
            (seen.get(&key).copied().unwrap_or(0), key, *breach, *expected)
        });
        let rarest = rare.min_by_key(|(n, ..)| *n).filter(|(n, ..)| *n < EACH);
        let Some((n, key, breach, expected)) = rarest else { continue };
        seen.insert(key, n + 1);
        let case = with_order(&case, runner.record(target, &case, how(&plan, index)));
        all.push(Finding { target, case, breach, expected });
        if all.len() == FINDINGS {
            break;
        }
    }
    all
}

/// What hunts of one implementation each, with feedback, came upon last.
fn findings_of_hunts(ledger: &Ledger<Builtin>) -> Vec<Finding> {
    let mut all = Vec::new();
    for seed in 1.. {
        for fs in Builtin::all() {
            let pairs = ledger.default_pairs();
            let targets = pairs.into_iter().filter(|pair| pair.implementation == *fs);
            let plan = Plan {
                feedback: Some(Signals::default()),
                ..Plan::new(targets.map(Target::from).collect(), seed, CASES, ledger.clone())
            };
            let hunted = hunt(&plan, 2, &Progress::default(), &());
            let mut found: Vec<_> = hunted.found.into_iter().collect();
            found.retain(|(key, _)| key.signature.rule != Rule::Differential);
            found.sort_by_key(|(key, found)| (u64::MAX - found.index, *key));
            for (key, found) in found.into_iter().take(LAST) {
                all.push(Finding {
                    target: plan.targets[key.target],
                    case: recorded(&plan, &key, &found),
                    breach: found.breach,
                    expected: key.signature.expected,
                });
                if all.len() == FINDINGS {
                    return all;
                }
            }
        }
    }
    all
}

/// Shrinks all of them, in all ways.
fn measure(ledger: &Ledger<Builtin>, findings: &[Finding]) {
    let mut runner = Runner::default();
    let (mut before, mut after, mut all_orders) = (Vec::new(), Vec::new(), Vec::new());
    let (mut times, mut all_times) = (Vec::new(), Vec::new());
    let (mut races, mut smaller_again, mut kept) = (Vec::new(), 0, 0);
    let counted = |case: &Case| (Size::of(case).operations, Size::of(case).preemptions);
    for (n, Finding { target, case, breach, expected }) in findings.iter().enumerate() {
        let held = Held::of(ledger, breach, *expected);
        let goal = Goal::Breach(*target, held);
        assert!(
            Shrinker::new(&mut runner, goal.clone(), ledger).shows(case),
            "{n} does not repeat"
        );
        let (small, time) = timed(|| shrink_one(case, &goal, ledger));
        let never = AtomicBool::new(false);
        let shrunk = |case: &Case, goal: &Goal<Builtin>| {
            shrink(case, goal, ledger, 1, Until::from(&never), &|_| ())
        };
        let (best, all_time) = timed(|| shrunk(case, &goal));
        let mut shrinker = Shrinker::new(&mut runner, goal, ledger);
        assert!(shrinker.not_minimal(&small).is_empty(), "{n} is not minimal");
        runner.run(*target, &small, ScheduledBy::Own);
        let shows = |(other, expected)| Held::of(ledger, &other, expected) == held;
        kept += usize::from(ledger.judged(*target, &runner.judge).any(shows));

        let mut document = finding::document(*target, breach, String::new(), small.clone(), &[]);
        let wanted = Wanted::Expectations;
        let goal = Goal::of(&mut document, vec![*target], wanted, ledger, &mut runner);
        let again = shrunk(&document.case, &goal.expect("it shows what it says"));
        if Size::of(&again) < Size::of(&small) {
            smaller_again += 1;
            println!(
                "{n}: {target}: {} at {}: {:?}, again {:?}",
                breach.rule.id(),
                breach.point.name(),
                counted(&small),
                counted(&again)
            );
        }
        let entry = ledger.entry(*expected);
        if matches!(expected, Expected::Root(_))
            && entry.is_some_and(|entry| entry.name.starts_with("race-"))
        {
            races.push(counted(&best));
        }
        before.push(counted(case));
        after.push(counted(&small));
        all_orders.push(counted(&best));
        times.push(time);
        all_times.push(all_time);
    }
    println!(
        "{kept} of {} kept signature and standing; a second shrink made {smaller_again} smaller",
        findings.len()
    );
    spread("before", &before);
    spread("after, as hunt does", &after);
    spread("after, all orders", &all_orders);
    spread("races, all orders", &races);
    for (name, mut times) in [("as hunt does", times), ("all orders", all_times)] {
        times.sort_unstable();
        println!(
            "time on one core, {name}: median {:.1?}, worst {:.1?}, sum {:.1?}",
            times[times.len() / 2],
            times[times.len() - 1],
            times.iter().sum::<Duration>()
        );
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    (work(), start.elapsed())
}

fn spread(name: &str, sizes: &[(usize, usize)]) {
    let column = |of: fn(&(usize, usize)) -> usize| {
        let mut all: Vec<usize> = sizes.iter().map(of).collect();
        all.sort_unstable();
        (all.get(all.len() / 2).copied().unwrap_or(0), all.last().copied().unwrap_or(0))
    };
    let (operations, preemptions) = (column(|size| size.0), column(|size| size.1));
    println!(
        "{name:24} {} findings: operations median {} worst {}, preemptions median {} worst {}",
        sizes.len(),
        operations.0,
        operations.1,
        preemptions.0,
        preemptions.1,
    );
}
