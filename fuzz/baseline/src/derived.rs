//! What one would write first: types with a derived `Arbitrary`, and libFuzzer's own mutations of
//! their bytes. It runs the same cases on the same pairs and shows libFuzzer the same features as
//! the target `differential`, so that `mkwrite compare` says what the byte form and the mutators
//! are worth. Not for fuzzing.

#![no_main]

use arbitrary::Arbitrary;
use mkwrite_model::case::{self, AMPLE, Case, Range, Schedule};

#[derive(Arbitrary, Debug)]
enum Operation {
    Store(u8, u8),
    Load(u8, u8),
    Read(u8, u8),
    Write(u8, u8),
    Truncate(u8),
    Background(u8, u8),
    Integrity(u8, u8),
    Fsync,
    Msync,
    Invalidate(u8, u8),
    Invalidate2(u8, u8),
    Reclaim(u8, u8),
    Munmap,
    Mmap,
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
    let cells = |a: u8, b: u8| {
        let start = a % g.file_cells();
        Range::new(start, start + 1 + b % (g.file_cells() - start))
    };
    let pages = |a: u8, b: u8| {
        let start = a % g.pages;
        Range::new(start, start + 1 + b % (g.pages - start))
    };
    match *operation {
        Operation::Store(a, b) => case::Operation::Store(cells(a, b)),
        Operation::Load(a, b) => case::Operation::Load(cells(a, b)),
        Operation::Read(a, b) => case::Operation::Read(cells(a, b)),
        Operation::Write(a, b) => case::Operation::Write(cells(a, b)),
        Operation::Truncate(size) => case::Operation::Truncate(size % (g.file_cells() + 1)),
        Operation::Background(a, b) => case::Operation::Background(pages(a, b)),
        Operation::Integrity(a, b) => case::Operation::Integrity(pages(a, b)),
        Operation::Fsync => case::Operation::Fsync,
        Operation::Msync => case::Operation::Msync,
        Operation::Invalidate(a, b) => case::Operation::Invalidate(pages(a, b)),
        Operation::Invalidate2(a, b) => case::Operation::Invalidate2(pages(a, b)),
        Operation::Reclaim(a, b) => case::Operation::Reclaim(pages(a, b)),
        Operation::Munmap => case::Operation::Munmap,
        Operation::Mmap => case::Operation::Mmap,
    }
}

libfuzzer_sys::fuzz_target!(|program: Program| {
    let mut case = Case {
        geometry: case::Geometry {
            pages: 1 + program.pages % 4,
            cells: 1 << (program.cells % 4),
            blocks: 1 << (program.blocks % 3),
            size: program.size,
            holes: 0,
            mms: 1 + program.mms % 3,
            free: program.free.map_or(AMPLE, |free| free % 6),
        },
        faults: case::Faults { stable: program.stable, eio: program.eio.unwrap_or(0) },
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
