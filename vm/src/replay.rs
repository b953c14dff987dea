//! Runs a case on a filesystem of the guest by its own `order` lines, and judges what came of it.
//!
//! What cannot be steered is said, not guessed: completion of I/O (`io` tasks) happens when it
//! happens, and a point that has no place in this kernel is passed over.

use std::fmt::Write;
use std::time::Duration;

use anyhow::{Result, bail};
use mkwrite_live::judge::Broken;
use mkwrite_model::case::{Case, Schedule, Stop};
use mkwrite_model::exec::TaskId;
use mkwrite_model::kernel::Stamp;
use mkwrite_oracle::history::History;

use crate::console::{Answer, CallResult, Held, Said, Settled};
use crate::filesystems::GuestFilesystem;
use crate::judge::judge;
use crate::points::{self, stop};
use crate::session::{SHORT, Session};

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
    /// What the guest said of it; results are in the order of their calls.
    pub said: Said,
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

/// The requests that make up a case, but for its schedule. An actor that sleeps in the kernel for
/// so long is blocked.
pub fn requests(fs: &GuestFilesystem, case: &Case, blocked_ms: u32) -> Vec<String> {
    let g = case.geometry;
    let is_written = |cell: u8| !g.is_hole(cell / g.block_cells());
    let written =
        (0..g.size).filter(|cell| is_written(*cell)).fold(0u64, |mask, cell| mask | 1 << cell);
    let mut requests = vec![format!(
        "case {} {} {} {} {} {} {written:x} {} {} {}",
        fs.mount_point(),
        fs.server.as_deref().unwrap_or("-"),
        g.pages,
        g.cells,
        g.size,
        g.mms,
        Stamp::initial(0).0,
        blocked_ms * 1000,
        u8::from(fs.drop),
    )];
    for (n, actor) in case.actors.iter().enumerate() {
        requests.push(format!("actor {n} {}", actor.mm));
    }
    for (task, slot, operation) in case.operations() {
        let [range, to] = operation.operands();
        let mut request =
            format!("op {} {slot} {} {} {}", task.0, operation.kind().name, range.start, range.end);
        if !to.is_empty() {
            let _ = write!(request, " {} {}", to.start, to.end);
        }
        requests.push(request);
    }
    requests
}

/// The requests of its schedule, and for each stop whether it is one of these, or why not.
pub fn orders(
    session: &mut Session,
    release: &str,
    fs: &GuestFilesystem,
    case: &Case,
) -> Result<(Vec<String>, Vec<Option<String>>)> {
    let (mut requests, mut skipped) = (Vec::new(), Vec::new());
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

/// What the guest's terminal takes as one line.
const LINE_MOST: usize = 3500;

/// Requests as lines that are no longer than the guest takes.
pub fn lines(requests: Vec<String>) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for request in requests {
        match lines.last_mut() {
            Some(line) if line.len() + request.len() < LINE_MOST => {
                line.push(';');
                line.push_str(&request);
            }
            _ => lines.push(request),
        }
    }
    lines
}

/// Runs a case and judges it.
pub fn replay(
    session: &mut Session,
    release: &str,
    fs: &GuestFilesystem,
    case: &Case,
) -> Result<Run> {
    session.guest.begin_run();
    let (orders, skipped) = orders(session, release, fs, case)?;
    for line in lines(requests(fs, case, fs.blocked_ms).into_iter().chain(orders).collect()) {
        session.guest.expect(&line, SHORT)?;
    }
    let (answers, status) = session.guest.ask("go", CASE)?;
    let mut run = gather(case, skipped, answers)?;
    run.damage.extend(session.findings_of_run());
    run.is_last = status != 0;
    (run.flaws, run.only_exposed) = judge_in_words(case, &run);
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
            Answer::Run(said) => run.said = said,
            Answer::Error(text) => run.damage.push(text),
            _ => {}
        }
    }
    run.said.results.sort_by_key(|result| result.called);
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
        let values: Vec<String> = result.values.iter().map(Held::to_string).collect();
        let _ = write!(text, " [{}]", values.join(" "));
    }
    text
}

/// What is wrong with a run, in words; and whether that is only bytes from past the end of the
/// file.
fn judge_in_words(case: &Case, run: &Run) -> (Vec<String>, bool) {
    if !run.stuck.is_empty() {
        return (Vec::new(), false);
    }
    let flaws = judge(&mut History::default(), case, &run.said);
    let only_exposed =
        !flaws.is_empty() && flaws.iter().all(|(broken, _)| broken.flaw.ends_with("exposed"));
    let words = flaws
        .into_iter()
        .map(|(Broken { flaw, shown_by, .. }, detail)| format!("{flaw} by {shown_by}: {detail}"));
    (words.collect(), only_exposed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::{Content, Order};
    use mkwrite_model::text::parse;

    /// A store, and the fsync that takes the record away; the toy filesystem's answers.
    const RACE: &str = "mkw 1\nfile pages 1 cells 1 blocks 1 size 1 mms 1\nactor A mm 0\nA.0 store 0..1\nactor B mm 0\n\
                        B.0 fsync\norder A.0 miss.lock_page\norder B.0 *\norder io0.0 *\n";

    fn result(actor: u8, called: u32, returned: u32) -> CallResult {
        let (words, size) = (512, 4096);
        CallResult { actor, slot: 0, called, returned, error: 0, words, size, values: Vec::new() }
    }

    fn run(how: Settled, cell: Held) -> Run {
        let case = parse(RACE).unwrap().case;
        let order = |number, actor, how| Order {
            number,
            actor,
            slot: 0,
            how,
            probe: -1,
            stack: vec!["io_schedule".into()],
        };
        let seen = Content { error: 0, size: 4096, cells: vec![cell] };
        let said = Said {
            results: vec![result(1, 2, 3), result(0, 1, 4)],
            content: Some(seen.clone()),
            seen,
            ..Said::default()
        };
        let answers = vec![
            Answer::Order(order(0, 0, Settled::Stopped)),
            Answer::Order(order(1, 1, how)),
            Answer::Run(said),
        ];
        let mut run = gather(&case, vec![None, None, Some("not steered".into())], answers).unwrap();
        (run.flaws, run.only_exposed) = judge_in_words(&case, &run);
        run
    }

    #[test]
    fn a_store_that_is_gone_is_a_loss() {
        let lost = run(Settled::Finished, Held::Whole(Stamp::initial(0).0));
        assert_eq!(
            lost.flaws,
            [
                "stale by rest: at rest: cell 0, word 0: initial@0",
                "lost by durable: on the store: cell 0, word 0: initial@0"
            ]
        );
        assert_eq!(
            (lost.verdict(), lost.is_followed(), lost.blocked()),
            (Verdict::Lost, true, None)
        );
    }

    #[test]
    fn a_store_that_is_there_is_kept_and_who_was_blocked_is_known() {
        let kept = run(Settled::Blocked, Held::Whole(Stamp::new(TaskId(0), 0, 0).0));
        assert_eq!((kept.flaws.as_slice(), kept.verdict()), ([].as_slice(), Verdict::Kept));
        assert_eq!(kept.blocked(), Some((TaskId(1), 0, ["io_schedule".to_owned()].as_slice())));
        assert_eq!(kept.orders[2].1, Followed::Skipped("not steered".into()));
    }

    #[test]
    fn stacks_begin_where_somebody_waits() {
        let stack =
            ["folio_wait_bit_common", "write_cache_pages", "do_syscall_64"].map(str::to_owned);
        assert_eq!(stack_in_a_line(&stack, 5), "folio_wait_bit_common < write_cache_pages");
    }

    #[test]
    fn requests_are_put_together_into_lines() {
        let requests = vec!["a".repeat(3000), "b".repeat(400), "c".repeat(200), "go".to_owned()];
        let lines = lines(requests);
        assert_eq!(lines.iter().map(String::len).collect::<Vec<_>>(), [3401, 203]);
    }
}
