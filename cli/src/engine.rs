//! The engines that search: our own hunt, libFuzzer and AFL++. How the targets of each are built, and how one is
//! started on a target for a while. A new one is a line of the table and two functions.

use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

/// The largest input: more than the largest case needs.
pub const INPUT_MAX: usize = 1024;
/// A run of an input that takes longer hangs.
const TIMEOUT: u64 = 60;

/// What a target takes for input.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Form {
    /// A case in bytes.
    Case,
    /// A case in bytes, with a byte that chooses the pair that it runs on.
    Choice,
    /// Calls and returns of three actors on one cell, one byte each.
    History,
    /// The text of a case.
    Text,
}

impl Form {
    /// Inputs are cases in bytes.
    pub const fn is_case(self) -> bool {
        matches!(self, Form::Case | Form::Choice)
    }
}

/// A fuzzing target.
pub struct Target {
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
pub const TARGETS: &[Target] = &[
    Target { name: "differential", weight: 8, form: Form::Case, features: true },
    Target { name: "implementation", weight: 4, form: Form::Choice, features: true },
    Target { name: "codec", weight: 1, form: Form::Case, features: false },
    Target { name: "history", weight: 1, form: Form::History, features: false },
    Target { name: "text", weight: 1, form: Form::Text, features: false },
];

/// An engine.
pub struct Engine {
    /// Its name.
    pub name: &'static str,
    /// How much of the time it gets.
    pub weight: u32,
    /// The exit code that says that it found something.
    pub found: Option<i32>,
    /// Its executables by target; an error says what is missing.
    pub build: fn(Option<&Path>) -> Result<Targets>,
    /// The command that starts it.
    pub command: fn(&Start) -> Command,
}

/// Executables by target.
pub type Targets = BTreeMap<String, PathBuf>;

/// The table.
pub const ENGINES: &[Engine] = &[
    // Our own hunt.
    Engine { name: "hunt", weight: 2, found: Some(1), build: own, command: hunt },
    Engine { name: "libfuzzer", weight: 2, found: Some(77), build: libfuzzer_targets, command: libfuzzer },
    Engine { name: "afl", weight: 1, found: None, build: afl_targets, command: afl },
];

/// The engine of this name.
pub fn by_name(name: &str) -> Option<&'static Engine> {
    ENGINES.iter().find(|engine| engine.name == name)
}

/// When a search ends.
#[derive(Clone, Copy, Debug)]
pub enum Limit {
    /// After so many seconds.
    Seconds(u64),
    /// After so many inputs.
    Inputs(u64),
}

/// What to start.
pub struct Start<'a> {
    /// The executable.
    pub executable: &'a Path,
    /// The seed.
    pub seed: u64,
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

/// Starts an engine, in a process group of its own, so that Ctrl-C ends it through us and nothing stays behind.
pub fn start(mut command: Command, start: &Start) -> Result<Child> {
    std::fs::create_dir_all(start.folder)?;
    let output = std::fs::File::create(start.folder.join("output.txt"))?;
    command.env("MKWRITE_FUZZ_LOG", start.log).env_remove("MKWRITE_FUZZ_EXPECTED");
    command.stdin(Stdio::null()).stdout(output.try_clone()?).stderr(output).process_group(0);
    command.spawn().with_context(|| format!("cannot start {}", start.executable.display()))
}

/// Sends a signal to a process group.
pub fn kill(group: u32, signal: &str) {
    let _ = Command::new("kill").args([signal, "--", &format!("-{group}")]).stderr(Stdio::null()).status();
}

/// The checkout that this folder lies in: engines other than our own build their targets from it.
pub fn checkout(from: &Path) -> Option<PathBuf> {
    let from = from.canonicalize().ok()?;
    from.ancestors().find(|folder| folder.join("fuzz/afl/Cargo.toml").is_file()).map(Path::to_owned)
}

fn own(_: Option<&Path>) -> Result<Targets> {
    Ok([("differential".to_owned(), std::env::current_exe()?)].into())
}

/// Our own hunt, on one thread.
pub fn hunt(start: &Start) -> Command {
    let mut command = Command::new(start.executable);
    command.args(["hunt", "--raw", "--jobs", "1", "--seed", &start.seed.to_string(), "--out"]).arg(start.folder);
    match start.limit {
        Limit::Seconds(seconds) => command.args(["--seconds", &seconds.to_string()]),
        Limit::Inputs(cases) => command.args(["--cases", &cases.to_string()]),
    };
    command.arg("--corpus").arg(start.corpus).arg("--log").arg(start.log);
    command
}

/// libFuzzer's targets. Those that run cases have counters of their own: a plain build by Cargo is the fastest. The
/// others know how far they come only from instrumentation, which cargo-fuzz adds.
fn libfuzzer_targets(checkout: Option<&Path>) -> Result<Targets> {
    let mut all = build(checkout, &["build"], "mkwrite-fuzz")?;
    let others: Vec<&str> = TARGETS.iter().filter(|target| !target.features).map(|target| target.name).collect();
    all.retain(|name, _| !others.contains(&name.as_str()));
    if is_there("fuzz") {
        all.extend(instrumented(checkout, &others)?);
    }
    Ok(all)
}

/// Targets as cargo-fuzz builds them.
fn instrumented(checkout: Option<&Path>, names: &[&str]) -> Result<Targets> {
    let (checkout, host) = (checkout.context("it is built in a checkout")?, host()?);
    let mut all = Targets::new();
    for name in names {
        let status = Command::new("cargo")
            .args(["fuzz", "build", "-s", "none", "-O", "--no-trace-compares", name])
            .current_dir(checkout)
            .env("RUSTUP_TOOLCHAIN", "stable")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status();
        let path = checkout.join("target").join(&host).join("release").join(name);
        if status.is_ok_and(|status| status.success()) && path.is_file() {
            all.insert((*name).to_owned(), path);
        }
    }
    Ok(all)
}

/// The compiler's name for this machine.
fn host() -> Result<String> {
    let output = Command::new("rustc").arg("-vV").output().context("rustc cannot be started")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let host = text.lines().find_map(|line| line.strip_prefix("host: ")).context("rustc does not say its host")?;
    Ok(host.to_owned())
}

/// Cargo has this command.
fn is_there(cargo: &str) -> bool {
    Command::new("cargo").args([cargo, "--version"]).output().is_ok_and(|output| output.status.success())
}

/// The baseline of `mkwrite compare`.
pub fn baseline_targets(checkout: Option<&Path>) -> Result<Targets> {
    build(checkout, &["build"], "mkwrite-baseline")
}

/// libFuzzer. Where a target has crashed it goes on after crashes, in processes of its own.
pub fn libfuzzer(start: &Start) -> Command {
    let mut command = Command::new(start.executable);
    command.arg(format!("-seed={}", start.seed % 0xFFFF_FFFF + 1));
    command
        .arg(format!("-max_len={INPUT_MAX}"))
        .args(["-len_control=0", "-mutate_depth=1"])
        .arg(format!("-timeout={TIMEOUT}"));
    command.arg(format!("-artifact_prefix={}/", start.folder.display()));
    match start.limit {
        Limit::Seconds(seconds) => command.arg(format!("-max_total_time={seconds}")),
        Limit::Inputs(runs) => command.arg(format!("-runs={runs}")),
    };
    if start.crashes {
        command.args(["-fork=1", "-ignore_crashes=1", "-ignore_timeouts=1", "-ignore_ooms=1"]);
    }
    if let Some(dictionary) = start.dictionary {
        command.arg(format!("-dict={}", dictionary.display()));
    }
    command.arg(start.corpus);
    command
}

fn afl_targets(checkout: Option<&Path>) -> Result<Targets> {
    if !is_there("afl") {
        bail!("`cargo install cargo-afl --locked` installs it");
    }
    let all = build(checkout, &["afl", "build"], "mkwrite-afl")?;
    Ok(all.into_iter().map(|(name, path)| (name.trim_start_matches("mkwrite-afl-").to_owned(), path)).collect())
}

fn afl(start: &Start) -> Command {
    let mut command = Command::new("cargo");
    command.args(["afl", "fuzz", "-s", &start.seed.to_string(), "-t", &format!("{}", TIMEOUT * 1000)]);
    command.args(["-M", "main", "-G", &INPUT_MAX.to_string()]);
    match start.limit {
        Limit::Seconds(seconds) => command.args(["-V", &seconds.to_string()]),
        Limit::Inputs(runs) => command.args(["-E", &runs.to_string()]),
    };
    if let Some(dictionary) = start.dictionary {
        command.arg("-x").arg(dictionary);
    }
    let (seeds, out) = (start.folder.join("seeds"), start.folder.join("out"));
    let _ = afl_seeds(start.corpus, &seeds);
    command.arg("-i").arg(seeds).arg("-o").arg(out).arg("-F").arg(start.corpus).arg("--").arg(start.executable);
    let settings = [
        "AFL_AUTORESUME",
        "AFL_NO_UI",
        "AFL_SKIP_CPUFREQ",
        "AFL_NO_AFFINITY",
        "AFL_I_DONT_CARE_ABOUT_MISSING_CRASHES",
        "AFL_IGNORE_SEED_PROBLEMS",
    ];
    command.envs(settings.map(|setting| (setting, "1"))).env("AFL_SYNC_TIME", "5");
    command
}

/// Inputs that AFL++ begins with, at the most: it runs each eight times before anything else.
const AFL_SEEDS: usize = 256;

/// Zeroes, because it wants a seed, and some of the corpus; names are hashes, so that the first are any. The rest it
/// takes from there as it goes on.
fn afl_seeds(corpus: &Path, seeds: &Path) -> std::io::Result<()> {
    std::fs::create_dir_all(seeds)?;
    std::fs::write(seeds.join("zeroes"), [0; 32])?;
    let mut files: Vec<PathBuf> = std::fs::read_dir(corpus)?.flatten().map(|entry| entry.path()).collect();
    files.sort();
    for file in files.iter().take(AFL_SEEDS) {
        std::fs::copy(file, seeds.join(file.file_name().unwrap_or_default()))?;
    }
    Ok(())
}

/// Builds a package of the checkout; its executables by name.
fn build(checkout: Option<&Path>, cargo: &[&str], package: &str) -> Result<Targets> {
    let checkout = checkout.context("its targets are built in a checkout of mkwrite: start there, or give --source")?;
    let output = Command::new("cargo")
        .args(cargo)
        .args(["--release", "--package", package, "--message-format=json-render-diagnostics"])
        .current_dir(checkout)
        .stdin(Stdio::null())
        .output()
        .context("cargo cannot be started")?;
    if !output.status.success() {
        let text = String::from_utf8_lossy(&output.stderr);
        let error = text.lines().find(|line| line.starts_with("error")).unwrap_or("cargo failed");
        return Err(anyhow!("{package} does not build: {error}"));
    }
    let artifact = |line: &str| -> Option<(String, PathBuf)> {
        let message: Value = serde_json::from_str(line).ok()?;
        let executable = message["executable"].as_str()?;
        Some((message["target"]["name"].as_str()?.to_owned(), executable.into()))
    };
    let all: Targets = String::from_utf8_lossy(&output.stdout).lines().filter_map(artifact).collect();
    if all.is_empty() { Err(anyhow!("{package} has no executables")) } else { Ok(all) }
}
