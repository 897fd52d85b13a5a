//! `exec`: a second process in a running container.

use std::fs;

use lxcri_testkit::Bundle;
use lxcri_testkit::Finished;
use lxcri_testkit::Room;
use lxcri_testkit::Verdict;
use lxcri_testkit::View;
use lxcri_testkit::ensure;
use lxcri_testkit::ensure_eq;
use lxcri_testkit::process;
use lxcri_testkit::process::until;
use lxcri_testkit::terminal::ConsoleSocket;
use lxcri_testkit::verdict::Context;
use serde_json::Value;
use serde_json::json;

use crate::registry::cases;

cases!("exec": exit_code, signal_exit_code, streams, stdin, env, cwd, user, additional_gids, capabilities,
    no_new_privileges, inherits_settings, process_file, process_file_rlimits, detach, terminal,
    terminal_size, namespaces, user_namespace, cgroup, seccomp, missing_program, not_executable,
    in_created, in_stopped, in_paused, unknown_container, preserve_fds, no_descriptor_leaks,
    path_lookup, root_is_the_containers, many_times, survives_init_without_files);

/// A bundle that sleeps.
fn sleeper(room: &Room) -> Verdict<Bundle> {
    room.script("exec sleep 1000")
}

/// Runs a script by `exec FLAGS…` in a sleeping container made of `bundle`.
fn executed(room: &Room, bundle: &Bundle, flags: &[&str], script: &str) -> Verdict<Finished> {
    let container = room.running(bundle)?;
    let finished = container.exec_with(flags, &["sh", "-c", script])?;
    container.end()?;
    Ok(finished)
}

/// Runs a process document by `exec --process`.
fn executed_document(room: &Room, bundle: &Bundle, document: &Value) -> Verdict<Finished> {
    let file = room.dir().join("process.json");
    fs::write(&file, document.to_string())?;
    let container = room.running(bundle)?;
    let finished = container.exec_with(&["--process", &file.to_string_lossy()], &[])?;
    container.end()?;
    Ok(finished)
}

fn exit_code(room: &Room) -> Verdict {
    let bundle = sleeper(room)?;
    let container = room.running(&bundle)?;
    for code in [0, 1, 7, 255] {
        container.exec(&["sh", "-c", &format!("exit {code}")])?.exits(code)?;
    }
    ensure_eq!(container.status()?, "running", "status");
    container.end()
}

fn signal_exit_code(room: &Room) -> Verdict {
    executed(room, &sleeper(room)?, &[], "kill -TERM $$; sleep 5")?.exits(143)?;
    Ok(())
}

fn streams(room: &Room) -> Verdict {
    let finished =
        executed(room, &sleeper(room)?, &[], "echo out; echo err >&2; exit 6")?.exits(6)?;
    ensure_eq!(finished.stdout, "out\n", "standard output");
    ensure_eq!(finished.stderr, "err\n", "standard error");
    Ok(())
}

fn stdin(room: &Room) -> Verdict {
    let bundle = sleeper(room)?;
    let container = room.running(&bundle)?;
    let input = room.input("through\n")?;
    let finished = room.call_with(&["exec", &container.id, "cat"], Some(input))?.ok()?;
    ensure_eq!(finished.stdout, "through\n", "standard input");
    container.end()
}

/// The container's environment, and what the flag adds or replaces.
fn env(room: &Room) -> Verdict {
    let mut bundle = sleeper(room)?;
    bundle.env("KEPT=1").env("CHANGED=old");
    let flags = ["--env", "CHANGED=new", "--env", "ADDED=a b"];
    let finished = executed(room, &bundle, &flags, "echo $KEPT $CHANGED $ADDED")?.ok()?;
    ensure_eq!(finished.stdout, "1 new a b\n", "environment");
    Ok(())
}

fn cwd(room: &Room) -> Verdict {
    let mut bundle = sleeper(room)?;
    bundle.set("/process/cwd", json!("/var"));
    let container = room.running(&bundle)?;
    ensure_eq!(container.exec(&["pwd"])?.ok()?.stdout, "/var\n", "directory of the container");
    ensure_eq!(container.exec_with(&["--cwd", "/tmp"], &["pwd"])?.ok()?.stdout, "/tmp\n", "--cwd");
    container.end()
}

fn user(room: &Room) -> Verdict {
    let bundle = sleeper(room)?;
    let container = room.running(&bundle)?;
    let script = ["sh", "-c", "echo $(id -u):$(id -g)"];
    ensure_eq!(
        container.exec_with(&["--user", "1000:100"], &script)?.ok()?.stdout,
        "1000:100\n",
        "--user"
    );
    ensure_eq!(
        container.exec_with(&["-u", "1000"], &script)?.ok()?.stdout,
        "1000:0\n",
        "-u without group"
    );
    ensure_eq!(container.exec(&script)?.ok()?.stdout, "0:0\n", "user of the container");
    container.end()
}

fn additional_gids(room: &Room) -> Verdict {
    let flags = ["--user", "1000:1000", "--additional-gids", "7", "--additional-gids", "4000"];
    let finished =
        executed(room, &sleeper(room)?, &flags, "grep ^Groups: /proc/self/status")?.ok()?;
    let mut groups: Vec<&str> =
        finished.stdout.split_whitespace().skip(1).filter(|id| *id != "1000").collect();
    groups.sort_unstable();
    ensure_eq!(groups, ["4000", "7"], "additional groups");
    Ok(())
}

fn capabilities(room: &Room) -> Verdict {
    let bundle = sleeper(room)?;
    let container = room.running(&bundle)?;
    let script = ["grep", "CapEff", "/proc/self/status"];
    let without = container.exec(&script)?.ok()?.stdout;
    let with = container.exec_with(&["--cap", "CAP_SYS_PTRACE"], &script)?.ok()?.stdout;
    let bits =
        |line: &str| u64::from_str_radix(line.split_whitespace().nth(1).unwrap_or_default(), 16);
    let (without, with) = (bits(&without)?, bits(&with)?);
    // AUDIT_WRITE 29, KILL 5, NET_BIND_SERVICE 10; SYS_PTRACE 19.
    ensure_eq!(without, (1 << 29) | (1 << 5) | (1 << 10), "capabilities of the container");
    ensure_eq!(with, without | (1 << 19), "capabilities with --cap");
    container.end()
}

fn no_new_privileges(room: &Room) -> Verdict {
    let mut bundle = sleeper(room)?;
    bundle.set("/process/noNewPrivileges", json!(false));
    let container = room.running(&bundle)?;
    let script = ["grep", "NoNewPrivs", "/proc/self/status"];
    ensure_eq!(container.exec(&script)?.ok()?.stdout, "NoNewPrivs:\t0\n", "as the container");
    let with = container.exec_with(&["--no-new-privs"], &script)?.ok()?.stdout;
    ensure_eq!(with, "NoNewPrivs:\t1\n", "--no-new-privs");
    container.end()
}

/// no_new_privs, limits and oom_score_adj of the configuration hold for later processes as well.
fn inherits_settings(room: &Room) -> Verdict {
    let mut bundle = sleeper(room)?;
    bundle.set("/process/oomScoreAdj", json!(321));
    bundle.set("/process/rlimits", json!([{ "type": "RLIMIT_NOFILE", "soft": 200, "hard": 300 }]));
    let script = "grep NoNewPrivs /proc/self/status; ulimit -n; cat /proc/self/oom_score_adj";
    let finished = executed(room, &bundle, &[], script)?.ok()?;
    ensure_eq!(finished.stdout, "NoNewPrivs:\t1\n200\n321\n", "settings");
    Ok(())
}

fn process_file(room: &Room) -> Verdict {
    let document = json!({
        "terminal": false,
        "user": { "uid": 1000, "gid": 100, "additionalGids": [7] },
        "args": ["/bin/sh", "-c", "echo $(id -u):$(id -g):$(id -G) $(pwd) $A; grep CapEff /proc/self/status; exit 8"],
        "env": ["PATH=/bin", "A=from the file"],
        "cwd": "/tmp",
        "capabilities": { "bounding": [], "effective": [], "permitted": [] },
    });
    let finished = executed_document(room, &sleeper(room)?, &document)?.exits(8)?;
    let wanted = "1000:100:100 7 /tmp from the file\nCapEff:\t0000000000000000\n";
    ensure_eq!(finished.stdout, wanted, "process of the file");
    Ok(())
}

fn process_file_rlimits(room: &Room) -> Verdict {
    let document = json!({
        "user": { "uid": 0, "gid": 0 }, "args": ["/bin/sh", "-c", "ulimit -n; ulimit -Hn"],
        "env": ["PATH=/bin"], "cwd": "/", "noNewPrivileges": true,
        "rlimits": [{ "type": "RLIMIT_NOFILE", "soft": 111, "hard": 222 }],
    });
    let finished = executed_document(room, &sleeper(room)?, &document)?.ok()?;
    ensure_eq!(finished.stdout, "111\n222\n", "limits");
    Ok(())
}

/// As conmon does it: the pid in the file is a child of the caller's subreaper.
fn detach(room: &Room) -> Verdict {
    let bundle = sleeper(room)?;
    let container = room.running(&bundle)?;
    let pid_file = room.dir().join("exec.pid");
    let flags = ["--detach", "--pid-file", &pid_file.to_string_lossy()];
    let finished =
        container.exec_with(&flags, &["sh", "-c", "sleep 0.1; echo late; exit 9"])?.ok()?;
    let text = fs::read_to_string(&pid_file)?;
    let pid: i32 = text.parse().context(format!("the pid file holds {text:?}"))?;
    ensure_eq!(process::wait_for_orphan(pid)?, 9, "exit code");
    ensure_eq!(finished.stdout_now(), "late\n", "output");
    container.end()
}

fn terminal(room: &Room) -> Verdict {
    let bundle = sleeper(room)?;
    let container = room.running(&bundle)?;
    let socket = ConsoleSocket::bind(&room.dir().join("console"))?;
    let pid_file = room.dir().join("exec.pid");
    let flags = [
        "--tty",
        "--detach",
        "--console-socket",
        socket.path(),
        "--pid-file",
        &pid_file.to_string_lossy(),
    ];
    let script = "read line; echo \"got $line\"; test -t 0 && tty; echo direct >/dev/tty";
    container.exec_with(&flags, &["sh", "-c", script])?.ok()?;
    let mut terminal = socket.receive()?;
    terminal.send("hello\n")?;
    let text = terminal.read_to_end()?;
    ensure!(text.contains("got hello\r\n") && text.contains("/dev/pts/"), "terminal: {text:?}");
    ensure!(text.contains("direct\r\n"), "controlling terminal: {text:?}");
    let pid: i32 = fs::read_to_string(&pid_file)?.parse()?;
    ensure_eq!(process::wait_for_orphan(pid)?, 0, "exit code");
    container.end()
}

fn terminal_size(room: &Room) -> Verdict {
    let bundle = sleeper(room)?;
    let container = room.running(&bundle)?;
    let socket = ConsoleSocket::bind(&room.dir().join("console"))?;
    let (document, pid_file) = (room.dir().join("process.json"), room.dir().join("exec.pid"));
    fs::write(&document, json!({
        "terminal": true, "consoleSize": { "height": 21, "width": 77 }, "user": { "uid": 0, "gid": 0 },
        "args": ["/bin/stty", "size"], "env": ["PATH=/bin"], "cwd": "/", "noNewPrivileges": true,
    }).to_string())?;
    let (document, pid_file) = (document.to_string_lossy(), pid_file.to_string_lossy());
    let flags = [
        "--process",
        &document,
        "--detach",
        "--console-socket",
        socket.path(),
        "--pid-file",
        &pid_file,
    ];
    container.exec_with(&flags, &[])?.ok()?;
    ensure_eq!(socket.receive()?.read_to_end()?, "21 77\r\n", "size");
    process::wait_for_orphan(fs::read_to_string(&*pid_file)?.parse()?)?;
    container.end()
}

/// In every namespace of init.
fn namespaces(room: &Room) -> Verdict {
    let mut bundle = sleeper(room)?;
    bundle.namespace("cgroup", None);
    let script = "for n in pid net ipc uts mnt cgroup user; do \
                  test $(readlink /proc/self/ns/$n) = $(readlink /proc/1/ns/$n) || echo $n differs; done; \
                  readlink /proc/1/ns/net";
    let mut with_ptrace = bundle.clone();
    with_ptrace.capabilities(&["CAP_SYS_PTRACE", "CAP_KILL"]);
    let finished = executed(room, &with_ptrace, &[], script)?.ok()?;
    let own = fs::read_link("/proc/self/ns/net")?;
    ensure!(finished.stdout.lines().count() == 1, "{finished}");
    ensure!(finished.stdout.trim() != own.to_string_lossy(), "{finished}");
    Ok(())
}

fn user_namespace(room: &Room) -> Verdict {
    let mut bundle = sleeper(room)?;
    bundle.user_namespace(100_000, 65536)?;
    let script = "id -u; tr -s ' ' </proc/self/uid_map; readlink /proc/self/ns/user";
    let finished = executed(room, &bundle, &[], script)?.ok()?;
    ensure!(finished.stdout.starts_with("0\n 0 100000 65536\n"), "{finished}");
    let own = fs::read_link("/proc/self/ns/user")?;
    ensure!(!finished.stdout.contains(&*own.to_string_lossy()), "{finished}");
    Ok(())
}

/// In init's cgroups, so that limits hold.
fn cgroup(room: &Room) -> Verdict {
    let bundle = sleeper(room)?;
    let container = room.running(&bundle)?;
    let finished = container.exec(&["cat", "/proc/self/cgroup"])?.ok()?;
    for line in finished.stdout.lines() {
        let (rest, path) = line.rsplit_once(':').context(line)?;
        let shown = match room.view {
            View::V2 => rest == "0:",
            View::V1 => rest != "0:",
            View::Hybrid => true,
        };
        ensure!(!shown || path == room.cgroup_of(&bundle), "cgroup of the second process: {line}");
    }
    container.end()
}

fn seccomp(room: &Room) -> Verdict {
    let mut bundle = sleeper(room)?;
    bundle.readonly_root(false).set("/linux/seccomp", json!({
        "defaultAction": "SCMP_ACT_ALLOW",
        "syscalls": [{ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28 }],
    }));
    let script = "grep Seccomp: /proc/self/status; mkdir /tmp/x 2>&1";
    let finished = executed(room, &bundle, &[], script)?.exits(1)?;
    ensure!(finished.stdout.starts_with("Seccomp:\t2\n"), "{finished}");
    ensure!(finished.stdout.contains("No space left on device"), "{finished}");
    Ok(())
}

/// 255 before the process starts.
fn missing_program(room: &Room) -> Verdict {
    let bundle = sleeper(room)?;
    let container = room.running(&bundle)?;
    let finished = container.exec(&["no-such-program"])?.exits(255)?;
    finished.refuses(&["executable file not found in $PATH"])?;
    container.exec(&["/no/such/program"])?.exits(255)?.refuses(&["no such file or directory"])?;
    container.end()
}

fn not_executable(room: &Room) -> Verdict {
    let bundle = sleeper(room)?;
    bundle.file("opt/data", "just text\n", 0o644)?;
    let container = room.running(&bundle)?;
    container.exec(&["/opt/data"])?.exits(255)?.refuses(&["permission denied"])?;
    container.exec(&["/tmp"])?.exits(255)?.refuses(&["permission denied", "is a directory"])?;
    container.end()
}

/// A created container has an init, so a process can join it.
fn in_created(room: &Room) -> Verdict {
    let bundle = room.script("true")?;
    let container = room.container(&bundle);
    container.create()?;
    ensure_eq!(container.exec(&["echo", "in"])?.ok()?.stdout, "in\n", "output");
    container.start()?;
    container.finish()?;
    Ok(())
}

fn in_stopped(room: &Room) -> Verdict {
    let bundle = room.script("true")?;
    let container = room.running(&bundle)?;
    container.wait()?;
    container.becomes("stopped")?;
    container.exec(&["true"])?.exits(255)?.refuses(&["stopped", "not running"])?;
    container.delete()
}

/// It would hang until somebody resumes.
fn in_paused(room: &Room) -> Verdict {
    let bundle = sleeper(room)?;
    let container = room.running(&bundle)?;
    container.call("pause")?.ok()?;
    container.exec(&["true"])?.exits(255)?.refuses(&["paused"])?;
    container.call("resume")?.ok()?;
    container.end()
}

fn unknown_container(room: &Room) -> Verdict {
    room.call(&["exec", "no-such-container", "true"])?.refuses(&["does not exist"])?;
    Ok(())
}

/// `exec` through a shell that first opens descriptors.
fn with_descriptors(room: &Room, flags: &[&str], script: &str) -> Verdict<Finished> {
    let bundle = sleeper(room)?;
    let container = room.running(&bundle)?;
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", "exec 3</etc/hostname 6</ 9</proc; exec \"$@\"", "sh"]);
    let mut arguments = vec!["exec"];
    arguments.extend(flags);
    arguments.extend([container.id.as_str(), "sh", "-c", script]);
    let inner = room.runtime.command(&room.root(), &arguments);
    command.arg(inner.get_program()).args(inner.get_args());
    let finished = room.run_command(&mut command)?;
    container.end()?;
    Ok(finished)
}

fn preserve_fds(room: &Room) -> Verdict {
    let finished =
        with_descriptors(room, &["--preserve-fds", "1"], "cat <&3; ls /proc/self/fd | wc -l")?
            .ok()?;
    let wanted = format!("{}5\n", fs::read_to_string("/etc/hostname")?);
    ensure_eq!(finished.stdout, wanted, "descriptors inside");
    Ok(())
}

fn no_descriptor_leaks(room: &Room) -> Verdict {
    let finished = with_descriptors(room, &[], "ls /proc/self/fd")?.ok()?;
    ensure_eq!(finished.stdout, "0\n1\n2\n3\n", "descriptors inside");
    Ok(())
}

fn path_lookup(room: &Room) -> Verdict {
    let mut bundle = sleeper(room)?;
    bundle.file("opt/x/hello", "#!/bin/sh\necho hello\n", 0o755)?;
    bundle.args(&["/bin/sleep", "1000"]).set("/process/env", json!(["PATH=/opt/x:/bin"]));
    let container = room.running(&bundle)?;
    ensure_eq!(container.exec(&["hello"])?.ok()?.stdout, "hello\n", "by the container's PATH");
    container.end()
}

fn root_is_the_containers(room: &Room) -> Verdict {
    let bundle = sleeper(room)?;
    bundle.file("marker", "inside\n", 0o644)?;
    let finished =
        executed(room, &bundle, &[], "cat /marker; hostname; ls /proc | grep -c '^[0-9]'")?.ok()?;
    ensure!(finished.stdout.starts_with("inside\nbundle\n"), "{finished}");
    Ok(())
}

fn many_times(room: &Room) -> Verdict {
    let bundle = sleeper(room)?;
    let container = room.running(&bundle)?;
    for round in 0..25 {
        let text = format!("{round}\n");
        ensure_eq!(container.exec(&["echo", text.trim()])?.ok()?.stdout, text, "output");
    }
    ensure_eq!(process::below(container.pid()).len(), 0, "processes left below init");
    container.end()
}

/// The container's own files may be gone or hostile by then.
fn survives_init_without_files(room: &Room) -> Verdict {
    let mut bundle = room.script("rm -rf /etc; echo ready; exec sleep 1000")?;
    bundle.readonly_root(false);
    let container = room.running(&bundle)?;
    until("the removal", || container.stdout() == "ready\n")?;
    ensure_eq!(container.exec(&["echo", "in"])?.ok()?.stdout, "in\n", "output");
    container.end()
}
