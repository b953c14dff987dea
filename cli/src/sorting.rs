//! Sorting of what fuzzers and hunts have left: finds the cases in folders, replays them, and keeps
//! a small case for each finding, and a page for each cause that is NEW. `mkwrite triage` and the end of a campaign are this.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use mkwrite_explain::causes::Finding;
use mkwrite_explain::explain::explain;
use mkwrite_explain::finding::{self, Name};
use mkwrite_explain::shrink::Size;
use mkwrite_explain::triage::{self, Best, Clustered, Fixed, Input, Plan, Progress};
use mkwrite_model::Target;
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::plant::Plant;
use mkwrite_model::remedy::{Remedies, Remedy};
use mkwrite_model::text::Expect;
use mkwrite_oracle::Rule;
use mkwrite_oracle::ledger::FindingKey;
use mkwrite_oracle::run::{Runner, caller_label, targets_of};
use mkwrite_report::json::SCHEMA;
use mkwrite_report::triage::{Cause, Cluster, File, Remark, Status, Triage};
use mkwrite_report::{cause, html};
use walkdir::{DirEntry, WalkDir};

use crate::{causes, files, output};

/// How the names of artifacts begin: libFuzzer's, those of its tools, and AFL++'s.
const ARTIFACTS: &[&str] = &[
    "crash-",
    "leak-",
    "oom-",
    "timeout-",
    "slow-unit-",
    "minimized-from-",
    "clusterfuzz-testcase-",
    "id:",
    "id_",
];
/// Causes that are explained at the most, each on a page beside its case.
const PAGES: usize = 20;
/// The largest file that is read. A case has a few hundred bytes.
const BYTES_MAX: u64 = files::BYTES_MAX;

/// What to sort, and where to.
pub(crate) struct Sorting {
    /// Folders that are searched, or files.
    pub folders: Vec<PathBuf>,
    /// Where a case for each bug is written.
    pub out: PathBuf,
    /// How long one case may be shrunk; the result then depends on the speed of the machine.
    pub limit: Option<Duration>,
    /// Threads.
    pub jobs: usize,
}

impl Sorting {
    /// Replays, sorts and shrinks, and saves a case for each bug.
    pub(crate) fn run<F: Filesystem>(&self, interrupted: &AtomicBool) -> Result<Triage> {
        let start = Instant::now();
        files::prepare_folder(&self.out)?;
        let (search, inputs) = Search::run(self, interrupted)?;
        let ledger = files::own_ledger::<F>()?;
        let defaults = ledger.default_targets();
        let mut plan = Plan::new(inputs, defaults, ledger);
        plan.limit = self.limit;

        let (progress, failed) = (Progress::default(), Mutex::new(None));
        // Whatever happens, the best so far is on disk.
        let save = |key: &FindingKey, best: &Best| {
            let shrunk = if best.shrunk { ", then made smaller" } else { "" };
            let origin = format!("Found as {}{shrunk}.", search.files[best.input]);
            let document = finding::document(
                plan.targets()[key.target],
                &best.breach,
                origin,
                best.case.clone(),
                plan.targets(),
            );
            if let Err(error) =
                files::write(&file(self, &plan, key), document.to_string().as_bytes())
            {
                failed.lock().expect("no thread panics here").get_or_insert(error);
                progress.stop.store(true, Ordering::Relaxed);
            }
        };
        let done = AtomicBool::new(false);
        let outcome = std::thread::scope(|scope| {
            let watcher = scope.spawn(|| watch(&progress, interrupted, &done, search.files.len()));
            let outcome = triage::triage(&plan, self.jobs, &progress, &save);
            done.store(true, Ordering::Relaxed);
            watcher.join().expect("the progress bar does not panic");
            outcome
        });
        if let Some(error) = failed.into_inner().expect("no thread panics here") {
            return Err(error);
        }

        let all = clusters(self, &plan, &search, &outcome);
        let causes = self.causes(&plan, &search, &outcome, interrupted);
        Ok(Triage {
            schema: SCHEMA,
            replay: format!("{} replay", output::program()),
            files: search.files(&outcome),
            runs: outcome.runs,
            jobs: self.jobs,
            seconds: start.elapsed().as_secs_f64(),
            interrupted: interrupted.load(Ordering::Relaxed),
            clusters: all,
            causes,
            broken: outcome
                .broken
                .iter()
                .map(|(n, reason)| remark(&search.files[*n], reason))
                .collect(),
            skipped: search.skipped,
            ignored: search.ignored,
        })
    }
}

impl Sorting {
    /// The findings folded, and what no longer breaks behind what is NEW.
    fn causes<F: Filesystem>(
        &self,
        plan: &Plan<F>,
        search: &Search,
        outcome: &Clustered,
        interrupted: &AtomicBool,
    ) -> Vec<Cause> {
        let found: Vec<(&FindingKey, &triage::Cluster)> = outcome.clusters.iter().collect();
        let shown = found.iter().map(|(key, cluster)| Finding {
            target: plan.targets()[key.target],
            signature: key.signature,
            breach: cluster.best.breach,
            case: cluster.best.case.clone(),
        });
        let shown: Vec<Finding<F>> = shown.collect();
        let (mut all, mut pages) = (Vec::new(), PAGES);
        for cause in causes::fold(plan.ledger(), &shown) {
            let (key, cluster) = found[cause.root];
            let path = file(self, plan, key);
            let inputs: BTreeSet<usize> =
                cause.findings.iter().flat_map(|n| &found[*n].1.inputs).copied().collect();
            let name = |n: &usize| name(plan, found[*n].0);
            let about =
                causes::report(plan.ledger(), &shown, &cause, Some(path.display().to_string()));
            let explained = about.status == Status::New
                && cluster.best.shrunk
                && pages > 0
                && !interrupted.load(Ordering::Relaxed);
            pages -= usize::from(explained);
            let page = explained.then(|| explanation(plan, &shown[cause.root], &path)).flatten();
            all.push(Cause {
                about,
                what: cluster.best.breach.what.to_owned(),
                clusters: cause.findings.iter().map(name).collect(),
                cases: inputs.len(),
                page,
            });
        }
        all.extend(outcome.fixed.values().map(|fixed| no_longer(gone(plan, search, fixed), fixed)));
        // What is not as it should be first; the order is else that of the folding.
        all.sort_by_key(|cause| match cause.about.status {
            Status::New => 0,
            Status::Fixed => 1,
            Status::Expected | Status::Follows => 2,
        });
        all
    }
}

/// Writes the explanation of a cause beside its case. It is an extra: what cannot be written is
/// left out.
fn explanation<F: Filesystem>(plan: &Plan<F>, shown: &Finding<F>, case: &Path) -> Option<String> {
    let Finding { target, breach, case: found, .. } = shown;
    let document = finding::document(*target, breach, String::new(), found.clone(), plan.targets());
    let explanation = explain(&mut Runner::default(), plan.ledger(), *target, &document, None);
    let path = case.with_extension("html");
    files::write(&path, html::page(&explanation).as_bytes()).ok()?;
    Some(path.display().to_string())
}

/// What no longer breaks, as a cause of its own.
fn no_longer(cluster: Cluster, fixed: &Fixed) -> Cause {
    let Expect::Breach { rule, point, .. } = &fixed.expect else {
        unreachable!("only a breach can be gone");
    };
    let rule = Rule::by_id(rule).expect("a file that names an unknown rule is not read");
    Cause {
        about: cause::Cause {
            title: "what the file expects no longer breaks",
            rule: rule.id(),
            point: point.name(),
            status: Status::Fixed,
            expected: false,
            entry: None,
            rules: vec![rule.id()],
            pairs: vec![cluster.pair()],
            findings: 1,
            file: Some(cluster.file),
        },
        what: cluster.what,
        clusters: vec![cluster.signature],
        cases: cluster.cases,
        page: None,
    }
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
    fn run<F: Filesystem>(
        sorting: &Sorting,
        interrupted: &AtomicBool,
    ) -> Result<(Search, Vec<Input<F>>)> {
        let (mut search, mut inputs) = (Search::default(), Vec::new());
        let out = sorting.out.canonicalize().ok();
        for folder in &sorting.folders {
            // Our own results are no artifacts, unless they are asked for.
            let is_out = |entry: &DirEntry| {
                entry.file_name() == sorting.out.file_name().unwrap_or_default()
                    && entry.path().canonicalize().ok() == out
            };
            let passed_over = |entry: &DirEntry| {
                let name = entry.file_name();
                let hidden = name.as_encoded_bytes().starts_with(b".");
                entry.depth() > 0
                    && entry.file_type().is_dir()
                    && (hidden || name == "queue" || is_out(entry))
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
                        let reason =
                            error.io_error().map_or_else(|| error.to_string(), ToString::to_string);
                        if error.depth() == 0 {
                            return Err(anyhow!("{path}: {reason}")
                                .context("give a folder that can be read"));
                        }
                        search.skipped.push(remark(&path, &reason));
                    }
                }
            }
        }
        Ok((search, inputs))
    }

    /// Takes a file, or says why not.
    fn entry<F: Filesystem>(&mut self, entry: &DirEntry) -> Option<Input<F>> {
        let path = entry.path();
        let name = entry.file_name().to_string_lossy();
        let is_case =
            files::is_text(path) || ARTIFACTS.iter().any(|artifact| name.starts_with(artifact));
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
    fn read<F: Filesystem>(&mut self, path: &Path) -> Result<Option<Input<F>>, String> {
        let meta = path.metadata().map_err(|error| error.to_string())?;
        if !meta.is_file() {
            return Err("not a regular file".to_owned());
        }
        if meta.len() > BYTES_MAX {
            return Err(format!(
                "{} bytes are more than the {BYTES_MAX} of the largest case",
                meta.len()
            ));
        }
        if !self.seen.insert(path.canonicalize().map_err(|error| error.to_string())?) {
            return Ok(None);
        }
        let read = || -> Result<Input<F>> {
            let document = files::read::<F>(path)?;
            let targets = targets_of(&document).map_err(|error| anyhow!(error))?;
            Ok(Input { document, targets })
        };
        let input = read().map_err(|error| files::reason(path, &error))?;
        self.files.push(path.display().to_string());
        Ok(Some(input))
    }

    /// The files that were replayed, each with the number of its clusters.
    fn files(&self, outcome: &Clustered) -> Vec<File> {
        let file = |input: &usize| {
            let clusters =
                outcome.clusters.values().filter(|cluster| cluster.inputs.contains(input)).count();
            File { file: self.files[*input].clone(), clusters }
        };
        outcome.replayed.iter().map(file).collect()
    }
}

/// Draws the progress bar, and passes Ctrl-C on.
fn watch(progress: &Progress, interrupted: &AtomicBool, done: &AtomicBool, count: usize) {
    let bar = output::progress(count as u64);
    while !done.load(Ordering::Relaxed) {
        if interrupted.load(Ordering::Relaxed) {
            progress.stop.store(true, Ordering::Relaxed);
        }
        let [replayed, shrunk, to_shrink, clusters, new] = [
            &progress.replayed,
            &progress.shrunk,
            &progress.to_shrink,
            &progress.clusters,
            &progress.new,
        ]
        .map(|number| number.load(Ordering::Relaxed) as u64);
        bar.set_length(count as u64 + to_shrink);
        bar.set_position(replayed + shrunk);
        bar.set_message(format!(
            "{new} NEW, {clusters} findings, {replayed}/{count} files, {shrunk}/{to_shrink} shrunk"
        ));
        std::thread::sleep(Duration::from_millis(20));
    }
    bar.finish_and_clear();
}

/// Where the case of a cluster is written.
fn file<F: Filesystem>(sorting: &Sorting, plan: &Plan<F>, key: &FindingKey) -> PathBuf {
    sorting.out.join(name(plan, key) + ".mkw")
}

/// One word for a finding. Other planted bugs on the same pair are other findings, and so are other
/// remedies than those of the pair's entries.
fn name<F: Filesystem>(plan: &Plan<F>, key: &FindingKey) -> String {
    let target = plan.targets()[key.target];
    let usual = [Remedies::NONE, plan.ledger().remedies(target.pair)];
    let remedies = target.remedies.iter().filter(|_| !usual.contains(&target.remedies));
    let switches: String = target
        .plants
        .iter()
        .map(Plant::name)
        .chain(remedies.map(Remedy::name))
        .map(|name| format!("{name}-"))
        .collect();
    format!("{switches}{}", Name::of(plan.ledger(), target, &key.signature))
}

/// The rows of the report: what is listed, what is fixed, and what is NEW at the end.
fn clusters<F: Filesystem>(
    sorting: &Sorting,
    plan: &Plan<F>,
    search: &Search,
    outcome: &Clustered,
) -> Vec<Cluster> {
    let found =
        outcome.clusters.iter().map(|(key, cluster)| found(sorting, plan, search, key, cluster));
    let fixed = outcome.fixed.values().map(|fixed| gone(plan, search, fixed));
    let mut all: Vec<Cluster> = found.chain(fixed).collect();
    all.sort_by(|a, b| (a.status, &a.entry, &a.signature).cmp(&(b.status, &b.entry, &b.signature)));
    all
}

fn paths(search: &Search, inputs: &BTreeSet<usize>) -> Vec<String> {
    inputs.iter().map(|input| search.files[*input].clone()).collect()
}

fn found<F: Filesystem>(
    sorting: &Sorting,
    plan: &Plan<F>,
    search: &Search,
    key: &FindingKey,
    cluster: &triage::Cluster,
) -> Cluster {
    let (target, best) = (plan.targets()[key.target], &cluster.best);
    let entry = plan.ledger().entry(key.signature.expected);
    let status = Status::from(key.signature.expected);
    Cluster {
        signature: name(plan, key),
        point: best.breach.point.name().to_owned(),
        operation: best.breach.operation.to_owned(),
        what: best.breach.what.to_owned(),
        entry: entry.map(|entry| entry.name.clone()),
        group: entry.map(|entry| entry.group.clone()),
        file: file(sorting, plan, key).display().to_string(),
        shrunk: best.shrunk,
        operations: cluster.size().operations,
        preemptions: cluster.size().preemptions,
        ..row(target, key.signature.rule, status, paths(search, &cluster.inputs))
    }
}

fn gone<F: Filesystem>(plan: &Plan<F>, search: &Search, fixed: &Fixed) -> Cluster {
    let target = plan.targets()[fixed.target];
    let caller = caller_label(target);
    let Expect::Breach { rule, point, operation } = &fixed.expect else {
        unreachable!("only a breach can be gone");
    };
    let rule = Rule::by_id(rule).expect("a file that names an unknown rule is not read");
    let files = paths(search, &fixed.inputs);
    let parts =
        [target.pair.implementation.name(), &caller, rule.id(), point.name(), operation, "fixed"];
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
fn row<F: Filesystem>(
    target: Target<F>,
    rule: Rule,
    status: Status,
    files: Vec<String>,
) -> Cluster {
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
