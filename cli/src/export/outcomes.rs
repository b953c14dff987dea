//! What may come out of a program by the rules that every filesystem keeps, whatever the order of
//! calls that overlap: how calls end, what they return, and size and content at the end.
//!
//! Each cell is looked at by itself, as a register that stores and writes set and truncate clears:
//! so a call on several cells or pages may come to each of them at another time, as on a kernel.
//! Bytes stored beyond the end of the file are lost; a mapping may show anything there.

use std::collections::{BTreeSet, HashSet};

use mkwrite_model::case::{Effect, Geometry};
use mkwrite_model::exec::ACTORS_MAX;

use super::{INITIAL, Program};

/// How a call may end, one bit each.
pub(crate) mod ending {
    /// As it should.
    pub(crate) const OK: u8 = 1;
    /// SIGBUS.
    pub(crate) const BUS: u8 = 2;
    /// SIGSEGV.
    pub(crate) const SEGV: u8 = 4;
    /// An error.
    pub(crate) const ERROR: u8 = 8;
}

/// What stands for a value that nothing is said of.
pub(crate) const ANY: u8 = b'*';

/// States that are looked at per cell, at the most.
const STATES_MAX: usize = 400_000;

/// What may come out.
pub(crate) struct Outcomes {
    /// How each call may end ([`ending`]).
    pub endings: Vec<u8>,
    /// What each call may return for each cell of its range.
    pub returned: Vec<Vec<BTreeSet<u8>>>,
    /// Sizes of the file at the end, in cells.
    pub sizes: BTreeSet<u8>,
    /// What each cell may hold at the end, if the file reaches so far.
    pub content: Vec<BTreeSet<u8>>,
}

#[derive(Clone, Copy, PartialEq, Eq, Hash)]
struct State {
    /// Calls that each actor has done.
    done: [u8; ACTORS_MAX],
    size: u8,
    /// Address spaces with a mapping, one bit each.
    mapped: u8,
    /// What the cell holds.
    value: u8,
}

/// Which calls must be done before one: of each actor so many.
type Before = [u8; ACTORS_MAX];

/// All outcomes, or none if there are too many states.
pub(crate) fn outcomes(program: &Program, ordered: bool) -> Option<Outcomes> {
    let g = program.geometry;
    let calls = &program.calls;
    let returned =
        |n: usize| calls[n].operation.effect().returns().map_or(0, |range| range.iter().len());
    let mut all = Outcomes {
        endings: vec![0; calls.len()],
        returned: (0..calls.len()).map(|n| vec![BTreeSet::new(); returned(n)]).collect(),
        sizes: BTreeSet::new(),
        content: vec![BTreeSet::new(); usize::from(g.file_cells())],
    };
    let mut position = vec![0u8; calls.len()];
    let mut count = [0u8; ACTORS_MAX];
    for (n, call) in calls.iter().enumerate() {
        position[n] = count[call.task.index()];
        count[call.task.index()] += 1;
    }
    let before: Vec<Before> = (0..calls.len())
        .map(|n| {
            let mut before = [0; ACTORS_MAX];
            before[calls[n].task.index()] = position[n];
            for other in calls[n].after.iter().filter(|_| ordered) {
                let least = &mut before[calls[*other].task.index()];
                *least = (*least).max(position[*other] + 1);
            }
            before
        })
        .collect();
    for cell in 0..g.file_cells() {
        of_cell(program, cell, (&position, &before, &count), &mut all)?;
    }
    Some(all)
}

/// Walks all orders, as far as this cell is concerned.
fn of_cell(
    program: &Program,
    cell: u8,
    (position, before, count): (&[u8], &[Before], &[u8; ACTORS_MAX]),
    all: &mut Outcomes,
) -> Option<()> {
    let initial = program.initial();
    let value = if initial.get(usize::from(cell)).is_some_and(|is| *is) { INITIAL } else { 0 };
    let begin =
        State { done: [0; ACTORS_MAX], size: program.geometry.size, mapped: u8::MAX, value };
    let (mut seen, mut open) = (HashSet::from([begin]), vec![begin]);
    while let Some(state) = open.pop() {
        if state.done == *count {
            all.sizes.insert(state.size);
            if cell < state.size {
                all.content[usize::from(cell)].insert(state.value);
            }
            continue;
        }
        for (n, call) in program.calls.iter().enumerate() {
            let actor = call.task.index();
            let is_next = state.done[actor] == position[n];
            if !is_next || before[n].iter().zip(&state.done).any(|(least, done)| done < least) {
                continue;
            }
            let mut next = state;
            next.done[actor] += 1;
            let (ending, value) = step(program, n, cell, &mut next);
            all.endings[n] |= ending;
            if let (Some(value), Some(range)) = (value, call.operation.effect().returns()) {
                all.returned[n][usize::from(cell - range.start)].insert(value);
            }
            if seen.insert(next) {
                open.push(next);
            }
        }
        if seen.len() > STATES_MAX {
            return None;
        }
    }
    Some(())
}

/// A call, as far as this cell is concerned: how it ends, and what it returns for the cell.
fn step(program: &Program, n: usize, cell: u8, state: &mut State) -> (u8, Option<u8>) {
    let (g, call) = (program.geometry, &program.calls[n]);
    let mm = 1 << program.mms[call.task.index()];
    let is_there = state.mapped & mm != 0;
    // A mapping gives pages that the file reaches into.
    let is_page = |cell: u8, g: Geometry| g.page_of(cell) < g.pages_of(state.size);
    let ending = match call.operation.effect() {
        Effect::Stores(range) | Effect::Loads(range) => match is_there {
            false => ending::SEGV,
            true if is_page(range.end - 1, g) => ending::OK,
            true => ending::BUS,
        },
        Effect::Syncs { mapping: true } if !is_there => ending::ERROR,
        _ => ending::OK,
    };
    let mut returned = None;
    match call.operation.effect() {
        Effect::Stores(range) if range.contains(cell) && is_there && cell < state.size => {
            state.value = call.byte;
        }
        Effect::Loads(range) if range.contains(cell) && is_there && is_page(cell, g) => {
            returned = Some(if cell < state.size { state.value } else { ANY });
        }
        Effect::Reads(range) if range.contains(cell) && cell < state.size => {
            returned = Some(state.value);
        }
        Effect::Writes(range) => {
            state.size = state.size.max(range.end);
            if range.contains(cell) {
                state.value = call.byte;
            }
        }
        effect @ (Effect::Discards(_) | Effect::Zeroes(_) | Effect::Extends(_)) => {
            state.size = state.size.max(effect.extends_to().unwrap_or(0));
            let zeroes = effect.discards().is_some_and(|range| range.contains(cell));
            if zeroes && cell < state.size {
                state.value = 0;
            }
        }
        Effect::Resizes(size) => {
            state.size = size;
            if cell >= size {
                state.value = 0;
            }
        }
        Effect::Maps => state.mapped |= mm,
        Effect::Unmaps => state.mapped &= !mm,
        _ => {}
    }
    (ending, returned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mkwrite_impls::Builtin;
    use mkwrite_model::text::parse;

    fn of(text: &str) -> (Program, Outcomes) {
        let case = parse(text).unwrap().case;
        let program = Program::new::<Builtin>("t", Vec::new(), &case, None).unwrap();
        let outcomes = program.outcomes(true).unwrap();
        (program, outcomes)
    }

    fn set(text: &str) -> BTreeSet<u8> {
        text.bytes().map(|byte| if byte == b'0' { 0 } else { byte }).collect()
    }

    #[test]
    fn one_actor_has_one_outcome_and_what_lies_beyond_the_end_is_lost() {
        let (_, outcomes) = of(
            "mkw 1\nfile pages 1 cells 4 size 2\nactor A mm 0\nA.0 store 1..3\n\
             A.1 load 1..3\nA.2 truncate 4\nA.3 read 0..4\nA.4 munmap\nA.5 store 0..1\nA.6 msync\n",
        );
        assert_eq!(outcomes.endings, [1, 1, 1, 1, 1, ending::SEGV, ending::ERROR]);
        assert_eq!(outcomes.returned[1], [set("A"), set("*")]);
        assert_eq!(outcomes.returned[3], [set("i"), set("A"), set("0"), set("0")]);
        assert_eq!(outcomes.sizes, BTreeSet::from([4]));
        assert_eq!(outcomes.content, [set("i"), set("A"), set("0"), set("0")]);
    }

    #[test]
    fn calls_that_overlap_may_come_in_any_order() {
        let (_, outcomes) = of("mkw 1\nfile pages 2 cells 1 size 2 mms 1\nactor A mm 0\n\
             A.0 store 0..2\nactor B mm 0\nB.0 truncate 1\nB.1 truncate 2\n");
        assert_eq!(outcomes.endings[0], ending::OK | ending::BUS);
        assert_eq!(outcomes.content, [set("A"), set("A0")]);
        let (_, outcomes) = of("mkw 1\nfile pages 1 cells 1 size 1 mms 1\nactor A mm 0\n\
             A.0 store 0..1\nactor B mm 0\nB.0 truncate 0\n");
        assert_eq!(outcomes.sizes, BTreeSet::from([0]));
        assert_eq!(outcomes.content, [set("")]);
    }
}
