//! Hooks: order, state, namespaces, environment, failure, time-out.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use lxcri_testkit::Bundle;
use lxcri_testkit::Executor;
use lxcri_testkit::Room;
use lxcri_testkit::Verdict;
use lxcri_testkit::ensure;
use lxcri_testkit::ensure_eq;
use lxcri_testkit::skip;
use lxcri_testkit::verdict::Context;
use serde_json::Value;
use serde_json::json;

use crate::registry::cases;

cases!("hooks": order, prestart, create_runtime, create_container, start_container, poststart, poststop,
    state_fields, environment, arguments, several_of_one_kind, failure_aborts_create,
    failure_of_start_container, failure_of_poststart, failure_of_poststop, poststop_after_failed_create, many_inside, timeout, missing_program,
    large_output, join_of_network);

/// All kinds in the order in which they run.
const KINDS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

/// Where hooks that run inside see the log directory.
const INSIDE: &str = "/mnt";

/// The directory on the host into which hooks write.
fn log_dir(room: &Room) -> Verdict<PathBuf> {
    let dir = room.dir().join("log");
    fs::create_dir_all(&dir)?;
    Ok(dir)
}

/// A bundle whose hooks can write to the log from both sides.
fn with_log(room: &Room, script: &str) -> Verdict<(Bundle, PathBuf)> {
    let log = log_dir(room)?;
    let mut bundle = room.script(script)?;
    bundle.bind(&log, INSIDE, &[]);
    Ok((bundle, log))
}

/// The log directory as a hook of `kind` sees it.
fn seen_by(kind: &str, log: &std::path::Path) -> String {
    if kind == "startContainer" { INSIDE.to_owned() } else { log.to_string_lossy().into_owned() }
}

fn order(room: &Room) -> Verdict {
    let (mut bundle, log) = with_log(room, "echo process >>/mnt/order")?;
    for kind in KINDS {
        bundle.hook(kind, &format!("echo {kind} >>{}/order", seen_by(kind, &log)));
    }
    let container = room.container(&bundle);
    container.create()?;
    let created = fs::read_to_string(log.join("order"))?;
    ensure_eq!(created, "prestart\ncreateRuntime\ncreateContainer\n", "hooks run by create");
    container.start()?;
    ensure_eq!(container.finish()?, 0, "exit code");
    let all = fs::read_to_string(log.join("order"))?;
    let mut lines: Vec<&str> = all.lines().collect();
    // poststart runs beside the process that was started.
    lines.retain(|line| *line != "process");
    ensure_eq!(lines, KINDS, "all hooks");
    ensure!(
        all.find("startContainer") < all.find("process"),
        "startContainer comes first: {all:?}"
    );
    Ok(())
}

/// What one hook of `kind` saw.
struct Seen {
    state: Value,
    namespace: String,
    pid: i32,
    bundle: Bundle,
    id: String,
}

/// Runs a container with one hook that notes its state and mount namespace.
fn seen(room: &Room, kind: &str) -> Verdict<Seen> {
    let (mut bundle, log) = with_log(room, "sleep 0.2")?;
    let place = seen_by(kind, &log);
    bundle.hook(kind, &format!("/bin/cat >{place}/state; readlink /proc/self/ns/mnt >{place}/ns"));
    bundle.set("/annotations", json!({ "org.example.key": "value" }));
    // /bin/sh of the host may lack a PATH here.
    bundle.set(&format!("/hooks/{kind}/0/env"), json!(["PATH=/usr/bin:/bin"]));
    let container = room.running(&bundle)?;
    ensure_eq!(container.finish()?, 0, "exit code");
    let (pid, id) = (container.pid(), container.id.clone());
    let state =
        fs::read_to_string(log.join("state")).context(format!("the {kind} hook did not run"))?;
    let state = serde_json::from_str(&state).context(format!("{kind} read {state:?}"))?;
    let namespace = fs::read_to_string(log.join("ns"))?.trim().to_owned();
    Ok(Seen { state, namespace, pid, bundle, id })
}

fn host_namespace() -> Verdict<String> {
    Ok(fs::read_link("/proc/self/ns/mnt")?.to_string_lossy().into_owned())
}

/// Checks status and namespace (the runtime's or the container's) of a hook.
fn check(room: &Room, kind: &str, statuses: &[&str], outside: bool) -> Verdict {
    let seen = seen(room, kind)?;
    let status = seen.state["status"].as_str().unwrap_or_default();
    ensure!(
        statuses.contains(&status),
        "status seen by {kind}: {status}, expected one of {statuses:?}"
    );
    let is_outside = seen.namespace == host_namespace()?;
    ensure_eq!(is_outside, outside, "{kind} runs outside");
    Ok(())
}

fn prestart(room: &Room) -> Verdict {
    check(room, "prestart", &["creating", "created"], true)
}

fn create_runtime(room: &Room) -> Verdict {
    check(room, "createRuntime", &["creating", "created"], true)
}

fn create_container(room: &Room) -> Verdict {
    check(room, "createContainer", &["creating", "created"], false)
}

fn start_container(room: &Room) -> Verdict {
    check(room, "startContainer", &["created", "creating"], false)
}

fn poststart(room: &Room) -> Verdict {
    check(room, "poststart", &["running"], true)
}

fn poststop(room: &Room) -> Verdict {
    check(room, "poststop", &["stopped"], true)
}

fn state_fields(room: &Room) -> Verdict {
    let seen = seen(room, "createRuntime")?;
    ensure_eq!(seen.state["id"], seen.id.as_str(), "id");
    ensure_eq!(seen.state["pid"], seen.pid, "pid");
    ensure_eq!(seen.state["bundle"], seen.bundle.dir.to_string_lossy().as_ref(), "bundle");
    ensure_eq!(seen.state["annotations"]["org.example.key"], "value", "annotation");
    ensure!(seen.state["ociVersion"].is_string(), "ociVersion: {}", seen.state);
    Ok(())
}

/// A hook has the environment of the configuration and nothing of the runtime's.
fn environment(room: &Room) -> Verdict {
    let (mut bundle, log) = with_log(room, "true")?;
    bundle.hook("createRuntime", &format!("/usr/bin/env >{}/env", log.display()));
    bundle.set("/hooks/createRuntime/0/env", json!(["ONE=1", "TWO=a b"]));
    room.output(&bundle)?;
    let found = fs::read_to_string(log.join("env"))?;
    // A shell adds PWD, SHLVL, OLDPWD and _ of its own.
    let mut lines: Vec<&str> = found
        .lines()
        .filter(|line| {
            !["PWD=", "SHLVL=", "OLDPWD=", "_="].iter().any(|name| line.starts_with(name))
        })
        .collect();
    lines.sort_unstable();
    ensure_eq!(lines, ["ONE=1", "TWO=a b"], "environment of the hook");
    Ok(())
}

/// `args` includes the name of the program.
fn arguments(room: &Room) -> Verdict {
    let (mut bundle, log) = with_log(room, "true")?;
    bundle.set("/hooks/createRuntime", json!([{
        "path": "/bin/sh",
        "args": ["a name", "-c", format!("echo \"$0|$1|$2\" >{}/args", log.display()), "zero", "a b", ""],
    }]));
    room.output(&bundle)?;
    ensure_eq!(fs::read_to_string(log.join("args"))?, "zero|a b|\n", "arguments of the hook");
    Ok(())
}

fn several_of_one_kind(room: &Room) -> Verdict {
    let (mut bundle, log) = with_log(room, "true")?;
    for word in ["one", "two", "three"] {
        bundle.hook("createRuntime", &format!("echo {word} >>{}/order", log.display()));
    }
    room.output(&bundle)?;
    ensure_eq!(fs::read_to_string(log.join("order"))?, "one\ntwo\nthree\n", "order");
    Ok(())
}

fn failure_aborts_create(room: &Room) -> Verdict {
    for kind in ["prestart", "createRuntime", "createContainer"] {
        let mut bundle = room.script("echo must not run")?;
        bundle.hook(kind, "echo the words of the hook >&2; exit 3");
        let container = room.container(&bundle);
        container.create_with(&[])?.refuses(&["hook"])?;
        container.call("state")?.refuses(&["does not exist"])?;
    }
    Ok(())
}

fn failure_of_start_container(room: &Room) -> Verdict {
    let mut bundle = room.script("echo must not run")?;
    bundle.hook("startContainer", "exit 3");
    let container = room.container(&bundle);
    container.create()?;
    // The failure is inside; whether start itself learns of it differs between runtimes.
    let finished = container.call("start")?;
    ensure!(container.wait()? != 0 || finished.code != 0, "{finished}");
    ensure_eq!(container.stdout(), "", "output of the process");
    container.call("delete")?;
    room.call(&["delete", "--force", &container.id])?;
    Ok(())
}

/// The container that could not be announced does not go on running unseen.
fn failure_of_poststart(room: &Room) -> Verdict {
    let mut bundle = room.script("exec sleep 1000")?;
    bundle.hook("poststart", "exit 3");
    let container = room.container(&bundle);
    container.create()?;
    container.call("start")?;
    room.call(&["delete", "--force", &container.id])?.ok()?;
    Ok(())
}

/// Nothing can be undone any more: the deletion goes on, and the later hooks run.
fn failure_of_poststop(room: &Room) -> Verdict {
    let (mut bundle, log) = with_log(room, "true")?;
    bundle.hook("poststop", "exit 3");
    bundle.hook("poststop", &format!("echo later >{}/later", log.display()));
    let container = room.running(&bundle)?;
    container.wait()?;
    container.becomes("stopped")?;
    container.call("delete")?;
    container.call("state")?.refuses(&["does not exist"])?;
    ensure_eq!(fs::read_to_string(log.join("later"))?, "later\n", "the second hook");
    Ok(())
}

fn timeout(room: &Room) -> Verdict {
    let mut bundle = room.script("true")?;
    bundle.hook("createRuntime", "exec sleep 60").set("/hooks/createRuntime/0/timeout", json!(1));
    let start = Instant::now();
    room.container(&bundle).create_with(&[])?.refuses(&["hook", "timeout", "timed out"])?;
    let took = start.elapsed();
    ensure!(took < Duration::from_secs(10), "create took {took:?}");
    Ok(())
}

fn missing_program(room: &Room) -> Verdict {
    let mut bundle = room.script("true")?;
    bundle.set("/hooks/createRuntime", json!([{ "path": "/no/such/hook" }]));
    room.container(&bundle).create_with(&[])?.refuses(&["/no/such/hook", "no such file"])?;
    Ok(())
}

/// A hook that prints more than a pipe holds, and one that does not read its input.
fn large_output(room: &Room) -> Verdict {
    let mut bundle = room.script("echo fine")?;
    bundle.hook("createRuntime", "exec 0<&-; /usr/bin/head -c 300000 /dev/zero; exit 0");
    let printed = room.output(&bundle)?;
    ensure!(printed.ends_with("fine\n"), "the process's own line is missing");
    Ok(())
}

/// What CNI-style hooks do: enter the network namespace by the pid of the state.
fn join_of_network(room: &Room) -> Verdict {
    let mut bundle = room.script("cat /proc/sys/net/ipv4/ip_forward")?;
    bundle.hook(
        "createRuntime",
        "export PATH=/usr/sbin:/usr/bin:/sbin:/bin; \
         pid=$(tr -d '\\n' | sed 's/.*\"pid\": *\\([0-9]*\\).*/\\1/'); \
         nsenter --net=/proc/$pid/ns/net sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'",
    );
    ensure_eq!(room.output(&bundle)?, "1\n", "what the hook set in the namespace");
    Ok(())
}

/// What an earlier hook set up, the poststop hooks take down, also when create fails after it.
fn poststop_after_failed_create(room: &Room) -> Verdict {
    if room.runtime.executor != Executor::Native {
        skip!("{}: not every driven program runs them", room.runtime.executor);
    }
    let log = log_dir(room)?.join("poststop");
    let mut bundle = room.script("echo must not run")?;
    bundle.hook("prestart", "true").hook("createRuntime", "exit 3");
    bundle.hook("poststop", &format!("grep -o '\"status\":\"[a-z]*\"' >{}", log.display()));
    room.container(&bundle).create_with(&[])?.refuses(&["hook"])?;
    ensure_eq!(fs::read_to_string(log)?, "\"status\":\"stopped\"\n", "what the hook was told");
    Ok(())
}

/// Hooks inside have pids that the host may not have, or has given to others.
fn many_inside(room: &Room) -> Verdict {
    let dir = log_dir(room)?;
    let mut bundle = room.script("wc -l </mnt/log")?;
    bundle.mount("bind", &dir.to_string_lossy(), INSIDE, &["bind"]);
    for _hook in 0..8 {
        bundle.hook("createContainer", &format!("echo x >>{}/log; :", dir.display()));
    }
    ensure_eq!(room.output(&bundle)?.trim(), "8", "hooks that ran");
    Ok(())
}
