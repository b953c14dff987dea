//! `mkwrite bisect`: a case over the versions of a filesystem and over the callers, in order of
//! age; and with each remedy.

use anyhow::{Result, anyhow};
use mkwrite_explain::bisect::{Series, Tried, bisect};
use mkwrite_explain::cure::{Attempt, Cures, cures};
use mkwrite_explain::explain::with_stops;
use mkwrite_model::Target;
use mkwrite_model::implementation::Filesystem;
use mkwrite_oracle::Rule;
use mkwrite_oracle::ledger::Expected;
use mkwrite_oracle::run::{Runner, ScheduledBy, compared};
use mkwrite_report::json::bisect::Bisect;

use super::subject::Subject;
use crate::Exit;
use crate::files;
use crate::output::{self, BOLD, DIM, GREEN, RED, YELLOW, hanging, line};

/// Run a case over the versions of its filesystem and over the callers: the first that breaks, the
/// first that does not
///
/// The schedule is carried over by named points; what had to be realigned is said. Then each remedy
/// is tried.
#[derive(clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    subject: Subject,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub(crate) fn run<F: Filesystem>(args: &Args) -> Result<Exit> {
    let document = args.subject.read::<F>()?;
    let (ledger, mut runner) = (files::own_ledger::<F>()?, Runner::default());
    let target = args.subject.target(&ledger, &document)?;
    let case = with_stops(&mut runner, target, &document.case);
    runner.compare_with(compared(&document).map_err(|error| anyhow!(error))?);
    let series = bisect(&mut runner, &ledger, target, &case);
    runner.run(target, &case, ScheduledBy::Own);
    let rule = runner.judge.breaches().next().map(|breach| breach.rule);
    let cures = rule.map(|rule| (rule, cures(&mut runner, &ledger, target, &case, rule)));
    if args.json {
        let attempts = cures.iter().flat_map(|(_, cures)| &cures.attempts);
        output::document(&Bisect {
            file: args.subject.file.display().to_string(),
            series: series.iter().map(Into::into).collect(),
            remedies: attempts.map(Into::into).collect(),
        })?;
    } else {
        series.iter().for_each(print);
        if let Some((rule, cures)) = &cures {
            print_cures(target, *rule, cures);
        }
    }
    Ok(Exit::Good)
}

fn print_cures<F: Filesystem>(target: Target<F>, rule: Rule, cures: &Cures) {
    line(format!("{BOLD}remedies on {target} (rule {rule}){BOLD:#}"));
    line(format!(
        "  {:<40} {RED}breaks{RED:#}  {} of {} schedules",
        "none", cures.without, cures.schedules
    ));
    for Attempt { remedies, schedules, breaks, closes } in &cures.attempts {
        let (style, word) = if *closes { (GREEN, "closes") } else { (RED, "breaks") };
        line(format!(
            "  {:<40} {style}{word}{style:#}  {breaks} of {schedules} schedules",
            remedies.to_string()
        ));
    }
}

fn print<F: Filesystem>(series: &Series<F>) {
    line(format!("{BOLD}{}{BOLD:#}", series.what));
    for station in &series.stations {
        let text = match &station.outcome {
            Tried::Refused(reason) => format!("{DIM}refused: {reason}{DIM:#}"),
            Tried::Ran { translation, breaches, new } => {
                let mut rules: Vec<String> = Vec::new();
                for (breach, expected) in breaches {
                    let mark = if *new && *expected == Expected::No { " NEW" } else { "" };
                    let rule = format!("{} at {}{mark}", breach.rule, breach.point.name());
                    if !rules.contains(&rule) {
                        rules.push(rule);
                    }
                }
                let mut text = match rules.is_empty() {
                    true => format!("{GREEN}pass{GREEN:#}"),
                    false => format!("{YELLOW}breaks{YELLOW:#} {}", rules.join(", ")),
                };
                for (old, new) in &translation.moved {
                    text += &format!("  {DIM}~ {old} became {new}{DIM:#}");
                }
                for lost in &translation.lost {
                    text += &format!("  {RED}? {lost} fits nothing there{RED:#}");
                }
                text
            }
        };
        hanging(format!("  {:28} {text}", station.to_string()), 31);
    }
    hanging(format!("  {}", turn(series)), 4);
    line("");
}

/// Where a series turns, in words.
fn turn<F: Filesystem>(series: &Series<F>) -> String {
    match series.turn() {
        (None, _) => "it breaks on none of these".to_owned(),
        (Some(first), Some(fixed)) => {
            format!("first that breaks: {first}; first after it that does not: {fixed}")
        }
        (Some(first), None) => {
            let after = series.stations.iter().skip_while(|one| !std::ptr::eq(*one, first)).skip(1);
            match after.clone().all(|station| station.outcome.breaks()) {
                true if after.count() == 0 => {
                    format!("first that breaks: {first}, the last of these")
                }
                true => format!("first that breaks: {first}; so do all after it"),
                false => format!("first that breaks: {first}; none after it surely passes"),
            }
        }
    }
}
