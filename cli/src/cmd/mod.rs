//! The subcommands, one file each.

#[cfg(not(all(feature = "live", target_os = "linux")))]
pub(crate) mod absent;
pub(crate) mod bisect;
pub(crate) mod bugs;
pub(crate) mod campaign;
pub(crate) mod causes;
pub(crate) mod compare;
pub(crate) mod completions;
pub(crate) mod convert;
pub(crate) mod explain;
pub(crate) mod export;
pub(crate) mod file;
pub(crate) mod hunt;
pub(crate) mod list;
#[cfg(all(feature = "live", target_os = "linux"))]
pub(crate) mod live;
pub(crate) mod matrix;
pub(crate) mod plants;
pub(crate) mod reach;
pub(crate) mod replay;
pub(crate) mod seeds;
pub(crate) mod shrink;
pub(crate) mod subject;
pub(crate) mod triage;
#[cfg(all(feature = "live", target_os = "linux"))]
pub(crate) mod vm;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// As many threads as there are cores.
pub(crate) fn jobs() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

/// A signal that comes with another, as from a program that signals its child and then the group,
/// is no second one.
const TOGETHER: Duration = Duration::from_secs(1);

/// Ctrl-C sets the flag that this returns; if that has not helped, the next Ctrl-C ends the
/// program, after `last`.
pub(crate) fn stop_on_interrupt_or(last: impl Fn() + Send + 'static) -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let (set, mut before) = (Arc::clone(&flag), None);
    ctrlc::set_handler(move || {
        if before.replace(Instant::now()).is_some_and(|before: Instant| before.elapsed() < TOGETHER)
        {
            return;
        }
        if set.swap(true, Ordering::Relaxed) {
            last();
            std::process::exit(crate::Exit::Interrupted as i32);
        }
    })
    .context("cannot handle Ctrl-C")?;
    Ok(flag)
}

/// The same for what has nothing to do at last.
pub(crate) fn stop_on_interrupt() -> Result<Arc<AtomicBool>> {
    stop_on_interrupt_or(|| ())
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    /// What stands behind `super::` or `cmd::` in a source: the first name, or those of a list in
    /// braces.
    fn named(source: &str) -> Vec<&str> {
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let behind = |prefix| source.split(prefix).skip(1);
        let names = behind("super::").chain(behind("cmd::")).flat_map(|rest| {
            let list =
                rest.strip_prefix('{').map(|list| list.split('}').next().unwrap_or_default());
            list.unwrap_or(rest.split(|c| !is_name(c)).next().unwrap_or_default()).split(',')
        });
        names.map(|name| name.trim().split(|c| !is_name(c)).next().unwrap_or_default()).collect()
    }

    #[test]
    fn no_command_uses_another() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/cmd");
        let files =
            walkdir::WalkDir::new(&folder).into_iter().map(|entry| entry.unwrap().into_path());
        let files: Vec<PathBuf> = files.filter(|path| path.is_file()).collect();
        let top = |path: &Path| {
            path.strip_prefix(&folder).unwrap().iter().next().unwrap().to_str().unwrap().to_owned()
        };
        let command = |path: &Path| top(path).trim_end_matches(".rs").to_owned();
        // What several commands share is no command.
        let is_command = |name: &str| !["mod", "subject"].contains(&name);
        let commands: Vec<String> =
            files.iter().map(|path| command(path)).filter(|name| is_command(name)).collect();
        assert!(commands.contains(&"hunt".to_owned()));
        for path in files.iter().filter(|path| is_command(&command(path))) {
            let source = std::fs::read_to_string(path).unwrap();
            for name in named(&source) {
                let other = name != command(path) && commands.iter().any(|command| command == name);
                assert!(!other, "{} uses the command `{name}`", path.display());
            }
        }
    }

    #[test]
    fn paths_and_lists_of_paths_are_seen() {
        let source = "use super::{a, b::{c}};\nuse crate::cmd::d;\nlet x = super::e();";
        assert_eq!(named(source), ["a", "b", "e", "d"]);
    }
}
