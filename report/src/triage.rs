//! A triage as data, and as a page: one row per bug, what it is, and the case that shows it. The
//! data is what `triage --json` prints; `sarif` and `junit` show the same to tools.

use maud::{Markup, html};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Serialize;

use crate::count;

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
        match (&self.entry, self.status) {
            (Some(entry), Status::Follows) => format!("after {entry}"),
            (Some(entry), status) => format!("{}: {entry}", status.name()),
            (None, status) => status.name().to_owned(),
        }
    }

    /// It in one sentence.
    pub fn sentence(&self) -> String {
        let Cluster { rule, title, point, what, .. } = self;
        match self.status {
            Status::Fixed => {
                format!("{rule} ({title}) no longer breaks at {point} on {}", self.pair())
            }
            _ => format!("{rule} ({title}) breaks at {point} on {}: {what}", self.pair()),
        }
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

    /// How many clusters stand like this.
    pub fn count(&self, status: Status) -> usize {
        self.clusters.iter().filter(|cluster| cluster.status == status).count()
    }

    /// How many of each, in words.
    pub fn summary(&self) -> String {
        let [new, fixed] = [Status::New, Status::Fixed].map(|status| self.count(status));
        let listed = self.clusters.len() - new - fixed;
        let (files, listed) = (count(self.files.len(), "file"), count(listed, "signature"));
        format!("{files}: {listed} that the ledger lists, {fixed} fixed, {new} NEW")
    }
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
        @if !triage.clusters.is_empty() { (table(triage, &link)) }
        (remarks("Broken assertions of the model", &triage.broken, "broken", &link))
        (remarks("Skipped", &triage.skipped, "skipped", &link))
        @if !triage.ignored.is_empty() {
            p { small { (triage.ignored.len()) " more files are not named like cases." } }
        }
    };
    crate::page::page("mkwrite triage", &[STYLE], body)
}

pub(crate) fn table(triage: &Triage, link: &impl Fn(&str) -> String) -> Markup {
    // Pages are read from the top; a terminal shows the end.
    let (good, bad): (Vec<_>, Vec<_>) =
        triage.clusters.iter().partition(|cluster| cluster.status.is_good());
    html! {
        table {
            thead {
                tr { @for head in ["pair", "rule", "point", "status", "files", "case"] { th { (head) } } }
            }
            tbody {
                @for cluster in bad.iter().chain(&good) {
                    tr {
                        td { (cluster.pair()) }
                        td { b { (cluster.rule) } " " (cluster.title) br; small { (cluster.what) } }
                        td { code.point { (cluster.point) } br; small { (cluster.operation) } }
                        td class=(cluster.status.name().to_lowercase()) { (cluster.standing()) }
                        td { (inputs(cluster, link)) }
                        td {
                            a href=(link(&cluster.file)) { (cluster.file.rsplit('/').next().unwrap_or_default()) } br;
                            small { (cluster.operations) " operations, " (cluster.preemptions) " preemptions" } br;
                            code { (triage.replay) " " (cluster.file) }
                        }
                    }
                }
            }
        }
    }
}

fn inputs(cluster: &Cluster, link: &impl Fn(&str) -> String) -> Markup {
    html! {
        details {
            summary { (cluster.cases) }
            @for file in &cluster.files { a href=(link(file)) { (file) } br; }
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
        let remark =
            |file: &str, reason: &str| Remark { file: file.to_owned(), reason: reason.to_owned() };
        Triage {
            schema: 1,
            replay: "mkwrite replay".to_owned(),
            files: vec![File { file: "in/<b>".to_owned(), clusters: 4 }],
            runs: 9,
            jobs: 1,
            seconds: 0.5,
            interrupted: false,
            clusters: [Status::Expected, Status::Follows, Status::Fixed, Status::New]
                .map(cluster)
                .to_vec(),
            skipped: vec![remark("in/e&pty", "the file is empty")],
            ignored: vec!["in/README.txt".to_owned()],
            broken: vec![remark("in/crash-1", "index out of bounds \u{1}")],
        }
    }

    #[test]
    fn the_page_names_everything_and_escapes_it() {
        let page = page(&triage(), uri);
        let marks = [
            "<b>I20</b> a page &amp; its &lt;record&gt;",
            "class=\"new\">NEW<",
            "after race-nfs",
            "in/e&amp;pty",
        ];
        for mark in marks {
            assert!(page.contains(mark), "{mark} is missing in\n{page}");
        }
        assert!(page.contains("href=\"out%20dir/NEW.mkw\""), "{page}");
        assert!(page.find(">NEW<") < page.find(">after race-nfs<"), "what is NEW stands first");
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
