//! A campaign's corpora, one for each target, shared by all engines: seeds and what is damaged
//! before the search, and the merge after it. A corpus is never without its files: a merge makes a
//! new one beside it and then swaps them.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};

use anyhow::{Context, Result, anyhow};

use mkwrite_model::bytes::{self, Version};
use mkwrite_model::implementation::Filesystem;
use mkwrite_oracle::ledger::Ledger;
use mkwrite_search::stored_pairs::PairNumbers;

use super::{Place, Session};
use crate::engine::{self, Merge, TARGETS, Target};
use crate::files::{self, sha1};
use crate::seeds::{self, Start};

/// The largest file that a corpus may have.
const FILE_MAX: u64 = 1 << 20;

impl Session<'_> {
    fn corpus(&self, target: &Target) -> PathBuf {
        self.folder("corpus").join(target.name)
    }

    /// Puts seeds into the corpora, and what is no input out of them.
    pub(super) fn prepare<F: Filesystem>(&mut self, ledger: &Ledger<F>) {
        for target in TARGETS {
            let corpus = self.corpus(target);
            // A merge that was killed in the middle of its swap.
            for other in ["new", "old"] {
                if !corpus.exists() {
                    let _ = std::fs::rename(corpus.with_extension(other), &corpus);
                }
            }
            if let Err(error) = std::fs::create_dir_all(&corpus) {
                self.event(corpus.display().to_string(), error.to_string());
            }
            for file in damaged(&corpus) {
                let to = self.folder("damaged").join(target.name);
                let moved = std::fs::create_dir_all(&to).and_then(|()| {
                    std::fs::rename(&file, to.join(file.file_name().unwrap_or_default()))
                });
                let what = moved.map_or_else(
                    |error| error.to_string(),
                    |()| format!("is no input: moved to {}", to.display()),
                );
                self.event(file.display().to_string(), what);
            }
            // What takes a case runs it in any form; the codec is there for all of them.
            if target.form.is_case()
                && target.features
                && let Err(error) = upgrade(&PairNumbers::<F>::new(ledger), &corpus)
            {
                self.event(corpus.display().to_string(), format!("{error:#}"));
            }
        }
        let own = self.source.as_ref().map(|source| source.join("corpus"));
        let Some(folder) = self.args.seeds.clone().or(own) else { return };
        let (cases, unread) = match seeds::read::<F>(&folder) {
            Ok((cases, unread)) => (Some(cases), unread),
            Err(error) => (None, vec![error]),
        };
        for error in unread {
            self.event(folder.display().to_string(), files::reason(&folder, &error));
        }
        for start in cases
            .iter()
            .flat_map(|cases| TARGETS.iter().map(|target| Start::new(ledger, target, cases)))
        {
            if let Err(error) = self.seed(&start) {
                self.event(start.target.name, format!("{error:#}"));
            }
        }
    }

    /// Writes a target's dictionary, and the seeds that its corpus does not have.
    fn seed(&self, start: &Start) -> Result<()> {
        let corpus = self.corpus(start.target);
        let is_new =
            |name: &str, content: &[u8]| !corpus.join(name).exists() && !content.is_empty();
        for (name, content) in start.seeds.iter().filter(|(name, content)| is_new(name, content)) {
            files::write(&corpus.join(name), content)?;
        }
        let dictionary = self.dictionary(start.target);
        std::fs::create_dir_all(dictionary.parent().expect("it is in a folder"))?;
        files::write(&dictionary, start.dictionary.as_bytes())
    }

    pub(super) fn dictionary(&self, target: &Target) -> PathBuf {
        self.folder("work").join(format!("{}.dict", target.name))
    }

    /// Brings what engines kept for themselves into the corpora, and lets one that can keep what
    /// matters of each.
    pub(super) fn merge(&mut self, interrupted: &AtomicBool) {
        if interrupted.load(Ordering::Relaxed) {
            return;
        }
        for (place, _) in self.places.clone() {
            let Some(queue) = place.engine.queue.map(|queue| self.work(place).join(queue)) else {
                continue;
            };
            if let Err(error) = adopt(&queue, &self.corpus(place.target)) {
                self.event(queue.display().to_string(), format!("{error:#}"));
            }
        }
        for (place, executable) in self.places.clone() {
            let Some(merge) = place.engine.merge.filter(|_| !interrupted.load(Ordering::Relaxed))
            else {
                continue;
            };
            if let Err(error) = self.merge_one(place, merge, &executable, interrupted)
                && !interrupted.load(Ordering::Relaxed)
            {
                self.event(
                    format!("corpus of {}", place.target.name),
                    format!("was not merged: {error:#}"),
                );
            }
        }
    }

    fn merge_one(
        &self,
        place: Place,
        merge: fn(&Merge) -> Command,
        executable: &Path,
        interrupted: &AtomicBool,
    ) -> Result<()> {
        let target = place.target;
        let corpus = self.corpus(target);
        let (new, old) = (corpus.with_extension("new"), corpus.with_extension("old"));
        let count = |folder: &Path| std::fs::read_dir(folder).map_or(0, Iterator::count);
        if count(&corpus) == 0 {
            return Ok(());
        }
        let _ = std::fs::remove_dir_all(&new);
        std::fs::create_dir_all(&new)?;
        // Inputs on which the target fails are crashes like others.
        let work = self.real(&self.work(place));
        std::fs::create_dir_all(&work)?;
        let output = std::fs::File::create(work.join("merge.txt"))?;
        let (from, to) = (self.real(&corpus), self.real(&new));
        let command = merge(&Merge { target, executable, from: &from, to: &to, folder: &work });
        let mut child = engine::spawn(command, &work.join("merge.jsonl"), output)?;
        let status = loop {
            match child.try_wait()? {
                Some(status) => break status,
                None if interrupted.load(Ordering::Relaxed) => engine::kill(&child),
                None => {}
            }
            std::thread::sleep(super::search::TICK);
        };
        if !status.success() || count(&new) == 0 {
            let _ = std::fs::remove_dir_all(&new);
            return Err(anyhow!("it ended with {status}")).context("the corpus stays as it is");
        }
        // The new one takes the place of the old one; in between, both are there.
        let _ = std::fs::remove_dir_all(&old);
        std::fs::rename(&corpus, &old)?;
        std::fs::rename(&new, &corpus)?;
        Ok(std::fs::remove_dir_all(&old)?)
    }
}

/// Copies the inputs of a queue, if there is one, into a corpus, under the names that libFuzzer
/// gives them.
fn adopt(queue: &Path, corpus: &Path) -> Result<()> {
    for entry in std::fs::read_dir(queue).into_iter().flatten().flatten() {
        if entry.file_name().as_encoded_bytes().starts_with(b"id:") && is_input(&entry.path()) {
            let content = std::fs::read(entry.path())?;
            let file = corpus.join(sha1(&content));
            if !file.exists() {
                files::write(&file, &content)?;
            }
        }
    }
    Ok(())
}

/// Brings inputs in older forms into the newest one: the same case on the same pair, under its new
/// name. The old one goes when the new one is there.
fn upgrade<F: Filesystem>(numbers: &PairNumbers<F>, corpus: &Path) -> Result<()> {
    for entry in std::fs::read_dir(corpus)?.flatten() {
        let old = std::fs::read(entry.path())?;
        if bytes::version(&old) < Version::V3 {
            let new = numbers.upgraded(&old);
            files::write(&corpus.join(sha1(&new)), &new)?;
            std::fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

fn is_input(path: &Path) -> bool {
    path.symlink_metadata().is_ok_and(|meta| meta.is_file() && (1..=FILE_MAX).contains(&meta.len()))
        && std::fs::File::open(path).is_ok()
}

/// What lies in a corpus and is no input.
fn damaged(corpus: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(corpus).into_iter().flatten().flatten();
    let mut all: Vec<PathBuf> =
        entries.map(|entry| entry.path()).filter(|path| !is_input(path)).collect();
    all.sort();
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsStr;

    #[test]
    fn what_is_no_input_is_told_from_what_is() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("good"), b"x").unwrap();
        std::fs::write(path("empty"), b"").unwrap();
        std::fs::create_dir(path("folder")).unwrap();
        std::os::unix::fs::symlink("/nowhere", path("link")).unwrap();
        std::fs::File::create(path("huge")).unwrap().set_len(FILE_MAX + 1).unwrap();
        let names: Vec<_> = damaged(folder.path())
            .iter()
            .map(|path| path.file_name().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["empty", "folder", "huge", "link"].map(OsStr::new));
    }

    #[test]
    fn a_campaign_goes_on_with_an_old_corpus() {
        use mkwrite_impls::Builtin;
        let folder = tempfile::tempdir().unwrap();
        let numbers = PairNumbers::<Builtin>::new(&Ledger::own());
        let mut second = [9; 64];
        (second[0], second[30], second[31]) = (2, 0xB2, 23);
        let old: [&[u8]; 3] = [b"anything", &[7; 50], &second];
        for input in old {
            std::fs::write(folder.path().join(sha1(input)), input).unwrap();
        }
        for _ in 0..2 {
            upgrade(&numbers, folder.path()).unwrap();
            assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), old.len());
            for input in old {
                let new = numbers.upgraded(input);
                assert_eq!(std::fs::read(folder.path().join(sha1(&new))).unwrap(), new);
                assert_eq!(bytes::decode(&new), bytes::decode(input));
                assert_eq!(numbers.of(&new), numbers.of(input));
            }
        }
    }

    #[test]
    fn a_queue_joins_the_corpus_under_the_names_of_libfuzzer() {
        let folder = tempfile::tempdir().unwrap();
        let (queue, corpus) = (folder.path().join("queue"), folder.path().join("corpus"));
        std::fs::create_dir_all(queue.join(".state")).unwrap();
        std::fs::create_dir(&corpus).unwrap();
        std::fs::write(queue.join("id:000000,orig:zeroes"), b"abc").unwrap();
        std::fs::write(queue.join("README"), b"no input").unwrap();
        adopt(&queue, &corpus).unwrap();
        adopt(&folder.path().join("nothing"), &corpus).unwrap();
        let names: Vec<_> =
            std::fs::read_dir(&corpus).unwrap().map(|entry| entry.unwrap().file_name()).collect();
        assert_eq!(names, ["a9993e364706816aba3e25717850c26c9cd0d89d"]);
    }
}
