//! `mkwrite triage`: a folder of what fuzzers and hunts have left, as a list of bugs with a small case for each.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use indicatif::{ProgressBar, ProgressStyle};
use mkwrite_explain::clusters::{self, Best, Fixed, Input, Outcome, Plan, Progress};
use mkwrite_explain::shrink::Size;
use mkwrite_model::Target;
use mkwrite_model::implementation::Registry;
use mkwrite_model::text::Expect;
use mkwrite_oracle::Rule;
use mkwrite_oracle::ledger::{Expected, Key, Ledger};
use mkwrite_oracle::run::caller_label;
use mkwrite_report::triage::{Cluster, File, Remark, Status, Triage, page, uri};
use mkwrite_report::{count, junit, sarif};
use walkdir::{DirEntry, WalkDir};

use super::stop_on_interrupt;
use super::subject::{Switches, targets};
use crate::output::{self, BOLD, DIM, GREEN, RED, SCHEMA, note, print_table};
use crate::{Exit, files, finding};

/// Sort what fuzzers and hunts have left: replay it, one row per bug, one small case for each
///
/// Folders are searched for .mkw files, for libFuzzer's crash-*, leak-*, oom-*, timeout-* and slow-unit-*, and for
/// AFL++'s id:*, except below a folder `queue`, unless DIR is or lies in it; links to folders and hidden folders
/// are passed over. A file that is named here is taken whatever its name. A .mkw file runs on the pairs that it
/// names, anything else on those of a hunt. A file that cannot be read is listed and skipped.
///
/// Each bug's case is on disk as soon as it is found, and is replaced by a smaller one when there is one; Ctrl-C
/// ends with what there is. `fixed` is a file that says what it breaks and no longer does.
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

/// How the names of artifacts begin: libFuzzer's, those of its tools, and AFL++'s.
const ARTIFACTS: &[&str] =
    &["crash-", "leak-", "oom-", "timeout-", "slow-unit-", "minimized-from-", "clusterfuzz-testcase-", "id:", "id_"];
/// The largest file that is read. A case has a few hundred bytes.
const BYTES_MAX: u64 = 1 << 20;

impl Args {
    /// Sorts these folders and files into `out`, without reports for tools.
    pub fn of(folders: Vec<PathBuf>, out: PathBuf, seconds_per_case: Option<u64>, jobs: Option<u16>) -> Args {
        Args { folders, out, jobs, seconds_per_case, json: false, html: None, sarif: None, junit: None }
    }
}

/// Runs the subcommand.
pub fn run<R: Registry>(args: &Args) -> Result<Exit> {
    for folder in &args.folders {
        std::fs::metadata(folder)
            .map_err(|error| anyhow!("{}: {error}", folder.display()))
            .context("give a folder of artifacts or .mkw files")?;
    }
    let report = sort::<R>(args, &*stop_on_interrupt()?)?;
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

/// Replays, sorts and shrinks, and saves a case for each bug.
pub fn sort<R: Registry>(args: &Args, interrupted: &AtomicBool) -> Result<Triage> {
    let start = Instant::now();
    files::prepare_folder(&args.out)?;
    let (search, inputs) = Search::run(args, interrupted)?;
    let ledger = Ledger::<R>::own();
    let defaults = ledger.default_targets();
    let mut plan = Plan::new(inputs, defaults, ledger);
    plan.limit = args.seconds_per_case.map(Duration::from_secs);

    let jobs = args.jobs.map_or_else(super::jobs, usize::from);
    let (progress, failed) = (Progress::default(), Mutex::new(None));
    // Whatever happens, the best so far is on disk.
    let save = |key: &Key, best: &Best| {
        let shrunk = if best.shrunk { ", then made smaller" } else { "" };
        let origin = format!("Found as {}{shrunk}.", search.files[best.input]);
        let document = finding::document(plan.targets()[key.target], &best.breach, origin, best.case.clone());
        if let Err(error) = files::write(&file(args, &plan, key), document.to_string().as_bytes()) {
            failed.lock().expect("no thread panics here").get_or_insert(error);
            progress.stop.store(true, Ordering::Relaxed);
        }
    };
    let done = AtomicBool::new(false);
    let outcome = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(&progress, interrupted, &done, search.files.len()));
        let outcome = clusters::triage(&plan, jobs, &progress, &save);
        done.store(true, Ordering::Relaxed);
        watcher.join().expect("the progress bar does not panic");
        outcome
    });
    if let Some(error) = failed.into_inner().expect("no thread panics here") {
        return Err(error);
    }

    Ok(Triage {
        schema: SCHEMA,
        replay: format!("{} replay", super::program()),
        files: search.files(&outcome),
        runs: outcome.runs,
        jobs,
        seconds: start.elapsed().as_secs_f64(),
        interrupted: interrupted.load(Ordering::Relaxed),
        clusters: clusters(args, &plan, &search, &outcome),
        broken: outcome.broken.iter().map(|(n, reason)| remark(&search.files[*n], reason)).collect(),
        skipped: search.skipped,
        ignored: search.ignored,
    })
}

fn remark(file: &str, reason: &str) -> Remark {
    Remark { file: file.to_owned(), reason: reason.to_owned() }
}

/// What lies in the folders.
#[derive(Default)]
struct Search {
    /// The paths of the inputs.
    files: Vec<String>,
    skipped: Vec<Remark>,
    ignored: Vec<String>,
    /// What was seen, by its one true path.
    seen: BTreeSet<PathBuf>,
}

impl Search {
    fn run<R: Registry>(args: &Args, interrupted: &AtomicBool) -> Result<(Search, Vec<Input<R>>)> {
        let (mut search, mut inputs) = (Search::default(), Vec::new());
        let out = args.out.canonicalize().ok();
        for folder in &args.folders {
            // Our own results are no artifacts, unless they are asked for.
            let is_out = |entry: &DirEntry| {
                entry.file_name() == args.out.file_name().unwrap_or_default() && entry.path().canonicalize().ok() == out
            };
            let passed_over = |entry: &DirEntry| {
                let name = entry.file_name();
                let hidden = name.as_encoded_bytes().starts_with(b".");
                entry.depth() > 0 && entry.file_type().is_dir() && (hidden || name == "queue" || is_out(entry))
            };
            let mut walk = WalkDir::new(folder).sort_by_file_name().into_iter();
            while let Some(entry) = walk.next().filter(|_| !interrupted.load(Ordering::Relaxed)) {
                match entry {
                    Ok(entry) if passed_over(&entry) => {
                        search.ignored.push(entry.path().display().to_string());
                        walk.skip_current_dir();
                    }
                    Ok(entry) => inputs.extend(search.entry(&entry)),
                    Err(error) => {
                        let path = error.path().unwrap_or(folder).display().to_string();
                        let reason = error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
                        if error.depth() == 0 {
                            return Err(anyhow!("{path}: {reason}").context("give a folder that can be read"));
                        }
                        search.skipped.push(remark(&path, &reason));
                    }
                }
            }
        }
        Ok((search, inputs))
    }

    /// Takes a file, or says why not.
    fn entry<R: Registry>(&mut self, entry: &DirEntry) -> Option<Input<R>> {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy();
        let is_case = files::is_text(path) || ARTIFACTS.iter().any(|artifact| name.starts_with(artifact));
        if entry.file_type().is_dir() {
            return None;
        }
        if entry.depth() > 0 && !is_case {
            self.ignored.push(path.display().to_string());
            return None;
        }
        self.read(path).unwrap_or_else(|reason| {
            self.skipped.push(remark(&path.display().to_string(), &reason));
            None
        })
    }

    /// Reads a file that was not seen before.
    fn read<R: Registry>(&mut self, path: &Path) -> Result<Option<Input<R>>, String> {
        let meta = path.metadata().map_err(|error| error.to_string())?;
        if !meta.is_file() {
            return Err("not a regular file".to_owned());
        }
        if meta.len() > BYTES_MAX {
            return Err(format!("{} bytes are more than the {BYTES_MAX} of the largest case", meta.len()));
        }
        if !self.seen.insert(path.canonicalize().map_err(|error| error.to_string())?) {
            return Ok(None);
        }
        let read = || -> Result<Input<R>> {
            let document = files::read::<R>(path)?;
            let named = !document.runs.is_empty();
            let switches = Switches::default();
            let targets = if named { targets(&[], &[], &switches, &document)? } else { Vec::new() };
            Ok(Input { document, targets })
        };
        let input = read().map_err(|error| reason(path, &error))?;
        self.files.push(path.display().to_string());
        Ok(Some(input))
    }

    /// The files that were replayed, each with the number of its clusters.
    fn files(&self, outcome: &Outcome) -> Vec<File> {
        let file = |input: &usize| {
            let clusters = outcome.clusters.values().filter(|cluster| cluster.inputs.contains(input)).count();
            File { file: self.files[*input].clone(), clusters }
        };
        outcome.replayed.iter().map(file).collect()
    }
}

/// An error in one line: what happened, and of a diagnostic also the place.
pub fn reason(path: &Path, error: &anyhow::Error) -> String {
    let text = error.root_cause().to_string();
    let plain = anstream::adapter::strip_str(&text).to_string();
    let head: Vec<&str> = plain.lines().take(2).map(str::trim).collect();
    let head = head.join(" ");
    let head = head.strip_prefix(&format!("{}: ", path.display())).unwrap_or(&head);
    head.strip_prefix("error: ").unwrap_or(head).to_owned()
}

/// Draws the progress bar, and passes Ctrl-C on.
fn watch(progress: &Progress, interrupted: &AtomicBool, done: &AtomicBool, count: usize) {
    let bar = ProgressBar::new(count as u64);
    bar.set_style(ProgressStyle::with_template("{bar:30} {percent:>3}%  {msg}").expect("a valid template"));
    while !done.load(Ordering::Relaxed) {
        if interrupted.load(Ordering::Relaxed) {
            progress.stop.store(true, Ordering::Relaxed);
        }
        let [replayed, shrunk, to_shrink, clusters, new] =
            [&progress.replayed, &progress.shrunk, &progress.to_shrink, &progress.clusters, &progress.new]
                .map(|number| number.load(Ordering::Relaxed) as u64);
        bar.set_length(count as u64 + to_shrink);
        bar.set_position(replayed + shrunk);
        bar.set_message(format!(
            "{replayed}/{count} files, {shrunk}/{to_shrink} shrunk, {clusters} signatures, {new} NEW"
        ));
        std::thread::sleep(Duration::from_millis(20));
    }
    bar.finish_and_clear();
}

/// Where the case of a cluster is written.
fn file<R: Registry>(args: &Args, plan: &Plan<R>, key: &Key) -> PathBuf {
    args.out.join(finding::file_name(plan.ledger(), plan.targets()[key.target], &key.signature))
}

/// The rows of the report: what is listed, what is fixed, and what is NEW at the end.
fn clusters<R: Registry>(args: &Args, plan: &Plan<R>, search: &Search, outcome: &Outcome) -> Vec<Cluster> {
    let found = outcome.clusters.iter().map(|(key, cluster)| found(args, plan, search, key, cluster));
    let fixed = outcome.fixed.values().map(|fixed| gone(plan, search, fixed));
    let mut all: Vec<Cluster> = found.chain(fixed).collect();
    all.sort_by(|a, b| (a.status, &a.entry, &a.signature).cmp(&(b.status, &b.entry, &b.signature)));
    all
}

fn paths(search: &Search, inputs: &BTreeSet<usize>) -> Vec<String> {
    inputs.iter().map(|input| search.files[*input].clone()).collect()
}

fn found<R: Registry>(args: &Args, plan: &Plan<R>, search: &Search, key: &Key, cluster: &clusters::Cluster) -> Cluster {
    let (target, best) = (plan.targets()[key.target], &cluster.best);
    let entry = plan.ledger().entry(key.signature.expected);
    let status = match key.signature.expected {
        Expected::Root(_) => Status::Expected,
        Expected::Consequence(_) => Status::Follows,
        Expected::No => Status::New,
    };
    Cluster {
        signature: finding::name(plan.ledger(), target, &key.signature),
        point: best.breach.point.name().to_owned(),
        operation: best.breach.operation.to_owned(),
        what: best.breach.what.to_owned(),
        entry: entry.map(|entry| entry.name.clone()),
        group: entry.map(|entry| entry.group.clone()),
        file: file(args, plan, key).display().to_string(),
        shrunk: best.shrunk,
        operations: cluster.size().operations,
        preemptions: cluster.size().preemptions,
        ..row(target, key.signature.rule, status, paths(search, &cluster.inputs))
    }
}

fn gone<R: Registry>(plan: &Plan<R>, search: &Search, fixed: &Fixed) -> Cluster {
    let target = plan.targets()[fixed.target];
    let caller = caller_label(target);
    let Expect::Breach { rule, point, operation } = &fixed.expect else {
        unreachable!("only a breach can be gone");
    };
    let rule = Rule::by_id(rule).expect("a file that names an unknown rule is not read");
    let files = paths(search, &fixed.inputs);
    let parts = [target.pair.implementation.name(), &caller, rule.id(), point.name(), operation, "fixed"];
    let first = fixed.inputs.first().expect("some file says so");
    let size = Size::of(&plan.document(*first).case);
    Cluster {
        signature: parts.join("-").replace(' ', "-"),
        point: point.name().to_owned(),
        operation: operation.clone(),
        what: "what the file expects no longer breaks".to_owned(),
        file: files[0].clone(),
        operations: size.operations,
        preemptions: size.preemptions,
        ..row(target, rule, Status::Fixed, files)
    }
}

/// What a row has whatever it is about.
fn row<R: Registry>(target: Target<R>, rule: Rule, status: Status, files: Vec<String>) -> Cluster {
    Cluster {
        signature: String::new(),
        implementation: target.pair.implementation.name().to_owned(),
        caller: caller_label(target),
        rule: rule.id().to_owned(),
        title: rule.about().title.to_owned(),
        point: String::new(),
        operation: String::new(),
        what: String::new(),
        status,
        expected: status.is_good(),
        follows: status == Status::Follows,
        entry: None,
        group: None,
        cases: files.len(),
        files,
        file: String::new(),
        shrunk: false,
        operations: 0,
        preemptions: 0,
    }
}

/// Turns paths into links that lead there from this page.
pub fn linker(page: &Path) -> Result<impl Fn(&str) -> String> {
    let page = std::path::absolute(page)?;
    Ok(move |file: &str| {
        let from = page.parent().unwrap_or(&page);
        let way = std::path::absolute(file).ok().and_then(|file| pathdiff::diff_paths(file, from));
        uri(&way.map_or_else(|| file.to_owned(), |way| way.display().to_string()))
    })
}

/// Writes the report in every form that is wanted.
fn write(args: &Args, report: &Triage) -> Result<()> {
    files::write(&args.out.join("triage.json"), &serde_json::to_vec_pretty(report)?)?;
    if let Some(path) = &args.html {
        files::write(path, page(report, linker(path)?).as_bytes())?;
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
    let header = ["implementation", "caller", "rule", "point", "status", "files", "operations", "replay"];
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
        note(format!("{DIM}{} explain {}{DIM:#}", super::program(), cluster.file));
    }
}
