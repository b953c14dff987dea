//! Running, judging and watching a case allocates nothing, once the buffers have their size; and
//! what a run keeps on the stack instead is small.

use mkwrite_impls::Builtin;
use mkwrite_model::generate::Generator;
use mkwrite_model::{Case, Machine, Target};
use mkwrite_oracle::ledger::Ledger;
use mkwrite_oracle::run::Runner;
use mkwrite_search::feedback::{Feedback, Signals};
use mkwrite_search::hunt::{Plan, how};

#[test]
fn a_run_allocates_nothing() {
    let ledger = Ledger::<Builtin>::own();
    let targets: Vec<Target<Builtin>> =
        ledger.default_pairs().into_iter().map(Target::from).collect();
    let plan = Plan::new(targets, 3, 0, ledger);
    let cases: Vec<Case> = (0..400).map(|index| generated(plan.seed, index)).collect();
    let (mut runner, mut feedback, mut steps) = (Runner::default(), Feedback::new(Signals::ALL), 0);
    let mut run = |indices: std::ops::Range<usize>| {
        for index in indices {
            for target in &plan.targets {
                steps += runner.run(*target, &cases[index], how(&plan, index as u64)).1;
                steps +=
                    feedback.run(&mut runner, *target, &cases[index], how(&plan, index as u64), 0);
            }
            feedback.clear();
        }
    };
    run(0..200);
    let measured = allocation_counter::measure(|| run(200..400));
    assert_eq!(measured.count_total, 0, "{measured:?}");
    assert!(steps > 100_000, "{steps}");
}

/// Sixteen tasks of a run stand on the stack whether they run or not. Every operation and every
/// filesystem adds to the future of an actor, which has room for the largest of each.
#[test]
fn futures_are_small() {
    let [actor, io, closer] = Machine::<Builtin>::default().future_sizes();
    assert!(
        actor <= 544 && io <= 208 && closer <= 544,
        "bytes: {actor} of an actor, {io} of I/O, {closer} of the closer"
    );
}

fn generated(seed: u64, index: u64) -> Case {
    let mut case = Case::default();
    Generator::new(false).generate(seed, index, &mut case);
    case
}
