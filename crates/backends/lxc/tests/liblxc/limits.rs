//! Limits, read back from the kernel where the plan says.

use std::fs;

use lxcri_backend_lxc::config::Plan;
use serde_json::json;

use crate::container::{Container, can_run, skip};

/// The entries that do not hold, with what the kernel shows.
fn differences(plan: &Plan, pid: u32) -> Vec<String> {
    let own = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    let differs = |entry: &lxcri_backend_lxc::config::ReadBack| {
        let path = entry.path(&own).unwrap_or_default();
        let found = fs::read_to_string(&path);
        let holds = found.as_ref().is_ok_and(|text| entry.wanted.holds(text));
        (!holds).then(|| format!("{}: {found:?}, not {:?}", path.display(), entry.wanted))
    };
    plan.read_back.iter().filter_map(differs).collect()
}

#[test]
fn are_applied_on_this_host() {
    if !can_run("limits::are_applied_on_this_host") {
        return;
    }
    let container = Container::new();
    let host = container.host();
    let mut document = container.document();
    let mut resources = json!({ "devices": [
        { "allow": true, "type": "c", "major": 10, "minor": 229, "access": "rw" }] });
    let has = |name: &str| host.cgroups.v1.iter().any(|h| h.controllers.iter().any(|c| c == name));
    let all = [
        ("memory", "memory", json!({ "limit": 67_108_864, "reservation": 33_554_432 })),
        ("cpu", "cpu", json!({ "shares": 512, "quota": 50_000, "period": 200_000 })),
        ("pids", "pids", json!({ "limit": 64 })),
        ("blkio", "blockIO", json!({ "throttleReadBpsDevice": [] })),
    ];
    for (controller, name, value) in all {
        if has(controller) {
            resources[name] = value;
        }
    }
    if has("cpuset") {
        resources["cpu"]["cpus"] = json!("0");
    }
    document["linux"]["resources"] = resources;
    let plan = container.plan(&document, &container.how()).unwrap();
    if plan.read_back.is_empty() {
        skip("limits::are_applied_on_this_host", "this host has no v1 controllers");
        return;
    }
    let pid = container.start();
    assert_eq!(differences(&plan, pid), Vec::<String>::new(), "{}", plan.config);
}

/// On a hybrid host a controller of the v2 tree is reached by a key of v1 alone.
#[test]
fn a_file_of_v2_on_a_hybrid_host() {
    if !can_run("limits::a_file_of_v2_on_a_hybrid_host") {
        return;
    }
    let container = Container::new();
    let host = container.host();
    let tree = host.cgroups.v2.filter(|_| !host.cgroups.v1.is_empty());
    let enabled = tree.map(|tree| fs::read_to_string(tree.mount.join("cgroup.subtree_control")));
    if !enabled.is_some_and(|text| text.is_ok_and(|text| text.contains("hugetlb"))) {
        skip(
            "limits::a_file_of_v2_on_a_hybrid_host",
            "this host has no hugetlb controller in a v2 tree beside v1",
        );
        return;
    }
    let mut document = container.document();
    document["linux"]["resources"] = json!({ "unified": { "hugetlb.2MB.max": "2097152" } });
    let plan = container.plan(&document, &container.how()).unwrap();
    assert!(plan.config.contains("lxc.cgroup.hugetlb.2MB.max = 2097152"), "{}", plan.config);
    let pid = container.start();
    assert_eq!(differences(&plan, pid), Vec::<String>::new());
}

/// The path of the bundle, and the monitor elsewhere.
#[test]
fn the_cgroup_is_where_the_bundle_says() {
    if !can_run("limits::the_cgroup_is_where_the_bundle_says") {
        return;
    }
    let container = Container::new();
    let mut document = container.document();
    let path = format!("/{}-pod/inner", container.name);
    document["linux"]["cgroupsPath"] = json!(path);
    document["linux"]["resources"] = json!({ "pids": { "limit": 7 } });
    let plan = match container.plan(&document, &container.how()) {
        Ok(plan) => plan,
        Err(error) => {
            skip("limits::the_cgroup_is_where_the_bundle_says", &error.to_string());
            return;
        }
    };
    let pid = container.start();
    let own = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap();
    assert!(own.lines().any(|line| line.ends_with(&path)), "{own}");
    assert_eq!(differences(&plan, pid), Vec::<String>::new());
}

/// Why limits are read back: a key for the other version is no error to LXC.
#[test]
fn a_key_for_the_other_version_has_no_effect_and_is_noticed() {
    if !can_run("limits::a_key_for_the_other_version_has_no_effect_and_is_noticed") {
        return;
    }
    let container = Container::new();
    let mut document = container.document();
    document["linux"]["resources"] = json!({ "pids": { "limit": 7 } });
    let plan = container.plan(&document, &container.how());
    let Some(plan) = plan.ok().filter(|plan| plan.config.contains("lxc.cgroup.pids.max")) else {
        skip(
            "limits::a_key_for_the_other_version_has_no_effect_and_is_noticed",
            "this host has no pids controller on cgroup v1",
        );
        return;
    };
    let wrong = plan.config.replace("lxc.cgroup.pids.max", "lxc.cgroup2.pids.max");
    fs::write(container.path("lxc").join(&container.name).join("config"), wrong).unwrap();
    let pid = container.start();
    let differences = differences(&plan, pid);
    assert!(differences.len() == 1 && differences[0].contains("pids.max"), "{differences:?}");
}
