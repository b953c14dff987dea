//! The race of 2009 on a real kernel: the toy filesystem with the legacy return loses a store, with
//! the locked return the other actor is seen blocked on the page lock.
//!
//! The picture shows the probes that each actor came by, as the guest logged them: one column per
//! actor, time downwards.

use std::fmt::Write;

use anyhow::Result;
use mkwrite_model::exec::TaskId;
use mkwrite_model::point::Point;

use crate::console::{Held, Settled};
use crate::filesystems::GuestFilesystem;
use crate::points::{Stop, stop};
use crate::replay::{Followed, Run, Verdict, returned, stack_in_a_line};
use crate::session::Session;

/// The case: corpus/known/unlocked-return/race-nfs-stable.mkw, which a test compares with this.
pub const CASE: &str = "\
mkw 1
file     pages 1 cells 1 blocks 1 size 1 mms 1
actor    A mm 0
A.0      store 0..1
actor    B mm 0
B.0      fsync
order    A.0 miss.lock_page
order    B.0 *
order    io0.0 *
";

/// The filesystems on which it runs.
pub const FILESYSTEMS: [&str; 2] = ["toy-legacy", "toy-locked"];

/// The points that the picture shows, and what the kernel does after each.
const SHOWN: &[(Point, &str)] = &[
    (Point::MissMkwrite, "calls ->page_mkwrite"),
    (Point::RecordUpdate, "makes the page's record"),
    (Point::MkwriteDirty, "marks the page dirty"),
    (Point::MkwriteReturn, "page_mkwrite ends"),
    (Point::MissLock, "page_mkwrite has returned"),
    (Point::MissSetPte, "makes the pte writable"),
    (Point::MissDirty, "set_page_dirty"),
    (Point::FsyncStart, "calls ->fsync"),
    (Point::WbLookup, "looks dirty pages up"),
    (Point::MkcleanLock, "write-protects, cleans"),
    (Point::WritepageStart, "begins writeback"),
    (Point::WritepageSubmit, "sends the page"),
    (Point::WritepageEnd, "drops the record, ends"),
    (Point::FsyncError, "fsync is done"),
];

/// The name of what a probe means, for those that the picture shows.
pub type Labels = Vec<(i32, &'static str)>;

/// Sets the probes that the picture shows.
pub fn watch(session: &mut Session, release: &str, fs: &GuestFilesystem) -> Result<Labels> {
    let mut labels = Labels::new();
    for &(point, text) in SHOWN {
        if let Ok(Stop::Probe(probe, _)) = stop(session, release, &fs.family, point, 1)?
            && labels.iter().all(|(known, _)| *known != probe)
        {
            labels.push((probe, text));
        }
    }
    Ok(labels)
}

const COLUMN: usize = 38;

fn row(out: &mut String, actor: u8, text: &str) {
    let _ = match actor {
        0 => writeln!(out, "  {text}"),
        _ => writeln!(out, "  {:COLUMN$} {text}", ""),
    };
}

/// The picture of a run of the demonstration: at most 80 columns.
pub fn picture(run: &Run, labels: &Labels) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "  {:COLUMN$} B: fsync", "A: store through the mapping");
    let _ = writeln!(out, "  {} {}", "-".repeat(COLUMN - 1), "-".repeat(COLUMN - 1));
    let stands = run
        .orders
        .first()
        .is_some_and(|(_, followed)| matches!(followed, Followed::Settled(Settled::Stopped, _)));
    let shown = run.said.passes.iter().filter_map(|(actor, probe)| {
        let (_, text) = labels.iter().find(|(known, _)| known == probe)?;
        Some((*actor, *text))
    });
    let mut rows: Vec<(u8, String)> = Vec::new();
    let (mut last, mut switches) = (0, 0);
    for (actor, text) in shown {
        if actor != last {
            switches += 1;
            rows.extend(between(run, switches, stands));
        }
        rows.push((actor, text.to_owned()));
        last = actor;
    }
    for (actor, text) in rows {
        row(&mut out, actor, &text.chars().take(COLUMN - 1).collect::<String>());
    }
    for result in &run.said.results {
        let _ = writeln!(
            out,
            "  {}.{} returned {}",
            TaskId(result.actor),
            result.slot,
            returned(result)
        );
    }
    if let Some(content) = &run.said.content {
        let cells: Vec<String> = content.cells.iter().map(Held::to_string).collect();
        let end = match run.verdict() {
            Verdict::Lost => "THE STORE IS LOST",
            Verdict::Kept => "nothing is lost",
            other => other.name(),
        };
        let _ = writeln!(out, "  after fsync, read from the store: {}: {end}", cells.join(" "));
    }
    out
}

/// What happened where the log goes from one actor to the other, for the n-th time: A stands still
/// and B begins; B has ended, or is blocked, and A goes on; and B wakes.
fn between(run: &Run, nth: usize, stands: bool) -> Vec<(u8, String)> {
    let blocked = run.blocked().filter(|(task, ..)| *task == TaskId(1));
    match (nth, blocked) {
        (1, _) if stands => vec![(0, "... stands still ...".to_owned())],
        (2, None) => vec![(1, "returns 0".to_owned()), (0, "... goes on ...".to_owned())],
        (2, Some((_, _, stack))) => {
            let mut rows = vec![(1, "BLOCKED on the page lock, in".to_owned())];
            rows.extend(stack.iter().take(4).map(|name| (1, format!("  {name}"))));
            rows.push((0, "... goes on ...".to_owned()));
            rows
        }
        (3, Some(_)) => vec![(1, "... wakes, goes on ...".to_owned())],
        _ => Vec::new(),
    }
}

/// What the two runs come to, as one sentence each.
pub fn summary(fs: &str, run: &Run) -> String {
    match run.blocked() {
        Some((task, slot, stack)) => {
            format!(
                "{fs}: {}, {task}.{slot} blocked in {}",
                run.verdict().name(),
                stack_in_a_line(stack, 3)
            )
        }
        None => format!("{fs}: {}, nobody was blocked", run.verdict().name()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::{CallResult, Content, Said};
    use mkwrite_model::kernel::Stamp;
    use mkwrite_model::text::parse;
    use std::path::Path;

    #[test]
    fn the_case_is_that_of_the_corpus() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/known");
        let files = walkdir::WalkDir::new(corpus).into_iter().filter_map(Result::ok);
        let file = files
            .map(|entry| entry.into_path())
            .find(|path| path.ends_with("race-nfs-stable.mkw"))
            .unwrap();
        let text = std::fs::read_to_string(file).unwrap();
        assert_eq!(parse(&text).unwrap().case, parse(CASE).unwrap().case);
    }

    #[test]
    fn the_picture_has_a_column_per_actor_and_fits_a_terminal() {
        let stop = match parse(CASE).unwrap().case.schedule {
            mkwrite_model::case::Schedule::Order(stops) => stops[0],
            mkwrite_model::case::Schedule::Seed { .. } => unreachable!("the case has orders"),
        };
        let result = |actor, called, returned| CallResult {
            actor,
            slot: 0,
            called,
            returned,
            error: 0,
            words: 512,
            size: 4096,
            values: Vec::new(),
        };
        let run = Run {
            orders: vec![(stop, Followed::Settled(Settled::Stopped, Vec::new()))],
            said: Said {
                results: vec![result(0, 1, 4), result(1, 2, 3)],
                content: Some(Content {
                    error: 0,
                    size: 4096,
                    cells: vec![Held::Whole(Stamp::initial(0).0)],
                }),
                passes: vec![(0, 7), (0, 9), (1, 8), (0, 5)],
                ..Said::default()
            },
            flaws: vec!["lost".to_owned()],
            ..Run::default()
        };
        let labels = vec![(7, "calls ->page_mkwrite"), (8, "calls ->fsync"), (5, "set_page_dirty")];
        let picture = picture(&run, &labels);
        assert!(picture.lines().all(|line| line.chars().count() <= 80));
        let lines: Vec<&str> = picture.lines().map(str::trim).skip(2).collect();
        let expected = [
            "calls ->page_mkwrite",
            "... stands still ...",
            "calls ->fsync",
            "returns 0",
            "... goes on ...",
            "set_page_dirty",
            "A.0 returned ok",
            "B.0 returned ok",
            "after fsync, read from the store: initial@0: THE STORE IS LOST",
        ];
        assert_eq!(lines, expected);
    }
}
