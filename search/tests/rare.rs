//! What generated cases have rarely, faults at most sites and operations that not every filesystem
//! has: what a call returns if its site fails, and that the judge takes the results for due.

use mkwrite_impls::Builtin;
use mkwrite_model::case::{Case, Operation, Range, Site};
use mkwrite_model::exec::TaskId;
use mkwrite_model::generate::{Generator, Random, random};
use mkwrite_model::implementation::{Filesystem, Pair};
use mkwrite_model::kernel::event::Step;
use mkwrite_model::kernel::{Event, Kernel, Status};
use mkwrite_model::text::parse;
use mkwrite_model::{Machine, Observer, Setup, Target};
use mkwrite_oracle::ledger::{Expected, Ledger};
use mkwrite_oracle::run::{Runner, ScheduledBy, Targets};
use rand::RngExt;

/// What the calls of the first actor return.
#[derive(Default)]
struct Statuses(Vec<Status>);

impl Observer<Builtin> for Statuses {
    fn step(&mut self, k: &Kernel<Builtin>, step: Step) {
        if step.task == TaskId(0) && k.events().any(|event| event == Event::Return) {
            self.0.push(k.outcome(step.task).status());
        }
    }
}

/// i_size.
#[derive(Default)]
struct Size(u8);

impl Observer<Builtin> for Size {
    fn step(&mut self, k: &Kernel<Builtin>, _: Step) {
        self.0 = k.i_size();
    }
}

fn target(fs: &str) -> Target<Builtin> {
    let fs = Builtin::by_name(fs).unwrap();
    Pair::natural(fs).into()
}

/// What the operations return, on a file of two pages; no rule may break.
fn statuses(fs: &str, faults: &str, operations: &[&str]) -> Vec<Status> {
    let lines = operations.iter().enumerate().map(|(n, operation)| format!("A.{n} {operation}\n"));
    let file = "file pages 2 cells 2 size 4 holes 1";
    let text = format!("mkw 1\n{file}\n{faults}\nactor A mm 0\n{}", lines.collect::<String>());
    let case = parse(&text).unwrap().case;
    let (target, mut seen) = (target(fs), Statuses::default());
    let mut order = mkwrite_model::schedule::RoundRobin::default();
    Machine::default().run(Setup { case: &case, target }, &mut order, &mut seen);
    let mut runner = Runner::default();
    runner.run(target, &case, ScheduledBy::Own);
    let ledger = Ledger::own();
    let new = ledger.judged(target, &runner.judge).find(|(_, expected)| *expected == Expected::No);
    assert!(new.is_none(), "{fs}: {new:?}\n{text}");
    seen.0
}

#[test]
fn a_site_that_fails_gives_the_error_that_the_kernel_gives() {
    use Status::{Fault, Io, NoMemory, NoSpace, Ok, Sigbus};
    for fs in ["block@2.6.30", "filemap@3.10", "nfs@3.0", "fsblock@2009"] {
        // The first read of a faulted page is tried again with the page locked.
        let seen = statuses(fs, "fault read 0", &["load 0..1", "store 0..1"]);
        assert_eq!(seen, [Ok, Ok], "{fs}");
        let seen = statuses(fs, "fault read 0,1", &["load 0..1", "store 0..1"]);
        assert_eq!(seen, [Sigbus, Ok], "{fs}");
        let seen = statuses(fs, "fault read 0,1", &["read 0..4", "write 0..1", "read 0..4"]);
        assert_eq!(seen, [Io, Io, Ok], "{fs}");
        let seen = statuses(fs, "fault page 0,1", &["store 0..4", "write 0..4", "write 0..4"]);
        assert_eq!(seen, [NoMemory, NoMemory, Ok], "{fs}");
        let seen = statuses(fs, "fault copy 0", &["write 0..4", "read 0..4", "fsync"]);
        assert_eq!(seen, [Fault, Ok, Ok], "{fs}");
        let seen = statuses(fs, "fault page 1", &["read 0..4", "fsync"]);
        assert_eq!(seen, [NoMemory, Ok], "{fs}");
    }
    for fs in ["block@2.6.30", "fsblock@2009"] {
        let seen = statuses(fs, "fault block 0,1", &["store 2..4", "write 2..3", "store 2..4"]);
        assert_eq!(seen, [Sigbus, NoSpace, Ok], "{fs}");
    }
}

/// Nothing NEW breaks on generated cases once they are changed like this.
fn nothing_new_breaks(cases: u64, change: impl Fn(&mut Case, &mut Random)) {
    let ledger: &'static Ledger<Builtin> = Box::leak(Box::new(Ledger::own()));
    let targets = ledger.default_targets();
    let mut machines = Targets::new(&targets, ledger);
    let mut case = Case::default();
    for index in 0..cases {
        let generator = Generator::new(index % 2 == 0);
        generator.generate(11, index, &mut case);
        change(&mut case, &mut random(11, index, 1 << 20));
        generator.settle(&mut case);
        let run =
            |_, runner: &mut Runner<Builtin>, target| runner.run(target, &case, ScheduledBy::Own).1;
        machines.run(&case, run, |n, breach, expected| {
            let text = || mkwrite_model::text::Document::new(case.clone()).to_string();
            assert!(expected != Expected::No, "{}: {breach:?}\n{}", targets[n], text());
        });
    }
}

#[test]
fn nothing_new_breaks_with_faults() {
    nothing_new_breaks(1500, |case, r| {
        for site in [Site::Read, Site::Page, Site::Block, Site::Eio, Site::Copy] {
            let times: u16 = if r.random_ratio(1, 3) { r.random_range(0..64) } else { 0 };
            case.faults.set(site, times);
        }
    });
}

#[test]
fn nothing_new_breaks_with_copies() {
    nothing_new_breaks(1500, |case, r| {
        let cells = case.geometry.file_cells();
        let mut range = || {
            let start = r.random_range(0..cells);
            Range::new(start, r.random_range(start..cells) + 1)
        };
        let copies = case.actors.iter().map(|_| Operation::CopyRange(range(), range()));
        let copies: Vec<Operation> = copies.collect();
        for (actor, copy) in case.actors.iter_mut().zip(copies) {
            let at = r.random_range(0..=actor.operations.len());
            actor.operations.insert(at, copy);
        }
    });
}

#[test]
fn a_write_whose_copy_is_short_has_written_what_was_copied() {
    let case =
        parse("mkw 1\nfile pages 1 cells 2 size 0\nfault copy 0\nactor A mm 0\nA.0 write 0..2\n");
    let case = case.unwrap().case;
    let mut order = mkwrite_model::schedule::RoundRobin::default();
    let mut machine = Machine::default();
    for fs in ["block@2.6.30", "filemap@3.10", "nfs@3.0", "fsblock@2009", "tmpfs@6.12"] {
        let mut seen = Size::default();
        machine.run(Setup { case: &case, target: target(fs) }, &mut order, &mut seen);
        assert_eq!(seen.0, 1, "{fs}");
    }
}

#[test]
fn nothing_new_breaks_with_fallocate() {
    nothing_new_breaks(1500, |case, r| {
        let cells = case.geometry.file_cells();
        for actor in &mut case.actors {
            let start = r.random_range(0..cells);
            let cells = Range::new(start, r.random_range(start..cells) + 1);
            let kinds: [fn(Range) -> Operation; 4] =
                [Operation::Punch, Operation::ZeroRange, Operation::Prealloc, Operation::Fallocate];
            let at = r.random_range(0..=actor.operations.len());
            actor.operations.insert(at, kinds[r.random_range(0..kinds.len())](cells));
        }
    });
}
