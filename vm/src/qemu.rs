//! The emulator: the system's if it runs, else one that is unpacked into the cache. Software
//! emulation only: a machine may offer KVM and hang in it.
//!
//! A virtual machine ends with us, also when we are killed: `setpriv` of util-linux asks the kernel
//! to kill qemu when its parent dies.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, anyhow};

use crate::cache::Cache;
use crate::kernel::{Kernel, can_run};
use crate::packages::{Root, output};

const PROGRAM: &str = "qemu-system-x86_64";

/// Where the emulator is.
#[derive(Clone, Debug)]
pub enum Qemu {
    /// The system's.
    System,
    /// An unpacked one.
    Unpacked(Root),
}

impl Qemu {
    /// The system's emulator, or one in the cache, fetched if need be.
    pub fn find(cache: &Cache) -> Result<Qemu> {
        if can_run(PROGRAM) {
            return Ok(Qemu::System);
        }
        let root = Root::of(cache, "qemu", &["qemu-system-x86"])
            .context("install qemu-system-x86, or let it be fetched")?;
        Ok(Qemu::Unpacked(root))
    }

    fn command(&self) -> Result<Command> {
        let mut words = self.arguments()?;
        if can_run("setpriv") {
            words.splice(0..0, ["setpriv", "--pdeathsig", "KILL"].map(PathBuf::from));
        }
        let mut command = Command::new(&words[0]);
        command.args(&words[1..]);
        if let Qemu::Unpacked(root) = self {
            command.env("QEMU_MODULE_DIR", root.path("usr/lib/x86_64-linux-gnu/qemu"));
        }
        Ok(command)
    }

    fn arguments(&self) -> Result<Vec<PathBuf>> {
        let Qemu::Unpacked(root) = self else { return Ok(vec![PROGRAM.into()]) };
        let command = root.command(PROGRAM)?;
        let mut words = vec![PathBuf::from(command.get_program())];
        words.extend(command.get_args().map(PathBuf::from));
        for folder in ["usr/share/qemu", "usr/share/seabios"] {
            words.extend([PathBuf::from("-L"), root.path(folder)]);
        }
        Ok(words)
    }

    /// The version.
    pub fn version(&self) -> Result<String> {
        let said = output(self.command()?.arg("--version"))?;
        let version = said.split("version ").nth(1).and_then(|rest| rest.split_whitespace().next());
        Ok(version.unwrap_or("unknown").to_owned())
    }
}

/// A machine to boot.
pub struct Machine<'a> {
    /// The emulator.
    pub qemu: &'a Qemu,
    /// The kernel.
    pub kernel: &'a Kernel,
    /// Its first filesystem.
    pub initramfs: &'a Path,
    /// Where the kernel's console is written.
    pub log: &'a Path,
    /// Memory in MiB.
    pub memory_mib: u32,
    /// CPUs.
    pub cpus: u32,
}

/// Starts a machine. Its second serial line is the child's standard input and output.
pub fn start(machine: &Machine<'_>) -> Result<Child> {
    let mut command = machine.qemu.command()?;
    command.args([
        "-accel",
        "tcg,thread=multi",
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-no-reboot",
    ]);
    command.args(["-smp", &machine.cpus.to_string(), "-m", &machine.memory_mib.to_string()]);
    command
        .arg("-serial")
        .arg(format!("file:{}", machine.log.display()))
        .args(["-serial", "stdio"]);
    command.arg("-kernel").arg(&machine.kernel.image).arg("-initrd").arg(machine.initramfs);
    // A fixed address of the kernel keeps the code comparable; mitigations cost time and protect
    // nothing here; the test of the timer fails on a machine that is busy enough.
    command.args([
        "-append",
        "console=ttyS0 loglevel=5 panic=-1 oops=panic nokaslr mitigations=off random.trust_cpu=on \
         no_timer_check",
    ]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.spawn().map_err(|error| anyhow!("cannot start qemu: {error}"))
}
