//! `mkwrite seeds`: what a fuzzing engine starts from, as files.

use std::path::PathBuf;

use anyhow::{Result, bail};
use mkwrite_model::implementation::Filesystem;
use mkwrite_report::count;

use crate::engine::TARGETS;
use crate::output::{self, note};
use crate::seeds::{self, Start};
use crate::{Exit, files};

/// Write seeds, a dictionary and options for each fuzzing target
///
/// For each target NAME of fuzz/Cargo.toml, as OSS-Fuzz and ClusterFuzzLite take them:
/// NAME_seed_corpus.zip, NAME.dict and NAME.options. The zip's entries are named by the SHA-1 of
/// their content. Targets of cases get the .mkw files as bytes, the parser gets them as they are,
/// and the history checker, which takes no cases, gets small histories. A file that cannot be read
/// is reported and passed over; the exit code is 2 then.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// A folder of .mkw files, searched to the bottom
    #[arg(default_value = "corpus", value_name = "DIR")]
    corpus: PathBuf,
    /// Where to write
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Write the seeds of each target into a folder NAME, for cargo fuzz and AFL++, instead of a
    /// zip
    #[arg(long)]
    folders: bool,
}

/// Runs the subcommand.
pub(crate) fn run<F: Filesystem>(args: &Args) -> Result<Exit> {
    let (cases, unread) = seeds::read::<F>(&args.corpus)?;
    if cases.is_empty() {
        bail!("{}: no .mkw file that can be read", args.corpus.display());
    }
    let ledger = files::own_ledger::<F>()?;
    files::prepare_folder(&args.out)?;
    for target in TARGETS {
        let (name, start) = (target.name, Start::new(&ledger, target, &cases));
        if args.folders {
            let folder = args.out.join(name);
            files::prepare_folder(&folder)?;
            for (entry, content) in &start.seeds {
                files::write(&folder.join(entry), content)?;
            }
        } else {
            files::write(&args.out.join(format!("{name}_seed_corpus.zip")), &start.zip()?)?;
        }
        files::write(&args.out.join(format!("{name}.dict")), start.dictionary.as_bytes())?;
        files::write(&args.out.join(format!("{name}.options")), start.options().as_bytes())?;
        output::line(format!(
            "{name}: {} seeds, {} words",
            start.seeds.len(),
            start.dictionary.lines().count()
        ));
    }
    for error in &unread {
        output::error(error);
    }
    if !unread.is_empty() {
        let were = if unread.len() == 1 { "was" } else { "were" };
        note(format!("{} {were} passed over", count(unread.len(), "file")));
    }
    Ok(if unread.is_empty() { Exit::Good } else { Exit::BadInput })
}
