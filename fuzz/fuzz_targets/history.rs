//! The history checker alone, against brute force.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mkwrite_search::fuzz::history(bytes));
