//! A case over the versions of a filesystem, and over the callers: which is the first that breaks,
//! and which the first that does not.

use mkwrite_model::Target;
use mkwrite_model::case::Case;
use mkwrite_model::era::Era;
use mkwrite_model::implementation::{Filesystem, Pair};
use mkwrite_model::text::Document;

use crate::realign::{Translation, translate};
use mkwrite_oracle::judge::Breach;
use mkwrite_oracle::ledger::{Expected, Ledger};
use mkwrite_oracle::run::{Runner, ScheduledBy, switched, targets_of};

/// What a case does on a pair that it was not made for.
#[derive(Clone, Debug)]
pub enum Tried {
    /// Implementation and caller do not fit; the reason.
    Refused(String),
    /// It ran.
    Ran {
        /// The case with the schedule that was run, and what was changed in it.
        translation: Translation,
        /// What broke, in order.
        breaches: Vec<(Breach, Expected)>,
        /// Something broke that the ledger does not list, on a pair that hunts look at by default.
        new: bool,
    },
}

impl Tried {
    /// Something broke.
    pub fn breaks(&self) -> bool {
        matches!(self, Tried::Ran { breaches, .. } if !breaches.is_empty())
    }

    /// It ran and nothing broke, and nothing of its schedule was lost: the pair passes.
    pub fn passes(&self) -> bool {
        matches!(self, Tried::Ran { breaches, translation, .. } if breaches.is_empty() && translation.lost.is_empty())
    }
}

/// Runs a case made for `from` on an implementation under a caller.
pub fn outcome<F: Filesystem>(
    runner: &mut Runner<F>,
    ledger: &Ledger<F>,
    from: Target<F>,
    case: &Case,
    fs: F,
    caller: Era,
) -> Tried {
    let pair = match Pair::new(fs, caller) {
        Ok(pair) => pair,
        Err(refused) => return Tried::Refused(refused.to_string()),
    };
    let to = Target { pair, ..from };
    let translation = translate(runner, from, to, case);
    runner.run(to, &translation.case, ScheduledBy::Own);
    let breaches: Vec<_> = ledger.judged(to, &runner.judge).collect();
    let new =
        ledger.is_default(pair) && breaches.iter().any(|(_, expected)| *expected == Expected::No);
    Tried::Ran { translation, breaches, new }
}

/// The target that a document's schedule was made for: the first that it names, or the first
/// implementation.
pub fn home<F: Filesystem>(document: &Document) -> Option<Target<F>> {
    if document.runs.is_empty() {
        return F::all().first().map(|fs| switched(document, Pair::natural(*fs)));
    }
    targets_of(document).ok()?.first().copied()
}

/// One implementation and caller of a series, and what came of it.
#[derive(Clone, Debug)]
pub struct Station<F> {
    /// The implementation.
    pub implementation: F,
    /// The caller.
    pub caller: Era,
    /// What came of it.
    pub outcome: Tried,
}

impl<F: Filesystem> std::fmt::Display for Station<F> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} x {}", self.implementation.name(), self.caller.name())
    }
}

/// A series in order of age.
#[derive(Clone, Debug)]
pub struct Series<F> {
    /// What varies, in words.
    pub what: String,
    /// Each, oldest first.
    pub stations: Vec<Station<F>>,
}

impl<F: Filesystem> Series<F> {
    /// The first that breaks, and the first after it that does not.
    pub fn turn(&self) -> (Option<&Station<F>>, Option<&Station<F>>) {
        let first = self.stations.iter().position(|station| station.outcome.breaks());
        let after = self.stations[first.unwrap_or(self.stations.len())..].iter();
        (first.map(|n| &self.stations[n]), after.clone().find(|station| station.outcome.passes()))
    }
}

/// The versions of the filesystem of `from`, each under its natural caller; and all callers under
/// its version.
pub fn bisect<F: Filesystem>(
    runner: &mut Runner<F>,
    ledger: &Ledger<F>,
    from: Target<F>,
    case: &Case,
) -> [Series<F>; 2] {
    let (fs, caller) = (from.pair.implementation, from.pair.caller);
    let mut station = |implementation: F, caller: Era| Station {
        implementation,
        caller,
        outcome: outcome(runner, ledger, from, case, implementation, caller),
    };
    let versions = F::all().iter().filter(|other| other.family() == fs.family());
    let versions = versions.map(|fs| station(*fs, Pair::natural(*fs).caller)).collect();
    let callers = Era::CALLERS.iter().map(|caller| station(fs, *caller)).collect();
    [
        Series {
            what: format!("versions of {}, each under its natural caller", fs.family()),
            stations: versions,
        },
        Series {
            what: format!("callers of {} (found under {})", fs.name(), caller.name()),
            stations: callers,
        },
    ]
}
