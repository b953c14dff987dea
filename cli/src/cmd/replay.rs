//! `mkwrite replay`: runs cases as they are, and says what breaks.

use std::path::{Path, PathBuf};

use anyhow::Result;
use mkwrite_impls::Builtin;
use mkwrite_model::callers::Caller;
use mkwrite_model::implementation::{Pair, Registry};
use mkwrite_model::plant::Plant;
use mkwrite_model::text::Document;
use mkwrite_oracle::ledger::{Expected, Ledger};
use mkwrite_oracle::run::{Runner, Target};
use mkwrite_oracle::verdict::{Judged, Verdict, judge};
use serde_json::json;

use super::{callers, implementations, pairs, unknown};
use crate::Exit;
use crate::files;
use crate::output::{self, DIM, GREEN, RED, SCHEMA, line};

/// Replay cases and say which rules they break
///
/// A case runs on the pairs that its file names, or on those given here. It is as expected if all that the
/// file expects breaks, and nothing else that the ledger does not list.
#[derive(clap::Args)]
pub struct Args {
    /// Cases: .mkw text, or bytes
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// Run on these implementations instead of the file's
    #[arg(long = "impl", value_delimiter = ',', value_name = "NAME")]
    implementations: Vec<String>,
    /// Run under these callers instead of the file's
    #[arg(long = "caller", value_delimiter = ',', value_name = "NAME")]
    callers: Vec<String>,
    /// Plant this bug
    #[arg(long, value_name = "NAME")]
    plant: Option<String>,
    /// Print one line per step
    #[arg(long)]
    trace: bool,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run(args: &Args) -> Result<Exit> {
    let plant = args
        .plant
        .as_ref()
        .map(|name| Plant::from_name(name).ok_or_else(|| unknown("plant", name, Plant::ALL.iter().map(|p| p.name()))));
    let plant = plant.transpose()?;
    // Read everything before anything runs: bad input changes nothing.
    let documents = args.files.iter().map(|path| Ok((path, files::read(path)?))).collect::<Result<Vec<_>>>()?;
    let (ledger, mut runner) = (Ledger::builtin(), Runner::default());
    let (mut exit, mut runs) = (Exit::Good, Vec::new());
    for (path, document) in &documents {
        for pair in targets(&args.implementations, &args.callers, document)? {
            let judged = judge(&mut runner, &ledger, Target { pair, plant }, document);
            if !judged.verdict.is_good() && judged.verdict != Verdict::Undecided {
                exit = Exit::Breach;
            }
            if args.json {
                runs.push(report(&ledger, path, pair, &judged));
            } else {
                print(args, path, pair, &judged);
            }
        }
    }
    if args.json {
        output::json(&json!({ "schema": SCHEMA, "runs": runs }))?;
    }
    Ok(exit)
}

/// The pairs that a document runs on: those of the command line, those of the file, or every natural one.
pub fn targets(named: &[String], under: &[String], document: &Document) -> Result<Vec<Pair<Builtin>>> {
    let under = callers(under)?;
    if !named.is_empty() || document.runs.is_empty() {
        return pairs(&implementations(named)?, &under);
    }
    let mut all = Vec::new();
    for (implementation, caller) in &document.runs {
        let own = [Caller::from_name(caller)
            .ok_or_else(|| unknown("caller", caller, Caller::ALL.iter().map(|caller| caller.name())))?];
        let callers = if under.is_empty() { &own[..] } else { &under[..] };
        all.extend(pairs(&implementations(std::slice::from_ref(implementation))?, callers)?);
    }
    Ok(all)
}

fn report(ledger: &Ledger, path: &Path, pair: Pair<Builtin>, judged: &Judged) -> serde_json::Value {
    let rules = judged.breaches.iter().map(|(b, expected)| {
        json!({
            "rule": b.rule.id(),
            "step": b.step,
            "point": b.point.name(),
            "operation": b.operation,
            "expected": *expected != Expected::No,
            "entry": ledger.entry(*expected).map(|entry| entry.name.as_str()),
            "follows": matches!(expected, Expected::Consequence(_)),
            "what": b.what,
        })
    });
    json!({
        "file": path.display().to_string(),
        "implementation": pair.implementation.name(),
        "caller": pair.caller.name(),
        "verdict": judged.verdict.name(),
        "rules": rules.collect::<Vec<_>>(),
        "trace_hash": format!("{:016x}", judged.hash),
    })
}

fn print(args: &Args, path: &Path, pair: Pair<Builtin>, judged: &Judged) {
    let style = if judged.verdict.is_good() { GREEN } else { RED };
    let verdict = judged.verdict.name();
    line(format!("{style}{verdict}{style:#}  {}  {pair}  {DIM}{:016x}{DIM:#}", path.display(), judged.hash));
    if args.trace {
        for (number, text) in judged.lines.iter().enumerate() {
            line(text);
            for (b, _) in judged.breaches.iter().filter(|(b, _)| b.step as usize == number) {
                line(format!("     {RED}{}{RED:#} {}: {}", b.rule, b.rule.about().title, b.what));
            }
        }
    }
    for (b, expected) in &judged.breaches {
        let how = match expected {
            Expected::Root(_) => "expected",
            Expected::Consequence(_) => "follows",
            Expected::No => "not in the ledger",
        };
        let (rule, title, point) = (b.rule, b.rule.about().title, b.point);
        line(format!("  {rule:12} step {:<4} {point:24} {:11} {title}: {} ({how})", b.step, b.operation, b.what));
    }
    for expect in &judged.missing {
        line(format!("  {RED}missing{RED:#}  expect {expect}"));
    }
    for reach in &judged.unreached {
        line(format!("  {RED}not reached{RED:#}  {reach}"));
    }
}
