//! I1: page_mkwrite that returned LOCKED has the *faulted* page locked by this task; with any other
//! return this task does not hold it.
//!
//! The caller asserts it, and Documentation/filesystems/Locking states it. Checked at the return,
//! before any adapter.

use mkwrite_model::implementation::{Convention, LOCKED, Filesystem};
use mkwrite_model::kernel::Event;
use mkwrite_model::plant::Plant;
use mkwrite_model::remedy::Remedy;

use super::prelude::*;

/// See the file's head.
pub(crate) struct MkwriteLock;

impl Check for MkwriteLock {
    const ABOUT: About = About {
        id: "I1",
        title: "LOCKED means locked, anything else unlocked",
        harm: "the caller and the filesystem disagree on the page lock",
        source: "2.6.30 mm/memory.c: do_wp_page, __do_fault; Documentation/filesystems/Locking [locked-return]",
        plant: Plant::LockedWithoutLock,
    };

    #[inline(always)]
    fn event<F: Filesystem>(cx: &mut Cx<'_, F>, event: Event) {
        if let Event::MkwriteReturned { page, code, locked } = event {
            let speaks = match cx.k.fs().declaration().convention {
                Convention::Locked => true,
                Convention::None => cx.k.remedied(Remedy::DirtyBeforePte),
                _ => cx.k.remedied(Remedy::LockedReturn),
            };
            let promised = !code.is_errno() && code.has(LOCKED) && speaks; // an errno is negative, and has every bit
            if promised != locked {
                cx.page_breach(page, if locked { "returned with the page locked" } else { "LOCKED, but not locked" });
            }
        }
    }
}
