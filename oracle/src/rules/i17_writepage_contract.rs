//! I17: writepage redirties the page, or starts writeback; or the page lies wholly beyond i_size.
//!
//! Doing neither leaves a clean page that is tagged dirty: lost data. Doing both is legal:
//! __block_write_full_page (2.6.30 fs/buffer.c) redirties the page for a buffer that it cannot
//! lock, and writes the others.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::{Event, Written};
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct WritepageContract;

impl Check for WritepageContract {
    const ABOUT: About = About {
        id: "I17",
        title: "writepage redirties, or starts writeback",
        harm: "a page is neither written nor kept dirty",
        source: "2.6.30 Documentation/filesystems/Locking: writepage [writepage-contract, block-writepage]",
        plant: Plant::SilentNoWrite,
    };

    #[inline(always)]
    fn event<F: Filesystem>(cx: &mut Cx<'_, F>, event: Event) {
        if let Event::WritepageReturned { page, written } = event
            && breaks(written)
        {
            cx.page_breach(page, "neither redirtied nor written");
        }
    }
}

fn breaks(written: Written) -> bool {
    !(written.started || written.redirtied || written.beyond_eof)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_neither_is_a_breach() {
        let written = |started, redirtied, beyond_eof| Written { started, redirtied, beyond_eof };
        assert!(breaks(written(false, false, false)));
        assert!(!breaks(written(true, true, false)), "a buffer that could not be locked");
        assert!(!breaks(written(true, false, false)) && !breaks(written(false, true, false)));
        assert!(!breaks(written(false, false, true)), "invalidated instead");
    }
}
