//! What stands for the commands that only a build with the cargo feature `live` has.

use std::ffi::OsString;

use crate::{Exit, output};

/// Not in this build: it needs the cargo feature `live`, on Linux
#[derive(clap::Args)]
pub(crate) struct Args {
    /// Whatever the command takes
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    rest: Vec<OsString>,
}

/// Says what would bring the command.
pub(crate) fn run(command: &str, args: &Args) -> Exit {
    let rest = args.rest.iter().map(|word| mkwrite_report::quoted(&word.to_string_lossy()));
    let call: Vec<String> = std::iter::once(command.to_owned()).chain(rest).collect();
    output::not_here(
        &format!("this build has no `{command}`"),
        &format!("on Linux: cargo run --release --features live -- {}", call.join(" ")),
    )
}
