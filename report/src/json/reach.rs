//! The document of `mkwrite reach`.

use std::collections::BTreeMap;

use serde::Serialize;

/// How often cases reach shapes.
#[derive(Clone, Debug, Serialize)]
pub struct Reach {
    /// Cases.
    pub cases: u64,
    /// The seed.
    pub seed: u64,
    /// Steps of all runs.
    pub steps: u64,
    /// Each shape.
    pub shapes: Vec<Shape>,
}

/// A state or an order of operations that some kind of bug needs.
#[derive(Clone, Debug, Serialize)]
pub struct Shape {
    /// Its name.
    pub name: &'static str,
    /// What it is.
    pub what: &'static str,
    /// By implementation, how often cases reach it there.
    pub on: BTreeMap<&'static str, Count>,
}

/// How often cases reach a shape.
#[derive(Clone, Debug, Serialize)]
pub struct Count {
    /// Cases that do.
    pub cases: u64,
    /// How many should.
    pub bound: u64,
}
