//! copy_file_range(2), in values: what it returns, and what is read afterwards. One actor.

use mkwrite_impls::Builtin;
use mkwrite_model::exec::TaskId;
use mkwrite_model::implementation::{Filesystem, Pair};
use mkwrite_model::kernel::event::Step;
use mkwrite_model::kernel::{Event, Kernel, Status};
use mkwrite_model::schedule::RoundRobin;
use mkwrite_model::text::parse;
use mkwrite_model::{Machine, Observer, Setup};

/// What each call returns: its status, and the values if it has any.
#[derive(Default)]
struct Calls(Vec<(Status, String)>);

impl Observer<Builtin> for Calls {
    fn step(&mut self, k: &Kernel<Builtin>, step: Step) {
        if step.task != TaskId(0) || !k.events().any(|event| event == Event::Return) {
            return;
        }
        let outcome = k.outcome(step.task);
        let is_shown = k.state(step.task).operation().effect().returns().is_some();
        let shown = if is_shown { outcome.done() } else { 0 };
        let values: Vec<_> = (0..shown).map(|n| outcome.value(n).to_string()).collect();
        self.0.push((outcome.status(), values.join(" ")));
    }
}

/// Two pages of four cells, of which `size` cells are in the file.
fn run(fs: &str, size: u8, program: &[&str]) -> Vec<(Status, String)> {
    let lines = program.iter().enumerate().map(|(n, operation)| format!("A.{n} {operation}\n"));
    let file = format!("file pages 2 size {size}");
    let text = format!("mkw 1\n{file}\nactor A mm 0\n{}", lines.collect::<String>());
    let case = parse(&text).expect("the tests are well-formed").case;
    let target = Pair::natural(Builtin::by_name(fs).expect("a built-in implementation")).into();
    let mut calls = Calls::default();
    Machine::default().run(Setup { case: &case, target }, &mut RoundRobin::default(), &mut calls);
    calls.0
}

#[test]
fn a_copy_returns_what_it_read_and_writes_stamps_of_its_own() {
    for fs in ["block@2.6.30", "nfs@3.0", "fsblock@2009", "filemap@3.10", "tmpfs@6.12"] {
        let calls = run(fs, 4, &["store 1..2", "copy_range 0..3 5..8", "read 4..8", "fsync"]);
        let expected = ["", "initial@0 A.0@1 initial@2", "0 A.1@5 A.1@6 A.1@7", ""];
        assert!(calls.iter().all(|(status, _)| *status == Status::Ok), "{fs}: {calls:?}");
        let values: Vec<&str> = calls.iter().map(|(_, values)| values.as_str()).collect();
        assert_eq!(values, expected, "{fs}");
    }
}

#[test]
fn it_ends_with_the_file_and_with_the_shorter_range_and_refuses_to_overlap() {
    let copy = |size, operation| run("block@2.6.30", size, &[operation]).remove(0);
    let ok = |values: &str| (Status::Ok, values.to_owned());
    assert_eq!(copy(4, "copy_range 3..6 0..4"), ok("initial@3"));
    assert_eq!(copy(4, "copy_range 4..6 0..4"), ok(""));
    assert_eq!(copy(8, "copy_range 0..4 6..7"), ok("initial@0"));
    assert_eq!(copy(8, "copy_range 0..4 2..6"), (Status::Invalid, String::new()));
    assert_eq!(copy(8, "copy_range 3..5 2..4"), (Status::Invalid, String::new()));
    assert_eq!(copy(2, "copy_range 0..4 2..6"), ok("initial@0 initial@1"), "cut, it does not");
}
