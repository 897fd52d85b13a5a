//! What becomes of each field of `config.json`. The program gets the document as it is; "applied"
//! are the fields whose effect a conformance case has seen through every driven program that lists
//! them among its features. What depends on the program's version is judged in `check`.

use lxcri_core::coverage::{Coverage, Row, applied, ignored, refused};

const UNPROVEN: &str = "no test has shown yet that the driven programs apply it";
const NO_MODULE: &str =
    "not shown yet to be applied, and crun passes over it where the kernel lacks the module";
const OTHER_PLATFORM: &str = "is for another platform";

const ROWS: &[Row] = &[
    applied("ociVersion", "lifecycle/state_fields"),
    applied("annotations", "lifecycle/annotations"),
    // process
    applied("process.terminal", "terminal/console_socket"),
    applied("process.consoleSize", "terminal/console_size"),
    applied("process.user.uid", "user/uid_and_gid"),
    applied("process.user.gid", "user/uid_and_gid"),
    applied("process.user.umask", "user/umask"),
    applied("process.user.additionalGids", "user/additional_gids"),
    ignored("process.user.username", "has a meaning on Windows only"),
    applied("process.args", "process/args"),
    refused("process.commandLine", OTHER_PLATFORM),
    applied("process.env", "process/env"),
    applied("process.cwd", "process/cwd"),
    applied("process.capabilities.bounding", "user/capabilities_of_root"),
    applied("process.capabilities.effective", "user/capabilities_of_root"),
    applied("process.capabilities.permitted", "user/capabilities_of_root"),
    applied("process.capabilities.inheritable", "user/capabilities_inheritable"),
    applied("process.capabilities.ambient", "user/capabilities_of_user"),
    applied("process.rlimits", "process/rlimits"),
    applied("process.noNewPrivileges", "process/no_new_privileges"),
    applied("process.oomScoreAdj", "process/oom_score_adj"),
    applied("process.apparmorProfile", "process/apparmor_profile"),
    refused("process.selinuxLabel", NO_MODULE),
    refused("process.scheduler", UNPROVEN),
    refused("process.ioPriority", UNPROVEN),
    refused("process.execCPUAffinity", UNPROVEN),
    // root file system
    applied("root.path", "rootfs/is_the_root"),
    applied("root.readonly", "rootfs/readonly"),
    applied("hostname", "rootfs/hostname"),
    applied("domainname", "rootfs/domainname"),
    applied("mounts[].destination", "mounts/bind"),
    applied("mounts[].source", "mounts/bind"),
    applied("mounts[].type", "mounts/tmpfs"),
    applied("mounts[].options", "mounts/options"),
    refused("mounts[].options[]=idmap", UNPROVEN),
    refused("mounts[].options[]=ridmap", UNPROVEN),
    refused("mounts[].uidMappings", UNPROVEN),
    refused("mounts[].gidMappings", UNPROVEN),
    // hooks
    applied("hooks.prestart", "hooks/prestart"),
    applied("hooks.createRuntime", "hooks/create_runtime"),
    applied("hooks.createContainer", "hooks/create_container"),
    applied("hooks.startContainer", "hooks/start_container"),
    applied("hooks.poststart", "hooks/poststart"),
    applied("hooks.poststop", "hooks/poststop"),
    // linux
    applied("linux.namespaces[].type", "namespaces/new_pid"),
    applied("linux.namespaces[].type=pid", "namespaces/new_pid"),
    applied("linux.namespaces[].type=network", "namespaces/new_network"),
    applied("linux.namespaces[].type=ipc", "namespaces/new_ipc"),
    applied("linux.namespaces[].type=uts", "namespaces/new_uts"),
    applied("linux.namespaces[].type=mount", "namespaces/new_mount"),
    applied("linux.namespaces[].type=cgroup", "namespaces/new_cgroup"),
    applied("linux.namespaces[].type=time", "namespaces/new_time"),
    applied("linux.namespaces[].type=user", "namespaces/new_user"),
    applied("linux.namespaces[].path", "namespaces/join_network"),
    applied("linux.uidMappings", "namespaces/user_mappings"),
    applied("linux.gidMappings", "namespaces/user_mappings"),
    applied("linux.timeOffsets", "namespaces/time_offsets"),
    applied("linux.devices", "devices/configured"),
    applied("linux.sysctl", "sysctl/network"),
    applied("linux.cgroupsPath", "resources/path_absolute"),
    applied("linux.rootfsPropagation", "rootfs/propagation_shared"),
    applied("linux.maskedPaths", "paths/masked_file"),
    applied("linux.readonlyPaths", "paths/readonly_file"),
    refused("linux.mountLabel", NO_MODULE),
    refused("linux.personality", UNPROVEN),
    applied("linux.personality.domain=LINUX", "process/personality_of_this_machine"),
    refused("linux.intelRdt", UNPROVEN),
    refused("linux.netDevices", UNPROVEN),
    refused("linux.memoryPolicy", UNPROVEN),
    // linux.resources
    applied("linux.resources.devices", "devices/allowed_by_rule"),
    applied("linux.resources.memory.limit", "resources/memory"),
    applied("linux.resources.memory.reservation", "resources/memory_reservation"),
    applied("linux.resources.memory.swap", "resources/memory_swap"),
    ignored("linux.resources.memory.kernel", "kernels since 5.16 do not have this limit"),
    refused("linux.resources.memory.kernelTCP", UNPROVEN),
    refused("linux.resources.memory.swappiness", UNPROVEN),
    refused("linux.resources.memory.swappiness=0", UNPROVEN),
    refused("linux.resources.memory.disableOOMKiller", UNPROVEN),
    ignored("linux.resources.memory.useHierarchy", "the kernel always counts by hierarchy"),
    refused("linux.resources.memory.checkBeforeUpdate", UNPROVEN),
    applied("linux.resources.cpu.shares", "resources/cpu_shares"),
    applied("linux.resources.cpu.quota", "resources/cpu_quota"),
    applied("linux.resources.cpu.period", "resources/cpu_quota"),
    refused("linux.resources.cpu.burst", UNPROVEN),
    refused("linux.resources.cpu.realtimeRuntime", UNPROVEN),
    refused("linux.resources.cpu.realtimePeriod", UNPROVEN),
    applied("linux.resources.cpu.cpus", "resources/cpuset"),
    applied("linux.resources.cpu.mems", "resources/cpuset"),
    refused("linux.resources.cpu.idle", UNPROVEN),
    applied("linux.resources.pids.limit", "resources/pids"),
    applied("linux.resources.blockIO.weight", "resources/io_weight"),
    refused("linux.resources.blockIO.leafWeight", "Linux has no such setting any more"),
    applied("linux.resources.blockIO.weightDevice", "resources/io_weight_device"),
    refused(
        "linux.resources.blockIO.weightDevice[].leafWeight",
        "Linux has no such setting any more",
    ),
    applied("linux.resources.blockIO.throttleReadBpsDevice", "resources/io_read_bps"),
    applied("linux.resources.blockIO.throttleWriteBpsDevice", "resources/io_write_bps"),
    applied("linux.resources.blockIO.throttleReadIOPSDevice", "resources/io_read_iops"),
    applied("linux.resources.blockIO.throttleWriteIOPSDevice", "resources/io_write_iops"),
    refused("linux.resources.hugepageLimits", UNPROVEN),
    refused("linux.resources.network", UNPROVEN),
    refused("linux.resources.rdma", UNPROVEN),
    applied("linux.resources.unified", "resources/unified"),
    // linux.seccomp
    applied("linux.seccomp.defaultAction", "seccomp/default_action"),
    applied("linux.seccomp.defaultErrnoRet", "seccomp/default_errno_ret"),
    applied("linux.seccomp.architectures", "seccomp/foreign_architectures"),
    applied("linux.seccomp.flags", "seccomp/log_and_flags"),
    applied("linux.seccomp.syscalls[].names", "seccomp/errno"),
    applied("linux.seccomp.syscalls[].action", "seccomp/errno"),
    refused("linux.seccomp.syscalls[].action=SCMP_ACT_NOTIFY", UNPROVEN),
    applied("linux.seccomp.syscalls[].errnoRet", "seccomp/errno"),
    applied("linux.seccomp.syscalls[].args", "seccomp/argument"),
    // Podman and Docker leave these two of their own in the profile.
    ignored("linux.seccomp.syscalls[].comment", "is a remark"),
    ignored("linux.seccomp.syscalls[].comments", "is a remark"),
    refused("linux.seccomp.defaultAction=SCMP_ACT_NOTIFY", UNPROVEN),
    refused("linux.seccomp.listenerPath", UNPROVEN),
    refused("linux.seccomp.listenerMetadata", UNPROVEN),
    // other platforms
    refused("windows", OTHER_PLATFORM),
    refused("solaris", OTHER_PLATFORM),
    refused("vm", OTHER_PLATFORM),
    refused("zos", OTHER_PLATFORM),
    refused("freebsd", OTHER_PLATFORM),
];

/// The table of this room.
pub(crate) const COVERAGE: Coverage = Coverage::new(ROWS);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_field_has_one_row() {
        let mut paths: Vec<_> = ROWS.iter().map(|row| row.path).collect();
        let all = paths.len();
        paths.sort_unstable();
        paths.dedup();
        assert_eq!(paths.len(), all);
    }

    #[test]
    fn what_engines_always_write_passes() {
        let text = r#"{"ociVersion": "1.0.2", "process": {"terminal": false, "user": {"uid": 0},
            "args": ["sh"], "cwd": "/", "apparmorProfile": "", "oomScoreAdj": 0},
            "root": {"path": "rootfs"}, "hooks": {}, "linux": {"namespaces": [{"type": "pid"}],
            "personality": {"domain": "LINUX"},
            "resources": {"memory": {"disableOOMKiller": false}, "blockIO": {}, "cpu": {"burst": 0}}}}"#;
        let findings = COVERAGE.check(text.as_bytes());
        assert_eq!((findings.refused, findings.ignored), (vec![], vec![]));
    }

    #[test]
    fn what_is_not_proven_is_refused() {
        let text = r#"{"process": {"selinuxLabel": "p", "scheduler": {"policy": "SCHED_RR"}},
            "linux": {"personality": {"domain": "LINUX32"}, "seccomp": {"listenerPath": "/x"}},
            "windows": {"layerFolders": ["x"]}}"#;
        let refused = COVERAGE.check(text.as_bytes()).refused;
        let fields: Vec<_> = refused.iter().map(|finding| finding.field.as_str()).collect();
        assert_eq!(
            fields,
            [
                "process.selinuxLabel",
                "process.scheduler.policy",
                "linux.personality.domain",
                "linux.seccomp.listenerPath",
                "windows.layerFolders[]"
            ]
        );
    }
}
