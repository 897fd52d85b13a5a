//! Subvolumes of btrfs: directories that can be snapshotted and destroyed in one call
//! (linux/btrfs.h; btrfs-subvolume(8)).

#![allow(unsafe_code)]

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::os::unix::ffi::OsStrExt;

/// Inode number of the root of every subvolume (`BTRFS_FIRST_FREE_OBJECTID`).
pub const SUBVOLUME_INODE: u64 = 256;

/// Longest name of a subvolume in bytes (`BTRFS_SUBVOL_NAME_MAX` holds the NUL, too, but a
/// directory entry holds no more than this).
const NAME_MAX: usize = 255;

const SUBVOL_RDONLY: u64 = 1 << 1;

/// `struct btrfs_ioctl_vol_args_v2`.
#[repr(C)]
struct Arguments {
    fd: i64,
    transid: u64,
    flags: u64,
    unused: [u64; 4],
    name: [u8; 4040],
}

const fn request(direction: libc::Ioctl, number: libc::Ioctl, size: usize) -> libc::Ioctl {
    (direction << 30) | ((size as libc::Ioctl) << 16) | (0x94 << 8) | number
}

const SNAP_CREATE_V2: libc::Ioctl = request(1, 23, size_of::<Arguments>());
const SUBVOL_CREATE_V2: libc::Ioctl = request(1, 24, size_of::<Arguments>());
const SUBVOL_GETFLAGS: libc::Ioctl = request(2, 25, size_of::<u64>());
const SUBVOL_SETFLAGS: libc::Ioctl = request(1, 26, size_of::<u64>());
const SNAP_DESTROY_V2: libc::Ioctl = request(1, 63, size_of::<Arguments>());

/// Whether an open file lies on btrfs.
pub fn is_btrfs(file: impl AsFd) -> io::Result<bool> {
    const BTRFS_SUPER_MAGIC: i64 = 0x9123_683e;
    let found = rustix::fs::fstatfs(file.as_fd())?.f_type;
    // The field is as wide as the architecture wants it.
    #[allow(clippy::useless_conversion, reason = "on some it is an i64 already")]
    Ok(i64::from(found) == BTRFS_SUPER_MAGIC)
}

/// Whether an open directory is the root of a subvolume.
pub fn is_subvolume(directory: impl AsFd) -> io::Result<bool> {
    let inode = rustix::fs::fstat(directory.as_fd())?.st_ino;
    Ok(inode == SUBVOLUME_INODE && is_btrfs(directory)?)
}

/// Makes an empty subvolume `name` in `parent` (opened for reading), mode 0755.
///
/// # Errors
/// ENOTTY where `parent` is not on btrfs, EEXIST.
pub fn create_subvolume(parent: impl AsFd, name: &OsStr) -> io::Result<()> {
    call(parent.as_fd(), SUBVOL_CREATE_V2, &mut arguments(name, 0)?)
}

/// Makes `name` in `parent` a writable snapshot of the subvolume `source`.
///
/// # Errors
/// EXDEV where they are on different filesystems, EINVAL where `source` is no subvolume.
pub fn snapshot(source: impl AsFd, parent: impl AsFd, name: &OsStr) -> io::Result<()> {
    let source = i64::from(source.as_fd().as_raw_fd());
    call(parent.as_fd(), SNAP_CREATE_V2, &mut arguments(name, source)?)
}

/// Destroys the subvolume `name` in `parent`, with all files in it, writable or not.
///
/// # Errors
/// ENOTEMPTY where other subvolumes lie in it, EINVAL or ENOTDIR where it is none.
pub fn destroy_subvolume(parent: impl AsFd, name: &OsStr) -> io::Result<()> {
    call(parent.as_fd(), SNAP_DESTROY_V2, &mut arguments(name, 0)?)
}

/// Makes a subvolume that was set read-only writable again; says whether it had been read-only.
///
/// # Errors
/// As ioctl(2).
pub fn make_writable(subvolume: impl AsFd) -> io::Result<bool> {
    let mut flags = 0_u64;
    call(subvolume.as_fd(), SUBVOL_GETFLAGS, &mut flags)?;
    if flags & SUBVOL_RDONLY == 0 {
        return Ok(false);
    }
    flags &= !SUBVOL_RDONLY;
    call(subvolume.as_fd(), SUBVOL_SETFLAGS, &mut flags)?;
    Ok(true)
}

fn arguments(name: &OsStr, fd: i64) -> io::Result<Arguments> {
    let bytes = name.as_bytes();
    let is_name = !bytes.is_empty() && bytes != b"." && bytes != b"..";
    if !is_name || bytes.len() > NAME_MAX || bytes.contains(&b'/') || bytes.contains(&0) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    let mut arguments = Arguments { fd, transid: 0, flags: 0, unused: [0; 4], name: [0; 4040] };
    arguments.name[..bytes.len()].copy_from_slice(bytes);
    Ok(arguments)
}

fn call<T>(file: BorrowedFd<'_>, request: libc::Ioctl, argument: &mut T) -> io::Result<()> {
    // SAFETY: each request above has the size of the type it is called with in its number; the
    // argument lives until the call returns, and the kernel writes no more than that size.
    match unsafe { libc::ioctl(file.as_raw_fd(), request, std::ptr::from_mut(argument)) } {
        -1 => Err(io::Error::last_os_error()),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The numbers of linux/btrfs.h, as the kernel's headers give them on amd64.
    #[test]
    fn requests_have_the_kernels_numbers() {
        assert_eq!(size_of::<Arguments>(), 4096);
        assert_eq!(SNAP_CREATE_V2, 0x5000_9417);
        assert_eq!(SUBVOL_CREATE_V2, 0x5000_9418);
        assert_eq!(SUBVOL_GETFLAGS, 0x8008_9419);
        assert_eq!(SUBVOL_SETFLAGS, 0x4008_941a);
        assert_eq!(SNAP_DESTROY_V2, 0x5000_943f);
    }

    #[test]
    fn names_that_are_none() {
        let long = "x".repeat(256);
        for name in ["", ".", "..", "a/b", "a\0b", &long] {
            assert!(arguments(OsStr::new(name), 0).is_err(), "{name:?}");
        }
        let dir = tempfile::tempdir_in("/dev/shm").unwrap();
        let dir = std::fs::File::open(dir.path()).unwrap();
        let error = create_subvolume(&dir, OsStr::new("x")).unwrap_err();
        assert_eq!(error.raw_os_error(), Some(libc::ENOTTY));
        assert!(!is_btrfs(&dir).unwrap());
    }
}
