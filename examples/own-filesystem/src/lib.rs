//! minimalfs: an invented filesystem that leaves everything to buffer heads but page_mkwrite. Two
//! versions: in the first page_mkwrite does not look whether the page is still in the mapping once
//! it has the page lock, in the second it does. A hunt finds the bug of the first within a second:
//! `cargo run --release -p own-filesystem -- hunt --impl minimalfs@1`.

use mkwrite::fs::*;

/// The versions.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Debug)]
pub enum Minimalfs {
    /// With the bug.
    V1,
    /// Without it.
    V2,
}

impl Minimalfs {
    /// All of them, oldest first.
    pub const VERSIONS: &[Minimalfs] = &[Minimalfs::V1, Minimalfs::V2];
}

impl<F: BufferHeads> Implementation<F> for Minimalfs {
    fn declaration(self) -> &'static Declaration {
        const V2: Declaration = Declaration {
            name: "minimalfs@2",
            convention: Convention::Locked,
            natural: Era::V2_6_30,
            era: Era::V2_6_30,
            page_cache: true,
            stable_pages: false,
            freezes: false,
            size_guard: SizeGuard::InodeLock,
            may_differ: &[],
            record: "buffers that are mapped and dirty, up to i_size",
            source: "an example",
        };
        match self {
            Minimalfs::V1 => &Declaration { name: "minimalfs@1", ..V2 },
            Minimalfs::V2 => &V2,
        }
    }
}

impl<F: BufferHeads> VmOperations<F> for Minimalfs {
    async fn page_mkwrite(self, k: &Kernel<F>, page: Frame) -> Code {
        k.lock_page(page, P::MkwriteLock).await;
        if self >= Minimalfs::V2 && !k.in_mapping(page) {
            k.unlock_page(page);
            return NOPAGE;
        }
        let below_eof = Range::new(0, k.length_below_eof(page));
        k.at_page(P::MkwriteAttach, page).await;
        if buffer::prepare(k, page, below_eof).await != Status::Ok {
            k.unlock_page(page);
            return SIGBUS;
        }
        k.at_page(P::MkwriteDirty, page).await;
        buffer::commit(k, page, below_eof).await;
        LOCKED
    }
}

mkwrite::buffer_heads!(Minimalfs, record);

mkwrite::with_builtin! {
    /// minimalfs, and the filesystems of mkwrite beside it.
    pub enum Filesystems {
        Minimalfs(Minimalfs),
    }
    /// page->private of all of them: buffers, and what the others tie to their pages.
    private enum Private {}
    ledger [&[("minimalfs.toml", include_str!("../ledger.toml"))]]
}
