//! `mkwrite explain`: what a case breaks, step by step, in words and pictures.

use std::path::PathBuf;
use std::time::Duration;

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use mkwrite_explain::explain::{Explanation, explain, with_stops};
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::text::Document;
use mkwrite_oracle::run::Runner;
use mkwrite_report::json::explain::Explain;
use mkwrite_report::{count, html, svg, terminal};

use super::subject::Subject;
use crate::output::{self, hanging, line, note};
use crate::{Exit, files};

/// Explain what a case breaks: what was lost, when, and between which two steps the race lies
///
/// One column per task and one row per step, with every change of state; then the nearest schedule
/// that breaks nothing. A case that names several pairs is explained on the first, or on the one
/// given here.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    subject: Subject,
    /// Show every step, also those that change nothing
    #[arg(long)]
    all: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// Write a page for browsers, in one file
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// Write a picture of the race window
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

/// Runs the subcommand.
pub(crate) fn run<F: Filesystem>(args: &Args) -> Result<Exit> {
    let document = args.subject.read::<F>()?;
    let (ledger, mut runner) = (files::own_ledger::<F>()?, Runner::default());
    let target = args.subject.target(&ledger, &document)?;
    let case = with_stops(&mut runner, target, &document.case);
    let document = Document { case, ..document };
    for file in [&args.html, &args.svg].into_iter().flatten() {
        files::refuse_same(&args.subject.file, file)?;
    }
    let bar = ProgressBar::new_spinner();
    bar.set_style(ProgressStyle::with_template("{spinner} {msg} {elapsed}").expect("a template"));
    let operations = count(document.case.operations().count(), "operation");
    bar.set_message(format!("explaining {operations}; `shrink` makes a case smaller"));
    bar.enable_steady_tick(Duration::from_millis(200));
    let explanation = explain(&mut runner, &ledger, target, &document, None);
    bar.finish_and_clear();
    let drawn = [(&args.html, html::page as fn(&Explanation) -> String), (&args.svg, svg::picture)];
    for (file, draw) in drawn {
        let Some(file) = file else { continue };
        files::write(file, draw(&explanation).as_bytes())?;
        note(format!("wrote {}", file.display()));
    }
    if args.json {
        output::document(&Explain::of(target, &explanation))?;
    } else {
        line(terminal::explanation_in(&explanation, args.all, output::width()).trim_end());
        if explanation.main.is_some() {
            print_next(args);
        }
    }
    Ok(Exit::Good)
}

/// What to look at next, as commands to copy.
fn print_next(args: &Args) {
    let (program, subject) = (output::program(), args.subject.in_words());
    let page = args.subject.file.with_extension("html");
    let (page, file) = (output::quoted(&page), output::quoted(&args.subject.file));
    let text = "next: a page to step through; all other filesystems and callers; older and newer \
                versions, and remedies; a smaller case; a regression test";
    line("");
    hanging(text, 6);
    let page = format!("explain {subject} --html {page}");
    let (others, smaller) = (format!("matrix {file}"), format!("shrink {subject}"));
    let (bisect, test) = (format!("bisect {subject}"), format!("file {subject} --name NAME"));
    for command in [page, others, bisect, smaller, test] {
        line(format!("  {program} {command}"));
    }
}
