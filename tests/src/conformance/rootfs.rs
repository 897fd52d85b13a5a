//! The root file system and the names of the machine inside.

use std::fs;

use lxcri_testkit::Room;
use lxcri_testkit::Verdict;
use lxcri_testkit::debian;
use lxcri_testkit::ensure;
use lxcri_testkit::ensure_eq;
use serde_json::json;

use crate::registry::cases;

cases!("rootfs": readonly, writable, absolute_path, debian_root, is_the_root, host_root_is_gone,
    hostname, domainname, through_symlink, propagation_private, propagation_shared,
    propagation_slave, propagation_unbindable);

fn readonly(room: &Room) -> Verdict {
    let printed = room.shell("touch /file 2>&1 || true; touch /tmp/x 2>&1 || true")?;
    ensure_eq!(printed.matches("Read-only file system").count(), 2, "refusals in {printed:?}");
    Ok(())
}

fn writable(room: &Room) -> Verdict {
    let mut bundle = room.script("echo content >/file")?;
    bundle.readonly_root(false);
    room.output(&bundle)?;
    ensure_eq!(fs::read_to_string(bundle.rootfs().join("file"))?, "content\n", "file outside");
    Ok(())
}

fn absolute_path(room: &Room) -> Verdict {
    let other = room.bundle()?;
    other.file("marker", "here\n", 0o644)?;
    let mut bundle = room.bundle_without_root()?;
    bundle.sh("cat /marker").set("/root/path", json!(other.rootfs()));
    ensure_eq!(room.output(&bundle)?, "here\n", "file of the root");
    Ok(())
}

/// Dynamic linking, bash and real accounts.
fn debian_root(room: &Room) -> Verdict {
    let root = debian::root()?;
    let mut bundle = room.bundle_without_root()?;
    bundle.set("/root", json!({ "path": root, "readonly": true }));
    bundle.args(&[
        "bash",
        "-c",
        ". /etc/os-release; echo $ID; type -t [[; id -un; dpkg -s dpkg | grep ^Status",
    ]);
    let wanted = "debian\nkeyword\nroot\nStatus: install ok installed\n";
    ensure_eq!(room.output(&bundle)?, wanted, "Debian inside");
    Ok(())
}

fn is_the_root(room: &Room) -> Verdict {
    let printed = room.shell("cd /..; pwd; ls -a / | grep -c proc; stat -c %i / /..")?;
    let lines: Vec<&str> = printed.lines().collect();
    ensure_eq!(lines.get(..2), Some(&["/", "1"][..]), "root directory");
    ensure_eq!(lines.get(2), lines.get(3), "/ and /.. are one");
    Ok(())
}

/// pivot_root: no mount of the host is left, except those that were asked for.
fn host_root_is_gone(room: &Room) -> Verdict {
    let printed = room.shell("cut -d' ' -f5 /proc/self/mountinfo")?;
    let known = ["/proc", "/dev", "/sys"];
    for target in printed.lines().filter(|target| *target != "/") {
        let asked =
            known.iter().any(|dir| target == *dir || target.starts_with(&format!("{dir}/")));
        ensure!(asked, "a mount that nobody asked for at {target}");
    }
    Ok(())
}

fn hostname(room: &Room) -> Verdict {
    let mut bundle = room.script("hostname; cat /proc/sys/kernel/hostname")?;
    bundle.set("/hostname", json!("a-name.example"));
    let before = fs::read_to_string("/proc/sys/kernel/hostname")?;
    ensure_eq!(room.output(&bundle)?, "a-name.example\na-name.example\n", "hostname");
    ensure_eq!(fs::read_to_string("/proc/sys/kernel/hostname")?, before, "hostname outside");
    Ok(())
}

fn domainname(room: &Room) -> Verdict {
    let mut bundle = room.script("cat /proc/sys/kernel/domainname")?;
    bundle.set("/domainname", json!("domain.example"));
    ensure_eq!(room.output(&bundle)?, "domain.example\n", "domainname");
    Ok(())
}

/// The root directory itself may be a link (crun), or the link is refused by name (runc).
fn through_symlink(room: &Room) -> Verdict {
    let other = room.bundle()?;
    other.file("marker", "here\n", 0o644)?;
    let mut bundle = room.bundle_without_root()?;
    std::os::unix::fs::symlink(other.rootfs(), bundle.dir.join("rootfs"))?;
    bundle.sh("cat /marker");
    let finished = room.run(&bundle)?;
    if finished.code != 0 {
        finished.refuses(&["rootfs"])?;
        return Ok(());
    }
    ensure_eq!(finished.stdout, "here\n", "file of the root");
    Ok(())
}

/// The optional fields of `/` in mountinfo.
fn root_propagation(room: &Room, propagation: &str) -> Verdict<String> {
    let mut bundle = room.script("cat /proc/self/mountinfo")?;
    bundle.set("/linux/rootfsPropagation", json!(propagation));
    let printed = room.output(&bundle)?;
    Ok(super::mounts::Mount::find(&printed, "/")?.propagation)
}

fn propagation_private(room: &Room) -> Verdict {
    ensure_eq!(root_propagation(room, "private")?, "", "propagation of /");
    ensure_eq!(root_propagation(room, "rprivate")?, "", "propagation of /");
    Ok(())
}

fn propagation_shared(room: &Room) -> Verdict {
    let found = root_propagation(room, "shared")?;
    ensure!(found.starts_with("shared:"), "propagation of /: {found:?}");
    Ok(())
}

/// A mount that appears on the host below a shared mount appears in the container, too.
fn propagation_slave(room: &Room) -> Verdict {
    let shared = super::mounts::SharedMount::new(&room.dir().join("shared"))?;
    fs::create_dir(shared.path().join("sub"))?;
    let mut bundle =
        room.script("until test -e /mnt/sub/late; do sleep 0.05; done; echo arrived")?;
    bundle.set("/linux/rootfsPropagation", json!("rslave"));
    bundle.bind(shared.path(), "/mnt", &["rbind", "rslave"]);
    let container = room.running(&bundle)?;
    let late = super::mounts::SharedMount::private(&shared.path().join("sub"))?;
    fs::write(late.path().join("late"), "")?;
    ensure_eq!(container.finish()?, 0, "exit code");
    ensure_eq!(container.stdout(), "arrived\n", "late mount");
    Ok(())
}

fn propagation_unbindable(room: &Room) -> Verdict {
    ensure_eq!(root_propagation(room, "unbindable")?, "unbindable", "propagation of /");
    Ok(())
}
