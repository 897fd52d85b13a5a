//! Namespaces (namespaces(7)): which there are, joining them, and mapping ids into a user one.

mod mapped;

use std::fmt::Write as _;
use std::io;
use std::os::fd::{AsFd, OwnedFd};

use rustix::thread::{LinkNameSpaceType, ThreadNameSpaceType, UnshareFlags};

pub use mapped::mapped_user_namespace;

/// A kind of namespace.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names of namespaces(7)")]
pub enum Kind {
    User,
    Pid,
    Net,
    Ipc,
    Uts,
    Cgroup,
    Time,
    Mnt,
}

impl Kind {
    /// All kinds in joining order: the user namespace gives the rights for the others, the mount
    /// namespace changes what paths mean.
    pub const ALL: [Self; 8] = [
        Self::User,
        Self::Pid,
        Self::Net,
        Self::Ipc,
        Self::Uts,
        Self::Cgroup,
        Self::Time,
        Self::Mnt,
    ];

    /// Its file below `/proc/PID/ns`.
    pub fn file_name(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Pid => "pid",
            Self::Net => "net",
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            Self::Cgroup => "cgroup",
            Self::Time => "time",
            Self::Mnt => "mnt",
        }
    }

    /// Its `CLONE_NEW…` flag (linux/sched.h).
    pub fn clone_flag(self) -> u64 {
        u64::from(self.unshare_flag().bits())
    }

    fn unshare_flag(self) -> UnshareFlags {
        match self {
            Self::User => UnshareFlags::NEWUSER,
            Self::Pid => UnshareFlags::NEWPID,
            Self::Net => UnshareFlags::NEWNET,
            Self::Ipc => UnshareFlags::NEWIPC,
            Self::Uts => UnshareFlags::NEWUTS,
            Self::Cgroup => UnshareFlags::NEWCGROUP,
            Self::Time => UnshareFlags::NEWTIME,
            Self::Mnt => UnshareFlags::NEWNS,
        }
    }

    /// Its flag for setns(2) with a pidfd.
    pub(crate) fn join_flag(self) -> ThreadNameSpaceType {
        match self {
            Self::User => ThreadNameSpaceType::USER,
            Self::Pid => ThreadNameSpaceType::PROCESS_ID,
            Self::Net => ThreadNameSpaceType::NETWORK,
            Self::Ipc => ThreadNameSpaceType::INTER_PROCESS_COMMUNICATION,
            Self::Uts => ThreadNameSpaceType::HOST_NAME_AND_NIS_DOMAIN_NAME,
            Self::Cgroup => ThreadNameSpaceType::CONTROL_GROUP,
            Self::Time => ThreadNameSpaceType::TIME,
            Self::Mnt => ThreadNameSpaceType::MOUNT,
        }
    }

    fn link_type(self) -> LinkNameSpaceType {
        match self {
            Self::User => LinkNameSpaceType::User,
            Self::Pid => LinkNameSpaceType::ProcessID,
            Self::Net => LinkNameSpaceType::Network,
            Self::Ipc => LinkNameSpaceType::InterProcessCommunication,
            Self::Uts => LinkNameSpaceType::HostNameAndNISDomainName,
            Self::Cgroup => LinkNameSpaceType::ControlGroup,
            Self::Time => LinkNameSpaceType::Time,
            Self::Mnt => LinkNameSpaceType::Mount,
        }
    }

    /// Moves this thread into the namespace behind `fd` (setns(2)); the kernel checks the kind.
    /// For [`Kind::Pid`] and [`Kind::Time`] only children are moved.
    pub fn join(self, fd: impl AsFd) -> io::Result<()> {
        Ok(rustix::thread::move_into_link_name_space(fd.as_fd(), Some(self.link_type()))?)
    }

    /// Moves this process into a new namespace of this kind (unshare(2)). Not for [`Kind::User`],
    /// which is only made together with a child, and not for the file table.
    #[allow(unsafe_code)]
    pub fn unshare(self) -> io::Result<()> {
        // SAFETY: the call is unsafe for CLONE_FILES alone, which no kind asks for.
        Ok(unsafe { rustix::thread::unshare_unsafe(self.unshare_flag()) }?)
    }

    /// Identity of this process's namespace: device and inode of its file.
    pub fn own(self) -> io::Result<(u64, u64)> {
        self.identity("self")
    }

    /// Identity of another process's namespace. The start of `/proc/PID/ns/pid` is where that
    /// process lives, not where its children go.
    pub fn of(self, pid: i32) -> io::Result<(u64, u64)> {
        self.identity(&pid.to_string())
    }

    fn identity(self, process: &str) -> io::Result<(u64, u64)> {
        let stat = rustix::fs::stat(format!("/proc/{process}/ns/{}", self.file_name()))?;
        Ok((stat.st_dev, stat.st_ino))
    }
}

/// A namespace of an existing process or path, opened once and used by descriptor.
#[derive(Debug)]
pub struct Handle {
    /// Which kind it is meant to be.
    pub kind: Kind,
    /// The open namespace file.
    pub fd: OwnedFd,
}

/// A descriptor that is no namespace, or of another kind.
#[derive(Debug, thiserror::Error)]
#[error("is no {} namespace", .0.file_name())]
pub struct WrongKind(Kind);

impl Handle {
    /// Fails unless the file really is a namespace of this kind (ioctl_nsfs(2)).
    pub fn check_kind(&self) -> Result<(), WrongKind> {
        if crate::syscall::namespace_type(self.fd.as_fd()) == Some(self.kind.clone_flag()) {
            Ok(())
        } else {
            Err(WrongKind(self.kind))
        }
    }

    /// Whether it is the namespace this process is in already.
    pub fn is_own(&self) -> io::Result<bool> {
        let stat = rustix::fs::fstat(&self.fd)?;
        Ok((stat.st_dev, stat.st_ino) == self.kind.own()?)
    }
}

/// A range of ids for `uid_map`/`gid_map` (user_namespaces(7)).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct IdRange {
    /// First id inside the namespace.
    pub inside: u32,
    /// First id in the parent namespace.
    pub outside: u32,
    /// How many.
    pub size: u32,
}

/// Takes on id 0 of the user namespace this process is in, with no groups: what it then owns and
/// may do is the namespace root's.
pub fn become_root() -> io::Result<()> {
    use rustix::process::{Gid, Uid};
    use rustix::thread::{set_thread_groups, set_thread_res_gid, set_thread_res_uid};
    match set_thread_groups(&[]) {
        // Forbidden in an unprivileged user's namespace (user_namespaces(7)).
        Err(rustix::io::Errno::PERM) | Ok(()) => {}
        Err(error) => return Err(error.into()),
    }
    set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT)?;
    Ok(set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT)?)
}

/// The text for a map file.
fn map_text(ranges: &[IdRange]) -> String {
    let mut text = String::new();
    for IdRange { inside, outside, size } in ranges {
        // Writing to a String cannot fail.
        let _ = writeln!(text, "{inside} {outside} {size}");
    }
    text
}

/// Writes the id maps of a process that sits in a new user namespace. `deny_setgroups` is needed
/// where we are not privileged in the parent namespace (user_namespaces(7), "Defining user and
/// group ID mappings").
pub fn write_id_maps(
    pid: i32,
    uids: &[IdRange],
    gids: &[IdRange],
    deny_setgroups: bool,
) -> io::Result<()> {
    if deny_setgroups {
        std::fs::write(format!("/proc/{pid}/setgroups"), "deny")?;
    }
    std::fs::write(format!("/proc/{pid}/gid_map"), map_text(gids))?;
    std::fs::write(format!("/proc/{pid}/uid_map"), map_text(uids))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn maps_are_one_line_a_range() {
        let range = |inside, outside, size| IdRange { inside, outside, size };
        assert_eq!(
            map_text(&[range(0, 100_000, 65536), range(65536, 7, 1)]),
            "0 100000 65536\n65536 7 1\n"
        );
    }

    #[test]
    fn our_own_namespaces_are_recognised() {
        for kind in Kind::ALL {
            let fd = std::fs::File::open(format!("/proc/self/ns/{}", kind.file_name())).unwrap();
            assert!(Handle { kind, fd: fd.into() }.is_own().unwrap(), "{kind:?}");
        }
    }
}
