//! Between `create` and `start`: init waits at a fifo, and says what kept it from its program in a
//! file beside it.
//!
//! The kernel keeps the truth: while init waits, it holds the fifo open, so whether a container is
//! "created" or "running" is asked of the fifo, never of a file that a crash could leave wrong.

use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::{AsRawFd, OwnedFd, RawFd};
use std::path::PathBuf;

use lxcri_core::store::Entry;
use lxcri_linux::step::Step as _;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{CWD, FileType, Mode, OFlags};
use rustix::io::Errno;

use crate::error::{NativeError, step};
use crate::step::Step;

/// What init says last where nothing fails.
const EXECUTES: &str = "\n";

/// The most that is read of what init said, in bytes.
const SAID_MAX: u64 = 8 << 10;

fn fifo(entry: &Entry) -> PathBuf {
    entry.file("exec.fifo")
}

fn said(entry: &Entry) -> PathBuf {
    entry.file("start-error")
}

/// Init's side, opened by its maker while paths are the host's.
#[derive(Debug)]
pub(crate) struct Gate {
    fifo: OwnedFd,
    said: File,
}

impl Gate {
    /// Makes both files. Init reads and writes the fifo, so it never sees an end of file.
    pub(crate) fn make(entry: &Entry) -> Result<Self, NativeError> {
        let path = fifo(entry);
        let mode = Mode::from_raw_mode(0o600);
        let say = || step(format!("make {}", path.display()));
        rustix::fs::mknodat(CWD, &path, FileType::Fifo, mode, 0).map_err(say())?;
        let flags = OFlags::RDWR | OFlags::CLOEXEC;
        let fifo = rustix::fs::open(&path, flags, Mode::empty()).map_err(say())?;
        let said = File::options()
            .read(true)
            .write(true)
            .create_new(true)
            .open(said(entry))
            .map_err(step("make the file for errors of start"))?;
        Ok(Self { fifo, said })
    }

    /// Blocks until `start`.
    pub(crate) fn wait(&self) -> std::io::Result<()> {
        let mut byte = [0_u8; 1];
        loop {
            match rustix::io::read(&self.fifo, &mut byte) {
                Err(Errno::INTR) => {}
                result => return Ok(result.map(drop)?),
            }
        }
    }

    /// The descriptors that init needs until it executes its program: plain files, through which no
    /// path leads anywhere.
    pub(crate) fn descriptors(&self) -> [RawFd; 2] {
        [self.fifo.as_raw_fd(), self.said.as_raw_fd()]
    }

    /// Tells `start` that the program is executed next. Without it, an init that dies on the way
    /// there would pass for a program that has ended.
    pub(crate) fn last_word(&mut self) {
        self.fail(EXECUTES);
    }

    /// Leaves word for `start`.
    pub(crate) fn fail(&mut self, text: &str) {
        // Nobody else is left to tell.
        let _ = self.said.write_all(text.as_bytes());
    }
}

/// How `start` found the gate.
#[derive(Debug)]
pub(crate) enum Opened {
    /// Init went on to its program.
    Through,
    /// Init said why it cannot.
    Failed(String),
    /// Init ended before it came to its program.
    Died,
    /// Nobody waits there.
    Nobody,
}

/// Whether init waits at the gate.
pub(crate) fn has_waiting(entry: &Entry) -> Result<bool, NativeError> {
    open_for_writing(entry).map(|fd| fd.is_some())
}

/// A fifo that nobody reads cannot be opened for writing without waiting (fifo(7), ENXIO).
fn open_for_writing(entry: &Entry) -> Result<Option<OwnedFd>, NativeError> {
    let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    match rustix::fs::open(fifo(entry), flags, Mode::empty()) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::NXIO | Errno::NOENT) => Ok(None),
        Err(error) => Err(step(format!("open {}", fifo(entry).display()))(error)),
    }
}

/// Lets init go on, and waits until it has: until it has let go of the fifo, by execve(2) or by
/// its end.
pub(crate) fn open(entry: &Entry) -> Result<Opened, NativeError> {
    let Some(fd) = open_for_writing(entry)? else { return Ok(Opened::Nobody) };
    match rustix::io::write(&fd, b"0") {
        Err(Errno::PIPE) => return Ok(Opened::Nobody),
        result => result.map_err(step("open the gate"))?,
    };
    Step::StartOpened.reached();
    let mut polled = [PollFd::new(&fd, PollFlags::empty())];
    loop {
        match poll(&mut polled, None) {
            Err(Errno::INTR) => {}
            Err(error) => return Err(step("wait for the container's program")(error)),
            Ok(_) => break,
        }
    }
    let mut bytes = Vec::new();
    File::open(said(entry))
        .and_then(|file| file.take(SAID_MAX).read_to_end(&mut bytes))
        .map_err(step("read what init said"))?;
    Step::StartThrough.reached();
    Ok(match String::from_utf8_lossy(&bytes).as_ref() {
        "" => Opened::Died,
        EXECUTES => Opened::Through,
        text => Opened::Failed(text.trim_start().to_owned()),
    })
}
