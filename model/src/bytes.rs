//! The case as bytes, for fuzzers: total and invertible.
//!
//! A header of 32 bytes and any number of records of 8 bytes, little-endian, with spare bytes that
//! are written as zero and not read. Any bytes are a case; [`encode`] of a fixed-up case decodes to
//! the same case. How often each value comes out of random bytes is a property of the version, and
//! a new kind of operation is a new version, never a shift of the old codes. Operands wrap at the
//! size of the file, so that random bytes spread over it; kinds are looked up and never taken
//! modulo their count.
//!
//! Version 2 is version 1 with eight bytes more in the header, for what version 1 cannot say;
//! [`encode`] writes it only where it must. Version 1 never looked at its first byte, so stored
//! bytes can have anything there: two bytes say that an input is of version 2, and all that does
//! not is of version 1 and means what it always meant (`search/tests/stored.rs`).
//!
//! ```text
//! 0  version   1 pages   2 cells   3 blocks   4 size   5 holes   6 mms   7 free blocks
//! 8  stable replies (16 bit)      10 failing writes (16 bit, only if byte 29 is >= 240)
//! 12 limits: actors, operations, pages (only if byte 28 is 0xA5)         16 limits: steps (16 bit)
//! 18 schedule: below 192 seed, else order    19 actors    20 seed (32 bit)   24 address spaces, 4 bit each
//! 28 0xA5: limits are raised      29 gate of byte 10     30 0xB2: byte 0 counts     31 not the case's
//! version 2 only: 32 holes by block (32 bit) instead of byte 5     36 spare (32 bit)
//! records of 8 bytes:
//!   tag below 224: operation: 1 actor, 2 kind, 3 start, 4 end
//!   else:          schedule:  1 task, 2 slot, then 3 and 6 nth, 4 priority (16 bit), or 3 point, 4 occurrence
//! ```

use arbitrary::{Arbitrary, Unstructured};
use rand::{Rng, RngExt};

use crate::case::{
    AMPLE, Actor, Case, Faults, Geometry, Limits, Operand, Operation, Override, Range, Schedule,
    Stop,
};
use crate::exec::{TASKS, TaskId};
use crate::generate::{self, Generator};
use crate::mutate;
use crate::point::Point;

/// The form of some bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub enum Version {
    /// Holes are whole pages.
    V1 = 1,
    /// Holes are blocks.
    V2 = 2,
}

/// Bytes of the header of version 1.
pub const HEADER: usize = 32;
/// Bytes of the header of version 2.
pub const HEADER_V2: usize = 40;
/// Bytes of a record.
pub const RECORD: usize = 8;
/// The spare byte of the header that belongs to whoever runs the case: [`decode`] does not look at
/// it.
pub const CHOICE: usize = 31;
/// Numbers of pairs that mutators draw for that byte in version 2.
const CODES: u8 = 64;

const RAISED: u8 = 0xA5;
const VERSION_MARK: usize = 30;
const MARKED: u8 = 0xB2;
const EIO_GATE: u8 = 240;
const ORDER: u8 = 192;
const SCHEDULE_TAG: u8 = 224;
const NO_POINT: u8 = 255;

const _: () = {
    assert!(Point::from_code(NO_POINT as u16).is_none(), "the code of no point is that of a point");
    let mut n = 0;
    while n < Operation::KINDS.len() {
        assert!(
            n == 0 || Operation::KINDS[n - 1].code < Operation::KINDS[n].code,
            "each operation has a code of its own"
        );
        n += 1;
    }
};

/// A decoding table: values with the number of byte codes that mean each. Together they are all
/// codes.
struct Table(&'static [(u8, u8)]);

impl Table {
    const fn new(values: &'static [(u8, u8)]) -> Table {
        let (mut sum, mut n) = (0, 0);
        while n < values.len() {
            sum += values[n].1 as usize;
            n += 1;
        }
        assert!(sum == 1 << u8::BITS, "each byte has a value");
        Table(values)
    }

    fn decode(&self, byte: u8) -> u8 {
        generate::by_weight(self.0.iter().map(|&(value, codes)| (value, codes.into())), byte.into())
    }

    fn encode(&self, value: u8) -> u8 {
        let before = self.0.iter().take_while(|(v, _)| *v != value);
        before.map(|(_, codes)| codes).sum()
    }
}

/// The tables of version 1.
mod v1 {
    use super::Table;

    pub(super) const PAGES: Table =
        Table::new(&[(1, 110), (2, 90), (3, 30), (5, 1), (6, 1), (7, 1), (8, 1), (4, 22)]);
    pub(super) const CELLS: Table = Table::new(&[(1, 32), (2, 48), (8, 32), (4, 144)]);
    pub(super) const BLOCKS: Table = Table::new(&[(1, 96), (4, 64), (2, 96)]);
    pub(super) const MMS: Table = Table::new(&[(1, 128), (3, 32), (2, 96)]);
    pub(super) const ACTORS: Table =
        Table::new(&[(1, 24), (3, 84), (4, 40), (5, 1), (6, 1), (7, 1), (8, 1), (2, 104)]);
    pub(super) const KINDS: Table = Table::new(&[
        (0, 4),   // an empty slot
        (2, 14),  // load
        (3, 14),  // read
        (4, 22),  // write
        (5, 26),  // truncate
        (6, 30),  // writeback
        (7, 14),  // sync_range
        (8, 24),  // fsync
        (9, 4),   // msync
        (10, 10), // invalidate
        (11, 20), // invalidate2
        (12, 14), // reclaim
        (13, 5),  // munmap
        (14, 5),  // mmap
        (1, 50),  // store
    ]);
}

/// The version of these bytes.
pub fn version(bytes: &[u8]) -> Version {
    let is_second =
        bytes.first() == Some(&(Version::V2 as u8)) && bytes.get(VERSION_MARK) == Some(&MARKED);
    if is_second { Version::V2 } else { Version::V1 }
}

/// The bytes of a case, in the first version that can say it.
pub fn encode(case: &Case) -> Vec<u8> {
    encode_as(case, Version::V1)
}

/// The bytes of a case, in this version or the first later one that can say it.
pub fn encode_as(case: &Case, least: Version) -> Vec<u8> {
    let (g, f, l) = (case.geometry, case.faults, case.limits);
    let version = if g.hole_pages().is_none() { Version::V2 } else { least };
    let mut bytes = vec![0; HEADER];
    if version == Version::V2 {
        bytes.resize(HEADER_V2, 0);
        bytes[VERSION_MARK] = MARKED;
        bytes[HEADER..HEADER + 4].copy_from_slice(&g.holes.to_le_bytes());
    }
    bytes[0] = version as u8;
    bytes[1] = v1::PAGES.encode(g.pages);
    bytes[2] = v1::CELLS.encode(g.cells);
    bytes[3] = v1::BLOCKS.encode(g.blocks);
    bytes[4] = g.size;
    bytes[5] = g.hole_pages().unwrap_or(0);
    bytes[6] = v1::MMS.encode(g.mms);
    bytes[7] = g.free;
    bytes[8..10].copy_from_slice(&f.stable.to_le_bytes());
    bytes[10..12].copy_from_slice(&f.eio.to_le_bytes());
    bytes[29] = if f.eio != 0 { EIO_GATE } else { 0 };
    if l != Limits::default() {
        bytes[28] = RAISED;
        bytes[12..15].copy_from_slice(&[l.actors, l.operations, l.pages]);
        bytes[16..18].copy_from_slice(&l.steps.to_le_bytes());
    }
    bytes[19] = v1::ACTORS.encode(case.actors.len() as u8);
    for (i, actor) in case.actors.iter().enumerate() {
        bytes[24 + i / 2] |= actor.mm << (4 * (i % 2));
    }
    let mut record = |fields: &[u8]| {
        bytes.extend_from_slice(fields);
        bytes.resize(bytes.len().next_multiple_of(RECORD), 0);
    };
    for (i, actor) in case.actors.iter().enumerate() {
        for operation in &actor.operations {
            let range = operation.range();
            record(&[0, i as u8, v1::KINDS.encode(operation.kind().code), range.start, range.end]);
        }
    }
    match &case.schedule {
        Schedule::Seed { seed, overrides } => {
            for o in overrides {
                let ([nth, nth_high], [low, high]) =
                    (o.nth.to_le_bytes(), o.priority.to_le_bytes());
                record(&[SCHEDULE_TAG, o.task.0, o.slot, nth, low, high, nth_high]);
            }
            bytes[20..24].copy_from_slice(&seed.to_le_bytes());
        }
        Schedule::Order(stops) => {
            for s in stops {
                let point = s.point.map_or(NO_POINT, |p| p.code() as u8);
                record(&[SCHEDULE_TAG, s.task.0, s.slot, point, s.occurrence]);
            }
            bytes[18] = ORDER;
        }
    }
    bytes
}

/// The case that these bytes mean. Any bytes mean a case; the result is fixed up.
pub fn decode(bytes: &[u8]) -> Case {
    let mut header = [0; HEADER_V2];
    let version = version(bytes);
    let given = bytes.len().min(if version == Version::V1 { HEADER } else { HEADER_V2 });
    header[..given].copy_from_slice(&bytes[..given]);
    let b = |i: usize| header[i];
    let u16_at = |i: usize| u16::from_le_bytes([header[i], header[i + 1]]);

    let limits = if b(28) == RAISED {
        Limits { actors: b(12), operations: b(13), pages: b(14), steps: u16_at(16) }
    } else {
        Limits::default()
    };
    let geometry = Geometry {
        pages: v1::PAGES.decode(b(1)),
        cells: v1::CELLS.decode(b(2)),
        blocks: v1::BLOCKS.decode(b(3)),
        size: b(4),
        holes: 0,
        mms: v1::MMS.decode(b(6)),
        free: if b(7) < 32 { b(7) } else { AMPLE },
    };
    let faults = Faults { stable: u16_at(8), eio: if b(29) >= EIO_GATE { u16_at(10) } else { 0 } };
    let actors = usize::from(v1::ACTORS.decode(b(19)));
    let mut case = Case {
        limits,
        geometry,
        faults,
        actors: (0..actors)
            .map(|i| Actor { mm: b(24 + i / 2) >> (4 * (i % 2)) & 15, operations: vec![] })
            .collect(),
        schedule: Schedule::default(),
    };
    case.fix_up(); // the operands below wrap at the geometry
    let g = case.geometry;
    case.geometry.size = wrap(b(4), g.file_cells() + 1);
    case.geometry.holes = match version {
        Version::V1 => g.blocks_of_pages(b(5)),
        Version::V2 => u32::from_le_bytes([b(32), b(33), b(34), b(35)]),
    };

    let (mut overrides, mut stops) = (Vec::new(), Vec::new());
    for chunk in bytes[given..].chunks(RECORD) {
        let mut r = [0; RECORD];
        r[..chunk.len()].copy_from_slice(chunk);
        if r[0] < SCHEDULE_TAG {
            let actor = usize::from(r[1]) % case.actors.len();
            let operations = &mut case.actors[actor].operations;
            if operations.len() < usize::from(case.limits.operations) {
                operations.push(decode_operation(
                    v1::KINDS.decode(r[2]),
                    Range::new(r[3], r[4]),
                    g,
                ));
            }
        } else {
            let (task, slot) = (TaskId(r[1] % TASKS as u8), r[2]);
            let priority = u16::from_le_bytes([r[4], r[5]]);
            overrides.push(Override {
                task,
                slot,
                nth: u16::from_le_bytes([r[3], r[6]]),
                priority,
            });
            stops.push(Stop { task, slot, point: Point::from_code(r[3].into()), occurrence: r[4] });
        }
    }
    case.schedule = if b(18) < ORDER {
        Schedule::Seed { seed: u32::from_le_bytes([b(20), b(21), b(22), b(23)]), overrides }
    } else {
        Schedule::Order(stops)
    };
    case.fix_up();
    case
}

/// For the custom mutators of fuzzing engines: mutates the case in `data[..size]`, in place and in
/// at most `max` bytes; returns the new size. Some cases are made from nothing, some only get
/// another schedule.
pub fn mutate(data: &mut [u8], size: usize, max: usize, seed: u32) -> usize {
    let r = &mut generate::random(u64::from(seed), 0, 0);
    let choice = data[..size].get(CHOICE).copied().unwrap_or(0);
    let mut case = decode(&data[..size]);
    match r.random_range(0..8) {
        0..2 => Generator::new(false).generate(u64::from(r.next_u32()), 0, &mut case),
        2..4 => mutate::reseed(&mut case, r),
        _ => mutate::mutate(&mut case, r),
    }
    let version = version(&data[..size]);
    let (choice, version) = match generate::one_in(r, 8) {
        true if generate::one_in(r, 2) => (r.random_range(0..CODES), Version::V2),
        true => (r.random(), version),
        false => (choice, version),
    };
    put(&case, choice, version, &mut data[..max])
}

/// For the custom crossover: puts a mixture of two cases into `out`; returns its size.
pub fn cross(one: &[u8], other: &[u8], out: &mut [u8], seed: u32) -> usize {
    let r = &mut generate::random(u64::from(seed), 0, 1);
    let mut case = decode(one);
    mutate::cross(&mut case, &decode(other), r);
    let choice = if generate::one_in(r, 2) { one } else { other };
    put(&case, choice.get(CHOICE).copied().unwrap_or(0), version(choice), out)
}

/// Writes as much of the case as fits; returns its size.
pub fn put(case: &Case, choice: u8, least: Version, out: &mut [u8]) -> usize {
    let mut bytes = encode_as(case, least);
    bytes[CHOICE] = choice;
    let size = bytes.len().min(out.len());
    out[..size].copy_from_slice(&bytes[..size]);
    size
}

fn decode_operation(code: u8, range: Range, g: Geometry) -> Operation {
    let operation = Operation::from_code(code, range).unwrap_or_default();
    let count = match operation.kind().operand {
        Operand::None => return operation,
        Operand::Size => return Operation::Truncate(wrap(range.start, g.file_cells() + 1)),
        Operand::Cells => g.file_cells(),
        Operand::Pages => g.pages,
    };
    let end = if range.end == 0 { 1 } else { wrap(range.end - 1, count) + 1 };
    Operation::from_code(code, Range::new(wrap(range.start, count), end)).unwrap_or_default()
}

fn wrap(value: u8, count: u8) -> u8 {
    value % count
}

/// Hand-written on top of [`decode`]: a derived one has no inverse.
impl<'a> Arbitrary<'a> for Case {
    fn arbitrary(u: &mut Unstructured<'a>) -> arbitrary::Result<Case> {
        Ok(decode(u.bytes(u.len())?))
    }

    fn arbitrary_take_rest(u: Unstructured<'a>) -> arbitrary::Result<Case> {
        Ok(decode(u.take_rest()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn tables_cover_every_byte_and_invert() {
        for table in [v1::PAGES, v1::CELLS, v1::BLOCKS, v1::MMS, v1::ACTORS, v1::KINDS] {
            let total: u32 = table.0.iter().map(|(_, codes)| u32::from(*codes)).sum();
            assert_eq!(total, 256, "a table gives every byte a meaning");
            for &(value, _) in table.0 {
                assert_eq!(table.decode(table.encode(value)), value);
            }
        }
        for kind in Operation::KINDS {
            assert_eq!(
                v1::KINDS.decode(v1::KINDS.encode(kind.code)),
                kind.code,
                "{} has no code",
                kind.name
            );
        }
    }

    #[test]
    fn no_bytes_are_a_case() {
        let mut case = decode(&[]);
        assert_eq!(case.actors.len(), 1);
        assert_eq!(decode(&encode(&case)), case);
        case.faults.eio = 4;
        assert_eq!(decode(&encode(&case)), case);
    }

    #[test]
    fn holes_by_block_take_the_second_version_and_nothing_else_does() {
        let mut case = decode(&[]);
        case.geometry =
            Geometry { pages: 2, blocks: 2, size: 8, holes: 0b1100, ..Geometry::default() };
        case.fix_up();
        assert_eq!((encode(&case).len(), version(&encode(&case))), (HEADER, Version::V1));
        assert_eq!(decode(&encode_as(&case, Version::V2)), case);
        case.geometry.holes = 0b0110;
        assert_eq!((encode(&case).len(), version(&encode(&case))), (HEADER_V2, Version::V2));
        assert_eq!(decode(&encode(&case)), case);
        let mut first = [7; HEADER_V2];
        first[0] = Version::V2 as u8;
        assert_eq!(version(&first), Version::V1, "the first byte alone never counted");
    }

    #[test]
    fn mutated_bytes_are_a_case_in_canonical_form_and_fit() {
        let mut data = vec![0; 300];
        let mut size = 1;
        for seed in 0..500 {
            let max = 100 + (seed as usize % 200);
            let before = data[..size].to_vec();
            size = mutate(&mut data, size, max, seed);
            assert!(size <= max);
            let mut again = before.clone();
            again.resize(300, 0);
            assert_eq!(
                mutate(&mut again, before.len(), max, seed),
                size,
                "a function of bytes and seed"
            );
            assert_eq!(again[..size], data[..size]);
            let mut out = vec![0; max];
            let crossed = cross(&before, &data[..size], &mut out, seed);
            assert!(crossed <= max && crossed >= HEADER);
        }
        data[CHOICE] = 77;
        let kept = (0..100).filter(|seed| {
            let mut data = data.clone();
            mutate(&mut data, size, 300, *seed);
            data[CHOICE] == 77
        });
        assert!(kept.count() > 70, "the choice mostly stays");
    }

    proptest! {
        #[test]
        fn any_bytes_decode_and_encode_back_to_the_same_case(
            bytes in proptest::collection::vec(any::<u8>(), 0..400)
        ) {
            let case = decode(&bytes);
            let mut fixed = case.clone();
            fixed.fix_up();
            prop_assert_eq!(&fixed, &case, "decode fixes up");
            prop_assert_eq!(decode(&encode(&case)), case);
        }

        #[test]
        fn generated_cases_survive_the_trip(seed in any::<u64>(), index in 0u64..64) {
            let mut case = Case::default();
            Generator::new(false).generate(seed, index, &mut case);
            prop_assert_eq!(decode(&encode(&case)), case);
        }
    }
}
