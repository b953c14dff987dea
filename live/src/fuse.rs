//! A filesystem in user space: it passes everything on to files in a folder, which is what its
//! server has on the store. With and without the kernel's writeback cache.
//!
//! The server is a process of its own that ends with this one. Should it die, the kernel answers
//! every call on the mount with an error: nobody hangs. It has one folder and no times, no rights
//! and no links, for cases need none.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, UNIX_EPOCH};

use fuser::{
    BsdFileFlags, Config, Errno, FileAttr, FileHandle, FileType, Filesystem, FopenFlags,
    Generation, INodeNo, InitFlags, KernelConfig, LockOwner, OpenFlags, ReplyAttr, ReplyCreate,
    ReplyData, ReplyEmpty, ReplyEntry, ReplyStatfs, ReplyWrite, Request, Session, SessionACL,
    TimeOrNow, WriteFlags,
};

use crate::mounts::mount;
use crate::operations::PAGE;

/// How long the kernel may keep names and attributes: nobody else changes them.
const TTL: Duration = Duration::from_secs(3600);

/// Threads of the server, so that requests overlap.
const THREADS: usize = 2;

/// The server's process. Dropped, it ends.
pub struct Server(libc::pid_t);

impl Drop for Server {
    fn drop(&mut self) {
        // SAFETY: a child of this process that nobody else waits for.
        unsafe {
            libc::kill(self.0, libc::SIGKILL);
            libc::waitpid(self.0, std::ptr::null_mut(), 0);
        }
    }
}

/// Mounts the files of a folder at a point, and starts the server. This process may have other
/// threads, as long as none of them holds a lock that the server takes.
pub fn serve(folder: &Path, point: &Path, writeback_cache: bool) -> io::Result<Server> {
    let device: OwnedFd = OpenOptions::new().read(true).write(true).open("/dev/fuse")?.into();
    let options = format!("fd={},rootmode=40000,user_id=0,group_id=0", device.as_raw_fd());
    mount("mkwrite", point, "fuse", 0, &options)?;
    // SAFETY: no memory is involved.
    let parent = unsafe { libc::getpid() };
    // SAFETY: as for the processes of `exec::Team`: the child leaves by _exit, and fork itself takes
    // care of the allocator.
    match unsafe { libc::fork() } {
        -1 => Err(io::Error::last_os_error()),
        0 => {
            // SAFETY: no memory is involved. The second test is for a parent that was gone before
            // the first call.
            unsafe {
                libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                libc::signal(libc::SIGINT, libc::SIG_IGN);
                if libc::getppid() != parent {
                    libc::_exit(1);
                }
            }
            let files = Files::new(folder, writeback_cache);
            let mut config = Config::default();
            (config.n_threads, config.acl) = (Some(THREADS), SessionACL::All);
            let acl = config.acl;
            let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                Session::from_fd(files, device, acl, config).and_then(Session::run)
            }));
            // SAFETY: no memory is involved.
            unsafe { libc::_exit(i32::from(!matches!(result, Ok(Ok(()))))) }
        }
        child => Ok(Server(child)),
    }
}

/// The files that the kernel knows.
struct Known {
    numbers: HashMap<OsString, u64>,
    files: HashMap<u64, Arc<File>>,
    next: u64,
}

/// See the file's head.
struct Files {
    folder: PathBuf,
    writeback_cache: bool,
    known: Mutex<Known>,
}

fn error(error: io::Error) -> Errno {
    Errno::from_i32(error.raw_os_error().unwrap_or(libc::EIO))
}

/// fallocate(2) of these bytes. The folder's filesystem need not know how to zero a range: a hole
/// reads as zero, too. What is there is as good as allocated.
fn fallocate(file: &File, mode: i32, bytes: Range<u64>) -> io::Result<()> {
    let (from, length) = (bytes.start as libc::off_t, (bytes.end - bytes.start) as libc::off_t);
    if mode & (libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_ZERO_RANGE) != 0 {
        let punch = libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE;
        // SAFETY: a file of this process; no memory is involved.
        if unsafe { libc::fallocate(file.as_raw_fd(), punch, from, length) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    if mode & libc::FALLOC_FL_KEEP_SIZE == 0 && bytes.end > file.metadata()?.size() {
        file.set_len(bytes.end)?;
    }
    Ok(())
}

impl Files {
    fn new(folder: &Path, writeback_cache: bool) -> Files {
        let known = Known { numbers: HashMap::new(), files: HashMap::new(), next: 2 };
        Files { folder: folder.to_owned(), writeback_cache, known: Mutex::new(known) }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    fn file(&self, number: INodeNo) -> Result<Arc<File>, Errno> {
        self.known().files.get(&number.0).cloned().ok_or(Errno::ENOENT)
    }

    /// Makes a file of the folder known.
    fn open(&self, name: &OsStr, create: bool) -> Result<u64, Errno> {
        let mut known = self.known();
        if let (Some(number), false) = (known.numbers.get(name), create) {
            return Ok(*number);
        }
        let file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(create)
            .truncate(create)
            .open(self.folder.join(name))
            .map_err(error)?;
        let number = known.next;
        known.next += 1;
        known.numbers.insert(name.to_owned(), number);
        known.files.insert(number, Arc::new(file));
        Ok(number)
    }

    fn attributes(&self, number: INodeNo) -> Result<FileAttr, Errno> {
        let (size, kind, perm) = if number == INodeNo::ROOT {
            (0, FileType::Directory, 0o755)
        } else {
            let size = self.file(number)?.metadata().map_err(error)?.size();
            (size, FileType::RegularFile, 0o600)
        };
        Ok(FileAttr {
            ino: number,
            size,
            blocks: size.div_ceil(512),
            atime: UNIX_EPOCH,
            mtime: UNIX_EPOCH,
            ctime: UNIX_EPOCH,
            crtime: UNIX_EPOCH,
            kind,
            perm,
            nlink: 1,
            uid: 0,
            gid: 0,
            rdev: 0,
            blksize: PAGE as u32,
            flags: 0,
        })
    }
}

impl Filesystem for Files {
    fn init(&mut self, _: &Request, config: &mut KernelConfig) -> io::Result<()> {
        if self.writeback_cache {
            let refused = config.add_capabilities(InitFlags::FUSE_WRITEBACK_CACHE);
            refused.map_err(|_| io::Error::other("the kernel has no writeback cache"))?;
        }
        Ok(())
    }

    fn lookup(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEntry) {
        match self.open(name, false).and_then(|number| self.attributes(INodeNo(number))) {
            Ok(attributes) => reply.entry(&TTL, &attributes, Generation(0)),
            Err(error) => reply.error(error),
        }
    }

    fn forget(&self, _: &Request, number: INodeNo, _: u64) {
        let mut known = self.known();
        known.files.remove(&number.0);
        known.numbers.retain(|_, other| *other != number.0);
    }

    fn getattr(&self, _: &Request, number: INodeNo, _: Option<FileHandle>, reply: ReplyAttr) {
        match self.attributes(number) {
            Ok(attributes) => reply.attr(&TTL, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn setattr(
        &self,
        _: &Request,
        number: INodeNo,
        _: Option<u32>,
        _: Option<u32>,
        _: Option<u32>,
        size: Option<u64>,
        _: Option<TimeOrNow>,
        _: Option<TimeOrNow>,
        _: Option<std::time::SystemTime>,
        _: Option<FileHandle>,
        _: Option<std::time::SystemTime>,
        _: Option<std::time::SystemTime>,
        _: Option<std::time::SystemTime>,
        _: Option<BsdFileFlags>,
        reply: ReplyAttr,
    ) {
        let resize = |size| self.file(number)?.set_len(size).map_err(error);
        match size.map_or(Ok(()), resize).and_then(|()| self.attributes(number)) {
            Ok(attributes) => reply.attr(&TTL, &attributes),
            Err(error) => reply.error(error),
        }
    }

    fn create(
        &self,
        _: &Request,
        _: INodeNo,
        name: &OsStr,
        _: u32,
        _: u32,
        _: i32,
        reply: ReplyCreate,
    ) {
        match self.open(name, true).and_then(|number| self.attributes(INodeNo(number))) {
            Ok(attributes) => {
                let (handle, flags) = (FileHandle(0), FopenFlags::empty());
                reply.created(&TTL, &attributes, Generation(0), handle, flags);
            }
            Err(error) => reply.error(error),
        }
    }

    fn unlink(&self, _: &Request, _: INodeNo, name: &OsStr, reply: ReplyEmpty) {
        self.known().numbers.remove(name);
        match std::fs::remove_file(self.folder.join(name)) {
            Ok(()) => reply.ok(),
            Err(failed) => reply.error(error(failed)),
        }
    }

    fn read(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        size: u32,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyData,
    ) {
        let mut bytes = vec![0; size as usize];
        let read = |file: Arc<File>| file.read_at(&mut bytes, offset).map_err(error);
        match self.file(number).and_then(read) {
            Ok(count) => reply.data(&bytes[..count]),
            Err(error) => reply.error(error),
        }
    }

    fn write(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        data: &[u8],
        _: WriteFlags,
        _: OpenFlags,
        _: Option<LockOwner>,
        reply: ReplyWrite,
    ) {
        let write = |file: Arc<File>| file.write_all_at(data, offset).map_err(error);
        match self.file(number).and_then(write) {
            Ok(()) => reply.written(data.len() as u32),
            Err(error) => reply.error(error),
        }
    }

    fn flush(&self, _: &Request, _: INodeNo, _: FileHandle, _: LockOwner, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fsync(&self, _: &Request, _: INodeNo, _: FileHandle, _: bool, reply: ReplyEmpty) {
        reply.ok();
    }

    fn fallocate(
        &self,
        _: &Request,
        number: INodeNo,
        _: FileHandle,
        offset: u64,
        length: u64,
        mode: i32,
        reply: ReplyEmpty,
    ) {
        let done = self
            .file(number)
            .and_then(|file| fallocate(&file, mode, offset..offset + length).map_err(error));
        match done {
            Ok(()) => reply.ok(),
            Err(error) => reply.error(error),
        }
    }

    fn statfs(&self, _: &Request, _: INodeNo, reply: ReplyStatfs) {
        reply.statfs(1 << 16, 1 << 16, 1 << 16, 1 << 16, 1 << 16, PAGE as u32, 255, PAGE as u32);
    }
}
