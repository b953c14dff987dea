//! The log of a search: what it found and how far it has come, one line of JSON each, appended, so
//! that many processes can write to one file and whoever reads it needs none of them alive.

use mkwrite_model::Target;
use mkwrite_model::implementation::Filesystem;
use serde::{Deserialize, Serialize};
use std::collections::BTreeSet;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::Path;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mkwrite_oracle::ledger::{Expected, FindingKey, Ledger};
use mkwrite_oracle::run::caller_label;

/// How often a search says how far it is.
const TICK: Duration = Duration::from_secs(1);

/// A line.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Line {
    /// Seconds since 1970.
    pub time: f64,
    /// The process that writes it.
    pub process: u32,
    /// Schedules that it has run on its targets.
    pub executions: u64,
    /// Features that it has seen.
    pub features: u64,
    /// What it has found, for the first time.
    pub found: Option<LoggedFinding>,
}

/// A signature that was found.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize, PartialOrd, Ord)]
pub struct LoggedFinding {
    /// The implementation.
    pub implementation: String,
    /// Its caller, and whether remedies are on.
    pub caller: String,
    /// The entry of the ledger that lists it.
    pub entry: Option<String>,
    /// It follows from what the entry is about.
    pub follows: bool,
    /// The rule.
    pub rule: String,
    /// The point, where the signature has one.
    pub point: Option<String>,
}

impl LoggedFinding {
    fn new<F: Filesystem>(
        ledger: &Ledger<F>,
        target: Target<F>,
        key: &FindingKey,
    ) -> LoggedFinding {
        let expected = key.signature.expected;
        LoggedFinding {
            implementation: target.pair.implementation.name().to_owned(),
            caller: caller_label(target),
            entry: ledger.entry(expected).map(|entry| entry.name.clone()),
            follows: matches!(expected, Expected::Consequence(_)),
            rule: key.signature.rule.id().to_owned(),
            point: key.signature.point.map(|point| point.name().to_owned()),
        }
    }
}

/// Writes a log.
#[derive(Debug)]
pub struct Log {
    file: File,
    seen: BTreeSet<FindingKey>,
    last: Instant,
    failed: Option<String>,
}

impl Log {
    /// Appends to this file.
    pub fn append(path: &Path) -> std::io::Result<Log> {
        let file = File::options().create(true).append(true).open(path)?;
        Ok(Log { file, seen: BTreeSet::new(), last: Instant::now(), failed: None })
    }

    fn write(&mut self, executions: u64, features: u64, found: Option<LoggedFinding>) {
        self.last = Instant::now();
        let time = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs_f64();
        let line = Line { time, process: std::process::id(), executions, features, found };
        let line = serde_json::to_string(&line).expect("a line is plain data");
        // A full disk must not end a search: the log has a gap then.
        if let Err(error) = self.file.write_all((line + "\n").as_bytes()) {
            self.failed.get_or_insert(error.to_string());
        }
    }

    /// The first line that could not be written, if there is one: why not.
    pub fn failed(&self) -> Option<&str> {
        self.failed.as_deref()
    }

    /// Notes how far the search is, now and then.
    pub fn tick(&mut self, executions: u64, features: u64) {
        if self.last.elapsed() >= TICK {
            self.write(executions, features, None);
        }
    }

    /// Notes a find, if it is the first of its kind.
    pub fn found<F: Filesystem>(
        &mut self,
        executions: u64,
        features: u64,
        ledger: &Ledger<F>,
        target: Target<F>,
        key: FindingKey,
    ) {
        if self.seen.insert(key) {
            self.write(executions, features, Some(LoggedFinding::new(ledger, target, &key)));
        }
    }
}

/// Reads a log that grows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Reader {
    offset: u64,
}

impl Reader {
    /// The lines that are there since the last time. A line that a kill or a full disk has cut
    /// short is passed over.
    pub fn more(&mut self, path: &Path) -> std::io::Result<Vec<Line>> {
        let (mut file, mut text) = (File::open(path)?, Vec::new());
        file.seek(SeekFrom::Start(self.offset))?;
        file.read_to_end(&mut text)?;
        // What is behind the last end of a line is still being written.
        text.truncate(text.iter().rposition(|byte| *byte == b'\n').map_or(0, |end| end + 1));
        self.offset += text.len() as u64;
        Ok(String::from_utf8_lossy(&text)
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect())
    }
}

/// Reads a log from its beginning.
pub fn read(path: &Path) -> std::io::Result<Vec<Line>> {
    Reader::default().more(path)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mkwrite_impls::Builtin;

    #[test]
    fn a_find_is_noted_once_and_a_torn_line_is_passed_over() {
        let path = std::env::temp_dir().join(format!("mkwrite-log-{}", std::process::id()));
        let ledger = Ledger::<Builtin>::own();
        let target = Target::from(ledger.default_pairs()[0]);
        let signature = mkwrite_oracle::ledger::Signature {
            expected: Expected::Root(0),
            rule: mkwrite_oracle::Rule::Lost,
            point: None,
        };
        let key = FindingKey { target: 0, signature };
        let mut log = Log::append(&path).unwrap();
        log.found(7, 3, &ledger, target, key);
        log.found(9, 3, &ledger, target, key);
        log.last = Instant::now() + Duration::from_secs(3600);
        log.tick(10, 3);
        log.file.write_all(b"{\"time\":1.0,\"proc").unwrap();
        let lines = read(&path).unwrap();
        let mut reader = Reader::default();
        assert_eq!(reader.more(&path).unwrap(), lines);
        // The torn line is one with what another process writes behind it.
        Log::append(&path).unwrap().found(11, 3, &ledger, target, key);
        Log::append(&path).unwrap().found(12, 3, &ledger, target, key);
        let more: Vec<u64> =
            reader.more(&path).unwrap().iter().map(|line| line.executions).collect();
        assert_eq!((more, reader.more(&path).unwrap()), (vec![12], vec![]));
        std::fs::remove_file(&path).unwrap();
        assert_eq!(lines.len(), 1, "the second find is known, and it is not time yet");
        let find = lines[0].found.clone().unwrap();
        assert_eq!((lines[0].executions, find.rule.as_str(), find.follows), (7, "I35", false));
        assert!(find.entry.is_some());
    }
}
