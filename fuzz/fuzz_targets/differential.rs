//! One case on all pairs of the default hunt: what the ledger does not list is a crash.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mkwrite_oracle::fuzz::differential(bytes));
