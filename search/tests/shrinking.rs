//! What shrinking holds and how small it makes: findings keep what makes them findings, a second
//! shrink changes nothing, and no smaller file shows the same, by trying all of them.

use std::sync::atomic::AtomicBool;

use mkwrite_explain::finding;
use mkwrite_explain::parallel::Until;
use mkwrite_explain::shrink::{Goal, Held, Shrinker, Size, Wanted, shrink, shrink_one};
use mkwrite_impls::Builtin;
use mkwrite_model::case::{Case, Geometry, Operand, Operands, Operation, Range};
use mkwrite_model::implementation::{Filesystem, Pair};
use mkwrite_model::plant::Plant;
use mkwrite_model::{Target, text};
use mkwrite_oracle::Rule;
use mkwrite_oracle::judge::Breach;
use mkwrite_oracle::ledger::{Expected, Ledger};
use mkwrite_oracle::run::{Runner, ScheduledBy};
use mkwrite_search::hunt::{Plan, Progress, hunt, recorded};

struct Finding {
    target: Target<Builtin>,
    breach: Breach,
    expected: Expected,
    case: Case,
}

/// The first findings of a hunt on one implementation, as they were found.
fn findings(ledger: &Ledger<Builtin>, on: &str, plant: Option<&str>, count: usize) -> Vec<Finding> {
    let pair = Pair::natural(Builtin::by_name(on).unwrap());
    let plant = plant.map(|plant| Plant::from_name(plant).unwrap());
    let targets = vec![Target { plants: plant.into(), ..Target::from(pair) }];
    let plan = Plan::new(targets, 11, 1500, ledger.clone());
    let mut found: Vec<_> = hunt(&plan, 1, &Progress::default(), &()).found.into_iter().collect();
    found.retain(|(key, _)| {
        plan.targets[0].plants.is_empty() || key.signature.expected == Expected::No
    });
    found.sort_by_key(|(key, found)| (found.index, *key));
    let finding = |(key, found)| {
        let case = recorded(&plan, &key, &found);
        let (target, expected) = (plan.targets[key.target], key.signature.expected);
        Finding { target, breach: found.breach, expected, case }
    };
    found.into_iter().take(count).map(finding).collect()
}

fn shows(ledger: &Ledger<Builtin>, target: Target<Builtin>, case: &Case, held: Held) -> bool {
    let mut runner = Runner::default();
    runner.run(target, case, ScheduledBy::Own);
    ledger.judged(target, &runner.judge).any(|(b, expected)| Held::of(ledger, &b, expected) == held)
}

#[test]
fn a_finding_stays_what_it_is_and_is_not_made_smaller_a_second_time() {
    let ledger = Ledger::own();
    for on in ["nfs@2.6.29", "fsblock@2007", "block@2.6.29", "ext3@2.6.29"] {
        for Finding { target, breach, expected, case } in findings(&ledger, on, None, 6) {
            let held = Held::of(&ledger, &breach, expected);
            let goal = Goal::Breach(target, held);
            let small = shrink_one(&case, &goal, &ledger);
            assert!(shows(&ledger, target, &small, held), "{on}: {held:?} slipped");

            let mut runner = Runner::default();
            let mut document = finding::document(target, &breach, String::new(), small, &[]);
            assert!(runner.missed_stops(target, &document.case).is_empty());
            let wanted = Wanted::Expectations;
            let goal = Goal::of(&mut document, vec![target], wanted, &ledger, &mut runner).unwrap();
            let never = AtomicBool::new(false);
            let again = shrink(&document.case, &goal, &ledger, 1, Until::from(&never), &|_| ());
            assert_eq!(
                text::Document::new(again).to_string(),
                text::Document::new(document.case).to_string(),
                "{on}: {held:?}"
            );
        }
    }
}

/// Operations like this one on all places of such a file.
fn placed(operation: Operation, shape: Geometry) -> Vec<Operation> {
    let kind = operation.kind();
    let ranges = |count: u8| {
        (0..count).flat_map(move |start| (start + 1..=count).map(move |end| Range::new(start, end)))
    };
    let mut all = vec![operation.operands()];
    for (n, operand) in kind.operands.iter().enumerate() {
        let places: Vec<Range> = match operand {
            Operand::Size => (0..operand.count(shape)).map(|size| Range::new(size, 0)).collect(),
            Operand::Cells | Operand::Pages => ranges(operand.count(shape)).collect(),
        };
        let put = |operands: &Operands, range: Range| {
            let mut operands = *operands;
            operands[n] = range;
            operands
        };
        all = all.iter().flat_map(|o| places.iter().map(move |range| put(o, *range))).collect();
    }
    let on = |operands| Operation::from_code(kind.code, operands).unwrap();
    all.into_iter().map(on).collect()
}

/// All cases with the operations and stops of this one in a smaller file.
fn in_smaller_files(case: &Case) -> Vec<Case> {
    let g = case.geometry;
    let mut all = Vec::new();
    for (pages, cells, blocks) in [(1, 1, 1), (1, 2, 1), (1, 2, 2), (2, 1, 1), (2, 2, 1), (2, 2, 2)]
    {
        let shape = Geometry { pages, cells, blocks, holes: 0, ..g };
        if shape.file_cells() > g.file_cells() {
            continue;
        }
        for size in 0..=shape.file_cells() {
            let mut cases = vec![Case { geometry: Geometry { size, ..shape }, ..case.clone() }];
            for (task, slot, operation) in case.operations() {
                let with = |(case, operation): (&Case, Operation)| {
                    let mut case = case.clone();
                    case.actors[task.index()].operations[usize::from(slot)] = operation;
                    case
                };
                let placed = placed(operation, shape);
                cases = cases
                    .iter()
                    .flat_map(|case| placed.iter().map(move |o| with((case, *o))))
                    .collect();
            }
            all.extend(cases);
        }
    }
    all
}

#[test]
fn no_smaller_file_shows_a_planted_bug() {
    let ledger = Ledger::own();
    let (mut tried, mut runner) = (0, Runner::default());
    for (plant, on) in [
        ("mkwrite-writes-size", "block@2.6.30"),
        ("short-transfer", "block@2.6.30"),
        ("fsync-no-commit", "nfs@3.0"),
        ("no-mapping-check", "filemap@3.10"),
        ("writeback-skips-page", "block@2.6.30"),
        ("wrong-errno", "filemap@3.10"),
    ] {
        for Finding { target, breach, expected, case } in findings(&ledger, on, Some(plant), 4) {
            if breach.rule == Rule::Differential {
                continue;
            }
            let goal = Goal::Breach(target, Held::of(&ledger, &breach, expected));
            let small = shrink_one(&case, &goal, &ledger);
            if small.operations().count() > 3 {
                continue;
            }
            tried += 1;
            let mut shrinker = Shrinker::new(&mut runner, goal, &ledger);
            let size = Size::of(&small).cells;
            let smaller = in_smaller_files(&small)
                .into_iter()
                .find(|case| Size::of(case).cells < size && shrinker.shows(case));
            let shown = |case: Case| text::Document::new(case).to_string();
            if let Some(smaller) = smaller {
                panic!(
                    "{plant}, {}: {}\nis larger than\n{}",
                    breach.rule,
                    shown(small),
                    shown(smaller)
                );
            }
        }
    }
    assert!(tried >= 12, "{tried}");
}
