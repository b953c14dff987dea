//! One case on one pair, which the first byte chooses.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mkwrite_oracle::fuzz::implementation(bytes));
