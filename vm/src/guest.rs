//! A running guest: a request goes to its agent, and answers come back until the request is done.

use std::fs;
use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow};

use crate::console::{Answer, answer, findings};
use crate::qemu::{Machine, start};

/// Booting under software emulation on a busy machine.
const BOOT_LIMIT: Duration = Duration::from_secs(180);

/// A guest.
pub struct Guest {
    child: Child,
    input: ChildStdin,
    lines: Receiver<String>,
    log: PathBuf,
    /// What the agent has said that was no answer: for error messages.
    noise: Vec<String>,
    drawn: Drawn,
    /// Where the kernel's log of the run that is under way begins, in bytes.
    run_begins: u64,
}

/// An order of a schedule: actor, slot, probe and count.
type Order = (u8, u8, i32, u32);

/// The orders of the schedule that is being drawn. What a run gave has them too; they are kept for
/// one that never comes to its end.
#[derive(Default)]
struct Drawn(Vec<Order>);

impl Drawn {
    /// Takes what is about the orders, and gives back the other answers.
    fn hear(&mut self, answer: Answer) -> Option<Answer> {
        match answer {
            Answer::Step(order) => self.0.push(order),
            Answer::Amend((number, probe, count)) => {
                if let Some(order) = self.0.get_mut(number) {
                    (order.2, order.3) = (probe, count);
                }
            }
            Answer::Run(said) => {
                self.0.clear();
                return Some(Answer::Run(said));
            }
            answer => return Some(answer),
        }
        None
    }
}

/// How the agent's error begins if an actor is in the kernel and does not come back.
const HANGS: &str = "an actor hangs";

/// A request that failed.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{said}")]
pub struct Failed {
    /// What the agent says of it.
    pub said: String,
    /// An actor of a run is in the kernel and does not come back.
    pub hangs: bool,
}

impl Failed {
    /// By the answers to the request.
    pub fn new(status: i32, answers: &[Answer]) -> Failed {
        let said = answers.iter().filter_map(|answer| match answer {
            Answer::Error(text) | Answer::Line(text) => Some(text.as_str()),
            _ => None,
        });
        let said: Vec<&str> = said.collect();
        let hangs = said.iter().any(|text| text.starts_with(HANGS));
        let said = if said.is_empty() { format!("status {status}") } else { said.join("; ") };
        Failed { said, hangs }
    }
}

/// A guest that no longer answers.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the virtual machine {how}{}", .findings.first().map_or(String::new(), |line| format!(": {line}")))]
pub struct Dead {
    /// How it ended.
    pub how: String,
    /// What its kernel's log says of it.
    pub findings: Vec<String>,
}

impl Guest {
    /// Boots a machine up to its agent.
    pub fn boot(machine: &Machine<'_>) -> Result<Guest> {
        let mut child = start(machine)?;
        let (input, output) =
            (child.stdin.take().context("no pipe")?, child.stdout.take().context("no pipe")?);
        let (sender, lines) = channel();
        std::thread::spawn(move || {
            for line in BufReader::new(output).split(b'\n').map_while(Result::ok) {
                if sender.send(String::from_utf8_lossy(&line).into_owned()).is_err() {
                    break;
                }
            }
        });
        let mut guest = Guest {
            child,
            input,
            lines,
            log: machine.log.to_owned(),
            noise: Vec::new(),
            drawn: Drawn::default(),
            run_begins: 0,
        };
        let end = Instant::now() + BOOT_LIMIT;
        while guest.next(end).context("the kernel does not boot here")? != Answer::Up(1) {}
        Ok(guest)
    }

    /// The kernel's log so far.
    pub fn log(&self) -> String {
        String::from_utf8_lossy(&self.log_from(0)).into_owned()
    }

    /// The kernel's log since the run that is under way began; since the boot, if none did.
    pub fn log_of_run(&self) -> String {
        String::from_utf8_lossy(&self.log_from(self.run_begins)).into_owned()
    }

    fn log_from(&self, begin: u64) -> Vec<u8> {
        let mut log = Vec::new();
        let read = fs::File::open(&self.log).and_then(|mut file| {
            file.seek(SeekFrom::Start(begin))?;
            file.read_to_end(&mut log)
        });
        read.map_or(Vec::new(), |_| log)
    }

    /// What the kernel's log says from now on is about the next run.
    pub fn begin_run(&mut self) {
        let log = self.log_from(self.run_begins);
        // A line that is not complete yet belongs to what comes.
        let complete = log.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1);
        self.run_begins += complete as u64;
    }

    fn dead(&mut self, how: &str) -> anyhow::Error {
        let mut findings = findings(&self.log_of_run());
        if findings.is_empty() {
            findings.extend(self.noise.last().cloned());
        }
        let _ = self.child.kill();
        if let Some(mut said) = self.child.stderr.take() {
            let mut text = String::new();
            if said.read_to_string(&mut text).is_ok() && findings.is_empty() {
                findings.extend(text.lines().last().map(str::to_owned));
            }
        }
        anyhow!(Dead { how: how.to_owned(), findings })
    }

    /// The next answer.
    fn next(&mut self, end: Instant) -> Result<Answer> {
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.lines.recv_timeout(left) {
                Ok(line) => match answer(&line) {
                    Some(answer) => {
                        if let Some(answer) = self.drawn.hear(answer) {
                            return Ok(answer);
                        }
                    }
                    None if line.trim().is_empty() => {}
                    None => self.noise.push(line),
                },
                Err(RecvTimeoutError::Timeout) => {
                    return Err(self.dead("does not answer within its time"));
                }
                Err(RecvTimeoutError::Disconnected) => return Err(self.dead("has ended")),
            }
        }
    }

    /// Sends a request; its answers are still to be collected, after those of the requests before.
    pub fn send(&mut self, request: &str) -> Result<()> {
        match writeln!(self.input, "{request}").and_then(|()| self.input.flush()) {
            Ok(()) => Ok(()),
            Err(_) => Err(self.dead("has ended")),
        }
    }

    /// All answers of the next request that was sent, and its status.
    pub fn collect(&mut self, limit: Duration) -> Result<(Vec<Answer>, i32)> {
        let (end, mut answers) = (Instant::now() + limit, Vec::new());
        loop {
            match self.next(end)? {
                Answer::Done(status) => return Ok((answers, status)),
                answer => answers.push(answer),
            }
        }
    }

    /// Sends a request; all its answers, and its status.
    pub fn ask(&mut self, request: &str, limit: Duration) -> Result<(Vec<Answer>, i32)> {
        self.send(request)?;
        self.collect(limit)
    }

    /// The orders of the schedule that was being drawn when the guest, or an actor, gave up.
    pub fn take_drawn(&mut self) -> Vec<Order> {
        std::mem::take(&mut self.drawn.0)
    }

    /// Sends a request that must succeed.
    pub fn expect(&mut self, request: &str, limit: Duration) -> Result<Vec<Answer>> {
        let (answers, status) = self.ask(request, limit)?;
        if status != 0 {
            let failed = Failed::new(status, &answers);
            return Err(anyhow!(failed).context(format!("in the guest: {request}")));
        }
        Ok(answers)
    }

    /// Runs a shell command that must succeed; what it printed.
    pub fn run(&mut self, command: &str, limit: Duration) -> Result<Vec<String>> {
        let answers = self.expect(&format!("run {command}"), limit)?;
        Ok(answers
            .into_iter()
            .filter_map(|answer| if let Answer::Line(line) = answer { Some(line) } else { None })
            .collect())
    }
}

impl Drop for Guest {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::Said;

    #[test]
    fn the_orders_of_a_run_that_hangs_are_still_there() {
        let mut drawn = Drawn::default();
        assert_eq!(drawn.hear(Answer::Step((0, 0, 4, 1))), None);
        assert!(drawn.hear(Answer::Run(Said::default())).is_some());
        assert_eq!(drawn.0, [], "a run that ended says them itself");
        assert_eq!(drawn.hear(Answer::Step((0, 0, 4, 1))), None);
        assert_eq!(drawn.hear(Answer::Step((1, 0, -1, 1))), None);
        assert_eq!(drawn.hear(Answer::Amend((1, 7, 2))), None);
        for answer in [Answer::Error("an actor hangs in the kernel".to_owned()), Answer::Done(1)] {
            assert_eq!(drawn.hear(answer.clone()), Some(answer));
        }
        assert_eq!(drawn.0, [(0, 0, 4, 1), (1, 0, 7, 2)]);
    }

    #[test]
    fn an_error_of_the_agent_is_no_hang() {
        let failed = |text: &str| Failed::new(1, &[Answer::Error(text.to_owned())]);
        for text in ["an actor hangs in the kernel", "an actor hangs in close"] {
            assert_eq!(failed(text), Failed { said: text.to_owned(), hangs: true });
            assert!(include_str!("../../live/kernel/steer.c").contains(text), "{text}");
        }
        let full = failed("/mnt/f: No space left on device");
        assert_eq!(
            (full.to_string().as_str(), full.hangs),
            ("/mnt/f: No space left on device", false)
        );
        assert_eq!(Failed::new(3, &[]).to_string(), "status 3");
        let told = anyhow!(full.clone()).context("in the guest: tries");
        assert_eq!(told.downcast_ref(), Some(&full), "also with its request");
    }
}
