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

use std::ops::Range as Span;

use mkwrite_model::Target;
use mkwrite_model::case::Operation;
use mkwrite_model::era::Era;
use mkwrite_model::implementation::{Filesystem, Pair};
use mkwrite_model::point::Point;
use mkwrite_model::remedy::{Remedies, Remedy};
use mkwrite_model::text::nearest;
use serde::Deserialize;
use toml::Spanned;
use wildmatch::WildMatch;

use crate::conditions::{Condition, Conditions};
use crate::judge::{Breach, Judge};
use crate::rules::Rule;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    breach: Vec<RawEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    name: Spanned<String>,
    group: String,
    pairs: Vec<Spanned<String>>,
    at: Vec<Spanned<String>>,
    #[serde(default)]
    when: Vec<Spanned<String>>,
    #[serde(default)]
    consequences: Vec<Spanned<String>>,
    #[serde(default)]
    anywhere: Vec<Spanned<String>>,
    remedy: Vec<Spanned<String>>,
    reason: String,
    source: String,
    cases: Spanned<Vec<String>>,
}

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
    fn parse(text: &str) -> Result<Site, Flaw> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (rule, point, operations) = match words[..] {
            [rule, point] => (rule, point, ""),
            [rule, point, operations] => (rule, point, operations),
            _ => {
                return flaw(
                    format!("`{text}` is not a site"),
                    "RULE POINT, or RULE POINT OPERATION|..",
                );
            }
        };
        let rule = find_rule(rule)?;
        let point = match point {
            "*" => None,
            name => Some(
                Point::from_name(name)
                    .ok_or_else(|| unknown("point", name, Point::ALL.iter().map(|p| p.name())))?,
            ),
        };
        let operations = match operations {
            "" => Vec::new(),
            list => {
                list.split('|').map(|name| find_operation(text, name)).collect::<Result<_, _>>()?
            }
        };
        Ok(Site { rule, point, operations })
    }

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

/// What is wrong, and what would be right.
type Flaw = (String, String);

fn flaw<T>(message: impl Into<String>, help: impl Into<String>) -> Result<T, Flaw> {
    Err((message.into(), help.into()))
}

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Flaw {
    let near = nearest(name, known);
    (format!("unknown {what} `{name}`"), near)
}

/// What is wrong with a ledger, and where.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{file}:{line}:{column}: {message} ({help})")]
pub struct LedgerError {
    /// The name of the file.
    pub file: String,
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// The bytes of the file that are meant.
    pub span: Span<usize>,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: String,
}

impl LedgerError {
    fn new(file: &str, text: &str, span: Span<usize>, (message, help): Flaw) -> LedgerError {
        let before = &text[..span.start.min(text.len())];
        let start = before.rfind('\n').map_or(0, |newline| newline + 1);
        let (line, column) =
            (before.matches('\n').count() + 1, before[start..].chars().count() + 1);
        LedgerError { file: file.to_owned(), line, column, span, message, help }
    }
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
        let mut entries: Vec<Entry<F>> = Vec::new();
        for (file, text) in files {
            let error = |span: Span<usize>, flaw: Flaw| LedgerError::new(file, text, span, flaw);
            let read: File = toml::from_str(text).map_err(|wrong| {
                let help = "docs/ledger.md describes the ledger".to_owned();
                error(wrong.span().unwrap_or(0..0), (wrong.message().trim().to_owned(), help))
            })?;
            for raw in read.breach {
                let name = raw.name.clone();
                if entries.iter().any(|entry| entry.name == *name.get_ref()) {
                    let message = format!("`{}` is the name of another entry", name.get_ref());
                    return Err(error(
                        name.span(),
                        (message, "give it a name of its own".to_owned()),
                    ));
                }
                if entries.len() == ENTRIES_MAX {
                    let message = format!("more than {ENTRIES_MAX} entries");
                    return Err(error(
                        name.span(),
                        (message, "join entries with one reason".to_owned()),
                    ));
                }
                entries.push(entry(raw).map_err(|(span, flaw)| error(span, flaw))?);
            }
        }
        Ok(Ledger { entries })
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

type Located<T> = Result<T, (Span<usize>, Flaw)>;

/// What a text that stands at some place means.
fn at<T>(text: &Spanned<String>, read: impl Fn(&str) -> Result<T, Flaw>) -> Located<T> {
    read(text.get_ref()).map_err(|flaw| (text.span(), flaw))
}

fn all<T, C: FromIterator<T>>(
    texts: &[Spanned<String>],
    read: impl Fn(&str) -> Result<T, Flaw>,
) -> Located<C> {
    texts.iter().map(|text| at(text, &read)).collect()
}

fn entry<F: Filesystem>(raw: RawEntry) -> Located<Entry<F>> {
    let whole = raw.name.span();
    let pairs: Vec<Vec<Pair<F>>> = all(&raw.pairs, pairs)?;
    let mut unique: Vec<Pair<F>> = Vec::new();
    for pair in pairs.into_iter().flatten() {
        if !unique.contains(&pair) {
            unique.push(pair);
        }
    }
    let when: Conditions = all(&raw.when, |name| {
        Condition::from_name(name)
            .ok_or_else(|| unknown("condition", name, Condition::ALL.iter().map(|c| c.name())))
    })?;
    let site = |text: &str| {
        let site = Site::parse(text)?;
        if site.rule.reads_history() && when.is_empty() {
            return flaw(
                format!("`{text}` is about the history, and the entry says no condition"),
                "`when` says under which condition it is expected",
            );
        }
        match site.point {
            None if when.is_empty() => flaw(
                format!("`{text}`: any point goes only with a condition"),
                "name the point, or say `when`",
            ),
            _ => Ok(site),
        }
    };
    let sites: Vec<Site> = all(&raw.at, site)?;
    let rules = |texts: &[Spanned<String>]| -> Located<u64> {
        let rules: Vec<Rule> = all(texts, find_rule)?;
        Ok(rules.iter().fold(0, |mask, rule| mask | rule.bit()))
    };
    let (consequences, anywhere) = (rules(&raw.consequences)?, rules(&raw.anywhere)?);
    let remedies: Remedies = all(&raw.remedy, |name| {
        Remedy::from_name(name)
            .ok_or_else(|| unknown("remedy", name, Remedy::ALL.iter().map(|r| r.name())))
    })?;
    complete(&raw, [unique.is_empty(), sites.is_empty(), remedies.is_empty()])
        .map_err(|flaw| (whole, flaw))?;
    let RawEntry { name, group, reason, source, cases, .. } = raw;
    Ok(Entry {
        name: name.into_inner(),
        group,
        pairs: unique,
        at: sites,
        when,
        consequences,
        anywhere,
        remedies,
        reason,
        source,
        cases: cases.into_inner(),
    })
}

/// Nothing is missing that every entry has; whether its pairs, sites and remedies are none is known.
fn complete(raw: &RawEntry, [pairs, sites, remedies]: [bool; 3]) -> Result<(), Flaw> {
    let name = raw.name.get_ref();
    for (is_empty, what) in [
        (pairs, "`pairs`"),
        (sites, "`at`"),
        (remedies, "`remedy`"),
        (raw.cases.get_ref().is_empty(), "`cases`"),
    ] {
        if is_empty {
            let help = format!("{what} is a list with something in it");
            return flaw(format!("entry `{name}` has no {what}"), help);
        }
    }
    let texts = [("`name`", name), ("`reason`", &raw.reason), ("`source`", &raw.source)];
    if let Some((what, _)) = texts.iter().find(|(_, text)| text.trim().is_empty()) {
        let help = format!("{what} is a text with something in it");
        return flaw(format!("entry `{name}` has an empty {what}"), help);
    }
    Ok(())
}

fn find_rule(id: &str) -> Result<Rule, Flaw> {
    Rule::by_id(id).ok_or_else(|| unknown("rule", id, Rule::ALL.iter().map(|rule| rule.id())))
}

/// What takes a step, as the judge calls it: an operation, the device or the server, or the end of
/// the run.
fn find_operation(site: &str, name: &str) -> Result<String, Flaw> {
    let known = || Operation::KINDS.iter().skip(1).map(|kind| kind.name).chain(["io", "closing"]);
    match name {
        "" => {
            flaw(format!("`{site}`: there is no operation beside a `|`"), "RULE POINT OPERATION|..")
        }
        name if known().any(|one| one == name) => Ok(name.to_owned()),
        name => Err(unknown("operation", name, known())),
    }
}

/// The pairs of a pattern, like `nfs@2.6.29 x 2.6.29`, `block@* x natural` or `* x try3`.
fn pairs<F: Filesystem>(pattern: &str) -> Result<Vec<Pair<F>>, Flaw> {
    let help = "IMPLEMENTATION x CALLER, with * and ? in either; `natural` is the caller that each lived with";
    let Some((fs, caller)) = pattern.split_once(" x ") else {
        return flaw(format!("`{pattern}` is no pattern of pairs"), help);
    };
    let known_fs = WildMatch::new(fs);
    let implementations: Vec<F> =
        F::all().iter().copied().filter(|b| known_fs.matches(b.name())).collect();
    if implementations.is_empty() {
        return Err(unknown("implementation", fs, F::all().iter().map(|fs| fs.name())));
    }
    let known_caller = WildMatch::new(caller);
    let callers: Vec<Era> =
        Era::CALLERS.iter().copied().filter(|c| known_caller.matches(c.name())).collect();
    if callers.is_empty() && caller != "natural" {
        let known = Era::CALLERS.iter().map(|caller| caller.name()).chain(["natural"]);
        return Err(unknown("caller", caller, known));
    }
    let mut found = Vec::new();
    let mut refused = None;
    for fs in implementations {
        if caller == "natural" {
            found.push(Pair::natural(fs));
        }
        for caller in &callers {
            match Pair::new(fs, *caller) {
                Ok(pair) => found.push(pair),
                Err(error) => refused = Some(error.to_string()),
            }
        }
    }
    match refused {
        // A pattern is about those that fit.
        Some(refused) if found.is_empty() => flaw(refused, help),
        _ => Ok(found),
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

#[cfg(test)]
mod tests {
    use super::*;
    use mkwrite_impls::Builtin;
    use mkwrite_model::exec::TaskId;

    const TEXT: &str = r#"
        [[breach]]
        name = "window"
        group = "g"
        pairs = ["nfs@2.6.29 x 2.6.29", "nfs@2.6.29 x 2.6.30"]
        at = ["I20 wp.set_page_dirty store|load"]
        when = ["no-record"]
        consequences = ["I34"]
        anywhere = ["O4"]
        remedy = ["locked-return"]
        reason = "r"
        source = "s"
        cases = ["c"]
    "#;

    fn breach(rule: &str, operation: &'static str, cells: u64) -> Breach {
        Breach {
            rule: Rule::by_id(rule).unwrap(),
            point: Point::WpDirty,
            operation,
            task: TaskId(0),
            slot: 0,
            step: 0,
            page: None,
            cell: None,
            cells,
            when: Conditions::from_iter([Condition::NoRecord]),
            what: "",
        }
    }

    fn target(pair: &str) -> Target<Builtin> {
        Target::from(pair.parse::<Pair<Builtin>>().unwrap())
    }

    #[test]
    fn a_consequence_is_expected_only_after_its_root_and_for_its_cells() {
        let ledger = Ledger::<Builtin>::parse("f", TEXT).unwrap();
        let mut run = ledger.classify(target("nfs@2.6.29 x 2.6.29"));
        assert_eq!(run.next(&breach("I34", "store", 3)), Expected::No);
        assert_eq!(run.next(&breach("I20", "io", 3)), Expected::No);
        assert_eq!(
            run.next(&Breach { when: Conditions::NONE, ..breach("I20", "store", 3) }),
            Expected::No
        );
        assert_eq!(run.next(&breach("O4", "store", 0)), Expected::No);
        assert_eq!(run.next(&breach("I20", "store", 3)), Expected::Root(0));
        assert_eq!(run.next(&breach("I34", "fsync", 2)), Expected::Consequence(0));
        assert_eq!(run.next(&breach("I34", "fsync", 4)), Expected::No, "another cell");
        assert_eq!(run.next(&breach("O4", "fsync", 0)), Expected::Consequence(0));
        assert_eq!(run.next(&breach("I35", "fsync", 2)), Expected::No);
        let mut other = ledger.classify(target("nfs@2.6.30 x 2.6.30"));
        assert_eq!(other.next(&breach("I20", "store", 3)), Expected::No);
    }

    #[test]
    fn nothing_is_expected_where_the_remedy_is_on() {
        let ledger = Ledger::<Builtin>::parse("f", TEXT).unwrap();
        let target = target("nfs@2.6.29 x 2.6.29");
        let remedies = ledger.remedies(target.pair);
        assert_eq!(remedies, Remedies::from_iter([Remedy::LockedReturn]));
        let mut run = ledger.classify(Target { remedies, ..target });
        assert_eq!(run.next(&breach("I20", "store", 3)), Expected::No);
    }

    #[test]
    fn patterns_name_the_pairs_that_fit() {
        let names = |pattern: &str| {
            let pairs = pairs::<Builtin>(pattern).unwrap();
            pairs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        };
        assert_eq!(names("nfs@2.6.?9 x 2.6.29"), "nfs@2.6.29 x 2.6.29");
        assert_eq!(names("fsblock@* x natural"), "fsblock@2007 x 2.6.29, fsblock@2009 x 2.6.30");
        assert_eq!(names("nfs@* x 2.6.29"), "nfs@2.6.29 x 2.6.29", "the locked ones do not fit");
    }

    #[test]
    fn what_a_ledger_names_must_exist() {
        let broken = |from: &str, to: &str| {
            Ledger::<Builtin>::parse("f", &TEXT.replace(from, to)).unwrap_err().to_string()
        };
        assert_eq!(broken("I34", "I99"), "f:8:25: unknown rule `I99` (did you mean `I19`?)");
        assert!(
            broken("wp.set_page_dirty", "wp.set_page_dity")
                .contains("(did you mean `wp.set_page_dirty`?)")
        );
        assert!(
            broken("no-record", "norecord").starts_with("f:7:17: unknown condition `norecord`")
        );
        assert!(
            broken("locked-return", "x").starts_with("f:10:19: unknown remedy `x` (known are ")
        );
        assert!(
            broken("nfs@2.6.29 x 2.6.29", "nfs@9 x 2.6.29")
                .starts_with("f:5:18: unknown implementation `nfs@9`")
        );
        assert!(broken("nfs@2.6.29 x 2.6.29", "nfs@3.0 x 2.6.29").contains("would deadlock"));
        assert!(broken("reason", "raison").starts_with("f:11:9: unknown field `raison`"));
        let without = TEXT
            .replace("when = [\"no-record\"]", "")
            .replace("I20 wp.set_page_dirty store|load", "I34 fsync.check_error");
        let error = Ledger::<Builtin>::parse("f", &without).unwrap_err().to_string();
        assert!(error.contains("is about the history, and the entry says no condition"), "{error}");
        let error = broken("store|load", "bogusop");
        assert!(error.starts_with("f:6:15: unknown operation `bogusop` (known are "), "{error}");
        assert!(
            error.contains("closing, ")
                && error.contains(", io, ")
                && error.contains(", truncate, "),
            "{error}"
        );
        assert_eq!(
            broken("load", "laod"),
            "f:6:15: unknown operation `laod` (did you mean `load`?)"
        );
        let error = broken("store|load", "store|");
        assert!(
            error.starts_with(
                "f:6:15: `I20 wp.set_page_dirty store|`: there is no operation beside"
            ),
            "{error}"
        );
        for (from, what) in [("\"window\"", "name"), ("\"r\"", "reason"), ("\"s\"", "source")] {
            let error = broken(from, "\" \"");
            assert!(
                error.starts_with("f:3:16: ") && error.contains(&format!("has an empty `{what}`")),
                "{error}"
            );
        }
        let error = broken("[[breach]]", "[[breach]");
        assert!(error.contains("docs/ledger.md"), "{error}");
        let twice = format!("{TEXT}{TEXT}");
        assert!(
            Ledger::<Builtin>::parse("f", &twice)
                .unwrap_err()
                .to_string()
                .contains("is the name of another entry")
        );
    }
}
