//! A guest that is ready for cases: booted, its filesystems mounted, and probes set as they are
//! asked for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Result;
use tempfile::TempDir;

use crate::build::{Built, build};
use crate::cache::Cache;
use crate::code::{Kind, Site, locate};
use crate::console::{Answer, findings};
use crate::during;
use crate::filesystems::{DISK_MB, GuestFilesystem};
use crate::guest::Guest;
use crate::initramfs::{self, Content, module_name};
use crate::kernel::{Kernel, resolve};
use crate::packages::Root;
use crate::qemu::{Machine, Qemu};

/// What the guest's tools come from.
const TOOLS: &[&str] = &[
    "busybox-static",
    "kmod",
    "e2fsprogs",
    "xfsprogs",
    "btrfs-progs",
    "nfs-kernel-server",
    "nfs-common",
];

const MEMORY_MIB: u32 = 1536;
/// One for an actor that spins, one for the others.
pub const CPUS: u32 = 2;

/// For what is done at once.
pub const SHORT: Duration = Duration::from_secs(30);
/// For mounting, which under emulation may test checksums for seconds.
const MOUNT: Duration = Duration::from_secs(180);

/// All that a machine is booted from.
#[derive(Clone, Debug)]
pub struct Parts {
    /// The kernel.
    pub kernel: Kernel,
    /// The emulator.
    pub qemu: Qemu,
    tools: Root,
    built: Built,
    cache: Cache,
}

impl Parts {
    /// Finds, fetches and builds what is needed for a kernel.
    pub fn prepare(kernel: &str, modules: Option<&Path>) -> Result<Parts> {
        let cache = Cache::of_user()?;
        let tools = Root::of(&cache, "tools", TOOLS)?;
        let kernel = resolve(&cache, &tools, kernel, modules)?;
        let built = build(&cache, &kernel)?;
        let qemu = Qemu::find(&cache)?;
        Ok(Parts { kernel, qemu, tools, built, cache })
    }

    /// Where the programs of a filesystem are: among the tools that all have, or in a closure of
    /// its own.
    fn tools_of(&self, fs: &GuestFilesystem) -> Result<Root> {
        let packages: Vec<&str> = fs.packages.iter().map(String::as_str).collect();
        match packages.as_slice() {
            [] => Ok(self.tools.clone()),
            packages => Root::of(&self.cache, &format!("tools-{}", fs.name), packages),
        }
    }
}

/// A guest with filesystems.
pub struct Session {
    /// The guest.
    pub guest: Guest,
    probes: BTreeMap<(u64, Kind), Result<i32, String>>,
    sites: BTreeMap<Site, Result<i32, String>>,
    /// Holds its files, and removes them.
    _folder: TempDir,
}

impl Session {
    /// Boots and mounts.
    pub fn boot(parts: &Parts, filesystems: &[&GuestFilesystem], cpus: u32) -> Result<Session> {
        let folder = tempfile::tempdir()?;
        let modules: Vec<&str> =
            filesystems.iter().flat_map(|fs| &fs.modules).map(String::as_str).collect();
        let modules = parts.kernel.modules(&parts.tools, &modules)?;
        let mut programs = Vec::new();
        for fs in filesystems {
            let tools = parts.tools_of(fs)?;
            programs.extend(fs.programs.iter().map(|name| (tools.clone(), name.as_str())));
        }
        let Built { agent, stopper, toyfs } = &parts.built;
        let files: [(&str, &Path); 3] =
            [("bin/agent", agent), ("modules/stopper.ko", stopper), ("modules/toyfs.ko", toyfs)];
        let initramfs = folder.path().join("initramfs");
        let content =
            Content { tools: &parts.tools, programs: &programs, files: &files, modules: &modules };
        initramfs::write(&initramfs, &content).map_err(during("cannot write the initramfs"))?;
        let log = folder.path().join("kernel.log");
        let machine = Machine {
            qemu: &parts.qemu,
            kernel: &parts.kernel,
            initramfs: &initramfs,
            log: &log,
            memory_mib: MEMORY_MIB,
            cpus,
        };
        let guest = Guest::boot(&machine)?;
        let mut session =
            Session { guest, probes: BTreeMap::new(), sites: BTreeMap::new(), _folder: folder };
        session.load(&modules, filesystems)?;
        Ok(session)
    }

    fn load(&mut self, modules: &[PathBuf], filesystems: &[&GuestFilesystem]) -> Result<()> {
        for name in modules.iter().map(|path| module_name(path)) {
            let parameters = match name.as_str() {
                "brd.ko" => {
                    format!(" rd_nr={} rd_size={} max_part=1", filesystems.len(), DISK_MB * 1024)
                }
                _ => String::new(),
            };
            // Drivers of hardware that is not there refuse; what is really missing shows when the
            // filesystem is mounted.
            self.guest.ask(&format!("run insmod /modules/{name}{parameters} 2>&1"), MOUNT)?;
        }
        for name in ["stopper", "toyfs"] {
            self.guest.run(&format!("insmod /modules/{name}.ko 2>&1"), SHORT)?;
        }
        for (disk, fs) in filesystems.iter().enumerate() {
            self.guest
                .run(&fs.mount_command(disk), MOUNT)
                .map_err(during(format!("{} cannot be mounted", fs.name)))?;
        }
        self.guest.expect("stopper", SHORT)?;
        self.guest.expect("symbols", SHORT)?;
        Ok(())
    }

    /// What the kernel's log says of damage in the run that is under way ([`Guest::begin_run`]).
    pub fn findings_of_run(&self) -> Vec<String> {
        findings(&self.guest.log_of_run())
    }

    /// What the kernel's log says of damage since the boot.
    pub fn findings(&self) -> Vec<String> {
        findings(&self.guest.log())
    }

    /// The number of a probe at this place, or why there is none.
    pub fn probe(&mut self, site: &Site) -> Result<Result<i32, String>> {
        if let Some(known) = self.sites.get(site) {
            return Ok(known.clone());
        }
        let found = match locate(&mut self.guest, site)? {
            Err(reason) => Err(reason),
            Ok(addresses) => self.first_probe(&addresses, site.kind())?,
        };
        self.sites.insert(site.clone(), found.clone());
        Ok(found)
    }

    /// Some instructions refuse a probe: then the next one is taken.
    fn first_probe(&mut self, addresses: &[u64], kind: Kind) -> Result<Result<i32, String>> {
        let mut last = Err("no instruction there".to_owned());
        for &address in addresses {
            last = match self.probes.get(&(address, kind)) {
                Some(known) => known.clone(),
                None => self.add_probe(address, kind)?,
            };
            self.probes.insert((address, kind), last.clone());
            if last.is_ok() {
                break;
            }
        }
        Ok(last)
    }

    fn add_probe(&mut self, address: u64, kind: Kind) -> Result<Result<i32, String>> {
        let word = match kind {
            Kind::At => "at",
            Kind::Return => "return",
        };
        let (answers, _) = self.guest.ask(&format!("probe {address} {word}"), SHORT)?;
        Ok(answers
            .into_iter()
            .find_map(|answer| match answer {
                Answer::Probe(number) => Some(Ok(number)),
                Answer::Error(reason) => Some(Err(format!("the kernel refuses a {reason}"))),
                _ => None,
            })
            .unwrap_or_else(|| Err("no answer".to_owned())))
    }
}
