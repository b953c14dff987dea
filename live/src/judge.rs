//! Gives a concurrent run to the history checker, word by word.
//!
//! The checker knows cells that hold one stamp. A real cell is many words, and two writers, or a
//! reader and a writer, may tear it, by right. But each word of 8 bytes is read and written whole,
//! so it is a register as the checker knows it: the history is judged once for the first word of
//! all cells, and once more for each place where some cell that was seen is torn (all words between
//! two such places tell the same).
//!
//! fsync and msync are not judged where they return: nobody can look at the store without stopping
//! the others. What the closing program leaves on the store is judged.

use std::collections::BTreeSet;

use mkwrite_model::case::{Case, Effect, Operation};
use mkwrite_model::exec::TaskId;
use mkwrite_model::kernel::{Stamp, Status};
use mkwrite_oracle::history::{Flaw, History, Observed};

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
        verdict.broken.push((Broken { flaw: "trouble".to_owned(), shown_by }, detail));
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

/// Calls and returns in their order. Syncs, and what has no result of the contract, are left out.
fn events<'a>(case: &Case, run: &'a TeamRun<'_>) -> Vec<Event<'a>> {
    let is_judged = |operation: Operation| {
        let effect = operation.effect();
        effect.is_of_contract() && !matches!(effect, Effect::Syncs { .. })
    };
    let mut events: Vec<Event<'_>> = Vec::new();
    for (task, slot, operation) in case.operations().filter(|(.., operation)| is_judged(*operation))
    {
        let record = run.record(task, slot);
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
            let broken = Broken { flaw: name(finding.flaw), shown_by };
            if verdict.broken.iter().all(|(other, _)| *other != broken) {
                let detail =
                    format!("{at}: cell {}, word {place}: {}", finding.cell, shown(finding.found));
                verdict.broken.push((broken, detail));
            }
        }
    };
    history.begin(case);
    for event in events {
        let Event { task, slot, operation, record, .. } = *event;
        if event.is_call {
            history.call(task, slot, operation);
            continue;
        }
        let outcome = Observed {
            status: record.status,
            done: done(operation, record, words, place),
            value: &|n| record.words[usize::from(n) * words + place],
            durable: &|_| Stamp::ZERO,
            stored: &|_| Stamp::ZERO,
            durable_size: &|| 0,
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

/// A call did not end as it should have, for whoever prints it.
pub fn status(record: &Record) -> &'static str {
    if record.status == Status::Ok { "ok" } else { record.status.name() }
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
        let records = records.into_iter().enumerate();
        let records = records.map(|(n, record)| ((TaskId(n as u8), 0), record)).collect();
        let run = TeamRun::of_records(records, 4096, seen, stored);
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
        assert_eq!(lost.broken[0].0, Broken { flaw: "stale".to_owned(), shown_by: "rest" });
        assert_eq!(lost.broken[0].1, "at rest: cell 1, word 44: 0");
        let not_stored = verdict(content(100), seen, |_| ());
        assert_eq!(not_stored.broken[0].0, Broken { flaw: "lost".to_owned(), shown_by: "durable" });
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

    #[test]
    fn flaws_have_names() {
        assert_eq!(
            (name(Flaw::NotDurable), name(Flaw::Stale)),
            ("not-durable".to_owned(), "stale".to_owned())
        );
    }
}
