//! The process that unpacks.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::ExitCode;

use lxcri_linux::capability::{self, Set};
use lxcri_linux::confine::{self, Kept};
use lxcri_linux::step::Step as _;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;

use super::super::error::Problem;
use super::super::step::Step;
use super::super::wire::{self, Order, Report};
use super::super::{Request, Unpacked, write};
use super::filter;

/// What making other people's files takes. Not CAP_SYS_ADMIN, which the marks of opaque directories
/// need: the parent makes them.
const CAPABILITIES: [&str; 6] =
    ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_MKNOD", "CAP_SETFCAP"];

/// Address space: one window of zstd (128 MiB), some buffers, and what the allocator sets aside for
/// each thread without using it.
const MEMORY: u64 = 1 << 30;

/// Descriptors: an opaque directory is emptied with one for each level.
const DESCRIPTORS: u64 = 1024;

/// Bytes of the blob between two reports.
const REPORT_EVERY: u64 = 1 << 20;

/// The test by which the test runner becomes this process.
pub(super) const TEST: &str = "layer::worker::tests::the_process_that_unpacks";

/// For the first line of `main`: where this process was started to unpack a layer, it does so, and
/// `main` has to end with the code that is returned.
pub fn worker_main_if_asked() -> Option<ExitCode> {
    let asked = std::env::args_os().nth(1).is_some_and(|argument| argument == super::ARGUMENT);
    asked.then(worker_main)
}

/// Talks over the standard input.
pub(super) fn worker_main() -> ExitCode {
    let socket = rustix::stdio::stdin();
    let Ok(()) = confine::close_inherited() else { return ExitCode::FAILURE };
    // Somebody typed the argument, or the parent has died.
    let Ok((order, blob, target)) = wire::receive_order(socket) else { return ExitCode::FAILURE };
    let request = Request {
        blob: &blob,
        digest: order.digest.as_ref(),
        compression: order.compression,
        diff_id: &order.diff_id,
        target: target.as_fd(),
        mode: order.mode,
        ids: &order.ids,
        limits: &order.limits,
    };
    let report = match unpack_for(socket, &request, &order) {
        Ok(unpacked) => Report::Done(unpacked),
        Err(problem) => Report::Failed(problem),
    };
    match wire::send_report(socket, &report) {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

fn unpack_for(
    socket: BorrowedFd<'static>,
    request: &Request<'_>,
    order: &Order,
) -> Result<Unpacked, Problem> {
    let (capabilities, _) = capability::parse(&CAPABILITIES, capability::last_cap());
    give_up(request, capabilities, order)?;
    end_with_parent(socket)?;
    Step::WorkerReady.reached();
    let mut reported = 0;
    let mut progress = |bytes: u64| {
        if bytes < reported + REPORT_EVERY {
            return Ok(());
        }
        reported = bytes;
        send(socket, &Report::Progress(bytes))
    };
    let (unpacked, opaque) = write(request, &mut progress)?;
    Step::WorkerWritten.reached();
    for path in opaque {
        send(socket, &Report::Opaque(path))?;
    }
    Ok(unpacked)
}

fn give_up(request: &Request<'_>, capabilities: Set, order: &Order) -> Result<(), Problem> {
    let kept =
        Kept { capabilities, file: order.limits.bytes, memory: MEMORY, descriptors: DESCRIPTORS };
    let walls = confine::confine(request.target, &kept);
    walls.map_err(Problem::at("give up rights", b""))?;
    give_up_system_calls().map_err(Problem::at("give up system calls", b""))
}

/// Where the kernel has no filters, the other walls have to do.
fn give_up_system_calls() -> io::Result<()> {
    let program =
        filter::program().map_err(|error| io::Error::other(lxcri_linux::chain(&error)))?;
    match program.load() {
        Err(error) if error.raw_os_error() == Some(Errno::NOSYS.raw_os_error()) => Ok(()),
        loaded => loaded,
    }
}

fn send(socket: BorrowedFd<'_>, report: &Report) -> Result<(), Problem> {
    wire::send_report(socket, report).map_err(Problem::at("report", b""))
}

/// A thread that waits for the other end to close. `PR_SET_PDEATHSIG` would not do: it is about the
/// thread that started this process, which may end before the others.
fn end_with_parent(socket: BorrowedFd<'static>) -> Result<(), Problem> {
    let watch = move || {
        let mut sockets = [PollFd::new(&socket, PollFlags::empty())];
        while matches!(poll(&mut sockets, None), Ok(0) | Err(Errno::INTR)) {}
        lxcri_linux::clone::end(1)
    };
    let thread = std::thread::Builder::new().stack_size(128 << 10).spawn(watch);
    thread.map(drop).map_err(Problem::at("start a thread", b""))
}
