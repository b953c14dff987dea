//! block_page_mkwrite, and a filesystem that is otherwise plain fs/buffer.c (ext2 with
//! page_mkwrite). 2.6.29, 2.6.30 and 6.12 fs/buffer.c; the patch as posted for the conversion
//! (`[block-page-mkwrite]`, `[patch-as-posted]`).
//!
//! page_mkwrite allocates exactly the blocks below i_size as it read it, and leaves the rest of the
//! page alone. The size test is `>`: a page that starts exactly at the end is accepted with nothing
//! allocated. Versions: int codes and unlocked return; the right codes, still unlocked (which
//! separates the code fix from the lock fix); the right codes and locked return; and 6.12, which
//! tests with `>=`, marks the whole page dirty, and waits for stable pages (this device needs them).
//! 6.12 punches holes as ext4 does ([`punch_hole`](crate::buffer::punch_hole)), and holds
//! invalidate_lock around page_mkwrite as that does. Left out: what else ext4 does around it
//! (freeze, time, journal, delayed allocation).

use mkwrite_model::era::Era;
use mkwrite_model::implementation::{
    Code, Convention, Declaration, EINVAL, ENOSPC, Implementation, LOCKED, NOPAGE, OK, SIGBUS,
    SizeGuard, VmOperations,
};
use mkwrite_model::kernel::{Frame, Kernel};
use mkwrite_model::mm;
use mkwrite_model::point::Point as P;
use mkwrite_model::remedy::Remedy;

use crate::buffer::{self, BufferHeads, GetBlock, Refused};

/// The versions.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Block {
    /// 2.6.24 to 2.6.29.
    V2_6_29,
    /// 2.6.30-rc1 until the patch.
    V2_6_30Rc,
    /// 2.6.30 to 2.6.39.
    V2_6_30,
    /// 6.12.
    V6_12,
}

const RECORD: &str = "blocks on the device for every dirty block below i_size (buffer heads)";

impl Block {
    /// All of them, oldest first.
    pub const VERSIONS: &[Block] =
        &[Block::V2_6_29, Block::V2_6_30Rc, Block::V2_6_30, Block::V6_12];
}

impl<F: BufferHeads> Implementation<F> for Block {
    fn declaration(self) -> &'static Declaration {
        const V2_6_29: Declaration = Declaration {
            name: "block@2.6.29",
            convention: Convention::Errno,
            natural: Era::V2_6_29,
            era: Era::V2_6_29,
            page_cache: true,
            stable_pages: false,
            freezes: true,
            size_guard: SizeGuard::InodeLock,
            may_differ: &[],
            record: RECORD,
            source: "2.6.29 fs/buffer.c: block_page_mkwrite [block-page-mkwrite]",
        };
        match self {
            Block::V2_6_29 => &V2_6_29,
            Block::V2_6_30Rc => &Declaration {
                name: "block@2.6.30-rc",
                convention: Convention::Codes,
                natural: Era::V2_6_30_RC,
                era: Era::V2_6_30,
                source: "2.6.30-rc1 fs/buffer.c: block_page_mkwrite; commit c2ec175c39f6 [fault-codes, \
                         block-page-mkwrite]",
                ..V2_6_29
            },
            Block::V2_6_30 => &Declaration {
                name: "block@2.6.30",
                convention: Convention::Locked,
                natural: Era::V2_6_30,
                era: Era::V2_6_30,
                source: "2.6.30 fs/buffer.c: block_page_mkwrite [block-page-mkwrite, locked-return]",
                ..V2_6_29
            },
            Block::V6_12 => &Declaration {
                name: "block@6.12",
                convention: Convention::Locked,
                natural: Era::V6_12,
                era: Era::V6_12,
                stable_pages: true,
                source: "6.12 fs/buffer.c: block_page_mkwrite [block-page-mkwrite, stable-pages, isize-extended]",
                ..V2_6_29
            },
        }
    }
}

impl<F: BufferHeads> VmOperations<F> for Block {
    /// ext4_page_mkwrite, as far as the lock goes.
    async fn page_mkwrite(self, k: &Kernel<F>, page: Frame) -> Code {
        k.invalidate_lock_shared(P::MkwriteInvalidate).await;
        let code = self.block_page_mkwrite(k, page).await;
        k.invalidate_unlock_shared();
        code
    }
}

impl Block {
    async fn block_page_mkwrite<F: BufferHeads>(self, k: &Kernel<F>, page: Frame) -> Code {
        let truncated = match self {
            Block::V2_6_29 if k.remedied(Remedy::RetryOnRace) => NOPAGE,
            Block::V2_6_29 => EINVAL,
            _ => NOPAGE,
        };
        let no_space = if self == Block::V2_6_29 { ENOSPC } else { SIGBUS };

        let takes_eof = self != Block::V6_12;
        match buffer::block_page_mkwrite(k, page, GetBlock::Now, takes_eof).await {
            Err(Refused::Truncated) => return truncated,
            Err(Refused::NoSpace) => return no_space,
            Ok(()) => {}
        }
        if self == Block::V6_12 {
            k.set_page_dirty(page).await;
            mm::wait_for_stable_page(k, page).await;
            return LOCKED;
        }
        if self == Block::V2_6_30 || k.remedied(Remedy::LockedReturn) {
            return LOCKED;
        }
        k.at_page(P::MkwriteReturn, page).await;
        k.unlock_page(page);
        OK
    }
}

crate::buffer_heads!(Block, record);
