//! Every task that is left waits for another, or for something that nobody will bring.
//!
//! A writeback bit without I/O in flight has no owner; then the hang is reported as such.

use mkwrite_model::End;
use mkwrite_model::exec::{TASKS, bits};
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::Kernel;
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct Deadlock;

impl Check for Deadlock {
    const ABOUT: About = About {
        id: "deadlock",
        title: "no deadlock, no hang",
        harm: "a task hangs for ever",
        source: "2.6.30 mm/filemap.c: __lock_page, wait_on_page_bit [page-lock, lock-order]",
        plant: Plant::FlushUnderPageLock,
    };

    fn end<F: Filesystem>(cx: &mut Cx<'_, F>, end: End) {
        if end == End::Stuck {
            let cycle = has_cycle(cx.k);
            cx.breach(if cycle { "tasks wait for each other" } else { "a task waits for what nobody will bring" });
        }
    }
}

fn has_cycle<F: Filesystem>(k: &Kernel<F>) -> bool {
    let owner = |task| k.tasks.waits_for(task).and_then(|object| k.tasks.holder(object));
    bits(k.tasks.blocked()).any(|start| {
        let mut task = owner(start);
        for _ in 0..TASKS {
            match task {
                Some(t) if t == start => return true,
                Some(t) => task = owner(t),
                None => return false,
            }
        }
        false
    })
}
