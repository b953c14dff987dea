//! The document of `mkwrite list`.

use std::collections::BTreeMap;

use serde::Serialize;

/// A table under the name of what is listed.
#[derive(Clone, Debug, Serialize)]
pub struct List {
    /// The rows, by column. There is one table.
    #[serde(flatten)]
    pub table: BTreeMap<String, Vec<BTreeMap<&'static str, String>>>,
}

impl List {
    /// The table of `what`, with these columns.
    pub fn new(what: &str, columns: &[&'static str], rows: &[Vec<String>]) -> List {
        let row = |row: &Vec<String>| columns.iter().copied().zip(row.iter().cloned()).collect();
        List { table: BTreeMap::from([(what.to_owned(), rows.iter().map(row).collect())]) }
    }
}
