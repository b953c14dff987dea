//! How often each entry of the ledger explains something, with a fixed seed and number of cases,
//! against committed counts: a bug that an entry swallows shows as a rate that is off. (Of bugs
//! planted to try this, every one that was swallowed was off by a factor of 10 or more.)
//!
//! The file has a line per pair, entry and rule that came up at least [`LEAST`] times. A factor of
//! [`FACTOR`] fails, and so does a line that is missing. `UPDATE_RATES=1 cargo test -p
//! mkwrite-search --test rates` writes the file anew; the commit says why the rates changed.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;

use mkwrite_impls::Builtin;
use mkwrite_model::Target;
use mkwrite_oracle::ledger::Ledger;
use mkwrite_search::hunt::{Plan, Progress, hunt};

const CASES: u64 = 10_000;
/// Rates below this are noise.
const LEAST: u64 = 20;
/// How far off a rate may be.
const FACTOR: u64 = 5;

fn rates() -> BTreeMap<String, u64> {
    let ledger = Ledger::<Builtin>::own();
    let targets = ledger.default_pairs().into_iter().map(Target::from).collect();
    let plan = Plan::new(targets, 1, CASES, ledger);
    let jobs = std::thread::available_parallelism().map_or(1, Into::into);
    let outcome = hunt(&plan, jobs, &Progress::default(), &());
    let mut rates = BTreeMap::new();
    for (key, found) in &outcome.found {
        let entry =
            plan.ledger.entry(key.signature.expected).map_or("NEW", |entry| entry.name.as_str());
        let name = format!("{}  {entry}  {}", plan.targets[key.target].pair, key.signature.rule);
        *rates.entry(name).or_insert(0) += found.count;
    }
    rates
}

#[test]
fn entries_explain_as_much_as_they_did() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rates.txt");
    let now = rates();
    if std::env::var_os("UPDATE_RATES").is_some() {
        let mut text = String::new();
        for (name, count) in now.iter().filter(|(_, count)| **count >= LEAST) {
            writeln!(text, "{count:>7}  {name}").unwrap();
        }
        std::fs::write(&path, text).unwrap();
    }
    let text = std::fs::read_to_string(&path).unwrap();
    let line = |line: &str| {
        let (count, name) = line.trim_start().split_once("  ").expect("COUNT  PAIR  ENTRY  RULE");
        (name.to_owned(), count.parse::<u64>().expect("a count"))
    };
    let then: BTreeMap<String, u64> = text.lines().map(line).collect();
    let off = |then: u64, now: u64| now > then * FACTOR || now * FACTOR < then;
    let mut wrong = Vec::new();
    for (name, count) in &then {
        let now = now.get(name).copied().unwrap_or(0);
        if off(*count, now) {
            wrong.push(format!("{name}: {count} then, {now} now"));
        }
    }
    for (name, count) in
        now.iter().filter(|(name, count)| !then.contains_key(*name) && **count > LEAST * FACTOR)
    {
        wrong.push(format!("{name}: not there then, {count} now"));
    }
    assert!(wrong.is_empty(), "in {CASES} cases:\n{}", wrong.join("\n"));
}
