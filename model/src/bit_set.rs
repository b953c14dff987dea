//! Sets of a small enum, one bit each; and the bits of a mask.

/// The numbers of the bits that are set, lowest first.
#[inline]
pub fn ones(mut mask: u64) -> impl Iterator<Item = u8> {
    std::iter::from_fn(move || {
        (mask != 0).then(|| {
            let bit = mask.trailing_zeros() as u8;
            mask &= mask - 1;
            bit
        })
    })
}

/// Defines the set of an enum that has its variants in `ALL`.
#[macro_export]
macro_rules! bit_set {
    ($(#[$doc:meta])* $set:ident of $item:ident: $word:ty) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, Debug, Default, PartialOrd, Ord, Hash)]
        pub struct $set($word);

        const _: () = assert!($item::ALL.len() <= <$word>::BITS as usize, "the word is too small for the set");

        impl $set {
            /// None.
            pub const NONE: $set = $set(0);

            /// This one is in it.
            #[inline]
            pub const fn has(self, item: $item) -> bool {
                self.0 >> item as u8 & 1 != 0
            }

            /// There is none in it.
            pub const fn is_empty(self) -> bool {
                self.0 == 0
            }

            /// All of `other` are in it.
            pub const fn contains(self, other: $set) -> bool {
                self.0 & other.0 == other.0
            }

            /// Those of both.
            #[must_use]
            pub const fn union(self, other: $set) -> $set {
                $set(self.0 | other.0)
            }

            /// Its members.
            pub fn iter(self) -> impl Iterator<Item = $item> {
                $item::ALL.iter().copied().filter(move |item| self.has(*item))
            }
        }

        impl FromIterator<$item> for $set {
            fn from_iter<I: IntoIterator<Item = $item>>(all: I) -> $set {
                $set(all.into_iter().fold(0, |mask, item| mask | 1 << item as u8))
            }
        }
    };
}
