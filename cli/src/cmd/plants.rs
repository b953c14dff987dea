//! `mkwrite plants`: every planted bug on every pair that hunts look at. Does the judge see it
//! there?

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use mkwrite_model::implementation::{Filesystem, Pair};
use mkwrite_model::plant::Plant;
use mkwrite_report::count;
use mkwrite_report::json::plants as json;
use mkwrite_search::plants::{Cell, PlantResult, baseline, table};

use crate::Exit;
use crate::files;
use crate::names::{callers, implementations, pairs, pairs_that_fit, plant};
use crate::output::{self, BOLD, GREEN, RED, line, note};

/// Plant each bug on each pair and hunt it: NEW there, not applicable, or swallowed by the ledger
///
/// A bug counts as found if something is NEW on the pair or on its remedied form. Exit code 1 if
/// one is swallowed.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these bugs (see `list plants`)
    #[arg(long = "plant", value_delimiter = ',', value_name = "NAME")]
    plants: Vec<String>,
    /// Only these implementations
    #[arg(long = "impl", value_delimiter = ',', value_name = "NAME")]
    implementations: Vec<String>,
    /// Only under these callers
    #[arg(long = "caller", value_delimiter = ',', value_name = "NAME")]
    callers: Vec<String>,
    /// Cases per bug and pair
    #[arg(long, value_name = "N", default_value_t = 20_000, value_parser = clap::value_parser!(u64).range(1..))]
    cases: u64,
    /// The seed
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Threads (all cores without it)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Print the table as it stands in docs/plants.md
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub(crate) fn run<F: Filesystem>(args: &Args) -> Result<Exit> {
    let ledger = files::own_ledger::<F>()?;
    let plants: Vec<Plant> = match args.plants.as_slice() {
        [] => Plant::ALL.to_vec(),
        names => names.iter().map(|name| plant(name)).collect::<Result<_>>()?,
    };
    let callers = callers(&args.callers)?;
    let pairs: Vec<Pair<F>> = match (args.implementations.is_empty(), callers.is_empty()) {
        (true, true) => ledger.default_pairs(),
        (true, false) => pairs_that_fit(&callers),
        _ => pairs(&implementations(&args.implementations)?, &callers)?,
    };
    let bar = output::counter(plants.len() * pairs.len());
    let jobs = args.jobs.map_or_else(super::jobs, usize::from);
    if let Some((target, rule)) = baseline(&ledger, &pairs, (args.seed, args.cases), jobs).first() {
        bar.finish_and_clear();
        return Err(anyhow!("{rule} is NEW on {target} without any planted bug")
            .context("hunt there, and mend it first: the table would say nothing"));
    }
    let cells = table(&ledger, &plants, &pairs, (args.seed, args.cases), jobs, &|| bar.inc(1));
    bar.finish_and_clear();
    if args.json {
        let cells = cells.iter().map(report).collect();
        output::document(&json::Plants { seed: args.seed, cases: args.cases, cells })?;
    } else if args.markdown {
        line(markdown(&plants, &pairs, &cells).trim_end());
    } else {
        print(&plants, &cells);
    }
    let swallowed = cells.iter().filter(|cell| cell.outcome == PlantResult::Swallowed).count();
    if !args.json {
        let style = if swallowed == 0 { GREEN } else { RED };
        let (plants, pairs) = (count(plants.len(), "bug"), count(pairs.len(), "pair"));
        note(format!("{plants} on {pairs}: {style}{swallowed} swallowed{style:#}"));
    }
    Ok(if swallowed == 0 { Exit::Good } else { Exit::Breach })
}

fn report<F: Filesystem>(cell: &Cell<F>) -> json::Cell {
    let (outcome, cases, rule, remedied, why) = match cell.outcome {
        PlantResult::New { cases, rule, remedied } => {
            ("new", Some(cases), Some(rule.id()), Some(remedied), None)
        }
        PlantResult::NotApplicable => {
            ("not applicable", None, None, None, Some("no run comes to the step"))
        }
        PlantResult::Harmless(why) => ("not applicable", None, None, None, Some(why)),
        PlantResult::Swallowed => ("swallowed", None, None, None, None),
    };
    json::Cell {
        plant: cell.plant.name(),
        implementation: cell.pair.implementation.name(),
        caller: cell.pair.caller.name(),
        outcome,
        cases_until_found: cases,
        rule,
        on_remedied_form: remedied,
        why,
    }
}

/// A line per bug.
fn print<F: Filesystem>(plants: &[Plant], cells: &[Cell<F>]) {
    for plant in plants {
        let own: Vec<&Cell<F>> = cells.iter().filter(|cell| cell.plant == *plant).collect();
        let mut cases: Vec<u64> = Vec::new();
        let mut rules: BTreeMap<&str, u32> = BTreeMap::new();
        for cell in &own {
            if let PlantResult::New { cases: n, rule, .. } = cell.outcome {
                cases.push(n);
                *rules.entry(rule.id()).or_default() += 1;
            }
        }
        cases.sort_unstable();
        let found = match (cases.first(), cases.last()) {
            (Some(first), Some(last)) => {
                let mut rules: Vec<_> = rules.into_iter().collect();
                rules.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
                let rules: Vec<_> = rules.into_iter().map(|(rule, _)| rule).take(4).collect();
                let pairs = count(cases.len(), "pair");
                format!("NEW on {pairs}, after {first} to {last} cases ({})", rules.join(" "))
            }
            _ => "found nowhere".to_owned(),
        };
        line(format!("{BOLD}{:<26}{BOLD:#} {found}", plant.name()));
        for cell in own.iter().filter(|cell| cell.outcome == PlantResult::Swallowed) {
            line(format!("  {RED}swallowed{RED:#} on {}", cell.pair));
        }
    }
}

/// The table of the docs: a row per bug, a column per pair.
fn markdown<F: Filesystem>(plants: &[Plant], pairs: &[Pair<F>], cells: &[Cell<F>]) -> String {
    let mut text = String::from("| bug |");
    let mut legend = String::new();
    for (n, pair) in pairs.iter().enumerate() {
        text += &format!(" {} |", n + 1);
        legend +=
            &format!("{}. {} under {}\n", n + 1, pair.implementation.name(), pair.caller.name());
    }
    text += &format!("\n| --- |{}\n", " ---: |".repeat(pairs.len()));
    let mut why: Vec<&str> = Vec::new();
    for plant in plants {
        text += &format!("| {} |", plant.name());
        for cell in cells.iter().filter(|cell| cell.plant == *plant) {
            let shown = match cell.outcome {
                PlantResult::New { cases, remedied, .. } => {
                    format!("{cases}{}", if remedied { "r" } else { "" })
                }
                PlantResult::NotApplicable => "-".to_owned(),
                PlantResult::Harmless(reason) => {
                    let n = why.iter().position(|known| *known == reason).unwrap_or_else(|| {
                        why.push(reason);
                        why.len() - 1
                    });
                    format!("({})", char::from(b'a' + n as u8))
                }
                PlantResult::Swallowed => "**swallowed**".to_owned(),
            };
            text += &format!(" {shown} |");
        }
        text += "\n";
    }
    let reasons = why
        .iter()
        .enumerate()
        .map(|(n, reason)| format!("- ({}) {reason}\n", char::from(b'a' + n as u8)));
    format!("{legend}\n{text}\n{}", reasons.collect::<String>())
}
