//! ext3, and ext2: fs/buffer.c without page_mkwrite, as most filesystems of 2.6.29 and 2.6.30 were.
//!
//! Their mmap is generic_file_mmap, whose vm_ops have ->fault alone (2.6.30 mm/filemap.c:
//! generic_file_vm_ops; fs/ext2/file.c, fs/ext3/file.c). The mapping accounts dirty pages, so write
//! faults are noticed; but nobody asks the filesystem, and blocks are allocated by writepage: a
//! full disk is found there, and reported by fsync. The two versions differ by their fault path.
//! Left out: ext3's journal (ordered mode starts a transaction in writepage, and redirties the page
//! if it runs inside one). Without it ext3 is ext2.

use mkwrite_model::era::Era;
use mkwrite_model::implementation::{
    Aspect, Convention, Declaration, Implementation, SizeGuard, VmOperations,
};

use crate::buffer::BufferHeads;

/// The versions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Ext3 {
    /// 2.6.29.
    V2_6_29,
    /// 2.6.30.
    V2_6_30,
}

impl Ext3 {
    /// All of them, oldest first.
    pub const VERSIONS: &[Ext3] = &[Ext3::V2_6_29, Ext3::V2_6_30];
}

impl<F: BufferHeads> Implementation<F> for Ext3 {
    fn declaration(self) -> &'static Declaration {
        const V2_6_29: Declaration = Declaration {
            name: "ext3@2.6.29",
            convention: Convention::None,
            natural: Era::V2_6_29,
            era: Era::V2_6_29,
            page_cache: true,
            stable_pages: false,
            freezes: true,
            size_guard: SizeGuard::InodeLock,
            may_differ: &[Aspect::Blocks], // a dirty page without buffers is written whole
            record: "nothing",
            source: "2.6.29 fs/ext2/file.c, fs/ext3/file.c, fs/buffer.c; mm/memory.c: do_wp_page, __do_fault \
                     [ext3-no-mkwrite, no-page-mkwrite]",
        };
        match self {
            Ext3::V2_6_29 => &V2_6_29,
            Ext3::V2_6_30 => &Declaration {
                name: "ext3@2.6.30",
                natural: Era::V2_6_30,
                era: Era::V2_6_30,
                source: "2.6.30 fs/ext2/file.c, fs/ext3/file.c, fs/buffer.c; mm/memory.c: do_wp_page, __do_fault \
                         [ext3-no-mkwrite, no-page-mkwrite]",
                ..V2_6_29
            },
        }
    }
}

// No page_mkwrite.
impl<F: BufferHeads> VmOperations<F> for Ext3 {}

crate::buffer_heads!(Ext3, untied_record);
