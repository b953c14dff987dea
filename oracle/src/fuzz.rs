//! What the fuzzing targets do with their input. libFuzzer's and AFL++'s call the same functions with the same
//! bytes, so that their corpora can be exchanged. A breach that the ledger does not list is a panic, which is
//! how an engine learns of it; set `MKWRITE_FUZZ_EXPECTED` to make those that it lists panics too.

use std::cell::RefCell;
use std::sync::LazyLock;

use mkwrite_model::bytes;

use crate::hunt::default_pairs;
use crate::ledger::{Expected, Ledger};
use crate::run::{How, Target, Targets};

static LEDGER: LazyLock<Ledger> = LazyLock::new(Ledger::builtin);
static TARGETS: LazyLock<Vec<Target>> =
    LazyLock::new(|| default_pairs(&LEDGER).into_iter().map(Target::from).collect());
static EXPECTED_TOO: LazyLock<bool> = LazyLock::new(|| std::env::var_os("MKWRITE_FUZZ_EXPECTED").is_some());

thread_local! {
    static MACHINES: RefCell<Targets<'static>> = RefCell::new(Targets::new(&TARGETS, &LEDGER));
}

/// Runs the case that `bytes` are on all pairs of the default hunt.
pub fn differential(bytes: &[u8]) {
    MACHINES.with_borrow_mut(|machines| {
        machines.run(&bytes::decode(bytes), How::Own, |number, breach, expected| {
            if *EXPECTED_TOO || expected == Expected::No {
                let (pair, point) = (TARGETS[number].pair, breach.point.name());
                panic!("{} at {point} on {pair}: {}", breach.rule, breach.what);
            }
        });
    });
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::Path;

    #[test]
    fn what_the_ledger_expects_is_no_crash() {
        let known = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/known");
        for file in std::fs::read_dir(known).unwrap() {
            let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
            differential(&bytes::encode(&mkwrite_model::text::parse(&text).unwrap().case));
        }
        differential(b"");
    }
}
