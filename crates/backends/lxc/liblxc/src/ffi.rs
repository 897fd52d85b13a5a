//! liblxc's C interface, as far as it is used: `lxc/lxccontainer.h` of LXC 5, 6 and 7. The soname has
//! been liblxc.so.1 since LXC 1.1; `struct lxc_container` only ever grew at its end.

use std::ffi::{c_char, c_int, c_void};

/// The beginning of `struct lxc_container`, up to the last member that is used. liblxc makes it; it is
/// never made or copied here.
#[repr(C)]
pub(crate) struct LxcContainer {
    pub(crate) name: *mut c_char,
    configfile: *mut c_char,
    pidfile: *mut c_char,
    slock: *mut c_void,
    privlock: *mut c_void,
    numthreads: c_int,
    lxc_conf: *mut c_void,
    error_string: *mut c_char,
    pub(crate) error_num: c_int,
    pub(crate) daemonize: bool,
    pub(crate) config_path: *mut c_char,
    is_defined: Unused,
    pub(crate) state: unsafe extern "C" fn(*mut LxcContainer) -> *const c_char,
    pub(crate) is_running: unsafe extern "C" fn(*mut LxcContainer) -> bool,
    freeze: Unused,
    unfreeze: Unused,
    pub(crate) init_pid: unsafe extern "C" fn(*mut LxcContainer) -> libc::pid_t,
    pub(crate) load_config: unsafe extern "C" fn(*mut LxcContainer, *const c_char) -> bool,
    pub(crate) start: unsafe extern "C" fn(*mut LxcContainer, c_int, *const *const c_char) -> bool,
    startl: Unused,
    stop: Unused,
    pub(crate) want_daemonize: unsafe extern "C" fn(*mut LxcContainer, bool) -> bool,
    pub(crate) want_close_all_fds: unsafe extern "C" fn(*mut LxcContainer, bool) -> bool,
    config_file_name: Unused,
    wait: Unused,
    pub(crate) set_config_item:
        unsafe extern "C" fn(*mut LxcContainer, *const c_char, *const c_char) -> bool,
    destroy: Unused,
    save_config: Unused,
    create: Unused,
    createl: Unused,
    rename: Unused,
    reboot: Unused,
    shutdown: Unused,
    pub(crate) clear_config: unsafe extern "C" fn(*mut LxcContainer),
    clear_config_item: Unused,
    pub(crate) get_config_item:
        unsafe extern "C" fn(*mut LxcContainer, *const c_char, *mut c_char, c_int) -> c_int,
}

/// A member of the size of a function pointer that is never called.
type Unused = *const c_void;

/// `struct lxc_log`.
#[repr(C)]
pub(crate) struct LxcLog {
    pub(crate) name: *const c_char,
    pub(crate) lxcpath: *const c_char,
    pub(crate) file: *const c_char,
    pub(crate) level: *const c_char,
    pub(crate) prefix: *const c_char,
    pub(crate) quiet: bool,
}

/// `lxc_get_version`.
pub(crate) type GetVersion = unsafe extern "C" fn() -> *const c_char;
/// `lxc_log_init`.
pub(crate) type LogInit = unsafe extern "C" fn(*mut LxcLog) -> c_int;
/// `lxc_container_new`.
pub(crate) type ContainerNew =
    unsafe extern "C" fn(*const c_char, *const c_char) -> *mut LxcContainer;
/// `lxc_container_put`.
pub(crate) type ContainerPut = unsafe extern "C" fn(*mut LxcContainer) -> c_int;
