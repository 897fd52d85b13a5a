//! The native protocol of systemd's journal: one datagram a message.
//!
//! Source: systemd, "Native Journal Protocol" (systemd.io/JOURNAL_NATIVE_PROTOCOL). Messages that
//! are too large for a datagram could be handed over in a sealed memfd; ours are cut instead, and
//! say so.

use std::io;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::time::Duration;

use log::Level;
use rustix::io::Errno;

/// Where the journal listens.
pub(super) const SOCKET: &str = "/run/systemd/journal/socket";

/// What is left of a message that did not fit: below the smallest send buffer in use.
const CUT: usize = 32 * 1024;

/// A journal that hangs must not hang a container.
const PATIENCE: Duration = Duration::from_secs(1);

/// A connection to the journal.
#[derive(Debug)]
pub(super) struct Journal(UnixDatagram);

impl Journal {
    pub(super) fn connect(socket: &Path) -> io::Result<Self> {
        let datagrams = UnixDatagram::unbound()?;
        datagrams.connect(socket)?;
        datagrams.set_write_timeout(Some(PATIENCE))?;
        Ok(Self(datagrams))
    }

    /// Sends one message; one too large for a datagram is cut.
    pub(super) fn send(&self, level: Level, message: &str) -> io::Result<()> {
        match self.0.send(&datagram(level, message)) {
            Err(error) if is_too_large(&error) => {
                self.0.send(&datagram(level, &shortened(message)))?;
            }
            other => {
                other?;
            }
        }
        Ok(())
    }
}

fn is_too_large(error: &io::Error) -> bool {
    matches!(Errno::from_io_error(error), Some(Errno::MSGSIZE | Errno::NOBUFS))
}

fn shortened(message: &str) -> String {
    let end = message.floor_char_boundary(CUT);
    let head = message.get(..end).unwrap_or_default();
    format!("{head} [cut: the journal does not take all {} bytes at once]", message.len())
}

fn datagram(level: Level, message: &str) -> Vec<u8> {
    // Source of the numbers: syslog(3).
    let priority = match level {
        Level::Error => "3",
        Level::Warn => "4",
        Level::Info => "6",
        Level::Debug | Level::Trace => "7",
    };
    let mut bytes = Vec::with_capacity(message.len() + 80);
    push_field(&mut bytes, "PRIORITY", priority);
    push_field(&mut bytes, "SYSLOG_IDENTIFIER", "proxmox-lxcri");
    push_field(&mut bytes, "MESSAGE", message);
    bytes
}

/// `NAME=value`, or, when the value has line feeds, the name alone on its line, the length as 64
/// bits little endian, and the value: no value can pass itself off as another field.
fn push_field(bytes: &mut Vec<u8>, name: &str, value: &str) {
    bytes.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        bytes.push(b'\n');
        bytes.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        bytes.push(b'=');
    }
    bytes.extend_from_slice(value.as_bytes());
    bytes.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_cannot_be_forged() {
        assert_eq!(
            datagram(Level::Warn, "plain = text"),
            b"PRIORITY=4\nSYSLOG_IDENTIFIER=proxmox-lxcri\nMESSAGE=plain = text\n"
        );
        let hostile = datagram(Level::Error, "a\nPRIORITY=7");
        assert_eq!(
            hostile,
            b"PRIORITY=3\nSYSLOG_IDENTIFIER=proxmox-lxcri\nMESSAGE\n\x0c\0\0\0\0\0\0\0a\nPRIORITY=7\n"
        );
    }

    #[test]
    fn messages_arrive_and_large_ones_are_cut() {
        let home = tempfile::tempdir().unwrap();
        let socket = home.path().join("socket");
        assert!(Journal::connect(&socket).is_err());
        let receiver = UnixDatagram::bind(&socket).unwrap();
        let journal = Journal::connect(&socket).unwrap();
        let mut buffer = vec![0; 1 << 20];
        journal.send(Level::Info, "hello").unwrap();
        let length = receiver.recv(&mut buffer).unwrap();
        assert!(buffer[..length].ends_with(b"MESSAGE=hello\n"));
        let large = "é".repeat(4 << 20);
        journal.send(Level::Info, &large).unwrap();
        let length = receiver.recv(&mut buffer).unwrap();
        let text = std::str::from_utf8(&buffer[..length]).unwrap();
        assert!(text.ends_with("é [cut: the journal does not take all 8388608 bytes at once]\n"));
        assert!(length < CUT + 200);
        drop(receiver);
        assert!(journal.send(Level::Info, "gone").is_err());
    }
}
