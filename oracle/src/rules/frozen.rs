//! While a filesystem is frozen nothing of it is dirty, becomes dirty, or reaches the device:
//! whoever takes a copy of the device has one that does not change.
//!
//! A page that a failed write left dirty is none of this.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::Event;
use mkwrite_model::kernel::page::ERROR;
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct Frozen;

impl Check for Frozen {
    const ABOUT: About = About {
        id: "frozen",
        title: "while a filesystem is frozen nothing becomes dirty, and nothing reaches the device",
        harm: "a snapshot is torn",
        source: "6.12 fs/super.c: freeze_super; include/linux/fs.h: sb_start_pagefault [freeze-levels]",
        plant: Plant::FreezeWritesFirst,
    };

    fn applies<F: Filesystem>(target: &Target<F>) -> bool {
        target.pair.implementation.declaration().freezes
    }

    #[inline(always)]
    fn event<F: Filesystem>(cx: &mut Cx<'_, F>, event: Event) {
        match event {
            Event::Frozen(true) => {
                let k = cx.k;
                for page in k.cached_pages().filter(|page| k.is_dirty(*page)) {
                    if !k.has(page, ERROR) {
                        cx.page_breach(page, "the page is dirty, and the filesystem is frozen");
                    }
                }
            }
            Event::DirtySet { page, newly: true, .. } if cx.k.is_frozen() => {
                cx.page_breach(page, "the page becomes dirty while the filesystem is frozen");
            }
            Event::Transferred { slot } if cx.k.is_frozen() => {
                if let Some(request) = cx.k.request(slot) {
                    cx.page_breach(request.page, "the device changes while the filesystem is frozen");
                }
            }
            _ => {}
        }
    }
}
