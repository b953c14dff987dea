//! `mkwrite export`: every form of some known cases, compiled and run. The goldens in
//! `golden/export` are what is written; UPDATE_EXPECT=1 takes a change.

mod common;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use common::{Run, corpus};
use expect_test::expect_file;

/// One actor, and several; with reads, with what ends in a signal, in two address spaces.
const CASES: [&str; 6] = [
    "known/eof-extension/eof-record-nfs.mkw",
    "known/eof-extension/eof-content.mkw",
    "known/truncate-undone/truncate-undone.mkw",
    "known/grow-file/grow-file.mkw",
    "known/unlocked-return/race-nfs-stable.mkw",
    "known/unlocked-return/late-dirty-tail.mkw",
];

fn is_there(program: &str) -> bool {
    let there = Command::new("sh").args(["-c", &format!("command -v {program}")]).output();
    let there = there.is_ok_and(|output| output.status.success())
        || Path::new("/usr/sbin").join(program).exists();
    if !there {
        eprintln!("skipped: there is no {program} here");
    }
    there
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// What is written for a case, below this name.
fn export(run: &Run, case: &str, form: &str, name: &str) -> (PathBuf, String) {
    let (printed, code) = run.prints(&format!("export {} --as {form} -o {name}", corpus(case)));
    assert_eq!((printed.as_str(), code), ("", Some(0)));
    let path = run.path(name);
    let content = std::fs::read_to_string(&path).unwrap();
    (path, content)
}

fn compile(source: &Path) -> PathBuf {
    let program = source.with_extension("");
    let mut gcc = Command::new("gcc");
    gcc.args(["-O2", "-Wall", "-Wextra", "-Werror", "-pthread", "-o"]).arg(&program).arg(source);
    let Output { status, stderr, .. } = gcc.output().unwrap();
    assert!(status.success(), "{}", text(&stderr));
    program
}

/// Four rounds of a program in its folder: its exit code, and what it says.
fn run_in(program: &Path, rounds: &str) -> (Option<i32>, String) {
    let folder = program.parent().unwrap();
    let output = Command::new(program).arg(folder).arg(rounds).output().unwrap();
    (output.status.code(), text(&output.stdout) + &text(&output.stderr))
}

#[test]
fn the_c_form_compiles_without_a_warning_runs_and_sees_what_is_wrong() {
    if !is_there("gcc") {
        return;
    }
    let run = Run::new();
    for case in CASES {
        let (source, content) = export(&run, case, "c", "case.c");
        assert!(content.starts_with("// SPDX-License-Identifier: MIT OR Apache-2.0\n"));
        let (code, said) = run_in(&compile(&source), "0");
        // Bytes stored beyond the end become content on some filesystems.
        let may_be_wrong = case.contains("eof-content");
        assert!(code == Some(0) || may_be_wrong && code == Some(1), "{case}: {code:?} {said}");
        assert!(said.contains("4 rounds"), "{case}: {said}");
        let left = std::fs::read_dir(source.parent().unwrap()).unwrap();
        let left: Vec<_> = left.map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(left.len(), 2, "only the source and the program: {left:?}");
    }
    // As if the filesystem had kept what was there before.
    let (source, content) = export(&run, CASES[0], "c", "case.c");
    let table = "content[CELLS] = { \"A\", \"C\"";
    assert!(content.contains(table));
    std::fs::write(&source, content.replace(table, "content[CELLS] = { \"A\", \"i\"")).unwrap();
    let (code, said) = run_in(&compile(&source), "0");
    assert_eq!(code, Some(1));
    let wrong = "round 0: at the end: bytes 2048..4096 hold 0x43 (C), and may hold one of \"i\"";
    assert!(said.starts_with(wrong) && said.contains("4 rounds, 4 wrong"), "{said}");
    let (code, said) = run_in(&compile(&source), "");
    assert_eq!(code, Some(1), "{said}");
    let output = Command::new(source.with_extension("")).arg("/no/such/folder").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(text(&output.stderr).contains("/no/such/folder"), "{}", text(&output.stderr));
}

#[test]
fn the_shell_form_runs_and_sees_what_is_wrong() {
    if !is_there("xfs_io") {
        return;
    }
    let run = Run::new();
    let sh = |script: &Path| {
        let folder = script.parent().unwrap();
        let output = Command::new("sh").arg(script).arg(folder).arg("2").output().unwrap();
        (output.status.code(), text(&output.stdout) + &text(&output.stderr))
    };
    for case in [CASES[0], CASES[2], CASES[4]] {
        let (script, _) = export(&run, case, "sh", "case.sh");
        let (code, said) = sh(&script);
        assert_eq!(code, Some(0), "{case}: {said}");
        assert!(said.contains("2 rounds, 0 wrong"), "{said}");
    }
    let (script, content) = export(&run, CASES[0], "sh", "case.sh");
    std::fs::write(&script, content.replace("cell 1 \"43\"", "cell 1 \"69\"")).unwrap();
    let (code, said) = sh(&script);
    assert_eq!(code, Some(1));
    assert!(said.starts_with("round 0: cell 1 (at 2048) holds 0x43, and may hold: 69"), "{said}");
}

#[test]
fn a_test_of_xfstests_has_what_it_prints_beside_it_and_its_commands_are_right() {
    let run = Run::new();
    let (_, test) = export(&run, CASES[0], "xfstests", "999");
    let (_, race) = export(&run, CASES[2], "xfstests", "998");
    let printed = std::fs::read_to_string(run.path("999.out")).unwrap();
    expect_file!["golden/export/eof-record-nfs.xfstests"].assert_eq(&test);
    expect_file!["golden/export/eof-record-nfs.out"].assert_eq(&printed);
    expect_file!["golden/export/truncate-undone.xfstests"].assert_eq(&race);
    let silent = std::fs::read_to_string(run.path("998.out")).unwrap();
    assert_eq!(silent, "QA output created by NNN\nSilence is golden\n");
    if !is_there("xfs_io") {
        return;
    }
    // With stand-ins for what xfstests brings, both print what they are to print.
    let common = run.path("common");
    std::fs::create_dir(&common).unwrap();
    let stand_ins = format!(
        "_begin_fstest() {{ echo \"QA output created by NNN\"; }}\nXFS_IO_PROG=$(PATH=$PATH:/usr/sbin \
         command -v xfs_io)\nseqres={0}/seqres\nSCRATCH_MNT={0}\nfor f in _require_scratch \
         _require_xfs_io_command _scratch_mkfs _scratch_mount _scratch_cycle_mount; do eval \"$f() \
         {{ :; }}\"; done\n",
        run.path("").display()
    );
    std::fs::write(common.join("preamble"), stand_ins).unwrap();
    std::fs::write(common.join("filter"), "").unwrap();
    for (name, printed) in [("999", printed), ("998", silent)] {
        let mut bash = Command::new("bash");
        let output = bash.arg(name).current_dir(run.path("")).output().unwrap();
        assert_eq!(text(&output.stdout) + &text(&output.stderr), printed, "{name}");
    }
}

#[test]
fn what_is_written_is_what_was_reviewed() {
    let run = Run::new();
    let written = |case: &str, form: &str| export(&run, case, form, "case").1;
    expect_file!["golden/export/eof-record-nfs.c"].assert_eq(&written(CASES[0], "c"));
    expect_file!["golden/export/truncate-undone.c"].assert_eq(&written(CASES[2], "c"));
    expect_file!["golden/export/eof-record-nfs.sh"].assert_eq(&written(CASES[0], "sh"));
    expect_file!["golden/export/truncate-undone.sh"].assert_eq(&written(CASES[2], "sh"));
    expect_file!["golden/export/eof-record-nfs.fsxops"].assert_eq(&written(CASES[0], "fsx"));
}

#[test]
fn operations_of_fsx_become_a_case() {
    let run = Run::new();
    let operations = "write 0x0 0x1000 0x0\nskip read 0x9000 0x10 0x1000\nmapwrite 0x1000 0x800 \
                      0x1000 close_open\ntruncate 0x0 0x400 0x1800 *\npunch_hole 0x0 0x400 0x400\n\
                      fallocate 0x400 0x400 0x400\nmapread 0x0 0x400 0x800\nread 0x0 0x400 0x800\n\
                      fsync 0x0 0x0 0x800\ninsert_range 0x0 0x400 0x800\n";
    std::fs::write(run.path("junk.fsxops"), operations).unwrap();
    let output = run.run("convert junk.fsxops --from fsx");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        text(&output.stdout),
        "mkw 1\nfile     pages 2 cells 4 blocks 1 size 0 mms 1\nactor    A mm 0\nA.0      write \
         0..4\nA.1      truncate 6\nA.2      store 4..6\nA.3      msync\nA.4      truncate 1\nA.5      \
         punch 0..1\nA.6      fallocate 1..2\nA.7      load 0..1\nA.8      read 0..1\nA.9      fsync\n"
    );
    let notes = text(&output.stderr);
    assert!(notes.contains("line 10: no operation of a case is insert_range"), "{notes}");
    // There and back again.
    let (_, ops) = export(&run, CASES[0], "fsx", "x.fsxops");
    assert_eq!(
        ops,
        "write 0x0 0x800 0x0\ntruncate 0x0 0x800 0x800\nmapwrite 0x0 0x800 0x800\nwrite \
                     0x1000 0x800 0x800\nmapwrite 0x800 0x800 0x1800\n"
    );
    let back = text(&run.run("convert x.fsxops --from fsx").stdout);
    assert!(back.contains("cells 2") && back.contains("A.4      write 2..3\n"), "{back}");
    // Odd offsets are rounded outwards, with a note.
    std::fs::write(run.path("odd.fsxops"), "write 0x3 0x10 0x0\n").unwrap();
    let odd = run.run("convert odd.fsxops --from fsx");
    assert!(text(&odd.stdout).contains("A.0      write 0..1\n"));
    assert!(text(&odd.stderr).contains("multiples of 512 bytes"));
}

#[test]
fn what_cannot_be_written_or_read_is_2_and_says_what_would_be_right() {
    let run = Run::new();
    let race = corpus(CASES[2]);
    run.refuses(&format!("export {race} --as fsx"), &["fsx has one actor", "--as c"]);
    run.refuses(&format!("export {race} --as xfstests"), &["2 files", "--output"]);
    run.refuses(&format!("export {race} --as pascal"), &["c, sh, fsx, xfstests"]);
    run.refuses("export missing.mkw --as c", &["missing.mkw"]);
    let beyond = "mkw 1\nfile size 0\nactor A mm 0\nA.0 store 0..1\nA.1 read 0..1\n";
    std::fs::write(run.path("bus.mkw"), beyond).unwrap();
    run.refuses("export bus.mkw --as sh", &["A.0 store 0..1024 may end with SIGBUS", "--as c"]);
    run.refuses("export bus.mkw --as fsx", &["ends beyond the end of the file"]);
    for (content, says) in [
        ("# comment\n", "line 1: `# comment`"),
        ("write 0x0 0x10\n", "line 1: `write 0x0 0x10`"),
        ("write 0x0 0x10 0x0\nwrite 0x100000 0x10 0x10\n", "-l 32768"),
        ("skip read 0x0 0x10 0x0\n", "no operation in it"),
        (&"fsync 0x0 0x0 0x0\n".repeat(40), "at most 32"),
    ] {
        std::fs::write(run.path("bad.fsxops"), content).unwrap();
        run.refuses("convert bad.fsxops --from fsx", &[says]);
    }
}
