//! Mutations of cases, for whoever searches from cases that were worth keeping: hunts, and the
//! fuzzing engines through their custom mutators. A mutation is a small step between programs or
//! schedules, where a changed byte is any step at all. Adding one is a function and a line of the
//! table.
//!
//! Mutated cases are fixed up, so that they are in range whatever was done to them.

use rand::{Rng, RngExt};

use crate::case::{Actor, Case, Geometry, Operation, Override, Schedule, Site, Stop};
use crate::exec::{ACTORS_MAX, TaskId};
use crate::generate::{self, Random, by_weight, one_in};
use crate::geometry::FIELDS;
use crate::point::Point;

/// The most mutations that one call makes.
const MUTATIONS_PER_CALL_MAX: u32 = 4;

/// A line of the table of mutations.
pub struct Mutation {
    /// Its name.
    pub name: &'static str,
    /// How often it is chosen, as a share of all.
    pub weight: u32,
    /// One line of help.
    pub help: &'static str,
    apply: fn(&mut Case, &mut Random),
}

macro_rules! mutations {
    ($($weight:literal $name:ident $help:literal;)*) => {
        /// The table.
        pub const MUTATIONS: &[Mutation] =
            &[$(Mutation { name: stringify!($name), weight: $weight, help: $help, apply: $name }),*];
    };
}

mutations! {
    16 insert    "insert an operation that works on the case's pages";
    10 delete    "delete an operation";
    8  empty     "empty an operation's slot, so that the others keep theirs";
    8  duplicate "copy an operation to some place";
    8  shift     "move an operation to some place";
    10 retarget  "give an operation another operand";
    10 replace   "replace an operation in its slot";
    3  splice    "swap the tails of two actors";
    3  theme     "put a theme in front: operations that random ones hardly ever are in a row";
    3  actor     "add an actor, or take one away";
    2  mm        "put an actor into another address space";
    8  shape     "change one number of the file's shape";
    4  fault     "toggle a fault";
    6  preempt   "add, move or drop a preemption";
}

/// Changes a case by a few mutations, and mostly draws a fresh schedule.
pub fn mutate(case: &mut Case, r: &mut Random) {
    let total: u32 = MUTATIONS.iter().map(|mutation| mutation.weight).sum();
    for _ in 0..=r.next_u32().trailing_zeros().min(MUTATIONS_PER_CALL_MAX - 1) {
        let draw = r.random_range(0..total);
        let apply =
            by_weight(MUTATIONS.iter().map(|mutation| (mutation.apply, mutation.weight)), draw);
        apply(case, r);
        case.fix_up();
    }
    if !one_in(r, 4) {
        reseed(case, r);
    }
}

/// A fresh schedule for the same program.
pub fn reseed(case: &mut Case, r: &mut Random) {
    if let Schedule::Seed { seed, .. } = &mut case.schedule {
        *seed = r.next_u32();
    }
}

/// Puts programs of another case into this one: some of its actors, or its shape under the programs
/// of this one.
pub fn cross(case: &mut Case, other: &Case, r: &mut Random) {
    for (n, theirs) in other.actors.iter().enumerate() {
        if one_in(r, 2) {
            match case.actors.get_mut(n) {
                Some(actor) => actor.clone_from(theirs),
                None => case.actors.push(theirs.clone()),
            }
        }
    }
    if one_in(r, 3) {
        (case.geometry, case.faults) = (other.geometry, other.faults);
    }
    if one_in(r, 3) {
        case.schedule.clone_from(&other.schedule);
    } else {
        reseed(case, r);
    }
    case.fix_up();
}

fn any_actor(case: &Case, r: &mut Random) -> usize {
    r.random_range(0..case.actors.len())
}

/// Some operation, as actor and slot.
fn any(case: &Case, r: &mut Random) -> Option<(usize, usize)> {
    let count = case.actors.iter().map(|actor| actor.operations.len()).sum::<usize>();
    let mut nth = (count > 0).then(|| r.random_range(0..count))?;
    for (n, actor) in case.actors.iter().enumerate() {
        match nth.checked_sub(actor.operations.len()) {
            Some(left) => nth = left,
            None => return Some((n, nth)),
        }
    }
    None
}

fn put(case: &mut Case, r: &mut Random, operation: Operation) {
    let actor = any_actor(case, r);
    let operations = &mut case.actors[actor].operations;
    if operations.len() < usize::from(case.limits.operations) {
        operations.insert(r.random_range(0..=operations.len()), operation);
    }
}

/// An operation as the generator draws it.
fn drawn(case: &Case, r: &mut Random) -> Operation {
    let hot = r.random_range(0..case.geometry.pages);
    generate::any_operation(r, case.geometry, hot)
}

fn insert(case: &mut Case, r: &mut Random) {
    let operation = drawn(case, r);
    put(case, r, operation);
}

fn delete(case: &mut Case, r: &mut Random) {
    if let Some((actor, slot)) = any(case, r) {
        case.actors[actor].operations.remove(slot);
    }
}

fn empty(case: &mut Case, r: &mut Random) {
    if let Some((actor, slot)) = any(case, r) {
        case.actors[actor].operations[slot] = Operation::Empty;
    }
}

fn duplicate(case: &mut Case, r: &mut Random) {
    if let Some((actor, slot)) = any(case, r) {
        put(case, r, case.actors[actor].operations[slot]);
    }
}

fn shift(case: &mut Case, r: &mut Random) {
    if let Some((actor, slot)) = any(case, r) {
        let operation = case.actors[actor].operations.remove(slot);
        put(case, r, operation);
    }
}

fn retarget(case: &mut Case, r: &mut Random) {
    if let Some((actor, slot)) = any(case, r) {
        let (code, hot) = (
            case.actors[actor].operations[slot].kind().code,
            r.random_range(0..case.geometry.pages),
        );
        case.actors[actor].operations[slot] = generate::operation(r, code, case.geometry, hot);
    }
}

fn replace(case: &mut Case, r: &mut Random) {
    if let Some((actor, slot)) = any(case, r) {
        case.actors[actor].operations[slot] = drawn(case, r);
    }
}

fn splice(case: &mut Case, r: &mut Random) {
    let (a, b) = (any_actor(case, r), any_actor(case, r));
    if a != b {
        let cut = |case: &Case, r: &mut Random, n: usize| {
            r.random_range(0..=case.actors[n].operations.len())
        };
        let (at_a, at_b) = (cut(case, r, a), cut(case, r, b));
        let tail = case.actors[a].operations.split_off(at_a);
        let theirs = case.actors[b].operations.split_off(at_b);
        case.actors[a].operations.extend(theirs);
        case.actors[b].operations.extend(tail);
    }
}

fn actor(case: &mut Case, r: &mut Random) {
    if one_in(r, 2) && case.actors.len() > 1 {
        let gone = any_actor(case, r);
        case.actors.remove(gone);
    } else if case.actors.len() < usize::from(case.limits.actors).min(ACTORS_MAX) {
        let mm = r.random_range(0..case.geometry.mms);
        case.actors.push(Actor { mm, operations: vec![drawn(case, r)] });
    }
}

fn theme(case: &mut Case, r: &mut Random) {
    let hot = r.random_range(0..case.geometry.pages);
    crate::theme::begin(case, r, hot);
}

fn mm(case: &mut Case, r: &mut Random) {
    let (actor, mms) = (any_actor(case, r), case.geometry.mms);
    case.actors[actor].mm = r.random_range(0..mms);
}

fn shape(case: &mut Case, r: &mut Random) {
    let drawn = Geometry::draw(r);
    let field = &FIELDS[r.random_range(0..FIELDS.len())];
    field.mutate(&mut case.geometry, &drawn, r);
}

fn fault(case: &mut Case, r: &mut Random) {
    let toggled = || Site::ALL.iter().copied().filter(|site| site.row().toggled != 0);
    let n = r.random_range(0..toggled().count());
    let site = toggled().nth(n).expect("below the count");
    let times = case.faults.of(site);
    let times = match r.random_range(0..4) {
        // All replies may be of a kind; not all of what can fail fails.
        0 if !site.row().is_error => {
            if one_in(r, 2) {
                0
            } else {
                u16::MAX
            }
        }
        _ => times ^ 1 << r.random_range(0..site.row().toggled),
    };
    case.faults.set(site, times);
}

fn preempt(case: &mut Case, r: &mut Random) {
    let Some((task, slot)) = any(case, r).map(|(actor, slot)| (TaskId(actor as u8), slot as u8))
    else {
        return;
    };
    match &mut case.schedule {
        Schedule::Seed { overrides, .. } => {
            let drawn = Override { task, slot, nth: r.random_range(1..24), priority: r.random() };
            change(overrides, r, drawn, |o, r| {
                o.nth = (o.nth + r.random_range(0..5)).saturating_sub(2)
            });
        }
        Schedule::Order(stops) => {
            let point = Point::ALL[r.random_range(0..Point::ALL.len())];
            let drawn = Stop { task, slot, point: (!one_in(r, 3)).then_some(point), occurrence: 1 };
            change(stops, r, drawn, |s, _| s.point = Some(point));
        }
    }
}

/// Adds one, drops one, moves one in time or among the others.
fn change<T>(list: &mut Vec<T>, r: &mut Random, drawn: T, step: impl FnOnce(&mut T, &mut Random)) {
    let at = r.random_range(0..=list.len());
    match r.random_range(0..4) {
        1 if at < list.len() => {
            list.remove(at);
        }
        2 if at < list.len() => step(&mut list[at], r),
        3 if at < list.len() => {
            let other = r.random_range(0..list.len());
            list.swap(at, other);
        }
        _ => list.insert(at, drawn),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::generate::{Generator, random};

    fn generated(index: u64) -> Case {
        let mut case = Case::default();
        Generator::new(false).generate(5, index, &mut case);
        case
    }

    #[test]
    fn every_mutation_changes_cases_and_leaves_them_in_range_after_a_fix_up() {
        for (n, mutation) in MUTATIONS.iter().enumerate() {
            let changed = (0..200).filter(|index| {
                let before = generated(*index);
                let mut case = before.clone();
                (mutation.apply)(&mut case, &mut random(1, *index, n as u64));
                case.fix_up();
                case != before
            });
            let changed = changed.count();
            assert!(changed >= 40, "{} changed {changed} of 200 cases", mutation.name);
        }
    }

    #[test]
    fn mutated_and_crossed_cases_are_legal_and_repeat() {
        for index in 0..500 {
            let (mut a, other) = (generated(index), generated(index + 1));
            let mut b = a.clone();
            for case in [&mut a, &mut b] {
                let r = &mut random(2, index, 0);
                mutate(case, r);
                cross(case, &other, r);
                mutate(case, r);
            }
            assert_eq!(a, b, "the same draws give the same case");
            b.fix_up();
            assert_eq!(a, b, "what comes out is fixed up");
            assert_eq!(crate::bytes::decode(&crate::bytes::encode(&a)), a);
        }
    }

    #[test]
    fn orders_are_mutated_stop_by_stop() {
        let mut case = generated(3);
        case.schedule = Schedule::Order(vec![]);
        let mut longest = 0;
        for n in 0..200 {
            preempt(&mut case, &mut random(3, n, 0));
            case.fix_up();
            let Schedule::Order(stops) = &case.schedule else { panic!("it stays an order") };
            longest = longest.max(stops.len());
        }
        assert!(longest >= 3, "{longest}");
    }
}
