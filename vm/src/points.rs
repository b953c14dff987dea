//! Where the model's named points lie in a kernel: `points.toml`.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use anyhow::Result;
use mkwrite_model::point::Point;
use serde::Deserialize;

use crate::code::Site;
use crate::packages::natural;
use crate::session::Session;

/// A site, perhaps of some kernels alone.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
enum Entry {
    Everywhere(String),
    #[serde(rename_all = "snake_case")]
    Some {
        at: String,
        from: Option<String>,
        until: Option<String>,
    },
}

impl Entry {
    fn site(&self) -> &str {
        match self {
            Entry::Everywhere(at) | Entry::Some { at, .. } => at,
        }
    }

    fn is_in(&self, release: &str) -> bool {
        let Entry::Some { from, until, .. } = self else { return true };
        let release = natural(release);
        from.as_ref().is_none_or(|from| natural(from) <= release)
            && until.as_ref().is_none_or(|until| release < natural(until))
    }
}

#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    name: String,
    #[serde(default)]
    user: bool,
    #[serde(default)]
    sites: Vec<Entry>,
    #[serde(default)]
    on: BTreeMap<String, Vec<Entry>>,
    #[serde(default)]
    none: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    point: Vec<Row>,
}

fn rows() -> &'static [Row] {
    static ROWS: LazyLock<Vec<Row>> = LazyLock::new(|| {
        let table: Table =
            toml::from_str(include_str!("points.toml")).expect("a test reads the table");
        table.point
    });
    &ROWS
}

/// Where an actor is to stop.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Stop {
    /// In user space, before it begins.
    BeforeIt,
    /// At a probe, for the n-th time in the slot.
    Probe(i32, u8),
}

/// Where a point is in the kernel of a session, for a filesystem of this family; or why it is
/// nowhere.
pub fn stop(
    session: &mut Session,
    release: &str,
    family: &str,
    point: Point,
    occurrence: u8,
) -> Result<Result<Stop, String>> {
    let Some(row) = rows().iter().find(|row| row.name == point.name()) else {
        return Ok(Err("points.toml does not name it".to_owned()));
    };
    let occurrence = match (row.user, occurrence) {
        (true, 0 | 1) => return Ok(Ok(Stop::BeforeIt)),
        (true, n) => n - 1,
        (false, n) => n,
    };
    let mut reason = row.none.clone();
    for entry in
        row.on.get(family).unwrap_or(&row.sites).iter().filter(|entry| entry.is_in(release))
    {
        let site: Site = entry.site().parse().expect("a test reads the sites");
        match session.probe(&site)? {
            Ok(probe) => return Ok(Ok(Stop::Probe(probe, occurrence))),
            Err(why) => reason = Some(why),
        }
    }
    Ok(Err(reason.unwrap_or_else(|| "it has no place in this filesystem".to_owned())))
}

/// Sets all probes that a filesystem of this family has points for. For each, the first point that
/// is there, and what its occurrence in a slot has more than the probe's.
pub fn all(
    session: &mut Session,
    release: &str,
    family: &str,
) -> Result<BTreeMap<i32, (Point, u8)>> {
    let mut names = BTreeMap::new();
    for point in Point::ALL.iter().filter(|point| point.is_scheduling_point()) {
        // The second time: some are in user space the first time.
        if let Ok(Stop::Probe(probe, count)) = stop(session, release, family, *point, 2)? {
            names.entry(probe).or_insert((*point, 2 - count));
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::filesystems;
    use std::collections::BTreeSet;

    #[test]
    fn every_point_of_the_model_has_one_row() {
        let named: Vec<&str> = rows().iter().map(|row| row.name.as_str()).collect();
        let unique: BTreeSet<&str> = named.iter().copied().collect();
        assert_eq!(unique.len(), named.len(), "a point has two rows");
        let points: BTreeSet<&str> =
            Point::ALL.iter().filter(|p| p.is_scheduling_point()).map(|p| p.name()).collect();
        assert_eq!(
            points.difference(&unique).collect::<Vec<_>>(),
            Vec::<&&str>::new(),
            "points without a row"
        );
        assert_eq!(
            unique.difference(&points).collect::<Vec<_>>(),
            Vec::<&&str>::new(),
            "rows without a point"
        );
    }

    #[test]
    fn every_site_can_be_read_and_every_row_says_something() {
        let families: BTreeSet<&str> =
            filesystems::all().iter().map(|fs| fs.family.as_str()).collect();
        for row in rows() {
            for entry in row.sites.iter().chain(row.on.values().flatten()) {
                let site: Site = entry.site().parse().unwrap();
                assert_eq!(site.to_string(), entry.site(), "{}", row.name);
            }
            assert!(row.on.keys().all(|family| families.contains(family.as_str())), "{}", row.name);
            let for_all =
                |family: &&str| row.on.get(*family).is_some_and(|entries| !entries.is_empty());
            let says = row.user
                || !row.sites.is_empty()
                || row.none.is_some()
                || families.iter().all(for_all);
            assert!(says, "{} is nowhere, and says not why", row.name);
        }
    }

    #[test]
    fn ranges_of_kernels_end_before_their_end() {
        let entry = Entry::Some {
            at: "f entry".into(),
            from: Some("6.3".into()),
            until: Some("6.12".into()),
        };
        let is_in = ["6.1.0-56-amd64", "6.3.1", "6.11.9", "6.12.117+deb12-amd64"]
            .map(|release| entry.is_in(release));
        assert_eq!(is_in, [false, true, true, false]);
    }
}
