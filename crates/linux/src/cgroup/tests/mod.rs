//! Tests against the real kernel. They need root; each makes cgroups named `lxcri-unit-…` and
//! removes them.

mod v1;
mod v2;

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use super::*;

/// True, with the one line that says so, when the test cannot run here.
fn skip(name: &str, reason: Option<&str>) -> bool {
    let root = rustix::process::geteuid().is_root();
    let reason = if root { reason } else { Some("needs root") };
    if let Some(reason) = reason {
        println!("SKIP {name}: {reason}");
    }
    reason.is_some()
}

/// This machine's layout, if it has v1 hierarchies with the usual controllers.
fn v1_layout(name: &str) -> Option<Layout> {
    let layout = Layout::detect().unwrap();
    let has = |c: &str| layout.v1().iter().any(|h| h.controllers.iter().any(|name| name == c));
    let usual = ["memory", "cpu", "pids", "cpuset", "devices", "freezer"].into_iter().all(has);
    (!skip(name, (!usual).then_some("no cgroup v1 hierarchies here"))).then_some(layout)
}

fn planned(layout: &Layout, name: &str) -> Cgroup {
    let path = format!("/lxcri-unit-{}-{name}", std::process::id());
    Cgroup::plan(layout, Some(&path), "unused").unwrap()
}

/// A cgroup that is killed and removed at the end of the test, come what may.
struct Made(Cgroup);

impl Made {
    fn new(layout: &Layout, name: &str, resources: &Resources) -> Self {
        let made = Self(planned(layout, name));
        let created = made.0.create(resources).unwrap();
        assert_eq!(created.directories().len(), made.0.directories().len());
        made
    }

    fn assert_gone(&self) {
        for directory in self.0.directories() {
            assert!(!directory.exists(), "{} is left", directory.display());
        }
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        let killed = self.0.kill_all(libc::SIGKILL);
        let removed = self.0.remove();
        if !std::thread::panicking() {
            killed.unwrap();
            removed.unwrap();
        }
    }
}

/// A shell that waits for a line before it runs its script; killed at the end.
struct Shell(Child);

impl Shell {
    fn new(script: &str) -> Self {
        let child = Command::new("sh")
            .args(["-c", &format!("read go; {script}")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Self(child)
    }

    fn pid(&self) -> i32 {
        i32::try_from(self.0.id()).unwrap()
    }

    fn go(&mut self) {
        self.0.stdin.take().unwrap().write_all(b"go\n").unwrap();
    }

    /// Lets it run to the end; whether it succeeded.
    fn finish(mut self) -> bool {
        self.go();
        self.0.wait().unwrap().success()
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        // Fails only when it has been waited for already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let started = Instant::now();
    while !condition() {
        assert!(started.elapsed() < Duration::from_secs(10), "timed out: {what}");
        sleep(Duration::from_millis(2));
    }
}

/// User plus system time of a process in clock ticks.
fn cpu_ticks(pid: i32) -> u64 {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<_> = stat.rsplit_once(')').unwrap().1.split_whitespace().collect();
    fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
}

fn freezes_and_thaws(cgroup: &Cgroup) {
    let mut shell = Shell::new("while :; do :; done");
    cgroup.add(shell.pid()).unwrap();
    shell.go();
    wait_until("the shell to spin", || cpu_ticks(shell.pid()) > 2);
    assert!(!cgroup.frozen().unwrap());
    cgroup.freeze().unwrap();
    assert!(cgroup.frozen().unwrap());
    let before = cpu_ticks(shell.pid());
    sleep(Duration::from_millis(100));
    assert_eq!(cpu_ticks(shell.pid()), before, "a frozen process ran");
    cgroup.thaw().unwrap();
    assert!(!cgroup.frozen().unwrap());
    wait_until("the shell to go on", || cpu_ticks(shell.pid()) > before + 2);
    // Killing works on a frozen cgroup too, and thaws it.
    cgroup.freeze().unwrap();
    cgroup.kill_all(libc::SIGKILL).unwrap();
    assert!(!shell.0.wait().unwrap().success());
    wait_until("the cgroup to be empty", || cgroup.pids().unwrap().is_empty());
}

fn kills_a_tree(cgroup: &Cgroup) {
    let mut shell = Shell::new("sleep 100 & sleep 100 & sh -c 'sleep 100 & wait' & wait");
    cgroup.add(shell.pid()).unwrap();
    shell.go();
    wait_until("five processes", || cgroup.pids().unwrap().len() == 5);
    cgroup.kill_all(libc::SIGTERM).unwrap();
    shell.0.wait().unwrap();
    wait_until("nobody after SIGTERM", || cgroup.pids().unwrap().is_empty());

    let mut shell = Shell::new("trap '' TERM; sleep 100 & sleep 100 & wait");
    cgroup.add(shell.pid()).unwrap();
    shell.go();
    wait_until("three processes", || cgroup.pids().unwrap().len() == 3);
    cgroup.kill_all(libc::SIGKILL).unwrap();
    shell.0.wait().unwrap();
    wait_until("nobody after SIGKILL", || cgroup.pids().unwrap().is_empty());
    assert!(cgroup.kill_all(0).is_err() && cgroup.kill_all(-9).is_err());
    assert!(cgroup.kill_all(libc::SIGRTMAX() + 1).is_err());
}

/// Kernel messages (1:11) are not among the default devices; `null` is.
fn filters_devices(cgroup: &Cgroup) {
    let opens = |node: &str| {
        let shell = Shell::new(&format!(": < {node}"));
        cgroup.add(shell.pid()).unwrap();
        shell.finish()
    };
    assert!(fs::File::open("/dev/kmsg").is_ok(), "the test needs a readable /dev/kmsg");
    cgroup.apply(&Resources::default()).unwrap();
    assert!(opens("/dev/null") && opens("/dev/zero"));
    assert!(!opens("/dev/kmsg"), "a device that no rule allows was opened");
    let rule = |allow, minor| DeviceRule {
        allow,
        kind: Some(DeviceType::Char),
        major: Some(1),
        minor: Some(minor),
        access: Some("r".into()),
    };
    let devices = vec![rule(true, 11)];
    cgroup.update(&Resources { devices, ..Resources::default() }).unwrap();
    assert!(opens("/dev/kmsg"), "the rules were not replaced");
    assert!(opens("/dev/null"));
    let devices = vec![rule(true, 11), rule(false, 11)];
    cgroup.update(&Resources { devices, ..Resources::default() }).unwrap();
    assert!(!opens("/dev/kmsg"), "the old rules still hold");
    // Without rules an update leaves them alone.
    cgroup.update(&Resources::default()).unwrap();
    assert!(!opens("/dev/kmsg"));
}

fn removes_what_the_container_made(made: &Made) {
    let top = made.0.path();
    for path in ["a/b/c", "a/d", "e"] {
        fs::create_dir_all(top.join(path)).unwrap();
    }
    // A process that exits only after removal has begun.
    let mut late = Shell::new("sleep 0.1");
    made.0.add(late.pid()).unwrap();
    fs::write(top.join("a/b/c/cgroup.procs"), late.pid().to_string()).unwrap();
    assert_eq!(made.0.pids().unwrap(), [late.pid()]);
    late.go();
    let reaper = std::thread::spawn(move || late.0.wait().unwrap());
    made.0.remove().unwrap();
    made.assert_gone();
    reaper.join().unwrap();
    made.0.remove().unwrap();
}

fn refuses_a_busy_directory(layout: &Layout, name: &str) {
    let cgroup = planned(layout, name);
    let resources = Resources::default();
    let first = Made(cgroup.clone());
    let created = cgroup.create(&resources).unwrap();
    // Empty: taken, but not ours to undo.
    let again = cgroup.create(&resources).unwrap();
    assert!(again.directories().is_empty());
    again.undo().unwrap();
    assert!(cgroup.path().exists());
    let shell = Shell::new("sleep 100");
    cgroup.add(shell.pid()).unwrap();
    let e = cgroup.create(&resources).unwrap_err();
    assert!(matches!(&e, Error::InUse { state, .. } if state == "1 process"), "{e}");
    assert!(matches!(remove::remove_directory(&cgroup.path()), Err(Error::Busy { .. })));
    drop(shell);
    created.undo().unwrap();
    first.assert_gone();
}

#[test]
fn json_of_resources() {
    let text = r#"{"memory":{"limit":1,"swap":-1,"kernelTCP":5,"disableOOMKiller":true,"checkBeforeUpdate":true},
        "cpu":{"shares":2,"quota":-1,"realtimeRuntime":3,"cpus":"0","idle":1,"later":true},
        "pids":{"limit":-1},"devices":[{"allow":false,"access":"rwm"},{"allow":true,"type":"c","major":1,"minor":3}],
        "blockIO":{"weight":10,"throttleReadIOPSDevice":[{"major":8,"minor":0,"rate":9}]},
        "hugepageLimits":[{"pageSize":"2MB","limit":0}],"network":{"classID":7},
        "rdma":{"mlx5_1":{"hcaHandles":3}},"unified":{"memory.high":"1"},"unknown":{}}"#;
    let resources: Resources = serde_json::from_str(text).unwrap();
    assert_eq!(resources.memory.as_ref().unwrap().kernel_tcp, Some(5));
    assert_eq!(resources.memory.as_ref().unwrap().disable_oom_killer, Some(true));
    assert_eq!(resources.cpu.as_ref().unwrap().realtime_runtime, Some(3));
    assert_eq!(resources.devices[1].kind, Some(DeviceType::Char));
    assert_eq!(resources.block_io.as_ref().unwrap().throttle_read_iops_device[0].rate, 9);
    assert_eq!(resources.network.as_ref().unwrap().class_id, Some(7));
    let back = serde_json::to_string(&resources).unwrap();
    assert!(!back.contains("null") && !back.contains("unknown"), "{back}");
    assert_eq!(serde_json::from_str::<Resources>(&back).unwrap(), resources);
    assert_eq!(serde_json::to_string(&Resources::default()).unwrap(), "{}");
    let nulls = r#"{"devices":null,"memory":null,"unified":null,"hugepageLimits":null}"#;
    assert_eq!(serde_json::from_str::<Resources>(nulls).unwrap(), Resources::default());
    for text in [
        r#"{"memory":{"limit":1.5}}"#,
        r#"{"memory":{"limit":9223372036854775808}}"#,
        r#"{"cpu":{"shares":-1}}"#,
        r#"{"devices":[{"allow":true,"type":"u"}]}"#,
        r#"{"devices":[{"type":"c"}]}"#,
    ] {
        assert!(serde_json::from_str::<Resources>(text).is_err(), "{text} was accepted");
    }
}

#[test]
fn a_cgroup_survives_the_state_file() {
    let text = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
        33 31 0:30 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,name=systemd\n\
        41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n";
    let own = b"3:cpu,cpuacct:/\n2:name=systemd:/\n0::/\n";
    let layout = Layout::parse(text.as_bytes(), own).unwrap();
    let cgroup = Cgroup::plan(&layout, Some("/ct"), "x").unwrap();
    let json = serde_json::to_string(&cgroup).unwrap();
    assert_eq!(serde_json::from_str::<Cgroup>(&json).unwrap(), cgroup);

    let hierarchies = cgroup.hierarchies();
    let names: Vec<_> = hierarchies.iter().map(|h| h.name.as_str()).collect();
    assert_eq!(names, ["cpu,cpuacct", "systemd", "unified"]);
    assert_eq!(hierarchies[0].symlinks, ["cpu", "cpuacct"]);
    assert_eq!(hierarchies[0].directory, Path::new("/sys/fs/cgroup/cpu,cpuacct/ct"));
    assert!(hierarchies[1].symlinks.is_empty() && hierarchies[2].symlinks.is_empty());
    assert_eq!(cgroup.v1_directories().len(), 2);
    assert_eq!(cgroup.path(), Path::new("/sys/fs/cgroup/unified/ct"));
}
