//! What the lxc room needs to know of its monitor: how to start it, and what it says. The program
//! itself (`main.rs`) loads liblxc and is built apart, by `testing/scripts/libexec.sh`; nothing of
//! liblxc is in this library.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use lxcri_init::line::{Line, LineError, answer};
use lxcri_init::maker::{Maker, MakerError};
use lxcri_init::message::Message;
use lxcri_linux::process::{Process, reset_signals_of};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

/// Where programs of hooks are looked for.
const HOOK_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Which container to start.
#[derive(Clone, Copy, Debug)]
pub struct Order<'o> {
    /// The monitor's program.
    pub program: &'o Path,
    /// The container's name, as LXC knows it.
    pub name: &'o str,
    /// LXC's directory of containers (`lxc-ls -P`).
    pub lxcpath: &'o Path,
    /// The container's configuration; `LXCPATH/NAME/config` where lxc-ls shall list it.
    pub config: &'o Path,
}

/// Why there is no container.
#[derive(Debug, thiserror::Error)]
pub enum MonitorError {
    /// The program could not be started.
    #[error("start {program}: {source}")]
    Start {
        /// Its path.
        program: String,
        /// The kernel's reason.
        source: io::Error,
    },
    /// It said why, in liblxc's words where liblxc had some.
    #[error("{0}")]
    Failed(String),
    /// It ended without a word.
    #[error("the monitor ended before the container was there")]
    Gone,
    /// It cannot be understood, or talked to.
    #[error("the monitor: {0}")]
    Line(LineError),
    /// PID 1 of the container.
    #[error(transparent)]
    Maker(#[from] MakerError),
}

impl MonitorError {
    /// What the user can do about it.
    #[must_use]
    pub fn hints(&self) -> Vec<String> {
        match self {
            Self::Start { .. } => {
                vec!["the programs of libexec belong beside the program proxmox-lxcri".to_owned()]
            }
            Self::Failed(reason) if reason.contains("liblxc.so.1") => {
                vec!["install LXC 5 or newer (Debian: apt-get install liblxc1)".to_owned()]
            }
            _ => Vec::new(),
        }
    }
}

/// A monitor that was started. It goes on when this is dropped.
#[derive(Debug)]
pub struct Monitor {
    child: Child,
    line: Line,
}

impl Monitor {
    /// Starts the monitor and has it start the container. `init` is the program of PID 1, by
    /// descriptor ([`lxcri_linux::seal::read_only`]), `line` what PID 1 talks to us over.
    ///
    /// # Errors
    /// [`MonitorError`].
    pub fn start(
        order: &Order<'_>,
        init: BorrowedFd<'_>,
        line: &Line,
    ) -> Result<Self, MonitorError> {
        let failed =
            |source| MonitorError::Start { program: order.program.display().to_string(), source };
        let (ours, theirs) = Line::pair().map_err(failed)?;
        let theirs: OwnedFd = theirs.as_fd().try_clone_to_owned().map_err(failed)?;
        let mut command = Command::new(order.program);
        command.arg(order.name).arg(order.lxcpath).arg(order.config);
        command.env_clear().env("PATH", HOOK_PATH).current_dir("/");
        // Whoever waits for the end of our own streams must not wait for the container's.
        command.stdin(theirs).stdout(Stdio::null()).stderr(Stdio::null());
        reset_signals_of(&mut command);
        let child = command.spawn().map_err(failed)?;
        drop(command);
        let told = ours.send(&Message::Begin, &[line.as_fd(), init]);
        told.map_err(|error| MonitorError::Line(error.into()))?;
        Ok(Self { child, line: ours })
    }

    /// The monitor's process.
    ///
    /// # Errors
    /// Where /proc cannot be read.
    pub fn process(&self) -> io::Result<Process> {
        Process::of(self.child.id().cast_signed())
    }

    /// Waits until PID 1 of the container is there, or the monitor says why it never will be.
    ///
    /// # Errors
    /// [`MonitorError`].
    pub fn ready(&self, maker: &Maker) -> Result<Process, MonitorError> {
        loop {
            let mut polled =
                [PollFd::new(maker, PollFlags::IN), PollFd::new(&self.line, PollFlags::IN)];
            match poll(&mut polled, None) {
                Err(Errno::INTR) => continue,
                result => result.map_err(|errno| MonitorError::Line(errno.into()))?,
            };
            let [of_init, of_monitor] = polled.map(|fd| !fd.revents().is_empty());
            // First: where it has ended, the line to PID 1 has, too.
            if of_monitor {
                return Err(self.reason());
            }
            if of_init {
                return Ok(maker.ready()?);
            }
        }
    }

    /// Why it gave up.
    fn reason(&self) -> MonitorError {
        match self.line.receive().and_then(answer) {
            Err(LineError::Failed(reason)) => MonitorError::Failed(reason),
            Err(LineError::Gone) => MonitorError::Gone,
            Err(other) => MonitorError::Line(other),
            Ok(_) => MonitorError::Line(LineError::Unexpected("a reason")),
        }
    }

    /// Ends it by force and reaps it: what undoes [`Self::start`]. The kernel then ends PID 1, which
    /// asked for that (`PR_SET_PDEATHSIG`, by liblxc); LXC's cgroups stay behind.
    ///
    /// # Errors
    /// The kernel's.
    pub fn end(&mut self) -> io::Result<()> {
        self.child.kill()?;
        self.child.wait().map(drop)
    }

    /// Waits until it has ended by itself.
    ///
    /// # Errors
    /// The kernel's.
    pub fn wait(&mut self) -> io::Result<()> {
        self.child.wait().map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn start(program: &str) -> Result<Process, MonitorError> {
        let (maker, theirs) = Maker::new().map_err(|error| MonitorError::Line(error.into()))?;
        let null = std::fs::File::open("/dev/null").unwrap();
        let order = Order {
            program: Path::new(program),
            name: "c1",
            lxcpath: Path::new("/nonexistent"),
            config: Path::new("/nonexistent/config"),
        };
        let mut monitor = Monitor::start(&order, null.as_fd(), &theirs)?;
        drop(theirs);
        let result = monitor.ready(&maker);
        monitor.wait().unwrap();
        result
    }

    #[test]
    fn a_monitor_that_is_missing_has_a_hint() {
        let error = start("/nonexistent/lxcri-liblxc").unwrap_err();
        assert!(error.to_string().starts_with("start /nonexistent/lxcri-liblxc: "), "{error}");
        assert_eq!(error.hints().len(), 1);
        let absent = MonitorError::Failed("cannot load liblxc.so.1: no such file".to_owned());
        assert!(absent.hints()[0].contains("install LXC 5 or newer"));
    }

    #[test]
    fn a_monitor_that_is_none_is_noticed() {
        // It may end before it is told to begin, or after.
        let error = start("/bin/true").unwrap_err();
        assert!(matches!(error, MonitorError::Gone | MonitorError::Line(_)), "{error}");
    }
}
