//! A line between two processes: a unix stream socket (so that what does not pass descriptors, a
//! serial line into a virtual machine, can carry the same frames one day).
//!
//! A frame is eight bytes (kind, three zeros, length of the body, little endian) and the body. Its
//! descriptors travel with the first of the eight.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg,
};

use crate::codec::{LONGEST, Malformed};
use crate::message::Message;

/// Bytes before the body.
const HEADER: usize = 8;

/// The most bytes of a body.
const BODY_MAX: usize = LONGEST;

/// The most descriptors of one frame.
pub const DESCRIPTORS_MAX: usize = 8;

/// One end.
#[derive(Debug)]
pub struct Line(OwnedFd);

/// Why nothing can be understood any more. The line is of no use then.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// The kernel's reason.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The other side broke off in the middle of a frame, or (on a line that does not wait) did not
    /// send it in one piece.
    #[error("half a message came")]
    Half,
    /// It said what no message is.
    #[error("a message that makes no sense came: {0}")]
    Malformed(#[from] Malformed),
    /// More descriptors than a message has, or not as many.
    #[error("a message came with the wrong number of descriptors")]
    Descriptors,
    /// Another message than this.
    #[error("{0} was expected")]
    Unexpected(&'static str),
    /// The other side is gone.
    #[error("the other side is gone")]
    Gone,
    /// It said itself that it failed.
    #[error("{0}")]
    Failed(String),
}

impl From<Errno> for LineError {
    fn from(errno: Errno) -> Self {
        Self::Io(errno.into())
    }
}

/// A message with its descriptors, close-on-exec.
#[derive(Debug)]
pub struct Frame {
    /// What was said.
    pub message: Message,
    /// What came with it.
    pub descriptors: Vec<OwnedFd>,
}

impl Line {
    /// Both ends, close-on-exec.
    ///
    /// # Errors
    /// The kernel's.
    pub fn pair() -> io::Result<(Self, Self)> {
        let flags = SocketFlags::CLOEXEC;
        let (ours, theirs) =
            rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        Ok((Self(ours), Self(theirs)))
    }

    /// Takes over a connected socket.
    #[must_use]
    pub fn from_socket(socket: OwnedFd) -> Self {
        Self(socket)
    }

    /// From now on [`Self::receive`] does not wait: who sends half a frame is not listened to any
    /// more. For lines that one process has to watch together.
    ///
    /// # Errors
    /// The kernel's.
    pub fn do_not_wait(&self) -> io::Result<()> {
        Ok(rustix::io::ioctl_fionbio(&self.0, true)?)
    }

    /// Sends one message.
    ///
    /// # Errors
    /// EPIPE where nobody listens.
    pub fn send(&self, message: &Message, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        self.send_encoded(message.encode(), descriptors)
    }

    /// Sends one message that is encoded already.
    ///
    /// # Errors
    /// As [`Self::send`].
    pub fn send_encoded(
        &self,
        (kind, body): (u8, Vec<u8>),
        descriptors: &[BorrowedFd<'_>],
    ) -> io::Result<()> {
        let length = u32::try_from(body.len()).map_err(io::Error::other)?;
        let mut bytes = vec![kind, 0, 0, 0];
        bytes.extend(length.to_le_bytes());
        bytes.extend(body);
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        if descriptors.len() > DESCRIPTORS_MAX {
            return Err(Errno::INVAL.into());
        }
        if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(descriptors)) {
            return Err(Errno::NOBUFS.into());
        }
        let mut sent = 0;
        while sent < bytes.len() {
            let rest = [IoSlice::new(&bytes[sent..])];
            match sendmsg(&self.0, &rest, &mut control, SendFlags::NOSIGNAL) {
                Err(Errno::INTR) => continue,
                result => sent += result?,
            }
            control.clear();
        }
        Ok(())
    }

    /// The next message; `None` when the other side has ended in order.
    ///
    /// # Errors
    /// [`LineError`]; on a line that does not wait [`Errno::AGAIN`] where nothing has come.
    pub fn receive(&self) -> Result<Option<Frame>, LineError> {
        let mut header = [0; HEADER];
        let mut descriptors = Vec::new();
        let mut length = 0;
        while length < HEADER {
            let fresh = length == 0;
            match self.read(&mut header[length..], &mut descriptors) {
                Ok(0) if fresh => return Ok(None),
                Ok(0) => return Err(LineError::Half),
                Err(LineError::Io(error)) if !fresh && would_wait(&error) => {
                    return Err(LineError::Half);
                }
                result => length += result?,
            }
        }
        let [kind, 0, 0, 0, a, b, c, d] = header else {
            return Err(Malformed::Unknown { what: "frame", found: header[0].into() }.into());
        };
        let found = usize::try_from(u32::from_le_bytes([a, b, c, d])).unwrap_or(usize::MAX);
        if found > BODY_MAX {
            return Err(Malformed::TooMuch { what: "a message", found, most: BODY_MAX }.into());
        }
        let body = self.body(found)?;
        Ok(Some(Frame { message: Message::decode(kind, &body)?, descriptors }))
    }

    /// Grows with what really comes.
    fn body(&self, length: usize) -> Result<Vec<u8>, LineError> {
        const PIECE: usize = 64 << 10;
        let mut body = Vec::new();
        while body.len() < length {
            let start = body.len();
            body.resize(length.min(start + PIECE), 0);
            match self.read(&mut body[start..], &mut Vec::new()) {
                Ok(0) => return Err(LineError::Half),
                Ok(count) => body.truncate(start + count),
                Err(LineError::Io(error)) if would_wait(&error) => return Err(LineError::Half),
                Err(error) => return Err(error),
            }
        }
        Ok(body)
    }

    /// One recvmsg(2).
    fn read(&self, bytes: &mut [u8], descriptors: &mut Vec<OwnedFd>) -> Result<usize, LineError> {
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(DESCRIPTORS_MAX))];
        let mut control = RecvAncillaryBuffer::new(&mut space);
        let received = loop {
            let mut slices = [IoSliceMut::new(bytes)];
            match recvmsg(&self.0, &mut slices, &mut control, RecvFlags::CMSG_CLOEXEC) {
                Err(Errno::INTR) => {}
                // The other side was killed while something of ours waited there unread.
                Err(Errno::CONNRESET) => return Ok(0),
                result => break result?,
            }
        };
        for message in control.drain() {
            if let RecvAncillaryMessage::ScmRights(fds) = message {
                descriptors.extend(fds);
            }
        }
        if received.flags.contains(ReturnFlags::CTRUNC) || descriptors.len() > DESCRIPTORS_MAX {
            return Err(LineError::Descriptors);
        }
        Ok(received.bytes)
    }
}

fn would_wait(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
}

impl AsFd for Line {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Exactly so many descriptors.
///
/// # Errors
/// [`LineError::Descriptors`].
pub fn exactly<const N: usize>(descriptors: Vec<OwnedFd>) -> Result<[OwnedFd; N], LineError> {
    descriptors.try_into().map_err(|_| LineError::Descriptors)
}

/// Takes an answer apart: what a side that waits for one message makes of anything else.
///
/// # Errors
/// [`LineError::Gone`], [`LineError::Failed`].
pub fn answer(frame: Option<Frame>) -> Result<Frame, LineError> {
    match frame {
        None => Err(LineError::Gone),
        Some(Frame { message: Message::Failed(reason), .. }) => Err(LineError::Failed(reason)),
        Some(frame) => Ok(frame),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn raw(line: &Line, bytes: &[u8]) {
        rustix::io::write(line, bytes).unwrap();
    }

    #[test]
    fn frames_and_their_descriptors_arrive_in_order() {
        let (ours, theirs) = Line::pair().unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        ours.send(&Message::Ready, &[null.as_fd(), null.as_fd()]).unwrap();
        ours.send(&Message::Signal(15), &[]).unwrap();
        let task = crate::task::tests::full();
        let text = format!("{task:?}");
        ours.send(&Message::Task(Box::new(task)), &[null.as_fd()]).unwrap();
        drop(ours);
        let first = theirs.receive().unwrap().unwrap();
        assert!(matches!(first.message, Message::Ready));
        let [one, _two] = exactly(first.descriptors).unwrap();
        let flags = rustix::io::fcntl_getfd(&one).unwrap();
        assert!(flags.contains(rustix::io::FdFlags::CLOEXEC));
        let second = theirs.receive().unwrap().unwrap();
        assert!(matches!(second.message, Message::Signal(15)) && second.descriptors.is_empty());
        let third = theirs.receive().unwrap().unwrap();
        let Message::Task(task) = &third.message else { panic!("{third:?}") };
        assert_eq!(format!("{task:?}"), text);
        assert!(exactly::<2>(third.descriptors).is_err());
        assert!(theirs.receive().unwrap().is_none());
    }

    #[test]
    fn a_large_task_goes_through_a_small_socket() {
        let (ours, theirs) = Line::pair().unwrap();
        let mut task = crate::task::tests::full();
        task.payload.env = (0..1000).map(|n| format!("N{n}={}", "x".repeat(2000))).collect();
        let sender = std::thread::spawn(move || {
            ours.send(&Message::Task(Box::new(task)), &[]).unwrap();
        });
        let frame = theirs.receive().unwrap().unwrap();
        sender.join().unwrap();
        let Message::Task(task) = frame.message else { panic!() };
        assert_eq!(task.payload.env.len(), 1000);
    }

    #[test]
    fn halves_lies_and_floods_end_the_conversation() {
        let table: [&[u8]; 5] = [
            b"\x05\0\0",
            b"\x07\0\0\0\xff\0\0\0half",
            b"\x05\x01\0\0\0\0\0\0",
            b"\x63\0\0\0\0\0\0\0",
            b"\x03\0\0\0\xff\xff\xff\xff",
        ];
        for bytes in table {
            let (ours, theirs) = Line::pair().unwrap();
            raw(&ours, bytes);
            drop(ours);
            assert!(theirs.receive().is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn a_line_that_does_not_wait_is_not_held_up_by_half_a_frame() {
        let (ours, theirs) = Line::pair().unwrap();
        theirs.do_not_wait().unwrap();
        let Err(LineError::Io(error)) = theirs.receive() else { panic!() };
        assert!(would_wait(&error), "nothing came yet");
        raw(&ours, b"\x05\0");
        assert!(matches!(theirs.receive(), Err(LineError::Half)));
        raw(&ours, b"\x07\0\0\0\x05\0\0\0");
        assert!(theirs.receive().is_err());
    }

    #[test]
    fn more_descriptors_than_a_message_has_are_refused_and_closed() {
        let (ours, theirs) = Line::pair().unwrap();
        let null = std::fs::File::open("/dev/null").unwrap();
        let many = [null.as_fd(); DESCRIPTORS_MAX + 1];
        assert!(ours.send(&Message::Ready, &many).is_err());
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(32))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        let far_too_many = [null.as_fd(); 32];
        assert!(control.push(SendAncillaryMessage::ScmRights(&far_too_many)));
        let bytes = [IoSlice::new(b"\x02\0\0\0\0\0\0\0")];
        sendmsg(&ours, &bytes, &mut control, SendFlags::NOSIGNAL).unwrap();
        assert!(matches!(theirs.receive(), Err(LineError::Descriptors)));
    }

    #[test]
    fn answers() {
        assert!(matches!(answer(None), Err(LineError::Gone)));
        let failed = Frame { message: Message::Failed("no".into()), descriptors: Vec::new() };
        assert_eq!(answer(Some(failed)).unwrap_err().to_string(), "no");
    }
}
