//! The morning's report: everything that the engines left, sorted; what no case explains is run
//! again, and stays on the list whatever comes of it.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};
use mkwrite_explain::finding::{Name, Standing};
use mkwrite_model::implementation::Filesystem;
use mkwrite_report::campaign::{Campaign, Crash, Search, Series, duration, page};
use mkwrite_report::json::SCHEMA;
use mkwrite_report::triage::{Status, Triage};
use mkwrite_report::{junit, sarif};
use mkwrite_search::hunt::Shard;
use mkwrite_search::log::{self, Line, LoggedFinding};
use walkdir::WalkDir;

use super::{Args, Place, Session};
use crate::engine::{self, DIFFERENTIAL, ENGINES};
use crate::output::{self, BOLD, GREEN, RED, note, prose};
use crate::sorting::Sorting;
use crate::{causes, cmd, files};

/// How long inputs of one place are run again.
const AGAIN: Duration = Duration::from_secs(180);

impl Session<'_> {
    /// Sorts. Of a campaign that was stopped a quick look: the next session has it all again.
    pub(super) fn report<F: Filesystem>(
        &mut self,
        stopped: bool,
        interrupted: &AtomicBool,
    ) -> Result<Campaign> {
        // What places of an earlier session left, too.
        let crashes: Vec<(Place, PathBuf)> = Place::all()
            .flat_map(|place| self.crashes(place).into_iter().map(move |file| (place, file)))
            .collect();
        let places =
            Place::all().filter(|place| place.target.form.is_case()).map(|place| self.work(place));
        let corpus =
            WalkDir::new(self.folder("corpus").join(DIFFERENTIAL.name)).sort_by_file_name();
        let corpus = corpus.into_iter().flatten().filter(|entry| entry.file_type().is_file());
        let folders = places
            .filter(|path| path.is_dir())
            .chain(corpus.map(walkdir::DirEntry::into_path))
            .collect();
        let seconds =
            if stopped { self.args.seconds_per_case.min(1) } else { self.args.seconds_per_case };
        let jobs = self.args.jobs.map_or_else(cmd::jobs, usize::from);
        let sorting = Sorting {
            folders,
            out: self.folder("findings"),
            limit: Some(Duration::from_secs(seconds)),
            jobs,
        };
        let mut findings = sorting.run::<F>(interrupted)?;
        let crashes = self.unexplained(&crashes, &findings, interrupted)?;
        let without_case = self.without_case(&findings);
        for remark in &findings.broken {
            self.keep("model", Path::new(&remark.file))?;
        }
        findings.interrupted |= stopped || interrupted.load(Ordering::Relaxed);
        Ok(Campaign {
            schema: SCHEMA,
            seed: self.state.seed,
            shard: Some(self.state.part())
                .filter(|part| *part != Shard::WHOLE)
                .map(|part| part.to_string()),
            planned: self.state.planned,
            seconds: self.state.seconds,
            sessions: self.state.sessions.len(),
            jobs: self.jobs().0 * self.jobs().1,
            interrupted: findings.interrupted,
            missing: self.missing.clone(),
            searches: self.searches(),
            series: self.series(),
            findings,
            crashes,
            without_case,
            events: self.state.events.clone(),
        })
    }

    /// Crashes that no NEW breach and no broken assertion of the findings stands for, and NEW
    /// breaches in the logs that no case shows.
    fn unexplained(
        &mut self,
        crashes: &[(Place, PathBuf)],
        findings: &Triage,
        interrupted: &AtomicBool,
    ) -> Result<Vec<Crash>> {
        let new = || findings.clusters.iter().filter(|cluster| cluster.status == Status::New);
        let broken = findings.broken.iter().map(|remark| &remark.file);
        let explained: BTreeSet<&String> =
            new().flat_map(|cluster| &cluster.files).chain(broken).collect();
        let expected: BTreeSet<&String> =
            findings.clusters.iter().flat_map(|cluster| &cluster.files).collect();
        let mut all: Vec<Crash> = Vec::new();
        let mut began: BTreeMap<String, Instant> = BTreeMap::new();
        for (place, file) in
            crashes.iter().filter(|(_, file)| !explained.contains(&file.display().to_string()))
        {
            let since = began.entry(place.name()).or_insert_with(Instant::now);
            let in_time = since.elapsed() < AGAIN && !interrupted.load(Ordering::Relaxed);
            let is_expected = expected.contains(&file.display().to_string());
            let Some(crash) = self.crash(*place, file, is_expected, in_time)? else { continue };
            let same = |known: &&mut Crash| {
                (&known.target, &known.message) == (&crash.target, &crash.message)
            };
            match all.iter_mut().find(same) {
                Some(known) => known.count += 1,
                None => all.push(crash),
            }
        }
        let lines = Place::all()
            .flat_map(|place| self.lines(place).into_iter().map(move |(_, line)| (place, line)));
        let mut lost = BTreeSet::new();
        for (place, find) in lines.filter_map(|(place, line)| Some((place, line.found?))) {
            // A case that was NEW when it was found stands for it, whatever the ledger says of it
            // now.
            let is_crash =
                |file: &String| crashes.iter().any(|(_, crash)| crash.as_path() == Path::new(file));
            let is_new = |name: &Name| name.standing == Standing::New;
            let was_new = |file: &String| {
                Name::of_file(Path::new(file)).as_ref().is_some_and(is_new) || is_crash(file)
            };
            let shown = |own: &LoggedFinding| {
                findings.clusters.iter().any(|cluster| {
                    let pair = (&cluster.implementation, &cluster.caller)
                        == (&own.implementation, &own.caller);
                    let is_new =
                        cluster.status == Status::New && Some(&cluster.point) == own.point.as_ref();
                    pair && cluster.rule == own.rule
                        && (is_new || cluster.files.iter().any(was_new))
                })
            };
            if find.entry.is_none() && !shown(&find) && lost.insert(find.clone()) {
                let LoggedFinding { implementation, caller, rule, point, .. } = find;
                let at = point.map(|point| format!(" at {point}")).unwrap_or_default();
                all.push(Crash {
                    engine: place.engine.name.to_owned(),
                    target: place.target.name.to_owned(),
                    count: 1,
                    file: None,
                    message: format!(
                        "NEW: {rule}{at} on {implementation} x {caller}, whose case is lost"
                    ),
                    reproduce: None,
                });
            }
        }
        Ok(all)
    }

    /// What the ledger lists and the logs name, and no case shows: an engine keeps the inputs that
    /// it fails on or learns from, and not one for each signature.
    fn without_case(&self, findings: &Triage) -> Vec<String> {
        let has_case = |find: &LoggedFinding| {
            findings.clusters.iter().any(|one| {
                (&one.implementation, &one.caller, &one.rule)
                    == (&find.implementation, &find.caller, &find.rule)
                    && (&one.entry, one.follows) == (&find.entry, find.follows)
                    && find.point.as_ref().is_none_or(|point| *point == one.point)
            })
        };
        let logged = Place::all().flat_map(|place| self.lines(place));
        let finds: BTreeSet<LoggedFinding> = logged.filter_map(|(_, line)| line.found).collect();
        let lost = finds.into_iter().filter(|find| find.entry.is_some() && !has_case(find));
        let text = |find: LoggedFinding| {
            let LoggedFinding { implementation, caller, entry, follows, rule, point } = find;
            let point = point.map(|point| format!(" at {point}")).unwrap_or_default();
            let status = if follows { Status::Follows } else { Status::Expected };
            let standing = status.with_entry(entry.as_deref());
            format!("{rule}{point} on {implementation} x {caller} ({standing})")
        };
        lost.map(text).collect()
    }

    /// Runs an input again on which a target has failed, and keeps it.
    fn crash(
        &mut self,
        place: Place,
        file: &Path,
        is_expected: bool,
        in_time: bool,
    ) -> Result<Option<Crash>> {
        let Place { engine, target } = place;
        let own = |(one, _): &&(Place, PathBuf)| one.name() == place.name();
        let executable = self.places.iter().find(own).map(|(_, executable)| executable.clone());
        let path = file.to_string_lossy();
        let is_hang = path.contains("/timeout-") || path.contains("/hangs");
        let again = match &executable {
            Some(executable) if in_time => engine::run_again(
                executable,
                file,
                &self.real(&self.log(place)).with_extension("again"),
            ),
            Some(_) => Err(anyhow!("there was no time for more of this target")),
            None => Err(anyhow!("{} is not there now", engine.name)),
        };
        let message = match again {
            Ok(Some(message)) => message,
            // The ledger has learnt since.
            _ if is_expected && !is_hang => return Ok(None),
            Ok(None) if is_hang => {
                self.event(path, "took too long once, and does not again");
                return Ok(None);
            }
            Ok(None) => "it does not fail again".to_owned(),
            Err(error) => format!("not run again: {error:#}"),
        };
        let kept = self.keep(&place.name().replace(' ', "-"), file)?;
        let from = if engine.stdin { "< " } else { "" };
        Ok(Some(Crash {
            engine: engine.name.to_owned(),
            target: target.name.to_owned(),
            count: 1,
            message,
            reproduce: executable.map(|executable| {
                format!("{} {from}{}", output::quoted(&executable), output::quoted(&kept))
            }),
            file: Some(kept.display().to_string()),
        }))
    }

    /// Copies an input to where it stays when the engines' folders are removed.
    fn keep(&self, prefix: &str, file: &Path) -> Result<PathBuf> {
        let folder = self.folder("crashes");
        files::prepare_folder(&folder)?;
        let content = std::fs::read(file)?;
        // A case in text is known by its name.
        let suffix = if files::is_text(file) { ".mkw" } else { "" };
        let kept = folder.join(format!("{prefix}-{}{suffix}", files::sha1(&content)));
        files::write(&kept, &content)?;
        Ok(kept)
    }

    /// A log's lines, in the campaign's time.
    fn lines(&self, place: Place) -> Vec<(f64, Line)> {
        let at = |line: &Line| {
            let session = self.state.sessions.iter().rev().find(|(began, _)| *began <= line.time);
            session.map_or(0.0, |(began, before)| before + line.time - began)
        };
        let lines = log::read(&self.log(place)).unwrap_or_default();
        lines.into_iter().map(|line| (at(&line), line)).collect()
    }

    fn searches(&self) -> Vec<Search> {
        let here = |place: &Place| self.places.iter().any(|(one, _)| one.name() == place.name());
        let all = Place::all()
            .filter(|place| here(place) || self.state.places.contains_key(&place.name()));
        all.map(|place| self.did(place)).collect()
    }

    fn did(&self, place: Place) -> Search {
        let (done, lines) = (self.done(place), self.lines(place));
        let finds: BTreeSet<&LoggedFinding> =
            lines.iter().filter_map(|(_, line)| line.found.as_ref()).collect();
        Search {
            engine: place.engine.name.to_owned(),
            target: place.target.name.to_owned(),
            seconds: done.seconds,
            slices: done.slices,
            runs_cases: place.target.features,
            executions: executions(lines.iter().map(|(_, line)| line)),
            features: lines.iter().map(|(_, line)| line.features).max().unwrap_or(0),
            signatures: finds.len(),
            new: finds.iter().filter(|find| find.entry.is_none()).count(),
            corpus: std::fs::read_dir(self.folder("corpus").join(place.target.name))
                .map_or(0, Iterator::count),
        }
    }

    fn series(&self) -> Vec<Series> {
        let mut all = Vec::new();
        for engine in ENGINES {
            let places = Place::all().filter(|place| place.engine.name == engine.name);
            let mut lines: Vec<(f64, Line)> = places.flat_map(|place| self.lines(place)).collect();
            if !lines.is_empty() {
                lines.sort_by(|a, b| a.0.total_cmp(&b.0));
                all.push(grown(engine.name, &lines));
            }
        }
        all
    }
}

/// Executions of all processes that wrote a log. A number that gets smaller is that of another
/// process.
fn executions<'a>(lines: impl Iterator<Item = &'a Line>) -> u64 {
    let (mut last, mut sum) = (BTreeMap::new(), 0);
    for line in lines {
        let before =
            last.insert(line.process, line.executions).filter(|before| *before <= line.executions);
        sum += line.executions - before.unwrap_or(0);
    }
    sum
}

/// How an engine got on: the signatures that it had found, and the most features that a process of
/// it had seen.
fn grown(engine: &str, lines: &[(f64, Line)]) -> Series {
    let mut series =
        Series { engine: engine.to_owned(), signatures: Vec::new(), features: Vec::new() };
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

/// Writes the report in all its forms.
pub(crate) fn write(args: &Args, report: &Campaign) -> Result<()> {
    let Campaign { findings, crashes, .. } = report;
    let html = args.out.join("report.html");
    files::write(&args.out.join("report.json"), &serde_json::to_vec_pretty(report)?)?;
    files::write(&html, page(report, files::linker(&html)?).as_bytes())?;
    files::write(
        &args.out.join("report.sarif"),
        &serde_json::to_vec_pretty(&sarif::log(findings, crashes))?,
    )?;
    files::write(&args.out.join("report.junit.xml"), junit::xml(findings, crashes)?.as_bytes())
}

/// Prints it.
pub(crate) fn print(args: &Args, report: &Campaign) {
    let mut table = output::table([
        "engine",
        "target",
        "time",
        "starts",
        "executions",
        "features",
        "findings",
        "NEW",
    ]);
    for search in &report.searches {
        // A target that runs no cases has none of these.
        let counted =
            |number: u64| if search.runs_cases { number.to_string() } else { "-".to_owned() };
        table.add_row([
            search.engine.clone(),
            search.target.clone(),
            duration(search.seconds),
            search.slices.to_string(),
            counted(search.executions),
            counted(search.features),
            counted(search.signatures as u64),
            counted(search.new as u64),
        ]);
    }
    output::print_table(&table);
    if !report.findings.causes.is_empty() {
        output::line("");
        causes::print(report.findings.causes.iter().map(|cause| &cause.about), |_| String::new());
    }
    for crash in &report.crashes {
        let reproduce =
            crash.reproduce.iter().map(|command| format!("\n  {command}")).collect::<String>();
        output::line(format!("{RED}crash{RED:#}  {}{reproduce}", crash.sentence()));
    }
    let style = if report.is_good() { GREEN } else { RED };
    prose(format!("{style}{}{style:#}", report.summary()));
    note(format!("{BOLD}{}{BOLD:#}", args.out.join("report.html").display()));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(process: u32, executions: u64, features: u64, found: Option<LoggedFinding>) -> Line {
        Line { time: 0.0, process, executions, features, found }
    }

    #[test]
    fn growth_counts_each_signature_once_and_features_at_their_most() {
        let find = |rule: &str| {
            let [implementation, caller, rule] = ["i", "c", rule].map(str::to_owned);
            Some(LoggedFinding {
                implementation,
                caller,
                rule,
                point: None,
                entry: None,
                follows: false,
            })
        };
        let line = |features, found| line(1, 1, features, found);
        let lines =
            [(1.0, line(5, find("a"))), (2.0, line(3, find("a"))), (3.0, line(9, find("b")))];
        let series = grown("afl", &lines);
        assert_eq!(series.signatures, [(1.0, 1.0), (3.0, 2.0)]);
        assert_eq!(series.features, [(1.0, 5.0), (3.0, 9.0)]);
    }

    #[test]
    fn executions_are_those_of_all_processes_and_a_number_may_come_again() {
        let lines = [(1, 10), (2, 5), (1, 30), (1, 4), (2, 6), (1, 9)];
        let lines: Vec<Line> =
            lines.iter().map(|(process, n)| line(*process, *n, 0, None)).collect();
        assert_eq!(executions(lines.iter()), 30 + 6 + 9);
    }
}
