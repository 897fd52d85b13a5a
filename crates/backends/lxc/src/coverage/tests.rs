//! The table and the planner say the same.

use lxcri_core::coverage::Treatment;
use lxcri_core::oci::Spec;
use serde_json::{Value, json};

use super::*;
use crate::config::testing::{Anywhere, host, spec_value};
use crate::config::{By, How, Problem, plan};

/// A document in which the field of each applied row is set, as a patch of the smallest one.
fn patch(path: &str) -> Value {
    let mount = |mount: Value| json!({ "mounts": [mount] });
    let resources = |resources: Value| json!({ "linux": { "resources": resources } });
    let io = |name: &str, value: Value| json!({ "linux": { "resources": { "blockIO": { name: value } } } });
    let rate = json!([{ "major": 8, "minor": 0, "rate": 1000 }]);
    let process = |name: &str, value: Value| json!({ "process": { name: value } });
    let user = |name: &str, value: Value| json!({ "process": { "user": { name: value } } });
    let hook = json!([{ "path": "/bin/true" }]);
    let ids = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
    let in_user = |mut document: Value| {
        document["linux"] = json!({ "namespaces": [{ "type": "mount" }, { "type": "user" }],
            "uidMappings": ids.clone(), "gidMappings": ids.clone() });
        document
    };
    let seccomp = |name: &str, value: Value| {
        let mut profile = json!({ "defaultAction": "SCMP_ACT_ALLOW" });
        profile[name] = value;
        json!({ "linux": { "seccomp": profile } })
    };
    let bind = |options: Value| {
        mount(json!({ "destination": "/data", "source": "/srv", "options": options }))
    };
    match path {
        "root.readonly" => json!({ "root": { "readonly": true } }),
        "hostname" | "domainname" => json!({ path: "box" }),
        "process.args" => process("args", json!(["other"])),
        "process.env" => process("env", json!(["A=b\nc"])),
        "process.cwd" => process("cwd", json!("/home")),
        "process.terminal" => process("terminal", json!(true)),
        "process.consoleSize" => process("consoleSize", json!({ "height": 24, "width": 80 })),
        "process.user.uid" => user("uid", json!(7)),
        "process.user.gid" => user("gid", json!(7)),
        "process.user.umask" => user("umask", json!(63)),
        "process.user.additionalGids" => user("additionalGids", json!([7])),
        "process.rlimits" => {
            process("rlimits", json!([{ "type": "RLIMIT_NOFILE", "soft": 17, "hard": 23 }]))
        }
        "process.noNewPrivileges" => process("noNewPrivileges", json!(true)),
        "process.oomScoreAdj" => process("oomScoreAdj", json!(-500)),
        "process.apparmorProfile" => process("apparmorProfile", json!("some-profile")),
        "mounts[].destination" | "mounts[].source" => bind(json!(["rbind"])),
        "mounts[].type" => mount(json!({ "destination": "/run", "type": "tmpfs" })),
        "mounts[].options" => bind(json!(["bind", "nosuid"])),
        "mounts[].options[]=idmap" => in_user(bind(json!(["bind", "idmap"]))),
        "mounts[].options[]=ridmap" => in_user(bind(json!(["rbind", "ridmap"]))),
        "mounts[].options[]=tmpcopyup" => {
            mount(json!({ "destination": "/run", "type": "tmpfs", "options": ["tmpcopyup"] }))
        }
        "linux.namespaces[].type" => json!({ "linux": { "namespaces": [{ "type": "mount" }] } }),
        "linux.namespaces[].path" => json!({ "linux": { "namespaces": [{ "type": "mount" },
            { "type": "network", "path": "/run/netns/x" }] } }),
        "linux.uidMappings" | "linux.gidMappings" => in_user(json!({})),
        "linux.timeOffsets" => json!({ "linux": { "timeOffsets": { "boottime": { "secs": 7 } } } }),
        "linux.sysctl" => json!({ "linux": { "sysctl": { "net.ipv4.ip_forward": "1" } } }),
        "linux.devices" => json!({ "linux": { "devices": [
            { "type": "c", "path": "/dev/fuse", "major": 10, "minor": 229 }] } }),
        "linux.maskedPaths" | "linux.readonlyPaths" => {
            json!({ "linux": { path.trim_start_matches("linux."): ["/proc/kcore"] } })
        }
        "linux.rootfsPropagation" => json!({ "linux": { "rootfsPropagation": "rslave" } }),
        "linux.seccomp.defaultAction" => seccomp("defaultAction", json!("SCMP_ACT_KILL")),
        "linux.seccomp.defaultErrnoRet" => seccomp("defaultErrnoRet", json!(38)),
        "linux.seccomp.architectures" => seccomp("architectures", json!(["SCMP_ARCH_X86"])),
        "linux.seccomp.flags" => seccomp("flags", json!(["SECCOMP_FILTER_FLAG_LOG"])),
        "linux.seccomp.syscalls" => {
            seccomp("syscalls", json!([{ "names": ["mkdir"], "action": "SCMP_ACT_LOG" }]))
        }
        "linux.personality" => json!({ "linux": { "personality": { "domain": "LINUX32" } } }),
        "linux.cgroupsPath" => json!({ "linux": { "cgroupsPath": "/a/b" } }),
        "linux.resources.devices" => resources(json!({ "devices": [
            { "allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw" }] })),
        "linux.resources.memory.swap" => {
            resources(json!({ "memory": { "limit": 8_388_608, "swap": 16_777_216 } }))
        }
        "linux.resources.cpu.cpus" | "linux.resources.cpu.mems" => {
            resources(json!({ "cpu": { path.trim_start_matches("linux.resources.cpu."): "0" } }))
        }
        "linux.resources.pids.limit" => resources(json!({ "pids": { "limit": 64 } })),
        "linux.resources.unified" => resources(json!({ "unified": { "hugetlb.2MB.max": "0" } })),
        "linux.resources.blockIO.weight" => io("weight", json!(500)),
        "linux.resources.blockIO.weightDevice" => {
            io("weightDevice", json!([{ "major": 8, "minor": 0, "weight": 500 }]))
        }
        _ => {
            let last = path.rsplit('.').next().unwrap();
            if path.starts_with("hooks.") {
                return json!({ "hooks": { last: hook } });
            }
            if path.starts_with("process.capabilities.") {
                return process("capabilities", json!({ last: ["CAP_KILL"] }));
            }
            if path.starts_with("linux.resources.blockIO.throttle") {
                return io(last, rate);
            }
            let group = path.rsplit('.').nth(1).unwrap();
            resources(json!({ group: { last: 100_000 } }))
        }
    }
}

/// RFC 7396 in short: objects are merged, everything else replaces.
fn merge(into: &mut Value, patch: Value) {
    match (into.as_object_mut(), patch) {
        (Some(fields), Value::Object(patch)) => {
            for (name, value) in patch {
                merge(fields.entry(name).or_insert(json!({})), value);
            }
        }
        (_, patch) => *into = patch,
    }
}

fn how() -> How {
    How {
        seccomp: By::Init,
        apparmor: By::Init,
        mount_hook: Some("/hook".into()),
        ..How::default()
    }
}

fn planned(document: &Value) -> Result<crate::config::Plan, Problem> {
    let spec: Spec = serde_json::from_value(document.clone()).unwrap();
    plan(&spec, &host(), &how(), &Anywhere)
}

#[test]
fn a_field_has_one_row_and_an_applied_one_is_somebodys() {
    let mut paths: Vec<_> = ROWS.iter().map(|row| row.path).collect();
    paths.sort_unstable();
    paths.dedup();
    assert_eq!(paths.len(), ROWS.len());
    for row in ROWS {
        let is_applied = matches!(row.treatment, Treatment::Applied { .. });
        assert_eq!(who(row.path).is_some(), is_applied, "{}", row.path);
    }
    let listed: usize = WHO.iter().map(|(_, paths)| paths.len()).sum();
    let applied = ROWS.iter().filter(|row| matches!(row.treatment, Treatment::Applied { .. }));
    assert_eq!(listed, applied.count());
}

/// What is said to be applied leaves its trace where it is said to be applied.
#[test]
fn what_is_applied_is_in_the_plan() {
    let smallest = planned(&spec_value()).unwrap();
    for row in ROWS.iter().filter(|row| matches!(row.treatment, Treatment::Applied { .. })) {
        // Of these the record and the room take care.
        if matches!(row.path, "ociVersion" | "annotations" | "root.path") {
            continue;
        }
        let mut document = spec_value();
        merge(&mut document, patch(row.path));
        let text = serde_json::to_vec(&document).unwrap();
        assert_eq!(COVERAGE.check(&text).refused, [], "{}", row.path);
        let plan = planned(&document).unwrap_or_else(|error| panic!("{}: {error}", row.path));
        let by_lxc = plan.config != smallest.config;
        let by_init = plan.inside != smallest.inside;
        let by_host = plan.hooks != smallest.hooks;
        let found = match who(row.path).unwrap() {
            Who::Lxc => by_lxc,
            Who::Init => by_init,
            Who::Both => by_lxc && by_init,
            Who::Host => by_host,
        };
        assert!(found, "{}: no trace of it in the plan", row.path);
        if row.path.starts_with("linux.resources.") {
            assert!(plan.read_back != smallest.read_back, "{}: never read back", row.path);
        }
    }
}

/// The types do not have these at all, so that the table alone refuses them.
const NOT_IN_THE_TYPES: [&str; 7] = [
    "process.user.username",
    "process.scheduler",
    "process.ioPriority",
    "process.execCPUAffinity",
    "process.commandLine",
    "linux.netDevices",
    "linux.intelRdt",
];

fn refused_patch(path: &str) -> Value {
    let memory = |name: &str, value: Value| json!({ "linux": { "resources": { "memory": { name: value } } } });
    let ids = json!([{ "containerID": 0, "hostID": 5, "size": 1 }]);
    let mut bind =
        json!({ "destination": "/data", "source": "/srv", "type": "bind", "options": ["rbind"] });
    let notify = json!("SCMP_ACT_NOTIFY");
    match path {
        "process.selinuxLabel" => json!({ "process": { "selinuxLabel": "x" } }),
        "linux.mountLabel" => json!({ "linux": { "mountLabel": "x" } }),
        "mounts[].uidMappings" | "mounts[].gidMappings" => {
            bind[path.trim_start_matches("mounts[].")] = ids;
            json!({ "mounts": [bind] })
        }
        "linux.resources.memory.kernel" | "linux.resources.memory.kernelTCP" => {
            memory(path.rsplit('.').next().unwrap(), json!(4096))
        }
        "linux.resources.memory.swappiness" => memory("swappiness", json!(5)),
        "linux.resources.memory.swappiness=0" => memory("swappiness", json!(0)),
        "linux.resources.memory.disableOOMKiller" | "linux.resources.memory.checkBeforeUpdate" => {
            memory(path.rsplit('.').next().unwrap(), json!(true))
        }
        "linux.resources.blockIO.leafWeight" => {
            json!({ "linux": { "resources": { "blockIO": { "leafWeight": 10 } } } })
        }
        "linux.resources.blockIO.weightDevice[].leafWeight" => json!({ "linux": { "resources": {
            "blockIO": { "weightDevice": [{ "major": 8, "minor": 0, "leafWeight": 10 }] } } } }),
        "linux.resources.hugepageLimits" => json!({ "linux": { "resources": {
            "hugepageLimits": [{ "pageSize": "2MB", "limit": 1 }] } } }),
        "linux.resources.network" => {
            json!({ "linux": { "resources": { "network": { "classID": 1 } } } })
        }
        "linux.resources.rdma" => {
            json!({ "linux": { "resources": { "rdma": { "mlx": { "hcaHandles": 1 } } } } })
        }
        "linux.seccomp.defaultAction=SCMP_ACT_NOTIFY" => {
            json!({ "linux": { "seccomp": { "defaultAction": notify } } })
        }
        "linux.seccomp.syscalls[].action=SCMP_ACT_NOTIFY" => {
            json!({ "linux": { "seccomp": { "defaultAction": "SCMP_ACT_ALLOW",
                "syscalls": [{ "names": ["mkdir"], "action": notify }] } } })
        }
        "linux.seccomp.listenerPath" | "linux.seccomp.listenerMetadata" => {
            let mut profile = json!({ "defaultAction": "SCMP_ACT_ALLOW" });
            profile[path.rsplit('.').next().unwrap()] = json!("/x");
            json!({ "linux": { "seccomp": profile } })
        }
        _ => match path.strip_prefix("mounts[].options[]=") {
            Some("remount") => json!({ "mounts": [
                { "destination": "/data", "type": "tmpfs", "options": ["remount"] }] }),
            Some(word) => {
                bind["options"] = json!([word, "rbind"]);
                json!({ "mounts": [bind] })
            }
            None => {
                let name = path.rsplit('.').next().unwrap();
                json!({ "linux": { "resources": { "cpu": { name: 1 } } } })
            }
        },
    }
}

/// What is said to be refused is refused by the planner too, under the same name.
#[test]
fn what_is_refused_has_no_plan() {
    for row in ROWS.iter().filter(|row| matches!(row.treatment, Treatment::Refused { .. })) {
        if NOT_IN_THE_TYPES.contains(&row.path) || row.path == "linux.memoryPolicy" {
            continue;
        }
        let mut document = spec_value();
        merge(&mut document, refused_patch(row.path));
        let text = serde_json::to_vec(&document).unwrap();
        assert!(!COVERAGE.check(&text).refused.is_empty(), "{}: not found by the table", row.path);
        match planned(&document) {
            Err(Problem::Refused { findings }) => {
                let name = row.path.split("=0").next().unwrap();
                assert!(findings.iter().any(|f| f.field == name), "{}: {findings:?}", row.path);
            }
            other => panic!("{}: {other:?}", row.path),
        }
    }
}

#[test]
fn what_engines_always_write_passes() {
    let text = r#"{"ociVersion": "1.0.2", "process": {"terminal": false, "user": {"uid": 0},
        "args": ["sh"], "cwd": "/", "apparmorProfile": "", "oomScoreAdj": 0, "selinuxLabel": ""},
        "root": {"path": "rootfs"}, "hooks": {}, "linux": {"namespaces": [{"type": "pid"}],
        "personality": {"domain": "LINUX"}, "mountLabel": "",
        "resources": {"memory": {"disableOOMKiller": false}, "blockIO": {}, "cpu": {"burst": 0}}}}"#;
    let findings = COVERAGE.check(text.as_bytes());
    assert_eq!((findings.refused, findings.ignored), (vec![], vec![]));
}
