//! Campaigns, with the engine that needs no set-up: what a night must survive, on the scale of
//! seconds.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// A campaign of so many seconds, in a folder that is no checkout.
fn campaign(folder: &Path, seconds: f64, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_mkwrite"));
    command.current_dir(folder).args([
        "campaign",
        "--out",
        "c",
        "--slice",
        "2",
        "--seed",
        "5",
        "--seconds-per-case",
        "0",
    ]);
    command.arg("--minutes").arg((seconds / 60.0).to_string()).args(more);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command
}

fn json(path: &Path) -> Option<Value> {
    serde_json::from_slice(&std::fs::read(path).ok()?).ok()
}

/// Waits until there is something.
fn wait<T>(mut what: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = what() {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "the campaign does not get on");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn state(folder: &Path) -> Option<Value> {
    json(&folder.join("c/state.json"))
}

/// Names of the files in a folder.
fn files(folder: &Path) -> BTreeSet<OsString> {
    std::fs::read_dir(folder)
        .into_iter()
        .flatten()
        .map(|entry| entry.unwrap().file_name())
        .collect()
}

/// The engines of the campaign in this folder: they have its log in their environment.
fn engines(folder: &Path) -> Vec<u32> {
    let mark = format!(
        "MKWRITE_FUZZ_LOG={}",
        folder.canonicalize().unwrap().join("c").join("work").join("").display()
    );
    let is_one = |id: &u32| {
        let environment = std::fs::read(format!("/proc/{id}/environ")).unwrap_or_default();
        environment.windows(mark.len()).any(|window| window == mark.as_bytes())
    };
    let ids = std::fs::read_dir("/proc").unwrap().flatten();
    ids.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).filter(is_one).collect()
}

fn kill(what: u32) {
    assert!(Command::new("kill").args(["-KILL", &what.to_string()]).status().unwrap().success());
}

fn is_alive(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(')')
        .next()
        .and_then(|rest| rest.split_whitespace().next())
        .is_some_and(|state| state != "Z")
}

fn events(report: &Value) -> String {
    report["events"].to_string()
}

struct Killed(Child);

impl Drop for Killed {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_part_of_a_campaign_hunts_its_part_and_stays_that_part() {
    let folder = tempfile::tempdir().unwrap();
    let part = |shard: &str| {
        let more = ["--engines", "hunt", "--shard", shard];
        campaign(folder.path(), 2.0, &more).status().unwrap();
        let hunt = json(&folder.path().join("c").join("work/hunt-differential/hunt.json")).unwrap();
        let report = json(&folder.path().join("c/report.json")).unwrap();
        assert_eq!(hunt["shard"], report["shard"]);
        report["shard"].clone()
    };
    assert_eq!(part("2/3"), "2/3");
    assert_eq!(part("1/3"), "1/3", "a finished campaign begins anew");
}

#[test]
fn a_campaign_finds_reports_and_grows_a_corpus() {
    let folder = tempfile::tempdir().unwrap();
    let missing = ["--engines", "hunt,libfuzzer", "--json"];
    let corpus = folder.path().join("c/corpus/differential");
    let mut before = BTreeSet::new();
    // How much a campaign finds depends on the machine: each begins where the last one ended.
    let report = wait(|| {
        let output =
            campaign(folder.path(), 5.0, &missing).stdout(Stdio::piped()).output().unwrap();
        assert_eq!(output.status.code(), Some(0));
        let (report, now): (Value, _) =
            (serde_json::from_slice(&output.stdout).unwrap(), files(&corpus));
        assert!(now.is_superset(&before), "a corpus loses nothing");
        before = now;
        let mut clusters = report["findings"]["clusters"].as_array().unwrap().iter();
        clusters.any(|one| one["entry"] == "race-nfs").then_some(report)
    });
    assert_eq!(report, json(&folder.path().join("c/report.json")).unwrap());
    assert_eq!((&report["missing"][0][0], &report["sessions"]), (&"libfuzzer".into(), &1.into()));
    let search = &report["searches"][0];
    assert_eq!(
        (search["engine"].as_str(), search["target"].as_str()),
        (Some("hunt"), Some("differential"))
    );
    assert!(
        search["executions"].as_u64().unwrap() > 0 && search["features"].as_u64().unwrap() > 0,
        "{search}"
    );
    assert!(search["signatures"].as_u64().unwrap() > 0 && search["new"] == 0, "{search}");
    assert!(!before.is_empty());
    let clusters = report["findings"]["clusters"].as_array().unwrap();
    assert!(clusters.iter().all(|one| folder.path().join(one["file"].as_str().unwrap()).is_file()));
    for file in ["report.html", "report.sarif", "report.junit.xml"] {
        assert!(folder.path().join("c").join(file).metadata().unwrap().len() > 1000, "{file}");
    }
    let series = report["series"][0]["signatures"].as_array().unwrap();
    assert_eq!(Some(series.len() as u64), search["signatures"].as_u64());
}

#[test]
fn a_killed_engine_is_noted_and_a_killed_campaign_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let run = || Killed(campaign(folder.path(), 14.0, &["--engines", "hunt"]).spawn().unwrap());
    let mut first = run();
    let work = folder.path().join("c").join("work").join("hunt-differential");
    // What it found and kept is there before it has ended.
    let has_found = || files(&work).iter().any(|name| name.to_string_lossy().ends_with(".mkw"));
    let has_kept = || !files(&folder.path().join("c/corpus/differential")).is_empty();
    let victim =
        wait(|| engines(folder.path()).first().copied().filter(|_| has_found() && has_kept()));
    kill(victim);
    let left = wait(|| {
        let noted = state(folder.path())?["events"].to_string().contains("signal: 9");
        engines(folder.path()).into_iter().find(|process| *process != victim && noted)
    });
    let second = campaign(folder.path(), 1.0, &["--engines", "hunt"])
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(second.status.code(), Some(2), "one campaign at a time");
    assert!(String::from_utf8(second.stderr).unwrap().contains("a campaign is running there"));
    kill(first.0.id());
    first.0.wait().unwrap();
    assert!(is_alive(left), "the engine that was running has lost its campaign");

    let mut second = run();
    wait(|| (state(folder.path())?["sessions"].as_array()?.len() == 2).then_some(()));
    wait(|| (!is_alive(left)).then_some(()));
    assert_eq!(second.0.wait().unwrap().code(), Some(0));
    let report = json(&folder.path().join("c/report.json")).unwrap();
    assert_eq!((&report["sessions"], &report["interrupted"]), (&2.into(), &false.into()));
    assert!(events(&report).contains("signal: 9"));
    assert!(!report["findings"]["clusters"].as_array().unwrap().is_empty());
    assert!(engines(folder.path()).is_empty(), "nothing is left running");
}

#[test]
fn damaged_files_are_put_aside_and_an_interrupt_saves_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = folder.path().join("c/corpus/differential");
    // A merge was killed in the middle of its swap.
    let old = folder.path().join("c/corpus/differential.old");
    std::fs::create_dir_all(old.join("a folder")).unwrap();
    std::fs::write(old.join("empty"), b"").unwrap();
    std::fs::write(old.join("any bytes"), b"\xff\xfe\x00garbage").unwrap();
    std::fs::create_dir(folder.path().join("seeds")).unwrap();
    std::fs::write(folder.path().join("seeds/torn.mkw"), "mkw 1\nfile pages 9").unwrap();
    let more = ["--engines", "hunt", "--seeds", "seeds"];
    let mut run = Killed(campaign(folder.path(), 600.0, &more).spawn().unwrap());
    wait(|| {
        (state(folder.path())?["places"]["hunt differential"]["slices"].as_u64()? >= 2)
            .then_some(())
    });
    // Who signals a process and its group sends two signals for one.
    for signal in ["-INT", "-TERM"] {
        assert!(
            Command::new("kill")
                .args([signal, &run.0.id().to_string()])
                .status()
                .unwrap()
                .success()
        );
    }
    assert_eq!(run.0.wait().unwrap().code(), Some(130));
    let report = json(&folder.path().join("c/report.json")).unwrap();
    assert_eq!(
        (&report["interrupted"], &state(folder.path()).unwrap()["finished"]),
        (&true.into(), &false.into())
    );
    assert!(!report["findings"]["clusters"].as_array().unwrap().is_empty());
    let events = events(&report);
    for what in ["a folder", "empty", "torn.mkw"] {
        assert!(events.contains(what), "{what} is missing in {events}");
    }
    // Any bytes are a case: it is there in the newest form, under its new name.
    let damaged = folder.path().join("c/damaged/differential");
    assert!(!corpus.join("any bytes").exists() && !damaged.join("any bytes").exists());
    assert!(folder.path().join("c/damaged/differential/a folder").is_dir(), "nothing is lost");
}

#[test]
fn what_engines_of_another_session_left_is_in_the_report_and_stays() {
    let folder = tempfile::tempdir().unwrap();
    let work = folder.path().join("c/work");
    // Nothing NEW, and no engine that could run it again; and a NEW breach in a log without its
    // case.
    std::fs::create_dir_all(work.join("afl-codec/out/main/crashes.2026-11-20-03:00:00")).unwrap();
    std::fs::write(
        work.join("afl-codec/out/main/crashes.2026-11-20-03:00:00/id:000000,sig:06"),
        [0; 32],
    )
    .unwrap();
    let find = r#"{"implementation":"nfs@2.6.30","caller":"2.6.30","entry":null,"follows":false,"rule":"I20","point":"io.record"}"#;
    let line = |find: &str| {
        format!(r#"{{"time":1.0,"process":1,"executions":7,"features":9,"found":{find}}}"#) + "\n"
    };
    // And one that the ledger lists, of which the engine kept no case.
    let expected = r#"{"implementation":"fsblock@2007","caller":"2.6.30-rc","entry":"long-gone","follows":false,"rule":"I15","point":"dirty.tag"}"#;
    std::fs::write(work.join("libfuzzer-implementation.jsonl"), line(find) + &line(expected))
        .unwrap();
    // What was NEW when it was found, and what the ledger has learnt since, is not lost: its case
    // is there.
    let learnt = r#"{"implementation":"nfs@2.6.29","caller":"2.6.29","entry":null,"follows":false,"rule":"I20","point":"miss.set_page_dirty"}"#;
    std::fs::write(work.join("hunt-differential.jsonl"), line(learnt)).unwrap();
    let known = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../corpus/known/unlocked-return/race-nfs-unstable.mkw");
    std::fs::create_dir(work.join("hunt-differential")).unwrap();
    std::fs::copy(
        known,
        work.join("hunt-differential/nfs@2.6.29-2.6.29-I20-miss.set_page_dirty-new.mkw"),
    )
    .unwrap();
    let output = campaign(folder.path(), 1.0, &["--engines", "hunt", "--json"])
        .stdout(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let crashes = report["crashes"].as_array().unwrap();
    let message = |n: usize| crashes[n]["message"].as_str().unwrap();
    assert_eq!(message(0), "not run again: afl is not there now");
    assert_eq!(message(1), "NEW: I20 at io.record on nfs@2.6.30 x 2.6.30, whose case is lost");
    assert_eq!(crashes.len(), 2);
    let without = report["without_case"].as_array().unwrap();
    let expected = "I15 at dirty.tag on fsblock@2007 x 2.6.30-rc (expected: long-gone)";
    assert!(without.iter().any(|one| one == expected), "{without:?}");
    let page = std::fs::read_to_string(folder.path().join("c/report.html")).unwrap();
    assert!(page.contains(expected) && page.contains(" that only a log tells of"));
    for file in ["report.sarif", "report.junit.xml"] {
        let text = std::fs::read_to_string(folder.path().join("c").join(file)).unwrap();
        assert!((0..2).all(|n| text.contains(message(n))), "{file}");
    }
    // The next campaign begins with an empty folder `work`; the input is still there.
    assert_eq!(
        campaign(folder.path(), 1.0, &["--engines", "hunt"]).status().unwrap().code(),
        Some(0)
    );
    assert!(!work.join("afl-codec").exists());
    assert_eq!(
        std::fs::read(folder.path().join(crashes[0]["file"].as_str().unwrap())).unwrap(),
        [0; 32]
    );
}

#[test]
fn bad_arguments_are_told_and_change_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let said = |more: &[&str]| {
        let output = campaign(folder.path(), 1.0, more).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        said
    };
    for (more, text) in [
        (&["--engines", "honggfuzz"][..], "possible values: hunt, libfuzzer, afl"),
        (&["--targets", "nothing"], "possible values: differential, implementation"),
        (&["--engines", "libfuzzer"], "no engine is there"),
        (&["--seeds", "nowhere"], "mend --seeds"),
    ] {
        let said = said(more);
        assert!(said.contains(text), "{said}");
    }
    let artifact = folder.path().join("c").join("work").join("libfuzzer-text").join("crash-1");
    std::fs::create_dir_all(artifact.parent().unwrap()).unwrap();
    std::fs::write(&artifact, "x").unwrap();
    for text in [&b"{"[..], b"", b"\xff"] {
        std::fs::write(folder.path().join("c/state.json"), text).unwrap();
        assert!(said(&["--engines", "hunt"]).contains("state.json"));
    }
    std::fs::write(folder.path().join("c/state.json"), r#"{"schema":1,"seed":1,"planned":1.0,"sessions":[[1.0,0.0]],"seconds":1.0,"places":{},"events":[],"finished":true}"#).unwrap();
    said(&["--engines", "honggfuzz"]);
    assert!(artifact.is_file(), "what was not sorted is not removed");
}
