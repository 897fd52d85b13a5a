//! Walking the cgroups that a container made below its own.
//!
//! The tree is the container's: it may be so deep that paths exceed what the kernel takes, or
//! descriptors run out. The walk therefore keeps one descriptor and goes up by `..`, which is safe
//! because a cgroup never moves to another parent.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;

/// What to do on the way: `enter` for each cgroup, the top one included; `leave` with the parent
/// and the name of each one below the top, after everything below it was left.
pub(super) trait Visitor {
    fn enter(&mut self, directory: BorrowedFd<'_>) -> Result<(), Errno>;
    fn leave(&mut self, parent: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno>;
}

struct Level {
    name: CString,
    children: Vec<CString>,
}

/// Walks from `top` downwards, depth first. Cgroups that vanish meanwhile are passed over.
pub(super) fn walk(top: BorrowedFd<'_>, visitor: &mut impl Visitor) -> Result<(), Errno> {
    visitor.enter(top)?;
    let mut current = open_at(top, c".")?;
    let mut levels = vec![Level { name: CString::default(), children: children(&current)? }];
    while let Some(level) = levels.last_mut() {
        if let Some(name) = level.children.pop() {
            let child = match open_at(current.as_fd(), &name) {
                Err(Errno::NOENT) => continue,
                other => other?,
            };
            visitor.enter(child.as_fd())?;
            levels.push(Level { name, children: children(&child)? });
            current = child;
        } else if let Some(done) = levels.pop()
            && !levels.is_empty()
        {
            current = open_at(current.as_fd(), c"..")?;
            visitor.leave(current.as_fd(), &done.name)?;
        }
    }
    Ok(())
}

fn open_at(directory: BorrowedFd<'_>, name: &CStr) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(directory, name, flags, Mode::empty())
}

fn children(directory: &OwnedFd) -> Result<Vec<CString>, Errno> {
    let mut names = Vec::new();
    for entry in rustix::fs::Dir::read_from(directory)? {
        let entry = match entry {
            // A removed directory still has a descriptor but no entries.
            Err(Errno::NOENT | Errno::NODEV) => break,
            other => other?,
        };
        let name = entry.file_name();
        if entry.file_type() == FileType::Directory && !matches!(name.to_bytes(), b"." | b"..") {
            names.push(name.to_owned());
        }
    }
    Ok(names)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[derive(Default)]
    struct Log {
        entered: usize,
        left: Vec<String>,
    }

    impl Visitor for Log {
        fn enter(&mut self, _: BorrowedFd<'_>) -> Result<(), Errno> {
            self.entered += 1;
            Ok(())
        }
        fn leave(&mut self, parent: BorrowedFd<'_>, name: &CStr) -> Result<(), Errno> {
            self.left.push(name.to_str().unwrap().to_owned());
            rustix::fs::unlinkat(parent, name, rustix::fs::AtFlags::REMOVEDIR)
        }
    }

    #[test]
    fn leaves_children_before_parents() {
        let top = tempfile::tempdir().unwrap();
        for path in ["a/b/c", "a/d", "e"] {
            fs::create_dir_all(top.path().join(path)).unwrap();
        }
        let mut log = Log::default();
        walk(fs::File::open(top.path()).unwrap().as_fd(), &mut log).unwrap();
        assert_eq!(log.entered, 6);
        assert_eq!(log.left.len(), 5);
        let at = |name| log.left.iter().position(|n| n == name).unwrap();
        assert!(at("c") < at("b") && at("b") < at("a") && at("d") < at("a"));
        assert_eq!(fs::read_dir(top.path()).unwrap().count(), 0);
    }

    #[test]
    fn depth_costs_neither_descriptors_nor_stack() {
        let top = tempfile::tempdir().unwrap();
        let mut directory: OwnedFd = fs::File::open(top.path()).unwrap().into();
        for _ in 0..3000 {
            rustix::fs::mkdirat(&directory, "deep", Mode::RWXU).unwrap();
            directory = open_at(directory.as_fd(), c"deep").unwrap();
        }
        let mut log = Log::default();
        walk(fs::File::open(top.path()).unwrap().as_fd(), &mut log).unwrap();
        assert_eq!(log.left.len(), 3000);
    }
}
