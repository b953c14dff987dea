//! Neither a fault nor the reply to a WRITE undoes a truncate that is under way.
//!
//! page_mkwrite reads i_size, truncate lowers it, and page_mkwrite raises it again to what it had
//! read; a reply tells the size that the file had at the server before the truncate, perhaps after
//! truncate has returned. That is so whatever lock or server guards i_size.

use mkwrite_model::case::Effect;
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::kernel::{Event, Kernel};
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct GrownBack;

impl Check for GrownBack {
    const ABOUT: About = About {
        id: "grown-back",
        title: "no fault and no reply raises i_size while a truncate of the file is under way",
        harm: "a truncated file grows back",
        source: "2.6.30 fs/nfs/write.c: nfs_grow_file; mm/memory.c: vmtruncate [nfs-grow-file, nfs-attributes, \
                 size-guard]",
        plant: Plant::MkwriteGrowsBack,
    };

    fn applies<F: Filesystem>(target: &Target<F>) -> bool {
        has_page_cache(target)
    }

    #[inline(always)]
    fn event<F: Filesystem>(cx: &mut Cx<'_, F>, event: Event) {
        if let Event::SizeWritten { from, to, .. } = event
            && to > from
            && cx.actor_effect().is_none_or(Effect::is_through_mapping)
            && (is_truncating_to(cx.k, from) || is_stale(cx, to))
        {
            let what = match cx.actor_effect() {
                Some(_) => "a fault undid a truncate that is under way",
                None => "a reply undid a truncate that is under way",
            };
            cx.size_breach(from, what);
        }
    }
}

/// A reply tells a size that the file at the server no longer has.
fn is_stale<F: Filesystem>(cx: &Cx<'_, F>, size: u8) -> bool {
    cx.actor_effect().is_none() && cx.k.server().attributes().size < size
}

/// A truncate to this size holds the inode lock.
fn is_truncating_to<F: Filesystem>(k: &Kernel<F>, size: u8) -> bool {
    k.inode_lock_owner().is_some_and(|task| k.state(task).operation().effect() == Effect::Resizes(size))
}
