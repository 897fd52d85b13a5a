//! Facts about this machine that a container's configuration depends on.

use std::path::{Path, PathBuf};

use lxcri_linux::cgroup::{Layout, LayoutKind};

use super::capabilities;

/// What is looked up once, and what tests make up.
#[derive(Clone, Debug)]
pub struct Machine {
    /// Whether control groups are v2 alone.
    pub unified: bool,
    /// Whether swap is counted, so that it can be limited.
    pub limits_swap: bool,
    /// Whether processes are counted, so that there can be a default limit of them.
    pub limits_pids: bool,
    /// The host's name.
    pub hostname: String,
    /// Capabilities there are to give.
    pub capabilities: Vec<&'static str>,
    /// Major and minor number of the kernel.
    pub kernel: (u32, u32),
    /// What is hidden from containers on this machine alone: how often each processor was too hot
    /// tells of its other work (Docker, GHSA-6fw5-f8r9-fgfm).
    pub masked: Vec<PathBuf>,
    /// The host's /etc, for the resolver's files.
    pub etc: PathBuf,
    /// The host's /dev, for privileged containers.
    pub dev: PathBuf,
}

impl Machine {
    /// This one. What cannot be found out is taken for missing.
    pub fn here() -> Self {
        let unified = Layout::detect().is_ok_and(|layout| layout.kind() == LayoutKind::V2);
        let name = rustix::system::uname();
        Self {
            unified,
            limits_swap: limits_swap(unified),
            limits_pids: limits_pids(unified),
            hostname: name.nodename().to_string_lossy().into_owned(),
            capabilities: capabilities::available(),
            kernel: version(&name.release().to_string_lossy()),
            masked: throttle_counters(),
            etc: "/etc".into(),
            dev: "/dev".into(),
        }
    }
}

/// The first two numbers of a kernel's release.
fn version(release: &str) -> (u32, u32) {
    let mut numbers = release.split(|letter: char| !letter.is_ascii_digit()).map(str::parse);
    let mut next = || numbers.next().and_then(Result::ok).unwrap_or(0);
    (next(), next())
}

fn throttle_counters() -> Vec<PathBuf> {
    let processors = std::fs::read_dir("/sys/devices/system/cpu").into_iter().flatten().flatten();
    let counters = processors.map(|entry| entry.path().join("thermal_throttle"));
    let mut there: Vec<PathBuf> = counters.filter(|path| path.is_dir()).collect();
    there.sort();
    there
}

fn limits_pids(unified: bool) -> bool {
    let tree = Path::new("/sys/fs/cgroup");
    if !unified {
        return tree.join("pids").exists();
    }
    let controllers = std::fs::read_to_string(tree.join("cgroup.controllers")).unwrap_or_default();
    controllers.split_whitespace().any(|controller| controller == "pids")
}

/// v1: the file is there. v2: any group below the root has it, the root itself has not.
fn limits_swap(unified: bool) -> bool {
    let tree = Path::new("/sys/fs/cgroup");
    if !unified {
        return tree.join("memory/memory.memsw.limit_in_bytes").exists();
    }
    let own = std::fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let own = own.lines().find_map(|line| line.strip_prefix("0::/")).unwrap_or_default();
    if tree.join(own).join("memory.swap.max").exists() {
        return true;
    }
    let groups = std::fs::read_dir(tree).into_iter().flatten().flatten();
    groups.take(64).any(|group| group.path().join("memory.swap.max").exists())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases() {
        assert_eq!(version("6.18.44-fc"), (6, 18));
        assert_eq!(version("5.10"), (5, 10));
        assert_eq!(version("x"), (0, 0));
        let here = Machine::here();
        assert!(here.kernel >= (5, 6) && here.capabilities.contains(&"CAP_CHOWN"));
    }
}
