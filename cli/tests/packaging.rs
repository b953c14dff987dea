//! What others build and run from this repository without asking: the files of OSS-Fuzz and
//! ClusterFuzzLite, what `mkwrite seeds` writes for them, and the workflows. Nothing is built here
//! and nothing fetched; `.ci/oss-fuzz` builds.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};

use sha1::{Digest, Sha1};
use yaml_rust2::{Yaml, YamlLoader};
use zip::ZipArchive;

mod common;
use common::{Run, corpus};

/// The compiler in the images of OSS-Fuzz: nightly-2025-09-05 is one of this version.
const OSS_FUZZ_COMPILER: &str = "1.91";
/// libFuzzer takes no longer word of a dictionary.
const WORD_MAX: usize = 64;

fn path(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name)
}

fn text(name: &str) -> String {
    fs::read_to_string(path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

fn yaml(name: &str) -> Yaml {
    let mut all =
        YamlLoader::load_from_str(&text(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
    assert_eq!(all.len(), 1, "{name}");
    all.remove(0)
}

/// The targets: the binaries in the manifest of their package.
fn targets() -> BTreeSet<String> {
    let manifest: toml::Table = text("fuzz/Cargo.toml").parse().unwrap();
    let name = |binary: &toml::Value| binary["name"].as_str().unwrap().to_owned();
    manifest["bin"].as_array().unwrap().iter().map(name).collect()
}

/// What `mkwrite seeds` writes.
fn packed(arguments: &str) -> Run {
    let run = Run::new();
    let output = run
        .command("seeds --out out")
        .args(arguments.split_whitespace())
        .arg(corpus(""))
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    run
}

fn entries(zip: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut zip = ZipArchive::new(File::open(zip).unwrap()).unwrap();
    let count = zip.len();
    let one = |n| {
        let mut entry = zip.by_index(n).unwrap();
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        (entry.name().unwrap().into_owned(), content)
    };
    (0..count).map(one).collect()
}

/// The entries of an INI file that has one section.
fn options(file: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(file).unwrap();
    let (section, entries) = text.split_once('\n').unwrap();
    assert_eq!(section, "[libfuzzer]");
    let entry = |line: &str| {
        let (key, value) = line.split_once(" = ").unwrap();
        (key.to_owned(), value.to_owned())
    };
    entries.lines().map(entry).collect()
}

/// A line of a dictionary as libFuzzer's parser takes it: a name, then a word in quotes with
/// escapes.
fn word(line: &str) -> Option<(&str, Vec<u8>)> {
    let (name, quoted) = line.split_once('=')?;
    let mut rest = quoted.strip_prefix('"')?.strip_suffix('"')?.as_bytes();
    let mut word = Vec::new();
    while let Some((first, more)) = rest.split_first() {
        rest = more;
        match (first, more) {
            (b'\\', [b'x', high, low, more @ ..]) => {
                let hex = [*high, *low];
                word.push(u8::from_str_radix(std::str::from_utf8(&hex).ok()?, 16).ok()?);
                rest = more;
            }
            (b'\\' | b'"', _) => return None,
            (byte, _) if byte.is_ascii_graphic() || *byte == b' ' => word.push(*byte),
            _ => return None,
        }
    }
    (!name.is_empty() && !word.is_empty()).then_some((name, word))
}

#[test]
fn names_of_targets_are_what_oss_fuzz_takes() {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-".contains(c);
    let targets = targets();
    assert!(targets.len() >= 5, "{targets:?}");
    for target in targets {
        assert!(target.chars().all(plain), "{target}");
        assert!(
            path(&format!("fuzz/fuzz_targets/{target}.rs")).is_file(),
            "{target} has no source file"
        );
    }
}

#[test]
fn every_target_has_seeds_a_dictionary_and_options_and_nothing_else_is_written() {
    let run = packed("");
    let mut expected = BTreeSet::new();
    for target in targets() {
        for suffix in ["_seed_corpus.zip", ".dict", ".options"] {
            expected.insert(format!("{target}{suffix}"));
        }
    }
    let files = fs::read_dir(run.path("out")).unwrap();
    let names: BTreeSet<String> =
        files.map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names, expected);
}

#[test]
fn seeds_are_named_by_their_content_and_fit() {
    let run = packed("");
    for target in targets() {
        let options = options(&run.path(&format!("out/{target}.options")));
        let max: usize = options["max_len"].parse().unwrap();
        assert_eq!(max, if target == "text" { 6144 } else { 1536 });
        assert_eq!((options["len_control"].as_str(), options["timeout"].as_str()), ("0", "60"));
        assert_eq!(options["dict"], format!("{target}.dict"));

        let seeds = entries(&run.path(&format!("out/{target}_seed_corpus.zip")));
        assert!(seeds.len() >= 20, "{target}: {}", seeds.len());
        for (name, content) in seeds {
            assert_eq!(name, format!("{:x}", Sha1::digest(&content)), "{target}");
            assert!(content.len() <= max, "{target}: {name} has {} bytes", content.len());
        }
    }
}

#[test]
fn a_case_of_the_corpus_is_a_seed_in_both_forms() {
    let run = packed("");
    let text = fs::read(corpus("pass/race-nfs.mkw")).unwrap();
    let bytes = run.command("convert").arg(corpus("pass/race-nfs.mkw")).output().unwrap().stdout;
    let has = |target: &str, seed: &Vec<u8>| {
        entries(&run.path(&format!("out/{target}_seed_corpus.zip")))
            .values()
            .any(|content| content == seed)
    };
    assert!(has("text", &text));
    assert!(has("differential", &bytes) && has("codec", &bytes));
    assert!(!has("text", &bytes) && !has("history", &bytes));
}

#[test]
fn folders_hold_what_the_zips_hold_and_all_is_the_same_every_time() {
    let (zips, again, folders) = (packed(""), packed(""), packed("--folders"));
    for target in targets() {
        let zip = format!("out/{target}_seed_corpus.zip");
        assert_eq!(fs::read(zips.path(&zip)).unwrap(), fs::read(again.path(&zip)).unwrap());
        assert!(!folders.path(&zip).exists());
        let files =
            fs::read_dir(folders.path(&format!("out/{target}"))).unwrap().map(|file| file.unwrap());
        let read = files
            .map(|file| (file.file_name().into_string().unwrap(), fs::read(file.path()).unwrap()));
        assert_eq!(read.collect::<BTreeMap<_, _>>(), entries(&zips.path(&zip)), "{target}");
    }
}

#[test]
fn dictionaries_are_in_the_syntax_of_libfuzzer() {
    let run = packed("");
    for target in targets() {
        let dictionary = fs::read_to_string(run.path(&format!("out/{target}.dict"))).unwrap();
        let mut names = BTreeSet::new();
        for line in dictionary.lines() {
            let (name, word) = word(line).unwrap_or_else(|| panic!("{target}: {line}"));
            assert!(names.insert(name), "{target}: {name} stands there twice");
            assert!(
                name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_'),
                "{target}: {name}"
            );
            assert!(word.len() <= WORD_MAX, "{target}: {line}");
            if !["text", "history"].contains(&target.as_str()) {
                assert_eq!(word.len(), 12, "{target}: {line} is no record");
            }
        }
        assert!(names.len() > 10, "{target}");
    }
    assert_eq!(word("a=\"\\xA5b\""), Some(("a", vec![0xA5, b'b'])));
    for wrong in ["a=b", "a=\"\"", "a=\"\\q\"", "a=\"\"\"", "a=\"\\x1\""] {
        assert_eq!(word(wrong), None, "{wrong}");
    }
}

#[test]
fn what_cannot_be_read_is_passed_over_and_said() {
    let run = Run::new();
    fs::create_dir_all(run.path("cases/deep")).unwrap();
    fs::copy(corpus("pass/race-nfs.mkw"), run.path("cases/deep/good.mkw")).unwrap();
    fs::write(run.path("cases/bad.mkw"), "mkw 1\nnonsense\n").unwrap();
    fs::write(run.path("cases/notes.txt"), "no case").unwrap();
    let output = run.run("seeds cases --out out");
    let error = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(2), "{error}");
    assert!(
        error.contains("nonsense") && error.contains("bad.mkw") && !error.contains("notes"),
        "{error}"
    );
    assert_eq!(entries(&run.path("out/codec_seed_corpus.zip")).len(), 1);

    run.refuses("seeds nowhere --out out", &["nowhere", "give a folder of .mkw files"]);
    fs::create_dir(run.path("empty")).unwrap();
    run.refuses("seeds empty --out out", &["no .mkw file"]);
}

#[test]
fn build_scripts_stop_at_errors_and_name_no_target() {
    let script = text(".clusterfuzzlite/build.sh");
    assert!(script.lines().any(|line| line.starts_with("set -eu")));
    let code: Vec<&str> =
        script.lines().filter(|line| !line.trim_start().starts_with('#')).collect();
    for name in ["SRC", "OUT", "SANITIZER", "FUZZING_ENGINE", "RUSTUP_TOOLCHAIN"] {
        assert!(
            code.iter()
                .any(|line| line.contains(&format!("${name}"))
                    || line.contains(&format!("${{{name}"))),
            "{name}"
        );
    }
    for target in targets() {
        let mut words = code
            .iter()
            .flat_map(|line| line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_'));
        assert!(words.all(|word| word != target), "{target}");
    }

    let script = text("oss-fuzz/build.sh");
    assert!(script.starts_with("#!/bin/bash -eu\n"));
    let commands: Vec<&str> =
        script.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert_eq!(commands, ["exec \"$SRC/mkwrite/.clusterfuzzlite/build.sh\""]);
    for file in ["Dockerfile", "build.sh", "project.yaml"] {
        let text = text(&format!("oss-fuzz/{file}"));
        assert!(text.contains("Licensed under the Apache License, Version 2.0"), "{file}");
    }
}

#[test]
fn projects_and_images_agree() {
    for folder in [".clusterfuzzlite", "oss-fuzz"] {
        let project = yaml(&format!("{folder}/project.yaml"));
        let list = |key: &str| {
            project[key]
                .as_vec()
                .unwrap()
                .iter()
                .map(|one| one.as_str().unwrap())
                .collect::<Vec<_>>()
        };
        assert_eq!(project["language"].as_str(), Some("rust"), "{folder}");
        assert_eq!(list("sanitizers"), ["address"], "{folder}");
        assert_eq!(list("fuzzing_engines"), ["libfuzzer"], "{folder}");
        let system = project["base_os_version"].as_str().unwrap();
        let image = text(&format!("{folder}/Dockerfile"));
        assert!(
            image.contains(&format!("\nFROM gcr.io/oss-fuzz-base/base-builder-rust:{system}\n")),
            "{folder}"
        );
    }
    let project = yaml("oss-fuzz/project.yaml");
    for key in ["homepage", "main_repo", "help_url", "primary_contact"] {
        assert!(!project[key].as_str().unwrap().is_empty(), "{key}");
    }
    let image = text("oss-fuzz/Dockerfile");
    assert!(image.contains(&format!(
        "clone --depth 1 {} $SRC/mkwrite\n",
        project["main_repo"].as_str().unwrap()
    )));
}

#[test]
fn the_compiler_is_that_of_oss_fuzz() {
    let manifest: toml::Table = text("Cargo.toml").parse().unwrap();
    assert_eq!(manifest["workspace"]["package"]["rust-version"].as_str(), Some(OSS_FUZZ_COMPILER));
}

#[test]
fn workflows_say_what_they_may_and_how_long() {
    let mut names = BTreeSet::new();
    for file in fs::read_dir(path(".github/workflows")).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        let workflow = yaml(&format!(".github/workflows/{name}"));
        assert!(!workflow["name"].is_badvalue() && !workflow["on"].is_badvalue(), "{name}");
        assert_eq!(workflow["permissions"]["contents"].as_str(), Some("read"), "{name}");
        assert_eq!(
            workflow["permissions"].as_hash().unwrap().len(),
            1,
            "{name}: more is for single jobs"
        );
        for (job, content) in workflow["jobs"].as_hash().unwrap() {
            let minutes = content["timeout-minutes"].as_i64();
            assert!(minutes.is_some_and(|minutes| (1..=360).contains(&minutes)), "{name}: {job:?}");
            let steps = content["steps"].as_vec().unwrap();
            assert!(
                steps.iter().all(|step| step["run"].is_badvalue() != step["uses"].is_badvalue()),
                "{name}: {job:?}"
            );
            let version = |action: &str| {
                action.split_once('@').is_some_and(|(_, version)| version.starts_with('v'))
            };
            assert!(
                steps.iter().filter_map(|step| step["uses"].as_str()).all(version),
                "{name}: {job:?}"
            );
        }
        names.insert(name);
    }
    let listed = ["ci", "cflite_batch", "cflite_build", "cflite_cron", "cflite_pr", "nightly"];
    for name in listed {
        assert!(names.contains(&format!("{name}.yml")), "{name}");
    }
}

/// The mode and the sanitizer of each run of a ClusterFuzzLite workflow.
fn modes(name: &str) -> Vec<(String, String)> {
    let workflow = yaml(&format!(".github/workflows/{name}.yml"));
    let mut all = Vec::new();
    for content in workflow["jobs"].as_hash().unwrap().values() {
        let steps = content["steps"].as_vec().unwrap();
        // The actions learn from the checkout which images to use.
        assert!(steps[0]["uses"].as_str().unwrap().starts_with("actions/checkout@"), "{name}");
        let built = steps[1]["with"]["sanitizer"].as_str().unwrap();
        for step in &steps[1..] {
            assert_eq!(step["with"]["language"].as_str(), Some("rust"), "{name}");
            assert_eq!(step["with"]["sanitizer"].as_str(), Some(built), "{name}");
            if let Some(mode) = step["with"]["mode"].as_str() {
                all.push((mode.to_owned(), built.to_owned()));
            }
        }
    }
    all
}

#[test]
fn clusterfuzzlite_runs_in_each_of_its_modes() {
    let of = |mode: &str, sanitizer: &str| (mode.to_owned(), sanitizer.to_owned());
    assert_eq!(modes("cflite_pr"), [of("code-change", "address")]);
    assert_eq!(modes("cflite_build"), []);
    assert_eq!(modes("cflite_batch"), [of("batch", "address")]);
    assert_eq!(modes("cflite_cron"), [of("prune", "address"), of("coverage", "coverage")]);
}
