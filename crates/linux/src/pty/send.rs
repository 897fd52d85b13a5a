//! Handing a descriptor to another process: SCM_RIGHTS over a unix socket (unix(7)).
//!
//! The console socket of the OCI runtimes works so: one message, whose bytes are the name of the
//! terminal and whose one descriptor is the master.

use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::fs::{Mode, OFlags, open};
use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};

use super::Error;

/// Longest name that is received.
const LONGEST_NAME: usize = 4096;
/// Descriptors that are received: one, and room to see that there were more.
const DESCRIPTORS: usize = 4;
/// Bytes of a socket's path that fit into its address, without the final NUL.
const LONGEST_ADDRESS: usize = 107;

/// Sends `fd` with `name` over a connected unix stream socket.
///
/// # Errors
/// [`Error::Send`]; EINVAL for an empty name, because a descriptor needs a byte to travel with.
pub fn send_fd_over(socket: BorrowedFd<'_>, fd: BorrowedFd<'_>, name: &str) -> Result<(), Error> {
    let error = |errno: Errno| Error::Send { name: name.into(), source: errno.into() };
    if name.is_empty() || name.len() > LONGEST_NAME {
        return Err(error(Errno::INVAL));
    }
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let fds = [fd];
    if !control.push(SendAncillaryMessage::ScmRights(&fds)) {
        return Err(error(Errno::NOBUFS));
    }
    let bytes = [IoSlice::new(name.as_bytes())];
    let sent = loop {
        match sendmsg(socket, &bytes, &mut control, SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            other => break other.map_err(error)?,
        }
    };
    if sent == name.len() { Ok(()) } else { Err(error(Errno::MSGSIZE)) }
}

/// Receives one descriptor (close-on-exec) and the bytes that came with it, lossily as text.
///
/// # Errors
/// [`Error::Receive`]; [`Error::Unexpected`] for anything but exactly one descriptor, after which
/// none is left open.
pub fn receive_fd(socket: BorrowedFd<'_>) -> Result<(OwnedFd, String), Error> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut name = vec![0; LONGEST_NAME];
    let received = loop {
        let mut bytes = [IoSliceMut::new(&mut name)];
        match recvmsg(socket, &mut bytes, &mut control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            other => break other.map_err(|errno| Error::Receive(errno.into()))?,
        }
    };
    // Collected first, so that all of them are closed whatever is wrong.
    let mut fds: Vec<OwnedFd> = control
        .drain()
        .filter_map(|message| match message {
            RecvAncillaryMessage::ScmRights(fds) => Some(fds),
            _ => None,
        })
        .flatten()
        .collect();
    if received.bytes == 0 {
        return Err(Error::Unexpected("the end of the stream in place of a descriptor"));
    }
    if received.flags.contains(ReturnFlags::CTRUNC) || fds.len() > 1 {
        return Err(Error::Unexpected("more than one descriptor"));
    }
    let fd = fds.pop().ok_or(Error::Unexpected("a message without a descriptor"))?;
    Ok((fd, String::from_utf8_lossy(&name[..received.bytes]).into_owned()))
}

/// Connects, also where the path is longer than an address can be: then by way of its directory.
pub fn connect(path: &Path) -> std::io::Result<UnixStream> {
    let (Some(dir), Some(name)) = (path.parent(), path.file_name()) else {
        return UnixStream::connect(path);
    };
    if path.as_os_str().as_bytes().len() <= LONGEST_ADDRESS {
        return UnixStream::connect(path);
    }
    let dir = open(dir, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
    UnixStream::connect(Path::new(&format!("/proc/self/fd/{}", dir.as_raw_fd())).join(name))
}
