//! Mounts: kinds, options, propagation, targets that try to lead out.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use lxcri_testkit::Bundle;
use lxcri_testkit::Executor;
use lxcri_testkit::Room;
use lxcri_testkit::Verdict;
use lxcri_testkit::ensure;
use lxcri_testkit::ensure_eq;
use lxcri_testkit::skip;
use lxcri_testkit::verdict::Context;
use rustix::mount::MountFlags;
use rustix::mount::MountPropagationFlags;
use rustix::mount::UnmountFlags;
use serde_json::json;

use crate::registry::cases;

cases!("mounts": proc, tmpfs, tmpfs_copies_up, bind, bind_readonly, bind_file, bind_file_missing_target,
    bind_relative_source, bind_without_type, rbind, options, options_undone, option_defaults, options_of_new_mounts, order,
    propagation_private, propagation_shared, propagation_slave, propagation_unbindable,
    target_through_symlink, target_through_absolute_symlink, target_is_symlink_out, missing_source,
    devpts, mqueue, shm, sysfs, cgroup, recursive_readonly, only_proc_at_proc, root_is_no_mount_point);

/// One line of mountinfo (proc_pid_mountinfo(5)).
#[derive(Debug, Default)]
pub struct Mount {
    /// Options of the mount, with commas around, so that `,ro,` can be looked for.
    pub options: String,
    /// The optional fields: `shared:1`, `master:2`, `unbindable`, or nothing.
    pub propagation: String,
    /// The kind of file system.
    pub kind: String,
    /// Options of the file system, with commas around.
    pub super_options: String,
}

impl Mount {
    /// The last mount on `target`.
    ///
    /// # Errors
    /// A failure with the text when there is none.
    pub fn find(mountinfo: &str, target: &str) -> Verdict<Self> {
        let line = mountinfo
            .lines()
            .rfind(|line| line.split(' ').nth(4) == Some(target))
            .context(format!("no mount on {target} in {mountinfo}"))?;
        let (left, right) = line.split_once(" - ").context(line)?;
        let (left, right): (Vec<&str>, Vec<&str>) =
            (left.split(' ').collect(), right.split(' ').collect());
        Ok(Self {
            options: format!(",{},", left.get(5).context(line)?),
            propagation: left.get(6..).context(line)?.join(" "),
            kind: (*right.first().context(line)?).to_owned(),
            super_options: format!(",{},", right.get(2).context(line)?),
        })
    }
}

/// A tmpfs that the test mounts on the host side; unmounted when dropped.
#[derive(Debug)]
pub struct SharedMount {
    path: PathBuf,
}

impl SharedMount {
    /// A shared mount on `path`, which is made.
    ///
    /// # Errors
    /// When the mount is refused.
    pub fn new(path: &Path) -> Verdict<Self> {
        fs::create_dir(path).context(path.display())?;
        let mount = Self::private(path)?;
        rustix::mount::mount_change(path, MountPropagationFlags::SHARED)?;
        Ok(mount)
    }

    /// A mount on `path`, which exists, with the propagation that it inherits.
    ///
    /// # Errors
    /// When the mount is refused.
    pub fn private(path: &Path) -> Verdict<Self> {
        rustix::mount::mount(
            c"tmpfs",
            path,
            c"tmpfs",
            MountFlags::empty(),
            None::<&std::ffi::CStr>,
        )?;
        Ok(Self { path: path.to_owned() })
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for SharedMount {
    fn drop(&mut self) {
        // The harness compares the mounts, so a failure here does not go unseen.
        let _result = rustix::mount::unmount(&self.path, UnmountFlags::DETACH);
    }
}

const MOUNTINFO: &str = "cat /proc/self/mountinfo";

/// Runs a bundle with one more mount on `/mnt` and returns that mount.
fn mounted(room: &Room, kind: &str, source: &str, options: &[&str]) -> Verdict<Mount> {
    let mut bundle = room.script(MOUNTINFO)?;
    bundle.mount(kind, source, "/mnt", options);
    Mount::find(&room.output(&bundle)?, "/mnt")
}

/// A directory on the host with one file.
fn source(room: &Room) -> Verdict<PathBuf> {
    let dir = room.dir().join("source");
    fs::create_dir_all(&dir)?;
    fs::write(dir.join("file"), "content\n")?;
    Ok(dir)
}

fn proc(room: &Room) -> Verdict {
    let printed = room.shell(
        "cat /proc/self/mountinfo; echo; readlink /proc/self/exe; ls -d /proc/[0-9]* | head -n 1",
    )?;
    ensure_eq!(Mount::find(&printed, "/proc")?.kind, "proc", "kind");
    ensure!(printed.contains("\n/bin/busybox\n/proc/1\n"), "proc of another namespace: {printed}");
    Ok(())
}

fn tmpfs(room: &Room) -> Verdict {
    let mut bundle = room
        .script("cat /proc/self/mountinfo; stat -c 'mode %a' /mnt; echo x >/mnt/f; cat /mnt/f")?;
    bundle.mount("tmpfs", "tmpfs", "/mnt", &["size=1m", "mode=1750", "nosuid"]);
    let printed = room.output(&bundle)?;
    let mount = Mount::find(&printed, "/mnt")?;
    ensure_eq!(mount.kind, "tmpfs", "kind");
    ensure!(mount.super_options.contains(",size=1024k,"), "size: {}", mount.super_options);
    ensure!(mount.options.contains(",nosuid,"), "options: {}", mount.options);
    ensure!(printed.ends_with("mode 1750\nx\n"), "mode and writing: {printed}");
    Ok(())
}

/// An extension of runc that Podman and Docker use: what the image has at the target is copied in.
fn tmpfs_copies_up(room: &Room) -> Verdict {
    let mut bundle =
        room.script("cat /opt/dir/file; stat -c %a /opt/dir/file; echo more >/opt/dir/other")?;
    bundle.file("opt/dir/file", "from the image\n", 0o640)?;
    bundle.mount("tmpfs", "tmpfs", "/opt/dir", &["tmpcopyup"]);
    ensure_eq!(room.output(&bundle)?, "from the image\n640\n", "copied file");
    ensure!(!bundle.rootfs().join("opt/dir/other").exists(), "the image was written to");
    Ok(())
}

fn bind(room: &Room) -> Verdict {
    let source = source(room)?;
    let mut bundle = room.script("cat /data/sub/file; echo new >/data/sub/written")?;
    bundle.readonly_root(false).bind(&source, "/data/sub", &["rw"]);
    ensure_eq!(room.output(&bundle)?, "content\n", "file of the host");
    ensure_eq!(fs::read_to_string(source.join("written"))?, "new\n", "file written");
    Ok(())
}

fn bind_readonly(room: &Room) -> Verdict {
    let source = source(room)?;
    let mut bundle =
        room.script("cat /mnt/file; echo new 2>&1 >/mnt/file || true; touch /mnt/x 2>&1")?;
    bundle.bind(&source, "/mnt", &["ro"]);
    let finished = room.run(&bundle)?.exits(1)?;
    ensure!(finished.stdout.starts_with("content\n"), "reading: {finished}");
    ensure_eq!(
        finished.stdout.matches("Read-only file system").count()
            + finished.stderr.matches("Read-only file system").count(),
        2,
        "refusals in {finished}"
    );
    ensure_eq!(fs::read_to_string(source.join("file"))?, "content\n", "file outside");
    Ok(())
}

fn bind_file(room: &Room) -> Verdict {
    let source = source(room)?;
    let mut bundle = room.script("cat /etc/passwd; echo changed >/etc/passwd")?;
    bundle.bind(&source.join("file"), "/etc/passwd", &[]);
    ensure_eq!(room.output(&bundle)?, "content\n", "file over a file");
    ensure_eq!(fs::read_to_string(source.join("file"))?, "changed\n", "file outside");
    Ok(())
}

fn bind_file_missing_target(room: &Room) -> Verdict {
    let source = source(room)?;
    let mut bundle = room.script("cat /new/dir/name; stat -c %F /new/dir/name")?;
    bundle.bind(&source.join("file"), "/new/dir/name", &["ro"]);
    ensure_eq!(room.output(&bundle)?, "content\nregular file\n", "file on a new target");
    Ok(())
}

/// A relative source is relative to the bundle.
fn bind_relative_source(room: &Room) -> Verdict {
    let mut bundle = room.script("cat /mnt/file")?;
    bundle.file("data/file", "content\n", 0o644)?;
    bundle.bind(Path::new("rootfs/data"), "/mnt", &[]);
    ensure_eq!(room.output(&bundle)?, "content\n", "file");
    Ok(())
}

/// The option alone makes a bind mount: Docker leaves `type` out or says `none`.
fn bind_without_type(room: &Room) -> Verdict {
    let source = source(room)?;
    let mut bundle = room.script("cat /mnt/file /opt/file")?;
    bundle
        .push("/mounts", json!({ "destination": "/mnt", "source": source, "options": ["rbind"] }));
    bundle.push(
        "/mounts",
        json!({ "destination": "/opt", "type": "none", "source": source, "options": ["bind"] }),
    );
    ensure_eq!(room.output(&bundle)?, "content\ncontent\n", "files");
    Ok(())
}

fn rbind(room: &Room) -> Verdict {
    let source = source(room)?;
    fs::create_dir(source.join("nested"))?;
    let nested = SharedMount::private(&source.join("nested"))?;
    fs::write(nested.path().join("deep"), "deep\n")?;
    for (option, wanted) in [("bind", 0), ("rbind", 1)] {
        let mut bundle = room.script("ls /mnt/nested | wc -l")?;
        bundle.mount("bind", &source.to_string_lossy(), "/mnt", &[option]);
        ensure_eq!(
            room.output(&bundle)?,
            format!("{wanted}\n"),
            "files below the inner mount, {option}"
        );
    }
    Ok(())
}

/// Flags of bind mounts as the kernel shows them.
fn options(room: &Room) -> Verdict {
    let source = source(room)?;
    let source = source.to_string_lossy();
    let table: &[(&[&str], &[&str])] = &[
        (&["bind", "ro"], &["ro"]),
        (&["bind", "rw"], &["rw"]),
        (&["bind", "nosuid", "nodev", "noexec"], &["rw", "nosuid", "nodev", "noexec"]),
        (&["bind", "ro", "noatime"], &["ro", "noatime"]),
        (&["bind", "nodiratime"], &["nodiratime"]),
        (&["bind", "relatime"], &["relatime"]),
        (&["rbind", "rprivate", "ro", "nosuid"], &["ro", "nosuid"]),
    ];
    for (asked, wanted) in table {
        let mount = mounted(room, "bind", &source, asked)?;
        for option in *wanted {
            ensure!(
                mount.options.contains(&format!(",{option},")),
                "{asked:?} gave {}",
                mount.options
            );
        }
        for option in ["ro", "nosuid", "nodev", "noexec"] {
            let extra = mount.options.contains(&format!(",{option},")) && !asked.contains(&option);
            ensure!(!extra, "{asked:?} gave {}", mount.options);
        }
    }
    Ok(())
}

/// The later of two opposite options counts.
fn options_undone(room: &Room) -> Verdict {
    let source = source(room)?;
    let asked = ["bind", "nosuid", "suid", "nodev", "dev", "noexec", "exec", "ro", "rw"];
    let mount = mounted(room, "bind", &source.to_string_lossy(), &asked)?;
    for option in ["ro", "nosuid", "nodev", "noexec"] {
        ensure!(
            !mount.options.contains(&format!(",{option},")),
            "{option} is in {}",
            mount.options
        );
    }
    Ok(())
}

fn option_defaults(room: &Room) -> Verdict {
    let mount = mounted(room, "tmpfs", "tmpfs", &["defaults"])?;
    ensure_eq!(mount.options, ",rw,relatime,", "options");
    Ok(())
}

fn options_of_new_mounts(room: &Room) -> Verdict {
    let table: &[(&[&str], &str)] = &[
        (&["ro", "nosuid", "nodev", "noexec"], ",ro,nosuid,nodev,noexec,relatime,"),
        (&["noatime"], ",rw,noatime,"),
        (&["strictatime"], ",rw,"),
        (&["relatime", "nodiratime"], ",rw,nodiratime,relatime,"),
    ];
    for (asked, wanted) in table {
        ensure_eq!(mounted(room, "tmpfs", "tmpfs", asked)?.options, *wanted, "{asked:?}");
    }
    let sync = mounted(room, "tmpfs", "tmpfs", &["sync"])?;
    ensure!(sync.super_options.contains(",sync,"), "sync gave {}", sync.super_options);
    Ok(())
}

/// Mounts come in the order of the list: the later one covers the earlier one.
fn order(room: &Room) -> Verdict {
    let source = source(room)?;
    let mut bundle = room.script("ls /mnt /mnt/in")?;
    bundle.mount("tmpfs", "tmpfs", "/mnt", &[]);
    bundle.bind(&source, "/mnt/in", &[]);
    ensure_eq!(room.output(&bundle)?, "/mnt:\nin\n\n/mnt/in:\nfile\n", "directories");
    Ok(())
}

fn propagation_of(room: &Room, option: &str) -> Verdict<String> {
    let shared = SharedMount::new(&room.dir().join(option))?;
    Ok(mounted(room, "bind", &shared.path().to_string_lossy(), &["rbind", option])?.propagation)
}

fn propagation_private(room: &Room) -> Verdict {
    for option in ["private", "rprivate"] {
        ensure_eq!(propagation_of(room, option)?, "", "propagation with {option}");
    }
    Ok(())
}

fn propagation_shared(room: &Room) -> Verdict {
    for option in ["shared", "rshared"] {
        let found = propagation_of(room, option)?;
        ensure!(found.contains("shared:"), "propagation with {option}: {found:?}");
    }
    Ok(())
}

fn propagation_slave(room: &Room) -> Verdict {
    for option in ["slave", "rslave"] {
        let found = propagation_of(room, option)?;
        ensure!(
            found.contains("master:") && !found.contains("shared:"),
            "propagation with {option}: {found:?}"
        );
    }
    Ok(())
}

fn propagation_unbindable(room: &Room) -> Verdict {
    for option in ["unbindable", "runbindable"] {
        ensure_eq!(propagation_of(room, option)?, "unbindable", "propagation with {option}");
    }
    Ok(())
}

/// Makes `link` in the root lead to `to`, mounts a tmpfs at `link/inner` and checks that the directory
/// `outside` on the host got nothing.
fn leads_out(room: &Room, bundle: &mut Bundle, to: &str, outside: &Path) -> Verdict {
    fs::create_dir_all(outside)?;
    std::os::unix::fs::symlink(to, bundle.rootfs().join("link"))?;
    bundle.sh("cat /proc/self/mountinfo");
    bundle.readonly_root(false).mount("tmpfs", "evil", "/link/inner", &[]);
    let finished = room.run(bundle)?;
    let entries = fs::read_dir(outside)?.count();
    ensure_eq!(entries, 0, "entries in the directory outside, after {finished}");
    // Either the link is resolved within the root, or the mount is refused.
    ensure!(finished.code != 0 || finished.stdout.contains("/inner "), "no such mount: {finished}");
    Ok(())
}

fn target_through_symlink(room: &Room) -> Verdict {
    let outside = room.dir().join("outside");
    let mut bundle = room.bundle()?;
    leads_out(room, &mut bundle, &format!("../../../../../..{}", outside.display()), &outside)
}

fn target_through_absolute_symlink(room: &Room) -> Verdict {
    let outside = room.dir().join("outside");
    let mut bundle = room.bundle()?;
    leads_out(room, &mut bundle, &outside.to_string_lossy(), &outside)
}

/// CVE-2019-19921, CVE-2021-30465: `/proc` or a file target that is itself a link.
fn target_is_symlink_out(room: &Room) -> Verdict {
    let outside = room.dir().join("outside");
    fs::create_dir(&outside)?;
    let source = source(room)?;
    let mut bundle = room.script("true")?;
    std::os::unix::fs::symlink(outside.join("made"), bundle.rootfs().join("link"))?;
    bundle.readonly_root(false).bind(&source.join("file"), "/link", &[]);
    room.run(&bundle)?;
    ensure_eq!(fs::read_dir(&outside)?.count(), 0, "entries in the directory outside");
    Ok(())
}

fn missing_source(room: &Room) -> Verdict {
    let mut bundle = room.script("true")?;
    bundle.bind(Path::new("/nonexistent/source"), "/mnt", &[]);
    room.run(&bundle)?.refuses(&["no such file or directory"])?;
    Ok(())
}

fn devpts(room: &Room) -> Verdict {
    let printed =
        room.shell("cat /proc/self/mountinfo; stat -L -c '%t %T' /dev/ptmx; ls /dev/pts")?;
    ensure_eq!(Mount::find(&printed, "/dev/pts")?.kind, "devpts", "kind");
    ensure!(printed.ends_with("5 2\nptmx\n"), "ptmx and a fresh instance: {printed}");
    let options = Mount::find(&printed, "/dev/pts")?.super_options;
    ensure!(options.contains(",gid=5,mode=620,ptmxmode=666,"), "options: {options}");
    Ok(())
}

fn mqueue(room: &Room) -> Verdict {
    let mount = Mount::find(&room.shell(MOUNTINFO)?, "/dev/mqueue")?;
    ensure_eq!(mount.kind, "mqueue", "kind");
    ensure!(mount.options.contains(",nosuid,nodev,noexec,"), "options: {}", mount.options);
    Ok(())
}

fn shm(room: &Room) -> Verdict {
    let printed = room.shell("cat /proc/self/mountinfo; stat -c %a /dev/shm")?;
    let mount = Mount::find(&printed, "/dev/shm")?;
    ensure!(mount.super_options.contains(",size=65536k"), "size: {}", mount.super_options);
    ensure!(printed.ends_with("\n1777\n"), "mode: {printed}");
    Ok(())
}

fn sysfs(room: &Room) -> Verdict {
    let printed = room.shell("cat /proc/self/mountinfo; ls /sys/class/net")?;
    let mount = Mount::find(&printed, "/sys")?;
    ensure_eq!(mount.kind, "sysfs", "kind");
    ensure!(mount.options.contains(",ro,"), "options: {}", mount.options);
    ensure!(printed.ends_with("\nlo\n"), "network devices of the namespace: {printed}");
    Ok(())
}

/// With a cgroup namespace the container sees its own cgroups, read-only.
fn cgroup(room: &Room) -> Verdict {
    let script = "cat /sys/fs/cgroup/cgroup.procs /sys/fs/cgroup/pids/cgroup.procs 2>/dev/null; \
                  mkdir /sys/fs/cgroup/x 2>&1 /sys/fs/cgroup/pids/x 2>&1";
    let mut bundle = room.script(script)?;
    bundle.namespace("cgroup", None);
    let finished = room.run(&bundle)?;
    ensure!(finished.stdout.starts_with("1\n"), "processes: {finished}");
    ensure!(finished.stdout.contains("Read-only file system"), "writing: {finished}");
    Ok(())
}

/// `rro` makes the mounts below read-only as well.
fn recursive_readonly(room: &Room) -> Verdict {
    let source = source(room)?;
    fs::create_dir(source.join("nested"))?;
    let _nested = SharedMount::private(&source.join("nested"))?;
    let mut bundle = room.script("touch /mnt/nested/x 2>&1")?;
    bundle.mount("bind", &source.to_string_lossy(), "/mnt", &["rbind", "rro"]);
    let finished = room.run(&bundle)?.exits(1)?;
    ensure!(finished.stdout.contains("Read-only file system"), "{finished}");
    Ok(())
}

/// CVE-2019-16884: an image that brings its own /proc would answer for the kernel.
fn only_proc_at_proc(room: &Room) -> Verdict {
    if room.runtime.executor != Executor::Native {
        skip!("{} judges that by itself", room.runtime.executor);
    }
    let source = source(room)?;
    let mut bundle = room.script("true")?;
    bundle.mount("bind", &source.to_string_lossy(), "/proc", &["bind"]);
    room.run(&bundle)?.refuses(&["only proc"])?;
    let mut bundle = room.script("true")?;
    bundle.mount("tmpfs", "tmpfs", "/proc/../proc", &[]);
    room.run(&bundle)?.refuses(&["only proc"])?;
    Ok(())
}

fn root_is_no_mount_point(room: &Room) -> Verdict {
    if room.runtime.executor != Executor::Native {
        skip!("{} judges that by itself", room.runtime.executor);
    }
    let mut bundle = room.script("true")?;
    bundle.mount("tmpfs", "tmpfs", "/", &[]);
    room.run(&bundle)?.refuses(&["mounts", "root"])?;
    Ok(())
}
