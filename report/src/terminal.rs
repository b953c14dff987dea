//! An explanation as text: the story, then one column per task and one row per step, with what each step changed.
//! Steps outside of the race that change nothing are folded. With colour marks; whoever prints strips them where
//! there is no terminal.

use std::fmt::Write;

use anstyle::{AnsiColor, Style};
use mkwrite_explain::explain::Explanation;
use mkwrite_explain::timeline::{Moment, Timeline};
use mkwrite_model::exec::{CLOSER, TaskId};

const RED: Style = AnsiColor::BrightRed.on_default().bold();
const YELLOW: Style = AnsiColor::Yellow.on_default();
const DIM: Style = Style::new().dimmed();
const BOLD: Style = Style::new().bold();

/// Width of a task's column.
const COLUMN: usize = 24;

/// The text of an explanation. `every` shows the steps that would be folded.
pub fn explanation(e: &Explanation, every: bool) -> String {
    let mut out = String::new();
    let _ = writeln!(out, "{BOLD}{}{BOLD:#}", title(e));
    for sentence in &e.story {
        let _ = writeln!(out, "{}", wrapped(sentence, ""));
    }
    for hint in &e.hints {
        let _ = writeln!(out, "{}", wrapped(hint, "hint: "));
    }
    out.push('\n');
    let window = e.isolation.as_ref().map(|i| (i.window(), (i.first, i.second)));
    let broken = |step: u32| -> Vec<String> {
        let at = e.breaches.iter().filter(|(b, _)| b.step == step);
        at.map(|(b, _)| format!("{}: {}", b.rule, b.what)).collect()
    };
    steps(&mut out, &e.timeline, window, &broken, if every { Fold::Nothing } else { Fold::Quiet });
    let _ = writeln!(out, "{DIM}      {}{DIM:#}", e.timeline.end);
    if let Some(isolation) = &e.isolation {
        let _ = writeln!(out, "\n{BOLD}The nearest schedule that does not break it{BOLD:#}\n");
        let (first, second) = isolation.passing_pair;
        let also = |step: u32| -> Vec<String> {
            let at = isolation.also.iter().filter(|b| b.step == step);
            at.map(|b| format!("{}: {}", b.rule, b.what)).collect()
        };
        let window = Some(((second, first), (first, second)));
        steps(&mut out, &isolation.passing, window, &also, if every { Fold::Nothing } else { Fold::Outside });
        let _ = writeln!(out, "{DIM}      {}{DIM:#}", isolation.passing.end);
    }
    out
}

/// One line that says what it is about.
pub fn title(e: &Explanation) -> String {
    match e.main {
        Some(breach) => {
            format!("{} breaks {} at {}", e.subject, breach.rule.id(), breach.point.name())
        }
        None => format!("{} breaks no rule", e.subject),
    }
}

fn wrapped(text: &str, label: &str) -> String {
    let words = text.split_whitespace();
    let (mut lines, mut line) = (Vec::new(), label.to_owned());
    for word in words {
        if line.chars().count() + word.chars().count() > 108 {
            lines.push(std::mem::replace(&mut line, " ".repeat(label.len())));
        }
        line.push_str(word);
        line.push(' ');
    }
    lines.push(line);
    lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")
}

/// Which steps are not shown one by one.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Fold {
    /// None.
    Nothing,
    /// Those outside of the window that change nothing.
    Quiet,
    /// All outside of the window.
    Outside,
}

type Window = ((usize, usize), (usize, usize));

fn steps(out: &mut String, run: &Timeline, window: Option<Window>, broken: &dyn Fn(u32) -> Vec<String>, hide: Fold) {
    let tasks = run.tasks();
    let _ = write!(out, "{BOLD} step ");
    for task in &tasks {
        let _ = write!(out, "{:COLUMN$}", task.to_string());
    }
    let _ = writeln!(out, "what changed{BOLD:#}");
    let mut slots: Vec<(TaskId, u8)> = Vec::new();
    let mut folded = 0;
    for (n, moment) in run.steps.iter().enumerate() {
        let breaches = broken(moment.step);
        let inside = window.is_some_and(|((from, to), _)| (from..=to).contains(&n));
        let begins = !slots.contains(&(moment.task, moment.slot)) && moment.task.io_slot().is_none();
        let quiet = moment.changes.is_empty() && moment.events.is_empty() && breaches.is_empty();
        let last = run.steps.get(n + 1).is_none_or(|next| next.task != moment.task);
        let minor = match hide {
            Fold::Nothing => false,
            Fold::Quiet => moment.task == CLOSER || (quiet && !inside && !last),
            Fold::Outside => !inside,
        };
        if begins && !(minor && hide == Fold::Outside) {
            slots.push((moment.task, moment.slot));
            fold(out, &mut folded);
            let column = tasks.iter().position(|task| *task == moment.task).unwrap_or(0) * COLUMN;
            let name = if moment.task == CLOSER { String::new() } else { format!("{}.{}: ", moment.task, moment.slot) };
            let _ = writeln!(out, "      {DIM}{:column$}{name}{}{DIM:#}", "", moment.operation);
        }
        if minor && breaches.is_empty() {
            folded += 1;
            continue;
        }
        fold(out, &mut folded);
        row(out, &tasks, moment, n, window, &breaches);
    }
    fold(out, &mut folded);
}

fn fold(out: &mut String, folded: &mut u32) {
    if *folded > 0 {
        let _ = writeln!(out, "{DIM}    … {folded} more{DIM:#}");
    }
    *folded = 0;
}

fn row(out: &mut String, tasks: &[TaskId], moment: &Moment, n: usize, window: Option<Window>, breaches: &[String]) {
    let decides = window.is_some_and(|(_, (first, second))| n == first || n == second);
    let inside = window.is_some_and(|((from, to), _)| (from..=to).contains(&n));
    let mark = if decides {
        '►'
    } else if inside {
        '│'
    } else {
        ' '
    };
    let column = tasks.iter().position(|task| *task == moment.task).unwrap_or(0) * COLUMN;
    let rest = (tasks.len() * COLUMN).saturating_sub(column + moment.point.name().chars().count()).max(1);
    let style = if decides {
        YELLOW.bold()
    } else if inside {
        YELLOW
    } else {
        Style::new()
    };
    let changes: Vec<&str> = moment.events.iter().chain(&moment.changes).map(String::as_str).collect();
    let _ = writeln!(
        out,
        "{:4}{style}{mark} {:column$}{}{style:#}{:rest$}{}",
        moment.step,
        "",
        moment.point.name(),
        "",
        changes.join("; "),
    );
    for breach in breaches {
        let _ = writeln!(out, "     {RED} ▲ {breach}{RED:#}");
    }
}
