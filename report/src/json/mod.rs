//! The documents that `--json` prints, one type for each command; `docs/json.md` lists their
//! fields. Those of a triage and of a campaign are [`crate::triage::Triage`] and
//! [`crate::campaign::Campaign`], which have pages of their own, too.
//!
//! Every document has the field `schema`, which is [`SCHEMA`]. A field that is there keeps its
//! name, its type and its meaning as long as the number stays; new fields may join at any time, so
//! that readers pass over those that they do not know. Whoever takes a field away or changes it
//! raises the number, for all documents at once.

use mkwrite_model::Target;
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::plant::Plant;
use mkwrite_model::remedy::Remedy;
use mkwrite_oracle::ledger::Expected;
use serde::Serialize;

use crate::triage::Status;

pub mod bisect;
pub mod bugs;
pub mod compare;
pub mod explain;
pub mod hunt;
pub mod list;
pub mod live;
pub mod matrix;
pub mod plants;
pub mod reach;
pub mod replay;
pub mod shrink;

#[cfg(test)]
mod tests;

/// The schema number of every JSON document of this version.
pub const SCHEMA: u32 = 1;

/// A document as it is printed: the schema number, and the fields.
#[derive(Clone, Debug, Serialize)]
pub struct Document<T> {
    schema: u32,
    #[serde(flatten)]
    fields: T,
}

impl<T> Document<T> {
    /// The document of these fields.
    pub const fn new(fields: T) -> Document<T> {
        Document { schema: SCHEMA, fields }
    }
}

/// What something was run on.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct On {
    /// The implementation.
    pub implementation: &'static str,
    /// The caller.
    pub caller: &'static str,
    /// The bug that is planted there.
    pub plant: Option<&'static str>,
    /// The remedies that are on there.
    pub remedies: Vec<&'static str>,
}

impl<F: Filesystem> From<Target<F>> for On {
    fn from(target: Target<F>) -> On {
        On {
            implementation: target.pair.implementation.name(),
            caller: target.pair.caller.name(),
            plant: target.plants.first().map(Plant::name),
            remedies: target.remedies.iter().map(Remedy::name).collect(),
        }
    }
}

impl From<Expected> for Status {
    fn from(expected: Expected) -> Status {
        match expected {
            Expected::Root(_) => Status::Expected,
            Expected::Consequence(_) => Status::Follows,
            Expected::No => Status::New,
        }
    }
}
