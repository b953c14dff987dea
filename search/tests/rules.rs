//! Each rule finds its planted bug, under its own name; without the rule nobody does under that name, so that
//! taking a rule away fails here. The differential rule's bug is one that no other rule sees. Every other planted bug
//! is found under a rule that names its harm.

use mkwrite_impls::Builtin;
use mkwrite_model::Target;
use mkwrite_model::implementation::{Pair, Registry};
use mkwrite_model::plant::Plant;
use mkwrite_model::remedy::{Remedies, Remedy};
use mkwrite_oracle::Rule;
use mkwrite_oracle::ledger::{Expected, Ledger};
use mkwrite_oracle::run::{How, Runner};
use mkwrite_search::feedback::Signals;
use mkwrite_search::hunt::{Plan, Progress, hunt};

/// Planted bugs that are no rule's own, and a rule that finds them.
const OTHERS: &[(Plant, Rule)] = &[
    (Plant::BlocksStayMapped, Rule::BlockOwners),
    (Plant::FalseShortage, Rule::Sigbus),
    (Plant::FsyncNoCommit, Rule::NotDurable),
    (Plant::ReadRereadsDirty, Rule::Stale),
    (Plant::SizeBeforeLock, Rule::PageBeyondEof),
    (Plant::WrongErrno, Rule::Errno),
    (Plant::MkwriteFailsUnderWriteback, Rule::Sigbus),
    (Plant::SizeAfterUnlock, Rule::Stale),
    (Plant::SizeLast, Rule::PageBeyondEof),
    (Plant::FsLockOverTruncate, Rule::LockOrder),
];

/// The rules that break NEW in `cases` cases of the planted bug that `rule` should find.
fn found(plant: Plant, rule: Rule, cases: u64) -> Vec<Rule> {
    found_of(plant, rule == Rule::Differential, cases)
}

fn found_of(plant: Plant, compares: bool, cases: u64) -> Vec<Rule> {
    let fs = Builtin::by_name(plant.implementation()).expect("a plant names an implementation");
    let target = Target { plant: Some(plant), ..Target::from(Pair::natural(fs)) };
    // What breaks without its remedy can be NEW only with it.
    let ledger = Ledger::<Builtin>::own();
    let mended = ledger.remedied(target.pair).map(|mended| Target { plant: Some(plant), ..mended });
    let mut targets: Vec<Target<Builtin>> = [target].into_iter().chain(mended).collect();
    if compares {
        let other = Builtin::by_name("block@2.6.30").expect("a built-in implementation");
        targets.push(Target::from(Pair::natural(other)));
    }
    let plan = Plan { feedback: Some(Signals::default()), ..Plan::new(targets, 5, cases, ledger) };
    let outcome = hunt(&plan, 2, &Progress::default(), &());
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    let new = outcome
        .found
        .keys()
        .filter(|key| plan.targets[key.target].plant == Some(plant) && key.signature.expected == Expected::No);
    new.map(|key| key.signature.rule).collect()
}

#[test]
fn each_rule_finds_its_planted_bug() {
    for rule in Rule::ALL {
        let plant = rule.about().plant;
        assert!(finds(plant, *rule), "{rule} misses its planted bug");
    }
}

fn finds(plant: Plant, rule: Rule) -> bool {
    [200, 3000, 15_000].iter().any(|cases| found(plant, rule, *cases).contains(&rule))
}

#[test]
fn every_planted_bug_is_a_rules_own_or_found_by_another_rule() {
    for &plant in Plant::ALL {
        let other = OTHERS.iter().find(|(other, _)| *other == plant);
        assert!(Rule::ALL.iter().any(|rule| rule.about().plant == plant) != other.is_some(), "{}", plant.name());
        assert!(other.is_none_or(|(_, rule)| finds(plant, *rule)), "{} goes unseen", plant.name());
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

/// What a failed write excuses is its own cells: a loss on another page breaks the same rules as without the failure.
#[test]
fn an_error_silences_nothing_else() {
    let text = |eio: &str| {
        format!(
            "mkw 1\nfile pages 2 cells 1 blocks 1 size 2 mms 1\n{eio}actor A mm 0\nA.0 store 0..1\nA.1 fsync\nA.2 store 1..2\nA.3 read 1..2\n"
        )
    };
    let breaches = |eio: &str, plant: Option<Plant>| {
        let case = mkwrite_model::text::parse(&text(eio)).unwrap().case;
        let pair = Pair::natural(Builtin::by_name("block@2.6.30").unwrap());
        let mut runner = Runner::default();
        runner.run(Target { plant, ..Target::from(pair) }, &case, How::Own);
        runner.judge.breaches().map(|breach| (breach.rule.id(), breach.point.name())).collect::<Vec<_>>()
    };
    assert_eq!(breaches("eio 0\n", None), []);
    let with = breaches("eio 0\n", Some(Plant::ReadRereadsDirty));
    assert_eq!(with, breaches("", Some(Plant::ReadRereadsDirty)));
    assert_eq!(with[0], ("I37", "read.copy"));
}

/// A store that is lost to a reported lack of space: one read has seen that, a slower one that began before has not.
#[test]
fn a_reported_shortage_is_no_breach() {
    let case = mkwrite_model::text::parse(include_str!("cases/reported-enospc.mkw")).unwrap().case;
    let mut runner = Runner::default();
    runner.run(Target::from(Pair::natural(Builtin::by_name("filemap@3.10").unwrap())), &case, How::Own);
    assert_eq!(runner.judge.breaches().map(|breach| breach.rule.id()).collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn only_the_differential_rule_sees_its_planted_bug() {
    let mut rules = found(Rule::Differential.about().plant, Rule::Differential, 20_000);
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
    let pair: Pair<Builtin> = "fsblock@2007 x try3".parse().unwrap();
    let (mut runner, ledger) = (Runner::default(), Ledger::<Builtin>::own());
    runner.run(Target::from(pair), &case, How::Own);
    let records = runner.judge.breaches().filter(|b| b.rule.id() == "I20" && b.point.name() == "wp.set_page_dirty");
    assert_eq!(records.map(|breach| (breach.step, breach.past_eof())).collect::<Vec<_>>(), [(85, true), (117, false)]);
    let mut classifier = ledger.classify(Target::from(pair));
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
    for fs in ["nfs@2.6.29", "nfs@2.6.30", "nfs@3.0"] {
        let pair = Pair::natural(Builtin::by_name(fs).unwrap());
        let all = Ledger::<Builtin>::own().remedies(pair);
        for off in [Remedy::GrowFile, Remedy::TruncateFirst, Remedy::NfsLastPage] {
            let remedies = all.iter().filter(|remedy| *remedy != off).collect();
            let plan = Plan::new(vec![Target { pair, plant: None, remedies }], 5, 2000, Ledger::default());
            assert!(!hunt(&plan, 2, &Progress::default(), &()).found.is_empty(), "{fs} without {off}");
        }
    }
}
