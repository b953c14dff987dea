//! Conformance: random cases of one actor on a model and on a kernel. Each difference is made
//! smaller as long as it stays the same, and looked up in the ledger.

use std::collections::BTreeMap;
use std::io;
use std::time::{Duration, Instant};

use mkwrite_model::case::{AMPLE, Actor, Case, Faults, Geometry, Operation, Range};
use mkwrite_model::exec::TaskId;
use mkwrite_model::generate::Generator;
use mkwrite_model::implementation::{Filesystem, Pair};
use mkwrite_model::kernel::event::Step;
use mkwrite_model::kernel::{Event, Kernel};
use mkwrite_model::remedy::Remedy;
use mkwrite_model::{End, Machine, Observer, Target};
use mkwrite_oracle::run::{ScheduledBy, observe};

use crate::compare::{Difference, Key, difference};
use crate::exec::{Call, Run, Solo};
use crate::kernel::Version;
use crate::ledger::{Ledger, On, uses};
use crate::operations::cell_bytes;

/// Watches a model's run of a case of one actor.
#[derive(Default)]
struct Watch {
    run: Run,
    cell_bytes: u64,
}

impl<F: Filesystem> Observer<F> for Watch {
    fn begin(&mut self, _: &Kernel<F>, case: &Case) {
        self.cell_bytes = cell_bytes(case.geometry) as u64;
        self.run =
            Run { calls: vec![Call::default(); case.actors[0].operations.len()], ..Run::default() };
    }

    fn step(&mut self, k: &Kernel<F>, step: Step) {
        if step.task != TaskId(0) || !k.events().any(|event| matches!(event, Event::Return)) {
            return;
        }
        let (outcome, operation) = (k.outcome(step.task), k.state(step.task).operation());
        let is_read = operation.effect().returns().is_some();
        self.run.calls[usize::from(step.slot)] = Call {
            status: outcome.status(),
            errno: 0,
            done: outcome.done(),
            values: (0..if is_read { outcome.done() } else { 0 })
                .map(|n| outcome.value(n))
                .collect(),
            size: u64::from(k.i_size()) * self.cell_bytes,
        };
    }

    fn end(&mut self, k: &Kernel<F>, end: End) {
        self.run.size = u64::from(k.i_size()) * self.cell_bytes;
        self.run.trouble = (end != End::Done).then(|| format!("{end:?}"));
        self.run.seen = (0..k.i_size()).map(|cell| k.fs().durable(k, cell)).collect();
        self.run.stored = Some(self.run.seen.clone());
    }
}

/// A model that cases of one actor run on.
pub struct Model<F: Filesystem> {
    machine: Machine<F>,
    target: Target<F>,
    watch: Watch,
}

impl<F: Filesystem> Model<F> {
    /// This one.
    pub fn new(target: Target<F>) -> Model<F> {
        Model { machine: Machine::default(), target, watch: Watch::default() }
    }

    /// Runs the first actor of a case.
    pub fn run(&mut self, case: &Case) -> Run {
        observe(&mut self.machine, self.target, case, ScheduledBy::Own, &mut self.watch);
        std::mem::take(&mut self.watch.run)
    }
}

/// What kernels of today do to the page that holds the end of a file when it grows.
const ZEROES_TAIL: &[Remedy] = &[Remedy::IsizeExtended, Remedy::ZeroTail];
/// What they did before 6.12.
const KEEPS_TAIL: &[Remedy] = &[Remedy::IsizeExtended];

/// Implementations with remedies that filesystems of today are compared with.
const TODAY: [(&str, &[Remedy]); 3] =
    [("tmpfs@6.12", &[]), ("filemap@6.12", ZEROES_TAIL), ("filemap@6.12", KEEPS_TAIL)];

fn candidate<F: Filesystem>((name, remedies): (&str, &[Remedy])) -> Option<Target<F>> {
    let target = Target::from(Pair::natural(F::by_name(name)?));
    Some(Target { remedies: remedies.iter().copied().collect(), ..target })
}

/// The implementation that comes nearest to a filesystem of this kernel, with the remedies that the
/// kernel has. A filesystem that is not known, and an overlay, which may lie over anything, is
/// asked by a few cases. None if the registry does not have it.
pub fn nearest<F: Filesystem>(
    (filesystem, blocks): (&str, u8),
    kernel: Version,
    solo: &mut Solo,
) -> io::Result<Option<Target<F>>> {
    let [tmpfs, zeroes_tail, _] = TODAY;
    let known = match filesystem {
        "tmpfs" => tmpfs,
        "ext4" if kernel >= Version(6, 12) => ("ext4@6.12", ZEROES_TAIL),
        "ext4" => ("ext4@6.1", KEEPS_TAIL),
        "xfs" => ("xfs@6.12", ZEROES_TAIL),
        "btrfs" => zeroes_tail,
        "nfs" if kernel >= Version(6, 18) => ("nfs@6.12", &[Remedy::NfsLastPage] as &[_]),
        "nfs" => ("nfs@6.12", &[] as &[_]),
        "fuse" if kernel >= Version(6, 17) => ("fuse@6.18", &[] as &[_]),
        "fuse" => ("fuse@6.12", &[] as &[_]),
        "fuse-writeback" if kernel >= Version(6, 17) => ("fuse-writeback@6.18", &[] as &[_]),
        "fuse-writeback" => ("fuse-writeback@6.12", &[] as &[_]),
        _ => return probe(blocks, solo),
    };
    Ok(candidate(known))
}

/// The first of today's implementations that agrees about bytes stored past the end: at an
/// extension, and after writeback.
fn probe<F: Filesystem>(blocks: u8, solo: &mut Solo) -> io::Result<Option<Target<F>>> {
    let (store, grow) = (Operation::Store(Range::new(1, 2)), Operation::Truncate(4));
    let programs = [vec![store, grow], vec![store, Operation::Fsync, grow]];
    'candidates: for target in TODAY.into_iter().filter_map(candidate) {
        let mut model = Model::new(target);
        for operations in programs.clone() {
            let geometry = Geometry { size: 1, ..Geometry::default() };
            let mut case =
                Case { geometry, actors: vec![Actor { mm: 0, operations }], ..Case::default() };
            settle(&mut case, blocks);
            if difference(&case, &model.run(&case), &solo.run(&case)?).is_some() {
                continue 'candidates;
            }
        }
        return Ok(Some(target));
    }
    Ok(None)
}

/// What a comparison runs.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The seed of the cases.
    pub seed: u64,
    /// How many.
    pub cases: u64,
    /// Blocks per page of the filesystem.
    pub blocks: u8,
}

/// Differences with the same key, whose smallest cases use the same operations.
#[derive(Clone, Debug)]
pub struct Found {
    /// What differs.
    pub difference: Difference,
    /// The smallest case that shows it.
    pub case: Case,
    /// The number of the case that it came from.
    pub index: u64,
    /// Cases that came down to it.
    pub hits: u64,
    /// The entry that explains it; without one it is NEW.
    pub entry: Option<String>,
}

/// What a comparison found.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Cases that ran.
    pub cases: u64,
    /// Their operations.
    pub operations: u64,
    /// Cases that differ.
    pub differing: u64,
    /// Time in the kernel's runs.
    pub time: Duration,
    /// The differences, those that are NEW first.
    pub found: Vec<Found>,
}

impl Report {
    /// The differences that nothing explains.
    pub fn unexplained(&self) -> impl Iterator<Item = &Found> {
        self.found.iter().filter(|found| found.entry.is_none())
    }
}

/// Puts a case into the form that is compared: one actor, ample space, no faults, the filesystem's
/// blocks.
fn settle(case: &mut Case, blocks: u8) {
    case.actors.truncate(1);
    (case.geometry.mms, case.geometry.free, case.faults) = (1, AMPLE, Faults::default());
    case.geometry.settle_for_kernel(blocks);
    case.fix_up();
}

/// Compares random cases. `goes_on` is asked after each, with the number of cases so far.
pub fn conformance<F: Filesystem>(
    plan: Plan,
    (on, ledger): (On<'_>, &Ledger),
    target: Target<F>,
    solo: &mut Solo,
    mut goes_on: impl FnMut(u64) -> bool,
) -> io::Result<Report> {
    let (mut model, mut report, mut case) =
        (Model::new(target), Report::default(), Case::default());
    let mut found: BTreeMap<(Key, Vec<&'static str>), Found> = BTreeMap::new();
    for index in 0.. {
        if report.cases == plan.cases || !goes_on(report.cases) {
            break;
        }
        Generator::new(false).generate(plan.seed, index, &mut case);
        settle(&mut case, plan.blocks);
        // The actors of a crowd have short programs, which are all alike.
        if index % 8 != 0 && case.actors[0].operations.len() < 3 {
            continue;
        }
        let begin = Instant::now();
        let real = solo.run(&case)?;
        report.time += begin.elapsed();
        report.cases += 1;
        report.operations += case.operations().count() as u64;
        let Some(first) = difference(&case, &model.run(&case), &real) else { continue };
        report.differing += 1;
        let (case, difference) = smallest(case.clone(), first, plan.blocks, &mut |case| {
            Ok(difference(case, &model.run(case), &solo.run(case)?))
        })?;
        let key = (difference.key.clone(), uses(&case).into_iter().collect());
        let entry = || ledger.explains(on, &difference.key, &case).map(|entry| entry.name.clone());
        let new = || Found {
            entry: entry(),
            difference: difference.clone(),
            case: case.clone(),
            index,
            hits: 0,
        };
        found.entry(key).or_insert_with(new).hits += 1;
    }
    report.found = found.into_values().collect();
    report.found.sort_by_key(|found| (found.entry.is_some(), std::cmp::Reverse(found.hits)));
    Ok(report)
}

/// Makes a case smaller as long as its first difference has the same key, until no single step
/// does.
fn smallest(
    mut case: Case,
    mut shown: Difference,
    blocks: u8,
    differs: &mut impl FnMut(&Case) -> io::Result<Option<Difference>>,
) -> io::Result<(Case, Difference)> {
    'smaller: loop {
        for mut candidate in steps(&case) {
            settle(&mut candidate, blocks);
            if candidate == case {
                continue;
            }
            if let Some(difference) =
                differs(&candidate)?.filter(|difference| difference.key == shown.key)
            {
                (case, shown) = (candidate, difference);
                continue 'smaller;
            }
        }
        return Ok((case, shown));
    }
}

/// All cases that are one step smaller: without an operation, in a simpler file, with a shorter
/// range.
fn steps(case: &Case) -> Vec<Case> {
    let mut all = Vec::new();
    let mut step = |change: &mut dyn FnMut(&mut Case)| {
        let mut smaller = case.clone();
        change(&mut smaller);
        all.push(smaller);
    };
    let operations = &case.actors[0].operations;
    for slot in 0..operations.len() {
        step(&mut |case| _ = case.actors[0].operations.remove(slot));
    }
    if case.geometry.holes != 0 {
        step(&mut |case| case.geometry.holes = 0);
    }
    if case.geometry.pages > 1 {
        step(&mut |case| case.geometry.pages -= 1);
    }
    if case.geometry.cells > 1 {
        step(&mut |case| case.geometry.cells /= 2);
    }
    for (slot, operation) in operations.iter().enumerate() {
        let range = operation.range();
        if range.end > range.start + 1 {
            for shorter in
                [Range::new(range.start, range.end - 1), Range::new(range.start + 1, range.end)]
            {
                let mut operands = operation.operands();
                operands[0] = shorter;
                let code = operation.kind().code;
                let operation =
                    Operation::from_code(code, operands).expect("the code is an operation's");
                step(&mut |case| case.actors[0].operations[slot] = operation);
            }
        }
    }
    all
}
