//! D-Bus messages (specification, "Message Format"): calls are written, answers and signals read.
//! What is read comes from another process and is believed in nothing.

use super::value::Writer;

/// The longest message that is read. The specification allows 128 MiB; systemd's are some KiB.
const LONGEST: usize = 16 << 20;
/// The part of a header that tells the length of the rest.
pub(super) const FIXED: usize = 16;

/// Why bytes are no message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(&'static str);

impl Malformed {
    /// An answer that should name a job.
    pub(super) const NO_JOB: Self = Self("an answer without a job");
}

/// A call of a method without answer flags, in little endian.
#[derive(Debug, Clone, Copy)]
pub(super) struct Call<'c> {
    pub(super) destination: &'c str,
    pub(super) path: &'c str,
    pub(super) interface: &'c str,
    pub(super) method: &'c str,
    pub(super) signature: &'c str,
}

impl Call<'_> {
    /// The whole message.
    pub(super) fn write(&self, serial: u32, body: &[u8]) -> Vec<u8> {
        let mut writer = Writer::default();
        // Little endian, method call, no flags, version 1.
        writer.bytes.extend([b'l', 1, 0, 1]);
        writer.u32(u32::try_from(body.len()).unwrap_or(u32::MAX));
        writer.u32(serial);
        let fields = [
            (1, "o", self.path),
            (2, "s", self.interface),
            (3, "s", self.method),
            (6, "s", self.destination),
            (8, "g", self.signature),
        ];
        writer.array(8, |writer| {
            for (code, kind, text) in fields {
                if text.is_empty() {
                    continue;
                }
                writer.align(8);
                writer.bytes.push(code);
                writer.signature(kind);
                if kind == "g" { writer.signature(text) } else { writer.text(text) }
            }
        });
        writer.align(8);
        writer.bytes.extend(body);
        writer.bytes
    }
}

/// What kind of message came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A call of ours: nothing that we answer.
    Call,
    /// The answer to a call.
    Return,
    /// The refusal of a call.
    Error,
    /// News.
    Signal,
    /// A kind of a later specification, to be passed over.
    Unknown,
}

/// A message as far as it is looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its kind.
    pub kind: Kind,
    /// The call that it answers.
    pub reply_to: Option<u32>,
    /// The error's name.
    pub error: Option<String>,
    /// The interface of a signal.
    pub interface: Option<String>,
    /// The signal.
    pub member: Option<String>,
    signature: String,
    body: Vec<u8>,
    is_big: bool,
}

/// One argument of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Argument {
    /// A number, or a truth value.
    Number(u64),
    /// A string, an object's path, or a signature.
    Text(String),
}

/// The length of a whole message, by its first 16 bytes.
///
/// # Errors
/// When they are no header, or the message is too long.
pub fn length(start: &[u8]) -> Result<usize, Malformed> {
    let (_, body, fields) = fixed_part(start)?;
    let header = (FIXED + fields).next_multiple_of(8);
    match header + body {
        length if length <= LONGEST => Ok(length),
        _ => Err(Malformed("a message is longer than 16 MiB")),
    }
}

/// Byte order, length of the body and of the header fields.
fn fixed_part(bytes: &[u8]) -> Result<(bool, usize, usize), Malformed> {
    if bytes.len() < FIXED {
        return Err(Malformed("a header is cut off"));
    }
    let is_big = match bytes[0] {
        b'l' => false,
        b'B' => true,
        _ => return Err(Malformed("an unknown byte order")),
    };
    if bytes[3] != 1 {
        return Err(Malformed("an unknown version of the protocol"));
    }
    let mut reader = Reader { bytes, at: 4, is_big };
    let body = reader.length()?;
    reader.at = 12;
    Ok((is_big, body, reader.length()?))
}

impl Message {
    /// Reads one whole message.
    ///
    /// # Errors
    /// When it is not of the documented form.
    pub fn parse(bytes: &[u8]) -> Result<Self, Malformed> {
        if length(bytes)? != bytes.len() {
            return Err(Malformed("a message is not as long as it says"));
        }
        let (is_big, body, fields) = fixed_part(bytes)?;
        let kind = match bytes[1] {
            0 => return Err(Malformed("a message of no kind")),
            1 => Kind::Call,
            2 => Kind::Return,
            3 => Kind::Error,
            4 => Kind::Signal,
            _ => Kind::Unknown,
        };
        let mut message = Self {
            kind,
            reply_to: None,
            error: None,
            interface: None,
            member: None,
            signature: String::new(),
            body: bytes[bytes.len() - body..].to_vec(),
            is_big,
        };
        let mut reader = Reader { bytes: &bytes[..FIXED + fields], at: FIXED, is_big };
        while reader.at < reader.bytes.len() {
            reader.align(8)?;
            message.take_field(&mut reader)?;
        }
        Ok(message)
    }

    /// One header field: a code and a variant. Unknown codes are passed over.
    fn take_field(&mut self, reader: &mut Reader<'_>) -> Result<(), Malformed> {
        let code = reader.byte()?;
        let signature = reader.signature()?;
        let mut kinds = signature.bytes();
        let (Some(kind), None) = (kinds.next(), kinds.next()) else {
            return Err(Malformed("a header field of a compound type"));
        };
        match (code, reader.argument(kind)?) {
            (2, Argument::Text(text)) => self.interface = Some(text),
            (3, Argument::Text(text)) => self.member = Some(text),
            (4, Argument::Text(text)) => self.error = Some(text),
            (5, Argument::Number(serial)) => self.reply_to = u32::try_from(serial).ok(),
            (8, Argument::Text(text)) => self.signature = text,
            (2 | 3 | 4 | 5 | 8, _) => return Err(Malformed("a header field of the wrong type")),
            _ => {}
        }
        Ok(())
    }

    /// The arguments, where all of them are of basic types.
    ///
    /// # Errors
    /// When one is not, or the body is not what its signature says.
    pub fn arguments(&self) -> Result<Vec<Argument>, Malformed> {
        let mut reader = Reader { bytes: &self.body, at: 0, is_big: self.is_big };
        self.signature.bytes().map(|kind| reader.argument(kind)).collect()
    }
}

/// Reads from the front, aligned from the beginning of `bytes`.
struct Reader<'b> {
    bytes: &'b [u8],
    at: usize,
    is_big: bool,
}

impl<'b> Reader<'b> {
    fn take(&mut self, length: usize) -> Result<&'b [u8], Malformed> {
        let end = self.at.checked_add(length).filter(|end| *end <= self.bytes.len());
        let end = end.ok_or(Malformed("a value is cut off"))?;
        let taken = &self.bytes[self.at..end];
        self.at = end;
        Ok(taken)
    }

    fn align(&mut self, to: usize) -> Result<(), Malformed> {
        let padding = self.take(self.at.next_multiple_of(to) - self.at)?;
        if padding.iter().all(|byte| *byte == 0) {
            return Ok(());
        }
        Err(Malformed("padding is not zero"))
    }

    fn byte(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }

    /// An integer of `width` bytes.
    fn number(&mut self, width: usize) -> Result<u64, Malformed> {
        self.align(width)?;
        let bytes = self.take(width)?;
        let push = |value: u64, byte: &u8| value << 8 | u64::from(*byte);
        Ok(if self.is_big { bytes.iter().fold(0, push) } else { bytes.iter().rev().fold(0, push) })
    }

    fn length(&mut self) -> Result<usize, Malformed> {
        let length = self.number(4)?;
        usize::try_from(length)
            .ok()
            .filter(|length| *length <= LONGEST)
            .ok_or(Malformed("a length of more than 16 MiB"))
    }

    fn text(&mut self, length: usize) -> Result<&'b str, Malformed> {
        let text = self.take(length)?;
        if self.byte()? != 0 || text.contains(&0) {
            return Err(Malformed("a string does not end where it says"));
        }
        std::str::from_utf8(text).map_err(|_| Malformed("a string is not UTF-8"))
    }

    fn signature(&mut self) -> Result<&'b str, Malformed> {
        let length = self.byte()?;
        self.text(usize::from(length))
    }

    fn argument(&mut self, kind: u8) -> Result<Argument, Malformed> {
        let number = match kind {
            b'y' => u64::from(self.byte()?),
            b'n' | b'q' => self.number(2)?,
            b'b' | b'i' | b'u' | b'h' => self.number(4)?,
            b'x' | b't' | b'd' => self.number(8)?,
            b's' | b'o' => {
                let length = self.length()?;
                return Ok(Argument::Text(self.text(length)?.to_owned()));
            }
            b'g' => return Ok(Argument::Text(self.signature()?.to_owned())),
            _ => return Err(Malformed("an argument of a type that is not read here")),
        };
        Ok(Argument::Number(number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A signal as systemd sends it.
    fn job_removed() -> Vec<u8> {
        let mut body = Writer::default();
        body.u32(9);
        for text in ["/org/freedesktop/systemd1/job/9", "a-b.scope", "done"] {
            body.text(text);
        }
        let call = Call {
            destination: "",
            path: "/org/freedesktop/systemd1",
            interface: "org.freedesktop.systemd1.Manager",
            method: "JobRemoved",
            signature: "uoss",
        };
        let mut bytes = call.write(3, &body.bytes);
        bytes[1] = 4;
        bytes
    }

    #[test]
    fn big_endian_is_read() {
        let bytes = [
            b"B\x02\x01\x01".as_slice(),
            &[0, 0, 0, 4, 0, 0, 0, 1, 0, 0, 0, 15],
            &[5, 1, b'u', 0, 0, 0, 0, 7, 8, 1, b'g', 0, 1, b'u', 0, 0],
            &[0, 0, 1, 2],
        ];
        let message = Message::parse(&bytes.concat()).unwrap();
        assert_eq!((message.kind, message.reply_to), (Kind::Return, Some(7)));
        assert_eq!(message.arguments(), Ok(vec![Argument::Number(258)]));
    }

    #[test]
    fn signals_are_read() {
        let bytes = job_removed();
        assert_eq!(length(&bytes[..16]), Ok(bytes.len()));
        let message = Message::parse(&bytes).unwrap();
        assert_eq!(message.kind, Kind::Signal);
        assert_eq!(message.member.as_deref(), Some("JobRemoved"));
        let text = |text: &str| Argument::Text(text.to_owned());
        let path = text("/org/freedesktop/systemd1/job/9");
        let wanted = vec![Argument::Number(9), path, text("a-b.scope"), text("done")];
        assert_eq!(message.arguments(), Ok(wanted));
    }

    #[test]
    fn cut_or_changed_bytes_are_errors_and_nothing_else() {
        let bytes = job_removed();
        for end in 0..bytes.len() {
            assert!(Message::parse(&bytes[..end]).is_err(), "{end}");
        }
        for at in 0..bytes.len() {
            for value in [0, 1, 0x7f, 0x80, 0xff] {
                let mut hostile = bytes.clone();
                hostile[at] = value;
                if let Ok(message) = Message::parse(&hostile) {
                    let _ = message.arguments();
                }
            }
        }
        let mut long = bytes;
        long[4..8].copy_from_slice(&u32::MAX.to_le_bytes());
        assert!(length(&long).is_err(), "a length that would fill the memory");
    }

    #[test]
    fn answers_name_their_call() {
        // A method return: reply serial 7, signature "o".
        let mut writer = Writer::default();
        writer.bytes.extend([b'l', 2, 1, 1]);
        writer.u32(9);
        writer.u32(1);
        writer.array(8, |w| {
            w.bytes.push(5);
            w.signature("u");
            w.u32(7);
            w.align(8);
            w.bytes.push(8);
            w.signature("g");
            w.signature("o");
        });
        writer.align(8);
        writer.bytes.extend([4, 0, 0, 0, b'/', b'j', b'o', b'b', 0]);
        let message = Message::parse(&writer.bytes).unwrap();
        assert_eq!((message.kind, message.reply_to), (Kind::Return, Some(7)));
        assert_eq!(message.arguments(), Ok(vec![Argument::Text("/job".to_owned())]));
    }
}
