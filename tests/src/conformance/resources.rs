//! cgroups: where the container is, and its limits.

use std::fs;
use std::path::PathBuf;

use lxcri_testkit::Bundle;
use lxcri_testkit::CgroupDriver;
use lxcri_testkit::Container;
use lxcri_testkit::Room;
use lxcri_testkit::Verdict;
use lxcri_testkit::View;
use lxcri_testkit::ensure;
use lxcri_testkit::ensure_eq;
use lxcri_testkit::skip;
use lxcri_testkit::verdict::Context;
use serde_json::json;

use crate::registry::cases;

cases!("resources": path_absolute, path_relative, path_absent, path_nested, memory, memory_reservation,
    memory_swap, memory_kills, cpu_shares, cpu_quota, cpuset, pids, pids_unlimited,
    pids_stops_a_fork_bomb, every_controller, update_memory, update_cpu, update_pids, update_cpuset,
    update_from_resources, update_from_stdin, update_blkio_weight, io_weight, io_weight_device,
    io_read_bps, io_write_bps, io_read_iops, io_write_iops, update_of_nothing_known, events_stats, unified);

pub(super) fn require(room: &Room, controller: &str) -> Verdict {
    if !room.view.has_controller(controller) {
        skip!("no {controller} controller in the {} view of this machine", room.view);
    }
    Ok(())
}

/// Reads a file of the container's cgroup, by the names of v1 and v2.
pub(super) fn value(
    room: &Room,
    bundle: &Bundle,
    controller: &str,
    v1: &str,
    v2: &str,
) -> Verdict<String> {
    let file = if room.view == View::V2 { v2 } else { v1 };
    let path = room.view.cgroup(controller, &room.cgroup_of(bundle)).join(file);
    Ok(fs::read_to_string(&path).context(path.display())?.trim().to_owned())
}

/// A bundle that sleeps, with one resource set.
pub(super) fn sleeping(room: &Room, pointer: &str, setting: serde_json::Value) -> Verdict<Bundle> {
    let mut bundle = room.script("exec sleep 1000")?;
    bundle.set(&format!("/linux/resources/{pointer}"), setting);
    Ok(bundle)
}

/// The container's cgroups as the kernel tells: hierarchy and path.
fn cgroups_of(container: &Container<'_>) -> Verdict<Vec<(String, String)>> {
    let text = container.proc("cgroup")?;
    let mut found = Vec::new();
    for line in text.lines() {
        let mut fields = line.splitn(3, ':').skip(1);
        let (name, path) = (fields.next().context(line)?, fields.next().context(line)?);
        found.push((name.to_owned(), path.to_owned()));
    }
    Ok(found)
}

/// Hierarchies that the view does not show cannot be entered.
fn visible(room: &Room, hierarchy: &str) -> bool {
    match room.view {
        View::V2 => hierarchy.is_empty(),
        View::V1 => !hierarchy.is_empty(),
        View::Hybrid => true,
    }
}

pub(super) fn in_every_hierarchy(
    room: &Room,
    container: &Container<'_>,
    good: impl Fn(&str) -> bool,
) -> Verdict {
    for (hierarchy, path) in cgroups_of(container)? {
        if visible(room, &hierarchy) {
            ensure!(good(&path), "the container is in {path} of hierarchy {hierarchy:?}");
        }
    }
    Ok(())
}

fn path_absolute(room: &Room) -> Verdict {
    let bundle = room.script("exec sleep 1000")?;
    let container = room.running(&bundle)?;
    in_every_hierarchy(room, &container, |path| path == room.cgroup_of(&bundle))?;
    container.end()
}

fn path_relative(room: &Room) -> Verdict {
    let mut bundle = room.script("exec sleep 1000")?;
    let path = match room.runtime.driver {
        CgroupDriver::Cgroupfs => bundle.cgroup.trim_start_matches('/').to_owned(),
        // Without a slice it is the default one.
        CgroupDriver::Systemd => {
            let path = bundle.config["linux"]["cgroupsPath"].as_str().context("no cgroupsPath")?;
            path.trim_start_matches("system.slice").to_owned()
        }
    };
    bundle.set("/linux/cgroupsPath", json!(path));
    let container = room.running(&bundle)?;
    in_every_hierarchy(room, &container, |path| path.ends_with(&room.cgroup_of(&bundle)))?;
    container.end()
}

fn path_absent(room: &Room) -> Verdict {
    let mut bundle = room.script("exec sleep 1000")?;
    bundle.remove("/linux/cgroupsPath");
    let container = room.running(&bundle)?;
    in_every_hierarchy(room, &container, |path| path.contains(&container.id))?;
    container.end()
}

/// Below a cgroup of the caller's (a pod), which stays.
fn path_nested(room: &Room) -> Verdict {
    if room.runtime.driver == CgroupDriver::Systemd {
        return super::systemd::in_own_slice(room);
    }
    let mut bundle = room.script("exec sleep 1000")?;
    let pod = bundle.cgroup.clone();
    for hierarchy in room.view.hierarchies() {
        if hierarchy.is_symlink() {
            continue;
        }
        let dir = hierarchy.join(pod.trim_start_matches('/'));
        fs::create_dir(&dir).context(dir.display())?;
        // A v1 cpuset without processors and memory takes no process.
        for file in ["cpuset.cpus", "cpuset.mems"] {
            if dir.join(file).exists() && hierarchy.ends_with("cpuset") {
                fs::write(dir.join(file), fs::read_to_string(hierarchy.join(file))?)?;
            }
        }
    }
    bundle.set("/linux/cgroupsPath", json!(format!("{pod}/container")));
    let result = nested_in(room, &bundle, &pod);
    for hierarchy in room.view.hierarchies() {
        if !hierarchy.is_symlink() {
            let dir = hierarchy.join(pod.trim_start_matches('/'));
            fs::remove_dir(&dir).context(format!("the pod's cgroup {}", dir.display()))?;
        }
    }
    result
}

fn nested_in(room: &Room, bundle: &Bundle, pod: &str) -> Verdict {
    let container = room.running(bundle)?;
    in_every_hierarchy(room, &container, |path| path == format!("{pod}/container"))?;
    container.end()
}

fn memory(room: &Room) -> Verdict {
    require(room, "memory")?;
    let bundle = sleeping(room, "memory", json!({ "limit": 67_108_864 }))?;
    let container = room.running(&bundle)?;
    let found = value(room, &bundle, "memory", "memory.limit_in_bytes", "memory.max")?;
    ensure_eq!(found, "67108864", "memory limit");
    container.end()
}

fn memory_reservation(room: &Room) -> Verdict {
    require(room, "memory")?;
    let bundle =
        sleeping(room, "memory", json!({ "limit": 67_108_864, "reservation": 33_554_432 }))?;
    let container = room.running(&bundle)?;
    let found = value(room, &bundle, "memory", "memory.soft_limit_in_bytes", "memory.low")?;
    ensure_eq!(found, "33554432", "memory reservation");
    container.end()
}

fn memory_swap(room: &Room) -> Verdict {
    require(room, "memory")?;
    let swap = room.view.cgroup("memory", "/").join("memory.memsw.limit_in_bytes");
    if room.view != View::V2 && !swap.exists() {
        skip!("this kernel does not account swap");
    }
    let bundle = sleeping(room, "memory", json!({ "limit": 67_108_864, "swap": 134_217_728 }))?;
    let container = room.running(&bundle)?;
    let found = value(room, &bundle, "memory", "memory.memsw.limit_in_bytes", "memory.swap.max")?;
    let wanted = if room.view == View::V2 { "67108864" } else { "134217728" };
    ensure_eq!(found, wanted, "swap limit");
    container.end()
}

/// The limit is not only written down: a process that wants more is killed.
fn memory_kills(room: &Room) -> Verdict {
    require(room, "memory")?;
    let mut bundle = room.script("echo before; tail /dev/zero; echo \"code $?\"")?;
    bundle.set("/linux/resources/memory", json!({ "limit": 25_165_824, "swap": 25_165_824 }));
    if !room.view.cgroup("memory", "/").join("memory.memsw.limit_in_bytes").exists() {
        bundle.remove("/linux/resources/memory/swap");
    }
    let finished = room.run(&bundle)?;
    let killed = finished.stdout == "before\ncode 137\n" || finished.code == 137;
    ensure!(killed, "{finished}");
    Ok(())
}

fn cpu_shares(room: &Room) -> Verdict {
    require(room, "cpu")?;
    let bundle = sleeping(room, "cpu", json!({ "shares": 512 }))?;
    let container = room.running(&bundle)?;
    let found = value(room, &bundle, "cpu", "cpu.shares", "cpu.weight")?;
    let wanted = if room.view == View::V2 { "59" } else { "512" };
    ensure_eq!(found, wanted, "cpu shares");
    container.end()
}

fn cpu_quota(room: &Room) -> Verdict {
    require(room, "cpu")?;
    let bundle = sleeping(room, "cpu", json!({ "quota": 25000, "period": 50000 }))?;
    let container = room.running(&bundle)?;
    let quota = value(room, &bundle, "cpu", "cpu.cfs_quota_us", "cpu.max")?;
    if room.view == View::V2 {
        ensure_eq!(quota, "25000 50000", "cpu.max");
    } else {
        let period = value(room, &bundle, "cpu", "cpu.cfs_period_us", "cpu.max")?;
        ensure_eq!((quota.as_str(), period.as_str()), ("25000", "50000"), "quota and period");
    }
    container.end()
}

fn cpuset(room: &Room) -> Verdict {
    require(room, "cpuset")?;
    let bundle = sleeping(room, "cpu", json!({ "cpus": "0", "mems": "0" }))?;
    let container = room.running(&bundle)?;
    ensure_eq!(value(room, &bundle, "cpuset", "cpuset.cpus", "cpuset.cpus")?, "0", "processors");
    ensure_eq!(value(room, &bundle, "cpuset", "cpuset.mems", "cpuset.mems")?, "0", "memory nodes");
    let status = container.proc("status")?;
    ensure!(status.contains("Cpus_allowed_list:\t0\n"), "{status}");
    container.end()
}

fn pids(room: &Room) -> Verdict {
    require(room, "pids")?;
    let bundle = sleeping(room, "pids", json!({ "limit": 17 }))?;
    let container = room.running(&bundle)?;
    ensure_eq!(value(room, &bundle, "pids", "pids.max", "pids.max")?, "17", "limit");
    container.end()
}

fn pids_unlimited(room: &Room) -> Verdict {
    require(room, "pids")?;
    let bundle = sleeping(room, "pids", json!({ "limit": -1 }))?;
    let container = room.running(&bundle)?;
    ensure_eq!(value(room, &bundle, "pids", "pids.max", "pids.max")?, "max", "limit");
    container.end()
}

fn pids_stops_a_fork_bomb(room: &Room) -> Verdict {
    require(room, "pids")?;
    let mut bundle =
        room.script("for n in 1 2 3 4 5 6 7 8 9 10 11 12; do sleep 1000 & done; echo all")?;
    bundle.set("/linux/resources/pids", json!({ "limit": 8 }));
    let finished = room.run(&bundle)?;
    ensure!(finished.code != 0 && !finished.stdout.contains("all"), "{finished}");
    ensure!(finished.stderr.contains("can't fork"), "{finished}");
    Ok(())
}

/// All at once, as Podman and Kubernetes set them.
fn every_controller(room: &Room) -> Verdict {
    for controller in ["memory", "cpu", "pids", "cpuset"] {
        require(room, controller)?;
    }
    let mut bundle = sleeping(room, "memory", json!({ "limit": 67_108_864 }))?;
    bundle.set(
        "/linux/resources/cpu",
        json!({ "shares": 100, "quota": 20000, "period": 100_000, "cpus": "0" }),
    );
    bundle.set("/linux/resources/pids", json!({ "limit": 50 }));
    let container = room.running(&bundle)?;
    ensure_eq!(
        value(room, &bundle, "memory", "memory.limit_in_bytes", "memory.max")?,
        "67108864",
        "memory"
    );
    ensure_eq!(value(room, &bundle, "pids", "pids.max", "pids.max")?, "50", "pids");
    ensure_eq!(value(room, &bundle, "cpuset", "cpuset.cpus", "cpuset.cpus")?, "0", "cpuset");
    container.end()
}

/// Starts a sleeper, calls `update FLAGS ID`, and reads one value back.
fn updated(room: &Room, flags: &[&str], controller: &str, v1: &str, v2: &str) -> Verdict<String> {
    require(room, controller)?;
    let bundle = room.script("exec sleep 1000")?;
    let container = room.running(&bundle)?;
    let mut arguments = vec!["update"];
    arguments.extend(flags);
    arguments.push(&container.id);
    room.call(&arguments)?.ok()?;
    let found = value(room, &bundle, controller, v1, v2)?;
    container.end()?;
    Ok(found)
}

fn update_memory(room: &Room) -> Verdict {
    let found =
        updated(room, &["--memory", "50331648"], "memory", "memory.limit_in_bytes", "memory.max")?;
    ensure_eq!(found, "50331648", "memory limit");
    Ok(())
}

fn update_cpu(room: &Room) -> Verdict {
    let flags = ["--cpu-quota", "30000", "--cpu-period", "60000", "--cpu-share", "256"];
    let found = updated(room, &flags, "cpu", "cpu.cfs_quota_us", "cpu.max")?;
    let wanted = if room.view == View::V2 { "30000 60000" } else { "30000" };
    ensure_eq!(found, wanted, "quota");
    Ok(())
}

fn update_pids(room: &Room) -> Verdict {
    ensure_eq!(
        updated(room, &["--pids-limit", "33"], "pids", "pids.max", "pids.max")?,
        "33",
        "limit"
    );
    Ok(())
}

fn update_cpuset(room: &Room) -> Verdict {
    let found = updated(room, &["--cpuset-cpus", "0"], "cpuset", "cpuset.cpus", "cpuset.cpus")?;
    ensure_eq!(found, "0", "processors");
    Ok(())
}

/// The controller of block I/O by its name in the view.
fn io_controller(room: &Room) -> &'static str {
    if room.view == View::V2 { "io" } else { "blkio" }
}

/// The first of the files that the container's cgroup has, with its content.
fn first_of(room: &Room, bundle: &Bundle, files: &[&str]) -> Option<(String, String)> {
    let dir = room.view.cgroup(io_controller(room), &room.cgroup_of(bundle));
    files.iter().find_map(|file| {
        let text = fs::read_to_string(dir.join(file)).ok()?;
        Some(((*file).to_owned(), text))
    })
}

/// Skips where the kernel weighs no block I/O, as a cgroup made for the purpose shows.
fn require_weights(room: &Room) -> Verdict {
    require(room, io_controller(room))?;
    let bundle = room.script("exec sleep 1000")?;
    let container = room.running(&bundle)?;
    let found = first_of(room, &bundle, WEIGHTS);
    container.end()?;
    if found.is_none() {
        skip!("this kernel weighs no block I/O in the {} view", room.view);
    }
    Ok(())
}

const WEIGHTS: &[&str] = &["blkio.bfq.weight", "blkio.weight", "io.bfq.weight", "io.weight"];

/// Fails unless the weight of the whole cgroup is `weight` on the scale of config.json.
fn has_weight(room: &Room, bundle: &Bundle, weight: u32) -> Verdict {
    let (file, text) = first_of(room, bundle, WEIGHTS).context("no file with a weight")?;
    // io.weight goes from 1 to 10000, the others as config.json does.
    let wanted = if file == "io.weight" { 1 + (weight - 10) * 9999 / 990 } else { weight };
    let found = text.lines().next().unwrap_or_default().trim_start_matches("default ");
    ensure_eq!(found, wanted.to_string(), "{file}");
    Ok(())
}

fn io_weight(room: &Room) -> Verdict {
    require_weights(room)?;
    let bundle = sleeping(room, "blockIO", json!({ "weight": 500 }))?;
    let container = room.running(&bundle)?;
    has_weight(room, &bundle, 500)?;
    container.end()
}

fn update_blkio_weight(room: &Room) -> Verdict {
    require_weights(room)?;
    let bundle = room.script("exec sleep 1000")?;
    let container = room.running(&bundle)?;
    room.call(&["update", "--blkio-weight", "321", &container.id])?.ok()?;
    has_weight(room, &bundle, 321)?;
    container.end()
}

/// The first block device of the machine: its directory in /sys, major and minor number.
pub(super) fn block_device() -> Verdict<(PathBuf, u32, u32)> {
    let entries = fs::read_dir("/sys/block").context("/sys/block")?.flatten();
    let mut found: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    found.sort();
    let Some(dir) = found.into_iter().next() else {
        skip!("this machine has no block device");
    };
    let device = fs::read_to_string(dir.join("dev")).context(dir.display())?;
    let (major, minor) = device.trim().split_once(':').context(&device)?;
    Ok((dir, major.parse().context(&device)?, minor.parse().context(&device)?))
}

/// Only a device whose queue BFQ schedules has weights.
fn io_weight_device(room: &Room) -> Verdict {
    require_weights(room)?;
    let (dir, major, minor) = block_device()?;
    if !dir.ends_with("loop0") || dir.join("loop").exists() {
        skip!("this machine has no spare device whose scheduler may be changed for a moment");
    }
    let scheduler = dir.join("queue/scheduler");
    let before = fs::read_to_string(&scheduler).unwrap_or_default();
    let usual = before.split(['[', ']']).nth(1).unwrap_or("none").to_owned();
    if !before.contains("bfq") || fs::write(&scheduler, "bfq").is_err() {
        skip!("this kernel has no BFQ");
    }
    let result = device_weight(room, major, minor);
    fs::write(&scheduler, usual).context(scheduler.display())?;
    result
}

fn device_weight(room: &Room, major: u32, minor: u32) -> Verdict {
    let device = json!([{ "major": major, "minor": minor, "weight": 250 }]);
    let bundle = sleeping(room, "blockIO", json!({ "weightDevice": device }))?;
    let container = room.running(&bundle)?;
    let files = ["blkio.bfq.weight_device", "io.bfq.weight"];
    let (file, text) = first_of(room, &bundle, &files).context("no file with weights")?;
    let line = format!("{major}:{minor} 250");
    ensure!(text.lines().any(|found| found == line), "{file}: {text:?}");
    container.end()
}

/// A container with one rate, which stands in the file of v1, and in `io.max` under `key`.
fn rate(room: &Room, field: &str, v1: &str, key: &str) -> Verdict {
    require(room, io_controller(room))?;
    let (_, major, minor) = block_device()?;
    let device = json!([{ "major": major, "minor": minor, "rate": 1_048_576 }]);
    let bundle = sleeping(room, "blockIO", json!({ field: device }))?;
    let container = room.running(&bundle)?;
    let found = value(room, &bundle, io_controller(room), v1, "io.max")?;
    let number = if room.view == View::V2 { format!("{key}=1048576") } else { "1048576".into() };
    let wanted = |line: &str| {
        let mut words = line.split(' ');
        words.next() == Some(&format!("{major}:{minor}")) && words.any(|word| word == number)
    };
    ensure!(found.lines().any(wanted), "{field}: {found:?}");
    container.end()
}

fn io_read_bps(room: &Room) -> Verdict {
    rate(room, "throttleReadBpsDevice", "blkio.throttle.read_bps_device", "rbps")
}

fn io_write_bps(room: &Room) -> Verdict {
    rate(room, "throttleWriteBpsDevice", "blkio.throttle.write_bps_device", "wbps")
}

fn io_read_iops(room: &Room) -> Verdict {
    rate(room, "throttleReadIOPSDevice", "blkio.throttle.read_iops_device", "riops")
}

fn io_write_iops(room: &Room) -> Verdict {
    rate(room, "throttleWriteIOPSDevice", "blkio.throttle.write_iops_device", "wiops")
}

fn resources_json() -> String {
    json!({ "pids": { "limit": 21 } }).to_string()
}

fn update_from_resources(room: &Room) -> Verdict {
    let file: PathBuf = room.dir().join("resources.json");
    fs::write(&file, resources_json())?;
    let flags = ["--resources", &file.to_string_lossy()];
    ensure_eq!(updated(room, &flags, "pids", "pids.max", "pids.max")?, "21", "limit");
    Ok(())
}

fn update_from_stdin(room: &Room) -> Verdict {
    require(room, "pids")?;
    let bundle = room.script("exec sleep 1000")?;
    let container = room.running(&bundle)?;
    let input = room.input(&resources_json())?;
    room.call_with(&["update", "--resources", "-", &container.id], Some(input))?.ok()?;
    ensure_eq!(value(room, &bundle, "pids", "pids.max", "pids.max")?, "21", "limit");
    container.end()
}

/// A value that is no number changes nothing.
fn update_of_nothing_known(room: &Room) -> Verdict {
    let bundle = room.script("exec sleep 1000")?;
    let container = room.running(&bundle)?;
    room.call(&["update", "--memory", "plenty", &container.id])?.refuses(&[])?;
    room.call(&["update", "--memory", "50331648", "no-such-container"])?
        .refuses(&["does not exist"])?;
    container.end()
}

fn events_stats(room: &Room) -> Verdict {
    let bundle = room.script("exec sleep 1000")?;
    let container = room.running(&bundle)?;
    let finished = room.call(&["events", "--stats", &container.id])?.ok()?;
    let stats: serde_json::Value = serde_json::from_str(&finished.stdout).context(&finished)?;
    ensure_eq!(stats["type"], "stats", "type of the event");
    ensure_eq!(stats["id"], container.id.as_str(), "id of the event");
    ensure!(stats["data"].is_object(), "data of the event: {finished}");
    if room.view.has_controller("pids") {
        ensure_eq!(stats["data"]["pids"]["current"], 1, "processes in {finished}");
    }
    if room.view.has_controller("memory") {
        let usage = stats["data"]["memory"]["usage"]["usage"].as_u64();
        ensure!(usage.is_some_and(|bytes| bytes > 0), "memory in use: {finished}");
    }
    container.end()
}

/// `unified` writes files of v2; it is refused where there is no v2.
fn unified(room: &Room) -> Verdict {
    if room.view != View::V2 {
        skip!("unified is about v2");
    }
    let bundle = sleeping(room, "unified", json!({ "cgroup.max.descendants": "5" }))?;
    let container = room.running(&bundle)?;
    let path = room.view.cgroup("", &room.cgroup_of(&bundle)).join("cgroup.max.descendants");
    ensure_eq!(fs::read_to_string(path)?, "5\n", "cgroup.max.descendants");
    container.end()
}
