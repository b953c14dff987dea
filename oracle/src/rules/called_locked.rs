//! The operations of a filesystem are called with the locks that the tables of the locking document
//! have for them; each is listed where it is sampled, in the model's `kernel/call.rs`.
//!
//! I33 looks at what changes, this at who calls: a caller that lacks a lock breaks it also in a run
//! in which nobody else comes.

use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::{Call, Event, Lack};
use mkwrite_model::plant::Plant;

use super::prelude::*;

const DIRTY: Part = Part {
    what: "set_page_dirty with neither the page lock nor a pte lock",
    title: "a page is marked dirty under its lock, or under that of its ptes",
    harm: "a page is marked dirty while truncate removes it",
};

const PAGE: Part = Part {
    what: "called without the page lock",
    title: "operations on a page are called with its lock",
    harm: "an operation finds its page in the hands of somebody else",
};

const INODE: Part = Part {
    what: "called without the inode lock",
    title: "write(2), setattr and, until 3.0, fsync are called with the inode lock",
    harm: "two calls change the file at once",
};

const MMAP: Part = Part {
    what: "called without mmap_lock",
    title: "the vm calls with mmap_lock",
    harm: "a fault runs in a mapping that goes away",
};

const FILLS: Part = Part {
    what: "a page is read without invalidate_lock",
    title: "a page is read into the page cache under invalidate_lock",
    harm: "content that is being taken away can come back",
};

const CUTS: Part = Part {
    what: "a page is invalidated without invalidate_lock",
    title: "truncate and punch invalidate under invalidate_lock",
    harm: "content that is being taken away can come back",
};

const RELEASED: Part = Part {
    what: "releasepage of a page under writeback",
    title: "private data of a page under writeback is not asked for",
    harm: "the record of a page goes while it is being written",
};

const KEPT: Part = Part {
    what: "releasepage said yes and kept the private data",
    title: "private data is gone where releasepage says so",
    harm: "a page is freed with its record",
};

/// See the file's head.
pub(crate) struct CalledLocked;

impl Check for CalledLocked {
    const ABOUT: About = About {
        id: "called-locked",
        title: "operations are called with the locks that they rely on",
        harm: "an operation is called without a lock",
        source: "2.6.30 Documentation/filesystems/Locking; 6.12 Documentation/filesystems/locking.rst [operation-locks, \
                 invalidate-lock]",
        plant: Plant::TruncateNoInvalidate,
    };

    const PARTS: &'static [Part] = &[DIRTY, PAGE, INODE, MMAP, FILLS, CUTS, RELEASED, KEPT];

    fn applies<F: Filesystem>(target: &Target<F>) -> bool {
        has_page_cache(target)
    }

    #[inline(always)]
    fn event<F: Filesystem>(cx: &mut Cx<'_, F>, event: Event) {
        let Event::CalledWithout { call, lack, page } = event else { return };
        let part = match lack {
            Lack::Page if call == Call::SetPageDirty => DIRTY,
            Lack::Page => PAGE,
            Lack::Inode => INODE,
            Lack::Mmap => MMAP,
            Lack::InvalidateShared => FILLS,
            Lack::Invalidate => CUTS,
            Lack::Writeback => RELEASED,
            Lack::Private => KEPT,
        };
        match page {
            Some(page) => cx.page_breach(page, part.what),
            None => cx.breach(part.what),
        }
    }
}
