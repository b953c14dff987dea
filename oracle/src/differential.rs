//! The differential rule: implementations agree wherever the contract fixes the outcome, as POSIX
//! and the manual pages of the calls do.
//!
//! Compared are cases with one actor, enough space and working I/O: there the outcome of every call
//! is fixed. The status and count agree of every call that returned before either run broke another
//! rule. Of two runs that broke none, the file's size at the end agrees, and the blocks below it
//! that the store has, unless an implementation declares that those may differ ([`Aspect`]). What
//! the calls returned and what the file holds is fixed by the history rules already, for each run
//! alone. Results of writeback, invalidation and reclaim are not results of the contract.
//!
//! Concurrent cases are not compared: two correct runs may have put the calls into different
//! orders.

use mkwrite_model::End;
use mkwrite_model::case::{AMPLE, Case, OPERATIONS_MAX, Range};
use mkwrite_model::exec::CLOSER;
use mkwrite_model::implementation::{Aspect, Filesystem, Pair};
use mkwrite_model::kernel::event::Step;
use mkwrite_model::kernel::{INODES, Kernel, Status};
use mkwrite_model::plant::Plant;
use mkwrite_model::point::Point;

use crate::conditions::Conditions;
use crate::judge::Breach;
use crate::rules::{About, Rule};

/// What the rule says of itself.
pub(crate) const ABOUT: About = About {
    id: "differential",
    title: "implementations agree where the contract fixes the outcome",
    harm: "one filesystem gives another result than the rest",
    source: "SUSv4 write, read, ftruncate, mmap [posix-write, posix-mmap, posix-truncate]",
    plant: Plant::WriteFillsHoles,
};

/// The result of one call, as far as the contract fixes it.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
struct Call {
    status: Status,
    done: u8,
    step: u32,
    point: u16,
}

/// What is compared of a run.
#[derive(Clone, Debug)]
pub struct Summary {
    comparable: bool,
    ended: bool,
    /// The first step that broke a rule.
    breached: u32,
    task: u8,
    calls: [Option<Call>; OPERATIONS_MAX],
    size: [u8; INODES],
    blocks: [u32; INODES],
    steps: u32,
}

impl Default for Summary {
    fn default() -> Self {
        let calls = [None; OPERATIONS_MAX];
        Summary {
            comparable: false,
            ended: false,
            breached: 0,
            task: 0,
            calls,
            size: [0; INODES],
            blocks: [0; INODES],
            steps: 0,
        }
    }
}

/// The outcomes of this case are fixed.
pub fn is_comparable(case: &Case) -> bool {
    case.is_sequential() && case.geometry.free == AMPLE && !case.faults.has_errors()
}

impl Summary {
    pub(crate) fn begin(&mut self, case: &Case) {
        self.comparable = is_comparable(case);
        if self.comparable {
            (self.ended, self.breached, self.calls) = (false, 0, [None; OPERATIONS_MAX]);
        }
    }

    pub(crate) fn returned<F: Filesystem>(&mut self, k: &Kernel<F>, step: Step) {
        if !self.comparable || step.task == CLOSER {
            return;
        }
        if k.state(step.task).operation().kind().is_compared {
            let outcome = k.outcome(step.task);
            // It has no such operation, so the rest is another history.
            self.comparable &= outcome.status() != Status::NotSupported;
            (self.task, self.steps) = (step.task.0, step.number);
            self.calls[usize::from(step.slot)] = Some(Call {
                status: outcome.status(),
                done: outcome.done(),
                step: step.number,
                point: step.point.number(),
            });
        }
    }

    pub(crate) fn end<F: Filesystem>(&mut self, k: &Kernel<F>, end: End, breached: u32) {
        self.comparable &= k.fs().declaration().page_cache;
        if self.comparable {
            (self.ended, self.breached) = (end == End::Done, breached);
            (self.size, self.blocks) = ([0; INODES], [0; INODES]);
            for (n, file) in k.files().enumerate() {
                k.in_file(file, || {
                    let below_eof = Range::new(0, k.geometry().blocks_of(k.i_size())).bits();
                    self.size[n] = k.i_size();
                    self.blocks[n] = k.fs().allocated(k) & below_eof as u32;
                });
            }
        }
    }

    fn is_clean(&self) -> bool {
        self.ended && self.breached == u32::MAX
    }

    /// The step up to which this run can be compared, if it can be.
    pub(crate) fn comparable_until(&self) -> Option<u32> {
        self.comparable.then_some(self.breached)
    }

    /// The first thing in which this run, of `pair`, differs from `reference`, a run of the same
    /// case.
    pub fn differs<F: Filesystem>(
        &self,
        pair: Pair<F>,
        reference: &Summary,
        other: Pair<F>,
    ) -> Option<Breach> {
        if !(self.comparable && reference.comparable) {
            return None;
        }
        let breach = |slot: usize, step, point, operation, what| Breach {
            rule: Rule::Differential,
            point,
            operation,
            task: mkwrite_model::exec::TaskId(self.task),
            slot: slot as u8,
            step,
            file: 0,
            page: None,
            cell: None,
            cells: 0,
            when: Conditions::NONE,
            what,
        };
        for (slot, (own, theirs)) in self.calls.iter().zip(&reference.calls).enumerate() {
            let (Some(own), Some(theirs)) = (own, theirs) else { continue };
            if own.step >= self.breached || theirs.step >= reference.breached {
                return None;
            }
            if (own.status, own.done) != (theirs.status, theirs.done) {
                let point = Point::from_number(own.point).unwrap_or(Point::RunEnd);
                let what = "a call returned another result than elsewhere";
                return Some(breach(slot, own.step, point, "call", what));
            }
        }
        if !(self.is_clean() && reference.is_clean()) {
            return None;
        }
        let free =
            |pair: Pair<F>| pair.implementation.declaration().may_differ.contains(&Aspect::Blocks);
        let what = if self.size != reference.size {
            "the file ends with another size than elsewhere"
        } else if self.blocks != reference.blocks && !free(pair) && !free(other) {
            "the file has other blocks than elsewhere"
        } else {
            return None;
        };
        Some(breach(0, self.steps, Point::RunEnd, "closing", what))
    }
}
