//! Command lines as people write them for Docker.

use clap::Parser;
use lxcri_images::spec::{MountKind, SeccompChoice};

use super::*;

/// A command as `run` will be: flags, then the image and what belongs to it.
#[derive(Parser, Debug)]
struct Command {
    #[command(flatten)]
    form: ImageForm,
    #[arg(required = true, num_args = 1.., trailing_var_arg = true)]
    words: Vec<String>,
}

fn parse(line: &str) -> Result<Command, clap::Error> {
    Command::try_parse_from(std::iter::once("run").chain(line.split_whitespace()))
}

fn options(line: &str) -> Options {
    let command = parse(line).unwrap();
    let caller = |name: &str| (name == "HERE").then(|| "x".into());
    command.form.options(&command.words[1..], &caller).unwrap()
}

#[test]
fn what_stands_behind_the_image_is_the_programs() {
    let command = parse("--rm -it -e A=1 alpine:3 sh -c --rm -e x --unknown").unwrap();
    assert_eq!(command.words, ["alpine:3", "sh", "-c", "--rm", "-e", "x", "--unknown"]);
    assert!(command.form.way.rm && command.form.way.interactive && command.form.program.tty);
    let command = parse("alpine -- ls").unwrap();
    assert_eq!(command.words, ["alpine", "--", "ls"]);
    let command = parse("--rm=false --tty=true alpine").unwrap();
    assert!(!command.form.way.rm && command.form.program.tty);
}

#[test]
fn every_flag_arrives() {
    let found = options(
        "--user app:web --group-add audio --workdir /srv --entrypoint /bin/x --env A=1 -e HERE \
         -e GONE --label a=b -l c --hostname db --network host --dns 192.0.2.1 \
         --add-host h:192.0.2.2 -v vol:/a --mount type=bind,src=/b,dst=/b --tmpfs /c:size=1m \
         --read-only --device /dev/null:/dev/nil:r -m 64m --memory-swap -1 \
         --cpus 0.5 -c 7 --cpuset-cpus 0 --cpuset-mems 0 --pids-limit -1 --ulimit core=0 \
         --ulimit nofile=1 --ulimit core=1 --cap-add NET_ADMIN --cap-drop ALL \
         --security-opt no-new-privileges --security-opt seccomp=unconfined \
         --security-opt apparmor=p --security-opt systempaths=unconfined --privileged \
         --sysctl net.a=1 --userns host --ipc none --pid host image cmd arg",
    );
    assert_eq!(found.command, ["cmd", "arg"]);
    assert_eq!(found.entrypoint.as_deref(), Some("/bin/x"));
    let set = |name: &str, value: &str| Variable::Set(name.into(), value.into());
    assert_eq!(
        found.environment,
        [set("A", "1"), set("HERE", "x"), Variable::Unset("GONE".into())]
    );
    assert_eq!((found.user.as_deref(), found.groups.len()), (Some("app:web"), 1));
    assert_eq!(found.working_directory.as_deref(), Some("/srv"));
    assert_eq!(found.labels["a"], "b");
    assert_eq!(found.labels["c"], "");
    assert_eq!((found.hostname.as_deref(), found.network), (Some("db"), Network::Host));
    assert_eq!((found.dns.len(), found.hosts[0].0.as_str()), (1, "h"));
    let places: Vec<_> = found.mounts.iter().map(|mount| mount.destination.as_str()).collect();
    assert_eq!(places, ["/a", "/b", "/c"]);
    assert!(matches!(found.mounts[2].kind, MountKind::Tmpfs { .. }));
    assert!(found.read_only);
    assert_eq!(options("--shm-size 1m x").shm_size, Some(1 << 20));
    assert_eq!(found.devices[0].access, "r");
    let limits = Limits {
        memory: Some(64 << 20),
        memory_swap: Some(-1),
        nano_cpus: Some(500_000_000),
        cpu_shares: Some(7),
        cpuset_cpus: Some("0".into()),
        cpuset_mems: Some("0".into()),
        pids: Some(-1),
    };
    assert_eq!(found.limits, limits);
    let kinds: Vec<_> =
        found.rlimits.iter().map(|limit| (limit.kind.as_str(), limit.soft)).collect();
    assert_eq!(kinds, [("RLIMIT_NOFILE", 1), ("RLIMIT_CORE", 1)]);
    assert_eq!((found.cap_add.len(), found.cap_drop.len(), found.privileged), (1, 1, true));
    let security = Security {
        no_new_privileges: true,
        seccomp: SeccompChoice::Unconfined,
        apparmor: Some("p".into()),
        unmasked: true,
    };
    assert_eq!(found.security, security);
    assert_eq!(found.sysctls["net.a"], "1");
    assert_eq!(
        (found.user_namespace, found.ipc, found.pid),
        (UserNamespace::Host, Ipc::None, PidNamespace::Host)
    );
}

#[test]
fn how_the_command_goes_about_it() {
    let way =
        parse("--name web --pull never --platform linux/arm/v7 --cidfile f x").unwrap().form.way;
    assert_eq!((way.name.as_deref(), way.pull), (Some("web"), Pull::Never));
    assert_eq!(way.platform.unwrap().to_string(), "linux/arm/v7");
    assert_eq!(way.cidfile.as_deref(), Some(std::path::Path::new("f")));
    assert_eq!(parse("x").unwrap().form.way.pull, Pull::Missing);
}

#[test]
fn the_environment_file_comes_first() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "A=file\nB=file\n").unwrap();
    let found = options(&format!("-e A=flag --env-file {} x", file.path().display()));
    let set = |name: &str, value: &str| Variable::Set(name.into(), value.into());
    assert_eq!(found.environment, [set("A", "file"), set("B", "file"), set("A", "flag")]);
}

/// Without a /dev/shm of the container's own its size would be passed over.
#[test]
fn a_size_of_nothing() {
    for ipc in ["host", "none"] {
        let command = parse(&format!("--shm-size 1m --ipc {ipc} image")).unwrap();
        let error = command.form.options(&[], &|_| None).unwrap_err();
        assert!(error.message().contains("--shm-size"), "{}", error.message());
    }
}

/// What a later version brings is an error now, never passed over.
#[test]
fn what_is_not_there() {
    for flag in [
        "-d",
        "--detach",
        "-p 80:80",
        "--publish 80:80",
        "--restart always",
        "--init",
        "--stop-signal TERM",
        "--stop-timeout 1",
        "--health-cmd x",
        "--vmid 100",
        "--storage x",
        "-P",
        "--link x",
        "--network bridge",
        "--network=web",
        "--ipc shareable",
        "--pid container:x",
        "--userns keep-id",
        "--add-host h:host-gateway",
        "--security-opt label=type:x",
        "--memory 0",
        "--pull sometimes",
        "--platform linux",
        "-v a",
        "--rm=perhaps",
        "--interactiv",
        "-h",
    ] {
        let error = parse(&format!("{flag} image")).unwrap_err();
        let expected = if flag == "-h" { 0 } else { 2 };
        assert_eq!(error.exit_code(), expected, "{flag}");
    }
    assert_eq!(parse("--rm").unwrap_err().exit_code(), 2, "an image is missing");
}
