//! `mkwrite convert`: a case from text to bytes, or from bytes to canonical text.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use mkwrite_model::bytes;
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::text::Document;

use crate::export::fsx;
use crate::{Exit, files, output};

/// Convert a case between text (.mkw) and bytes, the fuzzers' form
///
/// A .mkw file becomes bytes, anything else becomes canonical text, unless --to says otherwise.
/// Bytes carry the case alone: what it runs on and what is expected stands beside it, in text. A
/// fuzzer runs bytes under several schedules; text has the first, and `shrink FILE` writes the one
/// that breaks something. With --from fsx it reads an operation file of fsx (NAME.fsxops) as a case
/// of one actor. The input stays as it is.
#[derive(clap::Args)]
pub struct Args {
    /// The file to read
    file: PathBuf,
    /// The form to read, if it is not one of these two
    #[arg(long, value_name = "FORM", value_parser = ["fsx"])]
    from: Option<String>,
    /// The form to write
    #[arg(long, value_parser = ["text", "bytes"])]
    to: Option<String>,
    /// The file to write (standard output without it)
    #[arg(short, long)]
    output: Option<PathBuf>,
}

/// Runs the subcommand.
pub fn run<F: Filesystem>(args: &Args) -> Result<Exit> {
    let document = match args.from {
        None => files::read::<F>(&args.file)?,
        Some(_) => operations_of_fsx(&args.file)?,
    };
    let from_text = args.from.is_none() && files::is_text(&args.file);
    let to_text = args.to.as_deref().map_or(!from_text, |to| to == "text");
    let content =
        if to_text { document.to_string().into_bytes() } else { bytes::encode(&document.case) };
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
