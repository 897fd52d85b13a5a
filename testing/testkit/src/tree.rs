//! What is below a directory, file by file, to be compared with another: the contents of images.

use std::collections::BTreeMap;
use std::ffi::CStr;
use std::fmt::Write;
use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::fd::AsRawFd;
use std::os::fd::BorrowedFd;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::AtFlags;
use rustix::fs::CWD;
use rustix::fs::Dir;
use rustix::fs::FileType;
use rustix::fs::Mode;
use rustix::fs::OFlags;
use rustix::fs::Stat;
use rustix::io::Errno;
use sha2::Digest;
use sha2::Sha256;

use crate::image::hex;
use crate::verdict::Context;
use crate::verdict::Stop;
use crate::verdict::Verdict;

/// The most differences that are shown.
const SHOWN: usize = 20;

/// What is known of one name in a tree.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Node {
    /// What it is.
    pub content: Content,
    /// The mode without the file's type: permissions, set-id bits, sticky bit. 0 for symbolic links.
    pub mode: u32,
    /// Its user.
    pub uid: u32,
    /// Its group.
    pub gid: u32,
    /// When its content was changed last: seconds since 1970 and nanoseconds.
    pub modified: (i64, u64),
    /// Extended attributes by name: capabilities (`security.capability`), ACLs (`system.posix_acl_access`).
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// The first name, in the order of bytes, of the same file; its own where it has no other.
    pub first_name: Vec<u8>,
}

/// What a name stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Content {
    /// A regular file.
    File {
        /// Its size in bytes.
        size: u64,
        /// The SHA-256 of its content, in hexadecimal.
        sha256: String,
    },
    /// A directory.
    Directory,
    /// A symbolic link to this.
    Link(Vec<u8>),
    /// A device, fifo or socket: the type's letter as find(1) prints it, major and minor number.
    Special(char, u32, u32),
}

/// A directory tree: path relative to its root (`""` is the root itself) to what is there.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// The names. To leave something out of a comparison, take it out here or make it equal.
    pub nodes: BTreeMap<Vec<u8>, Node>,
}

impl Tree {
    /// Reads everything below `root`, which may have any names and any depth. Other file systems that
    /// are mounted there belong to it.
    ///
    /// # Errors
    /// A failure naming the path that cannot be read.
    pub fn read(root: &Path) -> Verdict<Self> {
        let mut reader = Reader::default();
        let directory = open(CWD, root.as_os_str().as_bytes()).context(root.display())?;
        let stat = rustix::fs::fstat(&directory).context(root.display())?;
        let own = format!("/proc/self/fd/{}", directory.as_raw_fd()).into_bytes();
        let xattrs = xattrs(&own, true).context(root.display())?;
        reader.tree.nodes.insert(Vec::new(), node(&stat, Content::Directory, xattrs, Vec::new()));
        reader.read(&directory, &mut Vec::new())?;
        for name in reader.hard_links.into_values().filter(|names| names.len() > 1) {
            let first = name.iter().min().cloned().unwrap_or_default();
            for name in name {
                if let Some(node) = reader.tree.nodes.get_mut(&name) {
                    node.first_name.clone_from(&first);
                }
            }
        }
        Ok(reader.tree)
    }

    /// Takes a path, and what is below it, out of the comparison.
    pub fn forget(&mut self, path: &[u8]) -> &mut Self {
        self.nodes.retain(|name, _| {
            name.strip_prefix(path).is_none_or(|rest| !rest.is_empty() && rest[0] != b'/')
        });
        self
    }

    /// What differs, one line for each name and property. `self` is called `ours`, the other `theirs`.
    #[must_use]
    pub fn differences(&self, theirs: &Self) -> Vec<String> {
        let mut found = Vec::new();
        for (name, node) in &self.nodes {
            match theirs.nodes.get(name) {
                None => found.push(format!("{}: only in ours: {:?}", shown(name), node.content)),
                Some(other) => node.differences(other, &shown(name), &mut found),
            }
        }
        for (name, node) in &theirs.nodes {
            if !self.nodes.contains_key(name) {
                found.push(format!("{}: only in theirs: {:?}", shown(name), node.content));
            }
        }
        found
    }

    /// Fails unless both are the same.
    ///
    /// # Errors
    /// A failure with the first differences and how many there are.
    pub fn ensure_same(&self, theirs: &Self, context: &str) -> Verdict {
        let found = self.differences(theirs);
        if found.is_empty() {
            return Ok(());
        }
        let mut text = format!("{context}: {} differences", found.len());
        for line in found.iter().take(SHOWN) {
            // Writing to a String cannot fail.
            let _infallible = write!(text, "\n  {line}");
        }
        Err(Stop::Failed(text))
    }
}

impl Node {
    fn differences(&self, other: &Self, name: &str, found: &mut Vec<String>) {
        let mut compare = |what: &str, ours: String, theirs: String| {
            if ours != theirs {
                found.push(format!("{name}: {what} {ours}, theirs {theirs}"));
            }
        };
        let content = |node: &Self| match &node.content {
            Content::Link(target) => format!("link to {}", shown(target)),
            other => format!("{other:?}"),
        };
        let xattrs = |node: &Self| {
            let list = node.xattrs.iter();
            let list: Vec<String> =
                list.map(|(name, value)| format!("{}={}", shown(name), hex(value))).collect();
            format!("[{}]", list.join(" "))
        };
        compare("content", content(self), content(other));
        compare("mode", format!("{:04o}", self.mode), format!("{:04o}", other.mode));
        compare(
            "owner",
            format!("{}:{}", self.uid, self.gid),
            format!("{}:{}", other.uid, other.gid),
        );
        let time = |node: &Self| format!("{}.{:09}", node.modified.0, node.modified.1);
        compare("time", time(self), time(other));
        compare("xattrs", xattrs(self), xattrs(other));
        compare("same file as", shown(&self.first_name), shown(&other.first_name));
    }
}

/// Reads a tree by directory descriptors: no path becomes too long, no link is followed.
#[derive(Default)]
struct Reader {
    tree: Tree,
    /// Device and inode to the names of files that have several.
    hard_links: BTreeMap<(u64, u64), Vec<Vec<u8>>>,
}

impl Reader {
    fn read(&mut self, directory: &OwnedFd, path: &mut Vec<u8>) -> Verdict {
        let own = path.len();
        let dir = Dir::read_from(directory).context(shown(path))?;
        for entry in dir {
            let entry = entry.context(shown(path))?;
            let name = entry.file_name();
            if name == c"." || name == c".." {
                continue;
            }
            if own > 0 {
                path.push(b'/');
            }
            path.extend(name.to_bytes());
            self.read_one(directory.as_fd(), name, path)
                .map_err(|stop| stop.within(shown(path)))?;
            path.truncate(own);
        }
        Ok(())
    }

    fn read_one(&mut self, parent: BorrowedFd<'_>, name: &CStr, path: &mut Vec<u8>) -> Verdict {
        let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        let content = match kind {
            FileType::RegularFile => content_of(parent, name)?,
            FileType::Directory => Content::Directory,
            FileType::Symlink => {
                Content::Link(rustix::fs::readlinkat(parent, name, Vec::new())?.into_bytes())
            }
            _ => special(kind, &stat),
        };
        let mut reach = format!("/proc/self/fd/{}/", parent.as_raw_fd()).into_bytes();
        reach.extend(name.to_bytes());
        let xattrs = xattrs(&reach, false)?;
        if kind != FileType::Directory && stat.st_nlink > 1 {
            self.hard_links.entry((stat.st_dev, stat.st_ino)).or_default().push(path.clone());
        }
        self.tree.nodes.insert(path.clone(), node(&stat, content, xattrs, path.clone()));
        if kind == FileType::Directory {
            let directory = open(parent, name.to_bytes())?;
            self.read(&directory, path)?;
        }
        Ok(())
    }
}

fn node(
    stat: &Stat,
    content: Content,
    xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
    first_name: Vec<u8>,
) -> Node {
    // Nobody can choose the mode of a symbolic link.
    let mode = if matches!(content, Content::Link(_)) { 0 } else { stat.st_mode & 0o7777 };
    let modified = (stat.st_mtime, stat.st_mtime_nsec);
    Node { content, mode, uid: stat.st_uid, gid: stat.st_gid, modified, xattrs, first_name }
}

fn special(kind: FileType, stat: &Stat) -> Content {
    let letter = match kind {
        FileType::CharacterDevice => 'c',
        FileType::BlockDevice => 'b',
        FileType::Fifo => 'p',
        FileType::Socket => 's',
        _ => '?',
    };
    let (major, minor) = match letter {
        'c' | 'b' => (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)),
        _ => (0, 0),
    };
    Content::Special(letter, major, minor)
}

fn open(parent: impl AsFd, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

/// The size and the hash of a regular file, read to its end.
fn content_of(parent: BorrowedFd<'_>, name: &CStr) -> Verdict<Content> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(parent, name, flags, Mode::empty())?);
    let (mut hash, mut size) = (Sha256::new(), 0);
    let mut bytes = vec![0; 128 << 10];
    loop {
        match file.read(&mut bytes)? {
            0 => break,
            count => {
                hash.update(&bytes[..count]);
                size += count as u64;
            }
        }
    }
    Ok(Content::File { size, sha256: hex(&hash.finalize()) })
}

/// The extended attributes of what `path` names; `follow`: of what that is a link to.
pub(crate) fn xattrs(path: &[u8], follow: bool) -> Result<BTreeMap<Vec<u8>, Vec<u8>>, Errno> {
    let mut names = vec![0; 64 << 10];
    let listed = if follow {
        rustix::fs::listxattr(path, &mut names[..])
    } else {
        rustix::fs::llistxattr(path, &mut names[..])
    };
    let length = match listed {
        // Some file systems have none.
        Err(Errno::OPNOTSUPP) => 0,
        other => other?,
    };
    let mut found = BTreeMap::new();
    for name in names[..length].split(|byte| *byte == 0).filter(|name| !name.is_empty()) {
        let mut value = vec![0; 64 << 10];
        let length = if follow {
            rustix::fs::getxattr(path, name, &mut value[..])?
        } else {
            rustix::fs::lgetxattr(path, name, &mut value[..])?
        };
        value.truncate(length);
        found.insert(name.to_vec(), value);
    }
    Ok(found)
}

/// A name for people: one line, whatever its bytes are.
fn shown(name: &[u8]) -> String {
    name.escape_ascii().to_string()
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;
    use std::os::unix::fs::symlink;

    use super::*;

    fn make(dir: &Path) {
        fs::create_dir_all(dir.join("a/b")).unwrap();
        fs::write(dir.join("a/file"), "content").unwrap();
        fs::hard_link(dir.join("a/file"), dir.join("same")).unwrap();
        symlink("../nowhere", dir.join("a/link")).unwrap();
        let odd = std::ffi::OsStr::from_bytes(b"odd\n\xff name");
        fs::write(dir.join(odd), "odd").unwrap();
        let mode = Mode::from_raw_mode(0o600);
        rustix::fs::mknodat(CWD, dir.join("fifo"), FileType::Fifo, mode, 0).unwrap();
    }

    fn still(mut tree: Tree) -> Tree {
        tree.nodes.values_mut().for_each(|node| node.modified = (0, 0));
        tree
    }

    #[test]
    fn what_is_made_alike_is_the_same() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        make(one.path());
        make(two.path());
        let (ours, theirs) = (Tree::read(one.path()).unwrap(), Tree::read(two.path()).unwrap());
        assert_eq!(ours.nodes.len(), 8, "{:?}", ours.nodes.keys());
        assert_eq!(ours.nodes[&b"same"[..]].first_name, b"a/file");
        assert!(ours.differences(&theirs).iter().all(|line| line.contains(": time ")));
        assert_eq!(still(ours).differences(&still(theirs)), [""; 0]);
    }

    #[test]
    fn every_property_counts() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        make(one.path());
        make(two.path());
        let root = two.path();
        fs::set_permissions(root.join("a"), fs::Permissions::from_mode(0o700)).unwrap();
        fs::remove_file(root.join("same")).unwrap();
        fs::write(root.join("same"), "content").unwrap();
        fs::remove_file(root.join("a/link")).unwrap();
        symlink("../else\x1b", root.join("a/link")).unwrap();
        fs::write(root.join("a/b/more"), "").unwrap();
        fs::remove_file(root.join("fifo")).unwrap();
        rustix::fs::setxattr(
            root.join("a/b"),
            "user.lxcri",
            b"\x01",
            rustix::fs::XattrFlags::empty(),
        )
        .unwrap();
        std::os::unix::fs::chown(root.join("a/file"), Some(7), Some(8)).unwrap();
        let ours = still(Tree::read(one.path()).unwrap());
        let mut theirs = still(Tree::read(root).unwrap());
        let found = ours.differences(&theirs);
        assert_eq!(
            found,
            [
                "a: mode 0755, theirs 0700",
                "a/b: xattrs [], theirs [user.lxcri=01]",
                "a/file: owner 0:0, theirs 7:8",
                "a/link: content link to ../nowhere, theirs link to ../else\\x1b",
                "fifo: only in ours: Special('p', 0, 0)",
                "same: same file as a/file, theirs same",
                "a/b/more: only in theirs: File { size: 0, sha256: \
                 \"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855\" }",
            ]
        );
        let failure = ours.ensure_same(&theirs, "a test").unwrap_err().to_string();
        assert!(failure.starts_with("a test: 7 differences\n  a: mode"), "{failure}");
        theirs.forget(b"a").forget(b"sam");
        assert!(
            !theirs.nodes.contains_key(&b"a/b/more"[..]) && theirs.nodes.contains_key(&b"same"[..])
        );
    }

    #[test]
    fn only_the_first_differences_are_shown() {
        let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for number in 0..100 {
            fs::write(one.path().join(number.to_string()), "").unwrap();
        }
        let (ours, theirs) =
            (still(Tree::read(one.path()).unwrap()), still(Tree::read(two.path()).unwrap()));
        let failure = ours.ensure_same(&theirs, "x").unwrap_err().to_string();
        assert!(failure.contains("100 differences") && failure.lines().count() == 1 + SHOWN);
    }

    #[test]
    fn no_path_is_too_long() {
        let scratch = tempfile::tempdir().unwrap();
        let name = "d".repeat(250);
        let mut at = open(CWD, scratch.path().as_os_str().as_bytes()).unwrap();
        for _ in 0..30 {
            rustix::fs::mkdirat(&at, name.as_str(), Mode::from_raw_mode(0o755)).unwrap();
            at = open(&at, name.as_bytes()).unwrap();
        }
        assert_eq!(Tree::read(scratch.path()).unwrap().nodes.len(), 31);
    }
}
