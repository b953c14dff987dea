//! At quiescence a page of the page cache differs from the store only where a dirty bit says so:
//! PG_dirty with what is below it (buffers, fsblocks, the request's range), or the dirty bit of a
//! pte.
//!
//! PG_dirty over clean buffers is legal: somebody wrote them by hand, or they were dirtied again
//! while writepage collected them. But writepage writes nothing then, so whatever such a page holds
//! must be on the store already.
//!
//! A failed write leaves PG_error, and the page clean: its data is lost, and reported. It also
//! leaves a new block with what the device held there before, so its cells are not judged until
//! they are written again, or cut off.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::page::{ERROR, MAPPING};
use mkwrite_model::kernel::{Frame, Kernel};
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct Untracked;

impl Check for Untracked {
    const ABOUT: About = About {
        id: "untracked",
        title: "what differs from the store is marked dirty",
        harm: "a page differs from the disk and nothing says so",
        source: "2.6.30 fs/buffer.c: __set_page_dirty_buffers, __block_write_full_page, try_to_free_buffers \
                 [buffers-dirty, block-writepage]",
        plant: Plant::DirtyPageOnly,
    };

    fn applies<F: Filesystem>(target: &Target<F>) -> bool {
        has_page_cache(target)
    }

    fn quiescent<F: Filesystem>(k: &Kernel<F>, page: Frame) -> Option<&'static str> {
        (untracked(k, page) != 0).then_some("differs from the store, and no dirty bit says so")
    }

    fn cells<F: Filesystem>(k: &Kernel<F>, page: Frame) -> u8 {
        untracked(k, page)
    }

    fn excused_cells(marks: &Marks) -> u64 {
        marks.unwritten
    }
}

/// The cells below i_size that differ and that nobody will write.
fn untracked<F: Filesystem>(k: &Kernel<F>, page: Frame) -> u8 {
    if !k.has(page, MAPPING) || k.has(page, ERROR) || k.ptes_of(page).any(|pte| pte.is_dirty()) {
        return 0;
    }
    let (pending, first) = (k.fs().pending(k, page), k.first_cell(page));
    let judged = k.fs().uptodate(k, page) & !pending;
    let differs = |cell: &u8| judged >> cell & 1 != 0 && k.cell(page, *cell) != k.fs().stored(k, first + cell);
    (0..k.length_below_eof(page)).filter(differs).fold(0, |mask, cell| mask | 1 << cell)
}
