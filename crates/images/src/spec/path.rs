//! Paths inside a container, by their letters alone.

use std::path::{Component, Path, PathBuf};

use lxcri_linux::beneath::normal;

use super::error::shown;

/// Longest path the kernel takes, in bytes with the NUL (`PATH_MAX`).
const MAX_PATH: usize = 4096;

/// A place to mount something: absolute, not the root, and a path at all.
pub(super) fn destination(text: &str) -> Result<PathBuf, String> {
    let told = || shown(Path::new(text.get(..80).unwrap_or(text)));
    if !text.starts_with('/') {
        return Err(format!("invalid mount path: {:?}: mount path must be absolute", told()));
    }
    if text.contains('\0') || text.len() >= MAX_PATH {
        return Err(format!("invalid mount path: {:?}", told()));
    }
    let path = normal(Path::new(text));
    if path == Path::new("/") {
        return Err(format!("invalid mount path: {:?}: destination can't be '/'", told()));
    }
    Ok(path)
}

/// How many names a path has: mounts go from shallow to deep.
pub(super) fn depth(path: &Path) -> usize {
    path.components().filter(|part| matches!(part, Component::Normal(_))).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_to_mount() {
        assert_eq!(destination("/a//b/./../c/").unwrap(), Path::new("/a/c"));
        assert_eq!(destination("/../../x").unwrap(), Path::new("/x"));
        let long = format!("/{}", "x".repeat(5000));
        for text in ["", "a", "./a", "/", "/..", "//", "/a/..", "/a\0b", &long] {
            let error = destination(text).unwrap_err();
            assert!(error.len() < 200 && !error.contains('\0'), "{error}");
        }
    }
}
