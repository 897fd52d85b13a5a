//! Namespaces: new, joined, shared; user namespaces with mappings; time offsets.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::process::Command;

use lxcri_testkit::Executor;
use lxcri_testkit::Room;
use lxcri_testkit::Verdict;
use lxcri_testkit::ensure;
use lxcri_testkit::ensure_eq;
use lxcri_testkit::process::Started;
use lxcri_testkit::process::until;
use lxcri_testkit::skip;
use serde_json::json;

use crate::registry::cases;

cases!("namespaces": new_pid, new_network, new_ipc, new_uts, new_mount, new_cgroup, new_time, new_user,
    shared_pid, shared_network, shared_ipc, shared_uts, shared_cgroup,
    join_pid, join_network, join_ipc, join_uts, join_cgroup, join_user, join_time, join_missing,
    join_wrong_type, user_mappings, user_file_ownership, user_all_defaults, user_several_ranges,
    user_with_network, time_offsets, time_offsets_of_user, loopback_is_up, cgroup_root);

/// The name under `/proc/PID/ns` of a namespace type of the configuration.
fn link_name(kind: &str) -> &str {
    match kind {
        "network" => "net",
        "mount" => "mnt",
        other => other,
    }
}

fn own(kind: &str) -> Verdict<String> {
    let link = fs::read_link(format!("/proc/self/ns/{}", link_name(kind)))?;
    Ok(link.to_string_lossy().into_owned())
}

/// The namespace of `kind` that the container of `bundle` reports.
fn inside(room: &Room, kind: &str, path: Option<&str>, shared: bool) -> Verdict<String> {
    let mut bundle = room.script(&format!("readlink /proc/self/ns/{}", link_name(kind)))?;
    if shared {
        bundle.share_namespace(kind);
        // A sysfs of somebody else's network namespace, a hostname of the host's: not ours to mount.
        if kind == "network" {
            bundle.unmount("/sys").unmount("/sys/fs/cgroup").remove("/linux/maskedPaths");
        }
        if kind == "uts" {
            bundle.remove("/hostname");
        }
        if kind == "ipc" {
            bundle.unmount("/dev/mqueue");
        }
    } else {
        bundle.namespace(kind, path);
    }
    Ok(room.output(&bundle)?.trim().to_owned())
}

fn is_new(room: &Room, kind: &str) -> Verdict {
    let (inside, own) = (inside(room, kind, None, false)?, own(kind)?);
    ensure!(inside != own && inside.starts_with(link_name(kind)), "{inside}, outside {own}");
    Ok(())
}

fn is_shared(room: &Room, kind: &str) -> Verdict {
    ensure_eq!(inside(room, kind, None, true)?, own(kind)?, "{kind} namespace");
    Ok(())
}

/// A process that holds namespaces; ends when dropped.
#[derive(Debug)]
pub struct Holder {
    started: Option<Started>,
}

impl Holder {
    /// Starts `unshare FLAGS… sleep`, and waits until it has its namespaces.
    ///
    /// # Errors
    /// When it does not start.
    pub fn new(room: &Room, flags: &[&str]) -> Verdict<Self> {
        let mut command = Command::new("unshare");
        command.args(flags).args(["--", "sleep", "1000"]);
        let started = Started::new(&mut command, room.dir(), "holder", None)?;
        let pid = started.pid();
        let holder = Self { started: Some(started) };
        until("the holder of namespaces", || {
            let command = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            let forked = !lxcri_testkit::process::below(pid).is_empty();
            command == "sleep\n" || forked
        })?;
        Ok(holder)
    }

    /// The process that unshared.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.started.as_ref().map_or(0, Started::pid)
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        for pid in lxcri_testkit::process::below(self.pid()) {
            lxcri_testkit::process::signal(pid, rustix::process::Signal::KILL);
        }
        if let Some(started) = self.started.take() {
            // The harness sees the process when this fails.
            let _status = started.kill();
        }
    }
}

fn is_joined(room: &Room, kind: &str, flags: &[&str], link: &str) -> Verdict {
    let holder = Holder::new(room, flags)?;
    let path = format!("/proc/{}/ns/{link}", holder.pid());
    let held = fs::read_link(&path)?;
    ensure!(held.to_string_lossy() != own(kind)?, "the holder shares the {kind} namespace");
    let found = inside(room, kind, Some(&path), false)?;
    ensure_eq!(found, held.to_string_lossy(), "{kind} namespace of the container");
    Ok(())
}

fn new_pid(room: &Room) -> Verdict {
    is_new(room, "pid")?;
    ensure_eq!(room.shell("echo $$")?, "1\n", "process id inside");
    Ok(())
}

fn new_network(room: &Room) -> Verdict {
    is_new(room, "network")
}

fn new_ipc(room: &Room) -> Verdict {
    is_new(room, "ipc")
}

fn new_uts(room: &Room) -> Verdict {
    is_new(room, "uts")
}

fn new_mount(room: &Room) -> Verdict {
    is_new(room, "mount")
}

fn new_cgroup(room: &Room) -> Verdict {
    is_new(room, "cgroup")
}

/// user-mode-linux is built without.
fn needs_time_namespaces() -> Verdict {
    if !std::path::Path::new("/proc/self/ns/time").exists() {
        skip!("this kernel has no time namespaces");
    }
    Ok(())
}

fn new_time(room: &Room) -> Verdict {
    needs_time_namespaces()?;
    is_new(room, "time")
}

fn new_user(room: &Room) -> Verdict {
    let mut bundle = room.script("readlink /proc/self/ns/user; id -u")?;
    bundle.user_namespace(100_000, 65536)?;
    let printed = room.output(&bundle)?;
    ensure!(!printed.contains(&own("user")?) && printed.ends_with("]\n0\n"), "{printed}");
    Ok(())
}

fn shared_pid(room: &Room) -> Verdict {
    is_shared(room, "pid")
}

fn shared_network(room: &Room) -> Verdict {
    is_shared(room, "network")
}

fn shared_ipc(room: &Room) -> Verdict {
    is_shared(room, "ipc")
}

fn shared_uts(room: &Room) -> Verdict {
    is_shared(room, "uts")
}

fn shared_cgroup(room: &Room) -> Verdict {
    is_shared(room, "cgroup")
}

fn join_pid(room: &Room) -> Verdict {
    let holder = Holder::new(room, &["--pid", "--fork", "--kill-child"])?;
    let path = format!("/proc/{}/ns/pid_for_children", holder.pid());
    let held = fs::read_link(&path)?;
    let mut bundle = room.script("readlink /proc/self/ns/pid; test $$ -gt 1 && echo later")?;
    bundle.namespace("pid", Some(&path));
    let wanted = format!("{}\nlater\n", held.to_string_lossy());
    ensure_eq!(room.output(&bundle)?, wanted, "pid namespace of the container");
    Ok(())
}

fn join_network(room: &Room) -> Verdict {
    is_joined(room, "network", &["--net"], "net")
}

fn join_ipc(room: &Room) -> Verdict {
    is_joined(room, "ipc", &["--ipc"], "ipc")
}

fn join_uts(room: &Room) -> Verdict {
    is_joined(room, "uts", &["--uts"], "uts")
}

fn join_cgroup(room: &Room) -> Verdict {
    is_joined(room, "cgroup", &["--cgroup"], "cgroup")
}

fn join_user(room: &Room) -> Verdict {
    let holder = Holder::new(room, &["--user", "--map-root-user"])?;
    let path = format!("/proc/{}/ns/user", holder.pid());
    let held = fs::read_link(&path)?;
    let mut bundle = room.script("readlink /proc/self/ns/user; cat /proc/self/uid_map")?;
    bundle.namespace("user", Some(&path));
    // Group 5 has no name there.
    bundle.unmount("/dev/pts").mount(
        "devpts",
        "devpts",
        "/dev/pts",
        &["newinstance", "ptmxmode=0666"],
    );
    let printed = room.output(&bundle)?;
    ensure!(
        printed.starts_with(&*held.to_string_lossy()),
        "{printed}, expected {}",
        held.display()
    );
    let words: Vec<&str> = printed.split_whitespace().skip(1).collect();
    ensure_eq!(words, ["0", "0", "1"], "uid_map");
    Ok(())
}

fn join_time(room: &Room) -> Verdict {
    needs_time_namespaces()?;
    is_joined(room, "time", &["--time", "--fork", "--kill-child"], "time_for_children")
}

fn join_missing(room: &Room) -> Verdict {
    let mut bundle = room.script("true")?;
    bundle.namespace("network", Some("/proc/self/ns/none"));
    room.run(&bundle)?.refuses(&["/proc/self/ns/none"])?;
    Ok(())
}

/// A path of another kind of namespace must not be joined.
fn join_wrong_type(room: &Room) -> Verdict {
    let holder = Holder::new(room, &["--ipc"])?;
    let mut bundle = room.script("true")?;
    bundle.namespace("network", Some(&format!("/proc/{}/ns/ipc", holder.pid())));
    room.run(&bundle)?.refuses(&[])?;
    Ok(())
}

fn user_mappings(room: &Room) -> Verdict {
    let mut bundle =
        room.script("cat /proc/self/uid_map /proc/self/gid_map; cat /proc/self/setgroups")?;
    bundle.user_namespace(100_000, 65536)?;
    let printed = room.output(&bundle)?;
    let words: Vec<&str> = printed.split_whitespace().collect();
    ensure_eq!(words, ["0", "100000", "65536", "0", "100000", "65536", "allow"], "maps");
    Ok(())
}

fn user_file_ownership(room: &Room) -> Verdict {
    let mut bundle = room.script("touch /file; chown 1000:100 /file; stat -c %u:%g / /file")?;
    bundle.user_namespace(100_000, 65536)?.readonly_root(false);
    bundle.capabilities(&["CAP_CHOWN"]);
    ensure_eq!(room.output(&bundle)?, "0:0\n1000:100\n", "ownership inside");
    let found = fs::metadata(bundle.rootfs().join("file"))?;
    ensure_eq!((found.uid(), found.gid()), (101_000, 100_100), "ownership outside");
    Ok(())
}

/// The default mounts, devices and read-only root work with a user namespace, too.
fn user_all_defaults(room: &Room) -> Verdict {
    let mut bundle = room.script("echo x >/dev/null; head -c 1 /dev/zero | wc -c; ls /sys/class/net; stat -c %u /proc/1; hostname; id -G")?;
    bundle.user_namespace(100_000, 65536)?;
    ensure_eq!(room.output(&bundle)?, "1\nlo\n0\nbundle\n0\n", "what is inside");
    Ok(())
}

fn user_several_ranges(room: &Room) -> Verdict {
    let mut bundle = room.script("tr -s ' ' </proc/self/uid_map")?;
    bundle.user_namespace(100_000, 1000)?;
    let mapping = json!([
        { "containerID": 0, "hostID": 100_000, "size": 1000 },
        { "containerID": 1000, "hostID": 300_000, "size": 5 },
    ]);
    bundle.set("/linux/uidMappings", mapping.clone()).set("/linux/gidMappings", mapping);
    ensure_eq!(room.output(&bundle)?, " 0 100000 1000\n 1000 300000 5\n", "uid_map");
    Ok(())
}

/// The network namespace belongs to the new user namespace: root inside may configure it.
fn user_with_network(room: &Room) -> Verdict {
    let mut bundle =
        room.script("ip link set lo up && ip addr show lo | grep -c 'inet 127.0.0.1'")?;
    bundle.user_namespace(100_000, 65536)?.capabilities(&["CAP_NET_ADMIN"]);
    ensure_eq!(room.output(&bundle)?, "1\n", "address of lo");
    Ok(())
}

fn time_offsets(room: &Room) -> Verdict {
    needs_time_namespaces()?;
    let mut bundle = room.script("cat /proc/self/timens_offsets; cut -d. -f1 /proc/uptime")?;
    bundle.namespace("time", None);
    bundle.set(
        "/linux/timeOffsets",
        json!({
            "monotonic": { "secs": 172_800, "nanosecs": 5 },
            "boottime": { "secs": 604_800, "nanosecs": 0 },
        }),
    );
    let printed = room.output(&bundle)?;
    let words: Vec<&str> = printed.split_whitespace().collect();
    ensure_eq!(
        words.get(..6),
        Some(&["monotonic", "172800", "5", "boottime", "604800", "0"][..]),
        "offsets"
    );
    let uptime: f64 =
        fs::read_to_string("/proc/uptime")?.split(' ').next().unwrap_or_default().parse()?;
    let inside: f64 = words.get(6).copied().unwrap_or_default().parse()?;
    ensure!((inside - uptime - 604_800.0).abs() < 60.0, "uptime inside {inside}, outside {uptime}");
    Ok(())
}

/// Both peers bring the loopback device of a new network namespace up.
fn loopback_is_up(room: &Room) -> Verdict {
    let printed = room.shell("ip addr show lo")?;
    ensure!(printed.contains("LOOPBACK,UP") && printed.contains("127.0.0.1/8"), "{printed}");
    Ok(())
}

/// In a cgroup namespace the container's own cgroup is the root.
fn cgroup_root(room: &Room) -> Verdict {
    let mut bundle = room.script("cat /proc/self/cgroup")?;
    bundle.namespace("cgroup", None);
    for line in room.output(&bundle)?.lines() {
        // A hierarchy in which the container has no cgroup of its own shows the caller's as a way up.
        ensure!(line.ends_with(":/") || line.contains("/.."), "cgroup inside: {line}");
        ensure!(!line.contains(&bundle.cgroup), "the cgroup's name is seen inside: {line}");
    }
    Ok(())
}

/// In a user namespace the files of /proc/self change hands when the process becomes its root.
fn time_offsets_of_user(room: &Room) -> Verdict {
    if room.runtime.executor != Executor::Native {
        skip!("{} is not asked for the two together", room.runtime.executor);
    }
    needs_time_namespaces()?;
    let mut bundle = room.script("cat /proc/self/timens_offsets")?;
    bundle.user_namespace(100_000, 65536)?.namespace("time", None);
    bundle.set("/linux/timeOffsets", json!({ "boottime": { "secs": 604_800, "nanosecs": 0 } }));
    let printed = room.output(&bundle)?;
    ensure!(printed.contains("604800"), "offsets: {printed}");
    Ok(())
}
