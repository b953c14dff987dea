//! `mkwrite hunt`: the main job. Arbitrary cases on many pairs until the time is up.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use mkwrite_explain::causes::{Cause, Finding};
use mkwrite_explain::finding::{self, Name};
use mkwrite_explain::parallel::each;
use mkwrite_model::Target;
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::plant::Plant;
use mkwrite_model::point::Point;
use mkwrite_model::remedy::Remedy;
use mkwrite_model::schedule::SchedulerKind;
use mkwrite_model::text;
use mkwrite_model::{Case, bytes};
use mkwrite_oracle::Rule;
use mkwrite_oracle::ledger::{Expected, FindingKey};
use mkwrite_oracle::run::headline;
use mkwrite_report::count;
use mkwrite_report::json::{Document, hunt as json};
use mkwrite_report::triage::Status;
use mkwrite_search::corpus::Kept;
use mkwrite_search::feedback::Signals;
use mkwrite_search::hunt::{self, Found, Hunted, ModelError, Plan, Progress, Shard};
use mkwrite_search::log::Log;
use mkwrite_search::plants::references;

use super::stop_on_interrupt;
use super::subject::Switches;
use crate::names::{self, callers, implementations, pairs, pairs_that_fit, plant, rule, scheduler};
use crate::output::{self, BOLD, DIM, GREEN, RED, line, note, print_table, prose};
use crate::{Exit, causes, files};

/// Hunt: run arbitrary cases on many implementations and report every rule that breaks
///
/// Without arguments: 20 seconds on all cores, every implementation under its natural caller and
/// the pairs that the ledger lists, these also with all remedies of their entries on every fourth
/// case, where nothing is expected. A case meets the newest version of each filesystem, and about
/// half of the other pairs. With --seed and --cases the result is the same for any --jobs,
/// apart from times.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Only these implementations, with commas (see `list implementations`)
    #[arg(long = "impl", value_delimiter = ',', value_name = "NAME")]
    implementations: Vec<String>,
    /// Under these callers instead of the natural ones, with commas (see `list callers`)
    #[arg(long = "caller", value_delimiter = ',', value_name = "NAME")]
    callers: Vec<String>,
    /// Report only this rule (see `list rules`)
    #[arg(long, value_name = "NAME")]
    rule: Option<String>,
    /// Plant this bug, on the implementation that it is meant for unless --impl says otherwise (see
    /// `list plants`)
    #[arg(long, value_name = "NAME")]
    plant: Option<String>,
    /// Switch these remedies on (see `list remedies`); `all` are those of the entries that the
    /// ledger has for each pair
    #[arg(long = "remedy", value_delimiter = ',', value_name = "NAME")]
    remedies: Vec<String>,
    /// Run each case on every pair, not on a choice of them
    #[arg(long)]
    every_pair: bool,
    /// Keep every file size at a multiple of a page
    #[arg(long)]
    aligned: bool,
    /// Stop after this many seconds (20, unless --cases is given)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=31_536_000))]
    seconds: Option<u64>,
    /// Stop after this many cases
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..))]
    cases: Option<u64>,
    /// Run only the Ith of N parts, by the numbers of the cases, and needs --seed: N machines share
    /// one hunt, and `triage` of their folders merges it. Without feedback the parts are together
    /// exactly the hunt without --shard; with it each learns from its own cases alone
    #[arg(long, value_name = "I/N", requires = "seed")]
    shard: Option<Shard>,
    /// The seed (drawn and printed without it)
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Threads (all cores without it)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// What makes a case worth keeping and mutating (see `list signals`); `none` makes every case
    /// from nothing
    #[arg(long, value_delimiter = ',', value_name = "SIGNAL", default_values_t = Signals::default().names())]
    feedback: Vec<String>,
    /// Begin with the cases in this folder, in bytes, and put those there that were worth keeping;
    /// it is made if it is not there
    #[arg(long, value_name = "DIR")]
    corpus: Option<PathBuf>,
    /// Append what is found, and once a second how far the hunt is, to this file: a line of JSON
    /// each
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// One scheduler instead of the portfolio (see `list schedulers`)
    #[arg(long, value_name = "NAME")]
    scheduler: Option<String>,
    /// Where to write the cases and the report
    #[arg(long, default_value = "findings", value_name = "DIR")]
    out: PathBuf,
    /// Save cases as they were found, and make none smaller
    #[arg(long)]
    raw: bool,
    /// One line per rule and point, and what follows from an expected breach
    #[arg(long)]
    all: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Files of cases that a hunt writes of what the ledger expects, at the most: each cause has its
/// share. What is NEW has all of its cases.
const FILES_MAX: usize = 500;
/// Seconds of a hunt without --seconds and --cases.
const DEFAULT_SECONDS: u64 = 20;

/// Runs the subcommand.
pub(crate) fn run<F: Filesystem>(args: &Args) -> Result<Exit> {
    let plan = plan::<F>(args)?;
    files::prepare_folder(&args.out)?;
    let jobs = args.jobs.map_or_else(super::jobs, usize::from);
    let seconds = args.seconds.or(args.cases.is_none().then_some(DEFAULT_SECONDS));
    if !args.json {
        announce_earlier(&args.out)?;
    }
    let progress = Arc::new(Progress { log: log(args)?, ..Progress::default() });
    let interrupted = stop_on_interrupt()?;
    if !args.json {
        announce(&plan, jobs);
    }
    let saver = Saver { args, plan: &plan, files: Mutex::default(), failed: Mutex::new(None) };
    let start = Instant::now();
    let outcome = std::thread::scope(|scope| {
        let watcher = scope.spawn(|| watch(&progress, &interrupted, seconds, args.cases, start));
        let outcome = hunt::hunt(&plan, jobs, &progress, &saver);
        progress.stop.store(true, Ordering::Relaxed);
        watcher.join().expect("the progress bar does not panic");
        outcome
    });
    let elapsed = start.elapsed();
    if let Some(plant) =
        planted(&plan).filter(|_| !outcome.plant_reached && !interrupted.load(Ordering::Relaxed))
    {
        return Err(missed(&plan, plant));
    }
    let findings = save(&saver, &outcome, jobs);
    let causes = fold(&plan, &findings);
    let results = Results {
        plan: &plan,
        jobs,
        progress: &progress,
        elapsed,
        outcome: &outcome,
        all: &findings,
        causes: &causes,
    };
    let report = Document::new(report(args, &results));
    saver.save(&args.out.join("hunt.json"), serde_json::to_string_pretty(&report)?.as_bytes());
    if args.json {
        output::json(&report)?;
    } else {
        print(args, &results);
    }
    if let Some(error) = &outcome.error {
        save_broken(args, &plan, error)?;
        return Ok(Exit::Model);
    }
    let new = findings.iter().any(|finding| finding.key.signature.expected == Expected::No);
    if let Some(error) = saver.failed(&progress) {
        if !new {
            return Err(error);
        }
        output::error(&error);
    }
    Ok(match interrupted.load(Ordering::Relaxed) {
        true => Exit::Interrupted,
        false if new => Exit::Breach,
        false => Exit::Good,
    })
}

/// What is in the folder already.
fn announce_earlier(folder: &Path) -> Result<()> {
    let earlier = std::fs::read_dir(folder)?.flatten();
    let earlier = earlier.filter(|entry| files::is_text(&entry.path())).count();
    if earlier > 0 {
        let (folder, cases) = (folder.display(), count(earlier, "case"));
        note(format!("{folder} has {cases} of earlier hunts, which stay"));
    }
    Ok(())
}

fn announce<F: Filesystem>(plan: &Plan<F>, jobs: usize) {
    let remedied = plan.targets.iter().filter(|target| !target.remedies.is_empty()).count();
    let pairs = count(plan.targets.len() - remedied, "pair");
    let remedied = match remedied {
        0 => String::new(),
        n => format!(" and {} with remedies", count(n, "pair")),
    };
    let jobs = count(jobs, "thread");
    note(format!("hunting on {pairs}{remedied}, {jobs}, seed {}", plan.seed));
}

/// The log that --log asks for.
fn log(args: &Args) -> Result<Option<Mutex<Log>>> {
    let Some(path) = &args.log else { return Ok(None) };
    let log = Log::append(path)
        .map_err(|error| anyhow!("cannot write to {}: {error}", path.display()))
        .context("give another file with --log")?;
    Ok(Some(Mutex::new(log)))
}

/// No run reached the bug: what would.
fn missed<F: Filesystem>(plan: &Plan<F>, plant: Plant) -> anyhow::Error {
    let lacks = |remedy: &Remedy| !plan.targets.iter().any(|target| target.remedies.has(*remedy));
    let remedy = plant
        .needs()
        .filter(lacks)
        .map_or(String::new(), |remedy| format!(" with --remedy {remedy}"));
    anyhow!("no run reached the planted bug `{}`", plant.name())
        .context(format!("hunt it on {}{remedy}, or longer", plant.implementation()))
}

/// The bug that is planted on some target.
fn planted<F: Filesystem>(plan: &Plan<F>) -> Option<Plant> {
    plan.targets.iter().find_map(|target| target.plants.first())
}

fn plan<F: Filesystem>(args: &Args) -> Result<Plan<F>> {
    let ledger = files::own_ledger::<F>()?;
    let rule = args.rule.as_deref().map(rule).transpose()?;
    let scheduler = args.scheduler.as_deref().map(scheduler).transpose()?;
    let plant = args.plant.as_deref().map(plant).transpose()?;
    let callers = callers(&args.callers)?;
    let targets: Vec<Target<F>> = match plant {
        Some(plant) => {
            let own = [plant.implementation().to_owned()];
            let list =
                if args.implementations.is_empty() { &own[..] } else { &args.implementations[..] };
            let planted = pairs(&implementations(list)?, &callers)?;
            let others = references(plant)
                .into_iter()
                .filter(|pair| !planted.contains(pair))
                .map(Target::from);
            let with_plant =
                planted.iter().map(|pair| Target { plants: plant.into(), ..Target::from(*pair) });
            with_plant.chain(others).collect()
        }
        None if args.implementations.is_empty() && callers.is_empty() => ledger.default_targets(),
        None if args.implementations.is_empty() => {
            pairs_that_fit(&callers).into_iter().map(Target::from).collect()
        }
        None => pairs(&implementations(&args.implementations)?, &callers)?
            .into_iter()
            .map(Target::from)
            .collect(),
    };
    let switches = Switches { plant: None, remedies: args.remedies.clone() };
    let targets = targets
        .into_iter()
        .map(|target| switches.apply(&ledger, target))
        .collect::<Result<Vec<_>>>()?;
    let seed = args.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    let cases = args.cases.unwrap_or(u64::MAX);
    let seeds = args.corpus.as_deref().map_or(Ok(Vec::new()), corpus)?;
    Ok(Plan {
        chooses: !args.every_pair
            && plant.is_none()
            && args.implementations.is_empty()
            && callers.is_empty(),
        targets,
        seed,
        aligned: args.aligned,
        scheduler,
        rule,
        cases,
        shard: args.shard.unwrap_or(Shard::WHOLE),
        ledger,
        feedback: names::signals(&args.feedback)?,
        seeds,
    })
}

/// The cases of a folder, in the order of their names. What is no case in bytes is passed over.
fn corpus(folder: &Path) -> Result<Vec<Case>> {
    if !folder.exists() {
        note(format!("{} is a new corpus", folder.display()));
    }
    let entries = std::fs::create_dir_all(folder).and_then(|()| std::fs::read_dir(folder));
    let entries = entries
        .map_err(|error| anyhow!("{}: {error}", folder.display()))
        .context("give another folder with --corpus")?;
    let mut all: Vec<PathBuf> =
        entries.flatten().map(|entry| entry.path()).filter(|path| path.is_file()).collect();
    all.sort();
    let case = |path: &PathBuf| {
        let content = std::fs::read(path)
            .ok()
            .filter(|content| !content.is_empty() && !files::is_text(path))?;
        Some(bytes::decode(&content))
    };
    Ok(all.iter().filter_map(case).collect())
}

/// Draws the progress bar and ends the hunt when its time is up.
fn watch(
    progress: &Progress,
    interrupted: &AtomicBool,
    seconds: Option<u64>,
    cases: Option<u64>,
    start: Instant,
) {
    let length = match (seconds, cases) {
        (Some(seconds), _) => seconds * 1000,
        (None, cases) => cases.unwrap_or(0),
    };
    let bar = output::progress(length);
    while !progress.stop.load(Ordering::Relaxed) {
        let (done, runs) =
            (progress.cases.load(Ordering::Relaxed), progress.runs.load(Ordering::Relaxed));
        let (found, new) = progress.signatures();
        let elapsed = start.elapsed();
        let rate = runs as f64 / elapsed.as_secs_f64().max(0.001);
        bar.set_position(if seconds.is_some() { elapsed.as_millis() as u64 } else { done });
        let features = progress.features.load(Ordering::Relaxed);
        let features = if features > 0 { format!(", {features} features") } else { String::new() };
        bar.set_message(format!(
            "{new} NEW, {}, {done} cases, {rate:.0} runs/s{features}",
            count(found, "finding")
        ));
        progress.tick();
        let over = seconds.is_some_and(|seconds| elapsed >= Duration::from_secs(seconds));
        if over || interrupted.load(Ordering::Relaxed) {
            progress.stop.store(true, Ordering::Relaxed);
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    bar.finish_and_clear();
}

/// A signature, with the file that shows it.
struct Saved<F> {
    key: FindingKey,
    found: Found,
    target: Target<F>,
    /// As it was saved.
    case: Case,
    file: Option<PathBuf>,
}

/// What was found so far is on disk, as it was found.
struct Saver<'a, F> {
    args: &'a Args,
    plan: &'a Plan<F>,
    /// How many findings there were of each entry of the ledger.
    files: Mutex<BTreeMap<usize, usize>>,
    /// The first error of a file.
    failed: Mutex<Option<anyhow::Error>>,
}

impl<F: Filesystem> Saver<'_, F> {
    /// The hunt goes on when something cannot be saved: the disk may have room again at its end,
    /// and the seed and the number of the case are enough to find it again.
    fn save(&self, path: &Path, content: &[u8]) -> bool {
        let written = files::write(path, content);
        let mut failed = self.failed.lock().expect("nothing panics while it is held");
        written.map_err(|error| failed.get_or_insert(error)).is_ok()
    }
}

impl<F: Filesystem> Saver<'_, F> {
    /// What could not be written, if anything.
    fn failed(&self, progress: &Progress) -> Option<anyhow::Error> {
        let of_log = || {
            let log = progress.log.as_ref()?.lock().expect("nothing panics while it is held");
            let (error, path) = (log.failed()?, self.args.log.as_ref()?);
            Some(anyhow!("cannot write to {}: {error}", path.display()))
        };
        let of_file = self.failed.lock().expect("nothing panics while it is held").take();
        let help = "what is not saved is found again with the same seed; mend the place first";
        of_file.or_else(of_log).map(|error| error.context(help))
    }
}

impl<F: Filesystem> hunt::Save for Saver<'_, F> {
    fn found(&self, key: &FindingKey, found: &Found) {
        let is_room = |entry| {
            let mut files = self.files.lock().expect("nothing panics while it is held");
            let all: usize = files.values().sum();
            let written = files.entry(entry).or_default();
            *written += 1;
            all < FILES_MAX || *written == 1
        };
        if entry(key).is_none_or(is_room) {
            let case = hunt::recorded(self.plan, key, found);
            let document = document(self.args, self.plan, key, found, case, false);
            self.save(&file(self.args, self.plan, key), document.to_string().as_bytes());
        }
    }

    fn kept(&self, kept: &[Kept]) {
        let Some(folder) = &self.args.corpus else { return };
        for kept in kept.iter().skip_while(|kept| kept.index < self.plan.seeds.len() as u64) {
            let content = bytes::encode(&kept.case);
            self.save(&folder.join(files::sha1(&content)), &content);
        }
    }
}

fn file<F: Filesystem>(args: &Args, plan: &Plan<F>, key: &FindingKey) -> PathBuf {
    args.out.join(Name::of(&plan.ledger, plan.targets[key.target], &key.signature).file())
}

/// The entry of the ledger that a finding counts for.
fn entry(key: &FindingKey) -> Option<usize> {
    match key.signature.expected {
        Expected::Root(entry) | Expected::Consequence(entry) => Some(entry),
        Expected::No => None,
    }
}

/// Which findings have their case saved: all that are new, and of each entry as many as there is room
/// for, those of different pairs before others of the same.
fn kept<'a>(all: impl Iterator<Item = &'a FindingKey>) -> BTreeSet<FindingKey> {
    let (mut kept, mut expected, mut of_pair) =
        (BTreeSet::new(), BTreeMap::<_, Vec<_>>::new(), BTreeMap::<_, usize>::new());
    for key in all {
        let Some(entry) = entry(key) else {
            kept.insert(*key);
            continue;
        };
        let nth = of_pair.entry((entry, key.target)).or_default();
        expected.entry(entry).or_default().push((*nth, *key));
        *nth += 1;
    }
    let files = |share: &usize| expected.values().map(|all| all.len().min(*share)).sum::<usize>();
    let share = (1..=FILES_MAX).rev().find(|share| files(share) <= FILES_MAX).unwrap_or(1);
    for mut of_entry in expected.into_values() {
        of_entry.sort_unstable();
        kept.extend(of_entry.into_iter().take(share).map(|(_, key)| key));
    }
    kept
}

/// Writes a case for each signature that has one: shrunk, with its schedule by named points, under a
/// name that depends on the signature alone.
fn save<F: Filesystem>(saver: &Saver<'_, F>, outcome: &Hunted, jobs: usize) -> Vec<Saved<F>> {
    // What is new first: a kill may come at any time.
    let mut all: Vec<(&FindingKey, &Found)> = outcome.found.iter().collect();
    all.sort_by_key(|(key, _)| (key.signature.expected != Expected::No, **key));
    let kept = kept(outcome.found.keys());
    let mut findings =
        each(jobs, all.len(), |n| save_one(saver, all[n].0, all[n].1, kept.contains(all[n].0)));
    findings.sort_by_key(|finding| finding.key);
    findings
}

/// Writes the case of a finding, if it is one of those that are kept.
fn save_one<F: Filesystem>(
    saver: &Saver<'_, F>,
    key: &FindingKey,
    found: &Found,
    is_kept: bool,
) -> Saved<F> {
    let Saver { args, plan, .. } = saver;
    let path = file(args, plan, key);
    let (mut case, mut file) = (found.case.clone(), None);
    if is_kept {
        case = match args.raw {
            true => hunt::recorded(plan, key, found),
            false => hunt::reproduce(plan, key, found),
        };
        let document = document(args, plan, key, found, case.clone(), !args.raw);
        let is_saved = saver.save(&path, document.to_string().as_bytes());
        // As it was found it may be there.
        file = (is_saved || path.is_file()).then_some(path);
    } else {
        // It was among the first that were found, and is not among those that are kept.
        let _ = std::fs::remove_file(&path);
    }
    Saved { key: *key, found: found.clone(), target: plan.targets[key.target], case, file }
}

fn document<F: Filesystem>(
    args: &Args,
    plan: &Plan<F>,
    key: &FindingKey,
    found: &Found,
    case: Case,
    shrunk: bool,
) -> text::Document {
    let target = plan.targets[key.target];
    let smaller = if shrunk { ", then made smaller" } else { "" };
    let origin = format!("{}{smaller}.", origin(args, plan, found.index));
    finding::document(target, &found.breach, origin, case, &plan.targets)
}

/// Which case of which hunt it is.
fn origin<F: Filesystem>(args: &Args, plan: &Plan<F>, index: u64) -> String {
    let mut hunt = format!("hunt --seed {}", plan.seed);
    if let Some(plant) = planted(plan) {
        hunt += &format!(" --plant {}", plant.name());
    }
    let lists = [("impl", &args.implementations), ("caller", &args.callers)];
    for (option, list) in lists.iter().filter(|(_, list)| !list.is_empty()) {
        hunt += &format!(" --{option} {}", list.join(","));
    }
    if !args.remedies.is_empty() {
        hunt += &format!(" --remedy {}", args.remedies.join(","));
    }
    if let Some(shard) = args.shard {
        hunt += &format!(" --shard {shard}");
    }
    if args.every_pair {
        hunt += " --every-pair";
    }
    if args.aligned {
        hunt += " --aligned";
    }
    if let Some(kind) = plan.scheduler {
        hunt += &format!(" --scheduler {}", kind.name());
    }
    if plan.feedback != Some(Signals::default()) {
        hunt += &format!(" --feedback {}", args.feedback.join(","));
    }
    let corpus = if args.corpus.is_some() { ", with a corpus" } else { "" };
    format!("Found as case {index} of `{hunt}`{corpus}")
}

/// The case on which the model broke, in a file of its own.
fn save_broken<F: Filesystem>(args: &Args, plan: &Plan<F>, error: &ModelError) -> Result<()> {
    let file = args.out.join("broken.mkw");
    files::write(&file, broken(args, plan, error).to_string().as_bytes())?;
    note(format!("{RED}{error}{RED:#}\n{} replay {}", output::program(), file.display()));
    Ok(())
}

/// A case that breaks an assertion of the model.
fn broken<F: Filesystem>(args: &Args, plan: &Plan<F>, error: &ModelError) -> text::Document {
    let mut document = text::Document::new(error.case.clone());
    finding::set_targets(&mut document, &[plan.targets[error.target]]);
    let comments =
        [format!("The model is broken: {}", error.message), origin(args, plan, error.index) + "."];
    document.comments = comments.map(|text| ("mkw".to_owned(), text.replace('\n', " "))).into();
    document
}

/// What a hunt has found, for the report and for printing.
struct Results<'a, F: Filesystem> {
    plan: &'a Plan<F>,
    jobs: usize,
    progress: &'a Progress,
    elapsed: Duration,
    outcome: &'a Hunted,
    all: &'a [Saved<F>],
    causes: &'a [json::Cause],
}

fn report<F: Filesystem>(args: &Args, results: &Results<'_, F>) -> json::Hunt {
    let Results { plan, jobs, progress, elapsed, outcome, all, causes } = *results;
    let points = plan.targets.iter().zip(&outcome.reached).map(|(target, reached)| {
        let counts =
            Point::ALL.iter().map(|point| (point.name().to_owned(), reached[point.index()]));
        (target.to_string(), counts.collect())
    });
    json::Hunt {
        seed: plan.seed,
        shard: args.shard.map(|shard| shard.to_string()),
        aligned: plan.aligned,
        scheduler: plan.scheduler.map(SchedulerKind::name),
        rule: plan.rule.map(Rule::id),
        plant: planted(plan).map(Plant::name),
        error: outcome.error.as_ref().map(ToString::to_string),
        jobs,
        cases: progress.cases.load(Ordering::Relaxed),
        runs: progress.runs.load(Ordering::Relaxed),
        steps: progress.steps.load(Ordering::Relaxed),
        seconds: elapsed.as_secs_f64(),
        undecided: outcome.undecided,
        feedback: plan.feedback.map(Signals::names),
        features: progress.features.load(Ordering::Relaxed),
        corpus: progress.kept.load(Ordering::Relaxed),
        findings: all.iter().map(|finding| finding_report(plan, finding)).collect(),
        causes: causes.to_vec(),
        reached: json::Reached { points: points.collect() },
    }
}

fn finding_report<F: Filesystem>(plan: &Plan<F>, finding: &Saved<F>) -> json::Finding {
    let Saved { key, found, target, file, .. } = finding;
    let entry = plan.ledger.entry(key.signature.expected);
    let status = Status::from(key.signature.expected);
    json::Finding {
        on: (*target).into(),
        rule: key.signature.rule.id(),
        point: found.breach.point.name(),
        operation: found.breach.operation,
        status,
        expected: status.is_good(),
        follows: status == Status::Follows,
        entry: entry.map(|entry| entry.name.clone()),
        group: entry.map(|entry| entry.group.clone()),
        cases_until_found: found.index + 1,
        cases: found.count,
        file: file.as_ref().map(|file| file.display().to_string()),
    }
}

/// The findings folded into causes, each with its report.
fn fold<F: Filesystem>(plan: &Plan<F>, all: &[Saved<F>]) -> Vec<json::Cause> {
    let shown = all.iter().map(|finding| Finding {
        target: finding.target,
        signature: finding.key.signature,
        breach: finding.found.breach,
        case: finding.case.clone(),
    });
    let shown: Vec<Finding<F>> = shown.collect();
    let report = |cause: Cause| {
        let file = all[cause.root].file.as_ref().map(|file| file.display().to_string());
        let first = cause.findings.iter().map(|n| all[*n].found.index + 1).min();
        json::Cause {
            about: causes::report(&plan.ledger, &shown, &cause, file),
            cases_until_found: first.unwrap_or_default(),
        }
    };
    causes::fold(&plan.ledger, &shown).into_iter().map(report).collect()
}

/// One row per finding.
fn print_findings<F: Filesystem>(plan: &Plan<F>, all: &[Saved<F>]) {
    let mut table = output::table(["on", "rule", "point", "status", "case"]);
    for Saved { key, found, target, .. } in all {
        let expected = key.signature.expected;
        let entry = plan.ledger.entry(expected).map(|entry| entry.name.as_str());
        table.add_row([
            headline(*target),
            key.signature.rule.id().to_owned(),
            found.breach.point.name().to_owned(),
            Status::from(expected).with_entry(entry),
            (found.index + 1).to_string(),
        ]);
    }
    print_table(&table);
    for path in all.iter().filter_map(|finding| finding.file.as_ref()) {
        line(format!("{} replay {}", output::program(), output::quoted(path)));
    }
}

fn print<F: Filesystem>(args: &Args, results: &Results<'_, F>) {
    let Results { plan, progress, elapsed, outcome, all, causes, .. } = results;
    if all.is_empty() {
        line(format!("{GREEN}no rule was broken{GREEN:#}"));
    } else if args.all {
        print_findings(plan, all);
    } else {
        let lost = |_: &mkwrite_report::cause::Cause| {
            format!("its case is not saved; it comes again with --seed {}", plan.seed)
        };
        causes::print(causes.iter().map(|cause| &cause.about), lost);
    }
    let (cases, runs) =
        (progress.cases.load(Ordering::Relaxed), progress.runs.load(Ordering::Relaxed));
    let steps = progress.steps.load(Ordering::Relaxed);
    let seconds = elapsed.as_secs_f64();
    let new = causes.iter().filter(|cause| cause.about.status == Status::New).count();
    let style = if new > 0 { RED } else { GREEN };
    prose(format!(
        "{BOLD}{}{BOLD:#}, {}, {steps} steps in {seconds:.1} s ({:.0} runs/s); \
         {} of {}, {style}{new} NEW{style:#}; seed {}; cases in {DIM}{}{DIM:#}",
        count(cases, "case"),
        count(runs, "run"),
        runs as f64 / seconds.max(0.001),
        count(all.len(), "finding"),
        count(causes.len(), "cause"),
        plan.seed,
        args.out.display(),
    ));
    if outcome.undecided > 0 {
        note(format!("{} had a cell that could not be judged", count(outcome.undecided, "run")));
    }
    let kept = kept(all.iter().map(|finding| &finding.key)).len();
    if all.len() > kept {
        note(format!(
            "{} of expected causes with many others are counted, and their cases are not saved: what \
             is expected has {FILES_MAX} files, and each cause its share, first one for each pair",
            count(all.len() - kept, "finding")
        ));
    }
    if !all.is_empty() {
        prose(format!(
            "{DIM}hunt --all lists every finding, with its case; replay CASE --trace shows every \
             step{DIM:#}"
        ));
    }
}

#[cfg(test)]
mod tests {
    use mkwrite_oracle::ledger::Signature;

    use super::*;

    fn keys(expected: Expected, targets: usize, points: usize) -> Vec<FindingKey> {
        let point = |n: usize| Some(Point::ALL[n]);
        let key = |target, n| {
            let signature = Signature { expected, rule: Rule::Lost, point: point(n) };
            FindingKey { target, signature }
        };
        (0..targets).flat_map(|target| (0..points).map(move |n| key(target, n))).collect()
    }

    #[test]
    fn each_cause_has_its_share_of_the_files_and_what_is_new_has_all() {
        let of = |kept: &BTreeSet<FindingKey>, expected: Expected| -> Vec<usize> {
            let own = kept.iter().filter(|key| key.signature.expected == expected);
            own.map(|key| key.target).collect()
        };
        let (small, large) = (keys(Expected::Root(0), 3, 4), keys(Expected::Root(1), 10, 60));
        let (other, new) = (keys(Expected::Root(2), 4, 100), keys(Expected::No, 10, 60));
        let all = [&small[..], &large, &other, &new].concat();
        let kept = kept(all.iter());
        assert_eq!(of(&kept, Expected::Root(0)).len(), 12);
        let of_large = of(&kept, Expected::Root(1));
        assert_eq!((of_large.len(), of(&kept, Expected::Root(2)).len()), (244, 244));
        // 24 for each of 10 pairs, and one more for four of them.
        assert!((0..10).all(|n| of_large.iter().filter(|target| **target == n).count() >= 24));
        assert_eq!(of(&kept, Expected::No).len(), 600);
    }

    #[test]
    fn few_findings_have_all_their_cases() {
        let few = keys(Expected::Root(0), 5, 90);
        assert_eq!(kept(few.iter()).len(), 450);
    }
}
