//! One named test per rule: a hunt finds the bug that is planted for the rule, under the rule's
//! name. One more per rule takes it away: then the cases that it was found in are no longer
//! reported under its name, and nothing at all is reported unless another rule sees the bug too.
//! [`SEEN_TOO`] says which. And one per planted bug that is no rule's own: it is found under a rule
//! that names its harm.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;
use std::sync::{Arc, LazyLock, Mutex};

use libtest_mimic::{Arguments, Failed, Trial};
use mkwrite_impls::Builtin;
use mkwrite_model::Target;
use mkwrite_model::implementation::{Filesystem, Pair};
use mkwrite_model::plant::Plant;
use mkwrite_model::remedy::{Remedies, Remedy};
use mkwrite_oracle::Rule;
use mkwrite_oracle::ledger::{Expected, FindingKey, Ledger};
use mkwrite_oracle::run::{Runner, ScheduledBy, Targets};
use mkwrite_search::corpus::Kept;
use mkwrite_search::feedback::Signals;
use mkwrite_search::hunt::{Found, Plan, Progress, Save, how, hunt};

/// Planted bugs that are no rule's own, and a rule that finds them.
const OTHERS: &[(Plant, Rule)] = &[
    (Plant::BlocksStayMapped, Rule::BlockOwners),
    (Plant::WpSkipsLockWait, Rule::WritableClean),
    (Plant::IntegrityBudget, Rule::LeftDirty),
    (Plant::InodeStaysClean, Rule::DirtyUntagged),
    (Plant::WritebackNotAwaited, Rule::WritebackBalance),
    (Plant::MkwriteIgnoresFreeze, Rule::Frozen),
    (Plant::FalseShortage, Rule::Sigbus),
    (Plant::WritebackEndsFirst, Rule::NotDurable),
    (Plant::SizeBeforeMkclean, Rule::Stale),
    (Plant::TowriteLost, Rule::NotDurable),
    (Plant::ExtendKeepsWritable, Rule::DirtyWithoutRecord),
    (Plant::ExtendKeepsTail, Rule::Exposed),
    (Plant::MkwriteReservesNothing, Rule::DirtyWithoutRecord),
    (Plant::FsyncNoCommit, Rule::NotDurable),
    (Plant::SetattrNoFlush, Rule::Regrown),
    (Plant::ReleaseNoCommit, Rule::KeptIdle),
    (Plant::MkwriteCoversNothing, Rule::GrownBack),
    (Plant::ReadRereadsDirty, Rule::Stale),
    (Plant::SizeBeforeLock, Rule::PageBeyondEof),
    (Plant::WrongErrno, Rule::Errno),
    (Plant::MkwriteFailsUnderWriteback, Rule::Sigbus),
    (Plant::SizeAfterUnlock, Rule::Stale),
    (Plant::SizeLast, Rule::PageBeyondEof),
    (Plant::FsLockOverTruncate, Rule::LockOrder),
    (Plant::SpaceReleasedUnlocked, Rule::DirtyWithoutRecord),
    (Plant::ReleaseTakesAll, Rule::Stale),
    (Plant::ReserveBeforeCheck, Rule::PageBeyondEof),
    (Plant::GrowsUnzeroed, Rule::Exposed),
    (Plant::StaleWriteMap, Rule::Stale),
    (Plant::ZeroSkipsUnwritten, Rule::DirtyWithoutRecord),
    (Plant::PunchNoInvalidate, Rule::CalledLocked),
    (Plant::FillNoInvalidate, Rule::CalledLocked),
    (Plant::WriteNoInodeLock, Rule::CalledLocked),
    (Plant::TruncateNoInodeLock, Rule::CalledLocked),
    (Plant::FaultNoMmapLock, Rule::CalledLocked),
    (Plant::DirtyAfterUnlock, Rule::CalledLocked),
    (Plant::DirtySleeps, Rule::LockOrder),
    (Plant::ReleaseUnlocked, Rule::CalledLocked),
    (Plant::LaunderUnlocked, Rule::CalledLocked),
    (Plant::FaultNoMappingCheck, Rule::MapOrphan),
    (Plant::FaultNoSizeCheck, Rule::PageBeyondEof),
    (Plant::IntegritySkipsWriteback, Rule::LeftDirty),
    (Plant::WritebackNeverEnds, Rule::WritebackBalance),
    (Plant::WritepageKeepsLock, Rule::LockLeak),
    (Plant::WriteBeginUnlocked, Rule::CalledLocked),
    (Plant::InvalidateSkipped, Rule::ReferenceLeak),
    (Plant::ReclaimsWriteback, Rule::CalledLocked),
    (Plant::ReleaseIgnored, Rule::FreedInUse),
    (Plant::EndIoSleeps, Rule::LockOrder),
    (Plant::InvalidateUnlocked, Rule::CalledLocked),
    (Plant::ReleaseSaysYes, Rule::CalledLocked),
    (Plant::FsyncNoInodeLock, Rule::CalledLocked),
    (Plant::PunchKeepsPages, Rule::Stale),
    (Plant::CopyNotQueued, Rule::NotDurable),
    (Plant::ShortReadShrinks, Rule::SizeChange),
    (Plant::PunchNoFlush, Rule::Exposed),
    (Plant::PinDirtiedEarly, Rule::Untracked),
    (Plant::ReclaimsPinned, Rule::DirtyWithoutRecord),
    (Plant::MkcleanNoFlush, Rule::MkcleanComplete),
    (Plant::UnmapNoFlush, Rule::FreedInUse),
    (Plant::ZapFlushesLate, Rule::WritableClean),
    (Plant::MremapFlushesLate, Rule::WritableClean),
    (Plant::MprotectForgetsNotify, Rule::WritableClean),
    (Plant::CopyFaultsLocked, Rule::LockOrder),
    (Plant::SetattrKeepsLock, Rule::LockLeak),
];

/// Rules whose planted bug another rule sees too, and such a rule. The bugs of the others are seen
/// by nobody else.
const SEEN_TOO: &[(Rule, Rule)] = &[
    (Rule::MkwriteLock, Rule::LockLeak),
    (Rule::Errno, Rule::Sigbus), // a pin that may not have the page
    (Rule::LockLeak, Rule::LockOrder),
    (Rule::ReferenceLeak, Rule::NotFreeable),
    (Rule::FreedInUse, Rule::ReferenceLeak),
    (Rule::MappingSlot, Rule::DirtyCount),
    (Rule::WritebackLocked, Rule::StaleDirtyTag),
    (Rule::MapLocked, Rule::WritableClean),
    (Rule::WritableClean, Rule::DirtyPteClean),
    (Rule::DirtyPteClean, Rule::DirtyWithoutRecord),
    (Rule::MkcleanComplete, Rule::WritableClean),
    (Rule::DirtyUntagged, Rule::Lost),
    (Rule::StaleDirtyTag, Rule::WritepageContract),
    (Rule::WritepageContract, Rule::NotDurable),
    (Rule::DirtyWithoutRecord, Rule::KernelBug),
    (Rule::RecordOnClean, Rule::NotFreeable),
    (Rule::MapOrphan, Rule::NotDurable),
    (Rule::OrphanMapped, Rule::KernelBug),
    (Rule::PageBeyondEof, Rule::StrayWrite),
    (Rule::TailWritten, Rule::Exposed),
    (Rule::Exposed, Rule::Untracked),
    (Rule::OwnerOfChange, Rule::LockOrder),
    (Rule::NotDurable, Rule::Exposed),
    (Rule::Lost, Rule::NotDurable),
    (Rule::Stale, Rule::Lost),
    (Rule::Size, Rule::DurableSize),
    (Rule::LeftDirty, Rule::NotDurable),
    (Rule::NotFreeable, Rule::LeftDirty),
    (Rule::Untracked, Rule::Lost),
    (Rule::SizeChange, Rule::Size),
    (Rule::GrownBack, Rule::SizeChange),
    (Rule::Regrown, Rule::DurableSize),
    (Rule::KernelBug, Rule::DirtyWithoutRecord),
];

fn main() {
    let arguments = Arguments::from_args();
    let hunts: Vec<_> = Rule::ALL
        .iter()
        .map(|rule| (*rule, Arc::new(LazyLock::new(|| Hunt::of_rule(*rule)))))
        .collect();
    let mut trials = Vec::new();
    for (rule, hunt) in &hunts {
        let (rule, hunt) = (*rule, Arc::clone(hunt));
        trials.push(Trial::test(format!("rule::{rule}"), move || hunt.finds(rule)));
    }
    for (plant, rule) in OTHERS {
        let trial = move || Hunt::until(*plant, &[*rule], 0).finds(*rule);
        trials.push(Trial::test(format!("plant::{}", plant.name()), trial));
    }
    // Behind all the others, so that nobody waits for the hunt of the same rule.
    for (rule, hunt) in hunts {
        trials
            .push(Trial::test(format!("without::{rule}"), move || hunt.goes_unseen_without(rule)));
    }
    let others: &[(&str, fn())] = &[
        ("an_error_silences_nothing_else", an_error_silences_nothing_else),
        ("a_reported_shortage_is_no_breach", a_reported_shortage_is_no_breach),
        ("a_deferred_breach_is_that_of_its_own_step", a_deferred_breach_is_that_of_its_own_step),
        ("a_breach_beyond_i_size_hides_none_within", a_breach_beyond_i_size_hides_none_within),
        (
            "what_a_write_sets_during_a_sync_is_still_the_known_race",
            what_a_write_sets_during_a_sync_is_still_the_known_race,
        ),
        (
            "an_fsync_that_never_commits_is_seen_on_every_nfs",
            an_fsync_that_never_commits_is_seen_on_every_nfs,
        ),
        ("each_remedy_of_nfs_is_needed", each_remedy_of_nfs_is_needed),
        ("no_two_rules_share_a_planted_bug", no_two_rules_share_a_planted_bug),
        ("every_planted_bug_has_a_rule", every_planted_bug_has_a_rule),
    ];
    trials.extend(others.iter().map(|(name, test)| {
        Trial::test(*name, || {
            test();
            Ok(())
        })
    }));
    libtest_mimic::run(&arguments, trials).exit();
}

/// A hunt of a planted bug: what is NEW where it is planted.
struct Hunt {
    plan: Plan<Builtin>,
    new: Vec<(FindingKey, Found)>,
}

/// Cases in which a rule must find its bug.
const CASES: u64 = 15_000;
/// Bugs that take some 5,000 cases in the middle, so that now and then so many are not enough.
const RARE: &[Plant] = &[
    Plant::StaleWriteMap,
    Plant::TowriteLost,
    Plant::ReleaseTakesAll,
    Plant::SpaceReleasedUnlocked,
    Plant::SizeBeforeLock,
    Plant::PinDirtiedEarly,
    Plant::ReclaimsPinned,
];
/// Cases after which it is said that no other rule has seen the bug.
const ALONE: u64 = 2000;

/// Ends a hunt when each of some rules has been NEW, not before this many cases. On one thread, so
/// that it ends with the same case every time.
struct Until<'a> {
    plan: &'a Plan<Builtin>,
    progress: &'a Progress,
    missing: Mutex<BTreeSet<Rule>>,
    least: u64,
}

impl Until<'_> {
    fn end_if_done(&self) {
        let is_done = self.missing.lock().unwrap().is_empty()
            && self.progress.cases.load(Ordering::Relaxed) >= self.least;
        self.progress.stop.fetch_or(is_done, Ordering::Relaxed);
    }
}

impl Save for Until<'_> {
    fn found(&self, key: &FindingKey, _: &Found) {
        if is_new(self.plan, key) {
            self.missing.lock().unwrap().remove(&key.signature.rule);
            self.end_if_done();
        }
    }

    /// A generation is over.
    fn kept(&self, _: &[Kept]) {
        self.end_if_done();
    }
}

fn is_new(plan: &Plan<Builtin>, key: &FindingKey) -> bool {
    !plan.targets[key.target].plants.is_empty() && key.signature.expected == Expected::No
}

impl Hunt {
    /// Hunts the bug of this rule: until it and the other that sees it have found it, or, if no
    /// other does, until one should have.
    fn of_rule(rule: Rule) -> Hunt {
        match SEEN_TOO.iter().find(|(seen, _)| *seen == rule) {
            Some((_, other)) => Hunt::until(rule.about().plant, &[rule, *other], 0),
            None => Hunt::until(rule.about().plant, &[rule], ALONE),
        }
    }

    /// Hunts a bug until each of these rules has found it, for at least so many cases.
    fn until(plant: Plant, rules: &[Rule], least: u64) -> Hunt {
        let fs = Builtin::by_name(plant.implementation()).expect("a plant names an implementation");
        let target = Target { plants: plant.into(), ..Target::from(Pair::natural(fs)) };
        // What breaks without its remedy can be NEW only with it.
        let ledger = Ledger::<Builtin>::own();
        let mended =
            ledger.remedied(target.pair).map(|mended| Target { plants: plant.into(), ..mended });
        let mut targets: Vec<Target<Builtin>> = [target].into_iter().chain(mended).collect();
        if plant == Rule::Differential.about().plant {
            let other = Builtin::by_name("block@2.6.30").expect("a built-in implementation");
            targets.push(Target::from(Pair::natural(other)));
        }
        let cases = if RARE.contains(&plant) { 4 * CASES } else { CASES };
        let plan =
            Plan { feedback: Some(Signals::default()), ..Plan::new(targets, 5, cases, ledger) };
        let progress = Progress::default();
        let missing = Mutex::new(rules.iter().copied().collect());
        let until = Until { plan: &plan, progress: &progress, missing, least };
        let outcome = hunt(&plan, 1, &progress, &until);
        assert!(outcome.error.is_none(), "{:?}", outcome.error);
        let new = outcome.found.into_iter().filter(|(key, _)| is_new(&plan, key)).collect();
        Hunt { plan, new }
    }

    /// What was found under this rule.
    fn under(&self, rule: Rule) -> impl Iterator<Item = &(FindingKey, Found)> {
        self.new.iter().filter(move |(key, _)| key.signature.rule == rule)
    }

    fn finds(&self, rule: Rule) -> Result<(), Failed> {
        let found = self.under(rule).next().map(|_| ());
        found.ok_or_else(|| format!("missed in {CASES} cases").into())
    }

    /// The rules that are NEW where a find was, when its case runs again on these machines.
    fn rules(
        &self,
        (key, found): &(FindingKey, Found),
        mut on: Targets<'_, Builtin>,
    ) -> BTreeSet<Rule> {
        let (mut rules, how) = (BTreeSet::new(), how(&self.plan, found.index));
        let run =
            |_, runner: &mut Runner<_>, target| runner.run(target, &found.case, how.clone()).1;
        on.run(&found.case, run, |target, breach, expected| {
            if target == key.target && expected == Expected::No {
                rules.insert(breach.rule);
            }
        });
        rules
    }

    fn goes_unseen_without(&self, rule: Rule) -> Result<(), Failed> {
        let Plan { targets, ledger, .. } = &self.plan;
        let without = |find| self.rules(find, Targets::without(rule, targets, ledger));
        self.finds(rule)?;
        let seen: BTreeSet<Rule> = self.new.iter().map(|(key, _)| key.signature.rule).collect();
        for find in self.under(rule) {
            assert!(
                self.rules(find, Targets::new(targets, ledger)).contains(&rule),
                "a find shows what was found"
            );
            let others = without(find);
            assert!(!others.contains(&rule), "reported by a rule that has been taken away");
            assert!(others.is_subset(&seen), "{others:?} is reported only without {rule}");
        }
        match SEEN_TOO.iter().find(|(seen, _)| *seen == rule) {
            None if seen.len() > 1 => {
                Err(format!("not seen by it alone: {seen:?}; SEEN_TOO does not say so").into())
            }
            None => Ok(()),
            Some((_, other)) => match self.under(*other).next() {
                None => {
                    Err(format!("SEEN_TOO says that {other} sees it, which it does not").into())
                }
                Some(find) if !without(find).contains(other) => {
                    Err(format!("{other} needs {rule} to see it").into())
                }
                Some(_) => Ok(()),
            },
        }
    }
}

fn every_planted_bug_has_a_rule() {
    for &plant in Plant::ALL {
        let is_other = OTHERS.iter().any(|(other, _)| *other == plant);
        assert!(
            Rule::ALL.iter().any(|rule| rule.about().plant == plant) != is_other,
            "{}",
            plant.name()
        );
    }
}

fn no_two_rules_share_a_planted_bug() {
    for (n, rule) in Rule::ALL.iter().enumerate() {
        for other in &Rule::ALL[..n] {
            assert_ne!(rule.about().plant, other.about().plant, "{rule} and {other}");
        }
    }
}

/// What a failed write excuses is its own cells: a loss on another page breaks the same rules as
/// without the failure.
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
        runner.run(Target { plants: plant.into(), ..Target::from(pair) }, &case, ScheduledBy::Own);
        runner
            .judge
            .breaches()
            .map(|breach| (breach.rule.id(), breach.point.name()))
            .collect::<Vec<_>>()
    };
    assert_eq!(breaches("eio 0\n", None), []);
    let with = breaches("eio 0\n", Some(Plant::ReadRereadsDirty));
    assert_eq!(with, breaches("", Some(Plant::ReadRereadsDirty)));
    // It also reads without a lock.
    assert_eq!(with[..2], [("called-locked", "read.find_page"), ("I37", "read.copy")]);
}

/// A store that is lost to a reported lack of space: one read has seen that, a slower one that
/// began before has not.
fn a_reported_shortage_is_no_breach() {
    let case = mkwrite_model::text::parse(include_str!("cases/reported-enospc.mkw")).unwrap().case;
    let mut runner = Runner::default();
    runner.run(
        Target::from(Pair::natural(Builtin::by_name("filemap@3.10").unwrap())),
        &case,
        ScheduledBy::Own,
    );
    assert_eq!(runner.judge.breaches().map(|breach| breach.rule.id()).collect::<Vec<_>>(), [""; 0]);
}

/// Two things that a rule forbids, one after the other, while somebody holds the page lock: what is
/// reported when it is unlocked is the second, at the step that brought it about.
fn a_deferred_breach_is_that_of_its_own_step() {
    let text = include_str!("cases/deferred-since.mkw");
    let case = mkwrite_model::text::parse(text).unwrap().case;
    let pair = Pair::natural(Builtin::by_name("nfs@2.6.29").unwrap());
    let mut runner = Runner::default();
    runner.run(Target::from(pair), &case, ScheduledBy::Own);
    let breaches: Vec<_> =
        runner.judge.breaches().map(|breach| (breach.rule.id(), breach.point.name())).collect();
    assert_eq!(
        breaches,
        [("I31", "truncate.refresh"), ("I20", "io.record"), ("kernel-bug", "writepage.record")]
    );
}

fn a_breach_beyond_i_size_hides_none_within() {
    let case = mkwrite_model::text::parse(include_str!("cases/past-eof.mkw")).unwrap().case;
    let pair: Pair<Builtin> = "fsblock@2007 x try3".parse().unwrap();
    let (mut runner, ledger) = (Runner::default(), Ledger::<Builtin>::own());
    runner.run(Target::from(pair), &case, ScheduledBy::Own);
    let records = runner
        .judge
        .breaches()
        .filter(|b| b.rule.id() == "I20" && b.point.name() == "wp.set_page_dirty");
    assert_eq!(
        records.map(|breach| (breach.step, breach.past_eof())).collect::<Vec<_>>(),
        [(85, true), (117, false)]
    );
    let mut judged = ledger.judged(Target::from(pair), &runner.judge);
    assert!(judged.all(|(_, expected)| expected != Expected::No), "it is the known race");
}

/// A write(2) that is done while an msync runs does not take from the ledger what the msync has to
/// answer for.
fn what_a_write_sets_during_a_sync_is_still_the_known_race() {
    let case =
        mkwrite_model::text::parse(include_str!("cases/overwritten-during-sync.mkw")).unwrap().case;
    let target: Target<Builtin> =
        Target::from("block@2.6.29 x try3".parse::<Pair<Builtin>>().unwrap());
    let (mut runner, ledger) = (Runner::default(), Ledger::<Builtin>::own());
    runner.run(target, &case, ScheduledBy::Own);
    let breaches = ledger
        .judged(target, &runner.judge)
        .map(|(breach, expected)| (breach.rule.id(), expected != Expected::No));
    assert_eq!(breaches.collect::<Vec<_>>(), [("I8", true), ("I34", true)]);
}

/// An fsync that never sends COMMIT leaves the store on the server in its cache alone. The remedies
/// close every window of these versions, so that with them nothing else breaks.
fn an_fsync_that_never_commits_is_seen_on_every_nfs() {
    let case = mkwrite_model::text::parse(include_str!("cases/fsync-no-commit.mkw")).unwrap().case;
    let remedies: Remedies = Remedy::ALL.iter().copied().collect();
    let mut runner = Runner::default();
    for fs in ["nfs@2.6.29", "nfs@2.6.30", "nfs@3.0"] {
        let pair = Pair::natural(Builtin::by_name(fs).unwrap());
        for (plant, cases) in [(None, 3000), (Some(Plant::FsyncNoCommit), 200)] {
            let target = Target { plants: plant.into(), remedies, ..Target::from(pair) };
            runner.run(target, &case, ScheduledBy::Own);
            let seen = runner.judge.breaches().any(|breach| breach.rule == Rule::NotDurable);
            assert_eq!(seen, plant.is_some(), "{target}");
            let plan = Plan::new(vec![target], 5, cases, Ledger::default());
            let outcome = hunt(&plan, 2, &Progress::default(), &());
            let found = outcome.found.keys().any(|key| key.signature.rule == Rule::NotDurable);
            assert_eq!(
                (found, outcome.found.is_empty()),
                (plant.is_some(), plant.is_none()),
                "{target}"
            );
        }
    }
}

/// Ends a hunt with the first find.
struct First<'a>(&'a Progress);

impl Save for First<'_> {
    fn found(&self, _: &FindingKey, _: &Found) {
        self.0.stop.store(true, Ordering::Relaxed);
    }
}

/// Each remedy of NFS closes a window of its own: without it something breaks.
fn each_remedy_of_nfs_is_needed() {
    for fs in ["nfs@2.6.29", "nfs@2.6.30", "nfs@3.0"] {
        let pair = Pair::natural(Builtin::by_name(fs).unwrap());
        let all = Ledger::<Builtin>::own().remedies(pair);
        for off in [Remedy::GrowFile, Remedy::TruncateFirst, Remedy::NfsLastPage] {
            let remedies = all.iter().filter(|remedy| *remedy != off).collect();
            let plan = Plan::new(
                vec![Target { remedies, ..Target::from(pair) }],
                5,
                2000,
                Ledger::default(),
            );
            let progress = Progress::default();
            assert!(
                !hunt(&plan, 1, &progress, &First(&progress)).found.is_empty(),
                "{fs} without {off}"
            );
        }
    }
}
