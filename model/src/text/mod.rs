//! The case as text: `.mkw` files, one statement per line. `docs/format.md` is its reference.
//!
//! A document is a case, what the case runs on, what is expected there, and comments, which tools
//! keep. Printing is canonical: statements in a fixed order, values in a fixed form. An error names
//! its line and column and says what would be right; nothing is clamped. The statements are the
//! rows of one table ([`STATEMENTS`]): the printer, the parser, the words for fuzzers' dictionaries
//! and the table of the reference follow it.
//!
//! ```text
//! mkw 1
//! # The reply comes between page_mkwrite's return and set_page_dirty.
//! run      nfs@2.6.29 2.6.29
//! expect   I20 wp.set_page_dirty store
//! file     pages 1 cells 4 blocks 1 size 4 mms 1
//! actor    A mm 0
//! A.0      store 0..4
//! actor    B mm 0
//! B.0      writeback 0..1
//! order    A.0 mkwrite.returned
//! order    B.0 *
//! order    io0.0 *
//! ```
//!
//! Left out: names of implementations, callers and rules are only words here; whoever runs a
//! document looks them up.

mod check;
mod parse;
mod print;
mod table;
mod words;

use std::ops::Range as Span;

pub use parse::{Reading, parse, parse_all};
pub use table::{Form, Often, STATEMENTS, Statement, dictionary};
pub use words::{near, nearest};

use crate::case::Case;
use crate::exec::TaskId;
use crate::plant::Plant;
use crate::point::Point;
use crate::remedy::Remedies;

/// The version of the format that is written and read.
pub const VERSION: u32 = 1;

/// The key of comments that no statement follows.
const END: &str = "~";

/// What is wrong with a text, and where.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct ParseError {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// The bytes of the whole text that are meant.
    pub span: Span<usize>,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: String,
}

/// What a case must break, or that it must break nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expect {
    /// No rule is broken.
    Pass,
    /// This rule is broken at this point by this kind of operation.
    Breach {
        /// The rule's name.
        rule: String,
        /// The named point.
        point: Point,
        /// The kind of operation, `io`, or `closing`.
        operation: String,
    },
}

/// A task at a point, as a condition on a run.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// The task.
    pub task: TaskId,
    /// The task is blocked at the point; it does not only stand there.
    pub waits: bool,
    /// The point.
    pub point: Point,
}

/// What a run must reach, or its verdict is void: one task at a point while another task is at a
/// point.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reach {
    /// The first task.
    pub task: Place,
    /// The other task, at the same moment.
    pub other: Place,
}

/// A case with what stands beside it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Document {
    /// The case.
    pub case: Case,
    /// Implementations and callers that it runs on, by name.
    pub runs: Vec<(String, String)>,
    /// The bug that is planted in each of them.
    pub plant: Option<Plant>,
    /// The remedies that are on in each of them.
    pub remedies: Remedies,
    /// The implementation and the caller whose run each is compared with, without bug and remedies.
    pub compare: Option<(String, String)>,
    /// What must break on each of them.
    pub expects: Vec<Expect>,
    /// What each run must reach.
    pub reaches: Vec<Reach>,
    /// Comments, each with the key of the statement that it stands before; or at the end of the
    /// text.
    pub comments: Vec<(String, String)>,
}

/// A line of a schedule that names a point which does not exist, or exists no longer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stale {
    /// Where its stop would stand in the order.
    pub position: usize,
    /// The task that would stop.
    pub task: TaskId,
    /// The slot in which it would stop.
    pub slot: u8,
    /// What is wrong, and where.
    pub error: ParseError,
}

impl Document {
    /// A document of a case alone.
    pub fn new(case: Case) -> Document {
        Document { case, ..Document::default() }
    }
}

#[cfg(test)]
mod tests;
