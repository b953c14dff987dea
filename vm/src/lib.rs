//! Real kernels: boots one in a virtual machine and runs cases there, by their own schedules.
//!
//! The host's half. It finds or fetches a kernel (`kernel.rs`, `packages.rs`), builds what runs in
//! the guest from the C sources in `live/kernel` (`build.rs`), packs it into an initramfs
//! (`initramfs.rs`), boots it under qemu (`qemu.rs`), and talks with the guest's agent over a
//! serial line (`guest.rs`). Where the model's points lie in a kernel is `points.toml`, looked up
//! in the code of the booted kernel (`points.rs`, `code.rs`); which filesystems there are is
//! `filesystems.toml`. A case is replayed and judged in `replay.rs`.
//!
//! Left out: hardware acceleration (a machine may offer KVM and hang in it), other machines than
//! x86-64, and everything that would change the host: packages are unpacked into a cache, never
//! installed.

pub mod build;
pub mod cache;
pub mod code;
pub mod console;
pub mod demo;
pub mod filesystems;
pub mod guest;
pub mod hunt;
pub mod initramfs;
pub mod judge;
pub mod kernel;
pub mod packages;
pub mod paths;
pub mod points;
pub mod qemu;
pub mod replay;
pub mod session;

/// Says during what an error happened, in the same sentence: a context is a remedy here. What
/// cannot be done on this machine, and a guest that has died, stay what they are.
pub(crate) fn during(what: impl std::fmt::Display) -> impl FnOnce(anyhow::Error) -> anyhow::Error {
    move |error| match error.is::<Unavailable>() || error.is::<guest::Dead>() {
        true => error,
        false => anyhow::anyhow!("{what}: {error:#}"),
    }
}

/// Something cannot be done on this machine, which is neither a pass nor a failure.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("{what}")]
pub struct Unavailable {
    /// What is missing.
    pub what: String,
    /// What would mend it.
    pub remedy: String,
}

impl Unavailable {
    /// An error that says so, with the remedy as its context.
    pub fn error(what: impl Into<String>, remedy: impl Into<String>) -> anyhow::Error {
        let (what, remedy) = (what.into(), remedy.into());
        anyhow::Error::new(Unavailable { what, remedy: remedy.clone() }).context(remedy)
    }
}
