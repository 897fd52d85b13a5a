//! An archive's bytes in the pieces in which they come, without copying them.

use super::error::Problem;
use super::header::BLOCK;

/// Where the pieces come from.
pub(super) trait Chunks {
    /// The piece that is being looked at.
    fn current(&self) -> &[u8];

    /// Goes on to the next one; `false` after the last.
    fn advance(&mut self) -> Result<bool, Problem>;
}

/// A position in the pieces.
#[derive(Debug)]
pub(super) struct Stream<C> {
    chunks: C,
    /// In the current piece.
    at: usize,
    /// Bytes before the current position.
    position: u64,
}

impl<C: Chunks> Stream<C> {
    pub(super) fn new(chunks: C) -> Self {
        Self { chunks, at: 0, position: 0 }
    }

    /// Bytes read so far.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Some of the next bytes, at least one and at most `most`; `None` at the end.
    pub(super) fn some(&mut self, most: u64) -> Result<Option<&[u8]>, Problem> {
        while self.at >= self.chunks.current().len() {
            if !self.chunks.advance()? {
                return Ok(None);
            }
            self.at = 0;
        }
        let left = self.chunks.current().len() - self.at;
        let count = usize::try_from(most).unwrap_or(usize::MAX).min(left);
        let start = self.at;
        self.at += count;
        self.position += count as u64;
        Ok(Some(&self.chunks.current()[start..start + count]))
    }

    /// The next block; `None` where the archive ends before it.
    pub(super) fn block(&mut self) -> Result<Option<[u8; BLOCK]>, Problem> {
        let mut block = [0; BLOCK];
        let mut filled = 0;
        while filled < BLOCK {
            match self.some((BLOCK - filled) as u64)? {
                Some(bytes) => {
                    block[filled..filled + bytes.len()].copy_from_slice(bytes);
                    filled += bytes.len();
                }
                None if filled == 0 => return Ok(None),
                None => return Err(self.truncated(b"")),
            }
        }
        Ok(Some(block))
    }

    /// Leaves out `count` bytes, which belong to the entry `path`.
    pub(super) fn skip(&mut self, mut count: u64, path: &[u8]) -> Result<(), Problem> {
        while count > 0 {
            match self.some(count)?.map(|bytes| bytes.len() as u64) {
                Some(skipped) => count -= skipped,
                None => return Err(self.truncated(path)),
            }
        }
        Ok(())
    }

    /// Reads to the very end: what follows an archive is part of what is hashed.
    pub(super) fn drain(&mut self) -> Result<(), Problem> {
        while self.some(u64::MAX)?.is_some() {}
        Ok(())
    }

    pub(super) fn truncated(&self, path: &[u8]) -> Problem {
        Problem::TruncatedArchive { bytes: self.position, entry: super::error::shown(path) }
    }
}
