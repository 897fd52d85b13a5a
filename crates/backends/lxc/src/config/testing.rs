//! A host and files that exist nowhere, for tests.

use std::io;
use std::path::Path;

use lxcri_linux::cgroup::LayoutKind;
use lxcri_linux::namespace::Kind;
use serde_json::{Value, json};

use super::{
    Cgroups, Destination, Files, Found, Host, HostDevice, Liblxc, V1Hierarchy, V2Tree, WeightFile,
};

/// Everything is where its name says; what ends in `.file` is no directory.
#[derive(Debug)]
pub(crate) struct Anywhere;

impl Files for Anywhere {
    fn is_directory(&self, source: &Path) -> io::Result<bool> {
        Ok(source.extension().is_none_or(|extension| extension != "file"))
    }

    fn destination(&self, path: &Path) -> io::Result<Destination> {
        Ok(Destination { path: path.to_owned(), found: Some(Found::Directory(0o755)) })
    }

    fn device(&self, path: &Path) -> io::Result<Option<HostDevice>> {
        let numbers = match path.to_str().unwrap_or_default() {
            "/dev/null" => (1, 3),
            "/dev/zero" => (1, 5),
            "/dev/full" => (1, 7),
            "/dev/random" => (1, 8),
            "/dev/urandom" => (1, 9),
            "/dev/tty" => (5, 0),
            "/dev/fuse" => (10, 229),
            _ => return Ok(None),
        };
        Ok(Some(HostDevice { is_block: false, major: numbers.0, minor: numbers.1 }))
    }

    fn is_own_namespace(&self, _: Kind, path: &Path) -> io::Result<bool> {
        Ok(path.starts_with("/proc/1"))
    }
}

/// A hybrid host.
pub(crate) fn host() -> Host {
    let v1 = ["devices", "memory", "cpu", "cpuset", "pids", "blkio", "freezer", "name=systemd"];
    let hierarchy = |name: &str| V1Hierarchy {
        controllers: vec![name.to_owned()],
        mount: format!("/sys/fs/cgroup/{name}").into(),
    };
    Host {
        liblxc: Liblxc { major: 5, minor: 0 },
        cgroups: Cgroups {
            kind: LayoutKind::Hybrid,
            v1: v1.into_iter().map(hierarchy).collect(),
            v2: Some(V2Tree {
                mount: "/sys/fs/cgroup/unified".into(),
                controllers: vec!["hugetlb".to_owned()],
            }),
            weight: Some(WeightFile::Bfq),
            counts_swap: true,
        },
        apparmor: true,
        selinux: false,
        last_capability: 40,
        rootfs: "/srv/rootfs".into(),
        bundle: "/srv/bundle".into(),
        name: "box".parse().unwrap(),
        lxcpath: "/var/lib/lxcri".into(),
    }
}

/// A host with cgroup v2 alone.
pub(crate) fn host_v2() -> Host {
    let controllers = ["cpu", "cpuset", "io", "memory", "pids", "hugetlb"].map(str::to_owned);
    let tree = V2Tree { mount: "/sys/fs/cgroup".into(), controllers: controllers.into() };
    let cgroups = Cgroups {
        kind: LayoutKind::V2,
        v1: Vec::new(),
        v2: Some(tree),
        weight: Some(WeightFile::General),
        counts_swap: true,
    };
    Host { cgroups, ..host() }
}

/// The smallest document.
pub(crate) fn spec_value() -> Value {
    json!({
        "ociVersion": "1.0.2",
        "process": { "args": ["sh"], "cwd": "/" },
        "root": { "path": "rootfs" },
        "linux": { "namespaces": [
            { "type": "mount" }, { "type": "pid" }, { "type": "network" }, { "type": "ipc" },
            { "type": "uts" }, { "type": "time" },
        ] },
    })
}
