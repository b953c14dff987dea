//! Stored inputs keep their meaning: bytes of versions 1 and 2, and the pair that a byte of them
//! chooses, against what they meant when the form was frozen. These files are written by hand or
//! not at all: if a test here fails, the decoder is wrong, and what is new belongs into a new
//! version.

use std::fmt::Write;

use mkwrite_impls::Builtin;
use mkwrite_model::bytes::{self, Version};
use mkwrite_model::implementation::Implementation;
use mkwrite_model::text::Document;
use mkwrite_oracle::Ledger;
use mkwrite_search::stored_pairs::PairNumbers;

/// What the inputs of a frozen set decode to now.
fn decoded(frozen: &str, version: Version) -> String {
    let mut text = String::new();
    for hex in frozen.lines().filter_map(|line| line.strip_prefix("bytes")) {
        let hex = hex.trim_start();
        let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let input: Vec<u8> = (0..hex.len()).step_by(2).map(digit).collect();
        assert_eq!(bytes::version(&input), version);
        let case = bytes::decode(&input);
        assert_eq!(bytes::decode(&bytes::encode(&case)), case, "it can be upgraded");
        writeln!(text, "bytes {hex}\n{}", Document::new(case)).unwrap();
    }
    text
}

fn is_frozen(frozen: &str, version: Version, count: usize) {
    let text = decoded(frozen, version);
    assert_eq!(text.matches("bytes ").count(), count);
    for (new, old) in text.split("bytes ").zip(frozen.split("bytes ")) {
        assert_eq!(new, old);
    }
    assert_eq!(text, frozen);
}

#[test]
fn bytes_of_version_1_decode_to_the_cases_that_they_were() {
    is_frozen(include_str!("stored/bytes-v1.txt"), Version::V1, 64);
}

#[test]
fn bytes_of_version_2_decode_to_the_cases_that_they_were() {
    is_frozen(include_str!("stored/bytes-v2.txt"), Version::V2, 48);
}

#[test]
fn every_byte_of_version_1_chooses_the_pair_that_it_chose() {
    let mut text = String::new();
    let numbers = PairNumbers::<Builtin>::new(&Ledger::own());
    for byte in 0..=255 {
        let mut input = [0; 32];
        input[31] = byte;
        let pair = numbers.pairs()[numbers.of(&input)];
        let name = pair.implementation.declaration().name;
        writeln!(text, "{byte} {name} {}", pair.caller.name()).unwrap();
    }
    assert_eq!(text, include_str!("stored/choice-v1.txt"));
}
