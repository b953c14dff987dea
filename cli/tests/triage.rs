//! `mkwrite triage` as a user meets it: a folder of what fuzzers, a hunt and accidents have left
//! there.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};

mod common;
use common::{Run, corpus, json as parsed};

trait Folder {
    fn put(&self, name: &str, content: impl AsRef<[u8]>);
    fn put_bytes(&self, case: &str, name: &str);
    fn triage(&self, arguments: &str) -> (Value, i32);
}

impl Folder for Run {
    fn put(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    /// A case of the corpus in bytes, the form of fuzzers.
    fn put_bytes(&self, case: &str, name: &str) {
        fs::create_dir_all(self.path(name).parent().unwrap()).unwrap();
        let output = self
            .command("convert")
            .arg(corpus(case))
            .arg("-o")
            .arg(self.path(name))
            .output()
            .unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }

    /// The report, and the exit code.
    fn triage(&self, arguments: &str) -> (Value, i32) {
        let output = self.run(&format!("triage --json {arguments}"));
        (parsed(&output), output.status.code().unwrap())
    }
}

fn clusters(report: &Value) -> &Vec<Value> {
    report["clusters"].as_array().unwrap()
}

fn cluster<'a>(report: &'a Value, signature: &str) -> &'a Value {
    let found = clusters(report).iter().find(|cluster| cluster["signature"] == signature);
    found.unwrap_or_else(|| panic!("no {signature} in {report:#}"))
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn remarks(report: &Value, list: &str) -> BTreeMap<String, String> {
    report[list]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (text(&one["file"]), text(&one["reason"])))
        .collect()
}

/// The race of NFS, which `known/unlocked-return/race-nfs-wp.mkw` shows.
const RACE: &str = "nfs@2.6.29-2.6.29-I20-race-nfs";
/// It says that it breaks something, and does not.
const STALE: &str = "mkw 1\nrun block@2.6.30 2.6.30\nexpect I20 wp.set_page_dirty store\n\
                    file pages 1 cells 1 blocks 1 size 1 mms 1\nactor A mm 0\nA.0 store 0..1\n";

/// What a hunt, two engines and accidents have left below `in`, and what cannot be read. Returns
/// whether everything can, as root.
fn heap(run: &Run) -> bool {
    assert_eq!(
        run.run("hunt --seed 2 --cases 300 --impl fsblock@2009 --out in/findings").status.code(),
        Some(0)
    );
    for name in [
        "in/crash-0a1b",
        "in/deep/er/crash-2c3d",
        "in/afl/main/crashes/id:000000,sig:06,src:000001",
    ] {
        run.put_bytes("known/unlocked-return/race-nfs-wp.mkw", name);
    }
    run.put_bytes("known/null-mapping/null-mapping.mkw", "in/slow-unit-77");
    run.put_bytes("known/unlocked-return/race-nfs-stable.mkw", "in/timeout-5");
    run.put_bytes("known/grow-file/grow-file.mkw", "in/afl/main/queue/id:000000,orig:seed");
    run.put("in/afl/main/crashes/README.txt", "Command line used to find this crash");
    run.put("in/crash-empty", "");
    run.put("in/oom-huge", vec![0; (1 << 20) + 1]);
    run.put(
        "in/typo.mkw",
        "mkw 1\nfile pages 1 cells 1 blocks 1 size 1 mms 1\nactor A mm 0\nA.0 stoer 0..1\n",
    );
    run.put("in/latin1.mkw", b"mkw 1\n# caf\xe9\n");
    run.put("in/pair.mkw", STALE.replace("block@2.6.30 2", "ext4 2"));
    run.put("in/secret.mkw", STALE);
    std::os::unix::fs::symlink("..", run.path("in/deep/loop")).unwrap();
    std::os::unix::fs::symlink("nowhere", run.path("in/crash-gone")).unwrap();
    assert!(Command::new("mkfifo").arg(run.path("in/crash-pipe")).status().unwrap().success());
    fs::create_dir(run.path("in/locked")).unwrap();
    for name in ["in/secret.mkw", "in/locked"] {
        fs::set_permissions(run.path(name), fs::Permissions::from_mode(0o000)).unwrap();
    }
    let is_root = fs::read(run.path("in/secret.mkw")).is_ok();
    if is_root {
        fs::remove_file(run.path("in/secret.mkw")).unwrap();
    }
    is_root
}

#[test]
fn a_heap_of_artifacts_becomes_a_list_of_bugs() {
    let run = Run::new();
    let is_root = heap(&run);
    let (report, exit) = run.triage("in --html t.html --sarif t.sarif --junit t.xml");
    fs::set_permissions(run.path("in/locked"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(exit, 0, "{report:#}");
    assert_eq!((&report["schema"], &report["interrupted"]), (&json!(1), &json!(false)));
    passed_over(&report, is_root);
    folded(&report);
    let new = clusters(&report).iter().filter(|cluster| cluster["status"] == "NEW");
    assert_eq!(new.count(), 0);
    hunted(&run, &report);
    replays(&run, &report);
    pages(&run, &report);
}

/// Accidents are named with their reasons, and what is not meant for triage is named, too.
fn passed_over(report: &Value, is_root: bool) {
    let skipped = remarks(report, "skipped");
    let reasons = [
        ("in/crash-empty", "the file is empty"),
        ("in/crash-gone", "No such file"),
        ("in/crash-pipe", "not a regular file"),
        ("in/latin1.mkw", "not text: byte 11 is not UTF-8"),
        ("in/oom-huge", "1048577 bytes are more than"),
        ("in/pair.mkw", "unknown implementation `ext4`"),
        ("in/typo.mkw", "in/typo.mkw:4:5"),
        ("in/secret.mkw", "ermission denied"),
        ("in/locked", "ermission denied"),
    ];
    for (file, reason) in reasons.iter().take(if is_root { 7 } else { 9 }) {
        assert!(
            skipped.get(*file).is_some_and(|text| text.contains(reason)),
            "{file}: {skipped:#?}"
        );
    }
    assert_eq!(skipped.len(), if is_root { 7 } else { 9 }, "{skipped:#?}");
    let ignored = [
        "in/afl/main/crashes/README.txt",
        "in/afl/main/queue",
        "in/deep/loop",
        "in/findings/hunt.json",
    ];
    assert_eq!(report["ignored"], json!(ignored));
}

/// The same bug three times is one cluster.
fn folded(report: &Value) {
    let race = cluster(report, RACE);
    assert_eq!(
        (&race["cases"], &race["status"], &race["entry"]),
        (&json!(4), &json!("expected"), &json!("race-nfs"))
    );
    let files = [
        "in/afl/main/crashes/id:000000,sig:06,src:000001",
        "in/crash-0a1b",
        "in/deep/er/crash-2c3d",
        "in/timeout-5",
    ];
    assert_eq!(race["files"], json!(files));
    assert_eq!(
        (&race["rule"], &race["point"], &race["operation"]),
        (&json!("I20"), &json!("miss.set_page_dirty"), &json!("store"))
    );
    assert_eq!(
        (&race["expected"], &race["follows"], &race["shrunk"]),
        (&json!(true), &json!(false), &json!(true))
    );
    assert_eq!(race["operations"], 2);
    let untracked = cluster(report, "nfs@2.6.29-2.6.29-untracked-race-nfs");
    assert_eq!((&untracked["status"], &untracked["follows"]), (&json!("expected"), &json!(false)));
    for one in clusters(report) {
        let follows = text(&one["signature"]).contains("-after-");
        assert_eq!((&one["follows"], one["status"] == "follows"), (&json!(follows), follows));
    }
    let null = cluster(report, "driver@2.6.30-try3-null-mapping-miss.throttle-null-mapping");
    assert_eq!(null["files"], json!(["in/slow-unit-77", "in/timeout-5"]));
}

/// All that the hunt has found is there under the same names.
fn hunted(run: &Run, report: &Value) {
    let hunt: Value =
        serde_json::from_slice(&fs::read(run.path("in/findings/hunt.json")).unwrap()).unwrap();
    for finding in hunt["findings"].as_array().unwrap() {
        let file = finding["file"].as_str().unwrap();
        let name = Path::new(file).file_stem().unwrap().to_str().unwrap();
        assert!(
            cluster(report, name)["files"].as_array().unwrap().contains(&finding["file"]),
            "{file}"
        );
    }
}

/// Each file shows its signature.
fn replays(run: &Run, report: &Value) {
    for cluster in clusters(report) {
        let output = run.run(&format!("replay --json {}", text(&cluster["file"])));
        let replayed: Value = serde_json::from_slice(&output.stdout).unwrap();
        let runs = replayed["runs"].as_array().unwrap();
        assert_eq!(runs.len(), 1);
        for name in ["implementation", "caller"] {
            assert_eq!(runs[0][name], cluster[name]);
        }
        let is_it = |rule: &&Value| {
            ["rule", "point", "operation", "entry", "follows"]
                .iter()
                .all(|name| rule[name] == cluster[name])
        };
        assert!(
            runs[0]["rules"].as_array().unwrap().iter().any(|rule| is_it(&rule)),
            "{cluster:#}\n{replayed:#}"
        );
    }
    let written = fs::read_dir(run.path("triage")).unwrap().map(|entry| entry.unwrap().file_name());
    let written: BTreeSet<String> = written.map(|name| name.into_string().unwrap()).collect();
    let mut named: BTreeSet<String> =
        clusters(report).iter().map(|cluster| text(&cluster["signature"]) + ".mkw").collect();
    named.insert("triage.json".to_owned());
    assert_eq!(written, named);
}

/// The same as a page, SARIF and JUnit.
fn pages(run: &Run, report: &Value) {
    let causes = report["causes"].as_array().unwrap();
    let (count, skipped) = (causes.len(), report["skipped"].as_array().unwrap().len());
    assert!(count < clusters(report).len(), "some are folded");
    let named: BTreeSet<String> =
        causes.iter().flat_map(|cause| cause["clusters"].as_array().unwrap()).map(text).collect();
    let all: BTreeSet<String> =
        clusters(report).iter().map(|one| text(&one["signature"])).collect();
    assert_eq!(named, all, "each is of one cause");
    let html = fs::read_to_string(run.path("t.html")).unwrap();
    assert!(
        html.contains(&format!("href=\"triage/{RACE}.mkw\"")) && html.contains("in/typo.mkw"),
        "{html}"
    );
    assert_eq!(html.matches("<tr>").count(), count + 1);

    let sarif: Value = serde_json::from_slice(&fs::read(run.path("t.sarif")).unwrap()).unwrap();
    assert_eq!((&sarif["version"], sarif["runs"].as_array().unwrap().len()), (&json!("2.1.0"), 1));
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert_eq!(results.len(), count);
    for result in results {
        assert_eq!(result["level"], "note");
        assert!(result["message"]["text"].is_string() && result["ruleId"].is_string());
        let location = &result["locations"][0]["physicalLocation"]["artifactLocation"]["uri"];
        assert!(run.path(location.as_str().unwrap()).is_file(), "{location}");
    }
    let prints: BTreeSet<_> =
        results.iter().map(|result| result["partialFingerprints"].to_string()).collect();
    assert_eq!(prints.len(), count, "fingerprints tell results apart");
    let notes = &sarif["runs"][0]["invocations"][0]["toolExecutionNotifications"];
    assert_eq!(notes.as_array().unwrap().len(), skipped);

    let xml = fs::read_to_string(run.path("t.xml")).unwrap();
    let document = roxmltree::Document::parse(&xml).unwrap();
    let number = |name: &str| document.descendants().filter(|node| node.has_tag_name(name)).count();
    assert_eq!(
        (number("testcase"), number("skipped"), number("failure")),
        (count + skipped, skipped, 0),
        "{xml}"
    );
}

#[test]
fn the_result_does_not_depend_on_the_number_of_threads() {
    let run = Run::new();
    for (n, case) in [
        "unlocked-return/race-nfs-wp",
        "unlocked-return/late-dirty-fsync",
        "sigbus-for-a-retry/sigbus-on-race",
        "unlocked-return/race-fsblock",
        "eof-extension/eof-content",
    ]
    .iter()
    .enumerate()
    {
        run.put_bytes(&format!("known/{case}.mkw"), &format!("in/crash-{n}"));
        run.put_bytes(&format!("known/{case}.mkw"), &format!("in/more/id:{n}"));
    }
    let result = |jobs: u32| {
        let (mut report, exit) = run.triage(&format!("in --jobs {jobs} --out out{jobs}"));
        assert_eq!(exit, 0);
        let mut cases = BTreeMap::new();
        for cluster in report["clusters"].as_array_mut().unwrap() {
            let file = cluster.as_object_mut().unwrap().remove("file").unwrap();
            let text = fs::read_to_string(run.path(file.as_str().unwrap())).unwrap();
            cases.insert(cluster["signature"].as_str().unwrap().to_owned(), text);
        }
        (report["clusters"].take(), report["files"].take(), report["runs"].take(), cases)
    };
    let one = result(1);
    assert!(one.3.len() > 50, "{}", one.3.len());
    assert_eq!(one, result(2));
    assert_eq!(one, result(5));
}

#[test]
fn what_is_new_is_one_cause_with_a_page_and_comes_first() {
    let run = Run::new();
    let hunts = ["--plant skip-mkclean --out a", "--impl block@2.6.30 --out b"];
    for hunt in hunts {
        run.run(&format!("hunt --seed 3 --cases 300 {hunt}"));
    }
    run.put("c/fine.mkw", "mkw 1\nfile pages 1 size 4\nactor A mm 0\nA.0 fsync\n");
    let output = run.command("triage a b c --html t.html --sarif t.sarif --junit t.xml");
    let output = { output }.env("COLUMNS", "80").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let table = String::from_utf8(output.stdout).unwrap();
    let notes = String::from_utf8(output.stderr).unwrap();
    let rows: Vec<&str> = table.lines().take_while(|line| !line.starts_with("NEW ")).collect();
    assert!(rows.iter().all(|row| row.chars().count() <= 80), "{table}");
    assert!(rows[1].contains("NEW"), "{table}");
    // The planted bug is in the names: others on the same pair have theirs.
    assert!(table.contains(" explain triage/skip-mkclean-block@2.6.30-2.6.30-I10-"), "{table}");
    let place = "NEW a store will not be noticed: I10 at clear_dirty.test on block@2.6.30 x 2.6.30";
    assert!(table.contains(place), "{table}");
    assert!(notes.contains("breaks nothing c/fine.mkw"), "{notes}");

    let report: Value =
        serde_json::from_slice(&fs::read(run.path("triage/triage.json")).unwrap()).unwrap();
    let causes = report["causes"].as_array().unwrap();
    assert_eq!((&causes[0]["status"], &causes[0]["rule"]), (&json!("NEW"), &json!("I10")));
    assert!(causes[0]["findings"].as_u64().unwrap() >= 3, "its consequences are of it");
    assert_eq!(causes.iter().filter(|cause| cause["status"] == "NEW").count(), 1);
    let page = text(&causes[0]["page"]);
    assert_eq!(page, text(&causes[0]["file"]).replace(".mkw", ".html"));
    assert!(fs::read_to_string(run.path(&page)).unwrap().contains("I10"));
    for file in ["t.html", "t.sarif", "t.xml"] {
        assert!(fs::read_to_string(run.path(file)).unwrap().contains(&page), "{file}");
    }
    // Files are bounded: ten and a count.
    let sarif: Value = serde_json::from_slice(&fs::read(run.path("t.sarif")).unwrap()).unwrap();
    let results = sarif["runs"][0]["results"].as_array().unwrap();
    assert!(results.iter().all(|one| one["relatedLocations"].as_array().unwrap().len() <= 11));
}

#[test]
fn what_no_longer_breaks_is_fixed() {
    let run = Run::new();
    run.put("in/old.mkw", STALE);
    run.put("in/older.mkw", format!("# The same again.\n{STALE}"));
    run.put_bytes("known/grow-file/grow-file.mkw", "queue/id:000000");
    let output = run.run("triage in --sarif t.sarif --junit t.xml");
    assert_eq!(output.status.code(), Some(1));
    let table = String::from_utf8(output.stdout).unwrap();
    let lines: Vec<&str> = table.lines().collect();
    let [.., what, replay] = lines[..] else { panic!("{table}") };
    assert!(table.contains("    fixed  block@2.6.30 x 2.6.30  "), "{table}");
    assert!(what.starts_with("fixed ") && what.contains(" on block@2.6.30 x 2.6.30"), "{what}");
    assert!(replay.contains(" replay in/old.mkw"), "{replay}");
    let report: Value =
        serde_json::from_slice(&fs::read(run.path("triage/triage.json")).unwrap()).unwrap();
    let fixed = cluster(&report, "block@2.6.30-2.6.30-I20-wp.set_page_dirty-store-fixed");
    assert_eq!(
        (&fixed["cases"], &fixed["files"]),
        (&json!(2), &json!(["in/old.mkw", "in/older.mkw"]))
    );
    assert_eq!((&fixed["expected"], clusters(&report).len()), (&json!(false), 1));
    let sarif: Value = serde_json::from_slice(&fs::read(run.path("t.sarif")).unwrap()).unwrap();
    assert_eq!(sarif["runs"][0]["results"][0]["level"], "warning");
    let xml = fs::read_to_string(run.path("t.xml")).unwrap();
    assert!(xml.contains("failures=\"1\""), "{xml}");

    // A queue is taken if it is named, and so is a file of any name; nothing is taken twice.
    run.put_bytes("known/grow-file/grow-file.mkw", "strange.name");
    let (report, exit) = run.triage("queue strange.name queue/id:000000");
    let files: Vec<&Value> =
        report["files"].as_array().unwrap().iter().map(|file| &file["file"]).collect();
    assert_eq!((exit, files), (0, vec![&json!("queue/id:000000"), &json!("strange.name")]));
    // Our own results are no input, unless they are named.
    let (report, _) = run.triage(".");
    assert!(report["ignored"].as_array().unwrap().contains(&json!("./triage")), "{report:#}");
    let (report, _) = run.triage("triage --out again");
    assert!(report["files"].as_array().unwrap().len() > 5);
}

#[test]
fn nothing_but_a_missing_folder_is_an_error() {
    let run = Run::new();
    let output = run.run("triage none");
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(error.contains("none: No such file") && error.contains("help"), "{error}");
    assert!(!run.path("triage").exists());
    fs::create_dir(run.path("empty")).unwrap();
    let output = run.run("triage empty");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8(output.stdout).unwrap(), "no rule was broken\n");
    run.put("file", "");
    assert_eq!(run.run("triage empty --out file/x").status.code(), Some(2));
}

/// Many large cases: enough to be interrupted in.
fn many(run: &Run) {
    let mut state = 1u64;
    for n in 0..3000 {
        let bytes: Vec<u8> = (0..500)
            .map(|_| {
                state = state
                    .wrapping_mul(6_364_136_223_846_793_005)
                    .wrapping_add(1_442_695_040_888_963_407);
                (state >> 56) as u8
            })
            .collect();
        run.put(&format!("in/crash-{n}"), bytes);
    }
}

/// Waits until some cases are written.
fn wait_for_files(run: &Run) -> Vec<PathBuf> {
    let start = Instant::now();
    loop {
        let entries = fs::read_dir(run.path("triage"))
            .into_iter()
            .flatten()
            .map(|entry| entry.unwrap().path());
        let cases: Vec<PathBuf> =
            entries.filter(|path| path.extension().is_some_and(|e| e == "mkw")).collect();
        if cases.len() > 20 {
            return cases;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "nothing is written");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn signal(child: &std::process::Child, name: &str) {
    assert!(Command::new("kill").args([name, &child.id().to_string()]).status().unwrap().success());
}

#[test]
fn interrupting_keeps_what_there_is() {
    let run = Run::new();
    many(&run);
    let mut child =
        run.command("triage in").stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    wait_for_files(&run);
    signal(&child, "-INT");
    let start = Instant::now();
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(start.elapsed() < Duration::from_secs(30), "it stops soon");
    let report: Value =
        serde_json::from_slice(&fs::read(run.path("triage/triage.json")).unwrap()).unwrap();
    assert_eq!(report["interrupted"], true);
    assert!(clusters(&report).len() > 20);
    replays(&run, &report);
}

#[test]
fn killing_loses_nothing_that_was_found() {
    let run = Run::new();
    many(&run);
    let mut child =
        run.command("triage in").stderr(Stdio::null()).stdout(Stdio::null()).spawn().unwrap();
    let cases = wait_for_files(&run);
    signal(&child, "-KILL");
    child.wait().unwrap();
    for case in cases {
        let output = run.run(&format!("replay --json {}", case.display()));
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(report["runs"][0]["verdict"], "expected", "{}", case.display());
    }
}
