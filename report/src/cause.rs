//! Findings folded into one defect, as hunts, triages and campaigns report it, and as a terminal
//! lists them. What is said of a cause is of the finding that stands for it;
//! `mkwrite_explain::causes` does the folding.

use std::fmt::Write;

use serde::Serialize;

use crate::count;
use crate::terminal::BOLD;
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

    /// The rules, as far as there is room for so many characters, but one at least.
    pub fn some_rules(&self, room: usize) -> String {
        let some = |count: usize| {
            let shown = self.rules.iter().take(count).copied().collect::<Vec<_>>().join(" ");
            match self.rules.len().saturating_sub(count) {
                0 => shown,
                more => format!("{shown} +{more}"),
            }
        };
        let fits = |count: &usize| some(*count).chars().count() <= room;
        some((2..=RULES_SHOWN).rev().find(fits).unwrap_or(1))
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

/// The causes in lines of so many characters: what goes wrong, and below it a line for each cause
/// with its status, pairs and rules. Those that go wrong alike stand together, in the order of the
/// first.
pub fn listing(causes: &[&Cause], width: usize) -> String {
    let wide = |texts: &mut dyn Iterator<Item = String>| {
        texts.map(|text| text.chars().count()).max().unwrap_or(0)
    };
    let status = wide(&mut causes.iter().map(|cause| cause.standing()));
    let pairs = wide(&mut causes.iter().map(|cause| cause.on()));
    let room = width.saturating_sub(INDENT + status + GAP + pairs + GAP);
    let (mut out, mut told) = (String::new(), Vec::new());
    for cause in causes {
        let group = (cause.status.is_good(), cause.title);
        if told.contains(&group) {
            continue;
        }
        told.push(group);
        let _ = writeln!(out, "{BOLD}{}{BOLD:#}", cause.title);
        for one in causes.iter().filter(|one| (one.status.is_good(), one.title) == group) {
            let (standing, on, rules) = (one.standing(), one.on(), one.some_rules(room));
            let _ = writeln!(
                out,
                "{:INDENT$}{standing:status$}{:GAP$}{on:pairs$}{:GAP$}{rules}",
                "", "", ""
            );
        }
    }
    out
}

/// Characters in front of the line of a cause, and between its parts.
const INDENT: usize = 4;
const GAP: usize = 2;

#[cfg(test)]
mod tests {
    use super::*;

    fn cause(title: &'static str, entry: Option<&str>, rules: &[&'static str]) -> Cause {
        Cause {
            title,
            rule: rules[0],
            point: "user.store",
            status: if entry.is_some() { Status::Expected } else { Status::New },
            expected: entry.is_some(),
            entry: entry.map(str::to_owned),
            rules: rules.to_vec(),
            pairs: vec!["nfs@3.0 x 2.6.30".to_owned()],
            findings: rules.len(),
            file: None,
        }
    }

    #[test]
    fn causes_that_go_wrong_alike_stand_together_and_no_line_is_too_long() {
        let all = [
            cause("a store is lost", None, &["I34"]),
            cause("a store is lost", Some("a"), &["I34", "I35", "kernel-bug", "I15", "I17"]),
            cause("a deadlock is possible", Some("bb"), &["I8"]),
            cause("a store is lost", Some("c"), &["I37", "I17"]),
        ];
        let all: Vec<&Cause> = all.iter().collect();
        let shown = |width: usize| anstream::adapter::strip_str(&listing(&all, width)).to_string();
        assert_eq!(
            shown(60),
            "a store is lost\n\
             \x20   NEW           nfs@3.0 x 2.6.30  I34\n\
             a store is lost\n\
             \x20   expected: a   nfs@3.0 x 2.6.30  I34 I35 kernel-bug +2\n\
             \x20   expected: c   nfs@3.0 x 2.6.30  I37 I17\n\
             a deadlock is possible\n\
             \x20   expected: bb  nfs@3.0 x 2.6.30  I8\n"
        );
        assert!(shown(usize::MAX).contains("I34 I35 kernel-bug I15 +1\n"));
        assert!(shown(45).contains("I34 +4\n"));
    }
}
