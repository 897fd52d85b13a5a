//! From a blob's bytes to the archive's: gzip (RFC 1952, several members), zstd (RFC 8878, several
//! frames, a bounded window) or nothing, told by the first bytes.

use flate2::{Decompress, FlushDecompress, Status};
use serde::{Deserialize, Serialize};
use zstd::stream::raw::{DParameter, Decoder, InBuffer, Operation, OutBuffer};

use super::error::Problem;
use crate::document::media_type;

/// How a layer is compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Compression {
    /// Not at all.
    Plain,
    /// By gzip.
    Gzip,
    /// By zstd.
    Zstd,
}

/// Bytes at the beginning of a blob that [`Compression::of`] wants to see: a tar header.
pub(super) const PEEK: usize = 512;

/// log2 of the largest window that zstd may ask for: 128 MiB, what `zstd --long` and `--ultra` make.
/// Beyond that a blob of some bytes would cost gigabytes.
const WINDOW_LOG_MAX: u32 = 27;

impl Compression {
    /// What a media type says; `None` where it says nothing of it.
    pub fn of_media_type(media_type: &str) -> Option<Self> {
        match media_type {
            media_type::LAYER | media_type::DOCKER_LAYER => Some(Self::Plain),
            media_type::LAYER_GZIP | media_type::DOCKER_LAYER_GZIP => Some(Self::Gzip),
            media_type::LAYER_ZSTD => Some(Self::Zstd),
            _ => None,
        }
    }

    /// Its name for people.
    pub fn name(self) -> &'static str {
        match self {
            Self::Plain => "a plain tar archive",
            Self::Gzip => "gzip data",
            Self::Zstd => "zstd data",
        }
    }

    /// What the first bytes of a blob say.
    pub(super) fn of(start: &[u8]) -> Result<Self, Problem> {
        const ARCHIVE_MAGIC: std::ops::Range<usize> = 257..262;
        let no_layer = |found: &str| Err(Problem::NoLayer { found: found.into() });
        match start {
            [0x1f, 0x8b, ..] => Ok(Self::Gzip),
            // A frame, or one that a decompressor skips.
            [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Ok(Self::Zstd),
            [] => Ok(Self::Plain),
            _ if start.get(ARCHIVE_MAGIC) == Some(b"ustar") => Ok(Self::Plain),
            _ if is_old_header(start) => Ok(Self::Plain),
            [b'B', b'Z', b'h', ..] => no_layer("bzip2 data"),
            [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => no_layer("xz data"),
            [b'P', b'K', ..] => no_layer("a zip archive"),
            [b'<' | b'{', ..] => no_layer("a text document"),
            _ => no_layer("something unknown"),
        }
    }
}

/// A header of before POSIX, which has no magic but a checksum, or the end of an empty archive.
fn is_old_header(start: &[u8]) -> bool {
    <&[u8; PEEK]>::try_from(start).is_ok_and(|block| {
        block.iter().all(|byte| *byte == 0) || super::header::checksum_fits(block)
    })
}

/// What one step of a decompressor did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Step {
    /// Bytes of the input that are used up.
    pub(super) read: usize,
    /// Bytes that were written.
    pub(super) written: usize,
}

impl Step {
    pub(super) fn is_nothing(self) -> bool {
        self.read == 0 && self.written == 0
    }
}

/// A decompressor between two steps.
pub(super) enum Decompressor {
    Plain,
    Gzip { state: Decompress, between_members: bool },
    Zstd { state: Decoder<'static>, between_frames: bool },
}

impl Decompressor {
    pub(super) fn new(compression: Compression) -> Result<Self, Problem> {
        Ok(match compression {
            Compression::Plain => Self::Plain,
            Compression::Gzip => Self::Gzip { state: gzip_member(), between_members: true },
            Compression::Zstd => {
                let made = Decoder::new().and_then(|mut state| {
                    state.set_parameter(DParameter::WindowLogMax(WINDOW_LOG_MAX))?;
                    Ok(state)
                });
                let state = made.map_err(Problem::at("make a zstd decompressor", b""))?;
                Self::Zstd { state, between_frames: true }
            }
        })
    }

    /// Turns a part of `input` into a part of `output`, which is not empty. Without input it writes
    /// what it still holds back.
    pub(super) fn step(&mut self, input: &[u8], output: &mut [u8]) -> Result<Step, Problem> {
        match self {
            Self::Plain => {
                let count = input.len().min(output.len());
                output[..count].copy_from_slice(&input[..count]);
                Ok(Step { read: count, written: count })
            }
            Self::Gzip { state, between_members } => {
                gzip_step(state, between_members, input, output)
            }
            Self::Zstd { state, between_frames } => {
                let mut from = InBuffer::around(input);
                let mut to = OutBuffer::around(output);
                let wanted =
                    state.run(&mut from, &mut to).map_err(|error| damaged("zstd", &error))?;
                let step = Step { read: from.pos(), written: to.pos() };
                if !step.is_nothing() {
                    *between_frames = wanted == 0;
                }
                Ok(step)
            }
        }
    }

    /// What is wrong when nothing follows the `bytes` of the blob that were read.
    pub(super) fn end(&self, bytes: u64) -> Result<(), Problem> {
        let truncated = |format: &str| Err(Problem::TruncatedBlob { format: format.into(), bytes });
        match self {
            Self::Gzip { between_members: false, .. } => truncated("gzip"),
            Self::Zstd { between_frames: false, .. } => truncated("zstd"),
            _ => Ok(()),
        }
    }
}

fn gzip_member() -> Decompress {
    Decompress::new_gzip(15)
}

fn gzip_step(
    state: &mut Decompress,
    between_members: &mut bool,
    input: &[u8],
    output: &mut [u8],
) -> Result<Step, Problem> {
    let (read, written) = (state.total_in(), state.total_out());
    let status = state
        .decompress(input, output, FlushDecompress::None)
        .map_err(|error| damaged("gzip", &error))?;
    let moved = |before: u64, now: u64| usize::try_from(now - before).unwrap_or(usize::MAX);
    let step =
        Step { read: moved(read, state.total_in()), written: moved(written, state.total_out()) };
    if status == Status::StreamEnd {
        // Another member may follow (RFC 1952, section 2.2). Anything else is damaged.
        *state = gzip_member();
        *between_members = true;
    } else if !step.is_nothing() {
        *between_members = false;
    }
    Ok(step)
}

fn damaged(format: &str, error: &dyn std::fmt::Display) -> Problem {
    Problem::Compressed { format: format.into(), message: error.to_string() }
}
