//! Boots a kernel and replays the race of 2009 there. Needs the network the first time, and half a minute:
//! `cargo test -p mkwrite-vm --test boot -- --ignored`.

use mkwrite_model::text::parse;
use mkwrite_vm::replay::{Verdict, replay};
use mkwrite_vm::session::{Parts, Session};
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
        let mut session = Session::boot(&parts, &filesystems).unwrap();
        let case = parse(demo::CASE).unwrap().case;
        let release = parts.kernel.release.clone();
        let [legacy, locked] = [0, 1].map(|n| replay(&mut session, &release, filesystems[n], &case).unwrap());
        assert_eq!((legacy.verdict(), legacy.blocked()), (Verdict::Lost, None), "{series}");
        assert_eq!(legacy.flaws, ["at the end: cell 0 holds initial@0: the last value is lost"]);
        let (task, slot, stack) = locked.blocked().expect("fsync is blocked");
        assert_eq!((locked.verdict(), task.to_string(), slot), (Verdict::Kept, "B".to_owned(), 0), "{series}");
        assert!(stack.iter().any(|function| function == "write_cache_pages"), "{stack:?}");
        assert_eq!(session.findings(), Vec::<String>::new());
    }
}
