//! A compiled filter and its way into the kernel.
#![allow(unsafe_code)]

use std::{fmt, io};

use super::Error;

/// Instructions that the kernel takes in one filter (kernel: `BPF_MAXINSNS`).
pub const MAX_INSTRUCTIONS: usize = 4096;
/// Bytes of one instruction (kernel: `struct sock_filter`).
pub(super) const INSTRUCTION_SIZE: usize = 8;

/// `SECCOMP_SET_MODE_FILTER` of seccomp(2).
pub(super) const SET_MODE_FILTER: libc::c_ulong = 1;

/// A filter ready for the kernel.
#[derive(Clone, PartialEq, Eq)]
pub struct Program {
    /// Classic BPF, `struct sock_filter` after `struct sock_filter`, in the machine's byte order.
    pub instructions: Vec<u8>,
    /// `SECCOMP_FILTER_FLAG_*` bits to load it with.
    pub flags: u32,
    /// Names in the profile that libseccomp does not know and that were skipped; for a debug log.
    /// Empty when the program came from a cache.
    pub unknown_syscalls: Vec<String>,
}

/// The size stands for the instructions: thousands of numbers help nobody.
impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Program")
            .field("instructions", &(self.instructions.len() / INSTRUCTION_SIZE))
            .field("flags", &self.flags)
            .field("unknown_syscalls", &self.unknown_syscalls)
            .finish()
    }
}

impl Program {
    /// Checks the shape of `instructions`; their sense is checked by the kernel on load.
    ///
    /// # Errors
    /// [`Error::Malformed`] and [`Error::TooLong`].
    pub(super) fn new(instructions: Vec<u8>, flags: u32) -> Result<Self, Error> {
        let count = instructions.len() / INSTRUCTION_SIZE;
        if count == 0 || !instructions.len().is_multiple_of(INSTRUCTION_SIZE) {
            return Err(Error::Malformed { bytes: instructions.len() });
        }
        if count > MAX_INSTRUCTIONS {
            return Err(Error::TooLong { instructions: count });
        }
        Ok(Self { instructions, flags, unknown_syscalls: Vec::new() })
    }

    /// Puts the filter on the calling thread (with `SECCOMP_FILTER_FLAG_TSYNC` on every thread).
    ///
    /// It cannot be taken off again. The caller has either no_new_privs set or CAP_SYS_ADMIN in its
    /// user namespace. Allocates only on failure, so it may be called between fork and exec.
    ///
    /// # Errors
    /// EACCES without that privilege, EINVAL where the kernel does not take the program or a flag,
    /// ENOSYS in a kernel without seccomp filters.
    pub fn load(&self) -> io::Result<()> {
        let length = u16::try_from(self.instructions.len() / INSTRUCTION_SIZE)
            .map_err(|_| io::Error::from_raw_os_error(libc::EINVAL))?;
        let program = libc::sock_fprog {
            len: length,
            filter: self.instructions.as_ptr().cast_mut().cast::<libc::sock_filter>(),
        };
        // SAFETY: the kernel reads `len` instructions of 8 bytes from `filter`, which is exactly
        // what the vector holds; it copies them and needs no alignment.
        let result = unsafe {
            libc::syscall(
                libc::SYS_seccomp,
                SET_MODE_FILTER,
                libc::c_ulong::from(self.flags),
                &raw const program,
            )
        };
        match result {
            0 => Ok(()),
            thread if thread > 0 => Err(io::Error::other(format!(
                "thread {thread} has a seccomp filter of its own and cannot be synchronised"
            ))),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shape_is_checked() {
        assert!(matches!(Program::new(vec![], 0), Err(Error::Malformed { bytes: 0 })));
        assert!(matches!(Program::new(vec![0; 12], 0), Err(Error::Malformed { bytes: 12 })));
        assert!(Program::new(vec![0; 8 * MAX_INSTRUCTIONS], 0).is_ok());
        assert!(matches!(
            Program::new(vec![0; 8 * (MAX_INSTRUCTIONS + 1)], 0),
            Err(Error::TooLong { instructions: 4097 })
        ));
    }

    #[test]
    fn the_kernel_refuses_what_is_no_program() {
        let nonsense = Program::new(vec![0xff; 16], 0).unwrap();
        let outcome = crate::forked_child::run(|| {
            nonsense.load().err().and_then(|e| e.raw_os_error()).unwrap_or(0).to_le_bytes().to_vec()
        });
        assert_eq!(outcome.output, libc::EINVAL.to_le_bytes());
    }
}
