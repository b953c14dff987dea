//! `mkwrite live`: the same cases on the kernel that this runs on.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};
use mkwrite_explain::finding::set_targets;
use mkwrite_live::conformance::{self, Found, Plan, conformance};
use mkwrite_live::exec::{self, Place, Solo, Store};
use mkwrite_live::hunt::{self, Count, Hunter};
use mkwrite_live::judge::Broken;
use mkwrite_live::kernel::Version;
use mkwrite_live::ledger::{Ledger, On};
use mkwrite_live::mounts::{self, Mounted, Namespace, NotHere, Spec};
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::text::Document;
use mkwrite_model::{Case, Target};
use mkwrite_report::count;
use mkwrite_report::json::live as json;

use super::subject::Switches;
use crate::Exit;
use crate::files;
use crate::names::{callers, implementations, pairs};
use crate::output::{self, BOLD, DIM, GREEN, RED, YELLOW, line, note};

/// Run cases on the kernel of this machine, and compare or judge what it does
///
/// On a folder (--dir), or on filesystems that are made in memory and mounted where nobody else
/// sees them (--fs). See docs/live.md for what it does to the machine.
///
/// Exit code 1 if something is NEW, and 125 if it cannot be run here.
#[derive(clap::Args)]
#[command(group = clap::ArgGroup::new("mode")
    .required(true)
    .args(["files", "conformance", "hunt", "soak"]))]
pub(crate) struct Args {
    /// Run these cases, their actors at the same time, and say how often each breaks something
    #[arg(value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Compare random cases of one actor with the model that comes nearest
    #[arg(long)]
    conformance: bool,
    /// Run random cases whose actors race, and judge their histories
    #[arg(long)]
    hunt: bool,
    /// Hunt until Ctrl-C
    #[arg(long)]
    soak: bool,
    /// Run on this folder
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with = "filesystems",
        required_unless_present = "filesystems"
    )]
    dir: Option<PathBuf>,
    /// Run on these: tmpfs, ext4, xfs, btrfs, overlay, fuse, fuse-writeback; with a block size:
    /// ext4:1024
    #[arg(long = "fs", value_delimiter = ',', value_name = "NAME")]
    filesystems: Vec<String>,
    /// Compare with this implementation
    #[arg(long = "impl", value_name = "NAME", requires = "conformance")]
    implementation: Option<String>,
    /// Under this caller
    #[arg(long = "caller", value_name = "NAME", requires = "implementation")]
    caller: Option<String>,
    #[command(flatten)]
    switches: Switches,
    /// Cases of --conformance per filesystem
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    cases: u64,
    /// The seed
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// How long --hunt runs on each filesystem, in seconds
    #[arg(long, value_name = "N", default_value_t = 60)]
    #[arg(value_parser = clap::value_parser!(u64).range(1..))]
    seconds: u64,
    /// Hunt with file sizes in whole pages only
    #[arg(long)]
    aligned: bool,
    /// Hunt on filesystems that are full but for 0 to 2 pages: tmpfs, ext4, xfs
    #[arg(long, requires = "filesystems", conflicts_with_all = ["conformance", "files"])]
    full: bool,
    /// How often each FILE runs
    #[arg(long, value_name = "N", default_value_t = 200)]
    #[arg(value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    times: u32,
    /// The ledger of explained differences, instead of corpus/conformance.toml as it was compiled
    /// in
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// Install what --fs needs and this machine lacks, with apt-get and for the whole machine
    #[arg(long, requires = "filesystems")]
    install: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
    /// Save the cases of what is NEW here
    #[arg(long, value_name = "DIR", default_value = "findings/live")]
    out: PathBuf,
}

/// Something that cases run on.
struct Ground {
    /// As the command line names it.
    name: String,
    /// The filesystem.
    filesystem: String,
    place: Place,
    /// Keeps it mounted, or in being.
    _held: Held,
}

enum Held {
    Mounted(#[expect(dead_code, reason = "held for its drop")] Mounted),
    Folder(#[expect(dead_code, reason = "held for its drop")] tempfile::TempDir),
}

/// Runs the subcommand.
pub(crate) fn run<F: Filesystem>(args: &Args) -> Result<Exit> {
    let ledger = files::explained(args.ledger.as_deref())?;
    let specs =
        args.filesystems.iter().map(|name| name.parse::<Spec>().map_err(|error| anyhow!(error)));
    let specs = specs.collect::<Result<Vec<_>>>()?;
    if let Some(spec) = specs.iter().find(|spec| args.full && !spec.can_be_full()) {
        return Err(anyhow!("{spec} cannot be filled but for some pages")
            .context("--full is for tmpfs, ext4 and xfs"));
    }
    // Read everything before anything runs: bad input changes nothing.
    let documents =
        args.files.iter().map(|path| Ok((path.as_path(), files::read_of_one_file::<F>(path)?)));
    let documents = documents.collect::<Result<Vec<_>>>()?;
    let work = Work { args, ledger, documents };
    if args.install
        && let Err(missing) = install(&specs)
    {
        return Ok(output::not_here(&missing.what, &missing.help));
    }
    // Before any thread is made.
    let enter = || if specs.is_empty() { Ok(None) } else { Namespace::enter().map(Some) };
    let namespace = mounts::machine().and_then(|()| enter());
    let mut namespace = match namespace {
        Ok(namespace) => namespace,
        Err(missing) => return Ok(output::not_here(&missing.what, &missing.help)),
    };
    let stop = super::stop_on_interrupt()?;
    let (mut exits, mut results) = (Vec::new(), Results::default());
    if let Some(dir) = &args.dir {
        exits.push(work.on::<F>(&ground_of(dir)?, &stop, &mut results)?);
    }
    for spec in specs {
        let namespace = namespace.as_mut().expect("it was entered for these");
        exits.push(match namespace.mount(spec) {
            Ok(mut mounted) => {
                mounted.place.full = args.full;
                work.on::<F>(&ground(spec, mounted), &stop, &mut results)?
            }
            Err(NotHere { what, help }) => {
                let exit = output::not_here(&what, &help);
                results.missing.push(json::Missing { name: spec.to_string(), what, help });
                exit
            }
        });
        if stop.load(Ordering::Relaxed) {
            break;
        }
    }
    if args.json {
        results.print(args)?;
    }
    let has = |exit| exits.contains(&exit);
    Ok(match () {
        () if stop.load(Ordering::Relaxed) => Exit::Interrupted,
        () if has(Exit::Breach) => Exit::Breach,
        () if has(Exit::NotHere) => Exit::NotHere,
        () => Exit::Good,
    })
}

/// Installs what these need, if anything is missing.
fn install(specs: &[Spec]) -> Result<(), NotHere> {
    let mut packages: Vec<_> = specs.iter().filter_map(|spec| spec.missing_package()).collect();
    packages.sort_unstable();
    packages.dedup();
    if packages.is_empty() { Ok(()) } else { mounts::install(&packages) }
}

/// What the filesystems gave, for a document.
#[derive(Default)]
struct Results {
    compared: Vec<json::Compared>,
    hunted: Vec<json::Hunted>,
    ran: Vec<json::Ran>,
    missing: Vec<json::Missing>,
}

impl Results {
    fn print(self, args: &Args) -> Result<()> {
        let Results { compared, hunted, ran, missing } = self;
        let (kernel, seed) = (Version::running().1, args.seed);
        match () {
            () if args.conformance => {
                let filesystems = compared;
                output::document(&json::Conformance { kernel, seed, filesystems, missing })
            }
            () if args.files.is_empty() => {
                output::document(&json::Hunt { kernel, seed, filesystems: hunted, missing })
            }
            () => output::document(&json::Files { kernel, runs: ran, missing }),
        }
    }
}

fn ground(spec: Spec, mounted: Mounted) -> Ground {
    let (name, filesystem, place) =
        (spec.to_string(), spec.filesystem().to_owned(), mounted.place.clone());
    Ground { name, filesystem, place, _held: Held::Mounted(mounted) }
}

/// A folder of our own below this one.
fn ground_of(dir: &Path) -> Result<Ground> {
    let folder = tempfile::Builder::new().prefix("mkwrite-").tempdir_in(dir);
    let folder = folder
        .map_err(|error| anyhow!("{}: {error}", dir.display()))
        .context("give a folder to write to")?;
    let (filesystem, store, block) = exec::filesystem(folder.path())?;
    let blocks = mounts::blocks(block);
    let place = Place { folder: folder.path().to_owned(), blocks, store, full: false };
    Ok(Ground { name: dir.display().to_string(), filesystem, place, _held: Held::Folder(folder) })
}

/// What is to be done on each filesystem.
struct Work<'a> {
    args: &'a Args,
    ledger: Ledger,
    documents: Vec<(&'a Path, Document)>,
}

impl Work<'_> {
    fn on<F: Filesystem>(
        &self,
        ground: &Ground,
        stop: &AtomicBool,
        results: &mut Results,
    ) -> Result<Exit> {
        let done = match () {
            () if self.args.conformance => self.compare::<F>(ground, stop, results),
            () if self.documents.is_empty() => self.hunt(ground, stop, results),
            () => self.run_files(ground, stop, results),
        };
        done.map_err(|error| match error.chain().len() {
            1 => error.context(format!("this happened on {}", ground.name)),
            _ => error,
        })
    }

    /// Prints a result, unless all of them are printed as a document.
    fn line(&self, text: impl std::fmt::Display) {
        if !self.args.json {
            line(text);
        }
    }

    fn compare<F: Filesystem>(
        &self,
        ground: &Ground,
        stop: &AtomicBool,
        results: &mut Results,
    ) -> Result<Exit> {
        let (args, (kernel, release)) = (self.args, Version::running());
        let mut solo = Solo::new(ground.place.clone())?;
        let target = target::<F>(args, ground, kernel, &mut solo)?;
        let remedied = if target.remedies.is_empty() { "" } else { " remedied" };
        let model = format!("{}{remedied}", target.pair.implementation.name());
        let on = On { filesystem: &ground.filesystem, model: &model, kernel };
        let plan = Plan { seed: args.seed, cases: args.cases, blocks: ground.place.blocks };
        let report = conformance(plan, (on, &self.ledger), target, &mut solo, |_| {
            !stop.load(Ordering::Relaxed)
        })?;
        let new = report.unexplained().count();
        let style = if new == 0 { GREEN } else { RED };
        let rate = report.cases as f64 / report.time.as_secs_f64().max(f64::MIN_POSITIVE);
        self.line(format!(
            "{BOLD}{}{BOLD:#} on {release} against {target}: {}, {}, {} differ, {style}{new} \
             NEW{style:#}; {rate:.0} cases/s on the kernel; seed {}",
            ground.name,
            count(report.cases as usize, "case"),
            count(report.operations as usize, "operation"),
            report.differing,
            args.seed
        ));
        let differences = report.found.iter().map(|found| self.difference(ground, target, found));
        results.compared.push(json::Compared {
            name: ground.name.clone(),
            filesystem: ground.filesystem.clone(),
            on: target.into(),
            store_seen: !matches!(ground.place.store, Store::Unseen),
            cases: report.cases,
            operations: report.operations,
            differing: report.differing,
            seconds: report.time.as_secs_f64(),
            differences: differences.collect::<Result<_>>()?,
        });
        if matches!(ground.place.store, Store::Unseen) {
            note(format!(
                "{YELLOW}note{YELLOW:#}: the content at the end was read through the cache: what \
                 the store of {} holds was not looked at",
                ground.name
            ));
        }
        Ok(if new > 0 { Exit::Breach } else { Exit::Good })
    }

    /// Prints a difference, and saves its case if it is NEW.
    fn difference<F: Filesystem>(
        &self,
        ground: &Ground,
        target: Target<F>,
        found: &Found,
    ) -> Result<json::Difference> {
        let (key, detail) = (&found.difference.key, &found.difference.detail);
        let (style, entry) =
            found.entry.as_ref().map_or((RED, "NEW"), |entry| (DIM, entry.as_str()));
        self.line(format!("  {style}{entry:24}{style:#} {:>7}  {key}", found.hits));
        self.line(format!("  {:24} {:>7}  {DIM}{}{DIM:#}", "", "", brief(&found.case)));
        let mut file = None;
        if found.entry.is_none() {
            self.line(format!("  {:24} {:>7}  {detail}", "", ""));
            let mut document = Document::new(found.case.clone());
            set_targets(&mut document, &[target]);
            let (release, seed) = (Version::running().1, self.args.seed);
            let place =
                format!("found on {}, {release}; seed {seed}, case {}", ground.name, found.index);
            file = Some(self.save(ground, document, &[key.to_string(), detail.clone(), place])?);
        }
        Ok(json::Difference {
            class: key.class.to_string(),
            shown_by: key.shown_by,
            model: key.model.clone(),
            real: key.real.clone(),
            detail: detail.clone(),
            entry: found.entry.clone(),
            hits: found.hits,
            case: found.index,
            smallest: brief(&found.case),
            file,
        })
    }

    fn hunt(&self, ground: &Ground, stop: &AtomicBool, results: &mut Results) -> Result<Exit> {
        let (args, (_, release), begin) = (self.args, Version::running(), Instant::now());
        let limit = if args.soak { Duration::MAX } else { Duration::from_secs(args.seconds) };
        let mut hunter = Hunter::new(ground.place.clone());
        let plan = hunt::Plan { seed: args.seed, rounds: 20, aligned: args.aligned };
        let goes_on = |_: &Count| begin.elapsed() < limit && !stop.load(Ordering::Relaxed);
        let found = hunter.hunt(plan, goes_on)?;
        let seconds = begin.elapsed().as_secs_f64();
        let Count { cases, runs, operations, overlapped, torn, undecided, syncs } = hunter.count;
        self.line(format!(
            "{BOLD}{}{BOLD:#} on {release}: {}, {}, {}; calls overlap in {overlapped}, cells are \
             torn in {torn}, not decided {undecided}; {} judged at the return; {:.0} runs/s; seed \
             {}",
            ground.name,
            count(cases as usize, "case"),
            count(runs as usize, "run"),
            count(operations as usize, "operation"),
            count(syncs as usize, "sync"),
            runs as f64 / seconds,
            args.seed
        ));
        let (mut exit, mut flaws) = (Exit::Good, Vec::new());
        for found in found {
            let mut flaw = self.flaw(ground, &found.broken, (found.hits, runs), &found.detail);
            if flaw.entry.is_none() {
                exit = Exit::Breach;
                let case = hunter.smaller(&found, || !stop.load(Ordering::Relaxed))?;
                let hits = hunter.rounds(&case, args.times, |_| false)?;
                let (hits, detail) =
                    hits.get(&found.broken).cloned().unwrap_or((0, found.detail.clone()));
                let rate = format!("{} in {hits} of {} runs", found.broken, args.times);
                let place = format!("found on {}, {release}", ground.name);
                let document = Document::new(case);
                flaw.file = Some(self.save(ground, document, &[rate, detail, place])?);
            }
            flaws.push(flaw);
        }
        let (name, filesystem) = (ground.name.clone(), ground.filesystem.clone());
        results.hunted.push(json::Hunted {
            name,
            filesystem,
            cases,
            runs,
            operations,
            overlapped,
            torn,
            undecided,
            syncs,
            seconds,
            flaws,
        });
        Ok(exit)
    }

    /// Prints what some of the runs broke.
    fn flaw(
        &self,
        ground: &Ground,
        broken: &Broken,
        (hits, runs): (u64, u64),
        detail: &str,
    ) -> json::Flaw {
        let on = (ground.filesystem.as_str(), ground.place.full);
        let entry = self.ledger.excuses(on, Version::running().0, broken, None);
        let (style, name) = entry.map_or((RED, "NEW"), |entry| (DIM, entry.name.as_str()));
        let share = 100.0 * hits as f64 / runs.max(1) as f64;
        self.line(format!("  {style}{name:24}{style:#} {hits:>7}  {share:>6.2} %  {broken}"));
        self.line(format!("  {:24} {:>7}  {DIM}{detail}{DIM:#}", "", ""));
        json::Flaw {
            flaw: broken.flaw.clone(),
            shown_by: broken.shown_by,
            found: broken.found.clone(),
            detail: detail.to_owned(),
            entry: entry.map(|entry| entry.name.clone()),
            hits,
            file: None,
        }
    }

    fn run_files(&self, ground: &Ground, stop: &AtomicBool, results: &mut Results) -> Result<Exit> {
        let (times, mut exit) = (self.args.times, Exit::Good);
        let mut hunter = Hunter::new(ground.place.clone());
        for (path, document) in &self.documents {
            if stop.load(Ordering::Relaxed) {
                break;
            }
            let mut case = document.case.clone();
            hunter.settle(&mut case);
            let before = hunter.count.overlapped;
            let hits = hunter.rounds(&case, times, |_| false)?;
            let overlapped = hunter.count.overlapped - before;
            self.line(format!(
                "{}  {}  {times} runs, calls overlap in {overlapped}",
                path.display(),
                ground.name
            ));
            let flaw = |(broken, (hits, detail)): (&Broken, &(u64, String))| {
                self.flaw(ground, broken, (*hits, times.into()), detail)
            };
            let flaws: Vec<json::Flaw> = hits.iter().map(flaw).collect();
            if flaws.iter().any(|flaw| flaw.entry.is_none()) {
                exit = Exit::Breach;
            }
            if flaws.is_empty() {
                self.line("  nothing broke");
            }
            let file = path.display().to_string();
            let (name, filesystem) = (ground.name.clone(), ground.filesystem.clone());
            results.ran.push(json::Ran { file, name, filesystem, times, overlapped, flaws });
        }
        Ok(exit)
    }

    /// Writes a case with comments at its head. Returns where.
    fn save(&self, ground: &Ground, document: Document, comments: &[String]) -> Result<String> {
        files::prepare_folder(&self.args.out)?;
        let comments = comments.iter().cloned();
        let path = files::save_case(&self.args.out, &ground.filesystem, document, comments)?;
        self.line(format!("  saved {}", output::quoted(&path)));
        Ok(path.display().to_string())
    }
}

/// What is compared with.
fn target<F: Filesystem>(
    args: &Args,
    ground: &Ground,
    kernel: Version,
    solo: &mut Solo,
) -> Result<Target<F>> {
    let target = match &args.implementation {
        None => conformance::nearest((&ground.filesystem, ground.place.blocks), kernel, solo)?
            .ok_or_else(|| anyhow!("no implementation here is near to {}", ground.filesystem))
            .context("name one with --impl")?,
        Some(name) => {
            let caller: Vec<String> = args.caller.iter().cloned().collect();
            Target::from(
                pairs(&implementations::<F>(std::slice::from_ref(name))?, &callers(&caller)?)?[0],
            )
        }
    };
    args.switches.apply(&files::own_ledger()?, target)
}

/// A case of one actor in a line.
fn brief(case: &Case) -> String {
    let g = case.geometry;
    let operations: Vec<String> =
        case.operations().map(|(_, _, operation)| operation.to_string()).collect();
    let file = format!(
        "pages {} cells {} blocks {} size {} holes {:#b}",
        g.pages, g.cells, g.blocks, g.size, g.holes
    );
    format!("{file}: {}", operations.join("; "))
}
