//! The case as bytes, for fuzzers: total and invertible.
//!
//! A header of 48 bytes and any number of records of 12 bytes, little-endian, with spare bytes that
//! are written as zero and not read. Any bytes are a case; [`encode`] of a fixed-up case decodes to
//! the same case. Operands wrap at the size of the file, so that random bytes spread over it.
//! Codes of operations and of sites stand for themselves in the upper half of their byte; a byte of
//! the lower half, or with a code that nobody has yet, is one of those that there were when this
//! form was made, as often as the tables below say. So a new one is a row of its table and changes
//! no bytes that [`encode`] has written.
//!
//! This is form 3: it begins with [`MAGIC`], with which no input of form 2 can begin, and no input
//! of form 1 that an encoder wrote. All other bytes are of form 1 or 2 and mean what they always
//! meant (`bytes/old.rs`, `search/tests/stored.rs`); nothing writes those any more.
//!
//! ```text
//! 0  magic (32 bit)       4 the pair, for whoever runs the case (16 bit)        6 spare
//! 8  geometry: the fields at the places that their rows name (geometry.rs), spare up to 24
//! 24 0xA5: limits are raised     25 actors, operations, pages     28 steps (16 bit)
//! 30 schedule: below 192 seed, else order    31 actors    32 seed (32 bit)   36 address spaces, 4 bit each
//! 40 spare: a second file
//! records of 12 bytes, spare from where they end:
//!   tag below 208: operation: 1 actor, 2 kind, 3 start, 4 end, 5 and 6 the second range
//!   below 224:     fault:     1 site, 2 occurrences, one bit each (16 bit)
//!   else:          schedule:  1 task, 2 slot, then 3 nth, 5 priority (16 bit each), or 3 point (16 bit), 5 occurrence
//! ```

mod old;

use arbitrary::{Arbitrary, Unstructured};
use rand::{Rng, RngExt};

use crate::case::{
    Actor, Case, Faults, Geometry, Limits, Operand, Operands, Operation, Override, Range, Schedule,
    Stop,
};
use crate::exec::{TASKS, TaskId};
use crate::generate::{self, Generator};
use crate::geometry::FIELDS;
use crate::mutate;
use crate::point::Point;
use crate::site::Site;

/// The form of some bytes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord)]
pub enum Version {
    /// Holes are whole pages; one range, two kinds of faults, points of 8 bits.
    V1 = 1,
    /// Holes are blocks.
    V2 = 2,
    /// All that a case can say.
    V3 = 3,
}

/// What an input of form 3 begins with.
pub const MAGIC: [u8; 4] = [0xB3, b'm', b'k', b'w'];
/// Bytes of the header.
pub const HEADER: usize = 48;
/// Bytes of a record.
pub const RECORD: usize = 12;
/// Where the number of the pair stands, 16 bits: [`decode`] does not look at it.
const PAIR: usize = 4;
/// Numbers of pairs that mutators draw.
const PAIRS: u16 = 64;

const LIMITS: usize = 24;
const RAISED: u8 = 0xA5;
const SCHEDULE: usize = 30;
const ORDER: u8 = 192;
const ACTORS: usize = 31;
const SEED: usize = 32;
const MMS: usize = 36;

const FAULT_TAG: u8 = 208;
const SCHEDULE_TAG: u8 = 224;
const NO_POINT: u16 = u16::MAX;
/// From here on a byte is the code of an operation, or of a site, itself.
const EXACT: u8 = 128;

const _: () = {
    assert!(Point::from_code(NO_POINT).is_none(), "the code of no point is that of a point");
    let mut n = 0;
    while n < Operation::KINDS.len() {
        assert!(Operation::KINDS[n].code < EXACT, "codes of operations are below 128");
        assert!(
            n == 0 || Operation::KINDS[n - 1].code < Operation::KINDS[n].code,
            "each operation has a code of its own"
        );
        n += 1;
    }
};

/// A decoding table: values with the number of byte codes that mean each; beyond their sum, a power
/// of two, bytes begin again.
pub(crate) struct Table(&'static [(u8, u8)]);

impl Table {
    pub(crate) const fn new(values: &'static [(u8, u8)]) -> Table {
        let table = Table(values);
        let sum = table.sum();
        assert!(sum.is_power_of_two() && sum <= 1 << u8::BITS, "bytes are spread evenly");
        table
    }

    const fn sum(&self) -> u32 {
        let (mut sum, mut n) = (0, 0);
        while n < self.0.len() {
            sum += self.0[n].1 as u32;
            n += 1;
        }
        sum
    }

    pub(crate) fn decode(&self, byte: u8) -> u8 {
        let values = self.0.iter().map(|&(value, codes)| (value, codes.into()));
        generate::by_weight(values, u32::from(byte) % self.sum())
    }

    pub(crate) fn encode(&self, value: u8) -> u8 {
        let before = self.0.iter().take_while(|(v, _)| *v != value);
        before.map(|(_, codes)| codes).sum()
    }
}

const ACTOR_COUNTS: Table =
    Table::new(&[(1, 24), (3, 84), (4, 40), (5, 1), (6, 1), (7, 1), (8, 1), (2, 104)]);
/// Operations in the lower half of a byte. Frozen: new ones have their code alone.
const KINDS: Table = Table::new(&[
    (0, 2),   // an empty slot
    (2, 7),   // load
    (3, 7),   // read
    (4, 11),  // write
    (5, 13),  // truncate
    (6, 15),  // writeback
    (7, 7),   // sync_range
    (8, 12),  // fsync
    (9, 2),   // msync
    (10, 5),  // invalidate
    (11, 10), // invalidate2
    (12, 7),  // reclaim
    (13, 2),  // munmap
    (14, 2),  // mmap
    (1, 26),  // store
]);
/// Sites in the lower half of a byte. Frozen, as well.
const SITES: Table = Table::new(&[(0, 96), (1, 32)]);

/// The code that a byte stands for.
fn exact(byte: u8, is_known: impl Fn(u8) -> bool, table: &Table) -> u8 {
    let code = byte.checked_sub(EXACT).filter(|code| is_known(*code));
    code.unwrap_or_else(|| table.decode(byte % EXACT))
}

/// The form of these bytes.
pub fn version(bytes: &[u8]) -> Version {
    if bytes.starts_with(&MAGIC) { Version::V3 } else { old::version(bytes) }
}

/// The number of a pair that these bytes bring: what it means depends on their form (see
/// `mkwrite_search::choice`).
pub fn pair(bytes: &[u8]) -> u16 {
    match version(bytes) {
        Version::V3 => word(bytes, PAIR),
        Version::V1 | Version::V2 => bytes.get(old::CHOICE).copied().unwrap_or(0).into(),
    }
}

/// The 16 bits at a place; what is not there is 0.
fn word(bytes: &[u8], at: usize) -> u16 {
    u16::from_le_bytes(std::array::from_fn(|n| bytes.get(at + n).copied().unwrap_or(0)))
}

/// The bytes of a case.
pub fn encode(case: &Case) -> Vec<u8> {
    encode_on(case, 0)
}

/// The bytes of a case, with the number of a pair that it is to run on.
pub fn encode_on(case: &Case, pair: u16) -> Vec<u8> {
    let mut bytes = header(case, pair).to_vec();
    let mut record = |fields: &[u8]| {
        bytes.extend_from_slice(fields);
        bytes.resize(bytes.len() + RECORD - fields.len(), 0);
    };
    for site in Site::ALL.iter().copied().filter(|site| case.faults.of(*site) != 0) {
        let [low, high] = case.faults.of(site).to_le_bytes();
        record(&[FAULT_TAG, EXACT + site.code(), low, high]);
    }
    for (i, actor) in case.actors.iter().enumerate() {
        for operation in &actor.operations {
            let [first, second] = operation.operands();
            let kind = EXACT + operation.kind().code;
            record(&[0, i as u8, kind, first.start, first.end, second.start, second.end]);
        }
    }
    match &case.schedule {
        Schedule::Seed { overrides, .. } => {
            for o in overrides {
                let ([n0, n1], [p0, p1]) = (o.nth.to_le_bytes(), o.priority.to_le_bytes());
                record(&[SCHEDULE_TAG, o.task.0, o.slot, n0, n1, p0, p1]);
            }
        }
        Schedule::Order(stops) => {
            for s in stops {
                let [p0, p1] = s.point.map_or(NO_POINT, Point::code).to_le_bytes();
                record(&[SCHEDULE_TAG, s.task.0, s.slot, p0, p1, s.occurrence]);
            }
        }
    }
    bytes
}

fn header(case: &Case, pair: u16) -> [u8; HEADER] {
    let mut header = [0; HEADER];
    header[..MAGIC.len()].copy_from_slice(&MAGIC);
    header[PAIR..PAIR + 2].copy_from_slice(&pair.to_le_bytes());
    for field in FIELDS {
        field.write(&case.geometry, &mut header);
    }
    let l = case.limits;
    if l != Limits::default() {
        header[LIMITS..LIMITS + 4].copy_from_slice(&[RAISED, l.actors, l.operations, l.pages]);
        header[LIMITS + 4..LIMITS + 6].copy_from_slice(&l.steps.to_le_bytes());
    }
    header[ACTORS] = ACTOR_COUNTS.encode(case.actors.len() as u8);
    for (i, actor) in case.actors.iter().enumerate() {
        header[MMS + i / 2] |= actor.mm << (4 * (i % 2));
    }
    match &case.schedule {
        Schedule::Seed { seed, .. } => header[SEED..SEED + 4].copy_from_slice(&seed.to_le_bytes()),
        Schedule::Order(_) => header[SCHEDULE] = ORDER,
    }
    header
}

/// The case that these bytes mean. Any bytes mean a case; the result is fixed up.
pub fn decode(bytes: &[u8]) -> Case {
    if version(bytes) != Version::V3 {
        return old::decode(bytes);
    }
    let given = bytes.len().min(HEADER);
    let mut header = [0; HEADER];
    header[..given].copy_from_slice(&bytes[..given]);
    let mut case = read_header(&header);
    let mut schedule = Steps::default();
    for chunk in bytes[given..].chunks(RECORD) {
        let mut record = [0; RECORD];
        record[..chunk.len()].copy_from_slice(chunk);
        match record[0] {
            ..FAULT_TAG => read_operation(&mut case, &record),
            FAULT_TAG..SCHEDULE_TAG => read_fault(&mut case.faults, &record),
            SCHEDULE_TAG.. => schedule.read(&record),
        }
    }
    let seed = u32::from_le_bytes(std::array::from_fn(|n| header[SEED + n]));
    case.schedule = schedule.finish(header[SCHEDULE] < ORDER, seed);
    case.fix_up();
    case
}

/// Limits, geometry and actors without operations.
fn read_header(header: &[u8; HEADER]) -> Case {
    let mut case = Case::default();
    if header[LIMITS] == RAISED {
        let [actors, operations, pages] = std::array::from_fn(|n| header[LIMITS + 1 + n]);
        case.limits = Limits { actors, operations, pages, steps: word(header, LIMITS + 4) };
    }
    case.limits.fix_up();
    for field in FIELDS {
        // The next ones wrap at this one.
        field.read(&mut case.geometry, header);
        field.fit(&mut case.geometry, case.limits);
    }
    let mm = |i: usize| header[MMS + i / 2] >> (4 * (i % 2)) & 15;
    let actors = ACTOR_COUNTS.decode(header[ACTORS]).min(case.limits.actors).into();
    case.actors = (0..actors).map(|i| Actor { mm: mm(i), operations: vec![] }).collect();
    case
}

fn read_operation(case: &mut Case, record: &[u8; RECORD]) {
    let actor = usize::from(record[1]) % case.actors.len();
    let operations = &mut case.actors[actor].operations;
    if operations.len() < usize::from(case.limits.operations) {
        let known = |code| Operation::from_code(code, Operands::default()).is_some();
        let operands = [Range::new(record[3], record[4]), Range::new(record[5], record[6])];
        operations.push(wrapped(exact(record[2], known, &KINDS), operands, case.geometry));
    }
}

/// The operation with its operands wrapped at the size of the file.
fn wrapped(code: u8, operands: Operands, g: Geometry) -> Operation {
    let operation = Operation::from_code(code, operands).unwrap_or_default();
    operation.map(|operand, range| {
        let count = operand.count(g);
        let end = match operand {
            Operand::Size => 0,
            Operand::Cells | Operand::Pages => range.end.saturating_sub(1) % count + 1,
        };
        Range::new(range.start % count, end)
    })
}

fn read_fault(faults: &mut Faults, record: &[u8; RECORD]) {
    let code = exact(record[1], |code| Site::from_code(code).is_some(), &SITES);
    if let Some(site) = Site::from_code(code) {
        faults.set(site, word(record, 2));
    }
}

/// The records of a schedule, read as either kind.
#[derive(Default)]
struct Steps {
    overrides: Vec<Override>,
    stops: Vec<Stop>,
}

impl Steps {
    fn read(&mut self, record: &[u8; RECORD]) {
        let (task, slot) = (TaskId(record[1] % TASKS as u8), record[2]);
        let (nth, priority) = (word(record, 3), word(record, 5));
        self.overrides.push(Override { task, slot, nth, priority });
        self.stops.push(Stop { task, slot, point: Point::from_code(nth), occurrence: record[5] });
    }

    fn finish(self, is_seed: bool, seed: u32) -> Schedule {
        if is_seed {
            Schedule::Seed { seed, overrides: self.overrides }
        } else {
            Schedule::Order(self.stops)
        }
    }
}

/// For the custom mutators of fuzzing engines: mutates the case in `data[..size]`, in place and in
/// at most `max` bytes; returns the new size. Some cases are made from nothing, some only get
/// another schedule.
pub fn mutate(data: &mut [u8], size: usize, max: usize, seed: u32) -> usize {
    let r = &mut generate::random(u64::from(seed), 0, 0);
    let mut case = decode(&data[..size]);
    match r.random_range(0..8) {
        0..2 => Generator::new(false).generate(u64::from(r.next_u32()), 0, &mut case),
        2..4 => mutate::reseed(&mut case, r),
        _ => mutate::mutate(&mut case, r),
    }
    let pair = if generate::one_in(r, 8) { r.random_range(0..PAIRS) } else { pair(&data[..size]) };
    put(&case, pair, &mut data[..max])
}

/// For the custom crossover: puts a mixture of two cases into `out`; returns its size.
pub fn cross(one: &[u8], other: &[u8], out: &mut [u8], seed: u32) -> usize {
    let r = &mut generate::random(u64::from(seed), 0, 1);
    let mut case = decode(one);
    mutate::cross(&mut case, &decode(other), r);
    let of = if generate::one_in(r, 2) { one } else { other };
    put(&case, pair(of), out)
}

/// Writes as much of the case as fits; returns its size.
pub fn put(case: &Case, pair: u16, out: &mut [u8]) -> usize {
    let bytes = encode_on(case, pair);
    let size = bytes.len().min(out.len());
    out[..size].copy_from_slice(&bytes[..size]);
    size
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
mod tests;
