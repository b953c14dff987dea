//! I29: when truncate has returned, and at quiescence, no page wholly beyond the end of the file is
//! dirty or mapped; and at quiescence no block beyond it is allocated, but those that fallocate(2)
//! with KEEP_SIZE has asked for since (a fallocate that failed half way leaves some, too).
//!
//! A clean, unmapped page there is legal: a fault or a read that races with truncate, or a read
//! beyond the end, adds one before it compares its index with i_size, and leaves it. (One that
//! truncate should have removed and that still holds data shows after an extension, by I31.)

use mkwrite_model::bit_set::ones;
use mkwrite_model::case::Range;
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::{Event, Frame, Kernel};
use mkwrite_model::plant::Plant;

use super::prelude::*;

const PAGE: Part = Part {
    what: "still there after truncate",
    title: "no page beyond the end survives truncate",
    harm: "a page that truncate cut off survives",
};

const IN_USE: Part = Part {
    what: "dirty or mapped beyond the end",
    title: "no page beyond the end is dirty or mapped",
    harm: "a page that truncate cut off is in use",
};

const BLOCK: Part = Part {
    what: "a block beyond the end is allocated",
    title: "no block beyond the end survives truncate",
    harm: "a block that truncate cut off is not freed",
};

/// See the file's head.
pub(crate) struct PageBeyondEof;

impl Check for PageBeyondEof {
    const ABOUT: About = About {
        id: "I29",
        title: "no page and no block beyond the end survives truncate",
        harm: "what truncate cut off survives",
        source: "2.6.30 mm/memory.c: vmtruncate; mm/filemap.c: filemap_fault [truncate-order, fault-beyond-eof]",
        plant: Plant::TruncateSkipsDirty,
    };

    const PARTS: &'static [Part] = &[PAGE, IN_USE, BLOCK];

    fn applies<F: Filesystem>(target: &Target<F>) -> bool {
        has_page_cache(target)
    }

    #[inline(always)]
    fn event<F: Filesystem>(cx: &mut Cx<'_, F>, event: Event) {
        if let Event::Truncated { first } = event {
            let beyond = |page: &Frame| cx.k.index(*page) >= first && in_use(cx.k, *page);
            if let Some(page) = cx.k.cached_pages().find(beyond) {
                cx.page_breach(page, PAGE.what);
            }
        }
    }

    fn quiescent<F: Filesystem>(k: &Kernel<F>, page: Frame) -> Option<&'static str> {
        let broken = k.in_mapping(page) && k.index(page) >= k.pages_in_file() && in_use(k, page);
        broken.then_some(IN_USE.what)
    }

    fn quiescent_all<F: Filesystem>(k: &Kernel<F>, marks: &Marks) -> Option<&'static str> {
        let g = k.geometry();
        let below_eof = Range::new(0, g.blocks_of(k.i_size())).bits() as u32;
        let cut_off = ones(u64::from(k.fs().allocated(k) & !below_eof));
        let kept = |n: u8| g.cells_of_block(n).bits() & marks.preallocated != 0;
        (cut_off.into_iter().any(|n| !kept(n))).then_some(BLOCK.what)
    }
}

fn in_use<F: Filesystem>(k: &Kernel<F>, page: Frame) -> bool {
    k.is_dirty(page) || k.is_mapped(page)
}
