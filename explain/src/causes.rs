//! Folds findings into causes: one defect breaks many rules, at many points, on many pairs.
//!
//! Each finding has a case that was made as small as it can be and still show it. So if that run breaks what another
//! finding is about, the other needs nothing more than this one, and both are one cause. Across pairs the same is asked of
//! a cause's case, run on the other pair: another version of the filesystem, or code that several share. And two causes are
//! one if isolation finds the same two steps for both: both go away when these are exchanged. The finding that stands for
//! a cause is the smallest whose breach comes first in its run. `mkwrite causes` measures it (docs/causes.md).
//!
//! What the ledger expects is folded by its entry; that is known before.
//!
//! Left out: two defects that never show apart are one cause here. And a defect that shows in each of two ways, neither of
//! which a smallest case of the other shows, on no pair, is two.

use std::collections::{BTreeMap, BTreeSet};

use mkwrite_model::implementation::Registry;
use mkwrite_model::point::Point;
use mkwrite_model::{Case, Target};
use mkwrite_oracle::judge::Breach;
use mkwrite_oracle::ledger::{Expected, Ledger, Signature};
use mkwrite_oracle::rules::Rule;
use mkwrite_oracle::run::{How, Runner};

use crate::isolate::isolate;
use crate::realign::translate;
use crate::shrink::Size;

/// A finding: what breaks where, and a case that shows it under its own schedule.
#[derive(Clone, Debug)]
pub struct Shown<R> {
    /// Where.
    pub target: Target<R>,
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

/// On so many filesystems the same case must break the same, for it to be code that they share. Fewer may each have a
/// defect of their own that costs the same.
const SHARED: usize = 3;

/// Roots that are isolated at the most; each takes up to some tenths of a second.
const ISOLATED: usize = 40;

/// Folds these findings. Causes that the ledger does not expect come first, each kind in the order of the first finding.
pub fn fold<R: Registry>(ledger: &Ledger<R>, findings: &[Shown<R>]) -> Vec<Cause> {
    let mut folding = Folding { ledger, findings, runner: Runner::default(), group: (0..findings.len()).collect() };
    folding.by_entry();
    folding.within_pairs();
    folding.across_pairs();
    folding.by_isolation();
    folding.causes()
}

/// The filesystem, whatever the version.
fn family<R: Registry>(target: Target<R>) -> &'static str {
    target.pair.implementation.name().split('@').next().unwrap_or_default()
}

struct Folding<'a, R: Registry> {
    ledger: &'a Ledger<R>,
    findings: &'a [Shown<R>],
    runner: Runner<R>,
    /// For each finding another of its cause, or itself if it is the first.
    group: Vec<usize>,
}

impl<R: Registry> Folding<'_, R> {
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
    fn breaks(&mut self, target: Target<R>, case: &Case) -> Vec<Kind> {
        self.runner.run(target, case, How::Own);
        let mut classifier = self.ledger.classify(target);
        let all = self.runner.judge.breaches().filter(|breach| classifier.next(breach) == Expected::No);
        all.map(|breach| (breach.rule, breach.point)).collect()
    }

    /// The new findings on a target, by kind.
    fn on_target(&self, target: Target<R>) -> BTreeMap<Kind, usize> {
        let own = (0..self.findings.len()).filter(|n| self.is_new(*n) && self.findings[*n].target == target);
        own.map(|n| (self.kind(n), n)).collect()
    }

    /// The new findings that stand for their causes now.
    fn roots(&mut self) -> Vec<usize> {
        self.causes().into_iter().map(|cause| cause.root).filter(|root| self.is_new(*root)).collect()
    }

    fn by_entry(&mut self) {
        let mut seen: BTreeMap<usize, usize> = BTreeMap::new();
        for (n, finding) in self.findings.iter().enumerate() {
            if let Expected::Root(entry) | Expected::Consequence(entry) = finding.signature.expected {
                let first = *seen.entry(entry).or_insert(n);
                self.group[n] = first;
            }
        }
    }

    fn within_pairs(&mut self) {
        for n in (0..self.findings.len()).filter(|n| self.is_new(*n)).collect::<Vec<_>>() {
            let Shown { target, case, .. } = &self.findings[n];
            let others = self.on_target(*target);
            for kind in self.breaks(*target, case) {
                if let Some(other) = others.get(&kind) {
                    self.join(n, *other);
                }
            }
        }
    }

    /// Runs the case of each cause on every other target that has new findings.
    fn across_pairs(&mut self) {
        let mut targets: Vec<Target<R>> = Vec::new();
        for finding in self.findings.iter().filter(|finding| finding.signature.expected == Expected::No) {
            if !targets.contains(&finding.target) {
                targets.push(finding.target);
            }
        }
        // A difference takes two runs; what it is about is told by its point alone.
        let mut differences: BTreeMap<Point, usize> = BTreeMap::new();
        for n in 0..self.findings.len() {
            if !self.is_new(n) || self.kind(n).0 != Rule::Differential {
                continue;
            }
            let first = *differences.entry(self.kind(n).1).or_insert(n);
            self.join(first, n);
        }
        let there: Vec<BTreeMap<Kind, usize>> = targets.iter().map(|target| self.on_target(*target)).collect();
        for root in self.roots() {
            let Shown { target: from, case, .. } = &self.findings[root];
            let mut same = Vec::new();
            for (to, others) in targets.iter().zip(&there).filter(|(to, _)| *to != from) {
                let case = translate(&mut self.runner, *from, *to, case).case;
                let found = self.breaks(*to, &case).into_iter().filter_map(|kind| others.get(&kind));
                same.extend(found.map(|other| (family(*to), *other)));
            }
            let families: BTreeSet<&str> = same.iter().map(|(family, _)| *family).chain([family(*from)]).collect();
            for (of, other) in same {
                if of == family(*from) || families.len() >= SHARED {
                    self.join(root, other);
                }
            }
        }
    }

    /// Joins causes of which isolation finds the same two steps.
    fn by_isolation(&mut self) {
        let mut seen: BTreeMap<[(Point, String); 2], usize> = BTreeMap::new();
        for root in self.roots().into_iter().take(ISOLATED) {
            let Shown { target, signature, breach, case } = &self.findings[root];
            let signature = Signature { point: Some(breach.point), ..*signature };
            let Some(found) = isolate(&mut self.runner, *target, self.ledger, case, signature) else { continue };
            let step = |n: usize| {
                let moment = &found.failing.steps[n];
                // The kind of operation, without its range.
                (moment.point, moment.operation.split(' ').next().unwrap_or_default().to_owned())
            };
            let first = *seen.entry([step(found.first), step(found.second)]).or_insert(root);
            self.join(first, root);
        }
    }

    fn causes(&mut self) -> Vec<Cause> {
        let mut groups: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
        for n in 0..self.findings.len() {
            groups.entry(self.first(n)).or_default().push(n);
        }
        let mut causes: Vec<Cause> = groups.into_values().map(|group| self.cause(group)).collect();
        causes.sort_by_key(|cause| !self.is_new(cause.root));
        causes
    }

    fn cause(&mut self, mut findings: Vec<usize>) -> Cause {
        let mut rank = |n: &usize| {
            let Shown { target, case, .. } = &self.findings[*n];
            let follows = self.is_new(*n) && self.breaks(*target, case).first() != Some(&self.kind(*n));
            let follows = follows || matches!(self.findings[*n].signature.expected, Expected::Consequence(_));
            (follows, Size::of(case), *n)
        };
        let root = findings.iter().copied().min_by_key(|n| rank(n)).expect("a cause has a finding");
        findings.retain(|n| *n != root);
        findings.insert(0, root);
        Cause { root, findings }
    }
}
