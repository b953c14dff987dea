//! Reproducers that stand alone: a case as a program that needs nothing of this project, for the
//! people who keep a filesystem.
//!
//! A [`Program`] is what all forms are written from: the calls in words, which byte each puts into
//! the file, which calls come after which, and what may come out ([`mod@outcomes`]). Each form is one
//! file and a line of [`FORMS`]. Points inside a call cannot be kept by a program that stands
//! alone; which calls overlap can, so calls that came one after the other in the model's run do so
//! here too, and the others race. Faults and a lack of space are left out.

use std::collections::BTreeMap;

use anyhow::{Result, anyhow};
use mkwrite_model::case::{AMPLE, Case, Effect, Geometry, Operation, Schedule};
use mkwrite_model::exec::TaskId;
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::event::Step;
use mkwrite_model::kernel::{Event, Kernel};
use mkwrite_model::{Machine, Observer, Target};
use mkwrite_oracle::run::{ScheduledBy, caught, observe};

mod c;
pub(crate) mod fsx;
mod outcomes;
mod sh;
mod xfstests;

use outcomes::{Outcomes, outcomes};

/// Bytes of a page.
const PAGE: usize = 4096;

/// Characters in a line of a comment.
const WIDTH: usize = 74;

/// The licence of what is written, but for tests of xfstests.
const LICENCE: &str = "MIT OR Apache-2.0";

/// A file that is written: what its name ends in, and its text.
pub(crate) type Written = (&'static str, String);

/// A form of reproducers.
pub(crate) struct Form {
    /// The word of the command line.
    pub name: &'static str,
    /// One line of help.
    pub help: &'static str,
    /// What is said of it when it is written: a line each.
    pub notes: fn(&Program) -> Vec<String>,
    /// Writes it.
    pub write: fn(&Program) -> Result<Vec<Written>>,
}

/// All forms.
pub(crate) const FORMS: &[Form] = &[
    Form {
        name: "c",
        help: "a C program: threads that race for some seconds, or one exact run",
        notes: |_| Vec::new(),
        write: c::write,
    },
    Form {
        name: "sh",
        help: "a shell script with xfs_io",
        notes: |_| Vec::new(),
        write: sh::write,
    },
    Form {
        name: "fsx",
        help: "operations for fsx --replay-ops, of one actor",
        notes: fsx::notes,
        write: fsx::write,
    },
    Form {
        name: "xfstests",
        help: "a test of xfstests, with the file of what it prints",
        notes: |_| Vec::new(),
        write: xfstests::write,
    },
];

/// A call of a program.
pub(crate) struct Call {
    /// Whose.
    pub task: TaskId,
    /// Which of its own.
    pub slot: u8,
    /// What it does.
    pub operation: Operation,
    /// The byte that it puts into the file.
    pub byte: u8,
    /// Calls of other actors, by number, that have returned before it begins.
    pub after: Vec<usize>,
}

/// A case as a program.
pub(crate) struct Program {
    /// A name for files and messages.
    pub name: String,
    /// What the case says of itself.
    pub comments: Vec<String>,
    /// The shape of the file.
    pub geometry: Geometry,
    /// The address space of each actor.
    pub mms: Vec<u8>,
    /// All calls, each actor's in its order.
    pub calls: Vec<Call>,
    /// What was left out, in words.
    pub left_out: Vec<&'static str>,
}

/// The bytes that stand for calls: what is legible in a dump, without `i` for what the file holds
/// at first.
const BYTES: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghjklmnopqrstuvwxyz123456789";
/// What the file holds at first.
pub(crate) const INITIAL: u8 = b'i';

impl Program {
    /// The program of a case. In the order in which its calls ran on the target, if there is one and
    /// the case has a schedule by stops: a seed is no order that anybody wants to see again.
    pub(crate) fn new<F: Filesystem>(
        name: &str,
        comments: Vec<String>,
        case: &Case,
        target: Option<Target<F>>,
    ) -> Result<Program> {
        let mut left_out = Vec::new();
        if case.geometry.free != AMPLE {
            left_out.push("the lack of space");
        }
        if case.faults.has_errors() {
            left_out.push("the injected errors");
        }
        let mut bytes = BYTES.iter().copied();
        let mut calls = Vec::new();
        for (task, slot, operation) in case.operations() {
            let gives = operation.effect().gives().is_some();
            let byte = if gives { bytes.next() } else { Some(0) };
            let byte = byte.ok_or_else(|| {
                anyhow!("more than {} calls that write", BYTES.len())
                    .context("make the case smaller first: `mkwrite shrink`")
            })?;
            calls.push(Call { task, slot, operation, byte, after: Vec::new() });
        }
        if let (Some(target), Schedule::Order(_)) = (target, &case.schedule) {
            order(&mut calls, case, target);
        }
        let mms = case.actors.iter().map(|actor| actor.mm).collect();
        let geometry = case.geometry;
        Ok(Program { name: name.to_owned(), comments, geometry, mms, calls, left_out })
    }

    /// Bytes of a cell.
    pub(crate) fn cell(&self) -> usize {
        PAGE / usize::from(self.geometry.cells)
    }

    /// The actors that do something, by number.
    pub(crate) fn actors(&self) -> Vec<TaskId> {
        let mut all: Vec<TaskId> = self.calls.iter().map(|call| call.task).collect();
        all.dedup();
        all
    }

    /// Several actors, whose calls may overlap.
    pub(crate) fn races(&self) -> bool {
        self.actors().len() > 1
    }

    /// The calls of an actor, with their numbers.
    pub(crate) fn calls_of(&self, task: TaskId) -> impl Iterator<Item = (usize, &Call)> {
        self.calls.iter().enumerate().filter(move |(_, call)| call.task == task)
    }

    /// What may come out, if calls that came one after the other in the model's run do so.
    pub(crate) fn outcomes(&self, ordered: bool) -> Result<Outcomes> {
        let is_open = |call: &&Call| {
            matches!(
                call.operation.effect(),
                Effect::Copies { .. }
                    | Effect::WritesMapped { .. }
                    | Effect::Pins(_)
                    | Effect::Protects
            )
        };
        if let Some(call) = self.calls.iter().find(is_open) {
            let name = call.operation.kind().name;
            return Err(anyhow!(
                "{}: what may come of a {name} is not worked out",
                self.words(call)
            )
            .context("take it out of the case, or --as fsx leaves it out"));
        }
        outcomes(self, ordered).ok_or_else(|| {
            anyhow!("there are too many orders in which its calls may come")
                .context("make the case smaller first: `mkwrite shrink`")
        })
    }

    /// A call in words, in bytes: `A.0 store 0..1024`.
    pub(crate) fn words(&self, call: &Call) -> String {
        let bytes = |cell: u8| usize::from(cell) * self.cell();
        let name = call.operation.kind().name;
        let range = call.operation.range();
        let what = match call.operation.effect() {
            Effect::Copies { .. } | Effect::WritesMapped { .. } => name.to_owned(),
            Effect::Syncs { .. } | Effect::Freezes => name.to_owned(),
            Effect::Maps | Effect::Unmaps | Effect::Moves | Effect::Protects => name.to_owned(),
            Effect::Nothing => name.to_owned(),
            Effect::Resizes(size) => format!("{name} {}", bytes(size)),
            Effect::WritesBack { .. } | Effect::Drops { .. } => {
                format!(
                    "{name} {}..{}",
                    usize::from(range.start) * PAGE,
                    usize::from(range.end) * PAGE
                )
            }
            _ => format!("{name} {}..{}", bytes(range.start), bytes(range.end)),
        };
        format!("{}.{} {what}", call.task, call.slot)
    }

    /// What the reader is told of the program: a line each.
    pub(crate) fn about(&self) -> Vec<String> {
        let mut lines = Vec::new();
        if !self.comments.is_empty() {
            let options = textwrap::Options::new(WIDTH)
                .word_splitter(textwrap::WordSplitter::NoHyphenation)
                .break_words(false);
            let text = textwrap::fill(&self.comments.join(" "), options);
            lines.extend(text.lines().map(str::to_owned).chain([String::new()]));
        }
        let g = self.geometry;
        let holes = match self.initial().contains(&false) {
            true => ", with holes",
            false => "",
        };
        lines.push(format!("A file of {} bytes{holes}.", usize::from(g.size) * self.cell()));
        lines.extend(self.calls.iter().map(|call| format!("  {}", self.words(call))));
        if !self.left_out.is_empty() {
            lines
                .push(format!("Left out, though the case needs it: {}.", self.left_out.join(", ")));
        }
        lines
    }

    /// For each cell of the file at first: written, or in a hole.
    pub(crate) fn initial(&self) -> Vec<bool> {
        let g = self.geometry;
        (0..g.size).map(|cell| !g.is_hole(cell / g.block_cells())).collect()
    }
}

/// A byte of the file as C and shells write it, and as it is shown: `0` is a zero.
pub(crate) fn letter(byte: u8) -> char {
    if byte == 0 { '0' } else { char::from(byte) }
}

/// When the calls of a run began and ended.
struct Times(Vec<(TaskId, u8, Option<u32>, Option<u32>)>);

impl<F: Filesystem> Observer<F> for Times {
    fn step(&mut self, k: &Kernel<F>, step: Step) {
        let is_call =
            |entry: &&mut (TaskId, u8, _, _)| (entry.0, entry.1) == (step.task, step.slot);
        let Some(entry) = self.0.iter_mut().find(is_call) else { return };
        for event in k.events() {
            match event {
                Event::Call => entry.2 = Some(step.number),
                Event::Return => entry.3 = Some(step.number),
                _ => {}
            }
        }
    }
}

/// Puts the calls into the order of a run: a call that began when another had returned waits for
/// it.
fn order<F: Filesystem>(calls: &mut [Call], case: &Case, target: Target<F>) {
    let mut times = Times(calls.iter().map(|call| (call.task, call.slot, None, None)).collect());
    // A model that gives up leaves the calls unordered: then they all race.
    if caught(|| {
        observe(&mut Machine::default(), target, case, ScheduledBy::Own, &mut times);
    })
    .is_err()
    {
        return;
    }
    // For an actor and another one, the last call of the other that it has waited for.
    let mut waited: BTreeMap<(TaskId, TaskId), usize> = BTreeMap::new();
    for (call, (task, _, began, _)) in calls.iter_mut().zip(&times.0) {
        let Some(began) = began else { continue };
        // The last of each actor says it of those before.
        let mut after: BTreeMap<TaskId, usize> = BTreeMap::new();
        for (other, (whose, _, _, ended)) in times.0.iter().enumerate() {
            if whose != task && ended.is_some_and(|ended| ended < *began) {
                after.insert(*whose, other);
            }
        }
        // What an earlier call of this actor has waited for need not be waited for again.
        after.retain(|whose, other| waited.insert((*task, *whose), *other) != Some(*other));
        call.after = after.into_values().collect();
    }
}
