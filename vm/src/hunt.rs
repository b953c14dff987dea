//! Hunting by stops: programs of the model's generator on a real kernel, by schedules that the guest
//! draws over the named points while it runs them (`live/kernel/steer.c`), each run judged here.
//!
//! The guest is never waited for: the next programs lie in its terminal before it has done the one
//! before, and the judge works beside it. What breaks is run again by the orders that the guest
//! drew, for a hit rate; made smaller as long as it shows; and run without a schedule, to know
//! whether it needs one. A finding is a case with `order` lines, as `mkwrite vm FILE --replay` runs
//! it.
//!
//! Left out: `io` lines, injected faults, a full disk, actors beyond three, and the shrinking of
//! what kills the guest.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use anyhow::Result;
use mkwrite_live::judge::Broken;
use mkwrite_model::case::{AMPLE, Case, Faults, Operation, Schedule, Stop};
use mkwrite_model::exec::TaskId;
use mkwrite_model::generate::Generator;
use mkwrite_model::point::Point;
use mkwrite_oracle::history::History;

use crate::console::{Answer, Said};
use crate::filesystems::GuestFilesystem;
use crate::guest::{Dead, Failed};
use crate::judge::judge;
use crate::points;
use crate::replay::{lines, orders, requests};
use crate::session::Session;

/// Requests that the guest has before it: what its terminal holds.
const AHEAD: usize = 3;
/// Schedules of each program.
const SCHEDULES: u32 = 4;
/// Actors, and operations of each: what a schedule of a few stops can reach.
const ACTORS: usize = 3;
const OPERATIONS: usize = 3;
/// Runs by which a hit rate is measured, and by which a smaller case must show it.
const RATE_RUNS: u32 = 8;
const SMALLER_RUNS: u32 = 2;
/// Smaller cases that are tried.
const SMALLER_MOST: u32 = 100;
/// Findings of one kind that are made smaller; the others are counted.
const EXAMINED: u64 = 6;
/// A program's runs.
const LIMIT: Duration = Duration::from_secs(180);

/// What a hunt does.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    /// The seed of programs and schedules.
    pub seed: u64,
    /// File sizes are multiples of a page.
    pub aligned: bool,
}

/// What a hunt has done.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Count {
    /// Programs that were drawn.
    pub programs: u64,
    /// Schedules that were drawn and run.
    pub schedules: u64,
    /// Of these, runs that broke something.
    pub failing: u64,
    /// Orders of the schedules.
    pub orders: u64,
    /// Orders that stopped at a point.
    pub stops: u64,
    /// The time in which schedules were drawn, without that for what they found.
    pub time: Duration,
    /// Boots after the first.
    pub reboots: u64,
}

/// Hits, of so many runs.
pub type Rate = (u32, u32);

/// Something that a kernel did.
#[derive(Clone, Debug)]
pub struct Found {
    /// What it breaks.
    pub broken: Broken,
    /// Where, in the last run that broke it.
    pub detail: String,
    /// The smallest case, with its orders.
    pub case: Case,
    /// How often it breaks this by its orders; (0, 0) if that was not tried.
    pub rate: Rate,
    /// And without them.
    pub unscheduled: Rate,
    /// Schedules, and time, until it was first found.
    pub after: (u64, Duration),
    /// Findings with the same cause.
    pub count: u64,
    /// The kernel's log, if it says something of it.
    pub log: Vec<String>,
}

impl Found {
    /// What it takes to make two findings one: what breaks, by which operations, and at which
    /// points somebody stands.
    fn cause(&self) -> (Broken, Vec<&'static str>, BTreeSet<Option<Point>>) {
        let mut kinds: Vec<_> =
            self.case.operations().map(|(.., operation)| operation.kind().name).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let points = self.case.schedule.stops().iter().map(|stop| stop.point).collect();
        (self.broken.clone(), kinds, points)
    }
}

/// A run that broke something.
struct Suspect {
    case: Case,
    broken: Vec<(Broken, String)>,
    after: (u64, Duration),
}

/// Hunts on one filesystem of a guest.
pub struct Hunter<'a> {
    boot: &'a dyn Fn() -> Result<Session>,
    session: Session,
    release: &'a str,
    fs: &'a GuestFilesystem,
    names: BTreeMap<i32, (Point, u8)>,
    history: History,
    plan: Plan,
    next: u64,
    seen: BTreeMap<Broken, u64>,
    /// What it did so far.
    pub count: Count,
    /// What it found so far.
    pub found: Vec<Found>,
}

/// The program of this number, if it is one for a hunt by stops: few operations, and more than one
/// actor.
pub fn program(plan: Plan, index: u64, fs: &GuestFilesystem) -> Option<Case> {
    let mut case = Case::default();
    Generator::new(plan.aligned).generate(plan.seed, index, &mut case);
    (case.geometry.free, case.faults) = (AMPLE, Faults::default());
    case.schedule = Schedule::default();
    case.actors.truncate(ACTORS);
    for actor in &mut case.actors {
        actor.operations.truncate(OPERATIONS);
    }
    settle(&mut case, fs);
    (case.actors.len() > 1).then_some(case)
}

/// Puts a case into the form that is run: actors that do something, and the filesystem's blocks.
fn settle(case: &mut Case, fs: &GuestFilesystem) {
    for actor in &mut case.actors {
        actor.operations.retain(|operation| *operation != Operation::Empty);
    }
    case.actors.retain(|actor| !actor.operations.is_empty());
    case.geometry.settle_for_kernel(fs.blocks);
    case.fix_up();
}

/// A case without one of its operations, and without the orders of it.
fn without(case: &Case, task: TaskId, slot: u8) -> Case {
    let mut smaller = case.clone();
    smaller.actors[task.index()].operations.remove(slot.into());
    if let Schedule::Order(stops) = &mut smaller.schedule {
        stops.retain(|stop| (stop.task, stop.slot) != (task, slot));
        for stop in stops.iter_mut().filter(|stop| stop.task == task && stop.slot > slot) {
            stop.slot -= 1;
        }
        if smaller.actors[task.index()].operations.is_empty() {
            for stop in stops.iter_mut().filter(|stop| stop.task.0 > task.0) {
                stop.task.0 -= 1;
            }
        }
    }
    smaller.actors.retain(|actor| !actor.operations.is_empty());
    smaller
}

/// A case without one line of its schedule.
fn without_order(case: &Case, nth: usize) -> Case {
    let mut smaller = case.clone();
    if let Schedule::Order(stops) = &mut smaller.schedule {
        stops.remove(nth);
    }
    smaller
}

/// The orders that a guest drew, as lines of a schedule.
pub fn schedule(names: &BTreeMap<i32, (Point, u8)>, drawn: &[(u8, u8, i32, u32)]) -> Schedule {
    let stops = drawn.iter().map(|&(actor, slot, probe, count)| {
        let named = names.get(&probe);
        Stop {
            task: TaskId(actor),
            slot,
            point: named.map(|(point, _)| *point),
            occurrence: named
                .map_or(1, |(_, more)| u8::try_from(count).unwrap_or(u8::MAX - 1) + more),
        }
    });
    Schedule::Order(stops.collect())
}

impl<'a> Hunter<'a> {
    /// On a filesystem of the guest that `boot` boots.
    pub fn new(
        boot: &'a dyn Fn() -> Result<Session>,
        release: &'a str,
        fs: &'a GuestFilesystem,
        plan: Plan,
    ) -> Result<Hunter<'a>> {
        let mut session = boot()?;
        let names = points::all(&mut session, release, &fs.family)?;
        Ok(Hunter {
            boot,
            session,
            release,
            fs,
            names,
            history: History::default(),
            plan,
            next: 0,
            seen: BTreeMap::new(),
            count: Count::default(),
            found: Vec::new(),
        })
    }

    /// The points that have a probe.
    pub fn points(&self) -> usize {
        self.names.len()
    }

    fn reboot(&mut self) -> Result<()> {
        self.count.reboots += 1;
        self.session = (self.boot)()?;
        self.names = points::all(&mut self.session, self.release, &self.fs.family)?;
        Ok(())
    }

    /// Hunts as long as `goes_on`, which is asked before each program.
    pub fn hunt(&mut self, mut goes_on: impl FnMut(&Self) -> bool) -> Result<()> {
        while goes_on(self) {
            match self.sweep(&mut goes_on) {
                Ok(suspects) => {
                    for suspect in suspects {
                        self.examine(suspect)?;
                    }
                }
                Err((case, error)) => self.survive(case, &error)?,
            }
        }
        Ok(())
    }

    /// Runs programs until something breaks; those that are on their way are run too. An error
    /// comes with the program during which it happened.
    fn sweep(
        &mut self,
        goes_on: &mut impl FnMut(&Self) -> bool,
    ) -> Result<Vec<Suspect>, (Option<Case>, anyhow::Error)> {
        let (begin, before) = (Instant::now(), self.count.time);
        let (mut ahead, mut suspects) = (VecDeque::<Case>::new(), Vec::new());
        self.session.guest.begin_run();
        loop {
            while ahead.len() < AHEAD && suspects.is_empty() && goes_on(self) {
                self.next += 1;
                let Some(case) = program(self.plan, self.next, self.fs) else { continue };
                self.send(&case, SCHEDULES, self.plan.seed << 32 | self.next)
                    .map_err(|error| (None, error))?;
                ahead.push_back(case);
            }
            let Some(case) = ahead.front() else { break };
            let (answers, status) =
                self.session.guest.collect(LIMIT).map_err(|error| (Some(case.clone()), error))?;
            let case = ahead.pop_front().unwrap_or_default();
            self.count.time = before + begin.elapsed();
            let (runs, said): (Vec<_>, Vec<_>) =
                answers.into_iter().partition(|answer| matches!(answer, Answer::Run(_)));
            suspects.extend(self.take(&case, runs));
            if let Some(line) = self.session.findings_of_run().first() {
                return Err((Some(case), anyhow::anyhow!(line.clone())));
            }
            if status != 0 {
                return Err((Some(case), Failed::new(status, &said).into()));
            }
            self.session.guest.begin_run();
        }
        Ok(suspects)
    }

    fn send(&mut self, case: &Case, count: u32, seed: u64) -> Result<()> {
        let mut all = requests(self.fs, case, self.fs.hunt_blocked_ms);
        all.push(format!("tries {count} {seed}"));
        // A program is one line of the terminal.
        for line in lines(all) {
            self.session.guest.send(&line)?;
        }
        Ok(())
    }

    /// Judges what the runs of a program gave.
    fn take(&mut self, case: &Case, answers: Vec<Answer>) -> Vec<Suspect> {
        self.count.programs += 1;
        let mut suspects = Vec::new();
        for answer in answers {
            let Answer::Run(said) = answer else { continue };
            self.count.schedules += 1;
            self.count.orders += said.orders.len() as u64;
            self.count.stops += said.orders.iter().filter(|order| order.2 >= 0).count() as u64;
            let broken = judge(&mut self.history, case, &said);
            if broken.is_empty() {
                continue;
            }
            self.count.failing += 1;
            let schedule = schedule(&self.names, &said.orders);
            let case = Case { schedule, ..case.clone() };
            let after = (self.count.schedules, self.count.time);
            suspects.push(Suspect { case, broken, after });
        }
        suspects
    }

    /// Runs a case by its orders; what each run gave.
    fn runs(&mut self, case: &Case, count: u32) -> Result<Vec<Said>> {
        self.session.guest.begin_run();
        let mut all = requests(self.fs, case, self.fs.hunt_blocked_ms);
        all.extend(orders(&mut self.session, self.release, self.fs, case)?.0);
        all.push(format!("tries {count} 0"));
        let mut said = Vec::new();
        for line in lines(all) {
            let answers = self.session.guest.expect(&line, LIMIT)?;
            said.extend(answers.into_iter().filter_map(|answer| match answer {
                Answer::Run(said) => Some(said),
                _ => None,
            }));
        }
        Ok(said)
    }

    /// How often a case breaks this, and where.
    fn rate(&mut self, case: &Case, broken: &Broken, count: u32) -> Result<(Rate, Option<String>)> {
        let (mut hits, mut detail) = (0, None);
        for said in self.runs(case, count)? {
            let flaws = judge(&mut self.history, case, &said);
            if let Some((_, text)) = flaws.into_iter().find(|(other, _)| other == broken) {
                hits += 1;
                detail = Some(text);
            }
        }
        Ok(((hits, count), detail))
    }

    /// Runs what broke again, makes it smaller, and files it under its cause.
    fn examine(&mut self, suspect: Suspect) -> Result<()> {
        let Some((broken, detail)) = suspect.broken.into_iter().next() else { return Ok(()) };
        let times = self.seen.entry(broken.clone()).or_default();
        *times += 1;
        // Those that come again and again are looked at ever more rarely.
        if *times > EXAMINED && !times.is_power_of_two() {
            return Ok(());
        }
        let found = Found {
            broken,
            detail,
            case: suspect.case,
            rate: (0, 0),
            unscheduled: (0, 0),
            after: suspect.after,
            count: 1,
            log: Vec::new(),
        };
        match self.shrunk(found.clone()) {
            Ok(found) => self.file(found),
            Err(error) => {
                let case = found.case.clone();
                self.file(found);
                self.survive(Some(case), &error)?;
            }
        }
        Ok(())
    }

    fn shrunk(&mut self, mut found: Found) -> Result<Found> {
        let broken = found.broken.clone();
        (found.rate, _) = self.rate(&found.case, &broken, RATE_RUNS)?;
        if found.rate.0 * 2 < RATE_RUNS {
            return Ok(found);
        }
        let mut left = SMALLER_MOST;
        while let Some(smaller) = self.smaller(&found.case, &broken, &mut left)? {
            found.case = smaller;
        }
        let (rate, detail) = self.rate(&found.case, &broken, RATE_RUNS)?;
        found.rate = rate;
        found.detail = detail.unwrap_or(found.detail);
        let unscheduled = Case { schedule: Schedule::default(), ..found.case.clone() };
        (found.unscheduled, _) = self.rate(&unscheduled, &broken, RATE_RUNS)?;
        Ok(found)
    }

    /// The first case with less in it that still breaks this.
    fn smaller(&mut self, case: &Case, broken: &Broken, left: &mut u32) -> Result<Option<Case>> {
        let orders = (0..case.schedule.stops().len()).rev().map(|nth| without_order(case, nth));
        let operations: Vec<_> = case.operations().collect();
        let operations =
            operations.into_iter().rev().map(|(task, slot, _)| without(case, task, slot));
        for mut smaller in operations.chain(orders).collect::<Vec<_>>() {
            if *left == 0 || smaller.actors.is_empty() {
                continue;
            }
            *left -= 1;
            settle(&mut smaller, self.fs);
            let ((hits, _), _) = self.rate(&smaller, broken, SMALLER_RUNS)?;
            if hits == SMALLER_RUNS {
                return Ok(Some(smaller));
            }
        }
        Ok(None)
    }

    fn file(&mut self, found: Found) {
        let cause = found.cause();
        match self.found.iter_mut().find(|other| other.cause() == cause) {
            Some(other) => {
                other.count += 1;
                if found.rate.0 > other.rate.0 {
                    let (count, after) = (other.count, other.after);
                    *other = Found { count, after, ..found };
                }
            }
            None => self.found.push(found),
        }
    }

    /// The guest is no good any more: that is a finding, and a fresh one goes on.
    fn survive(&mut self, case: Option<Case>, error: &anyhow::Error) -> Result<()> {
        let dead = error.downcast_ref::<Dead>();
        let mut log = self.session.findings_of_run();
        log.extend(dead.into_iter().flat_map(|dead| dead.findings.clone()));
        log.dedup();
        let broken = match error.downcast_ref::<Failed>() {
            _ if !log.is_empty() => Broken::trouble("kernel-log", "kernel"),
            _ if dead.is_some() => Broken::trouble("hang", "kernel"),
            Some(failed) if failed.hangs => Broken::trouble("hang", "kernel"),
            Some(_) => Broken::trouble("error", "agent"),
            // An error of ours is no finding.
            None => anyhow::bail!("{error:#}"),
        };
        let orders = self.session.guest.take_drawn();
        let mut case = case.unwrap_or_default();
        if case.schedule.stops().is_empty() {
            case.schedule = schedule(&self.names, &orders);
        }
        let after = (self.count.schedules, self.count.time);
        let detail = log.first().cloned().unwrap_or_else(|| format!("{error:#}"));
        self.reboot()?;
        let mut found =
            Found { broken, detail, case, rate: (0, 0), unscheduled: (0, 0), after, count: 1, log };
        if found.case.actors.len() > 1 {
            let again = self.runs(&found.case.clone(), 1);
            let damaged = !self.session.findings_of_run().is_empty();
            found.rate = (u32::from(again.is_err() || damaged), 1);
            if again.is_err() || damaged {
                self.reboot()?;
            }
        }
        self.file(found);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::console::answer;
    use crate::filesystems;
    use mkwrite_model::text::parse;

    const PLAN: Plan = Plan { seed: 3, aligned: false };

    fn fs(name: &str) -> &'static GuestFilesystem {
        filesystems::named(&[name.to_owned()]).unwrap()[0]
    }

    #[test]
    fn programs_are_small_and_come_again_by_seed_and_number() {
        let ext4 = fs("ext4-1k");
        let drawn: Vec<Case> = (0..200).filter_map(|n| program(PLAN, n, ext4)).collect();
        let again: Vec<Case> = (0..200).filter_map(|n| program(PLAN, n, ext4)).collect();
        assert_eq!(drawn, again);
        assert!(drawn.len() > 100);
        for case in &drawn {
            assert!((2..=ACTORS).contains(&case.actors.len()));
            assert!(
                case.actors.iter().all(|actor| (1..=OPERATIONS).contains(&actor.operations.len()))
            );
            assert_eq!((case.geometry.blocks, case.geometry.free), (4, AMPLE));
            assert!(lines(requests(ext4, case, 3)).len() == 1, "a program is one line");
        }
    }

    #[test]
    fn the_guest_knows_every_operation_that_is_drawn() {
        let source = include_str!("../../live/kernel/work.c");
        // Cases of two files are for the model alone.
        let is_for_guest = |kind: &&mkwrite_model::case::OperationKind| {
            kind.weight > 0 && kind.name != "copy_other"
        };
        for kind in Operation::KINDS.iter().filter(is_for_guest) {
            assert!(source.contains(&format!("\"{}\"", kind.name)), "{}", kind.name);
        }
    }

    #[test]
    fn drawn_orders_become_lines_with_the_names_of_points() {
        let names = BTreeMap::from([(4, (Point::MissLock, 0)), (9, (Point::UserStore, 1))]);
        let schedule =
            schedule(&names, &[(0, 0, 4, 2), (1, 0, -1, 1), (0, 1, 9, 1), (0, 2, 77, 1)]);
        let case = Case { schedule, ..Case::default() };
        let text: Vec<String> = case
            .schedule
            .stops()
            .iter()
            .map(|stop| {
                let point = stop.point.map_or("*", |point| point.name());
                format!("{}.{} {point} {}", stop.task, stop.slot, stop.occurrence)
            })
            .collect();
        assert_eq!(text, ["A.0 miss.lock_page 2", "B.0 * 1", "A.1 user.store 2", "A.2 * 1"]);
    }

    const CASE: &str = "mkw 1\nfile pages 1 cells 2 blocks 1 size 2 mms 2\nactor A mm 0\nA.0 load 0..1\n\
                        actor B mm 1\nB.0 store 0..1\nB.1 fsync\nactor C mm 0\nC.0 truncate 1\n\
                        order B.0 miss.lock_page\norder A.0 *\norder C.0 *\norder B.1 *\n";

    #[test]
    fn a_smaller_case_keeps_the_orders_of_what_stays() {
        let case = parse(CASE).unwrap().case;
        let orders = |case: &Case| {
            case.schedule.stops().iter().map(|s| (s.task.0, s.slot)).collect::<Vec<_>>()
        };
        let no_store = without(&case, TaskId(1), 0);
        assert_eq!((orders(&no_store), no_store.actors.len()), (vec![(0, 0), (2, 0), (1, 0)], 3));
        let no_load = without(&case, TaskId(0), 0);
        assert_eq!((orders(&no_load), no_load.actors.len()), (vec![(0, 0), (1, 0), (0, 1)], 2));
        assert_eq!(orders(&without_order(&case, 1)), [(1, 0), (2, 0), (1, 1)]);
    }

    /// What a guest said of a run on NFS: the truncate to one cell is undone at the server.
    const SAID: &str = "{\"run\":{\"orders\":[[0,0,3,1],[1,0,-1,1]],\"passes\":[],\
        \"results\":[[0,0,1,4,0,0,2048,[]],[1,0,2,3,0,256,4096,[]]],\
        \"seen\":[0,2048,[4096]],\"content\":[0,4096,[4096,0]],\"server\":[0,4096,[4096,0]]}}";

    #[test]
    fn a_stored_log_is_judged_by_what_it_says() {
        let text = "mkw 1\nfile pages 1 cells 2 blocks 1 size 2 mms 1\nactor A mm 0\nA.0 truncate 1\n\
                    actor B mm 0\nB.0 store 0..1\n";
        let case = parse(text).unwrap().case;
        let Some(Answer::Run(said)) = answer(SAID) else { panic!("no run") };
        let flaws = judge(&mut History::default(), &case, &said);
        let flaws: Vec<_> =
            flaws.iter().map(|(b, detail)| (b.flaw.as_str(), detail.as_str())).collect();
        assert_eq!(flaws, [("size-after-sync", "2048 bytes before the sync, 4096 after")]);
        let good = SAID.replace("4096,[4096,0]", "2048,[4096]");
        let Some(Answer::Run(said)) = answer(&good) else { panic!("no run") };
        assert_eq!(judge(&mut History::default(), &case, &said), []);
    }
}
