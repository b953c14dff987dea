//! `mkwrite shrink`: makes a case smaller, and keeps what it breaks.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use indicatif::{ProgressBar, ProgressStyle};
use mkwrite_explain::explain::{explain, with_stops};
use mkwrite_explain::shrink::{Axis, Goal, Shrinker, Size, shrink};
use mkwrite_model::Target;
use mkwrite_model::case::Case;
use mkwrite_model::implementation::Registry;
use mkwrite_model::text::Document;
use mkwrite_oracle::ledger::{Expected, Ledger, Signature};
use mkwrite_oracle::run::{How, Runner};
use mkwrite_oracle::verdict::{expectations, judge};
use serde_json::json;

use super::stop_on_interrupt;
use super::subject::Subject;
use crate::output::{self, BOLD, DIM, line, note};
use crate::{Exit, files, finding};

/// Shrink a case, and keep what it breaks
///
/// A case that says what it expects is held to all of it, on each pair that it names. Any other is held to one
/// signature (rule, implementation, caller, point): the first breach that the ledger does not list, or else the
/// first; choose another with --rule, --impl and --caller. Ctrl-C keeps the best so far.
#[derive(clap::Args)]
pub struct Args {
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

/// What is held while the case shrinks.
pub enum Held<R> {
    /// All that the document says.
    Document(Vec<Target<R>>),
    /// One signature.
    Signature(Target<R>, Signature),
}

impl<R: Registry> Held<R> {
    /// What it runs on.
    pub fn targets(&self) -> &[Target<R>] {
        match self {
            Held::Document(targets) => targets,
            Held::Signature(target, _) => std::slice::from_ref(target),
        }
    }

    /// The goal, of a case that stands in `document`.
    pub fn goal<'a>(&'a self, document: &'a Document) -> Goal<'a, R> {
        match self {
            Held::Document(targets) => Goal::Document(&document.expects, targets),
            Held::Signature(target, signature) => Goal::Signature(*target, *signature),
        }
    }

    /// The document of a smaller case: what it runs on, and what breaks there.
    pub fn document(&self, document: &Document, case: Case) -> Document {
        let mut smaller = document.clone();
        smaller.set_case(case);
        finding::set_targets(&mut smaller, self.targets());
        if let Held::Signature(target, _) = self {
            let mut runner = Runner::default();
            runner.run(*target, &smaller.case, How::Own);
            smaller.expects = expectations(&runner.judge);
        }
        smaller
    }
}

/// Runs the subcommand.
pub fn run<R: Registry>(args: &Args) -> Result<Exit> {
    let mut document = args.subject.read::<R>()?;
    let (ledger, mut runner) = (Ledger::<R>::own(), Runner::default());
    let held = hold(&args.subject, args.rule.as_deref(), &ledger, &mut runner, &mut document)?;
    let goal = held.goal(&document);
    let output = args.output.clone().unwrap_or_else(|| args.subject.file.with_extension("min.mkw"));
    let jobs = args.jobs.map_or_else(super::jobs, usize::from);
    let (before, start) = (document.case.clone(), Instant::now());

    // Whatever happens, the best so far is on disk.
    let save = |case: &Case| {
        let smaller = held.document(&document, case.clone());
        files::write(&output, smaller.to_string().as_bytes())
    };
    save(&before)?;
    let failed = Mutex::new(None);
    let stop = stop_on_interrupt()?;
    let bar = ProgressBar::new_spinner();
    bar.set_style(ProgressStyle::with_template("{spinner} {msg}").expect("a valid template"));
    bar.enable_steady_tick(Duration::from_millis(100));
    let case = shrink(&before, &goal, &ledger, jobs, &stop, &|better| {
        let size = Size::of(better);
        bar.set_message(format!("{} operations, {} preemptions", size.operations, size.preemptions));
        if let Err(error) = save(better) {
            failed.lock().expect("no thread panics here").get_or_insert(error);
        }
    });
    bar.finish_and_clear();
    if let Some(error) = failed.into_inner().expect("no thread panics here") {
        return Err(error);
    }
    let interrupted = stop.load(Ordering::Relaxed);
    let left = if interrupted { Vec::new() } else { Shrinker::new(&mut runner, goal, &ledger).not_minimal(&case) };
    report(args, &output, &before, &case, &left, interrupted, start.elapsed())?;
    if !args.json {
        let smaller = held.document(&document, case);
        for sentence in explain(&mut runner, &ledger, held.targets()[0], &smaller, None).story {
            line(format!("  {sentence}"));
        }
        let program = output::program();
        note(format!("{DIM}{program} explain {}{DIM:#}", output.display()));
    }
    Ok(if interrupted { Exit::Interrupted } else { Exit::Good })
}

/// Decides what is held: by name, or else all that the document expects, or else its first breach that the ledger
/// does not list, or its first one. The document's case gets a schedule by stops.
pub fn hold<R: Registry>(
    subject: &Subject,
    rule: Option<&str>,
    ledger: &Ledger<R>,
    runner: &mut Runner<R>,
    document: &mut Document,
) -> Result<Held<R>> {
    let chosen = subject.is_chosen() || rule.is_some();
    let targets = subject.targets(document)?;
    let rule = rule.map(crate::names::rule).transpose()?;
    if !chosen && !document.runs.is_empty() && !document.expects.is_empty() {
        for target in &targets {
            let judged = judge(runner, ledger, *target, document);
            if let Some(missing) = judged.missing.first() {
                return Err(anyhow!("the case does not show what it expects: `{missing}` on {}", target.pair)
                    .context("give --rule, --impl or --caller to hold something else"));
            }
        }
        document.case = with_stops(runner, targets[0], &document.case);
        return Ok(Held::Document(targets));
    }
    let mut best: Option<(Target<R>, Signature)> = None;
    for target in targets {
        runner.run(target, &document.case, How::Own);
        let mut classifier = ledger.classify(target);
        for breach in runner.judge.breaches() {
            let expected = classifier.next(&breach);
            let better = match best {
                None => true,
                Some((_, signature)) => signature.expected != Expected::No && expected == Expected::No,
            };
            if better && rule.is_none_or(|rule| rule == breach.rule) {
                best = Some((target, Signature { point: Some(breach.point), ..ledger.signature(&breach, expected) }));
            }
        }
    }
    let Some((target, signature)) = best else {
        bail!("{}: the case breaks nothing that could be held", subject.file.display());
    };
    document.case = with_stops(runner, target, &document.case);
    let mut shrinker = Shrinker::new(runner, Goal::Signature(target, signature), ledger);
    if !shrinker.shows(&document.case) {
        return Err(anyhow!("the schedule does not repeat as stops")).context("report this: it is a bug of mkwrite");
    }
    Ok(Held::Signature(target, signature))
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
        let axes = Axis::ALL.iter().map(|axis| (axis.name().to_owned(), json!(minimal(*axis))));
        let size = |size: &Size| json!({ "operations": size.operations, "preemptions": size.preemptions, "actors": size.actors });
        return output::json(&json!({
            "schema": output::SCHEMA,
            "file": output.display().to_string(),
            "before": size(&from),
            "after": size(&to),
            "minimal": axes.collect::<serde_json::Value>(),
            "interrupted": interrupted,
            "seconds": elapsed.as_secs_f64(),
        }));
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
    let names: Vec<&str> = Axis::ALL.iter().filter(|axis| minimal(**axis)).map(|axis| axis.name()).collect();
    line(match (interrupted, names.len() == Axis::ALL.len()) {
        (true, _) => "  interrupted: the best so far".to_owned(),
        (_, true) => "  1-minimal on every axis: actors, operations, preemptions, sizes, implementations".to_owned(),
        (_, false) => format!("  1-minimal in {}; smaller on the others only with another schedule", names.join(", ")),
    });
    Ok(())
}
