//! The document of `mkwrite plants`.

use serde::Serialize;

/// Planted bugs on pairs.
#[derive(Clone, Debug, Serialize)]
pub struct Plants {
    /// The seed.
    pub seed: u64,
    /// Cases for each bug on each pair.
    pub cases: u64,
    /// Each bug on each pair.
    pub cells: Vec<Cell>,
}

/// A planted bug on a pair.
#[derive(Clone, Debug, Serialize)]
pub struct Cell {
    /// The bug.
    pub plant: &'static str,
    /// The implementation.
    pub implementation: &'static str,
    /// The caller.
    pub caller: &'static str,
    /// `new`, `not applicable` or `swallowed`.
    pub outcome: &'static str,
    /// Cases until it was found.
    pub cases_until_found: Option<u64>,
    /// The rule that broke first.
    pub rule: Option<&'static str>,
    /// It was found on the pair with all remedies alone.
    pub on_remedied_form: Option<bool>,
    /// Why it is not applicable.
    pub why: Option<&'static str>,
}
