//! The same as libFuzzer's target of this name, for AFL++.

fn main() {
    afl::fuzz!(|bytes: &[u8]| mkwrite_search::fuzz::differential::<mkwrite_impls::Builtin>(
        bytes,
        mkwrite_afl::count
    ));
}
