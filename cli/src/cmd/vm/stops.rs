//! `mkwrite vm --hunt`: hunts by stops, one virtual machine per job.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Result;
use indicatif::{ProgressBar, ProgressStyle};
use mkwrite_live::kernel::Version;
use mkwrite_live::ledger::Ledger;
use mkwrite_model::text::Document;
use mkwrite_report::count;
use mkwrite_vm::Unavailable;
use mkwrite_vm::filesystems::{self, GuestFilesystem};
use mkwrite_vm::hunt::{Found, Hunter, Plan, Rate};
use mkwrite_vm::session::{Parts, Session};
use serde::Serialize;

use super::Args;
use crate::output::{self, BOLD, DIM, GREEN, RED, YELLOW, line, note};
use crate::{Exit, files};

/// A hunt has one CPU: a stop that would have to spin is passed over.
const CPUS: u32 = 1;

/// What `--hunt` takes besides.
#[derive(clap::Args)]
pub(crate) struct Options {
    /// How long --hunt runs on each filesystem of each kernel, in seconds
    #[arg(long, value_name = "N", default_value_t = 60, requires = "hunt")]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// The seed
    #[arg(long, value_name = "N", default_value_t = 1, requires = "hunt")]
    #[arg(value_parser = clap::value_parser!(u64).range(..1 << 31))]
    seed: u64,
    /// Virtual machines at the same time (without it: as many as there are CPUs)
    #[arg(long, value_name = "N", requires = "hunt")]
    jobs: Option<std::num::NonZeroUsize>,
    /// Hunt with file sizes in whole pages only
    #[arg(long, requires = "hunt")]
    aligned: bool,
    /// End a hunt at the first finding that no entry explains
    #[arg(long, requires = "hunt")]
    first: bool,
    /// The ledger of what is explained, instead of corpus/conformance.toml as it was compiled in
    #[arg(long, value_name = "FILE", requires = "hunt")]
    ledger: Option<PathBuf>,
    /// Save the cases of what is NEW here
    #[arg(long, value_name = "DIR", default_value = "findings/vm", requires = "hunt")]
    out: PathBuf,
}

/// One filesystem of one kernel, for one virtual machine.
struct Unit<'a> {
    parts: &'a Parts,
    fs: &'static GuestFilesystem,
    seed: u64,
}

/// What a unit came to, for JSON too.
#[derive(Serialize)]
struct Hunted {
    kernel: String,
    filesystem: String,
    seed: u64,
    points: usize,
    programs: u64,
    schedules: u64,
    failing: u64,
    orders: u64,
    stops: u64,
    seconds: f64,
    reboots: u64,
    findings: Vec<Finding>,
}

#[derive(Serialize)]
struct Finding {
    /// The entry that explains it; none: it is NEW, or the filesystem is there to lose data.
    entry: Option<String>,
    new: bool,
    flaw: String,
    shown_by: &'static str,
    detail: String,
    /// The case as text.
    case: String,
    hits: Rate,
    hits_without_schedule: Rate,
    after_schedules: u64,
    after_seconds: f64,
    count: u64,
    log: Vec<String>,
    file: Option<PathBuf>,
}

/// What all jobs share.
struct Work<'a> {
    options: &'a Options,
    json: bool,
    ledger: Ledger,
    units: Mutex<VecDeque<Unit<'a>>>,
    /// What goes on, by job.
    lines: Mutex<Vec<String>>,
    bar: ProgressBar,
    stop: &'a AtomicBool,
}

/// Runs it.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let options = &args.options;
    let filesystems = filesystems::named(&args.filesystems)?;
    let ledger = files::explained(options.ledger.as_deref())?;
    files::prepare_folder(&options.out)?;
    let parts = args.kernels.iter().map(|kernel| super::prepare(args, kernel));
    let parts = parts.collect::<Result<Vec<_>>>()?;
    let jobs = options.jobs.map_or_else(crate::cmd::jobs, usize::from);
    let work = Work {
        options,
        json: args.json,
        ledger,
        units: Mutex::new(units(&parts, &filesystems, options.seed, jobs)),
        lines: Mutex::new(vec![String::new(); jobs]),
        bar: ProgressBar::new_spinner(),
        stop: &*crate::cmd::stop_on_interrupt()?,
    };
    work.bar.set_style(ProgressStyle::with_template("{spinner} {wide_msg}").expect("a template"));
    work.bar.enable_steady_tick(Duration::from_millis(500));
    let results = std::thread::scope(|scope| {
        let jobs: Vec<_> = (0..jobs)
            .map(|job| {
                scope.spawn({
                    let work = &work;
                    move || work.job(job)
                })
            })
            .collect();
        jobs.into_iter().flat_map(|job| job.join().expect("no job panics")).collect::<Vec<_>>()
    });
    work.bar.finish_and_clear();
    report(args, results, work.stop.load(Ordering::Relaxed))
}

/// Each filesystem on each kernel; with other seeds again while there are jobs without any.
fn units<'a>(
    parts: &'a [Parts],
    filesystems: &[&'static GuestFilesystem],
    seed: u64,
    jobs: usize,
) -> VecDeque<Unit<'a>> {
    let mut units = VecDeque::new();
    for round in 0.. {
        for fs in filesystems {
            units.extend(parts.iter().map(|parts| Unit { parts, fs, seed: seed + round }));
        }
        if units.len() >= jobs {
            break;
        }
    }
    units
}

impl Work<'_> {
    /// Takes units until there are none.
    fn job(&self, job: usize) -> Vec<Result<Hunted>> {
        let mut done = Vec::new();
        while !self.stop.load(Ordering::Relaxed) {
            let unit = self.units.lock().expect("no job panics").pop_front();
            let Some(unit) = unit else { break };
            let result = self.hunt(job, &unit);
            let at = format!("{} on {}", unit.fs.name, unit.parts.kernel.version);
            match &result {
                Ok(_) if self.json => {}
                Ok(hunted) => self.bar.suspend(|| show(hunted)),
                Err(error) => {
                    self.bar.suspend(|| note(format!("{YELLOW}{at}{YELLOW:#}: {error:#}")))
                }
            }
            done.push(result);
        }
        done
    }

    fn hunt(&self, job: usize, unit: &Unit<'_>) -> Result<Hunted> {
        let Unit { parts, fs, seed } = unit;
        let kernel = &parts.kernel;
        let boot = || Session::boot(parts, &[fs], CPUS);
        let plan = Plan { seed: *seed, aligned: self.options.aligned };
        self.say(job, format!("{} {} boots", kernel.release, fs.name));
        let mut hunter = Hunter::new(&boot, &kernel.release, fs, plan)?;
        let (begin, limit) = (Instant::now(), Duration::from_secs(self.options.seconds));
        let is_new = |found: &Found| self.excuse(unit, found).1 || fs.loses;
        hunter.hunt(|hunter| {
            let count = hunter.count;
            let rate = count.schedules as f64 / count.time.as_secs_f64().max(0.001);
            self.say(
                job,
                format!(
                    "{} {} {} {rate:.0}/s {} found",
                    kernel.release,
                    fs.name,
                    self::count(count.schedules as usize, "schedule"),
                    hunter.found.len()
                ),
            );
            let enough = self.options.first && hunter.found.iter().any(is_new);
            begin.elapsed() < limit && !enough && !self.stop.load(Ordering::Relaxed)
        })?;
        let mut findings = Vec::new();
        for found in &hunter.found {
            let mut finding = self.finding(unit, found);
            if finding.new {
                finding.file = Some(self.save(unit, found)?);
            }
            findings.push(finding);
        }
        Ok(Hunted {
            kernel: kernel.version.clone(),
            filesystem: fs.name.clone(),
            seed: *seed,
            points: hunter.points(),
            programs: hunter.count.programs,
            schedules: hunter.count.schedules,
            failing: hunter.count.failing,
            orders: hunter.count.orders,
            stops: hunter.count.stops,
            seconds: hunter.count.time.as_secs_f64(),
            reboots: hunter.count.reboots,
            findings,
        })
    }

    fn say(&self, job: usize, text: String) {
        let mut lines = self.lines.lock().expect("no job panics");
        lines[job] = text;
        self.bar.set_message(lines.join(" | "));
    }

    /// The entry that explains it, and whether it is NEW.
    fn excuse(&self, unit: &Unit<'_>, found: &Found) -> (Option<&str>, bool) {
        let version = unit.parts.kernel.release.parse().unwrap_or(Version(0, 0));
        let on = (unit.fs.family.as_str(), false);
        let entry = self.ledger.excuses(on, version, &found.broken, Some(&found.case));
        let damage = found.broken.shown_by == "kernel";
        let new = entry.is_none() && (damage || !unit.fs.loses);
        (entry.map(|entry| entry.name.as_str()), new)
    }

    fn finding(&self, unit: &Unit<'_>, found: &Found) -> Finding {
        let (entry, new) = self.excuse(unit, found);
        Finding {
            entry: entry.map(str::to_owned),
            new,
            flaw: found.broken.flaw.clone(),
            shown_by: found.broken.shown_by,
            detail: found.detail.clone(),
            case: Document::new(found.case.clone()).to_string(),
            hits: found.rate,
            hits_without_schedule: found.unscheduled,
            after_schedules: found.after.0,
            after_seconds: found.after.1.as_secs_f64(),
            count: found.count,
            log: found.log.clone(),
            file: None,
        }
    }

    fn save(&self, unit: &Unit<'_>, found: &Found) -> Result<PathBuf> {
        let (hits, runs) = found.rate;
        let (without, of) = found.unscheduled;
        let comments = [
            format!("{} by {}: {}", found.broken.flaw, found.broken.shown_by, found.detail),
            format!("{hits} of {runs} runs; without a schedule {without} of {of}"),
            format!(
                "found on {}, Linux {}; seed {}",
                unit.fs.name, unit.parts.kernel.version, unit.seed
            ),
        ];
        let comments = comments.into_iter().chain(found.log.iter().take(3).cloned());
        let document = Document::new(found.case.clone());
        files::save_case(&self.options.out, &unit.fs.name, document, comments)
    }
}

fn show(hunted: &Hunted) {
    let new = hunted.findings.iter().filter(|finding| finding.new).count();
    let style = if new == 0 { GREEN } else { RED };
    line(format!(
        "{BOLD}{}{BOLD:#} on {}: {} in {:.0} s ({:.0}/s), {} points, {:.1} orders and {:.1} stops \
         each; {} fail, {style}{new} NEW{style:#}; seed {}",
        hunted.filesystem,
        hunted.kernel,
        count(hunted.schedules as usize, "schedule"),
        hunted.seconds,
        hunted.schedules as f64 / hunted.seconds.max(0.001),
        hunted.points,
        hunted.orders as f64 / hunted.schedules.max(1) as f64,
        hunted.stops as f64 / hunted.schedules.max(1) as f64,
        hunted.failing,
        hunted.seed,
    ));
    for finding in &hunted.findings {
        let (style, name) = match &finding.entry {
            Some(name) => (DIM, name.as_str()),
            None if finding.new => (RED, "NEW"),
            None => (DIM, "loses by design"),
        };
        let ((hits, runs), (without, of)) = (finding.hits, finding.hits_without_schedule);
        line(format!(
            "  {style}{name:24}{style:#} {} by {}; {hits} of {runs} runs, without schedule \
             {without} of {of}; first after {} and {:.1} s; {} alike",
            finding.flaw,
            finding.shown_by,
            count(finding.after_schedules as usize, "schedule"),
            finding.after_seconds,
            finding.count,
        ));
        line(format!("  {:24} {DIM}{}{DIM:#}", "", brief(&finding.case)));
        line(format!("  {:24} {}", "", finding.detail));
        if let Some(path) = &finding.file {
            line(format!("  {:24} saved {}", "", output::quoted(path)));
        }
    }
}

/// A case in a line.
fn brief(case: &str) -> String {
    let lines = case.lines().skip(1).filter(|line| !line.starts_with("actor"));
    let words = lines.map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "));
    words.collect::<Vec<_>>().join("; ")
}

fn report(args: &Args, results: Vec<Result<Hunted>>, stopped: bool) -> Result<Exit> {
    let (mut hunts, mut errors) = (Vec::new(), Vec::new());
    for result in results {
        match result {
            Ok(hunted) => hunts.push(hunted),
            Err(error) => errors.push(error),
        }
    }
    // What fails counts more than what is not here.
    errors.sort_by_key(|error| error.downcast_ref::<Unavailable>().is_some());
    let new = hunts.iter().flat_map(|hunted| &hunted.findings).any(|finding| finding.new);
    if args.json {
        output::document(&std::collections::BTreeMap::from([("hunts", &hunts)]))?;
    }
    match errors.into_iter().next() {
        _ if new => Ok(Exit::Breach),
        Some(error) => Err(error),
        None if stopped => Ok(Exit::Interrupted),
        None => Ok(Exit::Good),
    }
}
