//! Sources: what rules, implementations, remedies, planted bugs and the ledger name stands in
//! docs/sources.md; what stands there is named by somebody; and nothing names a document that a
//! reader cannot open.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Command;

use mkwrite_impls::Builtin;
use mkwrite_model::implementation::{Filesystem, Implementation};
use mkwrite_model::plant::Plant;
use mkwrite_model::remedy::Remedy;
use mkwrite_model::source::{DOCUMENT, anchors, is_anchor};
use mkwrite_oracle::Rule;
use mkwrite_oracle::ledger::Ledger;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

/// The facts: the headings of the third level, in order.
fn facts(document: &str) -> Vec<&str> {
    document.lines().filter_map(|line| line.strip_prefix("### ")).collect()
}

fn document() -> String {
    std::fs::read_to_string(root().join(DOCUMENT)).expect("the document is there")
}

/// The text files of the repository, by name, without this one and without the document.
fn files() -> BTreeMap<String, String> {
    let listed = Command::new("git")
        .args(["ls-files", "-z"])
        .current_dir(root())
        .output()
        .expect("git runs");
    assert!(listed.status.success(), "git ls-files: {}", String::from_utf8_lossy(&listed.stderr));
    let names = String::from_utf8(listed.stdout).expect("names are UTF-8");
    let kinds = ["rs", "toml", "mkw", "txt", "md", "snap"];
    let is_text = |name: &str| {
        Path::new(name).extension().is_some_and(|end| kinds.iter().any(|kind| end == *kind))
    };
    let names = names
        .split('\0')
        .filter(|name| is_text(name) && *name != DOCUMENT && !name.ends_with("tests/sources.rs"));
    names
        .filter_map(|name| {
            Some((name.to_owned(), std::fs::read_to_string(root().join(name)).ok()?))
        })
        .collect()
}

/// What must name a fact: what it is, and its citation.
fn citations() -> Vec<(String, String)> {
    let rules = Rule::ALL
        .iter()
        .map(|rule| rule.about())
        .map(|about| (format!("rule {}", about.id), about.source));
    let all = Builtin::all()
        .iter()
        .map(|fs| (format!("implementation {}", fs.name()), fs.declaration().source));
    let remedies =
        Remedy::ALL.iter().map(|remedy| (format!("remedy {}", remedy.name()), remedy.source()));
    let own = rules.chain(all).chain(remedies).map(|(what, source)| (what, source.to_owned()));
    let entries = Ledger::<Builtin>::own()
        .entries
        .into_iter()
        .map(|entry| (format!("entry {}", entry.name), entry.source));
    own.chain(entries).collect()
}

/// The facts that texts name: `[fact]` between backticks, in comments and documents.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split("`[")
        .skip(1)
        .filter_map(|rest| Some(rest.split_once("]`")?.0))
        .filter(|name| is_anchor(name))
}

/// The facts that texts link to.
fn linked(text: &str) -> impl Iterator<Item = &str> {
    let ends = |c: char| !(c.is_ascii_alphanumeric() || c == '-');
    let names =
        text.split("sources.md#").skip(1).map(move |rest| rest.split(ends).next().unwrap_or(rest));
    names.filter(|name| !name.is_empty())
}

#[test]
fn what_is_named_stands_in_the_document() {
    let document = document();
    let facts: BTreeSet<&str> = facts(&document).into_iter().collect();
    let mut wrong = Vec::new();
    for (what, source) in citations() {
        if anchors(&source).next().is_none() {
            wrong.push(format!("{what} names no fact: {source}"));
        }
        wrong.extend(
            anchors(&source)
                .filter(|name| !facts.contains(name))
                .map(|name| format!("{what}: [{name}]")),
        );
    }
    for plant in Plant::ALL {
        let named = anchors(plant.what()).filter(|name| !facts.contains(name));
        wrong.extend(named.map(|name| format!("plant {}: [{name}]", plant.name())));
    }
    for (file, text) in &files() {
        let named = quoted(text).chain(linked(text)).filter(|name| !facts.contains(name));
        wrong.extend(named.map(|name| format!("{file}: [{name}]")));
    }
    assert!(wrong.is_empty(), "not in {DOCUMENT}:\n{}", wrong.join("\n"));
}

#[test]
fn what_stands_in_the_document_is_named() {
    let document = document();
    let mut named: BTreeSet<String> = BTreeSet::new();
    let citations = citations();
    let texts = citations
        .iter()
        .map(|(_, source)| source.as_str())
        .chain(Plant::ALL.iter().map(|plant| plant.what()));
    named.extend(texts.flat_map(anchors).map(str::to_owned));
    for text in files().values() {
        named.extend(quoted(text).chain(linked(text)).map(str::to_owned));
    }
    let unnamed: Vec<&str> =
        facts(&document).into_iter().filter(|fact| !named.contains(*fact)).collect();
    assert!(unnamed.is_empty(), "named by nobody: {}", unnamed.join(", "));
}

#[test]
fn each_fact_has_a_name_of_its_own_and_a_source() {
    let document = document();
    let facts = facts(&document);
    let names: BTreeSet<&str> = facts.iter().copied().collect();
    assert_eq!(names.len(), facts.len(), "two facts have one name");
    for section in document.split("\n### ").skip(1) {
        let (name, body) = section.split_once('\n').expect("a fact has a text");
        assert!(is_anchor(name), "{name}");
        assert!(body.lines().any(|line| line.starts_with("- ")), "{name} has no source");
    }
}

/// A way of citing that no reader can follow: names of private documents, of their sections and of
/// their sources.
fn old_form(text: &str) -> Option<String> {
    let lower = text.to_lowercase();
    let names =
        ["dossier", "catalogue", "kernel-variants", "fidelity.md", "stophunt", "reports.md"];
    if let Some(name) = names.into_iter().find(|name| lower.contains(name)) {
        return Some(name.to_owned());
    }
    let words: Vec<&str> =
        text.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let digits = |word: &str| !word.is_empty() && word.bytes().all(|b| b.is_ascii_digit());
    let trees = ["18", "20", "24", "29", "30", "300", "310", "419", "515", "65", "612", "618"];
    for (n, word) in words.iter().enumerate() {
        let next = words.get(n + 1).copied().unwrap_or("");
        let seed = ["seed", "seeds"].contains(&word.to_lowercase().as_str());
        if seed && next.len() == 3 && next.starts_with('0') && digits(next) {
            return Some(format!("{word} {next}"));
        }
        let numbered = |letter, most: usize| {
            word.strip_prefix(letter).filter(|rest| digits(rest) && rest.len() <= most)
        };
        let tree = numbered('T', 3).is_some_and(|number| trees.contains(&number));
        if tree || numbered('R', 2).is_some() || numbered('G', 2).is_some() {
            return Some((*word).to_owned());
        }
    }
    None
}

#[test]
fn nothing_names_a_document_that_nobody_can_open() {
    let texts = files().into_iter().chain([(DOCUMENT.to_owned(), document())]);
    let lines = texts.flat_map(|(file, text)| {
        let found = text.lines().enumerate().filter_map(|(n, line)| Some((n + 1, old_form(line)?)));
        found.map(|(n, form)| format!("{file}:{n}: {form}")).collect::<Vec<_>>()
    });
    let lines: Vec<String> = lines.collect();
    assert!(lines.is_empty(), "{}", lines.join("\n"));
    for form in
        ["Dossier 5.1", "seeds 001 and 004", "tree T29", "R17", "G10)", "the catalogue's O2"]
    {
        assert!(old_form(form).is_some(), "{form}");
    }
    for good in ["I20, O4", "--seed 1", "Filesystem<F>", "TASKS", "2.6.29", "seed 0x001f", "R123"] {
        assert_eq!(old_form(good), None, "{good}");
    }
}
