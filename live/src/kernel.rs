//! Versions of kernels, and ranges of them: a difference that is explained on one kernel is new on
//! another.

use std::fmt;
use std::str::FromStr;

/// A kernel's version, up to its minor number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Version(pub u16, pub u16);

impl Version {
    /// Of the kernel that runs, with its full release.
    pub fn running() -> (Version, String) {
        let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default();
        let release = release.trim().to_owned();
        (release.parse().unwrap_or(Version(0, 0)), release)
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.0, self.1)
    }
}

/// No version, or no range of versions.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error("`{0}` is no range of kernels: write 6.1..6.13 (the second not included), 6.13.. or ..")]
pub struct NoVersion(String);

impl FromStr for Version {
    type Err = NoVersion;

    /// `6.12`, or a release that begins so: `6.12.117-amd64`.
    fn from_str(text: &str) -> Result<Version, NoVersion> {
        let error = || NoVersion(text.to_owned());
        let mut numbers = text.split(['.', '-', '+', '_']).map(str::parse);
        match (numbers.next(), numbers.next()) {
            (Some(Ok(major)), Some(Ok(minor))) => Ok(Version(major, minor)),
            _ => Err(error()),
        }
    }
}

/// From a version, up to another that is not included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, serde::Deserialize)]
#[serde(try_from = "String")]
pub struct Versions {
    from: Option<Version>,
    below: Option<Version>,
}

impl Versions {
    /// The version lies in it.
    pub fn contains(self, version: Version) -> bool {
        self.from.is_none_or(|from| from <= version)
            && self.below.is_none_or(|below| version < below)
    }
}

impl TryFrom<String> for Versions {
    type Error = NoVersion;

    fn try_from(text: String) -> Result<Versions, NoVersion> {
        let (from, below) = text.split_once("..").ok_or_else(|| NoVersion(text.clone()))?;
        let end = |part: &str| match part {
            "" => Ok(None),
            part => part.parse().map(Some).map_err(|_| NoVersion(text.clone())),
        };
        Ok(Versions { from: end(from)?, below: end(below)? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_and_ranges() {
        assert_eq!("6.12.117+deb12-amd64".parse(), Ok(Version(6, 12)));
        assert_eq!("6.12".parse(), Ok(Version(6, 12)));
        assert!("six".parse::<Version>().is_err());
        let range = |text: &str| Versions::try_from(text.to_owned()).unwrap();
        let inside = |text: &str| {
            [Version(6, 1), Version(6, 12), Version(6, 13)].map(|v| range(text).contains(v))
        };
        assert_eq!(inside("6.1..6.13"), [true, true, false]);
        assert_eq!(inside("6.12.."), [false, true, true]);
        assert_eq!(inside(".."), [true, true, true]);
        let error = Versions::try_from("6.1".to_owned()).unwrap_err().to_string();
        assert_eq!(
            error,
            "`6.1` is no range of kernels: write 6.1..6.13 (the second not included), 6.13.. or .."
        );
    }
}
