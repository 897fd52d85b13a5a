//! bpf(2): loading a device program and attaching it to a cgroup.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use super::device_bpf::{Instruction, program};
use super::devices::Rule;
use super::directory::Directory;
use super::error::{Error, Result};

// kernel: include/uapi/linux/bpf.h
const PROG_LOAD: libc::c_long = 5;
const PROG_ATTACH: libc::c_long = 8;
const PROG_DETACH: libc::c_long = 9;
const PROG_GET_FD_BY_ID: libc::c_long = 13;
const PROG_QUERY: libc::c_long = 16;
const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const CGROUP_DEVICE: u32 = 6;
const ALLOW_MULTI: u32 = 1 << 1;
const REPLACE: u32 = 1 << 2;
/// The most programs that one cgroup may have (kernel: BPF_CGROUP_MAX_PROGS).
const MOST_PROGRAMS: usize = 64;

#[repr(C)]
#[derive(Default)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
    prog_name: [u8; 16],
}

#[repr(C)]
#[derive(Default)]
struct Attach {
    target_fd: i32,
    attach_bpf_fd: i32,
    attach_type: u32,
    attach_flags: u32,
    replace_bpf_fd: i32,
}

#[repr(C)]
#[derive(Default)]
struct Query {
    target_fd: i32,
    attach_type: u32,
    query_flags: u32,
    attach_flags: u32,
    prog_ids: u64,
    prog_cnt: u32,
    padding: u32,
}

#[repr(C)]
#[derive(Default)]
struct ById {
    prog_id: u32,
    next_id: u32,
    open_flags: u32,
    padding: u32,
}

/// Makes `rules` the device rules of a v2 cgroup. A program that was attached before is replaced;
/// at no moment is the cgroup without one.
pub(super) fn attach_device_rules(cgroup: &Directory, rules: &[Rule]) -> Result<()> {
    let failed = |step| move |source| Error::Bpf { step, path: cgroup.path().to_owned(), source };
    let new = load(&program(rules)).map_err(failed("load"))?;
    let old = attached(cgroup.as_fd()).map_err(failed("look for"))?;
    if let [only] = old.as_slice() {
        return attach(cgroup.as_fd(), &new, Some(only)).map_err(failed("replace"));
    }
    attach(cgroup.as_fd(), &new, None).map_err(failed("attach"))?;
    old.iter().try_for_each(|old| detach(cgroup.as_fd(), old)).map_err(failed("detach"))
}

/// Loads a program. Kernels before 5.11 count it against RLIMIT_MEMLOCK; the limit is raised only
/// for the call, so that no container inherits it.
fn load(code: &[Instruction]) -> io::Result<OwnedFd> {
    match load_once(code) {
        Err(e) if e.raw_os_error() == Some(libc::EPERM) => {
            let before = getrlimit(Resource::Memlock);
            let unlimited = Rlimit { current: None, maximum: None };
            if let Err(refused) = setrlimit(Resource::Memlock, unlimited) {
                // Without CAP_SYS_RESOURCE. It was worth a try; the load decides.
                log::debug!("RLIMIT_MEMLOCK cannot be raised: {refused}");
                return Err(e);
            }
            let result = load_once(code);
            setrlimit(Resource::Memlock, before)?;
            result
        }
        other => other,
    }
}

fn load_once(code: &[Instruction]) -> io::Result<OwnedFd> {
    let attributes = Load {
        prog_type: PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: u32::try_from(code.len()).map_err(io::Error::other)?,
        insns: code.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        prog_name: *b"lxcri_devices\0\0\0",
        ..Load::default()
    };
    // SAFETY: the attributes have the layout of this command; `insns` points to `insn_cnt`
    // instructions and `license` to a C string, both alive until the call returns.
    let fd = unsafe { bpf(PROG_LOAD, &attributes) }?;
    // SAFETY: the kernel just made this descriptor for us and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// The device programs attached to the cgroup itself. One that a security module hides from us is
/// left out: it can only forbid more.
fn attached(cgroup: BorrowedFd<'_>) -> io::Result<Vec<OwnedFd>> {
    let mut ids = [0_u32; MOST_PROGRAMS];
    let mut query = Query {
        target_fd: cgroup.as_raw_fd(),
        attach_type: CGROUP_DEVICE,
        prog_ids: ids.as_mut_ptr() as u64,
        prog_cnt: 64,
        ..Query::default()
    };
    // SAFETY: the attributes have the layout of this command, are writable, and `prog_ids` points
    // to `prog_cnt` writable numbers.
    unsafe { bpf_mut(PROG_QUERY, &mut query) }?;
    let count = usize::try_from(query.prog_cnt).map_err(io::Error::other)?.min(MOST_PROGRAMS);
    let mut programs = Vec::with_capacity(count);
    for id in &ids[..count] {
        match open_by_id(*id) {
            Ok(program) => programs.push(program),
            Err(e) if e.kind() == io::ErrorKind::PermissionDenied => {
                log::debug!("device program {id} cannot be opened: {e}");
            }
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(programs)
}

fn open_by_id(id: u32) -> io::Result<OwnedFd> {
    let attributes = ById { prog_id: id, ..ById::default() };
    // SAFETY: the attributes have the layout of this command and hold no pointer.
    let fd = unsafe { bpf(PROG_GET_FD_BY_ID, &attributes) }?;
    // SAFETY: the kernel just made this descriptor for us and nobody else has it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

fn attach(cgroup: BorrowedFd<'_>, program: &OwnedFd, old: Option<&OwnedFd>) -> io::Result<()> {
    let attributes = Attach {
        target_fd: cgroup.as_raw_fd(),
        attach_bpf_fd: program.as_raw_fd(),
        attach_type: CGROUP_DEVICE,
        attach_flags: ALLOW_MULTI | if old.is_some() { REPLACE } else { 0 },
        replace_bpf_fd: old.map_or(0, AsRawFd::as_raw_fd),
    };
    // SAFETY: the attributes have the layout of this command and hold no pointer.
    unsafe { bpf(PROG_ATTACH, &attributes) }.map(drop)
}

fn detach(cgroup: BorrowedFd<'_>, program: &OwnedFd) -> io::Result<()> {
    let attributes = Attach {
        target_fd: cgroup.as_raw_fd(),
        attach_bpf_fd: program.as_raw_fd(),
        attach_type: CGROUP_DEVICE,
        ..Attach::default()
    };
    // SAFETY: the attributes have the layout of this command and hold no pointer.
    unsafe { bpf(PROG_DETACH, &attributes) }.map(drop)
}

/// # Safety
/// `attributes` must have the layout that `command` reads, with valid pointers, and the command
/// must not write through it.
unsafe fn bpf<T>(command: libc::c_long, attributes: &T) -> io::Result<i32> {
    // SAFETY: by this function's own contract.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_ref(attributes), size_of::<T>())
    };
    check(result)
}

/// # Safety
/// `attributes` must have the layout that `command` reads and writes, with valid pointers.
unsafe fn bpf_mut<T>(command: libc::c_long, attributes: &mut T) -> io::Result<i32> {
    // SAFETY: by this function's own contract.
    let result = unsafe {
        libc::syscall(libc::SYS_bpf, command, std::ptr::from_mut(attributes), size_of::<T>())
    };
    check(result)
}

fn check(result: libc::c_long) -> io::Result<i32> {
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    i32::try_from(result).map_err(io::Error::other)
}
