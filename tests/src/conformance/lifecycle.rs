//! The life of a container: create, start, state, pause, kill, delete, list, ps.

use std::fs;
use std::os::unix::fs::PermissionsExt;

use lxcri_testkit::Room;
use lxcri_testkit::Verdict;
use lxcri_testkit::ensure;
use lxcri_testkit::ensure_eq;
use lxcri_testkit::process;
use lxcri_testkit::process::until;
use lxcri_testkit::verdict::Context;
use rustix::process::Signal;
use serde_json::Value;
use serde_json::json;

use crate::registry::cases;

cases!("lifecycle": full, created_process_waits, state_fields, pid_file, annotations, run_detached,
    run_detached_keeps_streams, run_deletes, run_keep, kill_default, kill_by_name_and_number,
    kill_unknown_signal, kill_by_zero, no_pivot, kill_stopped, kill_all, kill_created, delete_force_running,
    delete_force_created, delete_force_unknown, delete_force_paused, delete_running_is_refused,
    delete_unknown, start_twice, start_unknown, start_stopped, create_twice, id_can_be_used_again, pause,
    pause_of_paused, kill_paused, list_table, list_json, list_quiet, list_empty, list_many, ps_json, ps_table,
    state_unknown, dead_init_is_stopped, children_die_with_init, preserve_fds, no_descriptor_leaks,
    two_containers_at_once, bundle_is_working_directory, root_directory_is_private, run_forwards_signals,
    many_ids);

fn full(room: &Room) -> Verdict {
    room.announce_comparison();
    let bundle = room.script("trap 'exit 5' TERM; echo up; while :; do sleep 0.05; done")?;
    let container = room.container(&bundle);
    container.create()?;
    let state = container.state()?;
    ensure_eq!(state["status"], "created", "status after create");
    ensure_eq!(state["pid"], container.pid(), "pid after create");
    container.start()?;
    ensure_eq!(container.status()?, "running", "status after start");
    until("the container's first line", || container.stdout() == "up\n")?;
    let executed = container.exec(&["sh", "-c", "echo in; exit 3"])?.exits(3)?;
    ensure_eq!(executed.stdout, "in\n", "output of exec");
    container.call("pause")?.ok()?;
    ensure_eq!(container.status()?, "paused", "status after pause");
    container.call("resume")?.ok()?;
    ensure_eq!(container.status()?, "running", "status after resume");
    container.kill("TERM")?;
    ensure_eq!(container.wait()?, 5, "exit code");
    container.becomes("stopped")?;
    container.delete()?;
    container.call("state")?.refuses(&["does not exist"])?;
    Ok(())
}

fn created_process_waits(room: &Room) -> Verdict {
    let mut bundle = room.script("echo ran >/ran")?;
    bundle.readonly_root(false);
    let container = room.container(&bundle);
    container.create()?;
    std::thread::sleep(std::time::Duration::from_millis(100));
    ensure!(!bundle.rootfs().join("ran").exists(), "the process ran before start");
    container.start()?;
    ensure_eq!(container.finish()?, 0, "exit code");
    ensure!(bundle.rootfs().join("ran").exists(), "the process did not run");
    Ok(())
}

fn state_fields(room: &Room) -> Verdict {
    let bundle = room.script("exec sleep 1000")?;
    let container = room.container(&bundle);
    container.create()?;
    let state = container.state()?;
    let version = state["ociVersion"].as_str().unwrap_or_default();
    ensure!(version.starts_with("1."), "ociVersion {version:?}");
    ensure_eq!(state["id"], container.id.as_str(), "id");
    ensure_eq!(state["bundle"], bundle.dir.to_string_lossy().as_ref(), "bundle");
    ensure!(container.proc("comm").is_ok(), "the pid {} does not run", container.pid());
    container.start()?;
    container.kill("KILL")?;
    container.wait()?;
    container.becomes("stopped")?;
    let state = container.state()?;
    ensure!(state["pid"].is_null() || state["pid"] == 0, "pid of a stopped container: {state}");
    container.delete()
}

fn pid_file(room: &Room) -> Verdict {
    let bundle = room.script("exec sleep 1000")?;
    let container = room.container(&bundle);
    container.create()?;
    let text = fs::read_to_string(container.pid_file())?;
    ensure_eq!(text, container.pid().to_string(), "the pid file holds the number and nothing else");
    ensure_eq!(
        process::parent_of(container.pid()),
        i32::try_from(std::process::id()).ok(),
        "parent"
    );
    container.start()?;
    container.end()
}

fn annotations(room: &Room) -> Verdict {
    let mut bundle = room.script("exec sleep 1000")?;
    let annotations = json!({ "org.example.one": "1", "org.example.text": "ä \"b\"\n" });
    bundle.set("/annotations", annotations.clone());
    let container = room.running(&bundle)?;
    let state = container.state()?;
    for (key, value) in annotations.as_object().context("no object")? {
        ensure_eq!(state["annotations"][key], *value, "annotation {key}");
    }
    container.end()
}

fn run_detached(room: &Room) -> Verdict {
    let bundle = room.script("exec sleep 1000")?;
    bundle.write()?;
    let (dir, id) = (bundle.dir.to_string_lossy(), room.id());
    let pid_file = room.dir().join("pid");
    let flags =
        ["run", "--detach", "--pid-file", &pid_file.to_string_lossy(), "--bundle", &dir, &id];
    room.call(&flags)?.ok()?;
    let pid: i32 = fs::read_to_string(&pid_file)?.parse()?;
    let state: Value = serde_json::from_str(&room.call(&["state", &id])?.ok()?.stdout)?;
    ensure_eq!(state["status"], "running", "status");
    ensure_eq!(state["pid"], pid, "pid");
    room.call(&["kill", &id, "KILL"])?.ok()?;
    ensure_eq!(process::wait_for_orphan(pid)?, 137, "exit code");
    room.call(&["delete", "--force", &id])?.ok()?;
    Ok(())
}

fn run_detached_keeps_streams(room: &Room) -> Verdict {
    let bundle = room.script("echo out; echo err >&2")?;
    bundle.write()?;
    let (dir, id) = (bundle.dir.to_string_lossy(), room.id());
    let finished = room.call(&["run", "-d", "-b", &dir, &id])?.ok()?;
    until("the container's output", || finished.stdout_now() == "out\n")?;
    let stderr = || fs::read_to_string(&finished.stderr_file).unwrap_or_default();
    until("the container's error output", || stderr() == "err\n")?;
    until("the end", || {
        room.call(&["state", &id]).is_ok_and(|state| state.stdout.contains("\"stopped\""))
    })?;
    room.call(&["delete", &id])?.ok()?;
    Ok(())
}

fn run_deletes(room: &Room) -> Verdict {
    let bundle = room.script("true")?;
    bundle.write()?;
    let (dir, id) = (bundle.dir.to_string_lossy(), room.id());
    room.call(&["run", "--bundle", &dir, &id])?.ok()?;
    room.call(&["state", &id])?.refuses(&["does not exist"])?;
    Ok(())
}

fn run_keep(room: &Room) -> Verdict {
    let bundle = room.script("exit 4")?;
    bundle.write()?;
    let (dir, id) = (bundle.dir.to_string_lossy(), room.id());
    room.call(&["run", "--keep", "--bundle", &dir, &id])?.exits(4)?;
    let state: Value = serde_json::from_str(&room.call(&["state", &id])?.ok()?.stdout)?;
    ensure_eq!(state["status"], "stopped", "status");
    room.call(&["delete", &id])?.ok()?;
    Ok(())
}

/// Script of an init that tells which of some signals it got.
const TELL: &str = "trap 'exit 50' TERM; trap 'exit 51' HUP; trap 'exit 52' USR1; trap 'exit 53' INT; \
                    echo up; while :; do sleep 0.02; done";

/// Starts the teller, sends what `arguments` say and returns the exit code.
fn told(room: &Room, signal: Option<&str>) -> Verdict<i32> {
    let bundle = room.script(TELL)?;
    let container = room.running(&bundle)?;
    until("the traps", || container.stdout() == "up\n")?;
    let mut arguments = vec!["kill", &container.id];
    arguments.extend(signal);
    room.call(&arguments)?.ok()?;
    container.finish()
}

fn kill_default(room: &Room) -> Verdict {
    ensure_eq!(told(room, None)?, 50, "exit code after TERM");
    Ok(())
}

fn kill_by_name_and_number(room: &Room) -> Verdict {
    for (signal, code) in [
        ("TERM", 50),
        ("SIGTERM", 50),
        ("15", 50),
        ("HUP", 51),
        ("SIGHUP", 51),
        ("1", 51),
        ("USR1", 52),
        ("10", 52),
        ("INT", 53),
        ("term", 50),
        ("KILL", 137),
        ("9", 137),
    ] {
        ensure_eq!(told(room, Some(signal))?, code, "exit code after {signal}");
    }
    Ok(())
}

fn kill_unknown_signal(room: &Room) -> Verdict {
    let bundle = room.script("exec sleep 1000")?;
    let container = room.running(&bundle)?;
    for signal in ["NONSENSE", "SIGNONSENSE", "-1", "999"] {
        room.call(&["kill", &container.id, signal])?.refuses(&[])?;
    }
    ensure_eq!(container.status()?, "running", "status after signals that do not exist");
    container.end()
}

fn kill_stopped(room: &Room) -> Verdict {
    let bundle = room.script("true")?;
    let container = room.running(&bundle)?;
    container.wait()?;
    container.becomes("stopped")?;
    room.call(&["kill", &container.id, "KILL"])?
        .refuses(&["container not running", "no such process"])?;
    container.delete()
}

/// Everything in the container's cgroup gets the signal.
fn kill_all(room: &Room) -> Verdict {
    let mut bundle = room.script("sleep 1000 & sleep 1000 & echo up; exec sleep 1000")?;
    bundle.share_namespace("pid");
    let container = room.running(&bundle)?;
    until("the processes", || container.stdout() == "up\n")?;
    let sleepers = || process::below(container.pid());
    until("the sleepers", || sleepers().len() >= 2)?;
    let children = sleepers();
    room.call(&["kill", "--all", &container.id, "KILL"])?.ok()?;
    ensure_eq!(container.wait()?, 137, "exit code");
    for child in children {
        until("the end of a child", || matches!(process::state_of(child), None | Some('Z')))?;
    }
    room.call(&["delete", "--force", &container.id])?.ok()?;
    Ok(())
}

fn kill_created(room: &Room) -> Verdict {
    let bundle = room.script("true")?;
    let container = room.container(&bundle);
    container.create()?;
    container.kill("KILL")?;
    ensure_eq!(container.wait()?, 137, "exit code");
    container.becomes("stopped")?;
    container.delete()
}

fn delete_force_running(room: &Room) -> Verdict {
    let bundle = room.script("trap '' TERM HUP INT; sleep 1000 & sleep 1000")?;
    let container = room.running(&bundle)?;
    room.call(&["delete", "--force", &container.id])?.ok()?;
    ensure_eq!(container.wait()?, 137, "exit code");
    container.call("state")?.refuses(&["does not exist"])?;
    Ok(())
}

fn delete_force_created(room: &Room) -> Verdict {
    let bundle = room.script("true")?;
    let container = room.container(&bundle);
    container.create()?;
    room.call(&["delete", "-f", &container.id])?.ok()?;
    ensure_eq!(container.wait()?, 137, "exit code");
    Ok(())
}

/// As with runc: forcing the removal of what is not there succeeds.
fn delete_force_unknown(room: &Room) -> Verdict {
    room.call(&["delete", "--force", "no-such-container"])?.ok()?;
    Ok(())
}

fn delete_force_paused(room: &Room) -> Verdict {
    let bundle = room.script("exec sleep 1000")?;
    let container = room.running(&bundle)?;
    container.call("pause")?.ok()?;
    room.call(&["delete", "--force", &container.id])?.ok()?;
    ensure_eq!(container.wait()?, 137, "exit code");
    Ok(())
}

fn delete_running_is_refused(room: &Room) -> Verdict {
    let bundle = room.script("exec sleep 1000")?;
    let container = room.running(&bundle)?;
    container.call("delete")?.exits(1)?.refuses(&["not stopped", "running"])?;
    ensure_eq!(container.status()?, "running", "status");
    container.end()
}

fn delete_unknown(room: &Room) -> Verdict {
    room.call(&["delete", "no-such-container"])?.exits(1)?.refuses(&["does not exist"])?;
    Ok(())
}

fn start_twice(room: &Room) -> Verdict {
    let bundle = room.script("exec sleep 1000")?;
    let container = room.running(&bundle)?;
    container.call("start")?.exits(1)?.refuses(&["start", "running"])?;
    ensure_eq!(container.status()?, "running", "status");
    container.end()
}

fn start_unknown(room: &Room) -> Verdict {
    room.call(&["start", "no-such-container"])?.exits(1)?.refuses(&["does not exist"])?;
    Ok(())
}

fn start_stopped(room: &Room) -> Verdict {
    let bundle = room.script("true")?;
    let container = room.running(&bundle)?;
    container.wait()?;
    container.becomes("stopped")?;
    container.call("start")?.exits(1)?.refuses(&["stopped"])?;
    container.delete()
}

fn create_twice(room: &Room) -> Verdict {
    let bundle = room.script("exec sleep 1000")?;
    let container = room.running(&bundle)?;
    let dir = bundle.dir.to_string_lossy();
    let again = room.call(&["create", "--bundle", &dir, &container.id])?;
    again.exits(1)?.refuses(&["exist"])?;
    ensure_eq!(container.status()?, "running", "status of the first");
    container.end()
}

fn id_can_be_used_again(room: &Room) -> Verdict {
    let bundle = room.script("true")?;
    bundle.write()?;
    let (dir, id) = (bundle.dir.to_string_lossy(), room.id());
    for _round in 0..3 {
        room.call(&["run", "--bundle", &dir, &id])?.ok()?;
    }
    Ok(())
}

/// A paused process makes no progress.
fn pause(room: &Room) -> Verdict {
    let bundle = room.script("while :; do echo x; sleep 0.01; done")?;
    let container = room.running(&bundle)?;
    until("the first line", || !container.stdout().is_empty())?;
    container.call("pause")?.ok()?;
    ensure_eq!(container.status()?, "paused", "status");
    let before = container.stdout().len();
    std::thread::sleep(std::time::Duration::from_millis(150));
    ensure_eq!(container.stdout().len(), before, "bytes written while paused");
    container.call("resume")?.ok()?;
    until("more lines", || container.stdout().len() > before)?;
    container.end()
}

fn pause_of_paused(room: &Room) -> Verdict {
    let bundle = room.script("exec sleep 1000")?;
    let container = room.container(&bundle);
    container.create()?;
    container.start()?;
    container.call("resume")?.refuses(&["paused", "state"])?;
    container.call("pause")?.ok()?;
    container.call("pause")?.refuses(&["running", "paused", "state"])?;
    container.call("resume")?.ok()?;
    container.end()
}

/// KILL reaches a paused container.
fn kill_paused(room: &Room) -> Verdict {
    let bundle = room.script("exec sleep 1000")?;
    let container = room.running(&bundle)?;
    container.call("pause")?.ok()?;
    container.kill("KILL")?;
    if container.status()? == "paused" {
        container.call("resume")?.ok()?;
    }
    ensure_eq!(container.wait()?, 137, "exit code");
    container.becomes("stopped")?;
    container.delete()
}

fn list_table(room: &Room) -> Verdict {
    let bundle = room.script("exec sleep 1000")?;
    let container = room.running(&bundle)?;
    let printed = room.call(&["list"])?.ok()?.stdout;
    let mut lines = printed.lines();
    let head: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    ensure_eq!(head.get(..4), Some(&["ID", "PID", "STATUS", "BUNDLE"][..]), "columns");
    let row: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    let (pid, dir) = (container.pid().to_string(), bundle.dir.to_string_lossy().into_owned());
    let wanted = [container.id.as_str(), &pid, "running", &dir];
    ensure_eq!(row.get(..4), Some(&wanted[..]), "row");
    container.end()
}

fn list_json(room: &Room) -> Verdict {
    let bundle = room.script("exec sleep 1000")?;
    let container = room.running(&bundle)?;
    let printed = room.call(&["list", "--format", "json"])?.ok()?.stdout;
    let list: Value = serde_json::from_str(&printed)?;
    let rows = list.as_array().context("no array")?;
    ensure_eq!(rows.len(), 1, "containers");
    let row = rows.first().context("no row")?;
    ensure_eq!(row["id"], container.id.as_str(), "id");
    ensure_eq!(row["pid"], container.pid(), "pid");
    ensure_eq!(row["status"], "running", "status");
    ensure_eq!(row["bundle"], bundle.dir.to_string_lossy().as_ref(), "bundle");
    ensure!(row["created"].as_str().is_some_and(|time| time.contains('T')), "created: {row}");
    container.end()
}

fn list_quiet(room: &Room) -> Verdict {
    let bundle = room.script("exec sleep 1000")?;
    let container = room.running(&bundle)?;
    let printed = room.call(&["list", "-q"])?.ok()?.stdout;
    ensure_eq!(printed.trim(), container.id, "ids");
    container.end()
}

fn list_empty(room: &Room) -> Verdict {
    let printed = room.call(&["list", "-q"])?.ok()?.stdout;
    ensure_eq!(printed.trim(), "", "ids");
    Ok(())
}

fn list_many(room: &Room) -> Verdict {
    let bundles =
        [room.script("exec sleep 1000")?, room.script("exec sleep 1000")?, room.script("true")?];
    let containers: Vec<_> = bundles.iter().map(|bundle| room.container(bundle)).collect();
    for container in &containers {
        container.create()?;
    }
    let printed = room.call(&["list", "-q"])?.ok()?.stdout;
    let mut found: Vec<&str> = printed.lines().collect();
    let mut wanted: Vec<&str> = containers.iter().map(|container| container.id.as_str()).collect();
    found.sort_unstable();
    wanted.sort_unstable();
    ensure_eq!(found, wanted, "ids");
    for container in &containers {
        room.call(&["delete", "--force", &container.id])?.ok()?;
        container.wait()?;
    }
    Ok(())
}

fn ps_json(room: &Room) -> Verdict {
    let bundle = room.script("sleep 1000 & sleep 1000 & wait")?;
    let container = room.running(&bundle)?;
    until("three processes", || process::below(container.pid()).len() == 2)?;
    let printed = room.call(&["ps", "--format", "json", &container.id])?.ok()?.stdout;
    let mut found: Vec<i32> = serde_json::from_str(&printed)?;
    let mut wanted = process::below(container.pid());
    wanted.push(container.pid());
    found.sort_unstable();
    wanted.sort_unstable();
    ensure_eq!(found, wanted, "process ids");
    container.end()
}

fn ps_table(room: &Room) -> Verdict {
    let bundle = room.script("exec sleep 1000")?;
    let container = room.running(&bundle)?;
    let printed = room.call(&["ps", &container.id])?.ok()?.stdout;
    ensure!(printed.lines().next().is_some_and(|head| head.contains("PID")), "head: {printed}");
    ensure!(printed.contains(&container.pid().to_string()), "row: {printed}");
    container.end()
}

fn state_unknown(room: &Room) -> Verdict {
    room.call(&["state", "no-such-container"])?.exits(1)?.refuses(&["does not exist"])?;
    Ok(())
}

/// A pid that is gone is not taken for running, whoever killed it.
fn dead_init_is_stopped(room: &Room) -> Verdict {
    let bundle = room.script("exec sleep 1000")?;
    let container = room.running(&bundle)?;
    container.signal_init(Signal::KILL);
    // Not reaped yet: a zombie is stopped, too.
    container.becomes("stopped")?;
    ensure_eq!(container.finish()?, 137, "exit code");
    Ok(())
}

fn children_die_with_init(room: &Room) -> Verdict {
    let bundle = room.script("setsid sleep 1000 & sleep 1000 & wait")?;
    let container = room.running(&bundle)?;
    until("the children", || process::below(container.pid()).len() == 2)?;
    container.kill("KILL")?;
    container.finish()?;
    Ok(())
}

fn preserve_fds(room: &Room) -> Verdict {
    let bundle = room.script("cat <&3; ls /proc/self/fd | wc -l")?;
    bundle.write()?;
    fs::write(room.dir().join("three"), "from descriptor 3\n")?;
    fs::write(room.dir().join("four"), "not this one\n")?;
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", "exec 3<\"$0/three\" 4<\"$0/four\"; shift 0; exec \"$@\""]).arg(room.dir());
    let (dir, id) = (bundle.dir.to_string_lossy(), room.id());
    let inner =
        room.runtime.command(&room.root(), &["run", "--preserve-fds", "1", "--bundle", &dir, &id]);
    command.arg(inner.get_program()).args(inner.get_args());
    let finished = room.run_command(&mut command)?.ok()?;
    // 0, 1, 2, 3 and the directory itself.
    ensure_eq!(finished.stdout, "from descriptor 3\n5\n", "descriptors inside");
    Ok(())
}

/// CVE-2024-21626: nothing that the runtime or its caller has open reaches the process.
fn no_descriptor_leaks(room: &Room) -> Verdict {
    // Without a pipe: the shell would hold its ends for a moment.
    let bundle = room.script("ls /proc/self/fd; ls -l /proc/1/fd")?;
    bundle.write()?;
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", "exec 5</etc/hostname 7</ 9</proc; exec \"$@\"", "sh"]);
    let (dir, id) = (bundle.dir.to_string_lossy(), room.id());
    let inner = room.runtime.command(&room.root(), &["run", "--bundle", &dir, &id]);
    command.arg(inner.get_program()).args(inner.get_args());
    let finished = room.run_command(&mut command)?.ok()?;
    ensure!(finished.stdout.starts_with("0\n1\n2\n3\n"), "descriptors of the process: {finished}");
    let usual = ["0 -> ", "1 -> ", "2 -> "];
    let lines = finished.stdout.lines().filter(|line| line.contains("-> "));
    let rest: Vec<_> =
        lines.filter(|line| !usual.iter().any(|known| line.contains(known))).collect();
    let rest = rest.join("\n");
    ensure!(
        !rest.contains("hostname") && !rest.contains("/sys/fs/cgroup") && !rest.contains("/proc"),
        "{finished}"
    );
    ensure!(rest.lines().count() <= 1, "descriptors of init: {finished}");
    Ok(())
}

fn two_containers_at_once(room: &Room) -> Verdict {
    let (first, second) =
        (room.script("hostname; exec sleep 1000")?, room.script("exec sleep 1000")?);
    let (one, two) = (room.running(&first)?, room.running(&second)?);
    ensure!(one.pid() != two.pid(), "both have pid {}", one.pid());
    one.end()?;
    ensure_eq!(two.status()?, "running", "status of the other");
    two.end()
}

/// Without `--bundle` the working directory is the bundle.
fn bundle_is_working_directory(room: &Room) -> Verdict {
    let bundle = room.script("echo here")?;
    bundle.write()?;
    let mut command = room.runtime.command(&room.root(), &["run", &room.id()]);
    let finished = room.run_command(command.current_dir(&bundle.dir))?.ok()?;
    ensure_eq!(finished.stdout, "here\n", "output");
    Ok(())
}

fn root_directory_is_private(room: &Room) -> Verdict {
    let bundle = room.script("exec sleep 1000")?;
    let container = room.running(&bundle)?;
    let mode = fs::metadata(room.root())?.permissions().mode() & 0o7777;
    let inner = fs::metadata(room.root().join(&container.id))
        .map(|data| data.permissions().mode() & 0o7777);
    ensure!(
        mode & 0o077 == 0 || inner.is_ok_and(|mode| mode & 0o066 == 0),
        "mode {mode:o} of the root"
    );
    container.end()
}

/// A foreground `run` hands on what it gets.
fn run_forwards_signals(room: &Room) -> Verdict {
    let mut bundle = room.script(
        "trap 'exit 51' HUP; trap 'exit 52' USR1; echo up >/mnt/up; while :; do sleep 0.02; done",
    )?;
    let share = room.dir().join("share");
    fs::create_dir(&share)?;
    bundle.bind(&share, "/mnt", &[]);
    bundle.write()?;
    let (dir, id) = (bundle.dir.to_string_lossy(), room.id());
    let started = room.start_call(&["run", "--bundle", &dir, &id])?;
    until("the trap", || share.join("up").exists())?;
    process::signal(started.pid(), Signal::USR1);
    let ended = started.wait(process::DEADLINE)?;
    ensure_eq!(process::exit_code(ended.status), 52, "exit code after USR1");
    Ok(())
}

/// Every form of id that runc takes.
fn many_ids(room: &Room) -> Verdict {
    let bundle = room.script("true")?;
    bundle.write()?;
    let dir = bundle.dir.to_string_lossy();
    for id in ["a", "A-b_c.d+e", "0", "_x", &"x".repeat(64)] {
        room.call(&["run", "--bundle", &dir, id])?.ok()?;
    }
    Ok(())
}

/// Signal 0 only asks whether the process is there (kill(2)).
fn kill_by_zero(room: &Room) -> Verdict {
    let bundle = room.script("exec sleep 1000")?;
    let container = room.running(&bundle)?;
    container.kill("0")?;
    container.becomes("running")?;
    container.end()
}

fn no_pivot(room: &Room) -> Verdict {
    let bundle = room.script("echo in; ls /")?;
    bundle.write()?;
    let dir = bundle.dir.to_string_lossy();
    let id = room.id();
    let finished = room.call(&["run", "--no-pivot", "--bundle", &dir, &id])?.ok()?;
    ensure!(finished.stdout.starts_with("in\n"), "{finished}");
    ensure!(!finished.stdout.contains("boot"), "the host's root: {finished}");
    Ok(())
}
