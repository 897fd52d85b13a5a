//! Running from a copy of ourselves that no container can write to (CVE-2019-5736): a container
//! whose program is `/proc/self/exe` gets hold of whatever file we were started from.
//!
//! The copy is a read-only clone of the mount the program lies on (no bytes are copied), executed
//! by descriptor; where mounts cannot be cloned, a sealed memfd.

#![allow(unsafe_code)]

use std::ffi::{CString, OsString};
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use rustix::fs::{CWD, MemfdFlags, Mode, OFlags, SealFlags, StatVfsMountFlags};

use crate::mount;

/// Set for the copy, so that a seal which cannot be seen is an error and no endless loop.
const MARK: &str = "_LXCRI_SEALED";

/// Why we cannot run sealed.
#[derive(Debug, thiserror::Error)]
#[error("cannot seal this program against being overwritten by a container: {step}: {source}")]
pub struct SealError {
    step: &'static str,
    source: io::Error,
}

fn at(step: &'static str) -> impl Fn(io::Error) -> SealError {
    move |source| SealError { step, source }
}

/// Returns when this process runs from a sealed file already; otherwise executes the sealed copy
/// with the same arguments and does not return. Call it before anything is made.
pub fn ensure_sealed() -> Result<(), SealError> {
    let own = rustix::fs::open("/proc/self/exe", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| at("open /proc/self/exe")(errno.into()))?;
    let marked = std::env::var_os(MARK).is_some();
    if is_sealed(&own).map_err(at("inspect /proc/self/exe"))? {
        if marked {
            // SAFETY: this process has one thread (clone_into checks the same).
            unsafe { std::env::remove_var(MARK) };
        }
        return Ok(());
    }
    if marked {
        return Err(at("execute the copy")(io::Error::other("the copy is not sealed")));
    }
    let copy = match clone_read_only(&own) {
        Ok(copy) => copy,
        Err(error) => {
            log::debug!("no read-only clone of our own mount ({error}), copying into memory");
            copy_to_memory(&own).map_err(at("copy into memory"))?
        }
    };
    Err(at("execute the copy")(execute(&copy)))
}

/// Opens a program so that no container that it is executed in can write to its file: on a
/// read-only clone of its mount, or as a sealed copy in memory.
///
/// # Errors
/// [`SealError`], also where there is no such file.
pub fn read_only(program: &std::path::Path) -> Result<OwnedFd, SealError> {
    let file = rustix::fs::open(program, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
        .map_err(|errno| at("open the program")(errno.into()))?;
    clone_read_only(&file)
        .or_else(|_| copy_to_memory(&file))
        .map_err(at("copy the program into memory"))
}

/// On a read-only mount, or a memfd that cannot be written any more.
fn is_sealed(file: &OwnedFd) -> io::Result<bool> {
    let on_read_only_mount = rustix::fs::fstatvfs(file)?.f_flag.contains(StatVfsMountFlags::RDONLY);
    Ok(on_read_only_mount
        || rustix::fs::fcntl_get_seals(file).is_ok_and(|seals| seals.contains(SealFlags::WRITE)))
}

fn clone_read_only(own: &OwnedFd) -> io::Result<OwnedFd> {
    let clone = mount::clone_tree(own.as_fd(), "", false)?;
    mount::set_attributes(&clone, false, mount::Attributes::read_only(), None)?;
    Ok(clone)
}

fn copy_to_memory(own: &OwnedFd) -> io::Result<OwnedFd> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    let memory = rustix::fs::memfd_create("proxmox-lxcri", flags)?;
    let mut source = std::fs::File::from(own.try_clone()?);
    let mut target = std::fs::File::from(memory);
    io::copy(&mut source, &mut target)?;
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&target, seals)?;
    // The kernel refuses to execute a file that is open for writing.
    let path = format!("/proc/self/fd/{}", target.as_raw_fd());
    Ok(rustix::fs::openat(CWD, path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?)
}

/// Returns only on failure.
fn execute(copy: &OwnedFd) -> io::Error {
    let to_c = |text: OsString| CString::new(text.into_vec());
    let environment = std::env::vars_os().map(|(mut entry, value)| {
        entry.push("=");
        entry.push(value);
        entry
    });
    let mark = OsString::from(format!("{MARK}=1"));
    let argv: Result<Vec<_>, _> = std::env::args_os().map(to_c).collect();
    let envp: Result<Vec<_>, _> = environment.chain([mark]).map(to_c).collect();
    match (argv, envp) {
        (Ok(argv), Ok(envp)) => crate::syscall::exec_fd(copy.as_fd(), &argv, &envp),
        _ => io::Error::from_raw_os_error(libc::EINVAL),
    }
}
