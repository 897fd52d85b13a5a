//! Bundles and configurations that are wrong.

use lxcri_testkit::Bundle;
use lxcri_testkit::Room;
use lxcri_testkit::Verdict;
use lxcri_testkit::ensure;
use serde_json::Value;
use serde_json::json;

use crate::registry::cases;

cases!("configuration": missing_bundle, missing_config, config_is_a_directory, empty_config, broken_json,
    wrong_type, unknown_version, missing_version, missing_process, missing_root, missing_rootfs,
    rootfs_is_a_file, rootfs_escapes, unknown_namespace, namespace_twice, unknown_mount_option,
    unknown_mount_type, mount_without_destination, unknown_capability, unknown_rlimit, rlimit_twice,
    empty_args, relative_cwd, nul_in_argument, negative_uid, mappings_without_namespace, deep_json,
    huge_number, hostname_without_namespace, not_utf8, hook_without_path, relative_hook);

/// `run` of the bundle, whose `config.json` the test has written already.
fn refused(room: &Room, bundle: &Bundle, words: &[&str]) -> Verdict {
    let dir = bundle.dir.to_string_lossy();
    for command in ["run", "create"] {
        let id = room.id();
        let finished = room.call(&[command, "--bundle", &dir, &id])?.exits(1)?.refuses(words)?;
        let lines = finished.stderr.lines().filter(|line| !line.starts_with("hint:")).count();
        ensure!(lines == 1, "an error is one line: {finished}");
        room.call(&["state", &id])?.refuses(&["does not exist"])?;
    }
    Ok(())
}

/// The default bundle with one value changed is refused with one of `words`.
fn refuses(room: &Room, pointer: &str, value: Value, words: &[&str]) -> Verdict {
    let mut bundle = room.script("true")?;
    bundle.set(pointer, value).write()?;
    refused(room, &bundle, words)
}

fn missing_bundle(room: &Room) -> Verdict {
    let finished = room.call(&["run", "--bundle", "/no/such/bundle", "x"])?.exits(1)?;
    finished.refuses(&["/no/such/bundle"])?;
    Ok(())
}

fn missing_config(room: &Room) -> Verdict {
    refused(room, &room.bundle()?, &["config.json"])
}

fn config_is_a_directory(room: &Room) -> Verdict {
    let bundle = room.bundle()?;
    std::fs::create_dir(bundle.dir.join("config.json"))?;
    refused(room, &bundle, &["is a directory", "config.json"])
}

fn empty_config(room: &Room) -> Verdict {
    let bundle = room.bundle()?;
    bundle.write_text("")?;
    refused(room, &bundle, &["config.json", "eof", "json"])
}

/// The place of the mistake is in the message.
fn broken_json(room: &Room) -> Verdict {
    let bundle = room.bundle()?;
    bundle.write_text("{\n  \"ociVersion\": \"1.0.2\",\n  \"process\": {,\n}\n")?;
    let words: &[&str] =
        if room.runtime.ours { &["config.json:3:"] } else { &["invalid character"] };
    refused(room, &bundle, words)
}

/// The field of the mistake is in the message.
fn wrong_type(room: &Room) -> Verdict {
    for (pointer, value, field) in [
        ("/process/args", json!("sh"), "process.args"),
        ("/process/user/uid", json!("root"), "process.user.uid"),
        ("/mounts/0/options", json!("ro"), "mounts"),
        ("/linux/resources/memory", json!({ "limit": "64M" }), "resources.memory"),
        ("/root", json!([]), "root"),
    ] {
        let words = [if room.runtime.ours { field } else { "cannot unmarshal" }];
        refuses(room, pointer, value, &words)?;
    }
    Ok(())
}

fn unknown_version(room: &Room) -> Verdict {
    for version in ["2.0.0", "0.1.0", "one", "99.1.2"] {
        refuses(room, "/ociVersion", json!(version), &["ociversion", "version"])?;
    }
    Ok(())
}

fn missing_version(room: &Room) -> Verdict {
    let mut bundle = room.script("true")?;
    bundle.remove("/ociVersion").write()?;
    refused(room, &bundle, &["ociversion", "version"])
}

fn missing_process(room: &Room) -> Verdict {
    let mut bundle = room.script("true")?;
    bundle.remove("/process").write()?;
    refused(room, &bundle, &["process"])
}

fn missing_root(room: &Room) -> Verdict {
    let mut bundle = room.script("true")?;
    bundle.remove("/root").write()?;
    refused(room, &bundle, &["root"])
}

fn missing_rootfs(room: &Room) -> Verdict {
    refuses(room, "/root/path", json!("no-such-root"), &["no-such-root"])
}

fn rootfs_is_a_file(room: &Room) -> Verdict {
    let mut bundle = room.script("true")?;
    std::fs::write(room.dir().join("file"), "")?;
    bundle.set("/root/path", json!(room.dir().join("file"))).write()?;
    refused(room, &bundle, &["not a directory", "rootfs"])
}

/// A relative root must lie in the bundle.
fn rootfs_escapes(room: &Room) -> Verdict {
    refuses(room, "/root/path", json!("../../../../../../../../usr"), &["root", "usr"])
}

fn unknown_namespace(room: &Room) -> Verdict {
    let mut bundle = room.script("true")?;
    bundle.namespace("parallel", None).write()?;
    refused(room, &bundle, &["parallel"])
}

fn namespace_twice(room: &Room) -> Verdict {
    let mut bundle = room.script("true")?;
    bundle.push("/linux/namespaces", json!({ "type": "pid" })).write()?;
    refused(room, &bundle, &["pid", "duplicate", "namespace"])
}

fn unknown_mount_option(room: &Room) -> Verdict {
    let mut bundle = room.script("true")?;
    bundle.mount("tmpfs", "tmpfs", "/mnt", &["no-such-option"]).write()?;
    refused(room, &bundle, &["no-such-option"])
}

fn unknown_mount_type(room: &Room) -> Verdict {
    let mut bundle = room.script("true")?;
    bundle.mount("no-such-fs", "none", "/mnt", &[]).write()?;
    refused(room, &bundle, &["no-such-fs"])
}

fn mount_without_destination(room: &Room) -> Verdict {
    let mut bundle = room.script("true")?;
    bundle.push("/mounts", json!({ "type": "tmpfs", "source": "tmpfs" })).write()?;
    refused(room, &bundle, &["destination", "mount"])
}

/// A capability that does not exist is either an error or dropped with a warning (runc warns).
fn unknown_capability(room: &Room) -> Verdict {
    let mut bundle = room.script("true")?;
    bundle.push("/process/capabilities/bounding", json!("CAP_WALK_ON_WATER")).write()?;
    let finished = room.run(&bundle)?;
    ensure!(finished.stderr.contains("CAP_WALK_ON_WATER"), "not a word about it: {finished}");
    Ok(())
}

fn unknown_rlimit(room: &Room) -> Verdict {
    let limits = json!([{ "type": "RLIMIT_PATIENCE", "soft": 1, "hard": 1 }]);
    refuses(room, "/process/rlimits", limits, &["rlimit_patience", "rlimit"])
}

fn rlimit_twice(room: &Room) -> Verdict {
    let limit = json!({ "type": "RLIMIT_NOFILE", "soft": 100, "hard": 100 });
    let mut bundle = room.script("true")?;
    bundle.set("/process/rlimits", json!([limit, limit])).write()?;
    let finished = room.run(&bundle)?;
    let said = finished.code == 0 || finished.stderr.contains("RLIMIT_NOFILE");
    ensure!(said, "{finished}");
    Ok(())
}

fn empty_args(room: &Room) -> Verdict {
    refuses(room, "/process/args", json!([]), &["args"])
}

fn relative_cwd(room: &Room) -> Verdict {
    refuses(room, "/process/cwd", json!("tmp"), &["cwd", "absolute"])
}

fn nul_in_argument(room: &Room) -> Verdict {
    refuses(
        room,
        "/process/args",
        json!(["/bin/echo", "a\0b"]),
        &["nul", "invalid argument", "args"],
    )
}

fn negative_uid(room: &Room) -> Verdict {
    refuses(room, "/process/user/uid", json!(-1), &["uid", "-1"])
}

fn mappings_without_namespace(room: &Room) -> Verdict {
    let mapping = json!([{ "containerID": 0, "hostID": 100_000, "size": 65536 }]);
    refuses(room, "/linux/uidMappings", mapping, &["mapping", "user namespace"])
}

/// Nesting that would overflow the stack of a careless parser.
fn deep_json(room: &Room) -> Verdict {
    let bundle = room.bundle()?;
    let text = format!("{{\"annotations\": {}{}}}", "[".repeat(200_000), "]".repeat(200_000));
    bundle.write_text(&text)?;
    refused(room, &bundle, &[])
}

fn huge_number(room: &Room) -> Verdict {
    let bundle = room.bundle()?;
    let text =
        serde_json::to_string(&bundle.config)?.replace("\"uid\":0", "\"uid\":99999999999999999999");
    bundle.write_text(&text)?;
    refused(room, &bundle, &["uid", "99999999999999999999", "number"])
}

/// It would change the machine's own name.
fn hostname_without_namespace(room: &Room) -> Verdict {
    let before = std::fs::read_to_string("/proc/sys/kernel/hostname")?;
    let mut bundle = room.script("true")?;
    bundle.share_namespace("uts").write()?;
    refused(room, &bundle, &["hostname", "uts"])?;
    let after = std::fs::read_to_string("/proc/sys/kernel/hostname")?;
    ensure!(before == after, "the machine is called {after}");
    Ok(())
}

fn not_utf8(room: &Room) -> Verdict {
    let bundle = room.bundle()?;
    bundle.write()?;
    let path = bundle.dir.join("config.json");
    std::fs::write(&path, b"\xff\xfe\x00{}")?;
    refused(room, &bundle, &[])
}

fn hook_without_path(room: &Room) -> Verdict {
    refuses(room, "/hooks", json!({ "createRuntime": [{ "args": ["x"] }] }), &["hook", "path"])
}

fn relative_hook(room: &Room) -> Verdict {
    refuses(
        room,
        "/hooks",
        json!({ "createRuntime": [{ "path": "bin/true" }] }),
        &["hook", "absolute", "path"],
    )
}
