//! The findings of one planted bug, or of two at once, for the question into how many causes they
//! are folded; and which of two bugs a finding is due to.

use mkwrite_explain::causes::Finding;
use mkwrite_model::Target;
use mkwrite_model::implementation::{Filesystem, Pair};
use mkwrite_model::plant::{Plant, Plants};
use mkwrite_oracle::ledger::{Expected, FindingKey, Ledger};
use mkwrite_oracle::run::{Runner, ScheduledBy};

use super::references;
use crate::feedback::Signals;
use crate::hunt::{Found, Plan, Progress, hunt, reproduce};

/// What is NEW where these bugs are planted, one or two, on these pairs and their remedied forms:
/// each finding with its case made smaller.
pub fn found<F: Filesystem>(
    ledger: &Ledger<F>,
    plants: &[Plant],
    pairs: &[Pair<F>],
    (seed, cases): (u64, u64),
) -> Vec<Finding<F>> {
    let mut targets = ledger.with_remedied(pairs);
    for target in &mut targets {
        target.plants = plants.iter().copied().collect();
    }
    let others = plants.iter().flat_map(|plant| references(*plant)).map(Target::from);
    targets.extend(others);
    let plan = Plan {
        feedback: Some(Signals::default()),
        ..Plan::new(targets, seed, cases, ledger.clone())
    };
    let outcome = hunt(&plan, 1, &Progress::default(), &());
    let new = outcome.found.iter().filter(|(key, _)| key.signature.expected == Expected::No);
    let shown = |(key, found): (&FindingKey, &Found)| Finding {
        target: plan.targets[key.target],
        signature: key.signature,
        breach: found.breach,
        case: reproduce(&plan, key, found),
    };
    new.map(shown).collect()
}

/// Which of the bugs of its target a finding is due to: its case shows it with that one alone.
pub fn due_to<F: Filesystem>(ledger: &Ledger<F>, shown: &Finding<F>) -> Plants {
    let Finding { target, signature, breach, case } = shown;
    let mut runner = Runner::default();
    let mut shows = |plant: &Plant| {
        let alone = Target { plants: (*plant).into(), ..*target };
        runner.run(alone, case, ScheduledBy::Own);
        let mut judged = ledger.judged(alone, &runner.judge);
        judged.any(|(b, expected)| b.point == breach.point && signature.matches(&b, expected))
    };
    target.plants.iter().filter(|plant| shows(plant)).collect()
}
