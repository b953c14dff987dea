//! Shrinks 200 random findings as they came out of the hunt's schedulers, and says what became of
//! them: that the signature held, size before and after, time. `cargo bench -p mkwrite-search
//! --bench shrink`.
//!
//! A plain program: what counts is the spread over findings, not the time of one.

use std::collections::BTreeMap;
use std::sync::atomic::AtomicBool;
use std::time::Instant;

use mkwrite_impls::Builtin;

use mkwrite_model::Target;

use mkwrite_explain::parallel::Until;
use mkwrite_explain::shrink::{Goal, Shrinker, Size, shrink};
use mkwrite_model::Case;
use mkwrite_model::generate::Generator;
use mkwrite_oracle::ledger::{Expected, Ledger, Signature};
use mkwrite_oracle::run::{Runner, with_order};
use mkwrite_search::hunt::{Plan, how};

const FINDINGS: usize = 200;
/// Findings of one signature at the most.
const EACH: usize = 2;

fn main() {
    if std::env::args().any(|arg| arg == "--list") {
        return;
    }
    let ledger = Ledger::<Builtin>::own();
    let targets: Vec<Target<Builtin>> =
        ledger.default_pairs().into_iter().map(Target::from).collect();
    let plan = Plan::new(targets, 200, u64::MAX, ledger);
    let (mut runner, mut case) = (Runner::default(), Case::default());
    let (mut before, mut after, mut times) = (Vec::new(), Vec::new(), Vec::new());
    let (mut all_after, mut all_times) = (Vec::new(), Vec::new());
    let mut races = Vec::new();
    let mut seen: BTreeMap<(String, Signature), usize> = BTreeMap::new();
    for index in 0.. {
        // One finding per case, of a target that changes with the case, and few of each signature,
        // so that no kind crowds out the others.
        let target = plan.targets[index as usize % plan.targets.len()];
        Generator::new(false).generate(plan.seed, index, &mut case);
        runner.run(target, &case, how(&plan, index));
        let mut classifier = plan.ledger.classify(target);
        let breaches: Vec<_> = runner.judge.breaches().map(|b| (b, classifier.next(&b))).collect();
        let rare = breaches.iter().map(|(breach, expected)| {
            let signature =
                Signature { point: Some(breach.point), ..plan.ledger.signature(breach, *expected) };
            (
                seen.get(&(target.pair.to_string(), signature)).copied().unwrap_or(0),
                signature,
                *expected,
            )
        });
        let Some((n, signature, expected)) =
            rare.min_by_key(|(n, ..)| *n).filter(|(n, ..)| *n < EACH)
        else {
            continue;
        };
        seen.insert((target.pair.to_string(), signature), n + 1);
        let stops = runner.record(target, &case, how(&plan, index));
        let raw = with_order(&case, stops);
        let mut shrinker =
            Shrinker::new(&mut runner, Goal::Signature(target, signature), &plan.ledger);
        assert!(shrinker.shows(&raw), "case {index} does not repeat as stops");
        let start = Instant::now();
        let small = shrinker.shrink(raw.clone());
        times.push(start.elapsed());
        let start = Instant::now();
        let best = shrink(
            &raw,
            &Goal::Signature(target, signature),
            &plan.ledger,
            1,
            Until::from(&AtomicBool::new(false)),
            &|_| (),
        );
        all_times.push(start.elapsed());
        let mut shrinker =
            Shrinker::new(&mut runner, Goal::Signature(target, signature), &plan.ledger);
        assert!(shrinker.shows(&small), "case {index} slipped");
        assert!(shrinker.not_minimal(&small).is_empty(), "case {index} is not minimal");
        let (raw, small, best) = (Size::of(&raw), Size::of(&small), Size::of(&best));
        let is_race = |expected| {
            plan.ledger.entry(expected).is_some_and(|entry| entry.name.starts_with("race-"))
        };
        if matches!(expected, Expected::Root(_)) && is_race(expected) {
            races.push((best.operations, best.preemptions));
            if best.operations > 6 || best.preemptions > 3 {
                let (pair, rule, point) =
                    (target.pair, signature.rule, signature.point.map_or("", |point| point.name()));
                println!("{pair}: {rule} at {point} needs {} preemptions", best.preemptions);
            }
        }
        before.push((raw.operations, raw.preemptions));
        after.push((small.operations, small.preemptions));
        all_after.push((best.operations, best.preemptions));
        if times.len() == FINDINGS {
            break;
        }
    }
    let spread = |name: &str, sizes: &[(usize, usize)]| {
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
    };
    spread("before", &before);
    spread("after, as hunt does", &after);
    spread("after, all orders", &all_after);
    spread("races, all orders", &races);
    for (name, mut times) in [("as hunt does", times), ("all orders", all_times)] {
        times.sort_unstable();
        println!(
            "time on one core, {name}: median {:.1?}, worst {:.1?}",
            times[times.len() / 2],
            times[times.len() - 1]
        );
    }
}
