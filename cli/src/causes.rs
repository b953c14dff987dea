//! Findings folded into causes, as `hunt`, `triage` and `campaign` show them: one row each, what is
//! NEW first, with the command that explains it.

use std::path::Path;

use mkwrite_explain::causes::{self, Finding};
use mkwrite_model::Target;
use mkwrite_model::implementation::Filesystem;
use mkwrite_oracle::conditions::Condition;
use mkwrite_oracle::ledger::{Expected, Ledger};
use mkwrite_oracle::run::headline;
use mkwrite_report::cause::{Cause, listing};
use mkwrite_report::triage::Status;

use crate::output::{self, RED, YELLOW, line};

/// The findings folded: what is NEW first, and of what is expected last what lies past the end of
/// the file.
pub(crate) fn fold<F: Filesystem>(ledger: &Ledger<F>, shown: &[Finding<F>]) -> Vec<causes::Cause> {
    let mut all = causes::fold(ledger, shown);
    all.sort_by_key(|cause| {
        let expected = shown[cause.root].signature.expected;
        let past_eof =
            ledger.entry(expected).is_some_and(|entry| entry.when.has(Condition::PastEof));
        (expected != Expected::No, past_eof, expected)
    });
    all
}

/// A cause as a report has it.
pub(crate) fn report<F: Filesystem>(
    ledger: &Ledger<F>,
    shown: &[Finding<F>],
    cause: &causes::Cause,
    file: Option<String>,
) -> Cause {
    let Finding { signature, breach, .. } = &shown[cause.root];
    let all = || cause.findings.iter().map(|n| &shown[*n]);
    let targets: Vec<Target<F>> = distinct(all().map(|one| one.target));
    Cause {
        title: breach.about().harm,
        rule: signature.rule.id(),
        point: breach.point.name(),
        status: Status::from(signature.expected),
        expected: Status::from(signature.expected).is_good(),
        entry: ledger.entry(signature.expected).map(|entry| entry.name.clone()),
        rules: distinct(all().map(|one| one.signature.rule.id())),
        pairs: targets.into_iter().map(headline).collect(),
        findings: cause.findings.len(),
        file,
    }
}

/// The different ones, in the order in which they came first.
fn distinct<T: PartialEq>(all: impl Iterator<Item = T>) -> Vec<T> {
    let mut seen = Vec::new();
    for one in all {
        if !seen.contains(&one) {
            seen.push(one);
        }
    }
    seen
}

/// The causes; below them, for each that is not as it should be, what it is and the command that
/// shows more, or `otherwise` for one without a file.
pub(crate) fn print<'a>(
    causes: impl Iterator<Item = &'a Cause> + Clone,
    otherwise: impl Fn(&Cause) -> String,
) {
    let all: Vec<&Cause> = causes.clone().collect();
    listing(&all, output::width()).lines().for_each(line);
    for cause in causes.filter(|cause| !cause.status.is_good()) {
        let style = if cause.status == Status::New { RED } else { YELLOW };
        let status = cause.status.name();
        line(format!("{style}{status}{style:#} {}: {}", cause.title, cause.place()));
        let command = if cause.status == Status::New { "explain" } else { "replay" };
        let show = |file: &String| {
            format!("{} {command} {}", output::program(), output::quoted(Path::new(file)))
        };
        line(format!("    {}", cause.file.as_ref().map_or_else(|| otherwise(cause), show)));
    }
}
