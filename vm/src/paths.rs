//! Path conformance: by which points one operation of one actor goes, in the model and on a kernel.
//!
//! The same short cases run on both. What the model's actor comes by in the operation that is
//! looked at is its trace; what the thread comes by in the kernel is the log of the probes that the
//! points have there. Points that share a probe count as one, in a row, and a point without a probe
//! is left out, with its reason. Differences are explained by `paths.toml`, or are NEW.
//!
//! Left out: what other tasks do for the operation (completion of I/O, the server), how often a
//! point is passed in a row, and which page it is about.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use anyhow::{Result, anyhow, bail};
use mkwrite_model::case::Case;
use mkwrite_model::exec::TaskId;
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::Kernel;
use mkwrite_model::kernel::event::Step;
use mkwrite_model::point::Point;
use mkwrite_model::text::parse;
use mkwrite_model::{Machine, Observer, Target};
use mkwrite_oracle::run::{ScheduledBy, observe};
use serde::{Deserialize, Serialize};

use crate::filesystems::GuestFilesystem;
use crate::points::{Stop, stop};
use crate::replay::replay;
use crate::session::Session;

/// Operations of actor A; the last one is looked at. The file has a page of two cells, both
/// written, and nothing is cached.
const PATHS: &[(&str, &[&str])] = &[
    ("load, nothing mapped", &["load 0..2"]),
    ("store, nothing mapped", &["store 0..2"]),
    ("store, mapped read-only", &["load 0..2", "store 0..2"]),
    ("store, after writeback", &["store 0..2", "fsync", "store 0..2"]),
    ("store, mapped writable", &["store 0..2", "store 0..2"]),
    ("fsync, page dirty", &["store 0..2", "fsync"]),
    ("fsync, page clean", &["load 0..2", "fsync"]),
    ("writeback", &["store 0..2", "writeback 0..1"]),
    ("sync_range", &["store 0..2", "sync_range 0..1"]),
    ("truncate to 0, page dirty", &["store 0..2", "truncate 0"]),
    ("truncate into the page, dirty", &["store 0..2", "truncate 1"]),
    ("truncate into the page, not cached", &["truncate 1"]),
    ("truncate, the file grows", &["truncate 1", "truncate 2"]),
    ("write, not cached", &["write 0..2"]),
    ("write, page dirty", &["store 0..2", "write 0..1"]),
    ("read, not cached", &["read 0..2"]),
    ("invalidate, page clean", &["read 0..2", "invalidate 0..1"]),
    ("munmap, page dirty", &["store 0..2", "munmap"]),
    ("mmap", &["munmap", "mmap"]),
];

/// A path.
#[derive(Clone, Debug)]
pub struct Path {
    /// In words.
    pub name: &'static str,
    /// One actor.
    pub case: Case,
    /// The operation that is looked at.
    pub slot: u8,
}

/// All of them.
pub fn all() -> Vec<Path> {
    let path = |(name, operations): &(&'static str, &[&str])| {
        let mut text =
            "mkw 1\nfile pages 1 cells 2 blocks 1 size 2 mms 1\nactor A mm 0\n".to_owned();
        for (slot, operation) in operations.iter().enumerate() {
            text.push_str(&format!("A.{slot} {operation}\n"));
        }
        for slot in 0..operations.len() {
            text.push_str(&format!("order A.{slot} *\n"));
        }
        let case = parse(&text).expect("a test reads them").case;
        Path { name, case, slot: operations.len() as u8 - 1 }
    };
    PATHS.iter().map(path).collect()
}

/// Where a trace goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Both come by.
    Both,
    /// The model alone.
    Model,
    /// The kernel alone.
    Kernel,
}

/// One step of two traces that are laid side by side.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Passed {
    /// Who comes by.
    pub side: Side,
    /// The first point of the probe that the model's trace has there, or else the first that has
    /// the probe.
    pub point: &'static str,
    /// Why only one of them comes by.
    pub reason: Option<&'static str>,
}

/// The comparison of one path.
#[derive(Clone, Debug, Serialize)]
pub struct Compared {
    /// The path.
    pub path: &'static str,
    /// The traces, side by side.
    pub steps: Vec<Passed>,
    /// Points of the model's trace that have no place in this kernel, and why.
    pub unplaced: BTreeMap<&'static str, String>,
}

impl Compared {
    /// Something differs that nobody has explained.
    pub fn is_new(&self) -> bool {
        self.steps.iter().any(|step| step.side != Side::Both && step.reason.is_none())
    }
}

/// A reason why a point is in one trace alone.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Reason {
    only: Side,
    points: Vec<String>,
    #[serde(default)]
    families: Vec<String>,
    #[serde(default)]
    paths: Vec<String>,
    reason: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Reasons {
    difference: Vec<Reason>,
}

fn reasons() -> &'static [Reason] {
    static REASONS: LazyLock<Vec<Reason>> = LazyLock::new(|| {
        let reasons: Reasons =
            toml::from_str(include_str!("paths.toml")).expect("a test reads the table");
        reasons.difference
    });
    &REASONS
}

fn reason(family: &str, path: &str, side: Side, point: &str) -> Option<&'static str> {
    let fits = |list: &[String], name: &str| {
        list.is_empty() || list.iter().any(|item| name.starts_with(item.as_str()))
    };
    let found = reasons().iter().find(|reason| {
        reason.only == side
            && reason.points.iter().any(|name| name == point)
            && fits(&reason.families, family)
            && fits(&reason.paths, path)
    });
    found.map(|reason| reason.reason.trim())
}

/// Watches the points of one slot of the first actor.
#[derive(Default)]
struct Watch {
    slot: u8,
    points: Vec<Point>,
}

impl<F: Filesystem> Observer<F> for Watch {
    fn step(&mut self, _: &Kernel<F>, step: Step) {
        if step.task == TaskId(0) && step.slot == self.slot {
            self.points.push(step.point);
        }
    }
}

/// The points that the model's actor comes by.
pub fn model_trace<F: Filesystem>(target: Target<F>, path: &Path) -> Vec<Point> {
    let mut watch = Watch { slot: path.slot, points: Vec::new() };
    observe(&mut Machine::default(), target, &path.case, ScheduledBy::Own, &mut watch);
    watch.points
}

/// The probes that the kernel's thread comes by.
fn kernel_trace(
    session: &mut Session,
    release: &str,
    fs: &GuestFilesystem,
    path: &Path,
) -> Result<Vec<i32>> {
    let run = replay(session, release, fs, &path.case)?;
    if run.is_last || !run.stuck.is_empty() {
        bail!("{}: the actor does not come to its end", path.name);
    }
    let slot = run.said.since.iter().find(|(actor, slot, _)| (*actor, *slot) == (0, path.slot));
    let from = slot.ok_or_else(|| anyhow!("{}: the guest has not run it", path.name))?.2;
    Ok(run.said.passes.get(from..).unwrap_or_default().iter().map(|(_, probe)| *probe).collect())
}

/// Compares one path.
pub fn compare<F: Filesystem>(
    session: &mut Session,
    release: &str,
    fs: &GuestFilesystem,
    target: Target<F>,
    path: &Path,
) -> Result<Compared> {
    let (mut model, mut unplaced) = (Vec::<(i32, &'static str)>::new(), BTreeMap::new());
    let mut times = BTreeMap::<Point, u8>::new();
    for point in model_trace(target, path) {
        let nth = times.entry(point).or_default();
        *nth = nth.saturating_add(1);
        match stop(session, release, &fs.family, point, *nth)? {
            // In user space, where the kernel has no log.
            Ok(Stop::BeforeIt) => {}
            Ok(Stop::Probe(probe, _)) => model.push((probe, point.name())),
            Err(reason) => _ = unplaced.insert(point.name(), reason),
        }
    }
    let names = crate::points::all(session, release, &fs.family)?;
    let passed = kernel_trace(session, release, fs, path)?;
    let name = |probe: &i32| names.get(probe).map(|(point, _)| (*probe, point.name()));
    let kernel: Vec<_> = passed.iter().filter_map(name).collect();
    let mut steps = side_by_side(&once(model), &once(kernel));
    for step in steps.iter_mut().filter(|step| step.side != Side::Both) {
        step.reason = reason(&fs.family, path.name, step.side, step.point);
    }
    Ok(Compared { path: path.name, steps, unplaced })
}

/// Passings of one probe in a row count once.
fn once(mut trace: Vec<(i32, &'static str)>) -> Vec<(i32, &'static str)> {
    trace.dedup_by_key(|(probe, _)| *probe);
    trace
}

/// Two traces with as much in common as can be (a longest common subsequence), the model's first.
fn side_by_side(model: &[(i32, &'static str)], kernel: &[(i32, &'static str)]) -> Vec<Passed> {
    let mut longest = vec![vec![0u16; kernel.len() + 1]; model.len() + 1];
    for m in (0..model.len()).rev() {
        for k in (0..kernel.len()).rev() {
            longest[m][k] = match model[m].0 == kernel[k].0 {
                true => longest[m + 1][k + 1] + 1,
                false => longest[m + 1][k].max(longest[m][k + 1]),
            };
        }
    }
    let (mut m, mut k, mut steps) = (0, 0, Vec::new());
    while m < model.len() || k < kernel.len() {
        let common = m < model.len() && k < kernel.len() && model[m].0 == kernel[k].0;
        let from_model =
            k == kernel.len() || m < model.len() && longest[m + 1][k] >= longest[m][k + 1];
        let (side, point) = match (common, from_model) {
            (true, _) => (Side::Both, model[m].1),
            (false, true) => (Side::Model, model[m].1),
            (false, false) => (Side::Kernel, kernel[k].1),
        };
        m += usize::from(side != Side::Kernel);
        k += usize::from(side != Side::Model);
        steps.push(Passed { side, point, reason: None });
    }
    steps
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filesystems;
    use mkwrite_impls::Builtin;
    use mkwrite_model::implementation::Pair;
    use std::collections::BTreeSet;

    #[test]
    fn every_path_is_a_case_of_one_actor() {
        for path in all() {
            assert_eq!(path.case.actors.len(), 1, "{}", path.name);
            assert_eq!(path.case.actors[0].operations.len(), usize::from(path.slot) + 1);
        }
    }

    #[test]
    fn the_model_goes_the_way_of_the_fault_that_it_is_asked_for() {
        let target = Target::<Builtin>::from(Pair::named("nfs@3.0", "2.6.30").unwrap());
        let trace = |name: &str| {
            let path = all().into_iter().find(|path| path.name == name).unwrap();
            model_trace(target, &path)
        };
        let (miss, wp) = (trace("store, nothing mapped"), trace("store, mapped read-only"));
        assert!(miss.contains(&Point::MissMkwrite) && !miss.contains(&Point::WpMkwrite));
        assert!(wp.contains(&Point::WpMkwrite) && !wp.contains(&Point::MissMkwrite));
        assert_eq!(trace("store, mapped writable"), [Point::OpStart, Point::UserStore]);
    }

    #[test]
    fn traces_are_laid_side_by_side_with_as_much_in_common_as_can_be() {
        let model = [(1, "a"), (2, "b"), (3, "c")];
        let kernel = [(2, "b"), (9, "x"), (3, "c'")];
        let steps = side_by_side(&model, &kernel);
        let shown: Vec<_> = steps.iter().map(|step| (step.side, step.point)).collect();
        let expected =
            [(Side::Model, "a"), (Side::Both, "b"), (Side::Kernel, "x"), (Side::Both, "c")];
        assert_eq!(shown, expected);
        assert_eq!(
            once(vec![(1, "a"), (1, "b"), (2, "c"), (1, "a")]),
            [(1, "a"), (2, "c"), (1, "a")]
        );
    }

    #[test]
    fn reasons_name_points_families_and_paths_that_there_are() {
        let families: BTreeSet<&str> =
            filesystems::all().iter().map(|fs| fs.family.as_str()).collect();
        for one in reasons() {
            assert!(one.only != Side::Both && !one.reason.trim().is_empty());
            assert!(one.points.iter().all(|name| Point::from_name(name).is_some()), "{one:?}");
            assert!(one.families.iter().all(|name| families.contains(name.as_str())), "{one:?}");
            let is_path = |name: &String| PATHS.iter().any(|(path, _)| path.starts_with(name));
            assert!(one.paths.iter().all(is_path), "{one:?}");
        }
    }
}
