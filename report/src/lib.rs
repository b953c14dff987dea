//! What mkwrite shows: explanations of a run for terminals and browsers, and reports for CI. The facts come from
//! `mkwrite-oracle`; here is only their form.

pub mod terminal;
