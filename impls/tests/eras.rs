//! An era of somebody else: a value, made here. What its facts change, in values; and that nobody
//! else's runs change because it is there.

use mkwrite_impls::{BufferHeads, Builtin};
use mkwrite_model::era::{Era, Facts, Mkclean, TruncateOrder, ZapFlush};
use mkwrite_model::generate::{Generator, random};
use mkwrite_model::implementation::{
    Convention, Declaration, Filesystem, Implementation, Pair, SizeGuard, VmOperations,
};
use mkwrite_model::kernel::Status;
use mkwrite_model::schedule::{Order, Walk};
use mkwrite_model::text::parse;
use mkwrite_model::trace::{Lines, TraceHash};
use mkwrite_model::{Case, Machine, Setup, Target};

const OTHER: Era = Era::new(&FACTS);

/// What 2.6.18, 2.6.24, 3.1, 3.10 and 6.16 have otherwise, in one.
static FACTS: Facts = Facts {
    name: "other",
    mkclean: Mkclean::Peeks,
    fsync_locks_inode: false,
    truncate_order: TruncateOrder::CancelsFirst,
    truncate_unmaps_again: false,
    invalidate2_counts_references: true,
    invalidate2_error: Status::Io,
    reclaim_writes: false,
    reclaim_skips_pinned: true,
    zap_flush: ZapFlush::BeforeRmap,
    mremap_flushes_late: true,
    ..*Era::V2_6_30.facts()
};

/// One filesystem, in 2.6.30 and in the other era.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Sample {
    /// In 2.6.30.
    Usual,
    /// In the other era.
    Other,
}

impl Sample {
    const VERSIONS: &[Sample] = &[Sample::Usual, Sample::Other];
}

impl<F: BufferHeads> Implementation<F> for Sample {
    fn declaration(self) -> &'static Declaration {
        const USUAL: Declaration = Declaration {
            name: "sample@usual",
            convention: Convention::Locked,
            natural: Era::V2_6_30,
            era: Era::V2_6_30,
            page_cache: true,
            stable_pages: false,
            freezes: false,
            size_guard: SizeGuard::InodeLock,
            may_differ: &[],
            record: "nothing",
            source: "this test",
        };
        match self {
            Sample::Usual => &USUAL,
            Sample::Other => {
                &Declaration { name: "sample@other", natural: OTHER, era: OTHER, ..USUAL }
            }
        }
    }
}

impl<F: BufferHeads> VmOperations<F> for Sample {}

mkwrite_impls::buffer_heads!(Sample, untied_record);

mkwrite_impls::with_builtin! {
    /// The filesystems of this repository, and the sample.
    pub enum Everything { Sample(Sample), }
    private enum Private {}
    ledger []
}

/// What a program of one or two actors does on a version of the sample: the lines of its run.
fn run(version: Sample, program: &str) -> Vec<String> {
    let text = format!("mkw 1\nfile pages 2 cells 2 blocks 1 size 4 mms 2\n{program}");
    let case = parse(&text).expect("the tests are well-formed").case;
    let mkwrite_model::case::Schedule::Order(stops) = &case.schedule else { panic!("an order") };
    let target = Target::from(Pair::natural(Everything::Sample(version)));
    let mut lines = Lines::default();
    Machine::default().run(Setup { case: &case, target }, &mut Order::new(stops), &mut lines);
    lines.0
}

/// Those of some words that stand in the lines of actor A's operation, in order.
fn passed(version: Sample, program: &str, operation: &str, words: &[&str]) -> Vec<String> {
    let lines = run(version, program).into_iter().filter(|line| line.contains(operation));
    let found = lines.filter_map(|line| words.iter().find(|word| line.contains(*word)).copied());
    found.map(str::to_owned).collect()
}

const ONE: &str = "actor A mm 0\nA.0 store 0..1\n";

#[test]
fn a_dirty_page_is_truncated_in_the_order_of_the_era() {
    let program = "actor A mm 0\nA.0 write 0..1\nA.1 truncate 0\norder A.0 *\norder A.1 *\n";
    let (invalidate, cancel, unmap) =
        ("truncate.invalidatepage", "truncate.cancel_dirty", "unmap.i_mmap_lock");
    let steps = |version| passed(version, program, "truncate 0", &[invalidate, cancel, unmap]);
    assert_eq!(steps(Sample::Usual), [unmap, invalidate, cancel, unmap]);
    assert_eq!(steps(Sample::Other), [unmap, cancel, invalidate]);
}

#[test]
fn page_mkclean_locks_each_pte_or_looks_first() {
    let program = format!("{ONE}A.1 writeback 0..1\norder A.0 *\norder A.1 *\n");
    let ptes = |version| passed(version, &program, "writeback 0", &["mkclean.pte"]).len();
    assert_eq!(ptes(Sample::Usual), 2, "the lock of each address space");
    assert_eq!(ptes(Sample::Other), 3, "a look at each, and the lock of the one that maps it");
}

#[test]
fn fsync_takes_the_inode_lock_or_leaves_it_to_the_filesystem() {
    let program = format!("{ONE}A.1 fsync\norder A.0 *\norder A.1 *\n");
    let locks = |version| passed(version, &program, "fsync", &["fsync.inode_lock"]).len();
    assert!(locks(Sample::Usual) > 0);
    assert_eq!(locks(Sample::Other), 0);
}

#[test]
fn invalidate2_minds_references_of_others_and_has_its_error() {
    let read = "actor A mm 0\nA.0 invalidate2 0..1\nactor B mm 0\nB.0 read 0..1\n\
                order B.0 read.copy\norder A.0 *\norder B.0 *\n";
    let dirty = format!("{ONE}A.1 invalidate2 0..1\norder A.0 *\norder A.1 *\n");
    let returned = |version, program| {
        passed(version, program, "invalidate2 0", &["returns ok", "returns EBUSY", "returns EIO"])
    };
    assert_eq!(returned(Sample::Usual, read), ["returns ok"]);
    assert_eq!(returned(Sample::Other, read), ["returns EIO"]);
    assert_eq!(returned(Sample::Usual, &dirty), ["returns EBUSY"]);
    assert_eq!(returned(Sample::Other, &dirty), ["returns EIO"]);
}

#[test]
fn reclaim_writes_or_leaves_dirty_pages_to_the_flusher() {
    let program = format!("{ONE}A.1 reclaim 0..1\norder A.0 *\norder A.1 *\n");
    let submits = |version| passed(version, &program, "reclaim 0", &["writepage.submit"]).len();
    assert_eq!((submits(Sample::Usual), submits(Sample::Other)), (1, 0));
}

/// Two threads: while one takes the pte away, or moves it, the other can store by its TLB entry.
#[test]
fn munmap_and_mremap_flush_late_or_in_time_where_there_are_other_cpus() {
    let flushes = |version, operation: &str, mm: u8| {
        let program = format!(
            "{ONE}A.1 {operation}\nactor B mm {mm}\nB.0 load 0..1\norder A.0 *\norder A.1 *\n"
        );
        passed(version, &program, operation, &["flush_tlb"]).len()
    };
    for (version, munmap, mremap) in [(Sample::Usual, 1, 0), (Sample::Other, 0, 1)] {
        assert_eq!(
            (flushes(version, "munmap", 0), flushes(version, "mremap", 0)),
            (munmap, mremap)
        );
        assert_eq!((flushes(version, "munmap", 1), flushes(version, "mremap", 1)), (0, 0));
    }
}

#[test]
fn reclaim_takes_the_private_data_of_a_pinned_page_or_leaves_it_alone() {
    let program = "actor A mm 0\nA.0 pin 0..1\nactor B mm 0\nB.0 writeback 0..1\nB.1 reclaim 0..1\n\
                   order A.0 pin.device\norder B.0 *\norder io0.0 *\norder B.1 *\norder A.0 *\n";
    let releases = |version| passed(version, program, "reclaim 0", &["invalidate.release"]).len();
    assert_eq!((releases(Sample::Usual), releases(Sample::Other)), (1, 0));
}

/// The hashes of the runs of some cases on a filesystem under its own caller.
fn hashes<F: Filesystem>(fs: F) -> Vec<u64> {
    let (mut machine, mut case, mut hash) =
        (Machine::default(), Case::default(), TraceHash::default());
    let run = |index| {
        Generator::new(index % 2 == 1).generate(1, index, &mut case);
        let setup = Setup { case: &case, target: Pair::natural(fs).into() };
        machine.run(setup, &mut Walk::new(random(1, index, 1)), &mut hash);
        hash.0
    };
    (0..100).map(run).collect()
}

#[test]
fn an_era_that_joins_changes_no_run_of_the_others() {
    for &fs in Builtin::all() {
        let beside = Everything::by_name(fs.name()).expect("it is in both registries");
        assert_eq!(hashes(fs), hashes(beside), "{}", fs.name());
    }
    let [usual, other] = [Sample::Usual, Sample::Other].map(Everything::Sample).map(hashes);
    assert_ne!(usual, other, "its own facts count");
}
