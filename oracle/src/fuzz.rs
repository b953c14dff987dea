//! What the fuzzing targets do with their input. libFuzzer's and AFL++'s call the same functions with the same
//! bytes, so that their corpora can be exchanged. A breach that the ledger does not list is a panic in a function of
//! the rule's name, which is how an engine learns of it and tells one rule from another; set
//! `MKWRITE_FUZZ_EXPECTED` to make those that the ledger lists panics too.

use std::cell::RefCell;
use std::sync::LazyLock;

use mkwrite_model::case::Case;
use mkwrite_model::text::{Document, parse};
use mkwrite_model::{bytes, text};

use crate::history::reference;
use crate::hunt::default_pairs;
use crate::judge::Breach;
use crate::ledger::{Expected, Ledger};
use crate::run::{How, Target, Targets};

static LEDGER: LazyLock<Ledger> = LazyLock::new(Ledger::builtin);
static TARGETS: LazyLock<Vec<Target>> =
    LazyLock::new(|| default_pairs(&LEDGER).into_iter().map(Target::from).collect());
static EXPECTED_TOO: LazyLock<bool> = LazyLock::new(|| std::env::var_os("MKWRITE_FUZZ_EXPECTED").is_some());

thread_local! {
    static ALL: RefCell<Targets<'static>> = RefCell::new(Targets::new(&TARGETS, &LEDGER));
    static EACH: RefCell<Vec<Targets<'static>>> =
        RefCell::new(TARGETS.iter().map(|target| Targets::new(&[*target], &LEDGER)).collect());
}

fn report(target: Target, breach: Breach, expected: Expected) {
    if *EXPECTED_TOO || expected == Expected::No {
        breach.rule.crash(&format!("{} at {} on {}", breach.what, breach.point.name(), target.pair));
    }
}

/// One case on all pairs of the default hunt.
pub fn differential(input: &[u8]) {
    let case = bytes::decode(input);
    ALL.with_borrow_mut(|all| all.run(&case, How::Own, |n, breach, expected| report(TARGETS[n], breach, expected)));
}

/// One case on one pair, which the first byte chooses: more cases in the same time.
pub fn implementation(input: &[u8]) {
    let Some((choice, input)) = input.split_first() else { return };
    let (n, case) = (usize::from(*choice) % TARGETS.len(), bytes::decode(input));
    EACH.with_borrow_mut(|each| {
        each[n].run(&case, How::Own, |_, breach, expected| report(TARGETS[n], breach, expected));
    });
}

/// The history checker alone, against brute force.
pub fn history(input: &[u8]) {
    if let Err(difference) = reference::compare(input) {
        panic!("{difference}");
    }
}

/// The parser: any bytes are a document or an error, and a document's canonical text is a fixed point.
pub fn text(input: &[u8]) {
    let Ok(input) = std::str::from_utf8(input) else { return };
    let _ = text::parse_with_stale(input);
    if let Ok(document) = parse(input) {
        let canonical = document.to_string();
        let again = parse(&canonical).expect("canonical text is a document");
        assert_eq!(again.case, document.case);
        assert_eq!(again.to_string(), canonical);
    }
}

/// The codec: any bytes are a case, which survives both of the other forms.
pub fn codec(input: &[u8]) {
    let case = bytes::decode(input);
    let mut fixed = case.clone();
    fixed.fix_up();
    assert_eq!(fixed, case, "what is decoded is in range");
    assert_eq!(bytes::decode(&bytes::encode(&case)), case, "bytes");
    let text = Document::new(Case::clone(&case)).to_string();
    assert_eq!(parse(&text).expect("a case prints as a document").case, case, "text");
}

#[cfg(test)]
mod tests {
    use super::text as parser;
    use super::*;
    use std::path::Path;

    fn each_of_the_corpus(mut each: impl FnMut(&str, &[u8])) {
        for folder in ["known", "pass", "regressions"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(folder);
            let files = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
            for file in files.filter(|file| file.extension().is_some_and(|extension| extension == "mkw")) {
                let text = std::fs::read_to_string(file).unwrap();
                each(&text, &bytes::encode(&parse(&text).unwrap().case));
            }
        }
    }

    #[test]
    fn what_the_ledger_expects_is_no_crash() {
        each_of_the_corpus(|text, bytes| {
            differential(bytes);
            implementation(bytes);
            codec(bytes);
            parser(text.as_bytes());
        });
        for target in [differential, implementation, history, parser, codec] {
            target(b"");
        }
    }

    #[test]
    fn a_crash_is_in_the_function_of_its_rule() {
        let crash = std::panic::catch_unwind(|| crate::Rule::by_id("I20").unwrap().crash("text"));
        let text = crash.unwrap_err().downcast::<String>().unwrap();
        assert_eq!(*text, "i20_dirty_without_record: text");
    }
}
