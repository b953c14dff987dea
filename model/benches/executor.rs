//! The executor alone, on a small model of the race that commit b827e496c893 closes: one page, a
//! pte per writer, a writeback pass and a truncate, every shared access a scheduling point with its
//! object announced.
//!
//! `cargo bench -p mkwrite-model` measures schedules and steps per second. With `-- instructions`
//! it counts instructions per step instead: callgrind on two lengths, by difference, so that
//! start-up cancels (the libraries for this need a runner of the same version installed, which a
//! plain `cargo bench` does not have). With `-- run N` it runs N schedules and prints the steps:
//! that is what callgrind watches.

use std::cell::Cell;
use std::pin::pin;
use std::process::Command;

use criterion::{Criterion, Throughput};
use mkwrite_model::exec::{Acquire, Mode, Step, TaskId, Tasks};
use mkwrite_model::generate::{Random, random};
use mkwrite_model::schedule::{Scheduler, Walk};

const LOCK: u8 = 1;
const PAGE: u8 = 2;
const SIZE: u8 = 3;
const STORE: u8 = 4;
const RECORD: u8 = 5;
const PTE: u8 = 6;
const OBJECTS: usize = 8;
/// Points have no names here.
const HERE: u16 = 0;

#[derive(Default)]
struct Pte {
    present: Cell<bool>,
    writable: Cell<bool>,
    dirty: Cell<bool>,
}

/// One page, and what surrounds it.
#[derive(Default)]
struct World {
    tasks: Tasks<OBJECTS>,
    dirty: Cell<bool>,
    mapped: Cell<bool>,
    record: Cell<bool>,
    ptes: [Pte; 2],
    byte: Cell<u8>,
    disk: Cell<u8>,
    truncated: Cell<bool>,
    broken: Cell<bool>,
}

impl World {
    /// A page that an earlier write call made dirty, mapped read-only.
    fn reset(&self) {
        self.tasks.reset();
        self.dirty.set(true);
        self.mapped.set(true);
        self.record.set(true);
        for pte in &self.ptes {
            pte.present.set(true);
            pte.writable.set(false);
            pte.dirty.set(false);
        }
        self.byte.set(0);
        self.disk.set(0);
        self.truncated.set(false);
        self.broken.set(false);
    }

    fn access(&self, object: u8) -> Step<'_, OBJECTS> {
        self.tasks.point(HERE, object)
    }

    fn lock_page(&self) -> Acquire<'_, OBJECTS> {
        self.tasks.acquire(HERE, LOCK, Mode::Exclusive)
    }

    /// Stores through a mapping. `legacy` returns from page_mkwrite with the page unlocked.
    async fn writer(&self, i: usize, legacy: bool) {
        let pte = &self.ptes[i];
        loop {
            self.access(PTE + i as u8).await;
            if pte.present.get() && pte.writable.get() {
                pte.dirty.set(true);
                self.byte.set(i as u8 + 1);
                return;
            }
            self.lock_page().await;
            self.access(PAGE).await;
            let mapped = self.mapped.get();
            self.access(SIZE).await;
            if !mapped || self.truncated.get() {
                self.access(LOCK).await;
                return self.tasks.release(LOCK);
            }
            self.access(RECORD).await;
            self.record.set(true);
            if legacy {
                self.access(LOCK).await;
                self.tasks.release(LOCK);
            }
            self.access(PTE + i as u8).await;
            if pte.present.get() {
                pte.writable.set(true);
                pte.dirty.set(true);
            }
            if legacy {
                self.tasks.acquire(HERE, LOCK, Mode::Free).await;
            }
            self.access(PAGE).await;
            self.dirty.set(true);
            if !legacy {
                self.access(LOCK).await;
                self.tasks.release(LOCK);
            }
        }
    }

    async fn writeback(&self, passes: usize) {
        for _ in 0..passes {
            self.lock_page().await;
            self.access(PAGE).await;
            if self.mapped.get() {
                self.access(PTE).await;
                self.clean();
                self.access(PAGE).await;
                if self.dirty.replace(false) {
                    self.access(RECORD).await;
                    self.broken.set(self.broken.get() || !self.record.get());
                    self.access(STORE).await;
                    self.disk.set(self.byte.get());
                    self.access(RECORD).await;
                    self.record.set(false);
                }
            }
            self.access(LOCK).await;
            self.tasks.release(LOCK);
        }
    }

    async fn truncate(&self) {
        self.access(SIZE).await;
        self.truncated.set(true);
        self.lock_page().await;
        self.access(PTE).await;
        for pte in &self.ptes {
            pte.present.set(false);
        }
        self.access(PAGE).await;
        self.dirty.set(false);
        self.record.set(false);
        self.access(PAGE).await;
        self.mapped.set(false);
        self.access(LOCK).await;
        self.tasks.release(LOCK);
    }

    /// page_mkclean.
    fn clean(&self) {
        for pte in &self.ptes {
            if pte.dirty.replace(false) {
                self.dirty.set(true);
            }
            pte.writable.set(false);
        }
    }

    /// A last sync, and whether anything was lost.
    fn is_broken(&self) -> bool {
        self.clean();
        if self.mapped.get() && self.dirty.get() {
            self.broken.set(self.broken.get() || !self.record.get());
            self.disk.set(self.byte.get());
        }
        self.broken.get() || (self.mapped.get() && self.disk.get() != self.byte.get())
    }
}

/// One writer, two passes of writeback, one truncate. Returns the steps and whether the oracle
/// objects.
fn schedule(world: &World, legacy: bool, scheduler: &mut impl Scheduler) -> (u32, bool) {
    world.reset();
    let (t, mut steps) = (&world.tasks, 0);
    let mut writer = pin!(world.writer(0, legacy));
    let mut writeback = pin!(world.writeback(2));
    let mut truncate = pin!(world.truncate());
    t.spawn(TaskId(0), writer.as_mut());
    t.spawn(TaskId(1), writeback.as_mut());
    t.spawn(TaskId(2), truncate.as_mut());
    while t.runnable() != 0 {
        match scheduler.pick(t.runnable(), t).0 {
            0 => t.step(TaskId(0), writer.as_mut()),
            1 => t.step(TaskId(1), writeback.as_mut()),
            _ => t.step(TaskId(2), truncate.as_mut()),
        };
        steps += 1;
    }
    (steps, world.is_broken())
}

/// `n` schedules by random walk: steps, and breaches.
fn schedules(n: u64, legacy: bool, random: &mut Random) -> (u64, u64) {
    let world = World::default();
    let mut walk = Walk::new(random.clone());
    let mut sums = (0, 0);
    for _ in 0..n {
        let (steps, broken) = schedule(&world, legacy, &mut walk);
        sums = (sums.0 + u64::from(steps), sums.1 + u64::from(broken));
    }
    sums
}

/// Instructions of this program on `n` schedules, by callgrind.
fn instructions(n: u64) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(std::env::current_exe().expect("this program"))
        .args(["run", &n.to_string()])
        .output()
        .expect("valgrind is installed");
    let text = String::from_utf8_lossy(&output.stderr);
    let line = text.lines().find(|line| line.contains("Collected")).expect("callgrind's count");
    line.rsplit(' ').next().and_then(|n| n.parse().ok()).expect("a number")
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| arg != "--bench").collect();
    match args.first().map(String::as_str) {
        Some("run") => {
            let n = args[1].parse().expect("a number of schedules");
            println!("{}", schedules(n, false, &mut random(1, 0, 0)).0);
        }
        Some("instructions") => {
            let (few, many) = (10_000, 30_000);
            let steps = schedules(many, false, &mut random(1, 0, 0)).0
                - schedules(few, false, &mut random(1, 0, 0)).0;
            let per_step = (instructions(many) - instructions(few)) as f64 / steps as f64;
            println!("{per_step:.1} instructions per step");
        }
        _ => {
            let n = 10_000;
            let (_, broken) = schedules(n, true, &mut random(1, 0, 0));
            assert!(broken > 0, "the legacy form loses data in some schedules");
            let (steps, broken) = schedules(n, false, &mut random(1, 0, 0));
            assert_eq!(broken, 0, "the fixed form never does");
            let mut criterion = Criterion::default().configure_from_args();
            let mut group = criterion.benchmark_group("small model");
            group.throughput(Throughput::Elements(steps));
            for (name, legacy) in [("fixed", false), ("legacy", true)] {
                group.bench_function(name, |b| {
                    b.iter(|| schedules(n, legacy, &mut random(1, 0, 0)))
                });
            }
            group.finish();
        }
    }
}
