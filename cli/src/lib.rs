//! mkwrite for your own filesystem: implement [`fs::Registry`] for it, and [`command`] is the whole `mkwrite` command.
//!
//! `examples/own-filesystem` is such a crate, and `docs/own-filesystem.md` goes through it.
//!
//! What is re-exported here is what an outsider needs, and stays; the crates behind it are internal.

mod cmd;
mod engine;
mod files;
mod finding;
mod output;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use mkwrite_model::implementation::Registry;

/// How the command ends. Everything else is in what it prints.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Exit {
    /// All as expected.
    Good = 0,
    /// A breach that the ledger does not list, or an expected one that is gone.
    Breach = 1,
    /// Bad input or usage.
    BadInput = 2,
    /// Our own model is broken.
    Model = 3,
    /// Ended by Ctrl-C, with all that was found saved.
    Interrupted = 130,
}

/// A fuzzing and differential-testing harness for page_mkwrite: the moment when a clean page of a shared
/// mapping becomes writable.
///
/// Exit codes: 0 all as expected; 1 a breach that the ledger does not list, an expected one that is gone, or a case
/// that did not reach what it must (vacuous); 2 bad input or usage; 3 the model itself is broken; 130 after Ctrl-C,
/// with all found so far saved.
#[derive(Parser)]
#[command(name = "mkwrite", version, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    Hunt(cmd::hunt::Args),
    Replay(cmd::replay::Args),
    Shrink(cmd::shrink::Args),
    Triage(cmd::triage::Args),
    Explain(cmd::explain::Args),
    Matrix(cmd::matrix::Args),
    Bisect(cmd::bisect::Args),
    File(cmd::file::Args),
    Convert(cmd::convert::Args),
    Campaign(cmd::campaign::Args),
    Seeds(cmd::seeds::Args),
    Compare(cmd::compare::Args),
    Plants(cmd::plants::Args),
    Reach(cmd::reach::Args),
    List(cmd::list::Args),
}

/// The `mkwrite` command for these filesystems: parses, dispatches, and turns the outcome into an exit code.
pub fn command<R: Registry>() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Hunt(args) => cmd::hunt::run::<R>(&args),
        Command::Replay(args) => cmd::replay::run::<R>(&args),
        Command::Shrink(args) => cmd::shrink::run::<R>(&args),
        Command::Triage(args) => cmd::triage::run::<R>(&args),
        Command::Explain(args) => cmd::explain::run::<R>(&args),
        Command::Matrix(args) => cmd::matrix::run::<R>(&args),
        Command::Bisect(args) => cmd::bisect::run::<R>(&args),
        Command::File(args) => cmd::file::run::<R>(&args),
        Command::Convert(args) => cmd::convert::run::<R>(&args),
        Command::Campaign(args) => cmd::campaign::run::<R>(&args),
        Command::Seeds(args) => cmd::seeds::run::<R>(&args),
        Command::Compare(args) => cmd::compare::run::<R>(&args),
        Command::Plants(args) => cmd::plants::run::<R>(&args),
        Command::Reach(args) => cmd::reach::run::<R>(&args),
        Command::List(args) => cmd::list::run::<R>(&args),
    };
    let result = result.and_then(|exit| output::finish().map(|()| exit));
    let exit = result.unwrap_or_else(|error| {
        output::error(&error);
        Exit::BadInput
    });
    ExitCode::from(exit as u8)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
