//! Runs cases on pairs: the one place where machine, scheduler and judge meet.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use mkwrite_model::case::{Case, Schedule, Stop};
use mkwrite_model::generate::Random;
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::schedule::{self, Order, Recorder, Scheduler, SchedulerKind};
use mkwrite_model::trace::{Lines, TraceHash};
use mkwrite_model::{End, Machine, Observer, Setup, Target};

use crate::differential;
use crate::judge::Judge;

mod document;
mod targets;

pub use document::{caller_label, compared, headline, switched, targets_of};
pub use targets::Targets;

/// Who schedules a run.
#[derive(Clone, Debug)]
pub enum ScheduledBy {
    /// The schedule that the case carries.
    Own,
    /// A random scheduler.
    Random(SchedulerKind, Random),
}

/// A machine with its judge.
pub struct Runner<F: Filesystem> {
    /// Runs cases.
    pub machine: Machine<F>,
    /// The judge of the last run.
    pub judge: Judge,
    /// Whose run every run is compared with, and the machine for it.
    reference: Option<Box<(Target<F>, Runner<F>)>>,
}

impl<F: Filesystem> Default for Runner<F> {
    fn default() -> Self {
        Runner { machine: Machine::default(), judge: Judge::default(), reference: None }
    }
}

/// A run that waits for its scheduler.
struct Prepared<'a, F: Filesystem, O> {
    machine: &'a mut Machine<F>,
    setup: Setup<'a, F>,
    observer: &'a mut O,
}

impl<F: Filesystem, O: Observer<F>> schedule::Run<(End, u32)> for Prepared<'_, F, O> {
    fn run(self, scheduler: &mut impl Scheduler) -> (End, u32) {
        self.machine.run(self.setup, scheduler, self.observer)
    }
}

/// The same, whose schedule is recorded.
struct Recorded<'a, F: Filesystem, O>(Prepared<'a, F, O>, &'a mut Vec<Stop>);

impl<F: Filesystem, O: Observer<F>> schedule::Run<(End, u32)> for Recorded<'_, F, O> {
    fn run(self, scheduler: &mut impl Scheduler) -> (End, u32) {
        let mut recorder = Recorder::new(scheduler);
        let end = catch_unwind(AssertUnwindSafe(|| self.0.run(&mut recorder)));
        *self.1 = recorder.into_stops();
        end.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

/// Turns a panic, which is a broken assertion of the model, into its message.
pub fn caught<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        text.unwrap_or_else(|| "a panic without a message".to_owned())
    })
}

/// Steps that a run of this case may take, for schedulers that want to know. A function of the case
/// alone.
fn expected_length(case: &Case) -> u32 {
    20 + 25 * case.operations().count() as u32
}

fn with<T>(case: &Case, how: ScheduledBy, run: impl schedule::Run<T>) -> T {
    match how {
        ScheduledBy::Own => schedule::with_schedule(&case.schedule, run),
        ScheduledBy::Random(kind, random) => {
            schedule::with(kind, random, expected_length(case), run)
        }
    }
}

/// Runs a case, watched by somebody. Returns how it ended, and the steps.
pub fn observe<F: Filesystem>(
    machine: &mut Machine<F>,
    target: Target<F>,
    case: &Case,
    how: ScheduledBy,
    observer: &mut impl Observer<F>,
) -> (End, u32) {
    with(case, how, Prepared { machine, setup: Setup { case, target }, observer })
}

impl<F: Filesystem> Runner<F> {
    /// Some run reached the bug that was planted there.
    pub fn plant_reached(&self) -> bool {
        self.machine.plant_reached()
    }

    /// From now on every run is compared with one of this target, by the differential rule.
    pub fn compare_with(&mut self, reference: Option<Target<F>>) {
        self.reference = reference.map(|target| Box::new((target, Runner::default())));
    }

    /// Whose run every run is compared with.
    pub fn reference(&self) -> Option<Target<F>> {
        self.reference.as_ref().map(|reference| reference.0)
    }

    /// Compares the run that the judge has just seen with one of the reference.
    pub(crate) fn compare(&mut self, target: Target<F>, case: &Case) {
        let Some(reference) = &mut self.reference else { return };
        let (other, runner) = &mut **reference;
        if *other == target || !differential::is_comparable(case) {
            return;
        }
        runner.run(*other, case, ScheduledBy::Own);
        let theirs = runner.judge.summary();
        if let Some(breach) = self.judge.summary().differs(target.pair, theirs, other.pair) {
            self.judge.add(breach);
        }
    }

    /// Runs a case and judges it.
    pub fn run(&mut self, target: Target<F>, case: &Case, how: ScheduledBy) -> (End, u32) {
        let end = observe(&mut self.machine, target, case, how, &mut self.judge);
        self.compare(target, case);
        end
    }

    /// The same with the schedule of the case, and watched by somebody.
    pub fn watch(&mut self, target: Target<F>, case: &Case, watch: &mut impl Observer<F>) {
        let mut observer = (&mut self.judge, watch);
        observe(&mut self.machine, target, case, ScheduledBy::Own, &mut observer);
        self.compare(target, case);
    }

    /// Runs a case and records the schedule as stops, up to a broken assertion of the model if
    /// there is one.
    pub fn record(&mut self, target: Target<F>, case: &Case, how: ScheduledBy) -> Vec<Stop> {
        let mut stops = Vec::new();
        let setup = Setup { case, target };
        let prepared = Prepared { machine: &mut self.machine, setup, observer: &mut self.judge };
        let _ = caught(|| with(case, how, Recorded(prepared, &mut stops)));
        stops
    }

    /// Runs a case with its own schedule, judged, watched and traced: the lines, and the hash.
    pub fn trace(
        &mut self,
        target: Target<F>,
        case: &Case,
        watch: &mut impl Observer<F>,
    ) -> (Vec<String>, u64) {
        let (mut lines, mut hash) = (Lines::default(), TraceHash::default());
        let mut observer = (&mut (&mut self.judge, watch), &mut (&mut lines, &mut hash));
        observe(&mut self.machine, target, case, ScheduledBy::Own, &mut observer);
        self.compare(target, case);
        (lines.0, hash.0)
    }

    /// Runs a case under this scheduler and judges it.
    pub fn run_scheduled(
        &mut self,
        target: Target<F>,
        case: &Case,
        scheduler: &mut impl Scheduler,
    ) -> (End, u32) {
        let end = self.machine.run(Setup { case, target }, scheduler, &mut self.judge);
        self.compare(target, case);
        end
    }

    /// Runs a case with its own schedule, judged. Returns the stops that were never reached, by
    /// number: those that were passed over, and those that the run ended before.
    pub fn missed_stops(&mut self, target: Target<F>, case: &Case) -> Vec<usize> {
        let missed = follow(&mut self.machine, target, case, &mut self.judge);
        self.compare(target, case);
        missed
    }

    /// The same without a judge, watched by somebody.
    pub fn follow(
        &mut self,
        target: Target<F>,
        case: &Case,
        watch: &mut impl Observer<F>,
    ) -> Vec<usize> {
        follow(&mut self.machine, target, case, watch)
    }

    /// The hash of a run.
    pub fn hash(&mut self, target: Target<F>, case: &Case, how: ScheduledBy) -> u64 {
        let mut hash = TraceHash::default();
        observe(&mut self.machine, target, case, how, &mut hash);
        hash.0
    }
}

/// Runs a case with its own schedule. Returns the stops that were never reached.
fn follow<F: Filesystem>(
    machine: &mut Machine<F>,
    target: Target<F>,
    case: &Case,
    observer: &mut impl Observer<F>,
) -> Vec<usize> {
    let Schedule::Order(stops) = &case.schedule else {
        observe(machine, target, case, ScheduledBy::Own, observer);
        return Vec::new();
    };
    let mut order = Order::new(stops);
    machine.run(Setup { case, target }, &mut order, observer);
    let passed = order.passed();
    let mut missed = order.missed;
    missed.extend((passed..stops.len()).filter(|n| stops[*n].point.is_some()));
    missed
}

/// The case with this schedule by named points.
pub fn with_order(case: &Case, stops: Vec<Stop>) -> Case {
    Case { schedule: Schedule::Order(stops), ..case.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mkwrite_impls::Builtin;
    use mkwrite_model::era::Era;
    use mkwrite_model::generate::Generator;
    use mkwrite_model::implementation::Pair;
    use mkwrite_model::kernel::Kernel;
    use mkwrite_model::kernel::event::Step;
    use mkwrite_model::remedy::Remedy;

    #[test]
    fn a_panic_is_caught_with_its_message() {
        assert_eq!(caught(|| -> u8 { panic!("broken {}", 1) }), Err("broken 1".to_owned()));
        assert_eq!(caught(|| 1), Ok(1));
    }

    #[test]
    fn a_pair_is_read_as_it_is_displayed() {
        for fs in Builtin::all() {
            for pair in Era::CALLERS.iter().filter_map(|caller| Pair::new(*fs, *caller).ok()) {
                assert_eq!(pair.to_string().parse(), Ok(pair));
                assert_eq!(format!("{} x {}", fs.name(), pair.caller.name()).parse(), Ok(pair));
            }
        }
        let error = |text: &str| text.parse::<Pair<Builtin>>().unwrap_err().to_string();
        assert_eq!(error("nfs@3.0 2.6.30"), "`nfs@3.0 2.6.30` is no pair: IMPLEMENTATION x CALLER");
        assert_eq!(
            error("nfs@3.0+unlock x 2.6.30"),
            "`nfs@3.0+unlock x 2.6.30` is no pair: IMPLEMENTATION x CALLER"
        );
        assert_eq!(error("nfs x 2.6.30"), "unknown implementation `nfs`");
        assert_eq!(error("nfs@3.0 x 2"), "unknown caller `2`");
        assert!(
            error("nfs@3.0 x 2.6.29").starts_with("nfs@3.0 does not run under caller 2.6.29: ")
        );
    }

    #[test]
    fn a_headline_has_room_whatever_the_remedies() {
        let pair = Pair::natural(Builtin::by_name("nfs@2.6.29").unwrap());
        let target =
            Target { remedies: Remedy::ALL.iter().copied().collect(), ..Target::from(pair) };
        assert_eq!(headline(target), "nfs@2.6.29 x 2.6.29 remedied");
    }

    #[test]
    fn a_broken_assertion_leaves_the_schedule_so_far() {
        /// Breaks after so many steps.
        struct Breaks(u32);
        impl Observer<Builtin> for Breaks {
            fn step(&mut self, _: &Kernel<Builtin>, _: Step) {
                assert_ne!(self.0, 0, "a broken assertion");
                self.0 -= 1;
            }
        }
        let mut case = Case::default();
        Generator::new(false).generate(1, 1, &mut case);
        let pair = Pair::natural(Builtin::all()[0]);
        let record = |steps| {
            let (mut machine, mut observer, mut stops) =
                (Machine::default(), Breaks(steps), Vec::new());
            let setup = Setup { case: &case, target: Target::from(pair) };
            let prepared = Prepared { machine: &mut machine, setup, observer: &mut observer };
            let end =
                caught(|| schedule::with_schedule(&case.schedule, Recorded(prepared, &mut stops)));
            (end.map(|(_, steps)| steps), stops)
        };
        let (Ok(steps), all) = record(u32::MAX) else { panic!("nothing breaks") };
        let (end, some) = record(steps / 2);
        assert!(end.unwrap_err().contains("a broken assertion"));
        let (last, before) = some.split_last().unwrap();
        assert!(before.len() > 2 && before.len() < all.len() && all.starts_with(before));
        assert_eq!((last.task, last.point), (all[before.len()].task, None));
    }
}
