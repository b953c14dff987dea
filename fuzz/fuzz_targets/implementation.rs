//! One program on one pair, which a spare byte of the input chooses.

#![no_main]

mkwrite_fuzz::cases!(mkwrite_impls::Builtin, implementation);
