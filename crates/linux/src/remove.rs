//! Removing trees that strangers made: however deep, with links to anywhere, without following one.

use std::ffi::{CStr, CString};
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, Dir, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use rustix::path::Arg;

/// How many directories are open at once. What lies deeper is first moved up: with one descriptor
/// for each level a tree could be made that nobody can remove.
const DEPTH: usize = 24;

/// Removes `name`, whatever it is, from the directory `parent`; a directory with all that is in it.
/// Nothing there is no error. Mounts below are not unmounted: they are an error (EBUSY).
///
/// # Errors
/// What the kernel says; a part may be removed then.
pub fn remove_tree(parent: impl AsFd, name: impl Arg + Copy) -> io::Result<()> {
    let parent = parent.as_fd();
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        // POSIX says EPERM for a directory, Linux EISDIR.
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    let top = match open_directory(parent, name) {
        Err(Errno::NOENT) => return Ok(()),
        opened => opened?,
    };
    empty_directory(&top)?;
    match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
        Err(Errno::NOENT) => Ok(()),
        removed => Ok(removed?),
    }
}

/// Removes everything in `directory`, which has to be open for reading.
///
/// # Errors
/// As [`remove_tree`].
pub fn empty_directory(directory: impl AsFd) -> io::Result<()> {
    let top = directory.as_fd();
    empty(top, top, DEPTH, &mut 0)
}

/// Deep directories come up to `top` and are found there by the next look at it.
fn empty(
    directory: BorrowedFd<'_>,
    top: BorrowedFd<'_>,
    depth: usize,
    moved: &mut u64,
) -> io::Result<()> {
    loop {
        let names = names(directory)?;
        if names.is_empty() {
            return Ok(());
        }
        for name in names {
            remove_one(directory, &name, top, depth, moved)?;
        }
    }
}

fn remove_one(
    directory: BorrowedFd<'_>,
    name: &CStr,
    top: BorrowedFd<'_>,
    depth: usize,
    moved: &mut u64,
) -> io::Result<()> {
    match rustix::fs::unlinkat(directory, name, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::ISDIR | Errno::PERM) => {}
        Err(error) => return Err(error.into()),
    }
    match rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR) {
        Ok(()) | Err(Errno::NOENT) => return Ok(()),
        Err(Errno::NOTEMPTY | Errno::EXIST) => {}
        Err(error) => return Err(error.into()),
    }
    if depth == 0 {
        return move_up(directory, name, top, moved);
    }
    let child = open_directory(directory, name)?;
    empty(child.as_fd(), top, depth - 1, moved)?;
    Ok(rustix::fs::unlinkat(directory, name, AtFlags::REMOVEDIR)?)
}

fn move_up(
    directory: BorrowedFd<'_>,
    name: &CStr,
    top: BorrowedFd<'_>,
    moved: &mut u64,
) -> io::Result<()> {
    loop {
        *moved += 1;
        let new = format!(".deep-{moved}");
        match rustix::fs::renameat_with(directory, name, top, new, RenameFlags::NOREPLACE) {
            Err(Errno::EXIST) => {}
            result => return Ok(result?),
        }
    }
}

/// Some of the names in a directory; none only where there are none. Bounded, because a directory
/// may have millions.
fn names(directory: BorrowedFd<'_>) -> io::Result<Vec<CString>> {
    const MOST: usize = 4096;
    let mut names = Vec::new();
    for entry in Dir::read_from(directory)? {
        let entry = entry?;
        let name = entry.file_name();
        if name != c"." && name != c".." {
            names.push(name.to_owned());
        }
        if names.len() >= MOST {
            break;
        }
    }
    Ok(names)
}

fn open_directory(parent: BorrowedFd<'_>, name: impl Arg) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn wide_deep_and_linked_trees_go_and_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let outside = dir.path().join("outside");
        std::fs::create_dir(&outside).unwrap();
        std::fs::write(outside.join("kept"), "x").unwrap();
        let tree = dir.path().join("tree");
        std::fs::create_dir_all(tree.join("a/b")).unwrap();
        symlink(&outside, tree.join("a/link")).unwrap();
        symlink("..", tree.join("a/b/up")).unwrap();
        for number in 0..5000 {
            std::fs::write(tree.join(format!("a/file{number}")), "").unwrap();
        }
        let mut deepest = File::open(&tree).unwrap();
        for level in 0..500 {
            rustix::fs::mkdirat(&deepest, "d", Mode::RWXU).unwrap();
            rustix::fs::mkdirat(&deepest, ".deep-1", Mode::RWXU).unwrap();
            deepest = open_directory(deepest.as_fd(), "d").unwrap().into();
            for number in (0..5000).filter(|_| level == 100) {
                rustix::fs::mkdirat(&deepest, format!("{number}"), Mode::RWXU).unwrap();
            }
        }
        remove_tree(File::open(dir.path()).unwrap(), "tree").unwrap();
        assert!(!tree.exists() && outside.join("kept").exists());
        remove_tree(File::open(dir.path()).unwrap(), "tree").unwrap();
    }

    #[test]
    fn a_link_is_removed_and_not_followed() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("kept")).unwrap();
        symlink("kept", dir.path().join("link")).unwrap();
        remove_tree(File::open(dir.path()).unwrap(), "link").unwrap();
        assert!(dir.path().join("kept").exists() && !dir.path().join("link").is_symlink());
    }
}
