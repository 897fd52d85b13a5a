//! Programs that cannot run, hooks that fail or hang. `run` exits with 1 (runc's contract).

use std::time::Duration;
use std::time::Instant;

use lxcri_testkit::Room;
use lxcri_testkit::Verdict;
use lxcri_testkit::ensure;
use lxcri_testkit::ensure_eq;
use serde_json::json;

use crate::registry::cases;

cases!("program": not_on_path, absolute_missing, not_executable, directory, wrong_format, missing_interpreter,
    user_may_not_run, failing_hook, hanging_hook, hook_killed, missing_hook, start_twice, delete_running,
    unmapped_user, failed_run_leaves_no_pid_file);

/// `run` and `create` of a bundle whose program is `program`.
fn refused(room: &Room, program: &str, words: &[&str]) -> Verdict {
    let mut bundle = room.bundle()?;
    bundle.file("opt/data", "just text\n", 0o644)?;
    bundle.file("opt/garbage", "\x7fELF and no more", 0o755)?;
    bundle.file("opt/script", "#!/no/such/interpreter\n", 0o755)?;
    bundle.file("opt/private", "#!/bin/sh\n", 0o700)?;
    bundle.args(&[program]);
    if program == "/opt/private" {
        bundle.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    }
    room.run(&bundle)?.exits(1)?.refuses(words)?;
    Ok(())
}

fn not_on_path(room: &Room) -> Verdict {
    refused(room, "no-such-program", &["executable file not found in $PATH"])
}

fn absolute_missing(room: &Room) -> Verdict {
    refused(room, "/no/such/program", &["no such file or directory"])
}

fn not_executable(room: &Room) -> Verdict {
    refused(room, "/opt/data", &["permission denied"])
}

fn directory(room: &Room) -> Verdict {
    refused(room, "/opt", &["permission denied", "is a directory"])
}

fn wrong_format(room: &Room) -> Verdict {
    refused(room, "/opt/garbage", &["exec format error"])
}

fn missing_interpreter(room: &Room) -> Verdict {
    refused(room, "/opt/script", &["no such file or directory"])
}

fn user_may_not_run(room: &Room) -> Verdict {
    refused(room, "/opt/private", &["permission denied"])
}

fn failing_hook(room: &Room) -> Verdict {
    for kind in ["prestart", "createRuntime", "createContainer", "startContainer"] {
        let mut bundle = room.script("echo must not run")?;
        bundle.hook(kind, "echo words >&2; exit 3");
        let finished = room.run(&bundle)?;
        ensure!(finished.code != 0 && finished.stdout.is_empty(), "{kind}: {finished}");
    }
    Ok(())
}

fn hanging_hook(room: &Room) -> Verdict {
    for kind in ["createRuntime", "createContainer"] {
        let mut bundle = room.script("echo must not run")?;
        bundle
            .hook(kind, "sleep 300 & sleep 300")
            .set(&format!("/hooks/{kind}/0/timeout"), json!(1));
        let start = Instant::now();
        let finished = room.run(&bundle)?.exits(1)?.refuses(&["hook", "timeout", "timed out"])?;
        ensure!(
            start.elapsed() < Duration::from_secs(15),
            "{kind} took {:?}: {finished}",
            start.elapsed()
        );
        end_orphans()?;
    }
    Ok(())
}

/// What a hook itself started and left is not the runtime's to find: the test ends it.
fn end_orphans() -> Verdict {
    for pid in lxcri_testkit::machine::Machine::processes() {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        if name == "sleep\n" {
            lxcri_testkit::process::signal(pid, rustix::process::Signal::KILL);
        }
    }
    Ok(())
}

fn hook_killed(room: &Room) -> Verdict {
    let mut bundle = room.script("echo must not run")?;
    bundle.hook("createRuntime", "kill -KILL $$");
    room.run(&bundle)?.exits(1)?.refuses(&["hook"])?;
    Ok(())
}

fn missing_hook(room: &Room) -> Verdict {
    let mut bundle = room.script("echo must not run")?;
    bundle.set("/hooks/createRuntime", json!([{ "path": "/no/such/hook" }]));
    room.run(&bundle)?.exits(1)?.refuses(&["/no/such/hook"])?;
    Ok(())
}

fn start_twice(room: &Room) -> Verdict {
    let bundle = room.script("exec sleep 1000")?;
    let container = room.running(&bundle)?;
    container.call("start")?.exits(1)?.refuses(&["running", "start"])?;
    ensure_eq!(container.status()?, "running", "status");
    container.end()
}

fn delete_running(room: &Room) -> Verdict {
    let bundle = room.script("exec sleep 1000")?;
    let container = room.running(&bundle)?;
    container.call("delete")?.exits(1)?.refuses(&["running", "not stopped"])?;
    ensure_eq!(container.status()?, "running", "status");
    container.end()
}

/// It would name a process that is gone.
fn failed_run_leaves_no_pid_file(room: &Room) -> Verdict {
    let file = room.dir().join("run.pid");
    let flags = ["--pid-file", &file.to_string_lossy()];
    let mut bundle = room.bundle()?;
    bundle.args(&["/no/such/program"]);
    for detach in [&[][..], &["--detach"]] {
        room.run_with(&bundle, &[&flags[..], detach].concat())?.exits(1)?;
        ensure!(!file.exists() || !room.runtime.ours, "{} is still there", file.display());
    }
    Ok(())
}

/// A user that the user namespace has no name for.
fn unmapped_user(room: &Room) -> Verdict {
    let mut bundle = room.script("echo must not run")?;
    bundle.user_namespace(100_000, 1000)?;
    bundle.set("/process/user", json!({ "uid": 5000, "gid": 0 }));
    room.run(&bundle)?.exits(1)?.refuses(&["5000", "invalid argument", "map"])?;
    Ok(())
}
