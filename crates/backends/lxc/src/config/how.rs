//! How containers are made: what the room, the administrator and the user's request decide, and no
//! bundle.

use std::path::PathBuf;

use super::network::Network;

/// How one container is to be made.
#[derive(Clone, Debug, Default)]
pub struct How {
    /// The program that runs first inside.
    pub init: Init,
    /// Who loads the seccomp profile.
    pub seccomp: By,
    /// Who switches to the AppArmor profile.
    pub apparmor: By,
    /// The profile of a container whose bundle names none.
    pub default_apparmor: AppArmor,
    /// Command line that LXC calls in the container's namespaces, before the root file system is
    /// entered; it lets the host run `prestart` and `createRuntime`, then runs `createContainer`.
    /// Without it bundles with such hooks are refused.
    pub mount_hook: Option<String>,
    /// Whether files of the root file system show by the container's id map: true where they belong
    /// to the ids inside, false where they are shifted to the ids outside already.
    pub map_rootfs: bool,
    /// The network of a new network namespace.
    pub network: Network,
    /// Whether the container gets a session keyring of its own.
    pub new_keyring: bool,
    /// Keys of LXC that annotations may set: whole names, or `lxc.group.*`. Some are never allowed.
    pub raw_keys: Vec<String>,
}

/// lxcri-init, as it is reached inside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Init {
    /// Command line for `lxc.init.cmd`: an absolute path inside with plain arguments.
    pub command: String,
    /// Capabilities that it needs itself, by OCI name. They stay in its bounding set; the user's
    /// process gets exactly what the bundle says.
    pub capabilities: Vec<String>,
    /// What it needs to be mounted; comes after the bundle's mounts.
    pub mounts: Vec<OwnMount>,
    /// Whether the user's process gets a pid namespace below lxcri-init's: proc is then mounted once
    /// more, inside.
    pub nested_pid_namespace: bool,
}

impl Default for Init {
    fn default() -> Self {
        Self {
            command: "/sbin/init".to_owned(),
            capabilities: Vec::new(),
            mounts: Vec::new(),
            nested_pid_namespace: false,
        }
    }
}

/// A bind mount of this program's own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OwnMount {
    /// Absolute path on the host.
    pub source: PathBuf,
    /// Absolute path inside, without links.
    pub destination: PathBuf,
    /// Whether the source is a directory.
    pub directory: bool,
    /// Whether it can be written to.
    pub writable: bool,
}

/// Who applies something that both can.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum By {
    /// liblxc, before lxcri-init runs: lxcri-init itself is confined, and lxc-attach too.
    #[default]
    Lxc,
    /// lxcri-init, right before the user's program: exact, and lxcri-init itself stays free to work.
    Init,
}

/// An AppArmor profile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum AppArmor {
    /// One that LXC makes for this container.
    #[default]
    Generated,
    /// None.
    Unconfined,
    /// One that is loaded already.
    Named(String),
}
