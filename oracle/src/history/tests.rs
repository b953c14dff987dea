//! Small histories with known verdicts, and random ones against a brute-force reference.

use super::*;

const A: TaskId = TaskId(0);
const B: TaskId = TaskId(1);

struct Script {
    history: History,
    /// The size on the store, if it is not the greatest that is possible.
    durable_size: Option<u8>,
}

fn stamp(actor: TaskId, slot: u8, cell: u8) -> Stamp {
    Stamp::new(actor, slot, cell)
}

impl Script {
    fn new(size: u8) -> Script {
        let mut history = History::default();
        let geometry = Geometry { pages: 2, cells: 2, blocks: 1, size, ..Geometry::default() };
        history.begin(&Case { geometry, ..Case::default() }, InodeId::FIRST);
        Script { history, durable_size: None }
    }

    fn call(&mut self, actor: TaskId, slot: u8, operation: Operation) {
        self.history.call(actor, slot, operation);
    }

    fn ok(&mut self, actor: TaskId, done: u8) -> Vec<Flaw> {
        self.ret(actor, Status::Ok, done, &[], &[])
    }

    fn ret(
        &mut self,
        actor: TaskId,
        status: Status,
        done: u8,
        values: &[Stamp],
        durable: &[Stamp],
    ) -> Vec<Flaw> {
        let size = self.durable_size.unwrap_or(self.history.size.most());
        let outcome = Observed {
            status,
            done,
            value: &|n| values[usize::from(n)],
            durable: &|cell| durable.get(usize::from(cell)).copied().unwrap_or(Stamp::ZERO),
            durable_size: &|| size,
            stored: &|cell| durable.get(usize::from(cell)).copied().unwrap_or(Stamp::ZERO),
            visible: &|_| None,
        };
        self.history.returned(actor, &outcome);
        self.history.take_findings().map(|f| f.flaw).collect()
    }
}

const CELL0: Range = Range::new(0, 1);

/// While the file grows, what a read finds in the new part is open; but it is never the content of
/// another cell.
#[test]
fn a_read_that_races_with_growth_does_not_return_another_cell() {
    for (value, flaws) in [(Stamp::ZERO, &[][..]), (stamp(B, 0, 2), &[Flaw::Exposed])] {
        let mut s = Script::new(1);
        s.call(A, 0, Operation::Read(Range::new(0, 4)));
        s.call(B, 0, Operation::Write(Range::new(2, 3)));
        assert_eq!(s.ok(B, 1), []);
        assert_eq!(s.ret(A, Status::Ok, 2, &[Stamp::initial(0), value], &[]), flaws);
    }
}

#[test]
fn a_completed_store_must_be_seen() {
    let mut s = Script::new(4);
    s.call(A, 0, Operation::Store(CELL0));
    s.ok(A, 1);
    s.call(B, 0, Operation::Load(CELL0));
    assert_eq!(s.ret(B, Status::Ok, 1, &[Stamp::initial(0)], &[]), [Flaw::Stale]);
    s.call(B, 1, Operation::Load(CELL0));
    assert_eq!(s.ret(B, Status::Ok, 1, &[stamp(A, 0, 0)], &[]), []);
}

#[test]
fn a_read_that_overlaps_a_store_may_see_either_and_the_next_one_only_what_is_left() {
    let mut s = Script::new(4);
    s.call(B, 0, Operation::Load(CELL0));
    s.call(A, 0, Operation::Store(CELL0));
    s.ok(A, 1);
    assert_eq!(s.ret(B, Status::Ok, 1, &[Stamp::initial(0)], &[]), []);
    s.call(B, 1, Operation::Load(CELL0));
    assert_eq!(s.ret(B, Status::Ok, 1, &[Stamp::initial(0)], &[]), [Flaw::Stale]);
}

#[test]
fn of_two_racing_writes_either_wins_but_only_one() {
    let mut s = Script::new(4);
    s.call(A, 0, Operation::Store(CELL0));
    s.call(B, 0, Operation::Store(CELL0));
    s.ok(A, 1);
    s.ok(B, 1);
    s.call(A, 1, Operation::Load(CELL0));
    assert_eq!(s.ret(A, Status::Ok, 1, &[stamp(A, 0, 0)], &[]), []);
    s.call(A, 2, Operation::Load(CELL0));
    assert_eq!(s.ret(A, Status::Ok, 1, &[stamp(B, 0, 0)], &[]), [Flaw::Stale], "A had won");
}

#[test]
fn a_read_that_a_write_overlaps_from_before_settles_nothing() {
    let mut s = Script::new(4);
    s.call(B, 0, Operation::Store(CELL0));
    s.call(A, 0, Operation::Write(CELL0));
    s.ok(A, 1);
    s.call(A, 1, Operation::Load(CELL0));
    s.ok(B, 1);
    assert_eq!(s.ret(A, Status::Ok, 1, &[stamp(A, 0, 0)], &[]), []);
    s.call(A, 2, Operation::Load(CELL0));
    assert_eq!(s.ret(A, Status::Ok, 1, &[stamp(B, 0, 0)], &[]), [], "B stored after A's load");
}

#[test]
fn what_a_read_settles_does_not_bind_a_sync_that_began_earlier() {
    let mut s = Script::new(2);
    s.call(A, 0, Operation::Store(CELL0));
    s.call(B, 0, Operation::Write(CELL0));
    s.ok(B, 1);
    s.call(B, 1, Operation::Fsync);
    s.ok(A, 1);
    s.call(A, 1, Operation::Load(CELL0));
    assert_eq!(s.ret(A, Status::Ok, 1, &[stamp(A, 0, 0)], &[]), []);
    let before = [stamp(B, 0, 0), Stamp::initial(1)];
    assert_eq!(s.ret(B, Status::Ok, 0, &[], &before), []);
}

#[test]
fn what_was_stored_before_fsync_is_durable_after_it() {
    let mut s = Script::new(2);
    s.call(A, 0, Operation::Store(Range::new(0, 2)));
    s.ok(A, 2);
    s.call(B, 0, Operation::Fsync);
    s.call(A, 1, Operation::Store(CELL0));
    let half = [stamp(A, 0, 0), Stamp::initial(1)];
    assert_eq!(s.ret(B, Status::Ok, 0, &[], &half), [Flaw::NotDurable], "cell 1 lacks the store");
    s.call(B, 1, Operation::Fsync);
    let newer = [stamp(A, 1, 0), stamp(A, 0, 1)];
    assert_eq!(s.ret(B, Status::Ok, 0, &[], &newer), [], "a later store may be there already");
}

#[test]
fn a_store_during_a_sync_does_not_hide_what_an_extension_exposed() {
    let mut s = Script::new(1);
    s.call(B, 0, Operation::Truncate(2));
    s.ok(B, 0);
    s.call(B, 1, Operation::Fsync);
    s.call(A, 0, Operation::Store(Range::new(1, 2)));
    s.ok(A, 1);
    let old = [Stamp::initial(0), Stamp::initial(1)];
    assert_eq!(
        s.ret(B, Status::Ok, 0, &[], &old),
        [Flaw::Exposed],
        "zero or the store; and the sync owes the zero"
    );
    s.call(B, 2, Operation::Fsync);
    assert_eq!(s.ret(B, Status::Ok, 0, &[], &old), [Flaw::NotDurable], "now it owes the store");
}

#[test]
fn an_extension_exposes_zeros_only() {
    let mut s = Script::new(1);
    s.call(A, 0, Operation::Store(Range::new(1, 2)));
    assert_eq!(s.ok(A, 1), [], "a store beyond i_size inside the last page is legal");
    s.call(B, 0, Operation::Truncate(2));
    s.ok(B, 0);
    s.call(B, 1, Operation::Read(Range::new(1, 2)));
    assert_eq!(s.ret(B, Status::Ok, 1, &[stamp(A, 0, 1)], &[]), [Flaw::Exposed]);
    s.call(B, 2, Operation::Read(Range::new(1, 2)));
    assert_eq!(s.ret(B, Status::Ok, 1, &[Stamp::ZERO], &[]), []);
}

#[test]
fn a_store_that_overlaps_the_extension_may_survive_or_not() {
    for survivor in [stamp(A, 0, 1), Stamp::ZERO] {
        let mut s = Script::new(1);
        s.call(A, 0, Operation::Store(Range::new(1, 2)));
        s.call(B, 0, Operation::Truncate(2));
        s.ok(B, 0);
        s.ok(A, 1);
        s.call(B, 1, Operation::Read(Range::new(1, 2)));
        assert_eq!(s.ret(B, Status::Ok, 1, &[survivor], &[]), []);
    }
}

#[test]
fn truncate_discards_and_shortens() {
    let mut s = Script::new(4);
    s.call(A, 0, Operation::Truncate(1));
    s.ok(A, 0);
    s.call(A, 1, Operation::Read(Range::new(0, 4)));
    assert_eq!(
        s.ret(A, Status::Ok, 4, &[Stamp::initial(0); 4], &[]),
        [Flaw::Size],
        "it read past the end"
    );
    s.call(A, 2, Operation::Truncate(4));
    s.ok(A, 0);
    s.call(A, 3, Operation::Read(Range::new(0, 4)));
    let stale = [Stamp::initial(0), Stamp::initial(1), Stamp::ZERO, Stamp::ZERO];
    assert_eq!(s.ret(A, Status::Ok, 4, &stale, &[]), [Flaw::Exposed]);
    s.call(A, 4, Operation::Read(Range::new(0, 4)));
    let right = [Stamp::initial(0), Stamp::ZERO];
    assert_eq!(s.ret(A, Status::Ok, 2, &right, &[]), [Flaw::Size], "a short read inside the file");
}

#[test]
fn sigbus_exactly_beyond_the_last_page() {
    let mut s = Script::new(4);
    s.call(A, 0, Operation::Store(Range::new(2, 3)));
    assert_eq!(s.ret(A, Status::Sigbus, 0, &[], &[]), [Flaw::Sigbus], "the file has page 1");
    s.call(B, 0, Operation::Truncate(2));
    s.call(A, 1, Operation::Store(Range::new(2, 3)));
    assert_eq!(s.ret(A, Status::Sigbus, 0, &[], &[]), [], "truncate is under way");
    s.ok(B, 0);
    s.call(A, 2, Operation::Store(Range::new(2, 3)));
    assert_eq!(s.ok(A, 1), [Flaw::Sigbus], "page 1 is gone");
    s.call(A, 3, Operation::Load(Range::new(1, 3)));
    assert_eq!(s.ret(A, Status::Sigbus, 1, &[Stamp::initial(1)], &[]), []);
}

/// Cell 0 is stored to and its write fails; the store keeps what it had.
fn failed_store(io: bool) -> Script {
    let mut s = Script::new(2);
    s.call(A, 0, Operation::Store(CELL0));
    s.ok(A, 1);
    s.history.write_failed(1, io, &|cell| [Stamp::initial(cell); 2]);
    s
}

#[test]
fn a_lost_value_needs_an_error_that_is_reported_after_the_failure() {
    let lost = |status: Status| {
        let mut s = failed_store(true);
        s.call(A, 1, Operation::Fsync);
        let mut flaws = s.ret(A, status, 0, &[], &[Stamp::initial(0), Stamp::initial(1)]);
        s.history.end(&Stamp::initial);
        flaws.extend(s.history.take_findings().map(|f| f.flaw));
        flaws.dedup();
        flaws
    };
    assert_eq!(lost(Status::Io), []);
    assert_eq!(lost(Status::Ok), [Flaw::Unreported]);
    assert_eq!(lost(Status::NoSpace), [Flaw::NotDue], "it was an I/O error");
    assert_eq!(lost(Status::Busy), [Flaw::NotDue, Flaw::Unreported], "that tells nobody");
}

#[test]
fn a_loss_that_nobody_could_be_told_of_yet_is_unreported_at_the_end() {
    let mut s = failed_store(true);
    s.history.end(&Stamp::initial);
    assert_eq!(s.history.take_findings().map(|f| f.flaw).collect::<Vec<_>>(), [Flaw::Unreported]);
}

#[test]
fn a_report_before_the_failure_tells_nobody_of_it() {
    let mut s = failed_store(true);
    s.call(A, 1, Operation::Fsync);
    s.ret(A, Status::Io, 0, &[], &[Stamp::initial(0), Stamp::initial(1)]);
    s.call(A, 2, Operation::Store(CELL0));
    s.ok(A, 1);
    s.history.write_failed(1, true, &|cell| [Stamp::initial(cell); 2]);
    s.history.end(&Stamp::initial);
    assert_eq!(s.history.take_findings().map(|f| f.flaw).collect::<Vec<_>>(), [Flaw::Unreported]);
}

/// A's fsync is told of a failure while C's runs; the page fails again after C's fsync has looked
/// for errors.
#[test]
fn what_fails_again_while_a_sync_runs_need_not_be_told_by_it() {
    let old = [Stamp::initial(0), Stamp::initial(1)];
    for (again_before_the_call, c, end) in [
        (false, Status::Ok, &[Flaw::Unreported][..]),
        (false, Status::Io, &[]),
        (true, Status::Io, &[]),
    ] {
        let mut s = failed_store(true);
        let fail_again =
            |s: &mut Script| s.history.write_failed(1, true, &|cell| [Stamp::initial(cell); 2]);
        s.call(A, 1, Operation::Fsync);
        assert_eq!(s.ret(A, Status::Io, 0, &[], &old), []);
        if again_before_the_call {
            fail_again(&mut s);
        }
        s.call(B, 1, Operation::Fsync);
        if !again_before_the_call {
            fail_again(&mut s);
        }
        assert_eq!(s.ret(B, c, 0, &[], &old), [], "again before the call: {again_before_the_call}");
        s.history.end(&Stamp::initial);
        assert_eq!(s.history.take_findings().map(|f| f.flaw).collect::<Vec<_>>(), end);
    }
    let mut s = failed_store(true);
    s.call(A, 1, Operation::Fsync);
    assert_eq!(s.ret(A, Status::Io, 0, &[], &old), []);
    s.history.write_failed(1, true, &|cell| [Stamp::initial(cell); 2]);
    s.call(B, 1, Operation::Fsync);
    assert_eq!(
        s.ret(B, Status::Ok, 0, &[], &old),
        [Flaw::Unreported],
        "it was there when B called"
    );
}

#[test]
fn a_failure_excuses_its_own_cells_and_what_they_held_then() {
    let old = [Stamp::initial(0), Stamp::initial(1)];
    let mut s = failed_store(true);
    s.call(A, 1, Operation::Fsync);
    assert_eq!(s.ret(A, Status::Io, 0, &[], &old), []);
    s.call(A, 2, Operation::Read(CELL0));
    assert_eq!(
        s.ret(A, Status::Ok, 1, &[stamp(A, 0, 0)], &[]),
        [],
        "the page cache may still have it"
    );
    s.call(A, 3, Operation::Read(CELL0));
    assert_eq!(s.ret(A, Status::Ok, 1, &old, &[]), [], "or not");
    s.call(A, 4, Operation::Read(CELL0));
    assert_eq!(s.ret(A, Status::Ok, 1, &[Stamp::ZERO], &[]), [Flaw::Stale], "but nothing else");
    s.call(A, 5, Operation::Store(Range::new(0, 2)));
    s.ok(A, 2);
    s.call(A, 6, Operation::Fsync);
    assert_eq!(
        s.ret(A, Status::Ok, 0, &[], &old),
        [Flaw::NotDurable, Flaw::NotDurable],
        "newer, and another cell"
    );
    s.call(A, 7, Operation::Read(Range::new(0, 2)));
    assert_eq!(s.ret(A, Status::Ok, 2, &old, &[]), [Flaw::Stale, Flaw::Stale]);
}

#[test]
fn a_block_that_was_never_written_may_show_what_the_device_held() {
    let mut s = Script::new(1);
    let junk = stamp(B, 9, 3);
    s.call(A, 0, Operation::Write(Range::new(1, 2)));
    s.ok(A, 1);
    s.history.write_failed(0b10, true, &|_| [Stamp::ZERO, junk]);
    s.call(A, 1, Operation::Fsync);
    assert_eq!(s.ret(A, Status::Io, 0, &[], &[Stamp::initial(0), Stamp::ZERO]), []);
    s.call(A, 2, Operation::Read(Range::new(1, 2)));
    assert_eq!(s.ret(A, Status::Ok, 1, &[junk], &[]), []);
}

#[test]
fn each_failure_is_reported_once() {
    let old = [Stamp::initial(0), Stamp::initial(1)];
    for (first, second, right) in [
        (Status::Io, Status::Ok, true),
        (Status::Ok, Status::Io, true),
        (Status::Io, Status::Io, false),
        (Status::NoSpace, Status::Ok, false),
    ] {
        let mut s = failed_store(true);
        s.call(A, 1, Operation::Fsync);
        s.call(B, 1, Operation::Msync);
        let mut flaws = s.ret(A, first, 0, &[], &old);
        flaws.extend(s.ret(B, second, 0, &[], &old));
        assert_eq!(flaws.is_empty(), right, "{first:?} {second:?}");
    }
    let mut s = failed_store(true);
    s.call(A, 1, Operation::Fsync);
    assert_eq!(s.ret(A, Status::Io, 0, &[], &old), []);
    s.call(A, 2, Operation::Fsync);
    assert_eq!(s.ret(A, Status::Io, 0, &[], &old), [Flaw::NotDue], "it was told already");
}

#[test]
fn a_call_fails_only_with_what_is_due() {
    let mut s = Script::new(4);
    s.call(A, 0, Operation::Store(CELL0));
    assert_eq!(s.ret(A, Status::Segv, 0, &[], &[]), [Flaw::NotDue], "it is mapped");
    s.call(A, 1, Operation::Store(CELL0));
    s.call(B, 1, Operation::Munmap);
    assert_eq!(s.ret(A, Status::Segv, 0, &[], &[]), [], "munmap is under way");
    s.ok(B, 0);
    s.call(A, 2, Operation::Load(CELL0));
    assert_eq!(
        s.ret(A, Status::Ok, 1, &[Stamp::initial(0)], &[]),
        [Flaw::NotDue],
        "nothing is mapped"
    );
    s.call(A, 3, Operation::Msync);
    assert_eq!(s.ret(A, Status::NoMemory, 0, &[], &[]), []);
    s.call(A, 4, Operation::Write(CELL0));
    assert_eq!(s.ret(A, Status::NoSpace, 0, &[], &[]), [Flaw::NotDue], "there is space");
    s.call(A, 5, Operation::Write(CELL0));
    s.history.set_obstacles(Obstacles { no_space: true, ..Obstacles::default() });
    s.history.set_obstacles(Obstacles::default());
    assert_eq!(s.ret(A, Status::NoSpace, 0, &[], &[]), [], "there was none for a moment");
    s.call(A, 6, Operation::Truncate(1));
    assert_eq!(s.ret(A, Status::Io, 0, &[], &[]), [Flaw::NotDue]);
}

#[test]
fn the_size_is_what_the_calls_explain() {
    let mut s = Script::new(2);
    s.call(A, 0, Operation::Write(Range::new(2, 4)));
    s.call(B, 0, Operation::Truncate(1));
    s.ok(B, 0);
    s.ok(A, 2);
    for (size, right) in [(1, true), (4, true), (2, false)] {
        s.history.quiescent(size, &|_| None);
        assert_eq!(s.history.take_findings().next().is_none(), right, "size {size}");
    }
    s.call(A, 1, Operation::Write(Range::new(0, 1)));
    s.ok(A, 1);
    s.history.quiescent(4, &|_| None);
    assert!(
        s.history.take_findings().next().is_none(),
        "a write inside the file leaves the size alone"
    );
    s.call(A, 2, Operation::Truncate(3));
    s.ok(A, 0);
    assert_eq!((s.history.size.least(), s.history.size.most()), (3, 3));
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(50_000))]

    #[test]
    fn random_histories_agree_with_brute_force(bytes in proptest::collection::vec(proptest::prelude::any::<u8>(), 0..24)) {
        proptest::prop_assert_eq!(reference::compare(&bytes), Ok(()));
    }
}

#[test]
fn fsync_makes_the_size_durable() {
    let mut s = Script::new(1);
    s.call(A, 0, Operation::Truncate(3));
    s.ok(A, 0);
    for (size, flaws) in [(1, &[Flaw::DurableSize][..]), (4, &[Flaw::DurableSize]), (3, &[])] {
        s.durable_size = Some(size);
        s.call(A, 1, Operation::Fsync);
        assert_eq!(s.ret(A, Status::Ok, 0, &[], &[Stamp::initial(0)]), flaws, "{size}");
    }
    // While a truncate is under way both sizes are right; what fails promises nothing.
    s.call(B, 0, Operation::Truncate(1));
    s.call(A, 2, Operation::Fsync);
    s.durable_size = Some(1);
    assert_eq!(s.ret(A, Status::Ok, 0, &[], &[Stamp::initial(0)]), []);
    s.call(A, 3, Operation::Fsync);
    s.durable_size = Some(4);
    assert_eq!(
        s.ret(A, Status::Io, 0, &[], &[Stamp::initial(0)]),
        [Flaw::NotDue],
        "no write has failed"
    );
}

#[test]
fn a_punched_hole_reads_as_zero_and_stores_beside_it_stay() {
    let mut s = Script::new(2);
    s.call(A, 0, Operation::Store(CELL0));
    s.ok(A, 1);
    s.call(A, 1, Operation::Punch(CELL0));
    s.ok(A, 0);
    s.call(A, 2, Operation::Load(Range::new(0, 2)));
    let old = [stamp(A, 0, 0), Stamp::initial(1)];
    assert_eq!(s.ret(A, Status::Ok, 2, &old, &[]), [Flaw::Exposed], "the store is back");
    s.call(A, 3, Operation::Load(Range::new(0, 2)));
    assert_eq!(s.ret(A, Status::Ok, 2, &[Stamp::ZERO, Stamp::initial(1)], &[]), []);
}

#[test]
fn a_refused_punch_changes_nothing_and_one_that_failed_may_have() {
    for (status, zero, old) in [
        (Status::NotSupported, &[Flaw::Stale][..], &[][..]),
        (Status::Io, &[Flaw::NotDue], &[Flaw::NotDue]), // the error itself is not due here
    ] {
        for (value, flaws) in [(Stamp::ZERO, zero), (Stamp::initial(0), old)] {
            let mut s = Script::new(2);
            s.call(A, 0, Operation::Punch(CELL0));
            let mut found = s.ret(A, status, 0, &[], &[]);
            s.call(A, 1, Operation::Load(CELL0));
            found.extend(s.ret(A, Status::Ok, 1, &[value], &[]));
            assert_eq!(found, flaws, "{status:?}, then {value:?}");
        }
    }
}

/// What a device writes while a page may be taken out of the page cache can go with the page, and
/// what was there before comes back; otherwise it is a store like any other.
#[test]
fn what_a_device_writes_is_certain_unless_its_page_may_have_gone() {
    let removals = [
        (None, &[Flaw::Stale][..]),
        (Some(Operation::Invalidate(Range::new(0, 1))), &[Flaw::Stale]),
        (Some(Operation::Invalidate2(Range::new(0, 1))), &[]),
        (Some(Operation::Punch(Range::new(2, 4))), &[]),
    ];
    for (removal, flaws) in removals {
        let mut s = Script::new(4);
        s.call(A, 0, Operation::Pin(CELL0));
        if let Some(removal) = removal {
            s.call(B, 0, removal);
            assert_eq!(s.ok(B, 0), []);
        }
        assert_eq!(s.ok(A, 1), []);
        s.call(B, 1, Operation::Load(CELL0));
        assert_eq!(s.ret(B, Status::Ok, 1, &[Stamp::initial(0)], &[]), flaws, "{removal:?}");
    }
}

/// A store may be refused while the mapping of its address space is read-only, and no longer.
#[test]
fn a_store_is_refused_only_while_the_mapping_is_read_only() {
    let mut s = Script::new(4);
    s.call(A, 0, Operation::Mprotect);
    s.call(B, 0, Operation::Store(CELL0));
    assert_eq!(s.ok(A, 0), []);
    assert_eq!(s.ret(B, Status::Segv, 0, &[], &[]), []);
    s.call(B, 1, Operation::Store(CELL0));
    assert_eq!(s.ret(B, Status::Segv, 0, &[], &[]), [Flaw::NotDue]);
}

/// A truncate that has failed has set nothing: the old size and what was there are the only ones.
#[test]
fn a_truncate_that_fails_leaves_size_and_content() {
    let mut s = Script::new(4);
    s.call(A, 0, Operation::Truncate(1));
    assert_eq!((s.history.size.least(), s.history.size.most()), (1, 4), "under way");
    assert_eq!(s.ret(A, Status::NoMemory, 0, &[], &[]), [Flaw::NotDue], "there is memory");
    assert_eq!((s.history.size.least(), s.history.size.most()), (4, 4));
    let lost = [Stamp::initial(0), Stamp::ZERO];
    s.call(A, 1, Operation::Read(Range::new(0, 2)));
    assert_eq!(s.ret(A, Status::Ok, 2, &lost, &[]), [Flaw::Stale]);
    s.call(A, 2, Operation::Truncate(1));
    s.history.met(A, Obstacles { no_memory: true, ..Obstacles::default() });
    assert_eq!(s.ret(A, Status::NoMemory, 0, &[], &[]), []);
    s.call(A, 3, Operation::Read(Range::new(2, 4)));
    assert_eq!(s.ret(A, Status::Ok, 2, &[Stamp::initial(2), Stamp::initial(3)], &[]), []);
}
