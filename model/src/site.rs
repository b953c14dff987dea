//! Injected faults: what goes wrong in a run because its case says so, at named sites, one row
//! each.
//!
//! A site is a place in the code that asks [`Kernel::fails`](crate::kernel::Kernel::fails): it
//! counts how often a run has come there, and a case has a mask for it, one bit for each of the
//! first 16 times. A row says the code in bytes, the word in text, what goes wrong, whether that is
//! an error that a caller may see (a reply that is stable is none), how the generator draws the mask
//! and over how many bits mutations toggle. Generator, mutations, shrinker, bytes, text, its
//! reference and the lists follow. A new site draws from a stream of its own, so the cases in which
//! it draws nothing stay what they are.
//!
//! Left out: waits that a signal ends; records whose allocation fails; a setattr that fails when it
//! has changed i_size already (6.12 fs/xfs/xfs_iops.c, fs/ext4/inode.c: xfs_setattr_size,
//! ext4_truncate). What truncate reads, or allocates, to zero the last block does not fail where it
//! has nobody to tell (2.6.30 fs/ext2/inode.c: ext2_truncate).

use rand::RngExt;

use crate::generate::{Random, one_in, random};

/// One row of the table of sites.
pub struct Row {
    /// The code in bytes. Append-only.
    pub code: u8,
    /// The word in text files and lists.
    pub name: &'static str,
    /// Text of version 1 has a statement of this name for it; later sites stand in `fault`.
    pub has_statement: bool,
    /// What goes wrong is an error, which a caller may see.
    pub is_error: bool,
    /// Mutations toggle one of so many bits; 0: they leave it alone.
    pub(crate) toggled: u32,
    /// What fails, with the number of the time behind it.
    pub what: &'static str,
    /// What goes wrong.
    pub help: &'static str,
    draw: fn(&mut Random) -> u16,
}

macro_rules! sites {
    (
        ($r:ident)
        $($code:literal $variant:ident $name:literal $statement:ident $error:ident $toggled:literal $draw:expr,
            $what:literal $help:literal;)*
    ) => {
        /// A site at which a case can have something go wrong.
        #[derive(Clone, Copy, PartialEq, Eq, Debug, PartialOrd, Ord, Hash)]
        pub enum Site { $(#[doc = $help] $variant,)* }

        impl Site {
            /// All sites.
            pub const ALL: &'static [Site] = &[$(Site::$variant),*];

            /// The row of this site.
            #[allow(unused_variables)] // not every site is drawn
            pub const fn row(self) -> &'static Row {
                match self {
                    $(Site::$variant => &Row {
                        code: $code,
                        name: $name,
                        has_statement: sites!(@$statement),
                        is_error: sites!(@$error),
                        toggled: $toggled,
                        what: $what,
                        help: $help,
                        draw: |$r| $draw,
                    },)*
                }
            }

            /// The site with this code.
            pub const fn from_code(code: u8) -> Option<Site> {
                match code { $($code => Some(Site::$variant),)* _ => None }
            }

            /// The site with this name.
            pub fn from_name(name: &str) -> Option<Site> {
                match name { $($name => Some(Site::$variant),)* _ => None }
            }
        }
    };
    (@statement) => { true };
    (@fault) => { false };
    (@error) => { true };
    (@reply) => { false };
}

sites! {
    (r)
    0 Stable "stable" statement reply 8
        match r.random_range(0..8) { 0..4 => 0, 4..6 => u16::MAX, _ => r.random() },
        "reply" "a WRITE whose reply from the server says that it is on stable storage";
    1 Eio "eio" statement error 4 if one_in(r, 32) { 1 << r.random_range(0..4) } else { 0 },
        "request" "a write request that fails: EIO";
    2 Read "read" fault error 4 if one_in(r, 48) { 1 << r.random_range(0..4) } else { 0 },
        "read" "a read of a page from the store that fails (EIO)";
    3 Page "page" fault error 4 if one_in(r, 48) { 1 << r.random_range(0..8) } else { 0 },
        "allocation of a page" "an allocation of a page that fails (ENOMEM)";
    4 Block "block" fault error 4 if one_in(r, 48) { 1 << r.random_range(0..8) } else { 0 },
        "allocation of a block" "an allocation of a block that fails (ENOSPC)";
    5 Copy "copy" fault error 4 if one_in(r, 32) { 1 << r.random_range(0..4) } else { 0 },
        "copy" "a copy from the user's buffer in write(2) that ends half way through a page (EFAULT)";
    6 Setattr "setattr" fault error 4 if one_in(r, 32) { 1 << r.random_range(0..4) } else { 0 },
        "allocation of setattr" "an allocation of ftruncate(2), before it changes the size, that fails (ENOMEM)";
}

/// Sites that draw from the generator's own stream: those that it began with.
const IN_STREAM: usize = 2;
/// The stream of a later site, plus its code.
const STREAM: u64 = 0x100;

impl Site {
    /// How many there are.
    pub const COUNT: usize = Site::ALL.len();

    /// The code in bytes.
    pub const fn code(self) -> u8 {
        self.row().code
    }

    /// The word in text files and lists.
    pub const fn name(self) -> &'static str {
        self.row().name
    }
}

/// What goes wrong in a run: for each site, at which times that the run comes there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Hash)]
pub struct Faults([u16; Site::COUNT]);

impl Faults {
    /// The times of a site, one bit each.
    pub const fn of(&self, site: Site) -> u16 {
        self.0[site as usize]
    }

    /// Sets the times of a site.
    pub const fn set(&mut self, site: Site, times: u16) {
        self.0[site as usize] = times;
    }

    /// The same with other times of a site.
    #[must_use]
    pub const fn with(mut self, site: Site, times: u16) -> Faults {
        self.set(site, times);
        self
    }

    /// Errors are among them.
    pub fn has_errors(&self) -> bool {
        Site::ALL.iter().any(|site| site.row().is_error && self.of(*site) != 0)
    }

    /// Those of case `index` of the hunt with this seed; `r` is the stream that draws the case.
    pub(crate) fn draw(r: &mut Random, seed: u64, index: u64) -> Faults {
        let mut faults = Faults::default();
        for (n, site) in Site::ALL.iter().enumerate() {
            let times = if n < IN_STREAM {
                (site.row().draw)(r)
            } else {
                (site.row().draw)(&mut random(seed, index, STREAM + u64::from(site.code())))
            };
            faults.set(*site, times);
        }
        faults
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_codes_are_unique_and_invertible() {
        for site in Site::ALL {
            assert_eq!(Site::from_code(site.code()), Some(*site));
            assert_eq!(Site::from_name(site.name()), Some(*site));
            assert!(site.code() < 128, "codes stand in half a byte (bytes.rs)");
        }
        let faults = Faults::default().with(Site::Stable, 5);
        assert_eq!((faults.of(Site::Stable), faults.of(Site::Eio)), (5, 0));
        assert!(!faults.has_errors() && faults.with(Site::Eio, 1).has_errors());
    }
}
