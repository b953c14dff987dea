//! `mkwrite bisect`: a case over the versions of a filesystem and over the callers, in order of age; and with each
//! remedy.

use anyhow::Result;
use mkwrite_explain::bisect::{Outcome, Series, Station, bisect};
use mkwrite_explain::cure::{Attempt, Cures, SCHEDULES, cures};
use mkwrite_explain::explain::with_stops;
use mkwrite_model::Target;
use mkwrite_model::implementation::Registry;
use mkwrite_model::remedy::Remedy;
use mkwrite_oracle::Rule;
use mkwrite_oracle::ledger::{Expected, Ledger};
use mkwrite_oracle::run::{How, Runner};
use serde_json::{Value, json};

use super::subject::Subject;
use crate::Exit;
use crate::output::{self, BOLD, DIM, GREEN, RED, YELLOW, line};

/// Run a case over the versions of its filesystem and over the callers: the first that breaks, the first that does not
///
/// The schedule is carried over by named points; what had to be realigned is said. Then each remedy is tried.
#[derive(clap::Args)]
pub struct Args {
    #[command(flatten)]
    subject: Subject,
    /// Print one JSON document
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
pub fn run<R: Registry>(args: &Args) -> Result<Exit> {
    let document = args.subject.read::<R>()?;
    let (ledger, mut runner) = (Ledger::<R>::own(), Runner::default());
    let target = args.subject.target(&document)?;
    let case = with_stops(&mut runner, target, &document.case);
    let series = bisect(&mut runner, &ledger, target, &case);
    runner.run(target, &case, How::Own);
    let rule = runner.judge.breaches().next().map(|breach| breach.rule);
    let cures = rule.map(|rule| (rule, cures(&mut runner, &ledger, target, &case, rule)));
    if args.json {
        let series = series.iter().map(report).collect::<Vec<_>>();
        output::json(&json!({
            "schema": output::SCHEMA,
            "file": args.subject.file.display().to_string(),
            "series": series,
            "remedies": cures.as_ref().map_or(Vec::new(), |(_, cures)| cures.attempts.iter().map(remedy).collect()),
        }))?;
    } else {
        series.iter().for_each(print);
        if let Some((rule, cures)) = &cures {
            print_cures(target, *rule, cures);
        }
    }
    Ok(Exit::Good)
}

fn remedy(attempt: &Attempt) -> Value {
    let Attempt { remedies, breaks, closes } = attempt;
    json!({
        "remedies": remedies.iter().map(Remedy::name).collect::<Vec<_>>(),
        "schedules_that_break": breaks,
        "schedules": SCHEDULES,
        "closes": closes,
    })
}

fn print_cures<R: Registry>(target: Target<R>, rule: Rule, cures: &Cures) {
    line(format!("{BOLD}remedies on {target} (rule {rule}){BOLD:#}"));
    line(format!("  {:<40} {RED}breaks{RED:#}  {} of {SCHEDULES} schedules", "none", cures.without));
    for Attempt { remedies, breaks, closes } in &cures.attempts {
        let (style, word) = if *closes { (GREEN, "closes") } else { (RED, "breaks") };
        line(format!("  {:<40} {style}{word}{style:#}  {breaks} of {SCHEDULES} schedules", remedies.to_string()));
    }
}

fn name<R: Registry>(station: &Station<R>) -> String {
    format!("{} x {}", station.implementation.name(), station.caller.name())
}

fn report<R: Registry>(series: &Series<R>) -> Value {
    let stations = series.stations.iter().map(|station| {
        let (verdict, rules, moved, lost) = match &station.outcome {
            Outcome::Refused(_) => ("refused", Vec::new(), 0, 0),
            Outcome::Ran { translation, breaches, .. } => {
                let rules: Vec<&str> = breaches.iter().map(|(breach, _)| breach.rule.id()).collect();
                let verdict = if rules.is_empty() { "pass" } else { "breaks" };
                (verdict, rules, translation.moved.len(), translation.lost.len())
            }
        };
        json!({
            "implementation": station.implementation.name(),
            "caller": station.caller.name(),
            "verdict": verdict,
            "rules": rules,
            "realigned": moved,
            "lost": lost,
        })
    });
    let (first, fixed) = series.turn();
    json!({
        "what": series.what,
        "stations": stations.collect::<Vec<_>>(),
        "first_that_breaks": first.map(name),
        "first_that_does_not": fixed.map(name),
    })
}

fn print<R: Registry>(series: &Series<R>) {
    line(format!("{BOLD}{}{BOLD:#}", series.what));
    for station in &series.stations {
        let text = match &station.outcome {
            Outcome::Refused(reason) => format!("{DIM}refused: {reason}{DIM:#}"),
            Outcome::Ran { translation, breaches, new } => {
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
        line(format!("  {:28} {text}", name(station)));
    }
    let (first, fixed) = series.turn();
    let say = |station: Option<&Station<R>>| station.map_or("none".to_owned(), name);
    line(format!("  first that breaks: {}; first after it that does not: {}\n", say(first), say(fixed)));
}
