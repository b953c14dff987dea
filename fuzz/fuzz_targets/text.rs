//! The parser: any bytes are a document or an error.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mkwrite_search::fuzz::text(bytes));
