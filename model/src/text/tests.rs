use expect_test::expect_file;
use proptest::prelude::*;

use super::*;
use crate::bytes;
use crate::case::{Faults, Operation, Schedule, Site};
use crate::exec::TaskId;
use crate::generate::Generator;

const SAMPLE: &str = "\
# The race.
mkw 1
run      nfs@2.6.29 2.6.29
expect   I20 wp.set_page_dirty store
expect   I34 fsync.check_error fsync
reach    B waits at wb.lock_page while A is at mkwrite.returned
limits   actors 3 operations 20 pages 4 steps 500
file     pages 2 cells 4 blocks 2 size 7 mms 2 holes 1 free 3
stable   0,2
eio      1
actor    A mm 0
# the store
#
A.0      store 0..4
A.2      truncate 4
actor    B mm 1
B.0      fsync
order    A.0 mkwrite.returned
order    io0.1 *
order    A.0 user.store 2
# the end
";

#[test]
fn canonical_text_is_a_fixed_point() {
    let document = parse(SAMPLE).unwrap();
    assert_eq!(document.to_string(), SAMPLE);
    assert_eq!(document.case.operation(TaskId(0), 1), Operation::Empty);
    assert_eq!(document.case.faults, Faults::default().with(Site::Stable, 5).with(Site::Eio, 2));
    assert_eq!(document.case.geometry.holes, 0b1100);
}

#[test]
fn holes_are_pages_and_blocks_of_pages() {
    let holes = |words: &str| {
        parse(&format!("mkw 1\nfile holes {words} pages 2 blocks 2 size 8\nactor A mm 0\n"))
    };
    let document = holes("1,0.1").unwrap();
    assert_eq!(document.case.geometry.holes, 0b1110);
    assert_eq!(
        document.to_string(),
        "mkw 1\nfile     pages 2 cells 4 blocks 2 size 8 mms 1 holes 0.1,1\nactor    A mm 0\n"
    );
    assert_eq!(holes("0.0,0.1").unwrap().case, holes("0").unwrap().case);
    for wrong in ["8", "0.2", "x", "1.", "2"] {
        assert!(holes(wrong).is_err(), "{wrong}");
    }
}

#[test]
fn faults_stand_at_their_sites() {
    let text = |faults: &str| format!("mkw 1\nfile     pages 1\n{faults}actor    A mm 0\n");
    let document = parse(&text("fault page 0,3\nstable 0\n# why\nfault read all\n")).unwrap();
    let faults = Faults::default().with(Site::Stable, 1).with(Site::Page, 9);
    assert_eq!(document.case.faults, faults.with(Site::Read, u16::MAX));
    let canonical = document.to_string();
    assert!(
        canonical.contains("stable   0\n# why\nfault    read all\nfault    page 0,3\nactor"),
        "{canonical}"
    );
    assert_eq!(parse(&canonical).unwrap().to_string(), canonical);
    for (wrong, message) in [
        ("fault pages 0\n", "unknown site `pages`"),
        ("fault stable 0\n", "unknown site `stable`"),
        ("fault read 0\nfault read 1\n", "a second `fault read`"),
        ("fault read 16\n", "`16` is not a number from 0 to 15"),
    ] {
        assert_eq!(parse(&text(wrong)).unwrap_err().message, message);
    }
}

#[test]
fn spaces_and_trailing_comments_do_not_matter() {
    let loose =
        "mkw 1\n\n  file pages 1 size 4   # one page\nactor A mm 0\nA.0   store   0..1\nseed 7";
    let document = parse(loose).unwrap();
    let canonical = document.to_string();
    assert_eq!(parse(&canonical).unwrap(), document);
    assert!(canonical.contains("# one page\nfile "), "{canonical}");
    assert_eq!(document.case.schedule, Schedule::Seed { seed: 7, overrides: vec![] });
}

#[test]
fn comments_stay_with_what_is_left() {
    let mut document = parse(SAMPLE).unwrap();
    let mut case = document.case.clone();
    case.actors[0].operations[0] = Operation::Empty;
    document.set_case(case);
    let text = document.to_string();
    assert!(
        !text.contains("the store") && text.contains("# The race.") && text.contains("# the end"),
        "{text}"
    );
}

/// What is said of the sample with `to` in place of `from`: line, column, message and remedy.
fn broken(from: &str, to: &str) -> String {
    let text = SAMPLE.replace(from, to);
    assert_ne!(text, SAMPLE, "the sample has `{from}`");
    let e = parse(&text).unwrap_err();
    format!("{}:{}: {} ({})", e.line, e.column, e.message, e.help)
}

#[test]
fn an_unknown_name_is_told_with_the_nearest() {
    assert_eq!(
        broken("wp.set_page_dirty", "wp.set_dirty"),
        "4:14: unknown point `wp.set_dirty` (did you mean `wp.set_page_dirty`?)"
    );
    assert_eq!(
        broken("A.0      store 0..4", "A.0      stor 0..4"),
        "14:10: unknown operation `stor` (did you mean `store`?)"
    );
    let plant = |name: &str| broken("mkw 1\n", &format!("mkw 1\nplant {name}\n"));
    assert_eq!(
        plant("leak-refrence"),
        "3:7: unknown plant `leak-refrence` (did you mean `leak-reference`?)"
    );
    assert!(
        plant("bogus").starts_with("3:7: unknown plant `bogus` (known are "),
        "{}",
        plant("bogus")
    );
    let remedy = broken("mkw 1\n", "mkw 1\nremedy bogus\n");
    assert!(remedy.starts_with("3:8: unknown remedy `bogus` (known are "), "{remedy}");
    assert_eq!(
        broken("order    io0.1 *", "order    io9.1 *"),
        "19:10: unknown task `io9` (an actor A to H, or io0 to io7)"
    );
    let unknown = |word: &str| broken("order    io0.1 *", word);
    assert_eq!(
        unknown("frobnicate"),
        "19:1: unknown statement `frobnicate` (one of: mkw, run, plant, remedy, compare, expect, reach, limits, file, \
         stable, eio, fault, actor, an operation like `A.0 store 0..4`, seed, override, order)"
    );
    assert_eq!(unknown("ordr io0.1 *"), "19:1: unknown statement `ordr` (did you mean `order`?)");
}

#[test]
fn what_is_no_number_or_range_is_told_with_the_ranges() {
    assert_eq!(
        broken("store 0..4", "store 0-4"),
        "14:16: `0-4` is not a range (a range of cells, like 0..4)"
    );
    assert_eq!(
        broken("store 0..4", "store 0..9"),
        "14:1: `store 0..9` lies outside the file (the file has 2 pages and 8 cells)"
    );
    assert_eq!(
        broken("store 0..4", "store 0..4 now"),
        "14:21: unexpected `now` (the line is complete before it)"
    );
    assert_eq!(
        broken("cells 4", "cells 3"),
        "8:1: the file cannot have these `cells` \
         (the nearest is: file pages 2 cells 2 blocks 2 size 4 mms 2 holes 1 free 3)"
    );
    assert_eq!(
        broken("stable   0,2", "stable   0,x"),
        "9:10: `x` is not a number from 0 to 15 (numbers with commas, or `all`)"
    );
    assert_eq!(
        broken("steps 500", "steps"),
        "7:46: the line ends where a number should stand (a number)"
    );
    assert_eq!(
        broken("store 0..4", "store 1..1"),
        "14:16: `1..1` is empty (the end is not part of a range: 0..1 is the first)"
    );
    assert_eq!(
        broken("steps 500", "steps 65536"),
        "7:47: `65536` is not a number from 64 to 16384 (from 64 to 16384)"
    );
    assert_eq!(
        broken("pages 2 cells", "pages 5 cells"),
        "8:1: `pages 5` is beyond the limit of 4 (raise `limits`, or take fewer pages)"
    );
    assert_eq!(
        broken("mm 1", "mm 999999999999999999999"),
        "16:15: `999999999999999999999` is not an address space from 0 to 255 (from 0 to 255)"
    );
}

#[test]
fn statements_that_do_not_fit_together_are_told() {
    assert_eq!(
        broken("A.2      truncate 4", "A.0      truncate 4"),
        "15:1: a second `A.0` (say it once)"
    );
    assert_eq!(
        broken("actor    B mm 1", "actor    B mm 2"),
        "16:1: there is no address space 2 (raise `mms` in `file`)"
    );
    assert_eq!(
        broken("actor    B mm 1", "actor    C mm 1"),
        "16:10: actors are declared in order (the next one is B)"
    );
    assert_eq!(
        broken("stable   0,2", "stable   0\nstable   2"),
        "10:1: a second `stable` (say it once)"
    );
    assert_eq!(
        broken("expect   I34 fsync.check_error fsync", "expect   pass"),
        "5:1: `pass` beside other expectations (either nothing breaks, or something)"
    );
}

#[test]
fn a_schedule_that_no_run_can_follow_is_told() {
    assert_eq!(
        broken("io0.1 *", "io0.1 * 29"),
        "19:18: unexpected `29` (the line is complete before it)"
    );
    assert_eq!(
        broken("order    io0.1 *", "seed 5"),
        "18:1: both `seed` and `order` (one kind of schedule)"
    );
    assert_eq!(
        broken("order    io0.1 *", "order    C.0 *"),
        "19:1: C is not scheduled (an actor, or io0 to io7)"
    );
    assert_eq!(
        broken("order    io0.1 *", "order    B.1 *"),
        "19:1: B has no slot 1 (B has 1 slot, from 0)"
    );
    assert_eq!(
        broken("order    io0.1 *", "order    io0.1 run.end"),
        "19:16: `run.end` is not a scheduling point (a task never stands there)"
    );
    assert_eq!(
        broken("user.store 2", "user.store 0"),
        "20:25: `0` is not how often it has stood there, from 1 to 255 (from 1 to 255)"
    );
    assert_eq!(
        broken("mkw 1", "mkw 1\noverride A.0 step 1 priority 1"),
        "22:10: `override` without `seed` (an override changes a schedule by `seed`)"
    );
}

#[test]
fn a_text_without_its_head_is_told() {
    assert_eq!(broken("mkw 1", "mkw 9"), "2:1: version 9 is unknown (this is version 1)");
    assert_eq!(broken("# The race.\nmkw 1\n", ""), "1:1: the first statement is not `mkw` (mkw 1)");
    assert!(parse("\u{feff}mkw 1").unwrap_err().help.contains("save it without"));
    assert!(parse("").unwrap_err().message.contains("no statements"));
    assert!(parse("mkw 1\nactor A mm 0").unwrap_err().message.contains("no `file`"));
}

#[test]
fn the_reference_has_the_ranges() {
    use crate::case::{Limits, OPERATIONS_MAX, PAGES_MAX, STEPS_MAX, STEPS_MIN};
    let Limits { actors, operations, pages, steps } = Limits::default();
    let row = STATEMENTS.iter().find(|row| row.keyword == "limits").unwrap();
    assert_eq!(
        row.forms[0].meaning,
        format!(
            "raised limits, up to {} actors of {OPERATIONS_MAX} operations, {PAGES_MAX} pages, and {STEPS_MIN} to \
             {STEPS_MAX} steps; left out by default ({actors}, {operations}, {pages}, {steps})",
            crate::exec::ACTORS_MAX
        )
    );
}

#[test]
fn all_errors_are_told_up_to_a_bound() {
    let text = SAMPLE
        .replace("A.0      store 0..4", "A.0      stor 0..4")
        .replace("eio      1", "eio      x")
        .replace("file     pages 2", "file     pges 2");
    let Reading { document, errors, .. } = parse_all(&text);
    let lines: Vec<usize> = errors.iter().map(|error| error.line).collect();
    assert_eq!(lines, [8, 10, 14]);
    assert_eq!(document.runs.len(), 1, "what could be read is there");
    let many = format!("mkw 1\n{}", "nonsense\n".repeat(1000));
    assert_eq!(parse_all(&many).errors.len(), 20);
    assert_eq!(parse_all("#!/bin/sh\nset -e\ncd x\n").errors.len(), 1);
}

#[test]
fn every_statement_is_read_and_printed_in_the_order_of_the_table() {
    let seeded = SAMPLE
        .lines()
        .filter(|line| !line.starts_with("order"))
        .map(|line| {
            line.replace(
                "run      nfs",
                "fault read 1\ncompare nfs@3.0 2.6.30\nremedy zero-tail-at-extension\nplant leak-reference\nrun nfs",
            )
        })
        .chain(["seed 5", "override A.0 step 1 priority 2"].map(str::to_owned));
    let seeded: Vec<String> = seeded.collect();
    let texts = [SAMPLE.to_owned(), parse(&seeded.join("\n")).unwrap().to_string()];
    for text in &texts {
        let rows = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
            let first = line.split(' ').next().unwrap();
            STATEMENTS.iter().position(|row| row.begins_with(first)).unwrap()
        });
        let actor = STATEMENTS.iter().position(|row| row.often == Often::PerActor).unwrap();
        // Each actor stands with its operations.
        let rows = rows.map(|row| if row == actor + 1 { actor } else { row });
        assert!(rows.is_sorted(), "{text}");
    }
    for row in STATEMENTS {
        let stands = |text: &String| {
            text.lines().any(|line| row.begins_with(line.split(' ').next().unwrap()))
        };
        assert!(texts.iter().any(stands), "{}", row.keyword);
        assert!(
            row.forms.iter().all(|form| form.form.split(' ').next() == Some(row.keyword)),
            "{}",
            row.keyword
        );
    }
}

/// `UPDATE_EXPECT=1 cargo test -p mkwrite-model` writes the table of the reference anew.
#[test]
fn the_reference_has_the_table() {
    let mut table = "| statement | how often | meaning |\n| --- | --- | --- |\n".to_owned();
    for row in STATEMENTS {
        for (form, meaning) in row.reference() {
            table += &format!("| `{form}` | {} | {meaning} |\n", row.often.name());
        }
    }
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/format.md");
    let text = std::fs::read_to_string(&file).unwrap();
    let (before, rest) = text.split_once("| statement |").unwrap();
    let (_, after) = rest.split_once("\n\n").unwrap();
    expect_file![file].assert_eq(&format!("{before}{table}\n{after}"));
}

proptest! {
    #[test]
    fn case_to_text_to_case(seed in any::<u64>(), index in 0u64..64) {
        let mut case = Case::default();
        Generator::new(false).generate(seed, index, &mut case);
        let document = Document::new(case);
        let text = document.to_string();
        prop_assert_eq!(parse(&text).unwrap(), document);
    }

    #[test]
    fn bytes_to_text_to_bytes(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        let case = bytes::decode(&bytes);
        let text = Document::new(case.clone()).to_string();
        let again = parse(&text).unwrap();
        prop_assert_eq!(again.to_string(), text);
        prop_assert_eq!(&again.case, &case);
        prop_assert_eq!(bytes::decode(&bytes::encode(&again.case)), case);
    }

    #[test]
    fn any_text_is_a_document_or_an_error(
        text in "\\PC{0,200}",
        lines in proptest::collection::vec(
            "(mkw 1|run|file|actor A mm 0|A.0 store|order A.0) ?[a-z0-9 .*]{0,20}",
            0..12,
        ),
    ) {
        let _ = parse(&text);
        let _ = parse(&format!("mkw 1\n{}", lines.join("\n")));
    }
}
