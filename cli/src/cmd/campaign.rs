//! `mkwrite campaign`: one command for a night. All engines and targets share the time, slice by slice; what they
//! leave is merged and sorted at the end.
//!
//! The folder is the campaign: its state is written after every slice, whole or not at all, so that the same command
//! goes on where a killed one stopped. Engines are processes of their own; one that dies is noted and started again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};
use indicatif::{ProgressBar, ProgressStyle};
use mkwrite_oracle::log::{self, Find, Line};
use mkwrite_report::campaign::{Campaign, Crash, Event, Search, Series, duration, page};
use mkwrite_report::triage::Triage;
use mkwrite_report::{junit, sarif};
use serde::{Deserialize, Serialize};
use walkdir::WalkDir;

use super::{seeds, stop_on_interrupt, triage, unknown};
use crate::engine::{self, ENGINES, Engine, Limit, Start, TARGETS, Target};
use crate::output::{self, BOLD, DIM, GREEN, RED, SCHEMA, YELLOW, note};
use crate::{Exit, files};

/// Search for a long time: all engines that are installed, on all targets, and a report in the morning
///
/// The same command goes on with a campaign that was interrupted or killed, and lets a finished one grow: its corpus
/// is where the next one starts. Needs a checkout for engines other than `hunt`, whose targets are built first.
///
/// In DIR: report.html, .json, .sarif, .junit.xml; findings (a small case for each bug); corpus (inputs by target);
/// work (what the engines left).
#[derive(clap::Args)]
pub struct Args {
    /// Minutes of searching; building before and sorting after come on top
    #[arg(long, default_value_t = 480.0, value_name = "N")]
    minutes: f64,
    /// Engines at the same time (all cores without it)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Only these engines: hunt, libfuzzer, afl
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    engines: Vec<String>,
    /// Only these targets: differential, implementation, codec, history, text
    #[arg(long, value_delimiter = ',', value_name = "NAME")]
    targets: Vec<String>,
    /// The campaign's folder
    #[arg(long, default_value = "campaign", value_name = "DIR")]
    out: PathBuf,
    /// The checkout from which targets are built (without it the one that the current folder lies in)
    #[arg(long, value_name = "DIR")]
    source: Option<PathBuf>,
    /// Cases to start from, besides the campaign's corpus (without it the checkout's corpus)
    #[arg(long, value_name = "DIR")]
    seeds: Option<PathBuf>,
    /// The seed (drawn without it)
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Seconds that an engine runs on a target before the next one has its turn
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    slice: Option<u64>,
    /// Shrink no case for longer than this at the end
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=86_400))]
    seconds_per_case: u64,
    /// Print the report as one JSON document
    #[arg(long)]
    json: bool,
}

/// The largest file that a corpus may have.
const FILE_MAX: u64 = 1 << 20;
/// How long an engine may take longer than its slice before it is asked to end, and then before it is not asked.
const GRACE: Duration = Duration::from_secs(15);
/// How often engines are looked at.
const TICK: Duration = Duration::from_millis(100);
/// An engine that fails so often in a row is left out from then on.
const FAILURES: u32 = 3;

/// What is on disk of a campaign under way.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    schema: u32,
    seed: u64,
    planned: f64,
    /// When each session began, in seconds since 1970, and how much of the campaign was over then.
    sessions: Vec<(f64, f64)>,
    /// Seconds of the campaign that are over.
    seconds: f64,
    slots: BTreeMap<String, Slot>,
    /// Process groups that run now.
    groups: Vec<u32>,
    events: Vec<Event>,
    finished: bool,
}

/// An engine on a target.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Slot {
    seconds: f64,
    slices: u32,
    /// Slices in a row that failed.
    failures: u32,
    /// It has crashed: an engine that stops there is to go on.
    crashed: bool,
}

/// An engine that runs.
struct Running {
    slot: usize,
    child: Child,
    began: Instant,
    seconds: u64,
    /// When it was asked to end.
    asked: Option<Instant>,
}

/// An engine on a target, and what it needs.
#[derive(Clone)]
struct Place {
    engine: &'static Engine,
    target: &'static Target,
    executable: PathBuf,
}

impl Place {
    fn name(&self) -> String {
        format!("{} {}", self.engine.name, self.target.name)
    }

    fn weight(&self) -> f64 {
        f64::from(self.engine.weight * self.target.weight)
    }
}

/// Everything that a session knows.
struct Session<'a> {
    args: &'a Args,
    /// The checkout.
    source: Option<PathBuf>,
    state: State,
    began: Instant,
    places: Vec<Place>,
    missing: Vec<(String, String)>,
    /// A state that could not be written.
    unsaved: Option<String>,
}

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<Exit> {
    if !(args.minutes > 0.0 && args.minutes <= 525_600.0) {
        return Err(anyhow!("--minutes {}: not a time", args.minutes)).context("give minutes, such as 5 or 0.5");
    }
    files::prepare_folder(&args.out)?;
    let interrupted = stop_on_interrupt()?;
    let mut session = Session::open(args)?;
    session.build()?;
    session.prepare();
    session.search(&interrupted)?;
    let stopped = interrupted.load(Ordering::Relaxed);
    if !stopped {
        session.merge();
    }
    session.save();
    let help = "free some space, or mend what is wrong, and run the same command again: it goes on";
    let report = session.report(stopped, &interrupted).context(help)?;
    write(args, &report).context(help)?;
    // Only now may what the engines left be removed.
    session.state.finished = !stopped;
    session.save();
    if args.json {
        output::json(&report)?;
    } else {
        print(args, &report);
    }
    if let Some(error) = session.unsaved {
        return Err(anyhow!("{error}").context(help));
    }
    Ok(if !report.findings.broken.is_empty() {
        Exit::Model
    } else if stopped {
        Exit::Interrupted
    } else if report.is_good() {
        Exit::Good
    } else {
        Exit::Breach
    })
}

impl<'a> Session<'a> {
    fn open(args: &'a Args) -> Result<Session<'a>> {
        let path = args.out.join("state.json");
        let mut state = match std::fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str::<State>(&text)
                .map_err(|error| anyhow!("{}: {error}", path.display()))
                .context("remove that file to start the campaign's clock anew; its corpus stays")?,
            Err(_) => State::default(),
        };
        // Engines of a campaign that was killed may still be there.
        for group in std::mem::take(&mut state.groups) {
            if is_ours(group, &args.out) {
                engine::kill(group, "-KILL");
            }
        }
        // What made an engine fail may be mended.
        state.slots.values_mut().for_each(|slot| slot.failures = 0);
        let planned = args.minutes * 60.0;
        let resumed = !state.sessions.is_empty() && !state.finished;
        if resumed {
            note(format!("going on: {} of {} are over", duration(state.seconds), duration(planned)));
        } else {
            let seed = args.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
            state = State { schema: SCHEMA, seed, ..State::default() };
            // What the engines left last time has been merged and sorted.
            let _ = std::fs::remove_dir_all(args.out.join("work"));
        }
        state.planned = planned;
        state.sessions.push((now(), state.seconds));
        let began = Instant::now();
        let source = engine::checkout(args.source.as_deref().unwrap_or(Path::new(".")));
        Ok(Session { args, source, state, began, places: Vec::new(), missing: Vec::new(), unsaved: None })
    }

    fn folder(&self, name: &str) -> PathBuf {
        self.args.out.join(name)
    }

    fn elapsed(&self) -> f64 {
        self.state.sessions.last().map_or(0.0, |(_, before)| before + self.began.elapsed().as_secs_f64())
    }

    fn event(&mut self, subject: impl Into<String>, what: impl Into<String>) {
        let event = Event { seconds: self.state.seconds, subject: subject.into(), what: what.into() };
        note(format!("{YELLOW}{}{YELLOW:#}: {}", event.subject, event.what));
        if !self.state.events.iter().any(|known| (&known.subject, &known.what) == (&event.subject, &event.what)) {
            self.state.events.push(event);
        }
    }

    /// Writes the state. What cannot be written now is tried again after the next slice.
    fn save(&mut self) {
        let text = serde_json::to_vec_pretty(&self.state).expect("the state is plain data");
        self.unsaved = files::write(&self.folder("state.json"), &text).err().map(|error| format!("{error:#}"));
    }

    /// Builds the targets of all engines.
    fn build(&mut self) -> Result<()> {
        let args = self.args;
        let known = |list: &[String], all: &[&str], what| match list.iter().find(|name| !all.contains(&name.as_str())) {
            Some(name) => Err(unknown(what, name, all.iter().copied())),
            None => Ok(()),
        };
        known(&args.engines, &ENGINES.iter().map(|engine| engine.name).collect::<Vec<_>>(), "engine")?;
        known(&args.targets, &TARGETS.iter().map(|target| target.name).collect::<Vec<_>>(), "target")?;
        let wanted = |list: &[String], name: &str| list.is_empty() || list.iter().any(|one| one == name);
        for engine in ENGINES.iter().filter(|engine| wanted(&args.engines, engine.name)) {
            note(format!("{DIM}building the targets of {}{DIM:#}", engine.name));
            match (engine.build)(self.source.as_deref()) {
                Err(error) => {
                    note(format!("{YELLOW}{} is left out{YELLOW:#}: {error:#}", engine.name));
                    self.missing.push((engine.name.to_owned(), format!("{error:#}")));
                }
                Ok(targets) => {
                    for target in TARGETS.iter().filter(|target| wanted(&args.targets, target.name)) {
                        if let Some(executable) = targets.get(target.name) {
                            self.places.push(Place { engine, target, executable: executable.clone() });
                        }
                    }
                }
            }
        }
        if self.places.is_empty() {
            return Err(anyhow!("no engine is there for these targets"))
                .context("`hunt` needs no set-up; it runs `differential`");
        }
        // Building is no searching.
        self.began = Instant::now();
        if let Some(last) = self.state.sessions.last_mut() {
            last.0 = now();
        }
        Ok(())
    }

    /// Puts seeds into the corpora, and what is no input out of them.
    fn prepare(&mut self) {
        let own = self.source.as_ref().map(|source| source.join("corpus"));
        let seeds = self.args.seeds.clone().or(own);
        for target in TARGETS {
            let corpus = self.folder("corpus").join(target.name);
            if let Err(error) = std::fs::create_dir_all(&corpus) {
                self.event(corpus.display().to_string(), error.to_string());
            }
            for file in damaged(&corpus) {
                let to = self.folder("damaged").join(target.name);
                let moved = std::fs::create_dir_all(&to)
                    .and_then(|()| std::fs::rename(&file, to.join(file.file_name().unwrap_or_default())));
                let what = moved
                    .map_or_else(|error| error.to_string(), |()| format!("is no input: moved to {}", to.display()));
                self.event(file.display().to_string(), what);
            }
        }
        let Some(seeds) = seeds else { return };
        let (starts, unread) = seeds::starts(&seeds).unwrap_or_else(|error| (Vec::new(), vec![error]));
        for error in unread {
            self.event(seeds.display().to_string(), triage::reason(&seeds, &error));
        }
        for start in starts {
            if let Err(error) = self.seed(&start) {
                self.event(start.target, format!("{error:#}"));
            }
        }
    }

    /// Writes a target's dictionary, and the seeds that its corpus does not have.
    fn seed(&self, start: &seeds::Start) -> Result<()> {
        let corpus = self.folder("corpus").join(&start.target);
        for (name, content) in
            start.seeds.iter().filter(|(name, content)| !corpus.join(name).exists() && !content.is_empty())
        {
            files::write(&corpus.join(name), content)?;
        }
        let dictionary = self.dictionary(&start.target);
        std::fs::create_dir_all(dictionary.parent().expect("it is in a folder"))?;
        files::write(&dictionary, start.dictionary.as_bytes())
    }

    fn dictionary(&self, target: &str) -> PathBuf {
        self.folder("work").join(format!("{target}.dict"))
    }

    fn key(&self, slot: usize) -> String {
        self.places[slot].name()
    }

    fn work(&self, slot: usize) -> PathBuf {
        self.folder("work").join(self.places[slot].name().replace(' ', "-"))
    }

    fn log(&self, slot: usize) -> PathBuf {
        self.work(slot).with_extension("jsonl")
    }

    /// Seconds of a slice: everybody gets several turns, and starting up is little of each.
    fn slice(&self, jobs: usize) -> u64 {
        let turns = 3.0 * self.places.len() as f64;
        self.args.slice.unwrap_or((self.state.planned * jobs as f64 / turns).clamp(10.0, 900.0) as u64)
    }

    /// Who has had the least for its weight, of those that do not run.
    fn next(&self, running: &[Running]) -> Option<usize> {
        let free = (0..self.places.len()).filter(|slot| running.iter().all(|one| one.slot != *slot));
        let state = |slot: &usize| self.state.slots.get(&self.key(*slot)).cloned().unwrap_or_default();
        let free = free.filter(|slot| state(slot).failures < FAILURES);
        free.min_by(|a, b| {
            let share = |slot: &usize| state(slot).seconds / self.places[*slot].weight();
            share(a).total_cmp(&share(b))
        })
    }

    fn search(&mut self, interrupted: &AtomicBool) -> Result<()> {
        let jobs = self.args.jobs.map_or_else(super::jobs, usize::from).min(self.places.len());
        let slice = self.slice(jobs);
        let names: BTreeSet<&str> = self.places.iter().map(|place| place.engine.name).collect();
        let names: Vec<&str> = names.into_iter().collect();
        note(format!("{} targets of {}, {jobs} at a time, {slice} s each", self.places.len(), names.join(", ")));
        let bar = ProgressBar::new(self.state.planned as u64);
        bar.set_style(ProgressStyle::with_template("{bar:20} {msg}").expect("a valid template"));
        let mut running: Vec<Running> = Vec::new();
        let (mut told, mut found) = (Instant::now(), BTreeSet::new());
        let mut readers = vec![log::Reader::default(); self.places.len()];
        loop {
            self.state.seconds = self.elapsed().min(self.state.planned);
            let left = self.state.planned - self.state.seconds;
            let over = left < 1.0 || interrupted.load(Ordering::Relaxed);
            let mut n = 0;
            while n < running.len() {
                if self.look_at(&mut running[n], over) {
                    running.remove(n);
                    self.state.groups = running.iter().map(|one| one.child.id()).collect();
                    self.save();
                } else {
                    n += 1;
                }
            }
            while !over && running.len() < jobs {
                let Some(slot) = self.next(&running) else { break };
                self.start(slot, slice.min(left.ceil() as u64), &mut running);
            }
            if running.is_empty() {
                break;
            }
            if told.elapsed() > Duration::from_secs(1) {
                told = Instant::now();
                for (slot, reader) in readers.iter_mut().enumerate() {
                    let lines = reader.more(&self.log(slot)).unwrap_or_default();
                    found.extend(lines.into_iter().filter_map(|line| line.found));
                }
            }
            bar.set_position(self.state.seconds as u64);
            let now: Vec<String> = running.iter().map(|one| self.key(one.slot)).collect();
            let clock = format!("{} of {}", duration(self.state.seconds), duration(self.state.planned));
            bar.set_message(format!("{clock}  {} signatures  {}", found.len(), now.join(", ")));
            std::thread::sleep(TICK);
        }
        bar.finish_and_clear();
        self.state.groups.clear();
        if self.next(&[]).is_none() {
            return Err(anyhow!("every engine failed {FAILURES} times in a row"))
                .context("their output is in work/*/output.txt");
        }
        Ok(())
    }

    fn start(&mut self, slot: usize, seconds: u64, running: &mut Vec<Running>) {
        let Place { engine, target, executable, .. } = self.places[slot].clone();
        let own = self.state.slots.entry(self.places[slot].name()).or_default();
        own.slices += 1;
        // A seed of its own for every slice, and the same ones in a campaign of the same seed.
        let seed = self.state.seed.wrapping_mul(1000).wrapping_add(slot as u64 * 100_000 + u64::from(own.slices));
        let crashes = own.crashed;
        let target = target.name;
        let (folder, corpus, log) = (self.work(slot), self.folder("corpus").join(target), self.log(slot));
        let dictionary = self.dictionary(target);
        let _ = std::fs::create_dir_all(&folder);
        let absolute = |path: PathBuf| std::path::absolute(&path).unwrap_or(path);
        let dictionary = absolute(dictionary);
        let start = Start {
            executable: &executable,
            seed,
            limit: Limit::Seconds(seconds),
            folder: &absolute(folder),
            corpus: &absolute(corpus),
            dictionary: Some(dictionary.as_path()).filter(|path| path.is_file()),
            log: &absolute(log),
            crashes,
        };
        match engine::start((engine.command)(&start), &start) {
            Ok(child) => {
                self.state.groups.push(child.id());
                running.push(Running { slot, child, began: Instant::now(), seconds, asked: None });
                self.save();
            }
            Err(error) => {
                self.failed(slot, format!("{error:#}"));
            }
        }
    }

    fn failed(&mut self, slot: usize, what: String) {
        let key = self.key(slot);
        let own = self.state.slots.entry(key.clone()).or_default();
        own.failures += 1;
        let last = own.failures >= FAILURES;
        self.event(&key, what);
        if last {
            self.event(&key, format!("failed {FAILURES} times in a row and is left out"));
        }
    }

    /// Looks at an engine. Returns whether it has ended.
    fn look_at(&mut self, one: &mut Running, end: bool) -> bool {
        let slot = one.slot;
        let status = match one.child.try_wait() {
            Ok(Some(status)) => status,
            Ok(None) => {
                let (ran, slice) = (one.began.elapsed(), Duration::from_secs(one.seconds));
                if one.asked.is_some_and(|asked| asked.elapsed() > GRACE) {
                    self.event(self.key(slot), "did not end when it was asked to, and was killed");
                    engine::kill(one.child.id(), "-KILL");
                } else if one.asked.is_none() && (end || ran > slice + GRACE) {
                    // Engines save what they have when they are asked to end.
                    one.asked = Some(Instant::now());
                    engine::kill(one.child.id(), "-INT");
                }
                return false;
            }
            Err(error) => {
                self.failed(slot, error.to_string());
                return true;
            }
        };
        // What an engine started must not outlive it.
        engine::kill(one.child.id(), "-KILL");
        let crashes = self.crashes(slot).len();
        let key = self.key(slot);
        let own = self.state.slots.entry(key.clone()).or_default();
        own.seconds += one.began.elapsed().as_secs_f64();
        let crashed = crashes > 0 && !own.crashed;
        own.crashed |= crashes > 0;
        let good =
            status.success() || own.crashed || one.asked.is_some() || status.code() == self.places[slot].engine.found;
        if good {
            own.failures = 0;
        }
        if crashed {
            self.event(&key, "has crashed: see the findings");
        } else if !good {
            let output = std::fs::read(self.work(slot).join("output.txt")).unwrap_or_default();
            let output = String::from_utf8_lossy(&output).into_owned();
            let last = output.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
            let last = anstream::adapter::strip_str(last.trim()).to_string();
            self.failed(slot, format!("ended with {status}: {last}"));
        }
        true
    }

    /// Inputs on which an engine saw a target fail.
    fn crashes(&self, slot: usize) -> Vec<PathBuf> {
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        let is_crash = |path: &Path| {
            let (own, parent) = (name(path), path.parent().map(name).unwrap_or_default());
            let artifact = ["crash-", "leak-", "oom-", "timeout-"].iter().any(|kind| own.starts_with(kind));
            artifact || (own.starts_with("id:") && (parent == "crashes" || parent == "hangs"))
        };
        let all = WalkDir::new(self.work(slot)).sort_by_file_name().into_iter().flatten();
        all.filter(|entry| entry.file_type().is_file())
            .map(walkdir::DirEntry::into_path)
            .filter(|path| is_crash(path))
            .collect()
    }

    /// Lets libFuzzer keep what matters of each corpus, with what AFL++ has found.
    fn merge(&mut self) {
        let libfuzzer: Vec<_> = self.places.iter().filter(|place| place.engine.name == "libfuzzer").cloned().collect();
        for Place { target, executable, .. } in libfuzzer {
            let target = target.name;
            let (corpus, merged) =
                (self.folder("corpus").join(target), self.folder("corpus").join(format!("{target}.new")));
            let queue = self.folder("work").join(format!("afl-{target}")).join("out/main/queue");
            let _ = std::fs::remove_dir_all(&merged);
            let mut command = Command::new(&executable);
            command.args(["-merge=1", &format!("-max_len={}", engine::INPUT_MAX)]).arg(&merged).arg(&corpus);
            if queue.is_dir() {
                command.arg(&queue);
            }
            let status = std::fs::create_dir_all(&merged)
                .and_then(|()| command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status());
            let count = |folder: &Path| std::fs::read_dir(folder).map_or(0, Iterator::count);
            let good = matches!(&status, Ok(status) if status.success()) && count(&merged) > 0;
            // The new one takes the place of the old one; in between, both are there.
            let old = self.folder("corpus").join(format!("{target}.old"));
            let swap = || -> std::io::Result<()> {
                let _ = std::fs::remove_dir_all(&old);
                std::fs::rename(&corpus, &old)?;
                std::fs::rename(&merged, &corpus)?;
                std::fs::remove_dir_all(&old)
            };
            if !good {
                if count(&corpus) > 0 {
                    let status = status.map_or_else(|error| error.to_string(), |status| status.to_string());
                    self.event(format!("corpus of {target}"), format!("was not merged ({status}) and stays as it is"));
                }
                let _ = std::fs::remove_dir_all(&merged);
            } else if let Err(error) = swap() {
                self.event(format!("corpus of {target}"), format!("was not merged: {error}"));
            }
        }
    }

    /// A log's lines, in the campaign's time.
    fn lines(&self, slot: usize) -> Vec<(f64, Line)> {
        let at = |line: &Line| {
            let session = self.state.sessions.iter().rev().find(|(began, _)| *began <= line.time);
            session.map_or(0.0, |(began, before)| before + line.time - began)
        };
        let lines = log::read(&self.log(slot)).unwrap_or_default();
        lines.into_iter().map(|line| (at(&line), line)).collect()
    }

    fn report(&self, stopped: bool, interrupted: &AtomicBool) -> Result<Campaign> {
        let slots = || 0..self.places.len();
        let is_case = |slot: &usize| self.places[*slot].target.form.is_case();
        let mut folders: Vec<PathBuf> = slots().filter(is_case).flat_map(|slot| self.crashes(slot)).collect();
        folders.extend(
            WalkDir::new(self.folder("corpus").join("differential"))
                .sort_by_file_name()
                .into_iter()
                .flatten()
                .filter(|e| e.file_type().is_file())
                .map(walkdir::DirEntry::into_path),
        );
        folders.extend(
            slots()
                .filter(|slot| self.places[*slot].engine.name == "hunt")
                .map(|slot| self.work(slot))
                .filter(|path| path.is_dir()),
        );
        // Of what was interrupted, a quick look; the next session has it all again.
        interrupted.store(false, Ordering::Relaxed);
        let findings = triage::sort(
            &triage::Args::of(
                folders,
                self.folder("findings"),
                Some(if stopped { self.args.seconds_per_case.min(1) } else { self.args.seconds_per_case }),
            ),
            interrupted,
        )?;
        let crashes = slots().filter(|slot| !is_case(slot)).flat_map(|slot| {
            self.crashes(slot).into_iter().map(move |file| self.crash(slot, &file)).collect::<Vec<_>>()
        });
        let crashes = crashes.collect();
        let mut series: Vec<Series> = Vec::new();
        for engine in ENGINES {
            let mut lines: Vec<(f64, Line)> = slots()
                .filter(|slot| self.places[*slot].engine.name == engine.name)
                .flat_map(|slot| self.lines(slot))
                .collect();
            if !lines.is_empty() {
                lines.sort_by(|a, b| a.0.total_cmp(&b.0));
                series.push(grown(engine.name, &lines));
            }
        }
        Ok(Campaign {
            schema: SCHEMA,
            seed: self.state.seed,
            planned: self.state.planned,
            seconds: self.state.seconds,
            sessions: self.state.sessions.len(),
            jobs: self.args.jobs.map_or_else(super::jobs, usize::from),
            interrupted: stopped,
            missing: self.missing.clone(),
            searches: slots().map(|slot| self.did(slot)).collect(),
            series,
            findings,
            crashes,
            events: self.state.events.clone(),
        })
    }

    fn crash(&self, slot: usize, file: &Path) -> Crash {
        let Place { engine, target, executable, .. } = &self.places[slot];
        let output = Command::new(executable).arg(file).stdin(Stdio::null()).output();
        let said = output.map(|output| String::from_utf8_lossy(&output.stderr).into_owned()).unwrap_or_default();
        let mut lines = said.lines().skip_while(|line| !line.contains("panicked at"));
        let message = lines.nth(1).map_or("it does not fail again", str::trim).to_owned();
        let reproduce = format!("{} {}", executable.display(), file.display());
        Crash {
            engine: engine.name.to_owned(),
            target: target.name.to_owned(),
            file: file.display().to_string(),
            message,
            reproduce,
        }
    }

    fn did(&self, slot: usize) -> Search {
        let Place { engine, target, .. } = &self.places[slot];
        let own = self.state.slots.get(&self.key(slot)).cloned().unwrap_or_default();
        let lines = self.lines(slot);
        let mut executions: BTreeMap<u32, u64> = BTreeMap::new();
        for (_, line) in &lines {
            let most = executions.entry(line.process).or_default();
            *most = line.executions.max(*most);
        }
        let finds: BTreeSet<&Find> = lines.iter().filter_map(|(_, line)| line.found.as_ref()).collect();
        Search {
            engine: engine.name.to_owned(),
            target: target.name.to_owned(),
            seconds: own.seconds,
            slices: own.slices,
            executions: executions.values().sum(),
            features: lines.iter().map(|(_, line)| line.features).max().unwrap_or(0),
            signatures: finds.len(),
            new: finds.iter().filter(|find| find.entry.is_none()).count(),
            corpus: std::fs::read_dir(self.folder("corpus").join(target.name)).map_or(0, Iterator::count),
        }
    }
}

/// How an engine got on: the signatures that it had found, and the most features that a process of it had seen.
fn grown(engine: &str, lines: &[(f64, Line)]) -> Series {
    let mut series = Series { engine: engine.to_owned(), signatures: Vec::new(), features: Vec::new() };
    let (mut known, mut most) = (BTreeSet::new(), 0);
    for (at, line) in lines {
        if line.found.as_ref().is_some_and(|find| known.insert(find)) {
            series.signatures.push((*at, known.len() as f64));
        }
        if line.features > most {
            most = line.features;
            series.features.push((*at, most as f64));
        }
    }
    series
}

/// What lies in a corpus and is no input.
fn damaged(corpus: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(corpus).into_iter().flatten().flatten();
    let is_input = |path: &Path| {
        path.symlink_metadata().is_ok_and(|meta| meta.is_file() && (1..=FILE_MAX).contains(&meta.len()))
            && std::fs::File::open(path).is_ok()
    };
    let mut all: Vec<PathBuf> = entries.map(|entry| entry.path()).filter(|path| !is_input(path)).collect();
    all.sort();
    all
}

/// This process group is an engine of the campaign in this folder.
fn is_ours(group: u32, out: &Path) -> bool {
    let command = std::fs::read(format!("/proc/{group}/cmdline")).unwrap_or_default();
    let out = std::path::absolute(out).unwrap_or_else(|_| out.to_owned());
    let out = out.as_os_str().as_encoded_bytes();
    command.windows(out.len().max(1)).any(|window| window == out)
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}

fn write(args: &Args, report: &Campaign) -> Result<()> {
    let html = args.out.join("report.html");
    files::write(&args.out.join("report.json"), &serde_json::to_vec_pretty(report)?)?;
    files::write(&html, page(report, triage::linker(&html)?).as_bytes())?;
    files::write(&args.out.join("report.sarif"), &serde_json::to_vec_pretty(&sarif::log(&report.findings))?)?;
    files::write(&args.out.join("report.junit.xml"), junit::xml(&report.findings)?.as_bytes())
}

fn print(args: &Args, report: &Campaign) {
    let mut table =
        output::table(["engine", "target", "time", "starts", "executions", "features", "signatures", "NEW"]);
    for search in &report.searches {
        table.add_row([
            search.engine.clone(),
            search.target.clone(),
            duration(search.seconds),
            search.slices.to_string(),
            search.executions.to_string(),
            search.features.to_string(),
            search.signatures.to_string(),
            search.new.to_string(),
        ]);
    }
    output::print_table(&table);
    let Triage { clusters, replay, .. } = &report.findings;
    for cluster in clusters.iter().filter(|cluster| !cluster.status.is_good()) {
        output::line(format!(
            "{RED}{}{RED:#}  {}\n  {replay} {}",
            cluster.standing(),
            cluster.sentence(),
            cluster.file
        ));
    }
    for crash in &report.crashes {
        output::line(format!("{RED}crash{RED:#}  {}: {}\n  {}", crash.target, crash.message, crash.reproduce));
    }
    let style = if report.is_good() { GREEN } else { RED };
    note(format!("{style}{}{style:#}", report.summary()));
    note(format!("{BOLD}{}{BOLD:#}", args.out.join("report.html").display()));
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn growth_counts_each_signature_once_and_features_at_their_most() {
        let find = |rule: &str| {
            let [implementation, caller, rule] = ["i", "c", rule].map(str::to_owned);
            Some(Find { implementation, caller, rule, entry: None, follows: false })
        };
        let line = |features, found| Line { time: 0.0, process: 1, executions: 1, features, found };
        let lines = [(1.0, line(5, find("a"))), (2.0, line(3, find("a"))), (3.0, line(9, find("b")))];
        let series = grown("afl", &lines);
        assert_eq!(series.signatures, [(1.0, 1.0), (3.0, 2.0)]);
        assert_eq!(series.features, [(1.0, 5.0), (3.0, 9.0)]);
    }

    #[test]
    fn what_is_no_input_is_told_from_what_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("good"), b"x").unwrap();
        std::fs::write(path("empty"), b"").unwrap();
        std::fs::create_dir(path("folder")).unwrap();
        std::os::unix::fs::symlink("/nowhere", path("link")).unwrap();
        std::fs::File::create(path("huge")).unwrap().set_len(FILE_MAX + 1).unwrap();
        let names: Vec<_> = damaged(folder.path()).iter().map(|path| path.file_name().unwrap().to_owned()).collect();
        assert_eq!(names, ["empty", "folder", "huge", "link"].map(OsStr::new));
    }
}
