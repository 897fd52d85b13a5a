//! Capabilities of the calling thread: names, sets, and the calls that change them.
//!
//! The order for a container's process (capabilities(7)): [`drop_bounding`] while CAP_SETPCAP is
//! still there; keep capabilities over the change of user (`PR_SET_KEEPCAPS`, done where the user
//! is changed, not here); [`set_thread`]; last [`set_ambient`], because an ambient capability has to
//! be permitted and inheritable first, and a change of user clears the ambient set.

use std::fmt;
use std::io;

use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_ambient_set,
    capability_is_in_bounding_set, clear_ambient_capability_set,
    configure_capability_in_ambient_set, remove_capability_from_bounding_set, set_capabilities,
};

/// Names in the order of their numbers (kernel: `include/uapi/linux/capability.h`), spelled as in
/// `process.capabilities` of the OCI runtime-spec.
pub const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// A change that the kernel refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A capability stays in the bounding set; EPERM means that CAP_SETPCAP is missing.
    #[error("failed to drop {} from the bounding set", name(*.bit))]
    Bounding {
        /// Its number.
        bit: u32,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The thread's sets stay as they were; EPERM means that one is more than is permitted.
    #[error(
        "failed to set capabilities (effective {effective}, permitted {permitted}, inheritable {inheritable})"
    )]
    Thread {
        /// The effective set asked for.
        effective: Set,
        /// The permitted set asked for.
        permitted: Set,
        /// The inheritable set asked for.
        inheritable: Set,
        /// The kernel's reason.
        source: io::Error,
    },
    /// An ambient capability was not raised; EPERM means that it is not permitted and inheritable.
    #[error("failed to raise ambient capability {}", name(*.bit))]
    Ambient {
        /// Its number.
        bit: u32,
        /// The kernel's reason.
        source: io::Error,
    },
    /// The ambient set was not cleared.
    #[error("failed to clear the ambient capabilities")]
    ClearAmbient(#[source] io::Error),
    /// The current sets could not be read.
    #[error("failed to read the capabilities of this thread")]
    Read(#[source] io::Error),
}

/// A set of capabilities: bit n is the capability with number n.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Set(u64);

impl Set {
    /// No capability.
    pub const EMPTY: Self = Self(0);

    /// The set with these bits.
    #[must_use]
    pub const fn from_bits(bits: u64) -> Self {
        Self(bits)
    }

    /// The bits, as in the `Cap…` lines of /proc/PID/status.
    #[must_use]
    pub const fn bits(self) -> u64 {
        self.0
    }

    /// Every capability up to and including number `last`.
    #[must_use]
    pub const fn up_to(last: u32) -> Self {
        Self(if last >= 63 { u64::MAX } else { (1 << (last + 1)) - 1 })
    }

    /// Whether capability number `bit` is in the set.
    #[must_use]
    pub const fn contains(self, bit: u32) -> bool {
        bit < 64 && self.0 & (1 << bit) != 0
    }

    /// What is in both.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// What is in either.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// What is in this one and not in the other.
    #[must_use]
    pub const fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Whether nothing is in it.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The numbers in the set, ascending.
    pub fn iter(self) -> impl Iterator<Item = u32> {
        (0..u64::BITS).filter(move |bit| self.contains(*bit))
    }
}

/// The names with commas between them, `none` for the empty set.
impl fmt::Display for Set {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_empty() {
            return f.write_str("none");
        }
        for (position, bit) in self.iter().enumerate() {
            if position > 0 {
                f.write_str(",")?;
            }
            f.write_str(&name(bit))?;
        }
        Ok(())
    }
}

/// The name of a capability; `CAP_<number>` for one that is newer than [`NAMES`].
#[must_use]
pub fn name(bit: u32) -> String {
    NAMES.get(bit as usize).map_or_else(|| format!("CAP_{bit}"), ToString::to_string)
}

/// The number of a capability by its exact OCI name.
#[must_use]
pub fn number(name: &str) -> Option<u32> {
    NAMES.iter().position(|known| *known == name).and_then(|bit| u32::try_from(bit).ok())
}

/// Reads a list of OCI names. Those that are unknown, or that this kernel does not have
/// (above `last`, see [`last_cap`]), come back by name: the runtime-spec wants a warning for them
/// and no failure.
pub fn parse<S: AsRef<str>>(names: &[S], last: u32) -> (Set, Vec<String>) {
    let mut set = Set::EMPTY;
    let mut unknown = Vec::new();
    for name in names.iter().map(AsRef::as_ref) {
        match number(name) {
            Some(bit) if bit <= last => set = set.union(Set(1 << bit)),
            _ => unknown.push(name.to_owned()),
        }
    }
    (set, unknown)
}

/// The highest capability of the running kernel, asked without /proc.
#[must_use]
pub fn last_cap() -> u32 {
    // The kernel answers for every capability it has and with EINVAL above.
    let exists = |bit: u32| capability_is_in_bounding_set(one(bit)).is_ok();
    let (mut low, mut high) = (0_u32, 63);
    while low < high {
        let middle = low + (high - low).div_ceil(2);
        if exists(middle) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    low
}

/// The five sets of a thread.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Current {
    /// What the kernel checks.
    pub effective: Set,
    /// What may become effective.
    pub permitted: Set,
    /// What may pass an execve.
    pub inheritable: Set,
    /// The limit of what an execve may give.
    pub bounding: Set,
    /// What an execve of an ordinary file keeps.
    pub ambient: Set,
}

/// The sets of the calling thread.
///
/// # Errors
/// [`Error::Read`].
pub fn current() -> Result<Current, Error> {
    let read = |errno: rustix::io::Errno| Error::Read(errno.into());
    let sets = capabilities(None).map_err(read)?;
    let (mut bounding, mut ambient) = (0, 0);
    for bit in 0..=last_cap() {
        bounding |= u64::from(capability_is_in_bounding_set(one(bit)).map_err(read)?) << bit;
        ambient |= u64::from(capability_is_in_ambient_set(one(bit)).map_err(read)?) << bit;
    }
    Ok(Current {
        effective: Set(sets.effective.bits()),
        permitted: Set(sets.permitted.bits()),
        inheritable: Set(sets.inheritable.bits()),
        bounding: Set(bounding),
        ambient: Set(ambient),
    })
}

/// Takes everything but `keep` out of the bounding set, for good. Needs CAP_SETPCAP unless nothing
/// has to go.
///
/// # Errors
/// [`Error::Bounding`] with the first capability that could not be dropped.
pub fn drop_bounding(keep: Set) -> Result<(), Error> {
    for bit in Set::up_to(last_cap()).without(keep).iter() {
        capability_is_in_bounding_set(one(bit))
            .and_then(
                |there| {
                    if there { remove_capability_from_bounding_set(one(bit)) } else { Ok(()) }
                },
            )
            .map_err(|errno| Error::Bounding { bit, source: errno.into() })?;
    }
    Ok(())
}

/// Sets the three sets of capset(2) at once. What is no longer permitted leaves the ambient set too.
///
/// # Errors
/// [`Error::Thread`].
pub fn set_thread(effective: Set, permitted: Set, inheritable: Set) -> Result<(), Error> {
    let raw = |set: Set| CapabilitySet::from_bits_retain(set.0);
    let sets = CapabilitySets {
        effective: raw(effective),
        permitted: raw(permitted),
        inheritable: raw(inheritable),
    };
    set_capabilities(None, sets).map_err(|errno| Error::Thread {
        effective,
        permitted,
        inheritable,
        source: errno.into(),
    })
}

/// Makes the ambient set exactly `set`. Each of it has to be permitted and inheritable already.
///
/// # Errors
/// [`Error::ClearAmbient`], or [`Error::Ambient`] with the first capability that was not raised;
/// the set is then a part of what was asked, never more.
pub fn set_ambient(set: Set) -> Result<(), Error> {
    clear_ambient_capability_set().map_err(|errno| Error::ClearAmbient(errno.into()))?;
    for bit in set.iter() {
        configure_capability_in_ambient_set(one(bit), true)
            .map_err(|errno| Error::Ambient { bit, source: errno.into() })?;
    }
    Ok(())
}

fn one(bit: u32) -> CapabilitySet {
    CapabilitySet::from_bits_retain(1 << bit)
}

#[cfg(test)]
mod tests;
