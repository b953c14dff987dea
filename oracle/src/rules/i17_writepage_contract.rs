//! I17: writepage does exactly one of: redirty the page, start writeback; or the page lies wholly beyond i_size.
//!
//! Doing neither leaves a clean page that is tagged dirty: lost data (R33).

use mkwrite_model::implementation::Registry;
use mkwrite_model::kernel::Event;
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub struct WritepageContract;

impl Check for WritepageContract {
    const ABOUT: About = About {
        id: "I17",
        title: "writepage redirties, or starts writeback",
        source: "seed 004 (writepage rules); dossier 2.2.2, 5.2, R33",
        plant: Plant::SilentNoWrite,
    };

    fn event<R: Registry>(cx: &mut Cx<'_, R>, event: Event) {
        if let Event::WritepageReturned { page, written } = event
            && !written.beyond_eof
            && written.started == written.redirtied
        {
            let both = written.started;
            cx.page_breach(page, if both { "redirtied and written" } else { "neither redirtied nor written" });
        }
    }
}
