//! Findings folded into causes: one bug is one cause, on one pair and on many; bugs of two
//! filesystems are two.

use mkwrite_explain::causes::{Finding, fold};
use mkwrite_impls::Builtin;
use mkwrite_model::implementation::{Filesystem, Pair};
use mkwrite_model::plant::{Plant, Plants};
use mkwrite_oracle::Ledger;
use mkwrite_search::plants::{due_to, found};

fn natural(name: &str) -> Pair<Builtin> {
    Pair::natural(Builtin::by_name(name).unwrap())
}

fn shown(ledger: &Ledger<Builtin>, plant: &str, pairs: &[&str]) -> Vec<Finding<Builtin>> {
    let pairs: Vec<Pair<Builtin>> = pairs.iter().map(|name| natural(name)).collect();
    found(ledger, &[Plant::from_name(plant).unwrap()], &pairs, (3, 1500))
}

#[test]
fn one_bug_is_one_cause_however_many_rules_it_breaks() {
    let ledger = Ledger::own();
    for (plant, on, least, root) in [
        ("mkwrite-writes-size", "block@2.6.30", 20, "I33"),
        ("short-transfer", "block@2.6.30", 8, "I34"),
        ("fsync-no-commit", "nfs@3.0", 3, "I34"),
        ("no-mapping-check", "filemap@3.10", 3, "I27"),
    ] {
        let shown = shown(&ledger, plant, &[on]);
        assert!(shown.len() >= least, "{plant}: {}", shown.len());
        let causes = fold(&ledger, &shown);
        let roots: Vec<&str> =
            causes.iter().map(|cause| shown[cause.root].signature.rule.id()).collect();
        assert_eq!(roots, [root], "{plant}");
        assert_eq!(causes[0].findings.len(), shown.len());
    }
}

#[test]
fn one_bug_that_shows_at_many_steps_is_at_most_three_causes() {
    let ledger = Ledger::own();
    for (plant, least) in
        [("count-leaves-out", 8), ("blocks-stay-mapped", 20), ("writeback-never-ends", 5)]
    {
        let shown = shown(&ledger, plant, &["block@2.6.30"]);
        assert!(shown.len() >= least, "{plant}: {}", shown.len());
        let causes = fold(&ledger, &shown);
        assert!(causes.len() <= 3, "{plant}: {causes:?}");
    }
}

/// Each was one row of both before findings were folded by what they follow from: a smallest case
/// of the one bug happens to need what the other breaks.
#[test]
fn two_bugs_on_one_pair_are_told_apart() {
    let ledger = Ledger::own();
    for names in [
        ["mapping-left-behind", "time-under-lock"],
        ["no-tail-zero", "no-partial-zero"],
        ["cut-skips-wait", "size-without-lock"],
        ["reclaims-writeback", "end-io-sleeps"],
    ] {
        let plants = names.map(|name| Plant::from_name(name).unwrap());
        let shown = found(&ledger, &plants, &[natural("block@2.6.30")], (1, 2000));
        let alone = |n: &usize, plant: Plant| due_to(&ledger, &shown[*n]) == Plants::from(plant);
        let causes = fold(&ledger, &shown);
        for plant in plants {
            let own = causes.iter().filter(|cause| cause.findings.iter().any(|n| alone(n, plant)));
            assert_ne!(own.count(), 0, "{names:?}: {} shows alone", plant.name());
        }
        let is_of_both = |findings: &[usize]| {
            plants.iter().all(|plant| findings.iter().any(|n| alone(n, *plant)))
        };
        assert!(!causes.iter().any(|cause| is_of_both(&cause.findings)), "{names:?}: {causes:?}");
    }
}

#[test]
fn what_several_filesystems_share_is_one_cause_and_what_two_have_is_two() {
    let ledger = Ledger::own();
    let many = ["block@2.6.30", "fsblock@2009", "filemap@3.10", "nfs@3.0"];
    let shared = shown(&ledger, "locked-without-lock", &many);
    assert_eq!(fold(&ledger, &shared).len(), 1, "the way out of every page_mkwrite");
    let mut two = shown(&ledger, "short-transfer", &["block@2.6.30"]);
    let of_block = two.len();
    two.extend(shown(&ledger, "fsync-no-commit", &["nfs@3.0"]));
    let causes = fold(&ledger, &two);
    let is_of_both = |findings: &[usize]| {
        findings.iter().any(|n| *n < of_block) && findings.iter().any(|n| *n >= of_block)
    };
    assert!(
        causes.len() >= 2 && !causes.iter().any(|cause| is_of_both(&cause.findings)),
        "{causes:?}"
    );
}

#[test]
fn what_is_expected_is_folded_by_entry_and_stands_behind_what_is_new() {
    let ledger = Ledger::own();
    let mut shown = shown(&ledger, "no-mapping-check", &["filemap@3.10"]);
    let new = shown.len();
    let entry = mkwrite_oracle::ledger::Expected::Root(0);
    let expected: Vec<_> = shown
        .iter()
        .map(|one| Finding {
            signature: mkwrite_oracle::ledger::Signature { expected: entry, ..one.signature },
            ..one.clone()
        })
        .collect();
    shown.splice(0..0, expected);
    let causes = fold(&ledger, &shown);
    assert_eq!(causes.len(), 2);
    assert!(
        causes[0].findings.iter().all(|n| *n >= new) && causes[1].findings.iter().all(|n| *n < new),
        "{causes:?}"
    );
}
