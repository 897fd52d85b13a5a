//! Real clients call the runtime: Podman through conmon, containerd through its runc shim.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::ExitCode;

use lxcri_testkit::Finished;
use lxcri_testkit::Place;
use lxcri_testkit::Room;
use lxcri_testkit::Runtime;
use lxcri_testkit::Verdict;
use lxcri_testkit::View;
use lxcri_testkit::ensure;
use lxcri_testkit::ensure_eq;
use lxcri_testkit::harness;
use lxcri_testkit::podman::DEADLINE;
use lxcri_testkit::podman::Podman;
use lxcri_testkit::podman::remove_client_cgroups;
use lxcri_testkit::podman::unmount_below;
use lxcri_testkit::process;
use lxcri_testkit::process::Started;
use lxcri_testkit::process::until;
use lxcri_testkit::skip;
use lxcri_testkit::verdict::Context;
use rustix::process::Signal;

use crate::registry;
use crate::registry::cases;

cases!("clients": podman_run, podman_exec, podman_terminal, podman_kill_and_rm, podman_default_seccomp,
    ctr_run, ctr_exec, ctr_kill_and_delete);

/// The test program.
#[must_use]
pub fn main() -> ExitCode {
    let tests = CASES
        .iter()
        .map(|case| registry::test("clients", *case, |_dir| Ok(Runtime::native())))
        .collect();
    harness::main(Place::Host(View::Hybrid), tests)
}

/// A busybox root file system that outlives nothing: `--rootfs` takes it as it is.
fn rootfs(room: &Room) -> Verdict<PathBuf> {
    Ok(room.bundle()?.rootfs())
}

/// Podman, with the program under test as its runtime.
struct Client<'a> {
    room: &'a Room,
    podman: Podman,
}

impl<'a> Client<'a> {
    fn new(room: &'a Room) -> Verdict<Self> {
        if !Podman::is_installed() {
            skip!("podman and conmon are not installed");
        }
        Ok(Self { room, podman: Podman::new(room.dir(), &room.runtime.program)? })
    }

    fn call(&self, arguments: &[&str]) -> Verdict<Finished> {
        self.podman.call(arguments)
    }

    fn run(&self, flags: &[&str], words: &[&str]) -> Verdict<Finished> {
        self.podman.run(flags, &rootfs(self.room)?, words)
    }
}

fn podman_run(room: &Room) -> Verdict {
    let podman = Client::new(room)?;
    let finished =
        podman.run(&["--rm"], &["sh", "-c", "echo out; echo err >&2; exit 7"])?.exits(7)?;
    ensure_eq!(finished.stdout, "out\n", "standard output");
    ensure!(finished.stderr.contains("err\n"), "standard error: {finished}");
    podman.run(&["--rm"], &["no-such-program"])?.exits(127)?;
    podman.run(&["--rm"], &["/etc/passwd"])?.exits(126)?;
    podman
        .run(
            &["--rm", "--user", "1000:1000", "--workdir", "/tmp"],
            &["sh", "-c", "test $(id -u) = 1000 -a $(pwd) = /tmp"],
        )?
        .ok()?;
    Ok(())
}

fn podman_exec(room: &Room) -> Verdict {
    let podman = Client::new(room)?;
    let id = podman.run(&["--detach", "--name", "sleeper"], &["sleep", "1000"])?.ok()?.stdout;
    ensure!(id.trim().len() == 64, "id of the container: {id}");
    let finished = podman.call(&["exec", "sleeper", "sh", "-c", "echo in; exit 3"])?.exits(3)?;
    ensure_eq!(finished.stdout, "in\n", "output of exec");
    podman.call(&["exec", "sleeper", "no-such-program"])?.exits(127)?;
    podman.call(&["pause", "sleeper"])?.ok()?;
    podman.call(&["unpause", "sleeper"])?.ok()?;
    let top = podman.call(&["exec", "sleeper", "ps"])?.ok()?;
    ensure!(top.stdout.contains("sleep 1000"), "{top}");
    podman.call(&["rm", "--force", "--time", "0", "sleeper"])?.ok()?;
    Ok(())
}

fn podman_terminal(room: &Room) -> Verdict {
    let podman = Client::new(room)?;
    let finished =
        podman.run(&["--rm", "--tty"], &["sh", "-c", "tty; test -t 1 && echo terminal"])?.ok()?;
    ensure!(finished.stdout.contains("terminal"), "{finished}");
    Ok(())
}

fn podman_kill_and_rm(room: &Room) -> Verdict {
    let podman = Client::new(room)?;
    podman.run(&["--detach", "--name", "victim"], &["sleep", "1000"])?.ok()?;
    podman.call(&["kill", "--signal", "KILL", "victim"])?.ok()?;
    let waited = podman.call(&["wait", "victim"])?.ok()?;
    ensure_eq!(waited.stdout.trim(), "137", "exit code");
    podman.call(&["rm", "victim"])?.ok()?;
    Ok(())
}

fn podman_default_seccomp(room: &Room) -> Verdict {
    if !Path::new("/usr/share/containers/seccomp.json").exists() {
        skip!("Podman's default profile is not installed");
    }
    let podman = Client::new(room)?;
    let finished = podman.run(&["--rm"], &["grep", "Seccomp:", "/proc/self/status"])?.ok()?;
    ensure_eq!(finished.stdout, "Seccomp:\t2\n", "filter");
    Ok(())
}

/// A containerd of the test's own.
struct Containerd<'a> {
    room: &'a Room,
    dir: PathBuf,
    daemon: Option<Started>,
}

impl<'a> Containerd<'a> {
    fn new(room: &'a Room) -> Verdict<Self> {
        let program = ["/usr/bin/containerd", "/usr/sbin/containerd"]
            .into_iter()
            .find(|path| Path::new(path).exists());
        let Some(program) = program else { skip!("containerd is not installed") };
        let dir = room.dir().join("containerd");
        fs::create_dir(&dir)?;
        let config = dir.join("config.toml");
        let path = |name: &str| dir.join(name).to_string_lossy().into_owned();
        fs::write(
            &config,
            format!(
                "version = 2\nroot = \"{}\"\nstate = \"{}\"\n\
             disabled_plugins = [\"io.containerd.grpc.v1.cri\", \"io.containerd.snapshotter.v1.btrfs\", \
             \"io.containerd.snapshotter.v1.zfs\", \"io.containerd.snapshotter.v1.devmapper\", \
             \"io.containerd.snapshotter.v1.aufs\"]\n[grpc]\naddress = \"{}\"\n",
                path("root"),
                path("state"),
                path("c.sock"),
            ),
        )?;
        let mut command = Command::new(program);
        command.arg("--config").arg(&config);
        let daemon = Started::new(&mut command, &dir, "daemon", None)?;
        let containerd = Self { room, dir, daemon: Some(daemon) };
        until("containerd", || {
            containerd.ctr(&["version"]).is_ok_and(|version| version.code == 0)
        })?;
        Ok(containerd)
    }

    fn ctr(&self, arguments: &[&str]) -> Verdict<Finished> {
        let mut command = Command::new("ctr");
        command.arg("--address").arg(self.dir.join("c.sock")).args(arguments);
        let name = format!("ctr{}", arguments.len());
        Finished::within(&mut command, self.room.dir(), &name, None, DEADLINE)
    }

    /// `ctr run FLAGS… --runc-binary PROGRAM --rootfs DIR ID WORDS…`.
    fn run(&self, flags: &[&str], id: &str, words: &[&str]) -> Verdict<Finished> {
        let root = rootfs(self.room)?;
        let (root, program) = (root.to_string_lossy(), self.room.runtime.program.to_string_lossy());
        let mut arguments = vec!["run", "--runc-binary", &program, "--rootfs"];
        arguments.extend(flags);
        arguments.extend([&*root, id]);
        arguments.extend(words);
        self.ctr(&arguments)
    }
}

impl Drop for Containerd<'_> {
    fn drop(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            process::signal(daemon.pid(), Signal::TERM);
            let _ended = daemon.wait(DEADLINE);
        }
        // A shim goes a moment after its last container.
        let _ended = until("the end of the shims", || {
            process::reap_orphans();
            lxcri_testkit::machine::Machine::processes().is_empty()
        });
        unmount_below(&self.dir);
        remove_client_cgroups();
    }
}

fn ctr_run(room: &Room) -> Verdict {
    let containerd = Containerd::new(room)?;
    let finished = containerd
        .run(&["--rm"], "one", &["/bin/sh", "-c", "echo out; echo err >&2; exit 7"])?
        .exits(7)?;
    ensure!(finished.stdout.contains("out\n"), "standard output: {finished}");
    ensure!(finished.stderr.contains("err\n"), "standard error: {finished}");
    let missing = containerd.run(&["--rm"], "two", &["no-such-program"])?;
    missing.refuses(&["executable file not found in $PATH"])?;
    let _removed = containerd.ctr(&["containers", "rm", "two"])?;
    Ok(())
}

fn ctr_exec(room: &Room) -> Verdict {
    let containerd = Containerd::new(room)?;
    containerd.run(&["--detach"], "sleeper", &["/bin/sleep", "1000"])?.ok()?;
    let finished = containerd.ctr(&[
        "tasks",
        "exec",
        "--exec-id",
        "e1",
        "sleeper",
        "/bin/sh",
        "-c",
        "echo in; exit 3",
    ])?;
    ensure_eq!(finished.code, 3, "exit code of {finished}");
    ensure!(finished.stdout.contains("in\n"), "output of {finished}");
    containerd.ctr(&["tasks", "pause", "sleeper"])?.ok()?;
    let listed = containerd.ctr(&["tasks", "ls"])?.ok()?;
    ensure!(listed.stdout.contains("PAUSED"), "{listed}");
    containerd.ctr(&["tasks", "resume", "sleeper"])?.ok()?;
    let processes = containerd.ctr(&["tasks", "ps", "sleeper"])?.ok()?;
    ensure!(processes.stdout.lines().count() >= 2, "{processes}");
    end(&containerd, "sleeper")
}

/// KILL, wait for the end, delete task and container.
fn end(containerd: &Containerd<'_>, id: &str) -> Verdict {
    containerd.ctr(&["tasks", "kill", "--signal", "SIGKILL", id])?.ok()?;
    until("the end of the task", || {
        containerd.ctr(&["tasks", "ls"]).is_ok_and(|list| list.stdout.contains("STOPPED"))
    })?;
    containerd.ctr(&["tasks", "delete", id])?;
    containerd.ctr(&["containers", "delete", id])?.ok()?;
    Ok(())
}

fn ctr_kill_and_delete(room: &Room) -> Verdict {
    let containerd = Containerd::new(room)?;
    containerd.run(&["--detach"], "victim", &["/bin/sleep", "1000"])?.ok()?;
    let listed = containerd.ctr(&["tasks", "ls"])?.ok()?;
    let row = listed.stdout.lines().find(|line| line.starts_with("victim")).context("no task")?;
    ensure!(row.contains("RUNNING"), "{row}");
    end(&containerd, "victim")
}
