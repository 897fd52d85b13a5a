//! Overlay filesystems (Documentation/filesystems/overlayfs.rst) of any number of layers.
//!
//! A layer is named by a descriptor of a mount and a path below it, so that it can be one that is
//! attached nowhere, such as an idmapped one. Two ways lead to a mounted overlay:
//!
//! - by descriptor: `FSCONFIG_SET_FD`, since Linux 6.14 for descriptors of `O_PATH`, since 6.15 for
//!   detached mounts;
//! - by name, for older kernels, in a mount namespace that exists only meanwhile: one mount(2),
//!   whose options name descriptors by their numbers, relative to /proc/self/fd, so that 500 fit
//!   into its one page.

use std::ffi::CString;
use std::fmt::Write as _;
use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags};

use super::{Attributes, MountError, Propagation, attach, clone_tree, io_error, log_of};
use crate::filesystem_ids::FilesystemIds;
use crate::namespace::Kind;

/// Most lower layers that the kernel takes (fs/overlayfs/params.h, `OVL_MAX_STACK`).
pub const LAYERS_MAX: usize = 500;

/// The page that all options of a mount(2) share.
const DATA_MAX: usize = 4095;

/// A directory below a mount.
#[derive(Clone, Copy, Debug)]
pub struct LayerDirectory<'a> {
    /// The mount, or [`CWD`] for a path of the host.
    pub tree: BorrowedFd<'a>,
    /// Relative to it.
    pub path: &'a Path,
}

impl LayerDirectory<'_> {
    /// Opens the directory. Below a mount no link is followed, and no other mount entered: a link
    /// could lead out of it, to where ids are not mapped.
    pub fn open(&self) -> io::Result<OwnedFd> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        if self.tree.as_raw_fd() == CWD.as_raw_fd() {
            return Ok(rustix::fs::open(self.path, flags, Mode::empty())?);
        }
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_XDEV;
        Ok(rustix::fs::openat2(self.tree, self.path, flags, Mode::empty(), resolve)?)
    }
}

/// An overlay to be mounted.
#[derive(Debug)]
pub struct Overlay<'a> {
    /// What mountinfo shows as its source.
    pub source: &'a str,
    /// Lowest first, 1 to [`LAYERS_MAX`]; at least 2 where nothing is writable.
    pub lower: Vec<LayerDirectory<'a>>,
    /// Where changes go, and an empty directory on the same mount.
    pub upper_and_work: Option<(LayerDirectory<'a>, LayerDirectory<'a>)>,
    /// Nothing of the upper layer is ever synced; after a crash the kernel refuses it (Linux 5.10).
    pub volatile: bool,
    /// Attributes of the mount.
    pub attributes: Attributes,
    /// The user and group that the kernel acts as in the layers, where it is not to be our own: whom
    /// a mapped upper layer knows.
    pub acts_as: Option<(u32, u32)>,
}

/// What is written down explicitly, because a kernel's own defaults differ. Redirects are never
/// followed: an image could bring some. Without the index a hard link is broken by the first write,
/// and an upper directory can be used again after anything.
const OPTIONS: [(&str, &str); 3] =
    [("redirect_dir", "nofollow"), ("metacopy", "off"), ("index", "off")];

impl Overlay<'_> {
    /// Mounts it, attached nowhere, with layers given to the kernel by descriptor.
    ///
    /// # Errors
    /// EINVAL or EBADF also where the kernel is older than this way; then [`Overlay::by_name`] may
    /// work.
    pub fn by_descriptor(&self) -> Result<OwnedFd, MountError> {
        let context = rustix::mount::fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)
            .map_err(no_overlay(io_error("fsopen")))?;
        let explain = |what: &str| {
            let (context, what) = (&context, what.to_owned());
            move |errno: Errno| {
                let log = log_of(std::os::fd::AsFd::as_fd(context));
                MountError::Filesystem { what, source: errno.into(), log }
            }
        };
        rustix::mount::fsconfig_set_string(&context, "source", self.source)
            .map_err(explain("source"))?;
        let set_layer = |key: &str, place: &LayerDirectory<'_>| {
            let layer = place.open().map_err(layer_error(place))?;
            let what = format!("overlay {key} {}", place.path.display());
            rustix::mount::fsconfig_set_fd(&context, key, &layer).map_err(explain(&what))
        };
        // The first that is appended is the topmost.
        for layer in self.lower.iter().rev() {
            set_layer("lowerdir+", layer)?;
        }
        if let Some((upper, work)) = &self.upper_and_work {
            set_layer("upperdir", upper)?;
            set_layer("workdir", work)?;
        }
        for (key, value) in OPTIONS {
            rustix::mount::fsconfig_set_string(&context, key, value).map_err(explain(key))?;
        }
        if self.volatile {
            rustix::mount::fsconfig_set_flag(&context, "volatile").map_err(explain("volatile"))?;
        }
        let acting = self.act()?;
        rustix::mount::fsconfig_create(&context).map_err(explain("overlay"))?;
        drop(acting);
        let attributes = MountAttrFlags::from_bits_retain(self.attributes.fsmount_flags());
        rustix::mount::fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)
            .map_err(explain("mount overlay"))
    }

    /// Mounts it, attached nowhere, the way of older kernels. `trees` are the detached mounts that
    /// all layers lie in; they end up in a mount namespace that is gone when this returns. `target`
    /// is an existing directory of the host; nothing happens to it.
    ///
    /// # Errors
    /// [`MountError`], E2BIG where the layers do not fit into one page.
    pub fn by_name(&self, trees: &[BorrowedFd<'_>], target: &Path) -> Result<OwnedFd, MountError> {
        let joined = std::thread::scope(|scope| {
            let work = || (rustix::thread::gettid(), self.mount_in_namespace(trees, target));
            let thread = std::thread::Builder::new().spawn_scoped(scope, work)?;
            thread.join().map_err(|_| io::Error::other("the thread panicked"))
        });
        let (thread, mounted) =
            joined.map_err(|source| MountError::Io { what: "mount overlay", source })?;
        wait_until_gone(thread);
        mounted
    }

    /// In a thread of its own, which leaves this process's mount namespace.
    fn mount_in_namespace(
        &self,
        trees: &[BorrowedFd<'_>],
        target: &Path,
    ) -> Result<OwnedFd, MountError> {
        let io = |what| move |source| MountError::Io { what, source };
        Kind::Mnt.unshare().map_err(io("leave the mount namespace"))?;
        super::set_root_propagation(Propagation::PRIVATE).map_err(io("make all mounts private"))?;
        let root = rustix::fs::open(
            "/",
            OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC,
            Mode::empty(),
        )
        .map_err(io_error("open /"))?;
        for tree in trees {
            // Only so that it is in this namespace; nothing is looked up there.
            attach(tree, &root)?;
        }
        let mut opened = Vec::new();
        let data = self.data(&mut opened)?;
        rustix::process::chdir("/proc/self/fd").map_err(io_error("chdir /proc/self/fd"))?;
        let flags = MountFlags::from_bits_retain(self.attributes.legacy_flags());
        let acting = self.act()?;
        rustix::mount::mount(self.source, target, "overlay", flags, Some(data.as_c_str()))
            .map_err(no_overlay(|errno| MountError::Filesystem {
                what: "mount overlay".to_owned(),
                source: errno.into(),
                log: String::new(),
            }))?;
        drop(acting);
        clone_tree(CWD, target, false).map_err(io("clone the overlay"))
    }

    /// The kernel remembers who mounts an overlay, and is that one whenever it works on layers.
    fn act(&self) -> Result<Option<FilesystemIds>, MountError> {
        let acting = self.acts_as.map(|(uid, gid)| FilesystemIds::take_on(uid, gid)).transpose();
        acting.map_err(|source| MountError::Io { what: "act as the container's root", source })
    }

    /// The options, naming descriptors that are put into `opened`.
    fn data(&self, opened: &mut Vec<OwnedFd>) -> Result<CString, MountError> {
        let mut number = |place: &LayerDirectory<'_>| {
            let fd = place.open().map_err(layer_error(place))?;
            let number = fd.as_raw_fd();
            opened.push(fd);
            Ok::<_, MountError>(number)
        };
        let mut data = String::from("lowerdir=");
        for (index, layer) in self.lower.iter().rev().enumerate() {
            let colon = if index == 0 { "" } else { ":" };
            // Writing to a String cannot fail, here and below.
            let _ = write!(data, "{colon}{}", number(layer)?);
        }
        if let Some((upper, work)) = &self.upper_and_work {
            let _ = write!(data, ",upperdir={},workdir={}", number(upper)?, number(work)?);
        }
        for (key, value) in OPTIONS {
            let _ = write!(data, ",{key}={value}");
        }
        if self.volatile {
            data.push_str(",volatile");
        }
        let too_long = || MountError::Io { what: "mount options", source: Errno::TOOBIG.into() };
        if data.len() > DATA_MAX {
            Err(too_long())
        } else {
            CString::new(data).map_err(|_| too_long())
        }
    }
}

fn layer_error(place: &LayerDirectory<'_>) -> impl FnOnce(io::Error) -> MountError {
    let what = format!("layer {}", place.path.display());
    move |source| MountError::Filesystem { what, source, log: String::new() }
}

fn no_overlay(other: impl FnOnce(Errno) -> MountError) -> impl FnOnce(Errno) -> MountError {
    move |errno| match errno {
        Errno::NODEV => MountError::UnknownType { kind: "overlay".to_owned() },
        _ => other(errno),
    }
}

/// A thread that was joined may be counted for a moment longer, and whoever clones this process next
/// wants to have one thread. The bound is a matter of form: it has nothing left to do.
fn wait_until_gone(thread: rustix::thread::Pid) {
    let path = format!("/proc/self/task/{}", thread.as_raw_nonzero());
    for _ in 0..10_000 {
        if !Path::new(&path).exists() {
            return;
        }
        rustix::thread::sched_yield();
    }
}
