//! Device nodes: those every container has (OCI runtime-spec `config-linux.md`, "Default Devices")
//! and those of the configuration. In a user namespace nodes cannot be made (mknod(2)), so the
//! host's are bound.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use lxcri_core::oci::{DEFAULT_DEVICES, Device};
use lxcri_linux::beneath::Root;
use lxcri_linux::mount;
use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;

use super::proc_guard;
use super::sources::Plan;
use crate::error::{NativeError, step};

/// Links of every container's /dev. `/dev/core` only where the kernel has what it points to.
const LINKS: [(&str, &str); 5] = [
    ("/dev/fd", "/proc/self/fd"),
    ("/dev/stdin", "/proc/self/fd/0"),
    ("/dev/stdout", "/proc/self/fd/1"),
    ("/dev/stderr", "/proc/self/fd/2"),
    ("/dev/ptmx", "pts/ptmx"),
];

/// One node to make.
struct Node {
    path: PathBuf,
    kind: FileType,
    device: u64,
    mode: u32,
    owner: (u32, u32),
}

/// The nodes of a container; the configuration's come first and win over a default of that path.
fn nodes(plan: &Plan<'_>) -> Result<Vec<Node>, NativeError> {
    let mut nodes = Vec::new();
    for (index, device) in plan.linux.devices.iter().enumerate() {
        nodes.push(configured(index, device)?);
    }
    for (path, major, minor) in DEFAULT_DEVICES {
        if !nodes.iter().any(|node| node.path == Path::new(path)) {
            nodes.push(Node {
                path: path.into(),
                kind: FileType::CharacterDevice,
                device: rustix::fs::makedev(major, minor),
                mode: 0o666,
                owner: (0, 0),
            });
        }
    }
    Ok(nodes)
}

fn configured(index: usize, device: &Device) -> Result<Node, NativeError> {
    let wrong = |what: &str, problem: String| NativeError::Field {
        field: format!("linux.devices[{index}].{what}"),
        problem,
    };
    let kind = match device.kind.as_str() {
        "c" | "u" => FileType::CharacterDevice,
        "b" => FileType::BlockDevice,
        "p" => FileType::Fifo,
        other => return Err(wrong("type", format!("{other:?} is none of c, u, b, p"))),
    };
    if !device.path.is_absolute() || device.path.file_name().is_none() {
        return Err(wrong("path", format!("{} is no absolute path", device.path.display())));
    }
    let number = |what: &str, value: i64| {
        u32::try_from(value).map_err(|_| wrong(what, format!("{value} is no device number")))
    };
    let device_number =
        rustix::fs::makedev(number("major", device.major)?, number("minor", device.minor)?);
    Ok(Node {
        path: device.path.clone(),
        kind,
        device: device_number,
        mode: device.file_mode.unwrap_or(0o666) & 0o7777,
        owner: (device.uid.unwrap_or(0), device.gid.unwrap_or(0)),
    })
}

/// For a user namespace: the host's nodes, as detached mounts. `None` for each otherwise.
pub(super) fn open(plan: &Plan<'_>) -> Result<Vec<Option<OwnedFd>>, NativeError> {
    if !plan.makes_devices() {
        return Ok(Vec::new());
    }
    let bound = |node: Node| {
        if !plan.user_namespace || node.kind == FileType::Fifo {
            return Ok(None);
        }
        let say = || step(format!("open device {}", node.path.display()));
        let stat = rustix::fs::stat(&node.path).map_err(io::Error::from).map_err(say())?;
        if stat.st_rdev != node.device || FileType::from_raw_mode(stat.st_mode) != node.kind {
            return Err(say()(io::Error::other("the host's node is another device")));
        }
        mount::clone_host_tree(&node.path, false).map(Some).map_err(say())
    };
    nodes(plan)?.into_iter().map(bound).collect()
}

/// Makes or binds every node and the links.
pub(super) fn populate(
    plan: &Plan<'_>,
    root: &Root,
    bound: &[Option<OwnedFd>],
) -> Result<(), NativeError> {
    for (node, bound) in nodes(plan)?.iter().zip(bound) {
        let say = || step(format!("make device {}", node.path.display()));
        match bound {
            Some(tree) => {
                let target = root.make_file(&node.path).map_err(say())?;
                proc_guard::refuse_inside(&target, &node.path)?;
                mount::attach(tree, target).map_err(io::Error::other).map_err(say())?;
            }
            None => make_node(root, node).map_err(say())?,
        }
    }
    for (path, target) in LINKS {
        link(root, path, target).map_err(step(format!("link {path}")))?;
    }
    if Path::new("/proc/kcore").exists() {
        link(root, "/dev/core", "/proc/kcore").map_err(step("link /dev/core"))?;
    }
    Ok(())
}

fn make_node(root: &Root, node: &Node) -> io::Result<()> {
    let (parent, name) = root.make_parent(&node.path)?;
    let mode = Mode::from_raw_mode(node.mode);
    match rustix::fs::mknodat(&parent, name, node.kind, mode, node.device) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    // Held by descriptor from here on: another container may share this directory and swap it.
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let made = rustix::fs::openat(&parent, name, flags, Mode::empty())?;
    let found = rustix::fs::fstat(&made)?;
    // What was there may be the image's own node; anything else it must not pretend to be.
    let same = FileType::from_raw_mode(found.st_mode) == node.kind
        && (node.kind == FileType::Fifo || found.st_rdev == node.device);
    if !same {
        return Err(Errno::EXIST.into());
    }
    let (uid, gid) = (Uid::from_raw(node.owner.0), Gid::from_raw(node.owner.1));
    rustix::fs::chownat(&made, "", Some(uid), Some(gid), AtFlags::EMPTY_PATH)?;
    // mknod(2) made it as the umask, which is empty here, allows; chown(2) clears set-user-id bits,
    // and an image's node has a mode of its own. /proc is the host's still.
    Ok(rustix::fs::chmod(format!("/proc/self/fd/{}", made.as_raw_fd()), mode)?)
}

fn link(root: &Root, path: &str, target: &str) -> io::Result<()> {
    let (parent, name) = root.make_parent(Path::new(path))?;
    match rustix::fs::symlinkat(target, &parent, name) {
        Err(Errno::EXIST) if path == "/dev/ptmx" => {
            // An image may bring the host's multiplexer; ours belongs to the container's devpts.
            rustix::fs::unlinkat(&parent, name, AtFlags::empty())?;
            Ok(rustix::fs::symlinkat(target, &parent, name)?)
        }
        Err(Errno::EXIST) => Ok(()),
        result => Ok(result?),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_of_the_configuration_are_checked() {
        let device = |kind: &str, path: &str, major| Device {
            kind: kind.into(),
            path: path.into(),
            major,
            minor: 0,
            file_mode: Some(0o640),
            uid: Some(7),
            gid: None,
        };
        let node = configured(0, &device("u", "/dev/x", 10)).unwrap();
        assert_eq!((node.kind, node.mode, node.owner), (FileType::CharacterDevice, 0o640, (7, 0)));
        let table = [
            (device("q", "/dev/x", 1), "linux.devices[3].type: \"q\" is none of c, u, b, p"),
            (device("c", "dev/x", 1), "linux.devices[3].path: dev/x is no absolute path"),
            (device("c", "/", 1), "linux.devices[3].path: / is no absolute path"),
            (device("c", "/dev/x", -1), "linux.devices[3].major: -1 is no device number"),
        ];
        for (device, message) in table {
            let error = configured(3, &device).map(|_| ()).unwrap_err();
            assert_eq!(error.to_string(), message);
        }
    }
}
