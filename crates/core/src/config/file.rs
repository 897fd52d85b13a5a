//! Reading configuration files, and finding a place in their text.

use std::fs::{File, OpenOptions};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use rustix::fs::OFlags;

use super::problem::{Fault, Position};

/// More than any configuration needs, and little enough to be read and searched at once.
pub(super) const LARGEST: u64 = 1 << 20;

/// Reads a configuration file; `Ok(None)` when there is none.
pub(super) fn read(path: &Path) -> Result<Option<String>, Fault> {
    // Without O_NONBLOCK opening a fifo would wait for a writer for ever.
    let flags = (OFlags::NONBLOCK | OFlags::NOCTTY).bits().cast_signed();
    let file = match OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) if is_absent(&error) => return Ok(None),
        Err(error) => return Err(error.into()),
    };
    refuse_other_than_file(&file)?;
    let mut bytes = Vec::new();
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LARGEST {
        return Err(Fault::TooLarge { limit: LARGEST });
    }
    String::from_utf8(bytes).map(Some).map_err(|_| Fault::NotUtf8)
}

/// The `*.toml` files of a directory in lexical order; none when the directory does not exist.
/// Hidden files are left out: editors keep their temporary copies so.
pub(super) fn list(directory: &Path) -> Result<Vec<PathBuf>, Fault> {
    let entries = match std::fs::read_dir(directory) {
        Ok(entries) => entries,
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error.into()),
    };
    let mut files = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let bytes = name.as_encoded_bytes();
        if bytes.ends_with(b".toml") && !bytes.starts_with(b".") {
            files.push(directory.join(name));
        }
    }
    files.sort();
    Ok(files)
}

fn is_absent(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::NotFound
}

/// `/dev/null` counts as an empty file: `--config /dev/null` is how one asks for no configuration.
fn refuse_other_than_file(file: &File) -> Result<(), Fault> {
    let metadata = file.metadata()?;
    let kind = metadata.file_type();
    let is_null = kind.is_char_device() && metadata.rdev() == rustix::fs::makedev(1, 3);
    if kind.is_file() || is_null {
        return Ok(());
    }
    Err(Fault::NotAFile(if kind.is_dir() {
        "a directory"
    } else if kind.is_fifo() {
        "a fifo"
    } else {
        "a device"
    }))
}

/// Turns byte offsets of a text into lines and columns.
pub(super) struct Lines<'t> {
    text: &'t str,
    /// Where each line begins, in bytes.
    starts: Vec<usize>,
}

impl<'t> Lines<'t> {
    pub(super) fn new(text: &'t str) -> Self {
        let ends = text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n');
        let starts = std::iter::once(0).chain(ends.map(|(at, _)| at + 1)).collect();
        Self { text, starts }
    }

    pub(super) fn position(&self, offset: usize) -> Position {
        let line = self.starts.partition_point(|start| *start <= offset);
        let start = line.checked_sub(1).and_then(|index| self.starts.get(index)).unwrap_or(&0);
        let before = self.text.get(*start..offset.min(self.text.len())).unwrap_or_default();
        Position { line, column: before.chars().count() + 1 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn offsets_become_lines_and_columns() {
        let lines = Lines::new("a\néb\n\nx");
        let at = |offset| {
            let Position { line, column } = lines.position(offset);
            (line, column)
        };
        assert_eq!(at(0), (1, 1));
        assert_eq!(at(1), (1, 2));
        assert_eq!(at(2), (2, 1));
        assert_eq!(at(4), (2, 2));
        assert_eq!(at(6), (3, 1));
        assert_eq!(at(7), (4, 1));
        assert_eq!(at(8), (4, 2));
        assert_eq!(at(800), (4, 2));
    }

    #[test]
    fn only_files_of_bearable_size_are_read() {
        let home = tempfile::tempdir().unwrap();
        let path = |name: &str| home.path().join(name);
        assert!(matches!(read(&path("absent")), Ok(None)));
        assert!(matches!(read(home.path()), Err(Fault::NotAFile("a directory"))));
        assert!(matches!(read(Path::new("/dev/zero")), Err(Fault::NotAFile("a device"))));
        rustix::fs::mkfifoat(rustix::fs::CWD, path("fifo"), rustix::fs::Mode::RUSR).unwrap();
        assert!(matches!(read(&path("fifo")), Err(Fault::NotAFile("a fifo"))));
        std::fs::write(path("binary"), b"root = \"\xff\"").unwrap();
        assert!(matches!(read(&path("binary")), Err(Fault::NotUtf8)));
        std::fs::write(path("large"), vec![b'#'; 10 << 20]).unwrap();
        assert!(matches!(read(&path("large")), Err(Fault::TooLarge { .. })));
        std::fs::write(path("just"), vec![b'#'; 1 << 20]).unwrap();
        assert!(matches!(read(&path("just")), Ok(Some(text)) if text.len() == 1 << 20));
        std::fs::write(path("plain"), "x").unwrap();
        assert!(matches!(read(&path("plain/below")), Err(Fault::Unreadable(_))));
    }

    #[test]
    fn drop_ins_come_in_lexical_order() {
        let home = tempfile::tempdir().unwrap();
        for name in ["20-b.toml", "10-a.toml", ".hidden.toml", "notes.txt", "30.toml~"] {
            std::fs::write(home.path().join(name), "").unwrap();
        }
        let names: Vec<_> = list(home.path())
            .unwrap()
            .iter()
            .map(|path| path.file_name().unwrap().to_owned())
            .collect();
        assert_eq!(names, ["10-a.toml", "20-b.toml"]);
        assert!(list(&home.path().join("absent")).unwrap().is_empty());
    }
}
