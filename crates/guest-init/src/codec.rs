//! Numbers, texts and lists as bytes: little endian, every length in front and bounded. There is no
//! way to write what cannot be read, and none to read more than was sent.

/// The most bytes of one text or list. An argument of execve(2) may have 128 KiB, all of them
/// together a quarter of the stack limit, usually 2 MiB.
pub const LONGEST: usize = 4 << 20;

/// The most entries of one list.
pub const MOST: usize = 1 << 16;

/// Bytes that are not what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Fewer bytes than announced.
    #[error("it ends too early")]
    Short,
    /// More bytes than announced.
    #[error("{0} bytes are left over")]
    Long(usize),
    /// A length or count beyond its bound.
    #[error("{what} of {found} is more than {most}")]
    TooMuch {
        /// A length or a count.
        what: &'static str,
        /// As announced.
        found: usize,
        /// The bound.
        most: usize,
    },
    /// A text that is no UTF-8.
    #[error("a text is not UTF-8")]
    NotText,
    /// A number that stands for nothing.
    #[error("unknown {what} {found}")]
    Unknown {
        /// What it should have been.
        what: &'static str,
        /// The number.
        found: u64,
    },
}

/// Collects bytes.
#[derive(Debug, Default)]
pub struct Writer(Vec<u8>);

impl Writer {
    /// What was collected.
    #[must_use]
    pub fn into_bytes(self) -> Vec<u8> {
        self.0
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) {
        self.0.push(value);
    }

    /// Four bytes.
    pub fn u32(&mut self, value: u32) {
        self.0.extend(value.to_le_bytes());
    }

    /// Eight bytes.
    pub fn u64(&mut self, value: u64) {
        self.0.extend(value.to_le_bytes());
    }

    /// A length and so many bytes. What is longer than the reader takes is announced so, too, and
    /// refused there.
    pub fn bytes(&mut self, value: &[u8]) {
        self.u32(u32::try_from(value.len()).unwrap_or(u32::MAX));
        self.0.extend(value);
    }

    /// A text.
    pub fn text(&mut self, value: &str) {
        self.bytes(value.as_bytes());
    }

    /// One byte, and the value where there is one.
    pub fn option<T>(&mut self, value: Option<T>, write: impl FnOnce(&mut Self, T)) {
        self.u8(u8::from(value.is_some()));
        if let Some(value) = value {
            write(self, value);
        }
    }

    /// A count and so many entries.
    pub fn list<T>(&mut self, values: &[T], mut write: impl FnMut(&mut Self, &T)) {
        self.u32(u32::try_from(values.len()).unwrap_or(u32::MAX));
        for value in values {
            write(self, value);
        }
    }
}

/// Takes bytes apart.
#[derive(Debug)]
pub struct Reader<'b>(&'b [u8]);

impl<'b> Reader<'b> {
    /// Of these bytes.
    #[must_use]
    pub fn new(bytes: &'b [u8]) -> Self {
        Self(bytes)
    }

    /// Nothing may be left.
    ///
    /// # Errors
    /// [`Malformed::Long`].
    pub fn end(self) -> Result<(), Malformed> {
        if self.0.is_empty() { Ok(()) } else { Err(Malformed::Long(self.0.len())) }
    }

    fn take<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (first, rest) = self.0.split_first_chunk::<N>().ok_or(Malformed::Short)?;
        self.0 = rest;
        Ok(*first)
    }

    /// One byte.
    ///
    /// # Errors
    /// [`Malformed`], as of all that follow.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(u8::from_le_bytes(self.take()?))
    }

    /// Zero or one.
    pub fn bool(&mut self) -> Result<bool, Malformed> {
        match self.u8()? {
            0 => Ok(false),
            1 => Ok(true),
            other => Err(Malformed::Unknown { what: "answer", found: other.into() }),
        }
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.take()?))
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.take()?))
    }

    fn count(&mut self, what: &'static str, most: usize) -> Result<usize, Malformed> {
        let found = usize::try_from(self.u32()?).unwrap_or(usize::MAX);
        if found > most { Err(Malformed::TooMuch { what, found, most }) } else { Ok(found) }
    }

    /// A length and so many bytes.
    pub fn bytes(&mut self) -> Result<&'b [u8], Malformed> {
        let length = self.count("a length", LONGEST)?;
        let (first, rest) = self.0.split_at_checked(length).ok_or(Malformed::Short)?;
        self.0 = rest;
        Ok(first)
    }

    /// A text.
    pub fn text(&mut self) -> Result<String, Malformed> {
        let text = std::str::from_utf8(self.bytes()?).map_err(|_| Malformed::NotText)?;
        Ok(text.to_owned())
    }

    /// A value, or that there is none.
    pub fn option<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Option<T>, Malformed> {
        if self.bool()? { read(self).map(Some) } else { Ok(None) }
    }

    /// A count and so many entries. Nothing is allocated for entries that did not come.
    pub fn list<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, Malformed>,
    ) -> Result<Vec<T>, Malformed> {
        let count = self.count("a count", MOST)?;
        let mut values = Vec::new();
        for _ in 0..count {
            values.push(read(self)?);
        }
        Ok(values)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let mut writer = Writer::default();
        writer.u8(7);
        writer.u64(u64::MAX);
        writer.text("ü\n");
        writer.option(Some(3), Writer::u32);
        writer.option(None, Writer::u32);
        writer.list(&["a", ""], |writer, text| writer.text(text));
        let bytes = writer.into_bytes();
        let mut reader = Reader::new(&bytes);
        assert_eq!(reader.u8(), Ok(7));
        assert_eq!(reader.u64(), Ok(u64::MAX));
        assert_eq!(reader.text().as_deref(), Ok("ü\n"));
        assert_eq!(reader.option(Reader::u32), Ok(Some(3)));
        assert_eq!(reader.option(Reader::u32), Ok(None));
        assert_eq!(reader.list(Reader::text), Ok(vec!["a".to_owned(), String::new()]));
        assert_eq!(reader.end(), Ok(()));
    }

    #[test]
    fn lies_about_lengths_are_refused_before_anything_is_allocated() {
        let announced = |length: u32| length.to_le_bytes();
        assert_eq!(Reader::new(&announced(9)).bytes(), Err(Malformed::Short));
        assert!(matches!(
            Reader::new(&announced(u32::MAX)).bytes(),
            Err(Malformed::TooMuch { what: "a length", .. })
        ));
        assert!(matches!(
            Reader::new(&announced(1 << 20)).list(Reader::u8),
            Err(Malformed::TooMuch { what: "a count", .. })
        ));
        assert_eq!(Reader::new(&announced(1 << 16)).list(Reader::u64), Err(Malformed::Short));
        assert_eq!(Reader::new(&[1, 0, 0, 0, 0xff]).text(), Err(Malformed::NotText));
        assert!(matches!(Reader::new(&[2]).bool(), Err(Malformed::Unknown { found: 2, .. })));
        assert_eq!(Reader::new(&[0; 3]).u32(), Err(Malformed::Short));
        assert_eq!(Reader::new(&[0; 3]).end(), Err(Malformed::Long(3)));
    }
}
