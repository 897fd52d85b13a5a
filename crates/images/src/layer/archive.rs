//! A tar archive as a sequence of entries. What is ambiguous is read as Go's archive/tar does, by
//! which nearly all images are made and read: links and devices have no content whatever their size
//! says, the last extended header counts, GNU's long names beat those of pax, global headers say
//! nothing.

use super::error::Problem;
use super::header::{BLOCK, Header, until_nul};
use super::limits::Limits;
use super::path;
use super::pax::{Pax, Time};
use super::sparse::Sparse;
use super::stream::{Chunks, Stream};

/// The most bytes of one extended header or long name. Linux has paths of 4 KiB, and extended
/// attributes of 64 KiB each.
const MAX_EXTENSION: u64 = 1 << 20;

/// One entry: what is to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Relative to the layer's root, which is the empty path.
    pub(super) path: Vec<u8>,
    pub(super) kind: Kind,
    /// Permission bits with setuid, setgid and sticky.
    pub(super) mode: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) mtime: Time,
    pub(super) atime: Option<Time>,
    pub(super) xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// With its bytes without holes.
    File {
        sparse: Option<Sparse>,
        size: u64,
    },
    /// To this path, relative to the layer's root.
    HardLink(Vec<u8>),
    /// With this text.
    Symlink(Vec<u8>),
    Character {
        major: u32,
        minor: u32,
    },
    Block {
        major: u32,
        minor: u32,
    },
    Directory,
    Fifo,
}

/// What was left out of an archive on purpose.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Ignored {
    pub(super) global_headers: u64,
}

/// Reads entries one by one.
pub(super) struct Archive<'l, C> {
    stream: Stream<C>,
    limits: &'l Limits,
    /// Bytes of the current entry that nobody has read yet.
    left: u64,
    /// Bytes after it up to the next block.
    padding: u64,
    /// The current entry.
    path: Vec<u8>,
    entries: u64,
    pub(super) ignored: Ignored,
}

/// What stands between two entries and is about the second.
#[derive(Default)]
struct Extensions {
    pax: Option<Pax>,
    long_name: Option<Vec<u8>>,
    long_link: Option<Vec<u8>>,
}

impl<'l, C: Chunks> Archive<'l, C> {
    pub(super) fn new(chunks: C, limits: &'l Limits) -> Self {
        let (stream, ignored) = (Stream::new(chunks), Ignored::default());
        Self { stream, limits, left: 0, padding: 0, path: Vec::new(), entries: 0, ignored }
    }

    /// Bytes read so far.
    pub(super) fn position(&self) -> u64 {
        self.stream.position()
    }

    /// Headers read so far.
    pub(super) fn entries(&self) -> u64 {
        self.entries
    }

    /// Some bytes of the current entry's content; `None` after the last.
    pub(super) fn content(&mut self) -> Result<Option<&[u8]>, Problem> {
        if self.left == 0 {
            return Ok(None);
        }
        // A second borrow, because the compiler cannot see that the first has ended on failure.
        let position = self.stream.position();
        match self.stream.some(self.left)? {
            Some(bytes) => {
                self.left -= bytes.len() as u64;
                Ok(Some(bytes))
            }
            None => Err(Problem::TruncatedArchive {
                bytes: position,
                entry: super::error::shown(&self.path),
            }),
        }
    }

    /// The next entry, after what is left of this one; `None` at the end, when everything was read.
    pub(super) fn next(&mut self) -> Result<Option<Entry>, Problem> {
        self.stream.skip(self.left, &self.path)?;
        // Go takes an archive without its last padding.
        if self.stream.some(0)?.is_some() {
            self.stream.skip(self.padding, &self.path)?;
        }
        (self.left, self.padding) = (0, 0);
        let mut extensions = Extensions::default();
        loop {
            let offset = self.stream.position();
            let Some(block) = self.header_block(offset)? else {
                self.stream.drain()?;
                return Ok(None);
            };
            self.limits.add_entry(&mut self.entries)?;
            let header = Header::parse(&block, offset)?;
            match header.kind {
                b'x' | b'X' => {
                    let records = Pax::parse(&self.extension(&header, offset)?);
                    let damaged = |message| Problem::Header { offset, message };
                    extensions.pax = Some(records.map_err(damaged)?);
                }
                b'g' => {
                    self.extension(&header, offset)?;
                    self.ignored.global_headers += 1;
                }
                b'L' => extensions.long_name = Some(self.long(&header, offset)?),
                b'K' => extensions.long_link = Some(self.long(&header, offset)?),
                _ => return self.entry(header, extensions, &block).map(Some),
            }
        }
    }

    /// The block of the next header; `None` at the end, which two blocks of zeros mark, or nothing.
    fn header_block(&mut self, offset: u64) -> Result<Option<[u8; BLOCK]>, Problem> {
        let is_empty = |block: &[u8; BLOCK]| block.iter().all(|byte| *byte == 0);
        let Some(block) = self.stream.block()? else { return Ok(None) };
        if !is_empty(&block) {
            return Ok(Some(block));
        }
        match self.stream.block()? {
            Some(second) if !is_empty(&second) => {
                let message = "a lone block of zeros stands before it".to_owned();
                Err(Problem::Header { offset: offset + BLOCK as u64, message })
            }
            _ => Ok(None),
        }
    }

    /// The content of a header that is about the next entry.
    fn extension(&mut self, header: &Header, offset: u64) -> Result<Vec<u8>, Problem> {
        if header.size > MAX_EXTENSION {
            let message = format!("it extends another by more than {MAX_EXTENSION} bytes");
            return Err(Problem::Header { offset, message });
        }
        let mut bytes = Vec::with_capacity(usize::try_from(header.size).unwrap_or_default());
        let mut left = header.size;
        while left > 0 {
            match self.stream.some(left)? {
                Some(piece) => {
                    left -= piece.len() as u64;
                    bytes.extend_from_slice(piece);
                }
                None => return Err(self.stream.truncated(b"")),
            }
        }
        self.stream.skip(padding(header.size), b"")?;
        Ok(bytes)
    }

    fn long(&mut self, header: &Header, offset: u64) -> Result<Vec<u8>, Problem> {
        Ok(until_nul(&self.extension(header, offset)?).to_vec())
    }

    /// Puts an entry together.
    fn entry(
        &mut self,
        header: Header,
        extensions: Extensions,
        block: &[u8; BLOCK],
    ) -> Result<Entry, Problem> {
        let pax = extensions.pax.unwrap_or_default();
        let name = extensions.long_name.or(pax.sparse.name.clone()).or(pax.path);
        let raw = name.unwrap_or(header.name);
        let link = extensions.long_link.or(pax.link).unwrap_or(header.link);
        self.path = path::normalise(&raw, self.limits)?;
        let stored = pax.size.unwrap_or(header.size);
        let kind = match header.kind {
            b'0' | 0 if raw.ends_with(b"/") && stored == 0 => Kind::Directory,
            b'0' | 0 | b'7' => {
                let sparse = Sparse::of_pax(&pax.sparse, stored, &mut self.stream, &self.path)?;
                let (sparse, size) = sparse.map_or((None, stored), |(map, left)| (Some(map), left));
                self.file(sparse, size, stored)
            }
            b'S' => {
                let sparse = Sparse::of_gnu_header(block, stored, &mut self.stream, &self.path)?;
                self.file(Some(sparse), stored, stored)
            }
            b'1' => Kind::HardLink(self.link_target(&link)?),
            b'2' => Kind::Symlink(self.checked_link(link)?),
            b'3' => Kind::Character { major: header.major, minor: header.minor },
            b'4' => Kind::Block { major: header.major, minor: header.minor },
            b'5' => Kind::Directory,
            b'6' => Kind::Fifo,
            kind => {
                let message = format!("is of the unknown type {:?}", char::from(kind));
                return Err(Problem::entry(&raw, message));
            }
        };
        let mtime = Time { seconds: header.mtime, nanoseconds: 0 };
        Ok(Entry {
            kind,
            mode: header.mode,
            uid: id("uid", pax.uid.unwrap_or(header.uid), &raw)?,
            gid: id("gid", pax.gid.unwrap_or(header.gid), &raw)?,
            mtime: pax.mtime.unwrap_or(mtime),
            atime: pax.atime,
            xattrs: pax.xattrs,
            path: self.path.clone(),
        })
    }

    /// A file of which `size` bytes follow, of `stored` whose end is filled up to a block.
    fn file(&mut self, sparse: Option<Sparse>, size: u64, stored: u64) -> Kind {
        (self.left, self.padding) = (size, padding(stored));
        Kind::File { sparse, size }
    }

    fn link_target(&self, link: &[u8]) -> Result<Vec<u8>, Problem> {
        path::normalise(link, self.limits).map_err(|problem| match problem {
            Problem::Entry { path: target, message } => {
                let message = format!("is a hard link to {target:?}, which {message}");
                Problem::entry(&self.path, message)
            }
            other => other,
        })
    }

    fn checked_link(&self, link: Vec<u8>) -> Result<Vec<u8>, Problem> {
        let problem = |message: &str| Err(Problem::entry(&self.path, message));
        match link.len() {
            0 => problem("is a symbolic link to nowhere"),
            length if length > path::PATH_MAX => problem("is a symbolic link that is too long"),
            _ if link.contains(&0) => problem("is a symbolic link with a NUL in it"),
            _ => Ok(link),
        }
    }
}

/// Bytes after `size` up to the next block.
fn padding(size: u64) -> u64 {
    size.wrapping_neg() % BLOCK as u64
}

/// Ids have 32 bits, and the last value means "none" (chown(2)).
fn id(what: &str, value: u64, path: &[u8]) -> Result<u32, Problem> {
    let id = u32::try_from(value).ok().filter(|id| *id != u32::MAX);
    id.ok_or_else(|| Problem::entry(path, format!("belongs to the impossible {what} {value}")))
}
