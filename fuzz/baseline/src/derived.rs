//! What one would write first: types with a derived `Arbitrary`, and libFuzzer's own mutations of
//! their bytes. It runs the same cases on the same pairs and shows libFuzzer the same features as
//! the target `differential`, so that `mkwrite compare` says what the byte form and the mutators
//! are worth. Not for fuzzing.

#![no_main]

use arbitrary::Arbitrary;
use mkwrite_model::case::{self, AMPLE, Case, Faults, Operand, Operands, Range, Schedule, Site};

/// A kind by its number in the table, and two numbers for its operand.
#[derive(Arbitrary, Debug)]
struct Operation {
    kind: u8,
    start: u8,
    length: u8,
}

#[derive(Arbitrary, Debug)]
struct Actor {
    mm: u8,
    operations: Vec<Operation>,
}

#[derive(Arbitrary, Debug)]
struct Program {
    pages: u8,
    cells: u8,
    blocks: u8,
    size: u8,
    holes: u8,
    mms: u8,
    free: Option<u8>,
    stable: u16,
    eio: Option<u16>,
    actors: Vec<Actor>,
    seed: u32,
}

fn operation(operation: &Operation, g: case::Geometry) -> case::Operation {
    let kinds = &case::Operation::KINDS[1..]; // the first is the empty slot
    let kind = &kinds[usize::from(operation.kind) % kinds.len()];
    let range = |count: u8| {
        let start = operation.start % count;
        Range::new(start, start + 1 + operation.length % (count - start))
    };
    let any = case::Operation::from_code(kind.code, Operands::default());
    any.expect("the code is of the table").map(|operand, _| match operand {
        Operand::Size => Range::new(operation.start % operand.count(g), 0),
        Operand::Cells | Operand::Pages => range(operand.count(g)),
    })
}

libfuzzer_sys::fuzz_target!(|program: Program| {
    let mut case = Case {
        geometry: case::Geometry {
            pages: 1 + program.pages % 4,
            cells: 1 << (program.cells % 4),
            blocks: 1 << (program.blocks % 3),
            size: program.size,
            mms: 1 + program.mms % 3,
            free: program.free.map_or(AMPLE, |free| free % 6),
            ..case::Geometry::default()
        },
        faults: Faults::default()
            .with(Site::Stable, program.stable)
            .with(Site::Eio, program.eio.unwrap_or(0)),
        schedule: Schedule::Seed { seed: program.seed, overrides: vec![] },
        ..Case::default()
    };
    case.actors.resize(1, case::Actor::default());
    case.fix_up();
    case.geometry.holes = case.geometry.blocks_of_pages(program.holes);
    case.fix_up();
    case.actors = program
        .actors
        .iter()
        .map(|actor| case::Actor {
            mm: actor.mm % case.geometry.mms,
            operations: actor.operations.iter().map(|one| operation(one, case.geometry)).collect(),
        })
        .collect();
    case.fix_up();
    mkwrite_search::fuzz::case::<mkwrite_impls::Builtin>(&case, mkwrite_fuzz::count);
});
