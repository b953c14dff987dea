//! `mkwrite matrix`: cases on every implementation under every caller. Which convention closes
//! which race.

use std::path::PathBuf;

use anyhow::{Result, anyhow};
use mkwrite_explain::bisect::{Tried, home, outcome};
use mkwrite_explain::cure::cures;
use mkwrite_explain::explain::with_stops;
use mkwrite_model::Target;
use mkwrite_model::era::Era;
use mkwrite_model::implementation::{Filesystem, Pair};
use mkwrite_oracle::ledger::Ledger;
use mkwrite_oracle::run::{Runner, compared};
use mkwrite_report::json;
use mkwrite_report::matrix::{Cell, Matrix, page};

use crate::names::{callers, implementations};
use crate::output::{self, BOLD, DIM, GREEN, RED, YELLOW, line, note, print_table};
use crate::{Exit, files};

/// Run cases on all implementations under all callers: which convention closes which race
///
/// A schedule that does not fit an implementation is realigned by named points: a stop becomes the
/// next point that both come to. Where a case breaks, each remedy is tried. The table marks where
/// that was done (~), and where it could not be (?): there the run went without.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Cases, or folders of .mkw files
    #[arg(required = true, value_name = "FILE|DIR")]
    paths: Vec<PathBuf>,
    /// Only these implementations
    #[arg(long = "impl", value_delimiter = ',', value_name = "NAME")]
    implementations: Vec<String>,
    /// Only these callers
    #[arg(long = "caller", value_delimiter = ',', value_name = "NAME")]
    callers: Vec<String>,
    /// Write the table as an HTML page
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub(crate) fn run<F: Filesystem>(args: &Args) -> Result<Exit> {
    let rows = implementations(&args.implementations)?;
    let columns =
        if args.callers.is_empty() { Era::CALLERS.to_vec() } else { callers(&args.callers)? };
    let cases = files::cases_below(&args.paths)?;
    let (ledger, mut runner) = (files::own_ledger::<F>()?, Runner::default());
    let mut all = Vec::new();
    for path in &cases {
        let document = files::read::<F>(path)?;
        let home =
            home(&document).ok_or_else(|| anyhow!("{}: it names no pair", path.display()))?;
        let case = with_stops(&mut runner, home, &document.case);
        runner.compare_with(compared(&document).map_err(|error| anyhow!(error))?);
        let mut cell = |fs: F, caller: Era| {
            let outcome = outcome(&mut runner, &ledger, home, &case, fs, caller);
            let closed_by = closed_by(&mut runner, &ledger, home, &outcome, fs, caller);
            Cell { closed_by, ..cell(&ledger, outcome) }
        };
        let cells = rows
            .iter()
            .map(|fs| columns.iter().map(|caller| cell(*fs, *caller)).collect())
            .collect();
        all.push(Matrix {
            case: path.display().to_string(),
            home: home.pair.to_string(),
            implementations: rows.iter().map(|fs| fs.name()).collect(),
            callers: columns.iter().map(|caller| caller.name()).collect(),
            cells,
        });
    }
    if let Some(path) = &args.html {
        files::write(path, page(&all).as_bytes())?;
        note(format!("wrote {}", path.display()));
    }
    if args.json {
        output::document(&json::matrix::Matrix { cases: all.iter().map(Into::into).collect() })?;
    } else if args.html.is_none() {
        all.iter().for_each(print);
        line(format!(
            "{DIM}{RED}NEW{RED:#}{DIM} breaks and is not in the ledger; * no pair of the ledger; ~ realigned; ? could not be realigned; - refused{DIM:#}"
        ));
    }
    let new = all.iter().flat_map(|m| m.cells.iter().flatten()).any(|cell| cell.is_new);
    Ok(if new { Exit::Breach } else { Exit::Good })
}

/// The remedies that close what breaks first on a pair.
fn closed_by<F: Filesystem>(
    runner: &mut Runner<F>,
    ledger: &Ledger<F>,
    home: Target<F>,
    outcome: &Tried,
    fs: F,
    caller: Era,
) -> Vec<String> {
    let Tried::Ran { translation, breaches, .. } = outcome else { return Vec::new() };
    let (Some((breach, _)), Ok(pair)) = (breaches.first(), Pair::new(fs, caller)) else {
        return Vec::new();
    };
    let cures = cures(runner, ledger, Target { pair, ..home }, &translation.case, breach.rule);
    cures.closing().map(|attempt| attempt.remedies.to_string()).collect()
}

fn cell<F: Filesystem>(ledger: &Ledger<F>, outcome: Tried) -> Cell {
    match outcome {
        Tried::Refused(reason) => Cell { refused: Some(reason), ..Cell::default() },
        Tried::Ran { translation, breaches, new } => {
            let mut rules: Vec<&'static str> = Vec::new();
            for (breach, _) in &breaches {
                if !rules.contains(&breach.rule.id()) {
                    rules.push(breach.rule.id());
                }
            }
            let mut entries: Vec<String> = Vec::new();
            for entry in breaches.iter().filter_map(|(_, expected)| ledger.entry(*expected)) {
                if !entries.contains(&entry.name) {
                    entries.push(entry.name.clone());
                }
            }
            let moved = translation.moved.iter().map(|(old, new)| format!("{old} became {new}"));
            Cell {
                refused: None,
                rules,
                entries,
                is_new: new,
                closed_by: Vec::new(),
                moved: moved.collect(),
                lost: translation.lost.iter().map(ToString::to_string).collect(),
            }
        }
    }
}

fn print(matrix: &Matrix) {
    line(format!("{BOLD}{}{BOLD:#}  made for {}", matrix.case, matrix.home));
    let mut table = output::table(std::iter::once("").chain(matrix.callers.iter().copied()));
    for (fs, row) in matrix.implementations.iter().zip(&matrix.cells) {
        let cells = row.iter().map(|cell| {
            let style = match cell {
                Cell { refused: Some(_), .. } => DIM,
                Cell { is_new: true, .. } => RED,
                Cell { rules, .. } if rules.is_empty() => GREEN,
                _ => YELLOW,
            };
            format!("{style}{}{style:#}", cell.text())
        });
        table.add_row(std::iter::once((*fs).to_owned()).chain(cells));
    }
    print_table(&table);
    for (fs, row) in matrix.implementations.iter().zip(&matrix.cells) {
        for (caller, cell) in
            matrix.callers.iter().zip(row).filter(|(_, cell)| !cell.rules.is_empty())
        {
            let closed_by = match cell.closed_by.as_slice() {
                [] => "no remedy closes it".to_owned(),
                names => format!("closed by {}", names.join(" or ")),
            };
            line(format!("  {fs} x {caller}: {} {closed_by}", cell.rules[0]));
        }
    }
    line("");
}
