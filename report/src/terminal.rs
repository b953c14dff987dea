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
const BOLD: Style = Style::new().bold();

/// Width of a task's column, in characters.
const COLUMN: usize = 24;
/// Width of sentences, in characters.
const SENTENCE: usize = 108;

/// The text of an explanation. `every` shows the steps that would be folded.
pub fn explanation(e: &Explanation, every: bool) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{BOLD}{}{BOLD:#}", wrapped(&title(e), ""));
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
        steps(&mut out, chart, every, end.unwrap_or(usize::MAX));
        let _ = writeln!(out, "{DIM}      {}{DIM:#}", chart.run.end);
    }
    out
}

/// One line that says what it is about: the harm first, then which rule breaks where.
pub fn title(e: &Explanation) -> String {
    match e.main {
        Some(breach) => {
            let (about, point) = (breach.rule.about(), breach.point.name());
            format!("{}: {} breaks {} at {point}", about.harm, e.subject, about.id)
        }
        None => format!("{} breaks no rule", e.subject),
    }
}

fn wrapped(text: &str, label: &str) -> String {
    let indent = " ".repeat(label.len());
    textwrap::fill(
        text,
        Options::new(SENTENCE)
            .word_splitter(WordSplitter::NoHyphenation)
            .initial_indent(label)
            .subsequent_indent(&indent)
            .break_words(false),
    )
}

/// The steps up to this one; of those after it, only which rules break.
fn steps(out: &mut String, chart: &Chart, every: bool, end: usize) {
    let _ = write!(out, "{BOLD} step ");
    for task in &chart.tasks {
        let _ = write!(out, "{:COLUMN$}", task.to_string());
    }
    let _ = writeln!(out, "what changed{BOLD:#}");
    // An operation is named above the first of its steps that is shown, or that would be.
    let mut named = BTreeSet::new();
    let mut name = |out: &mut String, n: usize| {
        let moment = &chart.run.steps[n];
        if moment.task.io_slot().is_none() && named.insert((moment.task, moment.slot)) {
            operation(out, chart, n);
        }
    };
    for item in chart.items() {
        match item {
            Item::Step { n, fold, .. } if n <= end && (every || fold.is_none()) => {
                name(out, n);
                row(out, chart, n);
            }
            Item::Begin { n, fold } if n <= end && (every || fold.is_none()) => name(out, n),
            Item::Fold { steps, text, .. } if !every && *steps.start() <= end => {
                let _ = writeln!(out, "{DIM}    … {text}{DIM:#}");
            }
            Item::Breach { text, .. } => {
                let _ = writeln!(out, "     {RED} ▲ {text}{RED:#}");
            }
            Item::Begin { .. } | Item::Fold { .. } | Item::Step { .. } | Item::Window { .. } => {}
        }
    }
    let rest = chart.run.steps.len().saturating_sub(end.saturating_add(1));
    if rest > 0 {
        let _ = writeln!(out, "{DIM}    … {}{DIM:#}", chart.folded(end + 1..end + 1 + rest));
    }
}

fn operation(out: &mut String, chart: &Chart, n: usize) {
    let (moment, column) = (&chart.run.steps[n], chart.lane(n) * COLUMN);
    let name = if moment.task == CLOSER {
        String::new()
    } else {
        format!("{}.{}: ", moment.task, moment.slot)
    };
    let _ = writeln!(out, "      {DIM}{:column$}{name}{}{DIM:#}", "", moment.operation);
}

fn row(out: &mut String, chart: &Chart, n: usize) {
    let decides = chart.window.is_some_and(|window| window.role(n).is_some());
    let (mark, style) = match (decides, chart.inside(n)) {
        (true, _) => ('►', YELLOW.bold()),
        (false, true) => ('│', YELLOW),
        (false, false) => (' ', Style::new()),
    };
    let (moment, column) = (&chart.run.steps[n], chart.lane(n) * COLUMN);
    let name = moment.point.name();
    let rest = (chart.tasks.len() * COLUMN).saturating_sub(column + name.chars().count()).max(1);
    let (step, what) = (moment.step, chart.what(n));
    let _ = writeln!(out, "{step:4}{style}{mark} {:column$}{name}{style:#}{:rest$}{what}", "", "");
}
