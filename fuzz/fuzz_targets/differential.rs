//! One program on all pairs of the default hunt: what the ledger does not list is a crash.

#![no_main]

mkwrite_fuzz::cases!(|bytes| mkwrite_oracle::fuzz::differential(bytes, mkwrite_fuzz::count));
