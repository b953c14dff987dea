//! One named test per file of `corpus/regressions`, in both directions: what a case expects must
//! break, or, where it expects to pass, nothing must. The explanation beside it must be the one
//! that comes out now; `UPDATE_EXPECT=1 cargo test -p mkwrite-report --test regressions` takes the
//! new one.

use std::path::{Path, PathBuf};

use expect_test::expect_file;
use libtest_mimic::{Arguments, Failed, Trial};
use mkwrite_impls::Builtin;
use mkwrite_model::text::parse;
use mkwrite_oracle::ledger::Ledger;
use mkwrite_oracle::run::{Runner, targets_of};
use mkwrite_oracle::verdict::judge;
use mkwrite_report::golden;

fn main() {
    let arguments = Arguments::from_args();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/regressions");
    let mut files: Vec<PathBuf> = std::fs::read_dir(folder)
        .expect("the corpus has this folder")
        .map(|entry| entry.expect("readable").path())
        .collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "mkw"));
    files.sort();
    let trials = files.into_iter().map(|file| {
        let name = file.file_stem().expect("a file has a name").to_string_lossy().into_owned();
        Trial::test(name, move || check(&file))
    });
    libtest_mimic::run(&arguments, trials.collect()).exit();
}

fn check(file: &Path) -> Result<(), Failed> {
    let text = std::fs::read_to_string(file)?;
    let document = parse(&text)?;
    if document.to_string() != text {
        return Err(format!("not in canonical form, which is\n{document}").into());
    }
    if document.runs.is_empty() || document.expects.is_empty() {
        return Err("a regression test says what it runs on, and what to expect".into());
    }
    let (ledger, mut runner) = (Ledger::<Builtin>::own(), Runner::default());
    for target in targets_of(&document)? {
        let judged = judge(&mut runner, &ledger, target, &document);
        if !judged.verdict.is_good() {
            return Err(format!(
                "{target}: {}, missing {:?}",
                judged.verdict.name(),
                judged.missing
            )
            .into());
        }
    }
    expect_file![file.with_extension("txt")].assert_eq(&golden::text::<Builtin>(&document)?);
    Ok(())
}
