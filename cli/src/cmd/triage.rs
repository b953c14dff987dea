//! `mkwrite triage`: folders of what fuzzers and hunts have left, as a list of causes with a small
//! case for each.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use mkwrite_model::implementation::Filesystem;
use mkwrite_report::triage::{Remark, SHOWN, Status, Triage, more, page};
use mkwrite_report::{count, junit, sarif};

use super::stop_on_interrupt;
use crate::output::{self, BOLD, DIM, GREEN, RED, note, prose};
use crate::sorting::Sorting;
use crate::{Exit, causes, files};

/// Sort what fuzzers and hunts have left: replay it, one row per cause, one small case for each
///
/// Findings that most likely are one defect are one cause (docs/causes.md); each finding has its
/// case in DIR, and each cause that is NEW a page that explains it, of the first 20. Several
/// folders, such as those of the shards of one hunt, are merged.
///
/// Folders are searched for .mkw files, for libFuzzer's crash-*, leak-*, oom-*, timeout-* and
/// slow-unit-*, and for AFL++'s id:*, except below a folder `queue`, unless DIR is or lies in it;
/// links to folders and hidden folders are passed over. A file that is named here is taken whatever
/// its name. A .mkw file runs on the pairs that it names, anything else on those of a hunt. A file
/// that cannot be read is listed and skipped.
///
/// Each finding's case is on disk as soon as it is found, and is replaced by a smaller one when there
/// is one; Ctrl-C ends with what there is. `fixed` is a file that says what it breaks and no longer
/// does.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Folders, or files
    #[arg(required = true, value_name = "DIR")]
    folders: Vec<PathBuf>,
    /// Where to write a case for each finding, and the report
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
pub(crate) fn run<F: Filesystem>(args: &Args) -> Result<Exit> {
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
    if report.causes.is_empty() {
        output::line(format!("{GREEN}no rule was broken{GREEN:#}"));
    } else {
        causes::print(report.causes.iter().map(|cause| &cause.about), |_| String::new());
    }
    for page in report.causes.iter().filter_map(|cause| cause.page.as_ref()) {
        note(format!("explained in {page}"));
    }
    for file in report.harmless().take(SHOWN) {
        note(format!("{BOLD}breaks nothing{BOLD:#} {}", one_line(file)));
    }
    if let Some(more) = more(report.harmless().count()) {
        note(format!("{BOLD}breaks nothing{BOLD:#} {more}"));
    }
    for Remark { file, reason } in &report.broken {
        note(format!("{RED}the model is broken{RED:#} by {}: {reason}", one_line(file)));
    }
    for Remark { file, reason } in &report.skipped {
        note(format!("{BOLD}skipped{BOLD:#} {}: {reason}", one_line(file)));
    }
    let [new, fixed] = [Status::New, Status::Fixed].map(|status| report.count(status));
    let style = if new + fixed > 0 { RED } else { GREEN };
    let found = report.clusters.iter().filter(|one| one.status != Status::Fixed).count();
    prose(format!(
        "{BOLD}{}{BOLD:#}, {} in {:.1} s; {} of {}, {style}{new} NEW, {fixed} fixed{style:#}; \
         {} skipped, {} not named like cases; cases in {DIM}{}{DIM:#}",
        count(report.files.len(), "file"),
        count(report.runs, "run"),
        report.seconds,
        count(found, "finding"),
        count(report.causes.len() - fixed, "cause"),
        report.skipped.len(),
        report.ignored.len(),
        args.out.display(),
    ));
}

/// A path that does not break the line.
fn one_line(file: &str) -> String {
    file.replace(char::is_control, "?")
}
