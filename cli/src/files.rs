//! Files that the command reads and writes. Whole or not at all: a new file is written beside its place and
//! renamed. A `.mkw` file is text; any other file that is not empty is a case in bytes, and always valid.

use std::io::{IsTerminal, Write};
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use anyhow::{Context, Result, anyhow, bail};
use mkwrite_model::bytes;
use mkwrite_model::text::{self, Document, ParseError};

/// Reads a case in either form.
pub fn read(path: &Path) -> Result<Document> {
    let content = std::fs::read(path)
        .map_err(|error| anyhow!("{}: {error}", path.display()).context("give a .mkw file or a case in bytes"))?;
    if content.is_empty() {
        bail!("{}: the file is empty", path.display());
    }
    if !is_text(path) {
        return Ok(Document::new(bytes::decode(&content)));
    }
    let text = String::from_utf8(content).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        anyhow!("{}: not text: byte {offset} is not UTF-8", path.display())
            .context("a case in bytes must not be called .mkw")
    })?;
    text::parse(&text).map_err(|error| anyhow!(diagnostic(&error, &text, path)))
}

/// The path says that it is text.
pub fn is_text(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "mkw")
}

/// An error of a text with the line, a caret, and the remedy.
fn diagnostic(error: &ParseError, text: &str, path: &Path) -> String {
    let plain = std::env::var_os("NO_COLOR").is_some() || !std::io::stderr().is_terminal();
    let renderer = if plain { Renderer::plain() } else { Renderer::styled() };
    let origin = path.display().to_string();
    let report = &[Level::ERROR.primary_title(error.message.as_str()).element(
        Snippet::source(text)
            .path(origin.as_str())
            .annotation(AnnotationKind::Primary.span(error.span.clone()).label(error.help.as_str())),
    )];
    renderer.render(report)
}

/// Makes a folder, and checks that files can be written there.
pub fn prepare_folder(folder: &Path) -> Result<()> {
    let help = "give another folder with --out";
    std::fs::create_dir_all(folder)
        .map_err(|error| anyhow!("cannot make the folder {}: {error}", folder.display()))
        .context(help)?;
    tempfile::NamedTempFile::new_in(folder)
        .map_err(|error| anyhow!("cannot write to {}: {error}", folder.display()))
        .context(help)?;
    Ok(())
}

/// Writes a file, whole or not at all.
pub fn write(path: &Path, content: &[u8]) -> Result<()> {
    let folder = match path.parent() {
        Some(folder) if folder != Path::new("") => folder.to_owned(),
        _ => PathBuf::from("."),
    };
    let written = || -> std::io::Result<()> {
        let mut file = tempfile::NamedTempFile::new_in(&folder)?;
        file.write_all(content)?;
        file.persist(path)?;
        Ok(())
    };
    written().map_err(|error| anyhow!("cannot write {}: {error}", path.display()))
}
