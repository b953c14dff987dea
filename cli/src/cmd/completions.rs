//! `mkwrite completions`: a script that completes subcommands and options in a shell.

use anyhow::Result;
use clap::CommandFactory;
use clap_complete::{Shell, generate};

use crate::{Cli, Exit, output};

/// Print a script that completes subcommands and options in a shell
///
/// In bash, for one session: `source <(mkwrite completions bash)`; in fish: `mkwrite completions
/// fish | source`.
#[derive(clap::Args)]
pub(crate) struct Args {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

/// Runs the subcommand.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    output::bytes(&script(args.shell));
    Ok(Exit::Good)
}

fn script(shell: Shell) -> Vec<u8> {
    let (mut command, mut script) = (Cli::command(), Vec::new());
    let name = command.get_name().to_owned();
    generate(shell, &mut command, name, &mut script);
    script
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bash_and_fish_know_the_subcommands_and_their_options() {
        for shell in [Shell::Bash, Shell::Fish] {
            let script = String::from_utf8(script(shell)).unwrap();
            for word in ["hunt", "campaign", "completions", "seconds-per-case"] {
                assert!(script.contains(word), "{shell}: {word}");
            }
        }
    }
}
