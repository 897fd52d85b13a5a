//! `run IMAGE` and `create --image` from a file: what the program does, and what is left.

use std::fs;

use lxcri_testkit::Executor;
use lxcri_testkit::Room;
use lxcri_testkit::Runtime;
use lxcri_testkit::Verdict;
use lxcri_testkit::ensure;
use lxcri_testkit::ensure_eq;
use lxcri_testkit::image::Compression;
use lxcri_testkit::image::Entry;
use lxcri_testkit::image::Layer;
use lxcri_testkit::image::busybox_image;
use lxcri_testkit::process;
use lxcri_testkit::skip;
use lxcri_testkit::verdict::Context;
use rustix::process::Signal;
use serde_json::json;

use super::Host;
use super::archive;
use crate::registry::cases;

cases!("images": says_hi, exit_codes, a_signal_ends_it, standard_input, flags, image_configuration,
    create_start_delete, containers_share_layers, what_is_not_there, through_runc);

/// From an empty store to the program's output, and nothing of the container stays.
fn says_hi(room: &Room) -> Verdict {
    for compression in [Compression::Gzip, Compression::Zstd, Compression::None] {
        let host = Host::new(room, "host")?;
        let image = archive(room, &busybox_image(compression)?)?;
        let said = host.run(&[&image, "echo", "hi"])?.ok()?;
        ensure_eq!(said.stdout, "hi\n", "{compression:?}");
        ensure_eq!(host.images()?, ["localhost/app:1"], "its name in the store");
        host.ensure_no_containers()?;
        // And once more, from the store.
        let said = host.run(&["--quiet", "--pull", "never", "localhost/app:1", "echo", "again"])?;
        ensure_eq!((&*said.stdout, &*said.stderr), ("again\n", ""), "from the store");
        host.ensure_no_containers()?;
        fs::remove_dir_all(host.data())?;
    }
    Ok(())
}

/// The program's own, and Docker's where it did not run.
fn exit_codes(room: &Room) -> Verdict {
    let host = Host::new(room, "host")?;
    let mut image = busybox_image(Compression::Gzip)?;
    let text = [Entry::directory("etc"), Entry::file("etc/motd", "no program")];
    image.layers.push(Layer::new(&text, Compression::Gzip)?);
    let image = archive(room, &image)?;
    for (words, code, message) in [
        (&["true"][..], 0, ""),
        (&["sh", "-c", "exit 7"], 7, ""),
        (&["sh", "-c", "exit 255"], 255, ""),
        (&["/etc"], 126, "is a directory"),
        (&["/etc/motd"], 126, "permission denied"),
        (&["nothing-of-that-name"], 127, "executable file not found"),
        (&["/nothing/of/that/name"], 127, "no such file"),
    ] {
        let finished = host.run(&[&[&*image], words].concat())?.exits(code)?;
        ensure!(finished.stderr.contains(message), "{finished}");
        host.ensure_no_containers()?;
    }
    for words in [
        &["--user", "nobody-there", &image, "true"][..],
        &["--pull", "never", "localhost/other:1", "true"],
        &["oci-archive:/nothing/there.tar", "true"],
    ] {
        let finished = host.run(words)?.exits(125)?;
        ensure!(finished.stderr.lines().count() <= 4 && !finished.stderr.is_empty(), "{finished}");
        host.ensure_no_containers()?;
    }
    for words in [
        &["run", "--no-such-option", &image, "true"][..],
        &["run", "--image", &image, "--restart", "always"],
        &["create", "--image", &image, "--init", "web"],
        &["run", "-d", &image],
        &["run", "--memroy", "1g", &image, "true"],
    ] {
        let finished = host.call(words)?.exits(2)?.refuses(&["unexpected argument"])?;
        ensure!(!finished.stderr.contains("imported"), "{finished}");
        host.ensure_no_containers()?;
    }
    Ok(())
}

/// 128 and the signal's number, and ours are handed on.
fn a_signal_ends_it(room: &Room) -> Verdict {
    let host = Host::new(room, "host")?;
    let image = archive(room, &busybox_image(Compression::Gzip)?)?;
    host.run(&["--pid", "host", "--userns", "host", &image, "sh", "-c", "kill -9 $$"])?
        .exits(137)?;
    host.ensure_no_containers()?;
    let script = "trap 'echo caught; exit 9' TERM; echo ready; while :; do sleep 0.05; done";
    let words = ["run", "--rm", "--network", "none", &image, "sh", "-c", script];
    let mut command = host.command(&words);
    let started = process::Started::new(&mut command, room.dir(), "signalled", None)?;
    let output = room.dir().join("signalled.out");
    let said = || fs::read_to_string(&output).unwrap_or_default();
    process::until("the program in the container", || said().contains("ready"))?;
    process::signal(started.pid(), Signal::TERM);
    let ended = started.wait(process::DEADLINE)?;
    ensure_eq!(process::exit_code(ended.status), 9, "after TERM: {}", said());
    ensure!(said().ends_with("caught\n"), "{}", said());
    host.ensure_no_containers()
}

/// With and without `--interactive`.
fn standard_input(room: &Room) -> Verdict {
    let host = Host::new(room, "host")?;
    let image = archive(room, &busybox_image(Compression::Gzip)?)?;
    let words = ["run", "--rm", "-i", "--network", "none", &image, "tr", "a-z", "A-Z"];
    let said = host.call_with(&words, room.input("loud")?)?.ok()?.stdout;
    ensure_eq!(said, "LOUD", "what passed through");
    let words = ["run", "--rm", "--network", "none", &image, "cat"];
    let said = host.call_with(&words, room.input("loud")?)?.ok()?.stdout;
    ensure_eq!(said, "", "without --interactive");
    for flag in ["--rm", "-i"] {
        let refused = host.call(&["create", "--image", &image, flag, "never"])?;
        ensure_eq!(refused.code, 2, "create {flag}: {refused}");
    }
    Ok(())
}

/// Flags of each kind take effect, read from inside.
fn flags(room: &Room) -> Verdict {
    let host = Host::new(room, "host")?;
    let image = archive(room, &busybox_image(Compression::Gzip)?)?;
    let shared = room.dir().join("shared");
    fs::create_dir(&shared)?;
    fs::write(shared.join("file"), "of the host")?;
    let volume = format!("{}:/mnt/shared:ro", shared.display());
    for (flags, script, wanted) in [
        (&["-e", "COLOUR=teal"][..], "echo $COLOUR", "teal"),
        (&["-w", "/tmp/new"], "pwd", "/tmp/new"),
        (&["-u", "12:34"], "echo $(id -u) $(id -g)", "12 34"),
        (&["--hostname", "blue"], "hostname", "blue"),
        (
            &["-v", &volume],
            "cat /mnt/shared/file; touch /mnt/shared/x 2>/dev/null || echo .",
            "of the host.",
        ),
        (&["-v", "kept:/kept"], "echo 1 >>/kept/lines; cat /kept/lines", "1"),
        (&["-v", "kept:/kept"], "echo 2 >>/kept/lines; cat /kept/lines", "1\n2"),
        (&[], "touch /written && echo yes", "yes"),
        (&["--read-only"], "touch /written 2>/dev/null || echo no", "no"),
        (&["--tmpfs", "/scratch"], "grep -c ' /scratch tmpfs ' /proc/mounts", "1"),
        (&["--entrypoint", "/bin/echo"], "-n", "sh -c -n"),
        (&["--cap-drop", "ALL"], "grep CapEff /proc/self/status | cut -f2", "0000000000000000"),
        (&[], "cat /proc/self/uid_map | tr -s ' '", " 0 100000 65536"),
        (&["--userns", "host"], "cat /proc/self/uid_map | tr -s ' '", " 0 0 4294967295"),
        (&["--memory", "64m"], "stat -c %a /tmp", "1777"),
    ] {
        let script = ["sh", "-c", script];
        let said = host.run(&[flags, &[&*image], &script].concat())?.ok()?;
        ensure_eq!(said.stdout.trim_end_matches('\n'), wanted, "{}", said.line);
        host.ensure_no_containers()?;
    }
    ensure!(!shared.join("x").exists(), "written through a read-only volume");
    Ok(())
}

/// What the image says of its program holds where no flag says otherwise.
fn image_configuration(room: &Room) -> Verdict {
    let host = Host::new(room, "host")?;
    let mut image = busybox_image(Compression::Gzip)?;
    image.set("/config/Entrypoint", json!(["sh", "-c", "echo $0 $1 $A $(pwd) $(id -u)"]));
    image.set("/config/Cmd", json!(["default", "words"]));
    image.set("/config/Env", json!(["PATH=/bin", "A=b"]));
    image.set("/config/WorkingDir", json!("/var/work"));
    image.set("/config/User", json!("77"));
    let image = archive(room, &image)?;
    ensure_eq!(host.run(&[&image])?.ok()?.stdout, "default words b /var/work 77\n", "as it is");
    let said = host.run(&["-e", "A=c", "-u", "0", &image, "other"])?.ok()?;
    ensure_eq!(said.stdout, "other c /var/work 0\n", "with flags");
    Ok(())
}

fn create_start_delete(room: &Room) -> Verdict {
    let host = Host::new(room, "host")?;
    let image = archive(room, &busybox_image(Compression::Gzip)?)?;
    let id = room.id();
    let pid_file = room.dir().join("pid").to_string_lossy().into_owned();
    let words = ["create", "--image", &image, "--network", "none", "--pid-file", &pid_file, &id];
    let created = host.call(&[&words[..], &["sh", "-c", "echo started; exit 3"]].concat())?.ok()?;
    ensure!(host.call(&["state", &id])?.ok()?.stdout.contains("\"created\""), "state");
    // Its image is in use.
    host.call(&["image", "rm", "localhost/app:1"])?.refuses(&["used by"])?;
    // Its name is taken, and the one that has it is not touched.
    host.call(&["create", "--image", &image, &id, "true"])?.refuses(&["exists"])?;
    host.call(&["start", &id])?.ok()?;
    let pid = fs::read_to_string(&pid_file)?;
    ensure_eq!(process::wait_for_orphan(pid.parse().context(pid)?)?, 3, "exit code");
    ensure_eq!(created.stdout_now(), "started\n", "what it printed");
    host.call(&["delete", "--force", &id])?.ok()?;
    host.ensure_no_containers()?;
    host.call(&["image", "rm", "localhost/app:1"])?.ok()?;
    ensure_eq!(host.images()?, Vec::<String>::new(), "images");
    Ok(())
}

/// One unpacked layer for all containers; what one writes the other does not see.
fn containers_share_layers(room: &Room) -> Verdict {
    let host = Host::new(room, "host")?;
    let image = archive(room, &busybox_image(Compression::Gzip)?)?;
    let ids = [room.id(), room.id()];
    for id in &ids {
        let words = ["create", "--image", &image, "--network", "none", id, "sh", "-c"];
        let script = "test ! -e /mine && touch /mine";
        let pid_file = room.dir().join(id).to_string_lossy().into_owned();
        let pid = ["create", "--pid-file", &pid_file];
        host.call(&[&pid[..], &words[1..], &[script]].concat())?.ok()?;
    }
    ensure_eq!(host.ready_layers()?.len(), 1, "unpacked layers");
    for id in &ids {
        host.call(&["start", id])?.ok()?;
        let pid = fs::read_to_string(room.dir().join(id))?;
        ensure_eq!(process::wait_for_orphan(pid.parse().context(pid)?)?, 0, "exit code of {id}");
    }
    for id in &ids {
        host.call(&["delete", "--force", id])?.ok()?;
    }
    host.ensure_no_containers()
}

/// Archives that are none of what they are called.
fn what_is_not_there(room: &Room) -> Verdict {
    let host = Host::new(room, "host")?;
    let file = room.dir().join("file");
    fs::write(&file, "no archive at all")?;
    for transport in ["oci-archive", "docker-archive", "rootfs"] {
        let from = format!("{transport}:{}", file.display());
        let finished = host.run(&[&from, "true"])?.exits(125)?;
        ensure!(finished.stderr.contains("file"), "{finished}");
    }
    host.ensure_no_containers()?;
    ensure_eq!(host.images()?, Vec::<String>::new(), "images");
    Ok(())
}

/// Driven by the crun backend: runc mounts from inside of the user namespace, where the host's root is
/// nobody. And other users of the host do not get to what belongs to the container.
fn through_runc(room: &Room) -> Verdict {
    let program = std::path::Path::new("/usr/sbin/runc");
    if !program.exists() {
        skip!("runc is not installed");
    }
    let dir = room.dir().join("runc");
    fs::create_dir(&dir)?;
    let runtime = Runtime::driving(program, Executor::OldRunc, &dir)?;
    let driven = Room::new(runtime, room.view, &dir);
    let host = Host::new(&driven, "host")?;
    let image = archive(room, &busybox_image(Compression::Gzip)?)?;
    let script =
        "echo $(id -u) $(cat /proc/self/uid_map); echo kept >/data/file; cat /etc/hostname";
    let words = [&image, "sh", "-c", script];
    let flags = ["--hostname", "inside", "-v", "named:/data", "-v", "/own"];
    let said = host.run(&[&flags[..], &words[..]].concat())?.ok()?.stdout;
    ensure_eq!(said, "0 0 100000 65536\ninside\n", "in the container");
    let volume = host.data().join("volumes/named");
    ensure_eq!(fs::read_to_string(volume.join("file"))?, "kept\n", "in the volume");
    let mut stranger = std::process::Command::new("setpriv");
    stranger.args(["--reuid", "65534", "--regid", "65534", "--clear-groups", "cat"]);
    let stranger = stranger.arg(volume.join("file")).output()?;
    ensure!(!stranger.status.success(), "another user of the host reads a volume");
    host.ensure_no_containers()
}
