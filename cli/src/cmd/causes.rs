//! `mkwrite causes`: how well findings are folded. A bug is planted and hunted, and what is NEW
//! should be one cause.
//!
//! Left out: two bugs at once, which a target cannot have.

use std::sync::Mutex;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use mkwrite_explain::causes::{Cause, Shown, fold};
use mkwrite_explain::parallel::parallel;
use mkwrite_model::implementation::{Filesystem, Pair};
use mkwrite_model::plant::Plant;
use mkwrite_report::count;
use mkwrite_search::plants::found;

use crate::Exit;
use crate::files;
use crate::names::{implementations, plant};
use crate::output::{self, note, print_table};

/// Plant each bug, hunt it, and fold what is NEW: into how many causes?
///
/// On the implementation that the bug is meant for or, with --all-pairs, on all pairs of the
/// default hunt.
#[derive(clap::Args)]
pub struct Args {
    /// Only these bugs (see `list plants`)
    #[arg(long = "plant", value_delimiter = ',', value_name = "NAME")]
    plants: Vec<String>,
    /// On all pairs of the default hunt at once, instead of the one that the bug is meant for
    #[arg(long)]
    all_pairs: bool,
    /// Cases per hunt
    #[arg(long, value_name = "N", default_value_t = 4000, value_parser = clap::value_parser!(u64).range(1..))]
    cases: u64,
    /// The seed
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// What came of one bug.
struct Folded<F: Filesystem> {
    plant: Plant,
    shown: Vec<Shown<F>>,
    causes: Vec<Cause>,
}

/// Runs the subcommand.
pub fn run<F: Filesystem>(args: &Args) -> Result<Exit> {
    let ledger = files::own_ledger::<F>()?;
    let plants: Vec<Plant> = match args.plants.as_slice() {
        [] => Plant::ALL.to_vec(),
        names => names.iter().map(|name| plant(name)).collect::<Result<_>>()?,
    };
    let all = ledger.default_pairs();
    let bar = ProgressBar::new(plants.len() as u64);
    bar.set_style(
        ProgressStyle::with_template("{bar:30} {percent:>3}%  {pos}/{len}")
            .expect("a valid template"),
    );
    let results = Mutex::new(Vec::new());
    parallel(
        super::jobs(),
        plants.len(),
        || false,
        || (),
        |(), n| {
            let plant = plants[n];
            let own: Vec<Pair<F>> = implementations(&[plant.implementation().to_owned()])
                .map(|found| found.into_iter().map(Pair::natural).collect())
                .unwrap_or_default();
            let shown = found(
                &ledger,
                plant,
                if args.all_pairs { &all } else { &own },
                (args.seed, args.cases),
            );
            let causes = fold(&ledger, &shown);
            results
                .lock()
                .expect("nothing panics while it is held")
                .push((n, Folded { plant, shown, causes }));
            bar.inc(1);
        },
    );
    bar.finish_and_clear();
    let mut results = results.into_inner().expect("nothing panicked");
    results.sort_by_key(|(n, _)| *n);
    let results: Vec<Folded<F>> = results.into_iter().map(|(_, folded)| folded).collect();
    print(&results);
    Ok(Exit::Good)
}

fn print<F: Filesystem>(results: &[Folded<F>]) {
    let mut table = output::table(["bug", "findings", "causes", "the causes"]);
    for Folded { plant, shown, causes } in results {
        let about = |cause: &Cause| {
            let Shown { signature, breach, .. } = &shown[cause.root];
            format!("{} at {} ({})", signature.rule.id(), breach.point.name(), cause.findings.len())
        };
        let about: Vec<String> = causes.iter().map(about).collect();
        table.add_row([
            plant.name().to_owned(),
            shown.len().to_string(),
            causes.len().to_string(),
            about.join(", "),
        ]);
    }
    print_table(&table);
    let mut counts: Vec<usize> =
        results.iter().map(|folded| folded.causes.len()).filter(|n| *n > 0).collect();
    counts.sort_unstable();
    let findings: usize = results.iter().map(|folded| folded.shown.len()).sum();
    let (median, most) =
        (counts.get(counts.len() / 2).copied().unwrap_or(0), counts.last().copied().unwrap_or(0));
    note(format!(
        "{} that show: {} of {}; causes per bug: median {median}, at most {most}",
        count(counts.len(), "bug"),
        count(findings, "finding"),
        count(counts.iter().sum::<usize>(), "cause"),
    ));
}
