//! Reading. One function per statement puts what it says into the [`Builder`]; the table says
//! which. What no line can know for itself is checked at the end (`check.rs`).

use std::ops::Range as Span;

use super::table::{HEAD, Often, STATEMENTS, Which};
use super::words::{
    Flaw, Parsed, Word, Words, error, holes, mask, named, near, number, point, slot, task,
};
use super::{Document, END, Expect, ParseError, Place, Reach, Stale, VERSION};
use crate::case::{Geometry, Limits, Operand, Operation, Override, Range, Stop};
use crate::exec::{ACTORS_MAX, TaskId};
use crate::plant::Plant;
use crate::remedy::Remedy;

/// `order` lines of a text at the most: the most steps that `limits` allows.
const STOPS_MAX: usize = 1 << 14;

/// The document as it grows, with where each value of the case came from.
#[derive(Default)]
pub(super) struct Builder {
    pub document: Document,
    /// Of the statements that were read.
    keys: Vec<String>,
    pub seed: Option<(u32, Span<usize>)>,
    pub overrides: Vec<Override>,
    pub stops: Vec<Stop>,
    pub order: Option<Span<usize>>,
    pub file: Option<Span<usize>>,
    pub operations: Vec<(TaskId, u8, Operation, Span<usize>)>,
    /// The slots that the schedule names.
    pub scheduled: Vec<(TaskId, u8, Span<usize>)>,
    /// Actors with their address spaces.
    pub actors: Vec<(TaskId, u8, Span<usize>)>,
    pub limits: Option<Span<usize>>,
    /// Stops with unknown points are taken out and put here, if this is to be so.
    stale: Option<Vec<(usize, TaskId, u8, Flaw)>>,
}

impl Builder {
    /// Reads one statement. Returns its key.
    fn statement(&mut self, line: &str, offset: usize) -> Parsed<String> {
        let mut words = Words::new(line, offset);
        let (first, whole) = (words.first.clone(), words.whole.clone());
        let Some(row) = STATEMENTS.iter().find(|row| row.begins_with(first.text)) else {
            let known: Vec<&str> = STATEMENTS.iter().map(|row| row.name()).collect();
            let near = near(first.text, known.iter().copied());
            let help = near.unwrap_or_else(|| format!("one of: {}", known.join(", ")));
            return error(&first.span, format!("unknown statement `{}`", first.text), help);
        };
        let key = (row.parse)(self, &mut words)?.key(row.keyword);
        words.finish()?;
        if row.often != Often::Repeated && self.keys.contains(&key) {
            return error(&whole, format!("a second `{}`", first.text), "say it once");
        }
        self.keys.push(key.clone());
        Ok(key)
    }
}

pub(super) fn version(_: &mut Builder, words: &mut Words<'_>) -> Parsed<Which> {
    let version: u32 = words.number("a version")?;
    if version != VERSION {
        let help = format!("this is version {VERSION}");
        return error(&words.whole, format!("version {version} is unknown"), help);
    }
    Ok(Which::Only)
}

fn pair(words: &mut Words<'_>) -> Parsed<(String, String)> {
    let implementation = words.next("an implementation, like nfs@2.6.29")?.text.to_owned();
    Ok((implementation, words.next("a caller, like 2.6.29")?.text.to_owned()))
}

pub(super) fn run(builder: &mut Builder, words: &mut Words<'_>) -> Parsed<Which> {
    let pair = pair(words)?;
    let runs = &mut builder.document.runs;
    if runs.contains(&pair) {
        return error(
            &words.whole,
            format!("`{} {}` stands here twice", pair.0, pair.1),
            "say it once",
        );
    }
    runs.push(pair);
    Ok(Which::Nth(runs.len() - 1))
}

pub(super) fn plant(builder: &mut Builder, words: &mut Words<'_>) -> Parsed<Which> {
    let known = Plant::ALL.iter().map(|plant| plant.name());
    builder.document.plant =
        Some(named(&words.next("a planted bug")?, "plant", known, Plant::from_name)?);
    Ok(Which::Only)
}

pub(super) fn remedy(builder: &mut Builder, words: &mut Words<'_>) -> Parsed<Which> {
    let list = words.next("remedies with commas")?;
    let known = || Remedy::ALL.iter().map(|remedy| remedy.name());
    let one =
        |text| named(&Word { text, span: list.span.clone() }, "remedy", known(), Remedy::from_name);
    builder.document.remedies = list.text.split(',').map(one).collect::<Parsed<_>>()?;
    Ok(Which::Only)
}

pub(super) fn compare(builder: &mut Builder, words: &mut Words<'_>) -> Parsed<Which> {
    builder.document.compare = Some(pair(words)?);
    Ok(Which::Only)
}

pub(super) fn expect(builder: &mut Builder, words: &mut Words<'_>) -> Parsed<Which> {
    let rule = words.next("`pass`, or a rule")?.text;
    let expects = &mut builder.document.expects;
    expects.push(if rule == "pass" {
        Expect::Pass
    } else {
        let point = point(&words.next("a point")?)?;
        let operation = words.next("a kind of operation, `io`, or `closing`")?.text.to_owned();
        Expect::Breach { rule: rule.to_owned(), point, operation }
    });
    if expects.len() > 1 && expects.contains(&Expect::Pass) {
        return error(
            &words.whole,
            "`pass` beside other expectations",
            "either nothing breaks, or something",
        );
    }
    Ok(Which::Nth(expects.len() - 1))
}

pub(super) fn reach(builder: &mut Builder, words: &mut Words<'_>) -> Parsed<Which> {
    let task = place(words)?;
    words.keyword("while")?;
    let other = place(words)?;
    builder.document.reaches.push(Reach { task, other });
    Ok(Which::Nth(builder.document.reaches.len() - 1))
}

fn place(words: &mut Words<'_>) -> Parsed<Place> {
    let word = words.next("a task")?;
    let task = task(&word, word.text)?;
    let how = words.next("`is at` or `waits at`")?;
    let waits = match how.text {
        "is" => false,
        "waits" => true,
        other => {
            return error(&how.span, format!("unknown word `{other}`"), "`is at` or `waits at`");
        }
    };
    let at = words.next("`at`")?;
    if at.text != "at" {
        return error(&at.span, format!("unknown word `{}`", at.text), "`is at` or `waits at`");
    }
    Ok(Place { task, waits, point: point(&words.next("a point")?)? })
}

pub(super) fn limits(builder: &mut Builder, words: &mut Words<'_>) -> Parsed<Which> {
    builder.limits = Some(words.whole.clone());
    let mut value = |keyword| {
        words.keyword(keyword)?;
        words.number::<u16>("a number")
    };
    let (actors, operations) = (value("actors")?, value("operations")?);
    let (pages, steps) = (value("pages")?, value("steps")?);
    // What does not fit is beyond the limit of limits too, and is refused there.
    let small = |n: u16| u8::try_from(n).unwrap_or(u8::MAX);
    builder.document.case.limits =
        Limits { actors: small(actors), operations: small(operations), pages: small(pages), steps };
    Ok(Which::Only)
}

/// The fields of `file`, as a dictionary has them.
pub(super) const FILE_FIELDS: [&str; 7] =
    ["pages ", "cells ", "blocks ", "size ", "mms ", "holes ", "free "];

pub(super) fn file(builder: &mut Builder, words: &mut Words<'_>) -> Parsed<Which> {
    builder.file.get_or_insert(words.whole.clone());
    let mut g = Geometry::default();
    let mut list = None;
    let mut seen: Vec<&str> = Vec::new();
    while let Some(word) = words.maybe() {
        if seen.contains(&word.text) {
            return error(&word.span, format!("`{}` stands here twice", word.text), "say it once");
        }
        seen.push(word.text);
        let value: &mut u8 = match word.text {
            "pages" => &mut g.pages,
            "cells" => &mut g.cells,
            "blocks" => &mut g.blocks,
            "size" => &mut g.size,
            "mms" => &mut g.mms,
            "free" => &mut g.free,
            "holes" => {
                list = Some(words.next("pages")?);
                continue;
            }
            other => {
                let help = FILE_FIELDS.map(str::trim).join(", ");
                return error(&word.span, format!("unknown word `{other}`"), help);
            }
        };
        *value = words.number("a number")?;
    }
    // Fields that may stand after `holes` say how many blocks a page has.
    if let Some(word) = list {
        g.holes = holes(&word, g)?;
    }
    builder.document.case.geometry = g;
    Ok(Which::Only)
}

pub(super) fn stable(builder: &mut Builder, words: &mut Words<'_>) -> Parsed<Which> {
    builder.document.case.faults.stable = mask(&words.next("numbers of requests")?)?;
    Ok(Which::Only)
}

pub(super) fn eio(builder: &mut Builder, words: &mut Words<'_>) -> Parsed<Which> {
    builder.document.case.faults.eio = mask(&words.next("numbers of requests")?)?;
    Ok(Which::Only)
}

pub(super) fn actor(builder: &mut Builder, words: &mut Words<'_>) -> Parsed<Which> {
    let word = words.next("an actor")?;
    let task = task(&word, word.text)?;
    if task.index() != builder.actors.len() {
        let next = TaskId(builder.actors.len() as u8);
        return error(
            &word.span,
            "actors are declared in order",
            format!("the next one is {next}"),
        );
    }
    words.keyword("mm")?;
    builder.actors.push((task, words.number("an address space")?, words.whole.clone()));
    Ok(Which::Actor(task))
}

pub(super) fn operation(builder: &mut Builder, words: &mut Words<'_>) -> Parsed<Which> {
    let (task, slot) = slot(&words.first)?;
    if task.index() >= ACTORS_MAX {
        return error(&words.first.span, format!("{task} has no operations"), "an actor A to H");
    }
    let word = words.next("an operation")?;
    // The table begins with the empty slot, which has no statement.
    let kinds = || Operation::KINDS.iter().skip(1);
    let find = |name: &str| kinds().find(|kind| kind.name == name);
    let kind = named(&word, "operation", kinds().map(|kind| kind.name), find)?;
    let range = match kind.operand {
        Operand::None => Range::default(),
        Operand::Size => Range::new(words.number("a size in cells")?, 0),
        Operand::Cells => words.range("a range of cells, like 0..4")?,
        Operand::Pages => words.range("a range of pages, like 0..1")?,
    };
    let operation = Operation::from_code(kind.code, range).expect("the code comes from the table");
    builder.operations.push((task, slot, operation, words.whole.clone()));
    Ok(Which::Slot(task, slot))
}

pub(super) fn seed(builder: &mut Builder, words: &mut Words<'_>) -> Parsed<Which> {
    builder.seed = Some((words.number("a seed")?, words.whole.clone()));
    Ok(Which::Only)
}

pub(super) fn override_(builder: &mut Builder, words: &mut Words<'_>) -> Parsed<Which> {
    let (task, slot) = words.slot()?;
    words.keyword("step")?;
    let nth = words.number("a step number")?;
    words.keyword("priority")?;
    builder.overrides.push(Override { task, slot, nth, priority: words.number("a priority")? });
    builder.scheduled.push((task, slot, words.whole.clone()));
    Ok(Which::Nth(builder.overrides.len() - 1))
}

pub(super) fn order(builder: &mut Builder, words: &mut Words<'_>) -> Parsed<Which> {
    let (task, slot) = words.slot()?;
    let word = words.next("a point, or *")?;
    let position = builder.stops.len();
    let point = match word.text {
        "*" => None,
        _ => match (point(&word), &mut builder.stale) {
            (Ok(point), _) => Some(point),
            (Err(flaw), Some(stale)) => {
                stale.push((position, task, slot, flaw));
                words.skip_rest();
                return Ok(Which::Nth(position));
            }
            (Err(flaw), None) => return Err(flaw),
        },
    };
    if point.is_some_and(|point| !point.is_scheduling_point()) {
        let message = format!("`{}` is not a scheduling point", word.text);
        return error(&word.span, message, "a task never stands there");
    }
    // A stop at no point is where the slot ends: there is nothing to count.
    let occurrence = match point.and_then(|_| words.maybe()) {
        Some(word) => match number(&word, "how many times it has stood there, from 1")? {
            0 => return error(&word.span, "nobody stands there for the 0th time", "count from 1"),
            n => n,
        },
        None => 1,
    };
    if builder.stops.len() == STOPS_MAX {
        let message = format!("more than {STOPS_MAX} `order` lines");
        return error(&words.whole, message, "no run has more steps");
    }
    builder.scheduled.push((task, slot, words.whole.clone()));
    builder.stops.push(Stop { task, slot, point, occurrence });
    builder.order.get_or_insert(words.whole.clone());
    Ok(Which::Nth(position))
}

/// Reads a text.
pub fn parse(text: &str) -> Result<Document, ParseError> {
    read(text, false).map(|(document, _)| document)
}

/// Reads a text in whose schedule points may have gone stale: those lines are taken out, and named.
pub fn parse_with_stale(text: &str) -> Result<(Document, Vec<Stale>), ParseError> {
    read(text, true)
}

fn read(text: &str, tolerant: bool) -> Result<(Document, Vec<Stale>), ParseError> {
    let locate = |flaw| located(text, flaw);
    let mut builder = Builder { stale: tolerant.then(Vec::new), ..Builder::default() };
    if text.starts_with('\u{feff}') {
        return Err(locate((
            0..3,
            "the text begins with a byte order mark".into(),
            "save it without".into(),
        )));
    }
    // Comments wait for the statement that they stand before.
    let mut waiting: Vec<String> = Vec::new();
    let (mut offset, mut seen_version) = (0, false);
    for raw in text.split_inclusive('\n') {
        let (code, comment) = match raw.split_once('#') {
            Some((code, comment)) => (code, Some(comment.trim().to_owned())),
            None => (raw, None),
        };
        waiting.extend(comment);
        let statement = code.trim_end();
        if !statement.trim().is_empty() {
            let key = builder.statement(statement, offset).map_err(locate)?;
            if !seen_version && key != HEAD {
                let start = offset + statement.len() - statement.trim_start().len();
                let span = start..offset + statement.len();
                let message = format!("the first statement is not `{HEAD}`");
                return Err(locate((span, message, format!("{HEAD} {VERSION}"))));
            }
            seen_version = true;
            builder
                .document
                .comments
                .extend(waiting.drain(..).map(|comment| (key.clone(), comment)));
        }
        offset += raw.len();
    }
    if !seen_version {
        let span = 0..text.len().min(1);
        return Err(locate((
            span,
            "the text has no statements".into(),
            format!("{HEAD} {VERSION}"),
        )));
    }
    let comments = waiting.into_iter().map(|comment| (END.to_owned(), comment));
    builder.document.comments.extend(comments);
    let document = builder.finish(text.trim_end().len()).map_err(locate)?;
    let stale = builder.stale.unwrap_or_default().into_iter();
    let stale = stale.map(|(position, task, slot, error)| Stale {
        position,
        task,
        slot,
        error: locate(error),
    });
    Ok((document, stale.collect()))
}

/// The error of a flaw, with its line and column.
fn located(text: &str, (span, message, help): Flaw) -> ParseError {
    let before = &text[..span.start];
    let line_start = before.rfind('\n').map_or(0, |i| i + 1);
    ParseError {
        line: before.matches('\n').count() + 1,
        column: text[line_start..span.start].chars().count() + 1,
        span,
        message,
        help,
    }
}
