//! What comes over the two serial lines: the agent's answers, and the kernel's log.
//!
//! An answer is a line of JSON with one field. Whatever is none of these is kept as text and
//! disturbs nothing.

use mkwrite_model::kernel::Stamp;
use serde::Deserialize;

/// One line of the agent.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The agent is there.
    Up(u8),
    /// A line that a command printed.
    Line(String),
    /// Something went wrong.
    Error(String),
    /// The request is done; 0 is good.
    Done(i32),
    /// The code of a function.
    Code {
        /// Where it begins.
        address: u64,
        /// In hexadecimal digits.
        bytes: String,
    },
    /// The functions that begin at addresses; empty if none does.
    Names(Vec<String>),
    /// The number of a probe.
    Probe(i32),
    /// What came of one order of a schedule.
    Order(Order),
    /// An order of the schedule that is being drawn, before it is followed: actor, slot, probe (no
    /// number of one: to its end) and count.
    Step((u8, u8, i32, u32)),
    /// Where the actor of the n-th order has stopped since: probe and count.
    Amend((usize, i32, u32)),
    /// What a run gave.
    Run(Said),
}

/// What a run gave.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
pub struct Said {
    /// The orders that were drawn: actor, slot, probe (-1: to its end) and the n-th passing of it.
    #[serde(default)]
    pub orders: Vec<(u8, u8, i32, u32)>,
    /// Which probes (second) each actor (first) came by.
    #[serde(default)]
    pub passes: Vec<(u8, i32)>,
    /// Where in these a slot (second) of an actor (first) begins.
    #[serde(default)]
    pub since: Vec<(u8, u8, usize)>,
    /// What operations returned.
    pub results: Vec<CallResult>,
    /// The file as a reader sees it when all actors are done.
    pub seen: Content,
    /// The same after everything was unmapped and synced, and with the caches dropped.
    #[serde(default)]
    pub content: Option<Content>,
    /// The server's file then.
    #[serde(default)]
    pub server: Option<Content>,
}

/// What came of one order.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Order {
    /// Its place in the schedule; -1: said at the end of an actor that did not get to its own.
    pub number: i32,
    /// The actor.
    pub actor: u8,
    /// The slot in which it was.
    pub slot: u8,
    /// How it settled.
    pub how: Settled,
    /// The probe at which it stands; -1: at none.
    pub probe: i32,
    /// The functions that it is in, innermost first, if it is blocked.
    #[serde(default)]
    pub stack: Vec<String>,
}

/// How an actor settled after it was told to go on.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Settled {
    /// It has finished the slot.
    Finished,
    /// It stands where it was to stop.
    Stopped,
    /// It stands there and spins, because it may not sleep there.
    Spins,
    /// It sleeps in the kernel.
    Blocked,
    /// It was still running at the deadline.
    Runs,
    /// It finished the slot without coming to the point.
    Missed,
    /// It never got to its end.
    Stuck,
}

/// What a cell holds.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(untagged)]
pub enum Held {
    /// All its words have this stamp.
    Whole(u16),
    /// Stamps and numbers of words, in turn: somebody has torn it.
    Torn(Vec<u16>),
}

impl Held {
    /// The stamp of each word.
    pub fn words(&self, in_cell: usize) -> Vec<Stamp> {
        match self {
            Held::Whole(stamp) => vec![Stamp(*stamp); in_cell],
            Held::Torn(parts) => parts
                .chunks_exact(2)
                .flat_map(|part| std::iter::repeat_n(Stamp(part[0]), part[1].into()))
                .collect(),
        }
    }
}

impl std::fmt::Display for Held {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Held::Whole(u16::MAX) => f.write_str("alien"),
            Held::Whole(stamp) => Stamp(*stamp).fmt(f),
            Held::Torn(_) => f.write_str("torn"),
        }
    }
}

/// What an operation returned.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(from = "(u8, u8, u32, u32, i32, u32, i64, Vec<Held>)")]
pub struct CallResult {
    /// The actor.
    pub actor: u8,
    /// The slot.
    pub slot: u8,
    /// When it was called, on a clock that counts calls and returns from 1.
    pub called: u32,
    /// When it returned; 0: it did not.
    pub returned: u32,
    /// An errno; 1001 for SIGBUS, 1002 for SIGSEGV.
    pub error: i32,
    /// Words of 8 bytes that were done.
    pub words: u32,
    /// i_size in bytes, right after.
    pub size: i64,
    /// What was read.
    pub values: Vec<Held>,
}

impl From<(u8, u8, u32, u32, i32, u32, i64, Vec<Held>)> for CallResult {
    fn from(said: (u8, u8, u32, u32, i32, u32, i64, Vec<Held>)) -> CallResult {
        let (actor, slot, called, returned, error, words, size, values) = said;
        CallResult { actor, slot, called, returned, error, words, size, values }
    }
}

/// A file.
#[derive(Clone, PartialEq, Eq, Debug, Default, Deserialize)]
#[serde(from = "(i32, i64, Vec<Held>)")]
pub struct Content {
    /// The errno of the sync before, or of the read.
    pub error: i32,
    /// In bytes.
    pub size: i64,
    /// What a read gave.
    pub cells: Vec<Held>,
}

impl From<(i32, i64, Vec<Held>)> for Content {
    fn from((error, size, cells): (i32, i64, Vec<Held>)) -> Content {
        Content { error, size, cells }
    }
}

/// Reads a line of the agent's.
pub fn answer(line: &str) -> Option<Answer> {
    serde_json::from_str(line.trim().trim_start_matches('\0')).ok()
}

/// What in a kernel's log is a finding.
const SIGNS: &[&str] = &[
    "kernel BUG at",
    "BUG: ",
    "WARNING: CPU",
    "WARNING: possible",
    "Kernel panic",
    "general protection fault",
    "Oops: ",
    "INFO: task ",
    "INFO: possible recursive locking",
    "INFO: possible circular locking",
    "self-detected stall",
    "soft lockup",
];

/// Lines that are no findings: they are about the emulated machine.
const HARMLESS: &[&str] = &["BUG: spectre", "x86/"];

/// The lines of a kernel's log that say that it is broken.
pub fn findings(log: &str) -> Vec<String> {
    let bad = |line: &&str| {
        SIGNS.iter().any(|sign| line.contains(sign))
            && !HARMLESS.iter().any(|text| line.contains(text))
    };
    log.lines().filter(bad).map(|line| line.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_are_read_and_noise_is_none() {
        assert_eq!(answer("{\"up\":1}\r"), Some(Answer::Up(1)));
        assert_eq!(answer("{\"done\":2}"), Some(Answer::Done(2)));
        assert_eq!(answer("{\"line\":\"a \\\"b\\\"\"}"), Some(Answer::Line("a \"b\"".to_owned())));
        let order = "{\"order\":{\"number\":1,\"actor\":1,\"slot\":0,\"how\":\"blocked\",\"probe\":-1,\"stack\":[\"folio_wait_bit_common\"]}}";
        let expected = Order {
            number: 1,
            actor: 1,
            slot: 0,
            how: Settled::Blocked,
            probe: -1,
            stack: vec!["folio_wait_bit_common".to_owned()],
        };
        assert_eq!(answer(order), Some(Answer::Order(expected)));
        let run = "{\"run\":{\"orders\":[[0,0,7,2]],\"passes\":[[1,4]],\"results\":[[1,0,1,2,0,128,4096,[5,[0,100,6,28]]]],\
                   \"seen\":[0,4096,[5]],\"content\":[5,0,[]]}}";
        let Some(Answer::Run(said)) = answer(run) else { panic!("no run") };
        assert_eq!((said.orders, said.passes), (vec![(0, 0, 7, 2)], vec![(1, 4)]));
        let torn = &said.results[0].values[1];
        assert_eq!(torn.words(128)[99..101], [Stamp(0), Stamp(6)]);
        assert_eq!((said.seen.size, said.content.unwrap().error, said.server), (4096, 5, None));
        for noise in ["", "[    1.0] usb", "{\"up\":", "{\"unknown\":1}", "{\"done\":\"x\"}"] {
            assert_eq!(answer(noise), None, "{noise}");
        }
    }

    #[test]
    fn findings_are_the_lines_that_say_so() {
        let log = "[ 1.0] Linux version 6.1\n[ 2.0] BUG: kernel NULL pointer dereference, address: 0\n[ 2.1] #PF: supervisor\n\
                   [ 3.0] INFO: task mkfs:12 blocked for more than 120 seconds.\n[ 4.0] WARNING: CPU: 0 PID: 1 at fs/x.c:1\n";
        let found = findings(log);
        assert_eq!(found.len(), 3);
        assert_eq!(found[0], "[ 2.0] BUG: kernel NULL pointer dereference, address: 0");
        assert_eq!(findings("[ 0.1] x86/fpu: WARNING: CPU features"), Vec::<String>::new());
    }
}
