//! The race window of an explanation as one static SVG, for a README or a report: the steps around
//! the window up to the breach, or the whole run if it is short. It brings its own background, and
//! asks for no font but a generic one.

use maud::{Markup, html};
use mkwrite_explain::explain::Explanation;
use textwrap::{Options, WordSplitter};

use crate::chart::{Chart, Column, ColumnKind, DRAWN_MAX, Flag, Item, charts, hue, hue_of};
use crate::palette::{
    BACK, BAD, BAD_BACK, BAND, BAND_EDGE, CACHED, CAPTION, DIRTY, INK, PTE, RECORD, RULE, SOFT,
    TASKS, WRITEBACK,
};
use crate::terminal::{place, title};

/// Width of the picture, in pixels. It is wider only if there are very many columns.
const WIDTH: usize = 900;
/// Runs of at most this many steps are shown whole.
const WHOLE_STEPS_MAX: usize = 30;
/// Steps that are shown of a run in which nothing breaks, at the most.
const STEPS_MAX: usize = 80;
/// Steps that are shown before and after the window.
const MARGIN_STEPS: usize = 3;

/// Where the first lane begins, and the width of a lane, in pixels.
const LANES: usize = 62;
const LANE: usize = 48;
/// Height of the title and of the heads of the columns, in pixels.
const TOP: usize = 46;
const HEADS: usize = 100;
/// Height of a further line of a row's text, in pixels.
const LINE: usize = 14;
/// Characters in a line of a row's text, at least.
const ROOM_MIN: usize = 12;

const MONO: &str = "'DejaVu Sans Mono', Menlo, Consolas, monospace";
const SANS: &str = "'DejaVu Sans', 'Liberation Sans', Helvetica, Arial, sans-serif";

/// A row, where it stands, and what is written in it.
struct Row {
    item: Item,
    top: usize,
    height: usize,
    /// What a step changed, or which rule breaks, in lines that fit.
    lines: Vec<String>,
}

impl Row {
    fn middle(&self) -> usize {
        self.top + self.height / 2
    }
}

/// The row of a rule that breaks.
fn broken(row: &Row, width: usize) -> Markup {
    html! {
        rect x=(LANES) y=(row.top) width=(width - LANES - 8) height=(row.height) fill=(BAD_BACK) {}
        rect x=(LANES) y=(row.top) width="3" height=(row.height) fill=(BAD) {}
        text x=(LANES + 10) y=(row.top + 15) font-weight="bold" font-family=(SANS) fill=(BAD) { "▲" }
        @for (n, text) in row.lines.iter().enumerate() {
            text x=(LANES + 24) y=(row.top + 15 + LINE * n) font-weight="bold" font-family=(SANS)
                fill=(BAD) { (text) }
        }
    }
}

/// The picture of an explanation.
pub fn picture(e: &Explanation) -> String {
    let mut chart = charts(e).swap_remove(0);
    let items = items(&chart, shown(e, &chart));
    leave_out(&mut chart, &items);
    let chart = &chart;
    let (places, right) = places(chart, &items);
    let width = WIDTH.max(right + 20);
    let rows = rows(chart, items, right, width);
    let bottom = rows.last().map_or(TOP + HEADS, |row| row.top + row.height);
    let lines = caption(e);
    let height = bottom + 18 * lines.len() + 20;
    let role = |n: usize| chart.window.and_then(|w| w.role(n));
    html! {
        svg xmlns="http://www.w3.org/2000/svg" width=(width) height=(height) viewBox={ "0 0 " (width) " " (height) }
            role="img" aria-label=(title(e)) font-family=(MONO) font-size="11.5" fill=(INK) {
            title { (title(e)) }
            defs {
                @for (name, colour) in [("dirty", DIRTY), ("writeback", WRITEBACK)] {
                    pattern id={ "tag-" (name) } width="5" height="5" patternUnits="userSpaceOnUse"
                        patternTransform="rotate(45)" {
                        rect width="3" height="5" fill=(colour) {}
                    }
                }
            }
            rect width=(width) height=(height) rx="8" fill=(BACK.light) stroke=(RULE) {}
            text x="16" y="26" font-size="15" font-weight="bold" font-family=(SANS) {
                (e.main.map_or("", |breach| breach.about().harm))
            }
            text x="16" y="46" font-size="12.5" font-family=(SANS) { (place(e)) }
            (band(chart, &rows, width))
            (heads(chart, &places))
            @for lane in 0..chart.tasks.len() {
                @let x = LANES + lane * LANE + 1;
                line x1=(x) x2=(x) y1=(TOP + HEADS) y2=(bottom) stroke=(RULE) {}
            }
            @for (column, x) in chart.columns.iter().zip(&places) { (strip(column, *x, &rows)) }
            (connector(chart, &rows))
            @for row in &rows {
                @match &row.item {
                    Item::Step { n, minor, .. } => (step(chart, row, *n, *minor, role(*n), right)),
                    Item::Begin { n, .. } => {
                        text x=(LANES + chart.lane(*n) * LANE) y=(row.top + 15) font-weight="bold"
                            fill=(TASKS[hue(chart.run.steps[*n].task)].0) { (chart.operation(*n)) }
                    }
                    Item::Fold { text, .. } => {
                        text x=(LANES + 6) y=(row.top + 13) font-style="italic" font-family=(SANS) fill=(SOFT) {
                            "⋯ " (text)
                        }
                    }
                    Item::Window { .. } => {
                        text x=(LANES + 4) y=(row.top + 13) font-size="10.5" font-weight="bold" font-family=(SANS)
                            fill=(CAPTION) { "WINDOW OF THE RACE" }
                    }
                    Item::Breach { .. } => (broken(row, width)),
                }
            }
            @for (n, line) in lines.iter().enumerate() {
                text x="16" y=(bottom + 22 + 18 * n) font-family=(SANS) font-size="12" fill=(SOFT) { (line) }
            }
        }
    }
    .into_string()
}

/// Leaves out the lanes and columns that have nothing in these rows.
fn leave_out(chart: &mut Chart, items: &[Item]) {
    let steps = items.iter().filter_map(|item| match item {
        Item::Step { n, .. } => Some(*n),
        _ => None,
    });
    let steps: Vec<usize> = steps.collect();
    let run = chart.run;
    chart.tasks.retain(|task| steps.iter().any(|n| run.steps[*n].task == *task));
    chart.columns.retain(|column| steps.iter().any(|n| column.values[*n].is_some()));
}

/// The steps to show.
fn shown(e: &Explanation, chart: &Chart) -> std::ops::Range<usize> {
    let steps = chart.run.steps.len();
    let Some(breach) = e.main.filter(|_| steps > WHOLE_STEPS_MAX) else {
        return 0..steps.min(STEPS_MAX);
    };
    let breach = (breach.step as usize).min(steps - 1);
    let (from, to) =
        chart.window.map_or((breach.saturating_sub(WHOLE_STEPS_MAX / 2), breach), |w| {
            (w.from, w.to.max(breach))
        });
    // A page draws no more of a long run either.
    let end = (to + MARGIN_STEPS).min(steps);
    from.min(breach).saturating_sub(MARGIN_STEPS).max(end.saturating_sub(DRAWN_MAX))..end
}

/// The rows of these steps, before they have a place.
fn items(chart: &Chart, shown: std::ops::Range<usize>) -> Vec<Item> {
    let (steps, mut items) = (chart.run.steps.len(), Vec::new());
    let mut push = |item: Item| items.push(item);
    let rest = |id: usize, steps: std::ops::Range<usize>, side: &str| {
        let text = format!("{} steps {side}", steps.len());
        (!steps.is_empty()).then(|| Item::Fold { id, steps: steps.start..=steps.end - 1, text })
    };
    rest(0, 0..shown.start, "before").into_iter().for_each(&mut push);
    for item in chart.items() {
        match item {
            Item::Fold { id, steps, .. }
                if *steps.end() >= shown.start && *steps.start() < shown.end =>
            {
                let (from, end) =
                    ((*steps.start()).max(shown.start), (steps.end() + 1).min(shown.end));
                push(Item::Fold { id, steps: from..=end - 1, text: chart.folded(from..end) });
            }
            Item::Step { fold: Some(_), .. }
            | Item::Begin { fold: Some(_), .. }
            | Item::Fold { .. } => {}
            Item::Step { n, .. }
            | Item::Begin { n, .. }
            | Item::Breach { n, .. }
            | Item::Window { n } => {
                if shown.contains(&n) {
                    push(item);
                }
            }
        }
    }
    rest(steps, shown.end..steps, "after").into_iter().for_each(&mut push);
    items
}

/// The rows, each as high as its text needs beside the columns, which end at `right`.
fn rows(chart: &Chart, items: Vec<Item>, right: usize, width: usize) -> Vec<Row> {
    let (mut rows, mut top) = (Vec::new(), TOP + HEADS);
    for item in items {
        let (height, lines) = match &item {
            Item::Step { n, minor, .. } => {
                let room = width.saturating_sub(right + 24) * 10 / 60;
                (if *minor { 16 } else { 22 }, wrapped(&chart.what(*n), room))
            }
            Item::Breach { text, .. } => (22, wrapped(text, (width - LANES - 44) / 8)),
            Item::Begin { .. } => (20, Vec::new()),
            Item::Fold { .. } | Item::Window { .. } => (18, Vec::new()),
        };
        let height = height + LINE * lines.len().saturating_sub(1);
        rows.push(Row { item, top, height, lines });
        top += height;
    }
    rows
}

/// Where the columns stand, and where the last one ends.
fn places(chart: &Chart, items: &[Item]) -> (Vec<usize>, usize) {
    let ends = items.iter().filter_map(|item| match *item {
        Item::Step { n, .. } => Some(LANES + chart.lane(n) * LANE + box_width(chart, n)),
        _ => None,
    });
    let (mut places, mut x, mut group) = (Vec::new(), ends.max().unwrap_or(LANES) + 4, "");
    for column in &chart.columns {
        if column.group != group {
            x += 10;
            group = &column.group;
        }
        places.push(x);
        x += if column.kind == ColumnKind::Text { 36 } else { 17 };
    }
    (places, x)
}

fn heads(chart: &Chart, places: &[usize]) -> Markup {
    let y = TOP + HEADS - 8;
    html! {
        text x="42" y=(y) font-size="10" text-anchor="end" fill=(SOFT) { "step" }
        @for (lane, task) in chart.tasks.iter().enumerate() {
            @let (name, x) = (task.to_string(), LANES + lane * LANE);
            rect x=(x) y=(y - 12) width=(name.len() * 7 + 12) height="17" rx="4" fill=(TASKS[hue(*task)].0) {}
            text x=(x + 6) y=(y + 1) font-weight="bold" fill=(BACK) { (name) }
        }
        @for (column, x) in chart.columns.iter().zip(places) {
            text font-size="10.5" transform={ "translate(" (x + 11) " " (y + 2) ") rotate(-90)" } { (column.name) }
        }
        line x1="8" x2=(WIDTH - 8) y1=(TOP + HEADS - 1) y2=(TOP + HEADS - 1) stroke=(RULE) {}
    }
}

/// The tinted band behind the window.
fn band(chart: &Chart, rows: &[Row], width: usize) -> Markup {
    let inside = |row: &&Row| match (&row.item, chart.window) {
        (Item::Window { .. }, _) => true,
        (Item::Step { n, .. }, Some(w)) => (w.from..=w.to).contains(n),
        _ => false,
    };
    let (first, last) = (rows.iter().find(inside), rows.iter().rev().find(inside));
    html! {
        @if let (Some(first), Some(last)) = (first, last) {
            @let height = last.top + last.height - first.top;
            rect.window x="8" y=(first.top) width=(width - 16) height=(height) fill=(BAND) {}
            rect x="8" y=(first.top) width="3" height=(height) fill=(BAND_EDGE) {}
        }
    }
}

/// The line between the two deciding steps.
fn connector(chart: &Chart, rows: &[Row]) -> Markup {
    let decides = |row: &&Row| match row.item {
        Item::Step { n, .. } => chart.window.is_some_and(|w| w.role(n).is_some()),
        _ => false,
    };
    let (first, last) = (rows.iter().find(decides), rows.iter().rev().find(decides));
    html! {
        @if let (Some(first), Some(last)) = (first, last) {
            line x1="51" x2="51" y1=(first.middle()) y2=(last.middle()) stroke=(BAND_EDGE) stroke-width="2" {}
        }
    }
}

fn box_width(chart: &Chart, n: usize) -> usize {
    chart.run.steps[n].point.name().len() * 7 + 15
}

fn step(chart: &Chart, row: &Row, n: usize, minor: bool, role: Option<u8>, right: usize) -> Markup {
    let moment = &chart.run.steps[n];
    let (strong, weak) = TASKS[hue(moment.task)];
    let (x, y, name) = (LANES + chart.lane(n) * LANE, row.middle() + 4, moment.point.name());
    let first = y - LINE * row.lines.len().saturating_sub(1) / 2;
    html! {
        g.step.decides[role.is_some()] {
            text x="40" y=(y) font-size="10.5" text-anchor="end" fill=(SOFT) { (moment.step) }
            @if let Some(role) = role {
                circle cx="51" cy=(row.middle()) r="8.5" fill=(BAND_EDGE) {}
                text x="51" y=(y) font-size="11" font-weight="bold" text-anchor="middle" { (role) }
            }
            @if minor {
                rect x=(x) y=(row.top + 3) width="4" height=(row.height - 6) fill=(strong) {}
                text x=(x + 9) y=(y) font-size="10" fill=(SOFT) { (name) }
            } @else {
                rect x=(x) y=(row.middle() - 9) width=(box_width(chart, n)) height="18" rx="4" stroke=(strong)
                    fill=(if role.is_some() { strong } else { weak }) {}
                rect x=(x) y=(row.middle() - 9) width="4" height="18" fill=(strong) {}
                text x=(x + 8) y=(y) font-weight=[role.map(|_| "bold")] fill=[role.map(|_| BACK.light)] { (name) }
            }
            @for (n, text) in row.lines.iter().enumerate() {
                text x=(right + 14) y=(first + LINE * n) font-size="11" font-family=(SANS) fill=(SOFT) { (text) }
            }
        }
    }
}

/// A column: one bar for each stretch of rows with the same value.
fn strip(column: &Column, x: usize, rows: &[Row]) -> Markup {
    let mut bars: Vec<(usize, usize, Option<&str>)> = Vec::new();
    for row in rows {
        let value = value(column, &row.item);
        match bars.last_mut() {
            Some((_, end, last)) if *last == value && *end == row.top => *end += row.height,
            _ => bars.push((row.top, row.top + row.height, value)),
        }
    }
    html! {
        @for (top, end, value) in bars.iter().filter_map(|(top, end, value)| Some((*top, *end, (*value)?))) {
            (bar(column, value, x, top + 1, end - top - 2))
        }
    }
}

fn bar(column: &Column, value: &str, x: usize, y: usize, height: usize) -> Markup {
    // Colours of the bar, its edge, and the letter in it.
    let (fill, stroke, ink) = match column.kind {
        ColumnKind::Lock => (TASKS[hue_of(value)].0.light, None, BACK),
        ColumnKind::Flag(Flag::Dirty) => (DIRTY.light, None, BACK),
        ColumnKind::Flag(Flag::DirtyTag) => ("url(#tag-dirty)", Some(DIRTY), BACK),
        ColumnKind::Flag(Flag::Writeback) => (WRITEBACK.light, None, BACK),
        ColumnKind::Flag(Flag::WritebackTag) => ("url(#tag-writeback)", Some(WRITEBACK), BACK),
        ColumnKind::Flag(Flag::Record) => (RECORD.light, None, BACK),
        ColumnKind::Flag(Flag::Pte) if value == "writable" => (PTE.light, Some(PTE), BACK),
        ColumnKind::Flag(Flag::Pte) => (BACK.light, Some(PTE), PTE),
        ColumnKind::Flag(Flag::Cached) | ColumnKind::Text => (CACHED.light, None, BACK),
    };
    html! {
        @if column.kind == ColumnKind::Text {
            line x1=(x + 4) x2=(x + 4) y1=(y) y2=(y + height) stroke=(SOFT) stroke-width="1.5" {}
            text x=(x + 8) y=(y + 13) font-size="10.5" font-weight="bold" { (column.short(value)) }
        } @else {
            rect x=(x + 2) y=(y) width="12" height=(height) rx="3" fill=(fill) stroke=[stroke] {}
            text x=(x + 8) y=(y + 12) font-size="9.5" font-weight="bold" text-anchor="middle" fill=(ink) {
                (column.short(value))
            }
        }
    }
}

/// The value that a column has throughout a row.
fn value<'a>(column: &'a Column, item: &Item) -> Option<&'a str> {
    let through = |n: usize| {
        let value = column.values.get(n)?.as_deref()?;
        (!column.differs(n, value)).then_some(value)
    };
    match item {
        Item::Step { n, .. } => column.values[*n].as_deref(),
        Item::Begin { n, .. } | Item::Window { n } => through(*n),
        Item::Breach { n, .. } => through(n + 1),
        Item::Fold { steps, .. } => {
            let values = &column.values[steps.clone()];
            values.iter().all(|value| *value == values[0]).then_some(values[0].as_deref())?
        }
    }
}

/// What the picture says, in a sentence, and what the reader must know.
fn caption(e: &Explanation) -> Vec<String> {
    let mut lines = Vec::new();
    if let Some(breach) = e.main {
        let about = breach.about();
        lines.push(match e.isolation {
            Some(_) => {
                format!("1 before 2 breaks {} ({}); 2 before 1 does not.", about.id, about.title)
            }
            None => format!("It breaks {}: {}.", about.id, about.title),
        });
    }
    lines
}

/// The text in lines of so many characters.
fn wrapped(text: &str, room: usize) -> Vec<String> {
    let options = Options::new(room.max(ROOM_MIN)).word_splitter(WordSplitter::NoHyphenation);
    textwrap::wrap(text, options).into_iter().map(String::from).collect()
}

#[cfg(test)]
mod tests {
    use mkwrite_explain::timeline::Moment;
    use mkwrite_oracle::judge::Breach;

    use super::*;
    use crate::chart::Window;
    use crate::html::tests::explained;

    #[test]
    fn the_window_is_in_the_picture() {
        let e = explained("known/unlocked-return/race-nfs-unstable.mkw");
        let (picture, isolation) = (picture(&e), e.isolation.as_ref().unwrap());
        let (from, to) = isolation.window();
        for moment in &isolation.failing.steps[from..=to] {
            assert!(picture.contains(&format!(">{}</text>", moment.step)), "step {}", moment.step);
        }
        assert_eq!(picture.matches(r#"class="step decides""#).count(), 2);
        assert_eq!(picture.matches(r#"class="window""#).count(), 1);
        assert!(picture.contains(&title(&e)));
    }

    #[test]
    fn text_is_escaped_and_wrapped() {
        let mut e = explained("known/unlocked-return/race-nfs-unstable.mkw");
        let isolation = e.isolation.as_mut().unwrap();
        let first = isolation.first;
        isolation.failing.steps[first].events = vec!["<&".to_owned(), "long ".repeat(100)];
        let picture = picture(&e);
        assert!(picture.contains("&lt;&amp;; long"));
        assert!(!picture.contains(&"long ".repeat(40)));
        assert_eq!(picture.matches("long").count(), 100);
    }

    #[test]
    fn of_a_long_run_no_more_is_shown_than_on_a_page() {
        let mut e = explained("known/unlocked-return/race-nfs-unstable.mkw");
        e.isolation = None;
        let last = e.timeline.steps.last().unwrap().clone();
        let count = e.timeline.steps.len() as u32;
        e.timeline.steps.extend((count..2000).map(|step| Moment { step, ..last.clone() }));
        let breach = e.main.unwrap().step as usize;
        let near = shown(&e, &charts(&e)[0]);
        assert_eq!(near, breach - WHOLE_STEPS_MAX / 2 - MARGIN_STEPS..breach + MARGIN_STEPS);
        e.main = Some(Breach { step: 1500, ..e.main.unwrap() });
        let window = Some(Window { from: 10, to: 20, first: 12, second: 20 });
        let mut chart = charts(&e).swap_remove(0);
        chart.window = window;
        let far = shown(&e, &chart);
        assert_eq!(far, 1500 + MARGIN_STEPS - DRAWN_MAX..1500 + MARGIN_STEPS);
    }

    #[test]
    fn without_a_window() {
        for case in ["known/eof-extension/eof-content.mkw", "pass/race-nfs.mkw"] {
            let e = explained(case);
            let picture = picture(&e);
            assert!(picture.contains(&title(&e)), "{case}");
            assert!(!picture.contains(r#"class="window""#), "{case}");
        }
    }
}
