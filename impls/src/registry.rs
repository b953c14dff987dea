//! The one list of implementations. Adding one is its file and a line of
//! [`with_builtin!`](crate::with_builtin).

macro_rules! files {
    ($($name:literal)*) => {
        /// The ledger of what these are expected to break: the files below `corpus/ledger`, by
        /// name.
        pub const LEDGER: &[(&str, &str)] = &[$(($name, include_str!(concat!("../../corpus/ledger/", $name))),)*];
    };
}

files! { "all.toml" "block.toml" "driver.toml" "ext3.toml" "ext4.toml" "fsblock.toml" "fuse.toml" "nfs.toml" "tmpfs.toml" "xfs.toml" }

/// A registry of the implementations of this repository, and of others beside them, for the
/// differential rule:
///
/// ```
/// # use mkwrite_model::implementation::Filesystem;
/// mkwrite_impls::with_builtin! {
///     /// Nothing of our own yet.
///     pub enum Everything {}
///     private enum Private {}
///     ledger []
/// }
/// assert!(Everything::by_name("nfs@3.0").is_some());
/// ```
#[macro_export]
macro_rules! with_builtin {
    (
        $(#[$meta:meta])* $vis:vis enum $name:ident { $($own:tt)* }
        $(#[$private_meta:meta])* private enum $private:ident { $($data:tt)* }
        $(inode { $($state:tt)* })?
        ledger [$($ledger:expr),* $(,)?]
    ) => {
        $crate::model::registry! {
            $(#[$meta])*
            $vis enum $name {
                Block($crate::Block),
                Nfs($crate::Nfs),
                Fsblock($crate::Fsblock),
                Filemap($crate::Filemap),
                Driver($crate::Driver),
                Ext3($crate::Ext3),
                Shmem($crate::Shmem),
                Ext4($crate::Ext4),
                Xfs($crate::Xfs),
                Fuse($crate::Fuse),
                $($own)*
            }
            $(#[$private_meta])*
            private enum $private {
                Buffers($crate::Buffers),
                Request($crate::WriteRequest),
                Blocks($crate::Blocks),
                Driver($crate::DriverPage),
                Folio($crate::FolioState),
                $($data)*
            }
            inode {
                nfs: $crate::Client,
                ext4: $crate::Journal,
                writer: $crate::Writer,
                fuse: $crate::FuseInode,
                $($($state)*)?
            }
            ledger [$crate::LEDGER, $($ledger),*]
            stored $crate::STORED_PAIRS
        }
    };
}

with_builtin! {
    /// Any of the implementations of this repository.
    pub enum Builtin {}
    /// page->private of the built-in implementations.
    private enum Private {}
    ledger []
}

#[cfg(test)]
mod tests {
    use super::*;
    use mkwrite_model::era::Era;
    use mkwrite_model::implementation::{Adapter, Filesystem, Pair};

    fn adapter(implementation: &str, caller: Era) -> Result<Adapter, String> {
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
        let mut names: Vec<_> = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        assert_eq!(names, LEDGER.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    }

    #[test]
    fn conventions_meet_through_a_visible_adapter_or_not_at_all() {
        assert_eq!(adapter("nfs@2.6.29", Era::V2_6_30), Ok(Adapter::Codes));
        assert_eq!(adapter("nfs@3.0", Era::V2_6_30_RC), Ok(Adapter::Unlock));
        assert_eq!(adapter("block@2.6.30-rc", Era::V2_6_30), Ok(Adapter::None));
        assert_eq!(adapter("driver@2.6.30", Era::V2_6_29), Ok(Adapter::None));
        let refused = adapter("nfs@3.0", Era::V2_6_29).unwrap_err();
        assert_eq!(
            refused,
            "nfs@3.0 does not run under caller 2.6.29: a locked return would deadlock"
        );
        assert!(adapter("block@2.6.30-rc", Era::V2_6_29).is_err());
    }
}
