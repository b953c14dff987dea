//! What comes over the two serial lines: the agent's answers, and the kernel's log.
//!
//! An answer is a line of JSON with one field. Whatever is none of these is kept as text and
//! disturbs nothing.

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
    /// What an operation returned.
    Result(CallResult),
    /// Which probes (second) each actor (first) came by.
    Passes(Vec<(u8, i32)>),
    /// The file as a reader sees it, after fsync and with the caches dropped.
    Content(Content),
    /// The server's file.
    Server(Content),
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

/// What an operation returned.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
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
    /// Cells that were done.
    pub done: u8,
    /// i_size in bytes, right after.
    pub size: i64,
    /// The stamps that were read; -1 for a cell whose words do not belong together.
    pub values: Vec<i64>,
}

/// A file.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
pub struct Content {
    /// The errno of the fsync before.
    pub error: i32,
    /// In bytes.
    pub size: i64,
    /// Stamps.
    pub cells: Vec<i64>,
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
        assert_eq!(
            answer("{\"passes\":[[0,3],[1,4]]}"),
            Some(Answer::Passes(vec![(0, 3), (1, 4)]))
        );
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
