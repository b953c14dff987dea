//! `mkwrite shrink`: makes a case smaller, and keeps what it breaks.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use mkwrite_explain::explain::explain;
use mkwrite_explain::parallel::Until;
use mkwrite_explain::shrink::{Axis, Shrinker, Size, shrink};
use mkwrite_model::case::Case;
use mkwrite_model::implementation::Filesystem;
use mkwrite_oracle::run::Runner;
use mkwrite_report::json::shrink::Shrink;

use super::stop_on_interrupt;
use super::subject::Subject;
use crate::output::{self, BOLD, DIM, hanging, line, note};
use crate::{Exit, files, names};

/// Shrink a case, and keep what it breaks
///
/// A case that says what it expects is held to all of it, on each pair that it names. Any other is
/// held to one signature (rule, implementation, caller, point): the first breach that the ledger
/// does not list, or else the first; choose another with --rule, --impl and --caller. Ctrl-C keeps
/// the best so far.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    subject: Subject,
    /// Write the result here instead of FILE.min.mkw
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Hold a breach of this rule
    #[arg(long, value_name = "RULE")]
    rule: Option<String>,
    /// Threads
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..))]
    jobs: Option<u16>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub(crate) fn run<F: Filesystem>(args: &Args) -> Result<Exit> {
    let mut document = args.subject.read::<F>()?;
    let (ledger, mut runner) = (files::own_ledger::<F>()?, Runner::default());
    let rule = args.rule.as_deref().map(names::rule).transpose()?;
    let goal = args.subject.goal(rule, &ledger, &mut runner, &mut document)?;
    let output = args.output.clone().unwrap_or_else(|| args.subject.file.with_extension("min.mkw"));
    files::refuse_same(&args.subject.file, &output)?;
    let jobs = args.jobs.map_or_else(super::jobs, usize::from);
    let (before, start) = (document.case.clone(), Instant::now());

    // Whatever happens, the best so far is on disk.
    let save = |case: &Case| {
        let smaller = goal.document(&document, case.clone());
        files::write(&output, smaller.to_string().as_bytes())
    };
    save(&before)?;
    let failed = Mutex::new(None);
    let stop = stop_on_interrupt()?;
    let bar = ProgressBar::new_spinner();
    bar.set_style(ProgressStyle::with_template("{spinner} {msg}").expect("a valid template"));
    bar.enable_steady_tick(Duration::from_millis(100));
    let case = shrink(&before, &goal, &ledger, jobs, Until::from(&*stop), &|better| {
        let size = Size::of(better);
        bar.set_message(format!(
            "{} operations, {} preemptions",
            size.operations, size.preemptions
        ));
        if let Err(error) = save(better) {
            failed.lock().expect("no thread panics here").get_or_insert(error);
        }
    });
    bar.finish_and_clear();
    if let Some(error) = failed.into_inner().expect("no thread panics here") {
        return Err(error);
    }
    let interrupted = stop.load(Ordering::Relaxed);
    let left = if interrupted {
        Vec::new()
    } else {
        Shrinker::new(&mut runner, goal.clone(), &ledger).not_minimal(&case)
    };
    report(args, &output, &before, &case, &left, interrupted, start.elapsed())?;
    if !args.json {
        let smaller = goal.document(&document, case);
        for sentence in explain(&mut runner, &ledger, goal.targets()[0], &smaller, None).story {
            hanging(format!("  {sentence}"), 2);
        }
        let program = output::program();
        note(format!("{DIM}{program} explain {}{DIM:#}", output.display()));
    }
    Ok(if interrupted { Exit::Interrupted } else { Exit::Good })
}

fn report(
    args: &Args,
    output: &Path,
    before: &Case,
    after: &Case,
    left: &[(Axis, Case)],
    interrupted: bool,
    elapsed: Duration,
) -> Result<()> {
    let (from, to) = (Size::of(before), Size::of(after));
    let minimal = |axis: Axis| !interrupted && left.iter().all(|(other, _)| *other != axis);
    if args.json {
        return output::document(&Shrink {
            file: output.display().to_string(),
            before: (&from).into(),
            after: (&to).into(),
            minimal: Axis::ALL.iter().map(|axis| (axis.name(), minimal(*axis))).collect(),
            interrupted,
            seconds: elapsed.as_secs_f64(),
        });
    }
    line(format!(
        "{BOLD}{}{BOLD:#}: {} → {} operations, {} → {} preemptions, {} → {} actors",
        output.display(),
        from.operations,
        to.operations,
        from.preemptions,
        to.preemptions,
        from.actors,
        to.actors,
    ));
    let names: Vec<&str> =
        Axis::ALL.iter().filter(|axis| minimal(**axis)).map(|axis| axis.name()).collect();
    line(match (interrupted, names.len() == Axis::ALL.len()) {
        (true, _) => "  interrupted: the best so far".to_owned(),
        (_, true) => format!("  1-minimal on every axis: {}", names.join(", ")),
        (_, false) => format!(
            "  1-minimal in {}; smaller on the others only with another schedule",
            names.join(", ")
        ),
    });
    Ok(())
}
