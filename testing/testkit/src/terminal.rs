//! Terminals: the console socket, and the master end of a pseudo-terminal.

use std::fs::File;
use std::io::IoSliceMut;
use std::io::Read;
use std::io::Write;
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;
use std::path::Path;
use std::path::PathBuf;
use std::time::Duration;
use std::time::Instant;

use rustix::event::PollFd;
use rustix::event::PollFlags;
use rustix::net::RecvAncillaryBuffer;
use rustix::net::RecvAncillaryMessage;
use rustix::net::RecvFlags;
use rustix::termios::Winsize;

use crate::process::DEADLINE;
use crate::verdict::Context;
use crate::verdict::Stop;
use crate::verdict::Verdict;

/// A listening `--console-socket`.
#[derive(Debug)]
pub struct ConsoleSocket {
    listener: UnixListener,
    path: PathBuf,
}

impl ConsoleSocket {
    /// Listens at `path` (which has to be shorter than 108 bytes).
    ///
    /// # Errors
    /// A failure naming the path.
    pub fn bind(path: &Path) -> Verdict<Self> {
        let listener = UnixListener::bind(path).context(path.display())?;
        Ok(Self { listener, path: path.to_owned() })
    }

    /// The path, for `--console-socket`.
    #[must_use]
    pub fn path(&self) -> &str {
        self.path.to_str().unwrap_or_default()
    }

    /// Takes the terminal that the runtime sends.
    ///
    /// # Errors
    /// A failure when nothing comes, or something without a descriptor.
    pub fn receive(&self) -> Verdict<Terminal> {
        readable(&self.listener, DEADLINE)?;
        let (stream, _address) = self.listener.accept()?;
        readable(&stream, DEADLINE)?;
        let mut bytes = [0; 4096];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(4))];
        let mut ancillary = RecvAncillaryBuffer::new(&mut space);
        rustix::net::recvmsg(
            &stream,
            &mut [IoSliceMut::new(&mut bytes)],
            &mut ancillary,
            RecvFlags::CMSG_CLOEXEC,
        )?;
        let mut descriptors: Vec<OwnedFd> = Vec::new();
        for message in ancillary.drain() {
            if let RecvAncillaryMessage::ScmRights(received) = message {
                descriptors.extend(received);
            }
        }
        let count = descriptors.len();
        let master = descriptors.pop().context("the console socket got no descriptor")?;
        if count != 1 {
            return Err(Stop::Failed(format!("the console socket got {count} descriptors")));
        }
        Ok(Terminal { master: File::from(master) })
    }
}

/// The master end of a pseudo-terminal.
#[derive(Debug)]
pub struct Terminal {
    master: File,
}

impl Terminal {
    /// A new pair: the master end and the path of the other end.
    ///
    /// # Errors
    /// When the machine gives none.
    pub fn new() -> Verdict<(Self, File)> {
        let flags = rustix::pty::OpenptFlags::RDWR | rustix::pty::OpenptFlags::NOCTTY;
        let master = rustix::pty::openpt(flags)?;
        rustix::pty::grantpt(&master)?;
        rustix::pty::unlockpt(&master)?;
        let name = rustix::pty::ptsname(&master, Vec::new())?;
        let path = name.to_string_lossy().into_owned();
        let slave = rustix::fs::open(
            path.as_str(),
            rustix::fs::OFlags::RDWR | rustix::fs::OFlags::NOCTTY,
            rustix::fs::Mode::empty(),
        )?;
        Ok((Self { master: File::from(master) }, File::from(slave)))
    }

    /// Types `text`.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn send(&mut self, text: &str) -> Verdict {
        Ok(self.master.write_all(text.as_bytes())?)
    }

    /// Sets the size in characters.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn resize(&self, rows: u16, columns: u16) -> Verdict {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(rustix::termios::tcsetwinsize(&self.master, size)?)
    }

    /// Reads until the text shown contains `wanted` and returns all of it.
    ///
    /// # Errors
    /// A failure with the text when the terminal closes or nothing more comes.
    pub fn expect(&mut self, wanted: &str) -> Verdict<String> {
        let start = Instant::now();
        let mut shown = String::new();
        while !shown.contains(wanted) {
            let left = DEADLINE.saturating_sub(start.elapsed());
            if readable(&self.master, left).is_err() {
                return Err(Stop::Failed(format!("no {wanted:?} on the terminal: {shown:?}")));
            }
            let mut bytes = [0; 4096];
            match self.master.read(&mut bytes) {
                Ok(count) if count > 0 => {
                    shown
                        .push_str(&String::from_utf8_lossy(bytes.get(..count).unwrap_or_default()));
                }
                // EIO: the last holder of the other end is gone.
                _ => {
                    return Err(Stop::Failed(format!(
                        "no {wanted:?} on the closed terminal: {shown:?}"
                    )));
                }
            }
        }
        Ok(shown)
    }

    /// Reads until the other end is closed.
    ///
    /// # Errors
    /// A failure with the text so far when it is not closed in time.
    pub fn read_to_end(&mut self) -> Verdict<String> {
        let start = Instant::now();
        let mut shown = String::new();
        loop {
            let left = DEADLINE.saturating_sub(start.elapsed());
            readable(&self.master, left).map_err(|stop| stop.within(format!("{shown:?}")))?;
            let mut bytes = [0; 4096];
            match self.master.read(&mut bytes) {
                Ok(count) if count > 0 => {
                    shown
                        .push_str(&String::from_utf8_lossy(bytes.get(..count).unwrap_or_default()));
                }
                _ => return Ok(shown),
            }
        }
    }
}

/// Waits until a descriptor can be read (or is closed at the other end).
fn readable(fd: &impl std::os::fd::AsFd, timeout: Duration) -> Verdict {
    let timeout = rustix::event::Timespec {
        tv_sec: i64::try_from(timeout.as_secs())?,
        tv_nsec: timeout.subsec_nanos().into(),
    };
    let mut fds = [PollFd::new(fd, PollFlags::IN)];
    match rustix::event::poll(&mut fds, Some(&timeout))? {
        0 => Err(Stop::Failed("nothing to read in time".to_owned())),
        _ => Ok(()),
    }
}
