//! Which rules always break together with a finding.
//!
//! The smallest case of a finding breaks other rules, too, and that says little: they may need the
//! same operations, and nothing else connects them. So a walk looks for other cases: from the
//! smallest one by mutations to any that still shows the finding, half of them under a fresh
//! schedule. A rule that some of them does not break is no company. The walk is the same for the
//! same case.

use mkwrite_model::Case;
use mkwrite_model::case::Schedule;
use mkwrite_model::generate::random;
use mkwrite_model::mutate::mutate;
use mkwrite_model::point::Point;
use mkwrite_oracle::Rule;

/// Cases that a walk looks at. A walk that has lost all company is over.
const STEPS: u32 = 400;
/// Steps after which a walk begins again: cases grow on it.
const LEG: u32 = 40;

/// Takes from `company` the rules that do not break in some case that breaks `kind`. `breaks` says
/// what a case breaks; the first one is `case`.
pub(crate) fn keep_company(
    case: &Case,
    kind: (Rule, Point),
    company: &mut Vec<Rule>,
    mut breaks: impl FnMut(&Case) -> Vec<(Rule, Point)>,
) {
    let mut r = random(1, 0, 0);
    let mut at = case.clone();
    for step in 0..STEPS {
        if company.iter().all(|rule| *rule == kind.0) {
            return;
        }
        if step % LEG == 0 {
            at.clone_from(case);
        }
        let mut next = at.clone();
        if step % 2 != 0 {
            next.schedule = Schedule::Seed { seed: step, overrides: Vec::new() };
        }
        mutate(&mut next, &mut r);
        let broken = breaks(&next);
        if broken.contains(&kind) {
            company.retain(|one| broken.iter().any(|(rule, _)| rule == one));
            at = next;
        }
    }
}
