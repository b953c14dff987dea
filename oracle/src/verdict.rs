//! Judges a document: runs it on its pairs, and compares what broke with what it expects.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::Kernel;
use mkwrite_model::kernel::event::Step;
use mkwrite_model::text::{Document, Expect, Place, Reach};
use mkwrite_model::{Case, Observer, Target};

use crate::judge::{Breach, Judge};
use crate::ledger::{Expected, Ledger};
use crate::run::{Runner, compared};

/// What came of a document on one target.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// No rule was broken, and none was expected to be.
    Pass,
    /// What was expected broke, and nothing else that the ledger does not list.
    Expected,
    /// Something broke that is not expected.
    New,
    /// What was expected did not break.
    Missing,
    /// The run did not reach what the document says it must.
    Vacuous,
    /// Nothing broke, but a cell could not be judged.
    Undecided,
}

impl Verdict {
    /// Its name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Expected => "expected",
            Verdict::New => "NEW",
            Verdict::Missing => "missing",
            Verdict::Vacuous => "vacuous",
            Verdict::Undecided => "undecided",
        }
    }

    /// All is as it should be.
    pub const fn is_good(self) -> bool {
        matches!(self, Verdict::Pass | Verdict::Expected)
    }
}

/// A document's run on one target.
#[derive(Clone, Debug)]
pub struct Judged {
    /// The verdict.
    pub verdict: Verdict,
    /// Every rule that broke, in order, and whether the ledger expects it.
    pub breaches: Vec<(Breach, Expected)>,
    /// Expectations that were not met.
    pub missing: Vec<Expect>,
    /// Places that were not reached.
    pub unreached: Vec<Reach>,
    /// One line per step.
    pub lines: Vec<String>,
    /// The hash of the trace.
    pub hash: u64,
}

/// Watches whether places are reached.
struct Reaches<'a> {
    wanted: &'a [Reach],
    reached: Vec<bool>,
}

impl<F: Filesystem> Observer<F> for Reaches<'_> {
    fn begin(&mut self, _: &Kernel<F>, _: &Case) {
        self.reached = vec![false; self.wanted.len()];
    }

    fn step(&mut self, k: &Kernel<F>, _: Step) {
        let at = |place: &Place| {
            k.tasks.live() & place.task.bit() != 0
                && k.tasks.at(place.task).point == place.point.number()
                && (!place.waits || k.tasks.waits_for(place.task).is_some())
        };
        for (reach, reached) in self.wanted.iter().zip(&mut self.reached) {
            *reached |= at(&reach.task) && at(&reach.other);
        }
    }
}

/// What the document expects of a target: nothing, if it is about others.
fn expects<F: Filesystem>(document: &Document, target: Target<F>) -> &[Expect] {
    // Other remedies, or another bug, are another matter.
    if (target.plants, target.remedies) != (document.plant.into(), document.remedies) {
        return &[];
    }
    let pair = target.pair;
    let (fs, caller) = (pair.implementation.name(), pair.caller.name());
    let named =
        document.runs.is_empty() || document.runs.iter().any(|(f, c)| f == fs && c == caller);
    if named { &document.expects } else { &[] }
}

/// The breach is what is expected.
pub fn shows(expect: &Expect, breach: &Breach) -> bool {
    match expect {
        Expect::Pass => false,
        Expect::Breach { rule, point, operation } => {
            breach.rule.id() == rule && breach.point == *point && breach.operation == operation
        }
    }
}

/// Runs `document` on `target` and judges it.
pub fn judge<F: Filesystem>(
    runner: &mut Runner<F>,
    ledger: &Ledger<F>,
    target: Target<F>,
    document: &Document,
) -> Judged {
    // A pair that does not exist compares with nothing.
    runner.compare_with(compared(document).ok().flatten());
    let mut reaches = Reaches { wanted: &document.reaches, reached: Vec::new() };
    let (lines, hash) = runner.trace(target, &document.case, &mut reaches);
    let breaches: Vec<_> = ledger.judged(target, &runner.judge).collect();

    let expects = expects(document, target);
    let met = |expect: &Expect| match expect {
        Expect::Pass => breaches.is_empty(),
        Expect::Breach { .. } => breaches.iter().any(|(b, _)| shows(expect, b)),
    };
    let missing: Vec<Expect> = expects.iter().filter(|expect| !met(expect)).cloned().collect();
    let reached = document.reaches.iter().zip(&reaches.reached);
    let unreached: Vec<Reach> =
        reached.filter(|(_, reached)| !**reached).map(|(reach, _)| *reach).collect();

    let listed = |b: &Breach| expects.iter().any(|expect| shows(expect, b));
    let new = breaches.iter().any(|(b, expected)| *expected == Expected::No && !listed(b));
    let verdict = if new || missing.contains(&Expect::Pass) {
        Verdict::New
    } else if !missing.is_empty() {
        Verdict::Missing
    } else if !unreached.is_empty() {
        Verdict::Vacuous
    } else if !breaches.is_empty() {
        Verdict::Expected
    } else if runner.judge.is_undecided() {
        Verdict::Undecided
    } else {
        Verdict::Pass
    };
    Judged { verdict, breaches, missing, unreached, lines, hash }
}

/// What a document of this case should say that it expects on this target.
pub fn expectations(judge: &Judge) -> Vec<Expect> {
    let breach = |b: Breach| Expect::Breach {
        rule: b.rule.id().to_owned(),
        point: b.point,
        operation: b.operation.to_owned(),
    };
    let mut all: Vec<Expect> = Vec::new();
    for expect in judge.breaches().map(breach) {
        if !all.contains(&expect) {
            all.push(expect);
        }
    }
    if all.is_empty() { vec![Expect::Pass] } else { all }
}
