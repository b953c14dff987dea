//! The comparison against the kernel that the tests run on: without root on a temporary folder;
//! with root on filesystems in a mount namespace too. And the test of the test: a bug that is
//! planted in the model must show.

use std::path::Path;

use mkwrite_impls::Builtin;
use mkwrite_live::conformance::{Plan, Report, conformance, nearest};
use mkwrite_live::exec::{Place, Solo, filesystem};
use mkwrite_live::hunt::{Hits, Hunter};
use mkwrite_live::kernel::Version;
use mkwrite_live::ledger::{Ledger, OWN, On};
use mkwrite_live::mounts::{Namespace, blocks};
use mkwrite_model::implementation::Filesystem as _;
use mkwrite_model::plant::Plant;

const CASES: u64 = 400;

fn compare(name: &str, place: Place, plant: Option<Plant>) -> Report {
    let (kernel, ledger) = (Version::running().0, Ledger::parse(OWN).unwrap());
    let blocks = place.blocks;
    let mut solo = Solo::new(place).unwrap();
    let target = nearest::<Builtin>((name, blocks), kernel, &mut solo).unwrap();
    let mut target = target.expect("an implementation that is near");
    target.plants = plant.into();
    let remedied = if target.remedies.is_empty() { "" } else { " remedied" };
    let model = format!("{}{remedied}", target.pair.implementation.name());
    let on = On { filesystem: name, model: &model, kernel };
    conformance(Plan { seed: 11, cases: CASES, blocks }, (on, &ledger), target, &mut solo, |_| true)
        .unwrap()
}

fn on_folder(folder: &Path, plant: Option<Plant>) -> Report {
    let (name, store, block) = filesystem(folder).unwrap();
    compare(
        &name,
        Place { folder: folder.to_owned(), blocks: blocks(block), store, full: false },
        plant,
    )
}

fn new(report: &Report) -> Vec<String> {
    report
        .unexplained()
        .map(|found| format!("{}: {:?}", found.difference.key, found.case.actors[0].operations))
        .collect()
}

#[test]
fn this_kernel_does_as_the_model_on_a_temporary_folder() {
    let folder = tempfile::tempdir().unwrap();
    let report = on_folder(folder.path(), None);
    assert_eq!((report.cases, new(&report)), (CASES, vec![]));
    assert!(report.operations > 3 * CASES);
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn a_bug_planted_in_the_model_is_new() {
    let folder = tempfile::tempdir().unwrap();
    for plant in
        [Plant::NoPartialZero, Plant::TruncateSkipsDirty, Plant::ShortExtend, Plant::WrongErrno]
    {
        let report = on_folder(folder.path(), Some(plant));
        assert_ne!(new(&report), [""; 0], "{} is not seen", plant.name());
        for found in report.unexplained() {
            // Five where a page is written, clean, written again, zeroed and stored to: neither one nor
            // two of them can go.
            assert!(
                found.case.operations().count() <= 5,
                "{} is not made small: {:?}",
                plant.name(),
                found.case
            );
        }
    }
}

/// Without other calls in between every fsync can be judged on an image.
fn syncs_are_judged(place: &Place) {
    let text = "mkw 1\nfile pages 2 cells 4 size 8 mms 1\nactor A mm 0\nA.0 store 0..8\nA.1 fsync\n\
                A.2 store 2..3\nA.3 msync\n";
    let mut case = mkwrite_model::text::parse(text).unwrap().case;
    let mut hunter = Hunter::new(place.clone());
    hunter.settle(&mut case);
    let hits = hunter.rounds(&case, 20, |_| false).unwrap();
    assert_eq!((hits, hunter.count.syncs), (Hits::new(), 40));
}

#[test]
fn filesystems_on_loop_devices_are_mounted_compared_and_gone() {
    let mut namespace = match Namespace::enter() {
        Ok(namespace) => namespace,
        Err(error) => return eprintln!("skipped: {error} ({})", error.help),
    };
    let mut points = Vec::new();
    for name in ["tmpfs", "overlay", "ext4", "ext4:1024"] {
        let spec: mkwrite_live::mounts::Spec = name.parse().unwrap();
        let mounted = match namespace.mount(spec) {
            Ok(mounted) => mounted,
            Err(error) => {
                eprintln!("{name} skipped: {error} ({})", error.help);
                continue;
            }
        };
        let report = compare(spec.filesystem(), mounted.place.clone(), None);
        assert_eq!((name, report.cases, new(&report)), (name, CASES, vec![]));
        if spec.filesystem() == "ext4" {
            syncs_are_judged(&mounted.place);
        }
        points.push(mounted.place.folder.clone());
    }
    let mounts = std::fs::read_to_string("/proc/thread-self/mountinfo").unwrap();
    assert!(points.iter().all(|point| !mounts.contains(&point.display().to_string())), "{mounts}");
    let outside = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(!outside.contains("mkwrite-live-"), "{outside}");
}
