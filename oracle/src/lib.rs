//! The judge of mkwrite.

pub mod differential;
pub mod fuzz;
pub mod history;
pub mod hunt;
pub mod judge;
pub mod ledger;
pub mod rules;
pub mod run;
pub mod shrink;
pub mod verdict;

pub use judge::{Breach, Judge};
pub use rules::Rule;
