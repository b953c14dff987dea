//! Runs a case on a filesystem of the guest by its own `order` lines, and judges what came of it.
//!
//! The judge is the oracle's history checker, fed with calls and returns in their order and with
//! what the file holds at the end, after fsync and with the caches dropped. fsync and msync
//! themselves are not fed: nobody can look at the store at that moment without stopping everything.
//! Where there is a server, its file must have the same size.
//!
//! What cannot be steered is said, not guessed: completion of I/O (`io` tasks) happens when it
//! happens, and a point that has no place in this kernel is passed over.

use std::fmt::Write;
use std::time::Duration;

use anyhow::{Result, bail};
use mkwrite_model::case::{Case, Effect, Schedule, Stop};
use mkwrite_model::exec::TaskId;
use mkwrite_model::kernel::{Stamp, Status};
use mkwrite_oracle::history::{Finding, Flaw, History, Observed};

use crate::console::{Answer, CallResult, Content, Settled};
use crate::filesystems::GuestFilesystem;
use crate::points::{self, stop};
use crate::session::{SHORT, Session};

/// A page of the guest.
const PAGE_BYTES: i64 = 4096;

/// A case that hangs says so before.
const CASE: Duration = Duration::from_secs(120);

/// What came of one line of the schedule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Followed {
    /// Passed over, with the reason.
    Skipped(String),
    /// How the actor settled, and the functions that it is in if it is blocked, innermost first.
    Settled(Settled, Vec<String>),
}

/// A run on a kernel.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Run {
    /// The schedule, and what came of each line.
    pub orders: Vec<(Stop, Followed)>,
    /// Actors that never got to their end, and what they are in.
    pub stuck: Vec<(TaskId, u8, Vec<String>)>,
    /// What operations returned, in the order of their calls.
    pub results: Vec<CallResult>,
    /// The file as a reader sees it.
    pub content: Option<Content>,
    /// The server's file.
    pub server: Option<Content>,
    /// Which probes (second) each actor (first) came by.
    pub passes: Vec<(u8, i32)>,
    /// What is wrong with it, in words.
    pub flaws: Vec<String>,
    /// All that is wrong is that bytes came up that were stored past the end of the file.
    pub only_exposed: bool,
    /// The guest is no good for another case.
    pub is_last: bool,
    /// What the kernel's log says of damage, since the case began.
    pub damage: Vec<String>,
}

/// A run in one word.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Verdict {
    /// Everything is explained by the calls.
    Kept,
    /// Something is not: data was lost, old data came up, or the size is wrong.
    Lost,
    /// Bytes that were stored past the end of the file came up when it grew, and nothing else is
    /// wrong.
    Exposed,
    /// An actor never got to its end.
    Stuck,
    /// The kernel's log says that it is broken.
    Damaged,
}

impl Verdict {
    /// The word.
    pub const fn name(self) -> &'static str {
        match self {
            Verdict::Kept => "kept",
            Verdict::Lost => "LOST",
            Verdict::Exposed => "EXPOSED",
            Verdict::Stuck => "STUCK",
            Verdict::Damaged => "DAMAGED",
        }
    }
}

impl Run {
    /// What it comes to.
    pub fn verdict(&self) -> Verdict {
        if !self.damage.is_empty() {
            Verdict::Damaged
        } else if !self.stuck.is_empty() {
            Verdict::Stuck
        } else if self.only_exposed {
            Verdict::Exposed
        } else if !self.flaws.is_empty() {
            Verdict::Lost
        } else {
            Verdict::Kept
        }
    }

    /// Every line of the schedule could be followed, but for completions.
    pub fn is_followed(&self) -> bool {
        self.orders.iter().filter(|(stop, _)| stop.task.io_slot().is_none()).all(
            |(stop, followed)| match followed {
                Followed::Skipped(_) => false,
                Followed::Settled(Settled::Missed | Settled::Runs, _) => false,
                Followed::Settled(Settled::Blocked, _) => stop.point.is_none(),
                Followed::Settled(..) => true,
            },
        )
    }

    /// The first actor that was blocked, the slot in which it was, and what it was in.
    pub fn blocked(&self) -> Option<(TaskId, u8, &[String])> {
        self.orders.iter().find_map(|(stop, followed)| match followed {
            Followed::Settled(Settled::Blocked, stack) => {
                Some((stop.task, stop.slot, stack.as_slice()))
            }
            _ => None,
        })
    }
}

/// Functions of a stack that say nothing of what somebody waits for.
const COMMON: &[&str] = &[
    "entry_SYSCALL_64_after_hwframe",
    "do_syscall_64",
    "asm_exc_page_fault",
    "exc_page_fault",
    "x64_sys_call",
];

/// A stack in one line, innermost first.
pub fn stack_in_a_line(stack: &[String], most: usize) -> String {
    let said: Vec<&str> =
        stack.iter().map(String::as_str).filter(|name| !COMMON.contains(name)).take(most).collect();
    said.join(" < ")
}

/// The stops of a case. A seed must have become stops before.
fn stops(case: &Case) -> Result<&[Stop]> {
    match &case.schedule {
        Schedule::Order(stops) => Ok(stops),
        Schedule::Seed { .. } => bail!("a schedule by seed must be turned into stops first"),
    }
}

/// The requests that make up a case, and for each stop whether it is one of the orders, or why not.
fn requests(
    session: &mut Session,
    release: &str,
    fs: &GuestFilesystem,
    case: &Case,
) -> Result<(Vec<String>, Vec<Option<String>>)> {
    let g = case.geometry;
    let file = |folder: &str| format!("{folder}/file");
    let server = fs.server.as_deref().map_or("-".to_owned(), file);
    let is_written = |cell: u8| !g.is_hole(cell / g.block_cells());
    let written =
        (0..g.size).filter(|cell| is_written(*cell)).fold(0u64, |mask, cell| mask | 1 << cell);
    let mut requests = vec![format!(
        "case {} {server} {} {} {} {} {written:x} {} {} {}",
        file(&fs.mount_point()),
        g.pages,
        g.cells,
        g.size,
        g.mms,
        Stamp::initial(0).0,
        fs.blocked_ms * 1000,
        u8::from(fs.drop),
    )];
    for (n, actor) in case.actors.iter().enumerate() {
        requests.push(format!("actor {n} {}", actor.mm));
    }
    for (task, slot, operation) in case.operations() {
        let range = operation.range();
        requests.push(format!(
            "op {} {slot} {} {} {}",
            task.0,
            operation.kind().name,
            range.start,
            range.end
        ));
    }
    let mut skipped = Vec::new();
    for one in stops(case)? {
        let order = match (one.task.io_slot(), one.point) {
            (Some(_), _) => Err("completion of I/O is not steered".to_owned()),
            (None, None) => Ok((-1, 1)),
            (None, Some(point)) => {
                stop(session, release, &fs.family, point, one.occurrence)?.map(|stop| match stop {
                    points::Stop::BeforeIt => (-2, 1),
                    points::Stop::Probe(probe, count) => (probe, count),
                })
            }
        };
        skipped.push(match order {
            Ok((probe, count)) => {
                requests.push(format!("order {} {} {probe} {count}", one.task.0, one.slot));
                None
            }
            Err(reason) => Some(reason),
        });
    }
    Ok((requests, skipped))
}

/// Runs a case and judges it.
pub fn replay(
    session: &mut Session,
    release: &str,
    fs: &GuestFilesystem,
    case: &Case,
) -> Result<Run> {
    let before = session.findings().len();
    let (requests, skipped) = requests(session, release, fs, case)?;
    let mut answers = Vec::new();
    for request in &requests {
        answers.extend(session.guest.expect(request, SHORT)?);
    }
    let (said, status) = session.guest.ask("go", CASE)?;
    answers.extend(said);
    let mut run = gather(case, skipped, answers)?;
    run.damage.extend(session.findings().split_off(before));
    run.is_last = status != 0;
    (run.flaws, run.only_exposed) = judge(case, &run);
    Ok(run)
}

fn gather(case: &Case, skipped: Vec<Option<String>>, answers: Vec<Answer>) -> Result<Run> {
    let mut run = Run::default();
    let mut settled = Vec::new();
    for answer in answers {
        match answer {
            Answer::Order(order) if order.number < 0 => {
                run.stuck.push((TaskId(order.actor), order.slot, order.stack));
            }
            Answer::Order(order) => settled.push(order),
            Answer::Result(result) => run.results.push(result),
            Answer::Passes(passes) => run.passes = passes,
            Answer::Content(content) => run.content = Some(content),
            Answer::Server(content) => run.server = Some(content),
            Answer::Error(text) => run.damage.push(text),
            _ => {}
        }
    }
    run.results.sort_by_key(|result| result.called);
    let mut settled = settled.into_iter();
    for (stop, skipped) in stops(case)?.iter().zip(skipped) {
        let followed = match skipped {
            Some(reason) => Followed::Skipped(reason),
            None => match settled.next() {
                Some(order) => Followed::Settled(order.how, order.stack),
                None => Followed::Skipped("the run ended before".to_owned()),
            },
        };
        run.orders.push((*stop, followed));
    }
    Ok(run)
}

fn stamp(value: i64) -> Stamp {
    // Words that do not belong together: a value that nobody wrote.
    Stamp(u16::try_from(value).unwrap_or(u16::MAX))
}

fn status(error: i32) -> Status {
    match error {
        0 => Status::Ok,
        1001 => Status::Sigbus,
        1002 => Status::Segv,
        12 => Status::NoMemory,
        16 => Status::Busy,
        22 => Status::Invalid,
        28 => Status::NoSpace,
        _ => Status::Io,
    }
}

/// What an operation returned, in words.
pub fn returned(result: &CallResult) -> String {
    if result.returned == 0 {
        return "did not return".to_owned();
    }
    let mut text = match result.error {
        0 => "ok".to_owned(),
        1001 => "SIGBUS".to_owned(),
        1002 => "SIGSEGV".to_owned(),
        error => format!("errno {error}"),
    };
    if !result.values.is_empty() {
        let values: Vec<String> =
            result.values.iter().map(|value| stamp_in_words(*value)).collect();
        let _ = write!(text, " [{}]", values.join(" "));
    }
    text
}

/// A stamp in words.
pub fn stamp_in_words(value: i64) -> String {
    if value < 0 { "torn".to_owned() } else { stamp(value).to_string() }
}

/// What is wrong with a run, in words; and whether that is only bytes from past the end of the
/// file.
fn judge(case: &Case, run: &Run) -> (Vec<String>, bool) {
    let Some(content) = run.content.as_ref().filter(|_| run.stuck.is_empty()) else {
        return (Vec::new(), false);
    };
    let mut exposed = 0;
    let mut say = |finding: Finding| {
        exposed += usize::from(finding.flaw == Flaw::Exposed);
        in_words(finding)
    };
    let mut history = History::default();
    history.begin(case);
    let calls = run.results.iter().map(|r| (r.called, true, r));
    let mut events: Vec<_> =
        calls.chain(run.results.iter().map(|r| (r.returned, false, r))).collect();
    events.sort_by_key(|(time, ..)| *time);
    let mut flaws = Vec::new();
    for (_, is_call, result) in events {
        let task = TaskId(result.actor);
        let operation = case.operation(task, result.slot);
        let effect = operation.effect();
        if !effect.is_of_contract() || matches!(effect, Effect::Syncs { .. }) {
            continue;
        }
        if is_call {
            history.call(task, result.slot, operation);
            continue;
        }
        let value =
            |n: u8| result.values.get(usize::from(n)).map_or(Stamp::ZERO, |value| stamp(*value));
        history.returned(
            task,
            &Observed {
                status: status(result.error),
                done: result.done,
                value: &value,
                durable: &|_| Stamp::ZERO,
                stored: &|_| Stamp::ZERO,
                durable_size: &|| 0,
                visible: &|_| None,
            },
        );
        let at = format!("{task}.{} {operation}", result.slot);
        flaws.extend(history.take_findings().map(|finding| format!("{at}: {}", say(finding))));
    }
    let cell_bytes = PAGE_BYTES / i64::from(case.geometry.cells);
    if content.size % cell_bytes != 0 {
        flaws.push(format!("at the end: the size is {} bytes, which nobody wrote", content.size));
    }
    let size =
        u8::try_from(content.size / cell_bytes).unwrap_or(u8::MAX).min(case.geometry.file_cells());
    let cell = |n: u8| content.cells.get(usize::from(n)).map_or(Stamp::ZERO, |value| stamp(*value));
    history.quiescent(size, &|_| None);
    history.end(&cell);
    flaws.extend(history.take_findings().map(|finding| format!("at the end: {}", say(finding))));
    if content.error != 0 {
        flaws.push(format!("the closing fsync returned errno {}", content.error));
    }
    if let Some(server) = run.server.as_ref().filter(|server| server.size != content.size) {
        flaws.push(format!(
            "at the end: the client's file has {} bytes, the server's {}",
            content.size, server.size
        ));
    }
    let only_exposed = !flaws.is_empty() && flaws.len() == exposed;
    (flaws, only_exposed)
}

fn in_words(finding: Finding) -> String {
    let Finding { flaw, cell, found } = finding;
    match flaw {
        Flaw::Stale => format!("cell {cell} was read as {found}, which is not current"),
        Flaw::Exposed => format!("cell {cell} holds {found} and should read as zero"),
        Flaw::NotDurable | Flaw::Lost => {
            format!("cell {cell} holds {found}: the last value is lost")
        }
        Flaw::Unreported => format!("cell {cell}: lost, and no call reported an error"),
        Flaw::Sigbus => format!("SIGBUS inside the file, or none beyond its end (cell {cell})"),
        Flaw::NotDue => "an error that is not due, or none where one was".to_owned(),
        Flaw::Size | Flaw::DurableSize => {
            format!("the size is {cell} cells, which the calls do not explain")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Order;
    use mkwrite_model::text::parse;

    /// A store, and the fsync that takes the record away; the toy filesystem's answers.
    const RACE: &str = "mkw 1\nfile pages 1 cells 1 blocks 1 size 1 mms 1\nactor A mm 0\nA.0 store 0..1\nactor B mm 0\n\
                        B.0 fsync\norder A.0 miss.lock_page\norder B.0 *\norder io0.0 *\n";

    fn result(actor: u8, called: u32, returned: u32) -> Answer {
        let (slot, error, done, size, values) = (0, 0, 1, 4096, Vec::new());
        Answer::Result(CallResult { actor, slot, called, returned, error, done, size, values })
    }

    fn run(how: Settled, cells: Vec<i64>) -> Run {
        let case = parse(RACE).unwrap().case;
        let order = |number, actor, how| Order {
            number,
            actor,
            slot: 0,
            how,
            probe: -1,
            stack: vec!["io_schedule".into()],
        };
        let answers = vec![
            Answer::Order(order(0, 0, Settled::Stopped)),
            Answer::Order(order(1, 1, how)),
            result(0, 1, 4),
            result(1, 2, 3),
            Answer::Content(Content { error: 0, size: 4096, cells }),
        ];
        let mut run = gather(&case, vec![None, None, Some("not steered".into())], answers).unwrap();
        (run.flaws, run.only_exposed) = judge(&case, &run);
        run
    }

    #[test]
    fn a_store_that_is_gone_is_a_loss() {
        let initial = i64::from(Stamp::initial(0).0);
        let lost = run(Settled::Finished, vec![initial]);
        assert_eq!(lost.flaws, ["at the end: cell 0 holds initial@0: the last value is lost"]);
        assert_eq!(
            (lost.verdict(), lost.is_followed(), lost.blocked()),
            (Verdict::Lost, true, None)
        );
    }

    #[test]
    fn a_store_that_is_there_is_kept_and_who_was_blocked_is_known() {
        let kept = run(Settled::Blocked, vec![i64::from(Stamp::new(TaskId(0), 0, 0).0)]);
        assert_eq!((kept.flaws.as_slice(), kept.verdict()), ([].as_slice(), Verdict::Kept));
        assert_eq!(kept.blocked(), Some((TaskId(1), 0, ["io_schedule".to_owned()].as_slice())));
        assert_eq!(kept.orders[2].1, Followed::Skipped("not steered".into()));
    }

    #[test]
    fn torn_cells_and_sizes_between_cells_are_flaws() {
        let torn = run(Settled::Finished, vec![-1]);
        assert_eq!(torn.flaws.len(), 1);
        assert_eq!(torn.verdict(), Verdict::Lost);
        assert_eq!(stamp_in_words(-1), "torn");
    }

    #[test]
    fn stacks_begin_where_somebody_waits() {
        let stack =
            ["folio_wait_bit_common", "write_cache_pages", "do_syscall_64"].map(str::to_owned);
        assert_eq!(stack_in_a_line(&stack, 5), "folio_wait_bit_common < write_cache_pages");
    }
}
