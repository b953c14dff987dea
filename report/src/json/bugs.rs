//! The document of `mkwrite bugs`.

use serde::Serialize;

/// Bugs that kernels had.
#[derive(Clone, Debug, Serialize)]
pub struct Bugs {
    /// Hunts of each bug.
    pub seeds: u64,
    /// Cases of a hunt at the most.
    pub cases: u64,
    /// The bugs.
    pub bugs: Vec<Bug>,
}

/// A bug, and what came of its hunts.
#[derive(Clone, Debug, Serialize)]
pub struct Bug {
    /// Its name.
    pub name: String,
    /// What was wrong.
    pub what: String,
    /// Who mended it.
    pub source: String,
    /// Where it was hunted.
    pub implementation: Option<&'static str>,
    /// The entry of the ledger, if a version has it.
    pub entry: Option<String>,
    /// The plant, if it is planted.
    pub plant: Option<&'static str>,
    /// Why it cannot be said.
    pub out: Option<String>,
    /// How many hunts there were.
    pub hunts: usize,
    /// How many found it.
    pub found: usize,
    /// The version that mended it shows it all the same.
    pub still_there: bool,
    /// The rule of the hunt in the middle.
    pub rule: Option<&'static str>,
    /// Its cases.
    pub median_cases: Option<u64>,
    /// Its time, on one thread.
    pub median_seconds: Option<f64>,
    /// The operations of its case, made smaller.
    pub operations: Option<usize>,
}
