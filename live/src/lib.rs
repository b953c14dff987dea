//! Cases on the real kernel that this program runs on. Linux only (x86-64 and 64-bit Arm);
//! elsewhere the crate is empty.
//!
//! - [`word`]: what a cell holds on a real filesystem; [`access`]: stores and loads that may fault
//! - [`operations`]: what each operation of the model really does, one row each
//! - [`exec`]: runs a case on a folder; [`store`]: what is on its store; [`mounts`]: filesystems
//!   for that, seen by nobody else, one of them in user space ([`fuse`])
//! - [`conformance`]: random cases of one actor on a model and on a kernel; [`compare`]: the
//!   comparison; [`ledger`]: the differences that are explained, with [`kernel`] versions
//! - [`hunt`]: random cases whose actors race; [`judge`]: their runs before the history checker

#![cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64")))]

pub mod access;
pub mod compare;
pub mod conformance;
pub mod exec;
pub mod fuse;
pub mod hunt;
pub mod judge;
pub mod kernel;
pub mod ledger;
pub mod mounts;
pub mod operations;
pub mod store;
pub mod word;
