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
    use std::io::Write;
    use std::process::{Command, Stdio};

    use super::*;

    /// What bash offers for the last of these words.
    fn offered(words: &str) -> String {
        let mut bash = Command::new("bash")
            .args(["--norc", "-s"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let asked = format!(
            "\nCOMP_WORDS=({words}) COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1))\n\
             last=${{COMP_WORDS[COMP_CWORD]}} before=${{COMP_WORDS[COMP_CWORD - 1]}}\n\
             [[ $(complete -p mkwrite) == *'-F _mkwrite mkwrite' ]] && _mkwrite mkwrite $last $before\n\
             echo ${{COMPREPLY[@]}}\n"
        );
        let mut input = bash.stdin.take().unwrap();
        input.write_all(&script(Shell::Bash)).unwrap();
        input.write_all(asked.as_bytes()).unwrap();
        drop(input);
        String::from_utf8(bash.wait_with_output().unwrap().stdout).unwrap()
    }

    #[test]
    fn bash_completes_subcommands_options_and_values() {
        assert_eq!(offered("mkwrite hu"), "hunt\n");
        assert_eq!(offered("mkwrite hunt --se"), "--seconds --seed\n");
        assert_eq!(offered("mkwrite list im"), "implementations\n");
    }

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
