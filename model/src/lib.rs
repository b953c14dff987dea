//! The simulated machine of mkwrite.
//!
//! A deterministic, single-threaded model of what the Linux kernel does with one file that is
//! mapped shared and writable: page cache, ptes, locks, writeback, truncate, invalidate, reclaim,
//! and the fault path that calls a filesystem's `page_mkwrite` when a clean page is about to become
//! writable.
//!
//! - [`case`]: the program, geometry, faults and schedule of a run; [`bytes`], [`text`]: its other
//!   two forms; [`generate`]: arbitrary ones; [`geometry`], [`operation`], [`site`]: the tables of
//!   fields, operations and injected faults that they all derive from
//! - [`kernel`]: state and primitives; [`mm`]: the actors; [`era`]: what kernels do differently,
//!   and their fault paths
//! - [`implementation`]: the contract that a filesystem fulfils; the filesystems are in
//!   `mkwrite-impls`
//! - [`exec`], [`schedule`], [`machine`]: tasks, schedulers, and the loop that runs a case
//! - [`point`], [`plant`]: the tables of scheduling points and of planted bugs
//! - [`source`]: the form in which rules, implementations and remedies name their sources
//! - [`trace`]: what a run did, line by line, and its hash
//!
//! Memory is sequentially consistent at the granularity of a step; `docs/limits.md` says what
//! cannot be found that way.

pub mod bit_set;
pub mod bytes;
pub mod case;
pub mod era;
pub mod exec;
pub mod generate;
pub mod geometry;
pub mod implementation;
pub mod kernel;
pub mod machine;
pub mod mm;
pub mod mutate;
pub mod operation;
pub mod plant;
pub mod point;
mod registry;
pub mod remedy;
pub mod schedule;
pub mod site;
pub mod source;
pub mod text;
mod theme;
pub mod trace;

pub use case::Case;
pub use machine::{End, Machine, Observer, Setup, Target};
