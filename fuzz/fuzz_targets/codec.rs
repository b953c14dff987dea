//! The codec: any bytes are a case, which survives the other forms.

#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| mkwrite_search::fuzz::codec(bytes));
