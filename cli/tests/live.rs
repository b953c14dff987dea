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
fn bad_input_is_2_and_says_what_would_be_right() {
    let is = |arguments: &[&str], part: &str| {
        let (code, text, error) = output(arguments);
        assert_eq!((code, text.as_str()), (2, ""), "{error}");
        assert!(error.contains(part), "{error}");
    };
    is(&["--conformance", "--fs", "ext5"], "known are: tmpfs, ext4, xfs, btrfs, overlay");
    is(&["--conformance", "--fs", "ext4:512"], "1024, 2048, 4096");
    is(&["--conformance"], "--dir");
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
