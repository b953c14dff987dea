//! Campaigns, with the engine that needs no set-up: what a night must survive, on the scale of seconds.

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

/// Waits until the state says something.
fn wait<T>(folder: &Path, what: impl Fn(&Value) -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(found) = json(&folder.join("c/state.json")).and_then(|state| what(&state)) {
            return found;
        }
        assert!(start.elapsed() < Duration::from_secs(60), "the campaign does not get on");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn engine(state: &Value) -> Option<u32> {
    u32::try_from(state["groups"][0].as_u64()?).ok()
}

fn kill(what: &str) {
    assert!(Command::new("kill").args(["-KILL", "--", what]).status().unwrap().success());
}

fn is_alive(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    stat.rsplit(')').next().and_then(|rest| rest.split_whitespace().next()).is_some_and(|state| state != "Z")
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
fn a_campaign_finds_reports_and_grows_a_corpus() {
    let folder = tempfile::tempdir().unwrap();
    let missing = ["--engines", "hunt,libfuzzer", "--json"];
    let output = campaign(folder.path(), 5.0, &missing).stdout(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report, json(&folder.path().join("c/report.json")).unwrap());
    assert_eq!(report["missing"][0][0], "libfuzzer");
    assert_eq!(report["sessions"], 1);
    let search = &report["searches"][0];
    assert_eq!((search["engine"].as_str(), search["target"].as_str()), (Some("hunt"), Some("differential")));
    assert!(search["executions"].as_u64().unwrap() > 50 && search["features"].as_u64().unwrap() > 100, "{search}");
    assert!(search["signatures"].as_u64().unwrap() > 20 && search["new"] == 0, "{search}");
    let corpus = std::fs::read_dir(folder.path().join("c/corpus/differential")).unwrap().count();
    assert!(corpus > 20, "{corpus}");
    let clusters = report["findings"]["clusters"].as_array().unwrap();
    assert!(clusters.iter().any(|one| one["entry"] == "race-nfs"), "it finds the race of NFS");
    assert!(clusters.iter().all(|one| folder.path().join(one["file"].as_str().unwrap()).is_file()));
    for file in ["report.html", "report.sarif", "report.junit.xml"] {
        assert!(folder.path().join("c").join(file).metadata().unwrap().len() > 1000, "{file}");
    }
    let series = report["series"][0]["signatures"].as_array().unwrap();
    assert!(series.len() > 20 && series.iter().all(|point| point[0].as_f64().unwrap() < 30.0));

    // The next one begins where this one ended.
    assert_eq!(campaign(folder.path(), 3.0, &["--engines", "hunt"]).status().unwrap().code(), Some(0));
    let again = std::fs::read_dir(folder.path().join("c/corpus/differential")).unwrap().count();
    assert!(again >= corpus, "{again}");
}

#[test]
fn a_killed_engine_is_noted_and_a_killed_campaign_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let run = || Killed(campaign(folder.path(), 12.0, &["--engines", "hunt"]).spawn().unwrap());
    let mut first = run();
    let victim = wait(folder.path(), engine);
    kill(&format!("-{victim}"));
    let (left, before) = wait(folder.path(), |state| {
        let other = engine(state).filter(|process| *process != victim)?;
        Some((other, state["events"].to_string()))
    });
    assert!(before.contains("signal: 9"), "{before}");
    kill(&first.0.id().to_string());
    first.0.wait().unwrap();
    assert!(is_alive(left), "the engine that was running has lost its campaign");

    let mut second = run();
    wait(folder.path(), |state| (state["sessions"].as_array()?.len() == 2).then_some(()));
    wait(folder.path(), |state| engine(state).filter(|process| *process != left));
    let ended = (0..500).any(|_| {
        std::thread::sleep(Duration::from_millis(20));
        !is_alive(left)
    });
    assert!(ended, "what the killed campaign left running is ended");
    assert_eq!(second.0.wait().unwrap().code(), Some(0));
    let report = json(&folder.path().join("c/report.json")).unwrap();
    assert_eq!((&report["sessions"], &report["interrupted"]), (&2.into(), &false.into()));
    assert!(events(&report).contains("signal: 9"));
    assert!(report["seconds"].as_f64().unwrap() <= 12.0);
    assert!(report["findings"]["clusters"].as_array().unwrap().len() > 20);
}

#[test]
fn damaged_files_are_put_aside_and_an_interrupt_saves_what_there_is() {
    let folder = tempfile::tempdir().unwrap();
    let corpus = folder.path().join("c/corpus/differential");
    std::fs::create_dir_all(corpus.join("a folder")).unwrap();
    std::fs::write(corpus.join("empty"), b"").unwrap();
    std::fs::write(corpus.join("any bytes"), b"\xff\xfe\x00garbage").unwrap();
    std::fs::create_dir(folder.path().join("seeds")).unwrap();
    std::fs::write(folder.path().join("seeds/torn.mkw"), "mkw 1\nfile pages 9").unwrap();
    let more = ["--engines", "hunt", "--seeds", "seeds"];
    let mut run = Killed(campaign(folder.path(), 600.0, &more).spawn().unwrap());
    wait(folder.path(), |state| (state["slots"]["hunt differential"]["slices"].as_u64()? >= 2).then_some(()));
    assert!(Command::new("kill").args(["-INT", &run.0.id().to_string()]).status().unwrap().success());
    assert_eq!(run.0.wait().unwrap().code(), Some(130));
    let report = json(&folder.path().join("c/report.json")).unwrap();
    assert_eq!(report["interrupted"], true);
    assert!(!report["findings"]["clusters"].as_array().unwrap().is_empty());
    let events = events(&report);
    for what in ["a folder", "empty", "torn.mkw"] {
        assert!(events.contains(what), "{what} is missing in {events}");
    }
    assert!(corpus.join("any bytes").is_file(), "any bytes are a case");
    assert!(folder.path().join("c/damaged/differential/a folder").is_dir(), "nothing is lost");
}

#[test]
fn bad_arguments_are_told() {
    let folder = tempfile::tempdir().unwrap();
    for (more, text) in [
        (&["--engines", "honggfuzz"][..], "unknown engine `honggfuzz`"),
        (&["--targets", "nothing"], "unknown target `nothing`"),
        (&["--engines", "libfuzzer"], "no engine is there"),
    ] {
        let output = campaign(folder.path(), 1.0, more).stderr(Stdio::piped()).output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(text), "{said}");
    }
    std::fs::create_dir_all(folder.path().join("c")).unwrap();
    std::fs::write(folder.path().join("c/state.json"), "{").unwrap();
    let output = campaign(folder.path(), 1.0, &[]).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8(output.stderr).unwrap().contains("state.json"));
}
