//! A case with two files: what breaks in the first breaks in the second too, each is judged by
//! itself, and data of one never counts as the other's.

use mkwrite_impls::Builtin;
use mkwrite_model::case::{Effect, MMS_MAX, Range, Schedule};
use mkwrite_model::exec::TaskId;
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::PAGES_OF_TWO_MAX;
use mkwrite_model::text::{Document, parse};
use mkwrite_model::{Case, Target};
use mkwrite_oracle::ledger::Ledger;
use mkwrite_oracle::run::{Runner, targets_of};
use walkdir::WalkDir;

/// Every case of the corpus that still fits if a file is put before its own.
fn corpus() -> impl Iterator<Item = (String, Document)> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../corpus/known");
    let files = WalkDir::new(folder).sort_by_file_name().into_iter().map(Result::unwrap);
    let texts = files.filter(|file| file.path().extension().is_some_and(|name| name == "mkw"));
    texts.filter_map(|file| {
        let document = parse(&std::fs::read_to_string(file.path()).unwrap()).unwrap();
        let g = document.case.geometry;
        let fits = g.pages <= PAGES_OF_TWO_MAX && usize::from(g.mms) < MMS_MAX;
        fits.then(|| (file.path().display().to_string(), document))
    })
}

/// The same case, about the second file: nobody does anything with the first.
fn moved(case: &Case) -> Case {
    let mut case = case.clone();
    case.geometry.mms += 1;
    case.geometry.second = 1;
    for actor in &mut case.actors {
        actor.mm += 1;
    }
    if let Schedule::Order(stops) = &mut case.schedule {
        for stop in stops {
            // The I/O tasks of the second file come behind those of the first.
            let moved = |slot: usize| TaskId::io(slot + usize::from(case.geometry.pages));
            stop.task = stop.task.io_slot().map_or(stop.task, moved);
        }
    }
    let mut fits = case.clone();
    fits.fix_up();
    assert_eq!(case, fits);
    case
}

/// What breaks: rule, point, kind of operation, page, cell, and whether it is expected; and the file.
type Broken = (String, &'static str, &'static str, Option<u8>, Option<u8>, String);

fn broken(
    runner: &mut Runner<Builtin>,
    ledger: &Ledger<Builtin>,
    target: Target<Builtin>,
    case: &Case,
    file: u8,
) -> Vec<Broken> {
    runner.watch(target, case, &mut ());
    let breaches = ledger.judged(target, &runner.judge);
    let all = breaches.map(|(b, expected)| {
        assert_eq!(b.file, file, "{} at {}", b.rule.id(), b.point.name());
        let expected = format!("{expected:?}");
        (b.rule.id().to_owned(), b.point.name(), b.operation, b.page, b.cell, expected)
    });
    all.collect()
}

#[test]
fn what_breaks_in_the_first_file_breaks_in_the_second() {
    let (ledger, mut runner) = (Ledger::<Builtin>::own(), Runner::default());
    let mut compared = 0;
    for (name, document) in corpus() {
        for target in targets_of::<Builtin>(&document).unwrap() {
            let first = broken(&mut runner, &ledger, target, &document.case, 0);
            let second = broken(&mut runner, &ledger, target, &moved(&document.case), 1);
            assert_eq!(first, second, "{name} on {target}");
            compared += first.len();
        }
    }
    assert!(compared > 300, "{compared} breaches were compared");
}

#[test]
fn a_copy_from_the_other_file_reads_there_and_writes_here() {
    let text = "mkw 1\nfile pages 2 size 6 mms 2 second 1\nactor A mm 0\nA.0 store 1..2\nA.1 fsync\n\
        actor B mm 1\nB.0 copy_other 0..8 3..8\nB.1 read 0..8\nB.2 fsync\n";
    let document = parse(text).unwrap();
    assert_eq!(
        document.case.actors[1].operations[0].effect(),
        Effect::Copies { from: Range::new(0, 8), to: Range::new(3, 8), other: true }
    );
    let mut runner = Runner::default();
    for target in targets_of::<Builtin>(&document).unwrap() {
        let clean = Target { remedies: Ledger::own().remedies(target.pair), ..target };
        let (lines, _) = runner.trace(clean, &document.case, &mut ());
        let has_page_cache = target.pair.implementation.name() != "driver@2.6.30";
        assert!(runner.judge.is_clean(), "{clean}: {:?}", runner.judge.breaches().next());
        let copy =
            lines.iter().find(|line| line.contains("copy_other") && line.contains("returns"));
        assert_eq!(copy.is_some(), has_page_cache, "{clean}");
        // Five cells fit, and B's file grows from six cells to eight.
        assert!(copy.is_none_or(|line| line.contains("returns ok after 5 cells")), "{copy:?}");
        assert!(!has_page_cache || lines.iter().any(|line| line.contains(" size 8 ")), "{clean}");
    }
}

#[test]
fn without_a_second_file_there_is_no_copy_from_it() {
    let error = parse("mkw 1\nfile pages 1\nactor A mm 0\nA.0 copy_other 0..1 1..2\n").unwrap_err();
    assert_eq!(error.to_string(), "line 4, column 1: the case has no second file");
}
