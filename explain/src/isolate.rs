//! The race window: for a schedule that breaks a rule, the nearest one that does not, and the two
//! steps whose order decides.
//!
//! A schedule is a list of picks, one task per step. A candidate moves one block of a task's steps
//! later or earlier; they are tried by the number of pairs of steps that they exchange, the
//! smallest change first. The first that breaks nothing is the nearest. Every smaller change still
//! breaks it, so the outermost pair that it exchanges decides: the first step that now comes later,
//! and the last one that now comes before it.
//! Preferred are runs in which all steps up to the breach happen too, only in another order: a run
//! in which writeback finds nothing to do, say, passes as well, but explains less.
use mkwrite_model::case::Case;
use mkwrite_model::exec::TaskId;
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::schedule::Picks;
use mkwrite_model::{Setup, Target};

use crate::timeline::{Timeline, watch, watch_picks};
use crate::trail::Trail;
use mkwrite_oracle::judge::Breach;
use mkwrite_oracle::ledger::{Ledger, Signature};
use mkwrite_oracle::run::Runner;

/// Schedules that are tried at the most.
const ATTEMPTS: usize = 20_000;
/// Steps of these at the most, all together: of a long run fewer schedules are tried.
const STEPS: usize = 4_000_000;
/// Pairs of steps that one schedule exchanges at the most.
const DISTANCE: usize = 4096;

/// The nearest schedule that does not break the rule.
#[derive(Clone, Debug)]
pub struct Isolation {
    /// The run that breaks it.
    pub failing: Timeline,
    /// The run that does not.
    pub passing: Timeline,
    /// What breaks there nevertheless, but breaks in the failing run too.
    pub also: Vec<Breach>,
    /// The step of the failing run that must not come first, as an index into its steps.
    pub first: usize,
    /// The step of the failing run that must come before it.
    pub second: usize,
    /// The same two in the passing run: there `second` comes first.
    pub passing_pair: (usize, usize),
    /// How many pairs of steps had to be exchanged.
    pub distance: usize,
}

impl Isolation {
    /// The steps of the failing run, of the task of the second step, between which the first one
    /// fell: the window of the race. The task's last step before, and the second step.
    pub fn window(&self) -> (usize, usize) {
        let task = self.failing.steps[self.second].task;
        let before = (0..self.first).rev().find(|step| self.failing.steps[*step].task == task);
        (before.unwrap_or(self.first), self.second)
    }
}

/// A stretch of steps of one task.
struct Segment {
    task: TaskId,
    start: usize,
    end: usize,
}

fn segments(picks: &[TaskId]) -> Vec<Segment> {
    let mut all: Vec<Segment> = Vec::new();
    for (step, task) in picks.iter().enumerate() {
        match all.last_mut() {
            Some(last) if last.task == *task => last.end = step + 1,
            _ => all.push(Segment { task: *task, start: step, end: step + 1 }),
        }
    }
    all
}

/// Exchange `picks[from..middle]` with `picks[middle..to]`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Move {
    from: usize,
    middle: usize,
    to: usize,
}

impl Move {
    fn distance(self) -> usize {
        (self.middle - self.from) * (self.to - self.middle)
    }

    fn apply(self, picks: &[TaskId]) -> Vec<TaskId> {
        let mut moved = picks.to_vec();
        moved[self.from..self.to].rotate_left(self.middle - self.from);
        moved
    }
}

/// All moves: the end of a task's stretch put off past what follows, until that task runs again;
/// and the start of a stretch pulled ahead of what came before, back to where that task ran last.
fn moves(picks: &[TaskId]) -> Vec<Move> {
    let mut all = Vec::new();
    let near = |m: &Move| m.distance() <= DISTANCE;
    for Segment { task, start, end } in segments(picks) {
        let next =
            picks[end..].iter().position(|other| *other == task).map_or(picks.len(), |n| end + n);
        let last = picks[..start].iter().rposition(|other| *other == task).map_or(0, |n| n + 1);
        for from in start..end {
            let moves = (end + 1..=next).map(|to| Move { from, middle: end, to });
            all.extend(moves.take_while(near));
        }
        for to in start + 1..=end {
            let moves = (last..start).rev().map(|from| Move { from, middle: start, to });
            all.extend(moves.take_while(near));
        }
    }
    all.sort_by_key(|m| (m.distance(), m.from, m.to));
    all.dedup();
    all
}

/// Finds the nearest passing schedule of a case that breaks a rule under its own.
pub fn isolate<F: Filesystem>(
    runner: &mut Runner<F>,
    target: Target<F>,
    ledger: &Ledger<F>,
    case: &Case,
    signature: Signature,
) -> Option<Isolation> {
    let failing = watch(runner, target, case, 0);
    let known: Vec<Breach> = runner.judge.breaches().collect();
    let breach = ledger
        .judged(target, &runner.judge)
        .find_map(|(b, expected)| signature.matches(&b, expected).then_some(b))?;
    let failing = match breach.file {
        0 => failing,
        file => watch(runner, target, case, file),
    };
    let same = |a: &Breach, b: &Breach| {
        a.rule == b.rule && a.point == b.point && a.operation == b.operation
    };
    let before = |b: &Breach| {
        known.iter().any(|k| k.step < breach.step && k.rule != breach.rule && same(k, b))
    };
    let picks = failing.picks();
    let attempts = ATTEMPTS.min(STEPS / picks.len().max(1));
    let mut fallback = None;
    for candidate in moves(&picks).into_iter().take(attempts) {
        let moved = candidate.apply(&picks);
        runner.run_scheduled(target, case, &mut Picks::new(&moved));
        if !runner.judge.breaches().all(|b| before(&b)) {
            continue;
        }
        let mut trail = Trail::default();
        runner.machine.run(Setup { case, target }, &mut Picks::new(&moved), &mut trail);
        // If a task was blocked the run has departed from the list, and shows another exchange.
        let ahead = candidate.from + candidate.to - candidate.middle;
        if !trail.picks().take(ahead).eq(moved[..ahead].iter().copied()) {
            continue;
        }
        let numbers = trail.numbers();
        let same = |step: usize| numbers.get(&failing.steps[step].visit()).copied();
        let (first, second) = (candidate.from, candidate.to - 1);
        let (Some(p1), Some(p2)) = (same(first), same(second)) else { continue };
        if p2 > p1 {
            continue;
        }
        let upto = (breach.step as usize + 1).min(picks.len());
        let complete = (0..upto).all(|step| same(step).is_some());
        if complete || fallback.is_none() {
            let passing = watch_picks(runner, target, case, breach.file, &moved);
            let (failing, also) = (failing.clone(), runner.judge.breaches().collect());
            let (passing_pair, distance) = ((p1, p2), candidate.distance());
            let found = Isolation { failing, passing, also, first, second, passing_pair, distance };
            if complete {
                return Some(found);
            }
            fallback = Some(found);
        }
    }
    fallback
}
