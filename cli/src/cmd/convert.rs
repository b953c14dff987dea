//! `mkwrite convert`: a case from text to bytes, or from bytes to canonical text; inputs of fuzzers
//! in an older form to the newest one.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use mkwrite_model::bytes;
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::text::Document;
use mkwrite_search::stored_pairs::PairNumbers;

use crate::export::fsx;
use crate::{Exit, files, output};

/// Convert a case between text (.mkw) and bytes, the fuzzers' form, or old bytes to the newest form
///
/// A .mkw file becomes bytes, anything else becomes canonical text, unless --to says otherwise.
/// Bytes carry the case alone, and the number of a pair: what is expected stands beside it, in text.
/// A fuzzer runs bytes under several schedules; text has the first, and `shrink FILE` writes the one
/// that breaks something. With --from fsx it reads an operation file of fsx (NAME.fsxops) as a case
/// of one actor. The input stays as it is.
///
/// Of a folder of a fuzzer's inputs each becomes bytes in the newest form (or text), in the folder
/// of --output: the same case on the same pair.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The file to read, or a folder of inputs
    file: PathBuf,
    /// The form to read, if it is not one of these two
    #[arg(long, value_name = "FORM", value_parser = ["fsx"])]
    from: Option<String>,
    /// The form to write
    #[arg(long, value_parser = ["text", "bytes"])]
    to: Option<String>,
    /// The file to write (standard output without it), or the folder
    #[arg(short, long)]
    output: Option<PathBuf>,
}

/// The table of pairs.
fn pair_numbers<F: Filesystem>() -> Result<PairNumbers<F>> {
    Ok(PairNumbers::new(&files::own_ledger::<F>()?))
}

/// Runs the subcommand.
pub(crate) fn run<F: Filesystem>(args: &Args) -> Result<Exit> {
    if args.file.is_dir() {
        return folder::<F>(args);
    }
    let is_bytes = args.from.is_none() && !files::is_text(&args.file);
    let to_text = args.to.as_deref().map_or(args.from.is_some() || is_bytes, |to| to == "text");
    let content = if is_bytes && !to_text {
        pair_numbers::<F>()?.upgraded(&files::input(&args.file)?)
    } else {
        let document = match args.from {
            Some(_) => operations_of_fsx(&args.file)?,
            None => files::read::<F>(&args.file)?,
        };
        if to_text { document.to_string().into_bytes() } else { bytes::encode(&document.case) }
    };
    if let Some(output) = args.output.as_deref() {
        files::refuse_same(&args.file, output)?;
        if !to_text && files::is_text(output) {
            let what = format!("{}: a case in bytes must not be called .mkw", output.display());
            return Err(anyhow!(what).context("give another name, or --to text"));
        }
    }
    match &args.output {
        Some(path) => files::write(path, &content)?,
        None => output::bytes(&content),
    }
    Ok(Exit::Good)
}

/// Converts the inputs of a folder into another one.
fn folder<F: Filesystem>(args: &Args) -> Result<Exit> {
    let from = &args.file;
    let Some(to) = &args.output else {
        let what = format!("{} is a folder", from.display());
        return Err(anyhow!(what).context("name another folder with --output"));
    };
    std::fs::create_dir_all(to).map_err(|error| anyhow!("{}: {error}", to.display()))?;
    files::refuse_same(from, to)?;
    let numbers = pair_numbers::<F>()?;
    let to_text = args.to.as_deref() == Some("text");
    let inputs = inputs(from)?;
    for path in &inputs {
        let input = files::input(path)?;
        let (name, content) = if to_text {
            let document = Document::new(bytes::decode(&input));
            (files::sha1(&input) + ".mkw", document.to_string().into_bytes())
        } else {
            let new = numbers.upgraded(&input);
            (files::sha1(&new), new)
        };
        files::write(&to.join(name), &content)?;
    }
    output::note(format!("{} inputs of {} in {}", inputs.len(), from.display(), to.display()));
    Ok(Exit::Good)
}

/// The files of a folder that are inputs: not empty, and no text.
fn inputs(folder: &Path) -> Result<Vec<PathBuf>> {
    let entries = std::fs::read_dir(folder).map_err(|e| anyhow!("{}: {e}", folder.display()))?;
    let mut all: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    all.retain(|path| path.metadata().is_ok_and(|meta| meta.is_file() && meta.len() > 0));
    all.retain(|path| !files::is_text(path));
    all.sort();
    Ok(all)
}

/// The case of an operation file of fsx. What is not the same is said.
fn operations_of_fsx(path: &Path) -> Result<Document> {
    let text = String::from_utf8_lossy(&files::content(path)?).into_owned();
    let at = |error: anyhow::Error| {
        let what = anyhow!("{}: {}", path.display(), error.root_cause());
        if error.chain().len() > 1 { what.context(error.to_string()) } else { what }
    };
    let (case, notes) = fsx::read(&text).map_err(at)?;
    for text in notes {
        output::note(format!("note: {text}"));
    }
    Ok(Document::new(case))
}
