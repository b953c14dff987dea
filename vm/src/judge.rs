//! Judges a run in the guest: by the judge of `mkwrite-live`, which gives calls, returns and what the
//! file holds to the oracle's history checker, word by word; and, where there is a server, by its
//! file, which must be what the client has.
//!
//! fsync and msync themselves are not judged: nobody can look at the store when they return without
//! stopping everything.

use std::collections::BTreeMap;

use mkwrite_live::exec::TeamRun;
use mkwrite_live::judge::{Broken, judge as judge_words};
use mkwrite_live::operations::{Record, cell_words, status_of};
use mkwrite_model::case::Case;
use mkwrite_model::exec::TaskId;
use mkwrite_model::kernel::{Stamp, Status};
use mkwrite_oracle::history::History;

use crate::console::{CallResult, Content, Said};

fn record(case: &Case, result: &CallResult) -> Record {
    let words = cell_words(case.geometry);
    let (status, errno) = match result.error {
        0 => (Status::Ok, 0),
        // How the agent says what a fault ended with.
        1001 => (Status::Sigbus, 0),
        1002 => (Status::Segv, 0),
        errno => status_of(errno),
    };
    let mut record = Record {
        called: result.called.into(),
        returned: result.returned.into(),
        status,
        errno,
        done: (result.words as usize / words) as u8,
        words_written: result.words,
        ..Record::default()
    };
    let read = result.values.iter().flat_map(|cell| cell.words(words));
    for (word, stamp) in record.words.iter_mut().zip(read) {
        *word = stamp;
    }
    record
}

fn words(case: &Case, content: &Content) -> Vec<Stamp> {
    content.cells.iter().flat_map(|cell| cell.words(cell_words(case.geometry))).collect()
}

/// What a run breaks, with the place.
pub fn judge(history: &mut History, case: &Case, said: &Said) -> Vec<(Broken, String)> {
    let mut records: BTreeMap<(TaskId, u8), Record> =
        case.operations().map(|(task, slot, _)| ((task, slot), Record::default())).collect();
    for result in &said.results {
        records.insert((TaskId(result.actor), result.slot), record(case, result));
    }
    let content = said.content.clone().unwrap_or_default();
    let (seen, stored) = (words(case, &said.seen), words(case, &content));
    let size = said.seen.size.max(0) as u64;
    let mut run = TeamRun::of_records(records, size, seen, stored);
    if content.error != 0 {
        run.trouble = Some(format!("the closing fsync returned errno {}", content.error));
    }
    let mut flaws = judge_words(history, case, &run).broken;
    let mut flaw = |flaw: &str, detail| {
        flaws.push((Broken::trouble(flaw, "durable"), detail));
    };
    if content.size != said.seen.size {
        let detail = format!("{} bytes before the sync, {} after", said.seen.size, content.size);
        flaw("size-after-sync", detail);
    }
    if let Some(server) = &said.server {
        if server.size != content.size {
            let detail =
                format!("the client has {} bytes, the server {}", content.size, server.size);
            flaw("server-size", detail);
        } else if server.cells != content.cells {
            flaw("server-content", "the server's file holds something else".to_owned());
        }
    }
    flaws
}
