//! The document of `mkwrite shrink`.

use std::collections::BTreeMap;

use serde::Serialize;

/// A case that was made smaller.
#[derive(Clone, Debug, Serialize)]
pub struct Shrink {
    /// The file that has the result.
    pub file: String,
    /// How large the case was.
    pub before: Size,
    /// How large it is.
    pub after: Size,
    /// By axis: nothing more can be taken away.
    pub minimal: BTreeMap<&'static str, bool>,
    /// It was ended early.
    pub interrupted: bool,
    /// How long it took.
    pub seconds: f64,
}

/// How large a case is.
#[derive(Clone, Debug, Serialize)]
pub struct Size {
    /// Operations.
    pub operations: usize,
    /// Stops of the schedule.
    pub preemptions: usize,
    /// Actors.
    pub actors: usize,
}

impl From<&mkwrite_explain::shrink::Size> for Size {
    fn from(size: &mkwrite_explain::shrink::Size) -> Size {
        Size { operations: size.operations, preemptions: size.preemptions, actors: size.actors }
    }
}
