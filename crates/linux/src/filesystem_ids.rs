//! Who a thread is to filesystems (setfsuid(2)), with all that it may do.

#![allow(unsafe_code)]

use std::io;

use rustix::process::DumpableBehavior;
use rustix::thread::CapabilitySets;

/// This thread acts on filesystems with other ids, until dropped.
///
/// That changes who owns what it makes, and who it is where ids are mapped; not what it may do: its
/// capabilities, some of which the kernel takes away with the id 0 (capabilities(7), "Effect of
/// user ID changes on capabilities"), are put back at once.
#[derive(Debug)]
pub struct FilesystemIds {
    before: (libc::uid_t, libc::gid_t),
    capabilities: CapabilitySets,
    dumpable: DumpableBehavior,
}

impl FilesystemIds {
    /// Takes on the ids of a user and a group.
    ///
    /// # Errors
    /// EPERM without CAP_SETUID and CAP_SETGID; nothing has changed then.
    pub fn take_on(uid: u32, gid: u32) -> io::Result<Self> {
        let capabilities = rustix::thread::capabilities(None)?;
        let dumpable = rustix::process::dumpable_behavior()?;
        let before = set(uid, gid);
        let taken = Self { before, capabilities, dumpable };
        // The calls themselves report nothing: a second one tells what came of the first.
        if set(uid, gid) != (uid, gid) {
            return Err(io::Error::from_raw_os_error(libc::EPERM));
        }
        rustix::thread::set_capabilities(None, taken.capabilities)?;
        Ok(taken)
    }
}

impl Drop for FilesystemIds {
    fn drop(&mut self) {
        set(self.before.0, self.before.1);
        // What was there before is always allowed. The kernel marks the process as one that changed
        // its ids, which must not stay: its children in user namespaces would be strangers to their
        // own files in /proc (proc(5)).
        let _ = rustix::thread::set_capabilities(None, self.capabilities);
        if self.dumpable != DumpableBehavior::DumpableReadableOnlyByRoot {
            let _ = rustix::process::set_dumpable_behavior(self.dumpable);
        }
    }
}

/// Sets both ids and returns those before.
fn set(uid: libc::uid_t, gid: libc::gid_t) -> (libc::uid_t, libc::gid_t) {
    // SAFETY: both take numbers alone and change this thread alone.
    let (gid, uid) = unsafe { (libc::setfsgid(gid), libc::setfsuid(uid)) };
    (uid.cast_unsigned(), gid.cast_unsigned())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn for_a_while() {
        let dir = tempfile::tempdir().unwrap();
        let capabilities = rustix::thread::capabilities(None).unwrap();
        let dumpable = rustix::process::dumpable_behavior().unwrap();
        let taken = FilesystemIds::take_on(1234, 5678).unwrap();
        std::fs::write(dir.path().join("theirs"), "").unwrap();
        assert_eq!(rustix::thread::capabilities(None).unwrap(), capabilities);
        drop(taken);
        std::fs::write(dir.path().join("ours"), "").unwrap();
        let owner = |name: &str| {
            let file = std::fs::metadata(dir.path().join(name)).unwrap();
            (file.uid(), file.gid())
        };
        assert_eq!((owner("theirs"), owner("ours")), ((1234, 5678), (0, 0)));
        assert_eq!(rustix::thread::capabilities(None).unwrap(), capabilities);
        assert_eq!(rustix::process::dumpable_behavior().unwrap(), dumpable);
    }
}
