//! `linux.sysctl` of the OCI runtime-spec: kernel parameters that belong to a namespace.
//!
//! Most of /proc/sys is the whole machine's. What a container may set is decided by the same rules
//! as in runc: the parameter belongs to a namespace, and the container has one of its own.

use std::os::fd::BorrowedFd;

use rustix::fs::OFlags;

use crate::procfs;

/// Parameters of an IPC namespace by their path, besides everything below `fs/mqueue/`.
const IPC: [&str; 8] = [
    "kernel/msgmax",
    "kernel/msgmnb",
    "kernel/msgmni",
    "kernel/sem",
    "kernel/shmall",
    "kernel/shmmax",
    "kernel/shmmni",
    "kernel/shm_rmid_forced",
];

/// Longest value; the kernel takes no more than a page.
const LONGEST_VALUE: usize = 4095;

/// Why a parameter is refused.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not the name of a parameter.
    #[error("sysctl key {key:?} {reason}")]
    Key {
        /// The key as the configuration has it.
        key: String,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// Not a value that can be written.
    #[error("sysctl {key:?}: value {reason}")]
    Value {
        /// The key as the configuration has it.
        key: String,
        /// What is wrong with the value.
        reason: &'static str,
    },
    /// The container shares the namespace that the parameter belongs to.
    #[error("sysctl {key:?} needs {namespace} namespace of the container's own")]
    SharedNamespace {
        /// The key as the configuration has it.
        key: String,
        /// Which one, with its article.
        namespace: &'static str,
    },
    /// The configuration has a field of its own for it.
    #[error("sysctl {key:?} conflicts with the field {field} of config.json")]
    HasField {
        /// The key as the configuration has it.
        key: String,
        /// The field.
        field: &'static str,
    },
    /// The parameter is the whole machine's.
    #[error("sysctl {key:?} belongs to no namespace and would change the whole machine")]
    NotNamespaced {
        /// The key as the configuration has it.
        key: String,
    },
    /// The kernel refuses the write, or what is there is not procfs.
    #[error("failed to set sysctl {key:?}")]
    Write {
        /// The key as the configuration has it.
        key: String,
        /// The reason.
        source: procfs::Error,
    },
}

/// Which namespaces are the container's own: new ones, or joined ones that are not the runtime's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OwnNamespaces {
    /// IPC.
    pub ipc: bool,
    /// Network.
    pub network: bool,
    /// Hostname.
    pub uts: bool,
}

/// Decides whether a container with these namespaces may set `key` to `value`.
///
/// # Errors
/// Any of [`Error`] but `Write`.
pub fn check(key: &str, value: &str, own: OwnNamespaces) -> Result<(), Error> {
    let path = path(key)?;
    check_value(key, value)?;
    let shared = |namespace| Error::SharedNamespace { key: key.into(), namespace };
    let allowed = |own: bool, namespace| if own { Ok(()) } else { Err(shared(namespace)) };
    if IPC.contains(&path.as_str()) || path.starts_with("fs/mqueue/") {
        return allowed(own.ipc, "an ipc");
    }
    if path.starts_with("net/") {
        return allowed(own.network, "a network");
    }
    match path.as_str() {
        "kernel/domainname" => allowed(own.uts, "a uts"),
        "kernel/hostname" => Err(Error::HasField { key: key.into(), field: "hostname" }),
        _ => Err(Error::NotNamespaced { key: key.into() }),
    }
}

/// Sets a parameter in the namespaces of the calling process.
///
/// `proc` is the root of a real procfs (see [`procfs::Proc::as_fd`]). The caller has asked
/// [`check`]; this one only makes sure that the key cannot lead anywhere but below `sys`.
///
/// # Errors
/// [`Error::Key`], [`Error::Value`], [`Error::Write`].
pub fn write(proc: BorrowedFd<'_>, key: &str, value: &str) -> Result<(), Error> {
    let path = format!("sys/{}", path(key)?);
    check_value(key, value)?;
    procfs::open_beneath(proc, &path, OFlags::WRONLY)
        .and_then(|file| procfs::write_whole(file, &path, value.as_bytes()))
        .map_err(|source| Error::Write { key: key.into(), source })
}

/// The path below /proc/sys of a key.
///
/// The first separator in the key decides (sysctl.d(5)): with a dot, dots separate and a slash
/// stands for a dot in a name (`net.ipv4.conf.eno2/100.rp_filter`); with a slash it is a path.
fn path(key: &str) -> Result<String, Error> {
    let refuse = |reason| Err(Error::Key { key: key.into(), reason });
    if key.bytes().any(|byte| byte.is_ascii_control() || byte == b' ') {
        return refuse("holds a space or a control character");
    }
    let path = match key.find(['.', '/']) {
        None => return refuse("names no parameter"),
        Some(first) if key.as_bytes()[first] == b'/' => key.to_owned(),
        Some(_) => key
            .chars()
            .map(|c| match c {
                '.' => '/',
                '/' => '.',
                c => c,
            })
            .collect::<String>(),
    };
    if path.split('/').any(|part| matches!(part, "" | "." | "..")) {
        return refuse("has an empty, `.` or `..` component");
    }
    Ok(path)
}

fn check_value(key: &str, value: &str) -> Result<(), Error> {
    let refuse = |reason| Err(Error::Value { key: key.into(), reason });
    if value.is_empty() {
        // Writing nothing does nothing, and the kernel calls that a success.
        return refuse("is empty");
    }
    if value.len() > LONGEST_VALUE {
        return refuse("is longer than 4095 bytes");
    }
    if value.bytes().any(|byte| byte.is_ascii_control() && byte != b'\t') {
        return refuse("holds a newline or another control character");
    }
    Ok(())
}

#[cfg(test)]
mod tests;
