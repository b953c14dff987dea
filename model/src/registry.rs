//! [`registry!`](macro@crate::registry): several implementations as one registry.

/// Makes one registry of implementations: an enum with a variant for each type, an enum of the
/// private data that they tie to their pages, and a struct of what they keep per inode. Each type
/// has its versions in a constant `VERSIONS`, and implements
/// [`Implementation`](crate::implementation::Implementation) and its operations for this registry,
/// or for every one whose private data [`Holds`](crate::implementation::Holds) what it needs.
#[macro_export]
macro_rules! registry {
    (
        $(#[$meta:meta])* $vis:vis enum $name:ident { $($variant:ident($type:ty)),* $(,)? }
        $(#[$private_meta:meta])* private enum $private:ident { $($kind:ident($data:ty)),* $(,)? }
        $(inode { $($field:ident: $state:ty),* $(,)? })?
        ledger [$($ledger:expr),* $(,)?]
        stored $stored:expr
    ) => {
        $(#[$meta])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug)]
        #[allow(missing_docs)]
        $vis enum $name { $($variant($type),)* }

        $(#[$private_meta])*
        #[derive(Clone, Copy, PartialEq, Debug, Default)]
        #[allow(missing_docs)]
        $vis enum $private { #[default] None, $($kind($data),)* }

        impl std::fmt::Display for $private {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                match self {
                    $private::None => f.write_str("-"),
                    $($private::$kind(data) => std::fmt::Display::fmt(data, f),)*
                }
            }
        }

        $(
            impl $crate::implementation::Holds<$data> for $private {
                fn get(&self) -> Option<$data> {
                    match self {
                        $private::$kind(data) => Some(*data),
                        _ => None,
                    }
                }

                fn put(data: $data) -> Self {
                    $private::$kind(data)
                }
            }
        )*

        impl $crate::implementation::Filesystem for $name {
            type Private = $private;
            type Inode = <$name as $crate::implementation::HasInodeState>::State;

            fn all() -> &'static [$name] {
                static ALL: std::sync::LazyLock<Vec<$name>> = std::sync::LazyLock::new(|| {
                    let mut all = Vec::new();
                    $(all.extend(<$type>::VERSIONS.iter().map(|fs| $name::$variant(*fs)));)*
                    all
                });
                &ALL
            }

            fn ledger() -> &'static [(&'static str, &'static str)] {
                static ALL: std::sync::LazyLock<Vec<(&'static str, &'static str)>> =
                    std::sync::LazyLock::new(|| [$($ledger as &[_]),*].concat());
                &ALL
            }

            fn stored_pairs() -> $crate::implementation::StoredPairs {
                $stored
            }
        }

        const _: () = {
            use $crate::implementation::names::*;

            impl Implementation<$name> for $name {
                fn declaration(self) -> &'static Declaration {
                    match self {
                        $($name::$variant(fs) => Implementation::<$name>::declaration(fs),)*
                    }
                }

                fn mount(self, k: &Kernel<$name>) {
                    match self {
                        $($name::$variant(fs) => Implementation::<$name>::mount(fs, k),)*
                    }
                }
            }

            /// What the filesystems keep of an inode.
            #[derive(Default)]
            #[allow(unreachable_pub)]
            pub struct State { $($($field: $state,)*)? }

            impl InodeState for State {
                fn reset(&self) {
                    $($(self.$field.reset();)*)?
                }
            }

            $($(
                impl Keeps<$state> for State {
                    fn state(&self) -> &$state {
                        &self.$field
                    }
                }
            )*)?

            impl HasInodeState for $name {
                type State = State;
            }

            type F = $name;
            $crate::forward_address_space_operations!($name $($variant)*);
            $crate::forward_vm_operations!($name $($variant)*);
            $crate::forward_inode_operations!($name $($variant)*);
            $crate::forward_request_operations!($name $($variant)*);
            $crate::forward_store!($name $($variant)*);
        };
    };
}
