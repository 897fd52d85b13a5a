//! The process: arguments, environment, streams, exit code.

use std::fs;

use lxcri_testkit::Executor;
use lxcri_testkit::Room;
use lxcri_testkit::Verdict;
use lxcri_testkit::ensure;
use lxcri_testkit::ensure_eq;
use lxcri_testkit::process::until;
use lxcri_testkit::skip;
use serde_json::json;

use crate::registry::cases;

cases!("process": args, exit_code, signal_exit_code, killed_exit_code, streams, stdin, cwd,
    cwd_is_created, cwd_of_another_user, env, path_lookup, path_lookup_skips_what_cannot_run,
    home_of_user, oom_score_adj, rlimits, no_new_privileges, zombies_of_shared_pid_namespace,
    many_arguments, apparmor_profile, personality, personality_of_this_machine, signals_are_default);

fn args(room: &Room) -> Verdict {
    let mut bundle = room.bundle()?;
    bundle.args(&["/bin/sh", "-c", "echo \"$#:$0:$1:$2:$3\"", "zero", "a b", "", "*\n"]);
    ensure_eq!(room.output(&bundle)?, "3:zero:a b::*\n\n", "arguments");
    Ok(())
}

fn exit_code(room: &Room) -> Verdict {
    for code in [0, 1, 7, 125, 255] {
        room.run(&room.script(&format!("exit {code}"))?)?.exits(code)?;
    }
    Ok(())
}

/// In the caller's pid namespace the process is not init and dies from a signal it sends itself.
fn signal_exit_code(room: &Room) -> Verdict {
    for (signal, code) in [("TERM", 143), ("USR1", 138), ("ABRT", 134)] {
        let mut bundle = room.script(&format!("kill -{signal} $$; sleep 10"))?;
        bundle.share_namespace("pid").set(
            "/process/rlimits",
            json!([
                { "type": "RLIMIT_CORE", "soft": 0, "hard": 0 }
            ]),
        );
        room.run(&bundle)?.exits(code)?;
    }
    Ok(())
}

fn killed_exit_code(room: &Room) -> Verdict {
    let bundle = room.script("echo up; sleep 100")?;
    let container = room.running(&bundle)?;
    container.kill("KILL")?;
    ensure_eq!(container.finish()?, 137, "wait status of the pid in the pid file");
    Ok(())
}

fn streams(room: &Room) -> Verdict {
    let bundle = room.script("echo out; echo err >&2; exit 7")?;
    let finished = room.run(&bundle)?.exits(7)?;
    ensure_eq!(finished.stdout, "out\n", "standard output");
    ensure_eq!(finished.stderr, "err\n", "standard error");
    Ok(())
}

fn stdin(room: &Room) -> Verdict {
    let bundle = room.script("read first; echo \"<$first>\"; cat")?;
    bundle.write()?;
    let input = room.input("one\ntwo\nthree")?;
    let dir = bundle.dir.to_string_lossy();
    let finished = room.call_with(&["run", "--bundle", &dir, &room.id()], Some(input))?.ok()?;
    ensure_eq!(finished.stdout, "<one>\ntwo\nthree", "what came through standard input");
    Ok(())
}

fn cwd(room: &Room) -> Verdict {
    let mut bundle = room.script("pwd; readlink /proc/self/cwd")?;
    bundle.set("/process/cwd", json!("/var/tmp"));
    ensure_eq!(room.output(&bundle)?, "/var/tmp\n/var/tmp\n", "working directory");
    Ok(())
}

fn cwd_is_created(room: &Room) -> Verdict {
    let mut bundle = room.script("pwd")?;
    bundle.readonly_root(false).set("/process/cwd", json!("/new/dir"));
    ensure_eq!(room.output(&bundle)?, "/new/dir\n", "working directory");
    ensure!(bundle.rootfs().join("new/dir").is_dir(), "the directory is not in the root");
    Ok(())
}

/// A directory that only root may enter is still the working directory of another user.
fn cwd_of_another_user(room: &Room) -> Verdict {
    use std::os::unix::fs::PermissionsExt;
    let mut bundle = room.script("pwd; id -u")?;
    let dir = bundle.rootfs().join("home/alice");
    std::os::unix::fs::chown(&dir, Some(1000), Some(1000))?;
    std::fs::set_permissions(&dir, std::fs::Permissions::from_mode(0o700))?;
    bundle.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    bundle.set("/process/cwd", json!("/home/alice"));
    ensure_eq!(room.output(&bundle)?, "/home/alice\n1000\n", "working directory and user");
    Ok(())
}

fn env(room: &Room) -> Verdict {
    let mut bundle = room.bundle()?;
    bundle.args(&["/bin/env"]);
    bundle.set("/process/env", json!(["HOME=/root", "PATH=/bin", "A=1", "EMPTY=", "EQUALS=a=b c"]));
    let printed = room.output(&bundle)?;
    let mut found: Vec<&str> = printed.lines().collect();
    found.sort_unstable();
    ensure_eq!(found, ["A=1", "EMPTY=", "EQUALS=a=b c", "HOME=/root", "PATH=/bin"], "environment");
    Ok(())
}

fn path_lookup(room: &Room) -> Verdict {
    let mut bundle = room.bundle()?;
    bundle.file("opt/x/hello", "#!/bin/sh\necho \"hello from $0\"\n", 0o755)?;
    bundle.args(&["hello"]).set("/process/env", json!(["PATH=/nowhere:/opt/x:/bin"]));
    ensure_eq!(room.output(&bundle)?, "hello from /opt/x/hello\n", "program found on PATH");
    Ok(())
}

fn path_lookup_skips_what_cannot_run(room: &Room) -> Verdict {
    let mut bundle = room.bundle()?;
    bundle.file("opt/a/hello", "not for you\n", 0o644)?;
    bundle.file("opt/b/hello", "#!/bin/sh\necho b\n", 0o755)?;
    bundle.args(&["hello"]).set("/process/env", json!(["PATH=/opt/a:/opt/b:/bin"]));
    ensure_eq!(room.output(&bundle)?, "b\n", "program found on PATH");
    Ok(())
}

/// runc and crun set HOME from the container's accounts when the configuration does not.
fn home_of_user(room: &Room) -> Verdict {
    let mut bundle = room.script("echo $HOME")?;
    bundle.set("/process/user", json!({ "uid": 1000, "gid": 1000 }));
    ensure_eq!(room.output(&bundle)?, "/home/alice\n", "HOME");
    Ok(())
}

/// Raised, because lowering needs a capability that not every machine gives.
fn oom_score_adj(room: &Room) -> Verdict {
    let mut bundle = room.script("cat /proc/self/oom_score_adj")?;
    bundle.set("/process/oomScoreAdj", json!(512));
    ensure_eq!(room.output(&bundle)?, "512\n", "oom_score_adj");
    Ok(())
}

fn rlimits(room: &Room) -> Verdict {
    let mut bundle = room.script("cat /proc/self/limits")?;
    bundle.set(
        "/process/rlimits",
        json!([
            { "type": "RLIMIT_NOFILE", "soft": 300, "hard": 400 },
            { "type": "RLIMIT_CORE", "soft": 0, "hard": 4096 },
            { "type": "RLIMIT_STACK", "soft": 1_048_576, "hard": 2_097_152 },
        ]),
    );
    let printed = room.output(&bundle)?;
    for (name, soft, hard) in [
        ("Max open files", "300", "400"),
        ("Max core file size", "0", "4096"),
        ("Max stack size", "1048576", "2097152"),
    ] {
        let line = printed.lines().find(|line| line.starts_with(name)).unwrap_or_default();
        let values: Vec<&str> = line.trim_start_matches(name).split_whitespace().take(2).collect();
        ensure_eq!(values, [soft, hard], "{name}");
    }
    Ok(())
}

fn no_new_privileges(room: &Room) -> Verdict {
    for (value, wanted) in [(true, "NoNewPrivs:\t1\n"), (false, "NoNewPrivs:\t0\n")] {
        let mut bundle = room.script("grep NoNewPrivs /proc/self/status")?;
        bundle.set("/process/noNewPrivileges", json!(value));
        ensure_eq!(room.output(&bundle)?, wanted, "noNewPrivileges {value}");
    }
    Ok(())
}

/// Processes that the container leaves in the caller's pid namespace die with it (by its cgroup).
fn zombies_of_shared_pid_namespace(room: &Room) -> Verdict {
    let mut bundle = room.script("sleep 300 >/dev/null 2>&1 & exec sleep 300")?;
    bundle.share_namespace("pid");
    let container = room.running(&bundle)?;
    until("the second process", || lxcri_testkit::machine::Machine::processes().len() >= 2)?;
    container.kill("KILL")?;
    container.wait()?;
    container.call("delete")?.ok()?;
    Ok(())
}

/// More than one page of arguments and environment.
fn many_arguments(room: &Room) -> Verdict {
    let long = "x".repeat(60_000);
    let mut bundle = room.bundle()?;
    bundle.args(&["/bin/sh", "-c", "echo ${#1} ${#LONG}", "sh", &long]);
    bundle.env(&format!("LONG={long}"));
    ensure_eq!(room.output(&bundle)?, "60000 60000\n", "lengths");
    Ok(())
}

/// Profiles that distributions load and that let a shell run.
const PROFILES: [&str; 3] =
    ["lxc-container-default-cgns", "lxc-container-default", "docker-default"];

fn apparmor_profile(room: &Room) -> Verdict {
    let Ok(loaded) = fs::read_to_string("/sys/kernel/security/apparmor/profiles") else {
        skip!("this kernel runs no AppArmor");
    };
    let is_loaded = |profile: &&str| loaded.lines().any(|line| line.starts_with(*profile));
    let Some(profile) = PROFILES.into_iter().find(is_loaded) else {
        skip!("none of {PROFILES:?} is loaded");
    };
    let mut bundle = room.script("cat /proc/self/attr/current")?;
    bundle.set("/process/apparmorProfile", json!(profile));
    let printed = room.output(&bundle)?;
    ensure!(printed.starts_with(profile), "the profile in force is {printed}");
    Ok(())
}

/// `PER_LINUX32` is 8 (personality(2)); a backend that cannot do it says so.
fn personality(room: &Room) -> Verdict {
    let mut bundle = room.script("cat /proc/self/personality")?;
    bundle.set("/linux/personality", json!({ "domain": "LINUX32" }));
    let finished = room.run(&bundle)?;
    if room.runtime.executor == Executor::Native {
        ensure_eq!(finished.ok()?.stdout, "00000008\n", "persona");
        return Ok(());
    }
    finished.refuses(&["personality"])?;
    Ok(())
}

fn personality_of_this_machine(room: &Room) -> Verdict {
    let mut bundle = room.script("cat /proc/self/personality")?;
    bundle.set("/linux/personality", json!({ "domain": "LINUX" }));
    ensure_eq!(room.output(&bundle)?, "00000000\n", "persona");
    Ok(())
}

/// nohup(1) and shells ignore signals for what they start in the background; execve(2) keeps that.
fn signals_are_default(room: &Room) -> Verdict {
    let mut bundle = room.bundle()?;
    bundle.args(&["/bin/grep", "-E", "Sig(Ign|Blk)", "/proc/self/status"]).write()?;
    let (id, dir) = (room.id(), bundle.dir.to_string_lossy().into_owned());
    let ours = room.runtime.command(&room.root(), &["run", "--bundle", &dir, &id]);
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "trap '' INT QUIT HUP PIPE USR1; exec \"$@\"", "sh"]);
    command.arg(ours.get_program()).args(ours.get_args());
    let finished = room.run_command(&mut command)?.ok()?;
    let none = "0000000000000000";
    ensure_eq!(finished.stdout, format!("SigBlk:\t{none}\nSigIgn:\t{none}\n"), "signals");
    Ok(())
}
