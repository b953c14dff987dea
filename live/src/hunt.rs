//! Hunting on a kernel: cases whose actors race, each run some times with other delays, judged by
//! the history alone. What breaks is made smaller by how often it still shows, because nothing here
//! is deterministic.

use std::collections::BTreeMap;
use std::io;

use mkwrite_model::case::{AMPLE, Case, Faults};
use mkwrite_model::generate::Generator;
use mkwrite_oracle::history::History;

use crate::exec::{Place, Team};
use crate::judge::{Broken, judge};

/// The longest delays before an operation, in turns of a loop, in turn.
const DELAYS: [u32; 4] = [0, 30, 300, 3000];

/// Rounds after which a smaller case counts as one that does not show it.
const PATIENCE: u32 = 150;

/// What a hunt runs.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The seed of the cases.
    pub seed: u64,
    /// Rounds of each case.
    pub rounds: u32,
    /// File sizes are multiples of a page.
    pub aligned: bool,
}

/// What a number of runs came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Count {
    /// Cases.
    pub cases: u64,
    /// Runs.
    pub runs: u64,
    /// Operations.
    pub operations: u64,
    /// Runs in which calls of two actors overlapped.
    pub overlapped: u64,
    /// Runs in which some cell that was seen was torn.
    pub torn: u64,
    /// Runs of which the checker could not decide some cell.
    pub undecided: u64,
    /// Syncs that were judged by what the store held when they returned.
    pub syncs: u64,
}

/// Something that runs broke.
#[derive(Clone, Debug)]
pub struct Found {
    /// What.
    pub broken: Broken,
    /// Where, in the first run that broke it.
    pub detail: String,
    /// The case.
    pub case: Case,
    /// Runs that broke it.
    pub hits: u64,
}

/// Runs cases on a folder and judges them.
pub struct Hunter {
    place: Place,
    history: History,
    run: u32,
    /// What ran so far.
    pub count: Count,
}

/// What is broken in how many of the runs of a case, with the place of the first.
pub type Hits = BTreeMap<Broken, (u64, String)>;

impl Hunter {
    /// On this folder.
    pub fn new(place: Place) -> Hunter {
        Hunter {
            place,
            history: History::default(),
            run: std::process::id() << 16,
            count: Count::default(),
        }
    }

    /// Puts a case into the form that is run: no faults, the filesystem's blocks, and ample space, or
    /// few free pages where the filesystem is to be full.
    pub fn settle(&self, case: &mut Case) {
        let free =
            if self.place.full { case.geometry.free.min(case.geometry.size % 3) } else { AMPLE };
        (case.geometry.free, case.faults) = (free, Faults::default());
        case.geometry.settle_for_kernel(self.place.blocks);
        case.fix_up();
    }

    /// Runs a case so often, or until `enough` of what it breaks.
    pub fn rounds(
        &mut self,
        case: &Case,
        rounds: u32,
        enough: impl Fn(&Hits) -> bool,
    ) -> io::Result<Hits> {
        let mut hits = Hits::new();
        let mut team = Team::start(&self.place, case, self.run)?;
        self.run = self.run.wrapping_add(rounds + 1);
        self.count.cases += 1;
        for round in 0..rounds {
            self.count.runs += 1;
            self.count.operations += case.operations().count() as u64;
            let Some(run) = team.round(DELAYS[round as usize % DELAYS.len()])? else {
                let stuck = Broken::trouble("stuck", "rest");
                hits.entry(stuck)
                    .or_insert((0, "the round did not end, or a process died".to_owned()))
                    .0 += 1;
                return Ok(hits);
            };
            let verdict = judge(&mut self.history, case, &run);
            self.count.overlapped += u64::from(verdict.overlapped);
            self.count.torn += u64::from(verdict.torn);
            self.count.undecided += u64::from(verdict.undecided);
            self.count.syncs += verdict.syncs;
            for (broken, detail) in verdict.broken {
                hits.entry(broken).or_insert((0, detail)).0 += 1;
            }
            if enough(&hits) {
                break;
            }
        }
        Ok(hits)
    }

    /// Runs random cases as long as `goes_on`, which is asked before each case.
    pub fn hunt(
        &mut self,
        plan: Plan,
        mut goes_on: impl FnMut(&Count) -> bool,
    ) -> io::Result<Vec<Found>> {
        let (mut found, mut case) = (Vec::<Found>::new(), Case::default());
        for index in 0.. {
            if !goes_on(&self.count) {
                break;
            }
            Generator::new(plan.aligned).generate(plan.seed, index, &mut case);
            self.settle(&mut case);
            if case.is_sequential() {
                continue;
            }
            for (broken, (hits, detail)) in self.rounds(&case, plan.rounds, |_| false)? {
                match found.iter_mut().find(|found| found.broken == broken) {
                    Some(found) => found.hits += hits,
                    None => found.push(Found { broken, detail, case: case.clone(), hits }),
                }
            }
        }
        Ok(found)
    }

    /// A case with fewer operations that still breaks this, if it did within a number of rounds.
    pub fn smaller(&mut self, found: &Found, goes_on: impl Fn() -> bool) -> io::Result<Case> {
        let mut case = found.case.clone();
        let shows = |hits: &Hits| hits.contains_key(&found.broken);
        let mut again = true;
        while again {
            again = false;
            for (task, slot, _) in case.clone().operations().collect::<Vec<_>>().into_iter().rev() {
                if !goes_on() {
                    return Ok(case);
                }
                let mut candidate = case.clone();
                candidate.actors[task.index()].operations.remove(slot.into());
                candidate.actors.retain(|actor| !actor.operations.is_empty());
                if candidate.actors.is_empty() {
                    continue;
                }
                self.settle(&mut candidate);
                if shows(&self.rounds(&candidate, PATIENCE, shows)?) {
                    (case, again) = (candidate, true);
                    break;
                }
            }
        }
        Ok(case)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::{Store, filesystem};

    #[test]
    fn a_short_hunt_runs_and_breaks_nothing_with_sizes_in_whole_pages() {
        let folder = tempfile::tempdir().unwrap();
        let store = filesystem(folder.path()).map_or(Store::Unseen, |(_, store, _)| store);
        let mut hunter =
            Hunter::new(Place { folder: folder.path().to_owned(), blocks: 1, store, full: false });
        let plan = Plan { seed: 5, rounds: 4, aligned: true };
        let found = hunter.hunt(plan, |count| count.cases < 12).unwrap();
        assert_eq!(
            found.iter().map(|found| (&found.broken, &found.detail)).collect::<Vec<_>>(),
            []
        );
        assert_eq!((hunter.count.cases, hunter.count.runs), (12, 48));
        assert!(hunter.count.operations > 48);
    }
}
