//! The words of a container that is made from an image: Docker's flags, in Docker's syntax. They are
//! flattened into `run` and `create`; the image and the program's words stand behind them.
//!
//! Every flag becomes a part of [`spec::Options`], but for the few that say how the command itself
//! goes about it ([`Way`]).

mod device;
mod environment;
mod limit;
mod mount;
mod network;
mod security;

use std::net::IpAddr;
use std::path::PathBuf;

use clap::ValueEnum;
use lxcri_core::oci::Rlimit;
use lxcri_images::document::Platform;
use lxcri_images::spec::{
    DeviceRequest, Ipc, Limits, MountRequest, Network, Options, PidNamespace, Security,
    UserNamespace, Variable,
};

use crate::failure::Failure;
use crate::size;
use security::SecurityOption;

/// Flags of the image form. `run` and `create` take the image and the words behind it in one list
/// of positional arguments with `trailing_var_arg`, so that what follows the image is the program's.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct ImageForm {
    #[command(flatten)]
    pub(crate) way: Way,
    #[command(flatten)]
    program: ProgramFlags,
    #[command(flatten)]
    mounts: MountFlags,
    #[command(flatten)]
    network: NetworkFlags,
    #[command(flatten)]
    limits: LimitFlags,
    #[command(flatten)]
    rights: RightFlags,
}

/// How the command goes about it.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Image options")]
pub(crate) struct Way {
    /// Name for the container
    #[arg(long, value_name = "NAME")]
    pub(crate) name: Option<String>,
    /// Keep standard input open
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
        default_value_t = false, hide_default_value = true, value_name = "BOOL",
        hide_possible_values = true, action = clap::ArgAction::Set)]
    pub(crate) interactive: bool,
    /// Remove the container and its anonymous volumes when it has ended
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
        default_value_t = false, hide_default_value = true, value_name = "BOOL",
        hide_possible_values = true, action = clap::ArgAction::Set)]
    pub(crate) rm: bool,
    /// When to pull the image: whatever is here, where it is not here, or not at all
    #[arg(long, value_name = "WHEN", value_enum, default_value_t)]
    pub(crate) pull: Pull,
    /// Take the image for this platform, such as linux/arm64
    #[arg(long, value_name = "PLATFORM")]
    pub(crate) platform: Option<Platform>,
    /// Write the container's id to this file
    #[arg(long, value_name = "FILE")]
    pub(crate) cidfile: Option<PathBuf>,
}

/// `--pull`.
#[derive(ValueEnum, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Pull {
    Always,
    #[default]
    Missing,
    Never,
}

/// What runs, and as whom.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Program")]
struct ProgramFlags {
    /// Give the program a terminal
    #[arg(short, long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
        default_value_t = false, hide_default_value = true, value_name = "BOOL",
        hide_possible_values = true, action = clap::ArgAction::Set)]
    tty: bool,
    /// Set an environment variable; without a value it is taken over from here
    #[arg(short, long, value_name = "NAME[=VALUE]", value_parser = environment::variable)]
    env: Vec<String>,
    /// Read environment variables from a file, one on a line
    #[arg(long, value_name = "FILE")]
    env_file: Vec<PathBuf>,
    /// User and group to run as, by name or number
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// One more group to run as
    #[arg(long, value_name = "GROUP")]
    group_add: Vec<String>,
    /// Working directory in the container
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// Program instead of the image's entrypoint; empty for none
    #[arg(long, value_name = "PROGRAM")]
    entrypoint: Option<String>,
    /// Set a label
    #[arg(short, long, value_name = "NAME[=VALUE]", value_parser = environment::label)]
    label: Vec<(String, String)>,
}

/// What it sees of files.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Files")]
struct MountFlags {
    /// Mount a directory of the host, or a volume by its name
    #[arg(short, long, value_name = "[SOURCE:]DIR[:OPTIONS]", value_parser = mount::volume)]
    volume: Vec<mount::Volume>,
    /// Mount a directory, volume or tmpfs: type=bind,source=DIR,target=DIR[,readonly]
    #[arg(long, value_name = "KEY=VALUE,…", value_parser = mount::mount)]
    mount: Vec<MountRequest>,
    /// Mount a directory in memory
    #[arg(long, value_name = "DIR[:OPTIONS]", value_parser = mount::tmpfs)]
    tmpfs: Vec<MountRequest>,
    /// Size of /dev/shm [default: 64m]
    #[arg(long, value_name = "SIZE", value_parser = limit::size)]
    shm_size: Option<u64>,
    /// Let nothing be written to the root filesystem
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
        default_value_t = false, hide_default_value = true, value_name = "BOOL",
        hide_possible_values = true, action = clap::ArgAction::Set)]
    read_only: bool,
    /// Add a device of the host
    #[arg(long, value_name = "PATH[:INSIDE[:rwm]]", value_parser = device::device)]
    device: Vec<DeviceRequest>,
}

/// Whom it can talk to.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Network")]
struct NetworkFlags {
    /// Network: none or host [default: none]
    #[arg(long, alias = "net", value_name = "NETWORK", value_parser = network::network)]
    network: Option<Network>,
    /// Host name in the container
    #[arg(long, value_name = "NAME")]
    hostname: Option<String>,
    /// Ask this name server
    #[arg(long, value_name = "ADDRESS", value_parser = network::server)]
    dns: Vec<IpAddr>,
    /// Add a line to /etc/hosts
    #[arg(long, value_name = "NAME:ADDRESS", value_parser = network::host)]
    add_host: Vec<(String, IpAddr)>,
}

/// How much it may use.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Limits")]
struct LimitFlags {
    /// Most memory
    #[arg(short, long, value_name = "SIZE", value_parser = size::limit,
        allow_negative_numbers = true)]
    memory: Option<i64>,
    /// Most memory and swap together, -1 for any amount of swap [default: twice the memory]
    #[arg(long, value_name = "SIZE", value_parser = size::limit, allow_negative_numbers = true)]
    memory_swap: Option<i64>,
    /// Most CPUs, such as 1.5
    #[arg(long, value_name = "NUMBER", value_parser = limit::cpus)]
    cpus: Option<u64>,
    /// Share of CPU time against other containers
    #[arg(short, long, value_name = "SHARES")]
    cpu_shares: Option<u64>,
    /// CPUs to run on, such as 0-3,7
    #[arg(long, value_name = "LIST")]
    cpuset_cpus: Option<String>,
    /// Memory nodes to allocate from
    #[arg(long, value_name = "LIST")]
    cpuset_mems: Option<String>,
    /// Most processes and threads, -1 for any number [default: 4096]
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pids_limit: Option<i64>,
    /// Set a resource limit, such as nofile=1024:4096
    #[arg(long, value_name = "NAME=SOFT[:HARD]", value_parser = limit::ulimit)]
    ulimit: Vec<Rlimit>,
}

/// What it may do.
#[derive(clap::Args, Clone, Debug, Default)]
#[command(next_help_heading = "Rights")]
struct RightFlags {
    /// Add a capability, or ALL
    #[arg(long, value_name = "CAPABILITY")]
    cap_add: Vec<String>,
    /// Drop a capability, or ALL
    #[arg(long, value_name = "CAPABILITY")]
    cap_drop: Vec<String>,
    /// no-new-privileges, seccomp=FILE, seccomp=unconfined, apparmor=PROFILE,
    /// systempaths=unconfined
    #[arg(long, value_name = "OPTION", value_parser = security::option)]
    security_opt: Vec<SecurityOption>,
    /// Give it all rights and devices of the host
    #[arg(long, num_args = 0..=1, require_equals = true, default_missing_value = "true",
        default_value_t = false, hide_default_value = true, value_name = "BOOL",
        hide_possible_values = true, action = clap::ArgAction::Set)]
    privileged: bool,
    /// Set a kernel parameter of the container's namespaces
    #[arg(long, value_name = "NAME=VALUE", value_parser = limit::sysctl)]
    sysctl: Vec<(String, String)>,
    /// User namespace: host for none of its own
    #[arg(long, value_name = "host", value_parser = security::user_namespace)]
    userns: Option<UserNamespace>,
    /// IPC namespace: private, none or host [default: private]
    #[arg(long, value_name = "MODE", value_parser = security::ipc)]
    ipc: Option<Ipc>,
    /// PID namespace: host for none of its own
    #[arg(long, value_name = "host", value_parser = security::pid)]
    pid: Option<PidNamespace>,
}

impl ImageForm {
    /// What was asked for, with the program's `words` from behind the image. Reads the files of
    /// `--env-file`; `caller` gives variables of our own environment.
    ///
    /// # Errors
    /// An environment file that cannot be used, or a variable that is no text.
    pub(crate) fn options(
        &self,
        words: &[String],
        caller: environment::Caller<'_>,
    ) -> Result<Options, Failure> {
        let Self { program, mounts, network, limits, rights, .. } = self;
        mounts.warn();
        let ipc = rights.ipc.unwrap_or_default();
        if mounts.shm_size.is_some() && ipc != Ipc::Private {
            return Err(Failure::usage(
                "--shm-size: with this --ipc the container has no /dev/shm of its own",
            ));
        }
        Ok(Options {
            command: words.to_vec(),
            entrypoint: program.entrypoint.clone(),
            environment: program.environment(caller)?,
            user: program.user.clone(),
            groups: program.group_add.clone(),
            working_directory: program.workdir.clone(),
            terminal: program.tty,
            hostname: network.hostname.clone(),
            network: network.network.unwrap_or_default(),
            dns: network.dns.clone(),
            hosts: network.add_host.clone(),
            mounts: mounts.all(),
            shm_size: mounts.shm_size,
            limits: limits.limits(),
            rlimits: limits.rlimits(),
            sysctls: rights.sysctl.iter().cloned().collect(),
            cap_add: rights.cap_add.clone(),
            cap_drop: rights.cap_drop.clone(),
            security: rights.security(),
            privileged: rights.privileged,
            read_only: mounts.read_only,
            devices: mounts.device.clone(),
            user_namespace: rights.userns.unwrap_or_default(),
            ipc,
            pid: rights.pid.unwrap_or_default(),
            labels: program.label.iter().cloned().collect(),
        })
    }
}

impl ProgramFlags {
    /// Files first, then `-e`, so that the command line wins (Docker).
    fn environment(&self, caller: environment::Caller<'_>) -> Result<Vec<Variable>, Failure> {
        let mut variables = Vec::new();
        for path in &self.env_file {
            variables.extend(environment::file(path, caller)?);
        }
        for text in &self.env {
            variables.push(environment::change(text, caller)?);
        }
        Ok(variables)
    }
}

impl MountFlags {
    fn all(&self) -> Vec<MountRequest> {
        let volumes = self.volume.iter().map(|volume| volume.request.clone());
        volumes.chain(self.mount.iter().cloned()).chain(self.tmpfs.iter().cloned()).collect()
    }

    fn warn(&self) {
        for volume in self.volume.iter().filter(|volume| volume.relabel) {
            let place = &volume.request.destination;
            log::warn!("--volume {place}: z and Z have no effect: nothing is labelled for SELinux");
        }
    }
}

impl LimitFlags {
    fn limits(&self) -> Limits {
        Limits {
            memory: self.memory,
            memory_swap: self.memory_swap,
            nano_cpus: self.cpus,
            cpu_shares: self.cpu_shares,
            cpuset_cpus: self.cpuset_cpus.clone(),
            cpuset_mems: self.cpuset_mems.clone(),
            pids: self.pids_limit,
        }
    }

    /// The last word on each resource counts (Docker).
    fn rlimits(&self) -> Vec<Rlimit> {
        let mut limits: Vec<Rlimit> = Vec::new();
        for limit in &self.ulimit {
            limits.retain(|other| other.kind != limit.kind);
            limits.push(limit.clone());
        }
        limits
    }
}

impl RightFlags {
    fn security(&self) -> Security {
        let mut security = Security::default();
        for option in &self.security_opt {
            option.apply(&mut security);
        }
        security
    }
}

#[cfg(test)]
mod tests;
