//! What mkwrite shows: explanations of a run for terminals and browsers, and reports for CI. The
//! facts come from `mkwrite-oracle`; here is only their form.

pub mod campaign;
mod chart;
pub mod golden;
pub mod html;
pub mod json;
pub mod junit;
pub mod matrix;
mod page;
mod palette;
pub mod sarif;
pub mod svg;
pub mod terminal;
pub mod triage;

/// A number of things, with their plural: `1 pair`, `2 pairs`.
pub fn count<N: std::fmt::Display + PartialEq + From<u8>>(n: N, one: &str) -> String {
    let plural = if n == N::from(1) { "" } else { "s" };
    format!("{n} {one}{plural}")
}
