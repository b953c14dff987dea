//! filemap_page_mkwrite, the generic one of 3.7 and later, over plain fs/buffer.c. mm/filemap.c of
//! 3.10 and 6.12, which do the same; what differs is the kernel around it.
//!
//! The minimal correct one: lock, check the mapping, mark the page dirty, wait for writeback if the
//! device needs stable pages (this one does), return LOCKED. No size check, and nothing is
//! reserved: blocks are allocated by writepage, so a full disk is found there and reported by
//! fsync. Left out: the freeze reference, file_update_time inside page_mkwrite. 6.12 punches holes
//! as ext4 does ([`punch_hole`](crate::buffer::punch_hole)), and its page_mkwrite holds
//! invalidate_lock as ext4's does: ext2, whose mappings these are, does neither.

use mkwrite_model::era::Era;
use mkwrite_model::implementation::{
    Aspect, Code, Convention, Declaration, Implementation, SizeGuard, VmOperations,
};
use mkwrite_model::kernel::{Frame, Kernel};
use mkwrite_model::mm;
use mkwrite_model::point::Point as P;

use crate::buffer::BufferHeads;

/// The versions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Filemap {
    /// 3.10.
    V3_10,
    /// 6.12.
    V6_12,
}

impl Filemap {
    /// All of them, oldest first.
    pub const VERSIONS: &[Filemap] = &[Filemap::V3_10, Filemap::V6_12];
}

impl<F: BufferHeads> Implementation<F> for Filemap {
    fn declaration(self) -> &'static Declaration {
        const V3_10: Declaration = Declaration {
            name: "filemap@3.10",
            convention: Convention::Locked,
            natural: Era::V2_6_30,
            era: Era::V3_10,
            page_cache: true,
            stable_pages: true,
            freezes: true,
            size_guard: SizeGuard::InodeLock,
            may_differ: &[Aspect::Blocks], // a dirty page without buffers is written whole
            record: "nothing",
            source: "3.10 mm/filemap.c: filemap_page_mkwrite [generic-page-mkwrite, stable-pages]",
        };
        match self {
            Filemap::V3_10 => &V3_10,
            Filemap::V6_12 => &Declaration {
                name: "filemap@6.12",
                natural: Era::V6_12,
                era: Era::V6_12,
                source: "6.12 mm/filemap.c: filemap_page_mkwrite [generic-page-mkwrite, stable-pages]",
                ..V3_10
            },
        }
    }
}

impl<F: BufferHeads> VmOperations<F> for Filemap {
    /// The generic one; where holes can be punched under invalidate_lock, as ext4_page_mkwrite and
    /// xfs_write_fault have it.
    async fn page_mkwrite(self, k: &Kernel<F>, page: Frame) -> Code {
        k.invalidate_lock_shared(P::MkwriteInvalidate).await;
        let code = mm::filemap_page_mkwrite(k, page).await;
        k.invalidate_unlock_shared();
        code
    }
}

crate::buffer_heads!(Filemap, untied_record);
