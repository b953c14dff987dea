//! `mkwrite file`: a case becomes a regression test.

use std::path::PathBuf;

use anyhow::{Result, anyhow, bail};
use mkwrite_explain::finding;
use mkwrite_explain::shrink::Shrinker;
use mkwrite_model::case::Schedule;
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::text::{Document, Expect};
use mkwrite_oracle::ledger::Ledger;
use mkwrite_oracle::run::Runner;
use mkwrite_oracle::verdict::judge;
use mkwrite_report::golden;

use super::subject::Subject;
use crate::output::{DIM, line, note};
use crate::{Exit, files};

/// File a case as a regression test: a minimal case below corpus/regressions, and its explanation
/// beside it
///
/// `cargo test` then runs it as a test of its own: what it expects must break, or, with --fixed,
/// nothing must. A changed explanation is shown as a difference; UPDATE_EXPECT=1 takes it.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    subject: Subject,
    /// The test's name: letters, digits and dashes
    #[arg(long, value_name = "SLUG")]
    name: String,
    /// The bug is mended: file the case as it is, as one that must pass
    #[arg(long)]
    fixed: bool,
    /// Replace a test of this name
    #[arg(long)]
    force: bool,
    /// The corpus
    #[arg(long, default_value = "corpus", value_name = "DIR")]
    corpus: PathBuf,
}

/// Runs the subcommand.
pub(crate) fn run<F: Filesystem>(args: &Args) -> Result<Exit> {
    let valid = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if args.name.is_empty() || !args.name.chars().all(valid) {
        return Err(anyhow!("`{}` is not a name for a test", args.name)
            .context("lower-case letters, digits and dashes"));
    }
    let folder = args.corpus.join("regressions");
    if !args.corpus.is_dir() {
        return Err(anyhow!("{} is no folder", args.corpus.display())
            .context("run it in the repository, or give --corpus"));
    }
    std::fs::create_dir_all(&folder)
        .map_err(|error| anyhow!("cannot make {}: {error}", folder.display()))?;
    let (case_path, text_path) =
        (folder.join(format!("{}.mkw", args.name)), folder.join(format!("{}.txt", args.name)));
    if case_path.exists() && !args.force {
        return Err(anyhow!("{} exists", case_path.display())
            .context("choose another name, or give --force"));
    }

    let document = args.subject.read::<F>()?;
    let (ledger, mut runner) = (files::own_ledger::<F>()?, Runner::default());
    refuse_stale(args, &ledger, &mut runner, &document)?;
    let document = if args.fixed {
        fixed(args, &ledger, &mut runner, document)?
    } else {
        minimal(args, &ledger, document)?
    };
    let text = golden::text::<F>(&document).map_err(|error| anyhow!("{error}"))?;
    files::write(&case_path, document.to_string().as_bytes())?;
    files::write(&text_path, text.as_bytes())?;
    line(format!("{}\n{}", case_path.display(), text_path.display()));
    note(format!("{DIM}cargo test -p mkwrite-report --test regressions -- {}{DIM:#}", args.name));
    Ok(Exit::Good)
}

/// A test whose schedule is not followed tests something else.
fn refuse_stale<F: Filesystem>(
    args: &Args,
    ledger: &Ledger<F>,
    runner: &mut Runner<F>,
    document: &Document,
) -> Result<()> {
    let Schedule::Order(stops) = &document.case.schedule else { return Ok(()) };
    for target in args.subject.targets(ledger, document)? {
        if let Some(missed) = runner.missed_stops(target, &document.case).first() {
            let file = args.subject.file.display();
            let what = format!("{file}: `order {}` is never reached on {target}", stops[*missed]);
            return Err(anyhow!(what)
                .context("`mkwrite replay --realigned FILE` writes a schedule that fits"));
        }
    }
    Ok(())
}

/// The case as it is, which must pass on the pairs that were chosen.
fn fixed<F: Filesystem>(
    args: &Args,
    ledger: &Ledger<F>,
    runner: &mut Runner<F>,
    mut document: Document,
) -> Result<Document> {
    let targets = args.subject.targets(ledger, &document)?;
    finding::set_targets(&mut document, &targets);
    document.expects = vec![Expect::Pass];
    for target in &targets {
        if let Some((breach, _)) = judge(runner, ledger, *target, &document).breaches.first() {
            bail!(
                "it still breaks {} at {} on {}",
                breach.rule.id(),
                breach.point.name(),
                target.pair
            );
        }
    }
    Ok(document)
}

/// The case made smaller, with what it breaks.
fn minimal<F: Filesystem>(
    args: &Args,
    ledger: &Ledger<F>,
    mut document: Document,
) -> Result<Document> {
    let mut runner = Runner::default();
    let goal = args.subject.goal(None, ledger, &mut runner, &mut document)?;
    let case = Shrinker::new(&mut runner, goal.clone(), ledger).shrink(document.case.clone());
    Ok(goal.document(&document, case))
}
