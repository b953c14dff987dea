//! An explanation as text: the story, then one column per task and one row per step, with what each
//! step changed. What is folded, `chart` says; of the run that does not break the rule all after
//! the window is left out too. With colour marks; whoever prints strips them where there is no
//! terminal.

use std::collections::BTreeSet;
use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use mkwrite_explain::explain::Explanation;
use mkwrite_model::exec::CLOSER;
use textwrap::{Options, WordSplitter};

use crate::chart::{Chart, Item, charts};

const RED: Style = AnsiColor::BrightRed.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const DIM: Style = Style::new().dimmed();
pub(crate) const BOLD: Style = Style::new().bold();

/// Width of a task's column, in characters, where there is room.
const COLUMN: usize = 24;
/// Width of sentences, in characters, where there is room.
const SENTENCE: usize = 108;
/// Characters in front of the columns: the number of the step and its mark.
const HEAD: usize = 6;
/// What changed stands beside its step if so many characters are left there, else below it.
const BESIDE: usize = 24;

/// How wide things are.
#[derive(Clone, Copy)]
struct Layout {
    /// A line.
    width: usize,
    /// A task's column.
    column: usize,
    /// The columns and what is in front of them.
    columns: usize,
}

impl Layout {
    fn of(chart: &Chart, width: usize) -> Layout {
        // The longest name of a point stands in the last column.
        let others = chart.tasks.len().saturating_sub(1).max(1);
        let column = (width.saturating_sub(HEAD + COLUMN) / others).min(COLUMN);
        Layout { width, column, columns: HEAD + chart.tasks.len() * column }
    }

    /// What changed, behind a row that is so long.
    fn what(self, text: &str, row: usize) -> String {
        let beside = self.columns + BESIDE <= self.width;
        let indent = if beside { self.columns.max(row + 1) } else { HEAD + 2 };
        let lines = textwrap::wrap(
            text,
            Options::new(self.width.saturating_sub(indent).max(BESIDE))
                .word_splitter(WordSplitter::NoHyphenation)
                .break_words(false),
        );
        let next = format!("\n{:indent$}", "");
        let first = if beside { " ".repeat(indent - row) } else { next.clone() };
        if text.is_empty() { String::new() } else { first + &lines.join(&next) }
    }
}

/// The text of an explanation. `every` shows the steps that would be folded.
pub fn explanation(e: &Explanation, every: bool) -> String {
    explanation_in(e, every, usize::MAX)
}

/// The same in lines of so many characters.
pub fn explanation_in(e: &Explanation, every: bool, width: usize) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{BOLD}{}{BOLD:#}", wrapped(&title(e), "", width));
    let wrapped = |text: &str, label: &str| wrapped(text, label, width.min(SENTENCE));
    for sentence in &e.story {
        let _ = writeln!(out, "{}", wrapped(sentence, ""));
    }
    for hint in &e.hints {
        let _ = writeln!(out, "{}", wrapped(hint, "hint: "));
    }
    for (n, chart) in charts(e).iter().enumerate() {
        out.push('\n');
        if n > 0 {
            let _ = writeln!(out, "{BOLD}The nearest schedule that does not break it{BOLD:#}\n");
        }
        let end = chart.window.filter(|_| n > 0 && !every).map(|window| window.to);
        let layout = Layout::of(chart, width);
        steps(&mut out, chart, layout, every, end.unwrap_or(usize::MAX));
        let _ = writeln!(out, "{DIM}      {}{DIM:#}", chart.run.end);
    }
    out
}

/// One line that says what it is about: the harm first, then which rule breaks where.
pub fn title(e: &Explanation) -> String {
    let harm = e.main.map_or(String::new(), |breach| format!("{}: ", breach.about().harm));
    harm + &place(e)
}

/// Which rule breaks where.
pub(crate) fn place(e: &Explanation) -> String {
    match e.main {
        Some(breach) => {
            format!("{} breaks {} at {}", e.subject, breach.rule.id(), breach.point.name())
        }
        None => format!("{} breaks no rule", e.subject),
    }
}

fn wrapped(text: &str, label: &str, width: usize) -> String {
    let indent = " ".repeat(label.chars().count());
    textwrap::fill(
        text,
        Options::new(width)
            .word_splitter(WordSplitter::NoHyphenation)
            .initial_indent(label)
            .subsequent_indent(&indent)
            .break_words(false),
    )
}

/// The steps up to this one; of those after it, only which rules break.
fn steps(out: &mut String, chart: &Chart, layout: Layout, every: bool, end: usize) {
    let mut head = " step ".to_owned();
    let column = layout.column;
    for task in &chart.tasks {
        let _ = write!(head, "{:column$}", task.to_string());
    }
    let what = layout.what("what changed", layout.columns);
    head += if what.starts_with('\n') { "" } else { what.trim_start() };
    let _ = writeln!(out, "{BOLD}{}{BOLD:#}", head.trim_end());
    // An operation is named above the first of its steps that is shown, or that would be.
    let mut named = BTreeSet::new();
    let mut name = |out: &mut String, n: usize| {
        let moment = &chart.run.steps[n];
        if moment.task.io_slot().is_none() && named.insert((moment.task, moment.slot)) {
            operation(out, chart, layout, n);
        }
    };
    for item in chart.items() {
        match item {
            Item::Step { n, fold, .. } if n <= end && (every || fold.is_none()) => {
                name(out, n);
                row(out, chart, layout, n);
            }
            Item::Begin { n, fold } if n <= end && (every || fold.is_none()) => name(out, n),
            Item::Fold { steps, text, .. } if !every && *steps.start() <= end => {
                let _ = writeln!(out, "{DIM}{}{DIM:#}", wrapped(&text, "    … ", layout.width));
            }
            Item::Breach { text, .. } => {
                let _ = writeln!(out, "{RED}{}{RED:#}", wrapped(&text, "      ▲ ", layout.width));
            }
            Item::Begin { .. } | Item::Fold { .. } | Item::Step { .. } | Item::Window { .. } => {}
        }
    }
    let rest = chart.run.steps.len().saturating_sub(end.saturating_add(1));
    if rest > 0 {
        let text = chart.folded(end + 1..end + 1 + rest);
        let _ = writeln!(out, "{DIM}{}{DIM:#}", wrapped(&text, "    … ", layout.width));
    }
}

fn operation(out: &mut String, chart: &Chart, layout: Layout, n: usize) {
    let (moment, column) = (&chart.run.steps[n], chart.lane(n) * layout.column);
    let name = if moment.task == CLOSER {
        String::new()
    } else {
        format!("{}.{}: ", moment.task, moment.slot)
    };
    let _ = writeln!(out, "      {DIM}{:column$}{name}{}{DIM:#}", "", moment.operation);
}

fn row(out: &mut String, chart: &Chart, layout: Layout, n: usize) {
    let decides = chart.window.is_some_and(|window| window.role(n).is_some());
    let (mark, style) = match (decides, chart.inside(n)) {
        (true, _) => ('►', YELLOW.bold()),
        (false, true) => ('│', YELLOW),
        (false, false) => (' ', Style::new()),
    };
    let (moment, column) = (&chart.run.steps[n], chart.lane(n) * layout.column);
    let name = moment.point.name();
    let step = moment.step;
    let what = layout.what(&chart.what(n), HEAD + column + name.chars().count());
    let _ = writeln!(out, "{step:4}{style}{mark} {:column$}{name}{style:#}{what}", "");
}
