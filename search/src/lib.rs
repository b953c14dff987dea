//! The search for cases that break rules.
//!
//! - [`hunt`]: arbitrary cases on all cores, each on pairs of its own choice; [`feedback`]: what a run reaches, and [`corpus`]: the
//!   cases worth keeping
//! - [`fuzz`]: what the fuzzing targets do, [`stored_pairs`]: on which pair; [`log`]: what a search
//!   has found so far
//! - [`bugs`]: those that kernels had; [`plants`]: every planted bug on every pair; [`shapes`]: what cases reach

pub mod bugs;
mod choice;
pub mod corpus;
pub mod feedback;
pub mod fuzz;
pub mod hunt;
pub mod log;
pub mod plants;
pub mod shapes;
pub mod stored_pairs;
