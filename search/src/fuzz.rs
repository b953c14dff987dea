//! What the fuzzing targets do with their input. libFuzzer's and AFL++'s call the same functions
//! with the same bytes, so that their corpora can be exchanged. A breach that the ledger does not
//! list is a panic in a function of the rule's name, which is how an engine learns of it and tells
//! one rule from another.
//!
//! Two switches in the environment: with `MKWRITE_FUZZ_EXPECTED` breaches that the ledger lists are
//! panics too, those of the entries that it names (`race-nfs,length-0`), or all of them if it says
//! `all`; to the file `MKWRITE_FUZZ_LOG` goes what was found and how far the target is (see
//! [`crate::log`]).

use std::any::Any;
use std::cell::RefCell;

use mkwrite_model::bytes;
use mkwrite_model::generate::{Generator, random};
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::text::{self, Document, parse};
use mkwrite_model::{Case, Target};
use mkwrite_oracle::history::reference;
use mkwrite_oracle::judge::Breach;
use mkwrite_oracle::ledger::{Expected, FindingKey, Ledger};
use mkwrite_oracle::run::{ScheduledBy, Targets};
use rand::RngExt;

use crate::corpus::Corpus;
use crate::feedback::{FeatureSet, Feedback, Signals};
use crate::log::Log;
use crate::stored_pairs::PairNumbers;

/// The entries of the ledger that the environment names: what they expect is a panic, too.
fn expected_too<F: Filesystem>(ledger: &Ledger<F>) -> Vec<String> {
    let names = std::env::var("MKWRITE_FUZZ_EXPECTED").unwrap_or_default();
    let names: Vec<String> =
        names.split(',').filter(|name| !name.is_empty()).map(str::to_owned).collect();
    let is_known = |name: &String| name == "all" || ledger.entry_named(name).is_some();
    if let Some(name) = names.iter().find(|name| !is_known(name)) {
        panic!(
            "MKWRITE_FUZZ_EXPECTED: the ledger has no entry `{name}`; `all` stands for all of them"
        );
    }
    names
}

/// Targets that cases run on, and the cases that reached something new there.
struct Side<F: Filesystem> {
    /// The number of the first target.
    first: usize,
    targets: Targets<'static, F>,
    corpus: Corpus,
    runs: u64,
}

impl<F: Filesystem> Side<F> {
    fn new(first: usize, targets: &[Target<F>], ledger: &'static Ledger<F>) -> Side<F> {
        Side { first, targets: Targets::new(targets, ledger), corpus: Corpus::default(), runs: 0 }
    }
}

/// One in so many mutations goes on from the input that the engine chose.
const OTHERS: u32 = 4;
/// The first cases are made from nothing: nothing has been learnt yet.
const FRESH: u64 = 128;

/// A process under a fuzzing engine.
struct Session<F: Filesystem> {
    ledger: &'static Ledger<F>,
    numbers: PairNumbers<F>,
    expected_too: Vec<String>,
    /// Each pair that an input can choose, as it was and with all remedies of its entries on.
    targets: Vec<Target<F>>,
    all: Side<F>,
    each: Vec<Side<F>>,
    feedback: Feedback,
    seen: FeatureSet,
    executions: u64,
    log: Option<Log>,
}

impl<F: Filesystem> Session<F> {
    fn new() -> Session<F> {
        // One for each process, for as long as it lives.
        let ledger: &'static Ledger<F> = Box::leak(Box::new(Ledger::own()));
        let numbers = PairNumbers::new(ledger);
        let (mut targets, mut each) = (Vec::new(), Vec::new());
        for pair in numbers.pairs() {
            let both: Vec<Target<F>> =
                [Some(Target::from(*pair)), ledger.remedied(*pair)].into_iter().flatten().collect();
            each.push(Side::new(targets.len(), &both, ledger));
            targets.extend(both);
        }
        let log = std::env::var_os("MKWRITE_FUZZ_LOG").map(|path| {
            Log::append(path.as_ref())
                .unwrap_or_else(|error| panic!("MKWRITE_FUZZ_LOG, {}: {error}", path.display()))
        });
        Session {
            ledger,
            numbers,
            // A wrong name is told now, and not by the first breach.
            expected_too: expected_too(ledger),
            all: Side::new(0, &targets, ledger),
            targets,
            each,
            feedback: Feedback::new(Signals::default()),
            seen: FeatureSet::default(),
            executions: 0,
            log,
        }
    }

    /// Runs a case on all targets, or on those of one pair, and shows its features.
    fn run(&mut self, case: &Case, one: Option<usize>, mut feature: impl FnMut(u16)) {
        let Session {
            ledger,
            expected_too,
            targets: all_targets,
            all,
            each,
            feedback,
            seen,
            executions,
            log,
            ..
        } = self;
        let Side { first, targets, corpus, runs } = one.map_or(all, |one| &mut each[one]);
        (*executions, *runs) = (*executions + 1, *runs + 1);
        let run = |n, runner: &mut _, target| {
            feedback.run(runner, target, case, ScheduledBy::Own, *first + n)
        };
        targets.run(case, run, |n, breach, expected| {
            let n = *first + n;
            if let Some(log) = log {
                let key = FindingKey { target: n, signature: ledger.signature(&breach, expected) };
                log.found(*executions, seen.len() as u64, ledger, all_targets[n], key);
            }
            if expected == Expected::No || is_fatal(ledger, expected_too, expected) {
                crash(all_targets[n], breach);
            }
        });
        for n in feedback.features() {
            feature(*n);
            seen.insert(*n);
        }
        corpus.add(case, feedback.features());
        feedback.clear();
        if let Some(log) = log {
            log.tick(*executions, seen.len() as u64);
        }
    }

    /// What an input runs on: one process runs one kind of target.
    fn side(&self, input: &[u8]) -> &Side<F> {
        if self.all.runs == 0 { &self.each[self.numbers.of(input)] } else { &self.all }
    }
}

thread_local! {
    /// The session of this process; statics cannot be generic.
    static SESSION: RefCell<Option<Box<dyn Any>>> = const { RefCell::new(None) };
}

fn session<F: Filesystem, T>(work: impl FnOnce(&mut Session<F>) -> T) -> T {
    SESSION.with_borrow_mut(|session| {
        if !session.as_ref().is_some_and(|session| session.is::<Session<F>>()) {
            *session = Some(Box::new(Session::<F>::new()));
        }
        let session = session.as_mut().and_then(|session| session.downcast_mut());
        work(session.expect("it was made for these filesystems"))
    })
}

/// The switch says that this expected breach is a panic too.
fn is_fatal<F: Filesystem>(ledger: &Ledger<F>, named: &[String], expected: Expected) -> bool {
    let name = ledger.entry(expected).map(|entry| entry.name.as_str());
    named.iter().any(|wanted| {
        wanted == "all" || matches!(expected, Expected::Root(_)) && name == Some(wanted)
    })
}

fn crash<F: Filesystem>(target: Target<F>, breach: Breach) {
    breach.rule.crash(&format!("{} at {} on {}", breach.what, breach.point.name(), target.pair));
}

/// One program on all pairs of the default hunt. Shows the engine each feature that it reached.
pub fn differential<F: Filesystem>(input: &[u8], feature: impl FnMut(u16)) {
    case::<F>(&bytes::decode(input), feature);
}

/// The same for a case that does not come as bytes.
pub fn case<F: Filesystem>(case: &Case, feature: impl FnMut(u16)) {
    session::<F, _>(|session| session.run(case, None, feature));
}

/// One program on one pair, which the input chooses ([`crate::stored_pairs`]): more programs in the same
/// time.
pub fn implementation<F: Filesystem>(input: &[u8], feature: impl FnMut(u16)) {
    session::<F, _>(|session| {
        let one = session.numbers.of(input);
        session.run(&bytes::decode(input), Some(one), feature);
    });
}

/// For the custom mutators of engines: mutates the case in `data[..size]`, in place and in at most
/// `max` bytes; returns the new size. Mostly it goes on from a case that reached something rare
/// instead, chosen as hunts do: what an engine knows of an input is how new it was.
pub fn mutate<F: Filesystem>(data: &mut [u8], size: usize, max: usize, seed: u32) -> usize {
    let r = &mut random(u64::from(seed), 0, 4);
    session::<F, _>(|session| {
        let pair = session.numbers.of(&data[..size]) as u16;
        let Side { corpus, runs, .. } = session.side(&data[..size]);
        if *runs < FRESH {
            let mut case = Case::default();
            Generator::new(false).generate(u64::from(seed), 0, &mut case);
            return bytes::put(&case, pair, &mut data[..max]);
        }
        let is_others = corpus.is_empty() || r.random_ratio(1, OTHERS);
        let size = if is_others {
            bytes::put(&bytes::decode(&data[..size]), pair, &mut data[..max])
        } else {
            bytes::put(corpus.pick(r), pair, &mut data[..max])
        };
        bytes::mutate(data, size, max, seed)
    })
}

/// For the custom crossovers of engines: puts a mixture of two cases into `out`; returns its size.
pub fn cross<F: Filesystem>(one: &[u8], other: &[u8], out: &mut [u8], seed: u32) -> usize {
    session::<F, _>(|session| {
        let [one, other] = [one, other].map(|input| session.numbers.upgraded(input));
        bytes::cross(&one, &other, out, seed)
    })
}

/// The history checker alone, against brute force.
pub fn history(input: &[u8]) {
    if let Err(difference) = reference::compare(input) {
        panic!("{difference}");
    }
}

/// The parser: any bytes are a document or an error, and a document's canonical text is a fixed
/// point.
pub fn text(input: &[u8]) {
    let Ok(input) = std::str::from_utf8(input) else { return };
    let _ = text::parse_all(input);
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
    use mkwrite_impls::Builtin;
    use std::path::Path;

    fn each_of_the_corpus(mut each: impl FnMut(&str, &[u8])) {
        for folder in ["known", "pass", "regressions"] {
            let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(folder);
            let files =
                walkdir::WalkDir::new(folder).into_iter().map(|entry| entry.unwrap().into_path());
            for file in
                files.filter(|file| file.extension().is_some_and(|extension| extension == "mkw"))
            {
                let text = std::fs::read_to_string(file).unwrap();
                each(&text, &bytes::encode(&parse(&text).unwrap().case));
            }
        }
    }

    #[test]
    fn mutations_begin_with_new_cases_and_go_on_from_rare_ones() {
        let operations = |data: &[u8]| bytes::decode(data).operations().count();
        let mutated = |seed: u32| {
            let mut data = [0; 1024];
            let size = mutate::<Builtin>(&mut data, bytes::HEADER, 1024, seed);
            data[..size].to_vec()
        };
        let first: Vec<Vec<u8>> = (0..FRESH as u32).map(mutated).collect();
        assert!(first.iter().filter(|data| operations(data) > 2).count() > 100, "the generator's");
        first.iter().for_each(|data| differential::<Builtin>(data, |_| ()));
        let then: Vec<Vec<u8>> = (0..200).map(mutated).collect();
        let same = then.iter().filter(|data| first.contains(data)).count();
        assert!(same <= 4, "{same} of 200 mutations changed nothing");
        assert_eq!(then, (0..200).map(mutated).collect::<Vec<_>>());
        let own = then.iter().filter(|data| operations(data) > 4).count();
        assert!(
            (100..190).contains(&own),
            "{own} of 200 go on from an own case, and not from the empty one"
        );
    }

    #[test]
    fn what_the_ledger_expects_is_no_crash() {
        let mut features = std::collections::BTreeSet::new();
        each_of_the_corpus(|text, bytes| {
            differential::<Builtin>(bytes, |feature| {
                features.insert(feature);
            });
            implementation::<Builtin>(bytes, |_| ());
            codec(bytes);
            parser(text.as_bytes());
        });
        assert!(features.len() > 100, "{}", features.len());
        differential::<Builtin>(b"", |_| ());
        implementation::<Builtin>(b"", |_| ());
        for target in [history, parser, codec] {
            target(b"");
        }
    }

    #[test]
    fn a_crash_is_in_the_function_of_its_rule() {
        let crash =
            std::panic::catch_unwind(|| mkwrite_oracle::Rule::by_id("I20").unwrap().crash("text"));
        let text = crash.unwrap_err().downcast::<String>().unwrap();
        assert_eq!(*text, "i20_dirty_without_record: text");
    }
}
