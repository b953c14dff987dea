//! The registry: the one list of implementations. Adding one is its file and a line at the end of this one.

use std::sync::LazyLock;

use mkwrite_model::case::Range;
use mkwrite_model::implementation::{Declaration, Implementation, Record, Registry, StoredPairs, WbSync};
use mkwrite_model::kernel::{Frame, Request, Stamp, Status};

use crate::Kernel;

macro_rules! implementations {
    ($($variant:ident $module:ident;)*) => {
        /// Any of the built-in implementations.
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        pub enum Builtin { $(#[allow(missing_docs)] $variant(crate::$module::$variant),)* }

        static ALL: LazyLock<Vec<Builtin>> = LazyLock::new(|| {
            let mut all = Vec::new();
            $(all.extend(crate::$module::$variant::VERSIONS.iter().map(|fs| Builtin::$variant(*fs)));)*
            all
        });

        /// page->private of the built-in implementations.
        #[derive(Clone, Copy, PartialEq, Debug, Default)]
        pub enum Private {
            /// Nothing is attached.
            #[default]
            None,
            /// buffer_heads.
            Buffers(crate::buffer::Buffers),
            /// An NFS write request.
            Request(crate::nfs::WriteRequest),
            /// fsblocks.
            Blocks(crate::fsblock::Blocks),
            /// A device driver's own page.
            Driver,
        }

        impl Implementation<Builtin> for Builtin {
            fn declaration(self) -> &'static Declaration {
                match self { $(Builtin::$variant(fs) => fs.declaration(),)* }
            }
            async fn page_mkwrite(self, k: &Kernel, page: Frame) -> i32 {
                match self { $(Builtin::$variant(fs) => fs.page_mkwrite(k, page).await,)* }
            }
            fn set_page_dirty(self, k: &Kernel, page: Frame) -> bool {
                match self { $(Builtin::$variant(fs) => fs.set_page_dirty(k, page),)* }
            }
            async fn writepage(self, k: &Kernel, page: Frame, sync: WbSync) -> Status {
                match self { $(Builtin::$variant(fs) => fs.writepage(k, page, sync).await,)* }
            }
            async fn writepages(self, k: &Kernel, pages: Range, sync: WbSync) -> Status {
                match self { $(Builtin::$variant(fs) => fs.writepages(k, pages, sync).await,)* }
            }
            async fn write_inode(self, k: &Kernel) {
                match self { $(Builtin::$variant(fs) => fs.write_inode(k).await,)* }
            }
            fn transfer(self, k: &Kernel, request: Request) {
                match self { $(Builtin::$variant(fs) => fs.transfer(k, request),)* }
            }
            async fn complete(self, k: &Kernel, request: Request) {
                match self { $(Builtin::$variant(fs) => fs.complete(k, request).await,)* }
            }
            fn readpage(self, k: &Kernel, page: Frame) {
                match self { $(Builtin::$variant(fs) => fs.readpage(k, page),)* }
            }
            async fn before_write_begin(self, k: &Kernel, cells: Range) {
                match self { $(Builtin::$variant(fs) => fs.before_write_begin(k, cells).await,)* }
            }
            async fn write_begin(self, k: &Kernel, page: Frame, cells: Range) -> Status {
                match self { $(Builtin::$variant(fs) => fs.write_begin(k, page, cells).await,)* }
            }
            async fn write_end(self, k: &Kernel, page: Frame, cells: Range) {
                match self { $(Builtin::$variant(fs) => fs.write_end(k, page, cells).await,)* }
            }
            async fn invalidatepage(self, k: &Kernel, page: Frame, from: u8) {
                match self { $(Builtin::$variant(fs) => fs.invalidatepage(k, page, from).await,)* }
            }
            async fn releasepage(self, k: &Kernel, page: Frame) -> bool {
                match self { $(Builtin::$variant(fs) => fs.releasepage(k, page).await,)* }
            }
            async fn launder_page(self, k: &Kernel, page: Frame) {
                match self { $(Builtin::$variant(fs) => fs.launder_page(k, page).await,)* }
            }
            async fn fsync(self, k: &Kernel) -> Status {
                match self { $(Builtin::$variant(fs) => fs.fsync(k).await,)* }
            }
            async fn setattr(self, k: &Kernel, size: u8) {
                match self { $(Builtin::$variant(fs) => fs.setattr(k, size).await,)* }
            }
            async fn after_truncate(self, k: &Kernel, size: u8) {
                match self { $(Builtin::$variant(fs) => fs.after_truncate(k, size).await,)* }
            }
            fn mount(self, k: &Kernel) {
                match self { $(Builtin::$variant(fs) => fs.mount(k),)* }
            }
            fn own_page(self, k: &Kernel, index: u8) -> Option<Frame> {
                match self { $(Builtin::$variant(fs) => fs.own_page(k, index),)* }
            }
            fn record(self, k: &Kernel, page: Frame) -> Record {
                match self { $(Builtin::$variant(fs) => fs.record(k, page),)* }
            }
            fn pending(self, k: &Kernel, page: Frame) -> u8 {
                match self { $(Builtin::$variant(fs) => fs.pending(k, page),)* }
            }
            fn is_releasable(self, k: &Kernel, page: Frame) -> bool {
                match self { $(Builtin::$variant(fs) => fs.is_releasable(k, page),)* }
            }
            fn launders(self) -> bool {
                match self { $(Builtin::$variant(fs) => fs.launders(),)* }
            }
            fn durable(self, k: &Kernel, cell: u8) -> Stamp {
                match self { $(Builtin::$variant(fs) => fs.durable(k, cell),)* }
            }
            fn stored(self, k: &Kernel, cell: u8) -> Stamp {
                match self { $(Builtin::$variant(fs) => fs.stored(k, cell),)* }
            }
            fn durable_size(self, k: &Kernel) -> u8 {
                match self { $(Builtin::$variant(fs) => fs.durable_size(k),)* }
            }
            fn synced(self, k: &Kernel, cell: u8, since: u32) -> Stamp {
                match self { $(Builtin::$variant(fs) => fs.synced(k, cell, since),)* }
            }
            fn synced_size(self, k: &Kernel, since: u32) -> u8 {
                match self { $(Builtin::$variant(fs) => fs.synced_size(k, since),)* }
            }
            fn allocated(self, k: &Kernel) -> u32 {
                match self { $(Builtin::$variant(fs) => fs.allocated(k),)* }
            }
        }
    };
}

impl Registry for Builtin {
    type Private = Private;

    fn all() -> &'static [Builtin] {
        &ALL
    }

    fn ledger() -> &'static [(&'static str, &'static str)] {
        FILES
    }

    fn stored_pairs() -> StoredPairs {
        crate::stored::PAIRS
    }
}

macro_rules! files {
    ($($name:literal)*) => {
        /// The files of the ledger in this repository: their names below `corpus/ledger`, and their texts.
        const FILES: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../corpus/ledger/", $name))),)*];
    };
}

files! { "all.toml" "block.toml" "driver.toml" "ext3.toml" "fsblock.toml" "nfs.toml" "tmpfs.toml" }

impl std::fmt::Display for Private {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Private::None => f.write_str("-"),
            Private::Buffers(buffers) => buffers.fmt(f),
            Private::Request(request) => request.fmt(f),
            Private::Blocks(blocks) => blocks.fmt(f),
            Private::Driver => f.write_str("driver"),
        }
    }
}

implementations! {
    Block   block;
    Nfs     nfs;
    Fsblock fsblock;
    Filemap filemap;
    Driver  driver;
    Ext3    ext3;
    Shmem   shmem;
}

#[cfg(test)]
mod tests {
    use super::*;
    use mkwrite_model::callers::Caller;
    use mkwrite_model::implementation::{Adapter, Pair};

    fn adapter(implementation: &str, caller: Caller) -> Result<Adapter, String> {
        let fs = Builtin::by_name(implementation).expect("a known name");
        Pair::new(fs, caller).map(|pair| pair.adapter).map_err(|refused| refused.to_string())
    }

    #[test]
    fn names_are_unique_and_natural_callers_fit() {
        let mut names: Vec<_> = Builtin::all().iter().map(|fs| fs.name()).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), Builtin::all().len());
        for &fs in Builtin::all() {
            assert_eq!(Pair::natural(fs).adapter, Adapter::None, "{}", fs.name());
        }
    }

    #[test]
    fn every_file_of_the_ledger_is_compiled_in() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/ledger");
        let mut names: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, FILES.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    }

    #[test]
    fn conventions_meet_through_a_visible_adapter_or_not_at_all() {
        assert_eq!(adapter("nfs@2.6.29", Caller::V2_6_30), Ok(Adapter::Codes));
        assert_eq!(adapter("nfs@3.0", Caller::V2_6_30Rc), Ok(Adapter::Unlock));
        assert_eq!(adapter("block@2.6.30-rc", Caller::V2_6_30), Ok(Adapter::None));
        assert_eq!(adapter("driver@2.6.30", Caller::V2_6_29), Ok(Adapter::None));
        let refused = adapter("nfs@3.0", Caller::V2_6_29).unwrap_err();
        assert_eq!(refused, "nfs@3.0 does not run under caller 2.6.29: a locked return would deadlock");
        assert!(adapter("block@2.6.30-rc", Caller::V2_6_29).is_err());
    }
}
