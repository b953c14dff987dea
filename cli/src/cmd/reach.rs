//! `mkwrite reach`: how often cases reach the shapes that bugs need.

use anyhow::{Context, Result};
use mkwrite_model::implementation::Filesystem;
use mkwrite_report::json::reach as json;
use mkwrite_search::shapes::{Reach, SUBJECTS, Shape, measure};

use crate::Exit;
use crate::output::{self, RED, line, note, print_table};

/// Count how often cases reach shapes: states and orders of operations that some kind of bug needs
///
/// Cases are those of a hunt without feedback. The number behind a slash is the bound: exit code 1
/// says that some shape comes up less often. `-`: it cannot come up there.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// So many cases
    #[arg(long, default_value_t = 100_000, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    cases: u64,
    /// The seed
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Print a table for documents
    #[arg(long)]
    markdown: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub(crate) fn run<F: Filesystem>(args: &Args) -> Result<Exit> {
    let missing =
        || format!("shapes are counted on {}, which are not all here", SUBJECTS.join(", "));
    let reach = measure::<F>(args.seed, args.cases).with_context(missing)?;
    if args.json {
        output::document(&document(args, &reach))?;
    } else if args.markdown {
        line(format!("| shape | {} | what |", SUBJECTS.join(" | ")));
        line(format!("| --- {}| --- |", "| ---: ".repeat(SUBJECTS.len())));
        for shape in Shape::ALL {
            line(format!(
                "| `{}` | {} | {} |",
                shape.name(),
                cells(&reach, *shape).join(" | "),
                shape.help()
            ));
        }
    } else {
        let mut table = output::table(["shape"].into_iter().chain(SUBJECTS).chain(["what"]));
        for shape in Shape::ALL {
            let row = std::iter::once(shape.name().to_owned()).chain(cells(&reach, *shape));
            table.add_row(row.chain([shape.help().to_owned()]));
        }
        print_table(&table);
    }
    let runs = args.cases * SUBJECTS.len() as u64;
    note(format!(
        "{} cases, seed {}, {:.1} steps per run",
        args.cases,
        args.seed,
        reach.steps as f64 / runs as f64
    ));
    for (shape, subject) in reach.rare() {
        note(format!("{RED}too rare{RED:#}: {} on {}", shape.name(), SUBJECTS[subject]));
    }
    Ok(if reach.rare().next().is_none() { Exit::Good } else { Exit::Breach })
}

/// The counts of a shape with their bounds.
fn cells(reach: &Reach, shape: Shape) -> Vec<String> {
    let cell =
        |subject: usize| match (reach.counts[shape as usize][subject], reach.bound(shape, subject))
        {
            (_, 0) => "-".to_owned(),
            (count, bound) => format!("{count} / {bound}"),
        };
    (0..SUBJECTS.len()).map(cell).collect()
}

fn document(args: &Args, reach: &Reach) -> json::Reach {
    let count = |shape: Shape, subject: usize| json::Count {
        cases: reach.counts[shape as usize][subject],
        bound: reach.bound(shape, subject),
    };
    let shape = |shape: &Shape| json::Shape {
        name: shape.name(),
        what: shape.help(),
        on: SUBJECTS
            .iter()
            .enumerate()
            .map(|(subject, name)| (*name, count(*shape, subject)))
            .collect(),
    };
    let shapes = Shape::ALL.iter().map(shape).collect();
    json::Reach { cases: args.cases, seed: args.seed, steps: reach.steps, shapes }
}
