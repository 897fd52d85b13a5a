//! What the runtime, the monitor, PID 1 and the stand-in say to each other.

use lxcri_linux::process::Ended;

use crate::codec::{Malformed, Reader, Writer};
use crate::task::Task;

/// The longest reason that is told, in bytes; longer ones are cut.
const REASON_MAX: usize = 8 << 10;

/// One message. What descriptors come with it is said with each.
#[derive(Debug)]
pub enum Message {
    /// The runtime to the monitor: begin. Descriptors: the line for PID 1, and PID 1's program.
    Begin,
    /// PID 1 to the runtime: it is there. Descriptor: itself (a pidfd).
    Ready,
    /// The runtime to PID 1: what to run. Descriptors: see [`crate::maker::Handed`].
    Task(Box<Task>),
    /// PID 1 to the runtime: the user's process exists, and waits to be dressed. Descriptor: that (a
    /// pidfd).
    Born,
    /// The runtime to PID 1: the user's process may go on, up to its program.
    Dressed,
    /// PID 1 to the runtime: the user's process is what it shall be, and waits for `start`.
    Created,
    /// The runtime to PID 1, on a connection of its own: let the user's process run.
    Start,
    /// The answer to [`Self::Start`]: its program was executed.
    Started,
    /// Instead of any other answer: it failed, and why.
    Failed(String),
    /// PID 1 to the stand-in and to the monitor: the user's process has ended, so.
    Ended(Ended),
    /// To PID 1: send the user's process this signal (its number).
    Signal(i32),
}

impl Message {
    /// The kind's number and the bytes that follow it.
    #[must_use]
    pub fn encode(&self) -> (u8, Vec<u8>) {
        let mut writer = Writer::default();
        let kind = match self {
            Self::Begin => 1,
            Self::Ready => 2,
            Self::Task(task) => return Self::encode_task(task),
            Self::Created => 4,
            Self::Born => 10,
            Self::Dressed => 11,
            Self::Start => 5,
            Self::Started => 6,
            Self::Failed(reason) => {
                writer.text(&reason[..reason.floor_char_boundary(REASON_MAX)]);
                7
            }
            Self::Ended(ended) => {
                let (how, number) = match ended {
                    Ended::Exited(code) => (0, code),
                    Ended::Killed(signal) => (1, signal),
                };
                writer.u8(how);
                writer.u32(number.cast_unsigned());
                8
            }
            Self::Signal(number) => {
                writer.u32(number.cast_unsigned());
                9
            }
        };
        (kind, writer.into_bytes())
    }

    /// [`Self::Task`] of a task that stays the caller's.
    #[must_use]
    pub fn encode_task(task: &Task) -> (u8, Vec<u8>) {
        let mut writer = Writer::default();
        task.encode(&mut writer);
        (3, writer.into_bytes())
    }

    /// Reads one back.
    ///
    /// # Errors
    /// [`Malformed`]; also for a signal or an exit code that no process can have.
    pub fn decode(kind: u8, bytes: &[u8]) -> Result<Self, Malformed> {
        let mut reader = Reader::new(bytes);
        let message = match kind {
            1 => Self::Begin,
            2 => Self::Ready,
            3 => Self::Task(Box::new(Task::decode(&mut reader)?)),
            4 => Self::Created,
            10 => Self::Born,
            11 => Self::Dressed,
            5 => Self::Start,
            6 => Self::Started,
            7 => Self::Failed(reason(&mut reader)?),
            8 => match (reader.u8()?, reader.u32()?) {
                (0, code @ 0..=255) => Self::Ended(Ended::Exited(code.cast_signed())),
                (1, number) => Self::Ended(Ended::Killed(signal(number)?)),
                (how, _) => return Err(unknown("end", u32::from(how))),
            },
            9 => Self::Signal(signal(reader.u32()?)?),
            other => return Err(unknown("message", u32::from(other))),
        };
        reader.end()?;
        Ok(message)
    }
}

fn unknown(what: &'static str, found: u32) -> Malformed {
    Malformed::Unknown { what, found: found.into() }
}

fn signal(number: u32) -> Result<i32, Malformed> {
    match number {
        1..=64 => Ok(number.cast_signed()),
        other => Err(unknown("signal", other)),
    }
}

/// One line, without what could move a cursor: it comes from inside of a container.
fn reason(reader: &mut Reader<'_>) -> Result<String, Malformed> {
    let text = reader.bytes()?;
    let text = String::from_utf8_lossy(&text[..text.len().min(REASON_MAX)]);
    Ok(text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn through(message: &Message) -> Message {
        let (kind, bytes) = message.encode();
        Message::decode(kind, &bytes).unwrap()
    }

    #[test]
    fn every_message_is_read_as_it_was_written() {
        use Message::{Begin, Born, Created, Dressed, Failed, Ready, Signal, Start, Started};
        let ends = [Ended::Exited(0), Ended::Exited(255), Ended::Killed(9), Ended::Killed(64)];
        let failed = Failed("no\n\x1b[2J".into());
        let all = [Begin, Ready, Born, Dressed, Created, Start, Started, failed, Signal(15)];
        for message in all.into_iter().chain(ends.map(Message::Ended)) {
            let again = format!("{:?}", through(&message));
            assert_eq!(again, format!("{message:?}").replace("\\n\\u{1b}", "  "), "{message:?}");
        }
    }

    #[test]
    fn long_reasons_are_cut_at_a_letter() {
        let Message::Failed(text) = through(&Message::Failed("ü".repeat(10_000))) else {
            panic!()
        };
        assert_eq!(text.len(), REASON_MAX);
    }

    #[test]
    fn nonsense_is_refused() {
        let table: [(u8, &[u8]); 9] = [
            (0, b""),
            (12, b""),
            (1, b"x"),
            (8, b"\0\0\x01\0\0"),
            (8, b"\x01\0\0\0\0"),
            (8, b"\x01\x41\0\0\0"),
            (8, b"\x02\x01\0\0\0"),
            (9, b"\0\0\0\0"),
            (9, b"\x09\0\0"),
        ];
        for (kind, bytes) in table {
            assert!(Message::decode(kind, bytes).is_err(), "{kind} {bytes:?}");
        }
    }
}
