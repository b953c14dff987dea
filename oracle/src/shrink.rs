//! Makes a case that breaks a rule smaller, holding the signature fixed: rule, point, and the ledger's entry
//! if one expects it. So it never slips to another bug.
//!
//! Operations and schedule shrink together: a candidate with fewer operations is tried with the stops that
//! are left, and if these no longer fit with a number of fresh schedules. Then fewer stops, a simpler file,
//! shorter ranges, and numbering without gaps; again until nothing helps. Deterministic.

use mkwrite_model::case::{AMPLE, Actor, Case, Faults, Operand, Operation, Range, Schedule, Stop};
use mkwrite_model::exec::TaskId;
use mkwrite_model::generate::random;
use mkwrite_model::schedule::Kind;

use crate::ledger::{Ledger, Signature};
use crate::run::{How, Runner, Target, with_order};

/// Fresh schedules that a candidate with fewer operations is tried with.
const SCHEDULES: u64 = 60;

/// Shrinks cases of one signature on one target.
pub struct Shrinker<'a> {
    runner: &'a mut Runner,
    target: Target,
    ledger: &'a Ledger,
    signature: Signature,
}

impl<'a> Shrinker<'a> {
    /// Holds `signature` on `target`.
    pub fn new(runner: &'a mut Runner, target: Target, ledger: &'a Ledger, signature: Signature) -> Shrinker<'a> {
        Shrinker { runner, target, ledger, signature }
    }

    /// The case breaks the rule in this way, under its own schedule.
    pub fn shows(&mut self, case: &Case) -> bool {
        self.runner.run(self.target, case, How::Own);
        self.last_run_shows()
    }

    fn last_run_shows(&self) -> bool {
        let mut classifier = self.ledger.classify(self.target.pair);
        self.runner.judge.breaches().any(|b| self.signature.matches(&b, classifier.next(&b)))
    }

    /// Shrinks `case`, which must show the signature under its own schedule of stops.
    pub fn shrink(&mut self, mut case: Case) -> Case {
        loop {
            let before = case.clone();
            self.drop_operations(&mut case);
            self.drop_stops(&mut case);
            self.simplify_file(&mut case);
            self.shorten_ranges(&mut case);
            self.renumber(&mut case);
            if case == before {
                return case;
            }
        }
    }

    /// Takes a change if the case still shows what it should.
    fn attempt(&mut self, case: &mut Case, change: impl FnOnce(&mut Case)) -> bool {
        let mut candidate = case.clone();
        change(&mut candidate);
        candidate.fix_up();
        let better = candidate != *case && self.shows(&candidate);
        if better {
            *case = candidate;
        }
        better
    }

    /// The same, and tries fresh schedules if the stops no longer fit.
    fn attempt_anew(&mut self, case: &mut Case, change: impl Fn(&mut Case)) -> bool {
        if self.attempt(case, &change) {
            return true;
        }
        let mut candidate = case.clone();
        change(&mut candidate);
        candidate.fix_up();
        if candidate == *case {
            return false;
        }
        for n in 0..SCHEDULES {
            let kind = [Kind::Pos, Kind::Pct3, Kind::Pct2, Kind::Walk][n as usize % 4];
            self.runner.run(self.target, &candidate, How::Random(kind, random(n, 0, 3)));
            if self.last_run_shows() {
                let stops = self.runner.record(self.target, &candidate, How::Random(kind, random(n, 0, 3)));
                let ordered = with_order(&candidate, stops);
                if self.shows(&ordered) {
                    *case = ordered;
                    self.drop_stops(case);
                    return true;
                }
            }
        }
        false
    }

    fn drop_operations(&mut self, case: &mut Case) {
        for actor in (0..case.actors.len()).rev() {
            self.attempt_anew(case, |c| c.actors[actor].operations.clear());
            for slot in (0..case.actors[actor].operations.len()).rev() {
                self.attempt_anew(case, |c| {
                    if let Some(operation) = c.actors[actor].operations.get_mut(slot) {
                        *operation = Operation::Empty;
                    }
                });
            }
        }
    }

    fn drop_stops(&mut self, case: &mut Case) {
        let mut size = stops(case).len().next_power_of_two();
        while size > 0 {
            let mut start = 0;
            while start < stops(case).len() {
                let dropped = self.attempt(case, |c| {
                    let stops = stops(c);
                    let end = (start + size).min(stops.len());
                    stops.drain(start..end);
                });
                if !dropped {
                    start += size;
                }
            }
            size /= 2;
        }
        // What happened to stop at a point may as well run until it blocks.
        for i in 0..stops(case).len() {
            self.attempt(case, |c| (stops(c)[i].point, stops(c)[i].occurrence) = (None, 1));
        }
    }

    fn simplify_file(&mut self, case: &mut Case) {
        self.attempt(case, |c| c.faults = Faults::default());
        if case.faults.stable != 0 {
            self.attempt(case, |c| c.faults.stable = u16::MAX);
        }
        self.attempt(case, |c| c.geometry.free = AMPLE);
        self.attempt(case, |c| c.geometry.holes = 0);
        for actor in 0..case.actors.len() {
            self.attempt(case, |c| c.actors[actor].mm = 0);
        }
        while self.attempt(case, shift_down) {}
        while self.attempt(case, |c| c.geometry.mms = (c.geometry.mms - 1).max(1)) {}
        while self.attempt(case, |c| c.geometry.pages = (c.geometry.pages - 1).max(1)) {}
        while self.attempt(case, |c| c.geometry.blocks /= 2) {}
        while self.attempt(case, |c| c.geometry.cells /= 2) {}
        self.attempt(case, |c| c.geometry.size = c.geometry.file_cells());
    }

    fn shorten_ranges(&mut self, case: &mut Case) {
        for actor in 0..case.actors.len() {
            for slot in 0..case.actors[actor].operations.len() {
                let operation = case.actors[actor].operations[slot];
                let (kind, Range { start, end }) = (operation.kind(), operation.range());
                if !matches!(kind.operand, Operand::Cells | Operand::Pages) {
                    continue;
                }
                for (start, end) in [(start, start + 1), (end.saturating_sub(1), end), (start, end.saturating_sub(1))] {
                    let range = Range::new(start, end);
                    let shorter = Operation::from_code(kind.code, range).expect("the code is the operation's own");
                    if self.attempt(case, |c| c.actors[actor].operations[slot] = shorter) {
                        break;
                    }
                }
            }
        }
    }

    /// Actors and slots without gaps.
    fn renumber(&mut self, case: &mut Case) {
        self.attempt_anew(case, |c| {
            let full = |actor: &Actor| {
                let slots = 0..actor.operations.len() as u8;
                slots.filter(|slot| actor.operations[usize::from(*slot)] != Operation::Empty).collect::<Vec<u8>>()
            };
            let slots: Vec<Vec<u8>> = c.actors.iter().map(full).collect();
            let kept: Vec<usize> = (0..slots.len()).filter(|actor| !slots[*actor].is_empty()).collect();
            for stop in stops(c) {
                let old = stop.task.index();
                if let Some(new) = kept.iter().position(|actor| *actor == old) {
                    stop.task = TaskId(new as u8);
                    let slot = slots[old].iter().position(|slot| *slot == stop.slot);
                    stop.slot = slot.map_or(stop.slot, |slot| slot as u8);
                }
            }
            for actor in &mut c.actors {
                actor.operations.retain(|operation| *operation != Operation::Empty);
            }
            c.actors.retain(|actor| !actor.operations.is_empty());
            // A stop beyond an actor's last operation means its end.
            let last: Vec<u8> = c.actors.iter().map(|actor| actor.operations.len().max(1) as u8 - 1).collect();
            for stop in stops(c) {
                if let Some(last) = last.get(stop.task.index()).filter(|last| stop.slot > **last) {
                    *stop = Stop { task: stop.task, slot: *last, point: None, occurrence: 1 };
                }
            }
        });
    }
}

/// Everything one page nearer to the start of the file.
fn shift_down(case: &mut Case) {
    let cells = case.geometry.cells;
    case.geometry.size = case.geometry.size.saturating_sub(cells);
    case.geometry.holes >>= 1;
    for operation in case.actors.iter_mut().flat_map(|actor| &mut actor.operations) {
        let (kind, range) = (operation.kind(), operation.range());
        let by = if kind.operand == Operand::Pages { 1 } else { cells };
        let range = Range::new(range.start.saturating_sub(by), range.end.saturating_sub(by));
        *operation = Operation::from_code(kind.code, range).expect("the code is the operation's own");
    }
}

fn stops(case: &mut Case) -> &mut Vec<Stop> {
    if let Schedule::Seed { .. } = case.schedule {
        case.schedule = Schedule::Order(Vec::new());
    }
    match &mut case.schedule {
        Schedule::Order(stops) => stops,
        Schedule::Seed { .. } => unreachable!("it was replaced above"),
    }
}
