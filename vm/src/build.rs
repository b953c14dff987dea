//! Builds what runs in the guest from the C sources in `live/kernel`: the agent, and the modules
//! against the headers of the kernel that is booted. Built once per kernel and content of the
//! sources, then taken from the cache.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::Result;
use sha1::{Digest, Sha1};

use crate::cache::Cache;
use crate::kernel::{Kernel, can_run, compiler};
use crate::packages::output;
use crate::{Unavailable, during};

macro_rules! sources {
    ($($name:literal)*) => { &[$(($name, include_str!(concat!("../../live/kernel/", $name)))),*] };
}

const SOURCES: &[(&str, &str)] = sources![
    "Makefile" "agent.c" "agent.h" "work.c" "steer.c" "stopper.c" "stopper.h" "toyfs.c"
];

/// What runs in the guest.
#[derive(Clone, Debug)]
pub struct Built {
    /// The agent, static.
    pub agent: PathBuf,
    /// The module that stops threads.
    pub stopper: PathBuf,
    /// The toy filesystem.
    pub toyfs: PathBuf,
}

/// A short name for the content of the sources, and more.
pub fn hash(of: &[&str]) -> String {
    let mut digest = Sha1::new();
    for text in of.iter().copied().chain(SOURCES.iter().map(|(_, text)| *text)) {
        digest.update(text);
        digest.update([0]);
    }
    digest.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect()
}

/// Builds agent and modules for a kernel.
pub fn build(cache: &Cache, kernel: &Kernel) -> Result<Built> {
    let folder = cache
        .folder(&format!("built/{}-{}", kernel.release, hash(&[&kernel.version])), |new| {
            make(new, kernel)
        })?;
    let file = |name: &str| folder.join(name);
    Ok(Built { agent: file("agent"), stopper: file("stopper.ko"), toyfs: file("toyfs.ko") })
}

fn make(folder: &Path, kernel: &Kernel) -> Result<()> {
    let headers = kernel.headers.as_deref().ok_or_else(|| {
        Unavailable::error(
            format!("there are no headers for the kernel {}", kernel.release),
            format!("give its package linux-headers-{} with --kernel", kernel.release),
        )
    })?;
    let compiler = compiler(headers);
    for program in ["make", &compiler] {
        if !can_run(program) {
            let what = format!("{program} cannot be run, and the modules for the guest need it");
            return Err(Unavailable::error(what, format!("install {program}")));
        }
    }
    for (name, text) in SOURCES {
        fs::write(folder.join(name), text)?;
    }
    output(Command::new("make").args(["agent", &format!("CC={compiler}")]).current_dir(folder))
        .map_err(during("cannot build the agent"))?;
    let mut modules = Command::new("make");
    // BTF needs pahole and says nothing that we use.
    modules
        .arg("-C")
        .arg(headers)
        .arg(format!("M={}", folder.display()))
        .args(["CONFIG_DEBUG_INFO_BTF_MODULES=", "modules"]);
    output(&mut modules)
        .map_err(during(format!("cannot build the modules for {}", kernel.release)))?;
    Ok(())
}
