//! I30: the part of the last page beyond the i_size that writepage saw is zero when the page is
//! submitted.
//!
//! Stores there are legal at any time, so writepage zeroes the tail each time.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::Event;
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct TailWritten;

impl Check for TailWritten {
    const ABOUT: About = About {
        id: "I30",
        title: "the tail beyond i_size is submitted as zeros",
        harm: "bytes behind the end of the file go to the disk",
        source: "2.6.30 fs/buffer.c: block_write_full_page_endio [tail-zeroed]",
        plant: Plant::NoTailZero,
    };

    #[inline(always)]
    fn event<F: Filesystem>(cx: &mut Cx<'_, F>, event: Event) {
        if let Event::Submitted { page, tail: true } = event {
            cx.page_breach(page, "bytes beyond i_size are on their way to the store");
        }
    }
}
