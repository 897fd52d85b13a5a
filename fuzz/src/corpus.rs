//! The seeds of a target.

use std::io;
use std::path::{Path, PathBuf};

use crate::Target;

/// Where the seeds of all targets are.
pub fn directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus")
}

/// The seeds of a target with their paths, in the order of their names: the same seed of the
/// random numbers must make the same inputs everywhere.
///
/// # Errors
/// What the kernel says of the directory or of a file in it.
pub fn seeds(target: &Target) -> io::Result<Vec<(PathBuf, Vec<u8>)>> {
    let mut paths = std::fs::read_dir(directory().join(target.seeds))?
        .map(|item| item.map(|item| item.path()))
        .collect::<io::Result<Vec<_>>>()?;
    paths.sort();
    paths.into_iter().map(|path| std::fs::read(&path).map(|bytes| (path, bytes))).collect()
}
