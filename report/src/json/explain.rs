//! The document of `mkwrite explain`.

use mkwrite_explain::explain::Explanation;
use mkwrite_explain::timeline::Timeline;
use mkwrite_model::Target;
use mkwrite_model::implementation::Filesystem;
use serde::Serialize;

use super::On;

/// What a case breaks, step by step.
#[derive(Clone, Debug, Serialize)]
pub struct Explain<'a> {
    /// What it ran on.
    #[serde(flatten)]
    pub on: On,
    /// The rule that broke; null if none did.
    pub rule: Option<&'static str>,
    /// Where.
    pub point: Option<&'static str>,
    /// What happened, one sentence each.
    pub story: &'a [String],
    /// What closes it, one sentence each.
    pub hints: &'a [String],
    /// Every step.
    pub timeline: &'a Timeline,
    /// The two steps whose order decides.
    pub isolation: Option<Isolation<'a>>,
}

/// The nearest schedule that breaks nothing.
#[derive(Clone, Debug, Serialize)]
pub struct Isolation<'a> {
    /// The step that must not come first.
    pub first: u32,
    /// The step that must come before it.
    pub second: u32,
    /// The steps between which the first one fell, as indices into the timeline.
    pub window: [usize; 2],
    /// How many pairs of steps had to be exchanged.
    pub distance: usize,
    /// Every step of the run that breaks nothing.
    pub passing: &'a Timeline,
}

impl<'a> Explain<'a> {
    /// The document of an explanation on this target.
    pub fn of<F: Filesystem>(target: Target<F>, explanation: &'a Explanation) -> Explain<'a> {
        let isolation = explanation.isolation.as_ref().map(|isolation| Isolation {
            first: isolation.failing.steps[isolation.first].step,
            second: isolation.failing.steps[isolation.second].step,
            window: isolation.window().into(),
            distance: isolation.distance,
            passing: &isolation.passing,
        });
        Explain {
            on: target.into(),
            rule: explanation.main.map(|breach| breach.rule.id()),
            point: explanation.main.map(|breach| breach.point.name()),
            story: &explanation.story,
            hints: &explanation.hints,
            timeline: &explanation.timeline,
            isolation,
        }
    }
}
