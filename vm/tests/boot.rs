//! Boots kernels and replays the race of 2009 there, and a case for each defect of the toy
//! filesystem. Needs the network the first time, and half a minute: `cargo test -p mkwrite-vm
//! --test boot -- --ignored`.

use mkwrite_model::text::parse;
use mkwrite_vm::replay::{Verdict, replay};
use mkwrite_vm::session::{CPUS, Parts, Session};
use mkwrite_vm::{Unavailable, demo, filesystems};

/// The series; the newest kernel of it is booted.
const SERIES: [&str; 2] = ["6.1", "6.12"];

#[test]
#[ignore = "boots virtual machines"]
fn the_legacy_return_loses_the_store_and_the_locked_one_blocks_fsync() {
    for series in SERIES {
        let parts = match Parts::prepare(series, None) {
            Ok(parts) => parts,
            Err(error) => match error.downcast_ref::<Unavailable>() {
                Some(missing) => return eprintln!("skipped: {missing}; {}", missing.remedy),
                None => panic!("{error:#}"),
            },
        };
        let filesystems = filesystems::named(&demo::FILESYSTEMS.map(str::to_owned)).unwrap();
        let mut session = Session::boot(&parts, &filesystems, CPUS).unwrap();
        let case = parse(demo::CASE).unwrap().case;
        let release = parts.kernel.release.clone();
        let [legacy, locked] =
            [0, 1].map(|n| replay(&mut session, &release, filesystems[n], &case).unwrap());
        assert_eq!((legacy.verdict(), legacy.blocked()), (Verdict::Lost, None), "{series}");
        assert_eq!(legacy.flaws, ["lost by durable: on the store: cell 0, word 0: initial@0"]);
        let (task, slot, stack) = locked.blocked().expect("fsync is blocked");
        assert_eq!(
            (locked.verdict(), task.to_string(), slot),
            (Verdict::Kept, "B".to_owned(), 0),
            "{series}"
        );
        assert!(stack.iter().any(|function| function == "write_cache_pages"), "{stack:?}");
        assert_eq!(session.findings(), Vec::<String>::new());
    }
}

/// A second store while writeback drops the record. It waits for writeback, or its record is gone.
const DURING_WRITEBACK: &str = "mkw 1\nfile pages 1 cells 1 blocks 1 size 1 mms 1\nactor A mm 0\nA.0 store 0..1\nA.1 store 0..1\n\
    actor B mm 0\nB.0 fsync\norder A.0 *\norder B.0 writepage.end\norder A.1 *\norder B.0 *\n";

/// page_mkwrite of a page that truncate has removed since: the next store goes to a page that is
/// nobody's.
const TRUNCATED: &str = "mkw 1\nfile pages 1 cells 1 blocks 1 size 1 mms 1\nactor A mm 0\nA.0 store 0..1\nA.1 store 0..1\n\
    actor B mm 0\nB.0 truncate 0\nB.1 truncate 1\norder A.0 mkwrite.lock_page\norder B.1 *\norder A.1 *\n";

/// A store, and nothing else.
const ALONE: &str = "mkw 1\nfile pages 1 cells 1 blocks 1 size 1 mms 1\nactor A mm 0\nA.0 store 0..1\norder A.0 *\n";

#[test]
#[ignore = "boots a virtual machine"]
fn each_defect_of_the_toy_filesystem_loses_data_and_without_it_nothing_is_lost() {
    let parts = match Parts::prepare(SERIES[0], None) {
        Ok(parts) => parts,
        Err(error) => match error.downcast_ref::<Unavailable>() {
            Some(missing) => return eprintln!("skipped: {missing}; {}", missing.remedy),
            None => panic!("{error:#}"),
        },
    };
    let defects = [
        ("toy-no-record", ALONE),
        ("toy-early-end", DURING_WRITEBACK),
        ("toy-no-wait", DURING_WRITEBACK),
        ("toy-no-check", TRUNCATED),
    ];
    let names: Vec<String> = defects
        .iter()
        .map(|(name, _)| (*name).to_owned())
        .chain(["toy-locked".to_owned()])
        .collect();
    let filesystems = filesystems::named(&names).unwrap();
    let mut session = Session::boot(&parts, &filesystems, CPUS).unwrap();
    let release = parts.kernel.release.clone();
    for (n, (name, text)) in defects.into_iter().enumerate() {
        let case = parse(text).unwrap().case;
        let [defect, locked] =
            [n, 4].map(|n| replay(&mut session, &release, filesystems[n], &case).unwrap());
        assert_eq!(defect.verdict(), Verdict::Lost, "{name}: {defect:?}");
        assert_eq!(locked.verdict(), Verdict::Kept, "{name}: {locked:?}");
    }
    assert_eq!(session.findings(), Vec::<String>::new());
}
