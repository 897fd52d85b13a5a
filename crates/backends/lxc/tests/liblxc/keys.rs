//! liblxc reads every configuration that a plan can write.

use lxcri_backend_lxc::config::{Address, By, How, Network, Problem, Veth};
use serde_json::{Value, json};

use crate::container::{Container, can_run, skip};

/// Plans `document` and lets liblxc read the result; every key of the file must come back with a
/// value, so that none was taken for something else.
fn is_read(document: &Value, how: impl Fn(How) -> How) {
    let container = Container::new();
    let plan = container.plan(document, &how(container.how())).unwrap();
    let answer = container.ask("lxc.rootfs.path");
    let said = String::from_utf8_lossy(&answer.stdout).into_owned();
    // Without the type of storage, in this answer alone.
    let rootfs = container.rootfs().display().to_string();
    assert!(said.contains(&rootfs), "{answer:?}\n{}", plan.config);
    for line in plan.config.lines().filter(|line| line.starts_with("lxc.")) {
        let (key, value) = line.split_once(" = ").unwrap();
        if key == "lxc.rootfs.path" {
            continue;
        }
        let answer = container.ask(key);
        let said = String::from_utf8_lossy(&answer.stdout).into_owned();
        // Some are said in another form: `7 s` for `7s`.
        let last = value.split_whitespace().last().unwrap();
        assert!(said.replace(' ', "").contains(last), "{line}: {answer:?}");
    }
}

fn base() -> Value {
    Container::new().document()
}

#[test]
fn the_smallest_and_the_largest() {
    if !can_run("keys::the_smallest_and_the_largest") {
        return;
    }
    is_read(&base(), |how| how);
    let mut document = base();
    let ids = json!([{ "containerID": 0, "hostID": 100_000, "size": 65_536 }]);
    document["hostname"] = json!("box");
    document["process"]["oomScoreAdj"] = json!(-7);
    let rlimits: Vec<_> = lxcri_linux::rlimit::NAMES
        .iter()
        .map(|(name, _)| json!({ "type": name, "soft": 1, "hard": u64::MAX }))
        .collect();
    document["process"]["rlimits"] = json!(rlimits);
    let bounding: Vec<_> = lxcri_linux::capability::NAMES.to_vec();
    document["process"]["capabilities"]["bounding"] = json!(bounding);
    document["hooks"] = json!({ "createContainer": [{ "path": "/bin/true" }] });
    document["annotations"] = json!({ "io.proxmox-lxcri.lxc.signal.halt": "15" });
    let linux = &mut document["linux"];
    for kind in ["user", "cgroup", "time"] {
        linux["namespaces"].as_array_mut().unwrap().push(json!({ "type": kind }));
    }
    linux["uidMappings"] = ids.clone();
    linux["gidMappings"] = ids;
    linux["timeOffsets"] = json!({ "boottime": { "secs": -7 }, "monotonic": { "secs": 7 } });
    linux["sysctl"] = json!({ "net.ipv4.ip_forward": "1", "kernel.msgmax": "9000" });
    linux["cgroupsPath"] = json!("/lxcri-test/box");
    linux["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ALLOW" });
    is_read(&document, |how| How {
        map_rootfs: true,
        mount_hook: Some("/bin/true x".into()),
        raw_keys: vec!["lxc.signal.*".into()],
        ..how
    });
}

#[test]
fn networks() {
    if !can_run("keys::networks") {
        return;
    }
    let veth = Veth {
        bridge: "lo".into(),
        name: "eth0".into(),
        host_name: Some("lxcri0".into()),
        mac: Some([0x02, 0, 0, 0, 0, 0x2a]),
        mtu: Some(1400),
        vlan: Some(7),
        addresses: vec![
            Address { ip: "10.9.8.7".parse().unwrap(), prefix: 24 },
            Address { ip: "fd00::7".parse().unwrap(), prefix: 64 },
        ],
        gateway4: Some("10.9.8.1".parse().unwrap()),
        gateway6: Some("fd00::1".parse().unwrap()),
    };
    let container = Container::new();
    let how = How { network: Network::Veth(veth), ..container.how() };
    let plan = container.plan(&base(), &how).unwrap();
    for (key, wanted) in [
        ("type", "veth"),
        ("mtu", "1400"),
        ("hwaddr", "02:00:00:00:00:2a"),
        ("ipv4.address", "10.9.8.7/24"),
        ("veth.vlan.id", "7"),
    ] {
        let answer = container.ask(&format!("lxc.net.0.{key}"));
        let said = String::from_utf8_lossy(&answer.stdout).into_owned();
        assert!(said.contains(wanted), "{key}: {answer:?}\n{}", plan.config);
    }
}

/// A key that liblxc does not know makes it refuse the file: the tests above would see it.
#[test]
fn an_unknown_key_is_seen() {
    if !can_run("keys::an_unknown_key_is_seen") {
        return;
    }
    let container = Container::new();
    let raw = vec!["lxc.*".to_owned()];
    let mut document = base();
    document["annotations"] = json!({ "io.proxmox-lxcri.lxc.nonsense": "1" });
    container.plan(&document, &How { raw_keys: raw, ..container.how() }).unwrap();
    let answer = container.ask("lxc.rootfs.path");
    assert!(!String::from_utf8_lossy(&answer.stdout).contains("rootfs"), "{answer:?}");
}

#[test]
fn apparmor_without_apparmor() {
    if !can_run("keys::apparmor_without_apparmor") {
        return;
    }
    if lxcri_linux::security_module::apparmor_is_enabled() {
        skip("keys::apparmor_without_apparmor", "this kernel has AppArmor");
        return;
    }
    let container = Container::new();
    let mut document = base();
    document["process"]["apparmorProfile"] = json!("some");
    let how = How { apparmor: By::Init, ..container.how() };
    let Err(Problem::Refused { findings }) = container.plan(&document, &how) else {
        panic!("not refused")
    };
    assert_eq!(findings[0].field, "process.apparmorProfile");
}
