//! Properties of units, and writing values as D-Bus does (specification, "Marshaling").

/// One property of a unit.
#[derive(Debug, Clone, PartialEq)]
pub struct Property {
    /// Its name, see org.freedesktop.systemd1(5).
    pub name: String,
    /// What it is set to.
    pub value: Value,
    /// Whether an older systemd that does not know it is an error. The limits are not required:
    /// they are written to the cgroup as well, and are only safe from systemd where it knows them.
    pub is_required: bool,
}

impl Property {
    /// One that has to be set.
    pub fn required(name: &str, value: Value) -> Self {
        Self { name: name.to_owned(), value, is_required: true }
    }

    /// One that an older systemd may lack.
    pub fn optional(name: &str, value: Value) -> Self {
        Self { name: name.to_owned(), value, is_required: false }
    }
}

/// The types of properties that are set here.
#[derive(Debug, Clone, PartialEq)]
#[expect(missing_docs, reason = "the types of D-Bus")]
pub enum Value {
    Bool(bool),
    I32(i32),
    U32(u32),
    I64(i64),
    U64(u64),
    F64(f64),
    Text(String),
    Texts(Vec<String>),
    Numbers(Vec<u32>),
    Bytes(Vec<u8>),
    /// Paths of devices, each with a number.
    Devices(Vec<(String, u64)>),
}

impl Value {
    /// The type as D-Bus names it.
    pub(super) fn signature(&self) -> &'static str {
        match self {
            Self::Bool(_) => "b",
            Self::I32(_) => "i",
            Self::U32(_) => "u",
            Self::I64(_) => "x",
            Self::U64(_) => "t",
            Self::F64(_) => "d",
            Self::Text(_) => "s",
            Self::Texts(_) => "as",
            Self::Numbers(_) => "au",
            Self::Bytes(_) => "ay",
            Self::Devices(_) => "a(st)",
        }
    }

    fn write(&self, writer: &mut Writer) {
        match self {
            Self::Bool(value) => writer.u32(u32::from(*value)),
            Self::I32(value) => writer.u32(value.cast_unsigned()),
            Self::U32(value) => writer.u32(*value),
            Self::I64(value) => writer.u64(value.cast_unsigned()),
            Self::U64(value) => writer.u64(*value),
            Self::F64(value) => writer.u64(value.to_bits()),
            Self::Text(text) => writer.text(text),
            Self::Texts(texts) => writer.array(4, |w| texts.iter().for_each(|text| w.text(text))),
            Self::Numbers(numbers) => writer.array(4, |w| numbers.iter().for_each(|n| w.u32(*n))),
            Self::Bytes(bytes) => writer.array(1, |w| w.bytes.extend(bytes)),
            Self::Devices(devices) => writer.array(8, |writer| {
                for (path, number) in devices {
                    writer.align(8);
                    writer.text(path);
                    writer.u64(*number);
                }
            }),
        }
    }
}

/// Bytes in little endian, aligned from their beginning.
#[derive(Debug, Default)]
pub(super) struct Writer {
    pub(super) bytes: Vec<u8>,
}

impl Writer {
    pub(super) fn align(&mut self, to: usize) {
        self.bytes.resize(self.bytes.len().next_multiple_of(to), 0);
    }

    pub(super) fn u32(&mut self, value: u32) {
        self.align(4);
        self.bytes.extend(value.to_le_bytes());
    }

    pub(super) fn u64(&mut self, value: u64) {
        self.align(8);
        self.bytes.extend(value.to_le_bytes());
    }

    /// A string ends at its first NUL, which no string may have: the rest would be lost, so callers
    /// check names and texts before.
    pub(super) fn text(&mut self, text: &str) {
        self.u32(size(text.len()));
        self.bytes.extend(text.as_bytes());
        self.bytes.push(0);
    }

    pub(super) fn signature(&mut self, signature: &str) {
        self.bytes.push(u8::try_from(signature.len()).unwrap_or(u8::MAX));
        self.bytes.extend(signature.as_bytes());
        self.bytes.push(0);
    }

    /// An array whose elements begin at multiples of `alignment`; the padding before the first one
    /// does not count as length.
    pub(super) fn array(&mut self, alignment: usize, elements: impl FnOnce(&mut Self)) {
        self.u32(0);
        let length_at = self.bytes.len() - 4;
        self.align(alignment);
        let start = self.bytes.len();
        elements(self);
        let length = size(self.bytes.len() - start);
        self.bytes[length_at..length_at + 4].copy_from_slice(&length.to_le_bytes());
    }

    /// `a(sv)`.
    pub(super) fn properties(&mut self, properties: &[Property]) {
        self.array(8, |writer| {
            for property in properties {
                writer.align(8);
                writer.text(&property.name);
                writer.signature(property.value.signature());
                property.value.write(writer);
            }
        });
    }
}

/// Lengths are of 32 bits; nothing written here comes near (config.json is bounded).
fn size(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_aligned_from_the_beginning() {
        let mut writer = Writer::default();
        writer.properties(&[
            Property::required("Ab", Value::U64(7)),
            Property::required("C", Value::Devices(vec![("/d".to_owned(), 1)])),
        ]);
        // Length, padding to 8, then (s v): text, signature, value at 8.
        let expected: &[&[u8]] = &[
            &[68, 0, 0, 0, 0, 0, 0, 0],
            &[2, 0, 0, 0, b'A', b'b', 0, 1],
            &[b't', 0, 0, 0, 0, 0, 0, 0],
            &[7, 0, 0, 0, 0, 0, 0, 0],
            &[1, 0, 0, 0, b'C', 0, 5, b'a'],
            &[b'(', b's', b't', b')', 0, 0, 0, 0],
            &[16, 0, 0, 0, 0, 0, 0, 0],
            &[2, 0, 0, 0, b'/', b'd', 0, 0],
            &[1, 0, 0, 0, 0, 0, 0, 0],
        ];
        let mut expected = expected.concat();
        // The second structure and all in it: 8 + 24 + 40 bytes behind the array's length.
        let length = u8::try_from(expected.len() - 8).unwrap();
        expected[0] = length;
        assert_eq!(writer.bytes, expected);
    }
}
