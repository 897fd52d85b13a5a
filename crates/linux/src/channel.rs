//! The line between a runtime and the child it is preparing: whole messages over a socket pair that
//! closes by itself when either side dies or executes a program.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use rustix::net::{AddressFamily, SocketFlags, SocketType};

/// Longest text of one message, in bytes; longer ones are cut.
const TEXT_MAX: usize = 8 << 10;

/// One end.
#[derive(Debug)]
pub struct Channel(OwnedFd);

/// What the two say to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Message {
    /// To the child: go on. To the runtime: this step is done.
    Go,
    /// To the runtime: it is its turn (hooks), the child waits.
    YourTurn,
    /// To the runtime: set the limits that are the parent's to set, the child waits.
    Limits,
    /// To the runtime: the child has failed, and why.
    Failed(String),
}

impl Channel {
    /// Both ends, close-on-exec.
    pub fn pair() -> io::Result<(Self, Self)> {
        let (ours, theirs) = rustix::net::socketpair(
            AddressFamily::UNIX,
            SocketType::SEQPACKET,
            SocketFlags::CLOEXEC,
            None,
        )?;
        Ok((Self(ours), Self(theirs)))
    }

    /// Closes the copy of this end that a cloned child has: held there, it would keep the line open
    /// after its owner's death. Only for a child that never returns to what owns the value.
    pub fn close_copy(&self) -> io::Result<()> {
        let fd = u32::try_from(self.0.as_raw_fd()).map_err(io::Error::other)?;
        crate::syscall::close_in_child(fd)
    }

    /// Sends one message, by write(2): a container's system call filter, which may be in force by
    /// now, is more likely to allow that than send(2). Nobody listening is an error, because Rust
    /// programs ignore SIGPIPE.
    pub fn send(&self, message: &Message) -> io::Result<()> {
        let mut bytes = Vec::with_capacity(64);
        match message {
            Message::Go => bytes.push(b'G'),
            Message::YourTurn => bytes.push(b'T'),
            Message::Limits => bytes.push(b'L'),
            Message::Failed(text) => {
                bytes.push(b'F');
                bytes.extend(text.bytes().take(TEXT_MAX));
            }
        }
        rustix::io::write(&self.0, &bytes)?;
        Ok(())
    }

    /// The next message; `None` when the other end is gone.
    pub fn receive(&self) -> io::Result<Option<Message>> {
        let mut buffer = vec![0_u8; TEXT_MAX + 1];
        let length = loop {
            match rustix::io::read(&self.0, buffer.as_mut_slice()) {
                Err(rustix::io::Errno::INTR) => {}
                Err(rustix::io::Errno::CONNRESET) => return Ok(None),
                result => break result?,
            }
        };
        match buffer[..length].split_first() {
            None => Ok(None),
            Some((b'G', _)) => Ok(Some(Message::Go)),
            Some((b'T', _)) => Ok(Some(Message::YourTurn)),
            Some((b'L', _)) => Ok(Some(Message::Limits)),
            Some((b'F', text)) => {
                Ok(Some(Message::Failed(String::from_utf8_lossy(text).into_owned())))
            }
            Some((tag, _)) => Err(io::Error::other(format!("unknown message {tag:#x}"))),
        }
    }
}

impl AsFd for Channel {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_arrive_whole_and_in_order() {
        let (ours, theirs) = Channel::pair().unwrap();
        let sent =
            [Message::Go, Message::Failed("x\ny".into()), Message::YourTurn, Message::Limits];
        for message in &sent {
            theirs.send(message).unwrap();
        }
        theirs.send(&Message::Failed("z".repeat(100_000))).unwrap();
        drop(theirs);
        for message in sent {
            assert_eq!(ours.receive().unwrap(), Some(message));
        }
        let Some(Message::Failed(long)) = ours.receive().unwrap() else { panic!() };
        assert_eq!(long.len(), TEXT_MAX);
        assert_eq!(ours.receive().unwrap(), None);
        assert!(ours.send(&Message::Go).is_err());
    }
}
