//! The documents of `mkwrite list`: for each kind of thing a table under its name, with a row type
//! of its own. A row of the table below is a field of the JSON, with the head of its column in the
//! terminal.

use serde::Serialize;

macro_rules! kinds {
    ($($(#[$about:meta])* $kind:ident of $row:ident {
        $($(#[$what:meta])* $head:literal $field:ident: $type:ty,)*
    })*) => {
        /// What is listed, under its name.
        #[derive(Clone, Debug, Serialize)]
        #[serde(rename_all = "lowercase")]
        pub enum List {
            $($(#[$about])* $kind(Vec<$row>),)*
        }

        $(
            $(#[$about])*
            #[derive(Clone, Debug, Serialize)]
            pub struct $row {
                $($(#[$what])* pub $field: $type,)*
            }
        )*

        impl List {
            /// The heads of the columns.
            pub fn heads(&self) -> &'static [&'static str] {
                match self {
                    $(List::$kind(_) => &[$($head),*],)*
                }
            }

            /// The same as text, cell by cell.
            pub fn cells(&self) -> Vec<Vec<String>> {
                match self {
                    $(List::$kind(rows) => {
                        rows.iter().map(|row| vec![$(row.$field.cell()),*]).collect()
                    })*
                }
            }
        }
    };
}

kinds! {
    /// A version of a filesystem.
    Implementations of Implementation {
        /// Its name.
        "name" name: &'static str,
        /// What its page_mkwrite returns.
        "convention" convention: &'static str,
        /// The caller that it lived with.
        "caller" caller: &'static str,
        /// What it ties to a dirty page.
        "record" record: &'static str,
        /// Where the model has it from.
        "source" source: &'static str,
    }
    /// An era whose fault path calls page_mkwrite.
    Callers of Caller {
        /// Its name.
        "name" name: &'static str,
        /// Which convention it understands.
        "convention" convention: &'static str,
        /// One line of help.
        "what" what: &'static str,
    }
    /// A rule of the judge.
    Rules of Rule {
        /// Its name.
        "name" name: &'static str,
        /// The rule in one line.
        "rule" rule: &'static str,
        /// The planted bug that it must find.
        "plant" plant: &'static str,
        /// Where the kernel has it from.
        "source" source: &'static str,
    }
    /// An operation of cases.
    Operations of Operation {
        /// Its word.
        "name" name: &'static str,
        /// How its operands are written.
        "operand" operand: String,
        /// One line of help.
        "what" what: &'static str,
    }
    /// A place where a case can have something go wrong.
    Sites of Site {
        /// The statement that asks for it.
        "statement" statement: String,
        /// What goes wrong there.
        "what goes wrong, at the n-th time" what: &'static str,
    }
    /// A point between two steps.
    Points of Point {
        /// Its number in bytes.
        "number" number: u16,
        /// Its name.
        "name" name: &'static str,
        /// What a task does next that stands there.
        "next step" next_step: &'static str,
    }
    /// A bug that can be planted.
    Plants of Plant {
        /// Its name.
        "name" name: &'static str,
        /// The rule that it was planted for, if it is one's own.
        "rule" rule: Option<&'static str>,
        /// The implementation that it is meant for.
        "implementation" implementation: &'static str,
        /// What is wrong.
        "what is wrong" what: &'static str,
    }
    /// A change by which a kernel closed a known bug.
    Remedies of Remedy {
        /// Its name.
        "name" name: &'static str,
        /// What it does.
        "what it does" what: &'static str,
        /// Which kernel does it so.
        "source" source: &'static str,
    }
    /// A condition of the ledger.
    Conditions of Condition {
        /// Its name.
        "name" name: &'static str,
        /// When it holds for a breach.
        "holds for a breach if" holds_if: &'static str,
    }
    /// An expected breach of the ledger.
    Entries of Entry {
        /// Its name.
        "name" name: String,
        /// On how many pairs it is expected.
        "pairs" pairs: usize,
        /// Under which conditions, all of them.
        "when" when: Vec<&'static str>,
        /// What cures it, all of them.
        "remedy" remedies: Vec<&'static str>,
        /// From which source it is known.
        "source" source: String,
    }
    /// A scheduler.
    Schedulers of Scheduler {
        /// Its name.
        "name" name: &'static str,
        /// One line of help.
        "what" what: &'static str,
    }
    /// A kind of feature that feedback collects.
    Signals of Signal {
        /// Its name.
        "name" name: &'static str,
        /// One line of help.
        "what" what: &'static str,
    }
    /// A mutation of cases.
    Mutations of Mutation {
        /// Its name.
        "name" name: &'static str,
        /// How often it is drawn, as a share of all.
        "weight" weight: u32,
        /// One line of help.
        "what" what: &'static str,
    }
}

/// What stands in a table of the terminal.
trait Cell {
    fn cell(&self) -> String;
}

macro_rules! shown_as_they_are {
    ($($type:ty)*) => {
        $(impl Cell for $type {
            fn cell(&self) -> String {
                self.to_string()
            }
        })*
    };
}

shown_as_they_are! { &'static str String u16 u32 usize }

impl Cell for Option<&'static str> {
    fn cell(&self) -> String {
        self.unwrap_or_default().to_owned()
    }
}

impl Cell for Vec<&'static str> {
    fn cell(&self) -> String {
        self.join(",")
    }
}
