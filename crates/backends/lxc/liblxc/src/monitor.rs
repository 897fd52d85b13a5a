//! The monitor from its first to its last moment.

use std::ffi::{CStr, CString};
use std::fs::File;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use lxcri_init::line::{Frame, Line, LineError, exactly};
use lxcri_init::message::Message;
use lxcri_init::pid1;
use lxcri_linux::process;
use rustix::fs::MemfdFlags;

use crate::cause;
use crate::container::{Container, ContainerError};
use crate::library::{Library, LibraryError, c_string};

/// The descriptor with PID 1's program, until the container's init has executed it.
const PROGRAM: i32 = 5;

/// The same, as a path inside of the container: it needs a procfs at `/proc`.
const PROGRAM_PATH: &CStr = c"/proc/self/fd/5";

/// Why there is no container.
#[derive(Debug, thiserror::Error)]
pub(crate) enum MonitorError {
    /// Nobody who knows us started us.
    #[error("this program is for proxmox-lxcri to start: {0}")]
    Stranger(&'static str),
    /// The runtime said something else.
    #[error("the runtime: {0}")]
    Line(#[from] LineError),
    /// A step of ours.
    #[error("{step}: {source}")]
    Step {
        /// What was tried.
        step: &'static str,
        /// The kernel's reason.
        source: io::Error,
    },
    /// No liblxc.
    #[error(transparent)]
    Library(#[from] LibraryError),
    /// liblxc failed, and why as far as it says.
    #[error("{error}{}", cause.as_deref().map(|cause| format!(": {cause}")).unwrap_or_default())]
    Container {
        /// What failed.
        error: ContainerError,
        /// The first error of its log.
        cause: Option<String>,
    },
}

fn step<E: Into<io::Error>>(step: &'static str) -> impl FnOnce(E) -> MonitorError {
    move |source| MonitorError::Step { step, source: source.into() }
}

/// Which container.
struct Order {
    name: CString,
    lxcpath: CString,
    config: CString,
}

/// Does everything. What fails before the container runs is told to the runtime.
pub(crate) fn run() -> Result<(), MonitorError> {
    let order = order()?;
    let mut seats = Seats::take().map_err(step("reserve descriptors"))?;
    let runtime = process::take_inherited(0).map_err(step("take over standard input"))?;
    let runtime = Line::from_socket(runtime);
    let result = watch_over(&order, &runtime, &mut seats);
    if let Err(error) = &result {
        // The runtime is gone where the container has run.
        let _ = runtime.send(&Message::Failed(error.to_string()), &[]);
    }
    result
}

fn order() -> Result<Order, MonitorError> {
    let mut arguments = std::env::args_os().skip(1).map(PathBuf::from);
    let mut next = || arguments.next().as_deref().and_then(c_string);
    match (next(), next(), next(), next()) {
        (Some(name), Some(lxcpath), Some(config), None) => Ok(Order { name, lxcpath, config }),
        _ => Err(MonitorError::Stranger("it takes a name, a directory and a file")),
    }
}

fn watch_over(order: &Order, runtime: &Line, seats: &mut Seats) -> Result<(), MonitorError> {
    // Whatever the caller does to its own session or process group is not the container's.
    rustix::process::setsid().map_err(step("setsid"))?;
    let [maker, program] = match runtime.receive()? {
        Some(Frame { message: Message::Begin, descriptors }) => exactly(descriptors)?,
        _ => return Err(MonitorError::Stranger("nobody said to begin")),
    };
    let (monitor, theirs) = Line::pair().map_err(step("make a socket pair"))?;
    let library = Library::load()?;
    let mut log = open_log(&library, order)?;
    seats
        .give(maker.as_fd(), theirs.as_fd(), program.as_fd())
        .map_err(step("give PID 1 its lines"))?;
    drop((maker, theirs, program));
    let result = start(&library, order);
    let ended = said_last(&monitor);
    match (result, ended) {
        // PID 1 has come as far as the end of the user's process.
        (_, Some(message)) => {
            let _ = runtime.send(&message, &[]);
            Ok(())
        }
        (Ok(()), None) => Ok(()),
        (Err(error), None) => {
            let cause = cause::first_error(&mut log).ok().flatten();
            Err(MonitorError::Container { error, cause })
        }
    }
}

fn start(library: &Library, order: &Order) -> Result<(), ContainerError> {
    let container: Container<'_> = library.container(&order.name, &order.lxcpath)?;
    if container.is_running() {
        return Err(ContainerError::Running);
    }
    container.load(&order.config)?;
    container.run(PROGRAM_PATH)
}

/// A log in memory. liblxc opens it by its path.
fn open_log(library: &Library, order: &Order) -> Result<File, MonitorError> {
    let memory = rustix::fs::memfd_create("liblxc.log", MemfdFlags::CLOEXEC);
    let log = File::from(memory.map_err(step("make a log"))?);
    let path = CString::new(format!("/proc/self/fd/{}", log.as_raw_fd()))
        .map_err(|error| step("name the log")(io::Error::from(error)))?;
    library.log_to(&path, &order.name, &order.lxcpath)?;
    Ok(log)
}

/// The descriptors of fixed numbers that PID 1 gets. They stay open here, too: it is liblxc that makes
/// PID 1, long after.
struct Seats([OwnedFd; 3]);

impl Seats {
    /// Reserves the numbers before anything else can have them.
    fn take() -> io::Result<Self> {
        let seat = |number| -> io::Result<OwnedFd> {
            let fd = rustix::io::fcntl_dupfd_cloexec(rustix::stdio::stdout(), number)?;
            if fd.as_raw_fd() == number { Ok(fd) } else { Err(io::ErrorKind::AlreadyExists.into()) }
        };
        let [maker, monitor, program] = [pid1::MAKER, pid1::MONITOR, PROGRAM].map(seat);
        Ok(Self([maker?, monitor?, program?]))
    }

    /// The program is gone from PID 1 when it runs: a path of a descriptor is resolved before
    /// execve(2) closes it.
    fn give(
        &mut self,
        maker: BorrowedFd<'_>,
        monitor: BorrowedFd<'_>,
        program: BorrowedFd<'_>,
    ) -> io::Result<()> {
        let Self([maker_seat, monitor_seat, program_seat]) = self;
        rustix::io::dup2(maker, maker_seat)?;
        rustix::io::dup2(monitor, monitor_seat)?;
        rustix::io::dup2(program, program_seat)?;
        Ok(rustix::io::fcntl_setfd(program_seat, rustix::io::FdFlags::CLOEXEC)?)
    }
}

/// How the user's process ended, where PID 1 came to say so. It is gone by now.
fn said_last(monitor: &Line) -> Option<Message> {
    monitor.do_not_wait().ok()?;
    let frame = monitor.receive().ok()??;
    matches!(frame.message, Message::Ended(_)).then_some(frame.message)
}
