//! What of seccomp exists here, for the OCI features document (runtime-spec features-linux.md).
#![allow(unsafe_code)]

use std::ptr;

use super::names;
use super::program::SET_MODE_FILTER;

/// `SECCOMP_GET_ACTION_AVAIL` of seccomp(2).
const GET_ACTION_AVAIL: libc::c_ulong = 2;

/// Names that this runtime takes, and what the kernel makes of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Supported {
    /// Actions a profile may use.
    pub actions: Vec<&'static str>,
    /// Those of them that the running kernel has.
    pub available_actions: Vec<&'static str>,
    /// Comparison operators.
    pub operators: Vec<&'static str>,
    /// Architectures.
    pub archs: Vec<&'static str>,
    /// Flags a profile may use.
    pub known_flags: Vec<&'static str>,
    /// Those of them that the running kernel has.
    pub supported_flags: Vec<&'static str>,
}

/// Asks the kernel and lists everything.
#[must_use]
pub fn supported() -> Supported {
    let flags = || names::FLAGS.iter().copied();
    Supported {
        actions: names::ACTIONS.to_vec(),
        available_actions: names::ACTIONS
            .into_iter()
            .filter(|name| action_available(name))
            .collect(),
        operators: names::OPERATORS.to_vec(),
        archs: names::ARCHITECTURES.iter().map(|(name, _)| *name).collect(),
        known_flags: flags().map(|(name, _)| name).collect(),
        supported_flags: flags()
            .filter(|(_, bit)| flag_available(*bit))
            .map(|(name, _)| name)
            .collect(),
    }
}

/// Whether the running kernel has the action (kernel: `SECCOMP_RET_*`).
fn action_available(name: &str) -> bool {
    let code: u32 = match name {
        "SCMP_ACT_ALLOW" => libc::SECCOMP_RET_ALLOW,
        "SCMP_ACT_ERRNO" => libc::SECCOMP_RET_ERRNO,
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => libc::SECCOMP_RET_KILL_THREAD,
        "SCMP_ACT_KILL_PROCESS" => libc::SECCOMP_RET_KILL_PROCESS,
        "SCMP_ACT_LOG" => libc::SECCOMP_RET_LOG,
        "SCMP_ACT_TRACE" => libc::SECCOMP_RET_TRACE,
        "SCMP_ACT_TRAP" => libc::SECCOMP_RET_TRAP,
        _ => return false,
    };
    // SAFETY: the kernel reads one u32 from a pointer to one.
    unsafe { libc::syscall(libc::SYS_seccomp, GET_ACTION_AVAIL, 0, &raw const code) == 0 }
}

/// Whether the running kernel has the flag: it looks at the flags before it reads the program, so
/// that a missing program is EFAULT with a flag it knows and EINVAL otherwise.
pub(super) fn flag_available(bit: u32) -> bool {
    // WAIT_KILLABLE_RECV is taken only together with NEW_LISTENER (1 << 3).
    let flags = if bit == names::WAIT_KILLABLE_RECV { bit | (1 << 3) } else { bit };
    // SAFETY: a null program is never read and nothing is loaded.
    let result = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            SET_MODE_FILTER,
            libc::c_ulong::from(flags),
            ptr::null::<libc::sock_fprog>(),
        )
    };
    result < 0 && std::io::Error::last_os_error().raw_os_error() == Some(libc::EFAULT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_agree_with_the_kernel() {
        let supported = supported();
        assert_eq!(supported.known_flags.len(), 4);
        for flag in &supported.supported_flags {
            assert!(supported.known_flags.contains(flag));
        }
        // Linux 4.14, below everything we support.
        assert!(supported.available_actions.contains(&"SCMP_ACT_KILL_PROCESS"));
        assert!(supported.supported_flags.contains(&"SECCOMP_FILTER_FLAG_TSYNC"));
        assert!(supported.supported_flags.contains(&"SECCOMP_FILTER_FLAG_LOG"));
        assert!(!flag_available(1 << 30), "the probe must be able to say no");
        assert!(!action_available("SCMP_ACT_NONSENSE"));
        assert!(!supported.actions.contains(&"SCMP_ACT_NOTIFY"), "refused by compile");
    }
}
