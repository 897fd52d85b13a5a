//! The log file.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A file that lines are appended to.
#[derive(Debug)]
pub(super) struct LogFile {
    path: PathBuf,
    file: File,
    is_stderr: bool,
}

impl LogFile {
    /// Opens the file, making it with mode 0600 where there is none: messages may tell paths and
    /// arguments that are nobody else's business. The standard library sets O_CLOEXEC.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().append(true).create(true).mode(0o600).open(path)?;
        let is_stderr = is_stderr(&file)?;
        Ok(Self { path: path.to_owned(), file, is_stderr })
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether this is what standard error goes to, under another name.
    pub(super) fn is_stderr(&self) -> bool {
        self.is_stderr
    }

    /// Appends a line with one write, so that lines of several processes do not mix.
    pub(super) fn append(&self, line: &[u8]) -> io::Result<()> {
        (&self.file).write_all(line)
    }
}

fn is_stderr(file: &File) -> io::Result<bool> {
    let ours = file.metadata()?;
    // A closed standard error is nobody's file.
    let stderr = rustix::fs::fstat(io::stderr()).ok();
    Ok(stderr.is_some_and(|stat| stat.st_dev == ours.dev() && stat.st_ino == ours.ino()))
}
