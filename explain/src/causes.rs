//! Folds findings into causes: one defect breaks many rules, at many points, on many pairs.
//!
//! Each finding has a case that was made as small as it can be and still show it. So if that run
//! breaks what another finding is about, the other needs nothing more than this one, and both are
//! one cause. Across pairs the same is asked of a cause's case, run on the other pair: another
//! version of the filesystem, or code that several share. And two causes are one if isolation finds
//! the same two steps for both: both go away when these are exchanged. The finding that stands for
//! a cause is the smallest whose breach comes first in its run, on a pair without remedies if there
//! is one. `mkwrite causes` measures it
//! (docs/causes.md).
//!
//! What the ledger expects is folded by its entry; that is known before.
//!
//! Left out: two defects that never show apart are one cause here, and so are many of which the
//! smallest cases of the one show the other, too. And a defect that shows in each
//! of two ways, neither of which a smallest case of the other shows, on no pair, is two.

use std::collections::{BTreeMap, BTreeSet};

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::point::Point;
use mkwrite_model::{Case, Target};
use mkwrite_oracle::judge::Breach;
use mkwrite_oracle::ledger::{Expected, Ledger, Signature};
use mkwrite_oracle::rules::Rule;
use mkwrite_oracle::run::{Runner, ScheduledBy};

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

/// What a finding is about, whatever the pair.
type Kind = (Rule, Point);

/// On so many filesystems the same case must break the same, for it to be code that they share.
/// Fewer may each have a defect of their own that costs the same.
const SHARED: usize = 3;

/// Roots that are isolated at the most; each takes up to some tenths of a second.
const ISOLATED: usize = 40;

/// Folds these findings. Causes that the ledger does not expect come first, each kind in the order
/// of the first finding.
pub fn fold<F: Filesystem>(ledger: &Ledger<F>, findings: &[Finding<F>]) -> Vec<Cause> {
    let mut folding = Folding::new(ledger, findings);
    folding.by_entry();
    folding.differences();
    folding.within_pairs();
    folding.across_pairs();
    folding.by_isolation();
    folding.causes()
}

struct Folding<'a, F: Filesystem> {
    ledger: &'a Ledger<F>,
    findings: &'a [Finding<F>],
    runner: Runner<F>,
    /// The targets that have new findings, and these by kind.
    targets: Vec<(Target<F>, BTreeMap<Kind, usize>)>,
    /// For each new finding, what its own case breaks.
    breaks: Vec<Vec<Kind>>,
    /// Which finding of a cause stands for it, the one with the least: it follows from another, its
    /// pair is remedied, and its size.
    ranks: Vec<(bool, bool, Size)>,
    /// For each finding another of its cause, or itself if it is the first.
    group: Vec<usize>,
}

impl<'a, F: Filesystem> Folding<'a, F> {
    fn new(ledger: &'a Ledger<F>, findings: &'a [Finding<F>]) -> Folding<'a, F> {
        let group = (0..findings.len()).collect();
        let (targets, breaks, ranks) = (Vec::new(), Vec::new(), Vec::new());
        let mut folding =
            Folding { ledger, findings, runner: Runner::default(), targets, breaks, ranks, group };
        for (n, Finding { target, signature, case, .. }) in findings.iter().enumerate() {
            let (mut breaks, mut follows) =
                (Vec::new(), matches!(signature.expected, Expected::Consequence(_)));
            if folding.is_new(n) {
                breaks = folding.run(*target, case);
                follows = breaks.first() != Some(&folding.kind(n));
                let known = folding.targets.iter().position(|(known, _)| known == target);
                let known = known.unwrap_or_else(|| {
                    folding.targets.push((*target, BTreeMap::new()));
                    folding.targets.len() - 1
                });
                let kind = folding.kind(n);
                folding.targets[known].1.insert(kind, n);
            }
            folding.breaks.push(breaks);
            folding.ranks.push((follows, !target.remedies.is_empty(), Size::of(case)));
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

    /// What breaks on a target that the ledger does not expect, in order.
    fn run(&mut self, target: Target<F>, case: &Case) -> Vec<Kind> {
        self.runner.run(target, case, ScheduledBy::Own);
        let judged = self.ledger.judged(target, &self.runner.judge);
        let new = judged.filter(|(_, expected)| *expected == Expected::No);
        new.map(|(breach, _)| (breach.rule, breach.point)).collect()
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

    fn within_pairs(&mut self) {
        let mut joined = Vec::new();
        for (_, own) in &self.targets {
            for n in own.values() {
                joined
                    .extend(self.breaks[*n].iter().filter_map(|kind| Some((*n, *own.get(kind)?))));
            }
        }
        joined.into_iter().for_each(|(n, other)| self.join(n, other));
    }

    /// Runs the case of each cause on every other target that has new findings.
    fn across_pairs(&mut self) {
        let targets = std::mem::take(&mut self.targets);
        for root in self.roots() {
            let Finding { target: from, case, .. } = &self.findings[root];
            let family = from.pair.implementation.family();
            let mut same = Vec::new();
            for (to, others) in targets.iter().filter(|(to, _)| to != from) {
                let case = translate(&mut self.runner, *from, *to, case).case;
                let found = self.run(*to, &case).into_iter().filter_map(|kind| others.get(&kind));
                same.extend(found.map(|other| (to.pair.implementation.family(), *other)));
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
        let root = findings
            .iter()
            .copied()
            .min_by_key(|n| (&self.ranks[*n], *n))
            .expect("a cause has a finding");
        findings.retain(|n| *n != root);
        findings.insert(0, root);
        Cause { root, findings }
    }
}
