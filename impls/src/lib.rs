//! The implementations of page_mkwrite: one file per filesystem, each holding its versions.
//!
//! A file reads top to bottom like the kernel functions that it models. [`registry`] is the one list of
//! them; everything else is derived from it. `docs/adding.md` shows how to add one.

mod block;
mod buffer;
mod driver;
mod ext3;
mod filemap;
mod fsblock;
mod nfs;
pub mod registry;
mod shmem;
mod stored;

pub use registry::{Builtin, Private};

/// The kernel that runs them.
pub type Kernel = mkwrite_model::kernel::Kernel<Builtin>;
