//! The cache: folders that are made once, whole or not at all, and never dropped unasked.
//!
//! It lies in `mkwrite` below `$XDG_CACHE_HOME`, or below `~/.cache`. A folder is made beside its
//! place and renamed, so that two runs at once do no harm: the second one to finish throws its own
//! away.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow};

use crate::Unavailable;

/// The cache's folder.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

impl Cache {
    /// The user's cache.
    pub fn of_user() -> Result<Cache> {
        let set =
            |name| std::env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        let base = set("XDG_CACHE_HOME").or_else(|| Some(set("HOME")?.join(".cache")));
        let base = base.ok_or_else(|| {
            Unavailable::error("there is no folder for a cache", "set HOME or XDG_CACHE_HOME")
        })?;
        Cache::at(&base.join("mkwrite"))
    }

    /// A cache in this folder.
    pub fn at(folder: &Path) -> Result<Cache> {
        fs::create_dir_all(folder)
            .map_err(|error| anyhow!("cannot make {}: {error}", folder.display()))
            .context("set XDG_CACHE_HOME to a folder that can be written to")?;
        Ok(Cache { folder: folder.canonicalize()? })
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The folder of this name; made by `make`, in a folder that gets this name, if there is none.
    pub fn folder(&self, name: &str, make: impl FnOnce(&Path) -> Result<()>) -> Result<PathBuf> {
        let place = self.path(name);
        if place.is_dir() {
            return Ok(place);
        }
        let parent = place.parent().unwrap_or(&self.folder);
        fs::create_dir_all(parent)?;
        let new = tempfile::Builder::new().prefix(".new-").tempdir_in(parent)?;
        make(new.path())?;
        let new = new.keep();
        if fs::rename(&new, &place).is_err() {
            fs::remove_dir_all(&new)?;
        }
        Ok(place)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_is_made_once_and_whole() {
        let place = tempfile::tempdir().unwrap();
        let cache = Cache::at(place.path()).unwrap();
        let failed = cache.folder("kernels/a", |new| {
            fs::write(new.join("half"), "")?;
            anyhow::bail!("no space")
        });
        assert_eq!(failed.unwrap_err().to_string(), "no space");
        assert_eq!(fs::read_dir(cache.path("kernels")).unwrap().count(), 0);
        let made = cache.folder("kernels/a", |new| Ok(fs::write(new.join("whole"), "1")?)).unwrap();
        let again = cache.folder("kernels/a", |_| panic!("it is there")).unwrap();
        assert_eq!(
            (made, fs::read_to_string(again.join("whole")).unwrap()),
            (cache.path("kernels/a"), "1".into())
        );
    }
}
