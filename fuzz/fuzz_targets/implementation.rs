//! One program on one pair, whose number the input brings.

#![no_main]

mkwrite_fuzz::cases!(mkwrite_impls::Builtin, implementation);
