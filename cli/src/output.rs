//! What the command prints: prose and progress to standard error, results to standard output, JSON
//! alone.

use std::borrow::Cow;
use std::io::{ErrorKind, Write};
use std::path::Path;
use std::sync::OnceLock;

use anstyle::{AnsiColor, Style};
use anyhow::{Result, anyhow};
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use mkwrite_report::json::Document;
use serde::Serialize;

/// What went wrong.
pub const RED: Style = AnsiColor::BrightRed.on_default().bold();
/// What should be looked at.
pub const YELLOW: Style = AnsiColor::Yellow.on_default();
/// What is fine.
pub const GREEN: Style = AnsiColor::Green.on_default();
/// What stands back.
pub const DIM: Style = Style::new().dimmed();
/// What stands out.
pub const BOLD: Style = Style::new().bold();

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
pub fn finish() -> Result<()> {
    printed(std::io::stdout().flush());
    match FAILED.get() {
        None => Ok(()),
        Some(error) => Err(anyhow!("cannot write to standard output: {error}")),
    }
}

/// How this program was called, for commands to copy.
pub fn program() -> String {
    std::env::args().next().unwrap_or_else(|| "mkwrite".to_owned())
}

/// A path as a shell takes it, for commands to copy.
pub fn quoted(path: &Path) -> String {
    let text = path.display().to_string();
    shlex::try_quote(&text).map_or_else(|_| text.clone(), Cow::into_owned)
}

/// Prints one JSON document of these fields, with its schema number.
pub fn document(fields: &impl Serialize) -> Result<()> {
    json(&Document::new(fields))
}

/// Prints one JSON document as it is.
pub fn json(value: &impl Serialize) -> Result<()> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    bytes(&text);
    Ok(())
}

/// Prints bytes as they are.
pub fn bytes(content: &[u8]) {
    printed(std::io::stdout().write_all(content));
}

/// A table without lines, for terminals and pipes alike.
pub fn table<'a>(header: impl IntoIterator<Item = &'a str>) -> Table {
    let mut table = Table::new();
    table
        .load_style(NOTHING)
        .set_content_arrangement(ContentArrangement::Disabled)
        .set_header(header);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

/// Prints a table without trailing blanks.
pub fn print_table(table: &Table) {
    let mut out = anstream::stdout().lock();
    for line in table.lines() {
        if !printed(writeln!(out, "{}", line.trim_end())) {
            return;
        }
    }
}

/// Prints a line to standard output.
pub fn line(text: impl std::fmt::Display) {
    printed(writeln!(anstream::stdout(), "{text}"));
}

/// Prints a line of prose to standard error.
pub fn note(text: impl std::fmt::Display) {
    let _ = writeln!(anstream::stderr(), "{text}");
}

/// Prints an error: the innermost cause is what happened, the outer ones are remedies.
pub fn error(error: &anyhow::Error) {
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
