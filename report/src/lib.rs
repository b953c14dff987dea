//! What mkwrite shows: explanations of a run for terminals and browsers, and reports for CI. The facts come from
//! `mkwrite-oracle`; here is only their form.

pub mod campaign;
pub mod golden;
pub mod html;
pub mod junit;
pub mod matrix;
mod page;
pub mod sarif;
pub mod svg;
pub mod terminal;
pub mod triage;
