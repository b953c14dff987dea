use super::*;
use crate::geometry::Place;
use proptest::prelude::*;

#[test]
fn every_code_and_value_inverts() {
    let known = |code| Operation::from_code(code, Operands::default()).is_some();
    for kind in Operation::KINDS {
        assert_eq!(exact(EXACT + kind.code, known, &KINDS), kind.code, "{}", kind.name);
    }
    for site in Site::ALL {
        let code = exact(EXACT + site.code(), |code| Site::from_code(code).is_some(), &SITES);
        assert_eq!(code, site.code());
    }
    for byte in 0..=u8::MAX {
        assert!(known(exact(byte, known, &KINDS)), "each byte is some operation");
    }
    for count in 1..=8 {
        assert_eq!(ACTOR_COUNTS.decode(ACTOR_COUNTS.encode(count)), count);
    }
}

#[test]
fn the_places_of_the_header_do_not_overlap() {
    let mut taken = [false; HEADER];
    let fixed = [(0, MAGIC.len()), (PAIR, 2), (LIMITS, 6), (SCHEDULE, 1), (ACTORS, 1), (SEED, 4)];
    let fields = FIELDS.iter().map(|field| match field.place {
        Place::Byte(at) => (at, 1),
        Place::Word(at) => (at, 4),
    });
    for (at, length) in fixed.into_iter().chain([(MMS, 4)]).chain(fields) {
        for taken in &mut taken[at..at + length] {
            assert!(!std::mem::replace(taken, true), "byte {at} is taken twice");
        }
    }
}

#[test]
fn no_bytes_are_a_case() {
    for none in [&[][..], &MAGIC] {
        let mut case = decode(none);
        assert_eq!(case.actors.len(), 1);
        assert_eq!(decode(&encode(&case)), case);
        case.faults.set(Site::Eio, 4);
        assert_eq!(decode(&encode(&case)), case);
    }
}

#[test]
fn the_pair_is_not_the_cases() {
    let case = decode(&[]);
    let bytes = encode_on(&case, 0x0107);
    assert_eq!((version(&bytes), pair(&bytes), bytes.len()), (Version::V3, 0x0107, HEADER));
    assert_eq!(decode(&bytes), case);
    let mut first = [7; 40];
    first[0] = Version::V2 as u8;
    assert_eq!(version(&first), Version::V1, "the first byte alone never counted");
    first[30] = 0xB2;
    assert_eq!((version(&first), pair(&first)), (Version::V2, 7));
}

#[test]
fn mutated_bytes_are_a_case_in_canonical_form_and_fit() {
    let mut data = vec![0; 300];
    let mut size = 1;
    for seed in 0..500 {
        let max = 100 + (seed as usize % 200);
        let before = data[..size].to_vec();
        size = mutate(&mut data, size, max, seed);
        assert!(size <= max);
        let mut again = before.clone();
        again.resize(300, 0);
        assert_eq!(
            mutate(&mut again, before.len(), max, seed),
            size,
            "a function of bytes and seed"
        );
        assert_eq!(again[..size], data[..size]);
        let mut out = vec![0; max];
        let crossed = cross(&before, &data[..size], &mut out, seed);
        assert!(crossed <= max && crossed >= HEADER);
    }
    data[PAIR..PAIR + 2].copy_from_slice(&[77, 0]);
    let kept = (0..100).filter(|seed| {
        let mut data = data.clone();
        mutate(&mut data, size, 300, *seed);
        pair(&data) == 77
    });
    assert!(kept.count() > 70, "the pair mostly stays");
}

/// Any bytes behind the magic, or any at all.
fn any_bytes() -> impl Strategy<Value = Vec<u8>> {
    (any::<bool>(), proptest::collection::vec(any::<u8>(), 0..400))
        .prop_map(|(is_third, bytes)| if is_third { [&MAGIC[..], &bytes].concat() } else { bytes })
}

proptest! {
    #[test]
    fn any_bytes_decode_and_encode_back_to_the_same_case(bytes in any_bytes()) {
        let case = decode(&bytes);
        let mut fixed = case.clone();
        fixed.fix_up();
        prop_assert_eq!(&fixed, &case, "decode fixes up");
        prop_assert_eq!(decode(&encode(&case)), case);
    }

    #[test]
    fn generated_cases_survive_the_trip(seed in any::<u64>(), index in 0u64..64) {
        let mut case = Case::default();
        Generator::new(false).generate(seed, index, &mut case);
        prop_assert_eq!(decode(&encode(&case)), case);
    }
}
