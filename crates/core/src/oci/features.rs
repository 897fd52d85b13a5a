//! The features document (OCI runtime-spec `features.md`).

use std::collections::BTreeMap;

use serde::Serialize;

/// What a runtime can do, for engines that ask before they call.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Features {
    /// Oldest `ociVersion` that is read.
    pub oci_version_min: String,
    /// Newest `ociVersion` that is read.
    pub oci_version_max: String,
    /// Names of hook lists that are run.
    pub hooks: Vec<String>,
    /// Mount options that are understood.
    pub mount_options: Vec<String>,
    /// Linux's own part.
    pub linux: LinuxFeatures,
    /// Free-form additions.
    pub annotations: BTreeMap<String, String>,
    /// Annotations that may change what the runtime does.
    pub potentially_unsafe_config_annotations: Vec<String>,
}

/// `linux` of the features document.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LinuxFeatures {
    /// Namespace kinds, as in `config.json`.
    pub namespaces: Vec<String>,
    /// Capability names this kernel has.
    pub capabilities: Vec<String>,
    /// Cgroup drivers and versions.
    pub cgroup: Cgroup,
    /// System call filters.
    pub seccomp: Seccomp,
    /// AppArmor profiles.
    pub apparmor: SecurityModule,
    /// SELinux contexts.
    pub selinux: SecurityModule,
    /// Intel RDT.
    pub intel_rdt: IntelRdt,
    /// Mounts beyond mount(2).
    pub mount_extensions: MountExtensions,
    /// Moving network devices in.
    pub net_devices: NetDevices,
}

/// `linux.cgroup`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Cgroup {
    /// cgroup v1.
    pub v1: bool,
    /// cgroup v2.
    pub v2: bool,
    /// Scopes made through systemd.
    pub systemd: bool,
    /// The same in a user's own systemd.
    pub systemd_user: bool,
    /// The rdma controller.
    pub rdma: bool,
}

/// `linux.seccomp`.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Seccomp {
    /// Whether profiles are loaded at all.
    pub enabled: bool,
    /// `SCMP_ACT_…`.
    pub actions: Vec<&'static str>,
    /// `SCMP_CMP_…`.
    pub operators: Vec<&'static str>,
    /// `SCMP_ARCH_…`.
    pub archs: Vec<&'static str>,
    /// `SECCOMP_FILTER_FLAG_…` that are known.
    pub known_flags: Vec<&'static str>,
    /// Those this kernel takes.
    pub supported_flags: Vec<&'static str>,
}

/// `linux.apparmor` and `linux.selinux`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct SecurityModule {
    /// Whether the field of `process` is honoured.
    pub enabled: bool,
}

/// `linux.intelRdt`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct IntelRdt {
    /// Whether the field is honoured.
    pub enabled: bool,
}

/// `linux.mountExtensions`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct MountExtensions {
    /// Idmapped mounts.
    pub idmap: IdMap,
}

/// `linux.mountExtensions.idmap`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct IdMap {
    /// Whether `uidMappings`/`gidMappings` of a mount are honoured.
    pub enabled: bool,
}

/// `linux.netDevices`.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct NetDevices {
    /// Whether the field is honoured.
    pub enabled: bool,
}
