//! What the first bytes tell of how something is compressed.

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::MultiGzDecoder;

use crate::document::media_type;
use crate::layer::Compression;

/// So many bytes are enough to tell.
pub(super) const HEAD: usize = 6;

/// The largest window of zstd that is decoded, as a power of two: what the program `zstd` itself
/// takes without being asked.
const WINDOW: u32 = 27;

impl Compression {
    /// By the first bytes, of whatever is compressed; the error names a compression that images do not
    /// have.
    pub(super) fn by_magic(head: &[u8]) -> Result<Self, &'static str> {
        match head {
            [0x1f, 0x8b, ..] => Ok(Self::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd, ..] => Ok(Self::Zstd),
            // A frame that decoders skip, as seekable archives begin with (RFC 8878, 3.1.2).
            [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Self::Zstd),
            [0xfd, b'7', b'z', b'X', b'Z', 0] => Err("xz"),
            [b'B', b'Z', b'h', ..] => Err("bzip2"),
            _ => Ok(Self::Plain),
        }
    }

    /// The type of a layer that is compressed so.
    pub(super) fn layer_type(self) -> &'static str {
        match self {
            Self::Plain => media_type::LAYER,
            Self::Gzip => media_type::LAYER_GZIP,
            Self::Zstd => media_type::LAYER_ZSTD,
        }
    }

    /// The plain bytes.
    pub(super) fn decoder<'r>(
        self,
        reader: impl Read + Send + 'r,
    ) -> io::Result<Box<dyn Read + Send + 'r>> {
        let reader = BufReader::with_capacity(128 << 10, reader);
        Ok(match self {
            Self::Plain => Box::new(reader),
            Self::Gzip => Box::new(MultiGzDecoder::new(reader)),
            Self::Zstd => {
                let mut decoder = zstd::stream::read::Decoder::with_buffer(reader)?;
                decoder.window_log_max(WINDOW)?;
                Box::new(decoder)
            }
        })
    }
}

/// Looks at the first bytes of a stream and gives the stream back whole.
pub(super) fn peek<'r>(
    mut reader: impl Read + Send + 'r,
    count: usize,
) -> io::Result<(Vec<u8>, impl BufRead + Send + 'r)> {
    let mut head = Vec::new();
    reader.by_ref().take(u64::try_from(count).unwrap_or(0)).read_to_end(&mut head)?;
    let whole = io::Cursor::new(head.clone()).chain(BufReader::new(reader));
    Ok((head, whole))
}
