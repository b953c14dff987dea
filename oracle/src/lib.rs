//! The judge of mkwrite.

pub mod differential;
pub mod history;
pub mod judge;
pub mod rules;

pub use judge::{Breach, Judge};
pub use rules::Rule;
