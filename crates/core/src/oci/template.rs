//! A `config.json` to start from: what `spec` writes, the same that runc writes but for the names.

use lxcri_linux::cgroup::DeviceRule;

use super::{
    Capabilities, IdMapping, Linux, Mount, Namespace, NamespaceKind, Process, Resources, Rlimit,
    Root, Spec, VERSION,
};

/// What a shell needs of capabilities to write its audit log, kill its children and listen on port
/// 80.
const CAPABILITIES: [&str; 3] = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];

const MASKED_PATHS: [&str; 10] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/sys/firmware",
    "/proc/scsi",
];

const READONLY_PATHS: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// A configuration that runs `sh` in `rootfs`. `rootless` are the user and group id of who will run
/// it without being root; `unified` says that cgroups are v2, where a container gets a cgroup
/// namespace.
pub fn spec(rootless: Option<(u32, u32)>, unified: bool) -> Spec {
    Spec {
        oci_version: VERSION.to_owned(),
        process: Some(process()),
        root: Some(Root { path: "rootfs".into(), readonly: true }),
        hostname: Some("proxmox-lxcri".to_owned()),
        mounts: mounts(rootless.is_some()),
        linux: Some(linux(rootless, unified)),
        ..Spec::default()
    }
}

fn process() -> Process {
    let set = || CAPABILITIES.map(str::to_owned).to_vec();
    Process {
        terminal: true,
        args: vec!["sh".to_owned()],
        env: vec![
            "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned(),
            "TERM=xterm".to_owned(),
        ],
        cwd: "/".into(),
        capabilities: Some(Capabilities {
            bounding: set(),
            effective: set(),
            inheritable: Vec::new(),
            permitted: set(),
            ambient: set(),
        }),
        rlimits: vec![Rlimit { kind: "RLIMIT_NOFILE".to_owned(), hard: 1024, soft: 1024 }],
        no_new_privileges: true,
        ..Process::default()
    }
}

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Mount {
    Mount {
        destination: destination.into(),
        kind: Some(kind.to_owned()),
        source: Some(source.into()),
        options: options.iter().map(ToString::to_string).collect(),
        ..Mount::default()
    }
}

/// Without root the group 5 (tty) is not mapped, and sysfs belongs to a network namespace that is
/// not the container's own.
fn mounts(rootless: bool) -> Vec<Mount> {
    let pts = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"];
    let pts = if rootless { &pts[..5] } else { &pts[..] };
    let sys = if rootless {
        mount("/sys", "none", "/sys", &["rbind", "nosuid", "noexec", "nodev", "ro"])
    } else {
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"])
    };
    let shm = ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"];
    let cgroup = ["nosuid", "noexec", "nodev", "relatime", "ro"];
    vec![
        mount("/proc", "proc", "proc", &[]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount("/dev/pts", "devpts", "devpts", pts),
        mount("/dev/shm", "tmpfs", "shm", &shm),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        sys,
        mount("/sys/fs/cgroup", "cgroup", "cgroup", &cgroup),
    ]
}

fn linux(rootless: Option<(u32, u32)>, unified: bool) -> Linux {
    use NamespaceKind::{Cgroup, Ipc, Mount, Network, Pid, User, Uts};
    let mut kinds = vec![Pid, Network, Ipc, Uts, Mount];
    if unified {
        kinds.push(Cgroup);
    }
    if rootless.is_some() {
        kinds.retain(|kind| *kind != Network);
        kinds.push(User);
    }
    let map = |host_id| vec![IdMapping { container_id: 0, host_id, size: 1 }];
    let deny_all = DeviceRule {
        allow: false,
        kind: None,
        major: None,
        minor: None,
        access: Some("rwm".to_owned()),
    };
    Linux {
        uid_mappings: rootless.map(|(uid, _)| map(uid)).unwrap_or_default(),
        gid_mappings: rootless.map(|(_, gid)| map(gid)).unwrap_or_default(),
        // Who is not root may set no limits.
        resources: rootless
            .is_none()
            .then(|| Resources { devices: vec![deny_all], ..Resources::default() }),
        namespaces: kinds.into_iter().map(|kind| Namespace { kind, path: None }).collect(),
        masked_paths: MASKED_PATHS.map(Into::into).to_vec(),
        readonly_paths: READONLY_PATHS.map(Into::into).to_vec(),
        ..Linux::default()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn kinds(spec: &Spec) -> Vec<&'static str> {
        spec.linux().namespaces.iter().map(|namespace| namespace.kind.as_str()).collect()
    }

    #[test]
    fn it_reads_back() {
        for (rootless, unified) in [(None, false), (None, true), (Some((1000, 100)), true)] {
            let spec = spec(rootless, unified);
            let text = serde_json::to_vec(&spec).unwrap();
            assert_eq!(Spec::parse(&text, Path::new("config.json")).unwrap(), spec);
        }
    }

    #[test]
    fn without_root_there_is_a_user_namespace_and_nothing_root_alone_can_do() {
        let spec = spec(Some((1000, 100)), true);
        assert_eq!(kinds(&spec), ["pid", "ipc", "uts", "mount", "cgroup", "user"]);
        let linux = spec.linux();
        assert_eq!((linux.uid_mappings[0].host_id, linux.gid_mappings[0].host_id), (1000, 100));
        assert!(linux.resources.is_none());
        let options: Vec<_> = spec.mounts.iter().flat_map(|mount| &mount.options).collect();
        assert!(!options.iter().any(|option| option.starts_with("gid=")), "{options:?}");
    }

    #[test]
    fn a_cgroup_namespace_belongs_to_v2() {
        assert_eq!(kinds(&spec(None, false)), ["pid", "network", "ipc", "uts", "mount"]);
        assert_eq!(kinds(&spec(None, true)), ["pid", "network", "ipc", "uts", "mount", "cgroup"]);
    }
}
