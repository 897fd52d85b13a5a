//! Layers by hand, honest ones and hostile ones.

mod attributes;
mod hostile;
mod like_tar;
mod overlay;
mod shapes;

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use super::*;

/// An archive that is being put together.
#[derive(Clone, Default)]
pub(super) struct Tar(Vec<u8>);

/// A header with the fields that nearly all entries have.
pub(super) fn header(kind: u8, path: &[u8], size: u64) -> tar::Header {
    let mut header = tar::Header::new_gnu();
    let name = &mut header.as_old_mut().name;
    name[..path.len()].copy_from_slice(path);
    header.set_entry_type(tar::EntryType::new(kind));
    header.set_size(size);
    header.set_mode(0o644);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(1_000_000_000);
    header
}

impl Tar {
    /// Adds an entry as it is, with its checksum.
    pub(super) fn raw(mut self, mut header: tar::Header, content: &[u8]) -> Self {
        header.set_cksum();
        self.0.extend_from_slice(header.as_bytes());
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    pub(super) fn file(self, path: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        let content = content.as_ref();
        self.raw(header(b'0', path.as_ref(), content.len() as u64), content)
    }

    pub(super) fn directory(self, path: impl AsRef<[u8]>) -> Self {
        let mut header = header(b'5', path.as_ref(), 0);
        header.set_mode(0o755);
        self.raw(header, b"")
    }

    pub(super) fn symlink(self, path: impl AsRef<[u8]>, text: impl AsRef<[u8]>) -> Self {
        self.link(b'2', path.as_ref(), text.as_ref())
    }

    pub(super) fn hard_link(self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        self.link(b'1', path.as_ref(), target.as_ref())
    }

    fn link(self, kind: u8, path: &[u8], target: &[u8]) -> Self {
        let mut header = header(kind, path, 0);
        header.set_mode(0o777);
        if target.len() <= 100 {
            header.as_old_mut().linkname[..target.len()].copy_from_slice(target);
            return self.raw(header, b"");
        }
        let long = super::tests::header(b'K', b"././@LongLink", target.len() as u64);
        self.raw(long, target).raw(header, b"")
    }

    pub(super) fn device(self, kind: u8, path: &str, major: u32, minor: u32) -> Self {
        let mut header = header(kind, path.as_bytes(), 0);
        header.set_device_major(major).unwrap();
        header.set_device_minor(minor).unwrap();
        self.raw(header, b"")
    }

    /// Adds pax records for the next entry.
    pub(super) fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let mut text = Vec::new();
        for (key, value) in records {
            let rest = [b" ", key.as_bytes(), b"=", *value, b"\n"].concat();
            let mut length = rest.len() + 1;
            while length != rest.len() + length.to_string().len() {
                length = rest.len() + length.to_string().len();
            }
            text.extend_from_slice(length.to_string().as_bytes());
            text.extend_from_slice(&rest);
        }
        self.raw(header(b'x', b"pax", text.len() as u64), &text)
    }

    /// The archive with its end.
    pub(super) fn end(mut self) -> Vec<u8> {
        self.0.resize(self.0.len() + 1024, 0);
        self.0
    }

    /// The archive without its end.
    pub(super) fn cut(self) -> Vec<u8> {
        self.0
    }
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn zstd_frame(bytes: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(bytes, 1).unwrap()
}

pub(super) fn blob(bytes: &[u8]) -> File {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(bytes).unwrap();
    file
}

/// A directory to unpack to, and beside it one that nothing may get to.
pub(super) struct Place {
    pub(super) directory: tempfile::TempDir,
    pub(super) ids: Ids,
    pub(super) limits: Limits,
    pub(super) mode: Mode,
    pub(super) compression: Option<Compression>,
}

impl Place {
    pub(super) fn new(mode: Mode) -> Self {
        let directory = tempfile::tempdir().unwrap();
        std::fs::create_dir(directory.path().join("target")).unwrap();
        std::fs::create_dir(directory.path().join("outside")).unwrap();
        std::fs::write(directory.path().join("outside/secret"), "secret").unwrap();
        let (ids, limits) = (Ids::default(), Limits::default());
        Self { directory, ids, limits, mode, compression: None }
    }

    pub(super) fn target(&self) -> PathBuf {
        self.directory.path().join("target")
    }

    pub(super) fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.target().join(path)
    }

    pub(super) fn outside(&self) -> PathBuf {
        self.directory.path().join("outside")
    }

    pub(super) fn unpack(&self, archive: &[u8]) -> Result<Unpacked, LayerError> {
        self.unpack_blob(archive, &Digest::of(archive))
    }

    pub(super) fn unpack_blob(
        &self,
        bytes: &[u8],
        diff_id: &Digest,
    ) -> Result<Unpacked, LayerError> {
        let (blob, target) = (blob(bytes), File::open(self.target()).unwrap());
        let request = Request {
            blob: &blob,
            digest: None,
            compression: self.compression,
            diff_id,
            target: target.as_fd(),
            mode: self.mode,
            ids: &self.ids,
            limits: &self.limits,
        };
        unpack(&request, &mut |_| {})
    }

    /// The problem of an archive, after a look that nothing outside was changed.
    pub(super) fn refusal(&self, archive: &[u8]) -> String {
        let error = self.unpack(archive).unwrap_err();
        self.assert_outside_is_untouched();
        error.problem.to_string()
    }

    pub(super) fn assert_outside_is_untouched(&self) {
        let names = |path: &Path| {
            let entries = std::fs::read_dir(path).unwrap();
            let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name()).collect();
            names.sort();
            names
        };
        assert_eq!(names(self.directory.path()), ["outside", "target"]);
        assert_eq!(names(&self.outside()), ["secret"]);
        let secret = self.outside().join("secret");
        assert_eq!(std::fs::read(&secret).unwrap(), b"secret");
        assert_eq!(std::os::unix::fs::MetadataExt::nlink(&secret.metadata().unwrap()), 1);
    }
}

/// Every path below a directory.
pub(super) fn paths(directory: &Path) -> Vec<String> {
    let text = |path: PathBuf| path.to_string_lossy().into_owned();
    all_paths(directory).into_iter().map(text).collect()
}

/// The same, whatever bytes they have.
fn all_paths(directory: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut waiting = vec![directory.to_owned()];
    while let Some(next) = waiting.pop() {
        for entry in std::fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            found.push(path.strip_prefix(directory).unwrap().to_owned());
            if path.symlink_metadata().unwrap().is_dir() {
                waiting.push(path);
            }
        }
    }
    found.sort();
    found
}
