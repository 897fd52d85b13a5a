//! Scopes: what systemd knows of a container with `--systemd-cgroup`. Only asked with that driver.

use std::fs;
use std::path::Path;
use std::process::Command;

use lxcri_testkit::Bundle;
use lxcri_testkit::Executor;
use lxcri_testkit::Room;
use lxcri_testkit::Verdict;
use lxcri_testkit::ensure;
use lxcri_testkit::ensure_eq;
use lxcri_testkit::skip;
use lxcri_testkit::verdict::Context;
use serde_json::json;

use super::resources::{block_device, in_every_hierarchy, require, sleeping, value};
use crate::registry::Case;
use crate::registry::cases;

cases!("systemd": scope, default_scope, limits_are_properties, io_limits_are_properties, annotations,
    annotations_of_the_runtime, update_changes_properties, reload_resets_nothing,
    gone_after_delete, gone_after_end, failed_create_leaves_no_unit, taken_name,
    paths_of_no_scope);

/// Whether a case is only for the systemd driver.
#[must_use]
pub fn is_about(case: &Case) -> bool {
    CASES.iter().any(|ours| ours.name == case.name)
}

fn require_systemd() -> Verdict {
    if !Path::new("/run/systemd/system").is_dir() {
        skip!("systemd does not run this machine");
    }
    Ok(())
}

/// A container that sleeps, for a machine with systemd.
fn sleeper(room: &Room) -> Verdict<Bundle> {
    require_systemd()?;
    room.script("exec sleep 1000")
}

/// `systemctl WORDS…`, which has to work.
fn systemctl(room: &Room, words: &[&str]) -> Verdict<String> {
    let mut command = Command::new("systemctl");
    Ok(room.run_command(command.args(words))?.ok()?.stdout.trim().to_owned())
}

fn unit(bundle: &Bundle) -> &str {
    bundle.cgroup.rsplit('/').next().unwrap_or_default()
}

fn property(room: &Room, bundle: &Bundle, name: &str) -> Verdict<String> {
    systemctl(room, &["show", "--value", "--property", name, unit(bundle)])
}

fn is(room: &Room, bundle: &Bundle, properties: &[(&str, &str)]) -> Verdict {
    for (name, wanted) in properties {
        ensure_eq!(property(room, bundle, name)?, *wanted, "{name}");
    }
    Ok(())
}

fn scope(room: &Room) -> Verdict {
    let bundle = sleeper(room)?;
    let container = room.running(&bundle)?;
    let wanted = [
        ("LoadState", "loaded"),
        ("ActiveState", "active"),
        ("Slice", "system.slice"),
        ("ControlGroup", &bundle.cgroup),
        ("Delegate", "yes"),
        ("DefaultDependencies", "no"),
        ("Transient", "yes"),
    ];
    is(room, &bundle, &wanted)?;
    if room.runtime.executor == Executor::Native {
        is(room, &bundle, &[("CollectMode", "inactive-or-failed")])?;
        let description = format!("lxcri container {}", container.id);
        is(room, &bundle, &[("Description", &description)])?;
    }
    container.end()
}

/// Without a path the scope is named after the id.
fn default_scope(room: &Room) -> Verdict {
    let mut bundle = sleeper(room)?;
    bundle.remove("/linux/cgroupsPath");
    let container = room.running(&bundle)?;
    let name = format!("-{}.scope", container.id);
    let good = |path: &str| {
        let scope = path.trim_end_matches("/container");
        scope.starts_with("/system.slice/") && scope.ends_with(&name)
    };
    in_every_hierarchy(room, &container, good)?;
    container.end()
}

/// In a slice of a slice, as a pod's; the slices are the caller's to stop.
pub(super) fn in_own_slice(room: &Room) -> Verdict {
    let mut bundle = sleeper(room)?;
    let top = format!("lxcritest{}", std::process::id());
    let path = bundle.config["linux"]["cgroupsPath"].as_str().context("no cgroupsPath")?;
    let path = path.replacen("system", &format!("{top}-pod"), 1);
    bundle.cgroup = format!("/{top}.slice/{top}-pod.slice/{}", unit(&bundle));
    bundle.set("/linux/cgroupsPath", json!(path));
    let result = room.running(&bundle).and_then(|container| {
        in_every_hierarchy(room, &container, |path| path == room.cgroup_of(&bundle))?;
        container.end()
    });
    systemctl(room, &["stop", &format!("{top}.slice")])?;
    result
}

const MEBIBYTES_64: &str = "67108864";

fn limited(room: &Room) -> Verdict<Bundle> {
    require_systemd()?;
    for controller in ["memory", "cpu", "pids"] {
        require(room, controller)?;
    }
    let mut bundle = sleeping(room, "memory", json!({ "limit": 67_108_864 }))?;
    let cpu = json!({ "shares": 512, "quota": 25000, "period": 50000 });
    bundle.set("/linux/resources/cpu", cpu);
    bundle.set("/linux/resources/pids", json!({ "limit": 17 }));
    Ok(bundle)
}

fn limits_are_properties(room: &Room) -> Verdict {
    let bundle = limited(room)?;
    let container = room.running(&bundle)?;
    let wanted = [
        ("MemoryMax", MEBIBYTES_64),
        ("TasksMax", "17"),
        ("CPUWeight", "59"),
        ("CPUQuotaPerSecUSec", "500ms"),
        ("CPUQuotaPeriodUSec", "50ms"),
    ];
    is(room, &bundle, &wanted)?;
    container.end()
}

/// crun gives systemd none of the rates.
fn io_limits_are_properties(room: &Room) -> Verdict {
    require_systemd()?;
    require(room, "io")?;
    if room.runtime.executor != Executor::Native {
        skip!("{} gives systemd no rates", room.runtime.executor);
    }
    let (_, major, minor) = block_device()?;
    let device = json!([{ "major": major, "minor": minor, "rate": 1_048_576 }]);
    let bundle = sleeping(room, "blockIO", json!({ "throttleReadBpsDevice": device }))?;
    let container = room.running(&bundle)?;
    let wanted = format!("/dev/block/{major}:{minor} 1048576");
    is(room, &bundle, &[("IOReadBandwidthMax", &wanted)])?;
    container.end()
}

fn annotations(room: &Room) -> Verdict {
    let mut bundle = sleeper(room)?;
    bundle.set(
        "/annotations",
        json!({
            "org.systemd.property.CollectMode": "'inactive'",
            "org.systemd.property.TimeoutStopUSec": "uint64 5000000",
            "org.systemd.property.RuntimeMaxSec": "uint64 7200",
        }),
    );
    let container = room.running(&bundle)?;
    let wanted = [("CollectMode", "inactive"), ("TimeoutStopUSec", "5s"), ("RuntimeMaxUSec", "2h")];
    is(room, &bundle, &wanted)?;
    container.end()
}

/// A bundle must not pull other processes into its scope, nor name a property that is none.
fn annotations_of_the_runtime(room: &Room) -> Verdict {
    let mut bundle = sleeper(room)?;
    if room.runtime.executor != Executor::Native {
        skip!("the driven program judges that by itself");
    }
    let hostile = [("PIDs", "[uint32 1]"), ("Slice", "'user.slice'"), ("NoSuchThing", "true")];
    for (name, value) in hostile {
        bundle.set("/annotations", json!({ format!("org.systemd.property.{name}"): value }));
        room.run(&bundle)?.refuses(&[name])?;
        is(room, &bundle, &[("LoadState", "not-found")])?;
    }
    Ok(())
}

fn update_changes_properties(room: &Room) -> Verdict {
    let bundle = limited(room)?;
    let container = room.running(&bundle)?;
    let flags = ["--memory", "50331648", "--pids-limit", "33", "--cpu-quota", "10000"];
    let mut words = vec!["update"];
    words.extend(flags);
    if room.runtime.executor == Executor::Crun {
        // crun goes back to the usual period when none is named.
        words.extend(["--cpu-period", "50000"]);
    }
    words.push(&container.id);
    room.call(&words)?.ok()?;
    is(room, &bundle, &[("MemoryMax", "50331648"), ("TasksMax", "33")])?;
    ensure_eq!(value(room, &bundle, "memory", "", "memory.max")?, "50331648", "memory.max");
    ensure_eq!(value(room, &bundle, "pids", "", "pids.max")?, "33", "pids.max");
    ensure_eq!(value(room, &bundle, "cpu", "", "cpu.max")?, "10000 50000", "cpu.max");
    if room.runtime.executor == Executor::Native {
        // Over the period that is in force.
        is(room, &bundle, &[("CPUQuotaPerSecUSec", "200ms")])?;
    }
    container.end()
}

/// Neither a reload nor a change that makes systemd write everything again.
fn reload_resets_nothing(room: &Room) -> Verdict {
    let bundle = limited(room)?;
    let container = room.running(&bundle)?;
    systemctl(room, &["daemon-reload"])?;
    systemctl(room, &["set-property", "--runtime", unit(&bundle), "MemoryHigh=60M"])?;
    let wanted = [
        ("memory.high", "62914560"),
        ("memory.max", MEBIBYTES_64),
        ("pids.max", "17"),
        ("cpu.weight", "59"),
        ("cpu.max", "25000 50000"),
    ];
    for (file, wanted) in wanted {
        // The scope's own: crun has a cgroup below it, which systemd leaves alone.
        let path = room.view.cgroup("", &bundle.cgroup).join(file);
        ensure_eq!(fs::read_to_string(&path).context(path.display())?.trim(), wanted, "{file}");
    }
    let denied = container.exec(&["sh", "-c", "mknod /tmp/x b 7 0 && cat /tmp/x"])?;
    ensure!(denied.code != 0, "devices are open after the reload: {denied}");
    container.end()
}

fn is_gone(room: &Room, bundle: &Bundle) -> Verdict {
    is(room, bundle, &[("LoadState", "not-found")])?;
    let cgroup = room.view.cgroup("systemd", &bundle.cgroup);
    ensure!(!cgroup.exists(), "{} is there", cgroup.display());
    Ok(())
}

fn gone_after_delete(room: &Room) -> Verdict {
    let bundle = sleeper(room)?;
    let container = room.running(&bundle)?;
    container.end()?;
    is_gone(room, &bundle)
}

/// A container that ends by itself takes its scope along; `delete` then finds nothing, and is fine.
fn gone_after_end(room: &Room) -> Verdict {
    require_systemd()?;
    let bundle = room.script("exit 3")?;
    room.run(&bundle)?.exits(3)?;
    is_gone(room, &bundle)
}

/// The hook runs when the scope is there.
fn failed_create_leaves_no_unit(room: &Room) -> Verdict {
    let mut bundle = sleeper(room)?;
    let seen = room.dir().join("seen");
    let script = format!(
        "systemctl show --value --property ActiveState {} > {}; exit 1",
        unit(&bundle),
        seen.display()
    );
    bundle.hook("createRuntime", &script);
    bundle.push("/hooks/createRuntime/0/env", json!("PATH=/usr/bin:/bin"));
    room.run(&bundle)?.refuses(&["hook"])?;
    ensure_eq!(fs::read_to_string(&seen).context(seen.display())?.trim(), "active", "the scope");
    is_gone(room, &bundle)
}

/// A scope of the same name is another container's, and stays.
fn taken_name(room: &Room) -> Verdict {
    let bundle = sleeper(room)?;
    let container = room.running(&bundle)?;
    room.run(&bundle)?.refuses(&[])?;
    is(room, &bundle, &[("ActiveState", "active")])?;
    ensure_eq!(container.status()?, "running", "the first container");
    container.end()
}

fn paths_of_no_scope(room: &Room) -> Verdict {
    let mut bundle = sleeper(room)?;
    if room.runtime.executor != Executor::Native {
        skip!("the driven program judges that by itself");
    }
    for path in ["/a/b", "a", "a.scope:p:n", "a.slice:p:b.slice", "a.slice:p:x y"] {
        bundle.set("/linux/cgroupsPath", json!(path));
        room.run(&bundle)?.refuses(&["cgroupsPath"])?;
    }
    Ok(())
}
