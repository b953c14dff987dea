//! Arbitrary cases for hunting: case `i` of a hunt is a function of (seed, i) and of nothing else.
//!
//! Swarm style: each case first draws which kinds of operations it uses and how much of each, and
//! one hot page, so that most cases are a few operations that fight for the same page; rare shapes
//! (many pages, a full disk, failing I/O) get a small share of the cases. Some begin with a theme
//! (`theme.rs`): sequences of operations that random draws hardly ever make. `docs/reach.md` says
//! how often cases reach what bugs need.

use rand::{Rng, RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::case::{
    Actor, Case, Faults, Geometry, Limits, Operand, Operands, Operation, Range, Schedule,
};
use crate::theme;

/// The named generator of everything random in this project.
pub type Random = Xoshiro256PlusPlus;

/// A generator for case `index` of the hunt with this seed; `stream` separates independent uses.
pub fn random(seed: u64, index: u64, stream: u64) -> Random {
    // SplitMix64's increment spreads consecutive indices over the seed space.
    let mixed = seed ^ index.wrapping_mul(0x9E37_79B9_7F4A_7C15) ^ stream.rotate_left(48);
    Random::seed_from_u64(mixed)
}

/// Draws cases.
#[derive(Clone, Copy, Debug, Default)]
pub struct Generator {
    aligned: bool,
}

/// One case in this many begins with a theme.
const THEMED_ONE_IN: u32 = 6;

/// The code and the weight of each kind of operation that is drawn, before a case's swarm changes
/// it.
const WEIGHTS: [(u8, u32); DRAWN] = {
    let mut weights = [(0, 0); DRAWN];
    let (mut n, mut at) = (0, 0);
    while n < Operation::KINDS.len() {
        let kind = &Operation::KINDS[n];
        if kind.weight != 0 {
            weights[at] = (kind.code, kind.weight);
            at += 1;
        }
        n += 1;
    }
    weights
};

const DRAWN: usize = {
    let (mut n, mut count) = (0, 0);
    while n < Operation::KINDS.len() {
        count += (Operation::KINDS[n].weight != 0) as usize;
        n += 1;
    }
    count
};

impl Generator {
    /// `aligned` keeps every file size at a multiple of a page.
    pub fn new(aligned: bool) -> Generator {
        Generator { aligned }
    }

    /// Draws case `index` of the hunt with this seed into `case`, reusing its memory.
    pub fn generate(self, seed: u64, index: u64, case: &mut Case) {
        let r = &mut random(seed, index, 0);
        case.limits = Limits::default();
        case.geometry = Geometry::draw(r);
        case.faults = Faults::draw(r, seed, index);
        let later = &mut random(seed, index, LATER);
        let has_later = one_in(later, 4);
        if has_later && one_in(later, SECOND_ONE_IN) {
            case.geometry.second = later.random_range(0..case.geometry.mms);
        }
        let g = case.geometry;
        let mut weights = swarm(r, has_later.then_some(&mut *later));
        leave_out_impossible(&mut weights, g);
        let hot = r.random_range(0..g.pages);
        let actors = pick(r, &[(1, 8), (2, 48), (3, 32), (4, 12)]);
        case.actors.resize_with(usize::from(actors), Actor::default);
        for actor in &mut case.actors {
            actor.mm = if one_in(r, 2) { 0 } else { r.random_range(0..g.mms) };
            actor.operations.clear();
            let many = actors == 1 || one_in(r, 16);
            let count = if many {
                r.random_range(1..=16)
            } else {
                pick(r, &[(1, 34), (2, 36), (3, 20), (4, 10)])
            };
            for _ in 0..count {
                let code = pick(r, &weights);
                actor.operations.push(operation(r, code, g, hot));
            }
        }
        if one_in(r, THEMED_ONE_IN) {
            theme::begin(case, r, hot);
        }
        if has_later && one_in(later, 2) {
            theme::begin_later(case, later, hot);
        }
        case.schedule = Schedule::Seed { seed: r.random(), overrides: Vec::new() };
        self.settle(case);
    }

    /// Puts a case into range, and aligns it if this generator does so.
    pub fn settle(self, case: &mut Case) {
        case.fix_up();
        if self.aligned {
            case.align();
        }
    }
}

/// Kinds of operations up to this code are drawn by most cases. Later ones, which not every
/// filesystem has, come up in one case of four and draw from a stream of their own, so the cases
/// that have none stay what they are.
const IN_STREAM: u8 = 16;
/// One in this many of them has a second file, if it has two address spaces.
const SECOND_ONE_IN: u32 = 4;
/// That stream.
const LATER: u64 = 0x200;

fn swarm(r: &mut Random, mut later: Option<&mut Random>) -> [(u8, u32); WEIGHTS.len()] {
    std::array::from_fn(|i| {
        let (code, weight) = WEIGHTS[i];
        // There are many later ones, and what needs one of them needs it often.
        let (stream, off) = match &mut later {
            _ if code <= IN_STREAM => (&mut *r, 1),
            Some(later) => (&mut **later, 2),
            None => return (code, 0),
        };
        let factor = match stream.random_range(0..4) {
            quarter if quarter < off => 0,
            3 => 3,
            _ => 1,
        };
        // Something must store, or nothing is ever at stake.
        (code, weight * if code == 1 { factor.max(1) } else { factor })
    })
}

/// Where there is no second file nothing is copied from it.
fn leave_out_impossible(weights: &mut [(u8, u32)], g: Geometry) {
    let copy = Operation::CopyOther(Range::default(), Range::default()).kind().code;
    if g.second == 0 {
        weights.iter_mut().filter(|(code, _)| *code == copy).for_each(|(_, weight)| *weight = 0);
    }
}

/// An operation of a kind that the weights draw.
pub(crate) fn any_operation(r: &mut Random, g: Geometry, hot: u8) -> Operation {
    let mut weights = WEIGHTS;
    leave_out_impossible(&mut weights, g);
    let code = pick(r, &weights);
    operation(r, code, g, hot)
}

/// An operation of this kind, mostly on the hot page.
pub(crate) fn operation(r: &mut Random, code: u8, g: Geometry, hot: u8) -> Operation {
    let operation =
        Operation::from_code(code, Operands::default()).expect("the weights name known codes");
    let page = if one_in(r, 4) { r.random_range(0..g.pages) } else { hot };
    operation.map(|operand, _| match operand {
        Operand::Pages if one_in(r, 2) => Range::new(0, g.pages),
        Operand::Pages => Range::new(page, page + 1),
        Operand::Size => Range::new(size(r, g, page), 0),
        Operand::Cells => cells(r, g, page),
    })
}

/// Cells, mostly of this page.
fn cells(r: &mut Random, g: Geometry, page: u8) -> Range {
    let cells = g.cells_of(page);
    match r.random_range(0..8) {
        0..3 => cells,
        3..7 => {
            let start = r.random_range(cells.start..cells.end);
            Range::new(start, r.random_range(start..cells.end) + 1)
        }
        _ => {
            let start = r.random_range(0..g.file_cells());
            Range::new(start, r.random_range(start..g.file_cells()) + 1)
        }
    }
}

fn size(r: &mut Random, g: Geometry, page: u8) -> u8 {
    match r.random_range(0..8) {
        0 => 0,
        1 => g.file_cells(),
        2 => g.size,
        3..6 => (page + r.random_range(0..2)) * g.cells,
        _ => r.random_range(0..=g.file_cells()),
    }
}

pub(crate) fn one_in(r: &mut Random, n: u32) -> bool {
    r.random_range(0..n) == 0
}

pub(crate) fn pick(r: &mut Random, weights: &[(u8, u32)]) -> u8 {
    let total: u32 = weights.iter().map(|(_, weight)| weight).sum();
    by_weight(weights.iter().copied(), r.next_u32() % total)
}

/// What a draw below the sum of the weights means.
pub(crate) fn by_weight<T>(weights: impl Iterator<Item = (T, u32)>, mut left: u32) -> T {
    for (value, weight) in weights {
        if left < weight {
            return value;
        }
        left -= weight;
    }
    unreachable!("the draw is below the sum of the weights")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn every_kind_is_generated_and_every_case_is_legal() {
        let mut seen = BTreeSet::new();
        let mut case = Case::default();
        for index in 0..2000 {
            Generator::new(index % 2 == 0).generate(7, index, &mut case);
            let mut fixed = case.clone();
            fixed.fix_up();
            assert_eq!(fixed, case);
            assert!(index % 2 != 0 || case.is_aligned(), "case {index} is not aligned: {case:?}");
            seen.extend(case.operations().map(|(_, _, operation)| operation.kind().code));
        }
        let drawn = Operation::KINDS.iter().filter(|kind| kind.weight != 0);
        assert_eq!(seen, drawn.map(|kind| kind.code).collect::<BTreeSet<_>>());
    }

    #[test]
    fn a_case_depends_on_seed_and_index_alone() {
        let (mut a, mut b) = (Case::default(), Case::default());
        Generator::new(false).generate(1, 41, &mut b);
        Generator::new(false).generate(1, 42, &mut a);
        Generator::new(false).generate(1, 42, &mut b);
        assert_eq!(a, b);
        Generator::new(false).generate(2, 42, &mut b);
        assert_ne!(a, b);
    }
}
