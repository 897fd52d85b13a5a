//! v1 controllers, on a v1 or hybrid machine.

use super::*;

fn control(cgroup: &Cgroup, controller: &str, file: &str) -> String {
    let path = cgroup.controller(controller).unwrap().directory().join(file);
    fs::read_to_string(&path).unwrap().trim().to_owned()
}

fn memory(memory: Memory) -> Resources {
    Resources { memory: Some(memory), ..Resources::default() }
}

const MIB: i64 = 1 << 20;

#[test]
fn limits_are_read_back() {
    let Some(layout) = v1_layout("limits_are_read_back") else {
        return;
    };
    let resources: Resources = serde_json::from_str(
        r#"{"memory":{"limit":67108864,"swap":134217728,"reservation":33554432,"swappiness":10,"disableOOMKiller":true},
            "cpu":{"shares":512,"quota":50000,"period":100000,"burst":20000,"cpus":"0","mems":"0"},
            "pids":{"limit":17}}"#,
    )
    .unwrap();
    let made = Made::new(&layout, "limits", &resources);
    let cgroup = &made.0;
    cgroup.apply(&resources).unwrap();
    for (controller, file, value) in [
        ("memory", "memory.limit_in_bytes", "67108864"),
        ("memory", "memory.memsw.limit_in_bytes", "134217728"),
        ("memory", "memory.soft_limit_in_bytes", "33554432"),
        ("memory", "memory.swappiness", "10"),
        ("cpu", "cpu.shares", "512"),
        ("cpu", "cpu.cfs_quota_us", "50000"),
        ("cpu", "cpu.cfs_period_us", "100000"),
        ("cpu", "cpu.cfs_burst_us", "20000"),
        ("cpuset", "cpuset.cpus", "0"),
        ("cpuset", "cpuset.mems", "0"),
        ("pids", "pids.max", "17"),
    ] {
        assert_eq!(control(cgroup, controller, file), value, "{file}");
    }
    assert!(control(cgroup, "memory", "memory.oom_control").contains("oom_kill_disable 1"));
    let stats = cgroup.stats().unwrap();
    assert_eq!(stats.pids.unwrap(), PidsStats { current: 0, limit: 17 });
    assert_eq!(stats.memory.as_ref().unwrap().usage.limit, 67_108_864);
    assert_eq!(stats.memory.unwrap().swap.unwrap().limit, 134_217_728);
}

#[test]
fn updates_change_what_they_name() {
    let Some(layout) = v1_layout("updates_change_what_they_name") else {
        return;
    };
    let made = Made::new(&layout, "update", &Resources::default());
    let cgroup = &made.0;
    let limits = |limit, swap| {
        let limits = memory(Memory { limit: Some(limit), swap, ..Memory::default() });
        cgroup.update(&limits).unwrap();
        ["memory.limit_in_bytes", "memory.memsw.limit_in_bytes"]
            .map(|file| control(cgroup, "memory", file).parse::<i64>().unwrap())
    };
    // Up, down, up to unlimited, down again: the kernel refuses a wrong order of the two writes.
    assert_eq!(limits(64 * MIB, Some(64 * MIB)), [64 * MIB; 2]);
    assert_eq!(limits(128 * MIB, Some(256 * MIB)), [128 * MIB, 256 * MIB]);
    assert_eq!(limits(32 * MIB, Some(64 * MIB)), [32 * MIB, 64 * MIB]);
    assert_eq!(limits(48 * MIB, Some(48 * MIB)), [48 * MIB; 2]);
    let unlimited = limits(-1, None);
    assert!(unlimited.iter().all(|l| *l > 1 << 60), "{unlimited:?}");
    assert_eq!(limits(16 * MIB, Some(-1))[0], 16 * MIB);

    let pids = Some(Pids { limit: Some(-1) });
    cgroup.update(&Resources { pids, ..Resources::default() }).unwrap();
    assert_eq!(control(cgroup, "pids", "pids.max"), "max");
    let cpu = |cpu: Cpu| cgroup.update(&Resources { cpu: Some(cpu), ..Resources::default() });
    cpu(Cpu { quota: Some(50_000), ..Cpu::default() }).unwrap();
    // A burst larger than the present quota is only right together with the new one.
    cpu(Cpu { quota: Some(90_000), burst: Some(80_000), ..Cpu::default() }).unwrap();
    assert_eq!(control(cgroup, "cpu", "cpu.cfs_burst_us"), "80000");
    cpu(Cpu { quota: Some(20_000), burst: Some(0), ..Cpu::default() }).unwrap();
    cpu(Cpu { quota: Some(-1), ..Cpu::default() }).unwrap();
    assert_eq!(control(cgroup, "cpu", "cpu.cfs_quota_us"), "-1");
    cpu(Cpu { idle: Some(1), shares: Some(100), ..Cpu::default() }).unwrap();
    assert_eq!(control(cgroup, "cpu", "cpu.idle"), "1");
    cpu(Cpu { idle: Some(0), shares: Some(300), ..Cpu::default() }).unwrap();
    assert_eq!(control(cgroup, "cpu", "cpu.shares"), "300");
    assert!(cpu(Cpu { shares: Some(1), ..Cpu::default() }).is_err());
    assert_eq!(control(cgroup, "memory", "memory.limit_in_bytes"), (16 * MIB).to_string());
}

#[test]
fn a_limit_below_the_usage_is_refused() {
    let Some(layout) = v1_layout("a_limit_below_the_usage_is_refused") else {
        return;
    };
    let made = Made::new(&layout, "usage", &Resources::default());
    let mut shell = Shell::new("x=$(head -c 30000000 /dev/zero | tr '\\0' x); read more");
    made.0.add(shell.pid()).unwrap();
    let mut stdin = shell.0.stdin.take().unwrap();
    stdin.write_all(b"go\n").unwrap();
    let usage = || made.0.stats().unwrap().memory.unwrap().usage.usage;
    wait_until("memory to be used", || usage() > 30_000_000 && made.0.pids().unwrap().len() == 1);
    // Nothing can be swapped out, so the kernel cannot reclaim it.
    let limit = Memory { limit: Some(4 * MIB), swap: Some(4 * MIB), ..Memory::default() };
    let e = made.0.update(&memory(limit)).unwrap_err();
    assert!(
        matches!(e, Error::BelowUsage { limit: 4_194_304, usage, .. } if usage > 4_194_304),
        "{e}"
    );
}

#[test]
fn creation_leaves_nothing_after_undo() {
    let Some(layout) = v1_layout("creation_leaves_nothing_after_undo") else {
        return;
    };
    let top = format!("lxcri-unit-{}-undo", std::process::id());
    let cgroup = Cgroup::plan(&layout, Some(&format!("/{top}/a/ct")), "x").unwrap();
    let created = cgroup.create(&Resources::default()).unwrap();
    let hierarchies = cgroup.directories().len();
    assert_eq!(created.directories().len(), hierarchies);
    // A cpuset in freshly made parents takes processes.
    assert!(!control(&cgroup, "cpuset", "cpuset.cpus").is_empty());
    assert!(!control(&cgroup, "cpuset", "cpuset.mems").is_empty());
    let shell = Shell::new("true");
    cgroup.add(shell.pid()).unwrap();
    assert_eq!(cgroup.pids().unwrap(), [shell.pid()]);
    let lines = fs::read_to_string(format!("/proc/{}/cgroup", shell.pid())).unwrap();
    for hierarchy in cgroup.places().flat_map(|p| &p.controllers) {
        let line = lines.lines().find(|l| l.contains(&format!(":{hierarchy}:"))).unwrap();
        assert!(line.ends_with("/a/ct"), "{line}");
    }
    assert!(shell.finish());
    created.undo().unwrap();
    for place in cgroup.places() {
        assert!(!place.mount.join(&top).exists(), "{} has a rest", place.mount.display());
    }
}

#[test]
fn a_missing_controller_is_named_before_anything_is_made() {
    let name = "a_missing_controller_is_named_before_anything_is_made";
    if v1_layout(name).is_none() {
        return;
    }
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap();
    let text: Vec<_> =
        text.lines().filter(|l| !l.contains("- cgroup ") || l.ends_with("pids")).collect();
    let own = fs::read("/proc/self/cgroup").unwrap();
    let layout = Layout::parse(text.join("\n").as_bytes(), &own).unwrap();
    let cgroup = planned(&layout, "missing");
    let resources = memory(Memory { limit: Some(MIB), ..Memory::default() });
    let e = cgroup.create(&resources).unwrap_err();
    assert_eq!(
        e.to_string(),
        "memory limit: the cgroup controller `memory` is not available at /sys/fs/cgroup"
    );
    assert!(e.hint().is_some());
    Made(cgroup).assert_gone();
}

#[test]
fn freezing() {
    let Some(layout) = v1_layout("v1::freezing") else {
        return;
    };
    freezes_and_thaws(&Made::new(&layout, "freeze", &Resources::default()).0);
}

#[test]
fn killing() {
    let Some(layout) = v1_layout("v1::killing") else {
        return;
    };
    let made = Made::new(&layout, "kill", &Resources::default());
    kills_a_tree(&made.0);
    // Without the v2 tree: freeze, signal each, thaw.
    let only_v1 = Cgroup { v2: None, kind: LayoutKind::V1, v1: made.0.v1.clone() };
    kills_a_tree(&only_v1);
    // Without a freezer either: until nobody new appears.
    let mut bare = only_v1;
    bare.v1.retain(|p| p.controllers == ["pids"]);
    kills_a_tree(&bare);
}

#[test]
fn devices() {
    let Some(layout) = v1_layout("v1::devices") else {
        return;
    };
    let made = Made::new(&layout, "devices", &Resources::default());
    filters_devices(&made.0);
    let list = control(&made.0, "devices", "devices.list");
    assert!(
        list.contains("c 1:3 rwm") && list.contains("b *:* m") && !list.contains('a'),
        "{list}"
    );
}

#[test]
fn removal() {
    let Some(layout) = v1_layout("v1::removal") else {
        return;
    };
    removes_what_the_container_made(&Made::new(&layout, "remove", &Resources::default()));
    refuses_a_busy_directory(&layout, "busy");
}
