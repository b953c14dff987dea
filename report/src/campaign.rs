//! A campaign as data, and as a page: what each engine did, how findings and features grew, what
//! was found, and what went wrong with engines and files.

use maud::{Markup, html};
use serde::Serialize;

use crate::count;
use crate::triage::{self, Triage};

/// What an engine did on a target.
#[derive(Clone, Debug, Serialize)]
pub struct Search {
    /// The engine.
    pub engine: String,
    /// The target.
    pub target: String,
    /// Seconds that it ran.
    pub seconds: f64,
    /// How often it was started.
    pub slices: u32,
    /// The target runs cases; what follows is about them.
    pub runs_cases: bool,
    /// Cases that it ran on its pairs.
    pub executions: u64,
    /// Features that it reached, at the most.
    pub features: u64,
    /// Signatures that it found.
    pub signatures: usize,
    /// Of these, those that the ledger does not list.
    pub new: usize,
    /// Files of the corpus.
    pub corpus: usize,
}

/// How an engine got on.
#[derive(Clone, Debug, Serialize)]
pub struct Series {
    /// The engine.
    pub engine: String,
    /// Seconds since the campaign began, and the number of signatures found by then.
    pub signatures: Vec<(f64, f64)>,
    /// Seconds since the campaign began, and the number of features reached by then.
    pub features: Vec<(f64, f64)>,
}

/// An input on which a target failed, and no finding says why; or a NEW breach whose case is lost.
#[derive(Clone, Debug, Serialize)]
pub struct Crash {
    /// The engine.
    pub engine: String,
    /// The target.
    pub target: String,
    /// How many inputs fail like this.
    pub count: usize,
    /// One of them.
    pub file: Option<String>,
    /// What the target said.
    pub message: String,
    /// The command that shows it again.
    pub reproduce: Option<String>,
}

impl Crash {
    /// The crash in one line.
    pub fn sentence(&self) -> String {
        let inputs =
            if self.count > 1 { format!(" ({} inputs)", self.count) } else { String::new() };
        format!("{} of {}: {}{inputs}", self.target, self.engine, self.message)
    }
}

/// Something that went wrong and was survived.
#[derive(Clone, PartialEq, Debug, Serialize, serde::Deserialize)]
pub struct Event {
    /// Seconds of the campaign.
    pub seconds: f64,
    /// The engine, the target or the file.
    pub subject: String,
    /// What happened.
    pub what: String,
}

/// A campaign.
#[derive(Clone, Debug, Serialize)]
pub struct Campaign {
    /// The schema number of this document.
    pub schema: u32,
    /// The seed.
    pub seed: u64,
    /// The part of the campaign that was done here, if not all of it: I/N.
    pub shard: Option<String>,
    /// Seconds of searching that it was to have.
    pub planned: f64,
    /// Seconds that it had.
    pub seconds: f64,
    /// How often it was started: more than once if it was killed or interrupted.
    pub sessions: usize,
    /// Engines at the same time.
    pub jobs: usize,
    /// It was ended early, and can be resumed.
    pub interrupted: bool,
    /// Engines that were not there, and why.
    pub missing: Vec<(String, String)>,
    /// What each engine did on each target.
    pub searches: Vec<Search>,
    /// How each engine got on.
    pub series: Vec<Series>,
    /// What was found: all artifacts and the whole corpus, sorted.
    pub findings: Triage,
    /// Crashes that no finding stands for.
    pub crashes: Vec<Crash>,
    /// Signatures that the ledger lists and that an engine saw, but of which it kept no case.
    pub without_case: Vec<String>,
    /// What went wrong and was survived.
    pub events: Vec<Event>,
}

impl Campaign {
    /// All is as it should be.
    pub fn is_good(&self) -> bool {
        self.crashes.is_empty() && self.findings.is_good()
    }

    /// The campaign in one line.
    pub fn summary(&self) -> String {
        let executions: u64 = self.searches.iter().map(|search| search.executions).sum();
        let broken = self.findings.broken.len();
        let crashes = if self.crashes.len() == 1 { "other crash" } else { "other crashes" };
        let more = [
            (self.without_case.len(), "that only a log tells of"),
            (self.crashes.len(), crashes),
            (broken, "broken assertions of the model"),
        ];
        let more: String =
            more.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!(", {n} {what}")).collect();
        format!(
            "{} of {} searched, {executions} executions; {}{more}",
            duration(self.seconds),
            duration(self.planned),
            self.findings.summary(),
        )
    }
}

/// Seconds as people say them.
pub fn duration(seconds: f64) -> String {
    let seconds = seconds.round() as u64;
    match (seconds / 3600, seconds / 60 % 60, seconds % 60) {
        (0, 0, s) => format!("{s} s"),
        (0, m, s) => format!("{m}:{s:02} min"),
        (h, m, _) => format!("{h}:{m:02} h"),
    }
}

const STYLE: &str = include_str!("../assets/campaign.css");

/// The page. `link` turns a path into a URI that leads there from the page.
pub fn page(campaign: &Campaign, link: impl Fn(&str) -> String) -> String {
    let series = |pick: fn(&Series) -> &Vec<(f64, f64)>| {
        campaign
            .series
            .iter()
            .map(|series| (series.engine.as_str(), pick(series).as_slice()))
            .collect::<Vec<_>>()
    };
    let body = html! {
        h1 { "mkwrite campaign" }
        p {
            (campaign.summary()) ". Seed " (campaign.seed)
            @if let Some(part) = &campaign.shard { ", part " (part) }
            ", " (campaign.jobs) " jobs"
            @if campaign.sessions > 1 { ", started " (campaign.sessions) " times" }
            @if campaign.interrupted { ". It was ended early: the same command goes on with it" } "."
        }
        div.plots {
            (plot("Findings of each engine", campaign.seconds, &series(|series| &series.signatures)))
            (plot("Features seen", campaign.seconds, &series(|series| &series.features)))
        }
        h2 { "Engines" }
        div.wide { (searches(campaign)) }
        @if !campaign.missing.is_empty() {
            ul { @for (engine, why) in &campaign.missing { li { b { (engine) } " was not there: " (why) } } }
        }
        @if !campaign.crashes.is_empty() {
            h2 { "Other crashes" }
            ul {
                @for crash in &campaign.crashes {
                    li {
                        span.new { (crash.sentence()) }
                        @if let Some(command) = &crash.reproduce { br; code { (command) } }
                    }
                }
            }
        }
        h2 { "Findings" }
        @if campaign.findings.causes.is_empty() { p { "No rule was broken." } }
        @else { (triage::table(&campaign.findings, &link)) }
        @if !campaign.without_case.is_empty() {
            h2 { "Seen, but without a case" }
            p {
                "The ledger lists these. The engines logged them and kept no case, so that they are in the numbers of \
                 the engines and in the plot, and not above."
            }
            details {
                summary { (count(campaign.without_case.len(), "finding")) }
                @for one in &campaign.without_case { (one) br; }
            }
        }
        (triage::remarks("Broken assertions of the model", &campaign.findings.broken, "broken", &link))
        (triage::remarks("Skipped", &campaign.findings.skipped, "skipped", &link))
        @if !campaign.events.is_empty() {
            h2 { "What went wrong, and was survived" }
            ul {
                @for event in &campaign.events {
                    li { (duration(event.seconds)) ": " b { (event.subject) } " " (event.what) }
                }
            }
        }
    };
    crate::page::page("mkwrite campaign", &[triage::STYLE, STYLE], body)
}

fn searches(campaign: &Campaign) -> Markup {
    html! {
        table {
            thead { tr {
                th { "engine" } th { "target" }
                @for head in ["time", "starts", "executions", "features", "findings", "NEW", "corpus"] {
                    th.n { (head) }
                }
            } }
            tbody {
                @for search in &campaign.searches {
                    tr {
                        td { (search.engine) } td { (search.target) } td.n { (duration(search.seconds)) }
                        td.n { (search.slices) }
                        @if search.runs_cases {
                            td.n { (search.executions) } td.n { (search.features) }
                            td.n { (search.signatures) } td.n { (search.new) }
                        } @else {
                            td colspan="4" { small { "runs no cases" } }
                        }
                        td.n { (search.corpus) }
                    }
                }
            }
        }
    }
}

const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 48.0;
const BOTTOM: f64 = 28.0;
const LEGEND: f64 = 90.0;

/// Lines over time: each holds its value until the next.
fn plot(title: &str, seconds: f64, series: &[(&str, &[(f64, f64)])]) -> Markup {
    let top = series
        .iter()
        .flat_map(|(_, points)| points.iter().map(|point| point.1))
        .fold(1.0, f64::max);
    let (step, seconds) = (nice(top / 4.0), seconds.max(1.0));
    let top = (top / step).ceil() * step;
    let x = |at: f64| LEFT + at.clamp(0.0, seconds) / seconds * (WIDTH - LEFT - LEGEND);
    let y = |value: f64| HEIGHT - BOTTOM - value / top * (HEIGHT - BOTTOM - 8.0);
    let line = |points: &[(f64, f64)]| {
        let (mut text, mut last) = (String::new(), 0.0);
        for (at, value) in points.iter().copied().chain([(seconds, f64::NAN)]) {
            text += &format!("{:.1},{:.1} ", x(at), y(last));
            if value.is_finite() {
                text += &format!("{:.1},{:.1} ", x(at), y(value));
                last = value;
            }
        }
        text
    };
    let ticks = (0..).map(|n| f64::from(n) * step).take_while(|value| *value <= top + step / 2.0);
    // Names at the ends of the lines, moved apart where these meet.
    let mut ends: Vec<(usize, &str, f64)> = series
        .iter()
        .enumerate()
        .map(|(n, (name, points))| (n, *name, y(points.last().map_or(0.0, |point| point.1))))
        .collect();
    ends.sort_by(|a, b| b.2.total_cmp(&a.2));
    for n in 1..ends.len() {
        ends[n].2 = ends[n].2.min(ends[n - 1].2 - 14.0);
    }
    let above = ends.last().map_or(0.0, |end| (12.0 - end.2).max(0.0));
    ends.iter_mut().for_each(|end| end.2 += above);
    html! {
        figure {
            figcaption { (title) }
            svg width=(WIDTH) height=(HEIGHT) viewBox=(format!("0 0 {WIDTH} {HEIGHT}")) role="img" aria-label=(title) {
                @for value in ticks {
                    line.grid x1=(LEFT) x2=(WIDTH - LEGEND) y1=(y(value)) y2=(y(value)) {}
                    text x=(LEFT - 6.0) y=(y(value) + 4.0) text-anchor="end" { (value) }
                }
                @for part in 0..=4 {
                    @let at = seconds * f64::from(part) / 4.0;
                    text x=(x(at)) y=(HEIGHT - 8.0) text-anchor="middle" { (duration(at)) }
                }
                path.axis d=(format!("M{LEFT} 8V{}H{}", HEIGHT - BOTTOM, WIDTH - LEGEND)) {}
                @for (n, (_, points)) in series.iter().enumerate() {
                    polyline class=(format!("e{n}")) points=(line(points)) {}
                }
                @for (n, name, at) in &ends {
                    line class=(format!("e{n}")) stroke-width="2" x1=(WIDTH - LEGEND + 4.0) x2=(WIDTH - LEGEND + 14.0) y1=(at) y2=(at) {}
                    text x=(WIDTH - LEGEND + 18.0) y=(at + 4.0) { (name) }
                }
            }
        }
    }
}

/// The next of 1, 2, 5, 10, 20, ..
fn nice(value: f64) -> f64 {
    let ten = 10f64.powf(value.max(1.0).log10().floor());
    [1.0, 2.0, 5.0, 10.0].map(|n| n * ten).into_iter().find(|n| *n >= value).unwrap_or(10.0 * ten)
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn crash() -> Crash {
        Crash {
            engine: "afl".to_owned(),
            target: "text".to_owned(),
            count: 2,
            file: Some("a/<b>".to_owned()),
            message: "byte index 3 & more".to_owned(),
            reproduce: Some("text a/b".to_owned()),
        }
    }

    pub(crate) fn campaign() -> Campaign {
        let search = Search {
            engine: "afl".to_owned(),
            target: "codec".to_owned(),
            seconds: 61.0,
            slices: 2,
            runs_cases: true,
            executions: 99,
            features: 5,
            signatures: 3,
            new: 1,
            corpus: 7,
        };
        Campaign {
            schema: 1,
            seed: 7,
            shard: None,
            planned: 7200.0,
            seconds: 100.0,
            sessions: 2,
            jobs: 2,
            interrupted: true,
            missing: vec![("libfuzzer".to_owned(), "no compiler".to_owned())],
            searches: vec![search],
            series: vec![
                Series {
                    engine: "afl".to_owned(),
                    signatures: vec![(10.0, 3.0)],
                    features: vec![(1.0, 400.0)],
                },
                Series {
                    engine: "hunt".to_owned(),
                    signatures: vec![(5.0, 60.0)],
                    features: vec![],
                },
            ],
            findings: triage::tests::triage(),
            crashes: vec![crash()],
            without_case: vec!["I15 on <nfs>, late-dirty".to_owned()],
            events: vec![Event {
                seconds: 3.0,
                subject: "afl codec".to_owned(),
                what: "was killed".to_owned(),
            }],
        }
    }

    #[test]
    fn the_page_says_everything_and_escapes_it() {
        let page = page(&campaign(), triage::uri);
        let marks = [
            "1:40 min of 2:00 h searched, 99 executions",
            "1 that only a log tells of, 1 other crash, 1 broken assertions of the model",
            "text of afl: byte index 3 &amp; more (2 inputs)",
            "<b>libfuzzer</b> was not there: no compiler",
            "the same command goes on with it",
            "<b>afl codec</b> was killed",
            "class=\"new\">NEW<",
            "I15 on &lt;nfs&gt;, late-dirty",
            "1:01 min",
        ];
        for mark in marks {
            assert!(page.contains(mark), "{mark} is missing");
        }
        assert!(!page.contains("src=") && !page.contains("http"), "the page stands alone");
    }

    #[test]
    fn a_line_of_a_plot_is_a_staircase_inside_its_frame() {
        let svg = plot("t", 100.0, &[("a", &[(50.0, 10.0)])]).into_string();
        // From zero at the left, up in the middle, and on to the right edge.
        assert!(svg.contains("points=\"239.0,212.0 239.0,8.0 430.0,8.0 \""), "{svg}");
        assert_eq!([nice(0.3), nice(3.0), nice(12.0), nice(50.0)], [1.0, 5.0, 20.0, 50.0]);
        assert_eq!(
            [duration(59.4), duration(61.0), duration(36000.0)],
            ["59 s", "1:01 min", "10:00 h"]
        );
    }
}
