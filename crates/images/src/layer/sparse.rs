//! Files with holes, in the four ways in which GNU tar has written them ("Storing Sparse Files" in
//! its manual).

use super::error::Problem;
use super::header::{BLOCK, number};
use super::pax::{self, MAX_MAP, PaxSparse};
use super::stream::{Chunks, Stream};

/// Where the stored bytes of a file belong.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Sparse {
    /// Offset and length of each piece, in order.
    pub(super) pieces: Vec<(u64, u64)>,
    /// Bytes of the file with its holes.
    pub(super) size: u64,
}

impl Sparse {
    /// Judges a map: pieces in order that do not overlap, within the file, and together as long as
    /// what is stored.
    fn checked(pieces: Vec<(u64, u64)>, size: u64, stored: u64) -> Result<Self, &'static str> {
        let (mut end, mut sum) = (0_u64, 0_u64);
        for (offset, length) in &pieces {
            if *offset < end {
                return Err("has overlapping pieces");
            }
            end = offset.checked_add(*length).ok_or("has a piece beyond every file")?;
            sum = sum.checked_add(*length).ok_or("has a piece beyond every file")?;
        }
        if end > size {
            return Err("has a piece beyond its end");
        }
        if sum != stored {
            return Err("has pieces that do not add up to what is stored");
        }
        Ok(Self { pieces, size })
    }

    /// The format of the header itself (`S`): four pieces there, 21 in each block that follows.
    pub(super) fn of_gnu_header<C: Chunks>(
        block: &[u8; BLOCK],
        stored: u64,
        stream: &mut Stream<C>,
        path: &[u8],
    ) -> Result<Self, Problem> {
        let problem = |message: &str| Problem::entry(path, format!("is sparse and {message}"));
        let Some(header) = tar::Header::from_byte_slice(block).as_gnu() else {
            return Err(problem("has no GNU header"));
        };
        let size = unsigned(&header.realsize).map_err(problem)?;
        let mut pieces = Vec::new();
        let fields = |one: &tar::GnuSparseHeader| [one.offset, one.numbytes];
        add(&mut pieces, header.sparse.iter().map(fields)).map_err(problem)?;
        let mut more = header.isextended[0] != 0;
        while more {
            let block = stream.block()?.ok_or_else(|| stream.truncated(path))?;
            // 21 pairs of 12 bytes each, a flag, padding.
            let pairs = block[..504].chunks_exact(24).filter_map(|pair| {
                let (offset, length) = pair.split_at(12);
                Some([offset.try_into().ok()?, length.try_into().ok()?])
            });
            add(&mut pieces, pairs).map_err(problem)?;
            more = block[504] != 0;
        }
        Self::checked(pieces, size, stored).map_err(problem)
    }

    /// The formats 0.0 and 0.1, whose map is in the pax records, and 1.0, whose map stands before the
    /// bytes of the file. `None` where the records speak of no sparse file. The second value is how
    /// many of the stored bytes are left.
    pub(super) fn of_pax<C: Chunks>(
        records: &PaxSparse,
        stored: u64,
        stream: &mut Stream<C>,
        path: &[u8],
    ) -> Result<Option<(Self, u64)>, Problem> {
        let problem = |message: &str| Problem::entry(path, format!("is sparse and {message}"));
        let (map, left) = match (records.major, records.minor, &records.map) {
            (None, None, None) => return Ok(None),
            (None | Some(0), None | Some(0 | 1), Some(map)) => (map.clone(), stored),
            (Some(1), Some(0), _) => {
                let mut left = stored;
                (map_before_data(&mut left, stream, path)?, left)
            }
            _ => return Err(problem("of an unknown format")),
        };
        if map.len() % 2 != 0 {
            return Err(problem("has half a piece"));
        }
        let pieces = map.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
        let size = records.size.ok_or_else(|| problem("does not say how large it is"))?;
        Self::checked(pieces, size, left).map_err(problem).map(|sparse| Some((sparse, left)))
    }
}

fn unsigned(field: &[u8]) -> Result<u64, &'static str> {
    let value = number(field).map_err(|_| "has a size that is no number")?;
    u64::try_from(value).map_err(|_| "has a negative size")
}

/// Adds the pieces of one block. Empty fields mean that there are no more; a piece of no bytes only
/// says where the file ends.
fn add(
    pieces: &mut Vec<(u64, u64)>,
    fields: impl Iterator<Item = [[u8; 12]; 2]>,
) -> Result<(), &'static str> {
    for [offset, length] in fields.take_while(|[offset, _]| offset[0] != 0) {
        if pieces.len() >= MAX_MAP / 2 {
            return Err("has too many pieces");
        }
        pieces.push((unsigned(&offset)?, unsigned(&length)?));
    }
    Ok(())
}

/// The map of format 1.0: the number of pieces, then offset and length of each, one decimal number a
/// line, filled up to whole blocks.
fn map_before_data<C: Chunks>(
    left: &mut u64,
    stream: &mut Stream<C>,
    path: &[u8],
) -> Result<Vec<u64>, Problem> {
    let problem = |message: &str| Problem::entry(path, format!("is sparse and {message}"));
    let mut map = Vec::new();
    let mut wanted = None;
    let mut line: Vec<u8> = Vec::new();
    while wanted.is_none_or(|wanted| map.len() < wanted) {
        *left = left
            .checked_sub(BLOCK as u64)
            .ok_or_else(|| problem("has a map longer than what is stored"))?;
        let block = stream.block()?.ok_or_else(|| stream.truncated(path))?;
        for byte in block {
            if wanted.is_some_and(|wanted| map.len() >= wanted) {
                break;
            }
            if byte != b'\n' {
                if line.len() > 20 {
                    return Err(problem("has a number in its map that is too long"));
                }
                line.push(byte);
                continue;
            }
            let number = pax::number(&line).map_err(|_| problem("has a map without numbers"))?;
            line.clear();
            if wanted.is_some() {
                map.push(number);
                continue;
            }
            let pieces = usize::try_from(number).ok().filter(|pieces| *pieces <= MAX_MAP / 2);
            wanted = Some(2 * pieces.ok_or_else(|| problem("has too many pieces"))?);
        }
    }
    Ok(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_that_lie() {
        assert!(Sparse::checked(vec![(0, 5), (10, 5), (30, 0)], 30, 10).is_ok());
        for (pieces, size, stored, problem) in [
            (vec![(0, 5), (4, 5)], 30, 10, "has overlapping pieces"),
            (vec![(10, 5), (0, 5)], 30, 10, "has overlapping pieces"),
            (vec![(0, 5), (10, 5)], 14, 10, "has a piece beyond its end"),
            (vec![(u64::MAX, 5)], u64::MAX, 5, "has a piece beyond every file"),
            (vec![(0, 5)], 5, 6, "has pieces that do not add up to what is stored"),
        ] {
            assert_eq!(Sparse::checked(pieces, size, stored), Err(problem));
        }
    }
}
