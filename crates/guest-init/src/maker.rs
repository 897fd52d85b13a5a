//! The runtime's side: what `create` and `start` say to PID 1 of a container, and the stand-in.
//!
//! The order of `create` is fixed by what each step needs of the one before:
//!
//! 1. a line for PID 1, which whoever starts the container hands to it ([`crate::pid1::MAKER`]);
//! 2. [`Maker::ready`]: PID 1 says who it is;
//! 3. [`StandIn::leave`]: a child of ours next to it;
//! 4. [`Maker::create`]: PID 1 makes the user's process; we mount inside what PID 1 may not, and set
//!    limits that PID 1 could not; the process then becomes all that it shall be, and waits;
//! 5. its record; the pid file, with the stand-in's pid;
//! 6. our end. From here on [`start`] reaches PID 1 by its control socket.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use lxcri_linux::cgroup::Cgroup;
use lxcri_linux::clone::Child;
use lxcri_linux::process::{PidFd, Process};
use lxcri_linux::procfs::Proc;
use lxcri_linux::{inside, pty, stand_in};
use rustix::fs::{Mode, OFlags};

use crate::STAND_IN;
use crate::dress::dress;
use crate::line::{Frame, Line, LineError, answer, exactly};
use crate::message::Message;
use crate::task::Task;

/// Bytes of a socket's path that fit into its address, without the final NUL (unix(7)).
const LONGEST_ADDRESS: usize = 107;

/// Why a container could not be made or started.
#[derive(Debug, thiserror::Error)]
pub enum MakerError {
    /// PID 1 cannot be understood, or said that it failed.
    #[error("the container's init: {0}")]
    Init(LineError),
    /// What failed is the user's process: these words are the ones that clients know.
    #[error("{0}")]
    Process(String),
    /// PID 1, or the user's process, was gone before it could be looked at.
    #[error("the container's {0} ended before it was known")]
    Gone(&'static str),
    /// The socket on which PID 1 listens.
    #[error("{what} {}: {source}", path.display())]
    Control {
        /// What was tried.
        what: &'static str,
        /// The socket.
        path: PathBuf,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A step of ours.
    #[error("{step}: {source}")]
    Step {
        /// What was tried.
        step: &'static str,
        /// The kernel's reason.
        source: io::Error,
    },
    /// What has to be done inside of the container.
    #[error(transparent)]
    Inside(#[from] inside::InsideError),
    /// No stand-in could be left.
    #[error(transparent)]
    StandIn(#[from] stand_in::StandInError),
}

/// What goes into the container with a task.
#[derive(Debug)]
pub struct Handed<'h> {
    /// The socket that [`listen`] made.
    pub control: BorrowedFd<'h>,
    /// The stand-in, where there is one.
    pub stand_in: Option<&'h StandIn>,
    /// The user's process gets these as they are.
    pub streams: Streams<'h>,
}

/// Standard streams.
#[derive(Clone, Copy, Debug)]
pub enum Streams<'h> {
    /// Input, output and error.
    Given([BorrowedFd<'h>; 3]),
    /// A connected socket that takes the master of a new terminal.
    Console(BorrowedFd<'h>),
}

/// The runtime's end of the line to a PID 1 that is being started.
#[derive(Debug)]
pub struct Maker(Line);

impl Maker {
    /// Makes the line. The other end is for whoever starts PID 1.
    ///
    /// # Errors
    /// The kernel's.
    pub fn new() -> io::Result<(Self, Line)> {
        let (ours, theirs) = Line::pair()?;
        Ok((Self(ours), theirs))
    }

    /// Waits until PID 1 is there, and says which process that is.
    ///
    /// # Errors
    /// [`MakerError`]; what comes is taken for hostile.
    pub fn ready(&self) -> Result<Process, MakerError> {
        let frame = self.0.receive().and_then(answer).map_err(MakerError::Init)?;
        let Message::Ready = frame.message else {
            return Err(MakerError::Init(LineError::Unexpected("that it is ready")));
        };
        let [pidfd] = exactly(frame.descriptors).map_err(MakerError::Init)?;
        identify(pidfd, "init")
    }

    /// Has PID 1 make the user's process, prepares its surroundings and its limits, and says which it
    /// is. It then waits for [`start`].
    ///
    /// # Errors
    /// [`MakerError`].
    pub fn create(&self, task: &Task, handed: &Handed<'_>) -> Result<Process, MakerError> {
        let mut descriptors = vec![handed.control];
        if let Some(stand_in) = handed.stand_in {
            descriptors.extend([stand_in.line.as_fd(), stand_in.child.fd.as_fd()]);
        }
        match &handed.streams {
            Streams::Given(streams) => descriptors.extend(streams),
            Streams::Console(console) => descriptors.push(*console),
        }
        let sent = self.0.send_encoded(Message::encode_task(task), &descriptors);
        let Frame { message: Message::Born, descriptors } = self.hear(sent)? else {
            return Err(MakerError::Init(LineError::Unexpected("that the process was made")));
        };
        let [pidfd] = exactly(descriptors).map_err(MakerError::Init)?;
        let process = identify(pidfd, "process")?;
        dress(process, task)?;
        // While it is still root: to limit somebody else's process takes CAP_SYS_RESOURCE.
        let proc = Proc::open();
        let proc = proc.map_err(|error| MakerError::Process(lxcri_linux::chain(&error)))?;
        let limits = task.payload.prepare_from_parent(&proc, process.pid);
        limits.map_err(|error| MakerError::Process(error.to_string()))?;
        match self.hear(self.0.send(&Message::Dressed, &[]))?.message {
            Message::Created => Ok(process),
            _ => Err(MakerError::Init(LineError::Unexpected("that the process is ready"))),
        }
    }

    /// The answer to what was sent. Where sending failed PID 1 has said why, or is gone.
    fn hear(&self, sent: io::Result<()>) -> Result<Frame, MakerError> {
        match (sent, self.0.receive().and_then(answer)) {
            (_, Err(LineError::Failed(reason))) => Err(MakerError::Process(reason)),
            (Err(error), _) => Err(MakerError::Init(error.into())),
            (Ok(()), heard) => heard.map_err(MakerError::Init),
        }
    }
}

impl AsFd for Maker {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The process behind a descriptor that came out of a container, by what our own kernel says.
fn identify(pidfd: OwnedFd, what: &'static str) -> Result<Process, MakerError> {
    let fd = PidFd::from_owned(pidfd);
    let gone = |_| MakerError::Gone(what);
    let process = fd.pid().and_then(Process::of).map_err(gone)?;
    // While the descriptor's process has not ended, nobody else can have had its pid.
    match fd.wait_for_end(Some(Duration::ZERO)) {
        Ok(false) => Ok(process),
        _ => Err(MakerError::Gone(what)),
    }
}

/// A process of ours in the container, to be orphaned to our caller: the pid that it is told.
#[derive(Debug)]
pub struct StandIn {
    child: Child,
    line: Line,
}

impl StandIn {
    /// Leaves it next to PID 1 `init`, in its cgroup. `program` is that of PID 1, by descriptor.
    ///
    /// # Errors
    /// [`stand_in::StandInError`]; nothing is left then.
    pub fn leave(
        init: Process,
        cgroup: Option<&Cgroup>,
        program: BorrowedFd<'_>,
    ) -> Result<Self, MakerError> {
        let pair = Line::pair();
        let (line, theirs) =
            pair.map_err(|source| MakerError::Step { step: "make a socket pair", source })?;
        let arguments = [c"lxcri-init".to_owned(), CString::new(STAND_IN).unwrap_or_default()];
        let request = stand_in::Request {
            init,
            cgroup,
            program,
            arguments: &arguments,
            line: theirs.as_fd(),
        };
        let child = stand_in::leave(&request)?;
        Ok(Self { child, line })
    }

    /// Which process it is.
    ///
    /// # Errors
    /// Where /proc cannot be read.
    pub fn process(&self) -> io::Result<Process> {
        Process::of(self.child.pid)
    }

    /// Ends it and reaps it: what undoes [`Self::leave`]. PID 1 then ends the user's process.
    ///
    /// # Errors
    /// The kernel's.
    pub fn end(&self) -> io::Result<()> {
        self.child.fd.signal(lxcri_linux::signal::Signal::KILL.number())?;
        self.child.fd.reap(true).map(drop)
    }
}

/// Makes the socket on which PID 1 will be asked to start, for root alone. It belongs into a directory
/// that nobody else may enter.
///
/// # Errors
/// [`MakerError::Control`], also where something is there already.
pub fn listen(path: &Path) -> Result<OwnedFd, MakerError> {
    let error = |source| MakerError::Control { what: "listen on", path: path.to_owned(), source };
    let bind = || -> io::Result<UnixListener> {
        let listener = match (path.parent(), path.file_name()) {
            (Some(directory), Some(name)) if path.as_os_str().len() > LONGEST_ADDRESS => {
                let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
                let directory = rustix::fs::open(directory, flags, Mode::empty())?;
                let number = std::os::fd::AsRawFd::as_raw_fd(&directory);
                UnixListener::bind(Path::new(&format!("/proc/self/fd/{number}")).join(name))?
            }
            _ => UnixListener::bind(path)?,
        };
        std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600))?;
        Ok(listener)
    };
    bind().map(OwnedFd::from).map_err(error)
}

/// Lets the user's process run; returns when its program was executed.
///
/// # Errors
/// [`MakerError::Control`] where nobody listens, [`MakerError::Process`] with the reason why its
/// program does not run.
pub fn start(control: &Path) -> Result<(), MakerError> {
    let error =
        |source| MakerError::Control { what: "connect to", path: control.to_owned(), source };
    let line = Line::from_socket(pty::connect(control).map_err(error)?.into());
    line.send(&Message::Start, &[]).map_err(error)?;
    match line.receive().and_then(answer) {
        Ok(frame) if matches!(frame.message, Message::Started) => Ok(()),
        Ok(_) => Err(MakerError::Init(LineError::Unexpected("that the process was started"))),
        Err(LineError::Failed(reason)) => Err(MakerError::Process(reason)),
        Err(other) => Err(MakerError::Init(other)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What the maker makes of what a PID 1 says.
    fn told(message: &Message, descriptors: &[BorrowedFd<'_>]) -> Result<Process, MakerError> {
        let (maker, theirs) = Maker::new().unwrap();
        theirs.send(message, descriptors).unwrap();
        maker.ready()
    }

    #[test]
    fn only_a_live_process_by_descriptor_is_an_init() {
        let own = rustix::process::getpid();
        let pidfd = rustix::process::pidfd_open(own, rustix::process::PidfdFlags::empty()).unwrap();
        let process = told(&Message::Ready, &[pidfd.as_fd()]).unwrap();
        assert_eq!(process.pid, own.as_raw_nonzero().get());

        let null = std::fs::File::open("/dev/null").unwrap();
        assert!(matches!(told(&Message::Ready, &[null.as_fd()]), Err(MakerError::Gone("init"))));
        let mut child = std::process::Command::new("true").spawn().unwrap();
        let ended = PidFd::of_child(child.id().cast_signed()).unwrap();
        assert!(ended.wait_for_end(None).unwrap());
        assert!(matches!(told(&Message::Ready, &[ended.as_fd()]), Err(MakerError::Gone(_))));
        child.wait().unwrap();
    }

    #[test]
    fn an_init_that_says_anything_else_is_refused() {
        let null = std::fs::File::open("/dev/null").unwrap();
        for (message, descriptors) in [
            (Message::Ready, vec![]),
            (Message::Ready, vec![null.as_fd(), null.as_fd()]),
            (Message::Created, vec![null.as_fd()]),
        ] {
            assert!(
                matches!(told(&message, &descriptors), Err(MakerError::Init(_))),
                "{message:?}"
            );
        }
        let error = told(&Message::Failed("take over signals: no".into()), &[]).unwrap_err();
        assert_eq!(error.to_string(), "the container's init: take over signals: no");
        let (maker, theirs) = Maker::new().unwrap();
        drop(theirs);
        assert!(matches!(maker.ready(), Err(MakerError::Init(LineError::Gone))));
    }

    #[test]
    fn start_without_an_init_names_the_socket() {
        let error = start(Path::new("/nonexistent/init.sock")).unwrap_err().to_string();
        assert!(error.starts_with("connect to /nonexistent/init.sock: "), "{error}");
    }

    #[test]
    fn the_control_socket_is_roots_however_long_its_path() {
        let dir = std::env::temp_dir().join(format!("lxcri-maker-{}", std::process::id()));
        let long = dir.join("x".repeat(100));
        std::fs::create_dir_all(&long).unwrap();
        for path in [dir.join("init.sock"), long.join("init.sock")] {
            let _listener = listen(&path).unwrap();
            let mode = std::fs::metadata(&path).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
            assert!(pty::connect(&path).is_ok());
            assert!(listen(&path).is_err(), "it is there already");
        }
        std::fs::remove_dir_all(dir).unwrap();
    }
}
