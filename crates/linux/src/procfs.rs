//! The real /proc, by descriptor.
//!
//! A container's writer must not be led to a file that only looks like procfs (CVE-2019-16884,
//! CVE-2025-31133 and relatives): everything here starts at a verified root and goes down without
//! following links or crossing mounts.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use rustix::fs::{
    Mode, OFlags, PROC_SUPER_MAGIC, ResolveFlags, fstat, fstatfs, open, openat2, readlinkat,
};
use rustix::io::Errno;

mod stat;

pub use stat::{Stat, parse_stat};

/// Inode of the root of every procfs (kernel: `PROC_ROOT_INO`).
const ROOT_INODE: u64 = 1;
/// More than any file read here holds; a bound, because the pid may be a stranger's.
const LARGEST_READ: u64 = 1 << 20;

/// Why procfs could not be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// What should be the root of procfs is something else.
    #[error("{place} is not the root of a proc filesystem")]
    NotProc {
        /// Path or description.
        place: String,
    },
    /// No process has that pid (any more).
    #[error("no process has pid {0}")]
    NoProcess(i32),
    /// An operation on a file beneath procfs failed.
    #[error("failed to {action} /proc/{path}")]
    File {
        /// What was done: open, read, write.
        action: &'static str,
        /// Path beneath the root of procfs.
        path: String,
        /// The kernel's reason.
        source: io::Error,
    },
    /// A file holds what we cannot read.
    #[error("/proc/{path} is not understood: {reason}")]
    Format {
        /// Path beneath the root of procfs.
        path: String,
        /// What is wrong.
        reason: String,
    },
    /// A value that the kernel does not take.
    #[error("oom_score_adj {0} is not between -1000 and 1000")]
    OomScore(i32),
    /// A security label that would end early in the kernel.
    #[error("security label {0:?} is empty or holds a control character")]
    Label(String),
}

/// A verified root of procfs.
#[derive(Debug)]
pub struct Proc {
    root: OwnedFd,
}

impl Proc {
    /// Opens /proc.
    ///
    /// # Errors
    /// [`Error::NotProc`] where /proc is something else, [`Error::File`] where it cannot be opened.
    pub fn open() -> Result<Self, Error> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let root =
            open("/proc", flags, Mode::empty()).map_err(|errno| file_error("open", "", errno))?;
        Self::from_root(root, "/proc")
    }

    /// Takes a descriptor of a procfs root from elsewhere, such as a mount of our own. `place` is
    /// for the error message.
    ///
    /// # Errors
    /// [`Error::NotProc`].
    pub fn from_root(root: OwnedFd, place: &str) -> Result<Self, Error> {
        let inode = fstat(&root).map_err(|errno| file_error("open", "", errno))?.st_ino;
        if !is_procfs(root.as_fd())? || inode != ROOT_INODE {
            return Err(Error::NotProc { place: place.into() });
        }
        Ok(Self { root })
    }

    /// The state of a process.
    ///
    /// # Errors
    /// [`Error::NoProcess`] and the rest of [`Error`].
    pub fn stat(&self, pid: i32) -> Result<Stat, Error> {
        let path = format!("{pid}/stat");
        let bytes = self.read_of(pid, &path)?;
        parse_stat(&bytes).map_err(|reason| Error::Format { path, reason: reason.into() })
    }

    /// The cgroups of a process, one per hierarchy, as seen from our cgroup namespace.
    ///
    /// # Errors
    /// [`Error::NoProcess`] and the rest of [`Error`].
    pub fn cgroups(&self, pid: i32) -> Result<Vec<Membership>, Error> {
        let path = format!("{pid}/cgroup");
        let bytes = self.read_of(pid, &path)?;
        parse_cgroups(&bytes).map_err(|reason| Error::Format { path, reason: reason.into() })
    }

    /// The name of what a process executes, at most 15 bytes; a process can give itself another
    /// (proc_pid_comm(5)).
    ///
    /// # Errors
    /// [`Error::NoProcess`] and the rest of [`Error`].
    pub fn command_name(&self, pid: i32) -> Result<Vec<u8>, Error> {
        let bytes = self.read_of(pid, &format!("{pid}/comm"))?;
        Ok(bytes.strip_suffix(b"\n").map(<[u8]>::to_vec).unwrap_or(bytes))
    }

    /// Identifies this boot: 36 characters, hexadecimal digits and dashes.
    ///
    /// # Errors
    /// [`Error::File`] and [`Error::Format`].
    pub fn boot_id(&self) -> Result<String, Error> {
        let path = "sys/kernel/random/boot_id";
        let bytes = self.read(path)?;
        let id = bytes.trim_ascii();
        if id.len() != 36 || !id.iter().all(|byte| byte.is_ascii_hexdigit() || *byte == b'-') {
            return Err(Error::Format { path: path.into(), reason: "not a UUID".into() });
        }
        Ok(String::from_utf8_lossy(id).into_owned())
    }

    /// How willingly the kernel kills a process when memory runs out, -1000 (never) to 1000.
    ///
    /// # Errors
    /// [`Error::NoProcess`] and the rest of [`Error`].
    pub fn oom_score_adj(&self, pid: i32) -> Result<i32, Error> {
        let path = format!("{pid}/oom_score_adj");
        let bytes = self.read_of(pid, &path)?;
        std::str::from_utf8(bytes.trim_ascii())
            .ok()
            .and_then(|text| text.parse().ok())
            .ok_or_else(|| Error::Format { path, reason: "not a number".into() })
    }

    /// Sets it for another process. Lowering it needs CAP_SYS_RESOURCE.
    ///
    /// # Errors
    /// [`Error::OomScore`] before anything is done, [`Error::File`].
    pub fn set_oom_score_adj(&self, pid: i32, value: i32) -> Result<(), Error> {
        if !(-1000..=1000).contains(&value) {
            return Err(Error::OomScore(value));
        }
        self.write(&format!("{pid}/oom_score_adj"), value.to_string().as_bytes())
    }

    /// Our own pid in the numbers of this procfs: what the host calls us, even from inside a pid
    /// namespace.
    ///
    /// # Errors
    /// [`Error::File`] where this procfs does not know us.
    pub fn own_pid(&self) -> Result<i32, Error> {
        let text = self.link("self")?;
        text.parse().map_err(|_| Error::Format { path: "self".into(), reason: text.clone() })
    }

    /// Sets the offsets of the time namespace that our children, or our next program, will be in
    /// (time_namespaces(7)); each line is a clock, seconds and nanoseconds.
    ///
    /// # Errors
    /// [`Error::File`]: EACCES once somebody has entered the namespace, ERANGE for an offset that
    /// the kernel does not take.
    pub fn set_time_offsets(&self, lines: &str) -> Result<(), Error> {
        let own = self.link("self")?;
        self.write(&format!("{own}/timens_offsets"), lines.as_bytes())
    }

    /// The AppArmor profile that the calling thread gets at its next execve.
    ///
    /// # Errors
    /// [`Error::Label`], [`Error::File`]: ENOENT or EINVAL where the kernel runs no AppArmor or
    /// does not have the profile.
    pub fn set_apparmor_exec(&self, profile: &str) -> Result<(), Error> {
        let value = format!("exec {}", label(profile)?);
        let thread = self.link("thread-self")?;
        // Kernels that run several security modules at once have a directory for each.
        match self.write(&format!("{thread}/attr/apparmor/exec"), value.as_bytes()) {
            // Only a missing file: a missing profile is ENOENT too, but from the write.
            Err(Error::File { action: "open", source, .. })
                if source.kind() == io::ErrorKind::NotFound =>
            {
                self.write(&format!("{thread}/attr/exec"), value.as_bytes())
            }
            other => other,
        }
    }

    /// The root, for code that goes down by itself (such as [`crate::sysctl::write`]).
    #[must_use]
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.root.as_fd()
    }

    /// Where one of the kernel's own links points: `self` is `PID`, `thread-self` is
    /// `PID/task/TID`, in the numbers of this procfs.
    fn link(&self, name: &'static str) -> Result<String, Error> {
        let target = readlinkat(&self.root, name, Vec::new())
            .map_err(|errno| file_error("open", name, errno))?;
        let shape = target
            .to_str()
            .ok()
            .filter(|text| text.split('/').all(|part| is_number(part) || part == "task"));
        shape.map(String::from).ok_or_else(|| Error::Format {
            path: name.into(),
            reason: format!("it points to {target:?}"),
        })
    }

    fn read_of(&self, pid: i32, path: &str) -> Result<Vec<u8>, Error> {
        self.read(path).map_err(|error| match error {
            Error::File { source, .. }
                if matches!(source.raw_os_error(), Some(libc::ENOENT | libc::ESRCH)) =>
            {
                Error::NoProcess(pid)
            }
            other => other,
        })
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, Error> {
        let file = open_beneath(self.root.as_fd(), path, OFlags::RDONLY)?;
        let mut bytes = Vec::new();
        File::from(file)
            .take(LARGEST_READ)
            .read_to_end(&mut bytes)
            .map_err(|source| Error::File { action: "read", path: path.into(), source })?;
        Ok(bytes)
    }

    fn write(&self, path: &str, value: &[u8]) -> Result<(), Error> {
        write_whole(open_beneath(self.root.as_fd(), path, OFlags::WRONLY)?, path, value)
    }
}

/// Opens a file beneath a procfs root: no links, no other mounts, and what is opened is procfs.
///
/// # Errors
/// [`Error::File`] and [`Error::NotProc`].
pub(crate) fn open_beneath(
    root: BorrowedFd<'_>,
    path: &str,
    access: OFlags,
) -> Result<OwnedFd, Error> {
    let resolve = ResolveFlags::BENEATH
        | ResolveFlags::NO_SYMLINKS
        | ResolveFlags::NO_MAGICLINKS
        | ResolveFlags::NO_XDEV;
    let flags = access | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let file = openat2(root, path, flags, Mode::empty(), resolve)
        .map_err(|errno| file_error("open", path, errno))?;
    if is_procfs(file.as_fd())? {
        Ok(file)
    } else {
        Err(Error::NotProc { place: format!("the filesystem of {path}") })
    }
}

/// Writes a value in one go: the kernel takes each write to such a file as a value of its own.
///
/// # Errors
/// [`Error::File`], also when the kernel took only a part.
pub(crate) fn write_whole(file: OwnedFd, path: &str, value: &[u8]) -> Result<(), Error> {
    let error = |source| Error::File { action: "write", path: path.into(), source };
    match File::from(file).write(value).map_err(error)? {
        written if written == value.len() => Ok(()),
        _ => Err(error(io::ErrorKind::WriteZero.into())),
    }
}

fn is_procfs(fd: BorrowedFd<'_>) -> Result<bool, Error> {
    Ok(fstatfs(fd).map_err(|errno| file_error("open", "", errno))?.f_type == PROC_SUPER_MAGIC)
}

fn file_error(action: &'static str, path: &str, errno: Errno) -> Error {
    Error::File { action, path: path.into(), source: errno.into() }
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

fn label(text: &str) -> Result<&str, Error> {
    if text.is_empty() || text.bytes().any(|byte| byte.is_ascii_control()) {
        return Err(Error::Label(text.into()));
    }
    Ok(text)
}

/// A line of /proc/PID/cgroup (cgroups(7)).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Membership {
    /// Number of the hierarchy, 0 for cgroup v2.
    pub hierarchy: u32,
    /// Controllers on it, or `name=…`; empty for cgroup v2.
    pub controllers: Vec<String>,
    /// Path from the root of our cgroup namespace. It has ` (deleted)` at its end when the cgroup
    /// is gone, and starts with `/..` when it is outside the namespace.
    pub path: PathBuf,
}

/// Reads the text of /proc/PID/cgroup.
///
/// # Errors
/// What is wrong with it.
pub fn parse_cgroups(text: &[u8]) -> Result<Vec<Membership>, &'static str> {
    text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()).map(parse_cgroup).collect()
}

fn parse_cgroup(line: &[u8]) -> Result<Membership, &'static str> {
    // The path comes last, because a cgroup may have a colon in its name.
    let mut fields = line.splitn(3, |byte| *byte == b':');
    let mut field = || fields.next().ok_or("a line has fewer than three fields");
    let (hierarchy, controllers, path) = (field()?, field()?, field()?);
    let text = |bytes| std::str::from_utf8(bytes).map_err(|_| "a line is not text");
    if path.first() != Some(&b'/') {
        return Err("a cgroup path is not absolute");
    }
    Ok(Membership {
        hierarchy: text(hierarchy)?.parse().map_err(|_| "a hierarchy is not a number")?,
        controllers: text(controllers)?
            .split(',')
            .filter(|name| !name.is_empty())
            .map(String::from)
            .collect(),
        path: PathBuf::from(OsStr::from_bytes(path)),
    })
}

#[cfg(test)]
mod tests;
