//! Whole plans: what stands in the file, and what can never get into it.

use lxcri_core::oci::Spec;
use serde_json::{Value, json};

use super::testing::{Anywhere, host, host_v2, spec_value};
use super::*;

fn spec(value: &Value) -> Spec {
    serde_json::from_value(value.clone()).unwrap()
}

fn planned(value: &Value, host: &Host, how: &How) -> std::result::Result<Plan, String> {
    plan(&spec(value), host, how, &Anywhere).map_err(|error| error.to_string())
}

fn how() -> How {
    How {
        init: Init {
            command: "/.lxcri/init --socket 3".into(),
            capabilities: vec!["CAP_SYS_ADMIN".into(), "CAP_KILL".into()],
            mounts: vec![OwnMount {
                source: "/usr/libexec/lxcri".into(),
                destination: "/.lxcri".into(),
                directory: true,
                writable: false,
            }],
            nested_pid_namespace: true,
        },
        mount_hook: Some("/usr/libexec/lxcri-hook box".into()),
        new_keyring: true,
        raw_keys: vec!["lxc.signal.*".into()],
        ..How::default()
    }
}

/// A document that uses nearly every field with text in it.
fn full() -> Value {
    json!({
        "ociVersion": "1.2.0",
        "process": {
            "terminal": true,
            "user": { "uid": 7, "gid": 8, "additionalGids": [9] },
            "args": ["sh", "-c", "echo a\necho b"],
            "env": ["A=b\nc"],
            "cwd": "/work dir",
            "capabilities": { "bounding": ["CAP_KILL", "CAP_CHOWN"], "effective": ["CAP_KILL"],
                "permitted": ["CAP_KILL"], "inheritable": ["CAP_KILL"], "ambient": ["CAP_KILL"] },
            "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 18_446_744_073_709_551_615u64, "soft": 5 }],
            "apparmorProfile": "my profile",
            "oomScoreAdj": -5,
            "noNewPrivileges": true,
        },
        "root": { "path": "rootfs", "readonly": true },
        "hostname": "box",
        "domainname": "example",
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid"] },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs",
              "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] },
            { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
              "options": ["newinstance", "ptmxmode=0666", "gid=5"] },
            { "destination": "/data", "type": "bind", "source": "a b", "options": ["rbind", "ro", "rslave"] },
            { "destination": "/some.file", "source": "/etc/some.file", "options": ["bind", "nodev"] },
            { "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["ro"] },
        ],
        "hooks": {
            "createContainer": [{ "path": "/bin/hook", "args": ["hook", "x"], "env": ["A=b"] }],
            "startContainer": [{ "path": "/bin/hook" }],
        },
        "annotations": { "io.proxmox-lxcri.lxc.signal.halt": "SIGTERM", "other": "x" },
        "linux": {
            "uidMappings": [{ "containerID": 0, "hostID": 100_000, "size": 65_536 }],
            "gidMappings": [{ "containerID": 0, "hostID": 100_000, "size": 65_536 }],
            "namespaces": [{ "type": "mount" }, { "type": "pid" }, { "type": "user" },
                { "type": "network", "path": "/run/netns/x" }, { "type": "uts" }, { "type": "ipc" },
                { "type": "time" }, { "type": "cgroup" }],
            "timeOffsets": { "boottime": { "secs": 7 } },
            "sysctl": { "net.ipv4.ip_forward": "1", "net.ipv4.conf.a/b.rp_filter": "0" },
            "cgroupsPath": "/pods/box",
            "devices": [{ "type": "c", "path": "/dev/fuse", "major": 10, "minor": 229 }],
            "rootfsPropagation": "rslave",
            "maskedPaths": ["/proc/kcore"],
            "readonlyPaths": ["/proc/sys"],
            "personality": { "domain": "LINUX" },
            "seccomp": { "defaultAction": "SCMP_ACT_ERRNO",
                "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32",
                    "SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"],
                "flags": ["SECCOMP_FILTER_FLAG_TSYNC"],
                "syscalls": [{ "names": ["read"], "action": "SCMP_ACT_ALLOW",
                    "args": [{ "index": 0, "value": 1, "op": "SCMP_CMP_EQ" }] }] },
            "resources": {
                "devices": [{ "allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw" }],
                "memory": { "limit": 67_108_864, "swap": 134_217_728, "reservation": 33_554_432 },
                "cpu": { "shares": 512, "quota": 50_000, "period": 100_000, "cpus": "0-1", "mems": "0" },
                "pids": { "limit": 64 },
                "blockIO": { "weight": 500,
                    "throttleReadBpsDevice": [{ "major": 8, "minor": 0, "rate": 1000 }] },
                "unified": { "hugetlb.2MB.max": "2097152" },
            },
        },
    })
}

#[test]
fn the_whole_file() {
    let plan = planned(&full(), &host(), &how()).unwrap();
    let wanted = include_str!("tests/full.conf");
    if std::env::var_os("UPDATE_DOCUMENTS").is_some() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/config/tests/full.conf");
        std::fs::write(path, &plan.config).unwrap();
    }
    assert_eq!(plan.config, wanted);
    let profile = plan.seccomp.unwrap();
    assert_eq!(profile.path.to_str(), Some("/var/lib/lxcri/box/seccomp"));
    assert_eq!(profile.text, "2\nallowlist errno 1\n[all]\nread allow [0,1,SCMP_CMP_EQ]\n");
    assert_eq!(plan.hooks.create_container.len(), 1);
    assert_eq!(plan.ignored, []);
    let inside = plan.inside;
    assert_eq!(inside.args[2], "echo a\necho b");
    assert_eq!(inside.domainname.as_deref(), Some("example"));
    assert_eq!(inside.capabilities.bounding, ["CAP_CHOWN", "CAP_KILL"]);
    assert_eq!(inside.sysctls[0].key, "net.ipv4.conf.a/b.rp_filter");
    let words: Vec<_> = inside.mount_attributes.iter().map(|m| m.options.join(",")).collect();
    assert_eq!(words, ["rslave", "rslave", "nodev"]);
    assert_eq!(inside.mounts[0].kind, "proc");
    assert!(inside.readonly_root && inside.devices.is_empty() && inside.device_links);
    let text = serde_json::to_string(&inside).unwrap();
    assert_eq!(serde_json::from_str::<Inside>(&text).unwrap(), inside);
}

/// Names and values of limits, by where their controller is.
#[test]
fn limits_go_where_their_controller_is() {
    let value = full();
    let lines = |host: &Host| -> Vec<String> {
        let text = planned(&value, host, &how()).unwrap().config;
        let is_limit = |line: &&str| {
            line.starts_with("lxc.cgroup") && !line.contains(".devices.") && !line.contains(".dir.")
        };
        text.lines().filter(is_limit).map(str::to_owned).collect()
    };
    let hybrid = [
        "lxc.cgroup.memory.limit_in_bytes = 67108864",
        "lxc.cgroup.memory.soft_limit_in_bytes = 33554432",
        "lxc.cgroup.memory.memsw.limit_in_bytes = 134217728",
        "lxc.cgroup.cpu.shares = 512",
        "lxc.cgroup.cpu.cfs_period_us = 100000",
        "lxc.cgroup.cpu.cfs_quota_us = 50000",
        "lxc.cgroup.cpuset.cpus = 0-1",
        "lxc.cgroup.cpuset.mems = 0",
        "lxc.cgroup.pids.max = 64",
        "lxc.cgroup.blkio.bfq.weight = 500",
        "lxc.cgroup.blkio.throttle.read_bps_device = 8:0 1000",
        // In the v2 tree, and yet under the key of v1: on a hybrid host liblxc knows no other.
        "lxc.cgroup.hugetlb.2MB.max = 2097152",
    ];
    assert_eq!(lines(&host()), hybrid);
    let v2 = [
        "lxc.cgroup2.memory.max = 67108864",
        "lxc.cgroup2.memory.low = 33554432",
        "lxc.cgroup2.memory.swap.max = 67108864",
        "lxc.cgroup2.cpu.weight = 59",
        "lxc.cgroup2.cpu.max = 50000 100000",
        "lxc.cgroup2.cpuset.cpus = 0-1",
        "lxc.cgroup2.cpuset.mems = 0",
        "lxc.cgroup2.pids.max = 64",
        "lxc.cgroup2.io.weight = 4950",
        "lxc.cgroup2.io.max = 8:0 rbps=1000",
        "lxc.cgroup2.hugetlb.2MB.max = 2097152",
    ];
    assert_eq!(lines(&host_v2()), v2);
    for host in [host(), host_v2()] {
        let plan = planned(&value, &host, &how()).unwrap();
        let limits = lines(&host).len();
        let of_devices = usize::from(host.cgroups.v1_of("devices").is_some());
        assert_eq!(plan.read_back.len(), limits + of_devices, "every limit is read back");
    }
}

#[test]
fn what_this_host_lacks_is_refused_by_name() {
    let mut bare = host();
    bare.apparmor = false;
    bare.cgroups.v1.clear();
    bare.cgroups.v2 = None;
    bare.cgroups.kind = lxcri_linux::cgroup::LayoutKind::V1;
    let Err(Problem::Refused { findings }) = plan(&spec(&full()), &bare, &how(), &Anywhere) else {
        panic!("not refused")
    };
    let fields: Vec<_> = findings.iter().map(|finding| finding.field.as_str()).collect();
    for field in [
        "process.apparmorProfile",
        "linux.resources.memory.limit",
        "linux.resources.cpu.shares",
        "linux.resources.pids.limit",
        "linux.resources.devices",
        "linux.resources.unified",
        "linux.resources.blockIO.weight",
    ] {
        assert!(fields.contains(&field), "{field} in {fields:?}");
    }
    let old = Host { liblxc: Liblxc { major: 4, minor: 0 }, ..host() };
    assert!(planned(&full(), &old, &how()).unwrap_err().contains("too old"));
}

#[test]
fn offsets_that_lxc_cannot_express() {
    let mut document = full();
    document["linux"]["timeOffsets"] = json!({ "boottime": { "secs": -7, "nanosecs": 5 } });
    let plan = planned(&document, &host(), &how()).unwrap();
    assert_eq!(plan.inside.time_namespace.unwrap()["boottime"].nanosecs, 5);
    let has = |text: &str| plan.config.contains(text);
    assert!(!has("lxc.time") && !has(" time") && has("sys_time"), "{}", plan.config);
    for (offset, line) in [(json!({ "secs": -7 }), "-7s"), (json!({ "nanosecs": 5 }), "5ns")] {
        document["linux"]["timeOffsets"]["boottime"] = offset;
        let plan = planned(&document, &host(), &how()).unwrap();
        assert!(
            plan.config.contains(&format!("lxc.time.offset.boot = {line}\n")),
            "{}",
            plan.config
        );
        assert_eq!(plan.inside.time_namespace, None);
    }
}

#[test]
fn contradictions() {
    let with = |pointer: &str, value: Value| {
        let mut document = full();
        *document.pointer_mut(pointer).unwrap() = value;
        planned(&document, &host(), &how()).unwrap_err()
    };
    let mount = |mount: Value| with("/mounts/3", mount);
    let table = [
        (
            with("/linux/namespaces/0", json!({ "type": "mount", "path": "/x" })),
            "new mount namespace",
        ),
        (with("/linux/namespaces/1", json!({ "type": "mount" })), "mount is listed twice"),
        (with("/linux/namespaces/3/path", json!("netns/x")), "[3].path: netns/x is not absolute"),
        (with("/linux/uidMappings", json!([])), "needs uidMappings and gidMappings"),
        (with("/linux/uidMappings/0/containerID", json!(5)), "needs id 0"),
        (with("/linux/uidMappings/0/size", json!(0)), "range 0 has size 0"),
        (with("/linux/timeOffsets", json!({ "x": { "secs": 1 } })), "unknown clock"),
        (
            with("/linux/timeOffsets/boottime", json!({ "nanosecs": 1_000_000_000 })),
            "a whole second",
        ),
        (with("/linux/sysctl", json!({ "kernel.panic": "1" })), "whole machine"),
        (with("/linux/cgroupsPath", json!("/a/../b")), "has `..` in it"),
        (with("/linux/cgroupsPath", json!("//")), "names the root"),
        (with("/linux/devices/0/path", json!("/dev/none")), "the host has no such device"),
        (with("/linux/devices/0/minor", json!(3)), "the host's node is another device"),
        (with("/linux/rootfsPropagation", json!("rsome")), "unknown propagation"),
        (with("/linux/resources/memory/swap", json!(1)), "lower than the memory limit"),
        (with("/linux/resources/cpu/shares", json!(1)), "between 2 and 262144"),
        (with("/linux/resources/cpu/cpus", json!("0-1 ")), "is not a list"),
        (with("/process/rlimits/0/type", json!("RLIMIT_X")), "unknown resource limit"),
        (with("/process/rlimits/0/hard", json!(1)), "soft limit 5 is above hard limit 1"),
        (with("/process/cwd", json!("work")), "is not an absolute path"),
        (with("/process/apparmorProfile", json!("generated")), "no name of a profile"),
        (with("/hostname", json!("x".repeat(65))), "has 65 bytes"),
        (mount(json!({ "destination": "/" , "type": "tmpfs" })), "is the root itself"),
        (mount(json!({ "destination": "/a/..", "type": "tmpfs" })), "is the root itself"),
        (mount(json!({ "destination": "/proc/sys", "type": "tmpfs" })), "inside /proc"),
        (mount(json!({ "destination": "/x" })), "options do not say bind"),
        (mount(json!({ "destination": "/x", "type": "bind" })), "a bind mount needs one"),
        (
            mount(json!({ "destination": "/x", "source": "/y", "options": ["bind", "mode=1"] })),
            "unknown mount option",
        ),
        (
            mount(json!({ "destination": "/x", "type": "fuse.x", "options": ["allow_other"] })),
            "options[]=allow_other",
        ),
        (
            mount(json!({ "destination": "/x", "source": "/y", "options": ["rbind", "idmap"] })),
            "ask for ridmap",
        ),
        (
            mount(json!({ "destination": "/proc/meminfo", "source": "/y", "options": ["bind"] })),
            "would be hidden by /proc",
        ),
    ];
    for (error, wanted) in table {
        assert!(error.contains(wanted), "{error:?} does not say {wanted:?}");
    }
}

#[test]
fn our_own_words_are_checked_too() {
    let broken: [(How, Host, &str); 6] = [
        (
            How { init: Init { command: "/init;x".into(), ..how().init }, ..how() },
            host(),
            "lxcri-init",
        ),
        (How { mount_hook: Some("hook".into()), ..how() }, host(), "mount hook"),
        (
            How { init: Init { capabilities: vec!["CAP_X".into()], ..how().init }, ..how() },
            host(),
            "CAP_X",
        ),
        (how(), Host { rootfs: "rootfs".into(), ..host() }, "is not absolute"),
        (how(), Host { rootfs: "/a\nlxc.hook.start = /x".into(), ..host() }, "line feed"),
        (how(), Host { lxcpath: "/a ".into(), rootfs: "/a ".into(), ..host() }, "blank"),
    ];
    for (how, host, wanted) in broken {
        let error = planned(&full(), &host, &how).unwrap_err();
        assert!(error.contains(wanted), "{error}");
    }
}

#[test]
fn mounts_below_mounts() {
    let mut document = full();
    document["mounts"] = json!([
        { "destination": "/vol", "source": "/srv/vol", "options": ["bind"] },
        { "destination": "/vol/in", "type": "tmpfs" },
        { "destination": "/run", "type": "tmpfs", "options": ["mode=755"] },
        { "destination": "/run/new", "type": "tmpfs" },
    ]);
    let text = planned(&document, &host(), &how()).unwrap().config;
    let made = |name: &str| {
        let line = text.lines().find(|line| line.contains(&format!(" {name} "))).unwrap();
        line.contains("create=dir")
    };
    assert_eq!((made("vol"), made("run"), made("run/new")), (true, true, true));
    assert!(!made("vol/in"), "in somebody's directory LXC must make nothing");
    document["mounts"][2]["options"] = json!(["tmpcopyup"]);
    let error = planned(&document, &host(), &how()).unwrap_err();
    assert!(error.contains("hidden by /run"), "{error}");
}

/// Answers for a root file system in which `/link` is a link.
#[derive(Debug)]
struct WithLink(&'static str);

impl Files for WithLink {
    fn is_directory(&self, source: &std::path::Path) -> std::io::Result<bool> {
        Anywhere.is_directory(source)
    }

    fn destination(&self, path: &std::path::Path) -> std::io::Result<Destination> {
        let real = match path.strip_prefix("/link") {
            Ok(rest) => std::path::Path::new(self.0).join(rest),
            Err(_) => path.to_owned(),
        };
        Anywhere.destination(&real.components().collect::<std::path::PathBuf>())
    }

    fn device(&self, path: &std::path::Path) -> std::io::Result<Option<HostDevice>> {
        Anywhere.device(path)
    }

    fn is_own_namespace(
        &self,
        kind: lxcri_linux::namespace::Kind,
        path: &std::path::Path,
    ) -> std::io::Result<bool> {
        Anywhere.is_own_namespace(kind, path)
    }
}

#[test]
fn links_of_the_image_are_followed_before_lxc_sees_them() {
    let mut document = spec_value();
    document["mounts"] = json!([{ "destination": "/link/x", "type": "tmpfs" }]);
    let with = |files: &dyn Files| {
        let plan = plan(&spec(&document), &host(), &how(), files);
        plan.map(|plan| plan.config).map_err(|error| error.to_string())
    };
    assert!(with(&WithLink("/real")).unwrap().contains("tmpfs real/x tmpfs "));
    assert!(with(&WithLink("/proc")).unwrap_err().contains("leads into /proc by a link"));
    for path in ["real", "/real/..", "/a\nb"] {
        assert!(with(&WithLink(path)).is_err(), "{path:?}");
    }
}

/// Every text of a document as a JSON pointer, and names of the maps that users fill.
fn texts(value: &Value, at: &str, found: &mut Vec<String>) {
    match value {
        Value::String(_) => found.push(at.to_owned()),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(i, item)| texts(item, &format!("{at}/{i}"), found));
        }
        Value::Object(fields) => {
            for (name, item) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                texts(item, &format!("{at}/{name}"), found);
            }
        }
        _ => {}
    }
}

/// Only these may hold a line break: they go to lxcri-init as data, or nowhere.
fn may_hold_a_line_break(pointer: &str) -> bool {
    let free = ["/process/args/", "/process/env/", "/annotations/other", "/hooks/"];
    free.iter().any(|start| pointer.starts_with(start)) && !pointer.ends_with("/path")
}

#[test]
fn no_text_brings_a_line_of_its_own() {
    let clean = planned(&full(), &host(), &how()).unwrap().config;
    let mut pointers = Vec::new();
    texts(&full(), "", &mut pointers);
    assert!(pointers.len() > 80, "{}", pointers.len());
    for pointer in &pointers {
        for bad in ["\n", "\r", "\0"] {
            for text in [format!("{bad}lxc.hook.start = /x"), bad.to_owned()] {
                let mut document = full();
                let place = document.pointer_mut(pointer).unwrap();
                *place = json!(format!("{}{text}", place.as_str().unwrap()));
                // A name that is none of an enumeration is refused by the types already.
                let Ok(spec) = serde_json::from_value::<Spec>(document) else { continue };
                let result = plan(&spec, &host(), &how(), &Anywhere);
                let is_free = may_hold_a_line_break(pointer) && bad != "\0"
                    || pointer == "/annotations/other"
                    || pointer == "/ociVersion";
                // Unknown capabilities are left out with a warning.
                let is_unknown = pointer.starts_with("/process/capabilities/");
                assert_eq!(result.is_ok(), is_free || is_unknown, "{pointer} with {bad:?}");
                let Ok(plan) = result else { continue };
                assert!(!plan.config.contains("hook.start ="), "{pointer}");
                if !is_unknown {
                    assert_eq!(plan.config, clean, "{pointer}");
                }
            }
        }
    }
}

#[test]
fn no_name_of_a_map_brings_a_line_of_its_own() {
    for map in ["/annotations", "/linux/sysctl", "/linux/resources/unified", "/linux/timeOffsets"] {
        for name in [
            "io.proxmox-lxcri.lxc.signal.halt\nlxc.hook.start",
            "net.ipv4.x\n",
            "memory.max\r",
            "hugetlb.2MB.max\0",
            "hugetlb.x = 1\nlxc.hook.start",
        ] {
            let mut document = full();
            document.pointer_mut(map).unwrap()[name] =
                if map.ends_with("Offsets") { json!({ "secs": 1 }) } else { json!("1") };
            let clean = planned(&full(), &host(), &how()).unwrap().config;
            match planned(&document, &host(), &how()) {
                Err(_) => {}
                Ok(plan) => {
                    assert_eq!((map, &plan.config), ("/annotations", &clean), "{name:?}");
                }
            }
        }
    }
}
