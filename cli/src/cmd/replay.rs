//! `mkwrite replay`: runs cases as they are, and says what breaks.
//!
//! A schedule may have gone stale: a line names a point that does not exist any more, or one that
//! its task does not come to. Replay says which line, and where the case no longer shows what it
//! expects it offers a schedule that does.

use std::path::{Path, PathBuf};

use anyhow::Result;
use mkwrite_explain::rate::{Rate, rate};
use mkwrite_explain::realign::mend;
use mkwrite_model::Target;
use mkwrite_model::case::Schedule;
use mkwrite_model::exec::TaskId;
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::schedule::SchedulerKind;
use mkwrite_model::text::{Document, Stale};
use mkwrite_oracle::Rule;
use mkwrite_oracle::ledger::{Expected, Ledger};
use mkwrite_oracle::run::Runner;
use mkwrite_oracle::verdict::{Judged, Verdict, judge};
use mkwrite_report::json::replay as json;

use super::subject::{Switches, targets};
use crate::Exit;
use crate::files;
use crate::names::scheduler;
use crate::output::{self, DIM, GREEN, RED, YELLOW, hanging, line, note};

/// Replay cases and say which rules they break
///
/// A case runs on the pairs that its file names, or on those given here. It is as expected if all
/// that the file expects breaks, and nothing else that the ledger does not list.
///
/// With --times the operations run under fresh schedules, and replay says how often each signature
/// of the case's own schedule, or any other, comes of it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Cases: .mkw text, or bytes
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Run on these implementations instead of the file's
    #[arg(long = "impl", value_delimiter = ',', value_name = "NAME")]
    implementations: Vec<String>,
    /// Run under these callers instead of the file's
    #[arg(long = "caller", value_delimiter = ',', value_name = "NAME")]
    callers: Vec<String>,
    #[command(flatten)]
    switches: Switches,
    /// Print one line per step
    #[arg(long, conflicts_with = "times")]
    trace: bool,
    /// Run under this many fresh schedules instead
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    times: Option<u64>,
    /// The scheduler of --times (pos; see `list schedulers`)
    #[arg(long, value_name = "NAME", requires = "times")]
    scheduler: Option<String>,
    /// The seed of --times
    #[arg(long, value_name = "N", default_value_t = 1, requires = "times")]
    seed: u64,
    /// Write the case with a realigned schedule here, if its own has gone stale
    #[arg(long, value_name = "FILE", conflicts_with = "times")]
    realigned: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// A file that was read, and what it runs on.
struct Input<'a, F> {
    path: &'a Path,
    document: Document,
    stale: Vec<Stale>,
    targets: Vec<Target<F>>,
}

impl<F> Input<'_, F> {
    /// The lines of its schedule, if it is text.
    fn order_lines(&self) -> Vec<usize> {
        match files::is_text(self.path) {
            true => {
                let text = std::fs::read_to_string(self.path).unwrap_or_default();
                files::lines_of(&text, "order").collect()
            }
            false => Vec::new(),
        }
    }
}

/// Runs the subcommand.
pub(crate) fn run<F: Filesystem>(args: &Args) -> Result<Exit> {
    // Read everything before anything runs: bad input changes nothing.
    let ledger = files::own_ledger::<F>()?;
    let read = |path| {
        let (document, stale) = files::read_with_stale::<F>(path)?;
        let targets =
            targets(&ledger, &args.implementations, &args.callers, &args.switches, &document)?;
        Ok(Input { path, document, stale, targets })
    };
    let inputs = args.files.iter().map(|path| read(path)).collect::<Result<Vec<_>>>()?;
    match args.times {
        Some(times) => run_often(args, &ledger, times, &inputs),
        None => run_once(args, &ledger, &inputs),
    }
}

fn run_once<F: Filesystem>(
    args: &Args,
    ledger: &Ledger<F>,
    inputs: &[Input<'_, F>],
) -> Result<Exit> {
    let mut runner = Runner::default();
    let (mut exit, mut runs) = (Exit::Good, Vec::new());
    for input in inputs {
        let mut in_short = Vec::new();
        for target in &input.targets {
            let judged = judge(&mut runner, ledger, *target, &input.document);
            let missed = stale_lines(&mut runner, *target, input);
            let is_stale = !missed.is_empty() && is_own_pair(&input.document, *target);
            let realigned =
                is_stale.then(|| realign(&mut runner, ledger, *target, input)).flatten();
            if is_stale || !judged.verdict.is_good() && judged.verdict != Verdict::Undecided {
                exit = Exit::Breach;
            }
            if let (Some(path), Some(document)) = (&args.realigned, &realigned) {
                files::write(path, document.to_string().as_bytes())?;
            }
            if let Some(path) = args.realigned.as_ref().filter(|_| realigned.is_none()) {
                let why = if is_stale { "no schedule was found" } else { "not stale" };
                note(format!(
                    "{} on {target}: {why}: {} is not written",
                    input.path.display(),
                    path.display()
                ));
            }
            let run = Run { input, target: *target, judged, missed, is_stale, realigned };
            if args.json {
                runs.push(run.report(ledger, args.trace));
            } else if input.targets.len() > 1 && !args.trace && run.is_good() {
                in_short.push(run);
            } else {
                run.print(args);
            }
        }
        print_in_short(&in_short);
    }
    if args.json {
        output::document(&json::Replay { runs })?;
    }
    Ok(exit)
}

/// The file's schedule was made for this pair. On another one, asked for on the command line, a
/// stop that is never reached is only told.
fn is_own_pair<F: Filesystem>(document: &Document, target: Target<F>) -> bool {
    let (fs, caller) = (target.pair.implementation.name(), target.pair.caller.name());
    document.runs.is_empty() || document.runs.iter().any(|run| (&*run.0, &*run.1) == (fs, caller))
}

/// What is stale in the schedule, on a target: the line, if it has one, and why.
fn stale_lines<F: Filesystem>(
    runner: &mut Runner<F>,
    target: Target<F>,
    input: &Input<'_, F>,
) -> Vec<(Option<usize>, String)> {
    let unknown = input
        .stale
        .iter()
        .map(|s| (Some(s.error.line), format!("{} ({})", s.error.message, s.error.help)));
    let mut all: Vec<_> = unknown.collect();
    let Schedule::Order(stops) = &input.document.case.schedule else { return all };
    let lines = input.order_lines();
    for missed in runner.missed_stops(target, &input.document.case) {
        // Lines that were taken out stand before it, too.
        let before = input.stale.iter().filter(|stale| stale.position <= missed).count();
        all.push((
            lines.get(missed + before).copied(),
            format!("`order {}` is never reached", stops[missed]),
        ));
    }
    all
}

/// A document whose schedule fits, and shows what it expects.
fn realign<F: Filesystem>(
    runner: &mut Runner<F>,
    ledger: &Ledger<F>,
    target: Target<F>,
    input: &Input<'_, F>,
) -> Option<Document> {
    let gaps: Vec<(usize, TaskId, u8)> =
        input.stale.iter().map(|s| (s.position, s.task, s.slot)).collect();
    let case = mend(runner, ledger, target, &input.document, &gaps)?;
    let mut document = input.document.clone();
    document.set_case(case);
    Some(document)
}

/// What came of a file on a pair.
struct Run<'a, F> {
    input: &'a Input<'a, F>,
    target: Target<F>,
    judged: Judged,
    missed: Vec<(Option<usize>, String)>,
    is_stale: bool,
    realigned: Option<Document>,
}

impl<F: Filesystem> Run<'_, F> {
    /// Nothing has to be looked at.
    fn is_good(&self) -> bool {
        self.judged.verdict.is_good() && !self.is_stale
    }

    /// What it is, and on what.
    fn head(&self) -> String {
        let style = match self.is_good() {
            true if self.has_new() => YELLOW,
            true => GREEN,
            false => RED,
        };
        let (name, path) = (self.in_words(), self.input.path.display());
        let hash = self.judged.hash;
        format!("{style}{name}{style:#}  {path}  {}  {DIM}{hash:016x}{DIM:#}", self.target)
    }

    /// Something breaks that the ledger does not list.
    fn has_new(&self) -> bool {
        self.judged.breaches.iter().any(|(_, expected)| *expected == Expected::No)
    }

    /// The verdict; where the file names itself what the ledger does not list, it says so.
    fn in_words(&self) -> &'static str {
        match self.verdict() {
            "expected" if self.has_new() => "NEW, as its file says",
            verdict => verdict,
        }
    }

    fn verdict(&self) -> &'static str {
        if self.is_stale { "stale" } else { self.judged.verdict.name() }
    }

    fn report(&self, ledger: &Ledger<F>, trace: bool) -> json::Run {
        let Judged { breaches, missing, unreached, lines, hash, .. } = &self.judged;
        let rules = breaches.iter().map(|(breach, expected)| json::Broken {
            rule: breach.rule.id(),
            step: breach.step,
            point: breach.point.name(),
            operation: breach.operation,
            expected: *expected != Expected::No,
            follows: matches!(expected, Expected::Consequence(_)),
            entry: ledger.entry(*expected).map(|entry| entry.name.clone()),
            what: breach.what,
        });
        let stale =
            self.missed.iter().map(|(line, what)| json::Stale { line: *line, what: what.clone() });
        json::Run {
            file: self.input.path.display().to_string(),
            on: self.target.into(),
            verdict: self.verdict(),
            rules: rules.collect(),
            missing: missing.iter().map(ToString::to_string).collect(),
            unreached: unreached.iter().map(ToString::to_string).collect(),
            stale: stale.collect(),
            realigned: self.realigned.as_ref().map(ToString::to_string),
            trace_hash: format!("{hash:016x}"),
            trace: trace.then(|| lines.clone()),
        }
    }

    fn print(&self, args: &Args) {
        let Judged { breaches, missing, unreached, lines, .. } = &self.judged;
        line(self.head());
        if args.trace {
            for (number, text) in lines.iter().enumerate() {
                line(text);
                for (b, _) in breaches.iter().filter(|(b, _)| b.step as usize == number) {
                    line(format!("     {RED}{}{RED:#} {}: {}", b.rule, b.about().title, b.what));
                }
            }
        }
        for (b, expected) in breaches {
            let (rule, title, point, how) = (b.rule, b.about().title, b.point, standing(*expected));
            let head = format!("  {rule:12} step {:<4} {point:24} {:11}", b.step, b.operation);
            hanging(format!("{head} {title}: {} ({how})", b.what), 6);
        }
        for expect in missing {
            line(format!("  {RED}missing{RED:#}  expect {expect}"));
        }
        for reach in unreached {
            line(format!("  {RED}not reached{RED:#}  {reach}"));
        }
        for (number, what) in &self.missed {
            let at = number.map_or(String::new(), |number| format!("line {number}: "));
            line(format!("  {YELLOW}stale{YELLOW:#}  {at}{what}"));
        }
        match &self.realigned {
            Some(document) => {
                line("  This schedule shows what the case expects (--realigned FILE writes it):");
                for text in document.to_string().lines().filter(|text| text.starts_with("order")) {
                    line(format!("    {text}"));
                }
            }
            None if self.is_stale => {
                line("  No schedule was found that shows what the case expects.")
            }
            None => {}
        }
    }
}

/// How a breach stands to the ledger, in a word.
fn standing(expected: Expected) -> &'static str {
    match expected {
        Expected::Root(_) => "expected",
        Expected::Consequence(_) => "follows",
        Expected::No => "not in the ledger",
    }
}

/// Runs of a file on many pairs of which none has to be looked at: a line for each, and then what
/// the rules are that break.
fn print_in_short<F: Filesystem>(runs: &[Run<'_, F>]) {
    let mut told: Vec<(Rule, &str)> = Vec::new();
    for run in runs {
        let broken = run.judged.breaches.iter().map(|(b, expected)| (b.rule, standing(*expected)));
        let mut own: Vec<(Rule, &str)> = Vec::new();
        for one in broken {
            for all in [&mut own, &mut told] {
                if !all.contains(&one) {
                    all.push(one);
                }
            }
        }
        let rules: Vec<&str> = own.iter().map(|(rule, _)| rule.id()).collect();
        line(format!("{}  {}", run.head(), rules.join(" ")).trim_end());
    }
    for (rule, how) in told {
        let about = rule.about();
        hanging(format!("  {:12} {}: {} ({how})", about.id, about.harm, about.title), 6);
    }
}

fn run_often<F: Filesystem>(
    args: &Args,
    ledger: &Ledger<F>,
    times: u64,
    inputs: &[Input<'_, F>],
) -> Result<Exit> {
    let kind = args.scheduler.as_deref().map(scheduler).transpose()?.unwrap_or(SchedulerKind::Pos);
    let mut runner = Runner::default();
    let (mut new, mut runs) = (false, Vec::new());
    for input in inputs {
        for target in &input.targets {
            let rates =
                rate(&mut runner, ledger, *target, &input.document.case, kind, args.seed, times);
            new |=
                rates.iter().any(|rate| rate.signature.expected == Expected::No && rate.hits > 0);
            if args.json {
                runs.push(often(args, times, kind, input.path, *target, &rates));
                continue;
            }
            line(format!(
                "{}  {}  {times} schedules by {}",
                input.path.display(),
                target,
                kind.name()
            ));
            for Rate { signature, point, own, hits, first, .. } in &rates {
                let style = if signature.expected == Expected::No { RED } else { DIM };
                let entry =
                    ledger.entry(signature.expected).map_or("NEW", |entry| entry.name.as_str());
                let first = first.map_or("never".to_owned(), |n| format!("first {n}"));
                let share = 100.0 * *hits as f64 / times as f64;
                let (rule, own) = (signature.rule, if *own { "its own" } else { "" });
                line(format!(
                    "  {rule:12} {point:24} {hits:>9} {share:>8.4} % {first:12} {own:8} {style}{entry}{style:#}"
                ));
            }
            if rates.is_empty() {
                line("  nothing broke");
            }
        }
    }
    if args.json {
        output::document(&json::Rates { runs })?;
    }
    Ok(if new { Exit::Breach } else { Exit::Good })
}

/// How often each signature breaks, as a document.
fn often<F: Filesystem>(
    args: &Args,
    times: u64,
    kind: SchedulerKind,
    path: &Path,
    target: Target<F>,
    rates: &[Rate],
) -> json::Often {
    let signatures =
        rates.iter().map(|Rate { signature, point, own, hits, first, .. }| json::Rate {
            rule: signature.rule.id(),
            point: point.name(),
            own: *own,
            expected: signature.expected != Expected::No,
            hits: *hits,
            first: *first,
        });
    json::Often {
        file: path.display().to_string(),
        implementation: target.pair.implementation.name(),
        caller: target.pair.caller.name(),
        scheduler: kind.name(),
        seed: args.seed,
        times,
        signatures: signatures.collect(),
    }
}
