//! filemap_page_mkwrite, the generic one of 3.7 and later, over plain fs/buffer.c. 3.10
//! mm/filemap.c.
//!
//! The minimal correct one: lock, check the mapping, mark the page dirty, wait for writeback if the
//! device needs stable pages (this one does), return LOCKED. No size check, and nothing is
//! reserved: blocks are allocated by writepage, so a full disk is found there and reported by
//! fsync. Left out: the freeze reference, file_update_time inside page_mkwrite.

use mkwrite_model::era::Era;
use mkwrite_model::implementation::{
    Aspect, Convention, Declaration, Implementation, SizeGuard, VmOperations,
};

use crate::buffer::BufferHeads;

/// The versions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Filemap {
    /// 3.10.
    V3_10,
}

impl Filemap {
    /// All of them, oldest first.
    pub const VERSIONS: &[Filemap] = &[Filemap::V3_10];
}

impl<F: BufferHeads> Implementation<F> for Filemap {
    fn declaration(self) -> &'static Declaration {
        &Declaration {
            name: "filemap@3.10",
            convention: Convention::Locked,
            natural: Era::V2_6_30,
            era: Era::V3_10,
            page_cache: true,
            stable_pages: true,
            size_guard: SizeGuard::InodeLock,
            may_differ: &[Aspect::Blocks], // a dirty page without buffers is written whole
            record: "nothing",
            source: "3.10 mm/filemap.c: filemap_page_mkwrite [generic-page-mkwrite, stable-pages]",
        }
    }
}

// Its page_mkwrite is the default.
impl<F: BufferHeads> VmOperations<F> for Filemap {}

crate::buffer_heads!(Filemap, untied_record);
