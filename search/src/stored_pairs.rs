//! Maps the number of a pair that an input brings ([`bytes::pair`]) to the pair: for the target
//! `implementation`, and for the tools that replay its inputs.
//!
//! Inputs are kept for years, so the filesystems bring a table of names
//! ([`Filesystem::stored_pairs`]), whatever their list and the ledger come to say. Bytes of form 1
//! wrap at the pairs that there were when it was frozen. Since form 2 a number is the code of its
//! pair; a new pair is added at the end, and takes over one number that nobody has written yet.

use mkwrite_model::bytes::{self, Version};
use mkwrite_model::implementation::{Filesystem, Pair};
use mkwrite_oracle::Ledger;

/// The pairs, each at its number.
#[derive(Clone, Debug)]
pub struct PairNumbers<F> {
    pairs: Vec<Pair<F>>,
    /// Those that version 1 knows.
    frozen: usize,
}

impl<F: Filesystem> PairNumbers<F> {
    /// The table of these filesystems, and behind it the default pairs that are not in there.
    ///
    /// # Panics
    ///
    /// The table has a name that is unknown, or a pair that does not fit.
    pub fn new(ledger: &Ledger<F>) -> PairNumbers<F> {
        let pair = |(fs, caller): &(&str, &str)| {
            Pair::named(fs, caller).expect("names stay, and what fitted once fits")
        };
        let stored = F::stored_pairs();
        let mut pairs: Vec<Pair<F>> = stored.names.iter().map(pair).collect();
        let others: Vec<Pair<F>> =
            ledger.default_pairs().into_iter().filter(|other| !pairs.contains(other)).collect();
        pairs.extend(others);
        let frozen = if stored.names.is_empty() { pairs.len() } else { stored.frozen };
        PairNumbers { pairs, frozen }
    }

    /// The pairs, each at its number.
    pub fn pairs(&self) -> &[Pair<F>] {
        &self.pairs
    }

    /// The number of the pair that an input chooses.
    pub fn of(&self, input: &[u8]) -> usize {
        let code = usize::from(bytes::pair(input));
        match bytes::version(input) {
            Version::V2 | Version::V3 if code < self.pairs.len() => code,
            _ => code % self.frozen,
        }
    }

    /// The same input in the newest form: the same case on the same pair.
    pub fn upgraded(&self, input: &[u8]) -> Vec<u8> {
        match bytes::version(input) {
            Version::V3 => input.to_vec(),
            _ => bytes::encode_on(&bytes::decode(input), self.of(input) as u16),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mkwrite_impls::Builtin;

    #[test]
    fn every_pair_of_the_default_hunt_has_a_number() {
        let ledger = Ledger::<Builtin>::own();
        let numbers = PairNumbers::new(&ledger);
        let names = Builtin::stored_pairs().names;
        for pair in ledger.default_pairs() {
            let (fs, caller) = (pair.implementation.name(), pair.caller.name());
            assert!(
                names.contains(&(fs, caller)),
                "add (\"{fs}\", \"{caller}\") at the end of the names in impls/src/stored_pairs.rs"
            );
        }
        assert!(numbers.pairs.len() <= 64, "mutators draw from 64 numbers");
    }

    #[test]
    fn every_pair_can_be_named() {
        let numbers = PairNumbers::<Builtin>::new(&Ledger::own());
        for number in 0..numbers.pairs.len() {
            let input = bytes::encode_on(&bytes::decode(&[]), number as u16);
            assert_eq!(numbers.of(&input), number);
        }
    }

    #[test]
    fn an_upgraded_input_is_the_same_case_on_the_same_pair() {
        let numbers = PairNumbers::<Builtin>::new(&Ledger::own());
        for byte in 0..=255 {
            let mut old = [byte; 64];
            old[30] = if byte % 2 == 0 { 0xB2 } else { byte };
            old[0] = 2;
            let new = numbers.upgraded(&old);
            assert_eq!((bytes::version(&new), numbers.of(&new)), (Version::V3, numbers.of(&old)));
            assert_eq!(bytes::decode(&new), bytes::decode(&old));
            assert_eq!(numbers.upgraded(&new), new);
        }
    }
}
