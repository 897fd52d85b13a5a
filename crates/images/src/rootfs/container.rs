//! One container's directory: made once, locked while it changes, mounted on, removed.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use lxcri_core::id::ContainerId;
use lxcri_linux::mount::{self, Attributes, MountError, Propagation};
use lxcri_linux::step::Step as _;
use lxcri_linux::tree;
use rustix::fs::{Gid, Mode, OFlags};

use super::record::RECORD_MAX;
use super::{IdRange, Place, Record, Rootfs, RootfsError, Step, containers, io, mapping};
use crate::directory_lock::{Attempt, DirectoryLock, open_directory};
use crate::id_range;

const RECORD: &str = "rootfs.json";
const TEMPORARY: &str = ".rootfs.json";
/// What the provider keeps. Nobody but root enters.
const DATA: &str = "data";
/// Where the container's root may pass, and with it whoever is nobody else.
const ACCESS: &str = "access";
const MERGED: &str = "access/merged";

/// A container's directory, open and locked until this is dropped.
#[derive(Debug)]
pub struct Container<'p> {
    place: &'p Place,
    id: ContainerId,
    path: PathBuf,
    lock: DirectoryLock,
}

impl<'p> Container<'p> {
    /// Takes the id: makes its directory, which is what two at once race for.
    pub(super) fn reserve(place: &'p Place, id: &ContainerId) -> Result<Self, RootfsError> {
        let id = id.clone();
        let path = containers(place).join(id.as_str());
        let mut made = make_directory(&path, 0o711);
        if matches!(&made, Err(error) if error.kind() == io::ErrorKind::NotFound) {
            let parent = containers(place);
            let mut parents = std::fs::DirBuilder::new();
            parents.recursive(true).mode(0o711).create(&parent).map_err(io("make", &parent))?;
            made = make_directory(&path, 0o711);
        }
        match made {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                return Err(RootfsError::Exists { id });
            }
            other => other.map_err(io("make", &path))?,
        }
        Step::PrepareDirectory.reached();
        let lost = RootfsError::Exists { id: id.clone() };
        Self::lock(place, &id, path)?.ok_or(lost)
    }

    /// An existing one; `None` where there is none.
    pub(super) fn open(place: &'p Place, id: &ContainerId) -> Result<Option<Self>, RootfsError> {
        Self::lock(place, id, containers(place).join(id.as_str()))
    }

    fn lock(
        place: &'p Place,
        id: &ContainerId,
        path: PathBuf,
    ) -> Result<Option<Self>, RootfsError> {
        match DirectoryLock::take(&path).map_err(io("lock", &path))? {
            Attempt::Taken(lock) => Ok(Some(Self { place, id: id.clone(), path, lock })),
            Attempt::Gone => Ok(None),
            Attempt::Busy => Err(RootfsError::Busy { path }),
        }
    }

    /// Makes the directories in which everything else is made. The way to the root filesystem is
    /// open to the container's root, who may be nobody on the host. That is not done with the group of
    /// this directory, because of an id that its own mapping does not know the kernel lets nobody
    /// through, not even root.
    pub(super) fn make_directories(&self, ranges: Option<&[IdRange]>) -> Result<(), RootfsError> {
        let data = self.path.join(DATA);
        make_directory(&data, 0o700).map_err(io("make", &data))?;
        let access = self.path.join(ACCESS);
        make_directory(&access, 0o710).map_err(io("make", &access))?;
        if let Some(root) = ranges.and_then(|ranges| id_range::host_id(ranges, 0)) {
            rustix::fs::chown(&access, None, Some(Gid::from_raw(root)))
                .map_err(|errno| io("change the group of", &access)(errno.into()))?;
        }
        let merged = self.merged();
        make_directory(&merged, 0o700).map_err(io("make", &merged))
    }

    /// Where it is.
    pub fn place(&self) -> &Place {
        self.place
    }

    /// Whose it is.
    pub fn id(&self) -> &ContainerId {
        &self.id
    }

    /// A file of the provider's.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(DATA).join(name)
    }

    /// The directory that all of the provider's files are in.
    ///
    /// # Errors
    /// As open(2).
    pub fn data(&self) -> Result<File, RootfsError> {
        let path = self.path.join(DATA);
        open_directory(&path).map_err(io("open", &path))
    }

    /// Where it is mounted.
    pub(super) fn merged(&self) -> PathBuf {
        self.path.join(MERGED)
    }

    pub(super) fn write_record(&self, record: &Record) -> Result<(), RootfsError> {
        let path = self.path.join(RECORD);
        let bytes =
            serde_json::to_vec(record).map_err(|error| io("encode", &path)(error.into()))?;
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::TRUNC | OFlags::CLOEXEC;
        let write = || -> io::Result<()> {
            let mode = Mode::from_raw_mode(0o600);
            let file = rustix::fs::openat(&self.lock, TEMPORARY, flags, mode)?;
            File::from(file).write_all(&bytes)?;
            Step::PrepareTemporary.reached();
            Ok(rustix::fs::renameat(&self.lock, TEMPORARY, &self.lock, RECORD)?)
        };
        write().map_err(io("write", &path))?;
        Step::PrepareRecord.reached();
        Ok(())
    }

    pub(super) fn read_record(&self) -> Result<Record, RootfsError> {
        read_record(&self.path.join(RECORD))
    }

    /// Makes a directory of the provider's, that its owner alone may enter, and opens it.
    pub(super) fn make(&self, name: &str) -> Result<File, RootfsError> {
        let path = self.file(name);
        make_directory(&path, 0o700).map_err(io("make", &path))?;
        open_directory(&path).map_err(io("open", &path))
    }

    /// Attaches a detached mount at `merged`. What is mounted in there later stays there.
    pub(super) fn attach(
        &self,
        tree: BorrowedFd<'_>,
        provider: &'static str,
    ) -> Result<Rootfs, RootfsError> {
        let path = self.merged();
        let failed = |source| RootfsError::Mount { path: path.clone(), source };
        let target = open_directory(&path).map_err(io("open", &path))?;
        mount::attach(tree, &target).map_err(failed)?;
        let private = Some(Propagation::PRIVATE);
        mount::set_attributes(tree, false, Attributes::default(), private)
            .map_err(|source| failed(MountError::Io { what: "make it private", source }))?;
        Ok(self.mounted(provider))
    }

    /// Attaches a detached mount at `merged` as [`Container::attach`] does, with the container's ids
    /// where `mapped`, without devices, and read-only where the record says so.
    pub(super) fn attach_tree(
        &self,
        tree: BorrowedFd<'_>,
        record: &Record,
        mapped: bool,
        provider: &'static str,
    ) -> Result<Rootfs, RootfsError> {
        let failed = |what| {
            let path = self.merged();
            move |source| RootfsError::Mount { path, source: MountError::Io { what, source } }
        };
        if let Some(ranges) = record.mapping.as_deref().filter(|_| mapped) {
            mapping::apply(tree, ranges).map_err(failed("map its ids"))?;
        }
        let attributes = Attributes::without_devices(record.read_only);
        mount::set_attributes(tree, false, attributes, None)
            .map_err(failed("set its attributes"))?;
        self.attach(tree, provider)
    }

    /// The root filesystem where it is mounted.
    pub(super) fn mounted(&self, provider: &'static str) -> Rootfs {
        Rootfs { path: self.merged(), provider }
    }

    pub(super) fn is_mounted(&self) -> Result<bool, RootfsError> {
        let path = self.merged();
        match mount::is_mount_point(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            result => result.map_err(io("look at", &path)),
        }
    }

    pub(super) fn unmount(&self) -> Result<(), RootfsError> {
        let path = self.merged();
        mount::detach_all(&path).map(drop).map_err(io("unmount", &path))
    }

    /// Removes everything, the record last.
    pub(super) fn remove(&self) -> Result<(), RootfsError> {
        let entries = std::fs::read_dir(&self.path).map_err(io("read", &self.path))?;
        for entry in entries {
            let name = entry.map_err(io("read", &self.path))?.file_name();
            if name != RECORD {
                self.remove_entry(&name)?;
            }
        }
        Step::RemoveFiles.reached();
        self.remove_entry(OsStr::new(RECORD))?;
        Step::RemoveRecord.reached();
        std::fs::remove_dir(&self.path).map_err(io("remove", &self.path))
    }

    fn remove_entry(&self, name: &OsStr) -> Result<(), RootfsError> {
        tree::remove(&self.lock, name)
            .map_err(|source| RootfsError::Tree { path: self.path.clone(), source })
    }
}

/// The records of all containers. One whose directory is being made or removed has none.
pub(super) fn records(place: &Place) -> Result<Vec<Record>, RootfsError> {
    let path = containers(place);
    let entries = match std::fs::read_dir(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        result => result.map_err(io("read", &path))?,
    };
    let mut records = Vec::new();
    for entry in entries {
        let record = entry.map_err(io("read", &path))?.path().join(RECORD);
        match read_record(&record) {
            Err(RootfsError::Io { source, .. })
                if matches!(
                    source.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) => {}
            result => records.push(result?),
        }
    }
    Ok(records)
}

fn read_record(path: &Path) -> Result<Record, RootfsError> {
    let file = File::open(path).map_err(io("open", path))?;
    let mut bytes = Vec::new();
    file.take(RECORD_MAX).read_to_end(&mut bytes).map_err(io("read", path))?;
    Record::parse(&bytes).map_err(|problem| RootfsError::Damaged { path: path.to_owned(), problem })
}

/// Makes a directory with exactly this mode, whatever the umask.
pub(super) fn make_directory(path: &Path, mode: u32) -> io::Result<()> {
    std::fs::DirBuilder::new().mode(mode).create(path)?;
    if mode & 0o077 == 0 {
        // Nothing that a sensible umask takes away.
        return Ok(());
    }
    std::fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(mode))
}
