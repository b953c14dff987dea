//! The search: who runs next, for how long, and what becomes of an engine that crashes, hangs or
//! dies.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::{Child, ExitStatus};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use indicatif::ProgressBar;
use mkwrite_report::campaign::duration;
use mkwrite_report::count;
use mkwrite_search::log::{self, LoggedFinding};
use walkdir::WalkDir;

use super::{Place, Session};
use crate::cmd;
use crate::engine::{self, Limit, Start};
use crate::output::{self, note};

/// How long an engine may take longer than its slice before it is asked to end, and then before it
/// is not asked.
const GRACE: Duration = Duration::from_secs(15);
/// How often engines are looked at.
pub(super) const TICK: Duration = Duration::from_millis(100);
/// An engine that fails so often in a row is left out from then on.
pub(crate) const FAILURES: u32 = 3;
/// After each failure it has to wait longer.
const PENALTY: Duration = Duration::from_secs(2);

/// An engine that runs.
struct Running {
    place: Place,
    child: Child,
    began: Instant,
    seconds: u64,
    /// When it was asked to end.
    asked: Option<Instant>,
    /// How it ended, and whether it had been asked to; what it started may still be there.
    left: Option<(ExitStatus, bool)>,
}

/// Whose turn it is.
#[derive(Default)]
struct Turns {
    running: Vec<Running>,
    /// When a place whose engine has ended, or did not start, may start again.
    waiting: BTreeMap<String, Instant>,
}

impl Turns {
    /// The places that cannot start now.
    fn names(&self) -> Vec<String> {
        let running = self.running.iter().map(|one| one.place.name());
        running.chain(self.waiting.keys().cloned()).collect()
    }
}

/// The progress bar, and what its line says of the logs.
struct Shown {
    bar: ProgressBar,
    /// A reader for the log of each place.
    readers: Vec<log::Reader>,
    read: Instant,
    found: BTreeSet<LoggedFinding>,
}

impl Shown {
    fn new(session: &Session<'_>) -> Shown {
        Shown {
            bar: output::progress(session.state.planned as u64),
            readers: vec![log::Reader::default(); session.places.len()],
            read: Instant::now(),
            found: BTreeSet::new(),
        }
    }

    fn update(&mut self, session: &Session<'_>, running: &[Running]) {
        if self.read.elapsed() > Duration::from_secs(1) {
            self.read = Instant::now();
            for ((place, _), reader) in session.places.iter().zip(&mut self.readers) {
                let lines = reader.more(&session.log(*place)).unwrap_or_default();
                self.found.extend(lines.into_iter().filter_map(|line| line.found));
            }
        }
        let (seconds, planned) = (session.state.seconds, session.state.planned);
        let names: Vec<String> = running.iter().map(|one| one.place.name()).collect();
        let findings = count(self.found.len(), "finding");
        let clock = format!("{} of {}", duration(seconds), duration(planned));
        self.bar.set_position(seconds as u64);
        self.bar.set_message(format!("{clock}  {findings}  {}", names.join(", ")));
    }
}

impl Session<'_> {
    /// Engines at the same time, and threads of each.
    pub(super) fn jobs(&self) -> (usize, usize) {
        let cores = self.args.jobs.map_or_else(cmd::jobs, usize::from);
        let jobs = cores.min(self.places.len()).max(1);
        (jobs, cores / jobs)
    }

    /// Seconds of a slice: everybody gets several turns, and starting up is little of each.
    fn slice(&self, jobs: usize) -> u64 {
        let turns = 3.0 * self.places.len() as f64;
        self.args
            .slice
            .unwrap_or((self.state.planned * jobs as f64 / turns).clamp(10.0, 900.0) as u64)
    }

    /// Who has had the least for its weight, of those that neither run nor have to wait.
    pub(super) fn next(&self, not: &[String]) -> Option<&(Place, PathBuf)> {
        let free = self.places.iter().filter(|(place, _)| !not.contains(&place.name()));
        free.filter(|(place, _)| self.done(*place).failures < FAILURES).min_by(|(a, _), (b, _)| {
            let share = |place: &Place| self.done(*place).seconds / place.weight();
            share(a).total_cmp(&share(b))
        })
    }

    /// When a place that has just ended may start again.
    fn may_start(&self, place: Place) -> Instant {
        Instant::now() + PENALTY * self.done(place).failures
    }

    pub(super) fn search(&mut self, interrupted: &AtomicBool) {
        let (jobs, threads) = self.jobs();
        let slice = self.slice(jobs);
        self.announce(jobs, threads, slice);
        let mut shown = Shown::new(self);
        let mut turns = Turns::default();
        loop {
            self.state.seconds = self.elapsed().min(self.state.planned);
            let left = self.state.planned - self.state.seconds;
            let over = left < 1.0 || interrupted.load(Ordering::Relaxed);
            self.end_turns(&mut turns, over);
            while !over && turns.running.len() < jobs {
                let seconds = slice.min(left.ceil() as u64);
                if !self.begin_turn(&mut turns, threads, seconds) {
                    break;
                }
            }
            if turns.running.is_empty() && (over || self.next(&[]).is_none()) {
                break;
            }
            shown.update(self, &turns.running);
            std::thread::sleep(TICK);
        }
        shown.bar.finish_and_clear();
    }

    fn announce(&self, jobs: usize, threads: usize, slice: u64) {
        let names: BTreeSet<&str> =
            self.places.iter().map(|(place, _)| place.engine.name).collect();
        let names = names.into_iter().collect::<Vec<_>>().join(", ");
        let each = if threads > 1 { format!(", {threads} threads each") } else { String::new() };
        let targets = count(self.places.len(), "target");
        note(format!("{targets} of {names}, {jobs} at a time{each}, {slice} s each"));
    }

    /// Takes those out that have ended.
    fn end_turns(&mut self, turns: &mut Turns, over: bool) {
        let mut n = 0;
        while n < turns.running.len() {
            if self.look_at(&mut turns.running[n], over) {
                let place = turns.running.remove(n).place;
                turns.waiting.insert(place.name(), self.may_start(place));
                self.save();
            } else {
                n += 1;
            }
        }
        turns.waiting.retain(|_, until| *until > Instant::now());
    }

    /// Starts the next one. Returns whether there was one.
    fn begin_turn(&mut self, turns: &mut Turns, threads: usize, seconds: u64) -> bool {
        let Some((place, executable)) = self.next(&turns.names()).cloned() else { return false };
        match self.start(place, &executable, threads, seconds) {
            Ok(child) => turns.running.push(Running {
                place,
                child,
                began: Instant::now(),
                seconds,
                asked: None,
                left: None,
            }),
            Err(error) => {
                self.failed(place, format!("{error:#}"));
                turns.waiting.insert(place.name(), self.may_start(place));
            }
        }
        self.save();
        true
    }

    fn start(
        &mut self,
        place: Place,
        executable: &Path,
        jobs: usize,
        seconds: u64,
    ) -> anyhow::Result<Child> {
        let done = self.state.places.entry(place.name()).or_default();
        done.slices += 1;
        let (slices, crashes) = (u64::from(done.slices), done.crashes > 0);
        // A seed of its own for every slice, and the same ones in a campaign of the same seed.
        let number = Place::all().position(|one| one.name() == place.name()).unwrap_or(0) as u64;
        let seed = self.state.seed.wrapping_mul(10_000_000).wrapping_add(number * 100_000 + slices);
        let dictionary = self.real(&self.dictionary(place.target));
        let start = Start {
            target: place.target,
            executable,
            jobs,
            seed,
            shard: self.state.part(),
            limit: Limit::Seconds(seconds),
            folder: &self.real(&self.work(place)),
            corpus: &self.real(&self.folder("corpus").join(place.target.name)),
            dictionary: Some(dictionary.as_path()).filter(|path| path.is_file()),
            log: &self.real(&self.log(place)),
            crashes,
        };
        std::fs::create_dir_all(start.folder)?;
        engine::start((place.engine.command)(&start), &start)
    }

    fn failed(&mut self, place: Place, what: String) {
        let done = self.state.places.entry(place.name()).or_default();
        done.failures += 1;
        let last = done.failures >= FAILURES;
        self.event(place.name(), what);
        if last {
            self.event(place.name(), format!("failed {FAILURES} times in a row and is left out"));
        }
    }

    /// Looks at an engine. Returns whether it has ended, with all that it started.
    fn look_at(&mut self, one: &mut Running, end: bool) -> bool {
        match one.child.try_wait() {
            Ok(Some(status)) => {
                one.left.get_or_insert((status, one.asked.is_some()));
            }
            Ok(None) => {}
            Err(error) => {
                self.failed(one.place, error.to_string());
                return true;
            }
        }
        let patience = one.asked.map_or(Duration::ZERO, |asked| asked.elapsed());
        match one.left {
            // Who does not even end when it is killed is not waited for.
            Some((status, asked)) if !engine::is_alive(&one.child) || patience > 2 * GRACE => {
                engine::end_all(&self.real(&self.log(one.place)));
                self.ended(one, status, asked);
                return true;
            }
            _ if patience > GRACE => {
                if one.left.is_none() {
                    self.event(
                        one.place.name(),
                        "did not end when it was asked to, and was killed",
                    );
                }
                engine::kill(&one.child);
            }
            // Engines save what they have when they are asked to end, and what they started may do
            // so too.
            _ if one.asked.is_none() => {
                let over = one.began.elapsed() > Duration::from_secs(one.seconds) + GRACE;
                if end || over || one.left.is_some() {
                    one.asked = Some(Instant::now());
                    engine::interrupt(&one.child);
                }
            }
            _ => {}
        }
        false
    }

    fn ended(&mut self, one: &Running, status: ExitStatus, asked: bool) {
        let place = one.place;
        let crashes = self.crashes(place).len();
        let done = self.state.places.entry(place.name()).or_default();
        done.seconds += one.began.elapsed().as_secs_f64();
        let (first, more) = (done.crashes == 0, crashes > done.crashes);
        done.crashes = crashes;
        let good = status.success() || asked || more || status.code() == place.engine.found;
        if good {
            done.failures = 0;
        }
        if first && more {
            self.event(place.name(), "has crashed: see the findings");
        } else if !good {
            let output = std::fs::read(self.work(place).join("output.txt")).unwrap_or_default();
            self.failed(place, format!("ended with {status}: {}", last_words(&output)));
        }
    }

    /// Inputs on which an engine saw a target fail.
    pub(super) fn crashes(&self, place: Place) -> Vec<PathBuf> {
        let all = WalkDir::new(self.work(place)).sort_by_file_name().into_iter().flatten();
        let files =
            all.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path);
        files.filter(|path| is_crash(path)).collect()
    }
}

/// The name is that of an input on which a target failed: libFuzzer's artifacts, and what AFL++ has
/// in `crashes` and `hangs`, or in `crashes.TIME`, when it began anew.
fn is_crash(path: &Path) -> bool {
    let name = |path: &Path| {
        path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
    };
    let (own, parent) = (name(path), path.parent().map(name).unwrap_or_default());
    let artifact = ["crash-", "leak-", "oom-", "timeout-"].iter().any(|kind| own.starts_with(kind));
    artifact
        || own.starts_with("id:")
            && ["crashes", "hangs"].iter().any(|folder| parent.starts_with(folder))
}

/// What an engine said last that says something: AFL++ gives advice after its error.
fn last_words(output: &[u8]) -> String {
    let text = anstream::adapter::strip_str(&String::from_utf8_lossy(output)).to_string();
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let abort = lines.iter().rev().find(|line| line.contains("PROGRAM ABORT"));
    abort.or(lines.last()).map_or_else(|| "it said nothing".to_owned(), |line| (*line).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn crashes_of_all_engines_are_known_by_their_names() {
        for path in [
            "a/crash-1",
            "timeout-2",
            "out/main/crashes/id:000000,sig:06",
            "crashes.2026-11-20-16:00:00/id:0",
        ] {
            assert!(is_crash(Path::new(path)), "{path}");
        }
        for path in
            ["a/slow-unit-1", "out/main/queue/id:000000", "crashes/README.txt", "output.txt"]
        {
            assert!(!is_crash(Path::new(path)), "{path}");
        }
    }

    #[test]
    fn the_last_words_are_the_error_and_not_the_advice() {
        let output =
            b"[-] \x1b[1mPROGRAM ABORT : no seeds\x1b[0m\n  Location : main\nNote: try this\n\n";
        assert_eq!(last_words(output), "[-] PROGRAM ABORT : no seeds");
        assert_eq!(last_words(b"one\n  two \n"), "two");
        assert_eq!(last_words(b""), "it said nothing");
    }
}
