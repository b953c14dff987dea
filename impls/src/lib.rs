//! The implementations of page_mkwrite: one file per filesystem, each holding its versions.
//!
//! A file reads top to bottom like the kernel functions that it models. [`with_builtin!`] has the
//! one list of them, and makes a registry of these and of your own; [`Builtin`] is that of these
//! alone. What ties data to its pages asks of the registry that its private data can hold it, as
//! [`BufferHeads`] does; so each runs in any such registry. `docs/adding.md` shows how to add one.

mod block;
pub mod buffer;
mod driver;
mod ext3;
mod ext4;
mod filemap;
mod fsblock;
mod fuse;
pub mod iomap;
mod nfs;
mod registry;
mod shmem;
mod stored_pairs;
mod xfs;

pub use block::Block;
pub use buffer::{BufferHeads, Buffers};
pub use driver::{Driver, DriverPage};
pub use ext3::Ext3;
pub use ext4::{Ext4, Journal};
pub use filemap::Filemap;
pub use fsblock::{Blocks, Fsblock};
pub use fuse::{Fuse, FuseInode};
pub use iomap::{FolioState, Writer};
pub use mkwrite_model as model;
pub use nfs::{Client, Nfs, WriteRequest};
pub use registry::{Builtin, LEDGER, Private};
pub use shmem::Shmem;
pub use stored_pairs::PAIRS as STORED_PAIRS;
pub use xfs::Xfs;
