//! The judge of mkwrite.

pub mod bisect;
pub mod differential;
pub mod explain;
pub mod fuzz;
pub mod history;
pub mod hunt;
pub mod isolate;
pub mod judge;
pub mod ledger;
pub mod rate;
pub mod realign;
pub mod rules;
pub mod run;
pub mod shrink;
pub mod timeline;
pub mod triage;
pub mod verdict;

pub use judge::{Breach, Judge};
pub use rules::Rule;
