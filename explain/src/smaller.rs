//! Cases that are a little smaller than a case: what shrinking tries, and what a 1-minimal case
//! does not have.
//!
//! Besides single removals these are changes of several things that only make sense together: the
//! shape of the file with all sizes and ranges in it ([`reshaped`]), a page of the file with all
//! that names it ([`without_page`]), and the numbers of requests after one less
//! ([`requests_moved`]). Nothing here runs a case.

use mkwrite_model::bit_set::ones;
use mkwrite_model::case::{
    Actor, Case, Effect, Faults, Geometry, Operand, Operation, Range, Schedule, Site, Stop,
};
use mkwrite_model::exec::TaskId;
use mkwrite_model::geometry::FIELDS;

/// A dimension on which a case can be smaller.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub enum Axis {
    /// Fewer actors.
    Actors,
    /// Fewer operations.
    Operations,
    /// Fewer stops.
    Preemptions,
    /// A smaller or simpler file, shorter ranges, no faults.
    Sizes,
}

impl Axis {
    /// All of them.
    pub const ALL: [Axis; 4] = [Axis::Actors, Axis::Operations, Axis::Preemptions, Axis::Sizes];

    /// Its name in reports.
    pub const fn name(self) -> &'static str {
        match self {
            Axis::Actors => "actors",
            Axis::Operations => "operations",
            Axis::Preemptions => "preemptions",
            Axis::Sizes => "sizes",
        }
    }
}

/// Every case that is one step smaller, by axis.
pub fn removals(case: &Case) -> Vec<(Axis, Case)> {
    let mut all = Vec::new();
    let mut add = |axis: Axis, mut smaller: Case| {
        smaller.fix_up();
        if smaller != *case && all.iter().all(|(_, known)| *known != smaller) {
            all.push((axis, smaller));
        }
    };
    for actor in 0..case.actors.len() {
        if case.actors.len() > 1 {
            add(Axis::Actors, changed(case, |c| c.actors[actor].operations.clear()));
        }
        for slot in 0..case.actors[actor].operations.len() {
            let smaller = changed(case, |c| c.actors[actor].operations[slot] = Operation::Empty);
            for by in 1..=REQUESTS_MOVED {
                requests_moved(&smaller, by).into_iter().for_each(|c| add(Axis::Operations, c));
            }
            add(Axis::Operations, smaller);
        }
    }
    if let Schedule::Order(order) = &case.schedule {
        for stop in 0..order.len() {
            add(Axis::Preemptions, changed(case, |c| _ = stops(c).remove(stop)));
        }
    }
    simpler_faults(case).into_iter().for_each(|smaller| add(Axis::Sizes, smaller));
    let g = case.geometry;
    for field in FIELDS {
        add(Axis::Sizes, changed(case, |c| c.geometry = field.simpler(g)));
    }
    add(Axis::Sizes, changed(case, |c| c.geometry.cells /= 2));
    (0..g.pages).filter_map(|page| without_page(case, page)).for_each(|c| add(Axis::Sizes, c));
    reshaped(case).into_iter().for_each(|smaller| add(Axis::Sizes, smaller));
    for actor in 0..case.actors.len() {
        for slot in 0..case.actors[actor].operations.len() {
            for shorter in shorter_ranges(case.actors[actor].operations[slot]) {
                add(Axis::Sizes, changed(case, |c| c.actors[actor].operations[slot] = shorter));
            }
        }
    }
    all
}

fn changed(case: &Case, change: impl FnOnce(&mut Case)) -> Case {
    let mut other = case.clone();
    change(&mut other);
    other
}

/// The same number of operations, done otherwise: each moved to the start or the end of each other
/// actor's, and each store made a load.
pub fn rearrangements(case: &Case) -> Vec<Case> {
    let mut all = Vec::new();
    let mut add = |mut other: Case| {
        close_gaps(&mut other);
        other.fix_up();
        all.push(other);
    };
    for from in 0..case.actors.len() {
        for slot in 0..case.actors[from].operations.len() {
            for to in (0..case.actors.len()).filter(|to| *to != from) {
                add(changed(case, |c| {
                    let operation = c.actors[from].operations.remove(slot);
                    c.actors[to].operations.push(operation);
                }));
                add(changed(case, |c| {
                    let operation = c.actors[from].operations.remove(slot);
                    c.actors[to].operations.insert(0, operation);
                }));
            }
            if let Operation::Store(range) = case.actors[from].operations[slot] {
                add(changed(case, |c| c.actors[from].operations[slot] = Operation::Load(range)));
            }
        }
    }
    all
}

/// The operation on less.
pub fn shorter_ranges(operation: Operation) -> impl Iterator<Item = Operation> {
    let is_long = |(operand, range): &(Operand, Range)| {
        matches!(operand, Operand::Cells | Operand::Pages) && range.end > range.start + 1
    };
    let long = operation.each_operand().enumerate().filter(move |(_, each)| is_long(each));
    long.flat_map(move |(nth, (_, Range { start, end }))| {
        [(start, start + 1), (end - 1, end), (start, end - 1)].map(|(start, end)| {
            let mut operands = operation.operands();
            operands[nth] = Range::new(start, end);
            Operation::from_code(operation.kind().code, operands)
                .expect("the code is the operation's own")
        })
    })
}

/// Actors and slots without gaps.
pub fn close_gaps(c: &mut Case) {
    let full = |actor: &Actor| {
        let slots = 0..actor.operations.len() as u8;
        slots
            .filter(|slot| actor.operations[usize::from(*slot)] != Operation::Empty)
            .collect::<Vec<u8>>()
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
}

/// Requests less that are tried when an operation goes.
pub const REQUESTS_MOVED: u8 = 3;

/// The case in which the first `by` requests are not made any more: faults and stops that count
/// requests move along. None if nothing counts them.
pub fn requests_moved(case: &Case, by: u8) -> Option<Case> {
    let mut moved = case.clone();
    for site in [Site::Eio, Site::Stable] {
        let times = moved.faults.of(site);
        if times != u16::MAX {
            moved.faults.set(site, times >> by);
        }
    }
    for stop in stops(&mut moved).iter_mut().filter(|stop| stop.task.io_slot().is_some()) {
        stop.slot = stop.slot.saturating_sub(by);
    }
    (moved != *case).then_some(moved)
}

/// Fewer faults, and the same one time earlier; `all` replies stable instead of some.
pub fn simpler_faults(case: &Case) -> Vec<Case> {
    let mut all = Vec::new();
    let mut add = |faults: Faults| {
        if faults != case.faults {
            all.push(changed(case, |c| c.faults = faults));
        }
    };
    add(Faults::default());
    // Errors first: a case without any says more.
    let mut sites = Site::ALL.to_vec();
    sites.sort_by_key(|site| !site.row().is_error);
    sites.iter().for_each(|site| add(case.faults.with(*site, 0)));
    for site in sites {
        let times = case.faults.of(site);
        let mut to = |times: u16| add(case.faults.with(site, times));
        if !site.row().is_error {
            if matches!(times, 0 | u16::MAX) {
                continue;
            }
            to(u16::MAX);
        }
        ones(times.into()).for_each(|nth| to(times & !(1 << nth)));
        to(times >> 1);
    }
    all
}

/// The case without one of its truncates: the file has that size from the start.
pub(crate) fn already_truncated(case: &Case) -> Vec<Case> {
    let truncates = case.operations().filter_map(|(task, slot, operation)| {
        let Effect::Resizes(size) = operation.effect() else { return None };
        let mut smaller = case.clone();
        smaller.actors[task.index()].operations[usize::from(slot)] = Operation::Empty;
        smaller.geometry.size = size;
        smaller.fix_up();
        Some(smaller)
    });
    truncates.collect()
}

/// The case without this page of the file: what lies behind moves up, what named it names the place
/// where it was.
pub fn without_page(case: &Case, page: u8) -> Option<Case> {
    let g = case.geometry;
    if g.pages == 1 {
        return None;
    }
    let cells = g.cells_of(page);
    let cell = |at: u8| if at < cells.end { at.min(cells.start) } else { at - g.cells };
    let index = |at: u8| at - u8::from(at > page);
    let mut smaller = placed(case, &cell, &cell, &index);
    let block = u32::from(page * g.blocks);
    let below = (1u32 << block) - 1;
    let above = u64::from(g.holes) >> (block + u32::from(g.blocks)) << block;
    smaller.geometry.holes = g.holes & below | above as u32;
    smaller.geometry.pages -= 1;
    // The I/O of a page has the number of the page.
    for stop in stops(&mut smaller) {
        if let Some(slot) = stop.task.io_slot().filter(|slot| *slot > usize::from(page)) {
            stop.task = TaskId::io(slot - 1);
        }
    }
    Some(smaller)
}

/// The case with everything that names a cell (ends of ranges and sizes by `end`, starts of ranges
/// by `start`) or a page moved.
fn placed(
    case: &Case,
    start: &dyn Fn(u8) -> u8,
    end: &dyn Fn(u8) -> u8,
    page: &dyn Fn(u8) -> u8,
) -> Case {
    let mut moved = case.clone();
    moved.geometry.size = end(moved.geometry.size);
    for operation in moved.actors.iter_mut().flat_map(|actor| &mut actor.operations) {
        *operation = operation.map(|operand, range| match operand {
            Operand::Size => Range::new(end(range.start), 0),
            Operand::Cells => Range::new(start(range.start), end(range.end)),
            Operand::Pages => Range::new(page(range.start), page(range.end)),
        });
    }
    moved
}

/// The case with fewer cells in a page, and with fewer blocks, everything scaled: in several ways,
/// as what matters may be the order of two places, or the half of the page in which they lie.
pub fn reshaped(case: &Case) -> Vec<Case> {
    let old = case.geometry;
    let mut all: Vec<Case> = Vec::new();
    let smaller = |n: u8| [1u8, 2, 4, 8].into_iter().filter(move |m| *m < n);
    for cells in smaller(old.cells) {
        for blocks in smaller(old.blocks + 1).filter(|blocks| *blocks <= cells) {
            let shape = Geometry { cells, blocks, ..old };
            let ratio = old.cells / cells;
            let ranks = ranks(case, shape);
            let maps: [&dyn Fn(u8) -> u8; 5] = [
                &|at| ranks[usize::from(at)].min(cells),
                &|at| at / ratio,
                &|at| at.div_ceil(ratio),
                &|at| at.min(cells),
                &|at| at.saturating_sub(old.cells - cells),
            ];
            for to in maps {
                let mut other = scaled(case, shape, to);
                other.fix_up();
                if !all.contains(&other) {
                    all.push(other);
                }
            }
        }
    }
    all
}

/// Where each place in a page comes to lie if only the order of the places that are named counts,
/// those of all pages and blocks together.
fn ranks(case: &Case, shape: Geometry) -> [u8; 8] {
    let old = case.geometry;
    let (width, new_width) = (old.block_cells(), shape.cells / old.blocks.min(shape.cells));
    let mut named = [false; 8];
    let mut name = |at: u8| named[usize::from(at % width)] = true;
    name(old.size);
    for (_, _, operation) in case.operations() {
        for (operand, range) in operation.each_operand() {
            match operand {
                Operand::Cells => [range.start, range.end].into_iter().for_each(&mut name),
                Operand::Size => name(range.start),
                Operand::Pages => {}
            }
        }
    }
    let rank = |at: u8| (1..=at).filter(|at| named[usize::from(*at)]).count() as u8;
    std::array::from_fn(|at| {
        let at = (at as u8).min(old.cells - 1);
        at / width * new_width + rank(at % width).min(new_width)
    })
}

/// The case in this shape, the places in a page mapped by `to`.
fn scaled(case: &Case, shape: Geometry, to: &dyn Fn(u8) -> u8) -> Case {
    let old = case.geometry;
    let end = |at: u8| at / old.cells * shape.cells + to(at % old.cells);
    // A range begins in the page where it began.
    let start = |at: u8| at / old.cells * shape.cells + to(at % old.cells).min(shape.cells - 1);
    let mut smaller = placed(case, &start, &end, &|page| page);
    let size = smaller.geometry.size;
    smaller.geometry = Geometry { size, holes: 0, ..shape };
    for block in 0..shape.pages * shape.blocks {
        let first = block % shape.blocks * shape.block_cells();
        let from = (0..old.cells).rev().find(|at| to(*at) <= first).unwrap_or(0);
        let was = block / shape.blocks * old.blocks + from / old.block_cells();
        smaller.geometry.holes |= u32::from(old.is_hole(was)) << block;
    }
    smaller
}

/// The stops of a case; a schedule by seed is gone.
pub fn stops(case: &mut Case) -> &mut Vec<Stop> {
    if let Schedule::Seed { .. } = case.schedule {
        case.schedule = Schedule::Order(Vec::new());
    }
    match &mut case.schedule {
        Schedule::Order(stops) => stops,
        Schedule::Seed { .. } => unreachable!("it was replaced above"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mkwrite_model::text::{Document, parse};

    fn case(text: &str) -> Case {
        parse(&format!("mkw 1\n{text}")).unwrap().case
    }

    fn has(all: &[Case], wanted: &str) -> bool {
        let wanted = Document::new(case(wanted)).to_string();
        all.iter().any(|case| Document::new(case.clone()).to_string() == wanted)
    }

    #[test]
    fn sizes_and_ranges_shrink_with_the_page() {
        let large = "file pages 2 cells 8 size 15\nactor A mm 0\nA.0 store 0..7\nA.1 truncate 7\nA.2 read 8..15\n";
        let small = "file pages 2 cells 2 size 3\nactor A mm 0\nA.0 store 0..1\nA.1 truncate 1\nA.2 read 2..3\n";
        assert!(has(&reshaped(&case(large)), small));
        // With blocks, their borders are places, too.
        let large = "file pages 1 cells 8 blocks 2 size 8\nactor A mm 0\nA.0 write 3..7\n";
        let small = "file pages 1 cells 4 blocks 2 size 4\nactor A mm 0\nA.0 write 1..3\n";
        assert!(has(&reshaped(&case(large)), small));
    }

    #[test]
    fn a_page_goes_with_all_that_names_it() {
        let large = "file pages 3 cells 2 size 6 holes 1,2\nactor A mm 0\nA.0 store 1..6\nA.1 writeback 1..3\n";
        let small = "file pages 2 cells 2 size 4 holes 1\nactor A mm 0\nA.0 store 1..4\nA.1 writeback 1..2\n";
        let mut without = without_page(&case(large), 1).unwrap();
        without.fix_up();
        assert!(has(&[without], small));
        assert_eq!(without_page(&case("file pages 1\nactor A mm 0\nA.0 fsync\n"), 0), None);
    }

    #[test]
    fn the_number_of_a_request_that_fails_moves_along() {
        let large = "file pages 1\neio 1,3\nactor A mm 0\nA.0 write 0..1\nA.1 fsync\nA.2 write 0..1\nA.3 fsync\n";
        let cases: Vec<Case> = removals(&case(large)).into_iter().map(|(_, case)| case).collect();
        let faults = |slot: usize, eio: u16| {
            cases.iter().any(|case| {
                case.actors[0].operations[slot] == Operation::Empty
                    && case.faults.of(Site::Eio) == eio
            })
        };
        assert!(faults(0, 0b1010) && faults(0, 0b0101) && faults(0, 0b0010));
        let fewer: Vec<u16> =
            simpler_faults(&case(large)).iter().map(|case| case.faults.of(Site::Eio)).collect();
        assert_eq!(fewer, [0, 0, 0b1000, 0b0010, 0b0101]);
    }
}
