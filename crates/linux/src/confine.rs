//! What a process gives up before it reads strangers' bytes: every path but one directory, every
//! descriptor but a few, every capability but a few, and memory, files and descriptors beyond a
//! bound. For a process that was executed for this one job and has one thread.

use std::io;
use std::os::fd::BorrowedFd;

use rustix::fs::Mode;
use rustix::process::{Pid, Resource};

use crate::capability::{self, Set};
use crate::{landlock, rlimit, syscall};

/// What is kept.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// Capabilities, as far as they are there.
    pub capabilities: Set,
    /// Bytes of the largest file that can be written.
    pub file: u64,
    /// Bytes of address space.
    pub memory: u64,
    /// Open descriptors.
    pub descriptors: u64,
}

/// Which of the walls that not every kernel and not every user can have were put up.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Walls {
    /// The version of Landlock.
    pub landlock: Option<u32>,
    /// Whether the directory is the root of all paths (chroot(2), which needs CAP_SYS_CHROOT).
    pub root: bool,
}

/// Closes every descriptor but the standard three. For the first line of a program's work: nothing
/// of its own may be open yet.
///
/// # Errors
/// What the kernel says.
pub fn close_inherited() -> io::Result<()> {
    syscall::close_from_except(3, &[])
}

/// Confines the calling thread, and all that it starts, to `directory`, for good. Afterwards `/` is
/// that directory, and no path leads out of it; modes of new files are as asked (umask 0); core is
/// never dumped; nobody traces the process but root.
///
/// # Errors
/// What could not be done. The process must not go on then.
pub fn confine(directory: BorrowedFd<'_>, kept: &Kept) -> io::Result<Walls> {
    crate::process::hide()?;
    rustix::process::umask(Mode::empty());
    rustix::process::fchdir(directory)?;
    let root = match rustix::process::chroot(".") {
        Ok(()) => true,
        Err(rustix::io::Errno::PERM) => false,
        Err(error) => return Err(error.into()),
    };
    rustix::thread::set_no_new_privs(true)?;
    let landlock = landlock::confine_beneath(directory)?;
    limit(Resource::Core, 0)?;
    limit(Resource::Fsize, kept.file)?;
    limit(Resource::As, kept.memory)?;
    limit(Resource::Nofile, kept.descriptors)?;
    keep_capabilities(kept.capabilities).map_err(io::Error::other)?;
    Ok(Walls { landlock, root })
}

/// At most `most`, or less where less is allowed already.
fn limit(resource: Resource, most: u64) -> io::Result<()> {
    let (_, hard) = rlimit::get(resource);
    let most = most.min(hard);
    let own = Pid::as_raw(Some(rustix::process::getpid()));
    rlimit::set(own, resource, most, most).map_err(io::Error::other)
}

fn keep_capabilities(kept: Set) -> Result<(), capability::Error> {
    /// CAP_SETPCAP, without which the bounding set cannot be changed; no_new_privs makes it
    /// meaningless then.
    const SETPCAP: u32 = 8;
    let current = capability::current()?;
    if current.effective.contains(SETPCAP) {
        capability::drop_bounding(kept)?;
    }
    capability::set_ambient(Set::EMPTY)?;
    let left = current.permitted.intersection(kept);
    capability::set_thread(left, left, Set::EMPTY)
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::fd::AsFd;
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::forked_child;

    const CHOWN: Set = Set::from_bits(1);

    #[test]
    fn what_is_left_is_the_directory_and_what_was_kept() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("in")).unwrap();
        let inside = File::open(dir.path().join("in")).unwrap();
        let path = dir.path().to_owned();
        let outcome = forked_child::run(move || {
            let kept = Kept { capabilities: CHOWN, file: 1000, memory: 1 << 30, descriptors: 20 };
            let status = File::open("/proc/self/status").unwrap();
            let walls = confine(inside.as_fd(), &kept).unwrap();
            assert!(walls.root);
            assert_eq!(walls.landlock, landlock::abi().filter(|abi| *abi >= 2));
            assert!(!path.exists(), "no path leads out");
            std::fs::write("/new", "x").unwrap();
            assert!(std::fs::read("/../../etc/passwd").is_err());
            assert_eq!(rlimit::get(Resource::Core), (0, 0));
            assert_eq!(rlimit::get(Resource::Fsize), (1000, 1000));
            io::read_to_string(status).unwrap().into_bytes()
        });
        assert!(outcome.status.success(), "{:?}", outcome.status);
        let made = std::fs::metadata(dir.path().join("in/new")).unwrap();
        assert_eq!(made.permissions().mode() & 0o777, 0o666);
        let status = String::from_utf8(outcome.output).unwrap();
        for line in ["CapPrm:\t0000000000000001", "CapBnd:\t0000000000000001", "NoNewPrivs:\t1"] {
            assert!(status.contains(line), "{line} is missing in\n{status}");
        }
    }
}
