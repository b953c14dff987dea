//! `mkwrite campaign`: one command for a night. All engines and targets share the time, slice by
//! slice; what they leave is merged and sorted at the end.
//!
//! The folder is the campaign: its state is written after every slice, whole or not at all, so that
//! the same command goes on where a killed one stopped. Engines are processes of their own; one
//! that dies is noted and started again.

use std::collections::BTreeMap;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, anyhow};
use clap::builder::PossibleValuesParser;
use mkwrite_model::implementation::Filesystem;
use mkwrite_report::campaign::{Event, duration};
use mkwrite_report::json::SCHEMA;
use mkwrite_search::hunt::Shard;
use serde::{Deserialize, Serialize};

use super::stop_on_interrupt_or;
use crate::engine::{self, ENGINES, Engine, TARGETS, Target};
use crate::output::{self, DIM, YELLOW, note};
use crate::{Exit, files};

mod corpus;
mod report;
mod search;

/// Search for a long time: all engines that are installed, on all targets, and a report in the
/// morning
///
/// The same command goes on with a campaign that was interrupted or killed, and lets a finished one
/// grow: its corpus is where the next one starts. Needs a checkout for engines other than `hunt`,
/// whose targets are built first.
///
/// In DIR: report.html, .json, .sarif, .junit.xml; findings (a small case for each bug); crashes
/// (inputs on which a target failed in any other way); corpus (inputs by target); work (what the
/// engines left).
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Minutes of searching; building before and sorting after come on top
    #[arg(long, default_value_t = 480.0, value_name = "N")]
    minutes: f64,
    /// Cores to use: engines at the same time, and if there are fewer of them, threads of each (all
    /// cores without it)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1024))]
    jobs: Option<u16>,
    /// Only these engines
    #[arg(long, value_delimiter = ',', value_name = "NAME", value_parser = names(ENGINES.iter().map(|engine| engine.name)))]
    engines: Vec<String>,
    /// Only these targets
    #[arg(long, value_delimiter = ',', value_name = "NAME", value_parser = names(TARGETS.iter().map(|target| target.name)))]
    targets: Vec<String>,
    /// The campaign's folder
    #[arg(long, default_value = "campaign", value_name = "DIR")]
    out: PathBuf,
    /// The checkout from which targets are built (without it the one that the current folder lies
    /// in)
    #[arg(long, value_name = "DIR")]
    source: Option<PathBuf>,
    /// Cases to start from, besides the campaign's corpus (without it the checkout's corpus)
    #[arg(long, value_name = "DIR")]
    seeds: Option<PathBuf>,
    /// The seed (drawn without it)
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// Do only the Ith of N parts, and needs --seed: N machines share one campaign, each in a folder
    /// of its own, and `triage` of their findings merges it
    #[arg(long, value_name = "I/N", requires = "seed")]
    shard: Option<Shard>,
    /// Seconds that an engine runs on a target before the next one has its turn (without it a third
    /// of its share, 10 to 900)
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u64).range(1..=86_400))]
    slice: Option<u64>,
    /// Shrink no case for longer than this at the end
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u64).range(0..=86_400))]
    seconds_per_case: u64,
    /// Print the report as one JSON document
    #[arg(long)]
    json: bool,
}

fn names(all: impl Iterator<Item = &'static str>) -> PossibleValuesParser {
    PossibleValuesParser::new(all)
}

/// What is on disk of a campaign under way.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct State {
    schema: u32,
    seed: u64,
    /// The part of the campaign that is done here: I/N.
    #[serde(default)]
    shard: String,
    planned: f64,
    /// When each session began, in seconds since 1970, and how much of the campaign was over then.
    sessions: Vec<(f64, f64)>,
    /// Seconds of the campaign that are over.
    seconds: f64,
    /// What each place has done.
    places: BTreeMap<String, Done>,
    events: Vec<Event>,
    /// All is merged and sorted.
    finished: bool,
}

impl State {
    /// The part of the campaign that is done here.
    fn part(&self) -> Shard {
        self.shard.parse().unwrap_or(Shard::WHOLE)
    }
}

/// What an engine has done on a target.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Done {
    seconds: f64,
    slices: u32,
    /// Slices in a row that failed.
    failures: u32,
    /// Inputs on which the target failed: an engine that stops there is to go on.
    crashes: usize,
}

/// An engine on a target.
#[derive(Clone, Copy)]
struct Place {
    engine: &'static Engine,
    target: &'static Target,
}

impl Place {
    /// All that there may be.
    fn all() -> impl Iterator<Item = Place> {
        ENGINES.iter().flat_map(|engine| TARGETS.iter().map(move |target| Place { engine, target }))
    }

    fn name(self) -> String {
        format!("{} {}", self.engine.name, self.target.name)
    }

    fn weight(self) -> f64 {
        f64::from(self.engine.weight * self.target.weight)
    }
}

/// Everything that a session knows.
struct Session<'a> {
    args: &'a Args,
    /// The campaign's folder, by its one true path.
    out: PathBuf,
    /// The checkout.
    source: Option<PathBuf>,
    state: State,
    began: Instant,
    /// The engines that are there, with their executables.
    places: Vec<(Place, PathBuf)>,
    missing: Vec<(String, String)>,
    /// A state that could not be written.
    unsaved: Option<String>,
    /// Nobody else works in this folder.
    _lock: File,
}

/// Runs the subcommand.
pub(crate) fn run<F: Filesystem>(args: &Args) -> Result<Exit> {
    if !(args.minutes > 0.0 && args.minutes <= 525_600.0) {
        return Err(anyhow!("--minutes {}: not a time", args.minutes))
            .context("give minutes, such as 5 or 0.5");
    }
    if let Some(folder) = &args.seeds {
        std::fs::read_dir(folder)
            .map_err(|error| anyhow!("{}: {error}", folder.display()))
            .context("mend --seeds")?;
    }
    let ledger = files::own_ledger::<F>()?;
    files::prepare_folder(&args.out)?;
    let mut session = Session::open(args)?;
    let work = session.real(&session.folder("work")).join("");
    let interrupted = stop_on_interrupt_or(move || engine::end_all(&work))?;
    let built = session.build(&interrupted);
    if interrupted.load(Ordering::Relaxed) {
        // Ctrl-C has ended a build, too, and nothing has begun.
        return Ok(Exit::Interrupted);
    }
    built?;
    session.prepare(&ledger);
    session.search(&interrupted);
    session.merge(&interrupted);
    session.save();
    let help = "free some space, or mend what is wrong, and run the same command again: it goes on";
    // A second Ctrl-C ends the sorting too.
    let stopped = interrupted.swap(false, Ordering::Relaxed);
    let report = session.report::<F>(stopped, &interrupted).context(help)?;
    report::write(args, &report).context(help)?;
    // Only now may what the engines left be removed, by the next campaign in this folder.
    let failed = session.next(&[]).is_none();
    session.state.finished = !report.interrupted && !failed;
    session.save();
    if args.json {
        output::json(&report)?;
    } else {
        report::print(args, &report);
    }
    if let Some(error) = &session.unsaved {
        return Err(anyhow!("{error}").context(help));
    }
    Ok(if !report.findings.broken.is_empty() {
        Exit::Model
    } else if report.interrupted {
        Exit::Interrupted
    } else if !report.is_good() {
        Exit::Breach
    } else if failed {
        return Err(anyhow!("every engine failed {} times in a row", search::FAILURES))
            .context("their output is in work/*/output.txt");
    } else {
        Exit::Good
    })
}

impl<'a> Session<'a> {
    fn open(args: &'a Args) -> Result<Session<'a>> {
        let out = args.out.canonicalize()?;
        let lock =
            File::options().create(true).truncate(false).write(true).open(out.join("lock"))?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(anyhow!("{}: a campaign is running there", args.out.display()))
                    .context("wait for it, end it, or give another folder with --out");
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).context("give another folder with --out");
            }
        }
        let path = args.out.join("state.json");
        let mut state = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => State::default(),
            text => text
                .map_err(anyhow::Error::from)
                .and_then(|text| Ok(serde_json::from_str::<State>(&text)?))
                .map_err(|error| anyhow!("{}: {error}", path.display()))
                .context("remove that file to start the campaign's clock anew; all else stays")?,
        };
        // Engines of a campaign that was killed may still be there.
        engine::end_all(&out.join("work").join(""));
        // What made an engine fail may be mended.
        state.places.values_mut().for_each(|done| done.failures = 0);
        if state.finished {
            // What the engines left last time has been merged and sorted.
            let _ = std::fs::remove_dir_all(args.out.join("work"));
            state = State::default();
        }
        if state.sessions.is_empty() {
            let seed = args.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
            let shard = args.shard.unwrap_or(Shard::WHOLE).to_string();
            state = State { schema: SCHEMA, seed, shard, ..State::default() };
        }
        state.planned = (args.minutes * 60.0).max(state.seconds);
        if args.seed.is_some_and(|seed| seed != state.seed) {
            note(format!("the seed of this campaign stays {}", state.seed));
        }
        if args.shard.is_some_and(|shard| shard != state.part()) {
            note(format!("the part that this campaign does stays {}", state.part()));
        }
        if !state.sessions.is_empty() {
            note(format!(
                "going on: {} of {} are over",
                duration(state.seconds),
                duration(state.planned)
            ));
        }
        state.sessions.push((now(), state.seconds));
        let (places, missing, unsaved) = (Vec::new(), Vec::new(), None);
        let source = engine::checkout(args.source.as_deref().unwrap_or(Path::new(".")));
        Ok(Session {
            args,
            out,
            source,
            state,
            began: Instant::now(),
            places,
            missing,
            unsaved,
            _lock: lock,
        })
    }

    /// A folder of the campaign, as people call it.
    fn folder(&self, name: &str) -> PathBuf {
        self.args.out.join(name)
    }

    /// Where a place works.
    fn work(&self, place: Place) -> PathBuf {
        self.folder("work").join(place.name().replace(' ', "-"))
    }

    fn log(&self, place: Place) -> PathBuf {
        self.work(place).with_extension("jsonl")
    }

    /// The same path for engines, which run elsewhere.
    fn real(&self, path: &Path) -> PathBuf {
        self.out.join(path.strip_prefix(&self.args.out).unwrap_or(path))
    }

    fn done(&self, place: Place) -> Done {
        self.state.places.get(&place.name()).cloned().unwrap_or_default()
    }

    fn elapsed(&self) -> f64 {
        self.state
            .sessions
            .last()
            .map_or(0.0, |(_, before)| before + self.began.elapsed().as_secs_f64())
    }

    fn event(&mut self, subject: impl Into<String>, what: impl Into<String>) {
        let event =
            Event { seconds: self.state.seconds, subject: subject.into(), what: what.into() };
        note(format!("{YELLOW}{}{YELLOW:#}: {}", event.subject, event.what));
        if !self
            .state
            .events
            .iter()
            .any(|known| (&known.subject, &known.what) == (&event.subject, &event.what))
        {
            self.state.events.push(event);
        }
    }

    /// Writes the state. What cannot be written now is tried again after the next slice.
    fn save(&mut self) {
        let text = serde_json::to_vec_pretty(&self.state).expect("the state is plain data");
        self.unsaved =
            files::write(&self.folder("state.json"), &text).err().map(|error| format!("{error:#}"));
    }

    fn missing(&mut self, what: String, why: String) {
        note(format!("{YELLOW}{what} is left out{YELLOW:#}: {why}"));
        self.missing.push((what, why));
    }

    /// Builds the targets of all engines.
    fn build(&mut self, interrupted: &AtomicBool) -> Result<()> {
        let args = self.args;
        let wanted =
            |list: &[String], name: &str| list.is_empty() || list.iter().any(|one| one == name);
        for engine in ENGINES.iter().filter(|engine| wanted(&args.engines, engine.name)) {
            if interrupted.load(Ordering::Relaxed) {
                break;
            }
            note(format!("{DIM}building the targets of {}{DIM:#}", engine.name));
            let plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@=:,".contains(c);
            let paths = [Some(self.out.clone()), self.source.clone()].into_iter().flatten();
            let strange = paths
                .map(|path| path.to_string_lossy().into_owned())
                .find(|path| !path.chars().all(plain));
            if let Some(path) = strange.filter(|_| engine.shell) {
                let why = format!(
                    "it hands names to a shell; give --out and --source other names than `{path}`"
                );
                self.missing(engine.name.to_owned(), why);
                continue;
            }
            match (engine.build)(self.source.as_deref()) {
                Err(error) => self.missing(engine.name.to_owned(), format!("{error:#}")),
                Ok(built) => {
                    for target in TARGETS.iter().filter(|target| wanted(&args.targets, target.name))
                    {
                        let place = Place { engine, target };
                        if let Some(executable) = built.targets.get(target.name) {
                            self.places.push((place, executable.clone()));
                        } else if let Some((_, why)) =
                            built.missing.iter().find(|(name, _)| *name == target.name)
                        {
                            self.missing(place.name(), why.clone());
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
}

fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64()
}
