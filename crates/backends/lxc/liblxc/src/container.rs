//! One container of liblxc, its members called safely.

#![allow(unsafe_code)]

use std::ffi::{CStr, c_char};
use std::ptr::NonNull;

use crate::ffi::LxcContainer;
use crate::library::Library;

/// Why liblxc refuses. Its log says more.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ContainerError {
    /// No memory, or no lock.
    #[error("liblxc cannot open the container")]
    New,
    /// A line of the configuration.
    #[error("liblxc cannot read the configuration")]
    Config,
    /// The container runs.
    #[error("an LXC container of this name runs already")]
    Running,
    /// Anything while it was started.
    #[error("liblxc could not start the container")]
    Start,
}

/// A reference to a container, given back when dropped.
pub(crate) struct Container<'l> {
    library: &'l Library,
    raw: NonNull<LxcContainer>,
}

impl<'l> Container<'l> {
    /// `raw` is of `lxc_container_new`, and nobody else gives it back.
    pub(crate) fn new(library: &'l Library, raw: NonNull<LxcContainer>) -> Self {
        Self { library, raw }
    }

    fn members(&self) -> &LxcContainer {
        // SAFETY: liblxc made the structure, it lives until `lxc_container_put`, and its beginning is
        // laid out like ours in every version with this soname. Nothing here keeps the reference over
        // a call that changes it.
        unsafe { self.raw.as_ref() }
    }

    /// Whether it runs now, by its command socket.
    pub(crate) fn is_running(&self) -> bool {
        let call = self.members().is_running;
        // SAFETY: the container is valid.
        unsafe { call(self.raw.as_ptr()) }
    }

    /// Takes on the configuration in `file` and nothing else.
    pub(crate) fn load(&self, file: &CStr) -> Result<(), ContainerError> {
        let (clear, load) = (self.members().clear_config, self.members().load_config);
        // SAFETY: the container is valid; the path is NUL-terminated and only read.
        let loaded = unsafe {
            clear(self.raw.as_ptr());
            load(self.raw.as_ptr(), file.as_ptr())
        };
        if loaded { Ok(()) } else { Err(ContainerError::Config) }
    }

    /// Starts it in this process, with `program` as its init, and comes back when it has ended.
    /// Descriptors that are not close-on-exec stay open in it.
    pub(crate) fn run(&self, program: &CStr) -> Result<(), ContainerError> {
        let members = self.members();
        let (daemonize, close, start) =
            (members.want_daemonize, members.want_close_all_fds, members.start);
        let argv: [*const c_char; 2] = [program.as_ptr(), std::ptr::null()];
        // SAFETY: the container is valid; argv ends with NULL, and it and its string live until the
        // call returns.
        let started = unsafe {
            daemonize(self.raw.as_ptr(), false)
                && close(self.raw.as_ptr(), false)
                && start(self.raw.as_ptr(), 0, argv.as_ptr())
        };
        if started { Ok(()) } else { Err(ContainerError::Start) }
    }
}

impl Drop for Container<'_> {
    fn drop(&mut self) {
        // SAFETY: it is ours to give back, once.
        unsafe { (self.library.put)(self.raw.as_ptr()) };
    }
}

#[cfg(test)]
mod tests {
    use std::ffi::CString;

    use super::*;

    /// liblxc, or one line that says why the test says nothing.
    fn library(test: &str) -> Option<Library> {
        use std::io::Write as _;
        let reason = if cfg!(target_feature = "crt-static") {
            "this test program is static: testing/scripts/libexec.sh test runs it dynamic"
                .to_owned()
        } else {
            match Library::load() {
                Ok(library) => return Some(library),
                Err(error) => error.to_string(),
            }
        };
        let _ = writeln!(std::io::stderr(), "SKIP lxcri-liblxc::{test}: {reason}");
        None
    }

    fn text(pointer: *const c_char) -> String {
        assert!(!pointer.is_null());
        // SAFETY: a C string of liblxc's.
        unsafe { CStr::from_ptr(pointer) }.to_string_lossy().into_owned()
    }

    /// Every member that is used, and data before, between and after: were the structure laid out in
    /// another way, one of these would give something else, or crash.
    #[test]
    fn members_are_where_we_look_for_them() {
        let Some(library) = library("members_are_where_we_look_for_them") else { return };
        let dir = tempfile::tempdir().unwrap();
        let lxcpath = CString::new(dir.path().to_str().unwrap()).unwrap();
        let name = CString::new(format!("lxcri-ffi-{}", std::process::id())).unwrap();
        let container = library.container(&name, &lxcpath).unwrap();
        let raw = container.raw.as_ptr();
        let members = container.members();
        assert_eq!(text(members.name), name.to_str().unwrap());
        assert_eq!(text(members.config_path), lxcpath.to_str().unwrap());
        assert_eq!(members.error_num, 0);
        assert!(!container.is_running());
        // SAFETY: as in the methods above.
        unsafe {
            assert_eq!(text((members.state)(raw)), "STOPPED");
            assert!((members.init_pid)(raw) < 0);
        }
        let file = dir.path().join("config");
        std::fs::write(&file, "lxc.uts.name = one\nlxc.tty.max = 3\n").unwrap();
        let file = CString::new(file.to_str().unwrap()).unwrap();
        container.load(&file).unwrap();
        assert_eq!(item(raw, c"lxc.uts.name"), "one");
        assert_eq!(item(raw, c"lxc.tty.max"), "3");
        // SAFETY: as in the methods above. A configuration has to be there: without one liblxc refuses.
        unsafe {
            assert!((members.want_daemonize)(raw, false) && !(*raw).daemonize);
            assert!((members.want_daemonize)(raw, true) && (*raw).daemonize);
            assert!((members.want_close_all_fds)(raw, false));
            assert!((members.set_config_item)(raw, c"lxc.uts.name".as_ptr(), c"two".as_ptr()));
            assert!(!(members.set_config_item)(raw, c"lxc.nonsense".as_ptr(), c"1".as_ptr()));
        }
        assert_eq!(item(raw, c"lxc.uts.name"), "two");
        assert!(matches!(container.load(c"/nonexistent"), Err(ContainerError::Config)));
    }

    fn item(raw: *mut LxcContainer, key: &CStr) -> String {
        let mut buffer = [0 as c_char; 64];
        // SAFETY: the container is valid, the buffer is as long as it is said to be.
        let length =
            unsafe { ((*raw).get_config_item)(raw, key.as_ptr(), buffer.as_mut_ptr(), 64) };
        assert!(length > 0, "{key:?}");
        text(buffer.as_ptr())
    }
}
