//! Stored inputs keep their meaning: bytes of version 1, and the pair that their last header byte
//! chooses, against what they meant when the form was frozen. These files are written by hand or
//! not at all: if a test here fails, the decoder is wrong, and what is new belongs into a new
//! version.

use std::fmt::Write;

use mkwrite_impls::Builtin;
use mkwrite_model::bytes::{self, CHOICE, HEADER, Version};
use mkwrite_model::implementation::Implementation;
use mkwrite_model::text::Document;
use mkwrite_oracle::Ledger;
use mkwrite_search::choice::Choice;

#[test]
fn bytes_of_version_1_decode_to_the_cases_that_they_were() {
    let frozen = include_str!("stored/bytes-v1.txt");
    let (mut text, mut count) = (String::new(), 0);
    for hex in frozen.lines().filter_map(|line| line.strip_prefix("bytes")) {
        let hex = hex.trim_start();
        let digit = |at: usize| u8::from_str_radix(&hex[at..at + 2], 16).unwrap();
        let input: Vec<u8> = (0..hex.len()).step_by(2).map(digit).collect();
        assert_eq!(bytes::version(&input), Version::V1);
        writeln!(text, "bytes {hex}\n{}", Document::new(bytes::decode(&input))).unwrap();
        count += 1;
    }
    assert_eq!(count, 64);
    for (new, old) in text.split("bytes ").zip(frozen.split("bytes ")) {
        assert_eq!(new, old);
    }
    assert_eq!(text, frozen);
}

#[test]
fn every_byte_of_version_1_chooses_the_pair_that_it_chose() {
    let mut text = String::new();
    let choice = Choice::<Builtin>::new(&Ledger::own());
    for byte in 0..=255 {
        let mut input = [0; HEADER];
        input[CHOICE] = byte;
        let pair = choice.pairs()[choice.of(&input)];
        let name = pair.implementation.declaration().name;
        writeln!(text, "{byte} {name} {}", pair.caller.name()).unwrap();
    }
    assert_eq!(text, include_str!("stored/choice-v1.txt"));
}
