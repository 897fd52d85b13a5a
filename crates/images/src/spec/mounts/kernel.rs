//! The kernel's filesystems, as Docker mounts them. What belongs to a namespace of the host cannot
//! be mounted anew by the root of a user namespace (user_namespaces(7)): there the host's is bound,
//! as Podman does.

use std::path::Path;

use lxcri_core::oci::Mount;

use crate::spec::options::{Ipc, Network, Options, PidNamespace};

/// Bytes of /dev/shm, where the user says nothing (Docker's default).
const SHM_SIZE: u64 = 64 << 20;

/// Options of what holds neither programs nor devices.
const INERT: [&str; 3] = ["nosuid", "noexec", "nodev"];

pub(super) fn mounts(options: &Options, user_namespace: bool) -> Vec<Mount> {
    let mut mounts = vec![
        proc(options, user_namespace),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount(
            "/dev/pts",
            "devpts",
            "devpts",
            &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
        ),
        sys(options, user_namespace),
        mount("/sys/fs/cgroup", "cgroup", "cgroup", &guarded(&INERT, options.privileged)),
    ];
    mounts.extend(ipc(options));
    mounts
}

fn proc(options: &Options, user_namespace: bool) -> Mount {
    if options.pid == PidNamespace::Host && user_namespace {
        return host("/proc", &INERT);
    }
    mount("/proc", "proc", "proc", &INERT)
}

/// sysfs shows a network namespace, and belongs to its owner.
fn sys(options: &Options, user_namespace: bool) -> Mount {
    if options.network == Network::Host && user_namespace {
        return host("/sys", &[&INERT[..], &["ro", "rro"]].concat());
    }
    mount("/sys", "sysfs", "sysfs", &guarded(&INERT, options.privileged))
}

/// Message queues and shared memory.
fn ipc(options: &Options) -> Vec<Mount> {
    if options.ipc == Ipc::Host {
        let there = ["/dev/mqueue", "/dev/shm"].into_iter().filter(|path| Path::new(path).is_dir());
        return there.map(|path| host(path, &INERT)).collect();
    }
    let mut mounts = vec![mount("/dev/mqueue", "mqueue", "mqueue", &INERT)];
    if options.ipc == Ipc::Private {
        let size = options.shm_size.filter(|size| *size != 0).unwrap_or(SHM_SIZE);
        let size = format!("size={size}");
        let words = [&INERT[..], &["mode=1777", &size]].concat();
        mounts.push(mount("/dev/shm", "tmpfs", "shm", &words));
    }
    mounts
}

/// With `ro`, unless the container is privileged.
fn guarded<'w>(words: &[&'w str], privileged: bool) -> Vec<&'w str> {
    if privileged { words.to_vec() } else { [words, &["ro"]].concat() }
}

fn host(path: &str, words: &[&str]) -> Mount {
    mount(path, "bind", path, &[&["rbind", "rprivate"], words].concat())
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
