//! Resource limits of the calling process (`process.rlimits` of the OCI runtime-spec).

use std::io;

use rustix::process::{Pid, Rlimit, getrlimit, prlimit};

pub use rustix::process::Resource;

/// The value that stands for no limit, as in config.json and as the kernel has it.
pub const INFINITY: u64 = u64::MAX;

/// OCI names and the kernel's resources.
pub const NAMES: [(&str, Resource); 16] = [
    ("RLIMIT_AS", Resource::As),
    ("RLIMIT_CORE", Resource::Core),
    ("RLIMIT_CPU", Resource::Cpu),
    ("RLIMIT_DATA", Resource::Data),
    ("RLIMIT_FSIZE", Resource::Fsize),
    ("RLIMIT_LOCKS", Resource::Locks),
    ("RLIMIT_MEMLOCK", Resource::Memlock),
    ("RLIMIT_MSGQUEUE", Resource::Msgqueue),
    ("RLIMIT_NICE", Resource::Nice),
    ("RLIMIT_NOFILE", Resource::Nofile),
    ("RLIMIT_NPROC", Resource::Nproc),
    ("RLIMIT_RSS", Resource::Rss),
    ("RLIMIT_RTPRIO", Resource::Rtprio),
    ("RLIMIT_RTTIME", Resource::Rttime),
    ("RLIMIT_SIGPENDING", Resource::Sigpending),
    ("RLIMIT_STACK", Resource::Stack),
];

/// Why a limit was not set.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No resource has that name (runtime-spec: the runtime must fail).
    #[error("unknown resource limit {0:?}")]
    Unknown(String),
    /// The soft limit is above the hard one.
    #[error("{name}: soft limit {soft} is above hard limit {hard}")]
    SoftAboveHard {
        /// OCI name.
        name: &'static str,
        /// Soft limit asked for.
        soft: u64,
        /// Hard limit asked for.
        hard: u64,
    },
    /// The kernel refuses; EPERM means that raising the hard limit needs CAP_SYS_RESOURCE.
    #[error("failed to set {name} to {soft}:{hard}")]
    Set {
        /// OCI name.
        name: &'static str,
        /// Soft limit asked for.
        soft: u64,
        /// Hard limit asked for.
        hard: u64,
        /// The kernel's reason.
        source: io::Error,
    },
}

/// The resource of an OCI name.
///
/// # Errors
/// [`Error::Unknown`].
pub fn parse(name: &str) -> Result<Resource, Error> {
    NAMES
        .iter()
        .find(|(known, _)| *known == name)
        .map(|(_, resource)| *resource)
        .ok_or_else(|| Error::Unknown(name.into()))
}

/// The OCI name of a resource.
#[must_use]
pub fn name(resource: Resource) -> &'static str {
    NAMES.iter().find(|(_, known)| *known == resource).map_or("RLIMIT_?", |(name, _)| name)
}

/// Sets a limit of a process; [`INFINITY`] is no limit. Raising a hard limit needs
/// CAP_SYS_RESOURCE.
///
/// # Errors
/// [`Error::SoftAboveHard`] and [`Error::Set`], with nothing changed.
pub fn set(pid: i32, resource: Resource, soft: u64, hard: u64) -> Result<(), Error> {
    let name = name(resource);
    if soft > hard {
        return Err(Error::SoftAboveHard { name, soft, hard });
    }
    let finite = |value| (value != INFINITY).then_some(value);
    let limits = Rlimit { current: finite(soft), maximum: finite(hard) };
    prlimit(Pid::from_raw(pid), resource, limits).map(drop).map_err(|errno| Error::Set {
        name,
        soft,
        hard,
        source: errno.into(),
    })
}

/// The soft and the hard limit of the calling process.
#[must_use]
pub fn get(resource: Resource) -> (u64, u64) {
    let limit = getrlimit(resource);
    (limit.current.unwrap_or(INFINITY), limit.maximum.unwrap_or(INFINITY))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::forked_child;

    fn set_own(resource: Resource, soft: u64, hard: u64) -> Result<(), Error> {
        set(rustix::process::getpid().as_raw_pid(), resource, soft, hard)
    }

    #[test]
    fn names_and_resources() {
        for (text, resource) in NAMES {
            assert_eq!(parse(text).unwrap(), resource);
            assert_eq!(name(resource), text);
        }
        for bad in ["", "NOFILE", "rlimit_nofile", "RLIMIT_NOFILES", "RLIMIT_NOFILE\0", "RLIMIT_?"]
        {
            assert_eq!(
                parse(bad).unwrap_err().to_string(),
                format!("unknown resource limit {bad:?}")
            );
        }
    }

    #[test]
    fn limits_are_set_in_the_kernel() {
        let (_, hard) = get(Resource::Nofile);
        let outcome = forked_child::run(|| {
            set_own(Resource::Nofile, 17, 23.min(hard)).unwrap();
            set_own(Resource::Core, 0, 0).unwrap();
            std::fs::read("/proc/self/limits").unwrap()
        });
        let text = String::from_utf8(outcome.output).unwrap();
        let words = |start: &str| -> Vec<String> {
            let line = text.lines().find(|line| line.starts_with(start)).unwrap();
            line[start.len()..].split_whitespace().take(2).map(String::from).collect()
        };
        assert_eq!(words("Max open files"), ["17", "23"]);
        assert_eq!(words("Max core file size"), ["0", "0"]);
    }

    #[test]
    fn infinity_is_infinity() {
        if get(Resource::Cpu).1 != INFINITY {
            eprintln!("skipped: the tests run under a CPU limit");
            return;
        }
        let outcome = forked_child::run(|| {
            set_own(Resource::Cpu, 1000, INFINITY).unwrap();
            assert_eq!(get(Resource::Cpu), (1000, INFINITY));
            set_own(Resource::Cpu, INFINITY, INFINITY).unwrap();
            assert_eq!(get(Resource::Cpu), (INFINITY, INFINITY));
            vec![]
        });
        assert!(outcome.status.success());
    }

    #[test]
    fn refusals_name_the_limit() {
        let error = set_own(Resource::Nofile, 2, 1).unwrap_err();
        assert_eq!(error.to_string(), "RLIMIT_NOFILE: soft limit 2 is above hard limit 1");
        // Above fs.nr_open, which nobody may pass.
        let error = set_own(Resource::Nofile, 1, INFINITY).unwrap_err();
        assert_eq!(error.to_string(), "failed to set RLIMIT_NOFILE to 1:18446744073709551615");
    }
}
