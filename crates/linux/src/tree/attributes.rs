//! What a filesystem keeps about a file besides its content, from one file to another: owner, mode,
//! extended attributes, times.

use std::ffi::{CStr, CString};
use std::os::fd::{AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use rustix::fs::{
    AtFlags, FileType, Gid, Mode, Stat, Timespec, Timestamps, Uid, XattrFlags, lgetxattr,
    llistxattr, lsetxattr,
};
use rustix::io::Errno;

use super::{Rules, TreeError};
use crate::namespace::IdRange;

/// Longest list of names and longest value (linux/limits.h, `XATTR_LIST_MAX`, `XATTR_SIZE_MAX`).
const XATTR_MAX: usize = 65536;

/// A file by its directory and name; the directory itself by ".".
#[derive(Clone, Copy)]
pub(super) struct File<'a> {
    pub(super) directory: BorrowedFd<'a>,
    pub(super) name: &'a Path,
}

impl File<'_> {
    /// A path to it for calls that know no descriptors. It leads through the directory that is open,
    /// and only the last name could be a link.
    fn path(&self) -> Result<CString, Errno> {
        let mut path = format!("/proc/self/fd/{}/", self.directory.as_raw_fd()).into_bytes();
        path.extend_from_slice(self.name.as_os_str().as_bytes());
        CString::new(path).map_err(|_| Errno::INVAL)
    }
}

/// Gives the directory `to` the owner, mode, extended attributes and times of the directory `from`.
/// Not the attributes in which an overlay keeps its own notes, nor SELinux labels.
///
/// # Errors
/// [`TreeError`].
pub fn copy_attributes(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> Result<(), TreeError> {
    let name = Path::new(".");
    let stat = rustix::fs::fstat(from).map_err(|errno| TreeError::new("look at", name, errno))?;
    apply(File { directory: from, name }, File { directory: to, name }, &stat, Rules::default())
        .map_err(|(what, errno)| TreeError::new(what, name, errno))
}

/// Gives `to` everything of `from`, whose `stat` is known. Owner first, because a change of it takes
/// set-user-id and capabilities away; times last.
pub(super) fn apply(
    from: File<'_>,
    to: File<'_>,
    stat: &Stat,
    rules: Rules<'_>,
) -> Result<(), (&'static str, Errno)> {
    let brought = |id| shifted(rules.shift, id).or(rules.lenient.then_some(id));
    let uid = brought(stat.st_uid).ok_or(("map the owner of", Errno::OVERFLOW))?;
    let gid = brought(stat.st_gid).ok_or(("map the group of", Errno::OVERFLOW))?;
    let (uid, gid) = (Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)));
    rustix::fs::chownat(to.directory, to.name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|errno| ("set the owner of", errno))?;
    copy_xattrs(from, to, rules)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::Symlink {
        // Never a link: the file is one that we have just made.
        let mode = Mode::from_raw_mode(stat.st_mode & 0o7777);
        rustix::fs::chmodat(to.directory, to.name, mode, AtFlags::empty())
            .map_err(|errno| ("set the mode of", errno))?;
    }
    let times = Timestamps {
        last_access: Timespec { tv_sec: stat.st_atime as _, tv_nsec: stat.st_atime_nsec as _ },
        last_modification: Timespec {
            tv_sec: stat.st_mtime as _,
            tv_nsec: stat.st_mtime_nsec as _,
        },
    };
    rustix::fs::utimensat(to.directory, to.name, &times, AtFlags::SYMLINK_NOFOLLOW)
        .map_err(|errno| ("set the times of", errno))
}

fn copy_xattrs(
    from: File<'_>,
    to: File<'_>,
    rules: Rules<'_>,
) -> Result<(), (&'static str, Errno)> {
    let read = |errno| ("read the extended attributes of", errno);
    let source = from.path().map_err(read)?;
    // Most files have none: that is told by a call without a buffer.
    let length = match rustix::fs::llistxattr_query(source.as_c_str()) {
        Ok(0) | Err(Errno::NOTSUP) => return Ok(()),
        other => other.map_err(read)?,
    };
    let mut names = vec![0_u8; length.min(XATTR_MAX)];
    let length = llistxattr(source.as_c_str(), names.as_mut_slice()).map_err(read)?;
    let target = to.path().map_err(read)?;
    for name in names[..length].split_inclusive(|byte| *byte == 0) {
        let name = CStr::from_bytes_with_nul(name).map_err(|_| read(Errno::INVAL))?;
        if is_of_the_place(name.to_bytes()) {
            continue;
        }
        let mut value = vec![0_u8; XATTR_MAX];
        let length = lgetxattr(source.as_c_str(), name, value.as_mut_slice()).map_err(read)?;
        value.truncate(length);
        if let Some(ranges) = rules.shift {
            value = match shift_value(name.to_bytes(), value, ranges) {
                Some(value) => value,
                None if rules.lenient => continue,
                None => return Err(("map the extended attributes of", Errno::OVERFLOW)),
            };
        }
        match lsetxattr(target.as_c_str(), name, &value, XattrFlags::empty()) {
            Err(Errno::NOTSUP) if rules.lenient => {}
            other => other.map_err(|errno| ("set the extended attributes of", errno))?,
        }
    }
    Ok(())
}

/// Attributes that say something of where the file lies, and nothing of the file.
fn is_of_the_place(name: &[u8]) -> bool {
    name.starts_with(b"trusted.overlay.")
        || name == b"security.selinux"
        || name == b"system.nfs4_acl"
}

/// The id that `id` is mapped to; `None` where no range has it.
pub(super) fn shifted(ranges: Option<&[IdRange]>, id: u32) -> Option<u32> {
    let Some(ranges) = ranges else { return Some(id) };
    ranges.iter().find_map(|range| {
        let offset = id.checked_sub(range.inside)?;
        (offset < range.size).then(|| range.outside.checked_add(offset)).flatten()
    })
}

fn shift_value(name: &[u8], value: Vec<u8>, ranges: &[IdRange]) -> Option<Vec<u8>> {
    match name {
        b"system.posix_acl_access" | b"system.posix_acl_default" => shift_acl(value, ranges),
        b"security.capability" => shift_capability(value, ranges),
        _ => Some(value),
    }
}

/// An access control list (linux/posix_acl_xattr.h) with the ids in it mapped; `None` where it is no
/// list, or has an id that is not mapped.
pub fn shift_acl(mut value: Vec<u8>, ranges: &[IdRange]) -> Option<Vec<u8>> {
    const VERSION: [u8; 4] = 2_u32.to_le_bytes();
    const USER: [u8; 2] = 0x02_u16.to_le_bytes();
    const GROUP: [u8; 2] = 0x08_u16.to_le_bytes();
    let (version, entries) = value.split_at_mut_checked(4)?;
    if *version != VERSION || entries.len() % 8 != 0 {
        return None;
    }
    for entry in entries.chunks_exact_mut(8) {
        if entry[..2] == USER || entry[..2] == GROUP {
            let id = u32::from_le_bytes(entry[4..].try_into().ok()?);
            entry[4..].copy_from_slice(&shifted(Some(ranges), id)?.to_le_bytes());
        }
    }
    Some(value)
}

/// File capabilities (linux/capability.h, `struct vfs_ns_cap_data`) for the root that 0, or the root
/// they name, is mapped to; `None` where they are none, or that id is not mapped.
pub fn shift_capability(mut value: Vec<u8>, ranges: &[IdRange]) -> Option<Vec<u8>> {
    const REVISION: u32 = 0xff00_0000;
    const REVISION_2: (u32, usize) = (0x0200_0000, 20);
    const REVISION_3: (u32, usize) = (0x0300_0000, 24);
    let magic = u32::from_le_bytes(value.get(..4)?.try_into().ok()?);
    let root = match (magic & REVISION, value.len()) {
        REVISION_2 => 0,
        REVISION_3 => u32::from_le_bytes(value.get(20..24)?.try_into().ok()?),
        _ => return None,
    };
    let magic = (magic & !REVISION) | REVISION_3.0;
    value[..4].copy_from_slice(&magic.to_le_bytes());
    value.truncate(20);
    value.extend_from_slice(&shifted(Some(ranges), root)?.to_le_bytes());
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    const RANGES: [IdRange; 2] = [
        IdRange { inside: 0, outside: 100_000, size: 1000 },
        IdRange { inside: 5000, outside: u32::MAX, size: 2 },
    ];

    #[test]
    fn ids() {
        let shift = |id| shifted(Some(&RANGES), id);
        assert_eq!((shift(0), shift(999), shift(1000)), (Some(100_000), Some(100_999), None));
        assert_eq!((shift(4999), shift(5000), shift(5001)), (None, Some(u32::MAX), None));
        assert_eq!(shifted(None, 7), Some(7));
    }

    #[test]
    fn capabilities() {
        let two = [vec![1, 0, 0, 2], vec![7; 16]].concat();
        let three = [vec![1, 0, 0, 3], vec![7; 16], 100_000_u32.to_le_bytes().to_vec()].concat();
        assert_eq!(shift_capability(two, &RANGES), Some(three.clone()));
        assert_eq!(shift_capability(three, &RANGES), None, "its root is not mapped");
        for broken in [&[][..], &[0, 0, 0, 2], &[0; 20], &[2; 21]] {
            assert_eq!(shift_capability(broken.to_vec(), &RANGES), None);
        }
    }

    #[test]
    fn access_control_lists() {
        let entry = |tag: u8, id: u32| [vec![tag, 0, 7, 0], id.to_le_bytes().to_vec()].concat();
        let list = |entries: &[Vec<u8>]| [vec![2, 0, 0, 0], entries.concat()].concat();
        let given = list(&[entry(1, u32::MAX), entry(2, 7), entry(8, 9), entry(0x10, u32::MAX)]);
        let wanted = list(&[
            entry(1, u32::MAX),
            entry(2, 100_007),
            entry(8, 100_009),
            entry(0x10, u32::MAX),
        ]);
        assert_eq!(shift_acl(given, &RANGES), Some(wanted));
        assert_eq!(shift_acl(list(&[entry(2, 1000)]), &RANGES), None);
        for broken in [&[][..], &[2, 0, 0], &[1, 0, 0, 0], &[2, 0, 0, 0, 2]] {
            assert_eq!(shift_acl(broken.to_vec(), &RANGES), None);
        }
    }
}
