//! What the kernel shows of a plan that LXC has carried out.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::symlink;

use lxcri_backend_lxc::config::{How, Init};
use serde_json::{Value, json};

use crate::container::{Container, can_run};

fn push(document: &mut Value, list: &str, item: Value) {
    document.pointer_mut(list).unwrap().as_array_mut().unwrap().push(item);
}

#[test]
fn capabilities() {
    if !can_run("effects::capabilities") {
        return;
    }
    let container = Container::new();
    let mut document = container.document();
    document["process"]["capabilities"]["bounding"] = json!(["CAP_CHOWN", "CAP_KILL", "CAP_NEW"]);
    let init = Init { capabilities: vec!["CAP_SYS_ADMIN".into()], ..container.how().init };
    let plan = container.plan(&document, &How { init, ..container.how() }).unwrap();
    assert_eq!(plan.inside.capabilities.bounding, ["CAP_CHOWN", "CAP_KILL"]);
    assert_eq!(plan.ignored.len(), 1, "{:?}", plan.ignored);
    // CAP_CHOWN is 0, CAP_KILL 5, CAP_SYS_ADMIN 21.
    let shown = container.run("grep CapBnd /proc/self/status");
    assert_eq!(shown.split_whitespace().last(), Some("0000000000200021"), "{shown}");
}

#[test]
fn seccomp_with_arguments() {
    if !can_run("effects::seccomp_with_arguments") {
        return;
    }
    let container = Container::new();
    let mut document = container.document();
    let equal = |value: u64| json!([{ "index": 1, "value": value, "op": "SCMP_CMP_EQ" }]);
    document["linux"]["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
        { "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28 },
        { "names": ["kill"], "action": "SCMP_ACT_ERRNO", "errnoRet": 11, "args": equal(18) },
        { "names": ["no_such_call"], "action": "SCMP_ACT_KILL" },
        { "names": ["kill"], "action": "SCMP_ACT_ERRNO", "errnoRet": 5, "args": [
            { "index": 1, "value": 0x1f, "valueTwo": 10, "op": "SCMP_CMP_MASKED_EQ" }] },
    ] });
    container.plan(&document, &container.how()).unwrap();
    let shown = container.run(
        "grep Seccomp: /proc/self/status; mkdir /out/x || echo no mkdir\n\
         kill -CONT 1 || echo no signal 18; kill -0 1 && echo signal 0\n\
         kill -USR1 1 || echo no signal 10; kill -USR2 1 && echo signal 12",
    );
    let lines: Vec<_> = shown.lines().map(str::trim).collect();
    assert!(shown.contains("Seccomp:\t2"), "{shown}");
    // 28 is ENOSPC, 11 is EAGAIN.
    assert!(shown.contains("No space left on device") && lines.contains(&"no mkdir"), "{shown}");
    assert!(shown.contains("temporarily unavailable"), "{shown}");
    // 5 is EIO, by the mask; the rule before speaks of another signal.
    assert!(shown.contains("Input/output error") || shown.contains("I/O error"), "{shown}");
    for line in ["no signal 18", "signal 0", "no signal 10", "signal 12"] {
        assert!(lines.contains(&line), "{line} in {shown}");
    }
}

/// What Podman gives its containers goes through liblxc's reader, arguments and all.
#[test]
fn the_filter_of_podman() {
    if !can_run("effects::the_filter_of_podman") {
        return;
    }
    let container = Container::new();
    let mut document = container.document();
    let text = include_str!("../../../../../tests/data/podman-seccomp.json");
    document["linux"]["seccomp"] = serde_json::from_str(text).unwrap();
    let plan = container.plan(&document, &container.how()).unwrap();
    assert!(plan.seccomp.is_some_and(|profile| profile.text.contains(" [0,")));
    let shown = container.run("grep Seccomp: /proc/self/status; mkdir /out/x && echo made");
    assert!(shown.contains("Seccomp:\t2") && shown.contains("made"), "{shown}");
}

#[test]
fn mounts() {
    if !can_run("effects::mounts") {
        return;
    }
    let container = Container::new();
    let (source, rootfs) = (container.path("some dir"), container.rootfs());
    fs::create_dir(&source).unwrap();
    fs::write(source.join("file"), "content\n").unwrap();
    fs::create_dir(rootfs.join("real")).unwrap();
    symlink("/real", rootfs.join("link")).unwrap();
    let mut document = container.document();
    let source_text = source.to_str().unwrap();
    for mount in [
        json!({ "destination": "/a b\\c", "source": "some dir", "options": ["bind", "ro"] }),
        json!({ "destination": "/single file", "source": format!("{source_text}/file"),
            "options": ["bind"] }),
        json!({ "destination": "/link/sub", "type": "tmpfs", "source": "tmp fs",
            "options": ["mode=750", "size=64k", "nosuid", "nodev", "noexec", "strictatime"] }),
        json!({ "destination": "/prop", "source": source_text, "options": ["rbind", "rslave"] }),
    ] {
        push(&mut document, "/mounts", mount);
    }
    let plan = container.plan(&document, &container.how()).unwrap();
    // What lxcri-init has to undo: LXC makes all mounts shared in the end.
    let attributes = &plan.inside.mount_attributes;
    assert_eq!(
        attributes.iter().map(|a| a.options.join(",")).collect::<Vec<_>>(),
        ["rslave", "rslave"]
    );
    let shown = container.run(
        "cat '/a b\\c/file' '/single file'; touch '/a b\\c/x' || echo read-only\n\
         stat -c 'mode %a' /real/sub; cat /proc/self/mountinfo",
    );
    assert!(shown.starts_with("content\ncontent\n"), "{shown}\n{}", plan.config);
    assert!(shown.contains("read-only\n") && shown.contains("mode 750\n"), "{shown}");
    let line = |place: &str| shown.lines().find(|line| line.contains(place)).unwrap_or_default();
    assert!(line(" /a\\040b\\134c ").contains(" ro,"), "{shown}");
    let tmpfs = line(" /real/sub ");
    assert!(tmpfs.contains("rw,nosuid,nodev,noexec ") && tmpfs.contains("size=64k"), "{tmpfs}");
    assert!(tmpfs.contains("tmp\\040fs"), "{tmpfs}");
    assert!(line(" /prop ").contains("shared:"), "{shown}");
}

/// Why lxcri-init sets attributes of bind mounts: LXC leaves them out, unless they are read-only.
#[test]
fn attributes_that_lxc_leaves_out() {
    if !can_run("effects::attributes_that_lxc_leaves_out") {
        return;
    }
    let container = Container::new();
    fs::create_dir(container.path("vol")).unwrap();
    let mut document = container.document();
    push(
        &mut document,
        "/mounts",
        json!({ "destination": "/vol", "source": "vol",
        "options": ["bind", "nosuid", "nodev", "noexec"] }),
    );
    let plan = container.plan(&document, &container.how()).unwrap();
    assert_eq!(plan.inside.mount_attributes[1].options, ["nosuid", "nodev", "noexec"]);
    let shown = container.run("grep ' /vol ' /proc/self/mountinfo");
    assert!(!shown.contains("noexec"), "this liblxc sets them: {shown}");
}

#[test]
fn ids_and_an_idmapped_root() {
    if !can_run("effects::ids_and_an_idmapped_root") {
        return;
    }
    let container = Container::new();
    fs::create_dir(container.path("vol")).unwrap();
    let mut document = container.document();
    push(&mut document, "/linux/namespaces", json!({ "type": "user" }));
    let ids = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
    document["linux"]["uidMappings"] = ids.clone();
    document["linux"]["gidMappings"] = ids;
    push(
        &mut document,
        "/mounts",
        json!({ "destination": "/vol", "source": "vol",
        "options": ["bind", "idmap"] }),
    );
    push(
        &mut document,
        "/mounts",
        json!({ "destination": "/dev", "type": "tmpfs",
        "source": "tmpfs", "options": ["mode=755"] }),
    );
    document["process"]["capabilities"]["bounding"] = json!(["CAP_DAC_OVERRIDE"]);
    let how = How { map_rootfs: true, ..container.how() };
    let plan = container.plan(&document, &how).unwrap();
    let shown = container.run(
        "cat /proc/self/uid_map; stat -c '%u:%g' /bin /vol; touch /vol/made\n\
         echo x >/dev/null && echo null; stat -c '%t:%T' /dev/zero",
    );
    let words: Vec<_> = shown.split_whitespace().collect();
    let wanted = ["0", "100000", "65536", "0:0", "0:0", "null", "1:5"];
    assert_eq!(words, wanted, "{shown}\n{}", plan.config);
    let made = fs::metadata(container.path("vol/made")).unwrap();
    assert_eq!((made.uid(), made.gid()), (0, 0), "by the map of the mount");
}

#[test]
fn names_times_and_parameters() {
    if !can_run("effects::names_times_and_parameters") {
        return;
    }
    let container = Container::new();
    let mut document = container.document();
    document["hostname"] = json!("some-box");
    push(&mut document, "/linux/namespaces", json!({ "type": "time" }));
    document["linux"]["timeOffsets"] =
        json!({ "boottime": { "secs": 604_800 }, "monotonic": { "nanosecs": 5 } });
    document["linux"]["sysctl"] =
        json!({ "net/ipv4/ip_local_port_range": "2000 3000", "kernel.msgmax": "9000" });
    document["process"]["rlimits"] = json!([{ "type": "RLIMIT_CORE", "soft": 0, "hard": 4096 }]);
    let plan = container.plan(&document, &container.how()).unwrap();
    assert_eq!(plan.inside.sysctls, []);
    let shown = container.run(
        "hostname; cat /proc/self/timens_offsets\n\
         cat /proc/sys/net/ipv4/ip_local_port_range /proc/sys/kernel/msgmax\n\
         grep 'core file' /proc/self/limits",
    );
    let words: Vec<_> = shown.split_whitespace().collect();
    assert_eq!(words[0], "some-box", "{shown}");
    let offsets = ["monotonic", "0", "5", "boottime", "604800", "0"];
    assert_eq!(words[1..7], offsets, "{shown}");
    assert_eq!(words[7..10], ["2000", "3000", "9000"], "{shown}");
    assert!(shown.contains("4096") && plan.inside.rlimits[0].soft == 0, "{shown}");
}

#[test]
fn namespaces_joined_by_path() {
    if !can_run("effects::namespaces_joined_by_path") {
        return;
    }
    let mut holder = std::process::Command::new("unshare")
        .args(["--net", "--ipc", "--uts", "sleep", "60"])
        .spawn()
        .unwrap();
    let pid = holder.id();
    let link = |kind: &str| fs::read_link(format!("/proc/{pid}/ns/{kind}")).unwrap();
    let own = |kind: &str| fs::read_link(format!("/proc/self/ns/{kind}")).unwrap();
    while link("net") == own("net") || link("uts") == own("uts") {
        std::thread::yield_now();
    }
    let container = Container::new();
    let mut document = container.document();
    let joined =
        |kind: &str, name: &str| json!({ "type": kind, "path": format!("/proc/{pid}/ns/{name}") });
    document["linux"]["namespaces"] = json!([{ "type": "mount" }, { "type": "pid" },
        joined("network", "net"), joined("ipc", "ipc"), joined("uts", "uts")]);
    document["hostname"] = json!("joined");
    let plan = container.plan(&document, &container.how()).unwrap();
    assert_eq!(plan.inside.hostname.as_deref(), Some("joined"), "LXC sets it in a new one only");
    let shown =
        container.run("for kind in net ipc uts; do busybox readlink /proc/self/ns/$kind; done");
    let wanted: Vec<_> =
        ["net", "ipc", "uts"].iter().map(|kind| link(kind).display().to_string()).collect();
    let shown: Vec<_> = shown.lines().collect();
    holder.kill().unwrap();
    holder.wait().unwrap();
    assert_eq!(shown, wanted, "{}", plan.config);
}

/// One that lets its members set groups, as those of pods do; LXC clears them.
#[test]
fn a_joined_user_namespace() {
    if !can_run("effects::a_joined_user_namespace") {
        return;
    }
    let mut holder =
        std::process::Command::new("unshare").args(["-U", "sleep", "60"]).spawn().unwrap();
    let link = |pid: &str| fs::read_link(format!("/proc/{pid}/ns/user")).unwrap();
    let pid = holder.id().to_string();
    while link(&pid) == link("self") {
        std::thread::yield_now();
    }
    for map in ["uid_map", "gid_map"] {
        fs::write(format!("/proc/{pid}/{map}"), "0 100000 65536").unwrap();
    }
    let container = Container::new();
    std::os::unix::fs::chown(container.rootfs(), Some(100_000), Some(100_000)).unwrap();
    let mut document = container.document();
    let path = format!("/proc/{pid}/ns/user");
    push(&mut document, "/linux/namespaces", json!({ "type": "user", "path": path }));
    let plan = container.plan(&document, &container.how()).unwrap();
    let shown = container.run("busybox readlink /proc/self/ns/user; cat /proc/self/uid_map");
    let wanted = link(&pid).display().to_string();
    holder.kill().unwrap();
    holder.wait().unwrap();
    let words: Vec<_> = shown.split_whitespace().collect();
    assert_eq!(words, [wanted.as_str(), "0", "100000", "65536"], "{}", plan.config);
}

#[test]
fn control_groups_are_mounted_inside() {
    if !can_run("effects::control_groups_are_mounted_inside") {
        return;
    }
    for (options, wanted) in [(json!(["ro"]), "ro,"), (json!(["rw"]), "rw,")] {
        let container = Container::new();
        let mut document = container.document();
        push(&mut document, "/linux/namespaces", json!({ "type": "cgroup" }));
        for mount in [
            json!({ "destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["ro"] }),
            json!({ "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup",
                "options": options }),
        ] {
            push(&mut document, "/mounts", mount);
        }
        container.plan(&document, &container.how()).unwrap();
        let shown = container.run("grep ' /sys/fs/cgroup' /proc/self/mountinfo");
        let of_cgroups = shown.lines().filter(|line| line.contains(" - cgroup"));
        let mut count = 0;
        for line in of_cgroups {
            count += 1;
            assert!(line.contains(&format!(" {wanted}")), "{line}");
        }
        assert!(count > 0, "{shown}");
    }
}
