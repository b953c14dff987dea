//! I33: i_size changes only with the inode lock, PG_dirty is cleared only with the page lock.
//!
//! Where a server has the last word (NFS) i_size changes under a lock of the filesystem's, with the
//! reply that brings it: the first half does not hold there. A fault that undoes a truncate is
//! judged everywhere, by `grown-back`.

use mkwrite_model::implementation::{Filesystem, SizeGuard};
use mkwrite_model::kernel::{Event, Kernel};
use mkwrite_model::plant::Plant;

use super::prelude::*;

const SIZE: Part = Part {
    what: "i_size written without the inode lock",
    title: "i_size changes under the inode lock",
    harm: "a change of the size can be lost",
};

const CLEANED: Part = Part {
    what: "cleaned without the page lock",
    title: "PG_dirty is cleared under the page lock",
    harm: "the mark that a page is dirty can be lost",
};

/// See the file's head.
pub(crate) struct OwnerOfChange;

impl Check for OwnerOfChange {
    const ABOUT: About = About {
        id: "I33",
        title: "i_size and PG_dirty change under their locks",
        harm: "a change of the size or of a dirty flag can be lost",
        source: "2.6.30 mm/memory.c: vmtruncate; mm/page-writeback.c: clear_page_dirty_for_io [size-guard, \
                 clear-dirty-order]",
        plant: Plant::SizeWithoutLock,
    };

    const PARTS: &'static [Part] = &[SIZE, CLEANED];

    fn applies<F: Filesystem>(target: &Target<F>) -> bool {
        has_page_cache(target)
    }

    #[inline(always)]
    fn event<F: Filesystem>(cx: &mut Cx<'_, F>, event: Event) {
        match event {
            Event::SizeWritten { inode_locked: false, .. } if is_guarded_by_inode_lock(cx.k) => {
                cx.breach(SIZE.what);
            }
            Event::DirtyCleared { page, locked_by_us: false } => cx.page_breach(page, CLEANED.what),
            _ => {}
        }
    }
}

fn is_guarded_by_inode_lock<F: Filesystem>(k: &Kernel<F>) -> bool {
    k.fs().declaration().size_guard == SizeGuard::InodeLock
}
