//! What the command prints: prose and progress to standard error, results to standard output, JSON
//! alone.

use std::io::{ErrorKind, Write};
use std::path::Path;
use std::sync::OnceLock;

use anstyle::{AnsiColor, Style};
use anyhow::{Result, anyhow};
use comfy_table::presets::NOTHING;
use comfy_table::{Cell, ColumnConstraint, ContentArrangement, Table, Width};
use indicatif::{ProgressBar, ProgressStyle};
use mkwrite_report::json::Document;
use serde::Serialize;

/// What went wrong.
pub(crate) const RED: Style = AnsiColor::BrightRed.on_default().bold();
/// What should be looked at.
pub(crate) const YELLOW: Style = AnsiColor::Yellow.on_default();
/// What is fine.
pub(crate) const GREEN: Style = AnsiColor::Green.on_default();
/// What stands back.
pub(crate) const DIM: Style = Style::new().dimmed();
/// What stands out.
pub(crate) const BOLD: Style = Style::new().bold();

/// The first error of standard output. A closed pipe is none: the reader has seen what it wanted.
static FAILED: OnceLock<std::io::Error> = OnceLock::new();

fn printed(result: std::io::Result<()>) -> bool {
    match result {
        Ok(()) => return true,
        Err(error) if error.kind() == ErrorKind::BrokenPipe => {}
        Err(error) => _ = FAILED.set(error),
    }
    false
}

/// Writes out what is buffered. Says whether everything could be printed.
pub(crate) fn finish() -> Result<()> {
    printed(std::io::stdout().flush());
    match FAILED.get() {
        None => Ok(()),
        Some(error) => Err(anyhow!("cannot write to standard output: {error}")),
    }
}

/// How this program was called, for commands to copy.
pub(crate) fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "mkwrite".to_owned())
}

/// A path as a shell takes it, for commands to copy.
pub(crate) fn quoted(path: &Path) -> String {
    mkwrite_report::quoted(&path.display().to_string())
}

/// Characters in a line, of all but tables: what COLUMNS says, or as many as the terminal has, or
/// 80.
pub(crate) fn width() -> usize {
    wished_width().map_or(80, usize::from)
}

/// The width that somebody asks for: without it a row of a table is one line, for grep and cut.
fn wished_width() -> Option<u16> {
    let columns = std::env::var("COLUMNS").ok().and_then(|text| text.parse().ok());
    columns.filter(|columns| *columns > 0).or_else(|| Table::new().width())
}

/// Somebody asks for lines that are too short for a table of several texts.
pub(crate) fn is_narrow() -> bool {
    wished_width().is_some_and(|width| width < 100)
}

/// A progress bar with a message, in one line of 80 columns.
pub(crate) fn progress(length: u64) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:10} {percent:>3}%  {wide_msg}");
    ProgressBar::new(length).with_style(style.expect("a valid template"))
}

/// A progress bar that counts.
pub(crate) fn counter(length: usize) -> ProgressBar {
    let style = ProgressStyle::with_template("{bar:30} {percent:>3}%  {pos}/{len}");
    ProgressBar::new(length as u64).with_style(style.expect("a valid template"))
}

/// Prints one JSON document of these fields, with its schema number.
pub(crate) fn document(fields: &impl Serialize) -> Result<()> {
    json(&Document::new(fields))
}

/// Prints one JSON document as it is.
pub(crate) fn json(value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    bytes(&text);
    Ok(())
}

/// Prints bytes as they are.
pub(crate) fn bytes(content: &[u8]) {
    printed(std::io::stdout().write_all(content));
}

/// A table without lines, for terminals and pipes alike. In a terminal cells wrap.
pub(crate) fn table<'a>(header: impl IntoIterator<Item = &'a str>) -> Table {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header);
    if let Some(width) = wished_width() {
        table.set_content_arrangement(ContentArrangement::Dynamic).set_width(width);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

/// Prints a table without trailing blanks.
pub(crate) fn print_table(table: &Table) {
    let mut table = table.clone();
    let columns: Vec<(u16, u16)> = (0..table.column_count()).map(|n| widths(&table, n)).collect();
    let least: u16 = columns.iter().map(|(word, _)| word).sum();
    // No word is cut as long as they all fit side by side; a column of long texts gets more of
    // what is left.
    if let Some(spare) = table.width().unwrap_or(u16::MAX).checked_sub(least) {
        let wanted: u64 = columns.iter().map(|(word, text)| u64::from(text - word)).sum();
        for (column, (word, text)) in table.column_iter_mut().zip(columns) {
            let share = u64::from(text - word) * u64::from(spare) / wanted.max(1);
            let share = u16::try_from(share).unwrap_or(u16::MAX).min(text - word);
            column.set_constraint(ColumnConstraint::LowerBoundary(Width::Fixed(word + share)));
        }
    }
    let mut out = anstream::stdout().lock();
    for line in table.lines() {
        if !printed(writeln!(out, "{}", line.trim_end())) {
            return;
        }
    }
}

/// How wide a column must be for its longest word, and for its longest text, with the space
/// behind.
fn widths(table: &Table, column: usize) -> (u16, u16) {
    let cells = table.header().into_iter().chain(table.row_iter());
    let texts = cells.filter_map(|row| row.cell_iter().nth(column)).map(Cell::content);
    let wide = |text: &str| u16::try_from(text.chars().count()).unwrap_or(u16::MAX - 2) + 2;
    texts.fold((2, 2), |(word, whole), text| {
        let longest = text.split_whitespace().map(wide).max().unwrap_or(2);
        (word.max(longest), whole.max(wide(&text)))
    })
}

/// Prints a line to standard output.
pub(crate) fn line(text: impl std::fmt::Display) {
    printed(writeln!(anstream::stdout(), "{text}"));
}

/// Prints a line to standard output, wrapped between words; what follows the first line stands so
/// many characters to the right.
pub(crate) fn hanging(text: impl std::fmt::Display, indent: usize) {
    line(fill(text, indent));
}

fn fill(text: impl std::fmt::Display, indent: usize) -> String {
    let indent = " ".repeat(indent);
    let options = textwrap::Options::new(width())
        .word_splitter(textwrap::WordSplitter::NoHyphenation)
        .subsequent_indent(&indent)
        .break_words(false);
    textwrap::fill(&text.to_string(), options)
}

/// Prints prose to standard error, wrapped between words.
pub(crate) fn prose(text: impl std::fmt::Display) {
    note(fill(text, 0));
}

/// Prints a line to standard error.
pub(crate) fn note(text: impl std::fmt::Display) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Says what cannot be done on this machine, and what would mend it.
pub(crate) fn not_here(what: &str, remedy: &str) -> crate::Exit {
    error(&anyhow!("{what}").context(remedy.to_owned()));
    crate::Exit::NotHere
}

/// Prints an error: the innermost cause is what happened, the outer ones are remedies.
pub(crate) fn error(error: &anyhow::Error) {
    let chain: Vec<String> = error.chain().map(ToString::to_string).collect();
    let (help, what) = chain.split_at(chain.len() - 1);
    for text in what {
        // A rendered diagnostic brings its own head.
        let rendered = text.contains('\n');
        note(if rendered { text.clone() } else { format!("{RED}error{RED:#}: {text}") });
    }
    for text in help.iter().rev() {
        note(format!("{BOLD}help{BOLD:#}: {text}"));
    }
}
