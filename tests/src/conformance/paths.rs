//! Masked and read-only paths.

use lxcri_testkit::Room;
use lxcri_testkit::Verdict;
use lxcri_testkit::ensure;
use lxcri_testkit::ensure_eq;
use serde_json::json;

use crate::registry::cases;

cases!("paths": masked_file, masked_directory, masked_missing, masked_defaults, masked_link_stays_inside,
    readonly_directory, readonly_file, readonly_missing, readonly_defaults, readonly_keeps_flags);

fn masked_file(room: &Room) -> Verdict {
    let mut bundle =
        room.script("wc -c </etc/secret; stat -c '%t %T' /etc/secret; cat /etc/secret")?;
    bundle.file("etc/secret", "do not read", 0o644)?;
    bundle.push("/linux/maskedPaths", json!("/etc/secret"));
    ensure_eq!(room.output(&bundle)?, "0\n1 3\n", "masked file is /dev/null");
    Ok(())
}

fn masked_directory(room: &Room) -> Verdict {
    let mut bundle = room.script("ls -A /etc/dir; touch /etc/dir/x 2>&1")?;
    bundle.readonly_root(false).file("etc/dir/secret", "do not read", 0o644)?;
    bundle.push("/linux/maskedPaths", json!("/etc/dir"));
    let finished = room.run(&bundle)?.exits(1)?;
    ensure!(finished.stdout.contains("Read-only file system"), "{finished}");
    ensure!(!finished.stdout.contains("secret"), "{finished}");
    Ok(())
}

fn masked_missing(room: &Room) -> Verdict {
    let mut bundle = room.script("test -e /etc/none || echo none")?;
    bundle.push("/linux/maskedPaths", json!("/etc/none"));
    bundle.push("/linux/maskedPaths", json!("/proc/none/at/all"));
    ensure_eq!(room.output(&bundle)?, "none\n", "a path that does not exist");
    Ok(())
}

fn masked_defaults(room: &Room) -> Verdict {
    let script = "for f in /proc/kcore /proc/timer_list /proc/keys; do \
                  test -e $f && head -c 1 $f | wc -c; done; \
                  test -e /sys/firmware && ls -A /sys/firmware | wc -l; true";
    let printed = room.shell(script)?;
    ensure!(!printed.is_empty(), "none of the files exists");
    for line in printed.lines() {
        ensure_eq!(line, "0", "bytes and entries of masked files and directories in {printed:?}");
    }
    Ok(())
}

/// A link in the image must not make the runtime cover something outside the root.
fn masked_link_stays_inside(room: &Room) -> Verdict {
    let outside = room.dir().join("outside");
    std::fs::create_dir(&outside)?;
    std::fs::write(outside.join("file"), "kept\n")?;
    let mut bundle = room.script("true")?;
    std::os::unix::fs::symlink(&outside, bundle.rootfs().join("etc/link"))?;
    bundle.push("/linux/maskedPaths", json!("/etc/link/file"));
    bundle.push("/linux/readonlyPaths", json!("/etc/link"));
    room.run(&bundle)?;
    ensure_eq!(std::fs::read_to_string(outside.join("file"))?, "kept\n", "file outside");
    Ok(())
}

fn readonly_directory(room: &Room) -> Verdict {
    let mut bundle = room.script("cat /data/file; touch /data/x 2>&1")?;
    bundle.readonly_root(false).file("data/file", "content\n", 0o644)?;
    bundle.push("/linux/readonlyPaths", json!("/data"));
    let finished = room.run(&bundle)?.exits(1)?;
    ensure!(finished.stdout.starts_with("content\n"), "{finished}");
    ensure!(finished.stdout.contains("Read-only file system"), "{finished}");
    Ok(())
}

fn readonly_file(room: &Room) -> Verdict {
    let mut bundle =
        room.script("(echo x >/data/file) 2>&1 || echo x >/data/other; cat /data/file")?;
    bundle.readonly_root(false).file("data/file", "content\n", 0o644)?;
    bundle.push("/linux/readonlyPaths", json!("/data/file"));
    let printed = room.output(&bundle)?;
    ensure!(
        printed.contains("Read-only file system") && printed.ends_with("content\n"),
        "{printed}"
    );
    ensure!(bundle.rootfs().join("data/other").exists(), "the directory is read-only as well");
    Ok(())
}

fn readonly_missing(room: &Room) -> Verdict {
    let mut bundle = room.script("echo fine")?;
    bundle.push("/linux/readonlyPaths", json!("/none/at/all"));
    ensure_eq!(room.output(&bundle)?, "fine\n", "a path that does not exist");
    Ok(())
}

fn readonly_defaults(room: &Room) -> Verdict {
    let printed = room.shell("(echo 1 >/proc/sys/net/ipv4/ip_forward) 2>&1; true")?;
    ensure!(printed.contains("Read-only file system"), "{printed}");
    Ok(())
}

/// Making a path of a nosuid,nodev,noexec mount read-only keeps those flags.
fn readonly_keeps_flags(room: &Room) -> Verdict {
    let mut bundle = room.script("cat /proc/self/mountinfo")?;
    bundle.mount("tmpfs", "tmpfs", "/mnt", &["nosuid", "nodev", "noexec"]);
    bundle.push("/linux/readonlyPaths", json!("/mnt"));
    let printed = room.output(&bundle)?;
    let mount = super::mounts::Mount::find(&printed, "/mnt")?;
    for flag in ["ro", "nosuid", "nodev", "noexec"] {
        ensure!(
            mount.options.contains(&format!(",{flag},")),
            "{flag} is missing in {}",
            mount.options
        );
    }
    Ok(())
}
