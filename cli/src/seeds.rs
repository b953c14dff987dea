//! What a fuzzing engine starts from: seeds, a dictionary and options for each target.
//!
//! The targets are those of `fuzz/Cargo.toml`. All files are functions of the corpus and of this
//! program's tables, to the byte, so that nothing here goes stale. Left out: what engines found
//! before; that is a corpus of their own.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Cursor, Write};
use std::path::Path;

use anyhow::{Context, Result, anyhow};
use mkwrite_model::bytes::{self, HEADER, RECORD};
use mkwrite_model::case::{
    Actor, Case, Faults, Geometry, Operand, Operands, Operation, Override, Range, Schedule, Site,
    Stop,
};
use mkwrite_model::era::Era;
use mkwrite_model::exec::TaskId;
use mkwrite_model::implementation::Filesystem;
use mkwrite_model::plant::Plant;
use mkwrite_model::point::Point;
use mkwrite_model::remedy::Remedy;
use mkwrite_model::text::{self, Document};
use mkwrite_oracle::{Ledger, Rule};
use mkwrite_search::stored_pairs::PairNumbers;
use walkdir::WalkDir;
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, DateTime, ZipWriter};

use crate::engine::{Form, Target};
use crate::files::{self, sha1};

/// Files by name.
type Files = BTreeMap<String, Vec<u8>>;

/// What a target starts from.
pub(crate) struct Start {
    /// The target.
    pub target: &'static Target,
    /// Its seeds, by the SHA-1 of their content.
    pub seeds: Files,
    /// Its dictionary, as engines read it.
    pub dictionary: String,
}

impl Start {
    /// What a target starts from, with these cases.
    pub(crate) fn new<F: Filesystem>(
        ledger: &Ledger<F>,
        target: &'static Target,
        cases: &[Seed],
    ) -> Start {
        let dictionary = dictionary_text(&dictionary::<F>(target.form));
        Start { target, seeds: seeds(ledger, target.form, cases), dictionary }
    }

    /// The seeds as a zip, in the order of their names, and always the same bytes: no time and no
    /// rights of a machine.
    pub(crate) fn zip(&self) -> Result<Vec<u8>> {
        zip_of(&self.seeds)
    }

    /// The target's options, as ClusterFuzz reads them.
    pub(crate) fn options(&self) -> String {
        let all = self
            .target
            .options()
            .into_iter()
            .chain([("dict", format!("{}.dict", self.target.name))]);
        all.fold("[libfuzzer]\n".to_owned(), |text, (name, value)| {
            text + name + " = " + &value + "\n"
        })
    }
}

/// A case to start from, as text and as it was read.
pub(crate) struct Seed {
    text: Vec<u8>,
    document: Document,
}

/// The cases below a folder in the order of their paths, and what could not be read.
pub(crate) fn read<F: Filesystem>(folder: &Path) -> Result<(Vec<Seed>, Vec<anyhow::Error>)> {
    let (mut cases, mut unread) = (Vec::new(), Vec::new());
    std::fs::read_dir(folder)
        .map_err(|error| anyhow!("{}: {error}", folder.display()))
        .context("give a folder of .mkw files")?;
    for entry in WalkDir::new(folder).sort_by_file_name() {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                unread.push(error.into());
                continue;
            }
        };
        if entry.file_type().is_dir() || !files::is_text(entry.path()) {
            continue;
        }
        let seed = || {
            Ok(Seed {
                document: files::read::<F>(entry.path())?,
                text: std::fs::read(entry.path())?,
            })
        };
        match seed() {
            Ok(case) => cases.push(case),
            Err(error) => unread.push(error),
        }
    }
    Ok((cases, unread))
}

/// The seeds of a target by the SHA-1 of their content, which is also what libFuzzer calls them.
fn seeds<F: Filesystem>(ledger: &Ledger<F>, form: Form, cases: &[Seed]) -> Files {
    let numbers = PairNumbers::new(ledger);
    let encoded = || cases.iter().map(|case| bytes::encode(&case.document.case));
    let all: Vec<Vec<u8>> = match form {
        Form::Case => encoded().collect(),
        Form::CaseOnPair => cases.iter().flat_map(|case| on_its_pairs(&numbers, case)).collect(),
        Form::History => histories(),
        Form::Text => cases.iter().map(|case| case.text.clone()).collect(),
    };
    all.into_iter().map(|content| (sha1(&content), content)).collect()
}

/// The bytes of a case once for each pair of a default hunt that it names.
fn on_its_pairs<F: Filesystem>(numbers: &PairNumbers<F>, case: &Seed) -> Vec<Vec<u8>> {
    let pairs = numbers.pairs();
    let is_named = |n: &usize| {
        let pair = &pairs[*n];
        let names = (pair.implementation.name(), pair.caller.name());
        case.document.runs.iter().any(|(fs, caller)| (fs.as_str(), caller.as_str()) == names)
    };
    let on = |n: usize| bytes::encode_on(&case.document.case, n as u16);
    let named: Vec<usize> = (0..pairs.len()).filter(is_named).collect();
    if named.is_empty() { vec![on(0)] } else { named.into_iter().map(on).collect() }
}

/// Small histories: one operation alone, one after another, and one within another.
fn histories() -> Vec<Vec<u8>> {
    let mut all = vec![vec![]];
    for (first, second) in [(true, false), (false, true), (true, true), (false, false)] {
        let ([call, end], [other, other_end]) = (event(0, first, 1), event(1, second, 1));
        all.push(vec![call, end]);
        all.push(vec![call, end, other, other_end]);
        all.push(vec![call, other, other_end, end]);
        all.push(vec![call, other, end, other_end]);
        let [third, third_end] = event(2, false, 0);
        all.push(vec![call, end, other, other_end, third, third_end]);
        all.push(vec![call, other, third, third_end, other_end, end]);
    }
    all
}

/// The call of an actor and its return: the actor is the rest of three, four means a store, and
/// what is left of an eighth says which stamp a load saw.
fn event(actor: u8, store: bool, seen: u8) -> [u8; 2] {
    let byte = |high: u8, fits: &dyn Fn(u8) -> bool| {
        let low = (0..8).find(|low| (high * 8 + low) % 3 == actor && fits(*low));
        high * 8 + low.expect("of four numbers in a row one has the rest")
    };
    [byte(0, &|low| (low & 4 != 0) == store), byte(seen, &|_| true)]
}

/// The words of a target, by what they are called.
fn dictionary<F: Filesystem>(form: Form) -> Files {
    match form {
        Form::Case | Form::CaseOnPair => records(),
        Form::History => {
            let name = |store| if store { "store" } else { "load" };
            let all = [(0, false), (1, false), (2, false), (0, true), (1, true), (2, true)];
            let events =
                all.iter().flat_map(|(actor, store)| (0..3).map(|seen| (*actor, *store, seen)));
            let stores_see_nothing = |(_, store, seen): &(u8, bool, u8)| !store || *seen == 0;
            let word = |(actor, store, seen)| {
                (format!("{}_{actor}_{seen}", name(store)), event(actor, store, seen).to_vec())
            };
            events.filter(stores_see_nothing).map(word).collect()
        }
        Form::Text => {
            words::<F>().into_iter().map(|word| (label(&word), word.into_bytes())).collect()
        }
    }
}

/// Records of a case in bytes: each kind of operation with the operands at the ends, for two
/// actors, and schedules.
fn records() -> Files {
    let geometry = Geometry { pages: 2, blocks: 2, size: 8, mms: 2, ..Geometry::default() };
    let mut all = Files::new();
    for kind in Operation::KINDS.iter().skip(1) {
        // A second operand goes through its ends while the first does, the other way round.
        let ends: Vec<Vec<Range>> = kind.operands.iter().map(|operand| ends(*operand)).collect();
        let nth = |n: usize| -> Operands {
            let first = ends.first().map_or(Range::default(), |ends| ends[n]);
            let second = ends.get(1).map_or(Range::default(), |ends| ends[ends.len() - 1 - n]);
            [first, second]
        };
        let count = ends.first().map_or(1, Vec::len);
        for (n, actor) in (0..count).flat_map(|n| [(n, 0), (n, 1)]) {
            let operation =
                Operation::from_code(kind.code, nth(n)).expect("the code is in the table");
            let name = label(&format!("{}_{operation}", TaskId(actor as u8)));
            all.insert(name, record(geometry, actor, operation, Schedule::default()));
        }
    }
    // One actor at each point; who else, and when, is one byte away.
    let at = Point::ALL
        .iter()
        .filter(|point| point.is_scheduling_point())
        .map(|point| (TaskId(0), Some(*point)));
    for (task, point) in at.chain([TaskId(0), TaskId(1), TaskId::io(0)].map(|task| (task, None))) {
        let name = label(&format!("order_{task}_{}", point.map_or("end", |point| point.name())));
        let stop = Stop { task, slot: 0, point, occurrence: 1 };
        all.insert(name, record(geometry, 0, Operation::Fsync, Schedule::Order(vec![stop])));
    }
    for site in Site::ALL {
        let faults = Faults::default().with(*site, 1);
        let actors = vec![Actor::default()];
        let bytes = bytes::encode(&Case { geometry, faults, actors, ..Case::default() });
        all.insert(label(&format!("fault_{}", site.name())), bytes[HEADER..].to_vec());
    }
    for (task, nth, priority) in [(0, 1, 0), (0, 1, u16::MAX), (1, 1, 0), (1, 1, u16::MAX)] {
        let overrides = vec![Override { task: TaskId(task), slot: 0, nth, priority }];
        let name = format!("override_{}_{nth}_{priority}", TaskId(task));
        all.insert(
            name,
            record(
                geometry,
                usize::from(task),
                Operation::Fsync,
                Schedule::Seed { seed: 0, overrides },
            ),
        );
    }
    all
}

/// Operands at the ends of a file of two pages of four cells.
fn ends(operand: Operand) -> Vec<Range> {
    let all: &[(u8, u8)] = match operand {
        Operand::Size => &[(0, 0), (1, 0), (4, 0), (7, 0), (8, 0)],
        Operand::Cells => &[(0, 1), (0, 4), (3, 5), (7, 8), (0, 8)],
        Operand::Pages => &[(0, 1), (1, 2), (0, 2)],
    };
    all.iter().map(|(start, end)| Range::new(*start, *end)).collect()
}

/// The last record of a case with one operation of one actor: the schedule's, or the operation's if
/// there is none.
fn record(geometry: Geometry, actor: usize, operation: Operation, schedule: Schedule) -> Vec<u8> {
    let mut case = Case { geometry, schedule, ..Case::default() };
    case.actors = vec![Actor::default(); 2];
    case.actors[actor].operations = vec![operation];
    let bytes = bytes::encode(&case);
    bytes[HEADER..].chunks(RECORD).next_back().unwrap_or_default().to_vec()
}

/// The words of the text format: its statements, and the names that stand in them.
fn words<F: Filesystem>() -> BTreeSet<String> {
    let operations = Operation::KINDS.iter().map(|kind| kind.name);
    let points = Point::ALL.iter().map(|point| point.name());
    let implementations = F::all().iter().map(|fs| fs.name());
    let callers = Era::CALLERS.iter().map(|caller| caller.name());
    let rules = Rule::ALL.iter().map(|rule| rule.id());
    // The others are statements, which the parser's own words have.
    let sites = Site::ALL.iter().filter(|site| !site.row().has_statement).map(|site| site.name());
    operations
        .chain(points)
        .chain(implementations)
        .chain(callers)
        .chain(rules)
        .chain(Plant::ALL.iter().map(|plant| plant.name()))
        .chain(Remedy::ALL.iter().map(|remedy| remedy.name()))
        .chain(sites)
        .map(str::to_owned)
        .chain(text::dictionary())
        .collect()
}

/// A text as the name of a word, of letters, digits and `_`, and different for different words of
/// one dictionary.
fn label(text: &str) -> String {
    let one = |c: char| match c {
        'a'..='z' | 'A'..='Z' | '0'..='9' | '_' => c.to_string(),
        '.' | ' ' | '-' => "_".to_owned(),
        _ => format!("_x{:02x}", u32::from(c)),
    };
    text.trim().chars().map(one).collect()
}

/// A dictionary in the syntax of libFuzzer and AFL++, everything but letters, digits and a few
/// signs escaped.
fn dictionary_text(words: &Files) -> String {
    let quoted = |word: &[u8]| -> String {
        let one = |byte: &u8| match byte {
            b'a'..=b'z'
            | b'A'..=b'Z'
            | b'0'..=b'9'
            | b' '
            | b'.'
            | b'_'
            | b'-'
            | b'@'
            | b'#'
            | b'*' => char::from(*byte).to_string(),
            _ => format!("\\x{byte:02X}"),
        };
        word.iter().map(one).collect()
    };
    words.iter().map(|(name, word)| format!("{name}=\"{}\"\n", quoted(word))).collect()
}

fn zip_of(files: &Files) -> Result<Vec<u8>> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let options = SimpleFileOptions::default()
        .compression_method(CompressionMethod::Deflated)
        .last_modified_time(DateTime::default())
        .unix_permissions(0o644);
    for (name, content) in files {
        zip.start_file(name, options)?;
        zip.write_all(content)?;
    }
    Ok(zip.finish()?.into_inner())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::engine::TARGETS;
    use mkwrite_impls::Builtin;
    use mkwrite_model::text::parse;

    #[test]
    fn every_target_has_a_source_file() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fuzz/fuzz_targets");
        let names: BTreeSet<String> = TARGETS.iter().map(|target| target.name.to_owned()).collect();
        let stem = |entry: std::io::Result<std::fs::DirEntry>| {
            entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned()
        };
        assert_eq!(names, std::fs::read_dir(folder).unwrap().map(stem).collect());
        assert!(names.contains("differential"));
    }

    #[test]
    fn a_record_decodes_to_what_its_name_says() {
        let all = records();
        assert!(all.values().all(|record| record.len() == RECORD));
        let kinds = Operation::KINDS.iter().skip(1);
        let of = |kind: &str| {
            all.keys().filter(|name| name.split('_').nth(1) == kind.split('_').next()).count()
        };
        assert!(kinds.clone().all(|kind| of(kind.name) >= 2), "each kind, for two actors");

        let header =
            || bytes::encode(&Case { actors: vec![Actor::default(); 2], ..Case::default() });
        let case = bytes::decode(&[header(), all["B_write_0__4"].clone()].concat());
        assert_eq!(case.actors[1].operations, [Operation::Write(Range::new(0, 4))]);
        let case = bytes::decode(
            &[header(), all["A_fsync"].clone(), all["order_A_op_start"].clone()].concat(),
        );
        let stop = Stop { task: TaskId(0), slot: 0, point: Some(Point::OpStart), occurrence: 1 };
        assert_eq!(case.schedule, Schedule::Order(vec![stop]));
    }

    #[test]
    fn the_words_are_those_of_the_parser() {
        let words = words::<Builtin>();
        let known = |text: &str| {
            words.iter().any(|word| word.trim() == text || word.split(' ').next() == Some(text))
        };
        for (text, plus) in [("mkw 1\n?", "order"), ("mkw 1\nfile ?", "holes")] {
            let help = parse(text).unwrap_err().help;
            let listed: Vec<&str> = help.trim_start_matches("one of: ").split(", ").collect();
            assert!(listed.contains(&plus), "{help}");
            for word in listed.iter().filter(|word| !word.contains(' ')) {
                assert!(known(word), "`{word}` is missing");
            }
        }
        for word in ["store", "wp.page_mkwrite", "nfs@3.0", "2.6.30", "I20"] {
            assert!(known(word), "`{word}` is missing");
        }
        assert_eq!(
            dictionary::<Builtin>(Form::Text).len(),
            words.len(),
            "no two words have one name"
        );
    }

    #[test]
    fn no_word_is_longer_than_an_engine_takes() {
        for form in [Form::Case, Form::CaseOnPair, Form::History, Form::Text] {
            let all = dictionary::<Builtin>(form);
            assert!(all.len() > 10, "{form:?}");
            assert!(all.values().all(|word| (1..=64).contains(&word.len())), "{form:?}");
        }
    }

    #[test]
    fn a_dictionary_escapes_what_is_not_plain() {
        let words = Files::from([("a".to_owned(), vec![0, b'"', b'\\', 0xA5, b'x'])]);
        assert_eq!(dictionary_text(&words), "a=\"\\x00\\x22\\x5C\\xA5x\"\n");
    }

    #[test]
    fn an_event_of_a_history_says_who_and_what() {
        for (actor, store, seen) in
            (0..3).flat_map(|actor| [(actor, false, 0), (actor, true, 0), (actor, false, 2)])
        {
            let [call, end] = event(actor, store, seen);
            assert_eq!((call % 3, call & 4 != 0), (actor, store));
            assert_eq!((end % 3, end / 8), (actor, seen));
        }
        assert!(histories().len() > 10);
        histories().iter().for_each(|history| mkwrite_search::fuzz::history(history));
    }

    #[test]
    fn the_same_files_make_the_same_zip() {
        let files = Files::from([("b".to_owned(), vec![1; 100]), ("a".to_owned(), vec![])]);
        let one = zip_of(&files).unwrap();
        assert_eq!(one, zip_of(&files).unwrap());
        let mut read = zip::ZipArchive::new(Cursor::new(one)).unwrap();
        let names: Vec<String> = read.file_names().map(|name| name.unwrap().into_owned()).collect();
        assert_eq!(names, ["a", "b"]);
        let time = read.by_index(0).unwrap().last_modified();
        assert_eq!(time, Some(DateTime::default()));
        assert_eq!(sha1(b"abc"), "a9993e364706816aba3e25717850c26c9cd0d89d");
    }

    #[test]
    fn a_seed_of_one_pair_chooses_a_pair_that_its_case_names() {
        let text = "mkw 1\nrun nfs@3.0 2.6.30\nfile pages 1\nactor A mm 0\nA.0 fsync\n";
        let case = Seed { text: text.into(), document: parse(text).unwrap() };
        let pairs = PairNumbers::<Builtin>::new(&Ledger::own());
        let pairs = pairs.pairs();
        let seeds = seeds(&Ledger::<Builtin>::own(), Form::CaseOnPair, &[case]);
        assert_eq!(seeds.len(), 1);
        let chosen = usize::from(bytes::pair(seeds.values().next().unwrap()));
        assert_eq!(pairs[chosen].implementation.name(), "nfs@3.0");
    }
}
