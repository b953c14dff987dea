//! The guest's first and only filesystem: busybox, the agent, modules, and the tools of the
//! filesystems, as a cpio archive, which the kernel unpacks into memory.

use std::collections::BTreeSet;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow};
use cpio::newc::{Builder, trailer};

use crate::packages::{Root, output};

const FILE: u32 = 0o100_000;
const FOLDER: u32 = 0o040_000;
const LINK: u32 = 0o120_000;

/// What the kernel runs. The agent speaks over the second serial line; the first is the kernel's.
const INIT: &str = "\
#!/bin/busybox sh
/bin/busybox --install -s /bin
export PATH=/bin HOME=/ LD_LIBRARY_PATH=/lib/x86_64-linux-gnu
mount -t proc proc /proc
mount -t sysfs sys /sys
mount -t devtmpfs dev /dev
mount -t debugfs debug /sys/kernel/debug
mount -t tmpfs run /run
echo 0 > /proc/sys/kernel/kptr_restrict
stty -F /dev/ttyS1 raw -echo -ixon -ixoff 115200
/bin/agent < /dev/ttyS1 > /dev/ttyS1
poweroff -f
";

/// An archive in the making: files by path, folders made as needed.
pub struct Archive<W: Write> {
    out: W,
    folders: BTreeSet<PathBuf>,
    files: BTreeSet<PathBuf>,
    inode: u32,
}

impl<W: Write> Archive<W> {
    /// An archive that is written there.
    pub fn new(out: W) -> Archive<W> {
        Archive { out, folders: BTreeSet::new(), files: BTreeSet::new(), inode: 0 }
    }

    fn entry(&mut self, path: &Path, mode: u32, content: &[u8]) -> Result<()> {
        self.inode += 1;
        let builder = Builder::new(&path.to_string_lossy()).ino(self.inode).mode(mode).nlink(1);
        let mut writer = builder
            .write(&mut self.out, u32::try_from(content.len()).context("a file is too large")?);
        writer.write_all(content)?;
        writer.finish()?;
        Ok(())
    }

    /// A folder, with those above it.
    pub fn folder(&mut self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        if path.as_os_str().is_empty() || self.folders.contains(path) {
            return Ok(());
        }
        self.folder(path.parent().unwrap_or(Path::new("")))?;
        self.entry(path, FOLDER | 0o755, &[])?;
        self.folders.insert(path.to_owned());
        Ok(())
    }

    fn put(&mut self, path: &Path, mode: u32, content: &[u8]) -> Result<()> {
        if !self.files.insert(path.to_owned()) {
            return Ok(());
        }
        self.folder(path.parent().unwrap_or(Path::new("")))?;
        self.entry(path, mode, content)
    }

    /// A file that can be run. The first one of a path counts.
    pub fn file(&mut self, path: impl AsRef<Path>, content: &[u8]) -> Result<()> {
        self.put(path.as_ref(), FILE | 0o755, content)
    }

    /// A symbolic link.
    pub fn link(&mut self, path: impl AsRef<Path>, to: &str) -> Result<()> {
        self.put(path.as_ref(), LINK | 0o777, to.as_bytes())
    }

    /// A program of a closure with its libraries.
    pub fn program(&mut self, root: &Root, name: &str) -> Result<()> {
        let program = root.program(name)?;
        self.file(Path::new("bin").join(name), &fs::read(&program)?)?;
        for (path, library) in root.libraries(&program)? {
            self.file(path, &fs::read(library)?)?;
        }
        Ok(())
    }

    /// Ends the archive.
    pub fn finish(self) -> Result<W> {
        Ok(trailer(self.out)?)
    }
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs::read(path).map_err(|error| anyhow!("cannot read {}: {error}", path.display()))
}

/// What goes into the guest.
pub struct Content<'a> {
    /// Where busybox is.
    pub tools: &'a Root,
    /// Programs, and where each is.
    pub programs: &'a [(Root, &'a str)],
    /// Our own binaries and modules: name in the guest's root, and file.
    pub files: &'a [(&'a str, &'a Path)],
    /// The kernel's modules, in the order of loading. They lie in `/modules`, by name.
    pub modules: &'a [PathBuf],
}

/// The name of a module's file in the guest.
pub fn module_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    name.split_once(".ko").map_or(name.to_string(), |(stem, _)| format!("{stem}.ko"))
}

/// A module as the kernel takes it; distributions compress them.
fn module(path: &Path) -> Result<Vec<u8>> {
    let program = match path.extension().and_then(|extension| extension.to_str()) {
        Some("xz") => "xz",
        Some("zst") => "zstd",
        Some("gz") => "gzip",
        _ => return read(path),
    };
    let folder = tempfile::tempdir()?;
    let copy = folder.path().join(path.file_name().unwrap_or_default());
    fs::copy(path, &copy)?;
    output(Command::new(program).arg("-d").arg(&copy))?;
    Ok(fs::read(copy.with_extension(""))?)
}

/// Writes the archive.
pub fn write(to: &Path, content: &Content<'_>) -> Result<()> {
    let mut archive = Archive::new(std::io::BufWriter::new(fs::File::create(to)?));
    for folder in ["dev", "proc", "sys", "run", "tmp", "mnt", "var", "etc", "root"] {
        archive.folder(folder)?;
    }
    archive.file("init", INIT.as_bytes())?;
    archive.file("bin/busybox", &fs::read(content.tools.program("busybox")?)?)?;
    archive.link("bin/sh", "busybox")?;
    for (name, file) in content.files {
        archive.file(name, &read(file)?)?;
    }
    for path in content.modules {
        archive.file(Path::new("modules").join(module_name(path)), &module(path)?)?;
    }
    for (root, program) in content.programs {
        archive.program(root, program)?;
    }
    archive.file(
        "etc/passwd",
        b"root:x:0:0:root:/root:/bin/sh\n_rpc:x:100:100::/run/rpcbind:/bin/sh\n",
    )?;
    archive.file("etc/group", b"root:x:0:\n")?;
    archive.file("etc/hosts", b"127.0.0.1 localhost\n")?;
    archive
        .file("etc/services", b"sunrpc 111/tcp\nsunrpc 111/udp\nnfs 2049/tcp\nnfs 2049/udp\n")?;
    archive.file("etc/protocols", b"tcp 6 TCP\nudp 17 UDP\n")?;
    archive.file("etc/netconfig", NETCONFIG.as_bytes())?;
    archive.file(
        "etc/exports",
        b"/export *(rw,fsid=0,no_root_squash,insecure,no_subtree_check,sync)\n",
    )?;
    archive.finish()?.flush()?;
    Ok(())
}

/// What the NFS server's tools look transports up in.
const NETCONFIG: &str = "\
udp tpi_clts v inet udp - -
tcp tpi_cots_ord v inet tcp - -
local tpi_cots_ord - loopback - - -
";

#[cfg(test)]
mod tests {
    use super::*;
    use cpio::newc::Reader;
    use std::io::Read;

    #[test]
    fn an_archive_has_each_folder_before_what_is_in_it_and_each_file_once() {
        let mut archive = Archive::new(Vec::new());
        archive.file("lib/modules/a.ko", b"first").unwrap();
        archive.file("lib/modules/a.ko", b"second").unwrap();
        archive.link("bin/sh", "busybox").unwrap();
        let bytes = archive.finish().unwrap();
        let (mut rest, mut seen) = (bytes.as_slice(), Vec::new());
        loop {
            let mut reader = Reader::new(rest).unwrap();
            if reader.entry().is_trailer() {
                break;
            }
            let (name, mode) = (reader.entry().name().to_owned(), reader.entry().mode());
            let mut content = String::new();
            reader.read_to_string(&mut content).unwrap();
            seen.push((name, mode, content));
            rest = reader.finish().unwrap();
        }
        let expected = [
            ("lib", FOLDER | 0o755, ""),
            ("lib/modules", FOLDER | 0o755, ""),
            ("lib/modules/a.ko", FILE | 0o755, "first"),
            ("bin", FOLDER | 0o755, ""),
            ("bin/sh", LINK | 0o777, "busybox"),
        ];
        assert_eq!(
            seen,
            expected.map(|(name, mode, content)| (name.to_owned(), mode, content.to_owned()))
        );
    }

    #[test]
    fn a_module_is_called_by_its_name_whatever_it_is_packed_with() {
        assert_eq!(
            module_name(Path::new("/lib/modules/6.12/kernel/fs/ext4/ext4.ko.xz")),
            "ext4.ko"
        );
        assert_eq!(module_name(Path::new("brd.ko")), "brd.ko");
    }
}
