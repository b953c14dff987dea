//! The judge of mkwrite, and what is done with its verdicts.
//!
//! - [`judge`] watches a run; [`rules`], one file each; [`history`]: calls and returns alone; [`differential`]: one run
//!   against another
//! - [`ledger`]: what is expected to break, and [`when`]; [`verdict`]: a document against what it expects
//! - [`plants`]: every planted bug on every pair
//! - [`run`]: machine, scheduler and judge together; [`hunt`]: arbitrary cases on all cores; [`rate`]: one case under
//!   many schedules; [`fuzz`]: what the fuzzing targets do, [`choice`] which pair; [`shapes`]: what cases reach
//! - [`shrink`], [`isolate`], [`timeline`], [`explain`], [`bisect`], [`cure`], [`realign`], [`triage`]: from a finding to something
//!   that a reader understands

pub mod bisect;
pub mod choice;
pub mod corpus;
pub mod cure;
pub mod differential;
pub mod explain;
pub mod feedback;
pub mod fuzz;
pub mod history;
pub mod hunt;
pub mod isolate;
pub mod judge;
pub mod ledger;
pub mod log;
pub(crate) mod passes;
pub mod plants;
pub mod rate;
pub mod realign;
pub mod rules;
pub mod run;
pub mod shapes;
pub mod shrink;
pub mod timeline;
pub mod triage;
pub mod verdict;
pub mod when;

pub use judge::{Breach, Judge};
pub use rules::Rule;
