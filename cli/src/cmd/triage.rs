//! `mkwrite triage`: a folder of what fuzzers and hunts have left, as a list of bugs with a small
//! case for each.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use mkwrite_model::implementation::Filesystem;
use mkwrite_report::triage::{Remark, Status, Triage, page};
use mkwrite_report::{count, junit, sarif};

use super::stop_on_interrupt;
use crate::output::{self, BOLD, DIM, GREEN, RED, note, print_table};
use crate::sorting::Sorting;
use crate::{Exit, files};

/// Sort what fuzzers and hunts have left: replay it, one row per bug, one small case for each
///
/// Folders are searched for .mkw files, for libFuzzer's crash-*, leak-*, oom-*, timeout-* and
/// slow-unit-*, and for AFL++'s id:*, except below a folder `queue`, unless DIR is or lies in it;
/// links to folders and hidden folders are passed over. A file that is named here is taken whatever
/// its name. A .mkw file runs on the pairs that it names, anything else on those of a hunt. A file
/// that cannot be read is listed and skipped.
///
/// Each bug's case is on disk as soon as it is found, and is replaced by a smaller one when there
/// is one; Ctrl-C ends with what there is. `fixed` is a file that says what it breaks and no longer
/// does.
#[derive(clap::Args)]
pub struct Args {
    /// Folders, or files
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// Where to write a case for each bug, and the report
    #[arg(long, default_value = "triage", value_name = "DIR")]
    out: PathBuf,
    /// Threads (all cores without it)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Shrink no file for longer than this; the result then depends on the speed of the machine
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    seconds_per_case: Option<u64>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// Write a page for browsers
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write SARIF 2.1.0, for code scanning
    #[arg(long, value_name = "FILE")]
    sarif: Option<PathBuf>,
    /// Write JUnit XML, for CI
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// Runs the subcommand.
pub fn run<F: Filesystem>(args: &Args) -> Result<Exit> {
    for folder in &args.folders {
        std::fs::metadata(folder)
            .map_err(|error| anyhow!("{}: {error}", folder.display()))
            .context("give a folder of artifacts or .mkw files")?;
    }
    let report = Sorting {
        folders: args.folders.clone(),
        out: args.out.clone(),
        limit: args.seconds_per_case.map(Duration::from_secs),
        jobs: args.jobs.map_or_else(super::jobs, usize::from),
    }
    .run::<F>(&*stop_on_interrupt()?)?;
    write(args, &report)?;
    if args.json {
        output::json(&report)?;
    } else {
        print(args, &report);
    }
    Ok(if !report.broken.is_empty() {
        Exit::Model
    } else if report.interrupted {
        Exit::Interrupted
    } else if report.is_good() {
        Exit::Good
    } else {
        Exit::Breach
    })
}

/// Writes the report in every form that is wanted.
fn write(args: &Args, report: &Triage) -> Result<()> {
    files::write(&args.out.join("triage.json"), &serde_json::to_vec_pretty(report)?)?;
    if let Some(path) = &args.html {
        files::write(path, page(report, files::linker(path)?).as_bytes())?;
    }
    if let Some(path) = &args.sarif {
        files::write(path, &serde_json::to_vec_pretty(&sarif::log(report, &[]))?)?;
    }
    if let Some(path) = &args.junit {
        files::write(path, junit::xml(report, &[])?.as_bytes())?;
    }
    Ok(())
}

fn print(args: &Args, report: &Triage) {
    let header =
        ["implementation", "caller", "rule", "point", "status", "files", "operations", "replay"];
    let mut table = output::table(header);
    for cluster in &report.clusters {
        table.add_row([
            cluster.implementation.clone(),
            cluster.caller.clone(),
            cluster.rule.clone(),
            cluster.point.clone(),
            cluster.standing(),
            cluster.cases.to_string(),
            cluster.operations.to_string(),
            format!("{} {}", report.replay, cluster.file),
        ]);
    }
    if report.clusters.is_empty() {
        output::line(format!("{GREEN}no rule was broken{GREEN:#}"));
    } else {
        print_table(&table);
    }
    for Remark { file, reason } in &report.broken {
        note(format!("{RED}the model is broken{RED:#} by {file}: {reason}"));
    }
    for Remark { file, reason } in &report.skipped {
        note(format!("{BOLD}skipped{BOLD:#} {file}: {reason}"));
    }
    let [new, fixed] = [Status::New, Status::Fixed].map(|status| report.count(status));
    let style = if new + fixed > 0 { RED } else { GREEN };
    note(format!(
        "{BOLD}{}{BOLD:#}, {} in {:.1} s; {}, {style}{new} NEW, {fixed} fixed{style:#}; \
         {} skipped, {} not named like cases; cases in {DIM}{}{DIM:#}",
        count(report.files.len(), "file"),
        count(report.runs, "run"),
        report.seconds,
        count(report.clusters.len() - fixed, "signature"),
        report.skipped.len(),
        report.ignored.len(),
        args.out.display(),
    ));
    if let Some(cluster) = report.clusters.last() {
        note(format!("{DIM}{} explain {}{DIM:#}", output::program(), cluster.file));
    }
}
