//! `mkwrite list`: the tables of the registries.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};
use mkwrite_model::case::{Operation, OperationKind, Site};
use mkwrite_model::era::Era;
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::mutate::{MUTATIONS, Mutation};
use mkwrite_model::plant::Plant;
use mkwrite_model::point::Point;
use mkwrite_model::remedy::Remedy;
use mkwrite_model::schedule::SchedulerKind;
use mkwrite_oracle::Rule;
use mkwrite_oracle::conditions::Condition;
use mkwrite_oracle::ledger::Entry;
use mkwrite_report::json::hunt::Reached;
use mkwrite_report::json::list::{self, List};
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
    let list = list::<F>(args)?;
    if args.json {
        output::document(&list)?;
        return Ok(Exit::Good);
    }
    let (mut heads, mut rows) = (list.heads().to_vec(), list.cells());
    if output::is_narrow() && heads.last() == Some(&"source") {
        // Beside it every other text would stand in a column of a few words.
        heads.pop();
        rows.iter_mut().for_each(|row| {
            let source = row.pop().unwrap_or_default();
            row.last_mut().into_iter().for_each(|text| *text += &format!("\n({source})"));
        });
    }
    let mut table = output::table(heads);
    table.add_rows(rows);
    print_table(&table);
    Ok(Exit::Good)
}

fn list<F: Filesystem>(args: &Args) -> Result<List> {
    Ok(match args.what {
        What::Implementations => List::Implementations(rows(F::all(), implementation)),
        What::Callers => List::Callers(rows(Era::CALLERS, caller)),
        What::Rules => List::Rules(rows(Rule::ALL, rule)),
        What::Operations => List::Operations(rows(&Operation::KINDS[1..], operation)),
        What::Sites => List::Sites(rows(Site::ALL, site)),
        What::Points => {
            let all = if args.unreached { unreached(args)? } else { Point::ALL.to_vec() };
            List::Points(rows(&all, point))
        }
        What::Plants => List::Plants(rows(Plant::ALL, plant)),
        What::Remedies => List::Remedies(rows(Remedy::ALL, remedy)),
        What::Conditions => List::Conditions(rows(Condition::ALL, condition)),
        What::Entries => {
            let ledger =
                args.ledger.as_deref().map_or_else(files::own_ledger::<F>, files::read_ledger)?;
            List::Entries(rows(&ledger.entries, entry))
        }
        What::Schedulers => List::Schedulers(rows(SchedulerKind::ALL, scheduler)),
        What::Signals => List::Signals(rows(Signal::ALL, signal)),
        What::Mutations => List::Mutations(rows(MUTATIONS, mutation)),
    })
}

fn rows<T, R>(all: &[T], row: fn(&T) -> R) -> Vec<R> {
    all.iter().map(row).collect()
}

fn implementation<F: Filesystem>(fs: &F) -> list::Implementation {
    let about = fs.declaration();
    list::Implementation {
        name: fs.name(),
        convention: about.convention.name(),
        caller: about.natural.name(),
        record: about.record,
        source: about.source,
    }
}

fn caller(era: &Era) -> list::Caller {
    list::Caller { name: era.name(), convention: era.facts().accepts.name(), what: era.help() }
}

fn rule(rule: &Rule) -> list::Rule {
    let about = rule.about();
    list::Rule {
        name: about.id,
        rule: about.title,
        plant: about.plant.name(),
        source: about.source,
    }
}

fn operation(kind: &OperationKind) -> list::Operation {
    let operands: Vec<_> = kind.operands.iter().map(|operand| operand.form()).collect();
    list::Operation { name: kind.name, operand: operands.join(" "), what: kind.help }
}

fn site(site: &Site) -> list::Site {
    let keyword = if site.row().has_statement { "" } else { "fault " };
    list::Site { statement: format!("{keyword}{}", site.name()), what: site.row().help }
}

fn point(point: &Point) -> list::Point {
    list::Point { number: point.code(), name: point.name(), next_step: point.does() }
}

fn plant(plant: &Plant) -> list::Plant {
    let rule = Rule::ALL.iter().find(|rule| rule.about().plant == *plant);
    list::Plant {
        name: plant.name(),
        rule: rule.map(|rule| rule.id()),
        implementation: plant.implementation(),
        what: plant.what(),
    }
}

fn remedy(remedy: &Remedy) -> list::Remedy {
    list::Remedy { name: remedy.name(), what: remedy.what(), source: remedy.source() }
}

fn condition(condition: &Condition) -> list::Condition {
    list::Condition { name: condition.name(), holds_if: condition.what() }
}

fn entry<F: Filesystem>(entry: &Entry<F>) -> list::Entry {
    list::Entry {
        name: entry.name.clone(),
        pairs: entry.pairs.len(),
        when: entry.when.iter().map(Condition::name).collect(),
        remedies: entry.remedies.iter().map(Remedy::name).collect(),
        source: entry.source.clone(),
    }
}

fn scheduler(kind: &SchedulerKind) -> list::Scheduler {
    list::Scheduler { name: kind.name(), what: kind.help() }
}

fn signal(signal: &Signal) -> list::Signal {
    list::Signal { name: signal.name(), what: signal.help() }
}

fn mutation(one: &Mutation) -> list::Mutation {
    list::Mutation { name: one.name, weight: one.weight, what: one.help }
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
