//! The documents of `mkwrite replay`: one of cases as they are, and one of cases under fresh
//! schedules.

use serde::Serialize;

use super::On;

/// Cases under the schedules that they carry.
#[derive(Clone, Debug, Serialize)]
pub struct Replay {
    /// A run for each file and target.
    pub runs: Vec<Run>,
}

/// A case on a target.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// The case.
    pub file: String,
    /// What it ran on.
    #[serde(flatten)]
    pub on: On,
    /// `pass`, `expected`, `NEW`, `missing`, `vacuous`, `undecided` or `stale`.
    pub verdict: &'static str,
    /// What broke, in order.
    pub rules: Vec<Broken>,
    /// Expectations of the file that were not met.
    pub missing: Vec<String>,
    /// Places of the file that were not reached.
    pub unreached: Vec<String>,
    /// What has gone stale in its schedule.
    pub stale: Vec<Stale>,
    /// The case with a schedule that fits.
    pub realigned: Option<String>,
    /// The hash of the run's trace, in hexadecimal digits.
    pub trace_hash: String,
    /// The trace, a line for each step; only there with --trace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<Vec<String>>,
}

/// A rule that broke.
#[derive(Clone, Debug, Serialize)]
pub struct Broken {
    /// The rule.
    pub rule: &'static str,
    /// The step that broke it, from 0.
    pub step: u32,
    /// The point at which that step began.
    pub point: &'static str,
    /// The kind of operation that took the step.
    pub operation: &'static str,
    /// The ledger explains it.
    pub expected: bool,
    /// It does so as a consequence.
    pub follows: bool,
    /// The entry of the ledger.
    pub entry: Option<String>,
    /// What was wrong.
    pub what: &'static str,
}

/// A line of a schedule that does not fit any more.
#[derive(Clone, Debug, Serialize)]
pub struct Stale {
    /// The line of the file, from 1; null for a case in bytes.
    pub line: Option<usize>,
    /// What is wrong with it.
    pub what: String,
}

/// Cases under fresh schedules (`--times`).
#[derive(Clone, Debug, Serialize)]
pub struct Rates {
    /// A run for each file and target.
    pub runs: Vec<Often>,
}

/// The operations of a case on a target, under many schedules.
#[derive(Clone, Debug, Serialize)]
pub struct Often {
    /// The case.
    pub file: String,
    /// The implementation.
    pub implementation: &'static str,
    /// The caller.
    pub caller: &'static str,
    /// The scheduler.
    pub scheduler: &'static str,
    /// The seed of the schedules.
    pub seed: u64,
    /// How many schedules there were.
    pub times: u64,
    /// What broke in any of them, or in the case's own.
    pub signatures: Vec<Rate>,
}

/// How often a signature breaks.
#[derive(Clone, Debug, Serialize)]
pub struct Rate {
    /// The rule.
    pub rule: &'static str,
    /// The point.
    pub point: &'static str,
    /// The case's own schedule shows it.
    pub own: bool,
    /// The ledger explains it.
    pub expected: bool,
    /// Schedules that show it.
    pub hits: u64,
    /// The first of them, from 1.
    pub first: Option<u64>,
}
