//! Entries of a layer, and their bytes in a tar stream: good ones, odd ones and lies.
//!
//! The formats are POSIX's ustar with extended headers (pax), GNU's long names and both ways in which GNU
//! tar keeps sparse files ("Basic Tar Format", "Storing Sparse Files" in the manual of GNU tar). Extended
//! attributes are the `SCHILY.xattr.` records that the OCI image specification names.

use std::io;
use std::io::Write;

use tar::EntryType;
use tar::GnuExtSparseHeader;
use tar::GnuSparseHeader;
use tar::Header;

/// Everything in a tar stream is a multiple of this, in bytes.
const BLOCK: usize = 512;

/// How many sparse pieces the header of an old GNU sparse file has room for.
const OLD_SPARSE: usize = 4;

/// When entries were modified that say nothing else: 2024-01-01.
const MODIFIED: i64 = 1_704_067_200;

/// One entry. Fields can hold anything, sense or not; what [`Entry::new`] makes has sense.
#[derive(Debug, Clone)]
pub struct Entry {
    /// The path as it stands in the stream: any bytes but NUL, of any length.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permissions, set-id bits and sticky bit.
    pub mode: u32,
    /// Its user; as large as one likes.
    pub uid: u64,
    /// Its group; as large as one likes.
    pub gid: u64,
    /// When it was modified: seconds since 1970 and nanoseconds.
    pub modified: (i64, u32),
    /// Further records of its extended header, as they are: any keys, any bytes.
    pub records: Vec<(Vec<u8>, Vec<u8>)>,
    /// How names are kept that do not fit the header.
    pub long_names: LongNames,
    /// The size that the header claims, where it is a lie.
    pub claimed_size: Option<u64>,
}

/// What an entry is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A regular file with this content.
    File(Vec<u8>),
    /// A regular file of so many zeros, written one after another.
    Zeros(u64),
    /// A regular file with holes: pieces by their offsets, in order.
    Sparse {
        /// The size of the file in bytes, holes included.
        size: u64,
        /// What is not a hole. GNU tar reads whole blocks: lengths are multiples of 512, but for the
        /// last.
        pieces: Vec<(u64, Vec<u8>)>,
        /// How it is kept.
        format: SparseFormat,
    },
    /// A directory.
    Directory,
    /// A symbolic link to this.
    Symlink(Vec<u8>),
    /// One more name of the entry with this name.
    HardLink(Vec<u8>),
    /// A character device: major and minor number.
    Character(u32, u32),
    /// A block device: major and minor number.
    Block(u32, u32),
    /// A fifo.
    Fifo,
    /// Any type byte at all, with this content.
    Other(u8, Vec<u8>),
}

/// How a sparse file is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SparseFormat {
    /// Type `S` with the map in the header.
    OldGnu,
    /// A regular file with records `GNU.sparse.*` and the map before its content (version 1.0).
    Pax,
}

/// How names of more than 100 bytes are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LongNames {
    /// In records `path` and `linkpath`.
    Pax,
    /// In entries of their own before it, of type `L` and `K`.
    Gnu,
}

impl Entry {
    /// An entry owned by root, modified at the start of 2024.
    #[must_use]
    pub fn new(name: impl AsRef<[u8]>, kind: Kind, mode: u32) -> Self {
        Self {
            name: name.as_ref().to_vec(),
            kind,
            mode,
            uid: 0,
            gid: 0,
            modified: (MODIFIED, 0),
            records: Vec::new(),
            long_names: LongNames::Pax,
            claimed_size: None,
        }
    }

    /// A regular file, mode 0644.
    #[must_use]
    pub fn file(name: impl AsRef<[u8]>, content: impl AsRef<[u8]>) -> Self {
        Self::new(name, Kind::File(content.as_ref().to_vec()), 0o644)
    }

    /// A directory, mode 0755.
    #[must_use]
    pub fn directory(name: impl AsRef<[u8]>) -> Self {
        Self::new(name, Kind::Directory, 0o755)
    }

    /// A symbolic link to `target`.
    #[must_use]
    pub fn symlink(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        Self::new(name, Kind::Symlink(target.as_ref().to_vec()), 0o777)
    }

    /// One more name of `target`, a path as entries have it.
    #[must_use]
    pub fn hard_link(name: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Self {
        Self::new(name, Kind::HardLink(target.as_ref().to_vec()), 0o644)
    }

    /// The whiteout of `name` in the directory `directory` (`""`: the root).
    #[must_use]
    pub fn whiteout(directory: &str, name: &str) -> Self {
        let slash = if directory.is_empty() { "" } else { "/" };
        Self::file(format!("{directory}{slash}.wh.{name}"), "")
    }

    /// What makes the directory opaque: nothing that lower layers have in it shows.
    #[must_use]
    pub fn opaque(directory: &str) -> Self {
        Self::whiteout(directory, ".wh..opq")
    }

    /// The same with another mode.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.mode = mode;
        self
    }

    /// The same with another owner.
    #[must_use]
    pub fn owner(mut self, uid: u64, gid: u64) -> Self {
        (self.uid, self.gid) = (uid, gid);
        self
    }

    /// The same, modified so many seconds and nanoseconds after 1970.
    #[must_use]
    pub fn modified(mut self, seconds: i64, nanoseconds: u32) -> Self {
        self.modified = (seconds, nanoseconds);
        self
    }

    /// The same with one more extended attribute.
    #[must_use]
    pub fn xattr(self, name: &str, value: impl AsRef<[u8]>) -> Self {
        self.record(format!("SCHILY.xattr.{name}"), value)
    }

    /// The same with one more record in its extended header.
    #[must_use]
    pub fn record(mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Self {
        self.records.push((key.as_ref().to_vec(), value.as_ref().to_vec()));
        self
    }

    /// The same with GNU's way of keeping long names.
    #[must_use]
    pub fn gnu(mut self) -> Self {
        self.long_names = LongNames::Gnu;
        self
    }

    /// Writes the entry, with the extended header that it needs.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(&self, out: &mut dyn Write) -> io::Result<()> {
        let mut records = self.records.clone();
        let (seconds, nanoseconds) = self.modified;
        if nanoseconds != 0 || seconds < 0 {
            records.push((b"mtime".into(), format!("{seconds}.{nanoseconds:09}").into()));
        }
        let target = match &self.kind {
            Kind::Symlink(target) | Kind::HardLink(target) => target.as_slice(),
            _ => b"",
        };
        for (key, kind, value) in [("path", b'L', self.name.as_slice()), ("linkpath", b'K', target)]
        {
            match self.long_names {
                _ if value.len() <= 100 => {}
                LongNames::Pax => records.push((key.into(), value.to_vec())),
                LongNames::Gnu => {
                    let content = [value, b"\0"].concat();
                    let name = Self::new("././@LongLink", Kind::Other(kind, content), 0);
                    name.write(out)?;
                }
            }
        }
        if let Kind::Sparse { size, format: SparseFormat::Pax, .. } = &self.kind {
            for (key, value) in [("major", "1"), ("minor", "0"), ("realsize", &size.to_string())] {
                records.push((format!("GNU.sparse.{key}").into(), value.into()));
            }
            records.push((b"GNU.sparse.name".into(), self.name.clone()));
        }
        if !records.is_empty() {
            extended_header(b'x', &records).write(out)?;
        }
        self.write_itself(target, out)
    }

    fn write_itself(&self, target: &[u8], out: &mut dyn Write) -> io::Result<()> {
        let (kind, content, numbers) = self.parts();
        let size = match &self.kind {
            Kind::Zeros(size) => *size,
            _ => content.len() as u64,
        };
        let mut header = if self.long_names == LongNames::Gnu || kind == EntryType::GNUSparse {
            Header::new_gnu()
        } else {
            Header::new_ustar()
        };
        put(&mut header.as_old_mut().name, &self.name);
        put(&mut header.as_old_mut().linkname, target);
        header.set_entry_type(kind);
        header.set_mode(self.mode);
        header.set_uid(self.uid);
        header.set_gid(self.gid);
        header.set_mtime(u64::try_from(self.modified.0).unwrap_or_default());
        header.set_size(self.claimed_size.unwrap_or(size));
        header.set_device_major(numbers.0)?;
        header.set_device_minor(numbers.1)?;
        let further = self.old_sparse_map(&mut header);
        header.set_cksum();
        out.write_all(header.as_bytes())?;
        for map in further {
            out.write_all(map.as_bytes())?;
        }
        out.write_all(&content)?;
        if let Kind::Zeros(size) = self.kind {
            zeros(size, out)?;
        }
        let rest = (BLOCK as u64 - size % BLOCK as u64) % BLOCK as u64;
        zeros(rest, out)
    }

    /// The type, what follows the header (but zeros), device numbers.
    fn parts(&self) -> (EntryType, Vec<u8>, (u32, u32)) {
        let none = (0, 0);
        match &self.kind {
            Kind::File(content) => (EntryType::Regular, content.clone(), none),
            Kind::Zeros(_) => (EntryType::Regular, Vec::new(), none),
            Kind::Sparse { pieces, format, size } => {
                let data = pieces.iter().flat_map(|(_, bytes)| bytes).copied();
                match format {
                    SparseFormat::OldGnu => (EntryType::GNUSparse, data.collect(), none),
                    SparseFormat::Pax => {
                        let content = pax_sparse_map(pieces, *size).into_iter().chain(data);
                        (EntryType::Regular, content.collect(), none)
                    }
                }
            }
            Kind::Directory => (EntryType::Directory, Vec::new(), none),
            Kind::Symlink(_) => (EntryType::Symlink, Vec::new(), none),
            Kind::HardLink(_) => (EntryType::Link, Vec::new(), none),
            Kind::Character(major, minor) => (EntryType::Char, Vec::new(), (*major, *minor)),
            Kind::Block(major, minor) => (EntryType::Block, Vec::new(), (*major, *minor)),
            Kind::Fifo => (EntryType::Fifo, Vec::new(), none),
            Kind::Other(kind, content) => (EntryType::new(*kind), content.clone(), none),
        }
    }

    /// Puts the map of an old GNU sparse file into its header; what follows where it is too long.
    fn old_sparse_map(&self, header: &mut Header) -> Vec<GnuExtSparseHeader> {
        let Kind::Sparse { size, pieces, format: SparseFormat::OldGnu } = &self.kind else {
            return Vec::new();
        };
        let Some(header) = header.as_gnu_mut() else { return Vec::new() };
        header.set_real_size(*size);
        let map = sparse_map(pieces, *size);
        let (first, rest) = map.split_at(map.len().min(OLD_SPARSE));
        fill(&mut header.sparse, first);
        header.set_is_extended(!rest.is_empty());
        let chunks: Vec<_> = rest.chunks(GnuExtSparseHeader::new().sparse().len()).collect();
        let mut further = Vec::new();
        for (index, chunk) in chunks.iter().enumerate() {
            let mut map = GnuExtSparseHeader::new();
            fill(map.sparse_mut(), chunk);
            map.set_is_extended(index + 1 < chunks.len());
            further.push(map);
        }
        further
    }
}

/// An extended header: of type `x` for the entry that follows, `g` for all that follow.
#[must_use]
pub fn extended_header(kind: u8, records: &[(Vec<u8>, Vec<u8>)]) -> Entry {
    let content = records.iter().flat_map(|(key, value)| record(key, value)).collect();
    Entry::new("PaxHeaders/entry", Kind::Other(kind, content), 0o644)
}

/// The bytes of a tar stream with these entries and its end.
#[must_use]
pub fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for entry in entries {
        // Writing to a vector cannot fail, and device numbers fit headers of both formats.
        let _infallible = entry.write(&mut bytes);
    }
    bytes.extend([0; 2 * BLOCK]);
    bytes
}

/// `LENGTH KEY=VALUE`, where the length counts itself.
fn record(key: &[u8], value: &[u8]) -> Vec<u8> {
    let rest = key.len() + value.len() + 3;
    let mut length = rest + 1;
    while length != rest + length.to_string().len() {
        length = rest + length.to_string().len();
    }
    [length.to_string().as_bytes(), b" ", key, b"=", value, b"\n"].concat()
}

/// Offsets and lengths of pieces; a hole at the end is a piece of nothing there.
fn sparse_map(pieces: &[(u64, Vec<u8>)], size: u64) -> Vec<(u64, u64)> {
    let mut map: Vec<(u64, u64)> =
        pieces.iter().map(|(offset, bytes)| (*offset, bytes.len() as u64)).collect();
    if map.last().is_none_or(|(offset, length)| offset + length < size) {
        map.push((size, 0));
    }
    map
}

fn pax_sparse_map(pieces: &[(u64, Vec<u8>)], size: u64) -> Vec<u8> {
    let map = sparse_map(pieces, size);
    let mut text = format!("{}\n", map.len());
    for (offset, length) in map {
        text.push_str(&format!("{offset}\n{length}\n"));
    }
    let mut bytes = text.into_bytes();
    bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
    bytes
}

fn fill(places: &mut [GnuSparseHeader], map: &[(u64, u64)]) {
    for (place, (offset, length)) in places.iter_mut().zip(map) {
        place.set_offset(*offset);
        place.set_length(*length);
    }
}

/// As much of `bytes` as fits.
fn put(field: &mut [u8], bytes: &[u8]) {
    let length = bytes.len().min(field.len());
    field[..length].copy_from_slice(&bytes[..length]);
}

fn zeros(count: u64, out: &mut dyn Write) -> io::Result<()> {
    io::copy(&mut io::Read::take(io::repeat(0), count), out).map(drop)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::tree::Content;
    use crate::tree::Tree;

    /// What GNU tar makes of a stream.
    fn unpacked(bytes: &[u8]) -> (tempfile::TempDir, Tree) {
        let dir = tempfile::tempdir().unwrap();
        let (file, root) = (dir.path().join("tar"), dir.path().join("root"));
        std::fs::write(&file, bytes).unwrap();
        std::fs::create_dir(&root).unwrap();
        let mut command = Command::new("tar");
        command.args(["--xattrs", "--xattrs-include=*", "-xpf"]).arg(&file).arg("-C").arg(&root);
        crate::process::output_of(&mut command).unwrap();
        let tree = Tree::read(&root).unwrap();
        (dir, tree)
    }

    #[test]
    fn gnu_tar_reads_every_kind() {
        let long = [b"long/".to_vec(), vec![b'n'; 200]].concat();
        let sparse = |format| Kind::Sparse {
            size: 1 << 20,
            pieces: (0..7).map(|n| (n * 102_400, vec![b'x'; 512])).collect(),
            format,
        };
        let (_dir, tree) = unpacked(&tar(&[
            Entry::directory("d").mode(0o1777).owner(5, 6).modified(1_000_000_000, 123_456_789),
            Entry::file(b"d/odd\n\xff", "content").xattr("user.lxcri", b"\0\n="),
            Entry::hard_link("hard", b"d/odd\n\xff"),
            Entry::symlink("link", [b'/'; 150]),
            Entry::directory("long"),
            Entry::file(&long, "pax"),
            Entry::file([&long[..], b"2"].concat(), "gnu").gnu(),
            Entry::new("null", Kind::Character(1, 3), 0o666),
            Entry::new("fifo", Kind::Fifo, 0o600),
            Entry::new("zeros", Kind::Zeros(100_000), 0o600).owner(3_000_000_000, 2),
            Entry::new("old", sparse(SparseFormat::OldGnu), 0o600),
            Entry::new("new", sparse(SparseFormat::Pax), 0o600),
        ]));
        let node = |name: &[u8]| match tree.nodes.get(name) {
            Some(node) => node,
            None => panic!("no {}", name.escape_ascii()),
        };
        let size = |name: &[u8]| match &node(name).content {
            Content::File { size, .. } => *size,
            other => panic!("{other:?}"),
        };
        assert_eq!(node(b"d").mode, 0o1777);
        assert_eq!(node(b"d").modified, (1_000_000_000, 123_456_789));
        assert_eq!((node(b"d").uid, node(b"d").gid), (5, 6));
        assert_eq!(node(b"d/odd\n\xff").xattrs[&b"user.lxcri"[..]], b"\0\n=");
        assert_eq!(node(b"hard").first_name, b"d/odd\n\xff");
        assert_eq!(node(b"link").content, Content::Link(vec![b'/'; 150]));
        assert_eq!(node(b"null").content, Content::Special('c', 1, 3));
        assert_eq!((size(&long), size(b"zeros"), node(b"zeros").uid), (3, 100_000, 3_000_000_000));
        assert_eq!(size(&[&long[..], b"2"].concat()), 3);
        assert_eq!(size(b"old"), 1 << 20);
        assert_eq!(node(b"old").content, node(b"new").content);
    }

    #[test]
    fn a_record_counts_its_own_length() {
        assert_eq!(record(b"k", b"v"), b"6 k=v\n");
        for length in 0..2000 {
            let record = record(b"key", &vec![b'v'; length]);
            let claimed = record.split(|byte| *byte == b' ').next().unwrap();
            assert_eq!(String::from_utf8_lossy(claimed), record.len().to_string());
        }
    }

    #[test]
    fn whiteouts() {
        assert_eq!(Entry::whiteout("", "a").name, b".wh.a");
        assert_eq!(Entry::opaque("etc/x").name, b"etc/x/.wh..wh..opq");
    }
}
