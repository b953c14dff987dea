//! Names on the command line and in files: what they stand for, or an error that lists the names
//! that are known.

use anyhow::{Context, Result, anyhow};
use mkwrite_model::era::Era;
use mkwrite_model::implementation::{Filesystem, Pair};
use mkwrite_model::plant::Plant;
use mkwrite_model::remedy::Remedy;
use mkwrite_model::schedule::SchedulerKind;
use mkwrite_model::text::near;
use mkwrite_oracle::Rule;
use mkwrite_search::feedback::{Signal, Signals};

/// The implementations that a comma-separated list names; all if there is no list.
pub(crate) fn implementations<F: Filesystem>(list: &[String]) -> Result<Vec<F>> {
    if list.is_empty() {
        return Ok(F::all().to_vec());
    }
    let find = |name: &String| {
        F::by_name(name)
            .ok_or_else(|| unknown("implementation", name, F::all().iter().map(|fs| fs.name())))
    };
    let mut all: Vec<F> = list.iter().map(find).collect::<Result<_>>()?;
    all.dedup();
    Ok(all)
}

/// The callers that a comma-separated list names.
pub(crate) fn callers(list: &[String]) -> Result<Vec<Era>> {
    let find = |name: &String| {
        Era::caller(name)
            .ok_or_else(|| unknown("caller", name, Era::CALLERS.iter().map(|caller| caller.name())))
    };
    list.iter().map(find).collect()
}

/// The pairs of all implementations with these callers, as far as they fit, or with their natural
/// ones.
pub(crate) fn pairs_that_fit<F: Filesystem>(callers: &[Era]) -> Vec<Pair<F>> {
    let natural = F::all().iter().filter(|_| callers.is_empty()).map(|fs| Pair::natural(*fs));
    let named = F::all()
        .iter()
        .flat_map(|fs| callers.iter().filter_map(|caller| Pair::new(*fs, *caller).ok()));
    natural.chain(named).collect()
}

/// The pairs of these implementations with these callers, or with their natural ones. A pair that
/// is named on both sides must fit.
pub(crate) fn pairs<F: Filesystem>(implementations: &[F], callers: &[Era]) -> Result<Vec<Pair<F>>> {
    if callers.is_empty() {
        return Ok(implementations.iter().map(|fs| Pair::natural(*fs)).collect());
    }
    let all = implementations.iter().flat_map(|fs| callers.iter().map(|caller| (*fs, *caller)));
    let help = "run `mkwrite list implementations` to see their conventions";
    all.map(|(fs, caller)| Pair::new(fs, caller).context(help)).collect()
}

/// The rule with this name.
pub(crate) fn rule(name: &str) -> Result<Rule> {
    Rule::by_id(name).ok_or_else(|| unknown("rule", name, Rule::ALL.iter().map(|rule| rule.id())))
}

/// The plant with this name.
pub(crate) fn plant(name: &str) -> Result<Plant> {
    Plant::from_name(name)
        .ok_or_else(|| unknown("plant", name, Plant::ALL.iter().map(|plant| plant.name())))
}

/// The remedy with this name.
pub(crate) fn remedy(name: &str) -> Result<Remedy> {
    Remedy::from_name(name).ok_or_else(|| {
        unknown("remedy", name, Remedy::ALL.iter().map(|remedy| remedy.name()).chain(["all"]))
    })
}

/// The scheduler with this name.
pub(crate) fn scheduler(name: &str) -> Result<SchedulerKind> {
    SchedulerKind::from_name(name).ok_or_else(|| {
        unknown("scheduler", name, SchedulerKind::ALL.iter().map(|kind| kind.name()))
    })
}

/// The signals of a comma-separated list; nothing for `none`.
pub(crate) fn signals(list: &[String]) -> Result<Option<Signals>> {
    if list == ["none"] {
        return Ok(None);
    }
    if list.iter().any(|name| name == "none") {
        return Err(anyhow!("`none` stands beside other signals"))
            .context("give `none` alone, or signals");
    }
    let find = |name: &String| {
        Signal::from_name(name).ok_or_else(|| {
            unknown("signal", name, Signal::ALL.iter().map(|signal| signal.name()).chain(["none"]))
        })
    };
    let all: Vec<Signal> = list.iter().map(find).collect::<Result<_>>()?;
    Ok(Some(Signals::of(&all)))
}

/// An unknown name, with the one that was meant if it is near, and what is known.
pub(crate) fn unknown<'a>(
    what: &str,
    name: &str,
    known: impl Iterator<Item = &'a str>,
) -> anyhow::Error {
    let known: Vec<&str> = known.collect();
    let near = near(name, known.iter().copied()).map_or(String::new(), |near| near + " ");
    anyhow!("unknown {what} `{name}`").context(format!("{near}known are: {}", known.join(", ")))
}
