//! The document of `mkwrite compare`.

use std::collections::BTreeMap;

use serde::Serialize;

/// Executions until each expected breach is found.
#[derive(Clone, Debug, Serialize)]
pub struct Compare {
    /// Executions of each run.
    pub executions: u64,
    /// How many seeds each contender has run.
    pub seeds: BTreeMap<String, usize>,
    /// By breach and contender, the median of the executions; null where most seeds did not find
    /// it.
    pub medians: BTreeMap<String, BTreeMap<String, Option<f64>>>,
    /// The breaches that are the rarest third for the first contender.
    pub rarest_third: Vec<String>,
    /// By contender, how many times fewer executions than the first one it needs for those.
    pub times_fewer: BTreeMap<String, Factors>,
}

/// A factor over several breaches; null if there are none.
#[derive(Clone, Debug, Serialize)]
pub struct Factors {
    /// The geometric mean.
    pub mean: Option<f64>,
    /// The median.
    pub median: Option<f64>,
}
