//! The document of `mkwrite bisect`.

use mkwrite_explain::bisect::{self, Tried};
use mkwrite_explain::cure;
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::remedy::Remedy;
use serde::Serialize;

/// A case over versions and callers, and with each remedy.
#[derive(Clone, Debug, Serialize)]
pub struct Bisect {
    /// The case.
    pub file: String,
    /// Versions, and callers, in order of age.
    pub series: Vec<Series>,
    /// Remedies that were tried.
    pub remedies: Vec<Attempt>,
}

/// A series in order of age.
#[derive(Clone, Debug, Serialize)]
pub struct Series {
    /// What varies, in words.
    pub what: String,
    /// Each, oldest first.
    pub stations: Vec<Station>,
    /// The first that breaks.
    pub first_that_breaks: Option<String>,
    /// The first after it that does not.
    pub first_that_does_not: Option<String>,
}

/// One implementation and caller of a series.
#[derive(Clone, Debug, Serialize)]
pub struct Station {
    /// The implementation.
    pub implementation: &'static str,
    /// The caller.
    pub caller: &'static str,
    /// `refused`, `pass` or `breaks`.
    pub verdict: &'static str,
    /// Rules that broke.
    pub rules: Vec<&'static str>,
    /// How many stops were realigned.
    pub realigned: usize,
    /// For how many stops nothing fits.
    pub lost: usize,
}

/// What came of a set of remedies.
#[derive(Clone, Debug, Serialize)]
pub struct Attempt {
    /// The remedies that were on.
    pub remedies: Vec<&'static str>,
    /// Fresh schedules under which the rule still breaks.
    pub schedules_that_break: u32,
    /// Fresh schedules that were tried.
    pub schedules: u32,
    /// Neither the case's own schedule nor a fresh one breaks the rule.
    pub closes: bool,
}

impl<F: Filesystem> From<&bisect::Series<F>> for Series {
    fn from(series: &bisect::Series<F>) -> Series {
        let (first, fixed) = series.turn();
        Series {
            what: series.what.clone(),
            stations: series.stations.iter().map(Station::from).collect(),
            first_that_breaks: first.map(ToString::to_string),
            first_that_does_not: fixed.map(ToString::to_string),
        }
    }
}

impl<F: Filesystem> From<&bisect::Station<F>> for Station {
    fn from(station: &bisect::Station<F>) -> Station {
        let (verdict, rules, realigned, lost) = match &station.outcome {
            Tried::Refused(_) => ("refused", Vec::new(), 0, 0),
            Tried::Ran { translation, breaches, .. } => {
                let rules: Vec<&str> =
                    breaches.iter().map(|(breach, _)| breach.rule.id()).collect();
                let verdict = if rules.is_empty() { "pass" } else { "breaks" };
                (verdict, rules, translation.moved.len(), translation.lost.len())
            }
        };
        let (implementation, caller) = (station.implementation.name(), station.caller.name());
        Station { implementation, caller, verdict, rules, realigned, lost }
    }
}

impl From<&cure::Attempt> for Attempt {
    fn from(attempt: &cure::Attempt) -> Attempt {
        Attempt {
            remedies: attempt.remedies.iter().map(Remedy::name).collect(),
            schedules_that_break: attempt.breaks,
            schedules: attempt.schedules,
            closes: attempt.closes,
        }
    }
}
