//! The ledger of expected breaches: `corpus/ledger.toml`, compiled in.
//!
//! The old implementations are supposed to fail. An entry names the pairs, the rule with the point where it
//! fires (and the kind of operation that takes the step, where that makes a difference), the reason, the
//! source, and cases that show it. Rules about the history fire wherever somebody notices, so for these an
//! entry can say any point. What breaks later in the same run on account of such a breach can be listed as its consequences, by rule:
//! after a page has lost its record, say, the store lacks what was stored. A breach that no entry explains
//! is NEW. An entry whose cases no longer break what it lists fails the tests.

use mkwrite_impls::Builtin;
use mkwrite_model::callers::Caller;
use mkwrite_model::implementation::{Pair, Registry};
use mkwrite_model::point::Point;
use serde::Deserialize;

use crate::judge::Breach;
use crate::rules::Rule;

/// The text of the ledger in this repository.
pub const BUILTIN: &str = include_str!("../../corpus/ledger.toml");

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    breach: Vec<RawEntry>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawEntry {
    name: String,
    group: String,
    pairs: Vec<String>,
    at: Vec<String>,
    #[serde(default)]
    past_eof: bool,
    #[serde(default)]
    consequences: Vec<String>,
    reason: String,
    source: String,
    cases: Vec<String>,
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
    fn parse(text: &str, past_eof: bool) -> Result<Site, String> {
        let words: Vec<&str> = text.split_whitespace().collect();
        let (rule, point, operations) = match words[..] {
            [rule, point] => (rule, point, ""),
            [rule, point, operations] => (rule, point, operations),
            _ => return Err(format!("`{text}` is not `RULE POINT` or `RULE POINT OPERATION|..`")),
        };
        let rule = Rule::by_id(rule).ok_or_else(|| format!("unknown rule `{rule}`"))?;
        let point = match point {
            "*" if past_eof || rule.reads_history() => None,
            "*" => return Err(format!("`{text}`: any point goes only with past_eof or a rule about the history")),
            name => Some(Point::from_name(name).ok_or_else(|| format!("unknown point `{name}`"))?),
        };
        let operations = operations.split('|').filter(|o| !o.is_empty()).map(str::to_owned).collect();
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
pub struct Entry {
    /// Its short name.
    pub name: String,
    /// What it belongs to.
    pub group: String,
    /// The pairs on which it is expected.
    pub pairs: Vec<Pair<Builtin>>,
    /// Where it breaks.
    pub at: Vec<Site>,
    /// Only on a page that has held the end of the file inside it.
    pub past_eof: bool,
    /// Rules that may break later in the run.
    pub consequences: u64,
    /// Why.
    pub reason: String,
    /// From which source we know.
    pub source: String,
    /// Files below `corpus` that show it.
    pub cases: Vec<String>,
}

/// What is wrong with a ledger.
#[derive(Debug, thiserror::Error)]
pub enum LedgerError {
    /// It is not TOML, or not of the ledger's shape.
    #[error("{0}")]
    Toml(#[from] toml::de::Error),
    /// An entry names something unknown.
    #[error("entry `{entry}`: {message}")]
    Entry {
        /// Which.
        entry: String,
        /// What.
        message: String,
    },
}

/// The expected breaches.
#[derive(Clone, Debug, Default)]
pub struct Ledger {
    /// All entries, in file order.
    pub entries: Vec<Entry>,
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
        self.rule == breach.rule && self.expected == expected && self.point.is_none_or(|point| point == breach.point)
    }
}

impl Ledger {
    /// The ledger of this repository.
    pub fn builtin() -> Ledger {
        Ledger::parse(BUILTIN).expect("the tests check the ledger")
    }

    /// Reads a ledger.
    pub fn parse(text: &str) -> Result<Ledger, LedgerError> {
        let file: File = toml::from_str(text)?;
        let entries = file.breach.into_iter().map(|raw| {
            let name = raw.name.clone();
            entry(raw).map_err(|message| LedgerError::Entry { entry: name, message })
        });
        Ok(Ledger { entries: entries.collect::<Result<_, _>>()? })
    }

    /// The pairs that entries are about.
    pub fn pairs(&self) -> impl Iterator<Item = Pair<Builtin>> + '_ {
        self.entries.iter().flat_map(|entry| entry.pairs.iter().copied())
    }

    /// The entry of this name.
    pub fn entry_named(&self, name: &str) -> Option<&Entry> {
        self.entries.iter().find(|entry| entry.name == name)
    }

    /// The entry by which a breach is expected.
    pub fn entry(&self, expected: Expected) -> Option<&Entry> {
        match expected {
            Expected::Root(entry) | Expected::Consequence(entry) => Some(&self.entries[entry]),
            Expected::No => None,
        }
    }

    /// What a breach that the ledger sees in this way counts as: one finding per rule and point, except where
    /// an entry covers several points.
    pub fn signature(&self, breach: &Breach, expected: Expected) -> Signature {
        let one_point = match expected {
            Expected::Root(entry) => {
                self.entries[entry].at.iter().find(|site| site.matches(breach)).is_some_and(|site| site.point.is_some())
            }
            Expected::Consequence(_) => false,
            Expected::No => true,
        };
        Signature { rule: breach.rule, expected, point: one_point.then_some(breach.point) }
    }

    /// Goes over the breaches of a run, in order, and says of each whether it is expected.
    pub fn classify(&self, pair: Pair<Builtin>) -> Classifier<'_> {
        Classifier { ledger: self, pair, allowed: [None; 64] }
    }
}

fn entry(raw: RawEntry) -> Result<Entry, String> {
    let pairs = raw.pairs.iter().map(|text| pair(text)).collect::<Result<Vec<_>, _>>()?;
    let at = raw.at.iter().map(|text| Site::parse(text, raw.past_eof)).collect::<Result<_, _>>()?;
    let rule = |id: &String| Rule::by_id(id).ok_or_else(|| format!("unknown rule `{id}`"));
    let consequences = raw.consequences.iter().map(rule).collect::<Result<Vec<_>, _>>()?;
    let consequences = consequences.iter().fold(0, |mask, rule| mask | rule.bit());
    if pairs.is_empty() || raw.cases.is_empty() {
        return Err("an entry needs pairs, and cases that show it".to_owned());
    }
    let RawEntry { name, group, past_eof, reason, source, cases, .. } = raw;
    Ok(Entry { name, group, pairs, at, past_eof, consequences, reason, source, cases })
}

/// `nfs@2.6.29 x 2.6.29`.
fn pair(text: &str) -> Result<Pair<Builtin>, String> {
    let (fs, caller) = text.split_once(" x ").ok_or_else(|| format!("`{text}` is not `IMPLEMENTATION x CALLER`"))?;
    let fs = Builtin::by_name(fs).ok_or_else(|| format!("unknown implementation `{fs}`"))?;
    let caller = Caller::from_name(caller).ok_or_else(|| format!("unknown caller `{caller}`"))?;
    Pair::new(fs, caller).map_err(|refused| refused.to_string())
}

/// See [`Ledger::classify`].
pub struct Classifier<'a> {
    ledger: &'a Ledger,
    pair: Pair<Builtin>,
    /// For each rule, the entry that allows it as a consequence from here on.
    allowed: [Option<usize>; 64],
}

impl Classifier<'_> {
    /// Whether the next breach of the run is expected.
    pub fn next(&mut self, breach: &Breach) -> Expected {
        let matches = |entry: &Entry| {
            (!entry.past_eof || breach.past_eof)
                && entry.pairs.contains(&self.pair)
                && entry.at.iter().any(|site| site.matches(breach))
        };
        match self.ledger.entries.iter().position(matches) {
            Some(root) => {
                let consequences = self.ledger.entries[root].consequences;
                for (rule, slot) in self.allowed.iter_mut().enumerate() {
                    if consequences >> rule & 1 != 0 {
                        slot.get_or_insert(root);
                    }
                }
                Expected::Root(root)
            }
            None => self.allowed[breach.rule as usize].map_or(Expected::No, Expected::Consequence),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mkwrite_model::exec::TaskId;

    const TEXT: &str = r#"
        [[breach]]
        name = "window"
        group = "g"
        pairs = ["nfs@2.6.29 x 2.6.29", "nfs@2.6.29 x 2.6.30"]
        at = ["I20 wp.set_page_dirty store|load"]
        consequences = ["I34"]
        reason = "r"
        source = "s"
        cases = ["c"]
    "#;

    fn breach(rule: &str, operation: &'static str) -> Breach {
        Breach {
            rule: Rule::by_id(rule).unwrap(),
            point: Point::WpDirty,
            operation,
            task: TaskId(0),
            slot: 0,
            step: 0,
            page: None,
            cell: None,
            past_eof: false,
            what: "",
        }
    }

    fn pair(fs: &str, caller: Caller) -> Pair<Builtin> {
        Pair::new(Builtin::by_name(fs).unwrap(), caller).unwrap()
    }

    #[test]
    fn a_consequence_is_expected_only_after_its_root() {
        let ledger = Ledger::parse(TEXT).unwrap();
        let mut run = ledger.classify(pair("nfs@2.6.29", Caller::V2_6_29));
        assert_eq!(run.next(&breach("I34", "store")), Expected::No);
        assert_eq!(run.next(&breach("I20", "io")), Expected::No);
        assert_eq!(run.next(&breach("I20", "store")), Expected::Root(0));
        assert_eq!(run.next(&breach("I34", "fsync")), Expected::Consequence(0));
        assert_eq!(run.next(&breach("I35", "fsync")), Expected::No);
        let mut other = ledger.classify(pair("nfs@2.6.30", Caller::V2_6_30));
        assert_eq!(other.next(&breach("I20", "store")), Expected::No);
    }

    #[test]
    fn what_a_ledger_names_must_exist() {
        let broken = |from: &str, to: &str| Ledger::parse(&TEXT.replace(from, to)).unwrap_err().to_string();
        assert_eq!(broken("I34", "I99"), "entry `window`: unknown rule `I99`");
        assert_eq!(broken("wp.set_page_dirty", "wp.x"), "entry `window`: unknown point `wp.x`");
        assert_eq!(
            broken("wp.set_page_dirty", "*"),
            "entry `window`: `I20 * store|load`: any point goes only with past_eof or a rule about the history"
        );
        assert_eq!(broken("nfs@2.6.29 x", "nfs@9 x"), "entry `window`: unknown implementation `nfs@9`");
        assert!(broken("nfs@2.6.29 x 2.6.29", "nfs@3.0 x 2.6.29").contains("would deadlock"));
        assert!(broken("reason", "raison").contains("unknown field `raison`"));
    }
}
