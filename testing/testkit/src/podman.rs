//! Podman with everything it keeps below one directory, and a runtime of the caller's choice.

use std::fs;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use crate::machine::Machine;
use crate::process::reap_orphans;
use crate::process::until;
use crate::runtime::Finished;
use crate::verdict::Context;
use crate::verdict::Verdict;
use crate::view::View;

/// How long one client command may take.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A Podman of the caller's own; dropping it removes its containers and what they left mounted.
#[derive(Debug)]
pub struct Podman {
    dir: PathBuf,
    runtime: PathBuf,
    driver: &'static str,
    /// Processes that were there before: not conmon's.
    others: Vec<i32>,
}

impl Podman {
    /// Whether the machine has what it takes.
    #[must_use]
    pub fn is_installed() -> bool {
        Path::new("/usr/bin/podman").exists() && Path::new("/usr/bin/conmon").exists()
    }

    /// Keeps everything in `dir/podman`, made here, and calls the OCI runtime `runtime`.
    ///
    /// # Errors
    /// A failure when the directory cannot be made.
    pub fn new(dir: &Path, runtime: &Path) -> Verdict<Self> {
        let dir = dir.join("podman");
        fs::create_dir(&dir).context(dir.display())?;
        let (runtime, others) = (runtime.to_owned(), Machine::processes());
        Ok(Self { dir, runtime, driver: "vfs", others })
    }

    /// The same, which unpacks images for overlay file systems, as a Podman of the machine would.
    #[must_use]
    pub fn with_overlays(mut self) -> Self {
        self.driver = "overlay";
        self
    }

    /// Where it keeps everything.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// `podman ARGUMENTS…`, told where it keeps everything.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("podman");
        command.arg("--root").arg(self.dir.join("storage"));
        command.arg("--runroot").arg(self.dir.join("run"));
        command.arg("--tmpdir").arg(self.dir.join("tmp"));
        command.args(["--cgroup-manager=cgroupfs", "--events-backend=file"]);
        command.arg("--storage-driver").arg(self.driver);
        command.arg("--runtime").arg(&self.runtime).args(arguments);
        command
    }

    /// `podman ARGUMENTS…`, run to its end.
    ///
    /// # Errors
    /// A failure when it cannot start or hangs.
    pub fn call(&self, arguments: &[&str]) -> Verdict<Finished> {
        self.call_within(DEADLINE, arguments)
    }

    /// [`Self::call`] with a deadline of its own: loads of large images take minutes on busy machines.
    ///
    /// # Errors
    /// A failure when it cannot start or hangs.
    pub fn call_within(&self, deadline: Duration, arguments: &[&str]) -> Verdict<Finished> {
        let name = format!("podman{}", arguments.len());
        Finished::within(&mut self.command(arguments), &self.dir, &name, None, deadline)
    }

    /// `podman run FLAGS… --rootfs DIR WORDS…` with what machines without CAP_SYS_RESOURCE need:
    /// Podman's default limits would have to be raised there.
    ///
    /// # Errors
    /// As [`Self::call`].
    pub fn run(&self, flags: &[&str], rootfs: &Path, words: &[&str]) -> Verdict<Finished> {
        let root = rootfs.to_string_lossy();
        let limits =
            ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024", "--network=none"];
        let mut arguments = vec!["run"];
        arguments.extend(limits);
        arguments.extend(flags);
        arguments.extend(["--rootfs", &root]);
        arguments.extend(words);
        self.call(&arguments)
    }
}

impl Drop for Podman {
    fn drop(&mut self) {
        // conmon and its clean-up command outlive `podman run` for a moment.
        let _rest = self.call(&["rm", "--all", "--force", "--time", "0"]);
        let _ended = until("the end of conmon", || {
            reap_orphans();
            Machine::processes().iter().all(|pid| self.others.contains(pid))
        });
        unmount_below(&self.dir);
        remove_client_cgroups();
    }
}

/// Podman and containerd mount below their directories and leave that to the next boot.
pub fn unmount_below(dir: &Path) {
    let text = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    for target in text.lines().rev().filter_map(|line| line.split(' ').nth(4)) {
        if Path::new(target).starts_with(dir) {
            let _result = rustix::mount::unmount(target, rustix::mount::UnmountFlags::DETACH);
        }
    }
}

/// The parents that Podman (`libpod_parent`), Docker (`docker`) and containerd's shim (`default`) make for
/// containers.
/// Clients, not runtimes, own them; they go only when they are empty.
pub fn remove_client_cgroups() {
    for hierarchy in View::Hybrid.hierarchies().into_iter().chain(View::V2.hierarchies()) {
        for name in ["libpod_parent/conmon", "libpod_parent", "docker", "default"] {
            let _kept = fs::remove_dir(hierarchy.join(name));
        }
    }
}
