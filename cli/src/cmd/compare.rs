//! `mkwrite compare`: what a scheduler, a feedback or an engine is worth, as executions until each
//! expected breach is found.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, anyhow};
use indicatif::{ProgressBar, ProgressStyle};
use mkwrite_explain::parallel::parallel;
use mkwrite_model::schedule::SchedulerKind;
use mkwrite_report::json::compare::{Compare, Factors};
use mkwrite_search::feedback::Signal;
use mkwrite_search::hunt::Shard;
use mkwrite_search::log::{self, Line};
use serde::{Deserialize, Serialize};

use super::stop_on_interrupt;
use crate::engine::{self, Built, DIFFERENTIAL, ENGINES, Limit, Start};
use crate::names::unknown;
use crate::output::{self, RED, line, note, print_table};
use crate::{Exit, files};

/// Compare schedulers, feedback and engines: executions until each expected breach is found
///
/// An execution is one case on all pairs. Each contender runs with each seed, from nothing; the
/// table shows medians over the seeds, rarest breaches last. Results are kept in the file
/// --results, so that a comparison can be interrupted, and more contenders or seeds added; those of
/// another build count no longer.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Contenders: schedulers (without feedback), `random` (all schedulers, no feedback), `hunt`,
    /// `hunt-SIGNAL` (see `list signals`), `libfuzzer`, `afl`, `derived` (libFuzzer with a derived
    /// Arbitrary)
    #[arg(value_name = "NAME", default_values = ["random", "walk", "pct3", "pos", "hunt", "libfuzzer", "afl", "derived"])]
    contenders: Vec<String>,
    /// Seeds
    #[arg(long, default_value_t = 20, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=1000))]
    seeds: u64,
    /// Executions of each contender with each seed
    #[arg(long, default_value_t = 60_000, value_name = "N", value_parser = clap::value_parser!(u64).range(64..))]
    executions: u64,
    /// How many run at the same time (all cores without it)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// The checkout from which targets are built (without it the one that the current folder lies
    /// in)
    #[arg(long, value_name = "DIR")]
    source: Option<PathBuf>,
    /// Where results are kept: a line of JSON for each run
    #[arg(long, default_value = "compare.jsonl", value_name = "FILE")]
    results: PathBuf,
    /// Every breach, not only the rarest third
    #[arg(long)]
    all: bool,
    /// Print a table for documents
    #[arg(long)]
    markdown: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// A run of a contender.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Run {
    contender: String,
    /// The SHA-1 of the executable: results of different builds are not comparable.
    #[serde(default)]
    build: String,
    seed: u64,
    executions: u64,
    /// Executions until each breach was found.
    found: BTreeMap<String, u64>,
    /// What the ledger does not list: the rule and the pair.
    #[serde(default)]
    new: BTreeSet<String>,
}

/// Runs the subcommand.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let known = names();
    if let Some(name) = args.contenders.iter().find(|name| !known.contains(name)) {
        return Err(unknown("contender", name, known.iter().map(String::as_str)));
    }
    let interrupted = stop_on_interrupt()?;
    let executables = executables(args)?;
    let mut runs = read(&args.results)?;
    let before = runs.len();
    runs.retain(|run| {
        executables.get(run.contender.as_str()).is_none_or(|(_, build)| *build == run.build)
    });
    if runs.len() < before {
        note(format!("{} results of other builds are passed over", before - runs.len()));
    }
    let is_done = |contender: &str, seed: u64| {
        runs.iter().any(|run| {
            run.contender == contender && run.seed == seed && run.executions == args.executions
        })
    };
    // Seed by seed, so that an interrupted comparison has something of everyone.
    let pairs = (1..=args.seeds).flat_map(|seed| executables.keys().map(move |name| (*name, seed)));
    let left: Vec<(&str, u64)> = pairs.filter(|(name, seed)| !is_done(name, *seed)).collect();
    if !left.is_empty() {
        runs.extend(play(args, &left, &executables, &interrupted)?);
    }
    let is_wanted =
        |run: &Run| executables.contains_key(run.contender.as_str()) && run.seed <= args.seeds;
    runs.retain(|run| is_wanted(run) && run.executions == args.executions);
    let table = Table::new(args, &runs);
    if args.json {
        output::document(&table.document(args))?;
    } else if args.markdown {
        table.markdown(args);
    } else {
        table.print(args);
    }
    let new: BTreeSet<&String> = runs.iter().flat_map(|run| &run.new).collect();
    for one in &new {
        note(format!("{RED}NEW{RED:#}: {one}"));
    }
    Ok(match new.is_empty() {
        _ if interrupted.load(Ordering::Relaxed) => Exit::Interrupted,
        true => Exit::Good,
        false => Exit::Breach,
    })
}

/// Everything that can be compared.
fn names() -> Vec<String> {
    let schedulers = SchedulerKind::ALL.iter().map(|kind| kind.name().to_owned());
    let signals = Signal::ALL.iter().map(|signal| format!("hunt-{}", signal.name()));
    let engines = ENGINES.iter().map(|engine| engine.name.to_owned());
    schedulers
        .chain(["random", "derived"].map(str::to_owned))
        .chain(engines)
        .chain(signals)
        .collect()
}

fn read(path: &Path) -> Result<Vec<Run>> {
    let content = match std::fs::read(path) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other
            .with_context(|| format!("give another file than {} with --results", path.display()))?,
    };
    Ok(String::from_utf8_lossy(&content)
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .collect())
}

/// The executable of each contender, and the build that it is.
fn executables(args: &Args) -> Result<BTreeMap<&str, (PathBuf, String)>> {
    let source = engine::checkout(args.source.as_deref().unwrap_or(Path::new(".")));
    let mut all = BTreeMap::new();
    for name in &args.contenders {
        let build: fn(Option<&Path>) -> Result<Built> = match engine::by_name(name) {
            Some(engine) => engine.build,
            None if name == "derived" => engine::baseline_targets,
            None => engine::own,
        };
        note(format!("building {name}"));
        let targets =
            build(source.as_deref()).with_context(|| format!("leave `{name}` out"))?.targets;
        let executable =
            [DIFFERENTIAL.name, "derived"].iter().find_map(|target| targets.get(*target));
        let executable = executable.context("the engine has no such target")?.clone();
        let build = files::sha1(&std::fs::read(&executable)?);
        all.insert(name.as_str(), (executable, build));
    }
    Ok(all)
}

/// Runs what is left, and appends each result to the file at once.
fn play(
    args: &Args,
    left: &[(&str, u64)],
    executables: &BTreeMap<&str, (PathBuf, String)>,
    interrupted: &AtomicBool,
) -> Result<Vec<Run>> {
    let results = std::fs::File::options().create(true).append(true).open(&args.results);
    let mut results = results
        .map_err(|error| anyhow!("cannot write to {}: {error}", args.results.display()))
        .context("give another file with --results")?;
    // A line that a kill has cut short must not swallow the next one.
    results.write_all(b"\n")?;
    let (done, failed) = (Mutex::new((Vec::new(), results)), Mutex::new(None));
    let bar = ProgressBar::new(left.len() as u64);
    bar.set_style(
        ProgressStyle::with_template("{bar:30} {pos}/{len}  {msg} {eta}")
            .expect("a valid template"),
    );
    let work = |(contender, seed): (&str, u64)| -> Result<()> {
        bar.set_message(format!("{contender} {seed}"));
        let Some(run) = one(args, contender, seed, executables, interrupted)? else {
            return Ok(());
        };
        let text = serde_json::to_string(&run)? + "\n";
        let mut done = done.lock().expect("nothing panics while it is held");
        done.1.write_all(text.as_bytes())?;
        done.0.push(run);
        bar.inc(1);
        Ok(())
    };
    let failure = || failed.lock().expect("nothing panics while it is held");
    let is_over = || interrupted.load(Ordering::Relaxed) || failure().is_some();
    let jobs = args.jobs.map_or_else(super::jobs, usize::from);
    parallel(
        jobs,
        left.len(),
        is_over,
        || (),
        |(), task| {
            if let Err(error) = work(left[task]) {
                failure().get_or_insert(error);
            }
        },
    );
    if let Some(error) = failure().take() {
        return Err(error);
    }
    bar.finish_and_clear();
    Ok(done.into_inner().expect("nothing panics while it is held").0)
}

/// One contender with one seed.
fn one(
    args: &Args,
    contender: &str,
    seed: u64,
    executables: &BTreeMap<&str, (PathBuf, String)>,
    interrupted: &AtomicBool,
) -> Result<Option<Run>> {
    let folder = tempfile::tempdir()?;
    let (corpus, log) = (folder.path().join("corpus"), folder.path().join("log"));
    std::fs::create_dir(&corpus)?;
    let (executable, version) = &executables[contender];
    let start = Start {
        target: DIFFERENTIAL,
        executable,
        jobs: 1,
        seed,
        shard: Shard::WHOLE,
        limit: Limit::Inputs(args.executions),
        folder: &folder.path().join("out"),
        corpus: &corpus,
        dictionary: None,
        log: &log,
        crashes: false,
    };
    let build: fn(&Start) -> Command = match engine::by_name(contender) {
        Some(engine) => engine.command,
        None if contender == "derived" => engine::libfuzzer,
        None => engine::hunt,
    };
    let mut command = build(&start);
    command.args(arguments(contender));
    let mut child = engine::start(command, &start)?;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if interrupted.load(Ordering::Relaxed) {
            engine::kill(&child);
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    };
    let lines = if log.exists() { log::read(&log)? } else { Vec::new() };
    let codes = ENGINES.iter().filter_map(|engine| engine.found);
    if lines.is_empty()
        || !status.success() && codes.into_iter().all(|code| status.code() != Some(code))
    {
        let output = std::fs::read_to_string(start.folder.join("output.txt")).unwrap_or_default();
        let last: Vec<&str> = output.lines().rev().take(3).collect();
        return Err(anyhow!("{contender} ended with {status}: {}", last.join(" / ")));
    }
    let new =
        lines.iter().filter_map(|line| line.found.as_ref()).filter(|find| find.entry.is_none());
    let new = new
        .map(|find| format!("{} on {} x {}", find.rule, find.implementation, find.caller))
        .collect();
    let (contender, build) = (contender.to_owned(), version.clone());
    Ok(Some(Run { contender, build, seed, executions: args.executions, found: found(&lines), new }))
}

/// What the engine is to be told for this contender.
fn arguments(contender: &str) -> Vec<String> {
    let words: Vec<&str> = match contender {
        "random" => vec!["--feedback", "none"],
        // libFuzzer's own mutations come several at a time.
        "derived" => vec!["-mutate_depth=5"],
        _ if SchedulerKind::from_name(contender).is_some() => {
            vec!["--feedback", "none", "--scheduler", contender]
        }
        _ => match contender.strip_prefix("hunt-") {
            Some(signal) => vec!["--feedback", signal],
            None => vec![],
        },
    };
    words.into_iter().map(str::to_owned).collect()
}

/// Executions until each listed breach was found. An engine that restarts its target counts on from
/// there.
fn found(lines: &[Line]) -> BTreeMap<String, u64> {
    let (mut found, mut before, mut last) = (BTreeMap::new(), 0, (0, 0));
    for line in lines {
        if line.process != last.0 {
            before += last.1;
        }
        last = (line.process, line.executions);
        if let Some(find) = line.found.as_ref().filter(|find| !find.follows)
            && let Some(entry) = &find.entry
        {
            let breach = format!("{} x {}: {entry}", find.implementation, find.caller);
            let executions = before + line.executions;
            found
                .entry(breach)
                .and_modify(|least: &mut u64| *least = executions.min(*least))
                .or_insert(executions);
        }
    }
    found
}

/// Medians.
struct Table {
    contenders: Vec<String>,
    /// How many seeds each contender has run.
    seeds: Vec<usize>,
    /// Breaches, the rarest last, with the median of each contender; nothing where most seeds did
    /// not find it.
    rows: Vec<(String, Vec<Option<f64>>)>,
    /// The rarest third begins here.
    rare: usize,
}

impl Table {
    fn new(args: &Args, runs: &[Run]) -> Table {
        let breaches: BTreeSet<&String> = runs.iter().flat_map(|run| run.found.keys()).collect();
        let of = |contender: &String| {
            runs.iter().filter(|run| run.contender == *contender).collect::<Vec<_>>()
        };
        let mut seen = BTreeSet::new();
        let contenders: Vec<String> =
            args.contenders.iter().filter(|name| seen.insert(*name)).cloned().collect();
        let all: Vec<Vec<&Run>> = contenders.iter().map(of).collect();
        let medians = |breach: &String| all.iter().map(|runs| median(runs, breach)).collect();
        let mut rows: Vec<(String, Vec<Option<f64>>)> =
            breaches.into_iter().map(|breach| (breach.clone(), medians(breach))).collect();
        rows.sort_by(|(_, a), (_, b)| {
            let first =
                |row: &[Option<f64>]| row.first().copied().flatten().unwrap_or(f64::INFINITY);
            first(a).total_cmp(&first(b))
        });
        let rare = rows.len() - rows.len() / 3;
        let seeds = all.iter().map(Vec::len).collect();
        Table { contenders, seeds, rows, rare }
    }

    /// How many times fewer executions than the first contender one needs, over the rarest third:
    /// the geometric mean and the median. Who did not find a breach counts as if at the end of its
    /// runs.
    fn factors(&self, args: &Args, contender: usize) -> Option<(f64, f64)> {
        let number = |median: Option<f64>| median.unwrap_or(args.executions as f64);
        let rows = &self.rows[self.rare..];
        let mut factors: Vec<f64> =
            rows.iter().map(|(_, row)| number(row[0]) / number(row[contender])).collect();
        factors.sort_by(f64::total_cmp);
        let mean =
            (factors.iter().map(|factor| factor.ln()).sum::<f64>() / factors.len() as f64).exp();
        let middle = factors.get(factors.len() / 2)?;
        Some((mean, *middle))
    }

    fn shown(&self, args: &Args) -> &[(String, Vec<Option<f64>>)] {
        if args.all { &self.rows } else { &self.rows[self.rare..] }
    }

    /// The rows below the breaches: what is found at all, and the factors.
    fn summary(&self, args: &Args) -> Vec<(String, Vec<String>)> {
        let each = |cell: &dyn Fn(usize) -> String| {
            (0..self.contenders.len()).map(cell).collect::<Vec<_>>()
        };
        let found =
            |n: usize| self.rows.iter().filter(|(_, row)| row[n].is_some()).count().to_string();
        let total = |n: usize| {
            let rare = self.rows[self.rare..].iter();
            thousands(rare.map(|(_, row)| row[n].unwrap_or(args.executions as f64)).sum::<f64>())
        };
        let factors = |n: usize| {
            self.factors(args, n).map_or(String::new(), |(mean, _)| format!("{mean:.1}"))
        };
        let middle = |n: usize| {
            self.factors(args, n).map_or(String::new(), |(_, median)| format!("{median:.1}"))
        };
        vec![
            (format!("found, of {}", self.rows.len()), each(&found)),
            ("rarest third: sum".to_owned(), each(&total)),
            (format!("times fewer than {}: mean", self.contenders[0]), each(&factors)),
            (format!("times fewer than {}: median", self.contenders[0]), each(&middle)),
        ]
    }

    fn cells(&self, args: &Args) -> Vec<(String, Vec<String>)> {
        let cell = |median: &Option<f64>| median.map_or("-".to_owned(), thousands);
        let rows = self
            .shown(args)
            .iter()
            .map(|(breach, row)| (breach.clone(), row.iter().map(cell).collect()));
        rows.chain(self.summary(args)).collect()
    }

    fn print(&self, args: &Args) {
        let header = ["breach"].into_iter().chain(self.contenders.iter().map(String::as_str));
        let mut table = output::table(header);
        for (breach, cells) in self.cells(args) {
            table.add_row(std::iter::once(breach).chain(cells));
        }
        print_table(&table);
        note(format!("medians over {:?} seeds, {} executions each", self.seeds, args.executions));
    }

    fn markdown(&self, args: &Args) {
        line(format!("| breach | {} |", self.contenders.join(" | ")));
        line(format!("| --- |{}", " ---: |".repeat(self.contenders.len())));
        for (breach, cells) in self.cells(args) {
            line(format!("| {breach} | {} |", cells.join(" | ")));
        }
    }

    fn document(&self, args: &Args) -> Compare {
        let each = || self.contenders.iter().cloned();
        let factors = (0..self.contenders.len()).map(|n| {
            let factors = self.factors(args, n);
            Factors { mean: factors.map(|both| both.0), median: factors.map(|both| both.1) }
        });
        let medians = |row: &Vec<Option<f64>>| each().zip(row.iter().copied()).collect();
        Compare {
            executions: args.executions,
            seeds: each().zip(self.seeds.iter().copied()).collect(),
            medians: self.rows.iter().map(|(breach, row)| (breach.clone(), medians(row))).collect(),
            rarest_third: self.rows[self.rare..].iter().map(|(breach, _)| breach.clone()).collect(),
            times_fewer: each().zip(factors).collect(),
        }
    }
}

fn median(runs: &[&Run], breach: &str) -> Option<f64> {
    let mut all: Vec<Option<u64>> = runs.iter().map(|run| run.found.get(breach).copied()).collect();
    all.sort_by_key(|executions| executions.unwrap_or(u64::MAX));
    let (low, high) = (all.get(all.len().checked_sub(1)? / 2)?, all.get(all.len() / 2)?);
    Some((low.as_ref()? + high.as_ref()?) as f64 / 2.0)
}

fn thousands(number: f64) -> String {
    let digits = format!("{number:.0}");
    let groups: Vec<&str> = digits
        .as_bytes()
        .rchunks(3)
        .rev()
        .map(|c| std::str::from_utf8(c).expect("digits"))
        .collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(contender: &str, seed: u64, found: &[(&str, u64)]) -> Run {
        let found = found.iter().map(|(breach, n)| ((*breach).to_owned(), *n)).collect();
        Run {
            contender: contender.to_owned(),
            build: String::new(),
            seed,
            executions: 1000,
            found,
            new: BTreeSet::new(),
        }
    }

    #[test]
    fn a_median_needs_a_majority_and_numbers_are_grouped() {
        let runs = [
            run("a", 1, &[("x", 5)]),
            run("a", 2, &[("x", 7), ("y", 9)]),
            run("a", 3, &[("x", 90)]),
        ];
        let all: Vec<&Run> = runs.iter().collect();
        assert_eq!(
            (median(&all, "x"), median(&all, "y"), median(&[], "x")),
            (Some(7.0), None, None)
        );
        assert_eq!(
            (median(&all[..2], "x"), thousands(1_234_567.0)),
            (Some(6.0), "1,234,567".to_owned())
        );
    }

    #[test]
    fn executions_go_on_over_a_restart_and_the_first_find_counts() {
        let find = |entry: &str, follows| {
            let [implementation, caller, rule] = ["i", "c", "I1"].map(str::to_owned);
            Some(log::LoggedFinding {
                implementation,
                caller,
                rule,
                point: None,
                entry: Some(entry.to_owned()),
                follows,
            })
        };
        let line = |process, executions, found| Line {
            time: 0.0,
            process,
            executions,
            features: 0,
            found,
        };
        let lines = [
            line(1, 10, find("a", false)),
            line(1, 20, find("b", true)),
            line(2, 5, find("a", false)),
            line(2, 6, find("c", false)),
        ];
        assert_eq!(
            found(&lines),
            [("i x c: a".to_owned(), 10), ("i x c: c".to_owned(), 26)].into()
        );
    }
}
