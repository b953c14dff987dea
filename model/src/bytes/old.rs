//! Forms 1 and 2 of bytes, for inputs that were stored when they were written. Only read; frozen:
//! nothing here changes, whatever is added elsewhere (`search/tests/stored.rs`).
//!
//! A header of 32 bytes (form 2: 40) and records of 8 bytes. Form 1 never looked at its first byte,
//! so two bytes say that an input is of form 2; all that does not is of form 1.
//!
//! ```text
//! 0  version   1 pages   2 cells   3 blocks   4 size   5 holes   6 mms   7 free blocks
//! 8  stable replies (16 bit)      10 failing writes (16 bit, only if byte 29 is >= 240)
//! 12 limits: actors, operations, pages (only if byte 28 is 0xA5)         16 limits: steps (16 bit)
//! 18 schedule: below 192 seed, else order    19 actors    20 seed (32 bit)   24 address spaces, 4 bit each
//! 28 0xA5: limits are raised      29 gate of byte 10     30 0xB2: byte 0 counts     31 the pair
//! form 2 only: 32 holes by block (32 bit) instead of byte 5     36 spare (32 bit)
//! records of 8 bytes:
//!   tag below 224: operation: 1 actor, 2 kind, 3 start, 4 end
//!   else:          schedule:  1 task, 2 slot, then 3 and 6 nth, 4 priority (16 bit), or 3 point, 4 occurrence
//! ```

use super::{Steps, Table, Version, wrapped};
use crate::case::{AMPLE, Actor, Case, Geometry, Limits, Override, Range, Stop};
use crate::exec::{TASKS, TaskId};
use crate::point::Point;
use crate::site::Site;

/// Bytes of the header of form 1.
const HEADER: usize = 32;
/// Bytes of the header of form 2.
const HEADER_V2: usize = 40;
const RECORD: usize = 8;
/// The byte of the header that belongs to whoever runs the case.
pub(super) const CHOICE: usize = 31;

const RAISED: u8 = 0xA5;
const VERSION_MARK: usize = 30;
const MARKED: u8 = 0xB2;
const EIO_GATE: u8 = 240;
const ORDER: u8 = 192;
const SCHEDULE_TAG: u8 = 224;

const PAGES: Table =
    Table::new(&[(1, 110), (2, 90), (3, 30), (5, 1), (6, 1), (7, 1), (8, 1), (4, 22)]);
const CELLS: Table = Table::new(&[(1, 32), (2, 48), (8, 32), (4, 144)]);
const BLOCKS: Table = Table::new(&[(1, 96), (4, 64), (2, 96)]);
const MMS: Table = Table::new(&[(1, 128), (3, 32), (2, 96)]);
const ACTORS: Table =
    Table::new(&[(1, 24), (3, 84), (4, 40), (5, 1), (6, 1), (7, 1), (8, 1), (2, 104)]);
const KINDS: Table = Table::new(&[
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

/// The form of bytes that are of one of these.
pub(super) fn version(bytes: &[u8]) -> Version {
    let is_second =
        bytes.first() == Some(&(Version::V2 as u8)) && bytes.get(VERSION_MARK) == Some(&MARKED);
    if is_second { Version::V2 } else { Version::V1 }
}

/// The case that these bytes mean.
pub(super) fn decode(bytes: &[u8]) -> Case {
    let is_second = version(bytes) == Version::V2;
    let given = bytes.len().min(if is_second { HEADER_V2 } else { HEADER });
    let mut header = [0; HEADER_V2];
    header[..given].copy_from_slice(&bytes[..given]);
    let mut case = read_header(&header, is_second);
    let mut schedule = Steps::default();
    for chunk in bytes[given..].chunks(RECORD) {
        let mut record = [0; RECORD];
        record[..chunk.len()].copy_from_slice(chunk);
        if record[0] < SCHEDULE_TAG {
            read_operation(&mut case, &record);
        } else {
            read_step(&mut schedule, &record);
        }
    }
    let seed = u32::from_le_bytes(std::array::from_fn(|n| header[20 + n]));
    case.schedule = schedule.finish(header[18] < ORDER, seed);
    case.fix_up();
    case
}

fn read_header(header: &[u8; HEADER_V2], is_second: bool) -> Case {
    let b = |i: usize| header[i];
    let u16_at = |i: usize| u16::from_le_bytes([header[i], header[i + 1]]);
    let limits = if b(28) == RAISED {
        Limits { actors: b(12), operations: b(13), pages: b(14), steps: u16_at(16) }
    } else {
        Limits::default()
    };
    let geometry = Geometry {
        pages: PAGES.decode(b(1)),
        cells: CELLS.decode(b(2)),
        blocks: BLOCKS.decode(b(3)),
        size: b(4),
        mms: MMS.decode(b(6)),
        free: if b(7) < 32 { b(7) } else { AMPLE },
        ..Geometry::default()
    };
    let mm = |i: usize| b(24 + i / 2) >> (4 * (i % 2)) & 15;
    let actors = ACTORS.decode(b(19)).into();
    let actors = (0..actors).map(|i| Actor { mm: mm(i), operations: vec![] }).collect();
    let mut case = Case { limits, geometry, actors, ..Case::default() };
    case.faults.set(Site::Stable, u16_at(8));
    case.faults.set(Site::Eio, if b(29) >= EIO_GATE { u16_at(10) } else { 0 });
    case.fix_up(); // what comes now wraps at the shape
    let g = case.geometry;
    case.geometry.size = b(4) % (g.file_cells() + 1);
    case.geometry.holes = if is_second {
        u32::from_le_bytes(std::array::from_fn(|n| header[32 + n]))
    } else {
        g.blocks_of_pages(b(5))
    };
    case
}

fn read_operation(case: &mut Case, record: &[u8; RECORD]) {
    let actor = usize::from(record[1]) % case.actors.len();
    let operations = &mut case.actors[actor].operations;
    if operations.len() < usize::from(case.limits.operations) {
        let operands = [Range::new(record[3], record[4]), Range::default()];
        operations.push(wrapped(KINDS.decode(record[2]), operands, case.geometry));
    }
}

fn read_step(schedule: &mut Steps, r: &[u8; RECORD]) {
    let (task, slot) = (TaskId(r[1] % TASKS as u8), r[2]);
    let (nth, priority) = (u16::from_le_bytes([r[3], r[6]]), u16::from_le_bytes([r[4], r[5]]));
    schedule.overrides.push(Override { task, slot, nth, priority });
    schedule.stops.push(Stop {
        task,
        slot,
        point: Point::from_code(r[3].into()),
        occurrence: r[4],
    });
}
