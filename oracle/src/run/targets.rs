//! A case on many targets: a machine with its judge for each, and the differential rule over all.

use std::cmp::Reverse;

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::{Case, Target};

use super::{Runner, ScheduledBy};
use crate::differential;
use crate::judge::{Breach, Judge};
use crate::ledger::{Expected, Ledger};
use crate::rules::Rule;

/// Machines with their judges, one per target, for cases that run on all of them.
pub struct Targets<'a, F: Filesystem> {
    runners: Vec<(Target<F>, Runner<F>)>,
    ledger: &'a Ledger<F>,
}

impl<'a, F: Filesystem> Targets<'a, F> {
    /// One machine per target; the ledger says what is expected there.
    pub fn new(targets: &[Target<F>], ledger: &'a Ledger<F>) -> Targets<'a, F> {
        Targets {
            runners: targets.iter().map(|target| (*target, Runner::default())).collect(),
            ledger,
        }
    }

    /// The same with one rule taken away, to show what that rule alone sees.
    pub fn without(rule: Rule, targets: &[Target<F>], ledger: &'a Ledger<F>) -> Targets<'a, F> {
        let runner = || Runner { judge: Judge::without(rule), ..Runner::default() };
        Targets { runners: targets.iter().map(|target| (*target, runner())).collect(), ledger }
    }

    /// The machines, in the order of the targets.
    pub fn runners(&self) -> impl ExactSizeIterator<Item = &Runner<F>> {
        self.runners.iter().map(|(_, runner)| runner)
    }

    /// Has `run` run a case on every target, by number, and compares the outcomes. Shows each
    /// breach with the number of its target; returns the steps.
    pub fn run(
        &mut self,
        case: &Case,
        run: impl FnMut(usize, &mut Runner<F>, Target<F>) -> u32,
        breached: impl FnMut(usize, Breach, Expected),
    ) -> u64 {
        self.run_some(case, |_| true, run, breached)
    }

    /// The same on the targets that are `chosen`, by number.
    pub fn run_some(
        &mut self,
        case: &Case,
        chosen: impl Fn(usize) -> bool,
        mut run: impl FnMut(usize, &mut Runner<F>, Target<F>) -> u32,
        mut breached: impl FnMut(usize, Breach, Expected),
    ) -> u64 {
        let mut steps = 0;
        for (number, (target, runner)) in self.runners.iter_mut().enumerate() {
            if !chosen(number) {
                runner.judge.pass_over();
                continue;
            }
            steps += u64::from(run(number, runner, *target));
            if !runner.judge.is_clean() {
                for (breach, expected) in self.ledger.judged(*target, &runner.judge) {
                    breached(number, breach, expected);
                }
            }
        }
        if differential::is_comparable(case) {
            self.compare(breached);
        }
        steps
    }

    /// The differential rule: each run against the one that goes furthest without a breach, if
    /// possible one without a plant, and of those one that may not differ in anything.
    fn compare(&self, mut breached: impl FnMut(usize, Breach, Expected)) {
        let until = |runner: &Runner<F>| runner.judge.summary().comparable_until();
        let runs = self.runners.iter().filter(|(_, runner)| until(runner).is_some());
        let freedom =
            |target: &Target<F>| target.pair.implementation.declaration().may_differ.len();
        let rank = |(t, runner): &&(Target<F>, Runner<F>)| {
            (!t.plants.is_empty(), Reverse(until(runner)), freedom(t))
        };
        let Some((reference, theirs)) = runs.min_by_key(rank) else { return };
        for (number, (target, runner)) in self.runners.iter().enumerate() {
            if !runner.judge.has(Rule::Differential) {
                continue;
            }
            let (own, theirs) = (runner.judge.summary(), theirs.judge.summary());
            if let Some(breach) = own.differs(target.pair, theirs, reference.pair) {
                breached(number, breach, Expected::No);
            }
        }
    }

    /// Whether the case gives the same trace twice, on every target.
    pub fn repeats(&mut self, case: &Case, how: ScheduledBy) -> bool {
        self.runners.iter_mut().all(|(target, runner)| {
            runner.hash(*target, case, how.clone()) == runner.hash(*target, case, how.clone())
        })
    }
}
