//! `mkwrite vm --paths`: the points by which operations go, on a kernel and in the model.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, anyhow};
use mkwrite_model::Target;
use mkwrite_model::implementation::{Filesystem, Pair};
use mkwrite_vm::filesystems::{self, GuestFilesystem};
use mkwrite_vm::paths::{self, Compared, Side};
use serde::Serialize;

use super::{Args, boot, prepare};
use crate::output::{self, BOLD, DIM, GREEN, RED, YELLOW, line, note};
use crate::{Exit, files};

/// The paths of a filesystem.
#[derive(Serialize)]
struct Report {
    kernel: String,
    filesystem: String,
    model: String,
    paths: Vec<Compared>,
}

/// Runs it.
pub(crate) fn run<F: Filesystem>(args: &Args) -> Result<Exit> {
    let filesystems = filesystems::named(&args.filesystems)?;
    let targets = filesystems.iter().map(|fs| target::<F>(fs)).collect::<Result<Vec<_>>>()?;
    let mut reports = Vec::new();
    for kernel in &args.kernels {
        let parts = prepare(args, kernel)?;
        let mut session = boot(&parts, &filesystems)?;
        for (fs, target) in filesystems.iter().zip(&targets) {
            let mut compared = Vec::new();
            for path in paths::all() {
                let release = &parts.kernel.release;
                compared.push(paths::compare(&mut session, release, fs, *target, &path)?);
            }
            let report = Report {
                kernel: parts.kernel.version.clone(),
                filesystem: fs.name.clone(),
                model: target.pair.to_string(),
                paths: compared,
            };
            if !args.json {
                show(&report, args.brief);
            }
            reports.push(report);
        }
        super::keep_log(args, &session)?;
    }
    if let Some(path) = &args.table {
        files::write(path, table(&reports).as_bytes())?;
        note(format!("wrote {}", output::quoted(path)));
    }
    let is_new = reports.iter().flat_map(|report| &report.paths).any(Compared::is_new);
    if args.json {
        output::document(&BTreeMap::from([("paths", &reports)]))?;
    }
    Ok(if is_new { Exit::Breach } else { Exit::Good })
}

/// The pair that the table of filesystems names.
fn target<F: Filesystem>(fs: &GuestFilesystem) -> Result<Target<F>> {
    let model = fs
        .model
        .as_deref()
        .ok_or_else(|| anyhow!("{} has no model whose paths could be compared", fs.name))
        .context("choose others with --fs")?;
    Ok(Target::from(model.parse::<Pair<F>>()?))
}

fn differences(compared: &Compared) -> impl Iterator<Item = &paths::Passed> {
    compared.steps.iter().filter(|step| step.side != Side::Both)
}

fn show(report: &Report, brief: bool) {
    line(format!(
        "{BOLD}{}{BOLD:#} on {} against {}",
        report.filesystem, report.kernel, report.model
    ));
    for compared in &report.paths {
        let differ = differences(compared).count();
        let (style, verdict) = match (differ, compared.is_new()) {
            (0, _) => (GREEN, "the same".to_owned()),
            (n, false) => (YELLOW, format!("{n} explained")),
            (n, true) => (RED, format!("{n} differ, NEW")),
        };
        let common = compared.steps.len() - differ;
        line(format!("  {:36} {common:>3} alike  {style}{verdict}{style:#}", compared.path));
        if brief {
            continue;
        }
        for step in &compared.steps {
            let (style, text) = match (step.side, step.reason) {
                (Side::Both, _) => (DIM, String::new()),
                (Side::Model, reason) => {
                    (YELLOW, format!("model alone: {}", reason.unwrap_or("NEW")))
                }
                (Side::Kernel, reason) => {
                    (YELLOW, format!("kernel alone: {}", reason.unwrap_or("NEW")))
                }
            };
            line(format!("      {style}{:26}{style:#} {text}", step.point).trim_end());
        }
    }
}

/// What stands over the table.
const TABLE_HEAD: &str = "\
# The paths of operations, on kernels and in the model

Written by `mkwrite vm --paths --table FILE` (vm.md). The same cases of one actor run on a kernel and in the model, and the
named points that the last operation comes by are laid side by side. `n` points alike; `+` the kernel comes by a point and the
model does not, `-` the other way round; the numbers stand for the reasons below. Points that have no place in the kernel are
left out, and listed last.

";

/// One column per kernel and filesystem, one row per path.
fn table(reports: &[Report]) -> String {
    let mut reasons: Vec<&'static str> = Vec::new();
    let mut text = format!("{TABLE_HEAD}| path |");
    for report in reports {
        text.push_str(&format!(
            " {} {} against {} |",
            report.filesystem, report.kernel, report.model
        ));
    }
    text.push_str(&format!("\n| --- |{}\n", " --- |".repeat(reports.len())));
    let rows = reports.first().map_or(0, |report| report.paths.len());
    for row in 0..rows {
        text.push_str(&format!("| {} |", reports[0].paths[row].path));
        for report in reports {
            text.push_str(&format!(" {} |", cell(&report.paths[row], &mut reasons)));
        }
        text.push('\n');
    }
    text.push('\n');
    for (n, reason) in reasons.iter().enumerate() {
        let reason: Vec<&str> = reason.split_whitespace().collect();
        text.push_str(&format!("{}. {}\n", n + 1, reason.join(" ")));
    }
    let unplaced: BTreeSet<(&str, &str)> = reports
        .iter()
        .flat_map(|report| &report.paths)
        .flat_map(|compared| compared.unplaced.iter().map(|(point, why)| (*point, why.as_str())))
        .collect();
    text.push_str("\n| point of the model | why it has no place |\n| --- | --- |\n");
    for (point, why) in unplaced {
        text.push_str(&format!("| {point} | {why} |\n"));
    }
    text
}

fn cell(compared: &Compared, reasons: &mut Vec<&'static str>) -> String {
    let mut text = format!("{}", compared.steps.len() - differences(compared).count());
    for step in differences(compared) {
        let sign = if step.side == Side::Kernel { '+' } else { '-' };
        let number = match step.reason {
            None => "NEW".to_owned(),
            Some(reason) => {
                let known = reasons.iter().position(|known| *known == reason);
                let n = known.unwrap_or_else(|| {
                    reasons.push(reason);
                    reasons.len() - 1
                });
                (n + 1).to_string()
            }
        };
        text.push_str(&format!(", {sign}{} ({number})", step.point));
    }
    text
}
