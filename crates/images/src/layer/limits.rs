//! How much a layer may ask of the machine.

use serde::{Deserialize, Serialize};

use super::error::Problem;

/// Bounds of one layer. All of them are there to stop bombs, and none to be met by an image that
/// people use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Limits {
    /// Bytes of the uncompressed archive, and bytes of all files in it, holes included. The largest
    /// layers known are those of machine-learning images, below 20 GiB.
    pub bytes: u64,
    /// Entries of the archive, headers that only extend others included. A whole distribution with
    /// all its desktops has less than a million.
    pub entries: u64,
    /// Names in one path. Linux has no bound but the 4095 bytes of a path.
    pub depth: usize,
    /// Uncompressed bytes for each compressed one, looked at beyond [`Limits::ratio_from`]. Programs
    /// and texts come to 2 to 10; zeros to 1,030 with gzip, and to 30,000 with zstd.
    pub ratio: u64,
    /// Uncompressed bytes that may come of any number of compressed ones: a small layer with a large
    /// empty database in it is no bomb.
    pub ratio_from: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self { bytes: 128 << 30, entries: 5_000_000, depth: 512, ratio: 100, ratio_from: 1 << 30 }
    }
}

impl Limits {
    /// Judges how much came of how much.
    pub(super) fn check_ratio(&self, compressed: u64, uncompressed: u64) -> Result<(), Problem> {
        if uncompressed > self.bytes {
            return Err(Problem::limit("more than", format!("{} bytes unpacked", self.bytes), b""));
        }
        if uncompressed > self.ratio_from.max(compressed.saturating_mul(self.ratio)) {
            let limit = format!("{} bytes for each compressed one", self.ratio);
            return Err(Problem::limit("it unpacks to more than", limit, b""));
        }
        Ok(())
    }

    /// Counts `more` onto `count`.
    pub(super) fn add_entry(&self, count: &mut u64) -> Result<(), Problem> {
        *count += 1;
        if *count > self.entries {
            return Err(Problem::limit("more than", format!("{} entries", self.entries), b""));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bomb_is_no_large_image() {
        let limits = Limits::default();
        // 20 GiB of 5 GiB, and a 900 MiB database of nothing.
        assert_eq!(limits.check_ratio(5 << 30, 20 << 30), Ok(()));
        assert_eq!(limits.check_ratio(1 << 20, 900 << 20), Ok(()));
        let error = limits.check_ratio(10 << 20, 1100 << 20).unwrap_err().to_string();
        assert_eq!(error, "it unpacks to more than 100 bytes for each compressed one");
        let error = limits.check_ratio(100 << 30, 129 << 30).unwrap_err().to_string();
        assert_eq!(error, "more than 137438953472 bytes unpacked");
    }
}
