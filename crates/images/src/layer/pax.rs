//! The records of a pax extended header (POSIX pax, "pax Header Block"), with those of GNU tar for
//! sparse files and of star for extended attributes.

/// What the records of one header say of the next entry. Unknown ones say nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Pax {
    pub(super) path: Option<Vec<u8>>,
    pub(super) link: Option<Vec<u8>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Option<u64>,
    pub(super) gid: Option<u64>,
    pub(super) mtime: Option<Time>,
    pub(super) atime: Option<Time>,
    /// `SCHILY.xattr.NAME`.
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    pub(super) sparse: PaxSparse,
}

/// The `GNU.sparse.*` records.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct PaxSparse {
    /// Format 1.0 has both numbers, older ones none.
    pub(super) major: Option<u64>,
    pub(super) minor: Option<u64>,
    pub(super) name: Option<Vec<u8>>,
    /// Bytes of the file with its holes.
    pub(super) size: Option<u64>,
    /// Pairs of offset and length, of format 0.0 or 0.1.
    pub(super) map: Option<Vec<u64>>,
}

/// Seconds and nanoseconds since 1970.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Time {
    pub(super) seconds: i64,
    /// Always forward, also before 1970.
    pub(super) nanoseconds: u32,
}

/// The most numbers in one map: half a million, of which a map of 1 MiB has no more.
pub(super) const MAX_MAP: usize = 1 << 19;

impl Pax {
    /// Reads all records; the error is what is wrong with one of them.
    pub(super) fn parse(mut bytes: &[u8]) -> Result<Self, String> {
        let mut pax = Self::default();
        while !bytes.is_empty() {
            let [key, value, rest] = record(bytes)?;
            pax.set(key, value)
                .map_err(|problem| format!("its pax record {:?} {problem}", shown(key)))?;
            bytes = rest;
        }
        Ok(pax)
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        if let Some(name) = key.strip_prefix(b"SCHILY.xattr.") {
            self.xattrs.push((name.to_vec(), value.to_vec()));
            return Ok(());
        }
        if let Some(key) = key.strip_prefix(b"GNU.sparse.") {
            return self.sparse.set(key, value);
        }
        // An empty value takes back what an earlier header said.
        match key {
            b"path" => self.path = text(value)?,
            b"linkpath" => self.link = text(value)?,
            b"size" => self.size = unless_empty(value, number)?,
            b"uid" => self.uid = unless_empty(value, number)?,
            b"gid" => self.gid = unless_empty(value, number)?,
            b"mtime" => self.mtime = unless_empty(value, time)?,
            b"atime" => self.atime = unless_empty(value, time)?,
            _ => {}
        }
        Ok(())
    }
}

impl PaxSparse {
    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        match key {
            b"major" => self.major = Some(number(value)?),
            b"minor" => self.minor = Some(number(value)?),
            b"name" => self.name = text(value)?,
            b"size" | b"realsize" => self.size = Some(number(value)?),
            b"map" => {
                let numbers = value.split(|byte| *byte == b',').filter(|part| !part.is_empty());
                let map = numbers.take(MAX_MAP + 1).map(number).collect::<Result<Vec<_>, _>>()?;
                if map.len() > MAX_MAP {
                    return Err("is too long");
                }
                self.map = Some(map);
            }
            // One record for each number, in turn.
            b"offset" | b"numbytes" => {
                let map = self.map.get_or_insert_default();
                if map.len() >= MAX_MAP || map.len().is_multiple_of(2) != (key == b"offset") {
                    return Err("is out of place");
                }
                map.push(number(value)?);
            }
            _ => {}
        }
        Ok(())
    }
}

/// Key and value of the first record, `LENGTH KEY=VALUE\n`, and what follows it.
fn record(bytes: &[u8]) -> Result<[&[u8]; 3], String> {
    /// Digits of a length.
    const DIGITS: usize = 9;
    let damaged = || "its pax records are damaged".to_owned();
    let space = bytes.iter().take(DIGITS + 1).position(|byte| *byte == b' ').ok_or_else(damaged)?;
    let length = number(&bytes[..space]).map_err(|_| damaged())?;
    let length = usize::try_from(length).map_err(|_| damaged())?;
    if length > bytes.len() || length < space + 2 {
        return Err(damaged());
    }
    let (record, rest) = bytes.split_at(length);
    let [b' ', record @ .., b'\n'] = &record[space..] else { return Err(damaged()) };
    let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(damaged)?;
    if equals == 0 || record[..equals].contains(&0) {
        return Err(damaged());
    }
    Ok([&record[..equals], &record[equals + 1..], rest])
}

fn text(value: &[u8]) -> Result<Option<Vec<u8>>, &'static str> {
    if value.contains(&0) {
        return Err("has a NUL in it");
    }
    Ok((!value.is_empty()).then(|| value.to_vec()))
}

fn unless_empty<T>(
    value: &[u8],
    read: impl FnOnce(&[u8]) -> Result<T, &'static str>,
) -> Result<Option<T>, &'static str> {
    if value.is_empty() { Ok(None) } else { read(value).map(Some) }
}

/// A decimal number without sign.
pub(super) fn number(text: &[u8]) -> Result<u64, &'static str> {
    if text.is_empty() {
        return Err("is no number");
    }
    let mut value = 0_u64;
    for byte in text {
        let digit = byte.wrapping_sub(b'0');
        if digit > 9 {
            return Err("is no number");
        }
        let next = value.checked_mul(10).and_then(|value| value.checked_add(digit.into()));
        value = next.ok_or("is too large")?;
    }
    Ok(value)
}

/// `[-]SECONDS[.FRACTION]`; of the fraction, nanoseconds count.
fn time(text: &[u8]) -> Result<Time, &'static str> {
    let (negative, text) = match text {
        [b'-', text @ ..] => (true, text),
        text => (false, text),
    };
    let mut parts = text.splitn(2, |byte| *byte == b'.');
    let seconds = number(parts.next().unwrap_or_default())?;
    let mut seconds = i64::try_from(seconds).map_err(|_| "is too large")?;
    let fraction = parts.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return Err("is no number");
    }
    let digits = fraction.iter().copied().chain(std::iter::repeat(b'0')).take(9);
    let mut nanoseconds = digits.fold(0, |value, digit| value * 10 + u32::from(digit - b'0'));
    if negative {
        seconds = -seconds;
        if nanoseconds > 0 {
            seconds -= 1;
            nanoseconds = 1_000_000_000 - nanoseconds;
        }
    }
    Ok(Time { seconds, nanoseconds })
}

fn shown(key: &[u8]) -> String {
    super::error::shown(key)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_with_anything_in_their_values() {
        let record = |text: &[u8]| {
            let mut length = text.len() + 3;
            length += usize::from(length > 99);
            [format!("{length} ").as_bytes(), text].concat()
        };
        let bytes = [
            record(b"path=a\nb=c \xff/d\n"),
            record(b"mtime=1350244992.023960108\n"),
            record(b"SCHILY.xattr.user.x=1\n2\0==\n\n"),
            record(b"comment=12 size=7\n"),
        ]
        .concat();
        let pax = Pax::parse(&bytes).unwrap();
        assert_eq!(pax.path.as_deref(), Some(&b"a\nb=c \xff/d"[..]));
        assert_eq!(pax.mtime, Some(Time { seconds: 1350244992, nanoseconds: 23960108 }));
        assert_eq!(pax.xattrs, [(b"user.x".to_vec(), b"1\n2\0==\n".to_vec())]);
        assert_eq!(pax.size, None);
    }

    #[test]
    fn damaged_records() {
        for bytes in [
            &b"0 a=b\n"[..],
            b"-5 a=b\n",
            b"7 a=b\n",
            b"5 a=b\n",
            b"6 a=b",
            b"6 a-b\n",
            b"6 =ab\n",
            b"99999999999999999999 a=b\n",
            b" 6 a=b\n",
            b"6a=bcd\n",
            b"6 \0=b\n",
            b"2 ",
        ] {
            assert_eq!(Pax::parse(bytes).unwrap_err(), "its pax records are damaged", "{bytes:?}");
        }
        assert_eq!(
            Pax::parse(b"11 path=a\0\n").unwrap_err(),
            "its pax record \"path\" has a NUL in it"
        );
        assert_eq!(
            Pax::parse(b"11 size=-1\n").unwrap_err(),
            "its pax record \"size\" is no number"
        );
        let huge = b"29 size=18446744073709551616\n";
        assert_eq!(Pax::parse(huge).unwrap_err(), "its pax record \"size\" is too large");
    }

    #[test]
    fn times_before_1970_and_beyond() {
        assert_eq!(time(b"-1.25"), Ok(Time { seconds: -2, nanoseconds: 750_000_000 }));
        assert_eq!(time(b"0.1234567899"), Ok(Time { seconds: 0, nanoseconds: 123_456_789 }));
        assert_eq!(time(b"7."), Ok(Time { seconds: 7, nanoseconds: 0 }));
        assert!(time(b"9223372036854775808").is_err());
        assert!(time(b"1e9").is_err() && time(b"--1").is_err() && time(b"1.-5").is_err());
    }

    #[test]
    fn sparse_maps() {
        let map = |bytes| Pax::parse(bytes).map(|pax| pax.sparse.map);
        assert_eq!(map(b"27 GNU.sparse.map=0,1,5,12\n"), Ok(Some(vec![0, 1, 5, 12])));
        let both = b"23 GNU.sparse.offset=1\n25 GNU.sparse.numbytes=2\n";
        assert_eq!(map(both), Ok(Some(vec![1, 2])));
        assert!(map(b"25 GNU.sparse.numbytes=2\n").is_err());
    }
}
