//! What a container may use: limits of its control group, and devices.

use std::path::{Path, PathBuf};

use lxcri_core::oci::{Device, Resources};
use lxcri_linux::beneath::normal;
use lxcri_linux::cgroup::{Cpu, DeviceRule, DeviceType, Memory, Pids};
use rustix::fs::{AtFlags, CWD, FileType, Stat};

use super::error::SpecError;
use super::machine::Machine;
use super::options::{DeviceRequest, Limits, Options};

/// The fewest bytes a container is given (Docker's bound).
const LEAST_MEMORY: i64 = 6 << 20;

/// The most processes and threads, where the user says nothing.
const PIDS: i64 = 4096;

/// Microseconds over which CPU time is counted (Docker's and the kernel's default).
const CPU_PERIOD: u64 = 100_000;

/// The least of one CPU, in billionths (Docker's bound, 0.01).
const LEAST_CPU: u64 = 10_000_000;

/// Character devices of Docker's default rules: zero, null, urandom, random, tty, console. Backends
/// add those that the runtime specification asks for.
const DEVICES: [(i64, i64); 6] = [(1, 5), (1, 3), (1, 9), (1, 8), (5, 0), (5, 1)];

/// Reading and writing for everybody (inode(7)).
const OTHERS: u32 = 0o006;

/// Directories of /dev that a privileged container has of its own, and what is no device to hand
/// on (Docker).
const NOT_HANDED_ON: [&str; 7] = ["pts", "shm", "fd", "mqueue", "console", ".lxc", ".udev"];

/// The most nodes of one /dev, and how deep directories are followed.
const MAX_NODES: usize = 8192;
const MAX_DEPTH: usize = 8;

/// The limits. Those by default are left out where this machine does not count what they limit.
pub(super) fn resources(limits: &Limits, machine: &Machine) -> Result<Resources, SpecError> {
    let pids = match limits.pids {
        None => machine.limits_pids.then_some(PIDS),
        Some(limit) if limit > 0 => Some(limit),
        Some(_) => machine.limits_pids.then_some(-1),
    };
    if limits.pids.is_none() && pids.is_none() {
        log::warn!("no limit of processes: the control groups of this machine do not count them");
    }
    Ok(Resources {
        memory: memory(limits, machine.limits_swap)?,
        cpu: cpu(limits)?,
        pids: pids.map(|limit| Pids { limit: Some(limit) }),
        ..Resources::default()
    })
}

fn memory(limits: &Limits, limits_swap: bool) -> Result<Option<Memory>, SpecError> {
    let limit = match limits.memory {
        Some(limit) if (0..LEAST_MEMORY).contains(&limit) => {
            return Err(SpecError::option("--memory", "minimum memory limit allowed is 6MB"));
        }
        other => other,
    };
    let swap = match (limits.memory_swap, limit) {
        (Some(-1), _) => Some(-1),
        (Some(_), None | Some(-1)) => {
            return Err(SpecError::hinted(
                "--memory-swap",
                "needs a memory limit, which it includes",
                "set --memory, too",
            ));
        }
        (Some(swap), Some(limit)) if swap < limit => {
            let problem = "is lower than --memory, which it includes";
            return Err(SpecError::option("--memory-swap", problem));
        }
        (Some(swap), Some(_)) => Some(swap),
        // As much swap as memory, as with Docker.
        (None, Some(limit)) if limit > 0 && limits_swap => Some(limit.saturating_mul(2)),
        (None, _) => None,
    };
    let memory = Memory { limit, swap, ..Memory::default() };
    Ok((memory != Memory::default()).then_some(memory))
}

fn cpu(limits: &Limits) -> Result<Option<Cpu>, SpecError> {
    let quota = match limits.nano_cpus {
        None | Some(0) => None,
        Some(nano) if nano < LEAST_CPU => {
            return Err(SpecError::option("--cpus", "the least is 0.01"));
        }
        Some(nano) => {
            let quota = u128::from(nano) * u128::from(CPU_PERIOD) / 1_000_000_000;
            let too_much = || SpecError::option("--cpus", "is more than there can be");
            Some(i64::try_from(quota).map_err(|_| too_much())?)
        }
    };
    let cpu = Cpu {
        shares: limits.cpu_shares.filter(|shares| *shares != 0),
        quota,
        period: quota.map(|_| CPU_PERIOD),
        cpus: limits.cpuset_cpus.clone(),
        mems: limits.cpuset_mems.clone(),
        ..Cpu::default()
    };
    Ok((cpu != Cpu::default()).then_some(cpu))
}

/// Devices of a container.
#[derive(Debug, Default)]
pub(super) struct Devices {
    /// Nodes to make.
    pub(super) nodes: Vec<Device>,
    /// Nodes to mount: host's path, and place inside.
    pub(super) bound: Vec<(PathBuf, PathBuf)>,
    /// Who may use what.
    pub(super) rules: Vec<DeviceRule>,
    /// Things the user should know, a line each.
    pub(super) warnings: Vec<String>,
}

/// Docker's rules and the user's devices; all of the host's in a privileged container. In a user
/// namespace no nodes can be made: one with another name inside is mounted.
pub(super) fn devices(options: &Options, dev: &Path) -> Result<Devices, SpecError> {
    let mut devices = Devices::default();
    devices.rules.push(rule(options.privileged, None, None, "rwm"));
    if options.privileged {
        devices.nodes = all_nodes(dev)?;
    } else {
        let default = |number| rule(true, Some(DeviceType::Char), Some(number), "rwm");
        devices.rules.extend(DEVICES.map(default));
    }
    for request in &options.devices {
        let stat = stat(request)?;
        let device = node(&stat, normal(&request.container)).ok_or_else(|| {
            wrong(request, "is no device", Some("directories of devices are not taken apart"))
        })?;
        let kind = if device.kind == "b" { DeviceType::Block } else { DeviceType::Char };
        let number = (device.major, device.minor);
        if !options.privileged {
            devices.rules.push(rule(true, Some(kind), Some(number), &request.access));
        }
        if options.wants_user_namespace() && stat.st_mode & OTHERS != OTHERS {
            devices.warnings.push(format!(
                "--device {}: its owner is nobody in the user namespace, and others may not use it; \
                 --userns=host leaves it its owner",
                super::error::shown(&request.host)
            ));
        }
        if options.wants_user_namespace() && request.host != device.path {
            devices.bound.push((request.host.clone(), device.path));
        } else {
            devices.nodes.retain(|node| node.path != device.path);
            devices.nodes.push(device);
        }
    }
    Ok(devices)
}

fn stat(request: &DeviceRequest) -> Result<Stat, SpecError> {
    if !request.host.is_absolute() || !request.container.is_absolute() {
        return Err(wrong(request, "is no absolute path", None));
    }
    let letters = &request.access;
    if letters.is_empty() || !letters.chars().all(|letter| "rwm".contains(letter)) {
        let problem = format!("{letters:?} is not one or more of r, w and m");
        return Err(SpecError::option("--device", problem));
    }
    rustix::fs::statat(CWD, &request.host, AtFlags::empty())
        .map_err(SpecError::io("find the device", &request.host))
}

fn wrong(request: &DeviceRequest, problem: &str, hint: Option<&str>) -> SpecError {
    let problem = format!("{} {problem}", super::error::shown(&request.host));
    SpecError::Option { flag: "--device", problem, hint: hint.map(str::to_owned) }
}

/// A node like the host's, or `None` for what is no device.
fn node(stat: &Stat, path: PathBuf) -> Option<Device> {
    let kind = match FileType::from_raw_mode(stat.st_mode) {
        FileType::CharacterDevice => "c",
        FileType::BlockDevice => "b",
        _ => return None,
    };
    Some(Device {
        kind: kind.to_owned(),
        path,
        major: i64::from(rustix::fs::major(stat.st_rdev)),
        minor: i64::from(rustix::fs::minor(stat.st_rdev)),
        file_mode: Some(stat.st_mode & 0o7777),
        uid: Some(stat.st_uid),
        gid: Some(stat.st_gid),
    })
}

fn rule(
    allow: bool,
    kind: Option<DeviceType>,
    number: Option<(i64, i64)>,
    access: &str,
) -> DeviceRule {
    let (major, minor) = (number.map(|(major, _)| major), number.map(|(_, minor)| minor));
    DeviceRule { allow, kind, major, minor, access: Some(access.to_owned()) }
}

/// Every device below /dev, links aside.
fn all_nodes(dev: &Path) -> Result<Vec<Device>, SpecError> {
    let mut nodes = Vec::new();
    let mut open = vec![(dev.to_owned(), 0)];
    while let Some((directory, depth)) = open.pop() {
        let entries = std::fs::read_dir(&directory).map_err(SpecError::io("list", &directory))?;
        for entry in entries {
            let entry = entry.map_err(SpecError::io("list", &directory))?;
            let path = entry.path();
            if depth == 0 && NOT_HANDED_ON.iter().any(|name| entry.file_name() == *name) {
                continue;
            }
            // A node may go while we look.
            let Ok(stat) = rustix::fs::statat(CWD, &path, AtFlags::SYMLINK_NOFOLLOW) else {
                continue;
            };
            let inside = path.strip_prefix(dev).unwrap_or(&path);
            let inside = Path::new("/dev").join(inside);
            if FileType::from_raw_mode(stat.st_mode).is_dir() && depth < MAX_DEPTH {
                open.push((path, depth + 1));
            } else if let Some(node) = node(&stat, inside) {
                nodes.push(node);
            }
        }
        if nodes.len() > MAX_NODES {
            return Err(SpecError::option("--privileged", "there are too many devices in /dev"));
        }
    }
    // ptmx belongs to the container's own terminals.
    nodes.retain(|node| node.path != Path::new("/dev/ptmx"));
    nodes.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(nodes)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(limits: &Limits, swap: bool) -> String {
        let machine = Machine { limits_swap: swap, limits_pids: true, ..Machine::here() };
        match resources(limits, &machine) {
            Ok(resources) => serde_json::to_string(&resources).unwrap(),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn limits_of_the_cgroup() {
        assert_eq!(json(&Limits::default(), true), r#"{"pids":{"limit":4096}}"#);
        let limits = Limits {
            memory: Some(64 << 20),
            nano_cpus: Some(1_500_000_000),
            cpu_shares: Some(512),
            cpuset_cpus: Some("0-1".into()),
            pids: Some(0),
            ..Limits::default()
        };
        assert_eq!(
            json(&limits, true),
            r#"{"memory":{"limit":67108864,"swap":134217728},"cpu":{"shares":512,"quota":150000,"period":100000,"cpus":"0-1"},"pids":{"limit":-1}}"#
        );
        assert!(json(&limits, false).starts_with(r#"{"memory":{"limit":67108864},"#));
        let swap = Limits { memory: Some(7 << 20), memory_swap: Some(-1), ..Limits::default() };
        assert!(json(&swap, false).starts_with(r#"{"memory":{"limit":7340032,"swap":-1}"#));
    }

    #[test]
    fn a_default_does_not_stand_in_the_way() {
        let machine = Machine { limits_pids: false, ..Machine::here() };
        let limit = |pids| {
            let limits = Limits { pids, ..Limits::default() };
            resources(&limits, &machine).unwrap().pids.and_then(|pids| pids.limit)
        };
        // What the user asked for is the backend's to refuse.
        assert_eq!((limit(None), limit(Some(-1)), limit(Some(9))), (None, None, Some(9)));
    }

    #[test]
    fn limits_that_are_none() {
        let memory = |memory, swap| Limits { memory, memory_swap: swap, ..Limits::default() };
        let table = [
            (memory(Some(1 << 20), None), "--memory: minimum memory limit allowed is 6MB"),
            (memory(Some(0), None), "--memory: minimum memory limit allowed is 6MB"),
            (memory(None, Some(9)), "--memory-swap: needs a memory limit, which it includes"),
            (
                memory(Some(9 << 20), Some(9)),
                "--memory-swap: is lower than --memory, which it includes",
            ),
            (Limits { nano_cpus: Some(1), ..Limits::default() }, "--cpus: the least is 0.01"),
        ];
        for (limits, message) in table {
            assert_eq!(json(&limits, true), message);
        }
    }

    fn request(host: &str, container: &str, access: &str) -> Options {
        let request =
            DeviceRequest { host: host.into(), container: container.into(), access: access.into() };
        Options { devices: vec![request], ..Options::default() }
    }

    #[test]
    fn devices_of_the_host() {
        let found = devices(&request("/dev/null", "/dev/null", "rw"), Path::new("/dev")).unwrap();
        assert_eq!((found.nodes[0].major, found.nodes[0].minor), (1, 3));
        assert!(found.warnings.is_empty(), "everybody may use it");
        assert!(!found.rules[0].allow && found.rules[7].access.as_deref() == Some("rw"));
        let elsewhere = request("/dev/null", "/dev/../opt/nil", "r");
        let found = devices(&elsewhere, Path::new("/dev")).unwrap();
        assert!(found.nodes.is_empty(), "a user namespace makes no nodes");
        assert_eq!(found.bound, [("/dev/null".into(), "/opt/nil".into())]);
        for (host, access, problem) in [
            ("/dev/nonexistent", "r", "cannot find the device /dev/nonexistent"),
            ("/etc/passwd", "r", "--device: /etc/passwd is no device"),
            ("/dev", "r", "--device: /dev is no device"),
            ("dev/null", "r", "--device: dev/null is no absolute path"),
            ("/dev/null", "", "--device: \"\" is not one or more"),
            ("/dev/null", "rx", "--device: \"rx\" is not one or more"),
        ] {
            let error = devices(&request(host, "/dev/x", access), Path::new("/dev")).unwrap_err();
            assert!(error.to_string().starts_with(problem), "{error}");
        }
    }

    #[test]
    fn everything_for_the_privileged() {
        let options = Options { privileged: true, ..Options::default() };
        let found = devices(&options, Path::new("/dev")).unwrap();
        let has = |path: &str| found.nodes.iter().any(|node| node.path == Path::new(path));
        assert!(has("/dev/null") && has("/dev/full") && !has("/dev/ptmx") && !has("/dev/console"));
        assert!(!found.nodes.iter().any(|node| node.path.starts_with("/dev/pts")));
        assert!(found.rules.len() == 1 && found.rules[0].allow && found.rules[0].kind.is_none());
    }
}
