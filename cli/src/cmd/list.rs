//! `mkwrite list`: the tables of the registries.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use clap::ValueEnum;
use mkwrite_model::case::{Operation, Site};
use mkwrite_model::era::Era;
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::mutate::MUTATIONS;
use mkwrite_model::plant::Plant;
use mkwrite_model::point::Point;
use mkwrite_model::remedy::Remedy;
use mkwrite_model::schedule::SchedulerKind;
use mkwrite_oracle::Rule;
use mkwrite_oracle::conditions::Condition;
use mkwrite_report::json::hunt::Reached;
use mkwrite_report::json::list::List;
use mkwrite_search::feedback::Signal;

use crate::output::{self, print_table};
use crate::{Exit, files};

/// List implementations, callers, rules, operations, sites of faults, points, plants, remedies,
/// entries of the ledger and so on
///
/// Names in brackets, after a source, are facts of docs/sources.md.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// What to list
    #[arg(value_enum)]
    what: What,
    /// Of the points, only those that the last hunt did not reach
    #[arg(long)]
    unreached: bool,
    /// The hunt's report that --unreached reads; several with commas, such as those of the parts of
    /// one hunt
    #[arg(long, default_value = "findings/hunt.json", value_delimiter = ',', value_name = "FILE")]
    from: Vec<PathBuf>,
    /// Of the entries, those of the ledger in this folder, which is checked
    #[arg(long, value_name = "DIR")]
    ledger: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum What {
    Implementations,
    Callers,
    Rules,
    Operations,
    Sites,
    Points,
    Plants,
    Remedies,
    Conditions,
    Entries,
    Schedulers,
    Signals,
    Mutations,
}

/// Runs the subcommand.
pub(crate) fn run<F: Filesystem>(args: &Args) -> Result<Exit> {
    if args.unreached && args.what != What::Points {
        return Err(anyhow!("--unreached is about points").context("list points --unreached"));
    }
    if args.ledger.is_some() && args.what != What::Entries {
        return Err(
            anyhow!("--ledger is about entries").context("list entries --ledger corpus/ledger")
        );
    }
    let (columns, rows) = rows::<F>(args)?;
    if args.json {
        let what = args.what.to_possible_value().expect("no value is skipped");
        output::document(&List::new(what.get_name(), columns, &rows))?;
        return Ok(Exit::Good);
    }
    let mut table = output::table(columns.iter().copied());
    table.add_rows(rows);
    print_table(&table);
    Ok(Exit::Good)
}

type Rows = (&'static [&'static str], Vec<Vec<String>>);

fn rows<F: Filesystem>(args: &Args) -> Result<Rows> {
    let row = |cells: &[&str]| cells.iter().map(|cell| (*cell).to_owned()).collect::<Vec<_>>();
    Ok(match args.what {
        What::Implementations => {
            let all = F::all().iter().map(|fs| {
                let d = fs.declaration();
                row(&[fs.name(), d.convention.name(), d.natural.name(), d.record, d.source])
            });
            (&["name", "convention", "caller", "record", "source"], all.collect())
        }
        What::Callers => {
            let all =
                Era::CALLERS.iter().map(|c| row(&[c.name(), c.facts().accepts.name(), c.help()]));
            (&["name", "convention", "what"], all.collect())
        }
        What::Rules => {
            let all = Rule::ALL.iter().map(|rule| {
                let about = rule.about();
                row(&[about.id, about.title, about.plant.name(), about.source])
            });
            (&["name", "rule", "plant", "source"], all.collect())
        }
        What::Operations => {
            let all = Operation::KINDS.iter().skip(1).map(|kind| {
                let operands: Vec<_> = kind.operands.iter().map(|one| one.form()).collect();
                row(&[kind.name, &operands.join(" "), kind.help])
            });
            (&["name", "operand", "what"], all.collect())
        }
        What::Sites => {
            let all = Site::ALL.iter().map(|site| {
                let statement = if site.row().has_statement { "" } else { "fault " };
                row(&[&format!("{statement}{}", site.name()), site.row().help])
            });
            (&["statement", "what goes wrong, at the n-th time"], all.collect())
        }
        What::Points => {
            let listed = if args.unreached { unreached(args)? } else { Point::ALL.to_vec() };
            let all = listed.iter().map(|p| row(&[&p.code().to_string(), p.name(), p.does()]));
            (&["number", "name", "next step"], all.collect())
        }
        What::Plants => {
            let all = Plant::ALL.iter().map(|plant| {
                let rule = Rule::ALL
                    .iter()
                    .find(|rule| rule.about().plant == *plant)
                    .map_or("", |rule| rule.id());
                row(&[plant.name(), rule, plant.implementation(), plant.what()])
            });
            (&["name", "rule", "implementation", "what is wrong"], all.collect())
        }
        What::Remedies => {
            let all = Remedy::ALL
                .iter()
                .map(|remedy| row(&[remedy.name(), remedy.what(), remedy.source()]));
            (&["name", "what it does", "source"], all.collect())
        }
        What::Conditions => {
            let all =
                Condition::ALL.iter().map(|condition| row(&[condition.name(), condition.what()]));
            (&["name", "holds for a breach if"], all.collect())
        }
        What::Entries => {
            let ledger =
                args.ledger.as_deref().map_or_else(files::own_ledger::<F>, files::read_ledger)?;
            let all = ledger.entries.iter().map(|entry| {
                let pairs = entry.pairs.len().to_string();
                let when: Vec<&str> = entry.when.iter().map(Condition::name).collect();
                row(&[
                    &entry.name,
                    &pairs,
                    &when.join(" "),
                    &entry.remedies.to_string(),
                    &entry.source,
                ])
            });
            (&["name", "pairs", "when", "remedy", "source"], all.collect())
        }
        What::Schedulers => {
            let all = SchedulerKind::ALL.iter().map(|kind| row(&[kind.name(), kind.help()]));
            (&["name", "what"], all.collect())
        }
        What::Signals => {
            let all = Signal::ALL.iter().map(|signal| row(&[signal.name(), signal.help()]));
            (&["name", "what"], all.collect())
        }
        What::Mutations => {
            let all =
                MUTATIONS.iter().map(|one| row(&[one.name, &one.weight.to_string(), one.help]));
            (&["name", "weight", "what"], all.collect())
        }
    })
}

/// The points that no pair of the hunts has reached, from their reports.
fn unreached(args: &Args) -> Result<Vec<Point>> {
    let all = args.from.iter().map(|path| reached(path)).collect::<Result<Vec<_>>>()?;
    let seen = |point: &Point| {
        all.iter()
            .flat_map(|reached| reached.points.values())
            .any(|pair| pair.get(point.name()).is_some_and(|count| *count > 0))
    };
    Ok(Point::ALL.iter().copied().filter(|point| !seen(point)).collect())
}

/// What the report of a hunt says of points.
fn reached(path: &Path) -> Result<Reached> {
    let help = "run `mkwrite hunt` first, or name its report with --from";
    let name = path.display();
    let text =
        std::fs::read_to_string(path).map_err(|error| anyhow!("{name}: {error}")).context(help)?;
    let reached: Reached =
        serde_json::from_str(&text).map_err(|error| anyhow!("{name}: {error}")).context(help)?;
    let points = &reached.points;
    if points.is_empty() || !points.values().all(|pair| pair.contains_key(Point::ALL[0].name())) {
        return Err(anyhow!("{name}: `points` is not that of a hunt")).context(help);
    }
    Ok(reached)
}
