//! A store or a load does not change i_size: what lies beyond the end is SIGBUS, never an extension.
//!
//! What may still happen is that page_mkwrite reads i_size, truncate lowers it, and page_mkwrite raises it again to
//! what it had read: the truncate is undone.

use mkwrite_model::case::Operation;
use mkwrite_model::implementation::Registry;
use mkwrite_model::kernel::{Event, Kernel};
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub struct SizeByStore;

impl Check for SizeByStore {
    const ABOUT: About = About {
        id: "size-by-store",
        title: "a store through a mapping leaves i_size alone",
        source: "mmap(2): the effect of changes beyond the end is unspecified, the file is not extended; 2.6.30 fs/nfs/write.c: nfs_grow_file",
        plant: Plant::MkwriteWritesSize,
    };

    fn applies<R: Registry>(target: &Target<R>) -> bool {
        has_page_cache(target)
    }

    fn event<R: Registry>(cx: &mut Cx<'_, R>, event: Event) {
        if let Event::SizeWritten { from, to, .. } = event
            && from != to
            && matches!(cx.k.task().operation(), Operation::Store(_) | Operation::Load(_))
        {
            let undone = to > from && is_truncating_to(cx.k, from);
            cx.breach(if undone { "a fault undid a truncate that is under way" } else { "a fault changed i_size" });
        }
    }
}

/// A truncate to this size holds the inode lock.
fn is_truncating_to<R: Registry>(k: &Kernel<R>, size: u8) -> bool {
    k.inode_lock_owner().is_some_and(|task| k.state(task).operation() == Operation::Truncate(size))
}
