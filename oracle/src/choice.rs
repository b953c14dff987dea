//! Which pair the byte [`CHOICE`] of an input means: for the target `implementation`, and for all who run what it left.
//!
//! Inputs are kept for years, so the table is a list of names, whatever the registry and the ledger come to say. Bytes of
//! version 1 wrap at the pairs that there were when it was frozen. In version 2 a byte is the number of its pair; a new
//! pair is added at the end, and takes over one number that nobody has written yet.

use std::sync::LazyLock;

use mkwrite_impls::Builtin;
use mkwrite_model::bytes::{self, CHOICE, Version};
use mkwrite_model::callers::Caller;
use mkwrite_model::implementation::{Pair, Registry};

/// Pairs that version 1 knows.
const FROZEN: usize = 21;

/// Implementations and their callers. Only ever add lines at the end.
const NAMES: &[(&str, &str)] = &[
    ("block@2.6.29", "2.6.29"),
    ("block@2.6.30-rc", "2.6.30-rc"),
    ("block@2.6.30", "2.6.30"),
    ("nfs@2.6.29", "2.6.29"),
    ("nfs@2.6.30", "2.6.30"),
    ("nfs@3.0", "2.6.30"),
    ("fsblock@2007", "2.6.29"),
    ("fsblock@2009", "2.6.30"),
    ("filemap@3.10", "2.6.30"),
    ("driver@2.6.30", "2.6.30"),
    ("block@2.6.29", "try3"),
    ("block@2.6.30-rc", "try3"),
    ("block@2.6.30", "try3"),
    ("nfs@2.6.29", "try3"),
    ("nfs@2.6.30", "try3"),
    ("nfs@3.0", "try3"),
    ("fsblock@2007", "2.6.30-rc"),
    ("fsblock@2007", "try3"),
    ("fsblock@2009", "try3"),
    ("filemap@3.10", "try3"),
    ("driver@2.6.30", "try3"),
    ("ext3@2.6.29", "2.6.29"),
    ("ext3@2.6.30", "2.6.30"),
    ("tmpfs@6.12", "2.6.30"),
    ("ext3@2.6.30", "try3"),
];

static PAIRS: LazyLock<Vec<Pair<Builtin>>> = LazyLock::new(|| {
    let pair = |(fs, caller): &(&str, &str)| {
        let fs = Builtin::by_name(fs).expect("names of implementations stay");
        Pair::new(fs, Caller::from_name(caller).expect("names of callers stay")).expect("what fitted once fits")
    };
    NAMES.iter().map(pair).collect()
});

/// The pairs, each at its number.
pub fn pairs() -> &'static [Pair<Builtin>] {
    &PAIRS
}

/// The number of the pair that an input chooses.
pub fn of(input: &[u8]) -> usize {
    let byte = usize::from(input.get(CHOICE).copied().unwrap_or(0));
    match bytes::version(input) {
        Version::V2 if byte < NAMES.len() => byte,
        _ => byte % FROZEN,
    }
}

/// The first version in which a byte can choose this pair.
pub fn version(number: usize) -> Version {
    if number < FROZEN { Version::V1 } else { Version::V2 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hunt::default_pairs;
    use crate::ledger::Ledger;

    #[test]
    fn every_pair_of_the_default_hunt_has_a_number() {
        for pair in default_pairs(&Ledger::builtin()) {
            let (fs, caller) = (pair.implementation.name(), pair.caller.name());
            assert!(PAIRS.contains(&pair), "add (\"{fs}\", \"{caller}\") at the end of NAMES, in oracle/src/choice.rs");
        }
        assert!(NAMES.len() <= 64, "mutators of version 2 draw from 64 numbers");
    }

    #[test]
    fn the_second_version_can_name_them_all() {
        for number in 0..NAMES.len() {
            let mut input = bytes::encode_as(&bytes::decode(&[]), version(number));
            input[CHOICE] = number as u8;
            assert_eq!(of(&input), number);
        }
    }
}
