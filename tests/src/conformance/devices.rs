//! Device nodes and the device cgroup.

use lxcri_testkit::Room;
use lxcri_testkit::Verdict;
use lxcri_testkit::ensure;
use lxcri_testkit::ensure_eq;
use serde_json::json;

use crate::registry::cases;

cases!("devices": default_nodes, default_links, default_nodes_work, configured, configured_default,
    configured_below_directory, fifo, in_user_namespace, denied, allowed_by_rule, read_only_rule,
    mknod_of_denied, deny_all_denies_disks);

fn default_nodes(room: &Room) -> Verdict {
    let printed =
        room.shell("cd /dev; stat -c '%n %t %T %a %u' null zero full random urandom tty")?;
    let wanted = "null 1 3 666 0\nzero 1 5 666 0\nfull 1 7 666 0\nrandom 1 8 666 0\n\
                  urandom 1 9 666 0\ntty 5 0 666 0\n";
    ensure_eq!(printed, wanted, "device nodes");
    Ok(())
}

fn default_links(room: &Room) -> Verdict {
    let printed =
        room.shell("cd /dev; for l in fd stdin stdout stderr ptmx; do readlink $l; done")?;
    let lines: Vec<&str> = printed.lines().collect();
    let wanted = ["/proc/self/fd", "/proc/self/fd/0", "/proc/self/fd/1", "/proc/self/fd/2"];
    ensure_eq!(lines.get(..4), Some(&wanted[..]), "links");
    ensure!(lines.get(4).is_some_and(|link| link.ends_with("pts/ptmx")), "ptmx: {lines:?}");
    Ok(())
}

fn default_nodes_work(room: &Room) -> Verdict {
    let printed = room.shell("echo x >/dev/null; head -c 4 /dev/zero | od -An -tx1; head -c 3 /dev/urandom | wc -c; echo x 2>&1 >/dev/full || true; echo end >>/dev/stdout")?;
    ensure!(
        printed.contains("00 00 00 00") && printed.contains("3\n") && printed.ends_with("end\n"),
        "{printed}"
    );
    Ok(())
}

fn configured(room: &Room) -> Verdict {
    let mut bundle =
        room.script("stat -c '%F %t %T %a %u %g' /dev/one /dev/two; echo x >/dev/one")?;
    bundle.set("/linux/devices", json!([
        { "path": "/dev/one", "type": "c", "major": 1, "minor": 3, "fileMode": 0o642, "uid": 1000, "gid": 100 },
        { "path": "/dev/two", "type": "b", "major": 7, "minor": 1, "fileMode": 0o600, "uid": 0, "gid": 0 },
    ]));
    let wanted = "character special file 1 3 642 1000 100\nblock special file 7 1 600 0 0\n";
    ensure_eq!(room.output(&bundle)?, wanted, "configured nodes");
    Ok(())
}

/// A default device that the configuration lists, too, has the mode of the configuration.
fn configured_default(room: &Room) -> Verdict {
    let mut bundle = room.script("stat -c '%t %T %a %u' /dev/null")?;
    bundle.set("/linux/devices", json!([
        { "path": "/dev/null", "type": "c", "major": 1, "minor": 3, "fileMode": 0o660, "uid": 1000, "gid": 0 },
    ]));
    bundle.push(
        "/linux/resources/devices",
        json!({
            "allow": true, "type": "c", "major": 1, "minor": 3, "access": "rwm"
        }),
    );
    // runc opens it once more inside, as a root without the right to pass over modes.
    bundle.capabilities(&["CAP_DAC_OVERRIDE"]);
    ensure_eq!(room.output(&bundle)?, "1 3 660 1000\n", "configured /dev/null");
    Ok(())
}

fn configured_below_directory(room: &Room) -> Verdict {
    let mut bundle = room.script("stat -c '%t %T' /dev/net/deep/node")?;
    bundle.set(
        "/linux/devices",
        json!([
            { "path": "/dev/net/deep/node", "type": "u", "major": 1, "minor": 3 },
        ]),
    );
    ensure_eq!(room.output(&bundle)?, "1 3\n", "node in new directories");
    Ok(())
}

fn fifo(room: &Room) -> Verdict {
    let mut bundle = room.script("stat -c '%F %a' /dev/pipe")?;
    bundle.set("/linux/devices", json!([{ "path": "/dev/pipe", "type": "p", "fileMode": 0o622 }]));
    ensure_eq!(room.output(&bundle)?, "fifo 622\n", "fifo");
    Ok(())
}

/// Nodes cannot be made there; the host's are bound.
fn in_user_namespace(room: &Room) -> Verdict {
    let mut bundle =
        room.script("stat -c '%t %T' /dev/null /dev/zero /dev/tty; echo x >/dev/null")?;
    bundle.user_namespace(100_000, 65536)?;
    ensure_eq!(room.output(&bundle)?, "1 3\n1 5\n5 0\n", "device nodes");
    Ok(())
}

/// fuse (10:229) is no default device, and opening it does nothing.
const FUSE: (u32, u32) = (10, 229);

fn fuse_bundle(
    room: &Room,
    script: &str,
    rules: serde_json::Value,
) -> Verdict<lxcri_testkit::Bundle> {
    let mut bundle = room.script(script)?;
    bundle.set(
        "/linux/devices",
        json!([
            { "path": "/dev/f", "type": "c", "major": FUSE.0, "minor": FUSE.1, "fileMode": 0o666 },
        ]),
    );
    bundle.set("/linux/resources/devices", rules);
    Ok(bundle)
}

fn denied(room: &Room) -> Verdict {
    // The rule of the list counts, not the presence of the node.
    let rules = json!([
        { "allow": false, "access": "rwm" },
        { "allow": true, "type": "c", "major": 5, "minor": 1, "access": "rw" },
    ]);
    let mut bundle = fuse_bundle(room, "cat /dev/f 2>&1", rules)?;
    bundle.remove("/linux/devices").readonly_root(false).unmount("/dev").unmount("/dev/pts");
    bundle.unmount("/dev/shm").unmount("/dev/mqueue");
    lxcri_testkit::process::output_of(std::process::Command::new("mknod").args([
        "-m",
        "666",
        &bundle.rootfs().join("dev/f").to_string_lossy(),
        "c",
        "10",
        "229",
    ]))?;
    let finished = room.run(&bundle)?.exits(1)?;
    ensure!(finished.stdout.contains("Operation not permitted"), "{finished}");
    Ok(())
}

fn allowed_by_rule(room: &Room) -> Verdict {
    let rules = json!([
        { "allow": false, "access": "rwm" },
        { "allow": true, "type": "c", "major": FUSE.0, "minor": FUSE.1, "access": "rw" },
    ]);
    let bundle = fuse_bundle(room, "exec 3<>/dev/f && echo opened", rules)?;
    ensure_eq!(room.output(&bundle)?, "opened\n", "an allowed device");
    Ok(())
}

fn read_only_rule(room: &Room) -> Verdict {
    let rules = json!([
        { "allow": false, "access": "rwm" },
        { "allow": true, "type": "c", "major": FUSE.0, "access": "r" },
    ]);
    let script = "exec 3</dev/f && echo reads; (exec 4>/dev/f) 2>&1 || true";
    let printed = room.output(&fuse_bundle(room, script, rules)?)?;
    ensure!(
        printed.starts_with("reads\n") && printed.contains("Operation not permitted"),
        "{printed}"
    );
    Ok(())
}

/// Making a node is always allowed to those with the capability, opening it is not.
fn mknod_of_denied(room: &Room) -> Verdict {
    let script = "mknod /tmp/d b 254 0 2>&1; cat /tmp/d 2>&1 | head -c 80";
    let mut bundle = room.script(script)?;
    bundle.readonly_root(false).capabilities(&["CAP_MKNOD"]);
    let printed = room.run(&bundle)?.stdout;
    ensure!(printed.contains("Operation not permitted"), "{printed}");
    Ok(())
}

fn deny_all_denies_disks(room: &Room) -> Verdict {
    let mut bundle = room.script("for n in 0 1 2; do mknod /tmp/l$n b 7 $n; done; cat /tmp/l* 2>&1 | grep -c 'not permitted'")?;
    bundle.readonly_root(false).capabilities(&["CAP_MKNOD", "CAP_SYS_ADMIN"]);
    let finished = room.run(&bundle)?;
    // mknod(2) itself may be refused already; no loop device may be read in any case.
    let refused = finished.stdout == "3\n" || finished.stderr.matches("not permitted").count() == 3;
    ensure!(refused, "{finished}");
    Ok(())
}
