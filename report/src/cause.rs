//! Findings folded into one defect, as hunts, triages and campaigns report it. What is said of a
//! cause is of the finding that stands for it; `mkwrite_explain::causes` does the folding.

use serde::Serialize;

use crate::count;
use crate::triage::Status;

/// A cause.
#[derive(Clone, Debug, Serialize)]
pub struct Cause {
    /// What goes wrong.
    pub title: &'static str,
    /// The rule.
    pub rule: &'static str,
    /// The point at which the step began that broke it.
    pub point: &'static str,
    /// How it stands to the ledger.
    pub status: Status,
    /// The ledger explains it.
    pub expected: bool,
    /// The entry of the ledger.
    pub entry: Option<String>,
    /// All rules that its findings break.
    pub rules: Vec<&'static str>,
    /// All pairs on which it was found.
    pub pairs: Vec<String>,
    /// How many findings it has.
    pub findings: usize,
    /// The case that stands for it, if it was saved.
    pub file: Option<String>,
}

/// Rules that a row names; the rest are counted.
const RULES_SHOWN: usize = 4;

impl Cause {
    /// The status, with the entry that it is due to.
    pub fn standing(&self) -> String {
        self.status.with_entry(self.entry.as_deref())
    }

    /// The pair, or how many there are.
    pub fn on(&self) -> String {
        match &self.pairs[..] {
            [one] => one.clone(),
            more => count(more.len(), "pair"),
        }
    }

    /// The rules, as far as a row has room for them.
    pub fn some_rules(&self) -> String {
        let shown = self.rules.iter().take(RULES_SHOWN).copied().collect::<Vec<_>>().join(" ");
        match self.rules.len().saturating_sub(RULES_SHOWN) {
            0 => shown,
            more => format!("{shown} +{more}"),
        }
    }

    /// Where it breaks, with the rule: what stands below its title.
    pub fn place(&self) -> String {
        let more = match self.pairs.len().saturating_sub(1) {
            0 => String::new(),
            more => format!(" and {} more", count(more, "pair")),
        };
        let pair = self.pairs.first().map_or("", String::as_str);
        format!("{} at {} on {pair}{more}", self.rule, self.point)
    }
}
