//! One block of a tar archive as a header: POSIX ustar and pax, GNU, star, and what was before them.
//! The `tar` crate knows where the fields are; what is in them is judged here.

use super::error::Problem;

/// Bytes of a block.
pub(super) const BLOCK: usize = 512;

/// What a header says, before longer names and other records are put in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Header {
    /// The type flag.
    pub(super) kind: u8,
    pub(super) name: Vec<u8>,
    pub(super) link: Vec<u8>,
    /// Permission bits with setuid, setgid and sticky.
    pub(super) mode: u32,
    pub(super) uid: u64,
    pub(super) gid: u64,
    /// Bytes that follow.
    pub(super) size: u64,
    /// Seconds since 1970.
    pub(super) mtime: i64,
    pub(super) major: u32,
    pub(super) minor: u32,
}

/// Whether the sum that a header carries is that of its bytes. Some old programs summed up signed
/// bytes.
pub(super) fn checksum_fits(block: &[u8; BLOCK]) -> bool {
    const FIELD: std::ops::Range<usize> = 148..156;
    let Ok(wanted) = number(&block[FIELD]) else { return false };
    let counted = |at: usize, byte: u8| if FIELD.contains(&at) { b' ' } else { byte };
    let (mut unsigned, mut signed) = (0_i64, 0_i64);
    for (at, byte) in block.iter().enumerate() {
        let byte = counted(at, *byte);
        unsigned += i64::from(byte);
        signed += i64::from(byte.cast_signed());
    }
    wanted == unsigned || wanted == signed
}

impl Header {
    /// Reads a block; `offset` is its place in the archive.
    pub(super) fn parse(block: &[u8; BLOCK], offset: u64) -> Result<Self, Problem> {
        let damaged = |message: String| Problem::Header { offset, message };
        if !checksum_fits(block) {
            return Err(damaged("its checksum is wrong".into()));
        }
        let header = tar::Header::from_byte_slice(block);
        let old = header.as_old();
        let signed = |name: &str, field: &[u8]| {
            number(field).map_err(|problem| damaged(format!("its {name} {problem}")))
        };
        let unsigned = |name: &str, field: &[u8]| {
            let value = signed(name, field)?;
            u64::try_from(value).map_err(|_| damaged(format!("its {name} is negative")))
        };
        let device = |name: &str, field: &[u8]| {
            let value = unsigned(name, field)?;
            u32::try_from(value).map_err(|_| damaged(format!("its {name} is too large")))
        };
        let kind = old.linkflag[0];
        let (mut major, mut minor) = (0, 0);
        // Other types may have anything in these fields.
        if matches!(kind, b'3' | b'4') {
            let fields = header.as_ustar().map(|ustar| (&ustar.dev_major, &ustar.dev_minor));
            let fields = fields.or(header.as_gnu().map(|gnu| (&gnu.dev_major, &gnu.dev_minor)));
            let (first, second) =
                fields.ok_or_else(|| damaged("it has no device number".to_owned()))?;
            major = device("device number", first)?;
            minor = device("device number", second)?;
        }
        Ok(Self {
            kind,
            name: name(header, block),
            link: until_nul(&old.linkname).to_vec(),
            mode: u32::try_from(signed("mode", &old.mode)? & 0o7777).unwrap_or_default(),
            uid: unsigned("uid", &old.uid)?,
            gid: unsigned("gid", &old.gid)?,
            size: unsigned("size", &old.size)?,
            mtime: signed("time", &old.mtime)?,
            major,
            minor,
        })
    }
}

/// The name with its prefix, which only POSIX headers have, and star's is shorter.
fn name(header: &tar::Header, block: &[u8; BLOCK]) -> Vec<u8> {
    const STAR: (std::ops::Range<usize>, &[u8]) = (508..512, b"tar\0");
    let name = until_nul(&header.as_old().name);
    let Some(ustar) = header.as_ustar() else { return name.to_vec() };
    let prefix = if block[STAR.0] == *STAR.1 { &ustar.prefix[..131] } else { &ustar.prefix[..] };
    match until_nul(prefix) {
        [] => name.to_vec(),
        prefix => [prefix, b"/", name].concat(),
    }
}

pub(super) fn until_nul(field: &[u8]) -> &[u8] {
    field.split(|byte| *byte == 0).next().unwrap_or_default()
}

/// A numeric field: octal digits, or GNU's base 256 (first bit set), which can be negative.
pub(super) fn number(field: &[u8]) -> Result<i64, &'static str> {
    match field {
        [first, rest @ ..] if first & 0x80 != 0 => base_256(*first, rest),
        _ => octal(field),
    }
}

fn base_256(first: u8, rest: &[u8]) -> Result<i64, &'static str> {
    // The second bit is the sign; the value is in two's complement.
    let negative = first & 0x40 != 0;
    let mut value =
        if negative { i128::from(first.cast_signed()) } else { i128::from(first & 0x3f) };
    for byte in rest {
        value = value.checked_mul(256).ok_or("is too large")? + i128::from(*byte);
    }
    i64::try_from(value).map_err(|_| "is too large")
}

fn octal(field: &[u8]) -> Result<i64, &'static str> {
    let is_padding = |byte: &u8| matches!(byte, b' ' | 0);
    let start = field.iter().position(|byte| !is_padding(byte)).unwrap_or(field.len());
    let mut digits = field[start..].iter();
    let mut value = 0_i64;
    for byte in digits.by_ref() {
        match byte {
            b'0'..=b'7' => {
                let digit = i64::from(byte - b'0');
                value = value.checked_mul(8).ok_or("is too large")? + digit;
            }
            b' ' | 0 => break,
            _ => return Err("is no number"),
        }
    }
    // Some programs leave rubbish behind the NUL that ends a number; only digits were read.
    Ok(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_every_spelling() {
        assert_eq!(number(b"0000644\0"), Ok(0o644));
        assert_eq!(number(b"   644 \0"), Ok(0o644));
        assert_eq!(number(b"\0\0\0\0\0\0\0\0"), Ok(0));
        assert_eq!(number(b"77777777777\0"), Ok(0o77777777777));
        assert_eq!(number(b"\x80\0\0\0\0\0\0\x01\0\0\0\0"), Ok(1 << 32));
        assert_eq!(number(b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfe"), Ok(-2));
        assert_eq!(number(b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff"), Ok(i64::MAX));
    }

    #[test]
    fn numbers_that_are_none() {
        for field in [&b"0000648\0"[..], b"-0000001", b"0x10\0\0\0\0", b"abcdefgh"] {
            assert_eq!(number(field), Err("is no number"), "{field:?}");
        }
        for field in [
            &b"\x80\0\0\0\x80\0\0\0\0\0\0\0"[..],
            b"\xbf\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
            b"\x80\x01\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0",
            b"7777777777777777777777777777",
        ] {
            assert_eq!(number(field), Err("is too large"), "{field:?}");
        }
    }

    #[test]
    fn a_wrong_checksum_is_damage() {
        let mut header = tar::Header::new_ustar();
        header.set_path("name").unwrap();
        header.set_size(7);
        header.set_cksum();
        let mut block = *header.as_bytes();
        assert_eq!(Header::parse(&block, 0).unwrap().size, 7);
        block[0] ^= 1;
        let error = Header::parse(&block, 1024).unwrap_err().to_string();
        assert_eq!(error, "the tar header at byte 1024 is damaged: its checksum is wrong");
    }

    #[test]
    fn a_negative_size_is_damage() {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().size = [0xff; 12];
        header.set_cksum();
        let error = Header::parse(header.as_bytes(), 0).unwrap_err().to_string();
        assert_eq!(error, "the tar header at byte 0 is damaged: its size is negative");
    }
}
