//! The filesystems that can be mounted in the guest: `filesystems.toml`.

use std::sync::LazyLock;

use anyhow::{Result, anyhow};
use serde::Deserialize;

/// Megabytes of a RAM disk: what the largest minimum of a mkfs asks for.
pub const DISK_MB: u32 = 400;

/// One filesystem.
#[derive(Clone, PartialEq, Eq, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct GuestFilesystem {
    /// The name for `--fs`.
    pub name: String,
    /// A name for several of them.
    #[serde(default)]
    pub group: Option<String>,
    /// Whose points it has.
    pub family: String,
    /// The pair whose paths are compared with its own.
    #[serde(default)]
    pub model: Option<String>,
    /// One line.
    pub what: String,
    /// Modules of the kernel.
    #[serde(default)]
    pub modules: Vec<String>,
    /// Packages for programs that are not among the tools that every guest has.
    #[serde(default)]
    pub packages: Vec<String>,
    /// Programs for the guest.
    #[serde(default)]
    pub programs: Vec<String>,
    /// Shell commands, one a line.
    pub mount: String,
    /// The folder of the server's files.
    #[serde(default)]
    pub server: Option<String>,
    /// It is there to lose data.
    #[serde(default)]
    pub loses: bool,
    /// An actor that sleeps in the kernel for so long is blocked.
    #[serde(default = "blocked_ms")]
    pub blocked_ms: u32,
    /// The same for a hunt, where being wrong means only that two actors run at once.
    #[serde(default = "hunt_blocked_ms")]
    pub hunt_blocked_ms: u32,
    /// Blocks per page, as far as cases can have them.
    #[serde(default = "blocks")]
    pub blocks: u8,
    /// Dropped pages come back from the store.
    #[serde(default = "drop")]
    pub drop: bool,
}

fn blocked_ms() -> u32 {
    10
}

fn hunt_blocked_ms() -> u32 {
    3
}

fn blocks() -> u8 {
    1
}

fn drop() -> bool {
    true
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Table {
    filesystem: Vec<GuestFilesystem>,
}

/// All of them.
pub fn all() -> &'static [GuestFilesystem] {
    static ALL: LazyLock<Vec<GuestFilesystem>> = LazyLock::new(|| {
        let table: Table =
            toml::from_str(include_str!("filesystems.toml")).expect("a test reads the table");
        table.filesystem
    });
    &ALL
}

/// Those with these names, or in these groups.
pub fn named(names: &[String]) -> Result<Vec<&'static GuestFilesystem>> {
    let mut found: Vec<&GuestFilesystem> = Vec::new();
    for name in names {
        let these: Vec<&GuestFilesystem> = all()
            .iter()
            .filter(|fs| fs.name == *name || fs.group.as_deref() == Some(name))
            .collect();
        if these.is_empty() {
            let known: Vec<&str> = all().iter().map(|fs| fs.name.as_str()).collect();
            return Err(anyhow!("there is no filesystem `{name}` for the guest")
                .context(format!("choose of {}", known.join(", "))));
        }
        found.extend(these.into_iter().filter(|fs| !found.contains(fs)).collect::<Vec<_>>());
    }
    Ok(found)
}

impl GuestFilesystem {
    /// Where it is mounted in the guest.
    pub fn mount_point(&self) -> String {
        format!("/mnt/{}", self.name)
    }

    /// The command that mounts it, on the n-th RAM disk if it needs one.
    pub fn mount_command(&self, disk: usize) -> String {
        let lines: Vec<&str> = self.mount.trim().lines().collect();
        let script = format!("mkdir -p {{mount}} && {}", lines.join(" && "));
        let script = script
            .replace("{mount}", &self.mount_point())
            .replace("{disk}", &format!("/dev/ram{disk}"));
        format!("{{ {script}; }} 2>&1")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn names_are_unique_and_groups_are_no_names() {
        let names: BTreeSet<&str> = all().iter().map(|fs| fs.name.as_str()).collect();
        assert_eq!(names.len(), all().len());
        let toys = named(&["toy".to_owned(), "toy-locked".to_owned()]).unwrap();
        assert_eq!(
            toys.iter().map(|fs| fs.name.as_str()).collect::<Vec<_>>(),
            ["toy-legacy", "toy-locked"]
        );
        assert!(
            all().iter().all(|fs| fs.group.as_deref().is_none_or(|group| !names.contains(group)))
        );
        assert!(named(&["reiserfs".to_owned()]).is_err());
    }

    #[test]
    fn a_mount_is_one_line_that_fails_as_a_whole() {
        let ext4 = named(&["ext4".to_owned()]).unwrap()[0];
        assert_eq!(
            ext4.mount_command(3),
            "{ mkdir -p /mnt/ext4 && mkfs.ext4 -q -b 4096 /dev/ram3 && mount -t ext4 /dev/ram3 /mnt/ext4; } 2>&1"
        );
    }
}
