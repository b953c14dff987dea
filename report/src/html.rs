//! An explanation as one HTML file, which needs nothing but a browser. The drawing is plain HTML,
//! made here, and can be read without scripts and on paper; the script only adds the step's
//! details, the keyboard, and folding. What is drawn, and which steps are folded, `chart` says.

use std::ops::{Range, RangeInclusive};

use maud::{DOCTYPE, Markup, PreEscaped, html};
use mkwrite_explain::explain::Explanation;
use mkwrite_model::point::Point;
use serde_json::{Value, json};

use crate::chart::{Chart, Column, ColumnKind, Flag, Item, Window, charts, hue, hue_of};
use crate::count;
use crate::palette;
use crate::terminal::title;

const STYLE: &str = include_str!("../assets/explain.css");
const SCRIPT: &str = include_str!("../assets/explain.js");

/// Nothing is fetched, whatever the file contains.
const POLICY: &str =
    "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; img-src data:";

/// The page of an explanation: one file, no network.
pub fn page(e: &Explanation) -> String {
    let charts = charts(e);
    let drawn = charts[0].drawn();
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
                style { (PreEscaped(palette::style_sheet())) (PreEscaped(STYLE)) }
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
                        ol.story { @for sentence in &e.story { li { (prose(sentence, &drawn)) } } }
                    }
                    @if !e.hints.is_empty() {
                        div.hints {
                            h2 { "What is known, and what closes it" }
                            ul { @for hint in &e.hints { li { (prose(hint, &drawn)) } } }
                        }
                    }
                }
                (legend(e, &charts))
                @if charts.len() > 1 {
                    div.tabs role="tablist" aria-label="runs" {
                        @for chart in &charts {
                            button type="button" role="tab" id={ "tab-" (chart.id) } data-run=(chart.id)
                                aria-controls={ "run-" (chart.id) } { (mark(chart)) " " (chart.title) }
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
            @if let Some(breach) = e.main { (breach.about().harm) ": " }
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

/// A sentence with its points as code and its steps as links into the failing run, of which these
/// are drawn.
fn prose(text: &str, drawn: &Range<usize>) -> Markup {
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
            } @else if n > 0 && words[n - 1] == "step" && core.parse().is_ok_and(|n| drawn.contains(&n)) {
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
                    li { "A record is what the filesystem ties to a dirty page and needs to write it back: buffers, \
                          an NFS request. The closer is what ends each run: it unmaps everything, syncs, and looks \
                          at the store." }
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
    let (grid, drawn) = (Grid::new(chart), chart.drawn());
    html! {
        section.run #{ "run-" (chart.id) } data-run=(chart.id) aria-label=(chart.title) {
            h2 { (mark(chart)) " " (chart.title) }
            div.chart style={ "--cols:" (grid.template) ";--lanes:" (chart.tasks.len()) } {
                (heads(chart, &grid))
                ol {
                    (left_out(drawn.start, "before"))
                    @for item in chart.items_of(&drawn) {
                        (row(chart, &grid, &item))
                    }
                    (left_out(chart.run.steps.len() - drawn.end, "after"))
                    li.end { span { (chart.run.end) } }
                }
            }
        }
    }
}

/// Says how many steps of a long run are not drawn.
fn left_out(steps: usize, side: &str) -> Markup {
    html! {
        @if steps > 0 {
            li.end {
                span { (count(steps, "step")) " " (side) " these are not drawn: the run is long; `mkwrite shrink` \
                        makes the case smaller, and `mkwrite explain --all` prints every step" }
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
                span.name.text[column.kind == ColumnKind::Text] style={ "grid-column:" (place) } { (column.name) }
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
            let what = chart.what(*n);
            let label =
                format!("step {}, {}, {}. {}", moment.step, moment.task, moment.point.name(), what);
            html! {
                li.step.minor[*minor].window[at(*n).is_some()].decides[role.is_some()].broken[broken]
                    .tucked[fold.is_some()] data-fold=[*fold] id={ (chart.id) "-" (n) } data-n=(n - chart.drawn().start) {
                    span.n { (moment.step) }
                    (bracket(chart, *n, false))
                    button.box.{ "t" (hue(moment.task)) } type="button" title=(moment.point.does())
                        aria-label=(chart.spoken(*n, &label)) style={ "grid-column:" (grid.lane(lane)) "/what" } {
                        (moment.point.name())
                    }
                    (cells(chart, grid, *n..=*n, *after))
                    span.what { (what) }
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

/// The strips beside a row: the values after these steps. A value is named where it begins, and
/// again after a fold that hides where it began.
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
                i.c.{ (class(column, value)) }.s[starts].e[ends] style={ "grid-column:" (place) } aria-hidden="true" {
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
                i.c.{ (class(column, value)) } style={ "grid-column:" (place) } aria-hidden="true" {}
            }
        }
    }
}

/// A sign for good or bad, not by colour alone.
fn mark(chart: &Chart) -> Markup {
    match chart.id {
        "failing" => html! { span.bad aria-hidden="true" { "✗" } },
        _ => html! { span.good aria-hidden="true" { "✓" } },
    }
}

/// The classes of a value: locks have the colour of their holder.
fn class(column: &Column, value: &str) -> String {
    match column.kind {
        ColumnKind::Lock => format!("lock t{}", hue_of(value)),
        ColumnKind::Flag(flag) if value == "read-only" => format!("flag {} weak", flag_class(flag)),
        ColumnKind::Flag(flag) => format!("flag {}", flag_class(flag)),
        ColumnKind::Text => "text".to_owned(),
    }
}

fn flag_class(flag: Flag) -> &'static str {
    match flag {
        Flag::Cached => "cached",
        Flag::Dirty => "dirty",
        Flag::DirtyTag => "dirty tag",
        Flag::Writeback => "writeback",
        Flag::WritebackTag => "writeback tag",
        Flag::Record => "record",
        Flag::Pte => "pte",
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
            template +=
                if column.kind == ColumnKind::Text { " var(--text)" } else { " var(--strip)" };
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
        let drawn = chart.drawn();
        let before = |n: usize| Some(&chart.run.steps[n.checked_sub(1)?].state);
        let initial = before(drawn.start).unwrap_or(&chart.run.initial);
        let mut last = initial;
        let steps = drawn.clone().map(|n| {
            let moment = &chart.run.steps[n];
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
        let is_drawn = |w: &Window| drawn.contains(&w.first) && drawn.contains(&w.second);
        let place = |n: usize| n - drawn.start;
        let window = chart
            .window
            .filter(is_drawn)
            .map(|w| json!({ "first": place(w.first), "second": place(w.second) }));
        let steps: Vec<Value> = steps.collect();
        json!({ "id": chart.id, "initial": initial, "steps": steps, "window": window })
    };
    let runs: Vec<Value> = charts.iter().map(run).collect();
    let start = start.and_then(|n| (n as usize).checked_sub(charts[0].drawn().start));
    // In a script element, only `<` can do harm.
    json!({ "start": start, "runs": runs }).to_string().replace('<', "\\u003c")
}

#[cfg(test)]
pub(crate) mod tests {
    use std::path::Path;

    use mkwrite_explain::explain::explain;
    use mkwrite_explain::timeline::Moment;
    use mkwrite_impls::Builtin;
    use mkwrite_model::text::parse;
    use mkwrite_oracle::ledger::Ledger;
    use mkwrite_oracle::run::{Runner, targets_of};

    use super::*;

    pub(crate) fn explained(case: &str) -> Explanation {
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
        let mut e = explained("known/unlocked-return/race-nfs-unstable.mkw");
        e.story = vec!["</li><b>bold</b> & `<i>`".to_owned()];
        e.isolation.as_mut().unwrap().failing.steps[3].changes =
            vec!["</script><script>alert(1)</script>".to_owned()];
        let page = page(&e);
        assert!(
            page.contains(
                "<li>&lt;/li&gt;&lt;b&gt;bold&lt;/b&gt; &amp; <code>&lt;i&gt;</code></li>"
            )
        );
        assert!(!page.contains("<script>alert"));
        assert_eq!(
            data(&page)["runs"][0]["steps"][3]["changes"][0],
            "</script><script>alert(1)</script>"
        );
        assert_eq!(page.matches("<script").count(), 2);
    }

    #[test]
    fn every_step_is_there() {
        let e = explained("known/unlocked-return/race-nfs-unstable.mkw");
        let (page, isolation) = (page(&e), e.isolation.as_ref().unwrap());
        for (run, id) in [(&isolation.failing, "failing"), (&isolation.passing, "passing")] {
            for n in 0..run.steps.len() {
                assert_eq!(page.matches(&format!(r#"id="{id}-{n}""#)).count(), 1, "{id} {n}");
            }
            assert!(!page.contains(&format!(r#"id="{id}-{}""#, run.steps.len())));
        }
        let data = data(&page);
        assert_eq!(
            data["runs"][0]["steps"].as_array().unwrap().len(),
            isolation.failing.steps.len()
        );
        assert_eq!(data["start"], e.main.unwrap().step);
    }

    #[test]
    fn of_a_long_run_the_stretch_around_the_breach_is_drawn() {
        let mut e = explained("known/unlocked-return/race-nfs-unstable.mkw");
        e.isolation = None;
        let last = e.timeline.steps.last().unwrap().clone();
        let count = e.timeline.steps.len() as u32;
        e.timeline.steps.extend((count..2000).map(|step| Moment { step, ..last.clone() }));
        e.story.extend(["first in step 1, then".to_owned(), "A stands in step 1900.".to_owned()]);
        let page = page(&e);
        assert!(page.contains(r##"in step <a href="#failing-1">1</a>,"##));
        assert!(page.contains("in step 1900.") && !page.contains("#failing-1900"));
        assert_eq!(page.matches(r#"<li class="step"#).count(), 300);
        assert!(page.contains("1700 steps after these are not drawn"));
        let data = data(&page);
        assert_eq!(data["runs"][0]["steps"].as_array().unwrap().len(), 300);
        let start = data["start"].as_u64().unwrap() as usize;
        assert_eq!(data["runs"][0]["steps"][start]["step"], e.main.unwrap().step);
    }

    #[test]
    fn the_window_is_marked() {
        let e = explained("known/unlocked-return/race-nfs-unstable.mkw");
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
            assert_eq!(
                has("decides"),
                n == isolation.first || n == isolation.second,
                "{n}: {class}"
            );
            assert_eq!(
                has("broken"),
                e.breaches.iter().any(|(b, _)| b.step as usize == n),
                "{n}: {class}"
            );
            assert!(!(has("window") && has("tucked")), "{n}: {class}");
        }
    }

    #[test]
    fn all_cases_are_drawn() {
        for case in [
            "known/unlocked-return/late-dirty-truncate",
            "known/unlocked-return/race-fsblock",
            "known/eof-extension/eof-content",
            "pass/race-nfs",
        ] {
            let e = explained(&format!("{case}.mkw"));
            let charts = charts(&e);
            assert_eq!(charts.len(), 1 + usize::from(e.isolation.is_some()), "{case}");
            for chart in charts {
                let steps =
                    chart.items().iter().filter(|item| matches!(item, Item::Step { .. })).count();
                assert_eq!(steps, chart.run.steps.len(), "{case}");
            }
            assert!(page(&e).contains(e.timeline.end), "{case}");
        }
    }
}
