//! Bugs that kernels had: the table `corpus/bugs.toml`, and the search for each of them from
//! nothing.
//!
//! A bug is an old version's own, by an entry of the ledger, or planted into a version that never
//! had it, or it cannot be said yet. One hunt per bug and seed, on one pair and on nothing else,
//! ends with the first case that shows it; where the table names a version that has mended it, as
//! many cases there must not show it.

use std::time::Duration;

use mkwrite_explain::parallel::each;
use mkwrite_model::Target;
use mkwrite_model::case::Case;
use mkwrite_model::implementation::{Filesystem, Pair};
use mkwrite_model::plant::Plant;
use mkwrite_oracle::ledger::{Expected, FindingKey, Ledger};
use mkwrite_oracle::rules::Rule;
use serde::Deserialize;

use crate::feedback::Signals;
use crate::hunt::{Plan, hunt_until, reproduce};

/// The table.
const TABLE: &str = include_str!("../../corpus/bugs.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    bug: Vec<Raw>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    name: String,
    what: String,
    source: String,
    on: Option<String>,
    entry: Option<String>,
    plant: Option<String>,
    out: Option<String>,
    mended: Option<String>,
}

/// A bug that some kernel had.
#[derive(Clone, Debug)]
pub struct Bug<F> {
    /// Its name.
    pub name: String,
    /// What was wrong.
    pub what: String,
    /// Who mended it, and when.
    pub source: String,
    /// How it comes up here.
    pub how: How<F>,
}

/// How a bug comes up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum How<F> {
    /// A version has it.
    Own {
        /// That version.
        on: F,
        /// The ledger's entry of it.
        entry: String,
        /// A version that has it no more.
        mended: Option<F>,
    },
    /// It is planted.
    Planted {
        /// Where.
        on: F,
        /// By this switch.
        plant: Plant,
    },
    /// Not at all; why.
    Out(String),
}

/// A table that cannot be used.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("corpus/bugs.toml: {0}")]
pub struct TableError(String);

/// The bugs of the table, in its order.
pub fn all<F: Filesystem>(ledger: &Ledger<F>) -> Result<Vec<Bug<F>>, TableError> {
    let file: File = toml::from_str(TABLE).map_err(|error| TableError(error.to_string()))?;
    file.bug.into_iter().map(|raw| bug(raw, ledger)).collect()
}

fn bug<F: Filesystem>(raw: Raw, ledger: &Ledger<F>) -> Result<Bug<F>, TableError> {
    let wrong = |what: &str| TableError(format!("{}: {what}", raw.name));
    let known = |name: &Option<String>| match name {
        Some(name) => F::by_name(name)
            .map(Some)
            .ok_or_else(|| wrong(&format!("there is no implementation {name}"))),
        None => Ok(None),
    };
    let (on, mended) = (known(&raw.on), known(&raw.mended)?);
    let how = match (raw.entry.as_ref(), raw.plant.as_ref(), raw.out.as_ref()) {
        (Some(entry), None, None) => {
            let on = on?.ok_or_else(|| wrong("`on` is missing"))?;
            ledger.entry_named(entry).ok_or_else(|| wrong("the ledger has no such entry"))?;
            How::Own { on, entry: entry.clone(), mended }
        }
        (None, Some(plant), None) => {
            let on = on?.ok_or_else(|| wrong("`on` is missing"))?;
            let plant = Plant::from_name(plant).ok_or_else(|| wrong("there is no such plant"))?;
            How::Planted { on, plant }
        }
        (None, None, Some(why)) => How::Out(why.clone()),
        _ => return Err(wrong("it needs one of `entry`, `plant` and `out`")),
    };
    Ok(Bug { name: raw.name, what: raw.what, source: raw.source, how })
}

/// What came of one hunt.
#[derive(Clone, Debug)]
pub struct Hit {
    /// Cases until it was found.
    pub cases: u64,
    /// How long that took, on one thread.
    pub time: Duration,
    /// The rule that showed it.
    pub rule: Rule,
    /// The case, made smaller.
    pub case: Case,
}

/// A bug, and what came of its hunts.
#[derive(Clone, Debug)]
pub struct Row<F> {
    /// The bug.
    pub bug: Bug<F>,
    /// One for each seed; `None`: not found. Empty for one that is out.
    pub hits: Vec<Option<Hit>>,
    /// The version that has mended it shows it all the same.
    pub still_there: bool,
}

impl<F> Row<F> {
    /// Found with every seed, and not where it was mended; or it is out.
    pub fn is_good(&self) -> bool {
        self.hits.iter().all(Option::is_some) && !self.still_there
    }
}

/// Hunts until the entry is met, or without one something is NEW.
fn first<F: Filesystem>(plan: &Plan<F>, entry: Option<&str>) -> Option<Hit> {
    let is_it = |key: &FindingKey| match (entry, key.signature.expected) {
        (Some(name), expected @ Expected::Root(_)) => {
            plan.ledger.entry(expected).is_some_and(|entry| entry.name == name)
        }
        (None, Expected::No) => true,
        _ => false,
    };
    hunt_until(plan, is_it).1.map(|(key, found, time)| Hit {
        cases: found.index + 1,
        time,
        rule: key.signature.rule,
        case: reproduce(plan, &key, &found),
    })
}

/// Hunts every bug with the seeds 1 to `seeds`, for so many cases each, on `jobs` threads. Says when
/// a hunt is done.
pub fn table<F: Filesystem>(
    ledger: &Ledger<F>,
    bugs: Vec<Bug<F>>,
    (seeds, cases): (u64, u64),
    jobs: usize,
    done: &(impl Fn() + Sync),
) -> Vec<Row<F>> {
    let tasks: Vec<(usize, u64)> = (0..bugs.len())
        .filter(|n| !matches!(bugs[*n].how, How::Out(_)))
        .flat_map(|n| (1..=seeds).map(move |seed| (n, seed)))
        .collect();
    let results = each(jobs, tasks.len(), |n| {
        let (bug, seed) = tasks[n];
        let result = one(ledger, &bugs[bug].how, seed, cases);
        done();
        result
    });
    let mut rows: Vec<Row<F>> =
        bugs.into_iter().map(|bug| Row { bug, hits: Vec::new(), still_there: false }).collect();
    for ((bug, _), (hit, still_there)) in tasks.iter().zip(results) {
        rows[*bug].hits.push(hit);
        rows[*bug].still_there |= still_there;
    }
    rows
}

/// One hunt, and the one at the version that mended it.
fn one<F: Filesystem>(
    ledger: &Ledger<F>,
    how: &How<F>,
    seed: u64,
    cases: u64,
) -> (Option<Hit>, bool) {
    let plan = |targets: Vec<Target<F>>, cases: u64| Plan {
        feedback: Some(Signals::default()),
        ..Plan::new(targets, seed, cases, ledger.clone())
    };
    match how {
        How::Own { on, entry, mended } => {
            let alone = |fs: F| vec![Target::from(Pair::natural(fs))];
            let hit = first(&plan(alone(*on), cases), Some(entry));
            let as_many = hit.as_ref().map_or(cases, |hit| hit.cases.max(LEAST).min(cases));
            let still = mended.and_then(|fs| first(&plan(alone(fs), as_many), Some(entry)));
            (hit, still.is_some())
        }
        How::Planted { on, plant } => {
            let mut targets = ledger.with_remedied(&[Pair::natural(*on)]);
            targets.iter_mut().for_each(|target| target.plants = (*plant).into());
            (first(&plan(targets, cases), None), false)
        }
        How::Out(_) => (None, false),
    }
}

/// Cases that the version which mended a bug runs at least.
const LEAST: u64 = 2000;

#[cfg(test)]
mod tests {
    use super::*;
    use mkwrite_impls::Builtin;
    use std::collections::BTreeSet;

    #[test]
    fn the_table_is_valid_and_one_bug_of_each_kind_is_found() {
        let ledger = Ledger::<Builtin>::own();
        let bugs = all(&ledger).unwrap();
        let names: BTreeSet<&str> = bugs.iter().map(|bug| &*bug.name).collect();
        assert_eq!(names.len(), bugs.len(), "names are unique");
        let some = ["mkwrite-unlock-window", "nr-to-write-fsync", "hw-dirty-bit"];
        let some: Vec<Bug<Builtin>> =
            bugs.into_iter().filter(|bug| some.contains(&&*bug.name)).collect();
        let rows = table(&ledger, some, (1, 5000), 2, &|| ());
        let found: Vec<Option<&str>> =
            rows.iter().map(|row| Some(row.hits.first()?.as_ref()?.rule.id())).collect();
        assert!(rows.iter().all(Row::is_good), "{found:?}");
        assert_eq!(found[1..], [Some("left-dirty"), None]);
    }

    #[test]
    fn a_wrong_table_is_refused() {
        let ledger = Ledger::<Builtin>::own();
        let of = |text: &str| {
            let file: File = toml::from_str(text).unwrap();
            let bug = file.bug.into_iter().map(|raw| bug(raw, &ledger)).next().unwrap();
            bug.unwrap_err().to_string()
        };
        let with = |rest: &str| {
            of(&format!("[[bug]]\nname = \"a\"\nwhat = \"b\"\nsource = \"c\"\n{rest}"))
        };
        assert_eq!(with(""), "corpus/bugs.toml: a: it needs one of `entry`, `plant` and `out`");
        assert_eq!(with("plant = \"stale-tag\""), "corpus/bugs.toml: a: `on` is missing");
        assert_eq!(
            with("plant = \"x\"\non = \"block@2.6.30\""),
            "corpus/bugs.toml: a: there is no such plant"
        );
        assert_eq!(
            with("entry = \"x\"\non = \"block@1\""),
            "corpus/bugs.toml: a: there is no implementation block@1"
        );
    }
}
