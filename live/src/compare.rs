//! The one comparison: a run of a model against a run of a kernel, call by call, and what the file
//! holds at the end.
//!
//! Bytes stored past the end of the file are told apart from everything else, because kernels take
//! liberties there: what a mapping shows of them ([`Class::View`]), and what becomes of them when
//! the file grows ([`Class::Content`]).

use std::fmt;

use mkwrite_model::case::{Case, Effect, Operation, Range};
use mkwrite_model::kernel::{Stamp, Status};
use serde::Deserialize;

use crate::exec::{Call, Run};
use crate::operations::cell_bytes;
use crate::word::{ALIEN, TORN};

/// What differs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Class {
    /// The status of a call.
    Status,
    /// How much a call did.
    Count,
    /// The size of the file.
    Size,
    /// A cell beyond the end of the file, as a mapping shows it.
    View,
    /// A cell of the file that was stored to when it lay beyond the end, and not written since.
    Content,
    /// Any other cell.
    Value,
    /// The run did not go as every run does.
    Trouble,
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Class::Status => "status",
            Class::Count => "count",
            Class::Size => "size",
            Class::View => "view",
            Class::Content => "content",
            Class::Value => "value",
            Class::Trouble => "trouble",
        })
    }
}

/// What makes two differences the same, but for the operations of their smallest cases.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Key {
    /// What differs.
    pub class: Class,
    /// The operation that shows it; at the end `seen`, `durable` or `end`.
    pub shown_by: &'static str,
    /// What the model gives: a status, or a kind of value.
    pub model: String,
    /// What the kernel gives.
    pub real: String,
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} by {}: model {}, kernel {}", self.class, self.shown_by, self.model, self.real)
    }
}

/// The first difference of two runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Difference {
    /// What makes it the same as others.
    pub key: Key,
    /// Where it is, and the values.
    pub detail: String,
}

/// A kind of value.
pub(crate) fn kind(value: Option<Stamp>) -> String {
    match value {
        None => "none",
        Some(Stamp::ZERO) => "zero",
        Some(TORN) => "torn",
        Some(ALIEN) => "alien",
        Some(value) if value.is_initial() => "initial",
        Some(_) => "data",
    }
    .to_owned()
}

fn shown(value: Option<Stamp>) -> String {
    match value {
        Some(value) if value != TORN && value != ALIEN => value.to_string(),
        other => kind(other),
    }
}

fn status(call: &Call) -> String {
    match call.errno {
        0 => call.status.name().to_owned(),
        errno => format!("errno {errno}"),
    }
}

/// What is known of the file before each call, from the model's run.
struct Before {
    /// Its size in cells.
    size: u8,
    /// Cells stored to beyond the end, and not written since, one bit each.
    beyond: u64,
}

impl Before {
    fn class(&self, cell: u8) -> Class {
        if cell >= self.size {
            Class::View
        } else if self.beyond >> cell & 1 != 0 {
            Class::Content
        } else {
            Class::Value
        }
    }

    fn pass(&mut self, operation: Operation, call: &Call, cell_bytes: usize) {
        match operation.effect() {
            Effect::Stores(cells) | Effect::Pins(cells) => {
                for cell in cells.start..cells.start + call.done {
                    let bit = 1 << cell;
                    self.beyond =
                        if cell >= self.size { self.beyond | bit } else { self.beyond & !bit };
                }
            }
            Effect::Resizes(size) if size < self.size => self.beyond &= (1 << size) - 1,
            effect => {
                let given = effect.writes().or(effect.discards());
                self.beyond &= !given.map_or(0, Range::bits);
            }
        }
        self.size = (call.size / cell_bytes as u64) as u8;
    }
}

/// It has no such operation.
fn lacks(call: &Call) -> bool {
    call.status == Status::NotSupported
}

/// The first thing in which the kernel's run of a case of one actor differs from the model's.
pub fn difference(case: &Case, model: &Run, real: &Run) -> Option<Difference> {
    let found = |class, shown_by, model: String, real: String, detail: String| {
        Some(Difference { key: Key { class, shown_by, model, real }, detail })
    };
    if model.trouble.is_some() || real.trouble.is_some() {
        let text = |run: &Run| run.trouble.clone().unwrap_or_else(|| "none".to_owned());
        return found(Class::Trouble, "end", text(model), text(real), String::new());
    }
    let cell_bytes = cell_bytes(case.geometry);
    let mut before = Before { size: case.geometry.size, beyond: 0 };
    for (slot, operation) in case.actors[0].operations.iter().enumerate() {
        if *operation == Operation::Empty {
            continue;
        }
        let (m, r, name) = (&model.calls[slot], &real.calls[slot], operation.kind().name);
        // One of the two has no such operation, so the rest is another history.
        if lacks(m) != lacks(r) {
            return None;
        }
        if operation.effect().is_of_contract() {
            if status(m) != status(r) {
                let at = format!("A.{slot} {operation}");
                return found(Class::Status, name, status(m), status(r), at);
            }
            if m.done != r.done
                && (m.values.is_empty() && r.values.is_empty() || m.values.len() != r.values.len())
            {
                let order = |a: u8, b: u8| if a < b { "less" } else { "more" }.to_owned();
                let detail =
                    format!("A.{slot} {operation}: model {} cells, kernel {}", m.done, r.done);
                return found(
                    Class::Count,
                    name,
                    order(m.done, r.done),
                    order(r.done, m.done),
                    detail,
                );
            }
        }
        if m.size != r.size {
            return sizes(name, m.size, r.size);
        }
        if let Some(n) = (0..m.values.len()).find(|n| m.values[*n] != r.values[*n]) {
            let (cell, m, r) =
                (operation.range().start + n as u8, Some(m.values[n]), Some(r.values[n]));
            let detail = format!(
                "A.{slot} {operation}, cell {cell}: model {}, kernel {}",
                shown(m),
                shown(r)
            );
            return found(before.class(cell), name, kind(m), kind(r), detail);
        }
        before.pass(*operation, m, cell_bytes);
    }
    if model.size != real.size {
        return sizes("end", model.size, real.size);
    }
    let content = |name, m: &[Stamp], r: &[Stamp]| {
        let cells = 0..m.len().max(r.len());
        let (cell, m, r) =
            cells.map(|n| (n, m.get(n).copied(), r.get(n).copied())).find(|(_, m, r)| m != r)?;
        let detail = format!("at the end, cell {cell}: model {}, kernel {}", shown(m), shown(r));
        found(before.class(cell as u8), name, kind(m), kind(r), detail)
    };
    content("seen", &model.seen, &real.seen).or_else(|| match (&model.stored, &real.stored) {
        (Some(m), Some(r)) => content("durable", m, r),
        _ => None,
    })
}

fn sizes(shown_by: &'static str, model: u64, real: u64) -> Option<Difference> {
    let order = |a: u64, b: u64| if a < b { "smaller" } else { "larger" }.to_owned();
    let key =
        Key { class: Class::Size, shown_by, model: order(model, real), real: order(real, model) };
    Some(Difference { key, detail: format!("model {model} bytes, kernel {real}") })
}

#[cfg(test)]
mod tests {
    use super::*;
    use mkwrite_model::case::{Actor, Geometry, Range};
    use mkwrite_model::kernel::Status;

    const CELLS: Range = Range::new(1, 4);

    /// A file of two cells in a page of four; three cells are stored, the file grows, and is read.
    fn case() -> Case {
        let operations = vec![
            Operation::Store(CELLS),
            Operation::Load(CELLS),
            Operation::Truncate(4),
            Operation::Read(CELLS),
            Operation::Reclaim(Range::new(0, 1)),
        ];
        let geometry = Geometry { size: 2, ..Geometry::default() };
        Case { geometry, actors: vec![Actor { mm: 0, operations }], ..Case::default() }
    }

    fn run() -> Run {
        let data = |cell: u16| Stamp(100 + cell);
        let call = |done, values, size| Call { done, values, size, ..Call::default() };
        let read = vec![data(1), Stamp::ZERO, Stamp::ZERO];
        Run {
            calls: vec![
                call(3, vec![], 2048),
                call(3, vec![data(1), data(2), data(3)], 2048),
                call(0, vec![], 4096),
                call(3, read, 4096),
                call(0, vec![], 4096),
            ],
            size: 4096,
            seen: vec![Stamp::initial(0), data(1), Stamp::ZERO, Stamp::ZERO],
            stored: Some(vec![Stamp::initial(0), data(1), Stamp::ZERO, Stamp::ZERO]),
            trouble: None,
        }
    }

    fn of(change: impl FnOnce(&mut Run)) -> Option<String> {
        let mut real = run();
        change(&mut real);
        difference(&case(), &run(), &real).map(|difference| difference.key.to_string())
    }

    #[test]
    fn equal_runs_do_not_differ_and_each_part_of_a_run_is_compared() {
        let is = |change: fn(&mut Run), text: &str| assert_eq!(of(change).as_deref(), Some(text));
        assert_eq!(of(|_| ()), None);
        is(|run| run.calls[0].status = Status::Sigbus, "status by store: model ok, kernel SIGBUS");
        is(|run| run.calls[0].errno = 22, "status by store: model ok, kernel errno 22");
        is(|run| run.calls[0].done = 1, "count by store: model more, kernel less");
        is(|run| run.calls[2].size = 2048, "size by truncate: model larger, kernel smaller");
        is(|run| run.calls[1].values[1] = Stamp::ZERO, "view by load: model data, kernel zero");
        is(|run| run.calls[3].values[1] = Stamp(102), "content by read: model zero, kernel data");
        is(|run| run.calls[3].values[0] = Stamp::ZERO, "value by read: model data, kernel zero");
        is(|run| run.calls[3].values[0] = ALIEN, "value by read: model data, kernel alien");
        is(|run| run.seen[0] = TORN, "value by seen: model initial, kernel torn");
        is(
            |run| run.stored.as_mut().unwrap()[3] = Stamp(103),
            "content by durable: model zero, kernel data",
        );
        is(|run| run.size = 5, "size by end: model larger, kernel smaller");
        is(|run| run.trouble = Some("EIO".to_owned()), "trouble by end: model none, kernel EIO");
    }

    #[test]
    fn what_is_no_result_of_the_contract_is_not_compared() {
        assert_eq!(of(|run| run.calls[4].status = Status::Busy), None);
        assert_eq!(of(|run| run.stored = None), None);
    }
}
