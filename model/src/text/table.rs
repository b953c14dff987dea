//! The table of statements: one row each, in the order in which they are printed. A new statement
//! is a row here, a function that reads it (`parse.rs`) and one that prints it (`print.rs`).
//! `docs/format.md` shows the table; a test compares them, and `UPDATE_EXPECT=1 cargo test -p
//! mkwrite-model` writes it anew.

use super::parse::{self, Builder};
use super::print::{self, Lines};
use super::words::{Parsed, Words};
use super::{Document, VERSION};
use crate::exec::TaskId;

/// How often a statement may stand in a document.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Often {
    /// Once, and no document is without it.
    Always,
    /// At most once.
    Once,
    /// Any number of times.
    Repeated,
    /// Once for each actor.
    PerActor,
    /// At most once for each slot of an actor; the slot stands where others have their keyword.
    PerSlot,
}

impl Often {
    /// In words.
    pub const fn name(self) -> &'static str {
        match self {
            Often::Always => "once",
            Often::Once => "at most once",
            Often::Repeated => "any number",
            Often::PerActor => "once per actor",
            Often::PerSlot => "at most once per slot",
        }
    }

    /// These statements are printed actor by actor, not kind by kind.
    pub(super) const fn of_an_actor(self) -> bool {
        matches!(self, Often::PerActor | Often::PerSlot)
    }
}

/// A form that a statement can have, for the reference.
#[derive(Clone, Copy, Debug)]
pub struct Form {
    /// Words as they are, values in capital letters.
    pub form: &'static str,
    /// What it says.
    pub meaning: &'static str,
}

/// One row of the table.
pub struct Statement {
    /// Its first word. `X.N` stands for a slot.
    pub keyword: &'static str,
    /// How often it may stand in a document.
    pub often: Often,
    /// Its forms.
    pub forms: &'static [Form],
    /// Words in it that no other table has, with the spaces that a text has beside them.
    pub words: &'static [&'static str],
    /// Reads it.
    pub(super) parse: fn(&mut Builder, &mut Words<'_>) -> Parsed<Which>,
    /// All statements of this kind that a document has, without their first word.
    pub(super) print: fn(&Document) -> Lines,
}

impl Statement {
    /// A statement that begins with this word is of this kind.
    pub(super) fn begins_with(&self, word: &str) -> bool {
        if self.often == Often::PerSlot { word.contains('.') } else { self.keyword == word }
    }

    /// What an error message calls it.
    pub(super) const fn name(&self) -> &'static str {
        match self.often {
            Often::PerSlot => "an operation like `A.0 store 0..4`",
            _ => self.keyword,
        }
    }

    /// Its forms for the reference, each with its meaning; what a form leaves to another table is
    /// filled in.
    pub fn reference(&self) -> Vec<(String, String)> {
        let filled = |form: &Form| {
            let [words, meanings] = print::fields();
            let form_text = form.form.replace("FIELDS", &words);
            let sites = print::sites();
            (form_text, form.meaning.replace("FIELDS", &meanings).replace("SITES", &sites))
        };
        self.forms.iter().map(filled).collect()
    }

    /// Its beginnings, as a dictionary has them.
    fn beginnings(&self) -> Vec<String> {
        match self.often {
            Often::PerSlot => vec!["A.0 ".to_owned(), "B.0 ".to_owned()],
            _ if self.keyword == HEAD => vec![format!("{HEAD} {VERSION}")],
            _ => vec![format!("{} ", self.keyword)],
        }
    }
}

/// Which of the statements of its kind one is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Which {
    Only,
    Nth(usize),
    Actor(TaskId),
    Slot(TaskId, u8),
}

impl Which {
    /// The key of the statement, unique in a document.
    pub(super) fn key(self, keyword: &str) -> String {
        match self {
            Which::Only => keyword.to_owned(),
            Which::Nth(n) => format!("{keyword} {n}"),
            Which::Actor(task) => format!("{keyword} {task}"),
            Which::Slot(task, slot) => format!("{task}.{slot}"),
        }
    }

    /// The first word of the statement.
    pub(super) fn first_word(self, keyword: &str) -> String {
        if let Which::Slot(..) = self { self.key(keyword) } else { keyword.to_owned() }
    }

    /// The actor whose statement it is.
    pub(super) fn actor(self) -> Option<TaskId> {
        match self {
            Which::Only | Which::Nth(_) => None,
            Which::Actor(task) | Which::Slot(task, _) => Some(task),
        }
    }
}

/// The keyword of the first statement of a text.
pub(super) const HEAD: &str = "mkw";

/// Words for a fuzzer's dictionary: the beginnings of statements, and what stands in them and is no
/// name of an operation, point, implementation, caller, rule, planted bug or remedy.
pub fn dictionary() -> impl Iterator<Item = String> {
    let words =
        |row: &Statement| row.words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let comment = std::iter::once("#".to_owned());
    STATEMENTS
        .iter()
        .flat_map(move |row| row.beginnings().into_iter().chain(words(row)))
        .chain(comment)
}

/// One row per statement: keyword, how often, the functions that read and print it, its own words;
/// then its forms.
macro_rules! statements {
    ($(
        $keyword:literal $often:ident $parse:path, $print:path, $words:expr => { $($form:literal: $meaning:literal,)+ }
    )*) => {
        /// All statements.
        pub const STATEMENTS: &[Statement] = &[$(Statement {
            keyword: $keyword,
            often: Often::$often,
            forms: &[$(Form { form: $form, meaning: $meaning }),+],
            words: &$words,
            parse: $parse,
            print: $print,
        }),*];
    };
}

statements! {
    "mkw" Always parse::version, print::version, [] => {
        "mkw 1": "the version of the format; the first statement",
    }
    "run" Repeated parse::run, print::runs, [] => {
        "run IMPLEMENTATION CALLER": "a pair that the case is about; without any, `replay` takes all pairs of a hunt",
    }
    "plant" Once parse::plant, print::plant, [] => {
        "plant NAME": "this bug is planted there (`mkwrite list plants`)",
    }
    "remedy" Once parse::remedy, print::remedy, [] => {
        "remedy NAME,..": "these remedies are on there (`mkwrite list remedies`)",
    }
    "compare" Once parse::compare, print::compare, [] => {
        "compare IMPLEMENTATION CALLER":
            "a run of this pair, without bug and remedies, is what the differential rule compares with",
    }
    "expect" Repeated parse::expect, print::expects, ["pass", "io", "closing", "call"] => {
        "expect pass": "nothing breaks; there is no other `expect` then",
        "expect RULE POINT OPERATION": "this breaks, on each pair",
    }
    "reach" Repeated parse::reach, print::reaches, [" is at ", " waits at ", " while ", "closer"] => {
        "reach TASK is at POINT while TASK waits at POINT":
            "the run must reach this, or it is *vacuous* (`is at` and `waits at` on either side)",
    }
    "limits" Once parse::limits, print::limits, ["actors ", "operations ", "pages", "steps "] => {
        "limits actors N operations N pages N steps N": "raised limits, up to 8 actors of 32 operations, 8 pages, and 64 to 16384 steps; left out by default (4, 16, \
             4, 4096)",
    }
    "file" Always parse::file, print::file, parse::FILE_FIELDS => {
        "file FIELDS": "FIELDS",
    }
    "stable" Once parse::stable, print::stable, ["all"] => {
        "stable LIST": "requests whose reply from the server is stable (a number counts requests; `all`)",
    }
    "eio" Once parse::eio, print::eio, ["all"] => {
        "eio LIST": "requests that fail",
    }
    "fault" Repeated parse::fault, print::faults, ["all"] => {
        "fault SITE LIST": "what else goes wrong, at which times (counted from 0, up to 15; `all`): SITES",
    }
    "actor" PerActor parse::actor, print::actors, ["mm "] => {
        "actor X mm N": "actor `A` to `H` and its address space",
    }
    "X.N" PerSlot parse::operation, print::operations, ["0..1"] => {
        "X.N OPERATION OPERAND": "the operation in slot `N` of actor `X`; `mkwrite list operations`",
    }
    "seed" Once parse::seed, print::seed, [] => {
        "seed N": "a schedule drawn from a seed",
    }
    "override" Repeated parse::override_, print::overrides, [" step ", " priority "] => {
        "override X.N step N priority N":
            "the drawn priority of one step (of that slot, from 1) becomes this, 0 to 65535; the \
             highest priority runs",
    }
    "order" Repeated parse::order, print::order, [" *", "io0.0"] => {
        "order X.N POINT [K]": "run the task until it stands at the point (for the `K`-th time in that slot)",
        "order X.N *": "run the task until it has finished the slot, or is blocked",
    }
}
