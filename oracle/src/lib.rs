//! The judge of mkwrite: what a run breaks, and whether that is expected. It knows the model alone,
//! no filesystem.
//!
//! - [`judge`] watches a run; [`rules`], one file each; [`history`]: calls and returns alone;
//!   [`differential`]: one run against another
//! - [`ledger`]: what is expected to break, under which [`conditions`]; [`verdict`]: a document
//!   against what it expects
//! - [`run`]: machine, scheduler and judge together

pub mod conditions;
pub mod differential;
pub mod history;
pub mod judge;
pub mod ledger;
pub(crate) mod progress;
pub mod rules;
pub mod run;
pub mod verdict;

pub use judge::{Breach, Judge};
pub use ledger::Ledger;
pub use rules::Rule;
pub use run::Runner;
