//! Only truncate lowers i_size, and only write(2), fallocate(2) and truncate raise it; where the server has the
//! last word a reply, or the client's own request, may raise it too, and a reply may lower it. A
//! fault never shortens the file.
//!
//! O4 says by the calls alone what the size can be, and sees it late; this looks at the step that
//! writes it. Under which lock that happens is I33's.

use mkwrite_model::case::Effect;
use mkwrite_model::implementation::{Filesystem, SizeGuard};
use mkwrite_model::kernel::Event;
use mkwrite_model::plant::Plant;

use super::prelude::*;

/// See the file's head.
pub(crate) struct SizeChange;

impl Check for SizeChange {
    const ABOUT: About = About {
        id: "size-change",
        title: "i_size is changed only by those who may: truncate, write(2) upwards, the server's word",
        harm: "the file's size changes by the wrong hand",
        source: "2.6.30 mm/memory.c: vmtruncate; fs/buffer.c: generic_write_end; fs/nfs/inode.c: nfs_update_inode \
                 [size-guard, nfs-attributes]",
        plant: Plant::MkwriteWritesSize,
    };

    fn applies<F: Filesystem>(target: &Target<F>) -> bool {
        has_page_cache(target)
    }

    #[inline(always)]
    fn event<F: Filesystem>(cx: &mut Cx<'_, F>, event: Event) {
        let Event::SizeWritten { from, to, .. } = event else { return };
        let by_server = cx.k.fs().declaration().size_guard == SizeGuard::Server;
        match cx.actor_effect() {
            Some(Effect::Resizes(_)) => {}
            Some(effect) if effect.extends_to().is_some() && to >= from => {}
            // A write that found no space takes back the gap before it, which it had filled first.
            Some(effect)
                if effect.writes().is_some_and(|cells| from <= cells.start)
                    && cx.k.task().outcome().done() == 0 => {}
            None if by_server => {}
            // The reply to a punch tells the server's size, and no more than that may come of it.
            Some(Effect::Discards(_))
                if by_server && (to < from || to <= cx.k.server().attributes().size) => {}
            Some(Effect::Discards(_)) if by_server => {
                cx.size_breach(from.min(to), "i_size raised by one who may not");
            }
            _ if to < from => cx.size_breach(from.min(to), "i_size lowered by one who may not"),
            _ if to > from && !by_server => cx.size_breach(from.min(to), "i_size raised by one who may not"),
            _ => {}
        }
    }
}
