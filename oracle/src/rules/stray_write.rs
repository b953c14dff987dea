//! The blocks that a request writes are the file's, at the place of the page that it carries.
//!
//! truncate waits for writeback before it gives blocks back, so that no request in flight writes to
//! a block that is free, or another page's by now. It is about the cells of the page, and about
//! those of whoever has the block now.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::{Event, FILE_BLOCKS, Kernel, NO_BLOCK, Request};
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct StrayWrite;

impl Check for StrayWrite {
    const ABOUT: About = About {
        id: "stray-write",
        title: "what is written goes to blocks of the file",
        harm: "a write hits a block of another file",
        source: "2.6.30 mm/truncate.c: truncate_inode_pages_range waits for writeback; fs/ext2/inode.c: ext2_truncate \
                 [truncate-order, ext2-blocks]",
        plant: Plant::CutSkipsWait,
    };

    fn applies<F: Filesystem>(target: &Target<F>) -> bool {
        has_page_cache(target)
    }

    #[inline(always)]
    fn event<F: Filesystem>(cx: &mut Cx<'_, F>, event: Event) {
        let Event::Transferred { slot } = event else { return };
        let Some(request) = cx.k.request(slot).filter(|request| !request.fails) else { return };
        let cells = stray(cx.k, request);
        if cells != 0 {
            cx.file_cells_breach(request.page, cells, "written to a block that is not the file's there");
        }
    }
}

/// The cells of the file that blocks of the request are about which are not the file's at their
/// place.
fn stray<F: Filesystem>(k: &Kernel<F>, request: Request) -> u64 {
    let (g, index) = (k.geometry(), k.index(request.page));
    let block_cells = |file_block: u8| g.cells_of_block(file_block).bits();
    let mut cells = 0;
    for (n, &block) in request.blocks.iter().enumerate().filter(|(_, block)| **block != NO_BLOCK) {
        let own = index * g.blocks + n as u8;
        if k.block(own) != Some(block) {
            let owners = (0..FILE_BLOCKS as u8).filter(|other| k.block(*other) == Some(block));
            cells |= owners.fold(block_cells(own), |cells, other| cells | block_cells(other));
        }
    }
    cells
}
