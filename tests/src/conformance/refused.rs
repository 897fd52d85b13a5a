//! Fields that a runtime may not do yet: applied or refused, never dropped without a word.

use std::path::Path;

use lxcri_testkit::Room;
use lxcri_testkit::Stop;
use lxcri_testkit::Verdict;
use lxcri_testkit::ensure;
use lxcri_testkit::skip;
use serde_json::Value;
use serde_json::json;

use crate::registry::cases;

cases!("refused": never_silently_dropped, apparmor, selinux, other_platforms);

/// A field, its value, the words of which an error has to contain one, and a script that exits with 0
/// when the field is in force.
struct Field {
    pointer: &'static str,
    value: Value,
    words: &'static [&'static str],
    proof: &'static str,
}

fn field(
    pointer: &'static str,
    value: Value,
    words: &'static [&'static str],
    proof: &'static str,
) -> Field {
    Field { pointer, value, words, proof }
}

/// The fields of the specification that need something special to be applied.
fn fields() -> Vec<Field> {
    vec![
        field(
            "/linux/resources/blockIO",
            json!({ "weight": 500 }),
            &["blockio", "blkio", "io.weight", "io.bfq.weight", "weight"],
            "cat /sys/fs/cgroup/blkio/blkio.weight /sys/fs/cgroup/blkio/blkio.bfq.weight \
             /sys/fs/cgroup/io.weight /sys/fs/cgroup/io.bfq.weight 2>/dev/null | grep -qE '(^| )(500|4950)$'",
        ),
        field(
            "/linux/resources/hugepageLimits",
            json!([{ "pageSize": "2MB", "limit": 2_097_152 }]),
            &["hugepage", "hugetlb"],
            "cat /sys/fs/cgroup/hugetlb/hugetlb.2MB.limit_in_bytes /sys/fs/cgroup/hugetlb.2MB.max \
             /sys/fs/cgroup/unified/hugetlb.2MB.max 2>/dev/null | grep -q 2097152",
        ),
        field(
            "/linux/resources/network",
            json!({ "classID": 1_048_577, "priorities": [{ "name": "lo", "priority": 5 }] }),
            &["network", "net_cls", "net_prio", "classid"],
            "cat /sys/fs/cgroup/net_cls/net_cls.classid 2>/dev/null | grep -q 1048577",
        ),
        field(
            "/linux/resources/rdma",
            json!({ "mlx5_1": { "hcaHandles": 3, "hcaObjects": 10000 } }),
            &["rdma"],
            "cat /sys/fs/cgroup/rdma/rdma.max /sys/fs/cgroup/rdma.max 2>/dev/null | grep -q mlx5_1",
        ),
        field(
            "/linux/intelRdt",
            json!({ "closID": "x", "l3CacheSchema": "L3:0=f" }),
            &["intelrdt", "rdt", "resctrl"],
            "false",
        ),
        field(
            "/linux/memoryPolicy",
            json!({ "mode": "MPOL_INTERLEAVE", "nodes": "0" }),
            &["memorypolicy", "memory policy", "mempolicy", "mpol"],
            "grep -q interleave /proc/self/numa_maps",
        ),
        field(
            "/linux/netDevices",
            json!({ "no-such-dev": { "name": "eth7" } }),
            &["netdevices", "no-such-dev", "network device", "net device"],
            "test -e /sys/class/net/eth7",
        ),
        field(
            "/linux/mountLabel",
            json!("system_u:object_r:svirt_sandbox_file_t:s0"),
            &["mountlabel", "selinux", "label", "context="],
            "false",
        ),
        field(
            "/process/scheduler",
            json!({ "policy": "SCHED_BATCH", "nice": 5 }),
            &["scheduler"],
            "chrt -p $$ | grep -q SCHED_BATCH",
        ),
        field(
            "/process/ioPriority",
            json!({ "class": "IOPRIO_CLASS_IDLE", "priority": 0 }),
            &["iopriority", "ioprio", "io priority"],
            "ionice -p $$ | grep -q idle",
        ),
        field(
            "/process/execCPUAffinity",
            json!({ "initial": "0", "final": "0" }),
            &["execcpuaffinity", "affinity"],
            "true",
        ),
        field(
            "/linux/seccomp",
            json!({
                "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": "/nonexistent/listener.sock",
                "syscalls": [{ "names": ["mkdir"], "action": "SCMP_ACT_NOTIFY" }],
            }),
            &["listener", "notify", "seccomp"],
            "false",
        ),
        field(
            "/mounts/0",
            json!({ "destination": "/mnt", "type": "bind", "source": "/usr/share", "options": ["bind", "idmap"],
                "uidMappings": [{ "containerID": 0, "hostID": 5000, "size": 1000 }],
                "gidMappings": [{ "containerID": 0, "hostID": 5000, "size": 1000 }] }),
            &["idmap", "mapping", "mount_setattr"],
            "test $(stat -c %u /mnt) = 5000",
        ),
        field(
            "/linux/personality",
            json!({ "domain": "LINUX32" }),
            &["personality"],
            "grep -q 00000008 /proc/self/personality",
        ),
    ]
}

fn never_silently_dropped(room: &Room) -> Verdict {
    let mut wrong = Vec::new();
    for field in fields() {
        if let Err(Stop::Failed(message)) = applied_or_refused(room, &field) {
            wrong.push(format!("{}: {message}", field.pointer));
        }
    }
    ensure!(wrong.is_empty(), "{}", wrong.join("\n"));
    Ok(())
}

fn applied_or_refused(room: &Room, field: &Field) -> Verdict {
    let mut bundle = room.script(&format!("{} && exit 61; exit 62", field.proof))?;
    bundle.readonly_root(false).namespace("cgroup", None);
    if field.pointer == "/mounts/0" {
        bundle.push("/mounts", field.value.clone());
    } else {
        bundle.set(field.pointer, field.value.clone());
    }
    let finished = room.run(&bundle)?;
    ensure!(finished.code != 62, "accepted, but not in force: {finished}");
    if finished.code == 61 {
        return Ok(());
    }
    finished.refuses(field.words)?;
    Ok(())
}

/// AppArmor is not in every kernel: a profile is applied or refused.
fn apparmor(room: &Room) -> Verdict {
    if Path::new("/sys/kernel/security/apparmor/profiles").exists() {
        skip!("this kernel has AppArmor: the machine may know the profile");
    }
    let mut bundle = room.script("true")?;
    bundle.set("/process/apparmorProfile", json!("lxcri-no-such-profile"));
    room.run(&bundle)?.refuses(&["apparmor"])?;
    Ok(())
}

fn selinux(room: &Room) -> Verdict {
    if Path::new("/sys/fs/selinux/enforce").exists() {
        skip!("this kernel has SELinux: the label may be valid");
    }
    let mut bundle = room.script("true")?;
    bundle.set("/process/selinuxLabel", json!("system_u:system_r:svirt_lxc_net_t:s0:c1,c2"));
    room.run(&bundle)?.refuses(&["selinux", "keycreate", "label"])?;
    Ok(())
}

/// A configuration for another platform: no container by mistake.
fn other_platforms(room: &Room) -> Verdict {
    let mut bundle = room.script("true")?;
    bundle.set("/windows", json!({ "layerFolders": ["C:\\layer"] })).remove("/linux");
    room.run(&bundle)?.refuses(&[])?;
    Ok(())
}
