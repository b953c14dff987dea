//! What breaks before a finding, and what besides, in other cases that show it.
//!
//! The smallest case of a finding often breaks other rules, too, and that says little: two defects
//! may need the same operations. So a walk looks at cases near it: mutations of the smallest one,
//! half of them under a fresh schedule, going on from those that still show the finding; in every
//! second leg only from those in which no more breaks before it. Each run is counted, by what breaks
//! earlier than the finding, in the same step, or without it. The walk is the same for the same
//! case.
//!
//! Left out: what breaks later. It may follow from the finding, and its own walk says so.

use std::collections::{BTreeMap, BTreeSet};

use mkwrite_model::Case;
use mkwrite_model::case::Schedule;
use mkwrite_model::generate::random;
use mkwrite_model::mutate::mutate;
use mkwrite_model::point::Point;
use mkwrite_oracle::Rule;
use mkwrite_oracle::judge::Breach;

/// What a finding is about, whatever the pair.
pub(crate) type Kind = (Rule, Point);

/// Cases that a walk looks at.
const STEPS: u32 = 300;
/// Steps after which a walk begins again: cases grow on it.
const LEG: u32 = 40;
/// What comes first in one of so many runs can come first; less often something else was overlooked.
const FIRST_ONE_IN: u32 = 20;
/// What is missing in no more than one of so many runs always comes with it.
const MISSING_ONE_IN: u32 = 20;

/// How often another kind breaks.
#[derive(Clone, Copy, Default, Debug)]
struct Other {
    /// Before the finding, which may follow from it.
    before: u32,
    /// In the same step.
    same: u32,
    /// In runs that do not show the finding.
    without: u32,
}

/// What the runs of a walk break.
#[derive(Clone, Default, Debug)]
pub(crate) struct Company {
    /// Runs that show the finding.
    shown: u32,
    /// Of these, those in which it follows from nothing.
    first: u32,
    /// Runs that do not show it.
    without: u32,
    others: BTreeMap<Kind, Other>,
}

/// What a breach is about.
pub(crate) fn kind(breach: &Breach) -> Kind {
    (breach.rule, breach.point)
}

/// A breach can follow from an earlier one. Which locks a call holds was decided in the same
/// operation, unless a lock was lost before.
fn can_follow(later: &Breach, earlier: &Breach) -> bool {
    let is_about_locks = matches!(later.rule, Rule::CalledLocked | Rule::LockOrder);
    let is_lost_lock = matches!(earlier.rule, Rule::MkwriteLock | Rule::LockLeak);
    let is_same_operation = (later.task, later.slot) == (earlier.task, earlier.slot);
    earlier.step < later.step && (!is_about_locks || is_lost_lock || is_same_operation)
}

impl Company {
    /// Walks from the case of a finding, or only looks at that case; `breaks` says what a case breaks.
    pub(crate) fn of(
        case: &Case,
        own: Kind,
        walks: bool,
        mut breaks: impl FnMut(&Case) -> Vec<Breach>,
    ) -> Company {
        let mut company = Company::default();
        let start = company.count(own, &breaks(case));
        let (mut r, mut at, mut least) = (random(1, 0, 0), case.clone(), start);
        for step in 0..if walks { STEPS } else { 0 } {
            if step % LEG == 0 {
                (at, least) = (case.clone(), start);
            }
            let mut next = at.clone();
            if step % 2 != 0 {
                next.schedule = Schedule::Seed { seed: step, overrides: Vec::new() };
            }
            if step % 4 != 3 {
                mutate(&mut next, &mut r);
            }
            let Some(before) = company.count(own, &breaks(&next)) else { continue };
            if (step / LEG).is_multiple_of(2) || least.is_none_or(|least| before <= least) {
                (at, least) = (next, Some(before));
            }
        }
        company
    }

    /// Counts a run. How many kinds break before the finding, if the run shows it.
    fn count(&mut self, own: Kind, broken: &[Breach]) -> Option<usize> {
        let kinds: BTreeSet<Kind> = broken.iter().map(kind).filter(|other| *other != own).collect();
        let shown = broken.iter().filter(|b| kind(b) == own).min_by_key(|b| b.step);
        let Some(shown) = shown else {
            self.without += 1;
            kinds.iter().for_each(|kind| self.others.entry(*kind).or_default().without += 1);
            return None;
        };
        let mut before = 0;
        for other in kinds {
            let of_other = || broken.iter().filter(|b| kind(b) == other);
            let counts = self.others.entry(other).or_default();
            if of_other().any(|earlier| can_follow(shown, earlier)) {
                counts.before += 1;
                before += 1;
            } else if of_other().map(|b| b.step).min() == Some(shown.step) {
                counts.same += 1;
            }
        }
        self.shown += 1;
        self.first += u32::from(before == 0);
        Some(before)
    }

    /// It breaks where nothing broke before that it could follow from.
    pub(crate) fn comes_first(&self) -> bool {
        self.first * FIRST_ONE_IN >= self.shown
    }

    /// What breaks in the same step, nearly always.
    pub(crate) fn always_with(&self) -> impl Iterator<Item = Kind> {
        let missing = |other: &Other| (self.shown - other.same) * MISSING_ONE_IN;
        let is_always =
            move |(_, other): &(&Kind, &Other)| other.same > 0 && missing(other) <= self.shown;
        self.others.iter().filter(is_always).map(|(kind, _)| *kind)
    }

    /// How much speaks for this kind as what the finding follows from: its share, in thousandths, of
    /// the runs that show the finding, less that of the others. What breaks in any run says
    /// nothing. None if it never comes before.
    pub(crate) fn follows(&self, kind: Kind) -> Option<i64> {
        let other = self.others.get(&kind).filter(|other| other.before + other.same > 0)?;
        let share = |n: u32, of: u32| i64::from(n) * 1000 / i64::from(of.max(1));
        Some(share(other.before + other.same, self.shown) - share(other.without, self.without))
    }
}
