//! Files that the command reads and writes. Whole or not at all: a new file is written beside its
//! place and renamed. A `.mkw` file is text; any other file that is not empty is a case in bytes,
//! and always valid, unless it is the text of a case under a wrong name.

use std::fs::Permissions;
use std::io::{IsTerminal, Read, Write};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use anyhow::{Context, Result, anyhow, bail};
use mkwrite_model::bytes;
use mkwrite_model::case::Operation;
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::text::{self, Document, Expect, ParseError, Reading, Stale};
use mkwrite_oracle::ledger::{Ledger, LedgerError};
use mkwrite_report::triage::uri;
use sha1::{Digest, Sha1};
use walkdir::WalkDir;

use crate::names::{self, callers, implementations, pairs, unknown};

/// Bytes of the largest file of a case.
pub(crate) const BYTES_MAX: u64 = 1 << 20;

/// The content of a file that is to be a case: a pipe or a device may have no end.
pub(crate) fn content(path: &Path) -> Result<Vec<u8>> {
    let mut content = Vec::new();
    let read = std::fs::File::open(path)
        .and_then(|file| file.take(BYTES_MAX + 1).read_to_end(&mut content));
    read.map_err(|error| {
        anyhow!("{}: {error}", path.display()).context("give a .mkw file or a case in bytes")
    })?;
    if content.is_empty() {
        bail!("{}: the file is empty", path.display());
    }
    if content.len() as u64 > BYTES_MAX {
        let what = format!("{}: more than {BYTES_MAX} bytes", path.display());
        return Err(anyhow!(what).context("no case is as large"));
    }
    Ok(content)
}

/// The output is not the input, by any name: no command destroys what it reads.
pub(crate) fn refuse_same(input: &Path, output: &Path) -> Result<()> {
    let id = |path: &Path| path.metadata().ok().map(|meta| (meta.dev(), meta.ino()));
    if id(input).is_some_and(|input| Some(input) == id(output)) {
        let what = format!("{} is the file that is read", output.display());
        return Err(anyhow!(what).context("give another file to write"));
    }
    Ok(())
}

/// The content of a file that is to be a case in bytes.
pub(crate) fn input(path: &Path) -> Result<Vec<u8>> {
    let content = content(path)?;
    if looks_like_text(&content) {
        return Err(anyhow!("{}: this is a case in text, not in bytes", path.display())
            .context("call it .mkw"));
    }
    Ok(content)
}

/// Reads a case in either form.
pub(crate) fn read<F: Filesystem>(path: &Path) -> Result<Document> {
    let (document, stale) = read_with_stale::<F>(path)?;
    match stale.first() {
        None => Ok(document),
        Some(stale) => {
            let text = std::fs::read_to_string(path).unwrap_or_default();
            Err(anyhow!(diagnostic(&stale.error, &text, path))
                .context("`mkwrite replay` can realign a stale schedule"))
        }
    }
}

/// Reads a case of one file: what is not the model has no other.
pub(crate) fn read_of_one_file<F: Filesystem>(path: &Path) -> Result<Document> {
    let document = read::<F>(path)?;
    if document.case.geometry.second != 0 {
        return Err(anyhow!("{}: two files are for the model alone", path.display())
            .context("take `second` out of the statement `file`, and copies from the other file"));
    }
    Ok(document)
}

/// Reads a case whose schedule may name points that do not exist any more: those lines are taken
/// out, and named.
pub(crate) fn read_with_stale<F: Filesystem>(path: &Path) -> Result<(Document, Vec<Stale>)> {
    if !is_text(path) {
        return Ok((Document::new(bytes::decode(&input(path)?)), Vec::new()));
    }
    let text = String::from_utf8(content(path)?).map_err(|error| {
        let offset = error.utf8_error().valid_up_to();
        anyhow!("{}: not text: byte {offset} is not UTF-8", path.display())
            .context("a case in bytes must not be called .mkw")
    })?;
    let Reading { document, stale, mut errors } = text::parse_all(&text);
    errors.extend(check::<F>(&document, &text));
    errors.sort_by_key(|error| (error.line, error.column));
    if !errors.is_empty() {
        let all: Vec<String> = errors.iter().map(|error| diagnostic(error, &text, path)).collect();
        bail!("{}", all.join("\n"));
    }
    Ok((document, stale))
}

/// The number of the line of the n-th statement that begins with `word`.
pub(crate) fn line_of(text: &str, word: &str, nth: usize) -> usize {
    lines_of(text, word).nth(nth).unwrap_or(0)
}

/// The numbers of the lines of the statements that begin with `word`.
pub(crate) fn lines_of(text: &str, word: &str) -> impl Iterator<Item = usize> {
    let is_one = move |line: &str| line.split_whitespace().next() == Some(word);
    text.lines().enumerate().filter(move |(_, line)| is_one(line)).map(|(n, _)| n + 1)
}

/// The first statement is one of a case in text.
fn looks_like_text(content: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(content) else { return false };
    let mut lines =
        text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    lines.next().is_some_and(|line| line.split_whitespace().next() == Some("mkw"))
}

/// Everything that the statements name exists, and the pairs make sense.
fn check<F: Filesystem>(document: &Document, text: &str) -> Vec<ParseError> {
    let mut errors = Vec::new();
    let runs = document.runs.iter().enumerate().map(|(n, pair)| (("run", n), pair));
    let compared = document.compare.iter().map(|pair| (("compare", 0), pair));
    for (statement, (fs, caller)) in runs.chain(compared) {
        let fs = implementations::<F>(std::slice::from_ref(fs));
        let caller = callers(std::slice::from_ref(caller));
        let pair = match (&fs, &caller) {
            (Ok(fs), Ok(callers)) => pairs(fs, callers).map(drop).err(),
            _ => None,
        };
        let all = [(1, fs.err()), (2, caller.err()), (1, pair)];
        let all = all.into_iter().filter_map(|(word, error)| Some((word, error?)));
        errors.extend(all.map(|(word, error)| at_word(text, statement, word, &error)));
    }
    for (n, expect) in document.expects.iter().enumerate() {
        let Expect::Breach { rule, operation, .. } = expect else { continue };
        let kinds =
            Operation::KINDS.iter().skip(1).map(|kind| kind.name).chain(["io", "closing", "call"]);
        let is_kind = kinds.clone().any(|kind| kind == operation);
        let kind = (!is_kind).then(|| unknown("kind of operation", operation, kinds));
        let all = [(1, names::rule(rule).err()), (3, kind)];
        let all = all.into_iter().filter_map(|(word, error)| Some((word, error?)));
        errors.extend(all.map(|(word, error)| at_word(text, ("expect", n), word, &error)));
    }
    errors
}

/// An error about one word of the n-th statement of its kind.
fn at_word(
    text: &str,
    (keyword, nth): (&str, usize),
    word: usize,
    error: &anyhow::Error,
) -> ParseError {
    let line = line_of(text, keyword, nth);
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let code = text[start..].lines().next().unwrap_or_default();
    let found = code.split_whitespace().nth(word).unwrap_or(code);
    // A part of the same string.
    let column = found.as_ptr() as usize - code.as_ptr() as usize;
    let help = if error.chain().len() > 1 { error.to_string() } else { String::new() };
    ParseError {
        line,
        column: code[..column].chars().count() + 1,
        span: start + column..start + column + found.len(),
        message: error.root_cause().to_string(),
        help,
    }
}

/// The path says that it is text.
pub(crate) fn is_text(path: &Path) -> bool {
    path.extension().is_some_and(|extension| extension == "mkw")
}

/// The files, and the .mkw files below folders, in order of their paths.
pub(crate) fn cases_below(paths: &[PathBuf]) -> Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for path in paths {
        if !path.is_dir() {
            all.push(path.clone());
            continue;
        }
        let before = all.len();
        for entry in WalkDir::new(path).sort_by_file_name() {
            let file = entry?.into_path();
            if is_text(&file) {
                all.push(file);
            }
        }
        if all.len() == before {
            bail!("{}: there are no .mkw files", path.display());
        }
    }
    Ok(all)
}

/// The ledger of a folder: all of its .toml files.
pub(crate) fn read_ledger<F: Filesystem>(folder: &Path) -> Result<Ledger<F>> {
    let help = "give a folder of .toml files, like corpus/ledger";
    let entries = std::fs::read_dir(folder)
        .map_err(|error| anyhow!("{}: {error}", folder.display()))
        .context(help)?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "toml"));
    paths.sort();
    if paths.is_empty() {
        return Err(anyhow!("{}: there are no .toml files", folder.display()).context(help));
    }
    let mut texts = Vec::new();
    for path in &paths {
        let text = std::fs::read_to_string(path)
            .map_err(|error| anyhow!("{}: {error}", path.display()))?;
        texts.push((path.display().to_string(), text));
    }
    let files: Vec<(&str, &str)> =
        texts.iter().map(|(name, text)| (name.as_str(), text.as_str())).collect();
    parse_ledger(&files)
}

/// The ledger that the filesystems come with.
pub(crate) fn own_ledger<F: Filesystem>() -> Result<Ledger<F>> {
    parse_ledger(F::ledger())
}

fn parse_ledger<F: Filesystem>(files: &[(&str, &str)]) -> Result<Ledger<F>> {
    Ledger::parse_all(files).map_err(|error| {
        let text = files.iter().find(|(name, _)| *name == error.file).map_or("", |(_, text)| *text);
        let LedgerError { file, span, message, help, .. } = &error;
        anyhow!(snippet(message, help, span.clone(), text, file))
    })
}

/// An error of a text with the line, a caret, and the remedy.
fn diagnostic(error: &ParseError, text: &str, path: &Path) -> String {
    snippet(&error.message, &error.help, error.span.clone(), text, &path.display().to_string())
}

fn snippet(
    message: &str,
    help: &str,
    span: std::ops::Range<usize>,
    text: &str,
    origin: &str,
) -> String {
    let plain = std::env::var_os("NO_COLOR").is_some() || !std::io::stderr().is_terminal();
    let renderer = if plain { Renderer::plain() } else { Renderer::styled() };
    let report = &[Level::ERROR.primary_title(message).element(
        Snippet::source(text)
            .path(origin)
            .annotation(AnnotationKind::Primary.span(span).label(help)),
    )];
    renderer.render(report)
}

/// Makes a folder, and checks that files can be written there.
pub(crate) fn prepare_folder(folder: &Path) -> Result<()> {
    let help = "give another folder with --out";
    std::fs::create_dir_all(folder)
        .map_err(|error| anyhow!("cannot make the folder {}: {error}", folder.display()))
        .context(help)?;
    tempfile::NamedTempFile::new_in(folder)
        .map_err(|error| anyhow!("cannot write to {}: {error}", folder.display()))
        .context(help)?;
    Ok(())
}

/// The ledger of what kernels do otherwise and is explained: this file's, or the one that was
/// compiled in.
#[cfg(all(feature = "live", target_os = "linux"))]
pub(crate) fn explained(path: Option<&Path>) -> Result<mkwrite_live::ledger::Ledger> {
    use mkwrite_live::ledger::{Ledger, OWN};
    let Some(path) = path else {
        return Ledger::parse(OWN).map_err(|error| anyhow!("corpus/conformance.toml: {error}"));
    };
    let at = |error: &dyn std::fmt::Display| anyhow!("{}: {error}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| at(&error))?;
    Ledger::parse(&text).map_err(|error| at(&error))
}

/// Saves a case with these comments, under a name by its content. Returns where.
#[cfg(all(feature = "live", target_os = "linux"))]
pub(crate) fn save_case(
    folder: &Path,
    of: &str,
    mut document: Document,
    comments: impl IntoIterator<Item = String>,
) -> Result<PathBuf> {
    document.comments = comments.into_iter().map(|text| ("mkw".to_owned(), text)).collect();
    let text = document.to_string();
    let path = folder.join(format!("{of}-{}.mkw", &sha1(text.as_bytes())[..8]));
    write(&path, text.as_bytes())?;
    Ok(path)
}

/// Writes a file, whole or not at all. What is no regular file (a pipe, a device) is written to as
/// it is.
pub(crate) fn write(path: &Path, content: &[u8]) -> Result<()> {
    let written = || -> std::io::Result<()> {
        let path = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        if path.metadata().is_ok_and(|meta| !meta.is_file() && !meta.is_dir()) {
            return std::fs::OpenOptions::new().write(true).open(&path)?.write_all(content);
        }
        let folder =
            path.parent().filter(|folder| *folder != Path::new("")).unwrap_or(Path::new("."));
        // The usual rights of a new file, where a temporary one would be its owner's alone.
        let mut file = tempfile::Builder::new()
            .permissions(Permissions::from_mode(0o666))
            .tempfile_in(folder)?;
        file.write_all(content)?;
        file.persist(&path)?;
        Ok(())
    };
    written().map_err(|error| anyhow!("cannot write {}: {error}", path.display()))
}

/// The SHA-1 of a content in hexadecimal digits: how fuzzing engines name their inputs.
pub(crate) fn sha1(content: &[u8]) -> String {
    Sha1::digest(content).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// An error in one line: what happened, and of a diagnostic also the place.
pub(crate) fn reason(path: &Path, error: &anyhow::Error) -> String {
    let text = error.root_cause().to_string();
    let plain = anstream::adapter::strip_str(&text).to_string();
    let head: Vec<&str> = plain.lines().take(2).map(str::trim).collect();
    let head = head.join(" ");
    let head = head.strip_prefix(&format!("{}: ", path.display())).unwrap_or(&head);
    head.strip_prefix("error: ").unwrap_or(head).to_owned()
}

/// Turns paths into links that lead there from this page.
pub(crate) fn linker(page: &Path) -> Result<impl Fn(&str) -> String> {
    let page = std::path::absolute(page)?;
    Ok(move |file: &str| {
        let from = page.parent().unwrap_or(&page);
        let way = std::path::absolute(file).ok().and_then(|file| pathdiff::diff_paths(file, from));
        uri(&way.map_or_else(|| file.to_owned(), |way| way.display().to_string()))
    })
}
