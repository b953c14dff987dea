//! Debian packages, without installing any: a package state of our own in the cache, for `apt-get
//! download` and for the closure of what a package depends on, unpacked with `dpkg -x` into folders
//! of the cache.
//!
//! The sources are those of the system. Programs from an unpacked closure run by the closure's own
//! dynamic loader and libraries, so that they depend on nothing of the host, and nothing of the
//! host is changed. No root is needed.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Result, anyhow, bail};

use crate::cache::Cache;
use crate::{Unavailable, during};

/// Lists of packages that are older than this are fetched again.
const LISTS_LAST: Duration = Duration::from_secs(24 * 3600);

const LOADER: &str = "lib64/ld-linux-x86-64.so.2";

/// Where libraries lie in an unpacked closure.
const LIBRARIES: [&str; 4] = ["lib/x86_64-linux-gnu", "usr/lib/x86_64-linux-gnu", "lib", "usr/lib"];

/// Runs a command to its end; what it printed, or an error with its last words.
pub fn output(command: &mut Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    let out = command.stdin(Stdio::null()).output().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => {
            Unavailable::error(format!("there is no program {name}"), format!("install {name}"))
        }
        _ => anyhow!("cannot run {name}: {error}"),
    })?;
    if !out.status.success() {
        let said = String::from_utf8_lossy(&out.stderr);
        let last: Vec<&str> = said.trim().lines().rev().take(3).collect();
        bail!(
            "{name} failed ({}): {}",
            out.status,
            last.into_iter().rev().collect::<Vec<_>>().join("; ")
        );
    }
    Ok(String::from_utf8_lossy(&out.stdout).into_owned())
}

/// A package's name and version.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Package {
    /// The name.
    pub name: String,
    /// The version, with the epoch.
    pub version: String,
}

impl std::fmt::Display for Package {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}_{}", self.name, self.version)
    }
}

/// apt with a state of its own.
pub struct Apt {
    folder: PathBuf,
}

impl Apt {
    /// The state in the cache, with lists that are at most a day old.
    pub fn open(cache: &Cache) -> Result<Apt> {
        let apt = Apt { folder: cache.path("apt") };
        for folder in ["state/lists/partial", "cache/archives/partial"] {
            fs::create_dir_all(apt.folder.join(folder))?;
        }
        // As if nothing were installed: a closure is whole then.
        fs::write(apt.folder.join("status"), "")?;
        let stamp = apt.folder.join("updated");
        let age = stamp
            .metadata()
            .and_then(|meta| meta.modified())
            .ok()
            .and_then(|time| time.elapsed().ok());
        if age.is_none_or(|age| age > LISTS_LAST) {
            output(apt.command("apt-get").args(["-qq", "update"]))
                .map_err(|error| no_archive(&error))?;
            fs::write(stamp, "")?;
        }
        Ok(apt)
    }

    fn command(&self, program: &str) -> Command {
        let mut command = Command::new(program);
        let folder = self.folder.display();
        for option in [
            format!("Dir::State={folder}/state"),
            format!("Dir::State::status={folder}/status"),
            format!("Dir::Cache={folder}/cache"),
            "Debug::NoLocking=1".to_owned(),
            "APT::Sandbox::User=".to_owned(),
        ] {
            command.args(["-o", &option]);
        }
        command
    }

    /// The names of packages that begin so.
    pub fn names(&self, prefix: &str) -> Result<Vec<String>> {
        let names = output(self.command("apt-cache").args(["pkgnames", prefix]))?;
        Ok(names.lines().map(str::to_owned).collect())
    }

    /// A package in the newest version that the sources have.
    pub fn newest(&self, name: &str) -> Result<Package> {
        let shown = output(self.command("apt-cache").args(["show", "--no-all-versions", name]))?;
        let version = shown.lines().find_map(|line| line.strip_prefix("Version: "));
        let version = version.ok_or_else(|| {
            Unavailable::error(format!("no package {name}"), "look at apt's sources")
        })?;
        Ok(Package { name: name.to_owned(), version: version.to_owned() })
    }

    /// The names of what a package depends on, alternatives too.
    pub fn dependencies(&self, name: &str) -> Result<Vec<String>> {
        let shown = output(self.command("apt-cache").args(["show", "--no-all-versions", name]))?;
        let depends =
            shown.lines().find_map(|line| line.strip_prefix("Depends: ")).unwrap_or_default();
        let names = depends.split([',', '|']).filter_map(|one| one.split_whitespace().next());
        Ok(names.map(str::to_owned).collect())
    }

    /// Fetches these packages alone and unpacks them.
    pub fn unpack(&self, names: &[&str], root: &Path) -> Result<()> {
        let debs = tempfile::tempdir_in(&self.folder)?;
        let download = output(
            self.command("apt-get").args(["-qq", "download"]).args(names).current_dir(debs.path()),
        );
        download.map_err(|error| no_archive(&error))?;
        unpack_all(&debs_in(debs.path())?, root)
    }

    /// Fetches these packages with all that they depend on, and unpacks them.
    pub fn unpack_closure(&self, names: &[&str], root: &Path) -> Result<()> {
        let install = ["-qq", "-y", "--no-install-recommends", "--download-only", "install"];
        let archives = tempfile::tempdir_in(&self.folder)?;
        fs::create_dir(archives.path().join("partial"))?;
        let place = format!("Dir::Cache::archives={}", archives.path().display());
        let download =
            output(self.command("apt-get").args(["-o", &place]).args(install).args(names));
        download.map_err(|error| no_archive(&error))?;
        unpack_all(&debs_in(archives.path())?, root)
    }
}

fn no_archive(error: &anyhow::Error) -> anyhow::Error {
    match error.downcast_ref::<Unavailable>() {
        Some(unavailable) => Unavailable::error(
            unavailable.what.clone(),
            "without apt give a kernel by --kernel FOLDER (unpacked packages) and install qemu-system-x86_64",
        ),
        None => Unavailable::error(
            format!("packages cannot be fetched: {error}"),
            "look at the network and at apt's sources, or give --kernel a folder with unpacked packages",
        ),
    }
}

fn debs_in(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut debs: Vec<PathBuf> =
        fs::read_dir(folder)?.filter_map(|entry| Some(entry.ok()?.path())).collect();
    debs.retain(|path| path.extension().is_some_and(|extension| extension == "deb"));
    debs.sort();
    Ok(debs)
}

/// Unpacks packages into a folder.
pub fn unpack_all(debs: &[PathBuf], root: &Path) -> Result<()> {
    for deb in debs {
        output(Command::new("dpkg-deb").arg("-x").arg(deb).arg(root))
            .map_err(during(format!("cannot unpack {}", deb.display())))?;
    }
    Ok(())
}

/// A field of a package file.
pub fn field(deb: &Path, name: &str) -> Result<String> {
    Ok(output(Command::new("dpkg-deb").arg("-f").arg(deb).arg(name))?.trim().to_owned())
}

/// An unpacked closure of packages.
#[derive(Clone, Debug)]
pub struct Root {
    folder: PathBuf,
}

impl Root {
    /// The closure of these packages in the cache, fetched if it is not there.
    pub fn of(cache: &Cache, name: &str, packages: &[&str]) -> Result<Root> {
        let folder = cache.folder(&format!("roots/{name}"), |new| {
            Apt::open(cache)?.unpack_closure(packages, new)
        })?;
        Ok(Root { folder })
    }

    /// A program in it, wherever programs are, links followed.
    pub fn program(&self, name: &str) -> Result<PathBuf> {
        let places =
            ["usr/bin", "usr/sbin", "bin", "sbin"].map(|place| self.folder.join(place).join(name));
        let found = places.into_iter().find_map(|path| self.followed(path));
        found.ok_or_else(|| anyhow!("there is no {name} in {}", self.folder.display()))
    }

    /// The file that a path leads to. An absolute link is meant within the closure.
    fn followed(&self, mut path: PathBuf) -> Option<PathBuf> {
        while let Ok(link) = path.read_link() {
            path = match link.strip_prefix("/") {
                Ok(inside) => self.folder.join(inside),
                Err(_) => path.parent()?.join(link),
            };
        }
        path.is_file().then_some(path)
    }

    /// A path in it.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn library_path(&self) -> String {
        LIBRARIES.map(|place| self.folder.join(place).display().to_string()).join(":")
    }

    /// A command that runs a program of the closure with its own libraries.
    pub fn command(&self, name: &str) -> Result<Command> {
        let mut command = Command::new(self.path(LOADER));
        // Some programs are several, by the name under which they are called.
        command
            .args(["--argv0", name, "--library-path"])
            .arg(self.library_path())
            .arg(self.program(name)?);
        Ok(command)
    }

    /// The libraries of a program, the loader among them, by the paths at which programs look for
    /// them.
    pub fn libraries(&self, program: &Path) -> Result<Vec<(String, PathBuf)>> {
        let mut list = Command::new(self.path(LOADER));
        list.arg("--library-path").arg(self.library_path()).arg("--list").arg(program);
        let mut libraries = vec![(LOADER.to_owned(), self.path(LOADER))];
        for line in output(&mut list)?.lines() {
            let Some((name, path)) = line.trim().split_once(" => ") else { continue };
            let path = path.split(" (").next().unwrap_or(path);
            if Path::new(path).is_file() && !name.starts_with('/') {
                libraries.push((format!("lib/x86_64-linux-gnu/{name}"), PathBuf::from(path)));
            }
        }
        Ok(libraries)
    }
}

/// The key that puts names with numbers in them in the order of these numbers: 6.9 before 6.12.
pub fn natural(name: &str) -> Vec<(u64, String)> {
    let mut parts = vec![(0u64, String::new())];
    for letter in name.chars() {
        let last = parts.last_mut().expect("there is always one");
        match letter.to_digit(10) {
            Some(digit) if last.1.is_empty() => {
                last.0 = last.0.saturating_mul(10).saturating_add(u64::from(digit))
            }
            Some(digit) => parts.push((u64::from(digit), String::new())),
            None => last.1.push(letter),
        }
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_names_count_as_numbers() {
        let mut names = ["6.12.117+deb12", "6.1.0-9", "6.12.99+deb12", "6.1.0-56", "6.9"];
        names.sort_by_key(|name| natural(name));
        assert_eq!(names, ["6.1.0-9", "6.1.0-56", "6.9", "6.12.99+deb12", "6.12.117+deb12"]);
    }

    #[test]
    fn a_missing_program_is_named_with_the_remedy() {
        let error = output(&mut Command::new("no-such-program-of-mkwrite")).unwrap_err();
        let unavailable = error.downcast_ref::<Unavailable>().unwrap();
        assert_eq!(unavailable.what, "there is no program no-such-program-of-mkwrite");
        assert_eq!(unavailable.remedy, "install no-such-program-of-mkwrite");
    }
}
