//! Schedules by named points, carried over to where a point does not fit: to another
//! implementation, or to a later version of the code.
//!
//! [`translate`] carries a case to another pair. A stop says that everything before its point is
//! done; where the other pair never comes to that point, the stop becomes the next point that both
//! come to in the same slot. [`mend`] repairs a case that says what it expects: the stops that are
//! broken are replaced, and what is taken is a schedule under which the expectations hold.
use mkwrite_model::Target;
use mkwrite_model::case::{Case, Stop};
use mkwrite_model::exec::TaskId;
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::text::Document;

use crate::shrink::{Goal, HeldOn, Shrinker};
use crate::trail::Trail;
use mkwrite_oracle::ledger::Ledger;
use mkwrite_oracle::run::{Runner, with_order};
use mkwrite_oracle::verdict::judge;

/// Broken stops of a schedule that is mended; one with more is another schedule.
const HOLES_MAX: usize = 64;

/// A case on another pair.
#[derive(Clone, Debug)]
pub struct Translation {
    /// The case with a schedule that fits.
    pub case: Case,
    /// Stops that were replaced, as (old, new).
    pub moved: Vec<(Stop, Stop)>,
    /// Stops for which nothing fits. The run does without them.
    pub lost: Vec<Stop>,
}

/// The steps of a run of the case, and the stops that it does not reach.
fn follow<F: Filesystem>(
    runner: &mut Runner<F>,
    target: Target<F>,
    case: &Case,
) -> (Trail, Vec<usize>) {
    let mut trail = Trail::default();
    let missed = runner.follow(target, case, &mut trail);
    (trail, missed)
}

/// Carries a case from one target to another.
pub fn translate<F: Filesystem>(
    runner: &mut Runner<F>,
    from: Target<F>,
    to: Target<F>,
    case: &Case,
) -> Translation {
    let mut translation = Translation { case: case.clone(), moved: Vec::new(), lost: Vec::new() };
    let (original, missed) = follow(runner, from, case);
    // What was missed where the case comes from is no loss elsewhere.
    let skip = missed.len();
    for _ in 0..case.schedule.stops().len() {
        let missed = runner.follow(to, &translation.case, &mut ());
        let Some(&broken) = missed.get(skip) else { break };
        let mut list = translation.case.schedule.stops().to_vec();
        let stop = list[broken];
        // How far the task would go in this slot from here.
        list[broken] = Stop { point: None, occurrence: 1, ..stop };
        let (trail, _) = follow(runner, to, &with_order(case, list.clone()));
        let there = trail.points(stop.task, stop.slot);
        let here = original.points(stop.task, stop.slot);
        let wanted =
            here.iter().position(|(point, n)| Some(*point) == stop.point && *n >= stop.occurrence);
        let after = here[wanted.map_or(here.len(), |n| n + 1)..].iter();
        match after.copied().find(|point| there.contains(point)) {
            Some((point, occurrence)) => {
                list[broken] = Stop { point: Some(point), occurrence, ..stop };
                translation.moved.push((stop, list[broken]));
            }
            None => {
                list.remove(broken);
                translation.lost.push(stop);
            }
        }
        translation.case = with_order(case, list);
    }
    translation
}

/// Repairs a document whose stops at these positions are broken (a stop in its order, or `gaps`:
/// where a stop would stand that could not be read, and whose it is). Returns a case that fulfils
/// what the document expects.
pub fn mend<F: Filesystem>(
    runner: &mut Runner<F>,
    ledger: &Ledger<F>,
    target: Target<F>,
    document: &Document,
    gaps: &[(usize, TaskId, u8)],
) -> Option<Case> {
    let good = |runner: &mut Runner<F>, case: &Case| {
        let candidate = Document { case: case.clone(), ..document.clone() };
        runner.missed_stops(target, case).is_empty()
            && judge(runner, ledger, target, &candidate).verdict.is_good()
    };
    // The broken stops out, and a hole for each.
    let mut list = document.case.schedule.stops().to_vec();
    let mut holes: Vec<(usize, TaskId, u8)> = gaps.to_vec();
    if gaps.is_empty() {
        for (before, broken) in runner.missed_stops(target, &document.case).into_iter().enumerate()
        {
            let stop = list.remove(broken - before);
            holes.push((broken - before, stop.task, stop.slot));
        }
    }
    if holes.len() > HOLES_MAX {
        return None;
    }
    let mut bare = with_order(&document.case, list);
    for (n, (position, task, slot)) in holes.into_iter().enumerate() {
        let with = |stop: Stop| {
            let mut list = bare.schedule.stops().to_vec();
            list.insert((position + n).min(list.len()), stop);
            with_order(&bare, list)
        };
        let to_the_end = with(Stop { task, slot, point: None, occurrence: 1 });
        let reached = follow(runner, target, &to_the_end).0.points(task, slot);
        let candidates = reached.into_iter().map(|(point, occurrence)| (Some(point), occurrence));
        let mut cases = candidates
            .chain([(None, 1)])
            .map(|(point, occurrence)| with(Stop { task, slot, point, occurrence }));
        if let Some(case) = cases.find(|case| good(runner, case)) {
            return Some(case);
        }
        bare = to_the_end;
    }
    let goal =
        Goal::Document(vec![HeldOn::expected(target, &document.expects)], runner.reference());
    let case = Shrinker::new(runner, goal, ledger).reschedule(&bare)?;
    good(runner, &case).then_some(case)
}
