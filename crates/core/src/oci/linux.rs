//! `linux` (OCI runtime-spec `config-linux.md`).

use std::collections::BTreeMap;
use std::path::PathBuf;

use lxcri_linux::cgroup::Resources;
use lxcri_linux::namespace::Kind;
use lxcri_linux::seccomp::Profile;
use serde::{Deserialize, Serialize};

use super::null_is_default;

/// Linux's own part of the configuration.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Linux {
    /// User ids of the container's user namespace.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub uid_mappings: Vec<IdMapping>,
    /// Group ids of the container's user namespace.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub gid_mappings: Vec<IdMapping>,
    /// Kernel parameters, dotted.
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub sysctl: BTreeMap<String, String>,
    /// Limits and device rules.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// Where in the cgroup tree.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cgroups_path: Option<String>,
    /// Namespaces to make or join; the caller's own where a kind is absent.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub namespaces: Vec<Namespace>,
    /// Device nodes to make beside the default ones.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<Device>,
    /// System call filter.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub seccomp: Option<Profile>,
    /// Propagation of the root mount: `private`, `slave`, `shared`, `unbindable`, or with `r`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rootfs_propagation: Option<String>,
    /// Paths hidden from the container.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub masked_paths: Vec<PathBuf>,
    /// Paths made read-only.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub readonly_paths: Vec<PathBuf>,
    /// SELinux context of the mounts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mount_label: Option<String>,
    /// Execution domain (personality(2)).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub personality: Option<Personality>,
    /// Offsets of a new time namespace, by clock (`monotonic`, `boottime`).
    #[serde(
        default,
        deserialize_with = "null_is_default",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub time_offsets: BTreeMap<String, TimeOffset>,
}

/// A range of ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct IdMapping {
    /// First id inside.
    #[serde(rename = "containerID")]
    pub container_id: u32,
    /// First id outside.
    #[serde(rename = "hostID")]
    pub host_id: u32,
    /// How many.
    pub size: u32,
}

impl IdMapping {
    /// Most ranges of a map (user_namespaces(7)).
    const RANGES_MAX: usize = 340;

    /// Looks at the ranges of a map for what the kernel would answer with a bare EINVAL.
    ///
    /// # Errors
    /// What is wrong, as the end of a sentence about the map.
    pub fn check(ranges: &[Self]) -> Result<(), String> {
        if ranges.len() > Self::RANGES_MAX {
            return Err(format!("has {} ranges, the most is {}", ranges.len(), Self::RANGES_MAX));
        }
        for (index, range) in ranges.iter().enumerate() {
            if range.size == 0 {
                return Err(format!("range {index} has size 0"));
            }
            let goes_beyond = |first: u32| first.checked_add(range.size).is_none();
            if goes_beyond(range.container_id) || goes_beyond(range.host_id) {
                return Err(format!("range {index} goes beyond the last id"));
            }
            if ranges.iter().take(index).any(|earlier| earlier.overlaps(range)) {
                return Err(format!("range {index} overlaps an earlier one"));
            }
        }
        Ok(())
    }

    /// Whether two ranges have an id in common, inside or outside.
    fn overlaps(&self, other: &Self) -> bool {
        let meet = |a: u32, b: u32| {
            let end = |first: u32, size: u32| u64::from(first) + u64::from(size);
            u64::from(a) < end(b, other.size) && u64::from(b) < end(a, self.size)
        };
        meet(self.container_id, other.container_id) || meet(self.host_id, other.host_id)
    }
}

/// The nodes that every container has (runtime-spec, config-linux.md "Default Devices"), all of them
/// character devices of mode 0666: path, major, minor.
pub const DEFAULT_DEVICES: [(&str, u32, u32); 6] = [
    ("/dev/null", 1, 3),
    ("/dev/zero", 1, 5),
    ("/dev/full", 1, 7),
    ("/dev/random", 1, 8),
    ("/dev/urandom", 1, 9),
    ("/dev/tty", 5, 0),
];

/// Files of /proc that tools such as lxcfs replace: nothing else may be mounted below /proc, as with
/// runc.
pub const REPLACEABLE_PROC_FILES: [&str; 11] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/loadavg",
    "/proc/meminfo",
    "/proc/net/dev",
    "/proc/slabinfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/sys/crypto/fips_enabled",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/uptime",
];

/// A namespace to make, or to join by path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Namespace {
    /// Which kind.
    #[serde(rename = "type")]
    pub kind: NamespaceKind,
    /// An existing one to join, such as `/proc/1/ns/net`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
}

/// Kinds of namespaces (namespaces(7)), by their names in `config.json`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names of namespaces(7)")]
pub enum NamespaceKind {
    Pid,
    Network,
    Mount,
    Ipc,
    Uts,
    User,
    Cgroup,
    Time,
}

impl NamespaceKind {
    /// All kinds.
    pub const ALL: [Self; 8] = [
        Self::User,
        Self::Pid,
        Self::Network,
        Self::Ipc,
        Self::Uts,
        Self::Cgroup,
        Self::Time,
        Self::Mount,
    ];

    /// The same kind in the kernel's terms.
    pub fn kernel(self) -> Kind {
        match self {
            Self::Pid => Kind::Pid,
            Self::Network => Kind::Net,
            Self::Mount => Kind::Mnt,
            Self::Ipc => Kind::Ipc,
            Self::Uts => Kind::Uts,
            Self::User => Kind::User,
            Self::Cgroup => Kind::Cgroup,
            Self::Time => Kind::Time,
        }
    }

    /// Its name in `config.json`.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pid => "pid",
            Self::Network => "network",
            Self::Mount => "mount",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            Self::User => "user",
            Self::Cgroup => "cgroup",
            Self::Time => "time",
        }
    }
}

/// A device node.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Device {
    /// `c`, `u`, `b` or `p`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Absolute path inside the container.
    pub path: PathBuf,
    /// Major number; needed except for `p`.
    #[serde(default)]
    pub major: i64,
    /// Minor number; needed except for `p`.
    #[serde(default)]
    pub minor: i64,
    /// Mode bits, 0666 where absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub file_mode: Option<u32>,
    /// Owner inside the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// Group inside the container.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
}

/// Execution domain.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Personality {
    /// `LINUX` or `LINUX32`.
    pub domain: String,
    /// Additional flags; the specification has none yet.
    #[serde(default, deserialize_with = "null_is_default", skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
}

/// Offset of one clock of a time namespace.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TimeOffset {
    /// Whole seconds, may be negative.
    #[serde(default)]
    pub secs: i64,
    /// Nanoseconds, 0..1e9.
    #[serde(default)]
    pub nanosecs: u32,
}
