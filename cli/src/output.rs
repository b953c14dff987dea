//! What the command prints: prose and progress to standard error, results to standard output, JSON alone.

use std::io::Write;

use anstyle::{AnsiColor, Style};
use anyhow::Result;
use comfy_table::presets::NOTHING;
use comfy_table::{ContentArrangement, Table};
use serde::Serialize;

/// The schema number of every JSON document of this version.
pub const SCHEMA: u32 = 1;

/// What went wrong.
pub const RED: Style = AnsiColor::BrightRed.on_default().bold();
/// What is fine.
pub const GREEN: Style = AnsiColor::Green.on_default();
/// What stands back.
pub const DIM: Style = Style::new().dimmed();
/// What stands out.
pub const BOLD: Style = Style::new().bold();

/// Prints one JSON document.
pub fn json(value: &impl Serialize) -> Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer_pretty(&mut out, value)?;
    writeln!(out)?;
    Ok(())
}

/// A table without lines, for terminals and pipes alike.
pub fn table<'a>(header: impl IntoIterator<Item = &'a str>) -> Table {
    let mut table = Table::new();
    table.load_style(NOTHING).set_content_arrangement(ContentArrangement::Disabled).set_header(header);
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table
}

/// Prints a table without trailing blanks. A closed pipe is not an error.
pub fn print_table(table: &Table) {
    let mut out = anstream::stdout().lock();
    for line in table.lines() {
        if writeln!(out, "{}", line.trim_end()).is_err() {
            return;
        }
    }
}

/// Prints a line to standard output. A closed pipe is not an error.
pub fn line(text: impl std::fmt::Display) {
    let _ = writeln!(anstream::stdout(), "{text}");
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
