//! The command as a user meets it: what it finds, that it repeats, and how it takes bad input.

use std::fs;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

mod common;
use common::{Run, corpus, json};

/// What the hunt must find, by pair and rule.
const ROWS: &[(&str, &str, &[&str])] = &[
    ("nfs@2.6.29", "2.6.29", &["I20", "I17", "I34", "kernel-bug", "I32", "I37"]),
    ("fsblock@2007", "2.6.29", &["I20"]),
    ("fsblock@2007", "2.6.30-rc", &["I20"]),
    ("block@2.6.29", "2.6.29", &["I32", "I31", "I20"]),
    ("nfs@2.6.30", "try3", &["I32", "I20", "I8"]),
    ("nfs@2.6.30", "2.6.30", &["I32", "I20"]),
    ("driver@2.6.30", "try3", &["null-mapping", "I8"]),
    ("block@2.6.29", "try3", &["I8"]),
    ("block@2.6.30-rc", "try3", &["I8"]),
    ("block@2.6.30", "try3", &["I8"]),
    ("nfs@2.6.29", "try3", &["I8"]),
    ("nfs@3.0", "try3", &["I8"]),
    ("fsblock@2007", "try3", &["I8"]),
    ("fsblock@2009", "try3", &["I8"]),
    ("filemap@3.10", "try3", &["I8"]),
    ("block@2.6.30-rc", "2.6.30-rc", &["I31", "I20"]),
    ("block@2.6.30", "2.6.30", &["I31", "I20"]),
    ("fsblock@2009", "2.6.30", &["I31", "I20"]),
    ("filemap@3.10", "2.6.30", &["I31"]),
    ("nfs@3.0", "2.6.30", &["I20", "I34"]),
];

#[test]
fn the_hunt_finds_what_the_patch_closes_and_nothing_new() {
    let run = Run::new();
    let output = run.run("hunt --seed 1 --cases 8000 --json");
    assert_eq!(output.status.code(), Some(0));
    let report = json(&output);
    assert_eq!(report["schema"], 1);
    assert_eq!(report["cases"], 8_000);
    assert_eq!(report["undecided"], 0);
    let findings = report["findings"].as_array().unwrap();
    for (fs, caller, rules) in ROWS {
        for rule in *rules {
            let row = |f: &&Value| {
                f["implementation"] == *fs && f["caller"] == *caller && f["rule"] == *rule
            };
            assert!(
                findings.iter().any(|f| row(&f) && f["expected"] == true),
                "{fs} x {caller}: {rule}"
            );
        }
    }
    for finding in findings {
        assert_eq!(finding["expected"], true, "{finding}");
        assert!(run.path(finding["file"].as_str().unwrap()).is_file(), "{finding}");
    }
    let unreached = json(&run.run("list points --unreached --json"));
    let unreached = unreached["points"].as_array().unwrap().iter().map(|point| &point["name"]);
    assert_eq!(unreached.collect::<Vec<_>>(), [] as [&Value; 0]);
}

#[test]
fn causes_of_one_bug_are_counted_and_of_two_told_apart_or_not() {
    let run = Run::new();
    let table = |arguments: &str| {
        let output = run.run(arguments);
        assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let one = table("causes --plant skip-mkclean --cases 300");
    let row = one.lines().find(|line| line.contains("skip-mkclean")).unwrap();
    let words: Vec<&str> = row.split_whitespace().collect();
    assert!(words[1].parse::<usize>().unwrap() >= 3 && words[2] == "1", "{one}");
    let two = table("causes --plant skip-mkclean,mkclean-keeps-dirty --two 1 --cases 300");
    assert!(two.contains("skip-mkclean + mkclean-keeps-dirty"), "{two}");
}

#[test]
fn each_finding_replays() {
    let run = Run::new();
    run.run("hunt --seed 2 --cases 3000 --impl nfs@2.6.29,fsblock@2007");
    let mut files: Vec<_> =
        fs::read_dir(run.path("findings")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|extension| extension == "mkw"));
    assert!(files.len() > 10, "{files:?}");
    for file in files {
        let output = run.run(&format!("replay --json {}", file.display()));
        assert_eq!(output.status.code(), Some(0), "{}", file.display());
        assert_eq!(json(&output)["runs"][0]["verdict"], "expected", "{}", file.display());
    }
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let report = |jobs: u32| {
        let output = Run::new().run(&format!("hunt --seed 4 --cases 1000 --json --jobs {jobs}"));
        let mut report = json(&output);
        let object = report.as_object_mut().unwrap();
        assert_eq!(object.remove("jobs"), Some(Value::from(jobs)));
        assert!(object.remove("seconds").is_some());
        report
    };
    let one = report(1);
    assert_eq!(one, report(2));
    assert_eq!(one, report(5));
}

#[test]
fn a_planted_bug_is_new_and_fails_the_hunt() {
    let run = Run::new();
    let output = run.run("hunt --plant locked-without-lock --seed 1 --cases 50");
    assert_eq!(output.status.code(), Some(1));
    let table = String::from_utf8(output.stdout).unwrap();
    let mut rows = table.lines();
    let title = rows.next().unwrap();
    assert_eq!(title, "the caller and the filesystem disagree on the page lock", "{table}");
    let row: Vec<&str> = rows.next().unwrap().split_whitespace().take(7).collect();
    assert_eq!(
        row.join(" "),
        "NEW block@2.6.30 x 2.6.30 planted locked-without-lock I1",
        "{table}"
    );
    assert_eq!(
        table.matches("NEW").count(),
        2,
        "one cause, as a row and with its command: {table}"
    );
    let command = table
        .lines()
        .find(|line| line.contains(" explain findings/block@2.6.30-2.6.30-I1-"))
        .unwrap();
    let file = command.split_whitespace().last().unwrap();
    assert_eq!(run.run(&format!("replay {file}")).status.code(), Some(0), "it breaks what it says");
    let all = run.run("hunt --plant locked-without-lock --seed 1 --cases 50 --all");
    let all = String::from_utf8(all.stdout).unwrap();
    assert!(all.matches(" NEW ").count() > 5 && all.contains(" replay findings/"), "{all}");
}

#[test]
fn interrupting_a_hunt_saves_what_it_has_found() {
    let run = Run::new();
    let mut child = run
        .command("hunt --seed 1 --seconds 600 --impl nfs@2.6.29")
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    // Without a terminal there is nothing to wait for but time; the first finds take milliseconds.
    std::thread::sleep(Duration::from_secs(2));
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(killed.success());
    let start = Instant::now();
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(130));
    assert!(start.elapsed() < Duration::from_secs(60), "it stops soon");
    let report: Value =
        serde_json::from_slice(&fs::read(run.path("findings/hunt.json")).unwrap()).unwrap();
    let findings = report["findings"].as_array().unwrap();
    assert!(!findings.is_empty());
    for finding in findings {
        assert!(run.path(finding["file"].as_str().unwrap()).is_file(), "{finding}");
    }
}

#[test]
fn replay_overrides_pairs_and_traces() {
    let run = Run::new();
    let case = corpus("known/unlocked-return/race-nfs-unstable.mkw");
    let report =
        json(&run.run(&format!("replay --json {case} --impl nfs@2.6.30,nfs@3.0 --caller 2.6.30")));
    let runs = report["runs"].as_array().unwrap();
    assert_eq!(runs.len(), 2);
    assert!(
        runs.iter().all(|run| run["verdict"] == "pass" && run["rules"] == Value::Array(Vec::new())),
        "{report}"
    );

    let report = json(&run.run(&format!("replay --json {case}")));
    let rules = report["runs"][0]["rules"].as_array().unwrap();
    assert_eq!(rules[0]["rule"], "I20");
    assert_eq!(rules[0]["point"], "miss.set_page_dirty");
    assert_eq!(rules[1]["rule"], "kernel-bug");

    let trace = String::from_utf8(run.run(&format!("replay {case} --trace")).stdout).unwrap();
    let step = trace.lines().find(|line| line.contains("mkwrite.return ")).unwrap();
    assert!(
        step.contains("A.0") && step.contains("DIRTY") && step.contains("<request 0..1>"),
        "{step}"
    );
}

#[test]
fn convert_goes_there_and_back() {
    let run = Run::new();
    let case = corpus("known/unlocked-return/dropped-store.mkw");
    assert!(run.run(&format!("convert {case} -o case.bin")).status.success());
    assert!(run.run("convert case.bin -o case.mkw").status.success());
    let strip = |text: String| {
        let keep = |line: &&str| {
            !line.starts_with(['#']) && !line.starts_with("run") && !line.starts_with("expect")
        };
        text.lines().filter(keep).map(str::to_owned).collect::<Vec<_>>()
    };
    let (before, after) =
        (fs::read_to_string(case).unwrap(), fs::read_to_string(run.path("case.mkw")).unwrap());
    assert_eq!(strip(before), strip(after));
}

#[test]
fn convert_upgrades_a_folder_of_inputs() {
    let run = Run::new();
    fs::create_dir(run.path("old")).unwrap();
    fs::write(run.path("old/one"), [3; 60]).unwrap();
    fs::write(run.path("old/two"), b"\x02anything").unwrap();
    fs::write(run.path("old/note.mkw"), "no input").unwrap();
    run.refuses("convert old", &["is a folder", "--output"]);
    run.refuses("convert old -o old", &["is the file that is read"]);
    assert!(run.run("convert old -o new").status.success());
    assert!(run.run("convert new -o again").status.success());
    let files = |folder: &str| -> std::collections::BTreeMap<_, _> {
        let entries = fs::read_dir(run.path(folder)).unwrap().map(|entry| entry.unwrap().path());
        entries.map(|p| (p.file_name().unwrap().to_owned(), fs::read(&p).unwrap())).collect()
    };
    let new = files("new");
    assert_eq!((new.len(), &new), (2, &files("again")), "the newest form stays as it is");
    assert!(new.values().all(|input| input.starts_with(&mkwrite_model::bytes::MAGIC)));
}

#[test]
fn bad_input_gets_an_error_with_place_and_remedy() {
    let run = Run::new();
    fs::write(run.path("empty.mkw"), "").unwrap();
    run.refuses("replay empty.mkw", &["empty.mkw", "empty"]);
    run.refuses("replay none.mkw", &["none.mkw", "No such file", "help"]);
    let text = "mkw 1\nfile pages 1 cells 1 blocks 1 size 1 mms 1\nactor A mm 0\nA.0 stoer 0..1\n";
    fs::write(run.path("bad.mkw"), text).unwrap();
    run.refuses("replay bad.mkw", &["bad.mkw:4:5", "^^^^^", "store"]);
    fs::write(run.path("latin1.mkw"), b"mkw 1\n# caf\xe9\n").unwrap();
    run.refuses("replay latin1.mkw", &["byte 11"]);
    // Nothing runs if any file is bad.
    run.refuses(
        &format!("replay {} bad.mkw", corpus("known/null-mapping/null-mapping.mkw")),
        &["bad.mkw:4:5"],
    );
    run.refuses("replay .", &["Is a directory"]);

    run.refuses("hunt --impl nfs@2.6.31", &["nfs@2.6.31", "nfs@2.6.30", "known are"]);
    run.refuses("hunt --caller 2.6.28", &["2.6.28", "2.6.29"]);
    run.refuses("hunt --rule I99", &["I99", "known are: I1, I2"]);
    run.refuses("hunt --plant no-such", &["no-such", "leak-page-lock"]);
    run.refuses("hunt --scheduler fifo", &["fifo", "pct"]);
    run.refuses("hunt --impl nfs@3.0 --caller 2.6.29", &["nfs@3.0", "2.6.29", "deadlock"]);
    run.refuses("hunt --seconds many", &["many", "--seconds"]);
    fs::write(run.path("file"), "").unwrap();
    run.refuses("hunt --out file/findings --cases 1", &["file/findings", "--out"]);
    run.refuses("list points --unreached --from none.json", &["none.json"]);
    assert!(!run.path("findings").exists());
}

#[test]
fn all_errors_of_a_file_are_told_each_with_a_caret() {
    let run = Run::new();
    let text = "mkw 1\nrun ext4 2.6.99\nexpect I99 run.end store\nlimits actors 4 operations 16 \
                pages 4 steps 65536\nactor A mm 0\nA.0 stoer 0..1\n";
    fs::write(run.path("bad.mkw"), text).unwrap();
    let texts = [
        "bad.mkw:2:5",
        "unknown implementation `ext4`",
        "bad.mkw:2:10",
        "unknown caller `2.6.99`",
        "bad.mkw:3:8",
        "unknown rule `I99`",
        "bad.mkw:4:45",
        "`65536` is not a number from 64 to 16384",
        "bad.mkw:6:5",
        "did you mean `store`?",
    ];
    for command in ["replay", "explain", "shrink", "matrix", "bisect", "convert"] {
        run.refuses(&format!("{command} bad.mkw"), &texts);
    }
    // A pair that makes no sense is marked, too.
    fs::write(run.path("pair.mkw"), "mkw 1\nrun nfs@3.0 2.6.29\nfile size 4\nactor A mm 0\n")
        .unwrap();
    run.refuses("replay pair.mkw", &["pair.mkw:2:5", "deadlock"]);
}

#[test]
fn what_cannot_be_written_is_lost_to_nobody() {
    let run = Run::new();
    let hunt = "hunt --plant skip-mkclean --seed 3 --cases 100";
    let (table, _) = run.prints(hunt);
    let command = table.lines().find(|line| line.contains(" explain findings/")).unwrap();
    let file = command.split_whitespace().last().unwrap();
    // Where the case should be, there is a folder.
    fs::create_dir_all(run.path(&file.replace("findings", "other")).join("full")).unwrap();
    let output = run.run(&format!("{hunt} --out other"));
    assert_eq!(output.status.code(), Some(1), "something is NEW all the same");
    let [table, error] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(table.contains("NEW a store will not be noticed"), "{table}");
    assert!(table.contains("its case is not saved; it comes again with --seed 3"), "{table}");
    assert!(error.contains("cannot write other/"), "{error}");
    assert!(run.path("other/hunt.json").is_file());

    let output = run.run("hunt --impl block@2.6.30 --seed 3 --cases 1000 --log /dev/full");
    assert_eq!(output.status.code(), Some(2));
    let [table, error] =
        [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(table.contains("expected: eof-record"), "{table}");
    assert!(error.contains("cannot write to /dev/full"), "{error}");
}

#[test]
fn commands_to_copy_are_quoted_and_tables_fit() {
    let run = Run::new();
    let mut command = run.command("hunt --plant skip-mkclean --seed 2 --cases 100 --out");
    let output = command.arg("sp ace").env("COLUMNS", "80").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains(" explain 'sp ace/block@2.6.30-2.6.30-I10-"), "{text}");
    let table = text.lines().take_while(|line| !line.starts_with("NEW "));
    assert!(table.clone().count() > 1 && table.clone().all(|row| row.chars().count() <= 80));
    let all =
        run.command("hunt --impl nfs@3.0 --seed 5 --cases 100 --all").env("COLUMNS", "80").output();
    let all = String::from_utf8(all.unwrap().stdout).unwrap();
    let table = all.lines().take_while(|line| !line.contains(" replay "));
    assert!(
        table.clone().count() > 3 && table.clone().all(|row| row.chars().count() <= 80),
        "{all}"
    );
}

#[test]
fn shards_are_together_the_hunt_and_triage_merges_them() {
    let run = Run::new();
    let hunt = "hunt --impl nfs@2.6.29,block@2.6.30 --feedback none --seed 5 --cases 600 --json";
    let keys = |report: &Value| -> Vec<String> {
        let finding = |one: &Value| {
            let names = ["implementation", "caller", "rule", "point", "entry"];
            names.map(|name| one[name].to_string()).join(" ")
        };
        report["findings"].as_array().unwrap().iter().map(finding).collect()
    };
    let whole = json(&run.run(&format!("{hunt} --out whole")));
    let parts = [1, 2].map(|n| json(&run.run(&format!("{hunt} --shard {n}/2 --out part{n}"))));
    let cases = |report: &Value| report["cases"].as_u64().unwrap();
    assert_eq!(parts.iter().map(cases).sum::<u64>(), cases(&whole));
    assert!(parts.iter().all(|part| cases(part) > 200));
    let mut union: Vec<String> = parts.iter().flat_map(&keys).collect();
    let mut all = keys(&whole);
    all.sort();
    union.sort();
    union.dedup();
    // The point of a signature that has none is that of its first case: compare by the rest.
    assert!(all.iter().all(|one| union.contains(one)), "{all:#?}\n{union:#?}");
    let merged = json(&run.run("triage part1 part2 --json --out merged"));
    assert!(
        merged["causes"].as_array().unwrap().len() >= whole["causes"].as_array().unwrap().len()
    );
    run.refuses("hunt --shard 3/2 --seed 1", &["3/2"]);
    run.refuses("hunt --shard 1/2", &["--seed"]);
}

#[test]
fn a_broken_pipe_is_quiet() {
    let run = Run::new();
    let mut child = run
        .command(&format!(
            "replay --trace {}",
            corpus("known/unlocked-return/race-nfs-unstable.mkw")
        ))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8(output.stderr).unwrap(), "");
}

#[cfg(not(feature = "live"))]
#[test]
fn a_build_without_the_feature_says_which_one_brings_the_command() {
    let run = Run::new();
    for arguments in ["live --conformance --dir .", "vm --demo", "live"] {
        let output = run.run(arguments);
        let error = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(125), "{error}");
        let help = format!("cargo run --release --features live -- {arguments}");
        assert!(error.contains("this build has no") && error.contains(&help), "{error}");
    }
}
