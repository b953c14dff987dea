//! The command with a filesystem of somebody else: it hunts, replays, shrinks and explains there,
//! beside the built-in ones.

use std::path::Path;
use std::process::{Command, Output};

fn mkwrite(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_own-filesystem")).args(arguments).output().expect("it starts")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

fn code(output: &Output) -> Option<i32> {
    output.status.code()
}

#[test]
fn a_hunt_finds_the_bug_of_the_first_version_and_none_in_the_second() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().to_str().unwrap();
    let common = ["hunt", "--cases", "4000", "--seed", "1", "--out", out];
    let hunt = |of: &[&str]| mkwrite(&[&common[..], of].concat());
    let first = hunt(&["--impl", "minimalfs@1", "--rule", "I27"]);
    assert_eq!(code(&first), Some(1), "{}", text(&first));
    let file = folder.path().join("minimalfs@1-2.6.30-I27-miss.set_pte-new.mkw");
    assert!(file.exists(), "{}", text(&first));
    assert_eq!(code(&hunt(&["--impl", "minimalfs@2"])), Some(0), "what breaks is in its ledger");
    let cured = hunt(&["--impl", "minimalfs@2", "--remedy", "all"]);
    assert!(text(&cured).contains("no rule was broken"), "{}", text(&cured));

    let file = file.to_str().unwrap();
    let shrunk = mkwrite(&["shrink", file, "--output", &format!("{out}/small.mkw")]);
    assert_eq!(code(&shrunk), Some(0), "{}", text(&shrunk));
    let explained = text(&mkwrite(&["explain", file]));
    let explained = explained.split_whitespace().collect::<Vec<_>>().join(" "); // lines wrap
    assert!(explained.contains("minimalfs@1 x 2.6.30 breaks I27 at miss.set_pte"), "{explained}");
    assert!(explained.contains("minimalfs@2"), "another version closes it: {explained}");
}

#[test]
fn its_cases_replay_there_and_elsewhere() {
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    for case in ["page-gone.mkw", "eof-content.mkw"] {
        let file = cases.join(case);
        let replayed = mkwrite(&["replay", file.to_str().unwrap()]);
        assert_eq!(code(&replayed), Some(0), "{case} breaks what it says: {}", text(&replayed));
    }
    let matrix = text(&mkwrite(&["matrix", cases.join("page-gone.mkw").to_str().unwrap()]));
    assert!(matrix.contains("minimalfs@1") && matrix.contains("nfs@3.0"), "{matrix}");
}

#[test]
fn it_is_in_the_lists_beside_the_others() {
    let list = text(&mkwrite(&["list", "implementations"]));
    assert!(list.contains("minimalfs@2") && list.contains("block@2.6.30"), "{list}");
    assert!(text(&mkwrite(&["list", "entries"])).contains("minimalfs-eof-record"));
}
