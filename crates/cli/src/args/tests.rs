//! Command lines as clients write them.

use super::*;

fn parse(line: &str) -> Result<Call, clap::Error> {
    let words = std::iter::once("proxmox-lxcri").chain(line.split_whitespace());
    Call::parse(words.map(OsString::from))
}

#[test]
fn what_clients_call() {
    let lines = [
        // containerd's shim (go-runc)
        "--root /run/r --log /l/log.json --log-format json create --bundle /b --pid-file /b/init.pid c1",
        "--root /run/r --log /l --log-format json --systemd-cgroup create --bundle /b --pid-file /p \
         --console-socket /tmp/pty.sock c1",
        "--root /run/r --log /l --log-format json create --bundle /b --pid-file /p --no-pivot \
         --no-new-keyring --preserve-fds 2 c1",
        "--root /run/r --log /l --log-format json start c1",
        "--root /run/r --log /l --log-format json exec --process /tmp/p.json --detach --pid-file /p c1",
        "--root /run/r --log /l --log-format json exec --process /tmp/p.json --console-socket /s \
         --detach --pid-file /p c1",
        "--root /run/r --log /l --log-format json kill --all c1 9",
        "--root /run/r --log /l --log-format json kill c1 15",
        "--root /run/r --log /l --log-format json delete c1",
        "--root /run/r --log /l --log-format json delete --force c1",
        "--root /run/r --log /l --log-format json ps --format json c1",
        "--root /run/r --log /l --log-format json events --stats c1",
        "--root /run/r --log /l --log-format json pause c1",
        "--root /run/r --log /l --log-format json resume c1",
        "--root /run/r --log /l --log-format json update --resources=/tmp/r.json c1",
        // conmon, for Podman and CRI-O
        "--log-format=json --log=/l/oci-log create --bundle /b --pid-file /b/pidfile c1",
        "--log-format=json --log=/l/oci-log create --bundle /b --pid-file /b/pidfile \
         --console-socket /tmp/conmon-term.ABC c1",
        "--log-format=json --log=/l/oci-log exec --pid-file /p --process /p.json --detach c1",
        "--log-format=json --log=/l/oci-log exec --pid-file /p --process /p.json --detach --tty \
         --console-socket /s c1",
        // Podman and CRI-O themselves
        "--log-level warning start c1",
        "state c1",
        "kill c1 KILL",
        "delete --force c1",
        "features",
        "--root=/run/crio --systemd-cgroup --rootless=auto exec --process /p.json c1",
        "update --resources - c1",
        "kill --all c1 SIGKILL",
        // people
        "run -b /b -d c1",
        "run c1",
        "kill -a c1 -- 9",
        "exec -t -e A=b -u 0:0 -c CAP_KILL -g 5 c1 sh -c id",
        "list -q",
        "list -f json",
        "update --memory -1 --cpu-quota -1 --pids-limit -1 --memory-swap 1g c1",
        "events --interval 500ms c1",
        "config check /a /b",
        "completion zsh",
        "spec --rootless -b /b",
    ];
    for line in lines {
        let parsed = parse(line);
        assert!(parsed.is_ok(), "{line}: {parsed:?}");
    }
}

#[test]
fn what_nobody_may_call() {
    let lines = [
        "",
        "creat c1",
        "--runtime nowhere state c1",
        "create",
        "create --bundel /b c1",
        "create a b",
        "create --log /l c1",
        "start",
        "kill",
        "kill a b c",
        "exec --process-label x c1 sh",
        "exec --process /p --cwd / c1",
        "exec --process /p --env A=b c1",
        "exec --user root c1 sh",
        "--log-format xml state c1",
        "--log-level loud state c1",
        "--rootless maybe state c1",
        "--criu /x state c1",
        "list --format yaml",
        "list --quiet --format json",
        "update --memory 0 c1",
        "update --memory lots c1",
        "update --resources - --memory 1g c1",
        "update --blkio-weight 5 c1",
        "update --blkio-weight 70000 c1",
        "update --cpu-idle 2 c1",
        "update --l3-cache-schema x c1",
        "events --interval 0s c1",
        "config",
        "completion cmd",
        "run --preserve-fds -1 c1",
        "checkpoint c1",
    ];
    for line in lines {
        let error = parse(line).expect_err(line);
        assert!(error.use_stderr(), "{line}");
        assert_eq!(error.exit_code(), 2, "{line}");
    }
}

#[test]
fn the_nearest_name_is_told() {
    for (line, near) in [("creat c1", "create"), ("create --bundel /b c1", "--bundle")] {
        let text = parse(line).expect_err(line).to_string();
        assert!(text.contains(near), "{text}");
    }
}

#[test]
fn what_follows_the_id_of_exec_is_not_ours() {
    let lines = [
        ("exec c1 ls -l --tty", vec!["c1", "ls", "-l", "--tty"], false),
        ("exec -t c1 --help", vec!["c1", "--help"], true),
        ("exec c1 -- sh", vec!["c1", "--", "sh"], false),
        ("exec c1 -t", vec!["c1", "-t"], false),
        ("ps c1 -o pid --format x", vec!["c1", "-o", "pid", "--format", "x"], false),
    ];
    for (line, words, tty) in lines {
        let call = parse(line).expect(line);
        let found: Vec<&String> = call.matches.get_many("words").into_iter().flatten().collect();
        assert_eq!(found, words, "{line}");
        let has_tty = call.matches.try_get_one::<bool>("tty").ok().flatten().copied();
        assert_eq!(has_tty.unwrap_or_default(), tty, "{line}");
    }
}

#[test]
fn options_set_keys_of_the_configuration() {
    let call =
        parse("--root r --debug --log-level warning --log l --log-format json list").unwrap();
    let set: Vec<_> = call
        .options
        .overrides()
        .into_iter()
        .map(|set| (set.flag, set.key, set.value.into_string().unwrap()))
        .collect();
    let wanted = [
        ("--root", "root", "r"),
        ("--log", "file", "l"),
        ("--log-format", "format", "json"),
        ("--debug", "level", "debug"),
        ("--log-level", "level", "warn"),
    ];
    assert_eq!(set, wanted.map(|(flag, key, value)| (flag, key, value.to_owned())));
}

#[test]
fn version_lines_are_read_by_clients() {
    let error = parse("--version").unwrap_err();
    assert_eq!(error.exit_code(), 0);
    let text = error.to_string();
    let mut lines = text.lines();
    assert_eq!(lines.next(), Some(concat!("proxmox-lxcri version ", env!("CARGO_PKG_VERSION"))));
    let spec = format!("spec: {}", lxcri_core::oci::VERSION);
    assert_eq!(lines.next(), Some(spec.as_str()));
}

#[test]
fn every_command_has_examples_and_the_tree_is_sound() {
    let mut tree = command();
    tree.build();
    tree.clone().debug_assert();
    for verb in tree.get_subcommands().filter(|verb| verb.get_name() != "help") {
        let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
        assert!(help.contains("Examples:\n"), "{}", verb.get_name());
        assert!(verb.get_about().is_some(), "{}", verb.get_name());
    }
}
