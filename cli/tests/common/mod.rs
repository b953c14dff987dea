//! What the tests of the command share.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

/// A folder of its own for some runs of the command.
pub(crate) struct Run {
    folder: TempDir,
}

#[allow(dead_code)] // each test file uses some of it
impl Run {
    pub(crate) fn new() -> Run {
        Run { folder: tempfile::tempdir().unwrap() }
    }

    pub(crate) fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mkwrite"));
        command.args(arguments.split_whitespace()).current_dir(self.folder.path());
        command
    }

    pub(crate) fn run(&self, arguments: &str) -> Output {
        self.command(arguments).output().unwrap()
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// What the command prints, and its exit code.
    pub(crate) fn prints(&self, arguments: &str) -> (String, Option<i32>) {
        let output = self.run(arguments);
        (String::from_utf8(output.stdout).unwrap(), output.status.code())
    }

    /// The command refuses, and says this.
    pub(crate) fn refuses(&self, arguments: &str, texts: &[&str]) {
        let output = self.run(arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{error}");
        for text in texts {
            assert!(error.contains(text), "`{text}` is missing in\n{error}");
        }
        assert!(output.stdout.is_empty(), "nothing goes to standard output");
    }
}

#[allow(dead_code)]
pub(crate) fn json(output: &Output) -> Value {
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| {
        panic!(
            "{error}: {}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        )
    })
}

#[allow(dead_code)]
pub(crate) fn corpus(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(name);
    path.to_str().unwrap().to_owned()
}
