//! Keeps mounts away from /proc: whoever can put files there can lie to us and to every tool in the
//! container (CVE-2019-16884).

use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

use lxcri_core::oci::Mount;
use rustix::fs::{PROC_SUPER_MAGIC, fstatfs};

use crate::error::{NativeError, step};

/// Files of /proc that tools such as lxcfs replace, the same as runc allows.
const REPLACEABLE: &[&str] = &[
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/net/dev",
    "/proc/slabinfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/sys/crypto/fips_enabled",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/uptime",
];

/// The path without `.`, `..` and doubled slashes, from `/`.
pub(super) fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => normal.push(name),
            Component::ParentDir => {
                normal.pop();
            }
            _ => {}
        }
    }
    normal
}

/// Judges a destination by its name.
pub(super) fn check_destination(mount: &Mount) -> Result<(), String> {
    let path = normal(&mount.destination);
    let is_replaceable = REPLACEABLE.iter().any(|allowed| Path::new(allowed) == path);
    if path == Path::new("/proc") || !path.starts_with("/proc") || is_replaceable {
        return Ok(());
    }
    Err(format!("{} cannot be mounted over: it is inside /proc", path.display()))
}

/// Judges the place that a destination really led to: a link of the image may have led into /proc.
pub(super) fn check_target(target: &OwnedFd, mount: &Mount) -> Result<(), NativeError> {
    let kind = fstatfs(target).map_err(step("inspect a mount point"))?.f_type;
    let path = normal(&mount.destination);
    if kind != PROC_SUPER_MAGIC || path.starts_with("/proc") {
        return Ok(());
    }
    Err(NativeError::Field {
        field: "mounts.destination".to_owned(),
        problem: format!("{} leads into /proc", mount.destination.display()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_out_of_reach() {
        let check =
            |path: &str| check_destination(&Mount { destination: path.into(), ..Mount::default() });
        for path in ["/proc", "/proc/uptime", "/procfs", "/tmp/../proc/stat", "/data", "/proc/.."] {
            assert!(check(path).is_ok(), "{path}");
        }
        for path in ["/proc/self", "/proc/sys", "//proc/./1", "/x/../proc/self/attr", "proc/1"] {
            assert!(check(path).is_err(), "{path}");
        }
    }
}
