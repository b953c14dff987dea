//! From a finding to a regression test, as a user meets it: shrink, explain, matrix, bisect, file,
//! stale schedules.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

mod common;
use common::{Run, corpus, json};

/// A race with more around it than it needs.
const LARGE: &str = "\
# A race, and noise.
mkw 1
file     pages 2 cells 4 blocks 2 size 8 mms 2
eio      9
actor    A mm 0
A.0      load 0..8
A.1      store 4..8
A.2      read 0..4
actor    B mm 1
B.0      read 4..8
B.1      writeback 0..2
actor    C mm 1
C.0      load 0..1
order    C.0 *
order    A.1 mkwrite.returned
order    B.0 *
order    B.1 *
order    io1.0 *
order    A.2 *
";

#[test]
fn shrink_holds_one_signature_and_says_that_it_is_minimal() {
    let run = Run::new();
    fs::write(run.path("large.mkw"), LARGE).unwrap();
    let output = run.run("shrink large.mkw --impl nfs@2.6.29 --caller 2.6.29 --rule I20 --json");
    let report = json(&output);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(report["file"], "large.min.mkw");
    assert_eq!(report["before"]["operations"], 6);
    for axis in ["actors", "operations", "preemptions", "sizes"] {
        assert_eq!(report["minimal"][axis], true, "{axis}");
    }
    let small = fs::read_to_string(run.path("large.min.mkw")).unwrap();
    assert!(
        small.starts_with("# A race, and noise.\nmkw 1\nrun      nfs@2.6.29 2.6.29\n"),
        "{small}"
    );
    assert!(small.contains("expect   I20 wp.set_page_dirty store\n"), "{small}");
    assert!(small.contains("file     pages 1 cells 1 blocks 1 size 1 mms 1\n"), "{small}");
    assert!(report["after"]["operations"].as_u64().unwrap() <= 3, "{small}");
    assert!(report["after"]["preemptions"].as_u64().unwrap() <= 3, "{small}");
    assert_eq!(run.prints("replay large.min.mkw").1, Some(0));

    let again = run
        .run("shrink large.mkw --impl nfs@2.6.29 --caller 2.6.29 --rule I20 -o one.mkw --jobs 1");
    assert_eq!(again.status.code(), Some(0));
    assert_eq!(fs::read_to_string(run.path("one.mkw")).unwrap(), small, "on one thread as on many");
}

#[test]
fn shrink_refuses_what_breaks_nothing() {
    let run = Run::new();
    run.refuses(
        &format!("shrink {} --impl block@2.6.30", corpus("pass/race-nfs.mkw")),
        &["breaks nothing"],
    );
    fs::write(run.path("large.mkw"), LARGE).unwrap();
    run.refuses("shrink large.mkw -o nowhere/x.mkw", &["cannot write nowhere/x.mkw"]);
    run.refuses("shrink large.mkw --rule I99", &["unknown rule `I99`", "known are: I1"]);
}

#[test]
fn a_killed_shrink_leaves_the_best_so_far() {
    let run = Run::new();
    fs::write(run.path("large.mkw"), LARGE).unwrap();
    let arguments = "shrink large.mkw --impl nfs@2.6.29 --caller 2.6.29 --rule I20";
    let mut child =
        run.command(arguments).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    for _ in 0..200 {
        if run.path("large.min.mkw").exists() {
            break;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(
        run.prints("replay large.min.mkw").1,
        Some(0),
        "whatever is there shows what it says"
    );
}

#[test]
fn explain_names_the_two_steps_that_decide() {
    let run = Run::new();
    let (text, exit) = run
        .prints(&format!("explain {}", corpus("known/unlocked-return/race-fsblock-truncate.mkw")));
    assert_eq!(exit, Some(0));
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let decides = "Two steps decide: B.0 (truncate 0) at truncate.invalidatepage, step 29, comes before A.0 (store \
                   0..1) at miss.set_page_dirty, step 31. The other way round, it does not break.";
    assert!(
        text.contains("gone: fsblock@2007 x 2.6.29 breaks I20 at miss.set_page_dirty "),
        "{text}"
    );
    assert!(text.contains(decides), "{text}");
    assert!(text.contains("hint: Known as `race-fsblock`"), "{text}");
    assert!(text.contains("The nearest schedule that does not break it"), "{text}");

    let case = corpus("known/unlocked-return/race-nfs-unstable.mkw");
    let report = json(&run.run(&format!("explain {case} --json --html race.html --svg race.svg")));
    let steps = report["timeline"]["steps"].as_array().unwrap();
    assert_eq!(report["rule"], "I20");
    assert_eq!(
        steps[report["isolation"]["second"].as_u64().unwrap() as usize]["point"],
        "miss.lock_page"
    );
    assert!(fs::read_to_string(run.path("race.html")).unwrap().starts_with("<!DOCTYPE html>"));
    assert!(fs::read_to_string(run.path("race.svg")).unwrap().starts_with("<svg"));
}

#[test]
fn explain_of_a_case_that_passes_says_so() {
    let (text, exit) = Run::new().prints(&format!("explain {}", corpus("pass/race-nfs.mkw")));
    assert_eq!(exit, Some(0));
    assert!(text.starts_with("nfs@2.6.30 x 2.6.30 breaks no rule\n"), "{text}");
}

#[test]
fn matrix_shows_which_convention_closes_a_race() {
    let run = Run::new();
    let case = corpus("known/unlocked-return/race-fsblock.mkw");
    let output = run.run(&format!("matrix {case} --json --html matrix.html"));
    let report = json(&output);
    assert_eq!(output.status.code(), Some(0));
    let of = |fs: &str, caller: &str| {
        let runs = report["cases"][0]["runs"].as_array().unwrap();
        runs.iter()
            .find(|run| run["implementation"] == fs && run["caller"] == caller)
            .unwrap()
            .clone()
    };
    assert_eq!(of("fsblock@2007", "2.6.29")["breaks"][0], "I20");
    assert_eq!(of("fsblock@2009", "2.6.30")["breaks"].as_array().unwrap().len(), 0);
    assert!(of("fsblock@2009", "2.6.29")["refused"].as_str().unwrap().contains("deadlock"));
    assert_eq!(of("filemap@3.10", "2.6.30")["breaks"].as_array().unwrap().len(), 0);
    assert!(fs::read_to_string(run.path("matrix.html")).unwrap().contains("fsblock@2009"));
    run.refuses("matrix .", &["there are no .mkw files"]);
}

#[test]
fn bisect_names_the_first_that_breaks_and_the_first_that_does_not() {
    let report = json(
        &Run::new()
            .run(&format!("bisect {} --json", corpus("known/success-with-length-0/length-0.mkw"))),
    );
    assert_eq!(report["series"][0]["first_that_breaks"], "nfs@2.6.29 x 2.6.29");
    assert_eq!(report["series"][0]["first_that_does_not"], "nfs@3.0 x 2.6.30");
    let callers = report["series"][1]["stations"].as_array().unwrap();
    assert_eq!(callers[0]["verdict"], "refused");
}

#[test]
fn a_filed_case_is_minimal_and_has_its_explanation_beside_it() {
    let run = Run::new();
    fs::create_dir(run.path("corpus")).unwrap();
    fs::write(run.path("large.mkw"), LARGE).unwrap();
    let filed = "file large.mkw --impl nfs@2.6.29 --caller 2.6.29 --name a-race";
    assert_eq!(run.run(filed).status.code(), Some(0));
    let text = fs::read_to_string(run.path("corpus/regressions/a-race.txt")).unwrap();
    assert!(text.contains(": nfs@2.6.29 x 2.6.29 breaks I"), "{text}");
    assert!(!text.contains('\x1b'), "no colours in a file");
    assert_eq!(run.prints("replay corpus/regressions/a-race.mkw").1, Some(0));
    run.refuses(filed, &["a-race.mkw exists", "--force"]);
    run.refuses("file large.mkw --name A/B", &["`A/B` is not a name"]);
    run.refuses("file large.mkw --name x --corpus nowhere", &["nowhere is no folder"]);
    run.refuses(
        &format!("file {} --fixed --name x", corpus("known/unlocked-return/race-fsblock.mkw")),
        &["it still breaks I20"],
    );
    let passes = format!("file {} --fixed --name closed", corpus("pass/race-fsblock.mkw"));
    assert_eq!(run.run(&passes).status.code(), Some(0));
    assert!(
        fs::read_to_string(run.path("corpus/regressions/closed.mkw"))
            .unwrap()
            .contains("expect   pass\n")
    );
}

#[test]
fn a_stale_schedule_is_named_by_its_line_and_realigned() {
    let run = Run::new();
    let text = fs::read_to_string(corpus("known/unlocked-return/race-nfs-unstable.mkw")).unwrap();
    let line = text.lines().position(|line| line == "order    A.0 miss.lock_page").unwrap() + 1;
    for (point, says) in
        [("miss.set_dirty", "unknown point `miss.set_dirty`"), ("wp.pte_same", "is never reached")]
    {
        fs::write(
            run.path("stale.mkw"),
            text.replace("order    A.0 miss.lock_page", &format!("order A.0 {point}")),
        )
        .unwrap();
        let (text, exit) = run.prints("replay stale.mkw --realigned fresh.mkw");
        assert_eq!(exit, Some(1));
        assert!(text.starts_with("stale  stale.mkw  nfs@2.6.29 x 2.6.29"), "{text}");
        assert!(text.contains(&format!("line {line}: ")) && text.contains(says), "{text}");
        assert!(text.contains("This schedule shows what the case expects"), "{text}");
        assert_eq!(run.prints("replay fresh.mkw").1, Some(0));
    }
    fs::write(
        run.path("stale.mkw"),
        text.replace("order    A.0 miss.lock_page", "order A.0 miss.x"),
    )
    .unwrap();
    run.refuses("explain stale.mkw", &["unknown point `miss.x`", "`mkwrite replay` can realign"]);
}

#[test]
fn rate_counts_how_often_fresh_schedules_hit() {
    let run = Run::new();
    let case = corpus("known/unlocked-return/race-fsblock.mkw");
    let rate = |arguments: &str| {
        json(
            &run.run(&format!("replay {case} --impl fsblock@2007 --times 2000 --json {arguments}")),
        )
    };
    let one = rate("--seed 3");
    assert_eq!(one, rate("--seed 3"), "the same seed, the same rate");
    let signatures = one["runs"][0]["signatures"].as_array().unwrap();
    let own = signatures.iter().find(|s| s["rule"] == "I20" && s["own"] == true).unwrap();
    let hits = own["hits"].as_u64().unwrap();
    assert!((1..2000).contains(&hits), "{hits}");
    run.refuses(&format!("replay {case} --times 5 --scheduler x"), &["unknown scheduler `x`"]);
    run.refuses(&format!("replay {case} --times 0"), &["0 is not in 1.."]);
}

#[test]
fn text_under_another_name_is_not_taken_for_bytes() {
    let run = Run::new();
    fs::write(run.path("case.txt"), LARGE).unwrap();
    run.refuses("replay case.txt", &["this is a case in text", "call it .mkw"]);
}

#[test]
fn a_full_device_is_an_error() {
    let Ok(full) = fs::OpenOptions::new().write(true).open("/dev/full") else { return };
    let run = Run::new();
    fs::write(run.path("large.mkw"), LARGE).unwrap();
    let output =
        run.command("convert large.mkw").stdout(full).stderr(Stdio::piped()).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write to standard output"));
}

#[test]
fn a_plant_that_nothing_comes_by_is_an_error() {
    let run = Run::new();
    run.refuses(
        "hunt --impl block@2.6.30 --plant commit-flag-kept --cases 500 --seed 1 --json --out x",
        &["no run reached the planted bug `commit-flag-kept`", "nfs@3.0"],
    );
    run.refuses(
        "hunt --plant request-keeps-length --cases 50 --seed 1 --json --out x",
        &[
            "no run reached the planted bug",
            "hunt it on nfs@3.0 with --remedy truncate-first, or longer",
        ],
    );
}

#[test]
fn only_the_differential_bug_is_hunted_beside_others() {
    let run = Run::new();
    let pairs = |plant: &str| {
        let output = run
            .command(&format!("hunt --plant {plant} --cases 32 --seed 1 --out x"))
            .output()
            .unwrap();
        let text = String::from_utf8(output.stderr).unwrap();
        text.lines()
            .find_map(|line| Some(line.strip_prefix("hunting on ")?.split(',').next()?.to_owned()))
            .unwrap()
    };
    assert_eq!(
        (pairs("no-mapping-check"), pairs("write-fills-holes")),
        ("1 pair".to_owned(), "3 pairs".to_owned())
    );
}

#[test]
fn all_remedies_and_others_are_the_remedies_of_both() {
    let run = Run::new();
    let case = corpus("known/unlocked-return/race-nfs-unstable.mkw");
    let remedies = |list: &str| {
        let output = run
            .command(&format!("explain {case} --impl nfs@2.6.29 {list} --json"))
            .output()
            .unwrap();
        let json: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        json["remedies"].as_array().unwrap().len()
    };
    let all = remedies("--remedy all");
    assert_eq!(
        (remedies("--remedy all,locked-return"), remedies("--remedy zero-tail-at-extension,all")),
        (all, all + 1)
    );
    let bogus = format!("explain {case} --remedy all,bogus");
    run.refuses(&bogus, &["unknown remedy `bogus`", "known are: "]);
}

/// A store comes to no point of truncate.
const NEVER_REACHED: &str = "mkw 1\nrun nfs@3.0 2.6.30\nexpect pass\nfile pages 1\nactor A mm 0\nA.0 store 0..1\n\
                             actor B mm 0\nB.0 fsync\norder A.0 truncate.blocks\norder B.0 *\norder A.0 *\n";

#[test]
fn a_stop_that_is_never_reached_is_stale_also_where_all_is_as_expected() {
    let run = Run::new();
    fs::write(run.path("never.mkw"), NEVER_REACHED).unwrap();
    let (text, exit) = run.prints("replay never.mkw");
    assert_eq!(exit, Some(1), "{text}");
    assert!(text.starts_with("stale  never.mkw"), "{text}");
    assert!(text.contains("line 9: `order A.0 truncate.blocks` is never reached"), "{text}");
    let output = run.run("replay never.mkw --json");
    let report = json(&output);
    assert_eq!(report["runs"][0]["verdict"], "stale");
    assert_eq!(report["runs"][0]["stale"][0]["line"], 9);
    fs::create_dir(run.path("corpus")).unwrap();
    for fixed in ["", " --fixed"] {
        run.refuses(
            &format!("file never.mkw --name never --corpus corpus{fixed}"),
            &["`order A.0 truncate.blocks` is never reached", "--realigned"],
        );
    }
    assert!(!run.path("corpus/regressions/never.mkw").exists());
    let (text, exit) = run.prints("replay never.mkw --realigned fresh.mkw");
    assert_eq!(exit, Some(1), "{text}");
    let (text, exit) = run.prints("replay fresh.mkw");
    assert_eq!(exit, Some(0), "{text}");
}

#[test]
fn a_realigned_file_is_written_only_for_a_stale_one_and_the_command_says_so() {
    let run = Run::new();
    let file = corpus("pass/race-nfs.mkw");
    let output = run.run(&format!("replay {file} --realigned fresh.mkw"));
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(0), "{error}");
    assert!(error.contains("not stale: fresh.mkw is not written"), "{error}");
    assert!(!run.path("fresh.mkw").exists());
    for option in ["--trace", "--realigned fresh.mkw"] {
        run.refuses(&format!("replay {file} --times 5 {option}"), &["cannot be used with"]);
    }
}

#[test]
fn no_command_writes_over_what_it_reads() {
    let run = Run::new();
    let text = fs::read(corpus("pass/race-nfs.mkw")).unwrap();
    fs::write(run.path("a.mkw"), &text).unwrap();
    fs::hard_link(run.path("a.mkw"), run.path("b.mkw")).unwrap();
    for arguments in [
        "convert a.mkw --to bytes -o a.mkw",
        "convert a.mkw --to text -o ./b.mkw",
        "shrink a.mkw -o a.mkw",
        "explain a.mkw --html b.mkw",
        "explain a.mkw --svg a.mkw",
    ] {
        run.refuses(arguments, &["is the file that is read", "give another file"]);
    }
    run.refuses("convert a.mkw --to bytes -o c.mkw", &["must not be called .mkw"]);
    assert_eq!(fs::read(run.path("a.mkw")).unwrap(), text);
    assert!(!run.path("c.mkw").exists());
}

#[test]
fn a_file_without_end_or_of_absurd_size_is_refused_with_the_limit() {
    let run = Run::new();
    for command in ["replay", "explain", "shrink", "convert", "matrix", "bisect"] {
        run.refuses(&format!("{command} /dev/zero"), &["/dev/zero: more than 1048576 bytes"]);
    }
    let head = "mkw 1\nfile pages 1\nactor A mm 0\nA.0 store 0..1\n";
    fs::write(run.path("long.mkw"), format!("{head}{}", "order A.0 *\n".repeat(20_000))).unwrap();
    run.refuses("replay long.mkw", &["more than 16384 `order` lines"]);
    fs::write(run.path("huge.mkw"), format!("{head}{}", "order A.0 *\n".repeat(300_000))).unwrap();
    run.refuses("replay huge.mkw", &["huge.mkw: more than 1048576 bytes"]);
}

/// A bug that only a comparison with another filesystem shows.
const DIFFERENCE: &str = "mkw 1\nrun fsblock@2009 2.6.30\nplant write-fills-holes\ncompare block@2.6.30 2.6.30\n\
                          expect differential run.end closing\nfile pages 1 cells 8 blocks 2 size 8 holes 0\n\
                          actor A mm 0\nA.0 write 0..3\nA.1 read 0..2\n";

#[test]
fn a_difference_between_filesystems_is_found_again_from_its_file_by_every_command() {
    let run = Run::new();
    fs::write(run.path("d.mkw"), DIFFERENCE).unwrap();
    let (text, exit) = run.prints("replay d.mkw");
    assert_eq!(exit, Some(0), "{text}");
    assert!(
        text.starts_with("NEW, as its file says  d.mkw") && text.contains("differential"),
        "{text}"
    );
    let (text, _) = run.prints("explain d.mkw");
    assert!(text.contains("breaks differential at run.end"), "{text}");
    let (text, exit) = run.prints("shrink d.mkw -o small.mkw");
    assert_eq!(exit, Some(0), "{text}");
    let small = fs::read_to_string(run.path("small.mkw")).unwrap();
    assert!(small.contains("compare  block@2.6.30 2.6.30\n"), "{small}");
    assert!(small.contains("cells 2 blocks 2 size 2") && !small.contains("A.1"), "{small}");
    assert_eq!(run.prints("replay small.mkw").1, Some(0));
    let (text, _) = run.prints("matrix small.mkw --impl fsblock@2009 --caller 2.6.30");
    assert!(text.contains("differential"), "{text}");
    let (text, exit) = run.prints("bisect small.mkw");
    assert_eq!(exit, Some(0), "{text}");
    assert!(text.contains("differential"), "{text}");
    let report = json(&run.run("triage small.mkw --out t --json"));
    let rows = report["clusters"].as_array().unwrap();
    assert!(rows.iter().any(|row| row["rule"] == "differential"), "{report}");
    fs::create_dir(run.path("corpus")).unwrap();
    let (text, exit) = run.prints("file d.mkw --name difference --corpus corpus");
    assert_eq!(exit, Some(0), "{text}");
    let filed = fs::read_to_string(run.path("corpus/regressions/difference.txt")).unwrap();
    assert!(filed.contains("differential"), "{filed}");
    // Without the bug there is no difference.
    fs::write(run.path("d.mkw"), DIFFERENCE.replace("plant write-fills-holes\n", "")).unwrap();
    let (text, exit) = run.prints("replay d.mkw");
    assert_eq!(exit, Some(1), "{text}");
    assert!(text.starts_with("missing  d.mkw"), "{text}");
}
