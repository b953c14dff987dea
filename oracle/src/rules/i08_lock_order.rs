//! I8: locks are taken in the order of the era; nobody sleeps with a spinlock held or in an
//! interrupt, which is where a device's I/O completes (b_end_io); throttling and
//! file_update_time run without a page lock.
//!
//! file_update_time may start a transaction, and transactions come before page locks; throttling
//! may write back this very page.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::Event;
use mkwrite_model::plant::Plant;

use super::prelude::*;

const TIME: Part = Part {
    what: "file_update_time under the page lock",
    title: "no time update under the page lock",
    harm: "a deadlock is possible",
};

const THROTTLED: Part = Part {
    what: "balance_dirty_pages under the page lock",
    title: "no throttle under the page lock",
    harm: "a deadlock is possible",
};

const ORDER: Part = Part {
    what: "a lock was taken against the order",
    title: "locks are taken in one order",
    harm: "a deadlock is possible",
};

const SLEPT: Part = Part {
    what: "a task may sleep with a spinlock held",
    title: "nobody sleeps with a spinlock held",
    harm: "a deadlock is possible",
};

const INTERRUPT: Part = Part {
    what: "the completion of an I/O may sleep",
    title: "nobody sleeps in an interrupt",
    harm: "a deadlock is possible",
};

/// See the file's head.
pub(crate) struct LockOrder;

impl Check for LockOrder {
    const ABOUT: About = About {
        id: "I8",
        title: "lock order, and no throttle or time update under the page lock",
        harm: "a deadlock is possible",
        source: "2.6.30 mm/filemap.c, mm/rmap.c: head comments; mm/memory.c: do_wp_page; mm/page-writeback.c: \
                 balance_dirty_pages [lock-order, time-after-unlock, throttle]",
        plant: Plant::TimeUnderLock,
    };

    const PARTS: &'static [Part] = &[TIME, THROTTLED, ORDER, SLEPT, INTERRUPT];

    #[inline(always)]
    fn event<F: Filesystem>(cx: &mut Cx<'_, F>, event: Event) {
        match event {
            Event::TimeUpdated { page_locks: 1.. } => cx.breach(TIME.what),
            Event::Throttled { page_locks: 1.. } => cx.breach(THROTTLED.what),
            Event::LockOrder { .. } => cx.breach(ORDER.what),
            Event::SleptAtomic { .. } => cx.breach(SLEPT.what),
            Event::SleptInInterrupt => cx.breach(INTERRUPT.what),
            _ => {}
        }
    }
}
