//! What a filesystem's store holds, looked at without its help where that goes: a direct read of a
//! file writes its dirty pages back first, so that it cannot show what an fsync has missed.
//!
//! An image is read at the places that FIEMAP names, which are looked up again after the read: a
//! block that has moved meanwhile says nothing. A server's file is read where the server has it.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::operations::{Buffer, PAGE, size};

/// Where the content that is on the store can be seen.
#[derive(Clone, Debug)]
pub enum Store {
    /// The page cache is the store.
    Cache,
    /// Direct I/O reads the store, when nothing is dirty.
    Direct,
    /// The filesystem lives on this image, as it is.
    Image(Arc<File>),
    /// A server keeps the files in this folder.
    Server(PathBuf),
    /// Nowhere: what is read may come from the cache.
    Unseen,
}

/// A file's store.
pub struct View {
    store: Store,
    /// The server's file.
    server: Option<File>,
}

impl View {
    /// Of the file at this path.
    pub fn new(store: &Store, path: &Path) -> io::Result<View> {
        let server = match (store, path.file_name()) {
            (Store::Server(folder), Some(name)) => Some(File::open(folder.join(name))?),
            _ => None,
        };
        Ok(View { store: store.clone(), server })
    }

    /// What the store holds now, with zeros behind the end, and the size in bytes: a server's, or
    /// else what the filesystem says. None if it cannot be seen while calls run, or not this time.
    pub fn now(&self, file: &File, buffer: &mut Buffer) -> io::Result<Option<u64>> {
        match (&self.store, &self.server) {
            (Store::Image(image), _) if of_image(image, file, buffer)? => size(file).map(Some),
            (_, Some(server)) => {
                read(server, buffer)?;
                size(server).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// What it holds when nothing runs and everything was synced. False if that cannot be seen.
    pub fn at_end(&self, file: &File, buffer: &mut Buffer) -> io::Result<bool> {
        if self.now(file, buffer)?.is_some() {
            return Ok(true);
        }
        match self.store {
            Store::Unseen => Ok(false),
            Store::Cache => read(file, buffer).map(|_| true),
            _ => {
                set_direct(file, true)?;
                let result = read(file, buffer);
                set_direct(file, false)?;
                result.map(|_| true)
            }
        }
    }
}

/// A file that takes the space that a case is not to have. It is the only one beside the case's.
pub struct Ballast {
    file: File,
    /// What it keeps in any case, so that each round has only little to take.
    kept: u64,
}

impl Ballast {
    /// Blocks that are left for a round to begin with.
    const ROOM: u64 = 64;

    /// In this folder.
    pub fn new(folder: &Path) -> io::Result<Ballast> {
        let path = folder.join("ballast");
        let file = File::options().read(true).write(true).create(true).truncate(true).open(path)?;
        let mut ballast = Ballast { file, kept: 0 };
        let mut step = 1 << 30;
        while step >= PAGE as u64 {
            match ballast.take(step) {
                true => ballast.kept += step,
                false => step /= 2,
            }
        }
        ballast.kept = ballast.kept.saturating_sub(Self::ROOM * PAGE as u64);
        ballast.release()?;
        Ok(ballast)
    }

    /// Takes so many bytes more than it keeps. False if there are no more.
    fn take(&self, bytes: u64) -> bool {
        let (from, length) = (self.kept as libc::off_t, bytes as libc::off_t);
        // SAFETY: no memory is involved.
        unsafe { libc::fallocate(self.file.as_raw_fd(), 0, from, length) == 0 }
    }

    /// Gives back what it took for a round.
    pub fn release(&self) -> io::Result<()> {
        self.file.set_len(self.kept)
    }

    /// Takes all but so many blocks, as far as the filesystem counts exactly.
    pub fn leave(&self, blocks: u8) -> io::Result<()> {
        let mut taken = 0;
        let mut step = Self::ROOM;
        while step > 0 {
            if self.take((taken + step) * PAGE as u64) {
                taken += step;
            }
            step /= 2;
        }
        self.file.set_len(self.kept + taken.saturating_sub(blocks.into()) * PAGE as u64)
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        let _ = self.file.set_len(0);
    }
}

/// What a read sees: the bytes that there are, and zeros behind them.
pub fn read(file: &File, buffer: &mut Buffer) -> io::Result<usize> {
    let all = buffer.0.len();
    buffer.0.fill(0);
    file.read_at(buffer.bytes_mut(all), 0)
}

fn set_direct(file: &File, on: bool) -> io::Result<()> {
    let flags = if on { libc::O_DIRECT } else { 0 };
    // SAFETY: no memory is involved. F_SETFL changes O_DIRECT, and leaves the access mode.
    match unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETFL, flags) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// A file's content as its image holds it. Extents that have no place yet, and those that were
/// never written, are zeros.
fn of_image(image: &File, file: &File, buffer: &mut Buffer) -> io::Result<bool> {
    for _ in 0..3 {
        let before = extents(file)?;
        buffer.0.fill(0);
        let all = buffer.0.len();
        let (bytes, length) = (buffer.bytes_mut(all), all * crate::word::BYTES);
        for extent in before.list() {
            if extent.flags & NOT_PLAIN != 0 {
                return Ok(false);
            }
            if extent.flags & NOT_WRITTEN != 0 {
                continue;
            }
            let from = (extent.logical as usize).min(length);
            let to = (extent.logical.saturating_add(extent.length) as usize).min(length);
            image.read_exact_at(&mut bytes[from..to], extent.physical)?;
        }
        if before.list() == extents(file)?.list() {
            return Ok(true);
        }
    }
    Ok(false)
}

// linux/fiemap.h.
const FS_IOC_FIEMAP: libc::c_ulong = 0xc020_660b;
/// UNKNOWN, DELALLOC, UNWRITTEN.
const NOT_WRITTEN: u32 = 0x2 | 0x4 | 0x800;
/// ENCODED, DATA_ENCRYPTED, NOT_ALIGNED, DATA_INLINE, DATA_TAIL.
const NOT_PLAIN: u32 = 0x8 | 0x80 | 0x100 | 0x200 | 0x400;
/// A block of 1 KiB each.
const EXTENTS_MAX: usize = 8 * PAGE / 1024 + 1;

/// struct fiemap_extent of linux/fiemap.h.
#[derive(Clone, Copy, PartialEq, Eq, Default)]
#[repr(C)]
struct Extent {
    logical: u64,
    physical: u64,
    length: u64,
    reserved: [u64; 2],
    flags: u32,
    more: [u32; 3],
}

/// struct fiemap of linux/fiemap.h, with its extents.
#[repr(C)]
struct Extents {
    start: u64,
    length: u64,
    flags: u32,
    mapped: u32,
    count: u32,
    reserved: u32,
    all: [Extent; EXTENTS_MAX],
}

const _: () = assert!(size_of::<Extent>() == 56 && std::mem::offset_of!(Extents, all) == 32);

impl Extents {
    fn list(&self) -> &[Extent] {
        &self.all[..(self.mapped as usize).min(EXTENTS_MAX)]
    }
}

fn extents(file: &File) -> io::Result<Extents> {
    let mut map = Extents {
        start: 0,
        length: u64::MAX,
        flags: 0,
        mapped: 0,
        count: EXTENTS_MAX as u32,
        reserved: 0,
        all: [Extent::default(); EXTENTS_MAX],
    };
    // SAFETY: the kernel writes at most `count` extents, for which there is room.
    match unsafe { libc::ioctl(file.as_raw_fd(), FS_IOC_FIEMAP as _, &raw mut map) } {
        0 => Ok(map),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn view(store: Store, folder: &Path) -> (File, View) {
        let path = folder.join("file");
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path);
        (file.unwrap(), View::new(&store, &path).unwrap())
    }

    #[test]
    fn ballast_leaves_as_much_as_it_is_told() {
        // Where nothing is full it takes what it is asked to, and gives it back.
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ballast");
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path);
        let ballast = Ballast { file: file.unwrap(), kept: 8192 };
        let pages = || std::fs::metadata(&path).unwrap().len() / 4096;
        ballast.leave(3).unwrap();
        assert_eq!(pages(), 2 + 127 - 3);
        ballast.release().unwrap();
        assert_eq!(pages(), 2);
        drop(ballast);
        assert_eq!(pages(), 0);
    }

    #[test]
    fn the_file_of_a_server_is_seen_at_any_time_and_other_stores_at_the_end() {
        let (here, there) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::write(there.path().join("file"), [1; 8]).unwrap();
        let mut buffer = Buffer::new();
        let (file, server) = view(Store::Server(there.path().to_owned()), here.path());
        assert_eq!(server.now(&file, &mut buffer).unwrap(), Some(8));
        assert_eq!(buffer.0[..2], [u64::from_ne_bytes([1; 8]), 0]);
        let (file, cache) = view(Store::Cache, here.path());
        file.write_at(&[2; 8], 0).unwrap();
        assert_eq!(cache.now(&file, &mut buffer).unwrap(), None);
        assert!(cache.at_end(&file, &mut buffer).unwrap());
        assert_eq!(buffer.0[..2], [u64::from_ne_bytes([2; 8]), 0]);
        let (file, unseen) = view(Store::Unseen, here.path());
        assert!(!unseen.at_end(&file, &mut buffer).unwrap());
    }
}
