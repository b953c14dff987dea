//! A running guest: a request goes to its agent, and answers come back until the request is done.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};

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
    /// The orders of the schedule that is being drawn.
    steps: Vec<(u8, u8, i32, u32)>,
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
            steps: Vec::new(),
        };
        let end = Instant::now() + BOOT_LIMIT;
        while guest.next(end).context("the kernel does not boot here")? != Answer::Up(1) {}
        Ok(guest)
    }

    /// The kernel's log so far.
    pub fn log(&self) -> String {
        fs::read(&self.log)
            .map(|log| String::from_utf8_lossy(&log).into_owned())
            .unwrap_or_default()
    }

    fn dead(&mut self, how: &str) -> anyhow::Error {
        let mut findings = findings(&self.log());
        if findings.is_empty() {
            findings.extend(self.noise.last().cloned());
        }
        let _ = self.child.kill();
        if let Some(mut said) = self.child.stderr.take() {
            let mut text = String::new();
            if std::io::Read::read_to_string(&mut said, &mut text).is_ok() && findings.is_empty() {
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
                    Some(Answer::Step(step)) => self.steps.push(step),
                    Some(Answer::Amend((number, probe, count))) => {
                        if let Some(step) = self.steps.get_mut(number) {
                            (step.2, step.3) = (probe, count);
                        }
                    }
                    Some(answer) => {
                        self.steps.clear();
                        return Ok(answer);
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

    /// The orders of the schedule that was being drawn when the guest gave up.
    pub fn take_steps(&mut self) -> Vec<(u8, u8, i32, u32)> {
        std::mem::take(&mut self.steps)
    }

    /// How long the kernel's log is, in bytes.
    pub fn log_bytes(&self) -> u64 {
        fs::metadata(&self.log).map_or(0, |metadata| metadata.len())
    }

    /// Sends a request that must succeed.
    pub fn expect(&mut self, request: &str, limit: Duration) -> Result<Vec<Answer>> {
        let (answers, status) = self.ask(request, limit)?;
        if status != 0 {
            let said: Vec<&str> = answers
                .iter()
                .filter_map(|answer| match answer {
                    Answer::Error(text) | Answer::Line(text) => Some(text.as_str()),
                    _ => None,
                })
                .collect();
            bail!(
                "in the guest: {request}: {}",
                if said.is_empty() { format!("status {status}") } else { said.join("; ") }
            );
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
