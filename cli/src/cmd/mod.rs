//! The subcommands, one file each.

pub mod bisect;
pub mod campaign;
pub mod compare;
pub mod convert;
pub mod explain;
pub mod file;
pub mod hunt;
pub mod list;
pub mod matrix;
pub mod plants;
pub mod reach;
pub mod replay;
pub mod seeds;
pub mod shrink;
pub mod subject;
pub mod triage;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// As many threads as there are cores.
pub fn jobs() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}

/// A signal that comes with another, as from a program that signals its child and then the group, is no second one.
const TOGETHER: Duration = Duration::from_secs(1);

/// Ctrl-C sets the flag that this returns; if that has not helped, the next Ctrl-C ends the program, after `last`.
pub fn stop_on_interrupt_or(last: impl Fn() + Send + 'static) -> Result<Arc<AtomicBool>> {
    let flag = Arc::new(AtomicBool::new(false));
    let (set, mut before) = (Arc::clone(&flag), None);
    ctrlc::set_handler(move || {
        if before.replace(Instant::now()).is_some_and(|before: Instant| before.elapsed() < TOGETHER) {
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
pub fn stop_on_interrupt() -> Result<Arc<AtomicBool>> {
    stop_on_interrupt_or(|| ())
}
