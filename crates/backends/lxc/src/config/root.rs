//! Who the container is: name, root file system, init, host name, cgroup, console.

use lxcri_core::oci::NamespaceKind;
use lxcri_linux::mount::Propagation;

use super::file::Group;
use super::planner::{Planner, our_path};
use super::problem::{Problem, Result};
use super::text;

/// The longest host or domain name (uts_namespaces(7)).
const NAME_MAX: usize = 64;

/// The longest name of a directory.
const DIRECTORY_MAX: usize = 255;

pub(crate) fn plan(planner: &mut Planner<'_>) -> Result<()> {
    let command = &planner.how.init.command;
    let ours = |problem| Problem::Ours { what: "the command line of lxcri-init", problem };
    text::check_command(command).map_err(ours)?;
    root(planner)?;
    planner.file.add(Group::Identity, "lxc.init.cmd", command, "init")?;
    names(planner)?;
    cgroup(planner)?;
    let console = [("lxc.console.path", "none"), ("lxc.tty.max", "0"), ("lxc.pty.max", "0")];
    for (key, value) in console {
        planner.file.fixed(Group::Console, key, value);
    }
    Ok(())
}

fn root(planner: &mut Planner<'_>) -> Result<()> {
    let root = planner.spec.root.as_ref();
    let root = root.ok_or_else(|| Problem::field("root", "property is missing"))?;
    let field = |problem| Problem::field("root.path", problem);
    text::path(&root.path).map_err(field)?;
    let rootfs = our_path(&planner.host.rootfs, "the path of the rootfs")?;
    let file = &mut planner.file;
    file.add(Group::Root, "lxc.rootfs.path", &format!("dir:{rootfs}"), "root.path")?;
    // The directory belongs to whoever made the bundle: lxc-destroy must not remove it.
    file.fixed(Group::Root, "lxc.rootfs.managed", "0");
    // A root that LXC mounts read-only gets no mount points, so this comes last, inside.
    planner.inside.readonly_root = root.readonly;
    let propagation = planner.linux.rootfs_propagation.as_deref().filter(|word| !word.is_empty());
    if let Some(word) = propagation
        && Propagation::parse(word).is_none()
    {
        let problem = format!("unknown propagation {word:?}");
        return Err(Problem::field("linux.rootfsPropagation", problem));
    }
    planner.inside.root_propagation = propagation.map(str::to_owned);
    Ok(())
}

fn names(planner: &mut Planner<'_>) -> Result<()> {
    let spec = planner.spec;
    for (field, name) in [("hostname", &spec.hostname), ("domainname", &spec.domainname)] {
        let Some(name) = name.as_deref().filter(|name| !name.is_empty()) else { continue };
        let problem = |problem: String| Err(Problem::field(field, problem));
        if let Err(wrong) = text::check_one_line(name.as_bytes()) {
            return problem(wrong);
        }
        if name.len() > NAME_MAX {
            return problem(format!("has {} bytes, the most is {NAME_MAX}", name.len()));
        }
        if !planner.namespaces.is_own(NamespaceKind::Uts) {
            let wrong = "unable to set it without a uts namespace of the container's own";
            return problem(wrong.to_owned());
        }
        // LXC sets a host name in a new namespace only, and no domain name.
        let is_new = planner.namespaces.is_new(NamespaceKind::Uts);
        if field == "hostname" && is_new && text::check_value(name).is_ok() {
            planner.file.add(Group::Identity, "lxc.uts.name", name, field)?;
        } else if field == "hostname" {
            planner.inside.hostname = Some(name.to_owned());
        } else {
            planner.inside.domainname = Some(name.to_owned());
        }
    }
    Ok(())
}

/// Without a path LXC chooses, by the container's name. An absolute path lies below each hierarchy's
/// mount, a relative one in the same place: liblxc starts at the root of the hierarchies.
fn cgroup(planner: &mut Planner<'_>) -> Result<()> {
    let path = planner.linux.cgroups_path.clone().filter(|path| !path.is_empty());
    let Some(path) = path else { return Ok(()) };
    let field = "linux.cgroupsPath";
    let parts: Vec<_> = path.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    let problem = if path.contains("..") {
        "has `..` in it"
    } else if parts.is_empty() {
        "names the root of the hierarchy"
    } else if parts.iter().any(|part| part.len() > DIRECTORY_MAX) {
        "has a name of more than 255 bytes in it"
    } else {
        let name = planner.host.name.as_str();
        // Both keys are needed; the monitor must not sit in the container's cgroup.
        let file = &mut planner.file;
        file.add(Group::Identity, "lxc.cgroup.dir.container", &parts.join("/"), field)?;
        let monitor = format!("lxc.monitor.{name}");
        return file.add(Group::Identity, "lxc.cgroup.dir.monitor", &monitor, field);
    };
    Err(Problem::field(field, problem))
}
