//! What the process that unpacks and the one that asked for it say to each other: JSON in whole
//! messages over a socket pair, two descriptors with the first.
//!
//! The one that asked takes nothing for granted: the other reads what strangers wrote.

use std::fs::File;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, ReturnFlags,
    SendAncillaryBuffer, SendAncillaryMessage, SendFlags, SocketFlags, SocketType, recvmsg,
    sendmsg, socketpair,
};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::compression::Compression;
use super::error::Problem;
use super::ids::Ids;
use super::limits::Limits;
use super::{Mode, Unpacked};
use crate::digest::Digest;

/// Bytes of the longest message. A path of 4095 bytes takes 16 KiB as numbers.
const LONGEST: usize = 64 << 10;

/// To the process that unpacks: what to do. The blob and the directory come with it.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Order {
    pub(super) digest: Option<Digest>,
    pub(super) compression: Option<Compression>,
    pub(super) diff_id: Digest,
    pub(super) mode: Mode,
    pub(super) ids: Ids,
    pub(super) limits: Limits,
}

/// From the process that unpacks.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) enum Report {
    /// So many bytes of the blob are done.
    Progress(u64),
    /// This directory shall be opaque.
    Opaque(Vec<u8>),
    /// That was all.
    Done(Unpacked),
    /// It did not work.
    Failed(Problem),
}

/// Both ends, close-on-exec.
pub(super) fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    Ok(socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?)
}

pub(super) fn send_order(
    socket: BorrowedFd<'_>,
    order: &Order,
    blob: BorrowedFd<'_>,
    target: BorrowedFd<'_>,
) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let descriptors = [blob, target];
    if !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(Errno::NOBUFS.into());
    }
    send_with(socket, order, &mut control)
}

pub(super) fn send_report(socket: BorrowedFd<'_>, report: &Report) -> io::Result<()> {
    send_with(socket, report, &mut SendAncillaryBuffer::default())
}

fn send_with(
    socket: BorrowedFd<'_>,
    message: &impl Serialize,
    control: &mut SendAncillaryBuffer<'_, '_, '_>,
) -> io::Result<()> {
    let bytes = serde_json::to_vec(message)?;
    if bytes.len() > LONGEST {
        return Err(Errno::MSGSIZE.into());
    }
    loop {
        match sendmsg(socket, &[IoSlice::new(&bytes)], control, SendFlags::NOSIGNAL) {
            Err(Errno::INTR) => {}
            sent => return Ok(sent.map(drop)?),
        }
    }
}

/// The order, the blob and the directory.
pub(super) fn receive_order(socket: BorrowedFd<'_>) -> io::Result<(Order, File, OwnedFd)> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(2))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let bytes = receive(socket, &mut control)?;
    let rights = control.drain().filter_map(|message| match message {
        RecvAncillaryMessage::ScmRights(descriptors) => Some(descriptors),
        _ => None,
    });
    let descriptors: Vec<OwnedFd> = rights.flatten().collect();
    let [blob, target] = <[OwnedFd; 2]>::try_from(descriptors)
        .map_err(|_| io::Error::other("an order without a blob and a directory"))?;
    Ok((parse(&bytes)?, File::from(blob), target))
}

/// The next report; `None` when the other end is closed.
pub(super) fn receive_report(socket: BorrowedFd<'_>) -> io::Result<Option<Report>> {
    let bytes = receive(socket, &mut RecvAncillaryBuffer::default())?;
    if bytes.is_empty() { Ok(None) } else { parse(&bytes).map(Some) }
}

/// One whole message; empty when the other end is closed.
fn receive(socket: BorrowedFd<'_>, control: &mut RecvAncillaryBuffer<'_>) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; LONGEST];
    let received = loop {
        let mut parts = [IoSliceMut::new(&mut bytes)];
        match recvmsg(socket.as_fd(), &mut parts, control, RecvFlags::CMSG_CLOEXEC) {
            Err(Errno::INTR) => {}
            Err(Errno::CONNRESET) => return Ok(Vec::new()),
            received => break received?,
        }
    };
    // Descriptors that nobody asked for are closed by the kernel when there is no room for them.
    if received.flags.contains(ReturnFlags::TRUNC) {
        return Err(io::Error::other("a message that is too long"));
    }
    bytes.truncate(received.bytes);
    Ok(bytes)
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> io::Result<T> {
    Ok(serde_json::from_slice(bytes)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_arrive_whole_and_nonsense_does_not() {
        let (ours, theirs) = pair().unwrap();
        let sent = [
            Report::Progress(7),
            Report::Opaque(vec![0xff; 4095]),
            Report::Failed(Problem::Worker("\u{1b}[31m".into())),
        ];
        for report in &sent {
            send_report(theirs.as_fd(), report).unwrap();
        }
        for report in sent {
            assert_eq!(receive_report(ours.as_fd()).unwrap(), Some(report));
        }
        for nonsense in [&b"{"[..], b"[]", br#"{"Progress":-1}"#, br#"{"Done":{}}"#, b"\xff"] {
            rustix::io::write(&theirs, nonsense).unwrap();
            assert!(receive_report(ours.as_fd()).is_err(), "{nonsense:?}");
        }
        rustix::io::write(&theirs, &vec![b' '; LONGEST + 1]).unwrap();
        assert!(receive_report(ours.as_fd()).is_err());
        drop(theirs);
        assert_eq!(receive_report(ours.as_fd()).unwrap(), None);
    }
}
