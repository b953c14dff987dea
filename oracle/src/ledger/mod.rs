//! The ledger of expected breaches: the files that the filesystems come with (here those below
//! `corpus/ledger/`).
//!
//! The old implementations are supposed to fail. An entry names the pairs, the rule with the point
//! where it fires (and the kind of operation that takes the step, where that makes a difference),
//! the condition under which it holds, the reason, the source, cases that show it, and the remedy
//! that cures it. Rules about the history fire wherever somebody notices, so for these an entry can
//! say any point, and must say a condition.
//!
//! What breaks later in the same run on account of such a breach can be listed as its consequences,
//! by rule: these are expected for the cells that the breach was about, and no others. `anywhere`
//! lists those that are expected for the rest of the run: a crash, a size.
//!
//! An entry is in force on a target unless all of its remedies are on there. So on a pair with all
//! remedies of its entries nothing is expected, and hunts look at that, too. A breach that no entry
//! explains is NEW. An entry whose cases no longer break what it lists, or whose remedy does not
//! cure them, fails the tests.

use mkwrite_model::Target;
use mkwrite_model::implementation::{Filesystem, Pair};
use mkwrite_model::point::Point;
use mkwrite_model::remedy::Remedies;

use crate::conditions::Conditions;
use crate::judge::Breach;
use crate::rules::Rule;

mod classify;
mod parse;

pub use classify::{Classifier, Expected, FindingKey, Signature};
pub use parse::LedgerError;

/// Where a rule breaks.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Site {
    /// The rule.
    pub rule: Rule,
    /// The point, or any.
    pub point: Option<Point>,
    /// The kinds of operations, or any if empty.
    pub operations: Vec<String>,
}

impl Site {
    /// The breach is at this site.
    pub fn matches(&self, breach: &Breach) -> bool {
        self.rule == breach.rule
            && self.point.is_none_or(|point| point == breach.point)
            && (self.operations.is_empty() || self.operations.iter().any(|o| o == breach.operation))
    }
}

/// An expected breach.
#[derive(Clone, Debug)]
pub struct Entry<F> {
    /// Its short name.
    pub name: String,
    /// What it belongs to.
    pub group: String,
    /// The pairs on which it is expected.
    pub pairs: Vec<Pair<F>>,
    /// Where it breaks.
    pub at: Vec<Site>,
    /// Under which conditions: all of them.
    pub when: Conditions,
    /// Rules that may break later in the run, about the same cells.
    pub consequences: u64,
    /// Rules that may break later in the run, about anything.
    pub anywhere: u64,
    /// What cures it: all of them.
    pub remedies: Remedies,
    /// Why.
    pub reason: String,
    /// From which source we know.
    pub source: String,
    /// Files below `corpus` that show it.
    pub cases: Vec<String>,
}

/// The expected breaches.
#[derive(Clone, Debug)]
pub struct Ledger<F> {
    /// All entries, in the order of the files.
    pub entries: Vec<Entry<F>>,
}

impl<F> Default for Ledger<F> {
    fn default() -> Self {
        Ledger { entries: Vec::new() }
    }
}

/// Entries that a ledger can have: those in force on a target are one word.
const ENTRIES_MAX: usize = 64;
const _: () = assert!(ENTRIES_MAX <= u64::BITS as usize, "sets of entries are masks of 64 bits");

impl<F: Filesystem> Ledger<F> {
    /// The ledger that these filesystems come with.
    ///
    /// # Panics
    ///
    /// It does not parse.
    pub fn own() -> Ledger<F> {
        Ledger::parse_all(F::ledger()).unwrap_or_else(|error| panic!("{error}"))
    }

    /// Reads a ledger of one file.
    pub fn parse(name: &str, text: &str) -> Result<Ledger<F>, LedgerError> {
        Ledger::parse_all(&[(name, text)])
    }

    /// Reads a ledger of several files: names and texts.
    pub fn parse_all(files: &[(&str, &str)]) -> Result<Ledger<F>, LedgerError> {
        Ok(Ledger { entries: parse::entries(files)? })
    }

    /// The pairs that entries are about.
    pub fn pairs(&self) -> impl Iterator<Item = Pair<F>> + '_ {
        self.entries.iter().flat_map(|entry| entry.pairs.iter().copied())
    }

    /// All remedies of the entries about this pair.
    pub fn remedies(&self, pair: Pair<F>) -> Remedies {
        let own = self.entries.iter().filter(|entry| entry.pairs.contains(&pair));
        own.fold(Remedies::NONE, |all, entry| all.union(entry.remedies))
    }

    /// What a hunt looks at by default: every implementation under its natural caller, and the
    /// pairs that entries are about.
    pub fn default_pairs(&self) -> Vec<Pair<F>> {
        let natural = F::all().iter().map(|fs| Pair::natural(*fs));
        let mut pairs: Vec<Pair<F>> = Vec::new();
        for pair in natural.chain(self.pairs()) {
            if !pairs.contains(&pair) {
                pairs.push(pair);
            }
        }
        pairs
    }

    /// Hunts look at this pair by default, so that what breaks there and is not in the ledger is
    /// NEW. What breaks on other pairs nobody has written down.
    pub fn is_default(&self, pair: Pair<F>) -> bool {
        pair == Pair::natural(pair.implementation) || self.pairs().any(|listed| listed == pair)
    }

    /// The pair with all remedies of its entries, if it has any. Nothing is expected there.
    pub fn remedied(&self, pair: Pair<F>) -> Option<Target<F>> {
        let remedies = self.remedies(pair);
        (!remedies.is_empty()).then(|| Target { remedies, ..Target::from(pair) })
    }

    /// These pairs, and behind them their remedied forms.
    pub fn with_remedied(&self, pairs: &[Pair<F>]) -> Vec<Target<F>> {
        let remedied = pairs.iter().filter_map(|pair| self.remedied(*pair));
        pairs.iter().copied().map(Target::from).chain(remedied).collect()
    }

    /// What a hunt runs on by default.
    pub fn default_targets(&self) -> Vec<Target<F>> {
        self.with_remedied(&self.default_pairs())
    }

    /// The entry of this name.
    pub fn entry_named(&self, name: &str) -> Option<&Entry<F>> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// The entry by which a breach is expected.
    pub fn entry(&self, expected: Expected) -> Option<&Entry<F>> {
        match expected {
            Expected::Root(entry) | Expected::Consequence(entry) => Some(&self.entries[entry]),
            Expected::No => None,
        }
    }
}

#[cfg(test)]
mod tests;
