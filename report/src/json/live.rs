//! The documents of `mkwrite live`.

use serde::Serialize;

use super::On;

/// `live --conformance --json`.
#[derive(Clone, Debug, Serialize)]
pub struct Conformance {
    /// The kernel's release.
    pub kernel: String,
    /// The seed of the cases.
    pub seed: u64,
    /// Each filesystem that was compared.
    pub filesystems: Vec<Compared>,
    /// Those that cannot be had here.
    pub missing: Vec<Missing>,
}

/// A filesystem against a model.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    /// As the command line names it.
    pub name: String,
    /// What it is.
    pub filesystem: String,
    /// The model.
    #[serde(flatten)]
    pub on: On,
    /// The content at the end was read from the store, not through the cache.
    pub store_seen: bool,
    /// Cases.
    pub cases: u64,
    /// Their operations.
    pub operations: u64,
    /// Cases that differ.
    pub differing: u64,
    /// Seconds in the kernel's runs.
    pub seconds: f64,
    /// The differences, those that are NEW first.
    pub differences: Vec<Difference>,
}

/// Cases whose smallest forms differ alike.
#[derive(Clone, Debug, Serialize)]
pub struct Difference {
    /// What differs.
    pub class: String,
    /// The operation that shows it, or `seen`, `durable`, `end`.
    pub shown_by: &'static str,
    /// What the model gives.
    pub model: String,
    /// What the kernel gives.
    pub real: String,
    /// Where, and the values.
    pub detail: String,
    /// The entry that explains it; null is NEW.
    pub entry: Option<String>,
    /// Cases that came down to it.
    pub hits: u64,
    /// The number of the first of them.
    pub case: u64,
    /// Its smallest form, in a line.
    pub smallest: String,
    /// The file that it was saved to.
    pub file: Option<String>,
}

/// `live --hunt --json`.
#[derive(Clone, Debug, Serialize)]
pub struct Hunt {
    /// The kernel's release.
    pub kernel: String,
    /// The seed of the cases.
    pub seed: u64,
    /// Each filesystem that was hunted on.
    pub filesystems: Vec<Hunted>,
    /// Those that cannot be had here.
    pub missing: Vec<Missing>,
}

/// A hunt on a filesystem.
#[derive(Clone, Debug, Serialize)]
pub struct Hunted {
    /// As the command line names it.
    pub name: String,
    /// What it is.
    pub filesystem: String,
    /// Cases.
    pub cases: u64,
    /// Runs.
    pub runs: u64,
    /// Operations.
    pub operations: u64,
    /// Runs in which calls of two actors overlapped.
    pub overlapped: u64,
    /// Runs in which some cell that was seen was torn.
    pub torn: u64,
    /// Runs of which some cell could not be decided.
    pub undecided: u64,
    /// Syncs that were judged by what the store held when they returned.
    pub syncs: u64,
    /// Seconds.
    pub seconds: f64,
    /// What broke.
    pub flaws: Vec<Flaw>,
}

/// Something that runs broke.
#[derive(Clone, Debug, Serialize)]
pub struct Flaw {
    /// What.
    pub flaw: String,
    /// The operation that shows it; `rest`, `durable`.
    pub shown_by: &'static str,
    /// The kind of value that shows it.
    pub found: String,
    /// Where, in the first run that broke it.
    pub detail: String,
    /// The entry that explains it; null is NEW.
    pub entry: Option<String>,
    /// Runs that broke it.
    pub hits: u64,
    /// The file that its smallest case was saved to.
    pub file: Option<String>,
}

/// `live FILE... --json`.
#[derive(Clone, Debug, Serialize)]
pub struct Files {
    /// The kernel's release.
    pub kernel: String,
    /// Each case on each filesystem.
    pub runs: Vec<Ran>,
    /// The filesystems that cannot be had here.
    pub missing: Vec<Missing>,
}

/// A case on a filesystem.
#[derive(Clone, Debug, Serialize)]
pub struct Ran {
    /// The case.
    pub file: String,
    /// The filesystem, as the command line names it.
    pub name: String,
    /// What it is.
    pub filesystem: String,
    /// Runs.
    pub times: u32,
    /// Runs in which calls of two actors overlapped.
    pub overlapped: u64,
    /// What broke.
    pub flaws: Vec<Flaw>,
}

/// A filesystem that cannot be had here.
#[derive(Clone, Debug, Serialize)]
pub struct Missing {
    /// As the command line names it.
    pub name: String,
    /// Why.
    pub what: String,
    /// What would mend it.
    pub help: String,
}
