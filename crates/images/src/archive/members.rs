//! The members of a tar archive, one by one. The `tar` crate parses headers; reading them, and the
//! extensions for long names, is done here, where every size has a bound.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::FileExt;

use tar::{EntryType, Header};

use super::ArchiveError;

/// Headers and content come in blocks of so many bytes (POSIX pax, "ustar Interchange Format").
const BLOCK: u64 = 512;
/// The most bytes of one extension: two paths of the longest kind, and some times.
const MAX_EXTENSION: u64 = 64 << 10;
/// The most extensions before one member.
const MAX_EXTENSIONS: u32 = 8;

/// Where the bytes of a tar come from.
pub(super) trait Blocks {
    /// Fills the buffer, as far as there is something.
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize>;
    /// Goes on behind so many bytes. Whether there are so many.
    fn skip(&mut self, bytes: u64) -> io::Result<bool>;
}

/// One member.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Member {
    /// As it stands there; none where it is no UTF-8, which no name of ours is.
    pub(super) name: Option<String>,
    pub(super) kind: Kind,
    /// Bytes of its content.
    pub(super) size: u64,
    /// Where its content begins.
    pub(super) offset: u64,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    File,
    /// A symbolic link: its target counts from the directory of the member.
    Symlink(String),
    /// A hard link: its target counts from the top.
    Link(String),
    /// Directories, devices, and what we do not know.
    Other,
}

/// Walks over the members.
pub(super) struct Members<B> {
    archive: String,
    blocks: B,
    /// Of the next byte that `blocks` gives.
    position: u64,
    /// Bytes of the current member, with its padding, that nobody read.
    pending: u64,
    /// Of those, the content.
    content: u64,
    current: String,
}

/// What extensions say of the next member.
#[derive(Default)]
struct Extensions {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    is_sparse: bool,
}

impl<B: Blocks> Members<B> {
    pub(super) fn new(archive: &str, blocks: B) -> Self {
        let (archive, current) = (archive.to_owned(), "its first header".to_owned());
        Self { archive, blocks, position: 0, pending: 0, content: 0, current }
    }

    /// The next member, `None` at the end. What nobody read of the one before is skipped.
    pub(super) fn next(&mut self) -> Result<Option<Member>, ArchiveError> {
        let mut extensions = Extensions::default();
        for _ in 0..=MAX_EXTENSIONS {
            let Some((header, size)) = self.header()? else { return Ok(None) };
            match header.entry_type() {
                EntryType::GNULongName => extensions.name = Some(self.long_name(size)?),
                EntryType::GNULongLink => extensions.link = Some(self.long_name(size)?),
                EntryType::XHeader => self.pax(size, &mut extensions)?,
                // Of the whole archive: a comment, or times.
                EntryType::XGlobalHeader => drop(self.extension(size)?),
                _ => return self.member(&header, size, extensions).map(Some),
            }
        }
        Err(self.broken("more extensions than any name needs"))
    }

    /// Reads from the content of the current member; nothing at its end.
    pub(super) fn read(&mut self, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
        let wanted = usize::try_from(self.content).unwrap_or(usize::MAX).min(buffer.len());
        let count = self.fill(&mut buffer[..wanted])?;
        if count < wanted {
            return Err(self.cut_off());
        }
        let count = u64::try_from(count).unwrap_or(0);
        self.content -= count;
        self.pending -= count;
        Ok(wanted)
    }

    fn header(&mut self) -> Result<Option<(Header, u64)>, ArchiveError> {
        self.finish()?;
        let mut header = Header::new_old();
        let start = self.position;
        match self.fill(header.as_mut_bytes())? {
            // GNU tar ends with two empty blocks; an archive that just ends is fine, too.
            0 => return Ok(None),
            512 => {}
            _ => return Err(self.cut_off()),
        }
        if header.as_bytes().iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let at_start = |problem: &str| self.broken_at(start, problem);
        if header.cksum().ok() != Some(checksum(header.as_bytes())) {
            return Err(at_start("wrong check sum of a header"));
        }
        let size = header.entry_size().map_err(|_| at_start("a size that is no number"))?;
        self.expect(size)?;
        Ok(Some((header, size)))
    }

    /// So many bytes of content follow.
    fn expect(&mut self, size: u64) -> Result<(), ArchiveError> {
        let padded = size.checked_next_multiple_of(BLOCK);
        let end = padded.and_then(|padded| self.position.checked_add(padded));
        let (Some(padded), Some(_)) = (padded, end) else {
            return Err(self.broken("a size beyond all files"));
        };
        (self.pending, self.content) = (padded, size);
        Ok(())
    }

    /// Skips what is left of the current member.
    fn finish(&mut self) -> Result<(), ArchiveError> {
        let pending = std::mem::take(&mut self.pending);
        self.content = 0;
        match self.blocks.skip(pending) {
            Ok(true) => {
                self.position += pending;
                Ok(())
            }
            Ok(false) => Err(self.cut_off()),
            Err(source) => Err(self.unreadable(source)),
        }
    }

    fn member(
        &mut self,
        header: &Header,
        size: u64,
        extensions: Extensions,
    ) -> Result<Member, ArchiveError> {
        let is_sparse = extensions.is_sparse || header.entry_type() == EntryType::GNUSparse;
        let name = extensions.name.unwrap_or_else(|| header.path_bytes().into_owned());
        let name = String::from_utf8(name).ok();
        self.current = name.clone().unwrap_or_else(|| "a member".to_owned());
        if is_sparse {
            return Err(self.broken("a sparse member, which no image has,"));
        }
        let target = || match extensions.link {
            Some(link) => String::from_utf8(link).ok(),
            None => String::from_utf8(header.link_name_bytes()?.into_owned()).ok(),
        };
        let kind = match header.entry_type() {
            EntryType::Regular | EntryType::Continuous => Kind::File,
            EntryType::Symlink => target().map_or(Kind::Other, Kind::Symlink),
            EntryType::Link => target().map_or(Kind::Other, Kind::Link),
            _ => Kind::Other,
        };
        let size = extensions.size.unwrap_or(size);
        self.expect(size)?;
        Ok(Member { name, kind, size, offset: self.position })
    }

    fn long_name(&mut self, size: u64) -> Result<Vec<u8>, ArchiveError> {
        let mut name = self.extension(size)?;
        let end = name.iter().position(|byte| *byte == 0).unwrap_or(name.len());
        name.truncate(end);
        Ok(name)
    }

    fn pax(&mut self, size: u64, extensions: &mut Extensions) -> Result<(), ArchiveError> {
        let bytes = self.extension(size)?;
        let mut rest = bytes.as_slice();
        while !rest.is_empty() {
            let (key, value, next) =
                record(rest).ok_or_else(|| self.broken("an extension that is none"))?;
            rest = next;
            match key {
                b"path" => extensions.name = Some(value.to_vec()),
                b"linkpath" => extensions.link = Some(value.to_vec()),
                b"size" => {
                    let number = std::str::from_utf8(value).ok().and_then(|t| t.parse().ok());
                    let number = number.ok_or_else(|| self.broken("a size that is no number"))?;
                    extensions.size = Some(number);
                }
                key if key.starts_with(b"GNU.sparse.") => extensions.is_sparse = true,
                _ => {}
            }
        }
        Ok(())
    }

    fn extension(&mut self, size: u64) -> Result<Vec<u8>, ArchiveError> {
        if size > MAX_EXTENSION {
            return Err(self.broken("a name longer than any path"));
        }
        let mut bytes = vec![0; usize::try_from(size).unwrap_or(0)];
        self.read(&mut bytes)?;
        Ok(bytes)
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, ArchiveError> {
        let count = self.blocks.fill(buffer).map_err(|source| self.unreadable(source))?;
        self.position += u64::try_from(count).unwrap_or(0);
        Ok(count)
    }

    fn unreadable(&self, source: io::Error) -> ArchiveError {
        match source.kind() {
            // Of compressed data that ends too early.
            io::ErrorKind::UnexpectedEof => self.cut_off(),
            _ => ArchiveError::Read { archive: self.archive.clone(), source },
        }
    }

    fn cut_off(&self) -> ArchiveError {
        ArchiveError::CutOff { archive: self.archive.clone(), member: self.current.clone() }
    }

    fn broken(&self, problem: &str) -> ArchiveError {
        self.broken_at(self.position, problem)
    }

    fn broken_at(&self, offset: u64, problem: &str) -> ArchiveError {
        ArchiveError::Tar { archive: self.archive.clone(), problem: problem.to_owned(), offset }
    }
}

/// The first record of a pax extension, and what follows it: `LENGTH KEY=VALUE\n`, where the length
/// counts all of it. Not the `tar` crate's, which takes a line break in a value for the end.
fn record(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8])> {
    let space = bytes.iter().take(20).position(|byte| *byte == b' ')?;
    let length: usize = std::str::from_utf8(&bytes[..space]).ok()?.parse().ok()?;
    let text = bytes.get(space + 1..length)?.strip_suffix(b"\n")?;
    let equals = text.iter().position(|byte| *byte == b'=')?;
    Some((&text[..equals], &text[equals + 1..], &bytes[length..]))
}

/// The sum of a header's bytes, where its own field counts as spaces.
fn checksum(header: &[u8; 512]) -> u32 {
    let field = 148..156;
    let byte = |(at, byte): (usize, &u8)| if field.contains(&at) { 32 } else { u32::from(*byte) };
    header.iter().enumerate().map(byte).sum()
}

/// Whether some bytes are the first block of a tar.
pub(super) fn is_header(block: &[u8]) -> bool {
    let Ok(block) = <[u8; 512]>::try_from(block) else { return false };
    let header = Header::from_byte_slice(&block);
    block.iter().all(|byte| *byte == 0) || header.cksum().ok() == Some(checksum(&block))
}

/// A file that can be read anywhere.
pub(super) struct InFile<'f> {
    file: &'f File,
    position: u64,
    length: u64,
}

impl<'f> InFile<'f> {
    pub(super) fn new(file: &'f File) -> io::Result<Self> {
        Ok(Self { file, position: 0, length: file.metadata()?.len() })
    }
}

impl Blocks for InFile<'_> {
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.file.read_at(&mut buffer[done..], self.position) {
                Ok(0) => break,
                Ok(count) => {
                    done += count;
                    self.position += u64::try_from(count).unwrap_or(0);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn skip(&mut self, bytes: u64) -> io::Result<bool> {
        // The bytes are looked at by whoever copies them; that they are there is seen now.
        match self.position.checked_add(bytes) {
            Some(end) if end <= self.length => {
                self.position = end;
                Ok(true)
            }
            _ => Ok(bytes == 0),
        }
    }
}

/// A stream, read from its beginning to its end.
pub(super) struct InStream<R>(pub(super) R);

impl<R: Read> Blocks for InStream<R> {
    fn fill(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let mut done = 0;
        while done < buffer.len() {
            match self.0.read(&mut buffer[done..]) {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(done)
    }

    fn skip(&mut self, bytes: u64) -> io::Result<bool> {
        Ok(io::copy(&mut self.0.by_ref().take(bytes), &mut io::sink())? == bytes)
    }
}

impl<R: Read> Members<InStream<R>> {
    /// Reads what follows the last member: whoever writes into the pipe shall not die of it.
    pub(super) fn drain(&mut self) {
        // tar(1) fills up to 10 KiB, other programs to more.
        let _ = io::copy(&mut self.blocks.0.by_ref().take(1 << 20), &mut io::sink());
    }
}
