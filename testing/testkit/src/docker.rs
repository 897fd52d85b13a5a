//! The Docker engine with everything it keeps below one directory, and its client.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;

use crate::debian;
use crate::podman::remove_client_cgroups;
use crate::podman::unmount_below;
use crate::process;
use crate::process::Started;
use crate::process::until;
use crate::runtime::Finished;
use crate::verdict::Context;
use crate::verdict::Stop;
use crate::verdict::Verdict;

/// How long one client command may take: loads of large images on busy machines take minutes.
pub const DEADLINE: Duration = Duration::from_secs(300);

/// How long the engine may take to end.
const END: Duration = Duration::from_secs(30);

/// A running engine without networks; dropping it ends it and removes what it left mounted.
#[derive(Debug)]
pub struct Docker {
    dir: PathBuf,
    programs: PathBuf,
    engine: Option<Started>,
}

impl Docker {
    /// Starts an engine in `dir/docker`, made here, and waits until it answers. `dir` has to be short:
    /// the path of a socket is at most 107 bytes.
    ///
    /// # Errors
    /// A skip where the engine cannot be had, a failure with its words where it does not start.
    pub fn start(dir: &Path) -> Verdict<Self> {
        Self::start_with(dir, &[])
    }

    /// [`Self::start`] with more options of dockerd(8), for instance `--insecure-registry`.
    ///
    /// # Errors
    /// As [`Self::start`].
    pub fn start_with(dir: &Path, options: &[&str]) -> Verdict<Self> {
        let programs = debian::docker()?.join("bin");
        let dir = dir.join("docker");
        fs::create_dir(&dir).context(dir.display())?;
        // Not the machine's.
        let config = dir.join("daemon.json");
        fs::write(&config, "{}").context(config.display())?;
        let mut docker = Self { dir, programs, engine: None };
        let mut command = docker.engine_command(options);
        docker.engine = Some(Started::new(&mut command, &docker.dir, "dockerd", None)?);
        until("the Docker engine", || docker.answers() || !docker.runs())?;
        if !docker.answers() {
            let words = fs::read_to_string(docker.dir.join("dockerd.err")).unwrap_or_default();
            let last = words.lines().last().unwrap_or_default().to_owned();
            return Err(Stop::Failed(format!("dockerd does not start: {last}")));
        }
        Ok(docker)
    }

    /// The engine's mounts are in a mount namespace of its own; its state is nowhere but in `dir`, and it
    /// touches neither firewall nor bridges.
    fn engine_command(&self, options: &[&str]) -> Command {
        let mut command = Command::new("unshare");
        command.args(["--mount", "--propagation", "private", "--"]);
        command.arg(self.programs.join("dockerd"));
        for (option, name) in [
            ("--data-root", "data"),
            ("--exec-root", "exec"),
            ("--pidfile", "pid"),
            ("--config-file", "daemon.json"),
        ] {
            command.arg(option).arg(self.dir.join(name));
        }
        command.arg("--host").arg(self.host());
        command.args(["--bridge=none", "--iptables=false", "--ip6tables=false"]);
        command.args(["--ip-forward=false", "--exec-opt", "native.cgroupdriver=cgroupfs"]);
        command.args(options).env("PATH", self.path());
        // It makes directories for keys at home.
        command.env("HOME", &self.dir);
        command
    }

    /// Where it keeps everything.
    #[must_use]
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The process that is the engine: `unshare` becomes it.
    #[must_use]
    pub fn pid(&self) -> i32 {
        self.engine.as_ref().map(Started::pid).unwrap_or_default()
    }

    /// What clients are told with `--host`.
    #[must_use]
    pub fn host(&self) -> String {
        format!("unix://{}", self.dir.join("docker.sock").display())
    }

    /// `docker ARGUMENTS…`, told where the engine is.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(self.programs.join("docker"));
        command.arg("--host").arg(self.host()).args(arguments);
        command.env("DOCKER_CONFIG", self.dir.join("client")).env("PATH", self.path());
        command
    }

    /// `docker ARGUMENTS…`, run to its end.
    ///
    /// # Errors
    /// A failure when it cannot start or hangs.
    pub fn call(&self, arguments: &[&str]) -> Verdict<Finished> {
        let name = format!("docker{}", arguments.len());
        Finished::within(&mut self.command(arguments), &self.dir, &name, None, DEADLINE)
    }

    fn path(&self) -> String {
        let machine = std::env::var("PATH").unwrap_or_default();
        format!("{}:{machine}", self.programs.display())
    }

    fn runs(&self) -> bool {
        !matches!(process::state_of(self.pid()), None | Some('Z'))
    }

    fn answers(&self) -> bool {
        let socket = self.dir.join("docker.sock");
        std::os::unix::net::UnixStream::connect(socket).map(OwnedFd::from).is_ok()
            && self.call(&["version"]).is_ok_and(|finished| finished.code == 0)
    }
}

impl Drop for Docker {
    fn drop(&mut self) {
        if let Some(engine) = self.engine.take() {
            // It ends its containers and containerd first.
            process::signal(engine.pid(), Signal::TERM);
            let _status = engine.wait(END);
        }
        unmount_below(&self.dir);
        remove_client_cgroups();
    }
}
