//! The engines that search: our own hunt, libFuzzer and AFL++. How the targets of each are built,
//! and how one is started on a target for a while. A new one is a line of the table and its
//! functions.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use mkwrite_search::hunt::Shard;
use rustix::process::{Pid, Signal, kill_process, kill_process_group, test_kill_process_group};
use serde_json::Value;

/// The largest case in bytes, and more than it needs.
const BYTES_MAX: usize = 1536;
/// A run of an input that takes longer hangs: seconds.
const TIMEOUT: u64 = 60;
/// Where a target writes what it found. It also tells whose process it is.
const LOG: &str = "MKWRITE_FUZZ_LOG";
/// The switch that makes expected breaches fatal: not for engines that we start.
const EXPECTED: &str = "MKWRITE_FUZZ_EXPECTED";

/// What a target takes for input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Form {
    /// A case in bytes.
    Case,
    /// A case in bytes, with a byte that chooses the pair that it runs on.
    CaseOnPair,
    /// Calls and returns of three actors on one cell, one byte each.
    History,
    /// The text of a case.
    Text,
}

impl Form {
    /// Inputs are cases in bytes.
    pub(crate) const fn is_case(self) -> bool {
        matches!(self, Form::Case | Form::CaseOnPair)
    }

    /// The largest input. A text has room for comments.
    const fn input_max(self) -> usize {
        if matches!(self, Form::Text) { 4 * BYTES_MAX } else { BYTES_MAX }
    }
}

/// A fuzzing target.
#[derive(Debug)]
pub(crate) struct Target {
    /// Its name.
    pub name: &'static str,
    /// How much of the time it gets.
    pub weight: u32,
    /// What it takes.
    pub form: Form,
    /// It shows its engine the features of the model.
    pub features: bool,
}

/// The targets of `fuzz/Cargo.toml`.
pub(crate) const TARGETS: &[Target] = &[
    Target { name: "differential", weight: 8, form: Form::Case, features: true },
    Target { name: "implementation", weight: 4, form: Form::CaseOnPair, features: true },
    Target { name: "codec", weight: 1, form: Form::Case, features: false },
    Target { name: "history", weight: 1, form: Form::History, features: false },
    Target { name: "text", weight: 1, form: Form::Text, features: false },
];

impl Target {
    /// libFuzzer's options for it, by name.
    pub(crate) fn options(&self) -> Vec<(&'static str, String)> {
        let mut all = vec![
            ("max_len", self.form.input_max().to_string()),
            ("len_control", "0".to_owned()),
            ("timeout", TIMEOUT.to_string()),
        ];
        if self.form.is_case() {
            // One mutation of operations at a time: several in a row lead away from what was worth
            // keeping.
            all.push(("mutate_depth", "1".to_owned()));
        }
        all
    }
}

/// An engine.
pub(crate) struct Engine {
    /// Its name.
    pub name: &'static str,
    /// How much of the time it gets.
    pub weight: u32,
    /// The exit code that says that it found something.
    pub found: Option<i32>,
    /// It hands the names of its files to a shell, unquoted.
    pub shell: bool,
    /// Its targets read one input from their standard input, and not from a file that is named.
    pub stdin: bool,
    /// Its executables by target, and what is missing; an error if that is all.
    pub build: fn(Option<&Path>) -> Result<Built>,
    /// The command that starts it.
    pub command: fn(&Start) -> Command,
    /// Where in its folder the inputs are that it would keep, if it does not put them into the
    /// corpus itself.
    pub queue: Option<&'static str>,
    /// The command that puts what matters of a corpus into another folder, if it can do that.
    pub merge: Option<fn(&Merge) -> Command>,
}

/// What to merge.
pub(crate) struct Merge<'a> {
    /// The target.
    pub target: &'static Target,
    /// Its executable.
    pub executable: &'a Path,
    /// The corpus.
    pub from: &'a Path,
    /// The new one.
    pub to: &'a Path,
    /// Where inputs go on which the target fails.
    pub folder: &'a Path,
}

/// Executables by target.
pub(crate) type Targets = BTreeMap<String, PathBuf>;

/// What could be built.
#[derive(Default)]
pub(crate) struct Built {
    /// The executables.
    pub targets: Targets,
    /// Targets that are not there, and why.
    pub missing: Vec<(&'static str, String)>,
}

impl From<Targets> for Built {
    fn from(targets: Targets) -> Built {
        Built { targets, missing: Vec::new() }
    }
}

/// The table: our own hunt, libFuzzer, AFL++.
pub(crate) const ENGINES: &[Engine] = &[
    Engine {
        name: "hunt",
        weight: 2,
        found: Some(1),
        shell: false,
        stdin: false,
        build: own,
        command: hunt,
        queue: None,
        merge: None,
    },
    Engine {
        name: "libfuzzer",
        weight: 2,
        found: Some(77),
        shell: true,
        stdin: false,
        build: libfuzzer_targets,
        command: libfuzzer,
        queue: None,
        merge: Some(merge),
    },
    Engine {
        name: "afl",
        weight: 1,
        found: None,
        shell: false,
        stdin: true,
        build: afl_targets,
        command: afl,
        queue: Some("out/main/queue"),
        merge: None,
    },
];

/// The target of all comparisons, and of our own hunt.
pub(crate) const DIFFERENTIAL: &Target = &TARGETS[0];

/// The engine of this name.
pub(crate) fn by_name(name: &str) -> Option<&'static Engine> {
    ENGINES.iter().find(|engine| engine.name == name)
}

/// When a search ends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Limit {
    /// After so many seconds.
    Seconds(u64),
    /// After so many inputs.
    Inputs(u64),
}

/// What to start.
pub(crate) struct Start<'a> {
    /// The target.
    pub target: &'static Target,
    /// Its executable.
    pub executable: &'a Path,
    /// Threads or processes, if it can have several.
    pub jobs: usize,
    /// The seed.
    pub seed: u64,
    /// The part of the search that this machine does.
    pub shard: Shard,
    /// When it ends.
    pub limit: Limit,
    /// What it leaves besides the corpus: artifacts, its output.
    pub folder: &'a Path,
    /// The corpus: one file per input, for all engines. AFL++ only reads it.
    pub corpus: &'a Path,
    /// Tokens, if there are any for the target.
    pub dictionary: Option<&'a Path>,
    /// The log (see `mkwrite_oracle::log`).
    pub log: &'a Path,
    /// It has crashed before: go on after crashes.
    pub crashes: bool,
}

impl Start<'_> {
    /// The seed of an engine that knows nothing of parts: each has another.
    fn seed_of_part(&self) -> u64 {
        self.seed.wrapping_add((self.shard.nth - 1).wrapping_mul(SPREAD))
    }
}

/// Spreads small numbers over a word (the increment of SplitMix64).
const SPREAD: u64 = 0x9E37_79B9_7F4A_7C15;

/// Starts an engine, with its output in its folder.
pub(crate) fn start(command: Command, start: &Start) -> Result<Child> {
    std::fs::create_dir_all(start.folder)?;
    let output = File::create(start.folder.join("output.txt"))?;
    spawn(command, start.log, output)
        .with_context(|| format!("cannot start {}", start.executable.display()))
}

/// Starts a command in a process group of its own, so that Ctrl-C ends it through us and nothing
/// stays behind.
pub(crate) fn spawn(mut command: Command, log: &Path, output: File) -> Result<Child> {
    command.env(LOG, log).env_remove(EXPECTED);
    command.stdout(output.try_clone()?).stderr(output).process_group(0);
    Ok(command.spawn()?)
}

fn group_of(child: &Child) -> Option<Pid> {
    Pid::from_raw(i32::try_from(child.id()).ok()?)
}

/// Asks all processes of the group that this child leads to save what they have and to end.
pub(crate) fn interrupt(child: &Child) {
    let _ = group_of(child).map(|group| kill_process_group(group, Signal::INT));
}

/// Ends them.
pub(crate) fn kill(child: &Child) {
    let _ = group_of(child).map(|group| kill_process_group(group, Signal::KILL));
}

/// Some process of the group is there, even if the child is not any more.
pub(crate) fn is_alive(child: &Child) -> bool {
    group_of(child).is_some_and(|group| test_kill_process_group(group).is_ok())
}

/// Processes that were started with a log whose path begins like this, in whatever group or session
/// they are: AFL++ puts its targets into sessions of their own.
pub(crate) fn processes(log: &Path) -> Vec<u32> {
    let mark = [LOG.as_bytes(), b"=", log.as_os_str().as_encoded_bytes()].concat();
    let ids = std::fs::read_dir("/proc").into_iter().flatten().flatten();
    let ids = ids.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    let is_one = |id: &u32| {
        let environment = std::fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        *id != std::process::id()
            && environment.split(|byte| *byte == 0).any(|entry| entry.starts_with(&mark))
    };
    ids.filter(is_one).collect()
}

/// Ends what was left running with such a log.
pub(crate) fn end_all(log: &Path) {
    for id in processes(log).into_iter().filter_map(|id| Pid::from_raw(i32::try_from(id).ok()?)) {
        let _ = kill_process(id, Signal::KILL);
    }
}

/// Runs one input on a target, as its engine did. Returns what went wrong, if anything did.
pub(crate) fn run_again(executable: &Path, input: &Path, log: &Path) -> Result<Option<String>> {
    let mut command = Command::new(executable);
    command.arg(format!("-timeout={TIMEOUT}")).arg(input).stdin(File::open(input)?);
    let mut output = tempfile::tempfile()?;
    let mut child = spawn(command, log, output.try_clone()?)?;
    let began = Instant::now();
    let status = loop {
        match child.try_wait()? {
            Some(status) => break status,
            None if began.elapsed() > Duration::from_secs(TIMEOUT + 5) => {
                kill(&child);
                child.wait()?;
                return Ok(Some(format!("takes longer than {TIMEOUT} s")));
            }
            None => std::thread::sleep(Duration::from_millis(5)),
        }
    };
    if status.success() {
        return Ok(None);
    }
    let mut text = Vec::new();
    std::io::Seek::rewind(&mut output)?;
    std::io::Read::read_to_end(&mut output, &mut text)?;
    let text = String::from_utf8_lossy(&text);
    let said = text.lines().skip_while(|line| !line.contains("panicked at")).nth(1);
    Ok(Some(said.map_or_else(|| status.to_string(), |said| said.trim().to_owned())))
}

/// The checkout that this folder lies in: engines other than our own build their targets from it.
pub(crate) fn checkout(from: &Path) -> Option<PathBuf> {
    let from = from.canonicalize().ok()?;
    from.ancestors().find(|folder| folder.join("fuzz/afl/Cargo.toml").is_file()).map(Path::to_owned)
}

/// This program.
pub(crate) fn own(_: Option<&Path>) -> Result<Built> {
    Ok(Targets::from([(DIFFERENTIAL.name.to_owned(), std::env::current_exe()?)]).into())
}

/// Our own hunt.
pub(crate) fn hunt(start: &Start) -> Command {
    let mut command = Command::new(start.executable);
    command.args([
        "hunt",
        "--raw",
        "--jobs",
        &start.jobs.to_string(),
        "--seed",
        &start.seed.to_string(),
    ]);
    if start.shard != Shard::WHOLE {
        command.arg("--shard").arg(start.shard.to_string());
    }
    command.arg("--out").arg(start.folder);
    match start.limit {
        Limit::Seconds(seconds) => command.args(["--seconds", &seconds.to_string()]),
        Limit::Inputs(cases) => command.args(["--cases", &cases.to_string()]),
    };
    command.arg("--corpus").arg(start.corpus).arg("--log").arg(start.log).stdin(Stdio::null());
    command
}

/// libFuzzer's targets. Those that run cases have counters of their own: a plain build by Cargo is
/// the fastest. The others know how far they come only from instrumentation, which cargo-fuzz adds.
fn libfuzzer_targets(checkout: Option<&Path>) -> Result<Built> {
    let mut built = Built::from(build(checkout, &["build"], "mkwrite-fuzz")?);
    let installed = is_there("fuzz");
    for target in TARGETS.iter().filter(|target| !target.features) {
        built.targets.remove(target.name);
        let executable = match installed {
            true => instrumented(checkout, target.name),
            false => {
                Err(anyhow!("`cargo install cargo-fuzz --locked` installs what instruments it"))
            }
        };
        match executable {
            Ok(executable) => {
                built.targets.insert(target.name.to_owned(), executable);
            }
            Err(error) => built.missing.push((target.name, format!("{error:#}"))),
        }
    }
    Ok(built)
}

/// A target as cargo-fuzz builds it.
fn instrumented(checkout: Option<&Path>, name: &str) -> Result<PathBuf> {
    let (checkout, host) = (checkout.context("it is built in a checkout")?, host()?);
    let folder = checkout.join("target");
    let output = Command::new("cargo")
        .args(["fuzz", "build", "-s", "none", "-O", "--no-trace-compares", name])
        .current_dir(checkout)
        .env("RUSTUP_TOOLCHAIN", "stable")
        .env("CARGO_TARGET_DIR", &folder)
        .stdin(Stdio::null())
        .output()?;
    let path = folder.join(host).join("release").join(name);
    match output.status.success() && path.is_file() {
        true => Ok(path),
        false => Err(anyhow!("`cargo fuzz build {name}` failed: {}", first_error(&output.stderr))),
    }
}

/// What a build says went wrong.
fn first_error(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    text.lines()
        .find(|line| line.to_lowercase().starts_with("error"))
        .unwrap_or("it did not say why")
        .to_owned()
}

/// The compiler's name for this machine.
fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("rustc cannot be started")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text
        .lines()
        .find_map(|line| line.strip_prefix("host: "))
        .context("rustc does not say its host")?;
    Ok(host.to_owned())
}

/// Cargo has this command.
fn is_there(cargo: &str) -> bool {
    Command::new("cargo")
        .args([cargo, "--version"])
        .output()
        .is_ok_and(|output| output.status.success())
}

/// The baseline of `mkwrite compare`.
pub(crate) fn baseline_targets(checkout: Option<&Path>) -> Result<Built> {
    Ok(build(checkout, &["build"], "mkwrite-baseline")?.into())
}

/// libFuzzer. Where it has several processes, or a target has crashed, in its fork mode, which goes
/// on after crashes.
pub(crate) fn libfuzzer(start: &Start) -> Command {
    let mut command = Command::new(start.executable);
    command.arg(format!("-seed={}", start.seed_of_part() % 0xFFFF_FFFF + 1));
    command.args(start.target.options().iter().map(|(name, value)| format!("-{name}={value}")));
    command.arg(format!("-artifact_prefix={}/", start.folder.display()));
    match start.limit {
        Limit::Seconds(seconds) => command.arg(format!("-max_total_time={seconds}")),
        Limit::Inputs(runs) => command.arg(format!("-runs={runs}")),
    };
    if start.crashes || start.jobs > 1 {
        command.arg(format!("-fork={}", start.jobs));
        command.args(["-ignore_crashes=1", "-ignore_timeouts=1", "-ignore_ooms=1"]);
    }
    if let Some(dictionary) = start.dictionary {
        command.arg(format!("-dict={}", dictionary.display()));
    }
    command.arg(start.corpus).stdin(Stdio::null());
    command
}

fn merge(merge: &Merge) -> Command {
    let mut command = Command::new(merge.executable);
    command
        .arg("-merge=1")
        .args(merge.target.options().iter().map(|(name, value)| format!("-{name}={value}")));
    command.arg(format!("-artifact_prefix={}/", merge.folder.display()));
    command.arg(merge.to).arg(merge.from).stdin(Stdio::null());
    command
}

fn afl_targets(checkout: Option<&Path>) -> Result<Built> {
    if !is_there("afl") {
        bail!("`cargo install cargo-afl --locked` installs it");
    }
    let all = build(checkout, &["afl", "build"], "mkwrite-afl")?;
    let own = |(name, path): (String, PathBuf)| {
        (name.trim_start_matches("mkwrite-afl-").to_owned(), path)
    };
    Ok(all.into_iter().map(own).collect::<Targets>().into())
}

fn afl(start: &Start) -> Command {
    let mut command = Command::new("cargo");
    command.args([
        "afl",
        "fuzz",
        "-s",
        &start.seed_of_part().to_string(),
        "-t",
        &format!("{}", TIMEOUT * 1000),
    ]);
    command.args(["-M", "main", "-G", &start.target.form.input_max().to_string()]);
    match start.limit {
        Limit::Seconds(seconds) => command.args(["-V", &seconds.to_string()]),
        Limit::Inputs(runs) => command.args(["-E", &runs.to_string()]),
    };
    if let Some(dictionary) = start.dictionary {
        command.arg("-x").arg(dictionary);
    }
    let (seeds, out) = (start.folder.join("seeds"), start.folder.join("out"));
    let _ = afl_seeds(start.corpus, &seeds);
    command
        .arg("-i")
        .arg(seeds)
        .arg("-o")
        .arg(out)
        .arg("-F")
        .arg(start.corpus)
        .arg("--")
        .arg(start.executable);
    let settings = [
        "AFL_AUTORESUME",
        "AFL_NO_UI",
        "AFL_SKIP_CPUFREQ",
        "AFL_NO_AFFINITY",
        "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES",
        "AFL_IGNORE_SEED_PROBLEMS",
    ];
    command
        .envs(settings.map(|setting| (setting, "1")))
        .env("AFL_SYNC_TIME", "5")
        .stdin(Stdio::null());
    command
}

/// Inputs that AFL++ begins with, at the most: it runs each eight times before anything else.
const AFL_SEEDS: usize = 256;

/// Zeroes, because it wants a seed, and some of the corpus; names are hashes, so that the first are
/// any. The rest it takes from there as it goes on.
fn afl_seeds(corpus: &Path, seeds: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(seeds)?;
    std::fs::write(seeds.join("zeroes"), [0; 32])?;
    let mut files: Vec<PathBuf> =
        std::fs::read_dir(corpus)?.flatten().map(|entry| entry.path()).collect();
    files.sort();
    for file in files.iter().take(AFL_SEEDS) {
        std::fs::copy(file, seeds.join(file.file_name().unwrap_or_default()))?;
    }
    Ok(())
}

/// Builds a package of the checkout; its executables by name.
fn build(checkout: Option<&Path>, cargo: &[&str], package: &str) -> Result<Targets> {
    let checkout = checkout
        .context("its targets are built in a checkout of mkwrite: start there, or give --source")?;
    let output = Command::new("cargo")
        .args(cargo)
        .args(["--release", "--package", package, "--message-format=json-render-diagnostics"])
        // As for benches: it runs for hours.
        .envs([("CARGO_PROFILE_RELEASE_LTO", "fat"), ("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "1")])
        .current_dir(checkout)
        .stdin(Stdio::null())
        .output()
        .context("cargo cannot be started")?;
    if !output.status.success() {
        return Err(anyhow!("{package} does not build: {}", first_error(&output.stderr)));
    }
    let artifact = |line: &str| -> Option<(String, PathBuf)> {
        let message: Value = serde_json::from_str(line).ok()?;
        let executable = message["executable"].as_str()?;
        Some((message["target"]["name"].as_str()?.to_owned(), executable.into()))
    };
    let all: Targets =
        String::from_utf8_lossy(&output.stdout).lines().filter_map(artifact).collect();
    if all.is_empty() { Err(anyhow!("{package} has no executables")) } else { Ok(all) }
}
