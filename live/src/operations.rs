//! What each operation of the model really does, one row each; `docs/live.md` has this table.
//!
//! Nothing here harms the machine: no global sync, no dropped caches but those of the file itself.

use std::fmt::Write as _;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::sync::Mutex;

use mkwrite_model::case::{CELLS_MAX, CELLS_PER_PAGE_MAX, Geometry, Operation, PAGES_MAX, Range};
use mkwrite_model::exec::TaskId;
use mkwrite_model::kernel::{Stamp, Status};

use crate::access::{self, Fault, Signal};
use crate::word;

/// Bytes of a page.
pub const PAGE: usize = 4096;
/// Words of the largest file.
pub const WORDS_MAX: usize = PAGES_MAX * PAGE / word::BYTES;

/// Bytes of a cell.
pub const fn cell_bytes(g: Geometry) -> usize {
    PAGE / g.cells as usize
}

/// Words of a cell.
pub const fn cell_words(g: Geometry) -> usize {
    cell_bytes(g) / word::BYTES
}

/// One line of the table.
pub struct Row {
    /// The operation, with any operands.
    pub operation: Operation,
    /// The calls that it makes.
    pub calls: &'static str,
    perform: fn(&mut Actor<'_>, u8, Operation) -> Result<u8, Failure>,
}

const NONE: Range = Range::new(0, 0);

/// The table, in the order of the model's.
pub const ROWS: &[Row] = &[
    row(Operation::Empty, "nothing", |_, _, _| Ok(0)),
    row(
        Operation::Store(NONE),
        "stores of 8 bytes through the mapping, upwards, page by page",
        store,
    ),
    row(Operation::Load(NONE), "loads of 8 bytes through the mapping, upwards, page by page", load),
    row(Operation::Read(NONE), "`pread`", read),
    row(Operation::Write(NONE), "`pwrite`", write),
    row(Operation::Truncate(0), "`ftruncate`", |actor, _, operation| {
        let bytes = usize::from(operation.range().start) * cell_bytes(actor.geometry);
        // SAFETY: no memory is involved.
        done(unsafe { libc::ftruncate(actor.file.as_raw_fd(), bytes as i64) })
    }),
    row(Operation::Background(NONE), "`sync_file_range` with WRITE", |actor, _, operation| {
        actor.sync_range(operation.range(), libc::SYNC_FILE_RANGE_WRITE)
    }),
    row(
        Operation::Integrity(NONE),
        "`sync_file_range` with WAIT_BEFORE, WRITE and WAIT_AFTER",
        |actor, _, op| actor.sync_range(op.range(), SYNC_AND_WAIT),
    ),
    row(Operation::Fsync, "`fsync`", |actor, _, _| {
        // SAFETY: no memory is involved.
        done(unsafe { libc::fsync(actor.file.as_raw_fd()) })
    }),
    row(Operation::Msync, "`msync` with MS_SYNC on the whole mapping; ENOMEM without one", msync),
    row(
        Operation::Invalidate(NONE),
        "`posix_fadvise` with DONTNEED, which starts writeback of dirty pages first",
        |actor, _, operation| actor.forget(operation.range()),
    ),
    row(
        Operation::Invalidate2(NONE),
        "`sync_file_range` as for sync_range, `madvise` with DONTNEED on the mapping, \
         `posix_fadvise` with DONTNEED: no call invalidates a mapped page as direct I/O does",
        |actor, _, operation| {
            let pages = operation.range();
            actor.sync_range(pages, SYNC_AND_WAIT)?;
            actor.advise(pages, libc::MADV_DONTNEED)?;
            actor.forget(pages)
        },
    ),
    row(
        Operation::Reclaim(NONE),
        "`madvise` with PAGEOUT on the mapping, which leaves dirty pages of a file alone; nothing \
         without a mapping",
        |actor, _, operation| actor.advise(operation.range(), libc::MADV_PAGEOUT),
    ),
    row(
        Operation::Munmap,
        "`mmap` of inaccessible memory over the mapping, so that nothing else comes there",
        |actor, _, _| {
            actor.space.unmap().map_err(Failure::from)?;
            Ok(0)
        },
    ),
    row(
        Operation::Mmap,
        "`mmap`, shared and writable, of all pages the file can have",
        |actor, _, _| {
            actor.space.map(actor.file).map_err(Failure::from)?;
            Ok(0)
        },
    ),
    row(
        Operation::CopyRange(NONE, NONE),
        "`pread` and `pwrite`, with the checks of copy_file_range, which would copy the marks that \
         tell one write from another",
        copy_range,
    ),
    row(
        Operation::Punch(NONE),
        "`fallocate` with FALLOC_FL_PUNCH_HOLE and FALLOC_FL_KEEP_SIZE",
        |actor, _, operation| {
            fallocate(actor, libc::FALLOC_FL_PUNCH_HOLE | libc::FALLOC_FL_KEEP_SIZE, operation)
        },
    ),
    row(
        Operation::ZeroRange(NONE),
        "`fallocate` with FALLOC_FL_ZERO_RANGE",
        |actor, _, operation| fallocate(actor, libc::FALLOC_FL_ZERO_RANGE, operation),
    ),
    row(
        Operation::Prealloc(NONE),
        "`fallocate` with FALLOC_FL_KEEP_SIZE",
        |actor, _, operation| fallocate(actor, libc::FALLOC_FL_KEEP_SIZE, operation),
    ),
    row(Operation::Fallocate(NONE), "`fallocate` without a mode", |actor, _, operation| {
        fallocate(actor, 0, operation)
    }),
    row(
        Operation::Freeze,
        "nothing: a filesystem of this machine would be frozen for everybody",
        |_, _, _| Ok(0),
    ),
    row(
        Operation::WriteMapped(NONE, NONE),
        "page by page: loads of the buffer, then `pwrite` from another, because the mapping has other \
         marks; EFAULT where a load faults",
        write_mapped,
    ),
    row(
        Operation::Pin(NONE),
        "`process_vm_writev` to the mapping of the own process, page by page: it pins the page, \
         copies, and marks it dirty as a driver does",
        pin,
    ),
    row(
        Operation::Mremap,
        "nothing: other threads would find no mapping at the old address; EFAULT without one",
        |actor, _, _| actor.mapped_or(libc::EFAULT),
    ),
    row(
        Operation::Mprotect,
        "`mprotect` with PROT_READ, then with PROT_READ and PROT_WRITE; ENOMEM without a mapping",
        |actor, _, _| {
            actor.mapped_or(libc::ENOMEM)?;
            actor.protect(libc::PROT_READ)?;
            actor.protect(libc::PROT_READ | libc::PROT_WRITE)
        },
    ),
    row(
        Operation::CopyOther(NONE, NONE),
        "never called: a case with two files is for the model alone",
        |_, _, _| Ok(0),
    ),
];

fn fallocate(actor: &mut Actor<'_>, mode: i32, operation: Operation) -> Result<u8, Failure> {
    let (cells, cell) = (operation.range(), cell_bytes(actor.geometry));
    let (at, bytes) = (usize::from(cells.start) * cell, cells.iter().len() * cell);
    // SAFETY: no memory is involved.
    done(unsafe { libc::fallocate(actor.file.as_raw_fd(), mode, at as i64, bytes as i64) })
}

const SYNC_AND_WAIT: libc::c_uint = libc::SYNC_FILE_RANGE_WAIT_BEFORE
    | libc::SYNC_FILE_RANGE_WRITE
    | libc::SYNC_FILE_RANGE_WAIT_AFTER;

const fn row(
    operation: Operation,
    calls: &'static str,
    perform: fn(&mut Actor<'_>, u8, Operation) -> Result<u8, Failure>,
) -> Row {
    Row { operation, calls, perform }
}

/// The row of an operation.
pub fn row_of(operation: Operation) -> &'static Row {
    let code = operation.kind().code;
    let row = ROWS.iter().find(|row| row.operation.kind().code == code);
    row.expect("every operation has its row")
}

/// The table as it stands in docs/live.md.
pub fn markdown() -> String {
    let mut text = "| operation | what it does | compared |\n| --- | --- | --- |\n".to_owned();
    for row in &ROWS[1..] {
        let compared = if row.operation.effect().is_of_contract() { "yes" } else { "effects only" };
        let _ = writeln!(text, "| {} | {} | {compared} |", row.operation.kind().name, row.calls);
    }
    text
}

/// Why a call failed, with the cells that it had done.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Failure {
    status: Status,
    /// The error, if the model has no status for it.
    errno: i32,
    done: u8,
}

/// The model's status for an errno, and the errno if the model has no status for it.
pub fn status_of(errno: i32) -> (Status, i32) {
    match errno {
        libc::ENOMEM => (Status::NoMemory, 0),
        libc::ENOSPC | libc::EDQUOT => (Status::NoSpace, 0),
        libc::EBUSY => (Status::Busy, 0),
        libc::EFAULT => (Status::Fault, 0),
        libc::EINVAL => (Status::Invalid, 0),
        libc::EIO => (Status::Io, 0),
        libc::EOPNOTSUPP => (Status::NotSupported, 0),
        errno => (Status::Io, errno),
    }
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Failure {
        let (status, errno) = status_of(error.raw_os_error().unwrap_or(libc::EIO));
        Failure { status, errno, done: 0 }
    }
}

impl Failure {
    fn fault(fault: Fault, done: u8) -> Failure {
        let status = match fault.signal {
            Signal::Bus => Status::Sigbus,
            Signal::Segv => Status::Segv,
        };
        Failure { status, errno: 0, done }
    }
}

fn done(result: libc::c_int) -> Result<u8, Failure> {
    if result < 0 { Err(io::Error::last_os_error().into()) } else { Ok(0) }
}

/// What a call gave.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Record {
    /// When it was called and when it had returned, in the order of all calls and returns of a run;
    /// 0 if it was not.
    pub called: u64,
    /// See `called`.
    pub returned: u64,
    /// How it ended.
    pub status: Status,
    /// The error, if the model has no status for it; then the status is an I/O error.
    pub errno: i32,
    /// Cells that were stored, loaded, read or written.
    pub done: u8,
    /// Words that a store or write has put into the file, from the start of its range upwards: a
    /// fault or a full disk may end it inside a cell, which is then not done.
    pub words_written: u32,
    /// The store was looked at after this call, which syncs, and before it counts as returned: the
    /// size of the file there, in bytes.
    pub stored_size: Option<u64>,
    /// The stamps of the words that a load or read returned; of all words of the store, where it
    /// was looked at.
    pub words: [Stamp; WORDS_MAX],
}

impl Default for Record {
    fn default() -> Self {
        let words = [Stamp::ZERO; WORDS_MAX];
        Record {
            called: 0,
            returned: 0,
            status: Status::Ok,
            errno: 0,
            done: 0,
            words_written: 0,
            stored_size: None,
            words,
        }
    }
}

/// An address space's place for the mapping of the file.
pub struct Space {
    base: *mut u64,
    mapped: Mutex<bool>,
}

// SAFETY: the pointer is an address; what lies there is accessed by `access::copy` alone, which is
// made for memory that others change.
unsafe impl Sync for Space {}
// SAFETY: as above.
unsafe impl Send for Space {}

impl Space {
    /// Reserves addresses for the largest file.
    pub fn reserve() -> io::Result<Space> {
        Ok(Space { base: place(std::ptr::null_mut(), None)?, mapped: Mutex::new(false) })
    }

    /// Maps the file, if it is not mapped.
    pub fn map(&self, file: &File) -> io::Result<()> {
        let mut mapped = self.mapped.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if !*mapped {
            place(self.base, Some(file))?;
            *mapped = true;
        }
        Ok(())
    }

    /// Takes the mapping away, if there is one.
    pub fn unmap(&self) -> io::Result<()> {
        let mut mapped = self.mapped.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
        if *mapped {
            place(self.base, None)?;
            *mapped = false;
        }
        Ok(())
    }

    fn is_mapped(&self) -> bool {
        *self.mapped.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }
}

impl Drop for Space {
    fn drop(&mut self) {
        // SAFETY: the addresses were reserved by `reserve` and are nobody else's.
        unsafe { libc::munmap(self.base.cast(), PAGES_MAX * PAGE) };
    }
}

/// A mapping of the file, or inaccessible memory, at this address, or at one of the kernel's
/// choice.
fn place(at: *mut u64, file: Option<&File>) -> io::Result<*mut u64> {
    let fixed = if at.is_null() { 0 } else { libc::MAP_FIXED };
    let (protection, flags, fd) = match file {
        Some(file) => (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED, file.as_raw_fd()),
        None => (libc::PROT_NONE, libc::MAP_PRIVATE | libc::MAP_ANONYMOUS, -1),
    };
    // SAFETY: at an address of the kernel's choice, or over the addresses that `Space` reserved.
    let result =
        unsafe { libc::mmap(at.cast(), PAGES_MAX * PAGE, protection, flags | fixed, fd, 0) };
    if result == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(result.cast()) }
}

/// Words at an address that direct I/O can use.
#[derive(Clone)]
#[repr(C, align(4096))]
pub struct Buffer(pub [u64; WORDS_MAX]);

impl Buffer {
    /// Zeros.
    pub fn new() -> Box<Buffer> {
        Box::new(Buffer([0; WORDS_MAX]))
    }

    /// These words as bytes.
    pub fn bytes(&self, words: usize) -> &[u8] {
        // SAFETY: any word is 8 bytes, and the slice is inside the array.
        unsafe { std::slice::from_raw_parts(self.0[..words].as_ptr().cast(), words * word::BYTES) }
    }

    /// The same, to be changed.
    pub fn bytes_mut(&mut self, words: usize) -> &mut [u8] {
        // SAFETY: any 8 bytes are a word, and the slice is inside the array.
        unsafe {
            std::slice::from_raw_parts_mut(self.0[..words].as_mut_ptr().cast(), words * word::BYTES)
        }
    }
}

/// A thread that performs the operations of an actor.
pub struct Actor<'a> {
    /// Which.
    pub task: TaskId,
    /// The number of the run, for its words.
    pub run: u32,
    /// The shape of the file.
    pub geometry: Geometry,
    /// The file.
    pub file: &'a File,
    /// Its address space.
    pub space: &'a Space,
    /// Where it puts words together.
    pub buffer: Box<Buffer>,
    /// See [`Record::words_written`].
    words_written: usize,
}

impl<'a> Actor<'a> {
    /// An actor of a run on a file of this shape.
    pub fn new(
        task: TaskId,
        run: u32,
        geometry: Geometry,
        file: &'a File,
        space: &'a Space,
    ) -> Actor<'a> {
        Actor { task, run, geometry, file, space, buffer: Buffer::new(), words_written: 0 }
    }

    /// Performs an operation. `now` numbers calls and returns.
    pub fn perform(
        &mut self,
        slot: u8,
        operation: Operation,
        now: impl Fn() -> u64,
        record: &mut Record,
    ) {
        if let Some(cells) = operation.effect().writes() {
            self.fill(slot, cells);
        }
        (self.words_written, record.stored_size) = (0, None);
        (record.status, record.errno, record.called) = (Status::Ok, 0, now());
        let result = (row_of(operation).perform)(self, slot, operation);
        record.returned = now();
        record.words_written = self.words_written as u32;
        record.done = match result {
            Ok(done) => done,
            Err(failure) => {
                (record.status, record.errno) = (failure.status, failure.errno);
                failure.done
            }
        };
        if operation.effect().returns().is_some() {
            let words = cell_words(self.geometry);
            for cell in 0..usize::from(record.done) {
                let of_cell = cell * words..(cell + 1) * words;
                let stamps = word::stamps(&self.buffer.0[of_cell.clone()], self.run);
                record.words[of_cell].iter_mut().zip(stamps).for_each(|(to, stamp)| *to = stamp);
            }
        }
    }

    /// What this operation puts into these cells.
    fn fill(&mut self, slot: u8, cells: Range) {
        let words = cell_words(self.geometry);
        for (n, cell) in cells.iter().enumerate() {
            word::fill(
                &mut self.buffer.0[n * words..(n + 1) * words],
                Stamp::new(self.task, slot, cell),
                self.run,
            );
        }
    }

    fn words(&self, cells: Range) -> usize {
        usize::from(cells.end - cells.start) * cell_words(self.geometry)
    }

    fn offset(&self, cell: u8) -> u64 {
        u64::from(cell) * cell_bytes(self.geometry) as u64
    }

    /// Which cells a call on so many bytes has done. Part of a cell is none.
    fn cells_in(&self, bytes: usize) -> u8 {
        (bytes / cell_bytes(self.geometry)).min(CELLS_MAX) as u8
    }

    fn sync_range(&self, pages: Range, flags: libc::c_uint) -> Result<u8, Failure> {
        let (at, length) = bytes_of(pages);
        // SAFETY: no memory is involved.
        done(unsafe { libc::sync_file_range(self.file.as_raw_fd(), at, length, flags) })
    }

    fn forget(&self, pages: Range) -> Result<u8, Failure> {
        let (at, length) = bytes_of(pages);
        // SAFETY: no memory is involved.
        match unsafe {
            libc::posix_fadvise(self.file.as_raw_fd(), at, length, libc::POSIX_FADV_DONTNEED)
        } {
            0 => Ok(0),
            errno => Err(io::Error::from_raw_os_error(errno).into()),
        }
    }

    fn advise(&self, pages: Range, advice: libc::c_int) -> Result<u8, Failure> {
        if !self.space.is_mapped() {
            return Ok(0);
        }
        let (at, length) = bytes_of(pages);
        // SAFETY: inside the reserved addresses; a mapping of a file is only dropped from the page
        // tables.
        done(unsafe {
            libc::madvise(self.space.base.byte_add(at as usize).cast(), length as usize, advice)
        })
    }

    /// This error if there is no mapping.
    fn mapped_or(&self, errno: i32) -> Result<u8, Failure> {
        match self.space.is_mapped() {
            true => Ok(0),
            false => Err(io::Error::from_raw_os_error(errno).into()),
        }
    }

    fn protect(&self, protection: libc::c_int) -> Result<u8, Failure> {
        // SAFETY: the reserved addresses, which hold a mapping of the file.
        done(unsafe { libc::mprotect(self.space.base.cast(), PAGES_MAX * PAGE, protection) })
    }

    /// Each page's cells of a range.
    fn by_page(&self, cells: Range) -> impl Iterator<Item = Range> + use<> {
        let g = self.geometry;
        (0..g.pages).map(move |page| cells.clip(g.cells_of(page))).filter(|cells| !cells.is_empty())
    }
}

/// Where pages begin in the file, and their length.
fn bytes_of(pages: Range) -> (i64, i64) {
    let bytes = |pages: u8| i64::from(pages) * PAGE as i64;
    (bytes(pages.start), bytes(pages.end - pages.start))
}

fn store(actor: &mut Actor<'_>, slot: u8, operation: Operation) -> Result<u8, Failure> {
    let mut done = 0;
    for cells in actor.by_page(operation.range()) {
        actor.fill(slot, cells);
        let words = actor.words(cells);
        // SAFETY: the cells lie inside the reserved addresses, the buffer has room for all of them.
        let copied = unsafe {
            let to = actor.space.base.byte_add(actor.offset(cells.start) as usize);
            access::copy(to, actor.buffer.0.as_ptr(), words)
        };
        actor.words_written += copied.map_or_else(|fault| fault.words, |()| words);
        copied.map_err(|fault| Failure::fault(fault, done))?;
        done += cells.end - cells.start;
    }
    Ok(done)
}

fn pin(actor: &mut Actor<'_>, slot: u8, operation: Operation) -> Result<u8, Failure> {
    let mut done = 0;
    for cells in actor.by_page(operation.range()) {
        actor.fill(slot, cells);
        let words = actor.words(cells);
        let iov_len = words * word::BYTES;
        let local = libc::iovec { iov_base: actor.buffer.0.as_mut_ptr().cast(), iov_len };
        // SAFETY: the buffer has room for the cells, and they lie inside the reserved addresses; a
        // page that is not there is an error of the call.
        let written = unsafe {
            let to = actor.space.base.byte_add(actor.offset(cells.start) as usize);
            let remote = libc::iovec { iov_base: to.cast(), iov_len };
            libc::process_vm_writev(libc::getpid(), &local, 1, &remote, 1, 0)
        };
        if written < 0 {
            return Err(Failure { done, ..io::Error::last_os_error().into() });
        }
        actor.words_written += words;
        done += cells.end - cells.start;
    }
    Ok(done)
}

fn load(actor: &mut Actor<'_>, _: u8, operation: Operation) -> Result<u8, Failure> {
    let mut done = 0;
    for cells in actor.by_page(operation.range()) {
        let (words, at) = (actor.words(cells), usize::from(done) * cell_words(actor.geometry));
        // SAFETY: as for stores; the buffer has room for all cells of the file.
        let copied = unsafe {
            let from = actor.space.base.byte_add(actor.offset(cells.start) as usize);
            access::copy(actor.buffer.0[at..at + words].as_mut_ptr(), from, words)
        };
        copied.map_err(|fault| Failure::fault(fault, done))?;
        done += cells.end - cells.start;
    }
    Ok(done)
}

fn read(actor: &mut Actor<'_>, _: u8, operation: Operation) -> Result<u8, Failure> {
    let cells = operation.range();
    let (words, offset) = (actor.words(cells), actor.offset(cells.start));
    let bytes = actor.file.read_at(actor.buffer.bytes_mut(words), offset)?;
    Ok(actor.cells_in(bytes))
}

fn write(actor: &mut Actor<'_>, _: u8, operation: Operation) -> Result<u8, Failure> {
    let cells = operation.range();
    let bytes =
        actor.file.write_at(actor.buffer.bytes(actor.words(cells)), actor.offset(cells.start))?;
    actor.words_written = bytes / word::BYTES;
    Ok(actor.cells_in(bytes))
}

fn copy_range(actor: &mut Actor<'_>, _: u8, operation: Operation) -> Result<u8, Failure> {
    let [from, to] = operation.operands();
    let size = actor.cells_in(size(actor.file)? as usize);
    let end = from.end.min(from.start.saturating_add(to.end - to.start));
    let from = from.clip(Range::new(0, end.min(size)));
    if from.is_empty() {
        return Ok(0);
    }
    if from.start < to.start + (from.end - from.start) && to.start < from.end {
        return Err(io::Error::from_raw_os_error(libc::EINVAL).into());
    }
    // The buffer has what is to be written, and in the end what was read.
    let mut read = vec![0; actor.words(from) * word::BYTES];
    let cells = actor.file.read_at(&mut read, actor.offset(from.start))?;
    let cells = actor.cells_in(cells);
    let words = actor.words(Range::new(0, cells));
    let bytes = actor.file.write_at(actor.buffer.bytes(words), actor.offset(to.start))?;
    actor.words_written = bytes / word::BYTES;
    actor.buffer.bytes_mut(words).copy_from_slice(&read[..words * word::BYTES]);
    Ok(actor.cells_in(bytes))
}

/// Page by page, as write(2) touches its buffer.
fn write_mapped(actor: &mut Actor<'_>, slot: u8, operation: Operation) -> Result<u8, Failure> {
    let [from, _] = operation.operands();
    let (mut done, mut words) = (0, 0);
    for cells in actor.by_page(operation.effect().writes().unwrap_or_default()) {
        let length = cells.end - cells.start;
        let buffer = Range::new(from.start + done, from.start + done + length);
        if load(actor, slot, Operation::Load(buffer)).is_err() {
            return Err(Failure { status: Status::Fault, errno: 0, done });
        }
        actor.fill(slot, cells);
        let written = write(actor, slot, Operation::Write(cells))
            .map_err(|failure| Failure { done, ..failure })?;
        words += actor.words_written;
        actor.words_written = words;
        done += written;
        if written < length {
            break;
        }
    }
    Ok(done)
}

fn msync(actor: &mut Actor<'_>, _: u8, _: Operation) -> Result<u8, Failure> {
    actor.mapped_or(libc::ENOMEM)?;
    let bytes = usize::from(actor.geometry.pages) * PAGE;
    // SAFETY: inside the reserved addresses.
    done(unsafe { libc::msync(actor.space.base.cast(), bytes, libc::MS_SYNC) })
}

/// The size of a file without asking anybody to write it back: fstat does that on NFS and FUSE, for
/// the file's times.
pub fn size(file: &File) -> io::Result<u64> {
    // SAFETY: all zeros are a valid statx, and the empty path names the file itself.
    unsafe {
        let mut stat: libc::statx = std::mem::zeroed();
        let flags = libc::AT_EMPTY_PATH | libc::AT_STATX_DONT_SYNC;
        match libc::statx(file.as_raw_fd(), c"".as_ptr(), flags, libc::STATX_SIZE, &mut stat) {
            0 => Ok(stat.stx_size),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

const _: () =
    assert!(PAGE / CELLS_PER_PAGE_MAX >= 512, "a cell is a multiple of the smallest sector");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_of_the_docs_is_this_one() {
        let docs = include_str!("../../docs/live.md");
        let table = docs.split("<!-- operations -->\n").nth(1).unwrap();
        assert_eq!(table, markdown(), "copy this into docs/live.md:\n{}", markdown());
    }

    #[test]
    fn every_operation_has_its_row() {
        assert_eq!(ROWS.len(), Operation::KINDS.len());
        for (row, kind) in ROWS.iter().zip(Operation::KINDS) {
            assert_eq!(row.operation.kind().name, kind.name);
            assert_eq!(row_of(row.operation).calls, row.calls);
        }
    }

    fn actor<'a>(file: &'a File, space: &'a Space) -> Actor<'a> {
        let geometry = Geometry { pages: 2, size: 6, ..Geometry::default() };
        Actor::new(TaskId(0), 9, geometry, file, space)
    }

    #[test]
    fn what_is_stored_is_read_and_what_is_torn_shows() {
        let (file, space) = (tempfile::tempfile().unwrap(), Space::reserve().unwrap());
        file.set_len(6 * 1024).unwrap();
        space.map(&file).unwrap();
        let (mut actor, mut record) = (actor(&file, &space), Record::default());
        actor.perform(3, Operation::Store(Range::new(1, 6)), || 1, &mut record);
        assert_eq!((record.status, record.done), (Status::Ok, 5));
        actor.perform(4, Operation::Write(Range::new(5, 7)), || 1, &mut record);
        assert_eq!((record.done, size(&file).unwrap()), (2, 7 * 1024));
        actor.perform(5, Operation::Read(Range::new(0, 8)), || 1, &mut record);
        assert_eq!(record.done, 7);
        let stamp = |slot, cell| Stamp::new(TaskId(0), slot, cell);
        let firsts: Vec<Stamp> = (0..7).map(|cell| record.words[cell * 128]).collect();
        assert_eq!(firsts[..2], [Stamp::ZERO, stamp(3, 1)]);
        assert_eq!(firsts[5..], [stamp(4, 5), stamp(4, 6)]);
        let copy = Operation::CopyRange(Range::new(1, 4), Range::new(5, 8));
        actor.perform(6, copy, || 1, &mut record);
        assert_eq!((record.status, record.done, size(&file).unwrap()), (Status::Ok, 3, 8 * 1024));
        assert_eq!(
            [0, 128, 256].map(|word| record.words[word]),
            [1, 2, 3].map(|cell| stamp(3, cell))
        );
        actor.perform(7, Operation::Read(Range::new(5, 8)), || 1, &mut record);
        assert_eq!(
            [0, 128, 256].map(|word| record.words[word]),
            [5, 6, 7].map(|cell| stamp(6, cell))
        );
        let overlap = Operation::CopyRange(Range::new(1, 4), Range::new(2, 5));
        actor.perform(8, overlap, || 1, &mut record);
        assert_eq!((record.status, record.done), (Status::Invalid, 0));
        file.write_at(&[0; 512], 1024).unwrap();
        actor.perform(6, Operation::Load(Range::new(1, 2)), || 1, &mut record);
        assert_eq!((record.words[63], record.words[64]), (Stamp::ZERO, stamp(3, 1)));
    }

    #[test]
    fn faults_are_results_and_count_what_went_before() {
        let (file, space) = (tempfile::tempfile().unwrap(), Space::reserve().unwrap());
        file.set_len(4096).unwrap();
        let (mut actor, mut record) = (actor(&file, &space), Record::default());
        let mut status = |operation| {
            actor.perform(0, operation, || 1, &mut record);
            (record.status, record.done)
        };
        assert_eq!(status(Operation::Load(Range::new(0, 1))), (Status::Segv, 0));
        assert_eq!(status(Operation::Msync), (Status::NoMemory, 0));
        assert_eq!(status(Operation::Mmap), (Status::Ok, 0));
        assert_eq!(status(Operation::Store(Range::new(2, 8))), (Status::Sigbus, 2));
        assert_eq!(status(Operation::Truncate(8)), (Status::Ok, 0));
        assert_eq!(status(Operation::Store(Range::new(2, 8))), (Status::Ok, 6));
        assert_eq!(status(Operation::Munmap), (Status::Ok, 0));
        assert_eq!(status(Operation::Store(Range::new(2, 8))), (Status::Segv, 0));
    }
}
