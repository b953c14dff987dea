//! One program on all pairs of the default hunt: what the ledger does not list is a crash.

#![no_main]

mkwrite_fuzz::cases!(mkwrite_impls::Builtin, differential);
