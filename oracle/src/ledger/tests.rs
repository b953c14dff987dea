use mkwrite_impls::Builtin;
use mkwrite_model::exec::TaskId;
use mkwrite_model::remedy::Remedy;

use super::parse::pairs;
use super::*;
use crate::conditions::Condition;

const TEXT: &str = r#"
        [[breach]]
        name = "window"
        group = "g"
        pairs = ["nfs@2.6.29 x 2.6.29", "nfs@2.6.29 x 2.6.30"]
        at = ["I20 wp.set_page_dirty store|load"]
        when = ["no-record"]
        consequences = ["I34"]
        anywhere = ["O4"]
        remedy = ["locked-return"]
        reason = "r"
        source = "s"
        cases = ["c"]
"#;

fn breach(rule: &str, operation: &'static str, cells: u64) -> Breach {
    Breach {
        rule: Rule::by_id(rule).unwrap(),
        point: Point::WpDirty,
        operation,
        task: TaskId(0),
        slot: 0,
        step: 0,
        file: 0,
        page: None,
        cell: None,
        cells,
        when: Conditions::from_iter([Condition::NoRecord]),
        what: "",
    }
}

fn target(pair: &str) -> Target<Builtin> {
    Target::from(pair.parse::<Pair<Builtin>>().unwrap())
}

#[test]
fn a_consequence_is_expected_only_after_its_root_and_for_its_cells() {
    let ledger = Ledger::<Builtin>::parse("f", TEXT).unwrap();
    let mut run = ledger.classify(target("nfs@2.6.29 x 2.6.29"));
    assert_eq!(run.next(&breach("I34", "store", 3)), Expected::No);
    assert_eq!(run.next(&breach("I20", "io", 3)), Expected::No);
    assert_eq!(
        run.next(&Breach { when: Conditions::NONE, ..breach("I20", "store", 3) }),
        Expected::No
    );
    assert_eq!(run.next(&breach("O4", "store", 0)), Expected::No);
    assert_eq!(run.next(&breach("I20", "store", 3)), Expected::Root(0));
    assert_eq!(run.next(&breach("I34", "fsync", 2)), Expected::Consequence(0));
    assert_eq!(run.next(&breach("I34", "fsync", 4)), Expected::No, "another cell");
    assert_eq!(run.next(&breach("O4", "fsync", 0)), Expected::Consequence(0));
    assert_eq!(run.next(&breach("I35", "fsync", 2)), Expected::No);
    let mut other = ledger.classify(target("nfs@2.6.30 x 2.6.30"));
    assert_eq!(other.next(&breach("I20", "store", 3)), Expected::No);
}

#[test]
fn nothing_is_expected_where_the_remedy_is_on() {
    let ledger = Ledger::<Builtin>::parse("f", TEXT).unwrap();
    let target = target("nfs@2.6.29 x 2.6.29");
    let remedies = ledger.remedies(target.pair);
    assert_eq!(remedies, Remedies::from_iter([Remedy::LockedReturn]));
    let mut run = ledger.classify(Target { remedies, ..target });
    assert_eq!(run.next(&breach("I20", "store", 3)), Expected::No);
}

#[test]
fn patterns_name_the_pairs_that_fit() {
    let names = |pattern: &str| {
        let pairs = pairs::<Builtin>(pattern).unwrap();
        pairs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
    };
    assert_eq!(names("nfs@2.6.?9 x 2.6.29"), "nfs@2.6.29 x 2.6.29");
    assert_eq!(names("fsblock@* x natural"), "fsblock@2007 x 2.6.29, fsblock@2009 x 2.6.30");
    assert_eq!(names("nfs@* x 2.6.29"), "nfs@2.6.29 x 2.6.29", "the locked ones do not fit");
}

#[test]
fn what_a_ledger_names_must_exist() {
    let broken = |from: &str, to: &str| {
        Ledger::<Builtin>::parse("f", &TEXT.replace(from, to)).unwrap_err().to_string()
    };
    assert_eq!(broken("I34", "I99"), "f:8:25: unknown rule `I99` (did you mean `I19`?)");
    assert!(
        broken("wp.set_page_dirty", "wp.set_page_dity")
            .contains("(did you mean `wp.set_page_dirty`?)")
    );
    assert!(broken("no-record", "norecord").starts_with("f:7:17: unknown condition `norecord`"));
    assert!(broken("locked-return", "x").starts_with("f:10:19: unknown remedy `x` (known are "));
    assert!(
        broken("nfs@2.6.29 x 2.6.29", "nfs@9 x 2.6.29")
            .starts_with("f:5:18: unknown implementation `nfs@9`")
    );
    assert!(broken("nfs@2.6.29 x 2.6.29", "nfs@3.0 x 2.6.29").contains("would deadlock"));
    assert!(broken("reason", "raison").starts_with("f:11:9: unknown field `raison`"));
    let without = TEXT
        .replace("when = [\"no-record\"]", "")
        .replace("I20 wp.set_page_dirty store|load", "I34 fsync.check_error");
    let error = Ledger::<Builtin>::parse("f", &without).unwrap_err().to_string();
    assert!(error.contains("is about the history, and the entry says no condition"), "{error}");
    let error = broken("store|load", "bogusop");
    assert!(error.starts_with("f:6:15: unknown operation `bogusop` (known are "), "{error}");
    assert!(
        error.contains("closing, ") && error.contains(", io, ") && error.contains(", truncate, "),
        "{error}"
    );
    assert_eq!(broken("load", "laod"), "f:6:15: unknown operation `laod` (did you mean `load`?)");
    let error = broken("store|load", "store|");
    assert!(
        error.starts_with("f:6:15: `I20 wp.set_page_dirty store|`: there is no operation beside"),
        "{error}"
    );
    for (from, what) in [("\"window\"", "name"), ("\"r\"", "reason"), ("\"s\"", "source")] {
        let error = broken(from, "\" \"");
        assert!(
            error.starts_with("f:3:16: ") && error.contains(&format!("has an empty `{what}`")),
            "{error}"
        );
    }
    let error = broken("[[breach]]", "[[breach]");
    assert!(error.contains("docs/ledger.md"), "{error}");
    let twice = format!("{TEXT}{TEXT}");
    assert!(
        Ledger::<Builtin>::parse("f", &twice)
            .unwrap_err()
            .to_string()
            .contains("is the name of another entry")
    );
}
