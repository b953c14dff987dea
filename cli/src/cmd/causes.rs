//! `mkwrite causes`: how well findings are folded. A bug is planted and hunted, and what is NEW
//! should be one cause; of two bugs at once it should be two.

use anyhow::Result;
use mkwrite_explain::causes::{Cause, Finding, fold};
use mkwrite_explain::parallel::each;
use mkwrite_model::implementation::{Filesystem, Pair};
use mkwrite_model::plant::{Plant, Plants};
use mkwrite_oracle::ledger::Ledger;
use mkwrite_report::count;
use mkwrite_search::plants::{due_to, found};

use crate::Exit;
use crate::files;
use crate::names::{implementations, plant};
use crate::output::{self, note, print_table};

/// Plant each bug, hunt it, and fold what is NEW: into how many causes?
///
/// On the implementation that the bug is meant for or, with --all-pairs, on all pairs of the
/// default hunt.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these bugs (see `list plants`)
    #[arg(long = "plant", value_delimiter = ',', value_name = "NAME")]
    plants: Vec<String>,
    /// On all pairs of the default hunt at once, instead of the one that the bug is meant for
    #[arg(long)]
    all_pairs: bool,
    /// Two bugs at once: each with so many of those that follow it in the list and are meant for the
    /// same implementation
    #[arg(long, value_name = "N", conflicts_with = "all_pairs")]
    two: Option<usize>,
    /// Cases per hunt
    #[arg(long, value_name = "N", default_value_t = 4000, value_parser = clap::value_parser!(u64).range(1..))]
    cases: u64,
    /// The seed
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
}

/// What came of one bug, or of two.
struct Folded<F: Filesystem> {
    plants: Vec<Plant>,
    shown: Vec<Finding<F>>,
    causes: Vec<Cause>,
    /// Of each finding which of two bugs show it alone; of one bug nothing.
    due_to: Vec<Plants>,
}

impl<F: Filesystem> Folded<F> {
    /// Some cause has findings of each of two bugs that the other does not show.
    fn is_mixed(&self) -> bool {
        let has = |cause: &Cause, plant: &Plant| {
            cause.findings.iter().any(|n| self.due_to.get(*n) == Some(&(*plant).into()))
        };
        self.causes.iter().any(|cause| self.plants.iter().all(|plant| has(cause, plant)))
    }

    /// Both of two bugs have findings of their own.
    fn both_show(&self) -> bool {
        self.plants.iter().all(|plant| self.due_to.contains(&(*plant).into()))
    }
}

/// Runs the subcommand.
pub(crate) fn run<F: Filesystem>(args: &Args) -> Result<Exit> {
    let ledger = files::own_ledger::<F>()?;
    let plants: Vec<Plant> = match args.plants.as_slice() {
        [] => Plant::ALL.to_vec(),
        names => names.iter().map(|name| plant(name)).collect::<Result<_>>()?,
    };
    let sets: Vec<Vec<Plant>> = match args.two {
        None => plants.iter().map(|plant| vec![*plant]).collect(),
        Some(count) => twos(&plants, count),
    };
    let bar = output::counter(sets.len());
    let results = each(super::jobs(), sets.len(), |n| {
        let folded = folded(args, &ledger, sets[n].clone());
        bar.inc(1);
        folded
    });
    bar.finish_and_clear();
    print(&results);
    if args.two.is_some() {
        let both = results.iter().filter(|folded| folded.both_show()).count();
        let mixed = results.iter().filter(|folded| folded.is_mixed()).count();
        let pairs = count(both, "pair");
        note(format!("{pairs} of bugs of which both show: {mixed} with a cause that mixes them"));
    }
    Ok(Exit::Good)
}

/// Each bug with so many of those that follow and are meant for the same implementation.
fn twos(plants: &[Plant], count: usize) -> Vec<Vec<Plant>> {
    let with = |n: usize| {
        let own = plants[n].implementation();
        let others = plants[n + 1..].iter().filter(move |other| other.implementation() == own);
        others.take(count).map(move |other| vec![plants[n], *other])
    };
    (0..plants.len()).flat_map(with).collect()
}

/// Plants these bugs, hunts them, and folds what is NEW.
fn folded<F: Filesystem>(args: &Args, ledger: &Ledger<F>, plants: Vec<Plant>) -> Folded<F> {
    let own = || -> Vec<Pair<F>> {
        implementations(&[plants[0].implementation().to_owned()])
            .map(|found| found.into_iter().map(Pair::natural).collect())
            .unwrap_or_default()
    };
    let pairs = if args.all_pairs { ledger.default_pairs() } else { own() };
    let shown = found(ledger, &plants, &pairs, (args.seed, args.cases));
    let causes = fold(ledger, &shown);
    let due_to = match args.two {
        Some(_) => shown.iter().map(|one| due_to(ledger, one)).collect(),
        None => Vec::new(),
    };
    Folded { plants, shown, causes, due_to }
}

fn print<F: Filesystem>(results: &[Folded<F>]) {
    let mut table = output::table(["bug", "findings", "causes", "the causes"]);
    for folded in results {
        let Folded { plants, shown, causes, .. } = folded;
        let about = |cause: &Cause| {
            let Finding { signature, breach, .. } = &shown[cause.root];
            format!("{} at {} ({})", signature.rule.id(), breach.point.name(), cause.findings.len())
        };
        let about: Vec<String> = causes.iter().map(about).collect();
        let names: Vec<&str> = plants.iter().map(|plant| plant.name()).collect();
        let mixed = if folded.is_mixed() { " MIXED" } else { "" };
        table.add_row([
            names.join(" + ") + mixed,
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
