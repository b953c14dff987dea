//! docs/locking-rules.md: each line that says "checked" is hunted. Its planted bug is NEW on each of
//! its implementations under one of its rules, and each of its rules is NEW somewhere in the line.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::Ordering;

use mkwrite_impls::Builtin;
use mkwrite_model::Target;
use mkwrite_model::implementation::{Filesystem, Pair};
use mkwrite_model::plant::Plant;
use mkwrite_oracle::Rule;
use mkwrite_oracle::ledger::{Expected, FindingKey, Ledger};
use mkwrite_search::feedback::Signals;
use mkwrite_search::hunt::{Found, Plan, Progress, Save, hunt};

/// Cases in which a line must hold.
const CASES: u64 = 20_000;

/// A line that is checked: it names a planted bug.
#[derive(Debug)]
struct Line {
    number: u32,
    rules: BTreeSet<Rule>,
    plants: Vec<Plant>,
    implementations: Vec<Builtin>,
}

/// The names in backquotes.
fn quoted(cell: &str) -> impl Iterator<Item = &str> {
    cell.split('`').skip(1).step_by(2)
}

fn line(row: &str) -> Option<Line> {
    let cells: Vec<&str> = row.trim().trim_matches('|').split('|').map(str::trim).collect();
    let [number, _, _, rules, plants, implementations] = *cells.as_slice() else { return None };
    let number = number.parse().ok()?;
    if plants.is_empty() && implementations.is_empty() {
        return None; // out of scope, or not checked
    }
    let known = |what: &str| -> ! { panic!("line {number}: {what} is unknown") };
    let line = Line {
        number,
        rules: quoted(rules).map(|id| Rule::by_id(id).unwrap_or_else(|| known(id))).collect(),
        plants: quoted(plants)
            .map(|name| Plant::from_name(name).unwrap_or_else(|| known(name)))
            .collect(),
        implementations: implementations
            .split(", ")
            .filter(|name| !name.is_empty())
            .map(|name| Builtin::by_name(name).unwrap_or_else(|| known(name)))
            .collect(),
    };
    let counts = [line.rules.len(), line.plants.len(), line.implementations.len()];
    assert!(!counts.contains(&0), "half a line: {line:?}");
    Some(line)
}

fn lines() -> Vec<Line> {
    include_str!("../../docs/locking-rules.md").lines().filter_map(line).collect()
}

/// Ends a hunt when all of some rules are NEW, or when one is and that is enough.
struct Until<'a> {
    progress: &'a Progress,
    missing: Mutex<BTreeSet<Rule>>,
}

impl Save for Until<'_> {
    fn found(&self, key: &FindingKey, _: &Found) {
        if key.signature.expected == Expected::No {
            let mut missing = self.missing.lock().unwrap();
            missing.remove(&key.signature.rule);
            self.progress.stop.fetch_or(missing.is_empty(), Ordering::Relaxed);
        }
    }
}

/// The rules among these that are NEW where a bug is planted.
fn new_rules(fs: Builtin, plant: Plant, wanted: &BTreeSet<Rule>) -> BTreeSet<Rule> {
    let target = Target { plants: plant.into(), ..Target::from(Pair::natural(fs)) };
    let ledger = Ledger::<Builtin>::own();
    let plan =
        Plan { feedback: Some(Signals::default()), ..Plan::new(vec![target], 1, CASES, ledger) };
    let progress = Progress::default();
    let until = Until { progress: &progress, missing: Mutex::new(wanted.clone()) };
    let outcome = hunt(&plan, 1, &progress, &until);
    assert!(outcome.error.is_none(), "{:?}", outcome.error);
    let new = outcome.found.into_keys().filter(|key| key.signature.expected == Expected::No);
    new.map(|key| key.signature.rule).filter(|rule| wanted.contains(rule)).collect()
}

#[test]
fn each_line_is_checked_as_it_says() {
    let lines = lines();
    assert!(lines.len() >= 50, "{} lines", lines.len());
    let work = Mutex::new(lines.into_iter());
    let wrong = Mutex::new(Vec::new());
    let take = || work.lock().unwrap().next();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(line) = take() {
                    wrong.lock().unwrap().extend(wrong_in(&line));
                }
            });
        }
    });
    let wrong = wrong.into_inner().unwrap();
    assert!(wrong.is_empty(), "{wrong:#?}");
}

fn wrong_in(line: &Line) -> Vec<String> {
    let (mut wrong, mut seen) = (Vec::new(), BTreeSet::new());
    for &fs in &line.implementations {
        for &plant in &line.plants {
            let new = new_rules(fs, plant, &line.rules);
            if new.is_empty() {
                wrong.push(format!(
                    "line {}: {} is not NEW on {}",
                    line.number,
                    plant.name(),
                    fs.name()
                ));
            }
            seen.extend(new);
        }
    }
    let unseen = line.rules.difference(&seen);
    wrong.extend(unseen.map(|rule| format!("line {}: {rule} is NEW nowhere", line.number)));
    wrong
}
