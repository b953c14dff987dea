//! Which kernel is booted: the newest Debian package of a series, a folder with unpacked packages,
//! package files, or a kernel image with a folder of modules.
//!
//! What a package gives lies in the cache by name and version, image and matching headers together,
//! and stays there: the archive drops old point releases.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, anyhow, bail};

use crate::Unavailable;
use crate::cache::Cache;
use crate::packages::{Apt, Root, field, natural, output, unpack_all};

/// Flavours of a package that are not meant when a series is named.
const FLAVOURS: [&str; 5] = ["-rt-", "-cloud-", "-unsigned", "-dbg", "-template"];

/// A kernel that can be booted.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Kernel {
    /// What uname -r will say.
    pub release: String,
    /// The package's version, or the release where there is no package.
    pub version: String,
    /// The image.
    pub image: PathBuf,
    /// The folder in which `lib/modules/RELEASE` lies.
    pub root: PathBuf,
    /// The folder to build modules in; none if there are no headers.
    pub headers: Option<PathBuf>,
}

impl Kernel {
    /// The kernel's modules with all that they need, in the order of loading.
    pub fn modules(&self, tools: &Root, names: &[&str]) -> Result<Vec<PathBuf>> {
        let mut files = Vec::new();
        for name in names {
            let shown = output(tools.command("modprobe")?.arg("-d").arg(&self.root).args([
                "-S",
                &self.release,
                "--show-depends",
                name,
            ]));
            let shown = shown.map_err(|_| {
                Unavailable::error(
                    format!("the kernel {} has no module {name}", self.release),
                    "choose other filesystems with --fs, or another kernel",
                )
            })?;
            for line in shown.lines() {
                // A filesystem that is built in needs no file.
                let Some(path) = line.trim().strip_prefix("insmod ") else { continue };
                let path = PathBuf::from(path.trim());
                if !files.contains(&path) {
                    files.push(path);
                }
            }
        }
        Ok(files)
    }
}

/// The kernel that `--kernel` names.
pub fn resolve(
    cache: &Cache,
    tools: &Root,
    wanted: &str,
    modules: Option<&Path>,
) -> Result<Kernel> {
    let path = Path::new(wanted);
    if path.is_dir() {
        return in_folder(tools, path, None);
    }
    if wanted.split(',').all(|file| file.ends_with(".deb")) {
        return of_files(cache, tools, &wanted.split(',').map(PathBuf::from).collect::<Vec<_>>());
    }
    if path.is_file() {
        let modules = modules.ok_or_else(|| {
            anyhow!("{wanted}: a kernel image").context("give its modules with --modules FOLDER")
        })?;
        return of_image(tools, path, modules);
    }
    if !is_series(wanted) {
        return Err(anyhow!("{wanted}: neither a series of kernels nor a file or folder").context(
            "give a series like 6.1, a folder with unpacked packages, .deb files, or an image",
        ));
    }
    of_series(cache, tools, wanted)
}

fn is_series(word: &str) -> bool {
    word.starts_with(|c: char| c.is_ascii_digit())
        && word.chars().all(|c| c.is_ascii_alphanumeric() || ".-+~".contains(c))
}

/// Of these names of packages, that of the newest kernel of a series.
pub fn newest_of<'a>(names: impl IntoIterator<Item = &'a str>, series: &str) -> Option<&'a str> {
    let is_meant = |name: &&str| {
        let release =
            name.strip_prefix("linux-image-").and_then(|name| name.strip_suffix("-amd64"));
        let rest = release.and_then(|release| release.strip_prefix(series));
        // `linux-image-6.12-amd64` is a package without a kernel, which depends on the newest.
        let is_release =
            release.is_some_and(|release| release.split(|c: char| !c.is_ascii_digit()).count() > 2);
        let is_flavour = FLAVOURS.iter().any(|flavour| name.contains(flavour));
        is_release
            && !is_flavour
            && rest.is_some_and(|rest| {
                series.is_empty() || rest.is_empty() || rest.starts_with(['.', '-'])
            })
    };
    names.into_iter().filter(is_meant).max_by_key(|name| natural(name))
}

fn of_series(cache: &Cache, tools: &Root, series: &str) -> Result<Kernel> {
    let fetched = Apt::open(cache).and_then(|apt| fetch(cache, &apt, series));
    match fetched {
        Ok((folder, version)) => in_folder(tools, &folder, Some(version)),
        // Without the archive: the newest one that is here.
        Err(error) => match cached(cache, series) {
            Some((folder, version)) => in_folder(tools, &folder, Some(version)),
            None => Err(error),
        },
    }
}

/// The image and the headers of the newest kernel of a series, in the cache; and the version.
fn fetch(cache: &Cache, apt: &Apt, series: &str) -> Result<(PathBuf, String)> {
    let names = apt.names("linux-image-")?;
    let Some(name) = newest_of(names.iter().map(String::as_str), series) else {
        let mut there: Vec<&str> =
            names.iter().filter_map(|name| name.strip_prefix("linux-image-")).collect();
        there.retain(|name| newest_of([format!("linux-image-{name}").as_str()], "").is_some());
        there.sort_by_key(|name| natural(name));
        bail!("there is no kernel {series} in the archive; there is {}", there.join(", "));
    };
    let image = apt.newest(name)?;
    let headers = name.replace("linux-image-", "linux-headers-");
    let folder = cache.folder(&format!("kernels/{image}"), |new| {
        apt.unpack(&[name, &headers], new)?;
        let needs = needed_headers(apt, &headers)?;
        apt.unpack(&needs.iter().map(String::as_str).collect::<Vec<_>>(), new)?;
        fs::write(new.join("version"), &image.version)?;
        Ok(())
    })?;
    Ok((folder, image.version))
}

/// The packages of kernel headers that others depend on.
fn needed_headers(apt: &Apt, headers: &str) -> Result<Vec<String>> {
    let names = apt.dependencies(headers)?;
    Ok(names
        .into_iter()
        .filter(|name| name.starts_with("linux-headers-") || name.starts_with("linux-kbuild-"))
        .collect())
}

fn cached(cache: &Cache, series: &str) -> Option<(PathBuf, String)> {
    let entries = fs::read_dir(cache.path("kernels")).ok()?;
    let names: Vec<String> =
        entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect();
    let of_package = |name: &str| name.split('_').next().unwrap_or_default().to_owned();
    let packages: Vec<String> = names.iter().map(|name| of_package(name)).collect();
    let newest = newest_of(packages.iter().map(String::as_str), series)?;
    let name =
        names.iter().filter(|name| of_package(name) == newest).max_by_key(|name| natural(name))?;
    let folder = cache.path("kernels").join(name);
    let version = fs::read_to_string(folder.join("version")).unwrap_or_else(|_| newest.to_owned());
    Some((folder, version))
}

fn of_files(cache: &Cache, tools: &Root, debs: &[PathBuf]) -> Result<Kernel> {
    let image = debs.iter().find_map(|deb| {
        Some(deb)
            .filter(|_| field(deb, "Package").is_ok_and(|name| name.starts_with("linux-image-")))
    });
    let image = image.ok_or_else(|| {
        anyhow!("none of these is a package linux-image-*")
            .context("give the image and its headers")
    })?;
    let (name, version) = (field(image, "Package")?, field(image, "Version")?);
    let folder = cache.folder(&format!("kernels/{name}_{version}"), |new| {
        unpack_all(debs, new)?;
        Ok(fs::write(new.join("version"), &version)?)
    })?;
    in_folder(tools, &folder, Some(version))
}

fn only_entry(folder: &Path, prefix: &str) -> Result<PathBuf> {
    let entries = fs::read_dir(folder)
        .map_err(|error| anyhow!("cannot read {}: {error}", folder.display()))?;
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.retain(|path| {
        path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(prefix))
    });
    paths.sort();
    match paths.as_slice() {
        [path] => Ok(path.clone()),
        [] => bail!("there is no {prefix}* in {}", folder.display()),
        _ => bail!("there are several {prefix}* in {}", folder.display()),
    }
}

fn in_folder(tools: &Root, folder: &Path, version: Option<String>) -> Result<Kernel> {
    let help = "give a folder into which the packages linux-image-* and linux-headers-* were unpacked (dpkg -x)";
    let image = only_entry(&folder.join("boot"), "vmlinuz-").context(help)?;
    let release = image
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .trim_start_matches("vmlinuz-")
        .to_owned();
    let root = if folder.join("lib/modules").join(&release).is_dir() {
        folder.to_owned()
    } else {
        folder.join("usr")
    };
    index_modules(tools, &root, &release).context(help)?;
    let headers = prepare_headers(folder, &release)?;
    Ok(Kernel {
        version: version.unwrap_or_else(|| release.clone()),
        release,
        image,
        root,
        headers,
    })
}

fn of_image(tools: &Root, image: &Path, modules: &Path) -> Result<Kernel> {
    let help = "give the folder in which lib/modules/RELEASE lies, of one release";
    let root = modules.to_owned();
    let release = only_entry(&root.join("lib/modules"), "").context(help)?;
    let build = release.join("build");
    let release = release.file_name().unwrap_or_default().to_string_lossy().into_owned();
    index_modules(tools, &root, &release)?;
    let headers = build.canonicalize().ok().filter(|path| path.is_dir());
    Ok(Kernel { version: release.clone(), release, image: image.to_owned(), root, headers })
}

/// What the package's installation would have done.
fn index_modules(tools: &Root, root: &Path, release: &str) -> Result<()> {
    let folder = root.join("lib/modules").join(release);
    if !folder.is_dir() {
        bail!("there is no {}", folder.display());
    }
    if !folder.join("modules.dep.bin").exists() {
        output(tools.command("depmod")?.arg("-b").arg(root).arg(release))?;
    }
    Ok(())
}

/// The headers name their common part by the path at which they would be installed: here they lie
/// elsewhere.
fn prepare_headers(folder: &Path, release: &str) -> Result<Option<PathBuf>> {
    let sources = folder.join("usr/src");
    let headers = sources.join(format!("linux-headers-{release}"));
    let makefile = headers.join("Makefile");
    let Ok(text) = fs::read_to_string(&makefile) else { return Ok(None) };
    let ours = format!("include {}/", sources.canonicalize()?.display());
    if !text.contains(&ours) {
        let (_, rest) = text
            .split_once("/usr/src/")
            .ok_or_else(|| anyhow!("{}: not as expected", makefile.display()))?;
        // The folder may have been made under another name, and been renamed since.
        fs::write(&makefile, format!("{ours}{rest}"))?;
    }
    Ok(Some(headers))
}

/// The compiler that the headers name.
pub fn compiler(headers: &Path) -> String {
    let variables = fs::read_to_string(headers.join(".kernelvariables")).unwrap_or_default();
    let mut named = variables.split_whitespace().filter_map(|word| word.rsplit(')').next());
    named.rfind(|word| word.starts_with("gcc-")).unwrap_or("gcc").to_owned()
}

/// Whether a program can be run.
pub fn can_run(program: &str) -> bool {
    output(Command::new(program).arg("--version")).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NAMES: &[&str] = &[
        "linux-image-amd64",
        "linux-image-6.1.0-9-amd64",
        "linux-image-6.1.0-56-amd64",
        "linux-image-6.1.0-56-rt-amd64",
        "linux-image-6.1.0-56-cloud-amd64",
        "linux-image-6.1.0-57-amd64-dbg",
        "linux-image-6.1.0-58-amd64-unsigned",
        "linux-image-6.12-amd64",
        "linux-image-6.12.99+deb12-amd64",
        "linux-image-6.12.117+deb12-amd64",
        "linux-image-6.12.117+deb12-arm64",
    ];

    #[test]
    fn the_newest_kernel_of_a_series_is_found_by_name() {
        let newest = |series| newest_of(NAMES.iter().copied(), series);
        assert_eq!(newest("6.1"), Some("linux-image-6.1.0-56-amd64"));
        assert_eq!(newest("6.12"), Some("linux-image-6.12.117+deb12-amd64"));
        assert_eq!(
            newest("6.1.0-9"),
            Some("linux-image-6.1.0-9-amd64"),
            "a whole release is its own series"
        );
        assert_eq!(newest("6.2"), None);
    }

    #[test]
    fn the_compiler_is_the_one_that_the_headers_name() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(compiler(folder.path()), "gcc");
        let text = "override ARCH = x86\nCC = $(if $(CACHE),$(CCACHE)) $(CROSS_COMPILE)gcc-12\n";
        fs::write(folder.path().join(".kernelvariables"), text).unwrap();
        assert_eq!(compiler(folder.path()), "gcc-12");
    }
}
