//! One program on one pair, which a spare byte of the input chooses.

#![no_main]

mkwrite_fuzz::cases!(|bytes| mkwrite_oracle::fuzz::implementation(bytes, mkwrite_fuzz::count));
