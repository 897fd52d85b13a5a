//! `exec`: one more process in a running container.

use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use lxcri_linux::pty;
use lxcri_linux::step::Step as _;

use super::Runtime;
use super::create::write_pid_file;
use crate::backend::{ExecRequest, Running};
use crate::error::Error;
use crate::id::ContainerId;
use crate::lifecycle::{Status, Verb};
use crate::oci::{Process, Spec};
use crate::step::Step;

/// How to run one more process.
#[derive(Debug, Default)]
pub struct ExecOptions {
    /// Where to write its pid.
    pub pid_file: Option<PathBuf>,
    /// Unix socket that takes the terminal's master; needs `process.terminal`.
    pub console_socket: Option<PathBuf>,
    /// A console that is connected already.
    pub console: Option<OwnedFd>,
    /// Descriptors after 2 to hand on.
    pub preserve_fds: u32,
    /// Run it even if the container is paused; it then waits for `resume`.
    pub ignore_paused: bool,
}

impl Runtime<'_> {
    /// Starts a process. `process` gets the process of `config.json`, to start from.
    pub fn exec(
        &self,
        id: &ContainerId,
        process: impl FnOnce(Process) -> Result<Process, Error>,
        options: ExecOptions,
    ) -> Result<Running, Error> {
        let found = self.find(id)?;
        if !(options.ignore_paused && found.observed.status == Status::Paused) {
            found.require(Verb::Exec)?;
        }
        let exec = found.backend.exec().map_err(|cannot| found.cannot("exec", cannot))?;
        Step::ExecFound.reached();
        found.backend.enter()?;
        let path = found.container.entry.file("config.json");
        let spec = Spec::parse(&found.container.entry.read("config.json")?, &path)?;
        let process = process(spec.require_process(&path)?.clone())?;
        let console = match &options.console_socket {
            Some(path) => Some(connect(path)?),
            None => options.console,
        };
        let request = ExecRequest {
            process,
            console,
            console_path: options.console_socket,
            preserve_fds: options.preserve_fds,
        };
        let running = exec.exec(&found.container, request)?;
        Step::ExecRoom.reached();
        if let Some(path) = &options.pid_file
            && let Err(error) = write_pid_file(path, running.process.pid)
        {
            // Nobody would know of the process.
            let _ = running.fd.signal(9);
            return Err(error);
        }
        Step::ExecPidFile.reached();
        Ok(running)
    }
}

/// Connects to a console socket.
pub(super) fn connect(path: &Path) -> Result<OwnedFd, Error> {
    pty::connect(path).map(OwnedFd::from).map_err(|source| Error::Io {
        what: "connect to console socket",
        path: path.to_owned(),
        source,
    })
}
