//! Known ways out of a container.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use lxcri_testkit::Bundle;
use lxcri_testkit::Executor;
use lxcri_testkit::Room;
use lxcri_testkit::Verdict;
use lxcri_testkit::ensure;
use lxcri_testkit::ensure_eq;
use lxcri_testkit::skip;
use serde_json::json;

use crate::registry::cases;

cases!("escape": own_program, program_of_exec, cwd_in_descriptor, path_through_descriptor, cwd_of_exec_in_descriptor,
    masked_path_is_link, masked_file_spares_the_host, console_is_link, proc_is_link, exec_is_not_traceable,
    exec_holds_nothing_of_the_host, dev_is_link);

/// CVE-2019-5736: the process is the runtime's own program by way of /proc/self/exe, and opens it for
/// writing.
fn own_program(room: &Room) -> Verdict {
    let before = fs::read(&room.runtime.program)?;
    let mut bundle = room.bundle()?;
    bundle.args(&["/proc/self/exe", "--version"]).readonly_root(false);
    // Whether it runs or not is the runtime's choice.
    room.run(&bundle)?;
    let script = "for p in /proc/[0-9]*; do (echo overwritten >$p/exe) 2>/dev/null && echo \"$p\"; done; true";
    let mut bundle = room.script(script)?;
    bundle.readonly_root(false);
    room.run(&bundle)?;
    ensure!(fs::read(&room.runtime.program)? == before, "the program on the host was changed");
    Ok(())
}

/// The same by `exec`: a process inside waits for the runtime's process and goes for its exe.
fn program_of_exec(room: &Room) -> Verdict {
    let before = fs::read(&room.runtime.program)?;
    let script = "echo ready; while :; do for p in /proc/[0-9]*; do \
                  case $p in /proc/1|/proc/self) continue;; esac; \
                  (echo overwritten >>$p/exe) 2>/dev/null && echo written; done; done";
    let mut bundle = room.script(script)?;
    // busybox is the container's own and may be changed; keep the attacker running on a copy.
    bundle.readonly_root(true).capabilities(&["CAP_SYS_PTRACE", "CAP_DAC_OVERRIDE"]);
    let container = room.running(&bundle)?;
    lxcri_testkit::process::until("the attacker", || container.stdout().starts_with("ready"))?;
    for _round in 0..20 {
        container.exec(&["/proc/self/exe", "--version"])?;
        container.exec(&["true"])?.ok()?;
    }
    let seen = container.stdout();
    container.end()?;
    ensure!(fs::read(&room.runtime.program)? == before, "the program on the host was changed");
    ensure_eq!(seen, "ready\n", "what the attacker says");
    Ok(())
}

/// CVE-2024-21626: a working directory that is a descriptor of the runtime.
fn cwd_in_descriptor(room: &Room) -> Verdict {
    let secret = room.dir().join("secret");
    fs::write(&secret, "secret\n")?;
    for number in 3..16 {
        let mut bundle = room.script(
            "cat ../../../../../../../etc/hostname ../../../../../../..$0 2>/dev/null; true",
        )?;
        bundle.push("/process/args", json!(secret));
        bundle.set("/process/cwd", json!(format!("/proc/self/fd/{number}")));
        let finished = room.run(&bundle)?;
        ensure!(!finished.stdout.contains("secret"), "descriptor {number}: {finished}");
        let host = fs::read_to_string("/etc/hostname").unwrap_or_default();
        ensure!(
            host.is_empty() || !finished.stdout.contains(&host),
            "descriptor {number}: {finished}"
        );
    }
    Ok(())
}

/// The same with `..` behind the descriptor, for the program and for a directory that is made.
fn path_through_descriptor(room: &Room) -> Verdict {
    let echo = room.dir().join("echo");
    fs::copy("/bin/busybox", &echo)?;
    let made = room.dir().join("made");
    for number in 3..16 {
        let host = format!("/proc/self/fd/{number}/../../../../../..");
        let mut bundle = room.bundle()?;
        bundle.args(&[&format!("{host}{}", echo.display()), "escaped"]);
        let finished = room.run(&bundle)?;
        ensure!(!finished.stdout.contains("escaped"), "descriptor {number}: {finished}");
        let mut bundle = room.script("true")?;
        bundle.set("/process/cwd", json!(format!("{host}{}", made.display())));
        let finished = room.run(&bundle)?;
        ensure!(!made.exists(), "descriptor {number}, a directory of the host: {finished}");
    }
    Ok(())
}

fn cwd_of_exec_in_descriptor(room: &Room) -> Verdict {
    let bundle = room.script("exec sleep 1000")?;
    let container = room.running(&bundle)?;
    let host = fs::read_to_string("/etc/hostname").unwrap_or_default();
    for number in 3..16 {
        let cwd = format!("/proc/self/fd/{number}");
        let finished =
            container.exec_with(&["--cwd", &cwd], &["cat", "../../../../../etc/hostname"])?;
        ensure!(
            host.is_empty() || !finished.stdout.contains(&host),
            "descriptor {number}: {finished}"
        );
    }
    container.end()
}

/// CVE-2025-31133: /dev/null in the image's /dev is a link, so that masking binds what it points to.
fn masked_path_is_link(room: &Room) -> Verdict {
    let mut bundle = room.script("cat /proc/mounted 2>/dev/null; cat /etc/masked")?;
    bundle.unmount("/dev").unmount("/dev/pts").unmount("/dev/shm").unmount("/dev/mqueue");
    bundle.readonly_root(false).file("etc/masked", "to be hidden\n", 0o644)?;
    bundle.push("/linux/maskedPaths", json!("/etc/masked"));
    std::os::unix::fs::symlink("/proc/sys/kernel/core_pattern", bundle.rootfs().join("dev/null"))?;
    let finished = room.run(&bundle)?;
    let pattern = fs::read_to_string("/proc/sys/kernel/core_pattern")?;
    ensure!(!finished.stdout.contains(pattern.trim()), "{finished}");
    ensure!(!finished.stdout.contains("to be hidden"), "{finished}");
    Ok(())
}

/// CVE-2025-52565: /dev/console is a link, so that the terminal is bound over what it points to.
fn console_is_link(room: &Room) -> Verdict {
    let outside = room.dir().join("outside");
    fs::write(&outside, "kept\n")?;
    let mut bundle = room.script("true")?;
    bundle.unmount("/dev").unmount("/dev/shm").unmount("/dev/mqueue").readonly_root(false);
    fs::create_dir_all(bundle.rootfs().join("dev/pts"))?;
    std::os::unix::fs::symlink(&outside, bundle.rootfs().join("dev/console"))?;
    bundle.set("/process/terminal", json!(true));
    let socket = lxcri_testkit::terminal::ConsoleSocket::bind(&room.dir().join("console"))?;
    let container = room.container(&bundle);
    if container.create_with(&["--console-socket", socket.path()])?.code == 0 {
        let mut terminal = socket.receive()?;
        container.start()?;
        terminal.read_to_end()?;
        container.finish()?;
    }
    ensure_eq!(fs::read_to_string(&outside)?, "kept\n", "file outside");
    Ok(())
}

/// CVE-2019-16884, CVE-2023-27561: /proc in the image is a link or a directory with fake files.
fn proc_is_link(room: &Room) -> Verdict {
    let mut bundle =
        room.script("stat -f -c %T /proc 2>/dev/null; cat /proc/mounts | grep -c ' /proc '")?;
    fs::remove_dir(bundle.rootfs().join("proc"))?;
    fs::create_dir_all(bundle.rootfs().join("elsewhere/self/attr"))?;
    std::os::unix::fs::symlink("elsewhere", bundle.rootfs().join("proc"))?;
    bundle.readonly_root(false);
    let finished = room.run(&bundle)?;
    // runc refuses; whoever goes on must at least not take the image's files for the kernel's.
    let real = Path::new(&bundle.rootfs()).join("elsewhere/self/attr").is_dir();
    ensure!(real, "the image was changed: {finished}");
    Ok(())
}

/// What hides a file is a node of the host's, whose mode and times must stay out of reach.
fn masked_file_spares_the_host(room: &Room) -> Verdict {
    let before = fs::metadata("/dev/null")?;
    let script = "for p in /proc/keys /proc/timer_list /etc/hidden; do chmod 1666 $p; \
                  chown 7:7 $p; touch -t 203001010101 $p; done 2>/dev/null; true";
    let mut bundle = room.script(script)?;
    bundle.file("etc/hidden", "x", 0o644)?;
    bundle.push("/linux/maskedPaths", json!("/etc/hidden"));
    bundle.capabilities(&["CAP_CHOWN", "CAP_FOWNER"]).readonly_root(false);
    room.run(&bundle)?.ok()?;
    let after = fs::metadata("/dev/null")?;
    ensure_eq!(after.mode(), before.mode(), "mode of the host's /dev/null");
    ensure_eq!((after.uid(), after.gid()), (before.uid(), before.gid()), "owner");
    ensure!(after.mtime() < 1_893_000_000, "times of the host's /dev/null");
    Ok(())
}

/// Runs a watcher and execs beside it; it must have nothing to say.
fn watch_execs(room: &Room, watcher: &Bundle) -> Verdict {
    let container = room.running(watcher)?;
    lxcri_testkit::process::until("the watcher", || container.stdout().starts_with("ready"))?;
    for _round in 0..20 {
        container.exec(&["true"])?.ok()?;
    }
    let seen = container.stdout();
    container.end()?;
    ensure_eq!(seen, "ready\n", "what the watcher says");
    Ok(())
}

/// CVE-2016-9962: the joining process must not be traced by the container before it is confined.
fn exec_is_not_traceable(room: &Room) -> Verdict {
    let script = "echo ready; while :; do for p in /proc/[0-9]*; do \
                  case $p in /proc/1) continue;; esac; \
                  for f in $p/fd/*; do case $(readlink $f) in \
                  /sys/fs/cgroup*|/run/*|/proc) echo \"leak $(readlink $f)\";; esac; done; done 2>/dev/null; done";
    // Without CAP_SYS_PTRACE, as by default: with it nothing in the same user namespace is hidden.
    let bundle = room.script(script)?;
    watch_execs(room, &bundle)
}

/// With CAP_SYS_PTRACE, in the same user namespace, nothing about a process is hidden: so a process
/// that joins must not have anything of the host's, not for a moment. Peers join after the container
/// can see them.
fn exec_holds_nothing_of_the_host(room: &Room) -> Verdict {
    if room.runtime.executor != Executor::Native {
        skip!("{} joins after the container can see it", room.runtime.executor);
    }
    let marker = room.dir().join("marker");
    fs::write(&marker, "of the host")?;
    let script = format!(
        "echo ready; while :; do for p in /proc/[0-9]*; do \
         case $p in /proc/1) continue;; esac; \
         [ -e $p/root{marker} ] && echo leak root; \
         case $(readlink $p/cwd) in /|'') ;; *) echo leak cwd $(readlink $p/cwd);; esac; \
         for f in $p/fd/*; do [ -e $f{marker} ] && echo leak $f; case $(readlink $f) in \
         /sys/fs/cgroup*|/run/*|/proc) echo \"leak $(readlink $f)\";; esac; done; done 2>/dev/null; done",
        marker = marker.display()
    );
    let mut bundle = room.script(&script)?;
    bundle.capabilities(&["CAP_SYS_PTRACE"]);
    watch_execs(room, &bundle)
}

/// Nodes and links for /dev are made in the container even where /dev leads out.
fn dev_is_link(room: &Room) -> Verdict {
    let outside = room.dir().join("outside");
    fs::create_dir(&outside)?;
    let mut bundle = room.script("true")?;
    fs::remove_dir(bundle.rootfs().join("dev"))?;
    std::os::unix::fs::symlink(&outside, bundle.rootfs().join("dev"))?;
    bundle.readonly_root(false);
    room.run(&bundle)?;
    ensure_eq!(fs::read_dir(&outside)?.count(), 0, "entries in the directory outside");
    Ok(())
}
