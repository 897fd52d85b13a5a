//! An image's configuration and the user's options to config.json, as Docker does it.
//!
//! ```text
//! options       what the user asks for
//! accounts      names to numbers, by the image's own passwd and group
//! process       words, environment, working directory
//! capabilities  which rights, seccomp: which system calls
//! mounts        the kernel's filesystems, the container's own files, binds, volumes, tmpfs
//! volume        what a new volume starts with
//! host_files    /etc/hostname, /etc/hosts, /etc/resolv.conf
//! limits        control group and devices
//! labels        annotations
//! ```
//!
//! [`plan`] works everything out and makes nothing; [`Plan::carry_out`] makes files, volumes and the
//! working directory. The document fits any backend, and is judged by its coverage table there.

mod accounts;
mod capabilities;
mod error;
mod host_files;
mod labels;
mod limits;
mod machine;
mod mounts;
mod options;
mod path;
mod prepare;
mod process;
pub mod seccomp;
mod volume;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use lxcri_core::oci::{
    IdMapping, Linux, Namespace, NamespaceKind, Root as SpecRoot, Spec, VERSION,
};
use lxcri_linux::beneath::Root;
use lxcri_linux::seccomp::Profile;
use lxcri_linux::sysctl::{self, OwnNamespaces};

pub use accounts::{GroupEntry, MAX_ACCOUNTS, PasswdEntry, parse_group, parse_passwd};
pub use error::SpecError;
pub use machine::Machine;
pub use options::{
    DeviceRequest, Ipc, Limits, MountKind, MountRequest, Network, Options, PROPAGATIONS,
    PidNamespace, SeccompChoice, Security, UserNamespace, Variable,
};
pub use prepare::{Prepared, VolumeInUse, VolumeRequest};

use accounts::{Accounts, Identity};
use mounts::Work;
use path::depth;

use crate::document::{Config, ImageConfig};

/// Hidden from a container (Docker's list).
const MASKED_PATHS: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// Read-only in a container (Docker's list).
const READONLY_PATHS: [&str; 5] =
    ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// What a container is made on.
#[derive(Debug)]
pub struct Surroundings<'s> {
    /// The container's id, which its host name is made from.
    pub id: &'s str,
    /// The prepared root filesystem, an absolute path. With a user namespace its files belong to the host's ids of
    /// it, whether that is so on disk or by an idmapped mount.
    pub rootfs: &'s Path,
    /// An existing directory of the container's own, an absolute path, where its files are made.
    pub directory: &'s Path,
    /// The caller's working directory, which relative paths of the user count from.
    pub working_directory: &'s Path,
    /// The ids of user namespaces, such as 0 → 100000, 65536 of them.
    pub mapping: IdMapping,
    /// Whether the backend applies `mounts[].uidMappings`.
    pub idmapped_mounts: bool,
    /// Facts about this machine.
    pub machine: &'s Machine,
}

/// A container's configuration, with what has to be made for it.
#[derive(Debug)]
pub struct Plan {
    spec: Spec,
    labels: BTreeMap<String, String>,
    stop_signal: Option<String>,
    warnings: Vec<String>,
    root: Root,
    mapping: Option<IdMapping>,
    idmapped: bool,
    identity: Identity,
    work: Vec<Work>,
    files: Vec<(PathBuf, Vec<u8>)>,
}

/// Works out what a container of `image` is like. Reads the image's accounts, the user's seccomp
/// profile and the host's resolver files; makes nothing.
///
/// # Errors
/// Any [`SpecError`].
pub fn plan(
    image: &ImageConfig,
    options: &Options,
    around: &Surroundings<'_>,
) -> Result<Plan, SpecError> {
    let none = Config::default();
    let config = image.config.as_ref().unwrap_or(&none);
    let root = Root::open(around.rootfs).map_err(SpecError::io("open rootfs", around.rootfs))?;
    let mapping = options.wants_user_namespace().then_some(around.mapping);
    let identity = identity(config, options, &root, mapping)?;
    let hostname = host_files::hostname(options, around.id, &around.machine.hostname)?;
    let mut process = process::process(config, options, &identity, &hostname)?;
    let rights = capabilities::choose(options, &around.machine.capabilities)?;
    let seccomp = seccomp(options, &rights, around)?;
    process.capabilities = Some(process::capability_sets(rights, identity.uid));
    let files = host_files::files(options, &hostname, &around.machine.etc)?
        .map(|file| (file.place, around.directory.join(file.name), file.content));
    let mut devices = limits::devices(options, &around.machine.dev)?;
    let ground = mounts::Ground {
        root: &root,
        mapping,
        idmapped: around.idmapped_mounts,
        working_directory: around.working_directory,
    };
    let own: Vec<_> = files.iter().map(|(place, path, _)| (*place, path.clone())).collect();
    let mut mounts = mounts::plan(config, options, &ground, &own, &devices.bound)?;
    let mut warnings = std::mem::take(&mut mounts.warnings);
    warnings.append(&mut devices.warnings);
    let labels = labels::labels(config, options);
    let spec = Spec {
        oci_version: VERSION.to_owned(),
        process: Some(process),
        root: Some(SpecRoot { path: around.rootfs.to_owned(), readonly: options.read_only }),
        hostname: Some(hostname),
        annotations: labels::annotations(image, &labels, &mut warnings),
        linux: Some(Linux {
            seccomp,
            rootfs_propagation: mounts.root_propagation.map(str::to_owned),
            ..linux(options, around, devices)?
        }),
        mounts: mounts.list,
        ..Spec::default()
    };
    if config.healthcheck.as_ref().is_some_and(|check| !check.test.is_empty()) {
        log::info!("the image's health check is not run: there is nobody to do it yet");
    }
    Ok(Plan {
        spec,
        labels,
        stop_signal: config.stop_signal.clone().filter(|signal| !signal.is_empty()),
        warnings,
        root,
        mapping,
        idmapped: around.idmapped_mounts,
        identity,
        work: mounts.work,
        files: files.map(|(_, path, content)| (path, content)).into(),
    })
}

/// Linux's part, without what depends on the image.
fn linux(
    options: &Options,
    around: &Surroundings<'_>,
    devices: limits::Devices,
) -> Result<Linux, SpecError> {
    let mapping = options.wants_user_namespace().then_some(around.mapping);
    let mut resources = limits::resources(&options.limits, around.machine)?;
    resources.devices = devices.rules;
    let shows_all = options.privileged || options.security.unmasked;
    let (masked_paths, readonly_paths) = if shows_all {
        (Vec::new(), Vec::new())
    } else {
        let masked = MASKED_PATHS.iter().map(PathBuf::from);
        let masked = masked.chain(around.machine.masked.iter().cloned()).collect();
        (masked, READONLY_PATHS.map(PathBuf::from).to_vec())
    };
    Ok(Linux {
        uid_mappings: mapping.into_iter().collect(),
        gid_mappings: mapping.into_iter().collect(),
        sysctl: sysctls(options, mapping)?,
        resources: Some(resources),
        namespaces: namespaces(options, mapping.is_some(), around.machine.unified),
        devices: devices.nodes,
        masked_paths,
        readonly_paths,
        ..Linux::default()
    })
}

/// Who it runs as; every id must have a place in the user namespace.
fn identity(
    config: &Config,
    options: &Options,
    root: &Root,
    mapping: Option<IdMapping>,
) -> Result<Identity, SpecError> {
    let wanted = options.user.as_deref().unwrap_or(&config.user);
    let identity = Accounts::new(root).resolve(wanted, &options.groups)?;
    let Some(IdMapping { size, .. }) = mapping else { return Ok(identity) };
    if identity.uid >= size {
        return Err(SpecError::Unmapped { what: "user", id: identity.uid, size });
    }
    match identity.groups.iter().find(|gid| **gid >= size) {
        Some(gid) => Err(SpecError::Unmapped { what: "group", id: *gid, size }),
        None => Ok(identity),
    }
}

fn namespaces(options: &Options, user: bool, unified: bool) -> Vec<Namespace> {
    use NamespaceKind::{Cgroup, Ipc, Mount, Network, Pid, User, Uts};
    let kinds = [
        (Mount, true),
        (Uts, true),
        (Pid, options.pid == PidNamespace::Private),
        (Ipc, options.ipc != options::Ipc::Host),
        (Network, options.network == options::Network::None),
        // On v1 the names of cgroups are everybody's anyway (Docker's default).
        (Cgroup, unified),
        (User, user),
    ];
    let own = kinds.into_iter().filter(|(_, own)| *own);
    own.map(|(kind, _)| Namespace { kind, path: None }).collect()
}

/// The user's, after Docker's defaults: without privileges a program may listen on any port of its
/// own network, and use ICMP sockets.
fn sysctls(
    options: &Options,
    mapping: Option<IdMapping>,
) -> Result<BTreeMap<String, String>, SpecError> {
    let mut values = BTreeMap::new();
    let own_network = options.network == Network::None;
    if own_network {
        let last =
            mapping.map_or(i32::MAX.cast_unsigned(), |mapping| mapping.size.saturating_sub(1));
        values.insert("net.ipv4.ip_unprivileged_port_start".to_owned(), "0".to_owned());
        values.insert("net.ipv4.ping_group_range".to_owned(), format!("0 {last}"));
    }
    let own = OwnNamespaces { ipc: options.ipc != Ipc::Host, network: own_network, uts: true };
    for (key, value) in &options.sysctls {
        sysctl::check(key, value, own)
            .map_err(|error| SpecError::option("--sysctl", error.to_string()))?;
        values.insert(key.clone(), value.clone());
    }
    Ok(values)
}

/// The filter of system calls, if there is to be one.
fn seccomp(
    options: &Options,
    capabilities: &[String],
    around: &Surroundings<'_>,
) -> Result<Option<Profile>, SpecError> {
    let architecture = std::env::consts::ARCH;
    let target = seccomp::Target { capabilities, architecture, kernel: around.machine.kernel };
    match &options.security.seccomp {
        SeccompChoice::Default if options.privileged => Ok(None),
        SeccompChoice::Unconfined => Ok(None),
        SeccompChoice::Default | SeccompChoice::Builtin => Ok(Some(seccomp::default(target))),
        SeccompChoice::File(path) => {
            seccomp::read_file(&around.working_directory.join(path), target).map(Some)
        }
    }
}

impl Plan {
    /// The document as it stands; sources of volumes are still missing.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Things the user should know, a line each.
    pub fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

#[cfg(test)]
mod tests;
