//! Device nodes. lxcri-init makes them where mknod(2) is allowed; in a user namespace it is not, and
//! the host's are bound.

use std::path::{Path, PathBuf};

use lxcri_core::oci::{DEFAULT_DEVICES, Device};
use lxcri_linux::beneath::normal;
use lxcri_linux::mount::{Bind, Options};

use super::file::Group;
use super::inside::{DeviceKind, DeviceNode};
use super::mounts::{Entry, Placed, place};
use super::planner::Planner;
use super::problem::{Problem, Result};
use super::text;

/// The most nodes of a bundle.
const NODES_MAX: usize = 1000;

pub(crate) fn plan(planner: &mut Planner<'_>) -> Result<()> {
    // What LXC puts there has modes and owners of its own.
    planner.file.fixed(Group::Devices, "lxc.autodev", "0");
    let configured = nodes(planner)?;
    if has_somebodys_dev(planner) {
        if !configured.is_empty() {
            planner.ignore("linux.devices", "/dev is a bind mount, to which nothing is added");
        }
        return Ok(());
    }
    planner.inside.device_links = true;
    let mut all = configured;
    for (path, major, minor) in DEFAULT_DEVICES {
        if !all.iter().any(|node| node.path == Path::new(path)) {
            let (path, kind) = (PathBuf::from(path), DeviceKind::Character);
            all.push(DeviceNode { path, kind, major, minor, mode: 0o666, uid: 0, gid: 0 });
        }
    }
    for node in all {
        // Every user may make a fifo.
        if planner.has_user_namespace() && node.kind != DeviceKind::Fifo {
            bind(planner, &node)?;
        } else {
            planner.inside.devices.push(node);
        }
    }
    Ok(())
}

/// A bind mount at /dev is the host's (or somebody's) whole /dev: nothing is added to it.
fn has_somebodys_dev(planner: &Planner<'_>) -> bool {
    let is_dev = |mount: &&lxcri_core::oci::Mount| normal(&mount.destination) == Path::new("/dev");
    let last = planner.spec.mounts.iter().rev().find(is_dev);
    last.is_some_and(|mount| {
        let options = Options::parse(mount.options.iter().map(String::as_str));
        options.bind().is_some() || mount.kind.as_deref() == Some("bind")
    })
}

fn nodes(planner: &mut Planner<'_>) -> Result<Vec<DeviceNode>> {
    let devices = planner.linux.devices.clone();
    if devices.len() > NODES_MAX {
        let problem = format!("has {} nodes, the most is {NODES_MAX}", devices.len());
        return Err(Problem::field("linux.devices", problem));
    }
    let own = |(index, device): (usize, &Device)| node(index, device);
    let nodes = devices.iter().enumerate().map(own).collect::<Result<Vec<_>>>()?;
    let has_mode = devices.iter().any(|device| device.file_mode.is_some());
    if has_mode && planner.has_user_namespace() {
        let because = "in a user namespace the host's node is bound, as it is";
        planner.ignore("linux.devices[].fileMode", because);
    }
    Ok(nodes)
}

fn node(index: usize, device: &Device) -> Result<DeviceNode> {
    let wrong = |what: &str, problem: String| {
        Problem::field(format!("linux.devices[{index}].{what}"), problem)
    };
    let kind = match device.kind.as_str() {
        "c" | "u" => DeviceKind::Character,
        "b" => DeviceKind::Block,
        "p" => DeviceKind::Fifo,
        other => return Err(wrong("type", format!("{other:?} is none of c, u, b, p"))),
    };
    text::path(&device.path).map_err(|problem| wrong("path", problem))?;
    if !device.path.is_absolute() || device.path.file_name().is_none() {
        return Err(wrong("path", format!("{} is no absolute path", device.path.display())));
    }
    let number = |what: &str, value: i64| {
        u32::try_from(value).map_err(|_| wrong(what, format!("{value} is no device number")))
    };
    Ok(DeviceNode {
        path: normal(&device.path),
        kind,
        major: number("major", device.major)?,
        minor: number("minor", device.minor)?,
        mode: device.file_mode.unwrap_or(0o666) & 0o7777,
        uid: device.uid.unwrap_or(0),
        gid: device.gid.unwrap_or(0),
    })
}

/// The host's node of the same path, which must be the same device.
fn bind(planner: &mut Planner<'_>, node: &DeviceNode) -> Result<()> {
    const FIELD: &str = "linux.devices";
    let problem =
        |problem: &str| Err(Problem::field(FIELD, format!("{}: {problem}", node.path.display())));
    let found = planner.files.device(&node.path).map_err(|source| Problem::Io {
        field: FIELD.to_owned(),
        what: "look at",
        path: node.path.clone(),
        source,
    })?;
    let Some(found) = found else { return problem("the host has no such device to bind") };
    let is_block = node.kind == DeviceKind::Block;
    if (found.is_block, found.major, found.minor) != (is_block, node.major, node.minor) {
        return problem("the host's node is another device");
    }
    let place = place(planner, FIELD, &node.path)?;
    let mut entry = Entry::bind(&node.path, &place.path, Bind::Single);
    if place.may_make {
        entry.word("create=file");
    }
    planner.file.add(Group::Mounts, "lxc.mount.entry", &entry.line(FIELD)?, FIELD)?;
    planner.placed.push(Placed::bind(place.path));
    Ok(())
}
