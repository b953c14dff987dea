//! `mkwrite export`: a case as a reproducer that stands alone.

use std::path::{Path, PathBuf};

use anyhow::{Result, anyhow};
use mkwrite_model::implementation::Filesystem;

use super::subject::{Switches, targets};
use crate::export::{FORMS, Form, Program};
use crate::output::{self, note};
use crate::{Exit, files};

/// Write a case as a program that needs nothing of mkwrite: C, shell, fsx or xfstests
///
/// Calls that come one after the other in the model's run of the case do so in the program too; the
/// others race, for no program alone can stop a kernel between two steps (`mkwrite vm` does that).
/// What is written says under which licence it stands.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The case
    file: PathBuf,
    /// The form
    #[arg(long = "as", value_name = "FORM", value_parser = forms())]
    form: String,
    /// The file to write (standard output without it). A test of xfstests also has FILE.out
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
}

fn forms() -> impl clap::builder::TypedValueParser {
    use clap::builder::PossibleValue;
    clap::builder::PossibleValuesParser::new(
        FORMS.iter().map(|form| PossibleValue::new(form.name).help(form.help)),
    )
}

/// Runs the subcommand.
pub(crate) fn run<F: Filesystem>(args: &Args) -> Result<Exit> {
    let document = files::read_of_one_file::<F>(&args.file)?;
    let form = FORMS.iter().find(|form| form.name == args.form).expect("clap has checked it");
    let ledger = files::own_ledger::<F>()?;
    let target = targets(&ledger, &[], &[], &Switches::default(), &document)?.first().copied();
    let comments = document.comments.iter().filter(|(before, _)| before == "mkw");
    let comments = comments.map(|(_, text)| text.trim().to_owned()).collect();
    let program = Program::new(&name(&args.file), comments, &document.case, target)?;
    let written = (form.write)(&program)?;
    for (ending, text) in &written {
        match &args.output {
            None if written.len() > 1 => {
                return Err(anyhow!("{} files are to be written", written.len())
                    .context("name the first with --output: the others stand beside it"));
            }
            None => output::bytes(text.as_bytes()),
            Some(path) => {
                let path = beside(path, ending, written.len());
                files::refuse_same(&args.file, &path)?;
                files::write(&path, text.as_bytes())?;
            }
        }
    }
    say(form, &program);
    Ok(Exit::Good)
}

/// What whoever gets it should know.
fn say(form: &Form, program: &Program) {
    (form.notes)(program).into_iter().for_each(note);
    if !program.left_out.is_empty() {
        note(format!("note: left out: {}", program.left_out.join(", ")));
    }
}

/// The first file has the name that was given, the others their ending besides.
fn beside(path: &Path, ending: &str, count: usize) -> PathBuf {
    if count == 1 {
        return path.to_owned();
    }
    let mut name = path.as_os_str().to_owned();
    name.push(ending);
    name.into()
}

/// A name for files and programs: letters, digits and dashes.
fn name(path: &Path) -> String {
    let stem = path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
    let name: String =
        stem.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    if name.trim_matches('-').is_empty() { "case".to_owned() } else { name }
}
