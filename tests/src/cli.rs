//! The command line: help, version, completion, exit codes, log files, and commands that make no
//! container.

use std::fs;
use std::process::ExitCode;

use lxcri_testkit::Executor;
use lxcri_testkit::Finished;
use lxcri_testkit::Place;
use lxcri_testkit::Room;
use lxcri_testkit::Runtime;
use lxcri_testkit::Verdict;
use lxcri_testkit::View;
use lxcri_testkit::ensure;
use lxcri_testkit::ensure_eq;
use lxcri_testkit::harness;
use lxcri_testkit::skip;
use lxcri_testkit::verdict::Context;
use serde_json::Value;

use crate::registry;
use crate::registry::cases;

cases!("cli": help, help_of_every_command, version, completion, unknown_command, unknown_option,
    option_after_command, no_command, spec, spec_keeps_existing, spec_in_bundle, features, backends,
    config_show, config_check_names_the_mistake, unknown_backend, log_text, log_json, log_level,
    log_appends, log_of_success_is_quiet, debug_goes_to_the_log, stdout_is_data, closed_stdout,
    root_option, systemd_cgroup, rootless_option, configuration_file_missing, broken_configuration_still_kills,
    annotation_does_not_choose_backend, no_leftovers_of_bad_options);

/// The test program.
#[must_use]
pub fn main() -> ExitCode {
    let tests = CASES
        .iter()
        .map(|case| registry::test("cli", *case, |_dir| Ok(Runtime::native())))
        .collect();
    harness::main(Place::Host(View::Hybrid), tests)
}

/// Calls the program with nothing but `arguments`: no `--root`, no configuration.
fn plain(room: &Room, arguments: &[&str]) -> Verdict<Finished> {
    room.run_command(std::process::Command::new(&room.runtime.program).args(arguments))
}

fn only_ours(room: &Room) -> Verdict {
    if !room.runtime.ours {
        skip!("about our own command line");
    }
    Ok(())
}

/// The commands that this program has.
const COMMANDS: [&str; 20] = [
    "create",
    "start",
    "run",
    "state",
    "kill",
    "delete",
    "exec",
    "ps",
    "list",
    "pause",
    "resume",
    "update",
    "events",
    "spec",
    "features",
    "help",
    "version",
    "completion",
    "config",
    "backends",
];

fn help(room: &Room) -> Verdict {
    only_ours(room)?;
    let long = plain(room, &["--help"])?.ok()?;
    for command in COMMANDS {
        ensure!(long.stdout.contains(command), "{command} is not in the help: {}", long.stdout);
    }
    ensure_eq!(long.stderr, "", "standard error of --help");
    ensure_eq!(plain(room, &["help"])?.ok()?.stdout, long.stdout, "help and --help");
    Ok(())
}

fn help_of_every_command(room: &Room) -> Verdict {
    only_ours(room)?;
    for command in COMMANDS.into_iter().filter(|command| *command != "help") {
        let option = plain(room, &[command, "--help"])?.ok()?;
        ensure!(option.stdout.contains(command), "{option}");
        let asked = plain(room, &["help", command])?.ok()?;
        ensure_eq!(asked.stdout, option.stdout, "help {command}");
    }
    Ok(())
}

/// Clients parse the version: containerd wants the `spec:` line.
fn version(room: &Room) -> Verdict {
    let finished = plain(room, &["--version"])?.ok()?;
    let first = finished.stdout.lines().next().unwrap_or_default();
    ensure!(first.contains(" version "), "first line: {first}");
    ensure!(finished.stdout.lines().any(|line| line.starts_with("spec: 1.")), "{finished}");
    if room.runtime.ours {
        ensure_eq!(
            plain(room, &["version"])?.ok()?.stdout,
            finished.stdout,
            "version and --version"
        );
        ensure_eq!(plain(room, &["-v"])?.ok()?.stdout, finished.stdout, "-v");
    }
    Ok(())
}

fn completion(room: &Room) -> Verdict {
    only_ours(room)?;
    for shell in ["bash", "zsh", "fish"] {
        let finished = plain(room, &["completion", shell])?.ok()?;
        ensure!(
            finished.stdout.contains("checkpoint") || finished.stdout.contains("create"),
            "{shell}: {finished}"
        );
    }
    plain(room, &["completion", "no-such-shell"])?.exits(2)?;
    let script = plain(room, &["completion", "bash"])?.ok()?.stdout;
    fs::write(room.dir().join("completion"), script)?;
    let mut bash = std::process::Command::new("bash");
    room.run_command(bash.arg("-n").arg(room.dir().join("completion")))?.ok()?;
    Ok(())
}

fn unknown_command(room: &Room) -> Verdict {
    let finished = plain(room, &["craete"])?;
    ensure!(finished.code != 0, "{finished}");
    if room.runtime.ours {
        finished.exits(2)?.refuses(&["create"])?;
    }
    Ok(())
}

fn unknown_option(room: &Room) -> Verdict {
    for arguments in [
        &["--no-such-option", "list"][..],
        &["list", "--no-such-option"],
        &["create", "--bundel", "x", "y"],
    ] {
        let finished = plain(room, arguments)?;
        ensure!(finished.code != 0, "{finished}");
        if room.runtime.ours {
            finished.exits(2)?.refuses(&["--no-such-option", "--bundle"])?;
        }
    }
    Ok(())
}

/// Global options come before the command, as with runc.
fn option_after_command(room: &Room) -> Verdict {
    let root = room.root();
    let finished = plain(room, &["list", "--root", &root.to_string_lossy()])?;
    ensure!(finished.code != 0 || !room.runtime.ours, "{finished}");
    Ok(())
}

fn no_command(room: &Room) -> Verdict {
    only_ours(room)?;
    let finished = plain(room, &[])?;
    // A command that did nothing never exits with 0.
    finished.exits(2)?;
    Ok(())
}

fn spec(room: &Room) -> Verdict {
    let mut command = room.runtime.command(&room.root(), &["spec"]);
    let dir = room.dir().join("spec");
    fs::create_dir(&dir)?;
    room.run_command(command.current_dir(&dir))?.ok()?;
    let text = fs::read_to_string(dir.join("config.json"))?;
    let config: Value = serde_json::from_str(&text).context(&text)?;
    ensure_eq!(config["process"]["args"], serde_json::json!(["sh"]), "args");
    ensure_eq!(config["process"]["terminal"], true, "terminal");
    ensure_eq!(config["root"]["path"], "rootfs", "root");
    ensure!(
        config["ociVersion"].as_str().is_some_and(|version| version.starts_with("1.")),
        "{config}"
    );
    // And it runs, without a terminal.
    let mut bundle = room.script("echo from spec")?;
    let mut edited = config;
    edited["process"]["terminal"] = Value::Bool(false);
    edited["process"]["args"] = bundle.config["process"]["args"].clone();
    bundle.config = edited;
    ensure_eq!(room.output(&bundle)?, "from spec\n", "output");
    Ok(())
}

fn spec_keeps_existing(room: &Room) -> Verdict {
    let dir = room.dir().join("spec");
    fs::create_dir(&dir)?;
    fs::write(dir.join("config.json"), "mine")?;
    let mut command = room.runtime.command(&room.root(), &["spec"]);
    room.run_command(command.current_dir(&dir))?.refuses(&["config.json"])?;
    ensure_eq!(fs::read_to_string(dir.join("config.json"))?, "mine", "config.json");
    Ok(())
}

fn spec_in_bundle(room: &Room) -> Verdict {
    let dir = room.dir().join("spec");
    fs::create_dir(&dir)?;
    room.call(&["spec", "--bundle", &dir.to_string_lossy()])?.ok()?;
    ensure!(dir.join("config.json").exists(), "no config.json");
    Ok(())
}

/// OCI features document (runtime-spec features.md).
fn features(room: &Room) -> Verdict {
    let finished = room.call(&["features"])?.ok()?;
    let document: Value = serde_json::from_str(&finished.stdout).context(&finished)?;
    for field in ["ociVersionMin", "ociVersionMax"] {
        ensure!(document[field].is_string(), "{field}: {document}");
    }
    let names = |pointer: &str| -> Vec<String> {
        let list = document.pointer(pointer).and_then(Value::as_array);
        list.into_iter().flatten().filter_map(Value::as_str).map(str::to_owned).collect()
    };
    let (hooks, options) = (names("/hooks"), names("/mountOptions"));
    for hook in
        ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]
    {
        ensure!(hooks.iter().any(|name| name == hook), "{hook} is not among {hooks:?}");
    }
    for option in ["ro", "rbind", "rprivate", "nosuid", "noexec", "nodev", "rslave"] {
        ensure!(options.iter().any(|name| name == option), "{option} is not among {options:?}");
    }
    let namespaces = names("/linux/namespaces");
    for kind in ["pid", "network", "ipc", "uts", "mount", "user", "cgroup"] {
        ensure!(namespaces.iter().any(|name| name == kind), "{kind} is not among {namespaces:?}");
    }
    ensure!(!names("/linux/capabilities").is_empty(), "no capabilities: {document}");
    if room.runtime.executor == Executor::Native {
        let idmap = document.pointer("/linux/mountExtensions/idmap/enabled");
        ensure_eq!(idmap, Some(&Value::Bool(true)), "idmapped mounts");
        for option in ["idmap", "ridmap"] {
            ensure!(options.iter().any(|name| name == option), "{option} is not among {options:?}");
        }
    }
    Ok(())
}

fn backends(room: &Room) -> Verdict {
    only_ours(room)?;
    let table = plain(room, &["backends"])?.ok()?;
    for name in ["native", "crun"] {
        ensure!(table.stdout.contains(name), "{name} is not in {table}");
    }
    Ok(())
}

fn config_show(room: &Room) -> Verdict {
    only_ours(room)?;
    let file = room.dir().join("config.toml");
    fs::write(&file, "[crun]\npath = \"/opt/bin/crun\"\n")?;
    let shown = plain(room, &["--config", &file.to_string_lossy(), "config", "show"])?.ok()?;
    ensure!(shown.stdout.contains("/opt/bin/crun"), "{shown}");
    plain(room, &["--config", &file.to_string_lossy(), "config", "check"])?.ok()?;
    Ok(())
}

/// File, line and the nearest name.
fn config_check_names_the_mistake(room: &Room) -> Verdict {
    only_ours(room)?;
    let file = room.dir().join("config.toml");
    fs::write(&file, "[crun]\npaht = \"/opt/bin/crun\"\n")?;
    let name = file.to_string_lossy();
    let finished = plain(room, &["--config", &name, "config", "check"])?;
    ensure!(finished.code != 0, "{finished}");
    for word in [&*name, "paht", "path", "2"] {
        ensure!(finished.stderr.contains(word), "{word:?} is not in {finished}");
    }
    let bundle = room.script("true")?;
    bundle.write()?;
    let root = room.root();
    let (root, dir) = (root.to_string_lossy(), bundle.dir.to_string_lossy());
    let run = plain(room, &["--root", &root, "--config", &name, "run", "--bundle", &dir, "x"])?;
    run.refuses(&["paht"])?;
    Ok(())
}

fn unknown_backend(room: &Room) -> Verdict {
    only_ours(room)?;
    let bundle = room.script("true")?;
    bundle.write()?;
    let root = room.root();
    let (root, dir) = (root.to_string_lossy(), bundle.dir.to_string_lossy());
    let finished =
        plain(room, &["--root", &root, "--backend", "natvie", "run", "--bundle", &dir, "x"])?;
    ensure!(finished.code != 0, "{finished}");
    ensure!(finished.stderr.contains("natvie") && finished.stderr.contains("native"), "{finished}");
    Ok(())
}

/// Fails with `--log FILE FLAGS…` and returns the file.
fn log_of_failure(room: &Room, flags: &[&str]) -> Verdict<(String, Finished)> {
    let file = room.dir().join("log");
    let name = file.to_string_lossy();
    let mut arguments = vec!["--log", &name];
    arguments.extend(flags);
    arguments.extend(["state", "no-such-container"]);
    let finished = room.call(&arguments)?.exits(1)?;
    Ok((fs::read_to_string(&file)?, finished))
}

/// The error goes to standard error as well, as with runc.
fn log_text(room: &Room) -> Verdict {
    let (log, finished) = log_of_failure(room, &[])?;
    ensure!(log.contains("level=error") && log.contains("does not exist"), "log: {log}");
    ensure!(finished.stderr.contains("does not exist"), "{finished}");
    Ok(())
}

/// containerd and conmon read the last line with level `error`.
fn log_json(room: &Room) -> Verdict {
    let (log, _finished) = log_of_failure(room, &["--log-format", "json"])?;
    let last = log.lines().next_back().unwrap_or_default();
    let line: Value = serde_json::from_str(last).context(format!("log: {log}"))?;
    ensure_eq!(line["level"], "error", "level of {line}");
    let message = line["msg"].as_str().unwrap_or_default();
    ensure!(message.contains("does not exist"), "message of {line}");
    ensure!(line["time"].as_str().is_some_and(|time| time.contains('T')), "time of {line}");
    Ok(())
}

fn log_level(room: &Room) -> Verdict {
    only_ours(room)?;
    let finished = room.call(&["--log-level", "no-such-level", "list"])?;
    ensure!(finished.code != 0, "{finished}");
    let finished = room.call(&["--log-format", "xml", "list"])?;
    ensure!(finished.code != 0, "{finished}");
    Ok(())
}

fn log_appends(room: &Room) -> Verdict {
    let (first, _finished) = log_of_failure(room, &[])?;
    let (second, _finished) = log_of_failure(room, &[])?;
    ensure!(
        second.starts_with(&first) && second.len() > first.len(),
        "first {first:?}, second {second:?}"
    );
    Ok(())
}

fn log_of_success_is_quiet(room: &Room) -> Verdict {
    let bundle = room.script("echo out")?;
    bundle.write()?;
    let file = room.dir().join("log");
    let (name, dir, id) = (file.to_string_lossy(), bundle.dir.to_string_lossy(), room.id());
    let finished = room.call(&["--log", &name, "run", "--bundle", &dir, &id])?.ok()?;
    ensure_eq!((finished.stdout.as_str(), finished.stderr.as_str()), ("out\n", ""), "streams");
    let log = fs::read_to_string(&file).unwrap_or_default();
    ensure!(!log.contains("level=error") && !log.contains("level=warning"), "log: {log}");
    Ok(())
}

fn debug_goes_to_the_log(room: &Room) -> Verdict {
    let bundle = room.script("echo out")?;
    bundle.write()?;
    let file = room.dir().join("log");
    let (name, dir, id) = (file.to_string_lossy(), bundle.dir.to_string_lossy(), room.id());
    let finished = room.call(&["--debug", "--log", &name, "run", "--bundle", &dir, &id])?.ok()?;
    ensure_eq!(finished.stdout, "out\n", "standard output");
    let log = fs::read_to_string(&file).unwrap_or_default();
    ensure!(log.contains("debug"), "log: {log}");
    Ok(())
}

fn stdout_is_data(room: &Room) -> Verdict {
    let finished = room.call(&["state", "no-such-container"])?.exits(1)?;
    ensure_eq!(finished.stdout, "", "standard output of an error");
    Ok(())
}

/// A closed standard output is an error at most, never a crash.
fn closed_stdout(room: &Room) -> Verdict {
    let mut command = std::process::Command::new("/bin/sh");
    command.args(["-c", "\"$@\" | true; \"$@\" >&-; exit 0", "sh"]);
    let inner = room.runtime.command(&room.root(), &["features"]);
    command.arg(inner.get_program()).args(inner.get_args());
    let finished = room.run_command(&mut command)?.ok()?;
    ensure!(!finished.stderr.contains("panicked"), "{finished}");
    Ok(())
}

/// Two root directories know nothing of each other.
fn root_option(room: &Room) -> Verdict {
    let bundle = room.script("exec sleep 1000")?;
    let container = room.running(&bundle)?;
    let other = room.dir().join("other-root");
    let mut command = room.runtime.command(&other, &["state", &container.id]);
    room.run_command(&mut command)?.refuses(&["does not exist"])?;
    container.end()
}

/// Accepted where there is no systemd only if it can be honoured: refused, and nothing is made.
fn systemd_cgroup(room: &Room) -> Verdict {
    if std::path::Path::new("/run/systemd/system").exists() {
        skip!("this machine runs systemd");
    }
    let bundle = room.script("echo must not run")?;
    bundle.write()?;
    let (dir, id) = (bundle.dir.to_string_lossy(), room.id());
    let finished = room.call(&["--systemd-cgroup", "run", "--bundle", &dir, &id])?;
    ensure!(finished.code != 0 && finished.stderr.to_lowercase().contains("systemd"), "{finished}");
    Ok(())
}

/// containerd passes it on: true, false and auto are understood, anything else is not.
fn rootless_option(room: &Room) -> Verdict {
    only_ours(room)?;
    for value in ["false", "auto"] {
        room.call(&["--rootless", value, "list", "-q"])?.ok()?;
    }
    let finished = room.call(&["--rootless", "perhaps", "list", "-q"])?;
    ensure!(finished.code != 0, "{finished}");
    Ok(())
}

fn configuration_file_missing(room: &Room) -> Verdict {
    only_ours(room)?;
    let bundle = room.script("true")?;
    bundle.write()?;
    let root = room.root();
    let (root, dir) = (root.to_string_lossy(), bundle.dir.to_string_lossy());
    let arguments =
        ["--root", &root, "--config", "/no/such/config.toml", "run", "--bundle", &dir, "x"];
    plain(room, &arguments)?.refuses(&["/no/such/config.toml"])?;
    Ok(())
}

/// A broken configuration strands nobody: kill, delete, state and list warn and go on.
fn broken_configuration_still_kills(room: &Room) -> Verdict {
    only_ours(room)?;
    let bundle = room.script("exec sleep 1000")?;
    let container = room.running(&bundle)?;
    let file = room.dir().join("config.toml");
    fs::write(&file, "[crun\n")?;
    let root = room.root();
    let (root, name) = (root.to_string_lossy(), file.to_string_lossy());
    let with = |words: &[&str]| {
        let mut arguments = vec!["--root", &*root, "--config", &*name];
        arguments.extend(words);
        plain(room, &arguments)
    };
    ensure!(with(&["state", &container.id])?.ok()?.stdout.contains("running"), "state");
    ensure!(with(&["list", "-q"])?.ok()?.stdout.contains(&container.id), "list");
    with(&["kill", &container.id, "KILL"])?.ok()?;
    container.wait()?;
    container.becomes("stopped")?;
    with(&["delete", &container.id])?.ok()?;
    Ok(())
}

/// A pod's author must not leave the sandbox that an administrator chose.
fn annotation_does_not_choose_backend(room: &Room) -> Verdict {
    only_ours(room)?;
    let mut bundle = room.script("echo ran")?;
    bundle
        .set("/annotations", serde_json::json!({ "io.proxmox-lxcri.backend": "no-such-backend" }));
    let finished = room.run(&bundle)?;
    ensure_eq!(
        (finished.code, finished.stdout.as_str()),
        (0, "ran\n"),
        "a run with the annotation"
    );
    Ok(())
}

fn no_leftovers_of_bad_options(room: &Room) -> Verdict {
    let bundle = room.script("true")?;
    bundle.write()?;
    let (dir, id) = (bundle.dir.to_string_lossy(), room.id());
    let finished = room.call(&["create", "--bundle", &dir, "--no-such-option", &id])?;
    ensure!(finished.code != 0, "{finished}");
    room.call(&["state", &id])?.refuses(&["does not exist"])?;
    Ok(())
}
