//! [`registry!`](macro@crate::registry): several implementations as one registry.

/// Makes one registry of implementations: an enum with a variant for each type, and an enum of the
/// private data that they tie to their pages. Each type has its versions in a constant `VERSIONS`,
/// and implements [`Implementation`](crate::implementation::Implementation) for this registry, or
/// for every one whose private data [`Holds`](crate::implementation::Holds) what it needs.
#[macro_export]
macro_rules! registry {
    (
        $(#[$meta:meta])* $vis:vis enum $name:ident { $($variant:ident($type:ty)),* $(,)? }
        $(#[$private_meta:meta])* private enum $private:ident { $($kind:ident($data:ty)),* $(,)? }
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

        // Every method of the trait, also those with a default: what is not here would be the
        // default's.
        impl $crate::implementation::Implementation<$name> for $name {
            fn declaration(self) -> &'static $crate::implementation::Declaration {
                match self { $($name::$variant(fs) => $crate::implementation::Implementation::<$name>::declaration(fs),)* }
            }
            async fn page_mkwrite(self, k: &$crate::kernel::Kernel<$name>, page: $crate::kernel::Frame) -> i32 {
                match self { $($name::$variant(fs) => $crate::implementation::Implementation::<$name>::page_mkwrite(fs, k, page).await,)* }
            }
            fn set_page_dirty(self, k: &$crate::kernel::Kernel<$name>, page: $crate::kernel::Frame) -> bool {
                match self { $($name::$variant(fs) => $crate::implementation::Implementation::<$name>::set_page_dirty(fs, k, page),)* }
            }
            async fn writepage(self, k: &$crate::kernel::Kernel<$name>, page: $crate::kernel::Frame, sync: $crate::implementation::WbSync) -> $crate::kernel::Status {
                match self { $($name::$variant(fs) => $crate::implementation::Implementation::<$name>::writepage(fs, k, page, sync).await,)* }
            }
            async fn writepages(self, k: &$crate::kernel::Kernel<$name>, pages: $crate::case::Range, sync: $crate::implementation::WbSync) -> $crate::kernel::Status {
                match self { $($name::$variant(fs) => $crate::implementation::Implementation::<$name>::writepages(fs, k, pages, sync).await,)* }
            }
            async fn write_inode(self, k: &$crate::kernel::Kernel<$name>) {
                match self { $($name::$variant(fs) => $crate::implementation::Implementation::<$name>::write_inode(fs, k).await,)* }
            }
            fn transfer(self, k: &$crate::kernel::Kernel<$name>, request: $crate::kernel::Request) {
                match self { $($name::$variant(fs) => $crate::implementation::Implementation::<$name>::transfer(fs, k, request),)* }
            }
            async fn complete(self, k: &$crate::kernel::Kernel<$name>, request: $crate::kernel::Request) {
                match self { $($name::$variant(fs) => $crate::implementation::Implementation::<$name>::complete(fs, k, request).await,)* }
            }
            fn readpage(self, k: &$crate::kernel::Kernel<$name>, page: $crate::kernel::Frame) {
                match self { $($name::$variant(fs) => $crate::implementation::Implementation::<$name>::readpage(fs, k, page),)* }
            }
            async fn before_write_begin(self, k: &$crate::kernel::Kernel<$name>, cells: $crate::case::Range) {
                match self { $($name::$variant(fs) => $crate::implementation::Implementation::<$name>::before_write_begin(fs, k, cells).await,)* }
            }
            async fn write_begin(self, k: &$crate::kernel::Kernel<$name>, page: $crate::kernel::Frame, cells: $crate::case::Range) -> $crate::kernel::Status {
                match self { $($name::$variant(fs) => $crate::implementation::Implementation::<$name>::write_begin(fs, k, page, cells).await,)* }
            }
            async fn write_end(self, k: &$crate::kernel::Kernel<$name>, page: $crate::kernel::Frame, cells: $crate::case::Range) {
                match self { $($name::$variant(fs) => $crate::implementation::Implementation::<$name>::write_end(fs, k, page, cells).await,)* }
            }
            async fn invalidatepage(self, k: &$crate::kernel::Kernel<$name>, page: $crate::kernel::Frame, from: u8) {
                match self { $($name::$variant(fs) => $crate::implementation::Implementation::<$name>::invalidatepage(fs, k, page, from).await,)* }
            }
            async fn releasepage(self, k: &$crate::kernel::Kernel<$name>, page: $crate::kernel::Frame) -> bool {
                match self { $($name::$variant(fs) => $crate::implementation::Implementation::<$name>::releasepage(fs, k, page).await,)* }
            }
            async fn launder_page(self, k: &$crate::kernel::Kernel<$name>, page: $crate::kernel::Frame) {
                match self { $($name::$variant(fs) => $crate::implementation::Implementation::<$name>::launder_page(fs, k, page).await,)* }
            }
            async fn fsync(self, k: &$crate::kernel::Kernel<$name>) -> $crate::kernel::Status {
                match self { $($name::$variant(fs) => $crate::implementation::Implementation::<$name>::fsync(fs, k).await,)* }
            }
            async fn setattr(self, k: &$crate::kernel::Kernel<$name>, size: u8) {
                match self { $($name::$variant(fs) => $crate::implementation::Implementation::<$name>::setattr(fs, k, size).await,)* }
            }
            async fn after_truncate(self, k: &$crate::kernel::Kernel<$name>, size: u8) {
                match self { $($name::$variant(fs) => $crate::implementation::Implementation::<$name>::after_truncate(fs, k, size).await,)* }
            }
            fn mount(self, k: &$crate::kernel::Kernel<$name>) {
                match self { $($name::$variant(fs) => $crate::implementation::Implementation::<$name>::mount(fs, k),)* }
            }
            fn own_page(self, k: &$crate::kernel::Kernel<$name>, index: u8) -> Option<$crate::kernel::Frame> {
                match self { $($name::$variant(fs) => $crate::implementation::Implementation::<$name>::own_page(fs, k, index),)* }
            }
            fn record(self, k: &$crate::kernel::Kernel<$name>, page: $crate::kernel::Frame) -> $crate::implementation::Record {
                match self { $($name::$variant(fs) => $crate::implementation::Implementation::<$name>::record(fs, k, page),)* }
            }
            fn pending(self, k: &$crate::kernel::Kernel<$name>, page: $crate::kernel::Frame) -> u8 {
                match self { $($name::$variant(fs) => $crate::implementation::Implementation::<$name>::pending(fs, k, page),)* }
            }
            fn is_releasable(self, k: &$crate::kernel::Kernel<$name>, page: $crate::kernel::Frame) -> bool {
                match self { $($name::$variant(fs) => $crate::implementation::Implementation::<$name>::is_releasable(fs, k, page),)* }
            }
            fn releases(self, k: &$crate::kernel::Kernel<$name>, page: $crate::kernel::Frame) -> bool {
                match self { $($name::$variant(fs) => $crate::implementation::Implementation::<$name>::releases(fs, k, page),)* }
            }
            fn launders(self) -> bool {
                match self { $($name::$variant(fs) => $crate::implementation::Implementation::<$name>::launders(fs),)* }
            }
            fn durable(self, k: &$crate::kernel::Kernel<$name>, cell: u8) -> $crate::kernel::Stamp {
                match self { $($name::$variant(fs) => $crate::implementation::Implementation::<$name>::durable(fs, k, cell),)* }
            }
            fn stored(self, k: &$crate::kernel::Kernel<$name>, cell: u8) -> $crate::kernel::Stamp {
                match self { $($name::$variant(fs) => $crate::implementation::Implementation::<$name>::stored(fs, k, cell),)* }
            }
            fn durable_size(self, k: &$crate::kernel::Kernel<$name>) -> u8 {
                match self { $($name::$variant(fs) => $crate::implementation::Implementation::<$name>::durable_size(fs, k),)* }
            }
            fn synced(self, k: &$crate::kernel::Kernel<$name>, cell: u8, since: u32) -> $crate::kernel::Stamp {
                match self { $($name::$variant(fs) => $crate::implementation::Implementation::<$name>::synced(fs, k, cell, since),)* }
            }
            fn synced_size(self, k: &$crate::kernel::Kernel<$name>, since: u32) -> u8 {
                match self { $($name::$variant(fs) => $crate::implementation::Implementation::<$name>::synced_size(fs, k, since),)* }
            }
            fn allocated(self, k: &$crate::kernel::Kernel<$name>) -> u32 {
                match self { $($name::$variant(fs) => $crate::implementation::Implementation::<$name>::allocated(fs, k),)* }
            }
        }
    };
}
