//! Reads a ledger: what its files may say, what is wrong with one and where, and what would be
//! right. Names are looked up here, patterns of pairs become the pairs that fit, and an entry that
//! is not complete, or that would expect too much, is refused.

use std::ops::Range as Span;

use mkwrite_model::case::Operation;
use mkwrite_model::era::Era;
use mkwrite_model::implementation::{Filesystem, Pair};
use mkwrite_model::point::Point;
use mkwrite_model::remedy::{Remedies, Remedy};
use mkwrite_model::text::nearest;
use serde::Deserialize;
use toml::Spanned;
use wildmatch::WildMatch;

use super::{ENTRIES_MAX, Entry, Site};
use crate::conditions::{Condition, Conditions};
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

/// What is wrong, and what would be right.
type Flaw = (String, String);

fn flaw<T>(message: impl Into<String>, help: impl Into<String>) -> Result<T, Flaw> {
    Err((message.into(), help.into()))
}

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str>) -> Flaw {
    let near = nearest(name, known);
    (format!("unknown {what} `{name}`"), near)
}

/// The entries of several files: names and texts.
pub(super) fn entries<F: Filesystem>(files: &[(&str, &str)]) -> Result<Vec<Entry<F>>, LedgerError> {
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
                return Err(error(name.span(), (message, "give it a name of its own".to_owned())));
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
    Ok(entries)
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
    let sites: Vec<Site> = all(&raw.at, |text| expectable(site(text)?, text, when))?;
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

/// What is seen at any point, or only afterwards, is expected under a condition or not at all.
fn expectable(site: Site, text: &str, when: Conditions) -> Result<Site, Flaw> {
    if site.rule.reads_history() && when.is_empty() {
        return flaw(
            format!("`{text}` is about the history, and the entry says no condition"),
            "`when` says under which condition it is expected",
        );
    }
    if site.point.is_none() && when.is_empty() {
        return flaw(
            format!("`{text}`: any point goes only with a condition"),
            "name the point, or say `when`",
        );
    }
    Ok(site)
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

/// A site, like `I20 wp.set_page_dirty store|load`.
fn site(text: &str) -> Result<Site, Flaw> {
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
        list => list.split('|').map(|name| find_operation(text, name)).collect::<Result<_, _>>()?,
    };
    Ok(Site { rule, point, operations })
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
pub(super) fn pairs<F: Filesystem>(pattern: &str) -> Result<Vec<Pair<F>>, Flaw> {
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
