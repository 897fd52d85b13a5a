//! The features document, assembled from what the kernel and the built-in executor say of
//! themselves.

use std::collections::BTreeMap;

use lxcri_linux::{capability, mount, seccomp};

use crate::coverage::{Coverage, Treatment};
use crate::oci::{
    self, Features, Hooks, IdMap, IntelRdt, LinuxFeatures, MountExtensions, NamespaceKind,
    NetDevices, SecurityModule,
};

/// What a container made by a room with this coverage can have. A feature is on exactly where the
/// table says that its field is applied, so the two cannot disagree.
pub fn features(coverage: &Coverage) -> Features {
    let applied = |path: &str| {
        let row = coverage.rows().iter().find(|row| row.path == path);
        matches!(row.map(|row| row.treatment), Some(Treatment::Applied { .. }))
    };
    let enabled = |path| SecurityModule { enabled: applied(path) };
    Features {
        oci_version_min: "1.0.0".to_owned(),
        oci_version_max: oci::VERSION.to_owned(),
        hooks: Hooks::default().lists().map(|(name, _)| name.to_owned()).collect(),
        mount_options: mount_options(coverage),
        linux: LinuxFeatures {
            namespaces: namespaces(),
            capabilities: (0..=capability::last_cap()).map(capability::name).collect(),
            cgroup: oci::Cgroup {
                v1: true,
                v2: true,
                systemd: true,
                systemd_user: false,
                rdma: applied("linux.resources.rdma"),
            },
            seccomp: seccomp_features(),
            apparmor: enabled("process.apparmorProfile"),
            selinux: enabled("process.selinuxLabel"),
            intel_rdt: IntelRdt { enabled: applied("linux.intelRdt") },
            mount_extensions: MountExtensions {
                idmap: IdMap { enabled: applied("mounts[].uidMappings") },
            },
            net_devices: NetDevices { enabled: applied("linux.netDevices") },
        },
        annotations: BTreeMap::from([(
            "io.proxmox-lxcri.version".to_owned(),
            env!("CARGO_PKG_VERSION").to_owned(),
        )]),
        potentially_unsafe_config_annotations: vec![crate::routing::ANNOTATION.to_owned()],
    }
}

/// The options that are understood, less those that the table refuses by name.
fn mount_options(coverage: &Coverage) -> Vec<String> {
    let is_refused = |word: &str| {
        let path = format!("mounts[].options[]={word}");
        let row = coverage.rows().iter().find(|row| row.path == path);
        matches!(row.map(|row| row.treatment), Some(Treatment::Refused { .. }))
    };
    let known = mount::KNOWN_OPTIONS.iter().filter(|word| !is_refused(word));
    known.map(ToString::to_string).collect()
}

/// Kinds this kernel has: each shows as a file of our own process.
fn namespaces() -> Vec<String> {
    NamespaceKind::ALL
        .into_iter()
        .filter(|kind| kind.kernel().own().is_ok())
        .map(|kind| kind.as_str().to_owned())
        .collect()
}

fn seccomp_features() -> oci::Seccomp {
    let supported = seccomp::supported();
    oci::Seccomp {
        enabled: true,
        // A listener for notifications is not there yet, and a profile that needs one is refused.
        actions: supported
            .available_actions
            .into_iter()
            .filter(|action| *action != "SCMP_ACT_NOTIFY")
            .collect(),
        operators: supported.operators,
        archs: supported.archs,
        known_flags: supported.known_flags,
        supported_flags: supported.supported_flags,
    }
}
