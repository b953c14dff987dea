//! A truncate is not undone at the server. A WRITE extends the file there only up to the size that
//! the client knows: while setattr is under way and its SETATTR is sent, up to the size asked for;
//! else up to i_size.
//!
//! It fires where the WRITE arrives. What the client and the store see of it later is O4,
//! durable-size and I31. A request that nfs_grow_file has raised i_size for is not its business:
//! that is a size changed by a store.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::Event;
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct Regrown;

impl Check for Regrown {
    const ABOUT: About = About {
        id: "regrown",
        title: "a WRITE does not make the file on the server long again",
        harm: "a truncated file is long again on the server",
        source: "2.6.30 fs/nfs/inode.c: nfs_setattr; found on Debian's 6.1.192 and 6.12.117 [nfs-setattr]",
        plant: Plant::RequestKeepsLength,
    };

    #[inline(always)]
    fn event<F: Filesystem>(cx: &mut Cx<'_, F>, event: Event) {
        if let Event::Regrown { right } = event {
            // What other WRITEs carry beyond the right size can be read from now on, too.
            cx.size_breach(right, "a request from before the truncate extends the file on the server");
        }
    }
}
