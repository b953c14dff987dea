//! `mkwrite live` as a user runs it: exit codes, and what a killed run leaves. Needs the feature
//! `live`.

use std::path::Path;
use std::process::{Command, Output, Stdio};
use std::time::Duration;

fn live(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mkwrite"));
    command.arg("live").args(arguments).stdin(Stdio::null());
    command
}

fn output(arguments: &[&str]) -> (i32, String, String) {
    let Output { status, stdout, stderr } = live(arguments).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (status.code().unwrap(), text(stdout), text(stderr))
}

fn path(folder: &Path) -> &str {
    folder.to_str().unwrap()
}

#[test]
fn a_folder_is_compared_without_root_and_a_planted_bug_is_found_and_saved() {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let base =
        ["--conformance", "--dir", path(dir.path()), "--cases", "200", "--out", path(out.path())];
    let (code, text, error) = output(&base);
    assert_eq!((code, error.contains("error")), (0, false), "{text}{error}");
    assert!(text.contains("200 cases") && text.contains(" 0 NEW"), "{text}");
    let (code, text, error) = output(&[&base[..], &["--plant", "no-partial-zero"]].concat());
    assert_eq!(code, 1, "{text}{error}");
    let saved: Vec<_> =
        std::fs::read_dir(out.path()).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(!saved.is_empty());
    for file in &saved {
        let (code, text, error) = output(&[path(file), "--dir", path(dir.path()), "--times", "3"]);
        assert!(code < 2 && text.contains("3 runs"), "{text}{error}");
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
}

#[test]
fn one_document_says_what_was_run_and_what_was_found() {
    let (dir, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let json = |arguments: &[&str]| {
        let base = ["--dir", path(dir.path()), "--out", path(out.path()), "--json"];
        let (code, text, error) = output(&[arguments, &base].concat());
        let document: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|at| {
            panic!("{at}: {text}{error}");
        });
        assert_eq!(document["schema"], 1);
        (code, document)
    };
    let (code, document) = json(&["--conformance", "--cases", "300", "--plant", "short-extend"]);
    let filesystem = &document["filesystems"][0];
    assert_eq!((code, &filesystem["cases"]), (1, &300.into()));
    assert_eq!(filesystem["plant"], "short-extend");
    let difference = &filesystem["differences"][0];
    assert!(difference["entry"].is_null(), "{difference}");
    let file = difference["file"].as_str().unwrap();
    let (code, document) = json(&[file, "--times", "4"]);
    assert_eq!((code, &document["runs"][0]["times"]), (0, &4.into()));
    let (code, document) = json(&["--hunt", "--seconds", "1", "--aligned"]);
    let filesystem = &document["filesystems"][0];
    assert!(code < 2 && filesystem["runs"].as_u64() > Some(0), "{document}");
}

#[test]
fn bad_input_is_2_and_says_what_would_be_right() {
    let is = |arguments: &[&str], part: &str| {
        let (code, text, error) = output(arguments);
        assert_eq!((code, text.as_str()), (2, ""), "{error}");
        assert!(error.contains(part), "{error}");
    };
    is(
        &["--conformance", "--fs", "ext5"],
        "known are: tmpfs, ext4, xfs, btrfs, overlay, fuse, fuse-writeback",
    );
    is(&["--conformance", "--fs", "ext4:512"], "1024, 2048, 4096");
    is(&["--conformance"], "--dir");
    is(&["--hunt", "--full", "--fs", "btrfs"], "--full is for tmpfs, ext4 and xfs");
    is(&["--dir", "."], "--conformance");
    is(&["--conformance", "--dir", "/no/such/folder"], "/no/such/folder");
    is(&["/no/such/file.mkw", "--dir", "."], "/no/such/file.mkw");
    is(&["--conformance", "--dir", ".", "--impl", "nfs"], "unknown implementation `nfs`");
    is(&["--conformance", "--dir", ".", "--ledger", "/no/such/file"], "/no/such/file");
}

/// Waits until there is something, or gives up.
fn wait<T>(mut what: impl FnMut() -> Option<T>) -> Option<T> {
    (0..1000).find_map(|_| {
        std::thread::sleep(Duration::from_millis(20));
        what()
    })
}

/// Loop devices whose images lie in a folder of this test.
fn loops(folder: &Path) -> usize {
    let devices = std::fs::read_dir("/sys/block").into_iter().flatten();
    let files = devices.filter_map(|device| {
        std::fs::read_to_string(device.ok()?.path().join("loop/backing_file")).ok()
    });
    files.filter(|file| file.contains(path(folder))).count()
}

#[test]
fn a_filesystem_in_user_space_is_compared_hunted_on_and_gone() {
    let (scratch, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let run = |arguments: &[&str]| {
        let mut command = live(&[arguments, &["--out", path(out.path())]].concat());
        let output = command.env("TMPDIR", scratch.path()).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        (output.status.code().unwrap(), text + &String::from_utf8(output.stderr).unwrap())
    };
    let (code, text) = run(&["--conformance", "--fs", "fuse,fuse-writeback", "--cases", "150"]);
    if code == 125 {
        return eprintln!("skipped: {text}");
    }
    assert_eq!((code, text.matches(" 0 NEW").count()), (0, 2), "{text}");
    // The store is the server's file, so that syncs are judged when they return.
    let (code, text) = run(&["--hunt", "--fs", "fuse-writeback", "--seconds", "2"]);
    assert!(code == 0 && !text.contains(" 0 syncs judged"), "{text}");
    assert_eq!(std::fs::read_dir(scratch.path()).unwrap().count(), 0);
}

#[test]
fn a_killed_run_leaves_no_mount_no_loop_device_and_no_process() {
    let scratch = tempfile::tempdir().unwrap();
    let mut command = live(&["--hunt", "--fs", "ext4", "--seconds", "600"]);
    command.env("TMPDIR", scratch.path()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn().unwrap();
    let folder = scratch.path();
    let children = || {
        std::fs::read_to_string(format!("/proc/{0}/task/{0}/children", child.id()))
            .unwrap_or_default()
    };
    let started = wait(|| {
        (loops(folder) == 1 && !children().is_empty()).then_some(()).or_else(|| {
            std::fs::read_to_string(format!("/proc/{}/stat", child.id()))
                .is_ok_and(|stat| stat.contains(") Z "))
                .then_some(())
        })
    });
    let actors = children();
    child.kill().unwrap();
    let code = child.wait().unwrap().code();
    if code == Some(125) {
        return eprintln!("skipped: no loop devices here");
    }
    assert!(started.is_some() && !actors.is_empty(), "it does not get on");
    assert!(wait(|| (loops(folder) == 0).then_some(())).is_some(), "a loop device is left");
    let is_gone = || {
        actors.split_whitespace().all(|id| {
            let stat = std::fs::read_to_string(format!("/proc/{id}/stat")).unwrap_or_default();
            stat.is_empty() || stat.contains(") Z ") || stat.contains(") X ")
        })
    };
    assert!(wait(|| is_gone().then_some(())).is_some(), "a process is left");
    assert!(!std::fs::read_to_string("/proc/self/mountinfo").unwrap().contains(path(folder)));
    // The empty folder over which the images' memory was mounted.
    let left: Vec<_> =
        std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    assert!(left.iter().all(|folder| std::fs::read_dir(folder).unwrap().count() == 0), "{left:?}");
}
