//! A case on all implementations under all callers, as a table.

use maud::{Markup, html};

/// What came of a case on one pair.
#[derive(Clone, Debug, Default)]
pub struct Cell {
    /// The pair makes no sense; why.
    pub refused: Option<String>,
    /// Rules that broke.
    pub rules: Vec<&'static str>,
    /// The ledger's entries that expect them.
    pub entries: Vec<String>,
    /// Something broke that the ledger does not list.
    pub is_new: bool,
    /// Remedies that close it, by trying them; several at once with commas.
    pub closed_by: Vec<String>,
    /// Stops that were realigned, in words.
    pub moved: Vec<String>,
    /// Stops for which nothing fits.
    pub lost: Vec<String>,
}

impl Cell {
    /// The cell in a word or two.
    pub fn text(&self) -> String {
        if self.refused.is_some() {
            return "-".to_owned();
        }
        let verdict = if self.rules.is_empty() { "pass".to_owned() } else { self.rules.join(" ") };
        let new = if self.is_new { "NEW " } else { "" };
        let unlisted = if self.is_unlisted() { " *" } else { "" };
        let mark = if !self.lost.is_empty() {
            " ?"
        } else if !self.moved.is_empty() {
            " ~"
        } else {
            ""
        };
        format!("{new}{verdict}{unlisted}{mark}")
    }

    /// It breaks on a pair that the ledger says nothing of, so that NEW would say nothing either.
    fn is_unlisted(&self) -> bool {
        !self.rules.is_empty() && self.entries.is_empty() && !self.is_new
    }

    fn class(&self) -> &'static str {
        match self {
            Cell { refused: Some(_), .. } => "refused",
            Cell { is_new: true, .. } => "new",
            Cell { rules, .. } if rules.is_empty() => "pass",
            cell if cell.is_unlisted() => "unlisted",
            _ => "breaks",
        }
    }

    /// What the word means here.
    fn details(&self) -> String {
        let mut parts: Vec<String> = self.refused.iter().cloned().collect();
        if !self.entries.is_empty() {
            parts.push(format!("expected: {}", self.entries.join(", ")));
        }
        if !self.closed_by.is_empty() {
            parts.push(format!("closed by {}", self.closed_by.join(" or ")));
        }
        parts.extend(self.moved.iter().map(|text| format!("realigned: {text}")));
        parts.extend(self.lost.iter().map(|text| format!("could not be realigned: {text}")));
        parts.join("; ")
    }
}

/// A case and its cells, by implementation and caller.
#[derive(Clone, Debug)]
pub struct Matrix {
    /// The case's file.
    pub case: String,
    /// The pair that its schedule was made for.
    pub home: String,
    /// The rows.
    pub implementations: Vec<&'static str>,
    /// The columns.
    pub callers: Vec<&'static str>,
    /// The cells, row by row.
    pub cells: Vec<Vec<Cell>>,
}

const STYLE: &str = include_str!("../assets/matrix.css");

/// The tables as one page.
pub fn page(all: &[Matrix]) -> String {
    let body = html! {
        h1 { "Which convention closes which race" }
        p {
            "Each case on every page_mkwrite implementation (rows) under every caller (columns). A cell names \
             the rules that break. " b { "~" } " the schedule was realigned by named points; " b { "?" }
            " it could not be, and the run went without; " b { "-" } " the pair makes no sense; "
            b { "NEW" } " the ledger does not list it; " b { "*" } " no pair of the ledger, which expects nothing there: "
            code { "replay --impl .. --caller .." } " calls it NEW."
        }
        @for matrix in all { (table(matrix)) }
    };
    crate::page::page("mkwrite matrix", &[STYLE], body)
}

fn table(matrix: &Matrix) -> Markup {
    html! {
        h2 { (matrix.case) }
        p { "made for " (matrix.home) }
        div.table {
            table {
                thead {
                    tr { th {} @for caller in &matrix.callers { th scope="col" { (caller) } } }
                }
                tbody {
                    @for (fs, row) in matrix.implementations.iter().zip(&matrix.cells) {
                        tr {
                            th scope="row" { (fs) }
                            @for cell in row {
                                td class=(cell.class()) title=(cell.details()) {
                                    (cell.text())
                                    @if !cell.entries.is_empty() { small { (cell.entries.join(", ")) } }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_says_what_breaks_and_whether_the_schedule_fits() {
        let cell =
            Cell { rules: vec!["I20", "I34"], entries: vec!["race".into()], ..Cell::default() };
        assert_eq!((cell.text().as_str(), cell.class()), ("I20 I34", "breaks"));
        let moved = Cell { moved: vec!["A.0 x became A.0 y".into()], ..Cell::default() };
        assert_eq!((moved.text().as_str(), moved.class()), ("pass ~", "pass"));
        let alone = Cell { entries: vec![], ..cell };
        assert_eq!((alone.text().as_str(), alone.class()), ("I20 I34 *", "unlisted"));
        let lost = Cell { lost: vec!["A.0 x".into()], is_new: true, rules: vec!["I1"], ..moved };
        assert_eq!((lost.text().as_str(), lost.class()), ("NEW I1 ?", "new"));
        assert_eq!(Cell { refused: Some("no".into()), ..Cell::default() }.text(), "-");
    }

    #[test]
    fn names_are_escaped() {
        let matrix = Matrix {
            case: "<b>.mkw".into(),
            home: "x".into(),
            implementations: vec!["a"],
            callers: vec!["c"],
            cells: vec![vec![Cell { refused: Some("\"no\"".into()), ..Cell::default() }]],
        };
        let page = page(&[matrix]);
        assert!(
            page.contains("&lt;b&gt;.mkw") && page.contains("title=\"&quot;no&quot;\""),
            "{page}"
        );
    }
}
