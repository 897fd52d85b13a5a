//! The directories of an overlay, behind mounts that show them with the host's ids.

use std::io;
use std::path::{Path, PathBuf};

use lxcri_linux::mount::{self, LayerDirectory, MountError};
use lxcri_linux::namespace;
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, CWD};

use super::super::{IdRange, mapping};
use super::{UPPER, WORK};

/// Where a directory is: below one of the trees, or at a path of the host.
struct Where {
    tree: Option<usize>,
    path: PathBuf,
}

/// All directories of one overlay.
pub(super) struct Layers {
    trees: Vec<OwnedFd>,
    lower: Vec<Where>,
    upper: Option<(PathBuf, PathBuf, Option<usize>)>,
}

impl Layers {
    /// Finds the directories. With a mapping or where `detached`, through detached mounts: one for
    /// all of them where one filesystem holds all, because each costs the kernel a grace period when
    /// it goes.
    pub(super) fn open(
        lower: &[PathBuf],
        upper: Option<&Path>,
        ranges: Option<&[IdRange]>,
        detached: bool,
    ) -> Result<Self, MountError> {
        let all: Vec<&Path> = lower.iter().map(PathBuf::as_path).chain(upper).collect();
        let (trees, mut found) = if detached || ranges.is_some() {
            through_trees(&all, ranges)?
        } else {
            let found = all.iter().map(|path| Where { tree: None, path: (*path).to_owned() });
            (Vec::new(), found.collect())
        };
        let upper = upper.and_then(|_| found.pop());
        let upper = upper.map(|at| (at.path.join(UPPER), at.path.join(WORK), at.tree));
        Ok(Self { trees, lower: found, upper })
    }

    pub(super) fn trees(&self) -> &[OwnedFd] {
        &self.trees
    }

    pub(super) fn lower(&self) -> Vec<LayerDirectory<'_>> {
        self.lower.iter().map(|at| self.directory(at.tree, &at.path)).collect()
    }

    pub(super) fn upper_and_work(&self) -> Option<(LayerDirectory<'_>, LayerDirectory<'_>)> {
        let (upper, work, tree) = self.upper.as_ref()?;
        Some((self.directory(*tree, upper), self.directory(*tree, work)))
    }

    fn directory<'a>(&'a self, tree: Option<usize>, path: &'a Path) -> LayerDirectory<'a> {
        let tree = tree.and_then(|index| self.trees.get(index)).map_or(CWD, AsFd::as_fd);
        LayerDirectory { tree, path }
    }
}

fn through_trees(
    all: &[&Path],
    ranges: Option<&[IdRange]>,
) -> Result<(Vec<OwnedFd>, Vec<Where>), MountError> {
    let namespace = ranges
        .map(mapping::kernel)
        .map(|ranges| namespace::mapped_user_namespace(&ranges, &ranges))
        .transpose()
        .map_err(|source| MountError::Io { what: "make a user namespace to map by", source })?;
    let clone = |path: &Path| -> io::Result<OwnedFd> {
        let tree = mount::clone_host_tree(path, false)?;
        if let Some(namespace) = &namespace {
            mount::set_id_map(&tree, false, namespace)?;
        }
        Ok(tree)
    };
    let base = common(all);
    let mut trees: Vec<OwnedFd> = clone(&base).into_iter().collect();
    let has_base = !trees.is_empty();
    let mut found = Vec::with_capacity(all.len());
    for path in all {
        let relative = path.strip_prefix(&base).unwrap_or(path);
        let relative = if relative.as_os_str().is_empty() { Path::new(".") } else { relative };
        if has_base && trees.first().is_some_and(|tree| is_same(path, tree, relative)) {
            found.push(Where { tree: Some(0), path: relative.to_owned() });
            continue;
        }
        // On another filesystem.
        trees.push(clone(path).map_err(|source| MountError::Filesystem {
            what: format!("map the ids of {}", path.display()),
            source,
            log: String::new(),
        })?);
        found.push(Where { tree: Some(trees.len() - 1), path: PathBuf::from(".") });
    }
    Ok((trees, found))
}

/// The deepest directory above all of them.
fn common(paths: &[&Path]) -> PathBuf {
    let mut paths = paths.iter();
    let Some(first) = paths.next() else { return PathBuf::from("/") };
    paths.fold((*first).to_owned(), |base, path| {
        let both = base.components().zip(path.components());
        both.take_while(|(one, other)| one == other).map(|(one, _)| one).collect()
    })
}

/// Whether a path of the host and one in a tree lead to the same directory. Where another filesystem
/// is mounted on the way they do not, because a tree is one mount; nor where a link is.
fn is_same(path: &Path, tree: &OwnedFd, relative: &Path) -> bool {
    let identity = |stat: rustix::fs::Stat| (stat.st_dev, stat.st_ino);
    let inside = LayerDirectory { tree: tree.as_fd(), path: relative }.open();
    let inside = inside.and_then(|fd| Ok(identity(rustix::fs::fstat(fd)?)));
    let host = rustix::fs::statat(CWD, path, AtFlags::SYMLINK_NOFOLLOW).map(identity);
    host.is_ok_and(|host| inside.is_ok_and(|inside| host == inside))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_directory_above_all() {
        let common = |paths: &[&str]| {
            let paths: Vec<&Path> = paths.iter().map(Path::new).collect();
            common(&paths).display().to_string()
        };
        assert_eq!(common(&["/a/b/c", "/a/b/d", "/a/bb"]), "/a");
        assert_eq!(common(&["/a/b", "/a/b/c"]), "/a/b");
        assert_eq!(common(&["/a/b"]), "/a/b");
        assert_eq!(common(&["/a", "/b"]), "/");
    }
}
