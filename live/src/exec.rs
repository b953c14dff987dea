//! Runs cases on a folder: one actor in this process ([`Solo`]), or a thread per actor and a
//! process per address space ([`Team`]).
//!
//! A run has the three parts that it has in the model: the actors; a look at the file when nothing
//! runs; the closing program (fsync, no mappings, fsync) and a look at the store. Its result is
//! [`Run`], whoever ran it: `conformance` compares a model's with a kernel's, and `judge` gives it
//! to the history checker.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use mkwrite_model::case::{Case, Geometry, Operation, Range, Schedule};
use mkwrite_model::exec::TaskId;
use mkwrite_model::kernel::{Stamp, Status};

use crate::operations::{self, Actor, Buffer, PAGE, Record, Space, cell_bytes, cell_words};
use crate::store::{self, View};
use crate::word;

mod team;

pub use crate::store::Store;
pub use team::{Team, TeamRun};

/// A folder that cases run on.
#[derive(Clone, Debug)]
pub struct Place {
    /// The folder.
    pub folder: PathBuf,
    /// Blocks of the filesystem per page, as far as cases can have them.
    pub blocks: u8,
    /// Where the store can be seen.
    pub store: Store,
    /// Its space is taken before each run of several actors, but for what the case has free.
    pub full: bool,
}

/// The result of one call.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Call {
    /// How it ended.
    pub status: Status,
    /// The error, if the model has no status for it.
    pub errno: i32,
    /// Cells that were stored, loaded, read or written.
    pub done: u8,
    /// What a load or read returned.
    pub values: Vec<Stamp>,
    /// The size of the file in bytes after it.
    pub size: u64,
}

/// The result of a run with one actor.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Run {
    /// Of each slot of the actor; empty slots have the default.
    pub calls: Vec<Call>,
    /// What did not go as every run should: how it ended, or what the closing program met.
    pub trouble: Option<String>,
    /// The size of the file at the end, in bytes.
    pub size: u64,
    /// What a read sees at the end, after the closing program.
    pub seen: Vec<Stamp>,
    /// What the store holds then, if that can be seen.
    pub stored: Option<Vec<Stamp>>,
}

/// A file of a run.
struct Subject {
    file: File,
    path: PathBuf,
    view: View,
}

impl Subject {
    /// A new file in this folder.
    fn create(place: &Place, number: u32) -> io::Result<Subject> {
        let path = place.folder.join(format!("case-{}-{number}", std::process::id()));
        let file =
            OpenOptions::new().read(true).write(true).create(true).truncate(true).open(&path)?;
        let view = View::new(&place.store, &path)?;
        Ok(Subject { file, path, view })
    }

    /// Gives it the content that the case begins with, on the store too if it is to be `synced`.
    fn begin(&self, g: Geometry, run: u32, synced: bool, buffer: &mut Buffer) -> io::Result<()> {
        self.file.set_len(0)?;
        let block_cells = g.block_cells();
        for block in (0..g.blocks_of(g.size)).filter(|block| !g.is_hole(*block)) {
            let cells = Range::new(block * block_cells, (block + 1) * block_cells)
                .clip(Range::new(0, g.size));
            let words = cell_words(g);
            for (n, cell) in cells.iter().enumerate() {
                word::fill(&mut buffer.0[n * words..(n + 1) * words], Stamp::initial(cell), run);
            }
            let content = buffer.bytes(usize::from(cells.end - cells.start) * words);
            self.file.write_all_at(content, u64::from(cells.start) * cell_bytes(g) as u64)?;
        }
        self.file.set_len(u64::from(g.size) * cell_bytes(g) as u64)?;
        if synced {
            self.file.sync_all()?;
        }
        Ok(())
    }
}

impl Drop for Subject {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

/// The cells of a content, up to `size` bytes.
fn cells(buffer: &Buffer, g: Geometry, size: u64, run: u32) -> Vec<Stamp> {
    let (words, bytes) = (cell_words(g), cell_bytes(g) as u64);
    let count = size.div_ceil(bytes).min(u64::from(g.file_cells())) as usize;
    buffer.0.chunks_exact(words).take(count).map(|cell| word::read(cell, run)).collect()
}

/// Runs cases of one actor, in this process.
pub struct Solo {
    place: Place,
    space: Space,
    run: u32,
    buffer: Box<Buffer>,
    record: Box<Record>,
}

impl Solo {
    /// On this folder.
    pub fn new(place: Place) -> io::Result<Solo> {
        let run = std::process::id() << 16; // data of another process is of another run
        Ok(Solo {
            place,
            space: Space::reserve()?,
            run,
            buffer: Buffer::new(),
            record: Box::default(),
        })
    }

    /// Runs the first actor of a case.
    pub fn run(&mut self, case: &Case) -> io::Result<Run> {
        self.run = self.run.wrapping_add(1);
        let (g, run) = (case.geometry, self.run);
        let subject = Subject::create(&self.place, run)?;
        // A function of the case, so that a smaller case is begun alike.
        let synced = matches!(case.schedule, Schedule::Seed { seed, .. } if seed % 2 == 0);
        subject.begin(g, run, synced, &mut self.buffer)?;
        self.space.map(&subject.file)?;
        let result = self.perform(case, &subject).and_then(|calls| self.close(g, &subject, calls));
        self.space.unmap()?;
        result
    }

    fn perform(&mut self, case: &Case, subject: &Subject) -> io::Result<Vec<Call>> {
        let (g, words) = (case.geometry, cell_words(case.geometry));
        let file = &subject.file;
        let mut actor = Actor::new(TaskId(0), self.run, g, file, &self.space);
        let mut calls = Vec::new();
        for (slot, operation) in case.actors[0].operations.iter().enumerate() {
            if *operation == Operation::Empty {
                calls.push(Call::default());
                continue;
            }
            let record = &mut self.record;
            actor.perform(slot as u8, *operation, || 0, record);
            let is_read = operation.effect().returns().is_some();
            let count = if is_read { usize::from(record.done) } else { 0 };
            let whole = |cell: &[Stamp]| {
                if cell.iter().all(|stamp| *stamp == cell[0]) { cell[0] } else { word::TORN }
            };
            calls.push(Call {
                status: record.status,
                errno: record.errno,
                done: record.done,
                values: record.words.chunks_exact(words).take(count).map(whole).collect(),
                size: operations::size(file)?,
            });
        }
        Ok(calls)
    }

    fn close(&mut self, g: Geometry, subject: &Subject, calls: Vec<Call>) -> io::Result<Run> {
        let mut trouble = close(&subject.file, || self.space.unmap())
            .err()
            .map(|error| format!("closing: {error}"));
        let size = operations::size(&subject.file)?;
        let limit = u64::from(g.pages) * PAGE as u64;
        let bytes = store::read(&subject.file, &mut self.buffer)?;
        if bytes as u64 != size.min(PAGE as u64 * 8) || size > limit {
            trouble = Some(format!("the file has {size} bytes, and a read returns {bytes}"));
        }
        let seen = cells(&self.buffer, g, size, self.run);
        let is_seen = subject.view.at_end(&subject.file, &mut self.buffer)?;
        let stored = is_seen.then(|| cells(&self.buffer, g, size, self.run));
        Ok(Run { calls, trouble, size, seen, stored })
    }
}

/// The closing program: fsync with the mappings still there, then no mappings, then another fsync.
fn close(file: &File, unmap: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
    file.sync_all()?;
    unmap()?;
    file.sync_all()
}

/// What kind of filesystem a folder is on, by the number that statfs gives, and where its store can
/// be seen.
pub fn filesystem(folder: &Path) -> io::Result<(String, Store, u64)> {
    use std::os::unix::ffi::OsStrExt;
    let path = std::ffi::CString::new(folder.as_os_str().as_bytes())?;
    // SAFETY: all zeros are a valid statfs; the path ends with a zero.
    let stat = unsafe {
        let mut stat: libc::statfs = std::mem::zeroed();
        match libc::statfs(path.as_ptr(), &mut stat) {
            0 => stat,
            _ => return Err(io::Error::last_os_error()),
        }
    };
    let known: [(i64, &str, Store); 8] = [
        (0x0102_1994, "tmpfs", Store::Cache),
        (0xef53, "ext4", Store::Direct),
        (0x5846_5342, "xfs", Store::Direct),
        (0x9123_683e, "btrfs", Store::Direct),
        (0xf2f5_2010, "f2fs", Store::Direct),
        (0x6969, "nfs", Store::Direct),
        (0x794c_7630, "overlay", Store::Direct),
        (0x6573_5546, "fuse", Store::Direct),
    ];
    let magic = stat.f_type as i64;
    let (name, store) = match known.iter().find(|(number, ..)| *number == magic) {
        Some((_, name, store)) => ((*name).to_owned(), store.clone()),
        None => (format!("{magic:#x}"), Store::Unseen),
    };
    Ok((name, store, stat.f_bsize as u64))
}

#[cfg(test)]
mod tests {
    use super::*;
    use mkwrite_model::case::Actor as Program;

    fn solo(folder: &Path) -> Solo {
        Solo::new(Place { folder: folder.to_owned(), blocks: 1, store: Store::Cache, full: false })
            .unwrap()
    }

    fn case(geometry: Geometry, operations: Vec<Operation>) -> Case {
        let mut case =
            Case { geometry, actors: vec![Program { mm: 0, operations }], ..Case::default() };
        case.fix_up();
        case
    }

    #[test]
    fn a_run_gives_calls_size_and_content_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let geometry = Geometry { pages: 2, size: 6, holes: 1, ..Geometry::default() };
        let cells = Range::new(3, 5);
        let operations = vec![
            Operation::Store(cells),
            Operation::Empty,
            Operation::Read(cells),
            Operation::Truncate(5),
        ];
        let run = solo(folder.path()).run(&case(geometry, operations)).unwrap();
        let stamp = |cell| Stamp::new(TaskId(0), 0, cell);
        let call = |done, values, size| Call { done, values, size, ..Call::default() };
        let zero = Stamp::ZERO;
        assert_eq!(
            run,
            Run {
                calls: vec![
                    call(2, vec![], 6144),
                    Call::default(),
                    call(2, vec![stamp(3), stamp(4)], 6144),
                    call(0, vec![], 5120),
                ],
                trouble: None,
                size: 5120,
                seen: vec![zero, zero, zero, stamp(3), stamp(4)],
                stored: Some(vec![zero, zero, zero, stamp(3), stamp(4)]),
            }
        );
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn the_content_before_the_run_is_that_of_the_case() {
        let folder = tempfile::tempdir().unwrap();
        let geometry =
            Geometry { pages: 2, blocks: 2, size: 7, holes: 0b0100, ..Geometry::default() };
        let run = solo(folder.path()).run(&case(geometry, vec![])).unwrap();
        let initial =
            |cell: u8| if cell == 4 || cell == 5 { Stamp::ZERO } else { Stamp::initial(cell) };
        assert_eq!(run.seen, (0..7).map(initial).collect::<Vec<_>>());
    }
}
