//! ftruncate(2) that finds no memory: the size and the store are what they were, and the next one
//! goes on. One actor.

use mkwrite_impls::Builtin;
use mkwrite_model::exec::TaskId;
use mkwrite_model::implementation::{Filesystem, Pair, Store};
use mkwrite_model::kernel::event::Step;
use mkwrite_model::kernel::{Class, Event, Kernel};
use mkwrite_model::plant::{Plant, Plants};
use mkwrite_model::schedule::RoundRobin;
use mkwrite_model::text::parse;
use mkwrite_model::{End, Machine, Observer, Setup, Target};

/// After each call: what it returned, i_size, and the locks that are left. At the end: the cells of
/// the store.
#[derive(Default)]
struct Calls {
    left: Vec<(&'static str, u8, u16)>,
    stored: Vec<String>,
}

impl Observer<Builtin> for Calls {
    fn step(&mut self, k: &Kernel<Builtin>, step: Step) {
        if step.task == TaskId(0) && k.events().any(|event| event == Event::Return) {
            let status = k.outcome(step.task).status().name();
            self.left.push((status, k.i_size(), k.state(step.task).held()));
        }
    }

    fn end(&mut self, k: &Kernel<Builtin>, _: End) {
        self.stored = (0..k.i_size()).map(|cell| k.fs().stored(k, cell).to_string()).collect();
    }
}

fn run(fs: &str, plants: Plants, program: &[&str]) -> (Calls, End) {
    let lines = program.iter().enumerate().map(|(n, operation)| format!("A.{n} {operation}\n"));
    let head = "mkw 1\nfile pages 2 cells 2 size 3\nfault setattr 0\nactor A mm 0\n";
    let case = parse(&(head.to_owned() + &lines.collect::<String>()));
    let case = case.expect("the tests are well-formed").case;
    let fs = Builtin::by_name(fs).expect("a built-in implementation");
    let target = Target { plants, ..Target::from(Pair::natural(fs)) };
    let mut calls = Calls::default();
    let setup = Setup { case: &case, target };
    let (end, _) = Machine::default().run(setup, &mut RoundRobin::default(), &mut calls);
    (calls, end)
}

#[test]
fn the_size_is_what_it_was() {
    for fs in ["ext4@6.1", "ext4@6.12", "xfs@6.12", "nfs@3.0", "nfs@6.12"] {
        for size in [1, 4] {
            let again = format!("truncate {size}");
            let (calls, end) = run(fs, Plants::NONE, &["store 0..3", &again, &again]);
            let expected = [("ok", 3, 0), ("ENOMEM", 3, 0), ("ok", size, 0)];
            assert_eq!((&*calls.left, end), (&expected[..], End::Done), "{fs}");
            let stored = ["A.0@0", "A.0@1", "A.0@2", "0"];
            assert_eq!(calls.stored, stored[..usize::from(size)], "{fs}");
        }
    }
}

#[test]
fn who_allocates_nothing_does_not_fail() {
    for fs in ["block@2.6.30", "block@6.12", "fsblock@2009", "nfs@2.6.30", "tmpfs@6.12"] {
        let (calls, _) = run(fs, Plants::NONE, &["truncate 1"]);
        assert_eq!(calls.left, [("ok", 1, 0)], "{fs}");
    }
}

#[test]
fn one_that_keeps_the_lock_is_waited_for_in_vain() {
    let (calls, end) =
        run("ext4@6.12", Plants::from(Plant::SetattrKeepsLock), &["truncate 1", "load 0..1"]);
    assert_eq!(calls.left, [("ENOMEM", 3, 1 << Class::Invalidate as u16)]);
    assert_eq!(end, End::Stuck, "the fault fills the page cache");
}
