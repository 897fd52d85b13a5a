//! The terminal's way out. The receiver is connected already (it takes one connection, no more), so
//! the program gets a socket of ours, and what arrives there goes on to the receiver.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixListener;
use std::path::PathBuf;

use lxcri_core::store::Entry;
use lxcri_linux::pty::{receive_fd, send_fd_over};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};

use crate::error::CrunError;

/// Bytes of a path that fit into the address of a socket, without the final NUL (unix(7)).
const LONGEST_ADDRESS: usize = 107;

/// How long the program's connection may be missing when it has already said that all is done.
const PATIENCE: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };

/// A socket for one terminal. Dropping it removes the file.
#[derive(Debug)]
pub(crate) struct Console {
    receiver: OwnedFd,
    listener: UnixListener,
    file: PathBuf,
    address: PathBuf,
    _directory: Option<OwnedFd>,
}

impl Console {
    /// A socket in the container's directory whose terminal will go to `receiver`.
    pub(crate) fn new(entry: &Entry, receiver: OwnedFd) -> Result<Self, CrunError> {
        let name = format!("console-{}.sock", std::process::id());
        let file = entry.file(&name);
        let (address, directory) = if file.as_os_str().as_bytes().len() <= LONGEST_ADDRESS {
            (file.clone(), None)
        } else {
            let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let directory = rustix::fs::open(entry.path(), flags, Mode::empty())
                .map_err(CrunError::io("open", entry.path()))?;
            let fd = directory.as_raw_fd();
            let short = PathBuf::from(format!("/proc/{}/fd/{fd}/{name}", std::process::id()));
            (short, Some(directory))
        };
        let listener =
            UnixListener::bind(&address).map_err(CrunError::io("make console socket", &file))?;
        Ok(Self { receiver, listener, file, address, _directory: directory })
    }

    /// The path for `--console-socket`.
    pub(crate) fn address(&self) -> &PathBuf {
        &self.address
    }

    /// Passes the terminal on, after the program has ended well.
    pub(crate) fn finish(self) -> Result<(), CrunError> {
        let mut fds = [PollFd::new(&self.listener, PollFlags::IN)];
        let ready = poll(&mut fds, Some(&PATIENCE))
            .map_err(CrunError::io("wait at console socket", &self.file))?;
        if ready == 0 {
            let source = std::io::Error::from(std::io::ErrorKind::TimedOut);
            let (what, path) = ("get a terminal at console socket", self.file.clone());
            return Err(CrunError::Io { what, path, source });
        }
        let (stream, _) = self
            .listener
            .accept()
            .map_err(CrunError::io("accept at console socket", &self.file))?;
        let (master, name) = receive_fd(stream.as_fd())?;
        Ok(send_fd_over(self.receiver.as_fd(), master.as_fd(), &name)?)
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        // Where it stays, it goes with the container's directory.
        let _ = std::fs::remove_file(&self.file);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use lxcri_core::store::Store;

    use super::*;

    #[test]
    fn what_arrives_is_passed_on() {
        for length in [4, 200] {
            let dir = tempfile::tempdir().unwrap();
            let id = "c".repeat(length).parse().unwrap();
            let (entry, _lock) = Store::new(dir.path()).reserve(&id).unwrap();
            let (ours, theirs) = UnixStream::pair().unwrap();
            let console = Console::new(&entry, theirs.into()).unwrap();
            let file = std::fs::File::open("/dev/null").unwrap();
            let program = UnixStream::connect(console.address()).unwrap();
            send_fd_over(program.as_fd(), file.as_fd(), "/dev/pts/7").unwrap();
            drop(program);
            console.finish().unwrap();
            let (fd, name) = receive_fd(ours.as_fd()).unwrap();
            assert_eq!(name, "/dev/pts/7");
            let target = std::fs::read_link(format!("/proc/self/fd/{}", fd.as_raw_fd())).unwrap();
            assert_eq!(target, std::path::Path::new("/dev/null"));
            let left = std::fs::read_dir(entry.path()).unwrap();
            assert!(left.flatten().all(|file| file.file_name() == "lock"));
        }
    }
}
