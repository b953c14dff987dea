//! I2: every lock taken on a path is released on every exit exactly once, and only by its owner.
//!
//! Checked at each unlock_page, when a fault returns (no page lock), and when an operation returns
//! (no lock).

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::Event;
use mkwrite_model::plant::Plant;

use super::prelude::*;

const FOREIGN: Part = Part {
    what: "unlocked by a task that does not hold it",
    title: "a page lock is released by its owner alone",
    harm: "a page lock is released by one who does not hold it",
};

const FAULT: Part = Part {
    what: "the fault returned with a page locked",
    title: "a fault returns with no page locked",
    harm: "a page stays locked for ever",
};

const HELD: Part = Part {
    what: "the operation returned with a lock held",
    title: "an operation returns with no lock held",
    harm: "a lock stays held for ever",
};

/// See the file's head.
pub(crate) struct LockLeak;

impl Check for LockLeak {
    const ABOUT: About = About {
        id: "I2",
        title: "locks are released once, by their owner",
        harm: "a page lock is released by the wrong one, or never",
        source: "2.6.30 mm/memory.c: do_wp_page, __do_fault; mm/filemap.c: unlock_page [page-lock]",
        plant: Plant::LeakPageLock,
    };

    const PARTS: &'static [Part] = &[FOREIGN, FAULT, HELD];

    #[inline(always)]
    fn event<F: Filesystem>(cx: &mut Cx<'_, F>, event: Event) {
        match event {
            Event::Unlocked { page, owner: false } => cx.page_breach(page, FOREIGN.what),
            Event::FaultReturned if cx.k.task().page_locks() != 0 => cx.breach(FAULT.what),
            Event::Return if cx.k.task().held() != 0 => cx.breach(HELD.what),
            _ => {}
        }
    }
}
