//! One container: what it is made of, the processes around it, and what is left of it.

use std::cell::Cell;
use std::fs;
use std::os::unix::fs::lchown;
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::Duration;

use lxcri_init::maker;
use lxcri_testkit::process::{DEADLINE, Ended, Started, ends_within, exit_code, output_of};
use lxcri_testkit::verdict::Context;
use lxcri_testkit::{Bundle, Room, Stop, Verdict, ensure, ensure_eq, skip};
use rustix::process::{Pid, WaitOptions};

use super::CREATE;

/// The first id of the host that a container in a user namespace has.
const FIRST_ID: u32 = 100_000;
/// How many.
const IDS: u32 = 65536;

/// Whose root the container's root is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ids {
    /// The host's.
    Host,
    /// Nobody's: id 100000.
    Mapped,
}

/// A container that `create` has made.
pub(super) struct Scene<'r> {
    pub(super) room: &'r Room,
    pub(super) lxcpath: PathBuf,
    pub(super) name: String,
    /// The pid in the pid file.
    pub(super) pid: i32,
    /// The monitor, PID 1, the user's process.
    pub(super) monitor: i32,
    pub(super) init: i32,
    pub(super) process: i32,
    cgroup: String,
    stdout: PathBuf,
    stderr: PathBuf,
    calls: Cell<u32>,
}

impl<'r> Scene<'r> {
    /// Makes a container whose process is `sh -c SCRIPT`.
    pub(super) fn create(room: &'r Room, ids: Ids, script: &str) -> Verdict<Self> {
        Self::create_as(room, ids, "0", &["sh", "-c", script])
    }

    /// Makes a container with any process.
    pub(super) fn create_as(room: &'r Room, ids: Ids, user: &str, args: &[&str]) -> Verdict<Self> {
        let mut scene = Self::prepare(room, ids)?;
        let ended = scene.call(user, "", args)?;
        (scene.stdout, scene.stderr) = (ended.stdout_file, ended.stderr_file);
        if !ended.status.success() {
            let words = fs::read_to_string(&scene.stderr)?;
            scene.delete()?;
            return Err(Stop::Failed(words));
        }
        scene.pid = fs::read_to_string(room.dir().join("pid"))?.parse()?;
        let own = fs::read_to_string(room.dir().join("own"))?;
        let own: Result<Vec<i32>, _> = own.split(' ').map(str::parse).collect();
        let [monitor, init, process] = own?[..] else { return Err(Stop::Failed("own".into())) };
        (scene.monitor, scene.init, scene.process) = (monitor, init, process);
        Ok(scene)
    }

    /// Runs a `create` that is killed after `step`.
    pub(super) fn killed_while_created(room: &'r Room, step: &str) -> Verdict<Self> {
        let scene = Self::prepare(room, Ids::Host)?;
        let ended = scene.call("0", step, &["sleep", "1000"])?;
        ensure_eq!(ended.status.signal(), Some(9), "how create ended");
        Ok(scene)
    }

    /// A second `create` of the same name: its exit code and its words.
    pub(super) fn create_again(&self, room: &Room) -> Verdict<(i32, String)> {
        fs::rename(room.dir().join("init.sock"), room.dir().join("first.sock"))?;
        let ended = self.call("0", "", &["true"])?;
        let _absent = fs::remove_file(room.dir().join("init.sock"));
        fs::rename(room.dir().join("first.sock"), room.dir().join("init.sock"))?;
        Ok((exit_code(ended.status), fs::read_to_string(ended.stderr_file)?))
    }

    fn call(&self, user: &str, dies_after: &str, args: &[&str]) -> Verdict<Ended> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(CREATE).arg(self.room.dir()).arg(&self.lxcpath).arg(&self.name);
        command.arg(user).arg(dies_after).args(args);
        let number = self.calls.get();
        self.calls.set(number + 1);
        Started::new(&mut command, self.room.dir(), &format!("c{number}"), None)?.wait(DEADLINE)
    }

    /// Root file system and configuration.
    fn prepare(room: &'r Room, ids: Ids) -> Verdict<Self> {
        if !Path::new("/usr/bin/lxc-start").exists() {
            skip!("LXC is not installed");
        }
        let bundle = room.dir().join("bundle");
        // A test may make several containers, one after the other.
        let _absent = fs::remove_dir_all(&bundle);
        let bundle = Bundle::busybox(&bundle)?;
        let lxcpath = room.dir().join("lxc");
        let name = "c1".to_owned();
        fs::create_dir_all(lxcpath.join(&name))?;
        let mut config = format!(
            "lxc.uts.name = {name}\n\
             lxc.rootfs.path = dir:{}\n\
             lxc.net.0.type = empty\n\
             lxc.mount.auto = proc:rw\n\
             lxc.console.path = none\n\
             lxc.tty.max = 0\n\
             lxc.pty.max = 64\n\
             lxc.autodev = 1\n\
             lxc.signal.halt = SIGTERM\n\
             lxc.cgroup.dir.container = {1}/container\n\
             lxc.cgroup.dir.monitor = {1}/monitor\n\
             lxc.cgroup.dir.monitor.pivot = {1}/pivot\n",
            bundle.rootfs().display(),
            bundle.cgroup.trim_start_matches('/')
        );
        if ids == Ids::Mapped {
            config +=
                &format!("lxc.idmap = u 0 {FIRST_ID} {IDS}\nlxc.idmap = g 0 {FIRST_ID} {IDS}\n");
            give_away(&bundle.rootfs())?;
            allow_ids(room.dir())?;
        }
        fs::write(lxcpath.join(&name).join("config"), config)?;
        Ok(Self {
            room,
            lxcpath,
            name,
            cgroup: bundle.cgroup,
            pid: 0,
            monitor: 0,
            init: 0,
            process: 0,
            stdout: PathBuf::new(),
            stderr: PathBuf::new(),
            calls: Cell::new(0),
        })
    }

    /// `start`.
    pub(super) fn start(&self) -> Verdict {
        maker::start(&self.room.dir().join("init.sock")).context("start")
    }

    /// What conmon does: waits for the pid of the pid file, whose parent it has become.
    pub(super) fn wait(&self) -> Verdict<ExitStatus> {
        ensure!(ends_within(self.pid, DEADLINE), "process {} still runs", self.pid);
        let (_pid, status) =
            rustix::process::waitpid(Pid::from_raw(self.pid), WaitOptions::empty())?
                .context("no status")?;
        Ok(ExitStatus::from_raw(status.as_raw()))
    }

    /// Waits until everything that there was around the container has ended by itself.
    pub(super) fn ends(&self) -> Verdict {
        for (pid, what) in
            [(self.process, "process"), (self.init, "PID 1"), (self.monitor, "monitor")]
        {
            ensure!(ends_within(pid, DEADLINE), "the {what}, {pid}, still runs");
        }
        Ok(())
    }

    /// Removes what LXC leaves of a container: the cgroup of its last moment, and a lock.
    pub(super) fn delete(&self) -> Verdict {
        for hierarchy in self.room.view.hierarchies() {
            let dir = hierarchy.join(self.cgroup.trim_start_matches('/'));
            remove_cgroups(&dir, Duration::from_secs(2))?;
        }
        let lock = Path::new("/run/lxc/lock")
            .join(self.lxcpath.strip_prefix("/").unwrap_or(&self.lxcpath))
            .join(format!(".{}", self.name));
        let _absent = fs::remove_file(&lock);
        // The directory is this test's own, and so is the one of its scratch directory.
        for dir in lock.ancestors().skip(1).take(2) {
            let _in_use = fs::remove_dir(dir);
        }
        let _absent = fs::remove_file(self.room.dir().join("init.sock"));
        Ok(())
    }

    /// Waits for the exit status, and that nothing is left.
    pub(super) fn finish(&self) -> Verdict<ExitStatus> {
        let status = self.wait()?;
        self.ends()?;
        self.delete()?;
        Ok(status)
    }

    pub(super) fn stdout(&self) -> Verdict<String> {
        fs::read_to_string(&self.stdout).context("standard output")
    }

    pub(super) fn stderr(&self) -> Verdict<String> {
        fs::read_to_string(&self.stderr).context("standard error")
    }

    /// A tool of LXC, as an independent witness.
    pub(super) fn lxc(&self, tool: &str, args: &[&str]) -> Verdict<String> {
        output_of(Command::new(tool).arg("-P").arg(&self.lxcpath).args(args))
    }

    /// The same, for a tool that waits for what the test does next.
    pub(super) fn lxc_in_background(&self, tool: &str, args: &[&str]) -> Verdict<Started> {
        let mut command = Command::new(tool);
        command.arg("-P").arg(&self.lxcpath).args(args);
        Started::new(&mut command, self.room.dir(), tool, None)
    }

    /// Everything that a client reads of the pid is the container's.
    pub(super) fn pid_is_the_containers(&self) -> Verdict {
        let namespace =
            |pid: i32, kind: &str| fs::read_link(format!("/proc/{pid}/ns/{kind}")).context(kind);
        let own = i32::try_from(std::process::id())?;
        for kind in ["cgroup", "ipc", "mnt", "net", "pid", "user", "uts"] {
            let found = namespace(self.pid, kind)?;
            ensure_eq!(found, namespace(self.init, kind)?, "{kind}");
            if kind != "pid" {
                ensure_eq!(found, namespace(self.process, kind)?, "{kind} of the process");
            }
            if kind != "user" {
                ensure!(found != namespace(own, kind)?, "{kind} is the host's");
            }
        }
        let cgroups = |pid: i32| fs::read_to_string(format!("/proc/{pid}/cgroup"));
        ensure_eq!(cgroups(self.pid)?, cgroups(self.process)?, "cgroups");
        ensure!(cgroups(self.pid)?.contains(&self.cgroup), "{}", cgroups(self.pid)?);
        let parent = lxcri_testkit::process::parent_of(self.pid);
        ensure_eq!(parent, Some(own), "the parent of the pid");
        Ok(())
    }
}

/// Gives a tree to the container's root.
fn give_away(root: &Path) -> Verdict {
    lchown(root, Some(FIRST_ID), Some(FIRST_ID)).context(root.display())?;
    if root.symlink_metadata()?.is_dir() {
        for entry in fs::read_dir(root)? {
            give_away(&entry?.path())?;
        }
    }
    Ok(())
}

/// newuidmap(1), which liblxc uses where it is installed, looks there. The test program's mount
/// namespace is its own.
fn allow_ids(dir: &Path) -> Verdict {
    for name in ["subuid", "subgid"] {
        let file = dir.join(name);
        fs::write(&file, format!("root:{FIRST_ID}:{IDS}\n"))?;
        let target = Path::new("/etc").join(name);
        if target.exists() {
            rustix::mount::mount_bind(&file, &target).context(target.display())?;
        }
    }
    Ok(())
}

/// Takes back what [`allow_ids`] did, if it did.
pub(super) fn forbid_ids() {
    for name in ["subuid", "subgid"] {
        // Nothing is mounted there where no test asked for it.
        let _ = rustix::mount::unmount(
            Path::new("/etc").join(name),
            rustix::mount::UnmountFlags::DETACH,
        );
    }
}

/// A cgroup can be removed a moment after its last process was.
fn remove_cgroups(dir: &Path, patience: Duration) -> Verdict {
    let until = std::time::Instant::now() + patience;
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            remove_cgroups(&entry.path(), patience)?;
        }
    }
    loop {
        match fs::remove_dir(dir) {
            Ok(()) => return Ok(()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
            Err(error) if std::time::Instant::now() > until => {
                return Err(error).context(dir.display());
            }
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}
