//! Copying a tree, with reflinks where the filesystem can.

use std::collections::HashMap;
use std::ffi::{OsStr, OsString};
use std::fs::File as OpenFile;
use std::io::{self, Read as _};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Mode, OFlags, SeekFrom, Stat};
use rustix::io::Errno;

use super::attributes::{File, apply};
use super::{TreeError, open_directory};
use crate::namespace::IdRange;

/// What was copied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Copied {
    /// Files of any kind, each hard link for itself.
    pub entries: u64,
    /// Regular files that share their blocks with the original (ioctl_ficlone(2)).
    pub shared: u64,
    /// Regular files whose bytes were copied.
    pub written: u64,
}

/// How a tree is copied. The default copies everything as it is.
#[derive(Clone, Copy, Debug, Default)]
pub struct Rules<'a> {
    /// Maps owners, also those in access control lists and file capabilities, from `inside` to
    /// `outside`.
    pub shift: Option<&'a [IdRange]>,
    /// What the copy cannot have is no error: an owner that `shift` does not map stays as it is
    /// (EOVERFLOW otherwise), and an extended attribute with such an id, or that the filesystem there
    /// does not keep, is left out (EOPNOTSUPP otherwise).
    pub lenient: bool,
    /// Leaves out devices and sockets.
    pub without_devices: bool,
}

/// Copies everything in the directory `source` into the empty directory `target`, and gives that its
/// attributes: hard links, holes, devices, owners, modes, extended attributes, times. No mount below
/// `source` is entered, no link followed.
///
/// # Errors
/// [`TreeError`]; EOVERFLOW as [`Rules`] say, ENAMETOOLONG for a path of more than 4095 bytes. What was
/// copied until then stays.
pub fn copy(source: impl AsFd, target: impl AsFd, rules: Rules<'_>) -> Result<Copied, TreeError> {
    let (source, target) = (source.as_fd(), target.as_fd());
    let mut copying = Copying {
        source,
        target,
        rules,
        links: HashMap::new(),
        reflinks: true,
        copied: Copied::default(),
    };
    let mut stack = vec![copying.directory(PathBuf::from("."))?];
    while let Some(frame) = stack.last_mut() {
        match frame.directories.pop() {
            Some(name) => {
                let path = below(&frame.path, &name);
                stack.push(copying.directory(path)?);
            }
            None => {
                copying.finish(frame)?;
                stack.pop();
            }
        }
    }
    Ok(copying.copied)
}

/// Without "./", so that a long path is not two bytes longer than it is.
fn below(directory: &Path, name: impl AsRef<Path>) -> PathBuf {
    if directory == Path::new(".") { name.as_ref().to_owned() } else { directory.join(name) }
}

struct Copying<'a> {
    source: BorrowedFd<'a>,
    target: BorrowedFd<'a>,
    rules: Rules<'a>,
    /// Where the first link of an inode went.
    links: HashMap<(u64, u64), PathBuf>,
    reflinks: bool,
    copied: Copied,
}

/// A directory whose files are copied, and whose directories exist.
struct Frame {
    path: PathBuf,
    directories: Vec<OsString>,
}

impl Copying<'_> {
    /// Copies the files of one directory and makes its directories.
    fn directory(&mut self, path: PathBuf) -> Result<Frame, TreeError> {
        let error = |what: &'static str| {
            let path = path.clone();
            move |errno: Errno| TreeError::new(what, &path, errno)
        };
        let from = open_directory(self.source, &path).map_err(error("enter"))?;
        let to = open_directory(self.target, &path).map_err(error("enter the copy of"))?;
        let mut directories = Vec::new();
        for entry in rustix::fs::Dir::read_from(&from).map_err(error("read"))? {
            let entry = entry.map_err(error("read"))?;
            let name = OsStr::from_bytes(entry.file_name().to_bytes());
            if name == "." || name == ".." {
                continue;
            }
            let files = [&from, &to].map(|fd| File { directory: fd.as_fd(), name: name.as_ref() });
            let made = self
                .entry(files, &path)
                .map_err(|(what, source)| TreeError::new(what, &below(&path, name), source))?;
            if made == Some(FileType::Directory) {
                directories.push(name.to_owned());
            }
            self.copied.entries += u64::from(made.is_some());
        }
        Ok(Frame { path, directories })
    }

    /// A directory gets its attributes last: a default list would change what is made in it, and what
    /// is made in it changes its time.
    fn finish(&self, frame: &Frame) -> Result<(), TreeError> {
        let error =
            |what: &'static str| move |errno: Errno| TreeError::new(what, &frame.path, errno);
        let from = open_directory(self.source, &frame.path).map_err(error("enter"))?;
        let to = open_directory(self.target, &frame.path).map_err(error("enter the copy of"))?;
        let stat = rustix::fs::fstat(&from).map_err(error("look at"))?;
        let [from, to] =
            [&from, &to].map(|fd| File { directory: fd.as_fd(), name: Path::new(".") });
        apply(from, to, &stat, self.rules).map_err(|(what, errno)| error(what)(errno))
    }

    /// Copies what is no directory, and makes what is one. None where the rules leave it out.
    fn entry(
        &mut self,
        [from, to]: [File<'_>; 2],
        parent: &Path,
    ) -> Result<Option<FileType>, (&'static str, io::Error)> {
        let io = |what| move |errno: Errno| (what, io::Error::from(errno));
        let stat = rustix::fs::statat(from.directory, from.name, AtFlags::SYMLINK_NOFOLLOW)
            .map_err(io("look at"))?;
        let kind = FileType::from_raw_mode(stat.st_mode);
        if kind == FileType::Directory {
            rustix::fs::mkdirat(to.directory, to.name, Mode::from_raw_mode(0o700))
                .map_err(io("make"))?;
            return Ok(Some(kind));
        }
        let is_plain = matches!(kind, FileType::RegularFile | FileType::Symlink | FileType::Fifo);
        if self.rules.without_devices && !is_plain {
            return Ok(None);
        }
        if stat.st_nlink > 1 {
            let identity = (stat.st_dev, stat.st_ino);
            if let Some(first) = self.links.get(&identity) {
                rustix::fs::linkat(self.target, first, to.directory, to.name, AtFlags::empty())
                    .map_err(io("link"))?;
                return Ok(Some(kind));
            }
            self.links.insert(identity, below(parent, from.name));
        }
        match kind {
            FileType::RegularFile => self.regular(from, to, &stat)?,
            FileType::Symlink => {
                let link = rustix::fs::readlinkat(from.directory, from.name, Vec::new())
                    .map_err(io("read"))?;
                let link = OsString::from_vec(link.into_bytes());
                rustix::fs::symlinkat(link, to.directory, to.name).map_err(io("make"))?;
            }
            _ => {
                let mode = Mode::from_raw_mode(0o600);
                rustix::fs::mknodat(to.directory, to.name, kind, mode, stat.st_rdev)
                    .map_err(io("make"))?;
            }
        }
        apply(from, to, &stat, self.rules).map_err(|(what, errno)| (what, errno.into()))?;
        Ok(Some(kind))
    }

    fn regular(
        &mut self,
        from: File<'_>,
        to: File<'_>,
        stat: &Stat,
    ) -> Result<(), (&'static str, io::Error)> {
        let flags = OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::NONBLOCK;
        let source =
            rustix::fs::openat(from.directory, from.name, flags | OFlags::RDONLY, Mode::empty())
                .map_err(|errno| ("open", errno.into()))?;
        let new = flags | OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL;
        let target = rustix::fs::openat(to.directory, to.name, new, Mode::from_raw_mode(0o600))
            .map_err(|errno| ("make", errno.into()))?;
        if stat.st_size == 0 {
            return Ok(());
        }
        if self.reflinks {
            match rustix::fs::ioctl_ficlone(&target, &source) {
                Ok(()) => {
                    self.copied.shared += 1;
                    return Ok(());
                }
                // Not between these two filesystems, so not for any other file.
                Err(Errno::NOTSUP | Errno::XDEV | Errno::NOTTY) => self.reflinks = false,
                // Not this one: another, or only by its bytes.
                Err(_) => {}
            }
        }
        self.copied.written += 1;
        write(source.into(), target.into(), stat).map_err(|source| ("copy", source))
    }
}

/// Copies the bytes; holes stay holes.
fn write(mut source: OpenFile, mut target: OpenFile, stat: &Stat) -> io::Result<()> {
    let size = u64::try_from(stat.st_size).unwrap_or(0);
    let has_holes = u64::try_from(stat.st_blocks).unwrap_or(0).saturating_mul(512) < size;
    if !has_holes {
        io::copy(&mut source, &mut target)?;
        return Ok(());
    }
    target.set_len(size)?;
    let mut at = 0;
    while at < size {
        let data = match rustix::fs::seek(&source, SeekFrom::Data(at)) {
            Ok(data) => data,
            // No data follows.
            Err(Errno::NXIO) => break,
            Err(errno) => return Err(errno.into()),
        };
        let end = rustix::fs::seek(&source, SeekFrom::Hole(data))?;
        rustix::fs::seek(&source, SeekFrom::Start(data))?;
        rustix::fs::seek(&target, SeekFrom::Start(data))?;
        io::copy(&mut (&source).take(end - data), &mut target)?;
        at = end;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;
    use std::process::Command;

    use super::*;

    fn shell(dir: &Path, script: &str) -> String {
        let output = Command::new("bash").args(["-euc", script]).current_dir(dir).output().unwrap();
        assert!(output.status.success(), "{script}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    const MAKE: &str = "
        mkdir -p from/a/b from/sticky to; chmod 1777 from/sticky; chmod 2750 from/a
        echo one >from/a/one; ln from/a/one from/a/b/link; ln -s ../../nowhere from/a/dangling
        printf 'x%.0s' {1..5000} >from/a/b/file; chmod 4755 from/a/b/file
        truncate -s 50M from/sparse; printf middle | dd of=from/sparse bs=1M seek=20 conv=notrunc status=none
        mkfifo from/fifo; mknod from/null c 1 3; mknod from/disk b 7 9
        touch from/$'new\\nline' from/$'not-utf8-\\xff'; chown 7:8 from/a/one; chown -h 9:10 from/a/dangling
        setfattr -n user.mine -v yes from/a; setfattr -n trusted.t -v secret from/a/one
        setfattr -n trusted.overlay.opaque -v y from/a
        setfacl -m u:33:r from/a/b/file; setfacl -d -m g:44:rwx from/a/b
        setcap cap_net_raw+ep from/a/b/file; chmod 0750 from
        touch -d @1000000000.123456789 from/a/one from/a/b from; touch -hd @77 from/a/dangling";

    /// Everything that matters of each file, one line each.
    const SHOW: &str = "
        find . -printf '%p %y %m %U:%G %n %T@ %l %s %D\\n' | sed -E 's/ [0-9]+$//;s/(d .*) [0-9]+$/\\1/' | sort
        getfattr -R -h -d -m - . 2>/dev/null | grep -v trusted.overlay
        sha256sum a/one a/b/file sparse; stat -c %t,%T null disk";

    fn tools() -> bool {
        let have = Command::new("bash").args(["-c", "type setfattr setfacl setcap"]).output();
        let have = have.is_ok_and(|output| output.status.success());
        if !have {
            // Past the test harness, so that it is read.
            let text = "SKIP linux::copies: setfattr, setfacl or setcap is missing";
            let _ = writeln!(io::stdout(), "{text}");
        }
        have
    }

    fn both(dir: &Path) -> (OpenFile, OpenFile) {
        let open = |name| OpenFile::open(dir.join(name)).unwrap();
        (open("from"), open("to"))
    }

    #[test]
    fn a_copy_is_the_same() {
        if !tools() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        shell(dir.path(), MAKE);
        let (from, to) = both(dir.path());
        let copied = copy(&from, &to, Rules::default()).unwrap();
        assert_eq!(copied.entries, 13);
        let [from, to] = ["from", "to"].map(|name| shell(&dir.path().join(name), SHOW));
        assert_eq!(from, to);
        assert!(from.contains("security.capability") && from.contains("posix_acl_default"));
        assert!(shell(dir.path(), "du -k to/sparse").trim_start().starts_with("4\t"), "holes");
        assert!(!shell(dir.path(), "getfattr -m - to/a").contains("overlay"));
    }

    #[test]
    fn a_shifted_copy_has_the_owners_of_the_map() {
        if !tools() {
            return;
        }
        let dir = tempfile::tempdir().unwrap();
        shell(dir.path(), MAKE);
        let (from, to) = both(dir.path());
        let ranges = [IdRange { inside: 0, outside: 100_000, size: 1000 }];
        let rules = Rules { shift: Some(&ranges), ..Rules::default() };
        copy(&from, &to, rules).unwrap();
        let owners = shell(dir.path(), "stat -c %u:%g to to/a/one to/a/dangling to/null");
        assert_eq!(owners, "100000:100000\n100007:100008\n100009:100010\n100000:100000\n");
        let lists = shell(dir.path(), "getfacl -n to/a/b/file to/a/b 2>/dev/null");
        assert!(lists.contains("user:100033:r--") && lists.contains("default:group:100044:rwx"));
        let capability = shell(dir.path(), "getcap -n to/a/b/file");
        assert!(capability.contains("[rootid=100000]"), "{capability}");
        shell(dir.path(), "chown 1000 from/sparse; rm -r to; mkdir to");
        let (from, to) = both(dir.path());
        let error = copy(&from, &to, rules).unwrap_err();
        assert_eq!(error.path, Path::new("sparse"));
        assert_eq!(error.source.raw_os_error(), Some(libc::EOVERFLOW));
        shell(
            dir.path(),
            "rm -r to; mkdir to; setfacl -m u:1000:r from/a/one; python3 -c 'import socket as s; s.socket(s.AF_UNIX).bind(\"from/socket\")'",
        );
        let (from, to) = both(dir.path());
        let rules = Rules { lenient: true, without_devices: true, ..rules };
        assert_eq!(copy(&from, &to, rules).unwrap().entries, 11);
        let owners =
            shell(dir.path(), "stat -c %u:%g to/sparse to/a/one; getfacl -nc to/a/one; ls to");
        assert_eq!(
            owners,
            "1000:100000\n100007:100008\nuser::rw-\ngroup::r--\nother::r--\n\na\nfifo\nnew\nline\nnot-utf8-\u{fffd}\nsparse\nsticky\n"
        );
    }

    #[test]
    fn a_mount_below_is_not_copied() {
        let dir = tempfile::tempdir().unwrap();
        shell(dir.path(), "mkdir -p from/a to; mount -t tmpfs t from/a; echo secret >from/a/file");
        let (from, to) = both(dir.path());
        let error = copy(&from, &to, Rules::default()).unwrap_err();
        shell(dir.path(), "umount from/a");
        assert_eq!(error.source.raw_os_error(), Some(libc::EXDEV));
    }
}
