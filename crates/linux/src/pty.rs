//! Pseudoterminals: the container's, and the terminal of the user who looks at it.
//!
//! Everything goes by descriptor. The names below /dev/pts belong to whoever mounted it, so the
//! other end is asked from the kernel (`TIOCGPTPEER`, Linux 4.13) and never opened by its path.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{Mode, OFlags, openat};
use rustix::process::ioctl_tiocsctty;
use rustix::pty::{OpenptFlags, ioctl_tiocgptpeer, unlockpt};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

pub use rustix::termios::Winsize;

mod send;

pub use send::{connect, receive_fd, send_fd_over};

/// What failed on which terminal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// An operation on a terminal.
    #[error("failed to {action}")]
    Terminal {
        /// What was done.
        action: &'static str,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A descriptor could not be handed over.
    #[error("failed to send the descriptor of {name:?}")]
    Send {
        /// Name that goes with the descriptor.
        name: String,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A descriptor could not be received.
    #[error("failed to receive a descriptor")]
    Receive(#[source] io::Error),
    /// What came is not one descriptor with a name.
    #[error("received {0}")]
    Unexpected(&'static str),
}

fn terminal(action: &'static str) -> impl FnOnce(rustix::io::Errno) -> Error {
    move |errno| Error::Terminal { action, source: errno.into() }
}

/// A new pseudoterminal.
#[derive(Debug)]
pub struct Pty {
    /// The end that a terminal program or conmon reads and writes.
    pub master: OwnedFd,
    /// The end that the container's process has as stdin, stdout and stderr.
    pub peer: OwnedFd,
}

/// Opens a pseudoterminal of the devpts whose root directory is `devpts` (so that it is the
/// container's own and not the host's). Both ends are close-on-exec and nobody's controlling
/// terminal yet. There is no grantpt: devpts gives the owner and mode of its mount options.
///
/// # Errors
/// [`Error::Terminal`]; ENOSPC where the devpts instance has no terminal left.
pub fn open(devpts: BorrowedFd<'_>) -> Result<Pty, Error> {
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let master =
        openat(devpts, "ptmx", flags, Mode::empty()).map_err(terminal("open ptmx of devpts"))?;
    unlockpt(&master).map_err(terminal("unlock the new terminal"))?;
    let flags = OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC;
    let peer =
        ioctl_tiocgptpeer(&master, flags).map_err(terminal("open the new terminal's peer"))?;
    Ok(Pty { master, peer })
}

/// Makes `terminal` the controlling terminal of the calling process, which is the leader of a
/// session without one (call setsid before).
///
/// # Errors
/// [`Error::Terminal`].
pub fn make_controlling(peer: impl AsFd) -> Result<(), Error> {
    ioctl_tiocsctty(peer).map_err(terminal("make it the controlling terminal"))
}

/// Rows and columns of a terminal.
///
/// # Errors
/// [`Error::Terminal`]; ENOTTY for something else than a terminal.
pub fn size(of: impl AsFd) -> Result<Winsize, Error> {
    tcgetwinsize(of).map_err(terminal("read the size of the terminal"))
}

/// Sets rows and columns; the foreground process group gets SIGWINCH when they change.
///
/// # Errors
/// [`Error::Terminal`].
pub fn set_size(of: impl AsFd, size: Winsize) -> Result<(), Error> {
    tcsetwinsize(of, size).map_err(terminal("set the size of the terminal"))
}

/// The user's terminal in raw mode until this is dropped: keys go to the container as they are.
#[derive(Debug)]
pub struct RawMode<'a> {
    terminal: BorrowedFd<'a>,
    before: Termios,
}

impl<'a> RawMode<'a> {
    /// Switches `of` to raw mode and remembers how it was.
    ///
    /// # Errors
    /// [`Error::Terminal`]; ENOTTY for something else than a terminal.
    pub fn enter(of: BorrowedFd<'a>) -> Result<Self, Error> {
        let before = tcgetattr(of).map_err(terminal("read the mode of the terminal"))?;
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(of, OptionalActions::Now, &raw)
            .map_err(terminal("set the terminal to raw mode"))?;
        Ok(Self { terminal: of, before })
    }
}

impl Drop for RawMode<'_> {
    fn drop(&mut self) {
        // Now, because waiting for output to drain could wait for a user who pressed control-s.
        if let Err(errno) = tcsetattr(self.terminal, OptionalActions::Now, &self.before) {
            log::warn!("the terminal could not be restored: {errno}");
        }
    }
}

#[cfg(test)]
mod tests;
