//! liblxc itself: found, judged by its version, and its functions.

#![allow(unsafe_code)]

use std::ffi::{CStr, CString, c_void};
use std::path::Path;
use std::ptr::NonNull;

use crate::container::{Container, ContainerError};
use crate::ffi::{ContainerNew, ContainerPut, GetVersion, LogInit, LxcLog};

/// Its soname: what all of the versions that we know share.
const SONAME: &CStr = c"liblxc.so.1";

/// The oldest that we know.
const OLDEST: u32 = 5;

/// Why liblxc cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LibraryError {
    /// Not installed, or broken.
    #[error("cannot load liblxc.so.1: {0}")]
    Absent(String),
    /// It is not what its name says.
    #[error("liblxc.so.1 has no {0}")]
    NoFunction(&'static str),
    /// Older than anything that was tried with.
    #[error("liblxc.so.1 is version {found}, needed is {OLDEST} or newer")]
    TooOld {
        /// As it says itself.
        found: String,
    },
    /// It cannot write its log.
    #[error("liblxc cannot open its log")]
    Log,
}

/// A loaded liblxc. It is never unloaded.
#[derive(Debug)]
pub(crate) struct Library {
    new: ContainerNew,
    pub(crate) put: ContainerPut,
    get_version: GetVersion,
    log_init: LogInit,
}

impl Library {
    /// Loads it and checks its version.
    pub(crate) fn load() -> Result<Self, LibraryError> {
        // SAFETY: the name is NUL-terminated. Constructors of the library run, as they do in every
        // program of LXC; this process has one thread and nothing they could disturb.
        let handle = unsafe { libc::dlopen(SONAME.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        let handle = NonNull::new(handle).ok_or_else(|| LibraryError::Absent(dl_error()))?;
        // SAFETY: each symbol is one of the public functions of lxc/lxccontainer.h, and the types are
        // those of that header in every version that has this soname.
        let library = unsafe {
            Self {
                new: std::mem::transmute::<*mut c_void, ContainerNew>(symbol(
                    handle,
                    c"lxc_container_new",
                    "lxc_container_new",
                )?),
                put: std::mem::transmute::<*mut c_void, ContainerPut>(symbol(
                    handle,
                    c"lxc_container_put",
                    "lxc_container_put",
                )?),
                get_version: std::mem::transmute::<*mut c_void, GetVersion>(symbol(
                    handle,
                    c"lxc_get_version",
                    "lxc_get_version",
                )?),
                log_init: std::mem::transmute::<*mut c_void, LogInit>(symbol(
                    handle,
                    c"lxc_log_init",
                    "lxc_log_init",
                )?),
            }
        };
        check(&library.version())?;
        Ok(library)
    }

    /// Its version, such as `6.0.4`.
    pub(crate) fn version(&self) -> String {
        // SAFETY: takes nothing and gives a constant string of the library.
        unsafe { CStr::from_ptr((self.get_version)()) }.to_string_lossy().into_owned()
    }

    /// Has it write its errors to `file`. Once per process.
    pub(crate) fn log_to(
        &self,
        file: &CStr,
        name: &CStr,
        lxcpath: &CStr,
    ) -> Result<(), LibraryError> {
        let mut log = LxcLog {
            name: name.as_ptr(),
            lxcpath: lxcpath.as_ptr(),
            file: file.as_ptr(),
            level: c"ERROR".as_ptr(),
            prefix: c"lxcri-liblxc".as_ptr(),
            quiet: true,
        };
        // SAFETY: the structure and its strings live until the call returns; the library copies what
        // it keeps.
        match unsafe { (self.log_init)(&raw mut log) } {
            0 => Ok(()),
            _ => Err(LibraryError::Log),
        }
    }

    /// A container by name, whether it exists or not.
    pub(crate) fn container(
        &self,
        name: &CStr,
        lxcpath: &CStr,
    ) -> Result<Container<'_>, ContainerError> {
        // SAFETY: both strings are NUL-terminated and copied by the library.
        let raw = unsafe { (self.new)(name.as_ptr(), lxcpath.as_ptr()) };
        NonNull::new(raw).map(|raw| Container::new(self, raw)).ok_or(ContainerError::New)
    }
}

/// One function.
///
/// # Safety
/// `handle` is of dlopen(3) and still open.
unsafe fn symbol(
    handle: NonNull<c_void>,
    name: &CStr,
    shown: &'static str,
) -> Result<*mut c_void, LibraryError> {
    // SAFETY: the handle is open by the contract above, the name is NUL-terminated.
    let found = unsafe { libc::dlsym(handle.as_ptr(), name.as_ptr()) };
    if found.is_null() { Err(LibraryError::NoFunction(shown)) } else { Ok(found) }
}

/// What dlopen(3) has to say.
fn dl_error() -> String {
    // SAFETY: gives NULL or a string that stays until the next call; this process has one thread.
    let text = unsafe { libc::dlerror() };
    if text.is_null() {
        return "unknown error".to_owned();
    }
    // SAFETY: not NULL, so it is a C string.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

fn check(version: &str) -> Result<(), LibraryError> {
    let major = version.split('.').next().and_then(|number| number.parse::<u32>().ok());
    match major {
        Some(OLDEST..) => Ok(()),
        _ => Err(LibraryError::TooOld { found: version.to_owned() }),
    }
}

/// A C string of a path or name that the command line had.
pub(crate) fn c_string(text: &Path) -> Option<CString> {
    use std::os::unix::ffi::OsStrExt as _;
    CString::new(text.as_os_str().as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        for good in ["5.0.2", "6.0.4", "7.0.0", "6.0.4-devel", "12"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for bad in ["4.0.12", "", "devel", "-5", "x.5"] {
            let error = check(bad).unwrap_err().to_string();
            assert!(error.contains("needed is 5 or newer"), "{error}");
        }
    }
}
