//! The document of `mkwrite hunt`, which is also the file `hunt.json` among the findings.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::On;
use crate::cause;
use crate::triage::Status;

/// A hunt.
#[derive(Clone, Debug, Serialize)]
pub struct Hunt {
    /// The seed.
    pub seed: u64,
    /// The part of the hunt that was run, if not all of it: I/N.
    pub shard: Option<String>,
    /// Every file size was a multiple of a page.
    pub aligned: bool,
    /// The scheduler, if there was one alone.
    pub scheduler: Option<&'static str>,
    /// The rule, if one alone was reported.
    pub rule: Option<&'static str>,
    /// The bug that was planted.
    pub plant: Option<&'static str>,
    /// A broken assertion of the model, which ended the hunt.
    pub error: Option<String>,
    /// Threads.
    pub jobs: usize,
    /// Cases.
    pub cases: u64,
    /// Runs: one case on one target each.
    pub runs: u64,
    /// Steps of all runs.
    pub steps: u64,
    /// How long it took.
    pub seconds: f64,
    /// Runs with a cell that could not be judged.
    pub undecided: u64,
    /// The signals that made a case worth keeping; null for a hunt without feedback.
    pub feedback: Option<Vec<String>>,
    /// Features that cases reached.
    pub features: u64,
    /// Cases of the corpus.
    pub corpus: u64,
    /// What broke.
    pub findings: Vec<Finding>,
    /// The same folded, one for each defect, as far as can be seen.
    pub causes: Vec<Cause>,
    /// Where the runs were.
    #[serde(flatten)]
    pub reached: Reached,
}

/// A signature that a hunt found.
#[derive(Clone, Debug, Serialize)]
pub struct Finding {
    /// Where.
    #[serde(flatten)]
    pub on: On,
    /// The rule.
    pub rule: &'static str,
    /// The point at which the step began that broke it.
    pub point: &'static str,
    /// The kind of operation that took the step.
    pub operation: &'static str,
    /// How it stands to the ledger.
    pub status: Status,
    /// The ledger explains it.
    pub expected: bool,
    /// It does so as a consequence.
    pub follows: bool,
    /// The entry of the ledger.
    pub entry: Option<String>,
    /// What the entry belongs to.
    pub group: Option<String>,
    /// The number of the first case that shows it, from 1.
    pub cases_until_found: u64,
    /// How many cases showed it.
    pub cases: u64,
    /// The case that stands for it, if it was saved.
    pub file: Option<String>,
}

/// Findings that are one defect, as far as can be seen.
#[derive(Clone, Debug, Serialize)]
pub struct Cause {
    /// What and where.
    #[serde(flatten)]
    pub about: cause::Cause,
    /// The number of the first case that shows it, from 1.
    pub cases_until_found: u64,
}

/// How often runs reached each point: the part of a hunt's document that `mkwrite list points
/// --unreached` reads.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Reached {
    /// Steps from each point, by target.
    pub points: BTreeMap<String, BTreeMap<String, u64>>,
}
