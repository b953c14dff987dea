//! Folds findings into causes: one defect breaks many rules, at many points, on many pairs.
//!
//! A finding is folded into another because it follows from it, and not because both break in one
//! case. From the smallest case of each kind of finding, on each filesystem, a walk (`company.rs`)
//! looks at cases near it. A kind that breaks where nothing broke before *comes first*. Of the
//! others each finding follows from the one that comes first which breaks before it where it shows
//! and not where it does not. What nearly always breaks in the same step is one cause; so are
//! findings that come first and break the same rule in the same words on one filesystem, and a store
//! that is missing in one case, whoever notices it. Across pairs the case of a cause is run on the
//! others: another version of the filesystem, or code that several share. And two causes are one if
//! isolation finds the same two steps for both: both go away when these are exchanged. The finding
//! that stands for a cause is the smallest that comes first, on a pair without remedies if there is
//! one. `mkwrite causes` measures it (docs/causes.md).
//!
//! What the ledger expects is folded by its entry; that is known before.
//!
//! Left out: of two defects that give a finding of the same rule at the same point only one has it;
//! and where one of them breaks a rule in every run that the other needs, the other seems to follow
//! from it. A defect that comes first in two ways, by two rules, is two causes.

use std::collections::{BTreeMap, BTreeSet};

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::point::Point;
use mkwrite_model::{Case, Target};
use mkwrite_oracle::judge::Breach;
use mkwrite_oracle::ledger::{Expected, Ledger, Signature};
use mkwrite_oracle::rules::Rule;
use mkwrite_oracle::run::{Runner, ScheduledBy};

use crate::company::{Company, Kind, kind};
use crate::isolate::isolate;
use crate::realign::translate;
use crate::shrink::Size;

/// A finding: what breaks where, and a case that shows it under its own schedule.
#[derive(Clone, Debug)]
pub struct Finding<F> {
    /// Where.
    pub target: Target<F>,
    /// What.
    pub signature: Signature,
    /// Its breach in the case.
    pub breach: Breach,
    /// The case, as small as it was made.
    pub case: Case,
}

/// Findings that are one defect, by number.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Cause {
    /// The one that stands for it.
    pub root: usize,
    /// All of them, the root first, then in the order in which they came.
    pub findings: Vec<usize>,
}

/// On so many filesystems the same case must break the same, for it to be code that they share.
/// Fewer may each have a defect of their own that costs the same.
const SHARED: usize = 3;

/// A store is missing: fsync notices it, or a reader, or who looks at the store in the end or while
/// nothing runs.
const MISSING: [Rule; 4] = [Rule::NotDurable, Rule::Stale, Rule::Lost, Rule::Untracked];

/// Kinds of findings that are walked from at the most; each walk takes some milliseconds. Of more,
/// only their own cases say what they follow from.
const WALKS: usize = 150;

/// Roots that are isolated at the most; each takes up to some tenths of a second.
const ISOLATED: usize = 40;

/// Folds these findings. Causes that the ledger does not expect come first, each kind in the order
/// of the first finding.
pub fn fold<F: Filesystem>(ledger: &Ledger<F>, findings: &[Finding<F>]) -> Vec<Cause> {
    let mut folding = Folding::new(ledger, findings);
    folding.by_entry();
    folding.differences();
    folding.walk();
    folding.by_first();
    folding.followers();
    folding.across_pairs();
    folding.by_isolation();
    folding.causes()
}

/// A kind of finding on a filesystem, whatever the version.
type Key = (&'static str, Kind);

struct Folding<'a, F: Filesystem> {
    ledger: &'a Ledger<F>,
    findings: &'a [Finding<F>],
    runner: Runner<F>,
    /// The targets that have new findings, and these by kind.
    targets: Vec<(Target<F>, BTreeMap<Kind, usize>)>,
    /// For each new finding, what its own case breaks, by step.
    breaks: Vec<Vec<Breach>>,
    /// Of each kind the finding that was walked from, and what came of it.
    walks: BTreeMap<Key, (usize, Company)>,
    /// For each finding another of its cause, or itself if it is the first.
    group: Vec<usize>,
}

impl<'a, F: Filesystem> Folding<'a, F> {
    fn new(ledger: &'a Ledger<F>, findings: &'a [Finding<F>]) -> Folding<'a, F> {
        let mut folding = Folding {
            ledger,
            findings,
            runner: Runner::default(),
            targets: Vec::new(),
            breaks: Vec::new(),
            walks: BTreeMap::new(),
            group: (0..findings.len()).collect(),
        };
        for (n, Finding { target, case, .. }) in findings.iter().enumerate() {
            let mut breaks = Vec::new();
            if folding.is_new(n) {
                breaks = folding.run(*target, case);
                let known = folding.targets.iter().position(|(known, _)| known == target);
                let known = known.unwrap_or_else(|| {
                    folding.targets.push((*target, BTreeMap::new()));
                    folding.targets.len() - 1
                });
                let kind = folding.kind(n);
                folding.targets[known].1.insert(kind, n);
            }
            folding.breaks.push(breaks);
        }
        folding
    }

    fn first(&self, n: usize) -> usize {
        let next = self.group[n];
        if next == n { n } else { self.first(next) }
    }

    fn join(&mut self, a: usize, b: usize) {
        let (a, b) = (self.first(a), self.first(b));
        self.group[a.max(b)] = a.min(b);
    }

    fn kind(&self, n: usize) -> Kind {
        (self.findings[n].signature.rule, self.findings[n].breach.point)
    }

    fn is_new(&self, n: usize) -> bool {
        self.findings[n].signature.expected == Expected::No
    }

    fn key(&self, n: usize) -> Key {
        (self.findings[n].target.pair.implementation.family(), self.kind(n))
    }

    /// What breaks on a target that the ledger does not expect, by step.
    fn run(&mut self, target: Target<F>, case: &Case) -> Vec<Breach> {
        self.runner.run(target, case, ScheduledBy::Own);
        let judged = self.ledger.judged(target, &self.runner.judge);
        let new = judged.filter(|(_, expected)| *expected == Expected::No);
        let mut all: Vec<Breach> = new.map(|(breach, _)| breach).collect();
        all.sort_by_key(|breach| breach.step);
        all
    }

    /// Which finding of a cause stands for it, the one with the least: it follows from another, its
    /// pair is remedied, and its size.
    fn rank(&self, n: usize) -> (bool, bool, bool, Size, usize) {
        let Finding { target, signature, case, .. } = &self.findings[n];
        let follows = matches!(signature.expected, Expected::Consequence(_))
            || self.is_new(n) && self.breaks[n].first().map(kind) != Some(self.kind(n));
        let comes_first = self.walks.get(&self.key(n)).is_none_or(|(_, it)| it.comes_first());
        (!comes_first, follows, !target.remedies.is_empty(), Size::of(case), n)
    }

    /// The new findings that stand for their causes now.
    fn roots(&self) -> Vec<usize> {
        self.causes()
            .into_iter()
            .map(|cause| cause.root)
            .filter(|root| self.is_new(*root))
            .collect()
    }

    fn by_entry(&mut self) {
        let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
        for (n, finding) in self.findings.iter().enumerate() {
            if let Expected::Root(entry) | Expected::Consequence(entry) = finding.signature.expected
            {
                let first = *seen.entry(entry).or_insert(n);
                self.group[n] = first;
            }
        }
    }

    /// A difference takes two runs; what it is about is told by its point alone.
    fn differences(&mut self) {
        let mut seen: BTreeMap<Point, usize> = BTreeMap::new();
        for n in 0..self.findings.len() {
            let (rule, point) = self.kind(n);
            if self.is_new(n) && rule == Rule::Differential {
                let first = *seen.entry(point).or_insert(n);
                self.join(first, n);
            }
        }
    }

    /// Walks from the smallest case of each kind.
    fn walk(&mut self) {
        let mut smallest: BTreeMap<Key, usize> = BTreeMap::new();
        for n in self.targets.iter().flat_map(|(_, own)| own.values().copied()) {
            let best = smallest.entry(self.key(n)).or_insert(n);
            if self.rank(n) < self.rank(*best) {
                *best = n;
            }
        }
        for (walked, (key, n)) in smallest.into_iter().enumerate() {
            let Finding { target, case, .. } = &self.findings[n];
            let company = Company::of(case, key.1, walked < WALKS, |case| self.run(*target, case));
            self.walks.insert(key, (n, company));
        }
    }

    /// Joins what breaks in the same step, and findings that come first: the same on other versions
    /// of the filesystem, and of the same rule in the same words.
    fn by_first(&mut self) {
        let (mut joined, mut seen) = (Vec::new(), BTreeMap::new());
        for own in self.targets.iter().map(|(_, own)| own) {
            for n in own.values() {
                let (key, (first, company)) = (self.key(*n), &self.walks[&self.key(*n)]);
                joined
                    .extend(company.always_with().filter_map(|kind| Some((*n, *own.get(&kind)?))));
                if company.comes_first() {
                    let what = (key.0, key.1.0, self.findings[*n].breach.what);
                    joined.push((*n, *first));
                    let store = self.same_store(*n);
                    joined.extend(store.filter_map(|kind| Some((*n, *own.get(&kind)?))));
                    joined.push((*n, *seen.entry(what).or_insert(*n)));
                }
            }
        }
        joined.into_iter().for_each(|(n, other)| self.join(n, other));
    }

    /// If a finding is about a store that is missing: who else notices it, in its own case.
    fn same_store(&self, n: usize) -> impl Iterator<Item = Kind> {
        let missing = || self.breaks[n].iter().filter(|breach| MISSING.contains(&breach.rule));
        let own = missing().find(|breach| kind(breach) == self.kind(n));
        let cells = own.map_or(0, |breach| breach.cells);
        missing().filter(move |breach| breach.cells & cells != 0).map(kind)
    }

    /// Joins each finding that does not come first with what it follows from.
    fn followers(&mut self) {
        let mut joined = Vec::new();
        for own in self.targets.iter().map(|(_, own)| own) {
            for n in own.values() {
                let ((family, _), (_, company)) = (self.key(*n), &self.walks[&self.key(*n)]);
                if company.comes_first() {
                    continue;
                }
                let firsts = self
                    .walks
                    .iter()
                    .filter(|((of, _), (_, other))| *of == family && other.comes_first());
                let score = |of: Kind| {
                    let is_there = self.breaks[*n].iter().any(|breach| kind(breach) == of);
                    Some((is_there, company.follows(of)?))
                };
                let best = firsts
                    .filter_map(|((_, kind), (at, _))| Some((score(*kind)?, *kind, *at)))
                    .max_by_key(|(score, ..)| *score);
                // The one on the same pair, if it was found there.
                joined.extend(best.map(|(_, kind, at)| (*n, *own.get(&kind).unwrap_or(&at))));
            }
        }
        joined.into_iter().for_each(|(n, other)| self.join(n, other));
    }

    /// Runs the case of each cause on every other pair that has new findings: there it is the same
    /// kind, or what breaks first.
    fn across_pairs(&mut self) {
        let targets = std::mem::take(&mut self.targets);
        for root in self.roots() {
            let Finding { target: from, case, .. } = &self.findings[root];
            let ((family, own), mut same) = (self.key(root), Vec::new());
            for (to, others) in targets.iter().filter(|(to, _)| to.pair != from.pair) {
                let case = translate(&mut self.runner, *from, *to, case).case;
                let broken: Vec<Kind> = self.run(*to, &case).iter().map(kind).collect();
                let there = broken.iter().find(|kind| **kind == own).or(broken.first());
                let other = there.and_then(|kind| others.get(kind));
                same.extend(other.map(|other| (to.pair.implementation.family(), *other)));
            }
            let families: BTreeSet<&str> = same.iter().map(|(of, _)| *of).chain([family]).collect();
            for (of, other) in same {
                if of == family || families.len() >= SHARED {
                    self.join(root, other);
                }
            }
        }
    }

    /// Joins causes of which isolation finds the same two steps.
    fn by_isolation(&mut self) {
        let mut seen: BTreeMap<[(Point, String); 2], usize> = BTreeMap::new();
        for root in self.roots().into_iter().take(ISOLATED) {
            let Finding { target, signature, breach, case } = &self.findings[root];
            let signature = Signature { point: Some(breach.point), ..*signature };
            let Some(found) = isolate(&mut self.runner, *target, self.ledger, case, signature)
            else {
                continue;
            };
            let step = |n: usize| {
                let moment = &found.failing.steps[n];
                // The kind of operation, without its range.
                (moment.point, moment.operation.split(' ').next().unwrap_or_default().to_owned())
            };
            let first = *seen.entry([step(found.first), step(found.second)]).or_insert(root);
            self.join(first, root);
        }
    }

    fn causes(&self) -> Vec<Cause> {
        let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for n in 0..self.findings.len() {
            groups.entry(self.first(n)).or_default().push(n);
        }
        let mut causes: Vec<Cause> = groups.into_values().map(|group| self.cause(group)).collect();
        causes.sort_by_key(|cause| !self.is_new(cause.root));
        causes
    }

    fn cause(&self, mut findings: Vec<usize>) -> Cause {
        let root = findings.iter().copied().min_by_key(|n| self.rank(*n));
        let root = root.expect("a cause has a finding");
        findings.retain(|n| *n != root);
        findings.insert(0, root);
        Cause { root, findings }
    }
}
