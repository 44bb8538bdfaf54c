//! What the kernel says of this machine and of this working tree: facts for the record.
//!
//! Everything is read, nothing is set. What cannot be read is left out.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::{Command, Stdio};
use std::str::FromStr;

use rustix::process::{Resource, getrlimit};

use super::artefact::{Machine, Project};

/// Reads the facts; `server_cpu` is the CPU whose governor counts, `scratch` the folder of the
/// peers' files.
#[must_use]
pub fn facts(server_cpu: usize, scratch: &Path) -> Machine {
    let cpus = text("/proc/cpuinfo");
    let of_cpu = |key: &str| {
        let line = cpus
            .lines()
            .find(|line| line.split(':').next().map(str::trim) == Some(key))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    let flags = of_cpu("flags").unwrap_or_default();
    let governor = format!("/sys/devices/system/cpu/cpu{server_cpu}/cpufreq/scaling_governor");
    Machine {
        kernel: format!("Linux {}", text("/proc/sys/kernel/osrelease")),
        system: system(),
        cpu_model: of_cpu("model name").unwrap_or_default(),
        cpus: cpus
            .lines()
            .filter(|line| line.starts_with("processor"))
            .count(),
        virtual_machine: flags.split(' ').any(|flag| flag == "hypervisor"),
        smt: number::<u8>("/sys/devices/system/cpu/smt/active").map(|active| active == 1),
        governor: Some(text(&governor)).filter(|governor| !governor.is_empty()),
        memory_bytes: memory_bytes(),
        nofile: getrlimit(Resource::Nofile).current,
        memlock_bytes: getrlimit(Resource::Memlock).current,
        somaxconn: number("/proc/sys/net/core/somaxconn"),
        io_uring_disabled: number("/proc/sys/kernel/io_uring_disabled"),
        mitigations: mitigations(),
        load_1m: text("/proc/loadavg")
            .split(' ')
            .next()
            .and_then(|load| load.parse().ok())
            .unwrap_or(0.0),
        generator_driver: String::new(),
        scratch: file_system(&text("/proc/self/mounts"), scratch),
    }
}

/// The type of the file system that holds `folder`, from the kernel's list of `mounts` (fstab(5)):
/// of those around it the deepest, and of equally deep ones the last, which hides the others.
fn file_system(mounts: &str, folder: &Path) -> Option<String> {
    let mount = |line: &str| {
        let mut fields = line.split(' ').skip(1);
        let (place, kind) = (fields.next()?.to_owned(), fields.next()?.to_owned());
        folder.starts_with(&place).then_some((place.len(), kind))
    };
    let around = mounts.lines().filter_map(mount);
    around.max_by_key(|(depth, _)| *depth).map(|(_, kind)| kind)
}

/// The commit of the working tree around `folder`, if it is one.
#[must_use]
pub fn project(folder: &Path) -> Project {
    let git = |arguments: &[&str]| {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(folder)
            .stdin(Stdio::null())
            .output()
            .ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    Project {
        commit: git(&["rev-parse", "HEAD"]),
        modified: git(&["status", "--porcelain", "--untracked-files=no"])
            .map(|changes| !changes.is_empty()),
    }
}

/// A file's text without blanks at its ends; empty when it cannot be read.
fn text(path: impl AsRef<Path>) -> String {
    std::fs::read_to_string(path)
        .unwrap_or_default()
        .trim()
        .to_owned()
}

fn number<T: FromStr>(path: &str) -> Option<T> {
    text(path).parse().ok()
}

fn system() -> String {
    let release = text("/etc/os-release");
    let name = release
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="));
    name.unwrap_or_default().trim_matches('"').to_owned()
}

fn memory_bytes() -> u64 {
    let memory = text("/proc/meminfo");
    let line = memory
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"));
    let kib = line.and_then(|value| value.trim().strip_suffix(" kB")?.parse::<u64>().ok());
    kib.unwrap_or(0) * 1024
}

fn mitigations() -> BTreeMap<String, String> {
    let Ok(folder) = std::fs::read_dir("/sys/devices/system/cpu/vulnerabilities") else {
        return BTreeMap::new();
    };
    folder
        .flatten()
        .map(|entry| {
            (
                entry.file_name().to_string_lossy().into_owned(),
                text(entry.path()),
            )
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_machine_is_known() {
        let machine = facts(0, Path::new("/"));
        assert!(
            machine.kernel.starts_with("Linux ") && machine.cpus > 0,
            "{machine:?}"
        );
        assert!(
            machine.memory_bytes > 1 << 20 && machine.somaxconn.is_some(),
            "{machine:?}"
        );
    }

    #[test]
    fn file_systems_are_told() {
        let mounts = "/dev/vda / ext4 rw 0 0\ntmpfs /dev/shm tmpfs rw 0 0\n\
                      /dev/vdb /mnt xfs rw 0 0\noverlay /mnt btrfs rw 0 0\n";
        let check = |folder: &str, expected: &str| {
            let found = file_system(mounts, Path::new(folder));
            assert_eq!(found.as_deref(), Some(expected), "{folder}");
        };
        check("/scratch", "ext4");
        check("/dev/shm/scratch", "tmpfs");
        check("/dev/shmother", "ext4");
        check("/mnt/a", "btrfs");
        assert_eq!(file_system("", Path::new("/")), None);
    }
}
