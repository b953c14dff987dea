//! The case as text: `.mkw` files, one statement per line. `docs/format.md` is its reference.
//!
//! A document is a case, and beside it what the case runs on and what is expected there, and comments, which
//! tools keep. Printing is canonical: statements in a fixed order, values in a fixed form. An error names its
//! line and column and says what would be right; nothing is clamped.
//!
//! ```text
//! mkw 1
//! # The reply comes between page_mkwrite's return and set_page_dirty.
//! run      nfs@2.6.29 2.6.29
//! expect   I20 wp.set_page_dirty store
//! file     pages 1 cells 4 blocks 1 size 4 mms 1
//! actor    A mm 0
//! A.0      store 0..4
//! actor    B mm 0
//! B.0      writeback 0..1
//! order    A.0 mkwrite.returned
//! order    B.0 *
//! order    io0.0 *
//! ```

use std::fmt::Write;
use std::ops::Range as Span;

use crate::case::{
    AMPLE, Actor, BLOCKS_PER_PAGE_MAX, Case, Faults, Geometry, Limits, Operand, Operation, Override, PAGES_MAX, Range,
    Schedule, Stop,
};
use crate::exec::{ACTORS_MAX, CLOSER, IO_MAX, TaskId};
use crate::plant::Plant;
use crate::point::Point;
use crate::remedy::{Remedies, Remedy};

/// The version of the format that is written and read.
pub const VERSION: u32 = 1;

/// What is wrong with a text, and where.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct ParseError {
    /// Counted from 1.
    pub line: usize,
    /// Counted from 1, in characters.
    pub column: usize,
    /// The bytes of the whole text that are meant.
    pub span: Span<usize>,
    /// What is wrong.
    pub message: String,
    /// What would be right.
    pub help: String,
}

/// What a case must break, or that it must break nothing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Expect {
    /// No rule is broken.
    Pass,
    /// This rule is broken at this point by this kind of operation.
    Breach {
        /// The rule's name.
        rule: String,
        /// The named point.
        point: Point,
        /// The kind of operation, `io`, or `closing`.
        operation: String,
    },
}

/// A place of a task that a run must reach.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Place {
    /// Who.
    pub task: TaskId,
    /// It is blocked there, not only standing there.
    pub waits: bool,
    /// Where.
    pub point: Point,
}

/// What a run must reach, or its verdict is void: one task at a place while another is at a place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reach {
    /// The first.
    pub task: Place,
    /// The second.
    pub other: Place,
}

/// A case with what stands beside it.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Document {
    /// The case.
    pub case: Case,
    /// Implementations and callers that it runs on, by name.
    pub runs: Vec<(String, String)>,
    /// The bug that is planted there.
    pub plant: Option<Plant>,
    /// The remedies that are on there.
    pub remedies: Remedies,
    /// What must come of it, on each of them.
    pub expects: Vec<Expect>,
    /// What each run must reach.
    pub reaches: Vec<Reach>,
    /// Comments, each with the statement that it stands before, by that statement's key; the last may stand
    /// at the end.
    pub comments: Vec<(String, String)>,
}

/// A line of a schedule that names a point which does not exist (any more).
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Stale {
    /// Where its stop would stand in the order.
    pub position: usize,
    /// Whose stop it is.
    pub task: TaskId,
    /// In which slot.
    pub slot: u8,
    /// What is wrong, and where.
    pub error: ParseError,
}

/// One statement: its key (unique in a document, the order of printing) and its text.
type Statement = (String, String);

const END: &str = "~";

impl Document {
    /// A document of a case alone.
    pub fn new(case: Case) -> Document {
        Document { case, ..Document::default() }
    }

    /// The statements in canonical order.
    fn statements(&self) -> Vec<Statement> {
        let mut all: Vec<Statement> = Vec::new();
        let mut add = |key: &str, text: String| all.push((key.to_owned(), text));
        let line = |word: &str, rest: &dyn std::fmt::Display| format!("{word:<8} {rest}");
        add("mkw", format!("mkw {VERSION}"));
        for (i, (implementation, caller)) in self.runs.iter().enumerate() {
            add(&format!("run {i}"), line("run", &format_args!("{implementation} {caller}")));
        }
        if let Some(plant) = self.plant {
            add("plant", line("plant", &plant.name()));
        }
        if !self.remedies.is_empty() {
            add("remedy", line("remedy", &self.remedies));
        }
        for (i, expect) in self.expects.iter().enumerate() {
            add(&format!("expect {i}"), line("expect", expect));
        }
        for (i, reach) in self.reaches.iter().enumerate() {
            add(&format!("reach {i}"), line("reach", reach));
        }
        let Case { limits: l, geometry: g, faults: f, actors, schedule } = &self.case;
        if *l != Limits::default() {
            let text = format!("actors {} operations {} pages {} steps {}", l.actors, l.operations, l.pages, l.steps);
            add("limits", line("limits", &text));
        }
        let mut file = format!("pages {} cells {} blocks {} size {} mms {}", g.pages, g.cells, g.blocks, g.size, g.mms);
        if g.holes != 0 {
            let _ = write!(file, " holes {}", holes(*g));
        }
        if g.free != AMPLE {
            let _ = write!(file, " free {}", g.free);
        }
        add("file", line("file", &file));
        if f.stable != 0 {
            add("stable", line("stable", &numbers(f.stable)));
        }
        if f.eio != 0 {
            add("eio", line("eio", &numbers(f.eio)));
        }
        for (i, actor) in actors.iter().enumerate() {
            let task = TaskId(i as u8);
            add(&format!("actor {task}"), line("actor", &format_args!("{task} mm {}", actor.mm)));
            for (slot, operation) in actor.operations.iter().enumerate() {
                if *operation != Operation::Empty {
                    let name = format!("{task}.{slot}");
                    add(&name, line(&name, operation));
                }
            }
        }
        match schedule {
            Schedule::Seed { seed, overrides } => {
                add("seed", line("seed", seed));
                for (i, o) in overrides.iter().enumerate() {
                    let text = format!("{}.{} step {} priority {}", o.task, o.slot, o.nth, o.priority);
                    add(&format!("override {i}"), line("override", &text));
                }
            }
            Schedule::Order(stops) => {
                for (i, stop) in stops.iter().enumerate() {
                    add(&format!("order {i}"), line("order", stop));
                }
            }
        }
        all
    }

    /// Replaces the case; comments stay with the statements that are left.
    pub fn set_case(&mut self, case: Case) {
        self.case = case;
        let keys: Vec<String> = self.statements().into_iter().map(|(key, _)| key).collect();
        self.comments.retain(|(key, _)| key == END || keys.contains(key));
    }
}

/// The canonical text.
impl std::fmt::Display for Document {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let comments = |f: &mut std::fmt::Formatter<'_>, key: &str| {
            self.comments
                .iter()
                .filter(|(k, _)| k == key)
                .try_for_each(|(_, text)| if text.is_empty() { writeln!(f, "#") } else { writeln!(f, "# {text}") })
        };
        for (key, text) in self.statements() {
            comments(f, &key)?;
            writeln!(f, "{}", text.trim_end())?;
        }
        comments(f, END)
    }
}

impl std::fmt::Display for Expect {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Expect::Pass => f.write_str("pass"),
            Expect::Breach { rule, point, operation } => write!(f, "{rule} {} {operation}", point.name()),
        }
    }
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let how = if self.waits { "waits at" } else { "is at" };
        write!(f, "{} {how} {}", self.task, self.point.name())
    }
}

impl std::fmt::Display for Reach {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} while {}", self.task, self.other)
    }
}

impl std::fmt::Display for Stop {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.task, self.slot)?;
        match self.point {
            None => f.write_str(" *"),
            Some(point) if self.occurrence > 1 => write!(f, " {} {}", point.name(), self.occurrence),
            Some(point) => write!(f, " {}", point.name()),
        }
    }
}

/// Pages that are holes, and `PAGE.BLOCK` for single blocks.
fn holes(g: Geometry) -> String {
    let mut all: Vec<String> = Vec::new();
    for page in 0..g.pages {
        let blocks = (0..g.blocks).filter(|b| g.is_hole(page * g.blocks + b));
        match blocks.clone().count() {
            n if n == usize::from(g.blocks) => all.push(page.to_string()),
            _ => all.extend(blocks.map(|b| format!("{page}.{b}"))),
        }
    }
    all.join(",")
}

/// The set bits of a mask, or `all`.
fn numbers(mask: u16) -> String {
    if mask == u16::MAX {
        return "all".to_owned();
    }
    let set: Vec<String> = (0..16).filter(|bit| mask >> bit & 1 != 0).map(|bit| bit.to_string()).collect();
    set.join(",")
}

/// One word of a line, and where it stands.
#[derive(Clone, Debug)]
struct Word<'a> {
    text: &'a str,
    span: Span<usize>,
}

/// Which bytes are wrong, what is wrong, and what would be right.
type Flaw = (Span<usize>, String, String);
type Parsed<T> = Result<T, Flaw>;

fn error<T>(span: &Span<usize>, message: impl Into<String>, help: impl Into<String>) -> Parsed<T> {
    Err((span.clone(), message.into(), help.into()))
}

/// The words of a line that are left.
struct Words<'a> {
    words: std::vec::IntoIter<Word<'a>>,
    end: usize,
}

impl<'a> Words<'a> {
    fn new(line: &'a str, offset: usize) -> Words<'a> {
        let mut words = Vec::new();
        let mut rest = 0;
        while let Some(start) = line[rest..].find(|c: char| !c.is_whitespace()).map(|i| rest + i) {
            let end = line[start..].find(char::is_whitespace).map_or(line.len(), |i| start + i);
            words.push(Word { text: &line[start..end], span: offset + start..offset + end });
            rest = end;
        }
        Words { words: words.into_iter(), end: offset + line.len() }
    }

    fn next(&mut self, what: &str) -> Parsed<Word<'a>> {
        match self.words.next() {
            Some(word) => Ok(word),
            None => error(&(self.end..self.end), format!("the line ends where {what} should stand"), what),
        }
    }

    fn keyword(&mut self, keyword: &str) -> Parsed<()> {
        let word = self.next(&format!("`{keyword}`"))?;
        if word.text == keyword {
            return Ok(());
        }
        error(&word.span, format!("unknown word `{}`", word.text), format!("`{keyword}` stands here"))
    }

    fn number<T: std::str::FromStr>(&mut self, what: &str) -> Parsed<T> {
        let word = self.next(what)?;
        number(&word, what)
    }

    fn finish(mut self) -> Parsed<()> {
        match self.words.next() {
            None => Ok(()),
            Some(word) => error(&word.span, format!("unexpected `{}`", word.text), "the line is complete before it"),
        }
    }
}

fn number<T: std::str::FromStr>(word: &Word<'_>, what: &str) -> Parsed<T> {
    match word.text.parse() {
        Ok(number) => Ok(number),
        Err(_) => error(&word.span, format!("`{}` is not {what}", word.text), format!("{what} stands here")),
    }
}

fn mask(word: &Word<'_>) -> Parsed<u16> {
    if word.text == "all" {
        return Ok(u16::MAX);
    }
    word.text.split(',').try_fold(0, |mask, text| match text.parse::<u8>() {
        Ok(bit) if bit < 16 => Ok(mask | 1 << bit),
        _ => error(&word.span, format!("`{text}` is not a number from 0 to 15"), "numbers with commas, or `all`"),
    })
}

/// `1,2.0`: pages that are holes, and single blocks.
fn read_holes(word: &Word<'_>, g: Geometry) -> Parsed<u32> {
    let number = |text: &str, count: u8| text.parse::<u8>().ok().filter(|n| *n < count);
    let blocks = g.blocks.clamp(1, BLOCKS_PER_PAGE_MAX as u8);
    let hole = |text: &str| match text.split_once('.') {
        Some((page, block)) => Some(1 << (number(page, PAGES_MAX as u8)? * blocks + number(block, blocks)?)),
        None => Some(Geometry { blocks, ..g }.blocks_of_pages(1 << number(text, PAGES_MAX as u8)?)),
    };
    let help = || format!("pages 0 to 7 with commas, or a block of a page, like 1.{}", blocks - 1);
    word.text.split(',').try_fold(0, |mask, text| match hole(text) {
        Some(holes) => Ok(mask | holes),
        None => error(&word.span, format!("`{text}` is no page and no block"), help()),
    })
}

fn task(word: &Word<'_>, text: &str) -> Parsed<TaskId> {
    let actor = match text.as_bytes() {
        [letter @ b'A'..=b'Z'] => Some(letter - b'A').filter(|i| usize::from(*i) < ACTORS_MAX).map(TaskId),
        _ if text == "closer" => Some(CLOSER),
        _ => text.strip_prefix("io").and_then(|n| n.parse().ok()).filter(|n| *n < IO_MAX).map(TaskId::io),
    };
    match actor {
        Some(task) => Ok(task),
        None => error(&word.span, format!("unknown task `{text}`"), "an actor A to H, or io0 to io7"),
    }
}

/// `A.0`: a task and a slot.
fn slot(word: &Word<'_>) -> Parsed<(TaskId, u8)> {
    let Some((name, slot)) = word.text.split_once('.') else {
        return error(&word.span, format!("`{}` names no slot", word.text), "a task, a dot and a slot, like A.0");
    };
    let task = task(word, name)?;
    match slot.parse() {
        Ok(slot) => Ok((task, slot)),
        Err(_) => error(&word.span, format!("`{slot}` is not a slot"), "a number from 0 to 255"),
    }
}

fn point(word: &Word<'_>) -> Parsed<Point> {
    match Point::from_name(word.text) {
        Some(point) => Ok(point),
        None => {
            let near = nearest(word.text, Point::ALL.iter().map(|p| p.name()));
            error(&word.span, format!("unknown point `{}`", word.text), near)
        }
    }
}

/// What a word names, of a table.
fn named<'a, T>(
    word: &Word<'_>,
    what: &str,
    known: impl Iterator<Item = &'a str>,
    find: impl Fn(&str) -> Option<T>,
) -> Parsed<T> {
    match find(word.text) {
        Some(found) => Ok(found),
        None => {
            let near = nearest(word.text, known);
            error(&word.span, format!("unknown {what} `{}`", word.text), near)
        }
    }
}

/// Names that [`nearest`] lists at the most.
const LISTED: usize = 24;

/// `did you mean ..`, if something is near; else what is known, or the nearest of it.
pub fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    let mut known: Vec<(usize, &str)> = known.map(|known| (strsim::levenshtein(name, known), known)).collect();
    known.sort();
    match known.first() {
        Some((distance, near)) if *distance <= name.len() / 3 + 1 => format!("did you mean `{near}`?"),
        _ => {
            let more = if known.len() > LISTED { ", .." } else { "" };
            let mut all: Vec<&str> = known.into_iter().map(|(_, known)| known).take(LISTED).collect();
            all.sort_unstable();
            format!("known are {}{more}", all.join(", "))
        }
    }
}

fn operation(word: &Word<'_>, words: &mut Words<'_>) -> Parsed<Operation> {
    let Some(kind) = Operation::KINDS.iter().skip(1).find(|kind| kind.name == word.text) else {
        let near = nearest(word.text, Operation::KINDS.iter().skip(1).map(|kind| kind.name));
        return error(&word.span, format!("unknown operation `{}`", word.text), near);
    };
    let range = match kind.operand {
        Operand::None => Range::default(),
        Operand::Size => Range::new(words.number("a size in cells")?, 0),
        Operand::Cells => range(words, "a range of cells, like 0..4")?,
        Operand::Pages => range(words, "a range of pages, like 0..1")?,
    };
    Ok(Operation::from_code(kind.code, range).expect("the code comes from the table"))
}

fn range(words: &mut Words<'_>, what: &str) -> Parsed<Range> {
    let word = words.next(what)?;
    let parts = word.text.split_once("..").and_then(|(a, b)| Some((a.parse().ok()?, b.parse().ok()?)));
    match parts {
        Some((start, end)) if start < end => Ok(Range::new(start, end)),
        Some(_) => {
            error(&word.span, format!("`{}` is empty", word.text), "the end is not part of a range: 0..1 is the first")
        }
        None => error(&word.span, format!("`{}` is not a range", word.text), what),
    }
}

/// The document as it grows, with where each value of the case came from.
#[derive(Default)]
struct Builder {
    document: Document,
    keys: Vec<String>,
    seed: Option<(u32, Span<usize>)>,
    overrides: Vec<Override>,
    stops: Vec<Stop>,
    order: Option<Span<usize>>,
    file: Option<Span<usize>>,
    operations: Vec<(TaskId, u8, Operation, Span<usize>)>,
    /// What the schedule is about, and where it stands.
    scheduled: Vec<(TaskId, u8, Span<usize>)>,
    actors: Vec<(TaskId, u8, Span<usize>)>,
    limits: Option<Span<usize>>,
    /// Stops with unknown points are taken out and put here, if this is to be so.
    stale: Option<Vec<(usize, TaskId, u8, Flaw)>>,
}

const STATEMENTS: &str = "mkw, run, plant, remedy, expect, reach, limits, file, stable, eio, actor, an operation like `A.0 store 0..4`, seed, override, order";

impl Builder {
    /// Reads one statement. Returns its key.
    fn statement(&mut self, line: &str, offset: usize) -> Parsed<String> {
        let mut words = Words::new(line, offset);
        let first = words.next("a statement")?;
        let whole = offset..offset + line.len();
        let d = &mut self.document;
        let key = match first.text {
            "mkw" => {
                let version: u32 = words.number("a version")?;
                if version != VERSION {
                    return error(
                        &whole,
                        format!("version {version} is unknown"),
                        format!("this is version {VERSION}"),
                    );
                }
                "mkw".to_owned()
            }
            "run" => {
                let implementation = words.next("an implementation, like nfs@2.6.29")?.text.to_owned();
                let caller = words.next("a caller, like 2.6.29")?.text.to_owned();
                if d.runs.contains(&(implementation.clone(), caller.clone())) {
                    return error(&whole, format!("`{implementation} {caller}` stands here twice"), "say it once");
                }
                d.runs.push((implementation, caller));
                format!("run {}", d.runs.len() - 1)
            }
            "plant" => {
                let known = Plant::ALL.iter().map(|plant| plant.name());
                d.plant = Some(named(&words.next("a planted bug")?, "plant", known, Plant::from_name)?);
                "plant".to_owned()
            }
            "remedy" => {
                let list = words.next("remedies with commas")?;
                let known = || Remedy::ALL.iter().map(|remedy| remedy.name());
                let one = |text| named(&Word { text, span: list.span.clone() }, "remedy", known(), Remedy::from_name);
                d.remedies = list.text.split(',').map(one).collect::<Parsed<_>>()?;
                "remedy".to_owned()
            }
            "expect" => {
                let rule = words.next("`pass`, or a rule")?.text;
                d.expects.push(if rule == "pass" {
                    Expect::Pass
                } else {
                    let point = point(&words.next("a point")?)?;
                    let operation = words.next("a kind of operation, `io`, or `closing`")?.text.to_owned();
                    Expect::Breach { rule: rule.to_owned(), point, operation }
                });
                if d.expects.len() > 1 && d.expects.contains(&Expect::Pass) {
                    return error(&whole, "`pass` beside other expectations", "either nothing breaks, or something");
                }
                format!("expect {}", d.expects.len() - 1)
            }
            "reach" => {
                let task = place(&mut words)?;
                words.keyword("while")?;
                let other = place(&mut words)?;
                d.reaches.push(Reach { task, other });
                format!("reach {}", d.reaches.len() - 1)
            }
            "limits" => {
                self.limits = Some(whole.clone());
                let mut value = |keyword| {
                    words.keyword(keyword)?;
                    words.number::<u16>("a number")
                };
                let (actors, operations) = (value("actors")?, value("operations")?);
                let (pages, steps) = (value("pages")?, value("steps")?);
                let small = |n: u16| u8::try_from(n).unwrap_or(u8::MAX);
                d.case.limits =
                    Limits { actors: small(actors), operations: small(operations), pages: small(pages), steps };
                "limits".to_owned()
            }
            "file" => {
                self.file.get_or_insert(whole.clone());
                d.case.geometry = geometry(&mut words)?;
                "file".to_owned()
            }
            "stable" | "eio" => {
                let mask = mask(&words.next("numbers of requests")?)?;
                let Faults { stable, eio } = &mut d.case.faults;
                *(if first.text == "stable" { stable } else { eio }) = mask;
                first.text.to_owned()
            }
            "actor" => {
                let word = words.next("an actor")?;
                let task = task(&word, word.text)?;
                if task.index() != self.actors.len() {
                    let next = TaskId(self.actors.len() as u8);
                    return error(&word.span, "actors are declared in order", format!("the next one is {next}"));
                }
                words.keyword("mm")?;
                self.actors.push((task, words.number("an address space")?, whole.clone()));
                format!("actor {task}")
            }
            "seed" => {
                self.seed = Some((words.number("a seed")?, whole.clone()));
                "seed".to_owned()
            }
            "override" => {
                let (task, slot) = slot(&words.next("a slot, like A.0")?)?;
                words.keyword("step")?;
                let nth = words.number("a step number")?;
                words.keyword("priority")?;
                self.overrides.push(Override { task, slot, nth, priority: words.number("a priority")? });
                self.scheduled.push((task, slot, whole.clone()));
                format!("override {}", self.overrides.len() - 1)
            }
            "order" => {
                let (task, slot) = slot(&words.next("a slot, like A.0")?)?;
                let word = words.next("a point, or *")?;
                let point = match (word.text, point(&word), &mut self.stale) {
                    ("*", ..) => Ok(None),
                    (_, Ok(point), _) => Ok(Some(point)),
                    (_, Err(error), Some(stale)) => {
                        stale.push((self.stops.len(), task, slot, error));
                        return Ok(format!("order {}", self.stops.len()));
                    }
                    (_, Err(error), None) => Err(error),
                }?;
                if point.is_some_and(|point| !point.is_scheduling_point()) {
                    return error(
                        &word.span,
                        format!("`{}` is not a scheduling point", word.text),
                        "a task never stands there",
                    );
                }
                // A stretch without a point ends where it ends: there is nothing to count.
                let occurrence = match point.and_then(|_| words.words.next()) {
                    Some(word) => match number(&word, "how many times it has stood there, from 1")? {
                        0 => return error(&word.span, "nobody stands there for the 0th time", "count from 1"),
                        n => n,
                    },
                    None => 1,
                };
                self.scheduled.push((task, slot, whole.clone()));
                self.stops.push(Stop { task, slot, point, occurrence });
                self.order.get_or_insert(whole.clone());
                format!("order {}", self.stops.len() - 1)
            }
            text if text.contains('.') => {
                let (task, slot) = slot(&first)?;
                if task.index() >= ACTORS_MAX {
                    return error(&first.span, format!("{task} has no operations"), "an actor A to H");
                }
                let word = words.next("an operation")?;
                let operation = operation(&word, &mut words)?;
                self.operations.push((task, slot, operation, whole.clone()));
                format!("{task}.{slot}")
            }
            text => return error(&first.span, format!("unknown statement `{text}`"), format!("one of: {STATEMENTS}")),
        };
        words.finish()?;
        if self.keys.contains(&key) {
            return error(&whole, format!("a second `{}`", first.text), "say it once");
        }
        self.keys.push(key.clone());
        Ok(key)
    }

    /// Puts the case together and checks that nothing would have to be clamped.
    fn finish(&mut self, end: usize) -> Parsed<Document> {
        let Some(file) = self.file.clone() else {
            return error(&(end..end), "no `file` statement", "file pages 1 cells 4 blocks 1 size 4 mms 1");
        };
        let case = &mut self.document.case;
        case.actors = self.actors.iter().map(|(_, mm, _)| Actor { mm: *mm, operations: Vec::new() }).collect();
        for (task, slot, operation, span) in &self.operations {
            let Some(actor) = case.actors.get_mut(task.index()) else {
                return error(span, format!("actor {task} is not declared"), format!("actor {task} mm 0"));
            };
            if *slot >= case.limits.operations {
                let limit = case.limits.operations;
                return error(span, format!("slot {slot} is beyond the limit of {limit} operations"), "raise `limits`");
            }
            let slots = &mut actor.operations;
            slots.resize(slots.len().max(usize::from(*slot) + 1), Operation::Empty);
            slots[usize::from(*slot)] = *operation;
        }
        case.schedule = match (self.seed.clone(), self.order.clone()) {
            (Some(_), Some(order)) => return error(&order, "both `seed` and `order`", "one kind of schedule"),
            (None, _) if !self.overrides.is_empty() => {
                return error(&(end..end), "`override` without `seed`", "an override changes a schedule by `seed`");
            }
            (Some((seed, _)), None) => Schedule::Seed { seed, overrides: std::mem::take(&mut self.overrides) },
            (None, _) => Schedule::Order(std::mem::take(&mut self.stops)),
        };

        for (task, slot, span) in &self.scheduled {
            let slots = case.actors.get(task.index()).map(|actor| actor.operations.len());
            match (task.io_slot(), slots) {
                (None, Some(slots)) if usize::from(*slot) >= slots => {
                    return error(
                        span,
                        format!("{task} has no slot {slot}"),
                        format!("{task} has {slots} slots, from 0"),
                    );
                }
                (None, None) => return error(span, format!("{task} is not scheduled"), "an actor, or io0 to io7"),
                _ => {}
            }
        }

        let mut fixed = case.clone();
        fixed.fix_up();
        if fixed.limits != case.limits {
            let span = self.limits.clone().unwrap_or(file);
            return error(
                &span,
                "a limit is out of range",
                "1 to 8 actors, 1 to 32 operations, 1 to 8 pages, 64 to 16384 steps",
            );
        }
        if fixed.geometry != case.geometry {
            let text = Document::new(fixed).statements();
            let nearest = text.into_iter().find(|(key, _)| key == "file").map(|(_, text)| text).unwrap_or_default();
            return error(&file, "the file has no such shape", format!("the nearest is: {nearest}"));
        }
        if case.actors.is_empty() {
            return error(&(end..end), "no actors", "actor A mm 0");
        }
        if fixed.actors.len() != case.actors.len() {
            let span = &self.actors[fixed.actors.len()].2;
            return error(span, "more actors than the limit", "raise `limits`");
        }
        for ((_, mm, span), fixed) in self.actors.iter().zip(&fixed.actors) {
            if *mm != fixed.mm {
                return error(span, format!("there is no address space {mm}"), "raise `mms` in `file`");
            }
        }
        for (task, slot, operation, span) in &self.operations {
            if fixed.operation(*task, *slot) != *operation {
                let g = case.geometry;
                let all = format!("the file has {} pages and {} cells", g.pages, g.file_cells());
                return error(span, format!("`{operation}` lies outside the file"), all);
            }
        }
        Ok(std::mem::take(&mut self.document))
    }
}

fn place(words: &mut Words<'_>) -> Parsed<Place> {
    let word = words.next("a task")?;
    let task = task(&word, word.text)?;
    let how = words.next("`is at` or `waits at`")?;
    let waits = match how.text {
        "is" => false,
        "waits" => true,
        other => return error(&how.span, format!("unknown word `{other}`"), "`is at` or `waits at`"),
    };
    let at = words.next("`at`")?;
    if at.text != "at" {
        return error(&at.span, format!("unknown word `{}`", at.text), "`is at` or `waits at`");
    }
    Ok(Place { task, waits, point: point(&words.next("a point")?)? })
}

fn geometry(words: &mut Words<'_>) -> Parsed<Geometry> {
    let mut g = Geometry::default();
    let mut holes = None;
    let mut seen: Vec<&str> = Vec::new();
    while let Some(word) = words.words.next() {
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
                holes = Some(words.next("pages")?);
                continue;
            }
            other => {
                let help = "pages, cells, blocks, size, mms, holes, free";
                return error(&word.span, format!("unknown word `{other}`"), help);
            }
        };
        *value = words.number("a number")?;
    }
    // What a block is, other fields say.
    if let Some(word) = holes {
        g.holes = read_holes(&word, g)?;
    }
    Ok(g)
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
    let locate = |(span, message, help): Flaw| {
        let before = &text[..span.start];
        let line_start = before.rfind('\n').map_or(0, |i| i + 1);
        ParseError {
            line: before.matches('\n').count() + 1,
            column: text[line_start..span.start].chars().count() + 1,
            span,
            message,
            help,
        }
    };
    let mut builder = Builder { stale: tolerant.then(Vec::new), ..Builder::default() };
    if text.starts_with('\u{feff}') {
        return Err(locate((0..3, "the text begins with a byte order mark".into(), "save it without".into())));
    }
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
            if !seen_version && key != "mkw" {
                let start = offset + statement.len() - statement.trim_start().len();
                let span = start..offset + statement.len();
                return Err(locate((span, "the first statement is not `mkw`".into(), format!("mkw {VERSION}"))));
            }
            seen_version = true;
            builder.document.comments.extend(waiting.drain(..).map(|comment| (key.clone(), comment)));
        }
        offset += raw.len();
    }
    if !seen_version {
        return Err(locate((0..text.len().min(1), "the text has no statements".into(), format!("mkw {VERSION}"))));
    }
    let comments = waiting.into_iter().map(|comment| (END.to_owned(), comment));
    builder.document.comments.extend(comments);
    let document = builder.finish(text.trim_end().len()).map_err(locate)?;
    let stale = builder.stale.unwrap_or_default().into_iter();
    let stale = stale.map(|(position, task, slot, error)| Stale { position, task, slot, error: locate(error) });
    Ok((document, stale.collect()))
}

#[cfg(test)]
mod tests;
