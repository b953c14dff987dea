//! One named test per file of the corpus, and one per entry of the ledger.
//!
//! A file in `known` must break what it expects on each of its pairs, and nothing else that the
//! ledger does not list, and must be 1-minimal in that; a file in `pass` must break nothing and
//! reach what it says. Both must be in canonical form. An entry of the ledger must be shown by its
//! cases, for every pair and every site that it names, and cured by its remedies.

use std::path::{Path, PathBuf};

use libtest_mimic::{Arguments, Failed, Trial};
use mkwrite_explain::shrink::{Goal, HeldOn, Shrinker};
use mkwrite_impls::Builtin;
use mkwrite_model::Target;
use mkwrite_model::generate::random;
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::schedule::SchedulerKind;
use mkwrite_model::text::{Document, parse};
use mkwrite_oracle::ledger::{Entry, Expected, Ledger};
use mkwrite_oracle::run::{Runner, ScheduledBy, targets_of};
use mkwrite_oracle::verdict::{Judged, Verdict, judge};

fn main() {
    let arguments = Arguments::from_args();
    let mut trials = Vec::new();
    for (folder, wanted) in [("known", Verdict::Expected), ("pass", Verdict::Pass)] {
        for path in files(folder) {
            let stem = path.file_stem().expect("a file has a name").to_string_lossy();
            let test = format!("{folder}::{stem}");
            if folder == "known" {
                let path = path.clone();
                trials.push(Trial::test(format!("{test} is minimal"), move || is_minimal(&path)));
            }
            trials.push(Trial::test(test, move || replay(&path, wanted)));
        }
    }
    for (n, entry) in Ledger::<Builtin>::own().entries.into_iter().enumerate() {
        let cured = entry.clone();
        trials.push(Trial::test(format!("ledger::{}", entry.name), move || is_shown(n, &entry)));
        trials.push(Trial::test(format!("ledger::{} is cured", cured.name), move || {
            is_cured(n, &cured)
        }));
    }
    libtest_mimic::run(&arguments, trials).exit();
}

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus")
}

fn files(folder: &str) -> Vec<PathBuf> {
    let entries = walkdir::WalkDir::new(corpus().join(folder)).sort_by_file_name();
    let entries = entries.into_iter().map(|entry| entry.expect("a readable folder"));
    entries.filter(|entry| entry.file_type().is_file()).map(walkdir::DirEntry::into_path).collect()
}

fn read(path: &Path) -> Result<Document, Failed> {
    let text =
        std::fs::read_to_string(path).map_err(|error| format!("{}: {error}", path.display()))?;
    let document = parse(&text)?;
    if document.to_string() != text {
        return Err(format!("not in canonical form, which is\n{document}").into());
    }
    Ok(document)
}

fn run(document: &Document, target: Target<Builtin>) -> Judged {
    judge(&mut Runner::default(), &Ledger::<Builtin>::own(), target, document)
}

fn replay(path: &Path, wanted: Verdict) -> Result<(), Failed> {
    let document = read(path)?;
    let targets = targets_of(&document)?;
    if targets.is_empty() || document.expects.is_empty() {
        return Err("a case of the corpus says what it runs on, and what to expect".into());
    }
    for target in targets {
        let judged = run(&document, target);
        if judged.verdict != wanted {
            let Judged { verdict, breaches, missing, unreached, .. } = judged;
            return Err(format!(
                "{target}: {verdict:?}, {breaches:?}, missing {missing:?}, unreached {unreached:?}"
            )
            .into());
        }
    }
    Ok(())
}

/// No single removal, on any axis, shows all that the file expects.
fn is_minimal(path: &Path) -> Result<(), Failed> {
    let document = read(path)?;
    let targets = targets_of(&document)?;
    let (mut runner, ledger) = (Runner::default(), Ledger::<Builtin>::own());
    let shown = targets.into_iter().map(|target| HeldOn::expected(target, &document.expects));
    let goal = Goal::Document(shown.collect(), None);
    match Shrinker::new(&mut runner, goal, &ledger).not_minimal(&document.case).first() {
        None => Ok(()),
        Some((axis, smaller)) => Err(format!(
            "not minimal in its {}; this shows the same:\n{}",
            axis.name(),
            Document::new(smaller.clone())
        )
        .into()),
    }
}

/// With the entry's remedies on, no schedule of its cases breaks what it explains, and nothing else
/// that is not expected.
fn is_cured(n: usize, entry: &Entry<Builtin>) -> Result<(), Failed> {
    let (mut runner, ledger) = (Runner::default(), Ledger::<Builtin>::own());
    for case in &entry.cases {
        let document = read(&corpus().join(case))?;
        for target in
            targets_of(&document)?.into_iter().filter(|target| entry.pairs.contains(&target.pair))
        {
            let target = Target { remedies: entry.remedies, ..target };
            for schedule in 0..=100 {
                let how = match schedule {
                    0 => ScheduledBy::Own,
                    n => ScheduledBy::Random(SchedulerKind::portfolio(n as u32), random(1, n, 1)),
                };
                runner.run(target, &document.case, how);
                for (breach, expected) in ledger.judged(target, &runner.judge) {
                    assert_ne!(
                        expected,
                        Expected::Root(n),
                        "an entry is not in force where its remedies are on"
                    );
                    if expected == Expected::No {
                        let (rule, point, what) = (breach.rule, breach.point, breach.what);
                        return Err(format!(
                            "{case} on {target}, schedule {schedule}: {rule} at {point}: {what}"
                        )
                        .into());
                    }
                }
            }
        }
    }
    Ok(())
}

fn is_shown(n: usize, entry: &Entry<Builtin>) -> Result<(), Failed> {
    let (mut pairs_left, mut sites_left) = (entry.pairs.clone(), entry.at.clone());
    for case in &entry.cases {
        let document = read(&corpus().join(case))?;
        for target in targets_of(&document)? {
            let roots = run(&document, target)
                .breaches
                .into_iter()
                .filter(|(_, expected)| *expected == Expected::Root(n));
            for (breach, _) in roots {
                pairs_left.retain(|left| *left != target.pair);
                sites_left.retain(|left| !left.matches(&breach));
            }
        }
    }
    let names: Vec<String> = pairs_left
        .iter()
        .map(|p| format!("{} x {}", p.implementation.name(), p.caller.name()))
        .collect();
    if names.is_empty() && sites_left.is_empty() {
        return Ok(());
    }
    Err(format!("no case shows it on {names:?}, at {sites_left:?}").into())
}
