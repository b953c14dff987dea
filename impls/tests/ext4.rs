//! ext4, in values: where blocks come from and when the size gets to the device; and the stores that
//! 6.1 loses and 6.12.117 does not. One actor.

use mkwrite_impls::Builtin;
use mkwrite_model::exec::TaskId;
use mkwrite_model::implementation::{Filesystem, Pair, Store};
use mkwrite_model::kernel::event::Step;
use mkwrite_model::kernel::{Event, Extent, Kernel};
use mkwrite_model::schedule::RoundRobin;
use mkwrite_model::text::parse;
use mkwrite_model::{End, Machine, Observer, Setup};

/// After each call: what it returned, the extents, i_size and the size on the device. At the end:
/// the cells of the store.
#[derive(Default)]
struct Calls {
    left: Vec<String>,
    stored: Vec<String>,
}

impl Observer<Builtin> for Calls {
    fn step(&mut self, k: &Kernel<Builtin>, step: Step) {
        if step.task != TaskId(0) || !k.events().any(|event| event == Event::Return) {
            return;
        }
        let extents: String = (0..k.geometry().pages * k.geometry().blocks)
            .map(|block| match k.extent(block) {
                Extent::Hole => '-',
                Extent::Delayed => 'D',
                Extent::Unwritten(_) => 'U',
                Extent::Written(_) => 'W',
            })
            .collect();
        let status = k.outcome(step.task).status().name();
        let durable = k.fs().durable_size(k);
        self.left.push(format!("{status} {extents} {} {durable}", k.i_size()));
    }

    fn end(&mut self, k: &Kernel<Builtin>, _: End) {
        self.stored = (0..k.i_size()).map(|cell| k.fs().stored(k, cell).to_string()).collect();
    }
}

/// What each call leaves, and the cells of the store at the end.
fn run(fs: &str, file: &str, program: &[&str]) -> (Vec<String>, Vec<String>) {
    let lines = program.iter().enumerate().map(|(n, operation)| format!("A.{n} {operation}\n"));
    let text = format!("mkw 1\nfile {file}\nactor A mm 0\n{}", lines.collect::<String>());
    let case = parse(&text).expect("the tests are well-formed").case;
    let target = Pair::natural(Builtin::by_name(fs).expect("a built-in implementation")).into();
    let mut calls = Calls::default();
    Machine::default().run(Setup { case: &case, target }, &mut RoundRobin::default(), &mut calls);
    (calls.left, calls.stored)
}

const VERSIONS: [&str; 2] = ["ext4@6.1", "ext4@6.12"];

#[test]
fn a_store_into_a_hole_reserves_and_writeback_allocates_and_converts() {
    for fs in VERSIONS {
        let file = "pages 1 cells 4 blocks 4 size 4 holes 0.0,0.1,0.2,0.3";
        let (calls, stored) = run(fs, file, &["store 1..2", "fsync"]);
        assert_eq!(calls, ["ok DDDD 4 4", "ok WWWW 4 4"], "{fs}: the whole page below i_size");
        assert_eq!(stored, ["0", "A.0@1", "0", "0"], "{fs}");
    }
}

#[test]
fn without_space_the_store_gets_sigbus_and_not_the_fsync() {
    for fs in VERSIONS {
        let file = "pages 1 cells 1 blocks 1 size 1 holes 0 free 0";
        let (calls, _) = run(fs, file, &["store 0..1", "fsync"]);
        assert_eq!(calls, ["SIGBUS - 1 1", "ok - 1 1"], "{fs}");
    }
}

#[test]
fn the_size_gets_to_the_device_with_the_commit_and_not_before_the_blocks_are_mapped() {
    for fs in VERSIONS {
        let file = "pages 2 cells 2 blocks 2 size 0";
        let (calls, _) = run(fs, file, &["write 0..3", "writeback 0..2", "fsync", "truncate 1"]);
        assert_eq!(calls[0], "ok DDD- 3 0", "{fs}");
        assert!(calls[1].ends_with(" 3 0"), "{fs}: writeback does not commit: {}", calls[1]);
        assert_eq!(calls[2..], ["ok WWW- 3 3", "ok W--- 1 3"], "{fs}");
    }
}

#[test]
fn fallocate_gets_unwritten_blocks_and_zero_range_makes_them_so_again() {
    for fs in VERSIONS {
        let file = "pages 1 cells 4 blocks 4 size 2";
        let program = ["prealloc 2..4", "fallocate 2..3", "zero_range 0..1", "punch 1..2", "fsync"];
        let (calls, stored) = run(fs, file, &program);
        let expected = ["ok WWUU 2 2", "ok WWUU 3 2", "ok UWUU 3 2", "ok U-UU 3 2", "ok U-UU 3 3"];
        assert_eq!(calls, expected, "{fs}");
        assert_eq!(stored, ["0", "0", "0"], "{fs}");
    }
}

/// fallocate makes the file longer within a page that is mapped writable (docs/found.md).
#[test]
fn stores_after_fallocate_are_lost_on_6_1_and_not_on_6_12() {
    let file = "pages 1 cells 4 blocks 4 size 1";
    let program = ["store 0..1", "fallocate 3..4", "store 1..3", "fsync"];
    let lost = run("ext4@6.1", file, &program).1;
    let kept = run("ext4@6.12", file, &program).1;
    assert_eq!(lost, ["A.0@0", "0", "0", "0"]);
    assert_eq!(kept, ["A.0@0", "A.2@1", "A.2@2", "0"]);
    let program = ["store 0..1", "truncate 4", "store 1..3", "fsync"];
    assert_eq!(run("ext4@6.1", file, &program).1, ["A.0@0", "A.2@1", "A.2@2", "0"], "by truncate");
}

/// zero_range takes a part of a page that is mapped writable (docs/found.md). punch of 6.1 writes the
/// range back first, so there it needs a store in between.
#[test]
fn stores_after_a_zeroed_range_are_lost_on_6_1_and_not_on_6_12() {
    let file = "pages 1 cells 4 blocks 4 size 4";
    let stored = |fs: &str, hole| run(fs, file, &["store 3..4", hole, "store 1..2", "fsync"]).1;
    let kept = ["initial@0", "A.2@1", "0", "A.0@3"];
    assert_eq!(stored("ext4@6.1", "zero_range 1..3"), ["initial@0", "0", "0", "A.0@3"]);
    assert_eq!(stored("ext4@6.12", "zero_range 1..3"), kept);
    assert_eq!(stored("ext4@6.1", "punch 1..3"), kept);
    assert_eq!(stored("ext4@6.12", "punch 1..3"), kept);
}
