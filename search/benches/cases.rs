//! What a step costs: generated cases under the hunt's portfolio of schedulers, on one
//! implementation and on all pairs of the default hunt, with the judge's rules and without any
//! judge. Throughput is in steps. Figures of one run stand side by side; compare those, not runs on
//! different machines.

use criterion::{Criterion, Throughput};
use mkwrite_impls::Builtin;
use mkwrite_model::Case;
use mkwrite_model::Target;
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

fn main() {
    let ledger = Ledger::<Builtin>::own();
    let one: Pair<Builtin> =
        "block@2.6.30 x 2.6.30".parse().expect("listed, with its natural caller");
    let all = ledger.default_pairs().into_iter().map(Target::from).collect();
    let (cases, mut runner) = (cases(), Runner::default());
    let mut criterion = Criterion::default().configure_from_args();
    for (name, targets) in [("block@2.6.30", vec![Target::from(one)]), ("all", all)] {
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
