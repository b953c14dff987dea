//! write(2) whose buffer lies in a mapping of the same file, in values: what it returns when the
//! buffer can and cannot be read, and what it does when a page of the buffer goes between its being
//! touched and the copy.

use mkwrite_impls::Builtin;
use mkwrite_model::exec::TaskId;
use mkwrite_model::implementation::{Filesystem, Pair, Store};
use mkwrite_model::kernel::event::Step;
use mkwrite_model::kernel::{Class, Event, Kernel, Status};
use mkwrite_model::plant::{Plant, Plants};
use mkwrite_model::point::Point;
use mkwrite_model::schedule::{Run, Scheduler, with_schedule};
use mkwrite_model::text::parse;
use mkwrite_model::{Case, End, Machine, Observer, Setup, Target};

/// What A's calls return, how often its last one comes to the buffer, and what it does against the
/// order of locks; at the end the cells of the store.
#[derive(Default)]
struct Seen {
    returned: Vec<(Status, u8)>,
    touched: u32,
    inversions: Vec<(Class, Class)>,
    stored: Vec<String>,
}

impl Observer<Builtin> for Seen {
    fn step(&mut self, k: &Kernel<Builtin>, step: Step) {
        if step.task != TaskId(0) {
            return;
        }
        self.touched += u32::from(step.point == Point::WriteFaultIn);
        for event in k.events() {
            match event {
                Event::Return => {
                    let outcome = k.outcome(step.task);
                    self.returned.push((outcome.status(), outcome.done()));
                }
                Event::LockOrder { held, wanted } => self.inversions.push((held, wanted)),
                _ => {}
            }
        }
    }

    fn end(&mut self, k: &Kernel<Builtin>, _: End) {
        self.stored = (0..k.i_size()).map(|cell| k.fs().stored(k, cell).to_string()).collect();
    }
}

struct Scheduled<'a>(&'a Case, Target<Builtin>);

impl Run<(Seen, End)> for Scheduled<'_> {
    fn run(self, scheduler: &mut impl Scheduler) -> (Seen, End) {
        let mut seen = Seen::default();
        let setup = Setup { case: self.0, target: self.1 };
        let (end, _) = Machine::default().run(setup, scheduler, &mut seen);
        (seen, end)
    }
}

fn run(fs: &str, plants: Plants, text: &str) -> (Seen, End) {
    let case = parse(&format!("mkw 1\n{text}")).expect("the tests are well-formed").case;
    let fs = Builtin::by_name(fs).expect("a built-in implementation");
    let target = Target { plants, ..Target::from(Pair::natural(fs)) };
    with_schedule(&case.schedule, Scheduled(&case, target))
}

const ALL: [&str; 7] = [
    "block@2.6.30",
    "fsblock@2009",
    "filemap@3.10",
    "nfs@3.0",
    "ext4@6.12",
    "xfs@6.12",
    "block@6.12",
];

#[test]
fn it_writes_as_much_as_the_buffer_is_long_and_can_be_read() {
    let call = |size: u8, operation: &str| {
        ALL.map(|fs| {
            let text = format!(
                "file pages 3 cells 2 size {size}\nactor A mm 0\nA.0 {operation}\norder A.0 *"
            );
            run(fs, Plants::NONE, &text).0.returned.remove(0)
        })
    };
    assert_eq!(call(6, "write_mapped 0..2 2..6"), [(Status::Ok, 2); 7], "the shorter");
    assert_eq!(call(6, "write_mapped 0..4 4..5"), [(Status::Ok, 1); 7], "of both");
    assert_eq!(call(2, "write_mapped 0..4 2..6"), [(Status::Ok, 4); 7], "it writes its own buffer");
    assert_eq!(call(2, "write_mapped 0..3 1..4"), [(Status::Fault, 1); 7], "too late by a cell");
    assert_eq!(call(2, "write_mapped 2..4 0..2"), [(Status::Fault, 0); 7], "beyond the end");
    assert_eq!(call(4, "write_mapped 0..6 0..6"), [(Status::Fault, 4); 7], "in its last page");
    assert_eq!(call(2, "write_mapped 1..3 0..2"), [(Status::Fault, 0); 7], "at its last byte");
}

#[test]
fn without_a_mapping_it_is_a_bad_address() {
    for fs in ALL {
        let text =
            "file pages 1 cells 2 size 2\nactor A mm 0\nA.0 munmap\nA.1 write_mapped 0..1 1..2";
        let (seen, end) = run(fs, Plants::NONE, &format!("{text}\norder A.0 *\norder A.1 *"));
        assert_eq!((seen.returned, end), (vec![(Status::Ok, 0), (Status::Fault, 0)], End::Done));
    }
}

/// The page of the buffer is reclaimed when it was touched, before the copy.
const RECLAIMED: &str = "file pages 2 cells 2 size 4\nactor A mm 0\nA.0 write_mapped 0..2 2..4
actor B mm 0\nB.0 reclaim 0..1\norder A.0 write.copy\norder B.0 *\norder A.0 *";

#[test]
fn the_copy_does_not_fault_with_the_page_locked() {
    for fs in ALL {
        let (seen, end) = run(fs, Plants::NONE, RECLAIMED);
        assert_eq!((seen.returned, end), (vec![(Status::Ok, 2)], End::Done), "{fs}");
        assert_eq!(seen.touched, 4, "{fs}: each time it faults first");
        assert_eq!(seen.inversions, [], "{fs}");
        assert_eq!(seen.stored[2..], ["A.0@2", "A.0@3"], "{fs}");
    }
}

#[test]
fn one_that_does_takes_mmap_lock_under_the_page_lock() {
    let plants = Plants::from(Plant::CopyFaultsLocked);
    for fs in ALL {
        let (seen, end) = run(fs, plants, RECLAIMED);
        assert_eq!((seen.returned, end), (vec![(Status::Ok, 2)], End::Done), "{fs}");
        assert_eq!(seen.inversions[0], (Class::Page, Class::Mmap), "{fs}");
    }
    let own = "file pages 1 cells 2 size 2\nactor A mm 0\nA.0 write_mapped 0..1 1..2\nactor B mm 0
B.0 reclaim 0..1\norder A.0 write.find_page\norder B.0 *\norder A.0 *";
    assert_eq!(run("block@2.6.30", Plants::NONE, own).1, End::Done);
    assert_eq!(run("block@2.6.30", plants, own).1, End::Stuck, "it waits for itself");
}
