//! Which remedies close a case, by trying each: the case's own schedule, carried over by named
//! points, and fresh ones.
//!
//! A remedy closes a case if none of these runs breaks the rule in question any more. A remedy
//! whose code the runs do not come to changes nothing and is not named.
use mkwrite_model::Target;
use mkwrite_model::case::Case;
use mkwrite_model::generate::random;
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::remedy::{Remedies, Remedy};
use mkwrite_model::schedule::SchedulerKind;

use crate::realign::translate;
use mkwrite_oracle::ledger::Ledger;
use mkwrite_oracle::rules::Rule;
use mkwrite_oracle::run::{Runner, ScheduledBy};

/// Fresh schedules that are tried, of a case that is not large.
const SCHEDULES: u32 = 300;
/// Operations of a case that all of these are tried on; of a larger one, fewer.
const OPERATIONS: u32 = 24;

/// Fresh schedules that are tried of a case, to say that a change closes it.
pub fn schedules(case: &Case) -> u32 {
    let operations = case.operations().count() as u32;
    (SCHEDULES * OPERATIONS / operations.max(1)).min(SCHEDULES)
}

/// What came of a set of remedies.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// The remedies that were switched on.
    pub remedies: Remedies,
    /// Fresh schedules that were tried.
    pub schedules: u32,
    /// Of these, how many still break the rule.
    pub breaks: u32,
    /// The case's own schedule, as far as it fits, no longer breaks the rule, and no fresh one
    /// does.
    pub closes: bool,
}

/// What was tried on a case.
#[derive(Clone, Debug)]
pub struct Cures {
    /// Fresh schedules that were tried.
    pub schedules: u32,
    /// Of these, how many break the rule without a remedy.
    pub without: u32,
    /// Each remedy that changes a run, alone; and, if none closes the case, all remedies of the
    /// pair's entries.
    pub attempts: Vec<Attempt>,
}

impl Cures {
    /// Those that close the case.
    pub fn closing(&self) -> impl Iterator<Item = &Attempt> {
        self.attempts.iter().filter(|attempt| attempt.closes)
    }

    /// In words, one sentence each.
    pub fn sentences(&self) -> Vec<String> {
        let (without, schedules) = (self.without, self.schedules);
        let say = |Attempt { remedies, .. }: &Attempt| {
            let what: Vec<&str> = remedies.iter().map(Remedy::what).collect();
            let source: Vec<&str> = remedies.iter().map(Remedy::source).collect();
            let remedies = match *what {
                [_] => format!("The remedy {remedies} closes"),
                _ => format!("Together, the remedies {} close", remedies.in_words()),
            };
            format!(
                "{remedies} it: {} ({}). With it 0 of {schedules} schedules break the rule, without it {without}.",
                what.join("; "),
                source.join("; "),
            )
        };
        self.closing().map(say).collect()
    }
}

/// Tries the remedies on a case that breaks `rule` on `target`.
pub fn cures<F: Filesystem>(
    runner: &mut Runner<F>,
    ledger: &Ledger<F>,
    target: Target<F>,
    case: &Case,
    rule: Rule,
) -> Cures {
    let (without, plain) = breaks(runner, target, case, rule);
    let mut attempts = Vec::new();
    for &remedy in Remedy::ALL.iter().filter(|remedy| !target.remedies.has(**remedy)) {
        let remedies = Remedies::from_iter([remedy]);
        attempts.extend(attempt(runner, target, case, rule, remedies, &plain));
    }
    let all = ledger.remedies(target.pair);
    if !attempts.iter().any(|attempt| attempt.closes) && all.iter().count() > 1 {
        attempts.extend(attempt(runner, target, case, rule, all, &plain));
    }
    Cures { schedules: schedules(case), without, attempts }
}

/// Tries these remedies, unless they change no run.
fn attempt<F: Filesystem>(
    runner: &mut Runner<F>,
    from: Target<F>,
    case: &Case,
    rule: Rule,
    remedies: Remedies,
    plain: &[u64],
) -> Option<Attempt> {
    let to = Target { remedies: from.remedies.union(remedies), ..from };
    let (breaks, hashes) = breaks(runner, to, case, rule);
    if hashes == plain {
        return None;
    }
    let translation = translate(runner, from, to, case);
    runner.run(to, &translation.case, ScheduledBy::Own);
    let own = runner.judge.breaches().any(|breach| breach.rule == rule);
    let schedules = schedules(case);
    Some(Attempt { remedies, schedules, breaks, closes: breaks == 0 && !own })
}

/// How many fresh schedules break the rule; and something that tells whether runs are the same.
fn breaks<F: Filesystem>(
    runner: &mut Runner<F>,
    target: Target<F>,
    case: &Case,
    rule: Rule,
) -> (u32, Vec<u64>) {
    let mut broken = 0;
    let hashes = (0..u64::from(schedules(case))).map(|n| {
        let how = || ScheduledBy::Random(SchedulerKind::Pos, random(1, n, 1));
        runner.run(target, case, how());
        broken += u32::from(runner.judge.breaches().any(|breach| breach.rule == rule));
        // A difference shows early; all hashes would take as long again.
        if n < 20 { runner.hash(target, case, how()) } else { 0 }
    });
    let hashes = hashes.collect();
    (broken, hashes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mkwrite_impls::Builtin;
    use mkwrite_model::text::parse;

    use mkwrite_oracle::run::targets_of;

    fn closing(text: &str, rule: &str) -> Vec<String> {
        let document = parse(text).unwrap();
        let target = targets_of(&document).unwrap()[0];
        let rule = Rule::by_id(rule).unwrap();
        let cures =
            cures(&mut Runner::default(), &Ledger::<Builtin>::own(), target, &document.case, rule);
        cures.closing().map(|attempt| attempt.remedies.to_string()).collect()
    }

    #[test]
    fn the_race_is_closed_by_the_lock_and_by_nothing_else() {
        let text = include_str!("../../corpus/known/unlocked-return/race-nfs-unstable.mkw");
        assert_eq!(closing(text, "kernel-bug"), ["locked-return"]);
    }

    #[test]
    fn time_and_null_mapping_have_their_own() {
        let text =
            include_str!("../../corpus/known/time-under-the-page-lock/time-under-page-lock.mkw");
        assert_eq!(closing(text, "I8"), ["time-after-unlock"]);
        let text = include_str!("../../corpus/known/null-mapping/null-mapping.mkw");
        assert_eq!(closing(text, "null-mapping"), ["null-mapping-test"]);
    }
}
