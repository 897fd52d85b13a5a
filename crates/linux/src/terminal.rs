//! A terminal made inside a container: the program gets the slave, the caller the master.

use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

use rustix::fs::{OFlags, fstatfs};
use rustix::io::Errno;

use crate::beneath::Root;
use crate::pty::{self, Winsize};

/// `DEVPTS_SUPER_MAGIC` (linux/magic.h).
const DEVPTS_MAGIC: u64 = 0x1cd1;

/// The order to make one.
#[derive(Debug)]
pub struct Terminal {
    /// A connected unix socket that takes the master (SCM_RIGHTS), as `--console-socket` names it.
    pub console: OwnedFd,
    /// Rows and columns.
    pub size: Option<(u16, u16)>,
}

/// Why there is no terminal.
#[derive(Debug, thiserror::Error)]
pub enum TerminalError {
    /// `/dev/pts` of the container is something else, or missing.
    #[error("the container has no devpts at /dev/pts: {0}")]
    NoDevpts(std::io::Error),
    /// The slave could not become the standard streams.
    #[error("cannot make the terminal the standard streams: {0}")]
    Streams(std::io::Error),
    /// The terminal itself.
    #[error("{}", crate::chain(.0))]
    Pty(#[from] pty::Error),
}

impl Terminal {
    /// Makes a terminal of the devpts that is mounted below `root` and hands the master over.
    /// Gives the slave.
    pub fn make(&self, root: &Root) -> Result<OwnedFd, TerminalError> {
        let devpts = root
            .open_existing(Path::new("/dev/pts"), OFlags::RDONLY | OFlags::DIRECTORY)
            .map_err(TerminalError::NoDevpts)?;
        let kind = fstatfs(&devpts).map_err(|errno| TerminalError::NoDevpts(errno.into()))?.f_type;
        if u64::try_from(kind).ok() != Some(DEVPTS_MAGIC) {
            // A directory of the image would give a file that only looks like a terminal.
            return Err(TerminalError::NoDevpts(Errno::NODEV.into()));
        }
        let pair = pty::open(devpts.as_fd())?;
        if let Some((rows, columns)) = self.size {
            let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
            pty::set_size(&pair.master, size)?;
        }
        pty::send_fd_over(self.console.as_fd(), pair.master.as_fd(), "/dev/ptmx")?;
        Ok(pair.peer)
    }
}

/// Makes `slave` this process's controlling terminal and its three standard streams, owned by
/// `uid`. The process must lead its session.
pub fn adopt(slave: &OwnedFd, uid: u32) -> Result<(), TerminalError> {
    pty::make_controlling(slave)?;
    let streams = || -> rustix::io::Result<()> {
        rustix::fs::fchown(slave, Some(rustix::fs::Uid::from_raw(uid)), None)?;
        rustix::stdio::dup2_stdin(slave)?;
        rustix::stdio::dup2_stdout(slave)?;
        rustix::stdio::dup2_stderr(slave)
    };
    streams().map_err(|errno| TerminalError::Streams(errno.into()))
}
