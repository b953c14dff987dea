//! What lies beyond the end of the file, in values: without remedies as 2.6.30 and tmpfs have it,
//! with them as later kernels. One actor; a line of the program is an operation, and its values are
//! those of loads and reads.

use mkwrite_impls::Builtin;
use mkwrite_model::era::Era;
use mkwrite_model::exec::TaskId;
use mkwrite_model::implementation::{Filesystem, Pair};
use mkwrite_model::kernel::event::Step;
use mkwrite_model::kernel::{Event, Kernel};
use mkwrite_model::remedy::{Remedies, Remedy};
use mkwrite_model::schedule::RoundRobin;
use mkwrite_model::text::parse;
use mkwrite_model::{Machine, Observer, Setup, Target};

/// Collects what the actor's loads and reads return, and counts its calls of page_mkwrite and its
/// faults.
#[derive(Default)]
struct Watch {
    seen: Vec<String>,
    mkwrites: usize,
    faults: usize,
}

impl Observer<Builtin> for Watch {
    fn step(&mut self, k: &Kernel<Builtin>, step: Step) {
        for event in k.events().filter(|_| step.task == TaskId(0)) {
            match event {
                Event::Return => {
                    let (operation, outcome) =
                        (k.state(step.task).operation(), k.outcome(step.task));
                    if matches!(operation.kind().name, "load" | "read") {
                        self.seen.extend((0..outcome.done()).map(|n| outcome.value(n).to_string()));
                    }
                }
                Event::MkwriteReturned { .. } => self.mkwrites += 1,
                Event::FaultReturned => self.faults += 1,
                _ => {}
            }
        }
    }
}

fn run(implementation: &str, remedies: &[Remedy], shape: &str, program: &[&str]) -> Watch {
    let operations =
        program.iter().enumerate().map(|(n, operation)| format!("A.{n} {operation}\n"));
    let text = format!("mkw 1\nfile {shape}\nactor A mm 0\n{}", operations.collect::<String>());
    let case = parse(&text).expect("the tests are well-formed").case;
    let fs = Builtin::by_name(implementation).expect("a built-in implementation");
    let remedies: Remedies = remedies.iter().copied().collect();
    let target =
        Target { remedies, ..Target::from(Pair::new(fs, Era::V2_6_30).expect("they fit")) };
    let mut watch = Watch::default();
    Machine::default().run(Setup { case: &case, target }, &mut RoundRobin::default(), &mut watch);
    watch
}

const HALF: &str = "pages 1 cells 2 blocks 1 size 1 mms 1";

#[test]
fn bytes_beyond_the_end_become_content_in_the_old_kernels_and_on_tmpfs() {
    for fs in ["block@2.6.30", "filemap@3.10", "ext3@2.6.30", "tmpfs@6.12"] {
        assert_eq!(
            run(fs, &[], HALF, &["store 1..2", "truncate 2", "read 1..2"]).seen,
            ["A.0@1"],
            "{fs}"
        );
    }
}

#[test]
fn writeback_zeroes_them_and_tmpfs_has_none() {
    let program = ["store 1..2", "sync_range 0..1", "truncate 2", "read 1..2"];
    assert_eq!(run("block@2.6.30", &[], HALF, &program).seen, ["0"]);
    assert_eq!(run("tmpfs@6.12", &[], HALF, &program).seen, ["A.0@1"]);
}

#[test]
fn a_truncate_to_the_same_size_zeroes_them_on_tmpfs_and_by_the_remedy() {
    let program = ["store 1..2", "truncate 1", "load 1..2"];
    assert_eq!(run("block@2.6.30", &[], HALF, &program).seen, ["A.0@1"]);
    assert_eq!(run("block@2.6.30", &[Remedy::ZeroTail], HALF, &program).seen, ["0"]);
    assert_eq!(run("tmpfs@6.12", &[], HALF, &program).seen, ["0"]);
}

#[test]
fn the_tail_is_zeroed_when_truncate_or_a_write_extends_the_file() {
    let shape = "pages 2 cells 4 blocks 1 size 1 mms 1";
    for extends in ["truncate 4", "truncate 8", "write 3..4", "write 5..6"] {
        for fs in ["block@2.6.30", "fsblock@2009", "filemap@3.10", "ext3@2.6.30", "tmpfs@6.12"] {
            let program = ["store 0..3", extends, "read 0..3"];
            assert_eq!(
                run(fs, &[], shape, &program).seen,
                ["A.0@0", "A.0@1", "A.0@2"],
                "{fs} {extends}"
            );
            assert_eq!(
                run(fs, &[Remedy::ZeroTail], shape, &program).seen,
                ["A.0@0", "0", "0"],
                "{fs} {extends}"
            );
            assert_eq!(
                run(fs, &[Remedy::ZeroTail], shape, &["load 0..3", extends, "read 0..3"]).seen[3..],
                ["initial@0", "0", "0"]
            );
        }
    }
}

#[test]
fn a_store_after_the_extension_calls_page_mkwrite_again_by_the_remedy() {
    let program = ["store 0..1", "truncate 2", "store 1..2", "read 0..2"];
    let shape = "pages 1 cells 2 blocks 2 size 1 mms 1";
    for (remedies, mkwrites) in
        [(&[][..], 1), (&[Remedy::IsizeExtended], 2), (&[Remedy::ZeroTail], 2)]
    {
        let watch = run("block@2.6.30", remedies, shape, &program);
        assert_eq!(
            (watch.mkwrites, watch.seen),
            (mkwrites, vec!["A.0@0".to_owned(), "A.2@1".to_owned()])
        );
    }
}

#[test]
fn a_write_that_fails_leaves_the_size_as_it_was() {
    let shape = "pages 2 cells 2 blocks 1 size 1 mms 1 free 0";
    for remedies in [&[][..], &[Remedy::ZeroTail]] {
        let watch =
            run("block@2.6.30", remedies, shape, &["store 1..2", "write 2..3", "read 0..3"]);
        assert_eq!(watch.seen, ["initial@0"], "{remedies:?}");
    }
}

#[test]
fn a_read_fault_of_tmpfs_makes_the_pte_writable_and_reclaim_keeps_what_was_stored() {
    let program = ["load 0..1", "store 0..1", "reclaim 0..1", "invalidate2 0..1", "load 0..1"];
    let watch = run("tmpfs@6.12", &[], HALF, &program);
    assert_eq!((watch.faults, watch.seen), (2, vec!["initial@0".to_owned(), "A.1@0".to_owned()]));
    assert_eq!(run("ext3@2.6.30", &[], HALF, &program[..2]).faults, 2);
}

#[test]
fn the_generic_page_mkwrite_goes_to_mappings_with_a_page_cache_only() {
    let mkwrites =
        |fs| run(fs, &[Remedy::DirtyBeforePte], HALF, &["load 0..1", "store 0..1"]).mkwrites;
    assert_eq!(
        ["ext3@2.6.30", "driver@2.6.30", "tmpfs@6.12", "block@2.6.30"].map(mkwrites),
        [1, 0, 0, 1]
    );
}
