//! Opening what an image is packed in.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use rustix::fs::{FileType, OFlags};

use super::compression::{HEAD, peek};
use super::members::{InStream, Members, is_header};
use super::{ArchiveError, Origin, Transport};
use crate::layer::Compression;

/// An archive that can be read.
pub(super) enum Input<'a> {
    /// A plain tar in a file.
    Plain(File),
    /// The plain tar of a pipe, or of a compressed file.
    Stream(Box<dyn Read + Send + 'a>),
}

/// Opens an archive and finds out how it is compressed.
pub(super) fn open<'a>(archive: &str, origin: Origin<'a>) -> Result<Input<'a>, ArchiveError> {
    let failed = |source| ArchiveError::Read { archive: archive.to_owned(), source };
    let stream: Box<dyn Read + Send + 'a> = match origin {
        Origin::Stream(stream) => stream,
        Origin::Path(path) => match open_path(path).map_err(failed)? {
            (file, true) => match file_compression(archive, &file)? {
                Compression::Plain => return Ok(Input::Plain(file)),
                compression => {
                    return compression.decoder(file).map(Input::Stream).map_err(failed);
                }
            },
            (file, false) => Box::new(file),
        },
    };
    let (head, stream) = peek(stream, HEAD).map_err(failed)?;
    let compression = known(archive, &head)?;
    compression.decoder(stream).map(Input::Stream).map_err(failed)
}

/// Opens a path, with whether it is a regular file.
pub(super) fn open_path(path: &Path) -> io::Result<(File, bool)> {
    let file = File::open(path)?;
    let kind = FileType::from_raw_mode(rustix::fs::fstat(&file)?.st_mode);
    match kind {
        FileType::RegularFile => Ok((file, true)),
        FileType::Fifo | FileType::Socket | FileType::CharacterDevice => Ok((file, false)),
        _ => Err(io::ErrorKind::IsADirectory.into()),
    }
}

/// How a regular file is compressed.
pub(super) fn file_compression(archive: &str, file: &File) -> Result<Compression, ArchiveError> {
    let failed = |source| ArchiveError::Read { archive: archive.to_owned(), source };
    known(archive, &beginning(file, HEAD).map_err(failed)?)
}

fn beginning(file: &File, most: usize) -> io::Result<Vec<u8>> {
    use std::os::unix::fs::FileExt;
    let mut head = vec![0; most];
    let mut done = 0;
    while done < most {
        match file.read_at(&mut head[done..], u64::try_from(done).unwrap_or(0))? {
            0 => break,
            count => done += count,
        }
    }
    head.truncate(done);
    Ok(head)
}

pub(super) fn known(archive: &str, head: &[u8]) -> Result<Compression, ArchiveError> {
    Compression::by_magic(head).map_err(|name| ArchiveError::Refused {
        archive: archive.to_owned(),
        problem: format!("compressed with {name}; plain, gzip and zstd are understood"),
    })
}

/// How the thing at a path is packed. Of an archive the first member tells: a root file system has
/// no such name at its beginning.
pub(super) fn detect(path: &Path) -> Result<Transport, ArchiveError> {
    let archive = path.display().to_string();
    let failed = |source| ArchiveError::Read { archive: archive.clone(), source };
    if path.metadata().map_err(failed)?.is_dir() {
        let has = |name: &str| path.join(name).is_file();
        return match (has("index.json"), has("manifest.json")) {
            (true, _) => Ok(Transport::Layout),
            (false, true) => Ok(Transport::Directory),
            (false, false) => Err(ArchiveError::Refused {
                archive,
                problem: "a directory with neither index.json nor manifest.json".to_owned(),
            }),
        };
    }
    let mut options = OpenOptions::new();
    // Looking into a pipe would take away what is in it.
    options.read(true).custom_flags(OFlags::NONBLOCK.bits().cast_signed());
    let file = options.open(path).map_err(failed)?;
    if !file.metadata().map_err(failed)?.is_file() {
        let problem = "no regular file: say how the image in it is packed".to_owned();
        return Err(ArchiveError::Refused { archive, problem });
    }
    let plain = file_compression(&archive, &file)?.decoder(file).map_err(failed)?;
    let first = Members::new(&archive, InStream(plain)).next()?;
    let name = first.and_then(|member| member.name).unwrap_or_default();
    Ok(if is_of_image(&name) { Transport::AnyArchive } else { Transport::Rootfs })
}

/// Whether an archive that begins with this name is one of an image.
fn is_of_image(name: &str) -> bool {
    let name = name.trim_start_matches("./").trim_end_matches('/');
    let stem = name.split(['/', '.']).next().unwrap_or_default();
    let digits = stem.strip_prefix("sha256:").unwrap_or(stem);
    let is_digest = digits.len() == 64 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    let known = ["blobs", "index.json", "oci-layout", "manifest.json", "repositories"];
    is_digest || known.contains(&name) || name.starts_with("blobs/")
}

/// Whether a stream of plain bytes begins as a tar does.
pub(super) fn is_tar(plain: &mut dyn Read) -> io::Result<bool> {
    let mut block = Vec::new();
    plain.take(512).read_to_end(&mut block)?;
    Ok(is_header(&block))
}
