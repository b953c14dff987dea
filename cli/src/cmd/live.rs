//! `mkwrite live`: the same cases on the kernel that this runs on.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, anyhow};
use mkwrite_live::conformance::{self, Found, Plan, Report, conformance};
use mkwrite_live::exec::{self, Place, Solo, Store};
use mkwrite_live::kernel::Version;
use mkwrite_live::ledger::{Ledger, OWN, On};
use mkwrite_live::mounts::{self, Mounted, Namespace, NotHere, Spec};
use mkwrite_model::implementation::Registry;
use mkwrite_model::text::Document;
use mkwrite_model::{Case, Target};
use mkwrite_report::count;

use super::subject::Switches;
use crate::Exit;
use crate::files;
use crate::names::{callers, implementations, pairs};
use crate::output::{self, BOLD, DIM, GREEN, RED, YELLOW, line, note};

/// Run cases on the kernel of this machine, and compare or judge what it does
///
/// On a folder (--dir), or on filesystems that are made in memory and mounted where nobody else sees them (--fs). See
/// docs/live.md for what it does to the machine.
#[derive(clap::Args)]
pub struct Args {
    /// Compare random cases of one actor with the model that comes nearest
    #[arg(long)]
    conformance: bool,
    /// Run on this folder
    #[arg(long, value_name = "DIR", conflicts_with = "filesystems", required_unless_present = "filesystems")]
    dir: Option<PathBuf>,
    /// Run on these: tmpfs, ext4, xfs, btrfs, overlay; with a block size: ext4:1024
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
    /// Cases per filesystem
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..))]
    cases: u64,
    /// The seed
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// The ledger of explained differences, instead of corpus/conformance.toml as it was compiled in
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
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
pub fn run<R: Registry>(args: &Args) -> Result<Exit> {
    match run_here::<R>(args) {
        Err(error) => match error.downcast_ref::<NotHere>() {
            Some(NotHere { what, help }) => {
                output::error(&anyhow!("{what}").context(help.clone()));
                Ok(Exit::NotHere)
            }
            None => Err(error),
        },
        result => result,
    }
}

fn run_here<R: Registry>(args: &Args) -> Result<Exit> {
    let ledger = match &args.ledger {
        None => Ledger::parse(OWN).map_err(|error| anyhow!("corpus/conformance.toml: {error}"))?,
        Some(path) => {
            let at = |error: &dyn std::fmt::Display| anyhow!("{}: {error}", path.display());
            let text = std::fs::read_to_string(path).map_err(|error| at(&error))?;
            Ledger::parse(&text).map_err(|error| at(&error))?
        }
    };
    let specs = args.filesystems.iter().map(|name| name.parse::<Spec>().map_err(|error| anyhow!(error)));
    let specs = specs.collect::<Result<Vec<_>>>()?;
    // Before any thread is made.
    let mut namespace = if specs.is_empty() { None } else { Some(Namespace::enter()?) };
    let stop = super::stop_on_interrupt()?;
    let mut exit = Exit::Good;
    if let Some(dir) = &args.dir {
        let ground = ground_of(dir)?;
        exit = with::<R>(args, &ledger, &ground, &stop)?;
    }
    for spec in specs {
        let namespace = namespace.as_mut().expect("it was entered for these");
        let mounted = namespace.mount(spec)?;
        let (name, filesystem, place) = (spec.to_string(), spec.filesystem().to_owned(), mounted.place.clone());
        let ground = Ground { name, filesystem, place, _held: Held::Mounted(mounted) };
        let of_this = with::<R>(args, &ledger, &ground, &stop)?;
        exit = if of_this == Exit::Good { exit } else { of_this };
        if stop.load(Ordering::Relaxed) {
            return Ok(Exit::Interrupted);
        }
    }
    Ok(if stop.load(Ordering::Relaxed) { Exit::Interrupted } else { exit })
}

/// A folder of our own below this one.
fn ground_of(dir: &Path) -> Result<Ground> {
    let folder = tempfile::Builder::new().prefix("mkwrite-").tempdir_in(dir);
    let folder = folder.map_err(|error| anyhow!("{}: {error}", dir.display())).context("give a folder to write to")?;
    let (filesystem, store, block) = exec::filesystem(folder.path())?;
    let place = Place { folder: folder.path().to_owned(), blocks: mounts::blocks(block), store };
    Ok(Ground { name: dir.display().to_string(), filesystem, place, _held: Held::Folder(folder) })
}

fn with<R: Registry>(args: &Args, ledger: &Ledger, ground: &Ground, stop: &AtomicBool) -> Result<Exit> {
    compare::<R>(args, ledger, ground, stop)
}

fn compare<R: Registry>(args: &Args, ledger: &Ledger, ground: &Ground, stop: &AtomicBool) -> Result<Exit> {
    let (kernel, release) = Version::running();
    let target = target::<R>(args, ground, kernel)?;
    let on = On { filesystem: &ground.filesystem, model: target.pair.implementation.name(), kernel };
    let mut solo = Solo::new(ground.place.clone())?;
    let plan = Plan { seed: args.seed, cases: args.cases, blocks: ground.place.blocks };
    let report = conformance(plan, (on, ledger), target, &mut solo, |_| !stop.load(Ordering::Relaxed))
        .map_err(|error| anyhow!("{}: {error}", ground.name))?;
    print(args, ground, target, &release, &report);
    for found in report.new() {
        save(args, ground, target, &release, found)?;
    }
    Ok(if report.new().next().is_some() { Exit::Breach } else { Exit::Good })
}

/// What is compared with.
fn target<R: Registry>(args: &Args, ground: &Ground, kernel: Version) -> Result<Target<R>> {
    let target = match &args.implementation {
        None => conformance::nearest(&ground.filesystem, ground.place.blocks, kernel)
            .ok_or_else(|| anyhow!("no implementation here is near to {}", ground.filesystem))
            .context("name one with --impl")?,
        Some(name) => {
            let caller: Vec<String> = args.caller.iter().cloned().collect();
            Target::from(pairs(&implementations::<R>(std::slice::from_ref(name))?, &callers(&caller)?)?[0])
        }
    };
    args.switches.apply(&mkwrite_oracle::Ledger::own(), target)
}

fn print<R: Registry>(args: &Args, ground: &Ground, target: Target<R>, release: &str, report: &Report) {
    let new = report.new().count();
    let style = if new == 0 { GREEN } else { RED };
    let rate = report.cases as f64 / report.time.as_secs_f64().max(f64::MIN_POSITIVE);
    line(format!(
        "{BOLD}{}{BOLD:#} on {release} against {target}: {}, {}, {} differ, {style}{new} NEW{style:#}; \
         {rate:.0} cases/s on the kernel; seed {}",
        ground.name,
        count(report.cases as usize, "case"),
        count(report.operations as usize, "operation"),
        report.differing,
        args.seed
    ));
    for found in &report.found {
        let (style, entry) = found.entry.as_ref().map_or((RED, "NEW"), |entry| (DIM, entry.as_str()));
        line(format!("  {style}{entry:24}{style:#} {:>7}  {}", found.hits, found.difference.key));
        line(format!("  {:24} {:>7}  {DIM}{}{DIM:#}", "", "", brief(&found.case)));
        if found.entry.is_none() {
            line(format!("  {:24} {:>7}  {}", "", "", found.difference.detail));
        }
    }
    match ground.place.store {
        Store::Cache | Store::Direct => {}
        Store::Unseen => note(format!(
            "{YELLOW}note{YELLOW:#}: the content at the end was read through the cache: what the store of {} holds was \
             not looked at",
            ground.name
        )),
    }
}

/// A case of one actor in a line.
fn brief(case: &Case) -> String {
    let g = case.geometry;
    let operations: Vec<String> = case.operations().map(|(_, _, operation)| operation.to_string()).collect();
    let file = format!("pages {} cells {} blocks {} size {} holes {:#b}", g.pages, g.cells, g.blocks, g.size, g.holes);
    format!("{file}: {}", operations.join("; "))
}

fn save<R: Registry>(args: &Args, ground: &Ground, target: Target<R>, release: &str, found: &Found) -> Result<()> {
    files::prepare_folder(&args.out)?;
    let (key, detail) = (&found.difference.key, &found.difference.detail);
    let mut document = Document::new(found.case.clone());
    let names = (target.pair.implementation.name().to_owned(), target.pair.caller.name().to_owned());
    (document.runs, document.plant, document.remedies) = (vec![names], target.plant, target.remedies);
    let comment = format!(
        "# {key}\n# {detail}\n# found on {}, {release}; seed {}, case {}\n",
        ground.name, args.seed, found.index
    );
    let text = document.to_string();
    let (version, rest) = text.split_once('\n').unwrap_or((&text, ""));
    let text = format!("{version}\n{comment}{rest}");
    let name = format!("{}-{}.mkw", ground.filesystem, &files::sha1(text.as_bytes())[..8]);
    let path = args.out.join(name);
    files::write(&path, text.as_bytes())?;
    line(format!("  saved {}", output::quoted(&path)));
    Ok(())
}
