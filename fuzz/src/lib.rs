//! What libFuzzer's targets share: the features as its extra counters, and the mutators that know
//! operations.
//!
//! The counters are the one place where this package needs `unsafe`: libFuzzer finds them by the
//! name of their section.

use std::sync::atomic::{AtomicU8, Ordering};

use mkwrite_model::implementation::Filesystem;
use mkwrite_search::feedback::FEATURES;
pub use mkwrite_search::fuzz;

#[allow(unsafe_code)]
#[used]
#[unsafe(link_section = "__libfuzzer_extra_counters")]
static COUNTERS: [AtomicU8; FEATURES] = [const { AtomicU8::new(0) }; FEATURES];

/// Shows libFuzzer that a run reached this feature. It clears the counters itself.
pub fn count(feature: u16) {
    COUNTERS[usize::from(feature)].store(1, Ordering::Relaxed);
}

/// Of so many mutations one is of plain bytes, as libFuzzer does them, for what ours never make.
const PLAIN: u32 = 16;

/// libFuzzer's custom mutator.
pub fn mutate<F: Filesystem>(data: &mut [u8], size: usize, max: usize, seed: u32) -> usize {
    match seed % PLAIN {
        0 => libfuzzer_sys::fuzzer_mutate(data, size, max),
        _ => fuzz::mutate::<F>(data, size, max, seed),
    }
}

/// One crossing in so many is one: libFuzzer crosses as often as it mutates, which is too often.
const CROSSED: u32 = 4;

/// libFuzzer's custom crossover.
pub fn cross<F: Filesystem>(one: &[u8], other: &[u8], out: &mut [u8], seed: u32) -> usize {
    if seed.is_multiple_of(CROSSED) {
        return fuzz::cross::<F>(one, other, out, seed);
    }
    let size = one.len().min(out.len());
    out[..size].copy_from_slice(&one[..size]);
    mutate::<F>(out, size, out.len(), seed)
}

/// A target whose inputs are cases: the filesystems, and which function of [`mkwrite_search::fuzz`]
/// runs them there.
#[macro_export]
macro_rules! cases {
    ($filesystems:ty, $run:ident) => {
        libfuzzer_sys::fuzz_target!(|input: &[u8]| $crate::fuzz::$run::<$filesystems>(
            input,
            $crate::count
        ));
        libfuzzer_sys::fuzz_mutator!(|data: &mut [u8], size: usize, max: usize, seed: u32| {
            $crate::mutate::<$filesystems>(data, size, max, seed)
        });
        libfuzzer_sys::fuzz_crossover!(|one: &[u8], other: &[u8], out: &mut [u8], seed: u32| {
            $crate::cross::<$filesystems>(one, other, out, seed)
        });
    };
}
