//! Searches with feedback: what a hunt keeps and logs, and comparisons.

mod common;

use common::{Run, json};
use serde_json::Value;

#[test]
fn a_hunt_keeps_a_corpus_and_begins_with_it() {
    let run = Run::new();
    let hunt = "hunt --seed 3 --cases 300 --raw --json --corpus c --log log";
    let first = json(&run.run(hunt));
    assert_eq!(first["feedback"], serde_json::json!(["near", "kind", "calls", "broken"]));
    let (kept, features) = (first["corpus"].as_u64().unwrap(), first["features"].as_u64().unwrap());
    assert!(kept > 50 && features > 500, "{kept} {features}");
    let files = std::fs::read_dir(run.path("c")).unwrap().count() as u64;
    assert!(
        files <= kept && files * 10 > kept * 9,
        "{files} files of {kept} cases, of which few are alike"
    );

    let log = std::fs::read_to_string(run.path("log")).unwrap();
    let lines: Vec<Value> = log.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let roots = lines.iter().filter(|line| line["found"]["entry"] == "race-nfs");
    assert!(
        roots.clone().count() > 0
            && roots.clone().all(|line| line["executions"].as_u64().unwrap() <= 300)
    );

    // With what was kept the same features are there at once.
    let again = json(&run.run("hunt --seed 4 --cases 310 --raw --json --corpus c"));
    assert!(again["features"].as_u64().unwrap() > features * 8 / 10, "{}", again["features"]);
    run.refuses("hunt --cases 1 --corpus log", &["log", "--corpus"]);
    run.refuses("hunt --cases 1 --log c", &["cannot write to c", "--log"]);
}

#[test]
fn feedback_is_a_choice() {
    let run = Run::new();
    let none = json(&run.run("hunt --seed 3 --cases 100 --raw --json --feedback none"));
    assert_eq!(
        (&none["feedback"], &none["features"], &none["corpus"]),
        (&Value::Null, &0.into(), &0.into())
    );
    let order = json(&run.run("hunt --seed 3 --cases 100 --raw --json --feedback order,state"));
    assert_eq!(order["feedback"], serde_json::json!(["order", "state"]));
    let file = std::fs::read_dir(run.path("findings")).unwrap().flatten().map(|entry| entry.path());
    let file = file
        .into_iter()
        .find(|path| path.extension().is_some_and(|extension| extension == "mkw"))
        .unwrap();
    let text = std::fs::read_to_string(file).unwrap();
    assert!(
        text.contains("of `hunt --seed 3 --feedback order,state`")
            && !text.contains("made smaller"),
        "{text}"
    );
    run.refuses("hunt --feedback coverage", &["unknown signal `coverage`", "near"]);
}

#[test]
fn a_comparison_keeps_its_results() {
    let run = Run::new();
    let compare = "compare random hunt --seeds 2 --executions 200 --results r.jsonl --json";
    let first = json(&run.run(compare));
    assert_eq!(first["seeds"], serde_json::json!({"random": 2, "hunt": 2}));
    let medians = first["medians"].as_object().unwrap();
    assert!(
        medians.len() > 30 && medians.contains_key("nfs@2.6.29 x 2.6.29: race-nfs"),
        "{}",
        medians.len()
    );
    assert_eq!(first["rarest_third"].as_array().unwrap().len(), medians.len() / 3);
    assert_eq!(first["times_fewer"]["random"]["mean"], 1.0);
    let results = std::fs::read(run.path("r.jsonl")).unwrap();
    assert_eq!(json(&run.run(compare)), first);
    assert_eq!(std::fs::read(run.path("r.jsonl")).unwrap(), results, "nothing is run twice");
    run.refuses("compare nobody", &["unknown contender `nobody`", "libfuzzer"]);
    run.refuses("compare libfuzzer --seeds 1", &["checkout"]);
}
