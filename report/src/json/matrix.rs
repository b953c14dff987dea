//! The document of `mkwrite matrix`.

use serde::Serialize;

use crate::matrix;

/// Cases on all implementations under all callers.
#[derive(Clone, Debug, Serialize)]
pub struct Matrix {
    /// Each case.
    pub cases: Vec<Case>,
}

/// A case.
#[derive(Clone, Debug, Serialize)]
pub struct Case {
    /// Its file.
    pub file: String,
    /// The pair that its schedule was made for.
    pub home: String,
    /// What came of it, by implementation and caller.
    pub runs: Vec<Run>,
}

/// A case on one pair.
#[derive(Clone, Debug, Serialize)]
pub struct Run {
    /// The implementation.
    pub implementation: &'static str,
    /// The caller.
    pub caller: &'static str,
    /// Why the two do not fit; null if they do.
    pub refused: Option<String>,
    /// Rules that broke.
    pub breaks: Vec<&'static str>,
    /// The ledger's entries that expect them.
    pub entries: Vec<String>,
    /// Something broke that the ledger does not list.
    pub new: bool,
    /// Remedies that close it; several at once with commas.
    pub closed_by: Vec<String>,
    /// Stops that were realigned, in words.
    pub realigned: Vec<String>,
    /// Stops for which nothing fits.
    pub lost: Vec<String>,
}

impl From<&matrix::Matrix> for Case {
    fn from(matrix: &matrix::Matrix) -> Case {
        let rows = matrix.implementations.iter().zip(&matrix.cells);
        let runs = rows.flat_map(|(implementation, row)| {
            matrix.callers.iter().zip(row).map(|(caller, cell)| Run {
                implementation,
                caller,
                refused: cell.refused.clone(),
                breaks: cell.rules.clone(),
                entries: cell.entries.clone(),
                new: cell.is_new,
                closed_by: cell.closed_by.clone(),
                realigned: cell.moved.clone(),
                lost: cell.lost.clone(),
            })
        });
        Case { file: matrix.case.clone(), home: matrix.home.clone(), runs: runs.collect() }
    }
}
