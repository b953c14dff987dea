//! An explanation as one HTML file, which needs nothing but a browser. The drawing is plain HTML, made here, and can
//! be read without scripts and on paper; the script only adds the step's details, the keyboard, and folding.
//!
//! `Chart` is a run laid out for drawing, in HTML and in SVG: which columns there are, which value each has after
//! each step, and which steps are folded.

use std::ops::RangeInclusive;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use mkwrite_explain::explain::Explanation;
use mkwrite_explain::timeline::{Moment, PageState, State, Timeline};
use mkwrite_model::exec::{CLOSER, TaskId};
use mkwrite_model::point::Point;
use mkwrite_oracle::judge::Breach;
use serde_json::{Value, json};

use crate::terminal::title;

const STYLE: &str = include_str!("../assets/explain.css");
const SCRIPT: &str = include_str!("../assets/explain.js");

/// Nothing is fetched, whatever the file contains.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";

/// The page of an explanation: one file, no network.
pub fn page(e: &Explanation) -> String {
    let charts = charts(e);
    let data = embedded(&charts, e.main.map(|breach| breach.step));
    let sentence = if e.main.is_some() { "What happened" } else { "What was run" };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                meta http-equiv="Content-Security-Policy" content=(POLICY);
                meta name="generator" content="mkwrite explain";
                link rel="icon" href="data:,";
                title { (title(e)) }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header.top {
                    p.tool { "mkwrite explain" }
                    (headline(e))
                    button #theme .tool type="button" aria-label="switch between light and dark" { "◐ theme" }
                }
                section.words aria-label=(sentence) {
                    div {
                        h2 { (sentence) }
                        @if e.story.is_empty() { p { "All rules held, in every step of this run." } }
                        ol.story { @for sentence in &e.story { li { (prose(sentence)) } } }
                    }
                    @if !e.hints.is_empty() {
                        div.hints {
                            h2 { "What is known, and what closes it" }
                            ul { @for hint in &e.hints { li { (prose(hint)) } } }
                        }
                    }
                }
                (legend(e, &charts))
                @if charts.len() > 1 {
                    div.tabs role="tablist" aria-label="runs" {
                        @for chart in &charts {
                            button type="button" role="tab" id={ "tab-" (chart.id) } data-run=(chart.id)
                                aria-controls={ "run-" (chart.id) } { (chart.mark()) " " (chart.title) }
                        }
                        button #side type="button" aria-pressed="false" { "beside each other" }
                    }
                }
                main {
                    div.runs { @for chart in &charts { (drawing(chart)) } }
                    aside #details aria-label="the selected step" {
                        button.close type="button" aria-label="close the details" { "×" }
                        div.body aria-live="polite" {
                            p.hint { "Select a step to see what it does and the state after it." }
                        }
                    }
                }
                script type="application/json" id="data" { (PreEscaped(data)) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
    .into_string()
}

/// The title with its parts set apart.
fn headline(e: &Explanation) -> Markup {
    html! {
        h1 {
            span.pair { (e.subject) } " "
            @match e.main {
                Some(breach) => {
                    span.bad { "breaks " (breach.rule.id()) } " at " code { (breach.point.name()) }
                }
                None => span.good { "breaks no rule" },
            }
        }
    }
}

/// A sentence with its points as code and its steps as links into the failing run.
fn prose(text: &str) -> Markup {
    let words: Vec<&str> = text.split(' ').collect();
    html! {
        @for (n, word) in words.iter().enumerate() {
            @let core = word.trim_matches(|c: char| ",.;:()".contains(c));
            @let (head, tail) = word.split_once(core).unwrap_or((word, ""));
            @if n > 0 { " " }
            @if core.is_empty() {
                (word)
            } @else if Point::from_name(core).is_some() {
                (head) code { (core) } (tail)
            } @else if let Some(name) = core.strip_prefix('`').and_then(|name| name.strip_suffix('`')) {
                (head) code { (name) } (tail)
            } @else if n > 0 && words[n - 1] == "step" && core.parse::<u32>().is_ok() {
                (head) a href={ "#failing-" (core) } { (core) } (tail)
            } @else {
                (word)
            }
        }
    }
}

fn legend(e: &Explanation, charts: &[Chart]) -> Markup {
    let window = charts.iter().any(|chart| chart.window.is_some());
    html! {
        details.legend {
            summary { "How to read this" }
            div.two {
                ul {
                    li { "Time runs downwards, one row per step. A box stands in the lane of the task that took the \
                          step, and names the point where the step began." }
                    @if window {
                        li {
                            "The tinted band is the window of the race. " b.dot { "1" } " and " b.dot { "2" }
                            " are the two steps whose order decides: 1 before 2 breaks the rule, 2 before 1 does not."
                        }
                    }
                    li { span.breach-mark { "▲" } " A rule breaks in the step above." }
                    li { "Bars to the right of the lanes are locks, with the letter of the holder; then the state of \
                          the page after each step, i_size, and which operation wrote each cell of the page cache and \
                          of the store. " code { "A.0" } " is what operation 0 of task A stored; " code { "init" }
                          " is what the file held at first. A pte is " code { "w" } ", writable, or " code { "r" }
                          ", read-only." }
                    li { "A dashed line in a lane: the task is blocked. Long stretches that explain nothing are \
                          folded; click one to open it." }
                }
                table.keys {
                    tr { th { kbd { "↓" } " " kbd { "↑" } " or " kbd { "j" } " " kbd { "k" } } td { "step" } }
                    @if charts.len() > 1 {
                        tr { th { kbd { "←" } " " kbd { "→" } } td { "failing run, passing run" } }
                    }
                    tr { th { kbd { "Home" } " " kbd { "End" } } td { "first and last step" } }
                    @if e.main.is_some() { tr { th { kbd { "n" } } td { "next breach" } } }
                    @if window { tr { th { kbd { "w" } } td { "to the window, and to the step that closes it" } } }
                    tr { th { kbd { "f" } } td { "open or close all folds" } }
                }
            }
            pre { (e.document) }
        }
    }
}

/// One run.
fn drawing(chart: &Chart) -> Markup {
    let grid = Grid::new(chart);
    html! {
        section.run #{ "run-" (chart.id) } data-run=(chart.id) aria-label=(chart.title) {
            h2 { (chart.mark()) " " (chart.title) }
            div.chart style={ "--cols:" (grid.template) ";--lanes:" (chart.tasks.len()) } {
                (heads(chart, &grid))
                ol {
                    @for item in chart.items() {
                        (row(chart, &grid, &item))
                    }
                    li.end { span { (chart.run.end) } }
                }
            }
        }
    }
}

fn heads(chart: &Chart, grid: &Grid) -> Markup {
    html! {
        div.heads aria-hidden="true" {
            span.n { "step" }
            @for (lane, task) in chart.tasks.iter().enumerate() {
                b.task.{ "t" (hue(*task)) } style={ "grid-column:" (grid.lane(lane)) } { (task) }
            }
            @for (column, place) in chart.columns.iter().zip(&grid.places) {
                span.name.text[column.kind == Kind::Text] style={ "grid-column:" (place) } { (column.name) }
            }
        }
    }
}

fn row(chart: &Chart, grid: &Grid, item: &Item) -> Markup {
    let at = |n: usize| chart.window.filter(|w| (w.from..=w.to).contains(&n));
    match item {
        Item::Begin { n, fold } => {
            let (moment, lane) = (&chart.run.steps[*n], chart.lane(*n));
            html! {
                li.begin.window[at(*n).is_some_and(|w| w.from < *n)].tucked[fold.is_some()] data-fold=[*fold] {
                    (bracket(chart, *n, true))
                    span.begins.{ "t" (hue(moment.task)) } style={ "grid-column:" (grid.lane(lane)) "/-1" } {
                        (chart.operation(*n))
                    }
                    (through(chart, grid, *n))
                }
            }
        }
        Item::Fold { id, steps, text } => html! {
            li.fold data-id=(id) {
                button type="button" aria-expanded="false" { "⋯ " (text) }
                (cells(chart, grid, steps.clone(), None))
            }
        },
        Item::Window { n } => html! {
            li.window.caption {
                span {
                    @if chart.id == "passing" { "the other order" } @else { "window of the race" }
                }
                (through(chart, grid, *n))
            }
        },
        Item::Breach { n, text } => html! {
            li.breach.window[at(*n).is_some_and(|w| *n < w.to)] {
                (bracket(chart, *n + 1, true))
                span.said { b { "▲ " } (text) }
                (through(chart, grid, *n + 1))
            }
        },
        Item::Step { n, minor, fold, after } => {
            let (moment, lane) = (&chart.run.steps[*n], chart.lane(*n));
            let role = chart.window.and_then(|w| w.role(*n));
            let broken = chart.broken(*n).next().is_some();
            let what: Vec<&str> = moment.events.iter().chain(&moment.changes).map(String::as_str).collect();
            let label = format!("step {}, {}, {}. {}", moment.step, moment.task, moment.point.name(), what.join("; "));
            html! {
                li.step.minor[*minor].window[at(*n).is_some()].decides[role.is_some()].broken[broken]
                    .tucked[fold.is_some()] data-fold=[*fold] id={ (chart.id) "-" (n) } data-n=(n) {
                    span.n { (moment.step) }
                    (bracket(chart, *n, false))
                    button.box.{ "t" (hue(moment.task)) } type="button" title=(moment.point.does())
                        aria-label=(chart.spoken(*n, &label)) style={ "grid-column:" (grid.lane(lane)) "/what" } {
                        (moment.point.name())
                    }
                    (cells(chart, grid, *n..=*n, *after))
                    span.what { (what.join("; ")) }
                }
            }
        }
    }
}

/// The line that connects the two deciding steps. `between` is the place above the step.
fn bracket(chart: &Chart, n: usize, between: bool) -> Markup {
    let Some(window) = chart.window else { return html! {} };
    let (top, bottom) = (window.first.min(window.second), window.first.max(window.second));
    html! {
        @match window.role(n).filter(|_| !between) {
            Some(role) => {
                i.link.lower[n == top].upper[n == bottom] {}
                b.dot { (role) }
            }
            None if (top + usize::from(between)..=bottom).contains(&n) => i.link {},
            None => {}
        }
    }
}

/// The strips beside a row: the values after these steps. A value is named where it begins, and again after a fold
/// that hides where it began.
fn cells(chart: &Chart, grid: &Grid, steps: RangeInclusive<usize>, fold: Option<usize>) -> Markup {
    let (from, to) = (*steps.start(), *steps.end());
    html! {
        @for (column, place) in chart.columns.iter().zip(&grid.places) {
            @let value = &column.values[from];
            @let constant = column.values[from..=to].iter().all(|other| other == value);
            @if !constant {
                i.c.mixed style={ "grid-column:" (place) } aria-hidden="true" {}
            } @else if let Some(value) = value {
                @let starts = column.differs(from, value);
                @let ends = column.values.get(to + 1).is_none_or(|next| next.as_ref() != Some(value));
                i.c.{ (column.class(value)) }.s[starts].e[ends] style={ "grid-column:" (place) } aria-hidden="true" {
                    @let other = |v: &Option<String>| v.as_ref() != Some(value);
                    @if starts || fold.is_some_and(|n| column.values[n..from].iter().any(other)) {
                        (column.short(value))
                    }
                }
            }
        }
        @for (lane, task) in chart.tasks.iter().enumerate() {
            @let name = task.to_string();
            @if from == to && chart.run.steps[from].state.waiting.iter().any(|(who, _)| *who == name) {
                i.waits.{ "t" (hue(*task)) } style={ "grid-column:" (grid.lane(lane)) } aria-hidden="true" {}
            }
        }
    }
}

/// The strips beside a row that is no step: the values that this step finds and leaves as they are.
fn through(chart: &Chart, grid: &Grid, n: usize) -> Markup {
    html! {
        @for (column, place) in chart.columns.iter().zip(&grid.places) {
            @if let Some(Some(value)) = column.values.get(n) && !column.differs(n, value) {
                i.c.{ (column.class(value)) } style={ "grid-column:" (place) } aria-hidden="true" {}
            }
        }
    }
}

/// Where the columns of a chart lie in the grid of a row.
struct Grid {
    template: String,
    places: Vec<usize>,
}

impl Grid {
    fn new(chart: &Chart) -> Grid {
        let lanes = chart.tasks.len();
        let mut template = "[n] var(--n) [bracket] var(--bracket) [lanes]".to_owned();
        template += &" var(--lane)".repeat(lanes - 1);
        template += &format!(" calc(var(--char) * {} + 20px)", chart.label());
        let (mut places, mut next, mut group) = (Vec::new(), lanes + 3, "");
        for column in &chart.columns {
            if column.group != group {
                template += " var(--gap)";
                next += 1;
                group = &column.group;
            }
            template += if column.kind == Kind::Text { " var(--text)" } else { " var(--strip)" };
            places.push(next);
            next += 1;
        }
        template += " [what] minmax(0, 1fr)";
        Grid { template, places }
    }

    fn lane(&self, lane: usize) -> usize {
        lane + 3
    }
}

/// What the script needs: the step to begin with, each step, and its state where that changed.
fn embedded(charts: &[Chart], start: Option<u32>) -> String {
    let run = |chart: &Chart| {
        let mut last = &chart.run.initial;
        let steps = chart.run.steps.iter().enumerate().map(|(n, moment)| {
            let mut value = json!(moment);
            if moment.state == *last {
                value.as_object_mut().map(|object| object.remove("state"));
            }
            last = &moment.state;
            let role = chart.window.and_then(|w| w.role(n));
            value["does"] = json!(moment.point.does());
            value["breaches"] = json!(chart.broken(n).collect::<Vec<_>>());
            value["role"] = json!(role);
            value
        });
        let window = chart.window.map(|w| json!({ "first": w.first, "second": w.second }));
        let steps: Vec<Value> = steps.collect();
        json!({ "id": chart.id, "initial": chart.run.initial, "steps": steps, "window": window })
    };
    let runs: Vec<Value> = charts.iter().map(run).collect();
    // In a script element, only `<` can do harm.
    json!({ "start": start, "runs": runs }).to_string().replace('<', "\\u003c")
}

/// The runs of an explanation: the one that breaks the rule, and the nearest that does not.
pub(crate) fn charts(e: &Explanation) -> Vec<Chart<'_>> {
    let breaches: Vec<Breach> = e.breaches.iter().map(|(breach, _)| *breach).collect();
    let Some(isolation) = &e.isolation else {
        let (id, title) = if e.main.is_some() { ("failing", "The run that breaks it") } else { ("run", "The run") };
        return vec![Chart::new(id, title, &[&e.timeline], &breaches, None)];
    };
    let (from, to) = isolation.window();
    let window = Window { from, to, first: isolation.first, second: isolation.second };
    let (fails, passes) = (&isolation.failing, &isolation.passing);
    let failing = Chart::new("failing", "The run that breaks it", &[fails, passes], &breaches, Some(window));
    let (first, second) = isolation.passing_pair;
    let window = Window { from: second, to: first, first, second };
    let title = "The nearest run that does not";
    let mut passing = Chart::new("passing", title, &[passes, fails], &isolation.also, Some(window));
    let doing = |m: &Moment| (m.task, m.slot, m.point);
    let pairs = fails.steps.iter().zip(&passes.steps);
    passing.alike = pairs.take_while(|(a, b)| doing(a) == doing(b)).count();
    vec![failing, passing]
}

/// The race window of a run, as indices of steps.
#[derive(Clone, Copy)]
pub(crate) struct Window {
    pub from: usize,
    pub to: usize,
    /// The step that must not come first.
    pub first: usize,
    /// The step that must come before it.
    pub second: usize,
}

impl Window {
    /// The number of a deciding step.
    pub fn role(&self, n: usize) -> Option<u8> {
        if n == self.first { Some(1) } else { (n == self.second).then_some(2) }
    }
}

/// What kind of value a column shows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Who holds a lock.
    Lock,
    /// A bit or a record of a page.
    Flag,
    /// i_size, or who wrote a cell.
    Text,
}

/// One value over the whole run.
pub(crate) struct Column {
    pub kind: Kind,
    /// What it belongs to: columns of a group stand together.
    pub group: String,
    pub name: String,
    /// A CSS class for its colour.
    pub colour: &'static str,
    /// The value after each step; none if the lock is free, the bit is clear, or the page does not exist.
    pub values: Vec<Option<String>>,
}

impl Column {
    /// The value before this step was another.
    pub fn differs(&self, n: usize, value: &str) -> bool {
        n == 0 || self.values[n - 1].as_deref() != Some(value)
    }

    /// The class of a value: locks have the colour of their holder.
    pub fn class(&self, value: &str) -> String {
        match self.kind {
            Kind::Lock => format!("lock t{}", hue_of(value)),
            Kind::Flag if value == "read-only" => format!("flag {} weak", self.colour),
            Kind::Flag => format!("flag {}", self.colour),
            Kind::Text => "text".to_owned(),
        }
    }

    /// What fits into the column.
    pub fn short<'a>(&self, value: &'a str) -> &'a str {
        match self.kind {
            Kind::Lock if value == "closer" => "c",
            Kind::Lock => value,
            Kind::Flag if value == "read-only" => "r",
            Kind::Flag if value == "writable" => "w",
            Kind::Flag => "",
            Kind::Text if value.starts_with("initial@") => "init",
            Kind::Text => value.split('@').next().unwrap_or(value),
        }
    }
}

/// A row of a drawing.
pub(crate) enum Item {
    /// An operation begins with this step.
    Begin { n: usize, fold: Option<usize> },
    /// A stretch of steps that are folded.
    Fold { id: usize, steps: RangeInclusive<usize>, text: String },
    /// A step. `minor` changes nothing of interest; it lies in this fold, or comes after that one.
    Step { n: usize, minor: bool, fold: Option<usize>, after: Option<usize> },
    /// The window begins with this step.
    Window { n: usize },
    /// A rule breaks in this step.
    Breach { n: usize, text: String },
}

/// One run, ready to be drawn.
pub(crate) struct Chart<'a> {
    pub id: &'static str,
    pub title: &'static str,
    pub run: &'a Timeline,
    pub tasks: Vec<TaskId>,
    pub columns: Vec<Column>,
    pub window: Option<Window>,
    /// What breaks, with the step.
    breaches: Vec<(usize, String)>,
    /// How many steps at the start are those of the failing run.
    alike: usize,
}

impl<'a> Chart<'a> {
    /// Lays out the first of these runs. All of them have the same lanes and columns, so that they can be compared.
    fn new(
        id: &'static str,
        title: &'static str,
        runs: &[&'a Timeline],
        breaches: &[Breach],
        window: Option<Window>,
    ) -> Chart<'a> {
        let run = runs[0];
        let mut tasks = distinct(runs.iter().flat_map(|run| run.tasks()));
        tasks.sort_by_key(|task| *task == CLOSER);
        let last = run.steps.len().saturating_sub(1);
        let mut broken: Vec<(usize, String)> = Vec::new();
        for breach in breaches {
            let new = ((breach.step as usize).min(last), format!("{}: {}", breach.rule, breach.what));
            if !broken.contains(&new) {
                broken.push(new);
            }
        }
        Chart { id, title, run, tasks, columns: columns(runs), window, breaches: broken, alike: 0 }
    }

    /// A sign for good or bad, not by colour alone.
    fn mark(&self) -> Markup {
        match self.id {
            "failing" => html! { span.bad aria-hidden="true" { "✗" } },
            _ => html! { span.good aria-hidden="true" { "✓" } },
        }
    }

    /// The lane of a step.
    pub fn lane(&self, n: usize) -> usize {
        self.tasks.iter().position(|task| *task == self.run.steps[n].task).unwrap_or(0)
    }

    /// How many characters the last lane must hold: labels reach over the lanes to their right, which take up
    /// two characters at least.
    fn label(&self) -> usize {
        let room = |n: usize| 2 * (self.tasks.len() - 1 - self.lane(n));
        let needs = (0..self.run.steps.len()).map(|n| self.run.steps[n].point.name().len().saturating_sub(room(n)));
        needs.max().unwrap_or(0).max(14)
    }

    /// What breaks in a step.
    pub fn broken(&self, n: usize) -> impl Iterator<Item = &str> {
        self.breaches.iter().filter(move |(step, _)| *step == n).map(|(_, text)| text.as_str())
    }

    /// The operation of a step, in words.
    pub fn operation(&self, n: usize) -> String {
        let Moment { task, slot, operation, .. } = &self.run.steps[n];
        if *task == CLOSER { operation.clone() } else { format!("{task}.{slot} {operation}") }
    }

    /// A step with all that marks it, for those who hear the page.
    fn spoken(&self, n: usize, label: &str) -> String {
        let role = self.window.and_then(|w| w.role(n)).map_or(String::new(), |role| format!(", deciding step {role}"));
        let broken: String = self.broken(n).map(|text| format!(" Breaks {text}.")).collect();
        format!("{label}{role}{broken}")
    }

    fn inside(&self, n: usize) -> bool {
        self.window.is_some_and(|w| (w.from..=w.to).contains(&n))
    }

    /// The step changes nothing of interest.
    fn minor(&self, n: usize) -> bool {
        let moment = &self.run.steps[n];
        if self.inside(n) || self.broken(n).next().is_some() {
            return false;
        }
        let last = self.run.steps.get(n + 1).is_none_or(|next| next.task != moment.task);
        let quiet = moment.changes.is_empty() && moment.events.is_empty() && !last;
        quiet || moment.task == CLOSER || n < self.alike
    }

    /// The first step of its operation.
    fn begins(&self, n: usize) -> bool {
        let who = |moment: &Moment| (moment.task, moment.slot);
        let moment = &self.run.steps[n];
        moment.task.io_slot().is_none() && !self.run.steps[..n].iter().any(|before| who(before) == who(moment))
    }

    /// The rows, with stretches of minor steps folded.
    pub fn items(&self) -> Vec<Item> {
        let (mut items, mut n, mut after) = (Vec::new(), 0, None);
        while n < self.run.steps.len() {
            let whole = |n: usize| n < self.alike || self.run.steps[n].task == CLOSER;
            let more =
                |m: &usize| self.minor(*m) && (*m == n || (whole(*m) == whole(n) && (whole(n) || !self.begins(*m))));
            let end = n + (n..self.run.steps.len()).take_while(more).count();
            let fold = (end > n + 1).then_some(n);
            let folded = fold.is_some();
            if folded && self.begins(n) && !whole(n) {
                items.push(Item::Begin { n, fold: None });
            }
            if folded {
                items.push(Item::Fold { id: n, steps: n..=end - 1, text: self.folded(n, end) });
            }
            let start = n;
            for step in start..end.max(start + 1) {
                if self.begins(step) && !(folded && step == start && !whole(step)) {
                    items.push(Item::Begin { n: step, fold });
                }
                if self.window.is_some_and(|w| w.from == step) {
                    items.push(Item::Window { n });
                }
                items.push(Item::Step { n: step, minor: self.minor(step), fold, after });
                items.extend(self.broken(step).map(|text| Item::Breach { n: step, text: text.to_owned() }));
            }
            after = fold;
            n = end.max(n + 1);
        }
        items
    }

    /// What a fold hides, in words.
    pub fn folded(&self, from: usize, end: usize) -> String {
        let steps = &self.run.steps[from..end];
        let count = steps.len();
        if end <= self.alike {
            format!("{count} steps, as in the failing run")
        } else if steps.iter().all(|m| m.task == CLOSER) {
            format!("{count} steps of the closing program")
        } else if steps.iter().all(|m| m.changes.is_empty() && m.events.is_empty()) {
            format!("{count} steps that change nothing")
        } else {
            format!("{count} more steps")
        }
    }
}

/// A colour for each task: actors, I/O, the closing program.
fn hue(task: TaskId) -> usize {
    hue_of(&task.to_string())
}

pub(crate) fn hue_of(task: &str) -> usize {
    match task.as_bytes() {
        [letter @ b'A'..=b'D'] => usize::from(letter - b'A'),
        [b'i', b'o', ..] => 4,
        _ => 5,
    }
}

/// The columns of a run that have something to show.
struct Columns<'r, 'a> {
    runs: &'r [&'a Timeline],
    all: Vec<Column>,
}

fn columns(runs: &[&Timeline]) -> Vec<Column> {
    let mut columns = Columns { runs, all: Vec::new() };
    let frames = distinct(columns.states().flat_map(|s| &s.pages).map(|page| page.frame));
    let suffix = |frame: u8| if frames.len() > 1 { format!(", frame {frame}") } else { String::new() };
    for frame in &frames {
        let owner = |s: &State| Some(of_frame(s, *frame)?.locked_by?.to_string());
        columns.add(Kind::Lock, "locks", format!("page lock{}", suffix(*frame)), "", owner);
    }
    columns.locks();
    for frame in &frames {
        columns.page(*frame, &suffix(*frame));
    }
    columns.content();
    columns.all
}

impl<'r, 'a> Columns<'r, 'a> {
    fn states(&self) -> impl Iterator<Item = &'a State> + use<'r, 'a> {
        self.runs.iter().flat_map(|run| &run.steps).map(|moment| &moment.state)
    }

    fn add(
        &mut self,
        kind: Kind,
        group: &str,
        name: String,
        colour: &'static str,
        of: impl Fn(&State) -> Option<String>,
    ) {
        let values = self.runs[0].steps.iter().map(|moment| of(&moment.state)).collect();
        self.all.push(Column { kind, group: group.to_owned(), name, colour, values });
    }

    /// One column for each lock; for each of its holders, if two ever hold it together.
    fn locks(&mut self) {
        let held = distinct(self.states().flat_map(|s| &s.locks).map(|(holder, lock)| (*lock, holder.as_str())));
        for lock in distinct(held.iter().map(|(lock, _)| *lock)) {
            let holders = |s: &State| s.locks.iter().filter(|(_, name)| *name == lock).count();
            if self.states().all(|s| holders(s) < 2) {
                let holder = |s: &State| s.locks.iter().find(|(_, name)| *name == lock).map(|(who, _)| who.clone());
                self.add(Kind::Lock, "locks", lock.to_owned(), "", holder);
                continue;
            }
            for (_, who) in held.iter().filter(|(name, _)| *name == lock) {
                let holds = |s: &State| s.locks.iter().any(|(holder, name)| *name == lock && holder == who);
                let holder = |s: &State| holds(s).then(|| (*who).to_owned());
                self.add(Kind::Lock, "locks", format!("{lock}, {who}"), "", holder);
            }
        }
    }

    /// The state of a page frame.
    fn page(&mut self, frame: u8, suffix: &str) {
        let group = format!("frame {frame}");
        let mut bit = |name: &str, colour, test: fn(&PageState) -> bool| {
            let set = |s: &State| of_frame(s, frame).filter(|page| test(page)).map(|_| "set".to_owned());
            self.add(Kind::Flag, &group, format!("{name}{suffix}"), colour, set);
        };
        bit("in page cache", "cached", |page| page.cached);
        bit("PG_dirty", "dirty", |page| page.dirty);
        bit("tag DIRTY", "dirty tag", |page| page.tag_dirty);
        bit("PG_writeback", "writeback", |page| page.writeback);
        bit("tag WRITEBACK", "writeback tag", |page| page.tag_writeback);
        let pages = || self.states().filter_map(|s| of_frame(s, frame));
        let (records, mms) = (
            pages().any(|page| page.record.is_some()),
            distinct(pages().flat_map(|page| &page.ptes).map(|pte| pte.mm)),
        );
        if records {
            let record = |s: &State| of_frame(s, frame)?.record.clone();
            self.add(Kind::Flag, &group, format!("record{suffix}"), "record", record);
        }
        for mm in mms {
            let pte = |s: &State| {
                let pte = of_frame(s, frame)?.ptes.iter().find(|pte| pte.mm == mm)?;
                Some(if pte.writable { "writable" } else { "read-only" }.to_owned())
            };
            self.add(Kind::Flag, &group, format!("pte of mm {mm}{suffix}"), "pte", pte);
        }
    }

    /// i_size if it changes, and the cells that anybody wrote: in the page cache and on the store.
    fn content(&mut self) {
        if self.states().any(|s| s.size != self.runs[0].initial.size) {
            self.add(Kind::Text, "content", "i_size".to_owned(), "", |s| Some(s.size.to_string()));
        }
        let per_page = self.states().flat_map(|s| &s.pages).map(|page| page.cells.len()).next().unwrap_or(1);
        let cells = self.runs[0].initial.store.len();
        for cell in 0..cells {
            let cached = |s: &State| {
                let page = s.pages.iter().find(|page| page.cached && usize::from(page.index) == cell / per_page)?;
                page.cells.get(cell % per_page).cloned()
            };
            let stored = |s: &State| s.store.get(cell).cloned();
            let nobody = |value: String| value == "0" || value.starts_with("initial");
            let written = self.states().any(|s| !cached(s).is_none_or(nobody) || !stored(s).is_none_or(nobody));
            if written || self.states().any(|s| stored(s) != stored(&self.runs[0].initial)) {
                let number = if cells > 1 { format!(" {cell}") } else { String::new() };
                self.add(Kind::Text, "content", format!("cell{number}, cache"), "", cached);
                self.add(Kind::Text, "content", format!("cell{number}, store"), "", stored);
            }
        }
    }
}

fn of_frame(state: &State, frame: u8) -> Option<&PageState> {
    state.pages.iter().find(|page| page.frame == frame)
}

fn distinct<T: Ord>(all: impl Iterator<Item = T>) -> Vec<T> {
    all.collect::<std::collections::BTreeSet<T>>().into_iter().collect()
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;

    use mkwrite_explain::explain::explain;
    use mkwrite_impls::Builtin;
    use mkwrite_model::text::parse;
    use mkwrite_oracle::ledger::Ledger;
    use mkwrite_oracle::run::{Runner, targets_of};

    use super::*;

    pub fn explained(case: &str) -> Explanation {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(case);
        let document = parse(&std::fs::read_to_string(path).unwrap()).unwrap();
        let target = targets_of::<Builtin>(&document).unwrap()[0];
        explain(&mut Runner::default(), &Ledger::own(), target, &document, None)
    }

    fn data(page: &str) -> Value {
        let (_, data) = page.split_once(r#"<script type="application/json" id="data">"#).unwrap();
        serde_json::from_str(data.split_once("</script>").unwrap().0).unwrap()
    }

    #[test]
    fn text_is_escaped_where_it_stands() {
        let mut e = explained("known/race-nfs-unstable.mkw");
        e.story = vec!["</li><b>bold</b> & `<i>`".to_owned()];
        e.isolation.as_mut().unwrap().failing.steps[3].changes = vec!["</script><script>alert(1)</script>".to_owned()];
        let page = page(&e);
        assert!(page.contains("<li>&lt;/li&gt;&lt;b&gt;bold&lt;/b&gt; &amp; <code>&lt;i&gt;</code></li>"));
        assert!(!page.contains("<script>alert"));
        assert_eq!(data(&page)["runs"][0]["steps"][3]["changes"][0], "</script><script>alert(1)</script>");
        assert_eq!(page.matches("<script").count(), 2);
    }

    #[test]
    fn every_step_is_there() {
        let e = explained("known/race-nfs-unstable.mkw");
        let (page, isolation) = (page(&e), e.isolation.as_ref().unwrap());
        for (run, id) in [(&isolation.failing, "failing"), (&isolation.passing, "passing")] {
            for n in 0..run.steps.len() {
                assert_eq!(page.matches(&format!(r#"id="{id}-{n}""#)).count(), 1, "{id} {n}");
            }
            assert!(!page.contains(&format!(r#"id="{id}-{}""#, run.steps.len())));
        }
        let data = data(&page);
        assert_eq!(data["runs"][0]["steps"].as_array().unwrap().len(), isolation.failing.steps.len());
        assert_eq!(data["start"], e.main.unwrap().step);
    }

    #[test]
    fn the_window_is_marked() {
        let e = explained("known/race-nfs-unstable.mkw");
        let (page, isolation) = (page(&e), e.isolation.as_ref().unwrap());
        let class = |n: usize| {
            let (before, _) = page.split_once(&format!(r#"id="failing-{n}""#)).unwrap();
            before.rsplit_once("<li class=").unwrap().1.split('"').nth(1).unwrap().to_owned()
        };
        let (from, to) = isolation.window();
        for n in 0..isolation.failing.steps.len() {
            let class = class(n);
            let has = |name: &str| class.split(' ').any(|word| word == name);
            assert_eq!(has("window"), (from..=to).contains(&n), "{n}: {class}");
            assert_eq!(has("decides"), n == isolation.first || n == isolation.second, "{n}: {class}");
            assert_eq!(has("broken"), e.breaches.iter().any(|(b, _)| b.step as usize == n), "{n}: {class}");
            assert!(!(has("window") && has("tucked")), "{n}: {class}");
        }
    }

    #[test]
    fn all_cases_are_drawn() {
        for case in ["known/late-dirty-truncate", "known/race-fsblock", "known/eof-content", "pass/race-nfs"] {
            let e = explained(&format!("{case}.mkw"));
            let charts = charts(&e);
            assert_eq!(charts.len(), 1 + usize::from(e.isolation.is_some()), "{case}");
            for chart in charts {
                let steps = chart.items().iter().filter(|item| matches!(item, Item::Step { .. })).count();
                assert_eq!(steps, chart.run.steps.len(), "{case}");
            }
            assert!(page(&e).contains(e.timeline.end), "{case}");
        }
    }
}
