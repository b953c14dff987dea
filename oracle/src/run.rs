//! Runs cases on pairs: the one place where machine, scheduler and judge meet.

use std::cmp::Reverse;
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};

use mkwrite_impls::Builtin;
use mkwrite_model::callers::Caller;
use mkwrite_model::case::{Case, Schedule, Stop};
use mkwrite_model::exec::TaskId;
use mkwrite_model::generate::Random;
use mkwrite_model::implementation::{Implementation, Pair, Registry};
use mkwrite_model::schedule::{self, Kind, Order, Picks, Recorder, Scheduler};
use mkwrite_model::text::Document;
use mkwrite_model::trace::{Lines, TraceHash};
use mkwrite_model::{End, Machine, Observer, Setup};

use crate::differential;
use crate::feedback::{Feedback, Watched};
use crate::judge::{Breach, Judge};
use crate::ledger::{Expected, Ledger};
use crate::timeline::Timeline;

/// What a case runs on.
pub type Target = mkwrite_model::Target<Builtin>;

/// The caller of a target in reports, and whether remedies are on there.
pub fn caller_label(target: Target) -> String {
    format!("{}{}", target.pair.caller.name(), remedied_label(target))
}

/// A target in a headline, which has no room for the names of the remedies.
pub fn headline(target: Target) -> String {
    let planted = target.plant.map_or(String::new(), |plant| format!(" planted {}", plant.name()));
    format!("{}{}{planted}", target.pair, remedied_label(target))
}

fn remedied_label(target: Target) -> &'static str {
    if target.remedies.is_empty() { "" } else { " remedied" }
}

/// What a document runs on: the pairs that it names, with the bug and the remedies that it names.
pub fn targets_of(document: &Document) -> Result<Vec<Target>, String> {
    let target = |(fs, caller): &(String, String)| {
        let fs = Builtin::by_name(fs).ok_or_else(|| format!("unknown implementation `{fs}`"))?;
        let caller = Caller::from_name(caller).ok_or_else(|| format!("unknown caller `{caller}`"))?;
        let pair = Pair::new(fs, caller).map_err(|refused| refused.to_string())?;
        Ok(switched(document, pair))
    };
    document.runs.iter().map(target).collect()
}

/// A pair with the bug and the remedies that a document names.
pub fn switched(document: &Document, pair: Pair<Builtin>) -> Target {
    Target { pair, plant: document.plant, remedies: document.remedies }
}

/// Who schedules a run.
#[derive(Clone, Debug)]
pub enum How {
    /// The schedule that the case carries.
    Own,
    /// A random scheduler.
    Random(Kind, Random),
}

/// A machine with its judge.
#[derive(Default)]
pub struct Runner {
    machine: Machine<Builtin>,
    /// The judge of the last run.
    pub judge: Judge,
}

struct Go<'a, O> {
    machine: &'a mut Machine<Builtin>,
    setup: Setup<'a, Builtin>,
    observer: &'a mut O,
}

impl<O: Observer<Builtin>> schedule::Run<(End, u32)> for Go<'_, O> {
    fn run(self, scheduler: &mut impl Scheduler) -> (End, u32) {
        self.machine.run(self.setup, scheduler, self.observer)
    }
}

struct GoRecording<'a, O>(Go<'a, O>, &'a mut Vec<Stop>);

impl<O: Observer<Builtin>> schedule::Run<(End, u32)> for GoRecording<'_, O> {
    fn run(self, scheduler: &mut impl Scheduler) -> (End, u32) {
        let mut recorder = Recorder::new(scheduler);
        let end = catch_unwind(AssertUnwindSafe(|| self.0.run(&mut recorder)));
        *self.1 = recorder.into_stops();
        end.unwrap_or_else(|panic| resume_unwind(panic))
    }
}

/// Turns a panic, which is a broken assertion of the model, into its message.
pub(crate) fn caught<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        text.unwrap_or_else(|| "a panic without a message".to_owned())
    })
}

/// Steps that a run of this case may take, for schedulers that want to know. A function of the case alone.
fn expected_length(case: &Case) -> u32 {
    20 + 25 * case.operations().count() as u32
}

fn with<T>(case: &Case, how: How, run: impl schedule::Run<T>) -> T {
    match how {
        How::Own => schedule::with_schedule(&case.schedule, run),
        How::Random(kind, random) => schedule::with(kind, random, expected_length(case), run),
    }
}

impl Runner {
    /// A runner whose judge lacks one rule.
    pub fn with_judge(judge: Judge) -> Runner {
        Runner { judge, ..Runner::default() }
    }

    /// Some run came by the bug that was planted there.
    pub fn plant_reached(&self) -> bool {
        self.machine.plant_reached()
    }

    /// Runs a case and judges it.
    pub fn run(&mut self, target: Target, case: &Case, how: How) -> (End, u32) {
        let setup = Setup { case, target };
        with(case, how, Go { machine: &mut self.machine, setup, observer: &mut self.judge })
    }

    /// The same, and collects the features of the run.
    pub fn run_watched(
        &mut self,
        target: Target,
        case: &Case,
        how: How,
        number: usize,
        feedback: &mut Feedback,
    ) -> u32 {
        let setup = Setup { case, target };
        let mut observer = Watched::new(&mut self.judge, feedback, number);
        with(case, how, Go { machine: &mut self.machine, setup, observer: &mut observer }).1
    }

    /// Runs a case and records the schedule as stops, up to a broken assertion of the model if there is one.
    pub fn record(&mut self, target: Target, case: &Case, how: How) -> Vec<Stop> {
        let setup = Setup { case, target };
        let mut stops = Vec::new();
        let go = Go { machine: &mut self.machine, setup, observer: &mut self.judge };
        let _ = caught(|| with(case, how, GoRecording(go, &mut stops)));
        stops
    }

    /// Runs a case with its own schedule, judged, watched and traced: the lines, and the hash.
    pub fn trace(&mut self, target: Target, case: &Case, watch: &mut impl Observer<Builtin>) -> (Vec<String>, u64) {
        let setup = Setup { case, target };
        let (mut lines, mut hash) = (Lines::default(), TraceHash::default());
        let mut observer = (&mut (&mut self.judge, watch), &mut (&mut lines, &mut hash));
        schedule::with_schedule(&case.schedule, Go { machine: &mut self.machine, setup, observer: &mut observer });
        (lines.0, hash.0)
    }

    /// Runs a case under this scheduler and judges it.
    pub fn run_scheduled(&mut self, target: Target, case: &Case, scheduler: &mut impl Scheduler) -> (End, u32) {
        let setup = Setup { case, target };
        self.machine.run(setup, scheduler, &mut self.judge)
    }

    /// Runs a case with its own schedule, judged. Returns the stops that were never reached, by number: those that
    /// were passed over, and those that the run ended before.
    pub fn missed_stops(&mut self, target: Target, case: &Case) -> Vec<usize> {
        let Schedule::Order(stops) = &case.schedule else { return Vec::new() };
        let mut order = Order::new(stops);
        self.run_scheduled(target, case, &mut order);
        let passed = order.passed();
        let mut missed = order.missed;
        missed.extend((passed..stops.len()).filter(|n| stops[*n].point.is_some()));
        missed
    }

    /// Runs a case with its own schedule, judged: every step as data.
    pub fn watch(&mut self, target: Target, case: &Case) -> Timeline {
        let setup = Setup { case, target };
        let mut timeline = Timeline::default();
        let mut observer = (&mut self.judge, &mut timeline);
        schedule::with_schedule(&case.schedule, Go { machine: &mut self.machine, setup, observer: &mut observer });
        timeline
    }

    /// The same with these picks.
    pub fn watch_picks(&mut self, target: Target, case: &Case, picks: &[TaskId]) -> Timeline {
        let setup = Setup { case, target };
        let mut timeline = Timeline::default();
        let mut observer = (&mut self.judge, &mut timeline);
        self.machine.run(setup, &mut Picks::new(picks), &mut observer);
        timeline
    }

    /// The hash of a run.
    pub fn hash(&mut self, target: Target, case: &Case, how: How) -> u64 {
        let setup = Setup { case, target };
        let mut hash = TraceHash::default();
        with(case, how, Go { machine: &mut self.machine, setup, observer: &mut hash });
        hash.0
    }

    /// Runs a case, watched by somebody else than the judge. Returns the steps.
    pub fn observe(&mut self, target: Target, case: &Case, how: How, observer: &mut impl Observer<Builtin>) -> u32 {
        let setup = Setup { case, target };
        with(case, how, Go { machine: &mut self.machine, setup, observer }).1
    }

    /// Steps of a run without a judge.
    pub fn run_unjudged(&mut self, target: Target, case: &Case, how: How) -> u32 {
        let setup = Setup { case, target };
        with(case, how, Go { machine: &mut self.machine, setup, observer: &mut () }).1
    }
}

/// Machines with their judges, one per target, for cases that run on all of them.
pub struct Targets<'a> {
    runners: Vec<(Target, Runner)>,
    ledger: &'a Ledger,
}

impl<'a> Targets<'a> {
    /// One machine per target; the ledger says what is expected there.
    pub fn new(targets: &[Target], ledger: &'a Ledger) -> Targets<'a> {
        Targets { runners: targets.iter().map(|target| (*target, Runner::default())).collect(), ledger }
    }

    /// The machines, in the order of the targets.
    pub fn runners(&self) -> impl ExactSizeIterator<Item = &Runner> {
        self.runners.iter().map(|(_, runner)| runner)
    }

    /// Runs a case on every target and compares the outcomes; collects features if somebody wants them, as of
    /// target number `first` and those behind it. Shows each breach with the number of its target; returns the steps.
    pub fn run(
        &mut self,
        case: &Case,
        how: How,
        first: usize,
        mut feedback: Option<&mut Feedback>,
        mut breached: impl FnMut(usize, Breach, Expected),
    ) -> u64 {
        let mut steps = 0;
        for (number, (target, runner)) in self.runners.iter_mut().enumerate() {
            steps += u64::from(match &mut feedback {
                Some(feedback) => runner.run_watched(*target, case, how.clone(), first + number, feedback),
                None => runner.run(*target, case, how.clone()).1,
            });
            if !runner.judge.is_clean() {
                let mut classifier = self.ledger.classify(*target);
                for breach in runner.judge.breaches() {
                    breached(number, breach, classifier.next(&breach));
                }
            }
        }
        if differential::is_comparable(case) {
            self.compare(breached);
        }
        steps
    }

    /// The differential rule: each run against the one that goes furthest without a breach, if possible one without a
    /// plant, and of those one that may not differ in anything.
    fn compare(&self, mut breached: impl FnMut(usize, Breach, Expected)) {
        let until = |runner: &Runner| runner.judge.summary().comparable_until();
        let runs = self.runners.iter().filter(|(_, runner)| until(runner).is_some());
        let freedom = |target: &Target| target.pair.implementation.declaration().may_differ.len();
        let rank = |(t, runner): &&(Target, Runner)| (t.plant.is_some(), Reverse(until(runner)), freedom(t));
        let Some((reference, theirs)) = runs.min_by_key(rank) else { return };
        for (number, (target, runner)) in self.runners.iter().enumerate() {
            let (own, theirs) = (runner.judge.summary(), theirs.judge.summary());
            if let Some(breach) = own.differs(target.pair, theirs, reference.pair) {
                breached(number, breach, Expected::No);
            }
        }
    }

    /// Whether the case gives the same trace twice, on every target.
    pub fn repeats(&mut self, case: &Case, how: How) -> bool {
        self.runners
            .iter_mut()
            .all(|(target, runner)| runner.hash(*target, case, how.clone()) == runner.hash(*target, case, how.clone()))
    }
}

/// The case with this schedule by named points.
pub fn with_order(case: &Case, stops: Vec<Stop>) -> Case {
    Case { schedule: Schedule::Order(stops), ..case.clone() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mkwrite_model::generate::Generator;
    use mkwrite_model::kernel::Kernel;
    use mkwrite_model::kernel::event::Step;

    #[test]
    fn a_panic_is_caught_with_its_message() {
        assert_eq!(caught(|| -> u8 { panic!("broken {}", 1) }), Err("broken 1".to_owned()));
        assert_eq!(caught(|| 1), Ok(1));
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
            let (mut machine, mut observer, mut stops) = (Machine::default(), Breaks(steps), Vec::new());
            let setup = Setup { case: &case, target: Target::from(pair) };
            let go = Go { machine: &mut machine, setup, observer: &mut observer };
            let end = caught(|| schedule::with_schedule(&case.schedule, GoRecording(go, &mut stops)));
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
