//! `mkwrite vm`: cases and their schedules on a kernel that is booted in a virtual machine.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Instant;

use anyhow::{Context, Result, anyhow};
use mkwrite_explain::explain::with_stops;
use mkwrite_model::case::{Case, Stop};
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::text::{Document, parse};
use mkwrite_oracle::ledger::Ledger;
use mkwrite_oracle::run::{Runner, headline};
use mkwrite_oracle::verdict::judge;
use mkwrite_vm::Unavailable;
use mkwrite_vm::console::{Held, Settled};
use mkwrite_vm::demo;
use mkwrite_vm::filesystems::{self, GuestFilesystem};
use mkwrite_vm::guest::Dead;
use mkwrite_vm::replay::{Followed, Run, Verdict, replay, returned, stack_in_a_line};
use mkwrite_vm::session::{CPUS, Parts, Session};
use serde::Serialize;

use super::subject::{Switches, targets};
use crate::output::{self, BOLD, DIM, GREEN, RED, YELLOW, line, note};
use crate::{Exit, files};

mod paths;
mod stops;

/// Functions of a stack that are shown.
const STACK_MOST: usize = 6;

/// Boot a kernel in a virtual machine, and run cases there by their own schedules
///
/// The kernel is Debian's, fetched by name into the cache, or one of yours. Threads are stopped,
/// asleep, at the points that the `order` lines name, so that a schedule of the model becomes one
/// of the kernel. Nothing on this machine is changed outside of the cache. Exit code 125: it cannot
/// be done here, and what would mend it.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Cases, or folders with cases
    #[arg(value_name = "FILE", required_unless_present_any = ["demo", "hunt", "paths"])]
    files: Vec<PathBuf>,
    /// Replay the schedules of the cases
    #[arg(long, required_unless_present_any = ["demo", "hunt", "paths"])]
    replay: bool,
    /// Run random programs by schedules that are drawn over the named points
    #[arg(long, conflicts_with_all = ["files", "replay", "table", "log"])]
    hunt: bool,
    #[command(flatten)]
    options: stops::Options,
    /// Compare the points by which operations go with those of the model
    #[arg(long, conflicts_with_all = ["files", "replay", "hunt"])]
    paths: bool,
    /// Show the race of 2009 on a real kernel
    #[arg(long, conflicts_with_all = ["files", "replay", "hunt", "paths", "filesystems", "table"])]
    demo: bool,
    /// Boot these: a series like 6.1, a folder with unpacked packages, .deb files, or an image
    #[arg(long = "kernel", value_name = "KERNEL", default_values = ["6.1"])]
    kernels: Vec<String>,
    /// The folder in which lib/modules/RELEASE lies, for an image
    #[arg(long, value_name = "FOLDER")]
    modules: Option<PathBuf>,
    /// On these filesystems: toy, toy-defects, tmpfs, nfs, ext4, ext4-1k, xfs, xfs-1k, btrfs, overlay,
    /// f2fs, exfat, vfat, gfs2, jfs, udf, ntfs3, nilfs2
    #[arg(long = "fs", value_delimiter = ',', value_name = "NAME", default_value = "toy")]
    filesystems: Vec<String>,
    /// Print only one line per case and filesystem
    #[arg(long)]
    brief: bool,
    /// Write a table of all runs here, in Markdown
    #[arg(long, value_name = "FILE")]
    table: Option<PathBuf>,
    /// Keep the kernel's log here
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// A case, with what the model says of it.
struct Input {
    path: PathBuf,
    case: Case,
    /// Each pair, and the rules about lost data that it breaks.
    model: Vec<(String, Vec<&'static str>)>,
}

impl Input {
    /// Some pair of the case loses data in the model.
    fn loses(&self) -> bool {
        self.model.iter().any(|(_, rules)| !rules.is_empty())
    }

    fn name(&self) -> String {
        let parts: Vec<_> = self
            .path
            .components()
            .rev()
            .take(2)
            .map(|part| part.as_os_str().to_string_lossy())
            .collect();
        parts.into_iter().rev().collect::<Vec<_>>().join("/").trim_end_matches(".mkw").to_owned()
    }
}

/// One run, for tables and JSON.
#[derive(Serialize)]
struct Line {
    file: String,
    kernel: String,
    filesystem: String,
    model_loses: bool,
    verdict: &'static str,
    /// Every line of the schedule could be followed.
    followed: bool,
    /// The functions that a blocked actor is in, innermost first.
    blocked: Vec<String>,
    /// What is wrong, in words.
    flaws: Vec<String>,
    /// What could not be steered, by point, and why.
    skipped: BTreeMap<String, String>,
}

/// Runs the subcommand.
pub(crate) fn run<F: Filesystem>(args: &Args) -> Result<Exit> {
    let result = match () {
        () if args.demo => demonstrate(args),
        () if args.hunt => stops::run(args),
        () if args.paths => paths::run::<F>(args),
        () => replay_all::<F>(args),
    };
    match result {
        Err(error) => match error.downcast_ref::<Unavailable>() {
            Some(Unavailable { what, remedy }) => Ok(output::not_here(what, remedy)),
            None => Err(error),
        },
        result => result,
    }
}

fn prepare(args: &Args, kernel: &str) -> Result<Parts> {
    let parts = Parts::prepare(kernel, args.modules.as_deref())?;
    note(format!(
        "kernel {} ({}), qemu {}",
        parts.kernel.release,
        parts.kernel.version,
        parts.qemu.version()?
    ));
    Ok(parts)
}

fn boot(parts: &Parts, filesystems: &[&GuestFilesystem]) -> Result<Session> {
    let start = Instant::now();
    let session = Session::boot(parts, filesystems, CPUS)?;
    note(format!(
        "booted, {} mounted, in {:.0} s",
        filesystems.len(),
        start.elapsed().as_secs_f64()
    ));
    Ok(session)
}

fn keep_log(args: &Args, session: &Session) -> Result<()> {
    match &args.log {
        None => Ok(()),
        Some(path) => files::write(path, session.guest.log().as_bytes()),
    }
}

// ---- the demonstration

fn demonstrate(args: &Args) -> Result<Exit> {
    let case =
        parse(demo::CASE).map_err(|error| anyhow!("the demonstration's case: {error}"))?.case;
    let filesystems = filesystems::named(&demo::FILESYSTEMS.map(str::to_owned))?;
    let (mut good, mut sentences) = (true, Vec::new());
    for kernel in &args.kernels {
        let parts = prepare(args, kernel)?;
        let mut session = boot(&parts, &filesystems)?;
        let release = &parts.kernel.release;
        line(format!(
            "{BOLD}The race of page_mkwrite, 2009, on Linux {}{BOLD:#}",
            parts.kernel.version
        ));
        for fs in &filesystems {
            let labels = demo::watch(&mut session, release, fs)?;
            let run = replay(&mut session, release, fs, &case)?;
            line(format!("\n{BOLD}{}{BOLD:#}: {}\n", fs.name, fs.what));
            line(demo::picture(&run, &labels).trim_end());
            let expected = if fs.name == "toy-legacy" { Verdict::Lost } else { Verdict::Kept };
            good &=
                run.verdict() == expected && (expected == Verdict::Lost || run.blocked().is_some());
            sentences.push(demo::summary(&fs.name, &run));
        }
        keep_log(args, &session)?;
    }
    line("");
    for sentence in sentences {
        line(sentence);
    }
    Ok(if good { Exit::Good } else { Exit::Breach })
}

// ---- replay

/// The case, with a schedule by stops, and what the model says of it. `None`: a guest cannot run it.
fn input<F: Filesystem>(
    path: PathBuf,
    ledger: &Ledger<F>,
    runner: &mut Runner<F>,
) -> Result<Option<Input>> {
    let document = files::read::<F>(&path)?;
    if document.case.geometry.second != 0 {
        note(format!("{}: left out, because two files are for the model alone", path.display()));
        return Ok(None);
    }
    let targets = targets(ledger, &[], &[], &Switches::default(), &document)?;
    let first =
        *targets.first().with_context(|| format!("{}: it runs on no pair", path.display()))?;
    let case = with_stops(runner, first, &document.case);
    let document = Document { case, ..document };
    let mut model = Vec::new();
    for target in targets {
        let judged = judge(runner, ledger, target, &document);
        let lost = judged.breaches.iter().filter(|(breach, _)| breach.rule.reads_history());
        let mut rules: Vec<&str> = lost.map(|(breach, _)| breach.rule.id()).collect();
        rules.dedup();
        model.push((headline(target), rules));
    }
    Ok(Some(Input { path, case: document.case, model }))
}

fn replay_all<F: Filesystem>(args: &Args) -> Result<Exit> {
    let filesystems = filesystems::named(&args.filesystems)?;
    let (ledger, mut runner) = (files::own_ledger::<F>()?, Runner::default());
    let mut inputs = Vec::new();
    for path in files::cases_below(&args.files)? {
        inputs.extend(input(path, &ledger, &mut runner)?);
    }
    let (mut lines, mut exit) = (Vec::new(), Exit::Good);
    let start = Instant::now();
    for kernel in &args.kernels {
        let parts = prepare(args, kernel)?;
        let mut session = boot(&parts, &filesystems)?;
        for input in &inputs {
            let mut header = false;
            for fs in &filesystems {
                let run = match replay(&mut session, &parts.kernel.release, fs, &input.case) {
                    Ok(run) => run,
                    // A guest that hangs or has died is no good for the next case.
                    Err(error) => {
                        let run = dead(&error, &session);
                        keep_log(args, &session)?;
                        session = boot(&parts, &filesystems)?;
                        run
                    }
                };
                if run.is_last {
                    keep_log(args, &session)?;
                    session = boot(&parts, &filesystems)?;
                }
                if is_new(input, fs, &run) {
                    exit = Exit::Breach;
                }
                if !args.json {
                    show(args, input, &parts.kernel.release, fs, &run, &mut header);
                }
                lines.push(line_of(input, &parts.kernel.version, fs, &run));
            }
        }
        keep_log(args, &session)?;
    }
    note(format!("{} runs in {:.0} s", lines.len(), start.elapsed().as_secs_f64()));
    if let Some(path) = &args.table {
        files::write(path, table(&lines).as_bytes())?;
        note(format!("wrote {}", path.display()));
    }
    if args.json {
        output::document(&BTreeMap::from([("runs", &lines)]))?;
    }
    Ok(exit)
}

/// The run of a guest that gave up.
fn dead(error: &anyhow::Error, session: &Session) -> Run {
    let mut damage = error.downcast_ref::<Dead>().map_or(Vec::new(), |dead| dead.findings.clone());
    damage.extend(session.findings_of_run());
    damage.dedup();
    damage.insert(0, format!("{error:#}"));
    Run { damage, ..Run::default() }
}

/// The kernel does what no pair of the model does. That an old loss is gone is no news.
fn is_new(input: &Input, fs: &GuestFilesystem, run: &Run) -> bool {
    match run.verdict() {
        Verdict::Kept => false,
        Verdict::Lost | Verdict::Exposed => !input.loses() && !fs.loses,
        Verdict::Stuck | Verdict::Damaged => true,
    }
}

fn show(
    args: &Args,
    input: &Input,
    release: &str,
    fs: &GuestFilesystem,
    run: &Run,
    header: &mut bool,
) {
    if !*header {
        line(format!("{BOLD}{}{BOLD:#}", input.path.display()));
        *header = true;
        for (pair, rules) in &input.model {
            let said = if rules.is_empty() {
                "loses nothing".to_owned()
            } else {
                format!("loses data ({})", rules.join(", "))
            };
            line(format!("  {DIM}model  {pair:24} {said}{DIM:#}"));
        }
    }
    let style = match run.verdict() {
        Verdict::Kept => GREEN,
        Verdict::Lost | Verdict::Exposed if input.loses() || fs.loses => YELLOW,
        _ => RED,
    };
    let verdict = run.verdict().name();
    let how = if run.is_followed() { "" } else { ", the schedule was not followed" };
    line(format!("  {style}{verdict:7}{style:#} {:13} {release}{how}", fs.name));
    for text in run.damage.iter().chain(&run.flaws) {
        line(format!("    {text}"));
    }
    if args.brief {
        return;
    }
    for (stop, followed) in &run.orders {
        line(format!("    {}", order_in_words(stop, followed)));
        if let Followed::Settled(Settled::Blocked, stack) = followed {
            line(format!("      {DIM}{}{DIM:#}", stack_in_a_line(stack, STACK_MOST)));
        }
    }
    for (task, slot, stack) in &run.stuck {
        line(format!("    {task}.{slot} never ended: {}", stack_in_a_line(stack, STACK_MOST)));
    }
    for result in &run.said.results {
        let task = mkwrite_model::exec::TaskId(result.actor);
        let operation = input.case.operation(task, result.slot);
        line(format!("    {task}.{} {operation}: {}", result.slot, returned(result)));
    }
    if let Some(content) = &run.said.content {
        let cells: Vec<String> = content.cells.iter().map(Held::to_string).collect();
        line(format!("    at the end: {} bytes, [{}]", content.size, cells.join(" ")));
    }
    if let Some(text) = parting(input, run) {
        line(format!("    {YELLOW}{text}{YELLOW:#}"));
    }
}

fn order_in_words(stop: &Stop, followed: &Followed) -> String {
    let point = stop.point.map_or("*", |point| point.name());
    let nth = if stop.occurrence > 1 { format!(" {}", stop.occurrence) } else { String::new() };
    let order = format!("order {}.{} {point}{nth}", stop.task, stop.slot);
    let how = match followed {
        Followed::Skipped(reason) => format!("passed over: {reason}"),
        Followed::Settled(Settled::Finished, _) => "finished".to_owned(),
        Followed::Settled(Settled::Stopped, _) => "stands there".to_owned(),
        Followed::Settled(Settled::Spins, _) => "stands there, spinning".to_owned(),
        Followed::Settled(Settled::Blocked, _) => "is blocked in".to_owned(),
        Followed::Settled(Settled::Missed, _) => "never came there".to_owned(),
        Followed::Settled(Settled::Runs, _) => "still ran at the deadline".to_owned(),
        Followed::Settled(Settled::Stuck, _) => "never ended".to_owned(),
    };
    format!("{order:32} {how}")
}

/// Where kernel and model part, if one loses data and the other does not.
fn parting(input: &Input, run: &Run) -> Option<String> {
    let lost = matches!(run.verdict(), Verdict::Lost | Verdict::Exposed);
    if lost == input.loses() {
        return None;
    }
    let differs = |followed: &Followed| {
        !matches!(
            followed,
            Followed::Settled(Settled::Finished | Settled::Stopped | Settled::Spins, _)
        )
    };
    let parts = run
        .orders
        .iter()
        .find(|(stop, followed)| stop.task.io_slot().is_none() && differs(followed));
    let which = if lost {
        "the kernel loses data, the model does not"
    } else {
        "the model loses data, the kernel does not"
    };
    Some(match parts {
        Some((stop, followed)) => format!(
            "{which}; they part at: {}",
            order_in_words(stop, followed).split_whitespace().collect::<Vec<_>>().join(" ")
        ),
        None => format!("{which}, with the same schedule"),
    })
}

// ---- tables

fn line_of(input: &Input, version: &str, fs: &GuestFilesystem, run: &Run) -> Line {
    let mut skipped = BTreeMap::new();
    for (stop, followed) in run.orders.iter().filter(|(stop, _)| stop.task.io_slot().is_none()) {
        let point = stop.point.map_or("*", |point| point.name());
        match followed {
            Followed::Skipped(reason) => _ = skipped.insert(point.to_owned(), reason.clone()),
            Followed::Settled(Settled::Missed, _) => {
                _ = skipped.insert(point.to_owned(), "never came there".to_owned())
            }
            Followed::Settled(Settled::Blocked, _) if stop.point.is_some() => {
                skipped.insert(point.to_owned(), "blocked before".to_owned());
            }
            Followed::Settled(..) => {}
        }
    }
    Line {
        file: input.name(),
        kernel: version.to_owned(),
        filesystem: fs.name.clone(),
        model_loses: input.loses(),
        verdict: run.verdict().name(),
        followed: run.is_followed(),
        blocked: run.blocked().map_or(Vec::new(), |(_, _, stack)| stack.to_vec()),
        flaws: run.flaws.iter().chain(&run.damage).cloned().collect(),
        skipped,
    }
}

/// What stands over a table.
const TABLE_HEAD: &str = "\
# Cases replayed on real kernels

Written by `mkwrite vm .. --replay --table FILE` (vm.md). `model`: whether some pair that the case names loses data in the
model. On a kernel: `kept`, nothing is lost; `LOST`; `EXPOSED`, only bytes came up that were stored past the end of the file;
`STUCK`, an actor never ended; `DAMAGED`, the kernel or the guest gave up. `blocked in` is the function in which the first
actor that was blocked waits. `not followed`: some point of the schedule has no place there, was never reached, or its
actor was blocked before it; the second table says which and why.

";

/// One column per kernel and filesystem, one row per case.
fn table(lines: &[Line]) -> String {
    let mut columns: Vec<(&str, &str)> = Vec::new();
    let mut rows: Vec<&str> = Vec::new();
    for one in lines {
        let column = (one.kernel.as_str(), one.filesystem.as_str());
        if !columns.contains(&column) {
            columns.push(column);
        }
        if !rows.contains(&one.file.as_str()) {
            rows.push(&one.file);
        }
    }
    let mut text = format!("{TABLE_HEAD}| case | model |");
    for (kernel, fs) in &columns {
        text.push_str(&format!(" {fs} {kernel} |"));
    }
    text.push_str(&format!("\n| --- | --- |{}\n", " --- |".repeat(columns.len())));
    for row in rows {
        let of_row = || lines.iter().filter(move |one| one.file == row);
        let loses = of_row().any(|one| one.model_loses);
        text.push_str(&format!("| {row} | {} |", if loses { "loses" } else { "keeps" }));
        for column in &columns {
            let one =
                of_row().find(|one| (one.kernel.as_str(), one.filesystem.as_str()) == *column);
            text.push_str(&format!(" {} |", one.map_or(String::new(), cell)));
        }
        text.push('\n');
    }
    let mut reasons: BTreeMap<(&str, &str), usize> = BTreeMap::new();
    for (point, reason) in lines.iter().flat_map(|one| &one.skipped) {
        *reasons.entry((point, reason)).or_default() += 1;
    }
    text.push_str("\n| point | why it was passed over | runs |\n| --- | --- | --- |\n");
    for ((point, reason), count) in reasons {
        text.push_str(&format!("| {point} | {reason} | {count} |\n"));
    }
    text
}

fn cell(one: &Line) -> String {
    let waits = one.blocked.iter().find(|name| !WAITING.contains(&name.as_str()));
    let mut text = one.verdict.to_owned();
    if let Some(function) = waits {
        text.push_str(&format!(", blocked in {function}"));
    }
    if !one.followed {
        text.push_str(" (not followed)");
    }
    text
}

/// Functions in which everybody sleeps: the one that called them says on what.
const WAITING: &[&str] =
    &["folio_wait_bit_common", "io_schedule", "schedule", "__schedule", "wait_on_page_bit_common"];
