//! What a breach means, in words: what was lost, when, by which rule of the kernel, between which
//! two steps the race lies, and which change closes it. Everything is read off the run, the ledger
//! and the registry; nothing is written for one case.
use mkwrite_model::Target;
use mkwrite_model::bit_set::ones;
use mkwrite_model::case::{AMPLE, Case, Operation, Site};
use mkwrite_model::exec::CLOSER;
use mkwrite_model::implementation::{Convention, Filesystem, Pair};
use mkwrite_model::kernel::{InodeId, Stamp};
use mkwrite_model::schedule::SchedulerKind;
use mkwrite_model::text::Document;

use crate::bisect::{Series, Station, Tried, bisect};
use crate::cure::{cures, schedules};
use crate::isolate::{Isolation, isolate};
use crate::rate::rate;
use crate::shrink::Held;
use crate::timeline::{Moment, Timeline, WRITE_FAILS, watch};
use mkwrite_oracle::judge::Breach;
use mkwrite_oracle::ledger::{Expected, Ledger, Signature};
use mkwrite_oracle::rules::Rule;
use mkwrite_oracle::run::{Runner, ScheduledBy, compared, headline, with_order};
use mkwrite_oracle::verdict::shows;

/// Operations of a case of which it is tried what it does not break without.
const NEEDED_MAX: usize = 16;

/// A run with all that can be said about it.
#[derive(Clone, Debug)]
pub struct Explanation {
    /// The case.
    pub document: Document,
    /// What it ran on, as it stands in headlines.
    pub subject: String,
    /// Every step.
    pub timeline: Timeline,
    /// Every rule that broke, in order, and how the ledger sees it.
    pub breaches: Vec<(Breach, Expected)>,
    /// The breach that the explanation is about; none if nothing broke.
    pub main: Option<Breach>,
    /// The nearest schedule that breaks nothing, if one was found.
    pub isolation: Option<Isolation>,
    /// What happened, one sentence each.
    pub story: Vec<String>,
    /// What closes it, one sentence each.
    pub hints: Vec<String>,
}

/// A step of a run, in words: `A.0 (store 0..1) at miss.set_page_dirty, step 40`, or `.. at wb.lookup
/// for the 2nd time, step 51`.
pub fn step_in_words(moment: &Moment) -> String {
    let Moment { task, slot, operation, point, step, occurrence, .. } = moment;
    let nth = match occurrence {
        0 | 1 => String::new(),
        n => format!(" for the {n}{} time", ordinal(*n)),
    };
    let who = match task.io_slot() {
        Some(_) => task.to_string(),
        None => format!("{task}.{slot} ({operation})"),
    };
    format!("{who} at {}{nth}, step {step}", point.name())
}

/// What follows a number that counts.
fn ordinal(n: u32) -> &'static str {
    match (n % 10, n % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    }
}

/// Explains what the case does on a target under its own schedule. Of several breaches it takes the
/// one with this signature; or else the first that is not in the ledger, the first that the
/// document expects, or the first.
pub fn explain<F: Filesystem>(
    runner: &mut Runner<F>,
    ledger: &Ledger<F>,
    target: Target<F>,
    document: &Document,
    about: Option<Signature>,
) -> Explanation {
    let case = &document.case;
    runner.compare_with(compared(document).ok().flatten());
    // Nobody may do anything with the first file.
    let shown = case
        .operations()
        .next()
        .map_or(0, |(task, ..)| InodeId::of(case.geometry, case.actors[task.index()].mm).number());
    let mut timeline = watch(runner, target, case, shown);
    let breaches: Vec<_> = ledger.judged(target, &runner.judge).collect();
    let wanted = breaches
        .iter()
        .find(|(b, expected)| about.is_some_and(|signature| signature.matches(b, *expected)));
    let new = breaches.iter().find(|(_, expected)| *expected == Expected::No);
    let named =
        document.expects.iter().find_map(|expect| breaches.iter().find(|(b, _)| shows(expect, b)));
    let main = wanted.or(new).or(named).or(breaches.first()).copied();
    if let Some((Breach { file, .. }, _)) = main
        && file != shown
    {
        timeline = watch(runner, target, case, file);
    }
    let isolation = main.and_then(|(breach, expected)| {
        let signature =
            Signature { point: Some(breach.point), ..ledger.signature(&breach, expected) };
        isolate(runner, target, ledger, case, signature)
    });
    let (mut story, mut hints) = (Vec::new(), Vec::new());
    if let Some((breach, expected)) = main {
        story = tell(&timeline, &breaches, breach, isolation.as_ref());
        if isolation.is_none() {
            let held = Held::of(ledger, &breach, expected);
            story.extend(needed(runner, ledger, target, case, held));
        }
        if let Some(entry) = ledger.entry(expected) {
            hints.push(format!(
                "Known as `{}`: {} ({})",
                entry.name,
                entry.reason.trim(),
                entry.source
            ));
        }
        hints.extend(cures(runner, ledger, target, case, breach.rule).sentences());
        for series in bisect(runner, ledger, target, case) {
            hints.extend(closes(runner, ledger, &series, breach.rule));
        }
    }
    if !target.remedies.is_empty() {
        story.insert(0, format!("Remedied: {}.", target.remedies.in_words()));
    }
    Explanation {
        document: document.clone(),
        subject: headline(target),
        timeline,
        breaches,
        main: main.map(|(breach, _)| breach),
        isolation,
        story,
        hints,
    }
}

fn tell(
    timeline: &Timeline,
    breaches: &[(Breach, Expected)],
    main: Breach,
    isolation: Option<&Isolation>,
) -> Vec<String> {
    let mut story = Vec::new();
    let about = main.about();
    if let Some(moment) = timeline.steps.get(main.step as usize) {
        let file = if main.file == 0 { "" } else { " of the second file, which is shown here" };
        let page = main.page.map_or(String::new(), |page| format!("page {page}{file}: "));
        story.push(format!("{} breaks a rule: {page}{}.", step_in_words(moment), main.what));
    }
    story.push(format!("The rule {}: {} ({}).", about.id, about.title, about.source));
    if let Some(isolation) = isolation {
        let failing = &isolation.failing.steps;
        let (from, to) = isolation.window();
        let (first, second) =
            (step_in_words(&failing[isolation.first]), step_in_words(&failing[isolation.second]));
        story
            .push(format!("Two steps decide: {first}, comes before {second}. The other way round, it does not break."));
        if from < isolation.first {
            story.push(format!(
                "The window: {} has left {} and not yet come to {}, and {} gets in between.",
                failing[to].task,
                failing[from].point.name(),
                failing[to].point.name(),
                failing[isolation.first].task,
            ));
        }
    }
    let mut told = vec![(main.rule, main.step)];
    for (breach, _) in breaches.iter().filter(|(breach, _)| breach.step > main.step) {
        if told.iter().any(|(rule, _)| *rule == breach.rule) {
            continue;
        }
        told.push((breach.rule, breach.step));
        if let Some(moment) = timeline.steps.get(breach.step as usize) {
            story.push(format!(
                "Then {}: {} ({}).",
                step_in_words(moment),
                breach.what,
                breach.rule
            ));
        }
    }
    story.extend(breaches.iter().filter_map(|(breach, _)| lost(timeline, breach)).take(1));
    story
}

/// Of a case in which no order of two steps decides: what it does not break without.
fn needed<F: Filesystem>(
    runner: &mut Runner<F>,
    ledger: &Ledger<F>,
    target: Target<F>,
    case: &Case,
    held: Held,
) -> Option<String> {
    if case.operations().count() > NEEDED_MAX {
        return None;
    }
    let mut breaks = |case: &Case| {
        runner.run(target, case, ScheduledBy::Own);
        held.is_among(ledger.judged(target, &runner.judge))
    };
    let mut all = Vec::new();
    for site in Site::ALL.iter().filter(|site| site.row().is_error) {
        for nth in ones(case.faults.of(*site).into()) {
            let mut without = case.clone();
            without.faults.set(*site, case.faults.of(*site) & !(1 << nth));
            if !breaks(&without) {
                all.push(format!("the failure of {} {nth}", site.row().what));
            }
        }
    }
    let mut without = case.clone();
    without.geometry.free = AMPLE;
    if without != *case && !breaks(&without) {
        all.push("the lack of free blocks".to_owned());
    }
    for (task, slot, operation) in case.operations() {
        let mut without = case.clone();
        without.actors[task.index()].operations[usize::from(slot)] = Operation::Empty;
        without.fix_up();
        if !breaks(&without) {
            all.push(format!("{task}.{slot} ({operation})"));
        }
    }
    let (last, others) = all.split_last()?;
    let others = match others {
        [] => String::new(),
        _ => format!("{} or ", others.join(", ")),
    };
    Some(format!("It does not break without {others}{last}."))
}

/// Which value a cell lost, if the breach is about one: where it was last, and what is left of it
/// at the end.
fn lost(timeline: &Timeline, breach: &Breach) -> Option<String> {
    let cell = breach.cell.filter(|_| breach.rule.reads_history())?;
    let per_page =
        timeline.steps.iter().flat_map(|m| &m.state.pages).map(|page| page.cells.len()).next()?;
    let (page, offset) = (usize::from(cell) / per_page, usize::from(cell) % per_page);
    let value = |moment: &Moment| {
        let page = moment.state.pages.iter().find(|p| usize::from(p.index) == page && p.cached)?;
        page.cells.get(offset).cloned()
    };
    let nobody = [Stamp::ZERO.to_string(), Stamp::initial(cell).to_string()];
    let steps = &timeline.steps;
    let before = &steps[..=(breach.step as usize).min(steps.len() - 1)];
    let mut values = before.iter().rev().filter(|m| m.task != CLOSER).filter_map(value);
    let given = values.find(|value| !nobody.contains(value))?;
    let first = before.iter().position(|moment| value(moment).as_ref() == Some(&given))?;
    let stored = |moment: &Moment| moment.state.store.get(usize::from(cell)) == Some(&given);
    let end = steps.last()?;
    let left = end.state.store.get(usize::from(cell))?;
    if *left == given {
        return None;
    }
    let in_memory = steps.iter().rposition(|moment| value(moment).as_ref() == Some(&given))?;
    let on_store = steps.iter().rposition(stored);
    let failed = steps[first..].iter().find(|m| m.events.iter().any(|event| event == WRITE_FAILS));
    let failed = failed
        .map_or(String::new(), |moment| format!(" A request failed at step {}.", moment.step));
    let at = |n: usize| match steps.get(n + 1) {
        Some(moment) => format!("until {}", step_in_words(moment)),
        None => "at the end".to_owned(),
    };
    let last = match on_store {
        Some(n) if n > in_memory && steps[n].state.uncommitted >> cell & 1 != 0 => {
            format!("it was last in the server's cache, not committed, {}", at(n))
        }
        Some(n) if n > in_memory => format!("it was last on the store, {}", at(n)),
        _ => {
            let n = in_memory;
            let kept =
                steps[n].state.pages.iter().find(|p| usize::from(p.index) == page && p.cached);
            let clean = if kept.is_some_and(|page| page.dirty) { "dirty" } else { "clean" };
            format!("it was last in the page cache ({clean} page {page}), {}", at(n))
        }
    };
    Some(format!(
        "Cell {cell} was given {given} at step {}; {last}.{failed} At the end the store has {left} \
         there.",
        steps[first].step
    ))
}

/// What a series says about the change that closes a breach: the first station after one that
/// breaks which passes under this schedule, and breaks the rule under no other that is tried.
fn closes<F: Filesystem>(
    runner: &mut Runner<F>,
    ledger: &Ledger<F>,
    series: &Series<F>,
    rule: Rule,
) -> Option<String> {
    let first = series.stations.iter().position(|station| station.outcome.breaks())?;
    let fixed = series.stations[first..].iter().find(|station| match &station.outcome {
        Tried::Ran { translation, .. } if station.outcome.passes() => {
            let pair = Pair::new(station.implementation, station.caller).expect("it ran");
            let rates = rate(
                runner,
                ledger,
                Target::from(pair),
                &translation.case,
                SchedulerKind::Pos,
                1,
                u64::from(schedules(&translation.case)),
            );
            rates.iter().all(|rate| rate.signature.rule != rule || rate.hits == 0)
        }
        _ => false,
    })?;
    let first = &series.stations[first];
    let name = |station: &Station<F>| {
        format!("{} x {}", station.implementation.name(), station.caller.name())
    };
    let how = match fixed.implementation.declaration().convention {
        Convention::Locked
            if first.implementation.declaration().convention != Convention::Locked =>
        {
            ": page_mkwrite returns with the page locked until it is dirty"
        }
        _ => "",
    };
    let caller = match fixed.caller == first.caller {
        true => String::new(),
        false => format!(" ({})", fixed.caller.help()),
    };
    let others = match &fixed.outcome {
        Tried::Ran { translation, .. } => schedules(&translation.case),
        Tried::Refused(_) => 0,
    };
    Some(format!(
        "Over the {}: {} breaks; {} does not, under this schedule and {others} others{how}{caller}.",
        series.what,
        name(first),
        name(fixed),
    ))
}

/// Where a case has a schedule by stops: itself. Otherwise the same run, as stops.
pub fn with_stops<F: Filesystem>(runner: &mut Runner<F>, target: Target<F>, case: &Case) -> Case {
    match case.schedule {
        mkwrite_model::case::Schedule::Order(_) => case.clone(),
        mkwrite_model::case::Schedule::Seed { .. } => {
            let stops = runner.record(target, case, ScheduledBy::Own);
            with_order(case, stops)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mkwrite_impls::Builtin;
    use mkwrite_model::text::parse;
    use mkwrite_oracle::run::targets_of;

    fn explained(text: &str) -> Explanation {
        let document = parse(&format!("mkw 1\n{text}")).unwrap();
        let target = targets_of::<Builtin>(&document).unwrap()[0];
        explain(&mut Runner::default(), &Ledger::own(), target, &document, None)
    }

    #[test]
    fn steps_that_set_or_take_an_error_are_never_folded() {
        let e = explained(
            "run block@2.6.30 2.6.30\nfile pages 1\neio 0\nactor A mm 0\nA.0 write 0..1\nA.1 fsync\n",
        );
        let notable = |what: &str| {
            let says = |moment: &&Moment| moment.changes.iter().any(|change| change.contains(what));
            e.timeline.steps.iter().find(says).is_some_and(|moment| moment.notable)
        };
        assert!(notable("the error of the mapping is set"));
        assert!(notable("the error of the mapping is taken"));
    }

    #[test]
    fn a_walk_that_passes_over_a_dirty_page_says_so() {
        let e = explained(
            "run block@2.6.30 2.6.30\nplant writeback-skips-page\nfile pages 4 cells 1 size 4\nactor A mm 0\n\
             A.0 write 0..4\nA.1 fsync\n",
        );
        let passed: Vec<&String> = e
            .timeline
            .steps
            .iter()
            .filter(|moment| moment.notable)
            .flat_map(|moment| &moment.events)
            .filter(|event| event.starts_with("passes over"))
            .collect();
        assert_eq!(passed, ["passes over page 2, which is dirty"]);
    }

    #[test]
    fn one_actor_is_told_what_it_does_not_break_without() {
        let e = explained(
            "run block@2.6.30 2.6.30\nplant error-forgotten\nfile pages 1\neio 0\nactor A mm 0\n\
             A.0 write 0..1\nA.1 fsync\n",
        );
        let story = e.story.join("\n");
        assert!(
            story.contains(
                "It does not break without the failure of request 0 or A.0 (write 0..1)."
            ),
            "{story}"
        );
    }

    #[test]
    fn what_is_left_is_told_as_of_the_end() {
        let e = explained(
            "run block@2.6.30 2.6.30\nplant short-transfer\nfile pages 1 cells 2 blocks 2 size 2\n\
             actor A mm 0\nA.0 write 0..2\nA.1 fsync\n",
        );
        let story = e.story.join("\n");
        assert!(story.contains("it was last in the page cache (clean page 0)"), "{story}");
        assert!(story.contains("At the end the store has"), "{story}");
    }

    #[test]
    fn ordinals() {
        let all: Vec<String> =
            [1, 2, 3, 4, 11, 12, 13, 21, 102, 111].map(|n| format!("{n}{}", ordinal(n))).to_vec();
        assert_eq!(
            all,
            ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "102nd", "111th"]
        );
    }
}
