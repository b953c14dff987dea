//! Nothing: this package is the browser test below `tests`. It stands apart because the client of
//! the browser's protocol takes minutes to compile, and plain `cargo test` should not.
