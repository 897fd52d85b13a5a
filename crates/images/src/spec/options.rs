//! What the user asks for beside the image, in Docker's words and as plain data.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::PathBuf;

use lxcri_core::oci::Rlimit;

/// The user's wishes. The default asks for nothing: then everything is as the image and Docker's
/// defaults have it.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// The words after the image; they take the place of `Cmd`.
    pub command: Vec<String>,
    /// Takes the place of `Entrypoint`, and of `Cmd` with it. Empty: neither of them.
    pub entrypoint: Option<String>,
    /// Changes to the image's `Env`, in order.
    pub environment: Vec<Variable>,
    /// `user[:group]`, names or numbers; takes the place of `User`.
    pub user: Option<String>,
    /// Further groups, names or numbers.
    pub groups: Vec<String>,
    /// Absolute; takes the place of `WorkingDir`.
    pub working_directory: Option<String>,
    /// Whether the program gets a terminal.
    pub terminal: bool,
    /// Takes the place of the name made from the container's id.
    pub hostname: Option<String>,
    /// Which network.
    pub network: Network,
    /// Name servers.
    pub dns: Vec<IpAddr>,
    /// Lines for `/etc/hosts`.
    pub hosts: Vec<(String, IpAddr)>,
    /// Bind mounts, volumes and tmpfs, in order.
    pub mounts: Vec<MountRequest>,
    /// Bytes of `/dev/shm`; 64 MiB where absent.
    pub shm_size: Option<u64>,
    /// Limits.
    pub limits: Limits,
    /// setrlimit(2), by OCI name.
    pub rlimits: Vec<Rlimit>,
    /// Kernel parameters of the container's namespaces, dotted.
    pub sysctls: BTreeMap<String, String>,
    /// Capabilities to add, with or without `CAP_`, or `ALL`.
    pub cap_add: Vec<String>,
    /// Capabilities to drop.
    pub cap_drop: Vec<String>,
    /// `--security-opt`.
    pub security: Security,
    /// All rights and devices, nothing hidden.
    pub privileged: bool,
    /// Whether the root filesystem cannot be written to.
    pub read_only: bool,
    /// Devices of the host.
    pub devices: Vec<DeviceRequest>,
    /// Whether the container runs with the host's users.
    pub user_namespace: UserNamespace,
    /// Whose System V objects and message queues it sees.
    pub ipc: Ipc,
    /// Whose processes it sees.
    pub pid: PidNamespace,
    /// Labels; they take the place of the image's labels of the same name.
    pub labels: BTreeMap<String, String>,
}

impl Options {
    /// Whether the container gets a user namespace, which the root filesystem has to be prepared
    /// for: always, unless somebody asks for the host's or for all rights.
    pub fn wants_user_namespace(&self) -> bool {
        self.user_namespace == UserNamespace::Private && !self.privileged
    }
}

/// A change to the environment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Variable {
    /// It gets this value.
    Set(String, String),
    /// It goes: `-e NAME` where the caller has no such variable (Docker).
    Unset(String),
}

/// `--network`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Network {
    /// A network namespace with nothing but the loopback interface.
    #[default]
    None,
    /// The host's.
    Host,
}

/// `--userns`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UserNamespace {
    /// Its own, unless the container is privileged.
    #[default]
    Private,
    /// The host's.
    Host,
}

/// `--ipc`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ipc {
    /// Its own.
    #[default]
    Private,
    /// Its own, without `/dev/shm`.
    None,
    /// The host's.
    Host,
}

/// `--pid`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PidNamespace {
    /// Its own.
    #[default]
    Private,
    /// The host's.
    Host,
}

/// Limits of the container's control group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of memory; -1 for no limit.
    pub memory: Option<i64>,
    /// Bytes of memory and swap together; -1 for no limit of swap. Twice the memory where absent.
    pub memory_swap: Option<i64>,
    /// Billionths of one CPU.
    pub nano_cpus: Option<u64>,
    /// Weight against other containers.
    pub cpu_shares: Option<u64>,
    /// CPUs to run on, such as `0-3,7`.
    pub cpuset_cpus: Option<String>,
    /// Memory nodes to use.
    pub cpuset_mems: Option<String>,
    /// Most processes and threads; 0 or less for no limit, 4096 where absent.
    pub pids: Option<i64>,
}

/// `--security-opt`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Security {
    /// Whether execve(2) can add rights no more.
    pub no_new_privileges: bool,
    /// The filter of system calls.
    pub seccomp: SeccompChoice,
    /// An AppArmor profile.
    pub apparmor: Option<String>,
    /// `systempaths=unconfined`: nothing of /proc and /sys is hidden or read-only.
    pub unmasked: bool,
}

/// Which system calls are allowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum SeccompChoice {
    /// Docker's rules; none in a privileged container.
    #[default]
    Default,
    /// Docker's rules, in a privileged container too.
    Builtin,
    /// All.
    Unconfined,
    /// A profile of the user's, in Docker's form or config.json's.
    File(PathBuf),
}

/// Words for the propagation of a bind mount (mount_namespaces(7)).
pub const PROPAGATIONS: [&str; 6] = ["rprivate", "private", "rslave", "slave", "rshared", "shared"];

/// A mount that the user asks for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MountRequest {
    /// The flag it came by, for messages.
    pub flag: &'static str,
    /// Where, inside.
    pub destination: String,
    /// Whether it cannot be written to.
    pub read_only: bool,
    /// What.
    pub kind: MountKind,
}

/// What is mounted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MountKind {
    /// A path of the host.
    Bind {
        /// The path; a relative one counts from the caller's directory.
        source: PathBuf,
        /// One of [`PROPAGATIONS`].
        propagation: &'static str,
        /// Whether the mounts below it come along.
        recursive: bool,
        /// Whether a missing source is made, as a directory (Docker: `-v` yes, `--mount` no).
        make_source: bool,
    },
    /// A volume.
    Volume {
        /// Its name; one without belongs to this container alone.
        name: Option<String>,
        /// Whether a new one starts with what the image has there.
        copy: bool,
    },
    /// Memory.
    Tmpfs {
        /// Options of tmpfs(5) and mount(8).
        options: Vec<String>,
    },
}

/// `--device`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceRequest {
    /// The node on the host.
    pub host: PathBuf,
    /// Its place inside.
    pub container: PathBuf,
    /// Letters of `rwm`.
    pub access: String,
}
