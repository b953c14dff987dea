//! How the breaches of a run stand to the ledger: expected by an entry that is in force on the
//! target, a consequence of a breach that was, or NEW; and what makes two breaches one finding.

use mkwrite_model::Target;
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::point::Point;

use super::{ENTRIES_MAX, Entry, Ledger};
use crate::judge::{Breach, Judge};
use crate::rules::Rule;

/// Whether a breach is expected.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub enum Expected {
    /// By this entry.
    Root(usize),
    /// As a consequence of an earlier breach that this entry lists.
    Consequence(usize),
    /// By none.
    No,
}

/// A signature on a target.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub struct FindingKey {
    /// The target, as an index into those that cases run on.
    pub target: usize,
    /// What breaks there.
    pub signature: Signature,
}

/// What makes two breaches of a pair the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub struct Signature {
    /// How the ledger sees it.
    pub expected: Expected,
    /// The rule.
    pub rule: Rule,
    /// The point where it fires, or any.
    pub point: Option<Point>,
}

impl Signature {
    /// The breach has this signature.
    pub fn matches(&self, breach: &Breach, expected: Expected) -> bool {
        self.rule == breach.rule
            && self.expected == expected
            && self.point.is_none_or(|point| point == breach.point)
    }
}

impl<F: Filesystem> Ledger<F> {
    /// What a breach that the ledger sees in this way counts as: one finding per rule and point,
    /// except where an entry covers several points.
    pub fn signature(&self, breach: &Breach, expected: Expected) -> Signature {
        let one_point = match expected {
            Expected::Root(entry) => self.entries[entry]
                .at
                .iter()
                .find(|site| site.matches(breach))
                .is_some_and(|site| site.point.is_some()),
            Expected::Consequence(_) => false,
            Expected::No => true,
        };
        Signature { rule: breach.rule, expected, point: one_point.then_some(breach.point) }
    }

    /// The breaches of the judge's last run, on this target, in order, each with how it stands.
    pub fn judged<'a>(
        &'a self,
        target: Target<F>,
        judge: &'a Judge,
    ) -> impl Iterator<Item = (Breach, Expected)> + 'a {
        let mut classifier = self.classify(target);
        judge.breaches().map(move |breach| (breach, classifier.next(&breach)))
    }

    /// Goes over the breaches of a run, in order, and says of each whether it is expected.
    pub fn classify(&self, target: Target<F>) -> Classifier<'_, F> {
        let in_force = |entry: &Entry<F>| {
            entry.pairs.contains(&target.pair) && !target.remedies.contains(entry.remedies)
        };
        let mask = |mask, (n, entry)| mask | u64::from(in_force(entry)) << n;
        let in_force = self.entries.iter().enumerate().fold(0, mask);
        Classifier { ledger: self, in_force, broken: 0, tainted: [0; ENTRIES_MAX] }
    }
}

/// See [`Ledger::classify`].
pub struct Classifier<'a, F> {
    ledger: &'a Ledger<F>,
    /// Entries in force on this target, one bit each.
    in_force: u64,
    /// Entries that have explained a breach of this run.
    broken: u64,
    /// For each entry, the cells of the file that its breaches were about.
    tainted: [u64; ENTRIES_MAX],
}

impl<F: Filesystem> Classifier<'_, F> {
    /// Whether the next breach of the run is expected.
    pub fn next(&mut self, breach: &Breach) -> Expected {
        let entries = || self.ledger.entries.iter().enumerate();
        let is_root = |(n, entry): &(usize, &Entry<F>)| {
            self.in_force >> n & 1 != 0
                && breach.when.contains(entry.when)
                && entry.at.iter().any(|site| site.matches(breach))
        };
        if let Some((root, _)) = entries().find(is_root) {
            self.broken |= 1 << root;
            self.tainted[root] |= breach.cells;
            return Expected::Root(root);
        }
        let follows = |(n, entry): &(usize, &Entry<F>)| {
            let of_its_cells =
                entry.consequences & breach.rule.bit() != 0 && self.tainted[*n] & breach.cells != 0;
            self.broken >> n & 1 != 0 && (of_its_cells || entry.anywhere & breach.rule.bit() != 0)
        };
        entries().find(follows).map_or(Expected::No, |(n, _)| Expected::Consequence(n))
    }
}
