//! What lxcri-init applies inside, as plain data: everything that LXC cannot, or not exactly.

use std::collections::BTreeMap;
use std::path::PathBuf;

use lxcri_core::oci::{Hook, TimeOffset};
use lxcri_linux::seccomp;
use serde::{Deserialize, Serialize};

/// The part of lxcri-init. Text in it holds no NUL; arguments and environment may hold anything else,
/// line breaks too. All other text is of one line.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Inside {
    /// Program and arguments.
    pub args: Vec<String>,
    /// The whole environment, as `NAME=value`.
    pub env: Vec<String>,
    /// Working directory, absolute.
    pub cwd: PathBuf,
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary groups, and no others.
    pub groups: Vec<u32>,
    /// File mode creation mask; 022 where the bundle has none.
    pub umask: u32,
    /// Whether a terminal is to be opened inside, with its size (rows, columns) where known.
    pub terminal: bool,
    /// Size of the terminal: rows, columns.
    pub console_size: Option<(u16, u16)>,
    /// The five capability sets of the user's process.
    pub capabilities: Capabilities,
    /// Resource limits of the user's process.
    pub rlimits: Vec<Rlimit>,
    /// `PR_SET_NO_NEW_PRIVS`.
    pub no_new_privileges: bool,
    /// `/proc/self/oom_score_adj`.
    pub oom_score_adj: Option<i32>,
    /// personality(2) persona.
    pub personality: Option<u64>,
    /// Name of the session keyring to join.
    pub session_keyring: Option<String>,
    /// AppArmor profile that the last execve(2) switches to.
    pub apparmor_profile: Option<String>,
    /// System call filter to load right before the last execve(2).
    pub seccomp: Option<seccomp::Profile>,
    /// Host name to set; only where LXC does not.
    pub hostname: Option<String>,
    /// NIS domain name to set.
    pub domainname: Option<String>,
    /// A time namespace to make for the user's process, with these offsets by clock; only where LXC
    /// cannot express them.
    pub time_namespace: Option<BTreeMap<String, TimeOffset>>,
    /// Kernel parameters to set.
    pub sysctls: Vec<Sysctl>,
    /// Filesystems to mount, in order, before anything below is done.
    pub mounts: Vec<NewMount>,
    /// Attributes and propagation for mounts that are there, in order, after `mounts`.
    pub mount_attributes: Vec<MountAttributes>,
    /// Device nodes to make.
    pub devices: Vec<DeviceNode>,
    /// Whether to make the links that every container's /dev has (runtime-spec, config-linux.md).
    pub device_links: bool,
    /// Paths to make read-only.
    pub readonly_paths: Vec<PathBuf>,
    /// Paths to hide.
    pub masked_paths: Vec<PathBuf>,
    /// Whether to make the root file system read-only, after all mounts.
    pub readonly_root: bool,
    /// Propagation to give the root mount last of all: `rslave` and so on.
    pub root_propagation: Option<String>,
    /// `startContainer` hooks, run after `start`.
    pub start_container: Vec<Hook>,
}

/// Capability sets by OCI name (capabilities(7)); only those that this kernel has.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
#[expect(missing_docs, reason = "the names of capabilities(7)")]
pub struct Capabilities {
    pub bounding: Vec<String>,
    pub effective: Vec<String>,
    pub inheritable: Vec<String>,
    pub permitted: Vec<String>,
    pub ambient: Vec<String>,
}

/// A limit of setrlimit(2); `u64::MAX` is "unlimited".
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rlimit {
    /// `RLIMIT_…`.
    pub kind: String,
    /// Limit in force.
    pub soft: u64,
    /// Ceiling, never below `soft`.
    pub hard: u64,
}

/// A kernel parameter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sysctl {
    /// As in config.json: dotted, or a path below /proc/sys.
    pub key: String,
    /// What to write.
    pub value: String,
}

/// A filesystem to mount inside; it needs nothing of the host's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewMount {
    /// Absolute path inside, to be made (a directory) where missing.
    pub destination: PathBuf,
    /// Filesystem type.
    pub kind: String,
    /// What stands as source in mountinfo.
    pub source: String,
    /// Options as in config.json. `tmpcopyup` is a tmpfs that begins with a copy of what it covers.
    pub options: Vec<String>,
}

/// Attributes and propagation for a mount that is there already.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MountAttributes {
    /// Absolute path inside.
    pub destination: PathBuf,
    /// Words of config.json that are attributes (`nosuid`, `rro`, …) or propagation (`rslave`, …),
    /// in order.
    pub options: Vec<String>,
}

/// A device node to make with mknod(2).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceNode {
    /// Absolute path inside.
    pub path: PathBuf,
    /// Which sort.
    pub kind: DeviceKind,
    /// Major number; 0 for a fifo.
    pub major: u32,
    /// Minor number; 0 for a fifo.
    pub minor: u32,
    /// Mode bits.
    pub mode: u32,
    /// Owner inside.
    pub uid: u32,
    /// Group inside.
    pub gid: u32,
}

/// A sort of device node.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the sorts of mknod(2)")]
pub enum DeviceKind {
    Character,
    Block,
    Fifo,
}
