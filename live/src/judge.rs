//! Gives a concurrent run to the history checker, word by word.
//!
//! The checker knows cells that hold one stamp. A real cell is many words, and two writers, or a
//! reader and a writer, may tear it, by right. But each word of 8 bytes is read and written whole,
//! so it is a register as the checker knows it: the history is judged once for the first word of
//! all cells, and once more for each place where some cell that was seen is torn (all words between
//! two such places tell the same).
//!
//! fsync and msync are judged where they return if the store could be looked at then
//! ([`crate::store`]); the look is part of the call. What the closing program leaves on the store is
//! judged always.
//!
//! What was stored beyond the end of the file and shows in it afterwards has a flaw of its own,
//! [`PAST_EOF`], cell by cell: kernels take liberties there.

use std::collections::BTreeSet;

use mkwrite_model::case::{AMPLE, Case, Effect, Operation};
use mkwrite_model::exec::TaskId;
use mkwrite_model::kernel::{InodeId, Stamp};
use mkwrite_oracle::history::{Flaw, History, Observed, Obstacles};

use crate::compare::kind;
use crate::exec::TeamRun;
use crate::operations::{Record, cell_bytes, cell_words};

/// What a run breaks.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Broken {
    /// The history's flaw by name, or `trouble`.
    pub flaw: String,
    /// The operation that shows it; `rest` when nothing ran any more, `durable` for what the store
    /// holds.
    pub shown_by: &'static str,
    /// The kind of value that shows it: zero, initial, data, alien; none for trouble.
    pub found: String,
}

impl Broken {
    /// Something else than a value.
    pub fn trouble(flaw: &str, shown_by: &'static str) -> Broken {
        Broken { flaw: flaw.to_owned(), shown_by, found: kind(None) }
    }
}

impl std::fmt::Display for Broken {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} by {}: {}", self.flaw, self.shown_by, self.found)
    }
}

/// A call, or a return.
struct Event<'a> {
    at: u64,
    is_call: bool,
    task: TaskId,
    slot: u8,
    operation: Operation,
    record: &'a Record,
}

/// What is known of a run.
#[derive(Clone, Debug, Default)]
pub struct Verdict {
    /// What it breaks, with the place.
    pub broken: Vec<(Broken, String)>,
    /// Calls of two actors overlapped.
    pub overlapped: bool,
    /// Some seen cell was torn.
    pub torn: bool,
    /// The checker could not decide on some cell.
    pub undecided: bool,
    /// Syncs that were judged by what the store held when they returned.
    pub syncs: u64,
}

/// A cell that reads as zero by right holds what was stored to it when it lay beyond the end of the
/// file.
pub const PAST_EOF: &str = "past-eof-exposed";

/// Whether a store put this there when the file ended inside the cell's page, before the cell.
#[derive(Clone, Copy, PartialEq, Eq)]
enum PastEof {
    No,
    Perhaps,
    Surely,
}

/// By the sizes that the file may have had while that store ran.
fn past_eof(case: &Case, run: &TeamRun<'_>, cell: u8, found: Stamp) -> PastEof {
    let Some((task, slot)) = found.origin() else { return PastEof::No };
    match case.operation(task, slot).effect() {
        Effect::Stores(cells) | Effect::Pins(cells)
            if cells.contains(cell) && found.cell() == cell => {}
        _ => return PastEof::No,
    }
    let (g, store) = (case.geometry, run.record(task, slot));
    // When it was called, when it had returned, what it made the size, and whether it surely did.
    let changes: Vec<(u64, u64, u8, bool)> = case
        .operations()
        .filter_map(|(task, slot, operation)| {
            let record = run.record(task, slot);
            let (size, sets) = match operation.effect() {
                Effect::Resizes(size) => (size, true),
                effect => (effect.extends_to()?, false),
            };
            Some((record.called, record.returned, size, sets))
        })
        .chain([(0, 0, g.size, true)])
        .collect();
    let is_over = |returned: u64| {
        changes.iter().any(|later| later.3 && returned < later.0 && later.1 < store.called)
    };
    let sizes = || {
        let before = changes.iter().filter(|change| change.0 < store.returned);
        before.filter(|change| !is_over(change.1)).map(|change| change.2)
    };
    let ends_before = |size: u8| g.cells_of(g.page_of(cell)).start < size && size <= cell;
    match () {
        () if !sizes().any(ends_before) => PastEof::No,
        () if sizes().all(|size| size <= cell) => PastEof::Surely,
        () => PastEof::Perhaps,
    }
}

/// The name of a flaw.
fn name(flaw: Flaw) -> String {
    let text = format!("{flaw:?}");
    let words = text
        .char_indices()
        .flat_map(|(n, c)| (n > 0 && c.is_uppercase()).then_some('-').into_iter().chain([c]));
    words.collect::<String>().to_lowercase()
}

/// Judges a run of this case.
pub fn judge(history: &mut History, case: &Case, run: &TeamRun<'_>) -> Verdict {
    let mut verdict = Verdict::default();
    let events = events(case, run);
    verdict.overlapped = overlaps(case, run);
    let mut trouble = |shown_by, detail: String| {
        verdict.broken.push((Broken::trouble("trouble", shown_by), detail));
    };
    if let Some(text) = &run.trouble {
        trouble("durable", text.clone());
    }
    for event in events.iter().filter(|event| !event.is_call && event.record.errno != 0) {
        trouble(event.operation.kind().name, format!("errno {}", event.record.errno));
    }
    if run.size > u64::from(case.geometry.file_cells()) * cell_bytes(case.geometry) as u64
        || !run.size.is_multiple_of(cell_bytes(case.geometry) as u64)
    {
        trouble("rest", format!("the file has {} bytes", run.size));
        return verdict;
    }
    let places = places(case, run, &events);
    verdict.torn = places.len() > 1;
    let looked = |event: &&Event<'_>| !event.is_call && event.record.stored_size.is_some();
    verdict.syncs = events.iter().filter(looked).count() as u64;
    for place in places {
        judge_words(history, case, run, &events, place, &mut verdict);
    }
    verdict
}

/// Two calls ran at the same time, whatever they are.
fn overlaps(case: &Case, run: &TeamRun<'_>) -> bool {
    let records = case.operations().map(|(task, slot, _)| run.record(task, slot));
    let mut calls: Vec<(u64, u64)> =
        records.map(|record| (record.called, record.returned)).collect();
    calls.sort_unstable();
    calls.windows(2).any(|pair| pair[1].0 < pair[0].1)
}

/// Calls and returns in their order. Syncs after which nobody looked, and what has no result of the
/// contract, are left out.
fn events<'a>(case: &Case, run: &'a TeamRun<'_>) -> Vec<Event<'a>> {
    let mut events: Vec<Event<'_>> = Vec::new();
    for (task, slot, operation) in case.operations() {
        let (effect, record) = (operation.effect(), run.record(task, slot));
        let is_judged = match effect {
            Effect::Syncs { .. } => record.stored_size.is_some(),
            _ => effect.is_of_contract(),
        };
        if !is_judged {
            continue;
        }
        for (at, is_call) in [(record.called, true), (record.returned, false)] {
            events.push(Event { at, is_call, task, slot, operation, record });
        }
    }
    events.sort_by_key(|event| event.at);
    events
}

/// Word 0, and the places of words that differ, in some cell that was seen, from the word before
/// them.
fn places(case: &Case, run: &TeamRun<'_>, events: &[Event<'_>]) -> BTreeSet<usize> {
    let words = cell_words(case.geometry);
    let mut places = BTreeSet::from([0]);
    let look = |places: &mut BTreeSet<usize>, content: &[Stamp]| {
        for cell in content.chunks_exact(words) {
            places.extend((1..words).filter(|n| cell[*n] != cell[n - 1]));
        }
    };
    look(&mut places, &run.seen);
    look(&mut places, &run.stored);
    for event in events.iter().filter(|event| !event.is_call) {
        let effect = event.operation.effect();
        if effect.returns().is_some() {
            look(&mut places, &event.record.words[..usize::from(event.record.done) * words]);
        }
        if effect.gives().is_some() {
            places.insert(event.record.words_written as usize % words);
        }
        if event.record.stored_size.is_some() {
            look(
                &mut places,
                &event.record.words[..usize::from(case.geometry.file_cells()) * words],
            );
        }
    }
    places
}

fn judge_words(
    history: &mut History,
    case: &Case,
    run: &TeamRun<'_>,
    events: &[Event<'_>],
    place: usize,
    verdict: &mut Verdict,
) {
    let words = cell_words(case.geometry);
    let mut take = |history: &mut History, shown_by: &'static str, at: &dyn std::fmt::Display| {
        for finding in history.take_findings() {
            // If other stores to the cell were under way, a value that should be gone is stale.
            let flaw = match (finding.flaw, past_eof(case, run, finding.cell, finding.found)) {
                (Flaw::Exposed, PastEof::Perhaps | PastEof::Surely)
                | (Flaw::Stale | Flaw::Lost | Flaw::NotDurable, PastEof::Surely) => {
                    PAST_EOF.to_owned()
                }
                (flaw, _) => name(flaw),
            };
            let broken = Broken { flaw, shown_by, found: kind(Some(finding.found)) };
            if verdict.broken.iter().all(|(other, _)| *other != broken) {
                let detail =
                    format!("{at}: cell {}, word {place}: {}", finding.cell, shown(finding.found));
                verdict.broken.push((broken, detail));
            }
        }
    };
    history.begin(case, InodeId::FIRST);
    // That the space ran out is seen from outside by nobody: where it may, it excuses.
    history
        .set_obstacles(Obstacles { no_space: case.geometry.free != AMPLE, ..Obstacles::default() });
    for event in events {
        let Event { task, slot, operation, record, .. } = *event;
        if event.is_call {
            history.call(task, slot, operation);
            continue;
        }
        let word = |n: u8| record.words[usize::from(n) * words + place];
        let outcome = Observed {
            status: record.status,
            done: done(operation, record, words, place),
            value: &word,
            durable: &word,
            stored: &word,
            durable_size: &|| {
                (record.stored_size.unwrap_or(0) / cell_bytes(case.geometry) as u64) as u8
            },
            visible: &|_| None,
        };
        history.returned(task, &outcome);
        take(history, operation.kind().name, &format_args!("{task}.{slot}"));
    }
    let size = (run.size / cell_bytes(case.geometry) as u64) as u8;
    history.quiescent(size, &|cell| run.seen.get(usize::from(cell) * words + place).copied());
    take(history, "rest", &"at rest");
    history.end(&|cell| {
        run.stored.get(usize::from(cell) * words + place).copied().unwrap_or_default()
    });
    take(history, "durable", &"on the store");
    verdict.undecided |= history.is_undecided();
}

/// The cells whose words at this place were done: a fault may end a store inside a cell.
fn done(operation: Operation, record: &Record, words: usize, place: usize) -> u8 {
    match operation.effect().gives() {
        Some(_) => ((record.words_written as usize + words - 1 - place) / words) as u8,
        None => record.done,
    }
}

fn shown(stamp: Stamp) -> String {
    if stamp == crate::word::ALIEN { "alien".to_owned() } else { stamp.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mkwrite_model::case::{Actor, Geometry, Range};

    const STORED: Range = Range::new(0, 2);

    /// Two actors store the same two cells of a page of two, at the same time.
    fn case() -> Case {
        let actor = || Actor { mm: 0, operations: vec![Operation::Store(STORED)] };
        Case {
            geometry: Geometry { cells: 2, size: 2, ..Geometry::default() },
            actors: vec![actor(), actor()],
            ..Case::default()
        }
    }

    fn stamp(actor: u8, cell: u8) -> Stamp {
        Stamp::new(TaskId(actor), 0, cell)
    }

    /// The file: each cell's words, up to `torn` of A, then of B.
    fn content(torn: usize) -> Vec<Stamp> {
        (0..512).map(|n| stamp((n % 256 >= torn) as u8, (n / 256) as u8)).collect()
    }

    /// A run in which each actor has one operation.
    fn of_firsts(
        records: impl IntoIterator<Item = Record>,
        size: u64,
        seen: Vec<Stamp>,
        stored: Vec<Stamp>,
    ) -> TeamRun<'static> {
        let records = (0..).zip(records).map(|(n, record)| ((TaskId(n), 0), record)).collect();
        TeamRun::of_records(records, size, seen, stored)
    }

    fn verdict(
        seen: Vec<Stamp>,
        stored: Vec<Stamp>,
        change: impl FnOnce(&mut [Record; 2]),
    ) -> Verdict {
        let record = |called, returned| Record {
            called,
            returned,
            done: 2,
            words_written: 512,
            ..Record::default()
        };
        let mut records = [record(1, 3), record(2, 4)];
        change(&mut records);
        let run = of_firsts(records, 4096, seen, stored);
        judge(&mut History::default(), &case(), &run)
    }

    #[test]
    fn a_cell_that_two_writers_tore_is_no_flaw() {
        let whole = verdict(content(0), content(0), |_| ());
        assert!(whole.broken.is_empty() && whole.overlapped && !whole.torn);
        let torn = verdict(content(100), content(100), |_| ());
        assert!(torn.broken.is_empty() && torn.torn);
    }

    #[test]
    fn a_word_that_nobody_wrote_or_that_was_lost_is_a_flaw_wherever_it_stands() {
        let mut seen = content(100);
        seen[300] = Stamp::ZERO;
        let lost = verdict(seen.clone(), content(100), |_| ());
        assert_eq!(
            lost.broken[0].0,
            Broken { flaw: "stale".to_owned(), shown_by: "rest", found: "zero".to_owned() }
        );
        assert_eq!(lost.broken[0].1, "at rest: cell 1, word 44: 0");
        let not_stored = verdict(content(100), seen, |_| ());
        assert_eq!(
            not_stored.broken[0].0,
            Broken { flaw: "lost".to_owned(), shown_by: "durable", found: "zero".to_owned() }
        );
        // One after the other: the first is overwritten, in every word.
        let late = verdict(content(100), content(100), |records| {
            (records[0].returned, records[1].called) = (2, 3)
        });
        assert_eq!(late.broken[0].1, "at rest: cell 0, word 0: A.0@0");
    }

    #[test]
    fn a_store_that_a_fault_ended_inside_a_cell_has_done_the_words_before() {
        let partial = |records: &mut [Record; 2]| {
            (records[1].called, records[1].returned) = (4, 5);
            records[1].words_written = 300;
        };
        let seen = (0..512).map(|n| stamp(u8::from(n < 300), (n / 256) as u8)).collect::<Vec<_>>();
        // That the store ended there for no reason is a flaw of its own.
        let shown = |verdict: Verdict| {
            verdict.broken.iter().map(|(broken, _)| broken.shown_by).collect::<Vec<_>>()
        };
        assert_eq!(shown(verdict(seen.clone(), seen, partial)), ["store"]);
        assert_eq!(shown(verdict(content(0), content(0), partial)), ["store", "rest", "durable"]);
    }

    /// A store of one cell in a page of four, and another call after it.
    fn store_then(store: Range, size: u8, then: Operation) -> Case {
        let actor = |operation| Actor { mm: 0, operations: vec![operation] };
        Case {
            geometry: Geometry { cells: 4, size, ..Geometry::default() },
            actors: vec![actor(Operation::Store(store)), actor(then)],
            ..Case::default()
        }
    }

    /// Each cell in whole, of this many words.
    fn whole(cells: &[Stamp]) -> Vec<Stamp> {
        cells.iter().flat_map(|stamp| [*stamp; 128]).collect()
    }

    fn flaws(case: &Case, second: Record, cells: &[Stamp]) -> Vec<(String, &'static str)> {
        let first =
            Record { called: 1, returned: 2, done: 1, words_written: 128, ..Record::default() };
        let second = Record { called: 3, returned: 4, ..second };
        let size = 1024 * cells.len() as u64;
        let run = of_firsts([first, second], size, whole(cells), whole(cells));
        let broken = judge(&mut History::default(), case, &run).broken;
        broken.into_iter().map(|(broken, _)| (broken.flaw, broken.shown_by)).collect()
    }

    #[test]
    fn what_was_stored_beyond_the_end_is_told_apart_cell_by_cell() {
        let grows = |size| store_then(Range::new(2, 3), size, Operation::Truncate(4));
        let initial = |cell| Stamp::initial(cell);
        let cells = [initial(0), initial(1), stamp(0, 2), Stamp::ZERO];
        let past = |by| (PAST_EOF.to_owned(), by);
        assert_eq!(flaws(&grows(2), Record::default(), &cells), [past("rest"), past("durable")]);
        // Nobody stored this one: it is left over from before.
        let left = [initial(0), initial(1), Stamp::ZERO, initial(3)];
        assert_eq!(flaws(&grows(2), Record::default(), &left)[0], ("exposed".to_owned(), "rest"));
        // The page lies beyond the end as a whole, so that the store cannot have come to it.
        let nothing = grows(0);
        let zeros = [Stamp::ZERO, Stamp::ZERO, stamp(0, 2), Stamp::ZERO];
        assert!(
            flaws(&nothing, Record::default(), &zeros).iter().all(|(flaw, _)| flaw != PAST_EOF)
        );
    }

    #[test]
    fn what_was_surely_stored_beyond_the_end_is_that_whoever_else_stores() {
        let actor = |operation| Actor { mm: 0, operations: vec![operation] };
        let case = Case {
            geometry: Geometry { cells: 4, size: 2, ..Geometry::default() },
            actors: vec![
                actor(Operation::Store(Range::new(2, 3))),
                actor(Operation::Truncate(4)),
                actor(Operation::Store(Range::new(2, 3))),
            ],
            ..Case::default()
        };
        // The third overlaps all, so that it may have come last.
        let record = |called, returned| Record {
            called,
            returned,
            done: 1,
            words_written: 128,
            ..Record::default()
        };
        let flaws = |first: Record| {
            let records = vec![first, record(5, 6), record(1, 8)];
            let cells = [Stamp::initial(0), Stamp::initial(1), stamp(0, 2), Stamp::ZERO];
            let run = of_firsts(records, 4096, whole(&cells), whole(&cells));
            let broken = judge(&mut History::default(), &case, &run).broken;
            broken.into_iter().map(|(broken, _)| broken.flaw).collect::<Vec<_>>()
        };
        assert_eq!(flaws(record(3, 4)), [PAST_EOF, PAST_EOF]);
        // This one may have come when the file was long.
        assert_eq!(flaws(record(4, 7)), [""; 0]);
    }

    #[test]
    fn a_sync_is_judged_by_what_the_store_held_when_it_returned() {
        let case = store_then(Range::new(0, 1), 4, Operation::Fsync);
        let cells = [stamp(0, 0), Stamp::initial(1), Stamp::initial(2), Stamp::initial(3)];
        let looked = |cells: &[Stamp], size| {
            let mut record = Record { stored_size: Some(size), ..Record::default() };
            record.words[..512].copy_from_slice(&whole(cells));
            record
        };
        assert_eq!(flaws(&case, looked(&cells, 4096), &cells), []);
        let missing: Vec<Stamp> = (0..4).map(Stamp::initial).collect();
        let not_durable = ("not-durable".to_owned(), "fsync");
        assert_eq!(flaws(&case, looked(&missing, 4096), &cells), [not_durable]);
        let size = ("durable-size".to_owned(), "fsync");
        assert_eq!(flaws(&case, looked(&cells, 3072), &cells)[0], size);
        // Nobody looked.
        assert_eq!(flaws(&case, Record::default(), &cells), []);
    }

    #[test]
    fn flaws_have_names() {
        assert_eq!(
            (name(Flaw::NotDurable), name(Flaw::Stale)),
            ("not-durable".to_owned(), "stale".to_owned())
        );
    }
}
