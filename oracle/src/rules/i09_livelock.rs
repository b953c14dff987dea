//! I9: progress. A task that faults again and again while nothing else changes is a livelock.
//!
//! Judged only under a fair scheduler: a run that has not ended within its bound goes on in turn,
//! and what does not end there never will.

use mkwrite_model::End;
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct Livelock;

impl Check for Livelock {
    const ABOUT: About = About {
        id: "I9",
        title: "no livelock under a fair schedule",
        harm: "a fault is retried for ever",
        source: "2.6.30 mm/memory.c: do_wp_page (NOPAGE and 0 mean: retry) [retry-codes]",
        plant: Plant::RetryForever,
    };

    fn end<F: Filesystem>(cx: &mut Cx<'_, F>, end: End) {
        if end == End::Livelock {
            cx.breach("the run does not end under a fair scheduler");
        }
    }
}
