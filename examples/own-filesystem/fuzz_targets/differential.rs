//! libFuzzer's target: one case on all filesystems. `cargo run -p own-filesystem --features fuzz
//! --bin own-filesystem-fuzz`.

#![no_main]

mkwrite_fuzz::cases!(own_filesystem::Filesystems, differential);
