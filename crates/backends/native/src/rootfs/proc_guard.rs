//! Keeps mounts away from /proc: whoever can put files there can lie to us and to every tool in the
//! container (CVE-2019-16884).

use std::os::fd::OwnedFd;
use std::path::Path;

use lxcri_core::oci::{Mount, REPLACEABLE_PROC_FILES};
use lxcri_linux::beneath::normal;
use rustix::fs::{PROC_SUPER_MAGIC, fstatfs};

use crate::error::{NativeError, step};

/// Judges a destination by its name. On /proc itself only procfs may be mounted; whether a bind
/// mount is one shows when its source is open ([`check_source`]).
pub(super) fn check_destination(mount: &Mount, is_bind: bool) -> Result<(), String> {
    let path = normal(&mount.destination);
    if !path.starts_with("/proc")
        || REPLACEABLE_PROC_FILES.iter().any(|allowed| Path::new(allowed) == path)
    {
        return Ok(());
    }
    if path != Path::new("/proc") {
        return Err(format!("{} cannot be mounted over: it is inside /proc", path.display()));
    }
    if is_bind || mount.kind.as_deref() == Some("proc") {
        return Ok(());
    }
    Err("only proc can be mounted at /proc".to_owned())
}

/// Judges the source of a bind mount.
pub(super) fn check_source(tree: &OwnedFd, mount: &Mount) -> Result<(), NativeError> {
    if normal(&mount.destination) != Path::new("/proc") || is_procfs(tree)? {
        return Ok(());
    }
    Err(NativeError::Field {
        field: "mounts.source".to_owned(),
        problem: "only proc can be mounted at /proc".to_owned(),
    })
}

/// Judges the place that a destination really led to: a link of the image may have led into /proc.
pub(super) fn check_target(target: &OwnedFd, mount: &Mount) -> Result<(), NativeError> {
    if normal(&mount.destination).starts_with("/proc") {
        return Ok(());
    }
    refuse_inside(target, &mount.destination)
}

/// Refuses a place inside procfs for something that does not belong there.
pub(super) fn refuse_inside(target: &OwnedFd, path: &Path) -> Result<(), NativeError> {
    if !is_procfs(target)? {
        return Ok(());
    }
    let problem = "leads into /proc".to_owned();
    Err(NativeError::Field { field: path.display().to_string(), problem })
}

fn is_procfs(file: &OwnedFd) -> Result<bool, NativeError> {
    let kind = fstatfs(file).map_err(step("inspect a mount point"))?.f_type;
    Ok(kind == PROC_SUPER_MAGIC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proc_is_out_of_reach() {
        let check = |path: &str| {
            check_destination(&Mount { destination: path.into(), ..Mount::default() }, true)
        };
        let tmpfs = |path: &str| {
            let kind = Some("tmpfs".to_owned());
            check_destination(&Mount { destination: path.into(), kind, ..Mount::default() }, false)
        };
        assert!(tmpfs("/tmp").is_ok() && tmpfs("/proc").is_err() && tmpfs("/x/../proc").is_err());
        for path in ["/proc", "/proc/uptime", "/procfs", "/tmp/../proc/stat", "/data", "/proc/.."] {
            assert!(check(path).is_ok(), "{path}");
        }
        for path in ["/proc/self", "/proc/sys", "//proc/./1", "/x/../proc/self/attr", "proc/1"] {
            assert!(check(path).is_err(), "{path}");
        }
    }
}
