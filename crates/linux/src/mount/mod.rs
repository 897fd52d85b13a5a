//! Mounts by descriptor (fsopen(2), open_tree(2), mount_setattr(2), move_mount(2)): a target is
//! opened once and used by descriptor, so nobody can swap it between check and use.

#![allow(unsafe_code)]

mod kind;
mod options;
mod overlay;
mod setattr;

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::CWD;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MoveMountFlags, OpenTreeFlags, UnmountFlags,
};

pub use kind::filesystem_at;
pub use options::{
    Attributes, Bind, IdMapped, KNOWN_OPTIONS, Options, Propagation, PropagationKind,
};
pub use overlay::{LAYERS_MAX, LayerDirectory, Overlay};
pub use setattr::{set_attributes, set_id_map};

/// Longest value fsconfig(2) takes, in bytes without the NUL (fs/fsopen.c); longer ones go through
/// mount(2).
const FSCONFIG_VALUE_MAX: usize = 255;

/// A mount that could not be made, in the kernel's own words where it has some.
#[derive(Debug, thiserror::Error)]
pub enum MountError {
    /// A filesystem type that the kernel does not know.
    #[error("unknown filesystem type {kind:?}")]
    UnknownType {
        /// As asked for.
        kind: String,
    },
    /// The filesystem refused an option or its source.
    #[error("{what}: {source}{log}")]
    Filesystem {
        /// Which step, such as `option "size=x"`.
        what: String,
        /// The errno.
        source: io::Error,
        /// What the filesystem logged about it, with a leading ": ", or empty.
        log: String,
    },
    /// Any other step.
    #[error("{what}: {source}")]
    Io {
        /// Which step.
        what: &'static str,
        /// The errno.
        source: io::Error,
    },
}

impl MountError {
    /// The errno behind it.
    pub fn into_io(self) -> io::Error {
        match self {
            Self::UnknownType { .. } => io::Error::from_raw_os_error(libc::ENODEV),
            Self::Filesystem { source, .. } | Self::Io { source, .. } => source,
        }
    }
}

fn io_error(what: &'static str) -> impl FnOnce(rustix::io::Errno) -> MountError {
    move |errno| MountError::Io { what, source: errno.into() }
}

/// A detached copy of the mount tree at `path` (relative to `directory`, final symlinks followed).
pub fn clone_tree(
    directory: impl AsFd,
    path: impl AsRef<Path>,
    recursive: bool,
) -> io::Result<OwnedFd> {
    let mut flags = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive {
        flags |= OpenTreeFlags::AT_RECURSIVE;
    }
    if path.as_ref().as_os_str().is_empty() {
        flags |= OpenTreeFlags::AT_EMPTY_PATH;
    }
    Ok(rustix::mount::open_tree(directory.as_fd(), path.as_ref(), flags)?)
}

/// A detached copy of a mount tree on this host, by path.
pub fn clone_host_tree(path: &Path, recursive: bool) -> io::Result<OwnedFd> {
    clone_tree(CWD, path, recursive)
}

/// A new, detached filesystem of type `kind`.
pub fn new_filesystem(
    kind: &str,
    source: Option<&OsStr>,
    options: &Options,
) -> Result<OwnedFd, MountError> {
    let context =
        rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map_err(|errno| match errno {
            rustix::io::Errno::NODEV => MountError::UnknownType { kind: kind.to_owned() },
            _ => MountError::Io { what: "fsopen", source: errno.into() },
        })?;
    let explain = |what: String| {
        let context = context.as_fd();
        move |errno: rustix::io::Errno| MountError::Filesystem {
            what,
            source: errno.into(),
            log: log_of(context),
        }
    };
    if let Some(source) = source {
        rustix::mount::fsconfig_set_string(&context, "source", source)
            .map_err(explain(format!("source {}", source.display())))?;
    }
    for (key, value) in options.data() {
        let set = match value {
            Some(value) => rustix::mount::fsconfig_set_string(&context, key, value),
            None => rustix::mount::fsconfig_set_flag(&context, key),
        };
        let shown = value.map_or_else(|| key.to_owned(), |value| format!("{key}={value}"));
        set.map_err(explain(format!("mount option {shown:?}")))?;
    }
    rustix::mount::fsconfig_create(&context).map_err(explain(format!("new {kind}")))?;
    let attributes = options.attributes().fsmount_flags();
    rustix::mount::fsmount(
        &context,
        FsMountFlags::FSMOUNT_CLOEXEC,
        MountAttrFlags::from_bits_retain(attributes),
    )
    .map_err(explain(format!("mount {kind}")))
}

/// Whether a value is too long for [`new_filesystem`], so that [`legacy_mount`] has to be used.
pub fn needs_legacy_mount(options: &Options) -> bool {
    options.data().any(|(_, value)| value.is_some_and(|value| value.len() > FSCONFIG_VALUE_MAX))
}

/// mount(2) onto an open target, for option values that fsconfig(2) has no room for (overlay with
/// many layers).
pub fn legacy_mount(
    kind: &str,
    source: Option<&OsStr>,
    options: &Options,
    target: BorrowedFd<'_>,
) -> Result<(), MountError> {
    let data = options.joined_data();
    let flags = rustix::mount::MountFlags::from_bits_retain(options.attributes().legacy_flags());
    let data = std::ffi::CString::new(data)
        .map_err(|error| MountError::Io { what: "mount options", source: error.into() })?;
    let path = format!("/proc/self/fd/{}", target.as_raw_fd());
    let source = source.unwrap_or_else(|| OsStr::new(kind));
    rustix::mount::mount(source, path, kind, flags, Some(data.as_c_str())).map_err(|errno| {
        MountError::Filesystem {
            what: format!("mount {kind}"),
            source: errno.into(),
            log: String::new(),
        }
    })
}

/// What the filesystem wrote about its refusal (fsopen(2): reading the context), as ": text".
fn log_of(context: BorrowedFd<'_>) -> String {
    let mut text = String::new();
    let mut buffer = [0_u8; 512];
    while let Ok(length @ 1..) = rustix::io::read(context, &mut buffer) {
        let line = String::from_utf8_lossy(&buffer[..length]);
        text.push_str(": ");
        text.push_str(line.trim_start_matches(['e', 'w', 'i']).trim());
    }
    text
}

/// Attaches a detached tree onto an open target.
pub fn attach(tree: impl AsFd, target: impl AsFd) -> Result<(), MountError> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(tree.as_fd(), "", target.as_fd(), "", flags)
        .map_err(io_error("move_mount"))
}

/// Makes the attached tree behind `root` the root of this process's mount namespace, and lets go
/// of the old one. Both calls work on ".", so no directory for the old root is needed
/// (pivot_root(2), "pivot_root(".", ".")").
pub fn pivot_into(root: impl AsFd) -> Result<(), MountError> {
    let old = rustix::fs::open(
        "/",
        rustix::fs::OFlags::PATH | rustix::fs::OFlags::DIRECTORY | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )
    .map_err(io_error("open old root"))?;
    rustix::process::fchdir(root.as_fd()).map_err(io_error("fchdir"))?;
    rustix::process::pivot_root(".", ".").map_err(io_error("pivot_root"))?;
    // What is unmounted below the old root must not be unmounted on the host.
    rustix::process::fchdir(&old).map_err(io_error("fchdir to old root"))?;
    set_attributes(&old, true, Attributes::default(), Some(Propagation::SLAVE))
        .map_err(|source| MountError::Io { what: "make old root a slave", source })?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).map_err(io_error("unmount old root"))?;
    rustix::process::chdir("/").map_err(io_error("chdir /"))
}

/// Whether something is mounted exactly on `path` (statx(2), `STATX_ATTR_MOUNT_ROOT`).
pub fn is_mount_point(path: &Path) -> io::Result<bool> {
    use rustix::fs::{AtFlags, StatxAttributes, StatxFlags};
    let flags = AtFlags::SYMLINK_NOFOLLOW | AtFlags::NO_AUTOMOUNT;
    let found = rustix::fs::statx(CWD, path, flags, StatxFlags::TYPE)?;
    Ok(found.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}

/// Detaches everything that is mounted exactly on `path`, however much is stacked there; whoever
/// uses it keeps it until the end. Says whether there was anything.
///
/// # Errors
/// As umount2(2); that nothing is mounted there, or that `path` is missing, is none.
pub fn detach_all(path: &Path) -> io::Result<bool> {
    use rustix::io::Errno;
    let mut any = false;
    loop {
        match rustix::mount::unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            Ok(()) => any = true,
            Err(Errno::INVAL | Errno::NOENT | Errno::NOTDIR) => return Ok(any),
            Err(error) => return Err(error.into()),
        }
    }
}

/// chroot(2) into an open directory.
pub fn enter(root: impl AsFd) -> Result<(), MountError> {
    rustix::process::fchdir(root.as_fd()).map_err(io_error("fchdir"))?;
    rustix::process::chroot(".").map_err(io_error("chroot"))?;
    rustix::process::chdir("/").map_err(io_error("chdir /"))
}

/// Cuts the whole mount namespace of this process off from the host's: what is mounted here stays
/// here. `propagation` is usually `rslave`.
pub fn set_root_propagation(propagation: Propagation) -> io::Result<()> {
    let root = rustix::fs::open(
        "/",
        rustix::fs::OFlags::PATH | rustix::fs::OFlags::CLOEXEC,
        rustix::fs::Mode::empty(),
    )?;
    set_attributes(&root, propagation.recursive, Attributes::default(), Some(propagation))
}
