//! What a breach means, in words: what was lost, when, by which rule of the kernel, between which
//! two steps the race lies, and which change closes it. Everything is read off the run, the ledger
//! and the registry; nothing is written for one case.
use mkwrite_model::Target;
use mkwrite_model::case::Case;
use mkwrite_model::exec::CLOSER;
use mkwrite_model::implementation::{Convention, Filesystem, Pair};
use mkwrite_model::kernel::Stamp;
use mkwrite_model::schedule::SchedulerKind;
use mkwrite_model::text::Document;

use crate::bisect::{Series, Station, Tried, bisect};
use crate::cure::cures;
use crate::isolate::{Isolation, isolate};
use crate::rate::rate;
use crate::timeline::{Moment, Timeline, watch};
use mkwrite_oracle::judge::Breach;
use mkwrite_oracle::ledger::{Expected, Ledger, Signature};
use mkwrite_oracle::rules::Rule;
use mkwrite_oracle::run::{Runner, ScheduledBy, compared, headline, with_order};
use mkwrite_oracle::verdict::shows;

/// Fresh schedules under which a change that is said to close a breach is tried.
const SCHEDULES: u64 = 300;

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

/// A step of a run, in words: `A.0 (store 0..1) at miss.set_page_dirty, step 40`.
pub fn step_in_words(moment: &Moment) -> String {
    let Moment { task, slot, operation, point, step, .. } = moment;
    let who = match task.io_slot() {
        Some(_) => task.to_string(),
        None => format!("{task}.{slot} ({operation})"),
    };
    format!("{who} at {}, step {step}", point.name())
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
    let timeline = watch(runner, target, case);
    let mut classifier = ledger.classify(target);
    let breaches: Vec<_> = runner.judge.breaches().map(|b| (b, classifier.next(&b))).collect();
    let wanted = breaches
        .iter()
        .find(|(b, expected)| about.is_some_and(|signature| signature.matches(b, *expected)));
    let new = breaches.iter().find(|(_, expected)| *expected == Expected::No);
    let named =
        document.expects.iter().find_map(|expect| breaches.iter().find(|(b, _)| shows(expect, b)));
    let main = wanted.or(new).or(named).or(breaches.first()).copied();
    let isolation = main.and_then(|(breach, expected)| {
        let signature =
            Signature { point: Some(breach.point), ..ledger.signature(&breach, expected) };
        isolate(runner, target, ledger, case, signature)
    });
    let (mut story, mut hints) = (Vec::new(), Vec::new());
    if let Some((breach, expected)) = main {
        story = tell(&timeline, &breaches, breach, isolation.as_ref());
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
    let about = main.rule.about();
    if let Some(moment) = timeline.steps.get(main.step as usize) {
        let page = main.page.map_or(String::new(), |page| format!("page {page}: "));
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

/// Which value a cell lost, if the breach is about one.
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
    let before = &timeline.steps[..=(breach.step as usize).min(timeline.steps.len() - 1)];
    let mut stored = before.iter().rev().filter(|m| m.task != CLOSER).filter_map(value);
    let stored = stored.find(|value| !nobody.contains(value))?;
    let when = before.iter().find(|moment| value(moment).as_ref() == Some(&stored))?;
    let left = before.last()?.state.store.get(usize::from(cell))?;
    (*left != stored).then(|| {
        format!(
            "Cell {cell} was given {stored} at step {}; what is left of it on the store is {left}.",
            when.step
        )
    })
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
                SCHEDULES,
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
    Some(format!(
        "Over the {}: {} breaks; {} does not, under this schedule and {SCHEDULES} others{how}{caller}.",
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
