//! `docs/json.md` lists the fields of every document, as they are found in samples. A field that
//! changes shows up as a difference of that file; UPDATE_EXPECT=1 takes it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use expect_test::expect_file;
use mkwrite_explain::bisect;
use mkwrite_explain::cure::cures;
use mkwrite_explain::explain::explain;
use mkwrite_impls::Builtin;
use mkwrite_model::text::{self, parse};
use mkwrite_oracle::Rule;
use mkwrite_oracle::ledger::Ledger;
use mkwrite_oracle::run::{Runner, targets_of};
use serde_json::{Value, to_value};

use super::*;
use crate::cause::Cause;

const HEAD: &str = "# JSON

`--json` prints one document. The tables list its fields: `[]` stands for each element of an array, and a name in capitals
for keys that are names themselves.

Every document has the field `schema`, an integer, which is 1 now. A field that is there keeps its name, its type and its
meaning as long as that number stays; new fields may join at any time, so pass over those that you do not know. When a
field goes or changes, the number rises, for all documents at once.

Types and what each field means are in `report/src/json/`, `report/src/triage.rs` and `report/src/campaign.rs`.
This file is checked, and with `UPDATE_EXPECT=1` written, by `cargo test -p mkwrite-report json`.
";

/// The fields of samples: the types that were seen at each path.
#[derive(Default)]
struct Fields {
    types: BTreeMap<String, BTreeSet<&'static str>>,
    /// How often something was seen at a path.
    seen: BTreeMap<String, usize>,
    /// How many objects there were at a path.
    objects: BTreeMap<String, usize>,
}

impl Fields {
    fn look(&mut self, path: &str, value: &Value) {
        let kind = match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::String(_) => "string",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
        };
        self.types.entry(path.to_owned()).or_default().insert(kind);
        *self.seen.entry(path.to_owned()).or_default() += 1;
        match value {
            Value::Array(all) => all.iter().for_each(|one| self.look(&format!("{path}[]"), one)),
            Value::Object(all) => {
                *self.objects.entry(path.to_owned()).or_default() += 1;
                let below = |name: &str| {
                    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
                };
                all.iter().for_each(|(name, value)| self.look(&below(name), value));
            }
            _ => {}
        }
    }

    fn may_be_absent(&self, path: &str) -> bool {
        let parent = path.rsplit_once('.').map_or("", |(parent, _)| parent);
        !path.ends_with("[]")
            && self.objects.get(parent).is_some_and(|objects| self.seen[path] < *objects)
    }

    /// A table. Objects are seen from their fields.
    fn table(&self) -> String {
        let mut text = "| field | type |\n| --- | --- |\n".to_owned();
        let is_plain = |types: &BTreeSet<&str>| types.iter().eq(["object"].iter());
        for (path, types) in
            self.types.iter().filter(|(path, types)| *path != "schema" && !is_plain(types))
        {
            let types = types
                .iter()
                .copied()
                .filter(|kind| *kind != "null")
                .chain(types.get("null").copied());
            let types = types.collect::<Vec<_>>().join(" or ");
            let absent = if self.may_be_absent(path) { ", may be absent" } else { "" };
            writeln!(text, "| `{path}` | {types}{absent} |").unwrap();
        }
        text
    }
}

fn document(fields: impl Serialize) -> Value {
    to_value(Document::new(fields)).unwrap()
}

fn on() -> On {
    On { implementation: "i", caller: "c", plant: None, remedies: vec!["r"] }
}

fn case(name: &str) -> text::Document {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus").join(name);
    parse(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn hunts() -> Vec<Value> {
    let finding = |found: bool| hunt::Finding {
        on: On { plant: found.then_some("p"), ..on() },
        rule: "I1",
        point: "p",
        operation: "store",
        status: Status::New,
        expected: false,
        follows: false,
        entry: found.then(String::new),
        group: found.then(String::new),
        cases_until_found: 1,
        cases: 1,
        file: found.then(String::new),
    };
    let cause = |found: bool| hunt::Cause {
        about: Cause {
            title: "t",
            rule: "I1",
            point: "p",
            status: Status::New,
            expected: false,
            entry: found.then(String::new),
            rules: vec!["I1"],
            pairs: vec![String::new()],
            findings: 1,
            file: found.then(String::new),
        },
        cases_until_found: 1,
    };
    let hunt = |one: bool| hunt::Hunt {
        seed: 1,
        shard: one.then(String::new),
        aligned: false,
        scheduler: one.then_some("pos"),
        rule: one.then_some("I1"),
        plant: one.then_some("p"),
        error: one.then(String::new),
        jobs: 1,
        cases: 1,
        runs: 1,
        steps: 1,
        seconds: 0.5,
        undecided: 0,
        feedback: one.then(|| vec![String::new()]),
        features: 1,
        corpus: 1,
        findings: vec![finding(one)],
        causes: vec![cause(one)],
        reached: hunt::Reached {
            points: BTreeMap::from([(
                "PAIR".to_owned(),
                BTreeMap::from([("POINT".to_owned(), 1)]),
            )]),
        },
    };
    [true, false].map(|one| document(hunt(one))).into()
}

fn replays() -> Vec<Value> {
    let run = |one: bool| replay::Run {
        file: String::new(),
        on: On { plant: one.then_some("p"), ..on() },
        verdict: "NEW",
        rules: vec![replay::Broken {
            rule: "I1",
            step: 1,
            point: "p",
            operation: "store",
            expected: false,
            follows: false,
            entry: one.then(String::new),
            what: "",
        }],
        missing: vec![String::new()],
        unreached: vec![String::new()],
        stale: vec![replay::Stale { line: one.then_some(1), what: String::new() }],
        realigned: one.then(String::new),
        trace_hash: String::new(),
        trace: one.then(|| vec![String::new()]),
    };
    vec![document(replay::Replay { runs: [true, false].map(run).into() })]
}

fn rates() -> Vec<Value> {
    let rate = |one: bool| replay::Rate {
        rule: "I1",
        point: "p",
        own: one,
        expected: one,
        hits: 1,
        first: one.then_some(1),
    };
    let run = replay::Often {
        file: String::new(),
        implementation: "i",
        caller: "c",
        scheduler: "pos",
        seed: 1,
        times: 1,
        signatures: [true, false].map(rate).into(),
    };
    vec![document(replay::Rates { runs: vec![run] })]
}

fn shrinks() -> Vec<Value> {
    let size = || shrink::Size { operations: 1, preemptions: 1, actors: 1 };
    vec![document(shrink::Shrink {
        file: String::new(),
        before: size(),
        after: size(),
        minimal: BTreeMap::from([("AXIS", true)]),
        interrupted: false,
        seconds: 0.5,
    })]
}

/// Real ones: a case that breaks something, and one that does not.
fn explains() -> Vec<Value> {
    let explained = |name: &str| {
        let case = case(name);
        let target = targets_of::<Builtin>(&case).unwrap()[0];
        let explanation = explain(&mut Runner::default(), &Ledger::own(), target, &case, None);
        // The explanation is that of the plain target; the names of a bug and of a remedy are all
        // that is missing.
        let plants = explanation.main.map(|_| Plant::ALL[0]).into();
        let target = Target { plants, remedies: Remedy::ALL.iter().copied().collect(), ..target };
        document(explain::Explain::of(target, &explanation))
    };
    ["known/unlocked-return/race-nfs-stable.mkw", "pass/race-nfs-stable.mkw"].map(explained).into()
}

fn bisects() -> Vec<Value> {
    let case = case("known/unlocked-return/race-nfs-stable.mkw");
    let (target, ledger) = (targets_of::<Builtin>(&case).unwrap()[0], Ledger::own());
    let series = bisect::bisect(&mut Runner::default(), &ledger, target, &case.case);
    let nowhere = bisect::Series::<Builtin> { what: String::new(), stations: Vec::new() };
    let rule = Rule::by_id("I20").unwrap();
    let cures = cures(&mut Runner::default(), &ledger, target, &case.case, rule);
    let series = series.iter().chain([&nowhere]).map(Into::into).collect();
    let remedies = cures.attempts.iter().map(Into::into).collect();
    vec![document(super::bisect::Bisect { file: String::new(), series, remedies })]
}

fn matrices() -> Vec<Value> {
    let cell = |one: bool| crate::matrix::Cell {
        refused: one.then(String::new),
        rules: vec!["I1"],
        entries: vec![String::new()],
        is_new: one,
        closed_by: vec![String::new()],
        moved: vec![String::new()],
        lost: vec![String::new()],
    };
    let matrix = crate::matrix::Matrix {
        case: String::new(),
        home: String::new(),
        implementations: vec!["i"],
        callers: vec!["c", "d"],
        cells: vec![[true, false].map(cell).into()],
    };
    vec![document(matrix::Matrix { cases: vec![(&matrix).into()] })]
}

fn compares() -> Vec<Value> {
    let compare = |one: bool| {
        let by = |median: Option<f64>| BTreeMap::from([("CONTENDER".to_owned(), median)]);
        compare::Compare {
            executions: 1,
            seeds: BTreeMap::from([("CONTENDER".to_owned(), 1)]),
            medians: BTreeMap::from([("BREACH".to_owned(), by(one.then_some(0.5)))]),
            rarest_third: vec![String::new()],
            times_fewer: BTreeMap::from([(
                "CONTENDER".to_owned(),
                compare::Factors { mean: one.then_some(0.5), median: one.then_some(0.5) },
            )]),
        }
    };
    [true, false].map(|one| document(compare(one))).into()
}

fn bugs() -> Vec<Value> {
    let bug = |one: bool| bugs::Bug {
        name: String::new(),
        what: String::new(),
        source: String::new(),
        implementation: one.then_some("i"),
        entry: one.then(String::new),
        plant: one.then_some("p"),
        out: one.then(String::new),
        hunts: 1,
        found: 1,
        still_there: false,
        rule: one.then_some("I1"),
        median_cases: one.then_some(1),
        median_seconds: one.then_some(1.0),
        operations: one.then_some(1),
    };
    vec![document(bugs::Bugs { seeds: 1, cases: 1, bugs: [true, false].map(bug).into() })]
}

fn plants() -> Vec<Value> {
    let cell = |one: bool| plants::Cell {
        plant: "p",
        implementation: "i",
        caller: "c",
        outcome: "new",
        cases_until_found: one.then_some(1),
        rule: one.then_some("I1"),
        on_remedied_form: one.then_some(true),
        why: one.then_some(""),
    };
    vec![document(plants::Plants { seed: 1, cases: 1, cells: [true, false].map(cell).into() })]
}

fn reaches() -> Vec<Value> {
    let on = BTreeMap::from([("IMPLEMENTATION", reach::Count { cases: 1, bound: 1 })]);
    let shape = reach::Shape { name: "s", what: "", on };
    vec![document(reach::Reach { cases: 1, seed: 1, steps: 1, shapes: vec![shape] })]
}

fn missing() -> Vec<live::Missing> {
    vec![live::Missing { name: String::new(), what: String::new(), help: String::new() }]
}

fn conformances() -> Vec<Value> {
    let difference = |one: bool| live::Difference {
        class: String::new(),
        shown_by: "end",
        model: String::new(),
        real: String::new(),
        detail: String::new(),
        entry: one.then(String::new),
        hits: 1,
        case: 1,
        smallest: String::new(),
        file: one.then(String::new),
    };
    let compared = |one: bool| live::Compared {
        name: String::new(),
        filesystem: String::new(),
        on: On { plant: one.then_some("p"), ..on() },
        store_seen: one,
        cases: 1,
        operations: 1,
        differing: 1,
        seconds: 0.5,
        differences: vec![difference(one)],
    };
    let filesystems = [true, false].map(compared).into();
    let kernel = String::new();
    vec![document(live::Conformance { kernel, seed: 1, filesystems, missing: missing() })]
}

fn flaws() -> Vec<live::Flaw> {
    let flaw = |one: bool| live::Flaw {
        flaw: String::new(),
        shown_by: "rest",
        found: String::new(),
        detail: String::new(),
        entry: one.then(String::new),
        hits: 1,
        file: one.then(String::new),
    };
    [true, false].map(flaw).into()
}

fn live_hunts() -> Vec<Value> {
    let hunted = live::Hunted {
        name: String::new(),
        filesystem: String::new(),
        cases: 1,
        runs: 1,
        operations: 1,
        overlapped: 1,
        torn: 1,
        undecided: 1,
        syncs: 1,
        seconds: 0.5,
        flaws: flaws(),
    };
    let (kernel, missing) = (String::new(), missing());
    vec![document(live::Hunt { kernel, seed: 1, filesystems: vec![hunted], missing })]
}

fn live_files() -> Vec<Value> {
    let ran = live::Ran {
        file: String::new(),
        name: String::new(),
        filesystem: String::new(),
        times: 1,
        overlapped: 1,
        flaws: flaws(),
    };
    vec![document(live::Files { kernel: String::new(), runs: vec![ran], missing: missing() })]
}

fn triages() -> Vec<Value> {
    let mut triage = crate::triage::tests::triage();
    triage.clusters[0].group = Some(String::new());
    vec![to_value(triage).unwrap()]
}

fn campaigns() -> Vec<Value> {
    let mut without = crate::campaign::tests::campaign();
    let mut with = without.clone();
    with.findings.clusters[0].group = Some(String::new());
    with.shard = Some(String::new());
    (without.crashes[0].file, without.crashes[0].reproduce) = (None, None);
    vec![to_value(with).unwrap(), to_value(without).unwrap()]
}

/// One row of each kind, and of those whose fields may be empty another.
fn lists() -> Vec<Value> {
    use list::List;
    let (name, what, source) = ("n", "w", "s");
    let convention = "c";
    let plant = |rule| list::Plant { name, rule, implementation: "i", what };
    let all = [
        List::Implementations(vec![list::Implementation {
            name,
            convention,
            caller: "c",
            record: "r",
            source,
        }]),
        List::Callers(vec![list::Caller { name, convention, what }]),
        List::Rules(vec![list::Rule { name, rule: "r", plant: "p", source }]),
        List::Operations(vec![list::Operation { name, operand: String::new(), what }]),
        List::Sites(vec![list::Site { statement: String::new(), what }]),
        List::Points(vec![list::Point { number: 1, name, next_step: "s" }]),
        List::Plants(vec![plant(None), plant(Some("r"))]),
        List::Remedies(vec![list::Remedy { name, what, source }]),
        List::Conditions(vec![list::Condition { name, holds_if: "h" }]),
        List::Entries(vec![list::Entry {
            name: String::new(),
            pairs: 1,
            when: vec!["c"],
            remedies: vec!["r"],
            source: String::new(),
        }]),
        List::Schedulers(vec![list::Scheduler { name, what }]),
        List::Signals(vec![list::Signal { name, what }]),
        List::Mutations(vec![list::Mutation { name, weight: 1, what }]),
    ];
    all.iter().map(document).collect()
}

#[test]
fn the_fields_of_every_document_are_listed() {
    let all = [
        ("hunt", hunts()),
        ("replay", replays()),
        ("replay --times", rates()),
        ("shrink", shrinks()),
        ("explain", explains()),
        ("matrix", matrices()),
        ("bisect", bisects()),
        ("triage", triages()),
        ("campaign", campaigns()),
        ("compare", compares()),
        ("plants", plants()),
        ("bugs", bugs()),
        ("reach", reaches()),
        ("live --conformance", conformances()),
        ("live --hunt", live_hunts()),
        ("live FILE", live_files()),
        ("list", lists()),
    ];
    let mut text = HEAD.to_owned();
    for (name, samples) in all {
        let mut fields = Fields::default();
        for sample in &samples {
            assert_eq!(sample["schema"], SCHEMA, "{name}");
            fields.look("", sample);
        }
        write!(text, "\n## {name}\n\n{}", fields.table()).unwrap();
    }
    expect_file!["../../../docs/json.md"].assert_eq(&text);
}
