//! docs/eras.md: what each era changes of the one before it, in facts and in code. `UPDATE_EXPECT=1
//! cargo test -p mkwrite-model --test eras` writes it; otherwise it must be as it stands, so that a
//! repair made in one era and forgotten in its neighbour is seen in review.

use std::fmt::Write;
use std::path::Path;

use expect_test::expect_file;
use mkwrite_model::era::{Era, Facts, FaultPath};
use similar::TextDiff;

const HEAD: &str = "\
# Eras

Written by a test (`model/tests/eras.rs`). What a fact means, and its source: `model/src/era/facts.rs`. The facts of the first
era, then what each era changes of the one before it; where the fault path has another structure, the difference of the two files,
without comments.

Each is a *caller*, which `--caller` takes: its fault path calls page_mkwrite. In a pair the facts about the fault path come from the
caller, and all others from the era of the implementation.
";

/// The facts of an era, as names and values.
fn facts(facts: &Facts) -> Vec<(String, String)> {
    let text = format!("{facts:#?}");
    let mut fields: Vec<(String, String)> = Vec::new();
    for line in text.lines().skip(1).filter(|line| line.starts_with("    ")) {
        let (line, is_field) = (&line[4..], !line.starts_with("     ") && !line.ends_with("},"));
        match line.split_once(": ").filter(|_| is_field) {
            Some((name, value)) => {
                fields.push((name.to_owned(), value.trim_end_matches(',').to_owned()));
            }
            None => {
                let value = &mut fields.last_mut().expect("a field comes first").1;
                write!(value, " {}", line.trim().trim_end_matches(',')).unwrap();
            }
        }
    }
    fields.split_off(2) // name and help
}

/// The code of a fault path: the file without what is about the file.
fn code(path: FaultPath) -> String {
    let name = match path {
        FaultPath::Unlocked => "v2_6_29.rs",
        FaultPath::Posted => "try3.rs",
        FaultPath::Landed => "v2_6_30.rs",
        FaultPath::Shared => "v6_12.rs",
    };
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/era").join(name);
    let text = std::fs::read_to_string(file).unwrap();
    let is_code =
        |line: &&str| !line.starts_with("//") && !line.starts_with("use ") && !line.is_empty();
    text.lines().filter(is_code).map(|line| format!("{line}\n")).collect()
}

#[test]
fn the_document_says_what_the_eras_are() {
    let mut text = HEAD.to_owned();
    let mut before: Option<Era> = None;
    for &era in Era::ALL {
        let caller = if Era::CALLERS.contains(&era) { ", a caller" } else { "" };
        let since = before.map_or(String::new(), |before| format!(", after {}", before.name()));
        writeln!(text, "\n## {}{since}{caller}\n", era.name()).unwrap();
        if !caller.is_empty() {
            writeln!(text, "{}.\n", era.help()).unwrap();
        }
        text.push_str("| fact | value |");
        text.push_str(if before.is_some() {
            " was |\n| --- | --- | --- |\n"
        } else {
            "\n| --- | --- |\n"
        });
        for (n, (name, value)) in facts(era.facts()).into_iter().enumerate() {
            match before.map(|before| facts(before.facts()).swap_remove(n).1) {
                None => writeln!(text, "| {name} | {value} |").unwrap(),
                Some(was) if was != value => {
                    writeln!(text, "| {name} | {value} | {was} |").unwrap();
                }
                Some(_) => {}
            }
        }
        if let Some(before) = before.filter(|before| before.facts().fault != era.facts().fault) {
            let (old, new) = (code(before.facts().fault), code(era.facts().fault));
            let diff = TextDiff::from_lines(&old, &new);
            let hunks = diff.unified_diff().context_radius(2).to_string();
            write!(text, "\n```diff\n{hunks}```\n").unwrap();
        }
        before = Some(era);
    }
    expect_file!["../../docs/eras.md"].assert_eq(&text);
}
