//! Each rule finds its planted bug, under its own name; without the rule nobody does under that name, so that
//! taking a rule away fails here. The differential rule's bug is one that no other rule sees.

use mkwrite_impls::Builtin;
use mkwrite_model::callers::Caller;
use mkwrite_model::implementation::{Pair, Registry};
use mkwrite_model::plant::Plant;
use mkwrite_model::remedy::{Remedies, Remedy};
use mkwrite_oracle::Rule;
use mkwrite_oracle::hunt::{Plan, Progress, hunt};
use mkwrite_oracle::ledger::{Expected, Ledger};
use mkwrite_oracle::run::{How, Runner, Target};

/// The rules that break NEW in `cases` cases of the rule's planted bug.
fn found(rule: Rule, cases: u64) -> Vec<Rule> {
    let plant = rule.about().plant;
    let fs = Builtin::by_name(plant.implementation()).expect("a plant names an implementation");
    // What breaks without its remedy can be NEW only with it.
    let remedies = if plant == Plant::RequestKeepsLength { Remedy::ALL } else { &[] };
    let remedies: Remedies = remedies.iter().copied().collect();
    let ledger = if remedies.is_empty() { Ledger::builtin() } else { Ledger::default() };
    let mut targets = vec![Target { pair: Pair::natural(fs), plant: Some(plant), remedies }];
    if rule == Rule::Differential {
        let other = Builtin::by_name("block@2.6.30").expect("a built-in implementation");
        targets.push(Target::from(Pair::natural(other)));
    }
    let plan = Plan::new(targets, 5, cases, ledger);
    let outcome = hunt(&plan, 2, &Progress::default(), &());
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    let new = outcome.found.keys().filter(|key| key.target == 0 && key.signature.expected == Expected::No);
    new.map(|key| key.signature.rule).collect()
}

#[test]
fn each_rule_finds_its_planted_bug() {
    for rule in Rule::ALL {
        assert!(
            [200, 3000, 20_000].iter().any(|cases| found(*rule, *cases).contains(rule)),
            "{rule} misses its planted bug"
        );
    }
}

#[test]
fn no_two_rules_share_a_planted_bug() {
    for (n, rule) in Rule::ALL.iter().enumerate() {
        for other in &Rule::ALL[..n] {
            assert_ne!(rule.about().plant, other.about().plant, "{rule} and {other}");
        }
    }
}

#[test]
fn only_the_differential_rule_sees_its_planted_bug() {
    let mut rules = found(Rule::Differential, 20_000);
    rules.dedup();
    assert_eq!(rules, [Rule::Differential]);
}

/// Two things that a rule forbids, one after the other, while somebody holds the page lock: what is reported when it is
/// unlocked is the second, at the step that brought it about.
#[test]
fn a_deferred_breach_is_that_of_its_own_step() {
    let text = include_str!("cases/deferred-since.mkw");
    let case = mkwrite_model::text::parse(text).unwrap().case;
    let pair = Pair::natural(Builtin::by_name("nfs@2.6.29").unwrap());
    let mut runner = Runner::default();
    runner.run(Target::from(pair), &case, How::Own);
    let breaches: Vec<_> = runner.judge.breaches().map(|breach| (breach.rule.id(), breach.point.name())).collect();
    assert_eq!(breaches, [("I31", "truncate.refresh"), ("I20", "io.record"), ("kernel-bug", "writepage.record")]);
}

#[test]
fn a_breach_beyond_i_size_hides_none_within() {
    let case = mkwrite_model::text::parse(include_str!("cases/past-eof.mkw")).unwrap().case;
    let pair = Pair::new(Builtin::by_name("fsblock@2007").unwrap(), Caller::from_name("try3").unwrap()).unwrap();
    let (mut runner, ledger) = (Runner::default(), Ledger::builtin());
    runner.run(Target::from(pair), &case, How::Own);
    let records = runner.judge.breaches().filter(|b| b.rule.id() == "I20" && b.point.name() == "wp.set_page_dirty");
    assert_eq!(records.map(|breach| (breach.step, breach.past_eof)).collect::<Vec<_>>(), [(85, true), (117, false)]);
    let mut classifier = ledger.classify(pair);
    assert!(runner.judge.breaches().all(|breach| classifier.next(&breach) != Expected::No), "it is the known race");
}

/// An fsync that never sends COMMIT leaves the store on the server in its cache alone. The remedies close every window
/// of these versions, so that with them nothing else breaks.
#[test]
fn an_fsync_that_never_commits_is_seen_on_every_nfs() {
    let case = mkwrite_model::text::parse(include_str!("cases/fsync-no-commit.mkw")).unwrap().case;
    let remedies: Remedies = Remedy::ALL.iter().copied().collect();
    let mut runner = Runner::default();
    for fs in ["nfs@2.6.29", "nfs@2.6.30", "nfs@3.0"] {
        let pair = Pair::natural(Builtin::by_name(fs).unwrap());
        for (plant, cases) in [(None, 3000), (Some(Plant::FsyncNoCommit), 200)] {
            let target = Target { pair, plant, remedies };
            runner.run(target, &case, How::Own);
            let seen = runner.judge.breaches().any(|breach| breach.rule == Rule::NotDurable);
            assert_eq!(seen, plant.is_some(), "{target}");
            let plan = Plan::new(vec![target], 5, cases, Ledger::default());
            let outcome = hunt(&plan, 2, &Progress::default(), &());
            let found = outcome.found.keys().any(|key| key.signature.rule == Rule::NotDurable);
            assert_eq!((found, outcome.found.is_empty()), (plant.is_some(), plant.is_none()), "{target}");
        }
    }
}

/// Each remedy of NFS closes a window of its own: without it something breaks.
#[test]
fn each_remedy_of_nfs_is_needed() {
    let all: Remedies = Remedy::ALL.iter().copied().collect();
    for fs in ["nfs@2.6.29", "nfs@2.6.30", "nfs@3.0"] {
        let pair = Pair::natural(Builtin::by_name(fs).unwrap());
        for off in [Remedy::GrowFile, Remedy::TruncateFirst, Remedy::NfsLastPage] {
            let remedies = all.iter().filter(|remedy| *remedy != off).collect();
            let plan = Plan::new(vec![Target { pair, plant: None, remedies }], 5, 2000, Ledger::default());
            assert!(!hunt(&plan, 2, &Progress::default(), &()).found.is_empty(), "{fs} without {off}");
        }
    }
}
