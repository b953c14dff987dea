//! A triage as data, and as a page: one row per cause, what it does, and the case that shows it. The
//! data is what `triage --json` prints; `sarif` and `junit` show the same to tools.

use std::collections::BTreeSet;

use maud::{Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use crate::{cause, count, quoted};

/// How a cluster stands to what is expected.
#[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Serialize)]
pub enum Status {
    /// An entry of the ledger lists it.
    #[serde(rename = "expected")]
    Expected,
    /// It follows from what an entry lists.
    #[serde(rename = "follows")]
    Follows,
    /// A file says that it breaks, and it does not.
    #[serde(rename = "fixed")]
    Fixed,
    /// Nothing explains it.
    #[serde(rename = "NEW")]
    New,
}

impl Status {
    /// Its name in output.
    pub const fn name(self) -> &'static str {
        match self {
            Status::Expected => "expected",
            Status::Follows => "follows",
            Status::Fixed => "fixed",
            Status::New => "NEW",
        }
    }

    /// All is as it should be.
    pub const fn is_good(self) -> bool {
        matches!(self, Status::Expected | Status::Follows)
    }

    /// The status, with the entry of the ledger that it is due to.
    pub fn with_entry(self, entry: Option<&str>) -> String {
        match (entry, self) {
            (Some(entry), Status::Follows) => format!("after {entry}"),
            (Some(entry), status) => format!("{}: {entry}", status.name()),
            (None, status) => status.name().to_owned(),
        }
    }
}

/// Inputs that break the same rule in the same way, or that should and do not.
#[derive(Clone, Debug, Serialize)]
pub struct Cluster {
    /// One word for it, the same in every triage.
    pub signature: String,
    /// The implementation.
    pub implementation: String,
    /// The caller.
    pub caller: String,
    /// The rule.
    pub rule: String,
    /// The rule in one line.
    pub title: String,
    /// Where it breaks.
    pub point: String,
    /// The kind of operation that takes the step.
    pub operation: String,
    /// What is wrong there.
    pub what: String,
    /// How it stands to what is expected.
    pub status: Status,
    /// The ledger explains it.
    pub expected: bool,
    /// It does so as a consequence.
    pub follows: bool,
    /// The entry of the ledger.
    pub entry: Option<String>,
    /// What the entry belongs to.
    pub group: Option<String>,
    /// How many files show it.
    pub cases: usize,
    /// These files.
    pub files: Vec<String>,
    /// The case that stands for them.
    pub file: String,
    /// The case was made smaller.
    pub shrunk: bool,
    /// Operations of that case.
    pub operations: usize,
    /// Preemptions of that case.
    pub preemptions: usize,
}

impl Cluster {
    /// The implementation under its caller.
    pub fn pair(&self) -> String {
        format!("{} x {}", self.implementation, self.caller)
    }

    /// The status, with the entry that it is due to.
    pub fn standing(&self) -> String {
        self.status.with_entry(self.entry.as_deref())
    }
}

/// Clusters that are one defect, as far as can be seen.
#[derive(Clone, Debug, Serialize)]
pub struct Cause {
    /// What and where.
    #[serde(flatten)]
    pub about: cause::Cause,
    /// What is wrong there.
    pub what: String,
    /// The signatures of its clusters: first that of the one that stands for it.
    pub clusters: Vec<String>,
    /// How many files show it.
    pub cases: usize,
    /// The page that explains it, if there is one.
    pub page: Option<String>,
}

impl Cause {
    /// It in one sentence, the harm first.
    pub fn sentence(&self) -> String {
        let Cause { about, what, .. } = self;
        match about.status {
            Status::Fixed => {
                format!("{} no longer breaks, as its file expects", about.place())
            }
            _ => format!("{}: {}: {what}", about.title, about.place()),
        }
    }

    /// One word for it: the signature of the cluster that stands for it.
    pub fn signature(&self) -> &str {
        self.clusters.first().map_or("", String::as_str)
    }
}

/// A file, and why something is amiss with it.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Remark {
    /// The file, or a folder.
    pub file: String,
    /// Why.
    pub reason: String,
}

/// A file that was replayed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct File {
    /// Its path.
    pub file: String,
    /// In how many clusters it is.
    pub clusters: usize,
}

/// A triage.
#[derive(Clone, Debug, Serialize)]
pub struct Triage {
    /// The schema number of this document.
    pub schema: u32,
    /// The command that replays a case, without its file.
    pub replay: String,
    /// The files that were replayed.
    pub files: Vec<File>,
    /// One case on one pair.
    pub runs: u64,
    /// Threads.
    pub jobs: usize,
    /// How long it took.
    pub seconds: f64,
    /// It was ended early.
    pub interrupted: bool,
    /// What breaks, and what no longer does; what is NEW stands at the end.
    pub clusters: Vec<Cluster>,
    /// The same folded, one for each defect, as far as can be seen; what is NEW stands first.
    pub causes: Vec<Cause>,
    /// What could not be read.
    pub skipped: Vec<Remark>,
    /// What is not named like a case.
    pub ignored: Vec<String>,
    /// Files that break an assertion of the model itself.
    pub broken: Vec<Remark>,
}

impl Triage {
    /// All is as it should be.
    pub fn is_good(&self) -> bool {
        self.clusters.iter().all(|cluster| cluster.status.is_good())
    }

    /// How many causes stand like this.
    pub fn count(&self, status: Status) -> usize {
        self.causes.iter().filter(|cause| cause.about.status == status).count()
    }

    /// How many of each, in words.
    pub fn summary(&self) -> String {
        let [new, fixed] = [Status::New, Status::Fixed].map(|status| self.count(status));
        let files = count(self.files.len(), "file");
        let found = self.clusters.iter().filter(|one| one.status != Status::Fixed).count();
        let causes = count(self.causes.len() - fixed, "cause");
        format!("{files}; {} of {causes}, {new} NEW, {fixed} fixed", count(found, "finding"))
    }

    /// The clusters of a cause, first the one that stands for it.
    pub fn clusters_of<'a>(&'a self, cause: &'a Cause) -> impl Iterator<Item = &'a Cluster> {
        let find = |name: &String| self.clusters.iter().find(|one| one.signature == *name);
        cause.clusters.iter().filter_map(find)
    }

    /// Some files that show a cause: a report stays small however many there are.
    pub fn some_files<'a>(&'a self, cause: &'a Cause) -> impl Iterator<Item = &'a String> {
        let mut seen = BTreeSet::new();
        let all = self.clusters_of(cause).flat_map(|cluster| &cluster.files);
        all.filter(move |file| seen.insert(*file)).take(SHOWN)
    }

    /// The command that replays a case.
    pub fn command(&self, file: &str) -> String {
        format!("{} {}", self.replay, quoted(file))
    }

    /// The files that break nothing.
    pub fn harmless(&self) -> impl Iterator<Item = &str> {
        self.files.iter().filter(|file| file.clusters == 0).map(|file| file.file.as_str())
    }
}

/// Files of a cause that a report lists; the rest are counted.
pub const SHOWN: usize = 10;

/// How many more there are than are shown.
pub fn more(count: usize) -> Option<String> {
    (count > SHOWN).then(|| format!("and {} more", count - SHOWN))
}

/// Characters that a path keeps in a URI.
const PATH: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'/').remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'@');

/// A path as a URI: relative as it is, absolute with its scheme.
pub fn uri(path: &str) -> String {
    let scheme = if path.starts_with('/') { "file://" } else { "" };
    format!("{scheme}{}", utf8_percent_encode(path, PATH))
}

pub(crate) const STYLE: &str = include_str!("../assets/triage.css");

/// The page. `link` turns a path into a URI that leads there from the page.
pub fn page(triage: &Triage, link: impl Fn(&str) -> String) -> String {
    let body = html! {
        h1 { "mkwrite triage" }
        p {
            (triage.summary()) "."
            @if triage.interrupted { " It was ended early." }
        }
        @if !triage.causes.is_empty() { (table(triage, &link)) }
        (remarks("Broken assertions of the model", &triage.broken, "broken", &link))
        (remarks("Skipped", &triage.skipped, "skipped", &link))
        (harmless(triage, &link))
        @if !triage.ignored.is_empty() {
            p { small { (triage.ignored.len()) " more files are not named like cases." } }
        }
    };
    crate::page::page("mkwrite triage", &[STYLE], body)
}

pub(crate) fn table(triage: &Triage, link: &impl Fn(&str) -> String) -> Markup {
    html! {
        table.causes {
            thead {
                tr { @for head in ["what goes wrong", "on", "status", "files", "case"] { th { (head) } } }
            }
            tbody { @for cause in &triage.causes { (row(triage, cause, link)) } }
        }
    }
}

fn row(triage: &Triage, cause: &Cause, link: &impl Fn(&str) -> String) -> Markup {
    let Cause { about, what, clusters, cases, page } = cause;
    let root = triage.clusters_of(cause).next();
    html! {
        tr {
            td {
                b { (about.title) } br;
                (about.rule) " at " code { (about.point) } ": " (what)
                @if clusters.len() > 1 { (consequences(triage, cause, link)) }
            }
            td {
                @if about.pairs.len() == 1 { (about.on()) }
                @else { details { summary { (about.on()) } @for pair in &about.pairs { (pair) br; } } }
            }
            td class=(about.status.name().to_lowercase()) { (about.standing()) }
            td {
                details {
                    summary { (cases) }
                    @for file in triage.some_files(cause) { a href=(link(file)) { (file) } br; }
                    @if let Some(more) = more(*cases) { (more) }
                }
            }
            td {
                @if let Some(page) = page { a href=(link(page)) { "explanation" } br; }
                @if let Some(root) = root {
                    a href=(link(&root.file)) { (root.file.rsplit('/').next().unwrap_or_default()) } br;
                    small { (count(root.operations, "operation")) ", " (count(root.preemptions, "preemption")) }
                }
            }
        }
    }
}

/// What else a cause breaks, below it.
fn consequences(triage: &Triage, cause: &Cause, link: &impl Fn(&str) -> String) -> Markup {
    let rest = cause.clusters.len() - 1;
    html! {
        details {
            summary { small { (count(rest, "finding")) " more of this cause" } }
            ul {
                @for one in triage.clusters_of(cause).skip(1).take(SHOWN) {
                    li {
                        a href=(link(&one.file)) { (one.rule) } " " (one.title) ", at " code { (one.point) }
                        " on " (one.pair())
                    }
                }
                @if let Some(more) = more(rest) { li { (more) } }
            }
        }
    }
}

/// The files that break nothing.
fn harmless(triage: &Triage, link: &impl Fn(&str) -> String) -> Markup {
    let count = triage.harmless().count();
    html! {
        @if count > 0 {
            h2 { "Break nothing" }
            ul {
                @for file in triage.harmless().take(SHOWN) { li { a href=(link(file)) { (file) } } }
                @if let Some(more) = more(count) { li { (more) } }
            }
        }
    }
}

pub(crate) fn remarks(
    title: &str,
    all: &[Remark],
    class: &str,
    link: &impl Fn(&str) -> String,
) -> Markup {
    html! {
        @if !all.is_empty() {
            h2 { (title) }
            ul {
                @for Remark { file, reason } in all {
                    li { a href=(link(file)) { (file) } ": " span class=(class) { (reason) } }
                }
            }
        }
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A cluster of each status, a skipped file, and a broken one; with names that formats must
    /// escape.
    pub(crate) fn triage() -> Triage {
        let cluster = |status: Status| Cluster {
            signature: format!("nfs@2.6.29-2.6.29-I20-{}", status.name()),
            implementation: "nfs@2.6.29".to_owned(),
            caller: "2.6.29".to_owned(),
            rule: "I20".to_owned(),
            title: "a page & its <record>".to_owned(),
            point: "wp.set_page_dirty".to_owned(),
            operation: "store".to_owned(),
            what: "a \"dirty\" page".to_owned(),
            status,
            expected: status.is_good(),
            follows: status == Status::Follows,
            entry: status.is_good().then(|| "race-nfs".to_owned()),
            group: None,
            cases: 2,
            files: vec!["in/id:000000,sig:06".to_owned(), "in/<b>".to_owned()],
            file: format!("out dir/{}.mkw", status.name()),
            shrunk: true,
            operations: 3,
            preemptions: 1,
        };
        let cause = |status: Status, more: &[Status]| Cause {
            about: cause::Cause {
                title: "a store is lost",
                rule: "I20",
                point: "wp.set_page_dirty",
                status,
                expected: status.is_good(),
                entry: status.is_good().then(|| "race-nfs".to_owned()),
                rules: vec!["I20"],
                pairs: ["nfs@2.6.29 x 2.6.29", "nfs@2.6.29 x <try3>"].map(str::to_owned).to_vec(),
                findings: 1 + more.len(),
                file: Some(format!("out dir/{}.mkw", status.name())),
            },
            what: "a \"dirty\" page".to_owned(),
            clusters: [&[status], more]
                .concat()
                .iter()
                .map(|one| cluster(*one).signature)
                .collect(),
            cases: 12,
            page: (status == Status::New).then(|| "out dir/NEW.html".to_owned()),
        };
        let remark =
            |file: &str, reason: &str| Remark { file: file.to_owned(), reason: reason.to_owned() };
        Triage {
            schema: 1,
            replay: "mkwrite replay".to_owned(),
            files: vec![
                File { file: "in/<b>".to_owned(), clusters: 4 },
                File { file: "in/fine".to_owned(), clusters: 0 },
            ],
            runs: 9,
            jobs: 1,
            seconds: 0.5,
            interrupted: false,
            clusters: [Status::Expected, Status::Follows, Status::Fixed, Status::New]
                .map(cluster)
                .to_vec(),
            causes: vec![
                cause(Status::New, &[]),
                cause(Status::Fixed, &[]),
                cause(Status::Expected, &[Status::Follows]),
            ],
            skipped: vec![remark("in/e&pty", "the file is empty")],
            ignored: vec!["in/README.txt".to_owned()],
            broken: vec![remark("in/crash-1", "index out of bounds \u{1}")],
        }
    }

    #[test]
    fn the_page_names_everything_and_escapes_it() {
        let page = page(&triage(), uri);
        let marks = [
            "<b>a store is lost</b>",
            "I20</a> a page &amp; its &lt;record&gt;, at <code>wp.set_page_dirty</code>",
            "nfs@2.6.29 x &lt;try3&gt;",
            "class=\"new\">NEW<",
            "1 finding more of this cause",
            "and 2 more",
            "<a href=\"out%20dir/NEW.html\">explanation</a>",
            "<h2>Break nothing</h2><ul><li><a href=\"in/fine\">",
            "in/e&amp;pty",
        ];
        for mark in marks {
            assert!(page.contains(mark), "{mark} is missing in\n{page}");
        }
        assert!(page.contains("href=\"out%20dir/NEW.mkw\""), "{page}");
        assert!(page.find(">NEW<") < page.find(">expected: race-nfs<"), "what is NEW stands first");
        assert!(
            page.contains("href=\"in/id%3A000000%2Csig%3A06\"") && !page.contains("<b>\""),
            "{page}"
        );
        assert!(!page.contains("src=") && !page.contains("http"), "the page stands alone");
    }

    #[test]
    fn a_uri_keeps_its_path() {
        assert_eq!(uri("/a b/c@1.mkw"), "file:///a%20b/c@1.mkw");
        assert_eq!(uri("id:1"), "id%3A1");
    }
}
