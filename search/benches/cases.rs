//! What a step costs: generated cases under the hunt's portfolio of schedulers, on one
//! implementation and on all pairs of the default hunt, with the judge's rules and without any
//! judge. Throughput is in steps. Figures of one run stand side by side; compare those, not runs on
//! different machines.
//!
//! Then what actors and pages cost: programs of two actors on two pages, and the same with each
//! actor four times, or on a file with eight pages of which they use the first two.

use criterion::{Criterion, Throughput};
use mkwrite_impls::Builtin;
use mkwrite_model::Case;
use mkwrite_model::Target;
use mkwrite_model::case::Limits;
use mkwrite_model::generate::Generator;
use mkwrite_model::implementation::Pair;
use mkwrite_oracle::ledger::Ledger;
use mkwrite_oracle::run::{Runner, observe};
use mkwrite_search::hunt::{Plan, how};

const CASES: u64 = 200;

fn cases() -> Vec<Case> {
    let mut case = Case::default();
    let make = |index| {
        Generator::new(false).generate(1, index, &mut case);
        case.clone()
    };
    (0..CASES).map(make).collect()
}

/// Programs of two actors on two pages; each actor `copies` times, in a file of `pages` pages.
fn shaped(copies: usize, pages: u8) -> Vec<Case> {
    let mut made = Vec::new();
    let mut case = Case::default();
    for index in 0.. {
        Generator::new(true).generate(2, index, &mut case);
        if case.actors.len() == 2 && case.geometry.pages == 2 {
            let mut case = case.clone();
            case.limits = Limits { actors: 8, pages: 8, ..Limits::default() };
            case.actors = vec![case.actors; copies].concat();
            case.geometry.pages = pages;
            case.fix_up();
            made.push(case);
            if made.len() == CASES as usize / 4 {
                return made;
            }
        }
    }
    unreachable!("some cases have two actors and two pages")
}

fn main() {
    let ledger = Ledger::<Builtin>::own();
    let one: Pair<Builtin> =
        "block@2.6.30 x 2.6.30".parse().expect("listed, with its natural caller");
    let all = ledger.default_pairs().into_iter().map(Target::from).collect();
    let (block, mut runner) = (vec![Target::from(one)], Runner::default());
    let mut criterion = Criterion::default().configure_from_args();
    for (name, targets, cases) in [
        ("block@2.6.30", block.clone(), cases()),
        ("all", all, cases()),
        ("2 actors, 2 pages", block.clone(), shaped(1, 2)),
        ("8 actors, 2 pages", block.clone(), shaped(4, 2)),
        ("2 actors, 8 pages", block, shaped(1, 8)),
    ] {
        let plan = Plan::new(targets, 1, CASES, ledger.clone());
        let runs = || {
            plan.targets
                .iter()
                .flat_map(|target| (0..CASES).zip(&cases).map(move |run| (*target, run)))
        };
        let mut steps = 0;
        for (target, (index, case)) in runs() {
            steps +=
                u64::from(observe(&mut runner.machine, target, case, how(&plan, index), &mut ()).1);
        }
        let mut group = criterion.benchmark_group(name);
        group.throughput(Throughput::Elements(steps));
        group.bench_function("with rules", |b| {
            b.iter(|| {
                for (target, (index, case)) in runs() {
                    runner.run(target, case, how(&plan, index));
                }
            });
        });
        group.bench_function("without", |b| {
            b.iter(|| {
                for (target, (index, case)) in runs() {
                    observe(&mut runner.machine, target, case, how(&plan, index), &mut ());
                }
            });
        });
        group.finish();
    }
}
