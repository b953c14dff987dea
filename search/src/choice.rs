//! Maps the byte [`CHOICE`] of an input to a pair: for the target `implementation`, and for the
//! tools that replay its inputs.
//!
//! Inputs are kept for years, so the filesystems bring a table of names
//! ([`Filesystem::stored_pairs`]), whatever their list and the ledger come to say. Bytes of version
//! 1 wrap at the pairs that there were when it was frozen. In version 2 a byte is the number of its
//! pair; a new pair is added at the end, and takes over one number that nobody has written yet.

use mkwrite_model::bytes::{self, CHOICE, Version};
use mkwrite_model::implementation::{Filesystem, Pair};
use mkwrite_oracle::Ledger;

/// The pairs, each at its number.
#[derive(Clone, Debug)]
pub struct Choice<F> {
    pairs: Vec<Pair<F>>,
    /// Those that version 1 knows.
    frozen: usize,
}

impl<F: Filesystem> Choice<F> {
    /// The table of these filesystems, and behind it the default pairs that are not in there.
    ///
    /// # Panics
    ///
    /// The table has a name that is unknown, or a pair that does not fit.
    pub fn new(ledger: &Ledger<F>) -> Choice<F> {
        let pair = |(fs, caller): &(&str, &str)| {
            Pair::named(fs, caller).expect("names stay, and what fitted once fits")
        };
        let stored = F::stored_pairs();
        let mut pairs: Vec<Pair<F>> = stored.names.iter().map(pair).collect();
        let others: Vec<Pair<F>> =
            ledger.default_pairs().into_iter().filter(|other| !pairs.contains(other)).collect();
        pairs.extend(others);
        let frozen = if stored.names.is_empty() { pairs.len() } else { stored.frozen };
        Choice { pairs, frozen }
    }

    /// The pairs, each at its number.
    pub fn pairs(&self) -> &[Pair<F>] {
        &self.pairs
    }

    /// The number of the pair that an input chooses.
    pub fn of(&self, input: &[u8]) -> usize {
        let byte = usize::from(input.get(CHOICE).copied().unwrap_or(0));
        match bytes::version(input) {
            Version::V2 if byte < self.pairs.len() => byte,
            _ => byte % self.frozen,
        }
    }

    /// The first version in which a byte can choose this pair.
    pub fn version(&self, number: usize) -> Version {
        if number < self.frozen { Version::V1 } else { Version::V2 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mkwrite_impls::Builtin;

    #[test]
    fn every_pair_of_the_default_hunt_has_a_number() {
        let ledger = Ledger::<Builtin>::own();
        let choice = Choice::new(&ledger);
        let names = Builtin::stored_pairs().names;
        for pair in ledger.default_pairs() {
            let (fs, caller) = (pair.implementation.name(), pair.caller.name());
            assert!(
                names.contains(&(fs, caller)),
                "add (\"{fs}\", \"{caller}\") at the end of the names in impls/src/stored.rs"
            );
        }
        assert!(choice.pairs.len() <= 64, "mutators of version 2 draw from 64 numbers");
    }

    #[test]
    fn the_second_version_can_name_them_all() {
        let choice = Choice::<Builtin>::new(&Ledger::own());
        for number in 0..choice.pairs.len() {
            let mut input = bytes::encode_as(&bytes::decode(&[]), choice.version(number));
            input[CHOICE] = number as u8;
            assert_eq!(choice.of(&input), number);
        }
    }
}
