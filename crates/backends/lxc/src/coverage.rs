//! What this room does with each field of config.json, and who does it. The planner agrees with the
//! table: a test plans each row.
//!
//! The rows of seccomp and AppArmor are for a room that lets lxcri-init apply them
//! ([`By::Init`](crate::config::By)); where liblxc loads the filter, the planner refuses by name what
//! its format cannot express.

use lxcri_core::coverage::{Coverage, Row, applied, ignored, refused};

const LATER: &str = "the lxc backend does not apply it yet";
const OTHER_PLATFORM: &str = "it is for another platform";
const OWN_IDS: &str = "LXC maps a mount by the container's own ids only";
const CUT_OFF: &str = "LXC cuts a container's mounts off from the host's";
const NO_LISTENER: &str = "there is no listener for it";
const GONE: &str = "Linux has no such setting any more";

/// Who applies a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Who {
    /// LXC, from its configuration file.
    Lxc,
    /// lxcri-init, inside.
    Init,
    /// LXC a part and lxcri-init the rest: a ceiling and the exact value, or by the case.
    Both,
    /// This program, on the host.
    Host,
}

/// Every applied row with who applies it, the same path as in the table.
const WHO: &[(Who, &[&str])] = &[
    (
        Who::Host,
        &[
            "ociVersion",
            "annotations",
            "root.path",
            "hooks.prestart",
            "hooks.createRuntime",
            "hooks.createContainer",
            "hooks.poststart",
            "hooks.poststop",
        ],
    ),
    (
        Who::Init,
        &[
            "root.readonly",
            "domainname",
            "process.args",
            "process.env",
            "process.cwd",
            "process.terminal",
            "process.consoleSize",
            "process.user.uid",
            "process.user.gid",
            "process.user.umask",
            "process.user.additionalGids",
            "process.capabilities.effective",
            "process.capabilities.permitted",
            "process.capabilities.inheritable",
            "process.capabilities.ambient",
            "process.noNewPrivileges",
            "mounts[].options[]=tmpcopyup",
            "hooks.startContainer",
            "linux.devices",
            "linux.maskedPaths",
            "linux.readonlyPaths",
            "linux.rootfsPropagation",
            "linux.seccomp.defaultAction",
            "linux.seccomp.defaultErrnoRet",
            "linux.seccomp.architectures",
            "linux.seccomp.flags",
            "linux.seccomp.syscalls",
            "linux.personality",
        ],
    ),
    (
        Who::Both,
        &[
            "process.capabilities.bounding",
            "process.rlimits",
            "process.oomScoreAdj",
            "process.apparmorProfile",
            "mounts[].options",
        ],
    ),
    (
        Who::Lxc,
        &[
            "hostname",
            "mounts[].destination",
            "mounts[].source",
            "mounts[].type",
            "mounts[].options[]=idmap",
            "mounts[].options[]=ridmap",
            "linux.namespaces[].type",
            "linux.namespaces[].path",
            "linux.uidMappings",
            "linux.gidMappings",
            "linux.timeOffsets",
            "linux.sysctl",
            "linux.cgroupsPath",
            "linux.resources.devices",
            "linux.resources.memory.limit",
            "linux.resources.memory.reservation",
            "linux.resources.memory.swap",
            "linux.resources.cpu.shares",
            "linux.resources.cpu.quota",
            "linux.resources.cpu.period",
            "linux.resources.cpu.cpus",
            "linux.resources.cpu.mems",
            "linux.resources.pids.limit",
            "linux.resources.unified",
            "linux.resources.blockIO.weight",
            "linux.resources.blockIO.weightDevice",
            "linux.resources.blockIO.throttleReadBpsDevice",
            "linux.resources.blockIO.throttleWriteBpsDevice",
            "linux.resources.blockIO.throttleReadIOPSDevice",
            "linux.resources.blockIO.throttleWriteIOPSDevice",
        ],
    ),
];

const ROWS: &[Row] = &[
    applied("ociVersion", "lifecycle/state_fields"),
    applied("annotations", "lifecycle/annotations"),
    // Root and identity
    applied("root.path", "rootfs/is_the_root"),
    applied("root.readonly", "rootfs/readonly"),
    applied("hostname", "rootfs/hostname"),
    applied("domainname", "rootfs/domainname"),
    // Process
    applied("process.args", "process/args"),
    applied("process.env", "process/env"),
    applied("process.cwd", "process/cwd"),
    applied("process.terminal", "terminal/console_socket"),
    applied("process.consoleSize", "terminal/console_size"),
    applied("process.user.uid", "user/uid_and_gid"),
    applied("process.user.gid", "user/uid_and_gid"),
    applied("process.user.umask", "user/umask"),
    applied("process.user.additionalGids", "user/additional_gids"),
    refused("process.user.username", OTHER_PLATFORM),
    applied("process.capabilities.bounding", "user/capabilities_of_root"),
    applied("process.capabilities.effective", "user/capabilities_of_root"),
    applied("process.capabilities.permitted", "user/capabilities_of_root"),
    applied("process.capabilities.inheritable", "user/capabilities_inheritable"),
    applied("process.capabilities.ambient", "user/capabilities_of_user"),
    applied("process.rlimits", "process/rlimits"),
    applied("process.noNewPrivileges", "process/no_new_privileges"),
    applied("process.oomScoreAdj", "process/oom_score_adj"),
    applied("process.apparmorProfile", "process/apparmor_profile"),
    refused("process.selinuxLabel", "no kernel that it was tried on runs SELinux"),
    refused("process.scheduler", LATER),
    refused("process.ioPriority", LATER),
    refused("process.execCPUAffinity", LATER),
    refused("process.commandLine", OTHER_PLATFORM),
    // Mounts
    applied("mounts[].destination", "mounts/bind"),
    applied("mounts[].source", "mounts/bind"),
    applied("mounts[].type", "mounts/tmpfs"),
    applied("mounts[].options", "mounts/options"),
    applied("mounts[].options[]=idmap", "idmap/of_the_container"),
    applied("mounts[].options[]=ridmap", "idmap/recursive"),
    refused("mounts[].options[]=remount", "LXC ignores it"),
    refused("mounts[].options[]=shared", CUT_OFF),
    refused("mounts[].options[]=rshared", CUT_OFF),
    applied("mounts[].options[]=tmpcopyup", "mounts/tmpfs_copies_up"),
    refused("mounts[].uidMappings", OWN_IDS),
    refused("mounts[].gidMappings", OWN_IDS),
    // Hooks
    applied("hooks.prestart", "hooks/prestart"),
    applied("hooks.createRuntime", "hooks/create_runtime"),
    applied("hooks.createContainer", "hooks/create_container"),
    applied("hooks.startContainer", "hooks/start_container"),
    applied("hooks.poststart", "hooks/poststart"),
    applied("hooks.poststop", "hooks/poststop"),
    // Namespaces and what lives in them
    applied("linux.namespaces[].type", "namespaces/new_pid"),
    applied("linux.namespaces[].path", "namespaces/join_network"),
    applied("linux.uidMappings", "namespaces/user_mappings"),
    applied("linux.gidMappings", "namespaces/user_mappings"),
    applied("linux.timeOffsets", "namespaces/time_offsets"),
    applied("linux.sysctl", "sysctl/network"),
    refused("linux.netDevices", LATER),
    // Files and devices
    applied("linux.devices", "devices/configured"),
    applied("linux.maskedPaths", "paths/masked_file"),
    applied("linux.readonlyPaths", "paths/readonly_file"),
    applied("linux.rootfsPropagation", "rootfs/propagation_shared"),
    refused("linux.mountLabel", "LXC labels no mounts"),
    // Rights
    applied("linux.seccomp.defaultAction", "seccomp/default_action"),
    refused("linux.seccomp.defaultAction=SCMP_ACT_NOTIFY", NO_LISTENER),
    applied("linux.seccomp.defaultErrnoRet", "seccomp/default_errno_ret"),
    applied("linux.seccomp.architectures", "seccomp/foreign_architectures"),
    applied("linux.seccomp.flags", "seccomp/log_and_flags"),
    applied("linux.seccomp.syscalls", "seccomp/errno"),
    refused("linux.seccomp.syscalls[].action=SCMP_ACT_NOTIFY", NO_LISTENER),
    refused("linux.seccomp.listenerPath", NO_LISTENER),
    refused("linux.seccomp.listenerMetadata", NO_LISTENER),
    applied("linux.personality", "process/personality"),
    // Control groups
    applied("linux.cgroupsPath", "resources/path_absolute"),
    applied("linux.resources.devices", "devices/denied"),
    applied("linux.resources.memory.limit", "resources/memory"),
    applied("linux.resources.memory.reservation", "resources/memory_reservation"),
    applied("linux.resources.memory.swap", "resources/memory_swap"),
    refused("linux.resources.memory.kernel", LATER),
    refused("linux.resources.memory.kernelTCP", LATER),
    refused("linux.resources.memory.swappiness", LATER),
    refused("linux.resources.memory.swappiness=0", LATER),
    refused("linux.resources.memory.disableOOMKiller", LATER),
    ignored("linux.resources.memory.useHierarchy", "every kernel in use does so"),
    refused("linux.resources.memory.checkBeforeUpdate", LATER),
    applied("linux.resources.cpu.shares", "resources/cpu_shares"),
    applied("linux.resources.cpu.quota", "resources/cpu_quota"),
    applied("linux.resources.cpu.period", "resources/cpu_quota"),
    refused("linux.resources.cpu.burst", LATER),
    refused("linux.resources.cpu.realtimeRuntime", LATER),
    refused("linux.resources.cpu.realtimePeriod", LATER),
    refused("linux.resources.cpu.idle", LATER),
    applied("linux.resources.cpu.cpus", "resources/cpuset"),
    applied("linux.resources.cpu.mems", "resources/cpuset"),
    applied("linux.resources.pids.limit", "resources/pids"),
    applied("linux.resources.unified", "resources/unified"),
    applied("linux.resources.blockIO.weight", "resources/io_weight"),
    refused("linux.resources.blockIO.leafWeight", GONE),
    applied("linux.resources.blockIO.weightDevice", "resources/io_weight_device"),
    refused("linux.resources.blockIO.weightDevice[].leafWeight", GONE),
    applied("linux.resources.blockIO.throttleReadBpsDevice", "resources/io_read_bps"),
    applied("linux.resources.blockIO.throttleWriteBpsDevice", "resources/io_write_bps"),
    applied("linux.resources.blockIO.throttleReadIOPSDevice", "resources/io_read_iops"),
    applied("linux.resources.blockIO.throttleWriteIOPSDevice", "resources/io_write_iops"),
    refused("linux.resources.hugepageLimits", LATER),
    refused("linux.resources.network", LATER),
    refused("linux.resources.rdma", LATER),
    refused("linux.intelRdt", LATER),
    refused("linux.memoryPolicy", LATER),
    // Other platforms
    ignored("platform", "the specification dropped it"),
    ignored("solaris", OTHER_PLATFORM),
    ignored("windows", OTHER_PLATFORM),
    ignored("vm", OTHER_PLATFORM),
    ignored("zos", OTHER_PLATFORM),
    ignored("freebsd", OTHER_PLATFORM),
];

/// The table of this room.
pub const COVERAGE: Coverage = Coverage::new(ROWS);

/// Who applies the field of an applied row, by the row's path.
pub fn who(path: &str) -> Option<Who> {
    let listed = WHO.iter().find(|(_, paths)| paths.contains(&path));
    listed.map(|(who, _)| *who)
}

#[cfg(test)]
mod tests;
