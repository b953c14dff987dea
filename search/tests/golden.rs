//! The trace hashes of the corpus and of generated cases, against committed ones: the same case
//! gives the same trace on every machine, in debug and in release builds. A change of the model or
//! of the trace's form changes them; `cargo insta review` shows the difference. A hash says only
//! that something changed; of a handful of cases the whole trace stands beside the hashes, to see
//! what.

use std::fmt::Write;
use std::path::Path;

use mkwrite_impls::Builtin;
use mkwrite_model::Case;
use mkwrite_model::Target;
use mkwrite_model::generate::Generator;
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::text::parse;
use mkwrite_oracle::ledger::Ledger;
use mkwrite_oracle::run::{Runner, ScheduledBy, targets_of};
use mkwrite_search::hunt::{Plan, how};

#[test]
fn corpus() {
    let mut runner = Runner::default();
    let mut text = String::new();
    for folder in ["known", "pass"] {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(folder);
        let entries = walkdir::WalkDir::new(folder).into_iter().map(|entry| entry.unwrap());
        let mut files: Vec<_> = entries.filter(|entry| entry.file_type().is_file()).collect();
        files.sort_by_key(|entry| entry.file_name().to_owned());
        for path in files.into_iter().map(walkdir::DirEntry::into_path) {
            let document = parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
            let name = path.file_stem().unwrap().to_string_lossy();
            for Target { pair, .. } in targets_of::<Builtin>(&document).unwrap() {
                let hash = runner.hash(Target::from(pair), &document.case, ScheduledBy::Own);
                let (fs, caller) = (pair.implementation.name(), pair.caller.name());
                writeln!(text, "{hash:016x} {name} {fs} x {caller}").unwrap();
            }
        }
    }
    insta::assert_snapshot!(text);
}

/// Cases of the corpus whose traces are read: the race, and the same schedule where it is harmless;
/// a truncate against page_mkwrite, bytes past EOF, and a mapping without page_mkwrite. Each on the
/// first pair that its file names.
const READ: &[&str] = &[
    "known/unlocked-return/race-nfs-stable",
    "pass/race-nfs-stable",
    "known/unlocked-return/race-fsblock-truncate",
    "known/eof-extension/eof-content",
    "known/no-page-mkwrite/late-no-mkwrite-fsync",
];

#[test]
fn traces() {
    for name in READ {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../corpus")
            .join(name)
            .with_extension("mkw");
        let document = parse(&std::fs::read_to_string(&path).unwrap()).unwrap();
        let target = targets_of::<Builtin>(&document).unwrap()[0];
        let (lines, hash) = Runner::default().trace(target, &document.case, &mut ());
        let text = format!("{target}, trace {hash:016x}\n{}\n", lines.join("\n"));
        insta::with_settings!({ omit_expression => true, prepend_module_to_snapshot => false }, {
            insta::assert_snapshot!(format!("trace-{}", name.replace('/', "-")), text);
        });
    }
}

#[test]
fn generated() {
    let ledger = Ledger::<Builtin>::own();
    let targets: Vec<Target<Builtin>> =
        ledger.default_pairs().into_iter().map(Target::from).collect();
    let plan = Plan::new(targets, 1, 0, ledger);
    let (mut runner, mut case, mut text) = (Runner::default(), Case::default(), String::new());
    for target in &plan.targets {
        let mut sum = 0u64;
        for index in 0..300 {
            Generator::new(index % 2 == 1).generate(plan.seed, index, &mut case);
            sum = sum.rotate_left(1) ^ runner.hash(*target, &case, how(&plan, index));
        }
        let pair = target.pair;
        writeln!(text, "{sum:016x} {} x {}", pair.implementation.name(), pair.caller.name())
            .unwrap();
    }
    insta::assert_snapshot!(text);
}
