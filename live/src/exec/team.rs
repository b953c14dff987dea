//! Actors that run at the same time: a process per address space, in it a thread per actor, started
//! together and delayed at random before each operation.
//!
//! The processes are forked for a case and repeat it as often as they are told. The file is
//! inherited, so that all actors share one open file as in the model; what is shared besides lies
//! in anonymous shared memory. This process only starts the rounds and looks at the file
//! afterwards: it has no mapping, and none of the locks that go with one.

use std::cell::UnsafeCell;
use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use mkwrite_model::case::{Case, Effect, OPERATIONS_MAX, Operation};
use mkwrite_model::exec::{ACTORS_MAX, TaskId};
use mkwrite_model::kernel::{Stamp, Status};

use super::{Place, Subject, close};
use crate::operations::{self, Actor, Buffer, Record, Space};
use crate::store::{self, Ballast};
use crate::word;

/// How long a round may take before it counts as stuck.
const PATIENCE: Duration = Duration::from_secs(30);

/// What the processes share. All zeros are its first state.
#[repr(C)]
struct Board {
    /// Numbers calls and returns.
    sequence: AtomicU64,
    /// The round that is to run; `u32::MAX` ends the processes.
    round: AtomicU32,
    /// The longest delay of the round, in turns of a loop.
    delay: AtomicU32,
    /// Threads that have their mapping and wait for the start, of all rounds so far.
    ready: AtomicU32,
    /// Threads that have finished, of all rounds so far.
    finished: AtomicU32,
    /// Written by the actor's thread between the start and its `finished`, read after that.
    records: [[UnsafeCell<Record>; OPERATIONS_MAX]; ACTORS_MAX],
}

/// The board in memory that forked processes share.
struct Shared(*mut Board);

// SAFETY: all fields but the records are atomic, and of the records each has one writer, see
// `Board`.
unsafe impl Sync for Shared {}
// SAFETY: as above.
unsafe impl Send for Shared {}

impl Shared {
    fn new() -> io::Result<Shared> {
        let (protection, flags) =
            (libc::PROT_READ | libc::PROT_WRITE, libc::MAP_SHARED | libc::MAP_ANONYMOUS);
        // SAFETY: new memory, at an address of the kernel's choice.
        let at = unsafe {
            libc::mmap(std::ptr::null_mut(), size_of::<Board>(), protection, flags, -1, 0)
        };
        if at == libc::MAP_FAILED { Err(io::Error::last_os_error()) } else { Ok(Shared(at.cast())) }
    }
}

impl std::ops::Deref for Shared {
    type Target = Board;

    fn deref(&self) -> &Board {
        // SAFETY: the memory is there as long as self, and zeros are a valid board.
        unsafe { &*self.0 }
    }
}

impl Drop for Shared {
    fn drop(&mut self) {
        // SAFETY: mapped by `new`, and nobody has a reference any more.
        unsafe { libc::munmap(self.0.cast(), size_of::<Board>()) };
    }
}

/// Waits until this word is no longer `old`, or for this long.
fn wait_while(word: &AtomicU32, old: u32, patience: Duration) {
    let time = libc::timespec {
        tv_sec: patience.as_secs() as i64,
        tv_nsec: patience.subsec_nanos().into(),
    };
    // SAFETY: a futex of this address, shared between processes; the time outlives the call.
    unsafe {
        libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAIT, old, &raw const time)
    };
}

fn wake_all(word: &AtomicU32) {
    // SAFETY: as above.
    unsafe { libc::syscall(libc::SYS_futex, word.as_ptr(), libc::FUTEX_WAKE, i32::MAX) };
}

/// Where the records of a round are.
enum Records<'a> {
    Board(&'a Board),
    Given(BTreeMap<(TaskId, u8), Record>),
}

/// What a round gave.
pub struct TeamRun<'a> {
    records: Records<'a>,
    /// The size of the file in bytes when nothing ran.
    pub size: u64,
    /// What a read saw then, word by word.
    pub seen: Vec<Stamp>,
    /// What the store held after the closing program, if that can be seen, or else what a read saw
    /// then.
    pub stored: Vec<Stamp>,
    /// What the closing program met.
    pub trouble: Option<String>,
}

impl TeamRun<'_> {
    /// What an operation gave.
    pub fn record(&self, task: TaskId, slot: u8) -> &Record {
        match &self.records {
            // SAFETY: the round is over, so the threads write no more.
            Records::Board(board) => unsafe {
                &*board.records[task.index()][usize::from(slot)].get()
            },
            Records::Given(records) => &records[&(task, slot)],
        }
    }

    /// A run that somebody else made: what each operation of the case gave.
    pub fn of_records(
        records: BTreeMap<(TaskId, u8), Record>,
        size: u64,
        seen: Vec<Stamp>,
        stored: Vec<Stamp>,
    ) -> TeamRun<'static> {
        TeamRun { records: Records::Given(records), size, seen, stored, trouble: None }
    }
}

/// The processes of a case.
pub struct Team {
    case: Case,
    board: Shared,
    subject: Subject,
    children: Vec<libc::pid_t>,
    rounds: u32,
    first_run: u32,
    buffer: Box<Buffer>,
    ballast: Option<Ballast>,
}

impl Team {
    /// Starts the processes of a case on this folder. The words of its first round have the number
    /// after `first_run`.
    pub fn start(place: &Place, case: &Case, first_run: u32) -> io::Result<Team> {
        let subject = Subject::create(place, first_run)?;
        let ballast = if place.full { Some(Ballast::new(&place.folder)?) } else { None };
        let (board, buffer) = (Shared::new()?, Buffer::new());
        let mut team = Team {
            case: case.clone(),
            board,
            subject,
            children: Vec::new(),
            rounds: 0,
            first_run,
            buffer,
            ballast,
        };
        for mm in 0..case.geometry.mms {
            if case.actors.iter().any(|actor| actor.mm == mm) {
                team.fork(mm)?;
            }
        }
        Ok(team)
    }

    fn fork(&mut self, mm: u8) -> io::Result<()> {
        // SAFETY: no memory is involved.
        let parent = unsafe { libc::getpid() };
        // SAFETY: the child uses memory of its own and what is shared for the purpose, and leaves
        // by _exit. Locks that other threads of this process hold are not taken: the allocator's
        // are taken care of by fork itself.
        match unsafe { libc::fork() } {
            -1 => Err(io::Error::last_os_error()),
            0 => {
                // SAFETY: no memory is involved. The second test is for a parent that was gone
                // before the first call.
                unsafe {
                    libc::prctl(libc::PR_SET_PDEATHSIG, libc::SIGKILL);
                    libc::signal(libc::SIGINT, libc::SIG_IGN);
                    if libc::getppid() == parent {
                        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
                            self.serve(mm)
                        }));
                        libc::_exit(i32::from(result.is_err()));
                    }
                    libc::_exit(1)
                }
            }
            child => {
                self.children.push(child);
                Ok(())
            }
        }
    }

    /// The process of an address space.
    fn serve(&self, mm: u8) {
        let space = Space::reserve().expect("addresses for eight pages");
        let actors = self.case.actors.iter().enumerate().filter(|(_, actor)| actor.mm == mm);
        std::thread::scope(|scope| {
            for (number, _) in actors {
                let space = &space;
                scope.spawn(move || self.act(TaskId(number as u8), space));
            }
        });
    }

    /// The thread of an actor.
    fn act(&self, task: TaskId, space: &Space) {
        let (board, count) = (&*self.board, self.case.actors.len() as u32);
        pin(task.index());
        let mut random = u64::from(self.first_run) << 8 | u64::from(task.0) | 1 << 40;
        let mut seen = 0;
        let mut actor = Actor::new(task, 0, self.case.geometry, &self.subject.file, space);
        loop {
            while board.round.load(Ordering::Acquire) == seen {
                wait_while(&board.round, seen, PATIENCE);
            }
            seen = board.round.load(Ordering::Acquire);
            if seen == u32::MAX {
                return;
            }
            actor.run = self.first_run.wrapping_add(seen);
            // Whoever comes first in this address space maps; a mapping that cannot be made shows
            // as SIGSEGV.
            let _ = space.map(actor.file);
            board.ready.fetch_add(1, Ordering::AcqRel);
            while board.ready.load(Ordering::Acquire) < seen * count {
                std::thread::yield_now();
            }
            let delay = u64::from(board.delay.load(Ordering::Relaxed));
            for (slot, operation) in self.case.actors[task.index()].operations.iter().enumerate() {
                if *operation == Operation::Empty {
                    continue;
                }
                for _ in 0..next(&mut random) % (delay + 1) {
                    std::hint::spin_loop();
                }
                // SAFETY: this thread is the only one that writes here, and nobody reads before it
                // has finished.
                let record = unsafe { &mut *board.records[task.index()][slot].get() };
                let now = || board.sequence.fetch_add(1, Ordering::SeqCst) + 1;
                actor.perform(slot as u8, *operation, now, record);
                if matches!(operation.effect(), Effect::Syncs { .. }) && record.status == Status::Ok
                {
                    self.look(actor.run, &mut actor.buffer, record);
                    // What others have begun meanwhile may be on the store.
                    record.returned = now();
                }
            }
            board.finished.fetch_add(1, Ordering::AcqRel);
            wake_all(&board.finished);
        }
    }

    /// Looks at the store, if that goes.
    fn look(&self, run: u32, buffer: &mut Buffer, record: &mut Record) {
        record.stored_size = self.subject.view.now(&self.subject.file, buffer).unwrap_or(None);
        if record.stored_size.is_some() {
            let stamps = stamps(buffer, self.case.geometry, run);
            record.words[..stamps.len()].copy_from_slice(&stamps);
        }
    }

    /// Runs the case once, with delays of up to so many turns of a loop. None if it does not come
    /// to its end.
    pub fn round(&mut self, delay: u32) -> io::Result<Option<TeamRun<'_>>> {
        self.rounds += 1;
        let (g, run) = (self.case.geometry, self.first_run.wrapping_add(self.rounds));
        self.ballast.as_ref().map_or(Ok(()), Ballast::release)?;
        self.subject.begin(g, run, self.rounds.is_multiple_of(2), &mut self.buffer)?;
        self.ballast.as_ref().map_or(Ok(()), |ballast| ballast.leave(g.free))?;
        self.board.sequence.store(0, Ordering::Relaxed);
        self.board.delay.store(delay, Ordering::Relaxed);
        self.board.round.store(self.rounds, Ordering::Release);
        wake_all(&self.board.round);
        let due = self.rounds * self.case.actors.len() as u32;
        let begin = Instant::now();
        loop {
            let finished = self.board.finished.load(Ordering::Acquire);
            if finished == due {
                break;
            }
            if begin.elapsed() > PATIENCE || self.has_died() {
                return Ok(None);
            }
            wait_while(&self.board.finished, finished, Duration::from_secs(1));
        }
        let size = operations::size(&self.subject.file)?;
        store::read(&self.subject.file, &mut self.buffer)?;
        let seen = stamps(&self.buffer, g, run);
        let trouble = self.close().err().map(|error| format!("closing: {error}"));
        if !self.subject.view.at_end(&self.subject.file, &mut self.buffer)? {
            store::read(&self.subject.file, &mut self.buffer)?;
        }
        let stored = stamps(&self.buffer, g, run);
        Ok(Some(TeamRun { records: Records::Board(&self.board), size, seen, stored, trouble }))
    }

    /// The mappings are the other processes'. They stay: a dirty page is found through its pte by
    /// the fsync.
    fn close(&self) -> io::Result<()> {
        close(&self.subject.file, || Ok(()))
    }

    fn has_died(&self) -> bool {
        // SAFETY: no memory but the status is involved.
        self.children
            .iter()
            .any(|child| unsafe { libc::waitpid(*child, &mut 0, libc::WNOHANG) } == *child)
    }
}

impl Drop for Team {
    fn drop(&mut self) {
        self.board.round.store(u32::MAX, Ordering::Release);
        wake_all(&self.board.round);
        for child in &self.children {
            // SAFETY: children of this process that nobody else waits for. Whoever does not leave
            // is made to.
            unsafe {
                let gone = (0..200).any(|_| {
                    let gone = libc::waitpid(*child, &mut 0, libc::WNOHANG) != 0;
                    if !gone {
                        libc::usleep(500);
                    }
                    gone
                });
                if !gone {
                    libc::kill(*child, libc::SIGKILL);
                    libc::waitpid(*child, &mut 0, libc::WNOHANG);
                }
            }
        }
    }
}

/// Keeps this thread on one CPU, the n-th of those that it may use: actors that share one while
/// another is idle hardly ever overlap. Where that fails it runs all the same.
fn pin(n: usize) {
    let size = size_of::<libc::cpu_set_t>();
    // SAFETY: zeros are an empty set; both calls know its size, and CPU_ISSET stays inside it.
    unsafe {
        let mut allowed: libc::cpu_set_t = std::mem::zeroed();
        if libc::sched_getaffinity(0, size, &mut allowed) != 0 {
            return;
        }
        let cpus: Vec<usize> =
            (0..size * 8).filter(|cpu| libc::CPU_ISSET(*cpu, &allowed)).collect();
        let mut own: libc::cpu_set_t = std::mem::zeroed();
        libc::CPU_SET(cpus[n % cpus.len()], &mut own);
        libc::sched_setaffinity(0, size, &own);
    }
}

/// Each word's stamp of the file's content.
fn stamps(buffer: &Buffer, g: mkwrite_model::case::Geometry, run: u32) -> Vec<Stamp> {
    let words = operations::cell_words(g);
    let cells = buffer.0.chunks_exact(words).take(usize::from(g.file_cells()));
    cells.flat_map(|cell| word::stamps(cell, run)).collect()
}

/// Xorshift: delays need to differ, no more.
fn next(random: &mut u64) -> u64 {
    *random ^= *random << 13;
    *random ^= *random >> 7;
    *random ^= *random << 17;
    *random
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::Store;
    use mkwrite_model::case::{Actor as Program, Geometry, Range};

    #[test]
    fn actors_of_two_address_spaces_run_as_often_as_asked() {
        let folder = tempfile::tempdir().unwrap();
        let place =
            Place { folder: folder.path().to_owned(), blocks: 1, store: Store::Cache, full: false };
        let actor = |mm, operations| Program { mm, operations };
        let mut case = Case {
            geometry: Geometry { pages: 2, size: 8, mms: 2, ..Geometry::default() },
            actors: vec![
                actor(
                    0,
                    vec![
                        Operation::Store(Range::new(0, 4)),
                        Operation::Munmap,
                        Operation::Load(Range::new(0, 1)),
                    ],
                ),
                actor(
                    1,
                    vec![Operation::Store(Range::new(4, 8)), Operation::Load(Range::new(4, 8))],
                ),
            ],
            ..Case::default()
        };
        case.fix_up();
        let mut team = Team::start(&place, &case, 100).unwrap();
        for round in 1..=5 {
            let run = team.round(round * 10).unwrap().expect("it ends");
            let words = operations::cell_words(case.geometry);
            let stamp = |actor: u8, cell: usize| Stamp::new(TaskId(actor), 0, cell as u8);
            for cell in 0..8 {
                assert_eq!(run.seen[cell * words], stamp((cell / 4) as u8, cell));
                assert_eq!(run.stored[cell * words + 5], stamp((cell / 4) as u8, cell));
            }
            assert_eq!(run.size, 8192);
            assert_eq!(run.record(TaskId(0), 2).status, Status::Segv);
            let load = run.record(TaskId(1), 1);
            assert_eq!((load.status, load.done, load.words[0]), (Status::Ok, 4, stamp(1, 4)));
            assert!(load.called < load.returned && run.trouble.is_none());
        }
    }
}
