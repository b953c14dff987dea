//! The `mkwrite` command, and the library for your own filesystem: implement [`fs::Implementation`]
//! and its operations for it, join it with the filesystems of this repository by [`with_builtin!`],
//! and [`command`] is the whole command for all of them.
//!
//! ```no_run
//! # mod example {
//! use mkwrite::fs::*;
//!
//! #[derive(Clone, Copy, PartialEq, Eq, Debug)]
//! pub struct Mine;
//!
//! impl Mine {
//!     /// The versions.
//!     pub const VERSIONS: &[Mine] = &[Mine];
//! }
//!
//! impl<F: BufferHeads> Implementation<F> for Mine {
//!     fn declaration(self) -> &'static Declaration {
//!         &Declaration {
//!             name: "mine@1",
//!             convention: Convention::Locked,
//!             natural: Era::V2_6_30,
//!             era: Era::V2_6_30,
//!             page_cache: true,
//!             stable_pages: false,
//!             freezes: false,
//!             size_guard: SizeGuard::InodeLock,
//!             may_differ: &[],
//!             record: "buffers",
//!             source: "fs/mine/file.c",
//!         }
//!     }
//! }
//!
//! impl<F: BufferHeads> VmOperations<F> for Mine {
//!     async fn page_mkwrite(self, k: &Kernel<F>, page: Frame) -> Code {
//!         k.lock_page(page, P::MkwriteLock).await;
//!         if !k.in_mapping(page) {
//!             k.unlock_page(page);
//!             return NOPAGE;
//!         }
//!         let below_eof = Range::new(0, k.length_below_eof(page));
//!         if buffer::prepare(k, page, below_eof).await != Status::Ok {
//!             k.unlock_page(page);
//!             return SIGBUS;
//!         }
//!         k.at_page(P::MkwriteDirty, page).await;
//!         buffer::commit(k, page, below_eof).await;
//!         LOCKED
//!     }
//! }
//!
//! mkwrite::buffer_heads!(Mine, record);
//!
//! mkwrite::with_builtin! {
//!     /// Mine, and those of mkwrite beside it.
//!     pub enum Filesystems { Mine(Mine), }
//!     private enum Private {}
//!     ledger []
//! }
//!
//! # pub
//! fn main() -> std::process::ExitCode {
//!     mkwrite::command::<Filesystems>()
//! }
//! # }
//! # fn main() { example::main(); }
//! ```
//!
//! `examples/own-filesystem` is such a crate, and `docs/own-filesystem.md` goes through it. What is
//! stable: this module, [`fs`], the text form of cases, the `--json` documents and the exit codes.
//! The crates behind them are internal.

mod causes;
mod cmd;
mod engine;
mod export;
mod files;
mod names;
mod output;
mod seeds;
mod sorting;

use std::process::ExitCode;

pub use mkwrite_impls::{Builtin, buffer_heads, with_builtin};

use clap::{Parser, Subcommand};
use mkwrite_model::implementation::Filesystem;

/// What a filesystem is written with.
pub mod fs {
    pub use mkwrite_impls::buffer::{self, BufferHeads, Buffers};
    pub use mkwrite_model::case::Range;
    pub use mkwrite_model::era::Era;
    pub use mkwrite_model::implementation::{
        AddressSpaceOperations, Aspect, Code, Convention, Declaration, EINVAL, ENOSPC, ERROR,
        Filesystem, Holds, Implementation, InodeOperations, LOCKED, NOPAGE, OK, OOM, Record,
        RequestOperations, SIGBUS, SIGSEGV, SizeGuard, Store, VmOperations, WbSync,
    };
    pub use mkwrite_model::kernel::{Frame, Kernel, Request, Stamp, Status};
    pub use mkwrite_model::mm;
    pub use mkwrite_model::point::Point as P;
}

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
    /// It could not be run here: `git bisect run` skips such a commit.
    NotHere = 125,
    /// Ended by Ctrl-C, with all that was found saved.
    Interrupted = 130,
}

/// A fuzzing and differential-testing harness for page_mkwrite: the moment when a clean page of a
/// shared mapping becomes writable.
///
/// Exit codes: 0 all as expected; 1 a breach that the ledger does not list, an expected one that is
/// gone, or a case that did not reach what it must (vacuous); 2 bad input or usage; 3 the model
/// itself is broken; 125 it cannot be run on this machine; 130 after Ctrl-C, with all found so far
/// saved. A hunt that cannot write prints all the same what it has found, and then the error; it
/// ends with 1 if something is NEW, else with 2.
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
    Export(cmd::export::Args),
    Campaign(cmd::campaign::Args),
    Seeds(cmd::seeds::Args),
    Compare(cmd::compare::Args),
    Plants(cmd::plants::Args),
    Bugs(cmd::bugs::Args),
    Causes(cmd::causes::Args),
    Reach(cmd::reach::Args),
    #[cfg(all(feature = "live", target_os = "linux"))]
    Live(cmd::live::Args),
    #[cfg(all(feature = "live", target_os = "linux"))]
    Vm(cmd::vm::Args),
    #[cfg(not(all(feature = "live", target_os = "linux")))]
    Live(cmd::absent::Args),
    #[cfg(not(all(feature = "live", target_os = "linux")))]
    Vm(cmd::absent::Args),
    List(cmd::list::Args),
    Completions(cmd::completions::Args),
}

/// The `mkwrite` command for these filesystems: parses, dispatches, and turns the outcome into an
/// exit code.
pub fn command<F: Filesystem>() -> ExitCode {
    let result = match Cli::parse().command {
        Command::Hunt(args) => cmd::hunt::run::<F>(&args),
        Command::Replay(args) => cmd::replay::run::<F>(&args),
        Command::Shrink(args) => cmd::shrink::run::<F>(&args),
        Command::Triage(args) => cmd::triage::run::<F>(&args),
        Command::Explain(args) => cmd::explain::run::<F>(&args),
        Command::Matrix(args) => cmd::matrix::run::<F>(&args),
        Command::Bisect(args) => cmd::bisect::run::<F>(&args),
        Command::File(args) => cmd::file::run::<F>(&args),
        Command::Convert(args) => cmd::convert::run::<F>(&args),
        Command::Export(args) => cmd::export::run::<F>(&args),
        Command::Campaign(args) => cmd::campaign::run::<F>(&args),
        Command::Seeds(args) => cmd::seeds::run::<F>(&args),
        Command::Compare(args) => cmd::compare::run(&args),
        Command::Bugs(args) => cmd::bugs::run::<F>(&args),
        Command::Plants(args) => cmd::plants::run::<F>(&args),
        Command::Causes(args) => cmd::causes::run::<F>(&args),
        Command::Reach(args) => cmd::reach::run::<F>(&args),
        #[cfg(all(feature = "live", target_os = "linux"))]
        Command::Live(args) => cmd::live::run::<F>(&args),
        #[cfg(all(feature = "live", target_os = "linux"))]
        Command::Vm(args) => cmd::vm::run::<F>(&args),
        #[cfg(not(all(feature = "live", target_os = "linux")))]
        Command::Live(args) => Ok(cmd::absent::run("live", &args)),
        #[cfg(not(all(feature = "live", target_os = "linux")))]
        Command::Vm(args) => Ok(cmd::absent::run("vm", &args)),
        Command::List(args) => cmd::list::run::<F>(&args),
        Command::Completions(args) => cmd::completions::run(&args),
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
