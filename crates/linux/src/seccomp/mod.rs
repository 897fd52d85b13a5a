//! Seccomp: from the `linux.seccomp` object of config.json to a filter in the kernel.
//!
//! [`Profile`] is what the bundle says, [`compile`] turns it into a [`Program`] by libseccomp,
//! [`Program::load`] hands that to the kernel without libseccomp, and [`compile_cached`] keeps
//! programs on disk because compiling costs tens of milliseconds with the profiles that Docker
//! and Podman ship. [`supported`] says what of all this exists here.
//!
//! Not here: `SCMP_ACT_NOTIFY` and its listener, which are refused by name.

mod cache;
mod compile;
mod names;
mod profile;
mod program;
mod supported;

pub use cache::compile_cached;
pub use compile::compile;
pub use profile::{Argument, Profile, Rule};
pub use program::{MAX_INSTRUCTIONS, Program};
pub use supported::{Supported, supported};

/// Why a profile cannot become a filter.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that is in no list of the OCI runtime-spec.
    #[error("unknown seccomp {kind} {name:?}")]
    Unknown {
        /// What the name should have been: action, operator, architecture or flag.
        kind: &'static str,
        /// The name as the profile has it.
        name: String,
        /// The known name that looks most like it.
        nearest: Option<&'static str>,
    },
    /// Something of the runtime-spec that this runtime does not do.
    #[error("seccomp {what} in {place} is not supported")]
    NotSupported {
        /// The action or field.
        what: &'static str,
        /// Where it stands in the profile.
        place: String,
    },
    /// A return value that the kernel could not give back.
    #[error("seccomp {place}: errno {value} is not between 0 and {max}")]
    ErrnoRange {
        /// Where it stands in the profile.
        place: String,
        /// The value as the profile has it.
        value: u32,
        /// The largest value that the action takes.
        max: u32,
    },
    /// An errno with an action that returns none (runtime-spec: the runtime must fail).
    #[error("seccomp {place}: {action} takes no errno")]
    ErrnoUnused {
        /// Where it stands in the profile.
        place: String,
        /// The action.
        action: String,
    },
    /// A system call has six arguments.
    #[error("seccomp rule for {syscall:?}: argument index {index} is not between 0 and 5")]
    ArgumentIndex {
        /// The system call.
        syscall: String,
        /// The index as the profile has it.
        index: u32,
    },
    /// A rule without names, or with an empty one.
    #[error("seccomp syscalls[{index}] does not name a system call")]
    NoName {
        /// Position in `syscalls`, from 0.
        index: usize,
    },
    /// libseccomp refuses an architecture (for example one of the other byte order).
    #[error("seccomp architecture {name:?} cannot be added to the filter")]
    Architecture {
        /// The architecture.
        name: String,
        /// libseccomp's reason.
        source: libseccomp::error::SeccompError,
    },
    /// libseccomp refuses a rule.
    #[error("seccomp rule for {syscall:?} cannot be added to the filter")]
    Rule {
        /// The system call.
        syscall: String,
        /// libseccomp's reason.
        source: libseccomp::error::SeccompError,
    },
    /// libseccomp fails otherwise.
    #[error("libseccomp failed to {step}")]
    Library {
        /// What was asked of it.
        step: &'static str,
        /// libseccomp's reason.
        source: libseccomp::error::SeccompError,
    },
    /// The filter could not be read back from libseccomp.
    #[error("failed to read the compiled seccomp filter")]
    Export(#[source] std::io::Error),
    /// Larger than the kernel takes.
    #[error(
        "seccomp filter has {instructions} instructions, the kernel takes {}",
        MAX_INSTRUCTIONS
    )]
    TooLong {
        /// Number of BPF instructions.
        instructions: usize,
    },
    /// Not a BPF program: empty, or not a whole number of instructions.
    #[error("seccomp filter of {bytes} bytes is not a BPF program")]
    Malformed {
        /// Size found.
        bytes: usize,
    },
}

impl Error {
    /// What the user could do about it, where we know.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Unknown { nearest: Some(nearest), .. } => {
                Some(format!("did you mean {nearest}?"))
            }
            Self::NotSupported { .. } => Some("remove it, or choose a backend that has it".into()),
            Self::TooLong { .. } => {
                Some("fewer rules with arguments or fewer architectures make it smaller".into())
            }
            _ => None,
        }
    }
}
