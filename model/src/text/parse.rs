//! Reading. One function per statement puts what it says into the [`Builder`]; the table says
//! which. What no line can know for itself is checked at the end (`check.rs`).

use std::ops::{Range as Span, RangeInclusive};

use super::table::{HEAD, Often, STATEMENTS, Which};
use super::words::{
    Flaw, Number, Parsed, Word, Words, error, holes, mask, named, near, number, point, slot, task,
};
use super::{Document, END, Expect, ParseError, Place, Reach, Stale, VERSION};
use crate::case::{
    Geometry, Limits, OPERATIONS_MAX, Operand, Operands, Operation, Override, PAGES_MAX, Range,
    STEPS_MAX, STEPS_MIN, Site, Stop,
};
use crate::exec::{ACTORS_MAX, TaskId};
use crate::geometry::{FIELDS, Written};
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
    let limits = Limits {
        actors: limit(words, "actors", 1..=ACTORS_MAX as u8)?,
        operations: limit(words, "operations", 1..=OPERATIONS_MAX as u8)?,
        pages: limit(words, "pages", 1..=PAGES_MAX as u8)?,
        steps: limit(words, "steps", STEPS_MIN..=STEPS_MAX)?,
    };
    builder.document.case.limits = limits;
    Ok(Which::Only)
}

fn limit<T: Number>(words: &mut Words<'_>, keyword: &str, range: RangeInclusive<T>) -> Parsed<T> {
    words.keyword(keyword)?;
    words.number_in("a number", range)
}

/// The fields of `file`.
pub(super) const FILE_FIELDS: [&str; FIELDS.len()] = {
    let (mut names, mut n) = ([""; FIELDS.len()], 0);
    while n < names.len() {
        names[n] = FIELDS[n].name;
        n += 1;
    }
    names
};

pub(super) fn file(builder: &mut Builder, words: &mut Words<'_>) -> Parsed<Which> {
    builder.file.get_or_insert(words.whole.clone());
    let mut g = Geometry::default();
    let mut lists = Vec::new();
    let mut seen: Vec<&str> = Vec::new();
    while let Some(word) = words.maybe() {
        if seen.contains(&word.text) {
            return error(&word.span, format!("`{}` stands here twice", word.text), "say it once");
        }
        seen.push(word.text);
        let Some(field) = FIELDS.iter().find(|field| field.name == word.text) else {
            let message = format!("unknown word `{}`", word.text);
            return error(&word.span, message, FILE_FIELDS.join(", "));
        };
        match field.written {
            Written::Number => field.set(&mut g, u32::from(words.number::<u8>("a number")?)),
            Written::Blocks => lists.push((field, words.next("pages")?)),
        }
    }
    // Fields that may stand after a list say how many blocks a page has.
    for (field, word) in lists {
        let mask = holes(&word, g)?;
        field.set(&mut g, mask);
    }
    builder.document.case.geometry = g;
    Ok(Which::Only)
}

pub(super) fn stable(builder: &mut Builder, words: &mut Words<'_>) -> Parsed<Which> {
    times(builder, words, Site::Stable)
}

pub(super) fn eio(builder: &mut Builder, words: &mut Words<'_>) -> Parsed<Which> {
    times(builder, words, Site::Eio)
}

fn times(builder: &mut Builder, words: &mut Words<'_>, site: Site) -> Parsed<Which> {
    let mask = mask(&words.next("numbers of requests")?)?;
    builder.document.case.faults.set(site, mask);
    Ok(Which::Only)
}

pub(super) fn fault(builder: &mut Builder, words: &mut Words<'_>) -> Parsed<Which> {
    let word = words.next("a site")?;
    let sites = || Site::ALL.iter().filter(|site| !site.row().has_statement);
    let find = |name: &str| sites().copied().find(|site| site.name() == name);
    let site = named(&word, "site", sites().map(|site| site.name()), find)?;
    let faults = &mut builder.document.case.faults;
    if faults.of(site) != 0 {
        return error(&word.span, format!("a second `fault {}`", word.text), "say it once");
    }
    faults.set(site, mask(&words.next("numbers, from 0")?)?);
    Ok(Which::Nth(site.code().into()))
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
    let mut operands = Operands::default();
    for (range, operand) in operands.iter_mut().zip(kind.operands) {
        *range = match operand {
            Operand::Size => Range::new(words.number("a size in cells")?, 0),
            Operand::Cells => words.range("a range of cells, like 0..4")?,
            Operand::Pages => words.range("a range of pages, like 0..1")?,
        };
    }
    let operation =
        Operation::from_code(kind.code, operands).expect("the code comes from the table");
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
        Some(word) => number(&word, "how often it has stood there,", 1..=u8::MAX)?,
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

/// Reads a text. The error is the first of all.
pub fn parse(text: &str) -> Result<Document, ParseError> {
    let Reading { document, errors, .. } = read(text, false);
    errors.into_iter().next().map_or(Ok(document), Err)
}

/// Reads a text in whose schedule points may have gone stale, and tells all of its errors.
pub fn parse_all(text: &str) -> Reading {
    read(text, true)
}

/// What was read of a text.
#[derive(Clone, Debug)]
pub struct Reading {
    /// The document; with errors, as far as it could be read.
    pub document: Document,
    /// Lines of the schedule that name no point: they are taken out.
    pub stale: Vec<Stale>,
    /// What is wrong, in the order of the text, up to a bound.
    pub errors: Vec<ParseError>,
}

/// Errors after which the rest of a text is not read: it is something else.
const ERRORS_MAX: usize = 20;

fn read(text: &str, tolerant: bool) -> Reading {
    let mut builder = Builder { stale: tolerant.then(Vec::new), ..Builder::default() };
    let mut flaws = Vec::new();
    if text.starts_with('\u{feff}') {
        let help = "save it without".to_owned();
        flaws.push((0..3, "the text begins with a byte order mark".to_owned(), help));
    } else {
        statements(&mut builder, text, &mut flaws);
    }
    let mut document = None;
    if flaws.is_empty() {
        match builder.finish(text.trim_end().len()) {
            Ok(whole) => document = Some(whole),
            Err(flaw) => flaws.push(flaw),
        }
    }
    let stale = builder.stale.unwrap_or_default().into_iter();
    let stale = stale.map(|(position, task, slot, error)| Stale {
        position,
        task,
        slot,
        error: located(text, error),
    });
    Reading {
        stale: stale.collect(),
        document: document.unwrap_or(builder.document),
        errors: flaws.into_iter().map(|flaw| located(text, flaw)).collect(),
    }
}

/// Reads all statements, with the comments before them.
fn statements(builder: &mut Builder, text: &str, flaws: &mut Vec<Flaw>) {
    // Comments wait for the statement that they stand before.
    let mut waiting: Vec<String> = Vec::new();
    let (mut offset, mut seen_version) = (0, false);
    let head = || format!("{HEAD} {VERSION}");
    for raw in text.split_inclusive('\n') {
        let (code, comment) = match raw.split_once('#') {
            Some((code, comment)) => (code, Some(comment.trim().to_owned())),
            None => (raw, None),
        };
        waiting.extend(comment);
        let statement = code.trim_end();
        let start = offset + statement.len() - statement.trim_start().len();
        if !statement.trim().is_empty() {
            match builder.statement(statement, offset) {
                Err(flaw) => flaws.push(flaw),
                Ok(key) if !seen_version && key != HEAD => {
                    let message = format!("the first statement is not `{HEAD}`");
                    return flaws.push((start..offset + statement.len(), message, head()));
                }
                Ok(key) => {
                    let comments = waiting.drain(..).map(|comment| (key.clone(), comment));
                    builder.document.comments.extend(comments);
                }
            }
            // What is of another version, or no case at all, has no more to say.
            if flaws.len() >= ERRORS_MAX || !seen_version && !flaws.is_empty() {
                return;
            }
            seen_version = true;
        }
        offset += raw.len();
    }
    if !seen_version {
        let span = 0..text.len().min(1);
        flaws.push((span, "the text has no statements".to_owned(), head()));
    }
    let comments = waiting.into_iter().map(|comment| (END.to_owned(), comment));
    builder.document.comments.extend(comments);
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
