//! Printing. One function per statement says which of its kind a document has; the table has the
//! order.

use std::fmt::{Display, Formatter, Result};

use super::table::{HEAD, STATEMENTS, Which};
use super::{Document, END, Expect, Place, Reach, VERSION};
use crate::bit_set::ones;
use crate::case::{Case, Geometry, Limits, Operation, Override, Schedule, Site, Stop};
use crate::exec::TaskId;
use crate::geometry::{FIELDS, Field, Written};

/// Statements of one kind: which each is, and what follows its first word.
pub(super) type Lines = Vec<(Which, String)>;

/// A statement of a document.
pub(super) struct Line {
    /// Unique in the document.
    pub key: String,
    /// What is printed.
    pub text: String,
}

impl Document {
    /// The statements in canonical order.
    pub(super) fn lines(&self) -> Vec<Line> {
        let mut all = Vec::new();
        for rows in STATEMENTS.chunk_by(|a, b| a.often.of_an_actor() && b.often.of_an_actor()) {
            let of_row = rows.iter().map(|row| (row.keyword, (row.print)(self)));
            let lines = of_row
                .flat_map(|(keyword, lines)| lines.into_iter().map(move |line| (keyword, line)));
            let mut lines: Vec<(&str, (Which, String))> = lines.collect();
            lines.sort_by_key(|(_, (which, _))| which.actor());
            all.extend(lines.into_iter().map(|(keyword, (which, rest))| {
                let width = if keyword == HEAD { 0 } else { 8 };
                let text = format!("{:<width$} {rest}", which.first_word(keyword));
                Line { key: which.key(keyword), text: text.trim_end().to_owned() }
            }));
        }
        all
    }

    /// Replaces the case; comments stay with the statements that are left.
    pub fn set_case(&mut self, case: Case) {
        self.case = case;
        let lines = self.lines();
        self.comments.retain(|(key, _)| key == END || lines.iter().any(|line| line.key == *key));
    }
}

/// The canonical text.
impl Display for Document {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let comments = |f: &mut Formatter<'_>, key: &str| {
            self.comments.iter().filter(|(k, _)| k == key).try_for_each(|(_, text)| {
                if text.is_empty() { writeln!(f, "#") } else { writeln!(f, "# {text}") }
            })
        };
        for line in self.lines() {
            comments(f, &line.key)?;
            writeln!(f, "{}", line.text)?;
        }
        comments(f, END)
    }
}

fn once<T: Display>(value: Option<T>) -> Lines {
    value.iter().map(|value| (Which::Only, value.to_string())).collect()
}

fn repeated<T: Display>(values: impl IntoIterator<Item = T>) -> Lines {
    values.into_iter().enumerate().map(|(n, value)| (Which::Nth(n), value.to_string())).collect()
}

pub(super) fn version(_: &Document) -> Lines {
    once(Some(VERSION))
}

pub(super) fn runs(document: &Document) -> Lines {
    repeated(
        document.runs.iter().map(|(implementation, caller)| format!("{implementation} {caller}")),
    )
}

pub(super) fn plant(document: &Document) -> Lines {
    once(document.plant.map(|plant| plant.name()))
}

pub(super) fn remedy(document: &Document) -> Lines {
    once(Some(document.remedies).filter(|remedies| !remedies.is_empty()))
}

pub(super) fn compare(document: &Document) -> Lines {
    once(
        document
            .compare
            .as_ref()
            .map(|(implementation, caller)| format!("{implementation} {caller}")),
    )
}

pub(super) fn expects(document: &Document) -> Lines {
    repeated(&document.expects)
}

pub(super) fn reaches(document: &Document) -> Lines {
    repeated(&document.reaches)
}

pub(super) fn limits(document: &Document) -> Lines {
    let limits = Some(document.case.limits).filter(|limits| *limits != Limits::default());
    once(limits.map(|Limits { actors, operations, pages, steps }| {
        format!("actors {actors} operations {operations} pages {pages} steps {steps}")
    }))
}

pub(super) fn file(document: &Document) -> Lines {
    let g = document.case.geometry;
    let is_written = |field: &&Field| field.is_always_written || (field.get)(&g) != field.default;
    let word = |field: &Field| match field.written {
        Written::Number => format!("{} {}", field.name, (field.get)(&g)),
        Written::Blocks => format!("{} {}", field.name, blocks(g, (field.get)(&g))),
    };
    once(Some(in_order().filter(is_written).map(word).collect::<Vec<_>>().join(" ")))
}

/// The fields as text has them: those that always stand there, lists, the others.
fn in_order() -> impl Iterator<Item = &'static Field> {
    let rank = |field: &Field| (!field.is_always_written, field.written == Written::Number);
    let mut fields: Vec<&Field> = FIELDS.iter().collect();
    fields.sort_by_key(|field| rank(field));
    fields.into_iter()
}

/// The fields of `file` in a form, and what they are.
pub(super) fn fields() -> [String; 2] {
    let form = |field: &Field| {
        let value = if field.written == Written::Blocks { "LIST" } else { "N" };
        let word = format!("{} {value}", field.name);
        if field.is_always_written { word } else { format!("[{word}]") }
    };
    let forms = in_order().map(form).collect::<Vec<_>>().join(" ");
    [forms, in_order().map(|field| field.help).collect::<Vec<_>>().join(", ")]
}

/// The sites that stand in `fault`, and what goes wrong there.
pub(super) fn sites() -> String {
    let site = |site: &Site| format!("`{}`: {}", site.name(), site.row().help);
    let sites = Site::ALL.iter().filter(|site| !site.row().has_statement);
    sites.map(site).collect::<Vec<_>>().join("; ")
}

pub(super) fn stable(document: &Document) -> Lines {
    once(numbers(document.case.faults.of(Site::Stable)))
}

pub(super) fn eio(document: &Document) -> Lines {
    once(numbers(document.case.faults.of(Site::Eio)))
}

pub(super) fn faults(document: &Document) -> Lines {
    let sites = Site::ALL.iter().filter(|site| !site.row().has_statement);
    let line = |site: &Site| {
        let times = numbers(document.case.faults.of(*site))?;
        Some((Which::Nth(site.code().into()), format!("{} {times}", site.name())))
    };
    sites.filter_map(line).collect()
}

pub(super) fn actors(document: &Document) -> Lines {
    let line = |(i, mm): (usize, u8)| {
        let task = TaskId(i as u8);
        (Which::Actor(task), format!("{task} mm {mm}"))
    };
    document.case.actors.iter().map(|actor| actor.mm).enumerate().map(line).collect()
}

pub(super) fn operations(document: &Document) -> Lines {
    let mut lines = Lines::new();
    for (i, actor) in document.case.actors.iter().enumerate() {
        let full = actor
            .operations
            .iter()
            .enumerate()
            .filter(|(_, operation)| **operation != Operation::Empty);
        lines.extend(full.map(|(slot, operation)| {
            (Which::Slot(TaskId(i as u8), slot as u8), operation.to_string())
        }));
    }
    lines
}

pub(super) fn seed(document: &Document) -> Lines {
    match &document.case.schedule {
        Schedule::Seed { seed, .. } => once(Some(seed)),
        Schedule::Order(_) => Lines::new(),
    }
}

pub(super) fn overrides(document: &Document) -> Lines {
    match &document.case.schedule {
        Schedule::Seed { overrides, .. } => repeated(overrides),
        Schedule::Order(_) => Lines::new(),
    }
}

pub(super) fn order(document: &Document) -> Lines {
    match &document.case.schedule {
        Schedule::Seed { .. } => Lines::new(),
        Schedule::Order(stops) => repeated(stops),
    }
}

impl Display for Expect {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        match self {
            Expect::Pass => f.write_str("pass"),
            Expect::Breach { rule, point, operation } => {
                write!(f, "{rule} {} {operation}", point.name())
            }
        }
    }
}

impl Display for Place {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        let how = if self.waits { "waits at" } else { "is at" };
        write!(f, "{} {how} {}", self.task, self.point.name())
    }
}

impl Display for Reach {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{} while {}", self.task, self.other)
    }
}

impl Display for Override {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}.{} step {} priority {}", self.task, self.slot, self.nth, self.priority)
    }
}

impl Display for Stop {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}.{}", self.task, self.slot)?;
        match self.point {
            None => f.write_str(" *"),
            Some(point) if self.occurrence > 1 => {
                write!(f, " {} {}", point.name(), self.occurrence)
            }
            Some(point) => write!(f, " {}", point.name()),
        }
    }
}

/// Pages with all of their blocks in the mask, and `PAGE.BLOCK` for single blocks.
fn blocks(g: Geometry, mask: u32) -> String {
    let mut all: Vec<String> = Vec::new();
    for page in 0..g.pages {
        let blocks = (0..g.blocks).filter(|b| mask >> (page * g.blocks + b) & 1 != 0);
        match blocks.clone().count() {
            n if n == usize::from(g.blocks) => all.push(page.to_string()),
            _ => all.extend(blocks.map(|b| format!("{page}.{b}"))),
        }
    }
    all.join(",")
}

/// The set bits of a mask, or `all`; none if no bit is set.
fn numbers(mask: u16) -> Option<String> {
    match mask {
        0 => None,
        u16::MAX => Some("all".to_owned()),
        _ => Some(ones(mask.into()).map(|bit| bit.to_string()).collect::<Vec<_>>().join(",")),
    }
}
