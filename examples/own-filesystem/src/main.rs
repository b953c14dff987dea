//! The whole mkwrite command, with a filesystem of our own beside the built-in ones.

use std::process::ExitCode;

fn main() -> ExitCode {
    mkwrite::command::<own_filesystem::Filesystems>()
}
