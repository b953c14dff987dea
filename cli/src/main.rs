//! The `mkwrite` command, for the filesystems of this repository.

use std::process::ExitCode;

fn main() -> ExitCode {
    mkwrite::command::<mkwrite_impls::Builtin>()
}
