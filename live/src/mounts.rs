//! Filesystems for a run: made on images in memory, mounted in a mount namespace of this process
//! alone.
//!
//! Nobody else sees the mounts, and all of them end with the process, however it ends: the
//! namespace goes, with it the images (files of a tmpfs that is mounted there), and loop devices
//! that clear themselves when they are no longer used. What can stay behind after a SIGKILL is one
//! empty folder. Without root the process becomes root of a user namespace of its own, in which
//! tmpfs, overlayfs and FUSE can be mounted, and nothing that needs a block device.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::str::FromStr;
use std::sync::Arc;

use crate::exec::{Place, Store};
use crate::fuse;
use crate::operations::PAGE;

/// A filesystem that can be made here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Files in the page cache.
    Tmpfs,
    /// ext4 on a loop device.
    Ext4,
    /// xfs on a loop device.
    Xfs,
    /// btrfs on a loop device.
    Btrfs,
    /// overlayfs over two folders of a tmpfs.
    Overlay,
    /// FUSE over a folder of a tmpfs.
    Fuse,
    /// The same with the kernel's writeback cache.
    FuseWriteback,
}

/// The table of filesystems: name, smallest image, the mkfs command up to the image, and its
/// package.
struct Make {
    kind: Kind,
    name: &'static str,
    mebibytes: u64,
    mkfs: &'static [&'static str],
    block_option: &'static str,
    package: &'static str,
}

const MAKES: [Make; 7] = [
    Make {
        kind: Kind::Tmpfs,
        name: "tmpfs",
        mebibytes: 0,
        mkfs: &[],
        block_option: "",
        package: "",
    },
    Make {
        kind: Kind::Ext4,
        name: "ext4",
        mebibytes: 256,
        mkfs: &["mkfs.ext4", "-q", "-F"],
        block_option: "-b",
        package: "e2fsprogs",
    },
    Make {
        kind: Kind::Xfs,
        name: "xfs",
        mebibytes: 512,
        mkfs: &["mkfs.xfs", "-q", "-f"],
        block_option: "-bsize=",
        package: "xfsprogs",
    },
    Make {
        kind: Kind::Btrfs,
        name: "btrfs",
        mebibytes: 512,
        mkfs: &["mkfs.btrfs", "-q", "-f"],
        block_option: "-s",
        package: "btrfs-progs",
    },
    Make {
        kind: Kind::Overlay,
        name: "overlay",
        mebibytes: 0,
        mkfs: &[],
        block_option: "",
        package: "",
    },
    Make { kind: Kind::Fuse, name: "fuse", mebibytes: 0, mkfs: &[], block_option: "", package: "" },
    Make {
        kind: Kind::FuseWriteback,
        name: "fuse-writeback",
        mebibytes: 0,
        mkfs: &[],
        block_option: "",
        package: "",
    },
];

/// A filesystem with its block size: `ext4:1024`.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Spec {
    kind: Kind,
    block: usize,
}

impl Spec {
    fn make(self) -> &'static Make {
        MAKES.iter().find(|make| make.kind == self.kind).expect("every kind is in the table")
    }

    /// The filesystem's name.
    pub fn filesystem(self) -> &'static str {
        self.make().name
    }

    /// It can be filled but for some pages: its space is its own, and a file can take it.
    pub fn can_be_full(self) -> bool {
        matches!(self.kind, Kind::Tmpfs | Kind::Ext4 | Kind::Xfs)
    }

    /// The package that it needs and this machine lacks.
    pub fn missing_package(self) -> Option<&'static str> {
        let program = self.make().mkfs.first()?;
        let path = search_path();
        let is_there = std::env::split_paths(&path).any(|folder| folder.join(program).is_file());
        (!is_there).then_some(self.make().package)
    }
}

impl std::fmt::Display for Spec {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.make().name)?;
        if self.block == PAGE { Ok(()) } else { write!(f, ":{}", self.block) }
    }
}

impl FromStr for Spec {
    type Err = String;

    fn from_str(text: &str) -> Result<Spec, String> {
        let (name, block) = text.split_once(':').unwrap_or((text, "4096"));
        let known = || MAKES.iter().map(|make| make.name).collect::<Vec<_>>().join(", ");
        let make = MAKES.iter().find(|make| make.name == name);
        let make =
            make.ok_or_else(|| format!("unknown filesystem `{name}`; known are: {}", known()))?;
        let sizes: &[&str] = match make.kind {
            Kind::Ext4 | Kind::Xfs => &["1024", "2048", "4096"],
            _ => &["4096"],
        };
        if !sizes.contains(&block) {
            return Err(format!(
                "{name} cannot have blocks of `{block}` bytes here: {}",
                sizes.join(", ")
            ));
        }
        Ok(Spec { kind: make.kind, block: block.parse().expect("it is in the list") })
    }
}

/// Why a run is not possible here, and what would mend it.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{what}")]
pub struct NotHere {
    /// What is missing.
    pub what: String,
    /// What would mend it.
    pub help: String,
}

fn not_here(what: impl Into<String>, help: impl Into<String>) -> NotHere {
    NotHere { what: what.into(), help: help.into() }
}

/// Whether cases can be run on this machine at all.
pub fn machine() -> Result<(), NotHere> {
    // SAFETY: no memory is involved.
    match unsafe { libc::sysconf(libc::_SC_PAGESIZE) } {
        bytes if bytes == PAGE as i64 => Ok(()),
        bytes => Err(not_here(
            format!("pages have {bytes} bytes here"),
            "run it on a kernel with pages of 4096 bytes",
        )),
    }
}

/// The mount namespace of this process, and the memory that its images lie in.
pub struct Namespace {
    scratch: PathBuf,
    is_root: bool,
    next: u32,
}

impl Namespace {
    /// Enters one, with images below the folder for temporary files. This process must have no
    /// other threads yet.
    pub fn enter() -> Result<Namespace, NotHere> {
        // SAFETY: no memory is involved.
        let (uid, gid) = unsafe { (libc::geteuid(), libc::getegid()) };
        let is_root = uid == 0;
        let flags = libc::CLONE_NEWNS | if is_root { 0 } else { libc::CLONE_NEWUSER };
        let help = if is_root {
            "a container may forbid it: give it CAP_SYS_ADMIN, or use --dir DIR"
        } else {
            "allow user namespaces (sysctl kernel.unprivileged_userns_clone, or AppArmor's \
             apparmor_restrict_unprivileged_userns), run as root, or use --dir DIR"
        };
        let forbidden =
            |error: io::Error| not_here(format!("cannot make a mount namespace: {error}"), help);
        // SAFETY: no memory is involved; the caller promises that this is the only thread.
        if unsafe { libc::unshare(flags) } != 0 {
            return Err(forbidden(io::Error::last_os_error()));
        }
        if !is_root {
            let map = |file: &str, content: String| {
                fs::write(format!("/proc/self/{file}"), content).map_err(forbidden)
            };
            map("setgroups", "deny".to_owned())?;
            map("uid_map", format!("0 {uid} 1"))?;
            map("gid_map", format!("0 {gid} 1"))?;
        }
        mount("none", Path::new("/"), "", libc::MS_REC | libc::MS_PRIVATE, "")
            .map_err(forbidden)?;
        let folder =
            tempfile::Builder::new().prefix("mkwrite-live-").tempdir().map_err(forbidden)?;
        let scratch = folder.keep();
        let namespace = Namespace { scratch, is_root, next: 0 };
        mount("mkwrite", &namespace.scratch, "tmpfs", 0, "size=3g,mode=700").map_err(forbidden)?;
        Ok(namespace)
    }

    /// Makes and mounts a filesystem.
    pub fn mount(&mut self, spec: Spec) -> Result<Mounted, NotHere> {
        let make = spec.make();
        self.next += 1;
        let folder = self.scratch.join(format!("{}-{}", make.name, self.next));
        let point = folder.join("mnt");
        fs::create_dir_all(&point)
            .map_err(|error| not_here(format!("{}: {error}", point.display()), FULL))?;
        let (mut store, mut server) = (Store::Cache, None);
        match spec.kind {
            Kind::Tmpfs => {
                mounted(spec, mount("mkwrite", &point, "tmpfs", 0, "size=256m"), &point)?
            }
            Kind::Overlay => mounted(spec, self.overlay(&folder, &point), &point)?,
            Kind::Fuse | Kind::FuseWriteback => {
                let files = folder.join("files");
                let cached = spec.kind == Kind::FuseWriteback;
                let served =
                    fs::create_dir(&files).and_then(|()| fuse::serve(&files, &point, cached));
                server = Some(served.map_err(|error| no_fuse(spec, error))?);
                store = Store::Server(files);
            }
            _ if !self.is_root => {
                let help = "run it as root (in a container with CAP_SYS_ADMIN and loop \
                            devices), or use --dir DIR on a \
                            filesystem that is mounted";
                return Err(not_here(
                    format!("{spec} needs a loop device, and that needs root"),
                    help,
                ));
            }
            _ => {
                let image = folder.join("image");
                mkfs(spec, &image)?;
                let device = loop_device(&image)?;
                mounted(spec, mount(&device.1, &point, make.name, 0, ""), &point)?;
                // What FIEMAP of btrfs says are no places on the device.
                if spec.kind != Kind::Btrfs {
                    let image =
                        File::open(&image).map_err(|error| not_here(error.to_string(), FULL))?;
                    store = Store::Image(Arc::new(image));
                } else {
                    store = Store::Direct;
                }
            }
        }
        let place = Place { folder: point, blocks: blocks(spec.block as u64), store, full: false };
        Ok(Mounted { place, _server: server })
    }

    fn overlay(&self, folder: &Path, point: &Path) -> io::Result<()> {
        let part = |name| folder.join(name);
        for name in ["lower", "upper", "work"] {
            fs::create_dir(part(name))?;
        }
        let [lower, upper, work] =
            ["lower", "upper", "work"].map(|name| part(name).display().to_string());
        let xattr = if self.is_root { "" } else { ",userxattr" };
        mount(
            "mkwrite",
            point,
            "overlay",
            0,
            &format!("lowerdir={lower},upperdir={upper},workdir={work}{xattr}"),
        )
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        unmount(&self.scratch);
        let _ = fs::remove_dir(&self.scratch);
    }
}

const FULL: &str = "is there memory left? Images of filesystems lie in a tmpfs";

/// Blocks per page that a case can have for this block size.
pub fn blocks(bytes: u64) -> u8 {
    match bytes {
        ..=1024 => 4,
        2048 => 2,
        _ => 1,
    }
}

/// A filesystem that is mounted until this is dropped.
pub struct Mounted {
    /// Where.
    pub place: Place,
    /// Ends when the mount has gone.
    _server: Option<fuse::Server>,
}

impl Drop for Mounted {
    fn drop(&mut self) {
        unmount(&self.place.folder);
    }
}

fn mounted(spec: Spec, result: io::Result<()>, point: &Path) -> Result<(), NotHere> {
    let name = spec.filesystem();
    result.map_err(|error| {
        let help = match error.raw_os_error() {
            Some(libc::ENODEV) => format!("the running kernel has no {name} (modprobe {name}?)"),
            _ => format!(
                "see the kernel's log (dmesg), or mount one and use --dir instead of {}",
                point.display()
            ),
        };
        not_here(format!("cannot mount {spec}: {error}"), help)
    })
}

/// mkfs lives where the PATH of a user may not look.
fn search_path() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}

/// Installs packages, with apt-get and for the whole machine.
pub fn install(packages: &[&str]) -> Result<(), NotHere> {
    // SAFETY: no memory is involved.
    if unsafe { libc::geteuid() } != 0 {
        let what = format!("{} cannot be installed without root", packages.join(", "));
        return Err(not_here(what, format!("as root: apt-get install {}", packages.join(" "))));
    }
    let mut apt = Command::new("apt-get");
    apt.args(["install", "--yes", "--no-install-recommends"]).args(packages);
    apt.env("DEBIAN_FRONTEND", "noninteractive").stdout(io::stderr());
    match apt.status() {
        Ok(status) if status.success() => Ok(()),
        Ok(status) => {
            let what = format!("apt-get install {} failed: {status}", packages.join(" "));
            Err(not_here(what, "apt-get update, or install it by hand"))
        }
        Err(error) => {
            let help = format!("install {} with the packages of this system", packages.join(", "));
            Err(not_here(format!("cannot run apt-get: {error}"), help))
        }
    }
}

fn no_fuse(spec: Spec, error: io::Error) -> NotHere {
    let help = match error.raw_os_error() {
        Some(libc::ENOENT | libc::ENXIO | libc::ENODEV) => {
            "the running kernel has no FUSE (modprobe fuse?), or a container has no /dev/fuse"
        }
        Some(libc::EACCES | libc::EPERM) => "give this user the right to open /dev/fuse",
        _ => "see the kernel's log (dmesg)",
    };
    not_here(format!("cannot mount {spec}: {error}"), help)
}

fn mkfs(spec: Spec, image: &Path) -> Result<(), NotHere> {
    let make = spec.make();
    let made = File::create(image).and_then(|file| file.set_len(make.mebibytes << 20));
    made.map_err(|error| not_here(format!("cannot make an image: {error}"), FULL))?;
    let (program, options) =
        make.mkfs.split_first().expect("a filesystem with an image has a mkfs");
    let mut command = Command::new(program);
    command.args(options);
    let block = spec.block.to_string();
    match make.block_option {
        glued if glued.ends_with('=') => command.arg(format!("{glued}{block}")),
        option => command.args([option, &block]),
    };
    let output = command.arg(image).env("PATH", search_path()).output();
    let help =
        format!("install the package {} (apt-get install {0}), or give --install", make.package);
    let output =
        output.map_err(|error| not_here(format!("cannot run {program}: {error}"), help.clone()))?;
    if output.status.success() {
        return Ok(());
    }
    let text = String::from_utf8_lossy(&output.stderr);
    Err(not_here(format!("{program} failed: {}", text.trim()), help))
}

/// A loop device over an image, which clears itself when the last user goes: this file, or a mount.
fn loop_device(image: &Path) -> Result<(File, String), NotHere> {
    let help = "in a container give it /dev/loop-control and loop devices, or use --dir DIR";
    let failed = |what: &str, error: io::Error| not_here(format!("{what}: {error}"), help);
    let open = |path: &str| {
        OpenOptions::new().read(true).write(true).open(path).map_err(|error| failed(path, error))
    };
    let backing = OpenOptions::new()
        .read(true)
        .write(true)
        .open(image)
        .map_err(|error| failed("image", error))?;
    let control = open("/dev/loop-control")?;
    for _ in 0..20 {
        // SAFETY: no memory is involved.
        let number = unsafe { libc::ioctl(control.as_raw_fd(), LOOP_CTL_GET_FREE as _) };
        if number < 0 {
            return Err(failed("no free loop device", io::Error::last_os_error()));
        }
        let path = format!("/dev/loop{number}");
        let device = open(&path)?;
        // SAFETY: all zeros are a valid loop_config; it outlives the call.
        let result = unsafe {
            let mut config: LoopConfig = std::mem::zeroed();
            config.fd = backing.as_raw_fd() as u32;
            config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
            libc::ioctl(device.as_raw_fd(), LOOP_CONFIGURE as _, &raw const config)
        };
        if result == 0 {
            return Ok((device, path));
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::EBUSY) {
            return Err(failed(&path, error));
        }
        // Somebody else was faster.
    }
    Err(not_here("all free loop devices are taken by others", help))
}

// linux/loop.h.
const LOOP_CONFIGURE: libc::c_ulong = 0x4c0a;
const LOOP_CTL_GET_FREE: libc::c_ulong = 0x4c82;
const LO_FLAGS_AUTOCLEAR: u32 = 4;

/// struct loop_config of linux/loop.h.
#[repr(C)]
struct LoopConfig {
    fd: u32,
    block_size: u32,
    info: LoopInfo,
    reserved: [u64; 8],
}

/// struct loop_info64 of linux/loop.h.
#[repr(C)]
struct LoopInfo {
    numbers: [u64; 5],
    lo_number: u32,
    lo_encrypt_type: u32,
    lo_encrypt_key_size: u32,
    lo_flags: u32,
    lo_file_name: [u8; 64],
    lo_crypt_name: [u8; 64],
    lo_encrypt_key: [u8; 32],
    lo_init: [u64; 2],
}

const _: () = assert!(size_of::<LoopInfo>() == 232 && size_of::<LoopConfig>() == 304);

/// mount(2).
pub(crate) fn mount(
    source: &str,
    point: &Path,
    kind: &str,
    flags: libc::c_ulong,
    data: &str,
) -> io::Result<()> {
    let point = CString::new(point.as_os_str().as_bytes())?;
    let [source, kind, data] = [CString::new(source)?, CString::new(kind)?, CString::new(data)?];
    // SAFETY: all strings end with a zero and outlive the call.
    let result = unsafe {
        libc::mount(source.as_ptr(), point.as_ptr(), kind.as_ptr(), flags, data.as_ptr().cast())
    };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

fn unmount(point: &Path) {
    if let Ok(point) = CString::new(point.as_os_str().as_bytes()) {
        // SAFETY: the string ends with a zero. Lazily: what is still in use goes when it is no
        // longer.
        unsafe { libc::umount2(point.as_ptr(), libc::MNT_DETACH) };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filesystems_are_named_with_their_block_size() {
        for text in ["tmpfs", "ext4", "ext4:1024", "xfs:2048", "btrfs", "overlay", "fuse-writeback"]
        {
            assert_eq!(text.parse::<Spec>().unwrap().to_string(), text);
        }
        let error = |text: &str| text.parse::<Spec>().unwrap_err();
        assert_eq!(
            error("ext5"),
            "unknown filesystem `ext5`; known are: tmpfs, ext4, xfs, btrfs, overlay, fuse, fuse-writeback"
        );
        assert_eq!(
            error("ext4:512"),
            "ext4 cannot have blocks of `512` bytes here: 1024, 2048, 4096"
        );
        assert_eq!(error("tmpfs:1024"), "tmpfs cannot have blocks of `1024` bytes here: 4096");
    }

    #[test]
    fn filesystems_without_an_image_need_no_package() {
        for text in ["tmpfs", "overlay", "fuse"] {
            assert_eq!(text.parse::<Spec>().unwrap().missing_package(), None);
        }
    }

    #[test]
    fn a_page_has_as_many_blocks_as_fit() {
        assert_eq!([512, 1024, 2048, 4096, 65536].map(blocks), [4, 4, 2, 1, 1]);
    }
}
