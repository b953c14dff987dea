//! The ledger of differences that are explained: `corpus/conformance.toml`. What it does not list
//! is NEW.
//!
//! A difference is looked up by its smallest case: by what differs there, and by which operations
//! it takes. So an entry about reclaim does not cover a difference of the same kind that comes of a
//! truncate.

use std::collections::BTreeSet;

use mkwrite_model::case::{Case, Operation};
use serde::Deserialize;

use crate::compare::{Class, Key};
use crate::judge::Broken;
use crate::kernel::{Version, Versions};

/// The ledger of this repository.
pub const OWN: &str = include_str!("../../corpus/conformance.toml");

/// One explained difference.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// One word.
    pub name: String,
    /// What differs.
    pub class: Class,
    /// The operation that shows it; `seen` and `durable` for the content at the end.
    pub shown_by: Vec<String>,
    /// What the model gives: a status, or a kind of value.
    pub model: String,
    /// What the kernel gives.
    pub real: String,
    /// Operations that the smallest case has, all of them, and as often as they stand here.
    pub uses: Vec<String>,
    /// Operations that it may have besides.
    #[serde(default)]
    pub may_use: Vec<String>,
    /// Filesystems that it is about.
    pub filesystems: Vec<String>,
    /// Implementations that it is about.
    pub models: Vec<String>,
    /// Kernels that it is about.
    pub kernels: Versions,
    /// Why it is so.
    pub reason: String,
}

/// What concurrent runs may show, by the history alone.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Liberty {
    /// One word.
    pub name: String,
    /// The flaws, by the names that [`crate::judge`] gives them.
    pub flaws: Vec<String>,
    /// The kind of value that shows them; any without it.
    pub found: Option<String>,
    /// It needs a filesystem that is full.
    #[serde(default)]
    pub full: bool,
    /// Operations that the smallest case has, all of them; the others that it has must be in
    /// `may_use`. Without any the case may be what it likes.
    #[serde(default)]
    pub uses: Vec<String>,
    /// See `uses`.
    #[serde(default)]
    pub may_use: Vec<String>,
    /// Filesystems that it is about.
    pub filesystems: Vec<String>,
    /// Kernels that it is about.
    pub kernels: Versions,
    /// Why it is so.
    pub reason: String,
}

/// The entries.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ledger {
    /// Differences between a model and a kernel.
    #[serde(default, rename = "difference")]
    pub differences: Vec<Entry>,
    /// What the history checker reports of a kernel by right, and is known.
    #[serde(default, rename = "history")]
    pub liberties: Vec<Liberty>,
}

/// Where a difference was found.
#[derive(Clone, Copy, Debug)]
pub struct On<'a> {
    /// The filesystem.
    pub filesystem: &'a str,
    /// The implementation that it was compared with.
    pub model: &'a str,
    /// The kernel.
    pub kernel: Version,
}

/// The names of the operations that a case uses.
pub fn uses(case: &Case) -> BTreeSet<&'static str> {
    case.operations().map(|(_, _, operation)| operation.kind().name).collect()
}

impl Ledger {
    /// Reads a ledger. The error has line and column.
    pub fn parse(text: &str) -> Result<Ledger, String> {
        let ledger: Ledger = toml::from_str(text).map_err(|error| error.to_string())?;
        let known: BTreeSet<&str> = Operation::KINDS.iter().map(|kind| kind.name).collect();
        for entry in &ledger.differences {
            let ends = |name: &&String| !["seen", "durable", "end"].contains(&name.as_str());
            let names =
                entry.uses.iter().chain(&entry.may_use).chain(entry.shown_by.iter().filter(ends));
            if let Some(name) = names.into_iter().find(|name| !known.contains(name.as_str())) {
                return Err(format!(
                    "entry `{}`: `{name}` is no operation (see `list operations`)",
                    entry.name
                ));
            }
        }
        let mut names = BTreeSet::new();
        let all = ledger
            .differences
            .iter()
            .map(|e| &e.name)
            .chain(ledger.liberties.iter().map(|e| &e.name));
        for name in all {
            if !names.insert(name) {
                return Err(format!("entry `{name}` is there twice"));
            }
        }
        Ok(ledger)
    }

    /// The entry that explains a difference with this smallest case.
    pub fn explains(&self, on: On<'_>, key: &Key, smallest: &Case) -> Option<&Entry> {
        let uses = uses(smallest);
        self.differences.iter().find(|entry| {
            let listed = |list: &[String], name: &str| list.iter().any(|item| item == name);
            entry.class == key.class
                && listed(&entry.shown_by, key.shown_by)
                && entry.model == key.model
                && entry.real == key.real
                && listed(&entry.filesystems, on.filesystem)
                && listed(&entry.models, on.model)
                && entry.kernels.contains(on.kernel)
                && entry.uses.iter().all(|name| {
                    let needed = entry.uses.iter().filter(|other| *other == name).count();
                    smallest
                        .operations()
                        .filter(|(.., operation)| operation.kind().name == name)
                        .count()
                        >= needed
                })
                && uses.iter().all(|name| listed(&entry.uses, name) || listed(&entry.may_use, name))
        })
    }

    /// The entry that explains a flaw of a history, with its smallest case if there is one.
    pub fn excuses(
        &self,
        (filesystem, full): (&str, bool),
        kernel: Version,
        broken: &Broken,
        smallest: Option<&Case>,
    ) -> Option<&Liberty> {
        let uses = smallest.map(uses).unwrap_or_default();
        let fits = |entry: &Liberty| {
            let listed = |list: &[String], name: &str| list.iter().any(|item| item == name);
            entry.uses.iter().all(|name| uses.contains(name.as_str()))
                && uses.iter().all(|name| listed(&entry.uses, name) || listed(&entry.may_use, name))
        };
        self.liberties.iter().find(|entry| {
            entry.flaws.contains(&broken.flaw)
                && (full || !entry.full)
                && (entry.uses.is_empty() || fits(entry))
                && entry.found.as_ref().is_none_or(|found| *found == broken.found)
                && entry.filesystems.iter().any(|name| name == filesystem)
                && entry.kernels.contains(kernel)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use mkwrite_model::case::{Actor, Range};

    const TEXT: &str = r#"
        [[difference]]
        name = "kept"
        class = "view"
        shown_by = ["load"]
        model = "zero"
        real = "data"
        uses = ["store", "reclaim"]
        may_use = ["load"]
        filesystems = ["ext4"]
        models = ["filemap@3.10"]
        kernels = "6.1..6.13"
        reason = "because"
    "#;

    #[test]
    fn the_own_ledger_is_valid() {
        Ledger::parse(OWN).unwrap();
    }

    #[test]
    fn an_entry_explains_what_it_says_and_nothing_else() {
        let ledger = Ledger::parse(TEXT).unwrap();
        let on = On { filesystem: "ext4", model: "filemap@3.10", kernel: Version(6, 12) };
        let key = Key {
            class: Class::View,
            shown_by: "load",
            model: "zero".to_owned(),
            real: "data".to_owned(),
        };
        let case =
            |operations| Case { actors: vec![Actor { mm: 0, operations }], ..Case::default() };
        let (store, load) = (Operation::Store(Range::new(1, 2)), Operation::Load(Range::new(1, 2)));
        let smallest = case(vec![store, Operation::Reclaim(Range::new(0, 1)), load]);
        assert_eq!(
            ledger.explains(on, &key, &smallest).map(|entry| entry.name.as_str()),
            Some("kept")
        );
        let is_new = |on, key: &Key, case: &Case| ledger.explains(on, key, case).is_none();
        assert!(is_new(On { kernel: Version(6, 13), ..on }, &key, &smallest));
        assert!(is_new(On { filesystem: "xfs", ..on }, &key, &smallest));
        assert!(is_new(on, &Key { class: Class::Value, ..key.clone() }, &smallest));
        assert!(is_new(on, &Key { real: "alien".to_owned(), ..key.clone() }, &smallest));
        assert!(is_new(on, &key, &case(vec![store, load])));
        let twice = Ledger::parse(&TEXT.replace("\"store\",", "\"store\", \"store\",")).unwrap();
        assert!(twice.explains(on, &key, &smallest).is_none());
        let stored_twice = case(vec![store, store, Operation::Reclaim(Range::new(0, 1)), load]);
        assert!(twice.explains(on, &key, &stored_twice).is_some());
        let more =
            case(vec![store, Operation::Reclaim(Range::new(0, 1)), Operation::Truncate(1), load]);
        assert!(is_new(on, &key, &more));
    }

    #[test]
    fn a_flaw_is_excused_where_and_as_its_entry_says() {
        let text = "[[history]]\nname = \"zeroed\"\nflaws = [\"stale\", \"lost\"]\nfound = \
                    \"zero\"\nfilesystems = [\"fuse\"]\nkernels = \"6.17..\"\nreason = \"r\"\n";
        let ledger = Ledger::parse(text).unwrap();
        let excused = |filesystem, kernel, flaw: &str, found: &str| {
            let broken =
                Broken { flaw: flaw.to_owned(), shown_by: "rest", found: found.to_owned() };
            ledger.excuses((filesystem, false), kernel, &broken, None).is_some()
        };
        let (old, new) = (Version(6, 16), Version(6, 17));
        assert!(excused("fuse", new, "stale", "zero") && excused("fuse", new, "lost", "zero"));
        assert!(!excused("fuse", new, "stale", "data"));
        assert!(!excused("fuse", new, "size", "zero"));
        assert!(!excused("fuse", old, "stale", "zero"));
        assert!(!excused("ext4", new, "stale", "zero"));
    }

    #[test]
    fn errors_name_the_place() {
        let error = |from: &str, to: &str| Ledger::parse(&TEXT.replace(from, to)).unwrap_err();
        assert!(error("6.1..6.13", "6.1").contains("is no range of kernels"));
        assert_eq!(
            error("\"reclaim\"", "\"reklaim\""),
            "entry `kept`: `reklaim` is no operation (see `list operations`)"
        );
        assert!(error("reason", "reasons").contains("unknown field `reasons`"));
        assert_eq!(
            Ledger::parse(&format!("{TEXT}{TEXT}")).unwrap_err(),
            "entry `kept` is there twice"
        );
    }
}
