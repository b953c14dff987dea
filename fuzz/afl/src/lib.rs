//! What AFL++'s targets share: the features, as entries of its map.
//!
//! AFL++ calls this IJON, and its runtime takes such entries only from a target that says that it
//! has them. That symbol is the one place where this package needs `unsafe`.

use std::sync::atomic::AtomicU32;

#[allow(unsafe_code, non_upper_case_globals)]
#[used]
#[unsafe(no_mangle)]
static __afl_ijon_enabled: AtomicU32 = AtomicU32::new(1);

/// Shows AFL++ that a run reached this feature.
pub fn count(feature: u16) {
    afl::ijon_set!(u32::from(feature));
}
