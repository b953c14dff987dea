//! `mkwrite bugs`: does a hunt from nothing find the bugs that kernels had?

use anyhow::Result;
use mkwrite_model::implementation::Filesystem;
use mkwrite_report::count;
use mkwrite_report::json::bugs as json;
use mkwrite_search::bugs::{Bug, Hit, How, Row, all, table};

use crate::output::{self, GREEN, RED, hanging, line, note};
use crate::{Exit, files};

/// Hunt bugs that kernels had, each from nothing: in how many cases are they found?
///
/// A bug is an old version's own (an entry of the ledger), or planted into a version that never had
/// it; some cannot be said yet, and the table says why. Exit code 1 if one is not found with some
/// seed, or is found at the version that mended it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these bugs
    #[arg(value_name = "NAME")]
    bugs: Vec<String>,
    /// Hunts of each bug, with the seeds 1 to N
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u64).range(1..=100))]
    seeds: u64,
    /// Cases of a hunt at the most
    #[arg(long, value_name = "N", default_value_t = 200_000, value_parser = clap::value_parser!(u64).range(1..))]
    cases: u64,
    /// Threads (all cores without it)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Print the table as it stands in docs/bugs.md
    #[arg(long, conflicts_with = "json")]
    markdown: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub(crate) fn run<F: Filesystem>(args: &Args) -> Result<Exit> {
    let ledger = files::own_ledger::<F>()?;
    let known = all(&ledger)?;
    let names = || known.iter().map(|bug| &*bug.name);
    if let Some(name) = args.bugs.iter().find(|name| names().all(|known| known != **name)) {
        return Err(crate::names::unknown("bug", name, names()));
    }
    let is_asked = |bug: &Bug<F>| args.bugs.is_empty() || args.bugs.contains(&bug.name);
    let bugs: Vec<Bug<F>> = known.iter().filter(|bug| is_asked(bug)).cloned().collect();
    let hunts = bugs.iter().filter(|bug| !matches!(bug.how, How::Out(_))).count();
    let bar = output::counter(hunts * args.seeds as usize);
    let jobs = args.jobs.map_or_else(super::jobs, usize::from);
    let rows = table(&ledger, bugs, (args.seeds, args.cases), jobs, &|| bar.inc(1));
    bar.finish_and_clear();
    let bad = rows.iter().filter(|row| !row.is_good()).count();
    if args.json {
        let bugs = rows.iter().map(report).collect();
        output::document(&json::Bugs { seeds: args.seeds, cases: args.cases, bugs })?;
    } else if args.markdown {
        line(markdown(&rows).trim_end());
    } else {
        rows.iter().for_each(print);
    }
    if !args.json {
        let style = if bad == 0 { GREEN } else { RED };
        let (all, out) = (count(rows.len(), "bug"), rows.len() - hunts);
        note(format!(
            "{all}, of which {out} cannot be said: {style}{bad} not as they should{style:#}"
        ));
    }
    Ok(if bad == 0 { Exit::Good } else { Exit::Breach })
}

/// The hit in the middle, of those that there are.
fn median<F>(row: &Row<F>) -> Option<&Hit> {
    let mut hits: Vec<&Hit> = row.hits.iter().flatten().collect();
    hits.sort_by_key(|hit| hit.cases);
    hits.get(hits.len() / 2).copied()
}

fn place<F: Filesystem>(how: &How<F>) -> String {
    match how {
        How::Own { on, entry, .. } => format!("{}, entry {entry}", on.name()),
        How::Planted { on, plant } => format!("{}, plant {}", on.name(), plant.name()),
        How::Out(why) => why.clone(),
    }
}

fn found<F>(row: &Row<F>) -> String {
    format!("{} of {}", row.hits.iter().flatten().count(), row.hits.len())
}

fn mended<F: Filesystem>(row: &Row<F>) -> String {
    match (&row.bug.how, row.still_there) {
        (How::Own { mended: Some(fs), .. }, false) => format!("not on {}", fs.name()),
        (How::Own { mended: Some(fs), .. }, true) => format!("ALSO on {}", fs.name()),
        _ => String::new(),
    }
}

fn print<F: Filesystem>(row: &Row<F>) {
    let style = if row.is_good() { GREEN } else { RED };
    let result = match (&row.bug.how, median(row)) {
        (How::Out(_), _) => "cannot be said".to_owned(),
        (_, None) => format!("{style}not found{style:#}"),
        (_, Some(hit)) => format!(
            "{style}found {}{style:#}, {} after {} ({:.1} s), {}",
            found(row),
            hit.rule.id(),
            count(hit.cases as usize, "case"),
            hit.time.as_secs_f64(),
            count(hit.case.operations().count(), "operation"),
        ),
    };
    let mended = mended(row);
    let result = if mended.is_empty() { result } else { format!("{result}; {mended}") };
    hanging(format!("{}: {}", row.bug.name, row.bug.what), 4);
    for text in [place(&row.bug.how), result] {
        hanging(format!("    {text}"), 4);
    }
}

fn markdown<F: Filesystem>(rows: &[Row<F>]) -> String {
    let mut text =
        "| bug | source | here | found | rule | median cases | seconds | operations | |\n\
                    | --- | --- | --- | --- | --- | --- | --- | --- | --- |\n"
            .to_owned();
    for row in rows.iter().filter(|row| !row.hits.is_empty()) {
        let of_hit = median(row).map_or_else(String::new, |hit| {
            format!(
                "{} | {} | {:.1} | {}",
                hit.rule.id(),
                hit.cases,
                hit.time.as_secs_f64(),
                hit.case.operations().count()
            )
        });
        let of_hit = if of_hit.is_empty() { " | | | ".to_owned() } else { of_hit };
        let Bug { name, what, source, how } = &row.bug;
        text += &format!(
            "| **{name}**: {what} | {source} | {} | {} | {of_hit} | {} |\n",
            place(how),
            found(row),
            mended(row)
        );
    }
    text += "\n| bug | source | why it cannot be said |\n| --- | --- | --- |\n";
    for row in rows.iter().filter(|row| row.hits.is_empty()) {
        let Bug { name, what, source, how } = &row.bug;
        text += &format!("| **{name}**: {what} | {source} | {} |\n", place(how));
    }
    text
}

fn report<F: Filesystem>(row: &Row<F>) -> json::Bug {
    let hit = median(row);
    let (implementation, entry, plant, out) = match &row.bug.how {
        How::Own { on, entry, .. } => (Some(on.name()), Some(entry.clone()), None, None),
        How::Planted { on, plant } => (Some(on.name()), None, Some(plant.name()), None),
        How::Out(why) => (None, None, None, Some(why.clone())),
    };
    json::Bug {
        name: row.bug.name.clone(),
        what: row.bug.what.clone(),
        source: row.bug.source.clone(),
        implementation,
        entry,
        plant,
        out,
        hunts: row.hits.len(),
        found: row.hits.iter().flatten().count(),
        still_there: row.still_there,
        rule: hit.map(|hit| hit.rule.id()),
        median_cases: hit.map(|hit| hit.cases),
        median_seconds: hit.map(|hit| hit.time.as_secs_f64()),
        operations: hit.map(|hit| hit.case.operations().count()),
    }
}
