//! The container's file systems, by mount(2): one call each where the newer interface takes five.

use lxcri_floor::plan::Argument;
use lxcri_floor::plan::Plan;
use lxcri_linux::cgroup::Cgroup;
use lxcri_linux::cgroup::Hierarchy;
use lxcri_testkit::Stop;
use lxcri_testkit::Verdict;

use super::cgroups::Cgroups;
use super::config::Config;
use super::config::Mount;

/// Options that are flags of mount(2).
const FLAGS: [(&str, u64); 8] = [
    ("nosuid", libc::MS_NOSUID),
    ("noexec", libc::MS_NOEXEC),
    ("nodev", libc::MS_NODEV),
    ("ro", libc::MS_RDONLY),
    ("relatime", libc::MS_RELATIME),
    ("strictatime", libc::MS_STRICTATIME),
    ("bind", libc::MS_BIND),
    ("rbind", libc::MS_BIND | libc::MS_REC),
];

/// Options that the floor has fulfilled already: everything in its namespace is private.
const FULFILLED: [&str; 2] = ["rprivate", "private"];

/// One mount(2), seen from the container's root.
pub(super) fn mount(
    plan: &mut Plan,
    source: Option<&str>,
    target: &str,
    kind: Option<&str>,
    flags: u64,
    data: &str,
) {
    let mut text = |text: Option<&str>| match text {
        Some(text) => Argument::Address(plan.text(text)),
        None => Argument::Number(0),
    };
    let (source, kind) = (text(source), text(kind));
    let (target, data) = (text(Some(target)), text(Some(data).filter(|data| !data.is_empty())));
    plan.call(libc::SYS_mount, &[source, target, kind, flags.into(), data]);
}

/// Everything in `mounts`.
pub(super) fn all(plan: &mut Plan, config: &Config, cgroup: &Cgroup, cgroups: &Cgroups) -> Verdict {
    let mut is_settled = false;
    for (index, entry) in config.mounts.iter().enumerate() {
        let target = entry.destination.trim_start_matches('/');
        let fresh = |other: &Mount| {
            other.kind == "tmpfs"
                && entry.destination.starts_with(&format!("{}/", other.destination))
        };
        if config.mounts.iter().take(index).any(fresh) {
            make_directory(plan, target);
        }
        if entry.kind == "cgroup" {
            if config.cgroup_namespace && !is_settled {
                settle(plan, cgroups);
                is_settled = true;
            }
            mount_cgroups(plan, config, cgroup, entry, target)?;
        } else {
            one(plan, entry, target)?;
        }
    }
    if !is_settled {
        cgroups.wait(plan);
    }
    Ok(())
}

/// The root of a cgroup namespace is the cgroup that its maker is in.
fn settle(plan: &mut Plan, cgroups: &Cgroups) {
    cgroups.wait(plan);
    plan.call(libc::SYS_unshare, &[(libc::CLONE_NEWCGROUP as u64).into()]);
}

fn one(plan: &mut Plan, entry: &Mount, target: &str) -> Verdict {
    let (flags, data) = options(entry);
    if flags & libc::MS_BIND == 0 {
        mount(plan, Some(&entry.source), target, Some(&entry.kind), flags, &data);
        return Ok(());
    }
    if !data.is_empty() {
        return Err(Stop::Failed(format!("the floor cannot bind with {data}")));
    }
    bind(plan, &entry.source, target, flags);
    Ok(())
}

/// A bind mount takes its other flags by a second call only.
fn bind(plan: &mut Plan, source: &str, target: &str, flags: u64) {
    let kind = libc::MS_BIND | libc::MS_REC;
    mount(plan, Some(source), target, None, flags & kind, "");
    if flags & !kind != 0 {
        mount(plan, None, target, None, (flags & !libc::MS_REC) | libc::MS_REMOUNT, "");
    }
}

fn options(entry: &Mount) -> (u64, String) {
    let (mut flags, mut data) = (0, Vec::new());
    for option in &entry.options {
        match FLAGS.iter().find(|(name, _)| name == option) {
            Some((_, flag)) => flags |= flag,
            None if FULFILLED.contains(&option.as_str()) => {}
            None => data.push(option.as_str()),
        }
    }
    (flags, data.join(","))
}

/// v2: the container's own part of the tree. v1: a tmpfs with a directory for each hierarchy.
fn mount_cgroups(
    plan: &mut Plan,
    config: &Config,
    cgroup: &Cgroup,
    entry: &Mount,
    target: &str,
) -> Verdict {
    let (flags, _) = options(entry);
    let hierarchies = cgroup.hierarchies();
    if let [only] = hierarchies.as_slice()
        && only.name.is_empty()
    {
        tree(plan, config, only, target, flags);
        return Ok(());
    }
    mount(plan, Some("tmpfs"), target, Some("tmpfs"), flags & !libc::MS_RDONLY, "mode=755");
    for hierarchy in &hierarchies {
        let place = format!("{target}/{}", hierarchy.name);
        make_directory(plan, &place);
        tree(plan, config, hierarchy, &place, flags);
        for alias in &hierarchy.symlinks {
            link(plan, &hierarchy.name, &format!("{target}/{alias}"));
        }
    }
    mount(plan, None, target, None, flags | libc::MS_REMOUNT | libc::MS_BIND, "");
    Ok(())
}

fn tree(plan: &mut Plan, config: &Config, hierarchy: &Hierarchy, target: &str, flags: u64) {
    if !config.cgroup_namespace {
        let source = hierarchy.directory.to_string_lossy().into_owned();
        return bind(plan, &source, target, flags | libc::MS_BIND);
    }
    let kind = if hierarchy.controllers.is_empty() { "cgroup2" } else { "cgroup" };
    // MS_RDONLY of a fresh mount would be the file system's, which the host shares.
    mount(
        plan,
        Some("cgroup"),
        target,
        Some(kind),
        flags & !libc::MS_RDONLY,
        &hierarchy.controllers.join(","),
    );
    mount(plan, None, target, None, flags | libc::MS_REMOUNT | libc::MS_BIND, "");
}

pub(super) fn make_directory(plan: &mut Plan, path: &str) {
    let path = plan.text(path);
    let here = libc::AT_FDCWD as u64;
    plan.call(libc::SYS_mkdirat, &[here.into(), path.into(), 0o755.into()]);
}

pub(super) fn link(plan: &mut Plan, to: &str, path: &str) {
    let (to, path) = (plan.text(to), plan.text(path));
    let here = libc::AT_FDCWD as u64;
    plan.call(libc::SYS_symlinkat, &[to.into(), here.into(), path.into()]);
}

/// `maskedPaths` and `readonlyPaths`, those that this kernel has.
pub(super) fn hide(plan: &mut Plan, config: &Config) {
    let inert = libc::MS_NOSUID | libc::MS_NODEV | libc::MS_NOEXEC;
    for path in config.read_only.iter().filter(|path| exists(path)) {
        let (target, recursive) = (path.trim_start_matches('/'), libc::MS_BIND | libc::MS_REC);
        // The flags that the mount below has, which a remount would take away.
        let keep = inherited(config, path);
        bind(plan, target, target, recursive | libc::MS_RDONLY | keep);
    }
    for path in config.masked.iter().filter(|path| exists(path)) {
        let target = path.trim_start_matches('/');
        if std::path::Path::new(path).is_dir() {
            let flags = inert | libc::MS_RDONLY;
            mount(plan, Some("tmpfs"), target, Some("tmpfs"), flags, "nr_blocks=1");
        } else {
            mount(plan, Some("/dev/null"), target, None, libc::MS_BIND, "");
        }
    }
}

/// These paths are the kernel's own, in /proc and /sys, so the host has what the container will have.
fn exists(path: &str) -> bool {
    std::path::Path::new(path).symlink_metadata().is_ok()
}

fn inherited(config: &Config, path: &str) -> u64 {
    let above = |mount: &&Mount| path.starts_with(&format!("{}/", mount.destination));
    config.mounts.iter().rfind(above).map_or(0, |mount| options(mount).0)
}
